//! Work trees of their own for sessions: of a repository that is cloned once and shared, or of one on this machine.
//!
//! A shared clone is a bare repository `<repos>/<8 hex digits of its address>`; its branches are those of the sessions,
//! what the remote has is under `refs/remotes/origin/`. Each session gets a linked work tree `<workspaces>/<session>`
//! on a branch of its own.

use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use sha2::{Digest, Sha256};
use tracing::{info, warn};

use super::error::GitError;
use super::git::{CHANGE, Git, SHORT};
use super::names;
use super::settings::Workspaces;
use crate::domain::ids::SessionId;

/// In a shared clone: its address (without a password), written when it is whole, and again with each use.
pub(super) const READY: &str = "tether-url";

/// What the branch that nobody has checked out is called: a bare repository wants one.
const NO_BRANCH: &str = "tether-none";

/// Where a work tree comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A repository elsewhere.
    Clone {
        /// Its address; may hold a password, which is kept in the clone's own configuration only.
        url: String,
        /// The branch to begin at; `None` = its default.
        branch: Option<String>,
        /// Only the newest commit of each branch.
        shallow: bool,
        /// A branch of its own also in a plain clone.
        auto_branch: bool,
        /// A clone of its own instead of a work tree of a shared one.
        plain: bool,
    },
    /// A repository on this machine.
    Local {
        /// The top of a work tree of it.
        directory: PathBuf,
        /// Whether a person said that they trust it.
        trusted: bool,
    },
}

/// A work tree that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MadeWorkspace {
    /// Where, absolute, links resolved.
    pub directory: PathBuf,
    /// Where it was cloned from, without a password.
    pub clone_url: Option<String>,
    /// The branch that was made for it.
    pub branch: Option<String>,
    /// What people should know.
    pub warning: Option<String>,
}

impl Workspaces {
    /// Makes a work tree for a session. Whatever fails, nothing of it is left.
    ///
    /// # Errors
    /// [`GitError::Clone`], or [`GitError::Invalid`] for what cannot be an address or a branch.
    pub async fn make(&self, session: &SessionId, source: &Source) -> Result<MadeWorkspace, GitError> {
        let branch = self.branch_for(session)?;
        match source {
            Source::Clone { url, branch: begin, .. } => {
                names::clone_url(url)?;
                begin.as_deref().map(names::branch).transpose()?;
            }
            Source::Local { directory, .. } => {
                if !super::is_top(directory).await {
                    let text = format!("Directory '{}' is not a git repository", directory.display());
                    return Err(GitError::Invalid(text));
                }
            }
        }
        let root = folder(&self.settings().workspaces).await?;
        let place = root.join(session.as_str());
        let _alone = self.alone_at(&place).await;
        let made = match source {
            Source::Local { directory, trusted } => self.beside(directory, *trusted, &place, &branch).await,
            Source::Clone { url, branch: begin, shallow, auto_branch, plain: true } => {
                let own = (*auto_branch || self.settings().auto_branch).then_some(branch.as_str());
                self.plain(&root, url, begin.as_deref(), *shallow, &place, own).await
            }
            Source::Clone { url, branch: begin, shallow, .. } => {
                self.shared(url, begin.as_deref(), *shallow, &place, &branch).await
            }
        };
        match made {
            Ok(made) => {
                info!(%session, directory = %made.directory.display(), "a work tree was made");
                Ok(made)
            }
            Err(error) => {
                let _ = tokio::fs::remove_dir_all(&place).await;
                Err(error.in_clone())
            }
        }
    }

    /// The branch of a session by the configured pattern.
    fn branch_for(&self, session: &SessionId) -> Result<String, GitError> {
        let id = session.as_str();
        let short = id.get(id.len().saturating_sub(6)..).unwrap_or(id);
        let name = self.settings().branch_pattern.replace("{session_id}", short);
        let told = format!("TETHER_GIT_BRANCH_PATTERN gives {name:?}, which is no name for a branch");
        names::branch(&name).map(str::to_owned).map_err(|_| GitError::Invalid(told))
    }

    /// A work tree of a repository on this machine.
    async fn beside(
        &self,
        directory: &Path,
        trusted: bool,
        place: &Path,
        branch: &str,
    ) -> Result<MadeWorkspace, GitError> {
        let _alone = self.alone_at(directory).await;
        let git = self.open(directory, trusted).await?;
        let branch = add_work_tree(&git, place, branch, "HEAD").await?;
        Ok(MadeWorkspace {
            directory: place.to_owned(),
            clone_url: None,
            branch: Some(branch),
            warning: None,
        })
    }

    /// A clone that nothing else uses.
    async fn plain(
        &self,
        root: &Path,
        url: &str,
        begin: Option<&str>,
        shallow: bool,
        place: &Path,
        own: Option<&str>,
    ) -> Result<MadeWorkspace, GitError> {
        let at = begin.map(|branch| format!("--branch={branch}"));
        let mut args = vec!["clone", "--quiet", "--template=", "--no-recurse-submodules", "--origin=origin"];
        args.extend(at.as_deref());
        if shallow {
            args.extend(["--depth=1", "--no-single-branch"]);
        }
        let target = text(place)?;
        args.extend(["--", url, target]);
        let above = Git::nowhere(self, root).await?;
        above.write(&args, b"", self.settings().clone_timeout).await?.or_refuse()?;
        let git = Git::at(self, place, false).await?;
        self.introduce(&git).await?;
        if let Some(branch) = own {
            git.write(&["switch", "--quiet", "--no-track", "--create", branch, "--"], b"", CHANGE)
                .await?
                .or_refuse()?;
        }
        Ok(MadeWorkspace {
            directory: place.to_owned(),
            clone_url: Some(names::redacted(url)),
            branch: own.map(str::to_owned),
            warning: None,
        })
    }

    /// A work tree of a clone that all sessions of the address share.
    async fn shared(
        &self,
        url: &str,
        begin: Option<&str>,
        shallow: bool,
        place: &Path,
        branch: &str,
    ) -> Result<MadeWorkspace, GitError> {
        let repos = folder(&self.settings().repos).await?;
        let repo = repos.join(key(url, shallow));
        let _alone = self.alone_at(&repo).await;
        let is_new = tokio::fs::metadata(repo.join(READY)).await.is_err();
        let git = if is_new { self.first(url, shallow, &repo).await } else { Git::bare(self, &repo).await }?;
        let mut warning = None;
        if !is_new {
            let is_stale =
                age(&repo.join("FETCH_HEAD")).await.is_none_or(|age| age >= self.settings().fetch_cache);
            let lacks = start(&git, begin).await.is_err();
            if (is_stale || lacks)
                && let Err(error) = fetch(&git, shallow, self.settings().fetch_timeout).await
            {
                if lacks {
                    return Err(error);
                }
                warn!(repo = %repo.display(), %error, "a shared clone could not be brought up to date");
                warning =
                    Some(format!("the clone could not be brought up to date and may be behind: {error}"));
            }
        }
        let start = start(&git, begin).await?;
        let branch = add_work_tree(&git, place, branch, &start).await?;
        let shown = names::redacted(url);
        mark(&repo, &shown).await?;
        Ok(MadeWorkspace {
            directory: place.to_owned(),
            clone_url: Some(shown),
            branch: Some(branch),
            warning,
        })
    }

    /// Clones what nobody asked for before.
    async fn first(&self, url: &str, shallow: bool, repo: &Path) -> Result<Git<'_>, GitError> {
        // What a crash left of an earlier try.
        let _ = tokio::fs::remove_dir_all(repo).await;
        let repo = folder(repo).await?;
        let made = async {
            let branch = format!("--initial-branch={NO_BRANCH}");
            let args = ["init", "--quiet", "--bare", "--template=", &branch, "--", "."];
            Git::nowhere(self, &repo).await?.write(&args, b"", CHANGE).await?.or_refuse()?;
            let git = Git::bare(self, &repo).await?;
            configure(&git, "remote.origin.url", url).await?;
            configure(&git, "remote.origin.fetch", "+refs/heads/*:refs/remotes/origin/*").await?;
            self.introduce(&git).await?;
            fetch(&git, shallow, self.settings().clone_timeout).await?;
            // A remote without a default branch has none to be found.
            git.write(&["remote", "set-head", "origin", "--auto"], b"", self.settings().fetch_timeout)
                .await?;
            Git::bare(self, &repo).await
        };
        let made = made.await;
        if made.is_err() {
            let _ = tokio::fs::remove_dir_all(&repo).await;
        }
        made
    }

    /// Says who commits in a clone of ours.
    async fn introduce(&self, git: &Git<'_>) -> Result<(), GitError> {
        configure(git, "user.name", &self.settings().user_name).await?;
        configure(git, "user.email", &self.settings().user_email).await
    }
}

async fn configure(git: &Git<'_>, name: &str, value: &str) -> Result<(), GitError> {
    git.write(&["config", "--local", "--", name, value], b"", CHANGE).await?.or_refuse().map(drop)
}

async fn fetch(git: &Git<'_>, shallow: bool, patience: Duration) -> Result<(), GitError> {
    let mut args = vec!["fetch", "--quiet", "--prune", "--no-recurse-submodules"];
    if shallow {
        args.extend(["--depth=1", "--no-tags"]);
    }
    args.extend(["--", "origin"]);
    git.write(&args, b"", patience).await?.or_refuse().map(drop)
}

/// The commit to begin at: of the branch that was asked for, else of the remote's default one, else of the only one.
async fn start(git: &Git<'_>, begin: Option<&str>) -> Result<String, GitError> {
    let wanted: Vec<String> = match begin {
        Some(branch) => vec![format!("refs/remotes/origin/{branch}")],
        None => ["HEAD", "main", "master"].map(|name| format!("refs/remotes/origin/{name}")).into(),
    };
    for name in wanted {
        let told =
            git.read(&["rev-parse", "--verify", "--quiet", &format!("{name}^{{commit}}")], SHORT).await?;
        if told.ok {
            return Ok(told.text());
        }
    }
    if let Some(branch) = begin {
        return Err(GitError::Failed(format!("the repository has no branch {branch:?}")));
    }
    let list = ["for-each-ref", "--count=1", "--format=%(objectname)", "refs/remotes/origin/"];
    let told = git.read(&list, SHORT).await?.or_refuse()?.text();
    if told.is_empty() { Err(GitError::Failed("the repository has no commits".to_owned())) } else { Ok(told) }
}

/// Makes a linked work tree on a new branch; gives the branch, which has another name if that one is taken.
async fn add_work_tree(git: &Git<'_>, place: &Path, branch: &str, start: &str) -> Result<String, GitError> {
    // What was removed by hand must not stand in the way.
    git.write(&["worktree", "prune"], b"", CHANGE).await?;
    let mut name = branch.to_owned();
    for number in 2..100 {
        let known =
            git.read(&["rev-parse", "--verify", "--quiet", &format!("refs/heads/{name}")], SHORT).await?;
        if !known.ok {
            break;
        }
        name = format!("{branch}-{number}");
    }
    let target = text(place)?;
    let args = ["worktree", "add", "--quiet", "--no-track", "-b", &name, "--", target, start];
    git.write(&args, b"", git.workspaces().settings().clone_timeout).await?.or_refuse()?;
    Ok(name)
}

/// How long ago a file was written.
pub(super) async fn age(path: &Path) -> Option<Duration> {
    let written = tokio::fs::metadata(path).await.ok()?.modified().ok()?;
    SystemTime::now().duration_since(written).ok()
}

/// Writes down that a shared clone is whole and in use.
async fn mark(repo: &Path, url: &str) -> Result<(), GitError> {
    let failed =
        |error| GitError::Failed(format!("{} cannot be written: {error}", repo.join(READY).display()));
    tokio::fs::write(repo.join(READY), url).await.map_err(failed)
}

/// The folder of a shared clone (`contract`: 8 hex digits of the address's SHA-256). One without history is another.
fn key(url: &str, shallow: bool) -> String {
    let mut hash = Sha256::new();
    hash.update(names::normalized(url));
    if shallow {
        hash.update("\0shallow");
    }
    hash.finalize().iter().take(4).map(|byte| format!("{byte:02x}")).collect()
}

/// Makes a folder that only we can read; gives it back with links resolved.
async fn folder(path: &Path) -> Result<PathBuf, GitError> {
    if path.as_os_str().is_empty() {
        return Err(GitError::Failed(
            "there is no place for work trees: set TETHER_WORKSPACE_DIR".to_owned(),
        ));
    }
    let wanted = path.to_owned();
    let make = move || {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&wanted)?;
        wanted.canonicalize()
    };
    let made = tokio::task::spawn_blocking(make).await;
    made.map_err(|_| GitError::Unavailable("the daemon is stopping".to_owned()))?
        .map_err(|error| GitError::Failed(format!("{} cannot be made: {error}", path.display())))
}

fn text(path: &Path) -> Result<&str, GitError> {
    path.to_str().ok_or_else(|| GitError::Failed(format!("{} is not UTF-8", path.display())))
}
