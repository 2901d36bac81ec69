//! Reading a backup. Nothing of it is trusted: names are compared, hashes checked, and nothing may be missing at its end.

use std::fs::File;
use std::io::{self, BufReader, Read as _};
use std::path::Path;

use flate2::read::GzDecoder;
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use tether_actors::log::{Entry, Item, Unpacker};

use super::{BackupError, END, End, HEAD, Head, SETTINGS, VERSION, is_agents_file};

/// Longest member: a piece of the log has about a megabyte, or one big event.
const LARGEST: u64 = 1 << 30;

/// What is in a backup.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Content {
    /// The version of the program that wrote it.
    pub tether: String,
    /// When.
    pub made_at: String,
    /// Entries of the log.
    pub entries: u64,
    /// Files of our own agents.
    pub files: u64,
    /// Whether the settings are in it.
    pub settings: bool,
}

/// Something in a backup.
#[derive(Debug)]
pub enum Member {
    /// A part of the log.
    Entry(Entry),
    /// A file, to be laid below the data folder under this name, which stays below it.
    File(String, Vec<u8>),
    /// The settings.
    Settings(Vec<u8>),
}

/// What is shown each member.
pub type Visitor<'a> = dyn FnMut(Member) -> Result<(), BackupError> + 'a;

/// Reads all of it, and shows nobody.
///
/// # Errors
/// It is none, or not whole.
pub fn check(path: &Path) -> Result<Content, BackupError> {
    read(path, &mut |_| Ok(()))
}

/// Reads it. That it is whole is known only at its end: [`check`] it before.
///
/// # Errors
/// It is none, or not whole, or the visitor has one.
pub fn read(path: &Path, visit: &mut Visitor<'_>) -> Result<Content, BackupError> {
    let file = File::open(path)
        .map_err(|error| BackupError::Io { path: path.display().to_string(), reason: error.to_string() })?;
    let mut reader = Reader {
        path: path.display().to_string(),
        content: Content::default(),
        seen: End::default(),
        unpacker: Unpacker::default(),
        ended_at: None,
        pieces: 0,
    };
    let mut archive = tar::Archive::new(GzDecoder::new(BufReader::new(file)));
    let foreign = |_: io::Error| BackupError::Foreign(path.display().to_string());
    let mut end = None;
    for (at, member) in archive.entries().map_err(foreign)?.enumerate() {
        let of_it = |error: io::Error| match at {
            0 => BackupError::Foreign(path.display().to_string()),
            _ => BackupError::Damaged { path: path.display().to_string(), reason: error.to_string() },
        };
        let mut member = member.map_err(of_it)?;
        let name = String::from_utf8_lossy(&member.path_bytes()).into_owned();
        let is_plain = member.header().entry_type() == tar::EntryType::Regular;
        if !is_plain || member.size() > LARGEST {
            return Err(reader.damaged(format!("{name:?} does not belong there")));
        }
        let mut bytes = Vec::new();
        member.read_to_end(&mut bytes).map_err(of_it)?;
        if at == 0 {
            reader.head(&name, &bytes)?;
        } else if end.is_some() {
            return Err(reader.damaged(format!("{name:?} comes behind its end")));
        } else if name == END {
            end = Some(
                serde_json::from_slice::<End>(&bytes).map_err(|error| reader.damaged(error.to_string()))?,
            );
            continue;
        } else {
            reader.member(&name, &bytes, visit)?;
        }
        reader.seen.members.insert(name, hex::encode(Sha256::digest(&bytes)));
    }
    if end.is_some() {
        // The packer's own sum comes last.
        io::copy(&mut archive.into_inner(), &mut io::sink())
            .map_err(|error| reader.damaged(error.to_string()))?;
    }
    reader.whole(end)
}

struct Reader {
    path: String,
    content: Content,
    /// What was read so far.
    seen: End,
    unpacker: Unpacker,
    /// Set when the log's own end came.
    ended_at: Option<u64>,
    pieces: usize,
}

impl Reader {
    fn damaged(&self, reason: impl Into<String>) -> BackupError {
        BackupError::Damaged { path: self.path.clone(), reason: reason.into() }
    }

    fn head(&mut self, name: &str, bytes: &[u8]) -> Result<(), BackupError> {
        let foreign = || BackupError::Foreign(self.path.clone());
        if name != HEAD {
            return Err(foreign());
        }
        let head: Head = serde_json::from_slice(bytes).map_err(|_| foreign())?;
        if head.format != "tether-backup" {
            return Err(foreign());
        }
        if head.version > VERSION {
            return Err(BackupError::Newer { path: self.path.clone(), tether: head.tether });
        }
        self.content.tether = head.tether;
        self.content.made_at = head.made_at;
        Ok(())
    }

    fn member(&mut self, name: &str, bytes: &[u8], visit: &mut Visitor<'_>) -> Result<(), BackupError> {
        if name == SETTINGS {
            self.content.settings = true;
            return visit(Member::Settings(bytes.to_vec()));
        }
        if is_agents_file(name) {
            self.content.files += 1;
            return visit(Member::File(name.to_owned(), bytes.to_vec()));
        }
        self.pieces += 1;
        if name != format!("log/{}", self.pieces) || self.ended_at.is_some() {
            return Err(self.damaged(format!("{name:?} does not belong there")));
        }
        self.unpacker.push(bytes);
        while let Some(item) = self.unpacker.take().map_err(|error| self.damaged(error.to_string()))? {
            if self.ended_at.is_some() {
                return Err(self.damaged("the log goes on behind its end"));
            }
            match item {
                Item::End(count) => self.ended_at = Some(count),
                Item::Entry(entry) => {
                    self.content.entries += 1;
                    visit(Member::Entry(entry))?;
                }
            }
        }
        Ok(())
    }

    fn whole(mut self, end: Option<End>) -> Result<Content, BackupError> {
        let Some(end) = end else {
            let is_empty = self.content.tether.is_empty();
            return Err(if is_empty {
                BackupError::Foreign(self.path)
            } else {
                self.damaged("its end is missing")
            });
        };
        self.seen.entries = self.content.entries;
        if end != self.seen {
            return Err(self.damaged("what is in it is not what was written"));
        }
        if self.ended_at != Some(self.content.entries) || !self.unpacker.is_empty() {
            return Err(self.damaged("its log is not whole"));
        }
        Ok(self.content)
    }
}
