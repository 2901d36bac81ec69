//! The git program at one work tree.
//!
//! Two ways to run it. [`Git::read`] looks, and nothing that the repository brings along is run by it: hooks, external
//! diff programs, text converters, the file system monitor, content filters and transports that its configuration names
//! are switched off, and git sees no environment but what it needs. [`Git::write`] changes something, with the person's
//! own environment (without secrets of ours); in a directory that nobody said to trust, hooks are left out, and it is
//! refused where the repository's configuration could run something else (see `rules`). Neither ever asks anything.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Workspaces;
use super::command::{Call, Output, run};
use super::error::GitError;
use super::rules::{self, Setting};

/// How long a look may take. Clients wait ten seconds for an answer.
const LOOK: Duration = Duration::from_secs(8);

/// How long a change may take that hooks may be part of.
pub const CHANGE: Duration = Duration::from_secs(60);

/// As much of a short answer is read.
pub const SHORT: usize = 64 << 10;

/// As much of what is said aside is read: the names of a checkpoint's files.
const ASIDE: usize = 4 << 20;

/// The modes of all files: seven bytes for each.
const MODES: usize = 32 << 20;

/// Transports that git may use: none that is a program of somebody's choice (`ext`).
const TRANSPORTS: &str = "file:git:http:https:ssh";

/// Settings that win over the repository's own when we look.
const FOR_LOOKING: [(&str, &str); 8] = [
    ("core.fsmonitor", "false"),
    ("core.hooksPath", "/dev/null"),
    ("core.pager", "cat"),
    ("diff.mnemonicPrefix", "false"),
    ("diff.noPrefix", "false"),
    ("log.showSignature", "false"),
    ("protocol.allow", "never"),
    ("safe.bareRepository", "explicit"),
];

/// Settings that always win.
const ALWAYS: [(&str, &str); 5] = [
    ("core.quotePath", "false"),
    ("color.ui", "false"),
    // What goes on in the background would not be ended with the rest.
    ("gc.auto", "0"),
    ("maintenance.auto", "false"),
    ("advice.addEmbeddedRepo", "false"),
];

/// What git sees of the environment when it looks.
const SEEN: [&str; 6] =
    ["PATH", "HOME", "XDG_CONFIG_HOME", "TMPDIR", "GIT_CONFIG_GLOBAL", "GIT_CONFIG_NOSYSTEM"];

/// Variables of git's own that a person sets for all their repositories; all others would change which repository is
/// meant, or what is run.
const KEPT: [&str; 13] = [
    "GIT_AUTHOR_EMAIL",
    "GIT_AUTHOR_NAME",
    "GIT_COMMITTER_EMAIL",
    "GIT_COMMITTER_NAME",
    "GIT_CONFIG_GLOBAL",
    "GIT_CONFIG_NOSYSTEM",
    "GIT_CONFIG_SYSTEM",
    "GIT_EXEC_PATH",
    "GIT_PROXY_SSL_CERT",
    "GIT_SSL_CAINFO",
    "GIT_SSL_CAPATH",
    "GIT_SSL_NO_VERIFY",
    "GIT_TEMPLATE_DIR",
];

/// What a folder is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// The top of a work tree.
    Tree,
    /// A bare repository.
    Bare,
    /// No repository: one is to be made in it.
    Nowhere,
}

/// git in one work tree (or, without one, in the bare repository that several share).
#[derive(Debug)]
pub struct Git<'w> {
    workspaces: &'w Workspaces,
    folder: PathBuf,
    place: Place,
    trusted: bool,
    settings: Vec<Setting>,
}

impl<'w> Git<'w> {
    /// For the work tree whose top is `folder` (absolute, links resolved). `trusted`: a person said so of it.
    ///
    /// # Errors
    /// git is not there, or cannot read the repository.
    pub async fn at(workspaces: &'w Workspaces, folder: &Path, trusted: bool) -> Result<Self, GitError> {
        Self::open(workspaces, folder, Place::Tree, trusted).await
    }

    /// For a repository's own folder: a bare one that we made, or one of which only refs are touched.
    ///
    /// # Errors
    /// As above.
    pub async fn bare(workspaces: &'w Workspaces, folder: &Path) -> Result<Self, GitError> {
        Self::open(workspaces, folder, Place::Bare, false).await
    }

    /// For a folder in which a repository is to be made.
    ///
    /// # Errors
    /// As above.
    pub async fn nowhere(workspaces: &'w Workspaces, folder: &Path) -> Result<Self, GitError> {
        Self::open(workspaces, folder, Place::Nowhere, false).await
    }

    async fn open(
        workspaces: &'w Workspaces,
        folder: &Path,
        place: Place,
        trusted: bool,
    ) -> Result<Self, GitError> {
        let mut git = Self { workspaces, folder: folder.to_owned(), place, trusted, settings: Vec::new() };
        let list = ["config", "--list", "--show-scope", "-z"];
        let listing = git.read(&list, 1 << 20).await?.or_refuse()?;
        if listing.cut {
            return Err(GitError::Failed(
                "the repository's configuration is too long to be checked".to_owned(),
            ));
        }
        git.settings = rules::parse(&listing.stdout);
        Ok(git)
    }

    /// Where it is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Whose it is, and how it is set up.
    pub(super) fn workspaces(&self) -> &'w Workspaces {
        self.workspaces
    }

    /// What the person or the repository says about a setting.
    pub fn setting(&self, name: &str) -> Option<String> {
        rules::of_anybody(&self.settings, name).map(|value| value.to_string_lossy().into_owned())
    }

    /// Looks; at most `limit` bytes of the output are read.
    ///
    /// # Errors
    /// git is not there or takes too long.
    pub async fn read<A: AsRef<OsStr>>(&self, args: &[A], limit: usize) -> Result<Output, GitError> {
        // Of a directory that is trusted the filters are needed to see what is changed as git itself does.
        let disarmed = if self.trusted { Vec::new() } else { rules::disarmed(&self.settings) };
        run(self.call(args, self.for_looking(disarmed), Vec::new(), LOOK, limit)).await
    }

    /// Works with an index of its own and the refs that are ours: no hooks, and no filters but those of a trusted
    /// directory or of the person.
    ///
    /// # Errors
    /// As [`Git::may_write`]; git is not there or takes too long.
    pub async fn aside<A: AsRef<OsStr>>(
        &self,
        args: &[A],
        more: &[(&str, OsString)],
        patience: Duration,
    ) -> Result<Output, GitError> {
        self.may_write()?;
        let mut environment = self.for_looking(Vec::new());
        environment.extend(more.iter().map(|(name, value)| (OsString::from(name), value.clone())));
        run(self.call(args, environment, Vec::new(), patience, ASIDE)).await
    }

    fn for_looking(&self, disarmed: Vec<(OsString, OsString)>) -> Vec<(OsString, OsString)> {
        let mut environment: Vec<(OsString, OsString)> =
            SEEN.iter().filter_map(|name| Some((OsString::from(name), std::env::var_os(name)?))).collect();
        environment.extend(pairs(&[
            ("LC_ALL", "C.UTF-8"),
            ("GIT_TERMINAL_PROMPT", "0"),
            ("GIT_OPTIONAL_LOCKS", "0"),
            ("GIT_NO_LAZY_FETCH", "1"),
            ("GIT_NO_REPLACE_OBJECTS", "1"),
            ("GIT_ALLOW_PROTOCOL", "none"),
        ]));
        let overrides = FOR_LOOKING.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
        self.place(&mut environment);
        configure(&mut environment, overrides.chain(disarmed));
        environment
    }

    /// Whether nothing of the repository's own is run by a change; an error that names what would be.
    ///
    /// # Errors
    /// Its configuration could run something, and nobody said that the directory is trusted.
    pub fn may_write(&self) -> Result<(), GitError> {
        if self.trusted || self.place != Place::Tree {
            return Ok(());
        }
        let doubtful = rules::doubtful(&self.settings);
        if doubtful.is_empty() {
            return Ok(());
        }
        let folder = self.folder.display();
        let names = doubtful.iter().take(5).map(String::as_str).collect::<Vec<_>>().join(", ");
        let more =
            if doubtful.len() > 5 { format!(" and {} more", doubtful.len() - 5) } else { String::new() };
        Err(GitError::Failed(format!(
            "the repository's own configuration sets {names}{more}, which can make git run programs or send your \
             credentials elsewhere: look at {folder}/.git/config, then say that you trust the directory (tether trust \
             yes {folder}) or remove them"
        )))
    }

    /// As [`Git::may_write`], for what looks at every file: git then looks into submodules, too, each by its own
    /// configuration, which ours does not reach.
    ///
    /// # Errors
    /// As there, or there are submodules in a directory that nobody said to trust.
    pub async fn may_add(&self) -> Result<(), GitError> {
        self.may_write()?;
        if self.trusted {
            return Ok(());
        }
        let modes = self.read(&["ls-files", "--format=%(objectmode)"], MODES).await?.or_refuse()?;
        if !modes.cut && !modes.stdout.split(|b| *b == b'\n').any(|mode| mode == b"160000") {
            return Ok(());
        }
        let folder = self.folder.display();
        Err(GitError::Failed(format!(
            "the repository has submodules, whose own configuration can make git run programs: say that you trust the \
             directory (tether trust yes {folder})"
        )))
    }

    /// Whether the repository's hooks are run by a change.
    pub fn runs_hooks(&self) -> bool {
        self.trusted
    }

    /// Changes something. Passwords and pass phrases are never asked for: where one is needed, it fails.
    ///
    /// # Errors
    /// As [`Git::may_write`]; git is not there or takes too long.
    pub async fn write<A: AsRef<OsStr>>(
        &self,
        args: &[A],
        input: &[u8],
        patience: Duration,
    ) -> Result<Output, GitError> {
        self.may_write()?;
        run(self.call(args, self.for_writing(), input.to_vec(), patience, SHORT)).await
    }

    /// Runs another program that runs git (`gh`, `glab`), as [`Git::write`] would.
    ///
    /// # Errors
    /// As there.
    pub async fn beside(
        &self,
        program: &Path,
        args: &[OsString],
        more: &[(&str, &str)],
        patience: Duration,
    ) -> Result<Output, GitError> {
        self.may_write()?;
        let mut environment = self.for_writing();
        environment.extend(pairs(more));
        let call = self.call(args, environment, Vec::new(), patience, SHORT);
        run(Call { program: program.into(), args: args.to_vec(), ..call }).await
    }

    fn for_writing(&self) -> Vec<(OsString, OsString)> {
        let mut environment = self.workspaces.environment_of_person();
        environment.retain(|(name, _)| {
            let name = name.to_string_lossy();
            !name.starts_with("GIT_") || KEPT.contains(&name.as_ref())
        });
        environment.extend(pairs(&[
            ("LC_ALL", "C.UTF-8"),
            ("GIT_TERMINAL_PROMPT", "0"),
            // Set and empty: neither its settings nor SSH_ASKPASS are looked at then.
            ("GIT_ASKPASS", ""),
            ("SSH_ASKPASS_REQUIRE", "never"),
            ("GCM_INTERACTIVE", "never"),
            ("GIT_EDITOR", ":"),
            ("GIT_ALLOW_PROTOCOL", TRANSPORTS),
        ]));
        environment.push(("GIT_SSH_COMMAND".into(), self.ssh()));
        let mut overrides: Vec<(OsString, OsString)> = Vec::new();
        if !self.trusted {
            overrides.push(("core.fsmonitor".into(), "false".into()));
            overrides.push(("core.hooksPath".into(), self.hooks_of_person()));
            self.place(&mut environment);
        } else if let Some(parent) = self.folder.parent() {
            environment.push(("GIT_CEILING_DIRECTORIES".into(), parent.into()));
        }
        configure(&mut environment, overrides.into_iter());
        environment
    }

    /// The person's ssh, told never to ask.
    fn ssh(&self) -> OsString {
        let of_settings = |name| {
            if self.trusted {
                rules::of_anybody(&self.settings, name)
            } else {
                rules::of_person(&self.settings, name)
            }
        };
        let mut ssh = std::env::var_os("GIT_SSH_COMMAND")
            .filter(|command| !command.is_empty())
            .or_else(|| of_settings("core.sshcommand"))
            .unwrap_or_else(|| "ssh".into());
        ssh.push(" -oBatchMode=yes");
        ssh
    }

    /// Where the person keeps hooks for all their repositories. A path within the repository is not theirs.
    fn hooks_of_person(&self) -> OsString {
        let known = rules::of_person(&self.settings, "core.hookspath");
        let own = |path: &OsString| path.to_string_lossy().starts_with(['/', '~']);
        known.filter(own).unwrap_or_else(|| "/dev/null".into())
    }

    /// Only this folder's own repository: not one that happens to lie around it, nor a work tree elsewhere that the
    /// repository's own `core.worktree` names.
    fn place(&self, environment: &mut Vec<(OsString, OsString)>) {
        if self.place == Place::Bare {
            environment.push(("GIT_DIR".into(), self.folder.clone().into()));
            return;
        }
        if let Some(parent) = self.folder.parent() {
            environment.push(("GIT_CEILING_DIRECTORIES".into(), parent.into()));
        }
        if self.place == Place::Tree {
            environment.push(("GIT_WORK_TREE".into(), self.folder.clone().into()));
        }
    }

    fn call<A: AsRef<OsStr>>(
        &self,
        args: &[A],
        environment: Vec<(OsString, OsString)>,
        input: Vec<u8>,
        patience: Duration,
        limit: usize,
    ) -> Call {
        Call {
            program: "git".into(),
            args: args.iter().map(|arg| arg.as_ref().to_owned()).collect(),
            directory: self.folder.clone(),
            environment,
            input,
            patience,
            limit,
        }
    }
}

fn pairs(named: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
    named.iter().map(|(name, value)| (OsString::from(name), OsString::from(value))).collect()
}

/// Overrides as variables, not as `-c name=value`: a name may hold a `=`, and then it would be another name.
fn configure(
    environment: &mut Vec<(OsString, OsString)>,
    overrides: impl Iterator<Item = (OsString, OsString)>,
) {
    let always = ALWAYS.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
    let mut count = 0usize;
    for (name, value) in always.chain(overrides) {
        environment.push((format!("GIT_CONFIG_KEY_{count}").into(), name));
        environment.push((format!("GIT_CONFIG_VALUE_{count}").into(), value));
        count += 1;
    }
    environment.push(("GIT_CONFIG_COUNT".into(), count.to_string().into()));
}
