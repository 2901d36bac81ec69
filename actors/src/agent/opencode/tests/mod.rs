//! Recorded conversations with the real program, and properties that hold for any line.
//!
//! `tests/transcripts/opencode/<case>.jsonl` is what went over HTTP: one object a line, `sse` an event, else a
//! request (`dir` = `in`) or its answer (`out`). Beside it, `<case>.txt` is what it is to be understood as. After
//! a change on purpose: `UPDATE_GOLDEN=1 cargo test -p tether-actors opencode`, and read the difference.

mod rig;

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use serde_json::{Value, json};

use self::rig::{Play, Recorded, cases};
use super::*;
use crate::agent::any_line::{Odd, any_json, hear_soundly};
use crate::agent::recordings;
use crate::agent::server::wire::{News, Request};
use crate::domain::agent::AgentEvent;

fn played(lines: &[Recorded], cut: std::ops::Range<usize>) -> Play {
    let mut play = Play::new(lines);
    play.play(lines, cut);
    play
}

#[test]
fn every_recording_is_understood_as_before() {
    recordings::compare(cases().into_iter().map(|(path, lines)| {
        let now = played(&lines, 0..0).log;
        (path, now)
    }));
}

#[test]
fn reading_goes_on_from_a_stored_state_after_any_line() {
    for (_, lines) in cases() {
        let mut play = Play::new(&lines);
        play.restoring = true;
        play.play(&lines, 0..0);
    }
}

/// What was told, however it was cut into pieces and in whatever order of its threads.
#[derive(Debug, Default, PartialEq)]
struct Told {
    words: BTreeMap<(Option<String>, bool), String>,
    calls: BTreeMap<String, usize>,
    results: BTreeMap<String, (usize, bool)>,
    inputs: BTreeMap<String, Vec<String>>,
    turns: usize,
    usage: u64,
    last: Option<(bool, bool, Option<String>, Option<String>)>,
}

fn told(events: &[AgentEvent]) -> Told {
    let mut told = Told::default();
    for event in events {
        match event.clone() {
            AgentEvent::Text { text, parent } => {
                told.words.entry((parent, false)).or_default().push_str(&text)
            }
            AgentEvent::Thinking { text, parent } => {
                told.words.entry((parent, true)).or_default().push_str(&text);
            }
            AgentEvent::ToolCall { id, .. } => *told.calls.entry(id).or_default() += 1,
            AgentEvent::ToolResult { id, is_error, .. } => {
                let entry = told.results.entry(id).or_default();
                *entry = (entry.0 + 1, is_error);
            }
            AgentEvent::InputProgress { input, progress } => {
                told.inputs.entry(input.to_string()).or_default().push(format!("{progress:?}"));
            }
            AgentEvent::TurnStarted => told.turns += 1,
            AgentEvent::TurnFinished(end) => {
                told.usage += end.usage.input_tokens;
                told.last = Some((end.ok, end.interrupted, end.text, end.error));
            }
            _ => {}
        }
    }
    told
}

/// Wherever the connection is lost, and for however long: what was missed is told after it is back, and nothing twice.
#[test]
fn a_lost_connection_costs_nothing_and_doubles_nothing() {
    let mut cuts = 0;
    for (path, lines) in cases() {
        if lines.iter().any(|recorded| recorded.line["note"].is_string()) {
            // Ends in mid-turn, or with another server.
            continue;
        }
        let mut whole = told(&played(&lines, 0..0).events);
        // Why there is no answer is said in an event only.
        let unsaid = path.ends_with("error-unknown-model.jsonl");
        let blur = |told: &mut Told| {
            if let (true, Some((.., error))) = (unsaid, &mut told.last) {
                *error = error.take().map(|_| String::new());
            }
        };
        blur(&mut whole);
        for from in 0..lines.len() {
            // Long ones only from every third line on: each is a whole conversation.
            for length in [1, 4, lines.len()].into_iter().filter(|length| *length == 1 || from % 3 == 0) {
                let cut = from..(from + length).min(lines.len());
                let play = played(&lines, cut.clone());
                let mut now = told(&play.events);
                blur(&mut now);
                assert_eq!(now, whole, "{} without {cut:?}\n{}", path.display(), play.log);
                cuts += 1;
            }
        }
    }
    assert!(cuts > 1000, "{cuts}");
}

#[test]
fn what_was_asked_while_nobody_listened_is_asked_afterwards_and_once() {
    let mut asked = 0;
    for (path, lines) in cases() {
        let asks = |play: &Play| {
            let asks = play.events.iter().filter_map(|event| match event {
                AgentEvent::Asked(ask) => Some(ask.request.clone()),
                _ => None,
            });
            asks.collect::<Vec<_>>()
        };
        let whole = asks(&played(&lines, 0..0));
        let place = |id: &str| {
            let of =
                |recorded: &Recorded| recorded.event().is_some_and(|event| event["properties"]["id"] == id);
            lines.iter().position(of).expect("it was asked in an event")
        };
        for id in &whole {
            let at = place(id);
            assert_eq!(asks(&played(&lines, at..at + 1)), whole, "{}", path.display());
            asked += 1;
        }
        let all: BTreeSet<&String> = whole.iter().collect();
        assert_eq!(all.len(), whole.len(), "{}: asked twice", path.display());
    }
    assert!(asked > 10, "{asked}");
}

#[test]
fn no_turn_ends_that_did_not_begin_and_none_begins_twice() {
    for (path, lines) in cases() {
        let mut running = false;
        for event in played(&lines, 0..0).events {
            match event {
                AgentEvent::TurnStarted => {
                    assert!(!running || path.ends_with("sigkill-and-resume.jsonl"), "{}", path.display());
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

#[test]
fn an_answer_that_breaks_off_again_and_again_ends_the_turn() {
    let (_, lines) = cases()
        .into_iter()
        .find(|(path, _)| path.ends_with("error-connection-dropped.jsonl"))
        .expect("it is there");
    let unfinished = |recorded: &&Recorded| {
        recorded.event().is_some_and(|event| {
            let info = &event["properties"]["info"];
            info["finish"] == "unknown" && info["time"]["completed"].is_u64()
        })
    };
    let one = lines.iter().find(unfinished).and_then(Recorded::event).expect("there is one").clone();
    let end = lines.iter().position(|recorded| {
        recorded.line["dir"] == "in" && recorded.line["path"].to_string().contains("abort")
    });
    let mut play = played(&lines[..end.unwrap_or(lines.len())], 0..0);
    for number in 0..10 {
        let mut event = one.clone();
        let id = format!("msg_201d3e00{number:04}x");
        event["properties"]["info"]["id"] = id.clone().into();
        let mut begun = event.clone();
        begun["properties"]["info"]["time"] = json!({ "created": 1 });
        play.hear(begun.to_string().as_bytes());
        play.hear(event.to_string().as_bytes());
    }
    let told = play
        .events
        .iter()
        .filter(|event| matches!(event, AgentEvent::Notice { code, .. } if code == RUNAWAY));
    assert_eq!(told.count(), 1, "{}", play.log);
    assert_eq!(play.log.matches("/abort").count(), 1, "{}", play.log);
}

#[test]
fn a_summary_of_what_was_said_is_no_answer() {
    let (_, lines) = cases().into_iter().find(|(path, _)| path.ends_with("turn.jsonl")).expect("it is there");
    let busy = |recorded: &Recorded| recorded.event().is_some_and(|event| event["type"] == "session.status");
    let begun = lines.iter().position(busy).expect("a turn begins") + 1;
    let mut play = played(&lines[..begun], 0..0);
    let session = play.protocol.state.root().to_owned();
    let before = play.events.len();
    let message = |time: Value| {
        json!({ "type": "message.updated", "properties": { "info": { "id": "msg_201d29000000x", "role": "assistant",
            "sessionID": session, "summary": true, "time": time, "finish": "stop", "tokens": { "input": 7 } } } })
    };
    let part = json!({ "type": "message.part.updated", "properties": { "part": { "id": "prt_1", "type": "text",
        "messageID": "msg_201d29000000x", "sessionID": session, "text": "so far", "time": { "end": 2 } } } });
    for line in [message(json!({ "created": 1 })), part, message(json!({ "created": 1, "completed": 2 }))] {
        play.hear(line.to_string().as_bytes());
        play.hear(&News::Connected.line());
    }
    let codes: Vec<&str> = play.events[before..]
        .iter()
        .filter_map(|event| match event {
            AgentEvent::Notice { code, .. } => Some(code.as_str()),
            AgentEvent::Text { .. } => Some("text"),
            _ => None,
        })
        .collect();
    assert_eq!(codes, ["CONTEXT_COMPACTED"], "{}", play.log);
}

#[test]
fn what_another_program_wrote_between_two_lives_is_left_to_the_history() {
    let (_, lines) = cases().into_iter().find(|(path, _)| path.ends_with("turn.jsonl")).expect("it is there");
    let mut play = played(&lines, 0..0);
    let before = play.events.len();
    play.written_elsewhere("from a terminal");
    play.restart();
    play.hear(&News::Connected.line());
    let told: Vec<&AgentEvent> = play.events[before..]
        .iter()
        .filter(|event| !matches!(event, AgentEvent::Conversation(_) | AgentEvent::Ready { .. }))
        .collect();
    assert!(told.is_empty(), "{told:?}");
}

#[test]
fn a_conversation_that_is_gone_is_told() {
    let mut protocol = OpencodeProtocol::new();
    let work = Work { conversation: "ses_1".into(), resume: true, ..Work::default() };
    let request = |line: &Outgoing| serde_json::from_str::<Request>(&line.line).expect("a line is a request");
    let reply = |protocol: &mut OpencodeProtocol, request: Request, status: u16| {
        protocol.hear(&News::Reply { tag: request.tag, status, body: json!({}) }.line())
    };
    let settings = request(&protocol.opening(&work)[0]);
    let open = request(&reply(&mut protocol, settings, 200).replies[0]);
    assert_eq!(open.path, "/session/ses_1");
    let events = reply(&mut protocol, open, 404).events;
    assert!(
        matches!(&events[..], [AgentEvent::Notice { code, .. }] if code == CONVERSATION_LOST),
        "{events:?}"
    );
}

#[test]
fn a_conversation_that_was_made_before_a_crash_is_found_again() {
    let mut protocol = OpencodeProtocol::new();
    let work = Work { conversation: "0194-a".into(), ..Work::default() };
    let request = |line: &Outgoing| serde_json::from_str::<Request>(&line.line).expect("a line is a request");
    let reply = |protocol: &mut OpencodeProtocol, request: Request, body: Value| {
        protocol.hear(&News::Reply { tag: request.tag, status: 200, body }.line())
    };
    let settings = request(&protocol.opening(&work)[0]);
    let find = request(&reply(&mut protocol, settings, json!({})).replies[0]);
    let made = json!([{ "id": "ses_0" }, { "id": "ses_1", "metadata": { "tether": "0194-a" } }]);
    let heard = reply(&mut protocol, find.clone(), made);
    assert_eq!(heard.events, [AgentEvent::Conversation("ses_1".into())]);
    assert!(heard.replies.iter().all(|reply| !reply.line.contains("POST")), "{heard:?}");
    let create = request(&reply(&mut protocol, find, json!([{ "id": "ses_0" }])).replies[0]);
    assert_eq!((create.method.as_str(), &create.body["metadata"]["tether"]), ("POST", &json!("0194-a")));
}

#[test]
fn what_another_session_of_the_directory_does_is_not_told() {
    let (_, lines) = cases()
        .into_iter()
        .find(|(path, _)| path.ends_with("approval-bash-once.jsonl"))
        .expect("it is there");
    let mut play = played(&lines[..5], 0..0);
    let before = play.events.len();
    for event in lines.iter().filter_map(Recorded::event) {
        let mut event = event.clone();
        let text = event.to_string().replace("ses_", "ses_other");
        event = serde_json::from_str(&text).expect("it is JSON");
        play.hear(event.to_string().as_bytes());
    }
    assert_eq!(play.events.len(), before, "{}", play.log);
    assert_eq!(
        play.log.matches("reply GET /session/ses_other").count(),
        1,
        "its request is looked into once"
    );
}

#[test]
fn a_state_that_is_none_is_refused_with_words() {
    for state in [Value::Null, json!("x"), json!({ "in_turn": 7 })] {
        assert!(OpencodeProtocol::restore(state).is_err_and(|error| error.contains("opencode")));
    }
}

/// Words that mean something in some place.
const WORDS: &[&str] =
    &["text", "tool", "running", "completed", "busy", "idle", "ses_1", "msg_1", "assistant", "user"];

/// That what was heard is sound, that nothing is allowed by it, and that the state can be stored and stays small.
fn check(protocol: &mut OpencodeProtocol, line: &[u8]) {
    let heard = hear_soundly(protocol, line, 128 * 1024);
    for reply in &heard.replies {
        let request: Request = serde_json::from_str(&reply.line).expect("a line is a request");
        let answers = request.path.starts_with("/permission/") || request.path.starts_with("/question/");
        if request.method == "POST" && answers {
            assert!(request.path.ends_with("/reject") || request.body["reply"] == "reject", "{request:?}");
        }
        assert!(!request.path.contains("..") && !request.path.contains('?'), "{request:?}");
    }
    assert_eq!(OpencodeProtocol::restore(protocol.state()).expect("it is a state").state, protocol.state);
}

/// A protocol in the middle of a turn, with a question open.
fn at_work() -> OpencodeProtocol {
    let (_, lines) =
        cases().into_iter().find(|(path, _)| path.ends_with("subagent-approval.jsonl")).expect("it is there");
    let middle = lines.len() / 2;
    played(&lines[..middle], 0..0).protocol
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_survived(line in prop::collection::vec(any::<u8>(), 0..300)) {
        check(&mut OpencodeProtocol::new(), &line);
    }

    #[test]
    fn any_event_and_any_answer_are_survived(value in any_json(WORDS), kind in prop::sample::select(vec![
        "message.part.delta", "message.part.updated", "message.updated", "session.status", "session.error",
        "session.created", "permission.asked", "question.asked", "permission.replied", "session.deleted", "x.asked",
    ]), step in prop::sample::select(vec![
        json!({ "for": "settings" }), json!({ "for": "find", "rules": [] }), json!({ "for": "create" }),
        json!({ "for": "open", "rules": [] }), json!({ "for": "sync" }), json!({ "for": "settle", "looks": 0 }),
        json!({ "for": "prompt", "input": "i" }), json!({ "for": "answer", "request": "r" }),
        json!({ "for": "asked", "question": false, "busy": ["ses_1"], "open": ["per_1"] }),
        json!({ "for": "messages", "session": "ses_1", "limit": 4, "busy": [], "then": "sync" }),
    ]), status in prop::sample::select(vec![200u16, 400, 404, 500])) {
        let mut protocol = OpencodeProtocol::new();
        protocol.state.phase = state::Phase::Ready;
        protocol.state.conversation = Some("ses_1".into());
        protocol.state.thread_of("ses_1");
        check(&mut protocol, value.to_string().as_bytes());
        let properties = json!({ "sessionID": "ses_1", "info": value, "part": value, "status": value,
            "error": value, "id": value, "permission": value, "questions": value, "patterns": value });
        check(&mut protocol, json!({ "type": kind, "properties": properties }).to_string().as_bytes());
        check(&mut protocol, json!({ "type": kind, "properties": value }).to_string().as_bytes());
        check(&mut protocol, &News::Reply { tag: step, status, body: value.clone() }.line());
        check(&mut protocol, &News::Reply { tag: value.clone(), status, body: value }.line());
    }

    #[test]
    fn a_request_of_ours_is_always_asked_or_refused(
        id in "[a-z_0-9]{1,12}", permission in any_json(WORDS), metadata in any_json(WORDS), patterns in any_json(WORDS),
    ) {
        let mut protocol = at_work();
        let session = protocol.state.root().to_owned();
        let line = json!({ "type": "permission.asked", "properties": { "id": id, "sessionID": session,
            "permission": permission, "metadata": metadata, "patterns": patterns } });
        let heard = protocol.hear(line.to_string().as_bytes());
        let asked = heard.events.iter().any(|event| matches!(event, AgentEvent::Asked(ask) if ask.request == id));
        prop_assert!(asked != (heard.replies.len() == 1), "{heard:?}");
        prop_assert_eq!(protocol.hear(line.to_string().as_bytes()), Heard::default(), "asked once");
    }
}

#[test]
fn real_lines_with_anything_in_any_place_and_in_any_order_are_survived() {
    let mut odd = Odd::new(WORDS);
    let all = cases();
    let lines: Vec<&Value> = all.iter().flat_map(|(_, lines)| lines).filter_map(Recorded::event).collect();
    let mut protocol = at_work();
    // All of them are made events of the conversation at hand, or most would be passed over.
    let (session, sessions) = (protocol.state.root().to_owned(), sessions_in(&lines));
    for (number, line) in lines.iter().enumerate() {
        let mut text = line.to_string();
        for other in &sessions {
            text = text.replace(other.as_str(), &session);
        }
        let line: Value = serde_json::from_str(&text).expect("it is still JSON");
        for line in odd.lines(&line) {
            check(&mut protocol, &line);
        }
        let earlier = lines[(number * 13) % lines.len()].to_string().replace("ses_dfe2", "ses_x");
        check(&mut protocol, earlier.as_bytes());
        check(&mut protocol, text.as_bytes());
    }
}

/// The ids of all sessions in these events.
fn sessions_in(lines: &[&Value]) -> BTreeSet<String> {
    let id = |line: &&Value| line["properties"]["sessionID"].as_str().map(str::to_owned);
    lines.iter().filter_map(id).collect()
}
