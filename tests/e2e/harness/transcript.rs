//! What a session's followers see, over the WebSocket, across deaths of the daemon.
//!
//! Not over server-sent events: those leave out settled questions when they replay, as the contract has it,
//! so their numbers need not be dense.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::ws::{self, Ws};
use super::{Api, LOOK};

/// One event.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    pub seq: u64,
    pub kind: String,
    pub data: Value,
    /// The envelope.
    pub raw: String,
}

impl Event {
    /// Reads an envelope; panics when it is not one.
    #[track_caller]
    pub fn read(raw: &str) -> Self {
        let value: Value =
            serde_json::from_str(raw).unwrap_or_else(|error| panic!("not JSON ({error}): {raw}"));
        Self {
            seq: value["seq"].as_u64().unwrap_or_else(|| panic!("no seq: {raw}")),
            kind: value["type"].as_str().unwrap_or_else(|| panic!("no type: {raw}")).to_owned(),
            data: value["data"].clone(),
            raw: raw.to_owned(),
        }
    }

    /// A string of its data; `""` if it is not there.
    pub fn text(&self, key: &str) -> &str {
        self.data[key].as_str().unwrap_or_default()
    }
}

fn said(events: &[Event]) -> String {
    let own = |event: &&Event| event.kind == "output" && event.data["parent_tool_use_id"].is_null();
    events.iter().filter(own).map(|event| event.text("text")).collect()
}

/// Follows one session from its first event on. Panics when a number is missing or comes twice.
pub struct Transcript {
    api: Api,
    session: String,
    /// What was seen so far.
    pub events: Vec<Event>,
    socket: Option<Ws>,
}

impl Transcript {
    pub fn new(api: &Api, session: &str) -> Self {
        Self { api: api.clone(), session: session.to_owned(), events: Vec::new(), socket: None }
    }

    /// The number of the last event that was seen.
    pub fn last_seq(&self) -> u64 {
        self.events.last().map_or(0, |event| event.seq)
    }

    /// Reads until `done` holds of what was seen; panics after `seconds`.
    pub async fn until(&mut self, what: &str, seconds: u64, mut done: impl FnMut(&[Event]) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(seconds);
        while !done(&self.events) {
            if !self.more(deadline).await {
                panic!("session {}: not within {seconds} s: {what}", self.session);
            }
        }
    }

    /// The first event of a type after the event number `after`; waits for it.
    pub async fn next(&mut self, kind: &str, after: u64, seconds: u64) -> Event {
        let matches = |event: &&Event| event.seq > after && event.kind == kind;
        self.until(&format!("an event {kind} after {after}"), seconds, |events| {
            events.iter().any(|e| matches(&e))
        })
        .await;
        self.events.iter().find(matches).cloned().expect("it was just seen")
    }

    /// Waits until `turns` turns have ended and the session waits for input.
    pub async fn idle(&mut self, turns: usize, seconds: u64) {
        self.until(&format!("{turns} turns have ended"), seconds, |events| {
            let ended = events.iter().filter(|event| event.kind == "turn_finished").count();
            let state = events.iter().rfind(|event| event.kind == "session_state");
            ended >= turns && state.is_some_and(|event| event.text("state") == "AWAITING_INPUT")
        })
        .await;
    }

    /// The open question that comes after the event number `after`.
    pub async fn asked(&mut self, after: u64) -> Event {
        self.next("permission_request", after, 30).await
    }

    /// Waits until the agent has said these words, in however many pieces.
    pub async fn says(&mut self, words: &str, seconds: u64) {
        let what = format!("the agent says {words:?}");
        self.until(&what, seconds, |events| said(events).contains(words)).await;
    }

    /// Events of one type.
    pub fn of(&self, kind: &str) -> Vec<&Event> {
        self.events.iter().filter(|event| event.kind == kind).collect()
    }

    /// All that the agent itself said, put together.
    pub fn said(&self) -> String {
        said(&self.events)
    }

    /// Reads the whole transcript anew and compares: what was seen once is there, unchanged.
    pub async fn check_against_replay(&mut self) {
        let mut replay = Transcript::new(&self.api, &self.session);
        let last = self.last_seq();
        replay
            .until("the replay reaches what was seen", 30, |events| {
                events.last().is_some_and(|event| event.seq >= last)
            })
            .await;
        for (seen, stored) in self.events.iter().zip(&replay.events) {
            assert_eq!(seen.raw, stored.raw, "event {} was shown otherwise than it is stored", seen.seq);
        }
    }

    /// Drops the connection; the next read makes a new one.
    pub fn disconnect(&mut self) {
        self.socket = None;
    }

    /// Reads some more; `false` at the deadline.
    async fn more(&mut self, deadline: Instant) -> bool {
        let Some(socket) = &mut self.socket else {
            match self.subscribe().await {
                Some(socket) => self.socket = Some(socket),
                None => tokio::time::sleep(LOOK).await, // the daemon is dead just now
            }
            return Instant::now() < deadline;
        };
        match socket.read(deadline).await {
            Ok(None) => return false,
            Ok(Some(frame)) if frame["type"] == "events" => {
                for envelope in frame["events"].as_array().expect("a list of events") {
                    let event = Event::read(&envelope.to_string());
                    assert_eq!(
                        event.seq,
                        self.last_seq() + 1,
                        "a gap or a double in the transcript: {}",
                        event.raw
                    );
                    self.events.push(event);
                }
            }
            Ok(Some(frame)) => assert_ne!(frame["ok"], false, "following a session: {frame}"),
            Err(_) => self.socket = None,
        }
        true
    }

    async fn subscribe(&self) -> Option<Ws> {
        let bearer = format!("Bearer {}", self.api.token);
        let mut socket = ws::try_connect(&self.api, &[("authorization", &bearer)]).await.ok()?;
        let frame =
            json!({ "type": "subscribe", "session_id": self.session, "after": self.last_seq(), "id": 1 });
        socket.send(frame.to_string()).await;
        Some(socket)
    }
}

impl Drop for Transcript {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("---- transcript of {} ({} events, the last ones)", self.session, self.events.len());
            for event in &self.events[self.events.len().saturating_sub(60)..] {
                let data = event.data.to_string();
                let cut = data.char_indices().nth(220).map_or(data.len(), |(at, _)| at);
                eprintln!("{:>5} {:<20} {}", event.seq, event.kind, &data[..cut]);
            }
        }
    }
}
