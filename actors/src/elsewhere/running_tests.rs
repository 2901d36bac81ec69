use std::path::PathBuf;

use super::super::Place;
use super::*;

struct Table(Vec<Process>);

impl Machine for Table {
    fn processes(&self) -> Vec<Process> {
        self.0.clone()
    }
}

fn process(pid: u32, directory: &str, command: &str) -> Process {
    let command = command.split(' ').map(str::to_owned).collect();
    Process { pid, started: 77, since: 10_000, directory: directory.into(), command, ..Process::default() }
}

fn found(runner: Runner, id: &str, last_activity: i64) -> Found {
    Found {
        runner,
        id: id.into(),
        place: Place::File("/x".into()),
        directory: "/p".into(),
        title: None,
        first_prompt: Some("x".into()),
        last_prompt: None,
        last_activity,
        messages: 1,
        is_exact: true,
        holder: None,
    }
}

fn marked(mut found: Vec<Found>, homes: &Homes, table: Vec<Process>) -> Vec<Option<(u32, How)>> {
    mark(&mut found, homes, &Table(table));
    found.iter().map(|one| one.holder.as_ref().map(|holder| (holder.pid, holder.how))).collect()
}

fn home() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().canonicalize().expect("it exists");
    (folder, path)
}

#[test]
fn a_claude_that_is_gone_or_whose_number_another_process_has_holds_nothing() {
    let (_folder, path) = home();
    std::fs::create_dir(path.join("sessions")).expect("a folder");
    for (pid, session, start, kind) in [
        (5, "a", "77", "interactive"),
        (6, "b", "76", "interactive"),
        (7, "c", "77", "background"),
        (9, "d", "77", "x"),
    ] {
        let text = format!(
            r#"{{"pid":{pid},"sessionId":"{session}","procStart":"{start}","kind":"{kind}","startedAt":9000}}"#
        );
        std::fs::write(path.join(format!("sessions/{pid}.json")), text).expect("it can be written");
    }
    std::fs::write(path.join("sessions/8.json"), "{").expect("it can be written");
    let homes = Homes { claude: Some(path), ..Homes::default() };
    let all = ["a", "b", "c", "d", "e"].map(|id| found(Runner::ClaudeCode, id, 0)).to_vec();
    let ours = Process { is_ours: true, ..process(9, "/p", "claude") };
    let table = [5, 6, 7].map(|pid| process(pid, "/p", "claude")).into_iter().chain([ours]).collect();
    // Elsewhere than on Linux the time of the file decides, which fits b too.
    let b = (!cfg!(target_os = "linux")).then_some((6, How::Terminal));
    assert_eq!(
        marked(all, &homes, table),
        [Some((5, How::Terminal)), b, Some((7, How::Background)), Some((9, How::Ours)), None]
    );
}

#[cfg(target_os = "linux")]
#[test]
fn a_codex_thread_is_open_as_long_as_its_lock_is_held() {
    let (_folder, path) = home();
    let locks = path.join("thread-writer-locks");
    std::fs::create_dir(&locks).expect("a folder");
    let held = locks.join("t1.lock");
    let file = std::fs::File::create(&held).expect("a file");
    std::fs::File::create(locks.join("t2.lock")).expect("a file");
    rustix::fs::flock(&file, rustix::fs::FlockOperation::LockExclusive).expect("it is locked");
    let homes = Homes { codex: Some(path), ..Homes::default() };
    let me = std::process::id();
    let all = || vec![found(Runner::Codex, "t1", 0), found(Runner::Codex, "t2", 0)];
    let with = |command: &str, files: Vec<PathBuf>| vec![Process { files, ..process(me, "/p", command) }];
    let open = vec![held.clone()];
    assert_eq!(marked(all(), &homes, with("codex", open.clone())), [Some((me, How::Terminal)), None]);
    assert_eq!(marked(all(), &homes, with("codex app-server", open)), [Some((me, How::Background)), None]);
    let other = vec![PathBuf::from("/other")];
    assert_eq!(marked(all(), &homes, with("codex", other)), [None, None], "the number is another file's");
    assert_eq!(marked(all(), &homes, Vec::new()), [Some((0, How::Background)), None], "by whom is not known");
    drop(file);
    assert_eq!(marked(all(), &homes, Vec::new()), [None, None]);
}

#[cfg(target_os = "linux")]
#[test]
fn the_systems_table_of_locks_is_read() {
    assert_eq!(lock_of_line("1: FLOCK  ADVISORY  WRITE 1234 fd:01:5678 0 EOF"), Some((5678, 1234)));
    for other in [
        "1: POSIX  ADVISORY  WRITE 1 fd:01:2 0 EOF",
        "1: -> FLOCK  ADVISORY  WRITE 1 fd:01:2 0 EOF",
        "",
        "1: FLOCK",
    ] {
        assert_eq!(lock_of_line(other), None, "{other}");
    }
}

#[test]
fn a_live_pi_has_the_session_of_its_directory_that_was_written_since_it_began() {
    let all = || {
        vec![
            found(Runner::Pi, "old", 9_000),
            found(Runner::Pi, "older than the other", 11_000),
            found(Runner::Pi, "new", 12_000),
            Found { directory: "/q".into(), ..found(Runner::Pi, "elsewhere", 13_000) },
        ]
    };
    let homes = Homes::default();
    let one = vec![process(5, "/p", "pi")];
    assert_eq!(marked(all(), &homes, one), [None, None, Some((5, How::Terminal)), None]);
    let two =
        vec![process(5, "/p", "pi"), Process { since: 11_500, ..process(6, "/p", "/usr/bin/pi --mode rpc") }];
    assert_eq!(marked(all(), &homes, two), [None, Some((5, How::Terminal)), Some((6, How::Terminal)), None]);
    let others = vec![process(5, "/p", "pip install"), process(6, "/r", "pi"), process(7, "/p", "vi pi")];
    assert_eq!(marked(all(), &homes, others), [None; 4]);
}

#[cfg(target_os = "linux")]
#[test]
fn an_opencode_is_told_by_the_database_that_it_has_open() {
    let row =
        |id: &str, at| Found { place: Place::Database("/d/o.db".into()), ..found(Runner::OpenCode, id, at) };
    let with = |file: &str, command: &str| Process { files: vec![file.into()], ..process(5, "/p", command) };
    let homes = Homes { opencode: Some("/d/o.db".into()), ..Homes::default() };
    let of = |process| marked(vec![row("a", 12_000), row("b", 11_000)], &homes, vec![process]);
    assert_eq!(of(with("/d/o.db", "opencode")), [Some((5, How::Terminal)), None]);
    assert_eq!(of(with("/d/o.db", "opencode serve")), [Some((5, How::Background)), None]);
    assert_eq!(of(with("/d/other.db", "opencode")), [None, None]);
}

#[test]
fn of_two_programs_that_have_a_session_open_the_persons_counts() {
    let (_folder, path) = home();
    std::fs::create_dir(path.join("sessions")).expect("a folder");
    for pid in [5, 6, 7] {
        let text = format!(r#"{{"pid":{pid},"sessionId":"a","procStart":"77","startedAt":11000}}"#);
        std::fs::write(path.join(format!("sessions/{pid}.json")), text).expect("it can be written");
    }
    let homes = Homes { claude: Some(path), ..Homes::default() };
    let ours = |pid| Process { is_ours: true, ..process(pid, "/p", "claude") };
    let table = vec![ours(5), process(6, "/p", "claude"), ours(7)];
    assert_eq!(marked(vec![found(Runner::ClaudeCode, "a", 0)], &homes, table), [Some((6, How::Terminal))]);
}
