//! What may be typed after `tether mcp`.

use clap::{Args, Subcommand};

/// `tether mcp`
#[derive(Debug, Args)]
#[command(after_help = "Without a command it is the MCP server itself, which an MCP client starts.")]
pub struct McpArgs {
    /// What to do; serves when left out
    #[command(subcommand)]
    pub action: Option<McpAction>,
}

/// What `tether mcp` can do.
#[derive(Debug, Subcommand)]
pub enum McpAction {
    /// Have a program use the server: shows the change to its settings, asks, and makes it
    Install(McpEntryArgs),
    /// Take the server out of a program's settings again
    Uninstall(McpEntryArgs),
}

/// `tether mcp install`, `tether mcp uninstall`
#[derive(Debug, Args)]
pub struct McpEntryArgs {
    /// The program
    #[arg(value_enum, value_name = "PROGRAM")]
    pub program: crate::mcp::install::Program,
    /// Name of the server there
    #[arg(long, default_value = "tether")]
    pub name: String,
    /// In the file of the project here, which others may share, in place of your own
    #[arg(long)]
    pub project: bool,
    /// Address of a daemon elsewhere; its token must be in TETHER_AGENT_TOKEN or config.env
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
    /// Show the change only
    #[arg(long, conflicts_with = "yes")]
    pub print: bool,
}
