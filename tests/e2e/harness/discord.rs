//! A Discord of our own (`tests/rig/discord_server.py`) as a process, and what people do there.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use super::process::MARK;
use super::{Home, eventually};

/// The one who may act.
pub const ALICE: u64 = 1;
/// One who may not.
pub const MALLORY: u64 = 99;

/// An API and a gateway with one channel.
pub struct Discord {
    child: Child,
    base: String,
    client: reqwest::Client,
}

impl Discord {
    /// Starts one, and sets a home up for it.
    pub fn start(home: &mut Home) -> Self {
        let mut child = Command::new("python3")
            // Leaves nothing beside the script.
            .arg("-B")
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/rig/discord_server.py"))
            .env(MARK, &home.mark)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 starts the server");
        let mut first = String::new();
        let output = child.stdout.take().expect("its output was asked for");
        BufReader::new(output).read_line(&mut first).expect("the server says its port");
        let (base, port) = (format!("http://127.0.0.1:{}", first.trim()), first.trim());
        for (name, value) in [
            ("DISCORD_API_URL", base.clone()),
            ("DISCORD_GATEWAY_URL", format!("ws://127.0.0.1:{port}/gateway")),
            ("DISCORD_BOT_TOKEN", "rig.discord-token".to_owned()),
            ("DISCORD_CHANNEL_ID", "91".to_owned()),
            ("DISCORD_ALLOWED_USER_IDS", "1, 2".to_owned()),
        ] {
            home.extra.insert(name.into(), value);
        }
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

    /// Waits until a session with the gateway stands.
    pub async fn connected(&self) {
        eventually("the gateway is heard", 30, || async {
            self.state().await["connected"].as_u64().filter(|count| *count > 0)
        })
        .await;
    }

    /// Waits for a message for which `is` holds.
    pub async fn message(&self, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        let shown = async {
            eventually(what, 40, || async {
                let state = self.state().await;
                let messages = state["messages"].as_array()?;
                messages.iter().rev().find(|message| is(message)).cloned()
            })
            .await
        };
        match tokio::time::timeout(std::time::Duration::from_secs(39), shown).await {
            Ok(found) => found,
            Err(_) => panic!("not within 39 s: {what}\n{:#}", self.state().await["messages"]),
        }
    }

    /// Waits for a message of the bot with these words.
    pub async fn says(&self, words: &str) -> Value {
        self.message(words, |message| is_ours(message) && text(message).contains(words)).await
    }

    /// Waits for a message with these words and buttons.
    pub async fn asks(&self, words: &str) -> Value {
        self.message(words, |message| text(message).contains(words) && !buttons(message).is_empty()).await
    }

    /// A message as it is now.
    pub async fn now(&self, message: &Value) -> Value {
        let state = self.state().await;
        let messages = state["messages"].as_array().expect("a list").clone();
        messages.into_iter().find(|one| one["id"] == message["id"]).expect("it is there")
    }

    /// Somebody presses a button; the press.
    pub async fn presses(&self, user: u64, message: &Value, label: &str) -> String {
        let body = json!({ "user": user, "message": message["id"], "label": label });
        self.does("press", body).await["press"].as_str().expect("an id").to_owned()
    }

    /// Waits until the one who pressed is told something.
    pub async fn told(&self, press: &str) -> String {
        eventually("the one who pressed is told", 20, || async {
            self.state().await["presses"][press]["told"].as_str().map(str::to_owned)
        })
        .await
    }

    /// Waits for the form that a press opens, and fills it in.
    pub async fn fills_in(&self, press: &str, words: &str) {
        eventually("a form opens", 20, || async {
            self.state().await["presses"][press]["form"].is_object().then_some(())
        })
        .await;
        self.does("submit", json!({ "press": press, "words": words })).await;
    }

    /// Somebody writes in a thread, some time after all that stands there.
    pub async fn writes(&self, user: u64, thread: &Value, text: &str) {
        self.does("text", json!({ "user": user, "thread": thread, "text": text, "later": 10 })).await;
    }

    /// All messages of the bot in a thread, oldest first.
    pub async fn texts(&self, thread: &Value) -> Vec<String> {
        let state = self.state().await;
        let messages = state["messages"].as_array().expect("a list");
        let of_thread = messages.iter().filter(|one| one["thread"] == *thread && is_ours(one));
        of_thread.map(|one| text(one).to_owned()).collect()
    }

    /// Nothing was sent that Discord does not take.
    pub async fn was_well_spoken_to(&self) {
        assert_eq!(self.state().await["violations"], json!([]));
    }
}

fn is_ours(message: &Value) -> bool {
    message["author"]["bot"] == true
}

/// What a message says.
pub fn text(message: &Value) -> &str {
    message["text"].as_str().unwrap_or_default()
}

/// The labels of its buttons.
pub fn buttons(message: &Value) -> Vec<&str> {
    let rows = message["components"].as_array().into_iter().flatten();
    let inside = rows.flat_map(|row| row["components"].as_array().into_iter().flatten());
    inside.filter_map(|button| button["label"].as_str()).collect()
}

impl Drop for Discord {
    fn drop(&mut self) {
        // It may be gone already; then there is nothing to end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
