//! One entry in a file of TOML (Codex: `[mcp_servers.NAME]`).

use serde_json::{Map, Value};
use toml_edit::{DocumentMut, Item, Table};

use super::in_order;

fn parse(text: &str) -> Result<DocumentMut, String> {
    text.parse::<DocumentMut>().map_err(|error| {
        let first = error.to_string().lines().next().unwrap_or_default().to_owned();
        format!("it is no TOML ({first})")
    })
}

/// The entry `name` in the table `within`.
pub fn look(text: &str, within: &str, name: &str) -> Result<Option<Value>, String> {
    let document = parse(text)?;
    let Some(entries) = document.get(within) else { return Ok(None) };
    let entries = entries.as_table_like().ok_or_else(|| format!("its {within:?} is no table"))?;
    Ok(entries.get(name).map(to_json))
}

/// The text with the entry set, or taken out.
pub fn edit(text: &str, within: &str, name: &str, entry: Option<&Value>) -> Result<String, String> {
    let mut document = parse(text)?;
    let no_table = || format!("its {within:?} is no table");
    match entry {
        Some(entry) => {
            let entries = document.entry(within).or_insert_with(|| {
                let mut table = Table::new();
                // No `[mcp_servers]` of its own above `[mcp_servers.tether]`.
                table.set_implicit(true);
                Item::Table(table)
            });
            let entries = entries.as_table_like_mut().ok_or_else(no_table)?;
            entries.insert(name, to_toml(entry));
        }
        None => {
            let Some(entries) = document.get_mut(within) else { return Ok(text.to_owned()) };
            let entries = entries.as_table_like_mut().ok_or_else(no_table)?;
            entries.remove(name);
            if entries.is_empty() {
                document.remove(within);
            }
        }
    }
    Ok(document.to_string())
}

fn to_json(item: &Item) -> Value {
    if let Some(table) = item.as_table_like() {
        let entries = table.iter().map(|(name, item)| (name.to_owned(), to_json(item)));
        return Value::Object(entries.collect::<Map<_, _>>());
    }
    if let Some(items) = item.as_array() {
        return items.iter().map(|value| to_json(&Item::Value(value.clone()))).collect();
    }
    if let Some(text) = item.as_str() {
        return text.into();
    }
    match (item.as_integer(), item.as_bool(), item.as_float()) {
        (Some(number), ..) => number.into(),
        (_, Some(flag), _) => flag.into(),
        (.., Some(number)) => number.into(),
        _ => item.to_string().trim().into(),
    }
}

/// An object becomes a table, one within it an inline table.
fn to_toml(value: &Value) -> Item {
    match value {
        Value::Object(map) => {
            let mut table = Table::new();
            for (name, value) in in_order(map) {
                table.insert(name, Item::Value(inline(value)));
            }
            Item::Table(table)
        }
        other => Item::Value(inline(other)),
    }
}

fn inline(value: &Value) -> toml_edit::Value {
    match value {
        Value::Bool(flag) => (*flag).into(),
        Value::Number(number) => match number.as_i64() {
            Some(number) => number.into(),
            None => number.as_f64().unwrap_or_default().into(),
        },
        Value::String(text) => text.as_str().into(),
        Value::Array(items) => toml_edit::Value::Array(items.iter().map(inline).collect()),
        Value::Object(map) => {
            let mut table = toml_edit::InlineTable::new();
            for (name, value) in in_order(map) {
                table.insert(name, inline(value));
            }
            toml_edit::Value::InlineTable(table)
        }
        // TOML knows no null, and no entry of ours has one.
        Value::Null => "".into(),
    }
}
