//! Recorded conversations with the real program.
//!
//! `tests/transcripts/pi/<case>.jsonl` is what went over the pipes of Pi 0.73.1: one object a line, `dir` =
//! `in` (to the agent), `out`, `stderr` or `meta`, and the `line`. Those that begin with `gate-` were recorded
//! with our gate; the others with an earlier form of it, which knew no ids of prompts and did not tell when
//! it rests: that is put in here, and their prompts lack their ids. Beside each, `<case>.txt` is what it is to
//! be understood as. After a change on purpose: `UPDATE_GOLDEN=1 cargo test -p tether-actors agent::pi`, and
//! read the difference.

#[path = "any_line_tests.rs"]
mod any_line;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::*;
use crate::agent::fields::head;
use crate::agent::protocol::CONVERSATION_LOST;
use crate::agent::recordings;
use crate::domain::agent::{AgentEvent, InputProgress};

/// What our gate says behind the end of a run.
const REST: &str = r#"{"type":"extension_ui_request","id":"rest","method":"setStatus","statusKey":"tether","statusText":"{\"rest\":true}"}"#;
const GATE: &str = r#"{"type":"extension_ui_request","id":"g","method":"setStatus","statusKey":"tether","statusText":"{\"gate\":1,\"cwd\":\"/p\",\"fault\":null}"}"#;

/// One line over one of the pipes.
struct Recorded {
    pipe: String,
    line: Value,
}

impl Recorded {
    /// The bytes as they came: a line that is no JSON is recorded as a text.
    fn bytes(&self) -> Vec<u8> {
        match &self.line {
            Value::String(text) => text.clone().into_bytes(),
            value => value.to_string().into_bytes(),
        }
    }
}

fn cases() -> Vec<(PathBuf, Vec<Recorded>)> {
    recordings::paths("pi", 35).into_iter().map(|path| (path.clone(), recorded(&path))).collect()
}

fn recorded(path: &Path) -> Vec<Recorded> {
    let text = std::fs::read_to_string(path).expect("it can be read");
    let line = |line: &str| {
        let mut value: Value = serde_json::from_str(line).expect("a recording is JSON");
        let pipe = value["dir"].as_str().expect("it has a pipe").to_owned();
        Recorded { pipe, line: value["line"].take() }
    };
    let mut lines: Vec<Recorded> = text.lines().map(line).collect();
    if !path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("gate-")) {
        put_in_rests(&mut lines);
    }
    lines
}

fn put_in_rests(lines: &mut Vec<Recorded>) {
    let of = |line: Option<&Recorded>, kind: &str| line.is_some_and(|line| line.line["type"] == kind);
    for at in (0..lines.len()).rev() {
        if of(lines.get(at), "agent_end") {
            let retried = usize::from(of(lines.get(at + 1), "auto_retry_start"));
            let line = serde_json::from_str(REST).expect("it is JSON");
            lines.insert(at + 1 + retried, Recorded { pipe: "out".into(), line });
        }
    }
}

/// The work that a recording was made for.
fn work(path: &Path) -> Work {
    let resume = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("gate-resume"));
    Work { resume, directory: "/home/dev/project".into(), ..Work::default() }
}

/// What the recorded supervisor did, as far as the protocol must know of it.
fn replay_command(protocol: &mut PiProtocol, Recorded { pipe, line }: &Recorded) {
    if pipe == "meta" {
        // It was killed and started again.
        protocol.opening(&Work { resume: true, ..Work::default() });
    }
    if line["type"] == "abort" {
        protocol.say(&AgentCommand::Interrupt, false);
    }
    if line["type"] == "extension_ui_response" {
        protocol.state.open.retain(|request| line["id"] != request.as_str());
    }
}

/// What a recording is understood as.
fn understood(path: &Path, lines: &[Recorded]) -> String {
    let mut protocol = PiProtocol::new();
    protocol.opening(&work(path));
    let mut out = String::new();
    let mut stderr = Vec::new();
    for recorded in lines {
        match recorded.pipe.as_str() {
            "in" => {
                replay_command(&mut protocol, recorded);
                let line = recorded.line.to_string();
                writeln!(out, "> {}", head(&line, 160)).expect("a text takes it");
            }
            "out" => {
                let heard = protocol.hear(&recorded.bytes());
                for event in heard.events {
                    writeln!(out, "{event:?}").expect("a text takes it");
                }
                for reply in heard.replies {
                    writeln!(out, "reply {}", reply.line).expect("a text takes it");
                }
            }
            "stderr" => stderr.push(recorded.line.as_str().unwrap_or_default().to_owned()),
            _ => replay_command(&mut protocol, recorded),
        }
    }
    writeln!(out, "end: {:?}", protocol.end_hint(&stderr)).expect("a text takes it");
    out
}

#[test]
fn every_recording_is_understood_as_before() {
    recordings::compare(cases().into_iter().map(|(path, lines)| {
        let now = understood(&path, &lines);
        (path, now)
    }));
}

#[test]
fn reading_goes_on_from_a_stored_state_after_any_line() {
    for (path, lines) in cases() {
        let mut whole = PiProtocol::new();
        whole.opening(&work(&path));
        for (number, recorded) in lines.iter().enumerate() {
            let stored = serde_json::to_string(&whole.state()).expect("a state is JSON");
            let stored: Value = serde_json::from_str(&stored).expect("and comes back");
            let mut restored = PiProtocol::restore(stored).expect("it is a state");
            match recorded.pipe.as_str() {
                "in" | "meta" => {
                    replay_command(&mut whole, recorded);
                    replay_command(&mut restored, recorded);
                }
                "out" => {
                    let line = recorded.bytes();
                    assert_eq!(whole.hear(&line), restored.hear(&line), "{} line {number}", path.display());
                }
                _ => {}
            }
            // The same state after every line is the same behaviour on all that follow.
            assert_eq!(whole.state(), restored.state(), "{} line {number}", path.display());
        }
    }
}

fn is_dialog(line: &Value) -> bool {
    let method = line["method"].as_str().unwrap_or_default();
    line["type"] == "extension_ui_request" && matches!(method, "input" | "editor" | "select" | "confirm")
}

#[test]
fn every_request_in_the_recordings_is_asked_and_each_call_has_one() {
    let mut asked = 0;
    for (path, lines) in cases() {
        let mut protocol = PiProtocol::new();
        for recorded in lines.iter().filter(|recorded| recorded.pipe == "out") {
            let heard = protocol.hear(&recorded.bytes());
            let asks = heard.events.iter().filter(|event| matches!(event, AgentEvent::Asked(_))).count();
            assert_eq!(asks, usize::from(is_dialog(&recorded.line)), "{}", path.display());
            assert!(heard.replies.is_empty(), "{}: nothing is said unasked", path.display());
            asked += asks;
        }
    }
    assert!(asked > 25, "the recordings hold {asked} questions");
}

#[test]
fn no_turn_ends_that_did_not_begin_none_begins_twice_and_each_that_was_seen_to_its_end_ends() {
    for (path, lines) in cases() {
        let mut protocol = PiProtocol::new();
        protocol.opening(&work(&path));
        let (mut running, mut ended) = (false, 0);
        for recorded in &lines {
            if recorded.pipe != "out" {
                running &= recorded.pipe != "meta";
                replay_command(&mut protocol, recorded);
            }
            let heard =
                if recorded.pipe == "out" { protocol.hear(&recorded.bytes()) } else { Heard::default() };
            for event in heard.events {
                match event {
                    AgentEvent::TurnStarted => {
                        assert!(!running, "{}", path.display());
                        running = true;
                    }
                    AgentEvent::TurnFinished(_) => {
                        assert!(running, "{}", path.display());
                        running = false;
                        ended += 1;
                    }
                    _ => {}
                }
            }
        }
        let killed = ["killed", "sigkill"].iter().any(|word| path.to_string_lossy().contains(word));
        assert!(!running || killed, "{}: a turn never ended", path.display());
        let runs = lines.iter().filter(|line| line.line["type"] == "agent_end").count();
        assert!(ended > 0 || runs == 0, "{}", path.display());
    }
}

#[test]
fn the_text_of_a_turn_is_told_once() {
    for (path, lines) in cases() {
        let mut protocol = PiProtocol::new();
        let (mut told, mut finished) = (String::new(), String::new());
        for recorded in lines.iter().filter(|recorded| recorded.pipe == "out") {
            let line = &recorded.line;
            if line["type"] == "message_end" && line["message"]["role"] == "assistant" {
                for block in line["message"]["content"].as_array().into_iter().flatten() {
                    finished.push_str(block["text"].as_str().unwrap_or_default());
                }
            }
            for event in protocol.hear(&recorded.bytes()).events {
                if let AgentEvent::Text { text, .. } = event {
                    told.push_str(&text);
                }
            }
        }
        assert_eq!(told, finished, "{}", path.display());
    }
}

/// A program that is up, or not, after it said these lines.
fn up(work: &Work, lines: &[&str]) -> Vec<AgentEvent> {
    let mut protocol = PiProtocol::new();
    protocol.opening(work);
    lines.iter().flat_map(|line| protocol.hear(line.as_bytes()).events).collect()
}

fn state_with(messages: u64) -> String {
    json!({ "id": "hello", "type": "response", "command": "get_state", "success": true,
        "data": { "sessionFile": "/s.jsonl", "messageCount": messages, "model": { "provider": "p", "id": "m" } } })
    .to_string()
}

#[test]
fn it_is_ready_only_when_the_gate_is_there_and_well() {
    let new = Work { directory: "/p".into(), ..Work::default() };
    let ready = AgentEvent::Ready { version: None, model: Some("p/m".into()) };
    let state = state_with(0);
    assert_eq!(up(&new, &[GATE, &state]), [AgentEvent::Conversation("/s.jsonl".into()), ready]);
    let faulty = GATE.replace("null", "\\\"settings\\\"");
    for lines in [vec![state.as_str()], vec![&faulty, &state], vec![REST, &state]] {
        let events = up(&new, &lines);
        assert!(!events.iter().any(|event| matches!(event, AgentEvent::Ready { .. })), "{events:?}");
        let Some(AgentEvent::TurnFinished(end)) = events.last() else { panic!("{events:?}") };
        assert_eq!((end.ok, end.cause), (false, Some(EndCause::BadConfiguration)));
    }
}

#[test]
fn a_conversation_that_is_gone_is_told_and_nothing_is_said_into_an_empty_one() {
    let old = Work { directory: "/p".into(), resume: true, ..Work::default() };
    let events = up(&old, &[GATE, &state_with(0)]);
    assert!(
        matches!(&events[..], [AgentEvent::Notice { code, .. }] if code == CONVERSATION_LOST),
        "{events:?}"
    );
    assert!(matches!(up(&old, &[GATE, &state_with(3)]).last(), Some(AgentEvent::Ready { .. })));
    let elsewhere = Work { directory: "/other".into(), ..old };
    let events = up(&elsewhere, &[GATE, &state_with(3)]);
    assert!(matches!(&events[0], AgentEvent::Notice { code, .. } if code == "AGENT_DIRECTORY"), "{events:?}");
}

fn turn_with(lines: &[&str]) -> (PiProtocol, Heard) {
    let mut protocol = PiProtocol::new();
    protocol.opening(&Work::default());
    let mut last = Heard::default();
    for line in [r#"{"type":"agent_start"}"#].iter().chain(lines) {
        last = protocol.hear(line.as_bytes());
    }
    (protocol, last)
}

fn ends(heard: &Heard) -> bool {
    heard.events.iter().any(|event| matches!(event, AgentEvent::TurnFinished(_)))
}

const ERROR: &str =
    r#"{"type":"message_end","message":{"role":"assistant","stopReason":"error","errorMessage":"503 x"}}"#;
const END: &str = r#"{"type":"agent_end","messages":[]}"#;

#[test]
fn the_end_of_a_run_is_not_the_end_of_the_turn_when_more_follows() {
    let retry =
        r#"{"type":"auto_retry_start","attempt":1,"maxAttempts":3,"delayMs":2000,"errorMessage":"503 x"}"#;
    let gave_up = r#"{"type":"auto_retry_end","success":false,"attempt":1,"finalError":"Retry cancelled"}"#;
    let shorten = r#"{"type":"compaction_start","reason":"threshold"}"#;
    let shortened =
        r#"{"type":"compaction_end","result":{"tokensBefore":9},"aborted":false,"willRetry":false}"#;
    let retried = r#"{"type":"compaction_end","result":{"tokensBefore":9},"aborted":false,"willRetry":true}"#;
    assert!(ends(&turn_with(&[ERROR, END, REST]).1));
    assert!(!ends(&turn_with(&[ERROR, END, retry]).1));
    assert!(!ends(&turn_with(&[ERROR, END, retry, REST]).1), "it rests only for now");
    assert!(ends(&turn_with(&[ERROR, END, retry, REST, gave_up]).1));
    assert!(!ends(&turn_with(&[END, shorten, REST]).1));
    assert!(ends(&turn_with(&[END, shorten, REST, shortened]).1));
    assert!(!ends(&turn_with(&[END, shorten, REST, retried]).1));
    let (_, begun_again) = turn_with(&[END, shorten, REST, retried, r#"{"type":"agent_start"}"#]);
    assert_eq!(begun_again, Heard::default(), "the same turn");
}

#[test]
fn where_the_gate_rested_too_early_the_agent_is_asked() {
    let (mut protocol, heard) = turn_with(&[ERROR, REST, END]);
    assert!(heard.replies.iter().any(|reply| reply.line.contains("get_state")), "{heard:?}");
    let answer = r#"{"id":"probe-0","type":"response","command":"get_state","success":true,"data":{}}"#;
    assert!(ends(&protocol.hear(answer.as_bytes())));
}

#[test]
fn an_interrupt_that_came_too_early_is_said_again_when_there_is_something_to_stop() {
    let mut protocol = PiProtocol::new();
    protocol.opening(&Work::default());
    let input =
        GATE.replace(r#"\"gate\":1,\"cwd\":\"/p\",\"fault\":null"#, r#"\"input\":\"u\",\"known\":false"#);
    let heard = protocol.hear(input.as_bytes());
    assert_eq!(heard.events, [turn::progress("u", InputProgress::Accepted)]);
    protocol.say(&AgentCommand::Interrupt, false);
    protocol.hear(br#"{"id":"interrupt-0","type":"response","command":"abort","success":true}"#);
    let begun = protocol.hear(br#"{"type":"agent_start"}"#);
    assert!(begun.replies.iter().any(|reply| reply.line.contains("\"abort\"")), "{begun:?}");
    // One that had nothing to stop is over with its answer.
    let mut idle = PiProtocol::new();
    idle.say(&AgentCommand::Interrupt, false);
    idle.hear(br#"{"id":"interrupt-0","type":"response","command":"abort","success":true}"#);
    assert!(idle.hear(br#"{"type":"agent_start"}"#).replies.is_empty());
}

#[test]
fn a_known_prompt_is_not_counted_again() {
    let mut protocol = PiProtocol::new();
    let input =
        GATE.replace(r#"\"gate\":1,\"cwd\":\"/p\",\"fault\":null"#, r#"\"input\":\"u\",\"known\":true"#);
    assert_eq!(protocol.hear(input.as_bytes()), Heard::default());
    assert!(protocol.state.sent.is_empty());
}

#[test]
fn a_long_tool_result_is_cut_with_a_mark() {
    let line = json!({ "type": "tool_execution_end", "toolCallId": "t",
        "result": { "content": [{ "type": "text", "text": "é".repeat(100_000) }] } });
    let events = PiProtocol::new().hear(line.to_string().as_bytes()).events;
    let [AgentEvent::ToolResult { text, .. }] = &events[..] else { panic!("{events:?}") };
    assert!(text.len() < 66_000 && text.ends_with("of 200000 bytes are shown"), "{}", text.len());
}

#[test]
fn a_state_that_is_none_is_refused_with_words() {
    for state in [Value::Null, json!("x"), json!({ "in_turn": 7 })] {
        assert!(PiProtocol::restore(state).is_err_and(|error| error.contains("pi protocol")));
    }
}
