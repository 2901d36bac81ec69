//! A Telegram of our own (`tests/rig/telegram_server.py`) as a process, and what people do there.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use super::process::MARK;
use super::{Home, eventually};

/// The one who may act.
pub const ALICE: u64 = 1;
/// One who may not.
pub const MALLORY: u64 = 99;

/// A Bot API server with one forum group.
pub struct Telegram {
    child: Child,
    base: String,
    client: reqwest::Client,
}

impl Telegram {
    /// Starts one, and sets a home up for it.
    pub fn start(home: &mut Home) -> Self {
        let mut child = Command::new("python3")
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/rig/telegram_server.py"))
            .env(MARK, &home.mark)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 starts the server");
        let mut first = String::new();
        let output = child.stdout.take().expect("its output was asked for");
        BufReader::new(output).read_line(&mut first).expect("the server says its port");
        let base = format!("http://127.0.0.1:{}", first.trim());
        for (name, value) in [
            ("TELEGRAM_API_URL", base.as_str()),
            ("TELEGRAM_BOT_TOKEN", "4242:test-token"),
            ("TELEGRAM_FORUM_GROUP_ID", "-1001234567890"),
            ("TELEGRAM_ALLOWED_USER_IDS", "1, 2"),
        ] {
            home.extra.insert(name.into(), value.into());
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

    /// Waits for a message for which `is` holds.
    pub async fn message(&self, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        let shown = async {
            eventually(what, 30, || async {
                let state = self.state().await;
                state["messages"].as_array()?.iter().rev().find(|message| is(message)).cloned()
            })
            .await
        };
        match tokio::time::timeout(std::time::Duration::from_secs(29), shown).await {
            Ok(found) => found,
            Err(_) => panic!("not within 29 s: {what}\n{:#}", self.state().await["messages"]),
        }
    }

    /// Waits for a message with these words.
    pub async fn says(&self, words: &str) -> Value {
        self.message(words, |message| text(message).contains(words)).await
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

    /// Somebody presses a button; waits until they are told what came of it.
    pub async fn presses(&self, user: u64, message: &Value, label: &str) -> String {
        let body = json!({ "user": user, "message": message["id"], "label": label });
        let press = self.does("press", body).await["press"].as_str().expect("an id").to_owned();
        self.toast(&press).await
    }

    /// Waits until the one who pressed is told what came of it.
    pub async fn toast(&self, press: &str) -> String {
        eventually("the one who pressed is told", 20, || async {
            self.state().await["presses"][press]["text"].as_str().map(str::to_owned)
        })
        .await
    }

    /// Somebody writes in a thread, some time after all that stands there.
    pub async fn writes(&self, user: u64, thread: &Value, text: &str) {
        self.does("text", json!({ "user": user, "thread": thread, "text": text, "later": 10 })).await;
    }

    /// All messages in a thread, oldest first.
    pub async fn texts(&self, thread: &Value) -> Vec<String> {
        let state = self.state().await;
        let messages = state["messages"].as_array().expect("a list");
        messages.iter().filter(|one| one["thread"] == *thread).map(|one| text(one).to_owned()).collect()
    }

    /// Nothing was sent that Telegram does not take.
    pub async fn was_well_spoken_to(&self) {
        assert_eq!(self.state().await["violations"], json!([]));
    }
}

/// What a message says.
pub fn text(message: &Value) -> &str {
    message["text"].as_str().unwrap_or_default()
}

/// The labels of its buttons.
pub fn buttons(message: &Value) -> Vec<&str> {
    let rows = message["buttons"].as_array().into_iter().flatten();
    rows.flat_map(|row| row.as_array().into_iter().flatten()).filter_map(Value::as_str).collect()
}

impl Drop for Telegram {
    fn drop(&mut self) {
        // It may be gone already; then there is nothing to end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
