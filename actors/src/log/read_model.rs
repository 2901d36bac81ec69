//! What is committed, for readers in any thread, without asking the log.
//!
//! The log publishes here after each commit and nobody else writes, so whatever is seen here is on disk.
//! One lock, held for microseconds. A session's newest frames are kept only while somebody follows it.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{broadcast, watch};

use crate::domain::approval::{Approval, ApprovalState};
use crate::domain::event::Frame;
use crate::domain::ids::{ApprovalId, SessionId};
use crate::domain::session::{Session, SessionRecord};
use crate::domain::trust::{self, TrustedDirectory};

/// At most this many frames are kept for the followers of a session...
const TAIL_FRAMES: usize = 256;

/// ... and at most this many bytes of them, the newest one whatever its size. Who is further behind
/// reads from the store.
const TAIL_BYTES: usize = 256 * 1024;

/// Changes that a subscriber of the overview may be behind before it has to re-read the snapshot.
const OVERVIEW_CHANGES: usize = 1024;

/// The published state. Clones are the same one.
#[derive(Clone, Debug)]
pub struct ReadModel(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    inner: Mutex<Inner>,
    overview: broadcast::Sender<OverviewChange>,
}

#[derive(Debug, Default)]
struct Inner {
    sessions: HashMap<SessionId, Entry>,
    /// Ordinal to session: the order of creation.
    order: BTreeMap<u64, SessionId>,
    /// Ordinal to approval: the order of asking.
    open: BTreeMap<u64, Arc<Approval>>,
    open_ordinals: HashMap<ApprovalId, u64>,
    /// What was said about directories, by their paths.
    trust: BTreeMap<String, TrustedDirectory>,
    condition: Condition,
}

#[derive(Debug)]
struct Entry {
    ordinal: u64,
    record: Arc<SessionRecord>,
    last_seq: u64,
    pending: usize,
    feed: Option<Feed>,
}

#[derive(Debug)]
struct Feed {
    tail: watch::Sender<Tail>,
    bytes: usize,
}

/// A session as published.
#[derive(Clone, Debug, PartialEq)]
pub struct SessionEntry {
    /// Its record; `pending_approvals` and `has_pending_permission` agree with `pending`.
    pub record: Arc<SessionRecord>,
    /// The number of its last event, 0 if there is none.
    pub last_seq: u64,
    /// How many of its approvals are open.
    pub pending: usize,
}

/// Whether the log can take appends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Condition {
    /// All is well.
    #[default]
    Healthy,
    /// Too little room on the disk: new work is refused, what runs goes on.
    LowOnDisk {
        /// MiB free.
        free_mib: u64,
        /// MiB that new work needs.
        floor_mib: u64,
    },
    /// The store failed; every append is refused until a test write succeeds.
    Failing(String),
}

impl std::fmt::Display for Condition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Healthy => write!(f, "healthy"),
            Self::LowOnDisk { free_mib, floor_mib } => {
                write!(f, "low on disk: {free_mib} MiB free, new work needs {floor_mib} MiB")
            }
            Self::Failing(text) => write!(f, "failing: {text}"),
        }
    }
}

/// What changed in the overview.
#[derive(Clone, Debug, PartialEq)]
pub enum OverviewChange {
    /// A session is new or different.
    Session(Arc<Session>),
    /// A session is gone.
    SessionDeleted(SessionId),
    /// An approval was opened or changed in any way.
    Approval(Arc<Approval>),
    /// The log's condition changed.
    Condition(Condition),
}

/// The newest frames of a session.
#[derive(Clone, Debug)]
pub struct Tail {
    /// The number of the session's last event.
    pub last: u64,
    /// The newest frames, without gaps, ending with `last`; may be empty.
    pub frames: Arc<[Frame]>,
}

impl Tail {
    /// The frames after a cursor, if they are all here; `Some` and empty when there are none.
    pub fn after(&self, cursor: u64) -> Option<&[Frame]> {
        let missing = usize::try_from(self.last.saturating_sub(cursor)).ok()?;
        self.frames.len().checked_sub(missing).and_then(|skip| self.frames.get(skip..))
    }
}

/// One thing that a commit changed.
#[derive(Debug)]
pub(super) enum Change {
    /// Events and projections of a session.
    Appended {
        session: SessionId,
        /// The number of the session's last event now.
        last_seq: u64,
        frames: Vec<Frame>,
        /// The session's record, with its place in the order of creation.
        record: Option<(u64, Arc<SessionRecord>)>,
        /// Approvals, with their places in the order of asking.
        approvals: Vec<(u64, Arc<Approval>)>,
        /// What was said about directories.
        trust: Vec<TrustedDirectory>,
    },
    /// A session is gone.
    Deleted(SessionId),
    /// Something was said about a directory.
    Trust(TrustedDirectory),
    /// Nothing is said about it any more.
    TrustForgotten(String),
}

impl Default for ReadModel {
    fn default() -> Self {
        let overview = broadcast::Sender::new(OVERVIEW_CHANGES);
        Self(Arc::new(Shared { inner: Mutex::default(), overview }))
    }
}

impl ReadModel {
    /// All sessions, in the order in which they were made.
    pub fn sessions(&self) -> Vec<Session> {
        let inner = self.lock();
        let entries = inner.order.values().filter_map(|id| inner.sessions.get(id));
        entries.map(|entry| entry.record.session.clone()).collect()
    }

    /// The session that was made under an idempotency key with this hash.
    pub fn made_under(&self, key: &str) -> Option<Arc<SessionRecord>> {
        let inner = self.lock();
        let made = |entry: &&Entry| entry.record.made_under.as_ref().is_some_and(|mark| mark.key == key);
        inner.sessions.values().find(made).map(|entry| entry.record.clone())
    }

    /// One session.
    pub fn session(&self, id: &SessionId) -> Option<SessionEntry> {
        self.lock().sessions.get(id).map(|entry| SessionEntry {
            record: entry.record.clone(),
            last_seq: entry.last_seq,
            pending: entry.pending,
        })
    }

    /// The number of a session's last event, 0 if there is none; `None` if there is no such session.
    pub fn last_seq(&self, id: &SessionId) -> Option<u64> {
        self.lock().sessions.get(id).map(|entry| entry.last_seq)
    }

    /// All open approvals, oldest first.
    pub fn open_approvals(&self) -> Vec<Arc<Approval>> {
        self.lock().open.values().cloned().collect()
    }

    /// An approval, if it is open.
    pub fn open_approval(&self, id: &ApprovalId) -> Option<Arc<Approval>> {
        let inner = self.lock();
        inner.open_ordinals.get(id).and_then(|ordinal| inner.open.get(ordinal)).cloned()
    }

    /// The open approvals of a session, oldest first.
    pub fn open_in(&self, session: &SessionId) -> Vec<Arc<Approval>> {
        self.lock().open.values().filter(|approval| approval.session_id == *session).cloned().collect()
    }

    /// Whether the log can take appends.
    pub fn condition(&self) -> Condition {
        self.lock().condition.clone()
    }

    /// What changes from now on. Who lags behind re-reads the snapshot: subscribe first, then read.
    pub fn overview(&self) -> broadcast::Receiver<OverviewChange> {
        self.0.overview.subscribe()
    }

    /// What was said about directories.
    pub fn trust(&self) -> Vec<TrustedDirectory> {
        self.lock().trust.values().cloned().collect()
    }

    /// What was said about this directory or the nearest one above it; `None` = nothing yet.
    pub fn trust_in(&self, directory: &Path) -> Option<TrustedDirectory> {
        trust::decision(self.lock().trust.values(), directory).cloned()
    }

    /// The newest frames of a session from now on; `None` if there is no such session. The feed ends
    /// when the session is deleted.
    pub fn feed(&self, session: &SessionId) -> Option<watch::Receiver<Tail>> {
        let mut inner = self.lock();
        let entry = inner.sessions.get_mut(session)?;
        let feed = entry.feed.get_or_insert_with(|| Feed {
            tail: watch::Sender::new(Tail { last: entry.last_seq, frames: Arc::new([]) }),
            bytes: 0,
        });
        Some(feed.tail.subscribe())
    }

    /// Makes a commit visible.
    pub(super) fn publish(&self, changes: impl IntoIterator<Item = Change>) {
        let mut guard = self.lock();
        let inner = &mut *guard;
        for change in changes {
            match change {
                Change::Appended { session, last_seq, frames, record, approvals, trust } => {
                    inner.trust.extend(trust.into_iter().map(|said| (said.path.clone(), said)));
                    self.appended(inner, session, last_seq, frames, record, approvals);
                }
                Change::Deleted(session) => self.deleted(inner, session),
                Change::Trust(said) => drop(inner.trust.insert(said.path.clone(), said)),
                Change::TrustForgotten(path) => drop(inner.trust.remove(&path)),
            }
        }
    }

    fn appended(
        &self,
        inner: &mut Inner,
        session: SessionId,
        last_seq: u64,
        frames: Vec<Frame>,
        record: Option<(u64, Arc<SessionRecord>)>,
        approvals: Vec<(u64, Arc<Approval>)>,
    ) {
        let mut shown = record.is_some();
        if let Some((ordinal, record)) = record {
            match inner.sessions.get_mut(&session) {
                Some(entry) => entry.record = record,
                None => {
                    inner.order.insert(ordinal, session.clone());
                    let entry = Entry { ordinal, record, last_seq: 0, pending: 0, feed: None };
                    inner.sessions.insert(session.clone(), entry);
                }
            }
        }
        let Some(entry) = inner.sessions.get_mut(&session) else { return };
        for (ordinal, approval) in &approvals {
            let was_open = if approval.state == ApprovalState::Open {
                inner.open_ordinals.insert(approval.id.clone(), *ordinal);
                inner.open.insert(*ordinal, approval.clone()).is_some()
            } else {
                inner.open_ordinals.remove(&approval.id);
                inner.open.remove(ordinal).is_some()
            };
            match (was_open, approval.state == ApprovalState::Open) {
                (false, true) => entry.pending += 1,
                (true, false) => entry.pending = entry.pending.saturating_sub(1),
                _ => {}
            }
        }
        if entry.record.session.pending_approvals != entry.pending {
            let session = &mut Arc::make_mut(&mut entry.record).session;
            session.pending_approvals = entry.pending;
            session.has_pending_permission = entry.pending > 0;
            shown = true;
        }
        entry.advance(last_seq, frames);
        if self.0.overview.receiver_count() > 0 {
            if shown {
                self.tell(OverviewChange::Session(Arc::new(entry.record.session.clone())));
            }
            for (_, approval) in approvals {
                self.tell(OverviewChange::Approval(approval));
            }
        }
    }

    fn deleted(&self, inner: &mut Inner, session: SessionId) {
        let Some(entry) = inner.sessions.remove(&session) else { return };
        inner.order.remove(&entry.ordinal);
        inner.open.retain(|_, approval| approval.session_id != session);
        let open = &inner.open;
        inner.open_ordinals.retain(|_, ordinal| open.contains_key(ordinal));
        self.tell(OverviewChange::SessionDeleted(session));
    }

    pub(super) fn set_condition(&self, condition: Condition) {
        let mut inner = self.lock();
        if inner.condition != condition {
            inner.condition = condition.clone();
            self.tell(OverviewChange::Condition(condition));
        }
    }

    /// Forgets the frames of sessions that nobody follows any more.
    pub(super) fn drop_idle_feeds(&self) {
        for entry in self.lock().sessions.values_mut() {
            if entry.feed.as_ref().is_some_and(|feed| feed.tail.receiver_count() == 0) {
                entry.feed = None;
            }
        }
    }

    /// All sessions with the numbers of their last events.
    pub(super) fn last_seqs(&self) -> HashMap<SessionId, u64> {
        self.lock().sessions.iter().map(|(id, entry)| (id.clone(), entry.last_seq)).collect()
    }

    fn tell(&self, change: OverviewChange) {
        // An error means that nobody listens.
        let _ = self.0.overview.send(change);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    fn advance(&mut self, last_seq: u64, frames: Vec<Frame>) {
        self.last_seq = last_seq;
        let Some(feed) = self.feed.as_mut().filter(|_| !frames.is_empty()) else { return };
        if feed.tail.receiver_count() == 0 {
            self.feed = None;
            return;
        }
        let Feed { tail, bytes } = feed;
        tail.send_modify(|tail| {
            *bytes += frames.iter().map(|frame| frame.json.len()).sum::<usize>();
            let mut count = tail.frames.len() + frames.len();
            let mut skip = 0;
            for frame in tail.frames.iter().chain(&frames) {
                if count <= 1 || (count <= TAIL_FRAMES && *bytes <= TAIL_BYTES) {
                    break;
                }
                *bytes -= frame.json.len();
                count -= 1;
                skip += 1;
            }
            tail.frames = tail.frames.iter().chain(&frames).skip(skip).cloned().collect();
            tail.last = last_seq;
        });
    }
}
