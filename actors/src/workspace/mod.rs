//! Repositories and work trees: looked at, changed, cloned, saved and put back.
//!
//! Everything here runs the git program (2.38 or newer; `gh` and `glab` for pull requests), and no library stands in
//! for it. Commits with hooks, signatures, credential helpers, `url.*.insteadOf`, partial clones, worktrees and
//! transports behave then as people know them, and what git says is what they can search for; reading status, log and
//! diff through the same program costs a few milliseconds and keeps one view of the index, of filters and of ignored
//! files instead of two, and the binary small. The branch name alone is read by us (`head`), since it is wanted with
//! every turn of every session.
//!
//! Nothing here is an actor or runs on an actor's thread: every call is awaited, has a limit of time and output, and
//! ends what it started when it takes too long.

mod change;
mod checkpoint;
mod clone;
mod command;
mod diff;
mod disk;
mod error;
mod git;
mod head;
mod look;
mod names;
mod request;
mod rules;
mod settings;
#[cfg(test)]
mod tests;

pub use change::{Committed, Pushed};
pub use checkpoint::{Against, Checkpoint, CheckpointDiff, Restored};
pub use clone::{MadeWorkspace, Source};
pub use diff::{Diff, FileDiff, StagedDiff};
pub use disk::{FoundWorkspace, KnownRepo, Removed};
pub use error::GitError;
pub use head::{branch_of, is_top};
pub use look::{ChangedFile, Commit, RepoStatus};
pub use names::{branch as branch_name, clone_url, redacted};
pub use request::{PullRequest, PullRequestWanted};
pub use settings::{WorkspaceSettings, Workspaces};
