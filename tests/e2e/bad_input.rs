//! Every command with what it cannot use: a daemon that is not there, a wrong token, ids that mean nothing, garbage.
//! The commands are taken from the declaration itself, so that none is forgotten.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use clap::CommandFactory as _;
use serde_json::{Value, json};

use crate::harness::cli::{Said, tether, tether_with};
use crate::harness::{Home, Stage};

/// What a command has to do with a daemon.
#[derive(Clone, Copy)]
enum Asks {
    /// It asks one first. With what is given it finds nothing, and the text says so.
    For(&'static str),
    /// It asks one, and what is given is no reason to refuse.
    Only,
    /// It asks none, or does something of use without one.
    Nobody,
}
use Asks::{For, Nobody, Only};

/// How each command is used: its words, further arguments, and what it has to do with a daemon.
const COMMANDS: &[(&str, &[&str], Asks)] = &[
    ("init", &[], Nobody),
    ("start", &[], Nobody),
    ("stop", &[], Only),
    ("status", &[], Only),
    ("open", &[], Only),
    ("pair", &[], Only),
    ("people list", &[], Only),
    ("people remove", &["zzz"], For("nobody has the id zzz")),
    ("list", &[], Only),
    ("attach", &["zzz"], For("No external session matching 'zzz'")),
    ("bind", &["zzz", "telegram"], For("No session matching 'zzz'")),
    ("detach", &["zzz"], For("No session matching 'zzz'")),
    ("sync", &["zzz"], For("No session matching 'zzz'")),
    ("new", &["/nowhere/at/all"], For("existing folder")),
    ("input", &["zzz", "text"], For("No session matching 'zzz'")),
    ("interrupt", &["zzz"], For("No session matching 'zzz'")),
    ("watch", &["zzz"], For("No session matching 'zzz'")),
    ("approvals", &["--session", "zzz"], For("No session matching 'zzz'")),
    ("approve", &["zzz"], For("No approval matching 'zzz'")),
    ("deny", &["zzz"], For("No approval matching 'zzz'")),
    ("grants list", &[], Only),
    ("grants revoke", &["zzz"], For("No grant matching 'zzz'")),
    ("delete", &["zzz"], For("No session matching 'zzz'")),
    ("logs", &["zzz"], For("No session matching 'zzz'")),
    ("agents", &[], Nobody),
    ("trust list", &[], Only),
    ("trust yes", &["/nowhere/at/all"], For("folder")),
    ("trust no", &["/nowhere/at/all"], For("folder")),
    ("trust forget", &["/nowhere/at/all"], For("/nowhere/at/all")),
    ("git status", &["zzz"], For("No session matching 'zzz'")),
    ("git log", &["zzz"], For("No session matching 'zzz'")),
    ("git diff", &["zzz"], For("No session matching 'zzz'")),
    ("git commit", &["zzz", "-m", "x"], For("No session matching 'zzz'")),
    ("git push", &["zzz"], For("No session matching 'zzz'")),
    ("git branch", &["zzz", "x"], For("No session matching 'zzz'")),
    ("git checkout", &["zzz", "x"], For("No session matching 'zzz'")),
    ("git pr", &["zzz", "-t", "x"], For("No session matching 'zzz'")),
    ("git checkpoints", &["zzz"], For("No session matching 'zzz'")),
    ("git restore", &["zzz", "1"], For("No session matching 'zzz'")),
    ("workspaces", &[], Only),
    ("workspaces clean", &[], Only),
    ("export", &["zzz"], For("No session matching 'zzz'")),
    ("mcp", &[], Nobody),
    ("mcp install", &["claude", "--print"], Nobody),
    ("mcp uninstall", &["claude", "--print"], Nobody),
    ("verify", &[], Only),
    ("doctor", &[], Nobody),
    ("service install", &[], Nobody),
    ("service uninstall", &[], Nobody),
    ("service status", &[], Nobody),
    ("setup agents", &["--check"], Only),
    ("setup bridge", &["zzz"], For("zzz")),
    ("migrate", &["/nowhere/at/all"], Nobody),
    ("backup", &["/nowhere/at/all"], Nobody),
    ("restore", &["/nowhere/at/all"], Nobody),
    ("context list", &[], Nobody),
    ("context use", &["zzz"], Nobody),
    ("server init", &["a b"], Nobody),
    ("server status", &["a b"], Nobody),
    ("server upgrade", &["a b"], Nobody),
    ("server logs", &["a b"], Nobody),
    ("server git-key", &["a b"], Nobody),
    ("templates list", &[], Nobody),
    ("templates show", &["zzz"], Nobody),
    ("completions", &["bash"], Nobody),
    ("man", &[], Nobody),
    ("model-agent", &[], Nobody),
    ("demo-agent", &[], Nobody),
];

/// The words of every command that does something by itself.
fn declared(command: &clap::Command, before: &str, found: &mut BTreeSet<String>) {
    for inner in command.get_subcommands().filter(|inner| inner.get_name() != "help") {
        let words = format!("{before} {}", inner.get_name()).trim().to_owned();
        // One that takes arguments of its own beside its subcommands is used without them too.
        if !inner.has_subcommands() || inner.is_args_conflicts_with_subcommands_set() || words == "mcp" {
            found.insert(words.clone());
        }
        declared(inner, &words, found);
    }
}

fn line<'a>(words: &'a str, args: &[&'a str]) -> Vec<&'a str> {
    words.split(' ').chain(args.iter().copied()).collect()
}

/// That it failed as a command shall: with this code, in words, once.
#[track_caller]
fn failed(said: &Said, code: i32, args: &[&str]) {
    assert_eq!(said.code, code, "{args:?}: {said:?}");
    let errors = said.err.lines().filter(|line| line.to_lowercase().starts_with("error:")).count();
    assert_eq!(errors, 1, "one line says what is wrong: {args:?}: {}", said.err);
    assert!(!said.err.contains("panicked") && !said.err.contains("RUST_BACKTRACE"), "{args:?}: {}", said.err);
}

/// Everything that a command could have changed, files and the daemon's own.
async fn everything(stage: &Stage) -> (BTreeMap<String, Vec<u8>>, Vec<Value>) {
    let mut files = BTreeMap::new();
    for folder in [".config", "work", "claude"] {
        collect(&stage.home.path().join(folder), &mut files);
    }
    let mut told = Vec::new();
    for path in ["/api/sessions", "/api/approvals", "/api/approvals/grants", "/api/trusted-directories"] {
        told.push(stage.api.get(path).await.ok());
    }
    (files, told)
}

fn collect(folder: &Path, found: &mut BTreeMap<String, Vec<u8>>) {
    for path in std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()) {
        if path.is_dir() {
            collect(&path, found);
        } else {
            found.insert(path.display().to_string(), std::fs::read(&path).unwrap_or_default());
        }
    }
}

#[test]
fn every_command_is_in_the_table() {
    let mut all = BTreeSet::new();
    declared(&tether::cli::Arguments::command(), "", &mut all);
    let known: BTreeSet<String> = COMMANDS.iter().map(|(words, ..)| (*words).to_owned()).collect();
    let missing: Vec<_> = all.difference(&known).collect();
    let gone: Vec<_> = known.difference(&all).collect();
    assert!(
        missing.is_empty() && gone.is_empty(),
        "say in COMMANDS how these are used: {missing:?}; gone: {gone:?}"
    );
}

#[tokio::test]
async fn without_a_daemon_every_command_that_needs_one_says_so() {
    let home = Home::new();
    for (words, args, asks) in COMMANDS {
        if matches!(asks, Nobody) {
            continue;
        }
        let args = line(words, args);
        let said = tether(&home, &args).await;
        failed(&said, 1, &args);
        assert!(
            said.err.contains("Cannot connect") && said.err.contains("tether start"),
            "{args:?}: {}",
            said.err
        );
        assert_eq!(said.out, "", "{args:?}");
    }
}

#[tokio::test]
async fn with_a_wrong_token_nothing_is_done_and_the_token_is_named() {
    let asking: Vec<_> = COMMANDS.iter().filter(|(.., asks)| !matches!(asks, Nobody)).collect();
    // A daemon answers each wrong token later than the one before.
    for few in asking.chunks(7) {
        let stage = Stage::bare().await;
        let before = everything(&stage).await;
        for (words, args, _) in few {
            let args = line(words, args);
            let said = tether_with(&stage.home, &args, &[("TETHER_AGENT_TOKEN", "s3cret")]).await;
            failed(&said, 1, &args);
            assert!(said.err.contains("token"), "{args:?}: {}", said.err);
            assert!(!said.err.contains("s3cret"), "it is not shown: {}", said.err);
        }
        assert_eq!(everything(&stage).await, before);
    }
}

#[tokio::test]
async fn what_is_not_there_is_told_by_its_name_and_nothing_changes() {
    let stage = Stage::bare().await;
    let id = stage.api.create_external("here").await;
    let ask = json!({ "request_id": "r", "tool_name": "Bash", "tool_input": { "command": "ls" } });
    stage.api.push(&id, "permission_request", ask).await.ok();
    let before = everything(&stage).await;
    for (words, args, asks) in COMMANDS {
        let For(text) = asks else { continue };
        let args = line(words, args);
        let said = stage.cli(&args).await;
        failed(&said, 1, &args);
        assert!(said.err.contains(text), "{args:?}: {}", said.err);
    }
    // Ids that mean something to a shell, a path or a terminal.
    for odd in ["", "../x", "%2e%2e", "\u{1b}[2J", "a b\nc", "sess_", "-", "💥", &"x".repeat(5000)] {
        for words in ["delete", "interrupt", "export", "git status", "deny", "grants revoke"] {
            if odd == "sess_" && matches!(words, "delete" | "interrupt" | "export" | "git status") {
                continue;
            }
            let args = line(words, &[odd]);
            let said = stage.cli(&args).await;
            failed(&said, 1, &args);
            assert!(!said.err.contains('\u{1b}'), "{args:?}: {:?}", said.err);
        }
    }
    assert_eq!(everything(&stage).await, before);
}

#[tokio::test]
async fn garbage_is_wrong_usage_and_changes_nothing() {
    let stage = Stage::bare().await;
    let before = everything(&stage).await;
    for (words, args, _) in COMMANDS {
        let args = [line(words, args), vec!["--no-such-option"]].concat();
        let said = stage.cli(&args).await;
        failed(&said, 2, &args);
        assert!(
            said.err.contains("--no-such-option") && said.err.contains("Usage"),
            "{args:?}: {}",
            said.err
        );
    }
    for args in [
        &["list", "-n", "many"][..],
        &["list", "-n", "-1"],
        &["new", "--approval-mode", "3"],
        &["new", "--approval-mode", "all"],
        &["git", "restore", "x", "first"],
        &["git", "log", "x", "-n", "some"],
        &["approve", "x", "--always", "--all"],
        &["export", "x", "--format", "pdf"],
        &["completions", "dos"],
        &["mcp", "install", "notepad"],
        &["grants", "burn"],
        &["delete"],
        &["delete", "a", "b"],
        &["status", "x"],
        &["logs", "x", "-n", "1"],
        &["-S"],
        &["--host"],
    ] {
        failed(&stage.cli(args).await, 2, args);
    }
    for (args, word) in [
        (&["-P", "eighty", "list"][..], "eighty"),
        (&["-P", "99999", "list"], "65535"),
        (&["-H", "a b", "list"], "a b"),
        (&["list", "--external", "-r", "vim"], "vim"),
        (&["templates", "show", "zzz"], "zzz"),
        (&["context", "use", "zzz"], "zzz"),
        (&["man", "--out", "/dev/null/x"], "/dev/null/x"),
        (&["start", "--port", "x"], "65535"),
    ] {
        let said = stage.cli(args).await;
        failed(&said, 1, args);
        assert!(said.err.contains(word), "{args:?}: {}", said.err);
    }
    assert_eq!(everything(&stage).await, before);
}

#[tokio::test]
async fn arguments_that_are_no_text_are_refused() {
    use std::os::unix::ffi::OsStrExt as _;
    let home = Home::new();
    for words in ["delete", "new", "-H"] {
        let done = std::process::Command::new(crate::harness::daemon::program())
            .arg(words)
            .arg(std::ffi::OsStr::from_bytes(b"\xff\xfe"))
            .env_clear()
            .envs(home.environment(None))
            .output()
            .expect("it runs");
        let err = String::from_utf8_lossy(&done.stderr);
        assert_eq!(done.status.code(), Some(2), "{err}");
        assert!(err.contains("UTF-8") && !err.contains("panicked"), "{err}");
    }
}
