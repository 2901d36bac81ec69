//! Claude Code's lines: one JSON object each, both ways.
//!
//! What comes in is read leniently, field by field, because most fields are undocumented and change
//! from version to version: an odd value in a field that nobody needs must not cost a whole line, and
//! least of all a question. What goes out is built here, so that its shape stands in one place.

use serde::Deserialize;
use serde_json::{Value, json};

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
    let error = match serde_json::from_str::<Value>(text) {
        Ok(value) => return object(value),
        Err(error) => error,
    };
    // JavaScript writes half of a surrogate pair (text cut in the middle of an emoji) as an escape that
    // is no valid character.
    if let Some(repaired) = replace_lone_surrogates(text)
        && let Ok(value) = serde_json::from_str::<Value>(&repaired)
    {
        return object(value);
    }
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

/// Replaces each `\uD800`..`\uDFFF` escape that is not one of a pair by `\ufffd`; `None` = there is none.
pub(in crate::agent) fn replace_lone_surrogates(text: &str) -> Option<String> {
    let mut out = String::new();
    let mut copied = 0;
    let mut at = 0;
    let bytes = text.as_bytes();
    while let Some(&byte) = bytes.get(at) {
        if byte != b'\\' {
            at += 1;
            continue;
        }
        let Some(unit) = unicode_escape(bytes, at) else {
            at += 2;
            continue;
        };
        match unit {
            0xd800..=0xdbff
                if unicode_escape(bytes, at + 6).is_some_and(|low| (0xdc00..=0xdfff).contains(&low)) =>
            {
                at += 12;
            }
            0xd800..=0xdfff => {
                out.push_str(text.get(copied..at)?);
                out.push_str("\\ufffd");
                at += 6;
                copied = at;
            }
            _ => at += 6,
        }
    }
    if copied == 0 {
        return None;
    }
    out.push_str(text.get(copied..)?);
    Some(out)
}

/// The code unit of the `\uXXXX` escape at `at`, if there is one.
fn unicode_escape(bytes: &[u8], at: usize) -> Option<u32> {
    let escape = bytes.get(at..at + 6)?;
    let digits = escape.strip_prefix(b"\\u")?;
    u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

/// Reading single fields; what is absent or of another type is `None`.
pub(in crate::agent) trait Fields {
    /// A text.
    fn text(&self, key: &str) -> Option<&str>;
    /// A whole number, not negative; fractions are cut off.
    fn number(&self, key: &str) -> Option<u64>;
    /// A figure, not negative.
    fn figure(&self, key: &str) -> Option<f64>;
    /// Whether the field is `true`.
    fn flag(&self, key: &str) -> bool;
    /// The elements of a list; none if it is no list.
    fn list(&self, key: &str) -> &[Value];
}

impl Fields for Value {
    fn text(&self, key: &str) -> Option<&str> {
        self.get(key)?.as_str()
    }

    fn number(&self, key: &str) -> Option<u64> {
        let value = self.get(key)?;
        // `as` saturates, so a huge figure is no trouble.
        value.as_u64().or_else(|| value.as_f64().filter(|figure| *figure >= 0.0).map(|figure| figure as u64))
    }

    fn figure(&self, key: &str) -> Option<f64> {
        self.get(key)?.as_f64().filter(|figure| *figure >= 0.0)
    }

    fn flag(&self, key: &str) -> bool {
        self.get(key).and_then(Value::as_bool).unwrap_or(false)
    }

    fn list(&self, key: &str) -> &[Value] {
        self.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }
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

/// The start of a text, at most so many bytes, cut between characters.
pub(in crate::agent) fn head(text: &str, limit: usize) -> &str {
    let mut end = limit.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
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

    #[test]
    fn a_text_is_cut_between_characters() {
        assert_eq!(head("aé", 2), "a");
        assert_eq!(head("aé", 3), "aé");
        assert_eq!(head("aé", 99), "aé");
    }
}
