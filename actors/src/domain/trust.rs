//! Directories whose own settings for agents (hooks, plugins, servers, extensions) a person trusts, or does not.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::approval::Actor;
use super::time::Stamp;

/// What a person said about a directory. It holds for all that lies below it, until something nearer says otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct TrustedDirectory {
    /// Absolute, links resolved.
    pub path: String,
    /// Whether what it brings along for agents counts.
    pub trusted: bool,
    /// When it was said.
    #[schema(value_type = String)]
    pub decided_at: Stamp,
    /// Who said it.
    pub decided_by: Actor,
}

/// What was said about this directory, or about the nearest one above it that something was said about.
pub fn decision<'a>(
    said: impl IntoIterator<Item = &'a TrustedDirectory>,
    directory: &Path,
) -> Option<&'a TrustedDirectory> {
    let covers = |known: &&TrustedDirectory| directory.starts_with(&known.path);
    said.into_iter().filter(covers).max_by_key(|known| Path::new(&known.path).components().count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_counts() {
        let said = |path: &str, trusted| TrustedDirectory {
            path: path.into(),
            trusted,
            decided_at: Stamp::from_unix(0),
            decided_by: Actor::Person { surface: "cli".into(), name: None },
        };
        let all =
            [said("/home/a", true), said("/home/a/strange", false), said("/home/a/strange/but/good", true)];
        let trusted = |path: &str| decision(&all, Path::new(path)).map(|found| found.trusted);
        assert_eq!(trusted("/home/a/mine"), Some(true));
        assert_eq!(trusted("/home/a/strange"), Some(false));
        assert_eq!(trusted("/home/a/strange/but/good/x"), Some(true));
        assert_eq!((trusted("/home/ab"), trusted("/home")), (None, None));
    }
}
