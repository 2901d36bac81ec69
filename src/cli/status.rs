//! `tether status`: whether the daemon runs, and what it has to do.

use serde_json::json;
use tether_actors::domain::session::Session;
use tether_actors::domain::state::SessionState;

use super::output::{one_line, short};
use super::{Context, Failure};
use crate::client::BridgeStatus;

/// Asks and prints.
pub async fn run(mut cx: Context) -> Result<(), Failure> {
    cx.remind()?;
    let client = cx.client()?;
    let health = client.health().await?;
    let sessions = client.sessions().await?;
    let bridges = client.bridges().await?;
    let word = if health.ok { "ok" } else { "not ok" };
    if cx.json {
        let by_state: serde_json::Map<_, _> = counts(&sessions)
            .into_iter()
            .map(|(state, count)| (state.as_str().to_owned(), count.into()))
            .collect();
        return cx.out.json(&json!({
            "server": client.url(), "ok": health.ok, "version": health.version, "problem": health.problem,
            "sessions": { "total": sessions.len(), "by_state": by_state }, "bridges": bridges,
        }));
    }
    cx.out.line(format!("Server:   {} ({word})", client.url()))?;
    cx.out.line(format!("Version:  {}", health.version))?;
    if let Some(problem) = &health.problem {
        cx.out.line(format!("Problem:  {problem}"))?;
    }
    cx.out.line(format!("Sessions: {}", sessions.len()))?;
    let counts: Vec<String> =
        counts(&sessions).iter().map(|(state, count)| format!("{count} {}", label(*state))).collect();
    if !counts.is_empty() {
        cx.out.line(format!("          {}", counts.join(", ")))?;
    }
    for line in active_lines(&sessions) {
        cx.out.line(line)?;
    }
    let waiting = sessions.iter().filter(|session| session.has_pending_permission).count();
    if waiting > 0 {
        cx.out.line(format!("          {waiting} waiting for an approval (see: tether approvals)"))?;
    }
    if let Some(bridges) = bridges {
        cx.out.line(format!("Bridges:  {}", bridges_line(&bridges)))?;
    }
    Ok(())
}

/// At most so many sessions that are at work are told one by one.
const ACTIVE: usize = 5;

/// Where agents are at work.
fn active_lines(sessions: &[Session]) -> Vec<String> {
    let active: Vec<&Session> = sessions.iter().filter(|session| session.state.is_active()).collect();
    let told = active.iter().take(ACTIVE).map(|session| {
        let branch =
            session.branch.as_ref().map(|branch| format!(" ({})", one_line(branch))).unwrap_or_default();
        let place = if session.directory.is_empty() { "no directory" } else { &session.directory };
        let (id, state) = (short(session.id.as_str(), 12), label(session.state));
        format!("          {id} {state} in {}{branch}", one_line(place))
    });
    let rest = active.len().saturating_sub(ACTIVE);
    told.chain((rest > 0).then(|| format!("          and {rest} more"))).collect()
}

/// How many sessions there are in each state that any is in.
fn counts(sessions: &[Session]) -> Vec<(SessionState, usize)> {
    SessionState::ALL
        .into_iter()
        .map(|state| (state, sessions.iter().filter(|session| session.state == state).count()))
        .filter(|(_, count)| *count > 0)
        .collect()
}

/// What people call a state.
pub fn label(state: SessionState) -> &'static str {
    match state {
        SessionState::Created => "created",
        SessionState::Running => "running",
        SessionState::AwaitingInput => "awaiting input",
        SessionState::Interrupting => "stopping",
        SessionState::Error => "error",
    }
}

/// The bridges on one line.
pub fn bridges_line(bridges: &[BridgeStatus]) -> String {
    let told: Vec<String> = bridges
        .iter()
        .filter(|bridge| bridge.status != "not_configured")
        .map(|bridge| match &bridge.error_message {
            Some(error) => format!("{} ({}: {error})", bridge.platform, bridge.status),
            None => match &bridge.identity {
                Some(identity) => format!("{} ({}, {identity})", bridge.platform, bridge.status),
                None => format!("{} ({})", bridge.platform, bridge.status),
            },
        })
        .collect();
    if told.is_empty() { "none connected".to_owned() } else { told.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agents_at_work_are_told_with_directory_and_branch() {
        let session = |id: &str, state: &str| super::super::list::tests::session(id, state, "x");
        let on_branch = Session { branch: Some("main".into()), ..session("sess_0123456789ab", "RUNNING") };
        let lines = active_lines(&[on_branch, session("sess_2", "ERROR")]);
        assert_eq!(lines, ["          sess_0123456 running in /p (main)"]);
        let many: Vec<Session> = (0..7).map(|_| session("sess_1", "RUNNING")).collect();
        assert_eq!(active_lines(&many).last().map(String::as_str), Some("          and 2 more"));
    }

    #[test]
    fn bridges_that_nobody_set_up_are_not_told() {
        let bridge = |platform: &str, status: &str, error: Option<&str>| BridgeStatus {
            platform: platform.into(),
            status: status.into(),
            error_message: error.map(str::to_owned),
            identity: None,
            outbox: 0,
        };
        assert_eq!(bridges_line(&[bridge("slack", "not_configured", None)]), "none connected");
        let two = [bridge("telegram", "running", None), bridge("slack", "error", Some("bad token"))];
        assert_eq!(bridges_line(&two), "telegram (running), slack (error: bad token)");
    }
}
