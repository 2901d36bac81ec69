//! The Agent Client Protocol, version 1: JSON-RPC over standard input and output.
//!
//! One protocol for every agent that speaks it. Verified with Gemini CLI 0.61.0 and OpenCode 1.18.33, and against
//! recordings of claude-agent-acp 0.49.0 and codex-acp 2.6.0. Where agents differ, the code says which does what.
//!
//! - **Once only.** A yes is the option of the kind `allow_once`, a no the one of the kind `reject_once`; an
//!   `always` is never chosen. A request that offers no `allow_once` is refused with a notice.
//! - **A no with a reason.** ACP has no place for the reason. It stands in the answer's `_meta.tether.reason`,
//!   where an agent reads it that says so (`agentCapabilities._meta.tether.reasons`). For all others it is kept, and
//!   when the agent would end its turn, the turn goes on with it as a prompt. So the agent reads it, whether it
//!   stopped at the no (OpenCode, Codex) or went on without the tool (Claude, Gemini).
//! - **Interrupt** is `session/cancel`, and the answer `cancelled` to all that is open: Gemini ends its turn only
//!   then.
//! - **Resume** is `session/resume` where there is one, else `session/load`, which tells the whole history again;
//!   none of that becomes an event. Gemini answers first and tells then, so after a load the agent is asked
//!   something that changes nothing, until an answer comes without history before it.
//! - **Said twice** by a restarted daemon: an answer to a request that was answered changes nothing. A prompt has
//!   no id that an agent knows again. If anything was heard in its turn, the agent has it. Else it has done nothing
//!   yet that is to be seen; what may run is cancelled, and it is said once more.
//! - Files and terminals of the client are declined: the agent then works on the disk itself, under its own
//!   approvals.
//!
//! The ids of our requests are texts that say what they are (`prompt/<number>/<input>`), so their answers are
//! understood even where a crash came before the state was stored.

mod ask;
mod calls;
mod form;
pub mod gemini;
mod hear;
mod knobs;
mod launch;
mod say;
mod start;
mod state;
#[cfg(test)]
mod tests;
mod turn;
mod updates;
mod wire;

use serde_json::Value;

use self::state::State;
use super::protocol::{
    CONVERSATION_LOST, Heard, Launch, LaunchSpec, Outgoing, Protocol, REQUEST_REFUSED, Work,
};
use crate::domain::agent::{AgentCommand, AgentEvent};
use crate::domain::restart::EndCause;

/// The version of the protocol.
const PROTOCOL_VERSION: u64 = 1;

/// An ACP agent's way of speaking.
#[derive(Debug, Default)]
pub struct AcpProtocol {
    state: State,
}

impl AcpProtocol {
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
            .map_err(|error| format!("the stored state of the acp protocol cannot be read: {error}"))
    }
}

impl Protocol for AcpProtocol {
    fn name(&self) -> &'static str {
        "acp"
    }

    fn launch(&self, spec: &LaunchSpec) -> Launch {
        launch::launch(spec)
    }

    fn opening(&mut self, work: &Work) -> Vec<Outgoing> {
        start::open(&mut self.state, work, nonce())
    }

    fn hear(&mut self, line: &[u8]) -> Heard {
        hear::hear(&mut self.state, line)
    }

    fn say(&mut self, command: &AgentCommand, again: bool) -> Vec<Outgoing> {
        say::say(&mut self.state, command, again)
    }

    fn end_hint(&self, stderr: &[String]) -> Option<EndCause> {
        launch::cause(stderr).or(self.state.last_cause)
    }

    fn ends_when_told(&self) -> bool {
        false
    }

    fn state(&self) -> Value {
        // Plain data with text keys: this cannot fail. A null would be refused by `restore`, not taken for a
        // beginning.
        serde_json::to_value(&self.state).unwrap_or_default()
    }
}

/// A few random digits: what was asked in one opening must not be taken for what is asked in another.
fn nonce() -> String {
    uuid::Uuid::new_v4().simple().to_string().chars().take(6).collect::<String>() + "-"
}

fn notice(code: &str, message: impl Into<String>) -> AgentEvent {
    AgentEvent::Notice { code: code.to_owned(), message: message.into() }
}

/// The gate does not see all that an agent in such a mode does.
fn unasking(mode: &str) -> AgentEvent {
    notice(
        "AGENT_MODE",
        format!(
            "the agent is in its mode {mode:?}, in which it does not ask before every tool, and has no other"
        ),
    )
}
