//! Conversations that people began in an agent's own program: found on this machine, read, and followed.
//!
//! Only reads: nothing here writes into a folder that is another program's. Everything blocks, so it is called on a
//! thread for blocking work. Ids come from outside and are only ever looked up in the index; no path is made of one.
//! Formats: one file an agent, each with the version of the program that wrote what it was verified with.

mod claude;
mod codex;
mod entry;
mod held;
mod homes;
mod index;
mod lines;
mod opencode;
mod pi;
mod running;
mod scan;
#[cfg(test)]
mod tests;

use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use entry::{Entry, Message, Piece, Role, ToolUse, drafts, messages};
pub use held::{Held, held};
pub use homes::Homes;
pub use index::{Filter, Index};
pub use running::{Holder, How, Machine};

use crate::domain::elsewhere::{Cursor, Fold, Runner};

/// A conversation that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Whose.
    pub runner: Runner,
    /// The agent's own id of it: letters, digits, `-` and `_`, beginning with a letter or digit.
    pub id: String,
    /// Where it lies.
    pub place: Place,
    /// Where it works; `""` if it does not say.
    pub directory: String,
    /// A name that was given to it.
    pub title: Option<String>,
    /// The person's first words, at most 200 characters.
    pub first_prompt: Option<String>,
    /// Their newest.
    pub last_prompt: Option<String>,
    /// When it was last written to, Unix milliseconds.
    pub last_activity: i64,
    /// How many messages it has, as far as it was read.
    pub messages: u64,
    /// Whether that is all of them.
    pub is_exact: bool,
    /// The program that has it open now.
    pub holder: Option<Holder>,
}

/// Where a conversation lies.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// A file of its own.
    File(PathBuf),
    /// A row in OpenCode's database.
    Database(PathBuf),
}

/// A conversation to be taken over.
#[derive(Clone, Debug, PartialEq)]
pub struct Taken {
    /// Its newest messages.
    pub entries: Vec<Entry>,
    /// Where it ends.
    pub cursor: Cursor,
    /// How many messages it has.
    pub total: u64,
    /// How many of them are the person's.
    pub prompts: u64,
}

/// What a conversation got since.
#[derive(Clone, Debug, PartialEq)]
pub struct Since {
    /// In the order in which it was written.
    pub entries: Vec<Entry>,
    /// Behind it.
    pub cursor: Cursor,
    /// How many messages begin in it.
    pub messages: u64,
    /// Whether there is no more.
    pub is_end: bool,
    /// The program has written the file anew, and this is what could be told to be new.
    pub was_rewritten: bool,
}

/// Why a conversation could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Its file.
    #[error("the conversation {id} of {} cannot be read: {cause}", runner.title())]
    Unreadable {
        /// Whose.
        runner: Runner,
        /// Which.
        id: String,
        /// What is wrong.
        cause: String,
    },
}

impl Found {
    /// Its newest `limit` messages, oldest first.
    ///
    /// # Errors
    /// It cannot be read (any more).
    pub fn history(&self, limit: usize) -> Result<Vec<Message>, ReadError> {
        let entries = match (&self.place, self.read_line()) {
            (Place::File(path), Some(read)) => scan::newest(path, None, limit, read),
            (Place::Database(path), _) => opencode::newest(path, &self.id, limit),
            (Place::File(_), None) => Ok(Vec::new()),
        };
        let mut messages = messages(&entries.map_err(|error| self.unreadable(&error))?);
        messages.drain(..messages.len().saturating_sub(limit));
        Ok(messages)
    }

    /// All that is needed to take it over; of its messages the newest `limit`. Reads all of it once.
    ///
    /// # Errors
    /// It cannot be read (any more).
    pub fn take(&self, limit: usize) -> Result<Taken, ReadError> {
        let taken = match (&self.place, self.read_line()) {
            (Place::File(path), Some(read)) => scan::take(path, limit, read),
            (Place::Database(path), _) => opencode::take(path, &self.id, limit),
            (Place::File(_), None) => Err(io::ErrorKind::Unsupported.into()),
        };
        let mut taken = taken.map_err(|error| self.unreadable(&error))?;
        keep_newest(&mut taken.entries, limit);
        Ok(taken)
    }

    /// What it got behind the cursor, at most about `most` messages at once.
    ///
    /// # Errors
    /// It cannot be read (any more).
    pub fn since(&self, cursor: &Cursor, most: usize) -> Result<Since, ReadError> {
        let since = match (&self.place, self.read_line()) {
            (Place::File(path), Some(read)) => scan::since(path, cursor, most, read),
            (Place::Database(path), _) => opencode::since(path, &self.id, cursor, most),
            (Place::File(_), None) => Err(io::ErrorKind::Unsupported.into()),
        };
        since.map_err(|error| self.unreadable(&error))
    }

    /// What the agent's own program is told to go on with.
    pub fn conversation(&self) -> String {
        match (&self.place, self.runner) {
            // By its id it would ask on the terminal when the directory is another one.
            (Place::File(path), Runner::Pi) => path.to_string_lossy().into_owned(),
            _ => self.id.clone(),
        }
    }

    fn read_line(&self) -> Option<scan::ReadLine> {
        index::read_line(self.runner)
    }

    fn unreadable(&self, error: &io::Error) -> ReadError {
        ReadError::Unreadable { runner: self.runner, id: self.id.clone(), cause: error.to_string() }
    }
}

/// Keeps the entries that make up the newest `limit` messages.
fn keep_newest(entries: &mut Vec<Entry>, limit: usize) {
    let mut fold = Fold::default();
    let starts: Vec<usize> =
        entries.iter().enumerate().filter(|(_, entry)| fold.begins(entry)).map(|(at, _)| at).collect();
    let extra = starts.len().saturating_sub(limit);
    let first = starts.get(extra).copied().filter(|_| extra > 0).unwrap_or(0);
    entries.drain(..first);
}

/// Whether a text may be the id of a conversation: it goes into command lines and addresses.
fn is_id(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let first = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    first && text.len() <= 128 && text.bytes().all(plain)
}

/// A holder as the API shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OpenIn {
    /// In the person's terminal.
    Terminal,
    /// In a server or daemon of the agent's own.
    Background,
    /// In a session of ours.
    Tether,
}
