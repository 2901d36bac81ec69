//! The real OpenCode behind the daemon, against the scripted model: one server for all its sessions.

use serde_json::{Value, json};

use crate::harness::stage::{agent_pid, appends, lasts};
use crate::harness::{Event, Home, Stage, Transcript, cli, eventually, lines, process};

/// A red dot: the smallest picture that every decoder takes.
const PNG: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg==";

/// A home in which OpenCode is the agent, with the scripted model as its provider.
fn home() -> Home {
    let mut home = Home::new();
    home.extra.insert("TETHER_DEFAULT_AGENT_ADAPTER".into(), "opencode".into());
    settle_in(&mut home);
    home
}

/// Makes it a home in which OpenCode was used before, with the scripted model as its provider.
pub fn settle_in(home: &mut Home) {
    for name in ["OPENCODE_DISABLE_MODELS_FETCH", "OPENCODE_DISABLE_LSP_DOWNLOAD"] {
        home.extra.insert(name.into(), "1".into());
    }
    let model = json!({ "name": "Scripted", "attachment": true, "limit": { "context": 200_000, "output": 8000 },
        "cost": { "input": 3, "output": 15 }, "modalities": { "input": ["text", "image"], "output": ["text"] } });
    let settings = json!({
        "model": "rig/scripted", "small_model": "rig/scripted", "enabled_providers": ["rig"],
        "permission": { "bash": { "*": "allow", "curl *": "deny" }, "webfetch": "deny" },
        // Its requests are none of the conversation's.
        "agent": { "title": { "disable": true } },
        "provider": { "rig": { "npm": "@ai-sdk/openai-compatible", "name": "Rig",
            "options": { "baseURL": "{env:ANTHROPIC_BASE_URL}/v1", "apiKey": "k" },
            "models": { "scripted": model, "other": model } } },
    });
    let folder = home.path().join(".config/opencode");
    std::fs::create_dir_all(&folder).expect("a folder");
    std::fs::write(folder.join("opencode.json"), settings.to_string()).expect("it is written");
    fetched(&folder);
}

/// In a fresh folder of settings OpenCode first fetches what plugins are developed with, from the registry of
/// packages. Here it was.
fn fetched(folder: &std::path::Path) {
    std::fs::create_dir_all(folder.join("node_modules")).expect("a folder");
    let needs = json!({ "dependencies": { "@opencode-ai/plugin": "*" } });
    let lock = json!({ "lockfileVersion": 3, "packages": { "": needs } });
    std::fs::write(folder.join("package.json"), needs.to_string()).expect("it is written");
    std::fs::write(folder.join("package-lock.json"), lock.to_string()).expect("it is written");
}

async fn stage() -> Stage {
    Stage::with_agents_in(home()).await
}

fn results(seen: &Transcript) -> Vec<&str> {
    seen.of("tool_result").into_iter().map(|event| event.text("text")).collect()
}

/// Waits until so many turns have ended, one way or the other.
async fn ended(seen: &mut Transcript, turns: usize) -> Event {
    let over = |event: &&Event| event.kind == "turn_finished";
    seen.until("the turn ends", 60, |events| events.iter().filter(over).count() >= turns).await;
    seen.events.iter().filter(over).nth(turns - 1).cloned().expect("it was just seen")
}

async fn allow(stage: &Stage, ask: &Event) {
    stage.api.allow(ask.text("approval_id")).await;
}

#[tokio::test]
async fn a_turn_of_opencode_streams_its_thinking_and_its_text_and_ends() {
    let stage = stage().await;
    let (id, mut seen) = stage.started("THINK let me see\nSTREAM 40 word\nSAY and out").await;
    seen.idle(1, 90).await;
    let thought: String = seen.of("thinking").iter().map(|event| event.text("text")).collect();
    assert_eq!(thought.trim(), "let me see");
    assert_eq!(seen.said().matches("word ").count(), 40, "{:?}", seen.said());
    assert!(seen.of("output").len() < 40, "streamed words are joined: {} events", seen.of("output").len());
    let whole = seen.next("output_final", 0, 5).await;
    assert!(whole.text("text").trim_end().ends_with("and out"), "{}", whole.raw);
    let session = stage.api.session(&id).await;
    assert_eq!((&session["state"], &session["runner_type"]), (&json!("AWAITING_INPUT"), &json!("opencode")));
    assert!(session["runner_session_id"].as_str().is_some_and(|id| id.starts_with("ses_")), "{session}");
    let usage = stage.api.get(&format!("/api/sessions/{id}/usage")).await.ok();
    assert!(
        usage["output_tokens"].as_u64() > Some(0) && usage["total_cost_usd"].as_f64() > Some(0.0),
        "{usage}"
    );
    assert_eq!(seen.of("warning").len(), 0, "{:?}", seen.of("warning"));
    stage.api.input(&id, "SAY second").await;
    seen.idle(2, 30).await;
    let last = stage.model().requests().pop().expect("the model was asked");
    assert!(last["turns"].as_u64() >= Some(4), "the conversation came along: {last}");
    seen.check_against_replay().await;
}

#[tokio::test]
async fn opencodes_tools_are_asked_with_their_change_and_run_or_are_denied_as_answered() {
    let stage = stage().await;
    let file = stage.file("a.txt").display().to_string();
    let edit = json!({ "filePath": file, "oldString": "hello", "newString": "bye" });
    let prompt =
        format!("WRITE {file} hello\nTOOL edit {edit}\nREAD {file}\nSHELL cat {file}\nSHELL rm {file}\nECHO");
    let (_, mut seen) = stage.started(&prompt).await;
    let write = seen.next("permission_request", 0, 90).await;
    assert!(write.data["diff"].as_str().is_some_and(|diff| diff.contains("+hello")), "{}", write.raw);
    assert!(!stage.file("a.txt").exists(), "nothing is written before the yes");
    allow(&stage, &write).await;
    let edit = seen.asked(write.seq).await;
    let changes = |diff: &str| ["-hello\n", "+bye\n"].iter().all(|line| diff.contains(line));
    assert!(edit.data["diff"].as_str().is_some_and(changes), "{}", edit.raw);
    allow(&stage, &edit).await;
    // Reading in the directory is not asked about; the person's own `allow` for commands does not count.
    let cat = seen.asked(edit.seq).await;
    assert_eq!(cat.text("title"), format!("bash: cat {file}"), "{}", cat.raw);
    allow(&stage, &cat).await;
    let rm = seen.asked(cat.seq).await;
    let no = json!({ "decision": "deny", "message": "keep that file" });
    stage.api.answer(rm.text("approval_id"), no).await.ok();
    seen.idle(1, 30).await;
    assert_eq!(lines(stage.file("a.txt")), ["bye"]);
    assert!(results(&seen)[3].contains("bye"), "{:?}", results(&seen));
    assert!(seen.said().contains("keep that file"), "the model read the reason: {:?}", seen.said());
    let outcomes: Vec<&str> =
        seen.of("permission_outcome").iter().map(|event| event.text("outcome")).collect();
    assert_eq!(outcomes, ["ran", "ran", "ran", "refused"]);
}

#[tokio::test]
async fn what_the_person_forbids_opencode_stays_forbidden_and_its_tools_do_not_see_its_password() {
    let mut home = home();
    home.extra.insert("TETHER_OPENCODE_MODEL".into(), "rig/other".into());
    let stage = Stage::with_agents_in(home).await;
    // What a project brings along must not run, nor allow anything. (A list of plugins has two names in OpenCode.)
    std::fs::create_dir_all(stage.file(".opencode/plugin")).expect("a folder");
    fetched(&stage.file(".opencode"));
    let leaves = |name: &str| {
        let file = stage.file(name).display().to_string();
        format!("import fs from 'fs'; fs.writeFileSync({file:?}, 'x'); export const X = async () => ({{}})")
    };
    std::fs::write(stage.file(".opencode/plugin/x.js"), leaves("plugin-ran")).expect("it is written");
    std::fs::write(stage.file("y.js"), leaves("other-ran")).expect("it is written");
    let settings = json!({ "permission": { "*": "allow", "bash": "allow" }, "plugins": ["./y.js"] });
    std::fs::write(stage.file("opencode.json"), settings.to_string()).expect("it is written");
    let seen_file = stage.file("seen");
    let env = format!("SHELL env > {}", seen_file.display());
    let (id, mut seen) = stage.started(&format!("{env}\nSHELL curl http://127.0.0.1:1/\nECHO")).await;
    let asked = |event: &Event| event.kind == "permission_request" && event.text("kind") == "tool";
    seen.until("the command is asked", 90, |events| events.iter().any(asked)).await;
    let ask = seen.events.iter().find(|event| asked(event)).cloned().expect("it was just seen");
    allow(&stage, &ask).await;
    seen.idle(1, 60).await;
    // Its second place for plugins is read beside the first turn.
    stage.api.input(&id, "SAY two").await;
    seen.idle(2, 30).await;
    assert!(!stage.file("plugin-ran").exists() && !stage.file("other-ran").exists());
    assert!(seen.said().contains("prevents you"), "curl was refused without a question: {:?}", seen.said());
    let env = lines(&seen_file);
    let of = |name: &str| env.iter().find(|line| line.starts_with(&format!("{name}="))).cloned();
    assert!(env.len() > 3 && of("OPENCODE_SERVER_PASSWORD").is_none(), "{env:?}");
    let conversation = stage.api.session(&id).await["runner_session_id"].clone();
    assert_eq!(of("TETHER_RUN"), Some(format!("TETHER_RUN={}", conversation.as_str().unwrap_or_default())));
    let last = stage.model().requests().pop().expect("the model was asked");
    assert_eq!(last["model"], "other");
    let offered = last["tools"].as_array().cloned().unwrap_or_default();
    assert!(!offered.contains(&json!("webfetch")) && offered.contains(&json!("bash")), "{offered:?}");

    // A yes lets it run, and still all is asked.
    let trust = seen.events.iter().find(|event| event.text("kind") == "trust").cloned().expect("it is asked");
    allow(&stage, &trust).await;
    stage.api.input(&id, &format!("{}\nSAY three", appends("x", &stage.file("out")))).await;
    let ask = seen.next("permission_request", seen.last_seq(), 90).await;
    assert_eq!(ask.text("kind"), "tool", "{}", ask.raw);
    allow(&stage, &ask).await;
    seen.idle(3, 30).await;
    assert!(stage.file("plugin-ran").exists());
    assert_eq!(lines(stage.file("out")), ["x"]);
    assert_eq!(
        stage.api.session(&id).await["runner_session_id"],
        conversation,
        "the conversation came along"
    );
}

#[tokio::test]
async fn a_question_of_opencodes_is_answered_by_choice_and_in_other_words() {
    let stage = stage().await;
    let (_, mut seen) = stage.started("ASK Which colour?|red|green\nECHO\nASK Why?|a|b\nECHO").await;
    let which = seen.next("permission_request", 0, 90).await;
    assert_eq!((which.text("kind"), which.text("tool_name")), ("question", "question"), "{}", which.raw);
    let green = json!({ "decision": "allow", "answers": { "Which colour?": ["green"] } });
    stage.api.answer(which.text("approval_id"), green).await.ok();
    let why = seen.asked(which.seq).await;
    let no = json!({ "decision": "deny", "message": "ask me tomorrow" });
    stage.api.answer(why.text("approval_id"), no).await.ok();
    seen.idle(1, 40).await;
    assert!(seen.said().contains("\"Which colour?\"=\"green\""), "{:?}", seen.said());
    assert!(seen.said().contains("ask me tomorrow"), "the model read the reason: {:?}", seen.said());
}

#[tokio::test]
async fn an_approval_of_a_sub_agent_is_asked_in_its_parents_session() {
    let stage = stage().await;
    let inner = format!("{}\nSAY child done", appends("x", &stage.file("out")));
    let task = json!({ "description": "child work", "prompt": inner, "subagent_type": "general" });
    let (_, mut seen) = stage.started(&format!("TOOL task {task}\nSAY parent done")).await;
    let ask = seen.next("permission_request", 0, 90).await;
    assert!(ask.text("subagent").contains("child work"), "{}", ask.raw);
    allow(&stage, &ask).await;
    seen.idle(1, 60).await;
    assert_eq!(lines(stage.file("out")), ["x"]);
    assert!(seen.said().contains("parent done") && !seen.said().contains("child done"), "{:?}", seen.said());
    let call = seen.of("tool_call").first().expect("the sub-agent was called").text("tool_use_id").to_owned();
    let child = |event: &&&Event| event.data["parent_tool_use_id"] == call.as_str();
    let said: String = seen.of("output").iter().filter(child).map(|event| event.text("text")).collect();
    assert_eq!(said, "child done");
}

#[tokio::test]
async fn an_interrupt_of_opencode_in_mid_tool_leaves_no_process_and_the_server_goes_on() {
    let stage = stage().await;
    // One of them leaves its session and its parent.
    let fled = "(setsid python3 -c 'import time; time.sleep(7441)' >/dev/null 2>&1 &)";
    let (id, mut seen) = stage
        .started(&format!("{}\nSAY never", lasts(7441).replace("SHELL ", &format!("SHELL {fled}; "))))
        .await;
    let ask = seen.next("permission_request", 0, 90).await;
    allow(&stage, &ask).await;
    eventually("all three run", 20, || async { (stage.lasting(7441).len() >= 3).then_some(()) }).await;
    stage.api.interrupt(&id).await;
    seen.idle(1, 30).await;
    stage.lasting_is_gone(7441).await;
    assert_eq!(ended(&mut seen, 1).await.data["interrupted"], true);

    stage.api.input(&id, &format!("{}\nSAY never", appends("x", &stage.file("never")))).await;
    let ask = seen.asked(ask.seq).await;
    stage.api.interrupt(&id).await;
    seen.idle(2, 30).await;
    let resolved = seen.next("permission_resolved", ask.seq, 10).await;
    assert_eq!(resolved.data["resolved_by"], "cancelled", "{}", resolved.raw);
    assert!(lines(stage.file("never")).is_empty());

    stage.api.input(&id, "STREAM 20 a\nHOLD gate\nSAY never").await;
    stage.model().held("gate").await;
    stage.api.interrupt(&id).await;
    seen.idle(3, 30).await;
    stage.model().release("gate").await;
    stage.api.input(&id, "SAY still here").await;
    seen.says("still here", 30).await;
    assert!(!seen.said().contains("never"));
    assert_eq!(seen.of("agent_started").len(), 1, "the server was not replaced");
}

#[tokio::test]
async fn opencode_killed_in_mid_tool_comes_back_with_its_conversation_and_goes_on() {
    let stage = stage().await;
    let file = stage.file("out");
    let prompt = format!("{}\n{}\n{}\nSAY over", appends("1", &file), lasts(7442), appends("2", &file));
    let (id, mut seen) = stage.started(&prompt).await;
    let first = seen.next("permission_request", 0, 90).await;
    allow(&stage, &first).await;
    let tool = seen.asked(first.seq).await;
    allow(&stage, &tool).await;
    stage.lasting_runs(7442).await;
    let conversation = stage.api.session(&id).await["runner_session_id"].clone();
    assert!(process::kill9(agent_pid(&seen.events)));
    let exited = seen.next("agent_exited", tool.seq, 20).await;
    assert_eq!(exited.data["cause"], "crash", "{}", exited.raw);
    let again = seen.next("agent_started", exited.seq, 60).await;
    assert_eq!(again.data["resumed"], true, "{}", again.raw);
    stage.lasting_is_gone(7442).await;
    // The call that was cut off is not made again by the script, or it is asked anew.
    seen.until("the agent goes on", 60, |events| {
        events.iter().any(|event| event.seq > again.seq && event.kind == "permission_request")
    })
    .await;
    let mut after = again.seq;
    while !seen.said().contains("over") {
        let ask = seen.asked(after).await;
        after = ask.seq;
        match ask.text("title").contains("sleep") {
            true => stage.api.answer(ask.text("approval_id"), json!({ "decision": "deny" })).await.ok(),
            false => {
                allow(&stage, &ask).await;
                Value::Null
            }
        };
        let next = |event: &Event| {
            event.seq > after && matches!(event.kind.as_str(), "permission_request" | "turn_finished")
        };
        seen.until("it asks again or is done", 40, |events| events.iter().any(next)).await;
    }
    assert_eq!(lines(&file), ["1", "2"]);
    assert_eq!(stage.api.session(&id).await["runner_session_id"], conversation);
    seen.check_against_replay().await;
}

#[tokio::test]
async fn the_daemon_killed_in_mid_stream_goes_on_with_the_same_server_and_loses_no_word() {
    let stage = &mut stage().await;
    let (_, mut seen) = stage.started("STREAM 100 a\nHOLD one\nSTREAM 100 b\nHOLD two\nSAY over").await;
    seen.next("turn_started", 0, 90).await;
    stage.model().held("one").await;
    seen.says("a ", 20).await;
    let pid = agent_pid(&seen.events);
    stage.daemon.kill9();
    stage.model().release("one").await;
    stage.model().held("two").await;
    assert!(process::alive(pid), "the server went on alone");
    stage.daemon.start().await;
    stage.model().release("two").await;
    seen.idle(1, 30).await;
    assert_eq!((agent_pid(&seen.events), seen.of("agent_started").len()), (pid, 1));
    let said = seen.said();
    assert_eq!((said.matches("a ").count(), said.matches("b ").count()), (100, 100), "{said:?}");
    assert_eq!(said.matches("over").count(), 1);
    seen.check_against_replay().await;
}

#[tokio::test]
async fn what_opencode_did_and_asked_while_the_daemon_was_dead_is_told_afterwards() {
    let stage = &mut stage().await;
    let file = stage.file("out");
    let prompt = format!(
        "SAY one\nHOLD gate\nREAD {}\n{}\nSAY over",
        stage.file("none").display(),
        appends("x", &file)
    );
    let (id, mut seen) = stage.started(&prompt).await;
    seen.next("turn_started", 0, 90).await;
    stage.model().held("gate").await;
    seen.says("one", 20).await;
    stage.daemon.kill9();
    let asked = stage.model().requests().len();
    stage.model().release("gate").await;
    eventually("the agent has come to its next tool", 20, || async {
        (stage.model().requests().len() > asked).then_some(())
    })
    .await;
    stage.daemon.start().await;
    let ask = seen.asked(0).await;
    // What it did before is read back beside what it asks; either may be told first.
    let told = |events: &[Event]| events.iter().filter(|event| event.kind == "tool_result").count() == 1;
    seen.until("the file that is not there", 20, told).await;
    allow(stage, &ask).await;
    seen.idle(1, 30).await;
    assert_eq!((lines(&file), seen.said().matches("over").count()), (vec!["x".to_owned()], 1));
    // And a whole turn's end.
    stage.api.input(&id, "SAY two\nHOLD last\nSAY the end").await;
    stage.model().held("last").await;
    stage.daemon.kill9();
    stage.model().release("last").await;
    let log = stage.home.path().join(".local/share/opencode");
    assert!(log.exists(), "the agent keeps its own record there");
    stage.daemon.start().await;
    seen.idle(2, 30).await;
    assert_eq!(seen.said().matches("the end").count(), 1);
    assert_eq!(seen.of("agent_started").len(), 1);
    seen.check_against_replay().await;
}

#[tokio::test]
async fn the_daemon_killed_while_it_hands_opencode_a_prompt_or_an_answer_does_neither_twice() {
    for fault in ["agent.before_send", "agent.after_send"] {
        let stage = &mut stage().await;
        let file = stage.file("out");
        let (id, mut seen) = stage.started("SAY ready").await;
        seen.idle(1, 90).await;
        let pid = agent_pid(&seen.events);
        stage.daemon.kill9();
        // It speaks to the server when it is back, so the fault may come before the input.
        stage.daemon.start().await;
        stage.daemon.kill9();
        let came_up = stage.daemon.start_with_fault(fault).await;
        let body = json!({ "text": format!("{}\nSAY over", appends("x", &file)) });
        let path = format!("/api/sessions/{id}/input");
        if came_up {
            let _ = stage.api.attempt(reqwest::Method::POST, &path, Some(body.clone())).await;
            stage.daemon.ended(20).await;
        }
        stage.daemon.start().await;
        seen.disconnect();
        let queued = stage.api.session(&id).await["message_count"].as_u64();
        if queued < Some(2) {
            stage.api.post(&path, body).await.ok();
        }
        let ask = seen.asked(0).await;
        seen.disconnect();
        stage.daemon.kill9();
        if stage.daemon.start_with_fault(fault).await {
            let path = format!("/api/approvals/{}/answer", ask.text("approval_id"));
            let answer = json!({ "decision": "allow" });
            let _ = stage.api.attempt(reqwest::Method::POST, &path, Some(answer)).await;
            stage.daemon.ended(20).await;
        }
        stage.daemon.start().await;
        if !stage.api.open_approvals(&id).await.is_empty() {
            allow(stage, &ask).await;
        }
        seen.idle(2, 40).await;
        assert_eq!(lines(&file), ["x"], "{fault}");
        assert_eq!(seen.said().matches("over").count(), 1, "{fault}");
        assert_eq!((agent_pid(&seen.events), seen.of("agent_started").len()), (pid, 1), "{fault}");
        assert_eq!(seen.of("permission_request").len(), 1, "{fault}");
        seen.check_against_replay().await;
    }
}

#[tokio::test]
async fn two_sessions_share_the_server_and_the_end_of_one_is_not_the_others() {
    let mut stage = stage().await;
    let (one, mut first) = stage.started(&format!("{}\nSAY never", lasts(7443))).await;
    let ask = first.next("permission_request", 0, 90).await;
    allow(&stage, &ask).await;
    stage.lasting_runs(7443).await;
    let (two, mut second) = stage.started("SAY hello\nHOLD gate\nSAY over").await;
    stage.model().held("gate").await;
    second.next("agent_started", 0, 10).await;
    assert_eq!(agent_pid(&first.events), agent_pid(&second.events));
    stage.api.interrupt(&one).await;
    first.idle(1, 30).await;
    stage.api.delete(&format!("/api/sessions/{one}")).await.ok();
    stage.lasting_is_gone(7443).await;
    assert!(process::alive(agent_pid(&second.events)), "the server serves the other");
    stage.model().release("gate").await;
    second.idle(1, 30).await;
    assert_eq!(second.said().matches("over").count(), 1);
    assert!(!stage.marked().is_empty());
    stage.api.input(&two, "SAY more").await;
    second.says("more", 20).await;
    let (said, _) = tokio::join!(cli::tether(&stage.home, &["stop", "--agents"]), stage.daemon.ended(30));
    said.ok();
    assert!(stage.marked().is_empty(), "the server went with the daemon: {:?}", stage.marked());
}

#[tokio::test]
async fn a_picture_and_another_model_reach_opencodes_provider() {
    let stage = stage().await;
    let (id, mut seen) = stage.session().await;
    let image = json!({ "type": "image", "data": PNG, "mimeType": "image/png", "filename": "dot.png" });
    let body = json!({ "prompt": "SAY seen", "approval_choice": 0, "images": [image] });
    stage.api.post(&format!("/api/sessions/{id}/start"), body).await.ok();
    seen.idle(1, 90).await;
    let request = stage.model().requests().pop().expect("the model was asked");
    assert_eq!((&request["images"], &request["model"]), (&json!(1), &json!("scripted")), "{request}");
    stage.api.patch(&format!("/api/sessions/{id}/details"), json!({ "model": "rig/other" })).await.ok();
    stage.api.input(&id, "SAY two").await;
    seen.idle(2, 30).await;
    let request = stage.model().requests().pop().expect("the model was asked");
    assert_eq!(request["model"], "other", "{request}");
    stage.api.patch(&format!("/api/sessions/{id}/details"), json!({ "model": "rig/none" })).await.ok();
    stage.api.input(&id, "SAY three").await;
    let failed = ended(&mut seen, 3).await;
    assert!(failed.text("message").contains("Model not found"), "{}", failed.raw);
}

#[tokio::test]
async fn opencode_that_asks_its_model_again_and_again_is_stopped() {
    let stage = stage().await;
    let (_, mut seen) = stage.started("STREAM 3 a\nDROP").await;
    let failed = ended(&mut seen, 1).await;
    assert!(failed.text("message").contains("broke off"), "{}", failed.raw);
    // It asks without a pause, so on a busy machine some more come through before it is stopped; else it never ends.
    let asked = stage.model().requests().len();
    assert!((5..60).contains(&asked), "{asked} requests");
    let told = seen.of("warning").iter().filter(|event| event.text("code") == "RUNAWAY").count();
    assert_eq!(told, 1);
}

/// OpenCode's own program, as a person runs it in the work folder. (It would quote an argument of several words.)
async fn plainly(stage: &Stage, args: &str) {
    let ended = tokio::process::Command::new("opencode")
        .arg("run")
        .args(args.split(' '))
        .env_clear()
        .envs(stage.home.environment(Some(stage.model().port)))
        .current_dir(stage.home.work())
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .status();
    assert!(ended.await.expect("it can be run").success());
}

#[tokio::test]
async fn a_session_of_the_plain_opencode_is_attached_gone_on_with_and_followed() {
    let mut home = home();
    // So that a run of ours is over before the plain program writes again.
    home.extra.insert("TETHER_AGENT_IDLE_EXIT_SECONDS".into(), "1".into());
    let stage = Stage::with_agents_in(home).await;
    plainly(&stage, "SAY the word is walrus").await;
    let list = stage.api.get("/api/external-sessions").await.ok();
    let [external] = list.as_array().map(Vec::as_slice).unwrap_or_default() else { panic!("{list}") };
    assert_eq!((&external["runner_type"], &external["is_running"]), (&json!("opencode"), &json!(false)));
    let id = external["id"].as_str().expect("an id").to_owned();
    let said = stage.cli(&["attach", &id]).await.ok();
    let list = stage.api.get("/api/sessions").await.ok();
    let [session] = list.as_array().map(Vec::as_slice).unwrap_or_default() else { panic!("{said}: {list}") };
    assert_eq!(session["runner_session_id"], id.as_str());
    let ours = session["id"].as_str().expect("an id").to_owned();

    let mut seen = stage.follow(&ours);
    let old = seen.next("output", 0, 10).await;
    assert_eq!((old.text("text"), &old.data["is_history"]), ("the word is walrus", &json!(true)));
    stage.api.input(&ours, &format!("{}\nSAY still here", appends("x", &stage.file("out")))).await;
    let ask = seen.next("permission_request", 0, 90).await;
    allow(&stage, &ask).await;
    seen.idle(1, 40).await;
    assert_eq!(lines(stage.file("out")), ["x"]);
    let request = stage.model().requests().pop().expect("the model was asked");
    assert!(request["turns"].as_u64() >= Some(4), "the conversation came along: {request}");
    assert_eq!(stage.api.session(&ours).await["runner_session_id"], id.as_str());

    let sync = format!("/api/sessions/{ours}/sync");
    let exited = seen.next("agent_exited", 0, 20).await;
    let nothing = stage.api.post(&sync, json!({})).await.ok();
    assert_eq!(nothing["synced"], 0, "what our own program wrote is known: {nothing}");
    plainly(&stage, &format!("--session {id} SAY from the terminal")).await;
    let some = stage.api.post(&sync, json!({})).await.ok();
    assert_eq!(some["synced"], 2, "{some}");
    let told = seen.next("user_input", exited.seq, 10).await;
    assert_eq!((told.text("text"), &told.data["is_history"]), ("SAY from the terminal", &json!(true)));
    stage.api.input(&ours, "SAY and on").await;
    seen.idle(2, 90).await;
    let said = seen.said();
    for words in ["the word is walrus", "still here", "from the terminal", "and on"] {
        assert_eq!(said.matches(words).count(), 1, "{words}: {said:?}");
    }
    let request = stage.model().requests().pop().expect("the model was asked");
    assert!(request["turns"].as_u64() >= Some(8), "the terminal's turn came along: {request}");
    seen.check_against_replay().await;
}
