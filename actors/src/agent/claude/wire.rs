//! Claude Code's lines: one JSON object each, both ways.
//!
//! What comes in is read leniently, field by field, because most fields are undocumented and change
//! from version to version: an odd value in a field that nobody needs must not cost a whole line, and
//! least of all a question. What goes out is built here, so that its shape stands in one place.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::agent::fields::parse;
use crate::agent::protocol::Outgoing;

/// One line of the agent's, as far as it could be read.
#[derive(Debug, PartialEq)]
pub(super) enum Line {
    /// Nothing on it.
    Empty,
    /// An object.
    Object(Value),
    /// A request for an answer that could not be read as a whole (nested too deeply, a number out of
    /// range): its id is known, so it can at least be refused.
    UnreadableRequest {
        /// The id to answer under.
        request: String,
        /// What is wrong with it.
        message: String,
    },
    /// Not an object; what is wrong with it.
    Broken(String),
}

/// What is read of a line that does not parse as a whole. Everything else is skipped, at any depth.
#[derive(Deserialize)]
struct Envelope {
    #[serde(rename = "type")]
    kind: String,
    request_id: String,
}

/// Reads a line. Never panics, whatever the bytes.
pub(super) fn read(line: &[u8]) -> Line {
    let text = String::from_utf8_lossy(line);
    let text = text.trim();
    if text.is_empty() {
        return Line::Empty;
    }
    let error = match parse(text) {
        Ok(value) => return object(value),
        Err(error) => error,
    };
    match serde_json::from_str::<Envelope>(text) {
        Ok(Envelope { kind, request_id }) if kind == "control_request" => {
            Line::UnreadableRequest { request: request_id, message: error.to_string() }
        }
        _ => Line::Broken(format!("not JSON: {error}")),
    }
}

fn object(value: Value) -> Line {
    if value.is_object() { Line::Object(value) } else { Line::Broken("not a JSON object".to_owned()) }
}

/// A value as a line. `serde_json` escapes line ends within texts, so it is one line.
fn line(value: &Value) -> Outgoing {
    Outgoing { line: value.to_string() }
}

/// A request of ours.
pub(super) fn control_request(id: &str, request: &Value) -> Outgoing {
    line(&json!({ "type": "control_request", "request_id": id, "request": request }))
}

/// An answer to a request of theirs.
pub(super) fn success(request: &str, response: &Value) -> Outgoing {
    line(&json!({
        "type": "control_response",
        "response": { "subtype": "success", "request_id": request, "response": response },
    }))
}

/// A refusal of a request of theirs.
pub(super) fn refusal(request: &str, message: &str) -> Outgoing {
    line(&json!({
        "type": "control_response",
        "response": { "subtype": "error", "request_id": request, "error": message },
    }))
}

/// A user message. Its role is always "user": any other ends the agent.
pub(super) fn user(uuid: &str, content: &Value) -> Outgoing {
    line(&json!({
        "type": "user",
        "uuid": uuid,
        "message": { "role": "user", "content": content },
        "parent_tool_use_id": null,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_an_emoji_does_not_cost_the_line() {
        let Line::Object(value) = read(br#"{"a":"x\ud83d","b":"\ud83d\ude00","c":"\\ud83d"}"#) else {
            panic!("the line is readable");
        };
        assert_eq!(value, json!({ "a": "x\u{fffd}", "b": "\u{1f600}", "c": "\\ud83d" }));
    }

    #[test]
    fn a_request_that_is_nested_too_deeply_still_gives_its_id() {
        let deep = "[".repeat(500) + &"]".repeat(500);
        let text = format!(r#"{{"type":"control_request","request_id":"r","request":{{"input":{deep}}}}}"#);
        assert!(matches!(read(text.as_bytes()), Line::UnreadableRequest { request, .. } if request == "r"));
        let text = r#"{"type":"control_request","request_id":"r","request":{"input":1e999}}"#;
        assert!(matches!(read(text.as_bytes()), Line::UnreadableRequest { request, .. } if request == "r"));
    }

    #[test]
    fn what_is_no_object_is_told_apart_from_nothing() {
        assert_eq!(read(b"  \r"), Line::Empty);
        for text in ["[]", "7", "hello", "{\"a\":", "\u{feff}{}"] {
            assert!(matches!(read(text.as_bytes()), Line::Broken(_)), "{text}");
        }
        assert!(matches!(read(b"\xff\xfe"), Line::Broken(_)));
    }
}
