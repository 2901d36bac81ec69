//! `tether verify`: whether the daemon answers and the token fits.

use serde_json::json;

use super::{Context, Failure, status};

/// Checks one thing after the other; the first that fails ends it with 1.
pub async fn run(mut cx: Context) -> Result<(), Failure> {
    let client = cx.client()?;
    let health = client.health().await?;
    if !health.ok {
        return Err(Failure::text(format!(
            "{} answers that it is not well (see: tether logs)",
            client.url()
        )));
    }
    let sessions = client.sessions().await?.len();
    let bridges = client.bridges().await?;
    if cx.json {
        return cx.out.json(&json!({ "health": health, "sessions": sessions, "bridges": bridges }));
    }
    cx.out.line("  Health:     ok")?;
    cx.out.line(format!("  API:        ok ({sessions} sessions)"))?;
    if let Some(bridges) = bridges {
        cx.out.line(format!("  Bridges:    {}", status::bridges_line(&bridges)))?;
        let broken: Vec<_> = bridges.iter().filter(|bridge| bridge.status == "error").collect();
        if let Some(bridge) = broken.first() {
            let why = bridge.error_message.as_deref().unwrap_or("it is not connected");
            return Err(Failure::text(format!("{} does not work: {why}", bridge.platform)));
        }
    }
    Ok(cx.out.line("All checks passed.")?)
}
