//! JSON-RPC 2.0, one object a line, both ways.
//!
//! What comes in is read leniently, field by field: an odd value in a field that nobody needs must not cost a
//! whole line, and least of all a question. What goes out is built here, so that its shape stands in one place.

use std::fmt::Write as _;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::agent::fields::{Fields, parse};
use crate::agent::protocol::Outgoing;

/// The method does not exist, or not here.
pub(super) const METHOD_NOT_FOUND: i64 = -32601;
/// The parameters cannot be read.
pub(super) const INVALID_PARAMS: i64 = -32602;
/// The agent wants to be signed in first.
pub(super) const AUTH_REQUIRED: i64 = -32000;

/// One line of the agent's, as far as it could be read.
#[derive(Debug, PartialEq)]
pub(super) enum Line {
    /// Nothing on it.
    Empty,
    /// The agent wants an answer.
    Request {
        /// Under which the answer goes back: any JSON, as it came.
        id: Value,
        /// What it wants.
        method: String,
        /// With what.
        params: Value,
    },
    /// The agent tells something.
    Notification {
        /// What.
        method: String,
        /// With what.
        params: Value,
    },
    /// The agent's answer to a request of ours.
    Response {
        /// Its id; the empty text if it is none of ours.
        id: String,
        /// What it says.
        result: Result<Value, Failure>,
    },
    /// A request that could not be read as a whole (nested too deeply, a number out of range): its id is known,
    /// so it can at least be refused.
    UnreadableRequest {
        /// The id to answer under.
        id: Value,
        /// What it wanted.
        method: String,
        /// What is wrong with it.
        message: String,
    },
    /// Nothing of the above; what is wrong with it.
    Broken(String),
}

/// An error that the agent answered with.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Failure {
    /// JSON-RPC's number for it, or what the agent takes for one (an HTTP status, say).
    pub(super) code: i64,
    /// In words.
    pub(super) message: String,
    /// More about it.
    pub(super) data: Value,
}

/// What is read of a line that does not parse as a whole. Everything else is skipped, at any depth.
#[derive(Deserialize)]
struct Envelope {
    id: Option<Value>,
    method: String,
}

/// Reads a line. Never panics, whatever the bytes.
pub(super) fn read(line: &[u8]) -> Line {
    let text = String::from_utf8_lossy(line);
    let text = text.trim();
    if text.is_empty() {
        return Line::Empty;
    }
    let error = match parse(text) {
        Ok(value) => return message(value),
        Err(error) => error,
    };
    match serde_json::from_str::<Envelope>(text) {
        Ok(Envelope { id: Some(id), method }) => {
            Line::UnreadableRequest { id, method, message: error.to_string() }
        }
        _ => Line::Broken(format!("not JSON: {error}")),
    }
}

fn message(mut value: Value) -> Line {
    let Some(fields) = value.as_object_mut() else {
        return Line::Broken("not a JSON object".to_owned());
    };
    let id = fields.remove("id");
    match fields.remove("method") {
        Some(Value::String(method)) => {
            let params = fields.remove("params").unwrap_or_default();
            match id {
                Some(id) => Line::Request { id, method, params },
                None => Line::Notification { method, params },
            }
        }
        // Somebody may wait for an answer to it.
        Some(method) => match id {
            Some(id) => Line::UnreadableRequest {
                id,
                method: method.to_string(),
                message: "its method is no text".to_owned(),
            },
            None => Line::Broken("a message whose method is no text".to_owned()),
        },
        None => {
            let result = match (fields.remove("result"), fields.remove("error")) {
                (_, Some(error)) if !error.is_null() => Err(failure(&error)),
                (Some(result), _) => Ok(result),
                (None, _) => return Line::Broken("neither a request nor an answer".to_owned()),
            };
            let id = id.as_ref().and_then(Value::as_str).unwrap_or_default().to_owned();
            Line::Response { id, result }
        }
    }
}

fn failure(error: &Value) -> Failure {
    let message = error.text("message").map(str::to_owned).unwrap_or_else(|| error.to_string());
    Failure {
        code: error.get("code").and_then(Value::as_i64).unwrap_or(0),
        message,
        data: error.get("data").cloned().unwrap_or_default(),
    }
}

/// A value as a line. `serde_json` escapes line ends within texts, so it is one line.
fn line(value: &Value) -> Outgoing {
    Outgoing { line: value.to_string() }
}

/// A request of ours. Its id is a text that tells what it is about, so that the answer can be understood even
/// when a crash took away the memory of having asked. (The official Rust SDK uses texts too.)
pub(super) fn request(id: &str, method: &str, params: &Value) -> Outgoing {
    line(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }))
}

/// Something that we tell.
pub(super) fn notification(method: &str, params: &Value) -> Outgoing {
    line(&json!({ "jsonrpc": "2.0", "method": method, "params": params }))
}

/// An answer to a request of theirs.
pub(super) fn answer(id: &Value, result: &Value) -> Outgoing {
    line(&json!({ "jsonrpc": "2.0", "id": id, "result": result }))
}

/// A refusal of a request of theirs.
pub(super) fn refusal(id: &Value, code: i64, message: &str) -> Outgoing {
    line(&json!({ "jsonrpc": "2.0", "id": id, "error": { "code": code, "message": message } }))
}

/// The text of content blocks, one after the other; what is no text is named.
pub(super) fn plain(blocks: &[Value]) -> String {
    let mut out = String::new();
    for block in blocks {
        if !out.is_empty() && !out.ends_with('\n') {
            out.push('\n');
        }
        // Writing to a text cannot fail.
        let _ = write_block(&mut out, block);
    }
    out
}

/// One content block as text.
pub(super) fn write_block(out: &mut String, block: &Value) -> std::fmt::Result {
    match block.text("type").unwrap_or_default() {
        "text" => out.write_str(block.text("text").unwrap_or_default()),
        kind @ ("image" | "audio") => write!(out, "[{}]", block.text("mimeType").unwrap_or(kind)),
        "resource_link" => {
            let uri = block.text("uri").unwrap_or_default();
            write!(out, "[{}]({uri})", block.word("title").or(block.word("name")).unwrap_or(uri))
        }
        "resource" => {
            let resource = block.get("resource").unwrap_or(&Value::Null);
            match resource.text("text") {
                Some(text) => out.write_str(text),
                None => write!(out, "[{}]", resource.text("uri").unwrap_or("resource")),
            }
        }
        _ => write!(out, "{block}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_notifications_and_answers_are_told_apart() {
        let read = |text: &str| read(text.as_bytes());
        assert!(matches!(read(r#"{"id":0,"method":"m","params":{}}"#), Line::Request { id, .. } if id == 0));
        assert!(
            matches!(read(r#"{"id":null,"method":"m"}"#), Line::Request { id, .. } if id.is_null()),
            "somebody may wait"
        );
        assert!(matches!(read(r#"{"method":"m"}"#), Line::Notification { .. }));
        assert!(
            matches!(read(r#"{"id":"a","result":null}"#), Line::Response { id, result: Ok(_) } if id == "a")
        );
        assert!(matches!(read(r#"{"id":7,"result":{}}"#), Line::Response { id, .. } if id.is_empty()));
        let Line::Response { result: Err(failure), .. } =
            read(r#"{"id":"a","result":null,"error":{"code":-32000,"message":"no"}}"#)
        else {
            panic!("an error is an error");
        };
        assert_eq!((failure.code, failure.message.as_str()), (AUTH_REQUIRED, "no"));
        assert!(matches!(read(r#"{"id":1,"method":{}}"#), Line::UnreadableRequest { .. }));
        for text in ["[]", "7", "Loaded cached credentials.", "{\"id\":", "{}", "\u{feff}{}"] {
            assert!(matches!(read(text), Line::Broken(_)), "{text}");
        }
        assert_eq!(read("  \r"), Line::Empty);
    }

    #[test]
    fn half_an_emoji_does_not_cost_the_line() {
        let line = read(br#"{"method":"m","params":{"a":"x\ud83d","b":"\ud83d\ude00","c":"\\ud83d"}}"#);
        let Line::Notification { params, .. } = line else { panic!("the line is readable") };
        assert_eq!(params, json!({ "a": "x\u{fffd}", "b": "\u{1f600}", "c": "\\ud83d" }));
    }

    #[test]
    fn a_request_that_is_nested_too_deeply_still_gives_its_id() {
        let deep = "[".repeat(500) + &"]".repeat(500);
        for odd in [deep.as_str(), "1e999"] {
            let text = format!(r#"{{"id":3,"method":"session/request_permission","params":{odd}}}"#);
            assert!(matches!(read(text.as_bytes()), Line::UnreadableRequest { id, .. } if id == 3), "{odd}");
        }
    }

    #[test]
    fn every_kind_of_block_has_words() {
        let blocks = [
            json!({ "type": "text", "text": "a" }),
            json!({ "type": "image", "mimeType": "image/png", "data": "x" }),
            json!({ "type": "resource_link", "uri": "file:///r", "name": "r" }),
            json!({ "type": "resource", "resource": { "uri": "file:///s", "text": "inside" } }),
            json!({ "type": "hologram" }),
        ];
        assert_eq!(plain(&blocks), "a\n[image/png]\n[r](file:///r)\ninside\n{\"type\":\"hologram\"}");
    }
}
