//! What all agents' conversations have in common: entries, the messages that they make up, and the events by which a
//! session of ours tells them.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::domain::elsewhere::Fold;
use crate::domain::event::{EventDraft, EventType};
use crate::domain::time::Stamp;

/// Longest text of one message, in bytes; what is longer is cut.
const LONGEST_TEXT: usize = 256 * 1024;
/// Longest result of a tool, in bytes.
const LONGEST_RESULT: usize = 16 * 1024;
/// Longest input of a tool, in bytes of JSON.
const LONGEST_INPUT: usize = 64 * 1024;
/// Longest prompt in a summary, in characters.
const LONGEST_PROMPT: usize = 200;

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The person.
    User,
    /// The agent, and what its tools gave back.
    Assistant,
}

/// A piece of an entry.
#[derive(Clone, Debug, PartialEq)]
pub enum Piece {
    /// Words.
    Text(String),
    /// Reasoning.
    Thinking(String),
    /// A tool is called.
    Call {
        /// The agent's id of the call.
        id: String,
        /// The tool.
        name: String,
        /// Its input.
        input: Value,
    },
    /// What a tool gave back.
    Result {
        /// The call's id.
        id: String,
        /// What it said.
        text: String,
        /// Whether it failed.
        is_error: bool,
    },
}

/// One record of a conversation, as the agent wrote it.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The agent's own id of it; `""` if it gives none.
    pub id: String,
    /// The entry that it follows.
    pub parent: Option<String>,
    /// The message of which it is a part, where one is written in several entries.
    pub group: Option<String>,
    /// When, Unix milliseconds.
    pub at: Option<i64>,
    /// Who speaks.
    pub role: Role,
    /// What is said and done.
    pub pieces: Vec<Piece>,
    /// A program that a person works with by hand wrote it, whatever the time says.
    pub by_hand: bool,
}

impl Entry {
    /// Whether it holds words of the person.
    pub fn is_prompt(&self) -> bool {
        self.role == Role::User && self.prompt().is_some()
    }

    /// The person's words, if they are words and no note of the program's.
    pub fn prompt(&self) -> Option<&str> {
        let text = self.pieces.iter().find_map(|piece| match piece {
            Piece::Text(text) => Some(text.trim()),
            _ => None,
        })?;
        const NOTES: [&str; 4] =
            ["[Request interrupted", "[Response interrupted", "[Tool result", "<system-"];
        let is_note = NOTES.iter().any(|note| text.starts_with(note));
        (self.role == Role::User && !text.is_empty() && !is_note).then_some(text)
    }
}

impl Fold {
    /// Takes the next entry in; answers whether it begins a message. Reasoning belongs to the words that follow it, a
    /// tool's call to those before it, and what a tool gave back to its call.
    pub fn begins(&mut self, entry: &Entry) -> bool {
        let has = |which: fn(&Piece) -> bool| entry.pieces.iter().any(which);
        let words = has(|piece| matches!(piece, Piece::Text(_)));
        let thinking = has(|piece| matches!(piece, Piece::Thinking(_)));
        let calls = has(|piece| matches!(piece, Piece::Call { .. }));
        if !words && !thinking && !calls {
            return false;
        }
        if entry.role == Role::User {
            *self = Self::default();
            return true;
        }
        let is_same = entry.group.is_some() && entry.group == self.group;
        let only_calls = !words && !thinking;
        let goes_on = self.is_agents && (is_same || only_calls || self.is_bare);
        self.is_bare = !words && !calls && (self.is_bare || !goes_on);
        self.is_agents = true;
        self.group.clone_from(&entry.group);
        !goes_on
    }
}

/// A prompt as a summary shows it: on one line, shortened.
pub fn shown_prompt(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(LONGEST_PROMPT) {
        None => line,
        Some(_) => line.chars().take(LONGEST_PROMPT - 1).chain(['…']).collect(),
    }
}

/// A tool that was called.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ToolUse {
    /// The agent's id of the call.
    pub id: String,
    /// The tool.
    pub name: String,
    /// Its input.
    pub input: Value,
    /// What it gave back, shortened; null = nothing yet.
    pub result: Option<String>,
    /// Whether it failed.
    pub is_error: bool,
}

/// A message of a conversation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Message {
    /// Who.
    pub role: Role,
    /// The words; may be empty where only tools were called.
    pub content: String,
    /// The reasoning.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thinking: Option<String>,
    /// When, as the agent wrote it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<String>,
    /// The tools that were called.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tool_calls: Vec<ToolUse>,
}

/// Puts entries together to messages.
pub fn messages(entries: &[Entry]) -> Vec<Message> {
    let mut messages: Vec<Message> = Vec::new();
    // Where each call lies.
    let mut calls: HashMap<String, (usize, usize)> = HashMap::new();
    let mut fold = Fold::default();
    for entry in entries {
        if fold.begins(entry) {
            let timestamp = entry.at.map(|at| Stamp::from_unix_millis(at).with_millis());
            let role = entry.role;
            messages.push(Message {
                role,
                content: String::new(),
                thinking: None,
                timestamp,
                tool_calls: vec![],
            });
        }
        let place = messages.len().saturating_sub(1);
        for piece in &entry.pieces {
            if let Piece::Result { id, text, is_error } = piece {
                let call = calls
                    .get(id)
                    .and_then(|(message, call)| messages.get_mut(*message)?.tool_calls.get_mut(*call));
                if let Some(call) = call {
                    call.result = Some(cut(text, LONGEST_RESULT).0.to_owned());
                    call.is_error = *is_error;
                }
                continue;
            }
            let Some(message) = messages.last_mut() else { continue };
            match piece {
                Piece::Text(text) => add_line(&mut message.content, cut(text, LONGEST_TEXT).0),
                Piece::Thinking(text) => {
                    add_line(message.thinking.get_or_insert_default(), cut(text, LONGEST_TEXT).0);
                }
                Piece::Call { id, name, input } => {
                    calls.insert(id.clone(), (place, message.tool_calls.len()));
                    let (id, name) = (id.clone(), name.clone());
                    let input = short_input(input);
                    message.tool_calls.push(ToolUse { id, name, input, result: None, is_error: false });
                }
                Piece::Result { .. } => {}
            }
        }
    }
    messages
}

fn add_line(text: &mut String, more: &str) {
    if !text.is_empty() && !more.is_empty() {
        text.push('\n');
    }
    text.push_str(more);
}

/// The events that tell these entries (`contract`: attach). What the agent said last before the person speaks again,
/// or before these entries end, is the turn's answer.
pub fn drafts(entries: &[Entry]) -> Vec<EventDraft> {
    let mut drafts: Vec<EventDraft> = Vec::new();
    let mut last_words: Option<usize> = None;
    for entry in entries {
        let at = entry.at.map(Stamp::from_unix_millis);
        for piece in &entry.pieces {
            let (kind, data) = match piece {
                Piece::Text(text) if text.trim().is_empty() => continue,
                Piece::Text(text) if entry.role == Role::User => {
                    finish(&mut drafts, last_words.take());
                    let (text, truncated) = cut(text, LONGEST_TEXT);
                    (
                        EventType::UserInput,
                        with_truncated(json!({ "text": text, "is_history": true }), truncated),
                    )
                }
                Piece::Text(text) => {
                    last_words = Some(drafts.len());
                    (EventType::Output, output(text, false))
                }
                Piece::Thinking(text) if text.trim().is_empty() => continue,
                Piece::Thinking(text) => (EventType::Output, output(text, true)),
                Piece::Call { id, name, input } => {
                    let input = short_input(input);
                    let data =
                        json!({ "tool_use_id": id, "tool_name": name, "input": input, "is_history": true });
                    (EventType::ToolCall, data)
                }
                Piece::Result { id, text, is_error } => {
                    let (text, truncated) = cut(text, LONGEST_RESULT);
                    let data =
                        json!({ "tool_use_id": id, "text": text, "is_error": is_error, "is_history": true });
                    (EventType::ToolResult, with_truncated(data, truncated))
                }
            };
            drafts.push(EventDraft { kind, data, at });
        }
    }
    finish(&mut drafts, last_words);
    drafts
}

fn finish(drafts: &mut [EventDraft], last_words: Option<usize>) {
    if let Some(draft) = last_words.and_then(|at| drafts.get_mut(at)) {
        draft.data["kind"] = "final".into();
        draft.data["final"] = true.into();
    }
}

fn output(text: &str, thinking: bool) -> Value {
    let (text, truncated) = cut(text, LONGEST_TEXT);
    let mut data =
        json!({ "stream": "combined", "text": text, "kind": "step", "final": null, "is_history": true });
    if thinking {
        data["thinking"] = true.into();
    }
    with_truncated(data, truncated)
}

fn with_truncated(mut data: Value, truncated: bool) -> Value {
    if truncated {
        data["truncated"] = true.into();
    }
    data
}

/// The beginning of a text, and whether something was cut off.
fn cut(text: &str, longest: usize) -> (&str, bool) {
    let end = text.floor_char_boundary(longest);
    (text.get(..end).unwrap_or(text), end < text.len())
}

/// An input of bounded size: of one that is too large its long texts are cut, and if that is not enough it is left out.
fn short_input(input: &Value) -> Value {
    let size = |value: &Value| serde_json::to_string(value).map_or(0, |text| text.len());
    if size(input) <= LONGEST_INPUT {
        return input.clone();
    }
    let Value::Object(fields) = input else { return Value::Null };
    let mut short = serde_json::Map::new();
    for (name, value) in fields {
        let value = match value {
            Value::String(text) => cut(text, LONGEST_RESULT).0.into(),
            value if size(value) <= LONGEST_RESULT => value.clone(),
            _ => Value::Null,
        };
        short.insert(name.clone(), value);
    }
    let short = Value::Object(short);
    if size(&short) <= LONGEST_INPUT { short } else { Value::Null }
}

/// The entries of the branch that ends with the last one. `links` holds for every record of the file, shown or not, the
/// one that it follows. Where the chain breaks off, all that comes before counts.
pub fn branch(entries: Vec<Entry>, links: &HashMap<String, Option<String>>) -> Vec<Entry> {
    let Some(leaf) = entries.iter().rev().find(|entry| !entry.id.is_empty()) else { return entries };
    let mut on = std::collections::HashSet::new();
    let mut next = Some(leaf.id.as_str());
    let mut broken = false;
    while let Some(id) = next {
        // A ring of records would never end.
        if !on.insert(id.to_owned()) {
            break;
        }
        match links.get(id) {
            Some(parent) => next = parent.as_deref(),
            None => {
                broken = true;
                break;
            }
        }
    }
    let first = entries.iter().position(|entry| on.contains(&entry.id)).unwrap_or(0);
    let keeps = |(at, entry): &(usize, Entry)| {
        // Tools that ran side by side each follow their own call.
        let is_result = entry.pieces.iter().all(|piece| matches!(piece, Piece::Result { .. }));
        let follows = entry.parent.as_ref().is_some_and(|parent| on.contains(parent));
        entry.id.is_empty() || on.contains(&entry.id) || (broken && *at < first) || (is_result && follows)
    };
    entries.into_iter().enumerate().filter(keeps).map(|(_, entry)| entry).collect()
}

#[cfg(test)]
#[path = "entry_tests.rs"]
mod tests;
