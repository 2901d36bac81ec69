//! Whether the conversation of an agent that ended holds an input that it had begun with.

use std::ffi::OsString;

use super::catalogue::AgentEntry;
use super::protocols;
use crate::domain::elsewhere::Runner;
use crate::domain::ids::InputId;
use crate::elsewhere::Homes;

pub use crate::elsewhere::Held;

/// Looks for an input in what the agent has on disk. Its program must be gone. Blocks.
///
/// Claude Code and Codex say that they began with an input before they have written it down. Of the others this is not
/// known: an input counts as begun when Pi's file holds it, when OpenCode's server has stored it, and when our own
/// agents, which write first, say something; an agent that speaks ACP knows no id of an input.
pub fn held(entry: &AgentEntry, conversation: &str, input: &InputId) -> Held {
    let runner = match entry.protocol {
        protocols::CLAUDE => Runner::ClaudeCode,
        protocols::CODEX => Runner::Codex,
        _ => return Held::Unknown,
    };
    let variable = |name: &str| {
        let given = entry.environment.iter().rfind(|(given, _)| given == name);
        given.map(|(_, value)| OsString::from(value)).or_else(|| std::env::var_os(name))
    };
    // What another program calls the folder is not what the agent goes by.
    let homes = Homes::of(&|name| variable(name).filter(|_| name != "CLAUDE_HOME"));
    crate::elsewhere::held(runner, &homes, conversation, input.as_str())
}
