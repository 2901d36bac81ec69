//! One entry in a file of JSON, with comments or without.

use jsonc_parser::ParseOptions;
use jsonc_parser::cst::{CstInputValue, CstObject, CstRootNode};
use serde_json::Value;

use super::in_order;

/// What editors and agents take: JSON, comments and trailing commas. Anything looser is not ours to mend.
fn options() -> ParseOptions {
    ParseOptions {
        allow_comments: true,
        allow_loose_object_property_names: false,
        allow_trailing_commas: true,
        allow_missing_commas: false,
        allow_single_quoted_strings: false,
        allow_hexadecimal_numbers: false,
        allow_unary_plus_numbers: false,
    }
}

fn parse(text: &str) -> Result<CstRootNode, String> {
    CstRootNode::parse(text, &options()).map_err(|error| format!("it is no JSON ({error})"))
}

/// The object at the top; one is made where the file is empty.
fn top(root: &CstRootNode) -> Result<CstObject, String> {
    root.object_value_or_create().ok_or_else(|| "its JSON is no object".to_owned())
}

/// The entry `name` in the object `within`.
pub fn look(text: &str, within: &str, name: &str) -> Result<Option<Value>, String> {
    let root = parse(text)?;
    let whole = root.to_serde_value().unwrap_or_default();
    if !whole.is_object() && !whole.is_null() {
        return Err("its JSON is no object".to_owned());
    }
    match whole.get(within) {
        None => Ok(None),
        Some(Value::Object(entries)) => Ok(entries.get(name).cloned()),
        Some(_) => Err(format!("its {within:?} is no object")),
    }
}

/// The text with the entry set, or taken out.
pub fn edit(text: &str, within: &str, name: &str, entry: Option<&Value>) -> Result<String, String> {
    let root = parse(text)?;
    let top = top(&root)?;
    let no_object = || format!("its {within:?} is no object");
    match entry {
        Some(entry) => {
            let entries = top.object_value_or_create(within).ok_or_else(no_object)?;
            match entries.get(name) {
                Some(old) => old.set_value(input(entry)),
                None => {
                    entries.append(name, input(entry));
                }
            }
            top.ensure_multiline();
            entries.ensure_multiline();
        }
        None => {
            let Some(property) = top.get(within) else { return Ok(text.to_owned()) };
            let entries = property.object_value().ok_or_else(no_object)?;
            if let Some(old) = entries.get(name) {
                old.remove();
            }
            // Nobody misses an empty list, and one that we made goes with its last entry.
            if entries.children_exclude_trivia_and_tokens().is_empty() && !has_comments(&entries.to_string())
            {
                property.remove();
            }
        }
    }
    let mut after = root.to_string();
    if !after.ends_with('\n') && (text.is_empty() || text.ends_with('\n')) {
        after.push('\n');
    }
    Ok(after)
}

fn has_comments(text: &str) -> bool {
    text.contains("//") || text.contains("/*")
}

fn input(value: &Value) -> CstInputValue {
    match value {
        Value::Null => CstInputValue::Null,
        Value::Bool(flag) => CstInputValue::Bool(*flag),
        Value::Number(number) => CstInputValue::Number(number.to_string()),
        Value::String(text) => CstInputValue::String(text.clone()),
        Value::Array(items) => CstInputValue::Array(items.iter().map(input).collect()),
        Value::Object(map) => CstInputValue::Object(
            in_order(map).into_iter().map(|(name, value)| (name.clone(), input(value))).collect(),
        ),
    }
}
