//! Checkpoints: the work tree as it was, kept beside the branch.
//!
//! A checkpoint is a commit of everything that git does not ignore, made through an index of its own: neither the branch
//! nor what is staged is touched. It is held by a ref `refs/tether/checkpoints/<session>/<number>`, which is not pushed
//! and is seen by no `git branch`. To restore one the work tree is saved first, then brought from the one state to the
//! other; where something that is not saved (an ignored file) would be overwritten, git refuses and nothing changes.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::diff::{compare, stat};
use super::error::GitError;
use super::git::{Git, SHORT};
use super::look::{head_branch, head_commit};
use super::settings::Workspaces;
use crate::domain::ids::SessionId;
use crate::domain::time::Stamp;

/// How long each step may take: the first one reads every file.
const PATIENCE: Duration = Duration::from_secs(60);

/// So many of a session are kept; the oldest go.
const KEPT: usize = 200;

/// Where the last state of a work tree is held that was removed with its session.
const LAST: &str = "refs/tether/kept";

/// A saved state of a work tree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Checkpoint {
    /// From 1, in the order in which they were made.
    pub number: u64,
    /// The commit that holds it.
    pub commit_hash: String,
    /// When it was made, in words.
    pub message: String,
    /// When it was made.
    #[schema(value_type = String)]
    pub created_at: Stamp,
    /// How many files differ from the checkpoint before it (from the last commit, for the first one).
    pub files_changed: usize,
    /// The branch that was checked out.
    pub branch: Option<String>,
}

/// What a checkpoint is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Against {
    /// The one before it, or the commit that was checked out: what changed up to it.
    Previous,
    /// The work tree as it is now: what changed since.
    Now,
}

/// What a checkpoint changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct CheckpointDiff {
    /// Which.
    pub checkpoint: Checkpoint,
    /// Unified diff.
    pub patch: String,
    /// Lines added and removed, file by file.
    pub stat: String,
    /// Whether something was left out because it is too long.
    pub truncated: bool,
}

/// A work tree was put back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Restored {
    /// To this.
    pub restored: Checkpoint,
    /// How it was before; restore that to take this back.
    pub saved: Checkpoint,
    /// How many files were changed by it.
    pub files_changed: usize,
}

/// The state of a work tree, written as objects.
struct Snapshot {
    tree: String,
    head: Option<String>,
    index: PathBuf,
    _folder: tempfile::TempDir,
}

impl Workspaces {
    /// Saves the work tree. `None` = nothing changed since the last checkpoint (or the last commit, if there is none and
    /// `even_clean` is not set).
    ///
    /// # Errors
    /// It is no work tree, or git cannot read all of it.
    pub async fn save(
        &self,
        folder: &Path,
        trusted: bool,
        session: &SessionId,
        occasion: &str,
        even_clean: bool,
    ) -> Result<Option<Checkpoint>, GitError> {
        let _alone = self.alone_at(folder).await;
        let git = self.open(folder, trusted).await?;
        let snapshot = snapshot(&git).await?;
        let last = list(&git, session).await?.pop();
        let like = match &last {
            Some(last) => tree_of(&git, &last.commit_hash).await?,
            None if even_clean => String::new(),
            None => match &snapshot.head {
                Some(head) => tree_of(&git, head).await?,
                None => String::new(),
            },
        };
        if like == snapshot.tree {
            return Ok(None);
        }
        record(&git, session, &snapshot, last.as_ref(), occasion).await.map(Some)
    }

    /// The checkpoints of a session, the newest first.
    ///
    /// # Errors
    /// It is no work tree.
    pub async fn checkpoints(
        &self,
        folder: &Path,
        trusted: bool,
        session: &SessionId,
    ) -> Result<Vec<Checkpoint>, GitError> {
        let _leave = self.look().await?;
        let git = self.open(folder, trusted).await?;
        let mut all = list(&git, session).await?;
        all.reverse();
        Ok(all)
    }

    /// What a checkpoint changed, or what was changed since.
    ///
    /// # Errors
    /// There is no such checkpoint.
    pub async fn checkpoint_diff(
        &self,
        folder: &Path,
        trusted: bool,
        session: &SessionId,
        number: u64,
        against: Against,
    ) -> Result<CheckpointDiff, GitError> {
        let _leave = self.look().await?;
        let git = self.open(folder, trusted).await?;
        let all = list(&git, session).await?;
        let checkpoint = find(&all, number)?.clone();
        let (from, to) = match against {
            Against::Now => (checkpoint.commit_hash.clone(), snapshot(&git).await?.tree),
            Against::Previous => {
                let before = all.iter().rfind(|one| one.number < number).map(|one| one.commit_hash.clone());
                let before = match before {
                    Some(before) => before,
                    None => base(&git, &checkpoint.commit_hash).await?,
                };
                (before, checkpoint.commit_hash.clone())
            }
        };
        let diff = compare(&git, &[&from, &to], false).await?;
        Ok(CheckpointDiff {
            checkpoint,
            stat: stat(&diff.files),
            patch: diff.diff,
            truncated: diff.truncated,
        })
    }

    /// Puts the work tree back to a checkpoint, and saves how it is now before. The branch and what is staged stay.
    ///
    /// # Errors
    /// There is no such checkpoint, or a file that is not saved is in the way.
    pub async fn restore(
        &self,
        folder: &Path,
        trusted: bool,
        session: &SessionId,
        number: u64,
    ) -> Result<Restored, GitError> {
        let _alone = self.alone_at(folder).await;
        let git = self.open(folder, trusted).await?;
        let all = list(&git, session).await?;
        let target = find(&all, number)?.clone();
        let now = snapshot(&git).await?;
        let wanted = tree_of(&git, &target.commit_hash).await?;
        let last = all.last();
        let is_saved = match last {
            Some(last) => tree_of(&git, &last.commit_hash).await? == now.tree,
            None => false,
        };
        let saved = match last {
            Some(last) if is_saved => last.clone(),
            last => {
                record(&git, session, &now, last, &format!("before restoring checkpoint {number}")).await?
            }
        };
        let files_changed = changed_files(&git, Some(&now.tree), &wanted).await?;
        refuse_to_overwrite(&git, &now.tree, &wanted).await?;
        let args = ["read-tree", "-m", "-u", &now.tree, &wanted];
        git.aside(&args, &[index(&now)], PATIENCE).await?.or_refuse()?;
        Ok(Restored { restored: target, saved, files_changed })
    }

    /// Keeps the last state of a work tree that is to be removed, if it is not committed: under `refs/tether/kept/`.
    pub(super) async fn keep_last(&self, git: &Git<'_>, session: &SessionId) -> Result<(), GitError> {
        let snapshot = snapshot(git).await?;
        let committed = match &snapshot.head {
            Some(head) => tree_of(git, head).await?,
            None => String::new(),
        };
        if snapshot.tree == committed {
            return Ok(());
        }
        let message = "[tether] work tree of a session that was deleted";
        let commit = commit(git, &snapshot, message).await?;
        git.aside(&["update-ref", "--", &format!("{LAST}/{session}"), &commit], &[], PATIENCE)
            .await?
            .or_refuse()?;
        Ok(())
    }

    /// Removes the checkpoints of a session.
    ///
    /// # Errors
    /// It is no work tree, or git refuses.
    pub async fn forget_checkpoints(&self, folder: &Path, session: &SessionId) -> Result<(), GitError> {
        if !super::is_top(folder).await {
            return Ok(());
        }
        let git = Git::at(self, folder, false).await?;
        forget(&git, session).await
    }
}

/// Removes the checkpoints of a session, wherever git is.
pub(super) async fn forget(git: &Git<'_>, session: &SessionId) -> Result<(), GitError> {
    for one in list(git, session).await? {
        remove_ref(git, session, one.number).await?;
    }
    Ok(())
}

/// Whether a repository holds the last state of a work tree that was removed.
pub(super) async fn holds_last(git: &Git<'_>) -> Result<bool, GitError> {
    let told =
        git.read(&["for-each-ref", "--count=1", "--format=%(refname)", LAST], SHORT).await?.or_refuse()?;
    Ok(!told.stdout.is_empty())
}

fn find(all: &[Checkpoint], number: u64) -> Result<&Checkpoint, GitError> {
    let found = all.iter().find(|one| one.number == number);
    found.ok_or_else(|| GitError::NotFound(format!("there is no checkpoint {number} of this session")))
}

fn place(session: &SessionId) -> String {
    format!("refs/tether/checkpoints/{session}")
}

fn index(snapshot: &Snapshot) -> (&'static str, OsString) {
    ("GIT_INDEX_FILE", snapshot.index.clone().into())
}

/// Writes all that git does not ignore into its store.
async fn snapshot(git: &Git<'_>) -> Result<Snapshot, GitError> {
    git.may_add().await?;
    let head = head_commit(git).await?;
    let told = git.read(&["rev-parse", "--git-path", "index"], SHORT).await?.or_refuse()?;
    let original = git.folder().join(told.text());
    let failed = |error: std::io::Error| GitError::Failed(format!("the index cannot be copied: {error}"));
    let copied = tokio::task::spawn_blocking(move || copy_index(&original)).await;
    let (folder, copy) =
        copied.map_err(|_| GitError::Unavailable("the daemon is stopping".to_owned()))?.map_err(failed)?;
    let mut snapshot = Snapshot { tree: String::new(), head, index: copy, _folder: folder };
    let with_index = [index(&snapshot)];
    git.aside(&["add", "--all", "--", "."], &with_index, PATIENCE).await?.or_refuse()?;
    snapshot.tree = git.aside(&["write-tree"], &with_index, PATIENCE).await?.or_refuse()?.text();
    Ok(snapshot)
}

/// Copies the index, so that unchanged files need not be read again. With its time: git tells by it which files may
/// have been changed in the moment in which it was written.
fn copy_index(original: &Path) -> std::io::Result<(tempfile::TempDir, PathBuf)> {
    let folder = tempfile::Builder::new().prefix("tether-index-").tempdir()?;
    let copy = folder.path().join("index");
    match std::fs::metadata(original) {
        Ok(found) if found.is_file() => {
            std::fs::copy(original, &copy)?;
            std::fs::File::options().write(true).open(&copy)?.set_modified(found.modified()?)?;
        }
        // Nothing is staged or committed yet.
        _ => {}
    }
    Ok((folder, copy))
}

/// Makes the commit and the ref of a checkpoint.
async fn record(
    git: &Git<'_>,
    session: &SessionId,
    snapshot: &Snapshot,
    last: Option<&Checkpoint>,
    occasion: &str,
) -> Result<Checkpoint, GitError> {
    let number = last.map_or(1, |last| last.number + 1);
    let before = last.map(|last| last.commit_hash.clone()).or_else(|| snapshot.head.clone());
    let files_changed = changed_files(git, before.as_deref(), &snapshot.tree).await?;
    let branch = head_branch(git).await?;
    let message = format!("[tether] checkpoint {occasion}");
    let told = match &branch {
        Some(branch) => format!("{message}\n\nFiles: {files_changed}\nBranch: {branch}"),
        None => format!("{message}\n\nFiles: {files_changed}"),
    };
    let commit_hash = commit(git, snapshot, &told).await?;
    let name = format!("{}/{number}", place(session));
    // It must not be there yet.
    git.aside(&["update-ref", "--", &name, &commit_hash, ""], &[], PATIENCE).await?.or_refuse()?;
    if let Some(oldest) = number.checked_sub(KEPT as u64).filter(|oldest| *oldest > 0) {
        for one in list(git, session).await?.iter().filter(|one| one.number <= oldest) {
            remove_ref(git, session, one.number).await?;
        }
    }
    Ok(Checkpoint { number, commit_hash, message, created_at: Stamp::now(), files_changed, branch })
}

async fn commit(git: &Git<'_>, snapshot: &Snapshot, message: &str) -> Result<String, GitError> {
    let settings = git.workspaces().settings();
    let who = [
        ("GIT_AUTHOR_NAME", OsString::from(&settings.user_name)),
        ("GIT_AUTHOR_EMAIL", OsString::from(&settings.user_email)),
        ("GIT_COMMITTER_NAME", OsString::from(&settings.user_name)),
        ("GIT_COMMITTER_EMAIL", OsString::from(&settings.user_email)),
    ];
    let mut args = vec!["commit-tree", "--no-gpg-sign", "-m", message];
    if let Some(head) = &snapshot.head {
        args.extend(["-p", head]);
    }
    args.push(&snapshot.tree);
    Ok(git.aside(&args, &who, PATIENCE).await?.or_refuse()?.text())
}

async fn remove_ref(git: &Git<'_>, session: &SessionId, number: u64) -> Result<(), GitError> {
    let name = format!("{}/{number}", place(session));
    git.aside(&["update-ref", "-d", "--", &name], &[], PATIENCE).await?.or_refuse().map(drop)
}

async fn tree_of(git: &Git<'_>, commit: &str) -> Result<String, GitError> {
    let name = format!("{commit}^{{tree}}");
    Ok(git.read(&["rev-parse", "--verify", &name], SHORT).await?.or_refuse()?.text())
}

/// What the first checkpoint is compared with: its parent, or nothing.
async fn base(git: &Git<'_>, commit: &str) -> Result<String, GitError> {
    let parent = git.read(&["rev-parse", "--verify", "--quiet", &format!("{commit}^")], SHORT).await?;
    if parent.ok {
        return Ok(parent.text());
    }
    let empty = git.read(&["hash-object", "-t", "tree", "/dev/null"], SHORT).await?.or_refuse()?;
    Ok(empty.text())
}

/// git takes ignored files for worthless and overwrites them. They are in no checkpoint, so they are not.
async fn refuse_to_overwrite(git: &Git<'_>, now: &str, wanted: &str) -> Result<(), GitError> {
    let args = ["diff-tree", "-r", "--name-status", "--no-renames", "-z", now, wanted];
    let told = git.aside(&args, &[], PATIENCE).await?.or_refuse()?;
    if told.cut {
        return Err(GitError::Failed("too many files differ from that checkpoint".to_owned()));
    }
    let folder = git.folder().to_owned();
    let look = tokio::task::spawn_blocking(move || in_the_way(&folder, &told.stdout));
    let found = look.await.map_err(|_| GitError::Unavailable("the daemon is stopping".to_owned()))?;
    if found.is_empty() {
        return Ok(());
    }
    let names = found.iter().take(5).map(|path| path.to_string_lossy()).collect::<Vec<_>>().join(", ");
    Err(GitError::Failed(format!(
        "nothing was restored: {names} would be overwritten, which git ignores and no checkpoint holds; move it away, \
         then try again"
    )))
}

/// What lies where files are to be made, and is not itself about to go. `changes`: letter, NUL, path, NUL.
fn in_the_way(folder: &Path, changes: &[u8]) -> Vec<PathBuf> {
    let fields: Vec<&[u8]> = changes.split(|b| *b == 0).collect();
    let of = |letter: &'static [u8]| {
        let paths = fields.chunks_exact(2).filter(move |pair| pair.first() == Some(&letter));
        paths.filter_map(|pair| pair.get(1)).map(|path| PathBuf::from(OsStr::from_bytes(path)))
    };
    let goes: HashSet<PathBuf> = of(b"D").collect();
    let mut found = Vec::new();
    for path in of(b"A") {
        for part in path.ancestors().filter(|part| !part.as_os_str().is_empty()) {
            let Ok(lies) = std::fs::symlink_metadata(folder.join(part)) else { continue };
            let whole = part == path;
            if lies.is_dir() {
                // A folder in which the file is made, or one that must be empty by then.
                if whole {
                    stays(folder, part, &goes, &mut found);
                }
            } else if !goes.contains(part) {
                found.push(part.to_owned());
            }
        }
    }
    found.sort();
    found.dedup();
    found
}

/// Files in a folder that are not about to go.
fn stays(top: &Path, folder: &Path, goes: &HashSet<PathBuf>, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(top.join(folder)).into_iter().flatten().flatten() {
        let path = folder.join(entry.file_name());
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => stays(top, &path, goes, found),
            _ if !goes.contains(&path) => found.push(path),
            _ => {}
        }
    }
}

async fn changed_files(git: &Git<'_>, before: Option<&str>, tree: &str) -> Result<usize, GitError> {
    let told = match before {
        Some(before) => {
            let args = ["diff-tree", "-r", "--name-only", "--no-renames", "-z", before, tree];
            git.aside(&args, &[], PATIENCE).await?.or_refuse()?
        }
        None => git.aside(&["ls-tree", "-r", "--name-only", "-z", tree], &[], PATIENCE).await?.or_refuse()?,
    };
    Ok(told.stdout.iter().filter(|b| **b == 0).count())
}

/// All checkpoints of a session, the oldest first.
async fn list(git: &Git<'_>, session: &SessionId) -> Result<Vec<Checkpoint>, GitError> {
    let format = "--format=%(refname)%00%(objectname)%00%(committerdate:unix)%00%(contents)%00";
    let told =
        git.read(&["for-each-ref", format, &format!("{}/", place(session))], 1 << 20).await?.or_refuse()?;
    let text = String::from_utf8_lossy(&told.stdout).into_owned();
    let fields: Vec<&str> = text.split('\0').collect();
    let mut all: Vec<Checkpoint> = fields.chunks_exact(4).filter_map(read).collect();
    all.sort_by_key(|one| one.number);
    Ok(all)
}

fn read(fields: &[&str]) -> Option<Checkpoint> {
    let [name, hash, time, contents] = fields else { return None };
    let trailer = |start: &str| contents.lines().skip(1).find_map(|line| line.strip_prefix(start));
    Some(Checkpoint {
        number: name.trim().rsplit('/').next()?.parse().ok()?,
        commit_hash: (*hash).to_owned(),
        message: contents.lines().next().unwrap_or_default().to_owned(),
        created_at: Stamp::from_unix(time.parse().ok()?),
        files_changed: trailer("Files: ").and_then(|count| count.parse().ok()).unwrap_or(0),
        branch: trailer("Branch: ").map(str::to_owned),
    })
}
