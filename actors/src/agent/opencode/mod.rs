//! OpenCode, by the HTTP interface and the server-sent events of its server.
//!
//! Verified against version 1.18.33. One server works for many sessions, in many directories; this is one session's
//! view of it. What was found out about sending things twice, which a restarted daemon does when it cannot know
//! whether they arrived:
//!
//! - A **prompt** whose message has an id of ours is stored once. Sent again, the server goes on with what it had
//!   left unfinished of it, and asks no model if it was finished.
//! - An **answer** to a request that was answered, or never made, is refused (404) and changes nothing.
//! - An **interrupt** when nothing runs changes nothing.
//!
//! The server repeats no event. So after each connection its state is read, and what of it was not told yet is told:
//! finished parts of messages as a whole, and of a part that was streaming meanwhile the rest when it is finished.
//!
//! Lines are those of [`server::wire`](super::server::wire).

mod ask;
mod found;
mod hear;
mod launch;
mod parts;
mod say;
mod state;
mod sync;
#[cfg(test)]
mod tests;
mod turn;
pub(super) mod wire;

use serde_json::Value;

pub use self::found::WANTED;
use self::state::State;
use super::protocol::{
    CONVERSATION_LOST, Heard, Launch, LaunchSpec, Outgoing, Protocol, REQUEST_REFUSED, Work,
};
use crate::domain::agent::AgentCommand;
use crate::domain::restart::EndCause;

/// Code of the notice that the agent waits for something that nobody can answer.
pub const REQUEST_UNKNOWN: &str = "REQUEST_UNKNOWN";
/// Code of the notice that the server did not take an answer.
pub const ANSWER_REFUSED: &str = "ANSWER_REFUSED";
/// Code of the notice that the server did not take an input that was to go into a running turn.
pub const PROMPT_REFUSED: &str = "PROMPT_REFUSED";
/// Code of the notice that a turn was ended because it ran in circles.
pub const RUNAWAY: &str = "RUNAWAY";

/// The method of a line that is no request: the run cannot go on, for the reason that stands in place of the path.
pub const END_RUN: &str = "END";

/// The file that our plugin leaves in the server's folder when it is loaded: before the stream of events begins.
pub const PLUGIN_LOADED: &str = "loaded";

/// OpenCode's way of speaking.
#[derive(Debug, Default)]
pub struct OpencodeProtocol {
    state: State,
}

impl OpencodeProtocol {
    /// For a conversation that has had no run yet.
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
            .map_err(|error| format!("the stored state of the opencode protocol cannot be read: {error}"))
    }
}

impl Protocol for OpencodeProtocol {
    fn name(&self) -> &'static str {
        "opencode"
    }

    fn launch(&self, spec: &LaunchSpec) -> Launch {
        launch::launch(spec)
    }

    fn opening(&mut self, work: &Work) -> Vec<Outgoing> {
        // A session names conversations by itself until the server gave one its own name.
        let known = Some(work.conversation.as_str()).filter(|id| id.starts_with("ses"));
        self.state.begin_life(known);
        self.state.conversation = known.map(state::word);
        self.state.wanted = state::word(&work.conversation);
        self.state.directory = work.directory.to_string_lossy().into_owned();
        self.state.model.clone_from(&work.model);
        self.state.planning = work.planning;
        vec![sync::opening()]
    }

    fn hear(&mut self, line: &[u8]) -> Heard {
        hear::hear(&mut self.state, line)
    }

    fn say(&mut self, command: &AgentCommand, again: bool) -> Vec<Outgoing> {
        say::say(&mut self.state, command, again)
    }

    fn end_hint(&self, _: &[String]) -> Option<EndCause> {
        None
    }

    fn state(&self) -> Value {
        // Plain data with text keys: this cannot fail. A null would be refused by `restore`, not taken
        // for a beginning.
        serde_json::to_value(&self.state).unwrap_or_default()
    }
}
