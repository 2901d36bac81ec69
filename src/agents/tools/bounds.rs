//! Texts that never get longer than a model can use.

use std::collections::VecDeque;

/// The beginning and the end of something long.
#[derive(Debug)]
pub struct Bounded {
    head: Vec<u8>,
    tail: VecDeque<u8>,
    first: usize,
    last: usize,
    dropped: usize,
}

impl Bounded {
    /// Keeps this many bytes of the beginning and of the end.
    pub fn new(first: usize, last: usize) -> Self {
        Self { head: Vec::new(), tail: VecDeque::new(), first, last, dropped: 0 }
    }

    /// Takes more.
    pub fn push(&mut self, bytes: &[u8]) {
        let room = self.first.saturating_sub(self.head.len()).min(bytes.len());
        let (to_head, rest) = bytes.split_at(room);
        self.head.extend_from_slice(to_head);
        self.tail.extend(rest);
        let over = self.tail.len().saturating_sub(self.last);
        self.tail.drain(..over);
        self.dropped += over;
    }

    /// As text, with a note in the place of what is left out.
    pub fn into_text(mut self) -> String {
        if self.dropped == 0 {
            self.head.extend(self.tail);
            return String::from_utf8_lossy(&self.head).into_owned();
        }
        let tail: Vec<u8> = self.tail.into();
        let (head, tail) = (String::from_utf8_lossy(&self.head), String::from_utf8_lossy(&tail));
        format!(
            "{}\n[… {} bytes are left out …]\n{}",
            head.trim_end_matches('\u{fffd}'),
            self.dropped,
            tail.trim_start_matches('\u{fffd}')
        )
    }
}

/// The beginning of a text, at most `most` bytes, not through the middle of a character.
pub fn head(text: &str, most: usize) -> &str {
    let mut end = most.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

/// On one line and not too long, for a title. What would make it look like something else is shown as a mark.
pub fn one_line(text: &str) -> String {
    const LONGEST: usize = 200;
    let mut line = String::new();
    for c in text.trim().chars() {
        if line.len() >= LONGEST {
            line.push('…');
            break;
        }
        match c {
            '\n' | '\r' | '\u{2028}' | '\u{2029}' => line.push('⏎'),
            '\t' => line.push(' '),
            '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' => {
                line.push('\u{fffd}');
            }
            c if c.is_control() => line.push('\u{fffd}'),
            c => line.push(c),
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_beginning_and_the_end_are_kept() {
        let mut all = Bounded::new(4, 4);
        for piece in ["ab", "cdef", "gh"] {
            all.push(piece.as_bytes());
        }
        assert_eq!(all.into_text(), "abcdefgh");
        let mut long = Bounded::new(4, 4);
        long.push("é".repeat(100).as_bytes());
        long.push(b"end");
        assert_eq!(long.into_text(), "éé\n[… 195 bytes are left out …]\nend");
    }

    #[test]
    fn a_text_is_cut_between_characters() {
        assert_eq!((head("aé", 2), head("aé", 3), head("aé", 9), head("é", 1)), ("a", "aé", "aé", ""));
    }
}
