//! Claude Code, over its stream of JSON lines with the control protocol.
//!
//! Verified against version 2.1.330, and in its main lines against 2.0.0. What was found out about
//! sending things twice, which a restarted daemon does when it cannot know whether they arrived:
//!
//! - A **prompt** with the same id is taken once while it is queued, while it runs, after it ended or was
//!   cancelled, and after `/clear`. After a resume it is run again only if nothing finished had been
//!   recorded of its turn; else `completed` is told at once and no turn begins. (2.0.0 has none of this:
//!   it runs it again.)
//! - An **answer** to a request that was answered, withdrawn, never made, or made by an earlier life of
//!   the program changes nothing.
//! - `interrupt` twice, or when nothing runs, changes nothing; so does greeting it twice.
//!
//! The ids in [`Replied`](crate::domain::agent::AgentEvent::Replied) tell what was answered: `interrupt-N`, `set-model-N`, `end-N` and
//! `cancel-<input id>` (whose answer is `{"cancelled": bool}`).

pub(super) mod ask;
mod ends;
mod found;
mod hear;
mod launch;
mod say;
mod state;
#[cfg(test)]
mod tests;
mod turn;
pub(super) mod wire;

use serde_json::{Value, json};

pub use self::ends::{ConversationFault, conversation_fault};
pub use self::found::WANTED;
use self::state::State;
use super::protocol::{Heard, Launch, LaunchSpec, Outgoing, Protocol, Work};
use crate::domain::agent::AgentCommand;
use crate::domain::restart::EndCause;

pub use super::protocol::{CONVERSATION_LOST, REQUEST_REFUSED};

/// Id of the request that greets the agent.
const INITIALIZE: &str = "initialize";

/// Claude Code's way of speaking.
///
/// One value may serve several lives of the program: [`Protocol::opening`] begins a new one, and keeps
/// the conversation's id and the cumulative figures, which go on over a clean end. So the state of the
/// last life is restored for the next, rather than a new value made; else the first turn after a resume
/// would count what was counted before.
#[derive(Debug, Default)]
pub struct ClaudeProtocol {
    state: State,
}

impl ClaudeProtocol {
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
            .map(|state| Self { state })
            .map_err(|error| format!("the stored state of the claude protocol cannot be read: {error}"))
    }
}

impl Protocol for ClaudeProtocol {
    fn name(&self) -> &'static str {
        "claude"
    }

    fn launch(&self, spec: &LaunchSpec) -> Launch {
        launch::launch(spec)
    }

    fn opening(&mut self, _: &Work) -> Vec<Outgoing> {
        self.state.begin_life();
        // Not the flag `--forward-subagent-text`, which older versions do not know and end of.
        let greeting = json!({ "subtype": "initialize", "forwardSubagentText": true });
        vec![wire::control_request(INITIALIZE, &greeting)]
    }

    fn hear(&mut self, line: &[u8]) -> Heard {
        hear::hear(&mut self.state, line)
    }

    fn say(&mut self, command: &AgentCommand, _again: bool) -> Vec<Outgoing> {
        say::say(&mut self.state, command)
    }

    fn end_hint(&self, stderr: &[String]) -> Option<EndCause> {
        // A program that ends after a refused sign-in or a reached limit ends of that.
        ends::cause(stderr).or(self.state.last_cause)
    }

    fn state(&self) -> Value {
        // Plain data with text keys: this cannot fail. A null would be refused by `restore`, not taken
        // for a beginning.
        serde_json::to_value(&self.state).unwrap_or_default()
    }
}
