//! What may be typed for commands about the data and what is around them: moving over, backup, restore, setup.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// `tether migrate`
#[derive(Debug, Args)]
pub struct MigrateArgs {
    /// Data folder of Tether 0.3.4; the usual one when left out
    #[arg(value_name = "FOLDER")]
    pub folder: Option<PathBuf>,
    /// Its config.env; the usual one when left out
    #[arg(long, value_name = "FILE", conflicts_with = "no_settings")]
    pub config: Option<PathBuf>,
    /// Take sessions over, and leave settings alone
    #[arg(long)]
    pub no_settings: bool,
    /// Show what would be done
    #[arg(short = 'n', long)]
    pub dry_run: bool,
    /// Store the settings without asking
    #[arg(short, long)]
    pub yes: bool,
}

/// `tether backup`
#[derive(Debug, Args)]
pub struct BackupArgs {
    /// Where to write it; it must not exist
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Without config.env, which holds tokens
    #[arg(long)]
    pub no_settings: bool,
}

/// `tether restore`
#[derive(Debug, Args)]
pub struct RestoreArgs {
    /// What `tether backup` wrote
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Put the data that are there aside, and restore into an empty folder
    #[arg(long)]
    pub force: bool,
    /// Put config.env of the backup in the place of the one that is there
    #[arg(long)]
    pub settings: bool,
    /// Only check the file, and say what is in it
    #[arg(long, conflicts_with_all = ["force", "settings"])]
    pub check: bool,
}

/// `tether setup`
#[derive(Debug, Args)]
pub struct SetupArgs {
    /// What to set up
    #[command(subcommand)]
    pub action: SetupAction,
}

/// What to set up.
#[derive(Debug, Subcommand)]
pub enum SetupAction {
    /// Show what the daemon's machine has of each agent, and install those that are missing
    Agents(SetupAgentsArgs),
    /// Store what a chat platform needs
    Bridge(SetupBridgeArgs),
}

/// `tether setup agents`
#[derive(Debug, Args)]
pub struct SetupAgentsArgs {
    /// Only this one: claude_code, codex, opencode, pi or gemini
    #[arg(value_name = "AGENT")]
    pub agent: Option<String>,
    /// Only look
    #[arg(long)]
    pub check: bool,
    /// Install all that are missing without asking
    #[arg(long, conflicts_with_all = ["check", "agent"])]
    pub all: bool,
    /// Write the sign-in of this machine for the agent, so that the daemon's machine is signed in as well
    #[arg(long, requires = "agent", conflicts_with = "check")]
    pub sign_in: bool,
}

/// `tether setup bridge`
#[derive(Debug, Args)]
pub struct SetupBridgeArgs {
    /// telegram, slack or discord
    #[arg(value_name = "NAME")]
    pub name: String,
    /// A setting, instead of being asked for; repeat it. Other users of this machine can see it: leave tokens to be
    /// asked for, or to standard input with `KEY=-`
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub settings: Vec<String>,
}
