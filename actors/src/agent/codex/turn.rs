//! Turns: how they begin and end, what fails in them, and the account's limits.

use serde_json::{Value, json};

use super::state::{State, Tokens, note, word};
use super::wire::request;
use super::{ask, notice};
use crate::agent::fields::Fields;
use crate::agent::protocol::Heard;
use crate::domain::agent::{AgentEvent, InputProgress, TurnEnd};
use crate::domain::ids::InputId;
use crate::domain::restart::EndCause;
use crate::domain::time::Stamp;

/// For how long Codex may try to reach its provider, which it does for ever: milliseconds.
const OFFLINE_PATIENCE: u64 = 10 * 60 * 1000;
/// From how many per cent on a limit is nearly reached.
const NEARLY: f64 = 90.0;

/// `turn/started`.
pub(super) fn started(state: &mut State, params: &Value, heard: &mut Heard) {
    let Some(turn) = params.get("turn").and_then(|turn| turn.text("id")) else { return };
    let thread = params.text("threadId").unwrap_or_default();
    if !state.is_mine(thread) {
        state.child(thread).turn = Some(word(turn));
        if state.interrupting {
            heard.replies.extend(super::say::interrupt(state));
        }
        return;
    }
    // A turn that is over does not begin again.
    if state.turn.as_deref() == Some(turn) || state.last_turn.as_deref() == Some(turn) {
        return;
    }
    begin(state, turn, heard);
    if state.interrupting {
        // It was wanted before there was anything to interrupt.
        heard.replies.extend(super::say::interrupt(state));
    }
}

fn begin(state: &mut State, turn: &str, heard: &mut Heard) {
    state.turn = Some(word(turn));
    state.base = state.total;
    state.by_children = Tokens::default();
    state.last_message = None;
    state.gave_up = None;
    state.offline_since = None;
    state.offline_tries = 0;
    state.proposed = None;
    heard.events.push(AgentEvent::TurnStarted);
    if let Some(plan) = state.plan_asked.take() {
        // The person went on without an answer to it.
        heard.events.push(AgentEvent::Withdrew(plan));
    }
}

/// The answer to a `turn/start`: the turn that takes the prompt, or why none does.
pub(super) fn taken(state: &mut State, input: &str, result: &Result<Value, String>, heard: &mut Heard) {
    let progress = |progress| AgentEvent::InputProgress { input: InputId::from(input), progress };
    match result {
        Ok(reply) => {
            let turn = reply.get("turn").and_then(|turn| turn.text("id")).map(word);
            if let Some(given) = state.given(input).filter(|given| given.turn.is_none()) {
                given.turn = turn.or_else(|| Some(String::new()));
                heard.events.push(progress(InputProgress::Accepted));
            }
            if let Some(plan) = input.strip_prefix(ask::PLAN) {
                // The answer to a plan is carried out.
                heard.events.push(AgentEvent::ToolResult {
                    id: plan.to_owned(),
                    text: String::new(),
                    is_error: false,
                    parent: None,
                });
            }
        }
        Err(message) => {
            state.given.retain(|given| given.input != input);
            heard.events.push(progress(InputProgress::Cancelled));
            let error = format!("codex did not take the prompt: {message}");
            if state.turn.is_some() {
                heard.events.push(notice("PROMPT_REFUSED", error));
                return;
            }
            state.interrupting = false;
            heard.events.push(AgentEvent::TurnStarted);
            heard.events.push(AgentEvent::TurnFinished(TurnEnd {
                reason: "refused".to_owned(),
                error: Some(error),
                ..TurnEnd::default()
            }));
        }
    }
}

/// `turn/completed`, the only end of a turn.
pub(super) fn finished(state: &mut State, params: &Value, heard: &mut Heard) {
    let Some(turn) = params.get("turn") else { return };
    let thread = params.text("threadId").unwrap_or_default();
    let Some(id) = turn.text("id") else { return };
    let status = turn.text("status").unwrap_or("failed");
    if !state.is_mine(thread) {
        let child = state.child(thread);
        if child.turn.as_deref() == Some(id) {
            child.turn = None;
            close_items(state, thread, status, heard);
        }
        return;
    }
    if state.last_turn.as_deref() == Some(id) {
        return;
    }
    if state.turn.as_deref() != Some(id) {
        // Its beginning was not heard.
        begin(state, id, heard);
    }
    state.turn = None;
    state.last_turn = Some(word(id));
    close_items(state, thread, status, heard);
    close_inputs(state, id, status, heard);
    let interrupted = status == "interrupted" && state.gave_up.is_none();
    let ok = status == "completed";
    if status == "interrupted" {
        stop_leftovers(state, heard);
    }
    if let Some(plan) = state.proposed.take().filter(|_| ok && state.planning) {
        let ask = ask::about_plan(&plan.item, &plan.text);
        state.plan_asked = Some(ask.request.clone());
        heard.events.push(AgentEvent::Asked(Box::new(ask)));
    }
    let nothing = Value::Null;
    let failure = turn.get("error").filter(|error| !error.is_null()).unwrap_or(&nothing);
    let error = state.gave_up.take().or_else(|| {
        (!ok && !interrupted).then(|| {
            let message = failure.text("message").filter(|message| !message.is_empty());
            message.map(in_words).unwrap_or_else(|| format!("the turn ended without a result ({status})"))
        })
    });
    let cause = error.as_deref().and_then(|error| cause(failure, error));
    state.last_cause = cause;
    let answer = turn.list("items").iter().rev().find(|item| item.text("type") == Some("agentMessage"));
    let text = answer.and_then(|item| item.text("text")).filter(|text| ok && !text.is_empty());
    let used = state.total.since(state.base).plus(state.by_children);
    state.by_children = Tokens::default();
    state.interrupting = false;
    heard.events.push(AgentEvent::TurnFinished(TurnEnd {
        ok,
        reason: kind(failure).unwrap_or(status).to_owned(),
        text: text.map(str::to_owned),
        error,
        interrupted,
        duration_ms: turn.number("durationMs"),
        usage: used.usage(),
        cause,
        resets_at: state
            .limit_resets_at
            .filter(|_| cause == Some(EndCause::UsageLimit))
            .map(Stamp::from_unix),
    }));
}

/// Items that are open get no end of their own when a turn is interrupted or fails. A command that goes on
/// behind a turn that ended well is a task in the background from then on.
fn close_items(state: &mut State, thread: &str, status: &str, heard: &mut Heard) {
    let parent = state.parent(thread);
    let (of_turn, others): (Vec<_>, Vec<_>) = std::mem::take(&mut state.items)
        .into_iter()
        .partition(|item| item.thread == thread && !item.background);
    state.items = others;
    for mut item in of_turn {
        let goes_on = status == "completed" && item.kind == "commandExecution";
        let text = match status {
            _ if goes_on => "it goes on in the background",
            "interrupted" => "it was interrupted before it ended",
            _ => "the turn ended before it did",
        };
        heard.events.push(AgentEvent::ToolResult {
            id: item.id.clone(),
            text: text.to_owned(),
            is_error: !goes_on,
            parent: parent.clone(),
        });
        if goes_on {
            heard.events.push(AgentEvent::Task {
                id: item.id.clone(),
                tool_use_id: Some(item.id.clone()),
                state: "started".to_owned(),
                kind: Some("shell".to_owned()),
                text: None,
            });
            item.background = true;
            state.open(item);
        } else if item.kind == "commandExecution" {
            state.leftovers.push(item.id);
        }
    }
}

/// Prompts that this turn had taken and that never got into the conversation.
fn close_inputs(state: &mut State, turn: &str, status: &str, heard: &mut Heard) {
    let of_turn = |given: &super::state::Given| given.turn.as_deref() == Some(turn);
    for given in std::mem::take(&mut state.given) {
        if !of_turn(&given) {
            state.given.push(given);
        } else if !given.begun {
            let progress =
                if status == "completed" { InputProgress::Completed } else { InputProgress::Cancelled };
            heard
                .events
                .push(AgentEvent::InputProgress { input: InputId::from(given.input.as_str()), progress });
        }
    }
}

/// An interrupt ends the turn, but not the commands in it: they would go on in the background.
fn stop_leftovers(state: &mut State, heard: &mut Heard) {
    if state.leftovers.is_empty() {
        return;
    }
    let id = state.next_id(TERMINALS);
    let thread = state.conversation.as_deref().unwrap_or_default();
    heard.replies.push(request(&id, "thread/backgroundTerminals/list", json!({ "threadId": thread })));
}

/// How the id begins of the request for what runs in the background.
pub(super) const TERMINALS: &str = "terminals";

/// What runs in the background: that of the interrupted turn is ended, the rest goes on.
pub(super) fn terminals(state: &mut State, result: &Result<Value, String>, heard: &mut Heard) {
    let left = std::mem::take(&mut state.leftovers);
    let Ok(reply) = result else { return };
    let thread = state.conversation.clone().unwrap_or_default();
    for terminal in reply.list("data") {
        let of_turn = terminal.text("itemId").is_some_and(|item| left.iter().any(|left| left == item));
        let Some(process) = terminal.text("processId").filter(|_| of_turn) else { continue };
        let id = state.next_id("terminate");
        let params = json!({ "threadId": thread, "processId": process });
        heard.replies.push(request(&id, "thread/backgroundTerminals/terminate", params));
    }
}

/// `error`: one that is tried again is news; any other comes once more with the end of the turn.
pub(super) fn error(state: &mut State, params: &Value, at: Option<u64>, heard: &mut Heard) {
    let Some(error) = params.get("error").filter(|_| params.flag("willRetry")) else { return };
    if !state.is_mine(params.text("threadId").unwrap_or_default()) {
        return;
    }
    let message = error.text("message").unwrap_or_default();
    let (attempt, max_attempts) = match count(message) {
        Some(count) => count,
        None => {
            state.offline_tries = state.offline_tries.saturating_add(1);
            (state.offline_tries, 0)
        }
    };
    heard.events.push(AgentEvent::Retry {
        attempt,
        max_attempts,
        // It is not told.
        delay_ms: 0,
        status: status(error),
        error: error.text("additionalDetails").unwrap_or(message).to_owned(),
    });
    let Some(at) = at.filter(|_| max_attempts == 0) else { return };
    let since = *state.offline_since.get_or_insert(at);
    if at.saturating_sub(since) >= OFFLINE_PATIENCE && state.gave_up.is_none() && state.turn.is_some() {
        state.gave_up = Some(format!(
            "the model's provider could not be reached for {} minutes ({}); see to the network or the address, then send an input",
            OFFLINE_PATIENCE / 60_000,
            error.text("additionalDetails").unwrap_or("no connection"),
        ));
        let interrupt = super::say::interrupt(state);
        // The person did not ask for it.
        state.interrupting = false;
        heard.replies.extend(interrupt);
    }
}

/// `Reconnecting... 2/5`.
fn count(message: &str) -> Option<(u64, u64)> {
    let (attempt, of) = message.rsplit(' ').next()?.split_once('/')?;
    Some((attempt.parse().ok()?, of.parse().ok()?))
}

/// A provider's raw answer as words, where it is one.
fn in_words(message: &str) -> String {
    let parsed = serde_json::from_str::<Value>(message).ok();
    let within = parsed.as_ref().and_then(|value| {
        let error = value.get("error").unwrap_or(value);
        error.text("message").or(value.text("detail"))
    });
    within.map_or_else(|| message.to_owned(), |words| format!("the model's provider refused: {words}"))
}

/// Codex's name for a failure: a word, or an object whose only key is that word.
fn kind(error: &Value) -> Option<&str> {
    let info = error.get("codexErrorInfo")?;
    info.as_str().or_else(|| info.as_object()?.keys().next().map(String::as_str))
}

/// The HTTP status in a failure.
fn status(error: &Value) -> Option<u64> {
    let info = error.get("codexErrorInfo")?.as_object()?;
    info.values().find_map(|value| value.number("httpStatusCode"))
}

/// Why it failed, if it is nothing that the same request again would mend.
fn cause(failure: &Value, error: &str) -> Option<EndCause> {
    match (kind(failure), status(failure)) {
        (Some("unauthorized"), _) | (_, Some(401)) => Some(EndCause::Authentication),
        (Some("usageLimitExceeded" | "sessionBudgetExceeded"), _) | (_, Some(402 | 429)) => {
            Some(EndCause::UsageLimit)
        }
        _ if error.contains("Missing environment variable") => Some(EndCause::Authentication),
        _ if error.contains("usage limit") => Some(EndCause::UsageLimit),
        _ => None,
    }
}

/// `thread/tokenUsage/updated`.
pub(super) fn usage(state: &mut State, params: &Value) {
    let Some(total) = params.get("tokenUsage").and_then(|usage| usage.get("total")) else { return };
    let total = Tokens::read(total);
    let thread = params.text("threadId").unwrap_or_default();
    if !state.is_mine(thread) {
        let child = state.child(thread);
        let used = total.since(child.total);
        child.total = total;
        state.by_children = state.by_children.plus(used);
        return;
    }
    if state.turn.is_none() {
        // A resumed thread tells where it stood.
        state.base = total;
    }
    state.total = total;
}

/// `account/rateLimits/updated`: how far the account's limits are used; `resetsAt` in Unix seconds.
pub(super) fn limits(state: &mut State, params: &Value, events: &mut Vec<AgentEvent>) {
    let Some(limits) = params.get("rateLimits") else { return };
    let windows = || ["primary", "secondary"].into_iter().filter_map(|key| limits.get(key));
    let used = |window: &Value| window.figure("usedPercent").unwrap_or(0.0);
    let resets = |window: &Value| window.number("resetsAt").and_then(|at| i64::try_from(at).ok());
    let full = || windows().filter(|window| used(window) >= 100.0);
    let reached = limits.text("rateLimitReachedType");
    let is_reached = reached.is_some() || full().next().is_some();
    state.limit_resets_at = full().filter_map(resets).max().filter(|_| is_reached);
    let until = |at: Option<i64>| at.map(|at| format!(" until {}", Stamp::from_unix(at))).unwrap_or_default();
    let (code, message) = if is_reached {
        let what = match reached {
            Some(reached) if reached.contains("credits") => "credits are used up",
            _ => "usage limit is reached",
        };
        ("USAGE_LIMIT", format!("the account's {what}{}", until(state.limit_resets_at)))
    } else if let Some(window) = windows().find(|window| used(window) >= NEARLY) {
        ("USAGE_LIMIT_NEAR", format!("the account's usage limit is nearly reached{}", until(resets(window))))
    } else {
        state.limit_told = None;
        return;
    };
    if note(&mut state.limit_told, &message) {
        events.push(notice(code, message));
    }
}

#[cfg(test)]
#[path = "turn_tests.rs"]
mod tests;
