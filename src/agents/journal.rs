//! A conversation on disk: a head and records, one JSON object a line, only ever added to.
//!
//! A record is written with one call and synced before anything is done that builds on it. What a kill cut off in
//! the middle of a line is taken away at the next opening. The file is locked as long as it is open, so that a
//! conversation is never gone on with twice at once.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::acp::Refusal;

/// Longest name of a conversation.
const LONGEST_ID: usize = 128;

/// Why a conversation cannot be kept, or not be gone on with.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// There is none with this id.
    #[error("there is no conversation {0}")]
    NotFound(String),
    /// Another process has it open.
    #[error("the conversation {0} is open in another process: end that one first")]
    InUse(String),
    /// It cannot be read or written.
    #[error("the conversation file {} cannot be {doing}: {cause}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// `read`, `written`.
        doing: &'static str,
        /// What the system said.
        cause: std::io::Error,
    },
    /// It holds what none of ours holds.
    #[error("the conversation file {} is damaged in line {line}: {cause}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
        /// What is wrong with it.
        cause: String,
    },
}

impl From<JournalError> for Refusal {
    fn from(error: JournalError) -> Self {
        match error {
            JournalError::NotFound(_) => Self::not_found(error.to_string()),
            other => Self::internal(other.to_string()),
        }
    }
}

/// How long it is waited for a process that has the conversation open: one that was killed may just be ending.
const PATIENCE: Duration = Duration::from_secs(3);

/// Opens a conversation, and waits a little for whoever has it open.
pub async fn opened<T>(open: impl Fn() -> Result<T, JournalError>) -> Result<T, JournalError> {
    let until = tokio::time::Instant::now() + PATIENCE;
    loop {
        match open() {
            Err(JournalError::InUse(_)) if tokio::time::Instant::now() < until => {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            other => return other,
        }
    }
}

/// An open conversation file.
#[derive(Debug)]
pub struct Journal {
    file: File,
    path: PathBuf,
    /// How much of the file are whole lines.
    length: u64,
}

impl Journal {
    /// Makes a new one, and the folder if need be (only for its owner).
    pub fn create(folder: &Path, id: &str, head: &impl Serialize) -> Result<Self, JournalError> {
        let path = place(folder, id)?;
        let written = |cause| JournalError::Io { path: path.clone(), doing: "written", cause };
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(written)?;
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .map_err(written)?;
        lock(&file, id, &path)?;
        let mut journal = Self { file, path: path.clone(), length: 0 };
        journal.append(head)?;
        // The name must be as durable as what it names.
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(written)?;
        Ok(journal)
    }

    /// Opens one to go on with it; gives its head and its records.
    pub fn open<H, R>(folder: &Path, id: &str) -> Result<(Self, H, Vec<R>), JournalError>
    where
        H: DeserializeOwned,
        R: DeserializeOwned,
    {
        let path = place(folder, id)?;
        let read = |cause| JournalError::Io { path: path.clone(), doing: "read", cause };
        let mut file = match OpenOptions::new().read(true).write(true).open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(JournalError::NotFound(id.to_owned()));
            }
            Err(error) => return Err(read(error)),
        };
        lock(&file, id, &path)?;
        let mut text = Vec::new();
        file.read_to_end(&mut text).map_err(read)?;
        let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        text.truncate(whole);
        let mut lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).enumerate();
        let damaged = |line: usize, cause: String| JournalError::Damaged { path: path.clone(), line, cause };
        let (_, head) = lines.next().ok_or_else(|| damaged(1, "it is empty".into()))?;
        let head = serde_json::from_slice(head).map_err(|error| damaged(1, error.to_string()))?;
        let records = lines
            .map(|(at, line)| {
                serde_json::from_slice(line).map_err(|error| damaged(at + 1, error.to_string()))
            })
            .collect::<Result<_, _>>()?;
        let mut journal = Self { file, path: path.clone(), length: whole as u64 };
        journal.back_to_whole_lines().map_err(read)?;
        Ok((journal, head, records))
    }

    /// Adds a record. When this answers `Ok`, a kill or a power failure cannot take it away any more.
    pub fn append(&mut self, record: &impl Serialize) -> Result<(), JournalError> {
        let written = self.try_append(record);
        written.map_err(|cause| JournalError::Io { path: self.path.clone(), doing: "written", cause })
    }

    fn try_append(&mut self, record: &impl Serialize) -> std::io::Result<()> {
        let mut line = serde_json::to_vec(record)?;
        line.push(b'\n');
        if let Err(error) = self.file.write_all(&line).and_then(|()| self.file.sync_data()) {
            // Half a record in the middle would spoil all that comes after it.
            self.back_to_whole_lines()?;
            return Err(error);
        }
        self.length += line.len() as u64;
        Ok(())
    }

    fn back_to_whole_lines(&mut self) -> std::io::Result<()> {
        if self.file.metadata()?.len() != self.length {
            self.file.set_len(self.length)?;
        }
        self.file.seek(SeekFrom::Start(self.length)).map(|_| ())
    }
}

/// A conversation that is there.
#[derive(Debug)]
pub struct Listed<H, R> {
    /// What it is called.
    pub id: String,
    /// Its head.
    pub head: H,
    /// Its first record, if there is one that can be read.
    pub first: Option<R>,
    /// When it was last added to.
    pub changed: SystemTime,
}

/// The conversations in a folder, those first that were last added to. Files that cannot be read are left out.
pub fn list<H: DeserializeOwned, R: DeserializeOwned>(folder: &Path) -> Vec<Listed<H, R>> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut found: Vec<_> = entries
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name();
            let id = name.to_str()?.strip_suffix(".jsonl")?.to_owned();
            let file = File::open(entry.path()).ok()?;
            let changed = file.metadata().and_then(|data| data.modified()).ok()?;
            let mut lines = BufReader::new(file).lines();
            let head = serde_json::from_str(&lines.next()?.ok()?).ok()?;
            let first = lines.next().and_then(|line| serde_json::from_str(&line.ok()?).ok());
            Some(Listed { id, head, first, changed })
        })
        .collect();
    found.sort_by_key(|listed| std::cmp::Reverse(listed.changed));
    found
}

/// Where a conversation lies. An id that is no plain name is one of none.
fn place(folder: &Path, id: &str) -> Result<PathBuf, JournalError> {
    let plain = !id.is_empty()
        && id.len() <= LONGEST_ID
        && id.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    if plain { Ok(folder.join(format!("{id}.jsonl"))) } else { Err(JournalError::NotFound(id.to_owned())) }
}

fn lock(file: &File, id: &str, path: &Path) -> Result<(), JournalError> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => Err(JournalError::InUse(id.to_owned())),
        Err(TryLockError::Error(cause)) => {
            Err(JournalError::Io { path: path.to_owned(), doing: "locked", cause })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Opened = Result<(Journal, String, Vec<u32>), JournalError>;

    #[test]
    fn what_was_added_is_there_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut journal = Journal::create(&folder.path().join("a/b"), "one", &"head").expect("made");
        journal.append(&7).expect("added");
        journal.append(&8).expect("added");
        drop(journal);
        let (mut journal, head, records) =
            Journal::open::<String, u32>(&folder.path().join("a/b"), "one").expect("opened");
        assert_eq!((head.as_str(), records), ("head", vec![7, 8]));
        journal.append(&9).expect("added");
        drop(journal);
        let opened: Opened = Journal::open(&folder.path().join("a/b"), "one");
        assert_eq!(opened.expect("opened").2, [7, 8, 9]);
    }

    #[test]
    fn a_record_that_was_cut_off_is_as_if_it_had_never_been_begun() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut journal = Journal::create(folder.path(), "one", &"head").expect("made");
        journal.append(&7).expect("added");
        drop(journal);
        let path = folder.path().join("one.jsonl");
        let whole = std::fs::read(&path).expect("read");
        std::fs::write(&path, [&whole[..], b"12345"].concat()).expect("written");
        let (mut journal, _, records) = Journal::open::<String, u32>(folder.path(), "one").expect("opened");
        assert_eq!(records, [7]);
        journal.append(&8).expect("added");
        assert_eq!(std::fs::read_to_string(&path).expect("read"), "\"head\"\n7\n8\n");
    }

    #[test]
    fn one_that_is_open_cannot_be_opened_and_one_that_is_not_there_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let _journal = Journal::create(folder.path(), "one", &"head").expect("made");
        let again: Opened = Journal::open(folder.path(), "one");
        assert!(matches!(again, Err(JournalError::InUse(_))), "{again:?}");
        for id in ["two", "", "../one", "a/b", ".."] {
            let opened: Opened = Journal::open(folder.path(), id);
            assert!(matches!(opened, Err(JournalError::NotFound(_))), "{id}: {opened:?}");
        }
    }

    #[test]
    fn a_damaged_line_is_named_and_nothing_is_thrown_away() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("one.jsonl"), "\"head\"\n7\nnonsense\n8\n").expect("written");
        let opened: Opened = Journal::open(folder.path(), "one");
        let error = opened.expect_err("line 3 is no number").to_string();
        assert!(error.contains("line 3"), "{error}");
    }
}
