//! Installing an agent: npm, with words of our own alone.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use actix_web::http::StatusCode;
use tokio::process::Command;
use tokio::sync::Mutex;

use super::super::error::ApiError;
use super::agents::SetupAgent;
use crate::config::Settings;
use tether_actors::domain::code::Code;

/// How long it may take (`contract`).
const PATIENCE: Duration = Duration::from_secs(120);
/// So much of what npm says is told, from its end.
const TOLD: usize = 1500;

/// Two at once would write into the same folder.
static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

/// The program npm, looked for in the daemon's `PATH`.
pub fn npm() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join("npm")).find(|program| {
        std::fs::metadata(program).is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
    })
}

/// Installs it, or its newest version. Goes on when the caller goes away.
///
/// # Errors
/// There is no npm, it fails, or it takes too long.
pub async fn install(agent: &'static SetupAgent) -> Result<(), ApiError> {
    let npm = npm().ok_or_else(|| {
        ApiError::bad_request(
            Code::MissingRuntime,
            "npm is not in the daemon's PATH: install Node.js, then try again",
        )
    })?;
    let work = actix_web::rt::spawn(async move {
        let _alone = ONE_AT_A_TIME.lock().await;
        run(npm, agent).await
    });
    work.await.map_err(|_| ApiError::stopping())?
}

async fn run(npm: PathBuf, agent: &SetupAgent) -> Result<(), ApiError> {
    let failed = |words: &str| {
        let message = format!("`npm install -g {}` failed: {words}", agent.package);
        ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, Code::InstallFailed, message)
    };
    let mut command = Command::new(npm);
    command
        .args(["install", "--global", "--no-fund", "--no-audit", agent.package])
        .stdin(Stdio::null())
        .kill_on_drop(true);
    for secret in Settings::own_secrets() {
        command.env_remove(secret);
    }
    let done = match tokio::time::timeout(PATIENCE, command.output()).await {
        Ok(done) => done.map_err(|error| failed(&error.to_string()))?,
        Err(_) => {
            let message =
                format!("`npm install -g {}` took more than {} s", agent.package, PATIENCE.as_secs());
            return Err(ApiError::new(StatusCode::GATEWAY_TIMEOUT, Code::Timeout, message));
        }
    };
    if done.status.success() {
        tracing::info!(agent = agent.name, "an agent was installed");
        return Ok(());
    }
    let said = String::from_utf8_lossy(&done.stderr).trim().to_owned();
    let last = said.char_indices().rev().nth(TOLD).map_or(0, |(at, _)| at);
    Err(failed(said.get(last..).unwrap_or_default()))
}
