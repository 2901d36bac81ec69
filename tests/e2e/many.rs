//! Two hundred sessions and a hundred thousand events across a stop and a start.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::harness::{Stage, Transcript};

#[path = "../../benches/figures/load.rs"]
mod load;

const SESSIONS: usize = 200;
const EVENTS: usize = 100_000;
const CONNECTIONS: usize = 32;

/// Everything that a client can see of a stage, cursors included.
async fn picture(stage: &Stage, ids: &[String]) -> BTreeMap<String, Value> {
    let mut seen = BTreeMap::new();
    seen.insert("sessions".to_owned(), stage.api.get("/api/sessions").await.ok());
    seen.insert("grants".to_owned(), json!(stage.api.grants().await));
    for id in ids {
        seen.insert(format!("approvals of {id}"), json!(stage.api.open_approvals(id).await));
    }
    for id in ids.iter().step_by(20) {
        let polled =
            stage.api.get(&format!("/api/sessions/{id}/events/poll?since_seq=490&types=output")).await;
        seen.insert(format!("events of {id}"), polled.ok());
    }
    seen
}

#[tokio::test]
async fn two_hundred_sessions_and_a_hundred_thousand_events_are_as_before_after_a_restart() {
    let mut stage = Stage::bare().await;
    let mut ids = Vec::new();
    for number in 0..SESSIONS {
        ids.push(stage.api.create_external(&format!("number {number}")).await);
    }
    // All kinds of states, open questions, and answers with a standing permission.
    for (number, id) in ids.iter().enumerate() {
        match number % 5 {
            0 => continue, // RUNNING by its first event below
            1 => drop(stage.api.push(id, "status", json!({ "status": "running" })).await.ok()),
            2 => {
                stage.api.push(id, "status", json!({ "status": "running" })).await.ok();
                stage.api.push(id, "status", json!({ "status": "done" })).await.ok();
            }
            3 => drop(stage.api.push(id, "error", json!({ "message": "gave up" })).await.ok()),
            _ => {
                let ask = json!({ "request_id": format!("q{number}"), "tool_name": "Bash", "tool_input": { "n": number } });
                stage.api.push(id, "permission_request", ask).await.ok();
                if number % 2 == 0 {
                    let open = stage.api.open_approvals(id).await;
                    let answer = json!({ "decision": "allow", "scope": "all30m" });
                    stage.api.answer(open[0]["id"].as_str().unwrap(), answer).await.ok();
                    let ask = json!({ "request_id": format!("p{number}"), "tool_name": "AskUserQuestion",
                        "tool_input": { "questions": [{ "question": "Which?", "options": [{ "label": "a" }] }] } });
                    stage.api.push(id, "permission_request", ask).await.ok();
                }
            }
        }
    }
    let text = "x".repeat(120);
    let outcome = load::run(([127, 0, 0, 1], stage.home.port).into(), CONNECTIONS, EVENTS, |number| {
        let body = json!({ "type": "output", "data": { "text": format!("{number} {text}") } }).to_string();
        load::post(&format!("/api/sessions/{}/events", ids[number % SESSIONS]), &stage.api.token, &body)
    })
    .await
    .expect("the daemon takes the events");
    assert_eq!(outcome.failures(), 0, "{:?}", outcome.statuses);
    eprintln!("{EVENTS} events at {:.0} a second", outcome.rate());

    let mut socket = crate::harness::ws::connect(&stage.api).await;
    let before = picture(&stage, &ids).await;
    let last = socket.done(json!({ "type": "subscribe", "session_id": ids[7] })).await["last_seq"].clone();
    drop(socket);

    assert!(stage.daemon.terminate().await.success(), "SIGTERM is a clean end");
    stage.daemon.start().await;

    let after = picture(&stage, &ids).await;
    for (what, was) in &before {
        assert_eq!(was, &after[what], "{what}");
    }
    let mut socket = crate::harness::ws::connect(&stage.api).await;
    let again = socket.done(json!({ "type": "subscribe", "session_id": ids[7] })).await["last_seq"].clone();
    assert_eq!(again, last);

    // Every event is there, in order, on each of some sessions; and the next one gets the next number.
    for id in ids.iter().step_by(40) {
        let mut seen = Transcript::new(&stage.api, id);
        seen.until("all events of the session", 30, |events| {
            events.iter().filter(|event| event.kind == "output").count() == EVENTS / SESSIONS
        })
        .await;
        let last = seen.last_seq();
        stage.api.push(id, "output", json!({ "text": "one more" })).await.ok();
        let next = seen.next("output", last, 10).await;
        assert_eq!((next.seq, next.text("text")), (last + 1, "one more"));
    }
}
