//! Reads the fields of a JSON object or of a query, and collects every problem that it meets.
//!
//! The problems have the shape that the API's contract promises (`details` of a 422): `{"type","loc","msg",
//! "input","ctx"?}`, with the words of pydantic, which the peer's clients know.

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::error::ApiError;

/// The fields of one request part, and what is wrong with them. Every getter takes its field out, notes
/// a problem if there is one, and then gives a stand-in, so that one answer lists them all;
/// [`Fields::done`] must be asked before a value is used.
#[derive(Debug)]
pub struct Fields {
    part: &'static str,
    /// Where in the part these fields lie.
    within: Vec<Value>,
    map: Map<String, Value>,
    problems: Vec<Value>,
    /// The body as it was sent: a problem with a missing field shows what was there instead.
    raw: Bytes,
}

/// The longest `input` that a problem repeats, in bytes of JSON.
const ECHO_LIMIT: usize = 1024;

impl Fields {
    /// Of a body.
    pub fn of_body(map: Map<String, Value>, raw: Bytes) -> Self {
        Self { part: "body", within: Vec::new(), map, problems: Vec::new(), raw }
    }

    /// Of a query string (`a=1&b=x`), percent-decoded; of a name given twice the last counts.
    pub fn of_query(query: &str) -> Self {
        let map = pairs(query).into_iter().map(|(name, value)| (name, Value::String(value))).collect();
        Self { part: "query", within: Vec::new(), map, problems: Vec::new(), raw: Bytes::new() }
    }

    /// Of the object that lies in the field `name` of a body; its problems are told with those of the body
    /// by [`Fields::absorb`].
    pub fn of_inner(name: &'static str, map: Map<String, Value>) -> Self {
        Self { part: "body", within: vec![name.into()], map, problems: Vec::new(), raw: Bytes::new() }
    }

    /// The same for an object in a list.
    pub fn of_item(name: &'static str, at: usize, map: Map<String, Value>) -> Self {
        let within = vec![name.into(), at.into()];
        Self { part: "body", within, map, problems: Vec::new(), raw: Bytes::new() }
    }

    /// The same for the object in the field `name` of these fields.
    pub fn inner(&self, name: &'static str, map: Map<String, Value>) -> Self {
        let mut within = self.within.clone();
        within.push(name.into());
        Self { part: self.part, within, map, problems: Vec::new(), raw: Bytes::new() }
    }

    /// Takes over the problems of an inner object.
    pub fn absorb(&mut self, inner: Fields) {
        self.problems.extend(inner.problems);
    }

    /// Whether the field was sent, null or not.
    pub fn has(&self, name: &str) -> bool {
        self.map.contains_key(name)
    }

    /// The problems as one refusal, if there are any.
    pub fn done(mut self) -> Result<(), ApiError> {
        if self.problems.is_empty() {
            return Ok(());
        }
        let sent = serde_json::from_slice(&self.raw).unwrap_or_else(|_| json!({}));
        let sent = echo(&sent);
        for problem in &mut self.problems {
            if problem.get("input").is_none() {
                problem["input"] = sent.clone();
            }
        }
        Err(ApiError::schema(self.problems))
    }

    /// Notes a problem with the field (or with what lies at `loc` below it).
    pub fn problem(&mut self, loc: &[Value], kind: &str, msg: &str, input: &Value, ctx: Value) {
        let mut path = vec![Value::from(self.part)];
        path.extend_from_slice(&self.within);
        path.extend_from_slice(loc);
        let mut item = json!({"type": kind, "loc": path, "msg": msg, "input": echo(input)});
        if let (false, Some(item)) = (ctx.is_null(), item.as_object_mut()) {
            item.insert("ctx".into(), ctx);
        }
        self.problems.push(item);
    }

    fn wrong(&mut self, name: &str, kind: &str, msg: &str, input: &Value, ctx: Value) {
        self.problem(&[Value::from(name)], kind, msg, input, ctx);
    }

    /// Takes the field; absent and null are the same.
    fn take(&mut self, name: &str) -> Option<Value> {
        self.map.remove(name).filter(|value| !value.is_null())
    }

    /// Takes a field that must be there; null is there, and will be found of the wrong type.
    fn take_required(&mut self, name: &'static str) -> Option<Value> {
        let value = self.map.remove(name);
        if value.is_none() {
            // Without `input`: `done` fills in what was sent.
            let mut path = vec![Value::from(self.part)];
            path.extend_from_slice(&self.within);
            path.push(name.into());
            self.problems.push(json!({"type": "missing", "loc": path, "msg": "Field required"}));
        }
        value
    }

    fn as_text(&mut self, name: &str, value: Value) -> Option<String> {
        match value {
            Value::String(text) => Some(text),
            other => {
                self.wrong(name, "string_type", "Input should be a valid string", &other, Value::Null);
                None
            }
        }
    }

    fn checked(&mut self, name: &str, text: String, min: usize, max: usize) -> String {
        // Characters, not bytes: that is what the contract counts.
        let length = if text.len() < min || text.len() > max { text.chars().count() } else { text.len() };
        if length < min {
            let s = if min == 1 { "" } else { "s" };
            let msg = format!("String should have at least {min} character{s}");
            self.wrong(
                name,
                "string_too_short",
                &msg,
                &Value::from(text.as_str()),
                json!({"min_length": min}),
            );
        } else if length > max {
            let s = if max == 1 { "" } else { "s" };
            let msg = format!("String should have at most {max} character{s}");
            self.wrong(
                name,
                "string_too_long",
                &msg,
                &Value::from(text.as_str()),
                json!({"max_length": max}),
            );
        }
        text
    }

    /// A text that may be absent or null.
    pub fn text(&mut self, name: &str) -> Option<String> {
        let value = self.take(name)?;
        self.as_text(name, value)
    }

    /// A text that may be absent or null, of so many characters.
    pub fn text_within(&mut self, name: &str, min: usize, max: usize) -> Option<String> {
        let text = self.text(name)?;
        Some(self.checked(name, text, min, max))
    }

    /// A text that must be there, of so many characters.
    pub fn required_text(&mut self, name: &'static str, min: usize, max: usize) -> String {
        let Some(value) = self.take_required(name) else { return String::new() };
        match self.as_text(name, value) {
            Some(text) => self.checked(name, text, min, max),
            None => String::new(),
        }
    }

    /// One of these words; absent or null is `None`.
    pub fn word(&mut self, name: &str, words: &[&'static str]) -> Option<&'static str> {
        let value = self.take(name)?;
        self.literal(name, &value, words)
    }

    /// One of these words, which must be there.
    pub fn required_word(&mut self, name: &'static str, words: &[&'static str]) -> &'static str {
        let Some(value) = self.take_required(name) else { return "" };
        self.literal(name, &value, words).unwrap_or_default()
    }

    fn literal(&mut self, name: &str, value: &Value, words: &[&'static str]) -> Option<&'static str> {
        let found = value.as_str().and_then(|text| words.iter().find(|word| **word == text));
        if found.is_none() {
            let quoted: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
            self.not_literal(name, value, &one_of(&quoted));
        }
        found.copied()
    }

    /// One of these small numbers. The outer `None` means that the field is absent, the inner that it is null.
    pub fn choice(&mut self, name: &str, choices: &[u8]) -> Option<Option<u8>> {
        let value = self.map.remove(name)?;
        if value.is_null() {
            return Some(None);
        }
        let found =
            value.as_u64().and_then(|n| choices.iter().copied().find(|choice| u64::from(*choice) == n));
        if found.is_none() {
            let names: Vec<String> = choices.iter().map(u8::to_string).collect();
            self.not_literal(name, &value, &one_of(&names));
        }
        Some(found)
    }

    fn not_literal(&mut self, name: &str, value: &Value, expected: &str) {
        let msg = format!("Input should be {expected}");
        self.wrong(name, "literal_error", &msg, value, json!({ "expected": expected }));
    }

    /// A whole number within bounds, or this default when it is absent. Numbers in text are read too.
    pub fn int(&mut self, name: &str, default: u64, min: u64, max: u64) -> u64 {
        let Some(value) = self.map.remove(name) else { return default };
        let number = match &value {
            Value::Number(number) => number.as_i128().or_else(|| whole(number.as_f64())),
            Value::String(text) => text.trim().parse::<i128>().ok(),
            _ => None,
        };
        let Some(number) = number else {
            let (kind, msg) = match &value {
                Value::String(_) => {
                    ("int_parsing", "Input should be a valid integer, unable to parse string as an integer")
                }
                Value::Number(_) => {
                    ("int_from_float", "Input should be a valid integer, got a number with a fractional part")
                }
                _ => ("int_type", "Input should be a valid integer"),
            };
            self.wrong(name, kind, msg, &value, Value::Null);
            return default;
        };
        if number < i128::from(min) {
            let msg = format!("Input should be greater than or equal to {min}");
            self.wrong(name, "greater_than_equal", &msg, &value, json!({ "ge": min }));
            return default;
        }
        match u64::try_from(number) {
            Ok(number) if number <= max => number,
            _ => {
                let msg = format!("Input should be less than or equal to {max}");
                self.wrong(name, "less_than_equal", &msg, &value, json!({ "le": max }));
                default
            }
        }
    }

    /// A yes or no; absent is `None`. Words and 0/1 are read too.
    pub fn flag(&mut self, name: &str) -> Option<bool> {
        let value = self.take(name)?;
        self.as_flag(name, &value)
    }

    /// A yes or no that must be there.
    pub fn required_flag(&mut self, name: &'static str) -> bool {
        let Some(value) = self.take_required(name) else { return false };
        self.as_flag(name, &value).unwrap_or_default()
    }

    fn as_flag(&mut self, name: &str, value: &Value) -> Option<bool> {
        let read = match value {
            Value::Bool(flag) => return Some(*flag),
            Value::Number(number) if number.as_f64() == Some(0.0) => Some(false),
            Value::Number(number) if number.as_f64() == Some(1.0) => Some(true),
            Value::String(text) if text.len() <= 5 => match text.to_ascii_lowercase().as_str() {
                "1" | "t" | "true" | "y" | "yes" | "on" => Some(true),
                "0" | "f" | "false" | "n" | "no" | "off" => Some(false),
                _ => None,
            },
            _ => None,
        };
        if read.is_none() {
            let (kind, msg) = match value {
                Value::String(_) | Value::Number(_) => {
                    ("bool_parsing", "Input should be a valid boolean, unable to interpret input")
                }
                _ => ("bool_type", "Input should be a valid boolean"),
            };
            self.wrong(name, kind, msg, value, Value::Null);
        }
        read
    }

    /// An object that may be absent or null.
    pub fn object(&mut self, name: &str) -> Option<Map<String, Value>> {
        let value = self.take(name)?;
        self.as_object(name, value)
    }

    /// An object that must be there.
    pub fn required_object(&mut self, name: &'static str) -> Map<String, Value> {
        let Some(value) = self.take_required(name) else { return Map::new() };
        self.as_object(name, value).unwrap_or_default()
    }

    fn as_object(&mut self, name: &str, value: Value) -> Option<Map<String, Value>> {
        match value {
            Value::Object(map) => Some(map),
            other => {
                self.wrong(name, "dict_type", "Input should be a valid dictionary", &other, Value::Null);
                None
            }
        }
    }

    /// A list that may be absent or null.
    pub fn list(&mut self, name: &str) -> Vec<Value> {
        match self.take(name) {
            None => Vec::new(),
            Some(Value::Array(items)) => items,
            Some(other) => {
                self.wrong(name, "list_type", "Input should be a valid list", &other, Value::Null);
                Vec::new()
            }
        }
    }

    /// Takes out all fields that are left.
    pub fn take_all(&mut self) -> Map<String, Value> {
        std::mem::take(&mut self.map)
    }

    /// All fields that were not taken out yet.
    pub fn copy(&self) -> Map<String, Value> {
        self.map.clone()
    }

    /// Whatever was sent under this name.
    pub fn any(&mut self, name: &str) -> Option<Value> {
        self.map.remove(name)
    }
}

fn whole(number: Option<f64>) -> Option<i128> {
    // Beyond 2^53 a float is no longer one whole number; such a value is out of every bound here anyway.
    number.filter(|n| n.fract() == 0.0 && n.abs() <= 9_007_199_254_740_992.0).map(|n| n as i128)
}

/// `a`, `a or b`, `a, b or c`.
fn one_of(words: &[String]) -> String {
    match words {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

/// What was sent, unless it is so long that repeating it would help nobody.
fn echo(value: &Value) -> Value {
    match value {
        Value::String(text) if text.len() > ECHO_LIMIT => Value::Null,
        Value::Array(_) | Value::Object(_) => match serde_json::to_vec(value) {
            Ok(json) if json.len() <= ECHO_LIMIT => value.clone(),
            _ => Value::Null,
        },
        other => other.clone(),
    }
}

fn pairs(query: &str) -> Vec<(String, String)> {
    actix_web::web::Query::<Vec<(String, String)>>::from_query(query)
        .map(actix_web::web::Query::into_inner)
        .unwrap_or_default()
}

#[cfg(test)]
#[path = "fields_tests.rs"]
mod tests;
