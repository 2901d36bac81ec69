//! Following sessions and the overview.

use super::*;

#[actix::test]
async fn a_replay_runs_into_live_events_without_gap_or_double_while_others_append() {
    let stage = Stage::set().await;
    let session = stage.world.make_session().await;
    let total = 3_000;
    let (world, id) = (stage.world.clone(), session.clone());
    let writers = actix::spawn(async move {
        let write = |writer: u64| {
            let (world, id) = (world.clone(), id.clone());
            async move {
                for event in 0..total / 3 {
                    world
                        .say(&id, [format!("{writer}.{event} {}", "x".repeat((event % 700) as usize))])
                        .await;
                }
            }
        };
        tokio::join!(write(0), write(1), write(2));
    });
    let mut clients = Vec::new();
    for after in [0, 0, 1, 17] {
        let mut client = stage.client().await;
        while stage.world.log.read_model.last_seq(&session) < Some(after) {
            tokio::task::yield_now().await;
        }
        client.subscribe(&session, after).await;
        clients.push((client, after));
    }
    for (mut client, after) in clients {
        assert_eq!(client.numbers_up_to(&session, total).await, counted(after + 1..=total));
    }
    writers.await.expect("the writers end");
    stage.end().await;
}

#[actix::test]
async fn the_backlog_ends_with_caught_up_once() {
    let stage = Stage::set().await;
    let session = stage.world.make_session().await;
    stage.world.say(&session, (0..2_500).map(|n| n.to_string())).await;
    let mut client = stage.client().await;
    client.send(json!({"type": "subscribe", "session_id": session, "id": "s"})).await;
    let reply = client.frame().await;
    assert_eq!(
        (&reply["id"], &reply["ok"], &reply["result"]),
        (&json!("s"), &json!(true), &json!({"last_seq": 2_500}))
    );
    let mut numbers = Vec::new();
    let caught_up = loop {
        let frame = client.frame().await;
        if frame["type"] != "events" {
            break frame;
        }
        numbers.extend(numbers_in(&frame));
    };
    assert_eq!(numbers, counted(1..=2_500));
    assert_eq!(caught_up, json!({"type": "caught_up", "session_id": session, "seq": 2_500}));
    stage.world.say(&session, ["live".into()]).await;
    assert_eq!(numbers_in(&client.frame().await), [2_501], "it is not said again");
    stage.end().await;
}

#[actix::test]
async fn an_empty_session_is_caught_up_at_once() {
    let stage = Stage::set().await;
    let session = stage.world.make_session().await;
    let mut client = stage.client().await;
    client.subscribe(&session, 0).await;
    assert_eq!(client.frame().await, json!({"type": "caught_up", "session_id": session, "seq": 0}));
    stage.end().await;
}

#[actix::test]
async fn one_socket_follows_many_sessions() {
    let stage = Stage::set().await;
    let mut sessions = Vec::new();
    for _ in 0..60 {
        let session = stage.world.make_session().await;
        stage.world.say(&session, (0..30).map(|n| n.to_string())).await;
        sessions.push(session);
    }
    let mut client = stage.client().await;
    for session in &sessions {
        client.subscribe(session, 10).await;
    }
    for session in &sessions {
        stage.world.say(session, (0..10).map(|n| n.to_string())).await;
    }
    let mut numbers: std::collections::HashMap<String, Vec<u64>> = Default::default();
    while numbers.values().map(Vec::len).sum::<usize>() < 60 * 30 {
        let frame = client.frame().await;
        if frame["type"] == "events" {
            let session = frame["session_id"].as_str().expect("an id").to_owned();
            numbers.entry(session).or_default().extend(numbers_in(&frame));
        }
    }
    for session in &sessions {
        assert_eq!(numbers[session.as_str()], counted(11..=40));
    }
    stage.end().await;
}

#[actix::test]
async fn a_long_replay_does_not_hold_up_another_session() {
    let stage = Stage::set().await;
    let (long, short) = (stage.world.make_session().await, stage.world.make_session().await);
    for _ in 0..40 {
        stage.world.say(&long, (0..10).map(|_| "x".repeat(60_000))).await;
    }
    let mut client = stage.client().await;
    client.subscribe(&long, 0).await;
    client.subscribe(&short, 0).await;
    client.frame_of("events").await;
    stage.world.say(&short, ["hello".into()]).await;
    let mut of_long = 0;
    loop {
        let frame = client.frame_of("events").await;
        if frame["session_id"] == short.as_str() {
            break;
        }
        of_long += numbers_in(&frame).len();
    }
    assert!(of_long < 200, "{of_long} of 400 came first");
    stage.end().await;
}

#[actix::test]
async fn who_comes_back_goes_on_from_the_cursor() {
    let stage = Stage::set().await;
    let session = stage.world.make_session().await;
    stage.world.say(&session, (0..20).map(|n| n.to_string())).await;
    let mut client = stage.client().await;
    client.subscribe(&session, 0).await;
    assert_eq!(client.numbers_up_to(&session, 20).await, counted(1..=20));
    drop(client);
    stage.world.say(&session, (0..20).map(|n| n.to_string())).await;
    let mut client = stage.client().await;
    client.subscribe(&session, 20).await;
    assert_eq!(client.numbers_up_to(&session, 40).await, counted(21..=40));
    stage.end().await;
}

#[actix::test]
async fn a_new_subscription_takes_the_place_of_the_old_one() {
    let stage = Stage::set().await;
    let session = stage.world.make_session().await;
    stage.world.say(&session, (0..10).map(|n| n.to_string())).await;
    let mut client = stage.client().await;
    client.subscribe(&session, 10).await;
    for _ in 0..50 {
        client.subscribe(&session, 5).await;
    }
    client.send(json!({"type": "ping"})).await;
    client.frame_of("pong").await;
    stage.world.say(&session, ["live".into()]).await;
    client.send(json!({"type": "unsubscribe", "session_id": session, "id": 1})).await;
    let mut live = 0;
    loop {
        let frame = client.frame().await;
        match frame["type"].as_str() {
            Some("events") => live += numbers_in(&frame).iter().filter(|number| **number == 11).count(),
            Some("reply") => break,
            _ => {}
        }
    }
    assert!(live <= 1, "the live event came {live} times");
    stage.world.say(&session, ["unheard".into()]).await;
    client.send(json!({"type": "ping"})).await;
    assert_eq!(client.frame().await["type"], "pong", "nothing comes after unsubscribe");
    stage.end().await;
}

#[actix::test]
async fn a_session_that_is_unknown_or_not_that_far_is_refused() {
    let stage = Stage::set().await;
    let session = stage.world.make_session().await;
    let mut client = stage.client().await;
    client.subscribe(&SessionId::random(), 0).await;
    let refused = client.frame().await;
    assert_eq!((&refused["ok"], &refused["error"]["code"]), (&json!(false), &json!("NOT_FOUND")));
    client.subscribe(&session, 1).await;
    assert_eq!(client.frame().await["error"]["code"], "VALIDATION_ERROR");
    stage.end().await;
}

#[actix::test]
async fn a_deleted_session_ends_its_subscription_with_a_word() {
    let stage = Stage::set().await;
    let session = stage.world.make_session().await;
    stage.world.say(&session, ["a".into()]).await;
    let mut client = stage.client().await;
    client.subscribe(&session, 0).await;
    client.frame_of("caught_up").await;
    stage.world.log.delete_session(session.clone()).await.expect("deleted");
    assert_eq!(client.frame().await, json!({"type": "session_deleted", "session_id": session}));
    client.subscribe(&session, 0).await;
    assert_eq!(client.frame().await["error"]["code"], "NOT_FOUND");
    stage.end().await;
}

#[actix::test]
async fn the_overview_is_a_snapshot_and_then_what_changes() {
    let stage = Stage::set().await;
    let session = stage.world.make_session().await;
    let approval = stage.world.ask(&session).await;
    let mut client = stage.client().await;
    client.send(json!({"type": "overview"})).await;
    let snapshot = client.frame().await;
    assert_eq!(snapshot["sessions"][0]["id"], session.as_str());
    assert_eq!(snapshot["sessions"][0]["has_pending_permission"], true);
    assert_eq!(snapshot["approvals"][0]["id"], approval.id.as_str());
    assert_eq!(snapshot["condition"], json!({"state": "healthy", "message": null}));

    stage.world.rename(&session, "Retry delay").await;
    assert_eq!(client.frame_of("session").await["session"]["name"], "Retry delay");
    let second = stage.world.ask(&session).await;
    assert_eq!(client.frame_of("approval").await["approval"]["id"], second.id.as_str());
    let other = stage.world.make_session().await;
    assert_eq!(client.frame_of("session").await["session"]["id"], other.as_str());
    stage.world.log.delete_session(other.clone()).await.expect("deleted");
    assert_eq!(client.frame_of("session_deleted").await["session_id"], other.as_str());
    stage.end().await;
}

#[actix::test]
async fn who_is_too_far_behind_the_overview_gets_a_fresh_snapshot() {
    let stage = Stage::set().await;
    let session = stage.world.make_session().await;
    let mut client = stage.client().await;
    client.send(json!({"type": "overview"})).await;
    client.frame_of("overview").await;
    // Nothing is read meanwhile, so the window closes, and more changes come than are kept.
    for change in 0..4_000 {
        stage.world.rename(&session, &format!("name {change}")).await;
    }
    let mut name = String::new();
    let mut snapshots = 0;
    while name != "name 3999" {
        let frame = client.frame().await;
        let session = match frame["type"].as_str() {
            Some("overview") => {
                snapshots += 1;
                &frame["sessions"][0]
            }
            Some("session") => &frame["session"],
            _ => continue,
        };
        name = session["name"].as_str().expect("a name").to_owned();
    }
    assert!(snapshots >= 1, "all 4,000 changes came one by one");
    stage.end().await;
}

#[actix::test]
async fn everybody_hears_goodbye_and_is_closed() {
    let stage = Stage::set().await;
    let mut clients = Vec::new();
    for _ in 0..5 {
        clients.push(stage.client().await);
    }
    stage.sockets.goodbye("the daemon restarts");
    clients.push(stage.client().await);
    for client in &mut clients {
        assert_eq!(client.frame().await, json!({"type": "goodbye", "reason": "the daemon restarts"}));
        let close = client.close_frame().await;
        assert_eq!((u16::from(close.code), close.reason.as_str()), (1012, "the daemon restarts"));
    }
    tokio::time::timeout(PATIENCE, stage.sockets.closed()).await.expect("all are closed");
    stage.end().await;
}
