//! What must be remembered from line to line, so that reading can go on after any line. It is stored beside the
//! reading position; it is bounded and holds no secret.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::calls::{Calls, Naming};
use super::knobs::Knobs;
use super::turn::Turn;
use crate::agent::fields::head;
use crate::domain::agent::AgentEvent;
use crate::domain::restart::EndCause;

/// Longest id, name or path that is remembered, in bytes.
pub(super) const LONGEST_WORD: usize = 4096;
/// Requests that may wait for a person at once; more are refused.
pub(super) const MOST_OPEN: usize = 64;

/// Everything that is remembered.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct State {
    /// What this life was to begin with.
    pub(super) start: Start,
    /// Tells the requests of this opening from those of an earlier one, to which answers may still come.
    pub(super) nonce: String,
    /// How far the opening has come.
    pub(super) stage: Stage,
    /// What the agent said of itself.
    pub(super) agent: Agent,
    /// Its id for the conversation.
    pub(super) session: Option<String>,
    /// Modes and models.
    pub(super) knobs: Knobs,
    /// The turn that runs.
    pub(super) turn: Option<Turn>,
    /// Something was said outside of a turn that we know of: a prompt of ours may have arrived before a crash
    /// took away the memory of it.
    pub(super) loose: bool,
    /// Requests of the agent that wait for a person.
    pub(super) open: Vec<Open>,
    /// What is to be told with the next line that is heard.
    pub(super) later: Vec<Later>,
    /// Tool calls that have no result yet.
    pub(super) calls: Calls,
    /// What the conversation cost so far, in billionths of a dollar.
    pub(super) cost: u64,
    /// Number of the next request of ours.
    pub(super) next: u64,
    /// Why the last turn failed, if it is nothing that trying again would mend.
    pub(super) last_cause: Option<EndCause>,
    /// Unknown methods that a person was told of.
    pub(super) told: Vec<String>,
    /// The plan that was told last.
    pub(super) plan: Seen,
}

/// What was told last, so that it is not told twice: FNV-1a of its text.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Seen(u64);

impl Seen {
    /// Remembers a text; says whether it is another one than before.
    pub(super) fn is_new(&mut self, text: &str) -> bool {
        let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        std::mem::replace(&mut self.0, hash) != hash
    }
}

impl State {
    /// Forgets what ends with the program: the next lines are those of another life of it.
    pub(super) fn begin_life(&mut self, nonce: String, start: Start) {
        *self = Self { start, nonce, stage: Stage::Greeting, next: self.next, ..Self::default() };
    }

    /// An id for a request of ours, not used before in this life.
    pub(super) fn fresh(&mut self, word: &str) -> String {
        let number = self.next;
        self.next = number.wrapping_add(1);
        format!("{word}/{}{number}", self.nonce)
    }

    /// How people call the agent.
    pub(super) fn agent_name(&self) -> &str {
        self.agent.title.as_deref().or(self.agent.name.as_deref()).unwrap_or("the agent")
    }

    /// Takes a request off the list of those that wait; `false` if it is not there.
    pub(super) fn close(&mut self, id: &Value) -> bool {
        let before = self.open.len();
        self.open.retain(|open| open.id != *id);
        self.open.len() < before
    }

    /// All requests that wait no longer; they are told as withdrawn with the next line.
    pub(super) fn withdraw_all(&mut self) -> Vec<Open> {
        let open = std::mem::take(&mut self.open);
        self.later.extend(open.iter().map(|open| Later::Withdrew(open.id.to_string())));
        open
    }
}

/// What a life begins with.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Start {
    /// Where the agent works, absolute.
    pub(super) cwd: String,
    /// The conversation to go on with.
    pub(super) resume: Option<String>,
    /// The model that is wanted.
    pub(super) model: Option<String>,
    /// Whether it shall only plan.
    pub(super) planning: bool,
}

/// How far an opening has come.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Stage {
    /// Not begun.
    #[default]
    Down,
    /// `initialize` was sent.
    Greeting,
    /// The conversation is being begun or taken up; what is told of it is history.
    Joining {
        /// Id of the request.
        id: String,
        /// How.
        how: Join,
    },
    /// The agent was told to use the key that it has.
    SigningIn {
        /// Id of the request.
        id: String,
        /// What comes then.
        how: Join,
    },
    /// Mode and model are being set.
    Tuning(Tuning),
    /// It can take a prompt.
    Ready,
    /// It cannot be worked with and is being ended.
    Over,
}

/// Ways to a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Join {
    /// A new one.
    New,
    /// Takes it up again without telling what was said.
    Resume,
    /// Takes it up again and tells all that was said.
    Load,
}

/// Requests that follow the beginning of a conversation, one after the other.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Tuning {
    /// Id of the request that was sent.
    pub(super) id: String,
    /// What it was for.
    pub(super) step: Step,
    /// What is still to come.
    pub(super) rest: Vec<Step>,
    /// Whether history may still come: some agents answer first and tell it then.
    pub(super) history: bool,
    /// Whether some came since the request.
    pub(super) noisy: bool,
}

/// One request of the tuning.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Step {
    /// Be in this mode.
    Mode(String),
    /// Only plan.
    Plan,
    /// Work again.
    Work,
    /// Use this model.
    Model(String),
    /// Changes nothing: an answer without history before it means that all of it has come.
    #[default]
    Settle,
}

/// What the agent said of itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Agent {
    /// Its name for programs.
    pub(super) name: Option<String>,
    /// Its name for people.
    pub(super) title: Option<String>,
    /// Its version.
    pub(super) version: Option<String>,
    /// Whether it can take up a conversation by telling all of it.
    pub(super) load: bool,
    /// Whether it can take up a conversation silently.
    pub(super) resume: bool,
    /// Whether it can be told that a conversation is over.
    pub(super) close: bool,
    /// Whether it takes pictures.
    pub(super) images: bool,
    /// Whether it reads a reason that comes with a no (`_meta.tether.reason`).
    pub(super) reasons: bool,
    /// How to sign in, in its own words.
    pub(super) sign_in: Option<String>,
    /// The way to sign in that needs nothing but a key in its environment.
    pub(super) key: Option<String>,
}

impl Agent {
    /// Where it hides the names of its tools.
    pub(super) fn naming(&self) -> Naming {
        match self.name.as_deref() {
            Some("gemini-cli") => Naming::ById,
            Some("OpenCode") => Naming::ByFirstTitle,
            _ => Naming::None,
        }
    }
}

/// A request of the agent that waits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Open {
    /// Its id, as it came.
    pub(super) id: Value,
    /// Whether it is a form; else it is about a tool.
    pub(super) form: bool,
}

/// Something that could not be told when it came about, because nothing was heard then.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Later {
    /// A request is no longer waited for.
    Withdrew(String),
    /// For a person: code and words.
    Notice(String, String),
}

impl Later {
    /// As it is told.
    pub(super) fn event(self) -> AgentEvent {
        match self {
            Self::Withdrew(request) => AgentEvent::Withdrew(request),
            Self::Notice(code, message) => AgentEvent::Notice { code, message },
        }
    }
}

/// A word of the agent's, not longer than can be remembered.
pub(super) fn short(word: &str) -> String {
    head(word, LONGEST_WORD).to_owned()
}
