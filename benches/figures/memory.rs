//! Memory: resident, idle, freshly started; and for each further idle session with 1,000 of them.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Bench, figure, note, resident_kib};

const SESSIONS: usize = 1_000;
const DEMOS: usize = 10;

pub fn run() {
    let mut bench = Bench::new();
    bench.start();
    let idle = settled(&bench);
    figure("idle memory", format!("{:.1} MiB", idle as f64 / 1024.0), "< 20 MiB", idle < 20 * 1024);
    crate::support::runtime().block_on(async {
        let client = bench.client();
        let mut sessions = Vec::new();
        for number in 0..SESSIONS {
            sessions.push(bench.session(&client, &format!("memory {number}")).await);
        }
        bench.fill(&sessions, SESSIONS * 3, 8).await;
    });
    let full = settled(&bench);
    let each = full.saturating_sub(idle) as f64 / SESSIONS as f64;
    figure("each further idle session, of 1,000", format!("{each:.1} KiB"), "< 64 KiB", each < 64.0);
    bench.stop();
    bench.start();
    note(
        "idle memory after a restart with 1,000 sessions",
        format!("{:.1} MiB", settled(&bench) as f64 / 1024.0),
    );
}

/// With ten sessions of the demo agent that wait for a person: the daemon's, and what each agent takes.
pub fn demos() {
    let mut bench = Bench::new();
    bench.set("TETHER_DEMO_PACE_MS", "0");
    bench.start();
    let before = settled(&bench);
    crate::support::runtime().block_on(async {
        let client = bench.client();
        for number in 0..DEMOS {
            let directory = bench.path().join(format!("demo-{number}"));
            std::fs::create_dir_all(&directory).expect("a folder");
            let new = json!({ "adapter": "demo", "directory": directory });
            let made = bench.post(&client, "/api/sessions", new).await;
            let at = format!("/api/sessions/{}/start", made["id"].as_str().expect("an id"));
            bench.post(&client, &at, json!({ "prompt": "show me" })).await;
        }
        while open_approvals(&bench, &client).await < DEMOS {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let daemon = settled(&bench);
        let agents = children(bench.pid()).into_iter().map(resident_kib).sum::<u64>();
        note(
            &format!("the daemon with {DEMOS} working sessions of the demo agent"),
            format!("{:.1} MiB", daemon as f64 / 1024.0),
        );
        let each = daemon.saturating_sub(before) as f64 / DEMOS as f64;
        note("each of them, in the daemon", format!("{each:.0} KiB"));
        let each = agents as f64 / 1024.0 / DEMOS as f64;
        note("each demo agent's own program", format!("{each:.1} MiB"));
        bench.stop_with_agents(&client).await;
    });
}

async fn open_approvals(bench: &Bench, client: &reqwest::Client) -> usize {
    let answer = client.get(bench.url("/api/approvals?state=open")).send().await.expect("an answer");
    let list: Value = answer.json().await.expect("JSON");
    list.as_array().map_or(0, Vec::len)
}

/// Processes that a process started.
fn children(pid: u32) -> Vec<u32> {
    let list = std::fs::read_dir("/proc").expect("processes").flatten();
    let pids = list.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let parent = |pid: &u32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse::<u32>().ok()
    };
    pids.filter(|child| parent(child) == Some(pid)).collect()
}

/// Resident memory once it no longer moves.
pub fn settled(bench: &Bench) -> u64 {
    let mut last = bench.resident_kib();
    let mut still = 0;
    while still < 5 {
        std::thread::sleep(Duration::from_millis(300));
        let now = bench.resident_kib();
        still = if now.abs_diff(last) < 64 { still + 1 } else { 0 };
        last = now;
    }
    last
}
