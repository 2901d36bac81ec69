//! What may be typed about approvals and what stands for good.

use clap::{Args, Subcommand};

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
