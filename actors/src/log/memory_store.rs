//! The in-memory twin of the store: for tests, and for making the disk fail on purpose.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::store::{Batch, Engine, EventStore, KeyRange, StoreError, Visit};

/// A disk made of memory. Clones are the same disk, so what was committed survives a re-open, and a
/// test that keeps a clone can look at it and break it.
#[derive(Clone, Debug, Default)]
pub struct MemoryDisk(Arc<Mutex<Disk>>);

#[derive(Debug, Default)]
struct Disk {
    entries: BTreeMap<Vec<u8>, Bytes>,
    commits: u64,
    fault: Option<MemoryFault>,
}

/// What goes wrong until [`MemoryDisk::heal`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemoryFault {
    /// Commits fail for want of room, and nothing of them is there afterwards.
    Full,
    /// Commits fail, and all of them is there afterwards: as when only the sync failed.
    UnsureSync,
    /// It cannot be opened either.
    Gone,
}

impl MemoryDisk {
    /// Breaks it.
    pub fn fail(&self, fault: MemoryFault) {
        self.lock().fault = Some(fault);
    }

    /// Mends it.
    pub fn heal(&self) {
        self.lock().fault = None;
    }

    /// How many commits went well.
    pub fn commits(&self) -> u64 {
        self.lock().commits
    }

    /// All that is on it, in order.
    pub fn entries(&self) -> Vec<(Vec<u8>, Bytes)> {
        self.lock().entries.iter().map(|(key, value)| (key.clone(), value.clone())).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Disk> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Engine for MemoryDisk {
    fn open(&self) -> Result<Box<dyn EventStore>, StoreError> {
        match self.lock().fault {
            Some(MemoryFault::Gone) => Err(StoreError::Failed("the memory disk is gone".into())),
            _ => Ok(Box::new(MemoryStore(self.clone()))),
        }
    }
}

/// An open [`MemoryDisk`].
struct MemoryStore(MemoryDisk);

impl EventStore for MemoryStore {
    fn commit(&mut self, batch: &Batch) -> Result<(), StoreError> {
        let mut disk = self.0.lock();
        match disk.fault {
            Some(MemoryFault::Full) => return Err(StoreError::NoRoom("the memory disk is full".into())),
            Some(MemoryFault::Gone) => return Err(StoreError::Failed("the memory disk is gone".into())),
            Some(MemoryFault::UnsureSync) | None => {}
        }
        for (key, value) in batch.ops() {
            match value {
                Some(value) => disk.entries.insert(key.clone(), value.clone()),
                None => disk.entries.remove(key),
            };
        }
        if disk.fault == Some(MemoryFault::UnsureSync) {
            return Err(StoreError::Failed("the memory disk did not sync".into()));
        }
        disk.commits += 1;
        Ok(())
    }

    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        Ok(self.0.lock().entries.get(key).cloned())
    }

    fn scan(&self, range: &KeyRange, visit: &mut Visit<'_>) -> Result<(), StoreError> {
        if range.start >= range.end {
            return Ok(());
        }
        let disk = self.0.lock();
        let entries = disk.entries.range(range.start.clone()..range.end.clone());
        let _: ControlFlow<()> = entries.into_iter().try_for_each(|(key, value)| visit(key, value));
        Ok(())
    }

    fn size(&self) -> Result<u64, StoreError> {
        let bytes = |(key, value): (&Vec<u8>, &Bytes)| (key.len() + value.len()) as u64;
        Ok(self.0.lock().entries.iter().map(bytes).sum())
    }
}
