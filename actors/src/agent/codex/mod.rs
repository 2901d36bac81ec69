//! Codex, over the JSON-RPC of `codex app-server` on its standard input and output.
//!
//! Verified against version 0.169.0. What was found out about sending things twice, which a restarted daemon
//! does when it cannot know whether they arrived:
//!
//! - A **prompt** (`turn/start`) is taken twice, also under the same `clientUserMessageId`; while a turn runs,
//!   as a word into that turn. So a doubtful one is held back behind a question that Codex works off in order
//!   with the prompts of its thread (`thread/backgroundTerminals/list`; `thread/turns/list` overtakes). After a
//!   kill, the resumed thread tells which prompts it had worked on.
//! - An **answer** to a request that was answered or withdrawn is ignored in silence. The ids of requests
//!   begin at 0 in each life of the program; answers go to the life that asked only.
//! - The greeting twice is refused without harm. A thread that was begun without a turn cannot be resumed, but
//!   used.
//! - `turn/interrupt` twice, or when nothing runs, changes nothing.
//!
//! The ids in [`Replied`](crate::domain::agent::AgentEvent::Replied) tell what was refused: `set-model-N` or `set-mode-N`.
//!
//! What is not asked, because Codex has no question for it: tools of MCP servers that say of themselves that
//! they only read, looking at pictures, searching the web, and what the person's own rules and hooks in
//! Codex's settings allow.

mod answer;
mod ask;
mod form;
mod found;
mod hear;
mod items;
mod launch;
mod opening;
mod patch;
pub mod sandbox;
mod say;
mod state;
#[cfg(test)]
mod tests;
mod turn;
mod wire;

use serde_json::Value;

pub use self::found::WANTED;
use self::state::State;
use super::protocol::{
    CONVERSATION_LOST, Heard, Launch, LaunchSpec, Outgoing, Protocol, REQUEST_REFUSED, Work,
};
use crate::domain::agent::{AgentCommand, AgentEvent};
use crate::domain::restart::EndCause;

/// Code of the notice that the agent's own sandbox does not work here.
pub const NO_SANDBOX: &str = "NO_SANDBOX";
/// The name under which a plan is told.
const PLAN_TOOL: &str = "propose_plan";

/// Codex's way of speaking.
///
/// One value may serve several lives of the program: [`Protocol::opening`] begins a new one, and keeps
/// the conversation's id and its cumulative figures.
#[derive(Debug, Default)]
pub struct CodexProtocol {
    state: State,
    desk: Desk,
}

/// What is only needed until the agent's next words, and is made again when it is lost.
#[derive(Debug, Default)]
struct Desk {
    /// What is to be opened; `None` = the opening was said by an earlier life of the daemon.
    work: Option<Work>,
    /// A thread that an earlier opening began.
    there: Option<String>,
    /// Whether the thread was asked for.
    thread_asked: bool,
    /// Prompts that wait for the word whether they are there already.
    held: Vec<(String, Outgoing)>,
}

impl CodexProtocol {
    /// For a conversation that has had no program yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Goes on from a stored [`Protocol::state`].
    ///
    /// # Errors
    ///
    /// Says what is wrong with the state.
    pub fn restore(state: Value) -> Result<Self, String> {
        serde_json::from_value(state)
            .map(|state| Self { state, desk: Desk::default() })
            .map_err(|error| format!("the stored state of the codex protocol cannot be read: {error}"))
    }
}

fn notice(code: &str, message: impl Into<String>) -> AgentEvent {
    AgentEvent::Notice { code: code.to_owned(), message: message.into() }
}

impl Protocol for CodexProtocol {
    fn name(&self) -> &'static str {
        "codex"
    }

    fn launch(&self, spec: &LaunchSpec) -> Launch {
        launch::launch(spec)
    }

    fn opening(&mut self, work: &Work) -> Vec<Outgoing> {
        self.state.begin_life();
        self.desk = Desk { work: Some(work.clone()), ..Desk::default() };
        vec![wire::line_end(), opening::greeting()]
    }

    fn hear(&mut self, line: &[u8]) -> Heard {
        hear::hear(&mut self.state, &mut self.desk, line)
    }

    fn say(&mut self, command: &AgentCommand, again: bool) -> Vec<Outgoing> {
        say::say(&mut self.state, &mut self.desk, command, again)
    }

    fn end_hint(&self, stderr: &[String]) -> Option<EndCause> {
        let refused = |line: &String| {
            ["error: unexpected argument", "error: invalid value", "error: unrecognized subcommand"]
                .iter()
                .any(|words| line.contains(words))
        };
        if stderr.iter().any(refused) {
            return Some(EndCause::BadConfiguration);
        }
        // A program that ends after a refused sign-in or a reached limit ends of that.
        self.state.last_cause
    }

    fn state(&self) -> Value {
        // Plain data with text keys: this cannot fail. A null would be refused by `restore`, not taken
        // for a beginning.
        serde_json::to_value(&self.state).unwrap_or_default()
    }
}
