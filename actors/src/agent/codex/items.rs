//! Items: what a turn is made of, and what each is told as.

use serde_json::{Value, json};

use super::patch::Patch;
use super::state::{Item, Proposed, State, word};
use super::{ask, notice};
use crate::agent::fields::{Fields, head};
use crate::domain::agent::{AgentEvent, InputProgress};
use crate::domain::ids::InputId;

/// Longest tool result that is told, in bytes; the agent keeps the whole.
const RESULT_LIMIT: usize = 64 * 1024;
/// Longest plan that is kept until the end of its turn, in bytes.
const PLAN_LIMIT: usize = 64 * 1024;

/// `item/started`.
pub(super) fn started(state: &mut State, params: &Value, events: &mut Vec<AgentEvent>) {
    let Some((item, thread, id)) = parts(params) else { return };
    let parent = state.parent(thread);
    if parent.is_none() {
        state.offline_since = None;
        state.offline_tries = 0;
    }
    match item.text("type").unwrap_or_default() {
        "userMessage" => user_message(state, item, parent.is_none(), events),
        "agentMessage" | "reasoning" | "hookPrompt" | "functionCallOutput" => {}
        "enteredReviewMode" | "exitedReviewMode" | "contextCompaction" => {}
        "plan" => {}
        "subAgentActivity" => sub_agent(state, item, parent, events),
        kind => {
            let (name, input) = call(state, kind, item);
            events.push(AgentEvent::ToolCall {
                id: id.to_owned(),
                name: name.clone(),
                input,
                parent: parent.clone(),
            });
            state.open(Item {
                id: word(id),
                thread: word(thread),
                kind: word(kind),
                name: word(&name),
                patch: (kind == "fileChange").then(|| Patch::read(item)),
                background: false,
            });
        }
    }
}

fn parts(params: &Value) -> Option<(&Value, &str, &str)> {
    let item = params.get("item")?;
    Some((item, params.text("threadId").unwrap_or_default(), item.text("id")?))
}

/// A prompt is in the conversation now.
fn user_message(state: &mut State, item: &Value, mine: bool, events: &mut Vec<AgentEvent>) {
    let Some(given) = item.text("clientId").filter(|_| mine).and_then(|input| state.given(input)) else {
        return;
    };
    if !given.begun {
        given.begun = true;
        let input = InputId::from(given.input.as_str());
        events.push(AgentEvent::InputProgress { input, progress: InputProgress::Started });
    }
}

/// The tool's name and input.
fn call(state: &State, kind: &str, item: &Value) -> (String, Value) {
    match kind {
        "commandExecution" => ("Bash".to_owned(), ask::command_input(item)),
        "fileChange" => ("apply_patch".to_owned(), Patch::read(item).input()),
        "mcpToolCall" => {
            let server = item.text("server").unwrap_or("?");
            let input = item.get("arguments").cloned().unwrap_or_default();
            (ask::tool_name(server, item.text("tool").unwrap_or("?")), input)
        }
        "webSearch" => ("web_search".to_owned(), rest(item)),
        "imageView" => {
            let path = item.text("path").map(|path| ask::shortened(path, state));
            ("view_image".to_owned(), json!({ "path": path }))
        }
        "collabAgentToolCall" | "dynamicToolCall" => {
            (item.text("tool").unwrap_or(kind).to_owned(), rest(item))
        }
        other => (other.to_owned(), rest(item)),
    }
}

/// What an item says besides what every item says, without what is empty.
fn rest(item: &Value) -> Value {
    const OF_ALL: &[&str] =
        &["id", "type", "status", "startedAtMs", "completedAtMs", "durationMs", "tool", "senderThreadId"];
    let fields = item.as_object().into_iter().flatten();
    let said = fields.filter(|(key, value)| {
        !OF_ALL.contains(&key.as_str())
            && !value.is_null()
            && value.as_array().is_none_or(|list| !list.is_empty())
            && value.as_object().is_none_or(|fields| !fields.is_empty())
    });
    Value::Object(said.map(|(key, value)| (key.clone(), value.clone())).collect())
}

/// A sub-agent's thread began or ended.
fn sub_agent(state: &mut State, item: &Value, parent: Option<String>, events: &mut Vec<AgentEvent>) {
    let Some(agent) = item.text("agentThreadId") else { return };
    let name = item.text("agentPath").unwrap_or(agent);
    let word_of_state = match item.text("kind").unwrap_or_default() {
        "started" => "started",
        "completed" => "completed",
        "interrupted" => "stopped",
        _ => "progress",
    };
    // The item of its beginning bears the id of the call that began it; later ones have ids of their own.
    let call = item.text("id").filter(|_| word_of_state == "started").map(word);
    if let Some(id) = call.clone() {
        let input = json!({ "agent": name, "model": item.get("model") });
        events.push(AgentEvent::ToolCall { id, name: "spawn_agent".to_owned(), input, parent });
    }
    let child = state.child(agent);
    child.name = word(name);
    if let Some(call) = call {
        child.call = call;
    }
    events.push(AgentEvent::Task {
        id: agent.to_owned(),
        tool_use_id: Some(child.call.clone()),
        state: word_of_state.to_owned(),
        kind: Some("agent".to_owned()),
        text: Some(name.to_owned()),
    });
}

/// `item/completed`.
pub(super) fn completed(state: &mut State, params: &Value, events: &mut Vec<AgentEvent>) {
    let Some((item, thread, id)) = parts(params) else { return };
    let parent = state.parent(thread);
    match item.text("type").unwrap_or_default() {
        "agentMessage" => {
            let rest = state.untold(id, item.text("text").unwrap_or_default()).to_owned();
            text(state, id, &rest, parent, events);
        }
        "reasoning" => {
            if !state.was_told(id) {
                let parts = |key: &str| -> Vec<&str> {
                    item.list(key).iter().filter_map(Value::as_str).filter(|part| !part.is_empty()).collect()
                };
                let summary = parts("summary");
                let whole = if summary.is_empty() { parts("content") } else { summary }.join("\n\n");
                if !whole.is_empty() {
                    events.push(AgentEvent::Thinking { text: whole, parent });
                }
            }
            state.untold(id, "");
        }
        "plan" => {
            if parent.is_none() {
                let text = head(item.text("text").unwrap_or_default(), PLAN_LIMIT).to_owned();
                let input = json!({ "plan": text });
                events.push(AgentEvent::ToolCall {
                    id: id.to_owned(),
                    name: super::PLAN_TOOL.to_owned(),
                    input,
                    parent,
                });
                state.proposed = Some(Proposed { item: word(id), text });
            }
        }
        "subAgentActivity" => {
            if item.text("kind") == Some("started") {
                let (id, text) = (id.to_owned(), item.text("agentPath").unwrap_or_default().to_owned());
                events.push(AgentEvent::ToolResult { id, text, is_error: false, parent });
            }
        }
        "contextCompaction" => events
            .push(notice("CONTEXT_COMPACTED", "the agent replaced the conversation so far by a summary")),
        _ => {
            state.leftovers.retain(|left| left != id);
            // One that was closed with its turn has had its result.
            let Some(open) = state.close(id) else { return };
            let (text, is_error) = outcome(item);
            if open.background {
                events.push(AgentEvent::Task {
                    id: id.to_owned(),
                    tool_use_id: Some(id.to_owned()),
                    state: if is_error { "failed" } else { "completed" }.to_owned(),
                    kind: Some("shell".to_owned()),
                    text: Some(text),
                });
            } else {
                events.push(AgentEvent::ToolResult { id: id.to_owned(), text, is_error, parent });
            }
        }
    }
}

/// What a finished item gave, and whether it failed or was refused.
fn outcome(item: &Value) -> (String, bool) {
    let status = item.text("status").unwrap_or("completed");
    let is_error = !matches!(status, "completed" | "inProgress");
    let mut text = match item.text("type").unwrap_or_default() {
        "commandExecution" => {
            let mut text = item.text("aggregatedOutput").unwrap_or_default().to_owned();
            let code = item.get("exitCode").and_then(Value::as_i64).filter(|code| *code != 0);
            if let Some(code) = code {
                if !text.is_empty() && !text.ends_with('\n') {
                    text.push('\n');
                }
                text.push_str(&format!("exit code {code}"));
            }
            text
        }
        "fileChange" => String::new(),
        "mcpToolCall" => {
            let error = item.get("error").and_then(|error| error.text("message")).map(str::to_owned);
            error.unwrap_or_else(|| item.get("result").map(flatten).unwrap_or_default())
        }
        "collabAgentToolCall" => {
            let states = item.get("agentsStates").and_then(Value::as_object);
            states
                .filter(|states| !states.is_empty())
                .map(|states| json!(states).to_string())
                .unwrap_or_default()
        }
        // Nothing that was not told with the call.
        _ => String::new(),
    };
    if text.is_empty() {
        text = match status {
            "declined" => "it was refused".to_owned(),
            "failed" => "it failed".to_owned(),
            _ => String::new(),
        };
    }
    let shown = head(&text, RESULT_LIMIT);
    if shown.len() < text.len() {
        text = format!("{shown}\n… cut here: {} of {} bytes are shown", shown.len(), text.len());
    }
    (text, is_error)
}

/// The content of an MCP result as text.
fn flatten(result: &Value) -> String {
    let texts = result.list("content").iter().map(|block| match block.text("type") {
        Some("text") => block.text("text").unwrap_or_default().to_owned(),
        Some(kind @ ("image" | "audio")) => format!("[{}]", block.text("mimeType").unwrap_or(kind)),
        _ => block.to_string(),
    });
    texts.collect::<Vec<_>>().join("\n")
}

/// A piece of the answer.
pub(super) fn text(
    state: &mut State,
    item: &str,
    piece: &str,
    parent: Option<String>,
    events: &mut Vec<AgentEvent>,
) {
    if piece.is_empty() {
        return;
    }
    // Two messages that follow each other would run into one.
    let other = parent.is_none() && state.last_message.as_deref() != Some(item);
    let follows = other && state.last_message.replace(word(item)).is_some();
    let mut text = if follows { "\n\n".to_owned() } else { String::new() };
    text.push_str(piece);
    events.push(AgentEvent::Text { text, parent });
}

/// `item/agentMessage/delta`.
pub(super) fn text_delta(state: &mut State, params: &Value, events: &mut Vec<AgentEvent>) {
    let (Some(item), Some(piece)) = (params.text("itemId"), params.text("delta")) else { return };
    let parent = state.parent(params.text("threadId").unwrap_or_default());
    state.tell(item, 0, piece);
    text(state, item, piece, parent, events);
}

/// `item/reasoning/summaryTextDelta` and `item/reasoning/textDelta`.
pub(super) fn thinking_delta(state: &mut State, params: &Value, events: &mut Vec<AgentEvent>) {
    let (Some(item), Some(piece)) = (params.text("itemId"), params.text("delta")) else { return };
    let parent = state.parent(params.text("threadId").unwrap_or_default());
    let part = params.number("summaryIndex").or(params.number("contentIndex")).unwrap_or(0);
    // Each part is a paragraph.
    let first = part > 0 && !state.was_told_part(item, part);
    state.tell(item, part, piece);
    let text = if first { format!("\n\n{piece}") } else { piece.to_owned() };
    if !text.is_empty() {
        events.push(AgentEvent::Thinking { text, parent });
    }
}

/// `turn/plan/updated`: the list of steps, as the tool call that it comes from (which Codex does not show).
pub(super) fn steps(state: &mut State, params: &Value, events: &mut Vec<AgentEvent>) {
    let parent = state.parent(params.text("threadId").unwrap_or_default());
    let id = state.next_id("steps");
    let mut input = json!({ "plan": params.list("plan") });
    if let Some(explanation) = params.text("explanation") {
        input["explanation"] = explanation.into();
    }
    events.push(AgentEvent::ToolCall {
        id: id.clone(),
        name: "update_plan".to_owned(),
        input,
        parent: parent.clone(),
    });
    events.push(AgentEvent::ToolResult { id, text: String::new(), is_error: false, parent });
}
