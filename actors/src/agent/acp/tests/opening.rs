//! From the greeting to the first prompt.

use super::*;

/// What an agent that has everything says of itself.
fn greeting() -> Value {
    json!({ "protocolVersion": 1, "agentInfo": { "name": "gemini-cli", "title": "Gemini CLI", "version": "0.61.0" },
        "agentCapabilities": { "loadSession": true, "promptCapabilities": { "image": true } },
        "authMethods": [{ "id": "key", "name": "API key", "description": "Use a key" }] })
}

fn conversation() -> Value {
    let modes = ["default", "autoEdit", "yolo", "plan"].map(|id| json!({ "id": id, "name": id }));
    json!({ "sessionId": "s", "modes": { "currentModeId": "default", "availableModes": modes },
        "models": { "currentModelId": "auto", "availableModels": [] } })
}

/// Answers each request of the protocol with `answer` until it asks nothing more. Gives all that was heard, and
/// what was asked.
fn play(
    protocol: &mut AcpProtocol,
    work: &Work,
    mut answer: impl FnMut(&str, &Value) -> Value,
) -> (Vec<AgentEvent>, Vec<Value>) {
    let mut waiting = protocol.opening(work);
    let (mut events, mut asked) = (Vec::new(), Vec::new());
    while !waiting.is_empty() {
        let request = parsed(&waiting.remove(0));
        let mut reply = answer(request["method"].as_str().expect("a request"), &request["params"]);
        reply["id"] = request["id"].clone();
        asked.push(request);
        let heard = protocol.hear(reply.to_string().as_bytes());
        events.extend(heard.events);
        waiting.extend(heard.replies);
    }
    (events, asked)
}

fn agreeable(method: &str) -> Value {
    json!({ "result": match method {
        "initialize" => greeting(),
        "session/new" | "session/load" => conversation(),
        _ => json!({}),
    } })
}

/// An agent that agrees to everything, open.
pub(super) fn open(protocol: &mut AcpProtocol, work: &Work) -> (Vec<AgentEvent>, Vec<Value>) {
    play(protocol, work, |method, _| agreeable(method))
}

fn methods(asked: &[Value]) -> Vec<&str> {
    asked.iter().filter_map(|request| request["method"].as_str()).collect()
}

fn work() -> Work {
    Work { directory: "/p".into(), conversation: "old".into(), ..Work::default() }
}

fn resumed() -> Work {
    Work { resume: true, ..work() }
}

fn unusable(events: &[AgentEvent]) -> (EndCause, &str) {
    match events {
        [AgentEvent::Unable { cause, message }] => (*cause, message),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_new_conversation_is_begun_without_files_and_terminals_of_ours() {
    let mut protocol = AcpProtocol::new();
    let (events, asked) = open(&mut protocol, &work());
    assert_eq!(methods(&asked), ["initialize", "session/new"]);
    let can = &asked[0]["params"]["clientCapabilities"];
    assert_eq!((&can["fs"]["writeTextFile"], &can["terminal"]), (&json!(false), &json!(false)));
    assert_eq!(asked[1]["params"], json!({ "cwd": "/p", "mcpServers": [] }));
    let ready = AgentEvent::Ready { version: Some("0.61.0".into()), model: Some("auto".into()) };
    assert_eq!(events, [AgentEvent::Conversation("s".into()), ready]);
}

#[test]
fn mode_and_model_are_set_before_the_first_prompt() {
    let wanted = Work { model: Some("pro".into()), planning: true, ..work() };
    let (events, asked) = open(&mut AcpProtocol::new(), &wanted);
    assert_eq!(methods(&asked), ["initialize", "session/new", "session/set_mode", "session/set_model"]);
    assert_eq!(asked[2]["params"]["modeId"], "plan");
    assert!(
        matches!(events.last(), Some(AgentEvent::Ready { model: Some(model), .. }) if model == "pro"),
        "{events:?}"
    );
}

#[test]
fn an_agent_that_begins_in_a_mode_in_which_it_does_not_ask_is_put_into_one_in_which_it_does() {
    let yolo = |method: &str| {
        let mut answer = agreeable(method);
        if method == "session/new" {
            answer["result"]["modes"]["currentModeId"] = json!("yolo");
        }
        answer
    };
    let (events, asked) = play(&mut AcpProtocol::new(), &work(), |method, _| yolo(method));
    assert_eq!(asked[2]["params"]["modeId"], "default");
    assert!(matches!(events.last(), Some(AgentEvent::Ready { .. })));
    let (events, _) = play(&mut AcpProtocol::new(), &work(), |method, _| match method {
        "session/set_mode" => json!({ "error": { "code": -32603, "message": "no" } }),
        other => yolo(other),
    });
    assert_eq!(unusable(&events[1..]).0, EndCause::BadConfiguration, "it is not worked with as it is");
}

#[test]
fn history_that_comes_after_the_answer_is_not_taken_for_news() {
    let mut protocol = AcpProtocol::new();
    let chunk = |text: &str| {
        let update =
            json!({ "sessionUpdate": "agent_message_chunk", "content": { "type": "text", "text": text } });
        json!({ "method": "session/update", "params": { "sessionId": "old", "update": update } }).to_string()
    };
    let mut waiting = protocol.opening(&resumed());
    let mut events = Vec::new();
    let mut settled = 0;
    while let Some(request) = waiting.pop() {
        let request = parsed(&request);
        let method = request["method"].as_str().expect("a request");
        if method == "session/set_mode" {
            settled += 1;
            // As long as history comes, it is asked again.
            if settled < 4 {
                events.extend(protocol.hear(chunk("long ago").as_bytes()).events);
            }
        }
        let mut answer = agreeable(method);
        answer["id"] = request["id"].clone();
        if method == "session/load" {
            assert_eq!(request["params"]["sessionId"], "old");
            answer["result"]["sessionId"] = Value::Null;
            events.extend(protocol.hear(chunk("long ago").as_bytes()).events);
        }
        let heard = protocol.hear(answer.to_string().as_bytes());
        events.extend(heard.events);
        waiting.extend(heard.replies);
    }
    assert_eq!(settled, 4);
    assert!(!events.iter().any(|event| matches!(event, AgentEvent::Text { .. })), "{events:?}");
    assert!(matches!(events.last(), Some(AgentEvent::Ready { .. })), "{events:?}");
    assert_eq!(events[0], AgentEvent::Conversation("old".into()));
}

#[test]
fn a_conversation_that_cannot_be_gone_on_with_is_told() {
    let lost = |events: &[AgentEvent]| matches!(events, [AgentEvent::Notice { code, .. }] if code == CONVERSATION_LOST);
    let (events, asked) = play(&mut AcpProtocol::new(), &resumed(), |method, _| match method {
        "session/load" => json!({ "error": { "code": -32603, "message": "no such session" } }),
        other => agreeable(other),
    });
    assert!(lost(&events) && asked.len() == 2, "{events:?}");
    let (events, asked) = play(
        &mut AcpProtocol::new(),
        &resumed(),
        |_, _| json!({ "result": { "protocolVersion": 1, "agentCapabilities": {} } }),
    );
    assert!(lost(&events) && asked.len() == 1, "it keeps none: {events:?}");
}

#[test]
fn a_silent_way_to_resume_is_taken_first_and_the_other_one_if_it_fails() {
    let mut both = greeting();
    both["agentCapabilities"]["sessionCapabilities"] = json!({ "resume": {} });
    let answers = |fails: bool| {
        let both = both.clone();
        move |method: &str, _: &Value| match method {
            "initialize" => json!({ "result": both }),
            "session/resume" if fails => json!({ "error": { "code": -32603, "message": "no" } }),
            "session/resume" => json!({ "result": {} }),
            other => agreeable(other),
        }
    };
    let (events, asked) = play(&mut AcpProtocol::new(), &resumed(), answers(false));
    assert_eq!(methods(&asked), ["initialize", "session/resume"]);
    assert_eq!(events[0], AgentEvent::Conversation("old".into()));
    let (_, asked) = play(&mut AcpProtocol::new(), &resumed(), answers(true));
    assert_eq!(methods(&asked), ["initialize", "session/resume", "session/load", "session/set_mode"]);
}

#[test]
fn an_agent_that_is_not_signed_in_is_held_with_words_that_help() {
    let mut protocol = AcpProtocol::new();
    let (events, _) = play(&mut protocol, &work(), |method, _| match method {
        "session/new" => json!({ "error": { "code": -32000, "message": "Gemini API key is missing" } }),
        other => agreeable(other),
    });
    let (cause, message) = unusable(&events);
    assert_eq!(cause, EndCause::Authentication);
    assert!(message.contains("API key is missing") && message.contains("Use a key"), "{message}");
    assert_eq!(protocol.end_hint(&[]), Some(EndCause::Authentication));
}

#[test]
fn a_conversation_that_began_with_a_key_alone_is_taken_up_with_it() {
    let mut signed_in = false;
    let (events, asked) = play(&mut AcpProtocol::new(), &resumed(), |method, params| match method {
        "initialize" => {
            let mut greeting = greeting();
            greeting["authMethods"] = json!([{ "id": "account", "name": "Account" },
                { "id": "gemini-api-key", "name": "Key", "_meta": { "api-key": { "provider": "google" } } }]);
            json!({ "result": greeting })
        }
        "session/load" if !signed_in => {
            json!({ "error": { "code": -32000, "message": "Authentication required" } })
        }
        "authenticate" => {
            signed_in = params["methodId"] == "gemini-api-key";
            json!({ "result": {} })
        }
        other => agreeable(other),
    });
    let methods = methods(&asked);
    assert_eq!(methods, ["initialize", "session/load", "authenticate", "session/load", "session/set_mode"]);
    assert!(matches!(events.last(), Some(AgentEvent::Ready { .. })));
    // It is tried once; then a person must act.
    let (events, asked) = play(&mut AcpProtocol::new(), &resumed(), |method, _| match method {
        "initialize" => {
            let mut greeting = greeting();
            greeting["authMethods"][0]["_meta"] = json!({ "api-key": {} });
            json!({ "result": greeting })
        }
        "session/load" => json!({ "error": { "code": -32000, "message": "Authentication required" } }),
        other => agreeable(other),
    });
    assert_eq!((unusable(&events).0, asked.len()), (EndCause::Authentication, 4));
}

#[test]
fn another_version_of_the_protocol_is_not_spoken_to() {
    for answer in
        [json!({ "result": { "protocolVersion": 2 } }), json!({ "result": {} }), json!({ "error": {} })]
    {
        let (events, asked) = play(&mut AcpProtocol::new(), &work(), |_, _| answer.clone());
        assert_eq!((unusable(&events).0, asked.len()), (EndCause::BadConfiguration, 1));
    }
}

#[test]
fn what_an_earlier_opening_of_the_same_life_led_to_is_not_heard_any_more() {
    let mut protocol = AcpProtocol::new();
    let first = parsed(&protocol.opening(&work())[0]);
    let (events, _) = open(&mut protocol, &work());
    assert!(matches!(events.last(), Some(AgentEvent::Ready { .. })));
    let late = json!({ "id": first["id"], "result": greeting() });
    assert_eq!(protocol.hear(late.to_string().as_bytes()), Heard::default());
}

#[test]
fn a_state_that_is_none_is_refused_with_words() {
    for state in [Value::Null, json!("x"), json!({ "turn": 7 })] {
        assert!(AcpProtocol::restore(state).is_err_and(|error| error.contains("acp")));
    }
}
