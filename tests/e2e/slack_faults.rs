//! Slack as it is on bad days, and the daemon too: nothing is lost, nothing comes twice, nothing is allowed by accident.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::harness::chat::{Chat as _, bare, is_heard, say};
use crate::harness::slack::{ALICE, Fault, external, labels, text_of};
use crate::harness::{FakeSlack, Home, Stage, eventually};

async fn staged(name: &str) -> (FakeSlack, Stage, String, String) {
    let (slack, stage) = bare::<FakeSlack>().await;
    let (id, thread) = external(&stage, &slack, name).await;
    slack.says(Some(&thread), "goes to the agent").await;
    (slack, stage, id, thread)
}

async fn ask(stage: &Stage, id: &str, command: &str) {
    crate::harness::chat::ask(stage, id, &format!("r{}", command.len()), command).await;
}

fn ts(message: &Value) -> String {
    message["ts"].as_str().expect("a message has a time").to_owned()
}

fn count(slack: &FakeSlack, thread: &str, words: &str) -> usize {
    slack.shown(Some(thread)).iter().filter(|one| text_of(one).contains(words)).count()
}

/// Waits until the bridge tells this of itself.
async fn tells(stage: &Stage, words: &str) {
    eventually(&format!("the bridge tells {words:?}"), 40, || async {
        let bridges = stage.api.get("/api/status/bridges").await.ok().to_string();
        bridges.contains(words).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_pause_that_slack_asks_for_is_kept_and_nothing_is_lost() {
    let (slack, stage, id, thread) = staged("pause").await;
    slack.fault("chat.postMessage", Fault::Slow(Some(4)));
    let began = Instant::now();
    ask(&stage, &id, "make").await;
    slack.says(Some(&thread), "make").await;
    assert!(began.elapsed() >= Duration::from_secs(4), "{:?}", began.elapsed());
    let tries =
        slack.calls("chat.postMessage").iter().filter(|call| call.to_string().contains("make")).count();
    assert_eq!(tries, 1, "it was not tried before");
}

#[tokio::test]
async fn failures_of_every_kind_are_tried_again_in_order_and_nothing_comes_twice() {
    let (slack, stage, id, thread) = staged("failures").await;
    for fault in [
        Fault::Html(502),
        Fault::CutBefore,
        Fault::CutAfter,
        Fault::Slow(None),
        Fault::Error("fatal_error"),
        Fault::Error("ratelimited"),
    ] {
        slack.fault("chat.postMessage", fault);
    }
    say(&stage, &id, "first words").await;
    ask(&stage, &id, "make").await;
    let card = slack.asks(Some(&thread), "make").await;
    let shown: Vec<String> = slack.shown(Some(&thread)).iter().map(text_of).collect();
    let first = shown.iter().position(|text| text.contains("first words")).expect("it was said");
    let second = shown.iter().position(|text| text.contains("make")).expect("it was asked");
    assert!(first < second, "{shown:?}");
    assert_eq!(count(&slack, &thread, "first words"), 1, "{shown:?}");
    slack.press(ALICE, &ts(&card), "Deny");
    slack.says(Some(&thread), "Denied by alice").await;
}

#[tokio::test]
async fn what_slack_will_not_take_with_markup_comes_without() {
    let (slack, stage, id, thread) = staged("plain").await;
    slack.fault("chat.postMessage", Fault::Error("invalid_blocks"));
    say(&stage, &id, "so **bold**").await;
    let shown = slack.says(Some(&thread), "so bold").await;
    assert!(!text_of(&shown).contains('*'), "{shown}");
}

#[tokio::test]
async fn a_daemon_killed_between_a_send_and_its_answer_sends_neither_message_nor_file_twice() {
    let (slack, mut stage, id, thread) = staged("killed").await;
    slack.fault("chat.postMessage", Fault::Silence);
    say(&stage, &id, "before the kill").await;
    slack.says(Some(&thread), "before the kill").await;
    stage.daemon.kill9();
    // What people do meanwhile is read from the history.
    slack.say(ALICE, Some(&thread), "typed meanwhile");
    stage.daemon.start().await;
    ask(&stage, &id, "make").await;
    let card = slack.asks(Some(&thread), "make").await;
    assert_eq!(count(&slack, &thread, "before the kill"), 1);
    assert_eq!(is_heard(&stage, &id, "typed meanwhile").await, 1);

    // The same with a file.
    slack.fault("files.completeUploadExternal", Fault::Silence);
    slack.press(ALICE, &ts(&card), "Deny");
    slack.says(Some(&thread), "Denied by alice").await;
    let long = "x".repeat(3_000);
    ask(&stage, &id, &long).await;
    let card = slack.asks(Some(&thread), "xxxx").await;
    slack.press(ALICE, &ts(&card), "Show all");
    let files = || slack.shown(Some(&thread)).iter().filter(|one| one["files"].is_array()).count();
    eventually("the file is there", 40, || async { (files() == 1).then_some(()) }).await;
    stage.daemon.kill9();
    stage.daemon.start().await;
    slack.connected().await;
    slack.press(ALICE, &ts(&card), "Allow");
    eventually("it is allowed", 40, || async {
        let settled = slack.shown(Some(&thread)).into_iter().find(|one| one["ts"] == card["ts"])?;
        (text_of(&settled).contains("Allowed by alice") && labels(&settled).is_empty()).then_some(())
    })
    .await;
    assert_eq!(files(), 1);
}

#[tokio::test]
async fn the_next_connection_stands_before_the_old_one_is_left_and_a_cut_one_is_made_anew() {
    let (slack, stage, id, thread) = staged("refresh").await;
    assert_eq!(slack.connections(), (1, 1));
    ask(&stage, &id, "make").await;
    let card = slack.asks(Some(&thread), "make").await;
    slack.fault("apps.connections.open", Fault::Html(503));
    slack.disconnect("refresh_requested");
    eventually("a new connection is asked for", 20, || async {
        slack.calls("apps.connections.open").iter().any(|call| call["fault"].is_string()).then_some(())
    })
    .await;
    // It is heard on the old one until the new one stands: a press is told once, and stands in no history.
    assert_eq!(slack.connections(), (1, 1));
    slack.press(ALICE, &ts(&card), "Deny");
    slack.say(ALICE, Some(&thread), "in between");
    slack.says(Some(&thread), "Denied by alice").await;
    assert_eq!(is_heard(&stage, &id, "in between").await, 1);
    eventually("a new connection", 30, || async { (slack.connections().1 == 2).then_some(()) }).await;
    slack.say(ALICE, Some(&thread), "on the new one");
    assert_eq!(is_heard(&stage, &id, "on the new one").await, 1);

    slack.cut();
    eventually("the connections are gone", 20, || async { (slack.connections().0 == 0).then_some(()) }).await;
    slack.say(ALICE, Some(&thread), "while it was cut");
    assert_eq!(is_heard(&stage, &id, "while it was cut").await, 1);
    slack.say(ALICE, Some(&thread), "after it");
    assert_eq!(is_heard(&stage, &id, "after it").await, 1);
    assert_eq!(is_heard(&stage, &id, "in between").await, 1, "nothing is heard twice");
}

#[tokio::test]
async fn what_a_person_must_see_to_is_told_in_words_and_goes_on_when_it_is_seen_to() {
    let (slack, stage, id, thread) = staged("broken").await;
    slack.fault("chat.postMessage", Fault::Slow(Some(1)));
    slack.set_member(false);
    say(&stage, &id, "must not be lost").await;
    tells(&stage, "/invite").await;
    slack.set_member(true);
    slack.says(Some(&thread), "must not be lost").await;
    slack.disconnect("link_disabled");
    tells(&stage, "Socket Mode is switched off").await;
    slack.say(ALICE, Some(&thread), "heard again");
    assert_eq!(is_heard(&stage, &id, "heard again").await, 1);
}

#[tokio::test]
async fn a_missing_permission_and_a_second_daemon_are_told() {
    let mut home = Home::new();
    let slack = FakeSlack::start(&mut home);
    slack.take_scope("files:write");
    let stage = Stage::bare_in(home).await;
    tells(&stage, "files:write (to send files)").await;
    slack.set_others(1);
    slack.give_scope("files:write");
    tells(&stage, "1 other programs are connected to Slack with the same SLACK_APP_TOKEN").await;
    slack.set_others(0);
    slack.connected().await;
}

#[tokio::test]
async fn an_hour_of_events_comes_in_order_and_summarised_when_slack_is_back() {
    let (slack, stage, id, thread) = staged("away").await;
    say(&stage, &id, "ready").await;
    slack.says(Some(&thread), "ready").await;
    for _ in 0..100 {
        slack.fault("chat.postMessage", Fault::Html(503));
    }
    for n in 0..60 {
        stage.api.input(&id, &format!("prompt {n}")).await;
        say(&stage, &id, &format!("answer {n}.")).await;
    }
    ask(&stage, &id, "make").await;
    tells(&stage, "Slack is ill").await;
    slack.heal();
    slack.says(Some(&thread), "make").await;
    let shown: Vec<String> = slack.shown(Some(&thread)).iter().map(text_of).collect();
    assert!(shown.len() <= 26, "not flooded: {}", shown.len());
    let place = |words: &str| shown.iter().rposition(|text| text.contains(words)).expect(words);
    assert!(place("were left out here") < place("answer 58."), "{shown:?}");
    assert!(place("answer 58.") < place("answer 59.") && place("answer 59.") < place("make"), "{shown:?}");
}
