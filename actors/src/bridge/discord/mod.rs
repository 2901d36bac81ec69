//! Discord: a thread of a channel a session, through the gateway and the API.
//!
//! Connections, routes and the limiter are twilight's; how they are used is told in `gateway` and `http`. What is
//! sent bears a nonce that Discord keeps for some minutes, so that nothing that is sent again comes twice; a thread
//! hangs on a message that is sent so, for the same reason.

mod channel;
mod gateway;
mod http;
mod listen;
pub mod markup;
mod places;
mod presses;
mod show;
mod threads;
mod wire;
mod words;

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use serde::de::IgnoredAny;
use serde_json::json;
use tokio::sync::mpsc;
use twilight_http::request::Request;
use twilight_http::routing::Route;

pub use self::gateway::GATEWAY;
use self::gateway::{Gateway, Position, WAITING};
use self::http::Http;
use self::listen::{Listener, Us, is_home};
use self::markup::Markdown;
use self::places::Places;
use self::threads::Threads;
use self::wire::{Channel, Snowflake, User, made_at};
use self::words::{ARCHIVED, About, HAS_A_THREAD, LOCKED};
use super::markup::{Dialect, Doc, bold, cut, plain};
use super::platform::*;
use crate::domain::time::Stamp;

/// Discord's own API.
pub const API: &str = "https://discord.com";
/// What was heard before the connection ended is dealt with for so long.
const LAST_WORDS: Duration = Duration::from_secs(20);
/// Applications with one of these flags may read messages.
const MAY_READ: u64 = 1 << 18 | 1 << 19;

/// What it takes to talk there.
#[derive(Clone, PartialEq, Eq)]
pub struct DiscordSettings {
    /// Where the API is: [`API`], or a proxy.
    pub api_url: String,
    /// Where the gateway is: [`GATEWAY`], or a proxy.
    pub gateway_url: String,
    /// The bot's token.
    pub token: String,
    /// The id of the channel in which threads are made; `None` = one of this machine's name, which is made if there is
    /// none.
    pub channel: Option<u64>,
    /// The id of the server; needed without a channel, checked with one.
    pub guild: Option<u64>,
    /// The reaction that makes a session of a message, if any does.
    pub shortcut: Option<Shortcut>,
}

impl std::fmt::Debug for DiscordSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DiscordSettings").field("channel", &self.channel).finish_non_exhaustive()
    }
}

/// A bot in a channel.
#[derive(Debug)]
pub struct Discord {
    gateway: Gateway,
    listener: Listener,
    threads: Threads,
    traits: Traits,
    channel: Option<Snowflake>,
    guild: Option<Snowflake>,
    /// What was learned when it connected.
    known: Mutex<Option<Known>>,
}

#[derive(Clone, Copy, Debug)]
struct Known {
    us: Us,
    application: Snowflake,
}

#[derive(Debug, serde::Deserialize)]
struct Application {
    id: String,
    #[serde(default)]
    flags: u64,
}

impl Discord {
    /// Nothing is connected yet.
    ///
    /// # Errors
    /// An address is none, or no client can be made.
    pub fn new(settings: &DiscordSettings) -> Result<Self, Failure> {
        // The gateway's client takes whichever is installed; done already is fine.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let http = Http::new(&settings.api_url, &settings.token)?;
        let shortcut = settings.shortcut.clone();
        Ok(Self {
            gateway: Gateway::new(&settings.gateway_url, &settings.token)?,
            threads: Threads::new(http.clone()),
            listener: Listener {
                http,
                places: Places::new(settings.channel.unwrap_or_default()),
                shortcut,
                sent: Default::default(),
            },
            channel: settings.channel,
            guild: settings.guild,
            traits: Traits {
                name: "discord",
                title: "Discord",
                prefix: '!',
                words: Words::Form,
                label: 80,
                row: 5,
                thread_title: 100,
                edit_gap: Duration::from_millis(1_500),
                typing_every: Some(Duration::from_secs(8)),
                // 50 a second are allowed for all calls together, presses and typing included; about 5 in 5 seconds
                // in one channel, which the limiter sees to.
                messages: Rate { count: 40, per: Duration::from_secs(1) },
                edits: None,
                file_out: 10 << 20,
                file_in: 25 << 20,
                toasts: false,
            },
            known: Mutex::default(),
        })
    }

    fn http(&self) -> &Http {
        &self.listener.http
    }

    fn known(&self) -> Option<Known> {
        *self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn channel_of(&self, place: &Place) -> Result<(Snowflake, About), Failure> {
        match place {
            Place::Thread(id) => Ok((number(id)?, About::Thread)),
            Place::Home => Ok((self.listener.places.home(), About::Home)),
            Place::Direct(id) => Ok((number(id)?, About::Direct)),
            Place::Elsewhere => Err(Failure::Refused("nothing is sent there".to_owned())),
        }
    }

    /// Sends what `request` makes; a thread that was put away is taken out again for it.
    async fn post(
        &self,
        channel: Snowflake,
        about: About,
        nonce: &str,
        request: impl Fn() -> Result<Request, twilight_http::Error> + Send + Sync,
    ) -> Result<Sent, Failure> {
        self.listener.sent.note(nonce);
        let sent: Posted = self.reopening(channel, about, request).await?;
        let id: Snowflake = number(&sent.id)?;
        Ok(Sent { id: sent.id, at: Stamp::from_unix_millis(made_at(id)) })
    }

    async fn reopening<T: serde::de::DeserializeOwned + Send + 'static>(
        &self,
        channel: Snowflake,
        about: About,
        request: impl Fn() -> Result<Request, twilight_http::Error> + Send + Sync,
    ) -> Result<T, Failure> {
        let trouble = match self.http().call(request()).await {
            Ok(answer) => return Ok(answer),
            Err(trouble) => trouble,
        };
        if !matches!(trouble.code(), ARCHIVED | LOCKED) || matches!(about, About::Home | About::Direct) {
            return Err(trouble.failure(about));
        }
        self.threads.reopen(channel).await?;
        self.http().call(request()).await.map_err(|trouble| trouble.failure(about))
    }

    /// Registers the commands that Discord shows. Without them all works by `!`, so this never fails.
    async fn register(&self, known: Known) -> &'static str {
        let route = Route::SetGuildCommands { application_id: known.application, guild_id: known.us.guild };
        let request = Request::builder(&route).json(&show::commands()).build();
        match self.http().call::<IgnoredAny>(request).await {
            Ok(_) => "",
            Err(trouble) => {
                tracing::warn!(?trouble, "Discord does not take the commands, so they are typed with !");
                ", without / commands (invite the bot again with the scope applications.commands)"
            }
        }
    }
}

/// A message, as far as it matters to the one who sent it.
#[derive(serde::Deserialize)]
struct Posted {
    id: String,
}

fn number(id: &str) -> Result<Snowflake, Failure> {
    id.parse().map_err(|_| Failure::Refused(format!("{id} is no id of Discord")))
}

#[async_trait]
impl Platform for Discord {
    fn traits(&self) -> &Traits {
        &self.traits
    }

    fn dialect(&self) -> &dyn Dialect {
        &Markdown
    }

    async fn connect(&self) -> Result<String, Failure> {
        self.http().renew();
        let ask = |route: &Route<'_>| Request::builder(route).build();
        let bot: User = self
            .http()
            .call(ask(&Route::GetCurrentUser))
            .await
            .map_err(|trouble| trouble.failure(About::Home))?;
        let application: Application = self
            .http()
            .call(ask(&Route::GetCurrentUserApplicationInfo))
            .await
            .map_err(|trouble| trouble.failure(About::Home))?;
        if application.flags & MAY_READ == 0
            && let Some(failure) = words::closed(4014)
        {
            return Err(failure);
        }
        let home = match (self.channel, self.guild) {
            (Some(channel), _) => channel,
            (None, Some(guild)) => channel::of_this_machine(self.http(), guild).await?,
            (None, None) => {
                return Err(Failure::Broken(
                    "neither DISCORD_CHANNEL_ID nor DISCORD_GUILD_ID is set".to_owned(),
                ));
            }
        };
        self.listener.places.set_home(home);
        let channel: Channel = self
            .http()
            .call(ask(&Route::GetChannel { channel_id: home }))
            .await
            .map_err(|trouble| trouble.failure(About::Home))?;
        let Some(guild) = channel.guild_id.filter(|_| is_home(&channel)) else {
            return Err(Failure::Broken(
                "DISCORD_CHANNEL_ID must be a text channel of a server: threads are made in it".to_owned(),
            ));
        };
        if self.guild.is_some_and(|wanted| wanted != guild) {
            return Err(Failure::Broken(
                "the channel of DISCORD_CHANNEL_ID is not on the server of DISCORD_GUILD_ID: one of the two is wrong"
                    .to_owned(),
            ));
        }
        let known = Known { us: Us { bot: bot.id, guild }, application: number(&application.id)? };
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = Some(known);
        let remark = self.register(known).await;
        Ok(format!("{} in #{}{remark}", bot.username, channel.name.as_deref().unwrap_or("?")))
    }

    async fn receive(&self, position: Option<String>, inbox: Inbox) -> Failure {
        let Some(known) = self.known() else {
            return Failure::Unsure("Discord was not asked yet who the bot is".to_owned());
        };
        let from = position.as_deref().map(Position::read).unwrap_or_default();
        let (tell, told) = mpsc::channel(WAITING);
        let hearing = self.gateway.hear(from.clone(), tell, |told| self.listener.prepare(told));
        let dealing = self.listener.deal(known.us, from, told, &inbox);
        tokio::pin!(hearing, dealing);
        tokio::select! {
            failure = &mut dealing => failure,
            failure = &mut hearing => {
                let _ = tokio::time::timeout(LAST_WORDS, dealing).await;
                failure
            }
        }
    }

    async fn open_thread(&self, title: &str, nonce: &str) -> Result<String, Failure> {
        let title = cut(&title.replace(['\n', '\r'], " "), self.traits.thread_title);
        let title = if title.trim().is_empty() { "session".to_owned() } else { title };
        let (text, _) = Doc::default().line([plain("🧵 "), bold(title.clone())]).render_one(&Markdown);
        let head =
            self.send(&Place::Home, &Message { text, quiet: true, ..Message::default() }, nonce).await?;
        let (home, message) = (self.listener.places.home(), number(&head.id)?);
        let route = Route::CreateThreadFromMessage { channel_id: home, message_id: message };
        let body = json!({ "name": title, "auto_archive_duration": threads::AWAKE });
        match self.http().call::<Channel>(Request::builder(&route).json(&body).build()).await {
            Ok(_) => {}
            // Made when it was tried before.
            Err(trouble) if trouble.code() == HAS_A_THREAD => {}
            Err(trouble) => {
                return Err(match trouble.failure(About::Home) {
                    Failure::MessageGone => {
                        Failure::Unsure("somebody deleted the head of a new thread".to_owned())
                    }
                    failure => failure,
                });
            }
        }
        self.listener.places.note(message, true);
        Ok(head.id)
    }

    async fn rename_thread(&self, thread: &str, title: &str) -> Result<(), Failure> {
        let title = cut(&title.replace(['\n', '\r'], " "), self.traits.thread_title);
        self.threads.change(number(thread)?, json!({ "name": title })).await
    }

    async fn close_thread(&self, thread: &str, closed: bool) -> Result<(), Failure> {
        self.threads.change(number(thread)?, json!({ "archived": closed })).await
    }

    async fn send(&self, place: &Place, message: &Message, nonce: &str) -> Result<Sent, Failure> {
        let (channel, about) = self.channel_of(place)?;
        let route = Route::CreateMessage { channel_id: channel };
        self.post(channel, about, nonce, || Request::builder(&route).json(&show::new(message, nonce)).build())
            .await
    }

    async fn edit(&self, place: &Place, id: &str, message: &Message) -> Result<(), Failure> {
        let (channel, about) = self.channel_of(place)?;
        let route = Route::UpdateMessage { channel_id: channel, message_id: number(id)? };
        let request = || Request::builder(&route).json(&show::changed(message)).build();
        self.reopening::<IgnoredAny>(channel, about, request).await.map(drop)
    }

    async fn send_file(&self, place: &Place, file: &FileOut, nonce: &str) -> Result<Sent, Failure> {
        let (channel, about) = self.channel_of(place)?;
        let about = if about == About::Thread { About::File } else { about };
        let (caption, _) = Doc::text(&file.caption).render_one(&Markdown);
        let route = Route::CreateMessage { channel_id: channel };
        let request = || Request::builder(&route).form(show::file(file, &caption.markup, nonce)).build();
        self.post(channel, about, nonce, request).await
    }

    async fn fetch(&self, file: &FileRef, limit: u64) -> Result<Bytes, Failure> {
        self.http().fetch(&file.handle, limit).await
    }

    async fn answer_press(&self, token: &str, text: &str) {
        if let Some(known) = self.known() {
            presses::tell(self.http(), known.application, token, text).await;
        }
    }

    async fn typing(&self, thread: &str) {
        let Ok(channel_id) = number(thread) else { return };
        let request = Request::builder(&Route::CreateTypingTrigger { channel_id }).build();
        if let Err(trouble) = self.http().call::<IgnoredAny>(request).await {
            tracing::debug!(?trouble, "Discord does not show that an agent writes");
        }
    }

    fn link(&self, thread: &str) -> Option<String> {
        let guild = self.known()?.us.guild;
        Some(format!("https://discord.com/channels/{guild}/{thread}"))
    }
}

#[cfg(test)]
mod tests;
