//! What was rendered before, by the content that it was made of.

use std::sync::Arc;

use quick_cache::Weighter;
use quick_cache::sync::Cache as Entries;
use sha2::{Digest, Sha256};

use super::{Item, Rendered};

/// At most so many bytes of HTML are kept.
const BYTES: u64 = 16 << 20;
/// About so large is an entry.
const USUAL: u64 = 4 << 10;

type Key = [u8; 32];

#[derive(Clone)]
struct ByLength;

impl Weighter<Key, Arc<Rendered>> for ByLength {
    fn weight(&self, _: &Key, value: &Arc<Rendered>) -> u64 {
        value.html.len() as u64 + 128
    }
}

/// Rendered items, up to a number of bytes; what was not asked for lately goes first.
pub struct Cache(Entries<Key, Arc<Rendered>, ByLength>);

impl Default for Cache {
    fn default() -> Self {
        Self(Entries::with_weighter((BYTES / USUAL) as usize, BYTES, ByLength))
    }
}

impl Cache {
    /// The item as it is kept, or as it is made now; kept only if the second part of what was made says so.
    pub fn get_or(&self, item: &Item, make: impl FnOnce() -> (Rendered, bool)) -> Arc<Rendered> {
        let key = key(item);
        if let Some(kept) = self.0.get(&key) {
            return kept;
        }
        let (made, keep) = make();
        let made = Arc::new(made);
        if keep {
            self.0.insert(key, made.clone());
        }
        made
    }
}

fn key(item: &Item) -> Key {
    let (kind, parts): (u8, [Option<&str>; 3]) = match item {
        Item::Markdown { text } => (0, [Some(text), None, None]),
        Item::Code { text, language, path } => (1, [Some(text), language.as_deref(), path.as_deref()]),
        Item::Diff { text, path } => (2, [Some(text), path.as_deref(), None]),
        Item::Change { old, new, path } => (3, [Some(old), Some(new), path.as_deref()]),
    };
    let mut hash = Sha256::new_with_prefix([kind]);
    for part in parts {
        // The lengths keep the parts apart.
        hash.update(part.map_or(u64::MAX, |part| part.len() as u64).to_le_bytes());
        hash.update(part.unwrap_or_default());
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(text: &str) -> Item {
        Item::Markdown { text: text.into() }
    }

    fn made(html: &str) -> Rendered {
        Rendered { html: html.into(), cut: false }
    }

    #[test]
    fn what_was_made_whole_is_made_once() {
        let cache = Cache::default();
        assert_eq!(cache.get_or(&item("a"), || (made("hasty"), false)).html, "hasty");
        assert_eq!(cache.get_or(&item("a"), || (made("whole"), true)).html, "whole");
        assert_eq!(cache.get_or(&item("a"), || unreachable!("it is kept")).html, "whole");
    }

    #[test]
    fn memory_is_bounded() {
        let cache = Cache::default();
        let large = "x".repeat(1 << 20);
        for n in 0..64 {
            cache.get_or(&item(&n.to_string()), || (made(&large), true));
        }
        assert!(cache.0.weight() <= BYTES);
    }

    #[test]
    fn parts_cannot_be_taken_for_each_other() {
        let code = |text: &str, language: Option<&str>, path: Option<&str>| {
            key(&Item::Code {
                text: text.into(),
                language: language.map(Into::into),
                path: path.map(Into::into),
            })
        };
        assert_ne!(code("a", Some("b"), None), code("a", None, Some("b")));
        assert_ne!(code("ab", None, None), code("a", Some("b"), None));
        assert_ne!(code("a", Some(""), None), code("a", None, None));
    }
}
