//! A Telegram of our own (`tests/rig/telegram_server.py`) as a process, and what people do there.

use std::ops::Deref;

use serde_json::{Value, json};

use super::chat::{Chat, Rig};
use super::{Home, eventually};

pub use super::chat::text;

/// The one who may act.
pub const ALICE: u64 = 1;
/// One who may not.
pub const MALLORY: u64 = 99;

/// A Bot API server with one forum group.
pub struct Telegram(Rig);

impl Deref for Telegram {
    type Target = Rig;

    fn deref(&self) -> &Rig {
        &self.0
    }
}

impl Telegram {
    /// Waits for a message with these words.
    pub async fn says(&self, words: &str) -> Value {
        self.message(words, |message| text(message).contains(words)).await
    }

    /// Waits for a message with these words and buttons.
    pub async fn asks(&self, words: &str) -> Value {
        self.message(words, |message| text(message).contains(words) && !buttons(message).is_empty()).await
    }

    /// Somebody presses a button; waits until they are told what came of it.
    pub async fn presses(&self, user: u64, message: &Value, label: &str) -> String {
        let press = self.press(user, message, label).await;
        self.toast(&press).await
    }

    /// Waits until the one who pressed is told what came of it.
    pub async fn toast(&self, press: &str) -> String {
        self.told_in("text", press).await
    }
}

impl Chat for Telegram {
    const NAME: &'static str = "telegram";

    fn start(home: &mut Home) -> Self {
        let rig = Rig::start(home, "telegram_server.py");
        for (name, value) in [
            ("TELEGRAM_API_URL", rig.base.as_str()),
            ("TELEGRAM_BOT_TOKEN", "4242:test-token"),
            ("TELEGRAM_FORUM_GROUP_ID", "-1001234567890"),
            ("TELEGRAM_ALLOWED_USER_IDS", "1, 2"),
        ] {
            home.extra.insert(name.into(), value.into());
        }
        Self(rig)
    }

    async fn connected(&self) {
        eventually("it is polled", 30, || async {
            self.state().await["polled"].as_bool().filter(|polled| *polled)
        })
        .await;
    }

    async fn thread_now(&self, name: &str) -> Option<Value> {
        let found = self.find(|one| text(one).contains(name)).await?;
        Some(found["thread"].clone())
    }

    async fn counts(&self) {
        self.does("count", json!({ "on": true })).await;
    }

    async fn refused(&self) -> u64 {
        self.state().await["refused"].as_u64().expect("a number")
    }

    async fn texts(&self, thread: &Value) -> Vec<String> {
        let state = self.state().await;
        let messages = state["messages"].as_array().expect("a list");
        messages.iter().filter(|one| one["thread"] == *thread).map(|one| text(one).to_owned()).collect()
    }

    async fn answers(&self, thread: &Value, words: &str, label: &str) {
        let is =
            |one: &Value| one["thread"] == *thread && text(one).contains(words) && !buttons(one).is_empty();
        let card = self.message(words, is).await;
        self.press(ALICE, &card, label).await;
    }
}

/// The labels of its buttons.
pub fn buttons(message: &Value) -> Vec<&str> {
    let rows = message["buttons"].as_array().into_iter().flatten();
    rows.flat_map(|row| row.as_array().into_iter().flatten()).filter_map(Value::as_str).collect()
}
