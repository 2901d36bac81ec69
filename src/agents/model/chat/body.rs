//! A conversation as the body of a request.

use serde_json::{Value, json};

use super::super::conversation::{Record, Said};

/// What some servers cannot take, learned from their refusals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quirks {
    /// It knows no `stream_options`.
    pub no_stream_options: bool,
    /// It wants `max_completion_tokens` instead of `max_tokens`.
    pub completion_tokens: bool,
}

impl Quirks {
    /// Learns from a refusal. Whether there was something to learn, so that another try makes sense.
    pub fn learn(&mut self, refusal: &str) -> bool {
        let before = *self;
        self.no_stream_options |= refusal.contains("stream_options");
        self.completion_tokens |= refusal.contains("max_completion_tokens");
        *self != before
    }
}

/// The body of a request.
pub fn body(
    model: &str,
    system: &str,
    records: &[Record],
    tools: &Value,
    max_tokens: Option<u64>,
    quirks: Quirks,
) -> Value {
    let mut body = json!({ "model": model, "messages": messages(system, records), "stream": true });
    if tools.as_array().is_some_and(|tools| !tools.is_empty()) {
        body["tools"] = tools.clone();
    }
    if !quirks.no_stream_options {
        body["stream_options"] = json!({ "include_usage": true });
    }
    if let Some(most) = max_tokens {
        body[if quirks.completion_tokens { "max_completion_tokens" } else { "max_tokens" }] = json!(most);
    }
    body
}

/// The messages. Two of the person's in a row become one, as some servers want the roles to alternate.
fn messages(system: &str, records: &[Record]) -> Vec<Value> {
    let mut messages = vec![json!({ "role": "system", "content": system })];
    let turn = records.iter().rposition(|record| matches!(record, Record::User { .. })).unwrap_or(0);
    // What the person said since the model did, as parts.
    let mut waiting: Vec<Value> = Vec::new();
    for (at, record) in records.iter().enumerate() {
        let message = match record {
            Record::User { text, pictures } => {
                if !text.is_empty() {
                    waiting.push(json!({ "type": "text", "text": text }));
                }
                waiting.extend(pictures.iter().map(|picture| {
                    let url = format!("data:{};base64,{}", picture.mime_type, picture.data);
                    json!({ "type": "image_url", "image_url": { "url": url } })
                }));
                continue;
            }
            Record::Assistant(said) => match assistant(said, at > turn) {
                Some(message) => message,
                None => continue,
            },
            Record::Tool { call, text, .. } => {
                json!({ "role": "tool", "tool_call_id": call, "content": text })
            }
            Record::Model { .. } | Record::Planning { .. } => continue,
        };
        messages.extend(user(&mut waiting));
        messages.push(message);
    }
    messages.extend(user(&mut waiting));
    messages
}

/// What waits, as one message; as plain text where that is all, because that is what every server takes.
fn user(waiting: &mut Vec<Value>) -> Option<Value> {
    let parts = std::mem::take(waiting);
    if parts.is_empty() {
        return None;
    }
    let texts: Option<Vec<&str>> = parts.iter().map(|part| part["text"].as_str()).collect();
    Some(match texts {
        Some(texts) => json!({ "role": "user", "content": texts.join("\n\n") }),
        None => json!({ "role": "user", "content": parts }),
    })
}

/// What the model said; `None` = nothing. Its reasoning goes back only in the turn in which it belongs to calls:
/// DeepSeek and Gemini insist on it there, and DeepSeek refuses it elsewhere.
fn assistant(said: &Said, this_turn: bool) -> Option<Value> {
    let mut text = said.text.clone();
    if said.interrupted {
        if !text.is_empty() {
            text.push_str("\n\n");
        }
        text.push_str("[The person interrupted me here.]");
    }
    if text.is_empty() && said.calls.is_empty() {
        return None;
    }
    let mut message = json!({ "role": "assistant", "content": text });
    if said.calls.is_empty() {
        return Some(message);
    }
    let calls = said.calls.iter().map(|call| {
        let mut one = json!({
            "id": call.id,
            "type": "function",
            "function": { "name": call.name, "arguments": sound(&call.arguments) },
        });
        if let Some(extra) = &call.extra {
            one["extra_content"] = extra.clone();
        }
        one
    });
    message["tool_calls"] = calls.collect();
    if let Some(reasoning) = said.reasoning.as_ref().filter(|_| this_turn) {
        if !reasoning.field.is_empty() {
            message[&reasoning.field] = json!(reasoning.text);
        }
        if !reasoning.details.is_empty() {
            message["reasoning_details"] = json!(reasoning.details);
        }
    }
    Some(message)
}

/// Input that is no JSON was refused; some servers parse it again and would refuse the whole conversation.
fn sound(arguments: &str) -> String {
    match serde_json::from_str::<Value>(arguments) {
        Ok(_) => arguments.to_owned(),
        Err(_) => json!({ "unreadable": arguments }).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::conversation::{Reasoning, ToolCall};
    use super::*;
    use crate::agents::acp::prompt::Picture;

    fn user(text: &str) -> Record {
        Record::User { text: text.into(), pictures: Vec::new() }
    }

    fn called(arguments: &str) -> Record {
        Record::Assistant(Said {
            reasoning: Some(Reasoning {
                field: "reasoning_content".into(),
                text: "hm".into(),
                details: Vec::new(),
            }),
            calls: vec![ToolCall {
                id: "c".into(),
                name: "list".into(),
                arguments: arguments.into(),
                extra: Some(json!({ "google": { "thought_signature": "s" } })),
            }],
            ..Said::default()
        })
    }

    fn result() -> Record {
        Record::Tool { call: "c".into(), text: "a".into(), ok: true, diffs: Vec::new() }
    }

    #[test]
    fn reasoning_and_signatures_go_back_with_the_calls_of_the_running_turn() {
        let first = messages("s", &[user("a"), called("{}"), result()]);
        assert_eq!(first[2]["reasoning_content"], "hm");
        assert_eq!(first[2]["tool_calls"][0]["extra_content"]["google"]["thought_signature"], "s");
        let later = messages("s", &[user("a"), called("{}"), result(), user("b")]);
        assert_eq!(later[2]["reasoning_content"], Value::Null);
        assert_eq!(later[2]["tool_calls"][0]["extra_content"]["google"]["thought_signature"], "s");
    }

    #[test]
    fn what_the_person_said_in_a_row_is_one_message() {
        let empty = Record::Assistant(Said::default());
        let all = messages("s", &[user("a"), empty, Record::Model { name: "m".into() }, user("b")]);
        assert_eq!(
            all,
            [json!({ "role": "system", "content": "s" }), json!({ "role": "user", "content": "a\n\nb" })]
        );
    }

    #[test]
    fn a_picture_is_a_part_beside_the_words() {
        let pictures = vec![Picture { mime_type: "image/png".into(), data: "AA".into() }];
        let all = messages("s", &[Record::User { text: "look".into(), pictures }]);
        assert_eq!(all[1]["content"][0]["text"], "look");
        assert_eq!(all[1]["content"][1]["image_url"]["url"], "data:image/png;base64,AA");
    }

    #[test]
    fn input_that_is_no_json_is_sent_back_as_json() {
        let all = messages("s", &[user("a"), called("{\"path\": \"x"), result()]);
        let arguments = all[2]["tool_calls"][0]["function"]["arguments"].as_str().expect("a text");
        assert!(serde_json::from_str::<Value>(arguments).is_ok(), "{arguments}");
    }

    #[test]
    fn a_refusal_is_learned_from_once() {
        let mut quirks = Quirks::default();
        assert!(quirks.learn("Unsupported parameter: 'max_tokens', use 'max_completion_tokens' instead"));
        assert!(!quirks.learn("Unsupported parameter: 'max_tokens', use 'max_completion_tokens' instead"));
        assert!(quirks.learn("unknown field stream_options"));
        let body = body("m", "s", &[user("a")], &json!([]), Some(5), quirks);
        assert_eq!((&body["max_completion_tokens"], &body["stream_options"]), (&json!(5), &Value::Null));
        assert_eq!((&body["tools"], &body["max_tokens"]), (&Value::Null, &Value::Null));
    }
}
