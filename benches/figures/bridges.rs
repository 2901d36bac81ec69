//! Memory with sessions that are shown on a chat platform: a Discord of the tests (`tests/rig`, in Python) with 200 threads.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::memory::settled;
use crate::support::{Bench, figure, note};

const SESSIONS: usize = 200;
/// Words that each has said.
const WORDS: usize = 400;

struct Rig(Child);

impl Drop for Rig {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to kill.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn rig() -> (Rig, String) {
    let mut child = Command::new("python3")
        .arg("-B")
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/rig/discord_server.py"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 starts the server");
    let mut port = String::new();
    let output = child.stdout.take().expect("its output was asked for");
    BufReader::new(output).read_line(&mut port).expect("the server says its port");
    (Rig(child), port.trim().to_owned())
}

pub fn run() {
    let (_rig, port) = rig();
    let mut bench = Bench::new();
    bench.set("DISCORD_API_URL", format!("http://127.0.0.1:{port}"));
    bench.set("DISCORD_GATEWAY_URL", format!("ws://127.0.0.1:{port}/gateway"));
    bench.set("DISCORD_BOT_TOKEN", "rig.discord-token");
    bench.set("DISCORD_CHANNEL_ID", "91");
    bench.set("DISCORD_ALLOWED_USER_IDS", "1");
    bench.start();
    let idle = settled(&bench);
    crate::support::runtime().block_on(async {
        let client = bench.client();
        let mut ids = Vec::new();
        for number in 0..SESSIONS {
            let body = json!({ "agent_name": "bench", "session_name": format!("number {number}"), "platform": "discord" });
            let made = bench.post(&client, "/api/sessions", body).await;
            ids.push(made["id"].as_str().expect("an id").to_owned());
        }
        for id in &ids {
            let text = "A word or two of **what was done**. ".repeat(WORDS / 8);
            let body = json!({ "type": "output", "data": { "text": text, "is_final": true } });
            bench.post(&client, &format!("/api/sessions/{id}/events"), body).await;
        }
        while waiting(&bench, &client).await {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    });
    let full = settled(&bench);
    note("idle memory with a chat platform", format!("{:.1} MiB", idle as f64 / 1024.0));
    let each = full.saturating_sub(idle) as f64 / SESSIONS as f64;
    figure("each session on a chat platform, of 200", format!("{each:.1} KiB"), "< 128 KiB", each < 128.0);
    bench.stop();
    bench.start();
    let again = settled(&bench) as f64 / 1024.0;
    note("memory after a restart with 200 sessions on a chat platform", format!("{again:.1} MiB"));
}

/// Whether anything is still to be sent, or some thread to be made.
async fn waiting(bench: &Bench, client: &reqwest::Client) -> bool {
    let answer = client.get(bench.url("/api/status/bridges")).send().await.expect("an answer");
    let status: Value = answer.json().await.expect("JSON");
    let bridges = status["bridges"].as_array().expect("a list");
    let ours = bridges.iter().find(|one| one["platform"] == "discord").expect("it is set up");
    ours["outbox"] != 0 || ours["sessions"] != SESSIONS
}
