//! Which agent program to start: looked for once, and again when what was found has changed.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use super::claude::discover::{self, DiscoverError, Found};

/// What was found, and when its file was last written.
type Cached = (Found, Option<SystemTime>);

/// Finds agent programs. Looking takes tens of milliseconds (the program is asked for its version), so what was
/// found is kept for as long as its file stays the same.
#[derive(Debug, Default)]
pub struct Programs {
    claude: Option<PathBuf>,
    cache: Mutex<Option<Cached>>,
}

impl Programs {
    /// With the `claude` program that the person named, if any.
    pub fn new(claude: Option<PathBuf>) -> Self {
        Self { claude, cache: Mutex::new(None) }
    }

    /// The `claude` program. Blocks: call it on a thread for blocking work.
    ///
    /// # Errors
    /// Says where it was looked for and what to do.
    pub fn claude(&self) -> Result<Found, DiscoverError> {
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((found, written)) = &*cache
            && written.is_some()
            && written_at(found) == *written
        {
            return Ok(found.clone());
        }
        let found = discover::find(self.claude.as_deref())?;
        *cache = Some((found.clone(), written_at(&found)));
        Ok(found)
    }
}

fn written_at(found: &Found) -> Option<SystemTime> {
    std::fs::metadata(&found.path).ok()?.modified().ok()
}
