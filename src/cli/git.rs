//! `tether git`: a session's repository (`contract`: command line, section 6).

use tether_actors::workspace::{Checkpoint, Commit, PullRequestWanted, RepoStatus};

use super::args::{GitAction, GitArgs};
use super::output::{exact, one_line, short};
use super::{Context, Failure, resolve};

/// Looks or changes, and prints.
pub async fn run(args: GitArgs, mut cx: Context) -> Result<(), Failure> {
    let client = cx.client()?;
    let session = resolve::session(&client, args.action.session()).await?;
    let id = session.id.as_str();
    match args.action {
        GitAction::Status(_) => {
            let status = client.git_status(id).await?;
            if cx.json {
                return cx.out.json(&status);
            }
            print(&mut cx, status_lines(&status))
        }
        GitAction::Log { count, .. } => {
            let log = client.git_log(id, count).await?;
            if cx.json {
                return cx.out.json(&log);
            }
            print(&mut cx, log.iter().map(log_line))
        }
        GitAction::Diff { staged, .. } => {
            let (text, truncated) = if staged {
                let diff = client.staged_diff(id).await?;
                if cx.json {
                    return cx.out.json(&diff);
                }
                (diff.patch, diff.truncated)
            } else {
                let diff = client.diff(id).await?;
                if cx.json {
                    return cx.out.json(&diff);
                }
                (diff.diff, diff.truncated)
            };
            patch(&mut cx, &text, truncated)
        }
        GitAction::Commit { message, staged, .. } => {
            let made = client.git_commit(id, &message, !staged).await?;
            if cx.json {
                return cx.out.json(&made);
            }
            if made.hooks_skipped {
                let place = &session.directory;
                eprintln!(
                    "Note: the repository's hooks were not run (to have them run: tether trust yes {place})"
                );
            }
            Ok(cx.out.line(format!("Committed {}: {}", made.commit.hash, one_line(&made.commit.message)))?)
        }
        GitAction::Push { remote, branch, .. } => {
            let done = client.git_push(id, &remote, branch.as_deref()).await?;
            if cx.json {
                return cx.out.json(&done);
            }
            Ok(cx.out.line(format!("Pushed {} to {}", done.branch, one_line(&done.remote)))?)
        }
        GitAction::Branch { name, no_checkout, .. } => {
            client.git_branch(id, &name, !no_checkout).await?;
            let done = if no_checkout { "Created branch" } else { "Created and checked out branch" };
            branch(&mut cx, done, &name)
        }
        GitAction::Checkout { branch: name, .. } => {
            client.git_checkout(id, &name).await?;
            branch(&mut cx, "Switched to branch", &name)
        }
        GitAction::Pr { title, body, base, draft, no_push, .. } => {
            let wanted = PullRequestWanted { title, body, base, draft, auto_push: !no_push };
            let made = client.git_pull_request(id, &wanted).await?;
            if cx.json {
                return cx.out.json(&made);
            }
            let kind = if made.forge == "gitlab" { "MR" } else { "PR" };
            let draft = if made.draft { " (draft)" } else { "" };
            Ok(cx.out.line(format!("{kind} created: {}{draft}", one_line(&made.url)))?)
        }
        GitAction::Checkpoints { number: Some(number), now, .. } => {
            let told = client.checkpoint_diff(id, number, now).await?;
            if cx.json {
                return cx.out.json(&told);
            }
            patch(&mut cx, &told.patch, told.truncated)
        }
        GitAction::Checkpoints { save: true, .. } => {
            let made = client.save_checkpoint(id).await?;
            if cx.json {
                return cx.out.json(&made);
            }
            match made {
                Some(made) => Ok(cx.out.line(format!("Saved checkpoint {}", made.number))?),
                None => Ok(cx.out.line("Nothing changed since the last checkpoint.")?),
            }
        }
        GitAction::Checkpoints { .. } => {
            let all = client.checkpoints(id).await?;
            if cx.json {
                return cx.out.json(&all);
            }
            if all.is_empty() {
                return Ok(cx.out.line("No checkpoints.")?);
            }
            print(&mut cx, all.iter().map(checkpoint_line))
        }
        GitAction::Restore { number, .. } => {
            let done = client.restore(id, number).await?;
            if cx.json {
                return cx.out.json(&done);
            }
            let (files, saved) = (done.files_changed, done.saved.number);
            let s = if files == 1 { "" } else { "s" };
            cx.out.line(format!("Restored checkpoint {number} ({files} file{s} changed)"))?;
            let id = short(id, 12);
            Ok(cx
                .out
                .line(format!("What was before is checkpoint {saved}: tether git restore {id} {saved}"))?)
        }
    }
}

fn print(cx: &mut Context, lines: impl IntoIterator<Item = String>) -> Result<(), Failure> {
    for line in lines {
        cx.out.line(line)?;
    }
    Ok(())
}

/// A diff as it is, so that it can be applied; on a terminal nothing in it steers that.
fn patch(cx: &mut Context, text: &str, truncated: bool) -> Result<(), Failure> {
    use std::io::IsTerminal as _;
    if text.is_empty() {
        return Ok(cx.out.line("No changes.")?);
    }
    if std::io::stdout().is_terminal() {
        cx.out.text(&exact(text))?;
    } else {
        use std::io::Write as _;
        std::io::stdout().lock().write_all(text.as_bytes())?;
    }
    if truncated {
        eprintln!("Note: parts were left out because they are too long, or no plain files");
    }
    Ok(())
}

fn branch(cx: &mut Context, done: &str, name: &str) -> Result<(), Failure> {
    if cx.json {
        return cx.out.json(&serde_json::json!({ "branch": name }));
    }
    Ok(cx.out.line(format!("{done} {name}"))?)
}

fn status_lines(status: &RepoStatus) -> Vec<String> {
    let follows = status.remote_branch.as_ref().map(|remote| {
        format!("  (tracking {}, ahead {}, behind {})", one_line(remote), status.ahead, status.behind)
    });
    let mut lines = vec![format!("Branch:  {}{}", one_line(&status.branch), follows.unwrap_or_default())];
    if let Some(url) = &status.remote_url {
        lines.push(format!("Remote:  {}", one_line(url)));
    }
    lines.push(if status.dirty {
        let (staged, unstaged, untracked) =
            (status.staged_count, status.unstaged_count, status.untracked_count);
        format!("Status:  dirty  ({staged} staged, {unstaged} unstaged, {untracked} untracked)")
    } else {
        "Status:  clean".to_owned()
    });
    if let Some(last) = &status.last_commit {
        let (message, author) = (one_line(&last.message), one_line(&last.author));
        lines.push(format!("Last:    {}  {message}  ({author}, {})", last.hash, moment(last)));
    }
    lines
}

fn log_line(commit: &Commit) -> String {
    let day = moment(commit).split(' ').next().unwrap_or_default().to_owned();
    format!("{}  {day}  {}  ({})", commit.hash, one_line(&commit.message), one_line(&commit.author))
}

fn checkpoint_line(checkpoint: &Checkpoint) -> String {
    let when = checkpoint.created_at.to_string().replace('T', " ");
    let s = if checkpoint.files_changed == 1 { " " } else { "s" };
    format!(
        "{:>4}  {}  {:>4} file{s}  {}",
        checkpoint.number,
        when.trim_end_matches('Z'),
        checkpoint.files_changed,
        one_line(checkpoint.message.trim_start_matches("[tether] ")),
    )
}

/// `2026-01-02 03:04:05`, UTC.
fn moment(commit: &Commit) -> String {
    commit.timestamp.to_string().replace('T', " ").trim_end_matches('Z').to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn status_and_log_have_the_lines_of_the_contract() {
        let commit = json!({ "hash": "abc1234", "message": "subject", "author": "author", "timestamp": "2026-01-02T03:04:05Z" });
        let status: RepoStatus = serde_json::from_value(json!({
            "branch": "main", "remote_url": "https://h/x", "remote_branch": "origin/main", "ahead": 1, "behind": 0,
            "dirty": true, "changed_files": [], "staged_count": 1, "unstaged_count": 2, "untracked_count": 1,
            "last_commit": commit, "is_worktree": false,
        }))
        .expect("a status");
        assert_eq!(
            status_lines(&status),
            [
                "Branch:  main  (tracking origin/main, ahead 1, behind 0)",
                "Remote:  https://h/x",
                "Status:  dirty  (1 staged, 2 unstaged, 1 untracked)",
                "Last:    abc1234  subject  (author, 2026-01-02 03:04:05)",
            ]
        );
        let commit: Commit = serde_json::from_value(commit).expect("a commit");
        assert_eq!(log_line(&commit), "abc1234  2026-01-02  subject  (author)");
    }

    #[test]
    fn checkpoints_are_listed_with_number_time_and_occasion() {
        let one: Checkpoint = serde_json::from_value(json!({
            "number": 3, "commit_hash": "x", "message": "[tether] checkpoint after turn 2",
            "created_at": "2026-01-02T03:04:05Z", "files_changed": 2, "branch": "main",
        }))
        .expect("a checkpoint");
        assert_eq!(checkpoint_line(&one), "   3  2026-01-02 03:04:05     2 files  checkpoint after turn 2");
    }
}
