//! The link of one session to the server: what the agent is told goes out as requests, and events and answers come
//! in as lines, all in one order.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::time::Duration;

use actix::Addr;
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tracing::{debug, warn};

use super::Lease;
use super::events::{Event, Events};
use super::start::{USER, client};
use super::wire::{News, Request};
use crate::agent::flow::{LinesRead, ProgramGone, ReadToEnd, Written};
use crate::agent::opencode::wire::repaired;
use crate::agent::opencode::{END_RUN, PLUGIN_LOADED};
use crate::agent::process::AgentProcess;
use crate::agent::program::Exit;
use crate::agent::protocol::Outgoing;
use crate::agent::spool::{LINE_LIMIT, Line, LineContent};
use crate::fault;

/// Lines that are handed over at once. Each may bring a request, and there is room for twice as many.
const LINES: usize = 32;
/// How long an answer may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// For how long a request is tried again while the server lives.
const TRY_FOR: Duration = Duration::from_secs(30);
/// How long between two tries.
const BETWEEN_TRIES: Duration = Duration::from_millis(200);
/// After so long without a word the server is taken for stuck.
const STUCK_AFTER: Duration = Duration::from_secs(90);
/// What is heard was not taken for so long: then nothing was listened to either.
const LONG_PAUSE: Duration = Duration::from_secs(1);
/// The longest answer that is taken in, in bytes.
const ANSWER_LIMIT: usize = 64 * 1024 * 1024;

/// What a session's process actor has of the server.
pub(in crate::agent) struct ServerLink {
    /// The server; `None` = it ended while nobody listened.
    pub(super) lease: Option<Lease>,
    /// Where the session works.
    pub(super) directory: PathBuf,
    /// How far the lines have come.
    pub(super) offset: u64,
}

/// What is to be carried out, and whom to tell when it was.
type Queue = mpsc::Receiver<(Vec<Outgoing>, Written)>;

impl ServerLink {
    /// Carries out what is queued and hands over what is heard, until the server ends or the queue is closed.
    pub(in crate::agent) async fn serve(self, queue: Queue, process: Addr<AgentProcess>) {
        let (lease, client) = match (self.lease, client()) {
            (Some(lease), Ok(client)) => (lease, client),
            (lease, client) => {
                let stderr =
                    client.err().map(|error| format!("no HTTP client: {error}")).into_iter().collect();
                let code = lease.map(|_| 1);
                let _ = process.send(ProgramGone { exit: Exit { code, signal: None }, stderr }).await;
                return;
            }
        };
        let carrier = Carrier {
            events: Events::new(events_of(&client, &lease, &self.directory)),
            client,
            directory: self.directory.to_string_lossy().into_owned(),
            lease,
            process,
            offset: self.offset,
            lines: Vec::new(),
            flight: None,
            batch: None,
            later: Vec::new(),
            connected: false,
            guarded: false,
            reading: false,
        };
        carrier.run(queue).await;
    }
}

fn events_of(client: &reqwest::Client, lease: &Lease, directory: &Path) -> reqwest::RequestBuilder {
    let address = lease.address();
    client
        .get(format!("{}/event", address.url))
        .query(&[("directory", directory.to_string_lossy())])
        .basic_auth(USER, Some(&address.password))
}

/// Requests that belong together.
struct Batch {
    rest: VecDeque<Request>,
    written: Option<Written>,
    /// Whether all of them were answered so far, in whatever way.
    arrived: bool,
}

struct Carrier {
    client: reqwest::Client,
    events: Events,
    directory: String,
    lease: Lease,
    process: Addr<AgentProcess>,
    offset: u64,
    /// Heard and not handed over yet.
    lines: Vec<Line>,
    /// The request under way. One at a time: they arrive in the order in which they were made.
    flight: Option<LocalBoxFuture<'static, News>>,
    batch: Option<Batch>,
    /// Requests for later.
    later: Vec<(Instant, Request)>,
    /// The events were connected once; before that nothing is sent, or what comes of it might be missed.
    connected: bool,
    /// Our plugin was seen to be loaded.
    guarded: bool,
    /// What was missed is being read.
    reading: bool,
}

/// Why a link ends.
enum Over {
    /// The server ended.
    Gone(Exit),
    /// The run cannot go on.
    Unable(String),
    /// Nobody wants it any more.
    Closed,
}

impl Carrier {
    async fn run(mut self, mut queue: Queue) {
        let over = loop {
            if let Err(over) = self.step(&mut queue).await {
                break over;
            }
        };
        let gone = match over {
            Over::Closed => return,
            Over::Gone(exit) => ProgramGone { exit, stderr: self.lease.stderr_tail() },
            Over::Unable(words) => {
                ProgramGone { exit: Exit { code: Some(1), signal: None }, stderr: vec![words] }
            }
        };
        let _ = self.process.send(gone).await;
    }

    async fn step(&mut self, queue: &mut Queue) -> Result<(), Over> {
        if self.connected && !self.guarded {
            self.look_for_plugin().await?;
        }
        self.take_off()?;
        let idle = self.flight.is_none() && self.batch.is_none() && self.connected;
        // Before the wait: when all is read, nothing may come for long.
        if self.reading && idle && self.later.is_empty() && queue.is_empty() {
            self.reading = false;
            self.process.send(ReadToEnd).await.map_err(|_| Over::Closed)?;
        }
        let due = self.later.iter().map(|(at, _)| *at).min();
        let patience = STUCK_AFTER.saturating_sub(self.events.silent_for());
        tokio::select! {
            exit = self.lease.ended() => return Err(Over::Gone(exit)),
            event = self.events.next() => self.heard(event),
            news = landed(&mut self.flight), if self.flight.is_some() => self.answered(news),
            told = queue.recv(), if idle => {
                let (lines, written) = told.ok_or(Over::Closed)?;
                fault::point("agent.before_send");
                self.batch = Some(batch(lines, written));
            }
            () = sleep_until(due), if idle && due.is_some() => {}
            () = tokio::time::sleep(patience) => {
                self.lease.give_up().await;
            }
        }
        // What else is there already goes along.
        while self.lines.len() < LINES {
            let Some(event) = self.events.next().now_or_never() else { break };
            self.heard(event);
        }
        self.hand_over().await
    }

    /// Nothing is sent to a server that has not loaded our plugin: it keeps a project's code and the server's password
    /// where they belong, and OpenCode goes on without one that it cannot load.
    async fn look_for_plugin(&mut self) -> Result<(), Over> {
        self.guarded =
            tokio::fs::try_exists(self.lease.folder().join(PLUGIN_LOADED)).await.unwrap_or_default();
        if self.guarded {
            return Ok(());
        }
        Err(Over::Unable(
            "OpenCode did not load Tether's plugin, which keeps the code of projects out, so it was told nothing; \
             look whether this version of OpenCode is newer than those that Tether knows"
                .to_owned(),
        ))
    }

    /// Sends the next request, if none is under way.
    fn take_off(&mut self) -> Result<(), Over> {
        if self.flight.is_some() || !self.connected {
            return Ok(());
        }
        while let Some(batch) = &mut self.batch {
            let Some(request) = batch.rest.pop_front() else {
                fault::point("agent.after_send");
                let (written, arrived) = (batch.written.take(), batch.arrived);
                self.batch = None;
                if let Some(written) = written {
                    let gone = crate::agent::TellError::Gone;
                    let _ = written.send(if arrived { Ok(()) } else { Err(gone) });
                }
                break;
            };
            if request.method == END_RUN {
                return Err(Over::Unable(request.path));
            }
            if request.delay_ms > 0 {
                self.later.push((Instant::now() + Duration::from_millis(request.delay_ms), request));
                continue;
            }
            self.flight = Some(self.carry(request));
            return Ok(());
        }
        let now = Instant::now();
        if let Some(due) = self.later.iter().position(|(at, _)| *at <= now) {
            let (_, request) = self.later.swap_remove(due);
            self.flight = Some(self.carry(request));
        }
        Ok(())
    }

    fn heard(&mut self, event: Event) {
        match event {
            Event::Connected => {
                self.connected = true;
                self.reading = true;
                let line = News::Connected.line();
                self.line(line.into());
            }
            Event::Data(data) => self.line(data.into()),
        }
    }

    fn answered(&mut self, news: News) {
        self.flight = None;
        if let (News::Failed { error, .. }, Some(batch)) = (&news, &mut self.batch) {
            warn!(error, "a request did not reach the server");
            batch.arrived = false;
        }
        let line = news.line();
        self.line(line.into());
    }

    fn line(&mut self, bytes: Bytes) {
        let length = bytes.len();
        self.offset = self.offset.saturating_add(u64::try_from(length).unwrap_or(u64::MAX)).saturating_add(1);
        // Answers may be longer than an event: they hold whole conversations.
        let content = if length > LINE_LIMIT.max(ANSWER_LIMIT) {
            LineContent::TooLong { bytes: u64::try_from(length).unwrap_or(u64::MAX) }
        } else {
            LineContent::Text(bytes)
        };
        self.lines.push(Line { end_offset: self.offset, content });
    }

    async fn hand_over(&mut self) -> Result<(), Over> {
        if self.lines.is_empty() {
            return Ok(());
        }
        let lines = std::mem::take(&mut self.lines);
        let began = Instant::now();
        // The answer comes when there is room for more; the server waits meanwhile.
        self.process.send(LinesRead(lines)).await.map_err(|_| Over::Closed)?;
        if began.elapsed() > LONG_PAUSE {
            self.events.listen_again();
        }
        Ok(())
    }

    fn carry(&self, request: Request) -> LocalBoxFuture<'static, News> {
        let address = self.lease.address();
        let Ok(method) = reqwest::Method::from_bytes(request.method.as_bytes()) else {
            let error = format!("{:?} is no method", request.method);
            return Box::pin(std::future::ready(News::Failed { tag: request.tag, error }));
        };
        let mut built = self
            .client
            .request(method, format!("{}{}", address.url, request.path))
            .query(&[("directory", &self.directory)])
            .query(&request.query)
            .basic_auth(USER, Some(&address.password))
            .timeout(ANSWER_WITHIN);
        if !request.body.is_null() {
            built = built.header("content-type", "application/json").body(request.body.to_string());
        }
        Box::pin(send(built, request.tag))
    }
}

fn batch(lines: Vec<Outgoing>, written: Written) -> Batch {
    let requests = lines.iter().filter_map(|outgoing| match serde_json::from_str(&outgoing.line) {
        Ok(request) => Some(request),
        Err(error) => {
            warn!(%error, "what was to be sent is no request");
            None
        }
    });
    Batch { rest: requests.collect(), written: Some(written), arrived: true }
}

/// The answer to the request under way.
async fn landed(flight: &mut Option<LocalBoxFuture<'static, News>>) -> News {
    match flight {
        Some(flight) => flight.await,
        None => std::future::pending().await,
    }
}

async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

/// Sends a request, again when nobody answered: the server takes the same one twice for one.
async fn send(request: reqwest::RequestBuilder, tag: Value) -> News {
    let began = Instant::now();
    loop {
        let Some(this) = request.try_clone() else {
            return News::Failed { tag, error: "it cannot be sent".to_owned() };
        };
        match answer(this).await {
            Ok((status, body)) => return News::Reply { tag, status, body },
            Err(error) if began.elapsed() >= TRY_FOR => return News::Failed { tag, error },
            Err(error) => debug!(error, "a request is sent again"),
        }
        tokio::time::sleep(BETWEEN_TRIES).await;
    }
}

async fn answer(request: reqwest::RequestBuilder) -> Result<(u16, Value), String> {
    // Without the address: it tells nothing, and the query may be long.
    let words = |error: reqwest::Error| error.without_url().to_string();
    let mut answer = request.send().await.map_err(words)?;
    let status = answer.status().as_u16();
    let mut body = Vec::new();
    while let Some(piece) = answer.chunk().await.map_err(words)? {
        if body.len() + piece.len() > ANSWER_LIMIT {
            return Ok((413, Value::from("the answer is too long")));
        }
        body.extend_from_slice(&piece);
    }
    if body.is_empty() {
        return Ok((status, Value::Null));
    }
    let parsed = serde_json::from_slice(&body).ok().or_else(|| repaired(&body));
    Ok((status, parsed.unwrap_or_else(|| Value::from(String::from_utf8_lossy(&body).into_owned()))))
}
