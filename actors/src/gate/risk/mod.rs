//! What is risky about a request, in the words of [`Risk`]: told with every approval, so that each surface shows the
//! same, and decided once, when it is asked.
//!
//! It decides nothing: no request is allowed because nothing was found. A command is read with a real grammar
//! ([`super::shell`], which policies share: that is why this lives in the gate and not at the edge), its simple
//! commands are held against the rules, and what cannot be read is dangerous for that reason.

mod place;
mod programs;
mod rules;
mod tables;
#[cfg(test)]
mod tests;
mod wrappers;

use std::ops::Range;
use std::path::Path;

use serde_json::Value;

use super::shell;
use crate::domain::approval::{ApprovalKind, Ask};
use crate::domain::risk::{Hidden, Invisible, Risk, RiskLevel, RiskMark, code_of};

/// At most so many places are marked, of either kind.
const MOST: usize = 64;
/// At most so many bytes are searched for hidden characters.
const SEARCHED: usize = 4 << 20;
/// Deepest nesting of an input that is searched.
const DEPTH: usize = 16;

/// Judges a question. `paths` are the files that it would write, absolute, with links resolved.
pub fn judge(ask: &Ask, paths: &[impl AsRef<Path>], directory: &str) -> Risk {
    judge_at(ask, paths, directory, std::env::home_dir().as_deref())
}

fn judge_at(ask: &Ask, paths: &[impl AsRef<Path>], directory: &str, home: Option<&Path>) -> Risk {
    let mut risk = Risk::none();
    let command = command_of(&ask.tool_input).filter(|_| takes_command(ask.kind));
    if let Some((text, as_given)) = &command {
        judge_command(text, directory, home, &mut risk);
        if !as_given {
            risk.command = Some(text.clone());
        }
    }
    for path in paths {
        let path = path.as_ref();
        if let Some(why) = place::why_not_write(path, Path::new(directory)) {
            add_reason(&mut risk, why);
        }
    }
    let mut search = Search { found: Vec::new(), left: SEARCHED, dangerous: false };
    if let Some((text, _)) = &command {
        search.text("command", text, true);
    }
    search.text("title", &ask.title, false);
    search.text("diff", ask.diff.as_deref().unwrap_or_default(), false);
    search.text("reason", ask.reason.as_deref().unwrap_or_default(), false);
    for question in &ask.questions {
        search.text("questions", &question.question, false);
        for option in &question.options {
            search.text("questions", &option.label, false);
            search.text("questions", &option.description, false);
        }
    }
    search.input(&ask.tool_input, command.is_some());
    if search.dangerous {
        add_reason(&mut risk, "hidden characters: what runs may not be what you read".to_owned());
    }
    if search.left == 0 {
        add_reason(&mut risk, "too long to be searched for hidden characters".to_owned());
    }
    risk.invisible = search.found;
    risk
}

fn takes_command(kind: ApprovalKind) -> bool {
    matches!(kind, ApprovalKind::Tool | ApprovalKind::Unknown)
}

fn add_reason(risk: &mut Risk, reason: String) {
    risk.level = RiskLevel::Danger;
    if risk.reasons.len() < MOST && !risk.reasons.contains(&reason) {
        risk.reasons.push(reason);
    }
}

/// The shell command in a tool's input, and whether it stands there as `command`, as text.
fn command_of(input: &Value) -> Option<(String, bool)> {
    ["command", "cmd", "script", "commands"].into_iter().find_map(|key| match input.get(key)? {
        Value::String(text) => Some((text.clone(), key == "command")),
        Value::Array(words) => {
            let words: Option<Vec<String>> =
                words.iter().map(|word| word.as_str().map(|word| quoted(word).into_owned())).collect();
            Some((words?.join(" "), false))
        }
        _ => None,
    })
}

/// A word as a shell would have to be given it.
fn quoted(word: &str) -> std::borrow::Cow<'_, str> {
    let plain = |c: char| c.is_alphanumeric() || "_-./=:@%+,".contains(c);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.into(),
        false => format!("'{}'", word.replace('\'', "'\\''")).into(),
    }
}

fn judge_command(text: &str, directory: &str, home: Option<&Path>, risk: &mut Risk) {
    let mut judge = rules::Judge::new(Path::new(directory), home);
    judge.script(text, rules::Origin::Exact(0));
    let mut found = judge.found;
    found.sort_by_key(|(place, _)| (place.start, std::cmp::Reverse(place.end)));
    let mut merged: Vec<(Range<usize>, Vec<String>)> = Vec::new();
    for (place, reason) in found {
        add_reason(risk, reason.clone());
        match merged.last_mut().filter(|(last, _)| place.start < last.end) {
            Some((last, reasons)) => {
                last.end = last.end.max(place.end);
                if !reasons.contains(&reason) {
                    reasons.push(reason);
                }
            }
            None => merged.push((place, vec![reason])),
        }
    }
    for reason in judge.overall {
        add_reason(risk, reason);
    }
    let mut units = Units::of(text);
    risk.marks = merged
        .into_iter()
        .take(MOST)
        .map(|(place, reasons)| RiskMark {
            start: units.at(place.start),
            end: units.at(text.ceil_char_boundary(place.end)),
            reason: reasons.join("; "),
        })
        .filter(|mark| mark.start < mark.end)
        .collect();
}

/// Counts UTF-16 units up to byte offsets, which must not fall.
struct Units<'t> {
    text: &'t str,
    byte: usize,
    units: usize,
}

impl<'t> Units<'t> {
    fn of(text: &'t str) -> Self {
        Self { text, byte: 0, units: 0 }
    }

    fn at(&mut self, byte: usize) -> usize {
        let byte = self.text.floor_char_boundary(byte);
        let passed = self.text.get(self.byte..byte).unwrap_or_default();
        self.units += passed.encode_utf16().count();
        self.byte = self.byte.max(byte);
        self.units
    }
}

/// Looks for characters that hide something.
struct Search {
    found: Vec<Invisible>,
    /// Bytes that may still be searched.
    left: usize,
    /// Whether one was found that may mislead.
    dangerous: bool,
}

impl Search {
    fn text(&mut self, field: &str, text: &str, is_command: bool) {
        let end = text.floor_char_boundary(self.left.min(text.len()));
        self.left = if end < text.len() { 0 } else { self.left - end };
        let mut units = 0;
        let mut before = None;
        for c in text.get(..end).unwrap_or_default().chars() {
            let hidden = match is_command {
                // A terminal goes back to the beginning of the line.
                true if before == Some('\r') && c != '\n' => Some(Hidden::Control),
                true => Hidden::of(c),
                false => Hidden::in_text(c),
            };
            before = Some(c);
            let start = units;
            units += c.len_utf16();
            let Some(hidden) = hidden else { continue };
            self.dangerous |= is_command || matches!(hidden, Hidden::Direction | Hidden::Control);
            if self.found.len() < MOST {
                self.found.push(Invisible {
                    field: field.to_owned(),
                    start,
                    end: units,
                    code: code_of(c),
                    name: hidden.name().to_owned(),
                });
            }
        }
    }

    /// All texts of an input; a command was searched before.
    fn input(&mut self, input: &Value, command_known: bool) {
        let Value::Object(map) = input else { return self.inner("tool_input", input, DEPTH) };
        for (key, value) in map {
            if command_known && key == "command" {
                continue;
            }
            self.inner(&format!("tool_input.{key}"), value, DEPTH);
        }
    }

    fn inner(&mut self, field: &str, value: &Value, depth: usize) {
        match value {
            Value::String(text) => self.text(field, text, false),
            Value::Array(items) if depth > 0 => {
                items.iter().for_each(|item| self.inner(field, item, depth - 1));
            }
            Value::Object(map) if depth > 0 => {
                map.iter().for_each(|(key, item)| {
                    self.text(field, key, false);
                    self.inner(field, item, depth - 1);
                });
            }
            Value::Array(_) | Value::Object(_) => self.left = 0,
            _ => {}
        }
    }
}
