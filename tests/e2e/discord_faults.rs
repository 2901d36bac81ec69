//! Discord as it is on bad days, and the daemon too: nothing is lost, nothing comes twice, nothing is allowed by
//! accident.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::chat::{Chat as _, bare, external, heard, is_heard, say};
use crate::harness::discord::{ALICE, Discord, buttons, text};
use crate::harness::{Home, Stage, eventually};

async fn staged(name: &str) -> (Discord, Stage, String, Value) {
    let (discord, stage) = bare::<Discord>().await;
    let (id, thread) = external(&stage, &discord, name).await;
    (discord, stage, id, thread)
}

async fn ask(stage: &Stage, id: &str, command: &str) {
    crate::harness::chat::ask(stage, id, command, command).await;
}

/// How the bridge is.
async fn health(stage: &Stage) -> Value {
    let bridges = stage.api.get("/api/status/bridges").await.ok();
    let all = bridges["bridges"].as_array().cloned().unwrap_or_default();
    all.into_iter().find(|one| one["platform"] == "discord").unwrap_or_default()
}

async fn tries(discord: &Discord, words: &str) -> usize {
    let calls = discord.state().await["calls"].clone();
    let calls = calls.as_array().into_iter().flatten();
    calls
        .filter(|call| call["call"] == "POST messages" && call["body"]["content"].to_string().contains(words))
        .count()
}

#[tokio::test]
async fn a_pause_that_discord_asks_for_is_kept_however_it_says_so_and_nothing_is_lost() {
    let (discord, stage, id, _) = staged("pause").await;
    let global = json!({ "message": "You are being rate limited.", "retry_after": 12.5, "global": true });
    let headers = json!({ "Retry-After": "13", "X-RateLimit-Global": "true", "X-RateLimit-Scope": "global" });
    let fail = json!({ "call": "POST messages", "status": 429, "json": global, "headers": headers });
    discord.does("fail", fail).await;
    let began = Instant::now();
    ask(&stage, &id, "make").await;
    let card = discord.asks("make").await;
    assert!(began.elapsed() >= Duration::from_secs(12), "{:?}", began.elapsed());
    assert_eq!(tries(&discord, "make").await, 2, "it was not tried before");
    discord.presses(ALICE, &card, "Deny").await;
    discord.says("Denied by Alice").await;
    discord.was_well_spoken_to().await;
}

#[tokio::test]
async fn failures_of_every_kind_are_tried_again_in_order() {
    let (discord, stage, id, thread) = staged("failures").await;
    for fail in [
        json!({ "call": "POST messages", "status": 502, "body": "<html>Bad Gateway</html>" }),
        json!({ "call": "POST messages", "cut": true }),
        json!({ "call": "POST messages", "status": 429, "body": "<html>slow down</html>" }),
        json!({ "call": "POST messages", "status": 200, "body": "not json", "accept": true }),
    ] {
        discord.does("fail", fail).await;
    }
    say(&stage, &id, "first words").await;
    ask(&stage, &id, "make").await;
    let card = discord.asks("make").await;
    let texts = discord.texts(&thread).await;
    let at = |words: &str| texts.iter().position(|text| text.contains(words));
    assert!(at("first words") < at("make") && at("first words").is_some(), "{texts:?}");
    assert_eq!(texts.iter().filter(|text| text.as_str() == "first words").count(), 1, "{texts:?}");
    discord.presses(ALICE, &card, "Deny").await;
    discord.says("Denied by Alice").await;
    discord.was_well_spoken_to().await;
}

#[tokio::test]
async fn a_daemon_killed_around_a_send_loses_nothing_and_says_nothing_twice() {
    let (discord, mut stage, id, thread) = staged("killed").await;
    // Discord takes the message, and the daemon dies before it hears so.
    discord.does("fail", json!({ "call": "POST messages", "accept": true, "cut": true, "times": 3 })).await;
    say(&stage, &id, "before the kill").await;
    discord.says("before the kill").await;
    stage.daemon.kill9();
    stage.daemon.start().await;
    ask(&stage, &id, "make").await;
    let card = discord.asks("make").await;
    let texts = discord.texts(&thread).await;
    assert_eq!(texts.iter().filter(|text| text.as_str() == "before the kill").count(), 1, "{texts:?}");
    assert!(tries(&discord, "before the kill").await >= 2, "it was sent again");

    stage.daemon.kill9();
    // Discord tells them that this failed, so it must not count later.
    discord.presses(ALICE, &card, "Allow").await;
    discord.writes(ALICE, &thread, "typed meanwhile").await;
    let pressed = Instant::now();
    eventually("Discord has given the press up", 10, || async {
        (pressed.elapsed() > Duration::from_millis(3_100)).then_some(())
    })
    .await;
    stage.daemon.start().await;
    is_heard(&stage, &id, "typed meanwhile").await;
    assert_eq!(stage.api.open_approvals(&id).await.len(), 1, "the press does not count");
    let log = discord.state().await["gateway"].clone();
    assert!(log.as_array().unwrap().contains(&json!("resume")), "the session goes on after a restart: {log}");
    discord.presses(ALICE, &card, "Allow").await;
    discord
        .message("it is settled", |one| one["id"] == card["id"] && text(one).contains("Allowed by Alice"))
        .await;
    assert!(buttons(&discord.now(&card).await).is_empty());
    assert_eq!(heard(&stage, &id, "typed meanwhile").await, 1);
    discord.was_well_spoken_to().await;
}

#[tokio::test]
async fn a_session_of_the_gateway_goes_on_and_where_it_cannot_what_was_typed_is_asked_for() {
    let (discord, stage, id, thread) = staged("gateway").await;
    let log = || async { discord.state().await["gateway"].as_array().cloned().unwrap_or_default() };
    let count = |log: Vec<Value>, what: &str| log.iter().filter(|one| *one == what).count();
    for (round, end) in
        [json!({ "do": "cut" }), json!({ "do": "reconnect" }), json!({ "do": "close", "code": 4000 })]
            .into_iter()
            .enumerate()
    {
        discord.does("gateway", end).await;
        discord.writes(ALICE, &thread, &format!("words {round}.")).await;
        is_heard(&stage, &id, &format!("words {round}.")).await;
    }
    assert_eq!(count(log().await, "identify"), 1, "{:?}", log().await);
    assert!(count(log().await, "resume") >= 3, "{:?}", log().await);

    discord.does("gateway", json!({ "do": "forget" })).await;
    discord.writes(ALICE, &thread, "nobody heard this").await;
    is_heard(&stage, &id, "nobody heard this").await;
    assert!(count(log().await, "identify") >= 2, "{:?}", log().await);
    for round in 0..3 {
        assert_eq!(heard(&stage, &id, &format!("words {round}.")).await, 1, "nothing is passed on twice");
    }
    discord.was_well_spoken_to().await;
}

#[tokio::test]
async fn a_missing_intent_is_said_with_what_to_do() {
    let mut home = Home::new();
    let discord = Discord::start(&mut home);
    discord.does("may_read", json!({ "on": false })).await;
    let stage = Stage::bare_in(home).await;
    eventually("it is said", 30, || async {
        health(&stage).await["error_message"].as_str()?.contains("Message Content Intent").then_some(())
    })
    .await;
}

#[tokio::test]
async fn after_a_long_silence_the_chat_is_told_in_order_and_not_flooded() {
    let (discord, stage, id, thread) = staged("silence").await;
    say(&stage, &id, "ready").await;
    discord.says("ready").await;
    discord.does("down", json!({ "on": true })).await;
    for n in 0..60 {
        stage.api.input(&id, &format!("prompt {n}")).await;
        say(&stage, &id, &format!("answer {n}.")).await;
    }
    ask(&stage, &id, "make").await;
    eventually("the failure is told", 20, || async {
        health(&stage).await["error_message"].is_string().then_some(())
    })
    .await;
    discord.does("down", json!({ "on": false })).await;
    let card = discord.asks("make").await;
    let texts = discord.texts(&thread).await;
    assert!(texts.len() <= 26, "{} messages", texts.len());
    let place = |words: &str| texts.iter().rposition(|text| text.contains(words));
    assert!(place("left out") < place("answer 59") && place("left out").is_some(), "{texts:?}");
    assert!(place("answer 59") < place("make"), "{texts:?}");
    discord.connected().await;
    discord.presses(ALICE, &card, "Allow").await;
    discord.says("Allowed by Alice").await;
    discord.was_well_spoken_to().await;
}

#[tokio::test]
async fn events_that_are_not_known_stand_in_nobodys_way() {
    let (discord, stage, id, thread) = staged("unknown").await;
    discord.does("raw", json!({ "kind": "TELEPATHY", "d": { "thought": 1 } })).await;
    discord.does("raw", json!({ "kind": "MESSAGE_CREATE", "d": { "nonsense": true } })).await;
    discord.does("raw", json!({ "kind": "INTERACTION_CREATE", "d": [] })).await;
    discord.writes(ALICE, &thread, "still heard").await;
    is_heard(&stage, &id, "still heard").await;
    assert_eq!(discord.state().await["gateway"], json!(["identify"]), "the connection stands");
}

#[tokio::test]
async fn a_second_daemon_with_the_same_bot_is_noticed() {
    let (_discord, stage, id, _) = staged("first").await;
    let mut other = Home::new();
    other.extra = stage.home.extra.clone();
    let second = Stage::bare_in(other).await;
    eventually("the second hears, too", 30, || async {
        (health(&second).await["status"] == "running").then_some(())
    })
    .await;
    let mut round = 0;
    eventually("one of them says so", 40, || {
        round += 1;
        let (stage, second, id) = (&stage, &second, &id);
        async move {
            say(stage, id, &format!("round {round}")).await;
            let said = health(second).await.to_string();
            said.contains("a second daemon?").then_some(())
        }
    })
    .await;
}
