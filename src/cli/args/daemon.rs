//! What may be typed about the daemon itself.

use std::path::PathBuf;

use clap::{Args, Subcommand};

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

/// `tether logs`
#[derive(Debug, Args)]
pub struct LogsArgs {
    /// Session whose events to print (id, or enough of its beginning); the daemon's log when left out
    #[arg(value_name = "ID")]
    pub session: Option<String>,
    /// Go on as more comes
    #[arg(short, long)]
    pub follow: bool,
    /// Of the daemon's log only the last so many lines
    #[arg(short = 'n', long, value_name = "NUMBER", conflicts_with = "session")]
    pub lines: Option<usize>,
    /// Print events as the JSON that they are, one a line
    #[arg(long)]
    pub raw: bool,
}

/// `tether completions`
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}

/// `tether man`
#[derive(Debug, Args)]
pub struct ManArgs {
    /// Write a page for every command to this folder, which is made if it is missing; prints the page of `tether` otherwise
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}
