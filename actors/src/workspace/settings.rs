//! What is configured, and the handle that everything here begins with.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};

use super::error::GitError;
use super::git::Git;

/// A look is a process or two and reads the whole tree: so many at once.
const LOOKS: usize = 3;

/// What is configured about repositories and work trees.
#[derive(Clone, Debug)]
pub struct WorkspaceSettings {
    /// Where the work trees of sessions are made: one folder each, named by its session's id.
    pub workspaces: PathBuf,
    /// Where the clones are that work trees share.
    pub repos: PathBuf,
    /// Together they should not be larger than this many bytes; only told of.
    pub max_bytes: Option<u64>,
    /// Shared clones without a work tree are removed after this; `None` = never.
    pub repo_retention: Option<Duration>,
    /// Whether a work tree is saved after each turn.
    pub auto_checkpoint: bool,
    /// Whether a plain clone gets a branch of its own, too.
    pub auto_branch: bool,
    /// The name of a session's branch; `{session_id}` stands for the last six characters of its id.
    pub branch_pattern: String,
    /// A shared clone is not brought up to date again within this.
    pub fetch_cache: Duration,
    /// How long that may take.
    pub fetch_timeout: Duration,
    /// How long a clone may take.
    pub clone_timeout: Duration,
    /// Who commits in our clones, and where nobody else is known.
    pub user_name: String,
    /// Their address.
    pub user_email: String,
    /// Variables of ours that git must not see.
    pub own_secrets: Vec<String>,
}

impl Default for WorkspaceSettings {
    /// The contract's defaults, with no place for work trees.
    fn default() -> Self {
        Self {
            workspaces: PathBuf::new(),
            repos: PathBuf::new(),
            max_bytes: None,
            repo_retention: Some(Duration::from_secs(30 * 86_400)),
            auto_checkpoint: false,
            auto_branch: false,
            branch_pattern: "tether/{session_id}".to_owned(),
            fetch_cache: Duration::from_secs(300),
            fetch_timeout: Duration::from_secs(30),
            clone_timeout: Duration::from_secs(120),
            user_name: "Tether".to_owned(),
            user_email: "tether@localhost".to_owned(),
            own_secrets: Vec::new(),
        }
    }
}

/// The handle. Clones are the same one.
#[derive(Clone, Debug)]
pub struct Workspaces(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    settings: WorkspaceSettings,
    looks: Semaphore,
    /// Places that something is being made or removed at.
    places: Mutex<HashMap<PathBuf, Weak<tokio::sync::Mutex<()>>>>,
}

impl Default for Workspaces {
    fn default() -> Self {
        Self::new(WorkspaceSettings::default())
    }
}

impl Workspaces {
    /// With these settings.
    pub fn new(settings: WorkspaceSettings) -> Self {
        Self(Arc::new(Inner { settings, looks: Semaphore::new(LOOKS), places: Mutex::default() }))
    }

    /// What is configured.
    pub fn settings(&self) -> &WorkspaceSettings {
        &self.0.settings
    }

    /// Leave to look at a repository: a few at a time.
    pub(super) async fn look(&self) -> Result<SemaphorePermit<'_>, GitError> {
        self.0.looks.acquire().await.map_err(|_| GitError::Unavailable("the daemon is stopping".to_owned()))
    }

    /// Keeps others from making or removing something at this place meanwhile.
    pub(super) async fn alone_at(&self, place: &Path) -> tokio::sync::OwnedMutexGuard<()> {
        let lock = {
            let mut places = self.0.places.lock().unwrap_or_else(PoisonError::into_inner);
            places.retain(|_, lock| lock.strong_count() > 0);
            let known = places.get(place).and_then(Weak::upgrade);
            known.unwrap_or_else(|| {
                let lock = Arc::new(tokio::sync::Mutex::new(()));
                places.insert(place.to_owned(), Arc::downgrade(&lock));
                lock
            })
        };
        lock.lock_owned().await
    }

    /// The work tree whose top is `folder`.
    pub(super) async fn open(&self, folder: &Path, trusted: bool) -> Result<Git<'_>, GitError> {
        if folder.as_os_str().is_empty() {
            return Err(GitError::Invalid("Session has no directory assigned".to_owned()));
        }
        if !super::is_top(folder).await {
            return Err(GitError::Invalid(format!(
                "Directory '{}' is not a git repository",
                folder.display()
            )));
        }
        Git::at(self, folder, trusted).await
    }

    /// This process's environment without what is ours.
    pub(super) fn environment_of_person(&self) -> Vec<(OsString, OsString)> {
        let ours = |name: &str| {
            name.starts_with("TETHER_")
                || name.starts_with("SSH_ASKPASS")
                || self.0.settings.own_secrets.iter().any(|one| one == name)
        };
        std::env::vars_os().filter(|(name, _)| !ours(&name.to_string_lossy())).collect()
    }
}
