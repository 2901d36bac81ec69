//! Messages as Block Kit (`https://docs.slack.dev/reference/block-kit`), within its limits.

use serde_json::{Value, json};

use super::markup;
use crate::bridge::markup::cut;
use crate::bridge::platform::{Button, Look, Message};

/// Characters of a button's label, and of an option's.
pub const LABEL: usize = 75;
/// Characters of a form's title.
const TITLE: usize = 24;
/// Characters that can be written into a form.
const WORDS: usize = 3_000;
/// Blocks of a message; one of them is its text.
const BLOCKS: usize = 50;
/// Elements of a block of buttons.
const ELEMENTS: usize = 25;
/// Options of a menu.
const OPTIONS: usize = 100;
/// More choices than this are a menu, so that they can be looked through on a phone.
const AS_BUTTONS: usize = 15;
/// Characters of what notifications show.
const FALLBACK: usize = 2_000;
/// What our forms are called.
pub const FORM: &str = "tether_words";
/// The field in a form.
pub const FIELD: &str = "words";

/// The arguments of `chat.postMessage` and `chat.update` that say what a message says.
pub fn message(message: &Message) -> serde_json::Map<String, Value> {
    let mut blocks = Vec::new();
    if !message.text.markup.trim().is_empty() {
        // Verbatim: only what we mark up is marked up, and nobody is mentioned by their name.
        let text = json!({ "type": "mrkdwn", "text": message.text.markup, "verbatim": true });
        blocks.push(json!({ "type": "section", "block_id": "text", "expand": true, "text": text }));
    }
    let rows = rows(&message.buttons);
    blocks.extend(rows.into_iter().take(BLOCKS - 1).enumerate().map(
        |(at, elements)| json!({ "type": "actions", "block_id": format!("row{at}"), "elements": elements }),
    ));
    let mut fallback = String::new();
    let plain = if message.text.plain.trim().is_empty() { "…" } else { message.text.plain.trim() };
    markup::escape(&mut fallback, &cut(plain, FALLBACK), false);
    let mut arguments = serde_json::Map::new();
    arguments.insert("text".to_owned(), fallback.into());
    arguments.insert("blocks".to_owned(), blocks.into());
    arguments.insert("parse".to_owned(), "none".into());
    arguments.insert("link_names".to_owned(), false.into());
    arguments
}

fn rows(buttons: &[Vec<Button>]) -> Vec<Vec<Value>> {
    let is_choice = |button: &Button| button.look == Look::Plain && !button.data.ends_with('!');
    let choices = buttons.iter().flatten().filter(|button| is_choice(button)).count();
    let mut rows: Vec<Vec<Value>> = Vec::new();
    if choices > AS_BUTTONS {
        let options: Vec<Value> =
            buttons.iter().flatten().filter(|button| is_choice(button)).map(option).collect();
        for (at, options) in options.chunks(OPTIONS).enumerate() {
            rows.push(vec![json!({
                "type": "static_select",
                "action_id": format!("menu{at}"),
                "placeholder": { "type": "plain_text", "text": "Choose…" },
                "options": options,
            })]);
        }
    }
    for row in buttons {
        let row: Vec<&Button> =
            row.iter().filter(|button| choices <= AS_BUTTONS || !is_choice(button)).collect();
        for part in row.chunks(ELEMENTS) {
            rows.push(part.iter().map(|button| element(button)).collect());
        }
    }
    // Too many rows are put together; a message with more buttons than that cannot be.
    while rows.len() > BLOCKS - 1 {
        let before = rows.len();
        let mut merged: Vec<Vec<Value>> = Vec::new();
        for row in rows {
            match merged.last_mut() {
                Some(last) if last.len() + row.len() <= ELEMENTS => last.extend(row),
                _ => merged.push(row),
            }
        }
        rows = merged;
        if rows.len() == before {
            break;
        }
    }
    rows
}

fn label(button: &Button) -> String {
    let label = cut(button.label.trim(), LABEL);
    if label.is_empty() { "…".to_owned() } else { label }
}

fn element(button: &Button) -> Value {
    let mut element = json!({
        "type": "button",
        "action_id": button.data,
        "value": button.data,
        "text": { "type": "plain_text", "text": label(button), "emoji": true },
    });
    let style = match button.look {
        Look::Plain => None,
        Look::Good => Some("primary"),
        Look::Bad => Some("danger"),
    };
    if let (Some(style), Some(element)) = (style, element.as_object_mut()) {
        element.insert("style".to_owned(), style.into());
    }
    element
}

fn option(button: &Button) -> Value {
    json!({ "text": { "type": "plain_text", "text": label(button), "emoji": true }, "value": button.data })
}

/// A form for the words that go with a button. `label` is what the button says, `kept` comes back with the words.
pub fn form(label: &str, kept: &str) -> Value {
    let title = cut(label.trim().trim_end_matches(['…', '.', ':']).trim(), TITLE);
    let title = if title.is_empty() { "Your words".to_owned() } else { title };
    json!({
        "type": "modal",
        "callback_id": FORM,
        "private_metadata": kept,
        "title": { "type": "plain_text", "text": title },
        "submit": { "type": "plain_text", "text": "Send" },
        "close": { "type": "plain_text", "text": "Cancel" },
        "blocks": [{
            "type": "input",
            "block_id": FIELD,
            "label": { "type": "plain_text", "text": "In your words" },
            "element": {
                "type": "plain_text_input",
                "action_id": FIELD,
                "multiline": true,
                "min_length": 1,
                "max_length": WORDS,
                "focus_on_load": true,
            },
        }],
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bridge::platform::Rendered;

    fn button(label: &str, data: &str) -> Button {
        Button { label: label.to_owned(), data: data.to_owned(), look: Look::Plain }
    }

    fn said(buttons: Vec<Vec<Button>>) -> Message {
        let text = Rendered { markup: "*x*".to_owned(), plain: "x <!channel> & y".to_owned() };
        Message { text, buttons, ..Message::default() }
    }

    #[test]
    fn buttons_have_their_looks_and_their_data() {
        let mut good = button("Allow", "k.0");
        good.look = Look::Good;
        let arguments = message(&said(vec![vec![good, button(&"x".repeat(90), "k.1!")]]));
        let blocks = arguments["blocks"].as_array().expect("blocks");
        assert_eq!(blocks[0]["text"]["verbatim"], true);
        let elements = &blocks[1]["elements"];
        assert_eq!((&elements[0]["style"], &elements[0]["value"]), (&json!("primary"), &json!("k.0")));
        assert!(elements[1].get("style").is_none());
        assert_eq!(elements[1]["text"]["text"].as_str().expect("a label").chars().count(), LABEL);
        assert_eq!(arguments["text"], "x &lt;!channel&gt; &amp; y");
    }

    #[test]
    fn many_choices_are_a_menu_and_the_others_stay_buttons() {
        let mut rows: Vec<Vec<Button>> =
            (0..120).map(|n| vec![button(&format!("choice {n}"), &format!("k.{n}"))]).collect();
        rows.push(vec![button("Other…", "k.120!")]);
        let arguments = message(&said(rows));
        let blocks = arguments["blocks"].as_array().expect("blocks");
        assert_eq!(blocks.len(), 4);
        assert_eq!(blocks[1]["elements"][0]["options"].as_array().map(Vec::len), Some(100));
        assert_eq!(blocks[2]["elements"][0]["options"].as_array().map(Vec::len), Some(20));
        assert_eq!(blocks[3]["elements"][0]["value"], "k.120!");
    }

    #[test]
    fn any_number_of_buttons_fits() {
        let rows = (0..200).map(|n| vec![button("Words…", &format!("k.{n}!"))]).collect();
        let arguments = message(&said(rows));
        let blocks = arguments["blocks"].as_array().expect("blocks");
        assert!(blocks.len() <= BLOCKS);
        let count: usize =
            blocks.iter().skip(1).filter_map(|row| row["elements"].as_array()).map(Vec::len).sum();
        assert_eq!(count, 200);
        assert!(message(&Message::default())["blocks"].as_array().expect("blocks").is_empty());
    }

    #[test]
    fn a_forms_title_fits() {
        let view = form("Deny, because of many reasons…", "{}");
        assert!(view["title"]["text"].as_str().expect("a title").chars().count() <= TITLE);
        assert_eq!(form("Deny, because…", "")["title"]["text"], "Deny, because");
        assert_eq!(form(" … ", "")["title"]["text"], "Your words");
    }
}
