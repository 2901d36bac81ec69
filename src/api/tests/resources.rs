//! The resources, as the contract has them.

use super::*;

const NOBODY: &str = "sess_000000000000";

#[actix_web::test]
async fn a_session_is_made_read_named_and_deleted() {
    let app = app!(api());
    let folder = tempfile::tempdir().expect("a folder");
    let real = folder.path().canonicalize().expect("it exists");
    let body = json!({
        "session_name": "mine", "directory": folder.path(), "adapter": "claude_auto", "approval_mode": 1,
        "platform": "", "unknown": {"field": 1}
    });
    let made = call(&app, request("POST", "/api/sessions").set_json(body)).await;
    assert_eq!(made.status, 201);
    let session = made.json();
    assert_eq!(session["state"], "CREATED");
    assert_eq!(session["name"], "mine");
    assert_eq!(session["directory"], real.to_str().expect("it is UTF-8"));
    assert_eq!(session["approval_mode"], 1);
    assert_eq!(session.as_object().expect("an object").len(), 33, "{session}");
    let at = format!("/api/sessions/{}", session["id"].as_str().expect("an id"));
    assert_eq!(call(&app, request("GET", &at)).await.json(), session);
    assert_eq!(call(&app, request("GET", "/api/sessions")).await.json(), json!([session]));

    let rename = |name: &str| request("PATCH", &format!("{at}/rename")).set_json(json!({"name": name}));
    assert_eq!(call(&app, rename("  a \n b ")).await.json()["name"], "a b");
    assert_eq!(call(&app, rename("   ")).await.json()["name"], "");
    assert_eq!(call(&app, rename(&"x".repeat(81))).await.code(), "VALIDATION_ERROR");
    let mode = |mode: Value| request("PATCH", &format!("{at}/approval-mode")).set_json(mode);
    assert_eq!(call(&app, mode(json!({"approval_mode": 2}))).await.json()["approval_mode"], 2);
    assert_eq!(call(&app, mode(json!({}))).await.json()["approval_mode"], json!(null));
    assert_eq!(call(&app, mode(json!({"approval_mode": true}))).await.status, 422);

    let usage = call(&app, request("GET", &format!("{at}/usage"))).await.json();
    assert_eq!(usage, json!({"input_tokens": 0, "output_tokens": 0, "total_cost_usd": 0.0}));
    let diff = call(&app, request("GET", &format!("{at}/diff"))).await.json();
    assert_eq!((&diff["diff"], &diff["files"]), (&json!(""), &json!([])));
    assert_eq!(call(&app, request("GET", &format!("{at}/queue"))).await.json(), json!([]));
    let sync = call(&app, request("POST", &format!("{at}/sync?force=true"))).await;
    assert_eq!((sync.status.as_u16(), sync.code().as_str()), (400, "INVALID_STATE"));
    let unbind = call(&app, request("DELETE", &format!("{at}/platform"))).await;
    assert_eq!((unbind.status.as_u16(), unbind.code().as_str()), (409, "INVALID_STATE"));

    let details = |body: Value| request("PATCH", &format!("{at}/details")).set_json(body);
    let changed = call(&app, details(json!({"model": "opus", "restart_policy": "never"}))).await.json();
    assert_eq!((&changed["model"], &changed["restart_policy"]), (&json!("opus"), &json!("never")));
    assert_eq!(call(&app, details(json!({}))).await.json(), changed);
    assert_eq!(call(&app, details(json!({"model": null}))).await.json()["model"], json!(null));
    assert_eq!(call(&app, details(json!({"restart_policy": "now"}))).await.status, 422);
    assert_eq!(changed["auto_checkpoint"], json!(false), "as configured");
    for (said, is) in [(json!(true), true), (json!(null), false)] {
        assert_eq!(call(&app, details(json!({"auto_checkpoint": said}))).await.json()["auto_checkpoint"], is);
        assert_eq!(call(&app, details(json!({}))).await.json()["auto_checkpoint"], is, "it stays");
    }
    assert_eq!(call(&app, details(json!({"auto_checkpoint": "often"}))).await.status, 422);

    assert_eq!(call(&app, request("DELETE", &at)).await.json(), json!({"ok": true}));
    assert_eq!(call(&app, request("GET", &at)).await.code(), "NOT_FOUND");
}

#[actix_web::test]
async fn what_a_session_cannot_be_is_refused_and_none_is_left() {
    let app = app!(api());
    for (body, status, message) in [
        (json!({"directory": "/does/not/exist"}), 422, "directory must be an existing folder"),
        (json!({"directory": "/a\0b"}), 422, "directory must be an existing folder"),
        (json!({"directory": "/x".repeat(9_000)}), 422, "directory must be an existing folder"),
        (json!({"adapter": "codeks"}), 422, "Invalid adapter 'codeks': "),
        (json!({"platform": "telegram"}), 400, "No bridge registered for platform: telegram"),
        (json!({"clone_url": "ext::sh -c x.git"}), 422, "clone_url must be the address of a repository"),
        (
            json!({"clone_url": "https://example.org/x.git", "directory": "/"}),
            422,
            "give either clone_url or directory",
        ),
        (json!({"worktree": true}), 422, "worktree needs the directory"),
        (json!({"approval_mode": 3}), 422, "Invalid request"),
        (json!({"session_name": 3, "agent_name": []}), 422, "Invalid request"),
    ] {
        let answer = call(&app, request("POST", "/api/sessions").set_json(&body)).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (status, "VALIDATION_ERROR"), "{body}");
        let told = answer.json()["error"]["message"].as_str().unwrap_or_default().to_owned();
        assert!(told.starts_with(message), "{told}");
    }
    assert_eq!(call(&app, request("GET", "/api/sessions")).await.json(), json!([]));
}

#[actix_web::test]
async fn problems_are_listed_together_as_the_contract_words_them() {
    let app = app!(api());
    let body = json!({"allow": "perhaps", "updated_input": []});
    let answer =
        call(&app, request("POST", &format!("/api/sessions/{NOBODY}/permission")).set_json(&body)).await;
    assert_eq!(answer.status, 422);
    assert_eq!(
        answer.json(),
        json!({"error": {"code": "VALIDATION_ERROR", "message": "Invalid request", "details": [
            {"type": "missing", "loc": ["body", "request_id"], "msg": "Field required", "input": body},
            {"type": "bool_parsing", "loc": ["body", "allow"], "input": "perhaps",
             "msg": "Input should be a valid boolean, unable to interpret input"},
            {"type": "dict_type", "loc": ["body", "updated_input"], "msg": "Input should be a valid dictionary", "input": []},
        ]}})
    );
}

#[actix_web::test]
async fn bodies_of_the_wrong_kind_are_told_apart() {
    let app = app!(api());
    let at = format!("/api/sessions/{NOBODY}/input");
    let with = |kind: &'static str, body: &str| {
        request("POST", &at).insert_header(("Content-Type", kind)).set_payload(body.to_owned())
    };
    for (request, status, kind) in [
        (with("application/json", "[]"), 422, "model_attributes_type"),
        (with("application/json", "{\"text\": \"a\"\n x}"), 422, "json_invalid"),
        (with("application/json", ""), 422, "missing"),
        (with("application/json", "{\"text\": \"\"}"), 422, "string_too_short"),
        (with("text/plain", "{\"text\": \"a\"}"), 415, ""),
    ] {
        let answer = call(&app, request).await;
        assert_eq!(answer.status, status);
        answer.code();
        let body = answer.json();
        assert_eq!(body["error"]["details"][0]["type"].as_str().unwrap_or_default(), kind, "{body}");
    }
    let long = json!({"name": "x".repeat(2 << 20)});
    let answer = call(&app, request("PATCH", &format!("/api/sessions/{NOBODY}/rename")).set_json(long)).await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (413, "PAYLOAD_TOO_LARGE"));
    let picture = json!({"text": "x".repeat(2 << 20)});
    let answer = call(&app, request("POST", &at).set_json(picture)).await;
    assert_eq!(answer.status, 404, "where pictures may be sent, bodies may be longer");
}

#[actix_web::test]
async fn an_unknown_session_is_not_found_on_every_route() {
    let app = app!(api());
    for id in [NOBODY, "x", "sess_00000000000G", "%00", "%ff%fe", "..", "sess_0000000000000"] {
        for (method, rest, body) in [
            ("GET", "", None),
            ("DELETE", "", None),
            ("POST", "/start", Some(json!({}))),
            ("POST", "/input", Some(json!({"text": "hi"}))),
            ("POST", "/interrupt", None),
            ("PATCH", "/rename", Some(json!({"name": "n"}))),
            ("PATCH", "/approval-mode", Some(json!({}))),
            ("POST", "/permission", Some(json!({"request_id": "r", "allow": true}))),
            ("GET", "/usage", None),
            ("GET", "/diff", None),
            ("POST", "/sync", None),
            ("DELETE", "/platform", None),
            ("POST", "/events", Some(json!({"type": "output", "data": {}}))),
            ("GET", "/events/poll", None),
            ("GET", "/queue", None),
            ("DELETE", "/queue/0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b", None),
            ("GET", "/details", None),
            ("PATCH", "/details", Some(json!({}))),
        ] {
            let mut request = request(method, &format!("/api/sessions/{id}{rest}"));
            if let Some(body) = body {
                request = request.set_json(body);
            }
            let answer = call(&app, request).await;
            // The router takes `..` for what it is.
            assert!(answer.status == 404 || id == "..", "{method} {id}{rest}: {}", answer.status);
            if answer.status == 404 {
                assert_eq!(answer.json()["error"]["message"], "Session not found", "{method} {id}{rest}");
            }
        }
        assert_eq!(call(&app, request("GET", &format!("/events/sessions/{id}"))).await.status, 404);
    }
}

#[actix_web::test]
async fn an_external_agent_asks_and_reads_the_answer() {
    let app = app!(api());
    let at = format!("/api/sessions/{}", external_session(&app).await);
    let push = |body: Value| request("POST", &format!("{at}/events")).set_json(body);
    let asked = json!({"type": "permission_request", "data": {"request_id": "r1", "tool_name": "Bash"}});
    assert_eq!(call(&app, push(asked)).await.json(), json!({"ok": true}));
    let open = call(&app, request("GET", "/api/approvals")).await.json();
    assert_eq!((&open[0]["request_id"], &open[0]["state"]), (&json!("r1"), &json!("open")));
    let id = open[0]["id"].as_str().expect("an id").to_owned();
    assert_eq!(call(&app, request("GET", &format!("/api/approvals/{id}"))).await.json(), open[0]);

    let poll = format!("{at}/events/poll?since_seq=0&wait_s=5");
    let answer = json!({"request_id": "r1", "allow": "no", "message": "not now"});
    let permission = || request("POST", &format!("{at}/permission")).set_json(&answer);
    let (polled, answered) = tokio::join!(call(&app, request("GET", &poll)), call(&app, permission()));
    assert_eq!(answered.json(), json!({"ok": true}));
    let event = &polled.json()["events"][0];
    assert_eq!(event["type"], "permission_resolved");
    assert_eq!((&event["data"]["allowed"], &event["data"]["message"]), (&json!(false), &json!("not now")));
    assert!(event["seq"].as_u64().is_some_and(|seq| seq > 0));

    let again = call(&app, permission()).await;
    assert_eq!(again.status, 404);
    let told = "Permission request r1 not found or already resolved";
    assert_eq!(again.json()["error"]["message"], told);
    assert_eq!(call(&app, request("GET", "/api/approvals")).await.json(), json!([]));
    let all = call(&app, request("GET", "/api/approvals?state=all&limit=5")).await.json();
    assert_eq!((&all[0]["id"], &all[0]["state"]), (&json!(id), &json!("denied")));
}

#[actix_web::test]
async fn the_first_answer_wins_and_another_is_told_who_gave_it() {
    let app = app!(api());
    let session = external_session(&app).await;
    let asked = json!({"type": "permission_request", "data": {"request_id": "r1"}});
    call(&app, request("POST", &format!("/api/sessions/{session}/events")).set_json(asked)).await;
    let open = call(&app, request("GET", &format!("/api/approvals?session_id={session}"))).await.json();
    let at = format!("/api/approvals/{}/answer", open[0]["id"].as_str().expect("an id"));
    let yes = || {
        let body = json!({"decision": "allow", "scope": "all30m"});
        request("POST", &at).insert_header(("X-Tether-Surface", "cli")).set_json(body)
    };
    let first = call(&app, yes()).await;
    assert_eq!(first.status, 200, "{}", first.json());
    assert_eq!(first.json()["resolved_by"], json!({"type": "person", "surface": "cli"}));
    assert_eq!(call(&app, yes()).await.status, 200);
    let other = call(&app, request("POST", &at).set_json(json!({"decision": "deny"}))).await;
    assert_eq!((other.status.as_u16(), other.code().as_str()), (409, "ALREADY_ANSWERED"));
    assert_eq!(other.json()["error"]["details"]["approval"]["state"], "allowed");

    let grants =
        call(&app, request("GET", &format!("/api/approvals/grants?session_id={session}"))).await.json();
    let grant = format!("/api/approvals/grants/{}", grants[0]["id"].as_str().expect("an id"));
    assert_eq!(call(&app, request("DELETE", &grant)).await.json(), json!({"ok": true}));
    assert_eq!(call(&app, request("DELETE", &grant)).await.status, 404);
    assert_eq!(call(&app, request("GET", "/api/approvals/grants")).await.json(), json!([]));
}

#[actix_web::test]
async fn approvals_that_do_not_exist_are_not_found() {
    let app = app!(api());
    let deny = json!({"decision": "deny"});
    for id in ["perm_000000000000", "%00", &"x".repeat(5_000), "a%2Fb"] {
        assert_eq!(call(&app, request("GET", &format!("/api/approvals/{id}"))).await.status, 404, "{id}");
        let answer = request("POST", &format!("/api/approvals/{id}/answer")).set_json(&deny);
        assert_eq!(call(&app, answer).await.status, 404, "{id}");
        assert_eq!(
            call(&app, request("DELETE", &format!("/api/approvals/grants/{id}"))).await.status,
            404,
            "{id}"
        );
        assert_eq!(call(&app, request("DELETE", &format!("/api/devices/{id}"))).await.status, 404, "{id}");
    }
    assert_eq!(call(&app, request("GET", &format!("/api/approvals?session_id={NOBODY}"))).await.status, 404);
    assert_eq!(call(&app, request("GET", "/api/approvals?state=closed&limit=0")).await.status, 422);
}

#[actix_web::test]
async fn polls_filter_by_type_and_cursor_and_give_up_in_time() {
    let app = app!(api());
    let at = format!("/api/sessions/{}", external_session(&app).await);
    for text in ["one", "two"] {
        let push = json!({"type": "output", "data": {"text": text}});
        call(&app, request("POST", &format!("{at}/events")).set_json(push)).await;
    }
    let poll = |query: &str| request("GET", &format!("{at}/events/poll?{query}"));
    assert_eq!(call(&app, poll("")).await.json(), json!({"events": []}));
    assert_eq!(call(&app, poll("wait_s=1")).await.json(), json!({"events": []}));
    let all = call(&app, poll("types=output,session_state")).await.json();
    let seqs: Vec<&Value> =
        all["events"].as_array().expect("a list").iter().map(|event| &event["seq"]).collect();
    assert_eq!(seqs, [1, 2, 3]);
    let last = call(&app, poll("types=output&since_seq=2")).await.json();
    assert_eq!(last["events"][0]["data"]["text"], "two");
    assert_eq!(call(&app, poll("since_seq=99&types=output")).await.json(), json!({"events": []}));
    for bad in ["since_seq=-1", "since_seq=x", "wait_s=61"] {
        assert_eq!(call(&app, poll(bad)).await.status, 422, "{bad}");
    }
}

#[actix_web::test]
async fn the_summaries_count_what_there_is() {
    let app = app!(api());
    external_session(&app).await;
    let status = call(&app, request("GET", "/api/status/sessions")).await.json();
    assert_eq!(status["total"], 1);
    assert_eq!(status["by_state"], json!({"CREATED": 1}));
    assert_eq!(status["by_platform"], json!({"none": 1}));
    assert_eq!(status["recent_activity"][0]["name"], "N");
    for path in ["/api/status/bridges", "/api/bridges"] {
        let bridges = call(&app, request("GET", path)).await.json();
        assert_eq!(bridges["bridges"].as_array().map(Vec::len), Some(3));
        assert_eq!(bridges["bridges"][0]["status"], "not_configured");
    }
}

#[actix_web::test]
async fn directories_are_looked_at() {
    let app = app!(api());
    let check = |query: &str| request("GET", &format!("/api/directories/check?{query}"));
    let tmp = call(&app, check("path=/tmp/..")).await.json();
    assert_eq!(tmp, json!({"path": "/", "exists": true, "is_git": false}));
    assert_eq!(call(&app, check("path=/does/not/exist")).await.json()["exists"], false);
    for bad in ["", "path=", "path=%00"] {
        assert_eq!(call(&app, check(bad)).await.status, 422, "{bad}");
    }
    let diff = call(&app, request("GET", "/api/directories/diff?path=/does/not/exist")).await.json();
    assert_eq!(diff["files"], json!([]));
}

#[actix_web::test]
async fn figures_and_the_description_name_every_route() {
    let app = app!(api());
    external_session(&app).await;
    call(&app, request("GET", "/api/sessions/x")).await;
    call(&app, request("GET", "/api/nope?token=secret")).await;
    let figures = String::from_utf8(call(&app, request("GET", "/metrics")).await.body).expect("it is text");
    for line in [
        r#"tether_sessions{state="CREATED"} 1"#,
        r#"tether_http_requests_total{route="/api/sessions/{id}",method="GET",status="404"} 1"#,
        r#"tether_http_requests_total{route="other",method="GET",status="404"} 1"#,
        "tether_log_healthy 1",
        "tether_http_request_duration_seconds_bucket",
    ] {
        assert!(figures.contains(line), "{line} is not in\n{figures}");
    }
    assert!(!figures.contains("secret"));
    let description = call(&app, request("GET", "/api/openapi.json")).await.json();
    assert!(description["openapi"].as_str().is_some_and(|version| version.starts_with("3.1")));
    let paths = description["paths"].as_object().expect("paths");
    assert!(paths.len() >= 33, "{}", paths.len());
    let push = &paths["/api/sessions/{id}/events"]["post"];
    assert!(push["requestBody"].to_string().contains("PushedEvent"), "{push}");
    let text = description.to_string();
    let schemas = description["components"]["schemas"].as_object().expect("schemas");
    for part in text.split("#/components/schemas/").skip(1) {
        let name = part.split('"').next().expect("a name");
        assert!(schemas.contains_key(name), "{name} is not described");
    }
}
