//! Agents of the person's own, which join by REST (`contract`: external agent flow).

use actix::prelude::*;
use serde_json::json;

use super::*;
use crate::domain::approval::{ApprovalKind, Ask, Question};
use crate::domain::session::OnceMark;
use crate::gate::{AskedIn, Change, Consider, GateItem};

/// So many idempotency keys of a session are remembered: more than one batch may hold.
const REMEMBERED_PUSHES: usize = 256;

impl Session {
    /// The events of a pushed one, state changes first.
    fn push_drafts(&mut self, event: &ExternalEvent) -> Result<Vec<EventDraft>, SessionError> {
        let mut drafts = Vec::with_capacity(2);
        if self.state() == SessionState::Created {
            self.record.session.started_at = Some(Stamp::now());
            self.enter(SessionState::Running, &mut drafts);
        }
        match event {
            ExternalEvent::Output { text, kind, is_final } => {
                let is_final = is_final.unwrap_or(kind == "final");
                self.writing.end();
                self.show_text(text);
                self.said.replace(text);
                let kind = if is_final { "final" } else { "step" };
                let last = if is_final { json!(true) } else { json!(null) };
                drafts.push(EventDraft::new(
                    EventType::Output,
                    json!({ "stream": "combined", "text": text, "kind": kind, "final": last }),
                ));
                if is_final {
                    self.record.pending_final = Some(text.clone());
                }
            }
            ExternalEvent::Status(status) => {
                let next = match status.as_str() {
                    "running" => SessionState::Running,
                    "awaiting_input" | "done" => SessionState::AwaitingInput,
                    "error" => SessionState::Error,
                    _ => return Ok(drafts),
                };
                self.move_to(next, &mut drafts)?;
            }
            ExternalEvent::Error { code, message } => {
                if self.state() != SessionState::Error {
                    self.move_to(SessionState::Error, &mut drafts)?;
                }
                drafts.push(EventDraft::new(EventType::Error, json!({ "code": code, "message": message })));
            }
            ExternalEvent::PermissionRequest { .. } | ExternalEvent::PermissionWithdrawn { .. } => {}
        }
        Ok(drafts)
    }

    fn move_to(&mut self, next: SessionState, drafts: &mut Vec<EventDraft>) -> Result<(), SessionError> {
        let now = self.state();
        if now == next {
            return Ok(());
        }
        if !now.may_become(next) {
            return Err(SessionError::InvalidState(format!(
                "Invalid state transition SessionState.{} -> SessionState.{}",
                now.as_str(),
                next.as_str()
            )));
        }
        self.enter(next, drafts);
        if next != SessionState::Running
            && let Some(text) = self.record.pending_final.take()
        {
            drafts.push(EventDraft::new(
                EventType::OutputFinal,
                json!({ "stream": "combined", "text": text, "kind": "final", "final": true, "attachments": [] }),
            ));
        }
        Ok(())
    }

    /// What was pushed under the same key.
    fn pushed_before(&self, mark: Option<&OnceMark>) -> Option<&OnceMark> {
        let key = &mark?.key;
        self.record.recent_pushes.iter().find(|known| known.key == *key)
    }

    /// What the gate must weigh of it.
    fn push_item(&self, event: &ExternalEvent, drafts: &[EventDraft]) -> Option<GateItem> {
        match event {
            ExternalEvent::PermissionRequest { request_id, tool_name, tool_input, suggestions } => {
                let request = request_id
                    .clone()
                    .unwrap_or_else(|| format!("perm_{}", &uuid::Uuid::new_v4().simple().to_string()[..8]));
                let ask = external_ask(&request, tool_name, tool_input, suggestions.clone());
                let from = AskedIn {
                    run: None,
                    turn: self.record.turn,
                    request_id: Some(request),
                    said: self.said.get(),
                };
                Some(GateItem::Asked { ask: Box::new(ask), paths: Vec::new(), from })
            }
            ExternalEvent::PermissionWithdrawn { request_id } => {
                Some(GateItem::Withdrew { request: request_id.clone(), run: None })
            }
            ExternalEvent::Status(_) | ExternalEvent::Error { .. }
                if !drafts.is_empty() && self.state() != SessionState::Running =>
            {
                Some(GateItem::ExternalTurnEnded)
            }
            _ => None,
        }
    }

    /// Records a pushed event. The session's own projection goes along only when it changed in more
    /// than its time stamp, or once a second: this is the path that takes thousands of events.
    fn record_push(
        &mut self,
        drafts: Vec<EventDraft>,
        changed: bool,
        change: Change,
    ) -> impl Future<Output = Result<Committed, LogError>> + use<> {
        let (mut drafts, mut writes) = (drafts, Vec::new());
        Self::absorb(change, &mut drafts, &mut writes);
        let now = Stamp::now();
        if changed || now.unix() != self.recorded_activity {
            return futures_util::future::Either::Left(self.commit(drafts, writes, Class::Work));
        }
        futures_util::future::Either::Right(self.send_batch(drafts, writes, Class::Work))
    }
}

/// A question of an external agent. One that follows the contract's `AskUserQuestion` convention is a question
/// with choices; everything else is a tool.
fn external_ask(
    request: &str,
    tool_name: &str,
    tool_input: &serde_json::Value,
    suggestions: Option<serde_json::Value>,
) -> Ask {
    let questions: Vec<Question> = tool_name
        .starts_with("AskUserQuestion")
        .then(|| tool_input.get("questions").cloned())
        .flatten()
        .and_then(|questions| serde_json::from_value(questions).ok())
        .unwrap_or_default();
    let kind = if questions.is_empty() { ApprovalKind::Tool } else { ApprovalKind::Question };
    let detail = ["command", "file_path", "path", "description", "message", "prompt"]
        .iter()
        .find_map(|key| tool_input.get(key).and_then(serde_json::Value::as_str));
    let title = match (questions.first(), detail) {
        (Some(question), _) => question.question.clone(),
        (None, Some(detail)) => format!("{tool_name}: {}", naming::shorten(detail, 120)),
        (None, None) => tool_name.to_owned(),
    };
    Ask {
        request: request.to_owned(),
        kind,
        tool_name: tool_name.to_owned(),
        tool_input: tool_input.clone(),
        title,
        diff: None,
        paths: Vec::new(),
        is_edit: false,
        questions,
        reason: None,
        suggestions,
        tool_use_id: None,
        subagent: None,
        can_change_input: true,
    }
}

/// What is to be recorded of a pushed event.
enum Taken {
    /// It was pushed before.
    Known,
    /// These events; and whether more of the session changed than they say.
    New { drafts: Vec<EventDraft>, changed: bool },
}

impl Session {
    /// Takes a pushed event into the session, to be recorded.
    fn take_push(
        &mut self,
        event: &ExternalEvent,
        mark: Option<OnceMark>,
        ctx: &mut Context<Self>,
    ) -> Result<Taken, SessionError> {
        if self.closing {
            return Err(SessionError::Restarting);
        }
        if self.run.is_some() {
            let text = "an agent that tether runs drives this session: events cannot be pushed into it";
            return Err(SessionError::InvalidState(text.into()));
        }
        if let Some(known) = self.pushed_before(mark.as_ref()) {
            if Some(known) != mark.as_ref() {
                let text =
                    "this idempotency key was used for another event: give every event a key of its own";
                return Err(SessionError::Invalid(text.into()));
            }
            return Ok(Taken::Known);
        }
        let before = self.state();
        let mut changed = !std::mem::replace(&mut self.record.external, true);
        let had_final = self.record.pending_final.is_some();
        let drafts = self.push_drafts(event)?;
        if let Some(mark) = mark {
            self.record.recent_pushes.push(mark);
            let extra = self.record.recent_pushes.len().saturating_sub(REMEMBERED_PUSHES);
            self.record.recent_pushes.drain(..extra);
            changed = true;
        }
        changed |= before != self.state() || had_final || self.record.pending_final.is_some();
        if before == SessionState::Interrupting
            && self.state() != before
            && let Some(timer) = self.interrupt_timer.take()
        {
            ctx.cancel_future(timer);
        }
        if before == SessionState::Running
            && matches!(self.state(), SessionState::AwaitingInput | SessionState::Error)
        {
            self.look_at_branch(ctx);
            self.save_turn(ctx);
        }
        Ok(Taken::New { drafts, changed })
    }
}

/// Has a session start afresh from what is on disk if the log did not take what changed in it.
fn recorded(me: &Addr<Session>, result: Result<Committed, LogError>) -> Result<(), SessionError> {
    result.map(drop).map_err(|error| {
        me.do_send(StartAfresh);
        SessionError::Log(error)
    })
}

impl Handler<PushEvent> for Session {
    type Result = ResponseFuture<Result<(), SessionError>>;

    fn handle(&mut self, PushEvent { event, mark }: PushEvent, ctx: &mut Self::Context) -> Self::Result {
        let me = ctx.address();
        let (drafts, changed) = match self.take_push(&event, mark, ctx) {
            Ok(Taken::New { drafts, changed }) => (drafts, changed),
            Ok(Taken::Known) => return behind(me),
            Err(error) => return Box::pin(async move { Err(error) }),
        };
        let Some(item) = self.push_item(&event, &drafts) else {
            if drafts.is_empty() && !changed {
                return Box::pin(async { Ok(()) });
            }
            let pushed = self.record_push(drafts, changed, Change::default());
            return Box::pin(async move { recorded(&me, pushed.await) });
        };
        // Rare enough to go through the gate and come back in order.
        let asked = me.send(RecordWeighed { drafts, item: Some(Box::new(item)) });
        Box::pin(async move { recorded(&me, asked.await.unwrap_or(Err(LogError::Closed))) })
    }
}

/// The answer to what was pushed before: behind the batch that took it, should that still be under way.
fn behind(me: Addr<Session>) -> ResponseFuture<Result<(), SessionError>> {
    let behind = me.send(RecordWeighed { drafts: Vec::new(), item: None });
    Box::pin(async move { Ok(behind.await.unwrap_or(Err(LogError::Closed)).map(drop)?) })
}

impl Handler<PushEvents> for Session {
    type Result = ResponseFuture<Result<(), RefusedPush>>;

    fn handle(&mut self, PushEvents(mut pushed): PushEvents, ctx: &mut Self::Context) -> Self::Result {
        let me = ctx.address();
        let is_output = |pushed: &PushEvent| matches!(pushed.event, ExternalEvent::Output { .. });
        let mut rest = pushed.split_off(pushed.iter().take_while(|pushed| is_output(pushed)).count());
        let outputs = pushed.len();
        let (mut drafts, mut changed, mut known, mut refused) =
            (Vec::with_capacity(outputs), false, false, None);
        for (at, PushEvent { event, mark }) in pushed.into_iter().enumerate() {
            match self.take_push(&event, mark, ctx) {
                Ok(Taken::New { drafts: more, changed: more_changed }) => {
                    drafts.extend(more);
                    changed |= more_changed;
                }
                Ok(Taken::Known) => known = true,
                Err(error) => {
                    refused = Some(RefusedPush { at, error });
                    break;
                }
            }
        }
        let all: ResponseFuture<_> = if !drafts.is_empty() || changed {
            let (me, pushed) = (me.clone(), self.record_push(drafts, changed, Change::default()));
            Box::pin(async move { recorded(&me, pushed.await) })
        } else if known {
            behind(me.clone())
        } else {
            Box::pin(async { Ok(()) })
        };
        Box::pin(async move {
            all.await.map_err(|error| RefusedPush { at: 0, error })?;
            if let Some(refused) = refused {
                return Err(refused);
            }
            if rest.is_empty() {
                return Ok(());
            }
            let ended = |_| Err(SessionError::Restarting);
            let next = rest.remove(0);
            let one = me.send(next).await.unwrap_or_else(ended);
            one.map_err(|error| RefusedPush { at: outputs, error })?;
            let ended = |_| Err(RefusedPush { at: 0, error: SessionError::Restarting });
            let others = me.send(PushEvents(rest)).await.unwrap_or_else(ended);
            others.map_err(|refused| RefusedPush { at: refused.at + outputs + 1, ..refused })
        })
    }
}

/// Throw this life of the session away; the registry rebuilds it from the log.
#[derive(Message)]
#[rtype(result = "()")]
struct StartAfresh;

impl Handler<StartAfresh> for Session {
    type Result = ();

    fn handle(&mut self, _: StartAfresh, ctx: &mut Self::Context) {
        ctx.stop();
    }
}

/// Have the gate weigh this, if there is anything, then record both.
#[derive(Message)]
#[rtype(result = "Result<Committed, LogError>")]
struct RecordWeighed {
    drafts: Vec<EventDraft>,
    item: Option<Box<GateItem>>,
}

impl Handler<RecordWeighed> for Session {
    type Result = AtomicResponse<Self, Result<Committed, LogError>>;

    fn handle(&mut self, msg: RecordWeighed, _: &mut Self::Context) -> Self::Result {
        let weighed = self.deps.gate.send(Consider(msg.item.map(|item| *item).into_iter().collect()));
        AtomicResponse::new(Box::pin(weighed.into_actor(self).then(|changes, session, _| {
            let mut whole = Change::default();
            let answered = changes.is_ok();
            changes.unwrap_or_default().into_iter().for_each(|change| whole.merge(change));
            let recorded = session.record_push(msg.drafts, true, whole);
            async move { if answered { recorded.await } else { Err(LogError::Closed) } }.into_actor(session)
        })))
    }
}
