//! What is sent to Discord: messages with buttons and menus, forms, commands. Nothing in any of them can mention
//! anybody.

use serde::Serialize;
use serde_json::{Value, json};
use twilight_http::request::Form;
use twilight_model::channel::message::component::{
    ActionRow, Button as TheirButton, ButtonStyle, SelectMenu, SelectMenuOption, SelectMenuType,
};
use twilight_model::channel::message::{Component, MessageFlags};

use super::wire::{Snowflake, component};
use crate::bridge::markup::cut;
use crate::bridge::platform::{Button, FileOut, Look, Message};
use crate::bridge::typed::COMMANDS;

/// Rows of a message, and buttons or menus in them.
const ROWS: usize = 5;
const ROW: usize = 5;
/// Entries of a menu.
const ENTRIES: usize = 25;
/// Characters of a button's label, and of a menu's entry.
const LABEL: usize = 80;
/// Characters of a form's title.
const TITLE: usize = 45;
/// Characters that somebody can write into a form.
const WORDS: usize = 2_000;
/// What begins the id of a menu; a choice of it is a press of the button that its entry stands for.
const MENU: &str = "menu:";
/// What begins the id of a form, before the button's data and the message's id.
const FORM: &str = "form:";
/// The id of a form's field.
const FIELD: &str = "words";

/// A message, new or in the place of another one.
#[derive(Debug, Serialize)]
pub struct Body<'a> {
    content: &'a str,
    components: Vec<Component>,
    allowed_mentions: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    flags: Option<MessageFlags>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nonce: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    enforce_nonce: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message_reference: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attachments: Option<Value>,
}

/// Nobody, whatever the text says.
fn nobody() -> Value {
    json!({ "parse": [], "replied_user": false })
}

/// A new message. Sent again with the same nonce within some minutes, it is the same message.
pub fn new<'a>(message: &'a Message, nonce: &'a str) -> Body<'a> {
    // No previews: what an agent links to shall not look like a message of ours.
    let mut flags = MessageFlags::SUPPRESS_EMBEDS;
    if message.quiet {
        flags |= MessageFlags::SUPPRESS_NOTIFICATIONS;
    }
    let to = message.reply_to.as_ref();
    Body {
        flags: Some(flags),
        nonce: Some(nonce),
        enforce_nonce: Some(true),
        message_reference: to.map(|id| json!({ "message_id": id, "fail_if_not_exists": false })),
        ..changed(message)
    }
}

/// A message that takes the place of another one.
pub fn changed(message: &Message) -> Body<'_> {
    let text = &message.text;
    Body {
        content: if text.markup.trim().is_empty() { "…" } else { &text.markup },
        components: rows(&message.buttons),
        allowed_mentions: nobody(),
        flags: None,
        nonce: None,
        enforce_nonce: None,
        message_reference: None,
        attachments: None,
    }
}

/// A message that is a file.
pub fn file(file: &FileOut, caption: &str, nonce: &str) -> Form {
    let name: String =
        file.name.chars().map(|c| if c.is_control() || "\"\\/".contains(c) { '_' } else { c }).collect();
    let body = Body {
        content: caption,
        components: Vec::new(),
        allowed_mentions: nobody(),
        flags: Some(MessageFlags::SUPPRESS_EMBEDS | MessageFlags::SUPPRESS_NOTIFICATIONS),
        nonce: Some(nonce),
        enforce_nonce: Some(true),
        message_reference: None,
        attachments: Some(json!([{ "id": 0, "filename": name }])),
    };
    let body = serde_json::to_vec(&body).unwrap_or_default();
    Form::new().json_part(b"payload_json", &body).file_part(b"files[0]", name.as_bytes(), &file.bytes)
}

/// Words for one person, as what answers a press.
pub fn aside(text: &str) -> Value {
    let mut markup = String::new();
    super::markup::escape(&mut markup, &cut(text, 900), true);
    json!({ "content": markup, "flags": MessageFlags::EPHEMERAL.bits(), "allowed_mentions": nobody() })
}

/// The same, in the place of the sign that the bot is thinking.
pub fn aside_changed(text: &str) -> Value {
    let mut aside = aside(text);
    aside.as_object_mut().map(|fields| fields.remove("flags"));
    aside
}

// --- buttons ---

/// Rows as they are if Discord takes so many; else filled up; else menus for what comes first.
fn rows(wanted: &[Vec<Button>]) -> Vec<Component> {
    if wanted.len() <= ROWS && wanted.iter().all(|row| row.len() <= ROW) {
        return wanted.iter().filter(|row| !row.is_empty()).map(|all| row(all.iter().map(button))).collect();
    }
    let all: Vec<&Button> = wanted.iter().flatten().collect();
    if all.len() <= ROWS * ROW {
        return all.chunks(ROW).map(|some| row(some.iter().copied().map(button))).collect();
    }
    let (first, last) = all.split_at(all.len() - ROW);
    let mut out: Vec<_> =
        first.chunks(ENTRIES).take(ROWS - 1).enumerate().map(|(at, some)| row([menu(at, some)])).collect();
    out.push(row(last.iter().copied().map(button)));
    out
}

fn row(components: impl IntoIterator<Item = Component>) -> Component {
    Component::ActionRow(ActionRow { components: components.into_iter().collect(), id: None })
}

fn button(button: &Button) -> Component {
    let style = match button.look {
        Look::Plain => ButtonStyle::Secondary,
        Look::Good => ButtonStyle::Success,
        Look::Bad => ButtonStyle::Danger,
    };
    Component::Button(TheirButton {
        custom_id: Some(button.data.clone()),
        disabled: false,
        emoji: None,
        id: None,
        label: Some(cut(&button.label, LABEL)),
        sku_id: None,
        style,
        url: None,
    })
}

fn menu(at: usize, entries: &[&Button]) -> Component {
    let option = |button: &&Button| SelectMenuOption {
        default: false,
        description: None,
        emoji: None,
        label: cut(&button.label, LABEL),
        value: button.data.clone(),
    };
    Component::SelectMenu(SelectMenu {
        channel_types: None,
        custom_id: format!("{MENU}{at}"),
        default_values: None,
        disabled: false,
        id: None,
        kind: SelectMenuType::Text,
        max_values: Some(1),
        min_values: Some(1),
        options: Some(entries.iter().map(option).collect()),
        placeholder: Some("Choose…".to_owned()),
        required: None,
    })
}

/// The data of the button that was pressed: its id, or what was chosen of a menu.
pub fn pressed<'a>(custom_id: &'a str, values: &'a [String]) -> Option<&'a str> {
    match custom_id.strip_prefix(MENU) {
        Some(_) => values.first().map(String::as_str),
        None => Some(custom_id),
    }
}

// --- forms ---

/// The form that asks for words, for a press of the button with this data on a message with these components.
pub fn form(data: &str, message: Snowflake, components: &Value) -> Value {
    let label = component(components, data).and_then(|button| button.get("label")).and_then(Value::as_str);
    let title = cut(label.unwrap_or("Your answer"), TITLE);
    let field = json!({
        "type": 4, "custom_id": FIELD, "style": 2, "label": "In your words", "min_length": 1, "max_length": WORDS,
        "required": true,
    });
    json!({
        "custom_id": format!("{FORM}{data}:{message}"),
        "title": title,
        "components": [{ "type": 1, "components": [field] }],
    })
}

/// Of a form that was filled in: the button's data, the message, and the words.
pub fn filled<'a>(custom_id: &'a str, components: &Value) -> Option<(&'a str, &'a str, String)> {
    let (data, message) = custom_id.strip_prefix(FORM)?.rsplit_once(':')?;
    let words = component(components, FIELD)?.get("value")?.as_str()?.trim().to_owned();
    Some((data, message, words))
}

// --- commands ---

/// The commands that Discord shows when somebody types `/`.
pub fn commands() -> Value {
    let shown = COMMANDS.iter().filter(|(name, ..)| *name != "start");
    let all = shown.map(|(name, argument, does)| {
        let words =
            json!({ "type": 3, "name": "words", "description": cut(argument, 100), "required": false });
        let options = if argument.is_empty() { json!([]) } else { json!([words]) };
        json!({ "name": name, "type": 1, "description": cut(does, 100), "options": options })
    });
    Value::Array(all.collect())
}
