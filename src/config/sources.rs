//! Where settings come from, highest first: flags, the environment, `./.env`, the person's `config.env`.
//! A file only fills what is absent: a variable that is exported empty stays empty, which reads as unset.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::agents;
use super::file::EnvFile;
use super::table::{self, Kind, Setting};

/// Everything that was found, before any of it was looked at.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// Set by flags of the command line: the setting's name, the flag as typed, the value.
    pub flags: Vec<(&'static str, &'static str, String)>,
    /// The environment.
    pub environment: BTreeMap<String, String>,
    /// `./.env`.
    pub local: Option<EnvFile>,
    /// The person's `config.env`, if it is there.
    pub personal: Option<EnvFile>,
    /// Where the person's `config.env` lies or would lie; `None` without a home folder.
    pub personal_path: Option<PathBuf>,
    /// The working directory, which relative paths start from.
    pub working_dir: PathBuf,
    /// The home folder.
    pub home: Option<PathBuf>,
    /// Files that are there and could not be read, with the reason.
    pub unreadable: Vec<String>,
}

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A flag, as typed.
    Flag(&'static str),
    /// The environment.
    Environment,
    /// `./.env`, with the line.
    Local(PathBuf, usize),
    /// The person's `config.env`, with the line.
    Personal(PathBuf, usize),
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Flag(flag) => f.write_str(flag),
            Self::Environment => f.write_str("environment"),
            Self::Local(path, line) | Self::Personal(path, line) => write!(f, "{}:{line}", path.display()),
        }
    }
}

/// A value and its origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Stripped of surrounding space; not empty.
    pub value: String,
    /// Where it was found.
    pub origin: Origin,
    /// The name under which it was found (the setting's old one, perhaps).
    pub name: &'static str,
}

/// A wrong value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name} is {shown} ({origin}): {allowed}")]
pub struct Wrong {
    /// The setting.
    pub name: &'static str,
    /// The value in quotes, or a placeholder for a secret.
    pub shown: String,
    /// Where it came from.
    pub origin: Origin,
    /// What is allowed.
    pub allowed: String,
}

impl Sources {
    /// Looks at the process's environment and the two files.
    pub fn of_this_process() -> Self {
        let environment = std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.to_string_lossy().into_owned()))
        });
        Self::gather(environment.collect(), std::env::current_dir().unwrap_or_default())
    }

    /// The same with a given environment and working directory.
    pub fn gather(environment: BTreeMap<String, String>, working_dir: PathBuf) -> Self {
        let given = |name: &str| environment.get(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let home = given("HOME").or_else(|| etcetera::home_dir().ok());
        // The XDG specification: a relative path there is to be ignored.
        let config = given("XDG_CONFIG_HOME").filter(|path| path.is_absolute());
        let personal_path = config
            .or_else(|| home.as_ref().map(|home| home.join(".config")))
            .map(|folder| folder.join("tether/config.env"));
        let mut unreadable = Vec::new();
        let mut read = |path: &Path| {
            EnvFile::read(path).unwrap_or_else(|error| {
                unreadable.push(format!("{} is ignored: {error}", path.display()));
                None
            })
        };
        let local = read(&working_dir.join(".env"));
        let personal = personal_path.as_deref().and_then(read);
        Self { flags: Vec::new(), environment, local, personal, personal_path, working_dir, home, unreadable }
    }

    /// Lets a flag set a setting, above everything else and above flags that were given before.
    pub fn with_flag(mut self, name: &'static str, flag: &'static str, value: Option<String>) -> Self {
        if let Some(value) = value {
            self.flags.insert(0, (name, flag, value));
        }
        self
    }

    /// What a setting was set to; `None` = unset or empty.
    pub fn find(&self, setting: &'static Setting) -> Option<Found> {
        [setting.name, setting.old_name]
            .into_iter()
            .filter(|name| !name.is_empty())
            .find_map(|name| self.find_name(name).filter(|found| !found.value.is_empty()))
    }

    /// The same, and an empty value is told from none.
    pub fn find_name(&self, name: &'static str) -> Option<Found> {
        let found = |value: &str, origin| Found { value: value.trim().to_owned(), origin, name };
        if let Some((_, flag, value)) = self.flags.iter().find(|(flagged, ..)| *flagged == name) {
            return Some(found(value, Origin::Flag(flag)));
        }
        if let Some(value) = self.environment.get(name) {
            return Some(found(value, Origin::Environment));
        }
        if let Some((file, entry)) = self.local.as_ref().and_then(|file| Some((file, file.get(name)?))) {
            return Some(found(&entry.value, Origin::Local(file.path.clone(), entry.line)));
        }
        let (file, entry) = self.personal.as_ref().and_then(|file| Some((file, file.get(name)?)))?;
        Some(found(&entry.value, Origin::Personal(file.path.clone(), entry.line)))
    }

    /// What a setting was set to, if that is allowed.
    ///
    /// # Errors
    /// It is not.
    pub fn checked(&self, setting: &'static Setting) -> Result<Option<Found>, Wrong> {
        let Some(found) = self.find(setting) else { return Ok(None) };
        let wrong = |allowed: String| Wrong {
            name: found.name,
            shown: if setting.secret { "(hidden)".to_owned() } else { format!("{:?}", found.value) },
            origin: found.origin.clone(),
            allowed,
        };
        if setting.guarded && matches!(found.origin, Origin::Local(..)) {
            return Err(wrong(
                "it may not be set in ./.env, which may have come with a project: use config.env or the environment"
                    .to_owned(),
            ));
        }
        check(setting.kind, &found.value).map_err(wrong)?;
        Ok(Some(found))
    }

    /// What people should hear about the files: unknown names with the nearest known one, names of
    /// features that are not there, lines that mean nothing. The first part are warnings, the second notes.
    pub fn remarks(&self) -> (Vec<String>, Vec<String>) {
        let (mut warnings, mut notes) = (self.unreadable.clone(), Vec::new());
        for file in [&self.local, &self.personal].into_iter().flatten() {
            let at = |line: usize| format!("{}:{line}", file.path.display());
            warnings
                .extend(file.odd_lines.iter().map(|line| format!("{} is not KEY=value: ignored", at(*line))));
            for entry in file.entries.iter().filter(|entry| entry.name.starts_with("TETHER_")) {
                let name = entry.name.as_str();
                if table::find(name).is_some() {
                    continue;
                }
                if table::ELSEWHERE.contains(&name) {
                    notes.push(format!("{name} ({}) has no effect in this version", at(entry.line)));
                    continue;
                }
                let meant =
                    table::nearest(name).map(|near| format!(": did you mean {near}?")).unwrap_or_default();
                warnings.push(format!("{name} ({}) is not a setting{meant}", at(entry.line)));
            }
        }
        (warnings, notes)
    }
}

/// Checks a value; the error says what is allowed.
pub(super) fn check(kind: Kind, value: &str) -> Result<(), String> {
    let must = |ok: bool, what: String| if ok { Ok(()) } else { Err(format!("must be {what}")) };
    match kind {
        Kind::Text => must(!value.contains(char::is_control), "text without control characters".to_owned()),
        Kind::Path => must(!value.contains('\0'), "a path".to_owned()),
        Kind::Host => must(is_host(value), "a host name or an IP address, without port or scheme".to_owned()),
        Kind::Hosts => must(
            hosts(value).iter().all(|host| is_host_with_port(host)),
            "host names (or name:port) with commas between them, without scheme".to_owned(),
        ),
        Kind::Flag => must(flag(value).is_some(), "one of 1, true, yes, on, 0, false, no, off".to_owned()),
        Kind::Number(least, most) => must(
            value.parse().is_ok_and(|number: i64| (least..=most).contains(&number)),
            format!("a whole number from {least} to {most}"),
        ),
        Kind::Word(words) => must(
            words.iter().any(|word| word.eq_ignore_ascii_case(value)),
            format!("one of {}", words.join(", ")),
        ),
        Kind::ShellWords => {
            must(shell_words::split(value).is_ok(), "words as in a shell, with every quote closed".to_owned())
        }
        Kind::Agents => agents::acp_agents(value).map(|_| ()),
        Kind::Url => must(
            reqwest::Url::parse(value).is_ok_and(|url| matches!(url.scheme(), "http" | "https")),
            "an address that begins with http:// or https://".to_owned(),
        ),
    }
}

fn is_host(text: &str) -> bool {
    let address = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    address.parse::<std::net::IpAddr>().is_ok()
        || (!text.is_empty()
            && text.len() <= 253
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b)))
}

fn is_host_with_port(text: &str) -> bool {
    let named = text.rsplit_once(':').filter(|(_, port)| port.parse::<u16>().is_ok());
    is_host(text) || named.is_some_and(|(host, _)| is_host(host))
}

/// What a flag says; `None` if it is none.
pub fn flag(value: &str) -> Option<bool> {
    match value.to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "on" => Some(true),
        "0" | "false" | "no" | "off" => Some(false),
        _ => None,
    }
}

/// Splits a list of hosts.
pub fn hosts(value: &str) -> Vec<String> {
    value.split(',').map(|host| host.trim().to_ascii_lowercase()).filter(|host| !host.is_empty()).collect()
}
