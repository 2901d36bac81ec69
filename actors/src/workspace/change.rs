//! Commit, push, branch and checkout.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::error::GitError;
use super::git::{CHANGE, Git};
use super::look::{Commit, head_branch, log};
use super::names;
use super::settings::Workspaces;

/// A commit that was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Committed {
    /// What was committed.
    #[serde(flatten)]
    pub commit: Commit,
    /// Set when the repository has hooks that were not run, because nobody said that its directory is trusted.
    #[serde(default)]
    pub hooks_skipped: bool,
}

/// A branch that was pushed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Pushed {
    /// Always true.
    pub success: bool,
    /// Where to, without a password.
    pub remote: String,
    /// Which.
    pub branch: String,
    /// Always null; older clients expect the field.
    pub message: Option<String>,
}

impl Workspaces {
    /// Commits what is staged, or with `add_all` everything that is not ignored.
    ///
    /// # Errors
    /// There is nothing to commit, a hook refuses, or git does.
    pub async fn commit(
        &self,
        folder: &Path,
        trusted: bool,
        message: &str,
        add_all: bool,
    ) -> Result<Committed, GitError> {
        let git = self.open(folder, trusted).await?;
        git.may_add().await?;
        if add_all {
            git.write(&["add", "--all", "--", "."], b"", CHANGE).await?.or_refuse()?;
        }
        // A merge may be concluded without a change.
        let merging = git.read(&["rev-parse", "--verify", "--quiet", "MERGE_HEAD"], 1000).await?.ok;
        let is_clean =
            git.read(&["diff", "--cached", "--quiet", "--no-ext-diff", "--ignore-submodules=dirty"], 1000);
        if !merging && is_clean.await?.ok {
            let text = if add_all { "working tree is clean" } else { "nothing is staged" };
            return Err(GitError::Failed(format!("Nothing to commit: {text}")));
        }
        let [name, email] = self.identity(&git);
        let mut args: Vec<&str> = Vec::new();
        for one in [&name, &email].into_iter().flatten() {
            args.extend(["-c", one]);
        }
        // The message is read, not given as an argument.
        args.extend(["commit", "--quiet", "--cleanup=whitespace", "--file=-"]);
        git.write(&args, message.as_bytes(), CHANGE).await?.or_refuse()?;
        let commit = log(&git, 1).await?.pop();
        let commit =
            commit.ok_or_else(|| GitError::Failed("the commit was made and cannot be read".to_owned()))?;
        let hooks_skipped = !git.runs_hooks() && has_commit_hooks(&git).await;
        Ok(Committed { commit, hooks_skipped })
    }

    /// Who commits where neither the person nor the repository says so.
    fn identity(&self, git: &Git<'_>) -> [Option<String>; 2] {
        let known = |name: &str, variables: [&str; 2]| {
            git.setting(name).is_some()
                || variables.iter().any(|variable| std::env::var_os(variable).is_some())
        };
        let settings = self.settings();
        let name = known("user.name", ["GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME"]);
        let email = known("user.email", ["GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"]);
        [
            (!name).then(|| format!("user.name={}", settings.user_name)),
            (!email).then(|| format!("user.email={}", settings.user_email)),
        ]
    }

    /// Pushes a branch (the one that is checked out), and has it follow the remote one if it follows none.
    ///
    /// # Errors
    /// No branch is checked out, there is no such remote, or git refuses: a password would be needed, the remote branch
    /// has commits that are not here, a hook says no.
    pub async fn push(
        &self,
        folder: &Path,
        trusted: bool,
        remote: &str,
        branch: Option<&str>,
    ) -> Result<Pushed, GitError> {
        let remote = names::remote(remote)?;
        let git = self.open(folder, trusted).await?;
        let branch = match branch {
            Some(name) => names::branch(name)?.to_owned(),
            None => current(&git).await?,
        };
        let Some(url) = git.setting(&format!("remote.{remote}.url")) else {
            return Err(GitError::Failed(format!("there is no remote {remote:?} (see: git remote)")));
        };
        let follows = git.setting(&format!("branch.{branch}.merge")).is_some();
        let refspec = format!("refs/heads/{branch}:refs/heads/{branch}");
        let mut args = vec!["push", "--porcelain", "--recurse-submodules=no"];
        if !follows {
            args.push("--set-upstream");
        }
        args.extend(["--", remote, &refspec]);
        let done = git.write(&args, b"", CHANGE).await?;
        if !done.ok {
            // What was refused and why is in the porcelain; the rest is on standard error.
            let refused: Vec<String> = done
                .text()
                .lines()
                .filter(|line| line.starts_with('!'))
                .map(|line| line.replace('\t', " "))
                .collect();
            let words = [refused.join("\n"), done.words()].into_iter().filter(|words| !words.is_empty());
            return Err(GitError::Failed(names::redacted(&words.collect::<Vec<_>>().join("\n"))));
        }
        Ok(Pushed { success: true, remote: names::redacted(&url), branch, message: None })
    }

    /// Makes a branch at the commit that is checked out, and checks it out if wanted.
    ///
    /// # Errors
    /// It is there already, or has no name that git takes.
    pub async fn new_branch(
        &self,
        folder: &Path,
        trusted: bool,
        name: &str,
        checkout: bool,
    ) -> Result<String, GitError> {
        let name = names::branch(name)?;
        let git = self.open(folder, trusted).await?;
        let args = if checkout {
            vec!["switch", "--quiet", "--create", name, "--"]
        } else {
            vec!["branch", "--no-track", "--", name]
        };
        git.write(&args, b"", CHANGE).await?.or_refuse()?;
        Ok(name.to_owned())
    }

    /// Checks a branch out; one that only a remote has is made to follow it. Changes that are not committed come along,
    /// or it is refused.
    ///
    /// # Errors
    /// There is no such branch, or changes are in the way.
    pub async fn checkout(&self, folder: &Path, trusted: bool, branch: &str) -> Result<String, GitError> {
        let name = names::branch(branch)?;
        let git = self.open(folder, trusted).await?;
        let args = ["switch", "--quiet", "--no-recurse-submodules", "--guess", name, "--"];
        git.write(&args, b"", CHANGE).await?.or_refuse()?;
        Ok(name.to_owned())
    }
}

/// The branch that is checked out.
pub async fn current(git: &Git<'_>) -> Result<String, GitError> {
    let none = || GitError::Failed("no branch is checked out (a detached HEAD): make one first".to_owned());
    let branch = head_branch(git).await?.ok_or_else(none)?;
    names::branch(&branch).map(str::to_owned)
}

/// Whether there are hooks that a commit would run.
async fn has_commit_hooks(git: &Git<'_>) -> bool {
    let Ok(told) = git.read(&["rev-parse", "--git-common-dir"], 4096).await else { return false };
    let own = git.setting("core.hookspath");
    let place =
        own.map_or_else(|| git.folder().join(told.text()).join("hooks"), |path| git.folder().join(path));
    let names = ["pre-commit", "prepare-commit-msg", "commit-msg", "post-commit"];
    names.iter().any(|name| place.join(name).exists())
}
