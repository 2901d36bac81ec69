//! The chat platforms that are set up, and what they need of the program.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use tether_actors::bridge::discord::Discord;
use tether_actors::bridge::platform::{Failure, Platform};
use tether_actors::bridge::slack::Slack;
use tether_actors::bridge::telegram::Telegram;
use tether_actors::bridge::{BridgeSettings, Bridges, Desk};
use tether_actors::registry::World;

use crate::api;
use crate::config::{BridgesSettings, Settings};

/// Connects what is set up. What cannot be reached is tried again and again, and shown as it is.
///
/// # Errors
/// No client can be made at all; the text says for which.
pub async fn open(settings: &Settings, world: &World) -> Result<Bridges, String> {
    let bridges = platforms(&settings.bridges).map_err(|failure| failure.to_string())?;
    let media = settings.data_dir.join("bridge-media");
    Ok(Bridges::open(world, Arc::new(OurDesk), media, bridges).await)
}

fn platforms(settings: &BridgesSettings) -> Result<Vec<BridgeSettings>, Failure> {
    let mut bridges = Vec::new();
    if let Some(chat) = &settings.slack {
        let platform: Arc<dyn Platform> = Arc::new(Slack::new(&chat.settings)?);
        bridges.push(BridgeSettings { platform, allowed: chat.allowed.iter().cloned().collect() });
    }
    if let Some(chat) = &settings.telegram {
        let platform: Arc<dyn Platform> = Arc::new(Telegram::new(&chat.settings)?);
        bridges.push(BridgeSettings { platform, allowed: chat.allowed.iter().cloned().collect() });
    }
    if let Some(chat) = &settings.discord {
        let platform: Arc<dyn Platform> = Arc::new(Discord::new(&chat.settings)?);
        bridges.push(BridgeSettings { platform, allowed: chat.allowed.iter().cloned().collect() });
    }
    Ok(bridges)
}

/// What the API does for its callers, for those who ask by chat.
struct OurDesk;

#[async_trait]
impl Desk for OurDesk {
    async fn directory(&self, text: &str) -> Result<PathBuf, String> {
        api::existing_directory(text).await.map_err(|_| format!("there is no folder {text}"))
    }
}
