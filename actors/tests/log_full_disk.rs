//! The log on a disk that is really full: a small file system of its own, in a mount namespace that
//! ends with the test.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::json;
use tether_actors::domain::event::{EventDraft, EventType};
use tether_actors::domain::ids::SessionId;
use tether_actors::domain::session::SessionRecord;
use tether_actors::log::{
    Append, Class, Condition, Log, LogConfig, LogError, OpenError, OverviewChange, ReadEvents, Write,
};

const FOLDER: &str = "TETHER_TEST_SMALL_DISK";
const MIB: u64 = 1 << 20;

fn record(id: &SessionId) -> Write {
    let stamp = "2026-01-02T03:04:05Z";
    let session = json!({
        "id": id, "state": "RUNNING", "created_at": stamp, "last_activity_at": stamp, "directory": "/p",
        "directory_has_git": false, "message_count": 0, "has_pending_permission": false,
    });
    let record: SessionRecord = serde_json::from_value(json!({ "session": session })).expect("a record");
    Write::Session(Box::new(record))
}

fn events(id: &SessionId, class: Class) -> Append {
    let draft = EventDraft::new(EventType::Output, json!({ "text": "x".repeat(2_000) }));
    Append { session: id.clone(), drafts: vec![draft; 20], writes: vec![], class }
}

/// Appends until it is refused; answers the last number acknowledged and the refusal.
async fn fill(log: &Log, id: &SessionId, class: Class) -> (u64, LogError) {
    loop {
        if let Err(error) = log.append(events(id, class)).await {
            return (log.read_model.last_seq(id).expect("it is there"), error);
        }
    }
}

async fn healthy(log: &Log, wanted: fn(&Condition) -> bool) {
    let mut overview = log.read_model.overview();
    let reached = async {
        while !wanted(&log.read_model.condition()) {
            let change = overview.recv().await;
            assert!(matches!(change, Ok(OverviewChange::Condition(_))), "{change:?}");
        }
    };
    tokio::time::timeout(Duration::from_secs(20), reached).await.expect("it gets there");
}

async fn count(log: &Log, id: &SessionId) -> u64 {
    let mut follower = log.follow(id.clone(), 0);
    while !follower.caught_up() {
        follower.next().await.expect("it reads");
    }
    follower.cursor()
}

/// Not a test of its own: runs on the small disk that the test below mounts.
#[actix::test]
async fn on_the_small_disk() {
    let Ok(disk) = std::env::var(FOLDER) else { return };
    let (disk, filler) = (Path::new(&disk), Path::new(&disk).join("filler"));
    let config = LogConfig { path: disk.join("data"), floor_bytes: 10 * MIB, reserve_bytes: 4 * MIB };
    let reserve = config.path.join("reserve");
    let (log, handle) = Log::open(config.clone()).await.expect("it opens");
    assert!(reserve.exists());
    let id = SessionId::random();
    let class = Class::Work;
    log.append(Append { session: id.clone(), drafts: vec![], writes: vec![record(&id)], class })
        .await
        .expect("it is made");

    // Below the floor new work is refused, and what must go on goes on.
    std::fs::write(&filler, vec![1; 20 << 20]).expect("there is room");
    let (_, refused) = fill(&log, &id, Class::Work).await;
    assert!(matches!(refused, LogError::DiskFull { floor_mib: 10, .. }), "{refused:?}");
    healthy(&log, |condition| matches!(condition, Condition::LowOnDisk { .. })).await;
    assert!(reserve.exists());
    let (last, failed) = fill(&log, &id, Class::Essential).await;
    // It went on, on the reserve, until only the last room was left; the store never met the full disk.
    assert!(!reserve.exists());
    assert!(matches!(failed, LogError::DiskFull { .. }), "{failed:?}");
    assert!(matches!(log.read_model.condition(), Condition::LowOnDisk { .. }));
    let newest = ReadEvents { session: id.clone(), after: last - 5, limit: 10, max_bytes: 1 << 20 };
    assert_eq!(log.read_events(newest).await.expect("it still reads").len(), 5);

    // It recovers by itself when there is room, and nothing of the refused append is there.
    std::fs::remove_file(&filler).expect("it is removed");
    healthy(&log, |condition| *condition == Condition::Healthy).await;
    assert_eq!(count(&log, &id).await, last);
    let committed = log.append(events(&id, Class::Work)).await.expect("there is room");
    assert_eq!(committed.last_seq, last + 20);
    tokio::time::timeout(Duration::from_secs(10), async {
        while !reserve.exists() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
    .expect("the reserve is set aside again");
    log.drain().await.expect("it drains");
    handle.stop().await;

    // A full disk at the start: what is there opens, if need be with the room of the reserve.
    fill_up(&filler);
    let (log, handle) = Log::open(config.clone()).await.expect("the reserve makes room");
    assert_eq!(count(&log, &id).await, last + 20);
    handle.stop().await;

    // A new store surely needs room: it takes that of a reserve, and without one the error says what to do.
    let fresh = LogConfig { path: disk.join("fresh"), ..config.clone() };
    let reserve = fresh.path.join("reserve");
    std::fs::remove_file(&filler).expect("it is removed");
    std::fs::create_dir(&fresh.path).expect("it is made");
    std::fs::write(&reserve, vec![1; 4 << 20]).expect("there is room");
    fill_up(&filler);
    let (_log, handle) = Log::open(fresh.clone()).await.expect("the reserve makes room");
    assert!(!reserve.exists());
    handle.stop().await;
    std::fs::remove_dir_all(&fresh.path).expect("it is removed");
    std::fs::create_dir(&fresh.path).expect("it is made");
    fill_up(&filler);
    let refused = Log::open(fresh).await.map(|_| ()).expect_err("there is no room at all");
    assert!(matches!(refused, OpenError::NoRoom { .. }), "{refused:?}");
    println!("small disk: done");
}

/// Takes all the room that is left.
fn fill_up(filler: &Path) {
    use std::io::Write;
    let file = std::fs::OpenOptions::new().create(true).append(true).open(filler);
    let mut file = file.expect("it opens");
    for size in [1 << 16, 1 << 12, 1] {
        while file.write_all(&vec![1; size]).is_ok() {}
    }
}

#[test]
fn a_full_disk_refuses_new_work_keeps_what_is_there_and_is_got_over() {
    let folder = tempfile::tempdir().expect("a folder");
    let script = r#"mount -t tmpfs -o size=48m tmpfs "$1" || exit 77
        exec "$2" --exact on_the_small_disk --nocapture"#;
    let output = Command::new("unshare")
        .args(["--mount", "--map-root-user", "sh", "-c", script, "sh"])
        .arg(folder.path())
        .arg(std::env::current_exe().expect("we are a program"))
        .env(FOLDER, folder.path())
        .output();
    let output = match output {
        Ok(output) => output,
        Err(error) => return eprintln!("skipped: no mount namespaces here ({error})"),
    };
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if !output.status.success() && !out.contains("running 1 test") {
        return eprintln!("skipped: cannot mount a small disk here ({err})");
    }
    assert!(output.status.success() && out.contains("small disk: done"), "{out}\n{err}");
}
