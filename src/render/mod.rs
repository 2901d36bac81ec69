//! Text of agents made into HTML: Markdown, highlighted code, diffs. For the browser and for exports.
//!
//! What comes out is harmless by construction: every text is escaped, raw HTML of the input is shown as text,
//! no attribute but the address of a link comes from the input, and all of it passes a cleaner (`clean`) with a
//! list of what we make ourselves. What is too long is cut, with a word that says so; what takes too long to be
//! made pretty is left plain. Nothing here knows sessions or HTTP; it takes milliseconds to seconds of a
//! processor, so callers run it off the actors' threads.
//!
//! # The stylesheet's names
//!
//! | class | element | what |
//! |---|---|---|
//! | `md` | `div` | around rendered Markdown |
//! | `align-left`, `align-center`, `align-right` | `th`, `td` | alignment of a column |
//! | `task` | `li` | item with a box; in it `task-box` (`span`): ☑ or ☐ |
//! | `md-scroll` | `div` | around a table, which may be too wide |
//! | `md-image` | `a` | in place of a picture: a link to it |
//! | `link-host` | `span` | behind a link whose text names another host: the true one |
//! | `code` | `figure` | a block of code: `code-head` (`figcaption`) and `code-body` (`pre`) |
//! | `code-lang` | `span` | in `code-head`: language or path |
//! | `hl-key`, `hl-str`, `hl-num`, `hl-note` | `span` | keywords, strings, figures and constants, comments |
//! | `diff` | `div` | around a diff |
//! | `diff-file` | `section` | one file: `diff-head` (`header`), then hunks and lines |
//! | `diff-path`, `diff-status`, `diff-plus`, `diff-minus` | `span` | in `diff-head`: path, word for new, deleted, renamed, binary, mode; counts |
//! | `diff-hunk` | `div` | a hunk's heading |
//! | `diff-change` | `div` | lines that changed together: all that went, then all that came |
//! | `diff-line` | `div` | a line, with `diff-same`, `diff-add` or `diff-del` |
//! | `diff-no`, `diff-sign`, `diff-text` | `span` | number, sign and text of a line |
//! | `diff-word` | `mark` | the part of a line that changed |
//! | `diff-note` | `div` | what git says in between |
//! | `odd` | `span` | a character that would not show: `⟦U+202E⟧` |
//! | `cut` | `p`, `span` | says that, and how much, was left out |

mod cache;
mod clean;
mod diff;
mod escape;
mod highlight;
mod markdown;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::{Duration, Instant};

pub use cache::Cache;
pub use escape::push_text;

/// Longest Markdown in bytes; the rest is cut.
const MARKDOWN: usize = 256 << 10;
/// Longest code or diff in bytes; the rest is cut.
const CODE: usize = 512 << 10;

/// What to render.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Item {
    /// Markdown, as CommonMark with tables, strikethrough, task lists and footnotes.
    Markdown {
        /// The text.
        text: String,
    },
    /// Code, or any output.
    Code {
        /// The text.
        text: String,
        /// Its language, by name or file ending; unknown ones are plain.
        language: Option<String>,
        /// The file that it is from, which tells the language too and is shown.
        path: Option<String>,
    },
    /// A unified diff, of one or more files.
    Diff {
        /// The text.
        text: String,
        /// The file's name, where the diff does not say it.
        path: Option<String>,
    },
    /// Two versions of a file.
    Change {
        /// Before; empty for a new file.
        old: String,
        /// After.
        new: String,
        /// The file's name.
        path: Option<String>,
    },
}

/// HTML that may be put into a page as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    /// The HTML.
    pub html: String,
    /// Whether something was left out.
    pub cut: bool,
}

/// How long rendering may take until it stops being pretty.
#[derive(Clone, Copy, Debug)]
pub struct Budget(Instant);

impl Budget {
    /// From now on.
    pub fn of(time: Duration) -> Self {
        Self(Instant::now() + time)
    }

    /// Whether it is used up.
    pub fn is_spent(self) -> bool {
        Instant::now() >= self.0
    }

    /// What is left of it.
    fn left(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }
}

/// Renders one item; the answer says in its second part whether it may be kept, because it would be the same
/// with more time.
pub fn render(item: &Item, budget: Budget) -> (Rendered, bool) {
    let mut out = String::new();
    let cut = match item {
        Item::Markdown { text } => {
            let (text, left) = head(text, MARKDOWN);
            out.push_str("<div class=\"md\">");
            let cut = markdown::push(&mut out, text, budget);
            out.push_str("</div>");
            push_left(&mut out, left) || cut
        }
        Item::Code { text, language, path } => {
            let (text, left) = head(text, CODE);
            let syntax = highlight::syntax(language.as_deref(), path.as_deref());
            let label = path.as_deref().or(language.as_deref());
            let cut = highlight::push_block(&mut out, text, syntax, label, budget);
            push_left(&mut out, left) || cut
        }
        Item::Diff { text, path } => {
            let (text, left) = head(text, CODE);
            let cut = diff::push(&mut out, text, path.as_deref(), budget);
            push_left(&mut out, left) || cut
        }
        Item::Change { old, new, path } => {
            let ((old, old_left), (new, new_left)) = (head(old, CODE), head(new, CODE));
            let text = diff::unified(old, new, path.as_deref(), budget);
            let cut = diff::push(&mut out, &text, path.as_deref(), budget);
            push_left(&mut out, old_left.max(new_left)) || cut
        }
    };
    let complete = !budget.is_spent();
    (Rendered { html: clean::clean(&out), cut }, complete)
}

/// The same as text alone, for when rendering itself failed.
pub fn plain(item: &Item) -> Rendered {
    let text = match item {
        Item::Markdown { text } | Item::Code { text, .. } | Item::Diff { text, .. } => text,
        Item::Change { new, .. } => new,
    };
    let (text, left) = head(text, MARKDOWN);
    let mut html = String::from("<figure class=\"code\"><pre class=\"code-body\"><code>");
    push_text(&mut html, text);
    html.push_str("</code></pre></figure>");
    let cut = push_left(&mut html, left);
    Rendered { html, cut }
}

/// A change as the text of a unified diff; any other item is its text.
pub fn unified_of(item: &Item) -> String {
    match item {
        Item::Change { old, new, path } => diff::unified(
            head(old, CODE).0,
            head(new, CODE).0,
            path.as_deref(),
            Budget::of(Duration::from_secs(1)),
        ),
        Item::Markdown { text } | Item::Code { text, .. } | Item::Diff { text, .. } => text.clone(),
    }
}

/// Renders through a cache.
pub fn cached(cache: &Cache, item: &Item, budget: Budget) -> Arc<Rendered> {
    cache.get_or(item, || render(item, budget))
}

/// The beginning of a text, up to a line's end if there is one near, and how many bytes are left.
fn head(text: &str, limit: usize) -> (&str, usize) {
    if text.len() <= limit {
        return (text, 0);
    }
    let at = text.floor_char_boundary(limit);
    let start = text.get(..at).unwrap_or_default();
    let start = start.rfind('\n').filter(|end| at - end < 4096).map_or(start, |end| &start[..=end]);
    (start, text.len() - start.len())
}

/// Says how much is left out; whether anything is.
fn push_left(out: &mut String, bytes: usize) -> bool {
    if bytes == 0 {
        return false;
    }
    out.push_str(&format!("<p class=\"cut\">Cut here: {} more.</p>", size(bytes)));
    true
}

fn size(bytes: usize) -> String {
    match bytes {
        0..1_000 => format!("{bytes} bytes"),
        1_000..1_000_000 => format!("{} kB", bytes / 1_000),
        _ => format!("{}.{} MB", bytes / 1_000_000, bytes / 100_000 % 10),
    }
}
