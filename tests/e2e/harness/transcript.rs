//! What a session's followers see, over server-sent events, across deaths of the daemon.

use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use serde_json::Value;
use tokio::time::{Instant, timeout_at};

use super::{Api, LOOK};

/// One event.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    pub seq: u64,
    pub kind: String,
    pub data: Value,
    /// The envelope as it came.
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

/// Cuts a stream of server-sent events into their `data`.
#[derive(Default)]
pub struct SseReader {
    buffer: Vec<u8>,
}

impl SseReader {
    /// Takes bytes and gives the events that are whole now.
    pub fn take(&mut self, bytes: &[u8]) -> Vec<String> {
        self.buffer.extend_from_slice(bytes);
        let mut found = Vec::new();
        let mut from = 0;
        while let Some(at) = self.buffer[from..].windows(2).position(|pair| pair == b"\n\n") {
            let block = String::from_utf8(self.buffer[from..from + at].to_vec()).expect("events are UTF-8");
            found.extend(block.lines().filter_map(|line| line.strip_prefix("data: ")).map(str::to_owned));
            from += at + 2;
        }
        self.buffer.drain(..from);
        found
    }
}

/// Follows one session from its first event on. Panics when a number is missing or comes twice.
pub struct Transcript {
    api: Api,
    session: String,
    /// What was seen so far.
    pub events: Vec<Event>,
    stream: Option<(BoxStream<'static, reqwest::Result<Bytes>>, SseReader)>,
}

impl Transcript {
    pub fn new(api: &Api, session: &str) -> Self {
        Self { api: api.clone(), session: session.to_owned(), events: Vec::new(), stream: None }
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

    /// Events of one type.
    pub fn of(&self, kind: &str) -> Vec<&Event> {
        self.events.iter().filter(|event| event.kind == kind).collect()
    }

    /// All that the agent itself said, put together.
    pub fn said(&self) -> String {
        let own = |event: &&Event| event.kind == "output" && event.data["parent_tool_use_id"].is_null();
        self.events.iter().filter(own).map(|event| event.text("text")).collect()
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
        self.stream = None;
    }

    /// Reads some more; `false` at the deadline.
    async fn more(&mut self, deadline: Instant) -> bool {
        if self.stream.is_none() {
            let path = format!("/api/events/sessions/{}?since={}", self.session, self.last_seq());
            let request = self.api.request(reqwest::Method::GET, &path).timeout(Duration::from_secs(3600));
            match timeout_at(deadline, request.send()).await {
                Err(_) => return false,
                Ok(Ok(answer)) if answer.status().is_success() => {
                    self.stream = Some((answer.bytes_stream().boxed(), SseReader::default()));
                }
                Ok(other) => {
                    if let Ok(answer) = other {
                        assert!(answer.status().as_u16() == 503, "following a session: {}", answer.status());
                    }
                    tokio::time::sleep(LOOK).await; // the daemon is dead just now
                    return Instant::now() < deadline;
                }
            }
        }
        let Some((stream, reader)) = &mut self.stream else { return true };
        match timeout_at(deadline, stream.next()).await {
            Err(_) => return false,
            Ok(Some(Ok(bytes))) => {
                for raw in reader.take(&bytes) {
                    let event = Event::read(&raw);
                    let expected = self.events.last().map_or(0, |event| event.seq) + 1;
                    assert_eq!(event.seq, expected, "a gap or a double in the transcript: {raw}");
                    self.events.push(event);
                }
            }
            Ok(Some(Err(_)) | None) => {
                self.stream = None;
                tokio::time::sleep(LOOK).await;
            }
        }
        true
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
