//! How fast a platform may be spoken to: its numbers a minute, and the pauses that it asks for.

use std::time::{Duration, Instant};

/// A share of the allowance is kept for messages that somebody waits for; what is only shown as it grows waits.
const RESERVE: f64 = 0.4;
/// The first wait after a failure; it doubles up to [`LONGEST`].
const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(60);

/// The allowance of one connection.
#[derive(Clone, Debug)]
pub struct Pace {
    per_second: f64,
    most: f64,
    left: f64,
    at: Instant,
    blocked: Option<Instant>,
}

impl Pace {
    /// So many messages a minute, of which `most` may come at once.
    pub fn new(per_minute: u32, now: Instant) -> Self {
        let most = f64::from(per_minute).max(5.0);
        Self { per_second: f64::from(per_minute) / 60.0, most, left: most, at: now, blocked: None }
    }

    fn refill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.left = (self.left + passed * self.per_second).min(self.most);
        self.at = now;
    }

    /// Whether something may be sent now; `growing` = it only shows what is being written.
    pub fn allows(&mut self, growing: bool, now: Instant) -> bool {
        if self.blocked.is_some_and(|until| now < until) {
            return false;
        }
        self.refill(now);
        self.left >= if growing { self.most * RESERVE } else { 1.0 }
    }

    /// Something is sent.
    pub fn take(&mut self) {
        self.left = (self.left - 1.0).max(0.0);
    }

    /// Nothing before this time has passed, however long it is.
    pub fn block(&mut self, for_time: Duration, now: Instant) {
        let until = now + for_time;
        self.blocked = Some(self.blocked.map_or(until, |old| old.max(until)));
    }
}

/// How long to wait before the n-th further try (from 1).
pub fn backoff(tries: u32) -> Duration {
    FIRST.saturating_mul(1u32.checked_shl(tries.saturating_sub(1)).unwrap_or(u32::MAX)).min(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growing_text_leaves_room_for_what_somebody_waits_for() {
        let now = Instant::now();
        let mut pace = Pace::new(20, now);
        let mut growing = 0;
        while pace.allows(true, now) {
            pace.take();
            growing += 1;
        }
        assert!((10..=13).contains(&growing), "{growing}");
        assert!(pace.allows(false, now));
        for _ in 0..8 {
            pace.take();
        }
        assert!(!pace.allows(false, now));
        assert!(pace.allows(false, now + Duration::from_secs(4)));
    }

    #[test]
    fn a_pause_is_kept_however_long_it_is() {
        let now = Instant::now();
        let mut pace = Pace::new(60, now);
        pace.block(Duration::from_secs(4_000), now);
        pace.block(Duration::from_secs(1), now);
        assert!(!pace.allows(false, now + Duration::from_secs(3_999)));
        assert!(pace.allows(false, now + Duration::from_secs(4_000)));
    }

    #[test]
    fn waits_double_up_to_a_minute() {
        let waits: Vec<u64> = [1, 2, 3, 6, 7, 40].map(backoff).iter().map(Duration::as_secs).collect();
        assert_eq!(waits, [1, 2, 4, 32, 60, 60]);
    }
}
