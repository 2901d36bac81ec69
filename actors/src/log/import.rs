//! A session that another program kept is put into the log with all its events, which keep the time that they bear.
//!
//! It may be much, so it is written in pieces. Until the last one, which makes the session, the mark of a deletion stands
//! beside them: a start after a crash half-way removes what is there, and the session can be handed over again.

use actix::{Context, Handler, Message};
use bytes::Bytes;
use serde::Serialize;
use serde_json::Value;

use super::event_log::EventLog;
use super::handle::Log;
use super::keys;
use super::ledger::{Ledger, json};
use super::messages::{Class, LogError};
use super::read_model::Change;
use super::store::{Batch, StoreError};
use crate::domain::ids::SessionId;
use crate::domain::past::PastEvent;
use crate::domain::session::SessionRecord;
use crate::fault;

/// So many bytes are committed at once: a few tens of milliseconds.
const PIECE_BYTES: usize = 1 << 20;

/// Take over this session with these events, numbered from 1 in their order. Answers `false`, and changes nothing, if
/// there is a session with its id.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<bool, LogError>")]
pub struct ImportSession {
    /// The session.
    pub record: Box<SessionRecord>,
    /// What happened in it. The times are texts that [`Stamp::parse`](crate::domain::time::Stamp::parse) takes.
    pub events: Vec<PastEvent>,
}

/// The envelope, in the contract's order.
#[derive(Serialize)]
struct Line<'a> {
    session_id: &'a SessionId,
    ts: &'a str,
    seq: u64,
    #[serde(rename = "type")]
    kind: &'a str,
    data: &'a Value,
}

impl Log {
    /// See [`ImportSession`].
    pub async fn import(&self, import: ImportSession) -> Result<bool, LogError> {
        self.addr.send(import).await.unwrap_or(Err(LogError::Closed))
    }
}

impl Ledger {
    /// Answers [`ImportSession`].
    fn import(&mut self, import: ImportSession) -> Result<bool, LogError> {
        self.commit();
        self.accepts(Class::Work)?;
        let session = import.record.session.id.clone();
        if self.last_given.contains_key(&session) {
            return Ok(false);
        }
        if !self.is_free(&session) {
            return Err(LogError::NoSession(session));
        }
        let mut batch = Batch::default();
        batch.put(keys::tombstone(&session), Bytes::new());
        let mut last_seq = 0;
        for event in &import.events {
            last_seq += 1;
            let PastEvent { ts, kind, data } = event;
            let line = Line { session_id: &session, ts, seq: last_seq, kind, data };
            batch.put(keys::event(&session, last_seq), json(&line)?);
            if batch.bytes() >= PIECE_BYTES {
                self.write_piece(&session, &batch)?;
                batch.clear();
            }
        }
        let ordinal = self.next_session;
        batch.put(keys::session(&session), json(&import.record)?);
        batch.put(keys::session_ordinal(&session), Bytes::copy_from_slice(&ordinal.to_be_bytes()));
        batch.delete(keys::tombstone(&session));
        self.write_piece(&session, &batch)?;
        self.next_session += 1;
        self.last_given.insert(session.clone(), last_seq);
        self.read_model.publish([Change::Appended {
            session,
            last_seq,
            frames: Vec::new(),
            record: Some((ordinal, import.record.into())),
            approvals: Vec::new(),
            trust: Vec::new(),
        }]);
        Ok(true)
    }

    fn write_piece(&mut self, session: &SessionId, batch: &Batch) -> Result<(), LogError> {
        fault::point("log.mid_import");
        match self.write(batch) {
            Ok(()) => {
                self.room.note_written(batch.bytes());
                Ok(())
            }
            Err(error) => Err(self.give_up_import(session, error)),
        }
    }

    /// What was written of it is removed once the store works again.
    fn give_up_import(&mut self, session: &SessionId, error: StoreError) -> LogError {
        let mut undo = Batch::default();
        undo.put(keys::tombstone(session), Bytes::new());
        undo.delete(keys::session(session));
        undo.delete(keys::session_ordinal(session));
        self.purge.push_back(session.clone());
        self.fail(error, undo)
    }
}

impl Handler<ImportSession> for EventLog {
    type Result = Result<bool, LogError>;

    fn handle(&mut self, import: ImportSession, ctx: &mut Context<Self>) -> Self::Result {
        let taken = self.ledger.import(import);
        self.follow_up(ctx);
        taken
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::Committed;
    use super::super::memory_store::{MemoryDisk, MemoryFault};
    use super::super::tests::{append, drafts, read, record};
    use super::*;
    use crate::domain::event::Envelope;

    fn events(count: usize, size: usize) -> Vec<PastEvent> {
        let event = |n| PastEvent {
            ts: format!("2020-01-02T03:04:{:02}.500Z", n % 60),
            kind: "output".to_owned(),
            data: json!({ "text": "x".repeat(size), "n": n }),
        };
        (0..count).map(event).collect()
    }

    fn import(id: &SessionId, events: Vec<PastEvent>) -> ImportSession {
        ImportSession { record: Box::new(record(id)), events }
    }

    #[actix::test]
    async fn a_session_comes_in_once_with_its_events_and_goes_on_behind_them() {
        let disk = MemoryDisk::default();
        let log = Log::on_memory(disk.clone()).expect("memory opens");
        let id = SessionId::random();
        assert_eq!(log.import(import(&id, events(5, 600_000))).await, Ok(true));
        let entries = disk.entries();
        assert_eq!(log.import(import(&id, events(9, 1))).await, Ok(false), "it is there");
        assert_eq!(disk.entries(), entries, "and stays as it is");
        let next = log.append(append(&id, drafts(&["new"]), vec![])).await;
        assert_eq!(next, Ok(Committed { last_seq: 6 }));
        let log = Log::on_memory(disk).expect("memory opens again");
        let frames = log.read_events(read(&id, 0)).await.expect("it reads");
        assert_eq!(frames.iter().map(|frame| frame.seq).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6]);
        let text = String::from_utf8_lossy(&frames[1].json).into_owned();
        assert!(text.starts_with(&format!(
            r#"{{"session_id":"{id}","ts":"2020-01-02T03:04:01.500Z","seq":2,"type":"output","#
        )));
        let second: Envelope = serde_json::from_slice(&frames[1].json).expect("an envelope");
        assert_eq!(second.data["n"], 1);
    }

    #[actix::test]
    async fn of_one_that_could_not_be_written_nothing_stays_and_it_may_come_again() {
        for fault in [MemoryFault::Full, MemoryFault::UnsureSync] {
            let disk = MemoryDisk::default();
            let log = Log::on_memory(disk.clone()).expect("memory opens");
            let id = SessionId::random();
            disk.fail(fault);
            let refused = log.import(import(&id, events(5, 600_000))).await;
            assert!(matches!(refused, Err(LogError::Storage(_))), "{refused:?}");
            assert!(log.read_model.session(&id).is_none());
            disk.heal();
            while log.import(import(&id, events(2, 1))).await != Ok(true) {
                tokio::task::yield_now().await;
            }
            assert_eq!(log.read_model.last_seq(&id), Some(2));
            let of_it = disk.entries().into_iter().filter(|(key, _)| key.starts_with(b"esess_")).count();
            assert_eq!(of_it, 2, "{fault:?}");
        }
    }

    #[actix::test]
    async fn what_a_crash_left_half_way_is_removed_by_the_next_start() {
        let disk = MemoryDisk::default();
        let id = SessionId::random();
        let mut batch = Batch::default();
        {
            let log = Log::on_memory(disk.clone()).expect("memory opens");
            log.drain().await.expect("it drains");
        }
        batch.put(keys::tombstone(&id), Bytes::new());
        batch.put(keys::event(&id, 1), Bytes::from_static(b"{}"));
        super::super::store::Engine::open(&disk).expect("it opens").commit(&batch).expect("it commits");
        let log = Log::on_memory(disk.clone()).expect("memory opens again");
        while log.store_stats().await.expect("it tells").deletions_left > 0 {
            tokio::task::yield_now().await;
        }
        assert!(!disk.entries().iter().any(|(key, _)| key.starts_with(b"esess_")));
        assert_eq!(log.import(import(&id, events(1, 1))).await, Ok(true));
    }
}
