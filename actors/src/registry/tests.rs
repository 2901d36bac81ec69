//! Supervision, with real actors over a log in memory.

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::agent::AgentSettings;
use crate::domain::approval::{Actor as By, Answer, Scope};
use crate::domain::session::SessionRecord;
use crate::domain::state::SessionState;
use crate::gate::{ApprovalRef, GateError};
use crate::session::{ExternalEvent, SessionSettings, StopForTest};

fn world() -> World {
    let settings = WorldSettings {
        cells: CellSettings {
            session: Arc::new(SessionSettings::default()),
            agent: Arc::new(AgentSettings::default()),
            approval_limit_seconds: None,
        },
        retention: None,
        threads: 1,
    };
    World::open_here(Log::in_memory(), settings).0
}

fn by() -> By {
    By::Person { surface: "api".into(), name: None }
}

async fn external(world: &World) -> SessionId {
    let agent = ExternalAgent { name: "mine".into(), ..ExternalAgent::default() };
    let new = NewSession { external_agent: Some(agent), ..NewSession::default() };
    world.create(new).await.expect("a session").id
}

fn output(text: &str) -> ExternalEvent {
    ExternalEvent::Output { text: text.into(), kind: "step".into(), is_final: None }
}

fn request(id: &str) -> ExternalEvent {
    ExternalEvent::PermissionRequest {
        request_id: Some(id.into()),
        tool_name: "deploy".into(),
        tool_input: serde_json::json!({ "to": "production" }),
        suggestions: None,
    }
}

/// Ends a session's actor and waits until the registry has noticed and built another.
async fn kill(world: &World, session: &SessionId, how: StopForTest) {
    let before = world.cells_replaced();
    let cell = world.cell(session).await.expect("its actors");
    cell.session.do_send(how);
    while world.cells_replaced() == before {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn push(world: &World, session: &SessionId, event: ExternalEvent) {
    // While a cell is being replaced the answer is "try again", as clients are told.
    loop {
        match world.push(session, event.clone()).await {
            Err(SessionError::Restarting) => tokio::time::sleep(Duration::from_millis(5)).await,
            done => return done.expect("taken"),
        }
    }
}

#[actix::test]
async fn a_session_that_panics_comes_back_with_its_state_and_its_open_approval() {
    let world = world();
    let (one, other) = (external(&world).await, external(&world).await);
    push(&world, &one, request("r1")).await;
    push(&world, &other, output("x")).await;
    kill(&world, &one, StopForTest::Panic).await;
    push(&world, &one, output("after")).await;
    push(&world, &other, output("y")).await;
    assert_eq!(world.cells_replaced(), 1, "the other session's actors were not touched");

    let entry = world.read_model().session(&one).expect("the session");
    assert_eq!(entry.record.session.state, SessionState::Running);
    assert_eq!(entry.last_seq, 3, "session_state, permission_request, output");
    let yes = Answer::Allow { scope: Scope::Once, updated_input: None, answers: None, message: None };
    let which = ApprovalRef::Request("r1".into());
    let answered = world.answer(&one, which.clone(), yes.clone(), by()).await.expect("still open");
    assert!(answered.answer.is_some());
    let again = world.answer(&one, which, yes, by()).await;
    assert!(matches!(again, Err(GateError::NotFound(_))), "{again:?}");
}

#[actix::test]
async fn a_session_that_stops_by_itself_is_replaced_too() {
    let world = world();
    let session = external(&world).await;
    push(&world, &session, output("x")).await;
    kill(&world, &session, StopForTest::Stop).await;
    push(&world, &session, output("y")).await;
    assert_eq!(world.read_model().session(&session).map(|entry| entry.last_seq), Some(3));
}

#[actix::test]
async fn a_session_that_keeps_dying_is_held_with_its_cause_in_words() {
    let world = world();
    let session = external(&world).await;
    push(&world, &session, output("x")).await;
    for _ in 0..MAX_DEATHS {
        kill(&world, &session, StopForTest::Panic).await;
    }
    let cell = world.cell(&session).await.expect("its actors");
    cell.session.do_send(StopForTest::Panic);
    let refused = loop {
        match world.push(&session, output("y")).await {
            Err(SessionError::Restarting) | Ok(()) => tokio::time::sleep(Duration::from_millis(5)).await,
            Err(other) => break other,
        }
    };
    let SessionError::Held(words) = refused else { panic!("{refused:?}") };
    assert!(words.contains("asked for by a test"), "{words}");
}

#[actix::test]
async fn a_deleted_session_is_gone_and_its_end_is_no_crash() {
    let world = world();
    let session = external(&world).await;
    push(&world, &session, output("x")).await;
    let refused = world.delete(&session).await;
    assert!(matches!(refused, Err(SessionError::InvalidState(_))), "it is running: {refused:?}");
    push(&world, &session, ExternalEvent::Status("done".into())).await;
    world.delete(&session).await.expect("deleted");
    assert!(world.read_model().session(&session).is_none());
    assert!(matches!(world.push(&session, output("y")).await, Err(SessionError::NotFound)));
    assert!(matches!(world.delete(&session).await, Err(SessionError::NotFound)));
    assert_eq!(world.cells_replaced(), 0);
}

#[test]
fn delays_double_and_then_a_cell_is_tried_only_every_so_often() {
    let delays: Vec<u128> = (1..=6).map(|deaths| replace_delay(deaths).as_millis()).collect();
    assert_eq!(delays, [50, 100, 200, 400, 800, 30_000]);
}

#[test]
fn retention_takes_what_is_over_and_old_and_nothing_that_waits() {
    use crate::domain::time::Stamp;
    let log_session = |state, pending| {
        let session = serde_json::json!({
            "id": "sess_000000000000", "state": "CREATED", "created_at": "2026-01-01T00:00:00Z",
            "last_activity_at": "2026-01-01T00:00:00Z", "directory": "", "directory_has_git": false,
            "message_count": 0, "has_pending_permission": pending,
        });
        let mut record: SessionRecord =
            serde_json::from_value(serde_json::json!({ "session": session })).expect("a record");
        record.session.state = state;
        record
    };
    let now: Stamp = serde_json::from_str("\"2026-01-09T00:00:00Z\"").expect("a stamp");
    let week = Duration::from_secs(7 * 86_400);
    assert!(retention::is_over(&log_session(SessionState::AwaitingInput, false), week, now));
    assert!(!retention::is_over(&log_session(SessionState::Running, false), week, now));
    assert!(!retention::is_over(&log_session(SessionState::AwaitingInput, true), week, now));
    assert!(!retention::is_over(&log_session(SessionState::Error, false), week * 2, now));
    let moved_here_at = Some(now.plus_seconds(-3600));
    let moved = SessionRecord { moved_here_at, ..log_session(SessionState::AwaitingInput, false) };
    assert!(!retention::is_over(&moved, week, now), "it came an hour ago");
    assert!(retention::is_over(&moved, Duration::from_secs(1800), now));
}
