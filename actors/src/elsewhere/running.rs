//! Which conversations a program has open now, by what the programs themselves keep up to date (Claude Code's file of
//! each process, Codex's locks), and where they keep nothing, by live processes with their directory and start.

use std::collections::HashMap;
use std::path::Path;

use super::{Found, Homes, OpenIn, claude};
use crate::domain::elsewhere::{Process, Runner};

/// A file of a process is some hundred bytes.
const LONGEST_PRESENCE: u64 = 64 * 1024;
/// How much later than its file a process may seem to have begun, where the clocks are coarse.
const COARSE_MS: i64 = 2_000;

/// The processes of this machine.
pub trait Machine {
    /// Those of the person, with all that can be told of each.
    fn processes(&self) -> Vec<Process>;
}

/// A program that has a conversation open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Its number.
    pub pid: u32,
    /// When it began, as in [`Process`].
    pub started: u64,
    /// What it is.
    pub how: How,
}

/// What kind of program has a conversation open, and so whether it can be made to give it up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// A person's terminal, or a script of theirs: it can be asked to end.
    Terminal,
    /// A server or daemon that may have others open too: it is not ended from here.
    Background,
    /// A program of ours.
    Ours,
}

impl From<How> for OpenIn {
    fn from(how: How) -> Self {
        match how {
            How::Terminal => Self::Terminal,
            How::Background => Self::Background,
            How::Ours => Self::Tether,
        }
    }
}

/// Finds out who has which of these open.
pub fn mark(found: &mut [Found], homes: &Homes, machine: &dyn Machine) {
    let processes: HashMap<u32, Process> =
        machine.processes().into_iter().map(|process| (process.pid, process)).collect();
    let mut claudes = homes.claude.as_deref().map(|home| of_claude(home, &processes)).unwrap_or_default();
    let locks = homes.codex.as_deref().map(locked).unwrap_or_default();
    for one in found.iter_mut() {
        one.holder = match one.runner {
            Runner::ClaudeCode => claudes.remove(&one.id),
            Runner::Codex => {
                homes.codex.as_deref().and_then(|home| of_codex(home, &one.id, &locks, &processes))
            }
            Runner::OpenCode | Runner::Pi => None,
        };
    }
    let live = |fits: &dyn Fn(&Process) -> bool| -> Vec<&Process> {
        let mut live: Vec<_> = processes.values().filter(|process| fits(process)).collect();
        live.sort_by_key(|process| std::cmp::Reverse((process.since, process.pid)));
        live
    };
    by_directory(found, Runner::Pi, &live(&|process| is_named(process, "pi")));
    if let Some(database) = &homes.opencode {
        let real = database.canonicalize().unwrap_or_default();
        let has_it = |process: &Process| match cfg!(target_os = "linux") {
            true => process.files.contains(database) || process.files.contains(&real),
            // What a process has open is not told there.
            false => is_named(process, "opencode"),
        };
        by_directory(found, Runner::OpenCode, &live(&has_it));
    }
}

fn how(process: &Process, is_background: bool) -> How {
    match (process.is_ours, is_background) {
        (true, _) => How::Ours,
        (false, true) => How::Background,
        (false, false) => How::Terminal,
    }
}

fn holder(process: &Process, is_background: bool) -> Holder {
    Holder { pid: process.pid, started: process.started, how: how(process, is_background) }
}

/// The sessions that a `claude` has open. A file of a process that was killed stays behind, and its number may be
/// another one's by now: what tells is the start.
fn of_claude(home: &Path, processes: &HashMap<u32, Process>) -> HashMap<String, Holder> {
    let mut holders = HashMap::new();
    let Ok(folder) = std::fs::read_dir(home.join("sessions")) else { return holders };
    for entry in folder.flatten() {
        let path = entry.path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let Some(presence) = read_presence(&path) else { continue };
        let Some(process) = processes.get(&presence.pid) else { continue };
        let same = match presence.proc_start.as_deref().and_then(|start| start.parse::<u64>().ok()) {
            Some(start) if cfg!(target_os = "linux") => start == process.started,
            _ => presence.started_at.is_none_or(|at| process.since <= at + COARSE_MS),
        };
        if same {
            let is_background = presence.kind.as_deref() == Some("background");
            let this = holder(process, is_background);
            // Two may have it open, since nothing stops them; a person's is the one that matters.
            let known = holders.get(&presence.session_id).map(|known: &Holder| known.how);
            if known.is_none_or(|known| known == How::Ours) {
                holders.insert(presence.session_id, this);
            }
        }
    }
    holders
}

fn read_presence(path: &Path) -> Option<claude::Presence> {
    use std::io::Read;
    let mut text = Vec::new();
    super::lines::open(path).ok()?.take(LONGEST_PRESENCE).read_to_end(&mut text).ok()?;
    serde_json::from_slice(&text).ok()
}

/// Who holds the lock of a Codex thread. The lock's file stays behind after a kill, the lock does not.
fn of_codex(
    home: &Path,
    thread: &str,
    locks: &HashMap<u64, u32>,
    processes: &HashMap<u32, Process>,
) -> Option<Holder> {
    let path = home.join("thread-writer-locks").join(format!("{thread}.lock"));
    let pid = lock_holder(&path, locks)?;
    let Some(process) = processes.get(&pid) else {
        // Locked by whom cannot be told (another user, another namespace).
        return Some(Holder { pid: 0, started: 0, how: How::Background });
    };
    // Elsewhere another file may have the same number.
    if !process.files.is_empty() && !process.files.contains(&path) {
        return None;
    }
    Some(holder(process, process.command.iter().any(|word| word == "app-server")))
}

/// All `flock` locks of this machine: the file's number, and the process.
#[cfg(target_os = "linux")]
fn locked(_: &Path) -> HashMap<u64, u32> {
    let table = std::fs::read_to_string("/proc/locks").unwrap_or_default();
    table.lines().filter_map(lock_of_line).collect()
}

/// Reads `1: FLOCK  ADVISORY  WRITE 1234 fd:01:5678 0 EOF` (proc(5)). Lines with `->` are of those who wait.
#[cfg(target_os = "linux")]
fn lock_of_line(line: &str) -> Option<(u64, u32)> {
    let mut words = line.split_ascii_whitespace().skip(1);
    if words.next()? != "FLOCK" {
        return None;
    }
    let pid = words.nth(2)?.parse().ok()?;
    let inode = words.next()?.rsplit(':').next()?.parse().ok()?;
    Some((inode, pid))
}

#[cfg(target_os = "linux")]
fn lock_holder(path: &Path, locks: &HashMap<u64, u32>) -> Option<u32> {
    use std::os::unix::fs::MetadataExt;
    if locks.is_empty() {
        return None;
    }
    locks.get(&std::fs::symlink_metadata(path).ok()?.ino()).copied()
}

/// Elsewhere the locks are not listed, and each is tried when it is asked about.
#[cfg(not(target_os = "linux"))]
fn locked(_: &Path) -> HashMap<u64, u32> {
    HashMap::new()
}

/// 0 = by whom is not known.
#[cfg(not(target_os = "linux"))]
fn lock_holder(path: &Path, _: &HashMap<u64, u32>) -> Option<u32> {
    use rustix::fs::{FlockOperation, flock};
    let file = super::lines::open(path).ok()?;
    // Shared, and given back at once with the file.
    flock(&file, FlockOperation::NonBlockingLockShared).is_err().then_some(0)
}

/// Whether a process shows this name. Pi writes over its command line, and its name is all that is left of it.
fn is_named(process: &Process, name: &str) -> bool {
    let first = process.command.first().and_then(|word| word.split_ascii_whitespace().next());
    first.is_some_and(|word| Path::new(word).file_name().is_some_and(|file| file == name))
}

/// For programs that keep no trace of what they have open: a live program has the session of its directory that was
/// written to last, if that was since the program began. So one that was resumed and not spoken to yet is not seen.
fn by_directory(found: &mut [Found], runner: Runner, live: &[&Process]) {
    for process in live {
        let held = found
            .iter_mut()
            .filter(|one| one.runner == runner && one.holder.is_none())
            .filter(|one| {
                one.last_activity >= process.since && Path::new(&one.directory) == process.directory
            })
            .max_by_key(|one| one.last_activity);
        if let Some(one) = held {
            one.holder = Some(holder(process, process.command.iter().any(|word| word == "serve")));
        }
    }
}

#[cfg(test)]
#[path = "running_tests.rs"]
mod tests;
