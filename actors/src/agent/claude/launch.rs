//! How Claude Code is started.

use std::collections::BTreeMap;

use crate::agent::protocol::{Launch, LaunchSpec};

/// What Claude Code leaves in the environment of the programs that it starts, which says to a Claude
/// Code started from there that it is a part of that session. A daemon that was itself started from
/// within an agent must not hand it on. What configures a person's account, provider, model or network
/// (`ANTHROPIC_*`, `CLAUDE_CONFIG_DIR`, `CLAUDE_CODE_OAUTH_TOKEN`, `CLAUDE_CODE_USE_BEDROCK`,
/// `CLAUDE_CODE_MAX_RETRIES`, ...) stays.
const OF_ANOTHER_SESSION: &[&str] = &[
    "AI_AGENT",
    "CLAUDECODE",
    "CLAUDE_AGENT_SDK_*",
    "CLAUDE_CODE_ACTION*",
    "CLAUDE_CODE_AGENT*",
    "CLAUDE_CODE_BRIDGE_*",
    "CLAUDE_CODE_CHILD_*",
    "CLAUDE_CODE_ENTRYPOINT",
    "CLAUDE_CODE_EXECPATH",
    "CLAUDE_CODE_MESSAGING_*",
    "CLAUDE_CODE_PARENT_*",
    "CLAUDE_CODE_REMOTE*",
    // It would re-run what a crash cut off without a word from us, tools included.
    "CLAUDE_CODE_RESUME_*",
    "CLAUDE_CODE_SESSION_*",
    "CLAUDE_CODE_SSE_PORT",
    "CLAUDE_CODE_TASK_*",
    "CLAUDE_CODE_TEAM*",
    "CLAUDE_EFFORT",
    "CLAUDE_ENV_FILE",
    "CLAUDE_PID",
    "CLAUDE_PROJECT_DIR",
];

/// The command line.
///
/// `--permission-mode default` makes it ask, whatever a settings file says (newer versions call the
/// same mode `manual`, older ones know only `default`). It also asks when the settings of the person
/// choose another mode; rules and hooks of the person's own settings count.
///
/// In a directory that is not trusted, `--setting-sources user` leaves out all that the project brings
/// along: settings, permission rules, hooks, MCP servers, `apiKeyHelper`, environment, skills, commands
/// and sub-agents. (Without it, a project's hook runs at the start and can allow every tool, in any
/// permission mode.) It leaves out `CLAUDE.md` too; naming the directory once more as an additional
/// one, with the variable, brings back `CLAUDE.md` and `.claude/rules`, and nothing else (2.0.0 does not
/// know the variable and goes without). The person's own MCP servers stay: `--strict-mcp-config`, which
/// would take them away too, is not needed to keep the project's out.
pub(super) fn launch(spec: &LaunchSpec) -> Launch {
    let mut args: Vec<String> = [
        "-p",
        "--input-format",
        "stream-json",
        "--output-format",
        "stream-json",
        "--verbose",
        "--include-partial-messages",
        "--permission-prompt-tool",
        "stdio",
    ]
    .map(str::to_owned)
    .to_vec();
    let mut env = BTreeMap::from([("CLAUDE_CODE_EMIT_SESSION_STATE_EVENTS".to_owned(), "1".to_owned())]);
    if !spec.work.trusted {
        // `--add-dir` takes all that follows up to the next option, so it must not come last.
        args.extend(["--setting-sources", "user", "--add-dir", "."].map(str::to_owned));
        env.insert("CLAUDE_CODE_ADDITIONAL_DIRECTORIES_CLAUDE_MD".to_owned(), "1".to_owned());
    }
    let mode = if spec.work.planning { "plan" } else { "default" };
    args.extend(["--permission-mode", mode].map(str::to_owned));
    let conversation = if spec.work.resume { "--resume" } else { "--session-id" };
    args.extend([conversation.to_owned(), spec.work.conversation.clone()]);
    if let Some(model) = &spec.work.model {
        args.extend(["--model".to_owned(), model.clone()]);
    }
    args.extend(spec.extra_args.iter().cloned());
    Launch {
        program: spec.program.clone(),
        args,
        env,
        env_remove: OF_ANOTHER_SESSION.iter().map(|name| (*name).to_owned()).collect(),
        files: BTreeMap::new(),
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::agent::protocol::Work;

    fn work() -> Work {
        Work {
            directory: PathBuf::from("/p"),
            conversation: "7f0c".into(),
            resume: false,
            model: None,
            planning: false,
            trusted: false,
            real_directory: PathBuf::from("/p"),
            no_sandbox: false,
            folder: PathBuf::from("/run"),
        }
    }

    fn of(work: Work) -> LaunchSpec {
        LaunchSpec { program: PathBuf::from("/bin/claude"), work, extra_args: vec!["--chrome".into()] }
    }

    fn spec() -> LaunchSpec {
        of(work())
    }

    fn after<'a>(launch: &'a Launch, flag: &str) -> Option<&'a str> {
        let at = launch.args.iter().position(|arg| arg == flag)?;
        launch.args.get(at + 1).map(String::as_str)
    }

    #[test]
    fn it_always_asks_and_always_over_its_standard_output() {
        for trusted in [false, true] {
            let launch = launch(&of(Work { trusted, ..work() }));
            assert_eq!(after(&launch, "--permission-mode"), Some("default"));
            assert_eq!(after(&launch, "--permission-prompt-tool"), Some("stdio"));
            assert_eq!(launch.args.last().map(String::as_str), Some("--chrome"));
        }
    }

    #[test]
    fn what_the_project_brings_along_counts_only_where_it_is_trusted() {
        let strange = launch(&spec());
        assert_eq!(after(&strange, "--setting-sources"), Some("user"));
        let trusted = launch(&of(Work { trusted: true, ..work() }));
        assert_eq!(after(&trusted, "--setting-sources"), None);
        assert_eq!(after(&trusted, "--add-dir"), None);
    }

    #[test]
    fn a_conversation_is_begun_or_gone_on_with() {
        assert_eq!(after(&launch(&spec()), "--session-id"), Some("7f0c"));
        let again = launch(&of(Work { resume: true, model: Some("opus".into()), ..work() }));
        assert_eq!(after(&again, "--resume"), Some("7f0c"));
        assert_eq!(after(&again, "--session-id"), None);
        assert_eq!(after(&again, "--model"), Some("opus"));
    }

    #[test]
    fn nothing_that_is_set_is_taken_away_and_the_account_stays() {
        let launch = launch(&spec());
        let removed = |name: &str| {
            launch.env_remove.iter().any(|rule| match rule.strip_suffix('*') {
                Some(start) => name.starts_with(start),
                None => name == rule,
            })
        };
        for kept in launch.env.keys().map(String::as_str).chain([
            "ANTHROPIC_API_KEY",
            "ANTHROPIC_BASE_URL",
            "CLAUDE_CONFIG_DIR",
            "CLAUDE_CODE_OAUTH_TOKEN",
            "CLAUDE_CODE_USE_BEDROCK",
            "CLAUDE_CODE_USE_VERTEX",
            "CLAUDE_CODE_MAX_RETRIES",
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC",
        ]) {
            assert!(!removed(kept), "{kept}");
        }
        for gone in ["CLAUDECODE", "CLAUDE_CODE_SESSION_ID", "CLAUDE_CODE_RESUME_INTERRUPTED_TURN"] {
            assert!(removed(gone), "{gone}");
        }
    }
}
