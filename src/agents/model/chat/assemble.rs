//! An answer put together from the pieces in which it is streamed.
//!
//! Servers differ: reasoning comes under several names; a tool call comes in pieces or whole; its place in the list
//! (`index`) may be missing, or the same for all of them (Gemini); ids may be missing; text may be a list of
//! parts (Mistral). So the pieces are looked at field by field, and what is not known is left alone.

use serde_json::{Value, json};

use super::super::conversation::{Reasoning, Said, ToolCall};
use super::failure::Failure;

/// Names under which reasoning comes.
const REASONING: [&str; 2] = ["reasoning_content", "reasoning"];

/// Something new to show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delta {
    /// A piece of the answer.
    Text(String),
    /// A piece of reasoning.
    Thought(String),
}

/// What an answer cost.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tokens {
    /// Read, those from a cache among them.
    pub input: u64,
    /// Written, reasoning among them.
    pub output: u64,
    /// Read from a cache.
    pub cached: u64,
    /// Of reasoning.
    pub reasoning: u64,
    /// US dollars, where the server says it.
    pub cost: Option<f64>,
}

/// Why an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finish {
    /// It is complete.
    Done,
    /// The limit of tokens was reached.
    Length,
    /// The server would not let it pass.
    Filtered,
}

/// A whole answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Reply {
    /// What was said.
    pub said: Said,
    /// Why it ended.
    pub finish: Finish,
    /// What it cost, where the server says it.
    pub tokens: Option<Tokens>,
}

/// An answer under way.
#[derive(Debug, Default)]
pub struct Assembly {
    text: String,
    reasoning: Reasoning,
    calls: Vec<Piece>,
    finish: Option<String>,
    tokens: Option<Tokens>,
}

/// A call under way.
#[derive(Debug, Default)]
struct Piece {
    index: Option<u64>,
    call: ToolCall,
}

impl Assembly {
    /// Takes a piece. `Err` = the server gave up in the middle.
    pub fn take(&mut self, chunk: &Value) -> Result<Vec<Delta>, Failure> {
        if let Some(error) = chunk.get("error").filter(|error| !error.is_null()) {
            return Err(Failure::of_event(error));
        }
        if let Some(usage) = chunk.get("usage").filter(|usage| usage.is_object()) {
            self.tokens = Some(tokens(usage));
        }
        let choice = &chunk["choices"][0];
        if let Some(error) = choice.get("error").filter(|error| !error.is_null()) {
            return Err(Failure::of_event(error));
        }
        if let Some(finish) = choice["finish_reason"].as_str() {
            self.finish = Some(finish.to_owned());
        }
        // A server that was asked to stream and does not gives the whole message.
        let delta = choice.get("delta").filter(|delta| delta.is_object()).unwrap_or(&choice["message"]);
        let mut new = Vec::new();
        for field in REASONING {
            if let Some(text) = delta[field].as_str().filter(|text| !text.is_empty()) {
                self.think(field, text, &mut new);
                // OpenRouter gives the same words under both names.
                break;
            }
        }
        for detail in delta["reasoning_details"].as_array().into_iter().flatten() {
            merge_detail(&mut self.reasoning.details, detail);
        }
        match &delta["content"] {
            Value::String(text) => self.say(text, &mut new),
            Value::Array(parts) => {
                for part in parts {
                    match part["type"].as_str() {
                        Some("thinking") => {
                            for text in part["thinking"].as_array().into_iter().flatten() {
                                self.think("", text["text"].as_str().unwrap_or_default(), &mut new);
                            }
                        }
                        _ => self.say(part["text"].as_str().unwrap_or_default(), &mut new),
                    }
                }
            }
            _ => {}
        }
        for piece in delta["tool_calls"].as_array().into_iter().flatten() {
            self.take_call(piece);
        }
        Ok(new)
    }

    fn say(&mut self, text: &str, new: &mut Vec<Delta>) {
        if !text.is_empty() {
            self.text.push_str(text);
            new.push(Delta::Text(text.to_owned()));
        }
    }

    fn think(&mut self, field: &str, text: &str, new: &mut Vec<Delta>) {
        if !text.is_empty() {
            if !field.is_empty() {
                field.clone_into(&mut self.reasoning.field);
            }
            self.reasoning.text.push_str(text);
            new.push(Delta::Thought(text.to_owned()));
        }
    }

    fn take_call(&mut self, piece: &Value) {
        let id = piece["id"].as_str().unwrap_or_default();
        let index = piece["index"].as_u64();
        let function = &piece["function"];
        // The id decides where there is one: an index may be the same for all.
        let known = if id.is_empty() {
            match index {
                Some(_) => self.calls.iter().rposition(|known| known.index == index),
                None if function["name"].as_str().is_some_and(|name| !name.is_empty()) => None,
                None => self.calls.len().checked_sub(1),
            }
        } else {
            let same = |known: &Piece| known.call.id == id;
            let nameless =
                |known: &Piece| known.call.id.is_empty() && index.is_some() && known.index == index;
            self.calls.iter().position(same).or_else(|| self.calls.iter().position(nameless))
        };
        let at = known.unwrap_or_else(|| {
            self.calls.push(Piece { index, ..Piece::default() });
            self.calls.len() - 1
        });
        let Some(Piece { call, .. }) = self.calls.get_mut(at) else { return };
        if !id.is_empty() {
            id.clone_into(&mut call.id);
        }
        if let Some(name) = function["name"].as_str().filter(|name| !name.is_empty() && *name != call.name) {
            call.name.push_str(name);
        }
        match &function["arguments"] {
            Value::String(text) => call.arguments.push_str(text),
            Value::Null => {}
            // Some give the object itself.
            whole => call.arguments = whole.to_string(),
        }
        if let Some(extra) = piece.get("extra_content").filter(|extra| !extra.is_null()) {
            call.extra = Some(extra.clone());
        }
    }

    /// Whether the server said that the answer is complete.
    pub fn is_finished(&self) -> bool {
        self.finish.is_some()
    }

    /// Whether anything was said or called.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty() && self.reasoning.text.is_empty() && self.calls.is_empty()
    }

    /// The answer, as far as it came when it was stopped: words only.
    pub fn interrupted(self) -> Said {
        Said { text: self.text, interrupted: true, ..Said::default() }
    }

    /// The whole answer.
    pub fn finish(self) -> Reply {
        let Self { text, reasoning, calls, finish, tokens } = self;
        let calls: Vec<ToolCall> = calls
            .into_iter()
            .map(|piece| piece.call)
            .filter(|call| !call.name.is_empty())
            .enumerate()
            .map(|(at, mut call)| {
                if call.id.is_empty() {
                    // Differs from those of other answers, as the result is found by it.
                    call.id = format!("call_{}_{at}", uuid::Uuid::now_v7().simple());
                }
                if call.arguments.trim().is_empty() {
                    call.arguments = "{}".into();
                }
                call
            })
            .collect();
        let finish = match finish.as_deref() {
            // Calls that were cut off by it are refused one by one, as their input is no JSON.
            Some("length" | "max_tokens") => Finish::Length,
            Some("content_filter") => Finish::Filtered,
            _ => Finish::Done,
        };
        let thought = !reasoning.text.is_empty() || !reasoning.details.is_empty();
        let said = Said { text, reasoning: thought.then_some(reasoning), calls, interrupted: false };
        Reply { said, finish, tokens }
    }
}

/// Puts a piece of OpenRouter's `reasoning_details` to the one that it goes on with.
fn merge_detail(details: &mut Vec<Value>, piece: &Value) {
    let same = |known: &Value| {
        known["type"] == piece["type"] && known["index"] == piece["index"] && !piece["index"].is_null()
    };
    let Some(known) = details.last_mut().filter(|known| same(known)).and_then(Value::as_object_mut) else {
        details.push(piece.clone());
        return;
    };
    for (name, value) in piece.as_object().into_iter().flatten() {
        match (known.get_mut(name), value) {
            (Some(Value::String(text)), Value::String(more))
                if matches!(name.as_str(), "text" | "summary" | "data") =>
            {
                text.push_str(more);
            }
            (_, Value::Null) => {}
            _ => {
                known.insert(name.clone(), value.clone());
            }
        }
    }
}

fn tokens(usage: &Value) -> Tokens {
    let number = |value: &Value| value.as_u64();
    Tokens {
        input: number(&usage["prompt_tokens"]).unwrap_or(0),
        output: number(&usage["completion_tokens"]).unwrap_or(0),
        cached: number(&usage["prompt_tokens_details"]["cached_tokens"])
            .or_else(|| number(&usage["prompt_cache_hit_tokens"]))
            .unwrap_or(0),
        reasoning: number(&usage["completion_tokens_details"]["reasoning_tokens"]).unwrap_or(0),
        cost: usage["cost"].as_f64(),
    }
}

impl Tokens {
    /// Adds those of another answer.
    pub fn add(&mut self, other: &Self) {
        self.input += other.input;
        self.output += other.output;
        self.cached += other.cached;
        self.reasoning += other.reasoning;
        self.cost = match (self.cost, other.cost) {
            (Some(a), Some(b)) => Some(a + b),
            (a, b) => a.or(b),
        };
    }

    /// As `session/prompt` answers it.
    pub fn to_json(&self) -> Value {
        json!({
            "inputTokens": self.input,
            "outputTokens": self.output,
            "totalTokens": self.input + self.output,
            "cachedReadTokens": self.cached,
            "thoughtTokens": self.reasoning,
        })
    }
}
