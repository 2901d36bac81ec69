//! The daemon as a service of the system, and the doctor who looks at the whole installation.
//!
//! systemd is not there in every place where tests run, so a program of its name notes what it is told; the unit that
//! is laid for it is the real one.

#![cfg(target_os = "linux")]

use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use crate::harness::cli::{Said, tether, tether_with};
use crate::harness::{Home, Stage, lines};

/// A home with a `systemctl` that notes its arguments, and does as `script` says.
async fn service(home: &Home, script: &str, args: &[&str]) -> Said {
    let folder = home.path().join("fake-bin");
    std::fs::create_dir_all(&folder).expect("a folder");
    let program = folder.join("systemctl");
    let text = format!("#!/bin/sh\necho \"$@\" >> '{}'\n{script}\n", home.path().join("told").display());
    std::fs::write(&program, text).expect("it is written");
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).expect("it is ours");
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").expect("there is a PATH"));
    tether_with(home, &[&["service"], args].concat(), &[("PATH", &path)]).await
}

fn unit(home: &Home) -> std::path::PathBuf {
    home.path().join(".config/systemd/user/tether.service")
}

#[tokio::test]
async fn a_service_is_installed_with_this_program_and_path_and_taken_away_again() {
    let home = Home::new();
    service(&home, "exit 0", &["install"]).await.ok();
    let text = std::fs::read_to_string(unit(&home)).expect("the unit is there");
    assert!(text.contains(&format!("ExecStart=\"{}\" start", env!("CARGO_BIN_EXE_tether"))), "{text}");
    assert!(text.contains("Environment=\"PATH=") && text.contains("fake-bin"), "agents are found: {text}");
    let told = lines(home.path().join("told"));
    assert!(told.iter().any(|line| line.starts_with("--user enable")), "{told:?}");
    assert!(told.iter().any(|line| line == "--user start tether"), "{told:?}");

    let status = |script: &'static str| service(&home, script, &["status"]);
    assert!(status("exit 0").await.ok().contains("running"));
    assert!(status("exit 3").await.ok().contains("stopped"));
    assert!(status("exit 4").await.ok().contains("not installed"));

    service(&home, "exit 0", &["uninstall"]).await.ok();
    assert!(!unit(&home).exists());
}

#[tokio::test]
async fn a_service_that_cannot_be_started_leaves_nothing_behind_and_says_why() {
    let home = Home::new();
    let said =
        service(&home, "case $* in *start*) echo 'no bus here' >&2; exit 1;; esac", &["install"]).await;
    assert_eq!(said.code, 1);
    assert!(said.err.contains("no bus here") && said.err.contains("tether start --detach"), "{}", said.err);
    assert!(!unit(&home).exists());
}

#[tokio::test]
async fn a_service_is_not_installed_with_settings_that_do_not_hold() {
    let home = Home::new();
    std::fs::create_dir_all(home.path().join(".config/tether")).expect("a folder");
    std::fs::write(home.path().join(".config/tether/config.env"), "TETHER_AGENT_RESTART_LIMIT=many\n")
        .expect("written");
    let said = service(&home, "exit 0", &["install"]).await;
    assert_eq!(said.code, 1);
    assert!(said.err.contains("TETHER_AGENT_RESTART_LIMIT"), "{}", said.err);
    assert!(!unit(&home).exists());
}

fn finding<'a>(report: &'a Value, what: &str) -> &'a Value {
    let findings = report["findings"].as_array().expect("findings");
    findings.iter().find(|finding| finding["what"] == what).unwrap_or_else(|| panic!("no {what}: {report}"))
}

#[tokio::test]
async fn the_doctor_finds_a_running_daemon_well() {
    let stage = Stage::with_agents().await;
    let report = stage.cli(&["doctor", "--json"]).await.json();
    for what in ["data folder", "network", "daemon", "token", "agent"] {
        assert_eq!(finding(&report, what)["verdict"], "ok", "{report}");
    }
    assert_eq!(report["ok"], true, "{report}");
}

#[tokio::test]
async fn the_doctor_says_what_is_wrong_and_what_to_do() {
    let stage = Stage::bare().await;
    let said = tether_with(&stage.home, &["doctor"], &[("TETHER_AGENT_TOKEN", "wrong")]).await;
    assert_eq!(said.code, 1);
    assert!(said.out.contains("BAD   token"), "{}", said.out);
    assert!(said.out.contains("-> set TETHER_AGENT_TOKEN"), "{}", said.out);
    let said = tether_with(&stage.home, &["doctor"], &[("TETHER_AGENT_RESTART_LIMIT", "many")]).await;
    assert!(said.code == 1 && said.out.contains("BAD   configuration"), "{}", said.out);

    let home = Home::new();
    let said = tether(&home, &["doctor"]).await;
    assert!(said.out.contains("-> tether start"), "no daemon is a note, not a fault: {}", said.out);
}
