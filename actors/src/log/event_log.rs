//! The event log's actor.
//!
//! Started by [`Log::open`](super::Log::open) on an arbiter of its own, because the store blocks; watched by the
//! daemon, which ends when this actor dies: without it no promise holds. It owns the store and the sequence
//! numbers. Everybody may ask it; it asks nobody. What it loses when it dies are appends that were not
//! answered; what was answered is on disk.
//!
//! Group commit: the first append of a batch sends a `Commit` to itself, which is handled behind the
//! messages that wait already, so it commits just those, with one sync.

use std::time::Duration;

use actix::{Actor, ActorFutureExt, AsyncContext, Context, Handler, Message, WrapFuture};

use super::ledger::Ledger;
use super::messages::*;
use super::promise::{Answered, Later};
use crate::domain::approval::Approval;
use crate::domain::device::Device;
use crate::domain::event::Frame;

/// Senders await their answers, so what can wait here is bounded by who waits; `send` ignores the
/// capacity anyway. Wide, so that a burst is not parked in the senders and finds its way into one batch.
const MAILBOX: usize = 4_096;

/// How often the disk is looked at, and a failed store tried.
pub(super) const TICK: Duration = Duration::from_secs(1);

/// Commit what is staged.
#[derive(Message)]
#[rtype(result = "()")]
struct Commit;

/// How the store is doing.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<StoreStats, LogError>")]
pub struct GetStoreStats;

/// Figures about the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreStats {
    /// Bytes that it takes up on disk.
    pub bytes: u64,
    /// Deleted sessions whose entries are still being removed.
    pub deletions_left: usize,
}

/// The event log.
pub struct EventLog {
    pub(super) ledger: Ledger,
    /// How often the disk is looked at; `None` = there is none.
    look_every: Option<Duration>,
    /// How often a failed store is tried.
    probe_every: Duration,
    commit_asked: bool,
    purge_asked: bool,
    probe_asked: bool,
}

impl Actor for EventLog {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX);
        if let Some(look_every) = self.look_every {
            ctx.run_interval(look_every, |log, _| {
                log.ledger.look_at_disk();
                log.ledger.read_model.drop_idle_feeds();
            });
        }
        self.follow_up(ctx);
    }
}

impl EventLog {
    pub(super) fn new(ledger: Ledger, look_every: Option<Duration>, probe_every: Duration) -> Self {
        Self { ledger, look_every, probe_every, commit_asked: false, purge_asked: false, probe_asked: false }
    }

    /// Sees to it that what is staged, left to remove, or broken is attended to.
    pub(super) fn follow_up(&mut self, ctx: &mut Context<Self>) {
        if self.ledger.is_full() {
            self.ledger.commit();
        }
        if self.ledger.has_staged() && !self.commit_asked {
            self.commit_asked = true;
            ctx.notify(Commit);
        }
        if self.ledger.has_purge() && !self.purge_asked {
            self.purge_asked = true;
            // Not by `notify`, which comes before this actor's thread has looked for anything new.
            let turn = tokio::task::yield_now().into_actor(self);
            ctx.spawn(turn.map(|(), log, ctx| {
                log.purge_asked = false;
                log.ledger.commit();
                log.ledger.purge_some();
                log.follow_up(ctx);
            }));
        }
        if self.ledger.is_sick() && !self.probe_asked {
            self.probe_asked = true;
            ctx.run_later(self.probe_every, |log, ctx| {
                log.probe_asked = false;
                log.ledger.probe();
                log.follow_up(ctx);
            });
        }
    }
}

/// The answer that comes with the commit.
pub(super) fn later<T>(staged: Result<Answered<T>, LogError>) -> Answered<T> {
    staged.unwrap_or_else(|error| Later::now(Err(error)))
}

/// The same for what may have nothing to do.
fn later_if(staged: Result<Option<Answered<bool>>, LogError>) -> Answered<bool> {
    staged.transpose().map_or_else(|| Later::now(Ok(false)), later)
}

impl Handler<Commit> for EventLog {
    type Result = ();

    fn handle(&mut self, _: Commit, ctx: &mut Self::Context) {
        self.commit_asked = false;
        self.ledger.commit();
        self.follow_up(ctx);
    }
}

impl Handler<Append> for EventLog {
    type Result = Answered<Committed>;

    fn handle(&mut self, append: Append, ctx: &mut Self::Context) -> Self::Result {
        let staged = self.ledger.append(append);
        self.follow_up(ctx);
        later(staged)
    }
}

impl Handler<DeleteSession> for EventLog {
    type Result = Answered<bool>;

    fn handle(&mut self, delete: DeleteSession, ctx: &mut Self::Context) -> Self::Result {
        let staged = self.ledger.delete_session(delete.0);
        self.follow_up(ctx);
        later_if(staged)
    }
}

impl Handler<PutDevice> for EventLog {
    type Result = Answered<()>;

    fn handle(&mut self, put: PutDevice, ctx: &mut Self::Context) -> Self::Result {
        let staged = self.ledger.put_device(&put.0);
        self.follow_up(ctx);
        later(staged)
    }
}

impl Handler<DeleteDevice> for EventLog {
    type Result = Answered<bool>;

    fn handle(&mut self, delete: DeleteDevice, ctx: &mut Self::Context) -> Self::Result {
        let staged = self.ledger.delete_device(&delete.0);
        self.follow_up(ctx);
        later_if(staged)
    }
}

impl Handler<PutTrust> for EventLog {
    type Result = Answered<()>;

    fn handle(&mut self, put: PutTrust, ctx: &mut Self::Context) -> Self::Result {
        let staged = self.ledger.put_trust(put.0);
        self.follow_up(ctx);
        later(staged)
    }
}

impl Handler<DeleteTrust> for EventLog {
    type Result = Answered<bool>;

    fn handle(&mut self, delete: DeleteTrust, ctx: &mut Self::Context) -> Self::Result {
        let staged = self.ledger.delete_trust(delete.0);
        self.follow_up(ctx);
        later_if(staged)
    }
}

impl Handler<LoadSession> for EventLog {
    type Result = Result<Option<Loaded>, LogError>;

    fn handle(&mut self, load: LoadSession, ctx: &mut Self::Context) -> Self::Result {
        let loaded = self.ledger.load_session(&load.0);
        self.follow_up(ctx);
        loaded
    }
}

impl Handler<ReadEvents> for EventLog {
    type Result = Result<Vec<Frame>, LogError>;

    fn handle(&mut self, read: ReadEvents, _: &mut Self::Context) -> Self::Result {
        self.ledger.read_events(&read)
    }
}

impl Handler<FindApproval> for EventLog {
    type Result = Result<Option<Approval>, LogError>;

    fn handle(&mut self, find: FindApproval, ctx: &mut Self::Context) -> Self::Result {
        let approval = self.ledger.find_approval(&find.0);
        self.follow_up(ctx);
        approval
    }
}

impl Handler<ListApprovals> for EventLog {
    type Result = Result<Vec<Approval>, LogError>;

    fn handle(&mut self, list: ListApprovals, ctx: &mut Self::Context) -> Self::Result {
        let approvals = self.ledger.list_approvals(&list);
        self.follow_up(ctx);
        approvals
    }
}

impl Handler<ListDevices> for EventLog {
    type Result = Result<Vec<Device>, LogError>;

    fn handle(&mut self, _: ListDevices, ctx: &mut Self::Context) -> Self::Result {
        let devices = self.ledger.list_devices();
        self.follow_up(ctx);
        devices
    }
}

impl Handler<GetStoreStats> for EventLog {
    type Result = Result<StoreStats, LogError>;

    fn handle(&mut self, _: GetStoreStats, _: &mut Self::Context) -> Self::Result {
        Ok(StoreStats { bytes: self.ledger.size()?, deletions_left: self.ledger.purge_left() })
    }
}

impl Handler<Drain> for EventLog {
    type Result = Result<(), LogError>;

    fn handle(&mut self, _: Drain, ctx: &mut Self::Context) -> Self::Result {
        self.ledger.close();
        self.follow_up(ctx);
        Ok(())
    }
}
