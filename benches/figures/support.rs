//! What the benches share: a daemon of their own in a fresh home, and how figures are printed.
//!
//! The figures depend on the machine, so nothing here fails when one is missed: each line says the figure
//! and the goal.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::load;

/// The built program.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_tether");

/// Prints one figure beside its goal. `good` says whether the goal is met.
pub fn figure(what: &str, value: String, goal: &str, good: bool) {
    println!("{what:<62} {value:>16}   goal {goal:<18} {}", if good { "met" } else { "MISSED" });
}

/// Prints one figure that has no goal of its own.
pub fn note(what: &str, value: String) {
    println!("{what:<62} {value:>16}");
}

/// The value below which a share of the sorted values lies.
pub fn percentile(sorted: &[Duration], share: f64) -> Duration {
    let at = ((sorted.len() as f64 * share) as usize).min(sorted.len().saturating_sub(1));
    sorted.get(at).copied().unwrap_or_default()
}

/// Resident memory of a process in KiB.
pub fn resident_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("the process runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS is there");
    line.trim().trim_end_matches(" kB").trim().parse().expect("a number of KiB")
}

/// A daemon in a temporary home; killed when dropped.
pub struct Bench {
    folder: tempfile::TempDir,
    child: Option<Child>,
    pub port: u16,
    pub token: String,
    more: Vec<(String, String)>,
}

impl Bench {
    /// A home without a running daemon.
    pub fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("tether-bench-").tempdir().expect("a temporary folder");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("a bound port").port();
        Self { folder, child: None, port, token: "bench-token".into(), more: Vec::new() }
    }

    /// Sets a variable for the daemon.
    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        self.more.push((name.to_owned(), value.into()));
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Where the daemon keeps its data.
    pub fn data(&self) -> PathBuf {
        self.path().join("data")
    }

    pub fn address(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.port).into()
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("the daemon runs").id()
    }

    /// Starts the daemon; gives the time from the start of the process to its first healthy answer.
    pub fn start(&mut self) -> Duration {
        let log = std::fs::File::create(self.path().join("daemon.log")).expect("a log file");
        let began = Instant::now();
        let child = Command::new(PROGRAM)
            .arg("start")
            .env("HOME", self.path())
            .env("XDG_CONFIG_HOME", self.path().join("config"))
            .env("TETHER_AGENT_DATA_DIR", self.data())
            .env("TETHER_AGENT_PORT", self.port.to_string())
            .env("TETHER_AGENT_TOKEN", &self.token)
            .env("TETHER_AGENT_LOG_LEVEL", "WARN")
            .envs(self.more.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("the log file can be shared"))
            .stderr(log)
            .spawn()
            .expect("the built program starts");
        self.child = Some(child);
        loop {
            if healthy(self.address()) {
                return began.elapsed();
            }
            let child = self.child.as_mut().expect("it was just started");
            if let Some(status) = child.try_wait().expect("the daemon can be waited for") {
                let log = std::fs::read_to_string(self.path().join("daemon.log")).unwrap_or_default();
                panic!("the daemon ended: {status}\n{log}");
            }
            assert!(began.elapsed() < Duration::from_secs(120), "the daemon does not answer");
            std::thread::sleep(Duration::from_micros(500));
        }
    }

    /// Ends it with SIGTERM and waits.
    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let pid = rustix::process::Pid::from_child(&child);
            rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("the daemon runs");
            child.wait().expect("the daemon can be waited for");
        }
    }

    /// Ends it and the agents that it started.
    pub async fn stop_with_agents(&mut self, client: &reqwest::Client) {
        self.post(client, "/api/shutdown", json!({ "agents": true })).await;
        if let Some(mut child) = self.child.take() {
            child.wait().expect("the daemon can be waited for");
        }
    }

    /// Resident memory in KiB.
    pub fn resident_kib(&self) -> u64 {
        resident_kib(self.pid())
    }

    /// A client with the token.
    pub fn client(&self) -> reqwest::Client {
        let mut headers = reqwest::header::HeaderMap::new();
        headers.insert("authorization", format!("Bearer {}", self.token).parse().expect("a header"));
        reqwest::Client::builder().default_headers(headers).build().expect("a client")
    }

    pub async fn post(&self, client: &reqwest::Client, path: &str, body: Value) -> Value {
        let answer = client.post(self.url(path)).json(&body).send().await.expect("the daemon answers");
        let (status, text) = (answer.status(), answer.text().await.expect("a whole answer"));
        assert!(status.is_success(), "POST {path}: {status} {text}");
        serde_json::from_str(&text).expect("JSON")
    }

    /// Makes a session that an external agent drives; gives its id.
    pub async fn session(&self, client: &reqwest::Client, name: &str) -> String {
        let body = json!({ "agent_name": "bench", "session_name": name });
        self.post(client, "/api/sessions", body).await["id"].as_str().expect("an id").to_owned()
    }

    /// Pushes `count` events of about 200 bytes of data over sessions in turn.
    pub async fn fill(&self, sessions: &[String], count: usize, connections: usize) -> load::Outcome {
        let outcome = load::run(self.address(), connections, count, |number| {
            let path = format!("/api/sessions/{}/events", sessions[number % sessions.len()]);
            load::post(&path, &self.token, &event_body(number))
        })
        .await;
        let outcome = outcome.unwrap_or_else(|error| panic!("the daemon does not take the events: {error}"));
        assert_eq!(outcome.failures(), 0, "{:?}", outcome.statuses);
        outcome
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.path().join("daemon.log")).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            eprintln!("---- the daemon's log\n{}", lines[lines.len().saturating_sub(20)..].join("\n"));
        }
        if let Some(mut child) = self.child.take() {
            // It may have ended by itself; then there is nothing to kill.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// An `output` event whose body is 200 bytes.
pub fn event_body(number: usize) -> String {
    let head = format!(r#"{{"type":"output","data":{{"text":"{number} "#);
    format!("{head}{}\"}}}}", "x".repeat(200 - head.len() - 3))
}

/// One `GET /api/health` over a connection of its own.
fn healthy(address: SocketAddr) -> bool {
    use std::io::{Read, Write};
    let Ok(mut stream) = std::net::TcpStream::connect(address) else { return false };
    let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
    let mut start = [0; 12];
    stream.write_all(b"GET /api/health HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n").is_ok()
        && stream.read_exact(&mut start).is_ok()
        && start.ends_with(b"200")
}

/// A runtime for one bench.
pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}
