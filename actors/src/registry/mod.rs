//! The registry: supervises every session and all that belongs to it.
//!
//! It starts a session's cell (session, gate, process actor) when somebody needs it, watches the ends of its actors,
//! and replaces the whole cell with fresh values from the log when one of them dies: after a delay that doubles,
//! and after too many deaths in a row only every so often, with the cause in the log. Cells of
//! sessions where something goes on are started with the daemon.
//! Mailbox: unbounded; it is asked for starts and ends only, and everything else goes past it by the
//! directory. When the registry itself dies, the daemon ends: nothing else could supervise it.

mod cell;
mod directory;
mod elsewhere;
mod import;
mod keep;
mod retention;
#[cfg(test)]
mod tests;
mod world;

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use actix::prelude::*;
use tracing::{error, info, warn};

pub use cell::CellSettings;
use cell::{CellAddr, ExitReason};
pub use cell::{Spawned, run};
use directory::Directory;
pub use elsewhere::{Attach, Elsewhere, ElsewhereError, Listed, Synced};
pub use import::import;
pub use keep::Factory;
pub use world::*;

use crate::agent::AgentProcess;
use crate::domain::ids::SessionId;
use crate::log::Log;
use crate::session::{Close, SessionError, StartProcess};

/// More deaths than this within [`WINDOW`] and a cell is replaced only every [`HELD_FOR`].
const MAX_DEATHS: usize = 5;
/// See [`MAX_DEATHS`].
const WINDOW: Duration = Duration::from_secs(60);
/// See [`MAX_DEATHS`].
const HELD_FOR: Duration = Duration::from_secs(30);
/// The first delay before a cell is replaced; it doubles with each death in the window.
const FIRST_DELAY: Duration = Duration::from_millis(50);

/// What the supervisor knows of a cell.
#[derive(Default)]
struct Cell {
    /// Which life of it; news of an earlier one is ignored.
    generation: u64,
    aborts: Vec<tokio::task::AbortHandle>,
    deaths: VecDeque<Instant>,
    /// It is being built; who asks meanwhile waits here.
    building: Option<Vec<tokio::sync::oneshot::Sender<Result<CellAddr, SessionError>>>>,
    /// It waits to be replaced, with the cause in words.
    down: Option<String>,
    /// It is being deleted or stopped: its end is no crash.
    ending: bool,
}

/// See the module.
pub struct Registry {
    log: Log,
    directory: Directory,
    settings: CellSettings,
    arbiters: Vec<ArbiterHandle>,
    cells: HashMap<SessionId, Cell>,
    closed: bool,
    /// How often a cell was replaced since the start; shown by the metrics.
    replaced: std::sync::Arc<std::sync::atomic::AtomicU64>,
    retention: Option<Duration>,
    /// Those that are no session's.
    kept: Vec<keep::Kept>,
}

/// How long before a cell that died for the n-th time in the window (from 1) is replaced.
fn replace_delay(deaths: usize) -> Duration {
    if deaths > MAX_DEATHS {
        return HELD_FOR;
    }
    FIRST_DELAY * 2u32.saturating_pow(u32::try_from(deaths.saturating_sub(1)).unwrap_or(u32::MAX).min(16))
}

impl Registry {
    fn arbiter_of(&self, session: &SessionId) -> Option<ArbiterHandle> {
        let hash: usize = session.as_str().bytes().map(usize::from).sum();
        self.arbiters.get(hash % self.arbiters.len().max(1)).cloned()
    }

    /// Builds a cell from the log. Its actors' ends are watched from then on.
    fn build(&mut self, session: SessionId, ctx: &mut Context<Self>) {
        let cell = self.cells.entry(session.clone()).or_default();
        if cell.building.is_some() {
            return;
        }
        cell.building = Some(Vec::new());
        cell.generation += 1;
        let (log, settings) = (self.log.clone(), self.settings.clone());
        let (arbiter, spawner) = (self.arbiter_of(&session), ctx.address().recipient());
        let id = session.clone();
        let built = async move {
            let loaded = log.load_session(id).await?.ok_or(SessionError::NotFound)?;
            let arbiter = arbiter.ok_or(SessionError::Restarting)?;
            cell::build(&arbiter, loaded, log, spawner, settings).await.ok_or(SessionError::Restarting)
        };
        ctx.spawn(built.into_actor(self).map(move |built, registry, ctx| {
            registry.built(&session, built, ctx);
        }));
    }

    fn built(
        &mut self,
        session: &SessionId,
        built: Result<(CellAddr, [Spawned; 2]), SessionError>,
        ctx: &mut Context<Self>,
    ) {
        let Some(cell) = self.cells.get_mut(session) else { return };
        let waiting = cell.building.take().unwrap_or_default();
        let answer = match built {
            Ok((address, spawned)) => {
                cell.down = None;
                self.directory.put(session.clone(), address.clone());
                for one in spawned {
                    self.watch(session.clone(), one, ctx);
                }
                Ok(address)
            }
            Err(SessionError::NotFound) => {
                self.cells.remove(session);
                Err(SessionError::NotFound)
            }
            Err(error) => {
                self.cell_down(session, format!("it could not be built: {error}"), ctx);
                Err(error)
            }
        };
        for waiter in waiting {
            let _ = waiter.send(answer.clone());
        }
    }

    fn watch(&mut self, session: SessionId, spawned: Spawned, ctx: &mut Context<Self>) {
        let Some(cell) = self.cells.get_mut(&session) else {
            spawned.abort.abort();
            return;
        };
        cell.aborts.push(spawned.abort);
        let generation = cell.generation;
        // A process actor that ended by itself has told its session why.
        ctx.spawn(spawned.end.into_actor(self).map(move |end, registry, ctx| {
            registry.child_down(&session, generation, end.into(), ctx);
        }));
    }

    fn child_down(
        &mut self,
        session: &SessionId,
        generation: u64,
        reason: ExitReason,
        ctx: &mut Context<Self>,
    ) {
        let Some(cell) = self.cells.get(session) else { return };
        if cell.generation != generation || cell.ending || cell.down.is_some() || self.closed {
            return;
        }
        let words = match reason {
            ExitReason::Stopped => "it could not go on".to_owned(),
            ExitReason::Aborted => "it was ended".to_owned(),
            ExitReason::Panicked(words) => format!("a bug: {words}"),
        };
        self.cell_down(session, words, ctx);
    }

    /// One of a cell's actors died: the others go too, and fresh ones come after a while.
    fn cell_down(&mut self, session: &SessionId, words: String, ctx: &mut Context<Self>) {
        let Some(cell) = self.cells.get_mut(session) else { return };
        self.directory.remove(session);
        for abort in cell.aborts.drain(..) {
            abort.abort();
        }
        let now = Instant::now();
        cell.deaths.push_back(now);
        cell.deaths.retain(|at| now.duration_since(*at) <= WINDOW);
        let delay = replace_delay(cell.deaths.len());
        let generation = cell.generation;
        if cell.deaths.len() > MAX_DEATHS {
            error!(%session, deaths = cell.deaths.len(), retry_in = ?delay, words, "the session's actors keep dying");
        } else {
            warn!(%session, ?delay, words, "the session's actors died, replacing them");
        }
        cell.down = Some(words);
        let session = session.clone();
        ctx.run_later(delay, move |registry, ctx| {
            let wanted = registry
                .cells
                .get(&session)
                .is_some_and(|cell| cell.generation == generation && !cell.ending);
            if wanted && !registry.closed {
                registry.replaced.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                registry.build(session, ctx);
            }
        });
    }

    /// Ends a cell for good. The caller has seen to its agent.
    fn drop_cell(&mut self, session: &SessionId) {
        self.directory.remove(session);
        if let Some(cell) = self.cells.remove(session) {
            cell.aborts.iter().for_each(tokio::task::AbortHandle::abort);
        }
    }

    /// Starts the cells of sessions where something goes on: an agent runs or is to come back, inputs wait,
    /// an interrupt is under way.
    fn start_busy(&mut self, ctx: &mut Context<Self>) {
        let log = self.log.clone();
        let busy = async move { log.busy_sessions().await };
        ctx.spawn(busy.into_actor(self).map(|busy, registry, ctx| match busy {
            Ok(busy) => {
                if !busy.is_empty() {
                    info!(sessions = busy.len(), "taking up sessions where something goes on");
                }
                for session in busy {
                    registry.build(session, ctx);
                }
            }
            Err(error) => error!(%error, "the sessions where something goes on could not be found"),
        }));
    }
}

impl Registry {
    /// Ends, a while later, servers of agents that an earlier daemon left and that no session came for.
    fn end_unclaimed_servers(&self, ctx: &mut Context<Self>) {
        let settings = self.settings.agent.clone();
        let unclaimed = async move { settings.servers.end_unclaimed(&settings.spool_root).await };
        ctx.spawn(unclaimed.into_actor(self));
    }
}

impl Actor for Registry {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(0);
        self.start_busy(ctx);
        self.end_unclaimed_servers(ctx);
        self.watch_retention(ctx);
        self.watch_repos(ctx);
    }
}

/// The actors of a session, started if they do not run.
#[derive(Message)]
#[rtype(result = "Result<CellAddr, SessionError>")]
struct GetCell(SessionId);

/// Delete a session with all that belongs to it; with `force` also while its agent works.
#[derive(Message)]
#[rtype(result = "Result<(), SessionError>")]
struct DeleteCell {
    session: SessionId,
    force: bool,
}

/// Take no more work. With `agents`, end the agent programs too. Answered when all is done.
#[derive(Message)]
#[rtype(result = "()")]
struct CloseAll {
    agents: bool,
}

impl Handler<GetCell> for Registry {
    type Result = ResponseFuture<Result<CellAddr, SessionError>>;

    fn handle(&mut self, GetCell(session): GetCell, ctx: &mut Self::Context) -> Self::Result {
        let refuse = |error| Box::pin(async move { Err(error) }) as Self::Result;
        if self.closed {
            return refuse(SessionError::Restarting);
        }
        if let Some(address) = self.directory.find(&session) {
            return Box::pin(async move { Ok(address) });
        }
        match self.cells.get(&session) {
            Some(cell) if cell.ending => return refuse(SessionError::NotFound),
            Some(Cell { down: Some(words), deaths, building: None, .. }) => {
                return refuse(if deaths.len() > MAX_DEATHS {
                    let seconds = HELD_FOR.as_secs();
                    SessionError::Held(format!(
                        "the session keeps failing ({words}); the next try comes within {seconds} s"
                    ))
                } else {
                    SessionError::Restarting
                });
            }
            _ => {}
        }
        if self.log.read_model.session(&session).is_none() {
            return refuse(SessionError::NotFound);
        }
        self.build(session.clone(), ctx);
        let (done, built) = tokio::sync::oneshot::channel();
        if let Some(waiting) = self.cells.get_mut(&session).and_then(|cell| cell.building.as_mut()) {
            waiting.push(done);
        }
        Box::pin(async move { built.await.unwrap_or(Err(SessionError::Restarting)) })
    }
}

impl Handler<StartProcess> for Registry {
    type Result = ResponseActFuture<Self, Result<Addr<AgentProcess>, SessionError>>;

    fn handle(&mut self, request: StartProcess, _: &mut Self::Context) -> Self::Result {
        let session = request.spec.session.clone();
        let generation = self.cells.get(&session).map(|cell| cell.generation);
        let (arbiter, settings) = (self.arbiter_of(&session), self.settings.clone());
        let built = async move {
            let arbiter = arbiter.ok_or(SessionError::Restarting)?;
            cell::build_process(&arbiter, request, settings).await
        };
        Box::pin(built.into_actor(self).map(move |built, registry, ctx| {
            let (address, spawned) = built?;
            let cell = registry.cells.get_mut(&session);
            let current = cell.as_ref().map(|cell| cell.generation) == generation;
            match cell {
                Some(cell) if current && cell.down.is_none() && !registry.closed => {
                    cell.aborts.push(spawned.abort.clone());
                    let generation = cell.generation;
                    let session = session.clone();
                    // It stops when it has reported the end of its program; that is no death.
                    ctx.spawn(spawned.end.into_actor(registry).map(move |end, registry, ctx| {
                        let reason = ExitReason::from(end);
                        if matches!(reason, ExitReason::Panicked(_)) {
                            registry.child_down(&session, generation, reason, ctx);
                        }
                    }));
                    Ok(address)
                }
                _ => {
                    spawned.abort.abort();
                    Err(SessionError::Restarting)
                }
            }
        }))
    }
}

impl Handler<DeleteCell> for Registry {
    type Result = ResponseActFuture<Self, Result<(), SessionError>>;

    fn handle(&mut self, msg: DeleteCell, ctx: &mut Self::Context) -> Self::Result {
        let DeleteCell { session, force } = msg;
        let cell = ctx.address().send(GetCell(session.clone()));
        let closed = async move {
            let cell = cell.await.unwrap_or(Err(SessionError::Restarting))?;
            cell::ask(&cell.session, Close { force }).await.unwrap_or(Err(SessionError::Restarting))
        };
        Box::pin(closed.into_actor(self).then(move |closed, registry, _| {
            if let Err(error) = closed {
                return Box::pin(fut::err(error)) as Self::Result;
            }
            if let Some(cell) = registry.cells.get_mut(&session) {
                cell.ending = true;
            }
            let log = registry.log.clone();
            let spool = registry.settings.agent.spool_root.join(session.as_str());
            let id = session.clone();
            let workspaces = registry.settings.session.workspaces.clone();
            let record = log.read_model.session(&id).map(|entry| entry.record);
            let deleted = async move {
                let existed = log.delete_session(id.clone()).await?;
                let _ = tokio::fs::remove_dir_all(&spool).await;
                // Nobody waits for it; what is left by a crash now can be cleaned up later.
                tokio::spawn(
                    async move { retention::remove_work(&workspaces, &id, record.as_deref()).await },
                );
                if existed { Ok(()) } else { Err(SessionError::NotFound) }
            };
            Box::pin(deleted.into_actor(registry).map(move |deleted, registry, _| {
                registry.drop_cell(&session);
                deleted
            }))
        }))
    }
}

impl Handler<CloseAll> for Registry {
    type Result = ResponseActFuture<Self, ()>;

    fn handle(&mut self, CloseAll { agents }: CloseAll, _: &mut Self::Context) -> Self::Result {
        self.closed = true;
        // Nothing is told any more; what was not, is when the daemon is there again.
        self.kept.iter().filter_map(|kept| kept.abort.as_ref()).for_each(tokio::task::AbortHandle::abort);
        let sessions: Vec<SessionId> = self.cells.keys().cloned().collect();
        let running: Vec<CellAddr> = sessions.iter().filter_map(|id| self.directory.find(id)).collect();
        let settings = self.settings.agent.clone();
        let close = async move {
            if agents {
                let closing = running.iter().map(|cell| cell::ask(&cell.session, Close { force: true }));
                futures_util::future::join_all(closing).await;
                settings.servers.end_all(&settings.spool_root).await;
            }
        };
        Box::pin(close.into_actor(self).map(move |(), registry, _| {
            sessions.iter().for_each(|session| registry.drop_cell(session));
        }))
    }
}
