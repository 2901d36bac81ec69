//! The seam between an agent program and the rest: what differs from agent to agent, without I/O.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::Value;

use crate::domain::agent::{AgentCommand, AgentEvent};
use crate::domain::restart::EndCause;

/// Code of the notice that the conversation to go on with is not there: a new one is begun.
pub const CONVERSATION_LOST: &str = "CONVERSATION_LOST";
/// Code of the notice that a request of the agent was refused without asking a person, because nobody
/// could have answered it.
pub const REQUEST_REFUSED: &str = "REQUEST_REFUSED";

/// What the agent is to work on.
#[derive(Clone, Debug, Default)]
pub struct Work {
    /// Where it works.
    pub directory: PathBuf,
    /// The agent's own conversation id. For a new conversation the id that it shall have, if the
    /// agent lets us choose.
    pub conversation: String,
    /// Whether that conversation exists already and is to be gone on with.
    pub resume: bool,
    /// The model; `None` = the agent's default.
    pub model: Option<String>,
    /// Whether it shall only plan.
    pub planning: bool,
    /// Whether the person trusts what the directory brings along (settings, hooks, plugins).
    pub trusted: bool,
    /// The same folder with all links resolved; empty where that is not known.
    pub real_directory: PathBuf,
    /// The agent's own sandbox was tried on this machine and does not work.
    pub no_sandbox: bool,
    /// A private folder that is there as long as the run: here lie the files that [`Launch::files`] asked for.
    pub folder: PathBuf,
}

/// What a session wants started.
#[derive(Clone, Debug)]
pub struct LaunchSpec {
    /// The agent program, found.
    pub program: PathBuf,
    /// What it is to work on.
    pub work: Work,
    /// More arguments, from the configuration.
    pub extra_args: Vec<String>,
}

/// How to start it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Launch {
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<String>,
    /// Variables to set.
    pub env: BTreeMap<String, String>,
    /// Variables to take away; a `*` at the end stands for the rest of the name. (The daemon's own
    /// secrets are taken away in any case.)
    pub env_remove: Vec<String>,
    /// Files to lay into [`Work::folder`] before the start: plain names and what stands in them.
    pub files: BTreeMap<String, Vec<u8>>,
}

/// Something to write to the agent: one whole line, without its line end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// The line.
    pub line: String,
}

/// What came of one line of the agent's.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Heard {
    /// What it means.
    pub events: Vec<AgentEvent>,
    /// What must be answered at once, without asking anybody (a refusal of something unknown, say).
    pub replies: Vec<Outgoing>,
}

/// One agent's way of speaking. It never waits, never touches a process, and never drops a request:
/// what it does not know is asked or refused.
pub trait Protocol: Send {
    /// Its name, as stored (`claude`).
    fn name(&self) -> &'static str;

    /// The command line.
    fn launch(&self, spec: &LaunchSpec) -> Launch;

    /// What to write before anything else, right after the start; also when the daemon came back and the agent had
    /// not said that it is ready, so that it may have been written before.
    fn opening(&mut self, work: &Work) -> Vec<Outgoing>;

    /// One line of its standard output, without the line end. Never panics, whatever the bytes.
    fn hear(&mut self, line: &[u8]) -> Heard;

    /// What to write to carry out a command. `again`: a daemon that died may have written it before; all that the
    /// agent said since has been heard. Doing it twice is up to the protocol to prevent: by ids that the agent knows
    /// again, or by asking it first and writing the command as a reply to what it says.
    fn say(&mut self, command: &AgentCommand, again: bool) -> Vec<Outgoing>;

    /// What its end means, from the last lines of its standard error and what was heard before;
    /// `None` = nothing special.
    fn end_hint(&self, stderr: &[String]) -> Option<EndCause>;

    /// Whether [`AgentCommand::End`] makes the program end. One that does not is not waited for long: it is ended by a
    /// signal.
    fn ends_when_told(&self) -> bool {
        true
    }

    /// What must survive the daemon: small, and enough to go on from.
    fn state(&self) -> Value;
}
