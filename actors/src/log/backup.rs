//! The whole log, to be kept elsewhere and put back.
//!
//! It is taken while the daemon works, and is what held at one moment: all that changes is read at that moment, in one
//! go, and events, which never change, are read afterwards, piece by piece, up to those that there were then.
//!
//! A piece is a row of entries: `length:u32 key length:u32 value`, numbers big-endian; the keys are those of
//! [`keys`](super::keys), so the version of the schema comes along. The last piece is [`LAST`] and how many entries came
//! before, so that half a row is not taken for a whole one.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::path::{Path, PathBuf};

use actix::{Context, Handler, Message};
use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};

use super::event_log::EventLog;
use super::handle::Log;
use super::keys::{self, Kind};
use super::ledger::Ledger;
use super::messages::{LogError, ReadEvents};
use super::queries::{self, entries};
use super::read_model::ReadModel;
use super::schema;
use super::sled_store::SledEngine;
use super::store::{Batch, Engine as _, EventStore, KeyRange, go_on};
use crate::domain::ids::SessionId;
use crate::domain::session::RunRecord;

/// In the place of a key's length: the end.
const LAST: u32 = u32::MAX;
/// Longer keys and values are not ours.
const LONGEST_KEY: usize = 64 << 10;
const LONGEST_VALUE: usize = 512 << 20;
/// About so much is read, and written, at once.
const PIECE_BYTES: usize = 1 << 20;
/// sled applies small batches fastest.
const BATCH_BYTES: usize = 64 << 10;

/// What is in the log, of itself meaningless.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    key: Vec<u8>,
    value: Bytes,
}

/// One thing in a row of pieces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// An entry.
    Entry(Entry),
    /// The end, with the number of entries before it.
    End(u64),
}

/// Why a row of pieces could not be read or put back.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum RestoreError {
    /// It is not one.
    #[error("it holds something that is no part of a backup")]
    Foreign,
    /// The store refused, or what was put into it does not read back.
    #[error("{0}")]
    Store(String),
}

/// What was put back, or would be.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Restored {
    /// How many sessions.
    pub sessions: usize,
    /// How many events they have.
    pub events: u64,
    /// The agents that ran when it was taken.
    pub runs: Vec<RunRecord>,
}

/// All but the events, as it stands now.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "Result<Snapshot, LogError>")]
struct TakeSnapshot;

#[derive(Debug)]
struct Snapshot {
    entries: Vec<Entry>,
    /// Each session with the number of its last event.
    sessions: VecDeque<(SessionId, u64)>,
}

/// A backup under way.
#[derive(Debug)]
pub struct Backup {
    log: Log,
    rest: Vec<Entry>,
    sessions: VecDeque<(SessionId, u64)>,
    /// How far the first of them was read.
    after: u64,
    /// Sessions that were deleted meanwhile.
    gone: BTreeSet<SessionId>,
    count: u64,
    /// Only the end is left.
    ending: bool,
    ended: bool,
}

impl Log {
    /// Begins a backup of what there is now.
    pub async fn backup(&self) -> Result<Backup, LogError> {
        let Snapshot { entries, sessions } =
            self.addr.send(TakeSnapshot).await.unwrap_or(Err(LogError::Closed))?;
        Ok(Backup {
            log: self.clone(),
            rest: entries,
            sessions,
            after: 0,
            gone: BTreeSet::new(),
            count: 0,
            ending: false,
            ended: false,
        })
    }
}

impl Backup {
    /// The next piece, of about a megabyte; `None` behind the last.
    pub async fn next(&mut self) -> Result<Option<Bytes>, LogError> {
        if self.ended {
            return Ok(None);
        }
        let mut piece = BytesMut::new();
        while piece.len() < PIECE_BYTES && !self.sessions.is_empty() {
            self.some_events(&mut piece).await?;
        }
        if self.sessions.is_empty() && !self.ending {
            self.ending = true;
            self.rest.retain(|entry| !belongs_to(&entry.key, &entry.value, &self.gone));
            // What is left of those is removed where it is put back.
            let left = self.gone.iter().map(|id| Entry { key: keys::tombstone(id), value: Bytes::new() });
            self.rest.extend(left);
            self.rest.reverse();
        }
        while self.ending && piece.len() < PIECE_BYTES {
            match self.rest.pop() {
                Some(entry) => self.put(&mut piece, &entry.key, &entry.value),
                None => {
                    piece.put_u32(LAST);
                    piece.put_u64(self.count);
                    self.ended = true;
                    break;
                }
            }
        }
        Ok(Some(piece.freeze()))
    }

    async fn some_events(&mut self, piece: &mut BytesMut) -> Result<(), LogError> {
        let Some((session, last)) = self.sessions.front().cloned() else { return Ok(()) };
        if self.after < last {
            let limit = usize::try_from(last - self.after).unwrap_or(usize::MAX);
            let read =
                ReadEvents { session: session.clone(), after: self.after, limit, max_bytes: PIECE_BYTES };
            let frames = self.log.read_events(read).await?;
            if frames.is_empty() {
                self.gone.insert(session);
                self.sessions.pop_front();
                self.after = 0;
                return Ok(());
            }
            for frame in frames {
                self.after = frame.seq;
                self.put(piece, &keys::event(&session, frame.seq), &frame.json);
            }
        }
        if self.after >= last {
            self.sessions.pop_front();
            self.after = 0;
        }
        Ok(())
    }

    fn put(&mut self, piece: &mut BytesMut, key: &[u8], value: &[u8]) {
        self.count += 1;
        // Both are far below 4 GiB: they were read from a store that took them.
        piece.put_u32(u32::try_from(key.len()).unwrap_or(LAST));
        piece.put_slice(key);
        piece.put_u32(u32::try_from(value.len()).unwrap_or(LAST));
        piece.put_slice(value);
    }
}

/// Whether an entry belongs to one of these sessions.
fn belongs_to(key: &[u8], value: &[u8], sessions: &BTreeSet<SessionId>) -> bool {
    let session = match key.first() {
        Some(kind) if *kind == Kind::ApprovalIndex as u8 => {
            keys::parse_approval_index_value(value).map(|(session, _)| session)
        }
        Some(kind) if *kind == Kind::ApprovalOrdinal as u8 => {
            keys::parse_approval_ordinal_value(value).map(|(session, _)| session)
        }
        Some(kind)
            if [Kind::Bridge, Kind::Device, Kind::Trust, Kind::Meta].iter().any(|k| *k as u8 == *kind) =>
        {
            None
        }
        _ => keys::split(key).map(|(session, _)| session),
    };
    session.is_some_and(|session| sessions.contains(&session))
}

impl Ledger {
    fn snapshot(&mut self) -> Result<Snapshot, LogError> {
        self.commit();
        let store = self.trusted()?;
        let events = Kind::Event.all();
        let all_else =
            [KeyRange { start: vec![0], end: events.start }, KeyRange { start: events.end, end: vec![255] }];
        let own = [keys::meta("probe"), keys::meta("deleted")];
        let mut kept = Vec::new();
        for range in &all_else {
            let found = entries(store, range)?.into_iter().filter(|(key, _)| !own.contains(key));
            kept.extend(found.map(|(key, value)| Entry { key, value }));
        }
        let mut sessions: Vec<_> = self.read_model.last_seqs().into_iter().collect();
        sessions.sort();
        Ok(Snapshot { entries: kept, sessions: sessions.into() })
    }
}

impl Handler<TakeSnapshot> for EventLog {
    type Result = Result<Snapshot, LogError>;

    fn handle(&mut self, _: TakeSnapshot, ctx: &mut Context<Self>) -> Self::Result {
        let snapshot = self.ledger.snapshot();
        self.follow_up(ctx);
        snapshot
    }
}

/// Takes a row of pieces apart, however it is cut.
#[derive(Debug, Default)]
pub struct Unpacker {
    waiting: BytesMut,
}

impl Unpacker {
    /// Adds what came.
    pub fn push(&mut self, bytes: &[u8]) {
        self.waiting.extend_from_slice(bytes);
    }

    /// Whether all that came was taken out.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// The next item; `None` = more must come first.
    ///
    /// # Errors
    /// What came is no row of entries.
    pub fn take(&mut self) -> Result<Option<Item>, RestoreError> {
        let mut rest = &self.waiting[..];
        let Ok(key_len) = rest.try_get_u32() else { return Ok(None) };
        if key_len == LAST {
            let Ok(count) = rest.try_get_u64() else { return Ok(None) };
            self.waiting.advance(12);
            return Ok(Some(Item::End(count)));
        }
        let key_len = key_len as usize;
        if key_len == 0 || key_len > LONGEST_KEY {
            return Err(RestoreError::Foreign);
        }
        let Some((key, mut rest)) = rest.split_at_checked(key_len) else { return Ok(None) };
        let Ok(value_len) = rest.try_get_u32() else { return Ok(None) };
        let value_len = value_len as usize;
        if value_len > LONGEST_VALUE {
            return Err(RestoreError::Foreign);
        }
        let Some(value) = rest.get(..value_len) else { return Ok(None) };
        let entry = Entry { key: key.to_vec(), value: Bytes::copy_from_slice(value) };
        self.waiting.advance(8 + key_len + value_len);
        Ok(Some(Item::Entry(entry)))
    }
}

/// A log that is being put back into a folder of its own.
pub struct Restoring {
    folder: PathBuf,
    store: Box<dyn EventStore>,
    batch: Batch,
    count: u64,
}

impl Restoring {
    /// Begins one for the data folder `data`, which must have none.
    ///
    /// # Errors
    /// The folder cannot be made, or has one.
    pub fn begin(data: &Path) -> Result<Self, RestoreError> {
        let folder = data.join("log");
        if folder.exists() {
            return Err(RestoreError::Store(format!("{} is there already", folder.display())));
        }
        let store = SledEngine::new(&folder).open().map_err(said)?;
        Ok(Self { folder, store, batch: Batch::default(), count: 0 })
    }

    /// Puts an entry into it.
    ///
    /// # Errors
    /// The store fails.
    pub fn put(&mut self, entry: Entry) -> Result<(), RestoreError> {
        self.batch.put(entry.key, entry.value);
        self.count += 1;
        if self.batch.bytes() >= BATCH_BYTES {
            self.store.apply(&self.batch).map_err(said)?;
            self.batch.clear();
        }
        Ok(())
    }

    /// Has all on disk, opens it anew, and looks whether it is all there and in order.
    ///
    /// # Errors
    /// It is not.
    pub fn finish(mut self) -> Result<Restored, RestoreError> {
        self.store.commit(&self.batch).map_err(said)?;
        drop(self.store);
        let mut store = SledEngine::new(&self.folder).open().map_err(said)?;
        let mut count = 0;
        let all = KeyRange { start: vec![0], end: vec![255] };
        let mut events: HashMap<SessionId, u64> = HashMap::new();
        store
            .scan(&all, &mut |key, _| {
                count += 1;
                if Kind::Event.is_of(key)
                    && let Some((session, _)) = keys::split(key)
                {
                    *events.entry(session).or_default() += 1;
                }
                go_on(true)
            })
            .map_err(said)?;
        if count != self.count {
            return Err(RestoreError::Store(format!(
                "{} entries were written, and {count} are there",
                self.count
            )));
        }
        schema::settle(&mut *store, schema::VERSION, schema::MIGRATIONS).map_err(said)?;
        let read_model = ReadModel::default();
        queries::load(&*store, &read_model).map_err(said)?;
        let mut restored = Restored::default();
        for (session, last) in read_model.last_seqs() {
            let there = events.get(&session).copied().unwrap_or_default();
            if there != last {
                return Err(RestoreError::Store(format!("session {session} has {there} of {last} events")));
            }
            restored.sessions += 1;
            restored.events += last;
        }
        restored.runs = queries::all(&*store, "run", &Kind::Run.all()).map_err(said)?;
        Ok(restored)
    }
}

fn said(error: impl std::fmt::Display) -> RestoreError {
    RestoreError::Store(error.to_string())
}

#[cfg(test)]
#[path = "backup_tests.rs"]
mod tests;
