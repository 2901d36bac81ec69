//! What the agent says, line by line.

use serde_json::Value;

use super::state::{Asked, State, note, word};
use super::wire::{Line, read, refusal};
use super::{Desk, ask, items, notice, opening, say, turn};
use crate::agent::fields::{Fields, head};
use crate::agent::protocol::Heard;
use crate::domain::agent::AgentEvent;

/// How much is kept of a line that cannot be understood, in characters.
const UNPARSED_KEPT: usize = 500;

/// Reads one line.
pub(super) fn hear(state: &mut State, desk: &mut Desk, line: &[u8]) -> Heard {
    let mut heard = Heard::default();
    match read(line) {
        Line::Empty => {}
        Line::Notification { method, params, at } => notification(state, &method, &params, at, &mut heard),
        Line::Request { id, method, params } => asked(state, &id, &method, &params, &mut heard),
        Line::Reply { id, result } => return reply(state, desk, &id, &result),
        Line::UnreadableRequest { id, message } => {
            heard.replies.push(refusal(&id, "the request cannot be read"));
            heard.events.push(refused(&format!("it cannot be read ({message})")));
        }
        Line::Broken(message) => heard.events.push(AgentEvent::Unparsed {
            message,
            line: String::from_utf8_lossy(line).chars().take(UNPARSED_KEPT).collect(),
        }),
    }
    heard
}

fn refused(why: &str) -> AgentEvent {
    notice(super::REQUEST_REFUSED, format!("a request of the agent was refused: {why}"))
}

/// What it wants an answer to. Each is asked or refused; a refusal lets its turn go on.
fn asked(state: &mut State, id: &Value, method: &str, params: &Value, heard: &mut Heard) {
    match ask::read(state, id, method, params) {
        Ok(ask) => {
            state.wait_for(Asked {
                id: id.to_string(),
                name: ask.request.clone(),
                thread: params.text("threadId").map(word).unwrap_or_default(),
                turn: params.text("turnId").map(word).unwrap_or_default(),
            });
            heard.events.push(AgentEvent::Asked(Box::new(ask)));
        }
        Err(why) => {
            heard.replies.push(refusal(id, "nobody here can answer this request"));
            heard.events.push(refused(&why));
        }
    }
}

/// Answers to our own requests.
fn reply(state: &mut State, desk: &mut Desk, id: &str, result: &Result<Value, String>) -> Heard {
    if let Some(heard) = opening::reply(state, desk, id, result) {
        return heard;
    }
    let mut heard = Heard::default();
    if let Some(input) = id.strip_prefix(say::TURN) {
        turn::taken(state, input, result, &mut heard);
    } else if let Some(input) = id.strip_prefix(say::AGAIN) {
        let taken = state.given(input).is_none_or(|given| given.turn.is_some());
        let held = desk.held.iter().position(|(known, _)| known == input);
        if let Some((_, line)) = held.map(|index| desk.held.remove(index)).filter(|_| !taken) {
            heard.replies.push(line);
        }
    } else if id.starts_with(turn::TERMINALS) {
        turn::terminals(state, result, &mut heard);
    } else if let Err(message) = result
        && id.starts_with("set-")
    {
        // The rest are for the moment only: what they were for is over when they are refused.
        heard.events.push(AgentEvent::Replied { request: id.to_owned(), result: Err(message.clone()) });
    }
    heard
}

fn notification(state: &mut State, method: &str, params: &Value, at: Option<u64>, heard: &mut Heard) {
    let events = &mut heard.events;
    match method {
        "item/agentMessage/delta" => items::text_delta(state, params, events),
        "item/reasoning/summaryTextDelta" | "item/reasoning/textDelta" => {
            items::thinking_delta(state, params, events);
        }
        "item/started" => items::started(state, params, events),
        "item/completed" => items::completed(state, params, events),
        "turn/started" => turn::started(state, params, heard),
        "turn/completed" => turn::finished(state, params, heard),
        "turn/plan/updated" => items::steps(state, params, events),
        "thread/tokenUsage/updated" => turn::usage(state, params),
        "account/rateLimits/updated" => turn::limits(state, params, events),
        "error" => turn::error(state, params, at, heard),
        "serverRequest/resolved" => {
            // After our own answer too; then nothing is open any more.
            let id = params.get("requestId").map(Value::to_string).unwrap_or_default();
            let resolved = state.asked.extract_if(.., |asked| asked.id == id);
            events.extend(resolved.map(|asked| AgentEvent::Withdrew(asked.name)));
        }
        "thread/settings/updated" => settings(state, params, events),
        "warning" | "guardianWarning" => {
            if let Some(message) = params.text("message") {
                events.push(notice("AGENT_WARNING", head(message, 2000)));
            }
        }
        "configWarning" => config_warning(params, events),
        "model/rerouted" => {
            let model = |key: &str| params.text(key).unwrap_or("another model");
            let text =
                format!("the provider answers with {} in place of {}", model("toModel"), model("fromModel"));
            events.push(notice("MODEL_REROUTED", text));
        }
        "mcpServer/startupStatus/updated" if params.text("status") == Some("failed") => {
            let name = params.text("name").unwrap_or("?");
            let why = params.text("error").unwrap_or("it does not say why");
            events.push(notice("MCP_SERVER_FAILED", format!("the MCP server {name:?} did not start: {why}")));
        }
        "hook/completed" => hook(params, events),
        "item/autoApprovalReview/completed" => events.push(notice(
            "AGENT_MODE",
            "codex had a request for leave reviewed by a model of its own, so it was not asked here",
        )),
        // What later versions bring, and what is told otherwise too.
        _ => {}
    }
}

/// The settings of a thread changed, by us or by itself.
fn settings(state: &mut State, params: &Value, events: &mut Vec<AgentEvent>) {
    let Some(settings) = params.get("threadSettings") else { return };
    if !state.is_mine(params.text("threadId").unwrap_or_default()) {
        return;
    }
    state.effort = settings.text("effort").map(word);
    if settings.text("model").is_some_and(|model| note(&mut state.model, model)) {
        events.push(AgentEvent::Ready { version: state.version.clone(), model: state.model.clone() });
    }
    let planning = settings.get("collaborationMode").is_some_and(|mode| mode.text("mode") == Some("plan"));
    if planning != state.planning {
        state.planning = planning;
        events.push(AgentEvent::Planning(planning));
    }
    let asks = settings.text("approvalPolicy") == Some("untrusted");
    let us = settings.text("approvalsReviewer").is_none_or(|reviewer| reviewer == "user");
    if !asks || !us {
        events.push(notice(
            "AGENT_MODE",
            "codex's settings changed so that it does not ask here before everything",
        ));
    }
}

/// Something is wrong with the settings. What every start brings and nobody needs to do anything about is left out.
fn config_warning(params: &Value, events: &mut Vec<AgentEvent>) {
    let Some(summary) = params.text("summary") else { return };
    let known =
        ["Project-local config, hooks, and exec policies are disabled", "Codex could not find bubblewrap"];
    if !known.iter().any(|known| summary.starts_with(known)) {
        let details = params.text("details").map(|details| format!(" ({details})")).unwrap_or_default();
        events.push(notice("AGENT_WARNING", head(&format!("{summary}{details}"), 2000)));
    }
}

/// A hook of the person's own refused something.
fn hook(params: &Value, events: &mut Vec<AgentEvent>) {
    let Some(run) = params.get("run").filter(|run| run.text("status") == Some("blocked")) else { return };
    let words: Vec<&str> = run.list("entries").iter().filter_map(|entry| entry.text("text")).collect();
    events.push(AgentEvent::DeniedByAgent {
        tool_name: run.text("eventName").unwrap_or("hook").to_owned(),
        message: format!("a hook said no: {}", words.join("; ")),
    });
}
