//! ask_user: the tool by which a model asks the person something.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::agents::acp::question::{self, Answer, Choice};
use crate::agents::tools::Outcome;
use crate::agents::tools::perform::{Call, Scene, announced};

/// Its name.
pub const TOOL: &str = "ask_user";
/// Most choices; a phone shows no more at once.
const MOST: usize = 12;

#[derive(Deserialize)]
struct Input {
    question: String,
    #[serde(default, alias = "choices")]
    options: Vec<Chosen>,
}

/// A choice; some models give only the words.
#[derive(Deserialize)]
#[serde(untagged)]
enum Chosen {
    Words(String),
    Described {
        label: String,
        #[serde(default)]
        description: String,
    },
}

/// The tool as a model is told of it.
pub fn offered() -> Value {
    let option = json!({
        "type": "object",
        "properties": { "label": { "type": "string" }, "description": { "type": "string" } },
        "required": ["label"],
    });
    json!({ "type": "function", "function": {
        "name": TOOL,
        "description": "Ask the person a question, with choices where there are some, when you cannot go on well without their \
            word. They may answer in words of their own.",
        "parameters": {
            "type": "object",
            "properties": {
                "question": { "type": "string" },
                "options": { "type": "array", "items": option },
            },
            "required": ["question"],
        },
    } })
}

/// Asks. `None` = it was stopped.
pub async fn perform(scene: &Scene<'_>, call: Call<'_>, arguments: &str) -> Option<Outcome> {
    let raw: Value = serde_json::from_str(arguments).unwrap_or_else(|_| json!(arguments));
    let input = match Input::deserialize(&raw) {
        Ok(input) if !input.question.trim().is_empty() => input,
        Ok(_) => return Some(wrong(scene, call, &raw, "the question is empty").await),
        Err(error) => {
            return Some(wrong(scene, call, &raw, &format!("the input does not fit: {error}")).await);
        }
    };
    let title = input.question.lines().next().unwrap_or_default();
    scene.client.update(scene.session, announced(call, title, "other", &raw)).await;
    let choices: Vec<Choice> = input
        .options
        .into_iter()
        .take(MOST)
        .map(|option| match option {
            Chosen::Words(label) => Choice { label, description: String::new() },
            Chosen::Described { label, description } => Choice { label, description },
        })
        .collect();
    let asked = question::ask(scene.client, scene.session, call.id, &input.question, &choices);
    Some(match scene.cancel.run_until_cancelled(asked).await? {
        Answer::Chose(words) => Outcome::done(format!("The person answered: {words}")),
        Answer::Declined(Some(reason)) => Outcome::failed(format!("The person did not answer: {reason}")),
        Answer::Declined(None) => {
            Outcome::failed("The person did not answer. Decide by yourself, or stop here.")
        }
    })
}

async fn wrong(scene: &Scene<'_>, call: Call<'_>, input: &Value, why: &str) -> Outcome {
    scene.announce_wrong(call, input).await;
    Outcome::failed(why)
}
