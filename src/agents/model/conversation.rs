//! A conversation: what was said, by whom, and the file that it is kept in.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::agents::acp::prompt::Picture;
use crate::agents::journal::{self, Journal, JournalError, Listed};

/// What stands first in the file.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Head {
    /// The form of the file.
    pub version: u32,
    /// The directory that it is about, absolute and without links.
    pub directory: PathBuf,
}

/// The form that is written.
const VERSION: u32 = 1;

/// One thing that was said, or settled.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "role", rename_all = "snake_case")]
pub enum Record {
    /// By the person.
    User {
        /// The words.
        text: String,
        /// The pictures.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pictures: Vec<Picture>,
    },
    /// By the model.
    Assistant(Said),
    /// By a tool.
    Tool {
        /// The call that it answers.
        call: String,
        /// What it gave.
        text: String,
        /// Whether it did what was asked.
        ok: bool,
        /// What changed, as the protocol's diffs.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        diffs: Vec<Value>,
    },
    /// The person chose another model for this conversation.
    Model {
        /// Its name.
        name: String,
    },
    /// The person chose to plan only (true), or to work (false).
    Planning {
        /// Which.
        on: bool,
    },
}

/// What a model said in one answer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Said {
    /// The words.
    #[serde(default)]
    pub text: String,
    /// Its reasoning, and under which name the server gave it: some want it back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<Reasoning>,
    /// The tools that it calls.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub calls: Vec<ToolCall>,
    /// Whether it was stopped in the middle.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub interrupted: bool,
}

/// Reasoning as a server gave it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Reasoning {
    /// `reasoning_content`, `reasoning`.
    pub field: String,
    /// The words.
    pub text: String,
    /// OpenRouter's `reasoning_details`, with signatures that the model wants to see again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<Value>,
}

/// A tool call.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ToolCall {
    /// Its id.
    pub id: String,
    /// The tool.
    pub name: String,
    /// Its input, the JSON text that the model wrote.
    pub arguments: String,
    /// What else the server put at the call and wants to see again (Gemini's `extra_content`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extra: Option<Value>,
}

/// What is said to a model about a call whose result was lost.
const LOST: &str = "The agent was stopped before this call gave a result. It may or may not have taken effect: \
                    check before you do it again.";

/// A conversation that is open.
#[derive(Debug)]
pub struct Conversation {
    journal: Journal,
    /// What it is about.
    pub directory: PathBuf,
    /// All that was said.
    pub records: Vec<Record>,
}

impl Conversation {
    /// Begins one.
    pub fn begin(folder: &Path, id: &str, directory: &Path) -> Result<Self, JournalError> {
        let head = Head { version: VERSION, directory: directory.to_owned() };
        let journal = Journal::create(folder, id, &head)?;
        Ok(Self { journal, directory: directory.to_owned(), records: Vec::new() })
    }

    /// Goes on with one. Calls that were cut off get a result that says so.
    pub fn resume(folder: &Path, id: &str) -> Result<Self, JournalError> {
        let (journal, head, records) = Journal::open::<Head, Record>(folder, id)?;
        let mut conversation = Self { journal, directory: head.directory, records };
        for call in conversation.unanswered() {
            conversation.add(Record::Tool { call, text: LOST.into(), ok: false, diffs: Vec::new() })?;
        }
        Ok(conversation)
    }

    /// Adds what was said; when this answers `Ok`, it is on disk.
    pub fn add(&mut self, record: Record) -> Result<(), JournalError> {
        self.journal.append(&record)?;
        self.records.push(record);
        Ok(())
    }

    /// The calls of the last answer that have no result.
    pub fn unanswered(&self) -> Vec<String> {
        let last = self.records.iter().rposition(|record| matches!(record, Record::Assistant(_)));
        let Some((Record::Assistant(said), after)) =
            last.and_then(|at| self.records.get(at..)).and_then(<[_]>::split_first)
        else {
            return Vec::new();
        };
        let answered =
            |id: &str| after.iter().any(|record| matches!(record, Record::Tool { call, .. } if call == id));
        said.calls.iter().filter(|call| !answered(&call.id)).map(|call| call.id.clone()).collect()
    }

    /// The model that was chosen in it.
    pub fn chosen_model(&self) -> Option<&str> {
        self.records.iter().rev().find_map(|record| match record {
            Record::Model { name } => Some(name.as_str()),
            _ => None,
        })
    }

    /// Whether it shall only plan.
    pub fn planning(&self) -> bool {
        let last = self.records.iter().rev().find_map(|record| match record {
            Record::Planning { on } => Some(*on),
            _ => None,
        });
        last.unwrap_or(false)
    }
}

/// The conversations that are kept, with what was said first.
pub fn list(folder: &Path) -> Vec<Listed<Head, Record>> {
    journal::list(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(id: &str) -> ToolCall {
        ToolCall { id: id.into(), name: "shell".into(), arguments: "{}".into(), extra: None }
    }

    #[test]
    fn a_call_that_was_cut_off_has_a_result_when_the_conversation_is_gone_on_with() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut begun = Conversation::begin(folder.path(), "c", Path::new("/w")).expect("begun");
        begun.add(Record::User { text: "go".into(), pictures: Vec::new() }).expect("added");
        begun
            .add(Record::Assistant(Said { calls: vec![call("1"), call("2")], ..Said::default() }))
            .expect("added");
        let result = Record::Tool { call: "1".into(), text: "fine".into(), ok: true, diffs: Vec::new() };
        begun.add(result).expect("added");
        assert_eq!(begun.unanswered(), ["2"]);
        drop(begun);
        let resumed = Conversation::resume(folder.path(), "c").expect("resumed");
        assert_eq!(resumed.unanswered(), Vec::<String>::new());
        assert!(
            matches!(resumed.records.last(), Some(Record::Tool { call, ok: false, .. }) if call == "2"),
            "{:?}",
            resumed.records
        );
        assert_eq!(resumed.directory, Path::new("/w"));
        drop(resumed);
        let again = Conversation::resume(folder.path(), "c").expect("resumed");
        assert_eq!(again.records.len(), 4, "it is said once");
    }

    #[test]
    fn what_was_chosen_last_holds() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut begun = Conversation::begin(folder.path(), "c", Path::new("/w")).expect("begun");
        assert_eq!((begun.chosen_model(), begun.planning()), (None, false));
        for name in ["a", "b"] {
            begun.add(Record::Model { name: name.into() }).expect("added");
        }
        begun.add(Record::Planning { on: true }).expect("added");
        assert_eq!((begun.chosen_model(), begun.planning()), (Some("b"), true));
    }
}
