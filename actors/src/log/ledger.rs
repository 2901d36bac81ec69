//! The event log's rules, without the actor: what is staged, committed, undone and published.
//!
//! Appends are *staged*: numbered, serialised, put into one batch. A commit writes the batch, publishes
//! what it changed and then answers all. If it fails, nothing of it counts: everyone is told so, and
//! before anything else is written, whatever may have reached the disk after all is undone. So an error
//! means "did not happen", and numbers that nobody saw can be given again.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;

use crate::domain::device::Device;
use crate::domain::ids::{ApprovalId, DeviceId, SessionId};
use crate::domain::time::Stamp;
use crate::domain::trust::TrustedDirectory;
use crate::fault;

use super::disk::{FolderLock, Room};
use super::frame::FrameWriter;
use super::keys::{self, Kind};
use super::messages::{Append, Class, Committed, LogError, Write};
use super::promise::{self, Answer, Answered};
use super::read_model::{Change, Condition, ReadModel};
use super::store::{Batch, Engine, EventStore, StoreError};

/// A batch with this many appends or bytes is committed without waiting for more: beyond it a sync per
/// append is cheap already, and the first in the batch would wait for the last.
const FULL_APPENDS: usize = 256;
const FULL_BYTES: usize = 1 << 20;

/// Entries of a deleted session that are removed in one go; a few milliseconds.
const PURGE_SLICE: usize = 250;

/// A full disk must have this much room before the store, which needs some to open, is closed and opened
/// again: until then the failed one at least serves reads.
const ROOM_TO_REOPEN: u64 = 4 << 20;

/// The state of the log.
pub(super) struct Ledger {
    pub(super) store: Option<Box<dyn EventStore>>,
    engine: Box<dyn Engine>,
    pub(super) room: Room,
    pub(super) read_model: ReadModel,
    frames: FrameWriter,
    batch: Batch,
    staged: Vec<Staged>,
    /// The last number given in each session, staged ones included. A session that is not here does not exist.
    pub(super) last_given: HashMap<SessionId, u64>,
    pub(super) next_session: u64,
    pub(super) next_approval: u64,
    /// Places in the order of asking, of the approvals that are not settled.
    pub(super) ordinals: HashMap<ApprovalId, u64>,
    /// Sessions whose deletion is staged.
    deleting: HashSet<SessionId>,
    /// Deleted sessions with entries still to be removed.
    pub(super) purge: VecDeque<SessionId>,
    /// Bytes removed so far of the first of them.
    purged_bytes: u64,
    sick: Option<Sick>,
    closed: bool,
    /// Let go of last, after the store.
    _lock: Option<FolderLock>,
}

/// The store failed.
struct Sick {
    error: StoreError,
    /// Puts everything back that the failed commit may have changed.
    undo: Batch,
}

struct Staged {
    change: Option<Change>,
    answer: Answer,
}

/// What was found in the store when it was opened.
#[derive(Default)]
pub(super) struct Found {
    pub next_session: u64,
    pub next_approval: u64,
    pub ordinals: HashMap<ApprovalId, u64>,
    pub purge: VecDeque<SessionId>,
}

impl Ledger {
    pub fn new(
        store: Box<dyn EventStore>,
        engine: Box<dyn Engine>,
        room: Room,
        lock: Option<FolderLock>,
        read_model: ReadModel,
        found: Found,
    ) -> Self {
        let mut ledger = Self {
            store: Some(store),
            engine,
            room,
            last_given: read_model.last_seqs(),
            read_model,
            frames: FrameWriter::default(),
            batch: Batch::default(),
            staged: Vec::new(),
            next_session: found.next_session,
            next_approval: found.next_approval,
            ordinals: found.ordinals,
            deleting: HashSet::new(),
            purge: found.purge,
            purged_bytes: 0,
            sick: None,
            closed: false,
            _lock: lock,
        };
        ledger.look_at_disk();
        ledger
    }

    // --- staging ---

    /// Stages an append.
    pub fn append(&mut self, append: Append) -> Result<Answered<Committed>, LogError> {
        self.accepts(append.class)?;
        let Append { session, drafts, writes, class: _ } = append;
        let makes = writes.iter().any(|write| matches!(write, Write::Session(_)));
        let (mut last, is_new) = match self.last_given.get(&session) {
            Some(last) => (*last, false),
            None if makes && self.is_free(&session) => (0, true),
            None => return Err(LogError::NoSession(session)),
        };

        // Gathered aside, so that nothing is staged of an append that cannot be serialised.
        let mut batch = Batch::default();
        let mut frames = Vec::with_capacity(drafts.len());
        let now = Stamp::now();
        for draft in &drafts {
            last += 1;
            let frame = self.frames.write(&session, now, last, draft).map_err(not_json)?;
            batch.put(keys::event(&session, last), frame.json.clone());
            frames.push(frame);
        }
        let mut record = None;
        let (mut approvals, mut trust) = (Vec::new(), Vec::new());
        for write in writes {
            match write {
                Write::Session(new) => {
                    batch.put(keys::session(&session), json(&new)?);
                    record = Some((self.next_session, Arc::from(new)));
                }
                Write::Approval(approval) => {
                    let ordinal = self.place(&approval.id)?;
                    batch.put(keys::approval(&session, &approval.id), json(&approval)?);
                    // Written each time, so that they are there whichever write is the first to succeed.
                    let (at, index) = (keys::approval_ordinal(ordinal), keys::approval_index(&approval.id));
                    batch.put(at, keys::approval_ordinal_value(&session, &approval.id).into());
                    batch.put(index, keys::approval_index_value(&session, ordinal).into());
                    let unsettled = keys::unsettled(&session, &approval.id);
                    if approval.is_settled() {
                        batch.delete(unsettled);
                        self.ordinals.remove(&approval.id);
                    } else {
                        batch.put(unsettled, Bytes::new());
                    }
                    approvals.push((ordinal, Arc::from(approval)));
                }
                Write::Grant(grant) => batch.put(keys::grant(&session, &grant.id), json(&grant)?),
                Write::GrantEnd(id) => batch.delete(keys::grant(&session, &id)),
                Write::Input(input) => batch.put(keys::input(&session, &input.id), json(&input)?),
                Write::InputEnd(id) => batch.delete(keys::input(&session, &id)),
                Write::Run(run) => batch.put(keys::run(&session), json(&run)?),
                Write::RunEnd => batch.delete(keys::run(&session)),
                Write::Trust(said) => {
                    batch.put(keys::trust(&said.path), json(&said)?);
                    trust.push(said);
                }
            }
        }
        if is_new {
            let ordinal = self.next_session.to_be_bytes();
            batch.put(keys::session_ordinal(&session), Bytes::copy_from_slice(&ordinal));
            self.next_session += 1;
        }

        self.last_given.insert(session.clone(), last);
        let change = Change::Appended { session, last_seq: last, frames, record, approvals, trust };
        let (promise, later) = promise::pair();
        self.stage(batch, Some(change), Answer::Committed(promise, last));
        Ok(later)
    }

    /// Stages the deletion of a session; `None` if there is no such session. Its entries are removed
    /// afterwards by [`purge_some`](Self::purge_some); a mark in the store tells a later start to go on with it.
    pub fn delete_session(&mut self, session: SessionId) -> Result<Option<Answered<bool>>, LogError> {
        self.accepts(Class::Essential)?;
        if self.last_given.remove(&session).is_none() {
            return Ok(None);
        }
        let mut batch = Batch::default();
        batch.delete(keys::session(&session));
        batch.delete(keys::session_ordinal(&session));
        batch.delete(keys::run(&session));
        batch.put(keys::tombstone(&session), Bytes::new());
        self.deleting.insert(session.clone());
        let (promise, later) = promise::pair();
        self.stage(batch, Some(Change::Deleted(session)), Answer::Existed(promise));
        Ok(Some(later))
    }

    /// Stages a device.
    pub fn put_device(&mut self, device: &Device) -> Result<Answered<()>, LogError> {
        self.accepts(Class::Essential)?;
        let mut batch = Batch::default();
        batch.put(keys::device(&device.id), json(device)?);
        let (promise, later) = promise::pair();
        self.stage(batch, None, Answer::Done(promise));
        Ok(later)
    }

    /// Stages the end of a device; `None` if it is not known.
    pub fn delete_device(&mut self, id: &DeviceId) -> Result<Option<Answered<bool>>, LogError> {
        self.accepts(Class::Essential)?;
        self.commit();
        let key = keys::device(id);
        if self.trusted()?.get(&key)?.is_none() {
            return Ok(None);
        }
        let mut batch = Batch::default();
        batch.delete(key);
        let (promise, later) = promise::pair();
        self.stage(batch, None, Answer::Existed(promise));
        Ok(Some(later))
    }

    /// Stages what was said about a directory.
    pub fn put_trust(&mut self, said: TrustedDirectory) -> Result<Answered<()>, LogError> {
        self.accepts(Class::Essential)?;
        let mut batch = Batch::default();
        batch.put(keys::trust(&said.path), json(&said)?);
        let (promise, later) = promise::pair();
        self.stage(batch, Some(Change::Trust(said)), Answer::Done(promise));
        Ok(later)
    }

    /// Stages that nothing is said about a directory any more; `None` if nothing was.
    pub fn delete_trust(&mut self, path: String) -> Result<Option<Answered<bool>>, LogError> {
        self.accepts(Class::Essential)?;
        self.commit();
        let key = keys::trust(&path);
        if self.trusted()?.get(&key)?.is_none() {
            return Ok(None);
        }
        let mut batch = Batch::default();
        batch.delete(key);
        let (promise, later) = promise::pair();
        self.stage(batch, Some(Change::TrustForgotten(path)), Answer::Existed(promise));
        Ok(Some(later))
    }

    pub(super) fn stage(&mut self, batch: Batch, change: Option<Change>, answer: Answer) {
        self.batch.extend(batch);
        self.staged.push(Staged { change, answer });
    }

    /// Whether something waits to be committed.
    pub fn has_staged(&self) -> bool {
        !self.staged.is_empty()
    }

    /// Whether so much waits that it should not wait longer.
    pub fn is_full(&self) -> bool {
        self.staged.len() >= FULL_APPENDS || self.batch.bytes() >= FULL_BYTES
    }

    /// Commits what waits and refuses all that comes later.
    pub fn close(&mut self) {
        self.commit();
        self.closed = true;
    }

    pub(super) fn accepts(&mut self, class: Class) -> Result<(), LogError> {
        if self.closed {
            return Err(LogError::Closed);
        }
        if let Some(sick) = &self.sick {
            return Err(sick.refusal());
        }
        if class == Class::Work && self.room.is_low() || self.room.is_exhausted() {
            return Err(LogError::DiskFull {
                path: self.room.folder().display().to_string(),
                free_mib: self.room.free() >> 20,
                floor_mib: self.room.floor() >> 20,
            });
        }
        Ok(())
    }

    /// Whether a session may be made under this id.
    pub(super) fn is_free(&self, session: &SessionId) -> bool {
        SessionId::is_well_formed(session.as_str())
            && !self.deleting.contains(session)
            && !self.purge.contains(session)
    }

    /// An approval's place in the order of asking: the one it has, or the next.
    fn place(&mut self, id: &ApprovalId) -> Result<u64, LogError> {
        if let Some(ordinal) = self.ordinals.get(id) {
            return Ok(*ordinal);
        }
        let stored = self.trusted()?.get(&keys::approval_index(id))?;
        let ordinal = match stored.and_then(|value| keys::parse_approval_index_value(&value)) {
            Some((_, ordinal)) => ordinal,
            None => {
                self.next_approval += 1;
                self.next_approval - 1
            }
        };
        self.ordinals.insert(id.clone(), ordinal);
        Ok(ordinal)
    }

    // --- committing ---

    /// Commits what is staged: durable, then visible, then answered.
    pub fn commit(&mut self) {
        if self.staged.is_empty() {
            return;
        }
        let mut batch = std::mem::take(&mut self.batch);
        let staged = std::mem::take(&mut self.staged);
        fault::point("log.before_commit");
        let (undo, written) = match self.undo_of(&batch) {
            Ok(undo) => (undo, self.write(&batch)),
            Err(error) => (Batch::default(), Err(error)),
        };
        if let Err(error) = written {
            let refusal = self.fail(error, with_events(undo, &batch));
            staged.into_iter().for_each(|staged| staged.answer.give(Err(refusal.clone())));
            return;
        }
        self.room.note_written(batch.bytes());
        batch.clear();
        self.batch = batch;
        fault::point("log.after_commit");
        let mut answers = Vec::with_capacity(staged.len());
        let changes = staged.into_iter().filter_map(|staged| {
            answers.push(staged.answer);
            staged.change
        });
        self.read_model.publish(changes.inspect(|change| {
            if let Change::Deleted(session) = change {
                self.deleting.remove(session);
                self.purge.push_back(session.clone());
            }
        }));
        answers.into_iter().for_each(|answer| answer.give(Ok(())));
    }

    /// Writes a batch; on a full disk once more with the room of the reserve.
    pub(super) fn write(&mut self, batch: &Batch) -> Result<(), StoreError> {
        let store = self.store.as_mut().ok_or_else(not_open)?;
        match store.commit(batch) {
            Err(StoreError::NoRoom(text)) if self.room.give_up_reserve() => {
                tracing::warn!(error = text, "the disk is full: the reserve is used up now");
                self.reopen()?;
                self.store.as_mut().ok_or_else(not_open)?.commit(batch)
            }
            written => written,
        }
    }

    /// What puts the projections in a batch back to what they are now.
    fn undo_of(&self, batch: &Batch) -> Result<Batch, StoreError> {
        let store = self.store.as_ref().ok_or_else(not_open)?;
        let mut undo = Batch::default();
        for (key, _) in batch.ops().iter().filter(|(key, _)| !Kind::Event.is_of(key)) {
            match store.get(key)? {
                Some(value) => undo.put(key.clone(), value),
                None => undo.delete(key.clone()),
            }
        }
        Ok(undo)
    }

    /// Notes that the store failed; answers what to tell those who waited.
    pub(super) fn fail(&mut self, error: StoreError, undo: Batch) -> LogError {
        tracing::error!(%error, "the event store failed: appends are refused until it works again");
        let sick = Sick { error, undo };
        let refusal = sick.refusal();
        self.read_model.set_condition(Condition::Failing(sick.error.to_string()));
        self.sick = Some(sick);
        self.last_given = self.read_model.last_seqs();
        self.deleting.clear();
        refusal
    }

    /// Whether the store failed and has not recovered.
    pub fn is_sick(&self) -> bool {
        self.sick.is_some()
    }

    /// Tries whether a store that failed works again: opens it anew, undoes what the failed commit may have
    /// left, and writes.
    pub fn probe(&mut self) {
        let Some(sick) = &self.sick else { return };
        let is_full = matches!(sick.error, StoreError::NoRoom(_));
        if is_full && self.store.is_some() && self.room.free_now() < ROOM_TO_REOPEN {
            return;
        }
        let mut batch = sick.undo.clone();
        batch.put(keys::meta("probe"), Stamp::now().to_string().into());
        let written = self.reopen().and_then(|()| match self.store.as_mut() {
            Some(store) => store.commit(&batch),
            None => Err(not_open()),
        });
        match written {
            Ok(()) => {
                tracing::info!("the event store works again");
                self.sick = None;
                self.look_at_disk();
            }
            Err(error) => {
                if let Some(sick) = &mut self.sick {
                    self.read_model.set_condition(Condition::Failing(error.to_string()));
                    sick.error = error;
                }
            }
        }
    }

    /// Closes the store and opens it again; on a full disk with the room of the reserve.
    fn reopen(&mut self) -> Result<(), StoreError> {
        self.store = None;
        let store = match self.engine.open() {
            Err(StoreError::NoRoom(_)) if self.room.give_up_reserve() => self.engine.open(),
            opened => opened,
        }?;
        self.store = Some(store);
        Ok(())
    }

    /// Looks how much room there is, tells the readers, and sets the reserve aside when it can be.
    pub fn look_at_disk(&mut self) {
        if self.sick.is_some() {
            return;
        }
        self.room.keep_reserve();
        let (free_mib, floor_mib) = (self.room.free() >> 20, self.room.floor() >> 20);
        let low = self.room.is_low();
        let condition = if low { Condition::LowOnDisk { free_mib, floor_mib } } else { Condition::Healthy };
        self.read_model.set_condition(condition);
    }

    #[cfg(test)]
    pub(super) fn forget_free_space(&mut self) {
        self.room.free_now();
    }

    /// The store, unless what it shows may not be on disk.
    pub(super) fn trusted(&self) -> Result<&dyn EventStore, LogError> {
        match (&self.sick, &self.store) {
            (None, Some(store)) => Ok(&**store),
            (Some(sick), _) => Err(sick.refusal()),
            (None, None) => Err(not_open().into()),
        }
    }

    // --- removing what is left of deleted sessions ---

    /// How many deleted sessions have entries left.
    pub fn purge_left(&self) -> usize {
        self.purge.len()
    }

    /// Whether there is something to remove, and a store to remove it from.
    pub fn has_purge(&self) -> bool {
        self.sick.is_none() && !self.purge.is_empty()
    }

    /// Removes a slice of them.
    pub fn purge_some(&mut self) {
        if !self.has_purge() {
            return;
        }
        let (Some(session), Some(store)) = (self.purge.front(), self.store.as_mut()) else { return };
        match super::purge::slice(&mut **store, session, PURGE_SLICE, &mut self.purged_bytes) {
            Ok(true) => {
                self.purge.pop_front();
            }
            Ok(false) => {}
            Err(error) => {
                self.fail(error, Batch::default());
            }
        }
    }
}

impl Sick {
    fn refusal(&self) -> LogError {
        LogError::Storage(format!("{}; it is tried again every second", self.error))
    }
}

impl From<StoreError> for LogError {
    fn from(error: StoreError) -> Self {
        Self::Storage(error.to_string())
    }
}

/// Adds to the undoing of a batch that its events, which are always new, are gone.
fn with_events(mut undo: Batch, batch: &Batch) -> Batch {
    let events = batch.ops().iter().filter(|(key, _)| Kind::Event.is_of(key));
    events.for_each(|(key, _)| undo.delete(key.clone()));
    undo
}

pub(super) fn json(value: &impl Serialize) -> Result<Bytes, LogError> {
    serde_json::to_vec(value).map(Bytes::from).map_err(not_json)
}

fn not_json(error: serde_json::Error) -> LogError {
    LogError::Storage(format!("what was to be stored cannot be written as JSON: {error}"))
}

fn not_open() -> StoreError {
    StoreError::Failed("the store could not be opened again".into())
}
