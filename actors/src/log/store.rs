//! The seam between the event log and its storage engine.
//!
//! An engine keeps ordered bytes and commits a [`Batch`] all or nothing. What the bytes mean is said by
//! [`keys`](super::keys); a change of engine is one file beside this one.

use std::ops::ControlFlow;

use bytes::Bytes;

/// Changes that are committed together, in the order given: of two for the same key the later one counts.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    ops: Vec<(Vec<u8>, Option<Bytes>)>,
    bytes: usize,
    joint: bool,
}

impl Batch {
    /// Sets a key.
    pub fn put(&mut self, key: Vec<u8>, value: Bytes) {
        self.bytes += key.len() + value.len();
        self.push(key, Some(value));
    }

    /// Removes a key; nothing happens if it is not there.
    pub fn delete(&mut self, key: Vec<u8>) {
        self.bytes += key.len();
        self.push(key, None);
    }

    fn push(&mut self, key: Vec<u8>, value: Option<Bytes>) {
        self.joint |= !self.ops.is_empty();
        self.ops.push((key, value));
    }

    /// The changes; `None` = removed.
    pub fn ops(&self) -> &[(Vec<u8>, Option<Bytes>)] {
        &self.ops
    }

    /// How many changes.
    pub fn len(&self) -> usize {
        self.ops.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ops.is_empty()
    }

    /// Bytes of all keys and values.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Forgets all changes and keeps the memory for the next ones.
    pub fn clear(&mut self) {
        self.ops.clear();
        self.bytes = 0;
        self.joint = false;
    }

    /// Whether some of the changes must never be seen without others. Where each came by [`Self::extend`] out of
    /// a batch of its own, a kill may leave the first ones behind, and nothing is torn.
    pub fn is_joint(&self) -> bool {
        self.joint
    }

    /// Adds the changes of another batch after these.
    pub fn extend(&mut self, other: Batch) {
        self.bytes += other.bytes;
        self.joint |= other.joint;
        self.ops.extend(other.ops);
    }
}

/// Keys from `start` up to, and not with, `end`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRange {
    /// The first key that is in it.
    pub start: Vec<u8>,
    /// The first key that is not.
    pub end: Vec<u8>,
}

/// What a scan hands each entry to; `Break` ends the scan.
pub type Visit<'a> = dyn FnMut(&[u8], &[u8]) -> ControlFlow<()> + 'a;

/// An open store. After an error of `commit` what it reads is not to be trusted: open it anew.
pub trait EventStore: Send {
    /// Applies the batch and returns once it is on disk and synced. A [joint](Batch::is_joint) one is there all or
    /// not at all after a kill, of another the changes up to some point.
    fn commit(&mut self, batch: &Batch) -> Result<(), StoreError>;

    /// The same without the sync: on disk no later than with the next commit, and not before what was
    /// applied or committed earlier.
    fn apply(&mut self, batch: &Batch) -> Result<(), StoreError> {
        self.commit(batch)
    }

    /// The value of a key.
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError>;

    /// Shows the entries of a range one after the other, the lowest key first. There is no way back: sled's own
    /// compares with a key of a mebibyte, which would be in the program.
    fn scan(&self, range: &KeyRange, visit: &mut Visit<'_>) -> Result<(), StoreError>;

    /// Bytes that the store takes up on disk.
    fn size(&self) -> Result<u64, StoreError>;

    /// Removes at most `limit` entries of a range and answers how many; fewer than `limit` means that
    /// the range is empty now. A slice at a time, so that a big range blocks no one for long; applied, not
    /// committed.
    fn delete_range(&mut self, range: &KeyRange, limit: usize) -> Result<Removed, StoreError> {
        let mut batch = Batch::default();
        let mut removed = Removed::default();
        if limit > 0 {
            self.scan(range, &mut |key, value| {
                removed.entries += 1;
                removed.bytes += (key.len() + value.len()) as u64;
                batch.delete(key.to_vec());
                go_on(batch.len() < limit)
            })?;
        }
        if !batch.is_empty() {
            self.apply(&batch)?;
        }
        Ok(removed)
    }
}

/// What was removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    /// How many entries.
    pub entries: usize,
    /// Bytes of their keys and values.
    pub bytes: u64,
}

/// Opens a store, and opens it again after it failed.
pub trait Engine: Send {
    /// Opens it; the caller has dropped the one opened before.
    fn open(&self) -> Result<Box<dyn EventStore>, StoreError>;

    /// Opens it anew without the space that deleted entries left behind, for an engine that does not give
    /// it back by itself.
    fn compact(&self, store: Box<dyn EventStore>) -> Result<Box<dyn EventStore>, StoreError> {
        Ok(store)
    }
}

/// Why an engine did not do what it was asked.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum StoreError {
    /// The disk is full.
    #[error("no space left on the disk ({0})")]
    NoRoom(String),
    /// Somebody else has it open.
    #[error("another process has the store open")]
    Busy,
    /// Anything else.
    #[error("{0}")]
    Failed(String),
}

/// What a visitor answers: whether it wants more.
pub fn go_on(yes: bool) -> ControlFlow<()> {
    if yes { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn puts(count: u8) -> Batch {
        let mut batch = Batch::default();
        (0..count).for_each(|key| batch.put(vec![key], Bytes::new()));
        batch
    }

    #[test]
    fn what_belongs_together_stays_together_whatever_it_is_committed_with() {
        let mut batch = puts(1);
        batch.extend(puts(1));
        assert!(!batch.is_joint(), "two that have nothing to do with each other");
        batch.extend(puts(2));
        batch.extend(puts(1));
        assert!(batch.is_joint(), "two of these belong together");
        batch.clear();
        assert!(!batch.is_joint());
    }
}
