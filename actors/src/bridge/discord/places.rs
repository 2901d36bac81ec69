//! Which channels are ours: the configured one, its threads, and conversations with one person.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use twilight_http::request::Request;
use twilight_http::routing::Route;

use super::http::Http;
use super::wire::{Channel, Snowflake};
use super::words::{About, Trouble};
use crate::bridge::platform::{Failure, Place};

/// So many channels are known at a time; then all are asked for again.
const KNOWN: usize = 20_000;

/// What is known of channels.
#[derive(Debug)]
pub struct Places {
    /// 0 = not known yet.
    home: AtomicU64,
    known: Mutex<HashMap<Snowflake, bool>>,
}

impl Places {
    /// Around this channel; 0 = one that is found later.
    pub fn new(home: Snowflake) -> Self {
        Self { home: AtomicU64::new(home), known: Mutex::default() }
    }

    /// The channel in which threads are made; 0 = not known yet.
    pub fn home(&self) -> Snowflake {
        self.home.load(Ordering::Relaxed)
    }

    /// It is this channel.
    pub fn set_home(&self, home: Snowflake) {
        self.home.store(home, Ordering::Relaxed);
    }

    fn known(&self) -> MutexGuard<'_, HashMap<Snowflake, bool>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Learns what a channel is.
    pub fn learn(&self, channel: &Channel) {
        if channel.is_thread() {
            self.note(channel.id, channel.parent_id == Some(self.home()));
        }
    }

    /// Learns that a thread is ours, or that a channel is none of ours.
    pub fn note(&self, channel: Snowflake, ours: bool) {
        let mut known = self.known();
        if known.len() >= KNOWN {
            known.clear();
        }
        known.insert(channel, ours);
    }

    /// What a channel is, by what is known. Outside of servers it is somebody's own conversation.
    pub fn place(&self, channel: Snowflake, guild: Option<Snowflake>) -> Option<Place> {
        if channel == self.home() {
            return Some(Place::Home);
        }
        match self.known().get(&channel) {
            Some(true) => Some(Place::Thread(channel.to_string())),
            Some(false) => Some(Place::Elsewhere),
            None => guild.is_none().then(|| Place::Direct(channel.to_string())),
        }
    }

    /// The same, and Discord is asked when it is not known.
    pub async fn find(
        &self,
        http: &Http,
        channel: Snowflake,
        guild: Option<Snowflake>,
    ) -> Result<Place, Failure> {
        if let Some(place) = self.place(channel, guild) {
            return Ok(place);
        }
        let request = Request::builder(&Route::GetChannel { channel_id: channel }).build();
        match http.call::<Channel>(request).await {
            Ok(found) => {
                self.note(channel, found.is_thread() && found.parent_id == Some(self.home()));
            }
            Err(Trouble::Refused { status: 403 | 404, .. }) => self.note(channel, false),
            Err(trouble) => return Err(trouble.failure(About::Home)),
        }
        Ok(self.place(channel, guild).unwrap_or(Place::Elsewhere))
    }
}
