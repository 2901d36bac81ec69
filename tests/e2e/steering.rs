//! Words for an agent that is at work: they wait for the end of its turn, or go into it when a person says so.

use reqwest::Method;
use serde_json::json;

use crate::harness::stage::appends;
use crate::harness::{Event, Stage, Transcript, eventually, lines};
use crate::together::{AGENTS, stage};

/// A session whose agent asks, in mid-turn, whether it may run a tool.
async fn asking(stage: &Stage, agent: &str) -> (String, Transcript, Event) {
    let (session, mut seen) = stage.session_of(agent).await;
    stage.api.start(&session, &format!("{}\nSAY over", appends(agent, &stage.file(agent)))).await;
    let ask = seen.next("permission_request", 0, 90).await;
    (session, seen, ask)
}

fn steered(seen: &Transcript) -> usize {
    seen.of("input_sent").iter().filter(|event| event.data["steered"] == true).count()
}

#[tokio::test]
async fn words_that_a_person_sends_into_a_running_turn_are_heeded_in_that_turn_by_each_agent_that_can() {
    let stage = stage().await;
    for agent in AGENTS {
        let (session, mut seen, ask) = asking(&stage, agent).await;
        let path = format!("/api/sessions/{session}/input");
        let said = stage.api.post(&path, json!({ "text": "SAY heeded", "steer": true })).await.ok();
        assert_eq!((&said["steered"], &said["queued"]), (&json!(true), &json!(false)), "{agent}: {said}");
        stage.api.allow(ask.text("approval_id")).await;
        seen.says("heeded", 60).await;
        seen.idle(1, 60).await;
        assert_eq!(lines(stage.file(agent)), [agent], "{agent}: the tool ran once");
        assert_eq!(seen.said().matches("heeded").count(), 1, "{agent}: {}", seen.said());
        assert_eq!(seen.of("turn_started").len(), 1, "{agent}: it was heeded in the turn that ran");
        assert_eq!(steered(&seen), 1, "{agent}");
        assert_eq!(stage.api.get(&format!("/api/sessions/{session}/queue")).await.ok(), json!([]), "{agent}");
        stage.api.input(&session, "SAY still here").await;
        seen.says("still here", 60).await;
        seen.check_against_replay().await;
    }
}

#[tokio::test]
async fn a_queued_input_is_sent_into_the_running_turn_when_a_person_asks_and_only_then() {
    let stage = stage().await;
    let (session, mut seen, ask) = asking(&stage, "claude").await;
    let waits = stage.api.input(&session, "SAY later").await;
    let urgent = stage.api.input(&session, "SAY heeded").await;
    let queue = format!("/api/sessions/{session}/queue");
    let listed = stage.api.get(&queue).await.ok();
    let steerable: Vec<_> = listed.as_array().unwrap().iter().map(|input| &input["can_steer"]).collect();
    assert_eq!(steerable, [true, true], "{listed}");
    assert_eq!((&waits["steered"], &waits["queued"]), (&json!(false), &json!(true)));

    let steer = format!("{queue}/{}/steer", urgent["input_id"].as_str().unwrap());
    stage.api.post(&steer, json!({})).await.ok();
    let again = stage.api.post(&steer, json!({})).await;
    assert_eq!(again.status, 404, "it waits no longer: {}", again.text);
    stage.api.allow(ask.text("approval_id")).await;
    seen.idle(2, 60).await;
    let said = seen.said();
    assert!(said.find("heeded") < said.find("later"), "{said}");
    assert_eq!((steered(&seen), seen.of("turn_started").len()), (1, 2));
    seen.check_against_replay().await;
}

#[tokio::test]
async fn an_agent_that_takes_no_words_at_work_gets_them_when_its_turn_ends() {
    let stage = Stage::bare().await;
    let (session, mut seen) = stage.session_of("demo").await;
    stage.api.start(&session, "hello").await;
    let ask = seen.next("permission_request", 0, 60).await;
    let said = stage.cli(&["input", "--now", &session, "and more"]).await;
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.out.contains("Queued"), "{said:?}");
    let listed = stage.api.get(&format!("/api/sessions/{session}/queue")).await.ok();
    assert_eq!(listed[0]["can_steer"], false, "{listed}");
    let input = listed[0]["input_id"].as_str().unwrap();
    let no = stage.api.post(&format!("/api/sessions/{session}/queue/{input}/steer"), json!({})).await;
    assert_eq!(no.status, 409, "{}", no.text);
    assert_eq!(steered(&seen), 0);
    let deny = json!({ "decision": "deny" });
    stage.api.answer(ask.text("approval_id"), deny).await;
}

#[tokio::test]
async fn the_daemon_killed_while_it_hands_over_a_steered_input_hands_it_over_once() {
    for agent in AGENTS {
        for fault in ["agent.before_send", "agent.after_send"] {
            let mut stage = stage().await;
            let (session, mut seen, ask) = asking(&stage, agent).await;
            stage.daemon.kill9();
            // Its start may speak to the agent and meet the fault there: then there is nothing to hand over twice.
            if !stage.daemon.start_with_fault(fault).await {
                continue;
            }
            let path = format!("/api/sessions/{session}/input");
            let body = json!({ "text": "SAY heeded", "steer": true });
            let said = stage.api.attempt(Method::POST, &path, Some(body)).await;
            // The daemon may be asked before it has found the agent again: the words wait, as it says, and are sent on.
            if let Some(waits) = said.ok().filter(|said| said.body["queued"] == true) {
                let steer = format!(
                    "/api/sessions/{session}/queue/{}/steer",
                    waits.body["input_id"].as_str().unwrap()
                );
                eventually("it is on its way", 40, || async {
                    let said = stage.api.attempt(Method::POST, &steer, Some(json!({}))).await;
                    said.map_or(true, |said| said.status != 409).then_some(())
                })
                .await;
            }
            stage.daemon.ended(40).await;
            stage.daemon.start().await;
            seen.disconnect();
            stage.api.allow(ask.text("approval_id")).await;
            seen.says("heeded", 60).await;
            seen.until("all to be quiet", 60, |events| {
                let last = |kind| events.iter().rposition(|event| event.kind == kind);
                last("turn_finished") > last("turn_started")
            })
            .await;
            assert_eq!(lines(stage.file(agent)), [agent], "{agent} {fault}");
            assert_eq!(seen.said().matches("heeded").count(), 1, "{agent} {fault}: {}", seen.said());
            seen.check_against_replay().await;
        }
    }
}
