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
