//! A person's own agent, which speaks REST: it pushes events, asks, and reads the answers.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::Stage;
use crate::harness::api::reply;

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

#[tokio::test]
async fn what_is_sent_again_under_its_key_is_done_once_also_after_a_crash() {
    let mut stage = Stage::bare().await;
    let make = async |stage: &Stage, key: &str, name: &str| {
        let body = json!({ "agent_name": "rig", "session_name": name });
        let request =
            stage.api.request(reqwest::Method::POST, "/api/sessions").header("Idempotency-Key", key);
        reply(request.json(&body).send().await.expect("an answer")).await.expect("a whole one")
    };
    let (one, two) = tokio::join!(make(&stage, "k", "once"), make(&stage, "k", "once"));
    let (one, two) = (one.ok(), two.ok());
    assert_eq!(one["id"], two["id"], "two at once are one");
    make(&stage, "k", "other").await.error(422, "VALIDATION_ERROR");
    assert_ne!(make(&stage, "l", "once").await.ok()["id"], one["id"]);
    let id = one["id"].as_str().expect("an id").to_owned();

    let path = format!("/api/sessions/{id}/events");
    let event =
        |kind: &str, data: Value, key: &str| json!({ "type": kind, "data": data, "idempotency_key": key });
    let ask = || event("permission_request", json!({ "tool_name": "t", "tool_input": { "a": 1 } }), "ask");
    for _ in 0..2 {
        stage.api.post(&path, event("output", json!({ "text": "one" }), "a")).await.ok();
        stage.api.post(&path, ask()).await.ok();
    }
    stage
        .api
        .post(&path, event("output", json!({ "text": "two" }), "a"))
        .await
        .error(422, "VALIDATION_ERROR");
    stage.daemon.kill9_and_restart().await;
    stage.api.post(&path, event("output", json!({ "text": "one" }), "a")).await.ok();
    stage.api.post(&path, ask()).await.ok();
    assert_eq!(make(&stage, "k", "once").await.ok()["id"], id.as_str());
    let open = stage.api.open_approvals(&id).await;
    assert_eq!(open.len(), 1, "asked once: {open:?}");
    stage.api.allow(open[0]["id"].as_str().unwrap()).await;
    stage.api.post(&path, ask()).await.ok();
    assert!(
        stage.api.open_approvals(&id).await.is_empty(),
        "an answered question is not asked again under its key"
    );
    let mut seen = stage.follow(&id);
    seen.next("permission_resolved", 0, 10).await;
    assert_eq!(seen.of("output").len(), 1);
}

#[tokio::test]
async fn a_batch_is_taken_in_order_whole_or_up_to_what_is_refused() {
    let stage = Stage::bare().await;
    let id = stage.api.create_external("batch").await;
    let path = format!("/api/sessions/{id}/events/batch");
    let output = |text: &str| json!({ "type": "output", "data": { "text": text } });
    let ask = json!({ "type": "permission_request", "data": { "request_id": "r", "tool_name": "t" } });
    let answer = stage.api.post(&path, json!({ "events": [output("a"), ask, output("b")] })).await.ok();
    assert_eq!(answer, json!({ "ok": true, "accepted": 3 }));
    let wrong = json!({ "events": [output("c"), { "type": "output", "data": { "text": 7 } }] });
    let refused = stage.api.post(&path, wrong).await;
    refused.error(422, "VALIDATION_ERROR");
    assert_eq!(refused.body["error"]["details"][0]["loc"], json!(["body", "events", 1, "data", "text"]));
    let keyed =
        |text: &str, key: &str| json!({ "type": "output", "data": { "text": text }, "idempotency_key": key });
    let events = json!({ "events": [keyed("k", "1"), keyed("l", "2"), keyed("not k", "1"), output("m")] });
    let refused = stage.api.post(&path, events).await;
    assert!(refused.error(422, "VALIDATION_ERROR").contains("event 3 of 4"), "{refused:?}");
    assert_eq!(refused.body["error"]["details"]["accepted"], 2);
    for _ in 0..2 {
        let events = json!({ "events": [keyed("k", "1"), keyed("l", "2")] });
        assert_eq!(stage.api.post(&path, events).await.ok()["accepted"], 2, "they are there already");
    }
    let status = |status: &str| json!({ "type": "status", "data": { "status": status } });
    let events = json!({ "events": [output("d"), status("error"), status("done"), output("e")] });
    let refused = stage.api.post(&path, events).await;
    let told = refused.error(409, "INVALID_STATE");
    assert!(told.contains("event 3 of 4") && refused.body["error"]["details"]["accepted"] == 2, "{told}");
    let mut seen = stage.follow(&id);
    seen.until("the error", 10, |events| {
        events.iter().any(|event| event.kind == "session_state" && event.text("state") == "ERROR")
    })
    .await;
    let texts: Vec<&str> = seen.of("output").iter().map(|event| event.text("text")).collect();
    assert_eq!(texts, ["a", "b", "k", "l", "d"]);
    let (asked, last) = (seen.of("permission_request")[0].seq, seen.of("output")[1].seq);
    assert!(asked < last, "the order is kept");
    let gone = stage
        .api
        .post("/api/sessions/sess_000000000000/events/batch", json!({ "events": [output("x")] }))
        .await;
    gone.error(404, "NOT_FOUND");
}

#[tokio::test]
async fn a_question_that_is_taken_back_is_closed_everywhere() {
    let stage = Stage::bare().await;
    let id = stage.api.create_external("withdrawn").await;
    let ask = json!({ "request_id": "r1", "tool_name": "t", "tool_input": {} });
    stage.api.push(&id, "permission_request", ask).await.ok();
    let open = stage.api.open_approvals(&id).await;
    let approval = open[0]["id"].as_str().unwrap().to_owned();
    let waiting = format!("/api/approvals/{approval}?wait_s=30");
    let began = Instant::now();
    let (told, ()) = tokio::join!(stage.api.get(&waiting), async {
        stage.api.push(&id, "permission_withdrawn", json!({ "request_id": "r1" })).await.ok();
    });
    assert_eq!(told.ok()["state"], "cancelled");
    assert!(began.elapsed() < Duration::from_secs(10), "the wait ends with the question");
    stage.api.answer(&approval, json!({ "decision": "allow" })).await.error(409, "ALREADY_ANSWERED");
    // Nobody minds that it is gone already; without a name it means nothing.
    stage.api.push(&id, "permission_withdrawn", json!({ "request_id": "r1" })).await.ok();
    stage.api.push(&id, "permission_withdrawn", json!({})).await.error(422, "VALIDATION_ERROR");
}

/// `docs/external-agents.md` against the API's own description.
#[tokio::test]
async fn every_route_and_type_of_the_docs_is_there() {
    let stage = Stage::bare().await;
    let described = stage.api.get("/api/openapi.json").await.ok();
    let docs = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/external-agents.md");
    let docs = std::fs::read_to_string(docs).expect("the docs are there");
    let mut routes = 0;
    for line in docs.lines() {
        let Some((method, path)) =
            line.strip_prefix("| `").and_then(|l| l.split('`').next()?.split_once(' '))
        else {
            continue;
        };
        routes += 1;
        let route = &described["paths"][path][method.to_lowercase()];
        assert!(route.is_object(), "{method} {path} is not there");
        for name in ["wait_s", "since_seq"] {
            if line.contains(&format!("`{name}`")) {
                assert!(route["parameters"].to_string().contains(name), "{method} {path} knows no {name}");
            }
        }
    }
    assert!(routes >= 5, "{routes}");
    let pushed = described["components"]["schemas"]["PushedEvent"].to_string();
    for kind in ["output", "status", "error", "permission_request", "permission_withdrawn"] {
        assert!(docs.contains(&format!("| `{kind}` |")) && pushed.contains(kind), "{kind}");
    }
}
