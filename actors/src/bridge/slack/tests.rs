//! What Slack tells, and what is made of it.

use serde_json::{Value, json};

use super::events::{Heard, Kept, Us, envelope, message, stamp};
use super::*;

fn us() -> Us {
    let shortcut = named(&Shortcut { emoji: "✅\u{fe0f}".into(), any_message: false });
    Us { user: "UB".into(), bot: "B1".into(), channel: "C1".into(), shortcut: Some(shortcut) }
}

fn said(mut event: Value) -> Option<Heard> {
    let plain =
        json!({ "type": "message", "user": "U1", "text": "hi", "ts": "1795.000300", "channel": "C1" });
    for (key, value) in plain.as_object().expect("an object") {
        event.as_object_mut().expect("an object").entry(key).or_insert(value.clone());
    }
    let payload = json!({ "type": "event_callback", "event_id": "Ev1", "event": event });
    envelope(&json!({ "type": "events_api", "envelope_id": "e", "payload": payload }), &us())
}

fn place_of(heard: Option<Heard>) -> Option<Place> {
    match heard? {
        Heard::Said { place, .. } | Heard::Pressed { place, .. } => Some(place),
        _ => None,
    }
}

#[test]
fn a_message_is_of_a_thread_of_the_channel_or_of_one_person() {
    assert_eq!(place_of(said(json!({}))), Some(Place::Home));
    assert_eq!(place_of(said(json!({ "thread_ts": "1700.1" }))), Some(Place::Thread("1700.1".into())));
    // The head of a thread bears its own time.
    assert_eq!(place_of(said(json!({ "thread_ts": "1795.000300" }))), Some(Place::Home));
    let direct = said(json!({ "channel": "D9", "channel_type": "im" }));
    assert_eq!(place_of(direct), Some(Place::Direct("D9".into())));
    assert_eq!(said(json!({ "channel": "C2" })), None);
    assert_eq!(said(json!({ "channel": "C2", "thread_ts": "1700.1" })), None);
}

#[test]
fn bots_changes_and_what_slack_itself_says_are_nothing() {
    for event in [
        json!({ "user": "UB" }),
        json!({ "bot_id": "B2" }),
        json!({ "user": "USLACKBOT" }),
        json!({ "subtype": "bot_message", "bot_id": "B3" }),
        json!({ "subtype": "message_changed", "message": { "text": "hi", "ts": "1" } }),
        json!({ "subtype": "channel_join" }),
        json!({ "user": "" }),
        json!({ "hidden": true }),
        json!({ "ts": "nonsense" }),
        json!({ "type": "app_mention" }),
    ] {
        assert_eq!(said(event.clone()), None, "{event}");
    }
    for odd in [json!({}), json!(null), json!({ "type": "events_api" }), json!({ "type": 3, "payload": [] })]
    {
        assert_eq!(envelope(&odd, &us()), None);
    }
}

#[test]
fn a_deleted_head_of_a_thread_is_noticed() {
    let deleted = said(json!({ "subtype": "message_deleted", "deleted_ts": "1700.1" }));
    assert_eq!(deleted, Some(Heard::Gone("1700.1".into())));
    let left = json!({ "subtype": "message_changed", "message": { "subtype": "tombstone", "ts": "1700.1" } });
    assert_eq!(said(left), Some(Heard::Gone("1700.1".into())));
}

#[test]
fn files_come_with_what_finds_them() {
    let files = json!([
        { "id": "F1", "name": "a.png", "size": 12, "url_private_download": "https://files.slack.com/a", "url_private": "x" },
        { "id": "F2", "title": "b", "file_access": "check_file_info" },
        { "id": "F3", "mode": "tombstone" },
        { "name": "no id" },
    ]);
    let Some(Heard::Said { files, .. }) =
        said(json!({ "subtype": "file_share", "files": files, "text": "" }))
    else {
        panic!("it is heard")
    };
    let handles: Vec<&str> = files.iter().map(|file| file.handle.as_str()).collect();
    assert_eq!(handles, ["F1 https://files.slack.com/a", "F2 "]);
    assert_eq!((files[0].name.as_deref(), files[0].size), (Some("a.png"), Some(12)));
    assert_eq!(files[1].name.as_deref(), Some("b"));
}

#[test]
fn a_new_session_with_a_prompt_waits_for_its_reaction() {
    let new = json!({ "text": "!new ~/x\ndo it" });
    assert_eq!(said(new.clone()), None);
    assert!(message(&json!({ "user": "U1", "ts": "1.1", "text": "!new ~/x" }), "C1", &us()).is_some());
    let off = Us { shortcut: None, ..us() };
    assert!(message(&json!({ "user": "U1", "ts": "1.1", "text": "!new ~/x\ndo it" }), "C1", &off).is_some());
    let reaction = |emoji: &str, channel: &str| {
        let item = json!({ "type": "message", "channel": channel, "ts": "1.1" });
        said(json!({ "type": "reaction_added", "reaction": emoji, "item": item }))
    };
    let heard = Some(Heard::Reacted { user: "U1".into(), message: "1.1".into() });
    assert_eq!(reaction("white_check_mark", "C1"), heard);
    assert_eq!(reaction("eyes", "C1"), None);
    assert_eq!(reaction("white_check_mark", "C2"), None);
}

fn press(change: impl FnOnce(&mut Value)) -> Option<Heard> {
    let mut payload = json!({
        "type": "block_actions",
        "user": { "id": "U1", "name": "alice" },
        "trigger_id": "t1",
        "container": { "type": "message", "message_ts": "1795.000200", "channel_id": "C1", "thread_ts": "1700.1" },
        "message": { "user": "UB", "bot_id": "B1", "ts": "1795.000200", "thread_ts": "1700.1" },
        "actions": [{ "type": "button", "action_id": "k.0", "value": "k.0", "action_ts": "1796.5",
            "text": { "type": "plain_text", "text": "Allow" } }],
    });
    change(&mut payload);
    envelope(&json!({ "type": "interactive", "envelope_id": "e", "payload": payload }), &us())
}

#[test]
fn a_press_is_of_our_own_message_in_our_own_channel() {
    let Some(Heard::Pressed { id, user, place, press: pressed, .. }) = press(|_| ()) else {
        panic!("it is heard")
    };
    assert_eq!((user.as_str(), place), ("U1", Place::Thread("1700.1".into())));
    assert_eq!(
        (pressed.data.as_str(), pressed.message.as_str(), pressed.words),
        ("k.0", "1795.000200", None)
    );
    assert_eq!(id, "press/C1/1795.000200/1796.5/U1");
    let forged: [fn(&mut Value); 7] = [
        |payload| payload["container"]["channel_id"] = "C2".into(),
        |payload| payload["message"] = json!({ "user": "U3", "bot_id": "B9" }),
        |payload| payload["actions"][0]["value"] = "K.0 or 1=1".into(),
        |payload| payload["actions"][0]["value"] = "a".repeat(25).into(),
        |payload| payload["actions"] = json!([]),
        |payload| payload["user"] = json!({}),
        |payload| payload["container"]["type"] = "view".into(),
    ];
    for (at, change) in forged.into_iter().enumerate() {
        assert_eq!(press(change), None, "{at}");
    }
    let chosen = press(|payload| {
        payload["actions"][0] = json!({ "type": "static_select", "action_ts": "1",
            "selected_option": { "value": "k.7", "text": { "text": "seven" } } });
    });
    assert!(matches!(chosen, Some(Heard::Pressed { press, .. }) if press.data == "k.7"));
}

#[test]
fn a_button_that_wants_words_opens_a_form_whose_words_are_the_press() {
    let asked = press(|payload| payload["actions"][0]["value"] = "k.1!".into());
    let Some(Heard::Asks { trigger, label, kept }) = asked else { panic!("a form is wanted") };
    assert_eq!((trigger.as_str(), label.as_str()), ("t1", "Allow"));
    let submit = |user: &str, bot: &str, kept: &Kept| {
        let view = json!({
            "id": "V1", "bot_id": bot, "callback_id": blocks::FORM,
            "private_metadata": serde_json::to_string(kept).expect("JSON"),
            "state": { "values": { "words": { "words": { "type": "plain_text_input", "value": " not yet \n" } } } },
        });
        let payload = json!({ "type": "view_submission", "user": { "id": user }, "view": view });
        envelope(&json!({ "type": "interactive", "envelope_id": "e", "payload": payload }), &us())
    };
    let Some(Heard::Pressed { press, place, .. }) = submit("U1", "B1", &kept) else { panic!("it is heard") };
    assert_eq!((press.data.as_str(), press.words.as_deref()), ("k.1!", Some("not yet")));
    assert_eq!(place, Place::Thread("1700.1".into()));
    assert_eq!(submit("U2", "B1", &kept), None, "somebody else's form");
    assert_eq!(submit("U1", "B9", &kept), None, "another bot's form");
    assert_eq!(submit("U1", "B1", &Kept { channel: "C2".into(), ..kept }), None);
}

#[test]
fn times_are_slacks_own() {
    assert_eq!(stamp("1795328291.000100").map(|at| at.unix_millis()), Some(1_795_328_291_000));
    assert_eq!(stamp("1795328291.25").map(|at| at.unix_millis()), Some(1_795_328_291_250));
    assert_eq!(stamp("x.1"), None);
    assert_eq!(stamp(""), None);
}

#[test]
fn settings_tell_what_cannot_be_right() {
    let good = SlackSettings {
        api_url: "https://slack.com/api".into(),
        bot_token: "xoxb-1".into(),
        app_token: "xapp-1".into(),
        channel: "C0123ABC".into(),
        shortcut: None,
    };
    assert!(good.problems().is_empty());
    let swapped = SlackSettings {
        bot_token: "xapp-1".into(),
        app_token: "xoxb-1".into(),
        channel: "#x".into(),
        ..good
    };
    let problems = swapped.problems();
    assert_eq!(problems.len(), 3, "{problems:?}");
    assert!(!format!("{swapped:?}").contains("xoxb"), "no secret is shown");
}
