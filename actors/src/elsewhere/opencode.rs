//! OpenCode's database (verified with 1.18.33): SQLite, tables `session`, `message` and `part`, the last two with the
//! JSON of its API in `data`. It is opened for reading only, for as long as one look takes; a program that writes to
//! it is not held up, since the database keeps a write-ahead log.
//!
//! A message grows while the agent works on it. It is taken over when it is complete, or when another one follows it.

use std::io;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, Row, params};
use serde_json::Value;

use super::entry::{Entry, Piece, Role, shown_prompt};
use super::{Since, Taken};
use crate::domain::elsewhere::Cursor;

/// How long to wait where the database is locked.
const PATIENCE: Duration = Duration::from_millis(500);
/// At most so many sessions are listed, the newest.
const MOST_SESSIONS: usize = 10_000;
/// Messages that are looked at for a prompt.
const LOOKED_AT: usize = 40;
/// Parts of one message that are read.
const MOST_PARTS: usize = 2_000;

/// A session as its row tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionRow {
    /// Its id.
    pub id: String,
    /// Where it works.
    pub directory: String,
    /// Its name.
    pub title: String,
    /// When it was last written to, Unix milliseconds.
    pub updated: i64,
}

/// What its messages tell about it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Words {
    /// The person's first words.
    pub first_prompt: Option<String>,
    /// Their newest.
    pub last_prompt: Option<String>,
    /// How many messages there are.
    pub messages: u64,
}

struct MessageRow {
    id: String,
    created: i64,
    data: Value,
}

/// Opens the database for reading.
pub fn open(path: &Path) -> io::Result<Connection> {
    if !std::fs::symlink_metadata(path)?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no plain file"));
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(io::Error::other)?;
    connection.busy_timeout(PATIENCE).map_err(io::Error::other)?;
    Ok(connection)
}

/// The sessions of people (not those of sub-agents, not archived ones), newest first.
pub fn sessions(database: &Connection) -> io::Result<Vec<SessionRow>> {
    let query = "SELECT id, directory, title, time_updated FROM session \
                 WHERE parent_id IS NULL AND time_archived IS NULL ORDER BY time_updated DESC LIMIT ?1";
    let read = |row: &Row<'_>| {
        Ok(SessionRow { id: row.get(0)?, directory: row.get(1)?, title: row.get(2)?, updated: row.get(3)? })
    };
    rows(database, query, params![bound(MOST_SESSIONS)], read)
}

/// What the messages of a session tell about it.
pub fn words(database: &Connection, session: &str) -> io::Result<Words> {
    let count = "SELECT count(*) FROM message WHERE session_id = ?1";
    let messages: i64 = rows(database, count, params![session], |row| row.get(0))?.pop().unwrap_or(0);
    let first = "SELECT id, time_created, data FROM message WHERE session_id = ?1 \
                 ORDER BY time_created, id LIMIT ?2";
    let last = "SELECT id, time_created, data FROM message WHERE session_id = ?1 \
                ORDER BY time_created DESC, id DESC LIMIT ?2";
    Ok(Words {
        first_prompt: prompt(database, session, first)?,
        last_prompt: prompt(database, session, last)?,
        messages: messages.unsigned_abs(),
    })
}

fn prompt(database: &Connection, session: &str, query: &str) -> io::Result<Option<String>> {
    for row in rows(database, query, params![session, bound(LOOKED_AT)], message_row)? {
        if row.data.get("role").is_some_and(|role| role == "user")
            && let Some(prompt) = entry(database, &row)?.prompt()
        {
            return Ok(Some(shown_prompt(prompt)));
        }
    }
    Ok(None)
}

/// The newest `limit` messages, oldest first.
pub fn newest(path: &Path, session: &str, limit: usize) -> io::Result<Vec<Entry>> {
    let database = open(path)?;
    let query = "SELECT id, time_created, data FROM message WHERE session_id = ?1 \
                 ORDER BY time_created DESC, id DESC LIMIT ?2";
    let found = rows(&database, query, params![session, bound(limit)], message_row)?;
    let entries = found.iter().rev().map(|row| entry(&database, row));
    Ok(entries.collect::<io::Result<Vec<_>>>()?.into_iter().filter(has_pieces).collect())
}

/// All that is needed to take a session over.
pub fn take(path: &Path, session: &str, limit: usize) -> io::Result<Taken> {
    let database = open(path)?;
    let mut taken = Taken { entries: Vec::new(), cursor: Cursor::default(), total: 0, prompts: 0 };
    loop {
        let more = following(&database, session, &taken.cursor, limit.max(100))?;
        taken.cursor = more.cursor;
        taken.total += more.messages;
        taken.prompts += more.entries.iter().filter(|entry| entry.is_prompt()).count() as u64;
        taken.entries.extend(more.entries);
        super::keep_newest(&mut taken.entries, limit);
        if more.is_end {
            return Ok(taken);
        }
    }
}

/// What came behind a cursor, at most `most` messages.
pub fn since(path: &Path, session: &str, cursor: &Cursor, most: usize) -> io::Result<Since> {
    following(&open(path)?, session, cursor, most)
}

fn following(database: &Connection, session: &str, cursor: &Cursor, most: usize) -> io::Result<Since> {
    let query = "SELECT id, time_created, data FROM message WHERE session_id = ?1 \
                 AND (time_created > ?2 OR (time_created = ?2 AND id > ?3)) ORDER BY time_created, id LIMIT ?4";
    let at = i64::try_from(cursor.offset).unwrap_or(i64::MAX);
    let last = cursor.last.as_deref().unwrap_or_default();
    let mut found =
        rows(database, query, params![session, at, last, bound(most.saturating_add(1))], message_row)?;
    let is_end = found.len() <= most;
    found.truncate(most);
    let count = found.len();
    let mut since =
        Since { entries: Vec::new(), cursor: cursor.clone(), messages: 0, is_end, was_rewritten: false };
    for (at, row) in found.iter().enumerate() {
        let entry = entry(database, row)?;
        if is_end && at + 1 == count && !is_complete(row, &entry) {
            break;
        }
        since.cursor = Cursor {
            offset: row.created.unsigned_abs(),
            last: Some(row.id.clone()),
            at: Some(row.created),
            fold: std::mem::take(&mut since.cursor.fold),
        };
        if has_pieces(&entry) {
            since.messages += u64::from(since.cursor.fold.begins(&entry));
            since.entries.push(entry);
        }
    }
    Ok(since)
}

fn has_pieces(entry: &Entry) -> bool {
    !entry.pieces.is_empty()
}

/// Whether nothing will be added to it.
fn is_complete(row: &MessageRow, entry: &Entry) -> bool {
    match entry.role {
        // Its words come a moment after it.
        Role::User => has_pieces(entry),
        Role::Assistant => row.data.pointer("/time/completed").is_some() || row.data.get("error").is_some(),
    }
}

fn message_row(row: &Row<'_>) -> rusqlite::Result<MessageRow> {
    let data: String = row.get(2)?;
    let data = serde_json::from_str(&data).unwrap_or_default();
    Ok(MessageRow { id: row.get(0)?, created: row.get(1)?, data })
}

fn entry(database: &Connection, row: &MessageRow) -> io::Result<Entry> {
    let query = "SELECT data FROM part WHERE message_id = ?1 ORDER BY id LIMIT ?2";
    let parts: Vec<String> = rows(database, query, params![row.id, bound(MOST_PARTS)], |row| row.get(0))?;
    let mut pieces: Vec<Piece> = Vec::new();
    for part in &parts {
        pieces.extend(serde_json::from_str(part).map(|part: Value| read_part(&part)).unwrap_or_default());
    }
    let error = row.data.pointer("/error/data/message").and_then(Value::as_str);
    pieces.extend(error.filter(|_| pieces.is_empty()).map(|text| Piece::Text(text.to_owned())));
    let is_user = row.data.get("role").is_some_and(|role| role == "user");
    Ok(Entry {
        id: row.id.clone(),
        parent: None,
        group: None,
        at: Some(row.created),
        role: if is_user { Role::User } else { Role::Assistant },
        pieces,
        by_hand: false,
    })
}

fn read_part(part: &Value) -> Vec<Piece> {
    let text = |key: &str| part.get(key).and_then(Value::as_str).map(str::to_owned);
    let flag = |key: &str| part.get(key).is_some_and(|value| value == true);
    let some_text = || text("text").filter(|text| !text.trim().is_empty());
    match part.get("type").and_then(Value::as_str) {
        // What the program itself puts into a message, or keeps from the model.
        Some("text") if flag("synthetic") || flag("ignored") => Vec::new(),
        Some("text") => some_text().map(Piece::Text).into_iter().collect(),
        Some("reasoning") => some_text().map(Piece::Thinking).into_iter().collect(),
        Some("file") => vec![Piece::Text(format!("[file {}]", text("filename").unwrap_or_default()))],
        Some("tool") => tool(part),
        _ => Vec::new(),
    }
}

fn tool(part: &Value) -> Vec<Piece> {
    let text = |pointer: &str| part.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    let (Some(id), Some(name)) = (text("/callID"), text("/tool")) else { return Vec::new() };
    let input = part.pointer("/state/input").cloned().unwrap_or_default();
    let result = match text("/state/status").as_deref() {
        Some("completed") => text("/state/output").map(|text| (text, false)),
        Some("error") => text("/state/error").map(|text| (text, true)),
        _ => None,
    };
    let result = result.map(|(text, is_error)| Piece::Result { id: id.clone(), text, is_error });
    std::iter::once(Piece::Call { id, name, input }).chain(result).collect()
}

/// A number as SQLite knows it.
fn bound(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn rows<T>(
    database: &Connection,
    query: &str,
    parameters: impl rusqlite::Params,
    read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> io::Result<Vec<T>> {
    let run = || {
        let mut statement = database.prepare(query)?;
        statement.query_map(parameters, read)?.collect::<rusqlite::Result<Vec<T>>>()
    };
    run().map_err(io::Error::other)
}
