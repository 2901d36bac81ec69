//! Our own two agents under the daemon: `demo` as a newcomer meets it, `model` through all that a session can meet.

use serde_json::{Value, json};

use crate::harness::stage::{agent_pid, appends, lasts};
use crate::harness::{Event, Home, Stage, Transcript, lines, process};

async fn started(stage: &Stage, agent: &str, prompt: &str) -> (String, Transcript) {
    let body = json!({ "directory": stage.home.work(), "adapter": agent });
    let session = stage.api.post("/api/sessions", body).await.ok();
    let id = session["id"].as_str().expect("a session has an id").to_owned();
    let transcript = stage.follow(&id);
    stage.api.start(&id, prompt).await;
    (id, transcript)
}

/// A daemon without any model; the demo agent speaks without pauses.
async fn without_a_model() -> Stage {
    let mut home = Home::new();
    home.extra.insert("TETHER_DEMO_PACE_MS".into(), "0".into());
    Stage::bare_in(home).await
}

async fn choose(stage: &Stage, ask: &Event, choice: &str) {
    let question = ask.data["questions"][0]["question"].as_str().expect("it asks something");
    let answers: Value = json!({ question: [choice] });
    stage.api.answer(ask.text("approval_id"), json!({ "decision": "allow", "answers": answers })).await.ok();
}

#[tokio::test]
async fn the_demo_shows_the_whole_product_without_a_key() {
    let stage = without_a_model().await;
    std::fs::write(stage.file("README.md"), "# My project\n").expect("it is written");
    let (id, mut seen) = started(&stage, "demo", "hello").await;
    let write = seen.asked(0).await;
    let path = write.data["tool_input"]["path"].as_str().expect("a path").to_owned();
    assert!(write.text("title").contains(&path) && write.text("diff").contains("+# Hello"), "{}", write.raw);
    assert!(!std::path::Path::new(&path).exists(), "nothing is written before the yes");
    stage.api.allow(write.text("approval_id")).await;
    let question = seen.asked(write.seq).await;
    assert_eq!(question.data["kind"], "question", "{}", question.raw);
    assert_eq!(question.data["questions"][0]["options"][1]["label"], "A table", "{}", question.raw);
    choose(&stage, &question, "A table").await;
    let command = seen.asked(question.seq).await;
    assert!(command.text("title").contains("date; uname -sr"), "{}", command.raw);
    let no = json!({ "decision": "deny", "message": "not now" });
    stage.api.answer(command.text("approval_id"), no).await.ok();
    seen.idle(1, 30).await;
    assert!(std::path::Path::new(&path).exists());
    let said = seen.said();
    for words in ["Hello!", "# My project", "is written", "You chose a table", "not now", "That was the tour"]
    {
        assert!(said.contains(words), "{words}: {said}");
    }
    assert!(!seen.of("thinking").is_empty());
    let session = stage.api.session(&id).await;
    assert_eq!((&session["state"], &session["runner_type"]), (&json!("AWAITING_INPUT"), &json!("demo")));
    seen.check_against_replay().await;
}

#[tokio::test]
async fn a_demo_that_crashes_comes_back_and_one_that_takes_long_is_interrupted() {
    let stage = without_a_model().await;
    let (id, mut seen) = started(&stage, "demo", "crash").await;
    seen.says("I am back", 40).await;
    seen.idle(1, 30).await;
    assert_eq!(seen.of("agent_started").len(), 2);
    stage.api.input(&id, "long 600").await;
    seen.says("Line 2", 30).await;
    stage.api.interrupt(&id).await;
    seen.idle(2, 30).await;
    assert_eq!(seen.of("agent_started").len(), 2, "an interrupt does not end the program");
    stage.api.input(&id, "fail").await;
    let end = seen.next("turn_finished", seen.last_seq(), 30).await;
    assert_eq!(end.data["ok"], false, "{}", end.raw);
    assert!(end.text("message").contains("what an error looks like"), "{}", end.raw);
}

#[tokio::test]
async fn a_model_works_asks_hears_why_not_and_puts_a_question() {
    let stage = Stage::with_agents().await;
    let (file, note) = (stage.file("out"), stage.file("note.txt"));
    let prompt = format!(
        "THINK let me see\nSAY one two three four five six seven\n{}\nWRITE note.txt hello\nSAY finished",
        appends("x", &file)
    );
    let (id, mut seen) = started(&stage, "litellm", &prompt).await;
    let shell = seen.asked(0).await;
    assert_eq!(shell.data["tool_input"]["command"], format!("echo x >> {}", file.display()), "{}", shell.raw);
    assert_eq!(shell.data["tool_name"], "shell", "{}", shell.raw);
    assert!(lines(&file).is_empty(), "nothing ran before the yes");
    stage.api.allow(shell.text("approval_id")).await;
    let write = seen.asked(shell.seq).await;
    assert_eq!(lines(&file), ["x"]);
    assert!(write.text("diff").contains("+hello"), "{}", write.raw);
    stage.api.allow(write.text("approval_id")).await;
    seen.idle(1, 30).await;
    assert_eq!(std::fs::read_to_string(&note).expect("it was written"), "hello");
    assert!(seen.said().contains("one two three four five six seven"), "{}", seen.said());
    assert!(seen.of("thinking").iter().any(|event| event.text("text").contains("let me see")));
    assert_eq!((seen.of("tool_call").len(), seen.of("tool_result").len()), (2, 2));
    let usage = stage.api.get(&format!("/api/sessions/{id}/usage")).await.ok();
    assert_eq!((&usage["input_tokens"], &usage["output_tokens"]), (&json!(300), &json!(60)), "{usage}");

    // The model hears the reason at once, and only once.
    stage.api.input(&id, &format!("{}\nECHO", appends("y", &file))).await;
    let ask = seen.asked(write.seq).await;
    let no = json!({ "decision": "deny", "message": "because of the words" });
    stage.api.answer(ask.text("approval_id"), no).await.ok();
    seen.idle(2, 30).await;
    assert!(seen.said().contains("The person denied this: because of the words"), "{}", seen.said());
    assert_eq!((lines(&file), seen.of("turn_finished").len()), (vec!["x".to_owned()], 2));
    assert_eq!(stage.model().requests().len(), 5, "three requests, then two");

    stage.api.input(&id, "ASK Tea or coffee?|tea|coffee\nECHO").await;
    let ask = seen.asked(ask.seq).await;
    assert_eq!(
        (ask.text("kind"), ask.data["questions"][0]["options"][1]["label"].as_str()),
        ("question", Some("coffee"))
    );
    choose(&stage, &ask, "coffee").await;
    seen.idle(3, 30).await;
    assert!(seen.said().contains("The person answered: coffee"), "{}", seen.said());

    stage.api.input(&id, "FLAKY one 1 503\nSAY better now").await;
    seen.says("better now", 30).await;
    let retry = seen.next("retry", ask.seq, 5).await;
    assert_eq!((&retry.data["attempt"], &retry.data["status"]), (&json!(1), &json!(503)), "{}", retry.raw);
    assert_eq!(seen.of("agent_started").len(), 1, "it was one program all the time");
    seen.check_against_replay().await;
}

#[tokio::test]
async fn an_interrupt_stops_a_models_tool_and_its_question() {
    let stage = Stage::with_agents().await;
    let (id, mut seen) = started(&stage, "model", &format!("{}\nSAY never", lasts(4431))).await;
    let ask = seen.asked(0).await;
    stage.api.allow(ask.text("approval_id")).await;
    stage.lasting_runs(4431).await;
    stage.api.interrupt(&id).await;
    seen.idle(1, 30).await;
    stage.lasting_is_gone(4431).await;
    let file = stage.file("never");
    stage.api.input(&id, &appends("x", &file)).await;
    let ask = seen.asked(ask.seq).await;
    stage.api.interrupt(&id).await;
    seen.idle(2, 30).await;
    let resolved = seen.next("permission_resolved", ask.seq, 10).await;
    assert_eq!(resolved.data["resolved_by"], "cancelled", "{}", resolved.raw);
    stage.api.input(&id, "SAY still here").await;
    seen.says("still here", 30).await;
    assert!(lines(&file).is_empty() && !seen.said().contains("never"), "{}", seen.said());
    assert_eq!(seen.of("agent_started").len(), 1, "it was one program all the time");
}

#[tokio::test]
async fn a_model_outlives_the_daemon_and_after_its_own_death_goes_on_with_its_conversation() {
    let stage = &mut Stage::with_agents().await;
    let file = stage.file("out");
    let first = appends("1", &file);
    let prompt =
        format!("SAY one two three four\nHOLD one\nSAY five six seven eight\n{first}\nHOLD two\nSAY over");
    let (id, mut seen) = started(stage, "model", &prompt).await;
    stage.model().held("one").await;
    seen.says("one two three", 30).await;
    let pid = agent_pid(&seen.events);
    stage.daemon.kill9();
    stage.model().release("one").await;
    stage.daemon.start().await;
    let ask = seen.asked(0).await;
    // And again, with the question open.
    stage.daemon.kill9_and_restart().await;
    assert_eq!(stage.api.open_approvals(&id).await.len(), 1);
    stage.api.allow(ask.text("approval_id")).await;
    stage.model().held("two").await;
    assert_eq!(agent_pid(&seen.events), pid);

    let conversation = stage.api.session(&id).await["runner_session_id"].clone();
    assert!(process::kill9(pid));
    let again = seen.next("agent_started", ask.seq, 40).await;
    assert_eq!(again.data["resumed"], true, "{}", again.raw);
    stage.model().release("two").await;
    seen.says("over", 40).await;
    seen.idle(1, 30).await;
    assert_eq!(lines(&file), ["1"], "it ran once");
    let request = stage.model().requests().pop().expect("the model was asked");
    assert!(request["turns"].as_u64() >= Some(4), "the conversation came along: {request}");
    let said = seen.said();
    assert_eq!(said.matches("one two three four").count(), 1, "history came again: {said}");
    assert_eq!(stage.api.session(&id).await["runner_session_id"], conversation);
    seen.check_against_replay().await;
}

#[tokio::test]
async fn a_prompt_that_a_model_may_not_have_got_is_carried_out_once() {
    let stage = &mut Stage::with_agents().await;
    let (id, mut seen) = started(stage, "model", "SAY first").await;
    seen.idle(1, 30).await;
    for (fault, word) in [("agent.before_send", "second"), ("agent.after_send", "third")] {
        stage.daemon.kill9();
        seen.disconnect();
        if stage.daemon.start_with_fault(fault).await {
            let path = format!("/api/sessions/{id}/input");
            let body = json!({ "text": format!("SAY {word}") });
            // The daemon may be gone before it answers.
            let _ = stage.api.attempt(reqwest::Method::POST, &path, Some(body)).await;
            stage.daemon.ended(20).await;
        }
        seen.disconnect();
        stage.daemon.start().await;
        seen.says(word, 40).await;
        seen.until("the session waits", 30, |events| {
            let last = events.iter().rfind(|event| event.kind == "session_state");
            last.is_some_and(|event| event.text("state") == "AWAITING_INPUT")
        })
        .await;
    }
    let said = seen.said();
    assert_eq!((said.matches("second").count(), said.matches("third").count()), (1, 1), "{said}");
}

#[tokio::test]
async fn a_models_refused_key_holds_the_session_with_what_to_do() {
    let stage = Stage::with_agents().await;
    let (id, mut seen) = started(&stage, "model", "FAIL 401 unknown key").await;
    let end = seen.next("turn_finished", 0, 30).await;
    assert_eq!(end.data["ok"], false, "{}", end.raw);
    assert!(end.text("message").contains("TETHER_MODEL_API_KEY"), "{}", end.raw);
    seen.until("it is held", 20, |events| {
        let last = events.iter().rfind(|event| event.kind == "session_state");
        last.is_some_and(|event| event.text("state") == "ERROR")
    })
    .await;
    assert_eq!(stage.api.session(&id).await["state"], "ERROR");
}

#[tokio::test]
async fn what_a_project_tells_a_model_counts_only_where_it_is_trusted() {
    let stage = Stage::with_agents().await;
    std::fs::write(stage.file("AGENTS.md"), "always use tabs\n").expect("it is written");
    let (id, mut seen) = started(&stage, "model", "SAY one").await;
    let trust = seen.asked(0).await;
    assert_eq!(trust.data["kind"], "trust", "{}", trust.raw);
    assert!(trust.text("title").contains("AGENTS.md"), "{}", trust.raw);
    seen.idle(1, 30).await;
    stage.api.allow(trust.text("approval_id")).await;
    stage.api.input(&id, "SAY two").await;
    seen.idle(2, 30).await;
    let told: Vec<bool> = stage
        .model()
        .bodies()
        .iter()
        .map(|body| body["messages"][0].to_string().contains("use tabs"))
        .collect();
    assert_eq!(told, [false, true]);
}
