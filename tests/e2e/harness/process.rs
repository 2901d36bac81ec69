//! Looking at processes from outside, by `/proc`.

use std::fs;

/// The variable that every process of one test carries.
pub const MARK: &str = "RIG_MARK";

/// Whether a process runs (a zombie does not).
pub fn alive(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| stat.rsplit(')').next().is_some_and(|rest| !rest.trim_start().starts_with('Z')))
}

/// The running processes in whose environment `NAME=value` stands.
pub fn carriers(name: &str, value: &str) -> Vec<u32> {
    let wanted = format!("{name}={value}");
    having(|entry| entry == wanted.as_bytes())
}

/// The running processes of one test that also have a variable whose name is `name`.
pub fn carriers_of(name: &str, mark: &str) -> Vec<u32> {
    let prefix = format!("{name}=");
    let named = having(|entry| entry.starts_with(prefix.as_bytes()));
    let marked = carriers(MARK, mark);
    named.into_iter().filter(|pid| marked.contains(pid)).collect()
}

fn having(matches: impl Fn(&[u8]) -> bool) -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .filter(|pid| {
            fs::read(format!("/proc/{pid}/environ"))
                .is_ok_and(|environ| environ.split(|byte| *byte == 0).any(&matches))
        })
        .filter(|pid| alive(*pid))
        .collect()
}

/// Resident memory of a process in KiB.
pub fn resident_kib(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the process runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS is there");
    line.trim().trim_end_matches(" kB").trim().parse().expect("a number of KiB")
}

/// How many seconds of a core a process has used.
pub fn busy_seconds(pid: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("the process runs");
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |at: usize| fields[at].parse::<f64>().expect("a number");
    // Of the user and of the system, in hundredths of a second.
    (ticks(11) + ticks(12)) / 100.0
}

/// The command line of a process, for messages.
pub fn command_line(pid: u32) -> String {
    let raw = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&raw).replace('\0', " ")
}

/// The running processes whose command line holds a text and which carry the mark of one test.
pub fn running(text: &str, mark: &str) -> Vec<u32> {
    carriers(MARK, mark).into_iter().filter(|pid| command_line(*pid).contains(text)).collect()
}

/// Sends SIGKILL. Says whether there was somebody to send it to.
pub fn kill9(pid: u32) -> bool {
    signal(pid, rustix::process::Signal::KILL)
}

/// Sends a signal. Says whether there was somebody to send it to.
pub fn signal(pid: u32, signal: rustix::process::Signal) -> bool {
    i32::try_from(pid)
        .ok()
        .and_then(rustix::process::Pid::from_raw)
        .is_some_and(|pid| rustix::process::kill_process(pid, signal).is_ok())
}
