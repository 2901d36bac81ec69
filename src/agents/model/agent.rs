//! The agent as a client sees it: sessions are made, taken up again, set up and prompted.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::PathBuf;
use std::rc::Rc;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::chat::{Chat, Tokens};
use super::conversation::{self, Conversation, Record};
use super::session::Session;
use super::settings::Settings;
use super::turn::Turn;
use crate::agents::acp::prompt::{self, Words};
use crate::agents::acp::turns::Ticket;
use crate::agents::acp::{Agent, Client, Refusal, wire};
use crate::agents::folder::directory;
use crate::agents::journal::opened;

/// Most conversations that are listed.
const MOST_LISTED: usize = 200;
/// Longest title of a conversation, in characters.
const TITLE: usize = 80;

/// The agent.
pub struct ModelAgent {
    /// Why nothing can be done, if the settings are wrong. It is said when a session is wanted, so that whoever
    /// started the program hears it.
    settings: Result<Rc<Settings>, String>,
    chat: Option<Rc<Chat>>,
    sessions: RefCell<HashMap<String, Rc<Session>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NewSession {
    cwd: PathBuf,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OldSession {
    session_id: String,
    cwd: PathBuf,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SetMode {
    session_id: String,
    mode_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SetModel {
    session_id: String,
    model_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SetOption {
    session_id: String,
    config_id: String,
    value: Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct InSession {
    session_id: String,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct List {
    cwd: Option<PathBuf>,
}

impl ModelAgent {
    /// The agent with these settings, or with what is wrong with them.
    pub fn new(settings: Result<Settings, String>) -> Self {
        let settings = settings.map(Rc::new);
        let chat = settings.as_ref().ok();
        let chat = chat.map(|settings| Rc::new(Chat::new(settings.base_url.clone(), settings.key.clone())));
        Self { settings, chat, sessions: RefCell::default() }
    }

    /// The settings and the server, if all that a conversation needs is there.
    fn ready(&self) -> Result<(Rc<Settings>, Rc<Chat>), Refusal> {
        let settings = self.settings.as_ref().map_err(|wrong| {
            Refusal::internal(wrong.clone()).with_data(json!({ "errorKind": "configuration" }))
        })?;
        if let Some(provider) = settings.missing_key {
            return Err(Refusal::auth_required(format!(
                "there is no key for {}: set TETHER_MODEL_API_KEY or {}; or choose another server by \
                 TETHER_MODEL_BASE_URL and TETHER_MODEL",
                provider.name, provider.key
            ))
            .with_data(json!({ "errorKind": "authentication" })));
        }
        let chat = self.chat.clone().ok_or_else(|| Refusal::internal("there is no server"))?;
        Ok((settings.clone(), chat))
    }

    fn session(&self, id: &str) -> Result<Rc<Session>, Refusal> {
        let known = self.sessions.borrow().get(id).cloned();
        known.ok_or_else(|| Refusal::not_found(format!("the session {id} is not open here; load it first")))
    }

    fn enter(&self, params: Value) -> Result<(Rc<Session>, Ticket, Words), Refusal> {
        let words = prompt::words(&params["prompt"])?;
        let InSession { session_id } = wire::params(params)?;
        let session = self.session(&session_id)?;
        let ticket = session.turns.enter();
        Ok((session, ticket, words))
    }

    async fn begin(&self, client: &Client, params: NewSession) -> Result<Value, Refusal> {
        let (settings, chat) = self.ready()?;
        let directory = directory(&params.cwd)?;
        let model = usual_model(&settings, &chat).await?;
        let id = uuid::Uuid::now_v7().to_string();
        let conversation = Conversation::begin(&settings.folder, &id, &directory)?;
        let session = self.open(client, Session::new(id, conversation, chat, settings, model));
        let mut result = session.knobs();
        result["sessionId"] = json!(session.id);
        Ok(result)
    }

    async fn resume(&self, client: &Client, params: OldSession, replay: bool) -> Result<Value, Refusal> {
        let (settings, chat) = self.ready()?;
        let directory = directory(&params.cwd)?;
        let open = self.sessions.borrow().get(&params.session_id).cloned();
        let session = match open {
            Some(session) => session,
            None => {
                let conversation =
                    opened(|| Conversation::resume(&settings.folder, &params.session_id)).await?;
                if conversation.directory != directory {
                    return Err(Refusal::invalid_params(format!(
                        "the conversation is about {}, not about {}",
                        conversation.directory.display(),
                        directory.display()
                    )));
                }
                // Without a choice in it the model may be another one than before.
                let model = match conversation.chosen_model() {
                    Some(model) => model.to_owned(),
                    None => usual_model(&settings, &chat).await?,
                };
                self.open(client, Session::new(params.session_id, conversation, chat, settings, model))
            }
        };
        if replay {
            session.replay(client).await;
        }
        Ok(session.knobs())
    }

    fn open(&self, client: &Client, session: Session) -> Rc<Session> {
        let session = Rc::new(session);
        self.sessions.borrow_mut().insert(session.id.clone(), session.clone());
        let (client, looking) = (client.clone(), session.clone());
        // Not waited for: a server that is slow or away shall not keep the session from opening.
        tokio::task::spawn_local(async move { looking.look_for_models(&client).await });
        session
    }

    fn list(&self, params: &List) -> Result<Value, Refusal> {
        let (settings, _) = self.ready()?;
        let sessions: Vec<Value> = conversation::list(&settings.folder)
            .into_iter()
            .filter(|listed| params.cwd.as_ref().is_none_or(|cwd| *cwd == listed.head.directory))
            .take(MOST_LISTED)
            .map(|listed| {
                let mut session = json!({ "sessionId": listed.id, "cwd": listed.head.directory });
                if let Some(Record::User { text, .. }) = listed.first {
                    session["title"] = json!(
                        text.lines().next().unwrap_or_default().chars().take(TITLE).collect::<String>()
                    );
                }
                if let Ok(changed) = Timestamp::try_from(listed.changed) {
                    session["updatedAt"] = json!(changed.to_string());
                }
                session
            })
            .collect();
        Ok(json!({ "sessions": sessions }))
    }
}

impl Agent for ModelAgent {
    fn introduce(&self) -> Value {
        json!({
            "agentInfo": {
                "name": "tether-model-agent",
                "title": "Tether's model agent",
                "version": env!("CARGO_PKG_VERSION"),
            },
            "agentCapabilities": {
                "loadSession": true,
                "promptCapabilities": { "image": true, "embeddedContext": true },
                "sessionCapabilities": { "list": {}, "resume": {}, "close": {} },
                // A reason in `_meta.tether.reason` of an answer to a permission request reaches the model.
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
        match method {
            "session/new" => self.begin(client, wire::params(params)?).await,
            "session/load" => self.resume(client, wire::params(params)?, true).await,
            "session/resume" => self.resume(client, wire::params(params)?, false).await,
            "session/list" => {
                self.list(&if params.is_null() { List::default() } else { wire::params(params)? })
            }
            "session/close" => {
                let InSession { session_id } = wire::params(params)?;
                // Its file is closed with the last turn that runs.
                if let Some(session) = self.sessions.borrow_mut().remove(&session_id) {
                    session.turns.cancel();
                }
                Ok(json!({}))
            }
            "session/set_mode" => {
                let SetMode { session_id, mode_id } = wire::params(params)?;
                self.session(&session_id)?.choose_mode(&mode_id)?;
                let changed = json!({ "sessionUpdate": "current_mode_update", "currentModeId": mode_id });
                client.update(&session_id, changed).await;
                Ok(json!({}))
            }
            // Older than the options, and still used.
            "session/set_model" => {
                let SetModel { session_id, model_id } = wire::params(params)?;
                self.session(&session_id)?.choose_model(&model_id)?;
                Ok(json!({}))
            }
            "session/set_config_option" => {
                let SetOption { session_id, config_id, value } = wire::params(params)?;
                let session = self.session(&session_id)?;
                match (config_id.as_str(), value.as_str()) {
                    ("model", Some(model)) => session.choose_model(model)?,
                    _ => {
                        return Err(Refusal::invalid_params(format!(
                            "there is no option {config_id} with such values"
                        )));
                    }
                }
                Ok(json!({ "configOptions": session.options() }))
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
            let done = session.turns.run(ticket, async |cancel| {
                let turn = Turn { client: &client, session: &session, cancel, tokens: Tokens::default() };
                turn.run(words).await
            });
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

/// The model where none was chosen in the conversation: the one that is configured, or the only one that there is.
async fn usual_model(settings: &Settings, chat: &Chat) -> Result<String, Refusal> {
    if let Some(model) = &settings.model {
        return Ok(model.clone());
    }
    let wrong =
        |message: String| Refusal::internal(message).with_data(json!({ "errorKind": "configuration" }));
    let models = chat.models().await.map_err(|failure| {
        wrong(format!("no model is chosen (TETHER_MODEL), and {}", failure.words(chat.base_url(), "")))
    })?;
    match models.as_slice() {
        [only] => Ok(only.id.clone()),
        [] => {
            Err(wrong(format!("choose a model by TETHER_MODEL: the server {} lists none", chat.base_url())))
        }
        several => {
            let names: Vec<&str> = several.iter().take(20).map(|model| model.id.as_str()).collect();
            let more = if several.len() > names.len() { ", ..." } else { "" };
            Err(wrong(format!(
                "choose a model by TETHER_MODEL: the server {} has {}{more}",
                chat.base_url(),
                names.join(", ")
            )))
        }
    }
}
