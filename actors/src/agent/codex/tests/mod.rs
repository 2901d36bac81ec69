//! Recorded conversations with the real program, and properties that hold for any line.
//!
//! `tests/transcripts/codex/<case>.jsonl` is what went over the pipes: one object a line, `dir` = `in` (to the agent) or
//! `out`, and the `line`. Beside it, `<case>.txt` is what it is to be understood as. After a change on purpose:
//! `UPDATE_GOLDEN=1 cargo test -p tether-actors codex`, and read the difference.
//!
//! The recorded supervisor numbered its requests; they are given our ids here, so that their answers are known again.

mod any_line;
mod life;

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::*;
use crate::agent::fields::head;
use crate::agent::recordings;
use crate::domain::approval::{Answer, Scope};
use crate::domain::ids::InputId;

/// One line over one of the pipes, with our ids.
struct Recorded {
    out: bool,
    line: Value,
}

fn cases() -> Vec<(PathBuf, Vec<Recorded>)> {
    recordings::paths("codex", 70).into_iter().map(|path| (path.clone(), recorded(&path))).collect()
}

fn recorded(path: &Path) -> Vec<Recorded> {
    let text = std::fs::read_to_string(path).expect("it can be read");
    let mut ids: HashMap<String, String> = HashMap::new();
    let mut prompts = 0;
    let mut threads = 0;
    let mut read = |line: &str| {
        let value: Value = serde_json::from_str(line).expect("a recording is JSON");
        let out = value["dir"] == "out";
        let mut line: Value = match &value["line"] {
            Value::String(text) => serde_json::from_str(text).expect("a line is JSON"),
            other => other.clone(),
        };
        let id = line["id"].to_string();
        if !out && line.get("method").is_some() && line.get("id").is_some() {
            let ours = match line["method"].as_str().unwrap_or_default() {
                "initialize" => "initialize".to_owned(),
                "config/read" => "settings".to_owned(),
                // The one that a session would have; other threads are those of other sessions.
                "thread/start" | "thread/resume" => {
                    threads += 1;
                    if threads == 1 { "thread".to_owned() } else { format!("other-{threads}") }
                }
                "turn/start" => {
                    prompts += 1;
                    let input = line["params"]["clientUserMessageId"].as_str().map(str::to_owned);
                    format!("turn-{}", input.unwrap_or_else(|| format!("in-{prompts}")))
                }
                "thread/backgroundTerminals/list" => format!("terminals-{prompts}"),
                _ => format!("other-{id}"),
            };
            line["id"] = ours.as_str().into();
            ids.insert(id, ours);
        } else if out
            && line.get("method").is_none()
            && let Some(ours) = ids.get(&id)
        {
            line["id"] = ours.as_str().into();
        }
        Recorded { out, line }
    };
    text.lines().map(&mut read).collect()
}

/// What the recorded supervisor did, as far as the protocol must know of it.
fn replay_command(protocol: &mut CodexProtocol, line: &Value) {
    match line["method"].as_str().unwrap_or_default() {
        "turn/start" => {
            let id = line["id"].as_str().unwrap_or_default().trim_start_matches("turn-");
            protocol.say(&prompt(id), false);
        }
        "turn/interrupt" => drop(protocol.say(&AgentCommand::Interrupt, false)),
        _ => {}
    }
}

fn prompt(id: &str) -> AgentCommand {
    AgentCommand::Prompt { input: InputId::from(id), text: "do it".into(), images: Vec::new() }
}

fn opened(lines: &[Recorded]) -> CodexProtocol {
    let mut protocol = CodexProtocol::new();
    let resumed = lines.iter().find_map(|recorded| {
        (recorded.line["method"] == "thread/resume" && !recorded.out)
            .then(|| recorded.line["params"]["threadId"].as_str().map(str::to_owned))?
    });
    let begins = lines.iter().any(|recorded| recorded.line["method"] == "thread/start" && !recorded.out);
    let conversation = resumed.filter(|_| !begins);
    let work = Work {
        directory: PathBuf::from("/home/dev/project"),
        resume: conversation.is_some(),
        conversation: conversation.unwrap_or_default(),
        ..Work::default()
    };
    protocol.opening(&work);
    // Most were recorded without this step.
    protocol.hear(br#"{"id":"settings","result":{}}"#);
    protocol
}

/// What a recording is understood as.
fn understood(lines: &[Recorded]) -> String {
    let mut protocol = opened(lines);
    let mut out = String::new();
    for recorded in lines {
        let line = recorded.line.to_string();
        if !recorded.out {
            replay_command(&mut protocol, &recorded.line);
            writeln!(out, "> {}", head(&line, 160)).expect("a text takes it");
            continue;
        }
        let heard = protocol.hear(line.as_bytes());
        for event in heard.events {
            writeln!(out, "{event:?}").expect("a text takes it");
        }
        for reply in heard.replies {
            writeln!(out, "reply {}", reply.line).expect("a text takes it");
        }
    }
    out
}

#[test]
fn every_recording_is_understood_as_before() {
    recordings::compare(cases().into_iter().map(|(path, lines)| {
        let now = understood(&lines);
        (path, now)
    }));
}

#[test]
fn reading_goes_on_from_a_stored_state_after_any_line() {
    for (path, lines) in cases() {
        let mut whole = opened(&lines);
        for (number, recorded) in lines.iter().enumerate() {
            let stored = serde_json::to_string(&whole.state()).expect("a state is JSON");
            let stored: Value = serde_json::from_str(&stored).expect("and comes back");
            let mut restored = CodexProtocol::restore(stored).expect("it is a state");
            // What is to be opened is said again with the opening.
            restored.desk.work = whole.desk.work.clone();
            restored.desk.thread_asked = whole.desk.thread_asked;
            if recorded.out {
                let line = recorded.line.to_string();
                let (one, other) = (whole.hear(line.as_bytes()), restored.hear(line.as_bytes()));
                assert_eq!(one, other, "{} line {number}", path.display());
            } else {
                replay_command(&mut whole, &recorded.line);
                replay_command(&mut restored, &recorded.line);
            }
            // The same state after every line is the same behaviour on all that follow.
            assert_eq!(whole.state(), restored.state(), "{} line {number}", path.display());
        }
    }
}

#[test]
fn every_request_in_the_recordings_is_asked() {
    let mut asked = 0;
    for (path, lines) in cases() {
        let mut protocol = opened(&lines);
        for recorded in &lines {
            if !recorded.out {
                replay_command(&mut protocol, &recorded.line);
                continue;
            }
            let heard = protocol.hear(recorded.line.to_string().as_bytes());
            if recorded.line.get("id").is_none() || recorded.line.get("method").is_none() {
                continue;
            }
            let [AgentEvent::Asked(ask)] = &heard.events[..] else {
                panic!("{}: {} gives {heard:?}", path.display(), recorded.line);
            };
            assert!(heard.replies.is_empty());
            if ask.tool_name == "apply_patch" {
                assert!(ask.is_edit && ask.diff.is_some(), "{}: {ask:?}", path.display());
            }
            asked += 1;
        }
    }
    assert!(asked > 45, "the recordings hold {asked} questions");
}

#[test]
fn no_turn_ends_that_did_not_begin_and_every_call_has_one_result() {
    for (path, lines) in cases() {
        let mut protocol = opened(&lines);
        let mut running = false;
        let mut calls: HashMap<String, usize> = HashMap::new();
        for recorded in &lines {
            if !recorded.out {
                replay_command(&mut protocol, &recorded.line);
                continue;
            }
            for event in protocol.hear(recorded.line.to_string().as_bytes()).events {
                match event {
                    AgentEvent::TurnStarted => {
                        assert!(!running, "{}", path.display());
                        running = true;
                    }
                    AgentEvent::TurnFinished(_) => {
                        assert!(running, "{}", path.display());
                        running = false;
                    }
                    AgentEvent::ToolCall { id, .. } => drop(calls.insert(id, 0)),
                    AgentEvent::ToolResult { id, .. } => {
                        let results = calls.get_mut(&id).expect("a result has a call");
                        *results += 1;
                        assert_eq!(*results, 1, "{}: {id}", path.display());
                    }
                    _ => {}
                }
            }
        }
    }
}

#[test]
fn the_text_of_a_turn_is_told_once() {
    for (path, lines) in cases() {
        let mut protocol = opened(&lines);
        let (mut told, mut finished) = (String::new(), String::new());
        for recorded in &lines {
            if !recorded.out {
                replay_command(&mut protocol, &recorded.line);
                continue;
            }
            let item = &recorded.line["params"]["item"];
            if recorded.line["method"] == "item/completed" && item["type"] == "agentMessage" {
                finished.push_str(item["text"].as_str().unwrap_or_default());
            }
            for event in protocol.hear(recorded.line.to_string().as_bytes()).events {
                if let AgentEvent::Text { text, .. } = event {
                    told.push_str(text.strip_prefix("\n\n").unwrap_or(&text));
                }
            }
        }
        // A program that is killed in mid-message never finishes it.
        assert!(told.starts_with(&finished), "{}: {told:?} {finished:?}", path.display());
    }
}

/// A protocol that has asked for its thread.
fn before_thread(work: &Work) -> CodexProtocol {
    let mut protocol = CodexProtocol::new();
    protocol.opening(work);
    protocol.hear(br#"{"id":"settings","result":{}}"#);
    protocol
}

/// A protocol with a thread, and what it said.
fn with_thread(work: &Work) -> (CodexProtocol, Vec<AgentEvent>) {
    let mut protocol = CodexProtocol::new();
    protocol.opening(work);
    let mut events = Vec::new();
    let mut hear = |line: Value| {
        let heard = protocol.hear(line.to_string().as_bytes());
        events.extend(heard.events);
        heard.replies
    };
    let replies = hear(json!({ "id": "initialize", "result": { "userAgent": "tether/0.169.0 (x)" } }));
    assert!(
        replies[0].line.contains("initialized") && replies[1].line.contains("config/read"),
        "{replies:?}"
    );
    let replies = hear(json!({ "id": "settings", "result": { "layers": [], "config": { "model": "m0" } } }));
    assert!(replies[0].line.contains("\"thread/"), "{replies:?}");
    hear(thread_reply());
    (protocol, events)
}

fn thread_reply() -> Value {
    json!({ "id": "thread", "result": { "thread": { "id": "T" }, "model": "m1", "approvalPolicy": "untrusted",
        "approvalsReviewer": "user", "cwd": "/p", "sandbox": { "type": "workspaceWrite" } } })
}

fn lines(outgoing: &[Outgoing]) -> Vec<Value> {
    let parse = |line: &Outgoing| match line.line.as_str() {
        "" => Value::Null,
        line => serde_json::from_str(line).expect("a line is JSON"),
    };
    outgoing.iter().map(parse).collect()
}

#[test]
fn a_state_that_is_none_is_refused_with_words() {
    for state in [Value::Null, json!("x"), json!({ "ready": 7 })] {
        assert!(CodexProtocol::restore(state).is_err_and(|error| error.contains("codex")));
    }
}

fn allow() -> Answer {
    Answer::Allow { scope: Scope::Once, updated_input: None, answers: None, message: None }
}
