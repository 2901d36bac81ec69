//! A doc into messages that are each within a limit.

use super::{Dialect, Doc, Run, Unit};
use crate::bridge::platform::Rendered;

/// What a quotation's marks take up at most, for a line.
const QUOTE: usize = 30;

/// A unit, or a piece of one, that is sent whole.
struct Piece {
    markup: String,
    plain: String,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Line,
    Quoted,
    Pre,
    Gap,
}

pub fn pack(doc: &Doc, dialect: &dyn Dialect, limit: usize) -> Vec<Rendered> {
    let mut pieces = Vec::new();
    for unit in &doc.0 {
        match unit {
            Unit::Gap => pieces.push(Piece { markup: String::new(), plain: String::new(), kind: Kind::Gap }),
            Unit::Line { quoted, runs } => lines(&mut pieces, runs, *quoted, dialect, limit),
            Unit::Pre { lang, text } => blocks(&mut pieces, lang, text, dialect, limit),
        }
    }
    let mut messages = Vec::new();
    let mut open: Vec<Piece> = Vec::new();
    let mut size = 0;
    for piece in pieces {
        let more = dialect.size(&piece.markup) + 1 + if piece.kind == Kind::Quoted { QUOTE } else { 0 };
        if size + more > limit && !open.is_empty() {
            messages.extend(message(std::mem::take(&mut open), dialect));
            size = 0;
        }
        if open.is_empty() && piece.kind == Kind::Gap {
            continue;
        }
        size += more;
        open.push(piece);
    }
    messages.extend(message(open, dialect));
    messages
}

fn message(mut pieces: Vec<Piece>, dialect: &dyn Dialect) -> Option<Rendered> {
    while pieces.last().is_some_and(|piece| piece.kind == Kind::Gap) {
        pieces.pop();
    }
    if pieces.iter().all(|piece| piece.plain.trim().is_empty()) {
        return None;
    }
    let mut out = Rendered::default();
    let mut rest = pieces.as_slice();
    while let Some((first, more)) = rest.split_first() {
        if !out.markup.is_empty() {
            out.markup.push('\n');
            out.plain.push('\n');
        }
        out.plain.push_str(&first.plain);
        if first.kind != Kind::Quoted {
            out.markup.push_str(&first.markup);
            rest = more;
            continue;
        }
        let count = rest.iter().take_while(|piece| piece.kind == Kind::Quoted).count();
        let (quoted, behind) = rest.split_at(count);
        let lines: Vec<&str> = quoted.iter().map(|piece| piece.markup.as_str()).collect();
        dialect.quote(&mut out.markup, &lines.join("\n"));
        for piece in quoted.iter().skip(1) {
            out.plain.push('\n');
            out.plain.push_str(&piece.plain);
        }
        rest = behind;
    }
    Some(out)
}

fn lines(pieces: &mut Vec<Piece>, runs: &[Run], quoted: bool, dialect: &dyn Dialect, limit: usize) {
    let kind = if quoted { Kind::Quoted } else { Kind::Line };
    let room = limit.saturating_sub(QUOTE + 1).max(1);
    let (mut markup, mut plain) = (String::new(), String::new());
    let mut size = 0;
    for (index, run) in runs.iter().enumerate() {
        let mut rest = run.clone();
        loop {
            let mut one = String::new();
            let after = runs.get(index + 1).and_then(|next| next.text.chars().next());
            dialect.run(&mut one, &rest, plain.chars().next_back(), after);
            let cost = dialect.size(&one);
            if size + cost <= room {
                size += cost;
                markup.push_str(&one);
                plain.push_str(&rest.text);
                break;
            }
            if size > 0 && cost <= room {
                pieces.push(Piece {
                    markup: std::mem::take(&mut markup),
                    plain: std::mem::take(&mut plain),
                    kind,
                });
                size = 0;
                continue;
            }
            // Too long for any line: as much of it as is sure to fit, up to a space if there is one.
            let fits = fitting(&rest, dialect, room - size);
            if fits == 0 {
                pieces.push(Piece {
                    markup: std::mem::take(&mut markup),
                    plain: std::mem::take(&mut plain),
                    kind,
                });
                if size == 0 {
                    // Not even one character: the limit is absurd, and nothing can be shown.
                    return;
                }
                size = 0;
                continue;
            }
            let (head, tail) = rest.text.split_at(fits);
            let head = Run { text: head.to_owned(), style: rest.style.clone() };
            dialect.run(&mut markup, &head, plain.chars().next_back(), None);
            plain.push_str(&head.text);
            pieces.push(Piece {
                markup: std::mem::take(&mut markup),
                plain: std::mem::take(&mut plain),
                kind,
            });
            size = 0;
            rest.text = tail.trim_start_matches(' ').to_owned();
            if rest.text.is_empty() {
                break;
            }
        }
    }
    if !markup.is_empty() || runs.is_empty() {
        pieces.push(Piece { markup, plain, kind });
    }
}

/// How many bytes of a run's text fit, up to the last space if that is not too early.
fn fitting(run: &Run, dialect: &dyn Dialect, room: usize) -> usize {
    let fits = |end: usize| {
        let text = run.text.get(..end).unwrap_or_default().to_owned();
        let mut out = String::new();
        dialect.run(&mut out, &Run { text, style: run.style.clone() }, None, None);
        dialect.size(&out) <= room
    };
    let (mut low, mut high) = (0, run.text.len());
    while low < high {
        let middle = run.text.ceil_char_boundary((low + high).div_ceil(2));
        if fits(middle) {
            low = middle;
        } else {
            high = run.text.floor_char_boundary(middle.saturating_sub(1));
        }
    }
    let head = run.text.get(..low).unwrap_or_default();
    match head.rfind(' ') {
        Some(space) if space > low / 2 => space,
        _ => low,
    }
}

fn blocks(pieces: &mut Vec<Piece>, lang: &str, text: &str, dialect: &dyn Dialect, limit: usize) {
    let lang: String =
        lang.chars().filter(|c| c.is_ascii_alphanumeric() || "+#-_".contains(*c)).take(20).collect();
    let room = limit.saturating_sub(1);
    let cost = |text: &str| {
        let mut out = String::new();
        dialect.pre(&mut out, &lang, text);
        dialect.size(&out)
    };
    let mut push = |text: &str| {
        let mut markup = String::new();
        dialect.pre(&mut markup, &lang, text);
        pieces.push(Piece { markup, plain: text.to_owned(), kind: Kind::Pre });
    };
    if cost(text) <= room {
        return push(text);
    }
    let empty = cost("");
    let mut open = String::new();
    let mut size = empty;
    for line in text.split('\n') {
        let mut line = line;
        loop {
            let more = cost(line).saturating_sub(empty) + 1;
            if size + more <= room {
                if !open.is_empty() {
                    open.push('\n');
                }
                open.push_str(line);
                size += more;
                break;
            }
            if !open.is_empty() {
                push(&open);
                open.clear();
                size = empty;
                continue;
            }
            // A line that is longer than a message.
            let mut end = line.len();
            while end > 0 && cost(line.get(..end).unwrap_or_default()) > room {
                end = line.floor_char_boundary((end * 3 / 4).min(end - 1));
            }
            if end == 0 {
                return;
            }
            let (head, tail) = line.split_at(end);
            push(head);
            line = tail;
        }
    }
    if !open.is_empty() {
        push(&open);
    }
}
