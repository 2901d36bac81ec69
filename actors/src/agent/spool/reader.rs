//! Lines out of the agent's growing output.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::at;
use super::lines::{Line, Splitter};
use super::watch::Watch;

/// The longest line of an agent's that is taken in, in bytes.
pub const LINE_LIMIT: usize = 16 * 1024 * 1024;
/// How much is read at once. Copying this much out of the page cache takes some 10 microseconds.
const CHUNK: usize = 64 * 1024;
/// How much is read before other tasks of the thread get their turn.
const TURN: usize = 1024 * 1024;
/// How often the file's length is looked at, whatever the watcher says.
const LOOK: Duration = Duration::from_millis(250);
/// Space is given back in multiples of this.
const HOLE: u64 = 1024 * 1024;

/// Reads the agent's output.
///
/// What it reads was written a moment ago, so it lies in the page cache. On Linux it is read from there at
/// once (`preadv2` with `RWF_NOWAIT`), without a detour over another thread; only what has to come from the
/// disk, after a restart say, is read on the runtime's threads for blocking work. Elsewhere all is.
#[derive(Debug)]
pub struct SpoolReader {
    path: PathBuf,
    file: Arc<File>,
    watch: Watch,
    splitter: Splitter,
    /// Lines that were found and not yet handed out, because the call that found them was dropped.
    found: Vec<Line>,
    /// Where the last line that was handed out ends.
    offset: u64,
    /// Up to where space was given back.
    punched: u64,
    /// Set once the file system said that it cannot make holes.
    no_holes: Arc<AtomicBool>,
}

impl SpoolReader {
    pub(super) fn new(path: PathBuf, offset: u64, limit: usize) -> io::Result<Self> {
        // Writable because making a hole counts as writing.
        let file = OpenOptions::new().read(true).write(true).open(&path);
        let file = file.map_err(|error| at(error, "cannot open the agent's output", &path))?;
        // Watched first, looked at second: nothing can be written between the two without being told.
        let watch = Watch::new(&path);
        let reader = Self {
            path,
            file: Arc::new(file),
            watch,
            splitter: Splitter::new(offset, limit),
            found: Vec::new(),
            offset,
            punched: 0,
            no_holes: Arc::default(),
        };
        reader.unread()?;
        Ok(reader)
    }

    /// The complete lines that are there now and were not handed out yet, oldest first: about `max_bytes` of
    /// them at the most, but at least one if there is one. None = nothing complete is there; wait with
    /// [`Self::changed`]. A line over the limit is reported and not held. Cancel-safe: what a dropped call
    /// had found comes with the next one.
    ///
    /// # Errors
    /// `InvalidData` if the file is shorter than what was read of it already, else what the system says.
    pub async fn next_lines(&mut self, max_bytes: usize) -> io::Result<Vec<Line>> {
        let mut buffer = vec![0; max_bytes.clamp(1, CHUNK)];
        let mut read = 0;
        while self.found.is_empty() || read < max_bytes {
            let length = self.read(&mut buffer).await?;
            let piece = buffer.get(..length).unwrap_or_default();
            if piece.is_empty() {
                if self.found.is_empty() {
                    self.unread()?;
                }
                break;
            }
            let before = read / TURN;
            read += piece.len();
            self.splitter.push(piece, &mut self.found);
            if read / TURN > before {
                tokio::task::yield_now().await;
            }
        }
        let lines = std::mem::take(&mut self.found);
        if let Some(last) = lines.last() {
            self.offset = last.end_offset;
        }
        Ok(lines)
    }

    /// After the program has ended and [`Self::next_lines`] has nothing more: what it had begun to say
    /// without ending the line, as a last line; `None` if there is nothing.
    pub fn finish(&mut self) -> Option<Line> {
        let line = self.splitter.finish()?;
        self.offset = line.end_offset;
        Some(line)
    }

    /// Waits until the output has (probably) grown since it was last read. It is told by the system, and
    /// looks by itself four times a second in case it was not. Cancel-safe.
    pub async fn changed(&mut self) {
        loop {
            if tokio::time::timeout(LOOK, self.watch.changed()).await.is_ok() {
                return;
            }
            // An error (the file was cut short) is a change too: reading will tell it.
            if self.unread().map_or(true, |bytes| bytes > 0) {
                return;
            }
        }
    }

    /// Where the last line that was handed out ends: where a later reader must start. Bytes from the start.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Gives the space of what lies before `upto` back to the system, in steps of at least 1 MiB and in the
    /// background. For that the lines up to there must be safe elsewhere, since they are gone then. Offsets
    /// stay as they are. Linux only: elsewhere the output takes its space until the spool is removed.
    pub fn consumed(&mut self, upto: u64) {
        let upto = upto.min(self.offset) / HOLE * HOLE;
        if upto <= self.punched || self.no_holes.load(Ordering::Relaxed) {
            return;
        }
        let (file, no_holes, from) = (Arc::clone(&self.file), Arc::clone(&self.no_holes), self.punched);
        let path = self.path.clone();
        self.punched = upto;
        let work = move || {
            if let Err(error) = punch(&file, from, upto) {
                no_holes.store(true, Ordering::Relaxed);
                tracing::info!(path = %path.display(), %error, "cannot give space back, the agent's output takes it until its end");
            }
        };
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(work)),
            Err(_) => work(),
        }
    }

    /// How many bytes are there and were not taken in.
    fn unread(&self) -> io::Result<u64> {
        let (length, taken) = (self.file.metadata()?.len(), self.splitter.taken());
        length.checked_sub(taken).ok_or_else(|| {
            let what = format!("it has {length} bytes and {taken} were read of it already");
            let error = io::Error::new(io::ErrorKind::InvalidData, what);
            at(error, "somebody cut the agent's output short", &self.path)
        })
    }

    /// Reads what follows what was taken in; 0 = nothing does.
    async fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let offset = self.splitter.taken();
        #[cfg(target_os = "linux")]
        if let Some(length) = read_cached(&self.file, buffer, offset) {
            return Ok(length);
        }
        let (file, room) = (Arc::clone(&self.file), buffer.len());
        let piece = tokio::task::spawn_blocking(move || {
            let mut piece = vec![0; room];
            let length = file.read_at(&mut piece, offset)?;
            piece.truncate(length);
            io::Result::Ok(piece)
        });
        let piece = piece.await.map_err(io::Error::other)??;
        if let Some(front) = buffer.get_mut(..piece.len()) {
            front.copy_from_slice(&piece);
        }
        Ok(piece.len())
    }
}

/// Reads what is there without waiting for a disk; `None` if that cannot be done, now or at all.
#[cfg(target_os = "linux")]
fn read_cached(file: &File, buffer: &mut [u8], offset: u64) -> Option<usize> {
    use rustix::io::{ReadWriteFlags, preadv2};
    preadv2(file, &mut [io::IoSliceMut::new(buffer)], offset, ReadWriteFlags::NOWAIT).ok()
}

/// Makes a hole from `from` to `upto`; the file keeps its length.
#[cfg(target_os = "linux")]
pub(super) fn punch(file: &File, from: u64, upto: u64) -> io::Result<()> {
    use rustix::fs::{FallocateFlags, fallocate};
    if upto <= from {
        return Ok(());
    }
    Ok(fallocate(file, FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, from, upto - from)?)
}

#[cfg(not(target_os = "linux"))]
pub(super) fn punch(_file: &File, _from: u64, _upto: u64) -> io::Result<()> {
    Ok(())
}
