//! What is the same in all chats: many sessions that write at once, people who are let in and thrown out, git.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::chat::{Chat, ask, bare, bound, external, with_agents};
use crate::harness::discord::Discord;
use crate::harness::telegram::{ALICE, MALLORY, Telegram, text};
use crate::harness::{FakeSlack, Home, Stage, eventually, process};

/// Pieces that each session writes, and the pause between them.
const PIECES: usize = 25;
const PAUSE: Duration = Duration::from_millis(200);

/// So many sessions, or as many as are asked for: with the numbers of the platforms fifty take minutes.
fn count(usual: usize) -> usize {
    std::env::var("TETHER_RIG_CHATS").ok().and_then(|count| count.parse().ok()).unwrap_or(usual)
}

/// Sessions write all at once, some ask in the middle of it, and the platform counts.
async fn crowd<C: Chat>(sessions: usize, patience: Duration) {
    let (chat, stage) = bare::<C>().await;
    chat.counts().await;
    let mut ids = Vec::new();
    for number in 0..sessions {
        ids.push(bound::<C>(&stage, &format!("number {number:03}")).await);
    }
    let mut threads = Vec::new();
    for number in 0..sessions {
        let name = format!("number {number:03}");
        threads.push(eventually(&name, 600, || chat.thread_now(&name)).await);
    }
    let began = Instant::now();
    let asking = sessions.min(3);
    let mut asked = began;
    for piece in 0..PIECES {
        for (number, id) in ids.iter().enumerate() {
            stage.api.push(id, "output", json!({ "text": format!("s{number:03}.{piece:02}.") })).await.ok();
        }
        if piece == PIECES / 2 {
            for id in ids.iter().take(asking) {
                ask(&stage, id, "r", "make it so").await;
            }
            asked = Instant::now();
        }
        tokio::time::sleep(PAUSE).await;
    }
    for thread in threads.iter().take(asking) {
        chat.answers(thread, "make it so", "Allow").await;
    }
    let waited = asked.elapsed();
    // A turn that ends takes back what is not answered.
    for thread in threads.iter().take(asking) {
        eventually("it is answered", 60, || async {
            chat.texts(thread).await.join("\n").contains("Allowed by").then_some(())
        })
        .await;
    }
    assert!(waited < patience, "the questions were there after {waited:?}");
    for id in &ids {
        stage.api.push(id, "output", json!({ "text": "THE END", "is_final": true })).await.ok();
        stage.api.push(id, "status", json!({ "status": "done" })).await.ok();
    }
    eventually("all is said", 900, || async {
        let bridges = stage.api.get("/api/status/bridges").await.ok();
        let ours = bridges["bridges"].as_array()?.iter().find(|one| one["platform"] == C::NAME)?.clone();
        (ours["outbox"] == 0).then_some(())
    })
    .await;
    for (number, thread) in threads.iter().enumerate() {
        let said = eventually("the end is said", 60, || async {
            let said = chat.texts(thread).await.join("\n");
            said.contains("THE END").then_some(said)
        })
        .await;
        let found: Vec<&str> =
            said.split_whitespace().filter(|word| word.starts_with(&format!("s{number:03}."))).collect();
        let wanted: Vec<String> = (0..PIECES).map(|piece| format!("s{number:03}.{piece:02}.")).collect();
        assert_eq!(found, wanted, "in order, each once");
        assert_eq!(said.matches("Allowed by").count(), usize::from(number < asking), "{said}");
    }
    let (pid, refused) = (stage.daemon.pid(), chat.refused().await);
    let (memory, busy) = (process::resident_kib(pid) / 1024, process::busy_seconds(pid));
    eprintln!(
        "{}: {sessions} sessions in {:?}, questions within {waited:?}, {refused} calls too many, {memory} MiB, {busy:.1} s of \
         a core",
        C::NAME,
        began.elapsed()
    );
    assert!(refused <= 3, "{refused} calls were too many");
    assert!(memory < 200, "{memory} MiB");
    assert!(busy < began.elapsed().as_secs_f64() * 0.7 + 10.0, "{busy} s of a core");
}

#[tokio::test]
async fn sessions_write_all_at_once_on_telegram_in_order_and_none_is_in_the_way_of_a_question() {
    crowd::<Telegram>(count(6), Duration::from_secs(90)).await;
}

#[tokio::test]
async fn sessions_write_all_at_once_on_slack_in_order_and_none_is_in_the_way_of_a_question() {
    crowd::<FakeSlack>(count(12), Duration::from_secs(60)).await;
}

#[tokio::test]
async fn sessions_write_all_at_once_on_discord_in_order_and_none_is_in_the_way_of_a_question() {
    crowd::<Discord>(count(50), Duration::from_secs(30)).await;
}

/// Lets Mallory in with a code.
async fn lets_mallory_in(telegram: &Telegram, stage: &Stage, thread: &Value) {
    let said = stage.cli(&["pair", "--chat", "--json"]).await;
    let code: Value = serde_json::from_str(&said.out).expect("JSON");
    telegram.writes(MALLORY, thread, &format!("/pair {}", code["code"].as_str().expect("a code"))).await;
    telegram.says("you may use this bot now").await;
}

#[tokio::test]
async fn somebody_who_is_thrown_out_may_nothing_at_once_and_what_they_allowed_ends() {
    let (telegram, mut stage) = bare::<Telegram>().await;
    let (id, thread) = external(&stage, &telegram, "people").await;
    lets_mallory_in(&telegram, &stage, &thread).await;
    for request in ["r1", "r2"] {
        ask(&stage, &id, request, request).await;
    }
    let (one, two) = (telegram.asks("r1").await, telegram.asks("r2").await);
    telegram.presses(MALLORY, &one, "Bash 30 min").await;
    telegram.message("it is allowed", |m| m["id"] == two["id"] && text(m).contains("Allowed")).await;
    assert_eq!(stage.api.grants().await.len(), 1);

    let people = stage.cli(&["people"]).await.ok();
    assert!(people.contains("99") && people.contains("Mallory") && people.contains("a code"), "{people}");
    let listed = stage.cli(&["people", "--json"]).await.ok();
    assert!(listed.contains("\"paired\": false") || listed.contains("\"paired\":false"), "{listed}");
    let removed = stage.cli(&["people", "remove", "99"]).await.ok();
    assert_eq!(removed, "Removed 99 from telegram, and a standing permission of theirs ended\n");
    assert!(stage.api.grants().await.is_empty());
    ask(&stage, &id, "r3", "r3").await;
    let three = telegram.asks("r3").await;
    assert_eq!(telegram.presses(MALLORY, &three, "Allow").await, "You may not answer this.");
    assert_eq!(stage.api.open_approvals(&id).await.len(), 1);

    stage.daemon.kill9();
    stage.daemon.start().await;
    assert_eq!(telegram.presses(MALLORY, &three, "Allow").await, "You may not answer this.");
    let no = stage.cli(&["people", "remove", "1"]).await;
    assert!(no.code == 1 && no.err.contains("TELEGRAM_ALLOWED_USER_IDS"), "{no:?}");
    stage.api.delete("/api/bridges/telegram/people/99").await.error(404, "NOT_FOUND");
    stage.api.delete("/api/bridges/slack/people/99").await.error(404, "NOT_FOUND");
}

#[tokio::test]
async fn whoever_is_taken_out_of_the_settings_has_allowed_nothing_any_more() {
    let (telegram, mut stage) = bare::<Telegram>().await;
    let (id, _) = external(&stage, &telegram, "settings").await;
    ask(&stage, &id, "r1", "r1").await;
    let card = telegram.asks("r1").await;
    telegram.presses(2, &card, "Bash 30 min").await;
    telegram.says("Allowed by Bob").await;
    assert_eq!(stage.api.grants().await.len(), 1);
    stage.daemon.kill9();
    stage.daemon.set("TELEGRAM_ALLOWED_USER_IDS", "1");
    stage.daemon.start().await;
    eventually("it ended", 30, || async { stage.api.grants().await.is_empty().then_some(()) }).await;
}

#[tokio::test]
async fn a_repository_is_looked_at_by_all_who_may_and_changed_by_those_of_the_settings() {
    let mut home = Home::new();
    let telegram = Telegram::start(&mut home);
    crate::git::lays_repository(&home);
    let stage = Stage::bare_in(home).await;
    let body = json!({ "agent_name": "rig", "session_name": "git", "platform": "telegram", "directory": stage.home.work() });
    let session = stage.api.post("/api/sessions", body).await.ok();
    assert!(session["id"].is_string());
    let thread = telegram.thread_of("git").await;
    lets_mallory_in(&telegram, &stage, &thread).await;
    std::fs::write(stage.file("new.txt"), "new\n").expect("written");
    let does = async |user: u64, line: &str, words: &str| {
        telegram.writes(user, &thread, line).await;
        telegram.says(words).await
    };
    does(MALLORY, "/git", "new.txt").await;
    does(MALLORY, "/log", "first").await;
    does(MALLORY, "/commit mine", "only people whose ids are in TELEGRAM_ALLOWED_USER_IDS").await;
    does(ALICE, "/branch topic", "on the new branch topic").await;
    does(ALICE, "/commit", "give the message").await;
    does(ALICE, "/commit Add <new>", "Add <new>").await;
    does(ALICE, "/push", "topic is at").await;
    does(ALICE, "/git checkout main", "on main").await;
    does(ALICE, "/pr Mend it", "⚠️").await;
    does(ALICE, "/git rebase", "takes status, log").await;
    assert!(!stage.file("new.txt").exists());
    telegram.was_well_spoken_to().await;
}

#[tokio::test]
async fn everybody_has_a_list_of_their_own_and_takes_over_what_they_see_on_it() {
    let (telegram, stage) = with_agents::<Telegram>().await;
    for name in ["alpha", "beta"] {
        let folder = stage.file(name);
        std::fs::create_dir(&folder).expect("a folder");
        crate::elsewhere::plainly_in(&stage, &folder, &["-p", &format!("SAY from {name}")]).await;
    }
    let does = async |user: u64, line: &str, words: &str| {
        telegram.does("text", json!({ "user": user, "text": line })).await;
        telegram.says(words).await
    };
    does(ALICE, "/attach 1", "look at the list first").await;
    does(ALICE, "/list alpha", "with \"alpha\", page 1 of 1").await;
    does(2, "/list beta", "with \"beta\", page 1 of 1").await;
    does(2, "/attach 2", "the list has no 2").await;
    does(ALICE, "/attach 1", "is taken over").await;
    let sessions = stage.api.get("/api/sessions").await.ok();
    assert_eq!(sessions.as_array().map(Vec::len), Some(1));
    assert!(sessions[0]["directory"].as_str().is_some_and(|path| path.ends_with("/alpha")), "{sessions}");
    telegram.says("from alpha").await;
    telegram.was_well_spoken_to().await;
}

#[tokio::test]
async fn an_error_is_shown_in_its_own_words() {
    let (telegram, stage) = bare::<Telegram>().await;
    let (id, _) = external(&stage, &telegram, "errors").await;
    stage.api.push(&id, "error", json!({ "code": "OUT_OF_TEA", "message": "there is no tea" })).await.ok();
    let shown = telegram.says("there is no tea").await;
    assert_eq!(shown["quiet"], false, "a phone rings");
}

#[tokio::test]
async fn without_a_channel_one_is_made_on_the_server_and_used_again() {
    let mut home = Home::new();
    let discord = Discord::start(&mut home);
    home.extra.insert("DISCORD_CHANNEL_ID".into(), String::new());
    home.extra.insert("DISCORD_GUILD_ID".into(), "90".into());
    let mut stage = Stage::bare_in(home).await;
    discord.connected().await;
    external(&stage, &discord, "first").await;
    stage.daemon.kill9();
    stage.daemon.start().await;
    external(&stage, &discord, "second").await;
    let state = discord.state().await;
    let made: Vec<(&String, &Value)> = state["made"].as_object().expect("channels").iter().collect();
    let [(channel, name)] = made.as_slice() else { panic!("one channel: {made:?}") };
    assert!(name.as_str().is_some_and(|name| name.starts_with("🤖-")), "{name}");
    let parents: Vec<&Value> =
        state["threads"].as_object().expect("threads").values().map(|one| &one["parent"]).collect();
    assert!(parents.len() == 2 && parents.iter().all(|parent| *parent == channel.as_str()), "{parents:?}");
    discord.was_well_spoken_to().await;
}
