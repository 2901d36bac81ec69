//! Markdown into HTML, event by event. Raw HTML in it is shown as the text that it is.

use pulldown_cmark::{Alignment, CodeBlockKind, CowStr, Event, HeadingLevel, Options, Parser, Tag, TagEnd};

use super::escape::{push_attribute, push_text};
use super::{Budget, highlight};

/// Deeper than this, blocks are not nested any more.
const DEPTH: usize = 24;
/// More elements than this are too many for a browser.
const ELEMENTS: usize = 20_000;
/// Longest address of a link in bytes.
const ADDRESS: usize = 2_000;

/// Appends a text as HTML; whether something was left out.
pub fn push(out: &mut String, text: &str, budget: Budget) -> bool {
    let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TASKLISTS;
    let mut writer = Writer::new(out, budget);
    for event in Parser::new_ext(text, options) {
        if writer.elements > ELEMENTS {
            writer.cut = true;
            break;
        }
        writer.event(event);
    }
    writer.finish()
}

struct Writer<'o> {
    out: &'o mut String,
    budget: Budget,
    /// What is open, with how it is closed; `None` where nothing was opened for it.
    open: Vec<Option<&'static str>>,
    /// Alignments of the table's columns, and the column that comes next.
    columns: (Vec<Alignment>, usize),
    in_head: bool,
    /// A code block's label and text so far.
    code: Option<(String, String)>,
    /// The link that is open: its address, and its text so far.
    link: Option<(String, String)>,
    /// A picture's description so far.
    picture: Option<(Option<String>, String)>,
    elements: usize,
    cut: bool,
}

impl<'o> Writer<'o> {
    fn new(out: &'o mut String, budget: Budget) -> Self {
        Self {
            out,
            budget,
            open: Vec::new(),
            columns: (Vec::new(), 0),
            in_head: false,
            code: None,
            link: None,
            picture: None,
            elements: 0,
            cut: false,
        }
    }

    fn event(&mut self, event: Event<'_>) {
        match event {
            Event::Start(tag) => self.start(tag),
            Event::End(end) => self.end(end),
            Event::Text(text)
            | Event::Html(text)
            | Event::InlineHtml(text)
            | Event::InlineMath(text)
            | Event::DisplayMath(text)
            | Event::FootnoteReference(text) => self.text(&text),
            Event::Code(text) => match &mut self.picture {
                Some((_, description)) => description.push_str(&text),
                None => {
                    self.note_link_text(&text);
                    self.elements += 1;
                    self.out.push_str("<code>");
                    push_text(self.out, &text);
                    self.out.push_str("</code>");
                }
            },
            Event::SoftBreak => self.text("\n"),
            Event::HardBreak => self.out.push_str("<br>"),
            Event::Rule => self.out.push_str("<hr>"),
            Event::TaskListMarker(done) => {
                let mark = if done { "☑" } else { "☐" };
                self.out.push_str(&format!("<span class=\"task-box\">{mark}</span> "));
            }
        }
    }

    fn text(&mut self, text: &str) {
        if let Some((_, code)) = &mut self.code {
            return code.push_str(text);
        }
        if let Some((_, description)) = &mut self.picture {
            return description.push_str(text);
        }
        self.note_link_text(text);
        push_text(self.out, text);
    }

    fn note_link_text(&mut self, text: &str) {
        if let Some((_, shown)) = self.link.as_mut().filter(|(_, shown)| shown.len() < ADDRESS) {
            shown.push_str(text);
        }
    }

    /// Opens an element, unless that would be too deep.
    fn open(&mut self, tag: &str, close: &'static str) {
        let shown = self.open.iter().flatten().count() < DEPTH;
        self.elements += 1;
        self.open.push(shown.then_some(close));
        if shown {
            self.out.push_str(tag);
        }
    }

    fn start(&mut self, tag: Tag<'_>) {
        match tag {
            Tag::Paragraph => self.open("<p>", "</p>\n"),
            Tag::Heading { level, .. } => match level {
                HeadingLevel::H1 => self.open("<h1>", "</h1>\n"),
                HeadingLevel::H2 => self.open("<h2>", "</h2>\n"),
                HeadingLevel::H3 => self.open("<h3>", "</h3>\n"),
                HeadingLevel::H4 => self.open("<h4>", "</h4>\n"),
                HeadingLevel::H5 => self.open("<h5>", "</h5>\n"),
                HeadingLevel::H6 => self.open("<h6>", "</h6>\n"),
            },
            Tag::BlockQuote(_) => self.open("<blockquote>", "</blockquote>\n"),
            Tag::CodeBlock(kind) => {
                let label = match kind {
                    CodeBlockKind::Fenced(label) => label.into_string(),
                    CodeBlockKind::Indented => String::new(),
                };
                self.open.push(None);
                self.code = Some((label, String::new()));
            }
            Tag::List(Some(first)) => self.open(&format!("<ol start=\"{first}\">"), "</ol>\n"),
            Tag::List(None) => self.open("<ul>", "</ul>\n"),
            Tag::Item => self.open("<li>", "</li>\n"),
            Tag::Table(columns) => {
                self.columns = (columns, 0);
                self.open("<div class=\"md-scroll\"><table>", "</tbody></table></div>\n");
            }
            Tag::TableHead => {
                self.in_head = true;
                self.columns.1 = 0;
                self.open("<thead><tr>", "</tr></thead><tbody>");
            }
            Tag::TableRow => {
                self.columns.1 = 0;
                self.open("<tr>", "</tr>\n");
            }
            Tag::TableCell => self.cell(),
            Tag::Emphasis => self.open("<em>", "</em>"),
            Tag::Strong => self.open("<strong>", "</strong>"),
            Tag::Strikethrough => self.open("<del>", "</del>"),
            Tag::Link { dest_url, .. } => match safe_address(&dest_url).filter(|_| self.link.is_none()) {
                Some(address) => {
                    let mut tag = String::from("<a href=\"");
                    push_attribute(&mut tag, address);
                    tag.push_str("\">");
                    self.open(&tag, "</a>");
                    self.link = Some((address.to_owned(), String::new()));
                }
                None => self.open.push(None),
            },
            Tag::Image { dest_url, .. } => {
                self.open.push(None);
                self.picture = Some((safe_address(&dest_url).map(str::to_owned), String::new()));
            }
            _ => self.open.push(None),
        }
    }

    fn cell(&mut self) {
        let (columns, next) = &mut self.columns;
        let class = match columns.get(*next) {
            Some(Alignment::Left) => " class=\"align-left\"",
            Some(Alignment::Center) => " class=\"align-center\"",
            Some(Alignment::Right) => " class=\"align-right\"",
            Some(Alignment::None) | None => "",
        };
        *next += 1;
        match self.in_head {
            true => self.open(&format!("<th{class}>"), "</th>"),
            false => self.open(&format!("<td{class}>"), "</td>"),
        }
    }

    fn end(&mut self, end: TagEnd) {
        let close = self.open.pop().flatten();
        match end {
            TagEnd::CodeBlock => {
                if let Some((label, text)) = self.code.take() {
                    let syntax = highlight::syntax(Some(&label), None);
                    let label = label.split([' ', ',', '{']).next().unwrap_or_default();
                    self.cut |= highlight::push_block(self.out, &text, syntax, Some(label), self.budget);
                    self.elements += 4 + text.len() / 16;
                }
            }
            TagEnd::Image => self.end_picture(),
            TagEnd::TableHead => self.in_head = false,
            _ => {}
        }
        self.out.push_str(close.unwrap_or_default());
        if matches!(end, TagEnd::Link) && close.is_some() {
            self.end_link();
        }
    }

    /// A link that shows another address than its own gets its host behind it.
    fn end_link(&mut self) {
        let Some((address, shown)) = self.link.take() else { return };
        let Some(host) = host_of(&address) else { return };
        let claimed = host_of(shown.trim()).or_else(|| {
            let first = shown.trim().split('/').next().unwrap_or_default();
            let is_host = first.contains('.')
                && !first.contains(char::is_whitespace)
                && first
                    .rsplit('.')
                    .next()
                    .is_some_and(|top| top.len() >= 2 && top.chars().all(char::is_alphabetic));
            is_host.then_some(first)
        });
        if claimed.is_some_and(|claimed| !claimed.eq_ignore_ascii_case(host)) {
            self.out.push_str(" <span class=\"link-host\">(");
            push_text(self.out, host);
            self.out.push_str(")</span>");
        }
    }

    /// A picture is a link to it: nothing is fetched that the person did not ask for.
    fn end_picture(&mut self) {
        let Some((address, description)) = self.picture.take() else { return };
        let description = if description.trim().is_empty() { "picture" } else { description.as_str() };
        match address.filter(|_| self.link.is_none()) {
            Some(address) => {
                self.out.push_str("<a class=\"md-image\" href=\"");
                push_attribute(self.out, &address);
                self.out.push_str("\">");
                push_text(self.out, description);
                self.out.push_str("</a>");
            }
            None => push_text(self.out, description),
        }
    }

    /// Closes what is open.
    fn finish(mut self) -> bool {
        if let Some((_, text)) = self.code.take() {
            self.out.push_str("<pre class=\"code-body\"><code>");
            push_text(self.out, &text);
            self.out.push_str("</code></pre>");
        }
        while let Some(close) = self.open.pop() {
            self.out.push_str(close.unwrap_or_default());
        }
        if self.cut {
            self.out.push_str("<p class=\"cut\">Cut: this has too many parts to be shown whole.</p>");
        }
        self.cut
    }
}

/// The address of a link if a browser may follow it.
fn safe_address<'a>(address: &'a CowStr<'_>) -> Option<&'a str> {
    let address = address.trim();
    let known = ["http://", "https://", "mailto:"];
    let starts =
        |scheme: &&str| address.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme));
    (address.len() <= ADDRESS && !address.contains(char::is_control) && known.iter().any(starts))
        .then_some(address)
}

/// The host of an `http` or `https` address.
fn host_of(address: &str) -> Option<&str> {
    let (scheme, rest) = address.split_once("://")?;
    if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        return None;
    }
    let authority = rest.split(['/', '?', '#', '\\']).next()?;
    let host = authority.rsplit('@').next()?;
    let host = if host.starts_with('[') { host } else { host.split(':').next()? };
    Some(host).filter(|host| !host.is_empty())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn html(text: &str) -> String {
        let mut out = String::new();
        push(&mut out, text, Budget::of(Duration::from_secs(60)));
        super::super::clean::clean(&out)
    }

    #[test]
    fn the_usual_markdown_is_rendered() {
        for (text, wanted) in [
            ("# A *b*", "<h1>A <em>b</em></h1>"),
            ("a **b** ~~c~~ `d<e`", "<strong>b</strong> <del>c</del> <code>d&lt;e</code>"),
            ("3. a\n4. b", "<ol start=\"3\">"),
            ("- [x] a\n- [ ] b", "☑"),
            ("> a", "<blockquote>"),
            ("|a|b|\n|:-|-:|\n|1|2|", "<td class=\"align-right\">2</td>"),
            ("```rust\nfn a() {}\n```", "<span class=\"code-lang\">rust</span>"),
            ("```rust\nfn a() {}\n```", "<span class=\"hl-key\">fn</span>"),
            ("a\n\n---\n", "<hr>"),
        ] {
            let html = html(text);
            assert!(html.contains(wanted), "{text} -> {html}");
        }
    }

    #[test]
    fn raw_html_is_shown_as_text() {
        let html = html("<script>x</script>\n\na <b onclick=y>b</b>");
        assert!(html.contains("&lt;script&gt;") && html.contains("&lt;b onclick=y&gt;"), "{html}");
        assert!(!html.contains("<script") && !html.contains("<b"), "{html}");
    }

    #[test]
    fn links_lead_out_only_by_known_schemes_and_say_where() {
        let good = html("[a](https://x.example/?q=\"1\")");
        assert!(good.contains("href=\"https://x.example/"), "{good}");
        for bad in [
            "[a](javascript:alert(1))",
            "[a](JaVaScRiPt:alert(1))",
            "[a](&#106;avascript:alert(1))",
            "[a](data:text/html;base64,eA)",
            "[a](/api/logout)",
            "[a](//evil.example)",
            "[a](src/main.rs)",
            "<javascript:alert(1)>",
        ] {
            assert!(!html(bad).contains("href"), "{bad} -> {}", html(bad));
        }
        let false_one = html("[https://bank.example/login](https://evil.example/)");
        assert!(false_one.contains("<span class=\"link-host\">(evil.example)</span>"), "{false_one}");
        let false_one = html("[bank.example](https://bank.example@evil.example/)");
        assert!(false_one.contains("(evil.example)"), "{false_one}");
        assert!(!html("<https://x.example/>").contains("link-host"));
        assert!(!html("[see main.rs here](https://x.example/)").contains("link-host"));
    }

    #[test]
    fn a_picture_is_a_link_and_never_fetched() {
        let html =
            html("![a <b>](https://x.example/p.png) [![c](https://y.example/q.png)](https://z.example)");
        assert!(!html.contains("<img"), "{html}");
        assert!(html.contains("https://x.example/p.png") && html.contains("a &lt;b&gt;</a>"), "{html}");
        assert!(!html.contains("y.example"), "no link within a link: {html}");
    }

    #[test]
    fn deep_nesting_is_flattened() {
        let html = html(&format!("{} deep", ">".repeat(5_000)));
        assert!(html.contains("deep"));
        assert!(html.matches("<blockquote>").count() <= DEPTH, "{}", html.len());
    }
}
