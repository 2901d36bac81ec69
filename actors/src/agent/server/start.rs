//! Starting a server.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rand::RngExt;
use tokio::time::Instant;

use super::address::Address;
use super::{Server, ServerError, TERM_GRACE, Wanted};
use crate::agent::bring_up::cause_of;
use crate::agent::program::{Exit, Program};
use crate::agent::spool::{LineContent, Spool};
use crate::agent::tree;
use crate::domain::ids::RunId;

/// The user name that the server wants beside its password, unless its environment names another.
pub(super) const USER: &str = "opencode";
/// The variable with the password.
const PASSWORD: &str = "OPENCODE_SERVER_PASSWORD";
/// How long a start may take: some seconds, and on a busy machine many.
const READY_WITHIN: Duration = Duration::from_secs(90);
/// How long a server that was found may take to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// Ends what an earlier server in this folder left, and removes the folder.
pub(super) async fn clear(folder: &Path) {
    if let Some(left) = Address::of_any_start(folder).await {
        let ended = tree::end_tree(&left.run, None, TERM_GRACE).await;
        tracing::info!(processes = ended.found, "what a server left that nobody uses was ended");
    }
    let _ = tokio::fs::remove_dir_all(folder).await;
}

/// Starts a server and waits until it says where it listens.
pub(super) async fn start(folder: &Path, wanted: Wanted) -> Result<Server, ServerError> {
    let password = hex::encode(rand::rng().random::<[u8; 32]>());
    let run = RunId::random();
    let (mut launch, own_secrets, place) = (wanted.launch, wanted.own_secrets, folder.to_owned());
    launch.env.insert(PASSWORD.to_owned(), password.clone());
    let address = Address { url: String::new(), password, run: run.clone(), pid: 0, started: 0 };
    // A start takes some milliseconds, which the other actors on this thread shall not wait for.
    let spawned = tokio::task::spawn_blocking(move || {
        let no_place =
            |error| ServerError::crash(format!("there is no place for OpenCode's server: {error}"));
        let spool = Spool::create(&place).map_err(no_place)?;
        for (name, content) in &launch.files {
            std::fs::write(place.join(name), content).map_err(no_place)?;
        }
        // Before there is a process, so that a crash leaves none that nobody knows.
        address.write(&place).map_err(no_place)?;
        let program = Program::spawn(&launch, &place, &run, &spool, &own_secrets)
            .map_err(|error| ServerError { cause: cause_of(&error), message: error.to_string() })?;
        let identity = program.identity();
        let address = Address { pid: identity.pid, started: identity.started, ..address };
        Ok((spool, program, address))
    });
    let spawned = spawned.await.map_err(|error| ServerError::crash(format!("OpenCode's server: {error}")))?;
    let (spool, mut program, mut address) = spawned?;
    match listening(&spool, &mut program).await {
        Ok(url) => address.url = url,
        Err(what) => {
            let last =
                spool.stderr_tail().pop().map(|line| format!("; it said {line:?}")).unwrap_or_default();
            tree::end_tree(&address.run, Some(program.identity()), TERM_GRACE).await;
            return Err(ServerError::crash(format!("OpenCode's server {what}{last}")));
        }
    }
    let (written, place) = (address.clone(), PathBuf::from(folder));
    let noted = tokio::task::spawn_blocking(move || written.write(&place)).await;
    if !matches!(noted, Ok(Ok(()))) {
        tree::end_tree(&address.run, Some(program.identity()), TERM_GRACE).await;
        return Err(ServerError::crash("the address of OpenCode's server could not be noted".to_owned()));
    }
    tracing::info!(pid = address.pid, url = address.url, "OpenCode's server runs");
    Ok(Server::new(address, spool, program))
}

/// Waits for the line that says where it listens; the error says what it did instead.
async fn listening(spool: &Spool, program: &mut Program) -> Result<String, String> {
    let mut output = spool.reader(0).map_err(|error| format!("cannot be heard: {error}"))?;
    let deadline = Instant::now() + READY_WITHIN;
    loop {
        let lines =
            output.next_lines(64 * 1024).await.map_err(|error| format!("cannot be heard: {error}"))?;
        for line in lines {
            if let LineContent::Text(bytes) = line.content
                && let Some(url) = address_in(&String::from_utf8_lossy(&bytes))
            {
                return Ok(url);
            }
        }
        tokio::select! {
            () = output.changed() => {}
            Exit { code, signal } = program.ended() => {
                // What it said at its end is on its standard error.
                return Err(match (code, signal) {
                    (Some(code), _) => format!("ended with code {code} instead of listening"),
                    (None, Some(signal)) => format!("was killed by signal {signal} before it listened"),
                    (None, None) => "ended instead of listening".to_owned(),
                });
            }
            () = tokio::time::sleep_until(deadline) => {
                return Err(format!("did not listen within {} s", READY_WITHIN.as_secs()));
            }
        }
    }
}

/// The address in `opencode server listening on http://127.0.0.1:PORT`. Only the loopback address counts.
fn address_in(line: &str) -> Option<String> {
    let (_, rest) = line.split_once("listening on ")?;
    let url = rest.split_whitespace().next()?.trim_end_matches('/');
    let port: u16 = url.strip_prefix("http://127.0.0.1:")?.parse().ok()?;
    Some(format!("http://127.0.0.1:{port}"))
}

/// A client for the loopback address: nothing of the person's proxies.
pub(super) fn client() -> reqwest::Result<reqwest::Client> {
    reqwest::Client::builder().no_proxy().build()
}

/// Whether a server that was found answers with its password.
pub(super) async fn answers(address: &Address) -> bool {
    let Ok(client) = client() else { return false };
    let health = client.get(format!("{}/global/health", address.url));
    let answer = health.basic_auth(USER, Some(&address.password)).timeout(ANSWER_WITHIN).send().await;
    answer.is_ok_and(|answer| answer.status().is_success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_loopback_address_is_taken() {
        let said = "opencode server listening on http://127.0.0.1:4096";
        assert_eq!(address_in(said).as_deref(), Some("http://127.0.0.1:4096"));
        for other in [
            "Warning: OPENCODE_SERVER_PASSWORD is not set; server is unsecured.",
            "opencode server listening on http://0.0.0.0:4096",
            "opencode server listening on http://127.0.0.1:4096.example.org/",
            "listening on ",
        ] {
            assert_eq!(address_in(other), None, "{other}");
        }
    }
}
