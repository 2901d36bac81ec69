//! What work trees and clones take of the disk, and their end.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use tracing::{info, warn};

use super::checkpoint::{forget, holds_last};
use super::clone::{READY, age};
use super::error::GitError;
use super::git::{CHANGE, Git, SHORT};
use super::names;
use super::settings::Workspaces;
use crate::domain::ids::SessionId;
use crate::domain::time::Stamp;

/// A work tree that was made for a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundWorkspace {
    /// Whose it is, or was.
    pub session: SessionId,
    /// Where.
    pub path: PathBuf,
    /// What it takes of the disk.
    pub bytes: u64,
}

/// A clone that work trees share.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct KnownRepo {
    /// Where it came from, without a password.
    pub url: String,
    /// The name of its folder.
    pub hash: String,
    /// Where it is.
    pub path: String,
    /// What it takes of the disk.
    pub size_bytes: u64,
    /// How many work trees it has.
    pub worktree_count: usize,
    /// When a session was last made of it.
    #[schema(value_type = String)]
    pub last_used_at: Stamp,
}

/// What became of a work tree that was to be removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removed {
    /// There was none.
    Nothing,
    /// It is gone; what was not committed is kept in its repository.
    Gone,
    /// It is a clone of its own that holds work that is nowhere else, and was left.
    Left,
}

impl Workspaces {
    /// The work trees of sessions, those that are no more included.
    pub async fn found(&self) -> Vec<FoundWorkspace> {
        let root = self.settings().workspaces.clone();
        let look = move || {
            let entries = std::fs::read_dir(&root).into_iter().flatten().flatten();
            let named = entries.filter_map(|entry| {
                let name =
                    entry.file_name().into_string().ok().filter(|name| SessionId::is_well_formed(name))?;
                let path = entry.path();
                Some(FoundWorkspace { session: SessionId::from(name.as_str()), bytes: size(&path), path })
            });
            let mut all: Vec<FoundWorkspace> = named.collect();
            all.sort_by(|a, b| a.path.cmp(&b.path));
            all
        };
        tokio::task::spawn_blocking(look).await.unwrap_or_default()
    }

    /// The shared clones.
    pub async fn repos(&self) -> Vec<KnownRepo> {
        let root = self.settings().repos.clone();
        let look = move || {
            let entries = std::fs::read_dir(&root).into_iter().flatten().flatten();
            let mut all: Vec<KnownRepo> = entries.filter_map(|entry| repo(&entry.path())).collect();
            all.sort_by(|a, b| a.url.cmp(&b.url).then_with(|| a.hash.cmp(&b.hash)));
            all
        };
        tokio::task::spawn_blocking(look).await.unwrap_or_default()
    }

    /// Removes the work tree of a session that is no more. What is not committed is kept first, under
    /// `refs/tether/kept/<session>` of the repository that it belongs to; `branch`, which was made for it, goes when
    /// other branches have all its commits. A clone of its own goes only when `force` is set or nothing would be lost.
    ///
    /// # Errors
    /// It cannot be kept or removed; it is left as it was then.
    pub async fn remove(
        &self,
        session: &SessionId,
        branch: Option<&str>,
        force: bool,
    ) -> Result<Removed, GitError> {
        let place = self.settings().workspaces.join(session.as_str());
        if self.settings().workspaces.as_os_str().is_empty()
            || tokio::fs::symlink_metadata(&place).await.is_err()
        {
            return Ok(Removed::Nothing);
        }
        let place = tokio::fs::canonicalize(&place).await.unwrap_or(place);
        let _alone = self.alone_at(&place).await;
        let link = tokio::fs::symlink_metadata(place.join(".git")).await.ok();
        let mut common = None;
        match link {
            Some(link) if link.is_file() => common = self.keep(session, &place, force).await?,
            Some(_) if !force && self.has_work(&place).await => {
                info!(%session, path = %place.display(), "the clone of a deleted session holds work that is nowhere else and is left");
                return Ok(Removed::Left);
            }
            _ => {}
        }
        let failed = |error| GitError::Failed(format!("{} cannot be removed: {error}", place.display()));
        tokio::fs::remove_dir_all(&place).await.map_err(failed)?;
        if let Some(common) = common {
            let git = Git::bare(self, &common).await?;
            git.write(&["worktree", "prune"], b"", CHANGE).await?.or_refuse()?;
            forget(&git, session).await?;
            if let Some(branch) = branch.filter(|branch| names::branch(branch).is_ok()) {
                drop_branch(&git, branch).await?;
            }
        }
        Ok(Removed::Gone)
    }

    /// Keeps what is not committed in a linked work tree; gives the folder of the repository that it belongs to, if there
    /// still is one.
    async fn keep(
        &self,
        session: &SessionId,
        place: &Path,
        force: bool,
    ) -> Result<Option<PathBuf>, GitError> {
        let kept = async {
            let git = Git::at(self, place, false).await?;
            self.keep_last(&git, session).await?;
            let args = ["rev-parse", "--path-format=absolute", "--git-common-dir"];
            Ok::<_, GitError>(PathBuf::from(git.read(&args, SHORT).await?.or_refuse()?.text()))
        };
        match kept.await {
            Ok(common) => Ok(Some(common)),
            Err(error) if force => {
                warn!(%session, %error, "a work tree is removed of which nothing could be kept");
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Whether a clone holds anything that its remote has not.
    async fn has_work(&self, place: &Path) -> bool {
        let look = async {
            let git = Git::at(self, place, false).await?;
            let status = git
                .read(&["status", "--porcelain=v2", "-z", "--ignore-submodules=dirty"], SHORT)
                .await?
                .or_refuse()?;
            let ahead = ["rev-list", "--count", "HEAD", "--branches", "--not", "--remotes"];
            let ahead = git.read(&ahead, SHORT).await?.or_refuse()?.text();
            Ok::<_, GitError>(!status.stdout.is_empty() || ahead != "0")
        };
        look.await.unwrap_or(true)
    }

    /// Removes shared clones that have no work tree, were not used for as long as is configured, and hold nothing that
    /// their remote has not. Gives the addresses of those that went.
    pub async fn prune_repos(&self) -> Vec<String> {
        let Some(keep) = self.settings().repo_retention else { return Vec::new() };
        let mut gone = Vec::new();
        for repo in self.repos().await {
            let path = PathBuf::from(&repo.path);
            let _alone = self.alone_at(&path).await;
            let is_old = age(&path.join(READY)).await.is_some_and(|age| age >= keep);
            if repo.worktree_count > 0 || !is_old {
                continue;
            }
            match self.is_spent(&path).await {
                Ok(true) => match tokio::fs::remove_dir_all(&path).await {
                    Ok(()) => gone.push(repo.url),
                    Err(error) => warn!(path = repo.path, %error, "an old clone could not be removed"),
                },
                Ok(false) => {
                    info!(path = repo.path, "an old clone holds commits that are nowhere else and is left")
                }
                Err(error) => warn!(path = repo.path, %error, "an old clone cannot be read and is left"),
            }
        }
        gone
    }

    async fn is_spent(&self, path: &Path) -> Result<bool, GitError> {
        let git = Git::bare(self, path).await?;
        let own = git
            .read(&["rev-list", "--count", "--branches", "--not", "--remotes"], SHORT)
            .await?
            .or_refuse()?;
        Ok(own.text() == "0" && !holds_last(&git).await?)
    }
}

/// Removes a branch whose commits are all in others.
async fn drop_branch(git: &Git<'_>, branch: &str) -> Result<(), GitError> {
    let this = format!("refs/heads/{branch}");
    // For `--branches` a pattern is without its beginning.
    let without = format!("--exclude={branch}");
    let args = ["rev-list", "--count", &this, "--not", &without, "--branches", "--remotes", "--"];
    let told = git.read(&args, SHORT).await?;
    if told.ok && told.text() == "0" {
        git.write(&["branch", "--quiet", "-D", "--", branch], b"", CHANGE).await?.or_refuse()?;
    }
    Ok(())
}

fn repo(path: &Path) -> Option<KnownRepo> {
    let url = std::fs::read_to_string(path.join(READY)).ok()?;
    let used = std::fs::metadata(path.join(READY)).ok()?.modified().ok()?;
    let used = used.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_secs();
    let worktrees = std::fs::read_dir(path.join("worktrees")).into_iter().flatten().flatten();
    Some(KnownRepo {
        url,
        hash: path.file_name()?.to_str()?.to_owned(),
        path: path.to_str()?.to_owned(),
        size_bytes: size(path),
        worktree_count: worktrees.count(),
        last_used_at: Stamp::from_unix(i64::try_from(used).ok()?),
    })
}

/// What a folder takes of the disk. Links are not followed.
fn size(path: &Path) -> u64 {
    let mut open = vec![path.to_owned()];
    let mut bytes = 0;
    while let Some(path) = open.pop() {
        let Ok(found) = std::fs::symlink_metadata(&path) else { continue };
        bytes += found.blocks() * 512;
        if found.is_dir() {
            open.extend(std::fs::read_dir(&path).into_iter().flatten().flatten().map(|entry| entry.path()));
        }
    }
    bytes
}
