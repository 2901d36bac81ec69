//! The log under `kill -9`: at random moments and at each named fault point.
//!
//! The test starts itself again as a child that appends and prints what was acknowledged, kills it, opens
//! the log and compares.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rand::RngExt;
use serde_json::json;
use tether_actors::domain::event::{Envelope, EventDraft, EventType};
use tether_actors::domain::ids::SessionId;
use tether_actors::domain::session::SessionRecord;
use tether_actors::log::{Append, Class, Log, LogConfig, ReadEvents, Write};

const FOLDER: &str = "TETHER_TEST_LOG_FOLDER";
const SESSIONS: usize = 4;
const WRITERS: usize = 3;

fn config(folder: &Path) -> LogConfig {
    LogConfig { floor_bytes: 0, reserve_bytes: 0, ..LogConfig::new(folder) }
}

fn session(n: usize) -> SessionId {
    format!("sess_{n:012x}").as_str().into()
}

/// A record whose message count is the number of the last event written with it.
fn record(id: &SessionId, count: u64) -> Write {
    let stamp = "2026-01-02T03:04:05Z";
    let session = json!({
        "id": id, "state": "RUNNING", "created_at": stamp, "last_activity_at": stamp, "directory": "/p",
        "directory_has_git": false, "message_count": count, "has_pending_permission": false,
    });
    let record: SessionRecord = serde_json::from_value(json!({ "session": session })).expect("a record");
    Write::Session(Box::new(record))
}

/// Not a test of its own: what the child does, until it is killed.
#[actix::test]
async fn child_that_appends_until_it_is_killed() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let (log, _handle) = Log::open(config(folder.as_ref())).await.expect("it opens");
    let mut writers = Vec::new();
    for n in 0..SESSIONS {
        let id = session(n);
        if log.read_model.session(&id).is_none() {
            let class = Class::Work;
            let made = Append { session: id.clone(), drafts: vec![], writes: vec![record(&id, 0)], class };
            log.append(made).await.expect("it is made");
        }
        let turn = std::rc::Rc::new(tokio::sync::Mutex::new(()));
        for _ in 0..WRITERS {
            let (log, id, turn) = (log.clone(), id.clone(), turn.clone());
            writers.push(actix::spawn(async move {
                loop {
                    let count = rand::rng().random_range(1..12u64);
                    // Appends of one session follow each other, so that the count is known in advance.
                    let _turn = turn.lock().await;
                    let first = log.read_model.last_seq(&id).expect("it is there") + 1;
                    let last = first + count - 1;
                    let draft = |n| {
                        // Now and then one that gets a file of its own.
                        let size = if n % 97 == 0 { 150_000 } else { n as usize % 300 };
                        let data = json!({ "n": n, "text": "x".repeat(size) });
                        EventDraft::new(EventType::Output, data)
                    };
                    let drafts = (first..=last).map(draft).collect();
                    let writes = vec![record(&id, last)];
                    let append = Append { session: id.clone(), drafts, writes, class: Class::Work };
                    let committed = log.append(append).await.expect("it is written");
                    assert_eq!(committed.last_seq, last);
                    println!("ack {id} {last}");
                }
            }));
        }
    }
    futures_util::future::join_all(writers).await;
}

/// Runs the child until it dies: by itself at a fault point, or by us after `life`. Answers what it had
/// acknowledged.
fn run(folder: &Path, fault: Option<&str>, life: Option<Duration>) -> BTreeMap<String, u64> {
    let mut command = Command::new(std::env::current_exe().expect("we are a program"));
    command.args(["--exact", "child_that_appends_until_it_is_killed", "--nocapture"]).env(FOLDER, folder);
    command.stdout(Stdio::piped()).stderr(Stdio::inherit()).stdin(Stdio::null());
    if let Some(fault) = fault {
        command.env("TETHER_FAULT", fault);
    }
    let mut child = command.spawn().expect("it starts");
    let output = BufReader::new(child.stdout.take().expect("it has an output"));
    let reader = std::thread::spawn(move || {
        let mut acked = BTreeMap::new();
        for line in output.lines().map_while(Result::ok) {
            // The test harness writes on the same line.
            let Some((_, ack)) = line.split_once("ack ") else { continue };
            let (id, seq) = ack.split_once(' ').expect("an id and a number");
            acked.insert(id.to_owned(), seq.parse().expect("a number"));
        }
        acked
    });
    match life {
        Some(life) => {
            std::thread::sleep(life);
            child.kill().expect("it is killed");
        }
        None => {
            let patience = Instant::now() + Duration::from_secs(60);
            while child.try_wait().expect("it can be asked").is_none() {
                if Instant::now() > patience {
                    child.kill().expect("it is killed");
                    panic!("{fault:?} was never passed");
                }
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    }
    use std::os::unix::process::ExitStatusExt;
    let status = child.wait().expect("it ended");
    assert_eq!(status.signal(), Some(9), "{fault:?}: {status:?}");
    reader.join().expect("the reader ends well")
}

/// Opens the log and compares it with what was acknowledged. Answers the last numbers.
async fn check(folder: &Path, acked: &BTreeMap<String, u64>) -> BTreeMap<String, u64> {
    let (log, handle) = Log::open(config(folder)).await.expect("it opens again");
    let mut lasts = BTreeMap::new();
    for shown in log.read_model.sessions() {
        let id = shown.id.clone();
        let last = log.read_model.last_seq(&id).expect("it is there");
        let promised = acked.get(id.as_str()).copied().unwrap_or_default();
        assert!(last >= promised, "{id}: {promised} was acknowledged, {last} is the last");
        assert_eq!(shown.message_count, last, "{id}: the projection is of the same batch as the events");
        let mut next = 1;
        while next <= last {
            let read = ReadEvents { session: id.clone(), after: next - 1, limit: 5_000, max_bytes: 4 << 20 };
            let frames = log.read_events(read).await.expect("it reads");
            assert!(!frames.is_empty(), "{id}: nothing after {}", next - 1);
            for frame in frames {
                let event: Envelope = serde_json::from_slice(&frame.json).expect("an envelope");
                assert_eq!((frame.seq, event.seq, event.data["n"].as_u64()), (next, next, Some(next)));
                next += 1;
            }
        }
        lasts.insert(id.to_string(), last);
    }
    let lost: Vec<_> = acked.keys().filter(|id| !lasts.contains_key(*id)).collect();
    assert!(lost.is_empty(), "{lost:?}");
    handle.stop().await;
    lasts
}

#[actix::test]
async fn nothing_acknowledged_is_lost_when_killed_at_random_moments() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut before: BTreeMap<String, u64> = BTreeMap::new();
    let mut acks = 0;
    for _ in 0..25 {
        // The moment is the test's input, not a wait for something.
        let life = Duration::from_millis(rand::rng().random_range(5..350));
        let acked = run(folder.path(), None, Some(life));
        acks += acked.len();
        let after = check(folder.path(), &acked).await;
        assert!(before.iter().all(|(id, last)| after.get(id) >= Some(last)), "{before:?} {after:?}");
        before = after;
    }
    assert!(acks > 0, "no child lived long enough to acknowledge anything");
}

#[actix::test]
async fn nothing_is_lost_or_halved_when_killed_at_each_point_of_a_commit() {
    for point in ["log.before_commit", "log.mid_commit", "log.after_commit"] {
        let folder = tempfile::tempdir().expect("a folder");
        let mut before = BTreeMap::new();
        for passage in [1, 2, 9, 40] {
            let acked = run(folder.path(), Some(&format!("{point}:{passage}")), None);
            let after = check(folder.path(), &acked).await;
            if point == "log.after_commit" && passage == 9 {
                assert_ne!(after, acked, "the last commit was on disk and not acknowledged");
            }
            assert!(before.iter().all(|(id, last)| after.get(id) >= Some(last)), "{before:?} {after:?}");
            before = after;
        }
    }
}
