//! The syntax of `.env` and `config.env`, and the one edit that we make to such a file.
//!
//! `KEY=value`, optionally after `export `; `#` begins a comment line; a value in matching single or
//! double quotes is taken literally; any other value ends at a `#` that stands at its start or after a
//! space. No interpolation, no escapes, no values over several lines.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// One `KEY=value` of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The name.
    pub name: String,
    /// The value, unquoted.
    pub value: String,
    /// Its line, from 1.
    pub line: usize,
}

/// A file that was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EnvFile {
    /// Where it lies.
    pub path: PathBuf,
    /// What it sets, in its order. The first of two entries of one name counts.
    pub entries: Vec<Entry>,
    /// The lines that are no setting, no comment and not blank.
    pub odd_lines: Vec<usize>,
}

impl EnvFile {
    /// Reads a file; `None` if there is none.
    ///
    /// # Errors
    /// It is there and cannot be read.
    pub fn read(path: &Path) -> io::Result<Option<Self>> {
        match std::fs::read(path) {
            Ok(bytes) => Ok(Some(Self::parse(path, &String::from_utf8_lossy(&bytes)))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Parses the text of a file.
    pub fn parse(path: &Path, text: &str) -> Self {
        let mut file = Self { path: path.to_owned(), ..Self::default() };
        for (number, line) in text.lines().enumerate().map(|(index, line)| (index + 1, line)) {
            let line = line.trim_start_matches('\u{feff}').trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            match parse_line(line) {
                Some((name, value)) => file.entries.push(Entry { name, value, line: number }),
                None => file.odd_lines.push(number),
            }
        }
        file
    }

    /// The entry that counts for a name.
    pub fn get(&self, name: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.name == name)
    }
}

fn parse_line(line: &str) -> Option<(String, String)> {
    let (name, value) = line.split_once('=')?;
    let name = name.trim();
    let name = name.strip_prefix("export ").map_or(name, str::trim);
    is_name(name).then(|| (name.to_owned(), unquote(value.trim())))
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|first: char| first.is_ascii_digit())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

fn unquote(value: &str) -> String {
    if let Some(inner) = within_quotes(value) {
        return inner.to_owned();
    }
    let bare = without_comment(value);
    within_quotes(bare).unwrap_or(bare).to_owned()
}

fn within_quotes(value: &str) -> Option<&str> {
    ['"', '\''].into_iter().find_map(|quote| value.strip_prefix(quote)?.strip_suffix(quote))
}

fn without_comment(value: &str) -> &str {
    let mut before = ' ';
    for (at, c) in value.char_indices() {
        if c == '#' && before.is_whitespace() {
            return value.get(..at).unwrap_or(value).trim_end();
        }
        before = c;
    }
    value
}

/// Why a setting could not be stored.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file or its folder.
    #[error("could not write {path}: {source}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The syntax has no way to say it.
    #[error("{name} cannot be stored in {path}: its value holds a line end or both kinds of quotes")]
    Unwritable {
        /// Which setting.
        name: String,
        /// Which file.
        path: PathBuf,
    },
}

/// Sets `name` in the file, keeping every other line; makes the file (only its owner may read it) and
/// its folder if they are missing. The file is replaced in one step, so a crash leaves the old one.
///
/// # Errors
/// See [`StoreError`].
pub fn store(path: &Path, name: &str, value: &str) -> Result<(), StoreError> {
    let unwritable = || StoreError::Unwritable { name: name.to_owned(), path: path.to_owned() };
    let line = format!("{name}={}", quoted(value).ok_or_else(unwritable)?);
    store_line(path, name, &line).map_err(|source| StoreError::Io { path: path.to_owned(), source })
}

fn quoted(value: &str) -> Option<String> {
    if value.contains(['\n', '\r']) {
        return None;
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:,@+=~%".contains(c);
    if value.chars().all(plain) {
        return Some(value.to_owned());
    }
    ['"', '\'']
        .into_iter()
        .find(|&quote| !value.contains(quote))
        .map(|quote| format!("{quote}{value}{quote}"))
}

fn store_line(path: &Path, name: &str, line: &str) -> io::Result<()> {
    let old = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error),
    };
    let old = String::from_utf8(old).map_err(|_| io::Error::other("it is not UTF-8 text"))?;
    let text = with_line(&old, path, name, line);
    // A link to the file (dotfiles in a repository, say) stays a link.
    let target = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let folder = target.parent().unwrap_or(Path::new("."));
    private_folder(folder)?;
    let fresh = folder.join(format!(".config.env.{}", std::process::id()));
    let written = write_private(&fresh, text.as_bytes()).and_then(|()| std::fs::rename(&fresh, &target));
    if written.is_err() {
        let _ = std::fs::remove_file(&fresh);
    }
    written
}

fn with_line(old: &str, path: &Path, name: &str, line: &str) -> String {
    let at = EnvFile::parse(path, old).get(name).map(|entry| entry.line);
    let mut text = String::new();
    for (number, kept) in old.lines().enumerate().map(|(index, kept)| (index + 1, kept)) {
        text.push_str(if Some(number) == at { line } else { kept });
        text.push('\n');
    }
    if at.is_none() {
        text.push_str(line);
        text.push('\n');
    }
    text
}

/// Makes a folder that only its owner may enter; one that is there stays as it is.
///
/// # Errors
/// What the system says.
pub fn private_folder(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// Writes a new file that only its owner may read, down to the disk.
///
/// # Errors
/// What the system says.
pub fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let _ = std::fs::remove_file(path);
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn values_are_read_as_the_contract_says() {
        for (line, value) in [
            ("A=b", "b"),
            ("  export  A = b  ", "b"),
            ("A=", ""),
            ("A=b # comment", "b"),
            ("A=b\t# comment", "b"),
            ("A=b#c", "b#c"),
            ("A=#c", ""),
            ("A='b # c'", "b # c"),
            ("A=\"b # c\"", "b # c"),
            ("A=\"b\" # comment", "b"),
            ("A='b\"", "'b\""),
            ("A=\"", "\""),
            ("A=\"\"", ""),
            ("A='$HOME \\n'", "$HOME \\n"),
            ("A=b=c", "b=c"),
            ("A=b\r", "b"),
        ] {
            let file = EnvFile::parse(Path::new("x"), line);
            assert_eq!(file.get("A").map(|entry| entry.value.as_str()), Some(value), "{line:?}");
        }
    }

    #[test]
    fn lines_that_are_no_setting_are_told_apart_from_comments() {
        let file = EnvFile::parse(Path::new("x"), "# c\n\nnonsense\nA B=1\n9A=1\nA=1\nA=2\n");
        assert_eq!(file.odd_lines, [3, 4, 5]);
        assert_eq!(file.get("A"), Some(&Entry { name: "A".into(), value: "1".into(), line: 6 }));
    }

    #[test]
    fn storing_keeps_the_other_lines_and_closes_the_file_to_others() {
        let home = tempfile::tempdir().expect("a folder");
        let path = home.path().join("tether/config.env");
        store(&path, "TETHER_AGENT_TOKEN", "abc").expect("a new file");
        let mode = |path: &Path| std::fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o600);
        assert_eq!(mode(path.parent().expect("a folder")), 0o700);

        std::fs::write(&path, "# mine\nTETHER_AGENT_TOKEN=\nB='x y'\nTETHER_AGENT_TOKEN=later")
            .expect("written");
        store(&path, "TETHER_AGENT_TOKEN", "new").expect("replaced");
        store(&path, "C", "it's # here").expect("added");
        let text = std::fs::read_to_string(&path).expect("read");
        assert_eq!(
            text,
            "# mine\nTETHER_AGENT_TOKEN=new\nB='x y'\nTETHER_AGENT_TOKEN=later\nC=\"it's # here\"\n"
        );
        assert_eq!(mode(&path), 0o600);
        let left = std::fs::read_dir(path.parent().expect("a folder")).expect("listed").count();
        assert_eq!(left, 1, "no temporary file is left");
    }

    #[test]
    fn a_stored_value_reads_back_or_is_refused() {
        let home = tempfile::tempdir().expect("a folder");
        let path = home.path().join("config.env");
        for value in ["", "a b", "#x", "a'b", "a\"b", "--x='1 2'", " lead", "$HOME"] {
            store(&path, "A", value).expect("stored");
            let file = EnvFile::read(&path).expect("read").expect("there");
            assert_eq!(file.get("A").map(|entry| entry.value.as_str()), Some(value));
        }
        assert!(matches!(store(&path, "A", "a\nB=1"), Err(StoreError::Unwritable { .. })));
        assert!(matches!(store(&path, "A", "a'b\"c"), Err(StoreError::Unwritable { .. })));
    }
}
