//! Giving back the space of what was deleted.
//!
//! sled 0.34 hardly ever makes its file smaller, and uses the space of deleted entries again only where
//! whole segments of 512 KiB fell free. Sessions that ran side by side share their segments, so most of what
//! a deletion frees is lost to it: measured, 200 such sessions with 400,000 events stayed at 257 MB when 180
//! of them were deleted, and went on growing. Copying what was left into a fresh store took 0.8 s and 24 MB.
//! That is done at the start of the daemon, before anyone waits for the log, once about two thirds of what
//! was written are deleted; so it copies little, and not often.

use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::keys;
use super::store::{Batch, Engine, EventStore, KeyRange, StoreError, go_on};

/// What a deleted byte takes up on disk, at least: sled keeps pages twice until their segments are cleaned.
const AMPLIFICATION: u64 = 2;

/// Less waste than this is not worth the copying.
const WORTHWHILE: u64 = 64 << 20;

/// A piece of the copy. Small, because sled applies a batch in random order, and fastest to a full page.
const PIECE_BYTES: usize = 64 * 1024;

/// How many bytes of deleted entries the store has had since it was last copied.
pub(super) fn deleted_bytes(store: &dyn EventStore) -> Result<u64, StoreError> {
    let value = store.get(&keys::meta("deleted"))?;
    Ok(value.and_then(|value| keys::parse_u64(&value)).unwrap_or_default())
}

/// Adds to a batch that so many bytes have been deleted in all.
pub(super) fn note_deleted(batch: &mut Batch, bytes: u64) {
    batch.put(keys::meta("deleted"), Bytes::copy_from_slice(&bytes.to_be_bytes()));
}

/// Whether a store should be copied.
pub(super) fn is_wasteful(store: &dyn EventStore) -> Result<bool, StoreError> {
    let waste = deleted_bytes(store)?.saturating_mul(AMPLIFICATION);
    // Deleting makes the file longer before anything else, so this is when two thirds are deleted.
    Ok(waste >= WORTHWHILE && waste / 3 >= store.size()? / 5)
}

/// Copies everything, except the count of deleted bytes, into an empty store.
pub(super) fn copy(from: &dyn EventStore, to: &mut dyn EventStore) -> Result<(), StoreError> {
    let not_copied = keys::meta("deleted");
    let mut next = Some(vec![0]);
    while let Some(start) = next.take() {
        let mut batch = Batch::default();
        from.scan(&KeyRange { start, end: vec![255] }, &mut |key, value| {
            if batch.bytes() >= PIECE_BYTES {
                next = Some(key.to_vec());
                return go_on(false);
            }
            if key != not_copied {
                batch.put(key.to_vec(), Bytes::copy_from_slice(value));
            }
            go_on(true)
        })?;
        to.apply(&batch)?;
    }
    to.commit(&Batch::default())
}

fn beside(folder: &Path, suffix: &str) -> PathBuf {
    let mut name = folder.file_name().unwrap_or_default().to_owned();
    name.push(suffix);
    folder.with_file_name(name)
}

/// Where the copy of a store's folder is made.
pub(super) fn new_folder(folder: &Path) -> PathBuf {
    beside(folder, ".new")
}

/// Where the folder goes while the copy takes its place.
fn old_folder(folder: &Path) -> PathBuf {
    beside(folder, ".old")
}

/// Puts the finished copy in the place of the folder.
pub(super) fn swap(folder: &Path) -> io::Result<()> {
    std::fs::rename(folder, old_folder(folder))?;
    finish_swap(folder)
}

/// Goes on where a swap or a copy was cut short: the folder is moved away only when the copy is complete,
/// so a copy beside a folder is half a copy, and a copy without one is whole.
pub(super) fn finish_swap(folder: &Path) -> io::Result<()> {
    let (new, old) = (new_folder(folder), old_folder(folder));
    if !folder.exists() && old.exists() {
        std::fs::rename(if new.exists() { &new } else { &old }, folder)?;
    }
    if let Some(parent) = folder.parent().filter(|parent| parent.exists()) {
        std::fs::File::open(parent)?.sync_all()?;
    }
    for leftover in [new, old] {
        if leftover.exists() {
            std::fs::remove_dir_all(leftover)?;
        }
    }
    Ok(())
}

/// Opens a store anew without its waste, if there is much. Without room for the copy it stays as it is.
pub(super) fn tidy(
    engine: &dyn Engine,
    store: Box<dyn EventStore>,
) -> Result<Box<dyn EventStore>, StoreError> {
    if !is_wasteful(&*store)? {
        return Ok(store);
    }
    let (before, begun) = (store.size()?, std::time::Instant::now());
    let store = engine.compact(store)?;
    let after = store.size()?;
    tracing::info!(before, after, took = ?begun.elapsed(), "gave back the space of deleted sessions");
    Ok(store)
}

#[cfg(test)]
mod tests {
    use super::super::memory_store::MemoryDisk;
    use super::super::sled_store::SledEngine;
    use super::*;

    fn fill(store: &mut dyn EventStore, keys: std::ops::Range<u32>, size: usize) {
        for piece in keys.collect::<Vec<_>>().chunks(500) {
            let mut batch = Batch::default();
            for n in piece {
                batch.put([b"e".as_slice(), &n.to_be_bytes()].concat(), Bytes::from(vec![7; size]));
            }
            store.commit(&batch).expect("it commits");
        }
    }

    fn keys_of(store: &dyn EventStore) -> Vec<Vec<u8>> {
        let mut keys = Vec::new();
        let all = KeyRange { start: vec![0], end: vec![255] };
        let mut note = |key: &[u8], _: &[u8]| {
            keys.push(key.to_vec());
            go_on(true)
        };
        store.scan(&all, &mut note).expect("it scans");
        keys
    }

    #[test]
    fn a_copy_in_pieces_is_the_same() {
        let (from, to) = (MemoryDisk::default(), MemoryDisk::default());
        let mut store = from.open().expect("memory opens");
        fill(&mut *store, 0..900, 1_000);
        let entries = from.entries();
        let mut batch = Batch::default();
        note_deleted(&mut batch, 5);
        store.commit(&batch).expect("it commits");
        copy(&*store, &mut *to.open().expect("memory opens")).expect("it copies");
        assert!(to.commits() > 1);
        assert_eq!(to.entries(), entries);
    }

    #[test]
    fn only_much_waste_in_a_mostly_empty_store_is_worth_a_copy() {
        let disk = MemoryDisk::default();
        let mut store = disk.open().expect("memory opens");
        let mut wasteful = |bytes| {
            let mut batch = Batch::default();
            note_deleted(&mut batch, bytes);
            store.commit(&batch).expect("it commits");
            is_wasteful(&*store).expect("it reads")
        };
        assert!(!wasteful(WORTHWHILE / AMPLIFICATION - 1));
        assert!(wasteful(WORTHWHILE / AMPLIFICATION));
    }

    #[test]
    fn a_compacted_folder_is_small_and_holds_what_was_left() {
        let parent = tempfile::tempdir().expect("a folder");
        let engine = SledEngine::new(parent.path().join("log"));
        let mut store = engine.open().expect("it opens");
        fill(&mut *store, 0..8_000, 500);
        let all = KeyRange { start: b"e".to_vec(), end: [b"e".as_slice(), &7_000u32.to_be_bytes()].concat() };
        while store.delete_range(&all, 1_000).expect("it deletes").entries > 0 {}
        let (left, before) = (keys_of(&*store), store.size().expect("it knows"));
        assert_eq!(left.len(), 1_000);
        let store = engine.compact(store).expect("it compacts");
        assert_eq!(keys_of(&*store), left);
        let after = store.size().expect("it knows");
        assert!(after < before / 4, "{before} -> {after}");
        assert_eq!(
            std::fs::read_dir(parent.path()).expect("it lists").count(),
            1,
            "nothing is left beside it"
        );
    }

    #[test]
    fn a_swap_that_was_cut_short_anywhere_is_finished_and_a_half_copy_is_not_taken() {
        let parent = tempfile::tempdir().expect("a folder");
        let folder = parent.path().join("log");
        let (new, old) = (new_folder(&folder), old_folder(&folder));
        let make = |path: &Path, text: &str| {
            std::fs::create_dir(path).expect("it is made");
            std::fs::write(path.join("what"), text).expect("it is written");
        };
        let found = || {
            finish_swap(&folder).expect("it finishes");
            assert!(!new.exists() && !old.exists());
            let what = std::fs::read_to_string(folder.join("what")).expect("it is there");
            std::fs::remove_dir_all(&folder).expect("it is removed");
            what
        };
        make(&folder, "whole");
        make(&new, "half");
        assert_eq!(found(), "whole", "killed while copying");
        make(&old, "before");
        make(&new, "copy");
        assert_eq!(found(), "copy", "killed between the renames");
        make(&old, "before");
        make(&folder, "copy");
        assert_eq!(found(), "copy", "killed before the old folder was removed");
        finish_swap(&folder).expect("nothing there is fine");
        assert!(!folder.exists());
    }
}
