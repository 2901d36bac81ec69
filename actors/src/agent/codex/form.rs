//! Forms of MCP servers (elicitations): a flat JSON schema, as questions and back.

use serde_json::Value;

use crate::agent::fields::Fields;
use crate::domain::approval::{Question, QuestionOption};

/// One field of a form.
#[derive(Debug, PartialEq)]
pub(super) struct Field {
    /// Its name in the answer.
    pub(super) name: String,
    /// What a person is asked, which is also the key of the person's answer.
    pub(super) question: String,
    header: String,
    options: Vec<QuestionOption>,
    /// What type the answer has.
    pub(super) kind: Kind,
    /// Whether there is no form without it.
    pub(super) required: bool,
}

/// The type of a field.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Kind {
    /// A text, or one of several.
    Text,
    /// A figure.
    Number,
    /// A whole number.
    Integer,
    /// Yes or no.
    Boolean,
    /// Several texts.
    List,
}

impl Kind {
    /// A person's words in this type; `None` if they do not fit.
    pub(super) fn value(self, chosen: &[String]) -> Option<Value> {
        let one = chosen.first()?.trim();
        match self {
            Self::Text => Some(Value::from(chosen.join(", "))),
            Self::Number => one.parse::<f64>().ok().filter(|figure| figure.is_finite()).map(Value::from),
            Self::Integer => one.parse::<i64>().ok().map(Value::from),
            Self::Boolean => match one.to_lowercase().as_str() {
                "yes" | "true" => Some(Value::from(true)),
                "no" | "false" => Some(Value::from(false)),
                _ => None,
            },
            Self::List => Some(chosen.iter().map(String::as_str).collect()),
        }
    }
}

/// The fields of an elicitation (`message` and `requestedSchema`); `None` if it is not in a shape that can be put.
pub(super) fn fields(request: &Value) -> Option<Vec<Field>> {
    let schema = request.get("requestedSchema")?;
    let properties = schema.get("properties")?.as_object().filter(|properties| !properties.is_empty())?;
    let message = request.text("message").filter(|message| !message.is_empty() && properties.len() == 1);
    let required: Vec<&str> = schema.list("required").iter().filter_map(Value::as_str).collect();
    let fields = properties.iter().map(|(name, property)| {
        let label = property.text("title").unwrap_or(name);
        let long = property.text("description").map(|text| format!("{label}: {text}"));
        let (kind, options) = kind_of(property)?;
        Some(Field {
            name: name.clone(),
            question: message.map(str::to_owned).or(long).unwrap_or_else(|| label.to_owned()),
            header: label.to_owned(),
            options,
            kind,
            required: required.contains(&name.as_str()),
        })
    });
    fields.collect()
}

fn kind_of(property: &Value) -> Option<(Kind, Vec<QuestionOption>)> {
    Some(match property.text("type")? {
        "string" => (Kind::Text, options(property)),
        "number" => (Kind::Number, Vec::new()),
        "integer" => (Kind::Integer, Vec::new()),
        "boolean" => (Kind::Boolean, ["yes", "no"].map(|word| option(word, "")).into()),
        "array" => (Kind::List, options(property.get("items")?)),
        _ => return None,
    })
}

/// `enum`, with `enumNames` beside it, or `oneOf`/`anyOf` with `const` and `title`.
fn options(property: &Value) -> Vec<QuestionOption> {
    let names = property.list("enumNames");
    let plain = property.list("enum").iter().enumerate().filter_map(|(index, word)| {
        Some(option(word.as_str()?, names.get(index).and_then(Value::as_str).unwrap_or_default()))
    });
    let titled = ["oneOf", "anyOf"].into_iter().flat_map(|key| property.list(key));
    let titled =
        titled.filter_map(|one| Some(option(one.text("const")?, one.text("title").unwrap_or_default())));
    plain.chain(titled).collect()
}

fn option(label: &str, description: &str) -> QuestionOption {
    QuestionOption { label: label.to_owned(), description: description.to_owned() }
}

/// The questions of a form.
pub(super) fn questions(fields: Vec<Field>) -> Vec<Question> {
    let question = |field: Field| Question {
        question: field.question,
        header: field.header,
        multi_select: field.kind == Kind::List,
        options: field.options,
    };
    fields.into_iter().map(question).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_form_becomes_questions_and_the_words_its_types() {
        let request = json!({ "message": "Tell", "requestedSchema": { "type": "object", "required": ["n"], "properties": {
            "n": { "type": "integer", "title": "How many" },
            "sure": { "type": "boolean", "description": "really?" },
            "one": { "type": "string", "oneOf": [{ "const": "a", "title": "A" }] },
            "some": { "type": "array", "items": { "enum": ["x", "y"] } },
        } } });
        let fields = fields(&request).expect("it can be put");
        let field = |name: &str| fields.iter().find(|field| field.name == name).expect("it is there");
        assert_eq!(field("n").question, "How many");
        assert!(field("n").required && !field("sure").required);
        assert_eq!(field("sure").question, "sure: really?");
        assert_eq!(field("one").options, [option("a", "A")]);
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        assert_eq!(field("n").kind.value(&words(&["7"])), Some(json!(7)));
        assert_eq!(field("n").kind.value(&words(&["seven"])), None);
        assert_eq!(field("sure").kind.value(&words(&["No"])), Some(json!(false)));
        assert_eq!(field("some").kind.value(&words(&["x", "y"])), Some(json!(["x", "y"])));
        let questions = questions(fields);
        assert!(questions.iter().any(|question| question.multi_select && question.options.len() == 2));
    }

    #[test]
    fn the_only_field_is_asked_with_the_servers_own_words() {
        let request = json!({ "message": "Which colour?", "requestedSchema": { "properties": {
            "c": { "type": "string", "title": "Colour", "enum": ["red"] } } } });
        let fields = fields(&request).expect("it can be put");
        assert_eq!(fields[0].question, "Which colour?");
    }

    #[test]
    fn a_form_of_another_shape_is_none() {
        for schema in
            [json!({}), json!({ "properties": {} }), json!({ "properties": { "a": { "type": "object" } } })]
        {
            assert_eq!(fields(&json!({ "message": "m", "requestedSchema": schema })), None);
        }
    }
}
