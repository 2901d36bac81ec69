//! Reading files of lines that other programs write: in pieces, from either end, and never more of it at once than
//! one line of bounded length.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// How much is read at once.
const PIECE: usize = 64 * 1024;
/// A line that is longer is passed over: nothing that we want of a conversation is.
pub const LONGEST_LINE: usize = 16 * 1024 * 1024;

/// Opens a file for reading, unless it is a link: what lies in a program's folder must be its own.
pub fn open(path: &Path) -> io::Result<File> {
    use rustix::fs::OFlags;
    // A pipe without a writer would block.
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no plain file"));
    }
    Ok(file)
}

/// Gives every whole line from the byte `from` up to the byte `to` (`None` = the end of the file) to `each`, without
/// its line end, together with the byte behind that; stops early when `each` answers `false`. A last line without a
/// line end is still being written, and left out. Answers the byte behind the last line that was given.
pub fn each_line(
    file: &mut File,
    from: u64,
    to: Option<u64>,
    each: &mut dyn FnMut(&[u8], u64) -> bool,
) -> io::Result<u64> {
    file.seek(SeekFrom::Start(from))?;
    let mut piece = vec![0; PIECE];
    let mut line: Vec<u8> = Vec::new();
    let mut too_long = false;
    let (mut at, mut given) = (from, from);
    loop {
        let left = to.map_or(PIECE as u64, |to| to.saturating_sub(at));
        let wanted = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
        let read = match file.read(piece.get_mut(..wanted).unwrap_or_default()) {
            Ok(0) => return Ok(given),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let mut rest = piece.get(..read).unwrap_or_default();
        while let Some(end) = memchr::memchr(b'\n', rest) {
            let (head, tail) = rest.split_at(end);
            at += end as u64 + 1;
            rest = tail.get(1..).unwrap_or_default();
            let go_on = if std::mem::take(&mut too_long) {
                true
            } else if line.is_empty() {
                each(head, at)
            } else if line.len() + head.len() > LONGEST_LINE {
                true
            } else {
                line.extend_from_slice(head);
                each(&line, at)
            };
            line.clear();
            given = at;
            if !go_on {
                return Ok(given);
            }
        }
        at += rest.len() as u64;
        too_long |= line.len() + rest.len() > LONGEST_LINE;
        if too_long {
            line = Vec::new();
        } else {
            line.extend_from_slice(rest);
        }
    }
}

/// The beginning of the first line that begins within the last `bytes` bytes of a file of this length.
pub fn tail_start(file: &mut File, length: u64, bytes: u64) -> io::Result<u64> {
    let Some(from) = length.checked_sub(bytes).filter(|from| *from > 0) else { return Ok(0) };
    // From the byte before, so that a line that begins just there is not lost.
    let mut start = None;
    let mut at = from - 1;
    file.seek(SeekFrom::Start(at))?;
    let mut piece = vec![0; PIECE];
    while start.is_none() && at < length {
        let read = file.read(&mut piece)?;
        if read == 0 {
            break;
        }
        start = memchr::memchr(b'\n', piece.get(..read).unwrap_or_default()).map(|end| at + end as u64 + 1);
        at += read as u64;
    }
    Ok(start.unwrap_or(length))
}

/// Whether a line ends right before this byte, so that it can be gone on from there.
pub fn begins_line(file: &mut File, at: u64) -> io::Result<bool> {
    let Some(before) = at.checked_sub(1) else { return Ok(true) };
    file.seek(SeekFrom::Start(before))?;
    let mut byte = [0];
    Ok(file.read(&mut byte)? == 1 && byte == *b"\n")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn file(content: &[u8]) -> File {
        let mut file = tempfile::tempfile().expect("a file");
        io::Write::write_all(&mut file, content).expect("it can be written");
        file
    }

    fn lines(content: &[u8], from: u64, to: Option<u64>) -> (Vec<Vec<u8>>, u64) {
        let mut lines = Vec::new();
        let end = each_line(&mut file(content), from, to, &mut |line, _| {
            lines.push(line.to_vec());
            true
        });
        (lines, end.expect("it can be read"))
    }

    #[test]
    fn a_line_that_is_being_written_is_left_for_later() {
        assert_eq!(lines(b"one\ntwo\nthr", 0, None), (vec![b"one".to_vec(), b"two".to_vec()], 8));
        assert_eq!(lines(b"one\ntwo\nthr", 4, None), (vec![b"two".to_vec()], 8));
        assert_eq!(lines(b"one\ntwo\n", 0, Some(5)), (vec![b"one".to_vec()], 4));
        assert_eq!(lines(b"", 0, None), (vec![], 0));
        assert_eq!(lines(b"x\n", 99, None), (vec![], 99));
    }

    #[test]
    fn a_line_without_measure_is_passed_over_and_what_follows_is_read() {
        let mut content = vec![b'x'; LONGEST_LINE + 2];
        content.extend_from_slice(b"\nafter\n");
        let end = content.len() as u64;
        assert_eq!(lines(&content, 0, None), (vec![b"after".to_vec()], end));
    }

    #[test]
    fn reading_can_be_stopped_and_gone_on_with() {
        let mut file = file(b"a\nb\nc\n");
        let mut seen = Vec::new();
        let mut first = |line: &[u8], _| {
            seen.push(line.to_vec());
            false
        };
        let end = each_line(&mut file, 0, None, &mut first).expect("it can be read");
        assert_eq!((seen, end), (vec![b"a".to_vec()], 2));
    }

    #[test]
    fn links_and_folders_are_not_opened() {
        let folder = tempfile::tempdir().expect("a folder");
        let secret = folder.path().join("secret");
        std::fs::write(&secret, "s\n").expect("it can be written");
        let link = folder.path().join("link.jsonl");
        std::os::unix::fs::symlink(&secret, &link).expect("a link");
        assert!(open(&secret).is_ok());
        assert!(open(&link).is_err());
        assert!(open(folder.path()).is_err());
    }

    proptest! {
        #[test]
        fn the_tail_begins_with_a_line_and_holds_all_that_begin_in_it(
            texts in prop::collection::vec("[a-z]{0,40}", 0..60), bytes in 0u64..400,
        ) {
            let content: String = texts.iter().map(|text| format!("{text}\n")).collect();
            let length = content.len() as u64;
            let mut file = file(content.as_bytes());
            let start = tail_start(&mut file, length, bytes).expect("it can be read");
            prop_assert!(begins_line(&mut file, start).expect("it can be read"));
            let expected = (length.saturating_sub(bytes)..=length)
                .find(|at| *at == 0 || content.as_bytes()[*at as usize - 1] == b'\n');
            prop_assert_eq!(Some(start), expected);
        }
    }
}
