//! Sessions that another program kept, as they are handed over to this one.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::state::SessionState;
use super::time::Stamp;

/// A session of another program with all that happened in it. The fields mean what those of a session of ours mean;
/// names of agents are the other program's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct PastSession {
    /// `sess_` and 12 hex digits; it keeps it.
    pub id: String,
    /// Where it stood.
    pub state: SessionState,
    /// What people call it.
    #[serde(default)]
    pub name: Option<String>,
    /// When it was made.
    #[schema(value_type = String)]
    pub created_at: Stamp,
    /// When it was last started.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub started_at: Option<Stamp>,
    /// When it entered ERROR.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub ended_at: Option<Stamp>,
    /// When anything last happened.
    #[schema(value_type = String)]
    pub last_activity_at: Stamp,
    /// The agent program's last exit code.
    #[serde(default)]
    pub exit_code: Option<i32>,
    /// Title line of the agent.
    #[serde(default)]
    pub runner_header: Option<String>,
    /// Which kind of agent held its conversation.
    #[serde(default)]
    pub runner_type: Option<String>,
    /// The agent's own id of the conversation.
    #[serde(default)]
    pub runner_session_id: Option<String>,
    /// Where its agent works, absolute.
    #[serde(default)]
    pub directory: Option<String>,
    /// null or 0 ask, 1 auto-approve edits, 2 approve all.
    #[serde(default)]
    pub approval_mode: Option<u8>,
    /// The agent that was asked for.
    #[serde(default)]
    pub adapter: Option<String>,
    /// Set if an agent of the person's own drives it; the next three count only with it.
    #[serde(default)]
    pub external_agent_name: Option<String>,
    /// What kind of agent.
    #[serde(default)]
    pub external_agent_type: Option<String>,
    /// A picture for it.
    #[serde(default)]
    pub external_agent_icon: Option<String>,
    /// Where it works; remembered only.
    #[serde(default)]
    pub external_agent_workspace: Option<String>,
    /// The chat platform that it was bound to.
    #[serde(default)]
    pub platform: Option<String>,
    /// The thread there.
    #[serde(default)]
    pub platform_thread_id: Option<String>,
    /// Where its work tree was cloned from.
    #[serde(default)]
    pub clone_url: Option<String>,
    /// The branch that was made for it.
    #[serde(default)]
    pub working_branch: Option<String>,
    /// What happened, oldest first. The events are numbered anew, from 1.
    #[serde(default)]
    pub events: Vec<PastEvent>,
}

/// An event as the other program wrote it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct PastEvent {
    /// When, RFC 3339.
    pub ts: String,
    /// The type's name.
    #[serde(rename = "type")]
    pub kind: String,
    /// What.
    pub data: Value,
}

/// What became of a session that was handed over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct PastTaken {
    /// `false` = a session with its id was there before, and nothing was changed.
    pub taken: bool,
    /// How many events it has now.
    pub events: u64,
    /// Whether it goes on in the chat thread that it had.
    #[serde(default)]
    pub thread: bool,
    /// What a person should know of it: what could not be kept, and what to do.
    pub notes: Vec<String>,
}
