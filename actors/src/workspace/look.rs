//! Status and log.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::error::GitError;
use super::git::{Git, SHORT};
use super::names::redacted;
use super::settings::Workspaces;
use crate::domain::time::Stamp;

/// As much of a status is read; the rest is left out, which is said.
const STATUS_BYTES: usize = 2 << 20;

/// How a work tree stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct RepoStatus {
    /// The branch; `HEAD` while none is checked out.
    pub branch: String,
    /// Where it is pushed to, without a password.
    pub remote_url: Option<String>,
    /// The remote branch that it follows (`origin/main`).
    pub remote_branch: Option<String>,
    /// Commits that the remote branch lacks.
    pub ahead: u64,
    /// Commits that it has and we lack, as of the last fetch.
    pub behind: u64,
    /// Whether anything is not committed.
    pub dirty: bool,
    /// What is not committed. A file that was staged and edited again is in it twice.
    pub changed_files: Vec<ChangedFile>,
    /// Staged files.
    pub staged_count: usize,
    /// Files with changes that are not staged.
    pub unstaged_count: usize,
    /// Files that git does not know.
    pub untracked_count: usize,
    /// The newest commit.
    pub last_commit: Option<Commit>,
    /// Whether it is one of several work trees of a repository.
    pub is_worktree: bool,
    /// Whether there are more files than are listed.
    #[serde(default)]
    pub truncated: bool,
}

/// A file that is not as it was committed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ChangedFile {
    /// Its path within the directory.
    pub path: String,
    /// `modified`, `added`, `deleted`, `renamed` or `untracked`.
    pub status: String,
    /// Whether the change is staged.
    pub staged: bool,
    /// What it was called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old_path: Option<String>,
    /// Whether a merge left it in two versions.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub conflicted: bool,
}

/// A commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Commit {
    /// The beginning of its name.
    pub hash: String,
    /// Its first line.
    pub message: String,
    /// Who wrote it.
    pub author: String,
    /// When it was committed.
    #[schema(value_type = String)]
    pub timestamp: Stamp,
}

impl Workspaces {
    /// How the work tree stands.
    ///
    /// # Errors
    /// It is none, or git cannot read it.
    pub async fn status(&self, folder: &Path, trusted: bool) -> Result<RepoStatus, GitError> {
        let _leave = self.look().await?;
        let git = self.open(folder, trusted).await?;
        let args = [
            "status",
            "--porcelain=v2",
            "--branch",
            "-z",
            "--untracked-files=all",
            "--ignore-submodules=dirty",
            "--find-renames",
        ];
        let told = git.read(&args, STATUS_BYTES).await?.or_refuse()?;
        let mut status = parse(&told.stdout);
        status.truncated = told.cut;
        let remote =
            status.remote_branch.as_deref().and_then(|name| name.split_once('/')).map(|(remote, _)| remote);
        let of_remote = |remote: &str| git.setting(&format!("remote.{remote}.url"));
        status.remote_url =
            remote.and_then(of_remote).or_else(|| of_remote("origin")).map(|url| redacted(&url));
        status.last_commit = log(&git, 1).await?.pop();
        status.is_worktree =
            tokio::fs::metadata(folder.join(".git")).await.is_ok_and(|found| found.is_file());
        Ok(status)
    }

    /// The newest commits, newest first.
    ///
    /// # Errors
    /// As above.
    pub async fn log(&self, folder: &Path, trusted: bool, count: usize) -> Result<Vec<Commit>, GitError> {
        let _leave = self.look().await?;
        log(&self.open(folder, trusted).await?, count).await
    }
}

/// The newest commits; none where nothing is committed yet.
pub async fn log(git: &Git<'_>, count: usize) -> Result<Vec<Commit>, GitError> {
    if head_commit(git).await?.is_none() {
        return Ok(Vec::new());
    }
    let count = format!("--max-count={count}");
    let format = "--format=%h%x1f%s%x1f%an%x1f%ct";
    let args = ["log", "-z", "--no-show-signature", "--no-color", &count, format, "HEAD", "--"];
    let told = git.read(&args, 1 << 20).await?.or_refuse()?;
    let text = String::from_utf8_lossy(&told.stdout).into_owned();
    let commits = text.split('\0').filter_map(|one| {
        let mut fields = one.split('\u{1f}');
        let (hash, message, author) = (fields.next()?, fields.next()?, fields.next()?);
        Some(Commit {
            hash: hash.to_owned(),
            message: message.to_owned(),
            author: author.to_owned(),
            timestamp: Stamp::from_unix(fields.next()?.trim().parse().ok()?),
        })
    });
    Ok(commits.collect())
}

/// The commit that is checked out; `None` before the first one.
pub async fn head_commit(git: &Git<'_>) -> Result<Option<String>, GitError> {
    let told = git.read(&["rev-parse", "--verify", "--quiet", "HEAD^{commit}"], SHORT).await?;
    Ok(told.ok.then(|| told.text()))
}

/// The branch that is checked out; `None` while none is.
pub async fn head_branch(git: &Git<'_>) -> Result<Option<String>, GitError> {
    let told = git.read(&["symbolic-ref", "--quiet", "--short", "HEAD"], SHORT).await?;
    Ok(told.ok.then(|| told.text()))
}

/// Reads `git status --porcelain=v2 --branch -z` (git-status(1), git 2.47).
fn parse(text: &[u8]) -> RepoStatus {
    let mut status = RepoStatus {
        branch: "HEAD".to_owned(),
        remote_url: None,
        remote_branch: None,
        ahead: 0,
        behind: 0,
        dirty: false,
        changed_files: Vec::new(),
        staged_count: 0,
        unstaged_count: 0,
        untracked_count: 0,
        last_commit: None,
        is_worktree: false,
        truncated: false,
    };
    let text = String::from_utf8_lossy(text).into_owned();
    let mut records = text.split('\0');
    while let Some(record) = records.next() {
        let Some((kind, rest)) = record.split_once(' ') else { continue };
        match kind {
            "#" => header(&mut status, rest),
            // XY, submodule, three modes, two names, path.
            "1" => changed(&mut status, rest, 6, None),
            // ... and a score before the path; what it was called follows.
            "2" => {
                let old = records.next().map(str::to_owned);
                changed(&mut status, rest, 7, old);
            }
            // XY, submodule, four modes, three names, path.
            "u" => {
                status.unstaged_count += 1;
                let path = rest.splitn(10, ' ').nth(9).unwrap_or_default().to_owned();
                let status_word = "modified".to_owned();
                let file = ChangedFile {
                    path,
                    status: status_word,
                    staged: false,
                    old_path: None,
                    conflicted: true,
                };
                status.changed_files.push(file);
            }
            "?" => {
                status.untracked_count += 1;
                let (path, word) = (rest.to_owned(), "untracked".to_owned());
                let file =
                    ChangedFile { path, status: word, staged: false, old_path: None, conflicted: false };
                status.changed_files.push(file);
            }
            _ => {}
        }
    }
    status.dirty = !status.changed_files.is_empty();
    status
}

fn header(status: &mut RepoStatus, text: &str) {
    match text.split_once(' ') {
        Some(("branch.head", name)) if name != "(detached)" => name.clone_into(&mut status.branch),
        Some(("branch.upstream", name)) => status.remote_branch = Some(name.to_owned()),
        Some(("branch.ab", counts)) => {
            for count in counts.split(' ') {
                let number = count.get(1..).and_then(|digits| digits.parse().ok()).unwrap_or(0);
                match count.as_bytes().first() {
                    Some(b'+') => status.ahead = number,
                    Some(b'-') => status.behind = number,
                    _ => {}
                }
            }
        }
        _ => {}
    }
}

/// A changed file: `fields` of the record lie before its path, the first of them the two letters.
fn changed(status: &mut RepoStatus, record: &str, fields: usize, old: Option<String>) {
    let mut parts = record.splitn(fields + 2, ' ');
    let letters = parts.next().unwrap_or_default();
    let Some(path) = parts.nth(fields) else { return };
    for (letter, staged) in letters.chars().zip([true, false]) {
        let word = match letter {
            'M' | 'T' => "modified",
            'A' | 'C' => "added",
            'D' => "deleted",
            'R' => "renamed",
            _ => continue,
        };
        if staged {
            status.staged_count += 1;
        } else {
            status.unstaged_count += 1;
        }
        status.changed_files.push(ChangedFile {
            path: path.to_owned(),
            status: word.to_owned(),
            staged,
            old_path: old.clone().filter(|_| letter == 'R' || letter == 'C'),
            conflicted: false,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_record_is_read() {
        let text = "# branch.oid 1234\0# branch.head main\0# branch.upstream origin/main\0# branch.ab +2 -1\0\
            1 MM N... 100644 100644 100644 aaaa bbbb both times\0\
            1 .D N... 100644 100644 000000 aaaa aaaa gone\0\
            2 R. N... 100644 100644 100644 aaaa aaaa R100 new name\0old name\0\
            u UU N... 100644 100644 100644 100644 aaaa bbbb cccc torn apart\0\
            ? fresh file\0! ignored\0";
        let status = parse(text.as_bytes());
        assert_eq!((status.branch.as_str(), status.ahead, status.behind), ("main", 2, 1));
        assert_eq!(status.remote_branch.as_deref(), Some("origin/main"));
        assert_eq!((status.staged_count, status.unstaged_count, status.untracked_count), (2, 3, 1));
        let files: Vec<(&str, &str, bool)> = status
            .changed_files
            .iter()
            .map(|file| (file.path.as_str(), file.status.as_str(), file.staged))
            .collect();
        assert_eq!(
            files,
            [
                ("both times", "modified", true),
                ("both times", "modified", false),
                ("gone", "deleted", false),
                ("new name", "renamed", true),
                ("torn apart", "modified", false),
                ("fresh file", "untracked", false),
            ]
        );
        assert_eq!(status.changed_files[3].old_path.as_deref(), Some("old name"));
        assert!(status.changed_files[4].conflicted && status.dirty);
    }

    #[test]
    fn a_clean_and_detached_work_tree_and_nonsense_are_read() {
        let status = parse(b"# branch.oid 1234\0# branch.head (detached)\0");
        assert_eq!((status.branch.as_str(), status.dirty), ("HEAD", false));
        assert!(parse(b"1\0" as &[u8]).changed_files.is_empty() && !parse(b"2 R. x\0").dirty);
    }
}
