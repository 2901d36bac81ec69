//! The end of an agent program and what comes after it; and the session's own return after a crash of ours.

use actix::prelude::*;
use rand::RngExt;
use serde_json::json;

use super::lost::Looked;
use super::*;
use crate::agent::AgentEnded;
use crate::domain::restart::{EndCause, ProgramEnd, RestartVerdict, classify};
use crate::domain::session::Restarting;
use crate::gate::{Consider, GateItem};

/// What an agent is told that was cut off in the middle of its work.
const GO_ON: &str = "Your process ended unexpectedly while you were working and was started again. \
     Nothing was asked of you since. A tool call that was cut off may or may not have taken effect: check before \
     you do it again. Then go on with what you were doing.";

/// What follows from an end.
enum Next {
    Rest,
    Restart { attempt: usize, delay: Duration },
}

impl Session {
    /// Takes up again what was going on when the daemon or this actor died.
    pub(super) fn recover(&mut self, ctx: &mut Context<Self>) {
        self.watch_hold(ctx);
        if self.record.external {
            if self.state() == SessionState::Interrupting {
                self.carry_out_interrupt(ctx);
            }
            return;
        }
        if self.run.is_some() {
            return self.spawn_process(true, ctx);
        }
        match self.state() {
            SessionState::Interrupting => {
                let mut drafts = Vec::new();
                self.record.turn_running = false;
                self.enter(SessionState::AwaitingInput, &mut drafts);
                self.commit_then(drafts, Vec::new(), ctx, |session, ctx| session.pump(ctx));
            }
            SessionState::Running => {
                self.ensure_agent(ctx);
                self.pump(ctx);
            }
            _ => self.pump(ctx),
        }
    }

    /// The agent cannot work at all: say so and hold it.
    pub(super) fn fail(&mut self, cause: EndCause, message: String, ctx: &mut Context<Self>) {
        let mut drafts = Vec::new();
        self.enter(SessionState::Error, &mut drafts);
        drafts.push(EventDraft::new(
            EventType::Error,
            json!({ "code": "AGENT_UNAVAILABLE", "message": message }),
        ));
        self.hold(cause, message, None, &mut drafts);
        self.commit_then(drafts, Vec::new(), ctx, |_, _| {});
    }

    /// Decides what becomes of the session, with the events that tell it.
    fn after_end(
        &mut self,
        end: &ProgramEnd,
        message: Option<String>,
        lost: bool,
        drafts: &mut Vec<EventDraft>,
        writes: &mut Vec<Write>,
    ) -> Next {
        let at_work = end.in_turn || self.state() == SessionState::Running && !self.inputs.is_empty();
        let cause = match classify(end) {
            // With work before it, an end by itself is one of those that are counted, or it could go on for ever.
            EndCause::Clean if at_work => EndCause::Crash,
            cause => cause,
        };
        let words = message.unwrap_or_else(|| self.describe(cause, end));
        drafts.push(EventDraft::new(
            EventType::AgentExited,
            json!({
                "run_id": self.run_id(), "cause": cause, "exit_code": end.exit_code, "signal": end.signal,
                "message": words, "stderr": end.stderr,
            }),
        ));
        self.record.session.exit_code = end.exit_code;
        match cause {
            EndCause::Stopped | EndCause::Clean => {
                self.end_turn(&words, drafts, writes);
                if self.state().is_active() {
                    self.enter_resting(drafts);
                }
                Next::Rest
            }
            EndCause::Crash | EndCause::OutOfMemory if !at_work => {
                // Nobody waits for it; the next input starts it again.
                if self.state().is_active() {
                    self.enter_resting(drafts);
                }
                Next::Rest
            }
            EndCause::Crash | EndCause::OutOfMemory => self.after_crash(cause, words, lost, drafts, writes),
            _ => {
                self.end_turn(&words, drafts, writes);
                self.enter(SessionState::Error, drafts);
                drafts.push(EventDraft::new(
                    EventType::Error,
                    json!({ "code": "RUNNER_EXIT", "message": words }),
                ));
                self.hold(cause, words, None, drafts);
                Next::Rest
            }
        }
    }

    fn after_crash(
        &mut self,
        cause: EndCause,
        words: String,
        lost: bool,
        drafts: &mut Vec<EventDraft>,
        writes: &mut Vec<Write>,
    ) -> Next {
        if self.state() == SessionState::Interrupting {
            // It was to stop, and it has.
            self.end_turn(&words, drafts, writes);
            self.enter_resting(drafts);
            return Next::Rest;
        }
        let policy = self.record.restart_policy;
        if policy == RestartPolicy::Never {
            self.end_turn(&words, drafts, writes);
            self.enter(SessionState::Error, drafts);
            drafts.push(EventDraft::new(
                EventType::Error,
                json!({ "code": "RUNNER_EXIT", "message": format!("{words}; the next input starts it again") }),
            ));
            return Next::Rest;
        }
        match self.deps.settings.budget.crashed(&mut self.record.crashes, Stamp::now()) {
            RestartVerdict::Hold => {
                let budget = self.deps.settings.budget;
                let text = format!(
                    "the agent crashed {} times within {} minutes, so it is not started again by itself; \
                     the last time: {words}; look at its last words, then send an input to start it again",
                    self.record.crashes.len(),
                    budget.window_seconds / 60,
                );
                self.end_turn(&words, drafts, writes);
                self.enter(SessionState::Error, drafts);
                drafts.push(EventDraft::new(
                    EventType::Error,
                    json!({ "code": "AGENT_HELD", "message": text }),
                ));
                self.hold(cause, text, None, drafts);
                Next::Rest
            }
            RestartVerdict::Restart { attempt, delay_ms } => {
                // Jitter, so that many sessions that one cause killed do not come back in one moment.
                let delay_ms = delay_ms + rand::rng().random_range(0..=delay_ms / 4);
                drafts.push(EventDraft::new(
                    EventType::AgentRestarting,
                    json!({ "attempt": attempt, "delay_ms": delay_ms, "cause": cause, "message": words }),
                ));
                self.plan_return(policy, lost, drafts, writes);
                self.record.session.restarting = Some(Restarting {
                    attempt,
                    limit: self.deps.settings.budget.restarts,
                    at: Stamp::now().plus_seconds(i64::try_from(delay_ms.div_ceil(1000)).unwrap_or(0)),
                });
                Next::Restart { attempt, delay: Duration::from_millis(delay_ms) }
            }
        }
    }

    /// What the agent is told when it is back: what it had not begun is sent again under its id; what it was
    /// working on it is told to go on with, or not, as the policy says. `lost`: it knows nothing of what its turn was
    /// about, which is sent again and begins that turn once more.
    fn plan_return(
        &mut self,
        policy: RestartPolicy,
        lost: bool,
        drafts: &mut Vec<EventDraft>,
        writes: &mut Vec<Write>,
    ) {
        let turn_running = std::mem::take(&mut self.record.turn_running);
        self.record.continuing |= turn_running && lost;
        let was_working =
            turn_running && !lost || self.inputs.iter().any(|input| input.state == InputState::Working);
        for input in self.inputs.extract_if(.., |input| input.state == InputState::Working) {
            writes.push(Write::InputEnd(input.id));
        }
        for input in self.inputs.iter_mut().filter(|input| input.state != InputState::Queued) {
            input.state = InputState::Queued;
            writes.push(Write::Input(Box::new(input.clone())));
        }
        let go_on = was_working && self.record.conversation_begun;
        if go_on && policy == RestartPolicy::Continue {
            self.record.continuing = true;
            let input = self.synthetic_input(GO_ON);
            writes.push(Write::Input(Box::new(input.clone())));
            self.inputs.insert(0, input);
        } else if go_on {
            drafts.push(EventDraft::new(
                EventType::TurnFinished,
                json!({ "turn": self.record.turn, "ok": false, "reason": "crashed", "interrupted": false }),
            ));
        }
    }

    /// Words of ours to the agent, to be said before all that waits.
    pub(super) fn synthetic_input(&self, text: &str) -> Input {
        let first = self.inputs.first().map_or(1, |input| input.order);
        Input {
            id: InputId::random(),
            order: first.saturating_sub(1),
            text: text.to_owned(),
            images: Vec::new(),
            state: InputState::Queued,
            created_at: Stamp::now(),
            by: None,
            synthetic: true,
        }
    }

    /// Ends the turn in the record, if one runs, and forgets what the agent worked on. What it had not begun, and
    /// nobody interrupted, waits for its next life.
    fn end_turn(&mut self, words: &str, drafts: &mut Vec<EventDraft>, writes: &mut Vec<Write>) {
        let interrupted = self.state() == SessionState::Interrupting;
        let over = |input: &Input| match input.state {
            InputState::Queued => false,
            InputState::Sending | InputState::Sent => interrupted,
            InputState::Working => true,
        };
        for input in self.inputs.extract_if(.., |input| over(input) || input.synthetic) {
            writes.push(Write::InputEnd(input.id));
        }
        for input in self.inputs.iter_mut().filter(|input| input.state != InputState::Queued) {
            input.state = InputState::Queued;
            writes.push(Write::Input(Box::new(input.clone())));
        }
        self.record.continuing = false;
        if std::mem::take(&mut self.record.turn_running) {
            drafts.push(EventDraft::new(
                EventType::TurnFinished,
                json!({
                    "turn": self.record.turn, "ok": false, "reason": "agent_ended", "message": words,
                    "interrupted": self.state() == SessionState::Interrupting,
                }),
            ));
        }
    }

    fn enter_resting(&mut self, drafts: &mut Vec<EventDraft>) {
        // Queued inputs keep the session at work.
        if self.state() == SessionState::Interrupting || self.queued().next().is_none() {
            self.enter(SessionState::AwaitingInput, drafts);
        }
    }
}

impl Session {
    fn describe(&self, cause: EndCause, end: &ProgramEnd) -> String {
        let how = match (end.exit_code, end.signal) {
            (_, Some(signal)) => format!("killed by signal {signal}"),
            (Some(code), None) => format!("exit code {code}"),
            (None, None) => "its exit code is not known".to_owned(),
        };
        let last = end.stderr.last().map(|line| format!("; its last words: {line}")).unwrap_or_default();
        match cause {
            EndCause::Clean => format!("the agent ended ({how})"),
            EndCause::Stopped => "the agent was ended as asked".to_owned(),
            EndCause::Crash => format!("the agent ended unexpectedly ({how}){last}"),
            EndCause::OutOfMemory => format!("the agent was killed for want of memory ({how})"),
            EndCause::Authentication => {
                let entry = self.deps.settings.agents.entry(self.record.agent_wanted());
                let advice = entry.map_or("sign in with its own program", |entry| entry.sign_in_advice());
                format!("the agent is not signed in: {advice}, then send an input{last}")
            }
            EndCause::UsageLimit => format!("the account's usage limit is reached{last}"),
            EndCause::BadConfiguration => format!("the agent refused its settings ({how}){last}"),
            EndCause::NotFound => format!("the agent program was not found{last}"),
        }
    }
}

impl Handler<AgentEnded> for Session {
    type Result = ResponseActFuture<Self, Result<(), ()>>;

    fn handle(&mut self, msg: AgentEnded, _: &mut Self::Context) -> Self::Result {
        if self.run_id().as_ref() != Some(&msg.run) {
            return Box::pin(fut::ok(()));
        }
        let looked = self.look_for_inputs();
        Box::pin(looked.into_actor(self).then(move |looked, session, _| session.ended(msg, &looked)))
    }
}

impl Session {
    /// Records the end of the program, with what follows from it.
    fn ended(&mut self, msg: AgentEnded, looked: &Looked) -> ResponseActFuture<Self, Result<(), ()>> {
        let Some(run) = self.run.clone().filter(|run| run.run == msg.run) else {
            return Box::pin(fut::ok(()));
        };
        let mut end = msg.end;
        end.asked_for = run.stopping;
        end.in_turn = self.record.turn_running;
        let (mut drafts, mut writes) = (Vec::new(), vec![Write::RunEnd]);
        let mut notices = Vec::new();
        let lost = self.take_back_lost(looked, &mut notices);
        let next = self.after_end(&end, msg.message, lost, &mut drafts, &mut writes);
        drafts.extend(notices);
        self.record.protocol_state = run.protocol_state;
        self.run = None;
        self.own_run_ends();
        self.process = None;
        self.ready = false;
        self.in_delivery.clear();
        let mut items = vec![GateItem::RunEnded(run.run)];
        if !self.record.continuing {
            // Nobody is coming back to ask again.
            items.push(GateItem::TurnEnded { run: None });
        }
        let weighed = self.deps.gate.send(Consider(items));
        Box::pin(weighed.into_actor(self).then(move |changes, session, ctx| {
            let Ok(changes) = changes else {
                ctx.stop();
                return Box::pin(fut::err(())) as ResponseActFuture<Self, Result<(), ()>>;
            };
            for change in changes {
                Self::absorb(change, &mut drafts, &mut writes);
            }
            let committed = session.commit(drafts, writes, Class::Essential);
            Box::pin(committed.into_actor(session).map(move |result, session, ctx| match result {
                Ok(_) => {
                    session.go_on_after_end(next, ctx);
                    Ok(())
                }
                Err(error) => {
                    session.give_up(&error, ctx);
                    Err(())
                }
            }))
        }))
    }
}

impl Session {
    fn go_on_after_end(&mut self, next: Next, ctx: &mut Context<Self>) {
        self.stop_idle_timer(ctx);
        if let Some(timer) = self.interrupt_timer.take() {
            ctx.cancel_future(timer);
        }
        self.watch_hold(ctx);
        match next {
            // A clean end with inputs waiting, or one that came while the first input was on its way.
            Next::Rest => self.pump(ctx),
            Next::Restart { attempt, delay } => {
                warn!(session = %self.id(), attempt, ?delay, "the agent crashed, starting it again");
                self.restart_timer = Some(ctx.run_later(delay, |session, ctx| {
                    session.restart_timer = None;
                    session.ensure_agent(ctx);
                }));
            }
        }
    }
}
