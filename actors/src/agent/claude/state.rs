//! What must be remembered from line to line: a few ids and figures, so that reading can go on after
//! any line. It is stored beside the reading position; it never grows and holds no secret.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::agent::fields::{Fields, head};
use crate::domain::restart::EndCause;
use crate::domain::usage::Usage;

/// Longest id, name or path that is remembered, in bytes.
const LONGEST_WORD: usize = 4096;
/// Blocks of one message that were streamed and are not finished. There is one at a time; more would
/// mean an agent that never finishes any.
const MOST_BLOCKS: usize = 32;

/// Everything that is remembered.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct State {
    /// The agent's id for the conversation, as last heard.
    pub(super) conversation: Option<String>,
    /// Its version, as last heard.
    pub(super) version: Option<String>,
    /// Its model, as last heard.
    pub(super) model: Option<String>,
    /// Its permission mode, as last heard.
    pub(super) mode: Option<String>,
    /// Where it works; titles leave this out of paths.
    pub(super) cwd: Option<String>,
    /// Whether a turn runs.
    pub(super) in_turn: bool,
    /// Whether an interrupt was sent in this turn.
    pub(super) interrupting: bool,
    /// Number of the next request of ours.
    pub(super) next_request: u64,
    /// The message that is being streamed.
    pub(super) streamed: Streamed,
    /// Cumulative figures at the end of the last turn.
    pub(super) totals: Totals,
    /// What the agent said in this turn that the turn may fail of.
    pub(super) trouble: Option<EndCause>,
    /// Why the last turn failed, if it is nothing that trying again would mend.
    pub(super) last_cause: Option<EndCause>,
    /// When the account's limit is lifted, Unix seconds; `None` while it is not reached.
    pub(super) limit_resets_at: Option<i64>,
    /// What a person was last told of the account's limit.
    pub(super) limit_told: Option<String>,
}

impl State {
    /// Forgets what ends with the program: the next lines are those of another life of it. The
    /// conversation and the cumulative figures go on.
    pub(super) fn begin_life(&mut self) {
        *self = Self {
            conversation: self.conversation.take(),
            next_request: self.next_request,
            totals: self.totals,
            ..Self::default()
        };
    }
}

/// Remembers a word if it is another one than before; says whether it was.
pub(super) fn note(slot: &mut Option<String>, word: &str) -> bool {
    let word = head(word, LONGEST_WORD);
    if slot.as_deref() == Some(word) {
        return false;
    }
    *slot = Some(word.to_owned());
    true
}

/// How much of the current message was streamed, so that its finished blocks are not told again.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Streamed {
    /// The message's id.
    message: Option<String>,
    /// Its blocks that began and are not finished, oldest first.
    blocks: Vec<Block>,
}

/// One block of text or reasoning.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Block {
    /// Its index in the message.
    index: u64,
    /// Whether it is reasoning.
    thinking: bool,
    /// Bytes streamed so far.
    length: usize,
    /// FNV-1a of these bytes.
    hash: u64,
}

impl Streamed {
    /// A message begins.
    pub(super) fn begin_message(&mut self, id: &str) {
        note(&mut self.message, id);
        self.blocks.clear();
    }

    /// A block begins.
    pub(super) fn begin_block(&mut self, index: u64, thinking: bool) {
        if self.blocks.len() >= MOST_BLOCKS {
            self.blocks.remove(0);
        }
        self.blocks.push(Block { index, thinking, length: 0, hash: fnv(FNV_START, &[]) });
    }

    /// A piece of a block was told.
    pub(super) fn piece(&mut self, index: u64, thinking: bool, piece: &str) {
        let known = self.blocks.iter().any(|block| block.index == index && block.thinking == thinking);
        if !known {
            self.begin_block(index, thinking);
        }
        if let Some(block) = self.blocks.iter_mut().find(|b| b.index == index && b.thinking == thinking) {
            block.length = block.length.saturating_add(piece.len());
            block.hash = fnv(block.hash, piece.as_bytes());
        }
    }

    /// A block is finished: what of it was not told yet.
    pub(super) fn finish<'a>(&mut self, message: Option<&str>, thinking: bool, whole: &'a str) -> &'a str {
        let current =
            message.is_some() && self.message.as_deref() == message.map(|id| head(id, LONGEST_WORD));
        let Some(at) = self.blocks.iter().position(|block| current && block.thinking == thinking) else {
            return whole;
        };
        let block = self.blocks.remove(at);
        if block.length == 0 {
            return whole;
        }
        match (whole.get(..block.length), whole.get(block.length..)) {
            (Some(told), Some(rest)) if fnv(FNV_START, told.as_bytes()) == block.hash => rest,
            // The agent tidied the text at its end (white space, say). It was told as it came.
            _ => "",
        }
    }
}

const FNV_START: u64 = 0xcbf2_9ce4_8422_2325;

fn fnv(start: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(start, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Cumulative figures. They go on over the turns of a program and over a clean end, begin at nothing
/// after a kill, and `/clear` takes them back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Totals {
    /// Billionths of a dollar: whole numbers come back from the store as they went in.
    cost: u64,
    input: u64,
    output: u64,
}

impl Totals {
    /// What the turn that ended with this `result` line used.
    pub(super) fn turn(&mut self, result: &Value) -> Usage {
        let now = Self {
            cost: nanos(result.figure("total_cost_usd")),
            ..result.get("modelUsage").map_or(*self, Self::of_models)
        };
        let before = std::mem::replace(self, now);
        // Newer programs say it themselves, sub-agents included.
        if let Some(models) = result.get("model_usage_since_last_result").filter(|models| models.is_object())
        {
            return Self::of_models(models).usage();
        }
        let main = result.get("usage").map(Self::of_usage).unwrap_or_default();
        if result.get("modelUsage").is_none() {
            let cost = if now.cost < before.cost { now.cost } else { now.cost - before.cost };
            return Self { cost, ..main }.usage();
        }
        // The difference must hold at least what the main conversation used; else the count is new.
        let went_on = now.cost >= before.cost
            && now.input >= before.input.saturating_add(main.input)
            && now.output >= before.output.saturating_add(main.output);
        if !went_on {
            return now.usage();
        }
        Self {
            cost: now.cost - before.cost,
            input: now.input - before.input,
            output: now.output - before.output,
        }
        .usage()
    }

    /// Sums `{"<model>":{inputTokens,outputTokens,cacheReadInputTokens,cacheCreationInputTokens,costUSD}}`.
    fn of_models(models: &Value) -> Self {
        let mut sum = Self::default();
        for model in models.as_object().into_iter().flat_map(|models| models.values()) {
            sum.cost = sum.cost.saturating_add(nanos(model.figure("costUSD")));
            for key in ["inputTokens", "cacheReadInputTokens", "cacheCreationInputTokens"] {
                sum.input = sum.input.saturating_add(model.number(key).unwrap_or(0));
            }
            sum.output = sum.output.saturating_add(model.number("outputTokens").unwrap_or(0));
        }
        sum
    }

    /// Reads the `usage` of the main conversation.
    fn of_usage(usage: &Value) -> Self {
        let input = ["input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"]
            .iter()
            .fold(0u64, |sum, key| sum.saturating_add(usage.number(key).unwrap_or(0)));
        Self { cost: 0, input, output: usage.number("output_tokens").unwrap_or(0) }
    }

    fn usage(self) -> Usage {
        let total_cost_usd = self.cost as f64 / 1e9;
        Usage { input_tokens: self.input, output_tokens: self.output, total_cost_usd }
    }
}

fn nanos(dollars: Option<f64>) -> u64 {
    // `as` saturates.
    (dollars.unwrap_or(0.0) * 1e9).round() as u64
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn old_result(cost: f64, input: u64, output: u64, turn: (u64, u64)) -> Value {
        json!({
            "total_cost_usd": cost,
            "modelUsage": { "m": { "inputTokens": input, "outputTokens": output, "costUSD": cost } },
            "usage": { "input_tokens": turn.0, "output_tokens": turn.1 },
        })
    }

    fn tokens(usage: Usage) -> (u64, u64, f64) {
        (usage.input_tokens, usage.output_tokens, (usage.total_cost_usd * 1e6).round() / 1e6)
    }

    #[test]
    fn a_turn_is_the_difference_of_the_cumulative_figures() {
        let mut totals = Totals::default();
        assert_eq!(tokens(totals.turn(&old_result(0.5, 100, 10, (100, 10)))), (100, 10, 0.5));
        assert_eq!(tokens(totals.turn(&old_result(0.75, 160, 20, (60, 10)))), (60, 10, 0.25));
    }

    #[test]
    fn a_count_that_begins_again_is_noticed_even_when_it_is_higher_than_before() {
        let mut totals = Totals::default();
        totals.turn(&old_result(0.5, 100, 10, (100, 10)));
        assert_eq!(tokens(totals.turn(&old_result(0.6, 120, 12, (120, 12)))), (120, 12, 0.6));
        assert_eq!(tokens(totals.turn(&old_result(0.1, 20, 2, (20, 2)))), (20, 2, 0.1));
    }

    #[test]
    fn the_agents_own_word_for_the_turn_wins() {
        let mut totals = Totals::default();
        let mut result = old_result(0.9, 900, 90, (10, 1));
        result["model_usage_since_last_result"] = json!({ "m": { "inputTokens": 7, "cacheReadInputTokens": 3, "outputTokens": 2, "costUSD": 0.01 } });
        assert_eq!(tokens(totals.turn(&result)), (10, 2, 0.01));
    }

    #[test]
    fn without_figures_a_model_costs_what_the_total_grew_by() {
        let mut totals = Totals::default();
        let result =
            |cost: f64| json!({ "total_cost_usd": cost, "usage": { "input_tokens": 5, "output_tokens": 1 } });
        assert_eq!(tokens(totals.turn(&result(0.2))), (5, 1, 0.2));
        assert_eq!(tokens(totals.turn(&result(0.3))), (5, 1, 0.1));
        assert_eq!(tokens(totals.turn(&result(0.1))), (5, 1, 0.1));
    }

    #[test]
    fn of_a_finished_block_only_what_was_not_streamed_is_told() {
        let mut streamed = Streamed::default();
        streamed.begin_message("m");
        streamed.begin_block(0, false);
        streamed.piece(0, false, "hel");
        assert_eq!(streamed.finish(Some("m"), false, "hello"), "lo");
        assert_eq!(streamed.finish(Some("m"), false, "another"), "another");
        streamed.piece(1, false, "text  ");
        assert_eq!(streamed.finish(Some("m"), false, "text"), "", "tidied");
        streamed.piece(2, false, "text");
        assert_eq!(streamed.finish(Some("other"), false, "text"), "text", "another message");
        assert_eq!(streamed.finish(Some("m"), true, "thought"), "thought", "another kind");
    }

    #[test]
    fn it_does_not_grow_with_blocks_that_never_finish() {
        let mut streamed = Streamed::default();
        for index in 0..10_000 {
            streamed.piece(index, false, "x");
        }
        assert_eq!(streamed.blocks.len(), MOST_BLOCKS);
    }
}
