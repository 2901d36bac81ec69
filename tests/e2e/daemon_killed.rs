//! `kill -9` of the daemon at chosen points: the agent goes on, nothing is lost, nothing is done twice.

use serde_json::json;

use crate::harness::stage::{agent_pid, appends, lasts};
use crate::harness::{Stage, Transcript, cli, eventually, lines, process};

#[tokio::test]
async fn killed_in_mid_stream_it_goes_on_with_the_same_agent_and_loses_no_word() {
    let stage = &mut Stage::with_agents().await;
    let (_, mut seen) = stage.started("STREAM 100 a\nHOLD one\nSTREAM 100 b\nHOLD two\nSAY over").await;
    stage.model().held("one").await;
    seen.until("some text was shown", 20, |events| events.iter().any(|event| event.kind == "output")).await;
    let pid = agent_pid(&seen.events);

    stage.daemon.kill9();
    stage.model().release("one").await;
    stage.model().held("two").await; // the agent went on alone
    assert!(process::alive(pid));
    stage.daemon.start().await;
    stage.model().release("two").await;
    seen.idle(1, 30).await;

    assert_eq!(agent_pid(&seen.events), pid);
    assert_eq!(seen.of("agent_started").len(), 1);
    let said = seen.said();
    assert_eq!((said.matches("a ").count(), said.matches("b ").count()), (100, 100), "{said:?}");
    assert_eq!(said.matches("over").count(), 1);
    seen.check_against_replay().await;
}

#[tokio::test]
async fn killed_while_a_question_waits_it_asks_the_same_question_again_and_the_command_runs_once() {
    let stage = &mut Stage::with_agents().await;
    let file = stage.file("out");
    let (id, mut seen) = stage.started(&format!("{}\nSAY over", appends("x", &file))).await;
    let ask = seen.asked(0).await;
    let pid = agent_pid(&seen.events);

    stage.daemon.kill9_and_restart().await;
    let open = stage.api.open_approvals(&id).await;
    assert_eq!(open.len(), 1);
    assert_eq!(open[0]["id"], ask.data["approval_id"]);
    assert_eq!(stage.api.session(&id).await["state"], "RUNNING");
    assert_eq!(stage.api.session(&id).await["has_pending_permission"], true);

    stage.api.allow(ask.text("approval_id")).await;
    seen.idle(1, 30).await;
    assert_eq!(lines(&file), ["x"]);
    assert_eq!(agent_pid(&seen.events), pid);
    assert_eq!(seen.of("permission_request").len(), 1);
    seen.check_against_replay().await;
}

#[tokio::test]
async fn killed_as_soon_as_the_agent_runs_it_gives_it_the_prompt_afterwards_and_once() {
    let stage = &mut Stage::with_agents().await;
    let (_, mut seen) = stage.started("SAY hello").await;
    seen.next("agent_started", 0, 20).await;
    stage.daemon.kill9_and_restart().await;
    seen.idle(1, 40).await;
    assert_eq!(seen.said().matches("hello").count(), 1);
    assert_eq!(seen.of("agent_started").len(), 1);
    assert_eq!(stage.model().requests().len(), 1);
}

#[tokio::test]
async fn what_the_agent_asked_while_the_daemon_was_dead_is_asked_afterwards() {
    let stage = &mut Stage::with_agents().await;
    let file = stage.file("out");
    let (_, mut seen) = stage.started(&format!("SAY a\nHOLD gate\n{}", appends("x", &file))).await;
    stage.model().held("gate").await;
    seen.next("agent_started", 0, 10).await;
    stage.daemon.kill9();
    stage.model().release("gate").await;
    let model = stage.model();
    eventually("the model has answered the agent", 20, || async {
        (!model.requests().is_empty()).then_some(())
    })
    .await;
    stage.daemon.start().await;
    let ask = seen.asked(0).await;
    stage.api.allow(ask.text("approval_id")).await;
    seen.idle(1, 30).await;
    assert_eq!(lines(&file), ["x"]);
}

#[tokio::test]
async fn a_turn_that_ended_while_the_daemon_was_dead_is_told_afterwards_and_what_waited_is_sent() {
    let stage = &mut Stage::with_agents().await;
    let (id, mut seen) = stage.started("SAY a\nHOLD gate\nSAY first over").await;
    stage.model().held("gate").await;
    stage.api.input(&id, "SAY second over").await;
    stage.daemon.kill9();
    stage.model().release("gate").await;
    stage.daemon.start().await;
    seen.idle(2, 30).await;
    assert_eq!(seen.said().matches("first over").count(), 1);
    assert_eq!(seen.said().matches("second over").count(), 1);
    seen.check_against_replay().await;
}

/// A question is open, the daemon is killed and lives again with a fault; somebody answers; whatever
/// happens at the fault, after a clean start the command runs exactly once. An answer that was durable at the
/// fault is not given again.
async fn an_answer_survives(fault: &str, durable: bool) {
    let stage = &mut Stage::with_agents().await;
    let file = stage.file("out");
    let (_, mut seen) = stage.started(&format!("{}\nSAY over", appends("x", &file))).await;
    let ask = seen.asked(0).await;
    let approval = ask.text("approval_id").to_owned();
    let pid = agent_pid(&seen.events);

    stage.daemon.kill9();
    if stage.daemon.start_with_fault(fault).await {
        let path = format!("/api/approvals/{approval}/answer");
        // The daemon may die before it answers, so both outcomes are right here.
        let _ = stage.api.attempt(reqwest::Method::POST, &path, Some(json!({ "decision": "allow" }))).await;
        stage.daemon.ended(20).await;
    }
    seen.disconnect();
    stage.daemon.start().await;
    if !durable {
        stage.api.allow(&approval).await; // the first answer or the same again: both succeed
    }
    seen.idle(1, 30).await;
    stage.api.allow(&approval).await; // the same again succeeds and does nothing
    assert_eq!(lines(&file), ["x"], "{fault}");
    assert_eq!(agent_pid(&seen.events), pid, "{fault}");
    assert_eq!(seen.said().matches("over").count(), 1, "{fault}");
    for kind in ["permission_request", "permission_resolved", "permission_outcome"] {
        assert_eq!(seen.of(kind).len(), 1, "{fault}: {kind}");
    }
    seen.check_against_replay().await;
}

#[tokio::test]
async fn killed_between_an_answer_and_its_delivery_it_delivers_it_once() {
    an_answer_survives("agent.before_send", true).await;
}

#[tokio::test]
async fn killed_right_after_the_delivery_of_an_answer_it_does_not_run_the_command_twice() {
    an_answer_survives("agent.after_send", true).await;
}

#[tokio::test]
async fn killed_before_the_answer_is_written_it_can_be_answered_again() {
    an_answer_survives("log.before_commit", false).await;
}

#[tokio::test]
async fn killed_while_the_answer_is_being_written_it_is_answered_or_not_but_never_half() {
    an_answer_survives("log.mid_commit", false).await;
}

#[tokio::test]
async fn killed_after_the_answer_was_written_it_holds() {
    an_answer_survives("log.after_commit", true).await;
}

/// A turn with text and two commands runs while the log dies at its `count`th commit, again and again.
async fn a_turn_survives(point: &str) {
    let stage = &mut Stage::with_agents().await;
    let file = stage.file("out");
    let prompt =
        format!("STREAM 300 w\n{}\nSTREAM 300 w\n{}\nSAY over", appends("1", &file), appends("2", &file));
    let (id, mut seen) = stage.started(&prompt).await;
    let api = stage.api.clone();
    seen.next("agent_started", 0, 20).await;
    for count in [1, 2, 3, 5, 8] {
        stage.daemon.kill9();
        if !stage.daemon.start_with_fault(&format!("{point}:{count}")).await {
            continue;
        }
        // Answer what is open until the fault comes or the turn is over.
        let daemon = std::cell::RefCell::new(&mut stage.daemon);
        eventually("the fault, or the end of the turn", 40, || async {
            let path = format!("/api/approvals?session_id={id}&state=open");
            let open = api.attempt(reqwest::Method::GET, &path, None).await.map(|open| open.body);
            for approval in open.iter().flat_map(|open| open.as_array()).flatten() {
                let path = format!("/api/approvals/{}/answer", approval["id"].as_str().unwrap());
                // The daemon may die before it answers.
                let _ = api.attempt(reqwest::Method::POST, &path, Some(json!({ "decision": "allow" }))).await;
            }
            let session = api.attempt(reqwest::Method::GET, &format!("/api/sessions/{id}"), None).await;
            let over = session.is_ok_and(|session| session.body["state"] == "AWAITING_INPUT");
            (over || !daemon.borrow_mut().runs()).then_some(())
        })
        .await;
    }
    stage.daemon.kill9();
    seen.disconnect();
    stage.daemon.start().await;
    answer_until_idle(stage, &id, &mut seen).await;
    assert_eq!(lines(&file), ["1", "2"], "{point}");
    assert_eq!(seen.said().matches("w ").count(), 600, "{point}");
    assert_eq!(seen.said().matches("over").count(), 1, "{point}");
    assert_eq!(seen.of("agent_started").len(), 1, "{point}");
    seen.check_against_replay().await;
}

/// Allows whatever is open until the first turn has ended.
async fn answer_until_idle(stage: &Stage, id: &str, seen: &mut Transcript) {
    let answer = eventually("the turn ends", 40, || async {
        for approval in stage.api.open_approvals(id).await {
            stage.api.allow(approval["id"].as_str().unwrap()).await;
        }
        (stage.api.session(id).await["state"] == "AWAITING_INPUT").then_some(())
    });
    answer.await;
    seen.idle(1, 20).await;
}

#[tokio::test]
async fn a_turn_survives_kills_before_commits() {
    a_turn_survives("log.before_commit").await;
}

#[tokio::test]
async fn a_turn_survives_kills_in_mid_commit() {
    a_turn_survives("log.mid_commit").await;
}

#[tokio::test]
async fn a_turn_survives_kills_after_commits() {
    a_turn_survives("log.after_commit").await;
}

#[tokio::test]
async fn killed_while_an_interrupt_is_under_way_it_carries_it_out() {
    let stage = &mut Stage::with_agents().await;
    let (id, mut seen) = stage.started(&format!("{}\nSAY never", lasts(6622))).await;
    let ask = seen.asked(0).await;
    stage.api.allow(ask.text("approval_id")).await;
    stage.lasting_runs(6622).await;
    stage.daemon.kill9();
    assert!(stage.daemon.start_with_fault("agent.before_send").await);
    // Recorded, then killed before the agent was told: the request may be answered or not.
    let path = format!("/api/sessions/{id}/interrupt");
    let _ = stage.api.attempt(reqwest::Method::POST, &path, Some(json!({}))).await;
    stage.daemon.ended(20).await;
    stage.daemon.start().await;
    seen.idle(1, 40).await;
    stage.lasting_is_gone(6622).await;
    assert!(!seen.said().contains("never"));
}

#[tokio::test]
async fn a_stop_leaves_the_agents_running_and_a_stop_with_agents_ends_them() {
    let stage = &mut Stage::with_agents().await;
    let (id, mut seen) = stage.started("SAY a\nHOLD gate\nSAY over").await;
    stage.model().held("gate").await;
    seen.next("agent_started", 0, 10).await;
    let pid = agent_pid(&seen.events);

    // The command waits until the process is gone, and we are who must reap it.
    let (said, status) = tokio::join!(cli::tether(&stage.home, &["stop"]), stage.daemon.ended(20));
    said.ok();
    assert!(status.success());
    assert!(process::alive(pid), "a plain stop leaves agents alone");

    stage.daemon.start().await;
    stage.model().release("gate").await;
    seen.idle(1, 30).await;
    assert_eq!(agent_pid(&seen.events), pid);

    stage.api.input(&id, &lasts(4433)).await;
    let ask = seen.asked(seen.last_seq()).await;
    stage.api.allow(ask.text("approval_id")).await;
    stage.lasting_runs(4433).await;
    let (said, status) =
        tokio::join!(cli::tether(&stage.home, &["stop", "--agents"]), stage.daemon.ended(30));
    said.ok();
    assert!(status.success());
    eventually("the agent is gone", 10, || async { stage.marked().is_empty().then_some(()) }).await;
    stage.lasting_is_gone(4433).await;
}
