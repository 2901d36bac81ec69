//! What is changed in which file, and that it can be taken back.

use serde_json::json;

use super::*;

const ALL: [Program; 10] = [
    Program::Claude,
    Program::ClaudeDesktop,
    Program::Codex,
    Program::Opencode,
    Program::Pi,
    Program::Gemini,
    Program::Cursor,
    Program::Vscode,
    Program::Windsurf,
    Program::Zed,
];

fn launch() -> Launch {
    Launch { command: "/opt/bin/tether".into(), args: vec!["mcp".into()], env: BTreeMap::new() }
}

fn home() -> (tempfile::TempDir, Places) {
    let folder = tempfile::tempdir().expect("a folder");
    let places = Places { home: Some(folder.path().to_owned()), ..Places::default() };
    (folder, places)
}

fn lay(places: &Places, program: Program, text: &str) -> PathBuf {
    let file = program.file(places).expect("a place");
    std::fs::create_dir_all(file.parent().expect("a folder")).expect("made");
    std::fs::write(&file, text).expect("written");
    file
}

#[test]
fn every_program_gets_the_server_and_loses_it_again_without_a_trace() {
    for program in ALL {
        let (_folder, places) = home();
        let plan = Plan::install(program, &places, "tether", &launch()).expect("a plan");
        assert!(!plan.is_done() && plan.diff().contains("+++"), "{program:?}");
        assert!(!plan.file.exists(), "planning changes nothing");
        let text = plan.after.clone().expect("a text");
        let args = text.find("args").unwrap_or(usize::MAX);
        assert!(
            text.find("command").is_some_and(|at| at < args),
            "the program comes before its arguments: {text}"
        );
        plan.apply().expect("applied");
        let again = Plan::install(program, &places, "tether", &launch()).expect("a plan");
        assert!(again.is_done(), "{program:?}: {}", again.diff());
        let back = Plan::uninstall(program, &places, "tether").expect("a plan");
        back.apply().expect("applied");
        assert!(!back.file.exists(), "{program:?}: {:?}", std::fs::read_to_string(&back.file));
        assert!(Plan::uninstall(program, &places, "tether").expect("a plan").is_done());
    }
}

#[test]
fn comments_and_order_stay_and_the_way_back_leads_to_the_same_text() {
    let json = "{\n  // my servers\n  \"mcpServers\": {\n    \"other\": { \"command\": \"x\" } // keep\n  },\n  \"z\": 1,\n  \"a\": [1, 2]\n}\n";
    let toml = "# mine\nmodel = \"gpt\"\n\n[mcp_servers.other] # keep\ncommand = \"x\"\n\n[tools]\nz = 1\n";
    for (program, text) in [(Program::Cursor, json), (Program::Claude, json), (Program::Codex, toml)] {
        let (_folder, places) = home();
        let file = lay(&places, program, text);
        let plan = Plan::install(program, &places, "tether", &launch()).expect("a plan");
        let removed =
            plan.diff().lines().filter(|line| line.starts_with('-') && !line.starts_with("---")).count();
        assert!(removed <= 1, "only a comma may be added to an old line:\n{}", plan.diff());
        plan.apply().expect("applied");
        let after = std::fs::read_to_string(&file).expect("read");
        for kept in ["keep", "/opt/bin/tether"] {
            assert!(after.contains(kept), "{program:?}: {after}");
        }
        Plan::uninstall(program, &places, "tether").expect("a plan").apply().expect("applied");
        assert_eq!(std::fs::read_to_string(&file).expect("read"), text, "{program:?}");
    }
}

#[test]
fn each_program_gets_the_entry_that_it_understands() {
    let entry = |program: Program| program.entry(&launch());
    let plain = json!({"command": "/opt/bin/tether", "args": ["mcp"]});
    for program in [Program::ClaudeDesktop, Program::Pi, Program::Cursor, Program::Windsurf] {
        assert_eq!(entry(program), plain, "{program:?}");
    }
    let stdio = json!({"type": "stdio", "command": "/opt/bin/tether", "args": ["mcp"]});
    assert_eq!((entry(Program::Claude), entry(Program::Vscode)), (stdio.clone(), stdio));
    assert_eq!(
        entry(Program::Opencode),
        json!({"type": "local", "command": ["/opt/bin/tether", "mcp"], "enabled": true, "timeout": 86_400_000})
    );
    assert_eq!(entry(Program::Codex)["tool_timeout_sec"], 86_400);
    assert_eq!(entry(Program::Gemini)["timeout"], 86_400_000);
    let elsewhere = Launch { env: [("TETHER_API_URL".into(), "http://box:1".into())].into(), ..launch() };
    assert_eq!(Program::Opencode.entry(&elsewhere)["environment"]["TETHER_API_URL"], "http://box:1");
    assert_eq!(Program::Codex.entry(&elsewhere)["env"]["TETHER_API_URL"], "http://box:1");
}

#[test]
fn what_is_not_ours_or_not_readable_is_left_as_it_is() {
    for (program, text) in [
        (Program::Cursor, "{\"mcpServers\": {\"tether\": {\"command\": \"someone-else\"}}}"),
        (Program::Cursor, "{\"mcpServers\": []}"),
        (Program::Cursor, "[1]"),
        (Program::Cursor, "{\"a\" 1}"),
        (Program::Opencode, "{\"mcp\": 3}"),
        (Program::Codex, "mcp_servers = 3\n"),
        (Program::Codex, "[mcp_servers\n"),
        (Program::Codex, "[mcp_servers.tether]\ncommand = \"someone-else\"\n"),
    ] {
        let (_folder, places) = home();
        let file = lay(&places, program, text);
        assert!(Plan::install(program, &places, "tether", &launch()).is_err(), "{program:?} {text}");
        assert!(Plan::uninstall(program, &places, "tether").is_err(), "{program:?} {text}");
        assert_eq!(std::fs::read_to_string(file).expect("read"), text);
    }
}

#[test]
fn an_older_entry_of_ours_is_replaced_and_a_file_that_changed_meanwhile_is_not_touched() {
    let (_folder, places) = home();
    let text = "{\"mcpServers\": {\"tether\": {\"command\": \"tether-mcp\"}}}\n";
    let file = lay(&places, Program::Gemini, text);
    let plan = Plan::install(Program::Gemini, &places, "tether", &launch()).expect("a plan");
    assert!(plan.diff().contains("-{\"mcpServers\""), "{}", plan.diff());
    std::fs::write(&file, "{}").expect("written");
    assert!(matches!(plan.apply(), Err(InstallError::Changed(_))));
    assert_eq!(std::fs::read_to_string(&file).expect("read"), "{}");
}

#[cfg(unix)]
#[test]
fn rights_and_links_of_the_file_stay() {
    use std::os::unix::fs::PermissionsExt as _;
    let (folder, places) = home();
    let real = folder.path().join("dotfiles.json");
    std::fs::write(&real, "{}\n").expect("written");
    std::fs::set_permissions(&real, std::fs::Permissions::from_mode(0o600)).expect("set");
    let link = Program::Claude.file(&places).expect("a place");
    std::os::unix::fs::symlink(&real, &link).expect("linked");
    Plan::install(Program::Claude, &places, "tether", &launch()).expect("a plan").apply().expect("applied");
    assert!(link.symlink_metadata().expect("there").is_symlink());
    let mode = real.metadata().expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(std::fs::read_to_string(&real).expect("read").contains("mcpServers"));
}

#[test]
fn variables_and_projects_choose_the_file() {
    let mut places = Places { home: Some("/h".into()), ..Places::default() };
    let of = |places: &Places, program: Program| program.file(places).map(|file| file.display().to_string());
    assert_eq!(of(&places, Program::Claude).as_deref(), Ok("/h/.claude.json"));
    assert_eq!(of(&places, Program::Codex).as_deref(), Ok("/h/.codex/config.toml"));
    assert_eq!(of(&places, Program::Vscode).as_deref(), Ok("/h/.config/Code/User/mcp.json"));
    places.is_mac = true;
    assert_eq!(
        of(&places, Program::Vscode).as_deref(),
        Ok("/h/Library/Application Support/Code/User/mcp.json")
    );
    places.environment.insert("CLAUDE_CONFIG_DIR".into(), "/c".into());
    assert_eq!(of(&places, Program::Claude).as_deref(), Ok("/c/.claude.json"));
    places.project = Some("/p".into());
    assert_eq!(of(&places, Program::Claude).as_deref(), Ok("/p/.mcp.json"));
    assert!(of(&places, Program::Windsurf).is_err());
}
