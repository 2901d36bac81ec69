//! Following a session: both paths, both cursor names, long histories, sockets beside streams.

use std::time::Duration;

use futures_util::StreamExt;
use serde_json::json;

use crate::harness::{Event, Stage, sse::SseReader, ws};

/// More than the contract's default page, so that a page's end would show.
const MANY: u64 = 1_200;

async fn with_history(stage: &Stage) -> String {
    let id = stage.api.create_external("long").await;
    for number in 0..MANY {
        stage.api.push(&id, "output", json!({ "text": format!("line {number}") })).await.ok();
    }
    id
}

/// Reads a stream until `count` events came.
async fn read(stage: &Stage, path: &str, count: u64) -> Vec<Event> {
    let answer = stage.api.request(reqwest::Method::GET, path).send().await.expect("the daemon answers");
    assert_eq!(answer.status(), 200, "{path}");
    let kind = answer.headers()["content-type"].to_str().unwrap().to_owned();
    assert!(kind.starts_with("text/event-stream"), "{kind}");
    let (mut stream, mut reader, mut events) = (answer.bytes_stream(), SseReader::default(), Vec::new());
    while (events.len() as u64) < count {
        let piece = tokio::time::timeout(Duration::from_secs(20), stream.next()).await;
        let bytes =
            piece.expect("more events within 20 s").expect("the stream goes on").expect("it is whole");
        events.extend(reader.take(&bytes).iter().map(|raw| Event::read(raw)));
    }
    events
}

fn dense(events: &[Event], after: u64) {
    for (event, expected) in events.iter().zip(after + 1..) {
        assert_eq!(event.seq, expected, "{}", event.raw);
    }
}

#[tokio::test]
async fn a_long_history_is_replayed_whole_under_both_paths_and_with_both_cursor_names() {
    let stage = Stage::bare().await;
    let id = with_history(&stage).await;
    let whole = read(&stage, &format!("/api/events/sessions/{id}"), MANY + 1).await;
    dense(&whole, 0);
    assert_eq!(whole[0].kind, "session_state");
    assert_eq!(read(&stage, &format!("/events/sessions/{id}"), MANY + 1).await, whole);
    for cursor in ["since", "since_seq"] {
        let part = read(&stage, &format!("/api/events/sessions/{id}?{cursor}=1000"), MANY + 1 - 1000).await;
        dense(&part, 1000);
        assert_eq!(part[..], whole[1000..]);
    }
    let limited = read(&stage, &format!("/api/events/sessions/{id}?limit=10"), MANY + 1).await;
    assert_eq!(limited, whole, "a page's size is no gap");
}

#[tokio::test]
async fn a_replay_leaves_out_settled_questions_as_the_contract_has_it_and_the_socket_has_all() {
    let stage = Stage::bare().await;
    let id = stage.api.create_external("asked").await;
    for request in ["settled", "open"] {
        let ask = json!({ "request_id": request, "tool_name": "t", "tool_input": {} });
        stage.api.push(&id, "permission_request", ask).await.ok();
    }
    stage.api.allow(stage.api.open_approvals(&id).await[0]["id"].as_str().unwrap()).await;
    let events = read(&stage, &format!("/api/events/sessions/{id}"), 3).await;
    let kinds: Vec<_> = events.iter().map(|event| event.kind.as_str()).collect();
    assert_eq!(kinds, ["session_state", "permission_request", "permission_resolved"]);
    assert_eq!(events[1].text("request_id"), "open");
    let mut seen = stage.follow(&id);
    seen.next("permission_resolved", 0, 10).await;
    assert_eq!(seen.of("permission_request").len(), 2);
}

#[tokio::test]
async fn the_envelope_has_the_contracts_keys_and_the_same_bytes_everywhere() {
    let stage = Stage::bare().await;
    let id = stage.api.create_external("same").await;
    stage.api.push(&id, "output", json!({ "text": "zwölf \u{1f980} \n\"quoted\"" })).await.ok();
    let sse = read(&stage, &format!("/api/events/sessions/{id}"), 2).await;
    let envelope: serde_json::Value = serde_json::from_str(&sse[1].raw).unwrap();
    let mut keys: Vec<_> = envelope.as_object().unwrap().keys().cloned().collect();
    keys.sort();
    assert_eq!(keys, ["data", "seq", "session_id", "ts", "type"]);
    assert_eq!(envelope["ts"].as_str().unwrap().len(), "2026-01-01T00:00:00Z".len());
    assert_eq!(envelope["data"]["text"], "zwölf \u{1f980} \n\"quoted\"");

    let mut socket = ws::connect(&stage.api).await;
    socket.done(json!({ "type": "subscribe", "session_id": id })).await;
    let over_socket = socket.events(&id, 0, 10, |events| events.len() >= 2).await;
    let data: Vec<_> = over_socket.iter().map(|event| &event.data).collect();
    assert_eq!(data, sse.iter().map(|event| &event.data).collect::<Vec<_>>());
}

#[tokio::test]
async fn the_socket_sends_the_backlog_then_says_so_then_what_is_new() {
    let stage = Stage::bare().await;
    let id = with_history(&stage).await;
    let mut socket = ws::connect(&stage.api).await;
    let result = socket.done(json!({ "type": "subscribe", "session_id": id, "after": 100 })).await;
    assert_eq!(result["last_seq"], MANY + 1);
    let backlog =
        socket.events(&id, 100, 20, |events| events.last().is_some_and(|e| e.seq == MANY + 1)).await;
    assert_eq!(backlog.len() as u64, MANY + 1 - 100);
    let caught_up = socket.until("the end of the backlog", 10, |frame| frame["type"] == "caught_up").await;
    assert_eq!((&caught_up["session_id"], &caught_up["seq"]), (&json!(id), &json!(MANY + 1)));
    stage.api.push(&id, "output", json!({ "text": "new" })).await.ok();
    let new = socket.events(&id, MANY + 1, 10, |events| !events.is_empty()).await;
    assert_eq!(new[0].text("text"), "new");

    socket.done(json!({ "type": "unsubscribe", "session_id": id })).await;
    stage.api.push(&id, "output", json!({ "text": "unseen" })).await.ok();
    socket.send(json!({ "type": "ping" }).to_string()).await;
    let next = socket.until("anything", 10, |_| true).await;
    assert_eq!(next["type"], "pong", "nothing comes of a session that is no longer followed");
}

#[tokio::test]
async fn the_overview_tells_of_sessions_as_they_come_change_and_go() {
    let stage = Stage::bare().await;
    let first = stage.api.create_external("first").await;
    let mut socket = ws::connect(&stage.api).await;
    socket.send(json!({ "type": "overview" }).to_string()).await;
    let overview = socket.until("the overview", 10, |frame| frame["type"] == "overview").await;
    assert_eq!(overview["sessions"][0]["id"], first.as_str());
    let second = stage.api.create_external("second").await;
    socket
        .until("the new session", 10, |f| f["type"] == "session" && f["session"]["id"] == second.as_str())
        .await;
    stage.api.patch(&format!("/api/sessions/{second}/rename"), json!({ "name": "other" })).await.ok();
    socket.until("its new name", 10, |f| f["type"] == "session" && f["session"]["name"] == "other").await;
    stage.api.delete(&format!("/api/sessions/{second}")).await.ok();
    socket
        .until("its end", 10, |f| f["type"] == "session_deleted" && f["session_id"] == second.as_str())
        .await;
}

#[tokio::test]
async fn the_socket_gives_input_and_interrupts_and_its_refusals_have_codes() {
    let stage = Stage::bare().await;
    let id = stage.api.create_external("socket").await;
    let mut socket = ws::connect(&stage.api).await;
    let refused = socket.call(json!({ "type": "input", "session_id": id, "text": "too early" })).await;
    assert_eq!((&refused["ok"], &refused["error"]["code"]), (&json!(false), &json!("INVALID_STATE")));
    stage.api.push(&id, "status", json!({ "status": "running" })).await.ok();
    let given = socket.done(json!({ "type": "input", "session_id": id, "text": "now" })).await;
    assert_eq!(given["session"]["id"], id.as_str());
    let stopped = socket.done(json!({ "type": "interrupt", "session_id": id })).await;
    assert_eq!(stopped["session"]["state"], "INTERRUPTING");
    for (frame, code) in [
        (json!({ "type": "subscribe", "session_id": "sess_000000000000" }), "NOT_FOUND"),
        (json!({ "type": "input", "session_id": id }), "VALIDATION_ERROR"),
        (json!({ "type": "dance" }), "VALIDATION_ERROR"),
        (json!({ "type": "answer", "approval_id": "perm_000000000000", "decision": "allow" }), "NOT_FOUND"),
        (
            json!({ "type": "answer", "approval_id": "perm_000000000000", "decision": "maybe" }),
            "VALIDATION_ERROR",
        ),
    ] {
        let reply = socket.call(frame.clone()).await;
        assert_eq!(reply["ok"], false, "{frame}: {reply}");
        assert_eq!(reply["error"]["code"], code, "{frame}: {reply}");
        assert!(reply["error"]["message"].is_string() && reply["error"].get("details").is_some(), "{reply}");
    }
}

#[tokio::test]
async fn a_stopping_daemon_says_goodbye_on_the_socket() {
    let mut stage = Stage::bare().await;
    let mut socket = ws::connect(&stage.api).await;
    socket.send(json!({ "type": "overview" }).to_string()).await;
    socket.until("the overview", 10, |frame| frame["type"] == "overview").await;
    let began = std::time::Instant::now();
    assert!(stage.daemon.terminate().await.success());
    assert!(began.elapsed() < Duration::from_secs(15), "an open socket does not hold the daemon up");
    socket.until("goodbye", 5, |frame| frame["type"] == "goodbye").await;
    assert_eq!(socket.closed(5).await, Some(1012));
}

#[tokio::test]
async fn a_wrong_cursor_is_refused_and_one_beyond_the_end_waits() {
    let stage = Stage::bare().await;
    let id = stage.api.create_external("cursor").await;
    for query in ["since=-1", "since=x", "limit=0", "limit=5001"] {
        let reply = stage.api.get(&format!("/api/events/sessions/{id}?{query}")).await;
        reply.error(422, "VALIDATION_ERROR");
    }
    stage.api.get("/api/events/sessions/sess_000000000000").await.error(404, "NOT_FOUND");
}
