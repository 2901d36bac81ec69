//! A person's machine in a temporary folder: home, settings, a free port, a token.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU16, Ordering};

use super::process::{self, MARK};

/// Ports are taken from below the range from which the system takes those of outgoing connections, so
/// that a daemon finds its port free again after it was killed.
static NEXT_PORT: AtomicU16 = AtomicU16::new(0);
const FIRST_PORT: u16 = 20_000;
const PORTS: u16 = 12_000;

/// A fresh home. When it is dropped, every process that was started in it is killed.
pub struct Home {
    folder: tempfile::TempDir,
    /// The port for the daemon.
    pub port: u16,
    /// The token for the daemon; empty = none is given and it makes its own.
    pub token: String,
    /// What every process of this home carries in its environment as [`MARK`].
    pub mark: String,
    /// More variables for the daemon and the command line; an empty value takes one away.
    pub extra: BTreeMap<String, String>,
}

impl Home {
    /// Makes the folders and picks a port.
    pub fn new() -> Self {
        let mut folder =
            tempfile::Builder::new().prefix("tether-e2e-").tempdir().expect("a temporary folder");
        // For a look at what a failing scenario left.
        folder.disable_cleanup(std::env::var_os("RIG_KEEP").is_some());
        for name in ["work", "tmp", ".config", ".local/share", ".local/state", ".cache", "claude"] {
            std::fs::create_dir_all(folder.path().join(name)).expect("a folder in the temporary home");
        }
        let port = free_port();
        let mark = format!("{}-{port}", std::process::id());
        Self { folder, port, token: format!("token-{mark}"), mark, extra: BTreeMap::new() }
    }

    /// The home folder.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The folder in which agents work, links resolved.
    pub fn work(&self) -> PathBuf {
        self.path().join("work").canonicalize().expect("the work folder exists")
    }

    /// Lays the settings of those agents that take the address of their model from a file.
    pub fn lay_settings(&self, model_port: u16) {
        let codex = self.path().join(".codex");
        std::fs::create_dir_all(&codex).expect("a folder in the temporary home");
        let settings = format!(
            "model = \"gpt-5.5\"\nmodel_provider = \"rig\"\n[model_providers.rig]\nname = \"rig\"\n\
             base_url = \"http://127.0.0.1:{model_port}/v1\"\nwire_api = \"responses\"\nenv_key = \"RIG_KEY\"\n\
             requires_openai_auth = false\nsupports_websockets = false\n"
        );
        std::fs::write(codex.join("config.toml"), settings).expect("it is written");
    }

    /// The whole environment of whatever runs in this home; nothing of ours is inherited.
    pub fn environment(&self, model_port: Option<u16>) -> BTreeMap<String, String> {
        let home = self.path().display().to_string();
        let root = env!("CARGO_MANIFEST_DIR");
        let path = std::env::var("PATH").unwrap_or_default();
        let mut env: BTreeMap<String, String> = [
            ("HOME", home.clone()),
            ("XDG_CONFIG_HOME", format!("{home}/.config")),
            ("XDG_DATA_HOME", format!("{home}/.local/share")),
            ("XDG_STATE_HOME", format!("{home}/.local/state")),
            ("XDG_CACHE_HOME", format!("{home}/.cache")),
            ("TMPDIR", format!("{home}/tmp")),
            ("LANG", "C.UTF-8".into()),
            ("PATH", format!("{root}/tests/agents/node_modules/.bin:{path}")),
            ("TETHER_AGENT_TOKEN", self.token.clone()),
            ("TETHER_AGENT_PORT", self.port.to_string()),
            ("TETHER_AGENT_LOG_LEVEL", "DEBUG".into()),
            (MARK, self.mark.clone()),
            ("CLAUDE_CONFIG_DIR", format!("{home}/claude")),
            ("CLAUDE_CODE_MAX_RETRIES", "2".into()),
            ("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1".into()),
            ("DISABLE_AUTOUPDATER", "1".into()),
            ("DISABLE_TELEMETRY", "1".into()),
            ("DISABLE_ERROR_REPORTING", "1".into()),
            ("ANTHROPIC_API_KEY", "test".into()),
            ("GEMINI_API_KEY", "test".into()),
            ("RIG_KEY", "test".into()),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
        if let Some(port) = model_port {
            env.insert("ANTHROPIC_BASE_URL".into(), format!("http://127.0.0.1:{port}"));
            env.insert("TETHER_MODEL_BASE_URL".into(), format!("http://127.0.0.1:{port}/v1"));
            env.insert("TETHER_MODEL".into(), "scripted".into());
            env.insert("TETHER_MODEL_API_KEY".into(), "test".into());
            env.insert("GOOGLE_GEMINI_BASE_URL".into(), format!("http://127.0.0.1:{port}"));
        }
        env.extend(self.extra.clone());
        env.retain(|_, value| !value.is_empty());
        env
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        // A process may have been starting another one while the list was read.
        for _ in 0..5 {
            let left = process::carriers(MARK, &self.mark);
            if left.is_empty() {
                return;
            }
            left.into_iter().for_each(|pid| {
                process::kill9(pid);
            });
        }
    }
}

fn free_port() -> u16 {
    for _ in 0..PORTS {
        let step = NEXT_PORT.fetch_add(1, Ordering::Relaxed);
        // Test programs that run side by side begin at different places.
        let start = (std::process::id() % 97) as u16 * 120;
        let port = FIRST_PORT + (start.wrapping_add(step)) % PORTS;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no free port from {FIRST_PORT} on");
}
