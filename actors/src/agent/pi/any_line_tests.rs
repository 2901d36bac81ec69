//! Properties that hold for any line.

use proptest::prelude::*;
use proptest::strategy::ValueTree;

use super::*;
use crate::domain::approval::{Answer, ApprovalKind, Scope};

/// Any JSON, a few levels deep.
fn any_json() -> impl Strategy<Value = Value> {
    let words = [
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
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        // Words that mean something in some place.
        prop::sample::select(words.to_vec()).prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-z_]{1,9}", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// Places in a value, by the way to them.
fn places(value: &Value, path: &str, found: &mut Vec<String>) {
    found.push(path.to_owned());
    match value {
        Value::Object(map) => {
            for (key, inner) in map {
                places(inner, &format!("{path}/{}", key.replace('~', "~0").replace('/', "~1")), found);
            }
        }
        Value::Array(list) => {
            for (index, inner) in list.iter().enumerate() {
                places(inner, &format!("{path}/{index}"), found);
            }
        }
        _ => {}
    }
}

fn out_lines() -> Vec<Value> {
    let lines = cases().into_iter().flat_map(|(_, lines)| lines);
    lines.filter(|recorded| recorded.pipe == "out").map(|recorded| recorded.line).collect()
}

/// That what was heard is sound, allows nothing, and that the state can be stored and stays small.
fn check(protocol: &mut PiProtocol, line: &[u8]) -> Heard {
    let heard = protocol.hear(line);
    for reply in &heard.replies {
        let said: Value = serde_json::from_str(&reply.line).expect("a line is JSON");
        assert!(!reply.line.contains('\n'));
        let kind = said["type"].as_str().unwrap_or_default();
        let no = said["cancelled"] == true || said["value"].to_string().contains("deny");
        assert!(matches!(kind, "get_state" | "abort") || (kind == "extension_ui_response" && no), "{said}");
    }
    for event in &heard.events {
        if let AgentEvent::Asked(ask) = event {
            assert!(!ask.title.contains('\n') && ask.title.len() < 300, "{}", ask.title);
            assert!(ask.kind == ApprovalKind::Question || ask.questions.is_empty());
            assert!(!ask.is_edit || !ask.paths.is_empty());
        }
    }
    let state = protocol.state();
    assert!(state.to_string().len() < 300 * 1024, "the state has grown");
    assert_eq!(PiProtocol::restore(state).expect("it is a state").state, protocol.state);
    heard
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_survived(line in prop::collection::vec(any::<u8>(), 0..300)) {
        check(&mut PiProtocol::new(), &line);
    }

    #[test]
    fn any_json_is_survived(value in any_json(), kind in prop::sample::select(vec![
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
        value in any_json(), name in any_json(), input in any_json(),
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
    fn only_a_yes_says_yes(name in "[A-Za-z_]{1,20}", input in any_json(), yes in any::<bool>()) {
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
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut protocol = PiProtocol::new();
    for (number, line) in out_lines().iter().enumerate() {
        let mut found = Vec::new();
        places(line, "", &mut found);
        let place = &found[(number * 7) % found.len()];
        let odd = any_json().new_tree(&mut runner).expect("there is always one").current();
        let mut mutated = line.clone();
        *mutated.pointer_mut(place).expect("the place is there") = odd;
        check(&mut protocol, mutated.to_string().as_bytes());
        let text = line.to_string();
        check(&mut protocol, &text.as_bytes()[..(number * 31) % (text.len() + 1)]);
        check(&mut protocol, text.as_bytes());
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
