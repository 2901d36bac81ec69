//! What is configured about repositories and work trees.

use std::path::Path;
use std::time::Duration;

use tether_actors::workspace::{WorkspaceSettings, branch_name};

use super::{Reader, Settings, Wrong, sources};

/// Settings of repositories and work trees, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GitSettings {
    /// Where work trees are made; `None` = in the data folder.
    pub workspace_dir: Option<std::path::PathBuf>,
    /// GiB that they should not exceed; `None` = no matter.
    pub max_disk_gib: Option<u64>,
    /// Days after which unused shared clones are removed; `None` = never.
    pub repo_retention_days: Option<u32>,
    /// Whether work trees are saved after each turn.
    pub auto_checkpoint: bool,
    /// Whether plain clones get a branch of their own.
    pub auto_branch: bool,
    /// What a session's branch is called.
    pub branch_pattern: String,
    /// Seconds within which a shared clone is not fetched again.
    pub fetch_cache_seconds: u64,
    /// Seconds that a fetch may take.
    pub fetch_timeout_seconds: u64,
    /// Seconds that a clone may take.
    pub clone_timeout_seconds: u64,
    /// Who commits.
    pub user_name: String,
    /// Their address.
    pub user_email: String,
}

impl GitSettings {
    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        check_pattern(reader);
        let mut flag = |name| sources::flag(&reader.text(name)).unwrap_or(false);
        let (auto_checkpoint, auto_branch) =
            (flag("TETHER_GIT_AUTO_CHECKPOINT"), flag("TETHER_GIT_AUTO_BRANCH"));
        Self {
            workspace_dir: reader.path("TETHER_WORKSPACE_DIR"),
            max_disk_gib: reader.limit("TETHER_WORKSPACE_MAX_DISK_GB"),
            repo_retention_days: reader.limit("TETHER_REPO_RETENTION_DAYS"),
            auto_checkpoint,
            auto_branch,
            branch_pattern: reader.text("TETHER_GIT_BRANCH_PATTERN"),
            fetch_cache_seconds: reader.number("TETHER_GIT_FETCH_CACHE_SECONDS"),
            fetch_timeout_seconds: reader.number("TETHER_GIT_FETCH_TIMEOUT"),
            clone_timeout_seconds: reader.number("TETHER_GIT_CLONE_TIMEOUT"),
            user_name: reader.text("TETHER_GIT_USER_NAME"),
            user_email: reader.text("TETHER_GIT_USER_EMAIL"),
        }
    }

    /// As the supervised world takes them.
    pub fn workspaces(&self, data_dir: &Path) -> WorkspaceSettings {
        WorkspaceSettings {
            workspaces: self.workspace_dir.clone().unwrap_or_else(|| data_dir.join("workspaces")),
            repos: data_dir.join("repos"),
            max_bytes: self.max_disk_gib.map(|gib| gib.saturating_mul(1 << 30)),
            repo_retention: self
                .repo_retention_days
                .map(|days| Duration::from_secs(u64::from(days) * 86_400)),
            auto_checkpoint: self.auto_checkpoint,
            auto_branch: self.auto_branch,
            branch_pattern: self.branch_pattern.clone(),
            fetch_cache: Duration::from_secs(self.fetch_cache_seconds),
            fetch_timeout: Duration::from_secs(self.fetch_timeout_seconds),
            clone_timeout: Duration::from_secs(self.clone_timeout_seconds),
            user_name: self.user_name.clone(),
            user_email: self.user_email.clone(),
            own_secrets: Settings::own_secrets(),
        }
    }
}

/// A pattern that gives no name for a branch is wrong.
fn check_pattern(reader: &mut Reader<'_>) {
    let Some(found) = reader.found("TETHER_GIT_BRANCH_PATTERN") else { return };
    if branch_name(&found.value.replace("{session_id}", "0a1b2c")).is_err() {
        reader.wrong.push(Wrong {
            name: found.name,
            shown: format!("{:?}", found.value),
            origin: found.origin,
            allowed: "must be a name that git takes for a branch, with {session_id} in it".to_owned(),
        });
    }
}
