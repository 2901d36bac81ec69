//! What may be typed.

mod agents;
mod approvals;
mod daemon;
mod data;
mod mcp;
mod servers;
mod sessions;
mod templates;

use clap::{Parser, Subcommand};

pub use super::git_args::{GitAction, GitArgs, WorkspacesAction, WorkspacesArgs};
pub use agents::{DemoAgentArgs, ModelAgentArgs};
pub use approvals::{ApprovalsArgs, ApproveArgs, DenyArgs, GrantsAction, GrantsArgs, TrustAction, TrustArgs};
pub use daemon::{
    CompletionsArgs, InitArgs, LogsArgs, ManArgs, PairArgs, ServiceAction, ServiceArgs, StartArgs, StopArgs,
};
pub use data::{
    BackupArgs, MigrateArgs, RestoreArgs, SetupAction, SetupAgentsArgs, SetupArgs, SetupBridgeArgs,
};
pub use mcp::{McpAction, McpArgs, McpEntryArgs};
pub use servers::{ContextAction, ContextArgs, ServerAction, ServerArgs};
pub use sessions::{
    AttachArgs, BindArgs, ExportArgs, InputArgs, InterruptArgs, ListArgs, NewArgs, SessionArgs, SyncArgs,
    WatchArgs,
};
pub use templates::{TemplatesAction, TemplatesArgs};

/// Supervise AI coding agents on your own machine.
#[derive(Debug, Parser)]
// Long options may be shortened, as the peer's scripts may have them.
#[command(name = "tether", version, about, max_term_width = 100, infer_long_args = true)]
pub struct Arguments {
    /// Daemon to talk to, a host or a whole address, https:// too (or `TETHER_AGENT_HOST`, `TETHER_API_URL`; 127.0.0.1);
    /// for `start` the address to listen on
    #[arg(short = 'H', long, value_name = "HOST", global = true, help_heading = "Connection")]
    pub host: Option<String>,
    /// Its port (or `TETHER_AGENT_PORT`; 8787)
    #[arg(short = 'P', long, value_name = "PORT", global = true, help_heading = "Connection")]
    pub port: Option<String>,
    /// Bearer token (or `TETHER_AGENT_TOKEN`, which other users of this machine cannot see)
    #[arg(long, value_name = "TOKEN", global = true, help_heading = "Connection")]
    pub token: Option<String>,
    /// A server by its name in servers.yaml (see: tether context --help); `local` is the daemon of this machine
    #[arg(short = 'S', long, value_name = "NAME", global = true, help_heading = "Connection")]
    pub server: Option<String>,
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
    /// List sessions, or with --external those begun in an agent's own program
    List(ListArgs),
    /// Go on with a session that was begun in an agent's own program
    Attach(AttachArgs),
    /// Show a session on a chat platform, or take it from there
    Bind(BindArgs),
    /// Take a session from its chat platform
    Detach(SessionArgs),
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
    /// Show or choose the daemon that commands talk to
    Context(ContextArgs),
    /// Set up and look after a daemon on another machine, over ssh
    Server(ServerArgs),
    /// List or show templates of sessions, for `new -t`
    Templates(TemplatesArgs),
    /// Install agents and sign them in, or set a chat platform up, on the daemon's machine
    Setup(SetupArgs),
    /// Take over sessions and settings of Tether 0.3.4, the Python program
    Migrate(MigrateArgs),
    /// Write all data to a file, also while the daemon runs
    Backup(BackupArgs),
    /// Put a backup in the place of the data, while the daemon does not run
    Restore(RestoreArgs),
    /// Print a completion script for a shell
    Completions(CompletionsArgs),
    /// Print the manual page, or write one for every command
    Man(ManArgs),
    /// Be an agent over a model behind an API: what a session with the adapter `model` runs
    ModelAgent(ModelAgentArgs),
    /// Be a scripted agent that needs no model: what a session with the adapter `demo` runs
    DemoAgent(DemoAgentArgs),
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
    fn the_daemon_may_be_named_before_the_command_and_after_it() {
        for line in [
            &["-H", "box", "-P", "1", "--token", "t", "-S", "s", "list"][..],
            &["list", "--host", "box", "--port", "1", "--token", "t", "--server", "s"],
            &["git", "status", "x", "-H", "box", "-P1", "--tok", "t", "-S", "s"],
            &["--host=box", "start", "--port", "1", "--token", "t", "--serv", "s"],
        ] {
            let parsed = parse(line).unwrap_or_else(|error| panic!("{line:?}: {error}"));
            let found =
                [parsed.host, parsed.port, parsed.token, parsed.server].map(Option::unwrap_or_default);
            assert_eq!(found, ["box", "1", "t", "s"], "{line:?}");
        }
    }

    #[test]
    fn no_command_has_an_argument_of_the_name_of_one_that_all_have() {
        fn look(command: &clap::Command, path: &str) {
            for inner in command.get_subcommands() {
                let path = format!("{path} {}", inner.get_name());
                for argument in inner.get_arguments() {
                    let id = argument.get_id().as_str();
                    let is_common = ["host", "port", "token", "server", "json"].contains(&id);
                    assert!(!is_common, "{path}: the value of {id} would be taken for the one that all have");
                }
                look(inner, &path);
            }
        }
        look(&Arguments::command(), "tether");
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
