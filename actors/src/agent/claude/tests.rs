//! Recorded conversations with the real program, and properties that hold for any line.
//!
//! `tests/transcripts/claude/<case>.jsonl` is what went over the pipes: one object a line, `dir` =
//! `in` (to the agent), `out`, `stderr` or `meta`, and the `line`. Beside it, `<case>.txt` is what it is
//! to be understood as. After a change on purpose: `UPDATE_GOLDEN=1 cargo test -p tether-actors claude`,
//! and read the difference.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::agent::any_line::{Odd, any_json, hear_soundly};
use crate::agent::recordings;
use crate::domain::agent::AgentEvent;
use crate::domain::approval::{Answer, Scope};

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
    recordings::paths("claude", 50).into_iter().map(|path| (path.clone(), recorded(&path))).collect()
}

fn recorded(path: &Path) -> Vec<Recorded> {
    let text = std::fs::read_to_string(path).expect("it can be read");
    let line = |line: &str| {
        let mut value: Value = serde_json::from_str(line).expect("a recording is JSON");
        let pipe = value["dir"].as_str().expect("it has a pipe").to_owned();
        Recorded { pipe, line: value["line"].take() }
    };
    text.lines().map(line).collect()
}

/// What the recorded supervisor did, as far as the protocol must know of it.
fn replay_command(protocol: &mut ClaudeProtocol, line: &Value) {
    if line["request"]["subtype"] == "interrupt" {
        protocol.say(&AgentCommand::Interrupt, false);
    }
}

/// What a recording is understood as.
fn understood(lines: &[Recorded]) -> String {
    let mut protocol = ClaudeProtocol::new();
    protocol.opening(&Work::default());
    let mut out = String::new();
    let mut stderr = Vec::new();
    for recorded in lines {
        match recorded.pipe.as_str() {
            "in" => {
                replay_command(&mut protocol, &recorded.line);
                let line = recorded.line.to_string();
                writeln!(out, "> {}", crate::agent::fields::head(&line, 160)).expect("a text takes it");
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
            _ => {}
        }
    }
    writeln!(out, "end: {:?}, {:?}", protocol.end_hint(&stderr), conversation_fault(&stderr))
        .expect("a text takes it");
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
        let mut whole = ClaudeProtocol::new();
        whole.opening(&Work::default());
        for (number, recorded) in lines.iter().enumerate() {
            let stored = serde_json::to_string(&whole.state()).expect("a state is JSON");
            let stored: Value = serde_json::from_str(&stored).expect("and comes back");
            let mut restored = ClaudeProtocol::restore(stored).expect("it is a state");
            match recorded.pipe.as_str() {
                "in" => {
                    replay_command(&mut whole, &recorded.line);
                    replay_command(&mut restored, &recorded.line);
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

#[test]
fn every_request_in_the_recordings_is_asked_or_refused() {
    let mut asked = 0;
    for (path, lines) in cases() {
        let mut protocol = ClaudeProtocol::new();
        for recorded in lines.iter().filter(|recorded| recorded.pipe == "out") {
            let heard = protocol.hear(&recorded.bytes());
            let asks = heard.events.iter().filter(|event| matches!(event, AgentEvent::Asked(_))).count();
            let expected = usize::from(recorded.line["type"] == "control_request");
            assert_eq!(asks + heard.replies.len(), expected, "{}", path.display());
            asked += asks;
        }
    }
    assert!(asked > 30, "the recordings hold {asked} questions");
}

#[test]
fn no_turn_ends_that_did_not_begin_and_none_begins_twice() {
    for (path, lines) in cases() {
        let mut protocol = ClaudeProtocol::new();
        let mut running = false;
        for recorded in lines.iter().filter(|recorded| recorded.pipe == "out") {
            for event in protocol.hear(&recorded.bytes()).events {
                match event {
                    AgentEvent::TurnStarted => {
                        assert!(!running, "{}", path.display());
                        running = true;
                    }
                    AgentEvent::TurnFinished(_) => {
                        assert!(running, "{}", path.display());
                        running = false;
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
        let mut protocol = ClaudeProtocol::new();
        let mut told = String::new();
        let mut finished = String::new();
        for recorded in lines.iter().filter(|recorded| recorded.pipe == "out") {
            let line = &recorded.line;
            if line["type"] == "assistant" && line["is_api_error_message"] != true {
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
        // A program that is killed in mid-block never finishes it.
        assert!(told.starts_with(&finished), "{}: {told:?} {finished:?}", path.display());
    }
}

#[test]
fn a_conversation_that_is_gone_is_told_and_no_turn_ends() {
    let mut protocol = ClaudeProtocol::new();
    let line = json!({ "type": "result", "subtype": "error_during_execution", "is_error": true, "num_turns": 0,
        "session_id": "7f", "errors": ["No conversation found with session ID: 7f"] });
    let events = protocol.hear(line.to_string().as_bytes()).events;
    assert!(
        matches!(&events[..], [AgentEvent::Notice { code, .. }] if code == CONVERSATION_LOST),
        "{events:?}"
    );
    assert_eq!(protocol.end_hint(&["No conversation found with session ID: 7f".to_owned()]), None);
}

#[test]
fn a_limit_is_told_once_and_its_end_is_given_with_the_turn() {
    let mut protocol = ClaudeProtocol::new();
    let mut hear = |line: Value| protocol.hear(line.to_string().as_bytes()).events;
    let limit = json!({ "type": "rate_limit_event",
        "rate_limit_info": { "status": "rejected", "resetsAt": 1_764_000_000, "rateLimitType": "five_hour" } });
    assert!(matches!(&hear(limit.clone())[..], [AgentEvent::Notice { code, .. }] if code == "USAGE_LIMIT"));
    assert_eq!(hear(limit), []);
    let result = json!({ "type": "result", "subtype": "success", "is_error": true, "api_error_status": 429,
        "terminal_reason": "api_error", "result": "You've hit your limit · resets 3pm" });
    let events = hear(result);
    let [AgentEvent::TurnFinished(end)] = &events[..] else { panic!("{events:?}") };
    assert_eq!(end.cause, Some(EndCause::UsageLimit));
    assert_eq!(end.resets_at.map(|at| at.unix()), Some(1_764_000_000));
}

#[test]
fn a_mode_in_which_it_does_not_ask_is_told() {
    let mut protocol = ClaudeProtocol::new();
    let status =
        |mode: &str| json!({ "type": "system", "subtype": "status", "permissionMode": mode }).to_string();
    assert_eq!(protocol.hear(status("plan").as_bytes()).events, [AgentEvent::Planning(true)]);
    let events = protocol.hear(status("acceptEdits").as_bytes()).events;
    let [AgentEvent::Planning(false), AgentEvent::Notice { code, .. }] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!(code, "AGENT_MODE");
    assert_eq!(protocol.hear(status("acceptEdits").as_bytes()).events, []);
}

#[test]
fn a_long_tool_result_is_cut_with_a_mark() {
    let line = json!({ "type": "user", "message": { "content": [
        { "type": "tool_result", "tool_use_id": "t", "content": "é".repeat(100_000) }] } });
    let events = ClaudeProtocol::new().hear(line.to_string().as_bytes()).events;
    let [AgentEvent::ToolResult { text, .. }] = &events[..] else { panic!("{events:?}") };
    assert!(text.len() < 66_000 && text.ends_with("of 200000 bytes are shown"), "{}", text.len());
}

#[test]
fn a_new_life_forgets_the_last_one_but_not_the_figures() {
    let mut protocol = ClaudeProtocol::new();
    let result = |cost: f64| {
        json!({ "type": "result", "subtype": "success", "total_cost_usd": cost,
            "modelUsage": { "m": { "costUSD": cost, "inputTokens": 10, "outputTokens": 1 } } })
        .to_string()
    };
    let cost = |events: Vec<AgentEvent>| match &events[..] {
        [AgentEvent::TurnFinished(end)] => end.usage.total_cost_usd,
        other => panic!("{other:?}"),
    };
    assert_eq!(cost(protocol.hear(result(0.5).as_bytes()).events), 0.5);
    let init = br#"{"type":"system","subtype":"init","session_id":"s"}"#;
    assert_eq!(protocol.hear(init).events, [AgentEvent::Conversation("s".into()), AgentEvent::TurnStarted]);
    let mut protocol = ClaudeProtocol::restore(protocol.state()).expect("it is a state");
    let greeting = protocol.opening(&Work::default());
    assert!(greeting.len() == 1 && greeting[0].line.contains("\"initialize\""));
    assert_eq!(
        protocol.hear(init).events,
        [AgentEvent::TurnStarted],
        "a turn begins, the conversation is known"
    );
    assert_eq!(cost(protocol.hear(result(0.75).as_bytes()).events), 0.25);
}

#[test]
fn a_state_that_is_none_is_refused_with_words() {
    for state in [Value::Null, json!("x"), json!({ "in_turn": 7 })] {
        assert!(ClaudeProtocol::restore(state).is_err_and(|error| error.contains("claude")));
    }
}

/// Words that mean something in some place.
const WORDS: &[&str] = &["text", "thinking", "tool_result", "success", "init", "rejected", "default"];

fn out_lines() -> Vec<Value> {
    let lines = cases().into_iter().flat_map(|(_, lines)| lines);
    lines.filter(|recorded| recorded.pipe == "out").map(|recorded| recorded.line).collect()
}

/// That what was heard is sound, and that the state can be stored and stays small.
fn check(protocol: &mut ClaudeProtocol, line: &[u8]) -> Heard {
    let heard = hear_soundly(protocol, line, 64 * 1024);
    assert_eq!(ClaudeProtocol::restore(protocol.state()).expect("it is a state").state, protocol.state);
    heard
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_survived(line in prop::collection::vec(any::<u8>(), 0..300)) {
        check(&mut ClaudeProtocol::new(), &line);
    }

    #[test]
    fn any_json_is_survived(value in any_json(WORDS), kind in prop::sample::select(vec![
        "stream_event", "assistant", "user", "system", "result", "control_request", "control_response",
        "control_cancel_request", "command_lifecycle", "rate_limit_event", "other",
    ])) {
        let mut protocol = ClaudeProtocol::new();
        check(&mut protocol, value.to_string().as_bytes());
        let line = json!({ "type": kind, "event": value, "message": value, "request": value, "response": value,
            "rate_limit_info": value, "subtype": value, "request_id": value, "session_id": value });
        check(&mut protocol, line.to_string().as_bytes());
    }

    #[test]
    fn a_request_to_use_a_tool_is_always_asked_or_refused(
        request in any_json(WORDS), name in any_json(WORDS), input in any_json(WORDS), id in ".{0,20}", interactive in any_json(WORDS),
    ) {
        let whole = json!({ "subtype": "can_use_tool", "tool_name": name, "input": input,
            "requires_user_interaction": interactive, "permission_suggestions": request });
        for request in [whole, request] {
            let line = json!({ "type": "control_request", "request_id": id, "request": request });
            let heard = check(&mut ClaudeProtocol::new(), line.to_string().as_bytes());
            let asked = heard.events.iter().any(|event| matches!(event, AgentEvent::Asked(ask) if ask.request == id));
            prop_assert!(asked != (heard.replies.len() == 1), "{heard:?}");
        }
    }

    #[test]
    fn an_answer_says_what_was_answered(name in "[A-Za-z_]{1,20}", input in any_json(WORDS), yes in any::<bool>()) {
        let line = json!({ "type": "control_request", "request_id": "r",
            "request": { "subtype": "can_use_tool", "tool_name": name, "input": { "x": input } } });
        let mut protocol = ClaudeProtocol::new();
        let heard = protocol.hear(line.to_string().as_bytes());
        let [AgentEvent::Asked(ask)] = &heard.events[..] else { panic!("{heard:?}") };
        let answer = if yes {
            Answer::Allow { scope: Scope::All30m, updated_input: None, answers: None, message: None }
        } else {
            Answer::Deny { message: None }
        };
        let said = protocol.say(&AgentCommand::Answer { ask: ask.clone(), answer }, false);
        let said: Value = serde_json::from_str(&said[0].line).expect("a line is JSON");
        let response = &said["response"]["response"];
        prop_assert_eq!(response["behavior"] == "allow", yes);
        if yes {
            prop_assert_eq!(&response["updatedInput"], &ask.tool_input);
            prop_assert!(response.get("updatedPermissions").is_none());
        }
    }
}

#[test]
fn real_lines_with_anything_in_any_place_are_survived() {
    let mut odd = Odd::new(WORDS);
    let mut protocol = ClaudeProtocol::new();
    for line in &out_lines() {
        for line in odd.lines(line) {
            check(&mut protocol, &line);
        }
    }
}
