//! A usage limit: held until it is lifted, then gone on with. Nobody can reach a real one on purpose, so the agent
//! here is a stand-in that speaks the wire format of Claude Code 2.1.330 and is at its limit once.

use std::os::unix::fs::PermissionsExt;

use crate::harness::{Home, Stage, process};

/// Refuses the first prompt with a limit that is lifted some seconds later; says what it is told after that.
const AGENT: &str = r#"#!/usr/bin/env python3
import json, os, sys, time
if "--version" in sys.argv:
    print("2.1.330 (Claude Code)")
    sys.exit()
marker = os.path.join(os.environ["HOME"], "limit-was-reached")
def say(line):
    print(json.dumps(line), flush=True)
for line in sys.stdin:
    told = json.loads(line)
    if told["type"] == "control_request":
        answer = {"subtype": "success", "request_id": told["request_id"], "response": {}}
        say({"type": "control_response", "response": answer})
    if told["type"] != "user":
        continue
    for state in ("queued", "started"):
        say({"type": "command_lifecycle", "command_uuid": told["uuid"], "state": state})
    say({"type": "system", "subtype": "init", "session_id": "s", "model": "m"})
    result = {"type": "result", "session_id": "s", "subtype": "success", "terminal_reason": "completed"}
    if os.path.exists(marker):
        say({**result, "is_error": False, "result": "told: " + told["message"]["content"]})
    else:
        open(marker, "w").close()
        lifted = int(time.time()) + SECONDS
        say({"type": "rate_limit_event", "rate_limit_info": {"status": "rejected", "resetsAt": lifted, "rateLimitType": "five_hour"}})
        say({**result, "is_error": True, "terminal_reason": "api_error", "result": "You've hit your limit"})
    say({"type": "command_lifecycle", "command_uuid": told["uuid"], "state": "completed"})
"#;

/// A stage whose agent is at its limit for so many seconds.
async fn stage(seconds: u32) -> Stage {
    let mut home = Home::new();
    let program = home.path().join("agent-at-its-limit");
    std::fs::write(&program, AGENT.replace("SECONDS", &seconds.to_string())).expect("it is written");
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).expect("it runs");
    home.extra.insert("TETHER_CLAUDE_BIN".into(), program.display().to_string());
    Stage::bare_in(home).await
}

#[tokio::test]
async fn a_session_at_its_usage_limit_goes_on_by_itself_when_it_is_lifted() {
    let stage = stage(3).await;
    let (id, mut seen) = stage.started("write a poem").await;
    let held = seen.next("agent_held", 0, 20).await;
    assert_eq!(held.data["cause"], "usage_limit", "{}", held.raw);
    assert!(held.data["until"].is_string(), "{}", held.raw);
    assert_eq!(stage.api.session(&id).await["state"], "ERROR");
    let released = seen.next("agent_released", held.seq, 20).await;
    let answer = seen.next("output_final", released.seq, 20).await;
    assert!(answer.text("text").contains("limit that stopped you has been lifted"), "{}", answer.raw);
    assert_eq!(stage.api.session(&id).await["state"], "AWAITING_INPUT");
}

#[tokio::test]
async fn the_wait_for_the_end_of_a_limit_outlives_the_daemon() {
    let mut stage = stage(6).await;
    let (id, mut seen) = stage.started("write a poem").await;
    seen.next("agent_held", 0, 20).await;
    stage.daemon.kill9();
    for pid in stage.marked() {
        process::kill9(pid);
    }
    stage.daemon.start().await;
    let answer = seen.next("output_final", 0, 30).await;
    assert!(answer.text("text").contains("has been lifted"), "{}", answer.raw);
    assert_eq!(stage.api.session(&id).await["state"], "AWAITING_INPUT");
}

#[tokio::test]
async fn a_session_whose_policy_is_never_waits_for_a_person_at_its_limit() {
    let stage = stage(1).await;
    let (id, mut seen) = stage.session().await;
    let never = serde_json::json!({ "restart_policy": "never" });
    stage.api.patch(&format!("/api/sessions/{id}/details"), never).await.ok();
    stage.api.start(&id, "write a poem").await;
    let held = seen.next("agent_held", 0, 20).await;
    stage.api.input(&id, "and now?").await;
    let answer = seen.next("output_final", held.seq, 20).await;
    assert_eq!(answer.text("text"), "told: and now?");
    assert_eq!(seen.of("agent_released").len(), 0);
}
