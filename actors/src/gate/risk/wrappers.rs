//! Programs that run another one: what they run is what counts.

use super::shell::Word;

/// What a wrapper runs.
#[derive(Debug, PartialEq, Eq)]
pub enum Runs {
    /// The words from here on.
    Words(usize),
    /// This word, as a script.
    Script(usize),
    /// The words from here on, joined, as a script.
    Joined(usize),
    /// Nothing that we could tell from the words.
    Nothing,
}

/// How the words of a wrapper are read: options that take a value, and how many words precede the command.
struct Shape {
    names: &'static [&'static str],
    values: &'static [&'static str],
    skip: usize,
}

const SHAPES: [Shape; 12] = [
    Shape {
        names: &["sudo", "doas", "pkexec", "run0"],
        values: &[
            "-u", "-g", "-h", "-p", "-C", "-T", "-D", "-R", "-U", "-r", "-t", "--user", "--group", "--host",
            "--prompt", "--chdir", "--chroot",
        ],
        skip: 0,
    },
    Shape { names: &["env"], values: &["-u", "--unset", "-C", "--chdir"], skip: 0 },
    Shape {
        names: &[
            "nohup",
            "setsid",
            "command",
            "builtin",
            "busybox",
            "toybox",
            "caffeinate",
            "eatmydata",
            "noglob",
        ],
        values: &[],
        skip: 0,
    },
    Shape { names: &["time", "strace", "ltrace"], values: &["-f", "-o", "-e", "-p"], skip: 0 },
    Shape { names: &["exec"], values: &["-a"], skip: 0 },
    Shape {
        names: &["nice", "ionice", "chrt", "taskset"],
        values: &["-n", "-c", "-p", "--adjustment"],
        skip: 0,
    },
    Shape { names: &["stdbuf"], values: &["-i", "-o", "-e"], skip: 0 },
    Shape { names: &["timeout", "gtimeout"], values: &["-k", "-s", "--kill-after", "--signal"], skip: 1 },
    Shape { names: &["chroot", "flock"], values: &["-w", "-E"], skip: 1 },
    Shape {
        names: &["xargs", "gxargs"],
        values: &["-I", "-n", "-P", "-d", "-a", "-L", "-s", "-E", "--max-args", "--max-procs", "--delimiter"],
        skip: 0,
    },
    Shape { names: &["parallel"], values: &["-j", "--jobs", "-I", "-a", "--colsep"], skip: 0 },
    Shape {
        names: &["npx", "bunx", "pnpx", "uvx", "pipx"],
        values: &["-p", "--package", "--from", "--with"],
        skip: 0,
    },
];

/// Shells: `-c` is followed by a script.
pub const SHELLS: [&str; 8] = ["sh", "bash", "zsh", "dash", "ksh", "fish", "ash", "mksh"];

/// What the command with these words runs; `None` if it is no wrapper.
pub fn runs(name: &str, words: &[Word]) -> Option<Runs> {
    if SHELLS.contains(&name) {
        let option = |word: &Word| word.text.starts_with('-') && !word.text.starts_with("--");
        let at = words
            .iter()
            .skip(1)
            .take_while(|word| word.text.starts_with(['-', '+']))
            .position(|word| option(word) && word.text.contains('c'));
        return at.map(|at| script_at(words, at + 2));
    }
    match name {
        "eval" => return Some(Runs::Joined(1)),
        "trap" => return Some(script_at(words, 1)),
        "watch" => return Some(Runs::Joined(after_options(words, &["-n", "--interval"], 0))),
        "su" | "script" => {
            let at = words.iter().position(|word| matches!(word.text.as_str(), "-c" | "--command"));
            return Some(at.map_or(Runs::Nothing, |at| script_at(words, at + 1)));
        }
        "env" => {
            let split = |word: &Word| matches!(word.text.as_str(), "-S" | "--split-string");
            if let Some(at) = words.iter().position(split) {
                return Some(Runs::Joined(at + 1));
            }
        }
        // Only looks.
        "command" if words.get(1).is_some_and(|word| matches!(word.text.as_str(), "-v" | "-V")) => {
            return None;
        }
        _ => {}
    }
    let shape = SHAPES.iter().find(|shape| shape.names.contains(&name))?;
    let at = after_options(words, shape.values, shape.skip);
    Some(if at < words.len() { Runs::Words(at) } else { Runs::Nothing })
}

fn script_at(words: &[Word], at: usize) -> Runs {
    if at < words.len() { Runs::Script(at) } else { Runs::Nothing }
}

/// The first word behind the options, their values, assignments, and `skip` words more.
fn after_options(words: &[Word], values: &[&str], mut skip: usize) -> usize {
    let mut at = 1;
    while let Some(word) = words.get(at) {
        let text = word.text.as_str();
        if values.contains(&text) {
            at += 2;
        } else if text == "--" || (text.starts_with('-') && text.len() > 1) || is_assignment(text) {
            at += 1;
        } else if skip > 0 {
            skip -= 1;
            at += 1;
        } else {
            break;
        }
    }
    at
}

fn is_assignment(text: &str) -> bool {
    text.split_once('=').is_some_and(|(name, _)| {
        !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    })
}
