//! Codex's files (verified with 0.169.0): `sessions/YYYY/MM/DD/rollout-<time>-<thread id>.jsonl`, lines of
//! `{timestamp, type, payload}`, and `thread-writer-locks/<thread id>.lock`, which whoever has a thread open keeps
//! locked.
//!
//! What was said is read from the `response_item` lines, which all versions write. Its SQLite index is not: its file's
//! name and columns change with the versions, and the files tell all that is shown.

use serde::Deserialize;
use serde_json::Value;

use super::entry::{Entry, Piece, Role};
use super::scan::{About, Read};
use crate::domain::time::Stamp;

/// As in the module `claude`: what stands in a line that is of interest.
const OF_INTEREST: [&[u8]; 2] = [br#""type":"response_item""#, br#""type":"session_meta""#];

#[derive(Deserialize)]
struct Line {
    timestamp: Option<String>,
    #[serde(rename = "type")]
    kind: String,
    payload: Value,
}

/// Reads a line.
pub fn read(line: &[u8]) -> Read {
    if !OF_INTEREST.iter().any(|needle| memchr::memmem::find(line, needle).is_some()) {
        return Read::default();
    }
    let Ok(line) = serde_json::from_slice::<Line>(line) else { return Read::default() };
    match line.kind.as_str() {
        "session_meta" => Read { about: about(&line.payload), ..Read::default() },
        "response_item" => Read { entry: entry(&line), ..Read::default() },
        _ => Read::default(),
    }
}

fn about(payload: &Value) -> About {
    let text = |key: &str| payload.get(key).and_then(Value::as_str).map(str::to_owned);
    // A sub-agent's thread is a part of another one.
    let of_person = payload.get("source").is_none_or(|source| source.get("subagent").is_none());
    About { id: text("id"), directory: text("cwd"), hidden: !of_person, ..About::default() }
}

fn entry(line: &Line) -> Option<Entry> {
    let payload = &line.payload;
    let text = |key: &str| payload.get(key).and_then(Value::as_str).map(str::to_owned);
    let call = |name: Option<String>, input: Value| {
        let id = text("call_id").or_else(|| text("id"))?;
        Some((Role::Assistant, vec![Piece::Call { id, name: name?, input }]))
    };
    let result = || {
        let output = payload.get("output")?;
        let id = text("call_id")?;
        let (text, is_error) = output_text(output);
        Some((Role::User, vec![Piece::Result { id, text, is_error }]))
    };
    let (role, pieces) = match payload.get("type")?.as_str()? {
        "message" => message(payload)?,
        "reasoning" => {
            let texts = texts_of(payload.get("summary")?);
            (Role::Assistant, vec![Piece::Thinking(texts.join("\n\n"))])
        }
        "function_call" => {
            let written = text("arguments").unwrap_or_default();
            let input = serde_json::from_str(&written).unwrap_or(Value::String(written));
            call(text("name"), input)?
        }
        "custom_tool_call" => {
            let input = text("input").unwrap_or_default();
            call(text("name"), serde_json::json!({ "input": input }))?
        }
        "local_shell_call" => call(Some("shell".into()), payload.get("action").cloned().unwrap_or_default())?,
        "web_search_call" => {
            call(Some("web_search".into()), payload.get("action").cloned().unwrap_or_default())?
        }
        "function_call_output" | "custom_tool_call_output" => result()?,
        _ => return None,
    };
    let says =
        |piece: &Piece| !matches!(piece, Piece::Text(text) | Piece::Thinking(text) if text.trim().is_empty());
    if !pieces.iter().any(says) {
        return None;
    }
    Some(Entry {
        id: text("id").unwrap_or_default(),
        parent: None,
        group: None,
        at: line.timestamp.as_deref().and_then(Stamp::parse).map(Stamp::unix_millis),
        role,
        pieces,
        by_hand: false,
    })
}

fn message(payload: &Value) -> Option<(Role, Vec<Piece>)> {
    let role = match payload.get("role")?.as_str()? {
        "user" => Role::User,
        "assistant" => Role::Assistant,
        // `developer`, `system`: what the program tells the model.
        _ => return None,
    };
    let texts = texts_of(payload.get("content")?);
    if role == Role::User && told_by_program(payload, &texts) {
        return None;
    }
    let images = payload.get("content")?.as_array().into_iter().flatten();
    let images = images.filter(|part| part.get("type").is_some_and(|kind| kind == "input_image"));
    let pieces = texts.into_iter().map(Piece::Text).chain(images.map(|_| Piece::Text("[image]".into())));
    Some((role, pieces.collect()))
}

/// Whether the program put this into the person's mouth: newer versions say so, older ones begin it with a mark.
fn told_by_program(payload: &Value, texts: &[String]) -> bool {
    let provenance = payload
        .pointer("/internal_chat_message_metadata_passthrough/content_item_metadata/0/provenance/type");
    match provenance.and_then(Value::as_str) {
        Some("user") => false,
        Some(_) => true,
        None => {
            const MARKS: [&str; 7] = [
                "<environment_context>",
                "<user_instructions>",
                "<turn_aborted>",
                "<subagent_notification>",
                "<skill>",
                "<user_shell_command>",
                "# AGENTS.md instructions",
            ];
            texts.first().is_some_and(|text| MARKS.iter().any(|mark| text.trim_start().starts_with(mark)))
        }
    }
}

fn texts_of(parts: &Value) -> Vec<String> {
    let texts = parts.as_array().into_iter().flatten().filter_map(|part| part.get("text")?.as_str());
    texts.map(str::to_owned).collect()
}

/// What a tool gave back: a text, or (in other versions) an object or a list of parts.
fn output_text(output: &Value) -> (String, bool) {
    let failed = output.get("success").is_some_and(|success| success == false);
    let text = match output {
        Value::String(text) => text.clone(),
        Value::Array(_) => texts_of(output).join("\n"),
        other => match other.get("content").or_else(|| other.get("body")) {
            Some(Value::String(text)) => text.clone(),
            Some(parts) => texts_of(parts).join("\n"),
            None => other.to_string(),
        },
    };
    (text, failed)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pieces(payload: Value) -> Vec<Piece> {
        let line =
            json!({ "timestamp": "2026-01-02T03:04:05.678Z", "type": "response_item", "payload": payload });
        read(line.to_string().as_bytes()).entry.map(|entry| entry.pieces).unwrap_or_default()
    }

    #[test]
    fn what_the_program_puts_into_the_persons_mouth_is_left_out() {
        let user = |text: &str, provenance: Option<&str>| {
            let mut payload = json!({ "type": "message", "role": "user", "content": [{ "type": "input_text", "text": text }] });
            if let Some(word) = provenance {
                payload["internal_chat_message_metadata_passthrough"] =
                    json!({ "content_item_metadata": [{ "provenance": { "type": word } }] });
            }
            pieces(payload).len()
        };
        assert_eq!(user("fix", None), 1);
        assert_eq!(user("<environment_context>\n", None), 0);
        assert_eq!(user("fix", Some("harness")), 0);
        assert_eq!(user("<environment_context> is what I ask about", Some("user")), 1);
        assert_eq!(
            pieces(json!({ "type": "message", "role": "developer", "content": [{ "text": "x" }] })),
            []
        );
    }

    #[test]
    fn tools_are_read_in_all_their_forms() {
        let call = |name: &str, input| vec![Piece::Call { id: "c".into(), name: name.into(), input }];
        assert_eq!(
            pieces(
                json!({ "type": "function_call", "call_id": "c", "name": "shell", "arguments": "{\"cmd\":\"ls\"}" })
            ),
            call("shell", json!({ "cmd": "ls" }))
        );
        assert_eq!(
            pieces(json!({ "type": "function_call", "call_id": "c", "name": "shell", "arguments": "{oops" })),
            call("shell", json!("{oops"))
        );
        assert_eq!(
            pieces(
                json!({ "type": "custom_tool_call", "call_id": "c", "name": "apply_patch", "input": "*** Begin" })
            ),
            call("apply_patch", json!({ "input": "*** Begin" }))
        );
        for output in [json!("out"), json!({ "content": "out" }), json!([{ "text": "out" }])] {
            let expected = [Piece::Result { id: "c".into(), text: "out".into(), is_error: false }];
            assert_eq!(
                pieces(json!({ "type": "function_call_output", "call_id": "c", "output": output })),
                expected
            );
        }
        assert_eq!(pieces(json!({ "type": "reasoning", "summary": [] })), []);
    }

    #[test]
    fn a_sub_agents_thread_is_hidden() {
        let about = |source| {
            let line =
                json!({ "type": "session_meta", "payload": { "id": "t", "cwd": "/p", "source": source } });
            read(line.to_string().as_bytes()).about
        };
        assert!(!about(json!("cli")).hidden);
        assert!(about(json!({ "subagent": "review" })).hidden);
        assert_eq!(about(json!("exec")).directory.as_deref(), Some("/p"));
    }
}
