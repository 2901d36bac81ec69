//! `tether logs -f` for the daemon's log, here and of a daemon elsewhere; and the pages of `tether man`.

use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use crate::harness::cli::tether;
use crate::harness::daemon::program;
use crate::harness::{Home, Stage};

/// A command that goes on, and what it prints.
struct Following {
    _child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Following {
    fn start(home: &Home, args: &[&str]) -> Self {
        let mut child = Command::new(program())
            .args(args)
            .env_clear()
            .envs(home.environment(None))
            .current_dir(home.work())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the built program starts");
        let lines = BufReader::new(child.stdout.take().expect("its output was asked for")).lines();
        Self { _child: child, lines }
    }

    /// Reads on to a line that holds this; answers what came before it.
    async fn until(&mut self, words: &str) -> Vec<String> {
        let mut before = Vec::new();
        loop {
            let line = tokio::time::timeout(Duration::from_secs(20), self.lines.next_line()).await;
            let line = line.unwrap_or_else(|_| panic!("no line with {words:?} after {before:?}"));
            let line =
                line.expect("it is text").unwrap_or_else(|| panic!("it ended before {words:?}: {before:?}"));
            if line.contains(words) {
                return before;
            }
            before.push(line);
        }
    }
}

fn append(path: &Path, line: &str) {
    let mut file = std::fs::OpenOptions::new().append(true).create(true).open(path).expect("opened");
    writeln!(file, "{line}").expect("written");
}

/// A daemon that logs to a file.
async fn stage() -> (Stage, std::path::PathBuf) {
    let mut home = Home::new();
    let log = home.path().join("the.log");
    home.extra.insert("TETHER_AGENT_LOG_FILE".into(), log.display().to_string());
    home.extra.insert("TETHER_AGENT_LOG_LEVEL".into(), "ERROR".into());
    (Stage::bare_in(home).await, log)
}

/// What happens to a log, and that each line of it is told once.
async fn is_followed(following: &mut Following, log: &Path) {
    append(log, "MARK one");
    following.until("MARK one").await;
    append(log, "MARK two");
    assert!(following.until("MARK two").await.is_empty(), "nothing comes twice");
    std::fs::rename(log, log.with_extension("log.1")).expect("put aside");
    append(&log.with_extension("log.1"), "MARK late");
    append(log, "MARK new");
    following.until("MARK late").await;
    following.until("MARK new").await;
    std::fs::write(log, "").expect("emptied");
    append(log, "MARK 3");
    assert!(following.until("MARK 3").await.is_empty());
}

#[tokio::test]
async fn the_log_of_this_machines_daemon_is_followed_over_rotation() {
    let (stage, log) = stage().await;
    append(&log, "old");
    append(&log, "newest");
    let mut following = Following::start(&stage.home, &["logs", "-f", "-n", "1"]);
    assert!(following.until("newest").await.is_empty(), "only the last line");
    is_followed(&mut following, &log).await;
    let last = stage.cli(&["logs", "-n", "1"]).await.ok();
    assert_eq!(last, "MARK 3\n");
}

#[tokio::test]
async fn the_log_of_a_daemon_elsewhere_is_followed_over_rotation_and_a_restart() {
    let (mut stage, log) = stage().await;
    let away = Home::new();
    let folder = away.path().join(".config/tether");
    std::fs::create_dir_all(&folder).expect("made");
    let (port, token) = (stage.home.port, &stage.home.token);
    let servers =
        format!("servers: {{far: {{host: 127.0.0.1, port: {port}, token: {token}}}}}\ndefault: far\n");
    std::fs::write(folder.join("servers.yaml"), servers).expect("written");

    append(&log, "old");
    append(&log, "newest \u{1b}[2J");
    assert!(tether(&away, &["logs", "-n", "2"]).await.ok().contains("old\nnewest"));
    let mut following = Following::start(&away, &["logs", "--follow", "-n", "1"]);
    following.until("newest").await;
    is_followed(&mut following, &log).await;
    stage.daemon.kill9_and_restart().await;
    append(&log, "MARK after");
    following.until("MARK after").await;

    let nowhere = Stage::bare().await;
    let servers = format!(
        "servers: {{far: {{host: 127.0.0.1, port: {}, token: {}}}}}\n",
        nowhere.home.port, nowhere.home.token
    );
    std::fs::write(folder.join("servers.yaml"), servers).expect("written");
    let said = tether(&away, &["-S", "far", "logs"]).await;
    assert!(said.code == 1 && said.err.contains("TETHER_AGENT_LOG_FILE"), "{said:?}");
}

#[tokio::test]
async fn there_is_a_manual_page_for_every_command() {
    let home = Home::new();
    let page = tether(&home, &["man"]).await.ok();
    assert!(page.contains(".TH tether 1") && page.contains("approve"), "{page}");
    let folder = home.path().join("man/man1");
    tether(&home, &["man", "--out", folder.to_str().unwrap()]).await.ok();
    for (file, words) in
        [("tether.1", "Supervise"), ("tether-new.1", "template"), ("tether-git-commit.1", "message")]
    {
        let page =
            std::fs::read_to_string(folder.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        assert!(page.contains(".SH NAME") && page.contains(words), "{file}: {page}");
    }
    let taken = home.path().join("taken");
    std::fs::write(&taken, "").expect("written");
    let said = tether(&home, &["man", "--out", taken.to_str().unwrap()]).await;
    assert!(said.code == 1 && said.err.contains("taken"), "{said:?}");
}
