//! `tether stop`: ends the daemon, and waits until it is gone.

use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use super::args::StopArgs;
use super::{Context, Failure};
use crate::client::{Client, ClientError};
use crate::config;
use crate::daemon::Presence;

/// How long the daemon may take; its own limits are shorter.
const PATIENCE: Duration = Duration::from_secs(30);

/// Asks and waits.
pub async fn run(args: &StopArgs, mut cx: Context) -> Result<(), Failure> {
    let client = cx.client()?;
    // Read before the request, because the daemon takes the file away.
    let presence = config::data_dir_of(&cx.sources)
        .and_then(|folder| Presence::read(&folder))
        .filter(|presence| presence.url == client.url());
    client.shutdown(args.agents).await?;
    wait_until_gone(&client, presence.as_ref()).await?;
    if cx.json {
        return cx.out.json(&json!({ "ok": true, "agents": args.agents }));
    }
    let agents = if args.agents { "the agents were ended too" } else { "running agents go on" };
    Ok(cx.out.line(format!("Stopped ({agents})."))?)
}

async fn wait_until_gone(client: &Client, presence: Option<&Presence>) -> Result<(), Failure> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let gone = match presence {
            Some(presence) => !presence.is_alive(),
            None => matches!(client.health().await, Err(ClientError::Unreachable { .. })),
        };
        if gone {
            return Ok(());
        }
        if Instant::now() >= deadline {
            return Err(Failure::text(format!(
                "the daemon at {} was asked to stop and is still there after {} s (see: tether logs)",
                client.url(),
                PATIENCE.as_secs()
            )));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
