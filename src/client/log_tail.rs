//! The daemon's own log, from afar.

use reqwest::Method;
use serde::Deserialize;

use super::{Client, ClientError};

/// The end of a daemon's log, or what came to it since (`GET /api/settings/log-tail`).
#[derive(Clone, Debug, Deserialize)]
pub struct LogTail {
    /// Its file; `None` = it logs to its terminal only.
    pub file: Option<String>,
    /// Whole lines, the newest last.
    pub lines: Vec<String>,
    /// What to give as `after` for what comes next.
    #[serde(default)]
    pub next: Option<String>,
}

impl Client {
    /// The last lines of the daemon's log (at most 2,000), or those after a place that an earlier answer named.
    pub async fn log_tail(&self, lines: usize, after: Option<&str>) -> Result<LogTail, ClientError> {
        let mut query = vec![("lines", lines.clamp(1, 2000).to_string())];
        query.extend(after.map(|after| ("after", after.to_owned())));
        self.call(self.request(Method::GET, &["api", "settings", "log-tail"]).query(&query)).await
    }
}
