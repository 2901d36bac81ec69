//! A life of the program, step by step: the opening, prompts, interrupts, plans.

use super::*;
use crate::domain::agent::InputProgress;
use crate::domain::approval::{ApprovalKind, Ask};

#[test]
fn a_life_begins_with_a_thread_that_asks_for_everything() {
    let mut protocol = CodexProtocol::new();
    let opening = lines(&protocol.opening(&Work { directory: "/p".into(), ..Work::default() }));
    assert_eq!(opening[1]["method"], "initialize");
    protocol.hear(br#"{"id":"initialize","result":{"userAgent":"tether/0.169.0 (x)"}}"#);
    let replies = protocol.hear(br#"{"id":"settings","result":{"layers":[]}}"#).replies;
    let thread = &lines(&replies)[0];
    assert_eq!(thread["method"], "thread/start");
    assert_eq!(thread["params"]["approvalPolicy"], "untrusted");
    assert_eq!(thread["params"]["approvalsReviewer"], "user");
    assert_eq!(
        thread["params"]["config"]["sandbox_mode"], "read-only",
        "else it marks the project as trusted"
    );
    assert!(
        thread["params"].get("sandbox").is_none() && thread["params"]["config"].get("projects").is_none()
    );
    assert_eq!(thread["params"]["config"]["features"]["unified_exec_tty"], false);
    let events = protocol.hear(thread_reply().to_string().as_bytes()).events;
    assert_eq!(
        events,
        [
            AgentEvent::Conversation("T".into()),
            AgentEvent::Ready { version: Some("0.169.0".into()), model: Some("m1".into()) },
        ]
    );
}

#[test]
fn a_thread_that_does_not_ask_is_not_worked_with() {
    for (key, value) in [
        ("approvalPolicy", json!("never")),
        ("approvalPolicy", Value::Null),
        ("approvalsReviewer", json!("auto_review")),
    ] {
        let mut protocol = before_thread(&Work::default());
        let mut reply = thread_reply();
        reply["result"][key] = value;
        let events = protocol.hear(reply.to_string().as_bytes()).events;
        assert!(matches!(&events[..], [AgentEvent::Unable { .. }]), "{events:?}");
    }
}

#[test]
fn a_projects_settings_count_only_where_it_is_trusted() {
    let settings = |trusted: bool, real: &str, layer: Value| {
        let mut protocol = CodexProtocol::new();
        let (directory, real_directory) = ("/p".into(), real.into());
        protocol.opening(&Work { directory, real_directory, trusted, ..Work::default() });
        let reply = json!({ "id": "settings", "result": { "layers": [layer] } });
        let heard = protocol.hear(reply.to_string().as_bytes());
        (heard.events, lines(&heard.replies))
    };
    let active = |folder: &str| json!({ "name": { "type": "project", "dotCodexFolder": folder } });
    let off = json!({ "name": { "type": "project" }, "disabledReason": "not trusted" });
    let distrusted = |thread: &Value| thread["params"]["config"]["projects"].clone();

    // The person's own settings trust it: for this thread they must not.
    let (events, replies) = settings(false, "/real", active("/p/.codex"));
    assert_eq!(events, []);
    let no = json!({ "trust_level": "untrusted" });
    assert_eq!(distrusted(&replies[0]), json!({ "/": no, "/p": no, "/real": no }));
    // Where it cannot be made sure, nothing is begun.
    for (real, folder) in [("/real", "/elsewhere/.codex"), ("", "/p/.codex")] {
        let (events, replies) = settings(false, real, active(folder));
        assert!(matches!(&events[..], [AgentEvent::Unable { message, .. }] if message.contains(folder)));
        assert_eq!(replies, [] as [Value; 0]);
    }
    for (trusted, layer) in
        [(true, active("/p/.codex")), (false, off), (false, json!({ "name": { "type": "user" } }))]
    {
        let (events, replies) = settings(trusted, "/real", layer);
        assert_eq!((events, distrusted(&replies[0])), (vec![], Value::Null));
    }
    let mut protocol = CodexProtocol::new();
    protocol.opening(&Work::default());
    let heard = protocol.hear(br#"{"id":"settings","error":{"message":"no"}}"#);
    assert!(matches!(&heard.events[..], [AgentEvent::Unable { .. }]), "what cannot be known is not trusted");
}

#[test]
fn the_sandbox_is_said_with_each_turn_as_the_persons_settings_have_it() {
    let mut protocol = CodexProtocol::new();
    protocol.opening(&Work::default());
    let own = json!({ "id": "settings", "result": { "config": { "sandbox_workspace_write": {
        "writable_roots": ["/cache"], "network_access": true } } } });
    protocol.hear(own.to_string().as_bytes());
    protocol.hear(thread_reply().to_string().as_bytes());
    let said = lines(&protocol.say(&prompt("i1"), false));
    let sandbox = &said[0]["params"]["sandboxPolicy"];
    assert_eq!((&sandbox["type"], &sandbox["networkAccess"]), (&json!("workspaceWrite"), &json!(true)));
    assert_eq!(sandbox["writableRoots"], json!(["/cache"]));
    assert_eq!(said[0]["params"]["approvalPolicy"], "untrusted");
}

#[test]
fn without_its_sandbox_it_runs_unsandboxed_and_a_person_is_told_once() {
    let work = Work { no_sandbox: true, ..Work::default() };
    let mut protocol = before_thread(&work);
    let told = |events: &[AgentEvent]| {
        events.iter().any(|event| matches!(event, AgentEvent::Notice { code, .. } if code == NO_SANDBOX))
    };
    assert!(told(&protocol.hear(thread_reply().to_string().as_bytes()).events));
    let said = lines(&protocol.say(&prompt("i1"), false));
    assert_eq!(said[0]["params"]["sandboxPolicy"]["type"], "dangerFullAccess");
    protocol.opening(&work);
    protocol.hear(br#"{"id":"settings","result":{}}"#);
    assert!(!told(&protocol.hear(thread_reply().to_string().as_bytes()).events));
    let request = json!({ "id": 0, "method": "item/commandExecution/requestApproval",
        "params": { "threadId": "T", "command": "/bin/bash -lc ls" } });
    let events = protocol.hear(request.to_string().as_bytes()).events;
    assert!(
        matches!(&events[..], [AgentEvent::Asked(ask)] if ask.reason.as_deref().is_some_and(|r| r.contains("does not work")))
    );
}

#[test]
fn an_opening_that_was_said_before_takes_the_thread_that_is_there() {
    let mut protocol = CodexProtocol::new();
    protocol.opening(&Work::default());
    let heard = protocol.hear(br#"{"id":"initialize","error":{"message":"Already initialized"}}"#);
    assert!(heard.replies.iter().any(|reply| reply.line.contains("thread/loaded/list")));
    // The answer to the first opening comes after all.
    assert_eq!(protocol.hear(thread_reply().to_string().as_bytes()), Heard::default());
    let replies = protocol.hear(br#"{"id":"loaded","result":{"data":["T"]}}"#).replies;
    assert!(replies.len() == 1 && replies[0].line.contains("config/read"), "{replies:?}");
    let heard = protocol.hear(br#"{"id":"settings","result":{}}"#);
    assert!(
        matches!(&heard.events[..], [AgentEvent::Conversation(id), AgentEvent::Ready { .. }] if id == "T")
    );
    assert_eq!(heard.replies, [], "nothing begins twice");
    assert_eq!(protocol.hear(thread_reply().to_string().as_bytes()), Heard::default());
    let none = CodexProtocol::new().hear(br#"{"id":"initialize","result":{}}"#);
    assert_eq!(none, Heard::default(), "what is to be opened is said with the opening");
}

#[test]
fn a_conversation_that_is_gone_is_told_and_one_that_is_held_elsewhere_too() {
    let lost = |message: &str| {
        let mut protocol = before_thread(&Work { resume: true, conversation: "T".into(), ..Work::default() });
        protocol
            .hear(json!({ "id": "thread", "error": { "message": message } }).to_string().as_bytes())
            .events
    };
    let events = lost("no rollout found for thread id T");
    assert!(matches!(&events[..], [AgentEvent::Notice { code, .. }] if code == CONVERSATION_LOST));
    let events = lost("thread T already has an active writer");
    assert!(matches!(&events[..], [AgentEvent::Unable { message, .. }] if message.contains("another codex")));
    let events = lost("failed to load configuration: Model provider `nope` not found");
    assert!(
        matches!(&events[..], [AgentEvent::Unable { message, .. }] if message.contains("nope")),
        "{events:?}"
    );
}

#[test]
fn a_prompt_that_may_be_there_is_given_only_when_it_is_not() {
    let (mut protocol, _) = with_thread(&Work::default());
    let said = lines(&protocol.say(&prompt("i1"), true));
    assert_eq!(said[0], Value::Null, "half a line that lies in the pipe becomes a whole one");
    assert_eq!(said[1]["method"], "thread/backgroundTerminals/list");
    let answer = br#"{"id":"again-i1","result":{"data":[]}}"#;
    let replies = lines(&protocol.hear(answer).replies);
    assert_eq!((replies[0]["method"].as_str(), replies.len()), (Some("turn/start"), 1));
    assert_eq!(protocol.hear(answer).replies, [], "once");

    let (mut protocol, _) = with_thread(&Work::default());
    protocol.say(&prompt("i1"), true);
    let taken = br#"{"id":"turn-i1","result":{"turn":{"id":"U"}}}"#;
    let accepted = AgentEvent::InputProgress { input: "i1".into(), progress: InputProgress::Accepted };
    assert_eq!(protocol.hear(taken).events, [accepted]);
    assert_eq!(protocol.hear(answer).replies, [], "it was there");
    assert_eq!(protocol.say(&prompt("i1"), true), [], "that is known now");
}

#[test]
fn a_resumed_conversation_tells_which_prompts_were_worked_on() {
    let (mut protocol, _) = with_thread(&Work::default());
    protocol.opening(&Work { resume: true, conversation: "T".into(), ..Work::default() });
    protocol.hear(br#"{"id":"settings","result":{}}"#);
    let user = |id: &str| json!({ "type": "userMessage", "id": "u", "clientId": id });
    let mut reply = thread_reply();
    reply["result"]["initialTurnsPage"] = json!({ "data": [
        { "id": "3", "status": "interrupted", "items": [user("nothing came of it")] },
        { "id": "2", "status": "interrupted", "items": [user("begun"), { "type": "agentMessage", "id": "a" }] },
        { "id": "1", "status": "completed", "items": [user("done")] },
    ] });
    let events = protocol.hear(reply.to_string().as_bytes()).events;
    let done: Vec<&str> = events
        .iter()
        .filter_map(|event| match event {
            AgentEvent::InputProgress { input, progress: InputProgress::Completed } => Some(input.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(done, ["begun", "done"]);
}

fn started(turn: &str) -> String {
    json!({ "method": "turn/started", "params": { "threadId": "T", "turn": { "id": turn } } }).to_string()
}

fn completed(turn: &str, status: &str) -> String {
    json!({ "method": "turn/completed", "params": { "threadId": "T", "turn": { "id": turn, "status": status, "items": [] } } })
        .to_string()
}

#[test]
fn an_interrupt_that_comes_before_the_turn_waits_for_it() {
    let (mut protocol, _) = with_thread(&Work::default());
    assert_eq!(protocol.say(&AgentCommand::Interrupt, false), [], "nothing runs and nothing is to");
    protocol.say(&prompt("i1"), false);
    assert_eq!(protocol.say(&AgentCommand::Interrupt, false), []);
    protocol.hear(br#"{"id":"turn-i1","result":{"turn":{"id":"U"}}}"#);
    let replies = lines(&protocol.hear(started("U").as_bytes()).replies);
    assert_eq!(replies[0]["method"], "turn/interrupt");
    assert_eq!(replies[0]["params"], json!({ "threadId": "T", "turnId": "U" }));
    let events = protocol.hear(completed("U", "interrupted").as_bytes()).events;
    let cancelled = AgentEvent::InputProgress { input: "i1".into(), progress: InputProgress::Cancelled };
    assert!(events.contains(&cancelled), "{events:?}");
    // The next turn is not touched by it.
    assert_eq!(protocol.hear(started("V").as_bytes()).replies, []);
}

#[test]
fn an_interrupt_ends_the_commands_of_the_turn_and_no_others() {
    let (mut protocol, _) = with_thread(&Work::default());
    let item = |method: &str, id: &str| {
        json!({ "method": method, "params": { "threadId": "T", "turnId": "U", "item": { "type": "commandExecution",
            "id": id, "command": "sleep 9", "status": "completed" } } })
        .to_string()
    };
    protocol.hear(started("U").as_bytes());
    protocol.hear(item("item/started", "server").as_bytes());
    let events = protocol.hear(completed("U", "completed").as_bytes()).events;
    assert!(matches!(&events[1], AgentEvent::Task { state, .. } if state == "started"), "{events:?}");
    protocol.hear(started("V").as_bytes());
    protocol.hear(item("item/started", "tool").as_bytes());
    protocol.say(&AgentCommand::Interrupt, false);
    let replies = lines(&protocol.hear(completed("V", "interrupted").as_bytes()).replies);
    let id = replies[0]["id"].as_str().expect("it has an id").to_owned();
    assert!(id.starts_with("terminals-"));
    let there = json!({ "id": id, "result": { "data": [
        { "itemId": "server", "processId": "1" }, { "itemId": "tool", "processId": "2" } ] } });
    let replies = lines(&protocol.hear(there.to_string().as_bytes()).replies);
    assert_eq!(replies.len(), 1);
    assert_eq!(replies[0]["method"], "thread/backgroundTerminals/terminate");
    assert_eq!(replies[0]["params"]["processId"], "2");
    let events = protocol.hear(item("item/completed", "server").as_bytes()).events;
    assert!(matches!(&events[..], [AgentEvent::Task { state, .. }] if state == "completed"), "{events:?}");
}

#[test]
fn a_plan_is_asked_about_and_its_answer_is_the_next_turn() {
    let propose = |protocol: &mut CodexProtocol| -> Box<Ask> {
        let mode = json!({ "method": "thread/settings/updated", "params": { "threadId": "T", "threadSettings": {
            "approvalPolicy": "untrusted", "model": "m1", "collaborationMode": { "mode": "plan" } } } });
        assert_eq!(protocol.hear(mode.to_string().as_bytes()).events, [AgentEvent::Planning(true)]);
        protocol.hear(started("U").as_bytes());
        let item = json!({ "method": "item/completed", "params": { "threadId": "T", "item": {
            "type": "plan", "id": "U-plan", "text": "# Do it\nnow" } } });
        protocol.hear(item.to_string().as_bytes());
        let events = protocol.hear(completed("U", "completed").as_bytes()).events;
        match &events[..] {
            [AgentEvent::Asked(ask), AgentEvent::TurnFinished(_)] => ask.clone(),
            other => panic!("{other:?}"),
        }
    };
    let (mut protocol, _) = with_thread(&Work::default());
    let ask = propose(&mut protocol);
    assert_eq!((ask.kind, ask.title.as_str()), (ApprovalKind::Plan, "Plan: Do it"));
    let answer = AgentCommand::Answer { ask: ask.clone(), answer: allow() };
    let said = lines(&protocol.say(&answer, false));
    assert_eq!(said[0]["params"]["collaborationMode"]["mode"], "default");
    assert_eq!(said[1]["method"], "turn/start");
    assert_eq!(said[1]["params"]["clientUserMessageId"], "plan-U-plan");

    let (mut protocol, _) = with_thread(&Work::default());
    let ask = propose(&mut protocol);
    let deny = |message: Option<&str>| AgentCommand::Answer {
        ask: ask.clone(),
        answer: Answer::Deny { message: message.map(str::to_owned) },
    };
    assert_eq!(protocol.say(&deny(None), false), []);
    let said = lines(&protocol.say(&deny(Some("smaller")), false));
    assert_eq!(said.len(), 1);
    assert!(said[0]["params"]["input"][0]["text"].as_str().is_some_and(|text| text.contains("smaller")));

    // A person who goes on without an answer has given one.
    let (mut protocol, _) = with_thread(&Work::default());
    let ask = propose(&mut protocol);
    let events = protocol.hear(started("V").as_bytes()).events;
    assert_eq!(events, [AgentEvent::TurnStarted, AgentEvent::Withdrew(ask.request.clone())]);
}
