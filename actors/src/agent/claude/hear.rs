//! What the agent says, line by line.

use serde_json::Value;

use super::state::{State, note};
use super::wire::{Line, read, refusal, success};
use super::{INITIALIZE, ask, turn};
use crate::agent::fields::{Fields, head};
use crate::agent::protocol::Heard;
use crate::domain::agent::{AgentEvent, InputProgress};
use crate::domain::ids::InputId;
use crate::domain::time::Stamp;

/// Longest tool result that is told, in bytes; the agent keeps the whole.
const RESULT_LIMIT: usize = 64 * 1024;
/// How much is kept of a line that cannot be understood, in characters.
const UNPARSED_KEPT: usize = 500;

/// Reads one line.
pub(super) fn hear(state: &mut State, line: &[u8]) -> Heard {
    let mut heard = Heard::default();
    match read(line) {
        Line::Empty => {}
        Line::Object(value) => object(state, &value, &mut heard),
        Line::UnreadableRequest { request, message } => {
            heard.replies.push(refusal(&request, "the request cannot be read"));
            heard.events.push(refused(&format!("it cannot be read ({message})")));
        }
        Line::Broken(message) => heard.events.push(unparsed(message, &String::from_utf8_lossy(line))),
    }
    heard
}

fn unparsed(message: String, line: &str) -> AgentEvent {
    AgentEvent::Unparsed { message, line: line.chars().take(UNPARSED_KEPT).collect() }
}

fn refused(why: &str) -> AgentEvent {
    AgentEvent::Notice {
        code: super::REQUEST_REFUSED.to_owned(),
        message: format!("a request of the agent was refused: {why}"),
    }
}

fn notice(code: &str, message: impl Into<String>) -> AgentEvent {
    AgentEvent::Notice { code: code.to_owned(), message: message.into() }
}

fn object(state: &mut State, value: &Value, heard: &mut Heard) {
    let events = &mut heard.events;
    match value.text("type").unwrap_or_default() {
        "stream_event" => stream_event(state, value, events),
        "assistant" => assistant(state, value, events),
        "user" => user(value, events),
        "system" => system(state, value, events),
        "result" => {
            // The line of a start that failed bears the id that was looked for.
            if state.in_turn {
                conversation(state, value, events);
            }
            turn::finished(state, value, events);
        }
        "control_request" => control_request(state, value, heard),
        "control_cancel_request" => {
            events.extend(value.text("request_id").map(|request| AgentEvent::Withdrew(request.to_owned())));
        }
        "control_response" => control_response(state, value, events),
        "command_lifecycle" => command_lifecycle(value, events),
        // Its id is not the one that the conversation then has: that comes with the next turn's start.
        "conversation_reset" => {
            events.push(notice("CONVERSATION_RESET", "the agent forgot the conversation so far"));
        }
        "rate_limit_event" => rate_limit(state, value, events),
        // `keep_alive`, `tool_progress`, `prompt_suggestion`, and what later versions bring.
        _ => {}
    }
}

/// The conversation's id may change while the program runs (`/clear`).
fn conversation(state: &mut State, value: &Value, events: &mut Vec<AgentEvent>) {
    if let Some(id) = value.text("session_id")
        && note(&mut state.conversation, id)
    {
        events.push(AgentEvent::Conversation(id.to_owned()));
    }
}

/// The call of the sub-agent that speaks; `None` = the agent itself.
fn parent(value: &Value) -> Option<String> {
    value.text("parent_tool_use_id").map(str::to_owned)
}

/// Pieces of the answer while it is written. Sub-agents are told by their finished blocks alone.
fn stream_event(state: &mut State, value: &Value, events: &mut Vec<AgentEvent>) {
    let Some(event) = value.get("event").filter(|_| parent(value).is_none()) else { return };
    let index = event.number("index").unwrap_or(0);
    let (thinking, piece) = match event.text("type").unwrap_or_default() {
        "message_start" => {
            let id = event.get("message").and_then(|message| message.text("id"));
            state.streamed.begin_message(id.unwrap_or_default());
            return;
        }
        "content_block_start" => {
            let Some(block) = event.get("content_block") else { return };
            let thinking = match block.text("type") {
                Some("text") => false,
                Some("thinking") => true,
                _ => return,
            };
            state.streamed.begin_block(index, thinking);
            (thinking, block.text(if thinking { "thinking" } else { "text" }))
        }
        "content_block_delta" => {
            let Some(delta) = event.get("delta") else { return };
            match delta.text("type") {
                Some("text_delta") => (false, delta.text("text")),
                Some("thinking_delta") => (true, delta.text("thinking")),
                _ => return,
            }
        }
        _ => return,
    };
    if let Some(piece) = piece.filter(|piece| !piece.is_empty()) {
        state.streamed.piece(index, thinking, piece);
        events.push(said(thinking, piece, None));
    }
}

fn said(thinking: bool, text: &str, parent: Option<String>) -> AgentEvent {
    let text = text.to_owned();
    if thinking { AgentEvent::Thinking { text, parent } } else { AgentEvent::Text { text, parent } }
}

/// Finished blocks: one a line, before its `content_block_stop`.
fn assistant(state: &mut State, value: &Value, events: &mut Vec<AgentEvent>) {
    let parent = parent(value);
    if value.flag("is_api_error_message") && parent.is_none() {
        // The text comes once more as the turn's error; it is no answer.
        state.trouble = value.text("error").and_then(turn::trouble);
        return;
    }
    let Some(message) = value.get("message") else { return };
    if let Some(text) = message.text("content") {
        events.push(said(false, text, parent.clone()));
    }
    for block in message.list("content") {
        match block.text("type").unwrap_or_default() {
            kind @ ("text" | "thinking") => {
                let thinking = kind == "thinking";
                let whole = block.text(kind).unwrap_or_default();
                let rest = match &parent {
                    Some(_) => whole,
                    None => state.streamed.finish(message.text("id"), thinking, whole),
                };
                if !rest.is_empty() {
                    events.push(said(thinking, rest, parent.clone()));
                }
            }
            "tool_use" | "server_tool_use" | "mcp_tool_use" => events.push(AgentEvent::ToolCall {
                id: block.text("id").unwrap_or_default().to_owned(),
                name: block.text("name").unwrap_or_default().to_owned(),
                input: block.get("input").cloned().unwrap_or_default(),
                parent: parent.clone(),
            }),
            kind if kind.ends_with("_tool_result") => events.extend(tool_result(block, parent.as_deref())),
            _ => {}
        }
    }
}

/// Tool results. The rest of what comes as `user` is not the person's: notes of the agent to itself,
/// outputs of slash commands that are told otherwise too, and the task of a sub-agent.
fn user(value: &Value, events: &mut Vec<AgentEvent>) {
    if value.flag("isReplay") {
        return;
    }
    let parent = parent(value);
    let blocks = value.get("message").map_or(&[][..], |message| message.list("content"));
    let results = blocks.iter().filter(|block| block.text("type") == Some("tool_result"));
    events.extend(results.filter_map(|block| tool_result(block, parent.as_deref())));
}

fn tool_result(block: &Value, parent: Option<&str>) -> Option<AgentEvent> {
    let whole = flatten(block.get("content").unwrap_or(&Value::Null));
    let shown = head(&whole, RESULT_LIMIT);
    let text = if shown.len() == whole.len() {
        whole
    } else {
        format!("{shown}\n… cut here: {} of {} bytes are shown", shown.len(), whole.len())
    };
    Some(AgentEvent::ToolResult {
        id: block.text("tool_use_id")?.to_owned(),
        text,
        is_error: block.flag("is_error"),
        parent: parent.map(str::to_owned),
    })
}

/// The content of a tool result as text: a text, or a list of blocks.
fn flatten(content: &Value) -> String {
    match content {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(blocks) => {
            let texts = blocks.iter().map(|block| match block.text("type") {
                Some("text") => block.text("text").unwrap_or_default().to_owned(),
                Some(kind @ ("image" | "document")) => {
                    let media = block.get("source").and_then(|source| source.text("media_type"));
                    format!("[{}]", media.unwrap_or(kind))
                }
                _ => block.to_string(),
            });
            texts.collect::<Vec<_>>().join("\n")
        }
        other => other.to_string(),
    }
}

fn system(state: &mut State, value: &Value, events: &mut Vec<AgentEvent>) {
    match value.text("subtype").unwrap_or_default() {
        "init" => init(state, value, events),
        "status" => mode(state, value, events),
        "api_retry" => events.push(AgentEvent::Retry {
            attempt: value.number("attempt").unwrap_or(0),
            max_attempts: value.number("max_retries").unwrap_or(0),
            delay_ms: value.number("retry_delay_ms").unwrap_or(0),
            status: value.number("error_status"),
            error: value.text("error").unwrap_or("unknown").to_owned(),
        }),
        // `task_updated` says nothing that these do not.
        kind @ ("task_started" | "task_progress" | "task_notification") => events.extend(task(kind, value)),
        "permission_denied" => events.push(AgentEvent::DeniedByAgent {
            tool_name: value.text("tool_name").unwrap_or_default().to_owned(),
            message: value.text("message").or(value.text("decision_reason")).unwrap_or_default().to_owned(),
        }),
        "compact_boundary" => {
            let tokens = value.get("compact_metadata").and_then(|data| data.number("pre_tokens"));
            let of = tokens.map(|tokens| format!(" ({tokens} tokens)")).unwrap_or_default();
            events.push(notice(
                "CONTEXT_COMPACTED",
                format!("the agent replaced the conversation so far{of} by a summary"),
            ));
        }
        "informational" | "notification" => {
            let text = value.text("content").or(value.text("text")).filter(|text| !text.is_empty());
            events.extend(text.map(|text| notice("AGENT_NOTE", text)));
        }
        // `session_state_changed` is not used: a turn begins with `init` and ends with `result`, and
        // `idle` comes only after background work too. Hooks, titles and estimates are of no concern.
        _ => {}
    }
}

/// The start of a turn; not of the program.
fn init(state: &mut State, value: &Value, events: &mut Vec<AgentEvent>) {
    conversation(state, value, events);
    if let Some(cwd) = value.text("cwd") {
        note(&mut state.cwd, cwd);
    }
    let version = value.text("claude_code_version").is_some_and(|version| note(&mut state.version, version));
    let model = value.text("model").is_some_and(|model| note(&mut state.model, model));
    if version || model {
        events.push(AgentEvent::Ready { version: state.version.clone(), model: state.model.clone() });
    }
    mode(state, value, events);
    if !state.in_turn {
        state.in_turn = true;
        state.interrupting = false;
        state.trouble = None;
        events.push(AgentEvent::TurnStarted);
    }
}

/// A permission mode in which it does not ask about everything is told: the gate then does not see all.
fn mode(state: &mut State, value: &Value, events: &mut Vec<AgentEvent>) {
    let Some(mode) = value.text("permissionMode") else { return };
    let planned = state.mode.as_deref() == Some("plan");
    if !note(&mut state.mode, mode) {
        return;
    }
    if planned != (mode == "plan") {
        events.push(AgentEvent::Planning(!planned));
    }
    if !matches!(mode, "default" | "manual" | "plan") {
        events.push(notice(
            "AGENT_MODE",
            format!(
                "the agent is in its permission mode {mode:?}, in which it does not ask before every tool"
            ),
        ));
    }
}

fn task(subtype: &str, value: &Value) -> Option<AgentEvent> {
    let (state, text) = match subtype {
        "task_started" => ("started", value.text("description")),
        "task_progress" => ("progress", value.text("description")),
        _ => (
            match value.text("status") {
                Some("completed") => "completed",
                Some("failed") => "failed",
                _ => "stopped",
            },
            value.text("summary"),
        ),
    };
    Some(AgentEvent::Task {
        id: value.text("task_id")?.to_owned(),
        tool_use_id: value.text("tool_use_id").map(str::to_owned),
        state: state.to_owned(),
        kind: value.text("task_type").map(|kind| match kind {
            "local_agent" => "agent".to_owned(),
            "local_bash" => "shell".to_owned(),
            other => other.to_owned(),
        }),
        text: text.map(str::to_owned),
    })
}

/// What it wants an answer to. Each is asked or refused.
fn control_request(state: &State, value: &Value, heard: &mut Heard) {
    let Some(id) = value.text("request_id") else {
        heard.events.push(unparsed("a request without an id".to_owned(), &value.to_string()));
        return;
    };
    let nothing = Value::Null;
    let request = value.get("request").unwrap_or(&nothing);
    let subtype = request.text("subtype").unwrap_or("(none)");
    if subtype == "can_use_tool" {
        match ask::read(id, request, state.cwd.as_deref()) {
            Ok(ask) => heard.events.push(AgentEvent::Asked(Box::new(ask))),
            Err(why) => {
                let deny = serde_json::json!({
                    "behavior": "deny",
                    "message": format!("The request could not be understood ({why}), so it was refused."),
                });
                heard.replies.push(success(id, &deny));
                heard.events.push(refused(&format!("a tool was to run, but {why}")));
            }
        }
        return;
    }
    // None of these is ever called for by us. An error is a clean no to each: a hook without an answer
    // leaves the agent's normal question in place, a form of an MCP server counts as cancelled, an MCP
    // server that we do not host as failed. A yes would have to be made up.
    let what = match subtype {
        "elicitation" => format!(
            "the MCP server {:?} wanted a form filled in ({:?})",
            request.text("mcp_server_name").unwrap_or_default(),
            head(request.text("message").unwrap_or_default(), 300)
        ),
        "hook_callback" => "it called a hook that is not ours".to_owned(),
        "mcp_message" => "it called an MCP server that is not ours".to_owned(),
        "request_user_dialog" => {
            format!("it wanted to show a dialog ({:?})", request.text("dialog_kind").unwrap_or_default())
        }
        other => format!("it is of a kind that is not known here ({:?})", head(other, 100)),
    };
    heard.replies.push(refusal(id, "nobody here can answer this kind of request"));
    heard.events.push(refused(&what));
}

/// Answers to our own requests.
fn control_response(state: &mut State, value: &Value, events: &mut Vec<AgentEvent>) {
    let Some(response) = value.get("response") else { return };
    let Some(request) = response.text("request_id") else { return };
    let result = match response.text("subtype") {
        Some("success") => Ok(response.get("response").cloned().unwrap_or_default()),
        _ => Err(response.text("error").unwrap_or("the agent refused without a reason").to_owned()),
    };
    if request != INITIALIZE {
        events.push(AgentEvent::Replied { request: request.to_owned(), result });
        return;
    }
    match result {
        Ok(reply) => {
            if let Some(version) = reply.text("claude_code_version") {
                note(&mut state.version, version);
            }
        }
        // It works without, so this is no reason to give up.
        Err(error) => {
            events.push(notice("INITIALIZE_FAILED", format!("the agent refused our greeting: {error}")))
        }
    }
    events.push(AgentEvent::Ready { version: state.version.clone(), model: state.model.clone() });
}

fn command_lifecycle(value: &Value, events: &mut Vec<AgentEvent>) {
    let progress = match value.text("state") {
        Some("queued") => InputProgress::Accepted,
        Some("started") => InputProgress::Started,
        Some("completed") => InputProgress::Completed,
        Some("cancelled") => InputProgress::Cancelled,
        _ => return,
    };
    events.extend(
        value
            .text("command_uuid")
            .map(|input| AgentEvent::InputProgress { input: InputId::from(input), progress }),
    );
}

/// How far the account's limit is used; `resetsAt` in Unix seconds.
fn rate_limit(state: &mut State, value: &Value, events: &mut Vec<AgentEvent>) {
    let Some(info) = value.get("rate_limit_info") else { return };
    let status = info.text("status").unwrap_or_default();
    let resets_at = info.number("resetsAt").and_then(|at| i64::try_from(at).ok());
    state.limit_resets_at = resets_at.filter(|_| status == "rejected");
    let limit = info.text("rateLimitType").unwrap_or("usage").replace('_', " ");
    let until = resets_at.map(|at| format!(" until {}", Stamp::from_unix(at))).unwrap_or_default();
    let (code, message) = match status {
        "rejected" => ("USAGE_LIMIT", format!("the account's {limit} limit is reached{until}")),
        "allowed_warning" => {
            ("USAGE_LIMIT_NEAR", format!("the account's {limit} limit is nearly reached{until}"))
        }
        _ => {
            state.limit_told = None;
            return;
        }
    };
    if note(&mut state.limit_told, &message) {
        events.push(notice(code, message));
    }
}
