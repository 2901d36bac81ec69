//! What people ask of a session.

use actix::prelude::*;
use serde_json::json;

use super::*;
use crate::agent::EndStragglers;
use crate::domain::session::Image;
use crate::gate::SetMode;

/// What a person gives a session to say.
struct NewInput {
    text: String,
    images: Vec<Image>,
    id: InputId,
    by: By,
    /// Whether it must wait for the running turn.
    queued: bool,
}

impl Session {
    /// A new input in the queue, with its events.
    fn accept_input(&mut self, new: NewInput, drafts: &mut Vec<EventDraft>, writes: &mut Vec<Write>) {
        let NewInput { text, images, id, by, queued } = new;
        let now = Stamp::now();
        let mut data = json!({ "text": text, "input_id": id, "by": by });
        if !images.is_empty() {
            let describe = |image: &Image| json!({ "media_type": image.media_type, "filename": image.filename, "bytes": image.data.len() / 4 * 3 });
            data["images"] = images.iter().map(describe).collect();
        }
        if queued {
            data["queued"] = true.into();
        }
        drafts.push(EventDraft::new(EventType::UserInput, data));
        info!(session = %self.id(), input = %id, queued, %by, "an input is taken");
        self.record.session.message_count += 1;
        self.record.recent_inputs.push(id.clone());
        let extra = self.record.recent_inputs.len().saturating_sub(32);
        self.record.recent_inputs.drain(..extra);
        if let Some(name) = naming::from_prompt(self.record.session.name.as_deref(), &text) {
            self.record.session.name = Some(name);
        }
        if self.record.external {
            return;
        }
        self.requests.retain(|id, _| self.inputs.iter().any(|input| input.id == *id));
        self.requests.insert(id.clone(), Span::current());
        if queued {
            let position = self.queued().count() + 1;
            drafts.push(EventDraft::new(
                EventType::InputQueued,
                json!({ "input_id": id, "position": position }),
            ));
        }
        let input = Input {
            id,
            order: self.next_order(),
            text,
            images,
            state: InputState::Queued,
            created_at: now,
            by: Some(by.to_string()),
            synthetic: false,
        };
        writes.push(Write::Input(Box::new(input.clone())));
        self.inputs.push(input);
    }

    pub(super) fn next_order(&self) -> u64 {
        self.inputs.last().map_or(1, |input| input.order + 1)
    }

    pub(super) fn queued(&self) -> impl Iterator<Item = &Input> {
        self.inputs.iter().filter(|input| input.state == InputState::Queued && !input.synthetic)
    }

    /// A person wants work: what held the agent back is forgotten.
    fn revive(&mut self) {
        self.record.hold = None;
        self.record.crashes.clear();
        self.record.session.exit_code = None;
        self.record.session.archived = false;
    }

    fn set_mode(&mut self, approval_mode: Option<u8>, by: &By, drafts: &mut Vec<EventDraft>) -> bool {
        if self.record.session.approval_mode == approval_mode {
            return false;
        }
        self.record.session.approval_mode = approval_mode;
        drafts.push(EventDraft::new(
            EventType::ApprovalModeChanged,
            json!({ "approval_mode": approval_mode, "by": by }),
        ));
        true
    }

    /// Stops the running turn, from RUNNING. Answers the batch that records it.
    fn begin_interrupt(
        &mut self,
        by: &By,
        why: Option<String>,
        ctx: &mut Context<Self>,
    ) -> (Vec<EventDraft>, Vec<Write>) {
        let (mut drafts, mut writes) = (Vec::new(), Vec::new());
        if let Some(why) = why {
            drafts.push(EventDraft::new(
                EventType::Warning,
                json!({ "code": "INTERRUPTED_BY_LIMIT", "message": why, "by": by }),
            ));
        }
        self.enter(SessionState::Interrupting, &mut drafts);
        // Its process actor may still be on its way after a start of ours: then it is told when it was found.
        let reachable = self.run.is_some() && (self.record.turn_running || self.any_with_agent());
        if !self.record.external && !reachable {
            // Nothing runs: what was to begin is taken back.
            if let Some(timer) = self.restart_timer.take() {
                ctx.cancel_future(timer);
            }
            self.record.session.restarting = None;
            let first = self.inputs.iter().position(|input| input.state == InputState::Queued);
            if let Some(input) = first.map(|index| self.inputs.remove(index)) {
                writes.push(Write::InputEnd(input.id.clone()));
                drafts.push(EventDraft::new(
                    EventType::InputWithdrawn,
                    json!({ "input_id": input.id, "by": by }),
                ));
            }
            self.record.turn_running = false;
            self.record.continuing = false;
            self.enter(SessionState::AwaitingInput, &mut drafts);
        }
        (drafts, writes)
    }

    fn any_with_agent(&self) -> bool {
        self.inputs.iter().any(|input| input.state != InputState::Queued)
    }

    /// Carries an interrupt out once it is recorded, and ends the program if that does not help.
    pub(super) fn carry_out_interrupt(&mut self, ctx: &mut Context<Self>) {
        if self.state() != SessionState::Interrupting {
            return self.pump(ctx);
        }
        let grace = if self.record.external { EXTERNAL_INTERRUPT_GRACE } else { INTERRUPT_GRACE };
        let with_agent = self.inputs.iter().filter(|input| input.state != InputState::Queued);
        let given: Vec<InputId> = with_agent.map(|input| input.id.clone()).collect();
        for input in given {
            // One that it has not begun would otherwise begin right after the interrupt.
            self.tell(AgentCommand::CancelInput(input), false, ctx, |_, _| {});
        }
        self.tell(AgentCommand::Interrupt, false, ctx, |_, _| {});
        if let Some(timer) = self.interrupt_timer.take() {
            ctx.cancel_future(timer);
        }
        self.interrupt_timer = Some(ctx.run_later(grace, |session, ctx| {
            session.interrupt_timer = None;
            session.force_stop(ctx);
        }));
    }

    /// Waits no longer for an agent that shall stop its turn: its program is ended, and one that is not ours is taken
    /// to have stopped.
    fn force_stop(&mut self, ctx: &mut Context<Self>) {
        if self.state() != SessionState::Interrupting {
            return;
        }
        if let Some(timer) = self.interrupt_timer.take() {
            ctx.cancel_future(timer);
        }
        if self.record.external {
            let mut drafts = vec![EventDraft::new(
                EventType::Warning,
                json!({ "code": "INTERRUPT_UNANSWERED", "message": "the agent did not say that it stopped" }),
            )];
            self.enter(SessionState::AwaitingInput, &mut drafts);
            self.commit_then(drafts, Vec::new(), ctx, |_, _| {});
        } else {
            warn!(session = %self.id(), "the agent has not stopped its turn, ending its program");
            self.stop_program(ctx);
        }
    }

    /// The turn stopped: no timer is needed, and what its tools left running is ended.
    pub(super) fn interrupt_done(&mut self, ctx: &mut Context<Self>) {
        if let Some(timer) = self.interrupt_timer.take() {
            ctx.cancel_future(timer);
        }
        if let Some(process) = &self.process {
            process.do_send(EndStragglers);
        }
    }

    /// An interrupt by a limit of the configuration.
    pub(super) fn interrupt_now(&mut self, by: By, why: Option<String>, ctx: &mut Context<Self>) {
        let (drafts, writes) = self.begin_interrupt(&by, why, ctx);
        self.commit_then(drafts, writes, ctx, |session, ctx| session.carry_out_interrupt(ctx));
    }

    /// Applies a new approval mode at the gate, records the rest of the batch with it, and answers.
    fn answer_with_mode(
        &mut self,
        mut drafts: Vec<EventDraft>,
        mut writes: Vec<Write>,
        class: Class,
    ) -> ResponseActFuture<Self, Result<SessionView, SessionError>> {
        let mode = self.record.session.approval_mode;
        let considered = self.deps.gate.send(SetMode(mode));
        Box::pin(considered.into_actor(self).then(move |change, session, _| {
            let deliver = match change {
                Ok(change) => Self::absorb(change, &mut drafts, &mut writes),
                Err(_) => return Box::pin(fut::err(SessionError::Restarting)) as ResponseActFuture<Self, _>,
            };
            session.answer(drafts, writes, class, move |session, ctx| {
                session.deliver(deliver, false, ctx);
                session.pump(ctx);
            })
        }))
    }
}

impl Handler<Start> for Session {
    type Result = ResponseActFuture<Self, Result<SessionView, SessionError>>;

    fn handle(&mut self, start: Start, _: &mut Self::Context) -> Self::Result {
        let refuse = |error| Box::pin(fut::err(error)) as Self::Result;
        if self.closing {
            return refuse(SessionError::Restarting);
        }
        if self.state().is_active() {
            return refuse(SessionError::InvalidState("Session not ready to start".into()));
        }
        if !self.record.external && self.record.session.directory.is_empty() {
            return refuse(SessionError::Invalid("Session has no directory assigned".into()));
        }
        self.revive();
        self.record.session.started_at = Some(Stamp::now());
        let (mut drafts, mut writes) = (Vec::new(), Vec::new());
        let mode_changed =
            start.approval_choice.is_some_and(|choice| self.set_mode(Some(choice), &start.by, &mut drafts));
        self.enter(SessionState::Running, &mut drafts);
        if !start.prompt.is_empty() || !start.images.is_empty() {
            let id = InputId::random();
            let new = NewInput { text: start.prompt, images: start.images, id, by: start.by, queued: false };
            self.accept_input(new, &mut drafts, &mut writes);
        }
        if mode_changed {
            return self.answer_with_mode(drafts, writes, Class::Work);
        }
        self.answer(drafts, writes, Class::Work, |session, ctx| {
            session.ensure_agent(ctx);
            session.pump(ctx);
        })
    }
}

impl Handler<GiveInput> for Session {
    type Result = ResponseActFuture<Self, Result<InputAccepted, SessionError>>;

    fn handle(&mut self, input: GiveInput, _: &mut Self::Context) -> Self::Result {
        let refuse = |error| Box::pin(fut::err(error)) as Self::Result;
        if self.closing {
            return refuse(SessionError::Restarting);
        }
        if matches!(self.state(), SessionState::Created | SessionState::Interrupting) {
            let text = "Session not running, awaiting input, or recoverable error";
            return refuse(SessionError::InvalidState(text.into()));
        }
        let id = input.input_id.unwrap_or_else(InputId::random);
        if self.record.recent_inputs.contains(&id) {
            let queued = self.queued().any(|known| known.id == id);
            // Behind the batch that took it, should that still be under way.
            let answer = self.answer(Vec::new(), Vec::new(), Class::Essential, |_, _| {});
            return Box::pin(answer.map(move |result, _, _| {
                result.map(|session| InputAccepted { session, input_id: id, queued })
            }));
        }
        if self.queued().count() >= QUEUE_LIMIT {
            let text = format!("{QUEUE_LIMIT} inputs wait already: withdraw some, or wait for the agent");
            return refuse(SessionError::InvalidState(text));
        }
        let queued = self.state() == SessionState::Running && !self.record.external;
        self.revive();
        let (mut drafts, mut writes) = (Vec::new(), Vec::new());
        self.enter(SessionState::Running, &mut drafts);
        let new = NewInput { text: input.text, images: input.images, id: id.clone(), by: input.by, queued };
        self.accept_input(new, &mut drafts, &mut writes);
        // To an agent that waits, it goes with the batch that takes it.
        let next = self.take_next_input(&mut drafts, &mut writes);
        let answer = self.answer(drafts, writes, Class::Work, move |session, ctx| match next {
            Some(input) => session.send_input(&input, false, ctx),
            None => session.pump(ctx),
        });
        Box::pin(
            answer.map(move |result, _, _| {
                result.map(|session| InputAccepted { session, input_id: id, queued })
            }),
        )
    }
}

impl Handler<Interrupt> for Session {
    type Result = ResponseActFuture<Self, Result<SessionView, SessionError>>;

    fn handle(&mut self, Interrupt { by, force }: Interrupt, ctx: &mut Self::Context) -> Self::Result {
        match self.state() {
            SessionState::Created | SessionState::Error => {
                Box::pin(fut::err(SessionError::InvalidState("Session not running".into())))
            }
            state @ (SessionState::AwaitingInput | SessionState::Interrupting) => {
                if force && state == SessionState::Interrupting {
                    info!(session = %self.id(), %by, "the turn is ended by force");
                    self.force_stop(ctx);
                }
                Box::pin(fut::ok(self.published(self.record.session.clone())))
            }
            SessionState::Running => {
                info!(session = %self.id(), %by, "the turn is interrupted");
                let (drafts, writes) = self.begin_interrupt(&by, None, ctx);
                self.answer(drafts, writes, Class::Essential, |session, ctx| session.carry_out_interrupt(ctx))
            }
        }
    }
}

impl Handler<Rename> for Session {
    type Result = ResponseActFuture<Self, Result<SessionView, SessionError>>;

    fn handle(&mut self, Rename { name }: Rename, _: &mut Self::Context) -> Self::Result {
        self.record.session.name = Some(name);
        self.answer(Vec::new(), Vec::new(), Class::Essential, |_, _| {})
    }
}

impl Handler<Bind> for Session {
    type Result = ResponseActFuture<Self, Result<SessionView, SessionError>>;

    fn handle(&mut self, bind: Bind, _: &mut Self::Context) -> Self::Result {
        let session = &mut self.record.session;
        if let Some(platform) = bind.platform {
            // A thread is one of its platform's.
            if platform.is_some() && platform != session.platform {
                session.platform_thread_id = None;
            }
            session.platform = platform;
        }
        if let Some(thread) = bind.thread {
            session.platform_thread_id = thread;
        }
        self.answer(Vec::new(), Vec::new(), Class::Essential, |_, _| {})
    }
}

impl Handler<SetApprovalMode> for Session {
    type Result = ResponseActFuture<Self, Result<SessionView, SessionError>>;

    fn handle(&mut self, msg: SetApprovalMode, _: &mut Self::Context) -> Self::Result {
        let mut drafts = Vec::new();
        if !self.set_mode(msg.approval_mode, &msg.by, &mut drafts) {
            return Box::pin(fut::ok(self.published(self.record.session.clone())));
        }
        self.answer_with_mode(drafts, Vec::new(), Class::Essential)
    }
}

impl Handler<Configure> for Session {
    type Result = ResponseActFuture<Self, Result<SessionDetails, SessionError>>;

    fn handle(&mut self, msg: Configure, _: &mut Self::Context) -> Self::Result {
        let model = msg.model.filter(|model| *model != self.record.model);
        if let Some(model) = &model {
            self.record.model = model.clone();
        }
        let planning = msg.planning.filter(|planning| *planning != self.record.planning);
        self.record.planning = planning.unwrap_or(self.record.planning);
        if let Some(policy) = msg.restart_policy {
            self.record.restart_policy = policy;
        }
        self.record.auto_checkpoint = msg.auto_checkpoint.unwrap_or(self.record.auto_checkpoint);
        self.record.session.archived = msg.archived.unwrap_or(self.record.session.archived);
        let answer = self.answer(Vec::new(), Vec::new(), Class::Essential, move |session, ctx| {
            if let Some(model) = model {
                session.tell(AgentCommand::SetModel(model), false, ctx, |_, _| {});
            }
            if let Some(planning) = planning {
                session.tell(AgentCommand::SetPlanning(planning), false, ctx, |_, _| {});
            }
        });
        Box::pin(answer.map(|result, session, _| result.map(|_| session.details())))
    }
}

impl Handler<GetQueue> for Session {
    type Result = MessageResult<GetQueue>;

    fn handle(&mut self, _: GetQueue, _: &mut Self::Context) -> Self::Result {
        MessageResult(Queue { inputs: self.queued().cloned().collect(), can_steer: self.can_steer() })
    }
}

impl Handler<SteerInput> for Session {
    type Result = ResponseActFuture<Self, Result<(), SessionError>>;

    fn handle(&mut self, SteerInput { input, by }: SteerInput, _: &mut Self::Context) -> Self::Result {
        if !self.queued().any(|known| known.id == input) {
            return Box::pin(fut::err(SessionError::InputNotQueued(input)));
        }
        if !self.can_steer() {
            let text =
                "no turn runs that takes more words while it runs: they are sent when the agent is free";
            return Box::pin(fut::err(SessionError::InvalidState(text.into())));
        }
        info!(session = %self.id(), %input, %by, "a queued input goes into the running turn");
        let (mut drafts, mut writes) = (Vec::new(), Vec::new());
        let given = self.inputs.iter_mut().find(|known| known.id == input);
        let given = given.map(|given| Self::mark_sent(given, true, &mut drafts, &mut writes));
        let answer = self.answer(drafts, writes, Class::Essential, move |session, ctx| {
            if let Some(input) = given {
                session.send_input(&input, false, ctx);
            }
        });
        Box::pin(answer.map(|result, _, _| result.map(|_| ())))
    }
}

impl Handler<WithdrawInput> for Session {
    type Result = ResponseActFuture<Self, Result<(), SessionError>>;

    fn handle(&mut self, WithdrawInput { input, by }: WithdrawInput, _: &mut Self::Context) -> Self::Result {
        let found = self
            .inputs
            .iter()
            .position(|known| known.id == input && known.state == InputState::Queued && !known.synthetic);
        let Some(index) = found else {
            return Box::pin(fut::err(SessionError::InputNotQueued(input)));
        };
        self.inputs.remove(index);
        self.requests.remove(&input);
        let drafts = vec![EventDraft::new(EventType::InputWithdrawn, json!({ "input_id": input, "by": by }))];
        let writes = vec![Write::InputEnd(input)];
        let answer = self.answer(drafts, writes, Class::Essential, |_, _| {});
        Box::pin(answer.map(|result, _, _| result.map(|_| ())))
    }
}

impl Session {
    fn details(&self) -> SessionDetails {
        let agent = self.run.as_ref().map(|run| RunningAgent {
            run_id: run.run.clone(),
            protocol: run.protocol.clone(),
            pid: run.pid,
            resumed: run.resumed,
        });
        SessionDetails {
            model: self.record.model.clone(),
            planning: self.record.planning,
            restart_policy: self.record.restart_policy,
            usage: self.record.usage.rounded(),
            turn: self.record.turn,
            hold: self.record.hold.clone(),
            recent_crashes: self.record.crashes.len(),
            agent,
            queued_inputs: self.queued().count(),
            archived: self.record.session.archived,
            auto_checkpoint: self.is_saved_each_turn(),
        }
    }
}

impl Handler<GetDetails> for Session {
    type Result = MessageResult<GetDetails>;

    fn handle(&mut self, _: GetDetails, _: &mut Self::Context) -> Self::Result {
        MessageResult(self.details())
    }
}
