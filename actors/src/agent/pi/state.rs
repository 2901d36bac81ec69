//! What must be remembered from line to line, so that reading can go on after any line. It is stored beside
//! the reading position. It does not grow: the one thing in it that may be long is the last answer, from its
//! end to the end of its turn.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::agent::fields::{Fields, head};
use crate::agent::protocol::Work;
use crate::domain::restart::EndCause;
use crate::domain::usage::Usage;

/// Longest id, name or path that is remembered, in bytes.
const LONGEST_WORD: usize = 4096;
/// Blocks of one message, inputs on their way, open dialogs: more of them would mean an agent gone wrong.
const MOST: usize = 64;

/// Everything that is remembered.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct State {
    /// Where it is to work.
    pub(super) directory: String,
    /// The session file, as last told.
    pub(super) conversation: Option<String>,
    /// Whether a conversation was to be gone on with.
    pub(super) resumed: bool,
    /// The gate told that it is there.
    pub(super) gated: bool,
    /// Why nothing may run, as the gate said it.
    pub(super) fault: Option<String>,
    /// Number of the next command of ours.
    pub(super) next_request: u64,

    /// Whether a turn runs.
    pub(super) in_turn: bool,
    /// Whether an interrupt was sent and nothing has ended since.
    pub(super) interrupting: bool,
    /// The run of the model is over; the next line tells whether the turn is.
    pub(super) ending: bool,
    /// The gate told that all was said, before the run ended.
    pub(super) rested: bool,
    /// The conversation is being replaced by a summary.
    pub(super) compacting: bool,
    /// The message that is being written: how many bytes of which block were told.
    pub(super) told: Vec<(u64, usize)>,
    /// How the last message of the model ended.
    pub(super) last: Option<Last>,
    /// What this turn used.
    pub(super) spent: Spent,
    /// Dialogs that wait for an answer.
    pub(super) open: Vec<String>,

    /// Inputs that Pi has and has not begun, oldest first.
    pub(super) sent: Vec<String>,
    /// Inputs that entered the run and were not told as begun.
    pub(super) taken: Vec<String>,
    /// Inputs that were told as begun.
    pub(super) begun: Vec<String>,
    /// Whether the session file exists, so that what is said is kept.
    pub(super) kept: bool,
    /// With the next line it is sure that the inputs taken are in the session file.
    pub(super) settled: bool,
    /// Why the last turn failed, if it is nothing that trying again would mend.
    pub(super) last_cause: Option<EndCause>,
}

/// How a message of the model ended.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Last {
    /// Pi's word: `stop`, `length`, `toolUse`, `error`, `aborted`.
    pub(super) stop: String,
    /// What went wrong.
    pub(super) error: Option<String>,
    /// What it said.
    pub(super) text: Option<String>,
    /// When, Unix milliseconds.
    pub(super) at: u64,
}

impl State {
    /// Forgets what ends with the program: the next lines are those of another life of it.
    pub(super) fn begin_life(&mut self, work: &Work) {
        *self = Self {
            directory: work.directory.display().to_string(),
            resumed: work.resume,
            kept: work.resume,
            next_request: self.next_request,
            ..Self::default()
        };
    }

    /// The id of the next command of ours.
    pub(super) fn request(&mut self, word: &str) -> String {
        let number = self.next_request;
        self.next_request = number.wrapping_add(1);
        format!("{word}{number}")
    }

    /// How much of a block was told.
    pub(super) fn told_of(&self, index: u64) -> usize {
        self.told.iter().find(|(block, _)| *block == index).map_or(0, |(_, length)| *length)
    }

    /// A piece of a block was told.
    pub(super) fn tell(&mut self, index: u64, length: usize) {
        match self.told.iter_mut().find(|(block, _)| *block == index) {
            Some((_, told)) => *told = told.saturating_add(length),
            None => keep(&mut self.told, (index, length)),
        }
    }
}

/// Adds to a list that does not grow without bound.
pub(super) fn keep<T>(list: &mut Vec<T>, one: T) {
    if list.len() >= MOST {
        list.remove(0);
    }
    list.push(one);
}

/// A word, cut to what is remembered.
pub(super) fn word(text: &str) -> String {
    head(text, LONGEST_WORD).to_owned()
}

/// What was used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Spent {
    input: u64,
    output: u64,
    /// Billionths of a dollar: whole numbers come back from the store as they went in.
    cost: u64,
}

impl Spent {
    /// Adds the `usage` of one message.
    pub(super) fn add(&mut self, usage: &Value) {
        for key in ["input", "cacheRead", "cacheWrite"] {
            self.input = self.input.saturating_add(usage.number(key).unwrap_or(0));
        }
        self.output = self.output.saturating_add(usage.number("output").unwrap_or(0));
        let dollars = usage.get("cost").and_then(|cost| cost.figure("total")).unwrap_or(0.0);
        // `as` saturates.
        self.cost = self.cost.saturating_add((dollars * 1e9).round() as u64);
    }

    /// The same in our terms.
    pub(super) fn usage(self) -> Usage {
        Usage { input_tokens: self.input, output_tokens: self.output, total_cost_usd: self.cost as f64 / 1e9 }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_turn_is_the_sum_of_its_messages() {
        let mut spent = Spent::default();
        let usage =
            json!({ "input": 3, "output": 5, "cacheRead": 10, "cacheWrite": 1, "cost": { "total": 0.25 } });
        spent.add(&usage);
        spent.add(&usage);
        spent.add(&json!({ "input": -1, "cost": 7 }));
        assert_eq!(spent.usage(), Usage { input_tokens: 28, output_tokens: 10, total_cost_usd: 0.5 });
    }

    #[test]
    fn it_does_not_grow_with_an_agent_gone_wrong() {
        let mut state = State::default();
        for index in 0..10_000 {
            state.tell(index, 1);
        }
        assert_eq!(state.told.len(), MOST);
        assert_eq!(word(&"é".repeat(10_000)).len(), LONGEST_WORD);
    }
}
