//! The process actor: one for each agent program that runs.
//!
//! It owns the spool, the protocol's state and the watch on the program; it speaks to its session only.
//! What it read goes up as [`AgentOutput`], one message in flight: the answer means that the session
//! has recorded it together with the read position, so no line is lost and none is read twice.
//! Mailbox: unbounded; its senders are its own reader (which waits for each answer) and its session.
//! When it dies the agent program lives on: the registry rebuilds the session, which adopts the program
//! again from the log and the spool.

mod ending;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tracing::{debug, info, warn};

use super::bring_up::{self, BringUpError, Link, SpoolLink, Survey, Up};
use super::flow::{LinesRead, ReadToEnd, Written, read_loop, write_loop};
use super::messages::*;
use super::processes::Identity;
use super::protocol::{Outgoing, Protocol, Work};
use super::spool::{Line, LineContent, SpoolWriter};
use super::{stragglers, tree};
use crate::domain::agent::AgentEvent;
use crate::domain::ids::RunId;
use crate::domain::restart::ProgramEnd;

/// Text that streams is joined for this long before it becomes an event.
const COALESCE: Duration = Duration::from_millis(40);
/// More pending text than this goes up at once, and the reader waits.
const PENDING_BYTES: usize = 128 * 1024;
/// Without events, the read position is recorded after so many bytes.
const SILENT_BYTES: u64 = 1024 * 1024;
/// How long between terminate and kill.
const TERM_GRACE: Duration = Duration::from_secs(2);
/// Lines that wait for the agent to read; a session has few commands in flight.
const WRITE_QUEUE: usize = 64;

/// What was heard and is not recorded yet.
#[derive(Default)]
struct Pending {
    events: Vec<AgentEvent>,
    bytes: usize,
    offset: u64,
    /// Something in it cannot wait for more text.
    urgent: bool,
}

/// See the module.
pub struct AgentProcess {
    spec: ProcessSpec,
    settings: Arc<AgentSettings>,
    reports: ProcessReports,
    protocol: Box<dyn Protocol>,
    identity: Option<Identity>,
    writes: Option<mpsc::Sender<(Vec<Outgoing>, Written)>>,
    pending: Pending,
    committed: u64,
    in_flight: bool,
    last_flush: Option<Instant>,
    timer: Option<SpawnHandle>,
    waiting_readers: VecDeque<oneshot::Sender<u64>>,
    /// Set when the program is gone; the report follows when all it said is recorded.
    ended: Option<ProgramEnd>,
    /// The reader has seen the end of what was there.
    caught_up: bool,
    told_caught_up: bool,
    turn_began: Option<u64>,
    /// Its end was asked for before it was up.
    stop_wanted: bool,
    /// What was found out about the machine.
    survey: Survey,
    /// Whether its program serves other sessions too, and so is not ours to end.
    served: bool,
    /// The agent's own name for the conversation, as last heard.
    conversation: String,
    /// Its end was taken in; a second one is none.
    gone: bool,
}

impl AgentProcess {
    /// A process actor for this run; it starts or finds the program itself.
    pub fn new(
        spec: ProcessSpec,
        settings: Arc<AgentSettings>,
        reports: ProcessReports,
        protocol: Box<dyn Protocol>,
    ) -> Self {
        let offset = spec.run.offset;
        let conversation = spec.conversation.clone();
        Self {
            spec,
            settings,
            reports,
            protocol,
            identity: None,
            writes: None,
            pending: Pending { offset, ..Pending::default() },
            committed: offset,
            in_flight: false,
            last_flush: None,
            timer: None,
            waiting_readers: VecDeque::new(),
            ended: None,
            caught_up: false,
            told_caught_up: false,
            turn_began: None,
            stop_wanted: false,
            survey: Survey::default(),
            served: false,
            conversation,
            gone: false,
        }
    }

    fn work(&self) -> Work {
        bring_up::work(&self.spec, &self.settings, &self.survey)
    }

    fn run(&self) -> RunId {
        self.spec.run.run.clone()
    }

    fn up(&mut self, up: Up, ctx: &mut Context<Self>) {
        let Up { link, identity, version, notice, brought_along, survey } = up;
        self.survey = survey;
        self.identity = Some(identity);
        let (writes, queue) = mpsc::channel(WRITE_QUEUE);
        self.writes = Some(writes);
        match link {
            Link::Spool(link) => self.connect(*link, queue, ctx),
            Link::Server(link) => {
                self.served = true;
                ctx.spawn(link.serve(queue, ctx.address()).into_actor(self));
            }
        }
        if self.stop_wanted {
            return self.stop(identity, ctx);
        }
        if self.spec.adopted && self.spec.run.pid.is_some() {
            return;
        }
        let spawned = AgentSpawned { run: self.run(), identity, version, notice, brought_along };
        let report = self.reports.spawned.send(spawned);
        ctx.spawn(report.into_actor(self).map(|recorded, process, ctx| match recorded {
            Ok(Ok(())) => {
                let opening = process.protocol.opening(&process.work());
                drop(process.queue(opening));
            }
            _ => ctx.stop(),
        }));
    }

    fn connect(
        &mut self,
        link: SpoolLink,
        queue: mpsc::Receiver<(Vec<Outgoing>, Written)>,
        ctx: &mut Context<Self>,
    ) {
        let SpoolLink { spool, program, reader, writer } = link;
        if let Some(writer) = writer {
            ctx.spawn(write_loop(writer, queue).into_actor(self).map(|stuck, process, ctx| {
                if stuck {
                    warn!(session = %process.spec.session, "the agent does not read its input, ending it");
                    process.end_tree(ctx);
                }
            }));
        }
        let read = read_loop(reader, program, spool, ctx.address());
        ctx.spawn(read.into_actor(self).map(|_, _, _| ()));
    }

    fn failed(&mut self, error: BringUpError, ctx: &mut Context<Self>) {
        let end = ProgramEnd { hint: Some(error.cause), ..ProgramEnd::default() };
        self.report_end(end, Some(error.message), ctx);
    }

    /// Hands lines to the writer; the answer comes when they are written.
    fn queue(&self, lines: Vec<Outgoing>) -> oneshot::Receiver<Result<(), TellError>> {
        let (written, answer) = oneshot::channel();
        if lines.is_empty() {
            let _ = written.send(Ok(()));
            return answer;
        }
        // A full queue means an agent that does not read; the writer's deadline ends it.
        let refused = match &self.writes {
            Some(writes) => writes.try_send((lines, written)).err().map(|error| error.into_inner().1),
            None => Some(written),
        };
        if let Some(written) = refused {
            let _ = written.send(Err(TellError::Gone));
        }
        answer
    }

    fn take_in(&mut self, lines: Vec<Line>) {
        for line in lines {
            self.pending.offset = line.end_offset;
            match line.content {
                LineContent::Text(bytes) => {
                    let heard = self.protocol.hear(&bytes);
                    if !heard.replies.is_empty() {
                        drop(self.queue(heard.replies));
                    }
                    for event in heard.events {
                        self.add(event);
                    }
                }
                LineContent::TooLong { bytes } => self.add(AgentEvent::Unparsed {
                    message: format!("a line of {bytes} bytes is longer than can be taken, and was skipped"),
                    line: String::new(),
                }),
            }
        }
    }

    fn add(&mut self, event: AgentEvent) {
        match &event {
            AgentEvent::TurnStarted => self.turn_began = Some(stragglers::clock()),
            AgentEvent::Conversation(id) => self.conversation.clone_from(id),
            _ => {}
        }
        match (self.pending.events.last_mut(), event) {
            (Some(AgentEvent::Text { text, parent }), AgentEvent::Text { text: more, parent: from })
            | (
                Some(AgentEvent::Thinking { text, parent }),
                AgentEvent::Thinking { text: more, parent: from },
            ) if *parent == from => {
                self.pending.bytes += more.len();
                text.push_str(&more);
            }
            (_, event) => {
                let streams = matches!(event, AgentEvent::Text { .. } | AgentEvent::Thinking { .. });
                self.pending.urgent |= !streams;
                self.pending.bytes += size_of(&event);
                self.pending.events.push(event);
            }
        }
    }

    fn flush_if_due(&mut self, ctx: &mut Context<Self>) {
        if self.in_flight {
            return;
        }
        let unrecorded = self.pending.offset - self.committed;
        let has_events = !self.pending.events.is_empty();
        if unrecorded == 0 || (!has_events && unrecorded < SILENT_BYTES && self.ended.is_none()) {
            self.settled(ctx);
            return;
        }
        let waited = self.last_flush.is_none_or(|last| last.elapsed() >= COALESCE);
        if waited || self.pending.urgent || self.pending.bytes >= PENDING_BYTES || self.ended.is_some() {
            self.flush(ctx);
        } else if self.timer.is_none() {
            self.timer = Some(ctx.run_later(COALESCE, |process, ctx| {
                process.timer = None;
                process.flush_if_due(ctx);
            }));
        }
    }

    fn flush(&mut self, ctx: &mut Context<Self>) {
        let offset = self.pending.offset;
        let pending = std::mem::replace(&mut self.pending, Pending { offset, ..Pending::default() });
        self.in_flight = true;
        self.last_flush = Some(Instant::now());
        let output = AgentOutput {
            run: self.run(),
            events: pending.events,
            offset,
            protocol_state: self.protocol.state(),
        };
        let report = self.reports.output.send(output);
        ctx.spawn(report.into_actor(self).map(move |recorded, process, ctx| {
            if !matches!(recorded, Ok(Ok(()))) {
                // The session is gone or could not record; it will adopt the program afresh.
                ctx.stop();
                return;
            }
            process.in_flight = false;
            process.committed = offset;
            for reader in process.waiting_readers.drain(..) {
                let _ = reader.send(offset);
            }
            process.flush_if_due(ctx);
        }));
    }

    /// Nothing waits to be recorded: what hangs on that can be told.
    fn settled(&mut self, ctx: &mut Context<Self>) {
        if self.caught_up && !self.told_caught_up && self.ended.is_none() {
            self.told_caught_up = true;
            self.reports.caught_up.do_send(AgentCaughtUp { run: self.run() });
        }
        if let Some(end) = self.ended.take() {
            let marker = self.marker();
            let last = async move { tree::end_tree(&marker, None, TERM_GRACE).await };
            ctx.spawn(last.into_actor(self).map(|ended, process, ctx| {
                if !ended.survivors.is_empty() {
                    warn!(session = %process.spec.session, survivors = ?ended.survivors, "could not end all that the agent started");
                }
                process.report_end(end, None, ctx);
            }));
        }
    }

    fn report_end(&mut self, end: ProgramEnd, message: Option<String>, ctx: &mut Context<Self>) {
        self.writes = None;
        let report = self.reports.ended.send(AgentEnded { run: self.run(), end, message });
        let folder = bring_up::spool_folder(&self.settings, &self.spec);
        ctx.spawn(report.into_actor(self).then(|recorded, process, _| {
            async move {
                if matches!(recorded, Ok(Ok(()))) {
                    // What it said is in the log by now.
                    if let Err(error) = tokio::fs::remove_dir_all(&folder).await {
                        debug!(%error, folder = %folder.display(), "the spool was not removed");
                    }
                }
            }
            .into_actor(process)
            .map(|(), _, ctx: &mut Context<Self>| ctx.stop())
        }));
    }
}

fn size_of(event: &AgentEvent) -> usize {
    match event {
        AgentEvent::Text { text, .. }
        | AgentEvent::Thinking { text, .. }
        | AgentEvent::ToolResult { text, .. } => text.len(),
        _ => 256,
    }
}

impl Actor for AgentProcess {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(0);
        let bring_up = bring_up::bring_up(self.spec.clone(), self.settings.clone());
        ctx.spawn(bring_up.into_actor(self).map(|result, process, ctx| match result {
            Ok(up) => {
                info!(session = %process.spec.session, run = %process.spec.run.run, pid = up.identity.pid, adopted = process.spec.adopted, "agent program runs");
                process.up(up, ctx);
            }
            Err(error) => process.failed(error, ctx),
        }));
    }
}

impl Handler<LinesRead> for AgentProcess {
    type Result = ResponseFuture<u64>;

    fn handle(&mut self, LinesRead(lines): LinesRead, ctx: &mut Self::Context) -> Self::Result {
        self.take_in(lines);
        self.flush_if_due(ctx);
        let committed = self.committed;
        if self.pending.bytes < PENDING_BYTES {
            return Box::pin(async move { committed });
        }
        let (room, answer) = oneshot::channel();
        self.waiting_readers.push_back(room);
        Box::pin(async move { answer.await.unwrap_or(committed) })
    }
}

impl Handler<ReadToEnd> for AgentProcess {
    type Result = ();

    fn handle(&mut self, _: ReadToEnd, ctx: &mut Self::Context) {
        self.caught_up = true;
        self.flush_if_due(ctx);
    }
}

impl Handler<Tell> for AgentProcess {
    type Result = ResponseFuture<Result<(), TellError>>;

    fn handle(&mut self, Tell { command, again }: Tell, _: &mut Self::Context) -> Self::Result {
        let lines = self.protocol.say(&command, again);
        // Requests to a server go out whole or are refused.
        if again && !self.served && lines.iter().any(|outgoing| outgoing.line.len() >= SpoolWriter::ATOMIC) {
            return Box::pin(async { Err(TellError::Unsafe) });
        }
        let written = self.queue(lines);
        Box::pin(async move { written.await.unwrap_or(Err(TellError::Gone)) })
    }
}

impl Handler<SendOpening> for AgentProcess {
    type Result = ();

    fn handle(&mut self, _: SendOpening, _: &mut Self::Context) {
        let opening = self.protocol.opening(&self.work());
        drop(self.queue(opening));
    }
}
