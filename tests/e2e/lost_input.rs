//! `kill -9` of the agent before it has written down what it was asked: it is asked again, once; and only if nothing
//! was done yet.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::harness::stage::{agent_pid, appends};
use crate::harness::{Event, Stage, Transcript, eventually, lines, process};

/// The file of the only conversation that there is, of Claude Code or of Codex.
fn conversation(stage: &Stage) -> Option<PathBuf> {
    let mut folders =
        vec![stage.home.path().join("claude/projects"), stage.home.path().join(".codex/sessions")];
    while let Some(folder) = folders.pop() {
        for path in std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()) {
            if path.extension().is_some_and(|extension| extension == "jsonl") {
                return Some(path);
            }
            folders.extend(path.is_dir().then_some(path));
        }
    }
    None
}

/// Waits until the agent has written down that it was asked this.
async fn written(stage: &Stage, input: &str) {
    eventually("the agent has written it down", 20, || async {
        std::fs::read_to_string(conversation(stage)?).ok()?.contains(input).then_some(())
    })
    .await;
}

/// Kills the daemon and then the agent, so that nobody looks at what the agent left before that was changed.
async fn kill_both(stage: &mut Stage, seen: &mut Transcript) {
    stage.daemon.kill9();
    assert!(process::kill9(agent_pid(&seen.events)));
    eventually("the agent is gone, with all that belongs to it", 20, || async {
        let left = stage.marked();
        for pid in &left {
            process::kill9(*pid);
        }
        left.is_empty().then_some(())
    })
    .await;
    seen.disconnect();
}

/// What the conversation's file is like if the agent was killed before it wrote down the input of which this is the id
/// or the words.
fn cut(stage: &Stage, input: &str) {
    let file = conversation(stage).expect("there is a conversation");
    let kept: String = lines(&file)
        .iter()
        .take_while(|line| !line.contains(input))
        .map(|line| format!("{line}\n"))
        .collect();
    std::fs::write(&file, kept).expect("it is written");
}

/// What it is like if the agent was killed before it wrote down anything; it may be so already.
fn remove(stage: &Stage) {
    if let Some(file) = conversation(stage) {
        std::fs::remove_file(file).expect("it is removed");
    }
}

/// Lets the model answer, and starts the daemon again.
async fn go_on(stage: &mut Stage) {
    stage.model().release("gate").await;
    stage.daemon.start().await;
}

/// Gives an input and waits until the agent works on it; answers its id.
async fn asked(stage: &Stage, session: &str, seen: &mut Transcript, body: Value) -> String {
    let turns = seen.of("turn_started").len();
    let given = stage.api.post(&format!("/api/sessions/{session}/input"), body).await.ok();
    let input = given["input_id"].as_str().expect("it has an id").to_owned();
    seen.until("it works on it", 40, |events| {
        events.iter().filter(|event| event.kind == "turn_started").count() > turns
    })
    .await;
    input
}

fn times_sent(seen: &Transcript, input: &str) -> usize {
    seen.of("input_sent").iter().filter(|event| event.text("input_id") == input).count()
}

fn warnings<'a>(seen: &'a Transcript, code: &str) -> Vec<&'a Event> {
    seen.of("warning").into_iter().filter(|event| event.text("code") == code).collect()
}

#[tokio::test]
async fn the_first_input_is_said_again_in_a_new_conversation() {
    let stage = &mut Stage::with_agents().await;
    let (id, mut seen) = stage.started("HOLD gate\nSAY over").await;
    let input = seen.next("user_input", 0, 10).await.text("input_id").to_owned();
    seen.next("turn_started", 0, 40).await;
    stage.model().held("gate").await;
    kill_both(stage, &mut seen).await;
    remove(stage);
    go_on(stage).await;

    seen.says("over", 60).await;
    seen.idle(1, 20).await;
    assert_eq!(times_sent(&seen, &input), 2);
    assert_eq!(warnings(&seen, "INPUT_SENT_AGAIN").len(), 1);
    assert_eq!(warnings(&seen, "CONVERSATION_LOST").len(), 0);
    assert_eq!(seen.of("agent_started").last().map(|event| &event.data["resumed"]), Some(&json!(false)));
    let turns: Vec<_> = seen.of("turn_started").iter().map(|event| event.data["turn"].clone()).collect();
    assert_eq!(turns, [1, 1], "it is the same turn");
    // What was begun anew can be gone on with.
    let file = conversation(stage).expect("there is a conversation");
    let name = file.file_stem().and_then(|stem| stem.to_str()).map(str::to_owned);
    assert_eq!(stage.api.session(&id).await["runner_session_id"].as_str().map(str::to_owned), name);
}

#[tokio::test]
async fn a_later_input_is_said_again_with_its_pictures_and_before_those_that_wait() {
    let stage = &mut Stage::with_agents().await;
    let (id, mut seen) = stage.started("SAY ready").await;
    seen.idle(1, 40).await;
    let image = json!({ "data": PIXEL, "mimeType": "image/png" });
    let body = json!({ "text": "HOLD gate\nSAY over", "images": [image] });
    let input = asked(stage, &id, &mut seen, body).await;
    stage.model().held("gate").await;
    stage.api.input(&id, "SAY afterwards").await;
    kill_both(stage, &mut seen).await;
    cut(stage, &input);
    go_on(stage).await;

    seen.says("afterwards", 60).await;
    assert!(seen.said().contains("over"), "{}", seen.said());
    assert_eq!(times_sent(&seen, &input), 2);
    assert_eq!(warnings(&seen, "INPUT_SENT_AGAIN").len(), 1);
    assert_eq!(seen.of("agent_started").last().map(|event| &event.data["resumed"]), Some(&json!(true)));
    let bodies = stage.model().bodies();
    let last = bodies.last().expect("the model was asked").to_string();
    assert_eq!(last.matches("SAY over").count(), 1, "it is in the conversation once");
    assert!(!last.contains("was started again"), "the agent has nothing to go on with");
    let pictures: Vec<_> = stage.model().requests().iter().map(|request| request["images"].clone()).collect();
    assert_eq!(pictures.last(), Some(&json!(1)), "{pictures:?}");
}

#[tokio::test]
async fn words_put_into_a_running_turn_are_said_again_and_the_turn_is_gone_on_with() {
    let stage = &mut Stage::with_agents().await;
    let file = stage.file("out");
    let (id, mut seen) = stage.started(&format!("{}\nHOLD gate\nSAY over", appends("1", &file))).await;
    let input = seen.next("user_input", 0, 10).await.text("input_id").to_owned();
    let ask = seen.asked(0).await;
    let body = json!({ "text": "mind this too", "steer": true });
    let given = stage.api.post(&format!("/api/sessions/{id}/input"), body).await.ok();
    let steered = given["input_id"].as_str().expect("it has an id").to_owned();
    stage.api.allow(ask.text("approval_id")).await;
    stage.model().held("gate").await;
    written(stage, &steered).await;
    kill_both(stage, &mut seen).await;
    cut(stage, &steered);
    go_on(stage).await;

    seen.idle(2, 60).await;
    assert_eq!(lines(&file), ["1"]);
    assert_eq!((times_sent(&seen, &input), times_sent(&seen, &steered)), (1, 2));
    let told: Vec<_> = seen.of("warning").iter().map(|event| event.text("code").to_owned()).collect();
    assert_eq!(told, ["INPUT_SENT_AGAIN"]);
    let bodies = stage.model().bodies();
    let last = bodies.last().expect("the model was asked").to_string();
    assert_eq!(last.matches("mind this too").count(), 1, "it is in the conversation once");
    assert!(last.contains("was started again"), "the agent went on with the turn");
}

#[tokio::test]
async fn codex_is_asked_again_what_it_had_not_written_down() {
    for first in [true, false] {
        let stage = &mut Stage::with_agents().await;
        let (id, mut seen) = stage.session_of("codex").await;
        if !first {
            stage.api.start(&id, "SAY ready").await;
            seen.idle(1, 40).await;
            stage.api.input(&id, "HOLD gate\nSAY over").await;
        } else {
            stage.api.start(&id, "HOLD gate\nSAY over").await;
        }
        stage.model().held("gate").await;
        seen.until("it works on it", 40, |events| {
            events.iter().filter(|event| event.kind == "turn_started").count() == 2 - usize::from(first)
        })
        .await;
        let input = seen.of("user_input").last().expect("it was asked").text("input_id").to_owned();
        kill_both(stage, &mut seen).await;
        match first {
            true => remove(stage),
            false => cut(stage, "HOLD gate"),
        }
        go_on(stage).await;

        seen.says("over", 60).await;
        seen.idle(2 - usize::from(first), 20).await;
        assert_eq!(times_sent(&seen, &input), 2, "first: {first}");
        assert_eq!(warnings(&seen, "INPUT_SENT_AGAIN").len(), 1, "first: {first}");
        assert_eq!(warnings(&seen, "CONVERSATION_LOST").len(), 0, "first: {first}");
        assert_eq!(seen.said().matches("over").count(), 1, "first: {first}");
    }
}

#[tokio::test]
async fn an_input_that_is_written_down_is_not_said_again() {
    let stage = &mut Stage::with_agents().await;
    let (_, mut seen) = stage.started("HOLD gate\nSAY over").await;
    let input = seen.next("user_input", 0, 10).await.text("input_id").to_owned();
    seen.next("turn_started", 0, 40).await;
    stage.model().held("gate").await;
    written(stage, &input).await;
    kill_both(stage, &mut seen).await;
    go_on(stage).await;

    seen.says("over", 60).await;
    assert_eq!(times_sent(&seen, &input), 1);
    assert_eq!(warnings(&seen, "INPUT_SENT_AGAIN").len(), 0);
    assert_eq!(seen.of("agent_started").last().map(|event| &event.data["resumed"]), Some(&json!(true)));
}

#[tokio::test]
async fn an_input_that_something_was_done_for_is_not_said_again_and_the_person_is_told() {
    let stage = &mut Stage::with_agents().await;
    let (id, mut seen) = stage.started("SAY ready").await;
    seen.idle(1, 40).await;
    let file = stage.file("out");
    let before = seen.last_seq();
    let body = json!({ "text": format!("{}\nHOLD gate\nSAY over", appends("1", &file)) });
    let input = asked(stage, &id, &mut seen, body).await;
    let ask = seen.asked(before).await;
    stage.api.allow(ask.text("approval_id")).await;
    stage.model().held("gate").await;
    kill_both(stage, &mut seen).await;
    cut(stage, &input);
    go_on(stage).await;

    seen.idle(2, 60).await;
    assert_eq!(lines(&file), ["1"]);
    assert_eq!(times_sent(&seen, &input), 1);
    assert_eq!(warnings(&seen, "INPUT_SENT_AGAIN").len(), 0);
    let told = warnings(&seen, "INPUT_LOST");
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].text("input_id"), input);
}

#[tokio::test]
async fn with_the_policy_never_it_waits_for_the_next_input_and_is_said_before_that() {
    let stage = &mut Stage::with_agents().await;
    let (id, mut seen) = stage.session().await;
    stage.api.patch(&format!("/api/sessions/{id}/details"), json!({ "restart_policy": "never" })).await.ok();
    stage.api.start(&id, "HOLD gate\nSAY over").await;
    seen.next("turn_started", 0, 40).await;
    stage.model().held("gate").await;
    kill_both(stage, &mut seen).await;
    remove(stage);
    go_on(stage).await;

    seen.next("error", 0, 60).await;
    assert_eq!(stage.api.queue(&id).await.len(), 1);
    assert!(stage.marked().is_empty(), "no agent runs");
    stage.api.input(&id, "SAY hello again").await;
    seen.says("hello again", 60).await;
    assert!(seen.said().starts_with("over"), "{}", seen.said());
    assert_eq!(warnings(&seen, "CONVERSATION_LOST").len(), 0);
}

#[tokio::test]
async fn a_command_is_not_said_again_because_nobody_hears_what_it_does() {
    let stage = &mut Stage::with_agents().await;
    let (id, mut seen) = stage.started("SAY ready").await;
    seen.idle(1, 40).await;
    // Unknown to the agent, so that the model gets it.
    let input = asked(stage, &id, &mut seen, json!({ "text": "/nothing\nHOLD gate\nSAY over" })).await;
    stage.model().held("gate").await;
    kill_both(stage, &mut seen).await;
    cut(stage, &input);
    go_on(stage).await;

    seen.idle(2, 60).await;
    assert_eq!(times_sent(&seen, &input), 1);
    assert_eq!(warnings(&seen, "INPUT_LOST").len(), 1);
}

#[tokio::test]
async fn killed_as_soon_as_it_begins_it_does_what_it_was_asked_and_does_it_once() {
    let stage = Stage::with_agents().await;
    let file = stage.file("out");
    let (_, mut seen) = stage.started(&format!("{}\nSAY over", appends("1", &file))).await;
    let begun = seen.next("turn_started", 0, 40).await;
    process::kill9(agent_pid(&seen.events));
    let again = seen.next("agent_started", begun.seq, 40).await;
    let ask = seen.asked(again.seq).await;
    stage.api.allow(ask.text("approval_id")).await;
    seen.says("over", 40).await;
    assert_eq!(lines(&file), ["1"]);
}

/// One pixel.
const PIXEL: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==";
