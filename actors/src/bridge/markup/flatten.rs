//! Markdown into lines and blocks.

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

use super::table;
use super::{Run, Style, Unit, host_of, safe_link};

/// Deeper than this, lists are not indented any more.
const DEPTH: usize = 6;

pub fn flatten(text: &str) -> Vec<Unit> {
    let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TASKLISTS;
    let mut flat = Flat::default();
    for event in Parser::new_ext(text, options) {
        flat.event(event);
    }
    flat.end_line();
    while matches!(flat.units.last(), Some(Unit::Gap)) {
        flat.units.pop();
    }
    flat.units
}

#[derive(Default)]
struct Flat {
    units: Vec<Unit>,
    runs: Vec<Run>,
    bold: usize,
    italic: usize,
    strike: usize,
    quote: usize,
    /// Open lists, with the number that comes next where they have numbers.
    lists: Vec<Option<u64>>,
    /// A code block's language and text so far.
    code: Option<(String, String)>,
    /// The open link's address, and its text so far.
    link: Option<(String, String)>,
    /// A table's rows so far; the first is its head.
    table: Option<Vec<Vec<String>>>,
}

impl Flat {
    fn event(&mut self, event: Event<'_>) {
        match event {
            Event::Start(tag) => self.start(tag),
            Event::End(end) => self.end(end),
            Event::Text(text)
            | Event::Html(text)
            | Event::InlineHtml(text)
            | Event::InlineMath(text)
            | Event::DisplayMath(text)
            | Event::FootnoteReference(text) => self.text(&text, false),
            Event::Code(text) => self.text(&text, true),
            // The author's line ends are kept: a chat shows them.
            Event::SoftBreak | Event::HardBreak => self.text("\n", false),
            Event::Rule => {
                self.end_line();
                self.text("──────────", false);
                self.end_block();
            }
            Event::TaskListMarker(done) => self.text(if done { "☑ " } else { "☐ " }, false),
        }
    }

    fn text(&mut self, text: &str, code: bool) {
        if let Some((_, block)) = &mut self.code {
            return block.push_str(text);
        }
        if let Some(cell) = self.table.as_mut().and_then(|rows| rows.last_mut()?.last_mut()) {
            return cell.push_str(&text.replace('\n', " "));
        }
        if let Some((_, shown)) = &mut self.link {
            shown.push_str(text);
        }
        let style = Style {
            bold: self.bold > 0,
            italic: self.italic > 0,
            strike: self.strike > 0,
            code,
            link: self.link.as_ref().map(|(to, _)| to.clone()),
        };
        for (index, line) in text.split('\n').enumerate() {
            if index > 0 {
                self.new_line();
            }
            let line = line.trim_end_matches('\r');
            match self.runs.last_mut() {
                Some(last) if last.style == style && !code => last.text.push_str(line),
                _ if line.is_empty() => {}
                _ => self.runs.push(Run { text: line.to_owned(), style: style.clone() }),
            }
        }
    }

    /// Ends the line, and indents the next one of a list as far as its text.
    fn new_line(&mut self) {
        let runs = std::mem::take(&mut self.runs);
        self.units.push(Unit::Line { quoted: self.quote > 0, runs });
        let depth = self.lists.len().min(DEPTH);
        if depth > 0 {
            self.runs.push(super::plain("  ".repeat(depth)));
        }
    }

    fn end_line(&mut self) {
        let runs = std::mem::take(&mut self.runs);
        if runs.iter().any(|run| !run.text.trim().is_empty()) {
            self.units.push(Unit::Line { quoted: self.quote > 0, runs });
        }
    }

    /// Ends the line and leaves room, except within lists.
    fn end_block(&mut self) {
        self.end_line();
        if self.lists.is_empty() && !matches!(self.units.last(), None | Some(Unit::Gap)) {
            self.units.push(Unit::Gap);
        }
    }

    fn start(&mut self, tag: Tag<'_>) {
        match tag {
            Tag::Heading { .. } => {
                self.end_block();
                self.bold += 1;
            }
            Tag::Paragraph => {}
            Tag::BlockQuote(_) => {
                self.end_line();
                self.quote += 1;
            }
            Tag::CodeBlock(kind) => {
                self.end_line();
                let lang = match kind {
                    CodeBlockKind::Fenced(label) => {
                        label.split([' ', ',', '{']).next().unwrap_or_default().to_owned()
                    }
                    CodeBlockKind::Indented => String::new(),
                };
                self.code = Some((lang, String::new()));
            }
            Tag::List(first) => {
                self.end_line();
                self.lists.push(first);
            }
            Tag::Item => {
                self.end_line();
                let depth = self.lists.len().min(DEPTH);
                let mark = match self.lists.last_mut() {
                    Some(Some(number)) => {
                        *number = number.saturating_add(1);
                        format!("{}. ", number.saturating_sub(1))
                    }
                    _ => "• ".to_owned(),
                };
                self.runs.push(super::plain(format!("{}{mark}", "  ".repeat(depth.saturating_sub(1)))));
            }
            Tag::Table(_) => {
                self.end_line();
                self.table = Some(Vec::new());
            }
            Tag::TableHead | Tag::TableRow => {
                if let Some(rows) = &mut self.table {
                    rows.push(Vec::new());
                }
            }
            Tag::TableCell => {
                if let Some(row) = self.table.as_mut().and_then(|rows| rows.last_mut()) {
                    row.push(String::new());
                }
            }
            Tag::Emphasis => self.italic += 1,
            Tag::Strong => self.bold += 1,
            Tag::Strikethrough => self.strike += 1,
            Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }
                if self.link.is_none() && self.table.is_none() =>
            {
                self.link = safe_link(&dest_url).map(|to| (to.to_owned(), String::new()));
            }
            _ => {}
        }
    }

    fn end(&mut self, end: TagEnd) {
        match end {
            TagEnd::Heading(_) => {
                self.bold = self.bold.saturating_sub(1);
                self.end_line();
            }
            TagEnd::Paragraph | TagEnd::HtmlBlock => self.end_block(),
            TagEnd::BlockQuote(_) => {
                self.end_line();
                while matches!(self.units.last(), Some(Unit::Gap)) {
                    self.units.pop();
                }
                self.quote = self.quote.saturating_sub(1);
                self.end_block();
            }
            TagEnd::CodeBlock => {
                if let Some((lang, text)) = self.code.take() {
                    self.units.push(Unit::Pre { lang, text: text.trim_end_matches('\n').to_owned() });
                    self.end_block();
                }
            }
            TagEnd::List(_) => {
                self.end_line();
                self.lists.pop();
                self.end_block();
            }
            TagEnd::Item => self.end_line(),
            TagEnd::Table => {
                if let Some(rows) = self.table.take() {
                    self.units.extend(table::lay_out(rows));
                    self.end_block();
                }
            }
            TagEnd::Emphasis => self.italic = self.italic.saturating_sub(1),
            TagEnd::Strong => self.bold = self.bold.saturating_sub(1),
            TagEnd::Strikethrough => self.strike = self.strike.saturating_sub(1),
            TagEnd::Link | TagEnd::Image => self.end_link(),
            _ => {}
        }
    }

    /// A link that shows another address than its own gets its host behind it; one that shows nothing, itself.
    fn end_link(&mut self) {
        let Some((to, shown)) = self.link.take() else { return };
        let host = host_of(&to).unwrap_or_default().to_owned();
        if shown.trim().is_empty() {
            let style = Style { link: Some(to.clone()), ..Style::default() };
            self.runs.push(Run { text: to, style });
            return;
        }
        let first = shown.trim().split_once("://").map_or(shown.trim(), |(_, rest)| rest);
        let claimed = first.split(['/', '?', '#']).next().unwrap_or_default();
        let looks_like_a_host = claimed.contains('.') && !claimed.contains(char::is_whitespace);
        if looks_like_a_host && !claimed.eq_ignore_ascii_case(&host) {
            self.runs.push(super::plain(format!(" ({host})")));
        }
    }
}
