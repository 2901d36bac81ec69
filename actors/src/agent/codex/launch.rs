//! How Codex is started.

use std::collections::BTreeMap;

use crate::agent::protocol::{Launch, LaunchSpec, Work};

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
/// Trust is given on it for this one run, so that nothing is written into the person's settings: to the folder and
/// those above it, because a project's settings may lie in any folder up to its root. A folder that is not trusted gets
/// no word here: what it brings along does not count then, and its `AGENTS.md` does, which `untrusted` would switch off.
/// Should Codex trust it by the person's settings, the opening sees it.
pub(super) fn launch(spec: &LaunchSpec) -> Launch {
    let mut args = vec!["app-server".to_owned()];
    if spec.work.trusted {
        args.extend(["-c".to_owned(), trust(&spec.work)]);
    }
    args.extend(spec.extra_args.iter().cloned());
    Launch {
        program: spec.program.clone(),
        args,
        env: BTreeMap::new(),
        env_remove: OF_ANOTHER_SESSION.iter().map(|name| (*name).to_owned()).collect(),
        files: BTreeMap::new(),
    }
}

/// The folder and all above it, by its name and by its real place: by any of these Codex may know it.
pub(super) fn folders(work: &Work) -> Vec<String> {
    let both = work.directory.ancestors().chain(work.real_directory.ancestors());
    let mut folders: Vec<String> = both.map(|path| path.to_string_lossy().into_owned()).collect();
    folders.retain(|path| !path.is_empty());
    folders.sort_unstable();
    folders.dedup();
    folders
}

/// `projects={"/a/b"={trust_level="trusted"},...}`: a TOML table, not a dotted key, which Codex does not take
/// for names with a slash.
fn trust(work: &Work) -> String {
    let entry = |path: &String| format!("{}={{trust_level=\"trusted\"}}", toml_text(path));
    let entries: Vec<String> = folders(work).iter().map(entry).collect();
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

    fn launched(directory: &str, real: &str, trusted: bool) -> Launch {
        let (directory, real_directory) = (PathBuf::from(directory), PathBuf::from(real));
        launch(&LaunchSpec {
            program: PathBuf::from("/bin/codex"),
            work: Work { directory, real_directory, trusted, ..Work::default() },
            extra_args: vec!["--strict-config".into()],
        })
    }

    #[test]
    fn a_folder_that_is_not_trusted_gets_no_word() {
        assert_eq!(launched("/home/dev", "/home/dev", false).args, ["app-server", "--strict-config"]);
    }

    #[test]
    fn trust_is_for_the_folder_by_both_its_names_and_those_above_it() {
        assert_eq!(
            launched("/link", "/home/dev", true).args,
            [
                "app-server",
                "-c",
                "projects={\"/\"={trust_level=\"trusted\"},\"/home\"={trust_level=\"trusted\"},\
                 \"/home/dev\"={trust_level=\"trusted\"},\"/link\"={trust_level=\"trusted\"}}",
                "--strict-config",
            ]
        );
    }

    #[test]
    fn a_strange_name_stays_a_name() {
        let launch = launched("a\"={trust_level=\"x\"}\\\n", "", true);
        assert_eq!(
            launch.args[2],
            "projects={\"a\\\"={trust_level=\\\"x\\\"}\\\\\\u000A\"={trust_level=\"trusted\"}}"
        );
    }

    #[test]
    fn the_account_and_the_settings_stay() {
        let launch = launched("/p", "/p", false);
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
