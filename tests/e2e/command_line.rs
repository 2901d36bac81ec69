//! The command line: what it prints, what it exits with, how it finds things.

use serde_json::json;

use crate::harness::cli::{tether, tether_with};
use crate::harness::{Home, Stage, eventually, process};

#[tokio::test]
async fn exit_codes_tell_success_error_and_wrong_usage_apart() {
    let stage = Stage::bare().await;
    assert_eq!(stage.cli(&["status"]).await.code, 0);
    assert_eq!(stage.cli(&["no-such-command"]).await.code, 2);
    assert_eq!(stage.cli(&["input"]).await.code, 2);
    let bare = stage.cli(&[]).await;
    assert_eq!(bare.code, 1, "no command is help and 1");
    assert!(format!("{}{}", bare.out, bare.err).contains("Usage"), "{bare:?}");
    let missing = stage.cli(&["interrupt", "sess_nothing"]).await;
    assert_eq!(missing.code, 1);
    assert!(missing.err.contains("No session matching 'sess_nothing'"), "{}", missing.err);
    assert_eq!(stage.cli(&["--help"]).await.code, 0);
    assert!(stage.cli(&["--version"]).await.ok().contains(env!("CARGO_PKG_VERSION")));
}

#[tokio::test]
async fn without_a_daemon_it_says_how_to_start_one() {
    let home = Home::new();
    for args in [&["list"][..], &["status"], &["new", "."], &["approvals"], &["watch", "x"], &["verify"]] {
        let said = tether(&home, args).await;
        assert_eq!(said.code, 1, "{args:?}: {said:?}");
        assert!(said.err.contains("tether start"), "{args:?}: {}", said.err);
    }
}

#[tokio::test]
async fn a_wrong_token_is_said_as_such() {
    let stage = Stage::bare().await;
    let said = tether_with(&stage.home, &["list"], &[("TETHER_AGENT_TOKEN", "wrong")]).await;
    assert_eq!(said.code, 1);
    assert!(said.err.to_lowercase().contains("token"), "{}", said.err);
}

#[tokio::test]
async fn new_list_input_interrupt_and_delete_work_with_prefixes() {
    let stage = Stage::bare().await;
    let empty = stage.cli(&["list"]).await.ok();
    assert!(empty.contains("No sessions."), "{empty}");
    let said = stage.cli(&["new", ".", "--name", "mine"]).await.ok();
    assert!(said.contains("Created session sess_"), "{said}");
    assert!(said.contains(stage.home.work().to_str().unwrap()), "{said}");

    let listed = stage.cli(&["list", "--json"]).await.json();
    let id = listed[0]["id"].as_str().expect("an id").to_owned();
    assert_eq!(listed[0]["name"], "mine");
    let table = stage.cli(&["list"]).await.ok();
    for word in ["ID", "STATE", "NAME", "DIRECTORY", "mine", "created", &id[..12]] {
        assert!(table.contains(word), "{word}: {table}");
    }
    assert!(!table.contains('\u{1b}'), "no colours without a terminal");
    assert!(stage.cli(&["list", "-s", "running"]).await.ok().contains("No sessions."));
    assert!(stage.cli(&["list", "-s", "created"]).await.ok().contains("mine"));
    assert!(stage.cli(&["list", "-d", "."]).await.ok().contains("mine"));
    assert!(stage.cli(&["list", "-d", "/"]).await.ok().contains("No sessions."));

    let external = stage.api.create_external("theirs").await;
    stage.api.push(&external, "output", json!({ "text": "x" })).await.ok();
    let sent = stage.cli(&["input", &external[..14], "go on"]).await.ok();
    assert!(sent.contains(&format!("Sent to {}", &external[..12])), "{sent}");
    let stopped = stage.cli(&["interrupt", &external]).await.ok();
    assert!(stopped.contains(&external), "{stopped}");

    let many = stage.cli(&["delete", "sess_"]).await;
    assert_eq!(many.code, 1);
    assert!(many.err.contains("Ambiguous prefix 'sess_', matches 2 sessions"), "{}", many.err);
    let deleted = stage.cli(&["delete", &id[..14]]).await.ok();
    assert!(deleted.contains(&format!("Deleted {id}")), "{deleted}");
    let active = stage.cli(&["delete", &external]).await;
    assert_eq!(active.code, 1);
    assert!(active.err.contains("Session is active"), "{}", active.err);
}

#[tokio::test]
async fn status_and_verify_tell_how_it_is() {
    let stage = Stage::bare().await;
    stage.api.create_external("one").await;
    let status = stage.cli(&["status"]).await.ok();
    for word in ["Server:", "(ok)", "Version:", "Sessions: 1", "1 created"] {
        assert!(status.contains(word), "{word}: {status}");
    }
    assert!(stage.cli(&["status", "--json"]).await.json().is_object());
    let verify = stage.cli(&["verify"]).await.ok();
    assert!(verify.contains("Health:") && verify.contains("All checks passed."), "{verify}");
}

#[tokio::test]
async fn watch_prints_what_comes_and_ends_when_the_agent_waits() {
    let stage = Stage::bare().await;
    let id = stage.api.create_external("watched").await;
    stage.api.push(&id, "output", json!({ "text": "first words" })).await.ok();
    let api = stage.api.clone();
    let args = ["watch", &*id];
    let (said, ()) = tokio::join!(stage.cli(&args), async {
        api.push(&id, "output", json!({ "text": "last words" })).await.ok();
        api.push(&id, "status", json!({ "status": "awaiting_input" })).await.ok();
    });
    let out = said.ok();
    for word in ["Watching", "first words", "last words", "[awaiting input]"] {
        assert!(out.contains(word), "{word}: {out}");
    }
}

#[tokio::test]
async fn approvals_are_listed_and_answered_by_prefix() {
    let stage = Stage::bare().await;
    let id = stage.api.create_external("asks").await;
    let none = stage.cli(&["approvals"]).await;
    assert_eq!(none.code, 0, "{none:?}");
    for (request, command) in [("r1", "ls -la"), ("r2", "rm -r target")] {
        let ask = json!({ "request_id": request, "tool_name": "Bash", "tool_input": { "command": command } });
        stage.api.push(&id, "permission_request", ask).await.ok();
    }
    let listed = stage.cli(&["approvals", "--json"]).await.json();
    assert_eq!(listed.as_array().map(Vec::len), Some(2), "{listed}");
    let table = stage.cli(&["approvals"]).await.ok();
    assert!(table.contains("ls -la") && table.contains("rm -r target"), "{table}");
    let open = stage.api.open_approvals(&id).await;
    let (first, second) = (open[0]["id"].as_str().unwrap(), open[1]["id"].as_str().unwrap());
    stage.cli(&["approve", first]).await.ok();
    stage.cli(&["deny", &second[..second.len() - 2], "no", "way"]).await.ok();
    assert_eq!(stage.api.approval(first).await["state"], "allowed");
    assert_eq!(stage.api.approval(second).await["state"], "denied");
    let late = stage.cli(&["approve", second]).await;
    assert_eq!(late.code, 1);
    assert!(late.err.contains("denied by"), "{}", late.err);
    let wrong = stage.cli(&["approve", second, "--input", "{not json"]).await;
    assert_ne!(wrong.code, 0);
    assert!(wrong.err.contains("--input"), "{}", wrong.err);
}

#[tokio::test]
async fn always_and_all_leave_a_grant() {
    let stage = Stage::bare().await;
    for (flag, covers) in [("--always", "tool"), ("--all", "all")] {
        let id = stage.api.create_external(flag).await;
        let ask = json!({ "request_id": "r", "tool_name": "Bash", "tool_input": { "command": "ls" } });
        stage.api.push(&id, "permission_request", ask).await.ok();
        let open = stage.api.open_approvals(&id).await;
        stage.cli(&["approve", open[0]["id"].as_str().unwrap(), flag]).await.ok();
        let grants = stage.api.grants().await;
        let own =
            grants.iter().find(|grant| grant["session_id"] == id.as_str()).expect("a grant of this session");
        assert_eq!(own["covers"], covers);
    }
}

#[tokio::test]
async fn start_detached_returns_when_it_answers_and_stop_ends_it() {
    let home = Home::new();
    let said = tether(&home, &["start", "--detach"]).await.ok();
    assert!(said.contains(&home.port.to_string()), "it says where it listens: {said}");
    assert!(said.contains("http://"), "{said}");
    let running = || process::running("start", &home.mark);
    assert!(!running().is_empty());
    tether(&home, &["status"]).await.ok();
    let logs = tether(&home, &["logs"]).await.ok();
    assert!(!logs.trim().is_empty(), "a detached daemon keeps a log");
    tether(&home, &["stop"]).await.ok();
    eventually("it has ended", 15, || async { running().is_empty().then_some(()) }).await;
    let again = tether(&home, &["stop"]).await;
    assert_eq!(again.code, 1, "{again:?}");
}

#[tokio::test]
async fn a_wrong_setting_names_itself_its_value_its_source_and_what_is_allowed() {
    let home = Home::new();
    let said = tether_with(&home, &["start"], &[("TETHER_AGENT_PORT", "eighty")]).await;
    assert_eq!(said.code, 1, "{said:?}");
    for word in ["TETHER_AGENT_PORT", "eighty", "environment", "65535"] {
        assert!(said.err.contains(word), "{word}: {}", said.err);
    }
    let config = home.path().join(".config/tether/config.env");
    std::fs::create_dir_all(config.parent().unwrap()).unwrap();
    std::fs::write(&config, "TETHER_AGENT_SESSION_RETENTION_DAYS=soon\n").unwrap();
    let said = tether(&home, &["start"]).await;
    assert_eq!(said.code, 1, "{said:?}");
    for word in ["TETHER_AGENT_SESSION_RETENTION_DAYS", "soon", "config.env"] {
        assert!(said.err.contains(word), "{word}: {}", said.err);
    }
}

#[tokio::test]
async fn completions_are_printed_for_every_shell() {
    let home = Home::new();
    for shell in ["bash", "zsh", "fish"] {
        let script = tether(&home, &["completions", shell]).await.ok();
        assert!(script.contains("approve"), "{shell}");
    }
    assert_eq!(tether(&home, &["completions", "dos"]).await.code, 2);
}

#[tokio::test]
async fn a_reader_that_goes_away_is_no_error() {
    let stage = Stage::bare().await;
    for number in 0..50 {
        stage.api.create_external(&format!("number {number}")).await;
    }
    let program = crate::harness::daemon::program();
    let done = std::process::Command::new("bash")
        .args(["-o", "pipefail", "-c", &format!("{program} list | head -n 1 > /dev/null")])
        .env_clear()
        .envs(stage.home.environment(None))
        .output()
        .expect("bash runs");
    let err = String::from_utf8_lossy(&done.stderr);
    assert!(!err.contains("panicked") && !err.contains("Broken pipe"), "{err}");
}

#[tokio::test]
async fn a_session_is_started_also_if_nobody_reads_what_is_told_of_it() {
    let stage = Stage::bare().await;
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let done = std::process::Command::new(crate::harness::daemon::program())
        .args(["new", "-a", "demo", "-m", "hello"])
        .env_clear()
        .envs(stage.home.environment(None))
        .current_dir(stage.home.work())
        .stdout(writer)
        .output()
        .expect("it runs");
    assert!(done.status.success(), "{done:?}");
    let sessions = stage.api.get("/api/sessions").await.ok();
    assert_eq!(sessions[0]["message_count"], 1, "{sessions}");
}
