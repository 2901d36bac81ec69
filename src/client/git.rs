//! Repositories of sessions, and work trees that were made for them.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use tether_actors::workspace::{
    Checkpoint, CheckpointDiff, Commit, Committed, Diff, PullRequest, PullRequestWanted, Pushed, RepoStatus,
    Restored, StagedDiff,
};

use super::{Client, ClientError, LONG_PATIENCE};
use crate::api::{Cleaned, WorkspaceList};

/// How long what hooks and remotes may be part of can take.
const CHANGING: Duration = Duration::from_secs(150);

impl Client {
    /// How the work tree stands.
    pub async fn git_status(&self, session: &str) -> Result<RepoStatus, ClientError> {
        self.call(self.request(Method::GET, &["api", "sessions", session, "git"])).await
    }

    /// The newest commits.
    pub async fn git_log(&self, session: &str, count: usize) -> Result<Vec<Commit>, ClientError> {
        let request = self.request(Method::GET, &["api", "sessions", session, "git", "log"]);
        self.call(request.query(&[("count", count)])).await
    }

    /// What is changed since the last commit.
    pub async fn diff(&self, session: &str) -> Result<Diff, ClientError> {
        self.call(self.request(Method::GET, &["api", "sessions", session, "diff"]).timeout(LONG_PATIENCE))
            .await
    }

    /// What is staged.
    pub async fn staged_diff(&self, session: &str) -> Result<StagedDiff, ClientError> {
        let request = self.request(Method::GET, &["api", "sessions", session, "git", "diff"]);
        self.call(request.query(&[("staged", true)])).await
    }

    /// Commits.
    pub async fn git_commit(
        &self,
        session: &str,
        message: &str,
        add_all: bool,
    ) -> Result<Committed, ClientError> {
        self.change(session, &["commit"], &json!({ "message": message, "add_all": add_all })).await
    }

    /// Pushes a branch; the one that is checked out if none is named.
    pub async fn git_push(
        &self,
        session: &str,
        remote: &str,
        branch: Option<&str>,
    ) -> Result<Pushed, ClientError> {
        self.change(session, &["push"], &json!({ "remote": remote, "branch": branch })).await
    }

    /// Makes a branch.
    pub async fn git_branch(&self, session: &str, name: &str, checkout: bool) -> Result<(), ClientError> {
        self.change::<serde_json::Value>(session, &["branch"], &json!({ "name": name, "checkout": checkout }))
            .await
            .map(drop)
    }

    /// Checks a branch out.
    pub async fn git_checkout(&self, session: &str, branch: &str) -> Result<(), ClientError> {
        self.change::<serde_json::Value>(session, &["checkout"], &json!({ "branch": branch })).await.map(drop)
    }

    /// Makes a pull request.
    pub async fn git_pull_request(
        &self,
        session: &str,
        wanted: &PullRequestWanted,
    ) -> Result<PullRequest, ClientError> {
        let PullRequestWanted { title, body, base, draft, auto_push } = wanted;
        let body =
            json!({ "title": title, "body": body, "base": base, "draft": draft, "auto_push": auto_push });
        self.change(session, &["pr"], &body).await
    }

    /// The saved states of the work tree, the newest first.
    pub async fn checkpoints(&self, session: &str) -> Result<Vec<Checkpoint>, ClientError> {
        self.call(self.request(Method::GET, &["api", "sessions", session, "git", "checkpoints"])).await
    }

    /// Saves the work tree; `None` = nothing changed since the last checkpoint.
    pub async fn save_checkpoint(&self, session: &str) -> Result<Option<Checkpoint>, ClientError> {
        self.change(session, &["checkpoints"], &json!({})).await
    }

    /// What a checkpoint changed, or with `now` what was changed since.
    pub async fn checkpoint_diff(
        &self,
        session: &str,
        number: u64,
        now: bool,
    ) -> Result<CheckpointDiff, ClientError> {
        let number = number.to_string();
        let request = self.request(Method::GET, &["api", "sessions", session, "git", "checkpoints", &number]);
        let against = if now { "now" } else { "previous" };
        self.call(request.query(&[("against", against)]).timeout(CHANGING)).await
    }

    /// Puts the work tree back.
    pub async fn restore(&self, session: &str, number: u64) -> Result<Restored, ClientError> {
        self.change(session, &["checkpoints", &number.to_string(), "restore"], &json!({})).await
    }

    /// Work trees that were made for sessions; with `stale` only those whose session is gone or rests for long.
    pub async fn workspaces(&self, stale: bool) -> Result<WorkspaceList, ClientError> {
        let request = self.request(Method::GET, &["api", "status", "workspaces"]);
        self.call(request.query(&[("stale_only", stale)]).timeout(CHANGING)).await
    }

    /// Removes those whose session is gone.
    pub async fn clean_workspaces(&self) -> Result<Cleaned, ClientError> {
        let request = self.request(Method::DELETE, &["api", "status", "workspaces", "orphans"]);
        self.call(request.timeout(CHANGING)).await
    }

    async fn change<T: serde::de::DeserializeOwned>(
        &self,
        session: &str,
        what: &[&str],
        body: &serde_json::Value,
    ) -> Result<T, ClientError> {
        let path: Vec<&str> = ["api", "sessions", session, "git"].iter().chain(what).copied().collect();
        self.call(self.request(Method::POST, &path).json(body).timeout(CHANGING)).await
    }
}
