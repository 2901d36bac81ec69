//! A running agent program: started by us, or found again by a later daemon.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{Access, access};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use tokio::process::{Child, Command};

use super::processes::{identity_of, is_alive};
use super::protocol::Launch;
use super::spool::Spool;
use crate::domain::ids::RunId;

pub use super::processes::Identity;

/// The environment variable that carries the run's id. Every process that an agent starts inherits it.
pub const RUN_MARKER: &str = "TETHER_RUN";

/// How often the end of a program is looked for where the system cannot tell it.
const LOOK: Duration = Duration::from_millis(100);

/// Why a program could not be started.
#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    /// There is no such program.
    #[error("there is no program {}: install it, or correct its path in the settings", .0.display())]
    NotFound(PathBuf),
    /// It is there, but the system will not run it.
    #[error("{} cannot be run ({reason}): install it anew, or correct its path in the settings", program.display())]
    NotExecutable {
        /// The program.
        program: PathBuf,
        /// Why not.
        reason: String,
    },
    /// The directory where it should work is not there, or may not be entered.
    #[error("the directory {} {reason}: choose another one for the session, or bring it back", directory.display())]
    DirectoryMissing {
        /// The directory.
        directory: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The system has no room for another process.
    #[error(
        "the system refuses another process ({0}): end some programs or sessions, or raise the limits \
         on processes, open files and memory"
    )]
    TooManyProcesses(io::Error),
    /// The system says this.
    #[error("cannot start {}: {error}", program.display())]
    Io {
        /// The program.
        program: PathBuf,
        /// What it says.
        error: io::Error,
    },
}

/// How a program ended. Both `None` if we are not its parent, since only a parent is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Exit {
    /// The exit code, if it exited.
    pub code: Option<i32>,
    /// The signal that ended it, if one did.
    pub signal: Option<i32>,
}

/// A running agent program. Dropping this does nothing to the program: it outlives the daemon, and the
/// actor that was in charge of it (tokio then collects it when it ends, and how it ended is not known).
#[derive(Debug)]
pub struct Program {
    id: Identity,
    /// Set for one that this very value started.
    child: Option<Child>,
    /// A handle of the system's on this very process. `None` where there is no such thing.
    #[cfg(target_os = "linux")]
    handle: Option<std::os::fd::OwnedFd>,
    exit: Option<Exit>,
}

impl Program {
    /// Starts the program of `launch` in `directory`, connected to `spool`, with the run's id as marker in
    /// its environment, and notes who it is in the spool. Variables of ours that `launch.env_remove` or
    /// `own_secrets` name are not passed on (a `*` at the end of a name stands for any rest), and the
    /// secrets not even if `launch.env` sets them. It gets a session of its own (setsid(2)): a Ctrl-C at
    /// the daemon's terminal, or the end of the terminal, does not reach it, and neither it nor its tools can
    /// wait for a password at the terminal. Blocks for some milliseconds.
    ///
    /// # Errors
    /// See [`SpawnError`].
    pub fn spawn(
        launch: &Launch,
        directory: &Path,
        run: &RunId,
        spool: &Spool,
        own_secrets: &[String],
    ) -> Result<Self, SpawnError> {
        check_directory(directory)?;
        let refused = |error| SpawnError::Io { program: launch.program.clone(), error };
        let (stdin, stdout, stderr) = spool.stdio().map_err(refused)?;
        let mut command = Command::new(&launch.program);
        command.args(&launch.args).current_dir(directory).stdin(stdin).stdout(stdout).stderr(stderr);
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if names(&launch.env_remove, &text) || names(own_secrets, &text) {
                command.env_remove(&name);
            }
        }
        command.envs(launch.env.iter().filter(|(name, _)| !names(own_secrets, name)));
        command.env(RUN_MARKER, run.as_str());
        // SAFETY: between fork and exec only async-signal-safe calls are allowed; setsid(2) is one, and
        // turning its error code into an `io::Error` does not allocate.
        unsafe {
            command.pre_exec(|| Ok(rustix::process::setsid().map(|_| ())?));
        }
        let mut child = command.spawn().map_err(|error| explain(launch, directory, error))?;
        let Some(mut program) = child.id().and_then(identity_of).and_then(Self::adopt) else {
            let _ = child.start_kill();
            return Err(refused(io::Error::other("it cannot be found in the process table")));
        };
        program.child = Some(child);
        if let Err(error) = spool.note_program(program.id) {
            // Only a shortcut: after a crash the marker finds it too.
            tracing::warn!(%error, "the agent's process id could not be noted in its spool");
        }
        Ok(program)
    }

    /// Takes charge of a program that runs already. `None` if it is gone, or its number belongs to another
    /// process by now.
    pub fn adopt(id: Identity) -> Option<Self> {
        // First the handle, then the look: what has the number at both moments is what the handle is for.
        #[cfg(target_os = "linux")]
        let handle = handle_on(id.pid);
        (identity_of(id.pid) == Some(id)).then_some(Self {
            id,
            child: None,
            #[cfg(target_os = "linux")]
            handle,
            exit: None,
        })
    }

    /// Who it is.
    pub fn identity(&self) -> Identity {
        self.id
    }

    /// Waits for its end; told again at once if it has ended already. Cancel-safe.
    pub async fn ended(&mut self) -> Exit {
        if let Some(exit) = self.exit {
            return exit;
        }
        if let Some(child) = &mut self.child
            && let Ok(status) = child.wait().await
        {
            let exit = Exit { code: status.code(), signal: status.signal() };
            self.exit = Some(exit);
            return exit;
        }
        if let Some(exit) = self.collect() {
            return exit;
        }
        #[cfg(target_os = "linux")]
        if let Some(exit) = self.ended_by_handle().await {
            return exit;
        }
        loop {
            tokio::time::sleep(LOOK).await;
            if let Some(exit) = self.collect() {
                return exit;
            }
        }
    }

    /// Asks it to end (SIGTERM). Nothing happens if it has ended.
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Ends it (SIGKILL). Nothing happens if it has ended. What it started stays; see
    /// [`end_tree`](super::tree::end_tree).
    pub fn kill(&self) {
        self.signal(Signal::KILL);
    }

    fn signal(&self, signal: Signal) {
        #[cfg(target_os = "linux")]
        if let Some(handle) = &self.handle {
            // It fails if it has ended, which is what was wanted.
            let _ = rustix::process::pidfd_send_signal(handle, signal);
            return;
        }
        send(self.id, signal);
    }

    /// Waits by the handle; `None` if it cannot be waited for.
    #[cfg(target_os = "linux")]
    async fn ended_by_handle(&mut self) -> Option<Exit> {
        use std::os::fd::AsFd;
        use tokio::io::{Interest, unix::AsyncFd};
        // A second handle, so that it can be waited for while the first one is used.
        let handle = self.handle.as_ref()?.as_fd().try_clone_to_owned().ok()?;
        // The handle becomes readable when the process ends (pidfd_open(2)).
        // SAFETY: an `OwnedFd` always gives the same descriptor, and keeps it open until it is dropped.
        let handle = unsafe { AsyncFd::register_with_interest(handle, Interest::READABLE) }.ok()?;
        loop {
            let mut ready = handle.readable().await.ok()?;
            if let Some(exit) = self.collect() {
                return Some(exit);
            }
            ready.clear_ready();
        }
    }

    /// How it ended, if it has; a child of ours is taken out of the process table.
    fn collect(&mut self) -> Option<Exit> {
        if self.exit.is_none() {
            self.exit = match waitid(self.waited_for()?, WaitIdOptions::EXITED | WaitIdOptions::NOHANG) {
                Ok(Some(end)) => Some(Exit { code: end.exit_status(), signal: end.terminating_signal() }),
                Ok(None) => None,
                // Not our child, or collected already.
                Err(_) => (!is_alive(self.id)).then(Exit::default),
            };
        }
        self.exit
    }

    fn waited_for(&self) -> Option<WaitId<'_>> {
        #[cfg(target_os = "linux")]
        if let Some(handle) = &self.handle {
            use std::os::fd::AsFd;
            return Some(WaitId::PidFd(handle.as_fd()));
        }
        Pid::from_raw(self.id.pid.cast_signed()).map(WaitId::Pid)
    }
}

/// Sends a signal to this very process; whether it could be sent. It is never sent to a later process with
/// the same number (elsewhere than on Linux there is an instant in which it could be).
pub(super) fn send(id: Identity, signal: Signal) -> bool {
    #[cfg(target_os = "linux")]
    if let Some(handle) = handle_on(id.pid) {
        return identity_of(id.pid) == Some(id) && rustix::process::pidfd_send_signal(handle, signal).is_ok();
    }
    let pid = Pid::from_raw(id.pid.cast_signed());
    is_alive(id) && pid.is_some_and(|pid| kill_process(pid, signal).is_ok())
}

/// `None` if there is no such process, or the system is older than Linux 5.3.
#[cfg(target_os = "linux")]
fn handle_on(pid: u32) -> Option<std::os::fd::OwnedFd> {
    use rustix::process::{PidfdFlags, pidfd_open};
    pidfd_open(Pid::from_raw(pid.cast_signed())?, PidfdFlags::empty()).ok()
}

/// Whether one of the patterns names the variable.
fn names(patterns: &[String], name: &str) -> bool {
    patterns.iter().any(|pattern| match pattern.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => name == pattern,
    })
}

/// Said before the start, because afterwards the system's answer does not tell it from a missing program.
pub(super) fn check_directory(directory: &Path) -> Result<(), SpawnError> {
    let missing = |reason: &str| {
        Err(SpawnError::DirectoryMissing { directory: directory.to_owned(), reason: reason.to_owned() })
    };
    match std::fs::metadata(directory) {
        Ok(found) if !found.is_dir() => missing("is not a directory"),
        Ok(_) if access(directory, Access::EXEC_OK).is_err() => missing("may not be entered"),
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => missing("does not exist"),
        Err(error) => missing(&format!("cannot be used ({error})")),
    }
}

/// What the system's refusal to start a program means.
fn explain(launch: &Launch, directory: &Path, error: io::Error) -> SpawnError {
    let program = launch.program.clone();
    // A name without a slash is looked up in the PATH, a path is taken from the directory it starts in.
    let by_path = program.components().count() > 1;
    let there = by_path && directory.join(&program).exists();
    let unusable =
        |reason: &str| SpawnError::NotExecutable { program: program.clone(), reason: reason.into() };
    match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::NOENT) if there => {
            unusable("the interpreter that its first line names, or a library of it, is missing")
        }
        Some(Errno::NOENT | Errno::NOTDIR) => SpawnError::NotFound(program),
        Some(Errno::ACCESS | Errno::PERM) if directory.join(&program).is_dir() => {
            unusable("it is a directory")
        }
        Some(Errno::ACCESS | Errno::PERM) => unusable("you may not execute it"),
        Some(Errno::NOEXEC) => unusable("it is not a program for this system"),
        Some(Errno::TXTBSY) => unusable("it is being written"),
        Some(Errno::AGAIN | Errno::MFILE | Errno::NFILE | Errno::NOMEM) => {
            SpawnError::TooManyProcesses(error)
        }
        _ => SpawnError::Io { program, error },
    }
}

#[cfg(test)]
mod tests;
