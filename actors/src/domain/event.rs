//! Events: the one kind of fact that the log keeps and that every surface shows.
//!
//! The envelope on the wire and on disk is `{"session_id","ts","seq","type","data"}`, `seq` dense and
//! rising from 1 within a session (`contract`: REST and SSE of the peer, 0.3.4).

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::ids::SessionId;
use super::time::Stamp;

macro_rules! event_types {
    ($($(#[$doc:meta])* $variant:ident => $name:literal,)*) => {
        /// What kind of fact an event is. Readers ignore types that they do not know.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
        #[serde(rename_all = "snake_case")]
        pub enum EventType { $($(#[$doc])* $variant,)* }

        impl EventType {
            /// The name on the wire.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The type with this name on the wire.
            pub fn parse(name: &str) -> Option<Self> {
                match name { $($name => Some(Self::$variant),)* _ => None }
            }
        }
    };
}

event_types! {
    /// `{state}`: the session entered a state.
    SessionState => "session_state",
    /// `{stream:"combined", text, kind:"step"|"final", final:bool|null, parent_tool_use_id?}`: text from the agent.
    /// While an answer streams, each event holds the piece that came since the last one.
    Output => "output",
    /// `{stream:"combined", text, kind:"final", final:true, attachments:[]}`: the turn's whole answer.
    OutputFinal => "output_final",
    /// `{text, parent_tool_use_id?}`: the agent's reasoning, in pieces like `output`.
    Thinking => "thinking",
    /// `{text, input_id?, images?:[{media_type,bytes,filename?}], by?}`: what a person said; sent or queued.
    UserInput => "user_input",
    /// `{input_id, position}`: an input waits for the running turn to end.
    InputQueued => "input_queued",
    /// `{input_id, by?}`: a queued input was taken back.
    InputWithdrawn => "input_withdrawn",
    /// `{input_id}`: a queued input was handed to the agent.
    InputSent => "input_sent",
    /// `{session_name, last_output, truncated}`: the agent waits for a person's next words.
    InputRequired => "input_required",
    /// `{request_id, approval_id, tool_name, tool_input, suggestions, kind, title, ...}`: an approval is open.
    PermissionRequest => "permission_request",
    /// `{request_id, approval_id, resolved_by:"user"|"timeout"|"cancelled"|"auto", allowed, message, by, ...}`: an approval was
    /// answered, or is answered by nobody any more.
    PermissionResolved => "permission_resolved",
    /// `{request_id, approval_id}`: the answer was handed to the agent.
    PermissionDelivered => "permission_delivered",
    /// `{request_id, approval_id, outcome:"ran"|"refused"|"failed"|"unknown"}`: what the agent then did.
    PermissionOutcome => "permission_outcome",
    /// `{grant}`: a standing permission was given.
    GrantAdded => "grant_added",
    /// `{grant_id, reason:"revoked"|"expired", by?}`: a standing permission ended.
    GrantEnded => "grant_ended",
    /// `{approval_mode, by?}`: who decides changed.
    ApprovalModeChanged => "approval_mode_changed",
    /// `{tool_use_id, tool_name, input, parent_tool_use_id?}`: the agent calls a tool.
    ToolCall => "tool_call",
    /// `{tool_use_id, text, is_error, truncated, parent_tool_use_id?}`: what the tool gave back.
    ToolResult => "tool_result",
    /// `{task_id, tool_use_id?, state:"started"|"progress"|"completed"|"failed"|"stopped", kind?, text?}`: a sub-agent or background task.
    Task => "task",
    /// `{turn, input_ids}`: the agent began to work.
    TurnStarted => "turn_started",
    /// `{turn, ok, reason, message?, duration_ms?, usage?, cost_usd?}`: the agent stopped working.
    TurnFinished => "turn_finished",
    /// `{code, message}`: something went wrong that ends the session's work.
    Error => "error",
    /// `{code, message, input_id?}`: something that a person should know, and work goes on.
    Warning => "warning",
    /// `{attempt, max_attempts, delay_ms, status, error}`: the agent tries a failed request to its model again.
    Retry => "retry",
    /// `{title, session_id, model?, provider?, sandbox?, approval?}`: what runs.
    Header => "header",
    /// `{key, value, raw}`: a figure; keys `tokens` (`{input,output}`), `cost`, `duration_ms`, ...
    Metadata => "metadata",
    /// `{elapsed_s, done}`: the turn still runs.
    Heartbeat => "heartbeat",
    /// `{commit_hash, message, files_changed}`: the work tree was saved.
    Checkpoint => "checkpoint",
    /// `{run_id, agent, version?, pid?, resumed, reason}`: an agent program was started.
    AgentStarted => "agent_started",
    /// `{run_id, cause, exit_code, signal, message, stderr:[line]}`: an agent program ended.
    AgentExited => "agent_exited",
    /// `{attempt, delay_ms, cause, message}`: it will be started again.
    AgentRestarting => "agent_restarting",
    /// `{cause, message, until?}`: it will not be started again before a person acts.
    AgentHeld => "agent_held",
    /// `{cause, message}`: what held it is over, and it may be started again.
    AgentReleased => "agent_released",
    /// `{message, line?}`: the agent said something that could not be understood; kept for the record.
    AgentUnparsed => "agent_unparsed",
}

/// An event before the log gave it its number: what the owner of a session wants recorded.
#[derive(Clone, Debug, PartialEq)]
pub struct EventDraft {
    /// What kind of fact.
    pub kind: EventType,
    /// The `data` object.
    pub data: Value,
    /// When it happened, if that was before it is recorded (a conversation that was begun elsewhere). Then `ts` is
    /// this, with milliseconds.
    pub at: Option<Stamp>,
}

impl EventDraft {
    /// A draft of this type with this `data` object, of what happens now.
    pub fn new(kind: EventType, data: Value) -> Self {
        Self { kind, data, at: None }
    }
}

/// A committed event in its final wire form. Cloning shares the bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Its number within the session, from 1.
    pub seq: u64,
    /// The envelope as one line of JSON, without line ends.
    pub json: Bytes,
}

/// The envelope, for readers that look inside.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, utoipa::ToSchema)]
pub struct Envelope {
    /// The session that it belongs to.
    #[schema(value_type = String)]
    pub session_id: SessionId,
    /// When it was recorded.
    #[schema(value_type = String)]
    pub ts: Stamp,
    /// Its number within the session, from 1.
    pub seq: u64,
    /// The type's name; kept as text, because a newer version may have written it.
    #[serde(rename = "type")]
    pub kind: String,
    /// What happened.
    pub data: Value,
}
