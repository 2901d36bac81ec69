//! What a directory brings along for agents counts only once a person has said so.

use serde_json::json;

use crate::harness::{Stage, lines};

/// A project whose settings run a command at the start of every prompt.
fn lays_a_hook(stage: &Stage) -> std::path::PathBuf {
    let ran = stage.file("hook-ran");
    let settings = stage.home.work().join(".claude");
    std::fs::create_dir_all(&settings).expect("a folder");
    let hook = json!({ "type": "command", "command": format!("echo hook >> {}", ran.display()) });
    let all = json!({ "hooks": { "UserPromptSubmit": [{ "hooks": [hook] }] } });
    std::fs::write(settings.join("settings.json"), all.to_string()).expect("it is written");
    ran
}

#[tokio::test]
async fn a_projects_hooks_run_only_after_a_yes_that_is_asked_for_once_a_directory() {
    let stage = Stage::with_agents().await;
    let ran = lays_a_hook(&stage);
    let (first, mut seen) = stage.started("SAY one").await;
    let ask = seen.asked(0).await;
    assert_eq!(ask.data["kind"], "trust", "{}", ask.raw);
    assert!(ask.text("title").contains(".claude/settings.json"), "{}", ask.raw);
    seen.idle(1, 40).await;
    let (second, mut other) = stage.started("SAY other").await;
    let same = other.asked(0).await;
    other.idle(1, 40).await;
    assert_eq!(lines(&ran).len(), 0, "nothing ran before the yes");

    stage.cli(&["approve", ask.text("approval_id")]).await.ok();
    assert_eq!(stage.api.open_approvals(&second).await.len(), 0, "{} is the same question", same.raw);
    let listed = stage.api.get("/api/trusted-directories").await.ok();
    assert_eq!(listed[0]["path"], stage.home.work().canonicalize().unwrap().to_str().unwrap(), "{listed}");
    assert_eq!((&listed[0]["trusted"], &listed[0]["decided_by"]["surface"]), (&json!(true), &json!("cli")));

    // A program that was started with the directory's own settings takes the next input, in the same conversation.
    stage.api.input(&first, "SAY two").await;
    seen.idle(2, 40).await;
    assert_eq!(lines(&ran), ["hook"]);
    assert_eq!(seen.of("agent_started").len(), 2);
    let last = stage.model().requests().pop().expect("the model was asked");
    assert!(last["turns"].as_u64() >= Some(3), "the conversation came along: {last}");
}

#[tokio::test]
async fn a_no_is_remembered_and_what_was_said_can_be_taken_back() {
    let mut stage = Stage::with_agents().await;
    let ran = lays_a_hook(&stage);
    let (_, mut seen) = stage.started("SAY one").await;
    let ask = seen.asked(0).await;
    stage.cli(&["deny", ask.text("approval_id")]).await.ok();
    seen.idle(1, 40).await;
    stage.daemon.kill9_and_restart().await;

    let (_, mut other) = stage.started("SAY two").await;
    other.idle(1, 40).await;
    assert_eq!(other.of("permission_request").len(), 0, "it is not asked again");
    assert_eq!(lines(&ran).len(), 0);

    let directory = stage.home.work();
    let directory = directory.to_str().unwrap();
    let said = stage.cli(&["trust", "forget", directory]).await.ok();
    assert!(said.contains("asked about again"), "{said}");
    stage.cli(&["trust", "yes", directory]).await.ok();
    let (_, mut third) = stage.started("SAY three").await;
    third.idle(1, 40).await;
    assert_eq!((lines(&ran).len(), third.of("permission_request").len()), (1, 0));
}

#[tokio::test]
async fn a_mode_that_allows_everything_does_not_trust_a_directory() {
    let stage = Stage::with_agents().await;
    let ran = lays_a_hook(&stage);
    let (id, mut seen) = stage.session().await;
    stage.api.patch(&format!("/api/sessions/{id}/approval-mode"), json!({ "approval_mode": 2 })).await.ok();
    stage.api.start(&id, "SAY one").await;
    seen.asked(0).await;
    seen.idle(1, 40).await;
    assert_eq!(stage.api.open_approvals(&id).await.len(), 1);
    assert_eq!(lines(&ran).len(), 0);
    stage
        .api
        .put("/api/trusted-directories", json!({ "path": "/nowhere/at/all", "trusted": true }))
        .await
        .error(422, "VALIDATION_ERROR");
}
