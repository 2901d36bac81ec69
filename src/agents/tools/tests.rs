//! The tools in a real folder.

use std::fs;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{Outcome, Place, Plan, plan};

struct Folder {
    _top: tempfile::TempDir,
    place: Place,
}

impl Folder {
    fn with(files: &[(&str, &str)]) -> Self {
        let top = tempfile::tempdir().expect("a folder");
        let directory = top.path().canonicalize().expect("its real path").join("work");
        fs::create_dir(&directory).expect("made");
        for (name, text) in files {
            let path = directory.join(name);
            fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            fs::write(path, text).expect("written");
        }
        Self { _top: top, place: Place { directory, secrets: vec!["PROBE_SECRET"] } }
    }

    fn plan(&self, name: &str, input: Value) -> Result<Plan, String> {
        plan(&self.place, name, &input.to_string(), false)
    }

    async fn run(&self, name: &str, input: Value) -> Outcome {
        match self.plan(name, input) {
            Ok(plan) => plan.carry_out(&self.place, &CancellationToken::new()).await,
            Err(why) => Outcome::failed(why),
        }
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.place.directory.join(name)).expect("a text file")
    }
}

#[tokio::test]
async fn a_file_is_read_in_parts_and_what_is_no_text_is_named() {
    let long: String = (1..=3000).map(|n| format!("line {n}\n")).collect();
    let folder = Folder::with(&[("long.txt", &long), ("empty", ""), ("binary", "a\0b")]);
    let first = folder.run("read", json!({ "path": "long.txt" })).await;
    assert!(first.text.ends_with("line 2000\n[lines 1 to 2000 of 3000; go on with offset 2001]"));
    let part = folder.run("read", json!({ "file_path": "long.txt", "offset": 2999, "limit": 5 })).await;
    assert_eq!(part.text, "line 2999\nline 3000\n");
    for (path, words) in
        [("empty", "empty"), ("binary", "binary"), (".", "folder"), ("none", "cannot be read")]
    {
        let outcome = folder.run("read", json!({ "path": path })).await;
        assert!(outcome.text.contains(words), "{path}: {outcome:?}");
    }
}

#[tokio::test]
async fn a_file_is_written_with_its_folders_and_keeps_its_mode() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = Folder::with(&[("run.sh", "old\n")]);
    let path = folder.place.directory.join("run.sh");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o750)).expect("set");
    let outcome = folder.run("write", json!({ "path": "run.sh", "content": "new\n" })).await;
    assert!(outcome.ok, "{outcome:?}");
    assert_eq!(folder.text("run.sh"), "new\n");
    assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o7777, 0o750);
    let outcome = folder.run("write", json!({ "path": "a/b/c.txt", "content": "x" })).await;
    assert!(outcome.ok && folder.text("a/b/c.txt") == "x", "{outcome:?}");
    assert_eq!(
        fs::read_dir(folder.place.directory.join("a/b")).expect("there").count(),
        1,
        "nothing is left beside"
    );
}

#[tokio::test]
async fn an_edit_replaces_exactly_what_was_named() {
    let folder = Folder::with(&[("a.txt", "one\ntwo\ntwo\n")]);
    let edit = |old: &str, new: &str, all: bool| json!({ "path": "a.txt", "old_text": old, "new_text": new, "all": all });
    for (input, words) in [
        (edit("three", "x", false), "does not occur"),
        (edit("two", "x", false), "occurs 2 times"),
        (edit("", "x", false), "empty"),
        (edit("one", "one", false), "the same"),
    ] {
        let why = folder.plan("edit", input).expect_err("it cannot be done");
        assert!(why.contains(words), "{why}");
    }
    let planned = folder.plan("edit", edit("one", "1", false)).expect("planned");
    assert_eq!(planned.diffs[0]["newText"], "1\ntwo\ntwo\n");
    assert_eq!(folder.text("a.txt"), "one\ntwo\ntwo\n", "a plan changes nothing");
    let outcome = folder.run("edit", edit("two", "2", true)).await;
    assert!(outcome.ok && outcome.text.contains("-two\n-two\n+2\n+2\n"), "{outcome:?}");
    assert_eq!(folder.text("a.txt"), "one\n2\n2\n");
}

#[tokio::test]
async fn a_change_is_not_made_when_something_else_changed_meanwhile() {
    let folder = Folder::with(&[("a.txt", "one\n"), ("sub/x", "")]);
    let place = &folder.place;
    let write =
        |path: &str| folder.plan("write", json!({ "path": path, "content": "new\n" })).expect("planned");
    let planned = write("a.txt");
    fs::write(place.directory.join("a.txt"), "changed by somebody\n").expect("written");
    let outcome = planned.carry_out(place, &CancellationToken::new()).await;
    assert!(!outcome.ok && outcome.text.contains("changed while"), "{outcome:?}");
    assert_eq!(folder.text("a.txt"), "changed by somebody\n");
    // A folder becomes a link to elsewhere between the question and the answer.
    let planned = write("sub/y");
    let elsewhere = tempfile::tempdir().expect("a folder");
    fs::remove_dir_all(place.directory.join("sub")).expect("removed");
    std::os::unix::fs::symlink(elsewhere.path(), place.directory.join("sub")).expect("linked");
    let outcome = planned.carry_out(place, &CancellationToken::new()).await;
    assert!(!outcome.ok && outcome.text.contains("elsewhere"), "{outcome:?}");
    assert_eq!(fs::read_dir(elsewhere.path()).expect("there").count(), 0);
}

#[test]
fn what_lies_outside_is_asked_about_by_its_whole_path() {
    let folder = Folder::with(&[("a", "")]);
    for (name, input) in [
        ("read", json!({ "path": "../x" })),
        ("list", json!({ "path": ".." })),
        ("search", json!({ "pattern": "x", "path": ".." })),
        ("write", json!({ "path": "../x", "content": "" })),
    ] {
        let planned = folder.plan(name, input).expect("planned");
        let parent = folder.place.directory.parent().expect("a parent").display().to_string();
        assert!(planned.asks, "{name}");
        assert!(planned.title.contains(&parent) && planned.title.contains("outside"), "{}", planned.title);
        assert!(
            planned.input["path"].as_str().is_some_and(|path| path.starts_with(&parent)),
            "{}",
            planned.input
        );
    }
    for (name, input) in
        [("read", json!({ "path": "a" })), ("list", json!({})), ("search", json!({ "pattern": "x" }))]
    {
        assert!(!folder.plan(name, input).expect("planned").asks, "{name}");
    }
    assert!(folder.plan("write", json!({ "path": "b", "content": "" })).expect("planned").asks);
}

#[tokio::test]
async fn lists_and_searches_leave_out_what_git_ignores() {
    let folder = Folder::with(&[
        (".gitignore", "target\n"),
        ("target/out.rs", "needle\n"),
        (".git/config", "needle\n"),
        ("src/a.rs", "hay\nNeedle here\n"),
        ("src/b.txt", "needle\n"),
    ]);
    let list = folder.run("list", json!({ "depth": 3 })).await;
    assert_eq!(list.text, ".gitignore (7 bytes)\nsrc/\nsrc/a.rs (16 bytes)\nsrc/b.txt (7 bytes)\n");
    let found = folder.run("search", json!({ "pattern": "needle" })).await;
    assert_eq!(found.text, "src/b.txt:1: needle\n");
    let found =
        folder.run("search", json!({ "pattern": "needle", "ignore_case": true, "glob": "*.rs" })).await;
    assert_eq!(found.text, "src/a.rs:2: Needle here\n");
    let found =
        folder.run("search", json!({ "pattern": "needle", "path": "src/b.txt", "files_only": true })).await;
    assert!(found.text.ends_with("b.txt\n"), "{found:?}");
    assert_eq!(folder.run("search", json!({ "pattern": "nowhere" })).await.text, "[nothing matches]");
    assert!(folder.plan("search", json!({ "pattern": "(" })).is_err());
}

#[tokio::test]
async fn a_command_gives_its_output_in_order_and_its_end() {
    let folder = Folder::with(&[]);
    let outcome = folder.run("shell", json!({ "command": "echo a; echo b >&2; echo c; pwd" })).await;
    let here = folder.place.directory.display();
    assert_eq!(outcome, Outcome { text: format!("a\nb\nc\n{here}\n"), ok: true });
    let outcome = folder.run("shell", json!({ "command": "echo no; exit 3" })).await;
    assert_eq!(outcome, Outcome { text: "no\n[exit code 3]".into(), ok: false });
    let outcome = folder.run("shell", json!({ "command": ["bash", "-lc", "true"] })).await;
    assert_eq!(outcome, Outcome { text: "[no output]".into(), ok: true });
    let outcome = folder.run("shell", json!({ "command": "seq 1 100000" })).await;
    assert!(outcome.text.starts_with("1\n2\n") && outcome.text.ends_with("99999\n100000\n"));
    assert!(outcome.text.len() < 40 * 1024 && outcome.text.contains("left out"), "{}", outcome.text.len());
}

#[tokio::test]
async fn a_command_that_takes_too_long_and_what_it_left_behind_are_ended() {
    let folder = Folder::with(&[]);
    let began = Instant::now();
    let outcome =
        folder.run("shell", json!({ "command": "echo begun; sleep 60 | cat", "timeout_seconds": 0.3 })).await;
    assert!(outcome.text.starts_with("begun\n[it was ended after 0.3 s"), "{outcome:?}");
    let outcome = folder.run("shell", json!({ "command": "sleep 60 & echo $!" })).await;
    assert!(outcome.ok && outcome.text.contains("in the background were ended"), "{outcome:?}");
    let left = outcome.text.lines().next().expect("its id");
    is_gone(left).await;
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_cancel_ends_a_command_that_will_not_listen_with_all_its_children() {
    let folder = Folder::with(&[]);
    let planned = folder
        .plan("shell", json!({ "command": "trap '' TERM; sleep 60 & echo $! > child; wait; sleep 60" }))
        .expect("planned");
    let cancel = CancellationToken::new();
    let child = folder.place.directory.join("child");
    let stop = async {
        while fs::read_to_string(&child).unwrap_or_default().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        cancel.cancel();
    };
    let (outcome, ()) = tokio::join!(planned.carry_out(&folder.place, &cancel), stop);
    assert!(!outcome.ok && outcome.text.contains("interrupted"), "{outcome:?}");
    let id = fs::read_to_string(&child).expect("its id");
    is_gone(id.trim()).await;
}

/// Waits for the end of what was killed: the signal is sent, the kernel carries it out when it comes to it.
async fn is_gone(id: &str) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while std::path::Path::new(&format!("/proc/{id}")).exists() && !is_zombie(id) {
        assert!(Instant::now() < deadline, "process {id} still runs");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// What was killed and is not taken away yet by whoever inherited it.
fn is_zombie(id: &str) -> bool {
    fs::read_to_string(format!("/proc/{id}/stat")).map_or(true, |stat| stat.contains(") Z "))
}

#[test]
fn wrong_calls_are_told_to_the_model() {
    let folder = Folder::with(&[]);
    for (name, arguments, words) in [
        ("nonsense", "{}", "there is no tool"),
        ("read", "{\"path\": \"a", "no JSON"),
        ("read", "{}", "path"),
        ("read", "[]", "does not fit"),
        ("shell", "{\"command\":\" \"}", "empty"),
        ("write", "{\"path\":\".\",\"content\":\"\"}", "folder"),
    ] {
        let why = plan(&folder.place, name, arguments, false).expect_err("it is wrong");
        assert!(why.contains(words), "{name} {arguments}: {why}");
    }
    assert!(plan(&folder.place, "shell", "{\"command\":\"true\"}", true).is_err(), "not while planning");
}
