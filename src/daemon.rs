//! The daemon's life: open the house, say where it is, wait to be told to stop, close it in order.

mod agents;
mod bridges;
mod open;

use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tether_actors::agent::processes;
use tokio::signal::unix::{SignalKind, signal};

pub use agents::catalogue;
pub use open::{OpenHouse, open};

use crate::config::{Settings, file};

/// How long an orderly end may take when the agents go on.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long it may take when the agents are ended too, each by its own ladder.
const PATIENCE_WITH_AGENTS: Duration = Duration::from_secs(20);

/// What serves: the supervised world with the HTTP before it.
pub trait House {
    /// Where it listens, without a slash at the end.
    fn url(&self) -> String;

    /// A code that logs one browser in.
    fn login_code(&self) -> String;

    /// Resolves when it was asked to end (with whether the agents shall end too), or cannot go on.
    fn ended(&mut self) -> impl Future<Output = Result<bool, String>>;

    /// Ends it in order: no new work, browsers told, sessions and log closed. The flag is whether the agents
    /// end too.
    fn close(self, agents: bool) -> impl Future<Output = ()>;
}

/// Why the daemon did not start, or ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// Its data folder.
    #[error("the data folder {} cannot be used: {cause}", path.display())]
    Data {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        cause: String,
    },
    /// The house could not be opened, or fell; the text says why.
    #[error("{0}")]
    House(String),
}

/// Where a running daemon says that it is: `<data>/daemon.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Presence {
    /// Its process.
    pub pid: u32,
    /// Where it listens.
    pub url: String,
    /// Its version.
    pub version: String,
}

impl Presence {
    /// What the last daemon on this data folder left; it may be gone.
    pub fn read(data_dir: &Path) -> Option<Self> {
        serde_json::from_slice(&std::fs::read(place(data_dir)).ok()?).ok()
    }

    /// Whether its process runs. One that has ended is gone, also while its parent has not asked how.
    pub fn is_alive(&self) -> bool {
        if let Some(found) = processes::entry(self.pid) {
            return !found.ended;
        }
        // Nothing is told of it: it is gone, or it is another user's in a system that hides those.
        let pid = i32::try_from(self.pid).ok().and_then(rustix::process::Pid::from_raw);
        // Not ours to signal is there all the same.
        pid.is_some_and(|pid| {
            !matches!(rustix::process::test_kill_process(pid), Err(rustix::io::Errno::SRCH))
        })
    }

    fn write(&self, data_dir: &Path) -> io::Result<()> {
        let fresh = data_dir.join(format!(".daemon.json.{}", self.pid));
        file::write_private(&fresh, serde_json::to_string(self)?.as_bytes())?;
        std::fs::rename(&fresh, place(data_dir))
    }

    /// Takes the file away, unless it is somebody else's by now.
    fn remove(&self, data_dir: &Path) {
        if Self::read(data_dir).as_ref() == Some(self) {
            let _ = std::fs::remove_file(place(data_dir));
        }
    }
}

fn place(data_dir: &Path) -> PathBuf {
    data_dir.join("daemon.json")
}

/// The file that a daemon in the background logs to when none is configured.
pub fn detached_log(data_dir: &Path) -> PathBuf {
    data_dir.join("daemon.log")
}

/// Runs the daemon until it is told to stop. `announce` is called once it serves.
///
/// SIGINT, SIGTERM and SIGHUP end it in order and leave the agents running; a second one ends the process at
/// once with 1.
///
/// # Errors
/// It could not start, or something fell that nothing supervises.
pub async fn run<H, O>(settings: &Settings, open: O, announce: impl FnOnce(&H)) -> Result<(), DaemonError>
where
    H: House,
    O: AsyncFnOnce(&Settings) -> Result<H, DaemonError>,
{
    let data_dir = settings.data_dir.as_path();
    let unusable =
        |error: io::Error| DaemonError::Data { path: data_dir.to_owned(), cause: error.to_string() };
    let mut signals = Signals::listen().map_err(|error| DaemonError::House(error.to_string()))?;
    file::private_folder(data_dir).map_err(unusable)?;
    for text in &settings.warnings {
        tracing::warn!("{text}");
    }
    for text in &settings.notes {
        tracing::info!("{text}");
    }
    let mut house = open(settings).await?;
    let presence =
        Presence { pid: std::process::id(), url: house.url(), version: env!("CARGO_PKG_VERSION").to_owned() };
    presence.write(data_dir).map_err(unusable)?;
    tracing::info!(url = presence.url, data = %data_dir.display(), version = presence.version, "tether serves");
    announce(&house);

    let why = tokio::select! {
        name = signals.next() => {
            tracing::info!(signal = name, "stopping; once more ends it at once");
            Ok(false)
        }
        ended = house.ended() => ended,
    };
    let agents = *why.as_ref().unwrap_or(&false);
    let patience = if agents { PATIENCE_WITH_AGENTS } else { PATIENCE };
    tokio::select! {
        () = house.close(agents) => tracing::info!("stopped"),
        () = tokio::time::sleep(patience) => tracing::error!(seconds = patience.as_secs(), "it took too long to stop"),
        name = signals.next() => {
            tracing::warn!(signal = name, "ended at once");
            presence.remove(data_dir);
            std::process::exit(1);
        }
    }
    presence.remove(data_dir);
    why.map(drop).map_err(DaemonError::House)
}

/// The signals that end the daemon.
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    hangup: tokio::signal::unix::Signal,
}

impl Signals {
    fn listen() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.hangup.recv() => "SIGHUP",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;

    use super::*;
    use crate::config::Sources;

    fn settings(data_dir: &Path) -> Settings {
        let environment = [
            ("HOME".to_owned(), data_dir.display().to_string()),
            ("TETHER_AGENT_DATA_DIR".to_owned(), data_dir.join("data").display().to_string()),
        ];
        Settings::read(&Sources::gather(environment.into(), data_dir.to_owned())).expect("good settings")
    }

    /// A house that ends as told, and remembers how it was closed.
    struct Stage {
        ends: Result<bool, String>,
        closed: Rc<Cell<Option<bool>>>,
    }

    impl House for Stage {
        fn url(&self) -> String {
            "http://127.0.0.1:1".into()
        }
        fn login_code(&self) -> String {
            "ABCD".into()
        }
        async fn ended(&mut self) -> Result<bool, String> {
            self.ends.clone()
        }
        async fn close(self, agents: bool) {
            self.closed.set(Some(agents));
        }
    }

    fn house(ends: Result<bool, String>, closed: &Rc<Cell<Option<bool>>>) -> Stage {
        Stage { ends, closed: closed.clone() }
    }

    #[tokio::test]
    async fn a_daemon_says_where_it_is_while_it_serves_and_not_after() {
        let folder = tempfile::tempdir().expect("a folder");
        let settings = settings(folder.path());
        let closed = Rc::default();
        let told = Cell::new(None);
        run(
            &settings,
            async |_| Ok(house(Ok(true), &closed)),
            |_| told.set(Presence::read(&settings.data_dir)),
        )
        .await
        .expect("an orderly end");
        let told = told.take().expect("it was there when it was announced");
        assert_eq!((told.pid, told.url.as_str()), (std::process::id(), "http://127.0.0.1:1"));
        assert!(told.is_alive());
        assert_eq!(closed.get(), Some(true), "the agents were to be ended");
        assert_eq!(Presence::read(&settings.data_dir), None);
    }

    #[tokio::test]
    async fn a_house_that_falls_is_closed_and_its_end_is_an_error() {
        let folder = tempfile::tempdir().expect("a folder");
        let settings = settings(folder.path());
        let closed = Rc::default();
        let error = run(&settings, async |_| Ok(house(Err("the log died".into()), &closed)), |_| ()).await;
        assert_eq!(error.expect_err("it fell").to_string(), "the log died");
        assert_eq!(closed.get(), Some(false));
    }

    #[tokio::test]
    async fn a_data_folder_that_cannot_be_made_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let settings = settings(folder.path());
        std::fs::write(&settings.data_dir, "a file").expect("written");
        let closed = Rc::default();
        let error =
            run(&settings, async |_| Ok(house(Ok(false), &closed)), |_| ()).await.expect_err("no folder");
        assert!(error.to_string().contains(&settings.data_dir.display().to_string()), "{error}");
    }

    #[test]
    fn a_process_that_is_gone_is_not_alive() {
        let mut child = std::process::Command::new("true").spawn().expect("spawned");
        let presence = Presence { pid: child.id(), url: String::new(), version: String::new() };
        child.wait().expect("ended");
        assert!(!presence.is_alive());
    }

    #[test]
    fn a_process_that_has_ended_is_gone_before_its_parent_asks_how() {
        use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

        let mut child = std::process::Command::new("sleep").arg("60").spawn().expect("spawned");
        let presence = Presence { pid: child.id(), url: String::new(), version: String::new() };
        assert!(presence.is_alive());
        child.kill().expect("killed");
        // Looks, and leaves it to be asked for.
        let id = WaitId::Pid(Pid::from_child(&child));
        waitid(id, WaitIdOptions::EXITED | WaitIdOptions::NOWAIT).expect("it ended");
        assert!(!presence.is_alive());
        child.wait().expect("collected only now");
    }
}
