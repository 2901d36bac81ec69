//! Agents of all kinds at once, across the death of the daemon.

use serde_json::json;

use crate::harness::stage::{agent_pid, appends};
use crate::harness::{Event, Home, Stage, Transcript, lines, process};

/// Each speaks another protocol, and OpenCode over a server that it shares.
pub const AGENTS: [&str; 4] = ["claude", "codex", "pi", "opencode"];

struct Asking {
    agent: &'static str,
    session: String,
    seen: Transcript,
    ask: Event,
    pid: u32,
}

/// A daemon for all of them.
pub async fn stage() -> Stage {
    let mut home = Home::new();
    crate::opencode::settle_in(&mut home);
    home.extra.insert("TETHER_PI_MODEL".into(), "rig/scripted".into());
    let stage = Stage::with_agents_in(home).await;
    crate::pi::lay_providers(&stage);
    stage
}

#[tokio::test]
async fn four_agents_with_a_question_open_each_go_on_after_the_daemon_was_killed_and_each_is_answered_once() {
    let mut stage = stage().await;
    let mut all = Vec::new();
    for agent in AGENTS {
        let (session, seen) = stage.session_of(agent).await;
        let file = stage.file(agent);
        stage.api.start(&session, &format!("SAY before\n{}\nSAY over", appends(agent, &file))).await;
        all.push((agent, session, seen));
    }
    let mut asking = Vec::new();
    for (agent, session, mut seen) in all {
        let ask = seen.next("permission_request", 0, 90).await;
        assert_eq!(ask.text("kind"), "tool", "{agent}: {}", ask.raw);
        assert!(!stage.file(agent).exists(), "{agent}: nothing runs before the answer");
        let pid = agent_pid(&seen.events);
        asking.push(Asking { agent, session, seen, ask, pid });
    }

    stage.daemon.kill9();
    for Asking { agent, pid, .. } in &asking {
        assert!(process::alive(*pid), "{agent} lives on without the daemon");
    }
    stage.daemon.start().await;

    for asking in &asking {
        let open = stage.api.open_approvals(&asking.session).await;
        let ids: Vec<_> = open.iter().map(|approval| approval["id"].as_str()).collect();
        assert_eq!(ids, [Some(asking.ask.text("approval_id"))], "{}: the same question", asking.agent);
    }
    for asking in &asking {
        stage.api.allow(asking.ask.text("approval_id")).await;
    }
    // Some of the answers are on their way to their agents, and some have arrived.
    stage.daemon.kill9_and_restart().await;

    for Asking { agent, session, seen, ask, pid } in &mut asking {
        seen.idle(1, 40).await;
        assert_eq!(lines(stage.file(agent)), [*agent], "{agent}: run once");
        let said = seen.said();
        assert_eq!(
            (said.matches("before").count(), said.matches("over").count()),
            (1, 1),
            "{agent}: {said:?}"
        );
        for (kind, count) in [("permission_request", 1), ("permission_resolved", 1), ("agent_started", 1)] {
            assert_eq!(seen.of(kind).len(), count, "{agent}: {kind}");
        }
        assert_eq!(agent_pid(&seen.events), *pid, "{agent}");
        // The same answer again is none, and another one is refused.
        stage.api.allow(ask.text("approval_id")).await;
        let no = stage.api.answer(ask.text("approval_id"), json!({ "decision": "deny" })).await;
        assert_eq!(no.status, 409, "{agent}: {}", no.text);
        stage.api.input(session, "SAY still here").await;
        seen.says("still here", 40).await;
        seen.idle(2, 40).await;
        seen.check_against_replay().await;
    }
}
