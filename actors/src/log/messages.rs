//! What the event log can be asked, and what it answers.

use actix::Message;

use crate::domain::approval::{Approval, Grant};
use crate::domain::code::Code;
use crate::domain::device::Device;
use crate::domain::event::{EventDraft, Frame};
use crate::domain::ids::{ApprovalId, DeviceId, GrantId, InputId, SessionId};
use crate::domain::session::{Input, RunRecord, SessionRecord};
use crate::domain::trust::TrustedDirectory;

/// How badly an append is needed when the disk is nearly full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// New work (a session, a prompt, an external agent's event): refused below the floor of free space.
    Work,
    /// What must go on whatever the disk says: answers, interrupts, what a running agent already did.
    Essential,
}

/// A projection that changes together with the events of an [`Append`].
#[derive(Clone, Debug)]
pub enum Write {
    /// The session itself.
    Session(Box<SessionRecord>),
    /// An approval, new or changed.
    Approval(Box<Approval>),
    /// A grant, new.
    Grant(Grant),
    /// A grant is gone.
    GrantEnd(GrantId),
    /// An input on its way to the agent, new or changed.
    Input(Box<Input>),
    /// An input is finished or withdrawn.
    InputEnd(InputId),
    /// The agent's run, new or changed.
    Run(Box<RunRecord>),
    /// No agent runs any more.
    RunEnd,
    /// What a person said about a directory. Not the session's: it outlives it.
    Trust(TrustedDirectory),
}

/// Record these events of one session and these projections, all or nothing. The answer comes when
/// they are on disk and published. Either list may be empty.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<Committed, LogError>")]
pub struct Append {
    /// Whose.
    pub session: SessionId,
    /// The events, in order.
    pub drafts: Vec<EventDraft>,
    /// The projections.
    pub writes: Vec<Write>,
    /// How badly it is needed.
    pub class: Class,
}

/// An append is on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The number of the session's last event after it.
    pub last_seq: u64,
}

/// Everything that a session's actors need to be rebuilt.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The session.
    pub record: SessionRecord,
    /// The number of its last event, 0 if there is none.
    pub last_seq: u64,
    /// Its approvals that are open, or answered and not yet settled; oldest first.
    pub approvals: Vec<Approval>,
    /// Its grants.
    pub grants: Vec<Grant>,
    /// Its unfinished inputs, in the order given.
    pub inputs: Vec<Input>,
    /// The agent's run, if one was started and its end is not recorded.
    pub run: Option<RunRecord>,
}

/// Load one session; `None` if it does not exist.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<Option<Loaded>, LogError>")]
pub struct LoadSession(pub SessionId);

/// Events of a session with `seq > after`, oldest first, at most `limit` and at most about
/// `max_bytes` of JSON (at least one event if there is one). An unknown session has none.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<Vec<Frame>, LogError>")]
pub struct ReadEvents {
    /// Whose.
    pub session: SessionId,
    /// The cursor.
    pub after: u64,
    /// At most this many.
    pub limit: usize,
    /// About this many bytes at the most.
    pub max_bytes: usize,
}

/// Remove a session with its events, approvals, grants, inputs and run, and give the space back.
/// Answers whether it existed.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<bool, LogError>")]
pub struct DeleteSession(pub SessionId);

/// One approval of any age.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<Option<Approval>, LogError>")]
pub struct FindApproval(pub ApprovalId);

/// The approvals of one session (or all sessions), open and past, newest first, at most `limit`.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<Vec<Approval>, LogError>")]
pub struct ListApprovals {
    /// Whose; `None` = all.
    pub session: Option<SessionId>,
    /// At most this many.
    pub limit: usize,
}

/// Store a paired device.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<(), LogError>")]
pub struct PutDevice(pub Device);

/// Forget a paired device; answers whether it was known.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<bool, LogError>")]
pub struct DeleteDevice(pub DeviceId);

/// All paired devices.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<Vec<Device>, LogError>")]
pub struct ListDevices;

/// Store what a person said about a directory.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<(), LogError>")]
pub struct PutTrust(pub TrustedDirectory);

/// Forget what was said about a directory; answers whether anything was.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<bool, LogError>")]
pub struct DeleteTrust(pub String);

/// Commit all that waits, then answer; appends that come later are refused with [`LogError::Closed`].
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<(), LogError>")]
pub struct Drain;

/// Why the log did not do what it was asked.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum LogError {
    /// Too little room for new work.
    #[error(
        "the disk that holds {path} has {free_mib} MiB free and new work needs {floor_mib} MiB: \
         make room, then try again; approvals and interrupts still work"
    )]
    DiskFull {
        /// The data directory.
        path: String,
        /// What is free.
        free_mib: u64,
        /// What must be.
        floor_mib: u64,
    },
    /// The store failed.
    #[error("the event store failed: {0}")]
    Storage(String),
    /// What is stored cannot be read.
    #[error("the event store holds something unreadable: {0}")]
    Corrupt(String),
    /// The session does not exist (any more), and the append did not make it.
    #[error("session {0} does not exist")]
    NoSession(SessionId),
    /// The daemon is stopping.
    #[error("the daemon is stopping")]
    Closed,
}

impl LogError {
    /// The stable word for it in the API.
    pub fn code(&self) -> Code {
        match self {
            Self::DiskFull { .. } => Code::DiskFull,
            Self::Storage(_) | Self::Corrupt(_) => Code::StorageError,
            Self::NoSession(_) => Code::NotFound,
            Self::Closed => Code::Stopping,
        }
    }
}
