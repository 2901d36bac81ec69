//! A turn of the real agent, from the prompt to the answer.

use serde_json::json;

use crate::harness::stage::{agent_pid, appends, lasts};
use crate::harness::{Stage, lines, process};

/// A red dot: the smallest picture that every decoder takes.
const PNG: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg==";

#[tokio::test]
async fn a_turn_streams_its_thinking_and_its_text_and_ends() {
    let stage = Stage::with_agents().await;
    let (id, mut seen) = stage.started("THINK let me see\nSTREAM 40 word\nSAY and out").await;
    seen.idle(1, 40).await;

    let thought: String = seen.of("thinking").iter().map(|event| event.text("text")).collect();
    assert_eq!(thought.trim(), "let me see");
    assert_eq!(seen.said().matches("word ").count(), 40, "{:?}", seen.said());
    assert!(seen.said().trim_end().ends_with("and out"));
    let whole = seen.next("output_final", 0, 5).await;
    assert!(whole.text("text").trim_end().ends_with("and out"), "{}", whole.raw);
    let end = seen.next("turn_finished", 0, 5).await;
    assert_eq!(end.data["ok"], true, "{}", end.raw);
    assert!(seen.of("output").len() < 40, "streamed words are joined: {} events", seen.of("output").len());

    let session = stage.api.session(&id).await;
    assert_eq!(session["state"], "AWAITING_INPUT");
    assert_eq!(session["runner_type"], "claude-local");
    assert_eq!(session["message_count"], 1);
    assert!(session["runner_session_id"].is_string());
    let usage = stage.api.get(&format!("/api/sessions/{id}/usage")).await.ok();
    assert!(usage["output_tokens"].as_u64() > Some(0), "{usage}");
    seen.check_against_replay().await;
}

#[tokio::test]
async fn a_second_input_goes_to_the_same_program_and_the_same_conversation() {
    let stage = Stage::with_agents().await;
    let (id, mut seen) = stage.started("SAY first").await;
    seen.idle(1, 40).await;
    let pid = agent_pid(&seen.events);
    stage.api.input(&id, "SAY second").await;
    seen.idle(2, 30).await;
    assert_eq!(seen.of("agent_started").len(), 1);
    assert!(process::alive(pid));
    let last = stage.model().requests().pop().expect("the model was asked");
    assert!(last["turns"].as_u64() >= Some(3), "the conversation came along: {last}");
}

#[tokio::test]
async fn input_while_a_turn_runs_waits_in_a_queue_that_can_be_changed() {
    let stage = Stage::with_agents().await;
    let (id, mut seen) = stage.started("SAY begun\nHOLD middle\nSAY over").await;
    stage.model().held("middle").await;

    stage.api.input(&id, "SAY kept").await;
    stage.api.input(&id, "SAY taken back").await;
    let queue = stage.api.queue(&id).await;
    let texts: Vec<_> = queue.iter().map(|input| input["text"].as_str().unwrap()).collect();
    assert_eq!(texts, ["SAY kept", "SAY taken back"]);

    let second = queue[1]["input_id"].as_str().unwrap();
    stage.api.delete(&format!("/api/sessions/{id}/queue/{second}")).await.ok();
    assert_eq!(stage.api.queue(&id).await.len(), 1);
    let again = stage.api.delete(&format!("/api/sessions/{id}/queue/{second}")).await;
    again.error(404, "NOT_FOUND");

    stage.model().release("middle").await;
    seen.idle(2, 30).await;
    assert!(seen.said().contains("kept"));
    assert!(!seen.said().contains("taken back"));
    assert_eq!(stage.api.queue(&id).await.len(), 0);
    seen.next("input_withdrawn", 0, 5).await;
    seen.next("input_sent", 0, 5).await;
}

#[tokio::test]
async fn an_input_with_the_same_id_is_the_same_input() {
    let stage = Stage::with_agents().await;
    let (id, mut seen) = stage.started("SAY begun\nHOLD middle").await;
    stage.model().held("middle").await;
    let body = json!({ "text": "SAY once", "input_id": "0198c0de-0000-7000-8000-000000000001" });
    for _ in 0..3 {
        stage.api.post(&format!("/api/sessions/{id}/input"), body.clone()).await.ok();
    }
    assert_eq!(stage.api.queue(&id).await.len(), 1);
    stage.model().release("middle").await;
    seen.idle(2, 30).await;
    assert_eq!(seen.said().matches("once").count(), 1);
}

#[tokio::test]
async fn an_interrupt_in_mid_tool_leaves_no_process_and_the_session_goes_on() {
    let stage = Stage::with_agents().await;
    let (id, mut seen) = stage.started(&format!("{}\nSAY never", lasts(4321))).await;
    let ask = seen.asked(0).await;
    stage.api.allow(ask.text("approval_id")).await;
    stage.lasting_runs(4321).await;

    stage.api.interrupt(&id).await;
    seen.idle(1, 30).await;
    stage.lasting_is_gone(4321).await;
    let end = seen.next("turn_finished", 0, 5).await;
    assert_eq!(end.data["ok"], false, "{}", end.raw);
    assert!(!seen.said().contains("never"));

    stage.api.input(&id, "SAY still here").await;
    seen.idle(2, 30).await;
    assert!(seen.said().contains("still here"));
}

#[tokio::test]
async fn an_interrupt_while_a_question_waits_withdraws_it() {
    let stage = Stage::with_agents().await;
    let file = stage.file("never");
    let (id, mut seen) = stage.started(&appends("x", &file)).await;
    let ask = seen.asked(0).await;
    assert_eq!(stage.api.session(&id).await["has_pending_permission"], true);
    stage.api.interrupt(&id).await;
    seen.idle(1, 30).await;
    let resolved = seen.next("permission_resolved", ask.seq, 10).await;
    assert_eq!(resolved.data["resolved_by"], "cancelled", "{}", resolved.raw);
    assert_eq!(stage.api.session(&id).await["has_pending_permission"], false);
    let late = stage.api.answer(ask.text("approval_id"), json!({ "decision": "allow" })).await;
    late.error(409, "ALREADY_ANSWERED");
    assert!(lines(&file).is_empty());
}

#[tokio::test]
async fn a_picture_reaches_the_model() {
    let stage = Stage::with_agents().await;
    let (id, mut seen) = stage.session().await;
    let image = json!({ "type": "image", "data": PNG, "mimeType": "image/png", "filename": "dot.png" });
    let body = json!({ "prompt": "SAY seen", "approval_choice": 0, "images": [image] });
    stage.api.post(&format!("/api/sessions/{id}/start"), body).await.ok();
    seen.idle(1, 40).await;
    let request = stage.model().requests().pop().expect("the model was asked");
    assert_eq!(request["images"], 1, "{request}");
}

#[tokio::test]
async fn a_picture_of_a_wrong_kind_or_that_is_no_base64_is_refused_in_words() {
    let stage = Stage::bare().await;
    let id = stage.api.create(&stage.home.work()).await;
    for image in [
        json!({ "type": "image", "data": PNG, "mimeType": "image/tiff" }),
        json!({ "type": "image", "data": "not base64!", "mimeType": "image/png" }),
    ] {
        let body = json!({ "prompt": "SAY x", "images": [image] });
        let refused = stage.api.post(&format!("/api/sessions/{id}/start"), body).await;
        refused.error(422, "VALIDATION_ERROR");
    }
    let five = vec![json!({ "type": "image", "data": PNG, "mimeType": "image/png" }); 5];
    let body = json!({ "prompt": "SAY x", "images": five });
    stage.api.post(&format!("/api/sessions/{id}/start"), body).await.error(422, "VALIDATION_ERROR");
    assert_eq!(stage.api.session(&id).await["state"], "CREATED");
}

#[tokio::test]
async fn the_model_can_be_changed_between_turns() {
    let stage = Stage::with_agents().await;
    let (id, mut seen) = stage.started("SAY one").await;
    seen.idle(1, 40).await;
    let before = stage.model().requests().pop().expect("the model was asked")["model"].clone();
    let body = json!({ "model": "claude-haiku-4-5" });
    stage.api.patch(&format!("/api/sessions/{id}/details"), body).await.ok();
    stage.api.input(&id, "SAY two").await;
    seen.idle(2, 30).await;
    let after = stage.model().requests().pop().expect("the model was asked")["model"].clone();
    assert_ne!(before, after);
    assert_eq!(after, "claude-haiku-4-5");
}

#[tokio::test]
async fn a_failure_of_the_model_ends_the_turn_in_words_and_the_next_turn_works() {
    let stage = Stage::with_agents().await;
    let (id, mut seen) = stage.started("FAIL 400").await;
    let end = seen.next("turn_finished", 0, 40).await;
    assert_eq!(end.data["ok"], false, "{}", end.raw);
    assert!(end.text("message").contains("400"), "{}", end.raw);
    stage.api.input(&id, "SAY better now").await;
    seen.says("better now", 30).await;
}

#[tokio::test]
async fn a_request_that_the_agent_tries_again_is_shown() {
    let stage = Stage::with_agents().await;
    let (_, mut seen) = stage.started("FAIL 529").await;
    let retry = seen.next("retry", 0, 40).await;
    assert_eq!(retry.data["status"], 529, "{}", retry.raw);
    seen.next("turn_finished", retry.seq, 40).await;
}

#[tokio::test]
async fn a_missing_agent_program_is_said_in_words_that_help() {
    let mut home = crate::harness::Home::new();
    home.extra.insert("PATH".into(), "/usr/bin:/bin".into());
    let stage = Stage::bare_in(home).await;
    let id = stage.api.create(&stage.home.work()).await;
    let body = json!({ "prompt": "SAY x" });
    let refused = stage.api.post(&format!("/api/sessions/{id}/start"), body).await;
    let message = refused.error(503, "AGENT_UNAVAILABLE");
    assert!(message.contains("claude"), "{message}");
    assert!(refused.status != 500);
}
