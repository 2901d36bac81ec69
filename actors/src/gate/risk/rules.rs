//! Which commands are risky. A table where the name says it all, and a rule each where the arguments decide.

use std::ops::Range;
use std::path::Path;

use super::place::{Place, Seen, sensitive};
use super::shell::{self, Script, Simple, Unread, Word, within};
use super::tables::*;
use super::wrappers::{Runs, SHELLS, runs};

/// Scripts within scripts are looked into so deep.
const DEPTH: u8 = 6;

/// So many scripts within a command are read.
const SCRIPTS: usize = 64;
const TOO_DEEP: &str = "nested too deep to be checked";

/// Where a script stands in the command that is shown.
#[derive(Clone, Debug)]
pub enum Origin {
    /// Its text stands there, from this byte on.
    Exact(usize),
    /// It is what comes of this place.
    Whole(Range<usize>),
}

impl Origin {
    fn place(&self, inner: &Range<usize>) -> Range<usize> {
        match self {
            Self::Exact(base) => base + inner.start..base + inner.end,
            Self::Whole(place) => place.clone(),
        }
    }

    fn of(&self, word: &Word) -> Self {
        match (self, word.text_at) {
            (Self::Exact(base), Some(at)) => Self::Exact(base + at),
            _ => Self::Whole(self.place(&word.place)),
        }
    }
}

/// Goes through commands and notes what is risky.
pub struct Judge<'p> {
    /// Places with reasons.
    pub found: Vec<(Range<usize>, String)>,
    /// Reasons that have no place.
    pub overall: Vec<String>,
    seen: Seen<'p>,
    depth: u8,
    /// Scripts that were read.
    scripts: usize,
}

impl<'p> Judge<'p> {
    /// For commands that begin in this directory.
    pub fn new(directory: &'p Path, home: Option<&'p Path>) -> Self {
        let current = (!directory.as_os_str().is_empty()).then(|| directory.to_owned());
        let seen = Seen { directory, home, current };
        Self { found: Vec::new(), overall: Vec::new(), seen, depth: 0, scripts: 0 }
    }

    /// Judges a script.
    pub fn script(&mut self, text: &str, origin: Origin) {
        if self.depth >= DEPTH {
            return self.overall.push(TOO_DEEP.to_owned());
        }
        self.scripts += 1;
        if self.scripts > SCRIPTS {
            return self.overall.push("too intricate to be checked".to_owned());
        }
        self.depth += 1;
        let script = shell::read(text);
        match &script.unread {
            None => {}
            Some(Unread::TooLong) => {
                self.overall.push(format!("too long to be checked: {} bytes", text.len()))
            }
            Some(Unread::TooHard) => self.overall.push("too intricate to be checked".to_owned()),
            Some(Unread::Here(place)) => {
                // An end that is missing has no width: what is before it is marked.
                let end = text.ceil_char_boundary(place.end.max(place.start + 1));
                let start = text.floor_char_boundary(place.start.min(end.saturating_sub(1)));
                self.mark(&origin, &(start..end), "this could not be read as a shell command");
            }
        }
        self.all(&script, text, &origin);
        self.depth -= 1;
    }

    /// In the order of the text, since `cd` counts for what follows.
    fn all(&mut self, script: &Script, text: &str, origin: &Origin) {
        let mut writes = script.writes.iter().peekable();
        for simple in &script.commands {
            while let Some(write) = writes.next_if(|write| write.place.start < simple.place.start) {
                self.write(write, origin);
            }
            self.command(&simple.words, origin);
        }
        writes.for_each(|write| self.write(write, origin));
        for (place, input) in &script.inputs {
            for simple in script.commands_in(place) {
                self.fed(simple, input, origin);
            }
        }
        for stages in &script.pipelines {
            self.pipeline(script, stages, origin);
        }
        for (name, place) in &script.functions {
            let calls = |simple: &&Simple| within(&simple.place, place) && simple.words[0].text == *name;
            if let Some(call) = script.commands.iter().find(calls) {
                self.mark(origin, &call.place, "calls itself without end");
            }
        }
        for (name, place) in &script.assignments {
            if LOADERS.contains(&name.as_str()) || name.starts_with("GIT_CONFIG") {
                self.mark(origin, place, "changes which code other programs run");
            }
        }
        if let Some(at) = ["/dev/tcp/", "/dev/udp/"].iter().find_map(|device| text.find(device)) {
            self.mark(origin, &(at..at + "/dev/tcp/".len()), "opens a connection to elsewhere");
        }
    }

    pub(super) fn mark(&mut self, origin: &Origin, place: &Range<usize>, reason: impl Into<String>) {
        self.found.push((origin.place(place), reason.into()));
    }

    pub(super) fn command(&mut self, words: &[Word], origin: &Origin) {
        let Some(first) = words.first() else { return };
        let Some(name) = name_of(first) else {
            return self.mark(origin, &first.place, UNKNOWN_YET);
        };
        for (names, reason) in BY_NAME {
            let only_looks =
                name == "kill" && words.get(1).is_some_and(|w| matches!(w.text.as_str(), "-0" | "-l"));
            if (names.contains(&name) && !only_looks)
                || (name.starts_with("mkfs") && reason == "changes disks")
            {
                self.mark(origin, &first.place, reason);
            }
        }
        for (names, verbs, reason) in BY_VERB {
            let stop =
                if matches!(name, "yarn" | "docker" | "podman" | "gh" | "npm" | "pnpm") { 3 } else { 2 };
            let verb = plain(words).take(stop).find(|word| {
                let text = word.text.as_str();
                verbs.contains(&text) || (text.starts_with("publish") && verbs.contains(&"publish"))
            });
            if let Some(verb) = verb.filter(|_| names.contains(&name)) {
                self.mark(origin, &(first.place.start..verb.place.end), reason);
            }
        }
        for word in &words[1..] {
            if let Some(reason) = sensitive(&word.text).filter(|_| !name_is_harmless(name)) {
                self.mark(origin, &word.place, reason);
            }
        }
        self.by_rule(name, words, origin);
        self.inner(name, words, origin);
    }

    /// What it runs in its turn.
    fn inner(&mut self, name: &str, words: &[Word], origin: &Origin) {
        match runs(name, words) {
            Some(Runs::Words(at)) => {
                let inner = &words[at..];
                let many = matches!(name, "xargs" | "gxargs" | "parallel");
                if many && inner.first().and_then(name_of) == Some("rm") {
                    self.mark(origin, &inner[0].place, "deletes whatever it is given");
                }
                self.nested(inner, origin);
            }
            Some(Runs::Script(at)) => self.script_word(&words[at], origin),
            Some(Runs::Joined(at)) => match &words[at.min(words.len())..] {
                [] => {}
                [one] => self.script_word(one, origin),
                many => {
                    let text = many.iter().map(|word| word.text.as_str()).collect::<Vec<_>>().join(" ");
                    let place = many[0].place.start..many[many.len() - 1].place.end;
                    if many.iter().any(|word| !word.literal) {
                        self.mark(origin, &place, UNKNOWN_YET);
                    }
                    let place = origin.place(&place);
                    self.script(&text, Origin::Whole(place));
                }
            },
            Some(Runs::Nothing) | None => {}
        }
    }

    /// A command that another one runs.
    pub(super) fn nested(&mut self, words: &[Word], origin: &Origin) {
        if self.depth >= DEPTH {
            return self.overall.push(TOO_DEEP.to_owned());
        }
        self.depth += 1;
        self.command(words, origin);
        self.depth -= 1;
    }

    fn script_word(&mut self, word: &Word, origin: &Origin) {
        if word.literal {
            self.script(&word.text, origin.of(word));
        } else {
            self.mark(origin, &word.place, UNKNOWN_YET);
        }
    }

    fn by_rule(&mut self, name: &str, words: &[Word], origin: &Origin) {
        match name {
            "rm" => self.rm(words, origin),
            "find" | "gfind" => self.find(words, origin),
            "git" => self.git(words, origin),
            "cd" | "pushd" => self.cd(words),
            "chmod" | "chown" | "chgrp" | "setfacl" => self.rights(words, origin),
            "curl" | "wget" => self.fetch(name, words, origin),
            "dd" => {
                let target = words.iter().find(|word| word.text.starts_with("of="));
                if let Some(target) = target.filter(|word| word.text != "of=/dev/null") {
                    self.mark(
                        origin,
                        &(words[0].place.start..target.place.end),
                        "overwrites what it writes to",
                    );
                }
            }
            "rsync" => {
                if let Some(flag) = words.iter().find(|word| word.text.starts_with("--del")) {
                    self.mark(origin, &flag.place, "deletes at the target what the source has not");
                }
                self.target(words.last().filter(|_| words.len() > 2), origin);
            }
            "psql" | "mysql" | "mariadb" | "sqlite3" | "mongosh" | "redis-cli" | "clickhouse-client" => {
                self.database(words, origin);
            }
            "aws" | "gcloud" | "az" | "gsutil" => {
                let removes = |word: &&Word| {
                    ["rm", "rb", "remove", "terminate"].contains(&word.text.as_str())
                        || word.text.starts_with("delete")
                        || word.text.starts_with("terminate-")
                };
                if let Some(verb) = plain(words).find(removes) {
                    self.mark(origin, &(words[0].place.start..verb.place.end), LIVE);
                }
            }
            "tee" | "touch" | "mkdir" | "rmdir" | "truncate" | "unlink" => {
                plain(words).for_each(|word| self.target(Some(word), origin));
            }
            "mv" => plain(words).for_each(|word| self.target(Some(word), origin)),
            "cp" | "install" | "ln" => self.target(plain(words).last(), origin),
            "sed" | "perl" if words.iter().any(|word| is_in_place(&word.text)) => {
                plain(words).skip(1).for_each(|word| self.target(Some(word), origin));
            }
            _ => {}
        }
        let runs_file = matches!(name, "source" | ".") || SHELLS.contains(&name) || is_interpreter(name);
        if let Some(script) = plain(words).next().filter(|word| runs_file && !word.literal) {
            let printed = script.text.starts_with("<(");
            let reason = if printed { PRINTED } else { UNKNOWN_YET };
            self.mark(origin, &script.place, reason);
        }
        let code = words
            .windows(2)
            .find(|pair| matches!(pair[0].text.as_str(), "-c" | "-e" | "-r" | "--eval" | "-p"));
        if let Some([_, code]) = code.filter(|_| is_interpreter(name)) {
            self.other_language(name, code, origin);
        }
    }

    fn cd(&mut self, words: &[Word]) {
        let word = words.get(1).filter(|word| !word.text.starts_with('-'));
        self.seen.current = match word {
            Some(word) if word.literal || word.text.starts_with('$') => self.seen.resolve(word),
            Some(_) => None,
            None => self.seen.home.map(Path::to_owned),
        };
    }

    fn other_language(&mut self, name: &str, code: &Word, origin: &Origin) {
        if let Some(call) = IN_OTHER_LANGUAGES.iter().find(|call| code.text.contains(**call)) {
            let reason =
                format!("runs {name} code that may delete or run others ({})", call.trim_end_matches('('));
            self.mark(origin, &code.place, reason);
        }
    }

    /// A text is given to a program as its input.
    fn fed(&mut self, simple: &Simple, input: &Word, origin: &Origin) {
        let Some(name) = simple.words.first().and_then(name_of) else { return };
        if SHELLS.contains(&name) && reads_input(&simple.words) {
            self.script_word(input, origin);
        } else if is_interpreter(name) {
            self.other_language(name, input, origin);
        } else if matches!(name, "psql" | "mysql" | "mariadb" | "sqlite3") {
            self.database(&[input.clone(), input.clone()], origin);
        }
    }

    fn pipeline(&mut self, script: &Script, stages: &[Range<usize>], origin: &Origin) {
        let from = stages.iter().position(|stage| script.commands_in(stage).any(is_fetch));
        let runs = stages
            .iter()
            .enumerate()
            .skip(1)
            .find_map(|(at, stage)| Some((at, script.commands_in(stage).find_map(runs_input)?)));
        let Some((to, word)) = runs else { return };
        match from.filter(|from| *from < to) {
            Some(from) => {
                let start = stages[from].start;
                self.mark(origin, &(start..word.place.end), "runs what it fetches from the network");
            }
            None => self.mark(origin, &word.place, PRINTED),
        }
    }

    fn write(&mut self, target: &Word, origin: &Origin) {
        if let Some(reason) = sensitive(&target.text) {
            self.mark(origin, &target.place, reason);
        }
        self.target(Some(target), origin);
    }

    pub(super) fn target(&mut self, word: Option<&Word>, origin: &Origin) {
        let Some(word) = word else { return };
        match self.seen.place(word) {
            Place::Inside | Place::Harmless => {}
            Place::Outside(path) => self.mark(origin, &word.place, format!("{OUTSIDE}: {path}")),
            Place::Unknown => self.mark(origin, &word.place, "where it writes is only known when it runs"),
        }
    }
}

/// The program's name without its folder; `None` if it is only known when it runs.
pub(super) fn name_of(word: &Word) -> Option<&str> {
    let name = word.text.rsplit('/').next().unwrap_or_default();
    // A folder may come from a variable, the name may not.
    let known = word.literal || (word.text.contains('/') && !name.contains(['$', '`', '}', ')']));
    let plain = !name.is_empty() && !name.contains(['*', '?', '{', '$', '`', '~', ' ', '\n']);
    (known && plain).then_some(name)
}

/// The arguments that are no options.
pub(super) fn plain(words: &[Word]) -> impl Iterator<Item = &Word> {
    words.iter().skip(1).filter(|word| !word.text.starts_with('-'))
}

/// Whether a word is a bunch of short options with one of these letters.
pub(super) fn short(word: &Word, letters: &str) -> bool {
    word.text.strip_prefix('-').is_some_and(|flags| {
        !flags.starts_with('-')
            && flags.chars().all(|c| c.is_ascii_alphanumeric())
            && flags.contains(|c| letters.contains(c))
    })
}

pub(super) fn given(text: &str, name: &str) -> bool {
    text.strip_prefix(name).is_some_and(|rest| rest.starts_with('='))
}

fn is_in_place(text: &str) -> bool {
    text.starts_with("-i") || text.starts_with("--in-place") || text.starts_with("-pi")
}

fn is_interpreter(name: &str) -> bool {
    let stem = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    INTERPRETERS.contains(&name) || INTERPRETERS.contains(&stem)
}

/// Programs that only print their arguments.
fn name_is_harmless(name: &str) -> bool {
    matches!(name, "echo" | "printf" | "true" | ":")
}

fn is_fetch(simple: &Simple) -> bool {
    simple.words.iter().filter_map(name_of).any(|name| FETCHERS.contains(&name))
}

/// The shell or interpreter that runs what it reads from its input, also behind `sudo` and its like.
fn runs_input(simple: &Simple) -> Option<&Word> {
    let words = &simple.words;
    let known =
        |word: &Word| name_of(word).is_some_and(|name| SHELLS.contains(&name) || is_interpreter(name));
    let at = words.iter().position(known)?;
    let leads = at == 0
        || words.first().and_then(name_of).and_then(|name| runs(name, words)) == Some(Runs::Words(at));
    words.get(at).filter(|_| leads && reads_input(&words[at..]))
}

/// Whether a shell or interpreter with these arguments has no other script than its input.
fn reads_input(words: &[Word]) -> bool {
    words.iter().skip(1).all(|word| {
        let text = word.text.as_str();
        (text.starts_with('-') && !matches!(text, "-c" | "-e" | "-m" | "-p")) || text == "/dev/stdin"
    }) || words.get(1).is_some_and(|word| matches!(word.text.as_str(), "-s" | "-"))
}
