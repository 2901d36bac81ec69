//! Reading what the other program wrote. `tests/peer/home-0.3.4.tar.gz` is a home that Tether 0.3.4 itself wrote; see
//! `tests/peer/make.py`.

use std::collections::BTreeMap;
use std::path::Path;

use sha2::{Digest, Sha256};
use tether_actors::domain::state::SessionState;

use tether_actors::domain::time::Stamp;

use super::*;
use crate::config::file::EnvFile;

/// The home that 0.3.4 wrote, unpacked.
fn home() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let packed = std::fs::File::open(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/peer/home-0.3.4.tar.gz"));
    let unpacked = flate2::read::GzDecoder::new(packed.expect("it is there"));
    tar::Archive::new(unpacked).unpack(folder.path()).expect("it unpacks");
    folder
}

fn data(home: &Path) -> PathBuf {
    home.join(".local/share/tether")
}

/// Every file below a folder with its hash.
fn hashes(folder: &Path) -> BTreeMap<PathBuf, String> {
    let mut all = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("it lists") {
            let path = entry.expect("an entry").path();
            match path.is_dir() {
                true => folders.push(path),
                false => {
                    let hash = hex::encode(Sha256::digest(std::fs::read(&path).expect("it reads")));
                    all.insert(path, hash);
                }
            }
        }
    }
    all
}

fn events_of(source: &Source, name: &str) -> Events {
    let found = source.sessions.iter().find(|found| found.session.name.as_deref() == Some(name));
    source.events(found.expect("it is there")).expect("it reads")
}

#[test]
fn all_that_0_3_4_kept_is_found_and_nothing_there_changes() {
    let home = home();
    let before = hashes(home.path());
    let source = read(&data(home.path())).expect("it reads");
    let found: Vec<(&str, SessionState)> = source
        .sessions
        .iter()
        .map(|found| (found.session.name.as_deref().unwrap_or_default(), found.session.state))
        .collect();
    assert_eq!(
        found,
        [
            ("Größe prüfen", SessionState::AwaitingInput),
            ("Not begun", SessionState::Created),
            ("Broken", SessionState::Error),
            ("Waits", SessionState::Running),
            ("Long", SessionState::AwaitingInput),
            ("Claude's", SessionState::AwaitingInput),
        ]
    );
    let mine = &source.sessions[0].session;
    assert_eq!(mine.external_agent_name.as_deref(), Some("Ada's agent"));
    assert_eq!((mine.external_agent_icon.as_deref(), mine.created_at.to_string().len()), (Some("🤖"), 20));
    let claude = &source.sessions[5].session;
    assert_eq!(claude.runner_type.as_deref(), Some("claude-subprocess"));
    assert!(claude.runner_session_id.is_some() && claude.approval_mode == Some(0));
    assert_eq!(claude.directory.as_deref(), Some("/home/ada/project"));
    let long = events_of(&source, "Long");
    assert_eq!((long.events.len(), long.notes.len()), (92, 0), "with those that were rotated away");
    for (n, event) in long.events[1..91].iter().enumerate() {
        let text = event.data["text"].as_str().expect("a text");
        assert!(text.starts_with(&format!("{n} x")), "{n}: {}", &text[..10]);
    }
    assert_eq!(events_of(&source, "Not begun"), Events::default());
    assert_eq!(source.left.len(), 1, "{:?}", source.left);
    assert!(source.left[0].why.contains("deleted"), "{:?}", source.left);
    assert_eq!(hashes(home.path()), before, "nothing was written");
}

#[test]
fn what_is_no_data_folder_or_damaged_is_told_and_stays_as_it_is() {
    let home = home();
    let folder = data(home.path());
    let empty = tempfile::tempdir().expect("a folder");
    for nothing in [empty.path(), &home.path().join("nowhere")] {
        let error = read(nothing).expect_err("nothing is there").to_string();
        assert!(
            error.contains(&nothing.display().to_string()) && error.contains("TETHER_AGENT_DATA_DIR"),
            "{error}"
        );
    }
    let whole = std::fs::read(folder.join("sessions.db")).expect("it reads");
    for damaged in [&b"something else"[..], &whole[..5000]] {
        std::fs::write(folder.join("sessions.db"), damaged).expect("written");
        let before = hashes(home.path());
        let error = read(&folder).expect_err("it is damaged").to_string();
        assert!(error.contains("sessions.db"), "{error}");
        assert_eq!(hashes(home.path()), before);
    }
}

#[test]
fn what_a_killed_program_left_half_written_is_taken_back_in_the_copy_alone() {
    let home = home();
    let folder = data(home.path());
    let path = folder.join("sessions.db");
    // A write-ahead log with a change that never came into the file itself.
    let database = rusqlite::Connection::open(&path).expect("it opens");
    database.pragma_update(None, "journal_mode", "wal").expect("it is told");
    database.execute("UPDATE sessions SET name = 'Renamed' WHERE name = 'Broken'", []).expect("it writes");
    let killed = tempfile::tempdir().expect("a folder");
    for name in ["sessions.db", "sessions.db-wal"] {
        std::fs::copy(folder.join(name), killed.path().join(name)).expect("copied");
    }
    let before = hashes(killed.path());
    let source = read(killed.path()).expect("it reads");
    assert!(source.sessions.iter().any(|found| found.session.name.as_deref() == Some("Renamed")));
    assert_eq!(hashes(killed.path()), before);
}

#[test]
fn lines_that_are_no_events_and_events_that_are_lost_are_counted() {
    let folder = tempfile::tempdir().expect("a folder");
    let line = |seq: u64, ts: &str| {
        format!(r#"{{"session_id":"s","ts":"{ts}","seq":{seq},"type":"output","data":{{"text":"{seq}"}}}}"#)
    };
    let write = |name: &str, lines: &[String]| {
        std::fs::write(folder.path().join(name), lines.join("\n")).expect("written");
    };
    write("events.jsonl.2", &[line(3, "2026-01-01T00:00:00Z")]);
    write("events.jsonl.1", &[line(4, "soon"), "{\"type\":".into(), line(5, "2026-01-01T00:00:05.250Z")]);
    // After a start, the other program counts from what it finds.
    write("events.jsonl", &["[]".into(), String::new(), line(1, "2026-01-01T00:00:06Z")]);
    write("events.jsonl.bak", &["no".into()]);
    let read = events::read(folder.path(), Stamp::from_unix(0)).expect("it reads");
    let told: Vec<(&str, &str)> = read
        .events
        .iter()
        .map(|event| (event.data["text"].as_str().unwrap_or_default(), event.ts.as_str()))
        .collect();
    assert_eq!(
        told,
        [
            ("3", "2026-01-01T00:00:00Z"),
            ("4", "2026-01-01T00:00:00Z"),
            ("5", "2026-01-01T00:00:05.250Z"),
            ("1", "2026-01-01T00:00:06Z"),
        ]
    );
    assert!(
        read.notes[0].starts_with("2 lines") && read.notes[1].starts_with("2 events"),
        "{:?}",
        read.notes
    );
}

#[test]
fn what_was_said_stands_in_for_a_log_that_is_gone() {
    let home = home();
    let folder = data(home.path());
    let database = rusqlite::Connection::open(folder.join("sessions.db")).expect("it opens");
    let id: String = database
        .query_row("SELECT id FROM sessions WHERE name = 'Not begun'", [], |row| row.get(0))
        .expect("it is there");
    let says = "INSERT INTO messages (id, session_id, role, content, created_at, seq) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    for (seq, role, content) in
        [(2, "assistant", r#"[{"type":"text","text":"hi"}]"#), (1, "user", r#""hello""#)]
    {
        let row = (format!("msg_{seq}"), &id, role, content, "2026-01-01T00:00:00Z", seq);
        database.execute(says, row).expect("it writes");
    }
    drop(database);
    let read = events_of(&read(&folder).expect("it reads"), "Not begun");
    let said: Vec<&str> =
        read.events.iter().map(|event| event.data["text"].as_str().unwrap_or_default()).collect();
    assert_eq!(said, ["hello", "hi"]);
    assert_eq!(read.events[0].kind, "user_input");
}

#[test]
fn a_topic_is_the_one_of_the_bridges_file_and_a_damaged_file_is_told() {
    let home = home();
    let folder = data(home.path());
    let database = rusqlite::Connection::open(folder.join("sessions.db")).expect("it opens");
    for (name, platform, thread) in
        [("Long", "telegram", "1"), ("Waits", "slack", "1700.1"), ("Broken", "telegram", "3")]
    {
        database
            .execute(
                "UPDATE sessions SET platform = ?1, platform_thread_id = ?2 WHERE name = ?3",
                (platform, thread, name),
            )
            .expect("it writes");
    }
    drop(database);
    let thread_of = |source: &Source, name: &str| {
        let found = source.sessions.iter().find(|found| found.session.name.as_deref() == Some(name));
        found.expect("it is there").session.platform_thread_id.clone()
    };
    let source = read(&folder).expect("it reads");
    let id = source.sessions.iter().find(|found| found.session.name.as_deref() == Some("Long"));
    let id = id.expect("it is there").session.id.clone();
    let state =
        format!(r#"{{"mappings":{{"{id}":{{"topic_id":77,"name":"Claude / P","created_at":"x"}}}}}}"#);
    std::fs::write(folder.join("telegram_state.json"), state).expect("written");
    std::fs::write(folder.join("slack_threads.json"), "{}").expect("written");
    let source = read(&folder).expect("it reads");
    let threads = ["Long", "Waits", "Broken"].map(|name| thread_of(&source, name));
    assert_eq!(threads, [Some("77".to_owned()), Some("1700.1".to_owned()), Some("3".to_owned())]);
    assert!(source.left.iter().any(|left| left.what == "slack_threads.json"), "{:?}", source.left);

    std::fs::write(folder.join("telegram_state.json"), "{\"mappings\": [").expect("written");
    std::fs::write(folder.join("discord_pairing.json"), "null and void").expect("written");
    let source = read(&folder).expect("the rest is of use");
    assert_eq!((thread_of(&source, "Long"), source.pairing), (Some("1".to_owned()), None));
    for name in ["telegram_state.json", "discord_pairing.json"] {
        let told = source.left.iter().find(|left| left.what == name).expect(name);
        assert!(told.why.contains("cannot be read"), "{told:?}");
    }
}

#[test]
fn people_who_were_paired_are_added_to_those_who_may_act_already() {
    let file = |text: &str| EnvFile::parse(Path::new("x"), text);
    let pairing = Pairing { people: vec![7, 8], channel: Some(500) };
    let values = |takeover: &Takeover| {
        takeover.changes.iter().map(|change| (change.name, change.value.clone())).collect::<Vec<_>>()
    };
    let ours = file("DISCORD_BOT_TOKEN=t\nDISCORD_ALLOWED_USER_IDS=8 9\nDISCORD_CHANNEL_ID=400\n");
    let mut takeover = Takeover::default();
    takeover.let_in(&pairing, Some(&ours), false);
    assert_eq!(
        values(&takeover),
        [("DISCORD_ALLOWED_USER_IDS", "8 9,7".to_owned())],
        "the channel is ours already"
    );
    let mut none = Takeover::default();
    none.let_in(&pairing, None, false);
    assert!(none.changes.is_empty() && none.left[0].why.contains("not set up"), "{none:?}");
    none.let_in(&pairing, None, true);
    let both = [("DISCORD_ALLOWED_USER_IDS", "7,8".to_owned()), ("DISCORD_CHANNEL_ID", "500".to_owned())];
    assert_eq!(values(&none), both);
    // The file of the other program has fewer than ours, which has them all: nothing changes.
    let ours = file("DISCORD_BOT_TOKEN=t\nDISCORD_ALLOWED_USER_IDS=9,7,8\nDISCORD_CHANNEL_ID=500\n");
    let theirs = file("DISCORD_BOT_TOKEN=t\nDISCORD_ALLOWED_USER_IDS=9\n");
    let mut again = compare(&theirs, Some(&ours));
    again.let_in(&pairing, Some(&ours), false);
    assert_eq!(values(&again), []);
}

#[test]
fn settings_are_compared_checked_and_those_that_nobody_knows_are_named() {
    let home = home();
    let theirs = EnvFile::read(&home.path().join(".config/tether/config.env")).expect("read").expect("there");
    let ours = EnvFile::parse(Path::new("x"), "TETHER_AGENT_PORT=8787\nTETHER_AGENT_HOST=127.0.0.1\n");
    let takeover = compare(&theirs, Some(&ours));
    let change = |name: &'static str, old: Option<&str>, new: &str, value: &str| Change {
        name,
        old: old.map(str::to_owned),
        new: new.to_owned(),
        value: value.to_owned(),
    };
    assert_eq!(
        takeover.changes,
        [
            change("TETHER_AGENT_TOKEN", None, "(hidden)", "peer-token"),
            change("TETHER_AGENT_PORT", Some("8787"), "29471", "29471"),
            change("TETHER_DEFAULT_AGENT_ADAPTER", None, "claude_subprocess", "claude_subprocess"),
            change("TETHER_AGENT_SESSION_RETENTION_DAYS", None, "30", "30"),
            change("TELEGRAM_FORUM_GROUP_ID", None, "-100123", "-100123"),
        ]
    );
    assert_eq!(takeover.same, ["TETHER_AGENT_HOST"]);
    let left: Vec<&str> = takeover.left.iter().map(|left| left.what.as_str()).collect();
    assert_eq!(left, ["TETHER_CODEX_SIDECAR_URL", "TETHER_SSH_PORT", "TETHER_AGENT_LOG_LEVEL"]);
    assert!(takeover.left[2].why.contains("one of"), "{:?}", takeover.left[2]);
    let shown = serde_json::to_string(&takeover).expect("it serialises");
    assert!(!shown.contains("peer-token"), "{shown}");

    let twice =
        EnvFile::parse(Path::new("x"), "TETHER_AGENT_PORT=1\nOPENAI_API_KEY=secret\nTETHER_AGENT_PORT=2\n");
    let takeover = compare(&twice, None);
    assert_eq!(takeover.changes, [change("TETHER_AGENT_PORT", None, "2", "2")], "there the last one counts");
    assert_eq!(takeover.left[0].what, "OPENAI_API_KEY");
}
