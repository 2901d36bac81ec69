//! How fast the protocols read what agents say, over the recordings in `tests/transcripts`.
//! `cargo bench -p tether-actors --bench protocols [-- NAME...]`
//!
//! A short line is one of less than 512 bytes: a piece of text, an event without content. The goal is 200,000 of
//! them a second for each protocol. The long ones are few: whole messages, tool results, state.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::Value;
use tether_actors::agent::protocol::Work;
use tether_actors::agent::protocols;

/// Lines that are shorter count as short, in bytes.
const SHORT: usize = 512;
/// What is wanted, in short lines a second.
const GOAL: f64 = 200_000.0;
/// How long each figure is measured.
const EACH: Duration = Duration::from_secs(2);

/// What an agent said in one recorded conversation, line by line.
type Said = Vec<Vec<u8>>;

fn main() {
    let names: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/transcripts");
    let mut folders: Vec<PathBuf> = entries(&folder).into_iter().filter(|path| path.is_dir()).collect();
    folders.sort();
    for folder in folders {
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if !names.is_empty() && !names.contains(&name) {
            continue;
        }
        let conversations: Vec<Said> = entries(&folder).iter().map(|path| said(path)).collect();
        match protocols::restore(&name, &Value::Null) {
            Ok(_) => report(&name, &conversations),
            Err(why) => println!("{name:<10} {why}"),
        }
    }
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("the recordings are there");
    entries.map(|entry| entry.expect("it can be read").path()).collect()
}

/// The lines that the agent said: of each `{"dir":"out","line":...}` the line, as it came.
fn said(path: &Path) -> Said {
    if path.extension().is_none_or(|extension| extension != "jsonl") {
        return Vec::new();
    }
    let text = std::fs::read_to_string(path).expect("it can be read");
    let rows = text.lines().filter_map(|row| serde_json::from_str::<Value>(row).ok());
    let out = rows.filter(|row| row["dir"] == "out");
    out.map(|row| match &row["line"] {
        Value::String(text) => text.clone().into_bytes(),
        line => line.to_string().into_bytes(),
    })
    .collect()
}

fn report(name: &str, all: &[Said]) {
    let only_short = |said: &Said| said.iter().filter(|line| line.len() < SHORT).cloned().collect();
    let short: Vec<Said> = all.iter().map(only_short).collect();
    let count = |said: &[Said]| said.iter().map(Vec::len).sum::<usize>();
    if count(&short) == 0 {
        return println!("{name:<10} no recording holds a short line that the agent said");
    }
    let (short_rate, _) = rate(name, &short);
    let (rate, megabytes) = rate(name, all);
    let verdict = if short_rate < GOAL { "  BELOW THE GOAL" } else { "" };
    println!(
        "{name:<10} {short_rate:>9.0} short lines/s, {rate:>9.0} lines/s of all lengths ({megabytes:.0} MB/s; {} of \
         {} recorded lines are short){verdict}",
        count(&short),
        count(all),
    );
}

/// Lines and megabytes a second. Each conversation is heard by a protocol of its own, as it was.
fn rate(name: &str, conversations: &[Said]) -> (f64, f64) {
    let (mut lines, mut bytes, mut events) = (0u64, 0u64, 0usize);
    let begun = Instant::now();
    while begun.elapsed() < EACH {
        for conversation in conversations {
            let mut protocol = protocols::restore(name, &Value::Null).expect("it was there before");
            protocol.opening(&Work::default());
            for line in conversation {
                events += protocol.hear(line).events.len();
                lines += 1;
                bytes += line.len() as u64;
            }
        }
    }
    let seconds = begun.elapsed().as_secs_f64();
    // So that nothing of it can be left out as unused.
    assert!(events > 0, "{name} understood nothing");
    (lines as f64 / seconds, bytes as f64 / seconds / 1e6)
}
