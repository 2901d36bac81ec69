//! Moving over from Tether 0.3.4, the Python program (PyPI `tether-ai`), and its successors: reading its data folder and
//! its `config.env`. Nothing there is ever written, not even by the database library, which works on a copy.
//!
//! What lies in the folder (read in 0.3.4, `store.py` and `models.py`, and seen in folders that it wrote):
//! `sessions.db`, SQLite, tables `sessions` and `messages`; `sessions/<id>/events.jsonl`, an event envelope a line, which
//! is renamed to `events.jsonl.1` when it has grown beyond 5 MB, and then nothing reads it any more.

mod database;
mod events;
mod settings;
mod threads;

use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;
use tether_actors::domain::past::{PastEvent, PastSession};

pub use settings::{Change, Takeover, compare};
pub use threads::Pairing;

/// What was found in a data folder.
#[derive(Debug)]
pub struct Source {
    /// The folder, absolute.
    pub folder: PathBuf,
    /// Its sessions, without their events, in the order in which they were made.
    pub sessions: Vec<Found>,
    /// Who was paired on a chat platform.
    pub pairing: Option<Pairing>,
    /// What is not taken over.
    pub left: Vec<Left>,
}

/// A session that was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// It. Its events are read by [`Source::events`].
    pub session: PastSession,
    /// What was said in it, for a session whose log of events is gone.
    messages: Vec<PastEvent>,
}

/// Something that stays behind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Left {
    /// What: a path in the folder, or a session.
    pub what: String,
    /// Why.
    pub why: String,
}

impl Left {
    fn new(what: impl Into<String>, why: impl Into<String>) -> Self {
        Self { what: what.into(), why: why.into() }
    }
}

/// The events of a session.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Events {
    /// They, oldest first.
    pub events: Vec<PastEvent>,
    /// What a person should know of them.
    pub notes: Vec<String>,
}

/// Why a folder could not be read.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// There is no database of sessions.
    #[error(
        "{} holds no sessions.db, so it is no data folder of Tether 0.3.4: name the one that it used (its \
         TETHER_AGENT_DATA_DIR)", .0.display()
    )]
    NoDatabase(PathBuf),
    /// The database cannot be read.
    #[error("{} cannot be read: {reason}", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// It changes while it is read.
    #[error("{} is being written to: stop the program that uses it, then try again", .0.display())]
    InUse(PathBuf),
}

/// Files of bridges that hold nothing but what the platform has too.
const NAMES_OF_THREADS: [&str; 2] = ["slack_threads.json", "discord_threads.json"];

/// Reads what there is in a data folder.
///
/// # Errors
/// See [`SourceError`].
pub fn read(folder: &Path) -> Result<Source, SourceError> {
    let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    let (mut sessions, mut left) = database::read(&folder)?;
    let logs = folder.join("sessions");
    let known = |name: &str| sessions.iter().any(|found| found.session.id == name);
    for name in names(&logs).map_err(|error| unreadable(&logs, &error))? {
        if !known(&name) && !left.iter().any(|left| left.what == name) {
            let path = format!("sessions/{name}");
            left.push(Left::new(path, "the log of a session that was deleted"));
        }
    }
    threads::give_topics(&folder, &mut sessions, &mut left);
    let pairing = threads::pairing(&folder, &mut left);
    for name in NAMES_OF_THREADS {
        if folder.join(name).exists() {
            left.push(Left::new(name, "threads keep the names that they have there"));
        }
    }
    for (name, why) in [
        ("workspaces", "work trees stay where they are; sessions go on in them"),
        ("repos", "shared clones stay where they are; work trees belong to them"),
    ] {
        // Ours have the same names, where both programs use one folder.
        if folder.join(name).is_dir() && !folder.join("log").is_dir() {
            left.push(Left::new(name, why));
        }
    }
    Ok(Source { folder, sessions, pairing, left })
}

impl Source {
    /// All events of a session, those included that its program no longer read.
    ///
    /// # Errors
    /// A file is there and cannot be read.
    pub fn events(&self, found: &Found) -> Result<Events, SourceError> {
        let folder = self.folder.join("sessions").join(&found.session.id);
        let fallback = found.session.created_at;
        let mut events = events::read(&folder, fallback).map_err(|error| unreadable(&folder, &error))?;
        if events.events.is_empty() && !found.messages.is_empty() {
            events.events = found.messages.clone();
            events.notes.push("its log is gone: what was said is taken from the database".to_owned());
        }
        Ok(events)
    }
}

/// The names in a folder, sorted; none if there is no such folder.
fn names(folder: &Path) -> io::Result<Vec<String>> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut names = Vec::new();
    for entry in entries {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

fn unreadable(path: &Path, error: &dyn std::error::Error) -> SourceError {
    SourceError::Unreadable { path: path.to_owned(), reason: error.to_string() }
}

#[cfg(test)]
mod tests;
