//! Agent programs: how each speaks, the spool that connects them, and the tree of their processes.

pub mod acp;
#[cfg(test)]
mod any_line;
mod bring_up;
pub mod catalogue;
pub mod claude;
pub mod codex;
pub mod discover;
mod fields;
mod flow;
pub mod held;
mod messages;
pub mod neighbours;
pub mod opencode;
pub mod pi;
mod process;
pub mod processes;
pub mod program;
pub mod protocol;
pub mod protocols;
#[cfg(test)]
mod recordings;
pub mod server;
mod show;
pub mod spool;
mod stragglers;
pub mod tree;

pub use messages::*;
pub use process::AgentProcess;
