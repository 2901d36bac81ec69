//! Moving over from Tether 0.3.4, with a home that it wrote itself.

use serde_json::{Value, json};

use crate::harness::cli::{tether, tether_with};
use crate::harness::peer::{PeerHome, hashes};
use crate::harness::{Daemon, Home, Stage};

fn peer(home: &Home) -> PeerHome {
    PeerHome::unpack(&home.path().join("peer"))
}

fn line<'a>(report: &'a Value, name: &str) -> &'a Value {
    let lines = report["sessions"].as_array().expect("a list");
    lines.iter().find(|line| line["name"] == name).unwrap_or_else(|| panic!("no {name} in {report}"))
}

async fn events(stage: &Stage, id: &str) -> Vec<Value> {
    let text = stage.api.get(&format!("/api/sessions/{id}/export")).await.text;
    text.lines().map(|line| serde_json::from_str(line).expect("an event a line")).collect()
}

#[tokio::test]
async fn sessions_move_over_through_the_daemon_once_and_the_source_stays_as_it_is() {
    let stage = Stage::bare().await;
    let peer = peer(&stage.home);
    let before = hashes(&peer.0);
    let data = peer.data().display().to_string();
    let dry = stage.cli(&["migrate", &data, "--dry-run", "--json"]).await.json();
    assert_eq!(line(&dry, "Long")["outcome"], "would_be_taken");
    assert_eq!(stage.api.get("/api/sessions").await.ok(), json!([]), "nothing was done");

    let report = stage.cli(&["migrate", &data, "--json", "--no-settings"]).await.json();
    for (name, events) in [("Größe prüfen", 20), ("Not begun", 0), ("Broken", 4), ("Waits", 3), ("Long", 92)]
    {
        let line = line(&report, name);
        assert!(line["events"].as_u64() >= Some(events), "{line}");
        assert_eq!(line["outcome"], "taken", "{line}");
    }
    assert!(report["left"][0]["why"].as_str().unwrap_or_default().contains("deleted"), "{report}");
    let sessions = stage.api.get("/api/sessions").await.ok();
    let state = |name: &str| {
        let all = sessions.as_array().expect("a list");
        all.iter().find(|one| one["name"] == name).unwrap_or(&Value::Null)["state"].clone()
    };
    assert_eq!(sessions.as_array().map(Vec::len), Some(6));
    assert_eq!(
        (state("Not begun"), state("Broken"), state("Waits")),
        (json!("CREATED"), json!("ERROR"), json!("RUNNING"))
    );

    let long = line(&report, "Long")["id"].as_str().expect("an id").to_owned();
    let all = events(&stage, &long).await;
    let seqs: Vec<u64> = all.iter().map(|event| event["seq"].as_u64().expect("a number")).collect();
    assert_eq!(seqs, (1..=92).collect::<Vec<_>>());
    let written =
        std::fs::read_to_string(peer.data().join(format!("sessions/{long}/events.jsonl.1"))).expect("read");
    for (theirs, ours) in written.lines().zip(&all) {
        let theirs: Value = serde_json::from_str(theirs).expect("an event");
        assert_eq!(&theirs, ours, "what was rotated away is here as it was written");
    }

    // The agent of one's own goes on under the id that it knows, and is told that nobody said yes.
    let waits = line(&report, "Waits")["id"].as_str().expect("an id").to_owned();
    let polled = stage.api.get(&format!("/api/sessions/{waits}/events/poll?since_seq=0")).await.ok();
    let told = &polled["events"][0];
    assert_eq!((&told["data"]["request_id"], &told["data"]["allowed"]), (&json!("req-2"), &json!(false)));
    stage.api.push(&waits, "status", json!({ "status": "done" })).await.ok();

    let again = stage.cli(&["migrate", &data, "--no-settings"]).await.ok();
    assert!(again.contains("0 sessions were taken over") && again.contains("already here"), "{again}");
    assert_eq!(events(&stage, &long).await.len(), 92, "nothing is there twice");
    assert_eq!(hashes(&peer.0), before, "nothing was changed there");
}

#[tokio::test]
async fn without_a_daemon_it_goes_into_the_data_folder_itself_or_says_who_has_it() {
    let home = Home::new();
    let peer = peer(&home);
    let data = peer.data().display().to_string();
    let dry = tether(&home, &["migrate", &data, "--dry-run", "--no-settings"]).await.ok();
    assert!(dry.contains("would be taken") && dry.contains("dry run"), "{dry}");
    assert!(!home.path().join(".local/share/tether/log").exists(), "nothing was made");
    let done = tether(&home, &["migrate", &data, "--no-settings"]).await.ok();
    assert!(done.contains("6 sessions were taken over"), "{done}");
    let again = tether(&home, &["migrate", &data, "--no-settings"]).await.ok();
    assert!(again.contains("0 sessions were taken over"), "{again}");
    let named = tether(&home, &["-P", &home.port.to_string(), "migrate", &data]).await;
    assert!(named.code == 1 && named.err.contains("Is it running?"), "{named:?}");

    let mut daemon = Daemon::new(&home, None);
    daemon.start().await;
    let listed = tether(&home, &["list"]).await.ok();
    assert!(listed.contains("Größe prüfen") && listed.contains("Claude's"), "{listed}");
    let elsewhere = tether_with(&home, &["migrate", &data], &[("TETHER_AGENT_PORT", "1")]).await;
    assert_eq!(elsewhere.code, 1);
    assert!(elsewhere.err.contains("another tether daemon is using"), "{elsewhere:?}");
    let stranger = tether_with(&home, &["migrate", &data], &[("TETHER_AGENT_TOKEN", "wrong")]).await;
    assert!(stranger.code == 1 && stranger.err.contains("token"), "{stranger:?}");
}

#[tokio::test]
async fn settings_are_shown_and_stored_only_with_a_yes() {
    let mut home = Home::new();
    // As a person has it: all in the file.
    home.extra.insert("TETHER_AGENT_TOKEN".into(), String::new());
    let peer = peer(&home);
    let before = hashes(&peer.0);
    let (data, config) = (peer.data().display().to_string(), peer.config().display().to_string());
    let ours = home.path().join(".config/tether/config.env");
    std::fs::create_dir_all(ours.parent().expect("a folder")).expect("made");
    std::fs::write(&ours, "# mine\nTETHER_AGENT_SESSION_RETENTION_DAYS=3\n").expect("written");
    let shown = tether(&home, &["migrate", &data, "--config", &config]).await.ok();
    for words in [
        "+ TETHER_AGENT_TOKEN=(hidden)",
        "- TETHER_AGENT_SESSION_RETENTION_DAYS=3\n+ TETHER_AGENT_SESSION_RETENTION_DAYS=30",
        "+ TELEGRAM_FORUM_GROUP_ID=-100123",
        "TETHER_SSH_PORT: it has no effect here",
        "TETHER_AGENT_LOG_LEVEL: its value does not do here",
        "Not stored",
    ] {
        assert!(shown.contains(words), "{words} in {shown}");
    }
    assert!(!shown.contains("peer-token"), "{shown}");
    assert_eq!(std::fs::read_to_string(&ours).expect("read").lines().count(), 2, "nothing was stored");
    let report = tether(&home, &["migrate", &data, "--config", &config, "--yes", "--json"]).await.json();
    assert_eq!(report["settings"]["stored"], true, "{report}");
    let text = std::fs::read_to_string(&ours).expect("read");
    for words in ["# mine", "TETHER_AGENT_TOKEN=peer-token", "TETHER_AGENT_SESSION_RETENTION_DAYS=30"] {
        assert!(text.contains(words), "{words} in {text}");
    }
    let same = tether(&home, &["migrate", &data, "--config", &ours.display().to_string()]).await.ok();
    assert!(same.contains("is ours, too"), "{same}");
    assert_eq!(hashes(&peer.0), before);
    let none = tether(&home, &["migrate", &data, "--config", "/nowhere/config.env"]).await;
    assert!(none.code == 1 && none.err.contains("/nowhere/config.env"), "{none:?}");
}

#[tokio::test]
async fn a_daemon_that_runs_stays_in_reach_of_the_command_line() {
    let stage = Stage::bare().await;
    let peer = peer(&stage.home);
    let (data, config) = (peer.data().display().to_string(), peer.config().display().to_string());
    let said = tether(&stage.home, &["migrate", &data, "--config", &config, "--yes"]).await.ok();
    for name in ["TETHER_AGENT_TOKEN", "TETHER_AGENT_PORT"] {
        assert!(said.contains(&format!("{name}: the daemon runs with another one")), "{said}");
    }
    assert!(said.contains("started anew"), "{said}");
    let text = std::fs::read_to_string(stage.home.path().join(".config/tether/config.env")).expect("read");
    assert!(!text.contains("peer-token") && text.contains("RETENTION_DAYS=30"), "{text}");
}

#[tokio::test]
async fn what_is_no_data_folder_is_refused_with_nothing_changed() {
    let stage = Stage::bare().await;
    let peer = peer(&stage.home);
    let nowhere = stage.cli(&["migrate", "/nowhere"]).await;
    assert!(nowhere.code == 1 && nowhere.err.contains("/nowhere holds no sessions.db"), "{nowhere:?}");
    let usual = stage.cli(&["migrate"]).await;
    assert!(usual.code == 1 && usual.err.contains("TETHER_AGENT_DATA_DIR"), "{usual:?}");
    std::fs::write(peer.data().join("sessions.db"), "SQLite format 3\0nonsense").expect("written");
    let damaged = stage.cli(&["migrate", &peer.data().display().to_string()]).await;
    assert!(damaged.code == 1 && damaged.err.contains("sessions.db cannot be read"), "{damaged:?}");
    let session = |more: Value| {
        let mut body = json!({
            "id": "sess_0123456789ab", "state": "CREATED", "created_at": "2026-01-01T00:00:00Z",
            "last_activity_at": "2026-01-01T00:00:00Z", "events": [],
        });
        body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        body
    };
    for wrong in [
        json!({ "id": "../../x" }),
        json!({ "state": "ASLEEP" }),
        json!({ "created_at": "soon" }),
        json!({ "events": [{ "ts": "x", "type": "output", "data": {} }] }),
        json!({ "events": [{ "ts": "2026-01-01T00:00:00Z", "type": "output", "data": [] }] }),
        json!({ "events": "many" }),
    ] {
        let reply = stage.api.post("/api/sessions/import", session(wrong.clone())).await;
        let message = reply.error(422, "VALIDATION_ERROR");
        assert!(!message.is_empty(), "{wrong}");
    }
    assert_eq!(stage.api.get("/api/sessions").await.ok(), json!([]));
    stage.api.post("/api/sessions/import", session(json!({}))).await.ok();
}

#[tokio::test]
async fn claude_goes_on_with_the_conversation_that_it_had_there() {
    let stage = Stage::with_agents().await;
    let peer = peer(&stage.home);
    // As many bytes as the folder has in which 0.3.4 worked.
    let project = tempfile::Builder::new().prefix("t-").rand_bytes(10).tempdir_in("/tmp").expect("a folder");
    peer.works_in(project.path(), &stage.home.path().join("claude"));
    let before = hashes(&peer.0);
    let report =
        stage.cli(&["migrate", &peer.data().display().to_string(), "--json", "--no-settings"]).await.json();
    let line = line(&report, "Claude's");
    assert_eq!(line["notes"], json!([]), "{line}");
    let id = line["id"].as_str().expect("an id");
    let session = stage.api.session(id).await;
    assert_eq!((&session["message_count"], &session["adapter"]), (&json!(2), &json!("claude")));
    let conversation = session["runner_session_id"].clone();
    assert!(conversation.is_string());
    let mut seen = stage.follow(id);
    stage.api.input(id, "SAY and nine").await;
    seen.until("the answer to the new input", 60, |events| {
        events.iter().any(|event| event.kind == "output_final" && event.text("text") == "and nine")
    })
    .await;
    let body = stage.model().bodies().pop().expect("the model was asked").to_string();
    assert!(body.contains("the sum is seven") && body.contains("now eight"), "the conversation came along");
    assert_eq!(stage.api.session(id).await["runner_session_id"], conversation);
    assert_eq!(hashes(&peer.0), before, "nothing was changed there");
}

#[tokio::test]
async fn a_daemon_that_is_killed_while_a_session_comes_in_has_all_of_it_or_nothing() {
    let mut stage = Stage::bare().await;
    let peer = peer(&stage.home);
    let data = peer.data().display().to_string();
    for nth in [1, 5, 7, 9] {
        stage.daemon.kill9();
        assert!(stage.daemon.start_with_fault(&format!("log.mid_import:{nth}")).await);
        let said = stage.cli(&["migrate", &data, "--no-settings"]).await;
        if !stage.daemon.runs() || said.code != 0 {
            stage.daemon.ended(20).await;
            stage.daemon.start().await;
        }
        let sessions = stage.api.get("/api/sessions").await.ok();
        for session in sessions.as_array().expect("a list") {
            let id = session["id"].as_str().expect("an id");
            let folder = peer.data().join("sessions").join(id);
            let lines = |name: &str| crate::harness::lines(folder.join(name)).len();
            let there = lines("events.jsonl.1") + lines("events.jsonl");
            let here = events(&stage, id).await.len();
            assert!(
                here == there || (here == there + 1 && session["name"] == "Waits"),
                "{here} of {there}: {session}"
            );
        }
    }
    let done = stage.cli(&["migrate", &data, "--no-settings"]).await.ok();
    assert!(done.contains("already here"), "{done}");
    assert_eq!(stage.api.get("/api/sessions").await.ok().as_array().map(Vec::len), Some(6));
}

/// Answers every request as 0.3.4 answers `GET /api/health`.
fn stands_in(port: u16) -> tokio::task::JoinHandle<()> {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    tokio::spawn(async move {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.expect("the port is free");
        while let Ok((mut stream, _)) = listener.accept().await {
            let body = r#"{"ok":true,"version":"0.2.0","protocol":1}"#;
            let head = format!("content-type: application/json\r\ncontent-length: {}", body.len());
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream.write_all(format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n{body}").as_bytes()).await;
        }
    })
}

#[tokio::test]
async fn nothing_moves_while_the_other_program_still_runs() {
    let home = Home::new();
    let peer = peer(&home);
    let theirs = Home::new();
    let config = home.path().join("theirs.env");
    std::fs::write(&config, format!("TETHER_AGENT_PORT={}\n", theirs.port)).expect("written");
    let data = peer.data().display().to_string();
    let args = ["migrate", &data, "--config", config.to_str().expect("a text")];
    for port in [home.port, theirs.port] {
        let other = stands_in(port);
        crate::harness::eventually("it answers", 20, || async {
            tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok().then_some(())
        })
        .await;
        let said = tether(&home, &args).await;
        assert!(said.code == 1 && said.err.contains("stop it first"), "{said:?}");
        other.abort();
        let _ = other.await;
    }
    assert!(!home.path().join(".local/share/tether").exists(), "nothing was made");
    tether(&home, &args).await.ok();
}
