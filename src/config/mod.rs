//! Layered settings, read once into one typed value.
//!
//! Highest first: flags; the environment; `./.env`; `$XDG_CONFIG_HOME/tether/config.env` or
//! `~/.config/tether/config.env`; the default. [`table`] declares every setting, [`mod@file`] knows the
//! syntax, [`sources`] the layers. A wrong value is an error, never a silent default.

pub mod agents;
pub mod bridges;
mod chat;
pub mod docs;
pub mod file;
pub mod git;
pub mod naming;
pub mod servers;
pub mod sources;
pub mod table;
pub mod yaml;

#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use tether_actors::domain::restart::{RestartBudget, RestartPolicy};

pub use agents::AgentsSettings;
pub use bridges::BridgesSettings;
pub use git::GitSettings;
pub use sources::{Found, Origin, Sources, Wrong};

/// How to reach the daemon: all that most commands need.
#[derive(Clone, PartialEq, Eq)]
pub struct Connection {
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Bearer token; `None` = none is sent.
    pub token: Option<String>,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection")
            .field("host", &self.host)
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}

impl Connection {
    /// The base address. An address that means "all interfaces" is reached at loopback.
    pub fn url(&self) -> String {
        format!("http://{}", self.authority())
    }

    /// `host:port`, fit for a URL.
    pub fn authority(&self) -> String {
        let bare = self.host.trim_start_matches('[').trim_end_matches(']');
        match bare.parse::<IpAddr>() {
            Ok(IpAddr::V4(address)) if address.is_unspecified() => format!("127.0.0.1:{}", self.port),
            Ok(IpAddr::V6(address)) if address.is_unspecified() => format!("[::1]:{}", self.port),
            Ok(IpAddr::V6(address)) => format!("[{address}]:{}", self.port),
            _ => format!("{bare}:{}", self.port),
        }
    }

    /// Whether the host is this machine and nothing else.
    pub fn is_loopback(&self) -> bool {
        is_loopback(&self.host)
    }
}

/// Whether a host names this machine and nothing else.
pub fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare.eq_ignore_ascii_case("localhost")
        || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// How the log looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Console,
    /// One JSON object a line.
    Json,
}

/// Where the log goes, and how much of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSettings {
    /// The least important level that is logged.
    pub level: tracing::Level,
    /// How it looks.
    pub format: LogFormat,
    /// A file that gets it as well.
    pub file: Option<PathBuf>,
}

/// Every setting of the daemon, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Where it listens, and its token.
    pub connection: Connection,
    /// Further host names under which it may be reached.
    pub allowed_hosts: Vec<String>,
    /// No token is asked for; only ever with a loopback host.
    pub dev: bool,
    /// The data folder, absolute.
    pub data_dir: PathBuf,
    /// Sessions without activity for this many days are deleted; `None` = never.
    pub retention_days: Option<u32>,
    /// Free disk in MiB below which new work is refused.
    pub disk_floor_mib: u64,
    /// The log.
    pub log: LogSettings,
    /// Seconds after which an unanswered approval is denied; `None` = it waits.
    pub approval_timeout_seconds: Option<u64>,
    /// Seconds without activity after which a running session is interrupted; `None` = never.
    pub session_idle_seconds: Option<u64>,
    /// Seconds of silence of a running agent after which people are told; `None` = never.
    pub stall_seconds: Option<u64>,
    /// Seconds after which a turn is interrupted; `None` = never.
    pub turn_timeout_seconds: Option<u64>,
    /// The agents.
    pub agents: AgentsSettings,
    /// The chat platforms.
    pub bridges: BridgesSettings,
    /// Seconds of idleness after which an agent program is ended; `None` = never.
    pub idle_exit_seconds: Option<u64>,
    /// Repositories and work trees.
    pub git: GitSettings,
    /// What to do when an agent crashed in mid-turn.
    pub restart_policy: RestartPolicy,
    /// How often it may crash.
    pub restart_budget: RestartBudget,
    /// The person's `config.env`, which may not exist; `None` without a home folder.
    pub config_file: Option<PathBuf>,
    /// What people should hear about their configuration.
    pub warnings: Vec<String>,
    /// What they may hear.
    pub notes: Vec<String>,
}

/// Why the configuration cannot be used. One line for each reason.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// Wrong values, all of them.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Wrong(Vec<Wrong>),
    /// Values that do not go together, or a place that cannot be found; the text says what to do.
    #[error("{0}")]
    Conflict(String),
}

/// Reads single settings and remembers what was wrong.
struct Reader<'a> {
    sources: &'a Sources,
    wrong: Vec<Wrong>,
}

impl<'a> Reader<'a> {
    fn new(sources: &'a Sources) -> Self {
        Self { sources, wrong: Vec::new() }
    }

    fn found(&mut self, name: &'static str) -> Option<Found> {
        let setting = table::find(name)?;
        self.sources.checked(setting).unwrap_or_else(|wrong| {
            self.wrong.push(wrong);
            None
        })
    }

    /// What was set, else the table's default; empty = neither.
    fn text(&mut self, name: &'static str) -> String {
        let default = table::find(name).map_or("", |setting| setting.default);
        self.found(name).map_or_else(|| default.to_owned(), |found| found.value)
    }

    fn optional(&mut self, name: &'static str) -> Option<String> {
        self.found(name).map(|found| found.value)
    }

    fn word(&mut self, name: &'static str) -> String {
        self.text(name).to_ascii_lowercase()
    }

    /// The check has seen to the bounds, so a number always parses.
    fn number<N: TryFrom<i64> + Default>(&mut self, name: &'static str) -> N {
        self.text(name).parse::<i64>().ok().and_then(|number| N::try_from(number).ok()).unwrap_or_default()
    }

    /// A limit for which 0 (or less) means none.
    fn limit<N: TryFrom<i64> + Default + PartialEq>(&mut self, name: &'static str) -> Option<N> {
        Some(self.number(name)).filter(|number| *number != N::default())
    }

    fn path(&mut self, name: &'static str) -> Option<PathBuf> {
        let text = self.optional(name)?;
        Some(match (text.strip_prefix("~/"), &self.sources.home) {
            (Some(rest), Some(home)) => home.join(rest),
            _ => self.sources.working_dir.join(text),
        })
    }

    /// A program: a bare name is left to be searched for.
    fn program(&mut self, name: &'static str) -> Option<PathBuf> {
        let bare = self.optional(name).filter(|text| !text.contains('/')).map(PathBuf::from);
        bare.or_else(|| self.path(name))
    }

    fn connection(&mut self) -> Connection {
        Connection {
            host: self.text("TETHER_AGENT_HOST"),
            port: self.number("TETHER_AGENT_PORT"),
            token: self.optional("TETHER_AGENT_TOKEN"),
        }
    }

    fn finish<T>(self, value: T) -> Result<T, ConfigError> {
        if self.wrong.is_empty() { Ok(value) } else { Err(ConfigError::Wrong(self.wrong)) }
    }
}

impl Connection {
    /// How to reach the daemon. Only what that takes is looked at, so that a slip elsewhere in the
    /// configuration does not keep anybody from looking at their sessions.
    ///
    /// # Errors
    /// A wrong value, or a host that `./.env` chose for a token that it did not: entering a cloned
    /// project must not hand the token to a stranger.
    pub fn read(sources: &Sources) -> Result<Self, ConfigError> {
        let mut reader = Reader::new(sources);
        let connection = reader.connection();
        let origin = |name| sources.find_name(name).map(|found| found.origin);
        let (host, token) = (origin("TETHER_AGENT_HOST"), origin("TETHER_AGENT_TOKEN"));
        let connection = reader.finish(connection)?;
        if let (Some(host @ Origin::Local(..)), Some(_)) = (&host, &connection.token)
            && !matches!(token, Some(Origin::Local(..)))
            && !connection.is_loopback()
        {
            return Err(ConfigError::Conflict(format!(
                "TETHER_AGENT_HOST is {:?} ({host}), and your token is not from there: it is not sent to a host \
                 that a project chose; give the host with -H if it is yours",
                connection.host
            )));
        }
        Ok(connection)
    }
}

/// `TETHER_API_URL`: where the daemon is that the MCP server talks to, if the person said so.
///
/// # Errors
/// It is no address of an HTTP service.
pub fn api_url(sources: &Sources) -> Result<Option<String>, ConfigError> {
    let mut reader = Reader::new(sources);
    let url = reader.optional("TETHER_API_URL");
    reader.finish(url)
}

/// `TETHER_MCP_DEBUG_IO`: whether the MCP server tells what goes through it.
///
/// # Errors
/// It is neither yes nor no.
pub fn mcp_debug_io(sources: &Sources) -> Result<bool, ConfigError> {
    let mut reader = Reader::new(sources);
    let flag = sources::flag(&reader.text("TETHER_MCP_DEBUG_IO")).unwrap_or(false);
    reader.finish(flag)
}

impl Settings {
    /// Reads and checks everything.
    ///
    /// # Errors
    /// See [`ConfigError`]; all wrong values are reported at once.
    pub fn read(sources: &Sources) -> Result<Self, ConfigError> {
        let mut reader = Reader::new(sources);
        let (mut warnings, notes) = sources.remarks();
        let bridges = BridgesSettings::read(&mut reader);
        warnings.extend(bridges.problems.iter().cloned());
        let data_dir = reader.path("TETHER_AGENT_DATA_DIR").or_else(|| data_dir(sources));
        let settings = Self {
            connection: reader.connection(),
            allowed_hosts: sources::hosts(&reader.text("TETHER_AGENT_ALLOWED_HOSTS")),
            dev: sources::flag(&reader.text("TETHER_AGENT_DEV_MODE")).unwrap_or(false),
            data_dir: data_dir.clone().unwrap_or_default(),
            retention_days: reader.limit("TETHER_AGENT_SESSION_RETENTION_DAYS"),
            disk_floor_mib: reader.number("TETHER_AGENT_DISK_FLOOR_MB"),
            log: LogSettings {
                level: level(&reader.word("TETHER_AGENT_LOG_LEVEL")),
                format: match reader.word("TETHER_AGENT_LOG_FORMAT").as_str() {
                    "json" => LogFormat::Json,
                    _ => LogFormat::Console,
                },
                file: reader.path("TETHER_AGENT_LOG_FILE"),
            },
            approval_timeout_seconds: reader.limit("TETHER_APPROVAL_TIMEOUT_SECONDS"),
            session_idle_seconds: reader.limit("TETHER_AGENT_SESSION_IDLE_SECONDS"),
            stall_seconds: reader.limit("TETHER_AGENT_STALL_SECONDS"),
            turn_timeout_seconds: reader.limit("TETHER_AGENT_TURN_TIMEOUT_SECONDS"),
            agents: AgentsSettings::read(&mut reader),
            bridges,
            idle_exit_seconds: reader.limit("TETHER_AGENT_IDLE_EXIT_SECONDS"),
            git: GitSettings::read(&mut reader),
            restart_policy: match reader.word("TETHER_AGENT_RESTART_POLICY").as_str() {
                "resume" => RestartPolicy::Resume,
                "never" => RestartPolicy::Never,
                _ => RestartPolicy::Continue,
            },
            restart_budget: RestartBudget {
                restarts: reader.number("TETHER_AGENT_RESTART_LIMIT"),
                window_seconds: reader.number("TETHER_AGENT_RESTART_WINDOW_SECONDS"),
                first_delay_ms: reader.number("TETHER_AGENT_RESTART_DELAY_MS"),
                ..RestartBudget::default()
            },
            config_file: sources.personal_path.clone(),
            warnings,
            notes,
        };
        let settings = reader.finish(settings)?;
        if data_dir.is_none() {
            return Err(ConfigError::Conflict(
                "there is no home folder: set HOME or TETHER_AGENT_DATA_DIR".to_owned(),
            ));
        }
        settings.check_dev()?;
        Ok(settings)
    }

    /// Names of variables that hold secrets of ours, which no agent's environment may have.
    pub fn own_secrets() -> Vec<String> {
        let ours = table::all().filter(|setting| setting.secret && setting.name.starts_with("TETHER_"));
        let elsewhere = table::ELSEWHERE.iter().copied().filter(|name| name.ends_with("_TOKEN"));
        let bridges = [
            "TELEGRAM_BOT_TOKEN",
            "SLACK_BOT_TOKEN",
            "SLACK_APP_TOKEN",
            "DISCORD_BOT_TOKEN",
            "DISCORD_PAIRING_CODE",
        ];
        ours.map(|setting| setting.name).chain(elsewhere).chain(bridges).map(str::to_owned).collect()
    }

    fn check_dev(&self) -> Result<(), ConfigError> {
        if !self.dev || self.connection.is_loopback() {
            return Ok(());
        }
        Err(ConfigError::Conflict(format!(
            "dev mode asks for no token, so it serves this machine only: TETHER_AGENT_HOST must be 127.0.0.1, ::1 \
             or localhost, not {:?}",
            self.connection.host
        )))
    }

    /// Sees to it that there is a token: without one (and not in dev mode) one is made and stored in
    /// `config.env`. Answers the path it was stored at, if it was.
    ///
    /// # Errors
    /// It cannot be stored, or something empty hides the place where it would be.
    pub fn ensure_token(&mut self, sources: &Sources) -> Result<Option<PathBuf>, ConfigError> {
        if self.dev || self.connection.token.is_some() {
            return Ok(None);
        }
        if let Some(Found { origin, .. }) = sources.find_name("TETHER_AGENT_TOKEN")
            && !matches!(origin, Origin::Personal(..))
        {
            return Err(ConfigError::Conflict(format!(
                "TETHER_AGENT_TOKEN is set but empty ({origin}), which hides the one in config.env: unset it, or \
                 use --dev to serve this machine without a token"
            )));
        }
        let Some(path) = self.config_file.clone() else {
            return Err(ConfigError::Conflict(
                "there is no home folder: set HOME or TETHER_AGENT_TOKEN".to_owned(),
            ));
        };
        let token = random_token();
        file::store(&path, "TETHER_AGENT_TOKEN", &token).map_err(|error| {
            ConfigError::Conflict(format!("no token is set, and {error}: set TETHER_AGENT_TOKEN"))
        })?;
        self.connection.token = Some(token);
        Ok(Some(path))
    }
}

/// Where the daemon keeps its data when nothing says otherwise.
fn data_dir(sources: &Sources) -> Option<PathBuf> {
    let given = sources.environment.get("XDG_DATA_HOME").map(Path::new).filter(|path| path.is_absolute());
    let folder = given.map(Path::to_owned).or_else(|| Some(sources.home.as_ref()?.join(".local/share")))?;
    Some(folder.join("tether"))
}

/// The data folder alone, for commands that look into it beside a daemon that may not run.
pub fn data_dir_of(sources: &Sources) -> Option<PathBuf> {
    Reader::new(sources).path("TETHER_AGENT_DATA_DIR").or_else(|| data_dir(sources))
}

/// The log file alone, for `tether logs`.
pub fn log_file_of(sources: &Sources) -> Option<PathBuf> {
    Reader::new(sources).path("TETHER_AGENT_LOG_FILE")
}

fn level(word: &str) -> tracing::Level {
    match word {
        "trace" => tracing::Level::TRACE,
        "debug" => tracing::Level::DEBUG,
        "warn" | "warning" => tracing::Level::WARN,
        "error" | "critical" => tracing::Level::ERROR,
        _ => tracing::Level::INFO,
    }
}

/// 32 random bytes as base64url without padding.
pub fn random_token() -> String {
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>())
}
