//! How fast a platform may be spoken to: its numbers, the pauses that it asks for, and who goes first.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use super::platform::{Rate, Traits};

/// Of the allowance, so much is for what only shows how a text grows.
const GROWING: f64 = 0.5;
/// Of what grows, so much may come at once; the rest is spread over the time.
const AT_ONCE: f64 = 0.5;
/// Of the allowance, so much is kept for what somebody waits for, and so many of these for approvals.
const KEPT: f64 = 0.3;
const KEPT_FOR_APPROVALS: usize = 3;
/// The first wait after a failure; it doubles up to [`LONGEST`].
const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(60);

/// How much somebody waits for something, the least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Haste {
    /// It shows how a text grows; the next edit shows it too.
    Growing,
    /// A message like any other.
    Ordinary,
    /// The answer to somebody's command.
    Awaited,
    /// An approval, its outcome, or what must be said before one.
    Urgent,
}

/// Which of a platform's allowances a call is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A new message.
    Message,
    /// Another text for a message that is there.
    Edit,
}

/// The allowances of one connection.
#[derive(Clone, Debug)]
pub struct Pace {
    messages: Allowance,
    /// `None` = edits are of the same allowance.
    edits: Option<Allowance>,
}

/// So many calls within a time. A call counts from when it is begun until that time after its end, because it is not
/// known when in between the platform counted it.
#[derive(Clone, Debug)]
struct Allowance {
    rate: Rate,
    under_way: usize,
    ended: VecDeque<Instant>,
    /// When something that grows was shown.
    grown: VecDeque<Instant>,
    blocked: Option<Instant>,
}

impl Pace {
    /// By a platform's numbers.
    pub fn new(traits: &Traits) -> Self {
        Self { messages: Allowance::new(traits.messages), edits: traits.edits.map(Allowance::new) }
    }

    fn of(&mut self, kind: Kind) -> &mut Allowance {
        match (kind, &mut self.edits) {
            (Kind::Edit, Some(edits)) => edits,
            _ => &mut self.messages,
        }
    }

    /// Whether something may be sent now.
    pub fn allows(&mut self, kind: Kind, haste: Haste, now: Instant) -> bool {
        self.of(kind).allows(haste, now)
    }

    /// Something is being sent.
    pub fn begin(&mut self, kind: Kind, haste: Haste, now: Instant) {
        let allowance = self.of(kind);
        allowance.under_way += 1;
        if haste == Haste::Growing {
            allowance.grown.push_back(now);
        }
    }

    /// It was sent, or was not.
    pub fn end(&mut self, kind: Kind, now: Instant) {
        let allowance = self.of(kind);
        allowance.under_way = allowance.under_way.saturating_sub(1);
        allowance.ended.push_back(now);
    }

    /// Nothing of this kind before this time has passed, however long it is.
    pub fn block(&mut self, kind: Kind, for_time: Duration, now: Instant) {
        let until = now.checked_add(for_time).unwrap_or(now + Duration::from_secs(86_400 * 365));
        let blocked = &mut self.of(kind).blocked;
        *blocked = Some(blocked.map_or(until, |old| old.max(until)));
    }
}

impl Allowance {
    fn new(rate: Rate) -> Self {
        Self { rate, under_way: 0, ended: VecDeque::new(), grown: VecDeque::new(), blocked: None }
    }

    fn allows(&mut self, haste: Haste, now: Instant) -> bool {
        if self.blocked.is_some_and(|until| now < until) {
            return false;
        }
        let Rate { count, per } = self.rate;
        forget(&mut self.ended, now, per);
        let used = self.under_way + self.ended.len();
        let share = |part: f64| (count as f64 * part) as usize;
        match haste {
            Haste::Urgent => used < count,
            Haste::Awaited => used + KEPT_FOR_APPROVALS < count,
            Haste::Ordinary => used + KEPT_FOR_APPROVALS.max(share(KEPT)) < count,
            Haste::Growing => {
                forget(&mut self.grown, now, per / 10);
                let at_once = used < share(GROWING * AT_ONCE);
                let spread = self.grown.len() < share(GROWING / 10.0).max(1);
                used < share(GROWING) && (at_once || spread)
            }
        }
    }
}

/// Forgets what is longer ago.
fn forget(times: &mut VecDeque<Instant>, now: Instant, than: Duration) {
    while times.front().is_some_and(|at| now.saturating_duration_since(*at) >= than) {
        times.pop_front();
    }
}

/// How long to wait before the n-th further try (from 1).
pub fn backoff(tries: u32) -> Duration {
    FIRST.saturating_mul(1u32.checked_shl(tries.saturating_sub(1)).unwrap_or(u32::MAX)).min(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn pace(count: usize, edits: Option<usize>) -> Pace {
        let rate = |count| Rate { count, per: MINUTE };
        Pace { messages: Allowance::new(rate(count)), edits: edits.map(rate).map(Allowance::new) }
    }

    /// Sends as much as is allowed at once; how much that was.
    fn all(pace: &mut Pace, kind: Kind, haste: Haste, now: Instant) -> usize {
        let mut count = 0;
        while pace.allows(kind, haste, now) && count < 1_000 {
            pace.begin(kind, haste, now);
            pace.end(kind, now);
            count += 1;
        }
        count
    }

    #[test]
    fn what_is_waited_for_finds_room_whatever_else_is_sent() {
        let (mut pace, now) = (pace(20, None), Instant::now());
        assert_eq!(all(&mut pace, Kind::Edit, Haste::Growing, now), 5, "the rest is spread");
        assert!(!pace.allows(Kind::Edit, Haste::Growing, now + Duration::from_secs(5)));
        assert!(pace.allows(Kind::Edit, Haste::Growing, now + Duration::from_secs(6)));
        assert_eq!(all(&mut pace, Kind::Message, Haste::Ordinary, now), 9);
        assert_eq!(all(&mut pace, Kind::Message, Haste::Awaited, now), 3);
        assert_eq!(all(&mut pace, Kind::Message, Haste::Urgent, now), 3);
        assert_eq!(all(&mut pace, Kind::Message, Haste::Urgent, now + MINUTE), 20);
    }

    #[test]
    fn no_minute_has_more_than_it_may_whenever_the_platform_counted() {
        let (mut pace, now) = (pace(20, None), Instant::now());
        for _ in 0..20 {
            pace.begin(Kind::Message, Haste::Urgent, now);
        }
        let late = now + Duration::from_secs(30);
        assert!(!pace.allows(Kind::Message, Haste::Urgent, now + MINUTE), "they are still under way");
        (0..20).for_each(|_| pace.end(Kind::Message, late));
        assert!(!pace.allows(Kind::Message, Haste::Urgent, late + MINUTE - Duration::from_millis(1)));
        assert!(pace.allows(Kind::Message, Haste::Urgent, late + MINUTE));
    }

    #[test]
    fn edits_with_an_allowance_of_their_own_take_nothing_from_messages() {
        let (mut pace, now) = (pace(20, Some(50)), Instant::now());
        assert!(all(&mut pace, Kind::Edit, Haste::Urgent, now) == 50);
        pace.block(Kind::Edit, MINUTE, now);
        assert_eq!(all(&mut pace, Kind::Message, Haste::Urgent, now), 20);
    }

    #[test]
    fn a_pause_is_kept_however_long_it_is() {
        let (mut pace, now) = (pace(20, None), Instant::now());
        pace.block(Kind::Edit, Duration::from_secs(4_000), now);
        pace.block(Kind::Message, Duration::from_secs(1), now);
        assert!(!pace.allows(Kind::Message, Haste::Urgent, now + Duration::from_secs(3_999)));
        assert!(pace.allows(Kind::Message, Haste::Urgent, now + Duration::from_secs(4_000)));
        pace.block(Kind::Message, Duration::MAX, now);
        assert!(!pace.allows(Kind::Message, Haste::Urgent, now + Duration::from_secs(4_000)));
    }

    #[test]
    fn waits_double_up_to_a_minute() {
        let waits: Vec<u64> = [1, 2, 3, 6, 7, 40].map(backoff).iter().map(Duration::as_secs).collect();
        assert_eq!(waits, [1, 2, 4, 32, 60, 60]);
    }
}
