//! Home, model and daemon together: where a scenario begins.

use std::path::{Path, PathBuf};

use tokio::sync::{Semaphore, SemaphorePermit};

use super::{Api, Daemon, Event, Home, Model, Transcript, cli, eventually, process};

/// How many scenarios may have real agents at once: each is about 200 MB and most of a core at its start.
static AGENTS: Semaphore = Semaphore::const_new(3);

/// A running daemon in a fresh home. The fields are dropped in this order.
pub struct Stage {
    pub daemon: Daemon,
    model: Option<Model>,
    pub api: Api,
    pub home: Home,
    _permit: Option<SemaphorePermit<'static>>,
}

impl Stage {
    /// With a model, for scenarios that start real agents.
    pub async fn with_agents() -> Self {
        Self::with_agents_in(Home::new()).await
    }

    /// The same in a home that was prepared.
    pub async fn with_agents_in(home: Home) -> Self {
        let permit = AGENTS.acquire().await.expect("the semaphore is never closed");
        let model = Model::start(&home);
        Self::open(home, Some(model), Some(permit)).await
    }

    /// Without a model: no agent can be started.
    pub async fn bare() -> Self {
        Self::bare_in(Home::new()).await
    }

    /// The same in a home that was prepared.
    pub async fn bare_in(home: Home) -> Self {
        Self::open(home, None, None).await
    }

    async fn open(home: Home, model: Option<Model>, permit: Option<SemaphorePermit<'static>>) -> Self {
        if let Some(model) = &model {
            home.lay_settings(model.port);
        }
        let mut daemon = Daemon::new(&home, model.as_ref().map(|model| model.port));
        daemon.start().await;
        Self { daemon, model, api: Api::new(&home), home, _permit: permit }
    }

    /// The scripted model.
    pub fn model(&self) -> &Model {
        self.model.as_ref().expect("this stage was made with agents")
    }

    /// A file in the work folder.
    pub fn file(&self, name: &str) -> PathBuf {
        self.home.work().join(name)
    }

    /// Makes a session in the work folder and follows it.
    pub async fn session(&self) -> (String, Transcript) {
        let id = self.api.create(&self.home.work()).await;
        let transcript = self.follow(&id);
        (id, transcript)
    }

    /// Makes a session, starts it with a prompt and follows it.
    pub async fn started(&self, prompt: &str) -> (String, Transcript) {
        let (id, transcript) = self.session().await;
        self.api.start(&id, prompt).await;
        (id, transcript)
    }

    /// Makes a session of another agent than the default in the work folder and follows it.
    pub async fn session_of(&self, adapter: &str) -> (String, Transcript) {
        let id = self.api.create_of(adapter, &self.home.work()).await;
        let transcript = self.follow(&id);
        (id, transcript)
    }

    pub fn follow(&self, session: &str) -> Transcript {
        Transcript::new(&self.api, session)
    }

    /// The processes of [`lasts`] that run.
    pub fn lasting(&self, number: u32) -> Vec<u32> {
        process::running(&format!("time.sleep({number})"), &self.home.mark)
    }

    /// Waits until both processes of [`lasts`] run.
    pub async fn lasting_runs(&self, number: u32) {
        eventually("the tool and what it started run", 20, || async {
            (self.lasting(number).len() >= 2).then_some(())
        })
        .await;
    }

    /// Waits until no process of [`lasts`] runs.
    pub async fn lasting_is_gone(&self, number: u32) {
        eventually("the tool and what it started are gone", 20, || async {
            self.lasting(number).is_empty().then_some(())
        })
        .await;
    }

    /// Runs the command line in the home.
    pub async fn cli(&self, args: &[&str]) -> cli::Said {
        cli::tether(&self.home, args).await
    }

    /// The agent programs (and what they started) that run in this home, by the marker that they carry.
    pub fn marked(&self) -> Vec<u32> {
        process::carriers_of("TETHER_RUN", &self.home.mark)
    }
}

/// The process id in the newest `agent_started`.
pub fn agent_pid(events: &[Event]) -> u32 {
    let started = events.iter().rfind(|event| event.kind == "agent_started").expect("an agent was started");
    let pid = started.data["pid"].as_u64().expect("agent_started names the process");
    pid.try_into().expect("a process id")
}

/// The directive that adds a line to a file. Such a command is always asked about.
pub fn appends(line: &str, file: &Path) -> String {
    format!("SHELL echo {line} >> {}", file.display())
}

/// The directive for a command that does not end by itself: one process behind it and one that it waits for,
/// both with `number` in their command line. (The agent refuses a plain `sleep`.)
pub fn lasts(number: u32) -> String {
    let sleeps = format!("python3 -c 'import time; time.sleep({number})'");
    format!("SHELL {sleeps} & {sleeps}")
}
