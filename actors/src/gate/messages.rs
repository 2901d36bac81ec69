//! What the approval gate can be asked, and what it answers.

use actix::Message;

use crate::domain::approval::{Actor, Answer, Approval, Grant};
use crate::domain::code::Code;
use crate::domain::ids::{ApprovalId, GrantId};
use crate::log::LogError;

/// Which approval of a session is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ApprovalRef {
    /// By its own id.
    Id(ApprovalId),
    /// By the request id that the session's clients know.
    Request(String),
}

/// Answer an approval. The first answer wins; the same again succeeds and changes nothing.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<Approval, GateError>")]
pub struct AnswerApproval {
    /// Which.
    pub approval: ApprovalRef,
    /// What.
    pub answer: Answer,
    /// Who.
    pub by: Actor,
}

/// The grants that are in force.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Vec<Grant>")]
pub struct GetGrants;

/// End a grant.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<(), GateError>")]
pub struct RevokeGrant {
    /// Which.
    pub grant: GrantId,
    /// Who.
    pub by: Actor,
}

/// Why the gate did not do what it was asked.
#[derive(Clone, Debug, thiserror::Error, PartialEq)]
pub enum GateError {
    /// No such approval (any more).
    #[error("no approval {0}")]
    NotFound(String),
    /// It has been answered otherwise, or withdrawn; the approval says by whom and when.
    #[error("{}", already(.0))]
    AlreadyAnswered(Box<Approval>),
    /// The answer does not fit the question; the text says why.
    #[error("{0}")]
    Invalid(String),
    /// No such grant (any more).
    #[error("no grant {0}: it was revoked or has ended")]
    NoGrant(GrantId),
    /// The session's actors are being rebuilt.
    #[error("the session is restarting: try again in a moment")]
    Restarting,
    /// The session itself is unknown.
    #[error("Session not found")]
    NoSession,
    /// It could not be recorded, so it was not done.
    #[error(transparent)]
    Log(#[from] LogError),
}

fn already(approval: &Approval) -> String {
    use crate::domain::approval::ApprovalState::*;
    let what = match approval.state {
        Open => "is open",
        Allowed => "was already allowed",
        Denied => "was already denied",
        Cancelled => "was withdrawn",
        Expired => "ran out of time and was denied",
    };
    let by = approval.resolved_by.as_ref().map(|by| format!(" by {by}")).unwrap_or_default();
    let at = approval.resolved_at.map(|at| format!(" at {at}")).unwrap_or_default();
    format!("approval {} {what}{by}{at}", approval.id)
}

impl GateError {
    /// The stable word for it in the API.
    pub fn code(&self) -> Code {
        match self {
            Self::NotFound(_) | Self::NoGrant(_) | Self::NoSession => Code::NotFound,
            Self::AlreadyAnswered(_) => Code::AlreadyAnswered,
            Self::Invalid(_) => Code::ValidationError,
            Self::Restarting => Code::Restarting,
            Self::Log(error) => error.code(),
        }
    }
}
