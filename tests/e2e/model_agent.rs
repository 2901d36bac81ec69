//! `tether model-agent` against the scripted model, driven over the Agent Client Protocol as any client would.

mod approvals;
mod failures;
mod stops;

use serde_json::{Value, json};

use crate::harness::{AcpAgent, Home, Model, eventually};

/// An agent over a scripted model.
struct Scene {
    home: Home,
    model: Model,
}

impl Scene {
    fn new() -> Self {
        let home = Home::new();
        let model = Model::start(&home);
        Self { home, model }
    }

    fn file(&self, name: &str) -> std::path::PathBuf {
        self.home.work().join(name)
    }

    /// Starts the agent; further variables come last, so that they win.
    fn agent_with(&self, args: &[&str], env: &[(&str, &str)]) -> AcpAgent {
        let url = format!("http://127.0.0.1:{}/v1", self.model.port);
        let mut all = vec![
            ("TETHER_MODEL_BASE_URL", url),
            ("TETHER_MODEL", "scripted".to_owned()),
            ("TETHER_MODEL_API_KEY", KEY.to_owned()),
        ];
        all.extend(env.iter().map(|(name, value)| (*name, (*value).to_owned())));
        AcpAgent::start(&self.home, "model-agent", args, &all)
    }

    fn agent(&self) -> AcpAgent {
        self.agent_with(&[], &[])
    }

    /// A fresh agent goes on with a session of another one.
    fn resumed(&self, session: &str) -> (AcpAgent, Vec<Value>) {
        let mut agent = self.agent();
        agent.initialize(true);
        let loaded = agent.request("session/load", self.old(session));
        assert!(loaded["result"].is_object(), "{loaded}");
        let updates = agent.updates();
        (agent, updates)
    }

    fn old(&self, session: &str) -> Value {
        json!({ "sessionId": session, "cwd": self.home.work(), "mcpServers": [] })
    }
}

/// Looks like no other word.
const KEY: &str = "sk-a-key-that-nobody-may-see";

fn messages(updates: &[Value]) -> String {
    AcpAgent::text(updates, "agent_message_chunk")
}

#[test]
fn a_turn_streams_thoughts_text_and_tools_and_ends_with_its_usage() {
    let scene = Scene::new();
    std::fs::write(scene.file("a.txt"), "one\ntwo\n").expect("written");
    let mut agent = scene.agent();
    let session = agent.begin(&scene.home);
    let asked = agent.say(
        &session,
        "THINK let me see\nREASON reasoning more of it\nSAY hello there\nPIECES 3\nREAD a.txt\nECHO\nSAY and done",
    );
    let answer = agent.answer(asked);
    assert_eq!(answer["result"]["stopReason"], "end_turn", "{answer}");
    assert_eq!(
        answer["result"]["usage"],
        json!({ "inputTokens": 200, "outputTokens": 40, "totalTokens": 240, "cachedReadTokens": 0, "thoughtTokens": 0 })
    );
    let updates = agent.updates();
    assert_eq!(AcpAgent::text(&updates, "agent_thought_chunk"), "let me seemore of it");
    assert_eq!(messages(&updates), "hello thereone\ntwo\nand done");
    let chunks = updates.iter().filter(|update| update["sessionUpdate"] == "agent_message_chunk");
    assert!(chunks.count() > 3, "it comes in pieces: {updates:?}");
    assert_eq!(AcpAgent::calls(&updates), [("read".into(), "completed".into(), "one\ntwo\n".into())]);
    let requests = scene.model.requests();
    assert_eq!(requests[0]["tools"], json!(["read", "list", "search", "write", "edit", "shell", "ask_user"]));
    assert_eq!((&requests[0]["model"], &requests[0]["auth"]), (&json!("scripted"), &json!(true)));
    assert!(agent.close().success(), "the end of its input is a good end");
}

#[test]
fn several_calls_in_one_answer_each_get_their_result() {
    let scene = Scene::new();
    std::fs::write(scene.file("a.txt"), "first\n").expect("written");
    let mut agent = scene.agent();
    let session = agent.begin(&scene.home);
    let asked = agent.say(
        &session,
        "PIECES 2\nREAD a.txt\nAND\nTOOL search {\"pattern\":\"fir\"}\nAND\nSHELL echo third\nAND\nREAD none.txt\nSAY over",
    );
    let permission = agent.permission();
    agent.decide(&permission, "allow_once");
    assert_eq!(agent.answer(asked)["result"]["stopReason"], "end_turn");
    let updates = agent.updates();
    let calls = AcpAgent::calls(&updates);
    let said: Vec<(&str, &str)> =
        calls.iter().map(|(name, status, _)| (name.as_str(), status.as_str())).collect();
    assert_eq!(
        said,
        [("read", "completed"), ("search", "completed"), ("shell", "completed"), ("read", "failed")]
    );
    assert_eq!((calls[1].2.as_str(), calls[2].2.as_str()), ("a.txt:1: first\n", "third\n"));
    let bodies = scene.model.bodies();
    let last = bodies.last().expect("a second request")["messages"].as_array().expect("messages").clone();
    assert_eq!(last.iter().filter(|message| message["role"] == "tool").count(), 4);
    assert_eq!(
        last.iter().filter(|message| message["role"] == "assistant").count(),
        1,
        "one answer called them all"
    );
}

#[test]
fn pictures_and_attached_text_reach_the_model() {
    let scene = Scene::new();
    let mut agent = scene.agent();
    let session = agent.begin(&scene.home);
    let prompt = json!([
        { "type": "text", "text": "SAY seen" },
        { "type": "image", "mimeType": "image/png", "data": "iVBORw0KGgo=" },
        { "type": "resource", "resource": { "uri": "file:///a.txt", "text": "attached words" } },
    ]);
    let answer = agent.request("session/prompt", json!({ "sessionId": session, "prompt": prompt }));
    assert_eq!(answer["result"]["stopReason"], "end_turn", "{answer}");
    assert_eq!(scene.model.requests()[0]["images"], 1);
    let content = &scene.model.bodies()[0]["messages"][1]["content"];
    assert_eq!(content[1]["image_url"]["url"], "data:image/png;base64,iVBORw0KGgo=");
    assert!(content[0]["text"].as_str().is_some_and(|text| text.contains("attached words")), "{content}");
}

#[test]
fn the_models_of_the_server_are_offered_and_the_choice_stays_with_the_conversation() {
    let scene = Scene::new();
    let mut agent = scene.agent();
    agent.initialize(true);
    let made = agent.request("session/new", json!({ "cwd": scene.home.work(), "mcpServers": [] }));
    let option = &made["result"]["configOptions"][0];
    assert_eq!((&option["id"], &option["category"]), (&json!("model"), &json!("model")));
    assert_eq!(option["currentValue"], "scripted");
    let session = made["result"]["sessionId"].as_str().expect("an id").to_owned();
    let told = agent.wait_for("the server's models", |line| {
        line["params"]["update"]["sessionUpdate"] == "config_option_update"
    });
    let offered = told["params"]["update"]["configOptions"][0]["options"].to_string();
    assert!(offered.contains("gpt-5"), "{offered}");
    let choice = json!({ "sessionId": session, "configId": "model", "value": "gpt-5" });
    let set = agent.request("session/set_config_option", choice);
    assert_eq!(set["result"]["configOptions"][0]["currentValue"], "gpt-5", "{set}");
    let asked = agent.say(&session, "SAY a");
    agent.answer(asked);
    agent.kill9();
    let (mut agent, _) = scene.resumed(&session);
    let asked = agent.say(&session, "SAY b");
    agent.answer(asked);
    let set = agent.request("session/set_model", json!({ "sessionId": session, "modelId": "another" }));
    assert!(set["result"].is_object(), "{set}");
    let asked = agent.say(&session, "SAY c");
    agent.answer(asked);
    let models: Vec<Value> = scene.model.requests().iter().map(|request| request["model"].clone()).collect();
    assert_eq!(models, ["gpt-5", "gpt-5", "another"]);
}

#[test]
fn a_question_of_the_models_is_put_to_the_person_and_their_words_go_back() {
    let scene = Scene::new();
    let mut agent = scene.agent();
    let session = agent.begin(&scene.home);
    for (result, words) in [
        (json!({ "action": "accept", "content": { "choice": "tea" } }), "The person answered: tea"),
        (
            json!({ "action": "accept", "content": { "choice_custom": "water" } }),
            "The person answered: water",
        ),
        (json!({ "action": "decline" }), "The person did not answer."),
    ] {
        let asked = agent.say(&session, "ASK Which one?|tea|coffee\nECHO");
        let form = agent.wait_for("the question", |line| line["method"] == "elicitation/create");
        assert_eq!(form["params"]["message"], "Which one?");
        let choices = &form["params"]["requestedSchema"]["properties"]["choice"]["oneOf"];
        assert_eq!((&choices[0]["const"], &choices[1]["const"]), (&json!("tea"), &json!("coffee")));
        agent.send(&json!({ "jsonrpc": "2.0", "id": form["id"], "result": result }));
        assert_eq!(agent.answer(asked)["result"]["stopReason"], "end_turn");
        let said = messages(&agent.updates());
        assert!(said.starts_with(words), "{said}");
    }
}

#[test]
fn what_the_project_tells_agents_counts_only_when_it_is_trusted() {
    let scene = Scene::new();
    std::fs::write(scene.file("AGENTS.md"), "always use tabs\n").expect("written");
    for args in [&[][..], &["--trusted"]] {
        let mut agent = scene.agent_with(args, &[]);
        let session = agent.begin(&scene.home);
        let asked = agent.say(&session, "SAY a");
        agent.answer(asked);
    }
    let bodies = scene.model.bodies();
    let told: Vec<bool> = bodies
        .iter()
        .map(|body| body["messages"][0]["content"].as_str().expect("a system prompt").contains("use tabs"))
        .collect();
    assert_eq!(told, [false, true]);
}

#[test]
fn while_planning_nothing_can_be_changed() {
    let scene = Scene::new();
    let mut agent = scene.agent();
    let session = agent.begin(&scene.home);
    let set = agent.request("session/set_mode", json!({ "sessionId": session, "modeId": "plan" }));
    assert!(set["result"].is_object(), "{set}");
    let asked = agent.say(&session, "TOOL write {\"path\":\"x\",\"content\":\"\"}\nECHO");
    agent.answer(asked);
    assert!(messages(&agent.updates()).contains("only planning"));
    assert!(!scene.file("x").exists());
    assert_eq!(scene.model.requests()[0]["tools"], json!(["read", "list", "search", "ask_user"]));
    agent.kill9();
    let mut agent = scene.agent();
    agent.initialize(true);
    let resumed = agent.request("session/resume", scene.old(&session));
    assert_eq!(
        resumed["result"]["modes"]["currentModeId"], "plan",
        "it stays with the conversation: {resumed}"
    );
    let wrong = agent.request("session/set_mode", json!({ "sessionId": session, "modeId": "yolo" }));
    assert_eq!(wrong["error"]["code"], -32602, "{wrong}");
}

#[tokio::test]
async fn conversations_are_listed_and_one_that_is_open_is_not_opened_twice() {
    let scene = Scene::new();
    let mut agent = scene.agent();
    let session = agent.begin(&scene.home);
    let asked = agent.say(&session, "SAY a title");
    agent.answer(asked);
    let listed = agent.request("session/list", json!({ "cwd": scene.home.work() }));
    assert_eq!(listed["result"]["sessions"][0]["sessionId"], session.as_str());
    assert_eq!(listed["result"]["sessions"][0]["title"], "SAY a title");
    let mut other = scene.agent();
    other.initialize(true);
    let refused = other.request("session/load", scene.old(&session));
    assert!(
        refused["error"]["message"].as_str().is_some_and(|text| text.contains("another process")),
        "{refused}"
    );
    let closed = agent.request("session/close", json!({ "sessionId": session }));
    assert!(closed["result"].is_object(), "{closed}");
    let loaded = other.request("session/load", scene.old(&session));
    assert!(loaded["result"].is_object(), "{loaded}");
    assert_eq!(messages(&other.updates()), "a title");
}
