//! Where a command or an edit would write, by the names alone: no file is looked at.

use std::path::{Component, Path, PathBuf};

use super::shell::Word;

/// Where a path lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// Below the session's directory.
    Inside,
    /// Below a folder for what may be lost, or a device that swallows it.
    Harmless,
    /// Elsewhere; the path as it would be.
    Outside(String),
    /// It is only known when it runs.
    Unknown,
}

/// What a path is seen from.
#[derive(Clone, Debug)]
pub struct Seen<'p> {
    /// The session's directory; empty if it has none.
    pub directory: &'p Path,
    /// The home directory.
    pub home: Option<&'p Path>,
    /// Where relative paths begin now; `None` once a `cd` led to a place that is not known.
    pub current: Option<PathBuf>,
}

impl Seen<'_> {
    /// Where a word leads when it is taken for a path.
    pub fn place(&self, word: &Word) -> Place {
        match self.resolve(word) {
            Some(path) => self.of(&path),
            None => match temporary_variable(&word.text) {
                true => Place::Harmless,
                false => Place::Unknown,
            },
        }
    }

    /// The path that a word names, without links resolved.
    pub fn resolve(&self, word: &Word) -> Option<PathBuf> {
        let text = word.text.as_str();
        let known = [
            ("$HOME", self.home),
            ("${HOME}", self.home),
            ("~", self.home),
            ("$PWD", self.current.as_deref()),
            ("${PWD}", self.current.as_deref()),
        ];
        for (name, stands_for) in known {
            let rest = text.strip_prefix(name).filter(|rest| rest.is_empty() || rest.starts_with('/'));
            if let Some(rest) = rest {
                // Without a home directory it is at least none of ours.
                let base =
                    stands_for.map(Path::to_owned).or_else(|| (name != "$PWD").then(|| "/~".into()))?;
                return Some(tidy(&base.join(fixed(rest.trim_start_matches('/'), word.literal)?)));
            }
        }
        if text.starts_with('~') {
            return Some("/~".into());
        }
        let text = fixed(text, word.literal)?;
        if text.starts_with('/') {
            return Some(tidy(Path::new(text)));
        }
        Some(tidy(&self.current.as_ref()?.join(text)))
    }

    fn of(&self, path: &Path) -> Place {
        if !self.directory.as_os_str().is_empty() && path.starts_with(self.directory) {
            return Place::Inside;
        }
        match is_scratch(path) {
            true => Place::Harmless,
            false => Place::Outside(path.to_string_lossy().into_owned()),
        }
    }
}

/// The part of a path that is known: up to the last `/` before the first thing that is not.
fn fixed(text: &str, literal: bool) -> Option<&str> {
    if literal {
        return Some(text);
    }
    let known = text.split(['$', '`', '*', '?', '{', '<']).next()?;
    known.rfind('/').map(|end| &known[..=end])
}

fn temporary_variable(text: &str) -> bool {
    ["$TMPDIR", "${TMPDIR}", "$TMP", "$(mktemp"].iter().any(|name| text.starts_with(name))
}

fn is_scratch(path: &Path) -> bool {
    let devices = ["/dev/null", "/dev/stdout", "/dev/stderr", "/dev/tty", "/dev/fd", "/dev/shm"];
    let folders = ["/tmp", "/var/tmp", "/private/tmp", "/private/var/tmp"];
    devices.iter().any(|device| path.starts_with(device))
        || folders.iter().any(|folder| path != Path::new(folder) && path.starts_with(folder))
}

/// `.` and `..` taken out, by the names alone.
fn tidy(path: &Path) -> PathBuf {
    let mut tidy = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => drop(tidy.pop()),
            part => tidy.push(part),
        }
    }
    tidy
}

/// Why a file should not be written just so; `None` if nothing speaks against it.
pub fn why_not_write(path: &Path, directory: &Path) -> Option<String> {
    let shown = path.to_string_lossy();
    if let Some(why) = sensitive(&shown) {
        return Some(format!("{why}: {shown}"));
    }
    if directory.as_os_str().is_empty() || path.starts_with(directory) || is_scratch(path) {
        return None;
    }
    Some(format!("writes outside the session's directory: {shown}"))
}

/// Names of files and folders that hold secrets.
const SECRETS: [&str; 24] = [
    ".ssh",
    ".gnupg",
    ".aws",
    ".azure",
    ".kube",
    ".netrc",
    "_netrc",
    ".npmrc",
    ".pypirc",
    ".git-credentials",
    ".pgpass",
    ".my.cnf",
    ".vault-token",
    ".dockercfg",
    ".credentials.json",
    "credentials.json",
    "credentials.toml",
    "id_rsa",
    "id_dsa",
    "id_ecdsa",
    "id_ed25519",
    "authorized_keys",
    "config.env",
    "hosts.yml",
];
/// Names of files that run by themselves later.
const STARTED: [&str; 16] = [
    ".bashrc",
    ".bash_profile",
    ".bash_login",
    ".bash_logout",
    ".profile",
    ".zshrc",
    ".zshenv",
    ".zprofile",
    ".zlogin",
    ".envrc",
    "config.fish",
    ".xinitrc",
    "crontab",
    "LaunchAgents",
    "LaunchDaemons",
    "autostart",
];

/// What is delicate about a path, by its names; reading counts here as well as writing.
pub fn sensitive(path: &str) -> Option<&'static str> {
    let mut parts = path.split(['/', '=', ':', '@']).filter(|part| !part.is_empty()).peekable();
    let mut before = "";
    while let Some(part) = parts.next() {
        let last = parts.peek().is_none();
        let env = part == ".env" || (part.starts_with(".env.") && !is_template(part));
        let key = last && [".pem", ".p12", ".pfx", ".keystore"].iter().any(|end| part.ends_with(end));
        if SECRETS.contains(&part) || env || key || (before == ".docker" && part == "config.json") {
            return Some("touches credentials");
        }
        if before == "etc" && matches!(part, "shadow" | "gshadow" | "sudoers" | "sudoers.d" | "ssh" | "ssl") {
            return Some("touches credentials");
        }
        if STARTED.contains(&part) || (before == ".git" && matches!(part, "hooks" | "config")) {
            return Some("touches a file that runs by itself later");
        }
        before = part;
    }
    None
}

fn is_template(name: &str) -> bool {
    ["example", "sample", "template", "dist"].iter().any(|word| name.ends_with(word))
}
