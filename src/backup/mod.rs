//! Backups: one file with the log of events, what our own agents keep of their conversations, and `config.env`.
//!
//! A tar file, packed with gzip. Its members, in this order: `tether-backup.json` says what it is; `log/1`, `log/2`, ... are
//! pieces of the log (see `tether_actors::log::Unpacker`); `agents/...` and `settings/config.env` are files as they were;
//! `end.json` has the hash of each member, and without it the file is not whole.

mod read;
mod write;

use std::collections::BTreeMap;
use std::path::{Component, Path};

use serde::{Deserialize, Serialize};

pub use read::{Content, Member, Visitor, check, read};
pub use write::Writer;

/// The version of the format that is written, and the newest that is read.
const VERSION: u32 = 1;
/// The first member.
const HEAD: &str = "tether-backup.json";
/// The last member.
const END: &str = "end.json";
/// The member with the settings.
const SETTINGS: &str = "settings/config.env";
/// Agents of ours whose conversations lie in the data folder, below `agents`.
pub const OWN_AGENTS: [&str; 2] = ["model", "demo"];

/// What the file is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Head {
    format: String,
    version: u32,
    /// The version of the program that wrote it.
    tether: String,
    /// When.
    made_at: String,
}

/// What the file holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct End {
    /// Entries of the log.
    entries: u64,
    /// SHA-256 of each member before it, in hex.
    members: BTreeMap<String, String>,
}

/// Why a backup could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// It is none.
    #[error("{0} is no backup of tether")]
    Foreign(String),
    /// A newer program wrote it.
    #[error("{path} was written by a newer tether ({tether}): update tether")]
    Newer {
        /// The file.
        path: String,
        /// Which.
        tether: String,
    },
    /// It is not whole, or was changed.
    #[error("{path} is damaged: {reason}")]
    Damaged {
        /// The file.
        path: String,
        /// How that is known.
        reason: String,
    },
    /// Reading or writing failed.
    #[error("{path}: {reason}")]
    Io {
        /// The file.
        path: String,
        /// What the system says.
        reason: String,
    },
}

/// Whether a member may be laid below the data folder under its name.
fn is_agents_file(name: &str) -> bool {
    let mut parts = Path::new(name).components();
    let agents = parts.next() == Some(Component::Normal("agents".as_ref()));
    let ours = parts.next().is_some_and(|part| OWN_AGENTS.iter().any(|agent| part.as_os_str() == *agent));
    let rest: Vec<Component<'_>> = parts.collect();
    agents && ours && !rest.is_empty() && rest.iter().all(|part| matches!(part, Component::Normal(_)))
}

#[cfg(test)]
mod tests;
