//! The system's process table: who runs, whose child, since when, and with which environment.
//!
//! On Linux straight from `/proc` (see proc(5)): it tells start times in clock ticks, and one look at one
//! process is two small reads, where a general library reads much more. Elsewhere through `sysinfo`, which
//! tells start times in whole seconds only; that code is also built and tested on Linux.
//!
//! Everything here blocks for as long as such a look takes (tens of microseconds for one process, some
//! milliseconds for all of them).

#[cfg(target_os = "linux")]
pub use linux::{all, carries, entry};
#[cfg(not(target_os = "linux"))]
pub use portable::{all, carries, entry};

/// A process that cannot be mistaken for a later one with the same number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity {
    /// Process id.
    pub pid: u32,
    /// When it started. Linux: clock ticks since boot (field 22 of `/proc/<pid>/stat`); elsewhere seconds
    /// since the Unix epoch. Only good for comparing.
    pub started: u64,
}

/// One line of the process table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Which process.
    pub id: Identity,
    /// Its parent's process id; 0 = none.
    pub parent: u32,
    /// Its session: the process id of the one that called setsid(2); 0 = not known.
    pub session: u32,
    /// Whether it has ended already and only waits for its parent to ask how.
    pub ended: bool,
}

/// Who has this process id now, a process that has ended but was not collected by its parent included.
pub fn identity_of(pid: u32) -> Option<Identity> {
    entry(pid).map(|found| found.id)
}

/// Whether this very process runs: false once it has ended, collected by its parent or not, and false
/// when its number belongs to another process by now.
pub fn is_alive(id: Identity) -> bool {
    entry(id.pid).is_some_and(|found| found.id == id && !found.ended)
}

#[cfg(target_os = "linux")]
mod linux {
    use super::{Entry, Identity};

    /// Looks up one process.
    pub fn entry(pid: u32) -> Option<Entry> {
        parse(pid, &std::fs::read(format!("/proc/{pid}/stat")).ok()?)
    }

    /// The whole table, without threads.
    pub fn all() -> Vec<Entry> {
        let Ok(proc) = std::fs::read_dir("/proc") else { return Vec::new() };
        proc.flatten()
            .filter_map(|found| found.file_name().to_str()?.parse().ok())
            .filter_map(entry)
            .collect()
    }

    /// Whether the process was started with exactly this `NAME=value` in its environment. False where the
    /// environment may not be read, and for a process that wrote over it.
    pub fn carries(pid: u32, variable: &str) -> bool {
        std::fs::read(format!("/proc/{pid}/environ"))
            .is_ok_and(|environment| environment.split(|byte| *byte == 0).any(|v| v == variable.as_bytes()))
    }

    /// Reads a line of `/proc/<pid>/stat`. The name in it may hold anything, blanks and parentheses
    /// included, so the fields are counted from the last `)`.
    pub(super) fn parse(pid: u32, stat: &[u8]) -> Option<Entry> {
        let name_end = stat.iter().rposition(|byte| *byte == b')')?;
        let rest = std::str::from_utf8(stat.get(name_end + 1..)?).ok()?;
        let mut fields = rest.split_ascii_whitespace();
        let state = fields.next()?;
        let parent = fields.next()?.parse().ok()?;
        let session = fields.nth(1)?.parse().ok()?;
        let started = fields.nth(15)?.parse().ok()?;
        let ended = matches!(state, "Z" | "X" | "x");
        Some(Entry { id: Identity { pid, started }, parent, session, ended })
    }
}

#[cfg(any(not(target_os = "linux"), test))]
mod portable {
    use std::ffi::OsStr;

    use sysinfo::{Pid, Process, ProcessRefreshKind, ProcessStatus, ProcessesToUpdate, System, UpdateKind};

    use super::{Entry, Identity};

    /// Looks up one process.
    pub fn entry(pid: u32) -> Option<Entry> {
        look(ProcessesToUpdate::Some(&[Pid::from_u32(pid)]), UpdateKind::Never)?
            .process(Pid::from_u32(pid))
            .map(read)
    }

    /// The whole table, without threads.
    pub fn all() -> Vec<Entry> {
        let Some(system) = look(ProcessesToUpdate::All, UpdateKind::Never) else { return Vec::new() };
        system.processes().values().filter(|process| process.thread_kind().is_none()).map(read).collect()
    }

    /// Whether the process was started with exactly this `NAME=value` in its environment. False where the
    /// environment may not be read.
    pub fn carries(pid: u32, variable: &str) -> bool {
        look(ProcessesToUpdate::Some(&[Pid::from_u32(pid)]), UpdateKind::Always).is_some_and(|system| {
            let process = system.process(Pid::from_u32(pid));
            process.is_some_and(|process| process.environ().iter().any(|v| v == OsStr::new(variable)))
        })
    }

    fn look(which: ProcessesToUpdate<'_>, environment: UpdateKind) -> Option<System> {
        let mut system = System::new().ok()?;
        let what = ProcessRefreshKind::nothing().without_tasks().with_environ(environment);
        system.refresh_processes_specifics(which, true, what);
        Some(system)
    }

    fn read(process: &Process) -> Entry {
        Entry {
            id: Identity { pid: process.pid().as_u32(), started: process.start_time() },
            parent: process.parent().map_or(0, Pid::as_u32),
            session: process.session_id().map_or(0, Pid::as_u32),
            ended: matches!(process.status(), ProcessStatus::Zombie | ProcessStatus::Dead),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command};

    use super::*;

    struct Sleeper(Child);

    impl Drop for Sleeper {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    fn sleeper() -> Sleeper {
        Sleeper(Command::new("sleep").arg("60").env("TETHER_RUN", "run_table").spawn().expect("sleep starts"))
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_name_full_of_parentheses_and_blanks_does_not_shift_the_fields() {
        let line = b"42 (a) b (c)) S 7 40 41 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 987654 1000 9 18446744073709551615";
        let entry = linux::parse(42, line).expect("the line is well formed");
        assert_eq!(entry.id, Identity { pid: 42, started: 987_654 });
        assert_eq!((entry.parent, entry.session, entry.ended), (7, 41, false));
        assert_eq!(linux::parse(42, b"42 (sh) Z 7 40"), None);
        assert_eq!(linux::parse(42, b""), None);
    }

    #[test]
    fn a_later_process_with_the_same_number_is_not_taken_for_the_earlier_one() {
        let sleeper = sleeper();
        let id = identity_of(sleeper.0.id()).expect("it runs");
        assert!(is_alive(id));
        assert!(!is_alive(Identity { started: id.started + 1, ..id }));
        assert!(!is_alive(Identity { started: id.started.saturating_sub(1), ..id }));
    }

    #[test]
    fn a_process_that_ended_and_was_not_collected_is_not_alive() {
        let mut sleeper = sleeper();
        let id = identity_of(sleeper.0.id()).expect("it runs");
        sleeper.0.kill().expect("it can be killed");
        while !entry(id.pid).expect("it is not collected yet").ended {
            std::thread::yield_now();
        }
        assert_eq!(identity_of(id.pid), Some(id));
        assert!(!is_alive(id));
        sleeper.0.wait().expect("it is collected");
        assert_ne!(identity_of(id.pid), Some(id));
    }

    /// Both ways of looking must tell the same, so that the one for other systems is tested here too.
    #[test]
    fn the_portable_table_agrees_with_the_native_one() {
        let sleeper = sleeper();
        let pid = sleeper.0.id();
        let (native, portable) = (entry(pid).expect("native"), portable::entry(pid).expect("portable"));
        assert_eq!((native.parent, native.session), (std::process::id(), portable.session));
        assert_eq!((native.parent, native.ended), (portable.parent, portable.ended));
        assert!(portable::all().contains(&portable));
        assert!(all().contains(&native));
        // The environment becomes the child's own with its exec, which spawn has waited for.
        for carries in [carries, portable::carries] {
            assert!(carries(pid, "TETHER_RUN=run_table"));
            assert!(!carries(pid, "TETHER_RUN=run_tabl"));
            assert!(!carries(std::process::id(), "TETHER_RUN=run_table"));
        }
    }
}
