//! What may be typed about templates.

use clap::{Args, Subcommand};

/// `tether templates`
#[derive(Debug, Args)]
#[command(
    after_help = "A template is a YAML file in .tether/templates/ of the directory that you stand in, or in \
    templates/ beside config.env. Its keys: name, clone_url, branch, directory, adapter, approval_mode (0 ask, \
    1 allow edits, 2 allow everything), platform, auto_branch, shallow, auto_checkpoint. `tether new -t NAME` takes \
    from it what no flag says.\n\nA template that lies in a directory may have come with somebody else's project: what it \
    says about approvals counts only where you said `tether trust yes`, or say yes when asked."
)]
pub struct TemplatesArgs {
    /// What to do; lists them when left out
    #[command(subcommand)]
    pub action: Option<TemplatesAction>,
}

/// What `tether templates` can do.
#[derive(Debug, Subcommand)]
pub enum TemplatesAction {
    /// List the templates that there are
    List,
    /// Show one
    Show {
        /// Its name, or its file
        #[arg(value_name = "NAME")]
        template: String,
    },
}
