//! The chat platforms. One block a platform: its settings, and when it is on.

use std::collections::BTreeSet;

use tether_actors::bridge::discord::DiscordSettings;
use tether_actors::bridge::platform::Shortcut;
use tether_actors::bridge::slack::SlackSettings;
use tether_actors::bridge::telegram::TelegramSettings;

use super::{Reader, sources};

/// The chat platforms that are set up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BridgesSettings {
    /// The platform that a new session is shown on when nothing is said; `None` = none.
    pub default_platform: Option<String>,
    /// Slack.
    pub slack: Option<Chat<SlackSettings>>,
    /// Telegram.
    pub telegram: Option<Chat<TelegramSettings>>,
    /// Discord.
    pub discord: Option<Chat<DiscordSettings>>,
    /// What is set and does not go together, for people.
    pub problems: Vec<String>,
}

/// A platform with the people who may act there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chat<P> {
    /// How to reach it.
    pub settings: P,
    /// The platform's ids of people who may act without being paired.
    pub allowed: BTreeSet<String>,
}

impl BridgesSettings {
    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        let mut problems = Vec::new();
        let slack = slack(reader, &mut problems);
        let telegram = telegram(reader, &mut problems);
        let discord = discord(reader, &mut problems);
        let default_platform = match reader.word("TETHER_DEFAULT_PLATFORM").as_str() {
            "" | "none" => None,
            "telegram" if telegram.is_none() => {
                problems.push("TETHER_DEFAULT_PLATFORM is telegram, which is not set up".to_owned());
                None
            }
            "slack" if slack.is_none() => {
                problems.push("TETHER_DEFAULT_PLATFORM is slack, which is not set up".to_owned());
                None
            }
            "discord" if discord.is_none() => {
                problems.push("TETHER_DEFAULT_PLATFORM is discord, which is not set up".to_owned());
                None
            }
            word => Some(word.to_owned()),
        };
        Self { default_platform, slack, telegram, discord, problems }
    }
}

fn flag(reader: &mut Reader<'_>, name: &'static str) -> bool {
    sources::flag(&reader.text(name)).unwrap_or_default()
}

/// Ids with commas or blanks between them.
fn ids(text: &str) -> BTreeSet<String> {
    text.split([',', ' ', ';']).map(str::trim).filter(|id| !id.is_empty()).map(str::to_owned).collect()
}

/// The reaction that makes a session of a message.
fn shortcut(reader: &mut Reader<'_>) -> Option<Shortcut> {
    flag(reader, "TETHER_BRIDGE_REACTION_NEW_SESSION_ENABLED").then(|| Shortcut {
        emoji: reader.text("TETHER_BRIDGE_REACTION_NEW_SESSION_EMOJI"),
        any_message: flag(reader, "TETHER_BRIDGE_REACTION_NEW_SESSION_ALLOW_PLAIN_MESSAGES"),
    })
}

fn telegram(reader: &mut Reader<'_>, problems: &mut Vec<String>) -> Option<Chat<TelegramSettings>> {
    let token = reader.optional("TELEGRAM_BOT_TOKEN").filter(|token| !token.is_empty());
    let group = reader.optional("TELEGRAM_FORUM_GROUP_ID").filter(|group| !group.is_empty());
    let allowed = ids(&reader.text("TELEGRAM_ALLOWED_USER_IDS"));
    let api_url = reader.text("TELEGRAM_API_URL");
    match (token, group.map(|group| group.parse())) {
        (Some(token), Some(Ok(group))) => {
            Some(Chat { settings: TelegramSettings { api_url, token, group }, allowed })
        }
        (Some(_), None) => {
            let missing = "TELEGRAM_BOT_TOKEN is set and TELEGRAM_FORUM_GROUP_ID is not, so Telegram is off";
            problems.push(missing.to_owned());
            None
        }
        // A group alone does nothing, and one that is no number was told already.
        _ => None,
    }
}

fn slack(reader: &mut Reader<'_>, problems: &mut Vec<String>) -> Option<Chat<SlackSettings>> {
    let names = ["SLACK_BOT_TOKEN", "SLACK_APP_TOKEN", "SLACK_CHANNEL_ID"];
    let values = names.map(|name| reader.optional(name).filter(|value| !value.is_empty()));
    let allowed = ids(&reader.text("SLACK_ALLOWED_USER_IDS"));
    let api_url = reader.text("SLACK_API_URL");
    let shortcut = shortcut(reader);
    let missing = names.iter().zip(&values).filter(|(_, value)| value.is_none());
    let missing: Vec<&str> = missing.map(|(name, _)| *name).collect();
    match values {
        [Some(bot_token), Some(app_token), Some(channel)] => {
            let settings = SlackSettings { api_url, bot_token, app_token, channel, shortcut };
            let wrong = settings.problems();
            let is_well = wrong.is_empty();
            problems.extend(wrong.into_iter().map(|problem| format!("{problem}, so Slack is off")));
            is_well.then_some(Chat { settings, allowed })
        }
        // A channel alone does nothing.
        [None, None, _] => None,
        _ => {
            problems.push(format!("{} is not set, so Slack is off", missing.join(" and ")));
            None
        }
    }
}

fn discord(reader: &mut Reader<'_>, problems: &mut Vec<String>) -> Option<Chat<DiscordSettings>> {
    let token = reader.optional("DISCORD_BOT_TOKEN").filter(|token| !token.is_empty());
    let channel = reader.optional("DISCORD_CHANNEL_ID").filter(|channel| !channel.is_empty());
    let mut allowed = ids(&reader.text("DISCORD_ALLOWED_USER_IDS"));
    allowed.extend(ids(&reader.text("DISCORD_AUTO_PAIR_USER_IDS")));
    let (api_url, gateway_url) = (reader.text("DISCORD_API_URL"), reader.text("DISCORD_GATEWAY_URL"));
    let shortcut = shortcut(reader);
    let guild = reader.optional("DISCORD_GUILD_ID").filter(|guild| !guild.is_empty());
    let number = |id: Option<String>| id.map(|id| id.parse::<u64>()).transpose();
    // One that is no number was told already; 0 is as good as none.
    let (Ok(channel), Ok(guild)) = (number(channel), number(guild)) else { return None };
    let (channel, guild) = (channel.filter(|id| *id > 0), guild.filter(|id| *id > 0));
    match token {
        Some(token) if channel.is_some() || guild.is_some() => {
            let settings = DiscordSettings { api_url, gateway_url, token, channel, guild, shortcut };
            Some(Chat { settings, allowed })
        }
        Some(_) => {
            let missing = "DISCORD_BOT_TOKEN is set and neither DISCORD_CHANNEL_ID nor DISCORD_GUILD_ID is, so Discord is \
                           off";
            problems.push(missing.to_owned());
            None
        }
        // A channel alone does nothing.
        None => None,
    }
}
