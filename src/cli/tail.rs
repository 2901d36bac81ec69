//! Following a file that grows, is emptied, or is put aside for a new one.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// At most so many bytes are looked through for the last lines.
const LOOKED_THROUGH: u64 = 8 << 20;

/// A place in a file that is followed.
pub struct Tail {
    path: PathBuf,
    file: File,
    at: u64,
}

impl Tail {
    /// Begins at the last so many lines, or at the beginning.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn open(path: &Path, lines: Option<usize>) -> io::Result<Self> {
        let mut file = File::open(path)?;
        let at = match lines {
            Some(lines) => begin_of_last(&mut file, lines)?,
            None => 0,
        };
        Ok(Self { path: path.to_owned(), file, at })
    }

    /// What was written since; of a file that was put aside the rest, then what stands in the one that took its place.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn more(&mut self) -> io::Result<Vec<u8>> {
        let mut bytes = self.rest()?;
        let now = match std::fs::metadata(&self.path) {
            Ok(now) => now,
            // The new one is about to come.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(bytes),
            Err(error) => return Err(error),
        };
        let held = self.file.metadata()?;
        if (now.dev(), now.ino()) != (held.dev(), held.ino()) {
            let next = match File::open(&self.path) {
                Ok(next) => next,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(bytes),
                Err(error) => return Err(error),
            };
            // Between the first look and the change, more may have come to the old one.
            bytes.extend(self.rest()?);
            (self.file, self.at) = (next, 0);
            bytes.extend(self.rest()?);
        }
        Ok(bytes)
    }

    /// What stands behind the place in the file that is held; one that became shorter was emptied.
    fn rest(&mut self) -> io::Result<Vec<u8>> {
        if self.file.metadata()?.len() < self.at {
            self.at = 0;
        }
        self.file.seek(SeekFrom::Start(self.at))?;
        let mut bytes = Vec::new();
        self.file.read_to_end(&mut bytes)?;
        self.at += bytes.len() as u64;
        Ok(bytes)
    }
}

/// Where the last so many lines begin.
fn begin_of_last(file: &mut File, lines: usize) -> io::Result<u64> {
    let length = file.metadata()?.len();
    let from = length.saturating_sub(LOOKED_THROUGH);
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.take(LOOKED_THROUGH).read_to_end(&mut bytes)?;
    let read_to = from + bytes.len() as u64;
    if lines == 0 {
        return Ok(read_to);
    }
    let ends = bytes.iter().enumerate().rev().skip(1).filter(|(_, byte)| **byte == b'\n');
    let begin = ends.map(|(at, _)| at as u64 + 1).nth(lines - 1);
    Ok(from + begin.unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn append(path: &Path, text: &str) {
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path).expect("opened");
        file.write_all(text.as_bytes()).expect("written");
    }

    fn more(tail: &mut Tail) -> String {
        String::from_utf8(tail.more().expect("read")).expect("text")
    }

    #[test]
    fn a_file_is_followed_over_being_emptied_and_put_aside() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("log");
        append(&path, "one\n");
        let mut tail = Tail::open(&path, None).expect("opened");
        assert_eq!(more(&mut tail), "one\n");
        assert_eq!(more(&mut tail), "");
        append(&path, "two\n");
        assert_eq!(more(&mut tail), "two\n");
        std::fs::write(&path, "").expect("emptied");
        append(&path, "3\n");
        assert_eq!(more(&mut tail), "3\n");
        let aside = folder.path().join("log.1");
        std::fs::rename(&path, &aside).expect("put aside");
        append(&aside, "late\n");
        assert_eq!(more(&mut tail), "late\n", "there is no new one yet");
        append(&aside, "later\n");
        append(&path, "new\n");
        assert_eq!(more(&mut tail), "later\nnew\n");
        append(&path, "newer\n");
        assert_eq!(more(&mut tail), "newer\n");
    }

    #[test]
    fn the_last_lines_are_found() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("log");
        append(&path, "one\ntwo\nthree\n");
        for (lines, text) in [(0, ""), (1, "three\n"), (2, "two\nthree\n"), (9, "one\ntwo\nthree\n")] {
            assert_eq!(more(&mut Tail::open(&path, Some(lines)).expect("opened")), text, "{lines}");
        }
        append(&path, "half");
        assert_eq!(more(&mut Tail::open(&path, Some(1)).expect("opened")), "half");
        assert!(Tail::open(&folder.path().join("none"), None).is_err());
    }
}
