//! What may be typed about repositories and work trees.

use clap::{Args, Subcommand};

use super::args::SessionArgs;

/// `tether git`
#[derive(Debug, Args)]
pub struct GitArgs {
    /// What to do
    #[command(subcommand)]
    pub action: GitAction,
}

/// What `tether git` can do.
#[derive(Debug, Subcommand)]
pub enum GitAction {
    /// Branch, remote, what is not committed, the last commit
    Status(SessionArgs),
    /// The newest commits
    Log {
        /// Session id, or enough of its beginning
        #[arg(value_name = "ID")]
        session: String,
        /// So many (1 to 100)
        #[arg(short = 'n', long = "count", default_value_t = 10)]
        count: usize,
    },
    /// What is changed since the last commit, new files included
    Diff {
        /// Session id, or enough of its beginning
        #[arg(value_name = "ID")]
        session: String,
        /// Only what is staged
        #[arg(long)]
        staged: bool,
    },
    /// Commit everything that is not ignored
    Commit {
        /// Session id, or enough of its beginning
        #[arg(value_name = "ID")]
        session: String,
        /// The message
        #[arg(short, long, value_name = "TEXT")]
        message: String,
        /// Only what is staged
        #[arg(long)]
        staged: bool,
    },
    /// Push a branch, and have it follow the remote one
    Push {
        /// Session id, or enough of its beginning
        #[arg(value_name = "ID")]
        session: String,
        /// The remote's name
        #[arg(long, default_value = "origin")]
        remote: String,
        /// The branch; the one that is checked out when left out
        #[arg(long)]
        branch: Option<String>,
    },
    /// Make a branch and check it out
    Branch {
        /// Session id, or enough of its beginning
        #[arg(value_name = "ID")]
        session: String,
        /// Its name
        name: String,
        /// Stay on the branch that is checked out
        #[arg(long)]
        no_checkout: bool,
    },
    /// Check a branch out
    Checkout {
        /// Session id, or enough of its beginning
        #[arg(value_name = "ID")]
        session: String,
        /// Its name
        branch: String,
    },
    /// Make a pull request (with gh) or a merge request (with glab)
    Pr {
        /// Session id, or enough of its beginning
        #[arg(value_name = "ID")]
        session: String,
        /// Its title
        #[arg(short, long)]
        title: String,
        /// What it says
        #[arg(short, long, default_value = "")]
        body: String,
        /// The branch that it shall go into; the repository's default when left out
        #[arg(long)]
        base: Option<String>,
        /// It is not ready for review yet
        #[arg(long)]
        draft: bool,
        /// Do not push the branch first
        #[arg(long)]
        no_push: bool,
    },
    /// List the saved states of the work tree, or show what one changed
    Checkpoints {
        /// Session id, or enough of its beginning
        #[arg(value_name = "ID")]
        session: String,
        /// Show what this one changed
        #[arg(conflicts_with = "save")]
        number: Option<u64>,
        /// With a number: show what was changed since
        #[arg(long, requires = "number")]
        now: bool,
        /// Save the work tree as it is
        #[arg(long)]
        save: bool,
    },
    /// Put the work tree back to a checkpoint; how it is now is saved first
    Restore {
        /// Session id, or enough of its beginning
        #[arg(value_name = "ID")]
        session: String,
        /// The checkpoint's number
        number: u64,
    },
}

impl GitAction {
    /// The session that is meant.
    pub fn session(&self) -> &str {
        match self {
            Self::Status(SessionArgs { session })
            | Self::Log { session, .. }
            | Self::Diff { session, .. }
            | Self::Commit { session, .. }
            | Self::Push { session, .. }
            | Self::Branch { session, .. }
            | Self::Checkout { session, .. }
            | Self::Pr { session, .. }
            | Self::Checkpoints { session, .. }
            | Self::Restore { session, .. } => session,
        }
    }
}

/// `tether workspaces`
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct WorkspacesArgs {
    /// Only those whose session is gone, or rests for more than a day
    #[arg(long)]
    pub stale: bool,
    /// What to do; lists them when left out
    #[command(subcommand)]
    pub action: Option<WorkspacesAction>,
}

/// What `tether workspaces` can do.
#[derive(Debug, Subcommand)]
pub enum WorkspacesAction {
    /// Remove those whose session is gone
    Clean,
}
