//! `session/update`: what the agent tells while it works.

use serde_json::{Value, json};

use super::state::{Stage, State};
use super::turn;
use super::wire::write_block;
use crate::agent::fields::Fields;
use crate::agent::protocol::Heard;
use crate::domain::agent::AgentEvent;

/// Reads one update.
pub(super) fn update(state: &mut State, params: &Value, heard: &mut Heard) {
    let Some(update) = params.get("update") else { return };
    let of_another =
        params.text("sessionId").is_some_and(|id| state.session.as_deref().is_some_and(|own| own != id));
    if of_another {
        return;
    }
    let kind = update.text("sessionUpdate").unwrap_or_default();
    let is_history = matches!(
        kind,
        "user_message_chunk"
            | "agent_message_chunk"
            | "agent_thought_chunk"
            | "tool_call"
            | "tool_call_update"
            | "plan"
    );
    match &mut state.stage {
        Stage::Ready => {}
        // What is told of a conversation that is being taken up was told when it was live.
        Stage::Tuning(tuning) if is_history => {
            tuning.noisy = true;
            if tuning.history {
                return;
            }
        }
        Stage::Tuning(_) => {}
        _ => return,
    }
    match kind {
        "agent_message_chunk" => chunk(state, update, false, &mut heard.events),
        "agent_thought_chunk" => chunk(state, update, true, &mut heard.events),
        "tool_call" | "tool_call_update" => tool(state, update, &mut heard.events),
        "plan" => plan(state, update, &mut heard.events),
        "current_mode_update" => {
            let before = state.knobs.clone();
            if let Some(mode) = update.text("currentModeId") {
                state.knobs.mode_is(mode);
            }
            mode_changed(state, &before, heard);
        }
        "config_option_update" => {
            let before = state.knobs.clone();
            state.knobs.options_are(update.list("configOptions"));
            mode_changed(state, &before, heard);
        }
        "usage_update" => usage(state, update),
        "session_info_update" => {
            let status = update.pointer("/_meta/codex/threadStatus/type").and_then(Value::as_str);
            if let (Some(turn), Some(status)) = (&mut state.turn, status) {
                turn.thread_status(status);
            }
        }
        "notice" => {
            let words = [update.word("title"), update.word("description")].into_iter().flatten();
            let words = words.collect::<Vec<_>>().join(": ");
            heard.events.extend((!words.is_empty()).then(|| super::notice("AGENT_NOTE", words)));
        }
        "compaction_update" if update.text("status") == Some("completed") => {
            let message = "the agent replaced the conversation so far by a summary";
            heard.events.push(super::notice("CONTEXT_COMPACTED", message));
        }
        // Commands, titles, the person's own words, and what later versions bring.
        _ => {}
    }
}

/// A piece of text or of reasoning.
fn chunk(state: &mut State, update: &Value, thinking: bool, events: &mut Vec<AgentEvent>) {
    let mut piece = String::new();
    if let Some(block) = update.get("content") {
        // Writing to a text cannot fail.
        let _ = write_block(&mut piece, block);
    }
    if piece.is_empty() {
        return;
    }
    turn::begin(state, events);
    let parent = None;
    if thinking {
        // Gemini puts a heading above each thought, also where there is none.
        if let Some(rest) = piece.strip_prefix("****\n") {
            piece = rest.to_owned();
        }
        state.turn.iter_mut().for_each(turn::Turn::interposed);
        events.push(AgentEvent::Thinking { text: piece, parent });
        return;
    }
    let text = match &mut state.turn {
        Some(turn) => turn.piece(update.text("messageId"), &piece),
        None => piece,
    };
    events.push(AgentEvent::Text { text, parent });
}

fn tool(state: &mut State, update: &Value, events: &mut Vec<AgentEvent>) {
    let Some(id) = update.word("toolCallId") else { return };
    turn::begin(state, events);
    state.turn.iter_mut().for_each(turn::Turn::interposed);
    if state.calls.is_finished(id) {
        return;
    }
    state.calls.merge(update, state.agent.naming(), false, events);
    let failed = match update.text("status") {
        Some("completed") => false,
        Some("failed") => true,
        _ => return,
    };
    events.extend(state.calls.finish(id, update, failed));
}

/// The agent's list of what it is about to do, told in the form of the tool with which Claude Code keeps such a
/// list.
fn plan(state: &mut State, update: &Value, events: &mut Vec<AgentEvent>) {
    let entries = update.list("entries");
    let todos: Vec<Value> = entries.iter().filter(|entry| entry.is_object()).cloned().collect();
    let text = Value::from(todos.clone()).to_string();
    if !state.plan.is_new(&text) {
        return;
    }
    turn::begin(state, events);
    state.turn.iter_mut().for_each(turn::Turn::interposed);
    let id = format!("plan-{}", state.next);
    state.next = state.next.wrapping_add(1);
    let done = todos.iter().filter(|entry| entry.text("status") == Some("completed")).count();
    let text = format!("{done} of {} done", todos.len());
    let input = json!({ "todos": todos });
    events.push(AgentEvent::ToolCall { id: id.clone(), name: "TodoWrite".to_owned(), input, parent: None });
    events.push(AgentEvent::ToolResult { id, text, is_error: false, parent: None });
}

/// What the conversation cost so far.
fn usage(state: &mut State, update: &Value) {
    let Some(cost) = update.get("cost") else { return };
    if cost.text("currency").is_some_and(|currency| currency != "USD") {
        return;
    }
    if let Some(dollars) = cost.get("amount").and_then(Value::as_f64).filter(|dollars| *dollars >= 0.0) {
        // `as` saturates.
        state.cost = (dollars * 1e9).round() as u64;
    }
}

/// A mode in which it does not ask is left again, and told: the gate would not see all.
fn mode_changed(state: &mut State, before: &super::knobs::Knobs, heard: &mut Heard) {
    if state.knobs.mode_value() == before.mode_value() && state.knobs.planning() == before.planning() {
        return;
    }
    if state.knobs.planning() != before.planning() {
        heard.events.push(AgentEvent::Planning(state.knobs.planning()));
    }
    let Some(current) = state.knobs.mode_value().map(str::to_owned) else { return };
    match state.knobs.asking_mode() {
        Ok(None) => {}
        Ok(Some(mode)) => {
            heard.events.push(super::notice(
                "AGENT_MODE",
                format!(
                    "the agent went into its mode {current}, in which it does not ask before every tool; it was put \
                     back into {mode}"
                ),
            ));
            let id = format!("{}/{mode}", state.fresh("mode"));
            let session = state.session.clone().unwrap_or_default();
            heard.replies.extend(state.knobs.turn(&super::state::Step::Mode(mode), &id, &session));
        }
        Err(mode) => heard.events.push(super::unasking(&mode)),
    }
}
