//! What Slack refuses: too long, too many, unknown, twice. From the reference of the Web API and of Block Kit.

use serde_json::{Map, Value, json};

/// What a method takes.
pub struct Method {
    pub name: &'static str,
    /// The permission that it needs; empty = none.
    pub scope: &'static str,
    /// Whether its arguments may be JSON; those that only read take none.
    pub json: bool,
    pub required: &'static [&'static str],
    pub optional: &'static [&'static str],
}

const fn method(
    name: &'static str,
    scope: &'static str,
    json: bool,
    required: &'static [&'static str],
    optional: &'static [&'static str],
) -> Method {
    Method { name, scope, json, required, optional }
}

pub static METHODS: [Method; 14] = [
    method("auth.test", "", true, &[], &[]),
    method("apps.connections.open", "", true, &[], &[]),
    method(
        "conversations.info",
        "channels:read",
        false,
        &["channel"],
        &["include_locale", "include_num_members"],
    ),
    method(
        "conversations.history",
        "channels:history",
        false,
        &["channel"],
        &["cursor", "include_all_metadata", "inclusive", "latest", "limit", "oldest"],
    ),
    method(
        "conversations.replies",
        "channels:history",
        false,
        &["channel", "ts"],
        &["cursor", "include_all_metadata", "inclusive", "latest", "limit", "oldest"],
    ),
    method("users.info", "users:read", false, &["user"], &["include_locale"]),
    method(
        "chat.postMessage",
        "chat:write",
        true,
        &["channel"],
        &[
            "text",
            "blocks",
            "thread_ts",
            "metadata",
            "parse",
            "link_names",
            "unfurl_links",
            "unfurl_media",
            "mrkdwn",
            "reply_broadcast",
        ],
    ),
    method(
        "chat.update",
        "chat:write",
        true,
        &["channel", "ts"],
        &["text", "blocks", "metadata", "parse", "link_names", "reply_broadcast"],
    ),
    method("chat.delete", "chat:write", true, &["channel", "ts"], &[]),
    method(
        "chat.postEphemeral",
        "chat:write",
        true,
        &["channel", "user"],
        &["text", "blocks", "thread_ts", "parse", "link_names"],
    ),
    method("views.open", "", true, &["view", "trigger_id"], &[]),
    method(
        "files.getUploadURLExternal",
        "files:write",
        false,
        &["filename", "length"],
        &["alt_txt", "snippet_type"],
    ),
    method(
        "files.completeUploadExternal",
        "files:write",
        true,
        &["files"],
        &["channel_id", "thread_ts", "initial_comment", "blocks"],
    ),
    method("files.info", "files:read", false, &["file"], &[]),
];

/// An answer with `"ok": false`, and why, for whoever reads a failed test.
pub fn error(error: &str, why: impl Into<String>) -> Value {
    json!({ "ok": false, "error": error, "response_metadata": { "messages": [format!("[ERROR] {}", why.into())] } })
}

/// Whether the arguments are those of the method.
pub fn arguments(method: &Method, given: &Map<String, Value>) -> Result<(), Value> {
    for name in method.required {
        if given.get(*name).is_none_or(|value| value.as_str() == Some("")) {
            return Err(error("invalid_arguments", format!("missing required field: {name}")));
        }
    }
    for name in given.keys() {
        if !method.required.contains(&name.as_str()) && !method.optional.contains(&name.as_str()) {
            return Err(error("invalid_arguments", format!("no such field: {name}")));
        }
    }
    Ok(())
}

/// What a message says, checked.
pub fn content(given: &Map<String, Value>) -> Result<(), Value> {
    let text = given.get("text").and_then(Value::as_str).unwrap_or_default();
    let none = Vec::new();
    let blocks = given.get("blocks").map_or(Some(&none), Value::as_array);
    let Some(blocks) = blocks else { return Err(error("invalid_blocks_format", "blocks are no list")) };
    if text.trim().is_empty() && blocks.is_empty() {
        return Err(error("no_text", "neither text nor blocks"));
    }
    if text.chars().count() > 40_000 {
        return Err(error("msg_too_long", "text"));
    }
    if blocks.len() > 50 {
        return Err(error("invalid_blocks", "more than 50 blocks"));
    }
    let mut ids = Vec::new();
    for block in blocks {
        let id = block["block_id"].as_str().unwrap_or_default();
        if id.len() > 255 || (!id.is_empty() && ids.contains(&id)) {
            return Err(error("invalid_blocks", format!("block_id {id}")));
        }
        ids.push(id);
        self::block(block).map_err(|why| error("invalid_blocks", why))?;
    }
    if let Some(metadata) = given.get("metadata") {
        let fields = metadata.as_object().map(|map| map.keys().map(String::as_str).collect::<Vec<_>>());
        if fields.is_none_or(|fields| {
            fields != ["event_payload", "event_type"] && fields != ["event_type", "event_payload"]
        }) {
            return Err(error("invalid_metadata_format", metadata.to_string()));
        }
    }
    let said = format!("{text} {}", Value::Array(blocks.clone()));
    for mention in ["<!channel", "<!here", "<!everyone", "<@"] {
        if said.contains(mention) {
            return Err(error("rig_mentions_somebody", mention));
        }
    }
    Ok(())
}

fn only(map: &Value, fields: &[&str]) -> Result<(), String> {
    let map = map.as_object().ok_or_else(|| format!("no object: {map}"))?;
    match map.keys().find(|key| !fields.contains(&key.as_str())) {
        Some(key) => Err(format!("invalid additional property: {key}")),
        None => Ok(()),
    }
}

fn words(text: &Value, kind: &str, most: usize) -> Result<(), String> {
    only(text, &["type", "text", "emoji", "verbatim"])?;
    let count = text["text"].as_str().unwrap_or_default().chars().count();
    if text["type"] != kind || count == 0 || count > most {
        return Err(format!("a {kind} of 1 to {most} characters is wanted, not {count}: {text}"));
    }
    if text.get("emoji").is_some() && kind != "plain_text"
        || text.get("verbatim").is_some() && kind != "mrkdwn"
    {
        return Err(format!("a field of the other kind of text: {text}"));
    }
    Ok(())
}

fn block(block: &Value) -> Result<(), String> {
    match block["type"].as_str().unwrap_or_default() {
        "section" => {
            only(block, &["type", "block_id", "text", "expand"])?;
            words(&block["text"], "mrkdwn", 3_000)
        }
        "actions" => {
            only(block, &["type", "block_id", "elements"])?;
            let elements = block["elements"].as_array().map(Vec::as_slice).unwrap_or_default();
            if elements.is_empty() || elements.len() > 25 {
                return Err(format!("{} elements in an actions block", elements.len()));
            }
            let mut ids = Vec::new();
            for element in elements {
                let id = element["action_id"].as_str().unwrap_or_default();
                if id.is_empty() || id.len() > 255 || ids.contains(&id) {
                    return Err(format!("action_id {id:?}"));
                }
                ids.push(id);
                self::element(element)?;
            }
            Ok(())
        }
        other => Err(format!("unsupported type: {other}")),
    }
}

fn element(element: &Value) -> Result<(), String> {
    match element["type"].as_str().unwrap_or_default() {
        "button" => {
            only(element, &["type", "action_id", "text", "value", "style"])?;
            words(&element["text"], "plain_text", 75)?;
            let style = element.get("style").and_then(Value::as_str);
            let known = element.get("style").is_none() || matches!(style, Some("primary" | "danger"));
            if !known || element["value"].as_str().is_none_or(|value| value.len() > 2_000) {
                return Err(format!("style or value: {element}"));
            }
            Ok(())
        }
        "static_select" => {
            only(element, &["type", "action_id", "placeholder", "options"])?;
            words(&element["placeholder"], "plain_text", 150)?;
            let options = element["options"].as_array().map(Vec::as_slice).unwrap_or_default();
            if options.is_empty() || options.len() > 100 {
                return Err(format!("{} options", options.len()));
            }
            for option in options {
                only(option, &["text", "value"])?;
                words(&option["text"], "plain_text", 75)?;
                if option["value"].as_str().is_none_or(|value| value.is_empty() || value.len() > 75) {
                    return Err(format!("value: {option}"));
                }
            }
            Ok(())
        }
        other => Err(format!("unsupported element: {other}")),
    }
}

/// A form, checked.
pub fn view(view: &Value) -> Result<(), Value> {
    let check = || -> Result<(), String> {
        only(view, &["type", "callback_id", "private_metadata", "title", "submit", "close", "blocks"])?;
        if view["type"] != "modal" {
            return Err("no modal".to_owned());
        }
        for field in ["title", "submit", "close"] {
            words(&view[field], "plain_text", 24)?;
        }
        let length = |field: &str| view[field].as_str().unwrap_or_default().len();
        if length("callback_id") > 255 || length("private_metadata") > 3_000 {
            return Err("callback_id or private_metadata".to_owned());
        }
        for block in view["blocks"].as_array().ok_or("no blocks")? {
            only(block, &["type", "block_id", "label", "element", "hint", "optional"])?;
            words(&block["label"], "plain_text", 2_000)?;
            let input = &block["element"];
            only(
                input,
                &[
                    "type",
                    "action_id",
                    "multiline",
                    "min_length",
                    "max_length",
                    "focus_on_load",
                    "placeholder",
                ],
            )?;
            if block["type"] != "input" || input["type"] != "plain_text_input" {
                return Err("no field for text".to_owned());
            }
            if input["max_length"].as_u64().is_some_and(|most| most > 3_000) {
                return Err("max_length".to_owned());
            }
        }
        Ok(())
    };
    check().map_err(|why| error("invalid_arguments", why))
}
