//! Input, interrupt and answers.

use super::*;

fn input(session: &SessionId, text: &str, id: impl Into<Value>) -> Value {
    json!({"type": "input", "session_id": session, "text": text, "id": id.into()})
}

#[actix::test]
async fn every_command_is_answered_under_its_id() {
    let stage = Stage::set().await;
    let session = stage.world.make_session().await;
    let approval = stage.world.ask(&session).await;
    let mut client = stage.client().await;
    client.send(input(&session, "go", 1)).await;
    let reply = client.frame().await;
    assert_eq!((&reply["type"], &reply["id"], &reply["ok"]), (&json!("reply"), &json!(1), &json!(true)));
    assert_eq!(reply["result"]["session"]["id"], session.as_str());
    assert_eq!(reply["result"]["queued"], false);
    assert!(reply["result"]["input_id"].is_string());

    client.send(json!({"type": "interrupt", "session_id": session, "id": "i"})).await;
    let reply = client.frame().await;
    assert_eq!((&reply["id"], &reply["ok"]), (&json!("i"), &json!(false)));
    let error = json!({"code": "INVALID_STATE", "message": "Session not running", "details": null});
    assert_eq!(reply["error"], error);

    let answer = json!({"type": "answer", "approval_id": approval.id, "decision": "allow", "id": 2});
    client.send(answer.clone()).await;
    let reply = client.frame().await;
    assert_eq!(reply["result"]["approval"]["state"], "allowed");
    assert_eq!(reply["result"]["approval"]["resolved_by"]["name"], "Ana");
    client.send(answer).await;
    assert_eq!(client.frame().await["ok"], true, "the same answer again succeeds");
    client.send(json!({"type": "answer", "approval_id": approval.id, "decision": "deny", "id": 3})).await;
    let reply = client.frame().await;
    assert_eq!(reply["error"]["code"], "ALREADY_ANSWERED");
    assert_eq!(reply["error"]["details"]["approval"]["state"], "allowed");

    client.send(json!({"type": "answer", "approval_id": "perm_0", "decision": "deny", "id": 4})).await;
    assert_eq!(client.frame().await["error"]["code"], "NOT_FOUND");
    client.send(json!({"type": "ping", "id": "p"})).await;
    assert_eq!(client.frame().await, json!({"type": "pong", "id": "p"}));
    stage.end().await;
}

#[actix::test]
async fn nothing_is_confirmed_before_it_is_recorded_and_others_go_on() {
    let stage = Stage::set().await;
    let (held, other) = (stage.world.make_session().await, stage.world.make_session().await);
    stage.world.holding.send_replace(true);
    let mut client = stage.client().await;
    client.send(input(&held, "hold one", "held")).await;
    client.send(input(&held, "two", "behind")).await;
    client.send(input(&other, "three", "other")).await;
    assert_eq!(client.frame().await["id"], "other", "another session's command is not held up");
    assert_eq!(stage.world.log.read_model.last_seq(&held), Some(0));
    stage.world.holding.send_replace(false);
    assert_eq!(client.frame().await["id"], "held");
    assert_eq!(client.frame().await["id"], "behind", "the same session's commands keep their order");
    client.subscribe(&held, 0).await;
    let events = client.frame_of("events").await;
    assert_eq!(events["events"][0]["data"]["text"], "hold one");
    stage.end().await;
}

#[actix::test]
async fn what_was_taken_is_done_though_the_browser_is_gone() {
    let stage = Stage::set().await;
    let session = stage.world.make_session().await;
    stage.world.holding.send_replace(true);
    let mut client = stage.client().await;
    client.send(input(&session, "hold one", 1)).await;
    client.send(input(&session, "two", 2)).await;
    // The pong comes after the two were taken.
    client.send(json!({"type": "ping"})).await;
    client.frame_of("pong").await;
    drop(client);
    tokio::time::timeout(PATIENCE, stage.sockets.closed()).await.expect("it is seen that it is gone");
    stage.world.holding.send_replace(false);
    let mut follower = stage.world.log.follow(session, 0);
    while follower.cursor() < 2 {
        tokio::time::timeout(PATIENCE, follower.next()).await.expect("both are recorded").expect("readable");
    }
    stage.end().await;
}

#[actix::test]
async fn too_many_commands_wait_outside_and_all_are_answered() {
    let stage = Stage::set().await;
    stage.world.holding.send_replace(true);
    let mut client = stage.client().await;
    for index in 0..50 {
        let session = stage.world.make_session().await;
        client.send(input(&session, "hold", index)).await;
    }
    while stage.world.at_work.load(Ordering::SeqCst) < 32 {
        tokio::task::yield_now().await;
    }
    stage.world.holding.send_replace(false);
    let mut answered = std::collections::BTreeSet::new();
    while answered.len() < 50 {
        let reply = client.frame().await;
        assert_eq!(reply["ok"], true);
        answered.insert(reply["id"].as_u64().expect("its id"));
    }
    assert_eq!(stage.world.most_at_work.load(Ordering::SeqCst), 32);
    stage.end().await;
}

#[actix::test]
async fn a_failure_in_here_closes_this_socket_and_no_other() {
    let stage = Stage::set().await;
    let session = stage.world.make_session().await;
    let (mut client, mut other) = (stage.client().await, stage.client().await);
    client.send(input(&session, "panic", 1)).await;
    assert_eq!(u16::from(client.close_frame().await.code), 1011);
    other.send(json!({"type": "ping"})).await;
    other.frame_of("pong").await;
    stage.end().await;
}
