//! Interrupts, ends and kills.

use std::time::{Duration, Instant};

use super::*;
use crate::harness::process;

/// Starts a command with children and waits until it runs.
async fn running(scene: &Scene, agent: &mut AcpAgent, session: &str, seconds: u32) -> u64 {
    let command = format!("SAY begun\nSHELL echo out; (sleep {seconds} | cat) & sleep {seconds}\nSAY over");
    let asked = agent.say(session, &command);
    let permission = agent.permission();
    agent.decide(&permission, "allow_once");
    let sleeping = format!("sleep {seconds}");
    eventually("the command runs", 20, || async {
        (process::running(&sleeping, &scene.home.mark).len() >= 3).then_some(())
    })
    .await;
    asked
}

#[tokio::test]
async fn an_interrupt_in_mid_tool_leaves_no_process_and_the_conversation_whole() {
    let scene = Scene::new();
    let mut agent = scene.agent();
    let session = agent.begin(&scene.home);
    let asked = running(&scene, &mut agent, &session, 6101).await;
    let began = Instant::now();
    agent.cancel(&session);
    let answer = agent.answer(asked);
    assert_eq!(answer["result"]["stopReason"], "cancelled", "{answer}");
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
    assert_eq!(process::running("sleep 6101", &scene.home.mark), Vec::<u32>::new());
    let calls = AcpAgent::calls(&agent.updates());
    assert_eq!(calls[0].1, "failed");
    assert_eq!(calls[0].2, "out\n[the person interrupted it]");
    let asked = agent.say(&session, "SAY going on");
    assert_eq!(agent.answer(asked)["result"]["stopReason"], "end_turn");
    assert_eq!(messages(&agent.updates()), "going on");
}

#[tokio::test]
async fn an_interrupt_in_mid_answer_keeps_what_was_said() {
    let scene = Scene::new();
    let mut agent = scene.agent();
    let session = agent.begin(&scene.home);
    let asked = agent.say(&session, "SAY the beginning\nHOLD on\nSAY the end");
    scene.model.held("on").await;
    agent.wait_for("its words", |line| line["params"]["update"]["content"]["text"] == "beginning");
    agent.cancel(&session);
    assert_eq!(agent.answer(asked)["result"]["stopReason"], "cancelled");
    let asked = agent.say(&session, "SAY next");
    assert_eq!(agent.answer(asked)["result"]["stopReason"], "end_turn");
    let bodies = scene.model.bodies();
    let told = bodies.last().expect("a request")["messages"].to_string();
    assert!(told.contains("the beginning\\n\\n[The person interrupted me here.]"), "{told}");
}

#[tokio::test]
async fn an_interrupt_withdraws_what_was_asked_and_does_it_not() {
    let scene = Scene::new();
    let mut agent = scene.agent();
    let session = agent.begin(&scene.home);
    let asked = agent.say(&session, "SHELL touch made\nAND\nWRITE also x\nSAY over");
    let permission = agent.permission();
    agent.cancel(&session);
    let withdrawn = agent.wait_for("the withdrawal", |line| line["method"] == "$/cancel_request");
    assert_eq!(withdrawn["params"]["requestId"], permission["id"]);
    assert_eq!(agent.answer(asked)["result"]["stopReason"], "cancelled");
    // Too late.
    agent.decide(&permission, "allow_once");
    let asked = agent.say(&session, "SAY next");
    assert_eq!(agent.answer(asked)["result"]["stopReason"], "end_turn");
    assert!(!scene.file("made").exists() && !scene.file("also").exists());
    let bodies = scene.model.bodies();
    let messages = bodies.last().expect("a request")["messages"].as_array().expect("messages").clone();
    let results = messages.iter().filter(|message| message["role"] == "tool").count();
    assert_eq!(results, 2, "each call has a result: {messages:?}");
}

#[tokio::test]
async fn a_prompt_right_after_an_interrupt_runs_when_the_interrupted_turn_is_over() {
    let scene = Scene::new();
    let mut agent = scene.agent();
    let session = agent.begin(&scene.home);
    let first = agent.say(&session, "SAY one\nHOLD first");
    scene.model.held("first").await;
    let waiting = agent.say(&session, "SAY two");
    agent.cancel(&session);
    let third = agent.say(&session, "SAY three");
    assert_eq!(agent.answer(first)["result"]["stopReason"], "cancelled");
    // What was cut off before a word of it came is still the newest script.
    scene.model.release("first").await;
    assert_eq!(agent.answer(waiting)["result"]["stopReason"], "cancelled");
    assert_eq!(agent.answer(third)["result"]["stopReason"], "end_turn");
    assert_eq!(scene.model.requests().len(), 2, "what waited was never said");
}

#[tokio::test]
async fn a_kill_in_mid_tool_is_survived_by_the_conversation() {
    let scene = Scene::new();
    let mut agent = scene.agent();
    let session = agent.begin(&scene.home);
    let asked = agent.say(&session, "SAY first answer");
    agent.answer(asked);
    running(&scene, &mut agent, &session, 6102).await;
    agent.kill9();
    let (mut agent, replayed) = scene.resumed(&session);
    assert_eq!(messages(&replayed), "first answerbegun");
    let said = AcpAgent::text(&replayed, "user_message_chunk");
    assert!(said.starts_with("SAY first answerSAY begun"), "{said}");
    let calls = AcpAgent::calls(&replayed);
    assert_eq!((calls.len(), calls[0].1.as_str()), (1, "failed"));
    assert!(calls[0].2.contains("may or may not have taken effect"), "{calls:?}");
    let asked = agent.say(&session, "SAY back again");
    assert_eq!(agent.answer(asked)["result"]["stopReason"], "end_turn");
    assert_eq!(messages(&agent.updates()), "back again");
    let bodies = scene.model.bodies();
    let roles: Vec<String> = bodies.last().expect("a request")["messages"]
        .as_array()
        .expect("messages")
        .iter()
        .map(|message| message["role"].as_str().unwrap_or_default().to_owned())
        .collect();
    assert_eq!(roles, ["system", "user", "assistant", "user", "assistant", "tool", "user"]);
}

#[tokio::test]
async fn a_kill_in_mid_answer_and_the_same_prompt_again_is_one_prompt() {
    let scene = Scene::new();
    let mut agent = scene.agent();
    let session = agent.begin(&scene.home);
    let prompt = "SAY before\nHOLD it\nSAY after";
    agent.say(&session, prompt);
    scene.model.held("it").await;
    agent.kill9();
    scene.model.release("it").await;
    let (mut agent, _) = scene.resumed(&session);
    let asked = agent.say(&session, prompt);
    assert_eq!(agent.answer(asked)["result"]["stopReason"], "end_turn");
    let bodies = scene.model.bodies();
    let messages = bodies.last().expect("a request")["messages"].as_array().expect("messages").clone();
    assert_eq!(messages.len(), 2, "{messages:?}");
    assert_eq!(messages[1]["content"], prompt);
}

#[tokio::test]
async fn asked_to_end_it_takes_its_commands_with_it() {
    let scene = Scene::new();
    let mut agent = scene.agent();
    let session = agent.begin(&scene.home);
    running(&scene, &mut agent, &session, 6103).await;
    process::signal(agent.pid(), rustix::process::Signal::TERM);
    assert!(agent.ended().success());
    assert_eq!(process::running("sleep 6103", &scene.home.mark), Vec::<u32>::new());
    let mut agent = scene.agent();
    let session = agent.begin(&scene.home);
    running(&scene, &mut agent, &session, 6104).await;
    assert!(agent.close().success(), "so does the end of its input");
    assert_eq!(process::running("sleep 6104", &scene.home.mark), Vec::<u32>::new());
}
