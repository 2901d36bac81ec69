//! Memory: resident, idle, freshly started; and for each further idle session with 1,000 of them.

use std::time::Duration;

use crate::support::{Bench, figure, note};

const SESSIONS: usize = 1_000;

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

/// Resident memory once it no longer moves.
fn settled(bench: &Bench) -> u64 {
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
