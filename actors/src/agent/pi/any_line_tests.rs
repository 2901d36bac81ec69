//! Properties that hold for any line.

use proptest::prelude::*;

use super::*;
use crate::agent::any_line::{Odd, any_json, hear_soundly};
use crate::domain::approval::{Answer, Scope};

/// Words that mean something in some place.
const WORDS: &[&str] = &[
    "text",
    "thinking",
    "assistant",
    "user",
    "input",
    "select",
    "confirm",
    "setStatus",
    "tether",
    "aborted",
];

fn out_lines() -> Vec<Value> {
    let lines = cases().into_iter().flat_map(|(_, lines)| lines);
    lines.filter(|recorded| recorded.pipe == "out").map(|recorded| recorded.line).collect()
}

/// That what was heard is sound, allows nothing, and that the state can be stored and stays small.
fn check(protocol: &mut PiProtocol, line: &[u8]) -> Heard {
    let heard = hear_soundly(protocol, line, 300 * 1024);
    for reply in &heard.replies {
        let said: Value = serde_json::from_str(&reply.line).expect("a line is JSON");
        let kind = said["type"].as_str().unwrap_or_default();
        let no = said["cancelled"] == true || said["value"].to_string().contains("deny");
        assert!(matches!(kind, "get_state" | "abort") || (kind == "extension_ui_response" && no), "{said}");
    }
    assert_eq!(PiProtocol::restore(protocol.state()).expect("it is a state").state, protocol.state);
    heard
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_survived(line in prop::collection::vec(any::<u8>(), 0..300)) {
        check(&mut PiProtocol::new(), &line);
    }

    #[test]
    fn any_json_is_survived(value in any_json(WORDS), kind in prop::sample::select(vec![
        "agent_start", "agent_end", "message_start", "message_update", "message_end", "tool_execution_start",
        "tool_execution_end", "extension_ui_request", "auto_retry_start", "auto_retry_end", "compaction_start",
        "compaction_end", "response", "extension_error", "other",
    ])) {
        let mut protocol = PiProtocol::new();
        check(&mut protocol, value.to_string().as_bytes());
        let line = json!({ "type": kind, "message": value, "assistantMessageEvent": value, "id": value, "method": value,
            "title": value, "options": value, "placeholder": value, "statusKey": "tether",
            "statusText": value.to_string(), "result": value, "data": value, "success": value });
        check(&mut protocol, line.to_string().as_bytes());
    }

    #[test]
    fn a_request_is_always_asked_or_refused(
        id in ".{0,20}", method in prop::sample::select(vec!["input", "select", "confirm", "editor", "hologram", ""]),
        title in prop::sample::select(vec!["tether.approval/1", "tether.question/1", "Which?", ""]),
        value in any_json(WORDS), name in any_json(WORDS), input in any_json(WORDS),
    ) {
        let asked = json!({ "toolName": name, "input": input, "question": name, "options": value });
        for placeholder in [asked.to_string(), value.to_string()] {
            let line = json!({ "type": "extension_ui_request", "id": id, "method": method, "title": title,
                "placeholder": placeholder, "options": value, "message": name });
            let heard = check(&mut PiProtocol::new(), line.to_string().as_bytes());
            let asked = heard.events.iter().any(|event| matches!(event, AgentEvent::Asked(ask) if ask.request == id));
            prop_assert!(asked != (heard.replies.len() == 1), "{heard:?}");
        }
    }

    #[test]
    fn only_a_yes_says_yes(name in "[A-Za-z_]{1,20}", input in any_json(WORDS), yes in any::<bool>()) {
        let request = json!({ "toolName": name, "input": { "x": input }, "cwd": "/p" }).to_string();
        let line = json!({ "type": "extension_ui_request", "id": "r", "method": "input",
            "title": ask::APPROVAL, "placeholder": request });
        let mut protocol = PiProtocol::new();
        protocol.hear(GATE.as_bytes());
        let heard = protocol.hear(line.to_string().as_bytes());
        let [AgentEvent::Asked(ask)] = &heard.events[..] else { panic!("{heard:?}") };
        prop_assert_eq!(&ask.tool_name, &name);
        let answer = if yes {
            Answer::Allow { scope: Scope::All30m, updated_input: None, answers: None, message: None }
        } else {
            Answer::Deny { message: None }
        };
        let said = protocol.say(&AgentCommand::Answer { ask: ask.clone(), answer }, false);
        prop_assert_eq!(said[0].line.contains(r#"{\"decision\":\"allow\"}"#), yes);
        prop_assert!(protocol.state.open.is_empty());
    }
}

#[test]
fn real_lines_with_anything_in_any_place_are_survived() {
    let mut odd = Odd::new(WORDS);
    let mut protocol = PiProtocol::new();
    for line in &out_lines() {
        for line in odd.lines(line) {
            check(&mut protocol, &line);
        }
    }
}

#[test]
fn real_lines_in_any_order_and_any_number_are_survived() {
    let lines = out_lines();
    let mut protocol = PiProtocol::new();
    // A walk over all of them with a stride that shares no factor with their number.
    let stride = (lines.len() / 3..).find(|stride| gcd(*stride, lines.len()) == 1).expect("there is one");
    for step in 0..lines.len() {
        let line = lines[(step * stride) % lines.len()].to_string();
        for _ in 0..1 + step % 2 {
            check(&mut protocol, line.as_bytes());
        }
    }
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}
