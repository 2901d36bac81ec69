//! Codex, the real program: turns, questions, plans, interrupts, deaths, trust, and its sandbox.

use std::os::unix::fs::PermissionsExt;

use serde_json::json;

use crate::harness::stage::{agent_pid, appends, lasts};
use crate::harness::{Event, Home, Stage, Transcript, lines, process};

/// A session of Codex with a first prompt.
async fn started(stage: &Stage, prompt: &str) -> (String, Transcript) {
    let (id, seen) = stage.session_of("codex").await;
    stage.api.start(&id, prompt).await;
    (id, seen)
}

fn settings(stage: &Stage) -> String {
    std::fs::read_to_string(stage.home.path().join(".codex/config.toml")).expect("it can be read")
}

#[tokio::test]
async fn a_turn_thinks_speaks_runs_what_is_allowed_and_shows_each_change_as_a_diff() {
    let stage = Stage::with_agents().await;
    let file = stage.file("out");
    let before = settings(&stage);
    let prompt = format!(
        "THINK let me see\n{}\nWRITE new.txt one\\ntwo\nSTREAM 40 word\nSAY and out",
        appends("x", &file)
    );
    let (id, mut seen) = started(&stage, &prompt).await;

    let command = seen.asked(0).await;
    assert_eq!(command.text("tool_name"), "Bash", "{}", command.raw);
    assert!(
        command.data["tool_input"]["command"].as_str().is_some_and(|c| c.starts_with("echo x")),
        "{}",
        command.raw
    );
    assert!(command.text("reason").contains("full rights"), "{}", command.raw);
    assert!(lines(&file).is_empty(), "nothing runs before the answer");
    stage.api.allow(command.text("approval_id")).await;

    let patch = seen.asked(command.seq).await;
    assert_eq!(patch.text("title"), "Write new.txt", "{}", patch.raw);
    assert!(patch.text("diff").contains("+++ new.txt\n@@ -0,0 +1,2 @@\n+one\n+two\n"), "{}", patch.raw);
    assert!(!stage.file("new.txt").exists());
    stage.api.allow(patch.text("approval_id")).await;

    seen.idle(1, 40).await;
    assert_eq!(lines(&file), ["x"]);
    assert_eq!(lines(stage.file("new.txt")), ["one", "two"]);
    let thought: String = seen.of("thinking").iter().map(|event| event.text("text")).collect();
    assert_eq!(thought.trim(), "let me see");
    assert_eq!(seen.said().matches("word ").count(), 40);
    assert!(seen.of("output").len() < 40, "streamed words are joined");
    let outcomes: Vec<&str> =
        seen.of("permission_outcome").iter().map(|event| event.text("outcome")).collect();
    assert_eq!(outcomes, ["ran", "ran"]);
    let session = stage.api.session(&id).await;
    assert_eq!(session["runner_type"], "codex");
    assert!(
        session["runner_header"].as_str().is_some_and(|title| title.starts_with("Codex 0.")),
        "{session}"
    );
    let usage = stage.api.get(&format!("/api/sessions/{id}/usage")).await.ok();
    assert!(usage["output_tokens"].as_u64() > Some(0), "{usage}");
    assert_eq!(settings(&stage), before, "the person's settings are as they were");
    seen.check_against_replay().await;
}

#[tokio::test]
async fn a_refusal_with_words_stops_the_command_and_the_words_reach_the_model() {
    let stage = Stage::with_agents().await;
    let file = stage.file("out");
    let (_, mut seen) = started(&stage, &format!("{}\nSAY never", appends("x", &file))).await;
    let ask = seen.asked(0).await;
    // The scripted model does what it is told last.
    let deny = json!({ "decision": "deny", "message": "SAY I was told why" });
    stage.api.answer(ask.text("approval_id"), deny).await.ok();
    seen.says("I was told why", 30).await;
    seen.idle(1, 30).await;
    assert!(lines(&file).is_empty());
    assert!(!seen.said().contains("never"));
    let outcome = seen.next("permission_outcome", ask.seq, 5).await;
    assert_eq!(outcome.text("outcome"), "refused", "{}", outcome.raw);
}

#[tokio::test]
async fn a_question_is_answered_by_a_choice() {
    let stage = Stage::with_agents().await;
    let (_, mut seen) = started(&stage, "ASK Which colour?|red|blue\nECHO").await;
    let ask = seen.asked(0).await;
    assert_eq!(ask.text("kind"), "question", "{}", ask.raw);
    assert_eq!(ask.data["questions"][0]["options"][1]["label"], "blue", "{}", ask.raw);
    let answer = json!({ "decision": "allow", "answers": { "Which colour?": ["blue"] } });
    stage.api.answer(ask.text("approval_id"), answer).await.ok();
    seen.idle(1, 30).await;
    assert!(seen.said().contains("blue") && !seen.said().contains("red"), "{}", seen.said());
}

#[tokio::test]
async fn a_plan_is_agreed_to_before_the_work_begins() {
    let stage = Stage::with_agents().await;
    let file = stage.file("out");
    let (id, mut seen) = stage.session_of("codex").await;
    stage.api.patch(&format!("/api/sessions/{id}/details"), json!({ "planning": true })).await.ok();
    stage.api.start(&id, "SAY Looked.\\n<proposed_plan>\\n# Add a line\\nnow\\n</proposed_plan>\\n").await;
    let ask = seen.asked(0).await;
    assert_eq!((ask.text("kind"), ask.text("title")), ("plan", "Plan: Add a line"), "{}", ask.raw);
    seen.idle(1, 30).await;
    let word = json!({ "decision": "allow", "message": appends("x", &file) });
    stage.api.answer(ask.text("approval_id"), word).await.ok();
    let command = seen.asked(ask.seq).await;
    stage.api.allow(command.text("approval_id")).await;
    seen.idle(2, 30).await;
    assert_eq!(lines(&file), ["x"]);
    assert_eq!(stage.api.get(&format!("/api/sessions/{id}/details")).await.ok()["planning"], false);
}

#[tokio::test]
async fn an_interrupt_in_mid_tool_leaves_no_process_and_the_session_goes_on() {
    let stage = Stage::with_agents().await;
    let (id, mut seen) = started(&stage, &format!("{}\nSAY never", lasts(4331))).await;
    let ask = seen.asked(0).await;
    stage.api.allow(ask.text("approval_id")).await;
    stage.lasting_runs(4331).await;
    let pid = agent_pid(&seen.events);

    stage.api.interrupt(&id).await;
    seen.idle(1, 30).await;
    stage.lasting_is_gone(4331).await;
    let end = seen.next("turn_finished", 0, 5).await;
    assert_eq!((&end.data["ok"], &end.data["interrupted"]), (&json!(false), &json!(true)), "{}", end.raw);

    stage.api.input(&id, "SAY still here").await;
    seen.idle(2, 30).await;
    assert!(seen.said().contains("still here") && !seen.said().contains("never"));
    assert!(process::alive(pid), "the same program");
}

#[tokio::test]
async fn an_interrupt_while_a_question_waits_withdraws_it() {
    let stage = Stage::with_agents().await;
    let file = stage.file("never");
    let (id, mut seen) = started(&stage, &appends("x", &file)).await;
    let ask = seen.asked(0).await;
    stage.api.interrupt(&id).await;
    seen.idle(1, 30).await;
    let resolved = seen.next("permission_resolved", ask.seq, 10).await;
    assert_eq!(resolved.data["resolved_by"], "cancelled", "{}", resolved.raw);
    assert!(lines(&file).is_empty());
}

#[tokio::test]
async fn killed_in_mid_tool_it_comes_back_goes_on_and_nothing_is_left_behind() {
    let stage = Stage::with_agents().await;
    let (id, mut seen) = started(&stage, "SAY first").await;
    seen.idle(1, 40).await;
    let conversation = stage.api.session(&id).await["runner_session_id"].clone();
    stage.api.input(&id, &format!("{}\nSAY over", lasts(4332))).await;
    let ask = seen.asked(0).await;
    stage.api.allow(ask.text("approval_id")).await;
    stage.lasting_runs(4332).await;

    assert!(process::kill9(agent_pid(&seen.events)));
    let exited = seen.next("agent_exited", ask.seq, 30).await;
    assert_eq!(exited.data["cause"], "crash", "{}", exited.raw);
    stage.lasting_is_gone(4332).await;
    let again = seen.next("agent_started", exited.seq, 30).await;
    assert_eq!(again.data["resumed"], true, "{}", again.raw);
    // The model takes the call that was cut off for done, and goes on behind it.
    seen.says("over", 40).await;
    seen.idle(2, 30).await;
    assert_eq!(stage.api.session(&id).await["runner_session_id"], conversation);
    let last = stage.model().requests().pop().expect("the model was asked");
    assert!(last["turns"].as_u64() >= Some(6), "the conversation came along: {last}");
}

#[tokio::test]
async fn killed_with_a_question_open_the_question_is_settled_and_nothing_runs_without_a_yes() {
    let stage = Stage::with_agents().await;
    let file = stage.file("out");
    let (id, mut seen) = started(&stage, &format!("{}\nSAY over", appends("x", &file))).await;
    let ask = seen.asked(0).await;
    process::kill9(agent_pid(&seen.events));
    let again = seen.next("agent_started", ask.seq, 40).await;
    seen.until("the old question is settled or asked anew", 40, |events| {
        events.iter().any(|event| event.seq > again.seq && event.kind == "turn_finished")
            || events.iter().any(|event| event.seq > again.seq && event.kind == "permission_request")
    })
    .await;
    seen.next("permission_resolved", ask.seq, 40).await;
    for approval in stage.api.open_approvals(&id).await {
        assert_ne!(approval["id"], ask.data["approval_id"], "its asker is gone");
    }
    assert!(lines(&file).is_empty(), "nobody said yes");
}

#[tokio::test]
async fn the_daemon_killed_in_mid_stream_loses_no_word_and_finds_its_agent_again() {
    let stage = &mut Stage::with_agents().await;
    let (_, mut seen) = started(stage, "STREAM 100 a\nHOLD one\nSTREAM 100 b\nHOLD two\nSAY over").await;
    stage.model().held("one").await;
    seen.until("some text was shown", 20, |events| events.iter().any(|event| event.kind == "output")).await;
    let pid = agent_pid(&seen.events);
    stage.daemon.kill9();
    stage.model().release("one").await;
    stage.model().held("two").await;
    stage.daemon.start().await;
    stage.model().release("two").await;
    seen.idle(1, 30).await;
    assert_eq!((agent_pid(&seen.events), seen.of("agent_started").len()), (pid, 1));
    let said = seen.said();
    assert_eq!((said.matches("a ").count(), said.matches("b ").count()), (100, 100), "{said:?}");
    seen.check_against_replay().await;
}

#[tokio::test]
async fn the_daemon_killed_while_a_question_waits_asks_the_same_again_and_the_command_runs_once() {
    let stage = &mut Stage::with_agents().await;
    let file = stage.file("out");
    let (id, mut seen) = started(stage, &format!("{}\nSAY over", appends("x", &file))).await;
    let ask = seen.asked(0).await;
    stage.daemon.kill9_and_restart().await;
    let open = stage.api.open_approvals(&id).await;
    assert_eq!((open.len(), &open[0]["id"]), (1, &ask.data["approval_id"]));
    stage.api.allow(ask.text("approval_id")).await;
    seen.idle(1, 30).await;
    assert_eq!(lines(&file), ["x"]);
    assert_eq!(seen.of("permission_request").len(), 1);
    assert_eq!(seen.of("agent_started").len(), 1);
}

/// The daemon dies at a fault while it hands something to the agent; after a clean start the prompt has run
/// exactly once, in the same program.
async fn a_prompt_survives(fault: &str) {
    let stage = &mut Stage::with_agents().await;
    let (id, mut seen) = started(stage, "SAY ready").await;
    seen.idle(1, 40).await;
    stage.daemon.kill9();
    assert!(stage.daemon.start_with_fault(fault).await);
    let path = format!("/api/sessions/{id}/input");
    // The daemon may die before it answers.
    let _ = stage.api.attempt(reqwest::Method::POST, &path, Some(json!({ "text": "SAY hello" }))).await;
    stage.daemon.ended(20).await;
    seen.disconnect();
    stage.daemon.start().await;
    seen.idle(2, 40).await;
    assert_eq!(seen.said().matches("hello").count(), 1, "{}", seen.said());
    assert_eq!(stage.model().requests().len(), 2, "the model was asked once for each prompt");
    assert_eq!(seen.of("agent_started").len(), 1);
}

#[tokio::test]
async fn a_prompt_survives_a_death_right_before_it_is_sent() {
    a_prompt_survives("agent.before_send").await;
}

#[tokio::test]
async fn a_prompt_survives_a_death_right_after_it_was_sent() {
    a_prompt_survives("agent.after_send").await;
}

#[tokio::test]
async fn the_daemon_killed_as_soon_as_the_agent_runs_gives_it_the_prompt_afterwards_and_once() {
    let stage = &mut Stage::with_agents().await;
    let (_, mut seen) = started(stage, "SAY hello").await;
    seen.next("agent_started", 0, 20).await;
    stage.daemon.kill9_and_restart().await;
    seen.idle(1, 40).await;
    assert_eq!(seen.said().matches("hello").count(), 1);
    assert_eq!(seen.of("agent_started").len(), 1);
    assert_eq!(stage.model().requests().len(), 1);
}

#[tokio::test]
async fn what_a_project_brings_along_counts_only_where_it_is_trusted() {
    let stage = Stage::with_agents().await;
    let project = stage.home.work();
    let ran = stage.file("it-ran");
    std::fs::create_dir_all(project.join(".codex")).expect("a folder");
    let server =
        format!("[mcp_servers.evil]\ncommand = \"touch\"\nargs = [{:?}]\n", ran.display().to_string());
    std::fs::write(project.join(".codex/config.toml"), server).expect("it is written");
    let before = settings(&stage);

    let (id, mut seen) = started(&stage, "SAY one").await;
    let ask = seen.asked(0).await;
    assert_eq!(ask.text("kind"), "trust", "{}", ask.raw);
    seen.idle(1, 40).await;
    assert!(!ran.exists(), "nothing of the project's ran");

    stage.api.allow(ask.text("approval_id")).await;
    stage.api.input(&id, "SAY two").await;
    seen.idle(2, 40).await;
    assert!(ran.exists(), "after the yes it counts");
    assert_eq!(settings(&stage), before, "and the person's own settings do not know of it");
}

#[tokio::test]
async fn a_folder_that_codex_trusts_otherwise_is_not_worked_in_without_our_trust() {
    let stage = Stage::with_agents().await;
    let real = stage.home.path().join("real");
    std::fs::create_dir_all(real.join(".codex")).expect("a folder");
    std::fs::write(real.join(".codex/config.toml"), "model = \"other\"\n").expect("it is written");
    let link = stage.home.path().join("link");
    std::os::unix::fs::symlink(&real, &link).expect("a link");
    let path = stage.home.path().join(".codex/config.toml");
    let trust = format!(
        "{}[projects.{:?}]\ntrust_level = \"trusted\"\n",
        settings(&stage),
        real.display().to_string()
    );
    std::fs::write(&path, trust).expect("it is written");

    let id = stage.api.create_of("codex", &link).await;
    let mut seen = stage.follow(&id);
    stage.api.start(&id, "SAY one").await;
    seen.until("it answered or was held", 40, |events| {
        events.iter().any(|event| matches!(event.kind.as_str(), "turn_finished" | "agent_held"))
    })
    .await;
    let asked: Vec<String> =
        stage.model().requests().iter().map(|request| request["model"].to_string()).collect();
    assert!(!asked.contains(&"\"other\"".to_owned()), "the project's settings counted: {asked:?}");
}

#[tokio::test]
async fn without_a_sandbox_it_says_so_and_still_asks_before_everything() {
    let mut home = Home::new();
    let program = home.path().join("codex-without-sandbox");
    let codex = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/agents/node_modules/.bin/codex");
    let script = format!("#!/bin/sh\n[ \"$1\" = sandbox ] && exit 1\nexec {codex} \"$@\"\n");
    std::fs::write(&program, script).expect("it is written");
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).expect("it runs");
    home.extra.insert("TETHER_CODEX_BIN".into(), program.display().to_string());
    let stage = Stage::with_agents_in(home).await;
    let before = settings(&stage);

    let outside = stage.home.path().join("outside");
    let (_, mut seen) = started(&stage, &format!("{}\nSAY over", appends("x", &outside))).await;
    let ask = seen.asked(0).await;
    let warned = |event: &&Event| event.kind == "warning" && event.text("code") == "NO_SANDBOX";
    assert!(seen.events.iter().any(|event| warned(&event)), "a person is told");
    assert!(ask.text("reason").contains("does not work here"), "{}", ask.raw);
    assert!(lines(&outside).is_empty());
    stage.api.allow(ask.text("approval_id")).await;
    seen.idle(1, 30).await;
    assert_eq!(lines(&outside), ["x"]);
    assert_eq!(settings(&stage), before, "no folder was marked as trusted");
}

#[tokio::test]
async fn the_model_can_be_changed_and_a_picture_reaches_it() {
    const PNG: &str =
        "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg==";
    let stage = Stage::with_agents().await;
    let (id, mut seen) = stage.session_of("codex").await;
    let image = json!({ "type": "image", "data": PNG, "mimeType": "image/png", "filename": "dot.png" });
    let body = json!({ "prompt": "SAY seen", "approval_choice": 0, "images": [image] });
    stage.api.post(&format!("/api/sessions/{id}/start"), body).await.ok();
    seen.idle(1, 40).await;
    assert!(!seen.said().is_empty());
    stage.api.patch(&format!("/api/sessions/{id}/details"), json!({ "model": "gpt-5.4" })).await.ok();
    stage.api.input(&id, "SAY two").await;
    seen.idle(2, 30).await;
    let models: Vec<String> =
        stage.model().requests().iter().map(|request| request["model"].to_string()).collect();
    assert_eq!(models.first().map(String::as_str), Some("\"gpt-5.5\""));
    assert_eq!(models.last().map(String::as_str), Some("\"gpt-5.4\""));
}

#[tokio::test]
async fn a_refused_key_is_told_as_that_and_held_until_a_person_acts() {
    let stage = Stage::with_agents().await;
    let (id, mut seen) = started(&stage, "FAIL 401").await;
    let retry = seen.next("retry", 0, 40).await;
    assert_eq!(retry.data["status"], 401, "{}", retry.raw);
    let held = seen.next("agent_held", retry.seq, 40).await;
    assert_eq!(held.data["cause"], "authentication", "{}", held.raw);
    stage.api.input(&id, "SAY better now").await;
    seen.says("better now", 30).await;
}
