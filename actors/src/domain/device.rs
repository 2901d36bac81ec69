//! Paired devices: browsers and clients with a token of their own.

use serde::{Deserialize, Serialize};

use super::ids::DeviceId;
use super::time::Stamp;

/// A paired device as the store keeps it. The token itself is shown once and never kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// Its id.
    pub id: DeviceId,
    /// What the person calls it.
    pub name: String,
    /// SHA-256 of its token, hex.
    pub token_hash: String,
    /// When it was paired.
    pub created_at: Stamp,
    /// When it last asked for something, to within some minutes; null if it never did.
    #[serde(default)]
    pub last_seen_at: Option<Stamp>,
}
