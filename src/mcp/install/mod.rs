//! Makes our server known to the programs that use MCP servers: each keeps them in a file and a format of its own.
//!
//! A change is planned first and shown as a diff; it touches one entry and leaves the rest of the file as it is,
//! comments and order included. No secret is written: the server finds the token as the command line does.

mod json;
mod programs;
mod toml;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use similar::TextDiff;

pub use programs::{Places, Program};

/// What starts the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Launch {
    /// The program.
    pub command: String,
    /// Its arguments.
    pub args: Vec<String>,
    /// Variables for it.
    pub env: BTreeMap<String, String>,
}

/// Why a program's settings are left as they are.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// We do not know where the file is.
    #[error("there is no place for the settings of {0}: {1}")]
    Place(&'static str, String),
    /// The file is not what it should be.
    #[error("{} is left as it is: {cause}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        cause: String,
    },
    /// There is an entry of this name that somebody else made.
    #[error("{} has another server under the name {name}: give --name to choose another, or take it out yourself", file.display())]
    NotOurs {
        /// The file.
        file: PathBuf,
        /// The entry's name.
        name: String,
    },
    /// Somebody wrote to it since the change was planned.
    #[error("{} was changed meanwhile: try again", .0.display())]
    Changed(PathBuf),
    /// The system refused.
    #[error("cannot write {}: {error}", file.display())]
    Write {
        /// The file.
        file: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
}

/// A change to one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The file.
    pub file: PathBuf,
    /// Its text; `None` = it does not exist.
    pub before: Option<String>,
    /// Its text after the change; `None` = it is removed.
    pub after: Option<String>,
}

impl Plan {
    /// Has `program` start our server under `name`.
    ///
    /// # Errors
    /// The file cannot be read or understood.
    pub fn install(
        program: Program,
        places: &Places,
        name: &str,
        launch: &Launch,
    ) -> Result<Self, InstallError> {
        let entry = program.entry(launch);
        Self::of(program, places, name, |old| match old {
            Some(old) if !is_ours(old) && *old != entry => None,
            _ => Some(Some(entry.clone())),
        })
    }

    /// Takes our server out again.
    ///
    /// # Errors
    /// The file cannot be read or understood, or the entry is not ours.
    pub fn uninstall(program: Program, places: &Places, name: &str) -> Result<Self, InstallError> {
        Self::of(program, places, name, |old| old.is_none_or(is_ours).then_some(None))
    }

    /// `entry` gets what is there now and gives what shall be there; `None` = hands off.
    fn of(
        program: Program,
        places: &Places,
        name: &str,
        entry: impl Fn(Option<&Value>) -> Option<Option<Value>>,
    ) -> Result<Self, InstallError> {
        let file = program.file(places).map_err(|why| InstallError::Place(program.title(), why))?;
        // A link to where somebody keeps their settings stays a link.
        let file = file.canonicalize().unwrap_or(file);
        let before = read(&file)?;
        let unreadable = |cause| InstallError::Unreadable { file: file.clone(), cause };
        let text = before.as_deref().unwrap_or_default();
        let old = program.look(text, name).map_err(unreadable)?;
        let Some(entry) = entry(old.as_ref()) else {
            return Err(InstallError::NotOurs { file, name: name.to_owned() });
        };
        if old == entry {
            return Ok(Self { file, after: before.clone(), before });
        }
        let after = program.edit(text, name, entry.as_ref()).map_err(unreadable)?;
        // What an installation made from nothing goes as it came.
        let gone = entry.is_none() && is_empty(&after);
        Ok(Self { file, before, after: (!gone).then_some(after) })
    }

    /// Whether there is nothing to do.
    pub fn is_done(&self) -> bool {
        self.before == self.after
    }

    /// The change as a unified diff.
    pub fn diff(&self) -> String {
        let name = self.file.display().to_string();
        let side = |text: &Option<String>| if text.is_some() { name.clone() } else { "/dev/null".to_owned() };
        let (old, new) =
            (self.before.as_deref().unwrap_or_default(), self.after.as_deref().unwrap_or_default());
        let diff = TextDiff::from_lines(old, new);
        diff.unified_diff().header(&side(&self.before), &side(&self.after)).to_string()
    }

    /// Makes the change: all of it, or nothing.
    ///
    /// # Errors
    /// The file was changed since the plan was made, or the system refuses.
    pub fn apply(&self) -> Result<(), InstallError> {
        if read(&self.file)? != self.before {
            return Err(InstallError::Changed(self.file.clone()));
        }
        let done = match &self.after {
            Some(text) => write(&self.file, text),
            None => std::fs::remove_file(&self.file),
        };
        done.map_err(|error| InstallError::Write { file: self.file.clone(), error })
    }
}

fn read(file: &Path) -> Result<Option<String>, InstallError> {
    match std::fs::read_to_string(file) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(InstallError::Unreadable {
            file: file.to_owned(),
            cause: format!("it cannot be read: {error}"),
        }),
    }
}

/// Beside its place first, and moved there: a reader sees the old text or the new one.
fn write(file: &Path, text: &str) -> std::io::Result<()> {
    let folder = file.parent().ok_or_else(|| std::io::Error::other("it has no folder"))?;
    std::fs::create_dir_all(folder)?;
    let mut beside = tempfile::NamedTempFile::new_in(folder)?;
    beside.write_all(text.as_bytes())?;
    beside.as_file().sync_all()?;
    if let Ok(old) = std::fs::metadata(file) {
        beside.as_file().set_permissions(old.permissions())?;
    }
    beside.persist(file).map(drop).map_err(|error| error.error)
}

/// Whether an entry starts a program of ours.
fn is_ours(entry: &Value) -> bool {
    let command = match entry.get("command") {
        Some(Value::Array(words)) => words.first().and_then(Value::as_str),
        Some(command) => command.as_str(),
        None => None,
    };
    let name = command.and_then(|command| Path::new(command).file_stem()).and_then(|name| name.to_str());
    matches!(name, Some("tether" | "tether-mcp"))
}

/// The fields of an entry as people write them: what it is and what it starts come first.
fn in_order(entry: &Map<String, Value>) -> Vec<(&String, &Value)> {
    const FIRST: [&str; 5] = ["type", "source", "command", "args", "env"];
    let mut fields: Vec<_> = entry.iter().collect();
    fields.sort_by_key(|(name, _)| FIRST.iter().position(|first| first == name).unwrap_or(FIRST.len()));
    fields
}

/// Whether nothing but brackets is left.
fn is_empty(text: &str) -> bool {
    text.chars().filter(|c| !c.is_whitespace()).all(|c| matches!(c, '{' | '}'))
}

#[cfg(test)]
mod tests;
