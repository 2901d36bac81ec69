//! The web app in a real browser: node's own test runner drives Chromium against the built program.
//!
//! What it needs is installed by `tests/run`: node, Chromium, the packages of `tests/web/package-lock.json`, and the
//! agent programs of `tests/agents`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/web")
}

#[test]
fn the_web_app_works_in_a_real_browser() {
    let folder = folder();
    assert!(
        folder.join("node_modules/playwright-core").is_dir(),
        "what drives the browser is not installed: call tests/run, or `npm ci` in tests/web"
    );
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder)
        .expect("the folder of the tests can be read")
        .map(|entry| entry.expect("its entries, too").path())
        .filter(|path| path.to_string_lossy().ends_with(".test.js"))
        .collect();
    files.sort();
    let output = Command::new("node")
        .args(["--test", "--test-reporter=spec", "--test-timeout=400000", "--test-concurrency=2"])
        .args(files)
        .current_dir(&folder)
        .env("TETHER_WEB_PROGRAM", env!("CARGO_BIN_EXE_tether"))
        .env_remove("TETHER_WEB_FRONT")
        .stderr(Stdio::inherit())
        .output()
        .expect("node starts");
    let report = String::from_utf8_lossy(&output.stdout);
    println!("{report}");
    // Who reads a log from its end finds there what failed, not only that something did.
    assert!(output.status.success(), "some of the browser's tests failed\n{}", failures(&report));
}

/// The part of the report that tells of what failed, where there is one; else its end.
fn failures(report: &str) -> &str {
    match report.rfind("failing tests:") {
        Some(start) => &report[start..],
        None => &report[report.floor_char_boundary(report.len().saturating_sub(4_000))..],
    }
}
