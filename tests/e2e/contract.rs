//! The peer's API, as its clients expect it: state machine, errors, shapes, paths.

use serde_json::{Value, json};

use crate::harness::{Stage, api};

/// Brings an external agent's session into a state.
async fn session_in(stage: &Stage, state: &str) -> String {
    let id = stage.api.create_external(state).await;
    let status = |status: &str| json!({ "status": status });
    match state {
        "CREATED" => {}
        "RUNNING" => drop(stage.api.push(&id, "status", status("running")).await.ok()),
        "AWAITING_INPUT" => {
            stage.api.push(&id, "status", status("running")).await.ok();
            stage.api.push(&id, "status", status("done")).await.ok();
        }
        "INTERRUPTING" => {
            stage.api.push(&id, "status", status("running")).await.ok();
            stage.api.interrupt(&id).await;
        }
        "ERROR" => drop(stage.api.push(&id, "error", json!({ "message": "x" })).await.ok()),
        other => panic!("no such state: {other}"),
    }
    assert_eq!(stage.api.session(&id).await["state"], state);
    id
}

#[tokio::test]
async fn every_call_in_every_state_is_allowed_or_409_as_the_table_says() {
    let stage = Stage::bare().await;
    let states = ["CREATED", "RUNNING", "AWAITING_INPUT", "INTERRUPTING", "ERROR"];
    // (call, allowed per state in the order above, message of the 409)
    let table = [
        ("start", [true, false, true, false, true], "Session not ready to start"),
        (
            "input",
            [false, true, true, false, true],
            "Session not running, awaiting input, or recoverable error",
        ),
        ("interrupt", [false, true, true, true, false], "Session not running"),
        ("delete", [true, false, true, false, true], "Session is active"),
    ];
    for (call, allowed, message) in table {
        for (state, allowed) in states.iter().zip(allowed) {
            let id = session_in(&stage, state).await;
            let path = format!("/api/sessions/{id}");
            let reply = match call {
                "start" => stage.api.post(&format!("{path}/start"), json!({ "prompt": "" })).await,
                "input" => stage.api.post(&format!("{path}/input"), json!({ "text": "x" })).await,
                "interrupt" => stage.api.post(&format!("{path}/interrupt"), json!({})).await,
                _ => stage.api.delete(&path).await,
            };
            if !allowed {
                assert_eq!(reply.error(409, "INVALID_STATE"), message, "{call} in {state}");
                assert_eq!(stage.api.session(&id).await["state"], *state, "a refusal changes nothing");
            } else if call == "start" {
                // Without a directory there is nothing to start; the state was right.
                assert_ne!(reply.status, 409, "{call} in {state}: {}", reply.text);
                assert!(reply.status < 500, "{call} in {state}: {}", reply.text);
            } else {
                assert_eq!(reply.status, 200, "{call} in {state}: {}", reply.text);
            }
        }
    }
}

#[tokio::test]
async fn pushed_states_follow_the_machine_too() {
    let stage = Stage::bare().await;
    for (state, status, expected) in [
        ("CREATED", "awaiting_input", Some("AWAITING_INPUT")),
        ("AWAITING_INPUT", "running", Some("RUNNING")),
        ("INTERRUPTING", "done", Some("AWAITING_INPUT")),
        ("INTERRUPTING", "error", Some("ERROR")),
        ("ERROR", "running", Some("RUNNING")),
        ("ERROR", "done", None),
        ("INTERRUPTING", "running", None),
    ] {
        let id = session_in(&stage, state).await;
        let reply = stage.api.push(&id, "status", json!({ "status": status })).await;
        match expected {
            Some(next) => {
                reply.ok();
                assert_eq!(stage.api.session(&id).await["state"], next, "{state} + {status}");
            }
            None => drop(reply.error(409, "INVALID_STATE")),
        }
    }
}

#[tokio::test]
async fn the_session_object_has_the_contracts_keys_and_those_that_are_told_beyond_them() {
    let stage = Stage::bare().await;
    let made = stage.api.post("/api/sessions", json!({})).await;
    assert_eq!(made.status, 201);
    let session = made.body;
    let mut keys: Vec<_> = session.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    let mut wanted = [
        "id",
        "state",
        "name",
        "created_at",
        "started_at",
        "ended_at",
        "last_activity_at",
        "exit_code",
        "summary",
        "runner_header",
        "runner_type",
        "runner_session_id",
        "directory",
        "directory_has_git",
        "message_count",
        "has_pending_permission",
        "approval_mode",
        "adapter",
        "external_agent_name",
        "external_agent_type",
        "external_agent_icon",
        "platform",
        "platform_thread_id",
        "clone_url",
        "working_branch",
        // Beyond the contract.
        "branch",
        "pending_approvals",
        "last_line",
        "running_since",
        "cost_usd",
        "hold",
        "restarting",
        "archived",
    ];
    wanted.sort_unstable();
    assert_eq!(keys, wanted);
    assert_eq!(session["name"], "New session");
    assert_eq!(session["state"], "CREATED");
    let id = session["id"].as_str().unwrap();
    assert!(id.len() == 17 && id.starts_with("sess_"), "{id}");
    let listed = stage.api.get("/api/sessions").await.ok();
    assert_eq!(listed, json!([session]));
}

#[tokio::test]
async fn errors_have_the_envelope_wherever_they_come_from() {
    let stage = Stage::bare().await;
    let id = stage.api.create_external("errors").await;
    let bearer = &stage.api;
    bearer.get("/api/sessions/sess_000000000000").await.error(404, "NOT_FOUND");
    bearer.get("/api/sessions/no-such-shape").await.error(404, "NOT_FOUND");
    bearer.get("/api/nowhere").await.error(404, "NOT_FOUND");
    bearer.get("/events/nowhere").await.error(404, "NOT_FOUND");
    bearer.post("/api/health", json!({})).await.error(405, "METHOD_NOT_ALLOWED");
    bearer.delete("/api/sessions").await.error(405, "METHOD_NOT_ALLOWED");
    bearer.post("/api/sessions", json!([])).await.error(422, "VALIDATION_ERROR");
    bearer
        .post("/api/sessions", json!({ "directory": "/no/such/folder" }))
        .await
        .error(422, "VALIDATION_ERROR");
    bearer.post("/api/sessions", json!({ "platform": "telegram" })).await.error(400, "VALIDATION_ERROR");
    bearer.post("/api/sessions", json!({ "adapter": "no-such-agent" })).await.error(422, "VALIDATION_ERROR");

    let schema = bearer.post(&format!("/api/sessions/{id}/input"), json!({})).await;
    assert_eq!(schema.error(422, "VALIDATION_ERROR"), "Invalid request");
    let item = &schema.body["error"]["details"][0];
    assert_eq!(
        (&item["type"], &item["loc"]),
        (&json!("missing"), &json!(["body", "text"])),
        "{}",
        schema.text
    );
    let typed = bearer.patch(&format!("/api/sessions/{id}/rename"), json!({ "name": 5 })).await;
    typed.error(422, "VALIDATION_ERROR");
    assert_eq!(typed.body["error"]["details"][0]["loc"], json!(["body", "name"]), "{}", typed.text);
    let long = bearer.patch(&format!("/api/sessions/{id}/rename"), json!({ "name": "x".repeat(81) })).await;
    long.error(422, "VALIDATION_ERROR");
    bearer
        .post(&format!("/api/sessions/{id}/input"), json!({ "text": "" }))
        .await
        .error(422, "VALIDATION_ERROR");
    bearer
        .post(&format!("/api/sessions/{id}/permission"), json!({ "request_id": "x", "allow": true }))
        .await
        .error(404, "NOT_FOUND");

    for (content_type, body, status) in [
        ("text/plain", "{}", 415),
        ("", "{}", 415),
        ("application/json", "{", 422),
        ("application/json", "\u{0}", 422),
    ] {
        let mut request = bearer.request(reqwest::Method::POST, "/api/sessions").body(body);
        if !content_type.is_empty() {
            request = request.header("content-type", content_type);
        }
        let reply = api::reply(request.send().await.unwrap()).await.unwrap();
        assert_eq!(reply.status, status, "{content_type:?} {body:?}: {}", reply.text);
        assert!(reply.body["error"]["code"].is_string(), "{}", reply.text);
    }
    let big = format!("{{\"text\":\"{}\"}}", "x".repeat(80 << 20));
    let request = bearer.request(reqwest::Method::POST, &format!("/api/sessions/{id}/input"));
    let request = request.header("content-type", "application/json").body(big);
    // The daemon may close the connection before all of an over-long body was sent.
    if let Ok(answer) = request.send().await {
        api::reply(answer).await.unwrap().error(413, "PAYLOAD_TOO_LARGE");
    }
    bearer.get("/api/health").await.ok();
}

#[tokio::test]
async fn rename_mode_usage_diff_and_directories_answer_as_documented() {
    let stage = Stage::bare().await;
    let work = stage.home.work();
    let git = |args: &[&str]| {
        let done =
            std::process::Command::new("git").args(args).current_dir(&work).output().expect("git runs");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    };
    git(&["init", "-q"]);
    std::fs::write(work.join("a.txt"), "one\n").unwrap();
    git(&["add", "."]);
    git(&["-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "-qm", "first"]);
    std::fs::write(work.join("a.txt"), "two\n").unwrap();

    let id = stage.api.create(&work).await;
    let path = format!("/api/sessions/{id}");
    let session = stage.api.session(&id).await;
    assert_eq!(session["directory"], work.to_str().unwrap());
    assert_eq!(session["directory_has_git"], true);
    let renamed = stage.api.patch(&format!("{path}/rename"), json!({ "name": "  a   b " })).await.ok();
    assert_eq!(renamed["name"], "a b");
    for mode in [json!(1), json!(2), json!(0), Value::Null] {
        let changed =
            stage.api.patch(&format!("{path}/approval-mode"), json!({ "approval_mode": mode })).await.ok();
        assert_eq!(changed["approval_mode"], mode);
    }
    stage
        .api
        .patch(&format!("{path}/approval-mode"), json!({ "approval_mode": 3 }))
        .await
        .error(422, "VALIDATION_ERROR");
    let usage = stage.api.get(&format!("{path}/usage")).await.ok();
    assert_eq!(usage, json!({ "input_tokens": 0, "output_tokens": 0, "total_cost_usd": 0.0 }));
    let diff = stage.api.get(&format!("{path}/diff")).await.ok();
    assert!(diff["diff"].as_str().unwrap().contains("+two"), "{diff}");
    assert_eq!(diff["files"][0]["path"], "a.txt");
    let check = stage.api.get(&format!("/api/directories/check?path={}", work.display())).await.ok();
    assert_eq!(check, json!({ "path": work, "exists": true, "is_git": true }));
    let none = stage.api.get("/api/directories/check?path=/no/such").await.ok();
    assert_eq!((&none["exists"], &none["is_git"]), (&json!(false), &json!(false)));
    let diff = stage.api.get(&format!("/api/directories/diff?path={}", work.display())).await.ok();
    assert!(diff["diff"].as_str().unwrap().contains("+two"), "{diff}");
}

#[tokio::test]
async fn health_status_openapi_and_metrics_are_there() {
    let stage = Stage::bare().await;
    stage.api.create_external("counted").await;
    let health = stage.api.get("/api/health").await.ok();
    assert_eq!((&health["ok"], &health["protocol"]), (&json!(true), &json!(1)));
    assert!(health["version"].is_string());
    let sessions = stage.api.get("/api/status/sessions").await.ok();
    assert_eq!((&sessions["total"], &sessions["by_state"]["CREATED"]), (&json!(1), &json!(1)), "{sessions}");
    assert_eq!(sessions["recent_activity"][0]["name"], "counted");
    for path in ["/api/status/bridges", "/api/bridges"] {
        assert!(stage.api.get(path).await.ok()["bridges"].is_array(), "{path}");
    }
    let openapi = stage.api.get("/api/openapi.json").await.ok();
    for path in ["/api/sessions", "/api/sessions/{id}/input", "/api/approvals", "/api/approvals/{id}/answer"]
    {
        let found = openapi["paths"].as_object().unwrap().keys().any(|key| {
            let plain: String = key
                .split('/')
                .map(|part| if part.starts_with('{') { "{id}" } else { part })
                .collect::<Vec<_>>()
                .join("/");
            plain == path
        });
        assert!(found, "{path} is described");
    }
    let metrics = stage.api.get("/metrics").await;
    assert_eq!(metrics.status, 200);
    assert!(metrics.text.contains("# TYPE tether"), "{}", metrics.text);
}

#[tokio::test]
async fn head_and_options_are_405_and_unknown_fields_are_ignored() {
    let stage = Stage::bare().await;
    for method in [reqwest::Method::HEAD, reqwest::Method::OPTIONS] {
        let status = stage.api.request(method.clone(), "/api/sessions").send().await.unwrap().status();
        assert_eq!(status, 405, "{method}");
    }
    let body = json!({ "session_name": "known", "no_such_field": { "deep": [1] } });
    assert_eq!(stage.api.post("/api/sessions", body).await.ok()["name"], "known");
}
