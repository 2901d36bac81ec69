//! Discord's gateway (v10, `https://discord.com/developers/docs/events/gateway`). A connection is twilight's; when it
//! ends, the next one is made here, with the session to go on with, so that it is known where every event was and no
//! address is reached that the settings do not name.

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use twilight_gateway::error::ReceiveMessageError;
use twilight_gateway::queue::InMemoryQueue;
use twilight_gateway::{ConfigBuilder, Intents, Message, Session, Shard, ShardId, ShardState};

use super::presses::Heard;
use super::wire::{Channel, Dispatch, Envelope, Interaction, Message as Written, Reaction, Ready};
use super::words;
use crate::bridge::pace::backoff;
use crate::bridge::platform::Failure;

/// Discord's own gateway.
pub const GATEWAY: &str = "wss://gateway.discord.gg";
/// Without these nothing of what people do is told.
const INTENTS: Intents = Intents::GUILDS
    .union(Intents::GUILD_MESSAGES)
    .union(Intents::GUILD_MESSAGE_REACTIONS)
    .union(Intents::DIRECT_MESSAGES)
    .union(Intents::MESSAGE_CONTENT);
/// How long a new connection may take until it tells events.
const BEGINS: Duration = Duration::from_secs(40);
/// So many failures in a row, and it is told.
const TRIES: u32 = 4;
/// A connection that lived so long was a good one.
const GOOD: Duration = Duration::from_secs(30);
/// So many events may wait for being dealt with.
pub const WAITING: usize = 4_096;

/// Where to go on hearing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// The session, and the last event of it.
    #[serde(default)]
    pub session: Option<Session>,
    /// Where it is gone on with.
    #[serde(default)]
    pub resume: Option<String>,
    /// The newest thing that was dealt with, by its id.
    #[serde(default)]
    pub last: u64,
}

impl Position {
    /// Of what was kept; what cannot be read is none.
    pub fn read(text: &str) -> Self {
        serde_json::from_str(text).unwrap_or_default()
    }

    /// To be kept.
    pub fn write(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// What the gateway tells.
#[derive(Debug)]
pub enum Event {
    /// A session began: what was said before it is not told.
    Began(Ready),
    /// A session goes on.
    WentOn,
    /// A thread is there.
    Thread(Channel),
    /// Somebody wrote.
    Wrote(Box<Written>),
    /// Somebody reacted.
    Reacted(Box<Reaction>),
    /// Somebody pressed something, or gave a command.
    Did(Box<Interaction>),
}

/// An event, and where hearing goes on behind it.
#[derive(Debug)]
pub struct Told {
    /// What.
    pub event: Event,
    /// The session, as it is then.
    pub session: Option<Session>,
    /// Where it is gone on with.
    pub resume: Option<String>,
    /// What somebody did who waits for an answer.
    pub heard: Option<Heard>,
}

/// The gateway to hear from.
#[derive(Clone, Debug)]
pub struct Gateway {
    base: String,
    token: String,
}

/// Why a connection ended.
enum Ended {
    /// For good.
    Broken(Failure),
    /// Try again.
    Lost(String),
    /// There is no more room for events.
    Full,
}

impl Gateway {
    /// At this address.
    pub fn new(base: &str, token: &str) -> Result<Self, Failure> {
        let base = base.trim_end_matches('/').to_owned();
        match address(&base) {
            Some(base) => Ok(Self { base, token: format!("Bot {}", token.trim_start_matches("Bot ")) }),
            None => {
                Err(Failure::Broken("DISCORD_GATEWAY_URL is no address of a WebSocket (wss://…)".to_owned()))
            }
        }
    }

    /// Hears until that cannot go on. `prepare` is called at once for every event.
    pub async fn hear(
        &self,
        from: Position,
        out: mpsc::Sender<Told>,
        prepare: impl Fn(&mut Told) + Send + Sync,
    ) -> Failure {
        let queue = InMemoryQueue::default();
        let (mut session, mut resume, mut failures) = (from.session, from.resume, 0);
        loop {
            let begun = Instant::now();
            let mut shard = self.shard(&queue, session.clone(), resume.as_deref());
            let ended = listen(&mut shard, &out, &prepare).await;
            session = shard.session().cloned();
            resume = shard.resume_url().map(str::to_owned).or(resume.take());
            if begun.elapsed() > GOOD {
                failures = 0;
            }
            failures += 1;
            match ended {
                Ended::Broken(failure) => return failure,
                Ended::Full => {
                    return Failure::Unsure("more is written in Discord than can be dealt with".to_owned());
                }
                Ended::Lost(why) if failures > TRIES => return Failure::Unsure(why),
                Ended::Lost(why) => {
                    tracing::info!(why, "the connection to Discord's gateway ended, making a new one")
                }
            }
            // Their own address may be what does not work.
            if failures > 1 {
                resume = None;
            }
            tokio::time::sleep(if failures == 1 { Duration::from_millis(200) } else { backoff(failures) })
                .await;
        }
    }

    fn shard(&self, queue: &InMemoryQueue, session: Option<Session>, resume: Option<&str>) -> Shard {
        let mut config =
            ConfigBuilder::new(self.token.clone(), INTENTS).proxy_url(self.base.clone()).queue(queue.clone());
        if let Some(session) = session {
            config = config.session(session);
            // A proxy, or a server of one's own, stays in between.
            let theirs =
                resume.and_then(address).filter(|_| self.base == GATEWAY).filter(|url| is_discords(url));
            config = config.resume_url(theirs.unwrap_or_else(|| self.base.clone()));
        }
        Shard::with_config(ShardId::ONE, config.build())
    }
}

/// An address of a WebSocket, written in the plain way that the client needs.
fn address(text: &str) -> Option<String> {
    let url: reqwest::Url = text.parse().ok()?;
    let fits = matches!(url.scheme(), "ws" | "wss") && url.has_host() && url.query().is_none();
    fits.then(|| url.as_str().trim_end_matches('/').to_owned())
}

fn is_discords(address: &str) -> bool {
    let url: Option<reqwest::Url> = address.parse().ok();
    url.is_some_and(|url| {
        url.scheme() == "wss" && url.host_str().is_some_and(|host| host.ends_with(".discord.gg"))
    })
}

async fn listen(shard: &mut Shard, out: &mpsc::Sender<Told>, prepare: &(impl Fn(&mut Told) + Sync)) -> Ended {
    let mut begun = false;
    let mut why = "the connection to Discord's gateway broke".to_owned();
    loop {
        let next = if begun {
            shard.next().await
        } else {
            match tokio::time::timeout(BEGINS, shard.next()).await {
                Ok(next) => next,
                Err(_) => return Ended::Lost("Discord's gateway does not begin to talk".to_owned()),
            }
        };
        match next {
            None => return Ended::Lost(why),
            Some(Err(error)) => why = words_of(&error),
            Some(Ok(Message::Close(frame))) => {
                let code = frame.as_ref().map_or(1006, |frame| frame.code);
                if let Some(failure) = words::closed(code) {
                    return Ended::Broken(failure);
                }
                why = format!("Discord's gateway ended the connection ({code})");
            }
            Some(Ok(Message::Text(text))) => {
                if let Some(event) = event(&text) {
                    begun |= matches!(event, Event::Began(_) | Event::WentOn);
                    let (session, resume) = (shard.session().cloned(), shard.resume_url().map(str::to_owned));
                    let mut told = Told { event, session, resume, heard: None };
                    prepare(&mut told);
                    if out.try_send(told).is_err() {
                        return Ended::Full;
                    }
                }
            }
        }
        if matches!(shard.state(), ShardState::Disconnected { .. } | ShardState::FatallyClosed) {
            return Ended::Lost(why);
        }
    }
}

fn words_of(error: &ReceiveMessageError) -> String {
    let source = std::error::Error::source(error).map(|source| format!(": {source}")).unwrap_or_default();
    format!("Discord's gateway is not reached{source}")
}

/// What is in a frame, if it is of use. One that cannot be read is passed over, alone.
fn event(text: &str) -> Option<Event> {
    let envelope: Envelope = serde_json::from_str(text).ok()?;
    let kind = envelope.t.filter(|_| envelope.op == 0)?;
    match kind.as_str() {
        "READY" => inside(text).map(Event::Began),
        "RESUMED" => Some(Event::WentOn),
        "THREAD_CREATE" => inside(text).map(Event::Thread),
        "MESSAGE_CREATE" => inside(text).map(Box::new).map(Event::Wrote),
        "MESSAGE_REACTION_ADD" => inside(text).map(Box::new).map(Event::Reacted),
        "INTERACTION_CREATE" => inside(text).map(Box::new).map(Event::Did),
        _ => None,
    }
}

fn inside<T: DeserializeOwned>(text: &str) -> Option<T> {
    match serde_json::from_str::<Dispatch<T>>(text) {
        Ok(dispatch) => Some(dispatch.d),
        Err(error) => {
            tracing::warn!(%error, "an event of Discord cannot be read and is passed over");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_discords_own_addresses_are_gone_on_at() {
        assert!(is_discords("wss://gateway-us-east1-b.discord.gg"));
        for other in
            ["ws://gateway.discord.gg", "wss://discord.gg.evil.example", "wss://evil.example/.discord.gg"]
        {
            assert!(!is_discords(other), "{other}");
        }
        for wrong in ["https://gateway.discord.gg", "gateway", "wss://", "ws://a/?x=1"] {
            assert!(Gateway::new(wrong, "t").is_err(), "{wrong}");
        }
        assert_eq!(
            Gateway::new("ws://127.0.0.1:1/gateway/", "Bot t").unwrap().base,
            "ws://127.0.0.1:1/gateway"
        );
    }

    #[test]
    fn an_event_that_cannot_be_read_is_passed_over_alone() {
        let wrote = r#"{"op":0,"s":3,"t":"MESSAGE_CREATE","d":{"id":"5","channel_id":"6","new_field":{},"type":0,
            "author":{"id":"7","username":"ann","colour":1},"content":"hi"}}"#;
        assert!(
            matches!(event(wrote), Some(Event::Wrote(message)) if message.content == "hi" && message.id == 5)
        );
        for other in
            ["{", "{}", r#"{"op":0,"t":"MESSAGE_CREATE","d":{"id":5}}"#, r#"{"op":0,"t":"NEW_THING","d":1}"#]
        {
            assert!(event(other).is_none(), "{other}");
        }
    }

    #[test]
    fn a_position_is_read_as_it_was_written_and_anything_else_is_none() {
        let position = Position {
            session: Some(Session::new(7, "s".to_owned())),
            resume: Some("wss://x".to_owned()),
            last: 9,
        };
        assert_eq!(Position::read(&position.write()), position);
        assert_eq!(Position::read("12345"), Position::default());
        assert_eq!(Position::read(""), Position::default());
    }
}
