//! Texts of agents as HTML, and what is told to be risky, as a browser gets them.

use serde_json::{Value, json};

use crate::harness::{Stage, ws};

/// Renders one item; gives its HTML.
async fn html(stage: &Stage, item: Value) -> String {
    let answer = stage.api.post("/api/render", json!({ "items": [item] })).await.ok();
    answer["items"][0]["html"].as_str().expect("an item has HTML").to_owned()
}

#[tokio::test]
async fn markdown_code_and_diffs_come_back_in_order_and_clean() {
    let stage = Stage::bare().await;
    let items = json!([
        { "kind": "markdown", "text": "# A\n\na <script>alert(1)</script> [x](javascript:alert(1)) ![p](https://x.example/p.png)" },
        { "kind": "code", "text": "fn main() {}", "language": "rust" },
        { "kind": "diff", "old": "let a = 1;\n", "new": "let a = 2;\n", "path": "src/a.rs" },
        { "kind": "diff", "text": "--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n" },
    ]);
    let answer = stage.api.post("/api/render", json!({ "items": items })).await.ok();
    let html: Vec<&str> =
        answer["items"].as_array().expect("items").iter().map(|i| i["html"].as_str().unwrap()).collect();
    assert_eq!(html.len(), 4);
    assert!(html[0].contains("<h1>A</h1>") && html[0].contains("&lt;script&gt;"), "{}", html[0]);
    for word in ["<script", "javascript:alert(1)\"", "<img", "style="] {
        assert!(!answer.to_string().contains(word), "{word}: {answer}");
    }
    assert!(html[0].contains("noopener"), "{}", html[0]);
    assert!(html[1].contains("<span class=\"hl-key\">fn</span>"), "{}", html[1]);
    assert!(
        html[2].contains("src/a.rs") && html[2].contains("<mark class=\"diff-word\">2</mark>"),
        "{}",
        html[2]
    );
    assert!(html[3].contains("diff-del") && html[3].contains("diff-add"), "{}", html[3]);
}

#[tokio::test]
async fn a_result_of_five_megabytes_is_cut_with_a_word_and_more_is_refused() {
    let stage = Stage::bare().await;
    let cut = html(&stage, json!({ "kind": "code", "text": "<b>line</b>\n".repeat(450_000) })).await;
    assert!(cut.contains("class=\"cut\"") && cut.len() < 4 << 20, "{}", cut.len());
    let reply = stage
        .api
        .post("/api/render", json!({ "items": [{ "kind": "code", "text": "x".repeat(9 << 20) }] }))
        .await;
    reply.error(413, "PAYLOAD_TOO_LARGE");
    assert_eq!(stage.api.get("/api/health").await.status, 200);
}

#[tokio::test]
async fn what_is_no_request_to_render_is_refused_with_its_place() {
    let stage = Stage::bare().await;
    for (body, part) in [
        (json!({ "items": [{ "kind": "pdf", "text": "x" }] }), "kind"),
        (json!({ "items": [{ "kind": "markdown" }] }), "text"),
        (json!({ "items": ["x"] }), "items"),
        (json!({ "items": vec![json!({ "kind": "markdown", "text": "" }); 201] }), "items"),
    ] {
        let reply = stage.api.post("/api/render", body).await;
        reply.error(422, "VALIDATION_ERROR");
        assert!(reply.body["error"]["details"].to_string().contains(part), "{}", reply.text);
    }
    assert_eq!(stage.api.post("/api/render", json!({ "items": [] })).await.ok()["items"], json!([]));
}

#[tokio::test]
async fn every_surface_tells_what_is_risky_about_a_question() {
    let stage = Stage::bare().await;
    let id = stage.api.create_external("risky").await;
    stage.api.push(&id, "output", json!({ "text": "I clean up first." })).await.ok();
    let mut socket = ws::connect(&stage.api).await;
    socket.done(json!({ "type": "overview" })).await;
    let command = "ls && rm -rf build\u{202e}";
    let asked = json!({ "type": "permission_request", "data": {
        "request_id": "r1", "tool_name": "shell", "tool_input": { "command": command },
    } });
    stage.api.post(&format!("/api/sessions/{id}/events"), asked).await.ok();
    let open = stage.api.get("/api/approvals").await.ok();
    let risk = &open[0]["risk"];
    assert_eq!(risk["level"], "danger", "{risk}");
    let (start, end) =
        (risk["marks"][0]["start"].as_u64().unwrap(), risk["marks"][0]["end"].as_u64().unwrap());
    assert_eq!(&command[start as usize..end as usize], "rm -rf", "{risk}");
    assert_eq!(risk["invisible"][0]["code"], "U+202E", "{risk}");
    assert_eq!(open[0]["said"], "I clean up first.");
    let told = socket.until("the approval", 10, |frame| frame["type"] == "approval").await;
    assert_eq!(told["approval"]["risk"], *risk, "{told}");

    let harmless = json!({ "type": "permission_request", "data": {
        "request_id": "r2", "tool_name": "shell", "tool_input": { "command": "ls -la" },
    } });
    stage.api.post(&format!("/api/sessions/{id}/events"), harmless).await.ok();
    let open = stage.api.get("/api/approvals").await.ok();
    let second = open.as_array().unwrap().iter().find(|one| one["request_id"] == "r2").expect("it is open");
    assert_eq!((&second["risk"]["level"], &second["risk"]["marks"]), (&json!("normal"), &json!([])));
}

#[tokio::test]
async fn a_list_of_sessions_shows_what_goes_on() {
    let stage = Stage::bare().await;
    let id = stage.api.create_external("busy").await;
    let events = format!("/api/sessions/{id}/events");
    stage.api.post(&events, json!({ "type": "status", "data": { "status": "running" } })).await.ok();
    stage
        .api
        .post(&events, json!({ "type": "output", "data": { "text": "Reading.\nBuilding the parser\n" } }))
        .await
        .ok();
    for request in ["a", "b"] {
        let data = json!({ "request_id": request, "tool_name": "deploy", "tool_input": {} });
        stage.api.post(&events, json!({ "type": "permission_request", "data": data })).await.ok();
    }
    let session = stage.api.session(&id).await;
    assert_eq!(session["last_line"], "Building the parser", "{session}");
    assert_eq!(session["pending_approvals"], 2, "{session}");
    assert!(session["running_since"].is_string(), "{session}");
    let details = format!("/api/sessions/{id}/details");
    assert_eq!(stage.api.patch(&details, json!({ "archived": true })).await.ok()["archived"], true);
    assert_eq!(stage.api.session(&id).await["archived"], true);
    stage.api.post(&events, json!({ "type": "status", "data": { "status": "done" } })).await.ok();
    let session = stage.api.session(&id).await;
    assert_eq!(
        (&session["running_since"], &session["pending_approvals"]),
        (&Value::Null, &json!(0)),
        "{session}"
    );
    stage.api.input(&id, "go on").await;
    assert_eq!(stage.api.session(&id).await["archived"], false, "what a person says brings it back");
}

#[tokio::test]
async fn directories_are_completed_and_remembered() {
    let stage = Stage::bare().await;
    let work = stage.home.work();
    for name in ["alpha", "alphabet", "beta"] {
        std::fs::create_dir_all(work.join(name)).expect("a folder");
    }
    let typed = format!("{}/alp", work.display());
    let request =
        stage.api.request(reqwest::Method::GET, "/api/directories/complete").query(&[("path", &typed)]);
    let found: Value = request.send().await.unwrap().json().await.unwrap();
    let names: Vec<&str> =
        found["entries"].as_array().unwrap().iter().map(|e| e["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["alpha", "alphabet"]);
    stage.api.create(&work.join("beta")).await;
    stage.api.create(&work.join("alpha")).await;
    stage.api.create(&work.join("alpha")).await;
    std::fs::remove_dir(work.join("beta")).expect("it is empty");
    let recent = stage.api.get("/api/directories/recent").await.ok();
    assert_eq!(recent.as_array().unwrap().len(), 1, "one is gone: {recent}");
    assert!(recent[0]["path"].as_str().unwrap().ends_with("alpha") && recent[0]["sessions"] == 2, "{recent}");
}
