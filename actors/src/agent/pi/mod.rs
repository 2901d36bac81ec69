//! The Pi coding agent, over the JSON lines of `pi --mode rpc`, with an extension of ours in it.
//!
//! Verified against version 0.73.1. Pi has no approvals and no ids for prompts: both come from
//! `approval-gate.ts`, which is laid into the run's folder and loaded with `-e`. Without it nothing is said
//! to Pi: it is ready only when the gate told that it is there. What was found out about sending things
//! twice, which a restarted daemon does when it cannot know whether they arrived:
//!
//! - A **prompt** carries its id in its first line, and the gate takes an id once in the life of the program.
//!   An input counts as begun when Pi's session file holds it: in a new conversation that is when the first
//!   answer of the model is complete, so what was killed before that (no tool can have run) is sent anew.
//! - An **answer** to a dialog that was answered, aborted, or never opened changes nothing.
//! - `abort` twice, or when nothing runs, changes nothing; asking for the state never does.
//!
//! The conversation's id is the absolute path of Pi's session file, which is what Pi resumes best.

mod ask;
mod ends;
mod found;
mod hear;
mod launch;
mod say;
mod state;
#[cfg(test)]
mod tests;
mod turn;
mod wire;

use serde_json::Value;

pub use self::found::WANTED;
use self::state::State;
use super::protocol::{Heard, Launch, LaunchSpec, Outgoing, Protocol, Work};
use crate::domain::agent::AgentCommand;
use crate::domain::restart::EndCause;

/// Pi's way of speaking. One value may serve several lives of the program: [`Protocol::opening`] begins a
/// new one.
#[derive(Debug, Default)]
pub struct PiProtocol {
    state: State,
}

impl PiProtocol {
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
            .map_err(|error| format!("the stored state of the pi protocol cannot be read: {error}"))
    }
}

impl Protocol for PiProtocol {
    fn name(&self) -> &'static str {
        "pi"
    }

    fn launch(&self, spec: &LaunchSpec) -> Launch {
        launch::launch(spec, std::env::var("NODE_OPTIONS").ok().as_deref())
    }

    fn opening(&mut self, work: &Work) -> Vec<Outgoing> {
        self.state.begin_life(work);
        // Pi says nothing by itself; the answer tells that it is up.
        vec![say::greeting()]
    }

    fn hear(&mut self, line: &[u8]) -> Heard {
        hear::hear(&mut self.state, line)
    }

    fn say(&mut self, command: &AgentCommand, _again: bool) -> Vec<Outgoing> {
        say::say(&mut self.state, command)
    }

    fn end_hint(&self, stderr: &[String]) -> Option<EndCause> {
        ends::cause(stderr).or(self.state.last_cause)
    }

    fn state(&self) -> Value {
        // Plain data with text keys: this cannot fail. A null would be refused by `restore`, not taken
        // for a beginning.
        serde_json::to_value(&self.state).unwrap_or_default()
    }
}
