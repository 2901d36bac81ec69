//! The git program, run so that the repository in question cannot run anything.
//!
//! A work tree may have been written by an agent or unpacked from anywhere, its `.git/config` included.
//! So hooks, external diff programs, text converters, the file system monitor, content filters and
//! transports that it configures are switched off, and git sees no environment but what it needs.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use actix_web::http::StatusCode;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;

use super::error::ApiError;

/// Clients wait ten seconds for an answer.
const PATIENCE: Duration = Duration::from_secs(8);

/// So much of standard error goes into a message.
const ERROR_BYTES: usize = 2_000;

/// Settings that win over the repository's own.
const OVERRIDES: [(&str, &str); 9] = [
    ("core.fsmonitor", "false"),
    ("core.hooksPath", "/dev/null"),
    ("core.quotePath", "false"),
    ("core.pager", "cat"),
    ("color.ui", "false"),
    ("diff.mnemonicPrefix", "false"),
    ("diff.noPrefix", "false"),
    ("protocol.allow", "never"),
    ("safe.bareRepository", "explicit"),
];

/// What a run gave.
#[derive(Debug)]
pub struct Output {
    /// Its standard output, cut at the limit.
    pub stdout: Vec<u8>,
    /// Whether there was more.
    pub cut: bool,
    /// Whether it ended with 0.
    pub ok: bool,
    stderr: String,
}

impl Output {
    /// The output, or git's own words as a refusal.
    pub fn or_refuse(self) -> Result<Self, ApiError> {
        if self.ok || self.cut {
            return Ok(self);
        }
        let said = self.stderr.trim();
        let message = if said.is_empty() { "git failed and did not say why" } else { said };
        Err(ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "GIT_ERROR", message.to_owned()))
    }
}

/// git in one work tree.
#[derive(Debug)]
pub struct Git<'d> {
    folder: &'d Path,
    /// Settings that switch off the filters that the repository configures.
    disarmed: Vec<(OsString, &'static str)>,
}

impl<'d> Git<'d> {
    /// For the work tree whose top is `folder`.
    pub async fn at(folder: &'d Path) -> Result<Self, ApiError> {
        let mut git = Self { folder, disarmed: Vec::new() };
        let list = ["config", "--list", "--show-scope", "--name-only", "-z"];
        let config = git.run(&list, 1 << 20).await?.or_refuse()?;
        if config.cut {
            let message = "the repository's configuration is too long to be checked";
            return Err(ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "GIT_ERROR", message));
        }
        git.disarmed = disarmed(&config.stdout);
        Ok(git)
    }

    /// Runs it; at most `limit` bytes of its output are read, then it is ended.
    pub async fn run(&self, args: &[&str], limit: usize) -> Result<Output, ApiError> {
        let mut command = Command::new("git");
        command.env_clear();
        for name in ["PATH", "HOME", "XDG_CONFIG_HOME", "TMPDIR"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command
            .env("LC_ALL", "C.UTF-8")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_OPTIONAL_LOCKS", "0")
            .env("GIT_NO_LAZY_FETCH", "1")
            .env("GIT_NO_REPLACE_OBJECTS", "1")
            .arg("-C")
            .arg(self.folder);
        if let Some(parent) = self.folder.parent() {
            // Only this folder's own repository: not one that happens to lie around it.
            command.env("GIT_CEILING_DIRECTORIES", parent);
        }
        // The repository's own `core.worktree` may point anywhere.
        command.env("GIT_WORK_TREE", self.folder);
        // Not as `-c name=value`: a name may hold a `=`, and then it would be another name.
        let overrides = OVERRIDES.iter().map(|(name, value)| (OsStr::new(name), *value));
        let disarmed = self.disarmed.iter().map(|(name, value)| (name.as_os_str(), *value));
        let mut count: usize = 0;
        for (name, value) in overrides.chain(disarmed) {
            command.env(format!("GIT_CONFIG_KEY_{count}"), name);
            command.env(format!("GIT_CONFIG_VALUE_{count}"), value);
            count += 1;
        }
        command.env("GIT_CONFIG_COUNT", count.to_string());
        command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.kill_on_drop(true);
        tokio::time::timeout(PATIENCE, collect(command, limit)).await.unwrap_or_else(|_| {
            let message = format!("git took longer than {} seconds", PATIENCE.as_secs());
            Err(ApiError::new(StatusCode::GATEWAY_TIMEOUT, "TIMEOUT", message))
        })
    }
}

async fn collect(mut command: Command, limit: usize) -> Result<Output, ApiError> {
    let failed = |error: std::io::Error| {
        let message = format!("cannot run git: {error}; install it, and see that it is in the daemon's PATH");
        ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "GIT_UNAVAILABLE", message)
    };
    let mut child = command.spawn().map_err(failed)?;
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let output = async {
        let cut = read_up_to(out, limit, &mut stdout).await?;
        if cut {
            // It would wait for a reader for ever.
            child.start_kill()?;
        }
        Ok(cut)
    };
    // What is beyond the limit is read too, and dropped: git must be able to go on.
    let words = async {
        let Some(mut source) = err else { return Ok(()) };
        read_up_to(Some(&mut source), ERROR_BYTES, &mut stderr).await?;
        tokio::io::copy(&mut source, &mut tokio::io::sink()).await.map(drop)
    };
    let (cut, ()) = tokio::try_join!(output, words).map_err(failed)?;
    let status = child.wait().await.map_err(failed)?;
    let stderr = String::from_utf8_lossy(&stderr).into_owned();
    Ok(Output { stdout, cut, ok: status.success(), stderr })
}

/// Reads to the end or the limit; whether there was more.
async fn read_up_to(
    source: Option<impl AsyncRead + Unpin>,
    limit: usize,
    into: &mut Vec<u8>,
) -> std::io::Result<bool> {
    let Some(source) = source else { return Ok(false) };
    source.take(limit as u64 + 1).read_to_end(into).await?;
    let cut = into.len() > limit;
    into.truncate(limit);
    Ok(cut)
}

/// Switches off the content filters that the repository itself (not the person) configures. They are programs, and
/// git runs them on changed files even to compare them.
fn disarmed(config: &[u8]) -> Vec<(OsString, &'static str)> {
    // Pairs of scope and name, each ended by NUL.
    let fields: Vec<&[u8]> = config.split(|b| *b == 0).collect();
    let mut settings: Vec<(OsString, &'static str)> = fields
        .chunks_exact(2)
        .filter_map(|pair| match pair {
            [b"system" | b"global" | b"command", _] => None,
            [_, name] if name.starts_with(b"filter.") => {
                let key = name.rsplit(|b| *b == b'.').next()?;
                let value = match key {
                    b"clean" | b"smudge" | b"process" => "",
                    b"required" => "false",
                    _ => return None,
                };
                Some((OsStr::from_bytes(name).to_owned(), value))
            }
            _ => None,
        })
        .collect();
    settings.sort();
    settings.dedup();
    settings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_repositorys_own_filters_are_switched_off_and_the_persons_are_kept() {
        let config = b"global\0filter.lfs.clean\0local\0filter.x.clean\0local\0filter.x=.y.process\0\
                       worktree\0filter.x.required\0local\0user.name\0local\0filter.x.clean\0";
        let names: Vec<(OsString, &str)> = vec![
            ("filter.x.clean".into(), ""),
            ("filter.x.required".into(), "false"),
            ("filter.x=.y.process".into(), ""),
        ];
        assert_eq!(disarmed(config), names);
        assert!(disarmed(b"").is_empty());
    }
}
