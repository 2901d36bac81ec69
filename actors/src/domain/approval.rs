//! Approvals: a question that an agent put, and what became of it.
//!
//! `open -> allowed | denied | cancelled | expired -> delivered -> ran | refused`. Each step is an event.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::ids::{ApprovalId, GrantId, RunId, SessionId};
use super::risk::Risk;
use super::time::Stamp;

/// What kind of question it is. Questions and plans are never answered by a mode or a grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ApprovalKind {
    /// May a tool run?
    Tool,
    /// Which of these? Answered by choices, not by a yes.
    Question,
    /// Is this plan good?
    Plan,
    /// Shall what a directory brings along for agents count? Tether asks this itself, once a directory.
    Trust,
    /// A request that we do not understand; shown raw, and only a person may answer it.
    Unknown,
}

/// One question of a [`ApprovalKind::Question`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Question {
    /// The question's text, which is also its key in the answer.
    pub question: String,
    /// A word or two for a heading.
    #[serde(default)]
    pub header: String,
    /// Whether several may be chosen. Agents of a person's own may write it as Claude Code does.
    #[serde(default, alias = "multiSelect")]
    pub multi_select: bool,
    /// What may be chosen; free text is always allowed.
    #[serde(default)]
    pub options: Vec<QuestionOption>,
}

/// One choice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct QuestionOption {
    /// Its name, which is the answer.
    pub label: String,
    /// What it means.
    #[serde(default)]
    pub description: String,
}

/// What an agent asks, before the gate made an approval of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ask {
    /// The agent's own id for the request; the answer goes back under it.
    pub request: String,
    /// What kind.
    pub kind: ApprovalKind,
    /// Name of the tool.
    pub tool_name: String,
    /// The exact input.
    pub tool_input: Value,
    /// One line for people: what would happen.
    pub title: String,
    /// A unified diff, where the input changes a file.
    #[serde(default)]
    pub diff: Option<String>,
    /// The files that it would write, as the agent named them; a directory grant looks at these.
    #[serde(default)]
    pub paths: Vec<String>,
    /// Whether it only writes files (mode 1 and directory grants are about these).
    #[serde(default)]
    pub is_edit: bool,
    /// The questions, for [`ApprovalKind::Question`].
    #[serde(default)]
    pub questions: Vec<Question>,
    /// Why the agent asks, in its own words.
    #[serde(default)]
    pub reason: Option<String>,
    /// The agent's suggestions for a standing rule, as it gave them.
    #[serde(default)]
    pub suggestions: Option<Value>,
    /// The call that it is about.
    #[serde(default)]
    pub tool_use_id: Option<String>,
    /// The sub-agent that asks.
    #[serde(default)]
    pub subagent: Option<String>,
    /// Whether the protocol can carry a changed input back.
    #[serde(default)]
    pub can_change_input: bool,
}

/// Who did something, through which surface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Actor {
    /// A person.
    Person {
        /// `api`, `web`, `cli`, `mcp`, `telegram`, `slack`, `discord`.
        surface: String,
        /// Device or account, if known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<String>,
    },
    /// The session's approval mode (1 or 2).
    Mode {
        /// Which.
        approval_mode: u8,
    },
    /// A standing permission.
    Grant {
        /// Which.
        #[schema(value_type = String)]
        grant_id: GrantId,
    },
    /// The same question was answered before a crash and the answer had not arrived.
    Replay {
        /// The approval whose answer it was.
        #[schema(value_type = String)]
        approval_id: ApprovalId,
    },
    /// The agent itself withdrew the question, or ended.
    Agent,
    /// A configured time limit.
    Timeout,
}

impl std::fmt::Display for Actor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Person { surface, name: Some(name) } => write!(f, "{name} ({surface})"),
            Self::Person { surface, name: None } => write!(f, "{surface}"),
            Self::Mode { approval_mode } => write!(f, "approval mode {approval_mode}"),
            Self::Grant { grant_id } => write!(f, "grant {grant_id}"),
            Self::Replay { approval_id } => write!(f, "the answer already given to {approval_id}"),
            Self::Agent => write!(f, "the agent"),
            Self::Timeout => write!(f, "the time limit"),
        }
    }
}

/// How far a yes reaches.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// This one request.
    #[default]
    Once,
    /// Every request of this tool in this session.
    Tool,
    /// Everything in this session for 30 minutes, questions and plans excepted.
    All30m,
    /// Every file change below the directory of this one's file, in this session.
    Directory,
    /// As `tool`, for 30 minutes.
    Tool30m,
    /// As `directory`, for 30 minutes.
    Directory30m,
}

/// A person's (or rule's) answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(tag = "decision", rename_all = "snake_case")]
pub enum Answer {
    /// Yes.
    Allow {
        /// How far.
        #[serde(default)]
        scope: Scope,
        /// Run with this input in place of the one asked about.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        updated_input: Option<Value>,
        /// For a question: its text to the chosen labels or free text. For one choice, one entry.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        answers: Option<std::collections::BTreeMap<String, Vec<String>>>,
        /// A word to the agent or for the record.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        message: Option<String>,
    },
    /// No.
    Deny {
        /// Why; the agent reads it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        message: Option<String>,
    },
}

impl Answer {
    /// Whether it is a yes.
    pub fn allowed(&self) -> bool {
        matches!(self, Self::Allow { .. })
    }

    /// What was said with it.
    pub fn message(&self) -> Option<&str> {
        match self {
            Self::Allow { message, .. } | Self::Deny { message } => message.as_deref(),
        }
    }
}

/// Where an approval stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ApprovalState {
    /// Waits for an answer.
    Open,
    /// Yes; not yet delivered.
    Allowed,
    /// No; not yet delivered.
    Denied,
    /// The agent no longer waits for it.
    Cancelled,
    /// A configured time limit said no.
    Expired,
}

/// What the agent did after the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The tool ran and gave a result.
    Ran,
    /// The tool ran and failed.
    Failed,
    /// The agent took the no.
    Refused,
    /// The agent ended before it told.
    Unknown,
}

/// An approval with its whole story, as `/api/approvals` returns it and the store keeps it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Approval {
    /// Unique over all sessions.
    #[schema(value_type = String)]
    pub id: ApprovalId,
    /// The session that it belongs to.
    #[schema(value_type = String)]
    pub session_id: SessionId,
    /// The id within the session that `/permission` takes: the external agent's own, else the same as `id`.
    pub request_id: String,
    /// The agent's own id for the request.
    pub request: String,
    /// What kind of question.
    pub kind: ApprovalKind,
    /// Name of the tool.
    pub tool_name: String,
    /// The exact input.
    pub tool_input: Value,
    /// One line for people.
    pub title: String,
    /// The session's directory.
    pub directory: String,
    /// A unified diff of a file change.
    pub diff: Option<String>,
    /// The files that it would write, absolute, with links resolved.
    #[serde(default)]
    pub paths: Vec<String>,
    /// Whether it only writes files.
    #[serde(default)]
    pub is_edit: bool,
    /// Questions with their choices.
    pub questions: Vec<Question>,
    /// Why the agent asks.
    pub reason: Option<String>,
    /// The agent's own suggestions for a rule.
    pub suggestions: Option<Value>,
    /// The call that it is about.
    pub tool_use_id: Option<String>,
    /// The sub-agent that asks.
    pub subagent: Option<String>,
    /// Whether a changed input can be sent back.
    pub can_change_input: bool,
    /// What the agent said just before it asked, Markdown, at most 600 characters of it.
    #[serde(default)]
    pub said: Option<String>,
    /// What is risky about it, judged when it was asked.
    #[serde(default)]
    pub risk: Risk,
    /// The life of the agent program that asked; null for an external agent.
    #[schema(value_type = Option<String>)]
    pub run: Option<RunId>,
    /// The session's turn in which it was asked.
    pub turn: u64,
    /// Where it stands.
    pub state: ApprovalState,
    /// When it was asked.
    #[schema(value_type = String)]
    pub requested_at: Stamp,
    /// When it left `open`.
    #[schema(value_type = Option<String>)]
    pub resolved_at: Option<Stamp>,
    /// Who answered.
    pub resolved_by: Option<Actor>,
    /// What was answered.
    pub answer: Option<Answer>,
    /// When the answer was handed to the agent.
    #[schema(value_type = Option<String>)]
    pub delivered_at: Option<Stamp>,
    /// What the agent then did.
    pub outcome: Option<Outcome>,
}

impl Approval {
    /// The question as the agent put it.
    pub fn ask(&self) -> Ask {
        Ask {
            request: self.request.clone(),
            kind: self.kind,
            tool_name: self.tool_name.clone(),
            tool_input: self.tool_input.clone(),
            title: self.title.clone(),
            diff: self.diff.clone(),
            paths: self.paths.clone(),
            is_edit: self.is_edit,
            questions: self.questions.clone(),
            reason: self.reason.clone(),
            suggestions: self.suggestions.clone(),
            tool_use_id: self.tool_use_id.clone(),
            subagent: self.subagent.clone(),
            can_change_input: self.can_change_input,
        }
    }

    /// Whether an answer was given that the agent has not been handed.
    pub fn awaits_delivery(&self) -> bool {
        matches!(self.state, ApprovalState::Allowed | ApprovalState::Denied | ApprovalState::Expired)
            && self.delivered_at.is_none()
    }

    /// Whether nothing more will happen to it. An external agent reads its answer from the log itself,
    /// so there an answer settles it.
    pub fn is_settled(&self) -> bool {
        let external = self.run.is_none() && self.state != ApprovalState::Open;
        self.state == ApprovalState::Cancelled || self.outcome.is_some() || external
    }
}

/// What a standing permission covers, always within one session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(tag = "covers", rename_all = "snake_case")]
pub enum GrantCover {
    /// Every request of one tool.
    Tool {
        /// Its name.
        tool_name: String,
    },
    /// Every tool.
    All,
    /// Every file change below a directory.
    Directory {
        /// Absolute, links resolved.
        path: String,
    },
}

/// A standing permission. Durable, listed, revocable; questions and plans are exempt from it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Grant {
    /// Its id.
    #[schema(value_type = String)]
    pub id: GrantId,
    /// The session.
    #[schema(value_type = String)]
    pub session_id: SessionId,
    /// What it covers.
    #[serde(flatten)]
    pub cover: GrantCover,
    /// When it was given.
    #[schema(value_type = String)]
    pub created_at: Stamp,
    /// When it ends; null = with the session.
    #[schema(value_type = Option<String>)]
    pub expires_at: Option<Stamp>,
    /// Who gave it.
    pub created_by: Actor,
}
