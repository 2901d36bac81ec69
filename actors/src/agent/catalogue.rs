//! Which agents there are: the names by which sessions ask for them, and how each is started.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use super::discover::{self, DiscoverError, Found, SignIn, Surroundings, Wanted};
use super::{codex, protocols};

/// Where an agent's program comes from.
#[derive(Clone, Debug)]
pub enum Source {
    /// A known program: the one that the person named, else the best that is found.
    Known(&'static Wanted, Option<PathBuf>),
    /// A program that only the configuration knows: a path, or a name in `PATH`.
    Named(PathBuf),
    /// Our own program.
    Own(PathBuf),
}

/// One agent.
#[derive(Clone, Debug)]
pub struct AgentEntry {
    /// The name by which sessions ask for it (`claude`).
    pub adapter: String,
    /// Its name for people.
    pub title: String,
    /// The protocol that it speaks, as stored.
    pub protocol: &'static str,
    /// What the API calls a session of it (`contract`: session object, `runner_type`).
    pub runner_type: String,
    /// Its program.
    pub source: Source,
    /// More arguments.
    pub args: Vec<String>,
    /// The model that its sessions use when they name none; `None` = its own choice.
    pub model: Option<String>,
    /// Variables that it gets beside the daemon's own: keys of its own that stand in our configuration.
    pub environment: Vec<(String, String)>,
    /// What must be configured before it can be used; `None` = nothing.
    pub missing: Option<String>,
}

/// An agent as it is found on this machine.
#[derive(Clone, Debug)]
pub struct AgentReport {
    /// Which.
    pub adapter: String,
    /// Its name for people.
    pub title: String,
    /// The protocol that it speaks.
    pub protocol: &'static str,
    /// The model that its sessions use when they name none.
    pub model: Option<String>,
    /// Whether sessions that name no agent use it.
    pub is_default: bool,
    /// The program, or why there is none and what to do.
    pub found: Result<Found, DiscoverError>,
    /// What is missing of it and what to do; `None` = nothing.
    pub problem: Option<String>,
}

impl AgentReport {
    /// Whether a session of it can be expected to work.
    pub fn is_ready(&self) -> bool {
        self.problem.is_none()
    }
}

/// What was found, and when its file was last written.
type Cached = (Found, Option<SystemTime>);

/// All agents, in the order in which they are shown.
#[derive(Debug, Default)]
pub struct Catalogue {
    entries: Vec<AgentEntry>,
    default: String,
    /// Looking takes from tens of milliseconds to seconds (the program is asked for its version), so what was found
    /// is kept for as long as its file stays the same.
    cache: Mutex<HashMap<String, Cached>>,
    /// Programs whose own sandbox was tried, when their file was last written, and whether it works.
    sandboxes: Mutex<HashMap<PathBuf, (Option<SystemTime>, bool)>>,
}

impl Catalogue {
    /// These agents; sessions that name none use `default`.
    pub fn new(entries: Vec<AgentEntry>, default: &str) -> Self {
        Self { entries, default: default.to_owned(), cache: Mutex::default(), sandboxes: Mutex::default() }
    }

    /// The names of all agents.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|entry| entry.adapter.as_str())
    }

    /// The agent that an adapter name of a session means (`None` = the session names none). The peer's names are
    /// accepted beside ours. Answers `None` for a name that is not known.
    pub fn entry(&self, adapter: Option<&str>) -> Option<&AgentEntry> {
        let name = of_old(adapter.unwrap_or(&self.default));
        self.entries.iter().find(|entry| entry.adapter == name)
    }

    /// The program of an agent. Blocks: call it on a thread for blocking work.
    ///
    /// # Errors
    /// Says where it was looked for and what to do.
    pub fn find(&self, entry: &AgentEntry) -> Result<Found, DiscoverError> {
        // Not held while looking: a slow program shall not keep the others waiting.
        let known = self.cache.lock().unwrap_or_else(PoisonError::into_inner).get(&entry.adapter).cloned();
        if let Some((found, written)) = known
            && written.is_some()
            && written_at(&found.path) == written
        {
            return Ok(found);
        }
        let around = Surroundings::of_process();
        let found = match &entry.source {
            Source::Known(wanted, named) => discover::find(wanted, named.as_deref(), &around)?,
            Source::Named(program) => discover::find_named(program, &around)?,
            Source::Own(path) => {
                Found { path: path.clone(), version: None, notice: None, sign_in: SignIn::NotNeeded }
            }
        };
        let written = written_at(&found.path);
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        cache.insert(entry.adapter.clone(), (found.clone(), written));
        Ok(found)
    }

    /// Whether the agent has a sandbox of its own that does not work on this machine. Blocks the first time for as long as
    /// a try takes.
    pub fn lacks_sandbox(&self, entry: &AgentEntry, program: &Path) -> bool {
        if entry.protocol != protocols::CODEX {
            return false;
        }
        let written = written_at(program);
        let known = self.sandboxes.lock().unwrap_or_else(PoisonError::into_inner).get(program).copied();
        if let Some((at, works)) = known
            && at.is_some()
            && at == written
        {
            return !works;
        }
        let works = codex::sandbox::works(program);
        let mut sandboxes = self.sandboxes.lock().unwrap_or_else(PoisonError::into_inner);
        sandboxes.insert(program.to_owned(), (written, works));
        !works
    }

    /// What this machine has of each agent. Blocks; the programs are asked side by side.
    pub fn report(&self) -> Vec<AgentReport> {
        std::thread::scope(|scope| {
            let asked: Vec<_> =
                self.entries.iter().map(|entry| (entry, scope.spawn(|| self.find(entry)))).collect();
            let around = Surroundings::of_process();
            asked
                .into_iter()
                .map(|(entry, thread)| {
                    let found = thread.join().unwrap_or_else(|_| {
                        let problem = "looking at it failed".to_owned();
                        Err(DiscoverError::Unusable { path: entry.title.clone().into(), problem })
                    });
                    self.reported(entry, found, &around)
                })
                .collect()
        })
    }

    fn reported(
        &self,
        entry: &AgentEntry,
        found: Result<Found, DiscoverError>,
        around: &Surroundings,
    ) -> AgentReport {
        let problem = match &entry.source {
            _ if found.is_err() => found.as_ref().err().map(ToString::to_string),
            // Asked anew, not taken from the cache: a person signs in while the daemon runs.
            Source::Known(wanted, _) => {
                let missing = (wanted.sign_in)(around) == SignIn::NotFound && entry.environment.is_empty();
                missing.then(|| format!("it does not seem to be signed in: {}", wanted.sign_in_advice))
            }
            _ => entry.missing.clone(),
        };
        AgentReport {
            adapter: entry.adapter.clone(),
            title: entry.title.clone(),
            protocol: entry.protocol,
            model: entry.model.clone(),
            is_default: entry.adapter == of_old(&self.default),
            found,
            problem,
        }
    }
}

impl AgentEntry {
    /// A known program, with nothing configured but where it is.
    pub fn known(
        adapter: &str,
        protocol: &'static str,
        wanted: &'static Wanted,
        named: Option<PathBuf>,
    ) -> Self {
        Self {
            adapter: adapter.to_owned(),
            title: wanted.title.to_owned(),
            protocol,
            runner_type: adapter.to_owned(),
            source: Source::Known(wanted, named),
            args: Vec::new(),
            model: None,
            environment: Vec::new(),
            missing: None,
        }
    }

    /// What this directory brings along for it, or what a directory above does, up to the top of the repository: paths
    /// as found. What lies in the person's home is the person's own. Blocks.
    pub fn brought_along(&self, directory: &Path) -> Vec<String> {
        let brings = match &self.source {
            Source::Known(wanted, _) => wanted.brings,
            // What it puts before its model; other agents of ours read nothing.
            Source::Own(_) if self.adapter == "model" => &["AGENTS.md", "CLAUDE.md"],
            Source::Own(_) | Source::Named(_) => return Vec::new(),
        };
        found_in(brings, directory, Surroundings::of_process().home.as_deref())
    }

    /// What to tell a person whose account it refused.
    pub fn sign_in_advice(&self) -> &str {
        match &self.source {
            Source::Known(wanted, _) => wanted.sign_in_advice,
            Source::Named(_) => "sign in with the agent's own program",
            Source::Own(_) => "set the key that its provider wants",
        }
    }
}

/// Which of these lie in the directory, or above it up to the top of its repository, but not in the home.
fn found_in(names: &[&str], directory: &Path, home: Option<&Path>) -> Vec<String> {
    let mut found = Vec::new();
    for folder in directory.ancestors().take_while(|folder| home != Some(*folder)) {
        let there = names.iter().map(|name| folder.join(name)).filter(|path| path.exists());
        found.extend(there.map(|path| path.display().to_string()));
        // Not any folder of that name: sandboxes of agents leave empty ones behind when they are killed.
        let git = folder.join(".git");
        if git.is_file() || git.join("HEAD").exists() {
            return found;
        }
    }
    // No repository: what lies above is not the project's.
    found.retain(|path| Path::new(path).starts_with(directory));
    found
}

/// The peer's names for agents, each with ours. Other names are answered as they are.
fn of_old(name: &str) -> &str {
    match name {
        "claude-local" | "claude_auto" | "claude_subprocess" | "claude_api" => "claude",
        "codex_sdk_sidecar" => "codex",
        "pi_rpc" => "pi",
        "litellm" => "model",
        ours => ours,
    }
}

fn written_at(path: &Path) -> Option<SystemTime> {
    std::fs::metadata(path).ok()?.modified().ok()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn named(adapter: &str, program: &Path) -> AgentEntry {
        AgentEntry {
            adapter: adapter.to_owned(),
            title: adapter.to_owned(),
            protocol: "acp",
            runner_type: adapter.to_owned(),
            source: Source::Named(program.to_owned()),
            args: Vec::new(),
            model: None,
            environment: Vec::new(),
            missing: None,
        }
    }

    #[test]
    fn an_agent_is_meant_by_its_name_by_its_old_name_or_by_none_at_all() {
        let all = ["claude", "codex", "pi"].map(|name| named(name, Path::new("x")));
        let catalogue = Catalogue::new(all.to_vec(), "pi_rpc");
        let meant = |name| catalogue.entry(name).map(|entry| entry.adapter.as_str());
        assert_eq!(meant(Some("claude_auto")), Some("claude"));
        assert_eq!(meant(Some("codex_sdk_sidecar")), Some("codex"));
        assert_eq!(meant(None), Some("pi"));
        assert_eq!((meant(Some("litellm")), meant(Some("nobody"))), (None, None));
    }

    #[test]
    fn a_repository_brings_along_what_lies_up_to_its_top_and_the_home_nothing() {
        let top = tempfile::tempdir().expect("a folder");
        let (home, below) = (top.path().join("home"), top.path().join("home/repo/sub"));
        std::fs::create_dir_all(&below).expect("a folder");
        let lay = |path: &str| std::fs::write(home.join(path), "x").expect("it is written");
        let found = |home: Option<&Path>| found_in(&["settings"], &below, home).len();
        lay("settings");
        lay("repo/settings");
        assert_eq!(found(None), 0, "there is no repository");
        std::fs::create_dir_all(home.join("repo/.git")).expect("a folder");
        assert_eq!(found(None), 0, "an empty folder is none");
        lay("repo/.git/HEAD");
        assert_eq!(found(None), 1);
        std::fs::remove_dir_all(home.join("repo/.git")).expect("it is removed");
        std::fs::create_dir_all(home.join(".git")).expect("a folder");
        lay(".git/HEAD");
        assert_eq!((found(None), found(Some(&home))), (2, 0), "the home may be one, and is the person's own");
    }

    #[test]
    fn a_program_that_came_later_is_found_and_one_that_went_is_missed() {
        let folder = tempfile::tempdir().expect("a folder");
        let program = folder.path().join("goose");
        let entry = named("goose", &program);
        let catalogue = Catalogue::new(vec![entry.clone()], "goose");
        assert!(catalogue.find(&entry).is_err());
        std::fs::write(&program, "#!/bin/sh\n").expect("it is written");
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).expect("it runs");
        assert_eq!(catalogue.find(&entry).expect("it is there").path, program);
        std::fs::remove_file(&program).expect("it is removed");
        let reports = catalogue.report();
        assert!(matches!(reports.as_slice(), [report] if report.is_default && !report.is_ready()));
    }
}
