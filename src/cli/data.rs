//! The data, for commands that need a daemon as little as they mind one: through it where it runs, and else by
//! themselves, with the data folder held.

use tether_actors::log::{Log, LogConfig, LogHandle};

use super::{Context, Failure};
use crate::client::{Client, ClientError};
use crate::config::{self, Settings};
use crate::daemon::Presence;

/// Where the data are.
pub enum Data {
    /// Behind a daemon that runs.
    Daemon(Client),
    /// In the log, which no daemon has.
    Log(Box<OpenLog>),
    /// There are none.
    Nowhere,
}

/// The log, open.
pub struct OpenLog {
    /// It.
    pub log: Log,
    handle: LogHandle,
    /// What a daemon would be started with.
    pub settings: Settings,
}

impl Data {
    /// Looks for them. Without `make`, data that are not there are not made.
    pub async fn find(cx: &Context, make: bool) -> Result<Self, Failure> {
        let (client, target) = (cx.client()?, cx.target()?);
        // Whoever names a daemon means that one.
        let is_unnamed =
            cx.sources.flags.is_empty() && target.named.is_none() && target.url == target.connection.url();
        match client.sessions().await {
            Ok(_) => return Ok(Self::Daemon(client)),
            Err(ClientError::Unreachable { .. }) if is_unnamed => {}
            Err(error) => return Err(error.into()),
        }
        let settings = Settings::read(&cx.sources)?;
        if !make && !settings.data_dir.join("log").exists() {
            return Ok(Self::Nowhere);
        }
        let config =
            LogConfig { floor_bytes: settings.disk_floor_mib << 20, ..LogConfig::new(&settings.data_dir) };
        let (log, handle) = Log::open(config)
            .await
            .map_err(|error| Failure::text(format!("no daemon answers at {}, and {error}", client.url())))?;
        Ok(Self::Log(Box::new(OpenLog { log, handle, settings })))
    }

    /// Whether they lie in the data folder of this machine that the settings name.
    pub fn are_here(&self, cx: &Context) -> bool {
        match self {
            Self::Daemon(client) => {
                let presence = config::data_dir_of(&cx.sources).and_then(|folder| Presence::read(&folder));
                presence.is_some_and(|presence| presence.url == client.url())
            }
            Self::Log(_) | Self::Nowhere => true,
        }
    }

    /// Lets go of them.
    pub async fn close(self) {
        if let Self::Log(open) = self {
            let _ = open.log.drain().await;
            open.handle.stop().await;
        }
    }
}
