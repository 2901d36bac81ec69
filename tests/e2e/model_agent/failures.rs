//! Servers that fail, and clients that say odd things.

use super::*;

#[test]
fn a_failure_that_passes_is_tried_again_and_each_try_is_told() {
    let scene = Scene::new();
    let mut agent = scene.agent();
    let session = agent.begin(&scene.home);
    let asked = agent.say(&session, "FLAKY a 2 503\nSAY at last");
    assert_eq!(agent.answer(asked)["result"]["stopReason"], "end_turn");
    let retries: Vec<Value> = (0..2)
        .map(|_| {
            agent.wait_for("a retry", |line| line["method"] == "_tether/retry")["params"]["retry"].clone()
        })
        .collect();
    assert_eq!((&retries[0]["attempt"], &retries[1]["attempt"]), (&json!(1), &json!(2)));
    assert_eq!((&retries[0]["status"], &retries[0]["maxAttempts"]), (&json!(503), &json!(5)));
    assert!(
        retries[0]["error"].as_str().is_some_and(|error| error.contains("scripted failure 503")),
        "{retries:?}"
    );
    assert_eq!(messages(&agent.updates()), "at last");
    let asked = agent.say(&session, "FLAKY b 1 429 1\nSAY again");
    assert_eq!(agent.answer(asked)["result"]["stopReason"], "end_turn");
    let retry = agent.wait_for("a retry", |line| line["method"] == "_tether/retry");
    assert_eq!(retry["params"]["retry"]["delayMs"], 1000, "as the server wants it");
}

#[test]
fn an_answer_that_was_cut_off_is_asked_for_again() {
    let scene = Scene::new();
    let mut agent = scene.agent();
    let session = agent.begin(&scene.home);
    let asked = agent.say(&session, "SAY begun\nDROP once\nREAD nothing.txt\nSAY over");
    assert_eq!(agent.answer(asked)["result"]["stopReason"], "end_turn");
    let updates = agent.updates();
    assert!(messages(&updates).ends_with("over"), "{updates:?}");
    assert_eq!(AcpAgent::calls(&updates).len(), 1, "what was cut off called for nothing");
    let bodies = scene.model.bodies();
    let last = bodies.last().expect("a request")["messages"].clone();
    let answers = last.as_array().expect("messages").iter().filter(|message| message["role"] == "assistant");
    assert_eq!(answers.count(), 1, "and is not part of the conversation: {last}");
}

#[test]
fn failures_that_do_not_pass_are_told_in_words_with_what_to_do() {
    let scene = Scene::new();
    let mut agent = scene.agent_with(&[], &[("TETHER_MODEL_MAX_RETRIES", "1")]);
    let session = agent.begin(&scene.home);
    for (prompt, code, kind, words) in [
        ("FAIL 401 unknown key", -32000, "authentication", "TETHER_MODEL_API_KEY"),
        ("FAIL 402 no credits", -32603, "usage_limit", "no credits"),
        ("FAIL 400 maximum context length is 10 tokens", -32603, "context_length", "begin a new session"),
        ("FAIL 404 no such model", -32603, "model_not_found", "has no model scripted"),
        ("FAIL 422 does not support tools", -32603, "invalid_request", "does not support tools"),
        ("FAIL 500", -32603, "server", "scripted failure 500"),
    ] {
        // What came to nothing stays in the conversation, so each has its own.
        let session = agent.begin(&scene.home);
        let asked = agent.say(&session, prompt);
        let error = agent.answer(asked)["error"].clone();
        assert_eq!((&error["code"], &error["data"]["errorKind"]), (&json!(code), &json!(kind)), "{error}");
        assert!(error["message"].as_str().is_some_and(|message| message.contains(words)), "{error}");
    }
    assert_eq!(scene.model.requests().len(), 7, "only the last one was tried again");
    let asked = agent.say(&session, "SAY still here");
    assert_eq!(agent.answer(asked)["result"]["stopReason"], "end_turn");
}

#[test]
fn a_server_that_is_not_there_is_named() {
    let scene = Scene::new();
    let url = [("TETHER_MODEL_BASE_URL", "http://127.0.0.1:9/v1"), ("TETHER_MODEL_MAX_RETRIES", "0")];
    let mut agent = scene.agent_with(&[], &url);
    let session = agent.begin(&scene.home);
    let asked = agent.say(&session, "SAY a");
    let error = agent.answer(asked)["error"].clone();
    assert_eq!(error["data"]["errorKind"], "network", "{error}");
    assert!(error["message"].as_str().is_some_and(|text| text.contains("http://127.0.0.1:9/v1")), "{error}");
}

#[test]
fn wrong_settings_are_told_to_whoever_wants_a_session() {
    let scene = Scene::new();
    for (env, code, words) in [
        (
            &[("TETHER_MODEL_BASE_URL", ""), ("TETHER_MODEL_API_KEY", ""), ("TETHER_MODEL", "")][..],
            -32000,
            "OPENROUTER_API_KEY",
        ),
        (&[("TETHER_MODEL_BASE_URL", "localhost")], -32603, "base URL"),
        (&[("TETHER_MODEL", "")], -32603, "claude-sonnet-4-5"),
    ] {
        let mut agent = scene.agent_with(&[], env);
        agent.initialize(true);
        let refused = agent.request("session/new", json!({ "cwd": scene.home.work(), "mcpServers": [] }));
        assert_eq!(refused["error"]["code"], code, "{refused}");
        assert!(refused["error"]["message"].as_str().is_some_and(|text| text.contains(words)), "{refused}");
    }
}

#[test]
fn odd_lines_are_refused_and_change_nothing() {
    let scene = Scene::new();
    let mut agent = scene.agent();
    let session = agent.begin(&scene.home);
    for (method, params, code) in [
        ("session/nonsense", json!({}), -32601),
        (
            "session/prompt",
            json!({ "sessionId": "nobody", "prompt": [{ "type": "text", "text": "x" }] }),
            -32002,
        ),
        ("session/prompt", json!({ "sessionId": session, "prompt": [] }), -32602),
        ("session/prompt", json!({ "sessionId": session, "prompt": [{ "type": "audio" }] }), -32602),
        ("session/load", json!({ "sessionId": "../../etc/passwd", "cwd": scene.home.work() }), -32002),
        ("session/new", json!({ "cwd": "relative" }), -32602),
        ("session/new", json!({ "cwd": "/nowhere/at/all" }), -32602),
        ("session/new", json!(7), -32602),
    ] {
        let refused = agent.request(method, params.clone());
        assert_eq!(refused["error"]["code"], code, "{method} {params}: {refused}");
    }
    agent.send(&json!([1, 2]));
    agent.send(&json!({ "jsonrpc": "2.0", "method": "session/cancel", "params": { "sessionId": 7 } }));
    let refused = agent.wait_for("a refusal", |line| line["id"].is_null() && line["error"].is_object());
    assert_eq!(refused["error"]["code"], -32600);
    let asked = agent.say(&session, "SAY still here");
    assert_eq!(agent.answer(asked)["result"]["stopReason"], "end_turn");
}
