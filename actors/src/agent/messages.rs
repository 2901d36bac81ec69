//! What passes between a session and the process actor of its agent.

use std::path::PathBuf;
use std::sync::Arc;

use actix::{Message, Recipient};

use super::catalogue::Catalogue;
use super::processes::Identity;
use super::server::Servers;
use crate::domain::agent::{AgentCommand, AgentEvent};
use crate::domain::ids::{RunId, SessionId};
use crate::domain::restart::ProgramEnd;
use crate::domain::session::RunRecord;

/// How agents are started, from the configuration. Not `Debug`: it holds keys.
#[derive(Clone, Default)]
pub struct AgentSettings {
    /// Where the spools lie: `<data>/agents`.
    pub spool_root: PathBuf,
    /// Which agents there are.
    pub agents: Arc<Catalogue>,
    /// Names of our own secrets in the environment, which no agent gets.
    pub own_secrets: Vec<String>,
    /// The programs that serve many sessions.
    pub servers: Arc<Servers>,
}

/// What is to be run, or found running.
#[derive(Clone, Debug)]
pub struct ProcessSpec {
    /// For whom.
    pub session: SessionId,
    /// The run as recorded. Without a process id it is to be started, else to be found.
    pub run: RunRecord,
    /// Whether the record is from an earlier life of the daemon or of the session's actors.
    pub adopted: bool,
    /// The name of the agent, as in the catalogue.
    pub adapter: String,
    /// Where it works.
    pub directory: PathBuf,
    /// The conversation that it is to hold.
    pub conversation: String,
    /// The model.
    pub model: Option<String>,
    /// Whether it shall only plan.
    pub planning: bool,
    /// Whether what the directory brings along counts; `None` = nobody has said.
    pub trusted: Option<bool>,
}

/// The program runs. Answered when that is recorded; nothing is said to the agent before.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<(), ()>")]
pub struct AgentSpawned {
    /// Which run.
    pub run: RunId,
    /// The process.
    pub identity: Identity,
    /// The program's version.
    pub version: Option<String>,
    /// Something that the person should know about it.
    pub notice: Option<String>,
    /// What the directory brings along for it and does not count, since nobody said that it is trusted.
    pub brought_along: Vec<String>,
}

/// What the agent said since the last one. Answered when it is recorded.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<(), ()>")]
pub struct AgentOutput {
    /// Which run.
    pub run: RunId,
    /// What it said.
    pub events: Vec<AgentEvent>,
    /// The read position after it.
    pub offset: u64,
    /// The protocol's state after it.
    pub protocol_state: serde_json::Value,
}

/// All that the agent had said before we were here is recorded: what was unsure is known now.
#[derive(Clone, Debug, Message)]
#[rtype(result = "()")]
pub struct AgentCaughtUp {
    /// Which run.
    pub run: RunId,
}

/// The program is gone, with all that it had started. Answered when that is recorded.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<(), ()>")]
pub struct AgentEnded {
    /// Which run.
    pub run: RunId,
    /// How. `asked_for` and `in_turn` are the session's to fill in.
    pub end: ProgramEnd,
    /// For people, where there is more to say than the cause.
    pub message: Option<String>,
}

/// Carry out a command. Answered when the agent's pipe has taken it whole.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<(), TellError>")]
pub struct Tell {
    /// The command.
    pub command: AgentCommand,
    /// It may have been sent before a crash. Then a line that a pipe does not take in one piece may lie
    /// there by half, and must not be sent again.
    pub again: bool,
}

/// Say again what is said first: the agent was found again and has not said that it is ready.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub struct SendOpening;

/// End the program: by its protocol, then by signals, with all that it started.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub struct StopAgent;

/// End what the running turn started and left behind, but not the agent itself.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub struct EndStragglers;

/// Why a command did not reach the agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TellError {
    /// It is not there (any more, or yet).
    #[error("the agent program is not running")]
    Gone,
    /// Half of it may have been sent before a crash.
    #[error("half of it may have been sent already")]
    Unsafe,
}

/// Whom the process reports to.
#[derive(Clone)]
pub struct ProcessReports {
    /// It runs.
    pub spawned: Recipient<AgentSpawned>,
    /// It said something.
    pub output: Recipient<AgentOutput>,
    /// What was said before is recorded.
    pub caught_up: Recipient<AgentCaughtUp>,
    /// It is gone.
    pub ended: Recipient<AgentEnded>,
}
