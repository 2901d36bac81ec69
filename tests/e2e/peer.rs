//! The peer's own command line, as PyPI has it, against our daemon.

use serde_json::json;
use tokio::process::Command;

use crate::harness::cli::{Said, peer};
use crate::harness::{Home, Stage, eventually};

impl Stage {
    async fn peer(&self, args: &[&str]) -> Said {
        peer(&self.home, args).await
    }
}

/// A demo agent without its pauses.
fn quick() -> Home {
    let mut home = Home::new();
    home.extra.insert("TETHER_DEMO_PACE_MS".into(), "0".into());
    home
}

/// The id in what `new` and `attach` print first.
fn id_of(said: &str) -> String {
    let id = said.lines().find_map(|line| line.split_once("ed session ")).map(|(_, id)| id.trim());
    id.unwrap_or_else(|| panic!("no id: {said}")).to_owned()
}

#[tokio::test]
async fn its_sessions_are_made_listed_spoken_to_watched_and_deleted() {
    let stage = Stage::bare_in(quick()).await;
    assert_eq!(stage.peer(&["list"]).await.ok(), "No sessions.\n");
    let status = stage.peer(&["status"]).await.ok();
    for word in [
        &*format!("Server:   http://127.0.0.1:{} (ok)", stage.home.port),
        "Sessions: 0",
        "Bridges:  none connected",
    ] {
        assert!(status.contains(word), "{word}: {status}");
    }

    let work = stage.home.work();
    let said = stage.peer(&["new", ".", "-a", "demo"]).await.ok();
    assert!(said.contains(&format!("  Directory: {}\n", work.display())), "{said}");
    assert!(said.contains("  State:     created\n"), "{said}");
    let first = id_of(&said);
    let said = stage.peer(&["new", work.to_str().unwrap(), "-a", "demo", "-m", "help"]).await.ok();
    assert!(said.contains("Started with prompt."), "{said}");
    let second = id_of(&said);

    let watched = stage.peer(&["watch", &second]).await.ok();
    assert!(watched.starts_with(&format!("Watching {}", &second[..12])), "{watched}");
    assert!(
        watched.contains("for the tour") && watched.trim_end().ends_with("[awaiting input]"),
        "{watched}"
    );
    let sent = stage.peer(&["input", &second[..12], "help"]).await.ok();
    assert_eq!(sent, format!("Sent to {} (running)\n", &second[..12]));
    stage.follow(&second).idle(2, 20).await;

    for (args, count) in [
        (&["list"][..], 2),
        (&["list", "-d", "."], 2),
        (&["list", "-d", "/"], 0),
        (&["list", "-s", "created"], 1),
        (&["list", "-s", "awaiting_input"], 1),
    ] {
        let table = stage.peer(args).await.ok();
        assert_eq!(
            table.lines().filter(|line| line.starts_with("sess_")).count(),
            count,
            "{args:?}: {table}"
        );
    }
    let many = stage.peer(&["delete", "sess_"]).await;
    assert_eq!(many.code, 1);
    assert!(many.err.contains("Ambiguous prefix 'sess_', matches 2 sessions:"), "{}", many.err);
    assert_eq!(stage.peer(&["delete", &first]).await.ok(), format!("Deleted {first}\n"));
    let gone = stage.peer(&["input", &first, "x"]).await;
    assert_eq!((gone.code, gone.err.trim()), (1, &*format!("Error: No session matching '{first}'")));
}

#[tokio::test]
async fn it_never_makes_us_allow_without_asking() {
    let stage = Stage::bare_in(quick()).await;
    let id = id_of(&stage.peer(&["new", ".", "-a", "demo", "-m", "write"]).await.ok());
    eventually("the approval is asked", 20, || async {
        (!stage.api.open_approvals(&id).await.is_empty()).then_some(())
    })
    .await;
    let stopped = stage.peer(&["interrupt", &id]).await.ok();
    assert!(stopped.starts_with(&format!("Session {id}: ")), "{stopped}");
    eventually("the turn is over", 20, || async {
        (stage.api.session(&id).await["state"] == "AWAITING_INPUT").then_some(())
    })
    .await;
    assert!(stage.api.open_approvals(&id).await.is_empty(), "it was withdrawn");
}

#[tokio::test]
async fn it_attaches_and_syncs_a_real_session_of_claude_code() {
    let mut home = Home::new();
    home.extra.insert("TETHER_AGENT_IDLE_EXIT_SECONDS".into(), "1".into());
    let stage = Stage::with_agents_in(home).await;
    let plainly = async |args: &[&str]| {
        let ended = Command::new("claude")
            .args(args)
            .env_clear()
            .envs(stage.home.environment(Some(stage.model().port)))
            .current_dir(stage.home.work())
            .stdin(std::process::Stdio::null())
            .stdout(std::process::Stdio::null())
            .status()
            .await;
        assert!(ended.expect("the agent's program starts").success());
    };
    plainly(&["-p", "SAY the word is walrus"]).await;

    let table = stage.peer(&["list", "--external"]).await.ok();
    assert!(table.contains("claude_code") && table.contains("SAY the word is walrus"), "{table}");
    let external = stage.api.get("/api/external-sessions").await.ok()[0]["id"].as_str().unwrap().to_owned();
    let said = stage.peer(&["attach", &external[..8]]).await.ok();
    for word in ["  State:     awaiting input\n", &*format!("  Directory: {}\n", stage.home.work().display())]
    {
        assert!(said.contains(word), "{word}: {said}");
    }
    let id = id_of(&said);
    assert_eq!(stage.api.session(&id).await["runner_session_id"], json!(external));
    assert_eq!(id_of(&stage.peer(&["attach", &external]).await.ok()), id, "again it is the same one");

    assert!(stage.peer(&["sync", &id]).await.ok().starts_with("Already up to date ("));
    plainly(&["-p", "--resume", &external, "SAY from the terminal"]).await;
    let synced = stage.peer(&["sync", &id[..12]]).await.ok();
    assert!(synced.starts_with("Synced 2 new messages ("), "{synced}");
    // As with its own daemon: the state comes first, and there it stops.
    let watched = stage.peer(&["watch", &id]).await.ok();
    assert!(watched.trim_end().ends_with("[awaiting input]"), "{watched}");
}

#[tokio::test]
async fn what_goes_wrong_reaches_its_user_in_words() {
    let home = Home::new();
    let said = peer(&home, &["list"]).await;
    assert_eq!((said.code, said.err.contains("tether start")), (1, true), "{said:?}");
    let stage = Stage::bare_in(home).await;
    for (args, words) in [
        (&["new", "/nowhere/at/all"][..], "existing folder"),
        (&["new", ".", "-a", "nonsense"], "Invalid adapter 'nonsense'"),
        (&["new", ".", "-p", "telegram"], "telegram"),
        (&["attach", "00000000"], "External session not found: 00000000"),
        (&["list", "--external", "-r", "vim"], "vim"),
        (&["sync", "x"], "No session matching 'x'"),
    ] {
        let said = stage.peer(args).await;
        assert_eq!(said.code, 1, "{args:?}: {said:?}");
        assert!(said.err.starts_with("Error: ") && said.err.contains(words), "{args:?}: {}", said.err);
    }
    let external = stage.api.create_external("theirs").await;
    let said = stage.peer(&["sync", &external]).await;
    assert_eq!((said.code, said.err.contains("Error: ")), (1, true), "{said:?}");
    stage.api.push(&external, "output", json!({ "text": "x" })).await.ok();
    let said = stage.peer(&["delete", &external]).await;
    assert!(said.code == 1 && said.err.contains("Session is active"), "{said:?}");
}
