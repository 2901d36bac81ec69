//! The real Pi coding agent behind the daemon, against the scripted model.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::stage::{agent_pid, appends, lasts};
use crate::harness::{Event, Home, Stage, Transcript, lines, process};

/// A red dot: the smallest picture that every decoder takes.
const PNG: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg==";

/// A home in which Pi is the agent.
fn home() -> Home {
    let mut home = Home::new();
    home.extra.insert("TETHER_DEFAULT_AGENT_ADAPTER".into(), "pi".into());
    home.extra.insert("TETHER_PI_MODEL".into(), "rig/scripted".into());
    home
}

async fn stage() -> Stage {
    stage_in(home()).await
}

async fn stage_in(home: Home) -> Stage {
    let stage = Stage::with_agents_in(home).await;
    lay_providers(&stage);
    stage
}

/// Lays the scripted model as Pi's provider, in two dialects.
pub fn lay_providers(stage: &Stage) {
    let port = stage.model().port;
    let model = |id: &str, reasoning: bool| {
        json!({ "id": id, "name": id, "reasoning": reasoning, "input": ["text", "image"],
            "contextWindow": 128_000, "maxTokens": 8000,
            "cost": { "input": 3, "output": 15, "cacheRead": 0.3, "cacheWrite": 3.75 } })
    };
    let chat = json!({ "baseUrl": format!("http://127.0.0.1:{port}/v1"), "api": "openai-completions", "apiKey": "k",
        "models": [model("scripted", false), model("other", false)] });
    let messages = json!({ "baseUrl": format!("http://127.0.0.1:{port}"), "api": "anthropic-messages",
        "apiKey": "k", "models": [model("scripted", true)] });
    let folder = stage.home.path().join(".pi/agent");
    std::fs::create_dir_all(&folder).expect("a folder");
    let providers = json!({ "providers": { "rig": chat, "thinker": messages } });
    std::fs::write(folder.join("models.json"), providers.to_string()).expect("it is written");
}

/// Waits until so many turns have ended, one way or the other.
async fn ended(seen: &mut Transcript, turns: usize) -> Event {
    let over = |event: &&Event| event.kind == "turn_finished";
    seen.until("the turn ends", 60, |events| events.iter().filter(over).count() >= turns).await;
    seen.events.iter().filter(over).nth(turns - 1).cloned().expect("it was just seen")
}

fn results(seen: &Transcript) -> Vec<&str> {
    seen.of("tool_result").into_iter().map(|event| event.text("text")).collect()
}

#[tokio::test]
async fn a_turn_of_pi_streams_its_thinking_and_its_text_and_ends() {
    let mut home = home();
    home.extra.insert("TETHER_PI_MODEL".into(), "thinker/scripted:low".into());
    let stage = stage_in(home).await;
    let (id, mut seen) = stage.started("THINK let me see\nSTREAM 40 word\nSAY and out").await;
    seen.idle(1, 60).await;
    let thought: String = seen.of("thinking").iter().map(|event| event.text("text")).collect();
    assert_eq!(thought.trim(), "let me see");
    assert_eq!(seen.said().matches("word ").count(), 40, "{:?}", seen.said());
    assert!(seen.of("output").len() < 40, "streamed words are joined: {} events", seen.of("output").len());
    let whole = seen.next("output_final", 0, 5).await;
    assert!(whole.text("text").trim_end().ends_with("and out"), "{}", whole.raw);
    let session = stage.api.session(&id).await;
    assert_eq!((&session["state"], &session["runner_type"]), (&json!("AWAITING_INPUT"), &json!("pi")));
    let usage = stage.api.get(&format!("/api/sessions/{id}/usage")).await.ok();
    assert!(
        usage["output_tokens"].as_u64() > Some(0) && usage["total_cost_usd"].as_f64() > Some(0.0),
        "{usage}"
    );
    assert_eq!(seen.of("warning").len(), 0, "{:?}", seen.of("warning"));

    let pid = agent_pid(&seen.events);
    stage.api.input(&id, "SAY second").await;
    seen.idle(2, 30).await;
    assert_eq!(agent_pid(&seen.events), pid);
    let last = stage.model().requests().pop().expect("the model was asked");
    assert!(last["turns"].as_u64() >= Some(3), "the conversation came along: {last}");
    seen.check_against_replay().await;
}

#[tokio::test]
async fn pis_tools_are_asked_with_their_change_and_run_denied_or_changed_as_answered() {
    let stage = stage().await;
    let edit = json!({ "path": "a.txt", "edits": [{ "oldText": "hello", "newText": "bye" }] });
    let prompt = format!("WRITE a.txt hello\nTOOL edit {edit}\nSHELL cat a.txt\nSHELL rm a.txt\nECHO");
    let (_, mut seen) = stage.started(&prompt).await;

    let write = seen.asked(0).await;
    assert!(write.data["diff"].as_str().is_some_and(|diff| diff.contains("+hello")), "{}", write.raw);
    assert!(!stage.file("a.txt").exists(), "nothing is written before the yes");
    stage.api.allow(write.text("approval_id")).await;
    let edit = seen.asked(write.seq).await;
    assert!(edit.data["diff"].as_str().is_some_and(|diff| diff.contains("-hello\n+bye")), "{}", edit.raw);
    stage.api.allow(edit.text("approval_id")).await;
    let cat = seen.asked(edit.seq).await;
    let changed = json!({ "decision": "allow", "updated_input": { "command": "cat a.txt; echo more" } });
    stage.api.answer(cat.text("approval_id"), changed).await.ok();
    let rm = seen.asked(cat.seq).await;
    let no = json!({ "decision": "deny", "message": "keep that file" });
    stage.api.answer(rm.text("approval_id"), no).await.ok();
    seen.idle(1, 30).await;
    assert_eq!(lines(stage.file("a.txt")), ["bye"]);
    assert!(results(&seen)[2].contains("bye") && results(&seen)[2].contains("more"), "{:?}", results(&seen));
    assert!(seen.said().contains("keep that file"), "the model read the reason: {:?}", seen.said());
    let outcomes: Vec<&str> =
        seen.of("permission_outcome").iter().map(|event| event.text("outcome")).collect();
    assert_eq!(outcomes, ["ran", "ran", "ran", "refused"]);
}

#[tokio::test]
async fn a_question_of_pis_is_answered_by_choice_and_in_other_words() {
    let stage = stage().await;
    let (_, mut seen) = stage.started("ASK Which colour?|red|green\nECHO\nASK Why?\nECHO").await;
    let which = seen.asked(0).await;
    assert_eq!((which.text("kind"), which.text("tool_name")), ("question", "ask_user"), "{}", which.raw);
    let green = json!({ "decision": "allow", "answers": { "Which colour?": ["green"] } });
    stage.api.answer(which.text("approval_id"), green).await.ok();
    let why = seen.asked(which.seq).await;
    let words = json!({ "decision": "allow", "answers": { "Why?": ["just so"] } });
    stage.api.answer(why.text("approval_id"), words).await.ok();
    seen.idle(1, 40).await;
    assert!(seen.said().contains("The user answered: green"), "{:?}", seen.said());
    assert!(seen.said().contains("The user answered: just so"), "{:?}", seen.said());
}

#[tokio::test]
async fn an_interrupt_of_pi_in_mid_tool_leaves_no_process_and_the_session_goes_on() {
    let stage = stage().await;
    let (id, mut seen) = stage.started(&format!("{}\nSAY never", lasts(7341))).await;
    let ask = seen.asked(0).await;
    stage.api.allow(ask.text("approval_id")).await;
    stage.lasting_runs(7341).await;
    stage.api.interrupt(&id).await;
    seen.idle(1, 30).await;
    stage.lasting_is_gone(7341).await;
    assert_eq!(ended(&mut seen, 1).await.data["interrupted"], true);

    stage.api.input(&id, &format!("{}\nSAY never", appends("x", &stage.file("never")))).await;
    let ask = seen.asked(ask.seq).await;
    stage.api.interrupt(&id).await;
    seen.idle(2, 30).await;
    let resolved = seen.next("permission_resolved", ask.seq, 10).await;
    assert_eq!(resolved.data["resolved_by"], "cancelled", "{}", resolved.raw);
    assert!(lines(stage.file("never")).is_empty());

    stage.api.input(&id, "SAY still here").await;
    seen.says("still here", 30).await;
    assert!(!seen.said().contains("never"));
    assert_eq!(seen.of("agent_started").len(), 1, "the program was not replaced");
}

#[tokio::test]
async fn pi_killed_in_mid_tool_comes_back_with_its_conversation_and_goes_on() {
    let stage = stage().await;
    let file = stage.file("out");
    let prompt = format!("{}\n{}\n{}\nSAY over", appends("1", &file), lasts(7342), appends("2", &file));
    let (id, mut seen) = stage.started(&prompt).await;
    let first = seen.asked(0).await;
    stage.api.allow(first.text("approval_id")).await;
    let tool = seen.asked(first.seq).await;
    stage.api.allow(tool.text("approval_id")).await;
    stage.lasting_runs(7342).await;
    let conversation = stage.api.session(&id).await["runner_session_id"].clone();
    assert!(conversation.as_str().is_some_and(|file| std::path::Path::new(file).exists()), "{conversation}");

    assert!(process::kill9(agent_pid(&seen.events)));
    let exited = seen.next("agent_exited", tool.seq, 20).await;
    assert_eq!(exited.data["cause"], "crash", "{}", exited.raw);
    let again = seen.next("agent_started", exited.seq, 30).await;
    assert_eq!(again.data["resumed"], true, "{}", again.raw);
    stage.lasting_is_gone(7342).await;
    // The call that was cut off is not made again by the script; the next one is asked anew.
    let second = seen.asked(again.seq).await;
    stage.api.allow(second.text("approval_id")).await;
    seen.says("over", 40).await;
    assert_eq!(lines(&file), ["1", "2"]);
    assert_eq!(stage.api.session(&id).await["runner_session_id"], conversation);
    seen.check_against_replay().await;
}

#[tokio::test]
async fn pi_killed_before_its_first_answer_is_given_the_prompt_anew_and_once() {
    let stage = stage().await;
    let (id, mut seen) = stage.started("STREAM 5 a\nHOLD gate\nSAY over").await;
    stage.model().held("gate").await;
    seen.says("a ", 20).await;
    assert!(process::kill9(agent_pid(&seen.events)));
    let exited = seen.next("agent_exited", 0, 20).await;
    let again = seen.next("agent_started", exited.seq, 30).await;
    assert_eq!(again.data["resumed"], false, "Pi had written nothing down: {}", again.raw);
    stage.model().release("gate").await;
    seen.idle(1, 40).await;
    assert_eq!(seen.said().matches("over").count(), 1);
    let requests = stage.model().requests();
    assert_eq!(requests[0]["turns"], requests[1]["turns"], "the prompt stands there once: {requests:?}");
    stage.api.input(&id, "SAY more").await;
    seen.says("more", 30).await;
}

#[tokio::test]
async fn a_question_that_was_open_when_pi_was_killed_is_asked_anew() {
    let stage = stage().await;
    let file = stage.file("out");
    let (id, mut seen) = stage.started(&format!("SAY a\n{}\nSAY over", appends("x", &file))).await;
    let ask = seen.asked(0).await;
    assert!(process::kill9(agent_pid(&seen.events)));
    let exited = seen.next("agent_exited", ask.seq, 20).await;
    let again = seen.next("agent_started", exited.seq, 30).await;
    assert_eq!(again.data["resumed"], true, "{}", again.raw);
    seen.until("the agent has gone on", 40, |events| {
        events.iter().any(|event| {
            event.seq > again.seq && matches!(event.kind.as_str(), "permission_request" | "turn_finished")
        })
    })
    .await;
    // The question of the life that is over cannot be answered any more.
    let late = stage.api.answer(ask.text("approval_id"), json!({ "decision": "allow" })).await;
    late.error(409, "ALREADY_ANSWERED");
    for open in stage.api.open_approvals(&id).await {
        stage.api.allow(open["id"].as_str().expect("an id")).await;
    }
    seen.idle(1, 40).await;
    assert!(lines(&file).len() <= 1, "{:?}", lines(&file));
}

#[tokio::test]
async fn the_daemon_killed_in_mid_stream_goes_on_with_the_same_pi_and_loses_no_word() {
    let stage = &mut stage().await;
    let (_, mut seen) = stage.started("STREAM 100 a\nHOLD one\nSTREAM 100 b\nHOLD two\nSAY over").await;
    stage.model().held("one").await;
    seen.says("a ", 20).await;
    let pid = agent_pid(&seen.events);
    stage.daemon.kill9();
    stage.model().release("one").await;
    stage.model().held("two").await;
    assert!(process::alive(pid), "the agent went on alone");
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
async fn the_daemon_killed_while_it_hands_pi_a_prompt_or_an_answer_does_neither_twice() {
    for fault in ["agent.before_send", "agent.after_send"] {
        let stage = &mut stage().await;
        let file = stage.file("out");
        let (id, mut seen) = stage.started("SAY ready").await;
        seen.idle(1, 60).await;
        let pid = agent_pid(&seen.events);

        stage.daemon.kill9();
        assert!(stage.daemon.start_with_fault(fault).await);
        let body = json!({ "text": format!("{}\nSAY over", appends("x", &file)) });
        let path = format!("/api/sessions/{id}/input");
        let _ = stage.api.attempt(reqwest::Method::POST, &path, Some(body)).await;
        stage.daemon.ended(20).await;
        stage.daemon.start().await;
        let ask = seen.asked(0).await;
        seen.disconnect();
        stage.daemon.kill9();
        assert!(stage.daemon.start_with_fault(fault).await);
        let path = format!("/api/approvals/{}/answer", ask.text("approval_id"));
        let _ = stage.api.attempt(reqwest::Method::POST, &path, Some(json!({ "decision": "allow" }))).await;
        stage.daemon.ended(20).await;
        stage.daemon.start().await;
        seen.idle(2, 40).await;
        assert_eq!(lines(&file), ["x"], "{fault}");
        assert_eq!(seen.said().matches("over").count(), 1, "{fault}");
        assert_eq!((agent_pid(&seen.events), seen.of("agent_started").len()), (pid, 1), "{fault}");
        assert_eq!(seen.of("permission_request").len(), 1, "{fault}");
        seen.check_against_replay().await;
    }
}

/// Pi with our gate and nobody between: what a daemon would say is said to it by hand.
struct Bare {
    child: std::process::Child,
    heard: std::sync::mpsc::Receiver<String>,
}

impl Bare {
    fn start(stage: &Stage) -> Self {
        let root = env!("CARGO_MANIFEST_DIR");
        let gate = format!("{root}/actors/src/agent/pi/approval-gate.ts");
        let mut child = std::process::Command::new(format!("{root}/tests/agents/node_modules/.bin/pi"))
            .args(["--mode", "rpc", "--no-extensions", "--model", "rig/scripted", "-e", &gate])
            .env_clear()
            .envs(stage.home.environment(None))
            .current_dir(stage.home.work())
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .expect("pi starts");
        let (sender, heard) = std::sync::mpsc::channel();
        let output = BufReader::new(child.stdout.take().expect("its output was asked for"));
        std::thread::spawn(move || {
            output.lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
        });
        Self { child, heard }
    }

    fn say(&mut self, line: &Value) {
        let input = self.child.stdin.as_mut().expect("its input was asked for");
        writeln!(input, "{line}").expect("it reads");
    }

    /// All that it says up to a line that holds these words.
    fn hear(&self, words: &str) -> Vec<String> {
        let mut lines = Vec::new();
        while lines.last().is_none_or(|line: &String| !line.contains(words)) {
            let within = Duration::from_secs(60);
            lines.push(self.heard.recv_timeout(within).unwrap_or_else(|_| panic!("no {words}: {lines:#?}")));
        }
        lines
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        // It may be gone already; then there is nothing to end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn the_gate_takes_a_prompt_with_the_same_id_once_whether_its_turn_is_over_or_runs() {
    let stage = stage().await;
    let mut pi = Bare::start(&stage);
    let prompt = |id: &str, text: &str| {
        let message = format!("tether-input:{:?}\n{text}", id);
        json!({ "id": format!("prompt-{id}"), "type": "prompt", "message": message, "streamingBehavior": "steer" })
    };
    pi.say(&prompt("u1", "SAY once"));
    pi.hear("\\\"rest\\\":true");
    pi.say(&prompt("u1", "SAY once"));
    let again = pi.hear("prompt-u1").concat();
    assert!(again.contains("\\\"known\\\":true") && !again.contains("agent_start"), "{again}");
    pi.say(&prompt("u2", "SHELL echo x\nSAY over"));
    pi.hear("tether.approval/1");
    pi.say(&prompt("u2", "SHELL echo x\nSAY over"));
    let again = pi.hear("prompt-u2").concat();
    assert!(again.contains("\\\"known\\\":true") && !again.contains("queue_update"), "{again}");
    assert_eq!(stage.model().requests().len(), 2);
}

#[tokio::test]
async fn a_picture_reaches_pis_model_and_the_model_can_be_changed_between_turns() {
    let stage = stage().await;
    let (id, mut seen) = stage.session().await;
    let image = json!({ "type": "image", "data": PNG, "mimeType": "image/png", "filename": "dot.png" });
    let body = json!({ "prompt": "SAY seen", "approval_choice": 0, "images": [image] });
    stage.api.post(&format!("/api/sessions/{id}/start"), body).await.ok();
    seen.idle(1, 60).await;
    let request = stage.model().requests().pop().expect("the model was asked");
    assert_eq!((&request["images"], &request["model"]), (&json!(1), &json!("scripted")), "{request}");
    stage.api.patch(&format!("/api/sessions/{id}/details"), json!({ "model": "rig/other" })).await.ok();
    stage.api.input(&id, "SAY two").await;
    seen.idle(2, 30).await;
    let request = stage.model().requests().pop().expect("the model was asked");
    assert_eq!(request["model"], "other", "{request}");
    stage.api.patch(&format!("/api/sessions/{id}/details"), json!({ "model": "nobody/knows" })).await.ok();
    let refused = seen.next("warning", 0, 20).await;
    assert!(refused.text("message").contains("nobody/knows"), "{}", refused.raw);
}

#[tokio::test]
async fn failures_of_pis_model_are_told_tried_again_and_a_refused_key_holds_it() {
    let stage = stage().await;
    let (id, mut seen) = stage.started("FAIL 400").await;
    let end = ended(&mut seen, 1).await;
    assert!(end.data["ok"] == false && end.text("message").contains("400"), "{}", end.raw);
    stage.api.input(&id, "FAIL 503").await;
    let retry = seen.next("retry", end.seq, 30).await;
    assert_eq!(
        (&retry.data["status"], &retry.data["max_attempts"]),
        (&json!(503), &json!(3)),
        "{}",
        retry.raw
    );
    stage.api.interrupt(&id).await;
    seen.idle(2, 20).await;
    stage.api.input(&id, "SAY better now").await;
    seen.says("better now", 30).await;
    seen.idle(3, 20).await;
    stage.api.input(&id, "FAIL 401").await;
    let held = seen.next("agent_held", end.seq, 30).await;
    assert_eq!(held.data["cause"], "authentication", "{}", held.raw);
}

#[tokio::test]
async fn what_a_project_brings_along_for_pi_counts_only_after_a_yes() {
    let stage = stage().await;
    let folder = stage.home.work().join(".pi");
    std::fs::create_dir_all(folder.join("extensions")).expect("a folder");
    let ran = stage.file("extension-ran");
    let extension = format!(
        "import {{ appendFileSync }} from \"node:fs\"; export default () => appendFileSync({:?}, \"x\\n\");",
        ran.display().to_string()
    );
    std::fs::write(folder.join("extensions/evil.ts"), extension).expect("it is written");
    let settings = json!({ "shellCommandPrefix": "echo PREFIX" });
    std::fs::write(folder.join("settings.json"), settings.to_string()).expect("it is written");

    let (id, mut seen) = stage.started("SHELL echo one").await;
    let trust = seen.asked(0).await;
    assert_eq!(trust.data["kind"], "trust", "{}", trust.raw);
    let tool = seen.asked(trust.seq).await;
    stage.api.allow(tool.text("approval_id")).await;
    seen.idle(1, 30).await;
    assert_eq!((results(&seen), ran.exists()), (vec!["one\n"], false));

    stage.api.allow(trust.text("approval_id")).await;
    stage.api.input(&id, "SHELL echo two").await;
    let tool = seen.asked(tool.seq).await;
    assert_eq!(tool.text("tool_name"), "bash", "also a trusted project's agent asks: {}", tool.raw);
    stage.api.allow(tool.text("approval_id")).await;
    seen.idle(2, 40).await;
    assert_eq!(results(&seen)[1], "PREFIX\ntwo\n");
    assert!(ran.exists());
}

/// A `pi` that does something to our gate before the real one starts.
fn tampered(script: &str) -> Home {
    let mut home = home();
    let path = home.path().join("pi");
    let real = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/agents/node_modules/.bin/pi");
    let text = format!(
        "#!/bin/bash\n[ \"$1\" = --version ] && exec {real} --version\n{script}\nexec {real} \"$@\"\n"
    );
    std::fs::write(&path, text).expect("it is written");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("it can be run");
    home.extra.insert("TETHER_PI_BIN".into(), path.display().to_string());
    home
}

#[tokio::test]
async fn pi_never_runs_without_the_gate() {
    let absent = "set -- \"${@:1:$#-2}\"";
    let missing = "rm -f \"${@: -1}\"";
    let broken = "echo 'export default function (' > \"${@: -1}\"";
    for (script, said) in [
        (absent, "without the extension that asks"),
        (missing, "Extension path does not exist"),
        (broken, "Failed to load extension"),
    ] {
        let stage = stage_in(tampered(script)).await;
        let (id, mut seen) = stage.started("SHELL touch ran\nSAY never").await;
        let held = seen.next("agent_held", 0, 60).await;
        assert_eq!(held.data["cause"], "bad_configuration", "{}", held.raw);
        let exited = seen.of("agent_exited").iter().map(|event| event.raw.as_str()).collect::<String>();
        assert!(held.text("message").contains(said) || exited.contains(said), "{} {exited}", held.raw);
        assert_eq!(stage.api.session(&id).await["state"], "ERROR");
        assert!(stage.model().requests().is_empty(), "nothing was said to it");
        assert!(!stage.file("ran").exists());
    }
}

#[tokio::test]
async fn pi_is_among_the_agents_that_are_found() {
    let stage = Stage::bare_in(home()).await;
    let agents: Value = stage.api.get("/api/agents").await.ok();
    let all = agents.as_array().or(agents["agents"].as_array()).expect("a list").clone();
    let pi =
        all.iter().find(|agent| agent["name"] == "pi" || agent["adapter"] == "pi").expect("pi is listed");
    assert!(pi.to_string().contains("0.73.1"), "{pi}");
}
