//! Slack's mrkdwn: `*bold*`, `_italic_`, `~struck~`, `` `code` ``, fences, `<address|text>`, `>` before quoted lines.
//! `&`, `<` and `>` are escaped, so nothing can mention a user, a channel or everyone. There is no escape for the
//! other marks: a mark of no width keeps them from acting.

use crate::bridge::markup::{Dialect, Run};

/// A section's text has 3000 characters; a message may have 40000, but is cut in pieces that can be read.
const LIMIT: usize = 2_900;
/// Breaks up what would act as a mark.
const BREAK: char = '\u{2060}';
/// Lets a mark act that touches a word.
const JOINT: char = '\u{200b}';

/// Slack's mrkdwn.
#[derive(Clone, Copy, Debug)]
pub struct Mrkdwn;

/// Text in which nothing is a mention, a link or a mark.
pub fn escape(out: &mut String, text: &str, marks: bool) {
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '*' | '_' | '~' | '`' if marks => {
                out.push(BREAK);
                out.push(c);
                out.push(BREAK);
            }
            c => out.push(c),
        }
    }
}

impl Dialect for Mrkdwn {
    fn limit(&self) -> usize {
        LIMIT
    }

    fn run(&self, out: &mut String, run: &Run, before: Option<char>, after: Option<char>) {
        let style = &run.style;
        if run.text.trim().is_empty() {
            return out.push_str(&run.text);
        }
        let inner = run.text.trim();
        let lead = run.text.len() - run.text.trim_start().len();
        let (head, tail) = (run.text.get(..lead), run.text.get(lead + inner.len()..));
        let (head, tail) = (head.unwrap_or_default(), tail.unwrap_or_default());
        out.push_str(head);
        let wanted = [
            ('*', style.bold && !style.code),
            ('_', style.italic && !style.code),
            ('~', style.strike && !style.code),
            ('`', style.code),
        ];
        let marks: Vec<char> = wanted.into_iter().filter(|(_, on)| *on).map(|(mark, _)| mark).collect();
        let word = |c: Option<char>| c.is_some_and(|c| !c.is_whitespace());
        if !marks.is_empty() && head.is_empty() && word(before) {
            out.push(JOINT);
        }
        out.extend(&marks);
        if let Some(to) = &style.link {
            out.push('<');
            escape(out, to, false);
            out.push('|');
        }
        match style.code {
            true => escape(out, &inner.replace('`', "\u{2b9}"), false),
            false => escape(out, inner, true),
        }
        if style.link.is_some() {
            out.push('>');
        }
        out.extend(marks.iter().rev());
        if !marks.is_empty() && tail.is_empty() && word(after) {
            out.push(JOINT);
        }
        out.push_str(tail);
    }

    fn pre(&self, out: &mut String, _: &str, text: &str) {
        out.push_str("```\n");
        escape(out, &text.replace("```", "`\u{2060}`\u{2060}`"), false);
        out.push_str("\n```");
    }

    fn quote(&self, out: &mut String, lines: &str) {
        let quoted: Vec<String> = lines.split('\n').map(|line| format!("> {line}")).collect();
        out.push_str(&quoted.join("\n"));
    }
}
