//! The scripted model (`tests/rig/model_server.py`) as a process.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use super::process::MARK;
use super::{Home, eventually};

/// A model that says and does what the prompt tells it.
pub struct Model {
    child: Child,
    /// Where it listens.
    pub port: u16,
    log: PathBuf,
    bodies: PathBuf,
}

impl Model {
    /// Starts one whose log lies in this home.
    pub fn start(home: &Home) -> Self {
        let log = home.path().join("model.log");
        let bodies = home.path().join("model.bodies");
        let mut child = Command::new("python3")
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/rig/model_server.py"))
            .arg("--log")
            .arg(&log)
            .arg("--bodies")
            .arg(&bodies)
            .env(MARK, &home.mark)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 starts the scripted model");
        let mut first = String::new();
        let output = child.stdout.take().expect("its output was asked for");
        BufReader::new(output).read_line(&mut first).expect("the scripted model says its port");
        let port = first.trim().parse().unwrap_or_else(|_| panic!("not a port: {first:?}"));
        Self { child, port, log, bodies }
    }

    /// Waits until an answer is stopped at `HOLD name`.
    pub async fn held(&self, name: &str) {
        eventually(&format!("the model reaches HOLD {name}"), 30, || async {
            let holds: Value = reqwest::get(self.url("/holds")).await.ok()?.json().await.ok()?;
            holds["waiting"][name].as_u64().filter(|count| *count > 0)
        })
        .await;
    }

    /// Lets everything pass that is or will be stopped at `HOLD name`.
    pub async fn release(&self, name: &str) {
        let answer = reqwest::Client::new().post(self.url(&format!("/release/{name}"))).send().await;
        assert!(answer.expect("the scripted model answers").status().is_success());
    }

    /// The requests for an answer that it got so far, oldest first.
    pub fn requests(&self) -> Vec<Value> {
        super::lines(&self.log)
            .iter()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .filter(|row| row["kind"] == "request")
            .collect()
    }

    /// The whole bodies of those requests.
    pub fn bodies(&self) -> Vec<Value> {
        let rows = super::lines(&self.bodies);
        rows.iter()
            .filter_map(|line| Some(serde_json::from_str::<Value>(line).ok()?["body"].clone()))
            .collect()
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }
}

impl Drop for Model {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let lines = super::lines(&self.log);
            eprintln!("---- the model's requests\n{}", lines[lines.len().saturating_sub(20)..].join("\n"));
        }
        // It may be gone already; then there is nothing to end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
