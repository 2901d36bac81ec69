//! What is known to stand on Slack already, so that nothing is said twice.
//!
//! `chat.postMessage` has no nonce of its own. Each message of ours carries ours in its metadata
//! (`https://docs.slack.dev/messaging/message-metadata`), and a place is read before the first message that is sent
//! there in this life, and before each one whose last try may or may not have reached it. A file carries no metadata:
//! it stands there already when our last message is a file of the same name and size.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};

use super::Slack;
use super::failures::is_final;
use crate::bridge::platform::{Failure, Place};

/// What our metadata is called.
const EVENT: &str = "tether_message";
/// Messages of a page. Slack takes less than 1000.
const PAGE: &str = "500";
/// Pages that are read of a thread, from its head on, and of a channel, from its end back.
const THREAD_PAGES: usize = 20;
const CHANNEL_PAGES: usize = 2;
/// So many deleted messages are remembered.
const GONE: usize = 500;

/// What is known of a place.
#[derive(Debug, Default)]
struct Known {
    /// It was read in this life.
    read: bool,
    /// Our messages, by their nonces.
    messages: HashMap<String, String>,
    /// Our last message, if it is a file: its name, its size, the message.
    last_file: Option<(String, u64, String)>,
}

/// What is known of all places.
#[derive(Debug, Default)]
pub struct Ledger(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    places: HashMap<Place, Known>,
    /// Nonces that were tried, with an outcome that is not known.
    tried: HashSet<String>,
    gone: VecDeque<String>,
}

/// Our metadata for a message.
pub fn metadata(nonce: &str, title: Option<&str>) -> Value {
    let mut payload = json!({ "nonce": nonce });
    if let (Some(title), Some(payload)) = (title, payload.as_object_mut()) {
        payload.insert("title".to_owned(), title.into());
    }
    json!({ "event_type": EVENT, "event_payload": payload })
}

/// A field of our metadata on a message.
pub fn kept<'a>(message: &'a Value, field: &str) -> Option<&'a str> {
    let metadata = message.get("metadata")?;
    (metadata.get("event_type")?.as_str()? == EVENT).then_some(())?;
    metadata.get("event_payload")?.get(field)?.as_str()
}

impl Ledger {
    fn with<T>(&self, work: impl FnOnce(&mut Inner) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Somebody deleted a message.
    pub fn note_gone(&self, message: String) {
        self.with(|inner| {
            inner.gone.push_back(message);
            while inner.gone.len() > GONE {
                inner.gone.pop_front();
            }
        });
    }

    /// A thread was begun: nothing stands there that would have to be read first.
    pub fn note_begun(&self, thread: &str) {
        let known = Known { read: true, ..Known::default() };
        self.with(|inner| inner.places.insert(Place::Thread(thread.to_owned()), known));
    }

    /// Fails if the thread is known to be gone.
    pub fn check(&self, place: &Place) -> Result<(), Failure> {
        match place {
            Place::Thread(id) if self.with(|inner| inner.gone.contains(id)) => Err(Failure::ThreadGone),
            _ => Ok(()),
        }
    }

    /// What is to be sent was sent, was not, or may have been.
    pub fn settle<T>(
        &self,
        place: &Place,
        nonce: &str,
        result: &Result<T, Failure>,
        id: impl Fn(&T) -> String,
    ) {
        self.with(|inner| match result {
            Err(Failure::Unsure(_)) => {}
            Err(_) => {
                inner.tried.remove(nonce);
            }
            Ok(sent) => {
                inner.tried.remove(nonce);
                if let Some(known) = inner.places.get_mut(place) {
                    known.messages.insert(nonce.to_owned(), id(sent));
                    known.last_file = None;
                }
            }
        });
    }
}

impl Slack {
    /// The message that an earlier try left in a place. `file` = the name and the size of the file that it is.
    pub(super) async fn earlier(
        &self,
        place: &Place,
        nonce: &str,
        file: Option<(&str, u64)>,
    ) -> Result<Option<String>, Failure> {
        self.ledger.check(place)?;
        let (is_read, was_tried) = self.ledger.with(|inner| {
            let is_read = inner.places.get(place).is_some_and(|known| known.read);
            // From now on: whoever is cut off in the middle does not know either.
            (is_read, !inner.tried.insert(nonce.to_owned()))
        });
        if !is_read || was_tried {
            let known = match self.read_place(place).await {
                Ok(known) => known,
                Err(Failure::ThreadGone) => return Err(Failure::ThreadGone),
                // It would never tell: better twice than not at all.
                Err(failure) if is_final(&failure) => {
                    tracing::warn!(%failure, "it cannot be seen what stands on Slack already");
                    Known { read: true, ..Known::default() }
                }
                Err(failure) => return Err(failure),
            };
            self.ledger.with(|inner| inner.places.insert(place.clone(), known));
        }
        Ok(self.ledger.with(|inner| {
            let known = inner.places.get(place)?;
            let same =
                known.last_file.as_ref().filter(|(name, size, _)| file == Some((name.as_str(), *size)));
            let same = same.filter(|_| !is_read || was_tried).map(|(_, _, id)| id.clone());
            let found = known.messages.get(nonce).cloned().or(same)?;
            inner.tried.remove(nonce);
            Some(found)
        }))
    }

    async fn read_place(&self, place: &Place) -> Result<Known, Failure> {
        let mut known = Known { read: true, ..Known::default() };
        let (channel, thread) = self.address(place)?;
        let mut last: Option<(String, Option<(String, u64)>)> = None;
        let mut note = |message: &Value| {
            let ts = message.get("ts").and_then(Value::as_str).unwrap_or_default();
            if let Some(nonce) = kept(message, "nonce") {
                known.messages.insert(nonce.to_owned(), ts.to_owned());
            }
            if self.is_own(message) && last.as_ref().is_none_or(|(newest, _)| newest.as_str() < ts) {
                let file = message.pointer("/files/0").and_then(|file| {
                    Some((file.get("name")?.as_str()?.to_owned(), file.get("size")?.as_u64()?))
                });
                last = Some((ts.to_owned(), file));
            }
        };
        let (method, pages) = match &thread {
            Some(_) => ("conversations.replies", THREAD_PAGES),
            None => ("conversations.history", CHANNEL_PAGES),
        };
        let mut cursor = String::new();
        for page in 0..pages {
            let mut arguments =
                vec![("channel", channel.as_str()), ("limit", PAGE), ("include_all_metadata", "true")];
            if let Some(thread) = &thread {
                arguments.push(("ts", thread));
            }
            if !cursor.is_empty() {
                arguments.push(("cursor", &cursor));
            }
            let answer = self.api.get(method, &arguments).await?;
            let messages = answer.get("messages").and_then(Value::as_array);
            if page == 0
                && thread.is_some()
                && messages.and_then(|all| all.first()).is_some_and(|head| head["subtype"] == "tombstone")
            {
                return Err(Failure::ThreadGone);
            }
            messages.into_iter().flatten().for_each(&mut note);
            cursor = next_cursor(&answer);
            if cursor.is_empty() {
                break;
            }
        }
        if let Some((ts, Some((name, size)))) = last {
            known.last_file = Some((name, size, ts));
        }
        Ok(known)
    }
}

/// Where the next page begins; empty = there is none.
pub fn next_cursor(answer: &Value) -> String {
    answer.pointer("/response_metadata/next_cursor").and_then(Value::as_str).unwrap_or_default().to_owned()
}
