//! Telegram as it is on bad days, and the daemon too: nothing is lost, nothing is allowed by accident.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::chat::{Chat as _, bare, external, heard, is_heard, say};
use crate::harness::telegram::{ALICE, buttons, text};
use crate::harness::{Home, Stage, Telegram, eventually};

async fn staged(name: &str) -> (Telegram, Stage, String, Value) {
    let (telegram, stage) = bare::<Telegram>().await;
    let (id, thread) = external(&stage, &telegram, name).await;
    (telegram, stage, id, thread)
}

async fn ask(stage: &Stage, id: &str, command: &str) {
    crate::harness::chat::ask(stage, id, command, command).await;
}

#[tokio::test]
async fn a_pause_that_telegram_asks_for_is_kept_and_nothing_is_lost() {
    let (telegram, stage, id, _) = staged("pause").await;
    telegram.does("fail", json!({ "method": "sendMessage", "status": 429, "retry_after": 4 })).await;
    let began = Instant::now();
    ask(&stage, &id, "make").await;
    telegram.asks("make").await;
    assert!(began.elapsed() >= Duration::from_secs(4), "{:?}", began.elapsed());
    let calls = telegram.state().await["calls"].clone();
    let tries = calls.as_array().into_iter().flatten();
    let tries = tries.filter(|call| {
        call["method"] == "sendMessage" && call["params"]["text"].to_string().contains("make")
    });
    assert_eq!(tries.count(), 2, "it was not tried before");
}

#[tokio::test]
async fn failures_of_every_kind_are_tried_again_in_order() {
    let (telegram, stage, id, thread) = staged("failures").await;
    for fail in [
        json!({ "method": "sendMessage", "status": 502, "body": "<html>Bad Gateway</html>" }),
        json!({ "method": "sendMessage", "cut": true }),
        json!({ "method": "sendMessage", "status": 429 }),
    ] {
        telegram.does("fail", fail).await;
    }
    say(&stage, &id, "first words").await;
    ask(&stage, &id, "make").await;
    let card = telegram.asks("make").await;
    let texts = telegram.texts(&thread).await;
    let first = texts.iter().position(|text| text.contains("first words")).expect("it was said");
    let second = texts.iter().position(|text| text.contains("make")).expect("it was asked");
    assert!(first < second, "{texts:?}");
    telegram.presses(ALICE, &card, "Deny").await;
    telegram.was_well_spoken_to().await;
}

#[tokio::test]
async fn what_telegram_will_not_take_with_markup_comes_without() {
    let (telegram, stage, id, _) = staged("plain").await;
    let refused =
        json!({ "method": "sendMessage", "status": 400, "description": "Bad Request: can't parse entities" });
    telegram.does("fail", refused).await;
    say(&stage, &id, "so **bold**").await;
    let shown = telegram.says("so bold").await;
    assert_eq!(shown["html"], "so bold");
}

#[tokio::test]
async fn a_daemon_killed_around_a_send_loses_nothing_and_the_buttons_still_work() {
    let (telegram, mut stage, id, thread) = staged("killed").await;
    // Telegram takes the message, and the daemon dies before it hears so.
    let taken = json!({ "method": "sendMessage", "accept": true, "cut": true });
    telegram.does("fail", taken).await;
    say(&stage, &id, "before the kill").await;
    telegram.says("before the kill").await;
    stage.daemon.kill9();
    stage.daemon.start().await;
    ask(&stage, &id, "make").await;
    let card = telegram.asks("make").await;
    let texts = telegram.texts(&thread).await;
    let count = texts.iter().filter(|text| text.contains("before the kill")).count();
    assert!((1..=2).contains(&count), "{texts:?}");

    stage.daemon.kill9();
    // What people do meanwhile waits at Telegram.
    let press = json!({ "user": ALICE, "message": card["id"], "label": "Allow" });
    telegram.does("press", press).await;
    stage.daemon.start().await;
    let settled = telegram
        .message("the card says so", |one| one["id"] == card["id"] && text(one).contains("Allowed by Alice"))
        .await;
    assert!(buttons(&settled).is_empty());
    let seen = telegram.texts(&thread).await;
    let count = seen.iter().filter(|text| text.contains("Allowed by Alice")).count();
    assert_eq!(count, 1, "{seen:?}");
    telegram.was_well_spoken_to().await;
}

#[tokio::test]
async fn words_that_are_told_twice_are_passed_on_once() {
    let (telegram, mut stage, id, thread) = staged("twice").await;
    stage.api.push(&id, "output", json!({ "text": "ready" })).await.ok();
    stage.api.push(&id, "status", json!({ "status": "done" })).await.ok();
    telegram.says("ready").await;
    telegram.writes(ALICE, &thread, "only once").await;
    is_heard(&stage, &id, "only once").await;
    stage.daemon.kill9();
    stage.daemon.start().await;
    telegram.writes(ALICE, &thread, "and this").await;
    is_heard(&stage, &id, "and this").await;
    assert_eq!(heard(&stage, &id, "only once").await, 1);
}

#[tokio::test]
async fn after_a_long_silence_the_chat_is_told_in_order_and_not_flooded() {
    let (telegram, stage, id, thread) = staged("silence").await;
    say(&stage, &id, "ready").await;
    telegram.says("ready").await;
    telegram.does("down", json!({ "on": true })).await;
    for n in 0..60 {
        stage.api.input(&id, &format!("prompt {n}")).await;
        say(&stage, &id, &format!("answer {n}.")).await;
    }
    ask(&stage, &id, "make").await;
    eventually("the failure is told", 20, || async {
        let bridges = stage.api.get("/api/status/bridges").await.ok();
        bridges["bridges"][0]["error_message"].is_string().then_some(())
    })
    .await;
    telegram.does("down", json!({ "on": false })).await;
    let card = telegram
        .message("the question comes", |one| text(one).contains("make") && !buttons(one).is_empty())
        .await;
    let texts = telegram.texts(&thread).await;
    assert!(texts.len() <= 26, "{} messages", texts.len());
    assert!(texts.iter().any(|text| text.contains("were left out here")), "{texts:?}");
    let place = |words: &str| texts.iter().rposition(|text| text.contains(words));
    assert!(
        place("left out") < place("answer 58.") && place("answer 58.") < place("answer 59."),
        "{texts:?}"
    );
    assert!(place("answer 59.") < place("make"), "{texts:?}");
    telegram.presses(ALICE, &card, "Allow").await;
    telegram.was_well_spoken_to().await;
}

#[tokio::test]
async fn a_second_daemon_with_the_same_bot_is_noticed() {
    let (_telegram, stage, _, _) = staged("first").await;
    let mut other = Home::new();
    other.extra = stage.home.extra.clone();
    let second = Stage::bare_in(other).await;
    eventually("one of them says so", 30, || async {
        let mut said = String::new();
        for stage in [&stage, &second] {
            said += &stage.api.get("/api/status/bridges").await.ok().to_string();
        }
        said.contains("a second daemon?").then_some(())
    })
    .await;
}

#[tokio::test]
async fn updates_that_are_not_known_stand_in_nobodys_way() {
    let (telegram, stage, id, thread) = staged("unknown").await;
    telegram.does("raw", json!({ "telepathy": { "thought": 1 } })).await;
    telegram.does("raw", json!({ "message": { "nonsense": true } })).await;
    stage.api.push(&id, "output", json!({ "text": "ready" })).await.ok();
    telegram.writes(ALICE, &thread, "/status").await;
    telegram.message("the answer", |one| text(one).contains("unknown") && text(one).contains("ready")).await;
}
