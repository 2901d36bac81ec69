//! What may be typed for commands about the data: moving over, backup, restore.

use std::path::PathBuf;

use clap::Args;

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
