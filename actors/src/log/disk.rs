//! The disk under the log: whose folder it is, how much room there is, and a reserve for when there is none.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::FlockOperation;

/// How long a reading of the free space is good for...
const READING: Duration = Duration::from_secs(1);

/// ... unless the bytes written since, each of which may take up as many on disk, may have brought it
/// below the floor.
const WRITE_AMPLIFICATION: u64 = 4;

/// Makes a folder, and what leads to it, for its owner's eyes only. One that exists is left as it is.
pub fn make_folder(path: &Path) -> io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Opens, and if need be makes, a file that only its owner may read.
fn private_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).truncate(false).read(true).write(true).mode(0o600).open(path)
}

/// Holds a data folder for one daemon. Let go of by the system when the process ends, however it ends.
#[derive(Debug)]
pub struct FolderLock {
    /// Held for its lock, which its drop releases.
    _file: File,
}

impl FolderLock {
    /// Takes the folder; `Ok(None)` if another daemon has it.
    pub fn take(folder: &Path) -> io::Result<Option<Self>> {
        let file = private_file(&folder.join("lock"))?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Self { _file: file })),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// With less than this free nothing at all is written any more. Enough for the largest batch there is, and for the
/// store to be opened.
const LAST_ROOM: u64 = 4 << 20;

/// Tells how many bytes are free.
pub type FreeSpace = Box<dyn Fn() -> io::Result<u64> + Send>;

/// The free space of the disk and what to do about too little of it.
pub struct Room {
    folder: PathBuf,
    floor: u64,
    free: FreeSpace,
    read: Option<(Instant, u64)>,
    /// Bytes written since then.
    written: u64,
    reserve: Option<Reserve>,
}

impl Room {
    /// The room on the disk of `folder`: below `floor` bytes it is low; `reserve` bytes are set aside.
    pub fn of(folder: &Path, floor: u64, reserve: u64) -> Self {
        let path = folder.to_owned();
        let free = Box::new(move || {
            let stat = rustix::fs::statvfs(&path)?;
            Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
        });
        let file = Reserve { path: folder.join("reserve"), bytes: reserve };
        Self { reserve: (reserve > 0).then_some(file), ..Self::measured(folder, floor, free) }
    }

    /// As told by `free`, without a reserve.
    pub fn measured(folder: &Path, floor: u64, free: FreeSpace) -> Self {
        Self { folder: folder.to_owned(), floor, free, read: None, written: 0, reserve: None }
    }

    /// No disk at all, so always enough room.
    pub fn endless() -> Self {
        Self::measured(Path::new("memory"), 0, Box::new(|| Ok(u64::MAX)))
    }

    /// Where it is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What must be free for new work.
    pub fn floor(&self) -> u64 {
        self.floor
    }

    /// Bytes free, by a reading at most a second old. If the system does not tell, there is enough:
    /// a write that fails will say more.
    pub fn free(&mut self) -> u64 {
        let may_be_gone = self.written.saturating_mul(WRITE_AMPLIFICATION);
        match self.read {
            Some((at, free))
                if at.elapsed() < READING
                    && (free < self.floor || free.saturating_sub(may_be_gone) >= self.floor) =>
            {
                free
            }
            _ => self.free_now(),
        }
    }

    /// Notes that so many bytes were written.
    pub fn note_written(&mut self, bytes: usize) {
        self.written = self.written.saturating_add(bytes as u64);
    }

    /// Bytes free, read now.
    pub fn free_now(&mut self) -> u64 {
        let free = (self.free)().unwrap_or(u64::MAX);
        self.read = Some((Instant::now(), free));
        self.written = 0;
        free
    }

    /// Whether there is too little for new work.
    pub fn is_low(&mut self) -> bool {
        self.free() < self.floor
    }

    /// Whether there is so little left, even with the reserve given up, that nothing more may be written. A
    /// store that runs into a full disk fails for good, reads included, and needs room to be opened again; so it
    /// is not let so far.
    pub fn is_exhausted(&mut self) -> bool {
        let may_be_gone = self.written.saturating_mul(WRITE_AMPLIFICATION);
        let known = self.read.filter(|(at, _)| at.elapsed() < READING);
        let enough = known.is_some_and(|(_, free)| free.saturating_sub(may_be_gone) >= LAST_ROOM);
        if enough || self.free_now() >= LAST_ROOM {
            return false;
        }
        !(self.give_up_reserve() && self.free_now() >= LAST_ROOM)
    }

    /// Gives the reserve to the disk; answers whether there was one.
    pub fn give_up_reserve(&mut self) -> bool {
        self.read = None;
        self.reserve.as_ref().is_some_and(|reserve| std::fs::remove_file(&reserve.path).is_ok())
    }

    /// Sets the reserve aside (again) when that leaves enough for new work.
    pub fn keep_reserve(&mut self) {
        let Some(bytes) = self.reserve.as_ref().map(|reserve| reserve.bytes) else { return };
        let enough = self.free() >= self.floor.saturating_add(bytes);
        let Some(reserve) = self.reserve.as_ref().filter(|reserve| enough && !reserve.is_there()) else {
            return;
        };
        if let Err(error) = reserve.make() {
            tracing::warn!(%error, path = %reserve.path.display(), "cannot set room aside for a full disk");
            // Half a reserve would be taken for a whole one.
            let _ = std::fs::remove_file(&reserve.path);
        }
        self.read = None;
    }
}

/// A file that takes up room, so that there is some when the disk is full.
struct Reserve {
    path: PathBuf,
    bytes: u64,
}

impl Reserve {
    fn is_there(&self) -> bool {
        std::fs::metadata(&self.path).is_ok_and(|data| data.len() >= self.bytes)
    }

    fn make(&self) -> io::Result<()> {
        let mut file = private_file(&self.path)?;
        #[cfg(target_os = "linux")]
        if rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, self.bytes).is_ok() {
            return Ok(());
        }
        // Written where it cannot be allocated. Not zeros: a file system may store those as nothing.
        let piece: Vec<u8> = (0..64 * 1024u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let mut left = self.bytes;
        while left > 0 {
            let now = left.min(piece.len() as u64);
            file.write_all(piece.get(..now as usize).unwrap_or(&piece))?;
            left -= now;
        }
        file.sync_data()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[test]
    fn a_folder_is_held_by_one_at_a_time() {
        let folder = tempfile::tempdir().expect("a folder");
        let first = FolderLock::take(folder.path()).expect("it locks").expect("it is free");
        assert!(FolderLock::take(folder.path()).expect("it answers").is_none());
        drop(first);
        assert!(FolderLock::take(folder.path()).expect("it locks").is_some());
    }

    #[test]
    fn the_reserve_really_takes_up_room_and_is_given_up_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut room = Room::of(folder.path(), 0, 3 << 20);
        room.keep_reserve();
        let data = std::fs::metadata(folder.path().join("reserve")).expect("it is there");
        assert!(data.blocks() * 512 >= 3 << 20, "{} blocks", data.blocks());
        assert_eq!(data.mode() & 0o777, 0o600);
        assert!(room.give_up_reserve());
        assert!(!room.give_up_reserve());
    }

    #[test]
    fn no_reserve_is_set_aside_where_it_would_leave_too_little() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut room = Room::of(folder.path(), u64::MAX / 2, 1 << 20);
        room.keep_reserve();
        assert!(!folder.path().join("reserve").exists());
    }

    #[test]
    fn free_space_is_read_once_a_second() {
        let reads = Arc::new(AtomicU64::new(0));
        let counter = reads.clone();
        let free = Box::new(move || Ok(counter.fetch_add(1, Ordering::Relaxed)));
        let mut room = Room::measured(Path::new("x"), 1, free);
        assert!(room.is_low());
        assert!((0..100).all(|_| room.is_low()));
        assert_eq!(reads.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn free_space_is_read_again_once_the_floor_may_have_been_passed() {
        let reads = Arc::new(AtomicU64::new(0));
        let counter = reads.clone();
        let free = move || Ok(if counter.fetch_add(1, Ordering::Relaxed) == 0 { 1_000 } else { 400 });
        let mut room = Room::measured(Path::new("x"), 500, Box::new(free));
        assert!(!room.is_low());
        room.note_written(100);
        assert!(!room.is_low() && reads.load(Ordering::Relaxed) == 1, "not yet");
        room.note_written(100);
        assert!(room.is_low());
    }
}
