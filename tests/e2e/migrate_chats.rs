//! Moving over from Tether 0.3.4 with chats: sessions stay in their threads, and people who were paired are let in.

use serde_json::{Value, json};

use crate::harness::chat::{Chat, external, is_heard, say};
use crate::harness::cli::tether;
use crate::harness::discord::Discord;
use crate::harness::peer::{PeerHome, hashes};
use crate::harness::telegram::{ALICE, Telegram};
use crate::harness::{FakeSlack, Home, Stage, eventually};

fn name_of(thread: &Value) -> String {
    thread.as_str().map_or_else(|| thread.to_string(), str::to_owned)
}

/// A daemon beside which no other ran, on a chat where the other program had a thread already; that thread.
async fn moving<C: Chat>() -> (C, Stage, Stage, Value) {
    let mut home = Home::new();
    let chat = C::start(&mut home);
    let settings = home.extra.clone();
    // What makes the thread stands in for the other program: it has the same bot.
    let mut other = Stage::bare_in(home).await;
    chat.connected().await;
    let (_, thread) = external(&other, &chat, "The old thread").await;
    eventually("it is said", 40, || async { (!chat.texts(&thread).await.is_empty()).then_some(()) }).await;
    other.daemon.kill9();
    let mut home = Home::new();
    home.extra = settings;
    let stage = Stage::bare_in(home).await;
    (chat, stage, other, thread)
}

async fn goes_on_in_its_thread<C: Chat>() -> (C, Stage, Stage, String, Value) {
    let (chat, mut stage, other, thread) = moving::<C>().await;
    let peer = PeerHome::unpack(&stage.home.path().join("peer"));
    let id = peer.binds("Long", C::NAME, &name_of(&thread));
    let before = (hashes(&peer.0), chat.texts(&thread).await);
    let data = peer.data().display().to_string();
    let said = stage.cli(&["migrate", &data, "--no-settings"]).await.ok();
    assert!(said.contains("1 of them go on in the chat threads"), "{said}");
    let session = stage.api.session(&id).await;
    assert_eq!(
        (&session["platform"], &session["platform_thread_id"]),
        (&json!(C::NAME), &json!(name_of(&thread)))
    );

    let all = async |end: &str| {
        eventually(end, 60, || async {
            Some(chat.texts(&thread).await).filter(|texts| texts.iter().any(|text| text.contains(end)))
        })
        .await
    };
    say(&stage, &id, "new here").await;
    let texts = all("new here").await;
    assert_eq!(texts[..before.1.len()], before.1, "nothing that stood there is another");
    let new =
        |texts: &[String]| texts[before.1.len()..].join(" ").split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(new(&texts), "new here", "nothing of what was is told again");

    // A second time nothing changes, and after a restart neither.
    let again = stage.cli(&["migrate", &data, "--no-settings"]).await.ok();
    assert!(again.contains("0 sessions were taken over") && !again.contains("chat threads"), "{again}");
    stage.daemon.kill9();
    stage.daemon.start().await;
    say(&stage, &id, "after all that").await;
    let texts = all("after all that").await;
    assert_eq!(new(&texts), "new here after all that");
    assert_eq!(hashes(&peer.0), before.0, "nothing was changed there");
    (chat, stage, other, id, thread)
}

#[tokio::test]
async fn a_session_goes_on_in_its_topic_of_telegram_and_is_answered_there() {
    let (telegram, stage, _other, id, thread) = goes_on_in_its_thread::<Telegram>().await;
    telegram.writes(ALICE, &thread, "go on, please").await;
    is_heard(&stage, &id, "go on, please").await;
    telegram.was_well_spoken_to().await;
}

#[tokio::test]
async fn a_session_goes_on_in_its_thread_of_slack() {
    goes_on_in_its_thread::<FakeSlack>().await;
}

#[tokio::test]
async fn a_session_goes_on_in_its_thread_of_discord() {
    let (discord, _stage, _other, _, _) = goes_on_in_its_thread::<Discord>().await;
    discord.was_well_spoken_to().await;
}

#[tokio::test]
async fn a_session_whose_topic_is_gone_goes_on_in_a_new_one() {
    let (telegram, stage, _other, thread) = moving::<Telegram>().await;
    let peer = PeerHome::unpack(&stage.home.path().join("peer"));
    let gone = "987654";
    assert_ne!(name_of(&thread), gone);
    let id = peer.binds("Long", "telegram", gone);
    stage.cli(&["migrate", &peer.data().display().to_string(), "--no-settings"]).await.ok();
    say(&stage, &id, "new here").await;
    let found = telegram.says("new here").await;
    assert_ne!(found["thread"].to_string(), gone);
    eventually("the session knows its thread", 30, || async {
        let session = stage.api.session(&id).await;
        (session["platform_thread_id"] == json!(name_of(&found["thread"]))).then_some(())
    })
    .await;
    telegram.was_well_spoken_to().await;
}

#[tokio::test]
async fn people_who_were_paired_are_let_in_only_with_a_yes() {
    let mut home = Home::new();
    home.extra.insert("TETHER_AGENT_TOKEN".into(), String::new());
    let peer = PeerHome::unpack(&home.path().join("peer"));
    peer.pairs(&[7, 8], Some(500));
    let (data, config) = (peer.data().display().to_string(), peer.config().display().to_string());
    let shown = tether(&home, &["migrate", &data, "--config", &config]).await.ok();
    assert!(shown.contains("discord_pairing.json") && shown.contains("not set up"), "{shown}");
    let theirs = std::fs::read_to_string(peer.config()).expect("read");
    std::fs::write(peer.config(), theirs + "DISCORD_BOT_TOKEN=t.o.k\nDISCORD_ALLOWED_USER_IDS=6\n")
        .expect("written");
    let before = hashes(&peer.0);
    let shown = tether(&home, &["migrate", &data, "--config", &config]).await.ok();
    for words in ["+ DISCORD_ALLOWED_USER_IDS=6,7,8", "+ DISCORD_CHANNEL_ID=500", "Not stored"] {
        assert!(shown.contains(words), "{words} in {shown}");
    }
    let ours = home.path().join(".config/tether/config.env");
    assert!(!ours.exists(), "nobody said yes");
    tether(&home, &["migrate", &data, "--config", &config, "--yes"]).await.ok();
    let text = std::fs::read_to_string(&ours).expect("read");
    for words in ["DISCORD_ALLOWED_USER_IDS=6,7,8", "DISCORD_CHANNEL_ID=500"] {
        assert!(text.contains(words), "{words} in {text}");
    }
    tether(&home, &["migrate", &data, "--config", &config, "--yes"]).await.ok();
    assert_eq!(std::fs::read_to_string(&ours).expect("read"), text, "a second time nothing changes");
    assert_eq!(hashes(&peer.0), before);
}
