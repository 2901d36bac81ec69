//! The event log: the one place where facts become durable, and from which they become visible.
//!
//! [`EventLog`] is the only code that touches the store. It commits what waits in one batch, syncs
//! once, and only then publishes into the [`ReadModel`] and answers: durable before visible.
//! Readers take sessions, open approvals and the newest frames from the read model without asking
//! the actor; older frames come from it in chunks ([`Follower`] does both).

mod backup;
mod bridges;
mod compact;
mod disk;
mod event_log;
mod follower;
mod frame;
mod handle;
mod import;
mod keys;
mod ledger;
mod memory_store;
mod messages;
mod numbered;
mod promise;
mod purge;
mod queries;
mod read_model;
mod schema;
mod sled_store;
mod store;
mod upkeep;

#[cfg(test)]
mod follow_tests;
#[cfg(test)]
mod sled_tests;
#[cfg(test)]
mod tests;

pub use backup::{Backup, Entry, Item, RestoreError, Restored, Restoring, Unpacker};
pub use bridges::{ListBridge, SaveBridge};
pub use disk::FolderLock;
pub use event_log::{EventLog, GetStoreStats, StoreStats};
pub use follower::{FollowError, Follower};
pub use handle::{Log, LogConfig, LogHandle, OpenError};
pub use import::ImportSession;
pub use memory_store::{MemoryDisk, MemoryFault};
pub use messages::*;
pub use read_model::{Condition, OverviewChange, ReadModel, SessionEntry, Tail};
pub use schema::SchemaError;
pub use store::StoreError;
pub use upkeep::{ListBusySessions, ListGrants};
