//! Finding the `claude` program, and what can be told of it before it is started.
//!
//! This is the protocol's one room that looks at the machine. Everything here blocks: call it where
//! blocking is allowed.

use std::ffi::OsString;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use semver::Version;

/// The oldest version that speaks this protocol.
pub const MINIMUM: Version = Version::new(2, 0, 0);
/// The version that all of it was verified with.
pub const VERIFIED: Version = Version::new(2, 1, 330);
/// How long `--version` may take; it needs some 20 ms.
const PATIENCE: Duration = Duration::from_secs(10);

/// The program, found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Where.
    pub path: PathBuf,
    /// Its version.
    pub version: Version,
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
        "the program claude was not found (looked in {}); install it (https://code.claude.com) or name it in the \
         configuration",
        places(.looked_in)
    )]
    NotFound {
        /// Where it was looked for.
        looked_in: Vec<PathBuf>,
    },
    /// It is older than what can be spoken to.
    #[error("{} is version {found}, and at least {needed} is needed; update it with `claude update`", .path.display())]
    TooOld {
        /// Its version.
        found: Version,
        /// Where it is.
        path: PathBuf,
        /// What is needed.
        needed: Version,
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
}

impl SignIn {
    /// What to do about it; `None` = nothing.
    pub fn advice(self) -> Option<&'static str> {
        (self == Self::NotFound).then_some(
            "claude does not seem to be signed in: run `claude` once and use /login, or set ANTHROPIC_API_KEY",
        )
    }
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

    fn variable(&self, name: &str) -> Option<&OsString> {
        self.variables.get(std::ffi::OsStr::new(name)).filter(|value| !value.is_empty())
    }
}

/// [`find_in`] the surroundings of this process.
///
/// # Errors
///
/// As there.
pub fn find(named: Option<&Path>) -> Result<Found, DiscoverError> {
    find_in(named, &Surroundings::of_process())
}

/// Finds the program and asks it for its version. `named` is what the configuration says: a path, or a
/// name to look for in `PATH`; then it is that one or none. Else the first that is new enough of `PATH`
/// and the places where installers put it. Blocks for as long as `--version` takes.
///
/// # Errors
///
/// When there is none, or none that is new enough and works: then of the first that was found.
pub fn find_in(named: Option<&Path>, around: &Surroundings) -> Result<Found, DiscoverError> {
    let (candidates, looked_in) = candidates(named, around);
    let mut first_error = None;
    for path in candidates {
        match examine(&path) {
            Ok(version) => {
                let notice = version_notice(&version);
                return Ok(Found { path, version, notice, sign_in: sign_in(around) });
            }
            Err(error) => first_error = first_error.or(Some(error)),
        }
    }
    Err(first_error.unwrap_or(DiscoverError::NotFound { looked_in }))
}

/// What a person should know about a version; `None` = nothing.
pub fn version_notice(version: &Version) -> Option<String> {
    match version.cmp_precedence(&VERIFIED) {
        std::cmp::Ordering::Equal => None,
        std::cmp::Ordering::Less => Some(format!(
            "claude {version} is older than {VERIFIED}, which this was made for: most works, but a prompt may be run \
             twice when the daemon is killed while it hands it over; `claude update` mends that"
        )),
        std::cmp::Ordering::Greater => {
            Some(format!("claude {version} is newer than {VERIFIED}, the last version this was tried with"))
        }
    }
}

/// The programs that are there, in order of preference, and where was looked.
fn candidates(named: Option<&Path>, around: &Surroundings) -> (Vec<PathBuf>, Vec<PathBuf>) {
    let search = around.variable("PATH").cloned().unwrap_or_default();
    let in_path = |name: &Path| -> Vec<PathBuf> {
        which::which_in_all(name, Some(&search), "/").map(Iterator::collect).unwrap_or_default()
    };
    if let Some(named) = named {
        let found = if named.components().count() > 1 {
            only_programs(vec![named.to_owned()])
        } else {
            in_path(named)
        };
        return (found, vec![named.to_owned()]);
    }
    let usual = usual_places(around);
    let mut looked_in: Vec<PathBuf> = std::env::split_paths(&search).collect();
    looked_in.extend(usual.iter().filter_map(|path| path.parent().map(Path::to_owned)));
    let mut found = in_path(Path::new("claude"));
    found.extend(only_programs(usual));
    let mut seen = std::collections::HashSet::new();
    found.retain(|path| seen.insert(path.canonicalize().unwrap_or_else(|_| path.clone())));
    let mut named = std::collections::HashSet::new();
    looked_in.retain(|folder| named.insert(folder.clone()));
    (found, looked_in)
}

fn only_programs(paths: Vec<PathBuf>) -> Vec<PathBuf> {
    use std::os::unix::fs::PermissionsExt;
    let runs = |path: &PathBuf| {
        path.metadata().is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
    };
    paths.into_iter().filter(runs).collect()
}

/// Where installers put it, when the daemon's `PATH` (that of a service, say) does not name the place.
fn usual_places(around: &Surroundings) -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = Vec::new();
    if let Some(home) = &around.home {
        folders.push(home.join(".local/bin"));
        folders.push(home.join(".claude/local"));
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
    folders.into_iter().map(|folder| folder.join("claude")).collect()
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
fn examine(path: &Path) -> Result<Version, DiscoverError> {
    let unusable = |problem: String| DiscoverError::Unusable { path: path.to_owned(), problem };
    let output = version_output(path).map_err(unusable)?;
    let word = output.split_whitespace().next().unwrap_or_default();
    let version = Version::parse(word.trim_start_matches('v')).map_err(|_| {
        unusable(format!("it gives {:?} for its version", super::wire::head(output.trim(), 80)))
    })?;
    if version < MINIMUM {
        return Err(DiscoverError::TooOld { found: version, path: path.to_owned(), needed: MINIMUM });
    }
    Ok(version)
}

/// What `--version` prints, within a bounded time.
fn version_output(path: &Path) -> Result<String, String> {
    let started = Instant::now();
    let mut child = loop {
        let mut command = Command::new(path);
        command.arg("--version").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
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
    let stdout = child.stdout.take();
    // In a thread of its own: a program that hangs, or leaves its output to a child that does, must not
    // take us along. It ends with the output.
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut text = Vec::new();
        let read = stdout.map(|stdout| stdout.take(4096).read_to_end(&mut text));
        // Nobody listens any more when it took too long.
        let _ = sender.send(read.map(|_| String::from_utf8_lossy(&text).into_owned()));
    });
    let output = receiver.recv_timeout(PATIENCE).ok().flatten();
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

/// Whether it is signed in, by what lies about. Looks at names only; no secret is read.
pub fn sign_in(around: &Surroundings) -> SignIn {
    let set = |names: &[&str]| names.iter().any(|name| around.variable(name).is_some());
    if set(&["ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN"]) {
        return SignIn::Environment;
    }
    let on = |name: &str| around.variable(name).is_some_and(|value| value != "0" && value != "false");
    if ["CLAUDE_CODE_USE_BEDROCK", "CLAUDE_CODE_USE_VERTEX", "CLAUDE_CODE_USE_FOUNDRY"].into_iter().any(on) {
        return SignIn::CloudProvider;
    }
    // `CLAUDE_CONFIG_DIR` moves both the folder and the file beside it into one.
    let (folder, account) = match (around.variable("CLAUDE_CONFIG_DIR"), &around.home) {
        (Some(folder), _) => (PathBuf::from(folder), PathBuf::from(folder).join(".claude.json")),
        (None, Some(home)) => (home.join(".claude"), home.join(".claude.json")),
        (None, None) => return SignIn::NotFound,
    };
    if folder.join(".credentials.json").metadata().is_ok_and(|data| data.len() > 2) {
        return SignIn::Account;
    }
    let has = |file: &Path, key: &str| {
        let text = std::fs::read(file).unwrap_or_default();
        serde_json::from_slice::<serde_json::Value>(&text)
            .is_ok_and(|value| value.get(key).is_some_and(|value| !value.is_null()))
    };
    if has(&folder.join("settings.json"), "apiKeyHelper") {
        return SignIn::Helper;
    }
    // On macOS the token itself is in the keychain; this is the trace that the sign-in leaves.
    if has(&account, "oauthAccount") { SignIn::Account } else { SignIn::NotFound }
}

#[cfg(test)]
#[path = "discover_tests.rs"]
mod tests;
