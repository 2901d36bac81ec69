//! What may be typed.

mod mcp;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

pub use super::git_args::{GitAction, GitArgs, WorkspacesAction, WorkspacesArgs};
pub use mcp::{McpAction, McpArgs, McpEntryArgs};

/// Supervise AI coding agents on your own machine.
#[derive(Debug, Parser)]
#[command(name = "tether", version, about, max_term_width = 100)]
pub struct Arguments {
    /// Daemon to talk to (or `TETHER_AGENT_HOST`; 127.0.0.1)
    #[arg(short = 'H', long, value_name = "HOST")]
    pub host: Option<String>,
    /// Its port (or `TETHER_AGENT_PORT`; 8787)
    #[arg(short = 'P', long, value_name = "PORT")]
    pub port: Option<String>,
    /// Bearer token (or `TETHER_AGENT_TOKEN`, which other users of this machine cannot see)
    #[arg(long, value_name = "TOKEN")]
    pub token: Option<String>,
    /// Print JSON
    #[arg(long, global = true)]
    pub json: bool,
    /// What to do
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a token and a config.env, and look for agents
    Init(InitArgs),
    /// Start the daemon
    Start(StartArgs),
    /// Stop the daemon; agents go on and are found again at the next start
    Stop(StopArgs),
    /// Show whether the daemon runs, and its sessions by state
    Status,
    /// Open the web app in a browser, logged in
    Open,
    /// Show a QR code and a link that log one phone or browser in
    Pair(PairArgs),
    /// List the people who may use your bots, or throw one out
    People(PeopleArgs),
    /// List sessions, or with --external those begun in an agent's own program
    List(ListArgs),
    /// Go on with a session that was begun in an agent's own program
    Attach(AttachArgs),
    /// Show a session on a chat platform, or take it from there
    Bind(BindArgs),
    /// Read what an attached session's own program wrote meanwhile
    Sync(SyncArgs),
    /// Make a session, and start it if there is a prompt
    New(NewArgs),
    /// Say something to a session
    Input(InputArgs),
    /// Stop the running turn of a session
    Interrupt(InterruptArgs),
    /// Follow a session live, and answer its approvals in place
    Watch(WatchArgs),
    /// List approvals that wait for an answer
    Approvals(ApprovalsArgs),
    /// Allow what an approval asks, or answer its questions
    Approve(ApproveArgs),
    /// Deny what an approval asks
    Deny(DenyArgs),
    /// List standing permissions, or end one
    Grants(GrantsArgs),
    /// Delete a session with all that belongs to it
    Delete(SessionArgs),
    /// Print the events of a session, or the daemon's log
    Logs(LogsArgs),
    /// List the agents, and what this machine has of each (* = the default)
    Agents,
    /// List directories whose own settings for agents count, or say so of one
    Trust(TrustArgs),
    /// Look at or change the repository of a session
    Git(GitArgs),
    /// List the work trees that were made for sessions, or remove those whose session is gone
    Workspaces(WorkspacesArgs),
    /// Write a session to a file: its events, or the conversation
    Export(ExportArgs),
    /// Serve MCP on standard input and output, or set up a program that shall use it
    Mcp(McpArgs),
    /// Check that the daemon answers and the token fits
    Verify,
    /// Look at everything that can be wrong, and say what to do
    Doctor,
    /// Have the system start the daemon at login and after a crash
    Service(ServiceArgs),
    /// Print a completion script for a shell
    Completions(CompletionsArgs),
    /// Be an agent over a model behind an API: what a session with the adapter `model` runs
    ModelAgent(ModelAgentArgs),
    /// Be a scripted agent that needs no model: what a session with the adapter `demo` runs
    DemoAgent(DemoAgentArgs),
}

/// `tether init`
#[derive(Debug, Args)]
pub struct InitArgs {
    /// Ask nothing: keep what is set, take the defaults for the rest
    #[arg(short, long)]
    pub yes: bool,
}

/// `tether start`
#[derive(Debug, Args)]
pub struct StartArgs {
    /// Ask for no token; serves this machine only
    #[arg(long)]
    pub dev: bool,
    /// Address to listen on
    #[arg(long, value_name = "HOST")]
    pub host: Option<String>,
    /// Port to listen on
    #[arg(long, value_name = "PORT")]
    pub port: Option<String>,
    /// Go to the background once it serves
    #[arg(long)]
    pub detach: bool,
    /// What `--detach` starts: leave the terminal, print nothing
    #[arg(long, hide = true, conflicts_with = "detach")]
    pub detached: bool,
}

/// `tether stop`
#[derive(Debug, Args)]
pub struct StopArgs {
    /// End the running agents too
    #[arg(long)]
    pub agents: bool,
}

/// `tether service`
#[derive(Debug, Args)]
pub struct ServiceArgs {
    /// What to do
    #[command(subcommand)]
    pub action: ServiceAction,
}

/// What to do with the service.
#[derive(Clone, Copy, Debug, Subcommand)]
pub enum ServiceAction {
    /// Install it for yourself (a systemd user unit, or a launchd agent), and start it
    Install,
    /// Stop and remove it; agents, data and settings stay
    Uninstall,
    /// Show whether it is there and runs
    Status,
}

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
    #[arg(long, conflicts_with = "state")]
    pub external: bool,
    /// Only of this program: claude_code, codex, opencode or pi
    #[arg(short, long, value_name = "PROGRAM", requires = "external")]
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
    #[arg(short, long, alias = "bridge")]
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
    #[arg(conflicts_with = "clone")]
    pub directory: Option<String>,
    /// What to say first; without it the session waits
    #[arg(short = 'm', long, value_name = "TEXT")]
    pub prompt: Option<String>,
    /// Agent to use
    #[arg(short, long)]
    pub adapter: Option<String>,
    /// Name of the session
    #[arg(long)]
    pub name: Option<String>,
    /// Chat platform to bind it to
    #[arg(short, long, alias = "bridge")]
    pub platform: Option<String>,
    /// Clone this repository, and work in a work tree of it on a branch of its own
    #[arg(short, long, value_name = "URL")]
    pub clone: Option<String>,
    /// The branch to begin at; the repository's default when left out
    #[arg(short, long, requires = "clone")]
    pub branch: Option<String>,
    /// Clone the newest commit of each branch only
    #[arg(long, requires = "clone")]
    pub shallow: bool,
    /// Make a branch of its own also with --full-clone
    #[arg(long, requires = "clone")]
    pub auto_branch: bool,
    /// A clone that no other session shares, instead of a work tree
    #[arg(long, requires = "clone")]
    pub full_clone: bool,
    /// Work in a work tree of its own, on a branch of its own, beside the repository in DIRECTORY
    #[arg(long, conflicts_with = "clone")]
    pub worktree: bool,
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

/// `tether approvals`
#[derive(Debug, Args)]
pub struct ApprovalsArgs {
    /// Answered ones too
    #[arg(long)]
    pub all: bool,
    /// Only of this session (id, or enough of its beginning)
    #[arg(long, value_name = "ID")]
    pub session: Option<String>,
}

/// `tether approve`
#[derive(Debug, Args)]
pub struct ApproveArgs {
    /// Approval id, or enough of its beginning; `perm_` may be left out
    #[arg(value_name = "ID")]
    pub approval: String,
    /// Allow this tool for the rest of the session
    #[arg(long, group = "scope")]
    pub always: bool,
    /// Allow everything in the session for 30 minutes
    #[arg(long, group = "scope")]
    pub all: bool,
    /// Allow file changes below this one's directory for the rest of the session
    #[arg(long, group = "scope")]
    pub directory: bool,
    /// Run with this input instead (a JSON object)
    #[arg(long, value_name = "JSON")]
    pub input: Option<String>,
    /// Answer a question: `QUESTION=CHOICE`, `NUMBER=CHOICE` or, if there is only one question, `CHOICE`; a
    /// choice is its text, its number or free text; repeat it for several questions or choices
    #[arg(long, value_name = "ANSWER")]
    pub answer: Vec<String>,
    /// A word for the agent or for the record
    #[arg(long, value_name = "TEXT")]
    pub message: Option<String>,
}

/// `tether deny`
#[derive(Debug, Args)]
pub struct DenyArgs {
    /// Approval id, or enough of its beginning; `perm_` may be left out
    #[arg(value_name = "ID")]
    pub approval: String,
    /// Why; the agent reads it
    pub reason: Vec<String>,
}

/// `tether grants`
#[derive(Debug, Args)]
pub struct GrantsArgs {
    /// What to do; lists them when left out
    #[command(subcommand)]
    pub action: Option<GrantsAction>,
}

/// What `tether grants` can do.
#[derive(Debug, Subcommand)]
pub enum GrantsAction {
    /// List standing permissions
    List,
    /// End a standing permission
    Revoke {
        /// Its id, or enough of its beginning; `grant_` may be left out
        #[arg(value_name = "ID")]
        grant: String,
    },
}

/// `tether trust`
#[derive(Debug, Args)]
pub struct TrustArgs {
    /// What to do; lists them when left out
    #[command(subcommand)]
    pub action: Option<TrustAction>,
}

/// What `tether trust` can do.
#[derive(Debug, Subcommand)]
pub enum TrustAction {
    /// List what was said
    List,
    /// What this directory brings along counts, and what those below it do
    Yes {
        /// The directory
        #[arg(value_name = "DIR", default_value = ".", hide_default_value = true)]
        directory: String,
    },
    /// It does not count, and is not asked about any more
    No {
        /// The directory
        #[arg(value_name = "DIR", default_value = ".", hide_default_value = true)]
        directory: String,
    },
    /// Forget what was said: it is asked about again
    Forget {
        /// The directory
        #[arg(value_name = "DIR", default_value = ".", hide_default_value = true)]
        directory: String,
    },
}

/// `tether logs`
#[derive(Debug, Args)]
pub struct LogsArgs {
    /// Session whose events to print (id, or enough of its beginning); the daemon's log when left out
    #[arg(value_name = "ID")]
    pub session: Option<String>,
    /// Go on as more comes
    #[arg(short, long)]
    pub follow: bool,
    /// Print events as the JSON that they are, one a line
    #[arg(long)]
    pub raw: bool,
}

/// `tether model-agent`
#[derive(Debug, Args)]
#[command(
    long_about = "Be an agent over any server that speaks OpenAI's chat completions (LiteLLM, OpenRouter, DeepSeek, \
    Gemini, Ollama, vLLM, OpenAI and others). It speaks the Agent Client Protocol on standard input and output, so any \
    client of that protocol can run it; the daemon does for sessions with the adapter `model`.\n\n\
    The key comes by the environment only: TETHER_MODEL_API_KEY, or the variable of the provider itself \
    (OPENROUTER_API_KEY, OPENAI_API_KEY, ...), which is sent to that provider and nowhere else. Further variables: \
    TETHER_MODEL_MAX_TOKENS (most tokens in an answer), TETHER_MODEL_CONTEXT (tokens that the model can take), \
    TETHER_MODEL_MAX_RETRIES (5), TETHER_MODEL_TRUSTED=1 (the same as --trusted). TETHER_AGENT_LITELLM_MODEL and \
    TETHER_AGENT_LITELLM_MAX_TOKENS are read where ours are not set."
)]
pub struct ModelAgentArgs {
    /// The model (or `TETHER_MODEL`), by the name that its server gives it; without --base-url with its provider before it:
    /// openai/, openrouter/, deepseek/, gemini/, groq/, mistral/, together_ai/, xai/, ollama/
    #[arg(long, value_name = "MODEL")]
    pub model: Option<String>,
    /// Where the server is (or `TETHER_MODEL_BASE_URL`), up to and with its `/v1`
    #[arg(long, value_name = "URL")]
    pub base_url: Option<String>,
    /// Where conversations are kept (or `TETHER_MODEL_DATA_DIR`; `agents/model` in the data folder)
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// The directory's AGENTS.md and CLAUDE.md count
    #[arg(long)]
    pub trusted: bool,
}

/// `tether demo-agent`
#[derive(Debug, Args)]
#[command(
    long_about = "Be a scripted agent that needs no key and no network, for a look at the whole product: it says hello, \
    looks at the folder, asks before it writes a file and before it runs a command, and asks a question. It speaks the Agent \
    Client Protocol on standard input and output; the daemon runs it for sessions with the adapter `demo`. Prompts of a few \
    words are listened to: tour, write, ask, run, long, crash, fail, help.\n\n\
    TETHER_DEMO_PACE_MS is how long a word takes (25)."
)]
pub struct DemoAgentArgs {
    /// Where conversations, and what it writes, are kept (or `TETHER_DEMO_DATA_DIR`; `agents/demo` in the data folder)
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
}

/// `tether pair`
#[derive(Debug, Args)]
pub struct PairArgs {
    /// Address of the daemon that the link shall lead to, one of those that are listed; the best for a phone otherwise
    #[arg(long, value_name = "URL", conflicts_with = "chat")]
    pub address: Option<String>,
    /// A code instead that lets one person use the bot of your chat platform
    #[arg(long)]
    pub chat: bool,
}

/// `tether people`
#[derive(Debug, Args)]
pub struct PeopleArgs {
    /// What to do; lists them when left out
    #[command(subcommand)]
    pub action: Option<PeopleAction>,
}

/// What `tether people` can do.
#[derive(Debug, Subcommand)]
pub enum PeopleAction {
    /// List the people who may use the bots of your chat platforms
    List,
    /// Throw somebody out who was let in by a code, and end the standing permissions that they gave
    Remove {
        /// Their id, as the list shows it
        #[arg(value_name = "ID")]
        id: String,
        /// The chat platform, where two have the same id: telegram, slack or discord
        #[arg(long, value_name = "PLATFORM")]
        platform: Option<String>,
    },
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

/// `tether completions`
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn parse(line: &[&str]) -> Result<Arguments, clap::Error> {
        Arguments::try_parse_from(std::iter::once(&"tether").chain(line))
    }

    #[test]
    fn the_declaration_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn host_and_port_before_the_command_are_those_to_talk_to() {
        let parsed =
            parse(&["-H", "box", "-P", "1", "--token", "t", "start", "--host", "0.0.0.0", "--port", "2"])
                .expect("both are allowed");
        assert_eq!((parsed.host.as_deref(), parsed.port.as_deref()), (Some("box"), Some("1")));
        let Some(Command::Start(start)) = parsed.command else { panic!("start was typed") };
        assert_eq!((start.host.as_deref(), start.port.as_deref()), (Some("0.0.0.0"), Some("2")));
        assert!(parse(&["list", "-H", "box"]).is_err(), "after the command they are not known");
    }

    #[test]
    fn json_may_stand_anywhere() {
        for line in [&["--json", "status"][..], &["status", "--json"], &["grants", "revoke", "x", "--json"]] {
            assert!(parse(line).expect("parsed").json, "{line:?}");
        }
    }

    #[test]
    fn how_far_a_yes_reaches_is_said_once() {
        assert!(parse(&["approve", "x", "--always", "--all"]).is_err());
        assert!(parse(&["approve", "x", "--all", "--input", "{}"]).is_ok());
        assert!(parse(&["watch", "x", "--until-idle", "--follow"]).is_err());
    }

    #[test]
    fn words_after_the_id_need_no_quotes() {
        let Some(Command::Deny(deny)) = parse(&["deny", "x", "not", "today"]).expect("parsed").command else {
            panic!("deny was typed")
        };
        assert_eq!(deny.reason.join(" "), "not today");
        assert!(parse(&["input", "x"]).is_err(), "an input needs a text");
    }
}
