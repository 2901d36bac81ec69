//! Which daemon a command talks to.
//!
//! Highest first: `-H`, `-P` and `--token`; the server that `-S` names; the active context; `default:` of
//! `servers.yaml`; the settings. Any of the first three switches the context and the default off. A named server is a
//! whole: what it leaves out does not come from the settings of the daemon on this machine. Format of the files: Tether
//! 0.3.5rc4; `url` is ours.
//!
//! ```yaml
//! servers:
//!   work: {host: box.local, port: 8787, token: secret, user: me}   # user: for ssh
//!   far: {url: https://tether.example.org, token: secret}
//!   box: {host: 127.0.0.1, port: 8788, token: secret, ssh: box}   # ssh: ours, for a daemon behind a tunnel
//! default: work
//! ```

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use reqwest::Url;
use serde::Deserialize;

use super::sources::{Sources, check};
use super::table::Kind;
use super::{ConfigError, Connection, Reader, api_url, file, yaml};

/// The name that means the daemon of the settings, on this machine.
pub const LOCAL: &str = "local";
/// The port of a server that names none.
const PORT: u16 = 8787;
/// The longest name of a server, in characters.
const NAME: usize = 100;

/// A server as `servers.yaml` has it. Not `Debug`: it holds a token.
#[derive(Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    host: Option<String>,
    port: Option<String>,
    url: Option<String>,
    token: Option<String>,
    /// Who one is there, for ssh.
    pub user: Option<String>,
    /// What ssh takes to reach the machine, where `host` is something else, such as this end of a tunnel.
    ssh: Option<String>,
}

/// The file as it is written.
#[derive(Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Written {
    #[serde(default)]
    servers: Option<BTreeMap<String, Option<Entry>>>,
    default: Option<String>,
}

impl Written {
    /// What it says of a name.
    pub(super) fn entry(&self, name: &str) -> Option<&Entry> {
        self.servers.as_ref()?.get(name)?.as_ref()
    }

    /// The same without what has the name.
    pub(super) fn without(&self, name: &str) -> Self {
        let mut rest = self.clone();
        rest.servers.get_or_insert_default().remove(name);
        rest
    }
}

/// The servers that the person named.
pub struct Servers {
    /// Where `servers.yaml` lies or would lie; `None` without a home folder.
    pub path: Option<PathBuf>,
    /// The server that is meant when nothing else says.
    pub default: Option<String>,
    entries: BTreeMap<String, Entry>,
}

/// Why a named server is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Because {
    /// `-S`.
    Flag,
    /// The active context, which lies in this file.
    Context(PathBuf),
    /// `default:` of `servers.yaml`.
    Default,
}

/// A daemon to talk to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Host, port and token.
    pub connection: Connection,
    /// The whole address, without a slash at its end.
    pub url: String,
    /// The named server that it is, and why; `None` = the one of the flags or settings.
    pub named: Option<(String, Because)>,
}

impl Target {
    fn of_connection(connection: Connection) -> Self {
        Self { url: connection.url(), connection, named: None }
    }

    /// Whether it is on this machine, with the same files.
    pub fn is_here(&self) -> bool {
        self.named.is_none() && self.connection.is_loopback()
    }

    /// The server that nobody typed just now: `name (host:port)`.
    pub fn reminder(&self) -> Option<String> {
        let (name, because) = self.named.as_ref()?;
        (*because != Because::Flag).then(|| format!("{name} ({})", shown(&self.url)))
    }
}

/// An address for people: plain HTTP is not spelled out.
fn shown(url: &str) -> &str {
    url.strip_prefix("http://").unwrap_or(url)
}

/// The daemon that is meant.
///
/// # Errors
/// A wrong setting, a name that is in no `servers.yaml`, or one that cannot be read: another daemon than the one that
/// was meant is never taken instead.
pub fn target(sources: &Sources, server: Option<&str>) -> Result<Target, ConfigError> {
    if server.is_some() || has_flags(sources) {
        return typed_target(sources, server);
    }
    match standing(sources)? {
        Some((name, because)) => of_name(sources, &name, because),
        None => of_settings(sources),
    }
}

/// The same without context and default: for programs that others start, which shall not follow where the person looks.
///
/// # Errors
/// See [`target`].
pub fn typed_target(sources: &Sources, server: Option<&str>) -> Result<Target, ConfigError> {
    match server {
        None | Some(LOCAL) => of_settings(sources),
        Some(_) if flag(sources, "TETHER_AGENT_HOST").is_some() => {
            Err(ConfigError::Conflict("--server and --host name two daemons: give one of them".to_owned()))
        }
        Some(name) => of_name(sources, name, Because::Flag),
    }
}

fn flag<'a>(sources: &'a Sources, name: &str) -> Option<&'a str> {
    sources.flags.iter().find(|(flagged, ..)| *flagged == name).map(|(.., value)| value.trim())
}

fn has_flags(sources: &Sources) -> bool {
    ["TETHER_AGENT_HOST", "TETHER_AGENT_PORT", "TETHER_AGENT_TOKEN"]
        .iter()
        .any(|name| flag(sources, name).is_some())
}

/// The server that holds until something else is said.
fn standing(sources: &Sources) -> Result<Option<(String, Because)>, ConfigError> {
    match context(sources)? {
        Some((name, _)) if name == LOCAL => Ok(None),
        Some((name, path)) => Ok(Some((name, Because::Context(path)))),
        None => Ok(Servers::read(sources)?.default.map(|name| (name, Because::Default))),
    }
}

fn of_settings(sources: &Sources) -> Result<Target, ConfigError> {
    let port = flag(sources, "TETHER_AGENT_PORT");
    let address = match flag(sources, "TETHER_AGENT_HOST") {
        Some(host) if host.contains("://") && port.is_some() => {
            return Err(ConfigError::Conflict(format!(
                "--host is {host:?}, which is a whole address: give no --port beside it"
            )));
        }
        Some(host) if host.contains("://") => Some(("--host", host.to_owned())),
        Some(_) => None,
        None if port.is_some() => None,
        None => api_url(sources)?.map(|url| ("TETHER_API_URL", url)),
    };
    let Some((name, address)) = address else {
        return Ok(Target::of_connection(Connection::read(sources)?));
    };
    let mut reader = Reader::new(sources);
    let token = reader.optional("TETHER_AGENT_TOKEN");
    let token = reader.finish(token)?;
    of_address(&address, token).map_err(|why| ConfigError::Conflict(format!("{name} is {address:?}: {why}")))
}

/// A daemon by its whole address; the error says what is wrong with that.
fn of_address(address: &str, token: Option<String>) -> Result<Target, String> {
    let url = Url::parse(address).map_err(|error| format!("it is no address: {error}"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err("it must begin with http:// or https://".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("a name or password in it is not used: give a token".to_owned());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("it may have a path, and nothing behind that".to_owned());
    }
    let host = url.host_str().unwrap_or_default().to_owned();
    let port = url.port_or_known_default().unwrap_or(PORT);
    let connection = Connection { host, port, token };
    Ok(Target { connection, url: url.as_str().trim_end_matches('/').to_owned(), named: None })
}

fn of_name(sources: &Sources, name: &str, because: Because) -> Result<Target, ConfigError> {
    let servers = Servers::read(sources)?;
    let entry = servers.get(name).ok_or_else(|| servers.unknown(name, &because))?;
    let wrong =
        |what: String| ConfigError::Conflict(format!("server {name:?} of {}: {what}", servers.place()));
    let mut target = entry.target(sources).map_err(wrong)?;
    target.connection.token =
        match flag(sources, "TETHER_AGENT_TOKEN").map(str::to_owned).or_else(|| entry.token.clone()) {
            Some(token) => Some(token),
            None => token_without_entry(sources, target.connection.is_loopback())?,
        };
    target.named = Some((name.to_owned(), because));
    Ok(target)
}

/// The token for a server that has none of its own. The one of `config.env` is that of the daemon on this machine and
/// goes to no other; an exported one is what the person wants to be used now.
fn token_without_entry(sources: &Sources, is_loopback: bool) -> Result<Option<String>, ConfigError> {
    if !is_loopback {
        let exported = sources.environment.get("TETHER_AGENT_TOKEN").map(|token| token.trim().to_owned());
        return Ok(exported.filter(|token| !token.is_empty()));
    }
    let mut reader = Reader::new(sources);
    let token = reader.optional("TETHER_AGENT_TOKEN");
    reader.finish(token)
}

impl Entry {
    /// Where it is, without a token.
    fn target(&self, sources: &Sources) -> Result<Target, String> {
        if let Some(token) = &self.token {
            check(Kind::Text, token).map_err(|allowed| format!("its token {allowed}"))?;
        }
        let port = flag(sources, "TETHER_AGENT_PORT").map(str::to_owned).or_else(|| self.port.clone());
        match (&self.url, &self.host) {
            (Some(_), Some(_)) => Err("it has both host and url: one is enough".to_owned()),
            (Some(_), None) if port.is_some() => {
                Err("it has a url, which holds the port: give no other".to_owned())
            }
            (Some(url), None) => of_address(url, None).map_err(|why| format!("url is {url:?}: {why}")),
            (None, None) => Err("it has neither host nor url".to_owned()),
            (None, Some(host)) => {
                check(Kind::Host, host).map_err(|allowed| format!("host is {host:?}: {allowed}"))?;
                let port =
                    match port {
                        None => PORT,
                        Some(port) => port.parse().ok().filter(|port| *port > 0).ok_or_else(|| {
                            format!("port is {port:?}: must be a whole number from 1 to 65535")
                        })?,
                    };
                Ok(Target::of_connection(Connection { host: host.clone(), port, token: None }))
            }
        }
    }

    /// The host that ssh is to reach.
    pub fn ssh_host(&self) -> Option<String> {
        let of_url = || Some(Url::parse(self.url.as_deref()?).ok()?.host_str()?.to_owned());
        self.ssh.clone().or_else(|| self.host.clone()).or_else(of_url)
    }

    /// The port of this machine that it is reached through, if it is.
    fn local_port(&self) -> Option<u16> {
        let target = self.target(&Sources::default()).ok()?;
        target.connection.is_loopback().then_some(target.connection.port)
    }
}

impl Servers {
    /// Reads `servers.yaml`; without one nobody is named.
    ///
    /// # Errors
    /// It is there and cannot be used.
    pub fn read(sources: &Sources) -> Result<Self, ConfigError> {
        let path = place(sources, "TETHER_SERVERS_FILE", "servers.yaml")?;
        let none = Self { path: path.clone(), default: None, entries: BTreeMap::new() };
        let Some(path) = path else { return Ok(none) };
        let Some(written) = yaml::read::<Written>(&path).map_err(ConfigError::Conflict)? else {
            return Ok(none);
        };
        let unusable =
            |why: String| ConfigError::Conflict(format!("{} cannot be used: {why}", path.display()));
        let mut entries = BTreeMap::new();
        for (name, entry) in written.servers.unwrap_or_default() {
            check_name(&name).map_err(unusable)?;
            entries.insert(name, entry.unwrap_or_default());
        }
        let default = written
            .default
            .map(|name| name.trim().to_owned())
            .filter(|name| !name.is_empty() && name != LOCAL);
        Ok(Self { path: Some(path), default, entries })
    }

    /// A server by its name.
    pub fn get(&self, name: &str) -> Option<&Entry> {
        self.entries.get(name)
    }

    /// All of them, with their addresses; instead of an address that is wrong, what is wrong with it.
    pub fn list(&self, sources: &Sources) -> Vec<(&str, Result<String, String>)> {
        // Flags are for the one that they were typed for.
        let bare = Sources { flags: Vec::new(), ..sources.clone() };
        let address = |entry: &Entry| entry.target(&bare).map(|target| shown(&target.url).to_owned());
        self.entries.iter().map(|(name, entry)| (name.as_str(), address(entry))).collect()
    }

    /// A port of this machine for a tunnel to the daemon that is to be called `name`: the one that it has already, else
    /// the first from `wanted` on that neither the daemon of this machine nor another tunnel has.
    pub fn port_for(&self, name: &str, wanted: u16, sources: &Sources) -> u16 {
        let bare = Sources { flags: Vec::new(), ..sources.clone() };
        if let Some(port) = self.get(name).filter(|entry| entry.ssh.is_some()).and_then(Entry::local_port) {
            return port;
        }
        let others = self.entries.iter().filter(|(other, _)| *other != name);
        let mut taken: Vec<u16> = others.filter_map(|(_, entry)| entry.local_port()).collect();
        taken.extend(Connection::read(&bare).ok().filter(Connection::is_loopback).map(|own| own.port));
        (wanted..=u16::MAX).find(|port| !taken.contains(port)).unwrap_or(wanted)
    }

    /// Whether others than its owner may read the file though there are tokens in it.
    pub fn is_exposed(&self) -> bool {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = self
            .path
            .as_deref()
            .and_then(|path| std::fs::metadata(path).ok())
            .map(|found| found.permissions().mode());
        self.entries.values().any(|entry| entry.token.is_some()) && mode.is_some_and(|mode| mode & 0o077 != 0)
    }

    /// The file, for people.
    pub fn place(&self) -> String {
        self.path.as_ref().map_or_else(|| "servers.yaml".to_owned(), |path| path.display().to_string())
    }

    /// What to say of a name that is not there.
    pub fn unknown(&self, name: &str, because: &Because) -> ConfigError {
        let known: Vec<&str> = self.entries.keys().map(String::as_str).collect();
        let known = if known.is_empty() { "no server at all".to_owned() } else { known.join(", ") };
        let place = self.place();
        ConfigError::Conflict(match because {
            Because::Flag => format!("no server {name:?} in {place}, which has {known}"),
            Because::Context(file) => format!(
                "the context is {name:?} ({}), and {place} has {known}: choose another with `tether context use \
                 NAME`, or this machine with `tether context use {LOCAL}`",
                file.display()
            ),
            Because::Default => format!("`default` of {place} is {name:?}, and the file has {known}"),
        })
    }
}

/// The active context and the file that says so; `None` = nothing was chosen.
///
/// # Errors
/// The file cannot be read, or holds no name.
pub fn context(sources: &Sources) -> Result<Option<(String, PathBuf)>, ConfigError> {
    let Some(path) = place(sources, "TETHER_CONTEXT_FILE", "context")? else { return Ok(None) };
    let unusable = |why: String| ConfigError::Conflict(format!("{} cannot be used: {why}", path.display()));
    let text = match std::fs::metadata(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Ok(found) if !found.is_file() || found.len() > 4096 => {
            return Err(unusable("it is to hold one line, the name of a server".to_owned()));
        }
        _ => std::fs::read_to_string(&path).map_err(|error| unusable(error.to_string()))?,
    };
    let name = text.trim();
    if name.is_empty() {
        return Ok(None);
    }
    if name != LOCAL {
        check_name(name).map_err(unusable)?;
    }
    Ok(Some((name.to_owned(), path)))
}

/// Makes a server the context from now on, or (`local`) the daemon of the settings. Answers the file that says so.
///
/// # Errors
/// There is no such server, or the file cannot be written.
pub fn use_context(sources: &Sources, name: &str) -> Result<PathBuf, ConfigError> {
    if name != LOCAL {
        // A server that could not be used is not made the one that all commands go to.
        of_name(&Sources { flags: Vec::new(), ..sources.clone() }, name, Because::Flag)?;
    }
    let no_home =
        || ConfigError::Conflict("there is no home folder: set HOME or TETHER_CONTEXT_FILE".to_owned());
    let path = place(sources, "TETHER_CONTEXT_FILE", "context")?.ok_or_else(no_home)?;
    let folder = path.parent().unwrap_or(Path::new("."));
    let fresh = path.with_extension(format!("{}.new", std::process::id()));
    file::private_folder(folder)
        .and_then(|()| file::write_private(&fresh, format!("{name}\n").as_bytes()))
        .and_then(|()| std::fs::rename(&fresh, &path))
        .map_err(|error| {
            let _ = std::fs::remove_file(&fresh);
            ConfigError::Conflict(format!("{} cannot be written: {error}", path.display()))
        })?;
    Ok(path)
}

/// Where a file of the person's lies: where a variable says, else where XDG says, else (where the peer looks, if it is
/// only there) in `~/.config`.
fn place(sources: &Sources, variable: &'static str, name: &str) -> Result<Option<PathBuf>, ConfigError> {
    let mut reader = Reader::new(sources);
    let given = reader.path(variable);
    if let Some(path) = reader.finish(given)? {
        return Ok(Some(path));
    }
    let first = sources.personal_path.as_deref().and_then(Path::parent).map(|folder| folder.join(name));
    let second = sources.home.as_ref().map(|home| home.join(".config/tether").join(name));
    let is_there = |path: &Option<PathBuf>| path.as_ref().is_some_and(|path| path.exists());
    Ok(if !is_there(&first) && is_there(&second) { second } else { first })
}

/// Whether a server may be called so.
///
/// # Errors
/// What is wrong with the name.
pub fn check_name(name: &str) -> Result<(), String> {
    let fits = name.chars().count() <= NAME
        && !name.starts_with('-')
        && !name.is_empty()
        && !name.chars().any(|c| c.is_control() || c.is_whitespace());
    match name {
        LOCAL => Err(format!("the name {LOCAL:?} means the daemon of this machine: give the server another")),
        _ if fits => Ok(()),
        _ => Err(format!("{name:?} is no name of a server: no blanks, and no `-` at its beginning")),
    }
}

#[cfg(test)]
#[path = "servers_tests.rs"]
mod tests;
