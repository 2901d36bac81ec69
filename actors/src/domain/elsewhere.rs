//! Conversations that people began in an agent's own program, and how far a session of ours has taken them over.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// At most so many runs of ours are told apart; of older ones the gap between two counts as ours too.
const MOST_RUNS: usize = 200;

/// The programs whose conversations are found on this machine.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Runner {
    /// Claude Code.
    ClaudeCode,
    /// Codex CLI.
    Codex,
    /// OpenCode.
    #[serde(rename = "opencode")]
    OpenCode,
    /// Pi.
    Pi,
}

impl Runner {
    /// All of them, in the order in which they are named to people.
    pub const ALL: [Self; 4] = [Self::ClaudeCode, Self::Codex, Self::OpenCode, Self::Pi];

    /// Its name in the API (`contract`: external sessions, `runner_type`).
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ClaudeCode => "claude_code",
            Self::Codex => "codex",
            Self::OpenCode => "opencode",
            Self::Pi => "pi",
        }
    }

    /// The one with this name; the peer's short names are known too.
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "claude" | "cc" => Some(Self::ClaudeCode),
            name => Self::ALL.into_iter().find(|runner| runner.as_str() == name),
        }
    }

    /// Its name for people.
    pub fn title(self) -> &'static str {
        match self {
            Self::ClaudeCode => "Claude Code",
            Self::Codex => "Codex",
            Self::OpenCode => "OpenCode",
            Self::Pi => "Pi",
        }
    }

    /// The agent that goes on with its conversations, by its name in the catalogue.
    pub fn agent(self) -> &'static str {
        match self {
            Self::ClaudeCode => "claude",
            Self::Codex => "codex",
            Self::OpenCode => "opencode",
            Self::Pi => "pi",
        }
    }

    /// What the API calls the adapter of a session that was attached (`contract`: attach).
    pub fn adapter(self) -> Option<&'static str> {
        match self {
            Self::ClaudeCode => None,
            Self::Codex => Some("codex_sdk_sidecar"),
            Self::OpenCode => Some("opencode"),
            Self::Pi => Some("pi_rpc"),
        }
    }

    /// The `runner_type` of a session that was attached (`contract`: session object).
    pub fn session_type(self) -> &'static str {
        match self {
            Self::ClaudeCode => "claude-local",
            other => other.as_str(),
        }
    }
}

impl std::fmt::Display for Runner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How far a conversation was read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// In a file: the byte behind the last whole line that was read. In a database: when the last message was made
    /// (Unix milliseconds).
    #[serde(default)]
    pub offset: u64,
    /// The agent's own id of the last entry.
    #[serde(default)]
    pub last: Option<String>,
    /// Its time, Unix milliseconds.
    #[serde(default)]
    pub at: Option<i64>,
    /// The message that was read last.
    #[serde(default)]
    pub fold: Fold,
}

/// What of the last message decides whether the next entry begins another one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fold {
    /// It is the agent's.
    #[serde(default)]
    pub is_agents: bool,
    /// The agent's own id of it, where it writes a message in several entries.
    #[serde(default)]
    pub group: Option<String>,
    /// It has nothing but reasoning so far.
    #[serde(default)]
    pub is_bare: bool,
}

/// A life of an agent program of ours, which writes into the same conversation; Unix milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnRun {
    /// When it began.
    pub from: i64,
    /// When it ended; `None` = it runs.
    pub until: Option<i64>,
}

/// A session goes on with a conversation that was begun elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attached {
    /// Whose.
    pub runner: Runner,
    /// The agent's own id of it.
    pub id: String,
    /// How far it was taken over.
    pub cursor: Cursor,
    /// How many messages there were up to there.
    #[serde(default)]
    pub total: u64,
    /// Our own programs' lives since then, oldest first: what they wrote was seen when they said it.
    #[serde(default)]
    pub own: Vec<OwnRun>,
}

impl Attached {
    /// A program of ours is started.
    pub fn begin_run(&mut self, now: i64) {
        self.end_run(now);
        self.own.push(OwnRun { from: now, until: None });
        if self.own.len() > MOST_RUNS {
            let first = self.own.remove(0);
            if let Some(second) = self.own.first_mut() {
                second.from = first.from;
            }
        }
    }

    /// It has ended.
    pub fn end_run(&mut self, now: i64) {
        if let Some(run) = self.own.last_mut() {
            run.until.get_or_insert(now);
        }
    }

    /// Whether a program of ours wrote what bears this time. What bears none is somebody else's.
    pub fn is_own(&self, at: Option<i64>) -> bool {
        at.is_some_and(|at| {
            let within = |run: &OwnRun| at >= run.from && run.until.is_none_or(|until| at <= until);
            self.own.iter().any(within)
        })
    }

    /// All was read up to this moment: lives that were over by then are of no interest any more.
    pub fn forget_runs_before(&mut self, moment: i64) {
        self.own.retain(|run| run.until.is_none_or(|until| until >= moment));
    }
}

/// A live process of the person's, with what tells which conversation it may have open.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Process {
    /// Its number.
    pub pid: u32,
    /// When it began, only good for comparing (Linux: clock ticks since boot).
    pub started: u64,
    /// When it began, Unix milliseconds, to within a second.
    pub since: i64,
    /// Where it works.
    pub directory: PathBuf,
    /// Its command line, as far as it shows one.
    pub command: Vec<String>,
    /// What it has open, where that can be told.
    pub files: Vec<PathBuf>,
    /// It belongs to a session of ours.
    pub is_ours: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attached() -> Attached {
        let cursor = Cursor::default();
        Attached { runner: Runner::Pi, id: "x".into(), cursor, total: 0, own: Vec::new() }
    }

    #[test]
    fn every_runner_is_known_by_the_name_that_it_is_given() {
        for runner in Runner::ALL {
            assert_eq!(Runner::parse(runner.as_str()), Some(runner));
            assert_eq!(serde_json::to_value(runner).expect("a word"), runner.as_str());
        }
        assert_eq!(Runner::parse("cc"), Some(Runner::ClaudeCode));
        assert_eq!(Runner::parse("aider"), None);
    }

    #[test]
    fn what_was_written_while_a_program_of_ours_ran_is_ours() {
        let mut attached = attached();
        attached.begin_run(1_000);
        attached.end_run(5_000);
        attached.end_run(9_000);
        attached.begin_run(20_000);
        let own = |at| attached.is_own(Some(at));
        assert_eq!(
            [999, 1_000, 5_000, 5_001, 19_999, 20_000, 99_000].map(own),
            [false, true, true, false, false, true, true]
        );
        assert!(!attached.is_own(None));
        attached.forget_runs_before(4_999);
        assert_eq!(attached.own.len(), 2, "it may have written something more");
        attached.forget_runs_before(5_001);
        assert_eq!(attached.own, [OwnRun { from: 20_000, until: None }]);
    }

    #[test]
    fn the_runs_that_are_remembered_do_not_grow_without_end() {
        let mut attached = attached();
        for run in 0..1_000 {
            attached.begin_run(run * 10_000);
            attached.end_run(run * 10_000 + 1);
        }
        assert_eq!(attached.own.len(), MOST_RUNS);
        assert!(attached.is_own(Some(0)), "the oldest are joined, not forgotten");
    }
}
