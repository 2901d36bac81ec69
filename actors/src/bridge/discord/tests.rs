//! What is sent to Discord, and what presses mean.

use serde_json::{Value, json};

use super::*;

fn message(buttons: Vec<Vec<Button>>) -> Message {
    let text = Rendered { markup: "**x**".to_owned(), plain: "x".to_owned() };
    Message { text, buttons, reply_to: Some("5".to_owned()), ..Message::default() }
}

fn buttons(count: usize) -> Vec<Button> {
    let button = |at| Button { label: "é".repeat(90), data: format!("k.{at}"), look: Look::Good };
    (0..count).map(button).collect()
}

fn sent(message: &Message) -> Value {
    serde_json::to_value(show::new(message, "abc")).unwrap()
}

#[test]
fn a_message_mentions_nobody_has_no_preview_and_comes_once() {
    let sent = sent(&message(vec![buttons(1)]));
    assert_eq!(sent["allowed_mentions"], json!({ "parse": [], "replied_user": false }));
    assert_eq!(
        (&sent["nonce"], &sent["enforce_nonce"], &sent["flags"]),
        (&json!("abc"), &json!(true), &json!(4))
    );
    assert_eq!(sent["message_reference"], json!({ "message_id": "5", "fail_if_not_exists": false }));
    let button = &sent["components"][0]["components"][0];
    assert_eq!(
        (&button["type"], &button["style"], &button["custom_id"]),
        (&json!(2), &json!(3), &json!("k.0"))
    );
    assert_eq!(button["label"].as_str().unwrap().chars().count(), 80);
    let changed = serde_json::to_value(show::changed(&message(Vec::new()))).unwrap();
    assert_eq!(changed["components"], json!([]), "buttons go when none are wanted");
    assert_eq!(changed["allowed_mentions"]["parse"], json!([]));
}

#[test]
fn however_many_buttons_there_are_discord_takes_them() {
    for rows in [vec![buttons(2); 5], vec![buttons(2); 12], vec![buttons(3); 20], vec![buttons(40)]] {
        let wanted: usize = rows.iter().map(Vec::len).sum();
        let sent = sent(&message(rows));
        let rows = sent["components"].as_array().unwrap();
        assert!(rows.len() <= 5);
        let mut shown = 0;
        for row in rows {
            let inside = row["components"].as_array().unwrap();
            assert!(inside.len() <= 5);
            let entries = inside[0]["options"].as_array().map(Vec::len);
            assert!(entries.is_none_or(|entries| entries <= 25 && inside.len() == 1));
            shown += entries.unwrap_or(inside.len());
        }
        assert_eq!(shown, wanted);
    }
}

#[test]
fn what_is_chosen_of_a_menu_is_a_press_of_its_entry() {
    assert_eq!(show::pressed("k.1", &[]), Some("k.1"));
    assert_eq!(show::pressed("menu:0", &["k.7".to_owned()]), Some("k.7"));
    assert_eq!(show::pressed("menu:0", &[]), None);
}

#[test]
fn a_form_brings_back_its_button_its_message_and_the_words() {
    let components =
        json!([{ "type": 1, "components": [{ "custom_id": "k.2!", "label": "Deny, because…" }] }]);
    let form = show::form("k.2!", 77, &components);
    assert_eq!(form["title"], "Deny, because…");
    let id = form["custom_id"].as_str().unwrap();
    assert!(id.len() <= 100);
    let filled = json!([{ "type": 1, "components": [{ "type": 4, "custom_id": "words", "value": " no " }] }]);
    assert_eq!(show::filled(id, &filled), Some(("k.2!", "77", "no".to_owned())));
    let labelled = json!([{ "type": 18, "component": { "type": 4, "custom_id": "words", "value": "no" } }]);
    assert!(show::filled(id, &labelled).is_some());
    assert_eq!(show::filled("k.2!", &filled), None);
    assert_eq!(show::filled(id, &json!([])), None);
}

#[test]
fn the_commands_are_such_as_discord_takes() {
    let commands = show::commands();
    let commands = commands.as_array().unwrap();
    assert!(commands.len() <= 100 && commands.iter().any(|command| command["name"] == "status"));
    for command in commands {
        let name = command["name"].as_str().unwrap();
        assert!(name.len() <= 32 && name.chars().all(|c| c.is_ascii_lowercase() || c == '_'), "{name}");
        let described = command["description"].as_str().unwrap();
        assert!((1..=100).contains(&described.chars().count()), "{command}");
        for option in command["options"].as_array().unwrap() {
            assert!(!option["description"].as_str().unwrap().is_empty(), "{command}");
        }
    }
}

#[test]
fn a_files_name_cannot_break_out_of_its_header() {
    let file = FileOut {
        name: "a\"\r\nb/c\\.txt".to_owned(),
        bytes: Bytes::from_static(b"xyz"),
        caption: String::new(),
    };
    let sent = String::from_utf8(show::file(&file, "cap", "n").build()).unwrap();
    assert!(sent.contains("filename=\"a___b_c_.txt\""), "{sent}");
    assert!(sent.contains("\"parse\":[]") && sent.contains("\"enforce_nonce\":true"), "{sent}");
}

#[test]
fn what_a_press_is_told_can_neither_mention_nor_be_too_long() {
    let aside = show::aside(&"*@everyone* ".repeat(300));
    let text = aside["content"].as_str().unwrap();
    assert!(text.chars().count() <= 2_000 && !text.contains("@everyone"));
    assert_eq!(aside["flags"], 64);
    assert_eq!(show::aside_changed("x").get("flags"), None);
}
