//! Slack: a thread of one channel a session, through the Web API, hearing by Socket Mode.
//!
//! The app needs Socket Mode with an app-level token (`connections:write`), interactivity, the bot's permissions
//! [`SCOPES`], and the events `message.channels` (`message.groups` for a private channel), `message.im` and
//! `reaction_added`.

mod api;
mod blocks;
mod catchup;
mod events;
mod failures;
mod files;
mod hear;
mod ledger;
pub mod markup;
mod socket;
#[cfg(test)]
mod tests;
mod text;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::{Value, json};
use tokio::time::Instant;

use self::api::Api;
use self::events::{Kept, Us};
use self::files::sent;
use self::ledger::Ledger;
use self::markup::Mrkdwn;
use super::markup::{Dialect, cut};
use super::platform::*;

/// Where Slack's Web API is.
pub const API: &str = "https://slack.com/api";

/// Permissions that the bot cannot do without, and what for; where there are two, the second is for private channels.
pub const SCOPES: [(&str, &str, &str); 5] = [
    ("chat:write", "chat:write", "to write"),
    ("channels:read", "groups:read", "to find its channel"),
    ("channels:history", "groups:history", "to see what stands there already"),
    ("files:read", "files:read", "to take files in"),
    ("files:write", "files:write", "to send files"),
];
/// How long the address of a connection is taken for good. Slack says that it lives "a few seconds to minutes".
const TICKET: Duration = Duration::from_secs(20);
/// So many names are remembered.
const NAMES: usize = 2_000;

/// What it takes to talk there.
#[derive(Clone, PartialEq, Eq)]
pub struct SlackSettings {
    /// Where the Web API is: `https://slack.com/api`.
    pub api_url: String,
    /// The bot's token (`xoxb-…`).
    pub bot_token: String,
    /// The app-level token (`xapp-…`) with `connections:write`.
    pub app_token: String,
    /// The channel's id (`C…` or `G…`).
    pub channel: String,
    /// A reaction that makes a session of a message, if there is one.
    pub shortcut: Option<Shortcut>,
}

/// A shortcut by Slack's name for the emoji (`white_check_mark`), which may be given itself, with or without colons.
fn named(shortcut: &Shortcut) -> Shortcut {
    let sign = shortcut.emoji.replace('\u{fe0f}', "");
    // What the events name is known of a few; others are given by their names.
    let name = match sign.trim() {
        "✅" => "white_check_mark",
        "✔" => "heavy_check_mark",
        "👍" => "+1",
        "🚀" => "rocket",
        "👀" => "eyes",
        other => other.trim_matches(':'),
    };
    Shortcut { emoji: name.to_owned(), any_message: shortcut.any_message }
}

impl std::fmt::Debug for SlackSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SlackSettings").field("channel", &self.channel).finish_non_exhaustive()
    }
}

impl SlackSettings {
    /// What is wrong with them, for people, as far as it can be seen without asking Slack.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let mut token = |name: &str, value: &str, prefix: &str, what: &str| {
            if !value.starts_with(prefix) {
                problems.push(format!("{name} is no {what}: those begin with {prefix}"));
            }
        };
        token("SLACK_BOT_TOKEN", &self.bot_token, "xoxb-", "bot token");
        token("SLACK_APP_TOKEN", &self.app_token, "xapp-", "app-level token");
        let is_id =
            self.channel.starts_with(['C', 'G']) && self.channel.chars().all(|c| c.is_ascii_alphanumeric());
        if !is_id {
            problems.push(
                "SLACK_CHANNEL_ID is no channel's id: those begin with C, and stand below in the channel's details"
                    .to_owned(),
            );
        }
        problems
    }
}

/// A bot in a channel. Clones are the same one.
#[derive(Clone, Debug)]
pub struct Slack {
    api: Api,
    channel: String,
    shortcut: Option<Shortcut>,
    traits: Traits,
    ledger: Arc<Ledger>,
    found: Arc<Mutex<Found>>,
}

/// What was learnt from Slack.
#[derive(Debug, Default)]
struct Found {
    user: String,
    bot: String,
    /// The workspace's address, with a slash at its end.
    team: String,
    /// An address for a connection, and when it was given.
    address: Option<(String, Instant)>,
    names: HashMap<String, String>,
}

impl Slack {
    /// Nothing is connected yet.
    ///
    /// # Errors
    /// No client can be made.
    pub fn new(settings: &SlackSettings) -> Result<Self, Failure> {
        Ok(Self {
            api: Api::new(&settings.api_url, &settings.bot_token, &settings.app_token)?,
            channel: settings.channel.clone(),
            shortcut: settings.shortcut.as_ref().map(named),
            traits: Traits {
                name: "slack",
                title: "Slack",
                prefix: '!',
                words: Words::Form,
                label: blocks::LABEL,
                row: 5,
                thread_title: 150,
                edit_gap: Duration::from_millis(1_500),
                typing_every: None,
                // "One message per second per channel", short bursts allowed; `chat.update` is of tier 3: 50 a minute.
                messages: Rate { count: 10, per: Duration::from_secs(10) },
                edits: Some(Rate { count: 50, per: Duration::from_secs(60) }),
                file_out: 64 << 20,
                file_in: 25 << 20,
                toasts: true,
            },
            ledger: Arc::default(),
            found: Arc::default(),
        })
    }

    fn found(&self) -> MutexGuard<'_, Found> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn us(&self) -> Us {
        let found = self.found();
        Us {
            user: found.user.clone(),
            bot: found.bot.clone(),
            channel: self.channel.clone(),
            shortcut: self.shortcut.clone(),
        }
    }

    /// The channel, and the thread in it.
    fn address(&self, place: &Place) -> Result<(String, Option<String>), Failure> {
        match place {
            Place::Thread(id) => Ok((self.channel.clone(), Some(id.clone()))),
            Place::Home => Ok((self.channel.clone(), None)),
            Place::Direct(id) => Ok((id.clone(), None)),
            Place::Elsewhere => Err(Failure::Refused("nothing is sent there".to_owned())),
        }
    }

    /// Whether a message is the bot's.
    fn is_own(&self, message: &Value) -> bool {
        let found = self.found();
        let is = |field: &str, own: &str| {
            !own.is_empty() && message.get(field).and_then(Value::as_str) == Some(own)
        };
        is("user", &found.user) || is("bot_id", &found.bot)
    }

    fn take_address(&self) -> Option<String> {
        let (address, given) = self.found().address.take()?;
        (given.elapsed() < TICKET).then_some(address)
    }

    fn name_of(&self, id: &str) -> Option<String> {
        self.found().names.get(id).cloned()
    }

    fn note_name(&self, id: &str, name: &str) {
        let mut found = self.found();
        if found.names.len() >= NAMES {
            found.names.clear();
        }
        found.names.insert(id.to_owned(), name.to_owned());
    }

    /// Whether the bot is in its channel; the channel's name, and whether it is private.
    async fn look_at_channel(&self) -> Result<(String, bool), Failure> {
        let info = self.api.get("conversations.info", &[("channel", &self.channel)]).await?;
        let is =
            |field: &str| info.pointer(&format!("/channel/{field}")).and_then(Value::as_bool) == Some(true);
        let name = info.pointer("/channel/name").and_then(Value::as_str).unwrap_or_default();
        if is("is_archived") {
            return Err(failures::of("conversations.info", &json!({ "error": "is_archived" })));
        }
        if !is("is_member") {
            return Err(failures::of("conversations.info", &json!({ "error": "not_in_channel" })));
        }
        Ok((name.to_owned(), is("is_private") || is("is_group")))
    }

    async fn post(&self, place: &Place, body: &Value) -> Result<Sent, Failure> {
        let answer = self.api.post("chat.postMessage", body).await?;
        let ts = answer.get("ts").and_then(Value::as_str).unwrap_or_default();
        if ts.is_empty() {
            return Err(Failure::Unsure("Slack did not say which message it made".to_owned()));
        }
        // With its head deleted, a thread takes messages no more, and Slack puts them into the channel.
        let thread = answer.pointer("/message/thread_ts").and_then(Value::as_str);
        if let (Place::Thread(id), Some(_)) = (place, answer.get("message"))
            && thread != Some(id)
        {
            let stray = json!({ "channel": self.channel, "ts": ts });
            if let Err(failure) = self.api.post("chat.delete", &stray).await {
                tracing::debug!(%failure, "a message beside its thread stays");
            }
            self.ledger.note_gone(id.clone());
            return Err(Failure::ThreadGone);
        }
        Ok(sent(ts.to_owned()))
    }

    /// The head of a thread, and how it looks.
    async fn put_head(&self, thread: &str, title: &str, closed: bool, nonce: &str) -> Result<(), Failure> {
        let mut body = blocks::message(&head(title, closed));
        body.insert("channel".to_owned(), self.channel.as_str().into());
        body.insert("ts".to_owned(), thread.into());
        body.insert("metadata".to_owned(), ledger::metadata(nonce, Some(title)));
        match self.api.post("chat.update", &body.into()).await {
            Ok(_) => Ok(()),
            Err(Failure::MessageGone) => Err(Failure::ThreadGone),
            Err(failure) => Err(failure),
        }
    }

    /// What the head of a thread keeps: its title and its nonce.
    async fn head_of(&self, thread: &str) -> Result<(Option<String>, String), Failure> {
        let arguments = [
            ("channel", self.channel.as_str()),
            ("ts", thread),
            ("limit", "1"),
            ("include_all_metadata", "true"),
        ];
        let answer = self.api.get("conversations.replies", &arguments).await?;
        let Some(message) = answer.pointer("/messages/0") else { return Err(Failure::ThreadGone) };
        let kept = |field: &str| ledger::kept(message, field).map(str::to_owned);
        Ok((kept("title"), kept("nonce").unwrap_or_default()))
    }

    /// Says something that only the one sees who pressed a button.
    async fn whisper(&self, to: &Kept, text: &str) {
        let mut words = String::new();
        markup::escape(&mut words, &cut(text, 2_000), true);
        let mut body = json!({ "channel": to.channel, "user": to.user, "text": words });
        if let (Some(body), Some(thread)) = (body.as_object_mut(), &to.thread) {
            body.insert("thread_ts".to_owned(), thread.as_str().into());
        }
        if let Err(failure) = self.api.post("chat.postEphemeral", &body).await {
            tracing::debug!(%failure, "who pressed a button on Slack was not told");
        }
    }
}

/// The head of a thread as a message.
fn head(title: &str, closed: bool) -> Message {
    let mut text = Rendered::default();
    let (mark, behind) = if closed { ("⏹", " (ended)") } else { ("🧵", "") };
    let run = super::markup::bold(title);
    text.markup.push_str(mark);
    text.markup.push(' ');
    Mrkdwn.run(&mut text.markup, &run, Some(' '), None);
    text.markup.push_str(behind);
    text.plain = format!("{mark} {title}{behind}");
    Message { text, ..Message::default() }
}

#[async_trait]
impl Platform for Slack {
    fn traits(&self) -> &Traits {
        &self.traits
    }

    fn dialect(&self) -> &dyn Dialect {
        &Mrkdwn
    }

    async fn connect(&self) -> Result<String, Failure> {
        let me = self.api.whoami().await?;
        let text = |field: &str| me.value.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
        {
            let mut found = self.found();
            (found.user, found.bot) = (text("user_id"), text("bot_id"));
            found.team = match text("url") {
                url if url.is_empty() || url.ends_with('/') => url,
                url => format!("{url}/"),
            };
        }
        if text("bot_id").is_empty() {
            return Err(Failure::Broken(
                "SLACK_BOT_TOKEN is a person's token: take the bot's one (xoxb-…) from the app's page"
                    .to_owned(),
            ));
        }
        let channel = self.look_at_channel().await;
        // Of a channel that cannot be looked at it is not known whether it is private.
        let private = channel.as_ref().is_ok_and(|(_, private)| *private);
        if let (Some(scopes), Ok(_)) = (&me.scopes, &channel) {
            let has = |scope: &str| scopes.iter().any(|has| has == scope);
            let missing: Vec<String> = SCOPES
                .iter()
                .map(|(public, hidden, why)| (if private { hidden } else { public }, why))
                .filter(|(scope, _)| !has(scope))
                .map(|(scope, why)| format!("{scope} ({why})"))
                .collect();
            if !missing.is_empty() {
                return Err(failures::missing_scope(&missing.join(", "), "auth.test"));
            }
        }
        let (name, _) = channel?;
        let address = self.api.socket_address().await?;
        self.found().address = Some((address, Instant::now()));
        Ok(format!("@{} in #{name} of {}", text("user"), text("team")))
    }

    async fn receive(&self, position: Option<String>, inbox: Inbox) -> Failure {
        self.hear(position, inbox).await
    }

    async fn open_thread(&self, title: &str, nonce: &str) -> Result<String, Failure> {
        if let Some(id) = self.earlier(&Place::Home, nonce, None).await? {
            return Ok(id);
        }
        let mut body = blocks::message(&head(title, false));
        body.insert("channel".to_owned(), self.channel.as_str().into());
        body.insert("metadata".to_owned(), ledger::metadata(nonce, Some(title)));
        let result = self.post(&Place::Home, &body.into()).await;
        self.ledger.settle(&Place::Home, nonce, &result, |sent| sent.id.clone());
        if let Ok(sent) = &result {
            self.ledger.note_begun(&sent.id);
        }
        result.map(|sent| sent.id)
    }

    async fn rename_thread(&self, thread: &str, title: &str) -> Result<(), Failure> {
        let (_, nonce) = self.head_of(thread).await?;
        self.put_head(thread, title, false, &nonce).await
    }

    async fn close_thread(&self, thread: &str, closed: bool) -> Result<(), Failure> {
        let (title, nonce) = self.head_of(thread).await?;
        self.put_head(thread, title.as_deref().unwrap_or("Session"), closed, &nonce).await
    }

    async fn send(&self, place: &Place, message: &Message, nonce: &str) -> Result<Sent, Failure> {
        let (channel, thread) = self.address(place)?;
        if let Some(id) = self.earlier(place, nonce, None).await? {
            return Ok(sent(id));
        }
        let mut body = blocks::message(message);
        body.insert("channel".to_owned(), channel.into());
        if let Some(thread) = thread {
            body.insert("thread_ts".to_owned(), thread.into());
        }
        body.insert("metadata".to_owned(), ledger::metadata(nonce, None));
        body.insert("unfurl_links".to_owned(), false.into());
        body.insert("unfurl_media".to_owned(), false.into());
        let result = self.post(place, &body.into()).await;
        self.ledger.settle(place, nonce, &result, |sent| sent.id.clone());
        result
    }

    async fn edit(&self, place: &Place, id: &str, message: &Message) -> Result<(), Failure> {
        let (channel, _) = self.address(place)?;
        let mut body = blocks::message(message);
        body.insert("channel".to_owned(), channel.into());
        body.insert("ts".to_owned(), id.into());
        self.api.post("chat.update", &body.into()).await.map(drop)
    }

    async fn send_file(&self, place: &Place, file: &FileOut, nonce: &str) -> Result<Sent, Failure> {
        self.upload(place, file, nonce).await
    }

    async fn fetch(&self, file: &FileRef, limit: u64) -> Result<Bytes, Failure> {
        self.download(file, limit).await
    }

    async fn answer_press(&self, token: &str, text: &str) {
        if let Ok(to) = serde_json::from_str::<Kept>(token)
            && !text.is_empty()
        {
            self.whisper(&to, text).await;
        }
    }

    async fn typing(&self, _: &str) {
        // A bot cannot show that on Slack.
    }

    fn link(&self, thread: &str) -> Option<String> {
        let team = self.found().team.clone();
        let number: String = thread.chars().filter(char::is_ascii_digit).collect();
        (!team.is_empty()).then(|| format!("{team}archives/{}/p{number}", self.channel))
    }
}
