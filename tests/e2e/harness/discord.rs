//! A Discord of our own (`tests/rig/discord_server.py`) as a process, and what people do there.

use std::ops::Deref;

use serde_json::{Value, json};

use super::chat::{Chat, Rig};
use super::{Home, eventually};

pub use super::chat::text;

/// The one who may act.
pub const ALICE: u64 = 1;
/// One who may not.
pub const MALLORY: u64 = 99;
/// The channel.
pub const HOME: &str = "91";

/// An API and a gateway with one channel.
pub struct Discord(Rig);

impl Deref for Discord {
    type Target = Rig;

    fn deref(&self) -> &Rig {
        &self.0
    }
}

impl Discord {
    /// Waits for a message of the bot with these words.
    pub async fn says(&self, words: &str) -> Value {
        self.message(words, |message| is_ours(message) && text(message).contains(words)).await
    }

    /// Waits for a message with these words and buttons.
    pub async fn asks(&self, words: &str) -> Value {
        self.message(words, |message| text(message).contains(words) && !buttons(message).is_empty()).await
    }

    /// Somebody presses a button; the press.
    pub async fn presses(&self, user: u64, message: &Value, label: &str) -> String {
        self.press(user, message, label).await
    }

    /// Waits until the one who pressed is told something.
    pub async fn told(&self, press: &str) -> String {
        self.told_in("told", press).await
    }

    /// Waits for the form that a press opens, and fills it in.
    pub async fn fills_in(&self, press: &str, words: &str) {
        eventually("a form opens", 30, || async {
            self.state().await["presses"][press]["form"].is_object().then_some(())
        })
        .await;
        self.does("submit", json!({ "press": press, "words": words })).await;
    }
}

impl Chat for Discord {
    const NAME: &'static str = "discord";

    fn start(home: &mut Home) -> Self {
        let rig = Rig::start(home, "discord_server.py");
        for (name, value) in [
            ("DISCORD_API_URL", rig.base.clone()),
            ("DISCORD_GATEWAY_URL", format!("{}/gateway", rig.base.replace("http:", "ws:"))),
            ("DISCORD_BOT_TOKEN", "rig.discord-token".to_owned()),
            ("DISCORD_CHANNEL_ID", HOME.to_owned()),
            ("DISCORD_ALLOWED_USER_IDS", "1, 2".to_owned()),
        ] {
            home.extra.insert(name.into(), value);
        }
        Self(rig)
    }

    async fn connected(&self) {
        eventually("the gateway is heard", 30, || async {
            self.state().await["connected"].as_u64().filter(|count| *count > 0)
        })
        .await;
    }

    async fn thread_now(&self, name: &str) -> Option<Value> {
        let threads = self.state().await["threads"].clone();
        let is = |one: &Value| {
            one["thread"].as_str().is_some_and(|id| threads.get(id).is_some()) && text(one).contains(name)
        };
        Some(self.find(is).await?["thread"].clone())
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
        let of_thread = messages.iter().filter(|one| one["thread"] == *thread && is_ours(one));
        of_thread.map(|one| text(one).to_owned()).collect()
    }

    async fn answers(&self, thread: &Value, words: &str, label: &str) {
        let is =
            |one: &Value| one["thread"] == *thread && text(one).contains(words) && !buttons(one).is_empty();
        let card = self.message(words, is).await;
        self.press(ALICE, &card, label).await;
    }
}

fn is_ours(message: &Value) -> bool {
    message["author"]["bot"] == true
}

/// The labels of its buttons.
pub fn buttons(message: &Value) -> Vec<&str> {
    let rows = message["components"].as_array().into_iter().flatten();
    let inside = rows.flat_map(|row| row["components"].as_array().into_iter().flatten());
    inside.filter_map(|button| button["label"].as_str()).collect()
}
