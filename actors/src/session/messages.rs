//! What a session can be asked, and what it answers.

use actix::Message;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::domain::approval::Actor;
use crate::domain::code::Code;
use crate::domain::ids::{InputId, RunId};
use crate::domain::restart::{Hold, RestartPolicy};
use crate::domain::session::{Image, Input, OnceMark, Session};
use crate::domain::usage::Usage;
use crate::log::LogError;
use crate::workspace::GitError;

/// Begin (or go on) with this prompt; an empty prompt only starts the agent.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<Session, SessionError>")]
pub struct Start {
    /// What to say first; may be empty.
    pub prompt: String,
    /// Pictures with it.
    pub images: Vec<Image>,
    /// Sets the approval mode (0, 1, 2); `None` leaves it as it is.
    pub approval_choice: Option<u8>,
    /// Who starts it.
    pub by: Actor,
}

/// Say something. While a turn runs it is queued and sent when the turn ends.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<InputAccepted, SessionError>")]
pub struct GiveInput {
    /// The words, not empty.
    pub text: String,
    /// Pictures with them.
    pub images: Vec<Image>,
    /// An id chosen by the client: the same id again is the same input and is not sent twice.
    pub input_id: Option<InputId>,
    /// Who says it.
    pub by: Actor,
}

/// An input is durable.
#[derive(Clone, Debug)]
pub struct InputAccepted {
    /// The session after it.
    pub session: Session,
    /// The input's id.
    pub input_id: InputId,
    /// Whether it waits for the running turn to end.
    pub queued: bool,
}

/// Stop the running turn.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<Session, SessionError>")]
pub struct Interrupt {
    /// Who wants it.
    pub by: Actor,
    /// Of a turn that is being stopped already: end the agent's program, do not wait for it any longer.
    pub force: bool,
}

/// Give it another name (already tidied and checked for length).
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<Session, SessionError>")]
pub struct Rename {
    /// The name.
    pub name: String,
}

/// Bind it to a chat platform, or (`None`) to none, and say which thread it has there; absent fields stay.
#[derive(Clone, Debug, Default, Message)]
#[rtype(result = "Result<Session, SessionError>")]
pub struct Bind {
    /// The platform (already checked to be running).
    pub platform: Option<Option<String>>,
    /// The platform's own id of the thread.
    pub thread: Option<Option<String>>,
}

/// Change who decides: `None` and 0 ask, 1 auto-approve edits, 2 approve all.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<Session, SessionError>")]
pub struct SetApprovalMode {
    /// The mode.
    pub approval_mode: Option<u8>,
    /// Who changes it.
    pub by: Actor,
}

/// Change the model (`None` = the agent's default), planning, the restart policy, whether it is archived or saved after each
/// turn (`None` = as configured); absent fields stay.
#[derive(Clone, Debug, Default, Message)]
#[rtype(result = "Result<SessionDetails, SessionError>")]
pub struct Configure {
    /// The model.
    pub model: Option<Option<String>>,
    /// Whether the agent shall only plan.
    pub planning: Option<bool>,
    /// What to do after a crash.
    pub restart_policy: Option<RestartPolicy>,
    /// Whether it is put aside.
    pub archived: Option<bool>,
    /// Whether its work tree is saved after each turn.
    pub auto_checkpoint: Option<Option<bool>>,
}

/// An event from an external agent (`contract`: external agent flow).
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<(), SessionError>")]
pub struct PushEvent {
    /// What it did.
    pub event: ExternalEvent,
    /// Given by an agent that may send it again: under the same key it is recorded once.
    pub mark: Option<OnceMark>,
}

/// Several of them, in order. Outputs in a row are recorded all at once, or none of them.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<(), RefusedPush>")]
pub struct PushEvents(pub Vec<PushEvent>);

/// One of several events was refused. Those before it are recorded, those behind it are not.
#[derive(Clone, Debug, PartialEq)]
pub struct RefusedPush {
    /// How many stand before it.
    pub at: usize,
    /// Why.
    pub error: SessionError,
}

/// The kinds of event that an external agent may push, with defaults filled in.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub enum ExternalEvent {
    /// Text.
    Output {
        /// The text, any length, repeated text included.
        text: String,
        /// `step` or `final`.
        kind: String,
        /// Whether it is the turn's answer; `None` = decided by `kind`.
        is_final: Option<bool>,
    },
    /// `running`, `awaiting_input`, `done`, `error`; others are accepted and ignored.
    Status(String),
    /// Ends the session's work.
    Error {
        /// A stable word.
        code: String,
        /// For people.
        message: String,
    },
    /// A question for the person.
    PermissionRequest {
        /// The agent's own id; generated if absent.
        request_id: Option<String>,
        /// The tool.
        tool_name: String,
        /// Its input.
        tool_input: Value,
        /// The agent's suggestions, if it gave any.
        suggestions: Option<Value>,
    },
    /// It no longer waits for the answer to a question of its own.
    PermissionWithdrawn {
        /// The question's `request_id`.
        request_id: String,
    },
}

/// The inputs that wait, in the order in which they will be sent.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Queue")]
pub struct GetQueue;

/// Inputs that wait for the running turn to end.
#[derive(Clone, Debug, PartialEq)]
pub struct Queue {
    /// They, in the order in which they will be sent.
    pub inputs: Vec<Input>,
    /// Whether they need not wait: see [`SteerInput`].
    pub can_steer: bool,
}

/// Send a queued input now, into the running turn, if the agent takes words while it works.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<(), SessionError>")]
pub struct SteerInput {
    /// Which.
    pub input: InputId,
    /// Who wants it.
    pub by: Actor,
}

/// Take a queued input back.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<(), SessionError>")]
pub struct WithdrawInput {
    /// Which.
    pub input: InputId,
    /// Who.
    pub by: Actor,
}

/// What the API does not show in the session object.
#[derive(Clone, Debug, Message)]
#[rtype(result = "SessionDetails")]
pub struct GetDetails;

/// How a session is set up and what runs for it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SessionDetails {
    /// Model that a person chose.
    pub model: Option<String>,
    /// Whether the agent only plans.
    pub planning: bool,
    /// What to do after a crash.
    pub restart_policy: RestartPolicy,
    /// Tokens and money.
    pub usage: Usage,
    /// Turns begun so far.
    pub turn: u64,
    /// Set while the agent is held.
    pub hold: Option<Hold>,
    /// Crashes within the budget's window.
    pub recent_crashes: usize,
    /// The agent program that runs.
    pub agent: Option<RunningAgent>,
    /// Inputs that wait.
    pub queued_inputs: usize,
    /// Whether it is put aside.
    pub archived: bool,
    /// Whether its work tree is saved before the first turn and after each: as it was set for this session, else as
    /// configured.
    pub auto_checkpoint: bool,
}

/// A running agent program.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct RunningAgent {
    /// Its run.
    #[schema(value_type = String)]
    pub run_id: RunId,
    /// Which protocol it speaks.
    pub protocol: String,
    /// Its process id, once spawned.
    pub pid: Option<u32>,
    /// Whether it went on with an earlier conversation.
    pub resumed: bool,
}

/// Why a session did not do what it was asked.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum SessionError {
    /// No such session.
    #[error("Session not found")]
    NotFound,
    /// The state machine has no such edge; the text is the contract's.
    #[error("{0}")]
    InvalidState(String),
    /// What was sent cannot be taken; the text says why.
    #[error("{0}")]
    Invalid(String),
    /// No queued input with this id.
    #[error("no queued input {0}: it was sent or withdrawn already")]
    InputNotQueued(InputId),
    /// The agent cannot be started; the text says what to do.
    #[error("{0}")]
    AgentUnavailable(String),
    /// The session's actors are being rebuilt, or the daemon is stopping.
    #[error("the session is restarting: try again in a moment")]
    Restarting,
    /// The session's actors died too often and are held; the text says why.
    #[error("{0}")]
    Held(String),
    /// Its repository or work tree; the text says why.
    #[error(transparent)]
    Git(#[from] GitError),
    /// It could not be recorded, so it was not done.
    #[error(transparent)]
    Log(#[from] LogError),
}

impl SessionError {
    /// The stable word for it in the API (`contract`: errors).
    pub fn code(&self) -> Code {
        match self {
            Self::NotFound | Self::InputNotQueued(_) => Code::NotFound,
            Self::InvalidState(_) => Code::InvalidState,
            Self::Invalid(_) => Code::ValidationError,
            Self::AgentUnavailable(_) | Self::Held(_) => Code::AgentUnavailable,
            Self::Restarting => Code::Restarting,
            Self::Git(error) => error.code(),
            Self::Log(error) => error.code(),
        }
    }
}
