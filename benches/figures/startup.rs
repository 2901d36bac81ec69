//! Start: from the start of the process to its first healthy answer, with an empty store and with a million
//! events. With `--quick` a hundred thousand.

use std::time::Duration;

use crate::support::{Bench, figure, note};

const STARTS: usize = 10;
const SESSIONS: usize = 100;

pub fn run() {
    let quick = std::env::args().any(|argument| argument == "--quick");
    let events = if quick { 100_000 } else { 1_000_000 };

    // The first start makes the store; the figure is for one that is there and empty, as on any later day.
    let mut bench = Bench::new();
    let making = bench.start();
    bench.stop();
    note("start that makes the store", format!("{making:.1?}"));
    let empty = median(&mut bench);
    figure("start with an empty store", format!("{empty:.1?}"), "< 60 ms", empty < Duration::from_millis(60));

    bench.start();
    crate::support::runtime().block_on(async {
        let client = bench.client();
        let mut sessions = Vec::new();
        for number in 0..SESSIONS {
            sessions.push(bench.session(&client, &format!("startup {number}")).await);
        }
        bench.fill(&sessions, events, 64).await;
    });
    bench.stop();
    let full = median(&mut bench);
    let what = format!("start with {events} events in {SESSIONS} sessions");
    figure(&what, format!("{full:.1?}"), "< 1 s", full < Duration::from_secs(1));
}

fn median(bench: &mut Bench) -> Duration {
    let mut times: Vec<Duration> = (0..STARTS)
        .map(|_| {
            let time = bench.start();
            bench.stop();
            time
        })
        .collect();
    times.sort();
    times[STARTS / 2]
}
