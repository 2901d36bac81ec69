//! What the end of an agent program means, and whether and when it is started again.

use serde::{Deserialize, Serialize};

use super::time::Stamp;

/// What to do when an agent crashed in mid-turn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RestartPolicy {
    /// Resume its conversation and tell it that it was interrupted and shall go on.
    #[default]
    Continue,
    /// Resume its conversation and wait for the person.
    Resume,
    /// Leave it ended; the next input starts it again.
    Never,
}

/// Why an agent program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EndCause {
    /// By itself, with its work done.
    Clean,
    /// Because somebody asked for it.
    Stopped,
    /// Nonzero exit, or a signal that nobody of ours sent.
    Crash,
    /// Killed by the system for want of memory.
    OutOfMemory,
    /// Not signed in, or the key was refused.
    Authentication,
    /// The account's limit is reached.
    UsageLimit,
    /// The program refused its flags or settings.
    BadConfiguration,
    /// The program is not there.
    NotFound,
}

impl EndCause {
    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Clean => "clean",
            Self::Stopped => "stopped",
            Self::Crash => "crash",
            Self::OutOfMemory => "out_of_memory",
            Self::Authentication => "authentication",
            Self::UsageLimit => "usage_limit",
            Self::BadConfiguration => "bad_configuration",
            Self::NotFound => "not_found",
        }
    }
}

/// An agent is held: it is not started by itself, and a person is told why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Hold {
    /// The cause.
    pub cause: EndCause,
    /// What happened and what to do, in words.
    pub message: String,
    /// When the cause is lifted, where the agent says it.
    #[schema(value_type = Option<String>)]
    pub until: Option<Stamp>,
}

/// How often an agent may crash before it is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RestartBudget {
    /// This many restarts
    pub restarts: usize,
    /// within this many seconds.
    pub window_seconds: i64,
    /// The first delay in milliseconds; it doubles with each crash in the window.
    pub first_delay_ms: u64,
    /// The longest delay in milliseconds.
    pub longest_delay_ms: u64,
}

impl Default for RestartBudget {
    fn default() -> Self {
        Self { restarts: 5, window_seconds: 600, first_delay_ms: 500, longest_delay_ms: 60_000 }
    }
}

/// What to do about a crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestartVerdict {
    /// Start it again after this many milliseconds (before jitter).
    Restart {
        /// Which crash in the window this was, from 1.
        attempt: usize,
        /// How long to wait.
        delay_ms: u64,
    },
    /// It crashed too often.
    Hold,
}

impl RestartBudget {
    /// Records a crash at `now` in `crashes` (Unix seconds, oldest first) and says what to do.
    pub fn crashed(&self, crashes: &mut Vec<i64>, now: Stamp) -> RestartVerdict {
        crashes.push(now.unix());
        crashes.retain(|at| now.unix() - at <= self.window_seconds);
        let attempt = crashes.len();
        if attempt > self.restarts {
            return RestartVerdict::Hold;
        }
        RestartVerdict::Restart { attempt, delay_ms: self.delay_ms(attempt) }
    }

    /// The delay before the restart number `attempt` (from 1), without jitter.
    pub fn delay_ms(&self, attempt: usize) -> u64 {
        let doublings = u32::try_from(attempt.saturating_sub(1)).unwrap_or(u32::MAX).min(32);
        self.first_delay_ms.saturating_mul(1u64 << doublings).min(self.longest_delay_ms)
    }
}

/// What is known of the end of an agent program.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProgramEnd {
    /// Exit code, if it exited and we were its parent.
    pub exit_code: Option<i32>,
    /// The signal that ended it, if one did and we were its parent.
    pub signal: Option<i32>,
    /// Whether we (or a person) asked for its end.
    pub asked_for: bool,
    /// Its last lines on standard error.
    pub stderr: Vec<String>,
    /// What its protocol says of the end, if it says anything.
    pub hint: Option<EndCause>,
    /// Whether a turn was running.
    pub in_turn: bool,
}

/// Classifies the end of a program.
pub fn classify(end: &ProgramEnd) -> EndCause {
    if end.asked_for {
        return EndCause::Stopped;
    }
    if let Some(hint) = end.hint {
        return hint;
    }
    match (end.exit_code, end.signal) {
        (Some(0), _) if !end.in_turn => EndCause::Clean,
        _ => EndCause::Crash,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_longest() {
        let budget = RestartBudget::default();
        let delays: Vec<u64> = (1..=9).map(|n| budget.delay_ms(n)).collect();
        assert_eq!(delays, [500, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000]);
        assert_eq!(budget.delay_ms(usize::MAX), 60_000);
    }

    #[test]
    fn the_sixth_crash_in_the_window_holds_and_an_old_one_does_not_count() {
        let budget = RestartBudget::default();
        let mut crashes = vec![0];
        for n in 1..=5 {
            let verdict = budget.crashed(&mut crashes, Stamp::from_unix(1_000 + n));
            assert!(matches!(verdict, RestartVerdict::Restart { attempt, .. } if attempt == n as usize));
        }
        assert_eq!(budget.crashed(&mut crashes, Stamp::from_unix(1_006)), RestartVerdict::Hold);
    }

    #[test]
    fn an_end_that_was_asked_for_is_no_crash_whatever_its_code() {
        let end = ProgramEnd { exit_code: Some(143), asked_for: true, in_turn: true, ..Default::default() };
        assert_eq!(classify(&end), EndCause::Stopped);
        assert_eq!(classify(&ProgramEnd { asked_for: false, ..end }), EndCause::Crash);
    }
}
