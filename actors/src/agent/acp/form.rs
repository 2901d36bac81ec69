//! `elicitation/create`: a form that the agent wants filled in, turned into questions and back.

use serde_json::{Map, Value, json};

use crate::agent::fields::Fields;
use crate::agent::show::one_line;
use crate::domain::approval::{Answer, ApprovalKind, Ask, Question, QuestionOption};

/// The name under which forms are asked.
pub(super) const TOOL: &str = "elicitation";

/// One property of the form that is asked as a question.
struct Field<'a> {
    key: &'a str,
    question: String,
    header: String,
    kind: Kind,
    choices: Vec<Choice>,
    /// The property that takes an answer in other words (Claude's `question_0_custom`).
    other: Option<String>,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Text,
    Number,
    Flag,
    Several,
}

struct Choice {
    label: String,
    description: String,
    value: Value,
}

/// Reads a form. `Err` says why it cannot be asked; it is then declined.
pub(super) fn read(request: String, params: &Value) -> Result<Ask, String> {
    match params.text("mode") {
        None | Some("form") => {}
        Some("url") => {
            let url = params.text("url").unwrap_or_default();
            return Err(format!("it wants an address opened: {}", one_line(url)));
        }
        Some(other) => return Err(format!("it is of a kind that is not known here ({})", one_line(other))),
    }
    let input = json!({ "message": params.get("message"), "requestedSchema": params.get("requestedSchema") });
    let fields = fields(&input)?;
    let message = params.word("message").unwrap_or("the agent has a question");
    Ok(Ask {
        request,
        // A form without fields is a plain "shall I?", of which nothing is known.
        kind: if fields.is_empty() { ApprovalKind::Unknown } else { ApprovalKind::Question },
        tool_name: TOOL.to_owned(),
        title: one_line(&format!("Question: {message}")),
        questions: fields.iter().map(Field::question).collect(),
        tool_input: input,
        diff: None,
        paths: Vec::new(),
        is_edit: false,
        reason: None,
        suggestions: None,
        tool_use_id: params.word("toolCallId").map(str::to_owned),
        subagent: None,
        can_change_input: false,
    })
}

/// What an answer comes to: the result for the agent, and words for which the form has no place.
pub(super) fn answer(ask: &Ask, answer: &Answer) -> (Value, Option<String>) {
    let Answer::Allow { updated_input: None, answers, .. } = answer else {
        let words = answer.message().filter(|words| !words.trim().is_empty());
        return (json!({ "action": "decline" }), words.map(str::to_owned));
    };
    let mut content = Map::new();
    for field in fields(&ask.tool_input).unwrap_or_default() {
        let Some(chosen) = answers.as_ref().and_then(|answers| answers.get(&field.question)) else {
            continue;
        };
        field.fill(chosen, &mut content);
    }
    if content.is_empty() && ask.kind == ApprovalKind::Question {
        return (json!({ "action": "decline" }), None);
    }
    (json!({ "action": "accept", "content": content }), None)
}

/// Nobody will answer.
pub(super) fn cancelled() -> Value {
    json!({ "action": "cancel" })
}

/// The questions of a form, in the order of its properties.
fn fields(input: &Value) -> Result<Vec<Field<'_>>, String> {
    let schema = input.get("requestedSchema").unwrap_or(&Value::Null);
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else { return Ok(Vec::new()) };
    let message = input.word("message").unwrap_or_default();
    let is_other = |key: &str| key.strip_suffix("_custom").is_some_and(|base| properties.contains_key(base));
    let asked: Vec<_> = properties.iter().filter(|(key, _)| !is_other(key)).collect();
    let alone = asked.len() == 1;
    let mut fields: Vec<Field> = Vec::with_capacity(asked.len());
    for (key, property) in asked {
        let several = property.get("items").unwrap_or(&Value::Null);
        let (kind, from) = match property.text("type") {
            Some("string") => (Kind::Text, property),
            Some("number" | "integer") => (Kind::Number, property),
            Some("boolean") => (Kind::Flag, property),
            Some("array") => (Kind::Several, several),
            _ => return Err(format!("its field {} is of a kind that is not known here", one_line(key))),
        };
        let title = property.word("title");
        let question =
            property.word("description").or(Some(message).filter(|text| alone && !text.is_empty()));
        let mut question = question.or(title).unwrap_or(key).to_owned();
        // Answers go by the question's words.
        if fields.iter().any(|field| field.question == question) {
            question = format!("{question} ({key})");
        }
        let custom = format!("{key}_custom");
        fields.push(Field {
            key,
            question,
            header: title.unwrap_or_default().to_owned(),
            kind,
            choices: if kind == Kind::Flag { yes_or_no() } else { choices(from) },
            other: properties.contains_key(&custom).then_some(custom),
        });
    }
    Ok(fields)
}

fn yes_or_no() -> Vec<Choice> {
    [("yes", true), ("no", false)]
        .map(|(label, value)| Choice { label: label.into(), description: String::new(), value: value.into() })
        .into()
}

fn choices(schema: &Value) -> Vec<Choice> {
    let titled = schema.list("oneOf").iter().chain(schema.list("anyOf"));
    let mut choices: Vec<Choice> = titled
        .filter_map(|option| {
            let value = option.get("const")?;
            let name = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let title = option.word("title").unwrap_or(&name);
            // Claude writes the choice and what it means into one title.
            let (label, description) =
                match title.strip_prefix(&name).and_then(|rest| rest.strip_prefix(" — ")) {
                    Some(meaning) => (name.as_str(), meaning),
                    None => (title, option.text("description").unwrap_or_default()),
                };
            Some(Choice { label: label.into(), description: description.into(), value: value.clone() })
        })
        .collect();
    let names = schema.list("enumNames");
    for (index, value) in schema.list("enum").iter().enumerate() {
        let name = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let label = names.get(index).and_then(Value::as_str).map_or(name, str::to_owned);
        choices.push(Choice { label, description: String::new(), value: value.clone() });
    }
    choices
}

impl Field<'_> {
    fn question(&self) -> Question {
        let option = |choice: &Choice| QuestionOption {
            label: choice.label.clone(),
            description: choice.description.clone(),
        };
        Question {
            question: self.question.clone(),
            header: self.header.clone(),
            multi_select: self.kind == Kind::Several,
            options: self.choices.iter().map(option).collect(),
        }
    }

    /// Writes what was chosen into the form's content. What does not fit is left out, not bent.
    fn fill(&self, chosen: &[String], content: &mut Map<String, Value>) {
        let mut values = Vec::new();
        let mut others = Vec::new();
        for word in chosen {
            let choice = self.choices.iter().find(|choice| choice.label == *word || choice.value == **word);
            let number = || serde_json::from_str::<serde_json::Number>(word.trim()).ok().map(Value::Number);
            match (choice, self.kind, &self.other) {
                (Some(choice), ..) => values.push(choice.value.clone()),
                (None, _, Some(_)) => others.push(word.as_str()),
                (None, Kind::Number, None) => values.extend(number()),
                (None, Kind::Flag, None) => {}
                (None, Kind::Text | Kind::Several, None) => values.push(word.clone().into()),
            }
        }
        if let (Some(other), false) = (&self.other, others.is_empty()) {
            content.insert(other.clone(), others.join("\n").into());
        }
        if values.is_empty() {
            return;
        }
        let value = match self.kind {
            Kind::Several => Value::Array(values),
            _ => values.swap_remove(0),
        };
        content.insert(self.key.to_owned(), value);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::domain::approval::Scope;

    fn form(properties: Value) -> Ask {
        let params = json!({ "mode": "form", "sessionId": "s", "toolCallId": "c", "message": "Which?",
            "requestedSchema": { "type": "object", "properties": properties } });
        read("0".into(), &params).expect("it can be asked")
    }

    fn given(ask: &Ask, answers: &[(&str, &[&str])]) -> Value {
        let answers = answers.iter().map(|(question, words)| {
            ((*question).to_owned(), words.iter().map(|word| (*word).to_owned()).collect())
        });
        let answers: BTreeMap<String, Vec<String>> = answers.collect();
        let yes =
            Answer::Allow { scope: Scope::Once, updated_input: None, answers: Some(answers), message: None };
        answer(ask, &yes).0
    }

    #[test]
    fn a_choice_of_claude_goes_there_and_back() {
        let ask = form(json!({
            "question_0": { "type": "string", "title": "Choice",
                "oneOf": [{ "const": "a", "title": "a — the first" }, { "const": "b", "title": "b — the second" }] },
            "question_0_custom": { "type": "string", "title": "Other" },
        }));
        assert_eq!((ask.kind, ask.questions.len()), (ApprovalKind::Question, 1));
        let question = &ask.questions[0];
        assert_eq!((question.question.as_str(), question.header.as_str()), ("Which?", "Choice"));
        assert_eq!(
            (question.options[1].label.as_str(), question.options[1].description.as_str()),
            ("b", "the second")
        );
        assert_eq!(
            given(&ask, &[("Which?", &["b"])]),
            json!({ "action": "accept", "content": { "question_0": "b" } })
        );
        assert_eq!(
            given(&ask, &[("Which?", &["neither"])])["content"],
            json!({ "question_0_custom": "neither" })
        );
        let no = answer(&ask, &Answer::Deny { message: Some("later".into()) });
        assert_eq!(no, (json!({ "action": "decline" }), Some("later".into())));
    }

    #[test]
    fn every_kind_of_field_is_filled_with_its_own_kind_of_value() {
        let ask = form(json!({
            "count": { "type": "integer", "title": "How many?" },
            "name": { "type": "string", "description": "Its name?" },
            "sure": { "type": "boolean", "title": "Sure?" },
            "tags": { "type": "array", "title": "Tags?", "items": { "enum": ["x", "y"], "enumNames": ["Ex", "Why"] } },
        }));
        assert!(ask.questions[3].multi_select);
        let filled = given(
            &ask,
            &[("How many?", &["3"]), ("Its name?", &["Ann"]), ("Sure?", &["yes"]), ("Tags?", &["Ex", "Why"])],
        );
        assert_eq!(filled["content"], json!({ "count": 3, "name": "Ann", "sure": true, "tags": ["x", "y"] }));
        assert_eq!(
            given(&ask, &[("How many?", &["many"]), ("Sure?", &["perhaps"])]),
            json!({ "action": "decline" })
        );
    }

    #[test]
    fn questions_with_the_same_words_are_told_apart() {
        let ask = form(
            json!({ "a": { "type": "string", "title": "Name?" }, "b": { "type": "string", "title": "Name?" } }),
        );
        let filled = given(&ask, &[("Name?", &["x"]), ("Name? (b)", &["y"])]);
        assert_eq!(filled["content"], json!({ "a": "x", "b": "y" }));
    }

    #[test]
    fn a_form_that_we_cannot_put_is_not_asked() {
        for params in [
            json!({ "mode": "url", "url": "https://example.com" }),
            json!({ "mode": "hologram" }),
            json!({ "requestedSchema": { "properties": { "a": { "type": "object" } } } }),
        ] {
            assert!(read("0".into(), &params).is_err(), "{params}");
        }
        assert_eq!(form(json!({})).kind, ApprovalKind::Unknown);
    }
}
