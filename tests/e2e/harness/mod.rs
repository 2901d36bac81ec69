//! What every scenario stands on: a fresh home, the daemon in it, a scripted model, and ways to look.
//!
//! Nothing here waits for a fixed time: every wait is on a condition and has a deadline, and what failed
//! prints the transcript, the daemon's log and the model's requests.

pub mod acp;
pub mod api;
pub mod cli;
pub mod daemon;
pub mod discord;
pub mod home;
pub mod mcp_client;
pub mod model;
pub mod peer;
pub mod process;
pub mod slack;
pub mod sse;
pub mod stage;
pub mod telegram;
pub mod transcript;
pub mod ws;

use std::future::Future;
use std::time::{Duration, Instant};

pub use acp::AcpAgent;
pub use api::Api;
pub use daemon::Daemon;
pub use home::Home;
pub use mcp_client::McpClient;
pub use model::Model;
pub use slack::FakeSlack;
pub use stage::Stage;
pub use telegram::Telegram;
pub use transcript::{Event, Transcript};

/// How often a condition that cannot be waited for is looked at.
pub const LOOK: Duration = Duration::from_millis(20);

/// Looks until `condition` gives something; panics with `what` when that takes more than `seconds`.
pub async fn eventually<T, F>(what: &str, seconds: u64, mut condition: impl FnMut() -> F) -> T
where
    F: Future<Output = Option<T>>,
{
    let deadline = Instant::now() + Duration::from_secs(seconds);
    loop {
        if let Some(found) = condition().await {
            return found;
        }
        assert!(Instant::now() < deadline, "not within {seconds} s: {what}");
        tokio::time::sleep(LOOK).await;
    }
}

/// The lines of a file; none if it does not exist.
pub fn lines(path: impl AsRef<std::path::Path>) -> Vec<String> {
    std::fs::read_to_string(path).unwrap_or_default().lines().map(str::to_owned).collect()
}
