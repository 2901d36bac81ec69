//! Every setting, declared once: reading, the annotated example and `docs/configuration.md` come from here.

use super::chat;

/// What a value may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Any text.
    Text,
    /// A host name or an IP address.
    Host,
    /// A file or folder; a leading `~/` is the home folder.
    Path,
    /// yes or no.
    Flag,
    /// A whole number within these bounds.
    Number(i64, i64),
    /// One of these words, in any case.
    Word(&'static [&'static str]),
    /// Host names, with or without a port, with commas between them.
    Hosts,
    /// Words as a shell would split them.
    ShellWords,
    /// Agents of one's own: `name=program arguments`, with semicolons between them.
    Agents,
    /// The address of an HTTP service.
    Url,
}

/// A setting.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Its name in the environment and in the files.
    pub name: &'static str,
    /// An older name that is still read where the new one is not set; empty = none.
    pub old_name: &'static str,
    /// What it may be.
    pub kind: Kind,
    /// What holds when it is not set, in the words of the example file.
    pub default: &'static str,
    /// What it does, one line.
    pub doc: &'static str,
    /// Whether its value is never shown.
    pub secret: bool,
    /// Whether `./.env` may not set it, because that file may have come with a project.
    pub guarded: bool,
}

/// The settings of one topic.
pub struct Section {
    /// Its heading.
    pub title: &'static str,
    /// What belongs to it.
    pub settings: &'static [Setting],
}

pub(super) const PLAIN: Setting =
    Setting { name: "", old_name: "", kind: Kind::Text, default: "", doc: "", secret: false, guarded: false };

/// A year in seconds: longer waits are surely a slip of the hand.
/// More tokens than any model has.
const TOKENS: i64 = 1_000_000_000;
const YEAR: i64 = 366 * 24 * 3600;

/// All settings, in the order in which people read about them.
pub const SECTIONS: &[Section] = &[
    Section {
        title: "Server",
        settings: &[
            Setting {
                name: "TETHER_AGENT_TOKEN",
                doc: "bearer token of the API and the command line; made and stored at the first start",
                secret: true,
                ..PLAIN
            },
            Setting {
                name: "TETHER_AGENT_HOST",
                kind: Kind::Host,
                default: "127.0.0.1",
                doc: "address to listen on, and the one that the command line talks to",
                ..PLAIN
            },
            Setting {
                name: "TETHER_AGENT_PORT",
                kind: Kind::Number(0, 65535),
                default: "8787",
                doc: "port; 0 = any free one, which `tether start` prints",
                ..PLAIN
            },
            Setting {
                name: "TETHER_API_URL",
                kind: Kind::Url,
                doc: "address of the daemon that the command line and `tether mcp` talk to, `http` or `https`; without it, the host and port above",
                guarded: true,
                ..PLAIN
            },
            Setting {
                name: "TETHER_SERVERS_FILE",
                kind: Kind::Path,
                default: "servers.yaml beside config.env",
                doc: "the daemons that `tether -S NAME` and `tether context` know",
                guarded: true,
                ..PLAIN
            },
            Setting {
                name: "TETHER_CONTEXT_FILE",
                kind: Kind::Path,
                default: "context beside config.env",
                doc: "where `tether context use NAME` keeps the name",
                guarded: true,
                ..PLAIN
            },
            Setting {
                name: "TETHER_MCP_DEBUG_IO",
                kind: Kind::Flag,
                default: "0",
                doc: "`tether mcp` tells on standard error all that it hears and says",
                ..PLAIN
            },
            Setting {
                name: "TETHER_AGENT_ALLOWED_HOSTS",
                kind: Kind::Hosts,
                doc: "further names under which browsers may reach it (a tunnel, a reverse proxy), with commas between",
                guarded: true,
                ..PLAIN
            },
            Setting {
                name: "TETHER_AGENT_DEV_MODE",
                kind: Kind::Flag,
                default: "0",
                doc: "no token needed; refuses any address but loopback (the same as `start --dev`)",
                guarded: true,
                ..PLAIN
            },
        ],
    },
    Section {
        title: "Data and logs",
        settings: &[
            Setting {
                name: "TETHER_AGENT_DATA_DIR",
                kind: Kind::Path,
                default: "$XDG_DATA_HOME/tether or ~/.local/share/tether",
                doc: "where sessions, events and approvals are kept",
                ..PLAIN
            },
            Setting {
                name: "TETHER_AGENT_SESSION_RETENTION_DAYS",
                kind: Kind::Number(-36_500, 36_500),
                default: "7",
                doc: "sessions without activity for longer are deleted; 0 = never",
                ..PLAIN
            },
            Setting {
                name: "TETHER_AGENT_DISK_FLOOR_MB",
                kind: Kind::Number(0, 1_048_576),
                default: "64",
                doc: "below this much free disk (MiB) new work is refused; answers and interrupts go on",
                ..PLAIN
            },
            Setting {
                name: "TETHER_AGENT_LOG_LEVEL",
                kind: Kind::Word(&["trace", "debug", "info", "warn", "warning", "error", "critical"]),
                default: "info",
                doc: "least important level that is logged",
                ..PLAIN
            },
            Setting {
                name: "TETHER_AGENT_LOG_FORMAT",
                kind: Kind::Word(&["console", "json"]),
                default: "console",
                doc: "`console` for people, `json` for machines",
                ..PLAIN
            },
            Setting {
                name: "TETHER_AGENT_LOG_FILE",
                kind: Kind::Path,
                doc: "a file that gets the log as well; with `start --detach` and none set, daemon.log in the data folder",
                ..PLAIN
            },
        ],
    },
    Section {
        title: "Sessions and approvals",
        settings: &[
            Setting {
                name: "TETHER_APPROVAL_TIMEOUT_SECONDS",
                kind: Kind::Number(0, YEAR),
                default: "0",
                doc: "an approval that nobody answered for this long is denied; 0 = it waits for ever",
                ..PLAIN
            },
            Setting {
                name: "TETHER_AGENT_SESSION_IDLE_SECONDS",
                kind: Kind::Number(0, YEAR),
                default: "0",
                doc: "interrupt a running session that showed no activity for this long; 0 = never",
                ..PLAIN
            },
            Setting {
                name: "TETHER_AGENT_STALL_SECONDS",
                kind: Kind::Number(0, YEAR),
                default: "300",
                doc: "say so in a session when nothing was heard of its running agent for this long; 0 = never",
                ..PLAIN
            },
            Setting {
                name: "TETHER_AGENT_TURN_TIMEOUT_SECONDS",
                kind: Kind::Number(0, YEAR),
                default: "0",
                doc: "interrupt a turn that takes longer; 0 = never",
                ..PLAIN
            },
        ],
    },
    Section {
        title: "Agents",
        settings: &[
            Setting {
                name: "TETHER_DEFAULT_AGENT_ADAPTER",
                old_name: "TETHER_AGENT_ADAPTER",
                default: "claude",
                doc: "agent of a session that names none: a name that `tether agents` shows",
                ..PLAIN
            },
            Setting {
                name: "TETHER_CLAUDE_BIN",
                kind: Kind::Path,
                doc: "the `claude` program, if it is not on the PATH or in a usual place",
                guarded: true,
                ..PLAIN
            },
            Setting {
                name: "TETHER_CLAUDE_ARGS",
                kind: Kind::ShellWords,
                doc: "further arguments for it, split as a shell would",
                guarded: true,
                ..PLAIN
            },
            Setting {
                name: "TETHER_AGENT_CLAUDE_MODEL",
                doc: "model that Claude Code shall use; without it, the one that it is set up with",
                ..PLAIN
            },
            Setting {
                name: "ANTHROPIC_API_KEY",
                doc: "handed on to Claude Code; not needed if it is signed in",
                secret: true,
                ..PLAIN
            },
            Setting {
                name: "TETHER_CODEX_BIN",
                old_name: "TETHER_CODEX_SIDECAR_CODEX_BIN",
                kind: Kind::Path,
                doc: "the `codex` program, if it is not on the PATH or in a usual place",
                guarded: true,
                ..PLAIN
            },
            Setting {
                name: "TETHER_CODEX_ARGS",
                kind: Kind::ShellWords,
                doc: "further arguments for `codex app-server`, split as a shell would",
                guarded: true,
                ..PLAIN
            },
            Setting {
                name: "TETHER_CODEX_MODEL",
                old_name: "TETHER_CODEX_SIDECAR_MODEL",
                doc: "model that Codex shall use; without it, the one that it is set up with",
                ..PLAIN
            },
            Setting {
                name: "TETHER_OPENCODE_BIN",
                old_name: "OPENCODE_BIN",
                kind: Kind::Path,
                doc: "the `opencode` program, if it is not on the PATH or in a usual place",
                guarded: true,
                ..PLAIN
            },
            Setting {
                name: "TETHER_OPENCODE_MODEL",
                doc: "model that OpenCode shall use, as `provider/model`; without it, the one that it is set up with",
                ..PLAIN
            },
            Setting {
                name: "TETHER_PI_BIN",
                kind: Kind::Path,
                doc: "the `pi` program, if it is not on the PATH or in a usual place",
                guarded: true,
                ..PLAIN
            },
            Setting {
                name: "TETHER_PI_ARGS",
                kind: Kind::ShellWords,
                doc: "further arguments for it, split as a shell would",
                guarded: true,
                ..PLAIN
            },
            Setting {
                name: "TETHER_PI_MODEL",
                doc: "model that Pi shall use, as `provider/model`; without it, the one that it is set up with",
                ..PLAIN
            },
            Setting {
                name: "TETHER_GEMINI_BIN",
                kind: Kind::Path,
                doc: "the `gemini` program, if it is not on the PATH or in a usual place",
                guarded: true,
                ..PLAIN
            },
            Setting {
                name: "TETHER_GEMINI_MODEL",
                doc: "model that Gemini CLI shall use; without it, the one that it is set up with",
                ..PLAIN
            },
            Setting {
                name: "TETHER_ACP_AGENTS",
                kind: Kind::Agents,
                doc: "further agents that speak the Agent Client Protocol: `name=program arguments`, semicolons between them",
                guarded: true,
                ..PLAIN
            },
            Setting {
                name: "TETHER_MODEL",
                old_name: "TETHER_AGENT_LITELLM_MODEL",
                doc: "model of the agent `model`, by the name that its provider gives it",
                ..PLAIN
            },
            Setting {
                name: "TETHER_MODEL_BASE_URL",
                kind: Kind::Url,
                doc: "where that model is: the address of an OpenAI-compatible API, up to and with its `/v1`",
                guarded: true,
                ..PLAIN
            },
            Setting {
                name: "TETHER_MODEL_API_KEY",
                doc: "the key for it, if it wants one",
                secret: true,
                ..PLAIN
            },
            Setting {
                name: "TETHER_MODEL_MAX_TOKENS",
                old_name: "TETHER_AGENT_LITELLM_MAX_TOKENS",
                kind: Kind::Number(0, TOKENS),
                default: "0",
                doc: "most tokens in one answer of it; 0 = the server's own limit",
                ..PLAIN
            },
            Setting {
                name: "TETHER_MODEL_CONTEXT",
                kind: Kind::Number(0, TOKENS),
                default: "0",
                doc: "how many tokens it can take, where its server does not say that; 0 = as the server says",
                ..PLAIN
            },
            Setting {
                name: "TETHER_MODEL_MAX_RETRIES",
                kind: Kind::Number(0, 100),
                default: "5",
                doc: "how often a request to it that failed is tried again",
                ..PLAIN
            },
            Setting {
                name: "TETHER_AGENT_IDLE_EXIT_SECONDS",
                kind: Kind::Number(0, YEAR),
                default: "1800",
                doc: "an agent program that idles this long is ended, and resumed at the next input; 0 = never",
                ..PLAIN
            },
        ],
    },
    Section { title: "Chat platforms", settings: chat::SETTINGS },
    Section {
        title: "Restart after a crash of an agent",
        settings: &[
            Setting {
                name: "TETHER_AGENT_RESTART_POLICY",
                kind: Kind::Word(&["continue", "resume", "never"]),
                default: "continue",
                doc: "`continue`: resume and tell it to go on; `resume`: resume and wait; `never`: leave it ended",
                ..PLAIN
            },
            Setting {
                name: "TETHER_AGENT_RESTART_LIMIT",
                kind: Kind::Number(0, 1000),
                default: "5",
                doc: "after this many restarts within the window it is held until a person acts",
                ..PLAIN
            },
            Setting {
                name: "TETHER_AGENT_RESTART_WINDOW_SECONDS",
                kind: Kind::Number(1, YEAR),
                default: "600",
                doc: "the window",
                ..PLAIN
            },
            Setting {
                name: "TETHER_AGENT_RESTART_DELAY_MS",
                kind: Kind::Number(0, 60_000),
                default: "500",
                doc: "first delay in milliseconds; it doubles with each crash in the window, up to a minute",
                ..PLAIN
            },
        ],
    },
    Section {
        title: "Git and work trees",
        settings: &[
            Setting {
                name: "TETHER_GIT_AUTO_CHECKPOINT",
                kind: Kind::Flag,
                default: "0",
                doc: "save the work tree after each turn, beside the branch; `tether git restore` brings it back",
                ..PLAIN
            },
            Setting {
                name: "TETHER_WORKSPACE_DIR",
                kind: Kind::Path,
                doc: "where work trees of sessions are made (`tether new --clone`, `--worktree`); without it, in the data folder",
                guarded: true,
                ..PLAIN
            },
            Setting {
                name: "TETHER_WORKSPACE_MAX_DISK_GB",
                kind: Kind::Number(0, 1_048_576),
                default: "0",
                doc: "warn when work trees and clones take more than this many GiB; 0 = never",
                ..PLAIN
            },
            Setting {
                name: "TETHER_REPO_RETENTION_DAYS",
                kind: Kind::Number(-36_500, 36_500),
                default: "30",
                doc: "shared clones without a work tree that were not used for longer are removed; 0 = never",
                ..PLAIN
            },
            Setting {
                name: "TETHER_GIT_AUTO_BRANCH",
                kind: Kind::Flag,
                default: "0",
                doc: "give a plain clone a branch of its own too (work trees always have one)",
                ..PLAIN
            },
            Setting {
                name: "TETHER_GIT_BRANCH_PATTERN",
                default: "tether/{session_id}",
                doc: "name of a session's branch; `{session_id}` stands for the last 6 characters of its id",
                ..PLAIN
            },
            Setting {
                name: "TETHER_GIT_FETCH_CACHE_SECONDS",
                kind: Kind::Number(0, YEAR),
                default: "300",
                doc: "a shared clone is not brought up to date again within this",
                ..PLAIN
            },
            Setting {
                name: "TETHER_GIT_FETCH_TIMEOUT",
                kind: Kind::Number(1, 3600),
                default: "30",
                doc: "seconds that bringing it up to date may take",
                ..PLAIN
            },
            Setting {
                name: "TETHER_GIT_CLONE_TIMEOUT",
                kind: Kind::Number(1, 86_400),
                default: "120",
                doc: "seconds that a clone may take",
                ..PLAIN
            },
            Setting {
                name: "TETHER_GIT_USER_NAME",
                default: "Tether",
                doc: "who commits in clones made here, and where git knows nobody",
                ..PLAIN
            },
            Setting {
                name: "TETHER_GIT_USER_EMAIL",
                default: "tether@localhost",
                doc: "their address",
                ..PLAIN
            },
        ],
    },
];

/// The setting with this name (or old name).
pub fn find(name: &str) -> Option<&'static Setting> {
    all().find(|setting| setting.name == name || (!setting.old_name.is_empty() && setting.old_name == name))
}

/// All settings.
pub fn all() -> impl Iterator<Item = &'static Setting> {
    SECTIONS.iter().flat_map(|section| section.settings)
}

/// Names that Tether 0.3.4 and its successor knew and that change nothing here (yet): whoever moves over
/// keeps their `config.env`. Names that do not begin with `TETHER_` are never looked at.
pub const ELSEWHERE: &[&str] = &[
    "TETHER_AGENT_BRIDGE_ERROR_DEBOUNCE_SECONDS",
    "TETHER_AGENT_CLAUDE_MAX_TOKENS",
    "TETHER_AGENT_MUTATION_READ_TIMEOUT_SECONDS",
    "TETHER_CODEX_SIDECAR_APPROVAL_POLICY",
    "TETHER_CODEX_SIDECAR_HOST",
    "TETHER_CODEX_SIDECAR_LOG_LEVEL",
    "TETHER_CODEX_SIDECAR_LOG_PRETTY",
    "TETHER_CODEX_SIDECAR_NETWORK_ACCESS_ENABLED",
    "TETHER_CODEX_SIDECAR_PORT",
    "TETHER_CODEX_SIDECAR_SANDBOX_MODE",
    "TETHER_CODEX_SIDECAR_TOKEN",
    "TETHER_CODEX_SIDECAR_TURN_TIMEOUT_SECONDS",
    "TETHER_CODEX_SIDECAR_URL",
    "TETHER_DEBUG_ATTACH_LOGS",
    "TETHER_OPENCODE_SIDECAR_CMD",
    "TETHER_OPENCODE_SIDECAR_HOST",
    "TETHER_OPENCODE_SIDECAR_LOG_LEVEL",
    "TETHER_OPENCODE_SIDECAR_LOG_PRETTY",
    "TETHER_OPENCODE_SIDECAR_MANAGED",
    "TETHER_OPENCODE_SIDECAR_NETWORK_ACCESS_ENABLED",
    "TETHER_OPENCODE_SIDECAR_PORT",
    "TETHER_OPENCODE_SIDECAR_STARTUP_TIMEOUT_SECONDS",
    "TETHER_OPENCODE_SIDECAR_TOKEN",
    "TETHER_OPENCODE_SIDECAR_TURN_TIMEOUT_SECONDS",
    "TETHER_OPENCODE_SIDECAR_URL",
    "TETHER_SSH_AUTHORIZED_KEYS_PATH",
    "TETHER_SSH_ENABLED",
    "TETHER_SSH_HOST",
    "TETHER_SSH_HOST_KEY_PATH",
    "TETHER_SSH_PORT",
];

/// The known name that is most like this one, if any is like it.
pub fn nearest(name: &str) -> Option<&'static str> {
    all()
        .flat_map(|setting| [setting.name, setting.old_name])
        .filter(|known| !known.is_empty())
        .map(|known| (strsim::damerau_levenshtein(name, known), known))
        .min()
        .filter(|(distance, _)| *distance <= 6)
        .map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_name_is_declared_twice() {
        let mut seen = HashSet::new();
        for name in all().flat_map(|s| [s.name, s.old_name]).chain(ELSEWHERE.iter().copied()) {
            assert!(name.is_empty() || seen.insert(name), "{name}");
        }
    }

    #[test]
    fn a_slip_of_the_hand_finds_the_name_that_was_meant() {
        assert_eq!(nearest("TETHER_AGENT_TOKN"), Some("TETHER_AGENT_TOKEN"));
        assert_eq!(nearest("TETHER_AGENT_PROT"), Some("TETHER_AGENT_PORT"));
        assert_eq!(nearest("TETHER_SOMETHING_ELSE_ALTOGETHER"), None);
    }
}
