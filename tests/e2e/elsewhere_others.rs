//! Sessions that a person began in Codex's or Pi's own program: found, attached, gone on with, followed.

use std::process::Stdio;

use serde_json::{Value, json};

use crate::harness::{Home, Stage};

/// A program as a person runs it in the work folder; answers when it has ended well.
async fn plainly(stage: &Stage, args: &[&str]) {
    let ended = tokio::process::Command::new(args[0])
        .args(&args[1..])
        .env_clear()
        .envs(stage.home.environment(Some(stage.model().port)))
        .current_dir(stage.home.work())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .output()
        .await
        .expect("it can be run");
    assert!(ended.status.success(), "{args:?}: {}", String::from_utf8_lossy(&ended.stderr));
}

/// A home in which a run of ours is over before the plain program writes again.
fn home(default: &str) -> Home {
    let mut home = Home::new();
    home.extra.insert("TETHER_AGENT_IDLE_EXIT_SECONDS".into(), "1".into());
    home.extra.insert("TETHER_DEFAULT_AGENT_ADAPTER".into(), default.into());
    home.extra.insert("TETHER_PI_MODEL".into(), "rig/scripted".into());
    home
}

/// `begin` is how a person begins a conversation, `go_on` how one goes on with it (`ID` stands for its id); the prompt
/// comes behind.
async fn attached_gone_on_with_and_followed(stage: &Stage, runner: &str, begin: &[&str], go_on: &[&str]) {
    plainly(stage, &[begin, &["SAY the word is walrus"]].concat()).await;
    let list = stage.api.get("/api/external-sessions").await.ok();
    let [external] = list.as_array().map(Vec::as_slice).unwrap_or_default() else { panic!("{list}") };
    assert_eq!((&external["runner_type"], &external["is_running"]), (&json!(runner), &json!(false)));
    let id = external["id"].as_str().expect("an id").to_owned();
    let said = stage.cli(&["attach", &id]).await.ok();
    let list = stage.api.get("/api/sessions").await.ok();
    let [session] = list.as_array().map(Vec::as_slice).unwrap_or_default() else { panic!("{said}: {list}") };
    let ours = session["id"].as_str().expect("an id").to_owned();

    let mut seen = stage.follow(&ours);
    let old = seen.next("output", 0, 10).await;
    assert_eq!((old.text("text"), &old.data["is_history"]), ("the word is walrus", &json!(true)));
    let before = stage.model().requests().len();
    stage.api.input(&ours, "SAY still here").await;
    seen.idle(1, 90).await;
    assert!(talks(stage, before) >= 3, "the conversation came along: {:?}", stage.model().requests().pop());

    let sync = format!("/api/sessions/{ours}/sync");
    let exited = seen.next("agent_exited", 0, 30).await;
    let nothing = stage.api.post(&sync, json!({})).await.ok();
    assert_eq!(nothing["synced"], 0, "what our own program wrote is known: {nothing}");
    let go_on: Vec<&str> = go_on.iter().map(|word| if *word == "ID" { id.as_str() } else { word }).collect();
    plainly(stage, &[&go_on[..], &["SAY from the terminal"]].concat()).await;
    let some = stage.api.post(&sync, json!({})).await.ok();
    assert_eq!(some["synced"], 2, "{some}");
    let told = seen.next("user_input", exited.seq, 10).await;
    assert_eq!((told.text("text"), &told.data["is_history"]), ("SAY from the terminal", &json!(true)));
    let nothing = stage.api.post(&sync, json!({})).await.ok();
    assert_eq!((&nothing["synced"], &nothing["total"]), (&json!(0), &some["total"]));

    let before = stage.model().requests().len();
    stage.api.input(&ours, "SAY and on").await;
    seen.idle(2, 90).await;
    assert!(
        talks(stage, before) >= 7,
        "the terminal's turn came along: {:?}",
        stage.model().requests().pop()
    );
    let said = seen.said();
    for words in ["the word is walrus", "still here", "from the terminal", "and on"] {
        assert_eq!(said.matches(words).count(), 1, "{words}: {said:?}");
    }
    seen.check_against_replay().await;
}

/// The messages of the longest conversation that the model was given since then.
fn talks(stage: &Stage, before: usize) -> u64 {
    let requests = stage.model().requests();
    let turns = |request: &Value| request["turns"].as_u64().unwrap_or_default();
    requests.iter().skip(before).map(turns).max().unwrap_or_default()
}

#[tokio::test]
async fn a_session_of_the_plain_codex_is_attached_gone_on_with_and_followed() {
    let stage = Stage::with_agents_in(home("codex")).await;
    let begin = ["codex", "exec", "--skip-git-repo-check"];
    let go_on = ["codex", "exec", "resume", "--skip-git-repo-check", "ID"];
    attached_gone_on_with_and_followed(&stage, "codex", &begin, &go_on).await;
}

#[tokio::test]
async fn a_session_of_the_plain_pi_is_attached_gone_on_with_and_followed() {
    let stage = Stage::with_agents_in(home("pi")).await;
    crate::pi::lay_providers(&stage);
    let begin = ["pi", "--print", "--provider", "rig", "--model", "scripted"];
    let go_on = ["pi", "--print", "--provider", "rig", "--model", "scripted", "--session", "ID"];
    attached_gone_on_with_and_followed(&stage, "pi", &begin, &go_on).await;
}
