//! What the bridges of the other program keep beside the database: which Telegram topic a session has, and who was
//! paired on Discord.
//!
//! Formats of Tether 0.3.4 (read in `bridges/telegram/state.py` and `bridges/discord/pairing_state.py`):
//! `telegram_state.json` is `{"mappings": {session: {"topic_id", "name", "created_at"}}}`, and of a session on Telegram it
//! is this file that counts; on Slack and Discord it is the session's row. `discord_pairing.json` is `{"pairing_code",
//! "paired_user_ids", "control_channel_id", "created_at"}`.

use std::collections::HashMap;
use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{Found, Left};

/// Topics by session.
const TOPICS: &str = "telegram_state.json";
/// Who was paired on Discord.
pub(super) const PAIRING: &str = "discord_pairing.json";

#[derive(Default, Deserialize)]
struct Topics {
    #[serde(default)]
    mappings: HashMap<String, Topic>,
}

#[derive(Deserialize)]
struct Topic {
    topic_id: i64,
}

/// Who was paired, and where the bot was told to be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Pairing {
    /// Discord's ids of people.
    #[serde(default, rename = "paired_user_ids")]
    pub people: Vec<u64>,
    /// Discord's id of the channel that was chosen by a command there.
    #[serde(default, rename = "control_channel_id")]
    pub channel: Option<u64>,
}

/// Gives each session on Telegram the topic that it has.
pub(super) fn give_topics(folder: &Path, sessions: &mut [Found], left: &mut Vec<Left>) {
    let topics: Topics = read(folder, TOPICS, left).unwrap_or_default();
    for Found { session, .. } in sessions {
        if session.platform.as_deref() == Some("telegram")
            && let Some(topic) = topics.mappings.get(&session.id)
        {
            session.platform_thread_id = Some(topic.topic_id.to_string());
        }
    }
}

/// Who was paired on Discord, if anybody was.
pub(super) fn pairing(folder: &Path, left: &mut Vec<Left>) -> Option<Pairing> {
    read::<Pairing>(folder, PAIRING, left)
        .filter(|pairing| !pairing.people.is_empty() || pairing.channel.is_some())
}

/// Reads a file; `None` if it is not there or, which is told, of no use.
fn read<T: DeserializeOwned>(folder: &Path, name: &str, left: &mut Vec<Left>) -> Option<T> {
    let told = match std::fs::read(folder.join(name)) {
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| error.to_string()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return None,
        Err(error) => Err(error.to_string()),
    };
    told.map_err(|why| left.push(Left::new(name, format!("it cannot be read: {why}")))).ok()
}
