//! `sessions.db`: which sessions there are.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags, Row};
use serde_json::{Map, Value, json};
use tether_actors::domain::past::{PastEvent, PastSession};

use super::{Found, Left, SourceError, unreadable};

/// What belongs to a database: it, and what a program that was killed in mid-write left beside it.
const PARTS: [&str; 3] = ["sessions.db", "sessions.db-journal", "sessions.db-wal"];
/// So often it is copied anew when it changed meanwhile.
const TRIES: usize = 5;

/// The sessions, oldest first, and rows that are none.
pub fn read(folder: &Path) -> Result<(Vec<Found>, Vec<Left>), SourceError> {
    let place = folder.join(PARTS[0]);
    if !place.is_file() {
        return Err(SourceError::NoDatabase(folder.to_owned()));
    }
    let copy = tempfile::Builder::new().prefix("tether-migrate-").tempdir();
    let copy = copy.map_err(|error| unreadable(&place, &error))?;
    copy_whole(folder, copy.path())
        .map_err(|error| unreadable(&place, &error))?
        .ok_or_else(|| SourceError::InUse(place.clone()))?;
    sessions(&copy.path().join(PARTS[0])).map_err(|error| match error {
        rusqlite::Error::SqliteFailure(_, Some(reason)) => SourceError::Unreadable { path: place, reason },
        other => unreadable(&place, &other),
    })
}

/// Copies the database, so that looking at it changes nothing; `None` if it never stood still.
fn copy_whole(from: &Path, to: &Path) -> io::Result<Option<()>> {
    for _ in 0..TRIES {
        let before = state(from)?;
        for name in PARTS {
            match std::fs::copy(from.join(name), to.join(name)) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    let _ = std::fs::remove_file(to.join(name));
                }
                Err(error) => return Err(error),
            }
        }
        if state(from)? == before {
            return Ok(Some(()));
        }
    }
    Ok(None)
}

/// Sizes and times, by which a change is seen.
fn state(folder: &Path) -> io::Result<Vec<Option<(u64, SystemTime)>>> {
    let of = |path: PathBuf| match std::fs::metadata(path) {
        Ok(data) => Ok(Some((data.len(), data.modified()?))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    };
    PARTS.iter().map(|name| of(folder.join(name))).collect()
}

fn sessions(path: &Path) -> rusqlite::Result<(Vec<Found>, Vec<Left>)> {
    // For writing too, because a half-done write must be taken back first: in the copy.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let database = Connection::open_with_flags(path, flags)?;
    let mut said = messages(&database)?;
    let mut statement = database.prepare("SELECT * FROM sessions ORDER BY created_at, rowid")?;
    let columns: Vec<String> = statement.column_names().map(str::to_owned).collect();
    let mut rows = statement.query([])?;
    let (mut found, mut left) = (Vec::new(), Vec::new());
    while let Some(row) = rows.next()? {
        let row = object(row, &columns)?;
        let id = row.get("id").and_then(Value::as_str).unwrap_or("a session without an id").to_owned();
        match session(row) {
            Ok(session) => {
                let messages = said.remove(&session.id).unwrap_or_default();
                found.push(Found { session, messages });
            }
            Err(error) => left.push(Left::new(id, format!("its row cannot be understood: {error}"))),
        }
    }
    Ok((found, left))
}

fn object(row: &Row<'_>, columns: &[String]) -> rusqlite::Result<Map<String, Value>> {
    let mut object = Map::new();
    for (at, column) in columns.iter().enumerate() {
        let value = match row.get_ref(at)? {
            ValueRef::Null => Value::Null,
            ValueRef::Integer(number) => number.into(),
            ValueRef::Real(number) => number.into(),
            ValueRef::Text(bytes) | ValueRef::Blob(bytes) => String::from_utf8_lossy(bytes).into(),
        };
        object.insert(column.clone(), value);
    }
    Ok(object)
}

fn session(mut row: Map<String, Value>) -> Result<PastSession, serde_json::Error> {
    // The successor keeps the address of a clone as what its session is about.
    if row.get("repo_ref_type").is_some_and(|kind| kind == "url")
        && let Some(url) = row.get("repo_ref_value").cloned()
    {
        row.insert("clone_url".to_owned(), url);
    }
    // A mode that nobody knows is none.
    if row.get("approval_mode").and_then(Value::as_u64).is_none_or(|mode| mode > 2) {
        row.remove("approval_mode");
    }
    serde_json::from_value(Value::Object(row))
}

/// What was said, by session, as events; runs of LiteLLM keep it in the database.
fn messages(database: &Connection) -> rusqlite::Result<HashMap<String, Vec<PastEvent>>> {
    let mut said: HashMap<String, Vec<PastEvent>> = HashMap::new();
    let tables: i64 = database.query_row(
        "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'messages'",
        [],
        |row| row.get(0),
    )?;
    if tables == 0 {
        return Ok(said);
    }
    let mut statement = database
        .prepare("SELECT session_id, role, content, created_at FROM messages ORDER BY session_id, seq")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (session, role): (String, String) = (row.get(0)?, row.get(1)?);
        let content: Option<String> = row.get(2)?;
        let text = text_of(&content.unwrap_or_default());
        if text.is_empty() {
            continue;
        }
        let (kind, data) = match role.as_str() {
            "user" => ("user_input", json!({ "text": text })),
            _ => ("output", json!({ "stream": "combined", "text": text, "kind": "final", "final": true })),
        };
        let event = PastEvent { ts: row.get(3)?, kind: kind.to_owned(), data };
        said.entry(session).or_default().push(event);
    }
    Ok(said)
}

/// The words in the content of a message: a text, or a list of blocks.
fn text_of(content: &str) -> String {
    match serde_json::from_str(content) {
        Ok(Value::String(text)) => text,
        Ok(Value::Array(blocks)) => {
            let texts = blocks.iter().filter_map(|block| block.get("text").unwrap_or(block).as_str());
            texts.collect::<Vec<_>>().join("\n")
        }
        _ => String::new(),
    }
}
