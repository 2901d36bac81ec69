//! Followers under races: nothing lost, nothing doubled.

use std::time::Duration;

use futures_util::future::join_all;
use rand::RngExt;

use super::tests::{append, drafts, make, record};
use super::*;
use crate::domain::event::Frame;
use crate::domain::ids::SessionId;

/// Collects up to event `last` and checks the numbers on the way.
async fn collect(mut follower: Follower, last: u64, slow: bool) -> Vec<Frame> {
    let mut all: Vec<Frame> = Vec::new();
    while follower.cursor() < last {
        let expected = follower.cursor() + 1;
        let frames = follower.next().await.expect("it follows");
        assert_eq!(frames.first().map(|frame| frame.seq), Some(expected));
        assert!(frames.windows(2).all(|pair| pair[1].seq == pair[0].seq + 1));
        all.extend(frames);
        if slow {
            // Long enough for the writers to get out of the tail's reach.
            for _ in 0..rand::rng().random_range(0..200) {
                tokio::task::yield_now().await;
            }
        }
    }
    all
}

async fn race(log: Log, sessions: usize, writers: usize, appends: usize) {
    let mut ids = Vec::new();
    for _ in 0..sessions {
        ids.push(make(&log).await);
    }
    let last = (writers * appends * 2) as u64;
    let mut followers = Vec::new();
    for id in &ids {
        // From the start, before anything is there, and at random cursors and times later on.
        for n in 0..6 {
            let (log, id) = (log.clone(), id.clone());
            followers.push(actix::spawn(async move {
                let wait_for = if n == 0 { 0 } else { rand::rng().random_range(0..last) };
                while log.read_model.last_seq(&id).unwrap_or_default() < wait_for {
                    tokio::task::yield_now().await;
                }
                let after = if n < 2 { 0 } else { rand::rng().random_range(0..=wait_for) };
                let frames = collect(log.follow(id.clone(), after), last, n % 2 == 1).await;
                (id, after, frames)
            }));
        }
    }
    let mut writing = Vec::new();
    for id in ids.iter().cycle().take(sessions * writers) {
        let (log, id) = (log.clone(), id.clone());
        writing.push(actix::spawn(async move {
            for _ in 0..appends {
                let two = drafts(&["one", "two"]);
                log.append(append(&id, two, vec![])).await.expect("it is written");
            }
        }));
    }
    join_all(writing).await.into_iter().for_each(|done| done.expect("a writer ends well"));
    for done in join_all(followers).await {
        let (id, after, frames) = done.expect("a follower ends well");
        let mut stored = Vec::new();
        while (stored.len() as u64) < last - after {
            let read = ReadEvents {
                session: id.clone(),
                after: after + stored.len() as u64,
                limit: 1_000,
                max_bytes: usize::MAX,
            };
            stored.extend(log.read_events(read).await.expect("it reads"));
        }
        assert_eq!(frames, stored);
    }
}

#[actix::test]
async fn followers_get_every_event_once_while_many_write() {
    race(Log::in_memory(), 3, 8, 100).await;
}

#[actix::test]
async fn followers_get_every_event_once_while_another_thread_commits() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = LogConfig { reserve_bytes: 0, floor_bytes: 0, ..LogConfig::new(folder.path()) };
    let (log, handle) = Log::open(config).await.expect("it opens");
    race(log, 3, 8, 60).await;
    handle.stop().await;
}

#[actix::test]
async fn a_call_that_is_dropped_loses_nothing() {
    let log = Log::in_memory();
    let id = make(&log).await;
    let mut follower = log.follow(id.clone(), 0);
    let mut seen = Vec::new();
    for round in 0..200u64 {
        let writer = log.append(append(&id, drafts(&["x"]), vec![]));
        let (_, early) = tokio::join!(writer, async {
            // Given up after a random number of polls.
            let mut next = std::pin::pin!(follower.next());
            for _ in 0..rand::rng().random_range(0..6) {
                if let Some(frames) = futures_util::future::poll_immediate(&mut next).await {
                    return frames.expect("it follows");
                }
                tokio::task::yield_now().await;
            }
            Vec::new()
        });
        seen.extend(early.into_iter().map(|frame| frame.seq));
        assert!(seen.len() as u64 <= round + 1);
    }
    while seen.len() < 200 {
        seen.extend(follower.next().await.expect("it follows").iter().map(|frame| frame.seq));
    }
    assert_eq!(seen, (1..=200).collect::<Vec<u64>>());
    assert!(follower.caught_up());
}

#[actix::test]
async fn the_tail_is_kept_only_while_somebody_listens_and_never_grows_beyond_its_bounds() {
    let log = Log::in_memory();
    let id = make(&log).await;
    let big = "x".repeat(3_000);
    let feed = log.read_model.feed(&id).expect("there is a session");
    for _ in 0..300 {
        log.append(append(&id, drafts(&[&big]), vec![])).await.expect("it is written");
    }
    let tail = feed.borrow().clone();
    let bytes: usize = tail.frames.iter().map(|frame| frame.json.len()).sum();
    assert!(tail.frames.len() <= 256 && bytes <= 256 * 1024 && bytes > 200 * 1024, "{bytes}");
    assert_eq!((tail.last, tail.frames.last().map(|frame| frame.seq)), (300, Some(300)));
    let huge = "x".repeat(1 << 20);
    log.append(append(&id, drafts(&[&huge]), vec![])).await.expect("it is written");
    assert_eq!(feed.borrow().frames.len(), 1, "the newest one whatever its size");
    log.append(append(&id, drafts(&["small"]), vec![])).await.expect("it is written");
    assert_eq!(feed.borrow().frames.len(), 1);

    drop(feed);
    log.append(append(&id, drafts(&["unheard"]), vec![])).await.expect("it is written");
    let feed = log.read_model.feed(&id).expect("there is a session");
    assert!(feed.borrow().frames.is_empty(), "a new feed begins empty");
    assert_eq!(feed.borrow().last, 303);
    drop(feed);
    log.read_model.drop_idle_feeds();
    log.append(append(&id, drafts(&["x"]), vec![])).await.expect("it is written");
}

#[actix::test]
async fn who_follows_no_session_is_told_so_and_a_waiting_follower_learns_of_the_deletion() {
    let log = Log::in_memory();
    let nobody = SessionId::random();
    assert_eq!(log.follow(nobody.clone(), 0).next().await, Err(FollowError::SessionDeleted(nobody)));
    let id = make(&log).await;
    let mut follower = log.follow(id.clone(), 0);
    assert!(follower.caught_up());
    let waiting = actix::spawn(async move { follower.next().await });
    tokio::task::yield_now().await;
    log.delete_session(id.clone()).await.expect("it is deleted");
    let told =
        tokio::time::timeout(Duration::from_secs(5), waiting).await.expect("in time").expect("it ends");
    assert_eq!(told, Err(FollowError::SessionDeleted(id)));
}

#[actix::test]
async fn a_slow_reader_of_the_overview_finds_out_that_it_must_read_again() {
    let log = Log::in_memory();
    let id = make(&log).await;
    let mut overview = log.read_model.overview();
    for _ in 0..2_000 {
        let write = Write::Session(Box::new(record(&id)));
        log.append(append(&id, vec![], vec![write])).await.expect("it is written");
    }
    assert!(matches!(overview.recv().await, Err(tokio::sync::broadcast::error::RecvError::Lagged(_))));
    assert!(overview.recv().await.is_ok());
}
