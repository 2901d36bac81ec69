//! Bytes into lines, without I/O.

use std::io::BufRead;

use bytes::Bytes;

/// A line of an agent's output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Where in the output the line ends, its line feed included: reading that starts here gives the next
    /// line. Bytes from the start of the output.
    pub end_offset: u64,
    /// What it holds.
    pub content: LineContent,
}

/// What a line holds, without its line feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LineContent {
    /// The bytes; whether they are UTF-8 is for the reader of the line to say.
    Text(Bytes),
    /// The line is longer than the limit and was skipped.
    TooLong {
        /// How long it is.
        bytes: u64,
    },
}

/// Cuts a stream of bytes into lines, wherever the pieces of the stream begin and end.
#[derive(Debug)]
pub(super) struct Splitter {
    /// The longest line that is kept, in bytes.
    limit: usize,
    /// How many bytes of the stream were taken in.
    taken: u64,
    /// The begun line, while it is within the limit.
    begun: Vec<u8>,
    /// How long the begun line is so far, once it is over the limit; then `begun` is empty.
    skipped: Option<u64>,
}

impl Splitter {
    /// Begins at `offset`, which must be the start of a line.
    pub(super) fn new(offset: u64, limit: usize) -> Self {
        Self { limit, taken: offset, begun: Vec::new(), skipped: None }
    }

    /// How far the stream was taken in, in bytes from its start.
    pub(super) fn taken(&self) -> u64 {
        self.taken
    }

    /// Takes in the next piece and adds the lines that it ends to `lines`.
    pub(super) fn push(&mut self, piece: &[u8], lines: &mut Vec<Line>) {
        let mut rest = piece;
        while !rest.is_empty() {
            let end = first_line(rest);
            let (part, after) = rest.split_at(end.unwrap_or(rest.len()));
            rest = after;
            self.taken += part.len() as u64;
            match part.split_last() {
                Some((_, text)) if end.is_some() => {
                    self.extend(text);
                    lines.push(self.take());
                }
                _ => self.extend(part),
            }
        }
    }

    /// Ends the stream: what was begun and has no line feed is the last line; `None` if there is nothing.
    pub(super) fn finish(&mut self) -> Option<Line> {
        (self.skipped.is_some() || !self.begun.is_empty()).then(|| self.take())
    }

    fn extend(&mut self, part: &[u8]) {
        if let Some(skipped) = &mut self.skipped {
            *skipped += part.len() as u64;
        } else if self.begun.len() + part.len() > self.limit {
            self.skipped = Some((self.begun.len() + part.len()) as u64);
            self.begun = Vec::new();
        } else {
            self.begun.extend_from_slice(part);
        }
    }

    fn take(&mut self) -> Line {
        let content = match self.skipped.take() {
            Some(bytes) => LineContent::TooLong { bytes },
            None => LineContent::Text(std::mem::take(&mut self.begun).into()),
        };
        Line { end_offset: self.taken, content }
    }
}

/// How many bytes the first line has, its line feed included; `None` if there is no line feed.
fn first_line(bytes: &[u8]) -> Option<usize> {
    let mut rest = bytes;
    // The search of the standard library is vectorised; on a slice it cannot fail.
    let upto = rest.skip_until(b'\n').ok()?;
    bytes.get(..upto)?.ends_with(b"\n").then_some(upto)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What the lines of `bytes` are, said in the plainest way.
    fn expected(bytes: &[u8], limit: usize) -> Vec<Line> {
        let mut end_offset = 0;
        let mut lines: Vec<Line> = bytes
            .split(|byte| *byte == b'\n')
            .map(|text| {
                end_offset += text.len() as u64 + 1;
                let content = if text.len() > limit {
                    LineContent::TooLong { bytes: text.len() as u64 }
                } else {
                    LineContent::Text(Bytes::copy_from_slice(text))
                };
                Line { end_offset, content }
            })
            .collect();
        // After the last line feed there is a line only if there is something in it, and it has no feed.
        if let Some(last) = lines.last_mut() {
            last.end_offset = bytes.len() as u64;
        }
        if bytes.is_empty() || bytes.ends_with(b"\n") {
            lines.pop();
        }
        lines
    }

    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        // Line feeds often enough that lines of all lengths about the limit come up.
        prop::collection::vec(prop_oneof![1 => Just(b'\n'), 6 => any::<u8>()], 0..200)
    }

    proptest! {
        #[test]
        fn any_split_of_any_bytes_gives_the_same_lines(
            bytes in bytes(),
            cuts in prop::collection::vec(0..200usize, 0..12),
            limit in 0..20usize,
        ) {
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let mut splitter = Splitter::new(0, limit);
            let mut lines = Vec::new();
            for pair in cuts.windows(2) {
                splitter.push(&bytes[pair[0]..pair[1]], &mut lines);
                prop_assert!(splitter.begun.len() <= limit, "no more than the limit is held");
            }
            lines.extend(splitter.finish());
            prop_assert_eq!(&lines, &expected(&bytes, limit));
            prop_assert_eq!(splitter.taken(), bytes.len() as u64);
        }

        #[test]
        fn reading_that_starts_at_the_end_of_any_line_gives_the_lines_after_it(bytes in bytes(), pick: prop::sample::Index) {
            let all = expected(&bytes, 10);
            prop_assume!(!all.is_empty());
            let chosen = pick.index(all.len());
            let from = all[chosen].end_offset;
            let mut splitter = Splitter::new(from, 10);
            let mut lines = Vec::new();
            splitter.push(&bytes[from as usize..], &mut lines);
            lines.extend(splitter.finish());
            prop_assert_eq!(&lines, &all[chosen + 1..]);
        }
    }

    #[test]
    fn a_line_of_exactly_the_limit_is_kept_and_one_byte_more_is_too_long() {
        let mut splitter = Splitter::new(0, 3);
        let mut lines = Vec::new();
        splitter.push(b"abc\nabcd\n", &mut lines);
        assert_eq!(
            lines,
            [
                Line { end_offset: 4, content: LineContent::Text(Bytes::from_static(b"abc")) },
                Line { end_offset: 9, content: LineContent::TooLong { bytes: 4 } },
            ]
        );
    }
}
