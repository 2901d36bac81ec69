//! What Pi says, line by line.

use serde_json::Value;

use super::state::{State, keep, word};
use super::wire::{Line, Piece, cancelled, read};
use super::{ask, ends, say, turn};
use crate::agent::fields::{Fields, head};
use crate::agent::protocol::{CONVERSATION_LOST, Heard, REQUEST_REFUSED};
use crate::domain::agent::{AgentEvent, InputProgress};
use crate::domain::restart::EndCause;

/// Longest tool result that is told, in bytes; the agent keeps the whole.
const RESULT_LIMIT: usize = 64 * 1024;
/// How much is kept of a line that cannot be understood, in characters.
const UNPARSED_KEPT: usize = 500;
/// Under this key the gate tells its news.
const NEWS: &str = "tether";

/// Reads one line.
pub(super) fn hear(state: &mut State, line: &[u8]) -> Heard {
    let mut heard = Heard::default();
    match read(line) {
        Line::Empty => {}
        Line::Piece(piece) => {
            before(state, "message_update", &mut heard);
            said(state, &piece, &mut heard.events);
        }
        Line::Kind(kind) => {
            before(state, kind, &mut heard);
            of_kind(state, kind, &mut heard);
        }
        Line::Object(value) => {
            let kind = value.text("type").unwrap_or_default();
            before(state, kind, &mut heard);
            object(state, kind, &value, &mut heard);
        }
        Line::UnreadableRequest { request, message } => {
            heard.replies.push(cancelled(&request));
            heard.events.push(refused(&format!("it cannot be read ({message})")));
        }
        Line::Broken(message) => heard.events.push(AgentEvent::Unparsed {
            message,
            line: String::from_utf8_lossy(line).chars().take(UNPARSED_KEPT).collect(),
        }),
    }
    heard
}

/// What any line tells by being there: what was said before it is settled.
fn before(state: &mut State, kind: &str, heard: &mut Heard) {
    turn::settle(state, &mut heard.events);
    // Behind the end of a run Pi says in the same breath whether it goes on by itself.
    let goes_on = matches!(kind, "agent_start" | "auto_retry_start" | "compaction_start" | "compaction_end");
    if state.ending && !state.compacting && !goes_on {
        turn::finish(state, &mut heard.events);
    }
}

fn refused(why: &str) -> AgentEvent {
    notice(REQUEST_REFUSED, format!("a request of the agent was refused: {why}"))
}

fn notice(code: &str, message: impl Into<String>) -> AgentEvent {
    AgentEvent::Notice { code: code.to_owned(), message: message.into() }
}

/// Lines of which only the kind counts.
fn of_kind(state: &mut State, kind: &str, heard: &mut Heard) {
    match kind {
        "agent_start" => {
            turn::begin(state, &mut heard.events);
            // The interrupt came before there was anything to stop.
            if state.interrupting {
                heard.replies.push(say::abort(state));
            }
        }
        "agent_end" => {
            turn::run_ended(state, &mut heard.events);
            if state.ending && state.rested {
                heard.replies.push(say::probe(state));
            }
        }
        _ => {}
    }
}

/// Pieces of the answer while it is written.
fn said(state: &mut State, piece: &Piece<'_>, events: &mut Vec<AgentEvent>) {
    let thinking = match piece.kind.as_ref() {
        "text_delta" => false,
        "thinking_delta" => true,
        _ => return,
    };
    if !piece.delta.is_empty() {
        state.tell(piece.index, piece.delta.len());
        events.push(turn::said(thinking, &piece.delta));
    }
}

fn object(state: &mut State, kind: &str, value: &Value, heard: &mut Heard) {
    let events = &mut heard.events;
    match kind {
        "message_start" => match value.get("message").and_then(|message| message.text("role")) {
            Some("user") => turn::take(state),
            Some("assistant") => state.told.clear(),
            _ => {}
        },
        "message_update" => {
            let Some(piece) = value.get("assistantMessageEvent") else { return };
            let piece = Piece {
                kind: piece.text("type").unwrap_or_default().into(),
                index: piece.number("contentIndex").unwrap_or(0),
                delta: piece.text("delta").unwrap_or_default().into(),
            };
            said(state, &piece, events);
        }
        "message_end" => turn::message(state, value.get("message").unwrap_or(&Value::Null), events),
        "tool_execution_start" => events.push(AgentEvent::ToolCall {
            id: value.text("toolCallId").unwrap_or_default().to_owned(),
            name: value.text("toolName").unwrap_or_default().to_owned(),
            input: value.get("args").cloned().unwrap_or_default(),
            parent: None,
        }),
        "tool_execution_end" => events.push(tool_result(value)),
        "extension_ui_request" => request(state, value, heard),
        "extension_error" => events.push(notice(
            "AGENT_EXTENSION",
            format!(
                "an extension of the agent failed: {} ({})",
                head(value.text("error").unwrap_or("no reason was given"), 500),
                value.text("extensionPath").unwrap_or("which one is not known"),
            ),
        )),
        "auto_retry_start" => {
            state.ending = false;
            let error = value.text("errorMessage").unwrap_or("unknown");
            events.push(AgentEvent::Retry {
                attempt: value.number("attempt").unwrap_or(0),
                max_attempts: value.number("maxAttempts").unwrap_or(0),
                delay_ms: value.number("delayMs").unwrap_or(0),
                status: ends::status(error),
                error: error.to_owned(),
            });
        }
        // It gave up, or was told to: the failed attempt was the last.
        "auto_retry_end" if !value.flag("success") => turn::finish(state, events),
        "compaction_start" => state.compacting = true,
        "compaction_end" => compacted(state, value, events),
        "response" => response(state, value, events),
        // `session_info_changed`, `thinking_level_changed`, and what later versions bring.
        _ => {}
    }
}

fn compacted(state: &mut State, value: &Value, events: &mut Vec<AgentEvent>) {
    state.compacting = false;
    if let Some(error) = value.text("errorMessage") {
        events.push(notice(
            "COMPACTION_FAILED",
            format!("the conversation could not be made shorter: {error}"),
        ));
    } else if let Some(result) = value.get("result").filter(|result| result.is_object()) {
        let tokens = result.number("tokensBefore").map(|tokens| format!(" ({tokens} tokens)"));
        let of = tokens.unwrap_or_default();
        let text = format!("the agent replaced the conversation so far{of} by a summary");
        events.push(notice("CONTEXT_COMPACTED", text));
    }
    if value.flag("willRetry") {
        state.ending = false;
    } else if state.ending {
        turn::finish(state, events);
    }
}

fn tool_result(value: &Value) -> AgentEvent {
    let blocks = value.get("result").map_or(&[][..], |result| result.list("content"));
    let texts = blocks.iter().map(|block| match block.text("type") {
        Some("text") => block.text("text").unwrap_or_default().to_owned(),
        Some("image") => format!("[{}]", block.text("mimeType").unwrap_or("image")),
        _ => block.to_string(),
    });
    let whole = texts.collect::<Vec<_>>().join("\n");
    let shown = head(&whole, RESULT_LIMIT);
    let text = if shown.len() == whole.len() {
        whole
    } else {
        format!("{shown}\n… cut here: {} of {} bytes are shown", shown.len(), whole.len())
    };
    AgentEvent::ToolResult {
        id: value.text("toolCallId").unwrap_or_default().to_owned(),
        text,
        is_error: value.flag("isError"),
        parent: None,
    }
}

/// A dialog, which is asked or put away, or something to show.
fn request(state: &mut State, value: &Value, heard: &mut Heard) {
    match value.text("method").unwrap_or_default() {
        "setStatus" => {
            if value.text("statusKey") == Some(NEWS) {
                news(state, value.text("statusText").unwrap_or_default(), &mut heard.events);
            }
        }
        "notify" => {
            let text = value.text("message").filter(|text| !text.is_empty());
            heard.events.extend(text.map(|text| notice("AGENT_NOTE", text)));
        }
        // Nobody waits for an answer to these, and there is no terminal to show them on.
        "setWidget" | "setTitle" | "set_editor_text" => {}
        _ => {
            let Some(id) = value.text("id") else {
                let line = value.to_string().chars().take(UNPARSED_KEPT).collect();
                let message = "a dialog without an id".to_owned();
                return heard.events.push(AgentEvent::Unparsed { message, line });
            };
            match ask::read(id, value) {
                Ok(ask) => {
                    keep(&mut state.open, id.to_owned());
                    heard.events.push(AgentEvent::Asked(Box::new(ask)));
                }
                Err(no) => {
                    heard.replies.push(no.reply);
                    heard.events.push(refused(&no.why));
                }
            }
        }
    }
}

/// What the gate tells.
fn news(state: &mut State, text: &str, events: &mut Vec<AgentEvent>) {
    let Ok(news) = serde_json::from_str::<Value>(text) else { return };
    if news.number("gate").is_some() {
        state.gated = true;
        state.fault = news.text("fault").map(word);
        let at = news.text("cwd").unwrap_or_default();
        if state.resumed && !at.is_empty() && at != state.directory {
            events.push(notice(
                "AGENT_DIRECTORY",
                format!(
                    "the agent goes on in {at}, where its conversation began, not in {}",
                    state.directory
                ),
            ));
        }
    }
    if let Some(input) = news.text("input").filter(|_| !news.flag("known")) {
        keep(&mut state.sent, input.to_owned());
        events.push(turn::progress(input, InputProgress::Accepted));
    }
    state.rested |= state.in_turn && news.flag("rest");
    if let Some(model) = news.text("model") {
        events.push(AgentEvent::Ready { version: None, model: Some(model.to_owned()) });
    }
    if let Some(why) = news.text("refused") {
        events.push(AgentEvent::Replied { request: "set-model".to_owned(), result: Err(why.to_owned()) });
    }
}

/// Answers to our own commands.
fn response(state: &mut State, value: &Value, events: &mut Vec<AgentEvent>) {
    let id = value.text("id").or(value.text("command")).unwrap_or_default();
    let result = if value.flag("success") {
        Ok(value.get("data").cloned().unwrap_or_default())
    } else {
        Err(value.text("error").unwrap_or("the agent refused without a reason").to_owned())
    };
    if id == say::GREETING {
        return greeted(state, result, events);
    }
    if let (Some(input), Err(error)) = (id.strip_prefix(say::PROMPT), &result) {
        return not_taken(state, input, error, events);
    }
    if id.starts_with(say::INTERRUPT) && !state.in_turn && state.sent.is_empty() {
        state.interrupting = false;
    }
    // Of the others only refusals are of interest, and what was asked for by a person.
    if result.is_err() || id.starts_with(say::INTERRUPT) {
        events.push(AgentEvent::Replied { request: id.to_owned(), result });
    }
}

/// Pi is up. Nothing is said to it unless our gate is there and well.
fn greeted(state: &mut State, result: Result<Value, String>, events: &mut Vec<AgentEvent>) {
    let configuration = Some(EndCause::BadConfiguration);
    let data = match result {
        Ok(data) => data,
        Err(error) => {
            return turn::fail(
                state,
                format!("the agent refused our greeting: {error}"),
                configuration,
                events,
            );
        }
    };
    if !state.gated {
        let error = "the agent came up without the extension that asks before each tool call, so nothing was \
                     said to it: look whether its settings or arguments keep extensions from loading";
        return turn::fail(state, error.to_owned(), configuration, events);
    }
    if let Some(fault) = state.fault.clone() {
        return turn::fail(state, fault, configuration, events);
    }
    if state.resumed && data.number("messageCount").unwrap_or(0) == 0 {
        events.push(notice(CONVERSATION_LOST, "the agent has no record of this conversation any more"));
        return;
    }
    if let Some(file) = data.text("sessionFile").map(word)
        && state.conversation.as_ref() != Some(&file)
    {
        state.conversation = Some(file.clone());
        events.push(AgentEvent::Conversation(file));
    }
    let model = data.get("model").and_then(|model| Some((model.text("provider")?, model.text("id")?)));
    let model = model.map(|(provider, id)| format!("{provider}/{id}"));
    events.push(AgentEvent::Ready { version: None, model });
}

/// Pi did not take a prompt (it has no key for the model, say).
fn not_taken(state: &mut State, input: &str, error: &str, events: &mut Vec<AgentEvent>) {
    state.sent.retain(|sent| sent != input);
    // What follows in Pi's text is for people at its terminal.
    let first = error.split("\n\n").next().unwrap_or(error).to_owned();
    if state.in_turn {
        events.push(notice("PROMPT_REFUSED", format!("the agent did not take an input: {first}")));
        events.push(turn::progress(input, InputProgress::Cancelled));
        return;
    }
    keep(&mut state.taken, input.to_owned());
    let cause = ends::trouble(error);
    turn::fail(state, first, cause, events);
}
