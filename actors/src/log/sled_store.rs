//! The store on sled 0.34.
//!
//! One tree, one thread. What was found out about sled 0.34.7 and is relied on here:
//!
//! - `apply_batch` is atomic, also across a kill; it writes its mark with a write of its own. Without it, what a kill
//!   leaves are the first changes, never a later one without an earlier. `flush` writes with `sync_file_range`, which does not make
//!   a file durable; so each commit ends with `sync_data` on a handle of our own.
//! - Entries that make a page bigger than 128 KiB go to files of their own under `blobs/`, which sled never
//!   syncs; a commit syncs those that appeared.
//! - After the first failed write every later write fails with the same error, also when there is room
//!   again, while reads go on and show what never reached the disk: only opening it anew helps.
//! - Opening needs room, too.
//! - Opening writes a snapshot, first as `snap.N.generating`. One that a kill or a full disk left half written is
//!   taken for the newest snapshot by the next opening, which then finds the store corrupt; so it is removed
//!   before.
//! - The space of deleted entries is hardly used again: see [`compact`].
//! - Concurrent `flush_async` can deadlock; it is never called. There is no background flusher either
//!   (`flush_every_ms(None)`): every commit syncs, so it would have nothing to do but contend.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;

use crate::fault;

use super::compact;
use super::store::{Batch, Engine, EventStore, KeyRange, StoreError, Visit};

/// Memory that sled may use for pages. The newest events and all projections that matter for readers
/// are kept by the read model, so this serves replays and the inner pages.
const CACHE_BYTES: u64 = 32 << 20;

/// A store that was closed a moment ago may still be held by sled's own threads for this long.
const LOCK_PATIENCE: Duration = Duration::from_secs(2);

/// Directory times are as coarse as the kernel's tick: a time younger than this may hide a second change.
const TICK: Duration = Duration::from_millis(50);

/// Systems write dirty pages back after half a minute.
const WRITTEN_BACK: Duration = Duration::from_secs(300);

/// A sled store in a folder of its own.
#[derive(Clone, Debug)]
pub struct SledEngine {
    folder: PathBuf,
}

impl SledEngine {
    /// The store in this folder, which is made when it is opened.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }
}

impl Engine for SledEngine {
    fn open(&self) -> Result<Box<dyn EventStore>, StoreError> {
        compact::finish_swap(&self.folder)?;
        Ok(Box::new(SledStore::open(&self.folder)?))
    }

    fn compact(&self, store: Box<dyn EventStore>) -> Result<Box<dyn EventStore>, StoreError> {
        let folder = compact::new_folder(&self.folder);
        let copied = SledStore::open(&folder).and_then(|mut to| compact::copy(&*store, &mut to));
        if let Err(error) = copied {
            tracing::warn!(%error, "could not give back the space of deleted sessions");
            std::fs::remove_dir_all(&folder)?;
            return Ok(store);
        }
        drop(store);
        compact::swap(&self.folder)?;
        self.open()
    }
}

/// An open sled store.
struct SledStore {
    tree: sled::Db,
    /// Our own handle of sled's one big file, for `sync_data`.
    file: File,
    blobs: Blobs,
}

impl SledStore {
    fn open(folder: &Path) -> Result<Self, StoreError> {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700))?;
        remove_half_snapshots(folder)?;
        let config = sled::Config::new().path(folder).cache_capacity(CACHE_BYTES).flush_every_ms(None);
        let started = Instant::now();
        let tree = loop {
            match guarded(|| config.open().map_err(StoreError::from)) {
                Err(StoreError::Busy) if started.elapsed() < LOCK_PATIENCE => {
                    std::thread::sleep(Duration::from_millis(20));
                }
                other => break other?,
            }
        };
        for name in ["db", "conf"] {
            std::fs::set_permissions(folder.join(name), std::fs::Permissions::from_mode(0o600))?;
        }
        // The names of files made just now must survive a power cut as well.
        File::open(folder)?.sync_all()?;
        let file = File::open(folder.join("db"))?;
        Ok(Self { tree, file, blobs: Blobs::new(folder.join("blobs"))? })
    }
}

impl SledStore {
    /// A sled batch costs one more write and sync than its changes do by themselves.
    fn apply_each(&self, batch: &Batch) -> Result<(), StoreError> {
        for (key, value) in batch.ops() {
            match value {
                Some(value) => self.tree.insert(key.as_slice(), value.as_ref())?,
                None => self.tree.remove(key.as_slice())?,
            };
        }
        Ok(())
    }
}

impl EventStore for SledStore {
    fn commit(&mut self, batch: &Batch) -> Result<(), StoreError> {
        self.apply(batch)?;
        fault::point("log.mid_commit");
        guarded(|| {
            self.tree.flush()?;
            self.blobs.sync()?;
            self.file.sync_data()?;
            Ok(())
        })
    }

    fn apply(&mut self, batch: &Batch) -> Result<(), StoreError> {
        if !batch.is_joint() {
            return guarded(|| self.apply_each(batch));
        }
        let mut changes = sled::Batch::default();
        for (key, value) in batch.ops() {
            match value {
                Some(value) => changes.insert(key.as_slice(), value.as_ref()),
                None => changes.remove(key.as_slice()),
            }
        }
        guarded(|| Ok(self.tree.apply_batch(changes)?))
    }

    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        guarded(|| Ok(self.tree.get(key)?.map(|value| Bytes::copy_from_slice(&value))))
    }

    fn scan(&self, range: &KeyRange, visit: &mut Visit<'_>) -> Result<(), StoreError> {
        guarded(|| {
            for entry in self.tree.range(range.start.as_slice()..range.end.as_slice()) {
                let (key, value) = entry?;
                if visit(&key, &value).is_break() {
                    break;
                }
            }
            Ok(())
        })
    }

    fn size(&self) -> Result<u64, StoreError> {
        guarded(|| Ok(self.tree.size_on_disk()?))
    }
}

/// Removes what an opening that did not end well left of its snapshot. Nothing is lost with it: a snapshot only
/// spares reading the log from its begin.
fn remove_half_snapshots(folder: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "generating") {
            tracing::warn!(path = %path.display(), "removes a half-written snapshot of the event log");
            std::fs::remove_file(path)?;
        }
    }
    Ok(())
}

/// Turns a panic inside sled (it asserts a lot) into an error: the log must live to tell of it.
fn guarded<T>(work: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
        Err(StoreError::Failed(format!("the storage engine panicked: {text}")))
    })
}

/// Watches the files that sled puts big pages in, and syncs the new ones.
struct Blobs {
    folder: PathBuf,
    synced: BTreeSet<std::ffi::OsString>,
    /// The folder's time when it was last listed, if that was long enough after it to be trusted.
    listed: Option<SystemTime>,
}

impl Blobs {
    /// Files that are old enough were written back by the system long ago; the others are synced by the
    /// first commit.
    fn new(folder: PathBuf) -> io::Result<Self> {
        let mut synced = BTreeSet::new();
        for entry in std::fs::read_dir(&folder)? {
            let entry = entry?;
            let age = entry.metadata()?.modified()?.elapsed().unwrap_or_default();
            if age > WRITTEN_BACK {
                synced.insert(entry.file_name());
            }
        }
        Ok(Self { folder, synced, listed: None })
    }

    fn sync(&mut self) -> io::Result<()> {
        let changed = std::fs::metadata(&self.folder)?.modified()?;
        if self.listed == Some(changed) {
            return Ok(());
        }
        let mut present = BTreeSet::new();
        let mut any_new = false;
        for entry in std::fs::read_dir(&self.folder)? {
            let name = entry?.file_name();
            if !self.synced.contains(&name) {
                match File::open(self.folder.join(&name)) {
                    Ok(file) => file.sync_data()?,
                    // Collected by sled in the meantime.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                    Err(error) => return Err(error),
                }
                any_new = true;
            }
            present.insert(name);
        }
        if any_new {
            File::open(&self.folder)?.sync_all()?;
        }
        self.synced = present;
        let age = SystemTime::now().duration_since(changed).unwrap_or_default();
        self.listed = (age > TICK).then_some(changed);
        Ok(())
    }
}

impl From<io::Error> for StoreError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::NoRoom(error.to_string()),
            _ => Self::Failed(error.to_string()),
        }
    }
}

impl From<sled::Error> for StoreError {
    fn from(error: sled::Error) -> Self {
        match error {
            // sled wraps the system's error in one of its own, whose text is all that is left of it.
            sled::Error::Io(error) if error.to_string().contains("could not acquire lock") => Self::Busy,
            sled::Error::Io(error) => error.into(),
            other => Self::Failed(other.to_string()),
        }
    }
}
