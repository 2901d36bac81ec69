//! Which protocols there are.

use serde_json::Value;

use super::acp::AcpProtocol;
use super::claude::ClaudeProtocol;
use super::codex::CodexProtocol;
use super::opencode::OpencodeProtocol;
use super::pi::PiProtocol;
use super::protocol::Protocol;

/// The name of the `claude` protocol in the store.
pub const CLAUDE: &str = "claude";
/// The name of the `pi` protocol in the store.
pub const PI: &str = "pi";
/// The name of the `acp` protocol in the store.
pub const ACP: &str = "acp";
/// The name of the `codex` protocol in the store.
pub const CODEX: &str = "codex";
/// The name of the `opencode` protocol in the store.
pub const OPENCODE: &str = "opencode";

/// Whether an agent of this protocol takes an input while a turn runs, and heeds it in that turn.
///
/// Claude Code hands it to the model after the running tool, or begins another turn with it; Pi after the running
/// tools; Codex and OpenCode at the next step of the model. ACP has no word for it.
pub fn steers(name: &str) -> bool {
    matches!(name, CLAUDE | CODEX | OPENCODE | PI)
}

/// The protocol with this name, as it was when `state` was stored; `null` = afresh.
pub fn restore(name: &str, state: &Value) -> Result<Box<dyn Protocol>, String> {
    match name {
        CLAUDE if state.is_null() => Ok(Box::new(ClaudeProtocol::new())),
        CLAUDE => Ok(Box::new(ClaudeProtocol::restore(state.clone())?)),
        PI if state.is_null() => Ok(Box::new(PiProtocol::new())),
        PI => Ok(Box::new(PiProtocol::restore(state.clone())?)),
        ACP if state.is_null() => Ok(Box::new(AcpProtocol::new())),
        ACP => Ok(Box::new(AcpProtocol::restore(state.clone())?)),
        CODEX if state.is_null() => Ok(Box::new(CodexProtocol::new())),
        CODEX => Ok(Box::new(CodexProtocol::restore(state.clone())?)),
        OPENCODE if state.is_null() => Ok(Box::new(OpencodeProtocol::new())),
        OPENCODE => Ok(Box::new(OpencodeProtocol::restore(state.clone())?)),
        _ => Err(format!("this version of tether knows no protocol \"{name}\"")),
    }
}
