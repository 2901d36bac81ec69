//! What holds for any line, whatever stands on it.

use proptest::prelude::*;

use super::*;
use crate::agent::any_line::{Odd, any_json, hear_soundly};
use crate::domain::approval::ApprovalKind;

/// Words that mean something in some place.
const WORDS: &[&str] = &[
    "text",
    "allow_once",
    "allow_always",
    "reject_once",
    "edit",
    "execute",
    "pending",
    "completed",
    "end_turn",
    "cancelled",
    "agent_message_chunk",
    "tool_call",
    "plan",
    "form",
    "diff",
    "yolo",
    "default",
    "string",
    "c",
];

/// In the middle of a turn, with everything that can be chosen.
fn working() -> AcpProtocol {
    let mut protocol = AcpProtocol::new();
    opening::open(&mut protocol, &Work { directory: "/p".into(), ..Work::default() });
    protocol.say(&AgentCommand::Prompt { input: "i".into(), text: "go".into(), images: Vec::new() }, false);
    protocol
}

/// Whether a line to the agent lets something happen.
fn allows(outgoing: &Outgoing) -> bool {
    let line = parsed(outgoing);
    line.pointer("/result/outcome/optionId").is_some_and(|option| option.to_string().contains("allow"))
        || line.pointer("/result/action").is_some_and(|action| action == "accept")
}

/// That what was heard is sound, lets nothing happen, and that the state can be stored and stays small.
fn check(protocol: &mut AcpProtocol, line: &[u8]) -> Heard {
    let heard = hear_soundly(protocol, line, 256 * 1024);
    for reply in &heard.replies {
        assert!(!allows(reply), "{}", reply.line);
    }
    for event in &heard.events {
        if let AgentEvent::Asked(ask) = event {
            assert_eq!(ask.kind == ApprovalKind::Question, !ask.questions.is_empty());
        }
    }
    assert_eq!(AcpProtocol::restore(protocol.state()).expect("it is a state").state, protocol.state);
    heard
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_survived(line in prop::collection::vec(any::<u8>(), 0..300)) {
        check(&mut working(), &line);
    }

    #[test]
    fn any_json_is_survived(value in any_json(WORDS), kind in prop::sample::select(vec![
        "agent_message_chunk", "agent_thought_chunk", "tool_call", "tool_call_update", "plan", "current_mode_update",
        "config_option_update", "usage_update", "session_info_update", "notice", "compaction_update", "other",
    ]), method in prop::sample::select(vec![
        "session/request_permission", "elicitation/create", "fs/read_text_file", "$/cancel_request", "other",
    ])) {
        let mut protocol = working();
        check(&mut protocol, value.to_string().as_bytes());
        let mut update = json!({ "sessionUpdate": kind, "content": value, "toolCallId": "c", "entries": value,
            "configOptions": value, "cost": value, "_meta": value, "currentModeId": value, "title": value });
        check(&mut protocol, json!({ "method": "session/update", "params": { "update": update } }).to_string().as_bytes());
        update["status"] = json!("completed");
        check(&mut protocol, json!({ "method": "session/update", "params": { "update": update } }).to_string().as_bytes());
        for id in [json!(3), value.clone()] {
            check(&mut protocol, json!({ "id": id, "method": method, "params": value }).to_string().as_bytes());
        }
        let request = protocol.state.turn.as_ref().map(|turn| turn.request.clone()).unwrap_or_default();
        for id in ["hello/1", "join/1", "tune/1", "prompt/1/i", "model/1/x", "planning/1/true", "mode/1/x", &request] {
            check(&mut protocol, json!({ "id": id, "result": value }).to_string().as_bytes());
            check(&mut protocol, json!({ "id": id, "error": value }).to_string().as_bytes());
        }
    }

    #[test]
    fn a_request_to_use_a_tool_is_always_asked_or_refused(
        id in any_json(WORDS), call in any_json(WORDS), name in any_json(WORDS), options in any_json(WORDS), good in any::<bool>(),
    ) {
        let options = match good {
            true => json!([{ "optionId": "1", "kind": "allow_once", "name": name }, { "optionId": name, "kind": "reject_once" }]),
            false => options,
        };
        let whole = json!({ "toolCallId": name, "title": name, "kind": name, "rawInput": call, "content": call });
        for call in [whole, call] {
            let params = json!({ "options": options, "toolCall": call });
            let line = json!({ "id": id, "method": "session/request_permission", "params": params });
            let heard = check(&mut working(), line.to_string().as_bytes());
            let id = id.to_string();
            let asked = heard.events.iter().any(|event| matches!(event, AgentEvent::Asked(ask) if ask.request == id));
            prop_assert!(asked != (heard.replies.len() == 1), "{heard:?}");
        }
    }

    #[test]
    fn an_answer_says_what_was_answered_and_once(id in any_json(WORDS), call in any_json(WORDS), yes in any::<bool>(), shuffled in any::<u8>()) {
        let mut options = vec![
            json!({ "optionId": "allow it always", "kind": "allow_always" }),
            json!({ "optionId": "allow it once", "kind": "allow_once" }),
            json!({ "optionId": "no", "kind": "reject_once" }),
            json!({ "optionId": "never", "kind": "reject_always" }),
        ];
        options.rotate_left(usize::from(shuffled) % 4);
        let params = json!({ "options": options, "toolCall": { "toolCallId": "c", "title": "t", "rawInput": call } });
        let mut protocol = working();
        let line = json!({ "id": id, "method": "session/request_permission", "params": params });
        let heard = protocol.hear(line.to_string().as_bytes());
        let Some(AgentEvent::Asked(ask)) = heard.events.last() else { panic!("{heard:?}") };
        let answer = match yes {
            true => Answer::Allow { scope: Scope::All30m, updated_input: None, answers: None, message: None },
            false => Answer::Deny { message: None },
        };
        let said = parsed(&protocol.say(&AgentCommand::Answer { ask: ask.clone(), answer }, false)[0]);
        prop_assert_eq!(&said["id"], &id);
        prop_assert_eq!(&said["result"]["outcome"]["optionId"], if yes { "allow it once" } else { "no" });
    }
}

#[test]
fn real_lines_with_anything_in_any_place_cut_doubled_and_out_of_order_are_survived() {
    let mut odd = Odd::new(WORDS);
    for (_, lines) in cases() {
        let mut replay = Replay::new(&lines);
        let mut kept: Option<Vec<u8>> = None;
        while let Some(recorded) = replay.lines.get(replay.at).cloned() {
            replay.step();
            if recorded.inward {
                continue;
            }
            let protocol = &mut replay.protocol;
            for line in odd.lines(&recorded.line) {
                check(protocol, &line);
            }
            if let Some(earlier) = kept.replace(recorded.line.to_string().into_bytes()) {
                check(protocol, &earlier);
            }
        }
    }
}
