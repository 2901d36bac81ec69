//! Claude Code's files (verified with 2.1.330): `projects/<slug>/<session id>.jsonl`, one record a line, and
//! `sessions/<pid>.json` for every program that runs.
//!
//! A file holds far more than the conversation: whole requests with all their tools, attachments, snapshots. Such
//! records are passed over before anything is parsed.

use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use super::entry::{Entry, Piece, Role};
use super::scan::{About, Read};
use crate::domain::time::Stamp;

/// What stands in a record that is of interest. A quotation mark within a text is escaped, so none of these can be
/// found in one.
const OF_INTEREST: [&[u8]; 6] = [
    br#""type":"user""#,
    br#""type":"assistant""#,
    br#""type":"attachment""#,
    br#""type":"system""#,
    br#""type":"custom-title""#,
    br#""type":"last-prompt""#,
];

/// A record, of any type.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    #[serde(rename = "type")]
    kind: String,
    uuid: Option<String>,
    parent_uuid: Option<String>,
    /// After a compaction the chain goes on here.
    logical_parent_uuid: Option<String>,
    is_sidechain: Option<bool>,
    is_meta: Option<bool>,
    is_compact_summary: Option<bool>,
    cwd: Option<String>,
    timestamp: Option<String>,
    entrypoint: Option<String>,
    custom_title: Option<String>,
    last_prompt: Option<String>,
    message: Option<Value>,
}

/// Whether a file of this name is a session's, and of which. Sub-agents have files of other names.
pub fn session_of(path: &Path) -> Option<String> {
    let stem = path.file_stem()?.to_str()?;
    let is_uuid = stem.len() == 36 && stem.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    (path.extension()? == "jsonl" && is_uuid).then(|| stem.to_owned())
}

/// Reads a line.
pub fn read(line: &[u8]) -> Read {
    if !OF_INTEREST.iter().any(|needle| memchr::memmem::find(line, needle).is_some()) {
        return Read::default();
    }
    let Ok(record) = serde_json::from_slice::<Record>(line) else { return Read::default() };
    let mut read = Read { about: About::default(), ..Read::default() };
    match record.kind.as_str() {
        "custom-title" => read.about.title = record.custom_title,
        "last-prompt" => read.about.last_prompt = record.last_prompt,
        "user" | "assistant" | "attachment" | "system" if record.is_sidechain != Some(true) => {
            read.about.directory = record.cwd.clone();
            let parent = record.parent_uuid.clone().or_else(|| record.logical_parent_uuid.clone());
            read.link = record.uuid.clone().map(|id| (id, parent));
            read.entry = entry(record);
        }
        _ => {}
    }
    read
}

fn entry(record: Record) -> Option<Entry> {
    let role = match record.kind.as_str() {
        "user" => Role::User,
        "assistant" => Role::Assistant,
        _ => return None,
    };
    // What the program itself told the model, and the summary of what was compacted, nobody said.
    if record.is_meta == Some(true) || record.is_compact_summary == Some(true) {
        return None;
    }
    let message = record.message?;
    let synthetic = message.get("model").is_some_and(|model| model == "<synthetic>");
    let pieces: Vec<Piece> = match message.get("content")? {
        Value::String(text) => text_piece(text, role, synthetic).into_iter().collect(),
        Value::Array(blocks) => blocks.iter().filter_map(|block| piece(block, role, synthetic)).collect(),
        _ => return None,
    };
    if pieces.is_empty() {
        return None;
    }
    let group = message.get("id").and_then(Value::as_str).map(str::to_owned);
    Some(Entry {
        id: record.uuid.unwrap_or_default(),
        parent: record.parent_uuid,
        group: group.filter(|_| role == Role::Assistant),
        at: record.timestamp.as_deref().and_then(Stamp::parse).map(Stamp::unix_millis),
        role,
        pieces,
        by_hand: record.entrypoint.as_deref() == Some("cli"),
    })
}

fn piece(block: &Value, role: Role, synthetic: bool) -> Option<Piece> {
    let text = |key: &str| block.get(key).and_then(Value::as_str).map(str::to_owned);
    match block.get("type")?.as_str()? {
        "text" => text_piece(block.get("text")?.as_str()?, role, synthetic),
        "thinking" => text("thinking").filter(|text| !text.is_empty()).map(Piece::Thinking),
        "image" => Some(Piece::Text("[image]".into())),
        "tool_use" => Some(Piece::Call {
            id: text("id")?,
            name: text("name")?,
            input: block.get("input").cloned().unwrap_or_default(),
        }),
        "tool_result" => Some(Piece::Result {
            id: text("tool_use_id")?,
            text: result_text(block.get("content").unwrap_or(&Value::Null)),
            is_error: block.get("is_error").and_then(Value::as_bool).unwrap_or(false),
        }),
        _ => None,
    }
}

/// The texts of a tool's result: a text, or blocks of which some are texts.
pub(super) fn result_text(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(blocks) => {
            let texts = blocks.iter().filter_map(|block| block.get("text").and_then(Value::as_str));
            texts.collect::<Vec<_>>().join("\n")
        }
        _ => String::new(),
    }
}

/// What a person reads in a text. The terminal writes its own commands and what they print as texts of the person.
fn text_piece(text: &str, role: Role, synthetic: bool) -> Option<Piece> {
    if role == Role::Assistant {
        // Stands for an answer that was cut off.
        let filler = synthetic && text.trim() == "No response requested.";
        return (!text.trim().is_empty() && !filler).then(|| Piece::Text(text.to_owned()));
    }
    let start = text.trim_start();
    if let Some(command) = between(start, "<command-name>", "</command-name>") {
        let args = between(start, "<command-args>", "</command-args>").unwrap_or_default();
        return Some(Piece::Text(format!("{command} {args}").trim().to_owned()));
    }
    if let Some(command) = between(start, "<bash-input>", "</bash-input>") {
        return Some(Piece::Text(format!("! {command}")));
    }
    const OURS: [&str; 6] =
        ["<local-command-", "<bash-stdout>", "<bash-stderr>", "<system-", "<task-notification>", "Caveat: "];
    let told_by_program = start.is_empty() || OURS.iter().any(|mark| start.starts_with(mark));
    (!told_by_program).then(|| Piece::Text(text.to_owned()))
}

fn between<'a>(text: &'a str, open: &str, close: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(open)?;
    rest.split_once(close).map(|(inner, _)| inner.trim())
}

/// A program that runs, as its own file tells.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Presence {
    /// Its process.
    pub pid: u32,
    /// The session that it has open.
    pub session_id: String,
    /// When it began, as the system tells it (Linux: clock ticks since boot).
    pub proc_start: Option<String>,
    /// When it began to write this file, Unix milliseconds.
    pub started_at: Option<i64>,
    /// `interactive`, or `background` for those of its own daemon.
    pub kind: Option<String>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(record: Value) -> Read {
        read(record.to_string().as_bytes())
    }

    fn texts(record: Value) -> Vec<String> {
        let pieces = of(record).entry.map(|entry| entry.pieces).unwrap_or_default();
        pieces.into_iter().map(|piece| format!("{piece:?}")).collect()
    }

    #[test]
    fn only_a_session_has_a_file_with_a_uuid_for_its_name() {
        let id = "ed4dec7f-da1e-4795-bb79-470d7787b2b0";
        assert_eq!(session_of(Path::new(&format!("/p/{id}.jsonl"))).as_deref(), Some(id));
        for other in ["agent-1.jsonl", "x.json", "ed4dec7f-da1e-4795-bb79-470d7787b2bg.jsonl", "memory"] {
            assert_eq!(session_of(Path::new(other)), None, "{other}");
        }
    }

    #[test]
    fn a_commands_own_marks_are_read_as_what_the_person_typed() {
        let user = |text: &str| texts(json!({ "type": "user", "uuid": "u", "message": { "content": text } }));
        assert_eq!(user("fix"), [r#"Text("fix")"#]);
        let command = "<command-name>/model</command-name>\n<command-message>m</command-message>\n<command-args>opus</command-args>";
        assert_eq!(user(command), [r#"Text("/model opus")"#]);
        assert_eq!(user("<bash-input>ls</bash-input>"), [r#"Text("! ls")"#]);
        for note in
            ["<local-command-stdout>x</local-command-stdout>", "<system-reminder>x", " ", "<bash-stdout>"]
        {
            assert!(user(note).is_empty(), "{note}");
        }
    }

    #[test]
    fn what_nobody_said_is_left_out_but_keeps_its_place_in_the_chain() {
        let meta = of(
            json!({ "type": "user", "uuid": "u", "parentUuid": "p", "isMeta": true, "message": { "content": "x" } }),
        );
        assert_eq!((meta.entry, meta.link), (None, Some(("u".into(), Some("p".into())))));
        let side = of(
            json!({ "type": "assistant", "uuid": "u", "isSidechain": true, "message": { "content": "x" } }),
        );
        assert!(side.entry.is_none() && side.link.is_none());
        let boundary =
            of(json!({ "type": "system", "uuid": "b", "parentUuid": null, "logicalParentUuid": "l" }));
        assert_eq!(boundary.link, Some(("b".into(), Some("l".into()))));
        let bulk = of(
            json!({ "type": "api-request-blob", "message": { "role": "user", "content": r#""type":"user""# } }),
        );
        assert!(bulk.entry.is_none() && bulk.link.is_none());
    }

    #[test]
    fn all_blocks_of_a_message_are_read() {
        let record = json!({ "type": "assistant", "uuid": "a", "timestamp": "2026-01-02T03:04:05.678Z", "message": {
            "id": "m", "content": [
                { "type": "thinking", "thinking": "hm" }, { "type": "text", "text": "so" },
                { "type": "tool_use", "id": "t", "name": "Bash", "input": { "command": "ls" } },
                { "type": "server_tool_use" }, 7,
            ] } });
        let entry = of(record).entry.expect("an entry");
        assert_eq!((entry.pieces.len(), entry.group.as_deref()), (3, Some("m")));
        assert_eq!(entry.at.map(|at| at % 1_000), Some(678));
        let result = json!({ "type": "user", "message": { "content": [
            { "type": "tool_result", "tool_use_id": "t", "is_error": true, "content": [{ "type": "text", "text": "no" }] } ] } });
        assert_eq!(texts(result), [r#"Result { id: "t", text: "no", is_error: true }"#]);
    }
}
