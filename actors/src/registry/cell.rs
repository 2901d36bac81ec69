//! A session's cell: its session, gate and process actors, which live and die together.
//!
//! They share state that only the log can put together again, so when one of them dies all three are
//! replaced (one-for-all). The agent program itself is no part of the cell and lives on.

use std::sync::Arc;

use actix::dev::ToEnvelope;
use actix::prelude::*;
use tokio::sync::oneshot;
use tokio::task::{AbortHandle, JoinError, JoinHandle};

use crate::agent::{AgentProcess, AgentSettings, protocols};
use crate::gate::{Book, Gate, GateDeps};
use crate::log::{Loaded, Log};
use crate::session::{Session, SessionDeps, SessionError, SessionSettings, StartProcess};

/// What every cell is built with.
#[derive(Clone)]
pub struct CellSettings {
    /// About sessions.
    pub session: Arc<SessionSettings>,
    /// About agent programs.
    pub agent: Arc<AgentSettings>,
    /// After how many seconds an open question is denied; `None` = never.
    pub approval_limit_seconds: Option<i64>,
}

/// Where to reach a session. Kept by the directory; nobody keeps one across a wait.
#[derive(Clone)]
pub struct CellAddr {
    /// Its session actor.
    pub session: Addr<Session>,
    /// Its gate.
    pub gate: Addr<Gate>,
}

/// A spawned actor's end, to be watched, and a way to end it at once.
pub struct Spawned {
    /// Resolves when it is gone.
    pub end: JoinHandle<()>,
    /// Ends it at the next point where it waits.
    pub abort: AbortHandle,
}

impl Spawned {
    fn new(end: JoinHandle<()>) -> Self {
        Self { abort: end.abort_handle(), end }
    }
}

/// How an actor ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExitReason {
    /// It stopped by itself.
    Stopped,
    /// It was aborted, or its thread ended.
    Aborted,
    /// It panicked, with these words.
    Panicked(String),
}

impl From<Result<(), JoinError>> for ExitReason {
    fn from(end: Result<(), JoinError>) -> Self {
        let Err(error) = end else { return Self::Stopped };
        if !error.is_panic() {
            return Self::Aborted;
        }
        let payload = error.into_panic();
        let text = payload
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| payload.downcast_ref::<String>().cloned());
        Self::Panicked(text.unwrap_or_else(|| "a panic without words".to_owned()))
    }
}

/// Starts the session and its gate on an arbiter.
pub async fn build(
    arbiter: &ArbiterHandle,
    loaded: Loaded,
    log: Log,
    spawner: Recipient<StartProcess>,
    settings: CellSettings,
) -> Option<(CellAddr, [Spawned; 2])> {
    let (done, built) = oneshot::channel();
    arbiter.spawn_fn(move || {
        let session = &loaded.record.session;
        let book = Book::new(
            session.id.clone(),
            session.directory.clone(),
            session.approval_mode,
            loaded.approvals.clone(),
            loaded.grants.clone(),
        );
        let session_context = Context::<Session>::new();
        let deliver = session_context.address().recipient();
        let gate = Gate::new(
            GateDeps {
                session: session.id.clone(),
                log: log.clone(),
                deliver,
                limit_seconds: settings.approval_limit_seconds,
            },
            book,
        );
        let (gate, gate_end) = run(Context::new(), gate);
        let deps = SessionDeps { log, gate: gate.clone(), spawner, settings: settings.session };
        let (session, session_end) = run(session_context, Session::new(deps, loaded));
        let _ = done.send((CellAddr { session, gate }, [session_end, gate_end]));
    });
    built.await.ok()
}

/// Starts a process actor on an arbiter.
pub async fn build_process(
    arbiter: &ArbiterHandle,
    request: StartProcess,
    settings: CellSettings,
) -> Result<(Addr<AgentProcess>, Spawned), SessionError> {
    let protocol = protocols::restore(&request.spec.run.protocol, &request.protocol_state)
        .map_err(SessionError::AgentUnavailable)?;
    let (done, built) = oneshot::channel();
    arbiter.spawn_fn(move || {
        let process = AgentProcess::new(request.spec, settings.agent, request.reports, protocol);
        let _ = done.send(run(Context::new(), process));
    });
    built.await.map_err(|_| SessionError::Restarting)
}

/// Runs an actor so that its end can be watched: actix's own `start` would hide a panic.
pub fn run<A>(context: Context<A>, actor: A) -> (Addr<A>, Spawned)
where
    A: Actor<Context = Context<A>>,
{
    let address = context.address();
    (address, Spawned::new(actix::spawn(context.into_future(actor))))
}

/// Sends a message to an actor of a cell; `None` when it is not there any more.
pub async fn ask<A, M>(address: &Addr<A>, message: M) -> Option<M::Result>
where
    A: Actor + Handler<M>,
    A::Context: ToEnvelope<A, M>,
    M: Message + Send + 'static,
    M::Result: Send,
{
    address.send(message).await.ok()
}
