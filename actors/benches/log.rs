//! What the event log does on this machine. `cargo bench -p tether-actors --bench log [-- MILLIONS]`

use std::time::{Duration, Instant};

use serde_json::json;
use tether_actors::domain::event::{EventDraft, EventType};
use tether_actors::domain::ids::SessionId;
use tether_actors::domain::session::SessionRecord;
use tether_actors::log::{Append, Class, Log, LogConfig, Write};

fn record(id: &SessionId) -> Write {
    let stamp = "2026-01-02T03:04:05Z";
    let session = json!({
        "id": id, "state": "RUNNING", "created_at": stamp, "last_activity_at": stamp, "directory": "/p",
        "directory_has_git": false, "message_count": 0, "has_pending_permission": false,
    });
    let record: SessionRecord = serde_json::from_value(json!({ "session": session })).expect("a record");
    Write::Session(Box::new(record))
}

/// An append of one event, about 200 bytes on the wire.
fn event(session: &SessionId) -> Append {
    let data = json!({ "stream": "combined", "kind": "step", "final": false, "text": "x".repeat(50) });
    many(session, vec![EventDraft::new(EventType::Output, data)])
}

fn many(session: &SessionId, drafts: Vec<EventDraft>) -> Append {
    Append { session: session.clone(), drafts, writes: vec![], class: Class::Work }
}

async fn sessions(log: &Log, count: usize) -> Vec<SessionId> {
    let ids: Vec<SessionId> = (0..count).map(|_| SessionId::random()).collect();
    for id in &ids {
        let made = Append { writes: vec![record(id)], ..many(id, vec![]) };
        log.append(made).await.expect("it is made");
    }
    ids
}

async fn ingest(log: &Log, in_flight: usize, followed: bool) {
    let ids = sessions(log, in_flight).await;
    let mut followers = Vec::new();
    for id in ids.iter().filter(|_| followed) {
        let mut follower = log.follow(id.clone(), 0);
        followers.push(actix::spawn(async move { while follower.next().await.is_ok() {} }));
    }
    let end = Instant::now() + Duration::from_secs(4);
    let begun = Instant::now();
    let writers = ids.iter().map(|id| {
        let (log, id) = (log.clone(), id.clone());
        actix::spawn(async move {
            let mut times = Vec::new();
            while Instant::now() < end {
                let append = event(&id);
                let begun = Instant::now();
                log.append(append).await.expect("it is written");
                times.push(begun.elapsed());
            }
            times
        })
    });
    let times = futures_util::future::join_all(writers.collect::<Vec<_>>()).await;
    let took = begun.elapsed();
    let mut times: Vec<Duration> = times.into_iter().flat_map(|times| times.expect("it ends well")).collect();
    times.sort();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
    println!(
        "durable ingest, {in_flight:>3} in flight{}: {:>7.0} events/s, p50 {:.2} ms, p99 {:.2} ms, worst {:.1} ms",
        if followed { ", each followed" } else { "" },
        times.len() as f64 / took.as_secs_f64(),
        at(0.5),
        at(0.99),
        at(1.0),
    );
    followers.iter().for_each(|follower| follower.abort());
}

async fn fill(log: &Log, ids: &[SessionId], events: usize) {
    let writers = ids.iter().map(|id| {
        let (log, id) = (log.clone(), id.clone());
        actix::spawn(async move {
            let mut left = events;
            while left > 0 {
                let drafts: Vec<EventDraft> = (0..left.min(10)).flat_map(|_| event(&id).drafts).collect();
                left -= drafts.len();
                log.append(many(&id, drafts)).await.expect("it is written");
            }
        })
    });
    futures_util::future::join_all(writers.collect::<Vec<_>>()).await;
}

fn on_disk(path: &std::path::Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let Ok(entries) = std::fs::read_dir(path) else { return 0 };
    let sizes = entries.filter_map(Result::ok).map(|entry| match entry.metadata() {
        Ok(data) if data.is_dir() => on_disk(&entry.path()),
        Ok(data) => data.blocks() * 512,
        Err(_) => 0,
    });
    sizes.sum()
}

fn resident() -> f64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = pages.split(' ').nth(1).and_then(|pages| pages.parse::<f64>().ok()).unwrap_or_default();
    pages * 4096.0 / 1e6
}

#[actix::main]
async fn main() {
    let millions: f64 = std::env::args().filter_map(|arg| arg.parse().ok()).next().unwrap_or(1.0);
    let folder = tempfile::tempdir_in(".").expect("a folder");
    let config = LogConfig::new(folder.path().join("small"));

    let begun = Instant::now();
    let (log, handle) = Log::open(config).await.expect("it opens");
    println!("open, empty: {:.1} ms", begun.elapsed().as_secs_f64() * 1e3);
    for in_flight in [1, 8, 32, 64] {
        ingest(&log, in_flight, false).await;
    }
    ingest(&log, 64, true).await;

    let ids = sessions(&log, 1).await;
    fill(&log, &ids, 100_000).await;
    for round in ["first", "again"] {
        let begun = Instant::now();
        let mut follower = log.follow(ids[0].clone(), 0);
        let mut bytes = 0;
        while !follower.caught_up() {
            let frames = follower.next().await.expect("it reads");
            bytes += frames.iter().map(|frame| frame.json.len()).sum::<usize>();
        }
        let took = begun.elapsed().as_secs_f64();
        let (rate, rate_bytes) = (follower.cursor() as f64 / took, bytes as f64 / took / 1e6);
        println!("replay of {}, {round}: {rate:.0} events/s, {rate_bytes:.0} MB/s", follower.cursor());
    }
    handle.stop().await;

    let config = LogConfig::new(folder.path().join("big"));
    let (log, handle) = Log::open(config.clone()).await.expect("it opens");
    let ids = sessions(&log, 200).await;
    let events = (millions * 1e6) as usize / ids.len();
    let begun = Instant::now();
    fill(&log, &ids, events).await;
    println!(
        "written {} events in {} sessions: {:.1} s, {} MB on disk, {:.0} MB resident",
        events * ids.len(),
        ids.len(),
        begun.elapsed().as_secs_f64(),
        on_disk(&config.path.join("log")) / 1_000_000,
        resident(),
    );
    log.drain().await.expect("it drains");
    let begun = Instant::now();
    handle.stop().await;
    println!("close: {:.0} ms", begun.elapsed().as_secs_f64() * 1e3);
    for _ in 0..2 {
        let begun = Instant::now();
        let (log, handle) = Log::open(config.clone()).await.expect("it opens");
        println!(
            "open with {} events and {} sessions: {:.0} ms",
            events * ids.len(),
            log.read_model.sessions().len(),
            begun.elapsed().as_secs_f64() * 1e3
        );
        handle.stop().await;
    }

    // Deleting most of it, while somebody else appends.
    let (log, handle) = Log::open(config.clone()).await.expect("it opens");
    let (gone, kept) = ids.split_at(ids.len() * 9 / 10);
    let begun = Instant::now();
    for id in gone {
        log.delete_session(id.clone()).await.expect("it is deleted");
    }
    let mut worst = Duration::ZERO;
    let store = || on_disk(&config.path.join("log")) / 1_000_000;
    println!(
        "deleted {} sessions: {:.0} ms to the last answer",
        gone.len(),
        begun.elapsed().as_secs_f64() * 1e3
    );
    let mut appends = 0;
    while log.store_stats().await.expect("it knows").deletions_left > 0 {
        let begun = Instant::now();
        log.append(event(&kept[0])).await.expect("it is written");
        worst = worst.max(begun.elapsed());
        appends += 1;
    }
    println!("all removed: {:.1} s", begun.elapsed().as_secs_f64());
    println!(
        "{appends} appends meanwhile, worst {:.1} ms; on disk {} MB",
        worst.as_secs_f64() * 1e3,
        store()
    );
    fill(&log, kept, events / 10).await;
    println!("after {} more events: on disk {} MB", events / 10 * kept.len(), store());
    handle.stop().await;
    let begun = Instant::now();
    let (_log, handle) = Log::open(config.clone()).await.expect("it opens");
    let took = begun.elapsed().as_secs_f64() * 1e3;
    println!("after a restart, which took {took:.0} ms: on disk {} MB", store());
    handle.stop().await;
}
