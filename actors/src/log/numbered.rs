//! Entries that were numbered one after the other: a session's events, all approvals in the order of asking.
//!
//! The store is read forward only (see [`EventStore::scan`]), so what comes last is looked for by its number.

use std::ops::ControlFlow;

use bytes::Bytes;

use super::store::{EventStore, KeyRange, StoreError, go_on};

/// Entries that are read together the first time on the way back; twice as many each further time.
const FIRST_READ: u64 = 64;
const LARGEST_READ: u64 = 4_096;

/// Entries whose keys end in a number.
pub(super) struct Numbered<K> {
    /// The key of a number.
    pub key: K,
    /// The number in a key.
    pub number: fn(&[u8]) -> Option<u64>,
    /// The first key behind all of them.
    pub end: Vec<u8>,
}

impl<K: Fn(u64) -> Vec<u8>> Numbered<K> {
    /// The highest number that there is. Takes some steps of growing width for each run of numbers without a hole.
    pub fn last(&self, store: &dyn EventStore) -> Result<Option<u64>, StoreError> {
        let mut last = None;
        while let Some(found) =
            self.first_from(store, last.map_or(Some(0), |last: u64| last.checked_add(1)))?
        {
            last = Some(self.far_in_run(store, found)?);
        }
        Ok(last)
    }

    /// The lowest number from this one on.
    fn first_from(&self, store: &dyn EventStore, from: Option<u64>) -> Result<Option<u64>, StoreError> {
        let Some(from) = from else { return Ok(None) };
        let range = KeyRange { start: (self.key)(from), end: self.end.clone() };
        let mut first = None;
        store.scan(&range, &mut |key, _| {
            first = (self.number)(key);
            go_on(first.is_none())
        })?;
        Ok(first)
    }

    /// From a number that is there to another that is: the last one of its run, if that has no hole.
    fn far_in_run(&self, store: &dyn EventStore, from: u64) -> Result<u64, StoreError> {
        let further = |at: u64, step| -> Result<Option<u64>, StoreError> {
            let Some(next) = at.checked_add(step) else { return Ok(None) };
            Ok(store.get(&(self.key)(next))?.map(|_| next))
        };
        let (mut at, mut step) = (from, 1);
        while let Some(next) = further(at, step)? {
            (at, step) = (next, step * 2);
        }
        while step > 1 {
            step /= 2;
            at = further(at, step)?.unwrap_or(at);
        }
        Ok(at)
    }

    /// Shows the values from the one before `next` back to the first.
    pub fn back_from(
        &self,
        store: &dyn EventStore,
        next: u64,
        visit: &mut dyn FnMut(&[u8]) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        let (mut end, mut width) = (next, FIRST_READ);
        while end > 0 {
            let start = end.saturating_sub(width);
            let mut values = Vec::new();
            store.scan(&KeyRange { start: (self.key)(start), end: (self.key)(end) }, &mut |_, value| {
                values.push(Bytes::copy_from_slice(value));
                go_on(true)
            })?;
            if values.iter().rev().try_for_each(|value| visit(value)).is_break() {
                break;
            }
            (end, width) = (start, (width * 2).min(LARGEST_READ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::memory_store::MemoryDisk;
    use super::super::store::{Batch, Engine};
    use super::*;

    fn key(number: u64) -> Vec<u8> {
        [b"k", number.to_be_bytes().as_slice()].concat()
    }

    fn number(key: &[u8]) -> Option<u64> {
        Some(u64::from_be_bytes(key.get(1..)?.try_into().ok()?))
    }

    fn numbered() -> Numbered<fn(u64) -> Vec<u8>> {
        Numbered { key, number, end: b"l".to_vec() }
    }

    fn store_of(numbers: impl IntoIterator<Item = u64>) -> Box<dyn EventStore> {
        let mut store = MemoryDisk::default().open().expect("it opens");
        let mut batch = Batch::default();
        for n in numbers {
            batch.put(key(n), Bytes::copy_from_slice(&n.to_be_bytes()));
        }
        batch.put(b"j".to_vec(), Bytes::new());
        batch.put(b"l".to_vec(), Bytes::new());
        store.commit(&batch).expect("it commits");
        store
    }

    proptest! {
        #[test]
        fn the_last_is_found_and_all_are_told_backward_whatever_holes_there_are(
            runs in proptest::collection::vec((0u64..300, 1u64..200), 0..6), limit in 1usize..400
        ) {
            let (mut numbers, mut at) = (Vec::new(), 0);
            for (hole, length) in runs {
                at += hole;
                numbers.extend(at..at + length);
                at += length;
            }
            let store = store_of(numbers.clone());
            prop_assert_eq!(numbered().last(&*store), Ok(numbers.last().copied()));
            let mut told = Vec::new();
            let visit = &mut |value: &[u8]| {
                told.push(u64::from_be_bytes(value.try_into().expect("a number")));
                go_on(told.len() < limit)
            };
            numbered().back_from(&*store, at, visit).expect("it reads");
            numbers.reverse();
            numbers.truncate(limit);
            prop_assert_eq!(told, numbers);
        }
    }

    #[test]
    fn the_highest_number_of_all_is_found_too() {
        let store = store_of([3, u64::MAX - 1, u64::MAX]);
        assert_eq!(numbered().last(&*store), Ok(Some(u64::MAX)));
    }
}
