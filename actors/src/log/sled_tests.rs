//! The log on a real disk, and the store against its twin.

use std::os::unix::fs::PermissionsExt;

use bytes::Bytes;
use proptest::prelude::*;

use super::disk::Room;
use super::store::{Batch, Engine, EventStore, KeyRange, go_on};
use super::tests::{append, drafts, make, read, record};
use super::*;
use crate::domain::ids::SessionId;

fn config(path: &std::path::Path) -> LogConfig {
    LogConfig { path: path.to_owned(), floor_bytes: 0, reserve_bytes: 1 << 20 }
}

#[actix::test]
async fn what_was_committed_is_there_after_a_restart_and_only_its_owner_may_read_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a/b");
    let (log, handle) = Log::open(config(&path)).await.expect("it opens");
    let id = make(&log).await;
    // Big enough for sled to put them into files of their own.
    let big = "y".repeat(300_000);
    log.append(append(&id, drafts(&["x", &big, &big]), vec![])).await.expect("it is written");
    let frames = log.read_events(read(&id, 0)).await.expect("it reads");
    assert_eq!(frames.len(), 3);
    log.drain().await.expect("it drains");
    handle.stop().await;
    let mode =
        |name: &str| std::fs::metadata(path.join(name)).expect("it is there").permissions().mode() & 0o777;
    assert_eq!((mode(""), mode("log"), mode("log/db"), mode("reserve")), (0o700, 0o700, 0o600, 0o600));

    let (log, handle) = Log::open(config(&path)).await.expect("it opens again");
    assert_eq!(log.read_model.last_seq(&id), Some(3));
    assert_eq!(log.read_events(read(&id, 0)).await.expect("it reads"), frames);
    assert!(log.store_stats().await.expect("it knows").bytes > 600_000);
    handle.stop().await;
}

#[actix::test]
async fn a_snapshot_that_a_kill_left_half_written_does_not_keep_the_log_from_opening() {
    let folder = tempfile::tempdir().expect("a folder");
    let (log, handle) = Log::open(config(folder.path())).await.expect("it opens");
    let id = make(&log).await;
    log.append(append(&id, drafts(&["x"]), vec![])).await.expect("it is written");
    handle.stop().await;
    let half = folder.path().join("log/snap.00000000000FFFFF.generating");
    std::fs::write(&half, "half a snaps").expect("it is written");
    let (log, handle) = Log::open(config(folder.path())).await.expect("it opens all the same");
    assert_eq!((log.read_model.last_seq(&id), half.exists()), (Some(1), false));
    handle.stop().await;
}

#[actix::test]
async fn a_second_opener_is_told_who_has_it_and_what_to_do() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_log, handle) = Log::open(config(folder.path())).await.expect("it opens");
    let refused = Log::open(config(folder.path())).await.expect_err("it is in use");
    assert_eq!(
        refused.to_string(),
        format!(
            "another tether daemon is using {}: stop it with `tether stop` or choose another TETHER_AGENT_DATA_DIR",
            folder.path().display()
        )
    );
    handle.stop().await;
    let (_log, handle) = Log::open(config(folder.path())).await.expect("it is free again");
    handle.stop().await;
}

#[actix::test]
async fn a_folder_that_cannot_be_is_refused_with_its_name() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let refused = Log::open(config(&file.path().join("x"))).await.expect_err("it is no folder");
    assert!(matches!(refused, OpenError::Folder { .. }), "{refused:?}");
    assert!(refused.to_string().contains(&file.path().display().to_string()), "{refused}");
}

#[actix::test]
async fn the_owner_learns_of_the_actors_end() {
    let folder = tempfile::tempdir().expect("a folder");
    let (log, mut handle) = Log::open(config(folder.path())).await.expect("it opens");
    handle.arbiter_for_test().stop();
    assert_eq!(handle.ended().await, "the thread of the event log ended");
    assert_eq!(log.drain().await, Err(LogError::Closed));
}

#[test]
fn below_the_floor_only_what_must_go_on_goes_on() {
    let free = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(100 << 20));
    let told = free.clone();
    let room = Room::measured(
        std::path::Path::new("/data"),
        64 << 20,
        Box::new(move || Ok(told.load(std::sync::atomic::Ordering::Relaxed))),
    );
    let disk = MemoryDisk::default();
    let model = ReadModel::default();
    let store = disk.open().expect("memory opens");
    let mut ledger =
        ledger::Ledger::new(store, Box::new(disk.clone()), room, None, model.clone(), Default::default());
    let id = SessionId::random();
    let make = append(&id, vec![], vec![Write::Session(Box::new(record(&id)))]);
    ledger.append(make).expect("there is room");
    ledger.commit();
    assert_eq!(model.condition(), Condition::Healthy);

    free.store(10 << 20, std::sync::atomic::Ordering::Relaxed);
    ledger.forget_free_space();
    ledger.look_at_disk();
    assert_eq!(model.condition(), Condition::LowOnDisk { free_mib: 10, floor_mib: 64 });
    let refused = ledger.append(append(&id, drafts(&["x"]), vec![])).err().expect("there is no room");
    assert_eq!(refused, LogError::DiskFull { path: "/data".into(), free_mib: 10, floor_mib: 64 });
    let essential = Append { class: Class::Essential, ..append(&id, drafts(&["x"]), vec![]) };
    ledger.append(essential).expect("it must go on");
    ledger.commit();
    assert_eq!(model.last_seq(&id), Some(1));
}

#[derive(Clone, Debug)]
enum Step {
    /// As one change, or as several that only happen to be committed together.
    Commit(Vec<(Vec<u8>, Option<Vec<u8>>)>, bool),
    DeleteRange(Vec<u8>, Vec<u8>, usize),
    Reopen,
}

fn key() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(0u8..4, 1..5)
}

fn step() -> impl Strategy<Value = Step> {
    let value = proptest::option::of(proptest::collection::vec(any::<u8>(), 0..300));
    prop_oneof![
        6 => (proptest::collection::vec((key(), value), 1..20), any::<bool>())
            .prop_map(|(ops, joint)| Step::Commit(ops, joint)),
        1 => (key(), key(), 0usize..30).prop_map(|(a, b, n)| Step::DeleteRange(a, b, n)),
        1 => Just(Step::Reopen),
    ]
}

fn shown(store: &dyn EventStore, range: &KeyRange, limit: usize) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut entries = Vec::new();
    let mut show = |key: &[u8], value: &[u8]| {
        entries.push((key.to_vec(), value.to_vec()));
        go_on(entries.len() < limit)
    };
    store.scan(range, &mut show).expect("it scans");
    entries
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn the_store_and_its_twin_agree(
        steps in proptest::collection::vec(step(), 1..30), from in key(), to in key(), limit in 1usize..20
    ) {
        let folder = tempfile::tempdir().expect("a folder");
        let engines: [Box<dyn Engine>; 2] =
            [Box::new(sled_store::SledEngine::new(folder.path())), Box::new(MemoryDisk::default())];
        let mut stores = engines.each_ref().map(|engine| Some(engine.open().expect("it opens")));
        for step in steps {
            let mut counts = Vec::new();
            for (engine, slot) in engines.iter().zip(&mut stores) {
                match &step {
                    Step::Reopen => {
                        *slot = None;
                        *slot = Some(engine.open().expect("it opens again"));
                    }
                    Step::Commit(ops, joint) => {
                        let mut batch = Batch::default();
                        for (key, value) in ops.clone() {
                            let mut one = Batch::default();
                            let part = if *joint { &mut batch } else { &mut one };
                            match value {
                                Some(value) => part.put(key, Bytes::from(value)),
                                None => part.delete(key),
                            }
                            batch.extend(one);
                        }
                        prop_assert_eq!(batch.is_joint(), *joint && ops.len() > 1);
                        slot.as_mut().expect("it is open").commit(&batch).expect("it commits");
                    }
                    Step::DeleteRange(a, b, limit) => {
                        let range = KeyRange { start: a.min(b).clone(), end: a.max(b).clone() };
                        let store = slot.as_mut().expect("it is open");
                        counts.push(store.delete_range(&range, *limit).expect("it deletes"));
                    }
                }
            }
            prop_assert!(counts.windows(2).all(|pair| pair[0] == pair[1]));
        }
        let [sled, memory] = stores.each_ref().map(|store| store.as_deref().expect("it is open"));
        let all = KeyRange { start: vec![0], end: vec![255] };
        let part = KeyRange { start: from, end: to.clone() };
        for (range, limit) in [(&all, usize::MAX), (&part, limit)] {
            prop_assert_eq!(shown(sled, range, limit), shown(memory, range, limit));
        }
        prop_assert_eq!(sled.get(&to), memory.get(&to));
    }
}
