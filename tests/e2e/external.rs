//! A person's own agent, which speaks REST: it pushes events, asks, and reads the answers.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::Stage;

async fn poll(stage: &Stage, id: &str, since: u64, wait: u64) -> Vec<Value> {
    let path = format!("/api/sessions/{id}/events/poll?since_seq={since}&wait_s={wait}");
    stage.api.get(&path).await.ok()["events"].as_array().cloned().expect("a list of events")
}

#[tokio::test]
async fn the_answer_to_its_question_reaches_it_by_long_poll() {
    let stage = Stage::bare().await;
    let id = stage.api.create_external("long poll").await;
    let ask = json!({ "request_id": "r1", "tool_name": "deploy", "tool_input": { "to": "production" } });
    stage.api.push(&id, "permission_request", ask).await.ok();
    assert_eq!(stage.api.session(&id).await["state"], "RUNNING");
    assert_eq!(stage.api.session(&id).await["has_pending_permission"], true);

    let began = Instant::now();
    let (events, ()) = tokio::join!(poll(&stage, &id, 0, 30), async {
        let body = json!({ "request_id": "r1", "allow": false, "message": "not today" });
        stage.api.post(&format!("/api/sessions/{id}/permission"), body).await.ok();
    });
    assert!(began.elapsed() < Duration::from_secs(20), "the poll ends with the answer, not with its time");
    assert_eq!(events.len(), 1, "{events:?}");
    assert_eq!(events[0]["type"], "permission_resolved");
    let data = &events[0]["data"];
    assert_eq!((&data["request_id"], &data["allowed"]), (&json!("r1"), &json!(false)));
    assert_eq!((&data["message"], &data["resolved_by"]), (&json!("not today"), &json!("user")));
    assert_eq!(stage.api.session(&id).await["has_pending_permission"], false);
}

#[tokio::test]
async fn a_poll_without_waiting_answers_at_once_and_a_wait_ends_in_time() {
    let stage = Stage::bare().await;
    let id = stage.api.create_external("poll").await;
    assert!(poll(&stage, &id, 0, 0).await.is_empty());
    let began = Instant::now();
    assert!(poll(&stage, &id, 0, 1).await.is_empty());
    assert!(began.elapsed() >= Duration::from_millis(900), "{:?}", began.elapsed());
}

#[tokio::test]
async fn the_persons_words_reach_it_and_its_answer_reaches_the_person() {
    let stage = Stage::bare().await;
    let id = stage.api.create_external("words").await;
    stage.api.push(&id, "output", json!({ "text": "ready" })).await.ok();
    stage.api.push(&id, "status", json!({ "status": "awaiting_input" })).await.ok();
    let session = stage.api.input(&id, "do it").await;
    assert_eq!(session["state"], "RUNNING");
    let events = poll(&stage, &id, 0, 5).await;
    assert_eq!(events[0]["data"]["text"], "do it", "{events:?}");
    stage.api.push(&id, "output", json!({ "text": "did it", "is_final": true })).await.ok();
    stage.api.push(&id, "status", json!({ "status": "done" })).await.ok();
    let mut seen = stage.follow(&id);
    let last = seen.next("output_final", 0, 10).await;
    assert_eq!(last.text("text"), "did it");
    assert_eq!(stage.api.session(&id).await["state"], "AWAITING_INPUT");
}

#[tokio::test]
async fn input_and_interrupt_answer_with_the_session_though_no_program_of_ours_runs() {
    let stage = Stage::bare().await;
    let id = stage.api.create_external("steered").await;
    stage.api.push(&id, "output", json!({ "text": "x" })).await.ok();
    assert_eq!(stage.api.input(&id, "and this").await["id"], id.as_str());
    assert_eq!(stage.api.interrupt(&id).await["state"], "INTERRUPTING");
    stage.api.push(&id, "status", json!({ "status": "done" })).await.ok();
    assert_eq!(stage.api.session(&id).await["state"], "AWAITING_INPUT");
}

#[tokio::test]
async fn a_turn_that_does_not_stop_is_ended_by_force_and_only_then() {
    let stage = Stage::bare().await;
    let id = stage.api.create_external("stubborn").await;
    stage.api.push(&id, "output", json!({ "text": "x" })).await.ok();
    let at = format!("/api/sessions/{id}/interrupt");
    assert_eq!(stage.api.post(&format!("{at}?force=true"), json!({})).await.ok()["state"], "INTERRUPTING");
    assert_eq!(stage.api.session(&id).await["state"], "INTERRUPTING", "a first word is never by force");
    stage.api.post(&format!("{at}?force=true"), json!({})).await.ok();
    let mut seen = stage.follow(&id);
    let told = seen.next("warning", 0, 5).await;
    assert_eq!(told.text("code"), "INTERRUPT_UNANSWERED");
    assert_eq!(stage.api.session(&id).await["state"], "AWAITING_INPUT");
    assert_eq!(stage.api.post(&format!("{at}?force=perhaps"), json!({})).await.status, 422);
}

#[tokio::test]
async fn the_same_request_twice_is_one_question_and_after_its_answer_a_new_one() {
    let stage = Stage::bare().await;
    let id = stage.api.create_external("twice").await;
    let ask = json!({ "request_id": "same", "tool_name": "t", "tool_input": { "a": 1 } });
    stage.api.push(&id, "permission_request", ask.clone()).await.ok();
    stage.api.push(&id, "permission_request", ask.clone()).await.ok();
    let open = stage.api.open_approvals(&id).await;
    assert_eq!(open.len(), 1, "{open:?}");
    stage.api.allow(open[0]["id"].as_str().unwrap()).await;
    assert!(stage.api.open_approvals(&id).await.is_empty());
}

#[tokio::test]
async fn repeated_and_blank_output_is_kept() {
    let stage = Stage::bare().await;
    let id = stage.api.create_external("again").await;
    for text in ["same", "same", "", "same"] {
        stage.api.push(&id, "output", json!({ "text": text })).await.ok();
    }
    let mut seen = stage.follow(&id);
    seen.until("all four", 10, |events| events.iter().filter(|e| e.kind == "output").count() == 4).await;
}

#[tokio::test]
async fn odd_events_are_refused_in_words_and_poison_nothing() {
    let stage = Stage::bare().await;
    let id = stage.api.create_external("odd").await;
    stage.api.push(&id, "output", json!({ "text": "fine" })).await.ok();
    for (kind, data) in [
        ("output", json!({ "text": 7 })),
        ("output", json!({ "text": ["a"] })),
        ("output", json!("text")),
        ("status", json!({ "status": 1 })),
        ("error", json!({ "message": { "a": 1 } })),
        ("permission_request", json!({ "request_id": "" })),
        ("permission_request", json!({ "request_id": { "x": 1 } })),
        ("session_state", json!({ "state": "ERROR" })),
        ("nonsense", json!({})),
    ] {
        let reply = stage.api.push(&id, kind, data.clone()).await;
        assert!(reply.status == 422 || reply.status == 200, "{kind} {data}: {} {}", reply.status, reply.text);
    }
    stage.api.push(&id, "session_state", json!({})).await.error(422, "VALIDATION_ERROR");
    stage.api.push(&id, "status", json!({ "status": "dancing" })).await.ok();
    stage.api.push(&id, "status", json!({ "status": "done" })).await.ok();
    assert_eq!(stage.api.session(&id).await["state"], "AWAITING_INPUT");
    stage.api.delete(&format!("/api/sessions/{id}")).await.ok();
}

#[tokio::test]
async fn an_error_ends_the_turn_and_input_revives_it() {
    let stage = Stage::bare().await;
    let id = stage.api.create_external("broken").await;
    stage.api.push(&id, "error", json!({ "code": "OOPS", "message": "it broke" })).await.ok();
    let session = stage.api.session(&id).await;
    assert_eq!(session["state"], "ERROR");
    assert!(session["ended_at"].is_string());
    let mut seen = stage.follow(&id);
    let error = seen.next("error", 0, 10).await;
    let state = seen.of("session_state").last().unwrap().seq;
    assert!(state < error.seq, "the state comes before the error");
    assert_eq!((error.text("code"), error.text("message")), ("OOPS", "it broke"));
    let done = stage.api.push(&id, "status", json!({ "status": "done" })).await;
    done.error(409, "INVALID_STATE");
    let session = stage.api.input(&id, "try again").await;
    assert_eq!(session["state"], "RUNNING");
    assert!(session["ended_at"].is_null());
}
