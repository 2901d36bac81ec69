//! `tether demo-agent`: a scripted agent that needs no key and no network, for a look at the whole product.

mod agent;
mod memory;
mod show;
mod tour;

use std::path::PathBuf;
use std::time::Duration;

pub use agent::DemoAgent;

use super::folder;

/// How long a word takes.
const USUAL_PACE: u64 = 25;

/// What it is told at its start.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where conversations and what it writes are kept.
    pub folder: PathBuf,
    /// How long a word takes.
    pub pace: Duration,
}

impl Settings {
    /// Reads them. `get` gives an environment variable. `Err` is for people.
    pub fn read(data_dir: Option<PathBuf>, get: impl Fn(&str) -> Option<String>) -> Result<Self, String> {
        let set =
            |name: &str| get(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
        let pace = match set("TETHER_DEMO_PACE_MS") {
            None => USUAL_PACE,
            Some(text) => text.parse().map_err(|_| {
                format!("TETHER_DEMO_PACE_MS must be a whole number of milliseconds, not {text:?}")
            })?,
        };
        Ok(Self {
            folder: folder::of("demo", data_dir.or_else(|| set("TETHER_DEMO_DATA_DIR").map(PathBuf::from)))?,
            pace: Duration::from_millis(pace),
        })
    }
}
