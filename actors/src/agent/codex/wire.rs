//! Codex's lines: JSON-RPC without the `jsonrpc` member, one object each, both ways.
//!
//! What comes in is read leniently, field by field: a new field, or an odd value in one that nobody needs,
//! must not cost a whole line, and least of all a question. What goes out is built here.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::agent::protocol::Outgoing;

/// One line of the agent's, as far as it could be read.
#[derive(Debug, PartialEq)]
pub(super) enum Line {
    /// Nothing on it.
    Empty,
    /// It wants an answer.
    Request {
        /// The id to answer under: a number or a text.
        id: Value,
        /// What kind of request.
        method: String,
        /// What about.
        params: Value,
    },
    /// News.
    Notification {
        /// What kind.
        method: String,
        /// What about.
        params: Value,
        /// When it was said, Unix milliseconds, where it says it.
        at: Option<u64>,
    },
    /// The answer to a request of ours, which always has a text for its id.
    Reply {
        /// The id of the request.
        id: String,
        /// What it gave, or what is wrong.
        result: Result<Value, String>,
    },
    /// A request that could not be read as a whole (nested too deeply, a number out of range): its id is
    /// known, so it can at least be refused.
    UnreadableRequest {
        /// The id to answer under.
        id: Value,
        /// What is wrong with it.
        message: String,
    },
    /// Nothing of these; what is wrong with it.
    Broken(String),
}

/// What is read of a line that does not parse as a whole. Everything else is skipped, at any depth.
#[derive(Deserialize)]
struct Envelope {
    id: Id,
    #[serde(rename = "method")]
    _method: String,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Id {
    Number(i64),
    Text(String),
}

/// Reads a line. Never panics, whatever the bytes.
pub(super) fn read(line: &[u8]) -> Line {
    let line = line.trim_ascii();
    if line.is_empty() {
        return Line::Empty;
    }
    let error = match serde_json::from_slice::<Value>(line) {
        Ok(Value::Object(object)) => return classify(object),
        Ok(_) => return Line::Broken("not a JSON object".to_owned()),
        Err(error) => error,
    };
    match serde_json::from_slice::<Envelope>(line) {
        Ok(Envelope { id, .. }) => Line::UnreadableRequest {
            id: match id {
                Id::Number(number) => Value::from(number),
                Id::Text(text) => Value::from(text),
            },
            message: error.to_string(),
        },
        Err(_) => Line::Broken(format!("not JSON: {error}")),
    }
}

fn classify(mut object: serde_json::Map<String, Value>) -> Line {
    let id = object.remove("id").filter(|id| !id.is_null());
    let params = object.remove("params").unwrap_or_default();
    match (id, object.remove("method")) {
        (Some(id), Some(Value::String(method))) if id.is_number() || id.is_string() => {
            Line::Request { id, method, params }
        }
        (None, Some(Value::String(method))) => {
            let at = object.get("emittedAtMs").and_then(Value::as_u64);
            Line::Notification { method, params, at }
        }
        (Some(id), None) => {
            let id = match id {
                Value::String(id) => id,
                other => other.to_string(),
            };
            let result = match (object.remove("result"), object.get("error")) {
                (_, Some(error)) if !error.is_null() => Err(error
                    .get("message")
                    .and_then(Value::as_str)
                    .unwrap_or("it refused without a reason")
                    .to_owned()),
                (Some(result), _) => Ok(result),
                (None, _) => Err("it answered with nothing".to_owned()),
            };
            Line::Reply { id, result }
        }
        _ => Line::Broken("neither a request, nor an answer, nor a notification".to_owned()),
    }
}

/// A value as a line. `serde_json` escapes line ends within texts, so it is one line.
fn line(value: &Value) -> Outgoing {
    Outgoing { line: value.to_string() }
}

/// A request of ours.
pub(super) fn request(id: &str, method: &str, params: Value) -> Outgoing {
    line(&json!({ "id": id, "method": method, "params": params }))
}

/// News of ours.
pub(super) fn notification(method: &str) -> Outgoing {
    line(&json!({ "method": method }))
}

/// An answer to a request of theirs.
pub(super) fn result(id: &Value, result: &Value) -> Outgoing {
    line(&json!({ "id": id, "result": result }))
}

/// A refusal of a request of theirs. The agent takes it as a no and goes on.
pub(super) fn refusal(id: &Value, message: &str) -> Outgoing {
    line(&json!({ "id": id, "error": { "code": -32601, "message": message } }))
}

/// Nothing but a line end. Should half a line lie in the agent's pipe, this makes it a whole one, which
/// the agent drops because it is no JSON; what follows is then read as it was meant.
pub(super) fn line_end() -> Outgoing {
    Outgoing { line: String::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_news_and_answers_are_told_apart() {
        assert_eq!(
            read(br#"{"id":0,"method":"m","params":{"a":1}}"#),
            Line::Request { id: json!(0), method: "m".into(), params: json!({ "a": 1 }) }
        );
        assert_eq!(
            read(br#"{"method":"m","emittedAtMs":7}"#),
            Line::Notification { method: "m".into(), params: Value::Null, at: Some(7) }
        );
        assert_eq!(read(br#"{"id":"a","result":{}}"#), Line::Reply { id: "a".into(), result: Ok(json!({})) });
        assert_eq!(
            read(br#"{"id":"a","error":{"code":-32600,"message":"no"}}"#),
            Line::Reply { id: "a".into(), result: Err("no".into()) }
        );
    }

    #[test]
    fn a_request_that_is_nested_too_deeply_still_gives_its_id() {
        let deep = "[".repeat(500) + &"]".repeat(500);
        for (text, id) in [("7", json!(7)), ("\"x\"", json!("x"))] {
            let line = format!(r#"{{"id":{text},"method":"m","params":{deep}}}"#);
            assert!(
                matches!(read(line.as_bytes()), Line::UnreadableRequest { id: found, .. } if found == id)
            );
        }
        let line = r#"{"id":7,"method":"m","params":1e999}"#;
        assert!(matches!(read(line.as_bytes()), Line::UnreadableRequest { .. }));
    }

    #[test]
    fn what_is_no_message_is_told_apart_from_nothing() {
        assert_eq!(read(b"  \r"), Line::Empty);
        for text in ["[]", "7", "hello", "{\"a\":", "{}", "{\"id\":[],\"method\":\"m\"}", "{\"method\":7}"] {
            assert!(matches!(read(text.as_bytes()), Line::Broken(_)), "{text}");
        }
        assert!(matches!(read(b"\xff\xfe"), Line::Broken(_)));
    }
}
