//! A session's events as a file for people or programs: JSON lines, Markdown, or one HTML page that needs
//! nothing else.
//!
//! Events are taken one by one, so a session of any length is exported in little memory. What an agent wrote is
//! shown by the same code as in the browser (`render`), and the page forbids itself to run anything.

mod html;
mod markdown;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use serde_json::Value;
use tether_actors::domain::event::Envelope;
use tether_actors::domain::session::Session;
use tether_actors::domain::time::Stamp;

use crate::render::{Budget, Item};

/// Text that comes in pieces is written out when it is this long (bytes), at the latest.
const PIECES: usize = 1 << 20;
/// Names of so many tool calls are remembered until their results come.
const CALLS: usize = 1_000;

/// What to make.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// The events as they are, one a line.
    Jsonl,
    /// The conversation as Markdown.
    Md,
    /// The conversation as a page.
    Html,
}

impl Format {
    /// By its name in the API.
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "jsonl" => Some(Self::Jsonl),
            "md" => Some(Self::Md),
            "html" => Some(Self::Html),
            _ => None,
        }
    }

    /// Its name in the API, and the ending of its files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Jsonl => "jsonl",
            Self::Md => "md",
            Self::Html => "html",
        }
    }

    /// Its type in HTTP.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Jsonl => "application/jsonl; charset=utf-8",
            Self::Md => "text/markdown; charset=utf-8",
            Self::Html => "text/html; charset=utf-8",
        }
    }
}

/// A part of a conversation.
#[derive(Debug, PartialEq)]
enum Block<'e> {
    /// Somebody said something.
    Said {
        /// Who.
        who: &'e str,
        /// When it began.
        at: Stamp,
        /// Markdown.
        text: &'e str,
    },
    /// The agent's reasoning.
    Thought {
        /// Markdown.
        text: &'e str,
    },
    /// A tool is called.
    Call {
        /// The tool.
        name: &'e str,
        /// Its input, as it is best shown.
        input: Item,
    },
    /// A tool gave its result.
    Result {
        /// The tool.
        name: &'e str,
        /// What it gave.
        text: &'e str,
        /// Whether it failed or was refused.
        is_error: bool,
    },
    /// Something that happened.
    Note {
        /// Whether it is bad.
        is_error: bool,
        /// In words.
        text: String,
    },
}

/// Turns events into a file, piece by piece.
pub struct Exporter {
    format: Format,
    /// Text of which more pieces may come: who, since when, the text.
    pending: Option<(Speaker, Stamp, String)>,
    calls: HashMap<String, String>,
    /// Whether the agent said something in this turn, so that its whole answer is no news.
    said: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Speaker {
    Agent,
    SubAgent,
    Thought,
}

impl Exporter {
    /// For a file of this format.
    pub fn new(format: Format) -> Self {
        Self { format, pending: None, calls: HashMap::new(), said: false }
    }

    /// What comes first.
    pub fn head(&self, session: &Session, now: Stamp) -> String {
        match self.format {
            Format::Jsonl => String::new(),
            Format::Md => markdown::head(session, now),
            Format::Html => html::head(session, now),
        }
    }

    /// Appends what an event adds.
    pub fn push(&mut self, event: &Envelope, budget: Budget, out: &mut String) {
        if self.format == Format::Jsonl {
            // An envelope is plain data; what cannot be written was never read.
            out.push_str(&serde_json::to_string(event).unwrap_or_default());
            return out.push('\n');
        }
        let text = |key: &str| event.data.get(key).and_then(Value::as_str).unwrap_or_default();
        let flag = |key: &str| event.data.get(key).and_then(Value::as_bool).unwrap_or_default();
        let is_sub = event.data.get("parent_tool_use_id").is_some_and(|parent| !parent.is_null());
        match event.kind.as_str() {
            "output" => {
                self.said |= !is_sub;
                self.piece(if is_sub { Speaker::SubAgent } else { Speaker::Agent }, event, budget, out);
            }
            "thinking" => self.piece(Speaker::Thought, event, budget, out),
            "output_final" if !self.said => self.piece(Speaker::Agent, event, budget, out),
            "user_input" => {
                self.said = false;
                self.flush(budget, out);
                let by = text("by");
                let who = if by.is_empty() { "You".to_owned() } else { format!("You ({by})") };
                self.write(&Block::Said { who: &who, at: event.ts, text: text("text") }, budget, out);
            }
            "tool_call" => {
                self.flush(budget, out);
                let name = text("tool_name");
                if self.calls.len() < CALLS {
                    self.calls.insert(text("tool_use_id").to_owned(), name.to_owned());
                }
                let input = shown(event.data.get("input").unwrap_or(&Value::Null));
                self.write(&Block::Call { name, input }, budget, out);
            }
            "tool_result" => {
                self.flush(budget, out);
                let name = self.calls.remove(text("tool_use_id")).unwrap_or_default();
                let (text, is_error) = (text("text"), flag("is_error"));
                self.write(&Block::Result { name: &name, text, is_error }, budget, out);
            }
            "turn_started" => self.said = false,
            _ => {
                if let Some((is_error, text)) = note(event) {
                    self.flush(budget, out);
                    self.write(&Block::Note { is_error, text }, budget, out);
                }
            }
        }
    }

    /// Appends what comes last.
    pub fn finish(&mut self, budget: Budget, out: &mut String) {
        self.flush(budget, out);
        if self.format == Format::Html {
            out.push_str(html::TAIL);
        }
    }

    fn piece(&mut self, speaker: Speaker, event: &Envelope, budget: Budget, out: &mut String) {
        let text = event.data.get("text").and_then(Value::as_str).unwrap_or_default();
        let goes_on = self
            .pending
            .as_ref()
            .is_some_and(|(last, _, so_far)| *last == speaker && so_far.len() + text.len() <= PIECES);
        if !goes_on {
            self.flush(budget, out);
        }
        let (_, _, so_far) = self.pending.get_or_insert_with(|| (speaker, event.ts, String::new()));
        so_far.push_str(text);
    }

    fn flush(&mut self, budget: Budget, out: &mut String) {
        let Some((speaker, at, text)) = self.pending.take().filter(|(_, _, text)| !text.trim().is_empty())
        else {
            return;
        };
        let block = match speaker {
            Speaker::Agent => Block::Said { who: "Agent", at, text: &text },
            Speaker::SubAgent => Block::Said { who: "Sub-agent", at, text: &text },
            Speaker::Thought => Block::Thought { text: &text },
        };
        self.write(&block, budget, out);
    }

    fn write(&self, block: &Block<'_>, budget: Budget, out: &mut String) {
        match self.format {
            Format::Jsonl => {}
            Format::Md => markdown::push(block, out),
            Format::Html => html::push(block, budget, out),
        }
    }
}

/// A tool's input as it is best read: a command, a change of a file, or the JSON that it is.
fn shown(input: &Value) -> Item {
    let text = |key: &str| input.get(key).and_then(Value::as_str);
    let path = text("file_path").or_else(|| text("path")).map(str::to_owned);
    if let Some(command) = text("command") {
        return Item::Code { text: command.to_owned(), language: Some("bash".into()), path: None };
    }
    if let (Some(old), Some(new)) = (text("old_string"), text("new_string")) {
        return Item::Change { old: old.to_owned(), new: new.to_owned(), path };
    }
    if let (Some(content), Some(_)) = (text("content"), &path) {
        return Item::Change { old: String::new(), new: content.to_owned(), path };
    }
    let text = serde_json::to_string_pretty(input).unwrap_or_default();
    Item::Code { text, language: Some("json".into()), path: None }
}

/// What other events tell, in words; and whether it is bad.
fn note(event: &Envelope) -> Option<(bool, String)> {
    let data = &event.data;
    let text = |key: &str| data.get(key).and_then(Value::as_str).unwrap_or_default();
    let number = |key: &str| data.get(key).and_then(Value::as_u64).unwrap_or_default();
    let with =
        |what: &str, why: &str| if why.is_empty() { what.to_owned() } else { format!("{what}: {why}") };
    Some(match event.kind.as_str() {
        "permission_resolved" => {
            let allowed = data.get("allowed").and_then(Value::as_bool).unwrap_or_default();
            let by = data.get("by").and_then(|by| serde_json::from_value(by.clone()).ok());
            let by =
                by.map(|by: tether_actors::domain::approval::Actor| format!(", by {by}")).unwrap_or_default();
            let verb = match (text("resolved_by"), allowed) {
                ("cancelled", _) => "Withdrawn",
                (_, true) => "Allowed",
                (_, false) => "Denied",
            };
            let words = with(&format!("{verb}{by}"), text("title"));
            (false, if text("message").is_empty() { words } else { format!("{words} ({})", text("message")) })
        }
        "error" => (true, with("Error", text("message"))),
        "warning" => (false, with("Note", text("message"))),
        "agent_started" => (false, format!("{} started", text("agent"))),
        "agent_exited" => (false, with("The agent ended", text("message"))),
        "agent_restarting" => (false, format!("The agent is started again, try {}", number("attempt"))),
        "agent_held" => (true, with("Held", text("message"))),
        "turn_finished" if data.get("interrupted") == Some(&Value::Bool(true)) => {
            (false, "Interrupted".to_owned())
        }
        "input_withdrawn" => (false, "A queued input was taken back".to_owned()),
        _ => return None,
    })
}
