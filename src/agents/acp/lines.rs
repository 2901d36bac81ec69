//! Standard input as lines, read by a thread of its own: it may block for ever, and the program ends all the same.

use std::io::{self, BufRead, Read as _};

use tokio::sync::mpsc;

/// Longest line. A prompt may carry pictures.
const LONGEST: u64 = 64 * 1024 * 1024;
/// So many lines are read ahead.
const AHEAD: usize = 4;

/// A line without its end, or `Err` with what was wrong with it.
pub type Line = Result<Vec<u8>, String>;

/// Begins to read. The channel ends with the input.
pub fn standard_input() -> io::Result<mpsc::Receiver<Line>> {
    let (sender, receiver) = mpsc::channel(AHEAD);
    std::thread::Builder::new().name("input".into()).spawn(move || {
        let mut input = io::stdin().lock();
        while let Some(line) = next(&mut input, LONGEST) {
            if sender.blocking_send(line).is_err() {
                break;
            }
        }
    })?;
    Ok(receiver)
}

/// The next line that holds something; `None` at the end. A last line that was never ended is not a line: whoever
/// wrote it was cut off.
fn next(input: &mut impl BufRead, longest: u64) -> Option<Line> {
    loop {
        let mut line = Vec::new();
        match input.by_ref().take(longest).read_until(b'\n', &mut line) {
            Ok(0) => return None,
            Ok(_) if line.last() == Some(&b'\n') => {
                let text = line.trim_ascii();
                if !text.is_empty() {
                    return Some(Ok(text.to_vec()));
                }
            }
            Ok(_) if u64::try_from(line.len()).is_ok_and(|length| length == longest) => {
                drop(line);
                input.skip_until(b'\n').ok()?;
                return Some(Err(format!("a line is longer than {longest} bytes")));
            }
            // Interrupted calls are taken up again by `read_until` itself.
            Ok(_) | Err(_) => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_whole_and_one_that_is_too_long_costs_only_itself() {
        let mut input = &b"one\r\n\n0123456789\ntwo\nunfinished"[..];
        assert_eq!(next(&mut input, 8), Some(Ok(b"one".to_vec())));
        assert!(next(&mut input, 8).is_some_and(|line| line.is_err()));
        assert_eq!(next(&mut input, 8), Some(Ok(b"two".to_vec())));
        assert!(next(&mut input, 8).is_some_and(|line| line.is_err()), "ten bytes without an end");
        assert_eq!(next(&mut input, 8), None);
        let mut input = &b"cut o"[..];
        assert_eq!(next(&mut input, 8), None);
    }
}
