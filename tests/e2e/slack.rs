//! A session as a thread of a Slack channel: what is said there, and what is answered there.

use serde_json::{Value, json};

use crate::harness::chat::{ask, bare, is_heard, with_agents};
use crate::harness::slack::{ALICE, CHANNEL, MALLORY, external, labels, text_of, working};
use crate::harness::stage::appends;
use crate::harness::{FakeSlack, eventually, lines};

fn ts(message: &Value) -> String {
    message["ts"].as_str().expect("a message has a time").to_owned()
}

/// Waits until the bot's message is as wanted; gives it.
async fn grown(
    slack: &FakeSlack,
    thread: &str,
    one: &str,
    what: &str,
    wanted: impl Fn(&Value) -> bool,
) -> Value {
    let found = || async {
        slack.shown(Some(thread)).into_iter().find(|message| message["ts"] == one && wanted(message))
    };
    eventually(what, 40, found).await
}

async fn whispers(slack: &FakeSlack, words: &str) -> Value {
    let found = || async {
        let calls = slack.calls("chat.postEphemeral");
        calls.into_iter().rfind(|call| call["text"].as_str().is_some_and(|text| text.contains(words)))
    };
    eventually(&format!("somebody is told {words:?}"), 30, found).await
}

#[tokio::test]
async fn a_real_agents_turn_is_shown_as_it_grows_and_its_command_allowed_by_a_button() {
    let (slack, stage) = with_agents::<FakeSlack>().await;
    let (id, thread) = working(&stage, &slack).await;
    let (id, file) = (id.as_str(), stage.file("out"));
    let script = format!(
        "SAY Beginning now.\nHOLD half\nSAY Half is done.\n{}\nSAY All is over.",
        appends("ran", &file)
    );
    slack.say(ALICE, Some(&thread), &script.replace('>', "&gt;"));

    stage.model().held("half").await;
    let growing = ts(&slack.says(Some(&thread), "Beginning now.").await);
    stage.model().release("half").await;
    let card = slack.asks(Some(&thread), "echo ran").await;
    assert!(lines(&file).is_empty(), "nothing runs before the answer");
    grown(&slack, &thread, &growing, "the same message grew", |one| text_of(one).contains("Half is done."))
        .await;

    slack.press(ALICE, &ts(&card), "Allow");
    slack.says(Some(&thread), "All is over.").await;
    assert_eq!(lines(&file), ["ran"]);
    let settled = grown(&slack, &thread, &ts(&card), "the card says who allowed it", |one| {
        text_of(one).contains("Allowed by alice (slack)")
    })
    .await;
    assert!(labels(&settled).is_empty());
    let session = stage.api.session(id).await;
    assert_eq!(session["platform_thread_id"], thread);
}

#[tokio::test]
async fn a_question_is_answered_in_words_only_by_exact_ones() {
    let (slack, stage) = bare::<FakeSlack>().await;
    let (id, thread) = external(&stage, &slack, "in words").await;
    ask(&stage, &id, "r1", "make").await;
    let card = slack.asks(Some(&thread), "make").await;
    slack.say(ALICE, Some(&thread), "ok, go on &amp; on then");
    is_heard(&stage, &id, "ok, go on & on then").await;
    assert_eq!(stage.api.open_approvals(&id).await.len(), 1, "those words allow nothing");
    // Words that come at once may be meant for what stood there before.
    let early =
        || slack.shown(Some(&thread)).iter().filter(|one| text_of(one).contains("only just come")).count();
    loop {
        let before = early();
        slack.say(ALICE, Some(&thread), "deny: use ninja");
        let answered = || async {
            let answered = stage.api.open_approvals(&id).await.is_empty();
            (answered || early() > before).then_some(answered)
        };
        if eventually("the words are heard", 30, answered).await {
            break;
        }
    }
    slack.says(Some(&thread), "Denied by alice").await;
    let approval = stage.api.get("/api/approvals?state=all").await.ok()[0].clone();
    assert_eq!((&approval["state"], &approval["answer"]["message"]), (&json!("denied"), &json!("use ninja")));
    grown(&slack, &thread, &ts(&card), "the buttons are gone", |one| labels(one).is_empty()).await;
}

#[tokio::test]
async fn a_denial_takes_its_reason_from_a_form() {
    let (slack, stage) = bare::<FakeSlack>().await;
    let (id, thread) = external(&stage, &slack, "why not").await;
    ask(&stage, &id, "r1", "make").await;
    let card = slack.asks(Some(&thread), "make").await;
    slack.press(ALICE, &ts(&card), "Deny, because…");
    let view = slack.fill(ALICE, "not <today>").await;
    assert_eq!(view["title"]["text"], "Deny, because");
    slack.says(Some(&thread), "Denied by alice").await;
    let approval = stage.api.get("/api/approvals?state=all").await.ok()[0].clone();
    assert_eq!(approval["answer"]["message"], "not <today>");
}

#[tokio::test]
async fn an_answer_from_elsewhere_is_shown_and_an_old_button_says_what_became_of_it() {
    let (slack, stage) = bare::<FakeSlack>().await;
    let (id, thread) = external(&stage, &slack, "elsewhere").await;
    ask(&stage, &id, "r1", "make").await;
    let card = slack.asks(Some(&thread), "make").await;
    let stale = slack.payload(ALICE, &ts(&card), "Allow");
    let open = stage.api.open_approvals(&id).await;
    stage.api.answer(open[0]["id"].as_str().expect("an id"), json!({ "decision": "deny" })).await.ok();
    let settled = grown(&slack, &thread, &ts(&card), "the card says what was answered", |one| {
        text_of(one).contains("Denied by")
    })
    .await;
    assert!(labels(&settled).is_empty());
    // A phone that did not see the change yet.
    slack.tell("interactive", stale);
    let told = whispers(&slack, "already denied").await;
    assert_eq!((&told["user"], &told["thread_ts"]), (&json!(ALICE), &json!(thread)));
    assert_eq!(stage.api.get("/api/approvals?state=all").await.ok()[0]["state"], "denied");
}

#[tokio::test]
async fn several_questions_are_answered_as_one_with_choices_and_own_words() {
    let (slack, stage) = bare::<FakeSlack>().await;
    let (id, thread) = external(&stage, &slack, "questions").await;
    let questions = json!([
        { "question": "Which database?", "header": "DB", "multiSelect": false,
          "options": [{ "label": "Postgres", "description": "big" }, { "label": "SQLite", "description": "small" }] },
        { "question": "Which extras?", "header": "More", "multiSelect": true,
          "options": [{ "label": "Cache", "description": "" }, { "label": "Queue", "description": "" }] },
    ]);
    let ask = json!({ "request_id": "q", "tool_name": "AskUserQuestion", "tool_input": { "questions": questions } });
    stage.api.push(&id, "permission_request", ask).await.ok();
    let card = slack.asks(Some(&thread), "Which database?").await;
    assert!(text_of(&card).contains("Which extras?"), "all questions are shown: {card}");
    let card = ts(&card);
    slack.press(ALICE, &card, "2: Cache");
    grown(&slack, &thread, &card, "the choice is marked", |one| labels(one).contains(&"☑ 2: Cache".into()))
        .await;
    slack.press(ALICE, &card, "2: Queue");
    slack.press(ALICE, &card, "1: Other…");
    slack.fill(ALICE, "MariaDB").await;
    grown(&slack, &thread, &card, "the words are shown", |one| text_of(one).contains("MariaDB")).await;
    slack.press(ALICE, &card, "Send answers");
    slack.says(Some(&thread), "Answered by alice").await;
    let approval = stage.api.get("/api/approvals?state=all").await.ok()[0].clone();
    let expected = json!({ "Which database?": ["MariaDB"], "Which extras?": ["Cache", "Queue"] });
    assert_eq!(approval["answer"]["answers"], expected);
}

#[tokio::test]
async fn many_choices_are_a_menu() {
    let (slack, stage) = bare::<FakeSlack>().await;
    let (id, thread) = external(&stage, &slack, "menu").await;
    let options: Vec<Value> =
        (1..=20).map(|n| json!({ "label": format!("number {n}"), "description": "" })).collect();
    let questions =
        json!([{ "question": "Which one?", "header": "N", "multiSelect": false, "options": options }]);
    let ask = json!({ "request_id": "q", "tool_name": "AskUserQuestion", "tool_input": { "questions": questions } });
    stage.api.push(&id, "permission_request", ask).await.ok();
    let card = slack.asks(Some(&thread), "Which one?").await;
    assert!(labels(&card).len() < 5, "the choices are no buttons: {card}");
    slack.press(ALICE, &ts(&card), "number 17");
    slack.says(Some(&thread), "Answered by alice").await;
    let approval = stage.api.get("/api/approvals?state=all").await.ok()[0].clone();
    assert_eq!(approval["answer"]["answers"], json!({ "Which one?": ["number 17"] }));
}

#[tokio::test]
async fn files_go_both_ways() {
    let (slack, stage) = with_agents::<FakeSlack>().await;
    let (id, thread) = working(&stage, &slack).await;
    let id = id.as_str();
    std::fs::write(stage.file("report.txt"), "forty-two").expect("a file");
    slack.send_file(ALICE, &thread, "SAY I see it.", "../notes.txt", b"hello file");
    slack.says(Some(&thread), "I see it.").await;
    let told = stage.model().bodies().iter().any(|body| body.to_string().contains("notes.txt"));
    assert!(told, "the agent is told where the file is");
    stage.api.input(id, "SAY PUBLISH AS ATTACHMENT: report.txt").await;
    eventually("the file is there", 40, || async {
        let shared =
            slack.shown(Some(&thread)).into_iter().any(|one| one["files"][0]["name"] == "report.txt");
        shared.then_some(())
    })
    .await;
    assert_eq!(slack.file("report.txt").as_deref(), Some(&b"forty-two"[..]));
}

#[tokio::test]
async fn only_the_channel_and_the_people_of_the_list_are_heard_until_a_code_lets_one_in() {
    let (slack, stage) = bare::<FakeSlack>().await;
    let (id, thread) = external(&stage, &slack, "strangers").await;
    ask(&stage, &id, "r1", "make").await;
    let card = ts(&slack.asks(Some(&thread), "make").await);
    slack.press(MALLORY, &card, "Allow");
    whispers(&slack, "You may not answer this.").await;
    slack.say(MALLORY, Some(&thread), "allow");
    slack.says(Some(&thread), "not on the list").await;
    slack.say(MALLORY, Some(&thread), "allow");
    // Another channel, with a thread of the same time; a button made up; another bot's message with our button on it;
    // a bot's words.
    slack.say_in("C0OTHER", ALICE, Some(&thread), json!({ "text": "allow" }));
    let real = slack.payload(ALICE, &card, "Allow");
    let forged = |change: &dyn Fn(&mut Value)| {
        let mut payload = real.clone();
        change(&mut payload);
        slack.tell("interactive", payload);
    };
    forged(&|payload| payload["container"]["channel_id"] = "C0OTHER".into());
    forged(&|payload| payload["message"] = json!({ "user": "U0EVIL", "bot_id": "B0EVIL" }));
    forged(&|payload| payload["container"]["thread_ts"] = "1.1".into());
    forged(&|payload| payload["actions"][0]["value"] = "aaaaaaaaaa.0".into());
    slack.say_in(CHANNEL, ALICE, Some(&thread), json!({ "text": "allow", "bot_id": "B0EVIL" }));
    slack.tell("interactive", json!({ "type": "block_actions" }));
    slack.tell("events_api", json!({ "type": "event_callback", "event": { "type": "something_new" } }));
    whispers(&slack, "not known").await;
    assert_eq!(stage.api.open_approvals(&id).await.len(), 1, "nobody has answered");
    let told =
        slack.shown(Some(&thread)).iter().filter(|one| text_of(one).contains("not on the list")).count();
    assert_eq!(told, 1, "a stranger is told once");

    let said = stage.cli(&["pair", "--chat", "--json"]).await;
    let code: Value = serde_json::from_str(&said.out).expect("JSON");
    let code = code["code"].as_str().expect("a code");
    slack.say_directly(MALLORY, "!pair wrong");
    let direct = |words: &'static str| {
        let slack = &slack;
        eventually(words, 30, move || async move {
            slack.shown_directly().iter().any(|one| text_of(one).contains(words)).then_some(())
        })
    };
    direct("wrong, used up").await;
    slack.say_directly(MALLORY, &format!("!pair {code}"));
    direct("you may use this bot now").await;
    slack.press(MALLORY, &card, "Deny");
    slack.says(Some(&thread), "Denied by mallory").await;
}

#[tokio::test]
async fn a_session_is_made_by_a_reaction_stopped_renamed_and_taken_away_by_commands() {
    let (slack, stage) = with_agents::<FakeSlack>().await;
    let work = stage.home.work();
    let new =
        slack.say(ALICE, None, &format!("!new claude {}\nSAY Up.\nHOLD stop\nSAY Never.", work.display()));
    slack.say(ALICE, None, "!status");
    slack.says(None, "There are no sessions").await;
    slack.react(MALLORY, &new, "white_check_mark");
    slack.react(ALICE, &new, "eyes");
    slack.react(ALICE, &new, "white_check_mark");
    slack.react(ALICE, &new, "white_check_mark");
    stage.model().held("stop").await;
    let thread = ts(&slack.says(None, "SAY Up.").await);
    slack.says(Some(&thread), "Up.").await;
    assert_eq!(
        stage.api.get("/api/sessions").await.ok().as_array().map(Vec::len),
        Some(1),
        "one message, one session"
    );
    slack.say(ALICE, Some(&thread), "and then this");
    slack.says(Some(&thread), "Queued").await;
    slack.say(ALICE, Some(&thread), "!stop");
    slack.says(Some(&thread), "⏹").await;
    slack.say(ALICE, Some(&thread), "!rename Better name");
    slack.says(None, "Better name").await;
    slack.say(ALICE, Some(&thread), "!approvals");
    slack.says(Some(&thread), "Nothing is asked just now").await;
    slack.say(ALICE, Some(&thread), "!detach");
    slack.says(Some(&thread), "not shown here any more").await;
    let sessions = stage.api.get("/api/sessions").await.ok();
    assert!(sessions[0]["platform"].is_null(), "{sessions}");
}

#[tokio::test]
async fn a_deleted_thread_is_made_anew_and_that_of_a_deleted_session_is_marked() {
    let (slack, stage) = bare::<FakeSlack>().await;
    let (id, thread) = external(&stage, &slack, "short life").await;
    ask(&stage, &id, "r1", "make").await;
    slack.says(Some(&thread), "make").await;
    slack.delete(&thread);
    stage.api.push(&id, "output", json!({ "text": "still here", "is_final": true })).await.ok();
    let anew = ts(&slack.says(None, "short life").await);
    assert_ne!(anew, thread);
    slack.says(Some(&anew), "still here").await;
    let card = slack.asks(Some(&anew), "make").await;
    slack.press(ALICE, &ts(&card), "Allow");
    slack.says(Some(&anew), "Allowed by alice").await;
    stage.api.push(&id, "status", json!({ "status": "done" })).await.ok();
    stage.api.delete(&format!("/api/sessions/{id}")).await.ok();
    slack.says(None, "(ended)").await;
}
