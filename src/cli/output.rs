//! Printing: colours only on a terminal, cells that fit, and nothing that an agent wrote may steer the
//! terminal.

use std::io::{self, IsTerminal as _, Write};

use serde::Serialize;
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// Standard output. Colours are dropped when it is no terminal, or when `NO_COLOR` says so.
pub struct Out {
    stream: anstream::Stdout,
}

impl Out {
    /// The process's.
    pub fn standard() -> Self {
        Self { stream: anstream::stdout() }
    }

    /// One line.
    pub fn line(&mut self, text: impl AsRef<str>) -> io::Result<()> {
        writeln!(self.stream, "{}", text.as_ref())
    }

    /// Text as it is, seen at once.
    pub fn text(&mut self, text: &str) -> io::Result<()> {
        self.stream.write_all(text.as_bytes())?;
        self.stream.flush()
    }

    /// A value as indented JSON.
    pub fn json(&mut self, value: &impl Serialize) -> Result<(), super::Failure> {
        let text = serde_json::to_string_pretty(value)?;
        Ok(self.line(text)?)
    }
}

/// Whether a person can read and type: both ends are terminals.
pub fn is_interactive() -> bool {
    io::stdin().is_terminal() && io::stdout().is_terminal()
}

/// Columns of the terminal; 100 where there is none.
pub fn terminal_width() -> usize {
    terminal_size::terminal_size().map_or(100, |(width, _)| usize::from(width.0)).max(40)
}

/// One column of a table: its heading and width.
pub struct Column(pub &'static str, pub usize);

/// A table as the contract draws it: one space between columns, cells cut with `…`, a line of `─`
/// under each heading. Answers its lines.
pub fn table(columns: &[Column], rows: &[Vec<String>]) -> Vec<String> {
    let line = |cells: Vec<String>| {
        let padded: Vec<String> =
            columns.iter().zip(cells).map(|(column, cell)| fit(&cell, column.1)).collect();
        padded.join(" ").trim_end().to_owned()
    };
    let heading = line(columns.iter().map(|column| column.0.to_owned()).collect());
    let rule: Vec<String> = columns.iter().map(|column| "─".repeat(column.1)).collect();
    let mut lines = vec![heading, rule.join(" ")];
    lines.extend(rows.iter().map(|row| line(row.iter().map(|cell| one_line(cell)).collect())));
    lines
}

/// Cuts or pads to exactly this many columns.
fn fit(text: &str, width: usize) -> String {
    let cut = clip(text, width);
    let pad = width.saturating_sub(cut.width());
    cut + &" ".repeat(pad)
}

/// Cuts to at most this many columns; what is cut ends in `…`.
pub fn clip(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut taken = 0;
    let mut cut = String::new();
    for c in text.chars() {
        taken += c.width().unwrap_or(0);
        if taken >= width {
            break;
        }
        cut.push(c);
    }
    cut + "…"
}

/// The first `count` characters of an id.
pub fn short(id: &str, count: usize) -> &str {
    id.get(..count).unwrap_or(id)
}

/// Text from an agent as a terminal may show it: colours, cursor movements and carriage returns are dropped,
/// what is left of control characters is made visible.
pub fn tame(text: &str) -> String {
    exact(&anstream::adapter::strip_str(text).to_string().replace('\r', ""))
}

/// Text that a person decides about: nothing is dropped, and every character that would not be seen, or
/// would change how others are seen, is spelled out.
pub fn exact(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\t' => shown.push(c),
            c if c.is_control() || is_invisible(c) => shown.extend(c.escape_unicode()),
            c => shown.push(c),
        }
    }
    shown
}

/// Zero-width and direction-changing characters, with which text can be made to look like other text.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}

/// Tamed text on one line.
pub fn one_line(text: &str) -> String {
    tame(text).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// How long ago, in one short word.
pub fn age(seconds: i64) -> String {
    match seconds.max(0) {
        s @ 0..=59 => format!("{s}s"),
        s @ 60..=3599 => format!("{}m", s / 60),
        s @ 3600..=86_399 => format!("{}h", s / 3600),
        s => format!("{}d", s / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_cuts_and_pads_its_cells() {
        let columns = [Column("ID", 6), Column("NAME", 5)];
        let rows =
            [vec!["sess_1".to_owned(), "a\nlong name".to_owned()], vec!["x".to_owned(), "日本語".to_owned()]];
        assert_eq!(table(&columns, &rows), ["ID     NAME", "────── ─────", "sess_1 a lo…", "x      日本…"]);
    }

    #[test]
    fn an_agent_cannot_steer_the_terminal() {
        assert_eq!(tame("a\u{1b}[2J\u{1b}[31mb\u{7}"), "ab");
        assert_eq!(exact("rm \u{1b}[8m-rf\u{202e}"), "rm \\u{1b}[8m-rf\\u{202e}");
        assert_eq!(exact("a\tb\nc é 日"), "a\tb\nc é 日");
    }

    #[test]
    fn ages_are_short() {
        assert_eq!([-5, 59, 60, 7200, 200_000].map(age), ["0s", "59s", "1m", "2h", "2d"]);
    }
}
