//! Text for chats: Markdown of agents and words of ours, in each platform's own markup and within its limits.
//!
//! A text is a [`Doc`]: lines of styled runs, and blocks of code. Runs close what they open, so a doc can be cut
//! between any two and is still well formed; code is cut between its lines and fenced anew. Nothing that is in a run
//! or a block can become markup: a [`Dialect`] escapes it.

mod flatten;
mod pack;
mod table;
#[cfg(test)]
mod tests;

use super::platform::Rendered;

/// A platform's markup.
pub trait Dialect: Send + Sync {
    /// The greatest size of a message.
    fn limit(&self) -> usize;

    /// The size of a text, as the platform counts.
    fn size(&self, markup: &str) -> usize {
        markup.encode_utf16().count()
    }

    /// Appends text in a style. Nothing in the text may act as markup, mention anybody, or be a command. `before` and
    /// `after` are its neighbours on the line.
    fn run(&self, out: &mut String, run: &Run, before: Option<char>, after: Option<char>);

    /// Appends a block of code.
    fn pre(&self, out: &mut String, lang: &str, text: &str);

    /// Appends lines (already marked up) as a quotation.
    fn quote(&self, out: &mut String, lines: &str);
}

/// How text looks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Style {
    /// Bold.
    pub bold: bool,
    /// Italic.
    pub italic: bool,
    /// Struck through.
    pub strike: bool,
    /// Code: nothing else applies.
    pub code: bool,
    /// Where it leads: always `http` or `https`.
    pub link: Option<String>,
}

/// A piece of text in one style, without line ends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Run {
    /// The text.
    pub text: String,
    /// How it looks.
    pub style: Style,
}

/// One thing below the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unit {
    /// A line.
    Line {
        /// Whether it is quoted.
        quoted: bool,
        /// What is on it.
        runs: Vec<Run>,
    },
    /// A block of code.
    Pre {
        /// Its language, or empty.
        lang: String,
        /// The code.
        text: String,
    },
    /// Room between two others.
    Gap,
}

/// A text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Doc(pub Vec<Unit>);

/// Text as it is.
pub fn plain(text: impl Into<String>) -> Run {
    Run { text: text.into(), style: Style::default() }
}

/// Bold text.
pub fn bold(text: impl Into<String>) -> Run {
    Run { text: text.into(), style: Style { bold: true, ..Style::default() } }
}

/// Italic text.
pub fn italic(text: impl Into<String>) -> Run {
    Run { text: text.into(), style: Style { italic: true, ..Style::default() } }
}

/// A word of code.
pub fn code(text: impl Into<String>) -> Run {
    Run { text: text.into(), style: Style { code: true, ..Style::default() } }
}

impl Doc {
    /// What an agent or a person wrote in Markdown.
    pub fn markdown(text: &str) -> Self {
        Self(flatten::flatten(text))
    }

    /// One line of text as it is; line ends begin new lines.
    pub fn text(text: &str) -> Self {
        let mut doc = Self::default();
        for line in text.lines() {
            doc = doc.line([plain(line)]);
        }
        doc
    }

    /// With a line below.
    pub fn line(mut self, runs: impl IntoIterator<Item = Run>) -> Self {
        let runs = runs.into_iter().flat_map(one_line).filter(|run| !run.text.is_empty()).collect();
        self.0.push(Unit::Line { quoted: false, runs });
        self
    }

    /// With a block of code below.
    pub fn pre(mut self, lang: &str, text: &str) -> Self {
        self.0.push(Unit::Pre { lang: lang.to_owned(), text: text.to_owned() });
        self
    }

    /// With room below.
    pub fn gap(mut self) -> Self {
        self.0.push(Unit::Gap);
        self
    }

    /// With another below.
    pub fn then(mut self, other: Doc) -> Self {
        self.0.extend(other.0);
        self
    }

    /// All quoted.
    pub fn quoted(mut self) -> Self {
        for unit in &mut self.0 {
            if let Unit::Line { quoted, .. } = unit {
                *quoted = true;
            }
        }
        self
    }

    /// Whether there is nothing to see.
    pub fn is_blank(&self) -> bool {
        self.0.iter().all(|unit| match unit {
            Unit::Line { runs, .. } => runs.iter().all(|run| run.text.trim().is_empty()),
            Unit::Pre { text, .. } => text.trim().is_empty(),
            Unit::Gap => true,
        })
    }

    /// As messages, each within the platform's limit, in order.
    pub fn render(&self, dialect: &dyn Dialect) -> Vec<Rendered> {
        pack::pack(self, dialect, dialect.limit())
    }

    /// As one message; what does not fit is left out, and `true` says that something was.
    pub fn render_one(&self, dialect: &dyn Dialect) -> (Rendered, bool) {
        // Room for the words that say so.
        let mut parts = pack::pack(self, dialect, dialect.limit().saturating_sub(32)).into_iter();
        let Some(mut first) = parts.next() else { return (Rendered::default(), false) };
        let cut = parts.next().is_some();
        if cut {
            dialect.run(&mut first.markup, &plain("\n[cut]"), None, None);
            first.plain.push_str("\n[cut]");
        }
        (first, cut)
    }
}

/// Line ends in a run of ours would begin lines that are not counted.
fn one_line(mut run: Run) -> Option<Run> {
    if run.text.contains(['\n', '\r']) {
        run.text = run.text.replace(['\n', '\r'], " ");
    }
    Some(run)
}

/// The first `count` characters of a text, with an ellipsis if there are more.
pub fn cut(text: &str, count: usize) -> String {
    match text.char_indices().nth(count) {
        Some(_) => {
            let end = text.char_indices().nth(count.saturating_sub(1)).map_or(0, |(at, _)| at);
            format!("{}…", text.get(..end).unwrap_or_default())
        }
        None => text.to_owned(),
    }
}

/// The address of a link that may be shown: `http` or `https`, nothing odd in it.
pub fn safe_link(address: &str) -> Option<&str> {
    let lower = address.get(..8).unwrap_or(address).to_ascii_lowercase();
    let known = lower.starts_with("https://") || lower.starts_with("http://");
    let clean = !address.chars().any(|c| c.is_whitespace() || c.is_control() || "<>\"|\\()`".contains(c));
    (known && clean && address.len() <= 2_000).then_some(address)
}

/// The host of an address.
pub fn host_of(address: &str) -> Option<&str> {
    let rest = address.split_once("://")?.1;
    let authority = rest.split(['/', '?', '#']).next()?;
    authority.rsplit('@').next()
}

/// Text in which no word begins with an `@`: a mark of no width stands behind each that would.
pub fn without_mentions(text: &str) -> std::borrow::Cow<'_, str> {
    if !text.contains('@') {
        return text.into();
    }
    let mut out = String::with_capacity(text.len() + 4);
    let mut before = None;
    for c in text.chars() {
        out.push(c);
        if c == '@' && !before.is_some_and(char::is_alphanumeric) {
            out.push('\u{2060}');
        }
        before = Some(c);
    }
    out.into()
}
