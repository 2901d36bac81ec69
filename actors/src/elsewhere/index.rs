//! What was found, kept in memory: a file that is as it was is not read again, and of one that grew only what was added.

use std::collections::{HashMap, HashSet};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::running::{self, Machine};
use super::scan::{ReadLine, Scan};
use super::{Found, Homes, Place, claude, codex, is_id, opencode, pi};
use crate::domain::elsewhere::Runner;

/// So many files of one program are looked at, at the most.
const MOST_FILES: usize = 20_000;

/// Which of all that was found.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Only of this program.
    pub runner: Option<Runner>,
    /// Only in one of these directories; empty = anywhere.
    pub directories: Vec<String>,
    /// At most so many; `None` = all.
    pub limit: Option<usize>,
}

/// A file that is as it was has the same of all three.
type State = (i64, u64, u64);

#[derive(Debug)]
struct KnownFile {
    runner: Runner,
    state: State,
    /// The file's own id, where its name tells it.
    id: Option<String>,
    scan: Scan,
}

#[derive(Debug)]
struct KnownRow {
    row: opencode::SessionRow,
    words: opencode::Words,
}

/// See the module.
#[derive(Debug)]
pub struct Index {
    homes: Homes,
    files: HashMap<PathBuf, KnownFile>,
    rows: HashMap<String, KnownRow>,
}

/// How the lines of a program's files are read; `None` for one that has a database.
pub fn read_line(runner: Runner) -> Option<ReadLine> {
    match runner {
        Runner::ClaudeCode => Some(claude::read),
        Runner::Codex => Some(codex::read),
        Runner::Pi => Some(pi::read),
        Runner::OpenCode => None,
    }
}

impl Index {
    /// Of these homes. Nothing is read yet.
    pub fn new(homes: Homes) -> Self {
        Self { homes, files: HashMap::new(), rows: HashMap::new() }
    }

    /// What lies on the machine now, last written to first. A program that cannot be looked at has nothing.
    pub fn list(&mut self, machine: &dyn Machine, filter: &Filter) -> Vec<Found> {
        self.refresh();
        let mut found = self.all();
        found.sort_by(|a, b| (b.last_activity, &b.id).cmp(&(a.last_activity, &a.id)));
        // A conversation that lies in two places (its project was moved) is the one that was written to last.
        let mut seen = HashSet::new();
        found.retain(|one| seen.insert((one.runner, one.id.clone())));
        running::mark(&mut found, &self.homes, machine);
        found.retain(|one| filter.runner.is_none_or(|runner| one.runner == runner));
        found.retain(|one| filter.directories.is_empty() || filter.directories.contains(&one.directory));
        found.truncate(filter.limit.unwrap_or(usize::MAX));
        found
    }

    /// One of them, as it is now.
    pub fn find(&mut self, machine: &dyn Machine, runner: Runner, id: &str) -> Option<Found> {
        let all = Filter { runner: Some(runner), ..Filter::default() };
        self.list(machine, &all).into_iter().find(|one| one.id == id)
    }

    fn all(&self) -> Vec<Found> {
        let files = self.files.iter().filter_map(|(path, known)| known.found(path));
        let database = self.homes.opencode.clone();
        let rows = self.rows.values().filter_map(|known| known.found(database.as_deref()?));
        files.chain(rows).collect()
    }

    fn refresh(&mut self) {
        let mut there = HashSet::new();
        for (runner, path) in candidates(&self.homes) {
            if let Err(error) = self.look_at(runner, &path) {
                tracing::debug!(path = %path.display(), %error, "a conversation cannot be read");
            }
            there.insert(path);
        }
        self.files.retain(|path, _| there.contains(path));
        if let Err(error) = self.look_at_database() {
            tracing::debug!(%error, "the conversations of OpenCode cannot be read");
            self.rows.clear();
        }
    }

    fn look_at(&mut self, runner: Runner, path: &Path) -> io::Result<()> {
        let Some(read) = read_line(runner) else { return Ok(()) };
        // Not what a link points to: see `lines::open`.
        let metadata = std::fs::symlink_metadata(path)?;
        let state =
            (metadata.mtime() * 1_000 + metadata.mtime_nsec() / 1_000_000, metadata.len(), metadata.ino());
        match self.files.get_mut(path) {
            Some(known) if known.state == state => return Ok(()),
            Some(known) if known.state.2 == state.2 => known.scan.update(path, state.1, read)?,
            _ => {
                let id = (runner == Runner::ClaudeCode).then(|| claude::session_of(path)).flatten();
                let scan = Scan::begin(path, state.1, read)?;
                self.files.insert(path.to_owned(), KnownFile { runner, state, id, scan });
            }
        }
        if let Some(known) = self.files.get_mut(path) {
            known.state = state;
        }
        Ok(())
    }

    fn look_at_database(&mut self) -> io::Result<()> {
        let Some(path) = self.homes.opencode.as_deref().filter(|path| path.exists()) else {
            self.rows.clear();
            return Ok(());
        };
        let database = opencode::open(path)?;
        let sessions = opencode::sessions(&database)?;
        let there: HashSet<&str> = sessions.iter().map(|row| row.id.as_str()).collect();
        self.rows.retain(|id, _| there.contains(id.as_str()));
        for row in &sessions {
            if self.rows.get(&row.id).is_some_and(|known| known.row == *row) {
                continue;
            }
            let words = opencode::words(&database, &row.id)?;
            self.rows.insert(row.id.clone(), KnownRow { row: row.clone(), words });
        }
        Ok(())
    }
}

impl KnownFile {
    /// `None` if it is no conversation that a person could go on with.
    fn found(&self, path: &Path) -> Option<Found> {
        let scan = &self.scan;
        let id = self.id.clone().or_else(|| scan.about.id.clone()).filter(|id| is_id(id))?;
        let directory = scan.about.directory.clone()?;
        if scan.about.hidden {
            return None;
        }
        let last_prompt = scan.last_prompt.clone().or_else(|| scan.about.last_prompt.clone());
        let first_prompt = scan.first_prompt.clone().or_else(|| last_prompt.clone());
        first_prompt.is_some().then(|| Found {
            runner: self.runner,
            id,
            place: Place::File(path.to_owned()),
            directory,
            title: scan.about.title.clone(),
            first_prompt,
            last_prompt,
            last_activity: self.state.0,
            messages: scan.messages,
            is_exact: scan.is_exact,
            holder: None,
        })
    }
}

impl KnownRow {
    fn found(&self, database: &Path) -> Option<Found> {
        let (row, words) = (&self.row, &self.words);
        let usable = is_id(&row.id) && words.first_prompt.is_some();
        usable.then(|| Found {
            runner: Runner::OpenCode,
            id: row.id.clone(),
            place: Place::Database(database.to_owned()),
            directory: row.directory.clone(),
            title: Some(row.title.clone()).filter(|title| !title.is_empty()),
            first_prompt: words.first_prompt.clone(),
            last_prompt: words.last_prompt.clone(),
            last_activity: row.updated,
            messages: words.messages,
            is_exact: true,
            holder: None,
        })
    }
}

/// The files that may be conversations.
fn candidates(homes: &Homes) -> Vec<(Runner, PathBuf)> {
    let mut found = Vec::new();
    if let Some(home) = &homes.claude {
        let files = below(&home.join("projects"), 1);
        let sessions = files.into_iter().filter(|path| claude::session_of(path).is_some());
        found.extend(sessions.take(MOST_FILES).map(|path| (Runner::ClaudeCode, path)));
    }
    let has_name = |path: &Path, start: &str| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.starts_with(start) && name.ends_with(".jsonl")
    };
    if let Some(home) = &homes.codex {
        let files = below(&home.join("sessions"), 3).into_iter().filter(|path| has_name(path, "rollout-"));
        found.extend(files.take(MOST_FILES).map(|path| (Runner::Codex, path)));
    }
    if let Some(home) = &homes.pi {
        let files = below(home, 1).into_iter().filter(|path| has_name(path, ""));
        found.extend(files.take(MOST_FILES).map(|path| (Runner::Pi, path)));
    }
    found
}

/// The plain files in the folders that lie so deep below this one. Links are not followed.
fn below(folder: &Path, depth: usize) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let Ok(entries) = std::fs::read_dir(folder) else { return found };
    for entry in entries.flatten() {
        let Ok(kind) = entry.file_type() else { continue };
        if kind.is_dir() && depth > 0 {
            found.extend(below(&entry.path(), depth - 1));
        } else if kind.is_file() && depth == 0 {
            found.push(entry.path());
        }
    }
    found
}
