//! Sessions that a person began in the agent's own program: found, shown, attached, gone on with, followed.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::{Value, json};
use tokio::process::{Child, Command};

use crate::harness::{Home, Stage, eventually, process};

/// The agent's own program, as a person runs it in the work folder.
fn plain(stage: &Stage, args: &[&str]) -> Child {
    plain_in(stage, &stage.home.work(), args)
}

fn plain_in(stage: &Stage, folder: &Path, args: &[&str]) -> Child {
    Command::new("claude")
        .args(args)
        .env_clear()
        .envs(stage.home.environment(Some(stage.model().port)))
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the agent's program starts")
}

async fn plainly(stage: &Stage, args: &[&str]) {
    plainly_in(stage, &stage.home.work(), args).await;
}

/// The same in another folder, to its end.
pub async fn plainly_in(stage: &Stage, folder: &Path, args: &[&str]) {
    let ended = plain_in(stage, folder, args).wait().await.expect("it can be waited for");
    assert!(ended.success(), "{ended}");
}

async fn listed(stage: &Stage) -> Vec<Value> {
    stage.api.get("/api/external-sessions").await.ok().as_array().cloned().expect("a list")
}

async fn only_one(stage: &Stage) -> Value {
    let mut all = listed(stage).await;
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

fn attach_of(external: &Value) -> Value {
    json!({
        "external_id": external["id"], "runner_type": external["runner_type"], "directory": external["directory"],
    })
}

#[tokio::test]
async fn a_session_of_the_plain_program_is_found_attached_gone_on_with_and_followed() {
    let mut home = Home::new();
    // So that a run of ours is over before the plain program writes again.
    home.extra.insert("TETHER_AGENT_IDLE_EXIT_SECONDS".into(), "1".into());
    let stage = Stage::with_agents_in(home).await;
    plainly(&stage, &["-p", "--permission-mode", "acceptEdits", "SHELL ls\nSAY the word is walrus"]).await;

    let external = only_one(&stage).await;
    assert_eq!(external["runner_type"], "claude_code");
    assert_eq!(external["directory"].as_str().map(PathBuf::from), Some(stage.home.work()));
    assert_eq!(external["first_prompt"], "SHELL ls SAY the word is walrus");
    assert_eq!((&external["is_running"], &external["session_id"]), (&json!(false), &Value::Null));
    let id = external["id"].as_str().expect("an id");
    let path = format!("/api/external-sessions/{id}/history?runner_type=claude_code");
    let history = stage.api.get(&path).await.ok();
    let messages = history["messages"].as_array().expect("messages");
    assert_eq!(history["message_count"], messages.len());
    let tool = &messages[1]["tool_calls"][0];
    assert_eq!((&tool["name"], &tool["input"]["command"]), (&json!("Bash"), &json!("ls")), "{history}");
    assert_eq!(messages.last().expect("an answer")["content"], "the word is walrus");

    let reply = stage.api.post("/api/sessions/attach", attach_of(&external)).await;
    assert_eq!(reply.status, 201, "{}", reply.text);
    let session = reply.ok();
    let ours = session["id"].as_str().expect("an id").to_owned();
    assert_eq!((&session["state"], &session["message_count"]), (&json!("AWAITING_INPUT"), &json!(1)));
    assert_eq!((&session["runner_session_id"], &session["adapter"]), (&external["id"], &Value::Null));
    let again = stage.api.post("/api/sessions/attach", attach_of(&external)).await;
    assert_eq!((again.status, &again.body["id"]), (201, &session["id"]));
    assert_eq!(only_one(&stage).await["session_id"], session["id"]);

    let mut seen = stage.follow(&ours);
    let answer = seen.next("output", 0, 10).await;
    assert_eq!((answer.text("text"), &answer.data["is_history"]), ("the word is walrus", &json!(true)));
    let envelope: Value = serde_json::from_str(&answer.raw).expect("an envelope");
    assert_eq!(envelope["ts"], messages.last().expect("an answer")["timestamp"]);
    assert_eq!(answer.data["kind"], "final");
    stage.api.input(&ours, "SAY still here").await;
    seen.idle(1, 40).await;
    let request = stage.model().requests().pop().expect("the model was asked");
    assert!(request["turns"].as_u64() >= Some(4), "the conversation came along: {request}");
    assert_eq!(stage.api.session(&ours).await["runner_session_id"], external["id"]);

    let sync = format!("/api/sessions/{ours}/sync");
    let nothing = stage.api.post(&sync, json!({})).await.ok();
    assert_eq!(nothing["synced"], 0, "what our own program wrote is known: {nothing}");
    let ended = seen.next("agent_exited", 0, 20).await;
    plainly(&stage, &["-p", "--resume", id, "SAY from the terminal"]).await;
    let some = stage.api.post(&sync, json!({})).await.ok();
    assert_eq!(some["synced"], 2, "{some}");
    let told = seen.next("user_input", ended.seq, 10).await;
    assert_eq!((told.text("text"), &told.data["is_history"]), ("SAY from the terminal", &json!(true)));
    for _ in 0..2 {
        let nothing = stage.api.post(&sync, json!({})).await.ok();
        assert_eq!((&nothing["synced"], &nothing["total"]), (&json!(0), &some["total"]));
    }
    stage.api.input(&ours, "SAY and on").await;
    seen.idle(2, 40).await;
    assert_eq!(seen.said().matches("from the terminal").count(), 1);
    assert_eq!(seen.said().matches("still here").count(), 1);
    let request = stage.model().requests().pop().expect("the model was asked");
    assert!(request["turns"].as_u64() >= Some(7), "the terminal's turn came along: {request}");
    seen.check_against_replay().await;
}

#[tokio::test]
async fn a_session_that_a_terminal_has_open_is_refused_until_it_is_taken_over() {
    let stage = Stage::with_agents().await;
    let mut child = plain(&stage, &["-p", "SAY begun\nHOLD middle"]);
    stage.model().held("middle").await;
    let pid = child.id().expect("it runs");
    let external = eventually("the session is seen to be open", 20, || async {
        listed(&stage).await.into_iter().find(|one| one["is_running"] == true)
    })
    .await;
    assert_eq!((&external["open_in"], &external["open_pid"]), (&json!("terminal"), &json!(pid)));
    let refused = stage.api.post("/api/sessions/attach", attach_of(&external)).await;
    let message = refused.error(409, "EXTERNAL_SESSION_BUSY");
    assert!(message.contains(&pid.to_string()) && message.contains("close it"), "{message}");
    assert!(process::alive(pid));
    assert_eq!(stage.api.get("/api/sessions").await.ok().as_array().map(Vec::len), Some(0));

    let mut body = attach_of(&external);
    body["take_over"] = true.into();
    let session = stage.api.post("/api/sessions/attach", body).await.ok();
    child.wait().await.expect("it has ended");
    stage.model().release("middle").await;
    assert_eq!(only_one(&stage).await["is_running"], false);
    let id = session["id"].as_str().expect("an id");
    let mut seen = stage.follow(id);
    stage.api.input(id, "SAY mine now").await;
    seen.says("mine now", 40).await;
}

/// A session file of Claude Code with so many turns, as it lies in a home.
struct Story {
    path: PathBuf,
    turns: usize,
}

const STORY: &str = "ed4dec7f-da1e-4795-bb79-470d7787b2b0";

impl Story {
    fn new(home: &Home) -> Self {
        let folder = home.path().join("claude/projects/-somewhere");
        std::fs::create_dir_all(&folder).expect("a folder in the temporary home");
        Self { path: folder.join(format!("{STORY}.jsonl")), turns: 0 }
    }

    fn goes_on(&mut self, home: &Home, turns: usize) {
        let mut text = std::fs::read_to_string(&self.path).unwrap_or_default();
        for _ in 0..turns {
            let n = self.turns;
            self.turns += 1;
            let parent = n.checked_sub(1).map(|n| format!("a{n}"));
            let at = "2026-01-02T03:04:05.678Z";
            for record in [
                json!({ "type": "user", "uuid": format!("u{n}"), "parentUuid": parent, "timestamp": at,
                    "cwd": home.work(), "entrypoint": "cli", "message": { "content": format!("ask {n}") } }),
                json!({ "type": "assistant", "uuid": format!("a{n}"), "parentUuid": format!("u{n}"), "timestamp": at,
                    "cwd": home.work(), "entrypoint": "cli",
                    "message": { "id": format!("m{n}"), "content": [{ "type": "text", "text": format!("tell {n}.") }] } }),
            ] {
                text += &format!("{record}\n");
            }
        }
        std::fs::write(&self.path, text).expect("a file in the temporary home");
    }
}

#[tokio::test]
async fn a_session_of_any_length_is_synced_without_a_double() {
    let home = Home::new();
    let mut story = Story::new(&home);
    story.goes_on(&home, 80);
    let stage = Stage::bare_in(home).await;
    let external = only_one(&stage).await;
    assert_eq!(
        (&external["message_count"], &external["message_count_is_exact"]),
        (&json!(160), &json!(true))
    );
    let session = stage.api.post("/api/sessions/attach", attach_of(&external)).await.ok();
    assert_eq!(session["message_count"], 80);
    let id = session["id"].as_str().expect("an id").to_owned();
    let mut seen = stage.follow(&id);
    let sync = format!("/api/sessions/{id}/sync");
    assert_eq!(stage.api.post(&sync, json!({})).await.ok(), json!({ "synced": 0, "total": 160 }));

    story.goes_on(&stage.home, 400);
    // Several at once must not tell it several times.
    let together = tokio::join!(
        stage.api.post(&sync, json!({})),
        stage.api.post(&sync, json!({})),
        stage.api.post(&sync, json!({}))
    );
    let synced: u64 = [together.0, together.1, together.2]
        .map(|reply| reply.ok()["synced"].as_u64().expect("a number"))
        .iter()
        .sum();
    assert_eq!(synced, 800);
    assert_eq!(stage.api.post(&sync, json!({})).await.ok(), json!({ "synced": 0, "total": 960 }));
    seen.until("the last turn is told", 20, |events| {
        events.iter().any(|event| event.text("text") == "tell 479.")
    })
    .await;
    let told: Vec<&str> = seen.of("output").iter().map(|event| event.text("text")).collect();
    let expected: Vec<String> = (30..480).map(|n| format!("tell {n}.")).collect();
    assert_eq!(told, expected, "the newest hundred messages, and then every one once");
    assert!(
        seen.events.iter().filter(|event| event.kind == "output").all(|event| event.data["kind"] == "final")
    );
    assert!(seen.events.last().expect("events").raw.contains(r#""ts":"2026-01-02T03:04:05.678Z""#));
    assert_eq!(stage.api.session(&id).await["message_count"], 480);

    let again = stage.api.post(&format!("{sync}?force=true"), json!({})).await.ok();
    assert_eq!(again, json!({ "synced": 75, "total": 960 }));
}

#[tokio::test]
async fn what_cannot_be_attached_or_synced_is_refused_in_words() {
    let home = Home::new();
    let mut story = Story::new(&home);
    story.goes_on(&home, 1);
    let stage = Stage::bare_in(home).await;
    let external = only_one(&stage).await;
    let attach = |name: &str, value: Value| {
        let mut body = attach_of(&external);
        body[name] = value;
        stage.api.post("/api/sessions/attach", body)
    };
    let missing = attach("external_id", json!("../../etc/passwd")).await.error(404, "NOT_FOUND");
    assert_eq!(missing, "External session not found: ../../etc/passwd");
    attach("runner_type", json!("codex")).await.error(404, "NOT_FOUND");
    attach("runner_type", json!("vim")).await.error(422, "VALIDATION_ERROR");
    attach("directory", json!("/does/not/exist")).await.error(422, "VALIDATION_ERROR");
    attach("platform", json!("telegram")).await.error(400, "VALIDATION_ERROR");
    stage.api.post("/api/sessions/attach", json!({})).await.error(422, "VALIDATION_ERROR");
    stage.api.get("/api/external-sessions?runner_type=vim").await.error(422, "VALIDATION_ERROR");
    stage.api.get("/api/external-sessions?limit=201").await.error(422, "VALIDATION_ERROR");
    stage.api.get(&format!("/api/external-sessions/{STORY}/history")).await.error(422, "VALIDATION_ERROR");
    let away = "/api/external-sessions/..%2F..%2Fx/history?runner_type=claude_code";
    stage.api.get(away).await.error(404, "NOT_FOUND");
    let own = stage.api.create(&stage.home.work()).await;
    let refused = stage.api.post(&format!("/api/sessions/{own}/sync"), json!({})).await;
    assert_eq!(refused.error(400, "INVALID_STATE"), "Session is not attached to an external session");
    assert_eq!(listed(&stage).await.len(), 1);
    let elsewhere = stage.api.get("/api/external-sessions?directory=/nowhere").await.ok();
    assert_eq!(elsewhere, json!([]));
}

#[tokio::test]
async fn the_command_line_lists_attaches_and_syncs() {
    let home = Home::new();
    let mut story = Story::new(&home);
    story.goes_on(&home, 2);
    let stage = Stage::bare_in(home).await;
    let table = stage.cli(&["list", "--external"]).await.ok();
    let row = table.lines().nth(2).expect("a row");
    assert!(row.starts_with("ed4dec7f-da1 claude_code   no        ask 0"), "{table}");
    assert_eq!(stage.cli(&["list", "--external", "-r", "pi"]).await.ok(), "No external sessions found.\n");

    let lost = stage.cli(&["attach", "zzz"]).await;
    assert_eq!((lost.code, lost.err.trim()), (1, "Error: No external session matching 'zzz'"));
    let unsaid = stage.cli(&["attach"]).await;
    assert!(unsaid.code == 1 && unsaid.err.contains("tether list --external"), "{unsaid:?}");
    let said = stage.cli(&["attach", "ed4d"]).await.ok();
    let id = said
        .lines()
        .next()
        .and_then(|line| line.strip_prefix("Attached session "))
        .expect("an id")
        .to_owned();
    assert!(said.contains("State:     awaiting input") && said.contains("Name:      ask 0"), "{said}");
    assert_eq!(stage.cli(&["sync", &id]).await.ok(), "Already up to date (4 messages total)\n");
    story.goes_on(&stage.home, 3);
    assert_eq!(stage.cli(&["sync", &id[..9]]).await.ok(), "Synced 6 new messages (10 total)\n");
    assert_eq!(stage.cli(&["sync", &id, "--json"]).await.json()["total"], 10);
}
