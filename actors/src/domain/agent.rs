//! What passes between a session and an agent's protocol: facts up, commands down.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::approval::{Answer, Ask};
use super::ids::InputId;
use super::restart::EndCause;
use super::session::Image;
use super::time::Stamp;
use super::usage::Usage;

/// What the agent said, in terms that are the same for every agent.
#[derive(Clone, Debug, PartialEq)]
pub enum AgentEvent {
    /// It is up and can take a prompt.
    Ready {
        /// Its version, where it says it.
        version: Option<String>,
        /// The model in use.
        model: Option<String>,
    },
    /// Its own id for the conversation is (now) this.
    Conversation(String),
    /// It began to work: on an input, or by itself (a background task ended).
    TurnStarted,
    /// A piece of text. Adjacent pieces of the same message and parent may be joined.
    Text {
        /// The piece.
        text: String,
        /// The tool call of the sub-agent that speaks; null = the agent itself.
        parent: Option<String>,
    },
    /// A piece of reasoning, like `Text`.
    Thinking {
        /// The piece.
        text: String,
        /// As above.
        parent: Option<String>,
    },
    /// It calls a tool.
    ToolCall {
        /// The call's id.
        id: String,
        /// The tool.
        name: String,
        /// Its whole input.
        input: Value,
        /// As above.
        parent: Option<String>,
    },
    /// A tool gave its result.
    ToolResult {
        /// The call's id.
        id: String,
        /// What it gave, as text.
        text: String,
        /// Whether it failed or was refused.
        is_error: bool,
        /// As above.
        parent: Option<String>,
    },
    /// A sub-agent or background task began, went on, ended.
    Task {
        /// Its id.
        id: String,
        /// The call that began it.
        tool_use_id: Option<String>,
        /// `started`, `progress`, `completed`, `failed`, `stopped`.
        state: String,
        /// `agent` or `shell`, as the agent calls it.
        kind: Option<String>,
        /// What it is about, or how it went.
        text: Option<String>,
    },
    /// It asks and waits.
    Asked(Box<Ask>),
    /// It no longer waits for the request with this id.
    Withdrew(String),
    /// What became of an input.
    InputProgress {
        /// Which.
        input: InputId,
        /// Where it stands now.
        progress: InputProgress,
    },
    /// It stopped working.
    TurnFinished(TurnEnd),
    /// It tries a failed request to its model again.
    Retry {
        /// Which try, from 1.
        attempt: u64,
        /// Of how many.
        max_attempts: u64,
        /// Milliseconds until then.
        delay_ms: u64,
        /// HTTP status; null = the network.
        status: Option<u64>,
        /// The agent's word for it.
        error: String,
    },
    /// Something that a person should know; `code` in capitals.
    Notice {
        /// A stable word.
        code: String,
        /// For people.
        message: String,
    },
    /// A command of ours was answered.
    Replied {
        /// The id under which it was sent.
        request: String,
        /// What the agent said: `Ok` with its answer, or its error text.
        result: Result<Value, String>,
    },
    /// It now plans only (true), or works again (false).
    Planning(bool),
    /// It cannot work at all, for a reason that starting it again would not mend: its program is to be ended, and held.
    Unable {
        /// What kind of reason.
        cause: EndCause,
        /// What happened and what to do, for people.
        message: String,
    },
    /// It denied a tool by itself, without asking.
    DeniedByAgent {
        /// The tool.
        tool_name: String,
        /// Why.
        message: String,
    },
    /// What it said could not be understood; kept for the record, never acted on.
    Unparsed {
        /// What is wrong with it.
        message: String,
        /// The start of it.
        line: String,
    },
}

/// Where an input stands at the agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InputProgress {
    /// The agent has it.
    Accepted,
    /// A turn works on it.
    Started,
    /// Its turn is over.
    Completed,
    /// It was dropped.
    Cancelled,
}

/// How a turn ended.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TurnEnd {
    /// Whether it ended well.
    pub ok: bool,
    /// The agent's word for the end (`completed`, `api_error`, `aborted_tools`, ...).
    pub reason: String,
    /// The whole final answer, where it ended well.
    pub text: Option<String>,
    /// What went wrong, for people.
    pub error: Option<String>,
    /// Whether it ended because of an interrupt.
    pub interrupted: bool,
    /// Milliseconds.
    pub duration_ms: Option<u64>,
    /// This turn's share.
    pub usage: Usage,
    /// A failure that must not be retried by itself: authentication or usage limit.
    pub cause: Option<EndCause>,
    /// When a usage limit is lifted, where the agent says it.
    pub resets_at: Option<Stamp>,
}

/// What a session tells an agent. The `String` ids come back in [`AgentEvent::Replied`].
#[derive(Clone, Debug, PartialEq)]
pub enum AgentCommand {
    /// Say this.
    Prompt {
        /// Its id, under which it may be sent twice and is taken once.
        input: InputId,
        /// The words.
        text: String,
        /// Pictures.
        images: Vec<Image>,
    },
    /// Answer a request.
    Answer {
        /// The agent's own id of it, with the question as it was asked.
        ask: Box<Ask>,
        /// The answer.
        answer: Answer,
    },
    /// Stop the running turn, and the tools in it.
    Interrupt,
    /// Use this model from now on; null = its default.
    SetModel(Option<String>),
    /// Only plan from now on (true), or work again (false).
    SetPlanning(bool),
    /// Drop an input that it has but has not begun.
    CancelInput(InputId),
    /// End, when idle.
    End,
}
