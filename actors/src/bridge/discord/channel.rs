//! The channel of this machine on a server, found by its name or made.

use serde_json::json;
use twilight_http::request::Request;
use twilight_http::routing::Route;

use super::http::Http;
use super::listen::is_home;
use super::wire::{Channel, Snowflake};
use super::words::About;
use crate::bridge::platform::Failure;

/// Characters of a channel's name.
const NAME: usize = 100;

/// The channel of this machine: the text channel of its name, or a new one.
pub async fn of_this_machine(http: &Http, guild: Snowflake) -> Result<Snowflake, Failure> {
    let name = name(&host());
    let list = Request::builder(&Route::GetChannels { guild_id: guild }).build();
    let all: Vec<Channel> = http.call(list).await.map_err(|trouble| trouble.failure(About::Home))?;
    let ours = all.iter().find(|channel| is_home(channel) && channel.name.as_deref() == Some(&name));
    if let Some(channel) = ours {
        return Ok(channel.id);
    }
    let body =
        json!({ "name": name, "type": 0, "topic": "A thread for each session of Tether on this machine." });
    let made = Request::builder(&Route::CreateChannel { guild_id: guild }).json(&body).build();
    match http.call::<Channel>(made).await {
        Ok(channel) => Ok(channel.id),
        Err(trouble) => match trouble.failure(About::Home) {
            Failure::Broken(_) | Failure::Refused(_) => Err(Failure::Broken(format!(
                "the bot may not make the channel #{name}: give it \"Manage Channels\", or make a text channel yourself \
                 and set DISCORD_CHANNEL_ID"
            ))),
            failure => Err(failure),
        },
    }
}

/// What this machine is called.
fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// A channel's name as Discord writes it: small letters, digits and hyphens.
fn name(host: &str) -> String {
    let first = host.split('.').next().unwrap_or_default();
    let kept: String = first
        .chars()
        .map(|c| if c.is_alphanumeric() || c == '_' { c } else { '-' })
        .flat_map(char::to_lowercase)
        .take(NAME - 2)
        .collect();
    format!("🤖-{}", if kept.is_empty() { "tether" } else { &kept })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machines_channel_is_named_as_discord_writes_names() {
        for (host, expected) in
            [("Box.local", "🤖-box"), ("my box", "🤖-my-box"), ("", "🤖-tether"), ("Größe_1", "🤖-größe_1")]
        {
            assert_eq!(name(host), expected, "{host:?}");
        }
    }
}
