//! What must be remembered from line to line: how far the conversation was told, what is open, what runs.
//!
//! It is stored beside the reading position. What the server itself keeps is read back from it.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::wire::stamp;
use crate::agent::fields::head;
use crate::domain::ids::InputId;
use crate::domain::restart::EndCause;
use crate::domain::usage::Usage;

/// Longest id or name that is remembered, in bytes.
const LONGEST_WORD: usize = 200;
/// Longest text of an error that is remembered, in bytes.
const LONGEST_ERROR: usize = 2000;
/// How many of the newest finished messages of a conversation are remembered, to know the place in it again.
const DONE_KEPT: usize = 16;
/// How many of the person's newest messages are remembered, to know one of ours again.
const USERS_KEPT: usize = 16;
/// Conversations of sub-agents that are remembered at once.
const MOST_THREADS: usize = 32;
/// Messages of a conversation that are under way at once: one, and what odd agents make of it.
const MOST_MESSAGES: usize = 4;
/// Parts of a message that are remembered while it is under way.
const MOST_PARTS: usize = 200;
/// Requests that are open at once.
const MOST_OPEN: usize = 64;
/// Prompts that are on their way at once.
const MOST_WAITING: usize = 16;
/// How many of the newest requests that are over, and of the sessions that are not ours, are remembered.
const RING: usize = 32;

/// How far the opening has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Phase {
    /// The conversation is being opened.
    #[default]
    Opening,
    /// It is open, and what was missed is being read.
    Reading,
    /// Prompts can be sent.
    Ready,
}

/// Everything that is remembered.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct State {
    /// How far the opening has come.
    pub(super) phase: Phase,
    /// The session's own name for a conversation that was to be begun.
    pub(super) wanted: String,
    /// The conversation, once it is open: OpenCode's session.
    pub(super) conversation: Option<String>,
    /// Whether it existed before we knew it: what is in it is not told.
    pub(super) look_only: bool,
    /// Whether what was under way in it belongs to an earlier life.
    pub(super) new_life: bool,
    /// Where it works; titles leave this out of paths.
    pub(super) directory: String,
    /// Its version, as the server says it.
    pub(super) version: Option<String>,
    /// The model for prompts; `None` = the agent's own choice.
    pub(super) model: Option<String>,
    /// The model that was last told.
    pub(super) told_model: Option<String>,
    /// Whether prompts go to the agent that only plans.
    pub(super) planning: bool,
    /// Whether a turn runs.
    pub(super) in_turn: bool,
    /// Whether an interrupt was sent in this turn.
    pub(super) interrupting: bool,
    /// An interrupt came before the turn that it is for.
    pub(super) interrupt_next: bool,
    /// The turn that runs.
    pub(super) turn: Turn,
    /// Prompts that were sent and are not being worked on yet: one, or a few where it is steered.
    pub(super) waiting: Vec<Waiting>,
    /// The conversation and those of its sub-agents; the first one is the conversation itself.
    pub(super) threads: Vec<Thread>,
    /// The person's newest messages.
    pub(super) users: VecDeque<String>,
    /// The newest of these that are ours, whether they arrived or not.
    pub(super) sent: VecDeque<String>,
    /// The front of the newest message's id.
    pub(super) newest: u64,
    /// What was asked and not answered.
    pub(super) open: Vec<Open>,
    /// The newest requests that are over.
    pub(super) over: VecDeque<String>,
    /// Sessions that are none of ours.
    pub(super) strangers: VecDeque<String>,
}

/// The turn that runs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Turn {
    /// When its first message was made, milliseconds since the epoch.
    pub(super) began: u64,
    /// What it used so far.
    pub(super) usage: Used,
    /// Answers in a row that the model did not finish.
    pub(super) cut_off: u32,
    /// What it failed of, as far as is known.
    pub(super) trouble: Option<Trouble>,
}

/// Figures. Whole numbers come back from the store as they went in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Used {
    /// Tokens read.
    pub(super) input: u64,
    /// Tokens written.
    pub(super) output: u64,
    /// Billionths of a dollar.
    pub(super) cost: u64,
}

impl Used {
    pub(super) fn usage(self) -> Usage {
        let total_cost_usd = self.cost as f64 / 1e9;
        Usage { input_tokens: self.input, output_tokens: self.output, total_cost_usd }
    }
}

/// What went wrong.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Trouble {
    /// OpenCode's name for it.
    pub(super) name: String,
    /// For people.
    pub(super) message: String,
    /// Why it must not be tried again by itself.
    pub(super) cause: Option<EndCause>,
}

impl Trouble {
    pub(super) fn new(name: &str, message: &str, cause: Option<EndCause>) -> Self {
        let name = head(name, LONGEST_WORD).to_owned();
        Self { name, message: head(message, LONGEST_ERROR).to_owned(), cause }
    }
}

/// A prompt that was sent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Waiting {
    /// Which.
    pub(super) input: InputId,
    /// The message that it is in the conversation.
    pub(super) message: String,
    /// Whether the server has it.
    pub(super) arrived: bool,
}

/// A request of the agent's that waits for an answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Open {
    /// Its id.
    pub(super) id: String,
    /// Which conversation waits.
    pub(super) session: String,
    /// Whether it is a question, else a permission: the server lists them apart.
    pub(super) question: bool,
}

/// One conversation, as far as it was told.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Thread {
    /// OpenCode's session.
    pub(super) id: String,
    /// The call that began it; `None` = the agent itself, or not known yet.
    pub(super) call: Option<String>,
    /// What it is about.
    pub(super) title: String,
    /// Its newest messages that were told to their end.
    pub(super) done: VecDeque<String>,
    /// Its messages that are under way.
    pub(super) messages: Vec<Message>,
    /// The call that began it was told to its end, and with that all that was said here.
    pub(super) over: bool,
    /// The stream of events was interrupted, and it was not read since: something of it may have been missed.
    pub(super) unread: bool,
}

/// A message that is under way.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Message {
    /// Its id.
    pub(super) id: String,
    /// Its parts.
    pub(super) parts: Vec<Part>,
}

/// A part of a message: how much of it was told.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Part {
    /// Its id.
    pub(super) id: String,
    /// What it is.
    pub(super) kind: Kind,
    /// Bytes of its text that were told; of a tool call 1 once it was told.
    pub(super) told: usize,
    /// FNV-1a of these bytes.
    hash: u64,
    /// A piece of it may have been missed, so its pieces are not told any more; the rest comes with the whole.
    pub(super) sealed: bool,
    /// All of it was told.
    pub(super) finished: bool,
}

/// What a part is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    /// Words.
    #[default]
    Text,
    /// Reasoning.
    Thinking,
    /// A tool call.
    Tool,
}

impl State {
    /// Forgets what ends with a run. `conversation` is the one to go on with, if there is one.
    pub(super) fn begin_life(&mut self, conversation: Option<&str>) {
        let old = std::mem::take(self);
        if conversation.is_none() || old.conversation.as_deref() != conversation {
            // Another one than before, or a new one.
            self.look_only = conversation.is_some();
            return;
        }
        *self = Self {
            conversation: old.conversation,
            version: old.version,
            told_model: None,
            new_life: true,
            threads: old.threads,
            users: old.users,
            sent: old.sent,
            newest: old.newest,
            over: old.over,
            ..Self::default()
        };
        for id in old.open {
            self.settle_request(&id.id);
        }
    }

    /// The conversation's id.
    pub(super) fn root(&self) -> &str {
        self.conversation.as_deref().unwrap_or_default()
    }

    /// Whether this is the conversation itself.
    pub(super) fn is_root(&self, session: &str) -> bool {
        self.conversation.as_deref() == Some(session)
    }

    /// Where a conversation stands among the threads; `None` = it is none of ours, as far as is known.
    pub(super) fn thread(&self, session: &str) -> Option<usize> {
        self.threads.iter().position(|thread| thread.id == session)
    }

    /// Remembers a conversation; gives its place, and whether it is new.
    pub(super) fn thread_of(&mut self, session: &str) -> (usize, bool) {
        if let Some(at) = self.thread(session) {
            return (at, false);
        }
        if self.threads.len() >= MOST_THREADS {
            // The oldest sub-agent, which is over for longest. The conversation itself stays.
            self.threads.remove(1);
        }
        self.threads.push(Thread { id: word(session), ..Thread::default() });
        (self.threads.len() - 1, true)
    }

    /// Remembers one of the person's messages; answers whether it is new.
    pub(super) fn note_user(&mut self, id: &str) -> bool {
        self.note_newest(id);
        if self.users.iter().any(|known| known == id) {
            return false;
        }
        push(&mut self.users, id, USERS_KEPT);
        true
    }

    /// Remembers how far ids have come.
    pub(super) fn note_newest(&mut self, id: &str) {
        self.newest = self.newest.max(stamp(id).unwrap_or(0));
    }

    /// Remembers a prompt that is sent.
    pub(super) fn note_waiting(&mut self, waiting: Waiting) {
        push(&mut self.sent, &waiting.message, USERS_KEPT);
        self.waiting.retain(|known| known.input != waiting.input);
        if self.waiting.len() >= MOST_WAITING {
            self.waiting.remove(0);
        }
        self.waiting.push(waiting);
    }

    /// Remembers a request; answers whether it is new.
    pub(super) fn note_request(&mut self, id: &str, session: &str, question: bool) -> bool {
        let known = self.open.iter().any(|open| open.id == id) || self.over.iter().any(|over| over == id);
        if known {
            return false;
        }
        if self.open.len() >= MOST_OPEN {
            self.open.remove(0);
        }
        self.open.push(Open { id: word(id), session: word(session), question });
        true
    }

    /// A request is over; answers whether it was open.
    pub(super) fn settle_request(&mut self, id: &str) -> bool {
        let before = self.open.len();
        self.open.retain(|open| open.id != id);
        if !self.over.iter().any(|over| over == id) {
            push(&mut self.over, id, RING);
        }
        self.open.len() < before
    }

    /// Remembers a session that is none of ours.
    pub(super) fn note_stranger(&mut self, session: &str) {
        if !self.strangers.iter().any(|known| known == session) {
            push(&mut self.strangers, session, RING);
        }
    }

    /// Whether it was found out that a session is none of ours.
    pub(super) fn is_stranger(&self, session: &str) -> bool {
        self.strangers.iter().any(|known| known == session)
    }

    /// The stream of events was interrupted: pieces of what is under way may have been missed, and whole messages.
    pub(super) fn seal(&mut self) {
        for thread in &mut self.threads {
            thread.unread |= !thread.over;
        }
        let messages = self.threads.iter_mut().flat_map(|thread| &mut thread.messages);
        for part in messages.flat_map(|message| &mut message.parts) {
            part.sealed = true;
        }
    }
}

impl Thread {
    /// Whether a message was told to its end.
    pub(super) fn is_done(&self, message: &str) -> bool {
        self.done.iter().any(|done| done == message)
    }

    /// A message was told to its end.
    pub(super) fn finish(&mut self, message: &str) {
        self.messages.retain(|known| known.id != message);
        if !self.is_done(message) {
            push(&mut self.done, message, DONE_KEPT);
        }
    }

    /// A message that is under way, remembered from now on.
    pub(super) fn message(&mut self, id: &str) -> &mut Message {
        let at = self.messages.iter().position(|known| known.id == id).unwrap_or_else(|| {
            if self.messages.len() >= MOST_MESSAGES {
                self.messages.remove(0);
            }
            self.messages.push(Message { id: word(id), parts: Vec::new() });
            self.messages.len() - 1
        });
        &mut self.messages[at]
    }

    /// Whether a message is under way and known to be the agent's.
    pub(super) fn knows(&self, message: &str) -> bool {
        self.messages.iter().any(|known| known.id == message)
    }

    /// Whether all the parts of a message that were heard of were told to their end.
    pub(super) fn is_whole(&self, message: &str) -> bool {
        let known = self.messages.iter().find(|known| known.id == message);
        known.is_some_and(|known| known.parts.iter().all(|part| part.finished))
    }

    /// A part of a message that is under way, if it is known.
    pub(super) fn known_part(&mut self, message: &str, part: &str) -> Option<&mut Part> {
        let message = self.messages.iter_mut().find(|known| known.id == message)?;
        message.parts.iter_mut().find(|known| known.id == part)
    }
}

impl Message {
    /// A part, remembered from now on.
    pub(super) fn part(&mut self, id: &str, kind: Kind) -> &mut Part {
        let at = self.parts.iter().position(|known| known.id == id).unwrap_or_else(|| {
            if self.parts.len() >= MOST_PARTS {
                self.parts.remove(0);
            }
            self.parts.push(Part { id: word(id), kind, hash: FNV_START, ..Part::default() });
            self.parts.len() - 1
        });
        &mut self.parts[at]
    }
}

impl Part {
    /// A piece was told.
    pub(super) fn piece(&mut self, piece: &str) {
        self.told = self.told.saturating_add(piece.len());
        self.hash = fnv(self.hash, piece.as_bytes());
    }

    /// All of it is known: what of it was not told yet.
    pub(super) fn rest<'a>(&mut self, whole: &'a str) -> &'a str {
        self.finished = true;
        match (whole.get(..self.told), whole.get(self.told..)) {
            (Some(told), Some(rest)) if fnv(FNV_START, told.as_bytes()) == self.hash => rest,
            // The agent tidied the text at its end (white space, say). It was told as it came.
            _ => "",
        }
    }
}

const FNV_START: u64 = 0xcbf2_9ce4_8422_2325;

fn fnv(start: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(start, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// A word that is not too long.
pub(super) fn word(text: &str) -> String {
    head(text, LONGEST_WORD).to_owned()
}

fn push(ring: &mut VecDeque<String>, text: &str, limit: usize) {
    if ring.len() >= limit {
        ring.pop_front();
    }
    ring.push_back(word(text));
}
