//! The plan of the house, kept: no lower room names an upper one, no process or store is touched outside
//! its room, and nothing unfinished or switched off is left lying about.

use std::path::{Path, PathBuf};

/// The rooms of `actors/src`, each with the rooms that it may name. `domain` is the lowest of those that know
/// what Tether is about; below it lies what knows nothing, which every room may name.
const ROOMS: [(&str, &[&str]); 12] = [
    ("fault", &[]),
    ("traced", &[]),
    ("domain", &[]),
    ("elsewhere", &["domain"]),
    ("log", &["domain"]),
    ("gate", &["domain", "log"]),
    // `elsewhere` for what an agent that died has written down.
    ("agent", &["domain", "elsewhere", "log"]),
    // `agent` for what it knows of processes: finding a tree of them, and ending it.
    ("workspace", &["domain", "agent"]),
    ("session", &["domain", "log", "gate", "agent", "workspace"]),
    ("registry", &["domain", "elsewhere", "log", "gate", "agent", "workspace", "session"]),
    ("bridge", &["domain", "elsewhere", "log", "gate", "agent", "session", "registry", "workspace"]),
    ("socket", &["domain", "log", "gate", "agent", "session", "registry"]),
];

/// Rooms that know nothing of what Tether is about; every other may name them.
const BELOW_ALL: [&str; 2] = ["fault", "traced"];

/// Crates and modules that only one room may touch, with the reason for the message.
const KEPT: [(&str, &[&str], &str); 4] = [
    ("sled", &["actors/src/log"], "only the event log touches the store"),
    (
        "std::process::Command",
        &["actors/src/agent", "actors/src/workspace", "src/cli", "src/api", "src/daemon"],
        "agents are started in one place, git in another",
    ),
    (
        "tokio::process",
        &["actors/src/agent", "actors/src/workspace", "src/agents", "src/cli", "src/api"],
        "agents are started in one place",
    ),
    ("actix::Supervisor", &[], "it does not see panics: the registry supervises"),
];

/// What is wrong with one file, as lines for a person.
fn faults(path: &str, source: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut fault = |line: usize, what: String| found.push(format!("{path}:{line}: {what}"));
    let room = room_of(path);
    for (number, line) in source.lines().enumerate() {
        let number = number + 1;
        let code = line.split("//").next().unwrap_or_default();
        if let Some((name, allowed)) = room {
            for named in rooms_named(code) {
                if named != name && !BELOW_ALL.contains(&named) && !allowed.contains(&named) {
                    fault(number, format!("`{name}` names `{named}`, which is above it"));
                }
            }
        }
        // Our own agents are programs like any others: all that they know of the daemon is the protocol.
        let elsewhere = |rest: &str| !rest.starts_with("agents");
        if path.starts_with("src/agents")
            && (code.contains("tether_actors") || code.split("crate::").skip(1).any(elsewhere))
        {
            fault(number, "our own agents name the daemon".into());
        }
        if path.starts_with("actors/") && code.contains("tether::") {
            fault(number, "the supervised world names the program above it".into());
        }
        for (word, rooms, why) in KEPT {
            let at_home = rooms.iter().any(|room| path.starts_with(room));
            if names_path(code, word)
                && !at_home
                && !path.starts_with("tests/")
                && !path.starts_with("benches/")
            {
                fault(number, format!("`{word}` outside its room: {why}"));
            }
        }
        let unfinished = ["TODO", "FIXME", "todo!(", "unimplemented!(", "#[ignore", "allow(dead_code)"];
        for word in unfinished.iter().filter(|word| line.contains(*word)) {
            fault(number, format!("`{word}` is left in"));
        }
    }
    found
}

/// The room that a file belongs to.
fn room_of(path: &str) -> Option<(&'static str, &'static [&'static str])> {
    let rest = path.strip_prefix("actors/src/")?;
    let first = rest.split('/').next()?.trim_end_matches(".rs");
    ROOMS.into_iter().find(|(name, _)| *name == first)
}

/// The rooms that a line of code names through the crate's root: `crate::x`, or in a list `crate::{x, y::z}`.
fn rooms_named(code: &str) -> Vec<&'static str> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        let names: Vec<&str> = match rest.strip_prefix('{') {
            Some(list) => list.split([',', '}']).map(str::trim).collect(),
            None => vec![rest],
        };
        for name in names {
            let word: String = name.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            found.extend(ROOMS.iter().map(|(room, _)| *room).filter(|room| *room == word));
        }
    }
    found
}

/// Whether code names a path as a whole (`sled` in `sled::Db` and `use sled;`, not in `reassembled`).
fn names_path(code: &str, word: &str) -> bool {
    code.match_indices(word).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        let after = code[at + word.len()..].chars().next();
        let outside = |c: Option<char>| c.is_none_or(|c| !c.is_alphanumeric() && c != '_' && c != '"');
        // A bare word is only the crate where a path follows or a `use` ends.
        outside(before)
            && (word.contains("::") || code[at + word.len()..].starts_with("::") || after == Some(';'))
    })
}

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder of the project").flatten() {
        let path = entry.path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn no_room_names_one_above_it_and_nothing_unfinished_is_left() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for folder in ["src", "actors/src", "benches", "tests/e2e"] {
        rust_files(&root.join(folder), &mut files);
    }
    assert!(files.len() > 20, "the sources were not found: {files:?}");
    let wrong: Vec<String> = files
        .iter()
        .flat_map(|path| {
            let name = path.strip_prefix(root).expect("below the root").display().to_string();
            faults(&name, &std::fs::read_to_string(path).expect("a source file"))
        })
        .collect();
    assert!(wrong.is_empty(), "{} faults:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn every_folder_of_the_supervised_world_is_a_known_room() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("actors/src");
    for entry in std::fs::read_dir(root).expect("the folder is there").flatten() {
        let name = entry.file_name().to_string_lossy().trim_end_matches(".rs").to_owned();
        let known = name == "lib" || ROOMS.iter().any(|(room, _)| *room == name);
        assert!(known, "`{name}` has no place in the order of the rooms: add it to ROOMS");
    }
}

#[test]
fn a_lower_room_that_names_an_upper_one_is_found_in_every_form() {
    for (path, source) in [
        ("actors/src/domain/event.rs", "use crate::log::Append;"),
        ("actors/src/log/actor.rs", "    let x: crate::session::Start = y;"),
        ("actors/src/gate/mod.rs", "use crate::{domain::ids, agent::Protocol};"),
        ("actors/src/agent/claude.rs", "pub use crate::gate::GateError;"),
        ("actors/src/session.rs", "use crate::registry::World;"),
        ("actors/src/registry/world.rs", "use crate::socket::Socket;"),
        ("actors/src/session/actor.rs", "fn f() { tether::api::serve() }"),
        ("actors/src/session/actor.rs", "let db = sled::open(path);"),
        ("src/config.rs", "use std::process::Command;"),
        ("src/agents/model/turn.rs", "use crate::client::Client;"),
        ("src/agents/model/turn.rs", "use tether_actors::domain::ids::RunId;"),
        ("actors/src/registry/mod.rs", "actix::Supervisor::start(f)"),
        ("src/main.rs", "fn later() { unimplemented!() }"),
        ("tests/e2e/turn.rs", "#[ignore = \"slow\"]"),
    ] {
        assert_eq!(faults(path, source).len(), 1, "{path}: {source}");
    }
}

#[test]
fn what_the_plan_allows_is_not_a_fault() {
    for (path, source) in [
        ("actors/src/session/actor.rs", "use crate::gate::GateError; use crate::domain::ids::RunId;"),
        ("actors/src/log/store.rs", "let db = sled::open(path);"),
        ("actors/src/agent/spawn.rs", "tokio::process::Command::new(program)"),
        ("actors/src/domain/event.rs", "// once told by crate::log::Append"),
        ("actors/src/domain/event.rs", "let text = \"reassembled\"; // as sled does"),
        ("actors/src/session/actor.rs", "use super::messages::Start; use crate::session::state;"),
        ("src/api/mod.rs", "use tether_actors::registry::World;"),
        ("src/agents/model/turn.rs", "use crate::agents::acp::Client;"),
    ] {
        assert_eq!(faults(path, source), Vec::<String>::new(), "{path}: {source}");
    }
}
