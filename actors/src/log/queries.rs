//! What the log reads from the store: at the start for the read model, and for those who ask.

use std::sync::Arc;

use bytes::Bytes;
use serde::de::DeserializeOwned;

use crate::domain::approval::{Approval, ApprovalState, Grant};
use crate::domain::device::Device;
use crate::domain::event::Frame;
use crate::domain::ids::{ApprovalId, SessionId};
use crate::domain::session::{Input, SessionRecord};

use super::keys::{self, Kind};
use super::ledger::{Found, Ledger};
use super::messages::{ListApprovals, Loaded, LogError, ReadEvents};
use super::numbered::Numbered;
use super::read_model::{Change, ReadModel};
use super::store::{EventStore, KeyRange, go_on};

/// A single read never takes more than this, whatever is asked, so that commits do not wait for it.
const READ_EVENTS: usize = 10_000;
const READ_BYTES: usize = 8 << 20;

/// Fills the read model from the store. Looks at every session, no event but each session's last, and no
/// settled approval.
pub(super) fn load(store: &dyn EventStore, read_model: &ReadModel) -> Result<Found, LogError> {
    let mut found = Found::default();
    for (key, value) in entries(store, &Kind::SessionOrdinal.all())? {
        let ordinal = keys::parse_u64(&value).ok_or_else(|| unreadable("ordinal", &key, "no number"))?;
        found.next_session = found.next_session.max(ordinal + 1);
    }
    found.next_approval = all_approvals().last(store)?.map_or(0, |ordinal| ordinal + 1);
    for (key, value) in entries(store, &Kind::Session.all())? {
        let session = session_of(&key)?;
        let mut record: SessionRecord = parse("session", &key, &value)?;
        // What is stored was true when the record was last written; the open approvals decide.
        record.session.has_pending_permission = false;
        record.session.pending_approvals = 0;
        let ordinal = match store.get(&keys::session_ordinal(&session))? {
            Some(value) => keys::parse_u64(&value).unwrap_or_default(),
            None => return Err(unreadable("session", &key, "it has no ordinal")),
        };
        let events = Numbered {
            key: |seq| keys::event(&session, seq),
            number: keys::parse_seq,
            end: Kind::Event.of(&session).end,
        };
        let last_seq = events.last(store)?.unwrap_or_default();
        let mut approvals = Vec::new();
        for (ordinal, approval) in unsettled(store, &session)? {
            found.ordinals.insert(approval.id.clone(), ordinal);
            if approval.state == ApprovalState::Open {
                approvals.push((ordinal, Arc::new(approval)));
            }
        }
        let record = Some((ordinal, Arc::new(record)));
        read_model.publish([Change::Appended {
            session,
            last_seq,
            frames: vec![],
            record,
            approvals,
            trust: vec![],
        }]);
    }
    for (key, _) in entries(store, &Kind::Tombstone.all())? {
        found.purge.push_back(session_of(&key)?);
    }
    for said in all(store, "trust", &Kind::Trust.all())? {
        read_model.publish([Change::Trust(said)]);
    }
    Ok(found)
}

impl Ledger {
    /// Answers [`LoadSession`](super::LoadSession).
    pub fn load_session(&mut self, id: &SessionId) -> Result<Option<Loaded>, LogError> {
        // What its actors appended before they died is part of what they are rebuilt from.
        self.commit();
        let store = self.trusted()?;
        let Some(entry) = self.read_model.session(id) else { return Ok(None) };
        let mut approvals = unsettled(store, id)?;
        approvals.sort_by_key(|(ordinal, _)| *ordinal);
        let mut grants: Vec<Grant> = all(store, "grant", &Kind::Grant.of(id))?;
        grants.sort_by(|a, b| (a.created_at, &a.id).cmp(&(b.created_at, &b.id)));
        let inputs: Vec<Input> = all(store, "input", &Kind::Input.of(id))?;
        let key = keys::run(id);
        let run = store.get(&key)?.map(|value| parse("run", &key, &value)).transpose()?;
        Ok(Some(Loaded {
            record: Arc::unwrap_or_clone(entry.record),
            last_seq: entry.last_seq,
            approvals: approvals.into_iter().map(|(_, approval)| approval).collect(),
            grants,
            inputs,
            run,
        }))
    }

    /// Answers [`ReadEvents`]. Also while the store fails, as far as it still reads: what is published is
    /// on disk, and nothing after it is shown.
    pub fn read_events(&self, read: &ReadEvents) -> Result<Vec<Frame>, LogError> {
        let Some(last) = self.read_model.last_seq(&read.session) else { return Ok(vec![]) };
        let (limit, max_bytes) = (read.limit.clamp(1, READ_EVENTS), read.max_bytes.min(READ_BYTES));
        if read.after >= last {
            return Ok(vec![]);
        }
        let Some(store) = &self.store else { return Err(self.trusted().err().unwrap_or(LogError::Closed)) };
        let range = keys::events(&read.session, read.after, last);
        let mut frames = Vec::with_capacity(limit.min((last - read.after) as usize));
        let mut bytes = 0;
        store.scan(&range, &mut |key, value| {
            let Some(seq) = keys::parse_seq(key) else { return go_on(true) };
            if !frames.is_empty() && bytes + value.len() > max_bytes {
                return go_on(false);
            }
            bytes += value.len();
            frames.push(Frame { seq, json: Bytes::copy_from_slice(value) });
            go_on(frames.len() < limit)
        })?;
        Ok(frames)
    }

    /// Answers [`FindApproval`](super::FindApproval).
    pub fn find_approval(&mut self, id: &ApprovalId) -> Result<Option<Approval>, LogError> {
        self.commit();
        let store = self.trusted()?;
        let index = store.get(&keys::approval_index(id))?;
        match index.and_then(|value| keys::parse_approval_index_value(&value)) {
            Some((session, _)) => self.approval(store, &session, id),
            None => Ok(None),
        }
    }

    /// Answers [`ListApprovals`].
    pub fn list_approvals(&mut self, list: &ListApprovals) -> Result<Vec<Approval>, LogError> {
        self.commit();
        let store = self.trusted()?;
        let mut ids = Vec::new();
        match &list.session {
            None if list.limit == 0 => {}
            None => all_approvals().back_from(store, self.next_approval, &mut |value| {
                let id = keys::parse_approval_ordinal_value(value);
                ids.extend(id.filter(|(session, _)| self.read_model.last_seq(session).is_some()));
                go_on(ids.len() < list.limit)
            })?,
            Some(session) => {
                let mut places = Vec::new();
                for id in approval_ids(store, &Kind::Approval.of(session))? {
                    let index = store.get(&keys::approval_index(&id))?;
                    let place = index.and_then(|value| keys::parse_approval_index_value(&value));
                    places.extend(place.map(|(_, ordinal)| (ordinal, id)));
                }
                places.sort_by(|a, b| b.cmp(a));
                ids.extend(places.into_iter().take(list.limit).map(|(_, id)| (session.clone(), id)));
            }
        }
        let mut approvals = Vec::with_capacity(ids.len());
        for (session, id) in ids {
            approvals.extend(self.approval(store, &session, &id)?);
        }
        Ok(approvals)
    }

    fn approval(
        &self,
        store: &dyn EventStore,
        session: &SessionId,
        id: &ApprovalId,
    ) -> Result<Option<Approval>, LogError> {
        // Those of a session that is being removed are gone already.
        if self.read_model.last_seq(session).is_none() {
            return Ok(None);
        }
        let key = keys::approval(session, id);
        store.get(&key)?.map(|value| parse("approval", &key, &value)).transpose()
    }

    /// Answers [`ListDevices`](super::ListDevices).
    pub fn list_devices(&mut self) -> Result<Vec<Device>, LogError> {
        self.commit();
        let mut devices: Vec<Device> = all(self.trusted()?, "device", &Kind::Device.all())?;
        devices.sort_by(|a, b| (a.created_at, &a.id).cmp(&(b.created_at, &b.id)));
        Ok(devices)
    }

    /// Bytes that the store takes up on disk.
    pub fn size(&self) -> Result<u64, LogError> {
        Ok(self.trusted()?.size()?)
    }
}

/// The approvals of a session that are not settled, each with its place in the order of asking.
fn unsettled(store: &dyn EventStore, session: &SessionId) -> Result<Vec<(u64, Approval)>, LogError> {
    let mut approvals = Vec::new();
    for id in approval_ids(store, &Kind::Unsettled.of(session))? {
        let (key, index) = (keys::approval(session, &id), keys::approval_index(&id));
        let place = store.get(&index)?.and_then(|value| keys::parse_approval_index_value(&value));
        match (place, store.get(&key)?) {
            (Some((_, ordinal)), Some(value)) => {
                approvals.push((ordinal, parse("approval", &key, &value)?));
            }
            _ => return Err(unreadable("approval", &key, "it is named and not there")),
        }
    }
    Ok(approvals)
}

fn approval_ids(store: &dyn EventStore, range: &KeyRange) -> Result<Vec<ApprovalId>, LogError> {
    let mut ids = Vec::new();
    store.scan(range, &mut |key, _| {
        ids.extend(keys::split(key).and_then(|(_, tail)| keys::parse_approval_id(tail)));
        go_on(true)
    })?;
    Ok(ids)
}

type Entries = Vec<(Vec<u8>, Bytes)>;

pub(super) fn entries(store: &dyn EventStore, range: &KeyRange) -> Result<Entries, LogError> {
    let mut entries = Vec::new();
    store.scan(range, &mut |key, value| {
        entries.push((key.to_vec(), Bytes::copy_from_slice(value)));
        go_on(true)
    })?;
    Ok(entries)
}

pub(super) fn all<T: DeserializeOwned>(
    store: &dyn EventStore,
    what: &str,
    range: &KeyRange,
) -> Result<Vec<T>, LogError> {
    entries(store, range)?.iter().map(|(key, value)| parse(what, key, value)).collect()
}

/// All approvals in the order in which they were asked.
fn all_approvals() -> Numbered<fn(u64) -> Vec<u8>> {
    Numbered {
        key: keys::approval_ordinal,
        number: keys::parse_approval_ordinal,
        end: Kind::ApprovalOrdinal.all().end,
    }
}

pub(super) fn session_of(key: &[u8]) -> Result<SessionId, LogError> {
    let session = keys::split(key).map(|(session, _)| session);
    session.ok_or_else(|| unreadable("session", key, "its id is not one"))
}

fn parse<T: DeserializeOwned>(what: &str, key: &[u8], value: &[u8]) -> Result<T, LogError> {
    serde_json::from_slice(value).map_err(|error| unreadable(what, key, &error.to_string()))
}

fn unreadable(what: &str, key: &[u8], why: &str) -> LogError {
    LogError::Corrupt(format!("{what} at {}: {why}", key.escape_ascii()))
}
