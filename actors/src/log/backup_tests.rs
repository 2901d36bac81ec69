//! Backups of a log in memory and on disk.

use std::time::Duration;

use super::super::memory_store::MemoryDisk;
use super::super::tests::{append, drafts, make, read};
use super::super::{LogConfig, SaveBridge, Write};
use super::*;

async fn pieces(backup: &mut Backup) -> Vec<Bytes> {
    let mut pieces = Vec::new();
    while let Some(piece) = backup.next().await.expect("it reads") {
        pieces.push(piece);
    }
    pieces
}

/// Takes the pieces apart, fed in bits of `size` bytes.
fn items(pieces: &[Bytes], size: usize) -> Vec<Item> {
    let mut unpacker = Unpacker::default();
    let mut items = Vec::new();
    for bit in pieces.concat().chunks(size) {
        unpacker.push(bit);
        while let Some(item) = unpacker.take().expect("it is a row") {
            items.push(item);
        }
    }
    assert!(unpacker.is_empty());
    items
}

fn put_back(data: &Path, items: Vec<Item>) -> Result<Restored, RestoreError> {
    let mut restoring = Restoring::begin(data)?;
    for item in items {
        if let Item::Entry(entry) = item {
            restoring.put(entry)?;
        }
    }
    restoring.finish()
}

#[actix::test]
async fn what_is_taken_while_it_is_written_to_is_what_held_then_and_comes_back() {
    let log = Log::in_memory();
    let (a, b) = (make(&log).await, make(&log).await);
    let long = "x".repeat(300_000);
    for _ in 0..9 {
        log.append(append(&a, drafts(&[&long]), vec![])).await.expect("it appends");
    }
    log.append(append(&b, drafts(&["b1"]), vec![])).await.expect("it appends");
    let save =
        SaveBridge { bridge: "slack".into(), entries: vec![("x".into(), Some(Bytes::from_static(b"1")))] };
    log.save_bridge(save).await.expect("it saves");
    let mut backup = log.backup().await.expect("it begins");
    let first = backup.next().await.expect("it reads").expect("a piece");
    log.append(append(&a, drafts(&["later"]), vec![])).await.expect("it appends");
    log.append(append(&b, drafts(&["later"]), vec![])).await.expect("it appends");
    let later = make(&log).await;
    let mut all = vec![first];
    all.extend(pieces(&mut backup).await);
    assert!(all.len() > 1, "{} pieces", all.len());
    let items = items(&all, 1000);
    assert_eq!(items.last(), Some(&Item::End(items.len() as u64 - 1)));

    let data = tempfile::tempdir().expect("a folder");
    let restored = put_back(data.path(), items).expect("it is whole");
    assert_eq!((restored.sessions, restored.events), (2, 10));
    let (log, handle) = Log::open(LogConfig::new(data.path())).await.expect("it opens");
    assert_eq!((log.read_model.last_seq(&a), log.read_model.last_seq(&b)), (Some(9), Some(1)));
    assert_eq!(log.read_model.last_seq(&later), None);
    assert_eq!(log.read_events(read(&a, 8)).await.expect("it reads").len(), 1);
    assert_eq!(log.list_bridge("slack").await.expect("it lists").len(), 1);
    log.append(append(&a, drafts(&["on"]), vec![])).await.expect("it goes on");
    handle.stop().await;
}

#[actix::test]
async fn a_session_that_is_deleted_meanwhile_is_left_out_whole() {
    let disk = MemoryDisk::default();
    let log = Log::on_memory(disk).expect("memory opens");
    let (a, b) = (make(&log).await, make(&log).await);
    for id in [&a, &b] {
        for _ in 0..9 {
            log.append(append(id, drafts(&["x".repeat(300_000).as_str()]), vec![]))
                .await
                .expect("it appends");
        }
    }
    let mut backup = log.backup().await.expect("it begins");
    let mut all = vec![backup.next().await.expect("it reads").expect("a piece")];
    for id in [&a, &b] {
        log.delete_session(id.clone()).await.expect("it deletes");
    }
    all.extend(pieces(&mut backup).await);
    let data = tempfile::tempdir().expect("a folder");
    let restored = put_back(data.path(), items(&all, usize::MAX)).expect("it is whole");
    assert_eq!((restored.sessions, restored.events), (0, 0));
    let (log, handle) = Log::open(LogConfig::new(data.path())).await.expect("it opens");
    while log.store_stats().await.expect("it tells").deletions_left > 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    handle.stop().await;
}

#[actix::test]
async fn half_a_row_foreign_bytes_and_a_log_with_a_hole_are_not_taken() {
    let log = Log::in_memory();
    let id = make(&log).await;
    log.append(append(&id, drafts(&["1", "2", "3"]), vec![])).await.expect("it appends");
    let mut backup = log.backup().await.expect("it begins");
    let whole = items(&pieces(&mut backup).await, 7);
    let data = tempfile::tempdir().expect("a folder");
    let second = |item: &Item| matches!(item, Item::Entry(entry) if entry.key == keys::event(&id, 2));
    let holed: Vec<Item> = whole.iter().filter(|item| !second(item)).cloned().collect();
    let error = put_back(&data.path().join("a"), holed).expect_err("an event is missing").to_string();
    assert!(error.contains("2 of 3 events"), "{error}");
    let schema = |item: &Item| matches!(item, Item::Entry(entry) if entry.key == keys::meta("schema"));
    let unversioned: Vec<Item> = whole.iter().filter(|item| !schema(item)).cloned().collect();
    assert!(put_back(&data.path().join("b"), unversioned).is_err());
    put_back(&data.path().join("c"), whole.clone()).expect("it is whole");
    assert!(put_back(&data.path().join("c"), whole).is_err(), "there is one");
    for foreign in [&[0, 0, 0, 0][..], &[0xff, 0xff, 0xff, 0xfe], &[0, 0, 0, 1, b'e', 0xff, 0xff, 0xff, 0xff]]
    {
        let mut unpacker = Unpacker::default();
        unpacker.push(foreign);
        assert_eq!(unpacker.take(), Err(RestoreError::Foreign), "{foreign:?}");
    }
    let record = log.read_model.session(&id).expect("it is there").record;
    let write = Write::Session(Box::new((*record).clone()));
    log.append(append(&id, vec![], vec![write])).await.expect("the log goes on");
}
