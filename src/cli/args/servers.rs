//! What may be typed about the daemons that one knows.

use clap::{Args, Subcommand};

/// `tether context`
#[derive(Debug, Args)]
#[command(after_help = "Servers are named in servers.yaml beside config.env:\n\n  \
    servers:\n    work: {host: box.local, port: 8787, token: secret}\n    \
    far: {url: https://tether.example.org, token: secret}\n  default: work\n\n\
    -S NAME means one of them for one command; -H, -P or --token switch context and default off.")]
pub struct ContextArgs {
    /// What to do; shows which daemon is meant when left out
    #[command(subcommand)]
    pub action: Option<ContextAction>,
}

/// What `tether context` can do.
#[derive(Debug, Subcommand)]
pub enum ContextAction {
    /// List the named servers
    List,
    /// Talk to this server from now on
    Use {
        /// Its name in servers.yaml; `local` is the daemon of this machine
        #[arg(value_name = "NAME")]
        name: String,
    },
}

/// `tether server`
#[derive(Debug, Args)]
#[command(
    after_help = "HOST is what ssh takes: a host, an alias of ~/.ssh/config or user@host; or the name of a server in \
    servers.yaml. Your own ssh is used, with your keys. Without a terminal it asks nothing, and fails instead."
)]
pub struct ServerArgs {
    /// Who you are there
    #[arg(short, long, value_name = "USER", global = true)]
    pub user: Option<String>,
    /// What to do
    #[command(subcommand)]
    pub action: ServerAction,
}

/// What `tether server` can do.
#[derive(Debug, Subcommand)]
pub enum ServerAction {
    /// Put this program on a machine, set it up (--port: on which port), start it and name it in servers.yaml
    Init {
        /// The machine
        #[arg(value_name = "HOST")]
        machine: String,
        /// Name for it in servers.yaml; the host when left out
        #[arg(long, value_name = "NAME")]
        name: Option<String>,
    },
    /// Show how the daemon of a machine is
    Status {
        /// The machine
        #[arg(value_name = "HOST")]
        machine: String,
    },
    /// Put this version of the program on a machine, and start its daemon anew; agents go on
    Upgrade {
        /// The machine
        #[arg(value_name = "HOST")]
        machine: String,
    },
    /// Print the daemon's log of a machine
    Logs {
        /// The machine
        #[arg(value_name = "HOST")]
        machine: String,
        /// Only the last so many lines
        #[arg(short = 'n', long, value_name = "NUMBER", default_value_t = 200)]
        lines: usize,
        /// Go on as more comes
        #[arg(short, long)]
        follow: bool,
    },
    /// Print the key with which git there reaches a forge; made if there is none
    GitKey {
        /// The machine
        #[arg(value_name = "HOST")]
        machine: String,
    },
}
