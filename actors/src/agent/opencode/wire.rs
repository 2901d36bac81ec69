//! OpenCode's lines: its server's events, and answers to our requests.
//!
//! Read leniently, field by field: an odd value in a field that nobody needs must not cost a question.

use serde::Deserialize;
use serde_json::Value;

use crate::agent::fields::parse;
use crate::agent::server::wire::News;

/// One line, as far as it could be read.
#[derive(Debug, PartialEq)]
pub(super) enum Line {
    /// Nothing on it.
    Empty,
    /// An event: an object with a `type` and `properties`.
    Event(Value),
    /// Something of the link's.
    News(News),
    /// Something asked that cannot be read as a whole (nested too deeply, a number out of range): its id is known,
    /// so it can at least be refused.
    Unreadable(Unreadable),
    /// Neither; what is wrong with it.
    Broken(String),
}

/// What is read of an event that does not parse as a whole. Everything else is skipped, at any depth.
#[derive(Debug, PartialEq, Deserialize)]
pub(super) struct Unreadable {
    /// `permission.asked` or `question.asked`.
    #[serde(rename = "type")]
    pub(super) kind: String,
    /// Its ids.
    pub(super) properties: UnreadableIds,
}

/// The ids of something asked.
#[derive(Debug, PartialEq, Deserialize)]
pub(super) struct UnreadableIds {
    /// The request's.
    pub(super) id: String,
    /// The conversation's.
    #[serde(rename = "sessionID")]
    pub(super) session: String,
}

/// Reads a line. Never panics, whatever the bytes.
pub(super) fn read(line: &[u8]) -> Line {
    if line.iter().all(u8::is_ascii_whitespace) {
        return Line::Empty;
    }
    let value: Value = match serde_json::from_slice(line) {
        Ok(value) => value,
        Err(error) => match repaired(line) {
            Some(value) => value,
            None => {
                return serde_json::from_slice::<Unreadable>(line)
                    .ok()
                    .filter(|unreadable| unreadable.kind.ends_with(".asked"))
                    .map_or_else(|| Line::Broken(format!("not JSON: {error}")), Line::Unreadable);
            }
        },
    };
    // The server's own events first: nothing in one of them may pass for news of the link.
    if value.get("type").is_some_and(Value::is_string) {
        return Line::Event(value);
    }
    match serde_json::from_value(value) {
        Ok(news) => Line::News(news),
        Err(_) => Line::Broken("neither an event nor an answer".to_owned()),
    }
}

/// The line without halves of surrogate pairs: JavaScript writes those for a text that was cut in an emoji.
pub(in crate::agent) fn repaired(line: &[u8]) -> Option<Value> {
    parse(std::str::from_utf8(line).ok()?).ok()
}

/// The moment at which the server made an id: the milliseconds since the epoch, of which it keeps the last
/// 36 bits in front of 12 bits that count (`evt_`, `msg_` and 12 hex digits). `None` = not such an id.
pub(super) fn made_at(id: &str) -> Option<u64> {
    Some(stamp(id)? >> 12)
}

/// The 48 bits at the front of an id that the server made.
pub(super) fn stamp(id: &str) -> Option<u64> {
    let (_, rest) = id.split_once('_')?;
    u64::from_str_radix(rest.get(..12)?, 16).ok()
}

/// How many milliseconds `later` (since the epoch) is after the event; 0 if it is before it.
pub(super) fn delay_until(later: u64, event: &str) -> u64 {
    const WRAP: u64 = 1 << 36;
    let Some(made) = made_at(event) else { return 0 };
    let delay = (later % WRAP + WRAP - made) % WRAP;
    if delay > WRAP / 2 { 0 } else { delay }
}

/// A name as a piece of a path. The server's ids hold nothing else; what does is not one of them.
pub(super) fn piece(id: &str) -> String {
    id.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-')).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_event_never_passes_for_news_of_the_link() {
        let line = json!({ "type": "x", "link": "connected" }).to_string();
        assert!(matches!(read(line.as_bytes()), Line::Event(_)));
        assert_eq!(read(br#"{"link":"connected"}"#), Line::News(News::Connected));
        for broken in ["[]", "7", "{", "{}", r#"{"link":"other"}"#, r#"{"type":7}"#] {
            assert!(matches!(read(broken.as_bytes()), Line::Broken(_)), "{broken}");
        }
        assert_eq!(read(b" \r"), Line::Empty);
    }

    #[test]
    fn half_an_emoji_does_not_cost_the_line_and_an_unreadable_question_gives_its_id() {
        assert!(
            matches!(read(br#"{"type":"x","a":"\ud83d"}"#), Line::Event(event) if event["a"] == "\u{fffd}")
        );
        let deep = "[".repeat(500) + &"]".repeat(500);
        let asked = |kind: &str| {
            format!(
                r#"{{"type":"{kind}","properties":{{"id":"per_1","sessionID":"ses_1","metadata":{deep}}}}}"#
            )
        };
        let line = read(asked("permission.asked").as_bytes());
        assert!(matches!(line, Line::Unreadable(asked) if asked.properties.id == "per_1"));
        assert!(matches!(read(asked("message.updated").as_bytes()), Line::Broken(_)));
    }

    #[test]
    fn an_id_tells_when_it_was_made() {
        assert_eq!(delay_until(1_795_326_981_482, "evt_201d3ad10001abc"), 2_138);
        assert_eq!(delay_until(1, "evt_201d3ad10001abc"), 0, "long past");
        assert_eq!(delay_until(1, "evt"), 0);
        assert_eq!(made_at("msg_x"), None);
    }

    #[test]
    fn nothing_leaves_the_path_it_stands_in() {
        assert_eq!(piece("ses_1aB"), "ses_1aB");
        assert_eq!(piece("../x?y=1#%2f"), "xy12f");
    }
}
