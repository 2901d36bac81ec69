//! The server's stream of events, connected again whenever it breaks.

use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::{BoxStream, StreamExt};
use sse_stream::SseByteStream;
use tokio::time::Instant;

/// The server sends a heartbeat every 10 s. After so long without anything the connection is dead.
const SILENCE: Duration = Duration::from_secs(35);
/// How long a connection may take.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// How long to wait before another try, at first and at the most.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(2);

type Stream = Pin<Box<SseByteStream<BoxStream<'static, reqwest::Result<Bytes>>>>>;

/// What comes out of the stream.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// It begins (again): what follows is told, what was before is not.
    Connected,
    /// An event, as JSON.
    Data(String),
}

enum State {
    Waiting(Instant),
    Connecting(BoxFuture<'static, Option<Stream>>),
    Open(Stream),
}

/// The events of one directory.
pub(super) struct Events {
    request: reqwest::RequestBuilder,
    state: State,
    wait: Duration,
    /// When something was last heard.
    heard: Instant,
}

impl Events {
    /// What the answer to this request streams; it must be one that can be sent again.
    pub(super) fn new(request: reqwest::RequestBuilder) -> Self {
        let now = Instant::now();
        Self { request, state: State::Waiting(now), wait: FIRST_WAIT, heard: now }
    }

    /// For how long nothing was heard.
    pub(super) fn silent_for(&self) -> Duration {
        self.heard.elapsed()
    }

    /// Nobody listened for a while, so the silence was ours.
    pub(super) fn listen_again(&mut self) {
        self.heard = Instant::now();
    }

    /// The next event, whenever it comes. Cancel-safe.
    pub(super) async fn next(&mut self) -> Event {
        loop {
            match &mut self.state {
                State::Waiting(until) => {
                    tokio::time::sleep_until(*until).await;
                    let Some(request) = self.request.try_clone() else { return std::future::pending().await };
                    self.state = State::Connecting(Box::pin(connect(request)));
                }
                State::Connecting(connecting) => match connecting.await {
                    Some(stream) => self.state = State::Open(stream),
                    None => self.broken(),
                },
                State::Open(stream) => {
                    match tokio::time::timeout_at(self.heard + SILENCE, stream.next()).await {
                        Ok(Some(Ok(event))) => {
                            self.heard = Instant::now();
                            if let Some(event) = event.data.and_then(read) {
                                if event == Event::Connected {
                                    self.wait = FIRST_WAIT;
                                }
                                return event;
                            }
                        }
                        _ => self.broken(),
                    }
                }
            }
        }
    }

    fn broken(&mut self) {
        self.state = State::Waiting(Instant::now() + self.wait);
        self.wait = (self.wait * 2).min(LONGEST_WAIT);
    }
}

async fn connect(request: reqwest::RequestBuilder) -> Option<Stream> {
    let answer = tokio::time::timeout(CONNECT_WITHIN, request.send()).await.ok()?.ok()?;
    let bytes = answer.error_for_status().ok()?.bytes_stream();
    Some(Box::pin(SseByteStream::new(bytes.boxed())))
}

/// The stream's own affairs are short, and their type stands in front.
fn read(data: String) -> Option<Event> {
    let own = |kind: &str| data.len() < 300 && data.contains(&format!("\"type\":\"{kind}\""));
    if own("server.heartbeat") {
        None
    } else if own("server.connected") {
        Some(Event::Connected)
    } else {
        Some(Event::Data(data))
    }
}
