//! What the agent said, worked into the session: events to record, projections that change with them, and what
//! is to be done once they are on disk.

use serde_json::{Value, json};

use super::*;
use crate::agent::{protocol, protocols};
use crate::domain::agent::{AgentEvent, InputProgress, TurnEnd};
use crate::domain::approval::Approval;
use crate::domain::restart::{EndCause, Hold};
use crate::gate::{AskedIn, Change, GateItem};

/// What one chunk of the agent's words comes to.
#[derive(Default)]
pub(super) struct Reduced {
    pub drafts: Vec<EventDraft>,
    pub writes: Vec<Write>,
    /// Answers that modes and grants gave, to hand to the agent.
    pub deliver: Vec<Approval>,
    /// A turn ended in this chunk; whether by an interrupt.
    pub turn_ended: Option<bool>,
    /// The agent can take a prompt now.
    pub became_ready: bool,
    /// An input was done with, so that another one may be sent.
    pub input_done: bool,
    /// The branch may have changed, or a person is about to be told of it.
    pub look_at_branch: bool,
    /// The program must be ended: it cannot go on with its conversation, or not work at all.
    pub replace: bool,
}

impl Reduced {
    fn event(&mut self, kind: EventType, data: Value) {
        self.drafts.push(EventDraft::new(kind, data));
    }
}

/// Counts turns the same way wherever they are counted.
#[derive(Clone, Copy)]
struct TurnCount {
    number: u64,
    running: bool,
    continuing: bool,
}

impl TurnCount {
    /// A turn begins; answers whether it is one (the agent says it more than once).
    fn begin(&mut self) -> bool {
        if self.running {
            return false;
        }
        if !self.continuing {
            self.number += 1;
        }
        self.running = true;
        true
    }
}

/// What of this the gate must weigh, in order.
pub(super) fn gate_items(
    session: &Session,
    events: &[AgentEvent],
    mut paths: impl Iterator<Item = Vec<std::path::PathBuf>>,
) -> Vec<GateItem> {
    let run = session.run_id();
    let mut turn = session.turn_count();
    let mut said = session.said.clone();
    let mut items = Vec::new();
    for event in events {
        said.hear(event);
        match event {
            AgentEvent::TurnStarted => drop(turn.begin()),
            AgentEvent::Asked(ask) => items.push(GateItem::Asked {
                ask: ask.clone(),
                paths: paths.next().unwrap_or_default(),
                from: AskedIn { run: run.clone(), turn: turn.number, request_id: None, said: said.get() },
            }),
            AgentEvent::Withdrew(request) => {
                items.push(GateItem::Withdrew { request: request.clone(), run: run.clone() });
            }
            AgentEvent::ToolResult { id, is_error, .. } => {
                items.push(GateItem::ToolResult { tool_use_id: id.clone(), is_error: *is_error });
            }
            AgentEvent::TurnFinished(_) => {
                turn.running = false;
                turn.continuing = false;
                items.push(GateItem::TurnEnded { run: run.clone() });
            }
            _ => {}
        }
    }
    items
}

impl Session {
    fn turn_count(&self) -> TurnCount {
        TurnCount {
            number: self.record.turn,
            running: self.record.turn_running,
            continuing: self.record.continuing,
        }
    }

    /// Works the events in; `changes` are the gate's, one for each of [`gate_items`].
    pub(super) fn reduce(&mut self, events: Vec<AgentEvent>, changes: Vec<Change>) -> Reduced {
        let mut out = Reduced::default();
        let mut changes = changes.into_iter();
        for event in events {
            let weighed = matches!(
                event,
                AgentEvent::Asked(_)
                    | AgentEvent::Withdrew(_)
                    | AgentEvent::ToolResult { .. }
                    | AgentEvent::TurnFinished(_)
            );
            let change = if weighed { changes.next().unwrap_or_default() } else { Change::default() };
            self.reduce_one(event, &mut out);
            let deliver = Self::absorb(change, &mut out.drafts, &mut out.writes);
            out.deliver.extend(deliver);
        }
        out
    }

    fn reduce_one(&mut self, event: AgentEvent, out: &mut Reduced) {
        self.said.hear(&event);
        self.note_what_came(&event);
        match event {
            AgentEvent::Ready { version, model } => self.on_ready(version, model, out),
            AgentEvent::Conversation(id) => {
                if let Some(run) = &mut self.run {
                    run.agent_session = Some(id.clone());
                }
                self.record.session.runner_session_id.get_or_insert_with(|| id.clone());
                self.record.conversation = Some(id);
            }
            AgentEvent::TurnStarted => self.on_turn_started(out),
            AgentEvent::Text { text, parent } => {
                if parent.is_none() {
                    self.show_text(&text);
                }
                let mut data = json!({ "stream": "combined", "text": text, "kind": "step", "final": null });
                add_parent(&mut data, parent);
                out.event(EventType::Output, data);
            }
            AgentEvent::Thinking { text, parent } => {
                let mut data = json!({ "text": text });
                add_parent(&mut data, parent);
                out.event(EventType::Thinking, data);
            }
            AgentEvent::ToolCall { id, name, input, parent } => {
                if parent.is_none() {
                    self.writing.end();
                    self.record.session.last_line = Some(glance::of_tool(&name, &input));
                }
                let mut data = json!({ "tool_use_id": id, "tool_name": name, "input": input });
                add_parent(&mut data, parent);
                out.event(EventType::ToolCall, data);
            }
            AgentEvent::ToolResult { id, text, is_error, parent } => {
                let mut data = json!({ "tool_use_id": id, "text": text, "is_error": is_error });
                add_parent(&mut data, parent);
                out.event(EventType::ToolResult, data);
            }
            AgentEvent::Task { id, tool_use_id, state, kind, text } => out.event(
                EventType::Task,
                json!({ "task_id": id, "tool_use_id": tool_use_id, "state": state, "kind": kind, "text": text }),
            ),
            // The gate has recorded these.
            AgentEvent::Asked(_) => out.look_at_branch = true,
            AgentEvent::Withdrew(_) => {}
            AgentEvent::InputProgress { input, progress } => self.on_progress(&input, progress, out),
            AgentEvent::TurnFinished(end) => self.on_turn_finished(end, out),
            AgentEvent::Retry { attempt, max_attempts, delay_ms, status, error } => out.event(
                EventType::Retry,
                json!({
                    "attempt": attempt, "max_attempts": max_attempts, "delay_ms": delay_ms,
                    "status": status, "error": error,
                }),
            ),
            AgentEvent::Notice { code, message } => {
                if code == protocol::CONVERSATION_LOST {
                    self.record.conversation = None;
                    self.record.conversation_begun = false;
                    out.replace = true;
                }
                out.event(EventType::Warning, json!({ "code": code, "message": message }));
            }
            AgentEvent::Replied { result: Err(message), .. } => {
                out.event(EventType::Warning, json!({ "code": "AGENT_REFUSED", "message": message }));
            }
            AgentEvent::Replied { result: Ok(_), .. } => {}
            AgentEvent::Planning(planning) => self.record.planning = planning,
            AgentEvent::Unable { cause, message } => {
                self.enter(SessionState::Error, &mut out.drafts);
                out.event(EventType::Error, json!({ "code": "AGENT_UNAVAILABLE", "message": message }));
                self.hold(cause, message, None, &mut out.drafts);
                out.replace = true;
            }
            AgentEvent::DeniedByAgent { tool_name, message } => out.event(
                EventType::Warning,
                json!({ "code": "DENIED_BY_AGENT", "message": message, "tool_name": tool_name }),
            ),
            AgentEvent::Unparsed { message, line } => {
                out.event(EventType::AgentUnparsed, json!({ "message": message, "line": line }));
            }
        }
    }

    /// What the agent says is what a list of sessions shows of it.
    pub(super) fn show_text(&mut self, text: &str) {
        if let Some(line) = self.writing.push(text) {
            self.record.session.last_line = Some(line);
        }
    }

    fn on_ready(&mut self, version: Option<String>, model: Option<String>, out: &mut Reduced) {
        let first = self.run.as_ref().is_some_and(|run| !run.ready);
        if let Some(run) = &mut self.run {
            run.ready = true;
        }
        self.ready = true;
        out.became_ready = true;
        let entry = self.deps.settings.agents.entry(self.record.agent_wanted());
        let name = entry.map_or("agent", |entry| entry.title.as_str());
        let title = match &version {
            Some(version) => format!("{name} {version}"),
            None => name.to_owned(),
        };
        let news = model.is_some() && self.record.header_model != model;
        if !first && !news {
            return;
        }
        self.record.header_model = model.clone().or(self.record.header_model.take());
        if version.is_some() || self.record.session.runner_header.is_none() {
            self.record.session.runner_header = Some(title);
        }
        if news {
            let title = self.record.session.runner_header.clone();
            let conversation = self.record.conversation.clone();
            let claude = self.run.as_ref().is_some_and(|run| run.protocol == protocols::CLAUDE);
            let provider = claude.then_some("anthropic");
            out.event(
                EventType::Header,
                json!({ "title": title, "session_id": conversation, "model": model, "provider": provider }),
            );
        }
    }

    fn on_turn_started(&mut self, out: &mut Reduced) {
        let mut turn = self.turn_count();
        if !turn.begin() {
            return;
        }
        let continued = turn.continuing;
        out.look_at_branch = true;
        self.record.turn = turn.number;
        self.record.turn_running = true;
        self.record.continuing = false;
        self.turn_started = Some(std::time::Instant::now());
        if self.state() != SessionState::Interrupting {
            self.enter(SessionState::Running, &mut out.drafts);
        }
        let with_agent = self.inputs.iter().filter(|input| input.state != InputState::Queued);
        let ids: Vec<&InputId> = with_agent.map(|input| &input.id).collect();
        out.event(
            EventType::TurnStarted,
            json!({ "turn": turn.number, "input_ids": ids, "continued": continued }),
        );
    }

    fn on_progress(&mut self, id: &InputId, progress: InputProgress, out: &mut Reduced) {
        let Some(index) = self.inputs.iter().position(|input| input.id == *id) else { return };
        match progress {
            InputProgress::Accepted | InputProgress::Started => {
                let input = &mut self.inputs[index];
                let next = match progress {
                    InputProgress::Started => InputState::Working,
                    _ => InputState::Sent,
                };
                if input.state == next || input.state == InputState::Working {
                    return;
                }
                input.state = next;
                out.writes.push(Write::Input(Box::new(input.clone())));
                self.record.conversation_begun |= next == InputState::Working;
                if next == InputState::Working {
                    self.note_begun(id);
                }
            }
            InputProgress::Completed | InputProgress::Cancelled => {
                self.inputs.remove(index);
                out.writes.push(Write::InputEnd(id.clone()));
                // After a resume the agent may say so at once, without a turn, of an input that it had done.
                out.input_done = true;
            }
        }
    }

    fn on_turn_finished(&mut self, end: TurnEnd, out: &mut Reduced) {
        self.record.turn_running = false;
        self.record.continuing = false;
        self.record.usage.add(end.usage);
        self.turn_started = None;
        let interrupted = end.interrupted || self.state() == SessionState::Interrupting;
        // A program that the agent says nothing more about has done with what it worked on.
        for input in self.inputs.extract_if(.., |input| input.state == InputState::Working) {
            out.writes.push(Write::InputEnd(input.id));
        }
        let tokens = json!({ "input": end.usage.input_tokens, "output": end.usage.output_tokens });
        metadata(out, "tokens", tokens);
        metadata(out, "cost", json!(end.usage.total_cost_usd));
        if let Some(duration) = end.duration_ms {
            metadata(out, "duration_ms", json!(duration));
        }
        self.writing.end();
        if let Some(text) = end.text.as_ref().filter(|text| end.ok && !text.is_empty()) {
            self.show_text(text);
            self.writing.end();
            out.event(
                EventType::OutputFinal,
                json!({ "stream": "combined", "text": text, "kind": "final", "final": true, "attachments": [] }),
            );
        }
        out.event(
            EventType::TurnFinished,
            json!({
                "turn": self.record.turn,
                "ok": end.ok,
                "interrupted": interrupted,
                "reason": end.reason,
                "message": end.error,
                "duration_ms": end.duration_ms,
                "usage": { "input_tokens": end.usage.input_tokens, "output_tokens": end.usage.output_tokens },
                "cost_usd": end.usage.total_cost_usd,
            }),
        );
        out.turn_ended = Some(interrupted);
        out.look_at_branch = true;
        if end.ok || interrupted {
            self.enter(SessionState::AwaitingInput, &mut out.drafts);
            if self.queued().next().is_none() {
                out.event(EventType::InputRequired, input_required(&self.record, end.text.as_deref()));
            }
            return;
        }
        let message = end.error.unwrap_or_else(|| format!("the turn failed ({})", end.reason));
        self.enter(SessionState::Error, &mut out.drafts);
        out.event(EventType::Error, json!({ "code": "AGENT_ERROR", "message": message }));
        if let Some(cause) = end.cause {
            self.hold(cause, message, end.resets_at, &mut out.drafts);
        }
    }

    /// The agent is not started again by itself before a person acts.
    pub(super) fn hold(
        &mut self,
        cause: EndCause,
        message: String,
        until: Option<Stamp>,
        drafts: &mut Vec<EventDraft>,
    ) {
        // The program's end after a limit says the cause again, but not until when.
        let known = self.record.hold.as_ref().filter(|hold| hold.cause == cause).and_then(|hold| hold.until);
        let until = until.or(known);
        drafts.push(EventDraft::new(
            EventType::AgentHeld,
            json!({ "cause": cause, "message": message, "until": until }),
        ));
        self.record.hold = Some(Hold { cause, message, until });
    }
}

fn add_parent(data: &mut Value, parent: Option<String>) {
    if let Some(parent) = parent {
        data["parent_tool_use_id"] = parent.into();
    }
}

fn metadata(out: &mut Reduced, key: &str, value: Value) {
    let raw = value.to_string();
    out.event(EventType::Metadata, json!({ "key": key, "value": value, "raw": raw }));
}

/// The contract cuts the last output at 500 characters.
fn input_required(record: &SessionRecord, text: Option<&str>) -> Value {
    let cut = |text: &str| match text.char_indices().nth(500) {
        Some((at, _)) => (format!("{}...", &text[..at]), true),
        None => (text.to_owned(), false),
    };
    let cut = text.map(cut);
    let truncated = cut.as_ref().is_some_and(|(_, truncated)| *truncated);
    json!({
        "session_name": record.session.name,
        "last_output": cut.map(|(text, _)| text),
        "truncated": truncated,
    })
}
