//! Pi's files (verified with 0.73.1): `<folder of the directory>/<time>_<id>.jsonl`, a header line and then a tree of
//! entries by `parentId`.

use serde::Deserialize;
use serde_json::Value;

use super::entry::{Entry, Piece, Role};
use super::scan::{About, Read};
use crate::domain::time::Stamp;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    #[serde(rename = "type")]
    kind: String,
    id: Option<String>,
    parent_id: Option<String>,
    timestamp: Option<String>,
    cwd: Option<String>,
    name: Option<String>,
    message: Option<Value>,
}

/// Reads a line.
pub fn read(line: &[u8]) -> Read {
    let Ok(line) = serde_json::from_slice::<Line>(line) else { return Read::default() };
    if line.kind == "session" {
        let about = About { id: line.id, directory: line.cwd, ..About::default() };
        return Read { about, ..Read::default() };
    }
    let title = line.name.clone().filter(|_| line.kind == "session_info");
    let link = line.id.clone().map(|id| (id, line.parent_id.clone()));
    Read { about: About { title, ..About::default() }, link, entry: entry(line) }
}

fn entry(line: Line) -> Option<Entry> {
    let message = line.message.filter(|_| line.kind == "message")?;
    let text = |key: &str| message.get(key).and_then(Value::as_str).map(str::to_owned);
    let content = message.get("content")?;
    let (role, pieces) = match message.get("role")?.as_str()? {
        "user" => (Role::User, blocks(content)),
        "assistant" => {
            let mut pieces = blocks(content);
            // A failed answer holds nothing else.
            pieces.extend(
                text("errorMessage")
                    .filter(|_| content.as_array().is_some_and(Vec::is_empty))
                    .map(Piece::Text),
            );
            (Role::Assistant, pieces)
        }
        "toolResult" => {
            let id = text("toolCallId")?;
            let is_error = message.get("isError").and_then(Value::as_bool).unwrap_or(false);
            let text = super::claude::result_text(content);
            (Role::User, vec![Piece::Result { id, text, is_error }])
        }
        _ => return None,
    };
    if pieces.is_empty() {
        return None;
    }
    Some(Entry {
        id: line.id.unwrap_or_default(),
        parent: line.parent_id,
        group: None,
        at: line.timestamp.as_deref().and_then(Stamp::parse).map(Stamp::unix_millis),
        role,
        pieces,
        by_hand: false,
    })
}

fn blocks(content: &Value) -> Vec<Piece> {
    if let Value::String(text) = content {
        return vec![Piece::Text(text.clone())];
    }
    content.as_array().into_iter().flatten().filter_map(piece).collect()
}

fn piece(block: &Value) -> Option<Piece> {
    let text = |key: &str| block.get(key).and_then(Value::as_str).map(str::to_owned);
    match block.get("type")?.as_str()? {
        "text" => text("text").filter(|text| !text.trim().is_empty()).map(Piece::Text),
        "thinking" => text("thinking").filter(|text| !text.trim().is_empty()).map(Piece::Thinking),
        "image" => Some(Piece::Text("[image]".into())),
        "toolCall" => Some(Piece::Call {
            id: text("id")?,
            name: text("name")?,
            input: block.get("arguments").cloned().unwrap_or_default(),
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(line: Value) -> Read {
        read(line.to_string().as_bytes())
    }

    #[test]
    fn the_header_tells_whose_conversation_it_is() {
        let about = of(json!({ "type": "session", "version": 3, "id": "s", "cwd": "/p" })).about;
        assert_eq!((about.id.as_deref(), about.directory.as_deref()), (Some("s"), Some("/p")));
        assert_eq!(
            of(json!({ "type": "session_info", "id": "i", "name": "My work" })).about.title.as_deref(),
            Some("My work")
        );
        assert_eq!(
            of(json!({ "type": "model_change", "id": "m", "parentId": "p" })).link,
            Some(("m".into(), Some("p".into())))
        );
    }

    #[test]
    fn messages_of_all_three_kinds_are_read() {
        let pieces = |message| {
            of(json!({ "type": "message", "id": "x", "message": message })).entry.map(|entry| entry.pieces)
        };
        assert_eq!(
            pieces(json!({ "role": "user", "content": "plain" })),
            Some(vec![Piece::Text("plain".into())])
        );
        let call = json!({ "type": "toolCall", "id": "c", "name": "bash", "arguments": { "command": "ls" } });
        let said = pieces(
            json!({ "role": "assistant", "content": [{ "type": "thinking", "thinking": "hm" }, call] }),
        );
        assert_eq!(said.map(|pieces| pieces.len()), Some(2));
        let failed =
            json!({ "role": "assistant", "content": [], "stopReason": "error", "errorMessage": "400 no" });
        assert_eq!(pieces(failed), Some(vec![Piece::Text("400 no".into())]));
        let result = json!({ "role": "toolResult", "toolCallId": "c", "content": [{ "type": "text", "text": "out" }], "isError": true });
        assert_eq!(
            pieces(result),
            Some(vec![Piece::Result { id: "c".into(), text: "out".into(), is_error: true }])
        );
        assert_eq!(pieces(json!({ "role": "bashExecution", "content": "x" })), None);
    }
}
