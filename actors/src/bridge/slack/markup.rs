//! Slack's mrkdwn: `*bold*`, `_italic_`, `~struck~`, `` `code` ``, fences, `<address|text>`, `>` before quoted lines.
//! `&`, `<` and `>` are escaped, so nothing can mention a user, a channel or everyone. There is no escape for the
//! other marks: a mark of no width keeps them from acting.

use crate::bridge::markup::{Dialect, Run, safe_link};

/// A section's text has 3000 characters; a message may have 40000, but is cut in pieces that can be read.
const LIMIT: usize = 2_900;
/// Breaks up what would act as a mark.
const BREAK: char = '\u{2060}';
/// Lets a mark act that touches a word.
const JOINT: char = '\u{200b}';

/// Slack's mrkdwn.
#[derive(Clone, Copy, Debug)]
pub struct Mrkdwn;

/// Text in which nothing is a mention, a link or a mark. Marks within a word do nothing, and are left as they are: names
/// of programs can be copied.
pub fn escape(out: &mut String, text: &str, marks: bool) {
    let mut chars = text.chars().peekable();
    let mut before: Option<char> = None;
    while let Some(c) = chars.next() {
        let inner =
            before.is_some_and(char::is_alphanumeric) && chars.peek().is_some_and(|c| c.is_alphanumeric());
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '`' | '*' | '_' | '~' if marks && (c == '`' || !inner) => {
                out.push(BREAK);
                out.push(c);
                out.push(BREAK);
            }
            c => out.push(c),
        }
        before = Some(c);
    }
}

/// Text with its bare addresses as links, which Slack does not make by itself of what is sent verbatim.
fn linked(out: &mut String, text: &str) {
    let mut rest = text;
    while let Some(at) = address_at(rest) {
        let (before, from) = rest.split_at(at);
        let end = from.find(|c: char| c.is_whitespace() || c.is_control() || "<>\"|\\()`".contains(c));
        let (address, next) = from.split_at(end.unwrap_or(from.len()));
        let address = address.trim_end_matches(['.', ',', ';', ':', '!', '?', '\'', '*', '_', '~']);
        let behind = from.get(address.len()..).unwrap_or_default();
        escape(out, before, true);
        // Its end is not sure with a bracket in it.
        match safe_link(address).filter(|_| !next.starts_with('(') && address.len() > "https://".len()) {
            Some(to) => {
                out.push('<');
                escape(out, to, false);
                out.push('>');
            }
            None => escape(out, address, true),
        }
        rest = behind;
    }
    escape(out, rest, true);
}

fn address_at(text: &str) -> Option<usize> {
    let begins = |at: usize| text.get(..at).and_then(|before| before.chars().next_back());
    ["https://", "http://"]
        .iter()
        .filter_map(|scheme| {
            let mut found = text.match_indices(scheme).map(|(at, _)| at);
            found.find(|at| !begins(*at).is_some_and(char::is_alphanumeric))
        })
        .min()
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
        match (style.code, &style.link) {
            (true, _) => escape(out, &inner.replace('`', "\u{2b9}"), false),
            (false, Some(_)) => escape(out, inner, true),
            (false, None) => linked(out, inner),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bridge::markup::{Doc, plain};

    fn shown(text: &str) -> String {
        let mut out = String::new();
        Mrkdwn.run(&mut out, &plain(text), None, None);
        out
    }

    #[test]
    fn names_of_programs_stay_as_they_are_and_marks_do_nothing() {
        assert_eq!(shown("call read_file_now(a*b)"), "call read_file_now(a*b)");
        assert_eq!(shown("*x*"), "\u{2060}*\u{2060}x\u{2060}*\u{2060}");
        assert_eq!(shown("a`b"), "a\u{2060}`\u{2060}b");
    }

    #[test]
    fn a_bare_address_is_a_link_and_nothing_else_is() {
        assert_eq!(shown("see https://x.example/a_b?c=1&d=2."), "see <https://x.example/a_b?c=1&amp;d=2>.");
        assert_eq!(shown("(http://x.example)"), "(<http://x.example>)");
        assert_eq!(shown("xhttps://x.example https://"), "xhttps://x.example https://");
        assert_eq!(shown("https://x.example/a_(b)"), "https://x.example/a\u{2060}_\u{2060}(b)");
        assert_eq!(shown("https://x|<!channel>"), "<https://x>|&lt;!channel&gt;");
    }

    #[test]
    fn nothing_mentions_everybody() {
        for text in ["<!channel>", "<!here|x>", "<@U1>", "<!subteam^S1>", "<https://a|b>", "[a](<!everyone>)"]
        {
            for part in
                Doc::markdown(&format!("{text} `{text}` **{text}**\n\n```\n{text}\n```")).render(&Mrkdwn)
            {
                let marks: Vec<&str> = part.markup.matches('<').collect();
                assert!(marks.is_empty() || part.markup.contains("<https://a"), "{}", part.markup);
                assert!(!part.markup.contains("<!") && !part.markup.contains("<@"), "{}", part.markup);
            }
        }
    }
}
