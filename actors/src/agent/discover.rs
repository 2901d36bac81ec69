//! Finding an agent program, and what can be told of it before it is started.
//!
//! Everything here blocks: call it where blocking is allowed.

use std::ffi::OsString;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use semver::Version;

/// How long `--version` may take; a native program needs some 20 ms, one of Node.js a second, and on a machine that
/// is busy ten times that.
const PATIENCE: Duration = Duration::from_secs(30);

/// What is looked for: an agent program, as its protocol describes it.
#[derive(Debug)]
pub struct Wanted {
    /// Its name for people.
    pub title: &'static str,
    /// The name of its file.
    pub program: &'static str,
    /// The oldest version that speaks the protocol.
    pub minimum: Version,
    /// The version that the protocol was verified with.
    pub verified: Version,
    /// What is not as it should be with an older version that still works.
    pub older: &'static str,
    /// Where its own installer puts it: folders below the home.
    pub own_places: &'static [&'static str],
    /// What a project may bring along for it that runs code or widens what it may do: paths in the project. They count
    /// only where the directory is trusted.
    pub brings: &'static [&'static str],
    /// How to install it.
    pub install: &'static str,
    /// How to update it.
    pub update: &'static str,
    /// Whether it is signed in, by what lies about. Looks at names only; no secret is read.
    pub sign_in: fn(&Surroundings) -> SignIn,
    /// How to sign in.
    pub sign_in_advice: &'static str,
}

/// The program, found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Where.
    pub path: PathBuf,
    /// Its version; `None` = it was not asked (a program that only the configuration knows).
    pub version: Option<Version>,
    /// What a person should know about the version, if anything.
    pub notice: Option<String>,
    /// Whether it is signed in, as far as can be told without the network.
    pub sign_in: SignIn,
}

/// Why there is no program to start.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DiscoverError {
    /// There is none.
    #[error(
        "the program {program} was not found (looked in {}); {install}, or name it in the configuration",
        places(.looked_in)
    )]
    NotFound {
        /// Its name.
        program: String,
        /// How to install it.
        install: &'static str,
        /// Where it was looked for.
        looked_in: Vec<PathBuf>,
    },
    /// It is older than what can be spoken to.
    #[error("{} is version {found}, and at least {needed} is needed; {update}", .path.display())]
    TooOld {
        /// Its version.
        found: Version,
        /// Where it is.
        path: PathBuf,
        /// What is needed.
        needed: Version,
        /// How to get it.
        update: &'static str,
    },
    /// It is there and does not tell its version.
    #[error("{} does not work: {problem}; run it by hand to see why", .path.display())]
    Unusable {
        /// Where it is.
        path: PathBuf,
        /// What went wrong.
        problem: String,
    },
}

fn places(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}

/// How the program would identify itself to its provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignIn {
    /// By a key or token in the environment.
    Environment,
    /// By a cloud provider's own credentials.
    CloudProvider,
    /// By a command that its settings name.
    Helper,
    /// By what a sign-in left on disk. It may have expired.
    Account,
    /// Nothing was found. (Keys may be kept where only the program itself looks, such as the macOS
    /// keychain.)
    NotFound,
    /// It needs none, or how it does it is not known here.
    NotNeeded,
}

/// What is looked at: the environment, so that tests can give another one.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// The person's home.
    pub home: Option<PathBuf>,
    /// The variables.
    pub variables: std::collections::BTreeMap<OsString, OsString>,
}

impl Surroundings {
    /// Those of this process.
    pub fn of_process() -> Self {
        Self { home: std::env::home_dir(), variables: std::env::vars_os().collect() }
    }

    /// A variable's value; one that is empty counts as not there.
    pub fn variable(&self, name: &str) -> Option<&OsString> {
        self.variables.get(std::ffi::OsStr::new(name)).filter(|value| !value.is_empty())
    }
}

/// Finds the program and asks it for its version. `named` is what the configuration says: a path, or a
/// name to look for in `PATH`; then it is that one or none. Else the first that is new enough of `PATH`
/// and the places where installers put it. Blocks for as long as `--version` takes.
///
/// # Errors
///
/// When there is none, or none that is new enough and works: then of the first that was found.
pub fn find(wanted: &Wanted, named: Option<&Path>, around: &Surroundings) -> Result<Found, DiscoverError> {
    let (candidates, looked_in) = candidates(wanted, named, around);
    let mut first_error = None;
    for path in candidates {
        match examine(wanted, &path) {
            Ok(version) => {
                let notice = version_notice(wanted, &version);
                return Ok(Found { path, version: Some(version), notice, sign_in: (wanted.sign_in)(around) });
            }
            Err(error) => first_error = first_error.or(Some(error)),
        }
    }
    let program = named.map_or_else(|| wanted.program.to_owned(), |named| named.display().to_string());
    let none = DiscoverError::NotFound { program, install: wanted.install, looked_in };
    Err(first_error.unwrap_or(none))
}

/// Finds a program that only the configuration knows: a path, or a name in `PATH`. It is not asked for its version,
/// since it is not known how.
///
/// # Errors
///
/// When it is not there.
pub fn find_named(named: &Path, around: &Surroundings) -> Result<Found, DiscoverError> {
    let (found, looked_in) = named_candidates(named, around);
    let Some(path) = found.into_iter().next() else {
        let program = named.display().to_string();
        return Err(DiscoverError::NotFound { program, install: "install it", looked_in });
    };
    Ok(Found { path, version: None, notice: None, sign_in: SignIn::NotNeeded })
}

/// What a person should know about a version; `None` = nothing.
pub fn version_notice(wanted: &Wanted, version: &Version) -> Option<String> {
    let Wanted { program, verified, older, update, .. } = wanted;
    match version.cmp_precedence(verified) {
        std::cmp::Ordering::Equal => None,
        std::cmp::Ordering::Less => Some(format!(
            "{program} {version} is older than {verified}, which this was made for: most works{older}; {update}"
        )),
        std::cmp::Ordering::Greater => Some(format!(
            "{program} {version} is newer than {verified}, the last version this was tried with"
        )),
    }
}

/// The programs that are there, in order of preference, and where was looked.
fn candidates(wanted: &Wanted, named: Option<&Path>, around: &Surroundings) -> (Vec<PathBuf>, Vec<PathBuf>) {
    if let Some(named) = named {
        return named_candidates(named, around);
    }
    let search = around.variable("PATH").cloned().unwrap_or_default();
    let usual = usual_places(wanted, around);
    let mut looked_in: Vec<PathBuf> = std::env::split_paths(&search).collect();
    looked_in.extend(usual.iter().filter_map(|path| path.parent().map(Path::to_owned)));
    let mut found = in_path(Path::new(wanted.program), around);
    found.extend(only_programs(usual));
    let mut seen = std::collections::HashSet::new();
    found.retain(|path| seen.insert(path.canonicalize().unwrap_or_else(|_| path.clone())));
    let mut named = std::collections::HashSet::new();
    looked_in.retain(|folder| named.insert(folder.clone()));
    (found, looked_in)
}

fn named_candidates(named: &Path, around: &Surroundings) -> (Vec<PathBuf>, Vec<PathBuf>) {
    if named.components().count() > 1 {
        return (only_programs(vec![named.to_owned()]), vec![named.to_owned()]);
    }
    let search = around.variable("PATH").cloned().unwrap_or_default();
    (in_path(named, around), std::env::split_paths(&search).collect())
}

fn in_path(name: &Path, around: &Surroundings) -> Vec<PathBuf> {
    let search = around.variable("PATH").cloned().unwrap_or_default();
    which::which_in_all(name, Some(&search), "/").map(Iterator::collect).unwrap_or_default()
}

fn only_programs(paths: Vec<PathBuf>) -> Vec<PathBuf> {
    use std::os::unix::fs::PermissionsExt;
    let runs = |path: &PathBuf| {
        path.metadata().is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
    };
    paths.into_iter().filter(runs).collect()
}

/// Where installers put it, when the daemon's `PATH` (that of a service, say) does not name the place.
fn usual_places(wanted: &Wanted, around: &Surroundings) -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = Vec::new();
    if let Some(home) = &around.home {
        folders.push(home.join(".local/bin"));
        folders.extend(wanted.own_places.iter().map(|place| home.join(place)));
        folders.extend(npm_prefixes(around, home).into_iter().map(|prefix| prefix.join("bin")));
        for folder in [
            ".npm-global/bin",
            ".bun/bin",
            ".volta/bin",
            ".asdf/shims",
            ".local/share/pnpm",
            "Library/pnpm",
            ".yarn/bin",
        ] {
            folders.push(home.join(folder));
        }
        folders.extend(versioned(&home.join(".nvm/versions/node"), "bin"));
        folders.extend(versioned(&home.join(".local/share/fnm/node-versions"), "installation/bin"));
    }
    for folder in ["/usr/local/bin", "/opt/homebrew/bin", "/home/linuxbrew/.linuxbrew/bin", "/usr/bin"] {
        folders.push(PathBuf::from(folder));
    }
    folders.into_iter().map(|folder| folder.join(wanted.program)).collect()
}

/// The folders in which a version manager keeps each Node.js, the newest first.
fn versioned(root: &Path, within: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root).into_iter().flatten().flatten();
    let mut versions: Vec<(Version, PathBuf)> = entries
        .filter_map(|entry| {
            let name = entry.file_name();
            let version = Version::parse(name.to_str()?.trim_start_matches('v')).ok()?;
            Some((version, entry.path().join(within)))
        })
        .collect();
    versions.sort_by(|a, b| b.cmp(a));
    versions.into_iter().map(|(_, path)| path).collect()
}

/// Where npm installs global programs: its variable, or `prefix=` in the person's `.npmrc`.
fn npm_prefixes(around: &Surroundings, home: &Path) -> Vec<PathBuf> {
    let variables =
        ["NPM_CONFIG_PREFIX", "npm_config_prefix"].into_iter().filter_map(|name| around.variable(name));
    let mut prefixes: Vec<PathBuf> = variables.map(PathBuf::from).collect();
    let npmrc = std::fs::read_to_string(home.join(".npmrc")).unwrap_or_default();
    prefixes.extend(npmrc.lines().filter_map(|line| {
        let value = line.trim().strip_prefix("prefix")?.trim_start().strip_prefix('=')?.trim();
        let value = value.trim_matches('"');
        let below_home = value.strip_prefix("~/").or_else(|| value.strip_prefix("${HOME}/"));
        Some(below_home.map_or_else(|| PathBuf::from(value), |rest| home.join(rest)))
    }));
    prefixes
}

/// Asks a program for its version, and whether that is new enough.
fn examine(wanted: &Wanted, path: &Path) -> Result<Version, DiscoverError> {
    let unusable = |problem: String| DiscoverError::Unusable { path: path.to_owned(), problem };
    let output = version_output(path).map_err(unusable)?;
    // Some say their name first.
    let words = output.split_whitespace().map(|word| word.trim_start_matches('v'));
    let version = words.into_iter().find_map(|word| Version::parse(word).ok()).ok_or_else(|| {
        let said: String = output.trim().chars().take(80).collect();
        unusable(format!("it gives {said:?} for its version"))
    })?;
    if version < wanted.minimum {
        let (needed, update) = (wanted.minimum.clone(), wanted.update);
        return Err(DiscoverError::TooOld { found: version, path: path.to_owned(), needed, update });
    }
    Ok(version)
}

/// What `--version` prints, within a bounded time. (Pi prints it on its standard error where nobody looks on.)
fn version_output(path: &Path) -> Result<String, String> {
    let started = Instant::now();
    let mut child = loop {
        let mut command = Command::new(path);
        command.arg("--version").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        match command.spawn() {
            // It is being replaced by a newer one this very moment.
            Err(error)
                if error.kind() == std::io::ErrorKind::ExecutableFileBusy
                    && started.elapsed() < Duration::from_secs(1) =>
            {
                std::thread::sleep(Duration::from_millis(10));
            }
            other => break other.map_err(|error| format!("it cannot be started ({error})"))?,
        }
    };
    let (stdout, stderr) = (listen(child.stdout.take()), listen(child.stderr.take()));
    let left = || PATIENCE.saturating_sub(started.elapsed());
    let mut output = stdout.recv_timeout(left()).ok().flatten();
    if output.as_deref().is_some_and(|output| output.trim().is_empty()) {
        output = stderr.recv_timeout(left()).ok().flatten();
    }
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break Some(status),
            Ok(None) if output.is_some() && started.elapsed() < PATIENCE => {
                std::thread::sleep(Duration::from_millis(2));
            }
            _ => break None,
        }
    };
    let Some(status) = status else {
        // Both fail only if it has ended meanwhile.
        let _ = child.kill();
        let _ = child.wait();
        return Err(format!("`--version` took longer than {} s", PATIENCE.as_secs()));
    };
    match output {
        Some(output) if status.success() => Ok(output),
        _ => Err(format!("`--version` ended with {status}")),
    }
}

/// What comes out of a pipe, once it is at its end. In a thread of its own, which ends with the pipe: a program
/// that hangs, or leaves its output to a child that does, must not take us along.
fn listen<R: Read + Send + 'static>(pipe: Option<R>) -> std::sync::mpsc::Receiver<Option<String>> {
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut text = Vec::new();
        let Some(mut pipe) = pipe else { return };
        let read = pipe.by_ref().take(4096).read_to_end(&mut text);
        // Nobody listens any more when it took too long.
        let _ = sender.send(read.ok().map(|_| String::from_utf8_lossy(&text).into_owned()));
        // A program that says more than is of interest shall not end of a closed pipe.
        let _ = std::io::copy(&mut pipe, &mut std::io::sink());
    });
    receiver
}

#[cfg(test)]
#[path = "discover_tests.rs"]
mod tests;
