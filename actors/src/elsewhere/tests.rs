//! The whole room over homes as the real programs leave them. The files in `tests/transcripts/elsewhere` were written by
//! Claude Code 2.1.330, Codex 0.169.0, OpenCode 1.18.33 and Pi 0.73.1 in one plain turn with one tool each; long texts
//! are cut, paths are neutral, nothing else is changed.

use std::path::{Path, PathBuf};
use std::time::Instant;

use proptest::prelude::*;

use super::*;
use crate::domain::elsewhere::Process;

const CLAUDE: &str = include_str!("../../../tests/transcripts/elsewhere/claude.jsonl");
const CODEX: &str = include_str!("../../../tests/transcripts/elsewhere/codex.jsonl");
const OPENCODE: &str = include_str!("../../../tests/transcripts/elsewhere/opencode.sql");
const PI: &str = include_str!("../../../tests/transcripts/elsewhere/pi.jsonl");

const CLAUDE_ID: &str = "ed4dec7f-da1e-4795-bb79-470d7787b2b0";
const CODEX_ID: &str = "01a20317-f7bd-7a81-8785-0f039090428c";
const OPENCODE_ID: &str = "ses_dfce7c91cffepoquAkkgtZNc1X";
const PI_ID: &str = "01a20318-ae5f-722c-9529-bed00c760e7d";

struct Empty;

impl Machine for Empty {
    fn processes(&self) -> Vec<Process> {
        Vec::new()
    }
}

struct Home {
    folder: tempfile::TempDir,
    homes: Homes,
}

impl Home {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let homes = Homes::of(&|name| (name == "HOME").then(|| folder.path().into()));
        Self { folder, homes }
    }

    /// With what each program left.
    fn full() -> Self {
        let home = Self::new();
        home.write(&format!(".claude/projects/-home-dev-project/{CLAUDE_ID}.jsonl"), CLAUDE);
        home.write(
            &format!(".codex/sessions/2026/11/22/rollout-2026-11-22T11-50-32-{CODEX_ID}.jsonl"),
            CODEX,
        );
        home.write(
            &format!(".pi/agent/sessions/--home-dev-project--/2026-11-22T11-51-18-880Z_{PI_ID}.jsonl"),
            PI,
        );
        home.write(".local/share/opencode/.keep", "");
        home.database().execute_batch(OPENCODE).expect("the database is made");
        home
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, content: &str) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().expect("it has one")).expect("a folder");
        std::fs::write(path, content).expect("it can be written");
    }

    /// The database, as OpenCode opens it.
    fn database(&self) -> rusqlite::Connection {
        let database =
            rusqlite::Connection::open(self.path(".local/share/opencode/opencode.db")).expect("it opens");
        database.pragma_update(None, "journal_mode", "wal").expect("as OpenCode has it");
        database
    }

    fn index(&self) -> Index {
        Index::new(self.homes.clone())
    }

    fn list(&self) -> Vec<Found> {
        self.index().list(&Empty, &Filter::default())
    }

    fn find(&self, runner: Runner, id: &str) -> Found {
        self.index().find(&Empty, runner, id).expect("it is there")
    }
}

#[test]
fn what_each_real_program_left_is_found() {
    let home = Home::full();
    let mut list = home.list();
    list.sort_by_key(|found| found.runner);
    let ids: Vec<_> = list.iter().map(|found| (found.runner, found.id.as_str())).collect();
    assert_eq!(
        ids,
        [
            (Runner::ClaudeCode, CLAUDE_ID),
            (Runner::Codex, CODEX_ID),
            (Runner::OpenCode, OPENCODE_ID),
            (Runner::Pi, PI_ID)
        ]
    );
    for found in &list {
        assert_eq!(found.directory, "/home/dev/project", "{found:?}");
        let prompt = found.first_prompt.as_deref().expect("a prompt").trim_matches('"');
        assert_eq!(prompt, "THINK let me look SAY I look first SHELL echo plain-tool SAY all is well");
        assert!(found.last_prompt.is_some() && found.is_exact && found.holder.is_none(), "{found:?}");
        assert!(found.last_activity > 0);
    }
}

#[test]
fn the_history_of_each_has_its_words_its_reasoning_and_its_tools() {
    let home = Home::full();
    for found in home.list() {
        let messages = found.history(100).expect("it can be read");
        let roles: Vec<_> = messages.iter().map(|message| message.role).collect();
        let who = found.runner;
        assert_eq!(roles.first(), Some(&Role::User), "{who}");
        assert!(roles.iter().skip(1).all(|role| *role == Role::Assistant), "{who}: {messages:?}");
        assert!(messages.last().is_some_and(|message| message.content.contains("all is well")), "{who}");
        assert!(messages.iter().all(|message| message.timestamp.is_some()), "{who}");
        let tools: Vec<_> = messages.iter().flat_map(|message| &message.tool_calls).collect();
        assert!(
            matches!(tools.as_slice(), [tool] if tool.input.to_string().contains("echo plain-tool")
            && tool.result.as_deref().is_some_and(|text| text.contains("plain-tool")) && !tool.is_error),
            "{who}: {tools:?}"
        );
        // OpenCode was not told that the model of the recording reasons.
        let thinks = messages.iter().any(|message| message.thinking.as_deref() == Some("let me look"));
        assert_eq!(thinks, who != Runner::OpenCode, "{who}");
        assert_eq!(found.history(1).expect("it can be read").len(), 1, "{who}");
    }
}

#[test]
fn each_can_be_taken_over_and_then_has_nothing_new() {
    let home = Home::full();
    for found in home.list() {
        let taken = found.take(100).expect("it can be read");
        let count = messages(&taken.entries).len() as u64;
        assert_eq!((taken.total, taken.prompts), (count, 1), "{}", found.runner);
        let since = found.since(&taken.cursor, 100).expect("it can be read");
        assert!(since.entries.is_empty() && since.is_end, "{}: {since:?}", found.runner);
        let all = found.since(&Default::default(), 100).expect("it can be read");
        assert_eq!(
            (all.entries, all.cursor),
            (taken.entries.clone(), taken.cursor.clone()),
            "{}",
            found.runner
        );
        let told = drafts(&taken.entries);
        assert_eq!(told.iter().filter(|draft| draft.data["final"] == true).count(), 1, "{}", found.runner);
        assert_eq!(told.iter().filter(|draft| draft.kind.as_str() == "tool_call").count(), 1);
    }
    assert!(home.find(Runner::Pi, PI_ID).conversation().ends_with(".jsonl"));
    assert_eq!(home.find(Runner::Codex, CODEX_ID).conversation(), CODEX_ID);
}

#[test]
fn only_what_was_asked_for_is_listed() {
    let home = Home::full();
    let count = |filter: Filter| home.index().list(&Empty, &filter).len();
    assert_eq!(count(Filter { runner: Some(Runner::Pi), ..Filter::default() }), 1);
    assert_eq!(count(Filter { limit: Some(3), ..Filter::default() }), 3);
    assert_eq!(count(Filter { directories: vec!["/home/dev/project".into()], ..Filter::default() }), 4);
    assert_eq!(count(Filter { directories: vec!["project".into()], ..Filter::default() }), 0);
}

#[test]
fn an_id_is_looked_up_and_never_a_path() {
    let home = Home::full();
    home.write("secret.jsonl", PI);
    for id in ["../../../../secret", "/etc/passwd", "..", "", CODEX_ID, "%2e%2e"] {
        assert!(home.index().find(&Empty, Runner::Pi, id).is_none(), "{id}");
    }
    // One that a file claims for itself must be fit for a command line.
    for id in ["--version", "a b", "../x", "", "é", &"x".repeat(200)] {
        home.write(".pi/agent/sessions/--p--/x_y.jsonl", &PI.replace(PI_ID, id));
        assert_eq!(
            home.index().list(&Empty, &Filter { runner: Some(Runner::Pi), ..Filter::default() }).len(),
            1,
            "{id}"
        );
    }
}

#[test]
fn links_are_not_followed() {
    let home = Home::full();
    let outside = tempfile::tempdir().expect("a folder");
    let target = outside.path().join("x_1.jsonl");
    std::fs::write(&target, PI.replace(PI_ID, "linked")).expect("it can be written");
    let sessions = home.path(".pi/agent/sessions");
    std::os::unix::fs::symlink(&target, sessions.join("--home-dev-project--/x_1.jsonl")).expect("a link");
    std::os::unix::fs::symlink(outside.path(), sessions.join("--link--")).expect("a link");
    assert!(home.index().find(&Empty, Runner::Pi, "linked").is_none());
    assert_eq!(home.list().len(), 4);
}

#[test]
fn what_is_no_conversation_of_a_person_is_not_listed() {
    let home = Home::new();
    assert_eq!(home.list(), []);
    let silent: String =
        PI.lines().filter(|line| !line.contains("\"user\"")).map(|line| format!("{line}\n")).collect();
    home.write(".pi/agent/sessions/--p--/a_1.jsonl", &silent);
    home.write(".claude/projects/-p/agent-12.jsonl", CLAUDE);
    home.write(".claude/projects/-p/sub/ed4dec7f-da1e-4795-bb79-470d7787b2b1.jsonl", CLAUDE);
    home.write(".codex/sessions/2026/11/22/notes.jsonl", CODEX);
    let of_subagent = CODEX.replace(r#""source":"exec""#, r#""source":{"subagent":"review"}"#);
    home.write(".codex/sessions/2026/11/22/rollout-x.jsonl", &of_subagent);
    home.write(".local/share/opencode/opencode.db", "this is no database");
    assert_eq!(home.list(), []);
}

#[test]
fn what_is_written_later_is_seen_at_the_next_look() {
    let home = Home::full();
    let mut index = home.index();
    index.list(&Empty, &Filter::default());
    let path =
        home.path(&format!(".pi/agent/sessions/--home-dev-project--/2026-11-22T11-51-18-880Z_{PI_ID}.jsonl"));
    let more = r#"{"type":"message","id":"n1","parentId":"7c45aaa0","timestamp":"2026-11-22T12:00:00.000Z","message":{"role":"user","content":"one more"}}"#;
    std::fs::write(&path, format!("{PI}{more}\n")).expect("it can be written");
    let found = index.find(&Empty, Runner::Pi, PI_ID).expect("it is there");
    assert_eq!(
        (found.last_prompt.as_deref(), found.first_prompt.as_deref().map(|text| &text[..5])),
        (Some("one more"), Some("THINK"))
    );
    std::fs::remove_file(&path).expect("it is removed");
    assert!(index.find(&Empty, Runner::Pi, PI_ID).is_none());
    let database = home.database();
    let change = "UPDATE session SET time_archived = 5 WHERE id = ?1";
    database.execute(change, [OPENCODE_ID]).expect("it is changed");
    assert!(index.find(&Empty, Runner::OpenCode, OPENCODE_ID).is_none());
}

#[test]
fn a_message_of_opencode_is_taken_over_when_it_is_complete() {
    let home = Home::full();
    let found = home.find(Runner::OpenCode, OPENCODE_ID);
    let cursor = found.take(100).expect("it can be read").cursor;
    let database = home.database();
    let message = "INSERT INTO message VALUES(?1, ?2, ?3, ?3, ?4)";
    let part = "INSERT INTO part VALUES(?1, ?2, ?3, 1, 1, ?4)";
    let late = 1_795_349_000_000i64;
    let add = |id: &str, at: i64, data: &str| {
        database.execute(message, (id, OPENCODE_ID, at, data)).expect("added")
    };
    let say = |id: &str, of: &str, text: &str| {
        let data = serde_json::json!({ "type": "text", "text": text }).to_string();
        database.execute(part, (id, of, OPENCODE_ID, data)).expect("added")
    };
    let came = |cursor: &Cursor| {
        let since = found.since(cursor, 100).expect("it can be read");
        (since.entries.iter().map(|entry| entry.id.clone()).collect::<Vec<_>>(), since.cursor)
    };
    add("msg_8", late, r#"{"role":"user"}"#);
    assert_eq!(came(&cursor).0, Vec::<String>::new(), "its words are not there yet");
    say("prt_8", "msg_8", "go on");
    add("msg_9", late, r#"{"role":"assistant","time":{"created":1}}"#);
    say("prt_9", "msg_9", "half a sen");
    let (ids, cursor) = came(&cursor);
    assert_eq!(ids, ["msg_8"]);
    let complete = r#"UPDATE message SET data = '{"role":"assistant","time":{"created":1,"completed":2}}' WHERE id = 'msg_9'"#;
    database.execute(complete, []).expect("changed");
    let (ids, cursor) = came(&cursor);
    assert_eq!(ids, ["msg_9"]);
    assert_eq!(came(&cursor).0, Vec::<String>::new());
    // One that was cut off by a crash counts when the person has gone on.
    add("msg_a", late + 1, r#"{"role":"assistant","time":{"created":1}}"#);
    say("prt_a", "msg_a", "cut off");
    add("msg_b", late + 2, r#"{"role":"user"}"#);
    say("prt_b", "msg_b", "again");
    assert_eq!(came(&cursor).0, ["msg_a", "msg_b"]);
    let batches = found.since(&Cursor::default(), 2).expect("it can be read");
    assert_eq!((batches.entries.len(), batches.is_end), (2, false));
}

#[test]
fn two_thousand_conversations_are_listed_at_once_after_the_first_look() {
    let home = Home::new();
    for number in 0..2_000 {
        let id = format!("{number:08}-da1e-4795-bb79-470d7787b2b0");
        let name = format!(".claude/projects/-p{}/{id}.jsonl", number % 40);
        home.write(&name, &CLAUDE.replace(CLAUDE_ID, &id));
    }
    let mut index = home.index();
    assert_eq!(index.list(&Empty, &Filter::default()).len(), 2_000);
    let begun = Instant::now();
    assert_eq!(index.list(&Empty, &Filter { limit: Some(50), ..Filter::default() }).len(), 50);
    let took = begun.elapsed();
    // The goal is 300 ms for the built program; this is ten times that, for a machine that is busy with other tests.
    assert!(took.as_millis() < 3_000, "{took:?}");
    eprintln!("2,000 conversations were listed in {took:?}");
}

/// Reads whatever lies in a home in every way.
fn read_all(home: &Home) {
    for found in home.list() {
        assert!(is_id(&found.id));
        // A file that is cut off in a bad place may be refused, but nothing else happens.
        let _ = found.history(50);
        if let Ok(taken) = found.take(50) {
            drafts(&taken.entries);
            let _ = found.since(&taken.cursor, 10);
        }
        let _ =
            found.since(&Cursor { offset: 17, last: Some("x".into()), at: Some(5), ..Cursor::default() }, 10);
    }
}

fn place(runner: usize) -> (&'static str, String) {
    match runner {
        0 => (CLAUDE, format!(".claude/projects/-p/{CLAUDE_ID}.jsonl")),
        1 => (CODEX, ".codex/sessions/2026/11/22/rollout-1.jsonl".to_owned()),
        _ => (PI, ".pi/agent/sessions/--p--/1_2.jsonl".to_owned()),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn no_file_however_garbled_is_a_danger(
        runner in 0usize..3, cut in 0usize..16_000,
        changes in prop::collection::vec((0usize..16_000, any::<u8>()), 0..40),
        order in any::<u64>(),
    ) {
        let (content, name) = place(runner);
        let mut lines: Vec<&str> = content.lines().collect();
        let count = lines.len();
        // Some lines are doubled, some stand elsewhere.
        lines.rotate_left((order % count as u64) as usize);
        lines.extend_from_within(..(order % 3) as usize);
        let mut bytes = (lines.join("\n") + "\n").into_bytes();
        bytes.truncate(cut.max(1));
        let length = bytes.len();
        for (at, byte) in changes {
            bytes[at % length] = byte;
        }
        let home = Home::new();
        home.write(&name, "");
        std::fs::write(home.path(&name), &bytes).expect("it can be written");
        read_all(&home);
    }

    #[test]
    fn no_row_however_odd_is_a_danger(data in ".{0,200}", part in ".{0,200}", at in any::<i64>()) {
        let home = Home::full();
        let database = home.database();
        database.execute("UPDATE message SET data = ?1, time_created = ?2 WHERE id LIKE '%7S'", (&data, at)).expect("changed");
        database.execute("INSERT INTO message VALUES('m', ?1, ?2, 1, ?3)", (OPENCODE_ID, at, &data)).expect("added");
        database.execute("INSERT INTO part VALUES('p', 'm', ?1, 1, 1, ?2)", (OPENCODE_ID, &part)).expect("added");
        read_all(&home);
    }
}

#[test]
fn a_home_that_cannot_be_read_is_an_empty_one() {
    let homes = Homes {
        claude: Some("/does/not/exist".into()),
        codex: Some(Path::new("/dev/null").into()),
        opencode: Some("/dev/null".into()),
        pi: None,
    };
    assert_eq!(Index::new(homes).list(&Empty, &Filter::default()), []);
}
