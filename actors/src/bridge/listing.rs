//! The list of conversations that can be taken over, as each person last saw it.

use super::markup::{Doc, bold, code, cut, plain};
use crate::domain::time::Stamp;
use crate::registry::Listed;

/// Rows of a page.
pub const ROWS: usize = 8;

/// What a person last asked for.
#[derive(Clone, Debug, Default)]
pub struct Listing {
    /// What they searched for; empty = nothing.
    pub search: String,
    /// What was found, in the order in which it is numbered.
    pub found: Vec<Listed>,
    /// The page that they see, from 1.
    pub page: usize,
}

impl Listing {
    /// How many pages there are, at least one.
    pub fn pages(&self) -> usize {
        self.found.len().div_ceil(ROWS).max(1)
    }

    /// The page in words.
    pub fn doc(&self, now: Stamp) -> Doc {
        let mut doc = Doc::default();
        if self.found.is_empty() {
            return doc.line([plain(match self.search.is_empty() {
                true => "No conversations were found on this machine.".to_owned(),
                false => format!("No conversation has \"{}\" in its directory.", self.search),
            })]);
        }
        let page = self.page.clamp(1, self.pages());
        let what = if self.search.is_empty() { String::new() } else { format!(" with \"{}\"", self.search) };
        doc = doc.line([bold(format!("Conversations{what}, page {page} of {}", self.pages()))]);
        for (at, listed) in self.found.iter().enumerate().skip((page - 1) * ROWS).take(ROWS) {
            let found = &listed.found;
            let last = found.directory.rsplit('/').find(|part| !part.is_empty()).unwrap_or("?");
            let mut runs = vec![
                plain(format!("{}. ", at + 1)),
                code(cut(last, 40)),
                plain(format!(" {} · {}", found.runner.title(), age(now, found.last_activity))),
            ];
            if listed.session.is_some() {
                runs.push(plain(" · 🧵"));
            }
            if found.holder.is_some() {
                runs.push(plain(" · open elsewhere"));
            }
            doc = doc.line(runs);
            let words =
                found.title.as_deref().or(found.last_prompt.as_deref()).or(found.first_prompt.as_deref());
            if let Some(words) = words {
                doc = doc.line([plain(format!("    {}", cut(&words.replace('\n', " "), 60)))]);
            }
        }
        doc
    }
}

fn age(now: Stamp, millis: i64) -> String {
    match (now.unix_millis() - millis).max(0) / 60_000 {
        0 => "just now".to_owned(),
        minutes @ 1..60 => format!("{minutes} min ago"),
        minutes @ 60..1440 => format!("{} h ago", minutes / 60),
        minutes => format!("{} d ago", minutes / 1440),
    }
}
