//! Where a server is, in a private file: for the next daemon.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::agent::processes::Identity;
use crate::domain::ids::RunId;

/// The file's name in the server's folder.
const FILE: &str = "server.json";

/// Where a server is and how to speak to it. Not `Debug`: it holds the password.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Address {
    /// `http://127.0.0.1:PORT`, without a slash at its end; empty while it is being started.
    pub(super) url: String,
    /// Its password.
    pub(super) password: String,
    /// The marker in its environment.
    pub(super) run: RunId,
    /// Its process.
    pub(super) pid: u32,
    /// When that started, as in [`Identity::started`].
    pub(super) started: u64,
}

impl Address {
    pub(super) fn identity(&self) -> Identity {
        Identity { pid: self.pid, started: self.started }
    }

    /// Reads the file; `None` if there is none, or it is of a start that was not finished.
    pub(super) async fn read(folder: &Path) -> Option<Self> {
        Self::of_any_start(folder).await.filter(|address| !address.url.is_empty())
    }

    /// The same, also of a start that was not finished.
    pub(super) async fn of_any_start(folder: &Path) -> Option<Self> {
        serde_json::from_slice(&tokio::fs::read(folder.join(FILE)).await.ok()?).ok()
    }

    /// Writes the file so that only the user may read it. Blocks for the time of a few file operations.
    pub(super) fn write(&self, folder: &Path) -> std::io::Result<()> {
        let fresh = folder.join("server.json.new");
        let text = serde_json::to_vec(self).map_err(std::io::Error::other)?;
        let mut options = std::fs::OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
        file.write_all(&text)?;
        // Renamed into place: whoever reads it finds all of it or nothing.
        std::fs::rename(fresh, folder.join(FILE))
    }
}
