use super::*;

fn state() -> State {
    State { conversation: Some("T".into()), turn: Some("U".into()), ..State::default() }
}

fn end(state: &mut State, status: &str, error: Value) -> TurnEnd {
    let mut heard = Heard::default();
    let turn = json!({ "id": "U", "status": status, "error": error, "durationMs": 7 });
    finished(state, &json!({ "threadId": "T", "turn": turn }), &mut heard);
    match heard.events.pop() {
        Some(AgentEvent::TurnFinished(end)) => end,
        other => panic!("not the end of a turn: {other:?}"),
    }
}

#[test]
fn limits_and_sign_in_are_told_from_failures_that_pass() {
    let cause = |info: Value, message: &str| {
        end(&mut state(), "failed", json!({ "message": message, "codexErrorInfo": info })).cause
    };
    let status = |name: &str, status: u64| json!({ name: { "httpStatusCode": status } });
    assert_eq!(cause(status("httpConnectionFailed", 401), "x"), Some(EndCause::Authentication));
    assert_eq!(cause(json!("unauthorized"), "x"), Some(EndCause::Authentication));
    assert_eq!(cause(json!("other"), "Missing environment variable: `KEY`."), Some(EndCause::Authentication));
    assert_eq!(cause(status("responseTooManyFailedAttempts", 429), "x"), Some(EndCause::UsageLimit));
    assert_eq!(cause(json!("usageLimitExceeded"), "x"), Some(EndCause::UsageLimit));
    assert_eq!(cause(json!("internalServerError"), "x"), None);
    assert_eq!(cause(status("httpConnectionFailed", 404), "x"), None);
    assert_eq!(cause(json!("other"), "stream disconnected before completion"), None);
}

#[test]
fn a_providers_raw_answer_is_given_in_words() {
    let raw = r#"{"type":"error","error":{"type":"api_error","message":"no such thing"}}"#;
    let end = end(&mut state(), "failed", json!({ "message": raw, "codexErrorInfo": "other" }));
    assert_eq!(end.error.as_deref(), Some("the model's provider refused: no such thing"));
    assert_eq!((end.ok, end.reason.as_str()), (false, "other"));
}

#[test]
fn the_time_at_which_a_limit_is_lifted_is_told_and_the_limit_once() {
    let mut state = state();
    let mut events = Vec::new();
    let limit = json!({ "rateLimits": { "primary": { "usedPercent": 100, "resetsAt": 1_764_000_000 },
        "secondary": { "usedPercent": 40, "resetsAt": 1_765_000_000 } } });
    limits(&mut state, &limit, &mut events);
    limits(&mut state, &limit, &mut events);
    assert!(matches!(&events[..], [AgentEvent::Notice { code, .. }] if code == "USAGE_LIMIT"), "{events:?}");
    let end = end(&mut state, "failed", json!({ "message": "x", "codexErrorInfo": "usageLimitExceeded" }));
    assert_eq!(end.resets_at.map(|at| at.unix()), Some(1_764_000_000));
    let mut events = Vec::new();
    limits(&mut state, &json!({ "rateLimits": { "primary": { "usedPercent": 93.5 } } }), &mut events);
    assert!(matches!(&events[..], [AgentEvent::Notice { code, .. }] if code == "USAGE_LIMIT_NEAR"));
}

fn offline(at: u64, state: &mut State) -> Heard {
    let mut heard = Heard::default();
    let params = json!({ "threadId": "T", "turnId": "U", "willRetry": true,
        "error": { "message": "Reconnecting... waiting for network", "additionalDetails": "refused" } });
    error(state, &params, Some(at), &mut heard);
    heard
}

#[test]
fn without_a_network_it_is_given_up_in_words_after_a_while() {
    let mut state = state();
    assert!(matches!(
        &offline(1_000, &mut state).events[..],
        [AgentEvent::Retry { attempt: 1, max_attempts: 0, .. }]
    ));
    assert_eq!(offline(1_000 + OFFLINE_PATIENCE - 1, &mut state).replies, []);
    assert_eq!(offline(1_000 + OFFLINE_PATIENCE, &mut state).replies.len(), 1);
    let end = end(&mut state, "interrupted", Value::Null);
    assert!(!end.ok && !end.interrupted);
    assert!(end.error.is_some_and(|error| error.contains("could not be reached for 10 minutes")));
}

#[test]
fn a_network_that_came_back_is_waited_for_afresh() {
    let mut state = state();
    offline(1_000, &mut state);
    let item = json!({ "threadId": "T", "item": { "type": "agentMessage", "id": "m" } });
    super::super::items::started(&mut state, &item, &mut Vec::new());
    assert_eq!(offline(1_000 + OFFLINE_PATIENCE, &mut state).replies, []);
}

#[test]
fn a_try_again_says_which_of_how_many() {
    assert_eq!(count("Reconnecting... 2/5"), Some((2, 5)));
    assert_eq!(count("Reconnecting... waiting for network"), None);
    let mut heard = Heard::default();
    let params = json!({ "threadId": "T", "willRetry": true, "error": { "message": "Reconnecting... 2/5",
        "codexErrorInfo": { "responseStreamDisconnected": { "httpStatusCode": 401 } }, "additionalDetails": "why" } });
    error(&mut state(), &params, Some(1), &mut heard);
    let expected = AgentEvent::Retry {
        attempt: 2,
        max_attempts: 5,
        delay_ms: 0,
        status: Some(401),
        error: "why".into(),
    };
    assert_eq!(heard.events, [expected]);
}

#[test]
fn a_turn_counts_what_it_and_its_sub_agents_used() {
    let mut state = state();
    let total = |thread: &str, input: u64| json!({ "threadId": thread, "tokenUsage": { "total": { "inputTokens": input, "outputTokens": 1 } } });
    state.turn = None;
    usage(&mut state, &total("T", 100));
    let mut heard = Heard::default();
    started(&mut state, &json!({ "threadId": "T", "turn": { "id": "U" } }), &mut heard);
    usage(&mut state, &total("T", 160));
    usage(&mut state, &total("S", 5));
    usage(&mut state, &total("S", 7));
    assert_eq!(end(&mut state, "completed", Value::Null).usage.input_tokens, 67);
}

#[test]
fn a_turn_that_is_over_neither_ends_nor_begins_again() {
    let mut state = state();
    end(&mut state, "completed", Value::Null);
    let mut heard = Heard::default();
    let params = json!({ "threadId": "T", "turn": { "id": "U", "status": "completed" } });
    finished(&mut state, &params, &mut heard);
    started(&mut state, &params, &mut heard);
    assert_eq!(heard, Heard::default());
}

#[test]
fn a_prompt_that_is_refused_ends_in_words() {
    let mut state = State { conversation: Some("T".into()), ..State::default() };
    state.give("i");
    let mut heard = Heard::default();
    taken(&mut state, "i", &Err("thread not found".into()), &mut heard);
    assert!(
        matches!(
            &heard.events[..],
            [
                AgentEvent::InputProgress { progress: InputProgress::Cancelled, .. },
                AgentEvent::TurnStarted,
                AgentEvent::TurnFinished(TurnEnd { ok: false, error: Some(_), .. }),
            ]
        ),
        "{:?}",
        heard.events
    );
}
