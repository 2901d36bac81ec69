use std::collections::BTreeMap;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;

use super::*;

/// A folder to work in with a spool in it.
struct Rig {
    home: tempfile::TempDir,
    spool: Spool,
    run: RunId,
}

impl Rig {
    fn new() -> Self {
        let home = tempfile::tempdir().expect("a folder");
        let spool = Spool::create(&home.path().join("spool")).expect("a spool");
        Self { home, spool, run: RunId::random() }
    }

    fn spawn(&self, launch: &Launch, own_secrets: &[&str]) -> Result<Program, SpawnError> {
        let own_secrets: Vec<String> = own_secrets.iter().map(|name| (*name).to_owned()).collect();
        Program::spawn(launch, self.home.path(), &self.run, &self.spool, &own_secrets)
    }

    fn start(&self, script: &str) -> Program {
        self.spawn(&shell(script), &[]).expect("sh starts")
    }

    fn output(&self) -> String {
        std::fs::read_to_string(self.spool.dir().join("out")).expect("its output")
    }
}

fn shell(script: &str) -> Launch {
    program("/bin/sh", &["-c", script])
}

fn program(path: impl Into<PathBuf>, args: &[&str]) -> Launch {
    Launch {
        program: path.into(),
        args: args.iter().map(|arg| (*arg).to_owned()).collect(),
        ..Launch::default()
    }
}

async fn end(program: &mut Program) -> Exit {
    tokio::time::timeout(Duration::from_secs(20), program.ended()).await.expect("it ends")
}

#[tokio::test]
async fn how_a_child_ended_is_told_as_often_as_it_is_asked() {
    let rig = Rig::new();
    let mut exited = rig.start("exit 7");
    assert_eq!(end(&mut exited).await, Exit { code: Some(7), signal: None });
    assert_eq!(end(&mut exited).await, Exit { code: Some(7), signal: None });
    // It is not left in the process table.
    assert_ne!(identity_of(exited.identity().pid), Some(exited.identity()));

    let mut terminated = rig.start("exec sleep 60");
    assert!(is_alive(terminated.identity()));
    terminated.terminate();
    assert_eq!(end(&mut terminated).await, Exit { code: None, signal: Some(15) });
    terminated.terminate();

    let mut killed = rig.start("trap '' TERM; echo deaf; while :; do sleep 60; done");
    while rig.output().is_empty() {
        tokio::task::yield_now().await;
    }
    killed.terminate();
    killed.kill();
    assert_eq!(end(&mut killed).await, Exit { code: None, signal: Some(9) });
    super::super::tree::end_tree(&rig.run, None, Duration::ZERO).await;
}

#[tokio::test]
async fn waiting_for_the_end_can_be_dropped_and_begun_again() {
    let rig = Rig::new();
    let mut program = rig.start("read line; exit 3");
    for _ in 0..10 {
        let early = tokio::time::timeout(Duration::from_millis(2), program.ended()).await;
        assert!(early.is_err(), "it ended by itself: {early:?}");
    }
    rig.spool.writer().write_line("go").await.expect("written");
    assert_eq!(end(&mut program).await.code, Some(3));
}

#[tokio::test]
async fn another_value_for_a_child_of_ours_still_learns_of_its_end() {
    let rig = Rig::new();
    let id = rig.start("read line; exit 5").identity();
    // The first value is dropped by now, and the program has not noticed.
    let mut again = Program::adopt(id).expect("it runs");
    rig.spool.writer().write_line("go").await.expect("written");
    end(&mut again).await;
    assert!(!is_alive(id));
    assert!(Program::adopt(id).is_none(), "and it is collected");
}

#[tokio::test]
async fn a_program_that_is_not_our_child_is_watched_to_its_end() {
    let rig = Rig::new();
    // The shell in between ends, so the sleeper is a grandchild without a parent of ours.
    let mut parent = rig.start("sleep 60 & echo $!");
    end(&mut parent).await;
    let pid = rig.output().trim().parse().expect("a process id");
    let mut adopted = Program::adopt(identity_of(pid).expect("it runs")).expect("it runs");
    assert!(tokio::time::timeout(Duration::from_millis(20), adopted.ended()).await.is_err());
    adopted.terminate();
    assert_eq!(end(&mut adopted).await, Exit { code: None, signal: None });
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn without_a_handle_of_the_system_the_end_is_noticed_too() {
    let rig = Rig::new();
    let mut program = rig.start("exec sleep 60");
    program.handle = None;
    assert!(tokio::time::timeout(Duration::from_millis(20), program.ended()).await.is_err());
    program.terminate();
    assert_eq!(end(&mut program).await, Exit { code: None, signal: Some(15) });
}

#[tokio::test]
async fn a_later_process_with_the_same_number_is_neither_taken_over_nor_hit() {
    let rig = Rig::new();
    let mut program = rig.start("exec sleep 60");
    let id = program.identity();
    let earlier = Identity { started: id.started - 1, ..id };
    assert!(Program::adopt(earlier).is_none());
    assert!(!send(earlier, Signal::KILL));
    assert!(is_alive(id));
    program.kill();
    end(&mut program).await;
}

#[tokio::test]
async fn a_program_leads_a_session_of_its_own_and_is_noted_in_the_spool() {
    let rig = Rig::new();
    let mut program = rig.start("exec sleep 60");
    let id = program.identity();
    assert_eq!(super::super::processes::entry(id.pid).map(|entry| entry.session), Some(id.pid));
    assert_eq!(rig.spool.program(), Some(id));
    program.kill();
    end(&mut program).await;
}

#[tokio::test]
async fn secrets_and_unwanted_variables_do_not_reach_a_program_and_its_own_do() {
    let rig = Rig::new();
    let inherited: Vec<String> = std::env::vars().map(|(name, _)| name).collect();
    // These two stand for the daemon's own.
    assert!(inherited.contains(&"HOME".to_owned()) && inherited.contains(&"PATH".to_owned()));
    let mut launch = program("/usr/bin/env", &["-0"]);
    launch.env_remove = vec!["HOM*".into(), "NOT_THERE".into()];
    launch.env.insert("HOMELY".into(), "set\nafter all".into());
    launch.env.insert("SECRET_TOKEN".into(), "s3cret".into());
    let mut agent = rig.spawn(&launch, &["PATH", "SECRET_*"]).expect("env starts");
    assert_eq!(end(&mut agent).await.code, Some(0));
    let output = rig.output();
    let passed_on: BTreeMap<&str, &str> = output.split('\0').filter_map(|v| v.split_once('=')).collect();
    assert_eq!(passed_on.get("HOMELY"), Some(&"set\nafter all"));
    assert_eq!(passed_on.get(RUN_MARKER), Some(&rig.run.as_str()));
    for gone in ["HOME", "PATH", "SECRET_TOKEN"] {
        assert!(!passed_on.contains_key(gone), "{gone} was passed on");
    }
    for kept in inherited.iter().filter(|name| !name.starts_with("HOM") && *name != "PATH") {
        assert!(passed_on.contains_key(kept.as_str()), "{kept} was not passed on");
    }
}

#[tokio::test]
async fn what_cannot_be_started_says_why_and_what_to_do() {
    let rig = Rig::new();
    let home = rig.home.path();
    let refusal = |launch: &Launch| rig.spawn(launch, &[]).expect_err("it cannot start");

    let none = refusal(&program(home.join("none"), &[]));
    assert!(matches!(&none, SpawnError::NotFound(path) if *path == home.join("none")), "{none}");
    assert!(none.to_string().contains("install it"), "{none}");
    assert!(matches!(refusal(&program("no-such-program-anywhere", &[])), SpawnError::NotFound(_)));

    let file = |name: &str, text: &str, mode| {
        let path = home.join(name);
        std::fs::write(&path, text).expect("written");
        std::fs::set_permissions(&path, Permissions::from_mode(mode)).expect("set");
        program(path, &[])
    };
    for (launch, why) in [
        (file("plain", "#!/bin/sh\n", 0o600), "you may not execute it"),
        (file("orphan", "#!/no/such/interpreter\n", 0o700), "the interpreter"),
        (program(home, &[]), "it is a directory"),
    ] {
        let error = refusal(&launch);
        assert!(matches!(error, SpawnError::NotExecutable { .. }), "{error}");
        assert!(error.to_string().contains(why), "{error}");
    }

    let elsewhere = |directory: PathBuf| {
        Program::spawn(&shell("true"), &directory, &rig.run, &rig.spool, &[]).expect_err("no such directory")
    };
    for (directory, why) in
        [(home.join("gone"), "does not exist"), (home.join("plain"), "is not a directory")]
    {
        let error = elsewhere(directory);
        assert!(matches!(error, SpawnError::DirectoryMissing { .. }), "{error}");
        assert!(error.to_string().contains(why), "{error}");
    }
}

#[test]
fn a_system_without_room_for_a_process_is_told_apart() {
    for errno in [Errno::AGAIN, Errno::MFILE, Errno::NFILE, Errno::NOMEM] {
        let error = explain(&shell("true"), Path::new("/"), errno.into());
        assert!(matches!(error, SpawnError::TooManyProcesses(_)), "{error}");
    }
    assert!(matches!(explain(&shell("true"), Path::new("/"), Errno::IO.into()), SpawnError::Io { .. }));
}
