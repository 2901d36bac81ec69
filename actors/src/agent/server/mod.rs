//! Agents that are served by one program for many sessions, over HTTP and server-sent events on the loopback
//! address: OpenCode.
//!
//! There are at most two such servers: one for directories whose own settings, hooks and plugins count, and one for
//! all others. A server is started when the first session needs it, and ended a while after the last one gave it back.
//! It outlives the daemon: where it listens, its password and its process stand in a private file, by which the next
//! daemon finds it again. When it dies, the sessions that used it come for another one, and that one is started after
//! a delay that grows with each death; while that delay is long they are refused, with words.
//!
//! Who has a `Lease` may use it. It is no part of any session's processes: its environment carries a marker of its
//! own, and what its tools start carries the session's (see `opencode/tether.js`).

mod address;
mod bring_up;
mod events;
mod link;
mod start;
#[cfg(test)]
mod tests;
pub mod wire;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{Mutex, watch};
use tokio::time::Instant;
use tracing::{info, warn};

pub(super) use self::bring_up::bring_up;
pub(super) use self::link::ServerLink;

use self::address::Address;
use super::processes::{self, Identity};
use super::program::{Exit, Program};
use super::protocol::Launch;
use super::spool::Spool;
use super::tree;
use crate::domain::restart::{EndCause, RestartBudget};

/// How long a server goes on that nobody uses: a session that is replaced, or an agent that is restarted, comes back
/// within it.
const LINGER: Duration = Duration::from_secs(20);
/// So long after the start of the daemon a server that nobody came for is ended.
const UNCLAIMED: Duration = Duration::from_secs(60);
/// How long between terminate and kill.
const TERM_GRACE: Duration = Duration::from_secs(2);
/// Whoever comes for a server that died just now waits for so long at the most; else it is refused.
const PATIENCE: Duration = Duration::from_secs(5);
/// How deaths delay the next start.
const BUDGET: RestartBudget =
    RestartBudget { restarts: 5, window_seconds: 600, first_delay_ms: 250, longest_delay_ms: 60_000 };

/// All servers.
#[derive(Default)]
pub struct Servers {
    plain: Mutex<Slot>,
    trusted: Mutex<Slot>,
}

/// One of them, or the place for it.
#[derive(Default)]
struct Slot {
    server: Option<Arc<Server>>,
    /// When servers died here lately.
    deaths: Vec<Instant>,
    /// How the last one did.
    words: String,
}

/// A server that runs, or ran.
struct Server {
    address: Address,
    spool: Spool,
    end: watch::Receiver<Option<Exit>>,
    leases: AtomicUsize,
    /// Whether its end was wanted.
    asked: AtomicBool,
}

/// What is to be started, should no server be there.
pub(super) struct Wanted {
    /// Where the servers' folders are.
    pub(super) root: PathBuf,
    /// Whether it takes what projects bring along.
    pub(super) trusted: bool,
    /// How it is started; its files are laid into [`folder`].
    pub(super) launch: Launch,
    /// Names of our own secrets, which it does not get.
    pub(super) own_secrets: Vec<String>,
}

/// Why there is no server.
#[derive(Debug)]
pub(super) struct ServerError {
    /// What kind of end that is for the session that wanted it.
    pub(super) cause: EndCause,
    /// What happened and what to do.
    pub(super) message: String,
}

impl ServerError {
    fn crash(message: String) -> Self {
        Self { cause: EndCause::Crash, message }
    }
}

/// The folder of a server, in which its spool and its address lie.
pub(super) fn folder(root: &Path, trusted: bool) -> PathBuf {
    root.join("opencode").join(if trusted { "trusted" } else { "plain" })
}

impl Servers {
    /// A server to use: the one that runs, the one that an earlier daemon left, or a new one.
    pub(super) async fn lease(self: &Arc<Self>, wanted: Wanted) -> Result<Lease, ServerError> {
        // In a task of its own: when whoever wants it goes away meanwhile, it is given back, not left half started.
        let leased = tokio::spawn(self.clone().lease_or_start(wanted)).await;
        leased.unwrap_or_else(|error| Err(ServerError::crash(format!("OpenCode's server: {error}"))))
    }

    async fn lease_or_start(self: Arc<Self>, wanted: Wanted) -> Result<Lease, ServerError> {
        let folder = folder(&wanted.root, wanted.trusted);
        // Held during the start: whoever comes meanwhile gets the same one.
        let mut slot = self.slot(wanted.trusted).lock().await;
        slot.look();
        if slot.server.is_none()
            && let Some(server) = Server::found(&folder).await
        {
            if server.answers().await {
                info!(pid = server.address.pid, "the server of an earlier daemon is used again");
                slot.server = Some(Arc::new(server));
            } else {
                warn!(pid = server.address.pid, "the server of an earlier daemon does not answer, ending it");
                server.end().await;
            }
        }
        let server = match &slot.server {
            Some(server) => server.clone(),
            None => {
                slot.wait_after_deaths().await?;
                start::clear(&folder).await;
                match start::start(&folder, wanted).await {
                    Ok(server) => slot.server.insert(Arc::new(server)).clone(),
                    Err(error) => {
                        slot.died(error.message.clone());
                        return Err(error);
                    }
                }
            }
        };
        Ok(self.leased(server))
    }

    /// The server that a session used before the daemon or its actors died; `None` = it is gone.
    pub(super) async fn find(self: &Arc<Self>, root: &Path, process: Identity) -> Option<Lease> {
        for trusted in [false, true] {
            let mut slot = self.slot(trusted).lock().await;
            slot.look();
            if slot.server.is_none()
                && let Some(server) = Server::found(&folder(root, trusted)).await
            {
                slot.server = Some(Arc::new(server));
            }
            if let Some(server) = slot.server.as_ref().filter(|server| server.address.identity() == process) {
                return Some(self.leased(server.clone()));
            }
        }
        None
    }

    /// Ends every server, used or not. Answered when they are gone.
    pub(crate) async fn end_all(&self, root: &Path) {
        for trusted in [false, true] {
            let mut slot = self.slot(trusted).lock().await;
            if let Some(server) = slot.server.take() {
                server.end().await;
            }
            // Also what an earlier daemon left, or a start that was not finished.
            start::clear(&folder(root, trusted)).await;
        }
    }

    /// Ends servers that an earlier daemon left, once everybody had time to come for them.
    pub(crate) async fn end_unclaimed(&self, root: &Path) {
        tokio::time::sleep(UNCLAIMED).await;
        self.end_left(root).await;
    }

    /// Ends servers that an earlier daemon left and that nobody has come for yet.
    async fn end_left(&self, root: &Path) {
        for trusted in [false, true] {
            let slot = self.slot(trusted).lock().await;
            if slot.server.is_none() {
                start::clear(&folder(root, trusted)).await;
            }
        }
    }

    fn slot(&self, trusted: bool) -> &Mutex<Slot> {
        if trusted { &self.trusted } else { &self.plain }
    }

    fn leased(self: &Arc<Self>, server: Arc<Server>) -> Lease {
        server.leases.fetch_add(1, Ordering::SeqCst);
        Lease { servers: self.clone(), server }
    }

    /// Ends a server that nobody came back to.
    async fn linger(self: Arc<Self>, server: Arc<Server>) {
        tokio::time::sleep(LINGER).await;
        for trusted in [false, true] {
            let mut slot = self.slot(trusted).lock().await;
            let this = slot.server.as_ref().is_some_and(|known| Arc::ptr_eq(known, &server));
            if this && server.leases.load(Ordering::SeqCst) == 0 {
                info!(pid = server.address.pid, "nobody uses the server any more, ending it");
                slot.server = None;
                server.end().await;
            }
        }
    }
}

impl Slot {
    /// Forgets a server that has ended.
    fn look(&mut self) {
        let Some(server) = self.server.take_if(|server| server.exit().is_some()) else { return };
        if !server.asked.load(Ordering::SeqCst) {
            self.died(server.last_words());
        }
    }

    fn died(&mut self, words: String) {
        self.deaths.push(Instant::now());
        self.words = words;
    }

    /// After a death, and the longer the more there were lately.
    async fn wait_after_deaths(&mut self) -> Result<(), ServerError> {
        let window = Duration::from_secs(BUDGET.window_seconds.unsigned_abs());
        self.deaths.retain(|at| at.elapsed() < window);
        let Some(last) = self.deaths.last() else { return Ok(()) };
        let delay = Duration::from_millis(BUDGET.delay_ms(self.deaths.len())).saturating_sub(last.elapsed());
        if delay > PATIENCE {
            return Err(ServerError::crash(format!(
                "OpenCode's server died {} times within {} minutes and is not started before {} s have passed; \
                 the last time: {}; run `opencode serve` by hand to see why, then send an input",
                self.deaths.len(),
                window.as_secs() / 60,
                delay.as_secs() + 1,
                self.words,
            )));
        }
        tokio::time::sleep(delay).await;
        Ok(())
    }
}

impl Server {
    fn new(address: Address, spool: Spool, mut program: Program) -> Self {
        let (tell, end) = watch::channel(None);
        // Ends with the program, or with the daemon.
        tokio::spawn(async move {
            let exit = program.ended().await;
            tell.send_replace(Some(exit));
        });
        Self { address, spool, end, leases: AtomicUsize::new(0), asked: AtomicBool::new(false) }
    }

    /// The one whose address lies in this folder, if it still runs.
    async fn found(folder: &Path) -> Option<Self> {
        let address = Address::read(folder).await?;
        let spool = Spool::open(folder).ok()?;
        let program = Program::adopt(address.identity())?;
        processes::is_alive(address.identity()).then(|| Self::new(address, spool, program))
    }

    fn exit(&self) -> Option<Exit> {
        *self.end.borrow()
    }

    /// How it ended, in words.
    fn last_words(&self) -> String {
        let exit = self.exit().unwrap_or_default();
        let how = match (exit.code, exit.signal) {
            (_, Some(signal)) => format!("it was killed by signal {signal}"),
            (Some(code), None) => format!("it ended with code {code}"),
            (None, None) => "it ended".to_owned(),
        };
        match self.spool.stderr_tail().last() {
            Some(line) => format!("{how} and said {line:?}"),
            None => how,
        }
    }

    /// Whether it answers with its password.
    async fn answers(&self) -> bool {
        start::answers(&self.address).await
    }

    /// Ends it with all that it started and what still bears its marker.
    async fn end(&self) {
        self.asked.store(true, Ordering::SeqCst);
        let ended = tree::end_tree(&self.address.run, Some(self.address.identity()), TERM_GRACE).await;
        if !ended.survivors.is_empty() {
            warn!(survivors = ?ended.survivors, "could not end all that the server started");
        }
        let _ = tokio::fs::remove_dir_all(self.spool.dir()).await;
    }
}

/// The right to use a server; given back when dropped.
pub(super) struct Lease {
    servers: Arc<Servers>,
    server: Arc<Server>,
}

impl Lease {
    fn address(&self) -> &Address {
        &self.server.address
    }

    /// Its process.
    pub(super) fn identity(&self) -> Identity {
        self.server.address.identity()
    }

    /// Where its spool lies, and what was laid beside it.
    fn folder(&self) -> &Path {
        self.server.spool.dir()
    }

    /// Waits for its end; told again at once if it has ended. Cancel-safe.
    async fn ended(&self) -> Exit {
        let mut end = self.server.end.clone();
        match end.wait_for(Option::is_some).await {
            Ok(exit) => exit.unwrap_or_default(),
            // The watch died with its thread, and with it this one's.
            Err(_) => std::future::pending().await,
        }
    }

    fn stderr_tail(&self) -> Vec<String> {
        self.server.spool.stderr_tail()
    }

    /// It does not answer any more: it is killed, which all who use it notice.
    async fn give_up(&self) {
        warn!(pid = self.identity().pid, "the server does not answer any more, ending it");
        tree::end_tree(&self.server.address.run, Some(self.identity()), Duration::ZERO).await;
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let last = self.server.leases.fetch_sub(1, Ordering::SeqCst) == 1;
        if last && let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(self.servers.clone().linger(self.server.clone()));
        }
    }
}
