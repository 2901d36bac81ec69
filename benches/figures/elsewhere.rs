//! Sessions from elsewhere: listing a home with 2,000 conversations of Claude Code and Codex, the first time and
//! again, and what a health check waits meanwhile.

use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Bench, figure, note};

/// Of each of the two programs.
const EACH: usize = 1_000;
/// Turns in each conversation.
const TURNS: usize = 40;
const AGAIN: usize = 10;

pub fn run() {
    let mut bench = Bench::new();
    let bytes = fill(bench.path());
    bench.start();
    crate::support::runtime().block_on(async {
        let client = bench.client();
        let began = Instant::now();
        let (found, waited) = tokio::join!(list(&bench, &client), worst_health(&bench, &client));
        assert_eq!(found, 200, "the list is as long as was asked for");
        note(
            &format!("first scan of {} conversations, {} MiB", 2 * EACH, bytes >> 20),
            format!("{:.1?}", began.elapsed()),
        );
        note("longest health check while it scans", format!("{waited:.1?}"));
        let mut times = Vec::new();
        for _ in 0..AGAIN {
            let began = Instant::now();
            list(&bench, &client).await;
            times.push(began.elapsed());
        }
        times.sort();
        let time = times[AGAIN / 2];
        let goal = Duration::from_millis(300);
        figure(
            &format!("list of {} conversations, again", 2 * EACH),
            format!("{time:.1?}"),
            "< 300 ms",
            time < goal,
        );
    });
}

async fn list(bench: &Bench, client: &reqwest::Client) -> usize {
    let answer = client.get(bench.url("/api/external-sessions?limit=200")).send().await.expect("an answer");
    let list: Value = answer.json().await.expect("JSON");
    list.as_array().unwrap_or_else(|| panic!("a list, not {list}")).len()
}

/// The longest of fifty health checks in a row.
async fn worst_health(bench: &Bench, client: &reqwest::Client) -> Duration {
    let mut worst = Duration::ZERO;
    for _ in 0..50 {
        let began = Instant::now();
        client.get(bench.url("/api/health")).send().await.expect("an answer");
        worst = worst.max(began.elapsed());
    }
    worst
}

/// Lays the conversations into a home; gives their bytes.
fn fill(home: &Path) -> usize {
    let said = "word ".repeat(120);
    let mut bytes = 0;
    for number in 0..EACH {
        let id = format!("{number:08x}-0000-4000-8000-000000000000");
        let directory = format!("/work/project-{}", number % 40);
        let at = |turn: usize| format!("2026-03-{:02}T10:{:02}:00.000Z", number % 28 + 1, turn % 60);

        let mut text = String::new();
        for turn in 0..TURNS {
            let role = if turn % 2 == 0 { "user" } else { "assistant" };
            let parent = turn.checked_sub(1).map(|turn| format!("{turn}-{id}"));
            let record = json!({
                "type": role, "uuid": format!("{turn}-{id}"), "parentUuid": parent, "isSidechain": false,
                "cwd": directory, "sessionId": id, "timestamp": at(turn),
                "message": { "role": role, "content": [{ "type": "text", "text": said }] },
            });
            writeln!(text, "{record}").expect("text takes text");
        }
        bytes += lay(&home.join(format!(".claude/projects/-work-project-{}/{id}.jsonl", number % 40)), &text);

        let mut text = String::new();
        let meta = json!({ "id": id, "cwd": directory, "timestamp": at(0), "originator": "codex_cli_rs" });
        writeln!(text, "{}", json!({ "timestamp": at(0), "type": "session_meta", "payload": meta }))
            .expect("text");
        for turn in 0..TURNS {
            let (role, kind) =
                if turn % 2 == 0 { ("user", "input_text") } else { ("assistant", "output_text") };
            let payload =
                json!({ "type": "message", "role": role, "content": [{ "type": kind, "text": said }] });
            let record = json!({ "timestamp": at(turn), "type": "response_item", "payload": payload });
            writeln!(text, "{record}").expect("text takes text");
        }
        let day = number % 28 + 1;
        let name = format!(".codex/sessions/2026/03/{day:02}/rollout-2026-03-{day:02}T10-00-00-{id}.jsonl");
        bytes += lay(&home.join(name), &text);
    }
    bytes
}

fn lay(path: &Path, text: &str) -> usize {
    std::fs::create_dir_all(path.parent().expect("it lies in a folder")).expect("a folder");
    std::fs::write(path, text).expect("it is written");
    text.len()
}
