//! What supervision costs: the same turn of the real agent (its second, so that start-up does not count)
//! run bare over its pipes, and run under the daemon and followed over the WebSocket. Both against the same
//! scripted model. Needs `tests/run` to have installed the agent.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::{Bench, figure, note};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

const TURNS: usize = 25;
const PROMPT: &str = "STREAM 50 word\nSAY over";

pub fn run() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let program = root.join("tests/agents/node_modules/.bin/claude");
    if !program.exists() {
        println!("skipped: {} is not there; tests/run installs it", program.display());
        return;
    }
    let mut bench = Bench::new();
    let work = bench.path().join("work");
    std::fs::create_dir_all(&work).expect("a work folder");
    let mut model = Killed(
        Command::new("python3")
            .arg(root.join("tests/rig/model_server.py"))
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 starts the scripted model"),
    );
    let mut port = String::new();
    BufReader::new(model.0.stdout.take().expect("its output"))
        .read_line(&mut port)
        .expect("it says its port");
    let env = [
        ("ANTHROPIC_BASE_URL", format!("http://127.0.0.1:{}", port.trim())),
        ("ANTHROPIC_API_KEY", "test".into()),
        ("CLAUDE_CONFIG_DIR", bench.path().join("claude").display().to_string()),
        ("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1".into()),
        ("DISABLE_AUTOUPDATER", "1".into()),
    ];
    for (name, value) in &env {
        bench.set(name, value);
    }
    bench.set("TETHER_CLAUDE_BIN", program.display().to_string());

    // Bare first and last, so that a machine that warms up or tires shows.
    let mut bare = run_bare(&program, &env, &work);
    bench.start();
    let runtime = crate::support::runtime();
    let supervised = runtime.block_on(run_supervised(&bench, &work));
    runtime.block_on(async {
        let client = bench.client();
        bench.stop_with_agents(&client).await;
    });
    bare.extend(run_bare(&program, &env, &work));
    let (bare, supervised) = (median(bare), median(supervised));
    note("a turn of the agent run bare, median", format!("{bare:.1?}"));
    note("the same turn under supervision, median", format!("{supervised:.1?}"));
    let added = supervised.as_secs_f64() * 1000.0 - bare.as_secs_f64() * 1000.0;
    figure("supervision adds to a turn", format!("{added:.1} ms"), "< 10 ms", added < 10.0);
}

/// A child that is killed when dropped.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// From the write of a prompt to the `result` line.
fn run_bare(program: &PathBuf, env: &[(&str, String)], work: &Path) -> Vec<Duration> {
    let args = "-p --input-format stream-json --output-format stream-json --verbose --include-partial-messages \
                --permission-prompt-tool stdio --permission-mode manual";
    let mut agent = Killed(
        Command::new(program)
            .args(args.split_whitespace())
            .envs(env.iter().map(|(name, value)| (name, value)))
            .current_dir(work)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the agent starts"),
    );
    let mut input = agent.0.stdin.take().expect("its input");
    let mut output = BufReader::new(agent.0.stdout.take().expect("its output")).lines();
    let mut times = Vec::new();
    for turn in 0..=TURNS {
        let message = json!({ "type": "user", "message": { "role": "user", "content": PROMPT }, "parent_tool_use_id": null });
        let began = Instant::now();
        writeln!(input, "{message}").expect("the agent reads");
        let ended =
            |line: &String| serde_json::from_str::<Value>(line).is_ok_and(|line| line["type"] == "result");
        output.by_ref().map(|line| line.expect("the agent writes lines")).find(ended).expect("a result");
        if turn > 0 {
            times.push(began.elapsed());
        }
    }
    times
}

/// From the frame with the input to the frame with `turn_finished`.
async fn run_supervised(bench: &Bench, work: &Path) -> Vec<Duration> {
    let client = bench.client();
    let session = bench.post(&client, "/api/sessions", json!({ "directory": work })).await;
    let id = session["id"].as_str().expect("an id").to_owned();
    let mut request =
        bench.url("/api/ws").replacen("http", "ws", 1).into_client_request().expect("an address");
    let bearer = format!("Bearer {}", bench.token);
    request.headers_mut().insert("authorization", bearer.parse().expect("a header"));
    let (mut socket, _) = tokio_tungstenite::connect_async(request).await.expect("the socket opens");
    let subscribe = json!({ "type": "subscribe", "session_id": id, "id": 1 }).to_string();
    socket.send(Message::text(subscribe)).await.expect("the socket takes a frame");
    bench
        .post(
            &client,
            &format!("/api/sessions/{id}/start"),
            json!({ "prompt": PROMPT, "approval_choice": 0 }),
        )
        .await;
    let mut times = Vec::new();
    for turn in 0..=TURNS {
        let began = Instant::now();
        if turn > 0 {
            let input = json!({ "type": "input", "session_id": id, "text": PROMPT }).to_string();
            socket.send(Message::text(input)).await.expect("the socket takes a frame");
        }
        let mut finished = false;
        while !finished {
            let message = socket.next().await.expect("the socket goes on").expect("it is whole");
            finished = matches!(message, Message::Text(text) if text.contains(r#""type":"turn_finished""#));
        }
        if turn > 0 {
            times.push(began.elapsed());
        }
    }
    times
}
