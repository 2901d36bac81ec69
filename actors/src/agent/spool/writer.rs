//! Whole lines into the agent's standard input.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use tokio::net::unix::pipe;
use tokio::time::Instant;

/// How long an agent may leave its standard input unread before it counts as stuck.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why a line was not written, or not wholly.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// Nobody holds the pipe: the program has ended, and with it whatever it had not read.
    #[error("the agent program has ended")]
    Gone,
    /// It does not read its input. With `written` = 0 nothing of the line is in the pipe and it may be
    /// tried again; otherwise a part of it is, no other line can follow, and the program must be replaced.
    #[error("the agent program does not read its input ({written} bytes of this line were taken)")]
    Stuck {
        /// How many bytes of the line went into the pipe.
        written: usize,
    },
    /// It would be two lines.
    #[error("the line for the agent holds a line end of its own")]
    HasNewline,
    /// The system says this.
    #[error("cannot write to the agent program: {0}")]
    Io(#[from] io::Error),
}

/// Writes lines into the pipe. There must be one only at a time.
#[derive(Debug)]
pub struct SpoolWriter {
    path: PathBuf,
    pipe: Option<pipe::Sender>,
    /// Set while a line goes in by pieces: how many bytes of it are in. Found set by a later write, that
    /// write was given up (or dropped) half-way.
    torn: Option<usize>,
    patience: Duration,
}

impl SpoolWriter {
    /// The longest line, in bytes and with its line feed, that goes in whole or not at all, whatever happens
    /// to us or the agent: `PIPE_BUF` (pipe(7)). A longer one goes in by pieces, and a crash in between
    /// leaves a part of it in the pipe.
    pub const ATOMIC: usize = rustix::pipe::PIPE_BUF;

    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, pipe: None, torn: None, patience: PATIENCE }
    }

    /// Waits this long, in place of 10 seconds, for an agent that reads nothing.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Writes one line, given without its line feed. May be dropped while it waits: a line of at most
    /// [`Self::ATOMIC`] bytes is in then or it is not, and of a longer one a part may be in, which the next
    /// call reports as [`WriteError::Stuck`].
    ///
    /// # Errors
    /// See [`WriteError`].
    pub async fn write_line(&mut self, line: &str) -> Result<(), WriteError> {
        if line.contains(['\n', '\r']) {
            return Err(WriteError::HasNewline);
        }
        if let Some(written) = self.torn {
            return Err(WriteError::Stuck { written });
        }
        let bytes = [line.as_bytes(), b"\n"].concat();
        let result = self.write(&bytes).await;
        if matches!(result, Err(WriteError::Gone)) {
            self.pipe = None;
        }
        result
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), WriteError> {
        let pipe = match &mut self.pipe {
            Some(pipe) => pipe,
            // Never blocks: without a reader the system refuses (ENXIO), and the agent, while it lives, is one.
            empty => empty.insert(pipe::OpenOptions::new().open_sender(&self.path).map_err(gone)?),
        };
        let mut rest = bytes;
        let mut deadline = Instant::now() + self.patience;
        while !rest.is_empty() {
            // A write of at most `ATOMIC` bytes is all or nothing; for a longer one the system takes what fits.
            match pipe.try_write(rest) {
                Ok(taken) => {
                    rest = rest.get(taken..).unwrap_or_default();
                    self.torn = (!rest.is_empty()).then_some(bytes.len() - rest.len());
                    deadline = Instant::now() + self.patience;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    match tokio::time::timeout_at(deadline, pipe.writable()).await {
                        Ok(ready) => ready.map_err(gone)?,
                        Err(_) => return Err(WriteError::Stuck { written: bytes.len() - rest.len() }),
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(gone(error)),
            }
        }
        Ok(())
    }
}

/// What an error of the pipe means. That nobody reads it (EPIPE, ENXIO) or that the spool is no longer there
/// is the end of the program.
fn gone(error: io::Error) -> WriteError {
    let nobody = error.raw_os_error() == Some(rustix::io::Errno::NXIO.raw_os_error());
    match error.kind() {
        io::ErrorKind::BrokenPipe | io::ErrorKind::NotFound => WriteError::Gone,
        _ if nobody => WriteError::Gone,
        _ => WriteError::Io(error),
    }
}
