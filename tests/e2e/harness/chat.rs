//! What the chats of the tests have in common: servers in Python that are steered over HTTP, and the beginnings of
//! scenarios, which are the same on every platform.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use super::process::MARK;
use super::{Home, Stage, eventually};

/// A platform on which sessions are shown.
pub trait Chat: Sized {
    /// The word for it.
    const NAME: &'static str;

    /// Starts one, and sets a home up for it.
    fn start(home: &mut Home) -> Self;

    /// Waits until the daemon hears from it.
    async fn connected(&self);

    /// The thread of the session of this name, if it is there; what it is known by.
    async fn thread_now(&self, name: &str) -> Option<Value>;

    /// Waits for it.
    async fn thread_of(&self, name: &str) -> Value {
        eventually(&format!("the thread of {name}"), 60, || self.thread_now(name)).await
    }

    /// Every call counts from now on against what the platform allows, and one too many is answered with a pause.
    async fn counts(&self);

    /// How many calls were one too many.
    async fn refused(&self) -> u64;

    /// All that the bot's messages in a thread say, oldest first.
    async fn texts(&self, thread: &Value) -> Vec<String>;

    /// Waits for a question with these words in a thread, and presses a button of it.
    async fn answers(&self, thread: &Value, words: &str, label: &str);
}

/// A daemon with a chat, and no agents.
pub async fn bare<C: Chat>() -> (C, Stage) {
    let mut home = Home::new();
    let chat = C::start(&mut home);
    let stage = Stage::bare_in(home).await;
    chat.connected().await;
    (chat, stage)
}

/// The same with agents.
pub async fn with_agents<C: Chat>() -> (C, Stage) {
    let mut home = Home::new();
    let chat = C::start(&mut home);
    let stage = Stage::with_agents_in(home).await;
    chat.connected().await;
    (chat, stage)
}

/// A session of an external agent that is shown in the chat; its id, and its thread.
pub async fn external<C: Chat>(stage: &Stage, chat: &C, name: &str) -> (String, Value) {
    let id = bound::<C>(stage, name).await;
    (id, chat.thread_of(name).await)
}

/// A session of an external agent that is to be shown in the chat; its id.
pub async fn bound<C: Chat>(stage: &Stage, name: &str) -> String {
    let body = json!({ "agent_name": "rig", "session_name": name, "platform": C::NAME });
    let session = stage.api.post("/api/sessions", body).await.ok();
    session["id"].as_str().expect("an id").to_owned()
}

/// A session of a real agent in the work folder; its id, and its thread.
pub async fn working<C: Chat>(stage: &Stage, chat: &C) -> (String, Value) {
    let body = json!({ "directory": stage.home.work(), "platform": C::NAME });
    let session = stage.api.post("/api/sessions", body).await.ok();
    (session["id"].as_str().expect("an id").to_owned(), chat.thread_of("Work").await)
}

/// Has a session ask whether a command may be run.
pub async fn ask(stage: &Stage, id: &str, request: &str, command: &str) {
    let ask = json!({ "request_id": request, "tool_name": "Bash", "tool_input": { "command": command } });
    stage.api.push(id, "permission_request", ask).await.ok();
}

/// Has a session say something, and end its turn.
pub async fn say(stage: &Stage, id: &str, text: &str) {
    stage.api.push(id, "output", json!({ "text": text, "is_final": true })).await.ok();
    stage.api.push(id, "status", json!({ "status": "done" })).await.ok();
}

/// How often words stand in what a session heard and said.
pub async fn heard(stage: &Stage, id: &str, words: &str) -> usize {
    let path = format!("/api/sessions/{id}/events/poll?since_seq=0&wait_s=0");
    stage.api.get(&path).await.ok()["events"].to_string().matches(words).count()
}

/// Waits until a session has heard words; how often it has.
pub async fn is_heard(stage: &Stage, id: &str, words: &str) -> usize {
    eventually(&format!("the session hears {words:?}"), 40, || async {
        Some(heard(stage, id, words).await).filter(|count| *count > 0)
    })
    .await
}

/// A server in Python (`tests/rig`), steered over HTTP.
pub struct Rig {
    child: Child,
    /// `http://127.0.0.1:PORT`
    pub base: String,
    client: reqwest::Client,
}

impl Rig {
    /// Starts one for a home.
    pub fn start(home: &Home, script: &str) -> Self {
        let mut child = Command::new("python3")
            // Leaves nothing beside the script.
            .arg("-B")
            .arg(format!("{}/tests/rig/{script}", env!("CARGO_MANIFEST_DIR")))
            .env(MARK, &home.mark)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 starts the server");
        let mut first = String::new();
        let output = child.stdout.take().expect("its output was asked for");
        BufReader::new(output).read_line(&mut first).expect("the server says its port");
        let base = format!("http://127.0.0.1:{}", first.trim());
        Self { child, base, client: reqwest::Client::new() }
    }

    /// All that the server knows.
    pub async fn state(&self) -> Value {
        let answer = self.client.get(format!("{}/control/state", self.base)).send().await;
        answer.expect("the server answers").json().await.expect("JSON")
    }

    /// Has something happen there.
    pub async fn does(&self, what: &str, body: Value) -> Value {
        let url = format!("{}/control/{what}", self.base);
        let answer = self.client.post(url).json(&body).send().await.expect("the server answers");
        assert!(answer.status().is_success(), "{what} {body}");
        answer.json().await.expect("JSON")
    }

    /// The newest message for which `is` holds.
    pub async fn find(&self, is: impl Fn(&Value) -> bool) -> Option<Value> {
        let state = self.state().await;
        state["messages"].as_array()?.iter().rev().find(|message| is(message)).cloned()
    }

    /// Waits for a message for which `is` holds.
    pub async fn message(&self, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        let shown = async { eventually(what, 60, || self.find(&is)).await };
        match tokio::time::timeout(Duration::from_secs(59), shown).await {
            Ok(found) => found,
            Err(_) => panic!("not within 59 s: {what}\n{:#}", self.state().await["messages"]),
        }
    }

    /// A message as it is now.
    pub async fn now(&self, message: &Value) -> Value {
        let state = self.state().await;
        let messages = state["messages"].as_array().expect("a list").clone();
        messages.into_iter().find(|one| one["id"] == message["id"]).expect("it is there")
    }

    /// Somebody writes in a thread, some time after all that stands there.
    pub async fn writes(&self, user: u64, thread: &Value, text: &str) {
        self.does("text", json!({ "user": user, "thread": thread, "text": text, "later": 10 })).await;
    }

    /// Somebody presses a button; the press.
    pub async fn press(&self, user: u64, message: &Value, label: &str) -> String {
        let body = json!({ "user": user, "message": message["id"], "label": label });
        self.does("press", body).await["press"].as_str().expect("an id").to_owned()
    }

    /// Waits until the one who pressed is told something, in this field.
    pub async fn told_in(&self, field: &str, press: &str) -> String {
        eventually("the one who pressed is told", 30, || async {
            self.state().await["presses"][press][field].as_str().map(str::to_owned)
        })
        .await
    }

    /// Nothing was sent that the platform does not take.
    pub async fn was_well_spoken_to(&self) {
        assert_eq!(self.state().await["violations"], json!([]));
    }
}

/// What a message says.
pub fn text(message: &Value) -> &str {
    message["text"].as_str().unwrap_or_default()
}

impl Drop for Rig {
    fn drop(&mut self) {
        // It may be gone already; then there is nothing to end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
