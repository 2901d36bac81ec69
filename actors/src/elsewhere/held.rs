//! Whether what an agent's program wrote down of a conversation holds an input: asked when the program is dead, and
//! nobody writes there.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::{Homes, is_id, lines};
use crate::domain::elsewhere::Runner;

/// How much of a file is read at once.
const PIECE: usize = 64 * 1024;

/// Whether a conversation holds an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// It does.
    Yes,
    /// It certainly does not.
    No,
    /// There is no such conversation.
    NoConversation,
    /// That cannot be told.
    Unknown,
}

/// Looks for an input that was given under this id. Reads all of the conversation; blocks.
///
/// Claude Code (2.1.330) keeps the id in each record that an input becomes: also of a command, of one with pictures, of
/// one that was put into a running turn, and of several that were made one. Codex (0.169.0) keeps it in the
/// `item_completed` that follows on the record which the model sees. What others keep of it is not looked at.
pub fn held(runner: Runner, homes: &Homes, conversation: &str, input: &str) -> Held {
    if !is_id(conversation) || !is_id(input) {
        return Held::Unknown;
    }
    let files = match (runner, &homes.claude, &homes.codex) {
        (Runner::ClaudeCode, Some(home), _) => claude(home, conversation),
        (Runner::Codex, _, Some(home)) => codex(home, conversation),
        _ => return Held::Unknown,
    };
    let looked = files.and_then(|files| {
        // A project that was moved has two files of one conversation.
        let each: io::Result<Vec<Held>> = files.iter().map(|file| in_file(runner, file, input)).collect();
        Ok(each?.into_iter().reduce(surest).unwrap_or(Held::NoConversation))
    });
    looked.unwrap_or_else(|error| {
        tracing::debug!(conversation, %error, "it cannot be told what the agent wrote down");
        Held::Unknown
    })
}

fn surest(one: Held, other: Held) -> Held {
    match (one, other) {
        (Held::Yes, _) | (_, Held::Yes) => Held::Yes,
        (Held::No, Held::No) => Held::No,
        _ => Held::Unknown,
    }
}

/// The files of a conversation of Claude Code.
fn claude(home: &Path, conversation: &str) -> io::Result<Vec<PathBuf>> {
    let name = format!("{conversation}.jsonl");
    let mut files = Vec::new();
    for project in folders(&home.join("projects"))? {
        let file = project.join(&name);
        if file.symlink_metadata().is_ok() {
            files.push(file);
        }
    }
    Ok(files)
}

/// The files of a thread of Codex.
fn codex(home: &Path, thread: &str) -> io::Result<Vec<PathBuf>> {
    let part = format!("-{thread}.jsonl");
    let mut days = vec![home.join("sessions")];
    for _ in ["year", "month", "day"] {
        let below: io::Result<Vec<_>> = days.iter().map(|folder| folders(folder)).collect();
        days = below?.into_iter().flatten().collect();
    }
    let mut files = Vec::new();
    for day in days {
        for entry in std::fs::read_dir(day)? {
            let entry = entry?;
            // Also one that was packed (`.jsonl.zst`), which then cannot be read.
            if entry.file_name().to_string_lossy().contains(&part) {
                files.push(entry.path());
            }
        }
    }
    Ok(files)
}

/// The folders in a folder; none if that is not there.
fn folders(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            found.push(path);
        }
    }
    Ok(found)
}

fn in_file(runner: Runner, path: &Path, input: &str) -> io::Result<Held> {
    if path.extension().is_none_or(|extension| extension != "jsonl") {
        return Ok(Held::Unknown);
    }
    // Within a text the quotation marks would be escaped.
    let id = format!("\"{input}\"");
    let mut file = lines::open(path)?;
    Ok(match runner {
        Runner::Codex => {
            let given = br#""client_id":""#.as_slice();
            let [own, newest, said] =
                last_of(&mut file, [id.as_bytes(), given, br#""role":"user""#.as_slice()])?;
            match own {
                Some(place) => whole(place),
                // The record that the model sees may be there without the one behind it that bears the id.
                None if said.map(|place| place.at) > newest.map(|place| place.at) => Held::Unknown,
                None => Held::No,
            }
        }
        _ => {
            let [own] = last_of(&mut file, [id.as_bytes()])?;
            own.map_or(Held::No, whole)
        }
    })
}

/// A place in a file of lines.
#[derive(Clone, Copy)]
struct Place {
    at: u64,
    /// Whether its line has an end.
    whole: bool,
}

/// A line that was cut off by the end of the program is none.
fn whole(place: Place) -> Held {
    if place.whole { Held::Yes } else { Held::Unknown }
}

/// Where each of these stands last.
fn last_of<const N: usize>(file: &mut File, needles: [&[u8]; N]) -> io::Result<[Option<Place>; N]> {
    let longest = needles.iter().map(|needle| needle.len()).max().unwrap_or(0);
    let mut places = [None; N];
    let mut piece = vec![0; PIECE];
    // The end of what was read before, in which a needle may begin, and where that lies.
    let (mut window, mut start): (Vec<u8>, u64) = (Vec::new(), 0);
    let mut last_end = None;
    loop {
        let read = match file.read(&mut piece) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        window.extend_from_slice(piece.get(..read).unwrap_or_default());
        for (place, needle) in places.iter_mut().zip(needles) {
            *place = memchr::memmem::rfind(&window, needle).map(|at| start + at as u64).or(*place);
        }
        last_end = memchr::memrchr(b'\n', &window).map(|at| start + at as u64).or(last_end);
        let done = window.len().saturating_sub(longest.saturating_sub(1));
        window.drain(..done);
        start += done as u64;
    }
    Ok(places.map(|place| place.map(|at| Place { at, whole: last_end.is_some_and(|end| at < end) })))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONVERSATION: &str = "3f0c9ba6-3387-4e44-af79-a7292c31df1e";
    const INPUT: &str = "0194aaaa-0000-7000-8000-000000000001";

    struct Machine(tempfile::TempDir);

    impl Machine {
        fn new() -> Self {
            Self(tempfile::tempdir().expect("a folder"))
        }

        fn write(&self, path: &str, content: &str) -> PathBuf {
            let path = self.0.path().join(path);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            std::fs::write(&path, content).expect("written");
            path
        }

        fn claude(&self, content: &str) -> PathBuf {
            self.write(&format!("projects/-p/{CONVERSATION}.jsonl"), content)
        }

        fn codex(&self, content: &str) -> PathBuf {
            self.write(
                &format!("sessions/2026/11/23/rollout-2026-11-23T00-20-47-{CONVERSATION}.jsonl"),
                content,
            )
        }

        fn held(&self, runner: Runner) -> Held {
            let home = Some(self.0.path().to_owned());
            let homes = Homes { claude: home.clone(), codex: home.clone(), opencode: home.clone(), pi: home };
            held(runner, &homes, CONVERSATION, INPUT)
        }
    }

    fn user(id: &str) -> String {
        format!(
            "{{\"parentUuid\":null,\"type\":\"user\",\"message\":{{\"role\":\"user\",\"content\":\"go\"}},\"uuid\":\"{id}\"}}\n"
        )
    }

    #[test]
    fn claude_code_holds_an_input_in_whatever_record_bears_its_id() {
        let machine = Machine::new();
        assert_eq!(machine.held(Runner::ClaudeCode), Held::NoConversation, "there is nothing at all");
        machine.write("projects/-p/other.jsonl", &user(INPUT));
        assert_eq!(machine.held(Runner::ClaudeCode), Held::NoConversation);
        let before = user("0194aaaa-0000-7000-8000-000000000000");
        machine.claude(&before);
        assert_eq!(machine.held(Runner::ClaudeCode), Held::No);
        machine.claude(&format!("{before}{}", user(INPUT)));
        assert_eq!(machine.held(Runner::ClaudeCode), Held::Yes);
        let steered = format!("{{\"type\":\"attachment\",\"attachment\":{{\"source_uuid\":\"{INPUT}\"}}}}\n");
        machine.claude(&format!("{before}{steered}{before}"));
        assert_eq!(machine.held(Runner::ClaudeCode), Held::Yes);
        let text =
            format!("{{\"type\":\"user\",\"message\":{{\"content\":\"what is \\\"{INPUT}\\\"?\"}}}}\n");
        machine.claude(&text);
        assert_eq!(machine.held(Runner::ClaudeCode), Held::No, "it is only spoken of");
    }

    #[test]
    fn a_line_that_was_cut_off_tells_nothing() {
        let machine = Machine::new();
        let (before, whole) = (user("other"), user(INPUT));
        machine.claude(&format!("{before}{}", whole.trim_end()));
        assert_eq!(machine.held(Runner::ClaudeCode), Held::Unknown);
        machine.claude(&format!("{before}{}", &whole[..40]));
        assert_eq!(machine.held(Runner::ClaudeCode), Held::No, "a record without its end is none");
    }

    #[test]
    fn an_id_is_found_wherever_it_lies_in_a_large_file() {
        let machine = Machine::new();
        for before in (PIECE - 60..PIECE + 60).chain([5, 3 * PIECE]) {
            let filler = format!("{}\n", "x".repeat(before));
            let path = machine.claude(&format!("{filler}\"{INPUT}\"\n{filler}"));
            assert_eq!(machine.held(Runner::ClaudeCode), Held::Yes, "{before}");
            std::fs::write(path, format!("{filler}\"{INPUT}x\"\n")).expect("written");
            assert_eq!(machine.held(Runner::ClaudeCode), Held::No, "{before}");
        }
    }

    #[test]
    fn what_cannot_be_read_cannot_be_told() {
        let machine = Machine::new();
        let file = machine.claude(&user(INPUT));
        let elsewhere = machine.write("x.jsonl", &user("other"));
        std::fs::remove_file(&file).expect("removed");
        std::os::unix::fs::symlink(elsewhere, &file).expect("a link");
        assert_eq!(machine.held(Runner::ClaudeCode), Held::Unknown);
        for runner in [Runner::Pi, Runner::OpenCode] {
            assert_eq!(machine.held(runner), Held::Unknown);
        }
        let nowhere = Homes::default();
        assert_eq!(held(Runner::ClaudeCode, &nowhere, CONVERSATION, INPUT), Held::Unknown);
        let home = Homes { claude: Some(machine.0.path().to_owned()), ..Homes::default() };
        assert_eq!(held(Runner::ClaudeCode, &home, "../x", INPUT), Held::Unknown);
    }

    #[test]
    fn codex_holds_an_input_when_its_item_is_written() {
        let machine = Machine::new();
        assert_eq!(machine.held(Runner::Codex), Held::NoConversation);
        let said = "{\"type\":\"response_item\",\"payload\":{\"type\":\"message\",\"role\":\"user\"}}\n";
        let item = |id: &str| {
            format!("{{\"payload\":{{\"item\":{{\"type\":\"UserMessage\",\"client_id\":\"{id}\"}}}}}}\n")
        };
        let before = format!("{said}{said}{}", item("other"));
        machine.codex(&before);
        assert_eq!(machine.held(Runner::Codex), Held::No);
        machine.codex(&format!("{before}{said}"));
        assert_eq!(machine.held(Runner::Codex), Held::Unknown, "the model may see it already");
        machine.codex(said);
        assert_eq!(machine.held(Runner::Codex), Held::Unknown);
        let file = machine.codex(&format!("{before}{said}{}", item(INPUT)));
        assert_eq!(machine.held(Runner::Codex), Held::Yes);
        std::fs::rename(&file, file.with_extension("jsonl.zst")).expect("renamed");
        assert_eq!(machine.held(Runner::Codex), Held::Unknown);
    }
}
