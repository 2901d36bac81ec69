//! What the demo agent remembers of a conversation.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::agents::journal::{Journal, JournalError};

/// What stands first in the file.
#[derive(Debug, Serialize, Deserialize)]
struct Head {
    version: u32,
    directory: PathBuf,
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum Record {
    /// The person said something.
    User {
        /// The words.
        text: String,
    },
    /// The agent said something.
    Agent {
        /// The words.
        text: String,
    },
    /// The agent called a tool.
    Call {
        /// The call's id.
        id: String,
        /// The tool.
        name: String,
        /// Its input.
        input: Value,
    },
    /// A tool gave its result.
    Result {
        /// The call's id.
        id: String,
        /// The words.
        text: String,
        /// Whether it did what was asked.
        ok: bool,
        /// What changed.
        diffs: Vec<Value>,
    },
    /// The tour is at this step now; one past the last when it is over.
    Step {
        /// From 0.
        next: usize,
    },
    /// A turn ended as it should.
    Over,
}

/// A conversation that is open.
#[derive(Debug)]
pub struct Memory {
    journal: Journal,
    /// What it is about.
    pub directory: PathBuf,
    /// All that happened.
    pub records: Vec<Record>,
}

impl Memory {
    /// Begins one.
    pub fn begin(folder: &Path, id: &str, directory: &Path) -> Result<Self, JournalError> {
        let journal = Journal::create(folder, id, &Head { version: 1, directory: directory.to_owned() })?;
        Ok(Self { journal, directory: directory.to_owned(), records: Vec::new() })
    }

    /// Goes on with one.
    pub fn resume(folder: &Path, id: &str) -> Result<Self, JournalError> {
        let (journal, head, records) = Journal::open::<Head, Record>(folder, id)?;
        Ok(Self { journal, directory: head.directory, records })
    }

    /// Adds what happened; when this answers `Ok`, it is on disk.
    pub fn add(&mut self, record: Record) -> Result<(), JournalError> {
        self.journal.append(&record)?;
        self.records.push(record);
        Ok(())
    }

    /// The step of the tour that comes next.
    pub fn step(&self) -> usize {
        let last = self.records.iter().rev().find_map(|record| match record {
            Record::Step { next } => Some(*next),
            _ => None,
        });
        last.unwrap_or(0)
    }

    /// Whether the last turn was cut off: the process ended in the middle of it.
    pub fn was_cut_off(&self) -> bool {
        self.records.last().is_some_and(|last| *last != Record::Over)
    }
}
