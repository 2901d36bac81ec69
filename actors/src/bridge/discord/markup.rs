//! Discord's Markdown: all that could act as a mark is escaped, so nothing can mention anybody or break out. Messages
//! are sent with `allowed_mentions` empty besides.

use crate::bridge::markup::{Dialect, Run, safe_link, without_mentions};

/// Characters of a message.
const LIMIT: usize = 2_000;
/// Of no width; parts marks that would be taken together.
const NOTHING: char = '\u{200b}';

/// Discord's Markdown.
#[derive(Clone, Copy, Debug)]
pub struct Markdown;

/// Text in which nothing is a mark. `start` says that it may begin a line.
pub fn escape(out: &mut String, text: &str, start: bool) {
    let text = without_mentions(text);
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    for (at, c) in text.char_indices() {
        let begins = start && at == 0 && "#-+".contains(c);
        let numbers = start && at > 0 && at == digits && ".)".contains(c);
        if begins || numbers || "\\*_~`|[]<>:".contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
}

/// The same, but addresses in it lead where they say. In `<>` they have no preview.
fn escape_with_links(out: &mut String, text: &str, mut start: bool) {
    let mut rest = text;
    while let Some(at) = rest.find("https://").into_iter().chain(rest.find("http://")).min() {
        let (before, tail) = rest.split_at(at);
        let end = tail.find(|c: char| c.is_whitespace() || "<>\"|\\()`*'".contains(c)).unwrap_or(tail.len());
        let address =
            tail.get(..end).unwrap_or_default().trim_end_matches(['.', ',', ';', ':', '!', '?', '_', '~']);
        let after_word = before.chars().next_back().is_some_and(char::is_alphanumeric);
        let shown = safe_link(address).filter(|address| !after_word && address.len() > "https://".len());
        escape(out, before, start);
        start = start && before.is_empty() && shown.is_none();
        match shown {
            Some(address) => out.push_str(&format!("<{address}>")),
            None => escape(out, address, start),
        }
        start = false;
        rest = tail.get(address.len()..).unwrap_or_default();
        if address.is_empty() {
            break;
        }
    }
    escape(out, rest, start);
}

impl Dialect for Markdown {
    fn limit(&self) -> usize {
        LIMIT
    }

    fn run(&self, out: &mut String, run: &Run, before: Option<char>, _: Option<char>) {
        let style = &run.style;
        let inner = run.text.trim();
        if inner.is_empty() {
            return out.push_str(&run.text);
        }
        let lead = run.text.len() - run.text.trim_start().len();
        let (head, tail) = (run.text.get(..lead), run.text.get(lead + inner.len()..));
        out.push_str(head.unwrap_or_default());
        if style.code {
            let (fence, pad) = if inner.contains('`') { ("``", " ") } else { ("`", "") };
            let inner = inner.replace('`', "`\u{200b}");
            part(out, before.filter(|_| lead == 0));
            out.push_str(&format!("{fence}{pad}{inner}{pad}{fence}"));
            return out.push_str(tail.unwrap_or_default());
        }
        // A star within stars ends them, even escaped.
        let italic = style.italic && !inner.contains('*');
        let wanted = [("**", style.bold), ("*", italic), ("~~", style.strike)];
        let marks: Vec<&str> = wanted.into_iter().filter(|(_, on)| *on).map(|(mark, _)| mark).collect();
        if !marks.is_empty() {
            part(out, before.filter(|_| lead == 0));
        }
        marks.iter().for_each(|mark| out.push_str(mark));
        match &style.link {
            Some(to) if to == inner => out.push_str(&format!("<{to}>")),
            Some(to) => {
                out.push('[');
                escape(out, inner, false);
                out.push_str(&format!("](<{to}>)"));
            }
            None => escape_with_links(out, inner, before.is_none_or(char::is_whitespace) || lead > 0),
        }
        marks.iter().rev().for_each(|mark| out.push_str(mark));
        out.push_str(tail.unwrap_or_default());
    }

    fn pre(&self, out: &mut String, lang: &str, text: &str) {
        out.push_str("```");
        out.extend(lang.chars().filter(|c| c.is_ascii_alphanumeric() || "+#-_".contains(*c)).take(20));
        out.push('\n');
        // Two marks side by side end no block, and three are never left.
        out.push_str(&text.replace("``", "`\u{200b}`"));
        out.push_str("\n```");
    }

    fn quote(&self, out: &mut String, lines: &str) {
        let quoted: Vec<String> = lines.split('\n').map(|line| format!("> {line}")).collect();
        out.push_str(&quoted.join("\n"));
    }
}

/// Parts what is marked now from a mark that may end just before.
fn part(out: &mut String, before: Option<char>) {
    if before.is_some_and(|c| !c.is_whitespace()) {
        out.push(NOTHING);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::bridge::markup::{Doc, bold, code, italic, plain};

    fn shown(doc: &Doc) -> String {
        doc.render(&Markdown).into_iter().map(|part| part.markup).collect::<Vec<_>>().join("\n---\n")
    }

    #[test]
    fn what_begins_a_line_is_no_heading_list_or_quote() {
        for (text, wanted) in [
            ("# no head", "\\# no head"),
            ("-# no small print", "\\-\\# no small print"),
            ("- no list", "\\- no list"),
            ("12. no list", "12\\. no list"),
            ("> no quote", "\\> no quote"),
            ("  # no head", "  \\# no head"),
        ] {
            let doc = shown(&Doc::text(text));
            assert_eq!(doc.replace("\\-#", "\\-\\#"), wanted, "{doc}");
        }
    }

    #[test]
    fn nothing_mentions_links_elsewhere_or_ends_its_code() {
        let text = "@everyone <@1> <@&2> <#3> </stop:4> [a](http://b) ||x|| a_b_c :x:";
        let doc = shown(&Doc::text(text));
        assert!(!doc.contains("@everyone"), "{doc}");
        for mark in ["<@", "<#", "</", "[a]"] {
            let escaped = format!("\\{mark}");
            assert!(doc.matches(mark).count() == doc.matches(&escaped).count(), "{mark} in {doc}");
        }
        for ticks in 1..9 {
            let doc = Doc::default().line([code(format!("a{}b", "`".repeat(ticks)))]);
            assert!(!shown(&doc).trim_matches('`').contains("``"), "{ticks}: {}", shown(&doc));
            let block = shown(&Doc::default().pre("", &format!("a{}b", "`".repeat(ticks))));
            assert_eq!(block.matches("```").count(), 2, "{ticks}: {block}");
        }
        assert!(shown(&Doc::default().pre("rs\n```@x", "a")).starts_with("```rsx\n"));
    }

    #[test]
    fn an_address_leads_where_it_says_and_has_no_preview() {
        let doc = shown(&Doc::text("see https://x.example/a_b?c=1. and (http://y.example/) done"));
        assert_eq!(doc, "see <https://x.example/a_b?c=1>. and (<http://y.example/>) done");
        assert_eq!(shown(&Doc::text("https:// and xhttps://y")), "https\\:// and xhttps\\://y");
        assert_eq!(shown(&Doc::markdown("<https://x.example/>")), "<https://x.example/>");
    }

    #[test]
    fn styles_side_by_side_stay_apart() {
        let doc = Doc::default().line([bold("b"), italic("i"), plain("*"), code("c"), code("`")]);
        assert_eq!(shown(&doc), "**b**\u{200b}*i*\\*\u{200b}`c`\u{200b}`` `\u{200b} ``");
    }

    proptest! {
        #[test]
        fn no_mark_of_the_text_is_left_unescaped(text in "[a-c*_~`|<>:#@ \\[\\]\\\\./h-]{0,60}") {
            let mut out = String::new();
            escape(&mut out, &text, true);
            let mut chars = out.chars();
            while let Some(c) = chars.next() {
                if c == '\\' {
                    prop_assert!(chars.next().is_some());
                } else {
                    prop_assert!(!"*_~`|[]<>:".contains(c), "{out}");
                }
            }
        }
    }
}
