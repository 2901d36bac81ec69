//! `kill -9` of the agent: it comes back, resumes its conversation and goes on; when it keeps dying it is held.

use serde_json::json;

use crate::harness::stage::{agent_pid, appends, lasts};
use crate::harness::{Stage, eventually, lines, process};

#[tokio::test]
async fn killed_in_mid_turn_it_comes_back_resumes_and_goes_on() {
    let stage = Stage::with_agents().await;
    let file = stage.file("out");
    let prompt = format!("{}\nHOLD gate\n{}\nSAY over", appends("1", &file), appends("2", &file));
    let (id, mut seen) = stage.started(&prompt).await;
    let first = seen.asked(0).await;
    stage.api.allow(first.text("approval_id")).await;
    stage.model().held("gate").await;
    let (pid, conversation) =
        (agent_pid(&seen.events), stage.api.session(&id).await["runner_session_id"].clone());

    assert!(process::kill9(pid));
    let exited = seen.next("agent_exited", first.seq, 20).await;
    assert_eq!(exited.data["cause"], "crash", "{}", exited.raw);
    seen.next("agent_restarting", exited.seq, 10).await;
    let again = seen.next("agent_started", exited.seq, 20).await;
    assert_eq!(again.data["resumed"], true, "{}", again.raw);
    assert_ne!(agent_pid(&seen.events), pid);
    stage.model().release("gate").await;

    let second = seen.asked(again.seq).await;
    assert_eq!(stage.api.session(&id).await["state"], "RUNNING");
    stage.api.allow(second.text("approval_id")).await;
    seen.says("over", 40).await;
    assert_eq!(lines(&file), ["1", "2"]);
    assert_eq!(stage.api.session(&id).await["runner_session_id"], conversation);
}

#[tokio::test]
async fn an_answer_that_was_given_but_not_delivered_goes_to_the_resumed_agents_same_question() {
    let stage = &mut Stage::with_agents().await;
    let file = stage.file("out");
    let (_, mut seen) = stage.started(&format!("{}\nSAY over", appends("x", &file))).await;
    let ask = seen.asked(0).await;
    let approval = ask.text("approval_id").to_owned();
    let pid = agent_pid(&seen.events);
    // The daemon dies between the answer and its delivery, and while it is dead the agent dies too.
    stage.daemon.kill9();
    if stage.daemon.start_with_fault("agent.before_send").await {
        let path = format!("/api/approvals/{approval}/answer");
        let _ = stage.api.attempt(reqwest::Method::POST, &path, Some(json!({ "decision": "allow" }))).await;
        stage.daemon.ended(20).await;
    }
    assert!(process::kill9(pid));
    seen.disconnect();
    stage.daemon.start().await;
    let exited = seen.next("agent_exited", ask.seq, 30).await;
    seen.next("agent_started", exited.seq, 30).await;
    seen.until("the agent has gone on", 60, |events| {
        events.iter().any(|event| event.kind == "turn_finished" && event.seq > exited.seq)
    })
    .await;
    assert!(lines(&file).len() <= 1, "an answer is used once: {:?}", lines(&file));
}

#[tokio::test]
async fn a_question_of_an_agent_that_died_is_withdrawn() {
    let stage = Stage::with_agents().await;
    let (id, mut seen) = stage.session().await;
    let path = format!("/api/sessions/{id}/details");
    stage.api.patch(&path, json!({ "restart_policy": "never" })).await.ok();
    stage.api.start(&id, &appends("x", &stage.file("out"))).await;
    let ask = seen.asked(0).await;
    process::kill9(agent_pid(&seen.events));
    let resolved = seen.next("permission_resolved", ask.seq, 30).await;
    assert_eq!(resolved.data["resolved_by"], "cancelled", "{}", resolved.raw);
    assert!(stage.api.open_approvals(&id).await.is_empty());
}

#[tokio::test]
async fn with_the_policy_resume_it_waits_for_the_person() {
    let stage = Stage::with_agents().await;
    let (id, mut seen) = stage.session().await;
    stage.api.patch(&format!("/api/sessions/{id}/details"), json!({ "restart_policy": "resume" })).await.ok();
    stage.api.start(&id, "SAY a\nHOLD gate\nSAY over").await;
    stage.model().held("gate").await;
    seen.next("agent_started", 0, 10).await;
    process::kill9(agent_pid(&seen.events));
    let exited = seen.next("agent_exited", 0, 20).await;
    seen.until("the session waits for input", 30, |events| {
        events
            .iter()
            .any(|e| e.seq > exited.seq && e.kind == "session_state" && e.text("state") == "AWAITING_INPUT")
    })
    .await;
    let asked = stage.model().requests().len();
    stage.api.input(&id, "SAY hello again").await;
    seen.says("hello again", 40).await;
    assert!(stage.model().requests().len() > asked);
    assert!(!seen.said().contains("over"), "nothing was said before the person spoke");
}

#[tokio::test]
async fn with_the_policy_never_it_stays_ended_until_the_next_input() {
    let stage = Stage::with_agents().await;
    let (id, mut seen) = stage.session().await;
    stage.api.patch(&format!("/api/sessions/{id}/details"), json!({ "restart_policy": "never" })).await.ok();
    // A first turn, so that the agent has written down its conversation.
    stage.api.start(&id, "SAY ready").await;
    seen.idle(1, 40).await;
    stage.api.input(&id, "SAY a\nHOLD gate\nSAY over").await;
    stage.model().held("gate").await;
    process::kill9(agent_pid(&seen.events));
    let exited = seen.next("agent_exited", 0, 20).await;
    seen.next("session_state", exited.seq, 20).await;
    assert!(stage.marked().is_empty(), "no agent runs");
    // What it had not written down comes first.
    stage.model().release("gate").await;
    stage.api.input(&id, "SAY hello again").await;
    seen.says("hello again", 40).await;
    assert_eq!(seen.of("agent_started").len(), 2);
}

#[tokio::test]
async fn six_kills_in_a_row_hold_it_with_a_clear_cause_and_the_next_input_starts_it_again() {
    let stage = Stage::with_agents().await;
    let (id, mut seen) = stage.started("SAY a\nHOLD gate\nSAY over").await;
    let mut after = 0;
    for kill in 1..=6 {
        let started = seen.next("agent_started", after, 60).await;
        let pid = started.data["pid"].as_u64().expect("agent_started names the process") as u32;
        eventually("the agent is there to be killed", 10, || async { process::kill9(pid).then_some(()) })
            .await;
        let exited = seen.next("agent_exited", started.seq, 30).await;
        assert_eq!(exited.data["cause"], "crash", "kill {kill}: {}", exited.raw);
        after = exited.seq;
    }
    let held = seen.next("agent_held", after, 20).await;
    assert_eq!(held.data["cause"], "crash", "{}", held.raw);
    let message = held.text("message");
    assert!(message.contains('6') || message.contains("times"), "says how often: {message}");
    assert_eq!(seen.of("agent_restarting").len(), 5);
    assert_eq!(stage.api.session(&id).await["state"], "ERROR");
    assert!(stage.marked().is_empty(), "no agent runs while it is held");

    stage.model().release("gate").await;
    stage.api.input(&id, "SAY alive").await;
    seen.says("alive", 40).await;
}

#[tokio::test]
async fn a_killed_agents_tools_are_ended_with_it() {
    let stage = Stage::with_agents().await;
    let (_, mut seen) = stage.started(&format!("{}\nSAY over", lasts(5511))).await;
    let ask = seen.asked(0).await;
    stage.api.allow(ask.text("approval_id")).await;
    stage.lasting_runs(5511).await;
    process::kill9(agent_pid(&seen.events));
    stage.lasting_is_gone(5511).await;
}

#[tokio::test]
async fn an_agent_that_died_while_the_daemon_was_dead_is_noticed_and_brought_back() {
    let stage = &mut Stage::with_agents().await;
    // It may or may not have written down by then what it was asked.
    let (_, mut seen) = stage.started("HOLD gate\nSAY over").await;
    stage.model().held("gate").await;
    seen.next("agent_started", 0, 10).await;
    let pid = agent_pid(&seen.events);
    stage.daemon.kill9();
    process::kill9(pid);
    stage.model().release("gate").await;
    stage.daemon.start().await;
    let exited = seen.next("agent_exited", 0, 60).await;
    assert_eq!(exited.data["cause"], "crash", "{}", exited.raw);
    seen.next("agent_started", exited.seq, 60).await;
    seen.says("over", 40).await;
}

#[tokio::test]
async fn deleting_a_session_ends_its_agent() {
    let stage = Stage::with_agents().await;
    let (id, mut seen) = stage.started("SAY done").await;
    seen.idle(1, 40).await;
    let pid = agent_pid(&seen.events);
    stage.api.delete(&format!("/api/sessions/{id}")).await.ok();
    eventually("the agent is gone", 20, || async { (!process::alive(pid)).then_some(()) }).await;
    stage.api.get(&format!("/api/sessions/{id}")).await.error(404, "NOT_FOUND");
}
