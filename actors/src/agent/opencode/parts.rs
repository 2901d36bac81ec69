//! The parts of a message: words, reasoning, tool calls. Each is told once, wherever it is heard of:
//! piece by piece while it streams, whole when it is finished, or read back after the connection was down.

use serde_json::Value;

use super::state::{Kind, State, word};
use crate::agent::fields::{Fields, head};
use crate::domain::agent::AgentEvent;

/// Longest tool result that is told, in bytes; the agent keeps the whole.
const RESULT_LIMIT: usize = 64 * 1024;
/// The tool that starts a sub-agent.
const TASK: &str = "task";

/// A piece of a part that streams: `{sessionID, messageID, partID, field, delta}`.
pub(super) fn delta(state: &mut State, properties: &Value, events: &mut Vec<AgentEvent>) {
    let (Some(session), Some(message), Some(part), Some(piece)) = (
        properties.text("sessionID"),
        properties.text("messageID"),
        properties.text("partID"),
        properties.text("delta"),
    ) else {
        return;
    };
    let Some(at) = state.thread(session).filter(|_| properties.text("field") == Some("text")) else { return };
    let parent = parent(state, at);
    let Some(thread) = state.threads.get_mut(at) else { return };
    // A part whose beginning was not heard is told when it is whole.
    let Some(part) = thread.known_part(message, part).filter(|part| !part.sealed && !part.finished) else {
        return;
    };
    if part.kind == Kind::Tool || piece.is_empty() {
        return;
    }
    part.piece(piece);
    events.push(said(part.kind, piece, parent));
}

/// A part as it is now. `whole`: its message is finished, so that nothing more comes. `live`: heard as an event,
/// else read back, and then pieces that are on their way may be in it already.
pub(super) fn updated(
    state: &mut State,
    at: usize,
    part: &Value,
    whole: bool,
    live: bool,
    events: &mut Vec<AgentEvent>,
) {
    let (Some(id), Some(message)) = (part.text("id"), part.text("messageID")) else { return };
    match part.text("type").unwrap_or_default() {
        "text" if !part.flag("ignored") => {
            text(state, at, (message, id), part, Kind::Text, (whole, live), events)
        }
        "reasoning" => text(state, at, (message, id), part, Kind::Thinking, (whole, live), events),
        "tool" => tool(state, at, (message, id), part, events),
        // Steps, snapshots, patches, files: the tools and the messages tell what they are about.
        _ => {}
    }
}

fn text(
    state: &mut State,
    at: usize,
    (message, id): (&str, &str),
    part: &Value,
    kind: Kind,
    (whole, live): (bool, bool),
    events: &mut Vec<AgentEvent>,
) {
    let parent = parent(state, at);
    let Some(thread) = state.threads.get_mut(at) else { return };
    let finished = whole || part.get("time").is_some_and(|time| time.get("end").is_some());
    if !finished && !live {
        // It streams. What is on its way now may be a piece that was missed before.
        if thread.known_part(message, id).is_none() {
            thread.message(message).part(id, kind).sealed = true;
        }
        return;
    }
    let known = thread.message(message).part(id, kind);
    if known.finished || !finished {
        return;
    }
    let rest = known.rest(part.text("text").unwrap_or_default());
    if !rest.is_empty() {
        events.push(said(kind, rest, parent));
    }
}

fn tool(
    state: &mut State,
    at: usize,
    (message, id): (&str, &str),
    part: &Value,
    events: &mut Vec<AgentEvent>,
) {
    let parent = parent(state, at);
    let nothing = Value::Null;
    let of = part.get("state").unwrap_or(&nothing);
    let status = of.text("status").unwrap_or_default();
    let Some(thread) = state.threads.get_mut(at) else { return };
    let known = thread.message(message).part(id, Kind::Tool);
    if known.finished || !matches!(status, "running" | "completed" | "error") {
        return;
    }
    let (call, name) = (part.text("callID").unwrap_or(id), part.text("tool").unwrap_or_default());
    let first = known.told == 0;
    let over = status != "running";
    known.told = 1;
    known.finished = over;
    if first {
        events.push(AgentEvent::ToolCall {
            id: call.to_owned(),
            name: name.to_owned(),
            input: of.get("input").cloned().unwrap_or_default(),
            parent: parent.clone(),
        });
    }
    let child = of.get("metadata").and_then(|data| data.text("sessionId")).filter(|_| name == TASK);
    if let Some(child) = child {
        sub_agent(state, child, call, of, status, events);
    }
    if over {
        let (text, is_error) = match status {
            "completed" => (of.text("output"), false),
            _ => (of.text("error"), true),
        };
        events.push(AgentEvent::ToolResult {
            id: call.to_owned(),
            text: shortened(text.unwrap_or_default()),
            is_error,
            parent,
        });
    }
}

/// A tool call is the work of a sub-agent, which has a conversation of its own.
fn sub_agent(
    state: &mut State,
    child: &str,
    call: &str,
    of: &Value,
    status: &str,
    events: &mut Vec<AgentEvent>,
) {
    let (at, _) = state.thread_of(child);
    let Some(thread) = state.threads.get_mut(at) else { return };
    let title = of.text("title").unwrap_or_default();
    if thread.title.is_empty() {
        thread.title = word(title);
    }
    let began = thread.call.as_deref() != Some(call);
    thread.call = Some(word(call));
    thread.over = matches!(status, "completed" | "error");
    let mut task = |state: &str| {
        events.push(AgentEvent::Task {
            id: child.to_owned(),
            tool_use_id: Some(call.to_owned()),
            state: state.to_owned(),
            kind: Some("agent".to_owned()),
            text: Some(title.to_owned()).filter(|title| !title.is_empty()),
        });
    };
    if began {
        task("started");
    }
    match status {
        "completed" => task("completed"),
        "error" => task("failed"),
        _ => {}
    }
}

/// The call of the sub-agent whose conversation this is; `None` = it is the agent's own.
fn parent(state: &State, at: usize) -> Option<String> {
    let thread = state.threads.get(at)?;
    (!state.is_root(&thread.id)).then(|| thread.call.clone().unwrap_or_else(|| thread.id.clone()))
}

fn said(kind: Kind, text: &str, parent: Option<String>) -> AgentEvent {
    let text = text.to_owned();
    match kind {
        Kind::Thinking => AgentEvent::Thinking { text, parent },
        _ => AgentEvent::Text { text, parent },
    }
}

fn shortened(whole: &str) -> String {
    let shown = head(whole, RESULT_LIMIT);
    if shown.len() == whole.len() {
        return whole.to_owned();
    }
    format!("{shown}\n… cut here: {} of {} bytes are shown", shown.len(), whole.len())
}
