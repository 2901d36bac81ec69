//! Opens the real house: takes the port, opens the log, wakes the supervised world, and serves.

use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::dev::ServerHandle;
use tether_actors::agent::AgentSettings;
use tether_actors::log::{Log, LogConfig, LogHandle};
use tether_actors::registry::{CellSettings, World, WorldSettings};
use tether_actors::session::SessionSettings;
use tether_actors::workspace::Workspaces;
use tokio::task::JoinHandle;

use super::agents::catalogue;
use super::{DaemonError, House};
use crate::api;
use crate::config::{Connection, Settings};

/// Threads that serve HTTP: at most this many. Sessions run on half as many; they wait far more than they work,
/// and what is woken together costs less.
const THREADS: usize = 4;

/// The log, the world and the server.
pub struct OpenHouse {
    url: String,
    login_code: String,
    log: LogHandle,
    world: World,
    registry: JoinHandle<()>,
    server: JoinHandle<std::io::Result<()>>,
    stop_server: ServerHandle,
    switch: api::ShutdownSwitch,
}

/// Opens it. The port comes first, because a port in use is the commonest reason to fail and costs nothing.
///
/// # Errors
/// The port or the data folder is in use or cannot be used; the text says what to do.
pub async fn open(settings: &Settings) -> Result<OpenHouse, DaemonError> {
    let started_at = Instant::now();
    let failed = |error: &dyn std::error::Error| DaemonError::House(error.to_string());
    let connection = &settings.connection;
    let bare_host = connection.host.trim_start_matches('[').trim_end_matches(']');
    let listener = api::bind(bare_host, connection.port).map_err(|error| failed(&error))?;
    let url = Connection { port: listener.port(), ..connection.clone() }.url();

    let config =
        LogConfig { floor_bytes: settings.disk_floor_mib << 20, ..LogConfig::new(&settings.data_dir) };
    let (log, log_handle) = Log::open(config).await.map_err(|error| failed(&error))?;
    let (world, registry) = World::open(log, world_settings(settings));

    let bridges = super::bridges::open(settings, &world).await.map_err(DaemonError::House)?;
    let switch = api::ShutdownSwitch::default();
    let server_settings = api::Settings {
        host: connection.host.clone(),
        port: listener.port(),
        token: connection.token.clone().filter(|_| !settings.dev),
        dev: settings.dev,
        allowed_hosts: settings.allowed_hosts.clone(),
        workers: threads(),
        config_file: settings.config_file.clone(),
        log_file: settings.log.file.clone(),
        bridges,
        default_platform: settings.bridges.default_platform.clone(),
        started_at,
        ..api::Settings::default()
    };
    let running = api::serve(listener, world.clone(), server_settings, switch.clone())
        .await
        .map_err(|error| failed(&error))?;
    Ok(OpenHouse {
        url,
        login_code: running.login_code(),
        log: log_handle,
        world,
        registry,
        stop_server: running.handle,
        server: actix::spawn(running.server),
        switch,
    })
}

impl House for OpenHouse {
    fn url(&self) -> String {
        self.url.clone()
    }

    fn login_code(&self) -> String {
        self.login_code.clone()
    }

    async fn ended(&mut self) -> Result<bool, String> {
        tokio::select! {
            stop = self.switch.turned() => Ok(stop.agents),
            _ = &mut self.registry => Err("the registry died, and nothing else supervises the sessions".to_owned()),
            why = self.log.ended() => Err(why),
            served = &mut self.server => Err(match served {
                Ok(Err(error)) => format!("the server stopped: {error}"),
                _ => "the server stopped".to_owned(),
            }),
        }
    }

    async fn close(self, agents: bool) {
        // Streams and sockets are told, or they would hold the server for its whole patience.
        self.switch.turn(api::Stop { agents });
        self.world.shutdown(agents).await;
        self.stop_server.stop(true).await;
        self.log.stop().await;
    }
}

fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from).min(THREADS)
}

fn world_settings(settings: &Settings) -> WorldSettings {
    let seconds = |limit: Option<u64>| limit.map(Duration::from_secs);
    let agents = Arc::new(catalogue(settings));
    let session = SessionSettings {
        agents: agents.clone(),
        budget: settings.restart_budget,
        restart_policy: settings.restart_policy,
        idle_exit: seconds(settings.idle_exit_seconds),
        turn_idle: seconds(settings.session_idle_seconds),
        turn_limit: seconds(settings.turn_timeout_seconds),
        stall: seconds(settings.stall_seconds),
        workspaces: Workspaces::new(settings.git.workspaces(&settings.data_dir)),
    };
    let agent = AgentSettings {
        spool_root: settings.data_dir.join("agents"),
        agents,
        own_secrets: Settings::own_secrets(),
        servers: Arc::default(),
    };
    WorldSettings {
        cells: CellSettings {
            session: Arc::new(session),
            agent: Arc::new(agent),
            approval_limit_seconds: settings
                .approval_timeout_seconds
                .and_then(|limit| i64::try_from(limit).ok()),
        },
        retention: settings.retention_days.map(|days| Duration::from_secs(u64::from(days) * 24 * 3600)),
        threads: (threads() / 2).max(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Sources;

    #[test]
    fn every_setting_reaches_the_world() {
        let environment = [
            ("HOME", "/home/x"),
            ("TETHER_AGENT_SESSION_RETENTION_DAYS", "2"),
            ("TETHER_AGENT_IDLE_EXIT_SECONDS", "3"),
            ("TETHER_AGENT_SESSION_IDLE_SECONDS", "4"),
            ("TETHER_AGENT_TURN_TIMEOUT_SECONDS", "5"),
            ("TETHER_APPROVAL_TIMEOUT_SECONDS", "6"),
            ("TETHER_AGENT_RESTART_LIMIT", "7"),
            ("TETHER_AGENT_CLAUDE_MODEL", "m"),
            ("TETHER_CLAUDE_ARGS", "--a b"),
            ("TETHER_WORKSPACE_MAX_DISK_GB", "2"),
            ("TETHER_REPO_RETENTION_DAYS", "0"),
            ("TETHER_GIT_AUTO_CHECKPOINT", "yes"),
            ("TETHER_GIT_CLONE_TIMEOUT", "8"),
            ("ANTHROPIC_API_KEY", "k"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let settings =
            Settings::read(&Sources::gather(environment.into(), "/".into())).expect("good settings");
        let world = world_settings(&settings);
        assert_eq!(world.retention, Some(Duration::from_secs(2 * 86_400)));
        assert_eq!(world.cells.approval_limit_seconds, Some(6));
        let (session, agent) = (world.cells.session, world.cells.agent);
        assert_eq!(
            (session.idle_exit, session.turn_idle, session.turn_limit),
            (Some(Duration::from_secs(3)), Some(Duration::from_secs(4)), Some(Duration::from_secs(5)))
        );
        assert_eq!(session.budget.restarts, 7);
        let git = session.workspaces.settings();
        assert_eq!((git.max_bytes, git.repo_retention, git.auto_checkpoint), (Some(2 << 30), None, true));
        assert_eq!((git.clone_timeout, git.fetch_timeout), (Duration::from_secs(8), Duration::from_secs(30)));
        assert_eq!(git.workspaces, std::path::Path::new("/home/x/.local/share/tether/workspaces"));
        assert_eq!((git.branch_pattern.as_str(), git.user_name.as_str()), ("tether/{session_id}", "Tether"));
        assert!(git.own_secrets.contains(&"TELEGRAM_BOT_TOKEN".to_owned()));
        let claude = session.agents.entry(None).expect("the default is there");
        assert_eq!((claude.adapter.as_str(), claude.model.as_deref()), ("claude", Some("m")));
        assert_eq!(claude.args, ["--a", "b"]);
        assert_eq!(claude.environment, [("ANTHROPIC_API_KEY".to_owned(), "k".to_owned())]);
        assert!(agent.own_secrets.contains(&"TETHER_AGENT_TOKEN".to_owned()));
        assert!(!agent.own_secrets.contains(&"ANTHROPIC_API_KEY".to_owned()));
        assert_eq!(agent.spool_root, std::path::Path::new("/home/x/.local/share/tether/agents"));
    }
}
