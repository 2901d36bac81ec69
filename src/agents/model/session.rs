//! A session: a conversation with all that its turns need.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use serde_json::{Value, json};

use super::asking;
use super::chat::{self, Chat, Model};
use super::conversation::{Conversation, Record};
use super::settings::Settings;
use super::system;
use crate::agents::acp::turns::Turns;
use crate::agents::acp::{Client, Refusal};
use crate::agents::tools::perform::{Call, announced, finished};
use crate::agents::tools::{self, Place};

/// Most models that are offered for choice; some servers have thousands.
const MOST_MODELS: usize = 500;

/// The tools that a model is told of.
fn offered(planning: bool) -> Value {
    let mut tools = tools::offered(planning);
    if let Some(list) = tools.as_array_mut() {
        list.push(asking::offered());
    }
    tools
}

/// A session.
pub struct Session {
    /// Its id.
    pub id: String,
    /// What was said.
    pub conversation: RefCell<Conversation>,
    /// Where its tools work.
    pub place: Place,
    /// The server.
    pub chat: Rc<Chat>,
    /// What the program was told.
    pub settings: Rc<Settings>,
    /// The model where the person chose none in this conversation.
    usual_model: String,
    /// What the server has, once it said it.
    models: RefCell<Vec<Model>>,
    /// Its turns.
    pub turns: Turns,
    /// US dollars since the start.
    spent: Cell<f64>,
}

impl Session {
    /// A session over a conversation.
    pub fn new(
        id: String,
        conversation: Conversation,
        chat: Rc<Chat>,
        settings: Rc<Settings>,
        usual_model: String,
    ) -> Self {
        let secrets: Vec<&'static str> = [super::settings::OUR_KEY, "TETHER_AGENT_TOKEN"]
            .into_iter()
            .chain(settings.key_variable)
            .collect();
        let place = Place { directory: conversation.directory.clone(), secrets };
        Self {
            id,
            conversation: RefCell::new(conversation),
            place,
            chat,
            settings,
            usual_model,
            models: RefCell::default(),
            turns: Turns::default(),
            spent: Cell::new(0.0),
        }
    }

    /// The model that is asked.
    pub fn model(&self) -> String {
        let conversation = self.conversation.borrow();
        conversation.chosen_model().unwrap_or(&self.usual_model).to_owned()
    }

    /// The next request.
    pub fn body(&self) -> Value {
        let model = self.model();
        let conversation = self.conversation.borrow();
        let planning = conversation.planning();
        let system = system::prompt(&conversation.directory, self.settings.trusted, planning);
        chat::body(
            &model,
            &system,
            &conversation.records,
            &offered(planning),
            self.settings.max_tokens,
            self.chat.quirks(),
        )
    }

    /// How many tokens the model can take, if anybody said it.
    pub fn context(&self) -> Option<u64> {
        let model = self.model();
        let models = self.models.borrow();
        let known = models.iter().find(|known| known.id == model).and_then(|known| known.context);
        self.settings.context.or(known)
    }

    /// Adds to what was spent; gives the sum.
    pub fn spend(&self, dollars: f64) -> f64 {
        self.spent.set(self.spent.get() + dollars);
        self.spent.get()
    }

    /// What may be chosen, for the results of `session/new` and its like.
    pub fn knobs(&self) -> Value {
        json!({ "modes": self.modes(), "configOptions": self.options() })
    }

    fn modes(&self) -> Value {
        let planning = self.conversation.borrow().planning();
        json!({
            "currentModeId": if planning { "plan" } else { "default" },
            "availableModes": [
                { "id": "default", "name": "Default", "description": "Works, and asks before each change" },
                { "id": "plan", "name": "Plan", "description": "Looks around and plans, changes nothing" },
            ],
        })
    }

    /// The options with their values.
    pub fn options(&self) -> Value {
        let current = self.model();
        let models = self.models.borrow();
        let known = models.iter().map(|model| model.id.as_str()).filter(|id| *id != current);
        let options: Vec<Value> = std::iter::once(current.as_str())
            .chain(known)
            .take(MOST_MODELS)
            .map(|id| json!({ "value": id, "name": id }))
            .collect();
        json!([{
            "id": "model",
            "name": "Model",
            "category": "model",
            "type": "select",
            "currentValue": current,
            "options": options,
        }])
    }

    /// Chooses a model, by any name that the server may know.
    pub fn choose_model(&self, name: &str) -> Result<(), Refusal> {
        let name = name.trim();
        // OpenRouter has models whose own names begin with its name.
        let is_whole = self.models.borrow().iter().any(|model| model.id == name);
        let name = if is_whole { name } else { self.settings.bare(name) };
        if name.is_empty() {
            return Err(Refusal::invalid_params("the name of the model is empty"));
        }
        if self.model() == name {
            return Ok(());
        }
        let kept = self.conversation.borrow_mut().add(Record::Model { name: name.to_owned() });
        kept.map_err(|error| Refusal::internal(error.to_string()))
    }

    /// Plans only, or works.
    pub fn choose_mode(&self, mode: &str) -> Result<(), Refusal> {
        let on = match mode {
            "default" => false,
            "plan" => true,
            other => {
                return Err(Refusal::invalid_params(format!(
                    "there is no mode {other}; there are default and plan"
                )));
            }
        };
        let mut conversation = self.conversation.borrow_mut();
        if conversation.planning() == on {
            return Ok(());
        }
        conversation.add(Record::Planning { on }).map_err(|error| Refusal::internal(error.to_string()))
    }

    /// Asks the server what it has, and tells the client.
    pub async fn look_for_models(&self, client: &Client) {
        // Some servers have no such list; then there is only what was configured.
        let Ok(models) = self.chat.models().await else { return };
        *self.models.borrow_mut() = models;
        let options = self.options();
        client
            .update(&self.id, json!({ "sessionUpdate": "config_option_update", "configOptions": options }))
            .await;
    }

    /// Tells the client all that was said.
    pub async fn replay(&self, client: &Client) {
        let records = self.conversation.borrow().records.clone();
        let text = |kind: &str, text: &str| json!({ "sessionUpdate": kind, "content": { "type": "text", "text": text } });
        for record in &records {
            let mut updates = Vec::new();
            match record {
                Record::User { text: words, pictures } => {
                    if !words.is_empty() {
                        updates.push(text("user_message_chunk", words));
                    }
                    updates.extend(pictures.iter().map(|picture| {
                        let content =
                            json!({ "type": "image", "mimeType": picture.mime_type, "data": picture.data });
                        json!({ "sessionUpdate": "user_message_chunk", "content": content })
                    }));
                }
                Record::Assistant(said) => {
                    if let Some(reasoning) =
                        said.reasoning.as_ref().filter(|thought| !thought.text.is_empty())
                    {
                        updates.push(text("agent_thought_chunk", &reasoning.text));
                    }
                    if !said.text.is_empty() {
                        updates.push(text("agent_message_chunk", &said.text));
                    }
                    updates.extend(said.calls.iter().map(|call| {
                        let input = serde_json::from_str(&call.arguments).unwrap_or_default();
                        let one = Call { id: &call.id, name: &call.name };
                        announced(one, &tools::title(&call.name, &input), tools::kind(&call.name), &input)
                    }));
                }
                Record::Tool { call, text, ok, diffs } => {
                    updates.push(finished(call, text, *ok, diffs.clone()));
                }
                Record::Model { .. } | Record::Planning { .. } => {}
            }
            for update in updates {
                client.update(&self.id, update).await;
            }
        }
    }
}
