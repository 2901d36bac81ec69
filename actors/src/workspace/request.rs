//! Pull requests, through `gh` (GitHub CLI 2.x) and `glab` (GitLab CLI 1.x), which know the person's accounts.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::change::current;
use super::error::GitError;
use super::git::Git;
use super::names;
use super::settings::Workspaces;

/// How long they may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// The remote that requests are made at.
const REMOTE: &str = "origin";

/// What is to be asked for.
#[derive(Clone, Debug, Default)]
pub struct PullRequestWanted {
    /// Its title.
    pub title: String,
    /// What it says.
    pub body: String,
    /// The branch that it shall go into; `None` = the repository's default.
    pub base: Option<String>,
    /// Whether it is not ready for review yet.
    pub draft: bool,
    /// Whether to push the branch first.
    pub auto_push: bool,
}

/// A pull request (or merge request) that was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct PullRequest {
    /// Where it is.
    pub url: String,
    /// Its number; 0 if its address does not tell.
    pub number: u64,
    /// `github` or `gitlab`.
    pub forge: String,
    /// Whether it is not ready for review yet.
    pub draft: bool,
}

/// Where requests are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Forge {
    GitHub,
    GitLab,
}

impl Forge {
    fn name(self) -> &'static str {
        match self {
            Self::GitHub => "github",
            Self::GitLab => "gitlab",
        }
    }

    fn program(self) -> &'static str {
        match self {
            Self::GitHub => "gh",
            Self::GitLab => "glab",
        }
    }

    /// By the host's name; `None` = it does not tell.
    fn of_host(host: &str) -> Option<Self> {
        match (host.contains("github"), host.contains("gitlab")) {
            (true, false) => Some(Self::GitHub),
            (false, true) => Some(Self::GitLab),
            _ => None,
        }
    }
}

impl Workspaces {
    /// Asks for the branch that is checked out to be merged.
    ///
    /// # Errors
    /// There is no remote of a forge that we know, its program is not there or says no, or the push failed.
    pub async fn pull_request(
        &self,
        folder: &Path,
        trusted: bool,
        wanted: &PullRequestWanted,
    ) -> Result<PullRequest, GitError> {
        let base = wanted.base.as_deref().map(names::branch).transpose()?;
        if wanted.title.trim().is_empty() || wanted.title.contains(char::is_control) {
            return Err(GitError::Invalid("the title must be one line that is not empty".to_owned()));
        }
        let git = self.open(folder, trusted).await?;
        git.may_write()?;
        let branch = current(&git).await?;
        if base == Some(branch.as_str()) {
            return Err(GitError::Failed(format!(
                "the branch {branch} cannot go into itself: check another one out"
            )));
        }
        let (forge, program) = forge_of(&git)?;
        if wanted.auto_push {
            self.push(folder, trusted, REMOTE, None).await?;
        }
        let args = arguments(forge, &branch, base, wanted);
        let quiet = [
            ("GH_PROMPT_DISABLED", "1"),
            ("GH_NO_UPDATE_NOTIFIER", "1"),
            ("NO_PROMPT", "1"),
            ("NO_COLOR", "1"),
        ];
        let done = git.beside(&program, &args, &quiet, PATIENCE).await?;
        let told = names::redacted(&done.text());
        if !done.ok {
            let words = if done.stderr.trim().is_empty() { told } else { done.words() };
            return Err(GitError::Failed(format!("{}: {words}", forge.program())));
        }
        let url =
            told.split_whitespace().rfind(|word| word.starts_with("https://") || word.starts_with("http://"));
        let Some(url) = url else {
            return Err(GitError::Failed(format!(
                "{} did not say where the request is: {told}",
                forge.program()
            )));
        };
        let number =
            url.trim_end_matches('/').rsplit('/').next().and_then(|last| last.parse().ok()).unwrap_or(0);
        Ok(PullRequest { url: url.to_owned(), number, forge: forge.name().to_owned(), draft: wanted.draft })
    }
}

/// Which forge the remote is at, and where its program is.
fn forge_of(git: &Git<'_>) -> Result<(Forge, PathBuf), GitError> {
    let Some(url) = git.setting(&format!("remote.{REMOTE}.url")) else {
        return Err(GitError::Failed(format!("there is no remote {REMOTE:?} to ask for a merge at")));
    };
    let host = host(&url).unwrap_or_default();
    let find = |forge: Forge| which::which(forge.program()).ok().map(|program| (forge, program));
    if let Some(forge) = Forge::of_host(&host) {
        return find(forge).ok_or_else(|| {
            let program = forge.program();
            GitError::Failed(format!(
                "{program} is not installed: install it and sign in with `{program} auth login`"
            ))
        });
    }
    if host.is_empty() {
        return Err(GitError::Failed(format!("the remote {REMOTE:?} is at no GitHub or GitLab host")));
    }
    // A host of somebody's own does not say by its name what it is.
    match (find(Forge::GitHub), find(Forge::GitLab)) {
        (Some(found), None) | (None, Some(found)) => Ok(found),
        (None, None) => {
            Err(GitError::Failed(format!("neither gh nor glab is installed, of which {host} needs one")))
        }
        _ => Err(GitError::Failed(format!(
            "{host} does not say by its name whether it is GitHub or GitLab: make the request with gh or glab yourself"
        ))),
    }
}

/// The host of an address, in small letters.
fn host(url: &str) -> Option<String> {
    let authority = match url.split_once("://") {
        Some((scheme, _)) if scheme.eq_ignore_ascii_case("file") => return None,
        Some((_, rest)) => rest.split('/').next()?.to_owned(),
        None if url.starts_with(['/', '.']) => return None,
        None => url.split_once(':')?.0.to_owned(),
    };
    let host = authority.rsplit('@').next()?.split(':').next()?;
    (!host.is_empty()).then(|| host.to_ascii_lowercase())
}

/// Values go with their options in one argument, so that none is read as an option of its own.
fn arguments(forge: Forge, branch: &str, base: Option<&str>, wanted: &PullRequestWanted) -> Vec<OsString> {
    let PullRequestWanted { title, body, draft, .. } = wanted;
    let mut args: Vec<String> = match forge {
        Forge::GitHub => vec![
            "pr".into(),
            "create".into(),
            format!("--title={title}"),
            format!("--body={body}"),
            format!("--head={branch}"),
        ],
        Forge::GitLab => vec![
            "mr".into(),
            "create".into(),
            format!("--title={title}"),
            format!("--description={body}"),
            format!("--source-branch={branch}"),
            "--yes".into(),
        ],
    };
    if let Some(base) = base {
        args.push(match forge {
            Forge::GitHub => format!("--base={base}"),
            Forge::GitLab => format!("--target-branch={base}"),
        });
    }
    if *draft {
        args.push("--draft".into());
    }
    args.into_iter().map(OsString::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_says_which_forge_it_is() {
        for (url, wanted) in [
            ("https://github.com/a/b", Some("github.com")),
            ("https://t:o@GitHub.Example.org:8443/a", Some("github.example.org")),
            ("git@gitlab.com:a/b.git", Some("gitlab.com")),
            ("ssh://git@host:22/a", Some("host")),
            ("/srv/github/a.git", None),
            ("file:///srv/a", None),
            ("../a", None),
        ] {
            assert_eq!(host(url).as_deref(), wanted, "{url}");
        }
        assert_eq!(Forge::of_host("github.example.org"), Some(Forge::GitHub));
        assert_eq!(Forge::of_host("gitlab.com"), Some(Forge::GitLab));
        assert_eq!(Forge::of_host("code.example.org"), None);
    }

    #[test]
    fn no_value_becomes_an_option() {
        let wanted = PullRequestWanted {
            title: "--web".into(),
            body: "-R x".into(),
            draft: true,
            ..Default::default()
        };
        let args = arguments(Forge::GitHub, "b", Some("main"), &wanted);
        assert_eq!(
            args,
            ["pr", "create", "--title=--web", "--body=-R x", "--head=b", "--base=main", "--draft"]
                .map(OsString::from)
        );
        let args = arguments(Forge::GitLab, "b", None, &wanted);
        assert_eq!(
            args[2..5],
            ["--title=--web", "--description=-R x", "--source-branch=b"].map(OsString::from)
        );
    }
}
