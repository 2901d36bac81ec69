//! What becomes of a session that another program kept.

use std::path::PathBuf;

use super::*;
use crate::agent::catalogue::{AgentEntry, Source};
use crate::agent::protocols;
use crate::domain::event::Envelope;
use crate::elsewhere::Homes;
use crate::log::ReadEvents;

fn agents() -> Catalogue {
    let entry = |adapter: &str, runner_type: &str| AgentEntry {
        adapter: adapter.to_owned(),
        title: adapter.to_owned(),
        protocol: protocols::CLAUDE,
        runner_type: runner_type.to_owned(),
        source: Source::Own(PathBuf::from("/bin/true")),
        args: Vec::new(),
        model: None,
        environment: Vec::new(),
        missing: None,
    };
    Catalogue::new(vec![entry("claude", "claude-local"), entry("model", "model")], "claude")
}

fn past(more: Value) -> PastSession {
    let mut session = json!({
        "id": "sess_0123456789ab", "state": "AWAITING_INPUT", "created_at": "2026-01-01T00:00:00Z",
        "last_activity_at": "2026-01-02T00:00:00Z", "events": [],
    });
    session.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    serde_json::from_value(session).expect("a session")
}

fn event(kind: &str, data: Value) -> Value {
    json!({ "ts": "2026-01-01T00:00:01Z", "type": kind, "data": data })
}

async fn take_with(log: &Log, homes: Homes, past: PastSession) -> Result<PastTaken, SessionError> {
    import(log, &Elsewhere::new(homes), &agents(), RestartPolicy::Continue, past).await
}

async fn take(log: &Log, past: PastSession) -> PastTaken {
    take_with(log, Homes::default(), past).await.expect("it is in order")
}

fn record(log: &Log) -> SessionRecord {
    let entry = log.read_model.session(&"sess_0123456789ab".into()).expect("it is there");
    SessionRecord::clone(&entry.record)
}

async fn told(log: &Log) -> Vec<Envelope> {
    let read =
        ReadEvents { session: "sess_0123456789ab".into(), after: 0, limit: 100, max_bytes: usize::MAX };
    let frames = log.read_events(read).await.expect("it reads");
    frames.iter().map(|frame| serde_json::from_slice(&frame.json).expect("an envelope")).collect()
}

#[actix::test]
async fn what_it_was_and_used_is_kept_under_our_names() {
    let log = Log::in_memory();
    let done = take(
        &log,
        past(json!({
            "name": "Mine", "adapter": "claude_subprocess", "runner_type": "claude-subprocess", "approval_mode": 1,
            "events": [
                event("user_input", json!({ "text": "go" })),
                event("header", json!({ "title": "Claude Code", "model": "m" })),
                event("output", json!({ "text": "one\ntwo\n" })),
                event("metadata", json!({ "key": "tokens", "value": { "input": 3, "output": 4 } })),
                event("metadata", json!({ "key": "cost", "value": 0.5 })),
            ],
        })),
    )
    .await;
    assert_eq!((done.taken, done.events), (true, 5));
    assert!(done.notes[0].contains("kept no conversation"), "{:?}", done.notes);
    let record = record(&log);
    let session = &record.session;
    assert_eq!((session.name.as_deref(), session.adapter.as_deref()), (Some("Mine"), Some("claude")));
    assert_eq!(session.runner_type.as_deref(), Some("claude-local"));
    assert_eq!((session.created_at.to_string().as_str(), session.message_count), ("2026-01-01T00:00:00Z", 1));
    assert_eq!((session.last_line.as_deref(), session.approval_mode), (Some("two"), Some(1)));
    assert_eq!((record.usage.input_tokens, record.usage.output_tokens, session.cost_usd), (3, 4, 0.5));
    assert_eq!((record.agent.as_deref(), record.header_model.as_deref()), (Some("claude"), Some("m")));
    assert!(record.moved_here_at.is_some());
    let again = take(&log, past(json!({ "name": "Other" }))).await;
    assert_eq!(again, PastTaken { taken: false, events: 5, thread: false, notes: vec![] });
}

#[actix::test]
async fn it_goes_on_in_the_thread_that_it_had_unless_another_session_has_that() {
    for (platform, thread) in
        [("telegram", "42"), ("slack", "1700000000.000100"), ("discord", "1234567890123456789")]
    {
        let log = Log::in_memory();
        let bound = |more: Value| {
            let mut bound = json!({ "platform": platform, "platform_thread_id": thread });
            bound.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
            past(bound)
        };
        let events =
            [event("user_input", json!({ "text": "go" })), event("output", json!({ "text": "one" }))];
        let done = take(&log, bound(json!({ "events": events }))).await;
        assert!(done.thread && !done.notes.join(" ").contains("bind"), "{done:?}");
        let kept = record(&log);
        let session = &kept.session;
        assert_eq!(
            (session.platform.as_deref(), session.platform_thread_id.as_deref()),
            (Some(platform), Some(thread))
        );
        assert_eq!(kept.moved_events, Some(2));
        let other = take(&log, bound(json!({ "id": "sess_0123456789ac" }))).await;
        assert!(!other.thread && other.notes[0].contains("sess_0123456789ab has its thread"), "{other:?}");
    }
    for (platform, thread) in [
        ("telegram", "1700.1"),
        ("telegram", "-5"),
        ("slack", "5"),
        ("discord", "x"),
        ("matrix", "5"),
        ("slack", ""),
    ] {
        let log = Log::in_memory();
        let done = take(&log, past(json!({ "platform": platform, "platform_thread_id": thread }))).await;
        assert!(!done.thread && done.notes[0].contains("tether bind sess_0123456789ab"), "{done:?}");
        let session = record(&log).session;
        assert_eq!((session.platform, session.platform_thread_id), (None, None));
    }
}

#[actix::test]
async fn a_turn_that_ran_waits_and_an_open_question_is_never_a_yes() {
    let log = Log::in_memory();
    let done = take(&log, past(json!({ "state": "RUNNING", "approval_mode": 2, "platform": "slack" }))).await;
    let words = done.notes.join("\n");
    assert!(words.contains("waits for input now") && words.contains("it asks"), "{words}");
    assert!(words.contains("tether bind sess_0123456789ab slack"), "{words}");
    assert_eq!(record(&log).session.state, SessionState::AwaitingInput);
    assert_eq!((record(&log).session.approval_mode, record(&log).session.platform), (None, None));
    assert_eq!(told(&log).await[0].data, json!({ "state": "AWAITING_INPUT" }));

    let log = Log::in_memory();
    let ask = |id: &str| event("permission_request", json!({ "request_id": id }));
    let events = [
        ask("old"),
        event("user_input", json!({})),
        ask("a"),
        ask("b"),
        ask("b"),
        event("permission_resolved", json!({ "request_id": "a" })),
    ];
    let done =
        take(&log, past(json!({ "state": "RUNNING", "external_agent_name": "mine", "events": events })))
            .await;
    assert_eq!(done.notes, ["the question b was open: its agent is told to ask again"]);
    assert_eq!(record(&log).session.state, SessionState::Running, "its agent goes on");
    let all = told(&log).await;
    assert_eq!((all.len(), &all[6].data["allowed"]), (7, &json!(false)));
    assert!(record(&log).external);
}

#[actix::test]
async fn its_conversation_is_gone_on_with_where_it_is_here_and_nobody_else_does() {
    let home = tempfile::tempdir().expect("a folder");
    let folder = home.path().join("projects/-p");
    let conversation = "0f000000-0000-4000-8000-000000000001";
    std::fs::create_dir_all(&folder).expect("made");
    let line = json!({
        "type": "user", "uuid": "u1", "sessionId": conversation, "cwd": "/p", "timestamp": "2026-01-01T00:00:00Z",
        "message": { "role": "user", "content": "hello" },
    });
    std::fs::write(folder.join(format!("{conversation}.jsonl")), format!("{line}\n")).expect("written");
    let homes = || Homes { claude: Some(home.path().to_owned()), ..Homes::default() };
    let mine = || past(json!({ "runner_type": "claude-subprocess", "runner_session_id": conversation }));
    let log = Log::in_memory();
    let done = take_with(&log, homes(), mine()).await.expect("in order");
    assert_eq!(done.notes, [""; 0]);
    let kept = record(&log);
    assert_eq!((kept.conversation.as_deref(), kept.conversation_begun), (Some(conversation), true));
    let attached = kept.attached.expect("it can be synced");
    assert!(attached.id == conversation && attached.cursor.offset > 0, "{attached:?}");
    let other = PastSession { id: "sess_0123456789ac".into(), ..mine() };
    let done = take_with(&log, homes(), other).await.expect("in order");
    assert!(done.notes[0].contains("sess_0123456789ab goes on with its conversation"), "{:?}", done.notes);

    let log = Log::in_memory();
    let done = take(&log, mine()).await;
    assert!(done.notes[0].contains(conversation), "{:?}", done.notes);
    assert_eq!((record(&log).session.runner_session_id, record(&log).conversation), (None, None));
}

#[actix::test]
async fn what_is_not_in_order_is_refused_and_nothing_of_it_stays() {
    let log = Log::in_memory();
    let odd_id = PastSession { id: "../x".into(), ..past(json!({})) };
    let mut all = vec![odd_id];
    for wrong in [
        json!({ "ts": "yesterday", "type": "output", "data": {} }),
        json!({ "ts": "2026-01-01T00:00:00Z", "type": "Out put", "data": {} }),
        json!({ "ts": "2026-01-01T00:00:00Z", "type": "output", "data": "x" }),
    ] {
        all.push(past(json!({ "events": [event("output", json!({})), wrong] })));
    }
    for one in all {
        let refused = take_with(&log, Homes::default(), one.clone()).await;
        assert!(matches!(refused, Err(SessionError::Invalid(_))), "{one:?}");
    }
    assert!(log.read_model.sessions().is_empty());
}
