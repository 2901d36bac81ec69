//! What the demo agent can do in a turn: say, think, call tools, ask.

use std::cell::Cell;
use std::time::Duration;

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::agent::Session;
use super::memory::Record;
use crate::agents::acp::Client;
use crate::agents::acp::question::{self, Answer, Choice};
use crate::agents::journal::JournalError;
use crate::agents::tools::perform::{Call, Scene};
use crate::agents::tools::{self, Outcome};

/// Why a turn does not go on.
#[derive(Debug)]
pub enum Stop {
    /// The person interrupted.
    Cancelled,
    /// What happened cannot be kept.
    Disk(JournalError),
}

impl From<JournalError> for Stop {
    fn from(error: JournalError) -> Self {
        Self::Disk(error)
    }
}

/// A turn under way.
pub struct Show<'a> {
    /// Who is told and asked.
    pub client: &'a Client,
    /// What it belongs to.
    pub session: &'a Session,
    /// Stops it.
    pub cancel: &'a CancellationToken,
    /// How long a word takes.
    pub pace: Duration,
    /// Words said, which stand for tokens.
    pub words: Cell<u64>,
}

impl Show<'_> {
    /// Says something, word by word, and keeps it.
    pub async fn say(&self, text: &str) -> Result<(), Stop> {
        let message = uuid::Uuid::now_v7().to_string();
        let stopped = self.stream("agent_message_chunk", Some(&message), text).await;
        if stopped.is_ok() {
            self.keep(Record::Agent { text: text.to_owned() })?;
        }
        stopped
    }

    /// Thinks aloud.
    pub async fn think(&self, text: &str) -> Result<(), Stop> {
        self.stream("agent_thought_chunk", None, text).await
    }

    async fn stream(&self, kind: &str, message: Option<&str>, text: &str) -> Result<(), Stop> {
        for word in text.split_inclusive(' ') {
            let mut update = json!({ "sessionUpdate": kind, "content": { "type": "text", "text": word } });
            if let Some(message) = message {
                update["messageId"] = json!(message);
            }
            self.client.update(&self.session.id, update).await;
            self.words.set(self.words.get() + 1);
            self.wait(self.pace).await?;
        }
        Ok(())
    }

    /// Waits, unless it is stopped.
    pub async fn wait(&self, time: Duration) -> Result<(), Stop> {
        self.cancel.run_until_cancelled(tokio::time::sleep(time)).await.ok_or(Stop::Cancelled)
    }

    /// Tells the whole plan, of which so many steps are done.
    pub async fn plan(&self, steps: &[&str], done: usize) {
        let entries: Vec<Value> = steps
            .iter()
            .enumerate()
            .map(|(at, step)| {
                let status = match at.cmp(&done) {
                    std::cmp::Ordering::Less => "completed",
                    std::cmp::Ordering::Equal => "in_progress",
                    std::cmp::Ordering::Greater => "pending",
                };
                json!({ "content": step, "priority": "medium", "status": status })
            })
            .collect();
        self.client.update(&self.session.id, json!({ "sessionUpdate": "plan", "entries": entries })).await;
    }

    /// Calls a tool; asks first where that tool asks.
    pub async fn call(&self, name: &str, input: Value) -> Result<Outcome, Stop> {
        let id = new_call();
        let scene = Scene {
            client: self.client,
            session: &self.session.id,
            place: &self.session.place,
            cancel: self.cancel,
        };
        let one = Call { id: &id, name };
        self.keep(Record::Call { id: id.clone(), name: name.to_owned(), input: input.clone() })?;
        let (outcome, diffs) = match tools::plan(&self.session.place, name, &input.to_string(), false) {
            Ok(plan) => match scene.perform(one, plan).await {
                Some(performed) => performed,
                None => (Outcome::failed("not done: the person interrupted"), Vec::new()),
            },
            Err(why) => {
                scene.announce_wrong(one, &input).await;
                (Outcome::failed(why), Vec::new())
            }
        };
        let (text, ok) = (outcome.text.clone(), outcome.ok);
        self.keep(Record::Result { id: id.clone(), text, ok, diffs: diffs.clone() })?;
        scene.tell(&id, &outcome, diffs).await;
        if self.cancel.is_cancelled() { Err(Stop::Cancelled) } else { Ok(outcome) }
    }

    /// Asks a question with choices.
    pub async fn ask(&self, words: &str, choices: &[(&str, &str)]) -> Result<Answer, Stop> {
        let choices: Vec<Choice> = choices
            .iter()
            .map(|(label, description)| Choice {
                label: (*label).to_owned(),
                description: (*description).to_owned(),
            })
            .collect();
        let id = new_call();
        let asked = question::ask(self.client, &self.session.id, &id, words, &choices);
        self.cancel.run_until_cancelled(asked).await.ok_or(Stop::Cancelled)
    }

    /// Keeps what happened.
    pub fn keep(&self, record: Record) -> Result<(), JournalError> {
        self.session.memory.borrow_mut().add(record)
    }
}

fn new_call() -> String {
    format!("call_{}", uuid::Uuid::now_v7().simple())
}
