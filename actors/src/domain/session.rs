//! A session: as the API returns it, and with what only the daemon needs.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::elsewhere::Attached;
use super::ids::{InputId, RunId, SessionId};
use super::restart::{Hold, RestartPolicy};
use super::state::SessionState;
use super::time::Stamp;
use super::usage::Usage;

/// A session as every API route returns it. All keys are always present.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Session {
    /// `sess_` and 12 hex digits.
    #[schema(value_type = String)]
    pub id: SessionId,
    /// Where it stands.
    pub state: SessionState,
    /// What people call it.
    pub name: Option<String>,
    /// When it was made.
    #[schema(value_type = String)]
    pub created_at: Stamp,
    /// When it last left CREATED, or was last started.
    #[schema(value_type = Option<String>)]
    pub started_at: Option<Stamp>,
    /// When it entered ERROR; null again once it was revived.
    #[schema(value_type = Option<String>)]
    pub ended_at: Option<Stamp>,
    /// When anything last happened.
    #[schema(value_type = String)]
    pub last_activity_at: Stamp,
    /// The agent program's last exit code.
    pub exit_code: Option<i32>,
    /// Always null; older clients expect the field.
    pub summary: Option<String>,
    /// Title line of the agent.
    pub runner_header: Option<String>,
    /// `claude-local` and so on; null until started.
    pub runner_type: Option<String>,
    /// The agent's own id for its conversation.
    pub runner_session_id: Option<String>,
    /// Absolute, links resolved; `""` when there is none (older clients cannot take null).
    pub directory: String,
    /// Whether `<directory>/.git` exists.
    pub directory_has_git: bool,
    /// The branch that is checked out there (`detached at 1a2b3c4` while none is), as of the last turn; null without a
    /// repository.
    #[serde(default)]
    pub branch: Option<String>,
    /// Turns of the person.
    pub message_count: u64,
    /// Whether an approval is open.
    pub has_pending_permission: bool,
    /// null = the default (ask), 0 ask, 1 auto-approve edits, 2 approve all.
    pub approval_mode: Option<u8>,
    /// The agent to use; null = the configured default.
    pub adapter: Option<String>,
    /// Set when an agent of the person's own drives this session.
    pub external_agent_name: Option<String>,
    /// As above.
    pub external_agent_type: Option<String>,
    /// As above.
    pub external_agent_icon: Option<String>,
    /// The chat platform that it is bound to.
    pub platform: Option<String>,
    /// The thread there.
    pub platform_thread_id: Option<String>,
    /// Where its work tree was cloned from.
    pub clone_url: Option<String>,
    /// The branch made for it.
    pub working_branch: Option<String>,
    /// How many of its approvals are open.
    #[serde(default)]
    pub pending_approvals: usize,
    /// One line of what went on last: the tool that was called, or the last line that the agent wrote; at most
    /// 200 characters.
    #[serde(default)]
    pub last_line: Option<String>,
    /// Since when its agent has been at work without a rest; null while it is not.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub running_since: Option<Stamp>,
    /// US dollars that its turns cost, where the agent tells.
    #[serde(default)]
    pub cost_usd: f64,
    /// Set while its agent is not started by itself.
    #[serde(default)]
    pub hold: Option<Hold>,
    /// Set while it waits to be started again after a crash.
    #[serde(default)]
    pub restarting: Option<Restarting>,
    /// Whether a person put it aside. What they say to it, or its end in an error, brings it back.
    #[serde(default)]
    pub archived: bool,
}

/// An agent that crashed will be started again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Restarting {
    /// Which try, from 1.
    pub attempt: usize,
    /// Of how many.
    pub limit: usize,
    /// When.
    #[schema(value_type = String)]
    pub at: Stamp,
}

/// What tells a request that is sent again from another one under the same idempotency key. Only hashes are kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OnceMark {
    /// Of the key.
    pub key: String,
    /// Of what was sent under it.
    pub body: String,
}

/// What the store keeps of a session beside its events.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SessionRecord {
    /// What the API shows.
    pub session: Session,
    /// The agent that holds its conversation, by its name in the catalogue; null = none was started yet. The session's
    /// own `adapter` is what was asked for, and may be null.
    #[serde(default)]
    pub agent: Option<String>,
    /// Turns begun so far; the current one's number while one runs.
    #[serde(default)]
    pub turn: u64,
    /// Model that a person chose; null = the agent's own default.
    #[serde(default)]
    pub model: Option<String>,
    /// Whether the agent only plans, until a person takes its plan or says otherwise.
    #[serde(default)]
    pub planning: bool,
    /// Whether its work tree is saved after each turn; null = as configured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auto_checkpoint: Option<bool>,
    /// What to do when the agent crashes in mid-turn.
    #[serde(default)]
    pub restart_policy: RestartPolicy,
    /// What was used so far.
    #[serde(default)]
    pub usage: Usage,
    /// Set while the agent must not be started by itself.
    #[serde(default)]
    pub hold: Option<Hold>,
    /// The protocol's state at the end of the agent's last life, for the next one to go on from.
    #[serde(default)]
    pub protocol_state: Value,
    /// The model that the last `header` event named.
    #[serde(default)]
    pub header_model: Option<String>,
    /// Whether an agent of the person's own drives it by REST, so that no program is started for it.
    #[serde(default)]
    pub external: bool,
    /// Whether the agent is at work on a turn.
    #[serde(default)]
    pub turn_running: bool,
    /// Whether the next turn goes on with one that a crash cut off, and so keeps its number.
    #[serde(default)]
    pub continuing: bool,
    /// The agent's own id of the conversation.
    #[serde(default)]
    pub conversation: Option<String>,
    /// Whether the agent has begun to work in that conversation, so that it can be resumed.
    #[serde(default)]
    pub conversation_begun: bool,
    /// What came of each input that the agent works on. Not in the input: that may be large, and this changes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub working_on: Vec<(InputId, Since)>,
    /// The newest inputs' ids, oldest first, so that one that comes again is known.
    #[serde(default)]
    pub recent_inputs: Vec<InputId>,
    /// When the agent last crashed, oldest first, within the budget's window (Unix seconds).
    #[serde(default)]
    pub crashes: Vec<i64>,
    /// The final text that an external agent gave for its current turn.
    #[serde(default)]
    pub pending_final: Option<String>,
    /// `agent_workspace` of an external agent: remembered, not used as a directory.
    #[serde(default)]
    pub external_agent_workspace: Option<String>,
    /// Set when it goes on with a conversation that was begun in the agent's own program.
    #[serde(default)]
    pub attached: Option<Attached>,
    /// The idempotency key under which it was made, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made_under: Option<OnceMark>,
    /// The newest events that an external agent pushed under a key, oldest first, so that one that comes again is known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub recent_pushes: Vec<OnceMark>,
    /// When it was taken over from another program, if it was: it is kept for a whole term from then on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moved_here_at: Option<Stamp>,
    /// How many events came with it then. Its chat thread, which came with it too, was told of them there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moved_events: Option<u64>,
}

impl SessionRecord {
    /// The agent that it has, or that was asked for; `None` = the default.
    pub fn agent_wanted(&self) -> Option<&str> {
        self.agent.as_deref().or(self.session.adapter.as_deref())
    }
}

/// A picture that goes with an input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Image {
    /// base64.
    pub data: String,
    /// `image/png`, `image/jpeg`, `image/gif` or `image/webp`.
    #[serde(rename = "mimeType")]
    pub media_type: String,
    /// Its name, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filename: Option<String>,
}

/// Where an input stands on its way to the agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum InputState {
    /// Waits for the running turn to end; may be taken back.
    Queued,
    /// To be handed over now; after a crash it is not known whether it was, and it is sent again under its id.
    Sending,
    /// The agent has it and has not begun to work on it.
    Sent,
    /// A turn works on it.
    Working,
}

/// An input that the agent has not finished yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Input {
    /// Its id.
    pub id: InputId,
    /// Inputs are sent in this order.
    #[serde(default)]
    pub order: u64,
    /// What to say.
    pub text: String,
    /// Pictures with it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<Image>,
    /// Where it stands.
    pub state: InputState,
    /// When it was given.
    pub created_at: Stamp,
    /// Who gave it, in words for people (`cli`, a device's name).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// Given by the daemon itself after a crash ("you were interrupted, go on"), so not the person's words.
    #[serde(default)]
    pub synthetic: bool,
}

/// What an agent was heard to do since it began to work on an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Since {
    /// Nothing.
    Nothing,
    /// It said something.
    Words,
    /// It called a tool, or asked for one.
    Deeds,
}

/// One life of an agent program, as the store keeps it under `p/<session>`: enough to find the
/// program again after the daemon was killed, and to go on reading where the log stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunRecord {
    /// Its id, also the marker in the program's environment and the name of its spool folder.
    pub run: RunId,
    /// Name of the protocol (`claude`).
    pub protocol: String,
    /// Process id; null until the program was spawned.
    pub pid: Option<u32>,
    /// The process's start time as the system tells it (Linux: clock ticks since boot), which with the id
    /// tells the program from a later one with the same id.
    pub started: Option<u64>,
    /// How many bytes of its standard output were read into events.
    pub offset: u64,
    /// The protocol's own state at that point.
    pub protocol_state: Value,
    /// The agent's own conversation id at that point.
    pub agent_session: Option<String>,
    /// Whether it said that it can take a prompt.
    #[serde(default)]
    pub ready: bool,
    /// Whether it was started to go on with an earlier conversation.
    pub resumed: bool,
    /// When it was started.
    pub created_at: Stamp,
    /// Set once somebody asked for its end, so that the end is not taken for a crash.
    #[serde(default)]
    pub stopping: bool,
}
