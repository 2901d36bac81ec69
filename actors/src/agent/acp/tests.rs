//! Recorded conversations with four real agents, and properties that hold for any line.
//!
//! `tests/transcripts/acp/<agent>-<case>.jsonl` is what went over the pipes: one object a line, `dir` = `in` (to
//! the agent) or `out`, and the `line`; or a `note`. Beside it, `<case>.txt` is what it is to be understood as.
//! After a change on purpose: `UPDATE_GOLDEN=1 cargo test -p tether-actors acp`, and read the difference.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::state::Stage;
use super::*;
use crate::agent::fields::{Fields, head};
use crate::agent::recordings;
use crate::domain::approval::{Answer, Ask, Scope};
use crate::domain::ids::InputId;

mod commands;
mod opening;
mod properties;

/// One line over one of the pipes.
#[derive(Clone)]
struct Recorded {
    inward: bool,
    line: Value,
}

fn cases() -> Vec<(PathBuf, Vec<Recorded>)> {
    recordings::paths("acp", 20).into_iter().map(|path| (path.clone(), recorded(&path))).collect()
}

fn recorded(path: &Path) -> Vec<Recorded> {
    let text = std::fs::read_to_string(path).expect("it can be read");
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("a recording is JSON"));
    let lines = lines.filter(|line| line.get("line").is_some());
    lines.map(|mut line| Recorded { inward: line["dir"] == "in", line: line["line"].take() }).collect()
}

/// Plays a recording to the protocol: what the recorded supervisor did is done with it, and the agent's answers
/// get the ids that the protocol gave its requests.
struct Replay {
    protocol: AcpProtocol,
    lines: Vec<Recorded>,
    at: usize,
    /// The recorded ids of requests to the agent, with ours.
    ids: HashMap<String, String>,
    join: Option<String>,
    asks: HashMap<String, Ask>,
    out: String,
    /// Everything that was heard.
    events: Vec<AgentEvent>,
}

impl Replay {
    fn new(lines: &[Recorded]) -> Self {
        let mut replay = Self {
            protocol: AcpProtocol::new(),
            lines: lines.to_vec(),
            at: 0,
            ids: HashMap::new(),
            join: None,
            asks: HashMap::new(),
            out: String::new(),
            events: Vec::new(),
        };
        // One recording begins in mid-life.
        if lines.first().is_some_and(|first| first.line["method"] != "initialize") {
            replay.protocol.state.session = lines[0].line["params"].word("sessionId").map(str::to_owned);
            replay.protocol.state.stage = Stage::Ready;
        }
        replay
    }

    /// Plays the next line; `false` at the end.
    fn step(&mut self) -> bool {
        let Some(recorded) = self.lines.get(self.at).cloned() else { return false };
        self.at += 1;
        if recorded.inward {
            self.supervisor(&recorded.line);
        } else {
            let mut line = recorded.line;
            if line.get("method").is_none()
                && let Some(id) = self.ids.get(&line["id"].to_string())
            {
                line["id"] = id.clone().into();
            }
            self.hear(line.to_string().as_bytes());
        }
        true
    }

    fn supervisor(&mut self, line: &Value) {
        writeln!(self.out, "> {}", head(&line.to_string(), 160)).expect("a text takes it");
        let id = line["id"].to_string();
        let params = &line["params"];
        match line.text("method") {
            Some("initialize") => {
                let rest = self.lines[self.at..].iter().filter(|line| line.inward);
                let join = rest.map(|line| &line.line).find(|line| {
                    matches!(line.text("method"), Some("session/new" | "session/load" | "session/resume"))
                });
                let conversation = join.and_then(|join| join["params"].text("sessionId"));
                let work = Work {
                    directory: "/home/dev/project".into(),
                    conversation: conversation.unwrap_or_default().to_owned(),
                    resume: conversation.is_some(),
                    ..Work::default()
                };
                let lines = self.protocol.opening(&work);
                self.ids.insert(id, parsed(&lines[0])["id"].as_str().expect("a text").to_owned());
            }
            Some("session/new" | "session/load" | "session/resume") => {
                if let Some(join) = self.join.take() {
                    self.ids.insert(id, join);
                }
            }
            Some("session/prompt") if self.protocol.state.turn.is_none() => {
                let text = params.list("prompt").first().and_then(|block| block.text("text"));
                let command = AgentCommand::Prompt {
                    input: InputId::from(format!("input-{id}").as_str()),
                    text: text.unwrap_or_default().to_owned(),
                    images: Vec::new(),
                };
                // One is to a conversation that is not there.
                if params.text("sessionId") == self.protocol.state.session.as_deref() {
                    let lines = self.protocol.say(&command, false);
                    self.ids.insert(id, parsed(&lines[0])["id"].as_str().expect("a text").to_owned());
                }
            }
            Some("session/cancel") => drop(self.protocol.say(&AgentCommand::Interrupt, false)),
            Some(_) => {}
            None => {
                let Some(ask) = self.asks.remove(&id) else { return };
                let said = self.protocol.say(
                    &AgentCommand::Answer { ask: Box::new(ask.clone()), answer: chosen(&ask, line) },
                    false,
                );
                writeln!(self.out, "answer {}", said[0].line).expect("a text takes it");
            }
        }
    }

    fn hear(&mut self, line: &[u8]) {
        let heard = self.protocol.hear(line);
        for event in heard.events {
            if let AgentEvent::Asked(ask) = &event {
                self.asks.insert(ask.request.clone(), (**ask).clone());
            }
            writeln!(self.out, "{event:?}").expect("a text takes it");
            self.events.push(event);
        }
        for reply in heard.replies {
            let nonce = self.protocol.state.nonce.clone();
            writeln!(self.out, "reply {}", reply.line.replace(&nonce, "")).expect("a text takes it");
            let reply = parsed(&reply);
            match reply.text("method") {
                Some("session/new" | "session/load" | "session/resume") => {
                    self.join = reply.text("id").map(str::to_owned);
                }
                // The recorded agent was never asked this; it would have agreed.
                Some(_) => self.hear(json!({ "id": reply["id"], "result": {} }).to_string().as_bytes()),
                None => {}
            }
        }
    }
}

fn parsed(outgoing: &Outgoing) -> Value {
    serde_json::from_str(&outgoing.line).expect("a line is JSON")
}

/// What the recorded supervisor answered.
fn chosen(ask: &Ask, line: &Value) -> Answer {
    let option = line.pointer("/result/outcome/optionId");
    let options = ask.suggestions.as_ref().and_then(Value::as_array).cloned().unwrap_or_default();
    let kind =
        options.iter().find(|known| known.get("optionId") == option).and_then(|option| option.text("kind"));
    let content = line.pointer("/result/content").and_then(Value::as_object);
    let answers = content.map(|content| {
        let chosen = content.values().filter_map(Value::as_str).map(str::to_owned).collect();
        [(ask.questions[0].question.clone(), chosen)].into()
    });
    if answers.is_some() || kind.is_some_and(|kind| kind.starts_with("allow")) {
        Answer::Allow { scope: Scope::Once, updated_input: None, answers, message: None }
    } else {
        Answer::Deny { message: None }
    }
}

/// What a recording is understood as.
fn understood(lines: &[Recorded]) -> String {
    let mut replay = Replay::new(lines);
    while replay.step() {}
    writeln!(replay.out, "end: {:?}", replay.protocol.end_hint(&[])).expect("a text takes it");
    replay.out
}

#[test]
fn every_recording_is_understood_as_before() {
    recordings::compare(cases().into_iter().map(|(path, lines)| {
        let now = understood(&lines);
        (path, now)
    }));
}

#[test]
fn reading_goes_on_from_a_stored_state_after_any_line() {
    for (path, lines) in cases() {
        let mut replay = Replay::new(&lines);
        loop {
            let stored = serde_json::to_string(&replay.protocol.state()).expect("a state is JSON");
            let stored = serde_json::from_str(&stored).expect("and comes back");
            let restored = AcpProtocol::restore(stored).expect("it is a state");
            assert_eq!(restored.state, replay.protocol.state, "{} line {}", path.display(), replay.at);
            replay.protocol = restored;
            if !replay.step() {
                break;
            }
        }
        assert_eq!(replay.events.len(), {
            let mut whole = Replay::new(&lines);
            while whole.step() {}
            whole.events.len()
        });
    }
}

#[test]
fn every_request_in_the_recordings_is_asked_or_answered_at_once() {
    let mut asked = 0;
    for (path, lines) in cases() {
        let mut replay = Replay::new(&lines);
        while let Some(line) = replay.lines.get(replay.at).cloned() {
            let (events, out) = (replay.events.len(), replay.out.len());
            replay.step();
            if line.inward || line.line.get("method").is_none() || line.line.get("id").is_none() {
                continue;
            }
            let asks =
                replay.events[events..].iter().filter(|event| matches!(event, AgentEvent::Asked(_))).count();
            let replies = replay.out[out..].lines().filter(|line| line.starts_with("reply ")).count();
            assert_eq!(asks + replies, 1, "{} line {}", path.display(), replay.at);
            asked += asks;
        }
    }
    assert!(asked > 25, "the recordings hold {asked} questions");
}

#[test]
fn no_turn_ends_that_did_not_begin_none_begins_twice_and_no_call_is_left_without_a_result() {
    for (path, lines) in cases() {
        let mut replay = Replay::new(&lines);
        while replay.step() {}
        let (mut running, mut calls) = (false, Vec::new());
        for event in &replay.events {
            match event {
                AgentEvent::TurnStarted => {
                    assert!(!std::mem::replace(&mut running, true), "{}", path.display())
                }
                AgentEvent::TurnFinished(_) => {
                    assert!(std::mem::take(&mut running), "{}", path.display());
                    assert!(calls.is_empty(), "{}: {calls:?}", path.display());
                }
                // What a kill cut off is not told again by the history.
                AgentEvent::Conversation(_) => (running, calls) = (false, Vec::new()),
                AgentEvent::ToolCall { id, .. } => {
                    assert!(!calls.contains(id), "{}: {id} is told twice", path.display());
                    calls.push(id.clone());
                }
                AgentEvent::ToolResult { id, .. } => {
                    let known = calls.iter().position(|call| call == id);
                    calls.remove(known.unwrap_or_else(|| panic!("{}: {id} was not called", path.display())));
                }
                _ => {}
            }
        }
    }
}

#[test]
fn what_is_told_of_a_conversation_that_is_taken_up_is_not_told_again() {
    for name in ["opencode-kill-load", "claude-kill-load", "codex-plan-patch-kill-load"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/transcripts/acp");
        let mut replay = Replay::new(&recorded(&folder.join(name).with_extension("jsonl")));
        while replay.step() {}
        let said = |word: &str| {
            let texts = replay.events.iter().filter_map(|event| match event {
                AgentEvent::Text { text, .. } => Some(text.as_str()),
                _ => None,
            });
            texts.collect::<String>().matches(word).count()
        };
        assert_eq!((said("begun"), said("resumed")), (1, 1), "{name}");
        let ready = replay.events.iter().rposition(|event| matches!(event, AgentEvent::Ready { .. }));
        assert!(ready.is_some(), "{name}");
    }
}
