//! How Pi is started.

use std::collections::BTreeMap;
use std::path::Path;

use crate::agent::protocol::{Launch, LaunchSpec};

/// The extension that asks before every tool call, and its name in the run's folder.
const GATE: (&str, &[u8]) = ("approval-gate.ts", include_bytes!("approval-gate.ts"));
/// What keeps the settings of a project that is not trusted away from Pi.
const GUARD: (&str, &[u8]) = ("project-guard.cjs", include_bytes!("project-guard.cjs"));

/// What Pi leaves in the environment of the programs that it starts.
const OF_ANOTHER_SESSION: &[&str] = &["PI_CODING_AGENT"];

/// The command line. `node_options` are those that the program would inherit.
///
/// In a directory that is not trusted, `--no-extensions` and its kin leave out the project's extensions,
/// skills, prompt templates and AGENTS.md (the gate brings the person's own skills, templates and
/// instructions back; own extensions can be named in the configuration with `-e`), and the guard its
/// `.pi/settings.json`, for which Pi has no switch. The gate comes last, so that it sees what the handlers of
/// other extensions made of a call.
pub(super) fn launch(spec: &LaunchSpec, node_options: Option<&str>) -> Launch {
    let work = &spec.work;
    let mut args = vec!["--mode".to_owned(), "rpc".to_owned()];
    let mut env = BTreeMap::new();
    let mut set = |name: &str, value: &str| env.insert(name.to_owned(), value.to_owned());
    let mut files = BTreeMap::new();
    let mut lay = |(name, content): (&str, &[u8])| {
        files.insert(name.to_owned(), content.to_vec());
        work.folder.join(name)
    };
    set("TETHER_PI_TRUSTED", if work.trusted { "1" } else { "0" });
    set("TETHER_PI_PLANNING", if work.planning { "1" } else { "0" });
    // Else it may install packages and look for updates at its start, which takes as long as it takes.
    set("PI_OFFLINE", "1");
    set("PI_TELEMETRY", "0");
    if !work.trusted {
        let without = ["--no-extensions", "--no-skills", "--no-prompt-templates", "--no-context-files"];
        args.extend(without.map(str::to_owned));
        let inherited = node_options.unwrap_or_default();
        set("TETHER_PI_NODE_OPTIONS", inherited);
        set("NODE_OPTIONS", format!("{} {inherited}", preload(&lay(GUARD))).trim_end());
    }
    if work.resume {
        args.extend(["--session".to_owned(), work.conversation.clone()]);
    }
    if let Some(model) = &work.model {
        args.extend(["--model".to_owned(), model.clone()]);
    }
    args.extend(spec.extra_args.iter().cloned());
    args.extend(["-e".to_owned(), lay(GATE).display().to_string()]);
    Launch {
        program: spec.program.clone(),
        args,
        env,
        env_remove: OF_ANOTHER_SESSION.iter().map(|name| (*name).to_owned()).collect(),
        files,
    }
}

/// The option of node that loads a file first, as it stands in `NODE_OPTIONS`.
fn preload(file: &Path) -> String {
    let path = file.display().to_string().replace('\\', "\\\\").replace('"', "\\\"");
    format!("--require=\"{path}\"")
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::agent::protocol::Work;

    fn work() -> Work {
        Work {
            directory: PathBuf::from("/p"),
            conversation: "/s/1.jsonl".into(),
            folder: PathBuf::from("/run of it"),
            ..Work::default()
        }
    }

    fn of(work: Work) -> Launch {
        let spec = LaunchSpec {
            program: "/bin/pi".into(),
            work,
            extra_args: vec!["--thinking".into(), "low".into()],
        };
        launch(&spec, None)
    }

    fn after<'a>(launch: &'a Launch, flag: &str) -> Option<&'a str> {
        let at = launch.args.iter().position(|arg| arg == flag)?;
        launch.args.get(at + 1).map(String::as_str)
    }

    #[test]
    fn the_gate_is_laid_and_loaded_last_whatever_else_is_asked_for() {
        for trusted in [false, true] {
            let launch = of(Work { trusted, resume: true, model: Some("p/m".into()), ..work() });
            assert_eq!(after(&launch, "--mode"), Some("rpc"));
            let last = &launch.args[launch.args.len() - 2..];
            assert_eq!(last, ["-e", "/run of it/approval-gate.ts"]);
            let gate = String::from_utf8(launch.files["approval-gate.ts"].clone()).expect("it is text");
            assert!(gate.contains(&format!("\"{}\"", crate::agent::pi::ask::APPROVAL)));
            assert!(gate.contains(&format!("\"{}\"", crate::agent::pi::ask::QUESTION)));
        }
    }

    #[test]
    fn what_the_project_brings_along_counts_only_where_it_is_trusted() {
        let switches = ["--no-extensions", "--no-skills", "--no-prompt-templates", "--no-context-files"];
        let strange = of(work());
        assert!(switches.iter().all(|switch| strange.args.iter().any(|arg| arg == switch)));
        assert_eq!(strange.env["NODE_OPTIONS"], "--require=\"/run of it/project-guard.cjs\"");
        assert!(strange.files.contains_key("project-guard.cjs"));
        assert_eq!(strange.env["TETHER_PI_TRUSTED"], "0");
        let trusted = of(Work { trusted: true, ..work() });
        assert!(!switches.iter().any(|switch| trusted.args.iter().any(|arg| arg == switch)));
        assert_eq!(trusted.env.get("NODE_OPTIONS"), None);
        assert_eq!(trusted.env["TETHER_PI_TRUSTED"], "1");
    }

    #[test]
    fn the_persons_own_options_of_node_stay() {
        let spec = LaunchSpec { program: "/bin/pi".into(), work: work(), extra_args: Vec::new() };
        let launch = launch(&spec, Some("--max-old-space-size=9000"));
        let own = "--max-old-space-size=9000";
        assert_eq!(launch.env["NODE_OPTIONS"], format!("--require=\"/run of it/project-guard.cjs\" {own}"));
        assert_eq!(launch.env["TETHER_PI_NODE_OPTIONS"], own);
        assert_eq!(preload(Path::new("/a\"b\\c")), r#"--require="/a\"b\\c""#);
    }

    #[test]
    fn a_conversation_is_gone_on_with_by_its_file_and_a_new_one_is_pis_to_name() {
        assert_eq!(after(&of(work()), "--session"), None);
        assert_eq!(after(&of(Work { resume: true, ..work() }), "--session"), Some("/s/1.jsonl"));
        assert_eq!(after(&of(Work { model: Some("p/m".into()), ..work() }), "--model"), Some("p/m"));
        assert_eq!(of(Work { planning: true, ..work() }).env["TETHER_PI_PLANNING"], "1");
    }
}
