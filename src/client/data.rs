//! The data as a whole: sessions that come over from another program, and backups.

use reqwest::Method;
use tether_actors::domain::past::{PastSession, PastTaken};

use super::{Client, ClientError, Download, LONG_PATIENCE};

impl Client {
    /// Hands a session over that another program kept.
    pub async fn import(&self, past: &PastSession) -> Result<PastTaken, ClientError> {
        let request = self.request(Method::POST, &["api", "sessions", "import"]);
        self.call(request.timeout(LONG_PATIENCE).json(past)).await
    }

    /// All data, piece by piece.
    pub async fn backup(&self) -> Result<Download, ClientError> {
        self.download(self.request(Method::GET, &["api", "backup"])).await
    }
}
