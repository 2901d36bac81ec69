//! `tether list`: sessions, those that matter first.

use std::cmp::Reverse;

use tether_actors::domain::session::Session;
use tether_actors::domain::state::SessionState;

use super::args::ListArgs;
use super::output::{Column, short, table, terminal_width};
use super::status::label;
use super::{Context, Failure, attach};
use crate::api::ExternalSession;

/// Asks, filters and prints.
pub async fn run(args: &ListArgs, mut cx: Context) -> Result<(), Failure> {
    cx.remind()?;
    if args.external { external(args, cx).await } else { ours(args, cx).await }
}

async fn ours(args: &ListArgs, mut cx: Context) -> Result<(), Failure> {
    let sessions = cx.client()?.sessions().await?;
    let directory = args.directory.as_deref().map(|typed| cx.directory(typed)).transpose()?;
    let mut chosen: Vec<Session> = sessions
        .into_iter()
        .filter(|session| args.state.as_deref().is_none_or(|state| is_in(session, state)))
        .filter(|session| directory.as_deref().is_none_or(|directory| session.directory == directory))
        .collect();
    chosen.sort_by_key(|session| (rank(session.state), Reverse(session.last_activity_at)));
    chosen.truncate(args.limit.unwrap_or(usize::MAX));
    if cx.json {
        return cx.out.json(&chosen);
    }
    if chosen.is_empty() {
        return Ok(cx.out.line("No sessions.")?);
    }
    for line in lines(&chosen, terminal_width()) {
        cx.out.line(line)?;
    }
    Ok(())
}

/// Sessions of agents' own programs.
async fn external(args: &ListArgs, mut cx: Context) -> Result<(), Failure> {
    let runner = args.runner_type.as_deref().map(attach::runner).transpose()?;
    let directory = args.directory.as_deref().map(|typed| cx.directory(typed)).transpose()?;
    let limit = args.limit.unwrap_or(50);
    let found = cx.client()?.external_sessions(runner, directory.as_deref(), limit).await?;
    if cx.json {
        return cx.out.json(&found);
    }
    if found.is_empty() {
        return Ok(cx.out.line("No external sessions found.")?);
    }
    for line in external_lines(&found) {
        cx.out.line(line)?;
    }
    Ok(())
}

fn external_lines(found: &[ExternalSession]) -> Vec<String> {
    let columns = [
        Column("ID", 12),
        Column("TYPE", 13),
        Column("RUNNING", 9),
        Column("PROMPT", 30),
        Column("DIRECTORY", 30),
    ];
    let rows: Vec<Vec<String>> = found
        .iter()
        .map(|one| {
            vec![
                short(&one.id, 12).to_owned(),
                one.runner_type.to_string(),
                if one.is_running { "yes" } else { "no" }.to_owned(),
                one.first_prompt.clone().unwrap_or_default(),
                one.directory.clone(),
            ]
        })
        .collect();
    table(&columns, &rows)
}

/// The directory as the daemon stores it: absolute, links resolved where it exists.
pub fn absolute(directory: &str) -> Result<String, Failure> {
    let path = std::path::absolute(directory)
        .map_err(|error| Failure::text(format!("{directory:?} is no directory: {error}")))?;
    let path = std::fs::canonicalize(&path).unwrap_or(path);
    Ok(path.to_string_lossy().into_owned())
}

/// Accepts the API's word in any case, and the one that people see.
fn is_in(session: &Session, state: &str) -> bool {
    session.state.as_str().eq_ignore_ascii_case(state) || label(session.state).eq_ignore_ascii_case(state)
}

fn rank(state: SessionState) -> u8 {
    match state {
        SessionState::Running => 0,
        SessionState::AwaitingInput => 1,
        SessionState::Interrupting => 2,
        SessionState::Created => 3,
        SessionState::Error => 4,
    }
}

fn lines(sessions: &[Session], width: usize) -> Vec<String> {
    let directory = width.saturating_sub(12 + 16 + 30 + 3).clamp(30, 50);
    let mut columns =
        vec![Column("ID", 12), Column("STATE", 16), Column("NAME", 30), Column("DIRECTORY", directory)];
    // Behind the contract's columns, and only where there is something to tell.
    if sessions.iter().any(|session| session.branch.is_some()) {
        columns.push(Column("BRANCH", 24));
    }
    let rows: Vec<Vec<String>> = sessions
        .iter()
        .map(|session| {
            vec![
                short(session.id.as_str(), 12).to_owned(),
                label(session.state).to_owned(),
                session.name.clone().unwrap_or_default(),
                session.directory.clone(),
                session.branch.clone().unwrap_or_default(),
            ]
        })
        .collect();
    table(&columns, &rows)
}

#[cfg(test)]
pub mod tests {
    use serde_json::json;

    use super::*;

    /// A session as the API gives it.
    pub fn session(id: &str, state: &str, name: &str) -> Session {
        serde_json::from_value(json!({
            "id": id, "state": state, "name": name, "created_at": "2026-01-01T00:00:00Z", "started_at": null,
            "ended_at": null, "last_activity_at": "2026-01-01T00:00:00Z", "exit_code": null, "summary": null,
            "runner_header": null, "runner_type": null, "runner_session_id": null, "directory": "/p",
            "directory_has_git": false, "message_count": 0, "has_pending_permission": false,
            "approval_mode": null, "adapter": null, "external_agent_name": null, "external_agent_type": null,
            "external_agent_icon": null, "platform": null, "platform_thread_id": null, "clone_url": null,
            "working_branch": null,
        }))
        .expect("a session")
    }

    #[test]
    fn the_table_has_the_columns_of_the_contract() {
        let sessions = [session("sess_0123456789ab", "AWAITING_INPUT", "Fix it")];
        let rule = [12, 16, 30, 39].map(|width| "─".repeat(width)).join(" ");
        assert_eq!(
            lines(&sessions, 100),
            [
                "ID           STATE            NAME                           DIRECTORY",
                &rule,
                "sess_0123456 awaiting input   Fix it                         /p",
            ]
        );
        let on_branch =
            Session { branch: Some("main".into()), ..session("sess_0123456789ab", "RUNNING", "x") };
        let told = lines(&[on_branch], 100);
        assert!(told[0].ends_with(" BRANCH") && told[2].ends_with(" main"), "{told:?}");
        assert_eq!(lines(&sessions, 40)[1].chars().count(), 12 + 1 + 16 + 1 + 30 + 1 + 30);
        assert_eq!(lines(&sessions, 400)[1].chars().count(), 12 + 1 + 16 + 1 + 30 + 1 + 50);
    }

    #[test]
    fn sessions_of_other_programs_have_the_columns_of_the_contract() {
        let found = [attach::tests::external("0198c0de-0000-7000", "claude_code")];
        assert_eq!(
            external_lines(&found),
            [
                "ID           TYPE          RUNNING   PROMPT                         DIRECTORY",
                &[12, 13, 9, 30, 30].map(|width| "─".repeat(width)).join(" "),
                "0198c0de-000 claude_code   yes       fix the build                  /p",
            ]
        );
    }

    #[test]
    fn states_are_known_by_both_their_names() {
        let session = session("sess_1", "AWAITING_INPUT", "");
        for (word, fits) in [("awaiting_input", true), ("Awaiting Input", true), ("running", false)] {
            assert_eq!(is_in(&session, word), fits, "{word}");
        }
    }
}
