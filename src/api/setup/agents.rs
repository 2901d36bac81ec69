//! Which agents can be set up, and what the machine has of them.

use serde::{Deserialize, Serialize};
use tether_actors::agent::catalogue::Catalogue;

use super::install;

/// An agent that can be set up.
#[derive(Debug)]
pub struct SetupAgent {
    /// Its name in this part of the API.
    pub name: &'static str,
    /// Its name in the catalogue.
    adapter: &'static str,
    /// The file name of its program.
    binary: &'static str,
    /// What npm calls it.
    pub package: &'static str,
    /// Where its sign-in lies.
    pub sign_in: SignInFile,
}

/// The one file that a sign-in of an agent is in, a JSON object.
#[derive(Debug)]
pub struct SignInFile {
    /// Its usual path below the home directory, by which callers name it.
    pub path: &'static str,
    /// The variable that names another folder for it, and its path in that one.
    pub moved_by: Option<(&'static str, &'static str)>,
    /// What a sign-in writes into it.
    pub content: SignInContent,
}

/// What a sign-in writes.
#[derive(Debug)]
pub enum SignInContent {
    /// Some of these keys.
    Keys(&'static [&'static str]),
    /// An account for each provider.
    Providers,
}

/// All of them.
pub const ALL: [SetupAgent; 5] = [
    SetupAgent {
        name: "claude_code",
        adapter: "claude",
        binary: "claude",
        package: "@anthropic-ai/claude-code",
        sign_in: SignInFile {
            path: ".claude/.credentials.json",
            moved_by: Some(("CLAUDE_CONFIG_DIR", ".credentials.json")),
            content: SignInContent::Keys(&["claudeAiOauth"]),
        },
    },
    SetupAgent {
        name: "codex",
        adapter: "codex",
        binary: "codex",
        package: "@openai/codex",
        sign_in: SignInFile {
            path: ".codex/auth.json",
            moved_by: Some(("CODEX_HOME", "auth.json")),
            content: SignInContent::Keys(&["OPENAI_API_KEY", "auth_mode", "last_refresh", "tokens"]),
        },
    },
    SetupAgent {
        name: "opencode",
        adapter: "opencode",
        binary: "opencode",
        package: "opencode-ai",
        sign_in: SignInFile {
            path: ".local/share/opencode/auth.json",
            moved_by: Some(("XDG_DATA_HOME", "opencode/auth.json")),
            content: SignInContent::Providers,
        },
    },
    SetupAgent {
        name: "pi",
        adapter: "pi",
        binary: "pi",
        package: "@mariozechner/pi-coding-agent",
        sign_in: SignInFile {
            path: ".pi/agent/auth.json",
            moved_by: Some(("PI_CODING_AGENT_DIR", "auth.json")),
            content: SignInContent::Providers,
        },
    },
    SetupAgent {
        name: "gemini",
        adapter: "gemini",
        binary: "gemini",
        package: "@google/gemini-cli",
        sign_in: SignInFile {
            path: ".gemini/oauth_creds.json",
            moved_by: None,
            content: SignInContent::Keys(&[
                "access_token",
                "expiry_date",
                "id_token",
                "refresh_token",
                "scope",
                "token_type",
            ]),
        },
    },
];

/// The agent with this name; the catalogue's name and the peer's short one are known too.
pub fn find(name: &str) -> Option<&'static SetupAgent> {
    static AGENTS: [SetupAgent; 5] = ALL;
    AGENTS.iter().find(|agent| agent.name == name || agent.adapter == name)
}

/// Where the sign-in of an agent lies below the home directory, for who wants to bring it along.
pub fn sign_in_files(name: &str) -> Option<&'static str> {
    find(name).map(|agent| agent.sign_in.path)
}

/// What the machine has of an agent.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AgentSetup {
    /// `claude_code`, `codex`, `opencode`, `pi` or `gemini`.
    pub name: String,
    /// The file name of its program.
    pub binary: String,
    /// Whether it is there and can be used.
    pub installed: bool,
    /// Its version.
    pub version: Option<String>,
    /// Whether it is signed in, as far as can be told without the network.
    pub authenticated: bool,
    /// How it is installed.
    pub install_command: String,
    /// What that needs.
    pub install_requires: String,
    /// Whether that is there.
    pub install_requires_met: bool,
    /// Where its program is.
    #[serde(default)]
    pub program: Option<String>,
    /// What is missing and what to do; null = nothing.
    #[serde(default)]
    pub problem: Option<String>,
}

/// Looks at all. Blocks.
pub fn look(agents: &Catalogue) -> Vec<AgentSetup> {
    let has_npm = install::npm().is_some();
    let reports = agents.report();
    ALL.iter()
        .map(|agent| {
            let report = reports.iter().find(|report| report.adapter == agent.adapter);
            let found = report.and_then(|report| report.found.as_ref().ok());
            AgentSetup {
                name: agent.name.to_owned(),
                binary: agent.binary.to_owned(),
                installed: found.is_some(),
                version: found.and_then(|found| found.version.as_ref().map(ToString::to_string)),
                // Beside that it is missing, only a missing sign-in is a problem of a known program.
                authenticated: found.is_some() && report.is_some_and(|report| report.problem.is_none()),
                install_command: format!("npm install -g {}", agent.package),
                install_requires: "npm".to_owned(),
                install_requires_met: has_npm,
                program: found.map(|found| found.path.display().to_string()),
                problem: report.and_then(|report| report.problem.clone()),
            }
        })
        .collect()
}
