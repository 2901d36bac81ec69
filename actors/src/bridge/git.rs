//! A session's repository, by commands in its thread.
//!
//! Looking is for everybody who may use the bot. Whoever changes something must be named in the settings: a code that
//! was passed on must not be worth a push.

use std::path::{Path, PathBuf};

use super::actor::Deps;
use super::commands::Said;
use super::markup::{Doc, bold, code, cut, plain};
use super::typed::GitWanted;
use crate::domain::ids::SessionId;
use crate::registry::World;
use crate::session::WorkTreeChanged;
use crate::workspace::{Commit, GitError, PullRequestWanted, RepoStatus, Workspaces};

/// So many changed files are shown.
const FILES: usize = 25;
/// At most so many commits are shown.
const COMMITS: usize = 30;

/// Looks or changes. `listed` = whoever asks is named in the settings.
pub async fn run(deps: &Deps, wanted: GitWanted, session: &SessionId, listed: bool) -> Result<Said, String> {
    let workspaces = deps.world.workspaces();
    if wanted.changes() && !listed {
        let name = deps.name().to_uppercase();
        return Err(format!(
            "only people whose ids are in {name}_ALLOWED_USER_IDS change a repository from here: a code lets people \
             look, talk and answer"
        ));
    }
    let words = |error: GitError| error.to_string();
    Ok(match wanted {
        GitWanted::Unknown => {
            let prefix = deps.platform.traits().prefix;
            return Err(format!(
                "{prefix}git takes status, log, diff, commit, push, branch, checkout or pr behind it"
            ));
        }
        GitWanted::Status => {
            let (directory, trusted) = place(&deps.world, session)?;
            said(status(&workspaces.status(&directory, trusted).await.map_err(words)?))
        }
        GitWanted::Log(count) => {
            let (directory, trusted) = place(&deps.world, session)?;
            let count = count.clamp(1, COMMITS);
            said(log(&workspaces.log(&directory, trusted, count).await.map_err(words)?))
        }
        GitWanted::Commit(message) => {
            let message = given(message, "the message behind it: commit Mend the door")?;
            let made = change(deps, session, async move |workspaces, folder, trusted| {
                workspaces.commit(&folder, trusted, &message, true).await
            });
            let made = made.await?;
            let mut doc = Doc::default().line([
                plain("✅ "),
                code(made.commit.hash),
                plain(" "),
                bold(cut(&made.commit.message, 120)),
            ]);
            if made.hooks_skipped {
                doc = doc.line([plain("The repository's hooks were not run: its directory is not trusted.")]);
            }
            said(doc)
        }
        GitWanted::Push => {
            let done = change(deps, session, async move |workspaces, folder, trusted| {
                workspaces.push(&folder, trusted, "origin", None).await
            });
            let done = done.await?;
            said(Doc::default().line([plain("⬆️ "), bold(done.branch), plain(" is at "), code(done.remote)]))
        }
        GitWanted::Branch(name) => {
            let name = given(name, "the new branch's name behind it")?;
            let done = change(deps, session, async move |workspaces, folder, trusted| {
                workspaces.new_branch(&folder, trusted, &name, true).await
            });
            said(Doc::default().line([plain("🌿 on the new branch "), bold(done.await?)]))
        }
        GitWanted::Checkout(name) => {
            let name = given(name, "the branch behind it")?;
            let done = change(deps, session, async move |workspaces, folder, trusted| {
                workspaces.checkout(&folder, trusted, &name).await
            });
            said(Doc::default().line([plain("🌿 on "), bold(done.await?)]))
        }
        GitWanted::Request { title, draft } => {
            let title = given(title, "its title behind it: pr Mend the door")?;
            let wanted = PullRequestWanted { title, body: String::new(), base: None, draft, auto_push: true };
            let made = change(deps, session, async move |workspaces, folder, trusted| {
                workspaces.pull_request(&folder, trusted, &wanted).await
            });
            said(Doc::text(&format!("🔀 {}", made.await?.url)))
        }
    })
}

fn said(doc: Doc) -> Said {
    Said { doc, ..Said::default() }
}

fn given(words: String, what: &str) -> Result<String, String> {
    if words.trim().is_empty() { Err(format!("give {what}")) } else { Ok(words) }
}

/// The session's directory, and whether a person said that it is trusted.
fn place(world: &World, session: &SessionId) -> Result<(PathBuf, bool), String> {
    let entry = world.read_model().session(session).ok_or("the session is gone")?;
    let directory = PathBuf::from(&entry.record.session.directory);
    let trusted = world.read_model().trust_in(&directory).is_some_and(|said| said.trusted);
    Ok((directory, trusted))
}

/// Changes something while no turn runs, to its end whatever becomes of the bridge.
async fn change<T: 'static>(
    deps: &Deps,
    session: &SessionId,
    work: impl AsyncFnOnce(Workspaces, PathBuf, bool) -> Result<T, GitError> + 'static,
) -> Result<T, String> {
    let (world, session) = (deps.world.clone(), session.clone());
    let done = actix::spawn(async move {
        let _held = world.hold_turns(&session).await.map_err(|error| error.to_string())?;
        let (directory, trusted) = place(&world, &session)?;
        let result = work(world.workspaces().clone(), directory, trusted).await;
        let told = world.work_tree_changed(&session, WorkTreeChanged { checkpoint: None }).await;
        told.map_err(|error| error.to_string())?;
        result.map_err(|error| error.to_string())
    });
    done.await.unwrap_or_else(|_| Err("the daemon is stopping".to_owned()))
}

fn status(status: &RepoStatus) -> Doc {
    let mut head = vec![plain("🌿 "), bold(status.branch.clone())];
    if let Some(remote) = &status.remote_branch {
        head.push(plain(format!(" · {remote}, {} ahead, {} behind", status.ahead, status.behind)));
    }
    let mut doc = Doc::default().line(head);
    if let Some(commit) = &status.last_commit {
        doc = doc.line([code(commit.hash.clone()), plain(" "), plain(cut(&commit.message, 100))]);
    }
    if !status.dirty {
        return doc.line([plain("Nothing is changed.")]);
    }
    for file in status.changed_files.iter().take(FILES) {
        let staged = if file.staged { " (staged)" } else { "" };
        let what = if file.conflicted { "in conflict" } else { &file.status };
        doc = doc.line([plain("• "), code(cut(&file.path, 120)), plain(format!(" {what}{staged}"))]);
    }
    let more = status.changed_files.len().saturating_sub(FILES);
    if more > 0 || status.truncated {
        doc = doc.line([plain(format!("… and {more} more"))]);
    }
    doc
}

fn log(commits: &[Commit]) -> Doc {
    if commits.is_empty() {
        return Doc::text("There are no commits yet.");
    }
    commits.iter().fold(Doc::default(), |doc, commit| {
        let by = format!(" · {} · {}", cut(&commit.author, 40), commit.timestamp);
        doc.line([code(commit.hash.clone()), plain(" "), bold(cut(&commit.message, 100)), plain(by)])
    })
}

/// What is changed in a session's directory.
pub async fn diff(deps: &Deps, session: &SessionId) -> Result<String, String> {
    let entry = deps.world.read_model().session(session).ok_or("the session is gone")?;
    let directory = Path::new(&entry.record.session.directory);
    Ok(deps.world.workspaces().diff(directory).await.map_err(|error| error.to_string())?.diff)
}
