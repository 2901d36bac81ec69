//! The daemon as a process.

use std::fs::{File, OpenOptions};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use super::{Home, LOOK};

/// The built program; `RIG_PROGRAM` names another one, such as a release build or an installed one.
pub fn program() -> String {
    std::env::var("RIG_PROGRAM").unwrap_or_else(|_| env!("CARGO_BIN_EXE_tether").to_owned())
}

/// How long a daemon may take until it answers, on a machine that is busy with other tests.
const HEALTHY_WITHIN: Duration = Duration::from_secs(30);

/// `tether start` in a home. Killed when dropped; its log is printed when the test failed.
pub struct Daemon {
    child: Option<Child>,
    env: Vec<(String, String)>,
    directory: PathBuf,
    log: PathBuf,
    port: u16,
}

impl Daemon {
    /// Describes a daemon; it does not run yet.
    pub fn new(home: &Home, model_port: Option<u16>) -> Self {
        Self {
            child: None,
            env: home.environment(model_port).into_iter().collect(),
            directory: home.path().to_owned(),
            log: home.path().join("daemon.log"),
            port: home.port,
        }
    }

    /// Starts it and waits until it answers.
    pub async fn start(&mut self) {
        self.spawn(&[]);
        if let Err(how) = self.healthy().await {
            panic!("the daemon did not come up: {how}\n{}", self.log_tail(80));
        }
    }

    /// Starts it with a named fault. `false` if it was gone before it answered.
    pub async fn start_with_fault(&mut self, fault: &str) -> bool {
        self.spawn(&[("TETHER_FAULT", fault)]);
        match self.healthy().await {
            Ok(()) => true,
            Err(how) if how.starts_with("it ended") => false,
            Err(how) => panic!("the daemon with fault {fault} neither came up nor ended: {how}"),
        }
    }

    /// Sets a variable for the next start.
    pub fn set(&mut self, name: &str, value: &str) {
        self.env.retain(|(known, _)| known != name);
        self.env.push((name.to_owned(), value.to_owned()));
    }

    /// Kills it as `kill -9` does, and waits until it is gone. Its agents go on.
    pub fn kill9(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("the daemon can be killed");
            child.wait().expect("the daemon can be waited for");
        }
    }

    /// Kills it and starts it again.
    pub async fn kill9_and_restart(&mut self) {
        self.kill9();
        self.start().await;
    }

    /// Asks it to end (SIGTERM) and waits for that.
    pub async fn terminate(&mut self) -> ExitStatus {
        super::process::signal(self.pid(), rustix::process::Signal::TERM);
        self.ended(20).await
    }

    /// Waits until it has ended by itself.
    pub async fn ended(&mut self, seconds: u64) -> ExitStatus {
        let deadline = Instant::now() + Duration::from_secs(seconds);
        let child = self.child.as_mut().expect("the daemon was started");
        loop {
            if let Some(status) = child.try_wait().expect("the daemon can be waited for") {
                self.child = None;
                return status;
            }
            assert!(Instant::now() < deadline, "the daemon did not end within {seconds} s");
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Whether it runs.
    pub fn runs(&mut self) -> bool {
        self.child
            .as_mut()
            .is_some_and(|child| child.try_wait().expect("the daemon can be waited for").is_none())
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("the daemon runs").id()
    }

    /// The last lines of its log.
    pub fn log_tail(&self, count: usize) -> String {
        let lines = super::lines(&self.log);
        lines[lines.len().saturating_sub(count)..].join("\n")
    }

    /// Its whole log, over all its lives.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    fn spawn(&mut self, more: &[(&str, &str)]) {
        assert!(self.child.is_none(), "the daemon runs already");
        let log: File = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.log)
            .expect("a log file in the temporary home");
        let child = Command::new(program())
            .arg("start")
            .env_clear()
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .envs(more.iter().copied())
            .current_dir(&self.directory)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("the log file can be shared"))
            .stderr(log)
            .spawn()
            .expect("the built program starts");
        self.child = Some(child);
    }

    async fn healthy(&mut self) -> Result<(), String> {
        let client = reqwest::Client::new();
        let address = format!("http://127.0.0.1:{}/api/health", self.port);
        let deadline = Instant::now() + HEALTHY_WITHIN;
        loop {
            let child = self.child.as_mut().expect("the daemon was started");
            if let Some(status) = child.try_wait().expect("the daemon can be waited for") {
                self.child = None;
                return Err(format!("it ended: {status}"));
            }
            let answer = client.get(&address).timeout(Duration::from_secs(2)).send().await;
            if answer.is_ok_and(|answer| answer.status().is_success()) {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(format!("no answer from {address} within {HEALTHY_WITHIN:?}"));
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("---- the daemon's log (last lines)\n{}", self.log_tail(60));
        }
        self.kill9();
    }
}
