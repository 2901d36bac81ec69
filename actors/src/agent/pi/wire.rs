//! Pi's lines: one JSON object each, both ways.
//!
//! While an answer streams, each line repeats all of it twice, so only the piece that is new is read of
//! these; and of lines that mean nothing here only the kind. Everything else is read leniently, field by
//! field: an odd value in a field that nobody needs must not cost a whole line, and least of all a question.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::agent::fields::parse;
use crate::agent::protocol::Outgoing;

/// Kinds of lines of which nothing but the kind is of use.
const KIND_ONLY: [&str; 6] =
    ["agent_start", "agent_end", "turn_start", "turn_end", "tool_execution_update", "queue_update"];

/// One line of Pi's, as far as it could be read.
#[derive(Debug, PartialEq)]
pub(super) enum Line<'a> {
    /// Nothing on it.
    Empty,
    /// A piece of the answer that is being written.
    Piece(Piece<'a>),
    /// A line of which nothing but its kind counts.
    Kind(&'a str),
    /// An object.
    Object(Value),
    /// A dialog that could not be read as a whole (nested too deeply, a number out of range): its id is
    /// known, so it can at least be cancelled.
    UnreadableRequest {
        /// The id to answer under.
        request: String,
        /// What is wrong with it.
        message: String,
    },
    /// Not an object; what is wrong with it.
    Broken(String),
}

/// What is new in an answer.
#[derive(Debug, PartialEq, Deserialize)]
pub(super) struct Piece<'a> {
    /// What kind of piece (`text_delta`, ...).
    #[serde(rename = "type", borrow)]
    pub(super) kind: Cow<'a, str>,
    /// Which block of the message.
    #[serde(rename = "contentIndex", default)]
    pub(super) index: u64,
    /// The piece, where it is one.
    #[serde(borrow, default)]
    pub(super) delta: Cow<'a, str>,
}

/// What is read of every line first; the rest is skipped, at any depth.
#[derive(Deserialize)]
struct Head<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(rename = "assistantMessageEvent", borrow)]
    piece: Option<Piece<'a>>,
}

/// What is read of a line that does not parse as a whole.
#[derive(Deserialize)]
struct Envelope {
    #[serde(rename = "type")]
    kind: String,
    id: String,
}

/// Reads a line. Never panics, whatever the bytes.
pub(super) fn read(line: &[u8]) -> Line<'_> {
    if let Ok(text) = std::str::from_utf8(line)
        && let Ok(Head { kind, piece }) = serde_json::from_str(text)
    {
        match piece {
            Some(piece) if kind == "message_update" => return Line::Piece(piece),
            _ if KIND_ONLY.contains(&kind) => return Line::Kind(kind),
            _ => {}
        }
    }
    whole(&String::from_utf8_lossy(line))
}

fn whole(text: &str) -> Line<'static> {
    let text = text.trim();
    if text.is_empty() {
        return Line::Empty;
    }
    let error = match parse(text) {
        Ok(value) => return object(value),
        Err(error) => error,
    };
    match serde_json::from_str::<Envelope>(text) {
        Ok(Envelope { kind, id }) if kind == "extension_ui_request" => {
            Line::UnreadableRequest { request: id, message: error.to_string() }
        }
        _ => Line::Broken(format!("not JSON: {error}")),
    }
}

fn object(value: Value) -> Line<'static> {
    if value.is_object() { Line::Object(value) } else { Line::Broken("not a JSON object".to_owned()) }
}

/// A value as a line. `serde_json` escapes line ends within texts, so it is one line.
fn line(value: &Value) -> Outgoing {
    Outgoing { line: value.to_string() }
}

/// A command of ours with its fields.
pub(super) fn command(id: &str, kind: &str, fields: Value) -> Outgoing {
    let mut object = json!({ "id": id, "type": kind });
    if let (Some(object), Value::Object(fields)) = (object.as_object_mut(), fields) {
        object.extend(fields);
    }
    line(&object)
}

/// The answer to a dialog: a text.
pub(super) fn value(request: &str, value: &str) -> Outgoing {
    line(&json!({ "type": "extension_ui_response", "id": request, "value": value }))
}

/// The answer to a dialog: yes or no.
pub(super) fn confirmed(request: &str, confirmed: bool) -> Outgoing {
    line(&json!({ "type": "extension_ui_response", "id": request, "confirmed": confirmed }))
}

/// A dialog is put away unanswered, which is a no to every kind of dialog.
pub(super) fn cancelled(request: &str) -> Outgoing {
    line(&json!({ "type": "extension_ui_response", "id": request, "cancelled": true }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_an_answer_that_streams_only_what_is_new_is_read() {
        let text = r#"{"type":"message_update","assistantMessageEvent":{"type":"text_delta","contentIndex":1,"delta":"a\nb","partial":{"x":[1]}},"message":{}}"#;
        let Line::Piece(piece) = read(text.as_bytes()) else { panic!("it is a piece") };
        assert_eq!((piece.kind.as_ref(), piece.index, piece.delta.as_ref()), ("text_delta", 1, "a\nb"));
        let odd = r#"{"type":"message_update","assistantMessageEvent":{"type":"text_delta","delta":7}}"#;
        assert!(matches!(read(odd.as_bytes()), Line::Object(_)), "an odd one is looked at as a whole");
    }

    #[test]
    fn half_an_emoji_does_not_cost_the_line() {
        let text =
            br#"{"type":"message_update","assistantMessageEvent":{"type":"text_delta","delta":"x\ud83d"}}"#;
        let Line::Object(value) = read(text) else { panic!("the line is readable") };
        assert_eq!(value["assistantMessageEvent"]["delta"], "x\u{fffd}");
    }

    #[test]
    fn a_dialog_that_is_nested_too_deeply_still_gives_its_id() {
        let deep = "[".repeat(500) + &"]".repeat(500);
        let text = format!(r#"{{"type":"extension_ui_request","id":"r","options":{deep}}}"#);
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
