//! A session as a topic of a Telegram group: what is said there, and what is answered there.

use serde_json::{Value, json};

use crate::harness::chat::{Chat as _, ask, bare, external, is_heard, with_agents, working};
use crate::harness::stage::appends;
use crate::harness::telegram::{ALICE, MALLORY, buttons, text};
use crate::harness::{Telegram, eventually, lines};

#[tokio::test]
async fn a_real_agents_turn_is_shown_as_it_grows_and_its_command_allowed_by_a_button() {
    let (telegram, stage) = with_agents::<Telegram>().await;
    let (id, thread) = working(&stage, &telegram).await;
    let (id, thread, file) = (&id, &thread, stage.file("out"));
    let script = format!(
        "SAY Beginning now.\nHOLD half\nSAY Half is done.\n{}\nSAY All is over.",
        appends("ran", &file)
    );
    telegram.writes(ALICE, thread, &script).await;

    stage.model().held("half").await;
    let growing = telegram.says("Beginning now.").await;
    assert_eq!(growing["quiet"], true, "what grows rings no phone");
    stage.model().release("half").await;
    let card = telegram.asks("echo ran").await;
    assert!(lines(&file).is_empty(), "nothing runs before the answer");
    assert_eq!(card["quiet"], false);
    let grown = telegram.now(&growing).await;
    assert!(text(&grown).contains("Half is done."), "the same message grew: {grown}");

    assert_eq!(telegram.presses(ALICE, &card, "Allow").await, "Allowed.");
    telegram.says("All is over.").await;
    assert_eq!(lines(&file), ["ran"]);
    let settled = telegram
        .message("the card says who allowed it", |one| {
            one["id"] == card["id"] && text(one).contains("Allowed by Alice (telegram)")
        })
        .await;
    assert!(buttons(&settled).is_empty(), "{settled}");
    let session = stage.api.session(id).await;
    assert_eq!(session["platform_thread_id"], thread.to_string());
    telegram.was_well_spoken_to().await;
}

#[tokio::test]
async fn a_question_is_answered_in_words_only_by_exact_ones() {
    let (telegram, stage) = bare::<Telegram>().await;
    let (id, thread) = external(&stage, &telegram, "in words").await;
    ask(&stage, &id, "r1", "make").await;
    let card = telegram.asks("make").await;
    telegram.writes(ALICE, &thread, "ok, go on then").await;
    is_heard(&stage, &id, "ok, go on then").await;
    assert_eq!(stage.api.open_approvals(&id).await.len(), 1, "those words allow nothing");
    telegram.writes(ALICE, &thread, "deny: use ninja").await;
    telegram.says("Denied by Alice").await;
    let approval = stage.api.get("/api/approvals?state=all").await.ok()[0].clone();
    assert_eq!((&approval["state"], &approval["answer"]["message"]), (&json!("denied"), &json!("use ninja")));
    assert!(buttons(&telegram.now(&card).await).is_empty());

    ask(&stage, &id, "r2", "one").await;
    ask(&stage, &id, "r3", "two").await;
    let (one, _two) = (telegram.asks("one").await, telegram.asks("two").await);
    telegram.writes(ALICE, &thread, "allow").await;
    telegram.says("Several questions are open").await;
    assert_eq!(stage.api.open_approvals(&id).await.len(), 2);
    let reply = json!({ "user": ALICE, "thread": thread, "text": "allow", "reply_to": one["id"] });
    telegram.does("text", reply).await;
    telegram
        .message("the one replied to is allowed", |m| m["id"] == one["id"] && text(m).contains("Allowed"))
        .await;
    assert_eq!(stage.api.open_approvals(&id).await[0]["request_id"], "r3");
    telegram.was_well_spoken_to().await;
}

#[tokio::test]
async fn a_denial_takes_its_reason_from_the_one_who_pressed() {
    let (telegram, stage) = bare::<Telegram>().await;
    let (id, thread) = external(&stage, &telegram, "why not").await;
    ask(&stage, &id, "r1", "make").await;
    let card = telegram.asks("make").await;
    telegram.presses(ALICE, &card, "Deny, because…").await;
    let prompt = telegram.message("the reason is asked for", |one| one["asks"] == true).await;
    let reply =
        |user| json!({ "user": user, "thread": thread, "text": "not today", "reply_to": prompt["id"] });
    telegram.does("text", reply(2)).await;
    telegram.says("asked of somebody else").await;
    assert_eq!(stage.api.open_approvals(&id).await.len(), 1);
    telegram.does("text", reply(ALICE)).await;
    telegram.says("Denied by Alice").await;
    let approval = stage.api.get("/api/approvals?state=all").await.ok()[0].clone();
    assert_eq!(approval["answer"]["message"], "not today");
    telegram.was_well_spoken_to().await;
}

#[tokio::test]
async fn an_answer_from_elsewhere_is_shown_and_an_old_button_says_what_became_of_it() {
    let (telegram, stage) = bare::<Telegram>().await;
    let (id, _) = external(&stage, &telegram, "elsewhere").await;
    ask(&stage, &id, "r1", "make").await;
    let card = telegram.asks("make").await;
    let data = card["data"]["Allow"].as_str().expect("a button").to_owned();
    let open = stage.api.open_approvals(&id).await;
    stage.api.answer(open[0]["id"].as_str().unwrap(), json!({ "decision": "deny" })).await.ok();
    let settled = telegram
        .message("the card says what was answered", |one| {
            one["id"] == card["id"] && text(one).contains("Denied by")
        })
        .await;
    assert!(buttons(&settled).is_empty());
    let press = json!({ "user": ALICE, "message": card["id"], "data": data });
    let press = telegram.does("press", press).await["press"].as_str().unwrap().to_owned();
    assert!(telegram.toast(&press).await.contains("already denied"));
    assert_eq!(stage.api.get("/api/approvals?state=all").await.ok()[0]["state"], "denied");
    telegram.was_well_spoken_to().await;
}

#[tokio::test]
async fn several_questions_are_answered_as_one_with_choices_and_own_words() {
    let (telegram, stage) = bare::<Telegram>().await;
    let (id, thread) = external(&stage, &telegram, "questions").await;
    let questions = json!([
        { "question": "Which database?", "header": "DB", "multiSelect": false,
          "options": [{ "label": "Postgres", "description": "big" }, { "label": "SQLite", "description": "small" }] },
        { "question": "Which extras?", "header": "More", "multiSelect": true,
          "options": [{ "label": "Cache", "description": "" }, { "label": "Queue", "description": "" }] },
    ]);
    let ask = json!({ "request_id": "q", "tool_name": "AskUserQuestion", "tool_input": { "questions": questions } });
    stage.api.push(&id, "permission_request", ask).await.ok();
    let card = telegram.asks("Which database?").await;
    assert!(text(&card).contains("Which extras?"), "all questions are shown: {card}");
    telegram.presses(ALICE, &card, "2: Cache").await;
    assert!(telegram.presses(ALICE, &card, "Send answers").await.contains("question 1"));
    telegram.message("the choice is marked", |one| buttons(one).contains(&"☑ 2: Cache")).await;
    let card = telegram.now(&card).await;
    telegram.presses(ALICE, &card, "2: Queue").await;
    telegram.presses(ALICE, &card, "1: Other…").await;
    let prompt = telegram.message("words are asked for", |one| one["asks"] == true).await;
    let reply = json!({ "user": ALICE, "thread": thread, "text": "MariaDB", "reply_to": prompt["id"] });
    telegram.does("text", reply).await;
    telegram
        .message("the words are shown", |one| one["id"] == card["id"] && text(one).contains("MariaDB"))
        .await;
    telegram.presses(ALICE, &card, "Send answers").await;
    telegram.says("Answered by Alice").await;
    let approval = stage.api.get("/api/approvals?state=all").await.ok()[0].clone();
    let expected = json!({ "Which database?": ["MariaDB"], "Which extras?": ["Cache", "Queue"] });
    assert_eq!(approval["answer"]["answers"], expected);
    telegram.was_well_spoken_to().await;
}

#[tokio::test]
async fn a_standing_permission_is_given_for_half_an_hour_listed_and_taken_back() {
    let (telegram, stage) = bare::<Telegram>().await;
    let (id, thread) = external(&stage, &telegram, "grants").await;
    ask(&stage, &id, "r1", "make").await;
    let card = telegram.asks("make").await;
    telegram.presses(ALICE, &card, "Bash 30 min").await;
    telegram.says("this tool from now on").await;
    let grants = stage.api.grants().await;
    assert_eq!(grants[0]["covers"], "tool");
    assert!(grants[0]["expires_at"].is_string(), "{grants:?}");
    telegram.writes(ALICE, &thread, "/grants").await;
    telegram.says("every Bash").await;
    telegram.writes(ALICE, &thread, "/revoke 1").await;
    telegram.says("It is ended").await;
    assert!(stage.api.grants().await.is_empty());
    telegram.was_well_spoken_to().await;
}

#[tokio::test]
async fn files_go_both_ways() {
    let (telegram, stage) = with_agents::<Telegram>().await;
    let (_, thread) = working(&stage, &telegram).await;
    let script = "SAY Here it is.";
    let file = json!({ "name": "../notes.txt", "base64": "aGVsbG8gZmlsZQ==" });
    let body = json!({ "user": ALICE, "thread": thread, "text": script, "file": file });
    telegram.does("text", body).await;
    eventually("the agent is told where the file is", 30, || async {
        let bodies = stage.model().bodies();
        bodies.iter().any(|body| body.to_string().contains("notes.txt")).then_some(())
    })
    .await;
    let media = stage.home.path().join(".local/share/tether/bridge-media");
    let stored: Vec<_> = walk(&media);
    assert_eq!(stored.len(), 1, "{stored:?}");
    assert_eq!(std::fs::read_to_string(&stored[0]).expect("it is there"), "hello file");
}

fn walk(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.path() {
            path if path.is_dir() => found.extend(walk(&path)),
            path => found.push(path),
        }
    }
    found
}

#[tokio::test]
async fn a_file_that_the_agent_names_is_sent_if_it_is_the_sessions_own() {
    let (telegram, stage) = with_agents::<Telegram>().await;
    let (id, _) = working(&stage, &telegram).await;
    let id = id.as_str();
    std::fs::write(stage.file("report.txt"), "forty-two").expect("a file");
    stage.api.start(id, "SAY PUBLISH AS ATTACHMENT: report.txt").await;
    let sent = telegram.message("the file", |one| one["file"]["name"] == "report.txt").await;
    assert_eq!(sent["file"]["base64"], "Zm9ydHktdHdv");
    stage.api.input(id, "SAY PUBLISH AS ATTACHMENT: /etc/passwd").await;
    telegram.says("lies outside of the session's directory").await;
    telegram.was_well_spoken_to().await;
}

#[tokio::test]
async fn only_the_group_and_the_people_of_the_list_are_heard_until_a_code_lets_one_in() {
    let (telegram, stage) = bare::<Telegram>().await;
    let (id, thread) = external(&stage, &telegram, "strangers").await;
    ask(&stage, &id, "r1", "make").await;
    let card = telegram.asks("make").await;
    assert_eq!(telegram.presses(MALLORY, &card, "Allow").await, "You may not answer this.");
    telegram.writes(MALLORY, &thread, "allow").await;
    telegram.says("not on the list").await;
    telegram.writes(MALLORY, &thread, "allow").await;
    // Another group, with a topic of the same number, and a button made up.
    let other = json!({ "user": ALICE, "chat": -100999, "thread": thread, "text": "allow" });
    telegram.does("text", other).await;
    let forged = json!({ "user": ALICE, "message": card["id"], "data": "aaaaaaaaaa.0" });
    let press = telegram.does("press", forged).await["press"].as_str().unwrap().to_owned();
    assert!(telegram.toast(&press).await.contains("not known"));
    assert_eq!(stage.api.open_approvals(&id).await.len(), 1, "nobody has answered");
    let told = telegram.texts(&thread).await.iter().filter(|text| text.contains("not on the list")).count();
    assert_eq!(told, 1, "a stranger is told once");

    let said = stage.cli(&["pair", "--chat", "--json"]).await;
    let code: Value = serde_json::from_str(&said.out).expect("JSON");
    let code = code["code"].as_str().expect("a code");
    telegram.writes(MALLORY, &thread, "/pair wrong").await;
    telegram.says("wrong, used up").await;
    telegram.writes(MALLORY, &thread, &format!("/pair {code}")).await;
    telegram.says("you may use this bot now").await;
    assert_eq!(telegram.presses(MALLORY, &card, "Deny").await, "Denied.");
    telegram.was_well_spoken_to().await;
}

#[tokio::test]
async fn a_session_is_made_stopped_renamed_and_taken_away_by_commands() {
    let (telegram, stage) = with_agents::<Telegram>().await;
    let command = |text: String| json!({ "user": ALICE, "text": text });
    telegram.does("text", command(format!("/new claude {}", stage.home.work().display()))).await;
    let greeting = telegram.says("What you write here goes to the agent").await;
    let thread = &greeting["thread"];
    telegram.writes(ALICE, thread, "SAY Up.\nHOLD stop\nSAY Never.").await;
    stage.model().held("stop").await;
    telegram.writes(ALICE, thread, "and then this").await;
    telegram.says("Queued").await;
    telegram.writes(ALICE, thread, "/stop@rig_bot").await;
    telegram.says("⏹").await;
    telegram.writes(ALICE, thread, "/rename Better name").await;
    eventually("the topic is renamed", 20, || async {
        let topics = telegram.state().await["topics"].clone();
        (topics[thread.to_string()]["name"] == "Better name").then_some(())
    })
    .await;
    telegram.writes(ALICE, thread, "/usage").await;
    telegram.says("tokens").await;
    telegram.writes(ALICE, thread, "/detach").await;
    telegram.says("not shown here any more").await;
    let sessions = stage.api.get("/api/sessions").await.ok();
    assert!(sessions[0]["platform"].is_null(), "{sessions}");
    let id = sessions[0]["id"].as_str().expect("an id");
    assert_eq!(stage.cli(&["bind", id, "telegram"]).await.code, 0);
    let again = telegram.says("shown here again").await;
    assert_eq!(again["thread"], *thread, "the thread is used again");
    let said = stage.cli(&["detach", &id[..12]]).await.ok();
    assert_eq!(said, format!("Detached {id} from platform\n"));
    assert!(stage.api.session(id).await["platform"].is_null());
    assert_eq!(stage.cli(&["detach", id]).await.code, 1, "it is nowhere");
    telegram.was_well_spoken_to().await;
}

#[tokio::test]
async fn a_deleted_session_closes_its_topic_and_a_deleted_topic_is_made_anew() {
    let (telegram, stage) = bare::<Telegram>().await;
    let (id, thread) = external(&stage, &telegram, "short life").await;
    ask(&stage, &id, "r1", "make").await;
    telegram.asks("make").await;
    telegram.does("delete_topic", json!({ "thread": thread })).await;
    stage.api.push(&id, "output", json!({ "text": "still here" })).await.ok();
    let anew = telegram
        .message("a new topic", |one| text(one).contains("still here") && one["thread"] != thread)
        .await;
    let card = telegram
        .message("the question is asked there again", |one| {
            one["thread"] == anew["thread"] && !buttons(one).is_empty()
        })
        .await;
    telegram.presses(ALICE, &card, "Allow").await;
    stage.api.push(&id, "status", json!({ "status": "done" })).await.ok();
    stage.api.delete(&format!("/api/sessions/{id}")).await.ok();
    telegram.says("deleted").await;
    eventually("the topic is closed", 20, || async {
        let topics = telegram.state().await["topics"].clone();
        topics[anew["thread"].to_string()]["closed"].as_bool().filter(|closed| *closed)
    })
    .await;
    telegram.was_well_spoken_to().await;
}
