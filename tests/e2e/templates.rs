//! `tether new -t`: what a template brings, and what one of a project does not bring by itself.

use serde_json::Value;

use crate::git::lays_repository;
use crate::harness::{Home, Stage};

/// Writes the project's template `web`.
fn projects(stage: &Stage, text: &str) {
    let folder = stage.home.work().join(".tether/templates");
    std::fs::create_dir_all(&folder).expect("made");
    std::fs::write(folder.join("web.yaml"), text).expect("written");
}

/// Writes the person's own template.
fn own(stage: &Stage, name: &str, text: &str) {
    let folder = stage.home.path().join(".config/tether/templates");
    std::fs::create_dir_all(&folder).expect("made");
    std::fs::write(folder.join(name), text).expect("written");
}

async fn made(stage: &Stage, args: &[&str]) -> Value {
    stage.cli(&[&["new", "--json"], args].concat()).await.json()
}

#[tokio::test]
async fn a_template_says_what_no_flag_says() {
    let stage = Stage::bare().await;
    own(&stage, "a.yaml", "name: Fix it\nadapter: demo\napproval_mode: 1\ndirectory: .\n");
    let session = made(&stage, &["-t", "a"]).await;
    assert_eq!(session["name"], "Fix it");
    assert_eq!(session["adapter"], "demo");
    assert_eq!(
        (&session["approval_mode"], session["directory"].as_str()),
        (&1.into(), stage.home.work().to_str())
    );
    let session = made(&stage, &["/", "-t", "a", "--name", "Other", "--approval-mode", "0"]).await;
    assert_eq!((&session["name"], &session["approval_mode"]), (&"Other".into(), &0.into()));
    assert_eq!(session["directory"], "/");
    let said = stage.cli(&["new", "-t", "a"]).await.ok();
    assert!(said.contains("a.yaml") && said.contains("Approvals: allow edits"), "{said}");

    let listed = stage.cli(&["templates", "list"]).await.ok();
    assert!(listed.starts_with("Name ") && listed.contains("a.yaml"), "{listed}");
    let shown = stage.cli(&["templates", "show", "a"]).await.ok();
    assert!(shown.contains("  adapter: demo\n  approval_mode: 1\n"), "{shown}");
}

#[tokio::test]
async fn a_template_or_a_flag_has_a_session_saved_after_each_turn() {
    let mut home = Home::new();
    lays_repository(&home);
    home.extra.insert("TETHER_DEMO_PACE_MS".into(), "0".into());
    let stage = Stage::bare_in(home).await;
    own(&stage, "safe.yaml", "adapter: demo\ndirectory: .\nauto_checkpoint: true\n");
    let details = async |id: &str| stage.api.get(&format!("/api/sessions/{id}/details")).await.ok();
    let saved = made(&stage, &["-t", "safe"]).await["id"].as_str().expect("an id").to_owned();
    assert_eq!(details(&saved).await["auto_checkpoint"], true);
    let mut seen = stage.follow(&saved);
    stage.api.start(&saved, "help").await;
    let before = seen.next("checkpoint", 0, 40).await;
    assert_eq!(before.text("message"), "[tether] checkpoint before the first turn");

    let other = made(&stage, &["-t", "safe", "--auto-checkpoint=false"]).await["id"].clone();
    assert_eq!(
        details(other.as_str().expect("an id")).await["auto_checkpoint"],
        false,
        "the flag comes first"
    );
    let plain = made(&stage, &["-a", "demo"]).await["id"].clone();
    assert_eq!(details(plain.as_str().expect("an id")).await["auto_checkpoint"], false, "as configured");
    let said = stage.cli(&["new", "-a", "demo", "--auto-checkpoint"]).await.ok();
    assert!(said.contains("  Saved:     after each turn"), "{said}");
    let said = stage.cli(&["new", "/", "-t", "safe"]).await.ok();
    assert!(said.contains("  Saved:     no: only"), "{said}");
}

#[tokio::test]
async fn a_projects_template_allows_nothing_until_the_directory_is_trusted() {
    let stage = Stage::bare().await;
    projects(&stage, "name: theirs\nadapter: demo\napproval_mode: 2\n");
    for args in [
        &["new", "-t", "web"][..],
        &["new", "-t", ".tether/templates/web.yaml"],
        &["new", "-t", "web", "--json"],
    ] {
        let said = stage.cli(args).await;
        assert_eq!(said.code, 1, "{said:?}");
        for word in ["web.yaml", "allow everything", "--approval-mode", "tether trust yes"] {
            assert!(said.err.contains(word), "{word}: {}", said.err);
        }
    }
    assert_eq!(stage.cli(&["list", "--json"]).await.json(), Value::Array(Vec::new()), "no session was made");

    let asked = made(&stage, &["-t", "web", "--approval-mode", "0"]).await;
    assert_eq!((&asked["name"], &asked["approval_mode"]), (&"theirs".into(), &0.into()));
    let typed = made(&stage, &["-t", "web", "--approval-mode", "2"]).await;
    assert_eq!(typed["approval_mode"], 2);
    stage.cli(&["trust", "no"]).await.ok();
    assert_eq!(stage.cli(&["new", "-t", "web"]).await.code, 1);
    stage.cli(&["trust", "yes"]).await.ok();
    let said = stage.cli(&["new", "-t", "web"]).await.ok();
    assert!(said.contains("Approvals: allow everything"), "it is said: {said}");

    // Nothing is asked about one that allows nothing.
    stage.cli(&["trust", "forget"]).await.ok();
    projects(&stage, "name: theirs\napproval_mode: 0\n");
    assert_eq!(made(&stage, &["-t", "web"]).await["approval_mode"], 0);
    projects(&stage, "name: theirs\n");
    assert_eq!(made(&stage, &["-t", "web"]).await["approval_mode"], Value::Null);
}

#[tokio::test]
async fn what_does_not_go_together_is_an_error_and_makes_nothing() {
    let stage = Stage::bare().await;
    own(&stage, "plain.yaml", "adapter: demo\n");
    own(&stage, "odd.yaml", "aproval_mode: 0\n");
    for (args, word) in [
        (&["new", "--branch", "x"][..], "--branch"),
        (&["new", ".", "--shallow"], "--shallow"),
        (&["new", "--auto-branch"], "--auto-branch"),
        (&["new", ".", "--clone", "https://x.example/y"], "--clone"),
        (&["new", "--worktree", "--clone", "https://x.example/y"], "--worktree"),
        (&["new", "-t", "plain", "--branch", "x"], "--branch"),
        (&["new", "-t", "odd"], "aproval_mode"),
        (&["new", "-t", "nothing"], "template 'nothing' not found"),
        (&["new", "-t", "../x"], "not found"),
    ] {
        let said = stage.cli(args).await;
        assert_eq!(said.code, 1, "{args:?}: {said:?}");
        assert!(said.err.starts_with("Error: ") && said.err.contains(word), "{args:?}: {}", said.err);
    }
    assert_eq!(stage.cli(&["list", "--json"]).await.json(), Value::Array(Vec::new()));
}
