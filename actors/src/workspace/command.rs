//! A program of the person's (git, gh, glab), run to its end: bounded in time and output, without a terminal, and
//! with all that it started ended when it takes too long.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;

use super::error::GitError;
use super::names::redacted;
use crate::agent::program::RUN_MARKER;
use crate::agent::tree::end_tree;
use crate::domain::ids::RunId;

/// So much of standard error goes into a message.
const ERROR_BYTES: usize = 4_000;

/// How long what a program left behind may hold its output after its own end.
const DRAIN: Duration = Duration::from_millis(300);

/// What to run.
#[derive(Debug)]
pub struct Call {
    /// The program: a name to be looked for on the PATH, or a path.
    pub program: OsString,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// Where.
    pub directory: PathBuf,
    /// Its whole environment.
    pub environment: Vec<(OsString, OsString)>,
    /// What it reads.
    pub input: Vec<u8>,
    /// How long it may take.
    pub patience: Duration,
    /// At most so many bytes of its output are kept; it is ended when there is more.
    pub limit: usize,
}

/// What a run gave.
#[derive(Debug)]
pub struct Output {
    /// Its standard output, cut at the limit.
    pub stdout: Vec<u8>,
    /// Whether there was more.
    pub cut: bool,
    /// Whether it ended with 0.
    pub ok: bool,
    /// The beginning of what it said on standard error, without passwords.
    pub stderr: String,
}

impl Output {
    /// The output, or the program's own words as a refusal.
    ///
    /// # Errors
    /// It did not end with 0.
    pub fn or_refuse(self) -> Result<Self, GitError> {
        if self.ok || self.cut { Ok(self) } else { Err(GitError::Failed(self.words())) }
    }

    /// The output as text without the line end at its end.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).trim_end_matches(['\n', '\r']).to_owned()
    }

    /// What it said about its failure.
    pub fn words(&self) -> String {
        let lines = self.stderr.lines().filter(|line| !line.starts_with("hint:"));
        let said = lines.collect::<Vec<_>>().join("\n");
        let said = said.trim();
        if said.is_empty() { "git failed and did not say why".to_owned() } else { said.to_owned() }
    }
}

/// How long a program that is to end may take to put its lock files away.
const GRACE: Duration = Duration::from_secs(2);

/// A program's process group, asked to end when this is dropped before it was told that the program is gone. Asked, not
/// killed: git takes its lock files away then, which would stand in everybody's way.
struct Group(Option<Pid>);

impl Group {
    fn signal(&self, signal: Signal) {
        if let Some(pid) = self.0 {
            // It may be gone already.
            let _ = kill_process_group(pid, signal);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::TERM);
    }
}

/// Runs it. Dropping the future ends the program.
///
/// # Errors
/// It cannot be started, or takes too long; that it ended with another code than 0 is no error here.
pub async fn run(call: Call) -> Result<Output, GitError> {
    let name = call.program.to_string_lossy().into_owned();
    let failed = |error: std::io::Error| {
        GitError::Unavailable(format!(
            "cannot run {name}: {error}; install it, and see that it is in the daemon's PATH"
        ))
    };
    let run = RunId::random();
    let mut command = Command::new(&call.program);
    command
        .args(&call.args)
        .current_dir(&call.directory)
        .env_clear()
        .envs(call.environment)
        .env(RUN_MARKER, run.as_str())
        .stdin(if call.input.is_empty() { Stdio::null() } else { Stdio::piped() })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // What it starts is ended with it.
        .process_group(0);
    let mut child = command.spawn().map_err(failed)?;
    let pid = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    let mut group = Group(pid);
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let (mut out, mut err, mut cut) = (Vec::new(), Vec::new(), false);
    let ended = {
        let (out, err, cut) = (&mut out, &mut err, &mut cut);
        let talk = async {
            let write = async {
                if let Some(mut stdin) = stdin {
                    // A program that does not read it says why by its end.
                    let _ = stdin.write_all(&call.input).await;
                }
            };
            let words = async {
                let Some(mut source) = stderr else { return };
                let _ = read_up_to(Some(&mut source), ERROR_BYTES, err).await;
                // What is beyond the limit is read too, and dropped: the program must be able to go on.
                let _ = tokio::io::copy(&mut source, &mut tokio::io::sink()).await;
            };
            // Where it is cut the pipe is closed, which ends who writes into it.
            let read = async { *cut = read_up_to(stdout, call.limit, out).await.unwrap_or(false) };
            tokio::join!(write, words, read);
        };
        let whole = async {
            tokio::pin!(talk);
            tokio::select! {
                status = child.wait() => {
                    let _ = tokio::time::timeout(DRAIN, &mut talk).await;
                    status
                }
                () = &mut talk => child.wait().await,
            }
        };
        tokio::time::timeout(call.patience, whole).await
    };
    let Ok(status) = ended else {
        group.signal(Signal::TERM);
        if tokio::time::timeout(GRACE, child.wait()).await.is_err() {
            group.signal(Signal::KILL);
            // This collects it.
            let _ = tokio::time::timeout(DRAIN, child.wait()).await;
        }
        group.0 = None;
        // Also what left its group.
        end_tree(&run, None, Duration::ZERO).await;
        let told = redacted(String::from_utf8_lossy(&err).trim());
        let told = told.lines().last().map(|line| format!("; its last words: {line}")).unwrap_or_default();
        let seconds = call.patience.as_secs();
        return Err(GitError::Timeout(format!(
            "{name} took longer than {seconds} seconds and was ended{told}"
        )));
    };
    group.0 = None;
    let status = status.map_err(failed)?;
    let stderr = redacted(&String::from_utf8_lossy(&err));
    Ok(Output { stdout: out, cut, ok: status.success(), stderr })
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

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str) -> Call {
        Call {
            program: "sh".into(),
            args: vec!["-c".into(), script.into()],
            directory: "/".into(),
            environment: vec![("PATH".into(), std::env::var_os("PATH").unwrap_or_default())],
            input: Vec::new(),
            patience: Duration::from_secs(20),
            limit: 1000,
        }
    }

    #[tokio::test]
    async fn a_program_that_hangs_is_ended_with_all_that_it_started() {
        let folder = tempfile::tempdir().expect("a folder");
        let mark = folder.path().join("pids");
        let script = format!("echo $$ >{0}; setsid sleep 600 & echo $! >>{0}; sleep 600", mark.display());
        let error =
            run(Call { patience: Duration::from_secs(1), ..sh(&script) }).await.expect_err("it hangs");
        assert!(matches!(error, GitError::Timeout(_)), "{error}");
        let pids = std::fs::read_to_string(mark).expect("it ran");
        assert_eq!(pids.lines().count(), 2);
        for pid in pids.lines().map(|pid| pid.parse::<i32>().expect("a number")) {
            let id = pid.try_into().ok().and_then(crate::agent::processes::identity_of);
            assert!(!id.is_some_and(crate::agent::processes::is_alive), "{pid} is left");
        }
    }

    #[tokio::test]
    async fn what_is_ended_may_put_its_locks_away_and_what_does_not_end_is_killed() {
        let folder = tempfile::tempdir().expect("a folder");
        let lock = folder.path().join("lock");
        let short = Duration::from_secs(1);
        let script = format!("trap 'rm {0}; exit 1' TERM; touch {0}; sleep 600 & wait", lock.display());
        run(Call { patience: short, ..sh(&script) }).await.expect_err("it hangs");
        assert!(!lock.exists(), "it was killed before it could clean up");
        let mark = folder.path().join("pid");
        let script = format!("trap '' TERM; echo $$ > {}; while :; do sleep 1; done", mark.display());
        run(Call { patience: short, ..sh(&script) }).await.expect_err("it hangs");
        let pid = std::fs::read_to_string(mark).expect("it ran").trim().parse::<u32>().expect("a number");
        let id = crate::agent::processes::identity_of(pid);
        assert!(!id.is_some_and(crate::agent::processes::is_alive), "{pid} is left");
    }

    #[tokio::test]
    async fn output_beyond_the_limit_ends_it_and_what_holds_its_pipes_does_not_hold_us() {
        let output = run(sh("yes")).await.expect("it runs");
        assert!(output.cut && output.stdout.len() == 1000);
        let began = std::time::Instant::now();
        let output = run(sh("echo done; sleep 15 & exit 3")).await.expect("it runs");
        assert_eq!((output.text().as_str(), output.ok), ("done", false));
        assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    }

    #[tokio::test]
    async fn it_reads_its_input_and_passwords_are_not_repeated() {
        let output = run(Call { input: b"hello".to_vec(), ..sh("cat; echo https://a:b@host/x >&2; exit 1") })
            .await
            .expect("it runs");
        assert_eq!(output.text(), "hello");
        assert_eq!(output.words(), "https://***@host/x");
        assert!(matches!(output.or_refuse(), Err(GitError::Failed(_))));
    }
}
