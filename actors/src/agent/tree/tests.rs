use std::path::Path;

use super::super::processes::identity_of;
use super::super::program::Program;
use super::super::protocol::Launch;
use super::super::spool::Spool;
use super::*;

/// A program of a run that starts other processes.
struct Rig {
    home: tempfile::TempDir,
    run: RunId,
    program: Program,
}

impl Drop for Rig {
    /// A test that failed must not leave processes behind.
    fn drop(&mut self) {
        for id in bearers(&self.run, Some(self.program.identity())) {
            send(id, Signal::KILL);
        }
    }
}

impl Rig {
    /// Starts the script. In it `note` writes down the process id that it is given; at the end of it the
    /// script says that it is done and goes on for a minute.
    fn start(script: &str) -> Self {
        let home = tempfile::tempdir().expect("a folder");
        let spool = Spool::create(&home.path().join("spool")).expect("a spool");
        let run = RunId::random();
        let whole = format!("note() {{ echo $1 >> pids; }}\n{script}\n: > done\nwhile :; do sleep 60; done");
        let launch =
            Launch { program: "/bin/sh".into(), args: vec!["-c".into(), whole], ..Launch::default() };
        let program = Program::spawn(&launch, home.path(), &run, &spool, &[]).expect("sh starts");
        Self { home, run, program }
    }

    /// Waits until the script has done its part and `count` processes are noted; who they are.
    async fn noted(&self, count: usize) -> Vec<Identity> {
        let path = self.home.path();
        let all = async {
            while !path.join("done").exists() || pids(path).len() < count {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), all).await.expect("the script does its part");
        pids(path).into_iter().map(|pid| identity_of(pid).expect("it runs")).collect()
    }

    async fn end(&self, root: Option<Identity>, grace: Duration) -> Ended {
        end_tree(&self.run, root, grace).await
    }

    fn root(&self) -> Option<Identity> {
        Some(self.program.identity())
    }
}

fn pids(home: &Path) -> Vec<u32> {
    let text = std::fs::read_to_string(home.join("pids")).unwrap_or_default();
    text.lines().filter_map(|line| line.trim().parse().ok()).collect()
}

fn all_dead(processes: &[Identity]) -> bool {
    processes.iter().all(|id| !is_alive(*id))
}

/// Long enough that a test fails by its assertions when something waits for it to pass.
const LONG: Duration = Duration::from_secs(30);

#[tokio::test]
async fn a_shell_ends_with_its_background_children_and_without_a_kill() {
    let mut rig = Rig::start("sleep 60 & note $!; (sleep 60 & note $!; wait) & note $!");
    let children = rig.noted(3).await;
    let began = Instant::now();
    let ended = rig.end(rig.root(), LONG).await;
    // The shell waits for one more sleeper that nobody noted.
    assert!(ended.found >= 5, "{ended:?}");
    assert_eq!((ended.killed, ended.survivors.len()), (0, 0));
    assert!(all_dead(&children));
    assert!(began.elapsed() < LONG, "it did not wait for the grace to pass");
    assert_eq!(rig.program.ended().await.signal, Some(15));
}

#[tokio::test]
async fn children_in_sessions_of_their_own_end_too() {
    let rig = Rig::start(
        "setsid sh -c 'echo $$ >> pids; exec sleep 60' & setsid -f sh -c 'echo $$ >> pids; exec sleep 60'",
    );
    let children = rig.noted(2).await;
    assert!(
        children.iter().all(|id| super::super::processes::entry(id.pid).is_some_and(|e| e.session == id.pid))
    );
    let ended = rig.end(rig.root(), LONG).await;
    assert_eq!(ended.survivors, []);
    assert!(all_dead(&children));
}

#[tokio::test]
async fn a_daemon_that_left_the_tree_is_found_by_its_marker_also_when_the_program_is_gone() {
    // Twice forked, in a session of its own, its parents ended.
    let mut rig = Rig::start("(setsid sh -c '(sleep 60 & echo $! >> pids) &' &)");
    let daemons = rig.noted(1).await;
    let orphaned = async {
        loop {
            let parent = super::super::processes::entry(daemons[0].pid).expect("it runs").parent;
            let parent = super::super::processes::entry(parent).map(|entry| entry.id);
            if !bearers(&rig.run, rig.root()).iter().any(|id| Some(*id) == parent) {
                break;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LONG, orphaned).await.expect("its parents end");
    rig.program.kill();
    rig.program.ended().await;
    let root = rig.root();
    for root in [None, root] {
        assert!(bearers(&rig.run, root).contains(&daemons[0]), "{root:?}");
    }
    // As after a crash of the daemon, when not even the program's id is known.
    let ended = rig.end(None, LONG).await;
    assert_eq!(ended.survivors, []);
    assert!(all_dead(&daemons));
}

#[tokio::test]
async fn what_ignores_the_request_to_end_is_killed_after_the_grace() {
    let rig = Rig::start(
        "(trap '' TERM; echo ready >> ready; while :; do sleep 60; done) & note $!; while ! [ -e ready ]; do :; done",
    );
    let stubborn = rig.noted(1).await;
    let began = Instant::now();
    let ended = rig.end(rig.root(), Duration::from_millis(200)).await;
    assert!(began.elapsed() >= Duration::from_millis(200));
    assert!(ended.killed >= 1, "{ended:?}");
    assert_eq!(ended.survivors, []);
    assert!(all_dead(&stubborn));
}

#[tokio::test]
async fn without_grace_everything_is_killed_at_once() {
    let rig = Rig::start("sleep 60 & note $!");
    let children = rig.noted(1).await;
    let ended = rig.end(rig.root(), Duration::ZERO).await;
    assert_eq!((ended.killed, ended.survivors.len()), (ended.found, 0));
    assert!(ended.found >= 2);
    assert!(all_dead(&children));
}

#[tokio::test]
async fn a_child_without_the_marker_is_found_by_its_descent_and_by_its_session() {
    // The second one has lost its parent and only its session tells of it.
    let rig = Rig::start("env -i /bin/sleep 60 & note $!; (env -i /bin/sleep 60 & note $!)");
    let bare = rig.noted(2).await;
    // Until `env` has become `sleep` it still has the marker.
    let marker = format!("{RUN_MARKER}={}", rig.run);
    tokio::time::timeout(LONG, async {
        while bare.iter().any(|id| carries(id.pid, &marker)) {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("their environment is empty");
    let ended = rig.end(rig.root(), LONG).await;
    assert_eq!(ended.survivors, []);
    assert!(all_dead(&bare));
}

#[tokio::test]
async fn a_process_that_starts_another_while_it_is_ended_does_not_get_away() {
    let rig = Rig::start(
        "setsid sh -c 'trap \"setsid -f sleep 61\" TERM; : > ready; while :; do sleep 0.01; done' & \
         while ! [ -e ready ]; do :; done",
    );
    rig.noted(0).await;
    let ended = rig.end(rig.root(), Duration::from_millis(300)).await;
    assert_eq!(ended.survivors, []);
    assert_eq!(bearers(&rig.run, rig.root()), []);
}

#[tokio::test]
async fn another_run_and_this_process_are_left_alone() {
    let (rig, other) = (Rig::start("sleep 60 & note $!"), Rig::start("sleep 60 & note $!"));
    let (ours, theirs) = (rig.noted(1).await, other.noted(1).await);
    let ended = rig.end(rig.root(), LONG).await;
    assert_eq!(ended.survivors, []);
    assert!(all_dead(&ours));
    assert!(theirs.iter().chain(&other.root()).all(|id| is_alive(*id)));
    assert_eq!(rig.end(rig.root(), LONG).await, Ended::default(), "nothing is left to end");
}

#[test]
fn a_daemon_below_the_run_spares_itself_and_what_is_below_it() {
    let entry = |pid, parent, session| Entry {
        id: Identity { pid, started: u64::from(pid) },
        parent,
        session,
        ended: false,
    };
    // The agent 10 started a shell 11, which started the daemon 12; its children are 13 and 14.
    let mut table = vec![
        entry(1, 0, 1),
        entry(10, 1, 10),
        entry(11, 10, 10),
        entry(12, 11, 12),
        entry(13, 12, 13),
        entry(14, 13, 12),
    ];
    let ended_by = |table: &[Entry]| -> Vec<u32> {
        belonging(table, 12, |entry| entry.id.pid == 10).iter().map(|id| id.pid).collect()
    };
    assert_eq!(ended_by(&table), [10, 11]);
    // A session outlives its leader, collected or not, and a program that ended is not ended again.
    table.push(entry(15, 1, 10));
    table[1].ended = true;
    assert_eq!(ended_by(&table), [11, 15]);
}
