//! How an ACP agent is started, and what its end means.
//!
//! Any program can be one. Those that are known get their own switches: that they ask, and that what a project
//! brings along counts only where the directory is trusted.

use std::collections::BTreeMap;

use crate::agent::protocol::{Launch, LaunchSpec};
use crate::domain::restart::EndCause;

/// Agents with switches of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    Gemini,
    OpenCode,
    Codex,
    Claude,
    /// Our own agent over a model behind an API.
    Model,
}

/// By the names of their programs, or of their packages where a runner such as `npx` starts them.
const KNOWN: &[(&str, Known)] = &[
    ("gemini", Known::Gemini),
    ("gemini-cli", Known::Gemini),
    ("opencode", Known::OpenCode),
    ("opencode-ai", Known::OpenCode),
    ("codex-acp", Known::Codex),
    ("claude-agent-acp", Known::Claude),
    ("claude-code-acp", Known::Claude),
    ("model-agent", Known::Model),
];

/// What an agent or an editor leaves in the environment of the programs that it starts, which says to an agent
/// started from there that it is a part of it.
const OF_ANOTHER_SESSION: &[&str] = &[
    "CLAUDECODE",
    "CLAUDE_CODE_CHILD_*",
    "CLAUDE_CODE_ENTRYPOINT",
    "CLAUDE_CODE_SESSION_*",
    "CLAUDE_CODE_SSE_PORT",
    "GEMINI_CLI",
    "GEMINI_CLI_IDE_*",
];

/// OpenCode's permissions. It asks for nothing by itself; and a sub-agent's question never reaches an ACP client,
/// which hangs the turn, so it gets no sub-agents (1.18.33).
const OPENCODE_ASKS: &str = r#"{"permission":{"*":"ask","task":"deny"}}"#;

/// The command line.
pub(super) fn launch(spec: &LaunchSpec) -> Launch {
    let mut env = BTreeMap::new();
    let mut set = |name: &str, value: &str| {
        env.insert(name.to_owned(), value.to_owned());
    };
    match known(spec) {
        Some(Known::Gemini) => {
            // Untrusted, it leaves out the project's settings, hooks, MCP servers, commands, policies and `.env`,
            // and asks whatever its settings say. Trusted, it would still ask on its own terminal, which it has
            // not, where the person switched its folder trust on.
            set("GEMINI_CLI_TRUST_WORKSPACE", if spec.work.trusted { "true" } else { "false" });
        }
        Some(Known::OpenCode) => {
            set("OPENCODE_CONFIG_CONTENT", OPENCODE_ASKS);
            if !spec.work.trusted {
                set("OPENCODE_DISABLE_PROJECT_CONFIG", "1");
            }
        }
        // The one of its modes that asks; it may be changed later only to one that asks.
        Some(Known::Codex) => set("INITIAL_AGENT_MODE", "read-only"),
        Some(Known::Model) => set("TETHER_MODEL_TRUSTED", if spec.work.trusted { "1" } else { "0" }),
        Some(Known::Claude) | None => {}
    }
    Launch {
        program: spec.program.clone(),
        args: spec.extra_args.clone(),
        env,
        env_remove: OF_ANOTHER_SESSION.iter().map(|name| (*name).to_owned()).collect(),
        files: BTreeMap::new(),
    }
}

fn known(spec: &LaunchSpec) -> Option<Known> {
    let program = spec.program.file_stem().and_then(|name| name.to_str());
    let args = spec.extra_args.iter().filter(|arg| !arg.starts_with('-')).map(|arg| {
        let name = arg.rsplit('/').next().unwrap_or(arg);
        // A package may be named with its version.
        name.split_once('@').map_or(name, |(name, _)| name)
    });
    program
        .into_iter()
        .chain(args)
        .find_map(|name| KNOWN.iter().find(|(known, _)| *known == name).map(|(_, known)| *known))
}

/// The cause of an end, by the program's own words.
pub(super) fn cause(stderr: &[String]) -> Option<EndCause> {
    // The last line that means anything decides: earlier ones may be warnings.
    stderr.iter().rev().find_map(|line| {
        let has = |words: &[&str]| words.iter().any(|word| line.contains(word));
        if has(&["Please set an Auth method", "not logged in", "Not logged in", "authentication_error"]) {
            Some(EndCause::Authentication)
        } else if has(&["heap out of memory", "Out of memory", "out of memory"]) {
            Some(EndCause::OutOfMemory)
        } else if has(&[
            "Unknown argument",
            "Unknown arguments",
            "unknown option",
            "unknown command",
            "Invalid approval mode",
            "Please fix the configuration file",
            "Invalid configuration",
            "not running in a trusted directory",
        ]) {
            Some(EndCause::BadConfiguration)
        } else {
            None
        }
    })
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::agent::protocol::Work;

    fn of(program: &str, args: &[&str], trusted: bool) -> Launch {
        launch(&LaunchSpec {
            program: PathBuf::from(program),
            work: Work { trusted, ..Work::default() },
            extra_args: args.iter().map(|arg| (*arg).to_owned()).collect(),
        })
    }

    fn variable(launch: &Launch, name: &str) -> Option<String> {
        launch.env.get(name).cloned()
    }

    #[test]
    fn a_program_is_started_with_its_own_arguments_and_nothing_more() {
        let launch = of("/opt/goose", &["acp", "--with", "x"], false);
        assert_eq!((launch.program, launch.args.len()), (PathBuf::from("/opt/goose"), 3));
        assert!(launch.env.is_empty());
    }

    #[test]
    fn gemini_takes_what_a_project_brings_along_only_where_it_is_trusted() {
        for (program, args) in
            [("/usr/bin/gemini", vec!["--acp"]), ("npx", vec!["-y", "@google/gemini-cli@0.61.0", "--acp"])]
        {
            let trust = |trusted| variable(&of(program, &args, trusted), "GEMINI_CLI_TRUST_WORKSPACE");
            assert_eq!(trust(false).as_deref(), Some("false"), "{program}");
            assert_eq!(trust(true).as_deref(), Some("true"), "{program}");
        }
    }

    #[test]
    fn our_own_agent_reads_the_projects_words_only_where_it_is_trusted() {
        let trust =
            |trusted| variable(&of("/usr/bin/tether", &["model-agent"], trusted), "TETHER_MODEL_TRUSTED");
        assert_eq!((trust(false).as_deref(), trust(true).as_deref()), (Some("0"), Some("1")));
        assert!(of("/usr/bin/tether", &["demo-agent"], true).env.is_empty());
    }

    #[test]
    fn agents_that_do_not_ask_by_themselves_are_told_to() {
        let opencode = of("opencode", &["acp"], true);
        assert!(
            variable(&opencode, "OPENCODE_CONFIG_CONTENT")
                .is_some_and(|config| config.contains("\"*\":\"ask\""))
        );
        assert_eq!(variable(&opencode, "OPENCODE_DISABLE_PROJECT_CONFIG"), None);
        assert!(variable(&of("opencode", &["acp"], false), "OPENCODE_DISABLE_PROJECT_CONFIG").is_some());
        assert_eq!(variable(&of("codex-acp", &[], true), "INITIAL_AGENT_MODE").as_deref(), Some("read-only"));
    }

    #[test]
    fn last_words_tell_what_the_end_means() {
        let cause =
            |line: &str| cause(&["something".to_owned(), line.to_owned(), "    at x.js:1".to_owned()]);
        assert_eq!(cause("Unknown argument: no-such-flag"), Some(EndCause::BadConfiguration));
        assert_eq!(
            cause("FATAL ERROR: Reached heap limit - JavaScript heap out of memory"),
            Some(EndCause::OutOfMemory)
        );
        assert_eq!(cause("Segmentation fault"), None);
    }
}
