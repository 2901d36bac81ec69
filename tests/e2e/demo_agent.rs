//! `tether demo-agent`, driven over the Agent Client Protocol as any client would.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{AcpAgent, Home};

/// The demo agent without its pauses.
fn agent(home: &Home) -> AcpAgent {
    AcpAgent::start(home, "demo-agent", &[], &[("TETHER_DEMO_PACE_MS", "0".to_owned())])
}

fn messages(updates: &[Value]) -> String {
    AcpAgent::text(updates, "agent_message_chunk")
}

fn form(agent: &mut AcpAgent) -> Value {
    agent.wait_for("the question", |line| line["method"] == "elicitation/create")
}

fn fill(agent: &mut AcpAgent, asked: &Value, choice: &str) {
    let result = json!({ "action": "accept", "content": { "choice": choice } });
    agent.send(&json!({ "jsonrpc": "2.0", "id": asked["id"], "result": result }));
}

#[test]
fn the_tour_shows_text_thoughts_tools_approvals_and_a_question() {
    let home = Home::new();
    std::fs::write(home.work().join("README.md"), "# The project\n").expect("written");
    let mut agent = agent(&home);
    let session = agent.begin(&home);
    let asked = agent.say(&session, "hello");

    let write = agent.permission();
    let call = &write["params"]["toolCall"];
    let path = call["locations"][0]["path"].as_str().expect("a path").to_owned();
    assert!(!path.starts_with(home.work().to_str().expect("a text")), "not in the project: {path}");
    assert!(path.starts_with(home.path().canonicalize().expect("real").to_str().expect("a text")), "{path}");
    assert!(call["title"].as_str().is_some_and(|title| title.contains(&path)), "{call}");
    assert_eq!(call["content"][0]["type"], "diff");
    assert!(!std::path::Path::new(&path).exists(), "it waits");
    agent.decide(&write, "allow_once");

    let question = form(&mut agent);
    assert!(std::path::Path::new(&path).exists());
    assert_eq!(question["params"]["requestedSchema"]["properties"]["choice"]["oneOf"][0]["const"], "A poem");
    fill(&mut agent, &question, "A poem");

    let command = agent.permission();
    assert_eq!(command["params"]["toolCall"]["kind"], "execute");
    agent.decide(&command, "allow_once");

    let answer = agent.answer(asked);
    assert_eq!(answer["result"]["stopReason"], "end_turn", "{answer}");
    assert!(answer["result"]["usage"]["totalTokens"].as_u64().is_some_and(|total| total > 100));
    let updates = agent.updates();
    let said = messages(&updates);
    for words in
        ["Hello!", "# The project", "is written", "the light went green", "It ran", "That was the tour"]
    {
        assert!(said.contains(words), "{words}: {said}");
    }
    assert!(!AcpAgent::text(&updates, "agent_thought_chunk").is_empty());
    let calls: Vec<(String, String)> =
        AcpAgent::calls(&updates).into_iter().map(|(name, status, _)| (name, status)).collect();
    let done = |name: &str| (name.to_owned(), "completed".to_owned());
    assert_eq!(calls, [done("list"), done("read"), done("write"), done("shell")]);
    let last = updates.iter().rfind(|update| update["sessionUpdate"] == "plan").expect("a plan");
    assert!(
        last["entries"].as_array().is_some_and(|all| all.iter().all(|entry| entry["status"] == "completed"))
    );

    let asked = agent.say(&session, "thanks a lot");
    agent.answer(asked);
    assert!(messages(&agent.updates()).contains("You said: thanks a lot"));
    assert!(agent.close().success());
}

#[test]
fn what_is_denied_is_not_done_and_the_tour_goes_on() {
    let home = Home::new();
    let mut agent = agent(&home);
    agent.initialize(false);
    let made = agent.request("session/new", json!({ "cwd": home.work(), "mcpServers": [] }));
    let session = made["result"]["sessionId"].as_str().expect("an id").to_owned();
    let asked = agent.say(&session, "tour");
    let write = agent.permission();
    agent.send(&json!({ "jsonrpc": "2.0", "id": write["id"], "result": {
        "outcome": { "outcome": "selected", "optionId": "reject_once" },
        "_meta": { "tether": { "reason": "not on my disk" } },
    } }));
    // A client without forms gets a question as a choice of options.
    let question = agent.permission();
    let options = question["params"]["options"].as_array().expect("options").clone();
    let kinds: Vec<&str> = options.iter().filter_map(|option| option["kind"].as_str()).collect();
    assert_eq!(kinds, ["allow_once", "allow_once", "allow_once", "reject_once"]);
    let outcome = json!({ "outcome": "selected", "optionId": options[1]["optionId"] });
    agent.send(&json!({ "jsonrpc": "2.0", "id": question["id"], "result": { "outcome": outcome } }));
    let command = agent.permission();
    agent.decide(&command, "reject_once");
    assert_eq!(agent.answer(asked)["result"]["stopReason"], "end_turn");
    let said = messages(&agent.updates());
    for words in ["not on my disk", "You chose a table", "It did not run", "That was the tour"] {
        assert!(said.contains(words), "{words}: {said}");
    }
    let path = write["params"]["toolCall"]["locations"][0]["path"].as_str().expect("a path");
    assert!(!std::path::Path::new(path).exists());
}

#[test]
fn an_interrupted_or_killed_tour_goes_on_where_it_was() {
    let home = Home::new();
    let mut first = agent(&home);
    let session = first.begin(&home);
    let asked = first.say(&session, "hello");
    first.permission();
    first.cancel(&session);
    assert_eq!(first.answer(asked)["result"]["stopReason"], "cancelled");
    first.updates();
    first.say(&session, "go on");
    let write = first.permission();
    let said = messages(&first.updates());
    assert!(said.contains("write a file") && !said.contains("Hello!"), "{said}");
    first.decide(&write, "allow_once");
    form(&mut first);
    first.kill9();

    let mut second = agent(&home);
    second.initialize(true);
    let old = json!({ "sessionId": session, "cwd": home.work(), "mcpServers": [] });
    let loaded = second.request("session/load", old);
    assert!(loaded["result"].is_object(), "{loaded}");
    let replayed = second.updates();
    assert!(messages(&replayed).contains("Hello!"), "all of it is there");
    assert!(
        AcpAgent::calls(&replayed).iter().any(|(name, status, _)| name == "write" && status == "completed")
    );
    let asked = second.say(
        &session,
        "Your process ended unexpectedly while you were working and was started again. Go on with what you were doing.",
    );
    let question = form(&mut second);
    fill(&mut second, &question, "Nothing");
    let command = second.permission();
    second.decide(&command, "allow_once");
    assert_eq!(second.answer(asked)["result"]["stopReason"], "end_turn");
    let said = messages(&second.updates());
    assert!(said.contains("I am back") && said.contains("That was the tour"), "{said}");
    assert!(!said.contains("write a file, in a folder"), "that was done: {said}");
}

#[test]
fn crash_ends_it_with_1_after_its_last_words_and_it_comes_back() {
    let home = Home::new();
    let mut first = agent(&home);
    let session = first.begin(&home);
    first.say(&session, "crash");
    assert_eq!(first.ended().code(), Some(1));
    first.wait_for("its last words", |line| line["params"]["update"]["content"]["text"] == "moment.");
    let mut second = agent(&home);
    second.initialize(true);
    let old = json!({ "sessionId": session, "cwd": home.work(), "mcpServers": [] });
    second.request("session/resume", old);
    let asked = second.say(&session, "go on");
    assert_eq!(second.answer(asked)["result"]["stopReason"], "end_turn");
    assert!(messages(&second.updates()).contains("I am back"));
}

#[test]
fn long_streams_until_it_is_interrupted_and_fail_fails() {
    let home = Home::new();
    let mut agent = agent(&home);
    let session = agent.begin(&home);
    let asked = agent.say(&session, "long 600");
    agent.wait_for("some of it", |line| line["params"]["update"]["content"]["text"] == "3: ");
    let began = Instant::now();
    agent.cancel(&session);
    assert_eq!(agent.answer(asked)["result"]["stopReason"], "cancelled");
    assert!(began.elapsed() < Duration::from_secs(30));
    let asked = agent.say(&session, "fail");
    let answer = agent.answer(asked);
    assert_eq!(answer["error"]["data"]["errorKind"], "server", "{answer}");
    let asked = agent.say(&session, "help");
    assert_eq!(agent.answer(asked)["result"]["stopReason"], "end_turn");
}
