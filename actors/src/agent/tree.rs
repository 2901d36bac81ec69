//! All the processes of a run: finding them, and ending them.
//!
//! Agents start tools in sessions of their own, tools start servers, and servers detach themselves. So a
//! process belongs to a run if any of these holds:
//!
//! - it is the run's program, or descends from a process of the run;
//! - its environment carries the run's marker ([`RUN_MARKER`]), which everything inherits;
//! - it is in the session (setsid(2)) of a process of the run, which only descendants can be.
//!
//! What escapes: a process that lost its parents, made a session of its own *and* has no marker, because it
//! was started with an emptied environment or wrote over it. To see as few of those as possible, the
//! processes are looked up before any of them is ended, and what was seen once is remembered.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use rustix::process::Signal;
use tokio::time::Instant;

use super::processes::{Entry, Identity, all, carries, is_alive};
use super::program::{RUN_MARKER, send};
use crate::domain::ids::RunId;

/// How often it is looked whether the processes that were asked to end have ended.
const LOOK: Duration = Duration::from_millis(25);
/// How many of those looks in a row are at the known processes only. A look at all processes of a busy system
/// takes longer than the interval.
const LOOKS_AT_KNOWN: usize = 8;
/// How long it is tried to end what does not end even by SIGKILL, or is replaced by ever more.
const PERSISTENCE: Duration = Duration::from_secs(5);
/// So many looks in a row must find nothing. One could miss a process that is replacing itself by another
/// program (execve(2)) just then, and shows no environment for that moment.
const CLEAN_LOOKS: usize = 2;

/// What became of the processes of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ended {
    /// How many there were.
    pub found: usize,
    /// How many of them did not end when asked and were killed.
    pub killed: usize,
    /// Those that still run: other users' programs, or such as the system itself cannot end now.
    pub survivors: Vec<Identity>,
}

/// Every running process of the run (see the module), except this one and what descends from this one by
/// another way than through the run. `root` is the run's program, if it is known. Blocks for some
/// milliseconds (some tens of microseconds a process of the system): call it on a thread for blocking work.
pub fn bearers(run: &RunId, root: Option<Identity>) -> Vec<Identity> {
    look(run, root, &BTreeSet::new()).into_iter().collect()
}

/// Ends every process of the run: asks all of them to end (SIGTERM), waits up to `grace`, kills what is
/// left (SIGKILL), and looks until nothing is left. Takes little longer than the processes need; at most
/// `grace` and 5 seconds.
pub async fn end_tree(run: &RunId, root: Option<Identity>, grace: Duration) -> Ended {
    let mut hunt = Hunt { run: run.clone(), root, seen: BTreeSet::new(), killed: BTreeSet::new() };
    let asked_until = Instant::now() + grace;
    let mut clean_looks = 0;
    while Instant::now() < asked_until {
        let left = hunt.step(Signal::TERM).await;
        clean_looks = if left.is_empty() { clean_looks + 1 } else { 0 };
        if clean_looks == CLEAN_LOOKS {
            return hunt.over(left);
        }
        for _ in 0..LOOKS_AT_KNOWN {
            tokio::time::sleep_until(asked_until.min(Instant::now() + LOOK)).await;
            if hunt.seen.iter().all(|id| !is_alive(*id)) {
                break;
            }
        }
    }
    let killed_until = Instant::now() + PERSISTENCE;
    loop {
        let left = hunt.step(Signal::KILL).await;
        clean_looks = if left.is_empty() { clean_looks + 1 } else { 0 };
        if clean_looks == CLEAN_LOOKS || Instant::now() >= killed_until {
            return hunt.over(left);
        }
        // A killed process is gone in a moment.
        tokio::time::sleep(LOOK / 5).await;
    }
}

/// An `end_tree` under way.
struct Hunt {
    run: RunId,
    root: Option<Identity>,
    /// All that were ever found.
    seen: BTreeSet<Identity>,
    /// Those that were sent a SIGKILL.
    killed: BTreeSet<Identity>,
}

impl Hunt {
    /// Looks once and signals what is found: SIGTERM only once to each, SIGKILL every time. Gives back what
    /// was found.
    async fn step(&mut self, signal: Signal) -> BTreeSet<Identity> {
        let (run, root, seen) = (self.run.clone(), self.root, self.seen.clone());
        let work = move || {
            let found = look(&run, root, &seen);
            let due = found.iter().filter(|id| signal == Signal::KILL || !seen.contains(id));
            let sent: Vec<_> = due.filter(|id| send(**id, signal)).copied().collect();
            (found, sent)
        };
        let Ok((found, sent)) = tokio::task::spawn_blocking(work).await else {
            // The runtime is ending. What cannot be looked at must not be taken for gone.
            return self.seen.clone();
        };
        self.seen.extend(&found);
        if signal == Signal::KILL {
            self.killed.extend(sent);
        }
        found
    }

    fn over(self, left: BTreeSet<Identity>) -> Ended {
        let survivors = left.into_iter().filter(|id| is_alive(*id)).collect();
        Ended { found: self.seen.len(), killed: self.killed.len(), survivors }
    }
}

/// What runs of the run, by the process table, the environments, and what was `seen` before.
fn look(run: &RunId, root: Option<Identity>, seen: &BTreeSet<Identity>) -> BTreeSet<Identity> {
    let myself = std::process::id();
    let marker = format!("{RUN_MARKER}={run}");
    let table = all();
    // What is older than the run's program cannot carry the run's marker.
    let since = root.map_or(0, |root| root.started);
    let of_the_run = |entry: &Entry| {
        root == Some(entry.id)
            || seen.contains(&entry.id)
            || (entry.id.started >= since && carries(entry.id.pid, &marker))
    };
    belonging(&table, myself, of_the_run)
}

/// The processes that run and of which `of_the_run` holds, with all their descendants and the members of
/// their sessions; without `myself` and what descends from it.
fn belonging(table: &[Entry], myself: u32, of_the_run: impl Fn(&Entry) -> bool) -> BTreeSet<Identity> {
    let mut below: HashMap<u32, Vec<&Entry>> = HashMap::new();
    for entry in table {
        below.entry(entry.parent).or_default().push(entry);
        if entry.session != entry.id.pid {
            below.entry(entry.session).or_default().push(entry);
        }
    }
    // Also through those that have ended and were not collected: their sessions live on.
    let ours = |entry: &&Entry| entry.id.pid != myself && entry.id.pid > 1;
    let mut open: Vec<&Entry> = table.iter().filter(ours).filter(|entry| of_the_run(entry)).collect();
    let mut known = BTreeSet::new();
    let mut running = BTreeSet::new();
    while let Some(entry) = open.pop() {
        if known.insert(entry.id) {
            open.extend(below.get(&entry.id.pid).into_iter().flatten().filter(|entry| ours(entry)));
            if !entry.ended {
                running.insert(entry.id);
            }
        }
    }
    running
}

#[cfg(test)]
mod tests;
