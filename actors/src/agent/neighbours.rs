//! The programs that the person runs beside ours, with what tells what they work on.
//!
//! Blocks for some tens of microseconds a process.

#[cfg(target_os = "linux")]
pub use linux::neighbours;
#[cfg(not(target_os = "linux"))]
pub use portable::neighbours;

#[cfg(target_os = "linux")]
mod linux {
    use std::fs::{self, File};
    use std::io::Read;
    use std::os::unix::fs::MetadataExt;
    use std::path::PathBuf;

    use crate::agent::processes::entry;
    use crate::agent::program::RUN_MARKER;
    use crate::domain::elsewhere::Process;

    /// Of a command line so many bytes are read.
    const COMMAND: u64 = 16 * 1024;
    /// Of an environment.
    const ENVIRONMENT: u64 = 1 << 20;
    /// Open files of one process.
    const MOST_FILES: usize = 4_096;

    /// All processes of the user that runs this one, but not this one.
    pub fn neighbours() -> Vec<Process> {
        let user = rustix::process::getuid().as_raw();
        let boot = boot_seconds();
        let Ok(proc) = fs::read_dir("/proc") else { return Vec::new() };
        proc.flatten()
            .filter_map(|found| Some((found.file_name().to_str()?.parse().ok()?, found)))
            .filter(|(pid, _)| *pid != std::process::id())
            .filter(|(_, found)| found.metadata().is_ok_and(|data| data.uid() == user))
            .filter_map(|(pid, _)| look(pid, boot))
            .collect()
    }

    fn look(pid: u32, boot: i64) -> Option<Process> {
        let entry = entry(pid).filter(|entry| !entry.ended)?;
        let ticks = rustix::param::clock_ticks_per_second().max(1);
        let since_boot = i64::try_from(entry.id.started.saturating_mul(1_000) / ticks).ok()?;
        let marker = format!("{RUN_MARKER}=").into_bytes();
        Some(Process {
            pid,
            started: entry.id.started,
            since: boot * 1_000 + since_boot,
            directory: fs::read_link(format!("/proc/{pid}/cwd")).unwrap_or_default(),
            command: parts(pid, "cmdline", COMMAND)
                .into_iter()
                .map(|part| String::from_utf8_lossy(&part).into_owned())
                .collect(),
            files: open_files(pid),
            is_ours: parts(pid, "environ", ENVIRONMENT).iter().any(|part| part.starts_with(&marker)),
        })
    }

    fn parts(pid: u32, name: &str, most: u64) -> Vec<Vec<u8>> {
        let mut bytes = Vec::new();
        let read = File::open(format!("/proc/{pid}/{name}"))
            .and_then(|file| file.take(most).read_to_end(&mut bytes));
        if read.is_err() {
            return Vec::new();
        }
        bytes.split(|byte| *byte == 0).filter(|part| !part.is_empty()).map(<[u8]>::to_vec).collect()
    }

    fn open_files(pid: u32) -> Vec<PathBuf> {
        let Ok(folder) = fs::read_dir(format!("/proc/{pid}/fd")) else { return Vec::new() };
        let links = folder.flatten().take(MOST_FILES).filter_map(|entry| fs::read_link(entry.path()).ok());
        // Pipes and sockets have names of other forms.
        links.filter(|path| path.is_absolute()).collect()
    }

    /// When the system was started, Unix seconds.
    fn boot_seconds() -> i64 {
        let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
        let line = stat.lines().find_map(|line| line.strip_prefix("btime "));
        line.and_then(|seconds| seconds.trim().parse().ok()).unwrap_or_default()
    }
}

#[cfg(any(not(target_os = "linux"), test))]
mod portable {
    use sysinfo::{ProcessRefreshKind, ProcessesToUpdate, System, UpdateKind};

    use crate::agent::program::RUN_MARKER;
    use crate::domain::elsewhere::Process;

    /// All processes that can be looked into, but not this one. What they have open is not told here.
    pub fn neighbours() -> Vec<Process> {
        let Ok(mut system) = System::new() else { return Vec::new() };
        let always = UpdateKind::Always;
        let what = ProcessRefreshKind::nothing()
            .without_tasks()
            .with_cwd(always)
            .with_cmd(always)
            .with_environ(always);
        system.refresh_processes_specifics(ProcessesToUpdate::All, true, what);
        let marker = format!("{RUN_MARKER}=");
        let text = |part: &std::ffi::OsString| part.to_string_lossy().into_owned();
        system
            .processes()
            .values()
            .filter(|process| process.pid().as_u32() != std::process::id())
            .filter(|process| process.thread_kind().is_none())
            .filter_map(|process| {
                let directory = process.cwd()?.to_owned();
                Some(Process {
                    pid: process.pid().as_u32(),
                    started: process.start_time(),
                    since: i64::try_from(process.start_time()).ok()?.saturating_mul(1_000),
                    directory,
                    command: process.cmd().iter().map(text).collect(),
                    files: Vec::new(),
                    is_ours: process.environ().iter().any(|part| text(part).starts_with(&marker)),
                })
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command, Stdio};

    use super::*;
    use crate::domain::elsewhere::Process;
    use crate::domain::time::Stamp;

    struct Sleeper(Child);

    impl Drop for Sleeper {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    fn of(pid: u32, among: Vec<Process>) -> Process {
        among.into_iter().find(|process| process.pid == pid).expect("it runs")
    }

    #[test]
    fn a_program_is_seen_with_its_place_its_start_and_what_it_has_open() {
        let folder = tempfile::tempdir().expect("a folder");
        let place = folder.path().canonicalize().expect("it exists");
        let open = std::fs::File::create(place.join("open.db")).expect("a file");
        let mut command = Command::new("sleep");
        command.arg("60").current_dir(&place).stdin(Stdio::from(open));
        let own = Sleeper(command.spawn().expect("sleep starts"));
        command.env("TETHER_RUN", "run_x");
        let ours = Sleeper(command.spawn().expect("sleep starts"));
        for look in [neighbours, portable::neighbours] {
            let seen = of(own.0.id(), look());
            assert_eq!((seen.directory.as_path(), seen.is_ours), (place.as_path(), false));
            assert_eq!(seen.command, ["sleep", "60"]);
            assert!((Stamp::now().unix_millis() - seen.since).abs() < 60_000, "{seen:?}");
            assert!(of(ours.0.id(), look()).is_ours);
        }
        let seen = of(own.0.id(), neighbours());
        assert!(seen.files.contains(&place.join("open.db")), "{seen:?}");
        assert_eq!(Some(seen.started), crate::agent::processes::identity_of(seen.pid).map(|id| id.started));
    }
}
