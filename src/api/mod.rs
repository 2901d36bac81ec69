//! HTTP: REST, server-sent events, the WebSocket's handshake and the web app.
//!
//! One file a resource. A request passes `edge` first (host, origin, token), then its route takes it
//! apart with `extract` and asks the supervised world, or reads what is committed from the log's read
//! model. Nothing here decides: refusals are the world's, put into one shape by `error`.

mod addresses;
mod agents;
mod approvals;
mod assets;
mod auth;
mod backup;
mod batch;
mod bridges;
mod debug;
mod devices;
mod diff;
mod directories;
mod edge;
mod error;
mod events;
mod export;
mod external;
mod external_sessions;
mod extract;
mod fields;
mod git;
mod health;
mod hosts;
mod images;
mod import;
mod log_tail;
mod mcp;
mod metrics;
mod once;
mod openapi;
mod pairing;
mod permission;
mod queue;
mod render;
mod routes;
mod server;
mod sessions;
mod setup;
mod shutdown;
mod status;
mod steering;
mod throttle;
mod trust;
mod workspaces;
mod ws;

#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use actix_web::web::Data;
use tether_actors::bridge::Bridges;
use tether_actors::domain::device::Device;
use tether_actors::domain::ids::SessionId;
use tether_actors::log::{Log, SessionEntry};
use tether_actors::registry::World;
use tether_actors::socket::Sockets;

pub use agents::AgentView;
pub use bridges::ChatCode;
pub use directories::existing as existing_directory;
use error::ApiError;
pub use external_sessions::{ExternalSession, SyncAnswer};
pub use server::{BindError, Listener, Running, ServeError, bind, serve};
pub use setup::{
    AgentDone, AgentSetup, AgentSetups, BridgeDone, BridgeVar, BridgeVars, CredentialsDone, sign_in_files,
};
pub use shutdown::{ShutdownSwitch, Stop};
pub use workspaces::{Cleaned, WorkspaceList};

/// What the HTTP side needs to know; the configuration fills it in.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where to listen: a name or address.
    pub host: String,
    /// The port; 0 = any free one.
    pub port: u16,
    /// Where it really listens; filled in when it does.
    pub bound: Vec<std::net::SocketAddr>,
    /// The token that lets in; `None` (`--dev` only) = everybody may.
    pub token: Option<String>,
    /// `--dev`: opens what is for development only.
    pub dev: bool,
    /// More names under which we may be addressed, `name` or `name:port` (a reverse proxy, a tunnel).
    pub allowed_hosts: Vec<String>,
    /// Threads that serve.
    pub workers: usize,
    /// Longest body in bytes.
    pub body_limit: usize,
    /// Longest body in bytes where pictures may be sent.
    pub image_body_limit: usize,
    /// Longest body in bytes of what is to be rendered.
    pub render_body_limit: usize,
    /// After so much silence an event stream says that it is still there.
    pub stream_silence: Duration,
    /// The chat platforms.
    pub bridges: Bridges,
    /// The platform that a session is bound to when nothing is said.
    pub default_platform: Option<String>,
    /// The person's `config.env`, which may not be there yet; `None` without a home directory.
    pub config_file: Option<std::path::PathBuf>,
    /// The file that the daemon logs to, if there is one.
    pub log_file: Option<std::path::PathBuf>,
    /// Our version.
    pub version: &'static str,
    /// When the daemon started.
    pub started_at: Instant,
    /// How long open requests may take when the server stops.
    pub shutdown_timeout: Duration,
}

impl Default for Settings {
    /// Loopback, the usual port, and a token that nobody knows: a caller sets its own.
    fn default() -> Self {
        Self {
            host: "127.0.0.1".into(),
            port: 8787,
            bound: Vec::new(),
            token: Some(pairing::new_token()),
            dev: false,
            allowed_hosts: Vec::new(),
            workers: 2,
            body_limit: 1 << 20,
            image_body_limit: 48 << 20,
            render_body_limit: 8 << 20,
            stream_silence: Duration::from_secs(15),
            bridges: Bridges::default(),
            default_platform: None,
            config_file: None,
            log_file: None,
            version: env!("CARGO_PKG_VERSION"),
            started_at: Instant::now(),
            shutdown_timeout: Duration::from_secs(3),
        }
    }
}

/// What every request can reach; one for all workers.
pub struct Api {
    world: World,
    log: Log,
    settings: Settings,
    hosts: hosts::Hosts,
    cookie_name: String,
    pairing: pairing::Pairing,
    throttle: throttle::Throttle,
    metrics: metrics::Metrics,
    shutdown: ShutdownSwitch,
    sockets: Sockets,
    docs: openapi::Docs,
    renderer: render::Renderer,
    /// The sessions that are being made under idempotency keys.
    making: once::Making,
    mcp: mcp::Endpoint,
}

impl Api {
    /// For a daemon that serves on `settings.port` (the real one, not 0), with the devices that the log knows.
    fn new(world: World, settings: Settings, devices: Vec<Device>, shutdown: ShutdownSwitch) -> Data<Self> {
        let docs = openapi::Docs::default();
        Data::new(Self {
            hosts: hosts::Hosts::new(&settings.host, settings.port, &settings.allowed_hosts),
            // Cookies know no ports, and two daemons may run on one machine.
            cookie_name: format!("tether_{}", settings.port),
            pairing: pairing::Pairing::new(devices),
            throttle: throttle::Throttle::default(),
            metrics: metrics::Metrics::new(docs.names()),
            sockets: Sockets::default(),
            docs,
            renderer: render::Renderer::default(),
            making: once::Making::default(),
            mcp: mcp::Endpoint::new(&settings),
            log: world.log().clone(),
            world,
            settings,
            shutdown,
        })
    }

    /// A session as it stands.
    fn session(&self, id: &SessionId) -> Result<SessionEntry, ApiError> {
        self.log.read_model.session(id).ok_or_else(ApiError::no_session)
    }
}
