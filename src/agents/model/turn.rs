//! A turn: ask the model, do what it calls for, ask again, until it calls for nothing.

use std::time::Duration;

use futures_util::future::join_all;
use rand::RngExt as _;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::asking;
use super::chat::{self, Assembly, Delta, Failure, Finish, Kind, Reply, Tokens};
use super::conversation::{Record, ToolCall};
use super::session::Session;
use crate::agents::acp::prompt::Words;
use crate::agents::acp::{Client, Refusal};
use crate::agents::journal::JournalError;
use crate::agents::tools::perform::{Call, Scene};
use crate::agents::tools::{self, Outcome, Plan};

/// So often the model is asked in one turn. One that goes in circles is stopped by it at last.
const MOST_REQUESTS: usize = 300;

/// A turn under way.
pub struct Turn<'a> {
    /// Who is told and asked.
    pub client: &'a Client,
    /// What it belongs to.
    pub session: &'a Session,
    /// Stops it.
    pub cancel: CancellationToken,
    /// What it cost so far.
    pub tokens: Tokens,
}

/// Why a turn does not go on.
enum Stop {
    Cancelled,
    Failed(Failure),
    /// What was said cannot be kept.
    Disk(JournalError),
}

impl From<JournalError> for Stop {
    fn from(error: JournalError) -> Self {
        Self::Disk(error)
    }
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl Turn<'_> {
    /// Runs it to its end; gives the result of `session/prompt`.
    pub async fn run(mut self, words: Words) -> Result<Value, Refusal> {
        let ended = self.go(words).await;
        // Whatever ended it: a call without a result would make the conversation unfit to go on with.
        let closed = self.close_calls().await;
        match (ended, closed) {
            (Ok(reason), Ok(())) => Ok(self.result(reason)),
            (Err(Stop::Cancelled), Ok(())) => Ok(self.result("cancelled")),
            (Err(Stop::Failed(failure)), Ok(())) => Err(self.refusal(&failure)),
            (Err(Stop::Disk(error)), _) | (_, Err(error)) => Err(Refusal::internal(error.to_string())),
        }
    }

    async fn go(&mut self, words: Words) -> Result<&'static str, Stop> {
        let said = Record::User { text: words.text, pictures: words.pictures };
        // Said again after a crash, with nothing in between: it is there already.
        if self.session.conversation.borrow().records.last() != Some(&said) {
            self.keep(said)?;
        }
        for _ in 0..MOST_REQUESTS {
            let Reply { said, finish, tokens } = self.answer().await?;
            let calls = said.calls.clone();
            self.keep(Record::Assistant(said))?;
            if let Some(tokens) = tokens {
                self.tell_usage(&tokens).await;
                self.tokens.add(&tokens);
            }
            if calls.is_empty() {
                return Ok(match finish {
                    Finish::Done => "end_turn",
                    Finish::Length => "max_tokens",
                    Finish::Filtered => "refusal",
                });
            }
            self.carry_out(&calls).await?;
        }
        Ok("max_turn_requests")
    }

    fn keep(&self, record: Record) -> Result<(), JournalError> {
        self.session.conversation.borrow_mut().add(record)
    }

    fn result(&self, reason: &str) -> Value {
        json!({ "stopReason": reason, "usage": self.tokens.to_json() })
    }

    fn refusal(&self, failure: &Failure) -> Refusal {
        let kind = failure.kind();
        let words = failure.words(self.session.chat.base_url(), &self.session.model());
        let data = json!({
            "errorKind": kind.word(),
            "status": failure.status(),
            "retryAfterSeconds": failure.wait().map(|wait| wait.as_secs()),
        });
        let refusal = if kind == Kind::Authentication {
            Refusal::auth_required(words)
        } else {
            Refusal::internal(words)
        };
        refusal.with_data(data)
    }

    /// The model's next answer, shown while it comes. Tried again while that may help.
    async fn answer(&self) -> Result<Reply, Stop> {
        let most = self.session.settings.retries;
        let mut failed = 0;
        loop {
            let failure = match self.try_answer().await {
                Err(Stop::Failed(failure)) => failure,
                other => return other,
            };
            if self.session.chat.learn(&failure) {
                continue;
            }
            if failed >= most || !failure.is_passing() {
                return Err(failure.into());
            }
            failed += 1;
            let pause = chat::pause(failed, failure.wait(), rand::rng().random());
            self.tell_retry(failed, most, pause, &failure).await;
            let slept = self.cancel.run_until_cancelled(tokio::time::sleep(pause)).await;
            slept.ok_or(Stop::Cancelled)?;
        }
    }

    async fn try_answer(&self) -> Result<Reply, Stop> {
        let (session, cancel) = (self.session, &self.cancel);
        let asked = session.chat.ask(session.body());
        let mut answer = cancel.run_until_cancelled(asked).await.ok_or(Stop::Cancelled)??;
        let message = uuid::Uuid::now_v7().to_string();
        let mut assembly = Assembly::default();
        loop {
            let piece = match cancel.run_until_cancelled(answer.next()).await {
                Some(Some(piece)) => piece?,
                Some(None) => break,
                None => {
                    if !assembly.is_empty() {
                        self.keep(Record::Assistant(assembly.interrupted()))?;
                    }
                    return Err(Stop::Cancelled);
                }
            };
            for delta in assembly.take(&piece)? {
                let (kind, text) = match delta {
                    Delta::Text(text) => ("agent_message_chunk", text),
                    Delta::Thought(text) => ("agent_thought_chunk", text),
                };
                let content = json!({ "type": "text", "text": text });
                self.update(json!({ "sessionUpdate": kind, "messageId": message, "content": content })).await;
            }
        }
        // A connection may end in the middle without an error; an answer that is whole says so.
        if !assembly.is_finished() {
            return Err(Failure::Network("the answer was cut off in the middle".into()).into());
        }
        Ok(assembly.finish())
    }

    async fn update(&self, update: Value) {
        self.client.update(&self.session.id, update).await;
    }

    async fn tell_retry(&self, attempt: u32, most: u32, pause: Duration, failure: &Failure) {
        let error = failure.words(self.session.chat.base_url(), &self.session.model());
        let delay = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
        let retry = json!({
            "attempt": attempt,
            "maxAttempts": most,
            "delayMs": delay,
            "status": failure.status(),
            "error": error,
        });
        if self.client.has_notices() {
            self.update(json!({
                "sessionUpdate": "notice",
                "severity": "warning",
                "title": format!("The model is asked again in {:.1} s ({attempt} of {most})", pause.as_secs_f64()),
                "description": error,
                "_meta": { "tether": { "retry": retry } },
            }))
            .await;
        } else {
            let params = json!({ "sessionId": self.session.id, "retry": retry });
            self.client.notify("_tether/retry", params).await;
        }
    }

    async fn tell_usage(&self, tokens: &Tokens) {
        let spent = self.session.spend(tokens.cost.unwrap_or(0.0));
        let used = tokens.input + tokens.output;
        // Where nobody says how much the model can take, what is used is all that is known.
        let mut update = json!({ "sessionUpdate": "usage_update", "used": used, "size": self.session.context().unwrap_or(used) });
        if tokens.cost.is_some() {
            update["cost"] = json!({ "amount": spent, "currency": "USD" });
        }
        self.update(update).await;
    }

    /// Carries out the calls of one answer in their order; those that only look, side by side.
    async fn carry_out(&self, calls: &[ToolCall]) -> Result<(), Stop> {
        let mut rest = calls;
        while let Some((first, others)) = rest.split_first() {
            if self.cancel.is_cancelled() {
                return Err(Stop::Cancelled);
            }
            let plan = self.plan(first);
            if !is_look(&plan) {
                self.one(first, plan).await?;
                rest = others;
                continue;
            }
            let mut looks = vec![(first, plan)];
            rest = others;
            while let Some((next, others)) = rest.split_first()
                && let plan = self.plan(next)
                && is_look(&plan)
            {
                looks.push((next, plan));
                rest = others;
            }
            let done = join_all(looks.into_iter().map(|(call, plan)| self.one(call, plan))).await;
            done.into_iter().collect::<Result<(), Stop>>()?;
        }
        Ok(())
    }

    fn plan(&self, call: &ToolCall) -> Result<Plan, String> {
        let planning = self.session.conversation.borrow().planning();
        tools::plan(&self.session.place, &call.name, &call.arguments, planning)
    }

    /// Carries out one call: announced, asked about if need be, done, kept, told.
    async fn one(&self, call: &ToolCall, plan: Result<Plan, String>) -> Result<(), Stop> {
        let scene = self.scene();
        let one = Call { id: &call.id, name: &call.name };
        let (outcome, diffs) = match plan {
            // No tool of the machine, so there is no plan for it.
            _ if call.name == asking::TOOL => {
                let asked = asking::perform(&scene, one, &call.arguments).await;
                (asked.ok_or(Stop::Cancelled)?, Vec::new())
            }
            Ok(plan) => scene.perform(one, plan).await.ok_or(Stop::Cancelled)?,
            Err(why) => {
                let input = serde_json::from_str(&call.arguments).unwrap_or_else(|_| json!(call.arguments));
                scene.announce_wrong(one, &input).await;
                (Outcome::failed(why), Vec::new())
            }
        };
        self.over(&call.id, &outcome, diffs).await?;
        Ok(())
    }

    /// Keeps what came of a call, then tells it.
    async fn over(&self, call: &str, outcome: &Outcome, diffs: Vec<Value>) -> Result<(), JournalError> {
        self.keep(Record::Tool {
            call: call.to_owned(),
            text: outcome.text.clone(),
            ok: outcome.ok,
            diffs: diffs.clone(),
        })?;
        self.scene().tell(call, outcome, diffs).await;
        Ok(())
    }

    fn scene(&self) -> Scene<'_> {
        Scene {
            client: self.client,
            session: &self.session.id,
            place: &self.session.place,
            cancel: &self.cancel,
        }
    }

    /// Gives every call that has no result one that says that it was not done.
    async fn close_calls(&self) -> Result<(), JournalError> {
        let open = self.session.conversation.borrow().unanswered();
        for call in open {
            self.over(&call, &Outcome::failed("not done: the person interrupted"), Vec::new()).await?;
        }
        Ok(())
    }
}

fn is_look(plan: &Result<Plan, String>) -> bool {
    plan.as_ref().is_ok_and(|plan| plan.only_looks() && !plan.asks)
}
