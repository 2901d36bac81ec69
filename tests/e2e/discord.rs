//! A session as a thread of a Discord channel: what is said there, and what is answered there.

use serde_json::{Value, json};

use crate::harness::chat::{Chat as _, ask, bare, external, is_heard, with_agents, working};
use crate::harness::discord::{ALICE, Discord, MALLORY, buttons, text};
use crate::harness::stage::appends;
use crate::harness::{eventually, lines};

#[tokio::test]
async fn a_real_agents_turn_is_shown_as_it_grows_and_its_command_allowed_by_a_button() {
    let (discord, stage) = with_agents::<Discord>().await;
    let (id, thread) = working(&stage, &discord).await;
    let file = stage.file("out");
    let script = format!(
        "SAY Beginning now.\nHOLD half\nSAY Half is done.\n{}\nSAY All is over.",
        appends("ran", &file)
    );
    discord.writes(ALICE, &thread, &script).await;
    stage.model().held("half").await;
    let growing = discord.says("Beginning now.").await;
    assert_eq!(growing["flags"], 4 | 4096, "what grows rings no phone and has no preview");
    stage.model().release("half").await;
    let card = discord.asks("echo ran").await;
    assert!(lines(&file).is_empty(), "nothing runs before the answer");
    assert_eq!(card["flags"], 4);
    let grown = discord.now(&growing).await;
    assert!(text(&grown).contains("Half is done."), "the same message grew: {grown}");

    discord.presses(ALICE, &card, "Allow").await;
    discord.says("All is over.").await;
    assert_eq!(lines(&file), ["ran"]);
    let settled = discord
        .message("the card says who allowed it", |one| {
            one["id"] == card["id"] && text(one).contains("Allowed by Alice")
        })
        .await;
    assert!(buttons(&settled).is_empty(), "{settled}");
    let session = stage.api.session(&id).await;
    assert_eq!(session["platform_thread_id"], thread);
    discord.was_well_spoken_to().await;
}

#[tokio::test]
async fn a_question_is_answered_in_words_only_by_exact_ones() {
    let (discord, stage) = bare::<Discord>().await;
    let (id, thread) = external(&stage, &discord, "in words").await;
    ask(&stage, &id, "r1", "make").await;
    let card = discord.asks("make").await;
    discord.writes(ALICE, &thread, "ok, go on then").await;
    is_heard(&stage, &id, "ok, go on then").await;
    assert_eq!(stage.api.open_approvals(&id).await.len(), 1, "those words allow nothing");
    discord.writes(ALICE, &thread, "deny: use ninja").await;
    discord.says("Denied by Alice").await;
    let approval = stage.api.get("/api/approvals?state=all").await.ok()[0].clone();
    assert_eq!((&approval["state"], &approval["answer"]["message"]), (&json!("denied"), &json!("use ninja")));
    assert!(buttons(&discord.now(&card).await).is_empty());
    discord.was_well_spoken_to().await;
}

#[tokio::test]
async fn a_denial_takes_its_reason_from_a_form() {
    let (discord, stage) = bare::<Discord>().await;
    let (id, _) = external(&stage, &discord, "why not").await;
    ask(&stage, &id, "r1", "make").await;
    let card = discord.asks("make").await;
    let press = discord.presses(ALICE, &card, "Deny, because…").await;
    discord.fills_in(&press, "not today").await;
    discord.says("Denied by Alice").await;
    let approval = stage.api.get("/api/approvals?state=all").await.ok()[0].clone();
    assert_eq!(approval["answer"]["message"], "not today");
    let title = discord.state().await["presses"][&press]["form"]["title"].clone();
    assert_eq!(title, "Deny, because…");
    discord.was_well_spoken_to().await;
}

#[tokio::test]
async fn an_answer_from_elsewhere_is_shown_and_an_old_button_says_what_became_of_it() {
    let (discord, stage) = bare::<Discord>().await;
    let (id, _) = external(&stage, &discord, "elsewhere").await;
    ask(&stage, &id, "r1", "make").await;
    let card = discord.asks("make").await;
    let data = card["components"][0]["components"][0]["custom_id"].clone();
    let open = stage.api.open_approvals(&id).await;
    stage.api.answer(open[0]["id"].as_str().unwrap(), json!({ "decision": "deny" })).await.ok();
    let settled = discord
        .message("the card says what was answered", |one| {
            one["id"] == card["id"] && text(one).contains("Denied by")
        })
        .await;
    assert!(buttons(&settled).is_empty());
    let press = json!({ "user": ALICE, "message": card["id"], "data": data });
    let press = discord.does("press", press).await["press"].as_str().unwrap().to_owned();
    assert!(discord.told(&press).await.contains("already denied"));
    assert_eq!(stage.api.get("/api/approvals?state=all").await.ok()[0]["state"], "denied");
    discord.was_well_spoken_to().await;
}

#[tokio::test]
async fn several_questions_are_answered_as_one_with_choices_and_own_words() {
    let (discord, stage) = bare::<Discord>().await;
    let (id, _) = external(&stage, &discord, "questions").await;
    let option = |label: &str| json!({ "label": label, "description": "" });
    let questions = json!([
        { "question": "Which database?", "header": "DB", "multiSelect": false,
          "options": [option("Postgres"), option("SQLite"), option("Redis"), option("None")] },
        { "question": "Which extras?", "header": "More", "multiSelect": true,
          "options": [option("Cache"), option("Queue"), option("Search"), option("Mail")] },
    ]);
    let ask = json!({ "request_id": "q", "tool_name": "AskUserQuestion", "tool_input": { "questions": questions } });
    stage.api.push(&id, "permission_request", ask).await.ok();
    let card = discord.asks("Which database?").await;
    assert!(text(&card).contains("Which extras?"), "all questions are shown: {card}");
    discord.presses(ALICE, &card, "2: Cache").await;
    discord.message("the choice is marked", |one| buttons(one).contains(&"☑ 2: Cache")).await;
    let early = discord.presses(ALICE, &card, "Send answers").await;
    assert!(discord.told(&early).await.contains("question 1"));
    let card = discord.now(&card).await;
    discord.presses(ALICE, &card, "2: Queue").await;
    let press = discord.presses(ALICE, &card, "1: Other…").await;
    discord.fills_in(&press, "MariaDB").await;
    let card = discord
        .message("the words are shown", |one| {
            one["id"] == card["id"] && text(one).contains("MariaDB") && buttons(one).contains(&"☑ 2: Queue")
        })
        .await;
    discord.presses(ALICE, &card, "Send answers").await;
    discord.says("Answered by Alice").await;
    let approval = stage.api.get("/api/approvals?state=all").await.ok()[0].clone();
    let expected = json!({ "Which database?": ["MariaDB"], "Which extras?": ["Cache", "Queue"] });
    let presses = discord.state().await["presses"].clone();
    assert_eq!(approval["answer"]["answers"], expected, "{presses:#}");
    discord.was_well_spoken_to().await;
}

#[tokio::test]
async fn a_file_goes_each_way_and_none_comes_from_another_host() {
    let (discord, stage) = with_agents::<Discord>().await;
    let (id, thread) = working(&stage, &discord).await;
    let file = json!({ "name": "../notes.txt", "base64": "aGVsbG8gZmlsZQ==" });
    std::fs::write(stage.file("report.txt"), "forty-two").expect("a file");
    let body = json!({
        "user": ALICE, "thread": thread, "text": "SAY PUBLISH AS ATTACHMENT: report.txt", "file": file,
    });
    discord.does("text", body).await;
    eventually("the agent is told where the file is", 40, || async {
        let bodies = stage.model().bodies();
        bodies.iter().any(|body| body.to_string().contains("notes.txt")).then_some(())
    })
    .await;
    let sent = discord.message("the file", |one| one["file"]["name"] == "report.txt").await;
    assert_eq!(sent["file"]["base64"], "Zm9ydHktdHdv");
    let folder = stage.home.path().join(format!(".local/share/tether/bridge-media/{id}"));
    let stored: Vec<_> =
        std::fs::read_dir(folder).expect("a folder").flatten().map(|entry| entry.path()).collect();
    assert_eq!(stored.len(), 1, "{stored:?}");
    assert_eq!(std::fs::read_to_string(&stored[0]).expect("it is there"), "hello file");

    let url = stage.api.base.replace("127.0.0.1", "localhost");
    let file = json!({ "name": "x.txt", "base64": "eA==", "url": format!("{url}/api/health") });
    discord.does("text", json!({ "user": ALICE, "thread": thread, "file": file })).await;
    discord.says("is not where Discord keeps files").await;
    discord.was_well_spoken_to().await;
}

#[tokio::test]
async fn only_the_channel_and_the_people_of_the_list_are_heard_until_a_code_lets_one_in() {
    let (discord, stage) = bare::<Discord>().await;
    let (id, thread) = external(&stage, &discord, "strangers").await;
    ask(&stage, &id, "r1", "make").await;
    let card = discord.asks("make").await;
    let press = discord.presses(MALLORY, &card, "Allow").await;
    assert_eq!(discord.told(&press).await, "You may not answer this.");
    discord.writes(MALLORY, &thread, "allow").await;
    discord.says("not on the list").await;
    discord.writes(MALLORY, &thread, "allow").await;
    // Another channel, a bot, and a button made up.
    discord.does("text", json!({ "user": ALICE, "channel": "92", "text": "!status" })).await;
    discord.does("text", json!({ "user": ALICE, "thread": thread, "text": "allow", "bot": true })).await;
    let elsewhere = json!({ "user": ALICE, "thread": "92", "name": "status" });
    let press = discord.does("command", elsewhere).await["press"].as_str().unwrap().to_owned();
    assert!(discord.told(&press).await.contains("only in the channel"));
    for forged in ["aaaaaaaaaa.0", "menu:0", "form:x"] {
        let forged = json!({ "user": ALICE, "message": card["id"], "data": forged });
        discord.does("press", forged).await;
    }
    let forged = json!({ "user": ALICE, "message": card["id"], "data": "aaaaaaaaaa.0" });
    let press = discord.does("press", forged).await["press"].as_str().unwrap().to_owned();
    assert!(discord.told(&press).await.contains("not known"));
    assert_eq!(stage.api.open_approvals(&id).await.len(), 1, "nobody has answered");
    let told = discord.texts(&thread).await.iter().filter(|text| text.contains("not on the list")).count();
    assert_eq!(told, 1, "a stranger is told once");
    let state = discord.state().await;
    let sent =
        state["calls"].as_array().unwrap().iter().filter(|call| call["path"] == "channels/92/messages");
    assert_eq!(sent.count(), 0, "nothing is said elsewhere");

    let said = stage.cli(&["pair", "--chat", "--json"]).await;
    let code: Value = serde_json::from_str(&said.out).expect("JSON");
    let code = code["code"].as_str().expect("a code");
    discord.does("text", json!({ "user": MALLORY, "private": true, "text": format!("!pair {code}") })).await;
    discord.says("you may use this bot now").await;
    discord.presses(MALLORY, &card, "Deny").await;
    discord.says("Denied by Mallory").await;
    discord.was_well_spoken_to().await;
}

#[tokio::test]
async fn a_session_is_made_stopped_renamed_and_taken_away_by_commands() {
    let (discord, stage) = with_agents::<Discord>().await;
    let known = discord.state().await["commands"].clone();
    assert!(known.to_string().contains("\"status\""), "{known}");
    let words = format!("claude {}", stage.home.work().display());
    let new = json!({ "user": ALICE, "name": "new", "words": words });
    let press = discord.does("command", new).await["press"].as_str().unwrap().to_owned();
    let greeting = discord.says("What you write here goes to the agent").await;
    assert_eq!(discord.told(&press).await, "", "what all see is not told again");
    let thread = &greeting["thread"];
    discord.writes(ALICE, thread, "SAY Up.\nHOLD stop\nSAY Never.").await;
    stage.model().held("stop").await;
    discord.writes(ALICE, thread, "and then this").await;
    discord.says("Queued").await;
    discord.writes(ALICE, thread, "!stop").await;
    discord.says("⏹").await;
    discord.writes(ALICE, thread, "!rename Better name").await;
    eventually("the thread is renamed", 20, || async {
        let threads = discord.state().await["threads"].clone();
        (threads[thread.as_str()?]["name"] == "Better name").then_some(())
    })
    .await;
    // A third time Discord does not take for ten minutes; nothing else waits for that.
    for name in ["Better still", "Best"] {
        discord.writes(ALICE, thread, &format!("!rename {name}")).await;
    }
    discord.writes(ALICE, thread, "!usage").await;
    discord.says("tokens").await;
    discord.writes(ALICE, thread, "!detach").await;
    discord.says("not shown here any more").await;
    let sessions = stage.api.get("/api/sessions").await.ok();
    assert!(sessions[0]["platform"].is_null(), "{sessions}");
    discord.was_well_spoken_to().await;
}

#[tokio::test]
async fn a_reaction_makes_a_session_of_a_message_once() {
    let (discord, stage) = with_agents::<Discord>().await;
    let text = format!("!new claude {}\nSAY Made by a sign.", stage.home.work().display());
    let message = discord.does("text", json!({ "user": ALICE, "text": text })).await["message"].clone();
    let react = |user: u64| json!({ "user": user, "message": message, "emoji": "✅" });
    discord.does("react", react(MALLORY)).await;
    discord.says("not on the list").await;
    assert_eq!(
        stage.api.get("/api/sessions").await.ok(),
        json!([]),
        "nothing by itself, nothing for a stranger"
    );
    discord.does("react", json!({ "user": ALICE, "message": message, "emoji": "👍" })).await;
    discord.does("react", react(2)).await;
    discord.says("Made by a sign.").await;
    discord.does("react", react(ALICE)).await;
    discord.writes(ALICE, &json!("91"), "!status").await;
    discord
        .message("the answer", |one| {
            one["thread"] == "91" && one["author"]["bot"] == true && text_is_status(one)
        })
        .await;
    assert_eq!(stage.api.get("/api/sessions").await.ok().as_array().map(Vec::len), Some(1));
    discord.was_well_spoken_to().await;
}

fn text_is_status(message: &Value) -> bool {
    text(message).contains("discord.com/channels")
}

#[tokio::test]
async fn a_deleted_session_puts_its_thread_away_and_a_deleted_thread_is_made_anew() {
    let (discord, stage) = bare::<Discord>().await;
    let (id, thread) = external(&stage, &discord, "short life").await;
    ask(&stage, &id, "r1", "make").await;
    discord.asks("make").await;
    discord.does("delete_thread", json!({ "thread": thread })).await;
    stage.api.push(&id, "output", json!({ "text": "still here" })).await.ok();
    let anew = discord
        .message("a new thread", |one| text(one).contains("still here") && one["thread"] != thread)
        .await;
    let card = discord
        .message("the question is asked there again", |one| {
            one["thread"] == anew["thread"] && !buttons(one).is_empty()
        })
        .await;
    // Discord puts threads away by itself; the card is edited all the same.
    discord.does("archive", json!({ "thread": anew["thread"] })).await;
    discord.presses(ALICE, &card, "Allow").await;
    discord.message("it is settled", |one| one["id"] == card["id"] && buttons(one).is_empty()).await;
    stage.api.push(&id, "status", json!({ "status": "done" })).await.ok();
    stage.api.delete(&format!("/api/sessions/{id}")).await.ok();
    discord.says("deleted").await;
    eventually("the thread is put away", 20, || async {
        let threads = discord.state().await["threads"].clone();
        threads[anew["thread"].as_str()?]["archived"].as_bool().filter(|archived| *archived)
    })
    .await;
    discord.was_well_spoken_to().await;
}
