//! Tool calls: what several messages say of one, put together.
//!
//! An agent tells a call piece by piece (`tool_call`, `tool_call_update`, the permission request), in any order
//! and each time with what changed; its input often comes late. It is told on once, when it is known: with its
//! second mention, or as soon as it runs.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::state::short;
use super::wire::plain;
use crate::agent::fields::{Fields, head};
use crate::domain::agent::AgentEvent;

/// Calls that are remembered at once.
const MOST_CALLS: usize = 64;
/// Finished calls that are remembered.
const MOST_FINISHED: usize = 32;
/// How much of what calls are about is remembered, all in all, in bytes.
const BULK: usize = 48 * 1024;
/// How much output of a terminal is kept for the result.
const OUTPUT_KEPT: usize = 16 * 1024;
/// Longest result that is told, in bytes; the agent keeps the whole.
const RESULT_LIMIT: usize = 64 * 1024;

/// The calls that have no result yet, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Calls {
    list: Vec<Call>,
    /// Ids of those that had their result last: what is still told of them is no new call.
    finished: VecDeque<String>,
}

/// Where an agent that does not name its tools hides their names. A word of the model's must never be taken for
/// one, because standing permissions go by it: only what the program itself is known to write there counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Naming {
    /// Nowhere.
    None,
    /// OpenCode: the title, as long as the call is pending.
    ByFirstTitle,
    /// Gemini: the id, before the last `__`.
    ById,
}

/// What is known of a call.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Call {
    /// Its id.
    pub(super) id: String,
    /// The tool, where the agent names it.
    name: Option<String>,
    /// What it does, for people.
    pub(super) title: Option<String>,
    /// `execute`, `edit`, ...
    pub(super) kind: Option<String>,
    /// The sub-agent's call that it belongs to.
    pub(super) parent: Option<String>,
    /// Its input, as the tool gets it.
    pub(super) input: Value,
    /// What it shows: texts, changes of files.
    pub(super) content: Value,
    /// The files that it is about.
    pub(super) locations: Value,
    /// What its terminal said so far.
    output: String,
    /// Whether it was told.
    told: bool,
    /// A person said no to it. Gemini then tells nothing more of it.
    refused: bool,
    /// Input and content were too large to keep.
    pub(super) cut: bool,
    /// Bytes of input, content and locations.
    bulk: usize,
}

impl Calls {
    /// Takes in what a message says of a call, and tells the call if that is due. Answers the call as it is known
    /// now; `None` if the message names none.
    pub(super) fn merge(
        &mut self,
        message: &Value,
        naming: Naming,
        asked: bool,
        events: &mut Vec<AgentEvent>,
    ) -> Option<&mut Call> {
        let id = message.word("toolCallId")?;
        let id = short(id);
        let known = self.list.iter().position(|call| call.id == id);
        let first = known.is_none();
        if first {
            if self.list.len() >= MOST_CALLS {
                self.list.remove(0);
            }
            self.list.push(Call { id, ..Call::default() });
        }
        let index = known.unwrap_or(self.list.len().saturating_sub(1));
        let call = self.list.get_mut(index)?;
        call.take_in(message, naming, first);
        let waits = first && !asked && matches!(message.text("status"), None | Some("pending"));
        if !call.told && (!waits || call.bulk > BULK / 4) {
            call.told = true;
            events.push(call.event());
        }
        self.shed(index);
        self.list.get_mut(index)
    }

    /// Gives up what is too much to keep, of the oldest calls first and of `last` last.
    fn shed(&mut self, last: usize) {
        let mut total: usize = self.list.iter().map(|call| call.bulk).sum();
        let order = (0..self.list.len()).filter(|index| *index != last).chain([last]);
        for index in order {
            if total <= BULK {
                return;
            }
            if let Some(call) = self.list.get_mut(index).filter(|call| call.told) {
                total -= call.bulk;
                call.bulk = 0;
                call.cut = true;
                (call.input, call.content, call.locations) = (Value::Null, Value::Null, Value::Null);
            }
        }
    }

    /// Whether a call has had its result.
    pub(super) fn is_finished(&self, id: &str) -> bool {
        self.finished.iter().any(|finished| *finished == short(id))
    }

    /// A person said no to a call.
    pub(super) fn refuse(&mut self, id: &str) {
        self.list.iter_mut().filter(|call| call.id == short(id)).for_each(|call| call.refused = true);
    }

    /// A call has a result: it is told and forgotten.
    pub(super) fn finish(&mut self, id: &str, message: &Value, failed: bool) -> Option<AgentEvent> {
        let index = self.list.iter().position(|call| call.id == short(id))?;
        let call = self.list.remove(index);
        self.finished.push_back(call.id.clone());
        if self.finished.len() > MOST_FINISHED {
            self.finished.pop_front();
        }
        let text = call.result(message);
        Some(AgentEvent::ToolResult { id: call.id, text, is_error: failed, parent: call.parent })
    }

    /// The turn is over: calls without a result get one that says so.
    pub(super) fn finish_all(&mut self, why: &str, events: &mut Vec<AgentEvent>) {
        for mut call in std::mem::take(&mut self.list) {
            if !call.told {
                call.told = true;
                events.push(call.event());
            }
            let why = if call.refused { "it was refused" } else { why };
            let text = match call.output.is_empty() {
                true => why.to_owned(),
                false => format!("{}\n{why}", call.output),
            };
            events.push(AgentEvent::ToolResult { id: call.id, text, is_error: true, parent: call.parent });
        }
    }
}

impl Call {
    pub(super) fn take_in(&mut self, message: &Value, naming: Naming, first: bool) {
        let meta = message.get("_meta");
        let claude = meta.and_then(|meta| meta.get("claudeCode"));
        let named = message.word("name").or_else(|| claude?.word("toolName"));
        let named = named.or_else(|| match naming {
            Naming::ByFirstTitle if first => {
                message.word("title").filter(|_| message.text("status") == Some("pending"))
            }
            Naming::ById => Some(self.id.rsplit_once("__")?.0),
            _ => None,
        });
        if self.name.is_none() {
            self.name = named.map(short);
        }
        let parent = claude.and_then(|claude| claude.word("parentToolUseId"));
        let into = |slot: &mut Option<String>, word: Option<&str>| {
            if let Some(word) = word {
                *slot = Some(short(word));
            }
        };
        into(&mut self.parent, parent);
        into(&mut self.kind, message.word("kind"));
        let title = message.word("title");
        let long = title.is_some_and(|title| title.len() > short(title).len());
        into(&mut self.title, title);
        if long && message.get("rawInput").is_none() {
            // The title may be all that says what would happen (Gemini): then none of it may be lost.
            self.input = json!({ "title": title });
        }
        for (key, slot) in [
            ("rawInput", &mut self.input),
            ("content", &mut self.content),
            ("locations", &mut self.locations),
        ] {
            if let Some(value) = message.get(key).filter(|value| !is_empty(value)) {
                *slot = value.clone();
                self.cut = false;
            }
        }
        if let Some(piece) = meta.and_then(|meta| meta.get("terminal_output_delta")?.text("data")) {
            let room = OUTPUT_KEPT.saturating_sub(self.output.len());
            self.output.push_str(head(piece, room));
        }
        self.bulk = [&self.input, &self.content, &self.locations].into_iter().map(size).sum();
    }

    fn event(&self) -> AgentEvent {
        AgentEvent::ToolCall {
            id: self.id.clone(),
            name: self.tool(),
            input: self.tool_input(),
            parent: self.parent.clone(),
        }
    }

    /// The tool's name. Standing permissions go by it, so it is never broader than what the agent says: where it
    /// tells only `other` or nothing of its kind, the title stands for it.
    pub(super) fn tool(&self) -> String {
        let kind = self.kind.as_deref().filter(|kind| *kind != "other");
        let name = self.name.as_deref().or(kind).or(self.title.as_deref());
        name.unwrap_or("tool").to_owned()
    }

    /// The input: the tool's own where the agent tells it, else all that it does tell.
    pub(super) fn tool_input(&self) -> Value {
        match &self.input {
            Value::Object(fields) if !fields.is_empty() => return self.input.clone(),
            Value::Null | Value::Object(_) => {}
            odd => return json!({ "input": odd }),
        }
        let mut fields = Map::new();
        if let Some(title) = &self.title {
            let key = if self.is_gemini_command() { "command" } else { "title" };
            fields.insert(key.to_owned(), title.clone().into());
        }
        for (key, value) in [("content", &self.content), ("locations", &self.locations)] {
            if !is_empty(value) {
                fields.insert(key.to_owned(), value.clone());
            }
        }
        if self.cut {
            fields
                .insert("note".to_owned(), "it was too large to be shown again: see the call itself".into());
        }
        Value::Object(fields)
    }

    /// Gemini tells no input; the title of its shell tool is the command.
    fn is_gemini_command(&self) -> bool {
        self.name.as_deref() == Some("run_shell_command")
    }

    fn result(&self, message: &Value) -> String {
        let raw = message.get("rawOutput").unwrap_or(&Value::Null);
        let raw_text = raw.as_str().or(raw.text("output")).or(raw.text("error"));
        let own = message.list("content");
        let shown = || {
            let blocks: Vec<Value> = own.iter().filter_map(|item| item.get("content")).cloned().collect();
            let changes = own.iter().filter(|item| item.text("type") == Some("diff"));
            let changed = changes.filter_map(|change| Some(format!("changed {}", change.text("path")?)));
            let words = plain(&blocks);
            [words]
                .into_iter()
                .filter(|words| !words.is_empty())
                .chain(changed)
                .collect::<Vec<_>>()
                .join("\n")
        };
        let whole = match raw_text {
            Some(text) => text.to_owned(),
            None => shown(),
        };
        let whole = match (whole.is_empty(), self.output.is_empty()) {
            (true, false) => self.output.clone(),
            (true, true) if !is_empty(raw) => raw.to_string(),
            _ => whole,
        };
        let told = head(&whole, RESULT_LIMIT);
        if told.len() == whole.len() {
            return whole;
        }
        format!("{told}\n… cut here: {} of {} bytes are shown", told.len(), whole.len())
    }
}

/// Whether a value says nothing.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(fields) => fields.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::String(text) => text.is_empty(),
        _ => false,
    }
}

/// About how many bytes a value takes when it is stored.
fn size(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) => 4,
        Value::Number(_) => 8,
        Value::String(text) => text.len() + 2,
        Value::Array(items) => items.iter().map(size).sum::<usize>() + 2,
        Value::Object(fields) => {
            fields.iter().map(|(key, value)| key.len() + 4 + size(value)).sum::<usize>() + 2
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(calls: &mut Calls, message: Value) -> Vec<AgentEvent> {
        let mut events = Vec::new();
        calls.merge(&message, Naming::ByFirstTitle, false, &mut events);
        events
    }

    fn told(events: &[AgentEvent]) -> (&str, &Value) {
        match events {
            [AgentEvent::ToolCall { name, input, .. }] => (name, input),
            other => panic!("not one call: {other:?}"),
        }
    }

    #[test]
    fn a_call_is_told_once_and_with_its_input() {
        let mut calls = Calls::default();
        let first = json!({ "toolCallId": "c", "title": "bash", "kind": "execute", "status": "pending", "rawInput": {} });
        assert_eq!(merged(&mut calls, first), []);
        let update = json!({ "toolCallId": "c", "title": "echo one", "rawInput": { "command": "echo one" } });
        assert_eq!(told(&merged(&mut calls, update.clone())), ("bash", &json!({ "command": "echo one" })));
        assert_eq!(merged(&mut calls, update), []);
        let done = json!({ "toolCallId": "c", "status": "completed", "rawOutput": { "output": "one\n" } });
        let result = calls.finish("c", &done, false);
        assert!(
            matches!(result, Some(AgentEvent::ToolResult { text, is_error: false, .. }) if text == "one\n")
        );
        assert_eq!(calls.finish("c", &done, false), None);
    }

    #[test]
    fn a_call_that_is_first_heard_of_when_it_runs_is_told_at_once() {
        let message =
            json!({ "toolCallId": "c", "title": "touch a", "kind": "execute", "status": "in_progress" });
        assert_eq!(
            told(&merged(&mut Calls::default(), message)),
            ("execute", &json!({ "title": "touch a" }))
        );
    }

    #[test]
    fn a_tool_without_a_name_or_a_kind_is_never_called_by_a_broad_word() {
        let message =
            json!({ "toolCallId": "c", "title": "Do this", "kind": "other", "status": "completed" });
        assert_eq!(told(&merged(&mut Calls::default(), message)).0, "Do this");
    }

    #[test]
    fn gemini_hides_the_name_in_the_id_and_the_command_in_the_title() {
        let mut events = Vec::new();
        let message = json!({ "toolCallId": "run_shell_command__run_shell_command_17_0", "title": "touch a",
            "kind": "execute", "status": "pending" });
        Calls::default().merge(&message, Naming::ById, true, &mut events);
        assert_eq!(told(&events), ("run_shell_command", &json!({ "command": "touch a" })));
        events.clear();
        Calls::default().merge(&message, Naming::None, true, &mut events);
        assert_eq!(told(&events), ("execute", &json!({ "title": "touch a" })));
    }

    #[test]
    fn what_is_too_large_is_told_and_not_kept() {
        let mut calls = Calls::default();
        let input = json!({ "content": "x".repeat(2 * BULK) });
        let message = json!({ "toolCallId": "c", "title": "write", "status": "pending", "rawInput": input });
        assert_eq!(told(&merged(&mut calls, message)).1, &input);
        assert!(serde_json::to_string(&calls).expect("it is JSON").len() < BULK);
        let mut events = Vec::new();
        let call =
            calls.merge(&json!({ "toolCallId": "c" }), Naming::None, true, &mut events).expect("it is known");
        assert!(call.cut && call.tool_input()["note"].is_string());
        for number in 0..1_000 {
            let input = json!({ "content": "x".repeat(1_000) });
            merged(
                &mut calls,
                json!({ "toolCallId": format!("c{number}"), "status": "in_progress", "rawInput": input }),
            );
        }
        assert!(serde_json::to_string(&calls).expect("it is JSON").len() < 2 * BULK);
    }

    #[test]
    fn calls_that_the_turn_leaves_behind_get_a_result() {
        let mut calls = Calls::default();
        merged(&mut calls, json!({ "toolCallId": "c", "title": "bash", "status": "pending" }));
        let mut events = Vec::new();
        calls.finish_all("stopped", &mut events);
        assert!(
            matches!(&events[..], [AgentEvent::ToolCall { .. }, AgentEvent::ToolResult { is_error: true, text, .. }] if text == "stopped")
        );
        assert!(calls.list.is_empty());
    }

    #[test]
    fn a_result_is_what_the_tool_said() {
        let call = Call::default();
        let content = json!([{ "type": "content", "content": { "type": "text", "text": "shown" } },
            { "type": "diff", "path": "/p/a", "oldText": "", "newText": "x" }]);
        assert_eq!(call.result(&json!({ "content": content, "rawOutput": "raw" })), "raw");
        assert_eq!(call.result(&json!({ "content": content })), "shown\nchanged /p/a");
        assert_eq!(call.result(&json!({ "rawOutput": { "exit": 1 } })), "{\"exit\":1}");
        assert_eq!(Call { output: "so far".into(), ..Call::default() }.result(&json!({})), "so far");
    }
}
