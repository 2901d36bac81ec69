//! A session as a file, over HTTP and from the command line; and the daemon's own log.

use serde_json::{Value, json};

use crate::harness::{Home, Stage};

/// A session with a conversation in it, and something hostile; gives its id.
async fn conversation(stage: &Stage) -> String {
    let id = stage.api.create_external("Fix the <build>").await;
    let events = format!("/api/sessions/{id}/events");
    stage.api.push(&id, "status", json!({ "status": "awaiting_input" })).await.ok();
    stage.api.input(&id, "Please **fix** it").await;
    for text in ["I look at it.\n", "<script>alert(1)</script> \u{202e}[x](javascript:alert(1))"] {
        stage.api.post(&events, json!({ "type": "output", "data": { "text": text } })).await.ok();
    }
    stage.api.post(&events, json!({ "type": "status", "data": { "status": "done" } })).await.ok();
    id
}

#[tokio::test]
async fn a_session_is_exported_in_every_format() {
    let stage = Stage::bare().await;
    let id = conversation(&stage).await;
    let path = format!("/api/sessions/{id}/export");
    let response = stage.api.request(reqwest::Method::GET, &path).send().await.unwrap();
    let disposition = response.headers()["content-disposition"].to_str().unwrap().to_owned();
    assert!(
        disposition.starts_with("attachment") && disposition.contains("fix-the-build-sess_"),
        "{disposition}"
    );
    let text = response.text().await.unwrap();
    let events: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line).expect("an event a line")).collect();
    let seqs: Vec<u64> = events.iter().map(|event| event["seq"].as_u64().unwrap()).collect();
    assert_eq!(seqs, (1..=seqs.len() as u64).collect::<Vec<_>>(), "all events, in order");
    assert!(events.iter().any(|event| event["type"] == "user_input"));

    let markdown = stage.api.get(&format!("{path}?format=md")).await.text;
    assert!(markdown.contains("# Fix the <build>") && markdown.contains("Please **fix** it"), "{markdown}");
    assert!(!markdown.contains('\u{202e}'), "{markdown}");
    let page = stage.api.get(&format!("{path}?format=html")).await.text;
    assert!(page.contains("<strong>fix</strong>") && page.contains("&lt;script&gt;"), "{page}");
    for word in ["<script", "href=\"javascript", "\u{202e}"] {
        assert!(!page.contains(word), "{word} in {page}");
    }
    stage.api.get(&format!("{path}?format=pdf")).await.error(422, "VALIDATION_ERROR");
    stage.api.get("/api/sessions/sess_000000000000/export").await.error(404, "NOT_FOUND");
}

#[tokio::test]
async fn the_command_line_writes_it_to_a_file_and_overwrites_none() {
    let stage = Stage::bare().await;
    let id = conversation(&stage).await;
    let said = stage.cli(&["export", &id[5..12]]).await;
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.out.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()), "{}", said.out);
    let file = stage.file("out.html");
    let path = file.to_str().unwrap();
    let said = stage.cli(&["export", &id, "--format", "html", "-o", path]).await;
    assert_eq!(said.code, 0, "{said:?}");
    assert!(std::fs::read_to_string(&file).unwrap().ends_with("</html>\n"));
    let again = stage.cli(&["export", &id, "--format", "md", "-o", path]).await;
    assert_eq!(again.code, 1, "{again:?}");
    assert!(again.err.contains("exists"), "{again:?}");
}

#[tokio::test]
async fn the_end_of_the_daemons_log_is_told_without_secrets() {
    let mut home = Home::new();
    let file = home.path().join("tether.log");
    home.extra.insert("TETHER_AGENT_LOG_FILE".into(), file.to_str().unwrap().to_owned());
    let stage = Stage::bare_in(home).await;
    let made = stage.api.post("/api/pairing", json!({})).await.ok();
    let tail = crate::harness::eventually("the log is written", 10, || async {
        let tail = stage.api.get("/api/settings/log-tail?lines=50").await.ok();
        tail["lines"].to_string().contains("login code made").then_some(tail)
    })
    .await;
    assert!(tail["lines"].as_array().unwrap().len() <= 50, "{tail}");
    let text = tail.to_string();
    assert!(!text.contains(&stage.api.token) && !text.contains(made["code"].as_str().unwrap()), "{text}");
    let silent = Stage::bare().await;
    assert_eq!(silent.api.get("/api/settings/log-tail").await.ok()["file"], Value::Null);
}
