//! The daemon as a service of the system, and the doctor who looks at the whole installation.
//!
//! systemd is not there in every place where tests run, so a program of its name notes what it is told; the unit that
//! is laid for it is the real one.

#![cfg(target_os = "linux")]

use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use crate::harness::cli::{Said, tether, tether_with};
use crate::harness::{Home, Stage, lines};

/// Runs `tether service ARGS` in a home with a `systemctl` that notes its arguments and does as `script` says.
async fn service(home: &Home, script: &str, args: &[&str]) -> Said {
    service_in(home, script, args, "/nowhere").await
}

/// The same with one more folder in `PATH`.
async fn service_in(home: &Home, script: &str, args: &[&str], more: &str) -> Said {
    let folder = home.path().join("fake-bin");
    std::fs::create_dir_all(&folder).expect("a folder");
    let program = folder.join("systemctl");
    let text = format!("#!/bin/sh\necho \"$@\" >> '{}'\n{script}\n", home.path().join("told").display());
    std::fs::write(&program, text).expect("it is written");
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).expect("it is ours");
    let path = format!("{}:{more}:{}", folder.display(), std::env::var("PATH").expect("there is a PATH"));
    tether_with(home, &[&["service"], args].concat(), &[("PATH", &path)]).await
}

/// Keeps the service as systemd does: a real daemon, which knows nothing of the settings of this shell.
fn keeper() -> String {
    format!(
        r#"
pid=$(cat "$HOME/service.pid" 2>/dev/null)
alive() {{ [ -n "$pid" ] && grep -qs '^State:[[:space:]]*[^ZX]' "/proc/$pid/status"; }}
case $2 in
    start)
        alive && exit 0
        env -u TETHER_AGENT_PORT -u TETHER_AGENT_TOKEN '{}' start </dev/null >"$HOME/service.log" 2>&1 &
        echo $! >"$HOME/service.pid" ;;
    stop) alive && kill "$pid"; while alive; do sleep 0.02; done ;;
    status) alive || exit 3 ;;
esac
exit 0"#,
        env!("CARGO_BIN_EXE_tether")
    )
}

/// The port stands where a service finds it.
fn configured() -> Home {
    let home = Home::new();
    configure(&home, &format!("TETHER_AGENT_PORT={}\n", home.port));
    home
}

fn configure(home: &Home, text: &str) {
    std::fs::create_dir_all(home.path().join(".config/tether")).expect("a folder");
    std::fs::write(home.path().join(".config/tether/config.env"), text).expect("written");
}

fn unit(home: &Home) -> std::path::PathBuf {
    home.path().join(".config/systemd/user/tether.service")
}

/// The process of the daemon that has the data.
fn daemon(home: &Home) -> Option<u64> {
    let text = std::fs::read(home.path().join(".local/share/tether/daemon.json")).ok()?;
    serde_json::from_slice::<Value>(&text).expect("JSON")["pid"].as_u64()
}

#[tokio::test]
async fn a_service_is_installed_with_this_program_and_path_and_taken_away_again() {
    let home = configured();
    let said = service(&home, &keeper(), &["install"]).await.ok();
    assert!(said.contains("Installed and started"), "{said}");
    assert!(said.contains("TETHER_AGENT_TOKEN (environment)"), "the token of this shell is not its: {said}");
    assert!(!said.contains("TETHER_AGENT_PORT"), "the port is the same: {said}");
    let text = std::fs::read_to_string(unit(&home)).expect("the unit is there");
    assert!(text.contains(&format!("ExecStart=\"{}\" start", env!("CARGO_BIN_EXE_tether"))), "{text}");
    assert!(text.contains("Environment=\"PATH=") && text.contains("fake-bin"), "agents are found: {text}");
    let told = lines(home.path().join("told"));
    assert!(told.iter().any(|line| line.starts_with("--user enable")), "{told:?}");
    let first = daemon(&home).expect("it was waited for");
    assert!(service(&home, &keeper(), &["status"]).await.ok().contains("running"));

    service_in(&home, &keeper(), &["install"], "/opt/more").await.ok();
    assert!(std::fs::read_to_string(unit(&home)).expect("the unit is there").contains("/opt/more"));
    assert_ne!(daemon(&home).expect("it runs"), first, "the new unit counts from now on");

    service(&home, &keeper(), &["uninstall"]).await.ok();
    assert!(!unit(&home).exists());
    assert_eq!(daemon(&home), None, "it has ended");
    let told = lines(home.path().join("told"));
    assert_eq!(told.iter().rev().nth(1).map(String::as_str), Some("--user daemon-reload"), "{told:?}");
}

#[tokio::test]
async fn how_a_service_is_comes_from_the_system() {
    let home = Home::new();
    let status = |script: &'static str| service(&home, script, &["status"]);
    assert!(status("exit 0").await.ok().contains("running"));
    assert!(status("exit 3").await.ok().contains("stopped (its log: journalctl"));
    assert!(status("exit 4").await.ok().contains("not installed"));
}

#[tokio::test]
async fn a_service_that_cannot_be_started_leaves_nothing_behind_and_says_why() {
    let home = configured();
    let said =
        service(&home, "case $* in *start*) echo 'no bus here' >&2; exit 1;; esac", &["install"]).await;
    assert_eq!(said.code, 1);
    assert!(said.err.contains("no bus here") && said.err.contains("tether start --detach"), "{}", said.err);
    assert!(!unit(&home).exists());
}

#[tokio::test]
async fn a_service_that_ends_at_once_is_not_called_started() {
    let home = configured();
    let said = service(&home, "case $2 in status) exit 3;; esac", &["install"]).await;
    assert_eq!(said.code, 1, "{}", said.out);
    assert!(said.err.contains("ended at once") && said.err.contains("journalctl"), "{}", said.err);
    assert!(!unit(&home).exists());
}

#[tokio::test]
async fn a_service_is_not_installed_beside_a_daemon_that_was_started_by_hand() {
    let home = configured();
    tether(&home, &["start", "--detach"]).await.ok();
    let by_hand = daemon(&home).expect("it runs");
    let said = service(&home, &keeper(), &["install"]).await;
    assert_eq!(said.code, 1, "{}", said.out);
    assert!(said.err.contains(&by_hand.to_string()) && said.err.contains("`tether stop`"), "{}", said.err);
    assert!(!unit(&home).exists());
    tether(&home, &["stop"]).await.ok();
    service(&home, &keeper(), &["install"]).await.ok();
    assert_ne!(daemon(&home).expect("it runs"), by_hand);
}

#[tokio::test]
async fn where_no_manager_answers_no_unit_is_laid() {
    let home = configured();
    let script = "echo 'Failed to connect to bus: No medium found' >&2; exit 1";
    let said = service(&home, script, &["install"]).await;
    assert_eq!(said.code, 1);
    assert!(said.err.contains("No medium found") && said.err.contains("enable-linger"), "{}", said.err);
    assert!(!unit(&home).exists());
}

#[tokio::test]
async fn the_unit_of_a_package_is_disabled_and_one_that_is_not_there_is_no_error() {
    let home = Home::new();
    let said = service(&home, "exit 0", &["uninstall"]).await.ok();
    assert!(said.contains("package"), "{said}");
    let told = lines(home.path().join("told"));
    assert!(told.iter().any(|line| line == "--user disable tether"), "{told:?}");
    let said = service(&home, "exit 4", &["uninstall"]).await.ok();
    assert!(said.contains("not installed"), "{said}");
}

#[tokio::test]
async fn a_service_is_not_installed_with_settings_that_do_not_hold() {
    let home = Home::new();
    configure(&home, "TETHER_AGENT_RESTART_LIMIT=many\n");
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
