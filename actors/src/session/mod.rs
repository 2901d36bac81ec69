//! The session actor: one a session.
//!
//! It owns the state machine, the turn, the queue of inputs and the agent's run. People come in through
//! `person`, the agent through `agent`, an agent of the person's own through `external`; what they change is
//! decided here, recorded in the event log in one batch, and only then seen by anybody.
//! Mailbox: unbounded; each sender waits for its answer. When it dies nothing is lost that anybody
//! saw: the registry rebuilds it, its gate and its process actor from the log. It stops by itself when
//! the log refuses to record what already changed here, for the same reason.

mod agent;
mod external;
mod glance;
mod history;
mod limit;
mod lost;
mod messages;
pub(crate) mod naming;
mod person;
mod reduce;
mod repository;
mod restarting;
mod trust;
mod watch;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use serde_json::json;
use tracing::{Span, error, info, warn};

pub use history::AddHistory;
pub use messages::*;
pub use repository::{HoldTurns, TurnsHeld, WorkTreeChanged};

use crate::agent::catalogue::Catalogue;
use crate::agent::{AgentProcess, ProcessSpec, StopAgent, Tell, protocols, tree};
use crate::domain::agent::AgentCommand;
use crate::domain::approval::Actor as By;
use crate::domain::event::{EventDraft, EventType};
use crate::domain::ids::{ApprovalId, InputId, RunId, SessionId};
use crate::domain::restart::{RestartBudget, RestartPolicy};
use crate::domain::session::{Input, InputState, RunRecord, Session as SessionView, SessionRecord};
use crate::domain::state::SessionState;
use crate::domain::time::Stamp;
use crate::gate::{Change, Gate};
use crate::log::{Append, Class, Committed, Loaded, Log, LogError, Write};
use crate::workspace::Workspaces;

/// How long an interrupted agent may take to stop its turn before its program is ended.
const INTERRUPT_GRACE: Duration = Duration::from_secs(10);
/// How long an external agent may take.
const EXTERNAL_INTERRUPT_GRACE: Duration = Duration::from_secs(30);
/// How long a closing session waits for its agent to end before it is killed.
const CLOSE_GRACE: Duration = Duration::from_secs(10);
/// How many inputs may wait.
const QUEUE_LIMIT: usize = 100;

/// What the configuration says about sessions.
#[derive(Clone, Debug, Default)]
pub struct SessionSettings {
    /// Which agents there are.
    pub agents: Arc<Catalogue>,
    /// How often an agent may crash.
    pub budget: RestartBudget,
    /// What to do after a crash, for new sessions.
    pub restart_policy: RestartPolicy,
    /// An agent program that idles for so long is ended, and resumed at the next input.
    pub idle_exit: Option<Duration>,
    /// A turn without news (and without an open approval) for so long is interrupted.
    pub turn_idle: Option<Duration>,
    /// A turn that takes so long is interrupted.
    pub turn_limit: Option<Duration>,
    /// A turn without news (and without an open approval) for so long is told of.
    pub stall: Option<Duration>,
    /// Repositories and work trees.
    pub workspaces: Workspaces,
}

/// Start a process actor for this run and answer with its address. Sent to the registry, which
/// supervises it.
#[derive(Message)]
#[rtype(result = "Result<Addr<AgentProcess>, SessionError>")]
pub struct StartProcess {
    /// What to run.
    pub spec: ProcessSpec,
    /// The protocol's state to go on from.
    pub protocol_state: serde_json::Value,
    /// Whom it reports to.
    pub reports: crate::agent::ProcessReports,
}

/// What a session needs to work.
pub struct SessionDeps {
    /// Where everything is recorded.
    pub log: Log,
    /// Its gate.
    pub gate: Addr<Gate>,
    /// Who starts process actors.
    pub spawner: Recipient<StartProcess>,
    /// What the configuration says.
    pub settings: Arc<SessionSettings>,
}

/// See the module.
pub struct Session {
    deps: SessionDeps,
    record: SessionRecord,
    inputs: Vec<Input>,
    run: Option<RunRecord>,
    process: Option<Addr<AgentProcess>>,
    /// The agent said that it can take a prompt, in this life of the program.
    ready: bool,
    /// What was unsure after a restart of ours is known.
    caught_up: bool,
    /// Answers that are on their way to the agent's pipe.
    in_delivery: HashSet<ApprovalId>,
    /// Answers whose delivery the gate is being told of; and whether the tool's result was recorded meanwhile, so that
    /// what the gate says of the delivery is old by then.
    marking: HashMap<ApprovalId, bool>,
    /// The requests that queued inputs came of, for the log.
    requests: HashMap<InputId, Span>,
    restart_timer: Option<SpawnHandle>,
    interrupt_timer: Option<SpawnHandle>,
    idle_timer: Option<SpawnHandle>,
    hold_timer: Option<SpawnHandle>,
    turn_started: Option<std::time::Instant>,
    last_news: std::time::Instant,
    /// The silence that people were told of last, by when it began.
    stall_told: Option<std::time::Instant>,
    /// The line that the agent is writing.
    writing: glance::Writing,
    /// What the agent said last, for whoever is asked something.
    said: glance::Said,
    /// The second of the last recorded `last_activity_at`, to record it at most once a second.
    recorded_activity: i64,
    closing: bool,
    /// The program is to be started anew when it rests.
    renew_program: bool,
    /// What goes on with its repository.
    repository: repository::Repository,
}

impl Session {
    /// The session as the log has it.
    pub fn new(deps: SessionDeps, loaded: Loaded) -> Self {
        let mut inputs = loaded.inputs;
        inputs.sort_by_key(|input| input.order);
        let recorded_activity = loaded.record.session.last_activity_at.unix();
        Self {
            deps,
            record: loaded.record,
            inputs,
            run: loaded.run,
            process: None,
            ready: false,
            caught_up: false,
            in_delivery: HashSet::new(),
            marking: HashMap::new(),
            requests: HashMap::new(),
            restart_timer: None,
            interrupt_timer: None,
            idle_timer: None,
            hold_timer: None,
            turn_started: None,
            last_news: std::time::Instant::now(),
            stall_told: None,
            writing: glance::Writing::default(),
            said: glance::Said::default(),
            recorded_activity,
            closing: false,
            renew_program: false,
            repository: repository::Repository::default(),
        }
    }

    fn id(&self) -> &SessionId {
        &self.record.session.id
    }

    fn state(&self) -> SessionState {
        self.record.session.state
    }

    fn run_id(&self) -> Option<RunId> {
        self.run.as_ref().map(|run| run.run.clone())
    }

    /// Sends a batch to the log, together with the session's projection. The message is in the log's
    /// mailbox when this returns, so batches are recorded in the order of the calls.
    fn commit(
        &mut self,
        drafts: Vec<EventDraft>,
        mut writes: Vec<Write>,
        class: Class,
    ) -> impl Future<Output = Result<Committed, LogError>> + use<> {
        let now = Stamp::now();
        self.record.session.last_activity_at = now;
        self.recorded_activity = now.unix();
        glance::refresh(&mut self.record, self.run.is_some(), now);
        writes.push(Write::Session(Box::new(self.record.clone())));
        self.send_batch(drafts, writes, class)
    }

    fn send_batch(
        &mut self,
        drafts: Vec<EventDraft>,
        writes: Vec<Write>,
        class: Class,
    ) -> impl Future<Output = Result<Committed, LogError>> + use<> {
        for write in &writes {
            if let Write::Approval(approval) = write
                && approval.is_settled()
                && let Some(settled) = self.marking.get_mut(&approval.id)
            {
                *settled = true;
            }
        }
        let append = Append { session: self.id().clone(), drafts, writes, class };
        let sent = self.deps.log.addr.send(append);
        async move { sent.await.unwrap_or(Err(LogError::Closed)) }
    }

    /// Commits and then goes on in the actor; a session that is ahead of its log is thrown away.
    fn commit_then(
        &mut self,
        drafts: Vec<EventDraft>,
        writes: Vec<Write>,
        ctx: &mut Context<Self>,
        then: impl FnOnce(&mut Self, &mut Context<Self>) + 'static,
    ) {
        let committed = self.commit(drafts, writes, Class::Essential);
        ctx.spawn(committed.into_actor(self).map(move |result, session, ctx| match result {
            Ok(_) => then(session, ctx),
            Err(error) => session.give_up(&error, ctx),
        }));
    }

    /// The log did not take what changed here: start afresh from what it has.
    fn give_up(&mut self, error: &LogError, ctx: &mut Context<Self>) {
        warn!(session = %self.id(), %error, "the session could not record, starting it afresh");
        ctx.stop();
    }

    /// An answer to a person's request: the session as it is now, once the batch is on disk. When the log
    /// refuses, the refusal is the answer and the session starts afresh.
    fn answer(
        &mut self,
        drafts: Vec<EventDraft>,
        writes: Vec<Write>,
        class: Class,
        then: impl FnOnce(&mut Self, &mut Context<Self>) + 'static,
    ) -> ResponseActFuture<Self, Result<SessionView, SessionError>> {
        let committed = self.commit(drafts, writes, class);
        let view = self.record.session.clone();
        Box::pin(committed.into_actor(self).map(move |result, session, ctx| match result {
            Ok(_) => {
                then(session, ctx);
                Ok(session.published(view))
            }
            Err(error) => {
                session.give_up(&error, ctx);
                Err(error.into())
            }
        }))
    }

    /// The session with what only the read model knows.
    fn published(&self, mut view: SessionView) -> SessionView {
        view.pending_approvals = self.deps.log.read_model.session(&view.id).map_or(0, |entry| entry.pending);
        view.has_pending_permission = view.pending_approvals > 0;
        view
    }

    /// Moves the state machine; the event belongs into the batch that carries the change.
    fn enter(&mut self, next: SessionState, drafts: &mut Vec<EventDraft>) {
        if self.state() == next {
            return;
        }
        if !self.state().may_become(next) {
            // A path of the agent's that the contract's machine does not have, such as ERROR to AWAITING_INPUT
            // after a late result: the state stays.
            return;
        }
        self.record.session.state = next;
        match next {
            SessionState::Error => self.record.session.ended_at = Some(Stamp::now()),
            SessionState::Running => self.record.session.ended_at = None,
            _ => {}
        }
        drafts.push(EventDraft::new(EventType::SessionState, json!({ "state": next })));
    }

    /// Works a gate's change into a batch.
    fn absorb(
        change: Change,
        drafts: &mut Vec<EventDraft>,
        writes: &mut Vec<Write>,
    ) -> Vec<crate::domain::approval::Approval> {
        drafts.extend(change.drafts);
        writes.extend(change.writes);
        change.deliver
    }

    /// Writes the run with the batch, if there is one.
    fn put_run(&self, writes: &mut Vec<Write>) {
        if let Some(run) = &self.run {
            writes.push(Write::Run(Box::new(run.clone())));
        }
    }

    /// Sends the next queued input when the agent can take it.
    fn pump(&mut self, ctx: &mut Context<Self>) {
        let (mut drafts, mut writes) = (Vec::new(), Vec::new());
        if let Some(input) = self.take_next_input(&mut drafts, &mut writes) {
            self.commit_then(drafts, writes, ctx, move |session, ctx| session.send_input(&input, false, ctx));
        } else if !self.is_busy() && !self.inputs.is_empty() {
            self.ensure_agent(ctx);
        }
    }

    /// Whether the agent works, or no input may be sent for another reason.
    fn is_busy(&self) -> bool {
        self.record.turn_running
            || self.inputs.iter().any(|input| input.state != InputState::Queued)
            || self.closing
            || self.repository.holds_turns()
            // Its program is being ended, and what it is told now it may not live to do.
            || self.run.as_ref().is_some_and(|run| run.stopping)
            || !matches!(self.state(), SessionState::Running | SessionState::AwaitingInput)
    }

    /// Marks the next input as one to be sent, if the agent can take it now. It is sent once the batch is on disk.
    fn take_next_input(&mut self, drafts: &mut Vec<EventDraft>, writes: &mut Vec<Write>) -> Option<Input> {
        let waits = self.inputs.is_empty() || self.process.is_none() || !self.ready || !self.caught_up;
        if waits || self.is_busy() {
            return None;
        }
        self.enter(SessionState::Running, drafts);
        self.inputs.first_mut().map(|input| Self::mark_sent(input, false, drafts, writes))
    }

    /// Marks an input as one to be sent, `steered` if into a turn that runs.
    fn mark_sent(
        input: &mut Input,
        steered: bool,
        drafts: &mut Vec<EventDraft>,
        writes: &mut Vec<Write>,
    ) -> Input {
        input.state = InputState::Sending;
        let mut data = json!({ "input_id": input.id, "synthetic": input.synthetic });
        if steered {
            data["steered"] = true.into();
        }
        drafts.push(EventDraft::new(EventType::InputSent, data));
        writes.push(Write::Input(Box::new(input.clone())));
        input.clone()
    }

    /// Whether the agent works on a turn that it takes more words into.
    fn can_steer(&self) -> bool {
        let takes = |run: &RunRecord| !run.stopping && protocols::steers(&run.protocol);
        self.state() == SessionState::Running
            && self.record.turn_running
            && self.run.as_ref().is_some_and(takes)
            && self.process.is_some()
            && self.ready
            && self.caught_up
            && !self.closing
    }

    /// Hands an input to the agent; what comes of it comes back as the agent's own events.
    fn send_input(&mut self, input: &Input, again: bool, ctx: &mut Context<Self>) {
        self.stop_idle_timer(ctx);
        let command = AgentCommand::Prompt {
            input: input.id.clone(),
            text: input.text.clone(),
            images: input.images.clone(),
        };
        let id = input.id.clone();
        let request = self.requests.remove(&id).unwrap_or_else(Span::none);
        request.in_scope(|| info!(session = %self.id(), input = %id, again, "an input goes to the agent"));
        self.tell(command, again, ctx, move |session, ctx| {
            let Some(input) = session.inputs.iter_mut().find(|input| input.id == id) else { return };
            if input.state == InputState::Sending {
                input.state = InputState::Sent;
                let writes = vec![Write::Input(Box::new(input.clone()))];
                session.commit_then(Vec::new(), writes, ctx, |_, _| {});
            }
        });
    }

    /// Tells the agent something, and goes on when its pipe has taken it. An agent that is gone is
    /// noticed by its end, not here.
    fn tell(
        &mut self,
        command: AgentCommand,
        again: bool,
        ctx: &mut Context<Self>,
        then: impl FnOnce(&mut Self, &mut Context<Self>) + 'static,
    ) {
        let Some(process) = &self.process else { return };
        let told = process.send(Tell { command, again });
        ctx.spawn(told.into_actor(self).map(move |result, session, ctx| match result {
            Ok(Ok(())) => then(session, ctx),
            Ok(Err(crate::agent::TellError::Unsafe)) => {
                warn!(session = %session.id(), "half a line may lie in the agent's pipe, replacing the program");
                if let Some(process) = &session.process {
                    process.do_send(StopAgent);
                }
            }
            Ok(Err(crate::agent::TellError::Gone)) | Err(_) => {}
        }));
    }

    fn stop_idle_timer(&mut self, ctx: &mut Context<Self>) {
        if let Some(timer) = self.idle_timer.take() {
            ctx.cancel_future(timer);
        }
    }

    /// Ends the program if nothing happens for a while; the next input resumes it.
    fn start_idle_timer(&mut self, ctx: &mut Context<Self>) {
        self.stop_idle_timer(ctx);
        let Some(idle_exit) = self.deps.settings.idle_exit else { return };
        self.idle_timer = Some(ctx.run_later(idle_exit, |session, ctx| {
            session.idle_timer = None;
            let pending =
                session.deps.log.read_model.session(session.id()).is_some_and(|entry| entry.pending > 0);
            if pending || session.record.turn_running || !session.inputs.is_empty() {
                return session.start_idle_timer(ctx);
            }
            session.stop_program(ctx);
        }));
    }

    /// Ends the agent program; the record says first that somebody wanted it.
    fn stop_program(&mut self, ctx: &mut Context<Self>) {
        let Some(run) = &mut self.run else { return };
        run.stopping = true;
        let mut writes = Vec::new();
        self.put_run(&mut writes);
        self.commit_then(Vec::new(), writes, ctx, |session, _| {
            if let Some(process) = &session.process {
                process.do_send(StopAgent);
            }
        });
    }
}

crate::handles_traced!(Session);

impl Actor for Session {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(0);
        self.watch_turn(ctx);
        self.recover(ctx);
    }
}

/// End the agent program and take no more work: the session is to be deleted, or the daemon stops with its
/// agents. Answered when the program is gone.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "Result<(), SessionError>")]
pub struct Close {
    /// Also in mid-turn.
    pub force: bool,
}

impl Handler<Close> for Session {
    type Result = ResponseActFuture<Self, Result<(), SessionError>>;

    fn handle(&mut self, Close { force }: Close, ctx: &mut Self::Context) -> Self::Result {
        if self.state().is_active() && !force {
            return Box::pin(fut::err(SessionError::InvalidState("Session is active".into())));
        }
        self.closing = true;
        if let Some(timer) = self.restart_timer.take() {
            ctx.cancel_future(timer);
        }
        self.stop_program(ctx);
        let Some(run) = self.run_id() else { return Box::pin(fut::ok(())) };
        let process = self.process.clone();
        // The process actor ends by itself when the end of the program is recorded.
        let gone = async move {
            let until = tokio::time::Instant::now() + CLOSE_GRACE;
            while process.as_ref().is_some_and(Addr::connected) && tokio::time::Instant::now() < until {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            // Also one that was being started just now.
            tree::end_tree(&run, None, Duration::ZERO).await
        };
        Box::pin(gone.into_actor(self).map(move |ended, session, _| {
            if !ended.survivors.is_empty() {
                error!(session = %session.id(), survivors = ?ended.survivors, "the agent could not be ended");
            }
            Ok(())
        }))
    }
}

/// Ways to die, for tests of supervision.
#[cfg(test)]
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub enum StopForTest {
    /// By a bug.
    Panic,
    /// By itself.
    Stop,
}

#[cfg(test)]
impl Handler<StopForTest> for Session {
    type Result = ();

    fn handle(&mut self, how: StopForTest, ctx: &mut Self::Context) {
        match how {
            StopForTest::Panic => panic!("asked for by a test"),
            StopForTest::Stop => ctx.stop(),
        }
    }
}
