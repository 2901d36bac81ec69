//! What an interrupted turn left running: ended, while the agent itself and what it had before goes on.

use std::time::Duration;

use rustix::process::Signal;
use tokio::time::Instant;

use super::processes::Identity;
use super::program::send;
use super::tree::bearers;
use crate::domain::ids::RunId;

/// How often it is looked.
const LOOK: Duration = Duration::from_millis(50);
/// For how long it is looked at least: the agent itself may just be ending its tools.
const AT_LEAST: Duration = Duration::from_millis(300);
/// For how long at most.
const AT_MOST: Duration = Duration::from_secs(10);

/// The present moment in the unit of [`Identity::started`].
pub fn clock() -> u64 {
    #[cfg(target_os = "linux")]
    {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        let ticks = rustix::param::clock_ticks_per_second();
        let nanos = u64::try_from(now.tv_nsec).unwrap_or(0);
        u64::try_from(now.tv_sec).unwrap_or(0) * ticks + nanos * ticks / 1_000_000_000
    }
    #[cfg(not(target_os = "linux"))]
    {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        now.map(|since| since.as_secs()).unwrap_or(0)
    }
}

/// Ends the processes of the run that were started at `since` or later, but not `root` (`None` = it is none of
/// the run's): first asked (SIGTERM), after `grace` killed.
pub async fn end_stragglers(run: &RunId, root: Option<Identity>, since: u64, grace: Duration) {
    let began = Instant::now();
    let mut asked = std::collections::BTreeSet::new();
    while began.elapsed() < AT_MOST {
        let of_run = run.clone();
        let look = move || {
            let all = bearers(&of_run, root).into_iter();
            all.filter(|id| Some(*id) != root && id.started >= since).collect::<Vec<_>>()
        };
        let Ok(left) = tokio::task::spawn_blocking(look).await else { return };
        if left.is_empty() && began.elapsed() >= AT_LEAST {
            return;
        }
        for id in left {
            if asked.insert(id) {
                send(id, Signal::TERM);
            } else if began.elapsed() >= grace {
                send(id, Signal::KILL);
            }
        }
        tokio::time::sleep(LOOK).await;
    }
}
