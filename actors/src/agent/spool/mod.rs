//! The spool: what connects an agent program to the daemon and outlives the daemon.
//!
//! One folder for one life of an agent program:
//!
//! ```text
//! in       a named pipe: its standard input, which it holds open for reading and writing itself
//! out      a file: its standard output
//! err      a file: its standard error
//! program  its process id and start time, two numbers in one line
//! ```
//!
//! So the agent neither sees an end of file nor fails at writing while no daemon runs. What a daemon wrote
//! into the pipe stays there as long as the agent lives; what the agent says grows in `out`, and a new
//! daemon reads on from the offset up to which the log says that lines were taken in.
//!
//! With the agent the pipe dies, and with it what was not read out of it: another life needs another spool.

mod lines;
mod reader;
mod watch;
mod writer;

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::Stdio;

pub use lines::{Line, LineContent};
pub use reader::{LINE_LIMIT, SpoolReader};
pub use writer::{SpoolWriter, WriteError};

use super::processes::Identity;

/// How many lines of standard error are told.
const TAIL_LINES: usize = 20;
/// How many bytes of standard error are told.
const TAIL_BYTES: u64 = 8 * 1024;
/// How much of standard error is kept on disk when [`Spool::trim_stderr`] is called.
const STDERR_KEPT: u64 = 1024 * 1024;

/// The folder that connects one life of an agent program to the daemon.
#[derive(Clone, Debug)]
pub struct Spool {
    dir: PathBuf,
}

impl Spool {
    /// Makes a new spool in the folder `dir`, which must not exist; folders above it are made as needed.
    /// Only the user may enter it (mode 0700). Blocks for the time of a few file operations.
    ///
    /// # Errors
    /// `AlreadyExists` if there is something at `dir`, else what the system says, with the path.
    pub fn create(dir: &Path) -> io::Result<Self> {
        let dir = std::path::absolute(dir)?;
        if let Some(above) = dir.parent() {
            let made = DirBuilder::new().recursive(true).mode(0o700).create(above);
            made.map_err(|error| at(error, "cannot make the folder", above))?;
        }
        let made = DirBuilder::new().mode(0o700).create(&dir);
        made.map_err(|error| at(error, "cannot make the spool", &dir))?;
        let spool = Self { dir };
        spool.fill().inspect_err(|_| {
            // Nothing can have been connected to it yet, so half a spool is of no use to anybody.
            let _ = std::fs::remove_dir_all(&spool.dir);
        })?;
        Ok(spool)
    }

    /// Finds a spool again that an earlier daemon made.
    ///
    /// # Errors
    /// `NotFound` if it is gone, `InvalidData` if the pipe in it is not a pipe.
    pub fn open(dir: &Path) -> io::Result<Self> {
        let spool = Self { dir: std::path::absolute(dir)? };
        let pipe = spool.input();
        let kind =
            std::fs::symlink_metadata(&pipe).map_err(|error| at(error, "cannot find the pipe", &pipe))?;
        if !kind.file_type().is_fifo() {
            return Err(at(io::ErrorKind::InvalidData.into(), "this should be a named pipe", &pipe));
        }
        let out = spool.output();
        std::fs::metadata(&out).map_err(|error| at(error, "cannot find the agent's output", &out))?;
        Ok(spool)
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Standard input, output and error for the agent program. The pipe is opened for reading and writing,
    /// so that the agent that inherits it holds both ends.
    ///
    /// # Errors
    /// What the system says, with the path.
    pub fn stdio(&self) -> io::Result<(Stdio, Stdio, Stdio)> {
        let open = |options: &mut OpenOptions, path: PathBuf| {
            options.open(&path).map(Stdio::from).map_err(|error| at(error, "cannot open", &path))
        };
        Ok((
            open(OpenOptions::new().read(true).write(true), self.input())?,
            open(OpenOptions::new().append(true), self.output())?,
            open(OpenOptions::new().append(true), self.errors())?,
        ))
    }

    /// What writes into the pipe. It opens the pipe when it first writes, so it may be made before the
    /// agent is started.
    pub fn writer(&self) -> SpoolWriter {
        SpoolWriter::new(self.input())
    }

    /// What reads the agent's output from `offset` on, which must be the start of a line (0, or the
    /// [`Line::end_offset`] of an earlier line). Must be called within a tokio runtime.
    ///
    /// # Errors
    /// `InvalidData` if the output is shorter than that, else what the system says, with the path.
    pub fn reader(&self, offset: u64) -> io::Result<SpoolReader> {
        SpoolReader::new(self.output(), offset, LINE_LIMIT)
    }

    /// The last lines on standard error: at most 20, and of at most 8 KiB; what is not UTF-8 is replaced.
    /// Empty if there are none or they cannot be read.
    pub fn stderr_tail(&self) -> Vec<String> {
        self.read_tail().unwrap_or_default()
    }

    /// Gives the space of all but the end of standard error back (Linux only), so that an agent that
    /// complains for days does not fill the disk. Blocks for the time of a file operation.
    ///
    /// # Errors
    /// What the system says, with the path.
    pub fn trim_stderr(&self) -> io::Result<()> {
        let path = self.errors();
        let file =
            OpenOptions::new().write(true).open(&path).map_err(|error| at(error, "cannot open", &path))?;
        let length = file.metadata()?.len();
        reader::punch(&file, 0, length.saturating_sub(STDERR_KEPT))
    }

    /// Notes who the agent program is, for a daemon that was killed before it could put that into the log.
    ///
    /// # Errors
    /// What the system says, with the path.
    pub fn note_program(&self, id: Identity) -> io::Result<()> {
        let (path, fresh) = (self.dir.join("program"), self.dir.join("program.new"));
        // Renamed into place: whoever reads it finds all of it or nothing.
        std::fs::write(&fresh, format!("{} {}\n", id.pid, id.started))
            .and_then(|()| std::fs::rename(&fresh, &path))
            .map_err(|error| at(error, "cannot note the agent's process id", &path))
    }

    /// Who the agent program is, if that was noted.
    pub fn program(&self) -> Option<Identity> {
        let text = std::fs::read_to_string(self.dir.join("program")).ok()?;
        let (pid, started) = text.trim_end().split_once(' ')?;
        Some(Identity { pid: pid.parse().ok()?, started: started.parse().ok()? })
    }

    /// Removes the folder with all that is in it. One that is gone already is no error.
    ///
    /// # Errors
    /// What the system says, with the path.
    pub fn remove(self) -> io::Result<()> {
        match std::fs::remove_dir_all(&self.dir) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(at(error, "cannot remove the spool", &self.dir))
            }
            _ => Ok(()),
        }
    }

    fn input(&self) -> PathBuf {
        self.dir.join("in")
    }

    fn output(&self) -> PathBuf {
        self.dir.join("out")
    }

    fn errors(&self) -> PathBuf {
        self.dir.join("err")
    }

    fn fill(&self) -> io::Result<()> {
        let pipe = self.input();
        make_pipe(&pipe).map_err(|error| at(error, "cannot make the named pipe", &pipe))?;
        for path in [self.output(), self.errors()] {
            let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
            made.map_err(|error| at(error, "cannot make", &path))?;
        }
        Ok(())
    }

    fn read_tail(&self) -> io::Result<Vec<String>> {
        let mut file = File::open(self.errors())?;
        let length = file.metadata()?.len();
        let from = length.saturating_sub(TAIL_BYTES);
        file.seek(SeekFrom::Start(from))?;
        let mut bytes = Vec::new();
        // A bound also on what is written while we read.
        file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
        let text = String::from_utf8_lossy(&bytes);
        let mut lines: Vec<&str> = text.lines().collect();
        // What was cut off at its front says little; but if it is all there is, it is better than nothing.
        if from > 0 && lines.len() > 1 {
            lines.remove(0);
        }
        let skip = lines.len().saturating_sub(TAIL_LINES);
        Ok(lines.into_iter().skip(skip).map(str::to_owned).collect())
    }
}

#[cfg(target_os = "linux")]
fn make_pipe(path: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, Mode};
    Ok(rustix::fs::mkfifoat(CWD, path, Mode::RUSR | Mode::WUSR)?)
}

#[cfg(not(target_os = "linux"))]
fn make_pipe(path: &Path) -> io::Result<()> {
    use nix::sys::stat::Mode;
    Ok(nix::unistd::mkfifo(path, Mode::S_IRUSR | Mode::S_IWUSR)?)
}

/// The same error, with what was tried and on what.
fn at(error: io::Error, what: &str, path: &Path) -> io::Error {
    io::Error::new(error.kind(), format!("{what} {}: {error}", path.display()))
}

#[cfg(test)]
mod tests;
