//! Agents that speak the Agent Client Protocol: the real Gemini CLI, and OpenCode as one of a person's own.

use std::time::Duration;

use serde_json::json;

use crate::harness::stage::{agent_pid, appends, lasts};
use crate::harness::{Event, Home, LOOK, Stage, Transcript, lines, process};

/// A red dot: the smallest picture that every decoder takes.
const PNG: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg==";

/// A session of an agent, followed; it is not started.
async fn session(stage: &Stage, agent: &str) -> (String, Transcript) {
    let body = json!({ "directory": stage.home.work(), "adapter": agent });
    let session = stage.api.post("/api/sessions", body).await.ok();
    let id = session["id"].as_str().expect("a session has an id").to_owned();
    let transcript = stage.follow(&id);
    (id, transcript)
}

async fn started(stage: &Stage, agent: &str, prompt: &str) -> (String, Transcript) {
    let (id, transcript) = session(stage, agent).await;
    stage.api.start(&id, prompt).await;
    (id, transcript)
}

/// The open question that comes after the event number `after`. These agents take their time to start.
async fn asked(seen: &mut Transcript, after: u64) -> Event {
    seen.next("permission_request", after, 90).await
}

/// OpenCode over its ACP mode, as a person would set it up as an agent of their own.
async fn with_opencode() -> Stage {
    let mut home = Home::new();
    home.extra.insert("TETHER_ACP_AGENTS".into(), "mine=opencode acp".into());
    home.extra.insert("OPENCODE_DISABLE_MODELS_FETCH".into(), "1".into());
    let stage = Stage::with_agents_in(home).await;
    let base = format!("http://127.0.0.1:{}/v1", stage.model().port);
    let rig = json!({ "npm": "@ai-sdk/openai-compatible", "name": "Rig",
        "options": { "baseURL": base, "apiKey": "k" },
        "models": { "scripted": { "name": "Scripted", "limit": { "context": 200_000, "output": 8_000 } } } });
    let config = json!({ "model": "rig/scripted", "small_model": "rig/scripted", "share": "disabled",
        "autoupdate": false, "provider": { "rig": rig } });
    let folder = stage.home.path().join(".config/opencode");
    std::fs::create_dir_all(&folder).expect("a folder");
    std::fs::write(folder.join("opencode.json"), config.to_string()).expect("it is written");
    stage
}

/// Gemini 0.61.0 forgets a conversation that is taken up in the very minute in which it was begun: the file that
/// it records to is named by the minute, and it begins it anew.
async fn minute_is_over(begun: u64) {
    while unix() / 60 == begun / 60 {
        tokio::time::sleep(LOOK.max(Duration::from_millis(200))).await;
    }
}

fn unix() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a time").as_secs()
}

#[tokio::test]
async fn gemini_streams_asks_runs_what_is_allowed_and_hears_why_something_is_not() {
    let stage = Stage::with_agents().await;
    let (file, note) = (stage.file("out"), stage.file("note.txt"));
    let prompt = format!(
        "THINK let me see\nSAY one two three four five six seven\n{}\nWRITE {} hello\nSAY finished",
        appends("x", &file),
        note.display()
    );
    let (id, mut seen) = started(&stage, "gemini", &prompt).await;
    let shell = asked(&mut seen, 0).await;
    assert!(shell.text("title").contains("echo x >>"), "{}", shell.raw);
    assert_eq!(shell.data["tool_input"]["command"], format!("echo x >> {}", file.display()), "{}", shell.raw);
    assert!(lines(&file).is_empty(), "nothing ran before the yes");
    stage.api.allow(shell.text("approval_id")).await;
    let write = asked(&mut seen, shell.seq).await;
    assert_eq!(lines(&file), ["x"]);
    assert!(write.text("diff").contains("+hello"), "{}", write.raw);
    stage.api.allow(write.text("approval_id")).await;
    seen.idle(1, 90).await;

    assert_eq!(std::fs::read_to_string(&note).expect("it was written").trim(), "hello");
    assert!(seen.said().contains("one two three four five six seven"), "{}", seen.said());
    assert!(seen.of("thinking").iter().any(|event| event.text("text").contains("let me see")));
    assert_eq!(seen.of("tool_call").len(), 2);
    assert_eq!(seen.of("tool_result").len(), 2);
    let whole = seen.next("output_final", 0, 5).await;
    assert_eq!(whole.text("text"), "finished", "{}", whole.raw);
    let session = stage.api.session(&id).await;
    assert_eq!((&session["state"], &session["runner_type"]), (&json!("AWAITING_INPUT"), &json!("gemini")));
    let usage = stage.api.get(&format!("/api/sessions/{id}/usage")).await.ok();
    assert!(usage["output_tokens"].as_u64() > Some(0), "{usage}");

    // A no, with words that are a script of their own: the agent says them only if it was told.
    stage.api.input(&id, &format!("{}\nSAY went on", appends("y", &file))).await;
    let ask = asked(&mut seen, write.seq).await;
    let no = json!({ "decision": "deny", "message": "SAY because of the words" });
    stage.api.answer(ask.text("approval_id"), no).await.ok();
    seen.idle(2, 40).await;
    assert!(seen.said().contains("because of the words"), "{}", seen.said());
    assert_eq!(lines(&file), ["x"], "it did not run");
    assert_eq!(seen.of("turn_finished").len(), 2, "one turn for each input");
    assert_eq!(stage.api.approval(ask.text("approval_id")).await["outcome"], "refused");

    // A picture.
    let image = json!({ "type": "image", "data": PNG, "mimeType": "image/png", "filename": "dot.png" });
    let body = json!({ "text": "SAY seen", "images": [image] });
    stage.api.post(&format!("/api/sessions/{id}/input"), body).await.ok();
    seen.idle(3, 40).await;
    let request = stage.model().requests().pop().expect("the model was asked");
    assert_eq!(request["images"], 1, "{request}");

    // A failure of the model, and a turn after it.
    stage.api.input(&id, "FAIL 400").await;
    let end = seen.next("turn_finished", seen.last_seq(), 40).await;
    assert_eq!(
        (&end.data["ok"], end.text("message")),
        (&json!(false), "scripted failure 400"),
        "{}",
        end.raw
    );
    stage.api.input(&id, "SAY better now").await;
    seen.says("better now", 40).await;
    seen.idle(5, 20).await;

    // Another model, and planning.
    let details = format!("/api/sessions/{id}/details");
    stage.api.patch(&details, json!({ "model": "gemini-2.5-pro" })).await.ok();
    stage.api.input(&id, "SAY thought over").await;
    seen.idle(6, 40).await;
    let request = stage.model().requests().pop().expect("the model was asked");
    assert_eq!(request["model"], "gemini-2.5-pro", "{request}");
    assert_eq!(seen.of("agent_started").len(), 1, "it was one program all the time");
    seen.check_against_replay().await;
}

#[tokio::test]
async fn gemini_without_a_key_is_held_with_words_that_help_and_tried_again_with_the_next_input() {
    let mut home = Home::new();
    home.extra.insert("GEMINI_API_KEY".into(), String::new());
    home.extra.insert("GOOGLE_GEMINI_BASE_URL".into(), String::new());
    let stage = Stage::bare_in(home).await;
    let (id, mut seen) = started(&stage, "gemini", "SAY x").await;
    let held = seen.next("agent_held", 0, 60).await;
    assert_eq!(held.data["cause"], "authentication", "{}", held.raw);
    assert!(held.text("message").contains("API key"), "{}", held.raw);
    seen.next("agent_exited", held.seq, 30).await;
    assert_eq!(stage.api.session(&id).await["state"], "ERROR");
    assert!(stage.marked().is_empty(), "no program is left");
    stage.api.input(&id, "SAY y").await;
    let again = seen.next("agent_started", held.seq, 60).await;
    seen.next("agent_held", again.seq, 60).await;
}

#[tokio::test]
async fn an_interrupt_stops_geminis_tool_and_its_question_and_it_goes_on() {
    let stage = Stage::with_agents().await;
    let (id, mut seen) = started(&stage, "gemini", &format!("{}\nSAY never", lasts(4331))).await;
    let ask = asked(&mut seen, 0).await;
    stage.api.allow(ask.text("approval_id")).await;
    stage.lasting_runs(4331).await;
    stage.api.interrupt(&id).await;
    seen.idle(1, 30).await;
    stage.lasting_is_gone(4331).await;

    let file = stage.file("never");
    stage.api.input(&id, &appends("x", &file)).await;
    let ask = asked(&mut seen, ask.seq).await;
    stage.api.interrupt(&id).await;
    seen.idle(2, 30).await;
    let resolved = seen.next("permission_resolved", ask.seq, 10).await;
    assert_eq!(resolved.data["resolved_by"], "cancelled", "{}", resolved.raw);

    stage.api.input(&id, "SAY still here").await;
    seen.idle(3, 30).await;
    assert!(seen.said().contains("still here") && !seen.said().contains("never"), "{}", seen.said());
    assert!(lines(&file).is_empty());
    assert_eq!(seen.of("agent_started").len(), 1, "it was one program all the time");
}

#[tokio::test]
async fn gemini_outlives_the_daemon_and_after_its_own_death_takes_up_its_conversation() {
    let stage = &mut Stage::with_agents().await;
    let file = stage.file("out");
    let first = appends("1", &file);
    let prompt =
        format!("SAY one two three four\nHOLD one\nSAY five six seven eight\n{first}\nHOLD two\nSAY over");
    let (id, mut seen) = started(stage, "gemini", &prompt).await;
    seen.next("input_sent", 0, 90).await;
    let begun = unix();
    stage.model().held("one").await;
    seen.until("some text was shown", 40, |events| events.iter().any(|event| event.kind == "output")).await;
    let pid = agent_pid(&seen.events);
    stage.daemon.kill9();
    stage.model().release("one").await;
    stage.daemon.start().await;
    let first = asked(&mut seen, 0).await;
    // And again, with the question open.
    stage.daemon.kill9_and_restart().await;
    assert_eq!(stage.api.open_approvals(&id).await.len(), 1);
    stage.api.allow(first.text("approval_id")).await;
    stage.model().held("two").await;
    assert_eq!(agent_pid(&seen.events), pid);
    let said = seen.said();
    assert_eq!(
        (said.matches("one two three four").count(), said.matches("five six seven eight").count()),
        (1, 1),
        "{said:?}"
    );

    let conversation = stage.api.session(&id).await["runner_session_id"].clone();
    minute_is_over(begun).await;
    assert!(process::kill9(pid));
    let again = seen.next("agent_started", first.seq, 60).await;
    assert_eq!(again.data["resumed"], true, "{}", again.raw);
    stage.model().release("two").await;
    // It is told to go on; the scripted model takes its script for done then.
    seen.idle(1, 90).await;
    assert_eq!(lines(&file), ["1"]);
    let request = stage.model().requests().pop().expect("the model was asked");
    assert!(request["turns"].as_u64() >= Some(5), "the conversation came along: {request}");
    stage.api.input(&id, "SAY still here").await;
    seen.says("still here", 40).await;
    seen.idle(2, 20).await;
    let said = seen.said();
    assert_eq!(
        (said.matches("one two three four").count(), said.matches("five six seven eight").count()),
        (1, 1),
        "history came again: {said:?}"
    );
    assert_eq!(stage.api.session(&id).await["runner_session_id"], conversation);
    seen.check_against_replay().await;
}

#[tokio::test]
async fn what_a_project_brings_along_for_gemini_counts_only_where_it_is_trusted() {
    let stage = Stage::with_agents().await;
    let ran = stage.file("mcp-ran");
    std::fs::create_dir_all(stage.file(".gemini")).expect("a folder");
    let server = json!({ "command": "touch", "args": [ran] });
    let settings = json!({ "general": { "defaultApprovalMode": "auto_edit" }, "tools": { "allowed": ["run_shell_command"] },
        "mcpServers": { "here": server } });
    std::fs::write(stage.file(".gemini/settings.json"), settings.to_string()).expect("it is written");
    let file = stage.file("out");
    let (id, mut seen) = started(&stage, "gemini", &appends("x", &file)).await;
    let trust = asked(&mut seen, 0).await;
    assert_eq!(trust.data["kind"], "trust", "{}", trust.raw);
    let ask = asked(&mut seen, trust.seq).await;
    assert!(
        ask.text("title").contains("echo x"),
        "asked although the project's settings allow it: {}",
        ask.raw
    );
    assert!(!ran.exists(), "the project's server was not started");
    stage.api.allow(ask.text("approval_id")).await;
    seen.idle(1, 30).await;
    assert_eq!(stage.api.session(&id).await["state"], "AWAITING_INPUT");
}

#[tokio::test]
async fn a_prompt_that_may_not_have_arrived_is_carried_out_once() {
    let stage = &mut Stage::with_agents().await;
    let (id, mut seen) = started(stage, "gemini", "SAY first").await;
    seen.idle(1, 90).await;
    for (fault, word) in [("agent.before_send", "second"), ("agent.after_send", "third")] {
        stage.daemon.kill9();
        seen.disconnect();
        if stage.daemon.start_with_fault(fault).await {
            let path = format!("/api/sessions/{id}/input");
            let body = json!({ "text": format!("SAY {word}") });
            let _ = stage.api.attempt(reqwest::Method::POST, &path, Some(body)).await;
            stage.daemon.ended(20).await;
        }
        seen.disconnect();
        stage.daemon.start().await;
        seen.says(word, 40).await;
        seen.until("the session waits", 30, |events| {
            events
                .iter()
                .rfind(|event| event.kind == "session_state")
                .is_some_and(|e| e.text("state") == "AWAITING_INPUT")
        })
        .await;
    }
    let said = seen.said();
    assert_eq!((said.matches("second").count(), said.matches("third").count()), (1, 1), "{said}");
    assert_eq!(seen.of("agent_started").len(), 1);
}

#[tokio::test]
async fn an_agent_of_ones_own_is_asked_denied_with_a_reason_interrupted_killed_and_resumed() {
    let stage = with_opencode().await;
    let file = stage.file("out");
    let (id, mut seen) =
        started(&stage, "mine", &format!("SAY hello\n{}\nSAY finished", appends("x", &file))).await;
    let ask = asked(&mut seen, 0).await;
    stage.api.allow(ask.text("approval_id")).await;
    seen.idle(1, 90).await;
    assert_eq!(lines(&file), ["x"]);
    assert!(seen.said().contains("hello") && seen.said().contains("finished"), "{}", seen.said());

    // OpenCode ends its turn at a no; it goes on with the reason.
    stage.api.input(&id, &format!("{}\nSAY never", appends("y", &file))).await;
    let ask = asked(&mut seen, ask.seq).await;
    let no = json!({ "decision": "deny", "message": "SAY because of the words" });
    stage.api.answer(ask.text("approval_id"), no).await.ok();
    seen.idle(2, 40).await;
    assert!(seen.said().contains("because of the words"), "{}", seen.said());
    assert_eq!((lines(&file), seen.of("turn_finished").len()), (vec!["x".to_owned()], 2));

    stage.api.input(&id, &format!("{}\nSAY never", lasts(4341))).await;
    let ask = asked(&mut seen, ask.seq).await;
    stage.api.allow(ask.text("approval_id")).await;
    stage.lasting_runs(4341).await;
    stage.api.interrupt(&id).await;
    seen.idle(3, 30).await;
    stage.lasting_is_gone(4341).await;

    stage.api.input(&id, &format!("SAY begun\nHOLD gate\n{}\nSAY over", appends("z", &file))).await;
    stage.model().held("gate").await;
    seen.says("begun", 40).await;
    assert!(process::kill9(agent_pid(&seen.events)));
    let again = seen.next("agent_started", ask.seq, 40).await;
    assert_eq!(again.data["resumed"], true, "{}", again.raw);
    stage.model().release("gate").await;
    let ask = asked(&mut seen, again.seq).await;
    stage.api.allow(ask.text("approval_id")).await;
    seen.says("over", 60).await;
    assert_eq!(lines(&file), ["x", "z"]);
    assert_eq!(seen.said().matches("hello").count(), 1, "history came again: {}", seen.said());
    seen.check_against_replay().await;
}
