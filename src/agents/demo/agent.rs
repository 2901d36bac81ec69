//! The agent as a client sees it.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::path::PathBuf;
use std::rc::Rc;

use serde::Deserialize;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::Settings;
use super::memory::{Memory, Record};
use super::show::{Show, Stop};
use super::tour::{STEPS, Wish, wish};
use crate::agents::acp::prompt::{self, Words};
use crate::agents::acp::turns::{Ticket, Turns};
use crate::agents::acp::{Agent, Client, Refusal, wire};
use crate::agents::folder::directory;
use crate::agents::journal::opened;
use crate::agents::tools::perform::{Call, announced, finished};
use crate::agents::tools::{self, Place};

/// How many tokens it claims to have room for.
const CONTEXT: u64 = 100_000;

/// The agent.
pub struct DemoAgent {
    settings: Result<Settings, String>,
    sessions: RefCell<HashMap<String, Rc<Session>>>,
}

/// A session.
pub struct Session {
    /// Its id.
    pub id: String,
    /// What happened.
    pub memory: RefCell<Memory>,
    /// Where its tools work.
    pub place: Place,
    /// The folder of its own in which it writes.
    pub scratch: PathBuf,
    turns: Turns,
    used: Cell<u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Params {
    #[serde(default)]
    session_id: String,
    #[serde(default)]
    cwd: PathBuf,
}

impl DemoAgent {
    /// The agent with these settings, or with what is wrong with them.
    pub fn new(settings: Result<Settings, String>) -> Self {
        Self { settings, sessions: RefCell::default() }
    }

    fn settings(&self) -> Result<&Settings, Refusal> {
        self.settings.as_ref().map_err(|wrong| Refusal::internal(wrong.clone()))
    }

    fn session(&self, id: &str) -> Result<Rc<Session>, Refusal> {
        let known = self.sessions.borrow().get(id).cloned();
        known.ok_or_else(|| Refusal::not_found(format!("the session {id} is not open here; load it first")))
    }

    fn enter(&self, params: Value) -> Result<(Rc<Session>, Ticket, Words), Refusal> {
        let words = prompt::words(&params["prompt"])?;
        let Params { session_id, .. } = wire::params(params)?;
        let session = self.session(&session_id)?;
        let ticket = session.turns.enter();
        Ok((session, ticket, words))
    }

    fn open(&self, id: String, memory: Memory) -> Result<Rc<Session>, Refusal> {
        let place = Place { directory: memory.directory.clone(), secrets: vec!["TETHER_AGENT_TOKEN"] };
        let scratch = self.settings()?.folder.join("scratch").join(&id);
        let session = Rc::new(Session {
            id: id.clone(),
            memory: RefCell::new(memory),
            place,
            scratch,
            turns: Turns::default(),
            used: Cell::new(0),
        });
        self.sessions.borrow_mut().insert(id, session.clone());
        Ok(session)
    }

    async fn turn(
        &self,
        client: &Client,
        session: &Session,
        words: Words,
        cancel: &CancellationToken,
    ) -> Result<Value, Refusal> {
        let pace = self.settings()?.pace;
        let show = Show { client, session, cancel, pace, words: Cell::new(0) };
        let done = play(&show, &words).await;
        let heard = words.text.split_whitespace().count() as u64;
        let said = show.words.get();
        session.used.set(session.used.get() + heard + said);
        let used = session.used.get();
        client
            .update(&session.id, json!({ "sessionUpdate": "usage_update", "used": used, "size": CONTEXT }))
            .await;
        let reason = match done {
            Ok(false) => {
                // A model that cannot be reached, say.
                return Err(Refusal::internal(
                    "this is what an error looks like: you asked for it by `fail`",
                )
                .with_data(json!({ "errorKind": "server" })));
            }
            Ok(true) => "end_turn",
            Err(Stop::Cancelled) => "cancelled",
            Err(Stop::Disk(error)) => return Err(Refusal::internal(error.to_string())),
        };
        let usage = json!({ "inputTokens": heard, "outputTokens": said, "totalTokens": heard + said });
        Ok(json!({ "stopReason": reason, "usage": usage }))
    }
}

/// Plays a turn; whether it is to end well.
async fn play(show: &Show<'_>, words: &Words) -> Result<bool, Stop> {
    let (cut_off, step) = {
        let memory = show.session.memory.borrow();
        (memory.was_cut_off(), memory.step())
    };
    show.keep(Record::User { text: words.text.clone() })?;
    let played = act(show, words, cut_off, step).await;
    // Also after an interrupt: it is not the same as being cut off.
    show.keep(Record::Over)?;
    played
}

async fn act(show: &Show<'_>, words: &Words, cut_off: bool, step: usize) -> Result<bool, Stop> {
    let wanted = wish(&words.text);
    if cut_off && wanted == Wish::Talk {
        show.say("I am back: my process ended in the middle of the last turn and was started again. All that we said is still there.")
            .await?;
        if (1..STEPS.len()).contains(&step) {
            show.say("I go on with the tour where it stopped.").await?;
            show.tour().await?;
        }
        return Ok(true);
    }
    match wanted {
        Wish::Crash => {
            show.say("Now I end in the middle of my work, as a program that crashes. See you in a moment.")
                .await?;
            show.client.flush().await;
            std::process::exit(1);
        }
        Wish::Fail => {
            show.say("Now this turn ends with an error.").await?;
            return Ok(false);
        }
        Wish::Tour => {
            show.keep(Record::Step { next: 0 })?;
            show.tour().await?;
        }
        Wish::Write => show.write().await?,
        Wish::Ask => show.question().await?,
        Wish::Run => show.command().await?,
        Wish::Long(time) => show.long(time).await?,
        Wish::Help => show.help().await?,
        Wish::Talk if step < STEPS.len() => show.tour().await?,
        Wish::Talk => show.talk(&words.text, words.pictures.len()).await?,
    }
    Ok(true)
}

impl Session {
    /// Tells the client all that happened.
    async fn replay(&self, client: &Client) {
        let records = self.memory.borrow().records.clone();
        let chunk = |kind: &str, text: &str| json!({ "sessionUpdate": kind, "content": { "type": "text", "text": text } });
        for record in &records {
            let update = match record {
                Record::User { text } => chunk("user_message_chunk", text),
                Record::Agent { text } => chunk("agent_message_chunk", text),
                Record::Call { id, name, input } => {
                    announced(Call { id, name }, &tools::title(name, input), tools::kind(name), input)
                }
                Record::Result { id, text, ok, diffs } => finished(id, text, *ok, diffs.clone()),
                Record::Step { .. } | Record::Over => continue,
            };
            client.update(&self.id, update).await;
        }
    }
}

impl Agent for DemoAgent {
    fn introduce(&self) -> Value {
        json!({
            "agentInfo": {
                "name": "tether-demo-agent",
                "title": "Tether's demo agent",
                "version": env!("CARGO_PKG_VERSION"),
            },
            "agentCapabilities": {
                "loadSession": true,
                "promptCapabilities": { "image": true, "embeddedContext": true },
                "sessionCapabilities": { "resume": {}, "close": {} },
                "_meta": { "tether": { "reasons": true } },
            },
            "authMethods": [],
        })
    }

    async fn request(
        self: &Rc<Self>,
        client: &Client,
        method: &str,
        params: Value,
    ) -> Result<Value, Refusal> {
        let settings = self.settings()?;
        match method {
            "session/new" => {
                let Params { cwd, .. } = wire::params(params)?;
                let id = uuid::Uuid::now_v7().to_string();
                let memory = Memory::begin(&settings.folder, &id, &directory(&cwd)?)?;
                let session = self.open(id, memory)?;
                Ok(json!({ "sessionId": session.id }))
            }
            "session/load" | "session/resume" => {
                let Params { session_id, .. } = wire::params(params)?;
                let known = self.sessions.borrow().get(&session_id).cloned();
                let session = match known {
                    Some(session) => session,
                    None => {
                        let memory = opened(|| Memory::resume(&settings.folder, &session_id)).await?;
                        self.open(session_id, memory)?
                    }
                };
                if method == "session/load" {
                    session.replay(client).await;
                }
                Ok(json!({}))
            }
            "session/close" => {
                let Params { session_id, .. } = wire::params(params)?;
                if let Some(session) = self.sessions.borrow_mut().remove(&session_id) {
                    session.turns.cancel();
                }
                Ok(json!({}))
            }
            other => Err(Refusal::unknown_method(other)),
        }
    }

    fn prompt(
        self: Rc<Self>,
        client: Client,
        params: Value,
    ) -> impl Future<Output = Result<Value, Refusal>> + 'static {
        let entered = self.enter(params);
        async move {
            let (session, ticket, words) = entered?;
            let done =
                session.turns.run(ticket, async |cancel| self.turn(&client, &session, words, &cancel).await);
            done.await.unwrap_or_else(|| Ok(json!({ "stopReason": "cancelled" })))
        }
    }

    fn cancel(&self, session: Option<&str>) {
        let sessions = self.sessions.borrow();
        match session {
            Some(id) => sessions.get(id).into_iter().for_each(|session| session.turns.cancel()),
            None => sessions.values().for_each(|session| session.turns.cancel()),
        }
    }
}
