//! Properties that hold for any line: nothing panics, and nothing is silently allowed.

use proptest::prelude::*;

use super::*;
use crate::agent::any_line::{Odd, any_json, hear_soundly};
use crate::agent::fields::Fields;
use crate::domain::approval::ApprovalKind;

/// Whether a line of ours allows something.
fn allows(line: &Value) -> bool {
    let result = &line["result"];
    result["decision"].as_str().is_some_and(|decision| decision.starts_with("accept"))
        || result["decision"].is_object()
        || result["action"] == "accept"
        || result["permissions"].as_object().is_some_and(|granted| !granted.is_empty())
}

/// Words that mean something in some place.
const WORDS: &[&str] =
    &["T", "commandExecution", "fileChange", "completed", "plan", "add", "writeStdin", "form"];

fn out_lines() -> Vec<Value> {
    let lines = cases().into_iter().flat_map(|(_, lines)| lines);
    lines.filter(|recorded| recorded.out).map(|recorded| recorded.line).collect()
}

/// That what was heard is sound, that nothing was allowed, and that the state can be stored and stays small.
fn check(protocol: &mut CodexProtocol, line: &[u8]) -> Heard {
    let heard = hear_soundly(protocol, line, 1024 * 1024);
    for reply in &heard.replies {
        let reply: Value = serde_json::from_str(&reply.line).expect("a reply is JSON");
        assert!(!allows(&reply), "{reply}");
    }
    for event in &heard.events {
        if let AgentEvent::Asked(ask) = event {
            assert!(!ask.can_change_input);
        }
    }
    assert_eq!(CodexProtocol::restore(protocol.state()).expect("it is a state").state, protocol.state);
    heard
}

const REQUESTS: &[&str] = &[
    "item/commandExecution/requestApproval",
    "item/fileChange/requestApproval",
    "item/tool/requestUserInput",
    "item/permissions/requestApproval",
    "mcpServer/elicitation/request",
    "item/tool/call",
    "execCommandApproval",
    "never/heard/of",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_survived(line in prop::collection::vec(any::<u8>(), 0..300)) {
        check(&mut CodexProtocol::new(), &line);
    }

    #[test]
    fn any_json_is_survived(value in any_json(WORDS), method in prop::sample::select(vec![
        "item/started", "item/completed", "turn/started", "turn/completed", "error", "item/agentMessage/delta",
        "thread/tokenUsage/updated", "account/rateLimits/updated", "turn/plan/updated", "thread/settings/updated",
        "serverRequest/resolved", "hook/completed", "configWarning", "mcpServer/startupStatus/updated",
    ])) {
        let (mut protocol, _) = with_thread(&Work::default());
        check(&mut protocol, value.to_string().as_bytes());
        let params = json!({ "threadId": "T", "turn": value, "item": value, "error": value, "willRetry": true,
            "tokenUsage": value, "rateLimits": value, "threadSettings": value, "run": value, "plan": value });
        check(&mut protocol, json!({ "method": method, "params": params }).to_string().as_bytes());
        check(&mut protocol, json!({ "method": method, "params": value }).to_string().as_bytes());
        for id in ["initialize", "settings", "loaded", "thread", "turn-x", "again-x", "terminals-0", "set-model-0"] {
            check(&mut protocol, json!({ "id": id, "result": value }).to_string().as_bytes());
        }
    }

    #[test]
    fn a_request_is_always_asked_or_refused(
        method in prop::sample::select(REQUESTS.to_vec()), value in any_json(WORDS), id in any::<u32>(), text in ".{0,20}",
    ) {
        let (mut protocol, _) = with_thread(&Work::default());
        let whole = json!({ "threadId": "T", "turnId": "U", "itemId": text, "command": value, "kind": value,
            "questions": [{ "id": "q", "question": text, "options": value }], "permissions": value, "grantRoot": value,
            "_meta": value, "requestedSchema": { "properties": { "a": value, "b": { "type": "string" } } } });
        for params in [whole, value] {
            let line = json!({ "id": id, "method": method, "params": params });
            let heard = check(&mut protocol, line.to_string().as_bytes());
            let asked = heard.events.iter().any(|event| matches!(event, AgentEvent::Asked(_)));
            prop_assert!(asked != (heard.replies.len() == 1), "{heard:?}");
        }
    }

    #[test]
    fn an_answer_says_what_was_answered_and_never_more(
        method in prop::sample::select(REQUESTS.to_vec()), id in any::<u32>(), yes in any::<bool>(), text in "[a-z]{1,9}",
    ) {
        let (mut protocol, _) = with_thread(&Work::default());
        let params = json!({ "threadId": "T", "turnId": "U", "itemId": "c", "command": text, "reason": text,
            "questions": [{ "id": "q", "question": text }], "permissions": { "network": { "enabled": true } },
            "proposedExecpolicyAmendment": [text], "serverName": "s",
            "_meta": { "codex_approval_kind": "mcp_tool_call", "tool_name": text, "persist": ["session", "always"] } });
        let heard = protocol.hear(json!({ "id": id, "method": method, "params": params }).to_string().as_bytes());
        let [AgentEvent::Asked(ask)] = &heard.events[..] else { return Ok(()) };
        let answers = (ask.kind == ApprovalKind::Question).then(|| [(text.clone(), vec!["x".to_owned()])].into());
        let answer = if yes {
            Answer::Allow { scope: Scope::All30m, updated_input: None, answers, message: None }
        } else {
            Answer::Deny { message: Some(text.clone()) }
        };
        let said = lines(&protocol.say(&AgentCommand::Answer { ask: ask.clone(), answer }, false));
        let verdict = said.last().expect("an answer is a line");
        prop_assert_eq!(&verdict["id"], &json!(id));
        if ask.kind == ApprovalKind::Question {
            prop_assert_eq!(verdict["result"]["answers"].as_object().map(|all| all.len()), Some(usize::from(yes)));
        } else {
            prop_assert_eq!(allows(verdict), yes);
        }
        let all = verdict.to_string();
        for more in ["ForSession", "Amendment", "persist", "session", "always"] {
            prop_assert!(!all.contains(more), "{}", all);
        }
        if !yes {
            prop_assert_eq!(said[0]["method"].as_str(), Some("turn/steer"), "the reason reaches it");
        }
    }
}

#[test]
fn real_lines_with_anything_in_any_place_and_in_any_order_are_survived() {
    let mut odd = Odd::new(WORDS);
    let (mut protocol, _) = with_thread(&Work::default());
    let lines = out_lines();
    for (number, line) in lines.iter().enumerate().step_by(3) {
        for line in odd.lines(line) {
            check(&mut protocol, &line);
        }
        let other = &lines[(number * 7919) % lines.len()];
        check(&mut protocol, other.to_string().as_bytes());
        assert!(line.text("method").is_some() || line.get("id").is_some());
    }
}
