//! What comes from the agent's process actor, and what goes to it.

use std::path::PathBuf;

use actix::prelude::*;
use serde_json::json;

use super::*;
use crate::agent::{AgentCaughtUp, AgentOutput, AgentSpawned, ProcessReports, ProcessSpec, SendOpening};
use crate::domain::agent::AgentEvent;
use crate::domain::approval::{Approval, ApprovalKind};
use crate::gate::{AnswersGiven, Consider, GetUndelivered, MarkDelivered, paths};

impl Session {
    /// Starts the agent program if none runs and nothing speaks against it.
    pub(super) fn ensure_agent(&mut self, ctx: &mut Context<Self>) {
        let wanted = !self.record.external
            && !self.closing
            && self.run.is_none()
            && self.restart_timer.is_none()
            && self.record.hold.is_none()
            && self.state() != SessionState::Created;
        if !wanted {
            return;
        }
        let adapter = self.record.agent_wanted();
        let Some(entry) = self.deps.settings.agents.entry(adapter) else {
            let adapter = adapter.unwrap_or_default();
            let message = format!("no agent is known by the name \"{adapter}\"");
            return self.fail(crate::domain::restart::EndCause::BadConfiguration, message, ctx);
        };
        let (protocol, runner_type) = (entry.protocol.to_owned(), entry.runner_type.clone());
        // Another default later on must not take over this conversation.
        self.record.agent = Some(entry.adapter.clone());
        let resumed = self.record.conversation.is_some() && self.record.conversation_begun;
        if !resumed {
            // An id that the agent knows already cannot be given to a new conversation.
            self.record.conversation = Some(uuid::Uuid::new_v4().to_string());
        }
        let run = RunRecord {
            run: RunId::random(),
            protocol,
            pid: None,
            started: None,
            offset: 0,
            protocol_state: std::mem::take(&mut self.record.protocol_state),
            agent_session: self.record.conversation.clone(),
            resumed,
            ready: false,
            created_at: Stamp::now(),
            stopping: false,
        };
        self.record.session.runner_type = Some(runner_type);
        self.save_before_first_turn(ctx);
        self.run = Some(run.clone());
        self.ready = false;
        self.own_run_begins();
        let writes = vec![Write::Run(Box::new(run))];
        self.commit_then(Vec::new(), writes, ctx, |session, ctx| session.spawn_process(false, ctx));
    }

    /// Has the registry start the process actor of the recorded run.
    pub(super) fn spawn_process(&mut self, adopted: bool, ctx: &mut Context<Self>) {
        let Some(run) = self.run.clone() else { return };
        self.ready = run.ready;
        self.caught_up = !adopted || run.pid.is_none();
        let found_again = !self.caught_up;
        let me = ctx.address();
        let entry = self.deps.settings.agents.entry(self.record.agent_wanted());
        let default_model = entry.and_then(|entry| entry.model.clone());
        let request = StartProcess {
            protocol_state: run.protocol_state.clone(),
            spec: ProcessSpec {
                session: self.id().clone(),
                adopted,
                adapter: entry.map(|entry| entry.adapter.clone()).unwrap_or_default(),
                directory: PathBuf::from(&self.record.session.directory),
                conversation: self.record.conversation.clone().unwrap_or_default(),
                model: self.record.model.clone().or(default_model),
                planning: self.record.planning,
                trusted: self.trust().map(|said| said.trusted),
                run,
            },
            reports: ProcessReports {
                spawned: me.clone().recipient(),
                output: me.clone().recipient(),
                caught_up: me.clone().recipient(),
                ended: me.recipient(),
            },
        };
        let asked = self.deps.spawner.send(request);
        ctx.spawn(asked.into_actor(self).map(move |result, session, ctx| match result {
            Ok(Ok(process)) => {
                session.process = Some(process);
                // With nothing new to read, the news that it is caught up overtakes this reply.
                if found_again && session.caught_up {
                    session.take_up(ctx);
                }
                session.pump(ctx);
            }
            Ok(Err(error)) => {
                warn!(session = %session.id(), %error, "the agent's process actor was not started");
                ctx.stop();
            }
            Err(_) => ctx.stop(),
        }));
    }

    /// The agent was found again and all that it said is recorded: gives it what it may not have got.
    fn take_up(&mut self, ctx: &mut Context<Self>) {
        let (Some(process), Some(run)) = (&self.process, &self.run) else { return };
        let (stopping, run) = (run.stopping, run.run.clone());
        if stopping {
            // Its end was asked for, and a crash of ours may have come before it was told.
            return process.do_send(crate::agent::StopAgent);
        }
        if !self.ready {
            process.do_send(SendOpening);
        }
        let undelivered = self.deps.gate.send(GetUndelivered(run));
        ctx.spawn(undelivered.into_actor(self).map(|approvals, session, ctx| {
            let Ok(approvals) = approvals else { return ctx.stop() };
            session.deliver(approvals, true, ctx);
        }));
        let unsure: Vec<Input> =
            self.inputs.iter().filter(|input| input.state == InputState::Sending).cloned().collect();
        for input in &unsure {
            self.send_input(input, true, ctx);
        }
        if self.state() == SessionState::Interrupting {
            // Behind the batch that records it, should that still be under way.
            self.commit_then(Vec::new(), Vec::new(), ctx, |session, ctx| session.carry_out_interrupt(ctx));
        }
        self.pump(ctx);
        self.rest_if_nothing_to_do(ctx);
    }

    /// Hands answers to the agent, each once. Those that cannot be handed over now are asked of the gate
    /// again when the agent has been found again, or given again when it asks again.
    pub(super) fn deliver(&mut self, approvals: Vec<Approval>, again: bool, ctx: &mut Context<Self>) {
        if !self.caught_up || self.process.is_none() {
            return;
        }
        for approval in approvals {
            let Some(answer) = approval.answer.clone() else { continue };
            if approval.run != self.run_id() || !self.in_delivery.insert(approval.id.clone()) {
                continue;
            }
            let id = approval.id.clone();
            info!(session = %self.id(), approval = %id, again, "an answer goes to the agent");
            let command = AgentCommand::Answer { ask: Box::new(approval.ask()), answer };
            self.tell(command, again, ctx, move |session, ctx| session.mark_delivered(id, ctx));
        }
    }

    fn mark_delivered(&mut self, id: crate::domain::ids::ApprovalId, ctx: &mut Context<Self>) {
        let marked = self.deps.gate.send(MarkDelivered(id.clone()));
        self.marking.insert(id.clone(), false);
        ctx.spawn(marked.into_actor(self).map(move |change, session, ctx| {
            session.in_delivery.remove(&id);
            let is_old = session.marking.remove(&id) == Some(true);
            let Ok(change) = change else { return ctx.stop() };
            let (mut drafts, mut writes) = (Vec::new(), Vec::new());
            Self::absorb(change, &mut drafts, &mut writes);
            // The gate's words about a quick tool's result came in first, and hold the delivery as well.
            if is_old {
                writes.retain(|write| !matches!(write, Write::Approval(_)));
            }
            session.commit_then(drafts, writes, ctx, |_, _| {});
        }));
    }

    /// The chunk is on disk: do what follows from it.
    fn after_output(&mut self, reduced: reduce::Reduced, ctx: &mut Context<Self>) {
        self.deliver(reduced.deliver, false, ctx);
        if reduced.look_at_branch {
            self.look_at_branch(ctx);
        }
        if let Some(interrupted) = reduced.turn_ended {
            // Before the next input is sent.
            self.save_turn(ctx);
            if interrupted {
                self.interrupt_done(ctx);
            }
            self.start_idle_timer(ctx);
            self.watch_hold(ctx);
        }
        if reduced.replace {
            return self.stop_program(ctx);
        }
        if reduced.became_ready || reduced.input_done || reduced.turn_ended.is_some() {
            self.renew_if_resting(ctx);
            self.pump(ctx);
            self.rest_if_nothing_to_do(ctx);
        }
    }

    /// Started without a prompt, or its prompt was taken back or interrupted before it began: the agent
    /// is up and waits.
    fn rest_if_nothing_to_do(&mut self, ctx: &mut Context<Self>) {
        let with_agent = self.inputs.iter().any(|input| input.state != InputState::Queued);
        let nothing_to_do = match self.state() {
            SessionState::Running => self.inputs.is_empty(),
            SessionState::Interrupting => !with_agent,
            _ => false,
        };
        if nothing_to_do && self.ready && !self.record.turn_running {
            let mut drafts = Vec::new();
            self.enter(SessionState::AwaitingInput, &mut drafts);
            self.commit_then(drafts, Vec::new(), ctx, |session, ctx| {
                session.start_idle_timer(ctx);
                session.pump(ctx);
            });
        }
    }
}

impl Handler<AgentSpawned> for Session {
    type Result = ResponseActFuture<Self, Result<(), ()>>;

    fn handle(&mut self, msg: AgentSpawned, _: &mut Self::Context) -> Self::Result {
        let Some(run) = self.run.as_mut().filter(|run| run.run == msg.run) else {
            return Box::pin(fut::err(()));
        };
        run.pid = Some(msg.identity.pid);
        run.started = Some(msg.identity.started);
        let mut drafts = vec![EventDraft::new(
            EventType::AgentStarted,
            json!({
                "run_id": run.run, "agent": run.protocol, "version": msg.version,
                "pid": msg.identity.pid, "resumed": run.resumed,
            }),
        )];
        if let Some(notice) = msg.notice {
            drafts.push(EventDraft::new(
                EventType::Warning,
                json!({ "code": "AGENT_VERSION", "message": notice }),
            ));
        }
        let question = self.trust_question(&msg.brought_along);
        let weighed = question.map(|question| self.deps.gate.send(Consider(vec![question])));
        let weighed = async move {
            match weighed {
                Some(weighed) => weighed.await,
                None => Ok(Vec::new()),
            }
        };
        Box::pin(weighed.into_actor(self).then(move |changes, session, ctx| {
            let Ok(changes) = changes else {
                ctx.stop();
                return Box::pin(fut::err(())) as ResponseActFuture<Self, Result<(), ()>>;
            };
            let mut writes = Vec::new();
            session.put_run(&mut writes);
            for change in changes {
                Self::absorb(change, &mut drafts, &mut writes);
            }
            let committed = session.commit(drafts, writes, Class::Essential);
            Box::pin(
                committed.into_actor(session).map(|result, session, ctx| {
                    result.map(|_| ()).map_err(|error| session.give_up(&error, ctx))
                }),
            )
        }))
    }
}

impl Handler<AgentOutput> for Session {
    type Result = ResponseActFuture<Self, Result<(), ()>>;

    fn handle(&mut self, msg: AgentOutput, _: &mut Self::Context) -> Self::Result {
        if self.run_id().as_ref() != Some(&msg.run) {
            return Box::pin(fut::err(()));
        }
        self.last_news = std::time::Instant::now();
        let directory = PathBuf::from(&self.record.session.directory);
        let asked: Vec<Vec<String>> = msg
            .events
            .iter()
            .filter_map(|event| match event {
                AgentEvent::Asked(ask) => Some(ask.paths.clone()),
                _ => None,
            })
            .collect();
        let resolve = async move {
            let mut resolved = Vec::with_capacity(asked.len());
            for named in &asked {
                resolved.push(paths::resolve_all(&directory, named).await);
            }
            resolved
        };
        Box::pin(
            resolve
                .into_actor(self)
                .then(|resolved, session, _| {
                    let items = reduce::gate_items(session, &msg.events, resolved.into_iter());
                    let gate = session.deps.gate.clone();
                    async move {
                        let changes = match items.is_empty() {
                            true => Ok(Vec::new()),
                            false => gate.send(Consider(items)).await,
                        };
                        (changes, msg)
                    }
                    .into_actor(session)
                })
                .then(|(changes, msg), session, ctx| {
                    let Ok(changes) = changes else {
                        ctx.stop();
                        return Box::pin(fut::err(())) as ResponseActFuture<Self, Result<(), ()>>;
                    };
                    if let Some(run) = &mut session.run {
                        run.offset = msg.offset;
                        run.protocol_state = msg.protocol_state;
                    }
                    let mut reduced = session.reduce(msg.events, changes);
                    session.put_run(&mut reduced.writes);
                    let drafts = std::mem::take(&mut reduced.drafts);
                    let writes = std::mem::take(&mut reduced.writes);
                    let committed = session.commit(drafts, writes, Class::Essential);
                    Box::pin(committed.into_actor(session).map(|result, session, ctx| match result {
                        Ok(_) => {
                            session.after_output(reduced, ctx);
                            Ok(())
                        }
                        Err(error) => {
                            session.give_up(&error, ctx);
                            Err(())
                        }
                    }))
                }),
        )
    }
}

impl Handler<AgentCaughtUp> for Session {
    type Result = ();

    fn handle(&mut self, msg: AgentCaughtUp, ctx: &mut Self::Context) {
        if self.run_id().as_ref() != Some(&msg.run) || self.caught_up {
            return;
        }
        self.caught_up = true;
        self.take_up(ctx);
    }
}

impl Handler<AnswersGiven> for Session {
    type Result = ();

    fn handle(&mut self, AnswersGiven { approvals, span }: AnswersGiven, ctx: &mut Self::Context) {
        self.last_news = std::time::Instant::now();
        let (ours, agents): (Vec<_>, Vec<_>) =
            approvals.into_iter().partition(|approval| approval.kind == ApprovalKind::Trust);
        for approval in &ours {
            self.trust_decided(approval, ctx);
        }
        span.in_scope(|| self.deliver(agents, false, ctx));
    }
}
