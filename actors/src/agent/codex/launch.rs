//! How Codex is started.

use std::collections::BTreeMap;
use std::path::Path;

use crate::agent::protocol::{Launch, LaunchSpec};

/// What Codex leaves in the environment of the commands that it runs. A daemon that was itself started by
/// a command of Codex's must not hand it on: it would make the new program think that it is in a sandbox or
/// a part of that session. What configures a person's account, provider, network or place of the settings
/// (`CODEX_HOME`, `OPENAI_*`, `CODEX_API_KEY`, ...) stays.
const OF_ANOTHER_SESSION: &[&str] = &[
    "CODEX_APP_SERVER_*",
    "CODEX_CI",
    "CODEX_INTERNAL_*",
    "CODEX_SANDBOX",
    "CODEX_SANDBOX_*",
    "CODEX_THREAD_ID",
    "CODEX_TURN_ID",
];

/// The command line.
///
/// Trust is given on it for this one run, because Codex gives it by itself: to ask for a workspace that it
/// may write marks the project as trusted in the person's `config.toml`, and what the project brings along
/// (`.codex/config.toml` with its MCP servers, hooks and rules) counts at once. With the trust named here
/// nothing is written. Codex looks up the folder, those above it up to the project's root, and the main
/// folder of a git worktree, so all folders above are named too; a way that is reached over a link, or a
/// worktree, may still lead to a folder that is trusted elsewhere, which the opening checks.
pub(super) fn launch(spec: &LaunchSpec) -> Launch {
    let mut args = vec!["app-server".to_owned()];
    args.extend(["-c".to_owned(), trust(&spec.work.directory, spec.work.trusted)]);
    args.extend(spec.extra_args.iter().cloned());
    Launch {
        program: spec.program.clone(),
        args,
        env: BTreeMap::new(),
        env_remove: OF_ANOTHER_SESSION.iter().map(|name| (*name).to_owned()).collect(),
        files: BTreeMap::new(),
    }
}

/// `projects={"/a/b"={trust_level="..."},...}`: a TOML table, not a dotted key, which Codex does not take
/// for names with a slash.
fn trust(directory: &Path, trusted: bool) -> String {
    let entry = |path: &Path, level: &str| {
        format!("{}={{trust_level=\"{level}\"}}", toml_text(&path.to_string_lossy()))
    };
    let entries: Vec<String> = if trusted {
        vec![entry(directory, "trusted")]
    } else {
        directory.ancestors().map(|path| entry(path, "untrusted")).collect()
    };
    format!("projects={{{}}}", entries.join(","))
}

/// A TOML basic string.
fn toml_text(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c if c.is_control() => out.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::agent::protocol::Work;

    fn launched(directory: &str, trusted: bool) -> Launch {
        launch(&LaunchSpec {
            program: PathBuf::from("/bin/codex"),
            work: Work { directory: PathBuf::from(directory), trusted, ..Work::default() },
            extra_args: vec!["--strict-config".into()],
        })
    }

    #[test]
    fn an_untrusted_folder_and_all_above_it_are_marked_so_for_the_run() {
        assert_eq!(
            launched("/home/dev", false).args,
            [
                "app-server",
                "-c",
                "projects={\"/home/dev\"={trust_level=\"untrusted\"},\"/home\"={trust_level=\"untrusted\"},\
                 \"/\"={trust_level=\"untrusted\"}}",
                "--strict-config",
            ]
        );
    }

    #[test]
    fn trust_is_given_to_the_folder_alone() {
        let launch = launched("/home/dev", true);
        assert_eq!(launch.args[2], "projects={\"/home/dev\"={trust_level=\"trusted\"}}");
    }

    #[test]
    fn a_strange_name_stays_a_name() {
        let launch = launched("/a\"={trust_level=\"trusted\"}\\\n", true);
        assert_eq!(
            launch.args[2],
            "projects={\"/a\\\"={trust_level=\\\"trusted\\\"}\\\\\\u000A\"={trust_level=\"trusted\"}}"
        );
    }

    #[test]
    fn the_account_and_the_settings_stay() {
        let launch = launched("/p", false);
        let removed = |name: &str| {
            launch.env_remove.iter().any(|rule| match rule.strip_suffix('*') {
                Some(start) => name.starts_with(start),
                None => name == rule,
            })
        };
        for kept in ["CODEX_HOME", "CODEX_API_KEY", "OPENAI_API_KEY", "OPENAI_BASE_URL", "RUST_LOG"] {
            assert!(!removed(kept), "{kept}");
        }
        for gone in ["CODEX_SANDBOX", "CODEX_SANDBOX_NETWORK_DISABLED", "CODEX_THREAD_ID"] {
            assert!(removed(gone), "{gone}");
        }
    }
}
