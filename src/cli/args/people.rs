//! What may be typed about the people of the chat platforms.

use clap::{Args, Subcommand};

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
