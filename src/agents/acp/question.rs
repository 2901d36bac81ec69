//! A question with choices, which is not a question for leave.
//!
//! A client that can show forms gets one (`elicitation/create`). For others the protocol has only the permission
//! request: each choice is then an option of its own.

use serde_json::{Value, json};

use super::Client;

/// What the person said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// One of the choices, or words of their own.
    Chose(String),
    /// They would not say, with their reason if they gave one.
    Declined(Option<String>),
}

/// One choice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// Its name.
    pub label: String,
    /// What it means; may be empty.
    pub description: String,
}

/// Puts a question that belongs to a tool call, and waits.
pub async fn ask(client: &Client, session: &str, call: &str, question: &str, choices: &[Choice]) -> Answer {
    if client.has_forms() {
        let answer = client.ask("elicitation/create", form(session, call, question, choices)).await;
        return answer.map_or_else(|error| Answer::Declined(Some(error)), |answer| from_form(&answer));
    }
    let answer = client.ask("session/request_permission", options(session, call, question, choices)).await;
    answer.map_or_else(|error| Answer::Declined(Some(error)), |answer| from_options(&answer, choices))
}

fn form(session: &str, call: &str, question: &str, choices: &[Choice]) -> Value {
    let mut field = json!({ "type": "string", "title": "Choice" });
    let mut properties = json!({});
    if !choices.is_empty() {
        let one = |choice: &Choice| {
            let mut one = json!({ "const": choice.label, "title": choice.label });
            if !choice.description.is_empty() {
                one["description"] = json!(choice.description);
            }
            one
        };
        field["oneOf"] = choices.iter().map(one).collect();
        properties["choice_custom"] =
            json!({ "type": "string", "title": "Other", "description": "An answer in your own words" });
    }
    properties["choice"] = field;
    json!({
        "mode": "form",
        "sessionId": session,
        "toolCallId": call,
        "message": question,
        "requestedSchema": { "type": "object", "properties": properties },
    })
}

fn from_form(answer: &Value) -> Answer {
    let content = &answer["content"];
    let words = ["choice_custom", "choice"]
        .iter()
        .find_map(|field| content[*field].as_str())
        .map(str::trim)
        .filter(|words| !words.is_empty());
    match (answer["action"].as_str(), words) {
        (Some("accept"), Some(words)) => Answer::Chose(words.to_owned()),
        _ => Answer::Declined(super::permission::reason(answer)),
    }
}

fn options(session: &str, call: &str, question: &str, choices: &[Choice]) -> Value {
    let options = choices.iter().enumerate().map(|(at, choice)| {
        json!({ "optionId": format!("choice-{at}"), "kind": "allow_once", "name": choice.label })
    });
    let none = json!({ "optionId": "none", "kind": "reject_once", "name": "None of these" });
    json!({
        "sessionId": session,
        "toolCall": { "toolCallId": call, "title": question, "kind": "other", "status": "pending",
            "rawInput": { "question": question } },
        "options": options.chain([none]).collect::<Vec<Value>>(),
    })
}

fn from_options(answer: &Value, choices: &[Choice]) -> Answer {
    let outcome = &answer["outcome"];
    let chosen = outcome["optionId"]
        .as_str()
        .filter(|_| outcome["outcome"] == "selected")
        .and_then(|id| id.strip_prefix("choice-")?.parse::<usize>().ok())
        .and_then(|at| choices.get(at));
    match chosen {
        Some(choice) => Answer::Chose(choice.label.clone()),
        None => Answer::Declined(super::permission::reason(answer)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choices() -> Vec<Choice> {
        ["tea", "coffee"].map(|label| Choice { label: label.into(), description: String::new() }).into()
    }

    #[test]
    fn a_form_gives_the_choice_or_the_persons_own_words() {
        let answer = |content: Value| from_form(&json!({ "action": "accept", "content": content }));
        assert_eq!(answer(json!({ "choice": "tea" })), Answer::Chose("tea".into()));
        assert_eq!(answer(json!({ "choice_custom": "water" })), Answer::Chose("water".into()));
        assert_eq!(answer(json!({})), Answer::Declined(None));
        let declined = json!({ "action": "decline", "content": { "choice": "tea" } });
        assert_eq!(from_form(&declined), Answer::Declined(None));
    }

    #[test]
    fn without_forms_each_choice_is_an_option() {
        let asked = options("s", "c", "Which?", &choices());
        assert_eq!(asked["options"].as_array().map(Vec::len), Some(3));
        let answer = |id: &str| {
            from_options(&json!({ "outcome": { "outcome": "selected", "optionId": id } }), &choices())
        };
        assert_eq!(answer("choice-1"), Answer::Chose("coffee".into()));
        for none in ["none", "choice-2", "choice-x", "coffee"] {
            assert_eq!(answer(none), Answer::Declined(None), "{none}");
        }
        let cancelled = json!({ "outcome": { "outcome": "cancelled", "optionId": "choice-1" } });
        assert_eq!(from_options(&cancelled, &choices()), Answer::Declined(None));
    }
}
