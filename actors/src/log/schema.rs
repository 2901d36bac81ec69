//! The version of what lies in the store, and the way from an older one to this one.

use bytes::Bytes;

use super::keys;
use super::store::{Batch, EventStore, KeyRange, StoreError, go_on};

/// The version that this program reads and writes.
pub const VERSION: u32 = 1;

/// One step from the version before to `to`.
pub struct Migration {
    /// The version that it leads to.
    pub to: u32,
    /// What it does. It may be killed half-way and is then run again from its start.
    pub run: fn(&mut dyn EventStore) -> Result<(), StoreError>,
}

/// All steps, in order, the last one leading to [`VERSION`]. Version 1 is the first.
pub const MIGRATIONS: &[Migration] = &[];

/// Why a store cannot be used.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum SchemaError {
    /// A newer program wrote it.
    #[error("the data was written by a newer tether (format {found}, this one knows {known}): update tether")]
    Newer {
        /// What it says.
        found: u32,
        /// What we know.
        known: u32,
    },
    /// It is not ours, or the version is unreadable.
    #[error("the data is not in a format of tether: {0}")]
    Foreign(String),
    /// The engine failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Checks the version; stamps a fresh store with `version`, migrates an older one to it.
pub fn settle(store: &mut dyn EventStore, version: u32, migrations: &[Migration]) -> Result<(), SchemaError> {
    let found = match store.get(&keys::meta("schema"))? {
        Some(value) => std::str::from_utf8(&value)
            .ok()
            .and_then(|text| text.parse().ok())
            .ok_or_else(|| SchemaError::Foreign(format!("its version is {value:?}")))?,
        None if is_empty(store)? => return Ok(stamp(store, version)?),
        None => return Err(SchemaError::Foreign("it holds entries and no version".into())),
    };
    if found > version {
        return Err(SchemaError::Newer { found, known: version });
    }
    for step in migrations.iter().filter(|step| step.to > found && step.to <= version) {
        tracing::info!(from = step.to - 1, to = step.to, "migrating the data");
        (step.run)(store)?;
        stamp(store, step.to)?;
    }
    Ok(())
}

fn stamp(store: &mut dyn EventStore, version: u32) -> Result<(), StoreError> {
    let mut batch = Batch::default();
    batch.put(keys::meta("schema"), Bytes::from(version.to_string()));
    store.commit(&batch)
}

fn is_empty(store: &dyn EventStore) -> Result<bool, StoreError> {
    let mut empty = true;
    let everything = KeyRange { start: vec![0], end: vec![255] };
    store.scan(&everything, &mut |_, _| {
        empty = false;
        go_on(false)
    })?;
    Ok(empty)
}

#[cfg(test)]
mod tests {
    use super::super::memory_store::MemoryDisk;
    use super::super::store::Engine;
    use super::*;

    fn version(store: &dyn EventStore) -> Option<Bytes> {
        store.get(&keys::meta("schema")).expect("memory reads")
    }

    fn put(store: &mut dyn EventStore, key: &[u8], value: &'static str) {
        let mut batch = Batch::default();
        batch.put(key.to_vec(), value.into());
        store.commit(&batch).expect("memory commits");
    }

    #[test]
    fn a_fresh_store_gets_the_version_and_is_taken_again() {
        let mut store = MemoryDisk::default().open().expect("memory opens");
        assert_eq!(settle(&mut *store, 1, &[]), Ok(()));
        assert_eq!(version(&*store), Some("1".into()));
        assert_eq!(settle(&mut *store, 1, &[]), Ok(()));
    }

    #[test]
    fn a_newer_or_foreign_store_is_refused_untouched() {
        let disk = MemoryDisk::default();
        let mut store = disk.open().expect("memory opens");
        put(&mut *store, b"something", "else");
        assert!(matches!(settle(&mut *store, 1, &[]), Err(SchemaError::Foreign(_))));
        put(&mut *store, &keys::meta("schema"), "9");
        let before = disk.entries();
        let refused = settle(&mut *store, 1, &[]).expect_err("9 is newer than 1");
        assert_eq!(refused, SchemaError::Newer { found: 9, known: 1 });
        assert!(refused.to_string().contains("update tether"), "{refused}");
        put(&mut *store, &keys::meta("schema"), "one");
        assert!(matches!(settle(&mut *store, 1, &[]), Err(SchemaError::Foreign(_))));
        put(&mut *store, &keys::meta("schema"), "9");
        assert_eq!(disk.entries(), before);
    }

    #[test]
    fn the_missing_steps_run_in_order_and_no_others() {
        fn step(to: u32, run: fn(&mut dyn EventStore) -> Result<(), StoreError>) -> Migration {
            Migration { to, run }
        }
        fn add(store: &mut dyn EventStore, name: &str) -> Result<(), StoreError> {
            let seen = store.get(b"steps")?.unwrap_or_default();
            let mut batch = Batch::default();
            batch.put(b"steps".to_vec(), [&seen[..], name.as_bytes()].concat().into());
            store.commit(&batch)
        }
        let steps = [
            step(2, |store| add(store, "2")),
            step(3, |store| add(store, "3")),
            step(4, |store| add(store, "4")),
        ];
        let mut store = MemoryDisk::default().open().expect("memory opens");
        put(&mut *store, &keys::meta("schema"), "2");
        assert_eq!(settle(&mut *store, 4, &steps), Ok(()));
        assert_eq!(store.get(b"steps"), Ok(Some("34".into())));
        assert_eq!(version(&*store), Some("4".into()));
    }
}
