//! shell: a command in a process group of its own, which ends with all that it started.

use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe::Receiver;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::bounds::{Bounded, one_line};
use super::{Action, Outcome, Place, Plan, input};

/// How long a command may take where the model does not say it, in seconds.
const USUAL: u64 = 120;
/// How long at most.
const LONGEST: u64 = 3600;
/// So much of the output's beginning is kept.
const HEAD: usize = 8 * 1024;
/// So much of its end.
const TAIL: usize = 24 * 1024;
/// How long processes may take to end when they are asked to.
const GRACE: Duration = Duration::from_secs(1);
/// How long it is read on after the command ended: what it wrote last may still be in the pipe.
const DRAIN: Duration = Duration::from_millis(250);

#[derive(Deserialize)]
struct ShellInput {
    #[serde(alias = "cmd")]
    command: Words,
    #[serde(default, alias = "timeout")]
    timeout_seconds: Option<f64>,
}

/// A command line; some models give it in words.
#[derive(Deserialize)]
#[serde(untagged)]
enum Words {
    Line(String),
    List(Vec<String>),
}

impl Words {
    fn into_line(self) -> String {
        match self {
            Self::Line(line) => line,
            Self::List(words) => match words.as_slice() {
                [shell, flag, line] if shell.ends_with("sh") && matches!(flag.as_str(), "-c" | "-lc") => {
                    line.clone()
                }
                words => shell_words::join(words),
            },
        }
    }
}

/// A command that is to be run.
#[derive(Clone, Debug)]
pub struct Run {
    command: String,
    limit: Duration,
}

/// Plans a command.
pub fn plan(place: &Place, call: &Value) -> Result<Plan, String> {
    let wanted: ShellInput = input(call)?;
    let command = wanted.command.into_line();
    if command.trim().is_empty() {
        return Err("the command is empty".into());
    }
    let most = LONGEST as f64;
    let limit = wanted.timeout_seconds.filter(|seconds| *seconds > 0.0).unwrap_or(USUAL as f64).min(most);
    Ok(Plan {
        title: one_line(&command),
        kind: "execute",
        input: json!({ "command": command, "cwd": place.directory, "timeout_seconds": limit }),
        locations: Vec::new(),
        diffs: Vec::new(),
        asks: true,
        action: Action::Run(Run { command, limit: Duration::from_secs_f64(limit) }),
    })
}

/// The process group of a command. Whatever is left in it is killed when this is dropped.
struct Group(Option<Pid>);

impl Group {
    fn of(child: &Child) -> Self {
        Self(child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw))
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = self.0 {
            // An error means that there is nobody left.
            let _ = kill_process_group(group, signal);
        }
    }

    fn is_empty(&self) -> bool {
        self.0.is_none_or(|group| test_kill_process_group(group).is_err())
    }

    /// Asks all of it to end, and kills what does not.
    async fn end(&self) {
        self.signal(Signal::TERM);
        let until = Instant::now() + GRACE;
        while !self.is_empty() && Instant::now() < until {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        self.signal(Signal::KILL);
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}

/// Why a command is over.
enum Over {
    Exited(std::io::Result<ExitStatus>),
    TimedOut,
    Cancelled,
}

/// Runs a command to its end, its limit or the cancel, whatever comes first.
pub async fn run(place: &Place, run: &Run, cancel: &CancellationToken) -> Outcome {
    let (mut child, mut output) = match start(place, &run.command) {
        Ok(started) => started,
        Err(error) => return Outcome::failed(format!("the command cannot be started: {error}")),
    };
    let group = Group::of(&child);
    let until = Instant::now() + run.limit;
    let mut text = Bounded::new(HEAD, TAIL);
    let mut buffer = vec![0_u8; 16 * 1024];
    let mut open = true;
    let over = loop {
        tokio::select! {
            biased;
            () = cancel.cancelled() => break Over::Cancelled,
            read = output.read(&mut buffer), if open => match read {
                Ok(0) | Err(_) => open = false,
                Ok(count) => text.push(buffer.get(..count).unwrap_or_default()),
            },
            exited = child.wait() => break Over::Exited(exited),
            () = sleep_until(until) => break Over::TimedOut,
        }
    };
    // What still runs in the background is not left behind: nobody would know of it.
    let leftovers = matches!(over, Over::Exited(_)) && !group.is_empty();
    if leftovers || !matches!(over, Over::Exited(_)) {
        // The shell itself must be waited for meanwhile, or it stays in the group as a zombie.
        tokio::join!(group.end(), async { child.wait().await.ok() });
    }
    let drain = async {
        while open && let Ok(count @ 1..) = output.read(&mut buffer).await {
            text.push(buffer.get(..count).unwrap_or_default());
        }
    };
    // A process that left the group may hold the pipe for ever.
    let _ = timeout(DRAIN, drain).await;
    let mut text = text.into_text();
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    if leftovers {
        text.push_str("[processes that were left in the background were ended]\n");
    }
    match over {
        Over::Exited(Ok(status)) if status.success() => {
            Outcome::done(if text.is_empty() { "[no output]" } else { &text })
        }
        Over::Exited(Ok(status)) => Outcome::failed(format!("{text}[{}]", ending(status))),
        Over::Exited(Err(error)) => Outcome::failed(format!("{text}[its end is not known: {error}]")),
        Over::TimedOut => Outcome::failed(format!(
            "{text}[it was ended after {} s; give a longer `timeout_seconds` if it needs more]",
            run.limit.as_secs_f64()
        )),
        Over::Cancelled => Outcome::failed(format!("{text}[the person interrupted it]")),
    }
}

fn start(place: &Place, command: &str) -> std::io::Result<(Child, Receiver)> {
    // One pipe for both, so that what is written stays in order.
    let (reader, writer) = std::io::pipe()?;
    let reader = Receiver::from_owned_fd(OwnedFd::from(reader))?;
    let mut shell = Command::new(shell());
    shell
        .arg("-c")
        .arg(command)
        .current_dir(&place.directory)
        .stdin(Stdio::null())
        .stdout(writer.try_clone()?)
        .stderr(writer)
        .process_group(0)
        // Nobody could answer a question or leaf through pages.
        .envs([("PAGER", "cat"), ("GIT_PAGER", "cat"), ("GIT_TERMINAL_PROMPT", "0"), ("TERM", "dumb")]);
    for secret in &place.secrets {
        shell.env_remove(secret);
    }
    // The writing ends in this process go with `shell`, or the pipe would never end.
    let child = shell.spawn()?;
    Ok((child, reader))
}

/// bash where there is one, because that is what models write for.
fn shell() -> OsString {
    let bash = ["/bin/bash", "/usr/bin/bash", "/usr/local/bin/bash"];
    bash.into_iter().find(|path| std::path::Path::new(path).exists()).unwrap_or("/bin/sh").into()
}

fn ending(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt as _;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("ended by signal {signal}"),
        (None, None) => "ended".into(),
    }
}
