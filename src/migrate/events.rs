//! The logs of events: `events.jsonl`, and what was rotated away.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader};
use std::path::{Path, PathBuf};

use serde_json::Value;
use tether_actors::domain::past::PastEvent;
use tether_actors::domain::time::Stamp;

use super::{Events, names};

/// The log of a session, in its folder.
const LOG: &str = "events.jsonl";

/// All events in a session's folder, in the order in which they were written. `fallback` is the time of the first one
/// if it bears none.
pub fn read(folder: &Path, fallback: Stamp) -> io::Result<Events> {
    let mut read = Events::default();
    let mut unreadable = 0;
    let mut last = Cursor { time: fallback.to_string(), seq: 0, missing: 0 };
    for path in files(folder)? {
        let mut lines = BufReader::new(File::open(&path)?);
        let mut line = Vec::new();
        while lines.read_until(b'\n', &mut line)? > 0 {
            if !line.trim_ascii().is_empty() {
                match event(&line, &mut last) {
                    Some(event) => read.events.push(event),
                    None => unreadable += 1,
                }
            }
            line.clear();
        }
    }
    if unreadable > 0 {
        read.notes.push(format!("{unreadable} lines of its log are no events"));
    }
    if last.missing > 0 {
        read.notes
            .push(format!("{} events are in no log any more: they were rotated away twice", last.missing));
    }
    Ok(read)
}

/// The oldest first: the higher the number, the longer ago it was rotated away.
fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let number = |name: &str| match name.strip_prefix(LOG)? {
        "" => Some(0),
        rest => rest.strip_prefix('.')?.parse::<u32>().ok(),
    };
    let mut found: Vec<(u32, PathBuf)> =
        names(folder)?.iter().filter_map(|name| Some((number(name)?, folder.join(name)))).collect();
    found.sort_by_key(|(number, _)| std::cmp::Reverse(*number));
    Ok(found.into_iter().map(|(_, path)| path).collect())
}

/// Where reading stands.
struct Cursor {
    /// Of the event before.
    time: String,
    seq: u64,
    /// How many numbers were skipped.
    missing: u64,
}

fn event(line: &[u8], last: &mut Cursor) -> Option<PastEvent> {
    let Ok(Value::Object(mut event)) = serde_json::from_slice(line) else { return None };
    let kind = event.get("type")?.as_str()?.to_owned();
    let data = event.remove("data").filter(Value::is_object)?;
    let is_word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if kind.is_empty() || kind.len() > 64 || !kind.chars().all(is_word) {
        return None;
    }
    let seq = event.get("seq").and_then(Value::as_u64).unwrap_or(last.seq + 1);
    // A lower number is a count that began anew.
    last.missing += seq.saturating_sub(last.seq + 1);
    last.seq = seq;
    if let Some(ts) = event.get("ts").and_then(Value::as_str).filter(|ts| Stamp::parse(ts).is_some()) {
        last.time = ts.to_owned();
    }
    Some(PastEvent { ts: last.time.clone(), kind, data })
}
