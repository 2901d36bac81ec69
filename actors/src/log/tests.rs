//! The log through its messages, on a memory disk.

use serde_json::{Value, json};

use crate::domain::approval::{Approval, ApprovalState, Grant, Outcome};
use crate::domain::device::Device;
use crate::domain::event::{Envelope, EventDraft, EventType, Frame};
use crate::domain::ids::SessionId;
use crate::domain::session::{Input, RunRecord, SessionRecord};

use super::keys::Kind;
use super::*;

pub(super) fn record(id: &SessionId) -> SessionRecord {
    let stamp = "2026-01-02T03:04:05Z";
    let session = json!({
        "id": id, "state": "CREATED", "created_at": stamp, "last_activity_at": stamp, "directory": "/p",
        "directory_has_git": false, "message_count": 0, "has_pending_permission": false,
    });
    serde_json::from_value(json!({ "session": session })).expect("a record")
}

fn approval(session: &SessionId, id: &str) -> Approval {
    serde_json::from_value(json!({
        "id": id, "session_id": session, "request_id": id, "request": id, "kind": "tool",
        "tool_name": "Bash", "tool_input": {"command": "ls"}, "title": "ls", "directory": "/p",
        "questions": [], "can_change_input": false, "turn": 1, "state": "open",
        "requested_at": "2026-01-02T03:04:05Z",
    }))
    .expect("an approval")
}

pub(super) fn drafts(texts: &[&str]) -> Vec<EventDraft> {
    texts.iter().map(|text| EventDraft::new(EventType::Output, json!({ "text": text }))).collect()
}

pub(super) fn append(session: &SessionId, drafts: Vec<EventDraft>, writes: Vec<Write>) -> Append {
    Append { session: session.clone(), drafts, writes, class: Class::Work }
}

pub(super) async fn make(log: &Log) -> SessionId {
    let id = SessionId::random();
    let made = append(&id, vec![], vec![Write::Session(Box::new(record(&id)))]);
    assert_eq!(log.append(made).await, Ok(Committed { last_seq: 0 }));
    id
}

pub(super) fn read(session: &SessionId, after: u64) -> ReadEvents {
    ReadEvents { session: session.clone(), after, limit: 1_000, max_bytes: usize::MAX }
}

fn texts(frames: &[Frame]) -> Vec<(u64, Value)> {
    let envelope = |frame: &Frame| serde_json::from_slice::<Envelope>(&frame.json).expect("an envelope");
    frames.iter().map(envelope).map(|event| (event.seq, event.data["text"].clone())).collect()
}

async fn add(log: &Log, session: &SessionId, text: &str) -> Result<Committed, LogError> {
    log.append(append(session, drafts(&[text]), vec![])).await
}

async fn write(log: &Log, session: &SessionId, write: Write) {
    log.append(append(session, vec![], vec![write])).await.expect("it is written");
}

#[actix::test]
async fn events_are_numbered_from_one_in_each_session_and_read_back() {
    let log = Log::in_memory();
    let (a, b) = (make(&log).await, make(&log).await);
    let two = append(&a, drafts(&["a1", "a2"]), vec![]);
    let (a2, b1, a3) = tokio::join!(log.append(two), add(&log, &b, "b1"), add(&log, &a, "a3"));
    assert_eq!((a2, b1), (Ok(Committed { last_seq: 2 }), Ok(Committed { last_seq: 1 })));
    assert_eq!(a3, Ok(Committed { last_seq: 3 }));
    let frames = log.read_events(read(&a, 1)).await.expect("it reads");
    assert_eq!(texts(&frames), [(2, json!("a2")), (3, json!("a3"))]);
    assert_eq!(log.read_model.last_seq(&a), Some(3));
    let limited = ReadEvents { limit: 1, ..read(&a, 0) };
    assert_eq!(texts(&log.read_events(limited).await.expect("it reads")), [(1, json!("a1"))]);
    let tiny = ReadEvents { max_bytes: 1, ..read(&a, 0) };
    assert_eq!(log.read_events(tiny).await.expect("it reads").len(), 1, "one at least");
    assert_eq!(log.read_events(read(&SessionId::random(), 0)).await, Ok(vec![]));
}

#[actix::test]
async fn what_waits_together_is_committed_together() {
    let disk = MemoryDisk::default();
    let log = Log::on_memory(disk.clone()).expect("memory opens");
    let id = make(&log).await;
    let before = disk.commits();
    let all = futures_util::future::join_all((0..100).map(|_| add(&log, &id, "x"))).await;
    assert_eq!(all.last(), Some(&Ok(Committed { last_seq: 100 })));
    assert!(disk.commits() - before < 20, "{} commits", disk.commits() - before);
}

#[actix::test]
async fn a_session_comes_back_whole_from_another_start() {
    let disk = MemoryDisk::default();
    let log = Log::on_memory(disk.clone()).expect("memory opens");
    let (first, second) = (make(&log).await, make(&log).await);
    let grant: Grant = serde_json::from_value(json!({
        "id": "grant_00000001", "session_id": second, "covers": "all",
        "created_at": "2026-01-02T03:04:05Z", "created_by": {"type": "person", "surface": "cli"},
    }))
    .expect("a grant");
    let input = |id: &str| -> Input {
        let stamp = "2026-01-02T03:04:05Z";
        let input = json!({"id": id, "text": "hi", "state": "queued", "created_at": stamp});
        serde_json::from_value(input).expect("an input")
    };
    let run: RunRecord = serde_json::from_value(json!({
        "run": "run_0000000000000001", "protocol": "claude", "offset": 5, "protocol_state": {"a": 1},
        "resumed": false, "created_at": "2026-01-02T03:04:05Z",
    }))
    .expect("a run");
    let (older, newer) = (approval(&second, "perm_ffffffffffff"), approval(&second, "perm_000000000000"));
    let settled = Approval {
        state: ApprovalState::Denied,
        outcome: Some(Outcome::Refused),
        ..approval(&second, "perm_111111111111")
    };
    let writes = vec![
        Write::Approval(Box::new(older.clone())),
        Write::Approval(Box::new(newer.clone())),
        Write::Approval(Box::new(approval(&second, "perm_111111111111"))),
        Write::Approval(Box::new(settled.clone())),
        Write::Grant(grant.clone()),
        Write::Grant(Grant { id: "grant_00000002".into(), ..grant.clone() }),
        Write::GrantEnd("grant_00000002".into()),
        Write::Input(Box::new(input("2"))),
        Write::Input(Box::new(input("1"))),
        Write::Input(Box::new(input("0"))),
        Write::InputEnd("0".into()),
        Write::Run(Box::new(run.clone())),
    ];
    log.append(append(&second, drafts(&["x"]), writes)).await.expect("it is written");
    let before = (log.read_model.sessions(), log.read_model.open_approvals());

    let again = Log::on_memory(disk).expect("memory opens");
    let loaded = again.load_session(second.clone()).await.expect("it loads").expect("it is there");
    assert_eq!(loaded.last_seq, 1);
    assert_eq!(loaded.approvals, [older.clone(), newer.clone()], "as asked, the settled one left out");
    assert_eq!(loaded.grants, [grant]);
    assert_eq!(loaded.inputs, [input("1"), input("2")]);
    assert_eq!(loaded.run, Some(run));
    assert!(loaded.record.session.has_pending_permission);
    assert_eq!((again.read_model.sessions(), again.read_model.open_approvals()), before);
    let order: Vec<_> = again.read_model.sessions().into_iter().map(|session| session.id).collect();
    assert_eq!(order, [first, second.clone()], "in the order of creation");
    let list = again.list_approvals(None, 2).await.expect("it lists");
    assert_eq!(list, [settled.clone(), newer.clone()], "newest first");
    let list = again.list_approvals(Some(second.clone()), 10).await.expect("it lists");
    assert_eq!(list, [settled.clone(), newer, older]);
    assert_eq!(again.find_approval(settled.id.clone()).await, Ok(Some(settled)));
    write(&again, &second, Write::RunEnd).await;
    let loaded = again.load_session(second).await.expect("it loads").expect("it is there");
    assert_eq!(loaded.run, None);
}

#[actix::test]
async fn an_open_approval_shows_in_its_session_and_in_the_overview_until_it_is_answered() {
    let log = Log::in_memory();
    let id = make(&log).await;
    let mut overview = log.read_model.overview();
    let mut asked = approval(&id, "perm_000000000001");
    write(&log, &id, Write::Approval(Box::new(asked.clone()))).await;
    assert!(log.read_model.sessions()[0].has_pending_permission);
    assert_eq!(log.read_model.session(&id).map(|entry| entry.pending), Some(1));
    assert_eq!(log.read_model.open_approval(&asked.id).as_deref(), Some(&asked));
    assert_eq!(log.read_model.open_in(&id).len(), 1);
    let change = overview.try_recv().expect("a change");
    assert!(matches!(change, OverviewChange::Session(session) if session.has_pending_permission));
    let change = overview.try_recv().expect("a change");
    assert!(matches!(change, OverviewChange::Approval(approval) if *approval == asked));

    asked.state = ApprovalState::Allowed;
    write(&log, &id, Write::Approval(Box::new(asked.clone()))).await;
    assert!(!log.read_model.sessions()[0].has_pending_permission);
    assert_eq!(log.read_model.open_approvals(), []);
    let change = overview.try_recv().expect("a change");
    assert!(matches!(change, OverviewChange::Session(session) if !session.has_pending_permission));
}

#[actix::test]
async fn a_deleted_session_leaves_nothing_and_cannot_be_written_to() {
    let disk = MemoryDisk::default();
    let log = Log::on_memory(disk.clone()).expect("memory opens");
    let empty = disk.entries();
    let (gone, kept) = (make(&log).await, make(&log).await);
    let many: Vec<EventDraft> = (0..1_700).flat_map(|_| drafts(&["x"])).collect();
    let asked = approval(&gone, "perm_000000000001");
    let writes = vec![Write::Approval(Box::new(asked.clone())), Write::Session(Box::new(record(&gone)))];
    log.append(append(&gone, many, writes)).await.expect("it is written");
    add(&log, &kept, "stays").await.expect("it is written");
    let mut overview = log.read_model.overview();
    let mut follower = log.follow(gone.clone(), 1_700);

    let again = append(&gone, vec![], vec![Write::Session(Box::new(record(&gone)))]);
    let (deleted, late, again) =
        tokio::join!(log.delete_session(gone.clone()), add(&log, &gone, "late"), log.append(again));
    assert_eq!(deleted, Ok(true));
    assert_eq!(late, Err(LogError::NoSession(gone.clone())));
    assert_eq!(again, Err(LogError::NoSession(gone.clone())), "not while it is being removed");
    assert_eq!(log.delete_session(gone.clone()).await, Ok(false));
    assert_eq!(follower.next().await, Err(FollowError::SessionDeleted(gone.clone())));
    assert!(matches!(overview.try_recv(), Ok(OverviewChange::SessionDeleted(id)) if id == gone));
    assert!(log.read_model.session(&gone).is_none());
    assert_eq!(log.find_approval(asked.id).await, Ok(None));
    assert_eq!(log.list_approvals(None, 10).await, Ok(vec![]));

    let left =
        || disk.entries().into_iter().filter(|(key, _)| keys::split(key).is_some_and(|(id, _)| id == gone));
    while log.store_stats().await.expect("it answers").deletions_left > 0 {}
    assert_eq!(left().count(), 0);
    log.delete_session(kept).await.expect("it is deleted");
    while log.store_stats().await.expect("it answers").deletions_left > 0 {}
    let mut entries = disk.entries();
    entries.retain(|(key, _)| *key != keys::meta("deleted"));
    assert_eq!(entries, empty);
}

#[actix::test]
async fn a_deletion_that_was_cut_short_is_finished_at_the_next_start() {
    let disk = MemoryDisk::default();
    let log = Log::on_memory(disk.clone()).expect("memory opens");
    let id = make(&log).await;
    let many: Vec<EventDraft> = (0..1_200).flat_map(|_| drafts(&["x"])).collect();
    log.append(append(&id, many, vec![])).await.expect("it is written");
    // The answer comes with the mark, before the first slice.
    log.delete_session(id.clone()).await.expect("it is deleted");
    disk.fail(MemoryFault::Full);
    for _ in 0..20 {
        let _ = log.list_devices().await;
    }
    let left = |kind: Kind| disk.entries().iter().filter(|(key, _)| kind.is_of(key)).count();
    assert!(left(Kind::Tombstone) == 1 && left(Kind::Event) > 0);

    disk.heal();
    let again = Log::on_memory(disk.clone()).expect("memory opens");
    assert!(again.read_model.sessions().is_empty());
    while again.store_stats().await.expect("it answers").deletions_left > 0 {}
    assert_eq!((left(Kind::Tombstone), left(Kind::Event)), (0, 0));
}

#[actix::test]
async fn a_failed_commit_is_told_to_all_did_not_happen_and_is_got_over() {
    for fault in [MemoryFault::Full, MemoryFault::UnsureSync, MemoryFault::Gone] {
        let disk = MemoryDisk::default();
        let log = Log::on_memory(disk.clone()).expect("memory opens");
        let id = make(&log).await;
        add(&log, &id, "kept").await.expect("it is written");
        let mut overview = log.read_model.overview();
        let entries_before = disk.entries();
        disk.fail(fault);
        let mut renamed = record(&id);
        renamed.session.name = Some("new".into());
        let other = SessionId::random();
        let (a, b, c) = tokio::join!(
            log.append(append(&id, drafts(&["lost"]), vec![Write::Session(Box::new(renamed))])),
            add(&log, &id, "lost, too"),
            log.append(append(&other, vec![], vec![Write::Session(Box::new(record(&other)))])),
        );
        for outcome in [a, b, c] {
            assert!(matches!(outcome, Err(LogError::Storage(_))), "{fault:?}: {outcome:?}");
        }
        assert!(matches!(log.read_model.condition(), Condition::Failing(_)));
        assert!(matches!(overview.try_recv(), Ok(OverviewChange::Condition(Condition::Failing(_)))));
        assert!(matches!(add(&log, &id, "refused").await, Err(LogError::Storage(_))));
        assert!(log.load_session(id.clone()).await.is_err(), "what is not surely on disk is not shown");
        assert_eq!(texts(&log.read_events(read(&id, 0)).await.expect("it reads")), [(1, json!("kept"))]);

        disk.heal();
        let recovered = overview.recv().await;
        assert_eq!(recovered, Ok(OverviewChange::Condition(Condition::Healthy)), "{fault:?}");
        let mut entries = disk.entries();
        entries.retain(|(key, _)| *key != keys::meta("probe"));
        assert_eq!(entries, entries_before, "{fault:?}: as if it had not happened");
        assert_eq!(add(&log, &id, "after").await, Ok(Committed { last_seq: 2 }));
        let loaded = log.load_session(id.clone()).await.expect("it loads").expect("it is there");
        assert_eq!(loaded.record.session.name, None);
        assert_eq!(log.read_model.sessions().len(), 1);
    }
}

#[actix::test]
async fn an_append_to_no_session_is_refused_and_an_id_of_another_shape_is_none() {
    let log = Log::in_memory();
    let nobody = SessionId::random();
    assert_eq!(add(&log, &nobody, "x").await, Err(LogError::NoSession(nobody)));
    for odd in ["", "sess_", "sess_0123456789aZ", "sess_0123456789abc", "../../etc/passwd1"] {
        let id = SessionId::from(odd);
        let make = append(&id, vec![], vec![Write::Session(Box::new(record(&id)))]);
        assert_eq!(log.append(make).await, Err(LogError::NoSession(id)));
    }
}

#[actix::test]
async fn after_a_drain_all_is_there_and_appends_are_refused() {
    let disk = MemoryDisk::default();
    let log = Log::on_memory(disk.clone()).expect("memory opens");
    let id = make(&log).await;
    let waiting = (0..50).map(|_| add(&log, &id, "x"));
    let (all, drained) = tokio::join!(futures_util::future::join_all(waiting), log.drain());
    assert_eq!(drained, Ok(()));
    assert!(all.iter().all(Result::is_ok));
    assert_eq!(add(&log, &id, "late").await, Err(LogError::Closed));
    let events = disk.entries().iter().filter(|(key, _)| Kind::Event.is_of(key)).count();
    assert_eq!(events, 50);
}

#[actix::test]
async fn devices_are_kept_listed_and_forgotten() {
    let disk = MemoryDisk::default();
    let log = Log::on_memory(disk.clone()).expect("memory opens");
    let device = |id: &str, second| Device {
        id: id.into(),
        name: "phone".into(),
        token_hash: "00".into(),
        created_at: crate::domain::time::Stamp::from_unix(second),
        last_seen_at: None,
    };
    log.put_device(device("dev_2", 1)).await.expect("it is stored");
    log.put_device(device("dev_1", 2)).await.expect("it is stored");
    let again = Log::on_memory(disk).expect("memory opens");
    let devices = again.list_devices().await.expect("it lists");
    assert_eq!(devices, [device("dev_2", 1), device("dev_1", 2)], "oldest first");
    assert_eq!(again.delete_device("dev_2".into()).await, Ok(true));
    assert_eq!(again.delete_device("dev_2".into()).await, Ok(false));
    assert_eq!(again.list_devices().await, Ok(vec![device("dev_1", 2)]));
}
