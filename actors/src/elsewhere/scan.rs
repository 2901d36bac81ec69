//! Reading conversations that are files of lines, as little of them as tells what is asked.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::path::Path;

use super::entry::{Entry, branch, shown_prompt};
use super::lines;
use super::{Since, Taken};
use crate::domain::elsewhere::{Cursor, Fold};

/// A file up to this size is read whole when it is met first...
const WHOLE: u64 = 1 << 20;
/// ... of a larger one its beginning, until it has told what it is about, but at most this much...
const HEAD: u64 = 1 << 20;
/// ... and its end, until the person's newest words are found, ...
const TAIL: u64 = 256 << 10;
/// ... but at most this much.
const LONGEST_TAIL: u64 = 4 << 20;
/// What was added to a known file is read if it is not more than this.
const ADDED: u64 = 4 << 20;
/// A history is looked for in the last so many bytes first, then in eight times as many, ...
const HISTORY: u64 = 256 << 10;
/// ... and at most in so many.
const LONGEST_HISTORY: u64 = 256 << 20;
/// So many bytes are taken over at once at the most, unless one message has more.
const BATCH: u64 = 4 << 20;
/// Of a file that was rewritten, at most so many entries are taken over.
const MOST_OF_REWRITTEN: usize = 10_000;

/// What a line tells about the whole conversation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct About {
    /// The agent's own id of it.
    pub id: Option<String>,
    /// Where it works.
    pub directory: Option<String>,
    /// A name that the person or the agent gave it.
    pub title: Option<String>,
    /// The person's newest words, as the program notes them.
    pub last_prompt: Option<String>,
    /// It is no conversation of a person's own.
    pub hidden: bool,
}

/// What one line holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Read {
    /// About the whole.
    pub about: About,
    /// The record's id and the one that it follows.
    pub link: Option<(String, Option<String>)>,
    /// What was said or done.
    pub entry: Option<Entry>,
}

/// Reads a line of one kind of file. Never panics, whatever the bytes.
pub type ReadLine = fn(&[u8]) -> Read;

/// What was found out about one file so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scan {
    /// Behind the last whole line that was read.
    pub offset: u64,
    /// About the whole.
    pub about: About,
    /// The person's first words, shortened.
    pub first_prompt: Option<String>,
    /// Their newest, shortened.
    pub last_prompt: Option<String>,
    /// How many messages were met.
    pub messages: u64,
    /// Whether all of the file was read, so that the number is the whole.
    pub is_exact: bool,
    fold: Fold,
}

impl Scan {
    /// Reads a file that is met for the first time.
    pub fn begin(path: &Path, length: u64, read: ReadLine) -> io::Result<Self> {
        let mut file = lines::open(path)?;
        let mut scan = Self { is_exact: length <= WHOLE, ..Self::default() };
        if scan.is_exact {
            scan.go_on(&mut file, 0, read)?;
            return Ok(scan);
        }
        let head = lines::each_line(&mut file, 0, Some(HEAD), &mut |line, _| {
            scan.take(read(line));
            scan.first_prompt.is_none() || scan.about.directory.is_none()
        })?;
        scan.fold = Fold::default();
        let mut bytes = TAIL;
        loop {
            let from = lines::tail_start(&mut file, length, bytes)?.max(head);
            let mut whole = Self { last_prompt: None, ..scan.clone() };
            whole.go_on(&mut file, from, read)?;
            // A single line may be longer than what was looked at.
            if whole.last_prompt.is_some() || bytes >= LONGEST_TAIL || from == head {
                whole.last_prompt = whole.last_prompt.or(scan.last_prompt);
                return Ok(whole);
            }
            bytes = bytes.saturating_mul(4);
        }
    }

    /// Reads what was added to a known file that is so long now.
    pub fn update(&mut self, path: &Path, length: u64, read: ReadLine) -> io::Result<()> {
        let mut file = lines::open(path)?;
        if length < self.offset || !lines::begins_line(&mut file, self.offset)? {
            *self = Self::begin(path, length, read)?;
            return Ok(());
        }
        let mut from = self.offset;
        if length - from > ADDED {
            from = lines::tail_start(&mut file, length, TAIL)?;
            self.is_exact = false;
        }
        self.go_on(&mut file, from, read)
    }

    fn go_on(&mut self, file: &mut File, from: u64, read: ReadLine) -> io::Result<()> {
        self.offset = lines::each_line(file, from, None, &mut |line, _| {
            self.take(read(line));
            true
        })?;
        Ok(())
    }

    fn take(&mut self, read: Read) {
        let Read { about, entry, .. } = read;
        self.about.hidden |= about.hidden;
        // The id is told at the beginning; the directory may change on the way.
        if self.about.id.is_none() {
            self.about.id = about.id;
        }
        self.about.directory = about.directory.or(self.about.directory.take());
        self.about.title = about.title.or(self.about.title.take());
        if let Some(prompt) = about.last_prompt {
            self.about.last_prompt = Some(shown_prompt(&prompt));
        }
        let Some(entry) = entry else { return };
        if let Some(prompt) = entry.prompt().map(shown_prompt) {
            self.first_prompt.get_or_insert_with(|| prompt.clone());
            self.last_prompt = Some(prompt);
        }
        self.messages += u64::from(self.fold.begins(&entry));
    }
}

/// The newest messages of a conversation, at least `limit` of them if there are so many, up to the byte `to`.
pub fn newest(path: &Path, to: Option<u64>, limit: usize, read: ReadLine) -> io::Result<Vec<Entry>> {
    let mut file = lines::open(path)?;
    let length = to.unwrap_or(file.metadata()?.len());
    let mut bytes = HISTORY;
    loop {
        let from = lines::tail_start(&mut file, length, bytes)?;
        let (mut entries, mut links, mut fold, mut messages) =
            (Vec::new(), HashMap::new(), Fold::default(), 0);
        lines::each_line(&mut file, from, Some(length), &mut |line, _| {
            let read = read(line);
            links.extend(read.link);
            if let Some(entry) = read.entry {
                messages += usize::from(fold.begins(&entry));
                entries.push(entry);
            }
            true
        })?;
        // Some may lie on a branch that was left.
        if from == 0 || messages >= limit.saturating_mul(2) || bytes >= LONGEST_HISTORY {
            return Ok(branch(entries, &links));
        }
        bytes = bytes.saturating_mul(8).min(LONGEST_HISTORY);
    }
}

/// Reads a whole conversation to take it over: its newest messages, and how many there are. Keeps no more of it than
/// these in memory.
pub fn take(path: &Path, limit: usize, read: ReadLine) -> io::Result<Taken> {
    let mut file = lines::open(path)?;
    let (mut cursor, mut total, mut prompts) = (Cursor::default(), 0, 0);
    cursor.offset = lines::each_line(&mut file, 0, None, &mut |line, _| {
        if let Some(entry) = read(line).entry {
            total += u64::from(cursor.fold.begins(&entry));
            prompts += u64::from(entry.is_prompt());
            note(&mut cursor, &entry);
        }
        true
    })?;
    let entries = newest(path, Some(cursor.offset), limit, read)?;
    Ok(Taken { entries, cursor, total, prompts })
}

fn note(cursor: &mut Cursor, entry: &Entry) {
    if !entry.id.is_empty() {
        cursor.last = Some(entry.id.clone());
    }
    cursor.at = entry.at.max(cursor.at);
}

/// What was added behind a cursor: about `most` messages, and not more bytes than a batch. It ends before a prompt
/// where it can, so that a turn is not torn.
pub fn since(path: &Path, cursor: &Cursor, most: usize, read: ReadLine) -> io::Result<Since> {
    let mut file = lines::open(path)?;
    let length = file.metadata()?.len();
    if length < cursor.offset || !lines::begins_line(&mut file, cursor.offset)? {
        return since_rewritten(&mut file, cursor, read);
    }
    let mut since = Since {
        entries: Vec::new(),
        cursor: cursor.clone(),
        messages: 0,
        is_end: true,
        was_rewritten: false,
    };
    let (mut behind, mut bytes) = (cursor.offset, 0);
    lines::each_line(&mut file, cursor.offset, None, &mut |line, end| {
        let entry = read(line).entry;
        let enough = since.messages >= most as u64 || bytes >= BATCH;
        let far_enough = since.messages >= 4 * most as u64 || bytes >= 4 * BATCH;
        if enough && (far_enough || entry.as_ref().is_some_and(Entry::is_prompt)) {
            since.is_end = false;
            return false;
        }
        behind = end;
        if let Some(entry) = entry {
            bytes += line.len() as u64;
            since.messages += u64::from(since.cursor.fold.begins(&entry));
            note(&mut since.cursor, &entry);
            since.entries.push(entry);
        }
        true
    })?;
    since.cursor.offset = behind;
    Ok(since)
}

/// The file is not the one that was read: what comes behind the last known entry in it, or else what is newer than that.
fn since_rewritten(file: &mut File, cursor: &Cursor, read: ReadLine) -> io::Result<Since> {
    let (mut all, mut behind_known) = (Vec::new(), None);
    let mut fresh = Cursor { offset: 0, ..cursor.clone() };
    fresh.offset = lines::each_line(file, 0, None, &mut |line, _| {
        if let Some(entry) = read(line).entry {
            let is_known = !entry.id.is_empty() && Some(&entry.id) == cursor.last.as_ref();
            if is_known || behind_known.is_some() || entry.at > cursor.at {
                all.push(entry);
            }
            if is_known {
                all.clear();
                behind_known = Some(());
            }
        }
        true
    })?;
    all.drain(..all.len().saturating_sub(MOST_OF_REWRITTEN));
    let mut messages = 0;
    for entry in &all {
        messages += u64::from(fresh.fold.begins(entry));
        note(&mut fresh, entry);
    }
    Ok(Since { entries: all, cursor: fresh, messages, is_end: true, was_rewritten: true })
}

#[cfg(test)]
#[path = "scan_tests.rs"]
mod tests;
