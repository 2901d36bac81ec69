//! Reading the JSON that agents write: leniently, field by field, because most fields are undocumented and change from
//! version to version. An odd value in a field that nobody needs must not cost a whole line, and least of all a question.

use serde_json::Value;

/// Reads a text as JSON. JavaScript writes half of a surrogate pair (text cut in the middle of an emoji) as an escape
/// that is no valid character; such an escape is read as U+FFFD.
pub(in crate::agent) fn parse(text: &str) -> Result<Value, serde_json::Error> {
    serde_json::from_str(text).or_else(|error| {
        replace_lone_surrogates(text).and_then(|repaired| serde_json::from_str(&repaired).ok()).ok_or(error)
    })
}

/// Replaces each `\uD800`..`\uDFFF` escape that is not one of a pair by `\ufffd`; `None` = there is none.
fn replace_lone_surrogates(text: &str) -> Option<String> {
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
    /// A text that is not empty.
    fn word(&self, key: &str) -> Option<&str>;
    /// A whole number, not negative; fractions are cut off.
    fn number(&self, key: &str) -> Option<u64>;
    /// A figure, not negative.
    fn figure(&self, key: &str) -> Option<f64>;
    /// Whether the field is `true`.
    fn flag(&self, key: &str) -> bool;
    /// The elements of a list; none if it is no list.
    fn list(&self, key: &str) -> &[Value];
    /// Whether the field is there, and neither null nor `false`: how capabilities are told.
    fn has(&self, key: &str) -> bool;
}

impl Fields for Value {
    fn text(&self, key: &str) -> Option<&str> {
        self.get(key)?.as_str()
    }

    fn word(&self, key: &str) -> Option<&str> {
        self.text(key).filter(|text| !text.trim().is_empty())
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

    fn has(&self, key: &str) -> bool {
        self.get(key).is_some_and(|value| !value.is_null() && *value != Value::Bool(false))
    }
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
    use serde_json::json;

    use super::*;

    #[test]
    fn half_an_emoji_does_not_cost_the_text() {
        let value = parse(r#"{"a":"x\ud83d","b":"\ud83d\ude00","c":"\\ud83d"}"#).expect("it is readable");
        assert_eq!(value, json!({ "a": "x\u{fffd}", "b": "\u{1f600}", "c": "\\ud83d" }));
        assert!(parse(r#"{"a":"x\ud83d""#).is_err());
    }

    #[test]
    fn a_text_is_cut_between_characters() {
        assert_eq!(head("aé", 2), "a");
        assert_eq!(head("aé", 3), "aé");
        assert_eq!(head("aé", 99), "aé");
    }
}
