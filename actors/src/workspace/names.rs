//! What people and programs may name: branches, remotes, addresses. Nothing passes that git could read as an option,
//! as another kind of name, or as a transport that runs a program.

use super::error::GitError;

/// Longest name of a branch or remote, in bytes.
const LONGEST: usize = 200;

/// Longest address.
const LONGEST_ADDRESS: usize = 2000;

/// A branch's name, by git's own rules (git-check-ref-format(1), git 2.47) and without those that it reads as something
/// else.
///
/// # Errors
/// It is none.
pub fn branch(name: &str) -> Result<&str, GitError> {
    let odd_character = |c: char| c.is_control() || " ~^:?*[\\".contains(c);
    let odd_part = |part: &str| part.is_empty() || part.starts_with('.') || part.ends_with(".lock");
    let wrong = name.is_empty()
        || name.len() > LONGEST
        || name.starts_with('-')
        || name.ends_with('.')
        || name == "@"
        || name == "HEAD"
        || name.contains("..")
        || name.contains("@{")
        || name.contains(odd_character)
        || name.split('/').any(odd_part);
    if wrong { Err(GitError::Invalid(format!("{name:?} is no name for a branch"))) } else { Ok(name) }
}

/// A remote's name (not an address).
///
/// # Errors
/// It is none.
pub fn remote(name: &str) -> Result<&str, GitError> {
    let fits = |c: char| c.is_alphanumeric() || "._-/".contains(c);
    if name.starts_with(['-', '.', '/']) || !name.chars().all(fits) || branch(name).is_err() {
        return Err(GitError::Invalid(format!(
            "{name:?} is no name of a remote: give one that `git remote` shows"
        )));
    }
    Ok(name)
}

/// The address of a repository to clone: `https://`, `http://`, `ssh://`, `file://`, `user@host:path`, or an absolute
/// path that ends in `.git`.
///
/// # Errors
/// It is none of these, or could be read as something else.
pub fn clone_url(url: &str) -> Result<&str, GitError> {
    let forms = "https://, http://, ssh://, file://, git@host:path, or an absolute path that ends in .git";
    let refused = || GitError::Invalid(format!("clone_url must be the address of a repository: {forms}"));
    let odd = |c: char| c.is_control() || c.is_whitespace();
    if url.is_empty()
        || url.len() > LONGEST_ADDRESS
        || url.starts_with('-')
        || url.contains(odd)
        || url.contains("::")
    {
        return Err(refused());
    }
    if let Some((scheme, rest)) = url.split_once("://") {
        let known = ["https", "http", "ssh", "file"].iter().any(|one| scheme.eq_ignore_ascii_case(one));
        let local = scheme.eq_ignore_ascii_case("file");
        let authority = rest.split('/').next().unwrap_or_default();
        let host = authority.rsplit('@').next().unwrap_or_default();
        let sound = if local { rest.starts_with('/') } else { !host.is_empty() && !host.starts_with('-') };
        let named = !authority.starts_with('-');
        return if known && sound && named { Ok(url) } else { Err(refused()) };
    }
    if url.starts_with('/') {
        let path = std::path::Path::new(url);
        let climbs = path.components().any(|part| part == std::path::Component::ParentDir);
        return if url.trim_end_matches('/').ends_with(".git") && !climbs { Ok(url) } else { Err(refused()) };
    }
    // `user@host:path`, as scp has it.
    let scp = url.split_once(':').and_then(|(at, path)| Some((at.split_once('@')?, path)));
    match scp {
        Some(((user, host), path)) => {
            let word = |text: &str| {
                !text.is_empty()
                    && !text.starts_with('-')
                    && text.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
            };
            let path_fits = !path.is_empty() && !path.starts_with('-');
            if word(user) && word(host) && path_fits { Ok(url) } else { Err(refused()) }
        }
        None => Err(refused()),
    }
}

/// The same repository under one spelling: without a slash or `.git` at its end.
pub fn normalized(url: &str) -> &str {
    let bare = url.trim_end_matches('/');
    bare.strip_suffix(".git").unwrap_or(bare)
}

/// Text in which every address has lost its password (and over HTTP its user, which may be a token).
pub fn redacted(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        shown.push_str(before);
        let scheme: String = before[..at]
            .chars()
            .rev()
            .take_while(char::is_ascii_alphanumeric)
            .collect::<Vec<_>>()
            .iter()
            .rev()
            .collect();
        let ends = |c: char| c.is_whitespace() || matches!(c, '/' | '\'' | '"' | '<' | '>' | '`');
        let length = after.find(ends).unwrap_or(after.len());
        let (authority, behind) = after.split_at(length);
        rest = behind;
        let Some((user, host)) = authority.rsplit_once('@') else {
            shown.push_str(authority);
            continue;
        };
        let plain = scheme.eq_ignore_ascii_case("ssh");
        match user.split_once(':') {
            Some((user, _)) if plain => shown.push_str(&format!("{user}:***@{host}")),
            None if plain => shown.push_str(authority),
            _ => shown.push_str(&format!("***@{host}")),
        }
    }
    shown.push_str(rest);
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn branches_are_named_as_git_allows_it_and_never_like_an_option() {
        for good in ["main", "tether/0a1b2c", "feature/ünï", "a-b", "v1.2", "x@y"] {
            assert!(branch(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "-f",
            "--upload-pack=x",
            "a b",
            "a..b",
            "a~1",
            "a^",
            "a:b",
            "a?",
            "a*",
            "a[",
            "a\\b",
            "/a",
            "a/",
            "a//b",
            ".a",
            "a/.b",
            "a.lock",
            "a.lock/b",
            "a.",
            "@",
            "HEAD",
            "a@{1}",
            "a\nb",
            "\u{7f}",
        ] {
            assert!(branch(bad).is_err(), "{bad:?}");
        }
        assert!(branch(&"x".repeat(201)).is_err());
    }

    #[test]
    fn remotes_are_names_and_no_addresses() {
        assert!(remote("origin").is_ok() && remote("my-fork").is_ok() && remote("team/x").is_ok());
        for bad in ["", "-x", "--exec=x", "https://x/y", "/tmp/x", "ext::sh", "a b", "../x", "a@b"] {
            assert!(remote(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn addresses_are_of_known_kinds_and_run_nothing() {
        for good in [
            "https://github.com/a/b",
            "http://host:8080/a.git",
            "https://user:secret@host/a.git",
            "ssh://git@host/a",
            "git@github.com:a/b.git",
            "me@host:x.git",
            "file:///srv/a",
            "/srv/a.git",
        ] {
            assert!(clone_url(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "-u",
            "--upload-pack=x.git",
            "ext::sh -c x.git",
            "ext::sh",
            "a b.git",
            "x.git",
            "../x.git",
            "/srv/../a.git",
            "/srv/a",
            "ftp://x/y.git",
            "ssh://-oProxyCommand=x/y.git",
            "ssh://-o@host/y.git",
            "git@-oProxyCommand=x:y.git",
            "-o@host:x.git",
            "git@host:-x.git",
            "file://host/x",
            "https:///x",
            "fd::3.git",
            "a\nb.git",
        ] {
            assert!(clone_url(bad).is_err(), "{bad:?}");
        }
        assert_eq!(normalized("https://h/a.git/"), normalized("https://h/a"));
    }

    #[test]
    fn passwords_and_tokens_are_never_shown() {
        for (text, shown) in [
            ("https://tok_en@host/a", "https://***@host/a"),
            ("fatal: 'https://u:p@host/a' and http://x:y@z", "fatal: 'https://***@host/a' and http://***@z"),
            ("https://u:p@ss@host/a", "https://***@host/a"),
            ("ssh://git@host/a", "ssh://git@host/a"),
            ("ssh://git:pw@host/a", "ssh://git:***@host/a"),
            ("https://host/a@b", "https://host/a@b"),
            ("git@host:a.git", "git@host:a.git"),
            ("nothing", "nothing"),
        ] {
            assert_eq!(redacted(text), shown);
        }
    }
}
