//! What the demo agent shows, and the words that it listens to.

use std::path::Path;
use std::time::Duration;

use serde_json::json;

use super::memory::Record;
use super::show::{Show, Stop};
use crate::agents::acp::question::Answer;

/// The steps of the tour, as its plan names them.
pub const STEPS: [&str; 6] = [
    "Say hello",
    "Look at this folder",
    "Write a file, if you allow it",
    "Ask a question",
    "Run a command, if you allow it",
    "Sum up",
];

/// A prompt with at most so many words can be one of the words that are listened to; a longer one is a text.
const SHORT: usize = 6;
/// How long `long` takes, in seconds.
const LONG: u64 = 20;
/// How long at most.
const LONGEST: u64 = 3600;
/// What a tour in progress is asked to be told about.
const HELP: &str = "Say `tour` for the tour (again), `write` or `run` for an approval, `ask` for a question, `long` or `long 60` to see me \
     stream for so many seconds (and to interrupt me), `crash` to see me end and come back, `fail` for an error.";

/// What a prompt wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// The tour, from its beginning.
    Tour,
    /// Only the step that writes.
    Write,
    /// Only the step that asks.
    Ask,
    /// Only the step that runs a command.
    Run,
    /// To stream for so long.
    Long(Duration),
    /// To end like a program that crashed.
    Crash,
    /// To fail like a model that cannot be reached.
    Fail,
    /// To be told what there is.
    Help,
    /// Anything else.
    Talk,
}

/// Reads a prompt.
pub fn wish(text: &str) -> Wish {
    let text = text.to_lowercase();
    let words: Vec<&str> =
        text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    if words.len() > SHORT {
        return Wish::Talk;
    }
    let has = |known: &[&str]| words.iter().any(|word| known.contains(word));
    match () {
        () if has(&["crash"]) => Wish::Crash,
        () if has(&["long"]) => {
            let seconds = words.iter().find_map(|word| word.parse().ok()).unwrap_or(LONG);
            Wish::Long(Duration::from_secs(seconds.clamp(1, LONGEST)))
        }
        () if has(&["fail", "error"]) => Wish::Fail,
        () if has(&["tour", "again", "repeat"]) => Wish::Tour,
        () if has(&["write"]) => Wish::Write,
        () if has(&["ask", "question"]) => Wish::Ask,
        () if has(&["run", "command", "shell"]) => Wish::Run,
        () if has(&["help"]) => Wish::Help,
        () => Wish::Talk,
    }
}

impl Show<'_> {
    /// The tour from where it is to its end.
    pub async fn tour(&self) -> Result<(), Stop> {
        loop {
            let step = self.session.memory.borrow().step();
            if step >= STEPS.len() {
                return Ok(());
            }
            self.plan(&STEPS, step).await;
            match step {
                0 => self.hello().await?,
                1 => self.look().await?,
                2 => self.write().await?,
                3 => self.question().await?,
                4 => self.command().await?,
                _ => self.sum_up().await?,
            }
            self.keep(Record::Step { next: step + 1 })?;
            if step + 1 == STEPS.len() {
                self.plan(&STEPS, STEPS.len()).await;
            }
        }
    }

    async fn hello(&self) -> Result<(), Stop> {
        self.say(
            "Hello! I am Tether's demo agent. I need no key and no network: what I do is scripted, but my files, commands and \
             questions are real. I will look at this folder, ask you before I write a file, ask you a question, and ask \
             before I run a command. You can answer here, on your phone or in a chat, whichever is at hand.",
        )
        .await
    }

    async fn look(&self) -> Result<(), Stop> {
        self.think("I should see where I am before I say anything about it.").await?;
        let list = self.call("list", json!({})).await?;
        let first = readable(&self.session.place.directory, &list.text);
        let Some(name) = first else {
            return self.say("There is no text file here to read, so on we go.").await;
        };
        let read = self.call("read", json!({ "path": name, "limit": 20 })).await?;
        let lines = list.text.lines().count();
        let begins = read.text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("with nothing");
        let begins: String = begins.chars().take(80).collect();
        self.say(&format!("This folder has {lines} entries. I read `{name}`; it begins with: {begins}")).await
    }

    /// Asks before it writes a file.
    pub async fn write(&self) -> Result<(), Stop> {
        let path = self.session.scratch.join("hello.md");
        self.say("Now I would like to write a file, in a folder of my own and not in your project. Nothing happens before you answer.")
            .await?;
        let old = std::fs::read_to_string(&path).unwrap_or_else(|_| "# Hello\n".into());
        let content = format!("{old}\nWritten by the demo agent, line {}.\n", old.lines().count() + 1);
        let written = self.call("write", json!({ "path": path, "content": content })).await?;
        if written.ok {
            self.say(&format!("You allowed it: `{}` is written.", path.display())).await
        } else {
            self.say(&format!("It was not written. I was told: {}", written.text)).await
        }
    }

    /// Asks a question.
    pub async fn question(&self) -> Result<(), Stop> {
        let choices = [
            ("A poem", "Four lines about waiting for an answer"),
            ("A table", "What you have seen so far"),
            ("Nothing", "Straight on"),
        ];
        match self.ask("What would you like to see next?", &choices).await? {
            Answer::Chose(choice) if choice == "A poem" => {
                self.say("You chose a poem:\n\n> The agent asked, and stood quite still,\n> the phone lay on the window sill.\n> A thumb came down, the light went green;\n> no better answer could have been.\n")
                    .await
            }
            Answer::Chose(choice) if choice == "A table" => {
                self.say("You chose a table:\n\n| Seen | What it was |\n| --- | --- |\n| Text | streamed, word by word |\n| Tools | a list and a read, unasked |\n| Approval | the file that I wanted to write |\n| Question | this one |\n")
                    .await
            }
            Answer::Chose(choice) if choice == "Nothing" => self.say("You chose to go straight on.").await,
            Answer::Chose(words) => self.say(&format!("You said in your own words: {words}")).await,
            Answer::Declined(Some(reason)) => self.say(&format!("You would not say: {reason}")).await,
            Answer::Declined(None) => self.say("You would not say. That is fine.").await,
        }
    }

    /// Asks before it runs a command.
    pub async fn command(&self) -> Result<(), Stop> {
        self.say("One more approval: a command. This one only looks.").await?;
        let ran = self.call("shell", json!({ "command": "date; uname -sr; ls -l | head -n 5" })).await?;
        if ran.ok {
            let first = ran.text.lines().next().unwrap_or_default();
            self.say(&format!("It ran, and says that it is {first}.")).await
        } else {
            self.say(&format!("It did not run. I was told: {}", ran.text)).await
        }
    }

    async fn sum_up(&self) -> Result<(), Stop> {
        self.say(&format!(
            "That was the tour:\n\n- text and thoughts came in as they were made,\n- what only looks ran at once,\n- writing and running \
             waited for your answer,\n- all of it is kept, and is there after a crash.\n\n{HELP}"
        ))
        .await
    }

    /// Streams for so long.
    pub async fn long(&self, time: Duration) -> Result<(), Stop> {
        let until = tokio::time::Instant::now() + time;
        let mut line = 0;
        while tokio::time::Instant::now() < until {
            line += 1;
            self.say(&format!(
                "Line {line}: I am still at it, {} s are left. Interrupt me whenever you like.\n",
                { until.saturating_duration_since(tokio::time::Instant::now()).as_secs() }
            ))
            .await?;
            self.wait(Duration::from_millis(100)).await?;
        }
        self.say("That was long enough.").await
    }

    /// Says what there is.
    pub async fn help(&self) -> Result<(), Stop> {
        self.say(HELP).await
    }

    /// Answers what it has no script for.
    pub async fn talk(&self, text: &str, pictures: usize) -> Result<(), Stop> {
        let start: String = text.trim().chars().take(200).collect();
        let seen = match pictures {
            0 => String::new(),
            1 => " I also got a picture.".into(),
            many => format!(" I also got {many} pictures."),
        };
        self.say(&format!("You said: {start}{seen}\n\nI am only a script and cannot do more with it. {HELP}"))
            .await
    }
}

/// A file of a list that is worth a look: a README, else the first that can be text.
fn readable(directory: &Path, list: &str) -> Option<String> {
    let files = || {
        list.lines()
            .filter_map(|line| line.rsplit_once(" (").map(|(name, _)| name))
            .filter(|name| directory.join(name).is_file())
    };
    let known =
        ["md", "txt", "toml", "json", "rs", "py", "js", "ts", "go", "c", "h", "html", "css", "yml", "yaml"];
    let is_text = |name: &&str| {
        Path::new(name).extension().and_then(|end| end.to_str()).is_some_and(|end| known.contains(&end))
    };
    let readme = files().find(|name| name.to_lowercase().starts_with("readme"));
    readme.or_else(|| files().find(is_text)).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_prompts_are_listened_to_and_long_ones_are_texts() {
        for (text, wanted) in [
            ("crash", Wish::Crash),
            ("Crash, please!", Wish::Crash),
            ("long", Wish::Long(Duration::from_secs(LONG))),
            ("long 90", Wish::Long(Duration::from_secs(90))),
            ("long 0", Wish::Long(Duration::from_secs(1))),
            ("once again", Wish::Tour),
            ("hello", Wish::Talk),
            ("", Wish::Talk),
            ("Your process ended unexpectedly while you were working; do not crash again", Wish::Talk),
            ("along", Wish::Talk),
        ] {
            assert_eq!(wish(text), wanted, "{text}");
        }
    }

    #[test]
    fn a_readme_is_read_before_anything_else() {
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["a.bin", "b.txt", "README.md"] {
            std::fs::write(folder.path().join(name), "x").expect("written");
        }
        let list = "a.bin (1 bytes)\nb.txt (1 bytes)\nREADME.md (1 bytes)\nsrc/\n";
        assert_eq!(readable(folder.path(), list).as_deref(), Some("README.md"));
        assert_eq!(readable(folder.path(), "a.bin (1 bytes)\nb.txt (1 bytes)\n").as_deref(), Some("b.txt"));
        assert_eq!(readable(folder.path(), "a.bin (1 bytes)\nsrc/\n[… and 3 more]"), None);
    }
}
