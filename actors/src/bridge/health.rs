//! How a bridge is, for those who ask.

use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;

use crate::domain::time::Stamp;

/// How a bridge is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Health {
    /// The platform: `telegram`.
    pub platform: &'static str,
    /// Who the bot is and where it talks; null until it was connected.
    pub identity: Option<String>,
    /// Since when it is connected; null while it is not.
    #[schema(value_type = Option<String>)]
    pub connected_since: Option<Stamp>,
    /// What went wrong last; null once all is well again.
    pub last_error: Option<String>,
    /// When that was.
    #[schema(value_type = Option<String>)]
    pub last_error_at: Option<Stamp>,
    /// Messages that wait to be sent.
    pub outbox: usize,
    /// When a message was last sent.
    #[schema(value_type = Option<String>)]
    pub last_delivery: Option<Stamp>,
    /// Sessions that it shows.
    pub sessions: usize,
    /// People who may act: of the settings, and paired.
    pub people: usize,
}

/// The health of one bridge, written by it and read by everybody.
#[derive(Clone, Debug)]
pub struct Pulse(Arc<Mutex<Health>>);

impl Pulse {
    /// Of a bridge that was not connected yet.
    pub fn new(platform: &'static str) -> Self {
        Self(Arc::new(Mutex::new(Health {
            platform,
            identity: None,
            connected_since: None,
            last_error: None,
            last_error_at: None,
            outbox: 0,
            last_delivery: None,
            sessions: 0,
            people: 0,
        })))
    }

    /// As it is.
    pub fn get(&self) -> Health {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Changes it.
    pub fn change(&self, with: impl FnOnce(&mut Health)) {
        with(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Notes what went wrong; logged when it is news.
    pub fn failed(&self, what: &str) {
        self.change(|health| {
            if health.last_error.as_deref() != Some(what) {
                tracing::warn!(platform = health.platform, error = what, "the chat platform fails");
            }
            health.last_error = Some(what.to_owned());
            health.last_error_at = Some(Stamp::now());
        });
    }

    /// Notes that something went well. Why the platform is not connected stays true of one that is not, whatever it may
    /// still take.
    pub fn well(&self) {
        self.change(|health| {
            if health.connected_since.is_none() {
                return;
            }
            if let Some(error) = health.last_error.take() {
                tracing::info!(platform = health.platform, was = error, "the chat platform works again");
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_still_delivered_hides_no_reason_why_a_platform_is_not_connected() {
        let pulse = Pulse::new("slack");
        pulse.failed("Socket Mode is switched off");
        pulse.well();
        assert_eq!(pulse.get().last_error.as_deref(), Some("Socket Mode is switched off"));
        pulse.change(|health| health.connected_since = Some(Stamp::now()));
        pulse.well();
        assert_eq!(pulse.get().last_error, None);
    }
}
