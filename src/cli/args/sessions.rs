//! What may be typed about sessions.

use clap::Args;

/// `tether list`
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Only sessions in this state (`running`, `awaiting_input`, ...)
    #[arg(short, long)]
    pub state: Option<String>,
    /// Only sessions in this directory
    #[arg(short, long, value_name = "DIR")]
    pub directory: Option<String>,
    /// Sessions of Claude Code, Codex, OpenCode and Pi that lie on the daemon's machine
    #[arg(long)]
    pub external: bool,
    /// With --external: only of this program: claude_code, codex, opencode or pi
    #[arg(short, long, value_name = "PROGRAM")]
    pub runner_type: Option<String>,
    /// At most so many (with --external at most 200)
    #[arg(short = 'n', long, value_name = "NUMBER")]
    pub limit: Option<usize>,
}

/// `tether attach`
#[derive(Debug, Args)]
pub struct AttachArgs {
    /// The program's id of the session, or enough of its beginning; asked for when left out
    #[arg(value_name = "ID")]
    pub session: Option<String>,
    /// Only of this program: claude_code, codex, opencode or pi
    #[arg(short, long, value_name = "PROGRAM")]
    pub runner_type: Option<String>,
    /// Where its agent is to work; the session's own directory when left out
    #[arg(short, long, value_name = "DIR")]
    pub directory: Option<String>,
    /// Chat platform to bind it to
    #[arg(short, long, visible_alias = "bridge")]
    pub platform: Option<String>,
    /// End the program that has it open in a terminal
    #[arg(long)]
    pub take_over: bool,
}

/// `tether sync`
#[derive(Debug, Args)]
pub struct SyncArgs {
    /// Session id, or enough of its beginning
    #[arg(value_name = "ID")]
    pub session: String,
    /// Tell the newest messages again
    #[arg(long)]
    pub force: bool,
}

/// `tether new`
#[derive(Debug, Args)]
pub struct NewArgs {
    /// Where the agent works; here when left out
    pub directory: Option<String>,
    /// What to say first; without it the session waits
    #[arg(short = 'm', long, value_name = "TEXT")]
    pub prompt: Option<String>,
    /// Take from this template (see: tether templates) what no flag says
    #[arg(short, long, value_name = "NAME")]
    pub template: Option<String>,
    /// Agent to use
    #[arg(short, long)]
    pub adapter: Option<String>,
    /// Name of the session
    #[arg(long)]
    pub name: Option<String>,
    /// What the agent may do without asking: 0 nothing, 1 edit files in its directory, 2 everything
    #[arg(long, value_name = "MODE", value_parser = clap::value_parser!(u8).range(0..=2))]
    pub approval_mode: Option<u8>,
    /// Chat platform to bind it to
    #[arg(short, long, visible_alias = "bridge")]
    pub platform: Option<String>,
    /// Clone this repository, and work in a work tree of it on a branch of its own
    #[arg(short, long, value_name = "URL")]
    pub clone: Option<String>,
    /// With --clone: the branch to begin at; the repository's default when left out
    #[arg(short, long)]
    pub branch: Option<String>,
    /// With --clone: the newest commit of each branch only
    #[arg(long)]
    pub shallow: bool,
    /// With --clone: a branch of its own also with --full-clone
    #[arg(long)]
    pub auto_branch: bool,
    /// With --clone: a clone that no other session shares, instead of a work tree
    #[arg(long)]
    pub full_clone: bool,
    /// Work in a work tree of its own, on a branch of its own, beside the repository in DIRECTORY
    #[arg(long)]
    pub worktree: bool,
    /// Save the work tree after each turn (or do not: =false), whatever the daemon is configured to do
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub auto_checkpoint: Option<bool>,
}

/// `tether interrupt`
#[derive(Debug, Args)]
pub struct InterruptArgs {
    /// Session id, or enough of its beginning
    #[arg(value_name = "ID")]
    pub session: String,
    /// End the program of an agent that was interrupted and has not stopped
    #[arg(long)]
    pub force: bool,
}

/// `tether delete`
#[derive(Debug, Args)]
pub struct SessionArgs {
    /// Session id, or enough of its beginning
    #[arg(value_name = "ID")]
    pub session: String,
}

/// `tether input`
#[derive(Debug, Args)]
pub struct InputArgs {
    /// Session id, or enough of its beginning
    #[arg(value_name = "ID")]
    pub session: String,
    /// What to say
    #[arg(required = true)]
    pub text: Vec<String>,
    /// Into the running turn, without waiting for its end, if the agent takes words while it works
    #[arg(long)]
    pub now: bool,
}

/// `tether watch`
#[derive(Debug, Args)]
pub struct WatchArgs {
    /// Session id, or enough of its beginning
    #[arg(value_name = "ID")]
    pub session: String,
    /// End when the session waits for input or stands in an error (exit 1); the default where the input or
    /// the output is no terminal
    #[arg(long, conflicts_with = "follow")]
    pub until_idle: bool,
    /// Go on until it is stopped or the session is deleted; the default on a terminal
    #[arg(long)]
    pub follow: bool,
}

/// `tether bind`
#[derive(Debug, Args)]
pub struct BindArgs {
    /// Session id, or enough of its beginning
    #[arg(value_name = "ID")]
    pub session: String,
    /// The chat platform: telegram, slack or discord; `none` takes it from where it is
    #[arg(value_name = "PLATFORM")]
    pub platform: String,
}

/// `tether export`
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// Session id, or enough of its beginning
    #[arg(value_name = "ID")]
    pub session: String,
    /// Events as they are (`jsonl`), or the conversation as Markdown or as a page
    #[arg(long, value_enum, default_value = "jsonl")]
    pub format: crate::export::Format,
    /// Write to this file, which must not exist; standard output otherwise
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<std::path::PathBuf>,
}
