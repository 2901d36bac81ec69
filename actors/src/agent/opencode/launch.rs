//! How OpenCode's server is started: with everything asked, and nothing taken from a project that is not trusted.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::agent::protocol::{Launch, LaunchSpec};

/// Our plugin, and its name in the folder of the run.
const PLUGIN: (&str, &str) = ("tether.js", include_str!("tether.js"));

/// Variables by which another OpenCode, from whose terminal the daemon was started perhaps, tells its tools of
/// itself, and such as would outrank what is set here.
const OF_ANOTHER: [&str; 9] = [
    "OPENCODE",
    "OPENCODE_PID",
    "OPENCODE_RUN_ID",
    "OPENCODE_PROCESS_ROLE",
    "OPENCODE_CLIENT",
    "OPENCODE_SERVER_*",
    "OPENCODE_CONFIG_CONTENT",
    "OPENCODE_PERMISSION",
    "OPENCODE_PURE",
];

/// The settings that come last and win. In OpenCode the last rule that matches decides, an agent's own rules come
/// after the general ones, and `*` stands for every tool, those of MCP servers and plugins included.
///
/// Reading within the directory is not asked about, as OpenCode does it by itself too; files with secrets are.
fn settings(plugin: &str) -> Value {
    let reads = json!({ "*": "allow", "*.env": "ask", "*.env.*": "ask", "*.env.example": "allow" });
    let mut permission = vec![("*", json!("ask")), ("read", reads)];
    permission
        .extend(["glob", "grep", "list", "lsp", "question", "task", "todoread", "todowrite"].map(allowed));
    permission.extend(
        ["bash", "edit", "webfetch", "websearch", "codesearch", "skill", "external_directory", "doom_loop"]
            .map(|name| (name, json!("ask"))),
    );
    // What only its own terminal can do.
    permission.extend([("plan_enter", json!("deny")), ("plan_exit", json!("deny"))]);
    json!({
        "autoupdate": false,
        "plugin": [plugin],
        "permission": ordered(&permission),
        // What OpenCode keeps from these agents by itself, and the rule for everything would give them.
        "agent": {
            "plan": { "permission": { "edit": "deny" } },
            "explore": { "permission": { "edit": "deny", "task": "deny", "todowrite": "deny" } },
            "general": { "permission": { "todowrite": "deny" } },
        },
    })
}

fn allowed(name: &'static str) -> (&'static str, Value) {
    (name, json!("allow"))
}

/// The rules in an object. Its keys are in the order of their bytes, in which `*` comes before all names.
fn ordered(rules: &[(&str, Value)]) -> Value {
    rules
        .iter()
        .map(|(name, rule)| ((*name).to_owned(), rule.clone()))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

/// The command line. The directory of the work is no part of it: one server works in many.
pub(super) fn launch(spec: &LaunchSpec) -> Launch {
    let plugin = format!("file://{}", spec.work.folder.join(PLUGIN.0).display());
    let mut env = BTreeMap::from([
        ("OPENCODE_CONFIG_CONTENT".to_owned(), settings(&plugin).to_string()),
        // It must not replace itself while it works.
        ("OPENCODE_DISABLE_AUTOUPDATE".to_owned(), "1".to_owned()),
    ]);
    if !spec.work.trusted {
        // Version 1.18.33 heeds it for settings, agents and commands, but loads a project's plugins all the same, at
        // the first prompt. Our own plugin keeps those out, and takes this variable as its sign to do so.
        env.insert("OPENCODE_DISABLE_PROJECT_CONFIG".to_owned(), "1".to_owned());
    }
    let args = ["serve", "--hostname", "127.0.0.1", "--port", "0"].map(str::to_owned);
    Launch {
        program: spec.program.clone(),
        args: args.into_iter().chain(spec.extra_args.iter().cloned()).collect(),
        env,
        env_remove: OF_ANOTHER.iter().map(|name| (*name).to_owned()).collect(),
        files: BTreeMap::from([(PLUGIN.0.to_owned(), PLUGIN.1.as_bytes().to_vec())]),
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::agent::protocol::Work;

    fn of(trusted: bool) -> Launch {
        let work = Work { trusted, folder: PathBuf::from("/run/oc"), ..Work::default() };
        launch(&LaunchSpec { program: PathBuf::from("/bin/opencode"), work, extra_args: vec!["--x".into()] })
    }

    #[test]
    fn it_asks_for_everything_that_it_does_and_of_which_nothing_is_known() {
        for trusted in [false, true] {
            let launch = of(trusted);
            let settings: Value =
                serde_json::from_str(&launch.env["OPENCODE_CONFIG_CONTENT"]).expect("settings are JSON");
            for tool in ["*", "bash", "edit", "webfetch", "external_directory"] {
                assert_eq!(settings["permission"][tool], "ask", "{tool}");
            }
            assert_eq!(settings["permission"]["read"]["*.env"], "ask");
            assert_eq!(settings["agent"]["plan"]["permission"]["edit"], "deny");
            let text = launch.env["OPENCODE_CONFIG_CONTENT"].as_str();
            let rules = text.split_once("\"permission\":{\"*\":\"ask\",").map(|(_, rest)| rest);
            assert!(rules.is_some(), "the rule for everything comes first, or it would win: {text}");
            let read =
                text.split_once("\"read\":{").map(|(_, rest)| rest).expect("there are rules for reading");
            assert!(read.starts_with("\"*\":\"allow\",\"*.env\":\"ask\""), "{read}");
            assert_eq!(settings["plugin"][0], "file:///run/oc/tether.js");
            assert!(launch.files.contains_key("tether.js"));
            assert_eq!(launch.args.last().map(String::as_str), Some("--x"));
        }
    }

    #[test]
    fn what_the_project_brings_along_counts_only_where_it_is_trusted() {
        assert_eq!(of(false).env.get("OPENCODE_DISABLE_PROJECT_CONFIG").map(String::as_str), Some("1"));
        assert_eq!(of(true).env.get("OPENCODE_DISABLE_PROJECT_CONFIG"), None);
    }

    #[test]
    fn no_variable_outranks_what_is_set_here() {
        let removed = of(false).env_remove;
        for name in ["OPENCODE_PERMISSION", "OPENCODE_PURE", "OPENCODE_SERVER_*"] {
            assert!(removed.iter().any(|gone| gone == name), "{name}");
        }
    }
}
