//! What must be remembered from line to line, so that reading can go on after any line. It is stored
//! beside the reading position; all of it is bounded, and it holds no secret.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::patch::Patch;
use crate::agent::fields::{Fields, head};
use crate::domain::restart::EndCause;
use crate::domain::usage::Usage;

/// Longest id, name or path that is remembered, in bytes.
const LONGEST_WORD: usize = 4096;
/// Longest of each list. An agent that leaves more open than this never closes any.
const MOST: usize = 64;
/// So many patches are kept whole until they are asked about. It is one at a time.
const MOST_PATCHES: usize = 2;

/// Everything that is remembered.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct State {
    /// The thread: Codex's word for a conversation.
    pub(super) conversation: Option<String>,
    /// Codex's version, as last heard.
    pub(super) version: Option<String>,
    /// Its model, as last heard.
    pub(super) model: Option<String>,
    /// The model that it takes when none is named.
    pub(super) default_model: Option<String>,
    /// Its reasoning effort, which must be said again with each change of mode.
    pub(super) effort: Option<String>,
    /// Where it works; titles leave this out of paths.
    pub(super) cwd: Option<String>,
    /// Whether it only plans.
    pub(super) planning: bool,
    /// The sandbox for its commands, in Codex's terms.
    pub(super) sandbox: Option<Value>,
    /// Whether its commands run without its sandbox.
    pub(super) no_sandbox: bool,
    /// Whether a person was told of that.
    pub(super) sandbox_told: bool,
    /// Whether it has its thread, in this life.
    pub(super) ready: bool,
    /// The running turn.
    pub(super) turn: Option<String>,
    /// The turn that ended last.
    pub(super) last_turn: Option<String>,
    /// An interrupt is wanted, or was sent, in this turn or for the one that is to begin.
    pub(super) interrupting: bool,
    /// Why the turn was interrupted by us, if it was.
    pub(super) gave_up: Option<String>,
    /// Since when there is no connection to the provider, Unix milliseconds.
    pub(super) offline_since: Option<u64>,
    /// How often that was said.
    pub(super) offline_tries: u64,
    /// Cumulative figures of the thread, as last heard.
    pub(super) total: Tokens,
    /// The same when the turn began.
    pub(super) base: Tokens,
    /// What sub-agents used since.
    pub(super) by_children: Tokens,
    /// Items that began and did not end.
    pub(super) items: Vec<Item>,
    /// Commands that an interrupted turn left running.
    pub(super) leftovers: Vec<String>,
    /// Texts that are being streamed.
    pub(super) told: Vec<Told>,
    /// The message whose text was told last in this turn.
    pub(super) last_message: Option<String>,
    /// Prompts that were given and are not done.
    pub(super) given: Vec<Given>,
    /// Requests of the agent's that are open.
    pub(super) asked: Vec<Asked>,
    /// Threads of sub-agents.
    pub(super) children: Vec<Child>,
    /// A plan that this turn proposed.
    pub(super) proposed: Option<Proposed>,
    /// The question about a plan that is open.
    pub(super) plan_asked: Option<String>,
    /// When the account's limit is lifted, Unix seconds; `None` while it is not reached.
    pub(super) limit_resets_at: Option<i64>,
    /// What a person was last told of the account's limit.
    pub(super) limit_told: Option<String>,
    /// Why the last turn failed, if it is nothing that trying again would mend.
    pub(super) last_cause: Option<EndCause>,
    /// Number of the next request of ours, and of the next list of steps.
    pub(super) next: u64,
}

/// An item that is a tool call.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Item {
    pub(super) id: String,
    pub(super) thread: String,
    /// Codex's word for its kind.
    pub(super) kind: String,
    /// The name that it was told under.
    pub(super) name: String,
    /// The patch, until it is asked about.
    pub(super) patch: Option<Patch>,
    /// Whether its turn ended and it went on.
    pub(super) background: bool,
}

/// How much of a text was streamed, so that the finished item is not told again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Told {
    item: String,
    /// Part of a reasoning.
    part: u64,
    length: usize,
    /// FNV-1a of these bytes.
    hash: u64,
}

/// A prompt that was given.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Given {
    pub(super) input: String,
    /// The turn that takes it, once that is known.
    pub(super) turn: Option<String>,
    /// Whether it is in the conversation.
    pub(super) begun: bool,
}

/// A request of the agent's that is open.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Asked {
    /// Its id, as JSON.
    pub(super) id: String,
    /// The name under which it was asked.
    pub(super) name: String,
    pub(super) thread: String,
    pub(super) turn: String,
}

/// The thread of a sub-agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Child {
    pub(super) thread: String,
    /// The call that began it.
    pub(super) call: String,
    /// Its name among the agents.
    pub(super) name: String,
    /// Its running turn.
    pub(super) turn: Option<String>,
    pub(super) total: Tokens,
}

/// A plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Proposed {
    pub(super) item: String,
    pub(super) text: String,
}

impl State {
    /// Forgets what ends with the program: the next lines are those of another life of it. The
    /// conversation and the cumulative figures go on.
    pub(super) fn begin_life(&mut self) {
        *self = Self {
            conversation: self.conversation.take(),
            version: self.version.take(),
            sandbox_told: self.sandbox_told,
            total: self.total,
            next: self.next,
            ..Self::default()
        };
    }

    /// Whether a thread is the conversation itself, not that of a sub-agent.
    pub(super) fn is_mine(&self, thread: &str) -> bool {
        self.conversation.as_deref() == Some(thread)
    }

    /// An id of our own for a request.
    pub(super) fn next_id(&mut self, word: &str) -> String {
        let number = self.next;
        self.next = number.wrapping_add(1);
        format!("{word}-{number}")
    }

    /// The call of the sub-agent whose thread this is; `None` = the agent itself.
    pub(super) fn parent(&self, thread: &str) -> Option<String> {
        if self.is_mine(thread) {
            return None;
        }
        let child = self.children.iter().find(|child| child.thread == thread);
        Some(child.map_or_else(|| thread.to_owned(), |child| child.call.clone()))
    }

    /// The sub-agent's thread, as it is remembered.
    pub(super) fn child(&mut self, thread: &str) -> &mut Child {
        let index = match self.children.iter().position(|child| child.thread == thread) {
            Some(index) => index,
            None => {
                let child = Child {
                    thread: word(thread),
                    call: word(thread),
                    name: word(thread),
                    turn: None,
                    total: Tokens::default(),
                };
                push(&mut self.children, child);
                self.children.len() - 1
            }
        };
        &mut self.children[index]
    }

    /// Remembers an item that began.
    pub(super) fn open(&mut self, item: Item) {
        self.items.retain(|known| known.id != item.id);
        push(&mut self.items, item);
        let patches = self.items.iter().filter(|item| item.patch.is_some()).count();
        let extra = patches.saturating_sub(MOST_PATCHES);
        for item in self.items.iter_mut().filter(|item| item.patch.is_some()).take(extra) {
            item.patch = None;
        }
    }

    /// Forgets an item and gives it back, if it was open.
    pub(super) fn close(&mut self, id: &str) -> Option<Item> {
        let index = self.items.iter().position(|item| item.id == id)?;
        Some(self.items.remove(index))
    }

    /// A piece of a text was told.
    pub(super) fn tell(&mut self, item: &str, part: u64, piece: &str) {
        let index = match self.told.iter().position(|told| told.item == item && told.part == part) {
            Some(index) => index,
            None => {
                push(&mut self.told, Told { item: word(item), part, length: 0, hash: FNV_START });
                self.told.len() - 1
            }
        };
        if let Some(told) = self.told.get_mut(index) {
            told.length += piece.len();
            told.hash = fnv(told.hash, piece.as_bytes());
        }
    }

    /// Whether something of it was told.
    pub(super) fn was_told(&self, item: &str) -> bool {
        self.told.iter().any(|told| told.item == item)
    }

    /// Whether something of this part of it was told.
    pub(super) fn was_told_part(&self, item: &str, part: u64) -> bool {
        self.told.iter().any(|told| told.item == item && told.part == part)
    }

    /// What of a finished text was not told yet, and forgets that it was streamed.
    pub(super) fn untold<'a>(&mut self, item: &str, whole: &'a str) -> &'a str {
        let Some(index) = self.told.iter().position(|told| told.item == item) else { return whole };
        let told = self.told.remove(index);
        self.told.retain(|other| other.item != item);
        match (whole.get(..told.length), whole.get(told.length..)) {
            (Some(streamed), Some(rest)) if fnv(FNV_START, streamed.as_bytes()) == told.hash => rest,
            // It was tidied at its end. It was told as it came.
            _ => "",
        }
    }

    /// Remembers a prompt.
    pub(super) fn give(&mut self, input: &str) {
        self.given.retain(|given| given.input != input);
        push(&mut self.given, Given { input: word(input), turn: None, begun: false });
    }

    /// The prompt with this id.
    pub(super) fn given(&mut self, input: &str) -> Option<&mut Given> {
        self.given.iter_mut().find(|given| given.input == input)
    }

    /// Remembers a request.
    pub(super) fn wait_for(&mut self, asked: Asked) {
        self.asked.retain(|known| known.id != asked.id);
        push(&mut self.asked, asked);
    }
}

/// Adds to a list that must not grow for ever.
fn push<T>(list: &mut Vec<T>, entry: T) {
    if list.len() >= MOST {
        list.remove(0);
    }
    list.push(entry);
}

/// A word, cut where it is no word.
pub(super) fn word(text: &str) -> String {
    head(text, LONGEST_WORD).to_owned()
}

/// Remembers a word if it is another one than before; says whether it was.
pub(super) fn note(slot: &mut Option<String>, text: &str) -> bool {
    let text = head(text, LONGEST_WORD);
    if slot.as_deref() == Some(text) {
        return false;
    }
    *slot = Some(text.to_owned());
    true
}

const FNV_START: u64 = 0xcbf2_9ce4_8422_2325;

fn fnv(start: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(start, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Cumulative figures. The input holds what came from the provider's cache, the output the reasoning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Tokens {
    input: u64,
    output: u64,
}

impl Tokens {
    /// Reads `{inputTokens,outputTokens,...}`.
    pub(super) fn read(usage: &Value) -> Self {
        Self {
            input: usage.number("inputTokens").unwrap_or(0),
            output: usage.number("outputTokens").unwrap_or(0),
        }
    }

    /// What was used since; a count that began again counts whole.
    pub(super) fn since(self, before: Self) -> Self {
        if self.input < before.input || self.output < before.output {
            return self;
        }
        Self { input: self.input - before.input, output: self.output - before.output }
    }

    /// The sum.
    pub(super) fn plus(self, more: Self) -> Self {
        Self { input: self.input.saturating_add(more.input), output: self.output.saturating_add(more.output) }
    }

    /// In the terms of all agents. What it costs is not told.
    pub(super) fn usage(self) -> Usage {
        Usage { input_tokens: self.input, output_tokens: self.output, total_cost_usd: 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn of_a_finished_text_only_what_was_not_streamed_is_told() {
        let mut state = State::default();
        state.tell("a", 0, "hel");
        assert_eq!(state.untold("a", "hello"), "lo");
        assert_eq!(state.untold("a", "hello"), "hello", "another item under the same id");
        state.tell("a", 0, "text  ");
        assert_eq!(state.untold("a", "text"), "", "tidied");
        assert_eq!(state.untold("b", "text"), "text");
    }

    #[test]
    fn a_turn_is_the_difference_of_the_cumulative_figures() {
        let tokens = |input: u64, output: u64| {
            Tokens::read(&json!({ "inputTokens": input, "outputTokens": output, "totalTokens": 9 }))
        };
        assert_eq!(tokens(300, 30).since(tokens(100, 10)).usage().input_tokens, 200);
        assert_eq!(tokens(50, 5).since(tokens(100, 10)).usage().input_tokens, 50, "counted afresh");
        assert_eq!(tokens(1, 2).plus(tokens(u64::MAX, 1)).usage().output_tokens, 3);
    }

    #[test]
    fn it_does_not_grow_with_what_never_ends() {
        let mut state = State::default();
        for number in 0..10_000 {
            let id = number.to_string();
            state.tell(&id, 0, "x");
            state.give(&id);
            state.child(&id).turn = Some(id.clone());
            let patch = Patch::read(&json!({ "changes": [{ "path": "/p", "diff": "x".repeat(1000) }] }));
            state.open(Item { id, patch: Some(patch), ..Item::default() });
        }
        let size = serde_json::to_string(&state).map(|text| text.len()).unwrap_or(usize::MAX);
        assert!(size < 64 * 1024, "{size}");
    }
}
