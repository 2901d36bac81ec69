//! Repositories of sessions: a real one with a bare remote, through REST and the command line.

use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{Home, Stage, eventually};

/// Runs git as a person would.
fn git(folder: &Path, args: &[&str]) -> String {
    let done = Command::new("git")
        .current_dir(folder)
        .args(["-c", "user.name=T", "-c", "user.email=t@localhost", "-c", "init.defaultBranch=main"])
        .args(args)
        .output()
        .expect("git runs");
    assert!(done.status.success(), "{args:?}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8_lossy(&done.stdout).trim().to_owned()
}

fn program(path: &Path, script: &str) {
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
    std::fs::write(path, format!("#!/bin/sh\n{script}\n")).expect("written");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("it can be run");
}

/// A repository in the work folder, with one commit that its bare remote has.
fn lays_repository(home: &Home) -> PathBuf {
    let work = home.work();
    let remote = home.path().join("remote.git");
    git(home.path(), &["init", "-q", "--bare", "remote.git"]);
    git(&work, &["init", "-q"]);
    std::fs::write(work.join("a.txt"), "one\n").expect("written");
    git(&work, &["add", "."]);
    git(&work, &["commit", "-q", "-m", "first"]);
    git(&work, &["remote", "add", "origin", remote.to_str().expect("a text")]);
    git(&work, &["push", "-q", "origin", "main"]);
    remote
}

/// A stage whose work folder is a repository, with an external session in it.
async fn with_repository(extra: &[(&str, &str)]) -> (Stage, String) {
    let mut home = Home::new();
    lays_repository(&home);
    home.extra.extend(extra.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    let stage = Stage::bare_in(home).await;
    let id = external(&stage, json!({ "directory": stage.home.work() })).await;
    (stage, id)
}

async fn external(stage: &Stage, more: Value) -> String {
    let mut body = json!({ "agent_name": "rig" });
    body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    let session = stage.api.post("/api/sessions", body).await.ok();
    session["id"].as_str().expect("a session has an id").to_owned()
}

/// A turn of the external agent in which it does this.
async fn turn(stage: &Stage, id: &str, work: impl FnOnce()) {
    stage.api.push(id, "status", json!({ "status": "running" })).await.ok();
    work();
    stage.api.push(id, "status", json!({ "status": "done" })).await.ok();
}

fn route(id: &str, rest: &str) -> String {
    format!("/api/sessions/{id}/git{rest}")
}

#[tokio::test]
async fn a_person_commits_pushes_and_changes_branches_from_afar() {
    let (stage, id) = with_repository(&[]).await;
    assert_eq!(stage.api.session(&id).await["branch"], "main");
    std::fs::write(stage.file("new.txt"), "new\n").expect("written");
    let made = stage.cli(&["git", "branch", &id, "topic"]).await.ok();
    assert_eq!(made, "Created and checked out branch topic\n");
    eventually("the session shows its branch", 20, || async {
        (stage.api.session(&id).await["branch"] == "topic").then_some(())
    })
    .await;
    let status = stage.cli(&["git", "status", &id]).await.ok();
    assert!(status.starts_with("Branch:  topic\n"), "{status}");
    assert!(status.contains("Status:  dirty  (0 staged, 0 unstaged, 1 untracked)\nLast:    "), "{status}");
    let diff = stage.cli(&["git", "diff", &id]).await.ok();
    assert!(diff.contains("+++ b/new.txt") && diff.contains("+new"), "{diff}");

    let done = stage.cli(&["git", "commit", &id, "-m", "add new"]).await.ok();
    assert!(done.starts_with("Committed ") && done.ends_with(": add new\n"), "{done}");
    let again = stage.api.post(&route(&id, "/commit"), json!({ "message": "x" })).await;
    assert_eq!(again.error(422, "GIT_ERROR"), "Nothing to commit: working tree is clean");
    let pushed = stage.cli(&["git", "push", &id]).await.ok();
    assert!(pushed.starts_with("Pushed topic to /") && pushed.ends_with("/remote.git\n"), "{pushed}");
    let remote = stage.home.path().join("remote.git");
    assert_eq!(git(&remote, &["log", "-1", "--format=%s", "topic"]), "add new");
    let status = stage.api.get(&route(&id, "")).await.ok();
    assert_eq!((&status["remote_branch"], &status["ahead"]), (&json!("origin/topic"), &json!(0)));
    assert_eq!((&status["dirty"], &status["is_worktree"]), (&json!(false), &json!(false)));
    let log = stage.api.get(&route(&id, "/log?count=1")).await.ok();
    assert_eq!((&log[0]["message"], &log[0]["author"]), (&json!("add new"), &json!("Tether")), "{log}");
    assert_eq!(log.as_array().map(Vec::len), Some(1));
    let lines = stage.cli(&["git", "log", &id]).await.ok();
    assert!(lines.lines().count() == 2 && lines.contains("  first  (T)\n"), "{lines}");

    assert_eq!(stage.cli(&["git", "checkout", &id, "main"]).await.ok(), "Switched to branch main\n");
    assert!(!stage.file("new.txt").exists());
    let list = stage.cli(&["list"]).await.ok();
    assert!(list.contains("BRANCH") && list.contains("main"), "{list}");
    let missing = stage.cli(&["git", "checkout", &id, "nowhere"]).await;
    assert!(missing.code == 1 && missing.err.starts_with("Error: fatal: "), "{missing:?}");
}

#[tokio::test]
async fn nothing_is_changed_while_a_turn_runs_and_what_is_no_repository_is_said() {
    let (stage, id) = with_repository(&[]).await;
    stage.api.push(&id, "status", json!({ "status": "running" })).await.ok();
    for (path, body) in [
        ("/commit", json!({ "message": "x" })),
        ("/push", json!({})),
        ("/branch", json!({ "name": "x" })),
        ("/checkout", json!({ "branch": "main" })),
        ("/pr", json!({ "title": "x" })),
        ("/checkpoints", json!({})),
        ("/checkpoints/1/restore", json!({})),
    ] {
        let words = stage.api.post(&route(&id, path), body).await.error(409, "INVALID_STATE");
        assert_eq!(words, "Cannot perform git write operations while session is running", "{path}");
    }
    stage.api.get(&route(&id, "")).await.ok();
    stage.api.get("/api/sessions/sess_000000000000/git").await.error(404, "NOT_FOUND");
    let none = external(&stage, json!({})).await;
    let words = stage.api.get(&route(&none, "")).await.error(422, "VALIDATION_ERROR");
    assert_eq!(words, "Session has no directory assigned");
    let plain = external(&stage, json!({ "directory": stage.home.path() })).await;
    let words = stage.api.post(&route(&plain, "/push"), json!({})).await.error(422, "VALIDATION_ERROR");
    assert!(words.ends_with("is not a git repository"), "{words}");
    stage.api.get(&route(&none, "/log?count=101")).await.error(422, "VALIDATION_ERROR");
}

#[tokio::test]
async fn values_that_git_could_read_as_options_are_refused_and_change_nothing() {
    let (stage, id) = with_repository(&[]).await;
    let mark = stage.file("ran");
    let touch = format!("--upload-pack=touch {}", mark.display());
    for (path, body) in [
        ("/branch", json!({ "name": "-f" })),
        ("/branch", json!({ "name": "--orphan" })),
        ("/checkout", json!({ "branch": "--detach" })),
        ("/checkout", json!({ "branch": "-f" })),
        ("/push", json!({ "remote": "--receive-pack=x" })),
        ("/push", json!({ "remote": "ext::sh -c x" })),
        ("/push", json!({ "branch": "--delete" })),
        ("/push", json!({ "branch": ":main" })),
        ("/pr", json!({ "title": "x", "base": "--web" })),
        ("/pr", json!({ "title": " " })),
    ] {
        stage.api.post(&route(&id, path), body.clone()).await.error(422, "VALIDATION_ERROR");
    }
    for body in [
        json!({ "clone_url": touch }),
        json!({ "clone_url": format!("{touch}.git") }),
        json!({ "clone_url": "ext::sh -c touch% ran.git" }),
        json!({ "clone_url": "ssh://-oProxyCommand=touch/x.git" }),
        json!({ "clone_url": "git@-oProxyCommand=touch:x.git" }),
        json!({ "clone_url": "https://example.org/x.git", "clone_branch": "--upload-pack=x" }),
    ] {
        stage.api.post("/api/sessions", body.clone()).await.error(422, "VALIDATION_ERROR");
    }
    assert!(!mark.exists());
    let work = stage.home.work();
    assert_eq!(git(&work, &["branch", "--format=%(refname:short)"]), "main");
    assert_eq!(stage.api.get("/api/sessions").await.ok().as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn each_turn_is_saved_and_can_be_brought_back_without_losing_what_came_after() {
    let (stage, id) = with_repository(&[("TETHER_GIT_AUTO_CHECKPOINT", "1")]).await;
    let mut seen = stage.follow(&id);
    let put = |name: &str, text: &str| std::fs::write(stage.file(name), text).expect("written");
    turn(&stage, &id, || put("a.txt", "two\n")).await;
    let first = seen.next("checkpoint", 0, 30).await;
    assert_eq!(
        (first.text("message"), &first.data["files_changed"]),
        ("[tether] checkpoint after a turn", &json!(1))
    );
    turn(&stage, &id, || {
        put("a.txt", "three\n");
        put("b.txt", "b\n");
    })
    .await;
    let second = seen.next("checkpoint", first.seq, 30).await;
    assert_eq!(second.data["files_changed"], 2);
    assert_eq!(git(&stage.home.work(), &["log", "--oneline", "--all", "--branches"]).lines().count(), 3);
    assert_eq!(git(&stage.home.work(), &["rev-list", "--count", "HEAD"]), "1", "the branch is left alone");

    let listed = stage.cli(&["git", "checkpoints", &id]).await.ok();
    assert_eq!(listed.lines().count(), 2, "{listed}");
    let shown = stage.cli(&["git", "checkpoints", &id, "2"]).await.ok();
    assert!(shown.contains("-two\n+three") && shown.contains("+++ b/b.txt"), "{shown}");
    put("c.txt", "a person's own, saved by nobody\n");
    let restored = stage.cli(&["git", "restore", &id, "1"]).await.ok();
    assert!(restored.starts_with("Restored checkpoint 1 (3 files changed)\n"), "{restored}");
    assert!(restored.contains("What was before is checkpoint 3"), "{restored}");
    let saved = seen.next("checkpoint", second.seq, 30).await;
    assert_eq!(saved.data["number"], 3);
    assert_eq!(std::fs::read_to_string(stage.file("a.txt")).expect("it is there"), "two\n");
    assert!(!stage.file("b.txt").exists() && !stage.file("c.txt").exists());
    stage.cli(&["git", "restore", &id, "3"]).await.ok();
    assert_eq!(std::fs::read_to_string(stage.file("a.txt")).expect("it is there"), "three\n");
    assert!(stage.file("b.txt").exists() && stage.file("c.txt").exists());
    stage.api.post(&route(&id, "/checkpoints/99/restore"), json!({})).await.error(404, "NOT_FOUND");
    stage.api.get(&route(&id, "/checkpoints/x")).await.error(404, "NOT_FOUND");

    stage.api.delete(&format!("/api/sessions/{id}")).await.ok();
    eventually("the checkpoints go with their session", 20, || async {
        git(&stage.home.work(), &["for-each-ref", "refs/tether"]).is_empty().then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_agent_of_ours_is_saved_before_its_first_turn_and_after_each() {
    let mut home = Home::new();
    lays_repository(&home);
    for (name, value) in [("TETHER_GIT_AUTO_CHECKPOINT", "1"), ("TETHER_DEMO_PACE_MS", "0")] {
        home.extra.insert(name.into(), value.into());
    }
    let stage = Stage::bare_in(home).await;
    std::fs::write(stage.file("mine.txt"), "not committed\n").expect("written");
    let (id, mut seen) = stage.session_of("demo").await;
    stage.api.start(&id, "help").await;
    seen.idle(1, 40).await;
    let before = seen.next("checkpoint", 0, 30).await;
    assert_eq!(before.text("message"), "[tether] checkpoint before the first turn");
    let began = seen.of("turn_started")[0].seq;
    assert!(before.seq < began, "the turn waits for it");
    std::fs::write(stage.file("mine.txt"), "changed meanwhile\n").expect("written");
    stage.api.input(&id, "help").await;
    seen.idle(2, 40).await;
    let after = seen.next("checkpoint", before.seq, 30).await;
    // The first turn's may still have been under way when the file was changed.
    assert!(after.text("message").starts_with("[tether] checkpoint after turn "), "{}", after.raw);
    stage.cli(&["git", "restore", &id, "1"]).await.ok();
    assert_eq!(std::fs::read_to_string(stage.file("mine.txt")).expect("it is there"), "not committed\n");
    // What cannot be saved is said, and work goes on.
    git(&stage.home.work(), &["config", "credential.helper", "!touch ran"]);
    stage.api.input(&id, "help").await;
    let warned = seen.next("warning", after.seq, 40).await;
    assert_eq!(warned.text("code"), "CHECKPOINT_FAILED", "{}", warned.raw);
    assert!(warned.text("message").contains("credential.helper"), "{}", warned.raw);
}

#[tokio::test]
async fn sessions_are_made_of_an_address_and_share_one_clone() {
    let home = Home::new();
    let remote = lays_repository(&home);
    let stage = Stage::bare_in(home).await;
    let url = format!("file://{}", remote.display());
    let told = stage.cli(&["--json", "new", "--clone", &url]).await.json();
    let first = told["id"].as_str().expect("an id").to_owned();
    let branch = format!("tether/{}", &first[first.len() - 6..]);
    assert_eq!((&told["clone_url"], &told["working_branch"]), (&json!(url), &json!(branch)), "{told}");
    assert_eq!((&told["branch"], &told["directory_has_git"]), (&json!(branch), &json!(true)));
    let directory = PathBuf::from(told["directory"].as_str().expect("a path"));
    assert!(directory.ends_with(&first) && directory.join("a.txt").exists(), "{directory:?}");
    let second = external(&stage, json!({ "clone_url": remote, "shallow": false })).await;
    let repos = stage.api.get("/api/status/repos").await.ok();
    assert_eq!(repos["repos"].as_array().map(Vec::len), Some(2), "a path is another address: {repos}");
    let third = external(&stage, json!({ "clone_url": url })).await;
    let list = stage.api.get("/api/status/workspaces").await.ok();
    assert_eq!(list["workspaces"].as_array().map(Vec::len), Some(3), "{list}");
    assert!(list["total_bytes"].as_u64() > Some(0) && list["orphan_count"] == 0, "{list}");

    // Not committed work outlives the session in the clone; the work tree goes.
    std::fs::write(directory.join("work.txt"), "unfinished\n").expect("written");
    stage.cli(&["delete", &first]).await.ok();
    eventually("the work tree goes with its session", 20, || async { (!directory.exists()).then_some(()) })
        .await;
    let repos = stage.api.get("/api/status/repos").await.ok();
    let shared = repos["repos"].as_array().expect("a list").iter().find(|repo| repo["url"] == url.as_str());
    let shared = PathBuf::from(shared.expect("it is listed")["path"].as_str().expect("a path"));
    eventually("what was not committed is kept", 20, || async {
        let show = ["show", &format!("refs/tether/kept/{first}:work.txt")].map(str::to_owned);
        let done = Command::new("git").current_dir(&shared).args(show).output().expect("git runs");
        (done.stdout == b"unfinished\n").then_some(())
    })
    .await;
    for id in [second, third] {
        stage.cli(&["delete", &id]).await.ok();
    }
    eventually("all work trees are gone", 20, || async {
        let list = stage.api.get("/api/status/workspaces").await.ok();
        (list["workspaces"] == json!([])).then_some(())
    })
    .await;
    let orphan = directory.with_file_name("sess_0123456789ab");
    std::fs::create_dir(&orphan).expect("made");
    std::fs::write(orphan.join("x"), "x").expect("written");
    let told = stage.cli(&["workspaces", "--stale"]).await.ok();
    assert!(told.contains("(deleted)") && told.contains("1 without a session"), "{told}");
    assert_eq!(stage.cli(&["workspaces", "clean"]).await.ok(), "Removed 1 orphaned workspace(s).\n");
    assert!(!orphan.exists());
}

#[tokio::test]
async fn a_work_tree_beside_a_local_repository_is_made_and_removed() {
    let (stage, _) = with_repository(&[]).await;
    let told = stage.cli(&["new", "--worktree"]).await.ok();
    assert!(told.contains("  Branch:    tether/"), "{told}");
    let id = told.lines().next().and_then(|line| line.rsplit(' ').next()).expect("an id").to_owned();
    let session = stage.api.session(&id).await;
    let directory = PathBuf::from(session["directory"].as_str().expect("a path"));
    assert_ne!(directory, stage.home.work());
    assert_eq!(session["clone_url"], Value::Null);
    std::fs::write(directory.join("b.txt"), "b\n").expect("written");
    stage.cli(&["git", "commit", &id, "-m", "in the work tree"]).await.ok();
    stage.cli(&["git", "push", &id]).await.ok();
    assert!(!stage.file("b.txt").exists(), "the repository's own work tree is left alone");
    stage.cli(&["delete", &id]).await.ok();
    eventually("work tree and branch are gone", 20, || async {
        let branches = git(&stage.home.work(), &["branch", "--format=%(refname:short)"]);
        (!directory.exists() && branches == "main").then_some(())
    })
    .await;
    // An agent's sandbox leaves such a folder behind; it makes no repository.
    let folder = stage.home.path().join("plain");
    std::fs::create_dir_all(folder.join(".git")).expect("made");
    let plain = stage.cli(&["new", "--worktree", folder.to_str().expect("a name")]).await;
    assert!(plain.code == 1 && plain.err.contains("is not a git repository"), "{plain:?}");
    let wrong = stage.cli(&["new", "--clone", "https://h/x.git", "/tmp"]).await;
    assert_ne!(wrong.code, 0);
}

/// A server that answers every request with this, or never.
fn answers(text: Option<&'static str>) -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("it has one").port();
    std::thread::spawn(move || {
        let mut held = Vec::new();
        for mut stream in listener.incoming().flatten() {
            match text {
                Some(text) => {
                    let mut buffer = [0; 4096];
                    let _ = stream.read(&mut buffer);
                    let _ = stream.write_all(text.as_bytes());
                }
                None => held.push(stream),
            }
        }
    });
    port
}

#[tokio::test]
async fn nobody_is_asked_for_a_password_and_what_hangs_is_ended() {
    let mut home = Home::new();
    home.extra.insert("TETHER_GIT_CLONE_TIMEOUT".into(), "3".into());
    // Would be asked if git asked anybody.
    let asked = home.path().join("asked");
    program(&home.path().join("bin/askpass"), &format!("touch {}; echo x", asked.display()));
    for name in ["GIT_ASKPASS", "SSH_ASKPASS"] {
        home.extra.insert(name.into(), home.path().join("bin/askpass").display().to_string());
    }
    let stage = Stage::bare_in(home).await;
    let wants = answers(Some(
        "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"x\"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
    ));
    let began = Instant::now();
    let refused = stage
        .api
        .post("/api/sessions", json!({ "clone_url": format!("http://127.0.0.1:{wants}/x.git") }))
        .await;
    let words = refused.error(422, "CLONE_ERROR");
    assert!(
        words.contains("could not read Username") && began.elapsed() < Duration::from_secs(30),
        "{words}"
    );
    let silent = answers(None);
    let url = format!("http://user:s3cret@127.0.0.1:{silent}/x.git");
    let refused = stage.api.post("/api/sessions", json!({ "clone_url": url })).await;
    let words = refused.error(422, "CLONE_ERROR");
    assert!(words.contains("longer than 3 seconds"), "{words}");
    assert!(!asked.exists(), "somebody was asked");
    assert_eq!(stage.api.get("/api/sessions").await.ok(), json!([]), "no session is left");
    assert_eq!(stage.api.get("/api/status/workspaces").await.ok()["workspaces"], json!([]));
    assert!(!stage.daemon.log().contains("s3cret") && !words.contains("s3cret"));
    assert_eq!(crate::harness::process::running("git-remote-http", &stage.home.mark), Vec::<u32>::new());
}

#[tokio::test]
async fn what_a_repository_brings_along_runs_only_where_it_is_trusted_and_sees_no_secret_of_ours() {
    let (stage, id) = with_repository(&[("TELEGRAM_BOT_TOKEN", "s3cret")]).await;
    let (work, mark) = (stage.home.work(), stage.file("../ran"));
    program(&work.join(".git/hooks/pre-commit"), &format!("env > {}", mark.display()));
    std::fs::write(stage.file("a.txt"), "two\n").expect("written");
    let done = stage.cli(&["git", "commit", &id, "-m", "second"]).await;
    assert!(done.err.contains("hooks were not run"), "{done:?}");
    assert!(!mark.exists());
    git(&work, &["config", "core.fsmonitor", &format!("touch {}", mark.display())]);
    git(&work, &["config", "http.proxy", "http://127.0.0.1:1"]);
    std::fs::write(stage.file("a.txt"), "three\n").expect("written");
    stage.api.get(&route(&id, "")).await.ok();
    let words = stage.api.post(&route(&id, "/push"), json!({})).await.error(422, "GIT_ERROR");
    assert!(words.contains("http.proxy") && words.contains("tether trust yes"), "{words}");
    assert!(!mark.exists());
    git(&work, &["config", "--unset", "http.proxy"]);
    git(&work, &["config", "--unset", "core.fsmonitor"]);

    stage.cli(&["trust", "yes", work.to_str().expect("a text")]).await.ok();
    stage.cli(&["git", "commit", &id, "-m", "third"]).await.ok();
    let seen = std::fs::read_to_string(&mark).expect("the hook ran");
    assert!(!seen.contains("s3cret") && !seen.contains(&stage.home.token), "{seen}");
    program(&work.join(".git/hooks/pre-commit"), "echo no such thing >&2; exit 1");
    std::fs::write(stage.file("a.txt"), "four\n").expect("written");
    let words =
        stage.api.post(&route(&id, "/commit"), json!({ "message": "x" })).await.error(422, "GIT_ERROR");
    assert!(words.contains("no such thing"), "{words}");
}

#[tokio::test]
async fn pull_requests_go_through_the_persons_own_programs() {
    let mut home = Home::new();
    let remote = lays_repository(&home);
    let (bin, told) = (home.path().join("bin"), home.path().join("told"));
    let says = |url: &str| {
        format!("printf '%s\\n' \"$(basename $0)\" \"$@\" > {}; echo Creating; echo {url}", told.display())
    };
    program(&bin.join("gh"), &says("https://github.com/o/r/pull/7"));
    program(&bin.join("glab"), &says("https://gitlab.com/o/r/-/merge_requests/9"));
    let path = std::env::var("PATH").expect("there is a PATH");
    home.extra.insert("PATH".into(), format!("{}:{path}", bin.display()));
    let stage = Stage::bare_in(home).await;
    let work = stage.home.work();
    let id = external(&stage, json!({ "directory": work })).await;
    let no_forge = stage.api.post(&route(&id, "/pr"), json!({ "title": "x" })).await;
    assert!(no_forge.error(422, "GIT_ERROR").contains("no GitHub or GitLab host"));
    git(&work, &["remote", "set-url", "origin", "https://t0ken@github.com/o/r.git"]);
    git(&work, &["remote", "set-url", "--push", "origin", remote.to_str().expect("a text")]);
    git(&work, &["switch", "-q", "-c", "topic"]);
    git(&work, &["commit", "-q", "--allow-empty", "-m", "second"]);
    let args = ["git", "pr", &id, "-t", "A title", "--body=--web", "--base", "main", "--draft"];
    assert_eq!(stage.cli(&args).await.ok(), "PR created: https://github.com/o/r/pull/7 (draft)\n");
    let lines = crate::harness::lines(&told);
    let wanted =
        ["gh", "pr", "create", "--title=A title", "--body=--web", "--head=topic", "--base=main", "--draft"];
    assert_eq!(lines, wanted);
    assert_eq!(git(&remote, &["log", "-1", "--format=%s", "topic"]), "second", "it was pushed first");
    let status = stage.api.get(&route(&id, "")).await.ok();
    assert_eq!(status["remote_url"], "https://***@github.com/o/r.git");

    git(&work, &["remote", "set-url", "origin", "git@gitlab.com:o/r.git"]);
    let made = stage.api.post(&route(&id, "/pr"), json!({ "title": "x", "auto_push": false })).await;
    assert_eq!(made.status, 201);
    assert_eq!(
        made.body,
        json!({ "url": "https://gitlab.com/o/r/-/merge_requests/9", "number": 9, "forge": "gitlab", "draft": false })
    );
    program(&bin.join("glab"), "echo not signed in >&2; exit 1");
    let refused = stage.api.post(&route(&id, "/pr"), json!({ "title": "x", "auto_push": false })).await;
    assert_eq!(refused.error(422, "GIT_ERROR"), "glab: not signed in");
}

#[tokio::test]
async fn a_slow_clone_under_a_key_is_made_once_and_holds_up_no_other_key() {
    let mut home = Home::new();
    let remote = lays_repository(&home);
    let (started, go) = (home.path().join("started"), home.path().join("go"));
    let real = String::from_utf8(Command::new("which").arg("git").output().expect("which runs").stdout)
        .expect("a text");
    let script = format!(
        "case \" $* \" in *\" fetch \"*) echo x >> {}; while [ ! -e {} ]; do sleep 0.02; done;; esac\nexec {} \"$@\"",
        started.display(),
        go.display(),
        real.trim()
    );
    program(&home.path().join("slow/git"), &script);
    let path =
        format!("{}:{}", home.path().join("slow").display(), std::env::var("PATH").unwrap_or_default());
    home.extra.insert("PATH".into(), path);
    let stage = Stage::bare_in(home).await;
    let create = |key: &'static str, body: Value| {
        let request = stage.api.request(reqwest::Method::POST, "/api/sessions");
        request.header("Idempotency-Key", key).json(&body).send()
    };
    let cloned = json!({ "clone_url": format!("file://{}", remote.display()), "agent_name": "rig" });
    let first = tokio::spawn(create("k", cloned.clone()));
    let clones = || crate::harness::lines(&started).len();
    eventually("the clone begins", 20, || async { (clones() > 0).then_some(()) }).await;
    first.abort();
    assert!(first.await.is_err_and(|gone| gone.is_cancelled()), "the client went away");

    let free = create("l", json!({ "agent_name": "other" })).await.expect("it answers");
    assert_eq!(free.status(), 201, "another key is not held up");
    let other = create("k", json!({ "agent_name": "other" })).await.expect("it answers");
    assert_eq!(other.status(), 422);
    let again = tokio::spawn(create("k", cloned.clone()));
    std::fs::write(&go, "").expect("written");
    let made: Value = again.await.expect("it ran").expect("it answers").json().await.expect("a session");
    let known: Value = create("k", cloned).await.expect("it answers").json().await.expect("a session");
    assert_eq!((&made["id"], made["clone_url"].is_string()), (&known["id"], true), "{made}");
    let sessions = stage.api.get("/api/sessions").await.ok();
    let of_it =
        sessions.as_array().expect("a list").iter().filter(|one| one["clone_url"].is_string()).count();
    assert_eq!((of_it, clones()), (1, 1), "{sessions}");
}
