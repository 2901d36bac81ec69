//! Discord's Markdown: all that could act as a mark is escaped, so nothing can mention anybody or break out. Messages
//! are sent with `allowed_mentions` empty besides.

use crate::bridge::markup::{Dialect, Run, without_mentions};

/// Characters of a message.
const LIMIT: usize = 2_000;

/// Discord's Markdown.
#[derive(Clone, Copy, Debug)]
pub struct Markdown;

/// Text in which nothing is a mark. `start` says that it begins a line.
pub fn escape(out: &mut String, text: &str, start: bool) {
    let text = without_mentions(text);
    let numbered = text.trim_start_matches(|c: char| c.is_ascii_digit());
    for (at, c) in text.char_indices() {
        let mark = "\\*_~`|[]<>:".contains(c)
            || (start && at == 0 && "#-+".contains(c))
            || (start && c == '.' && text.len() - numbered.len() == at && at > 0);
        if mark {
            out.push('\\');
        }
        out.push(c);
    }
}

impl Dialect for Markdown {
    fn limit(&self) -> usize {
        LIMIT
    }

    fn run(&self, out: &mut String, run: &Run, before: Option<char>, _: Option<char>) {
        let style = &run.style;
        if run.text.trim().is_empty() {
            return out.push_str(&run.text);
        }
        let inner = run.text.trim();
        let lead = run.text.len() - run.text.trim_start().len();
        let (head, tail) = (run.text.get(..lead), run.text.get(lead + inner.len()..));
        out.push_str(head.unwrap_or_default());
        if style.code {
            let fence = if inner.contains('`') { "``" } else { "`" };
            let pad = if inner.contains('`') { " " } else { "" };
            let inner = inner.replace("``", "`\u{200b}`");
            out.push_str(&format!("{fence}{pad}{inner}{pad}{fence}"));
            return out.push_str(tail.unwrap_or_default());
        }
        let wanted = [("**", style.bold), ("*", style.italic), ("~~", style.strike)];
        let marks: Vec<&str> = wanted.into_iter().filter(|(_, on)| *on).map(|(mark, _)| mark).collect();
        marks.iter().for_each(|mark| out.push_str(mark));
        match &style.link {
            // An address that shows itself is a link by itself; in `<>` it has no preview.
            Some(to) if to == inner => out.push_str(&format!("<{to}>")),
            Some(to) => {
                out.push('[');
                escape(out, inner, false);
                out.push_str(&format!("](<{to}>)"));
            }
            None => escape(out, inner, before.is_none() && lead == 0),
        }
        marks.iter().rev().for_each(|mark| out.push_str(mark));
        out.push_str(tail.unwrap_or_default());
    }

    fn pre(&self, out: &mut String, lang: &str, text: &str) {
        out.push_str("```");
        out.push_str(lang);
        out.push('\n');
        out.push_str(&text.replace("```", "`\u{200b}`\u{200b}`"));
        out.push_str("\n```");
    }

    fn quote(&self, out: &mut String, lines: &str) {
        let quoted: Vec<String> = lines.split('\n').map(|line| format!("> {line}")).collect();
        out.push_str(&quoted.join("\n"));
    }
}
