//! Hearing: the connection of Socket Mode and its successor, what was missed, and the way into the inbox.
//!
//! Everything is acknowledged when it comes and queued; what was acknowledged and never dealt with is read from the
//! channel's history at the next start.

use std::future::{Future, pending};
use std::pin::Pin;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::time::Instant;

use super::Slack;
use super::blocks;
use super::catchup::is_later;
use super::events::{self, Heard, Kept, Us};
use super::failures::is_final;
use super::files::now;
use super::socket::{Frame, Socket, refused};
use crate::bridge::platform::{Failure, Inbox, Incoming, Person, Place, What};
use crate::domain::time::Stamp;

/// So much may wait to be dealt with.
const QUEUE: usize = 1_000;
/// How long the old connection is listened to after the new one stands.
const FAREWELL: Duration = Duration::from_secs(10);
/// How often a new connection is tried while the old one lives, and the pause between.
const TRIES: u32 = 4;
const PAUSE: Duration = Duration::from_secs(2);

type Pending<T> = Option<Pin<Box<dyn Future<Output = T> + Send>>>;

/// What happened on the wire.
enum Step {
    Current(Result<Frame, Failure>),
    Old(Result<Frame, Failure>),
    Opened(Result<Socket, Failure>),
    Missed(Result<Vec<Heard>, Failure>),
    Farewell,
}

/// Waits for a future that may not be there; it is gone when it is done.
async fn ready<T>(slot: &mut Pending<T>) -> T {
    match slot {
        Some(future) => {
            let done = future.await;
            *slot = None;
            done
        }
        None => pending().await,
    }
}

async fn next(socket: &mut Option<Socket>) -> Result<Frame, Failure> {
    match socket {
        Some(socket) => socket.next().await,
        None => pending().await,
    }
}

async fn farewell(old: bool, at: Instant) {
    match old {
        true => tokio::time::sleep_until(at).await,
        false => pending().await,
    }
}

impl Slack {
    /// Hears until that fails.
    pub(super) async fn hear(&self, position: Option<String>, inbox: Inbox) -> Failure {
        let (queue, waiting) = mpsc::channel(QUEUE);
        let us = self.us();
        let listening = self.listen(position.clone(), &us, queue);
        let handing = self.hand_over(position, &us, waiting, inbox);
        tokio::pin!(listening, handing);
        tokio::select! {
            failure = &mut listening => {
                // What was acknowledged already is still dealt with.
                handing.await;
                failure
            }
            () = &mut handing => Failure::Unsure("nobody listens any more".to_owned()),
        }
    }

    async fn listen(&self, position: Option<String>, us: &Us, queue: mpsc::Sender<Heard>) -> Failure {
        let first = match self.first_socket().await {
            Ok(socket) => socket,
            Err(failure) => return failure,
        };
        if first.connections > 1 {
            // Slack gives every event to one of them only, so each would hear half of what is said.
            return Failure::Broken(format!(
                "{} other programs are connected to Slack with the same SLACK_APP_TOKEN: end them, or give each its own app",
                first.connections - 1
            ));
        }
        let (mut current, mut old) = (Some(first), None);
        let mut farewell_at = Instant::now();
        let mut opening: Pending<Result<Socket, Failure>> = None;
        let mut missed: Pending<Result<Vec<Heard>, Failure>> = None;
        match position {
            Some(position) => missed = Some(Box::pin(self.clone().catch_up(position, us.clone()))),
            None => {
                if let Err(failure) = put(&queue, Heard::Begun) {
                    return failure;
                }
            }
        }
        // What comes while it is read what was missed, in its order.
        let mut held = Vec::new();
        loop {
            let leaving = old.is_some();
            let step = tokio::select! {
                frame = next(&mut current) => Step::Current(frame),
                frame = next(&mut old) => Step::Old(frame),
                opened = ready(&mut opening) => Step::Opened(opened),
                found = ready(&mut missed) => Step::Missed(found),
                () = farewell(leaving, farewell_at) => Step::Farewell,
            };
            let (frame, is_old) = match step {
                Step::Current(Ok(frame)) => (frame, false),
                Step::Old(Ok(frame)) => (frame, true),
                // The new one is on its way.
                Step::Current(Err(_)) if opening.is_some() => {
                    current = None;
                    continue;
                }
                Step::Current(Err(failure)) => return failure,
                Step::Old(Err(_)) | Step::Farewell => {
                    old = None;
                    continue;
                }
                Step::Opened(Ok(socket)) => {
                    old = current.replace(socket);
                    farewell_at = Instant::now() + FAREWELL;
                    continue;
                }
                Step::Opened(Err(failure)) => return failure,
                Step::Missed(Ok(found)) => {
                    for heard in found.into_iter().chain(held.drain(..)) {
                        if let Err(failure) = put(&queue, heard) {
                            return failure;
                        }
                    }
                    continue;
                }
                Step::Missed(Err(failure)) => return failure,
            };
            match frame {
                Frame::Envelope { id, envelope } => {
                    let socket = if is_old { &mut old } else { &mut current };
                    if let Some(socket) = socket
                        && let Err(failure) = socket.acknowledge(&id).await
                    {
                        // Slack tells it again.
                        if is_old {
                            old = None;
                            continue;
                        }
                        return failure;
                    }
                    match events::envelope(&envelope, us) {
                        None => {}
                        Some(Heard::Gone(message)) => self.ledger.note_gone(message),
                        Some(Heard::Asks { trigger, label, kept }) => self.open_form(trigger, label, kept),
                        Some(heard) if missed.is_some() && held.len() < QUEUE => held.push(heard),
                        Some(heard) => {
                            if let Err(failure) = put(&queue, heard) {
                                return failure;
                            }
                        }
                    }
                }
                Frame::Disconnect(reason)
                    if matches!(reason.as_str(), "link_disabled" | "too_many_websockets") =>
                {
                    return refused(&reason);
                }
                Frame::Disconnect(_) if is_old => old = None,
                // It is left only when the next one stands, so nothing is missed in between.
                Frame::Disconnect(_) if opening.is_none() => {
                    opening = Some(Box::pin(self.clone().next_socket()));
                }
                Frame::Disconnect(_) | Frame::Other => {}
            }
        }
    }

    async fn first_socket(&self) -> Result<Socket, Failure> {
        let address = match self.take_address() {
            Some(address) => address,
            None => self.api.socket_address().await?,
        };
        Socket::open(&address).await
    }

    async fn next_socket(self) -> Result<Socket, Failure> {
        let mut tries = 0;
        loop {
            let opened = match self.api.socket_address().await {
                Ok(address) => Socket::open(&address).await,
                Err(failure) => Err(failure),
            };
            tries += 1;
            match opened {
                Err(failure) if tries < TRIES && !is_final(&failure) => {
                    let asked = if let Failure::Slow { after, .. } = failure { after } else { None };
                    tokio::time::sleep(asked.unwrap_or(PAUSE)).await;
                }
                opened => return opened,
            }
        }
    }

    async fn catch_up(self, position: String, us: Us) -> Result<Vec<Heard>, Failure> {
        match self.missed(position, us).await {
            Err(failure) if is_final(&failure) => {
                tracing::warn!(%failure, "what was written on Slack meanwhile cannot be read");
                Ok(Vec::new())
            }
            found => found,
        }
    }

    /// Opens the form for the words that a button wants: what allows it is good for three seconds.
    fn open_form(&self, trigger: String, label: String, kept: Kept) {
        let slack = self.clone();
        tokio::spawn(async move {
            let Ok(metadata) = serde_json::to_string(&kept) else { return };
            let body = json!({ "trigger_id": trigger, "view": blocks::form(&label, &metadata) });
            if let Err(failure) = slack.api.post("views.open", &body).await {
                tracing::warn!(%failure, "a form could not be opened on Slack");
                slack.whisper(&kept, "The form could not be opened: press the button again.").await;
            }
        });
    }

    /// Puts what was heard into the inbox, until there is no more, or nobody listens.
    async fn hand_over(
        &self,
        position: Option<String>,
        us: &Us,
        mut waiting: mpsc::Receiver<Heard>,
        inbox: Inbox,
    ) {
        let mut position = position.unwrap_or_else(now);
        while let Some(heard) = waiting.recv().await {
            let Some(mut incoming) = self.incoming(heard, us).await else { continue };
            if let Some(ts) = incoming.position.take().filter(|ts| is_later(ts, &position)) {
                position = ts;
            }
            incoming.position = Some(position.clone());
            if !inbox.put(incoming).await {
                return;
            }
        }
    }

    /// As the common code wants it; its position is that of the message, if it is one.
    async fn incoming(&self, heard: Heard, us: &Us) -> Option<Incoming> {
        match heard {
            Heard::Said { ts, place, user, text, files } => Some(Incoming {
                // The same in the events and in the history.
                id: format!("{}/{ts}", us.channel),
                position: Some(ts.clone()).filter(|_| !matches!(place, Place::Direct(_))),
                person: self.person(user).await,
                place,
                at: events::stamp(&ts)?,
                what: What::Text { message: ts, text, reply_to: None, files },
            }),
            Heard::Pressed { id, at, user, place, press } => Some(Incoming {
                id,
                position: None,
                person: self.person(user).await,
                place,
                at,
                what: What::Press(press),
            }),
            Heard::Reacted { user, message } => {
                let line = self.reacted_to(&message, us).await?;
                Some(Incoming {
                    id: format!("reaction/{message}"),
                    position: None,
                    person: self.person(user).await,
                    place: Place::Home,
                    at: Stamp::now(),
                    what: What::Command { line, token: None },
                })
            }
            Heard::Begun => Some(Incoming {
                id: "begun".to_owned(),
                position: None,
                person: Person { id: String::new(), name: String::new() },
                place: Place::Elsewhere,
                at: Stamp::now(),
                what: What::Nothing,
            }),
            Heard::Asks { .. } | Heard::Gone(_) => None,
        }
    }

    /// The command in a message of the channel that somebody put our emoji on.
    async fn reacted_to(&self, message: &str, us: &Us) -> Option<String> {
        let arguments =
            [("channel", us.channel.as_str()), ("latest", message), ("inclusive", "true"), ("limit", "1")];
        let answer = match self.api.get("conversations.history", &arguments).await {
            Ok(answer) => answer,
            Err(failure) => {
                tracing::warn!(%failure, "a message with a reaction cannot be read on Slack");
                return None;
            }
        };
        let found = answer.pointer("/messages/0")?;
        (found.get("ts").and_then(Value::as_str) == Some(message)).then_some(())?;
        // Without the reaction it would be heard as it is.
        let plainly = Us { shortcut: None, ..us.clone() };
        let Heard::Said { text, .. } = events::message(found, &us.channel, &plainly)? else { return None };
        let any_message = us.shortcut.as_ref().is_some_and(|shortcut| shortcut.any_message);
        match events::new_with_prompt(&text) {
            Some(line) => Some(line.to_owned()),
            None => {
                (any_message && !text.is_empty() && !text.starts_with('!')).then(|| format!("new .\n{text}"))
            }
        }
    }

    /// Who somebody is. Asked once; without an answer they are called by their id.
    async fn person(&self, id: String) -> Person {
        if let Some(name) = self.name_of(&id) {
            return Person { id, name };
        }
        let answer = self.api.get("users.info", &[("user", &id)]).await;
        let name = match &answer {
            Ok(answer) => ["/user/profile/display_name", "/user/real_name", "/user/name"]
                .iter()
                .filter_map(|path| answer.pointer(path)?.as_str())
                .find(|name| !name.trim().is_empty()),
            Err(_) => None,
        };
        let name = name.unwrap_or(&id).to_owned();
        // A name that could not be had just now is asked for again.
        if answer.as_ref().err().is_none_or(is_final) {
            self.note_name(&id, &name);
        }
        Person { id, name }
    }
}

fn put(queue: &mpsc::Sender<Heard>, heard: Heard) -> Result<(), Failure> {
    queue.try_send(heard).map_err(|error| match error {
        TrySendError::Full(_) => Failure::Unsure("more comes from Slack than can be dealt with".to_owned()),
        TrySendError::Closed(_) => Failure::Unsure("nobody listens any more".to_owned()),
    })
}
