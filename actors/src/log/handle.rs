//! The log as the rest of the daemon holds it.

use std::path::PathBuf;
use std::time::Duration;

use actix::{Addr, Arbiter, AsyncContext, Context, Handler, Message};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::domain::approval::Approval;
use crate::domain::device::Device;
use crate::domain::event::Frame;
use crate::domain::ids::{ApprovalId, DeviceId, SessionId};
use crate::domain::trust::TrustedDirectory;

use super::compact;
use super::disk::{self, FolderLock, Room};
use super::event_log::{EventLog, GetStoreStats, StoreStats, TICK};
use super::follower::Follower;
use super::ledger::Ledger;
use super::memory_store::MemoryDisk;
use super::messages::*;
use super::queries;
use super::read_model::ReadModel;
use super::schema::{self, SchemaError};
use super::sled_store::SledEngine;
use super::store::{Engine, StoreError};

/// Where the log lies and what room it wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// The data folder. The store is its subfolder `log`; beside it are `lock` and `reserve`.
    pub path: PathBuf,
    /// With fewer bytes free on the disk, new work is refused.
    pub floor_bytes: u64,
    /// Bytes set aside for when the disk is full; 0 = none.
    pub reserve_bytes: u64,
}

impl LogConfig {
    /// A floor of 64 MiB and a reserve of 16 MiB.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), floor_bytes: 64 << 20, reserve_bytes: 16 << 20 }
    }
}

/// Why the log could not be opened.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum OpenError {
    /// Another daemon has it.
    #[error(
        "another tether daemon is using {path}: stop it with `tether stop` or choose another \
         TETHER_AGENT_DATA_DIR"
    )]
    InUse {
        /// The data folder.
        path: String,
    },
    /// The folder cannot be made or written.
    #[error("cannot use {path} as the data folder: {reason}")]
    Folder {
        /// The data folder.
        path: String,
        /// What the system says.
        reason: String,
    },
    /// No room even to open it.
    #[error(
        "the disk that holds {path} is full, and opening the data takes some room: make room and start again"
    )]
    NoRoom {
        /// The data folder.
        path: String,
    },
    /// It is of another version, or not ours.
    #[error("cannot use the data in {path}: {reason}")]
    Schema {
        /// The data folder.
        path: String,
        /// What is wrong with it.
        reason: SchemaError,
    },
    /// It cannot be read.
    #[error("cannot read the data in {path}: {reason}")]
    Unreadable {
        /// The data folder.
        path: String,
        /// What failed.
        reason: String,
    },
}

/// The log, for all who append and read. Clones are the same log.
#[derive(Clone, Debug)]
pub struct Log {
    /// The actor.
    pub addr: Addr<EventLog>,
    /// What is committed.
    pub read_model: ReadModel,
}

/// The log's thread and the life of its actor, for the one who opened it.
#[derive(Debug)]
pub struct LogHandle {
    arbiter: Arbiter,
    task: JoinHandle<()>,
}

impl LogHandle {
    /// Waits for the actor's end, which nobody outlives, and says why it ended.
    pub async fn ended(&mut self) -> String {
        match (&mut self.task).await {
            Ok(()) => "the event log stopped".into(),
            Err(error) if error.is_panic() => {
                let panic = error.into_panic();
                let text = panic.downcast_ref::<String>().map(String::as_str);
                let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
                format!("the event log panicked: {text}")
            }
            Err(_) => "the thread of the event log ended".into(),
        }
    }

    #[cfg(test)]
    pub(super) fn arbiter_for_test(&self) -> &Arbiter {
        &self.arbiter
    }

    /// Closes the store and ends the thread. [`Log::drain`] comes first, or what waits is lost.
    pub async fn stop(self) {
        self.arbiter.stop();
        // An error means that the thread panicked, which is an end, too.
        let _ = tokio::task::spawn_blocking(move || self.arbiter.join()).await;
    }
}

impl Log {
    /// Opens the log on a thread of its own; returns when it is loaded and takes appends.
    pub async fn open(config: LogConfig) -> Result<(Self, LogHandle), OpenError> {
        let arbiter = Arbiter::new();
        let (sender, opened) = oneshot::channel();
        let read_model = ReadModel::default();
        let model = read_model.clone();
        let path = config.path.display().to_string();
        arbiter.spawn_fn(move || {
            let started =
                open_ledger(&config, model).map(|ledger| start(EventLog::new(ledger, Some(TICK), TICK)));
            // If nobody waits any more, the actor ends with its last address.
            let _ = sender.send(started);
        });
        let reason = "the thread of the event log ended".to_owned();
        match opened.await.unwrap_or(Err(OpenError::Unreadable { path, reason })) {
            Ok((addr, task)) => Ok((Self { addr, read_model }, LogHandle { arbiter, task })),
            Err(error) => {
                arbiter.stop();
                Err(error)
            }
        }
    }

    /// A log that forgets, on the current arbiter: for tests.
    pub fn in_memory() -> Self {
        match Self::on_memory(MemoryDisk::default()) {
            Ok(log) => log,
            // A new memory disk has no faults.
            Err(error) => unreachable!("{error}"),
        }
    }

    /// A log on a memory disk that the test can look at, break and open again, on the current arbiter.
    pub fn on_memory(memory: MemoryDisk) -> Result<Self, OpenError> {
        let read_model = ReadModel::default();
        let ledger = ledger("memory", Box::new(memory), Room::endless(), None, read_model.clone())?;
        let (addr, _task) = start(EventLog::new(ledger, None, Duration::from_millis(10)));
        Ok(Self { addr, read_model })
    }

    /// Records events and projections of one session, all or nothing; see [`Append`].
    pub async fn append(&self, append: Append) -> Result<Committed, LogError> {
        self.ask(append).await?
    }

    /// Loads one session; `None` if it does not exist.
    pub async fn load_session(&self, id: SessionId) -> Result<Option<Loaded>, LogError> {
        self.ask(LoadSession(id)).await?
    }

    /// Reads events; see [`ReadEvents`].
    pub async fn read_events(&self, read: ReadEvents) -> Result<Vec<Frame>, LogError> {
        self.ask(read).await?
    }

    /// Deletes a session; answers whether it existed.
    pub async fn delete_session(&self, id: SessionId) -> Result<bool, LogError> {
        self.ask(DeleteSession(id)).await?
    }

    /// One approval of any age.
    pub async fn find_approval(&self, id: ApprovalId) -> Result<Option<Approval>, LogError> {
        self.ask(FindApproval(id)).await?
    }

    /// Approvals of one session or all, newest first.
    pub async fn list_approvals(
        &self,
        session: Option<SessionId>,
        limit: usize,
    ) -> Result<Vec<Approval>, LogError> {
        self.ask(ListApprovals { session, limit }).await?
    }

    /// Stores a paired device.
    pub async fn put_device(&self, device: Device) -> Result<(), LogError> {
        self.ask(PutDevice(device)).await?
    }

    /// Forgets a paired device; answers whether it was known.
    pub async fn delete_device(&self, id: DeviceId) -> Result<bool, LogError> {
        self.ask(DeleteDevice(id)).await?
    }

    /// All paired devices, oldest first.
    pub async fn list_devices(&self) -> Result<Vec<Device>, LogError> {
        self.ask(ListDevices).await?
    }

    /// Stores what a person said about a directory.
    pub async fn put_trust(&self, said: TrustedDirectory) -> Result<(), LogError> {
        self.ask(PutTrust(said)).await?
    }

    /// Forgets what was said about a directory; answers whether anything was.
    pub async fn delete_trust(&self, path: String) -> Result<bool, LogError> {
        self.ask(DeleteTrust(path)).await?
    }

    /// Figures about the store.
    pub async fn store_stats(&self) -> Result<StoreStats, LogError> {
        self.ask(GetStoreStats).await?
    }

    /// Commits all that waits; appends that come later are refused with [`LogError::Closed`].
    pub async fn drain(&self) -> Result<(), LogError> {
        self.ask(Drain).await?
    }

    /// Follows a session from behind event `after`.
    pub fn follow(&self, session: SessionId, after: u64) -> Follower {
        Follower::new(self.addr.clone().recipient(), &self.read_model, session, after)
    }

    async fn ask<M>(&self, message: M) -> Result<M::Result, LogError>
    where
        M: Message + Send + 'static,
        M::Result: Send,
        EventLog: Handler<M>,
    {
        // The actor is gone, or its thread is: either way the daemon ends.
        self.addr.send(message).await.map_err(|_| LogError::Closed)
    }
}

fn start(actor: EventLog) -> (Addr<EventLog>, JoinHandle<()>) {
    let ctx = Context::<EventLog>::new();
    let addr = ctx.address();
    (addr, actix::spawn(ctx.into_future(actor)))
}

fn open_ledger(config: &LogConfig, read_model: ReadModel) -> Result<Ledger, OpenError> {
    let path = config.path.display().to_string();
    let folder = |error: std::io::Error| OpenError::Folder { path: path.clone(), reason: error.to_string() };
    disk::make_folder(&config.path).map_err(folder)?;
    let Some(lock) = FolderLock::take(&config.path).map_err(folder)? else {
        return Err(OpenError::InUse { path });
    };
    let engine = SledEngine::new(config.path.join("log"));
    let room = Room::of(&config.path, config.floor_bytes, config.reserve_bytes);
    ledger(&path, Box::new(engine), room, Some(lock), read_model)
}

fn ledger(
    path: &str,
    engine: Box<dyn Engine>,
    mut room: Room,
    lock: Option<FolderLock>,
    read_model: ReadModel,
) -> Result<Ledger, OpenError> {
    let path = || path.to_owned();
    let failed = |error| match error {
        StoreError::Busy => OpenError::InUse { path: path() },
        StoreError::NoRoom(_) => OpenError::NoRoom { path: path() },
        StoreError::Failed(reason) => OpenError::Unreadable { path: path(), reason },
    };
    let opened = match engine.open() {
        Err(StoreError::NoRoom(_)) if room.give_up_reserve() => engine.open(),
        opened => opened,
    };
    let mut store = opened.map_err(failed)?;
    schema::settle(&mut *store, schema::VERSION, schema::MIGRATIONS).map_err(|error| match error {
        SchemaError::Store(error) => failed(error),
        reason => OpenError::Schema { path: path(), reason },
    })?;
    let store = compact::tidy(&*engine, store).map_err(failed)?;
    let found = queries::load(&*store, &read_model)
        .map_err(|error| OpenError::Unreadable { path: path(), reason: error.to_string() })?;
    Ok(Ledger::new(store, engine, room, lock, read_model, found))
}
