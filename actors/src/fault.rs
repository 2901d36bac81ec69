//! Named points at which a test can have the process killed, as by a power cut.
//!
//! `TETHER_FAULT=log.mid_commit` kills the process at the first passage of that point,
//! `TETHER_FAULT=log.mid_commit:7,agent.after_send` at the seventh, or at the first of the other.
//! Without the variable a point costs one relaxed atomic load. Names with a typing error never fire.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

const UNREAD: u8 = 0;
const UNSET: u8 = 1;
const SET: u8 = 2;

static STATE: AtomicU8 = AtomicU8::new(UNREAD);
static PLAN: OnceLock<Plan> = OnceLock::new();

/// Marks a point: dies here if the environment says so.
#[inline]
pub fn point(name: &str) {
    if STATE.load(Ordering::Relaxed) != UNSET {
        armed(name);
    }
}

#[cold]
fn armed(name: &str) {
    let plan = PLAN.get_or_init(|| Plan::parse(&std::env::var("TETHER_FAULT").unwrap_or_default()));
    STATE.store(if plan.points.is_empty() { UNSET } else { SET }, Ordering::Relaxed);
    if plan.passes(name) {
        die();
    }
}

/// SIGKILL to ourselves: no destructor runs, no buffer is written.
fn die() -> ! {
    let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    // Only reached where the signal could not be sent.
    std::process::abort()
}

#[derive(Debug)]
struct Plan {
    points: Vec<Point>,
}

#[derive(Debug)]
struct Point {
    name: String,
    /// Passages still to come, the fatal one included.
    left: AtomicU64,
}

impl Plan {
    fn parse(text: &str) -> Self {
        let points = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        let points = points.map(|part| {
            let (name, nth) = part.split_once(':').unwrap_or((part, "1"));
            Point { name: name.to_owned(), left: AtomicU64::new(nth.parse().unwrap_or(1).max(1)) }
        });
        Self { points: points.collect() }
    }

    /// Counts a passage; true when it is the fatal one.
    fn passes(&self, name: &str) -> bool {
        let point = self.points.iter().find(|point| point.name == name);
        point.is_some_and(|point| {
            // Wraps after the fatal passage, which only a test of this very function outlives.
            point.left.fetch_sub(1, Ordering::Relaxed) == 1
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_named_point_fires_at_its_passage_and_no_other_does() {
        let plan = Plan::parse("log.mid_commit:3, agent.after_send");
        assert!(!plan.passes("log.mid_commit"));
        assert!(!plan.passes("log.before_commit"));
        assert!(plan.passes("agent.after_send"));
        assert!(!plan.passes("log.mid_commit"));
        assert!(plan.passes("log.mid_commit"));
    }

    #[test]
    fn an_empty_plan_has_no_points() {
        assert!(Plan::parse(" , ").points.is_empty());
        assert!(Plan::parse("").points.is_empty());
    }
}
