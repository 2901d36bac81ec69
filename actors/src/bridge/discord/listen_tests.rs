//! What messages mean.

use super::*;

fn message(json: serde_json::Value) -> Message {
    let mut whole = serde_json::json!({
        "id": "1048576000000", "channel_id": "7", "content": "", "type": 0,
        "author": { "id": "42", "username": "ann", "global_name": "Ann" },
    });
    for (name, value) in json.as_object().into_iter().flatten() {
        whole[name] = value.clone();
    }
    serde_json::from_value(whole).unwrap()
}

fn text_of(what: Option<What>) -> (String, Vec<String>, Option<String>) {
    let Some(What::Text { text, files, reply_to, .. }) = what else { panic!("{what:?}") };
    (text, files.into_iter().map(|file| file.handle).collect(), reply_to)
}

#[test]
fn a_message_brings_its_words_its_files_and_what_it_forwards() {
    let files = |url: &str| serde_json::json!([{ "filename": "a.txt", "size": 3, "url": url }]);
    let (text, found, reply_to) = text_of(words(
        message(serde_json::json!({
            "content": "<@9> look at *this*", "type": 19, "attachments": files("https://x/1"),
            "message_reference": { "message_id": "5" },
            "referenced_message": { "author": { "id": "8", "username": "bo" }, "attachments": files("https://x/2") },
            "message_snapshots": [{ "message": { "content": "old\nwords", "attachments": files("https://x/3") } }],
        })),
        9,
    ));
    assert_eq!(text, "look at *this*\n\n> old\n> words");
    assert_eq!(found, ["https://x/1", "https://x/3", "https://x/2"]);
    assert_eq!(reply_to.as_deref(), Some("5"));
    assert!(words(message(serde_json::json!({})), 9).is_none(), "a sticker says nothing");
}

#[test]
fn bots_webhooks_and_notices_of_discord_are_no_persons() {
    assert!(message(serde_json::json!({})).is_a_persons());
    for other in [
        serde_json::json!({ "author": { "id": "9", "username": "b", "bot": true } }),
        serde_json::json!({ "webhook_id": "5" }),
        serde_json::json!({ "type": 18 }),
        serde_json::json!({ "type": 4 }),
        serde_json::json!({ "author": { "id": "9", "username": "d", "system": true } }),
    ] {
        assert!(!message(other.clone()).is_a_persons(), "{other}");
    }
}

#[test]
fn a_new_with_words_below_it_is_known() {
    assert_eq!(new_with_words(" !new claude ~/x\ndo it\nnow "), Some("new claude ~/x\ndo it\nnow"));
    for other in ["!new claude ~/x", "!new ~/x\n  ", "new ~/x\ndo", "!newer ~/x\ndo", "!list\nmore"] {
        assert_eq!(new_with_words(other), None, "{other}");
    }
}

#[test]
fn an_id_tells_when_it_was_made() {
    // The example of Discord's own reference.
    assert_eq!(made_at(175_928_847_299_117_063), 1_462_015_105_796);
    assert!(first_of(1_462_015_105_796) <= 175_928_847_299_117_063);
    assert!(first_of(1_462_015_105_797) > 175_928_847_299_117_063);
    assert_eq!(first_of(-5), 0);
}
