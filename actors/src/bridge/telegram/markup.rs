//! Telegram's HTML (Bot API 9, "HTML style"): `<b>`, `<i>`, `<s>`, `<code>`, `<pre>`, `<a>`, `<blockquote>`.

use crate::bridge::markup::{Dialect, Run, without_mentions};

/// A message has 4096 UTF-16 units after its markup was taken out; with its markup counted it is always within that.
const LIMIT: usize = 4_096;

/// Telegram's HTML.
#[derive(Clone, Copy, Debug)]
pub struct Html;

/// Text in which nothing is markup.
pub fn escape(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            // No other control character is taken, not even escaped.
            c if c.is_control() && c != '\n' && c != '\t' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
}

impl Dialect for Html {
    fn limit(&self) -> usize {
        LIMIT
    }

    fn run(&self, out: &mut String, run: &Run, _: Option<char>, _: Option<char>) {
        if run.text.is_empty() {
            return;
        }
        let style = &run.style;
        let mut tags: Vec<&str> = Vec::new();
        if let Some(to) = &style.link {
            out.push_str("<a href=\"");
            escape(out, to);
            out.push_str("\">");
            tags.push("a");
        }
        let wanted = [
            ("b", style.bold && !style.code),
            ("i", style.italic && !style.code),
            ("s", style.strike && !style.code),
            ("code", style.code),
        ];
        for (tag, _) in wanted.into_iter().filter(|(_, on)| *on) {
            out.push('<');
            out.push_str(tag);
            out.push('>');
            tags.push(tag);
        }
        match style.code {
            true => escape(out, &run.text),
            false => escape(out, &without_mentions(&run.text)),
        }
        for tag in tags.into_iter().rev() {
            out.push_str("</");
            out.push_str(tag);
            out.push('>');
        }
    }

    fn pre(&self, out: &mut String, lang: &str, text: &str) {
        if lang.is_empty() {
            out.push_str("<pre>");
            escape(out, text);
            out.push_str("</pre>");
        } else {
            out.push_str("<pre><code class=\"language-");
            escape(out, lang);
            out.push_str("\">");
            escape(out, text);
            out.push_str("</code></pre>");
        }
    }

    fn quote(&self, out: &mut String, lines: &str) {
        out.push_str("<blockquote>");
        out.push_str(lines);
        out.push_str("</blockquote>");
    }
}
