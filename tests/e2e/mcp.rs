//! The MCP server as an agent meets it: the official client with every tool, on standard input and output and over
//! HTTP, with a person at the command line; and the real agent programs with our server in their settings.

use std::path::Path;
use std::process::Stdio;

use serde_json::{Value, json};
use tokio::process::Command;

use crate::harness::daemon::program;
use crate::harness::mcp_client::given;
use crate::harness::{Home, McpClient, Stage, cli, eventually};

/// A daemon whose demo agent speaks without pauses, with a work tree to work in.
async fn stage() -> Stage {
    let mut home = Home::new();
    home.extra.insert("TETHER_DEMO_PACE_MS".into(), "0".into());
    let work = home.work();
    let git = |args: &[&str]| {
        let name = ["-c", "user.name=t", "-c", "user.email=t@t"];
        let ok = std::process::Command::new("git").current_dir(&work).args(name).args(args).status();
        assert!(ok.expect("git runs").success());
    };
    git(&["init", "-q"]);
    git(&["commit", "-q", "--allow-empty", "-m", "first"]);
    Stage::bare_in(home).await
}

/// The program of this name beside the one that is tested.
fn sibling(name: &str) -> String {
    Path::new(&program()).with_file_name(name).display().to_string()
}

async fn own_session(client: &mut McpClient) -> String {
    let args = json!({ "agent_name": "Rig", "agent_type": "script", "session_name": "from MCP" });
    let session = client.call("create_session", args).await;
    assert_eq!((&session["state"], &session["name"]), (&json!("CREATED"), &json!("from MCP")));
    session["id"].as_str().expect("an id").to_owned()
}

fn question(session: &str) -> Value {
    json!({ "session_id": session, "title": "Deploy", "description": "to production" })
}

/// The one open question of a session.
async fn asked(stage: &Stage, session: &str) -> String {
    eventually("a question is open", 30, || async {
        let open = stage.api.open_approvals(session).await;
        assert!(open.len() <= 1, "{open:?}");
        Some(open.first()?["id"].as_str()?.to_owned())
    })
    .await
}

async fn every_tool_works(stage: &Stage, client: &mut McpClient) {
    assert_eq!(client.ready["server"]["name"], "tether-agent");
    let tools = client.perform(json!({ "op": "tools" })).await;
    assert_eq!(tools["result"]["tools"].as_array().map(Vec::len), Some(10), "{tools}");
    let hints = |name: &str| {
        let all = tools["result"]["tools"].as_array().expect("a list");
        all.iter().find(|tool| tool["name"] == name).expect("the tool")["annotations"].clone()
    };
    assert_eq!(hints("get_diff")["readOnlyHint"], true);
    let run = hints("run_agent");
    assert_eq!((&run["readOnlyHint"], &run["destructiveHint"]), (&json!(false), &json!(true)), "{run}");

    // An agent that registers itself.
    let own = own_session(client).await;
    let said = client.call("send_output", json!({ "session_id": own, "text": "I **work**" })).await;
    assert_eq!(said, json!({ "ok": true }));
    let call = client.begin_call("request_approval", question(&own)).await;
    let approval = asked(stage, &own).await;
    let progress = client.progress(call).await;
    assert!(progress["message"].as_str().is_some_and(|text| text.contains(&approval)), "{progress}");
    let shown = stage.cli(&["approvals"]).await.ok();
    assert!(shown.contains("to production"), "{shown}");
    stage.cli(&["approve", &approval, "--message", "go on"]).await.ok();
    let decision = given(&client.end(call).await["result"]);
    assert_eq!(
        (&decision["decision"], &decision["allowed"]),
        (&json!("allowed"), &json!(true)),
        "{decision}"
    );
    assert_eq!(decision["message"], "go on");
    assert!(decision["by"].as_str().is_some_and(|by| by.contains("cli")), "{decision}");

    let mut choice = question(&own);
    choice["options"] = json!(["Now", "Tomorrow"]);
    let call = client.begin_call("request_approval", choice).await;
    let approval = asked(stage, &own).await;
    stage.cli(&["approve", &approval, "--answer", "Tomorrow"]).await.ok();
    let decision = given(&client.end(call).await["result"]);
    assert_eq!(
        (&decision["decision"], &decision["choice"]),
        (&json!("chosen"), &json!("Tomorrow")),
        "{decision}"
    );
    assert_eq!(decision["allowed"], Value::Null, "a choice is no yes");

    let call = client.begin_call("request_approval", question(&own)).await;
    let approval = asked(stage, &own).await;
    client.progress(call).await;
    client.cancel(call).await;
    eventually("the cancelled question is taken back", 20, || async {
        (stage.api.approval(&approval).await["state"] == "cancelled").then_some(())
    })
    .await;

    let nothing = client.call("check_input", json!({ "session_id": own, "since_seq": 1000 })).await;
    assert_eq!(nothing, json!({ "events": [], "next_seq": 1000 }));
    let before = client.call("check_input", json!({ "session_id": own })).await;
    assert_eq!(before["events"].as_array().map(Vec::len), Some(3), "the three ends: {before}");
    let args = json!({ "session_id": own, "since_seq": before["next_seq"], "wait_s": 60 });
    let call = client.begin_call("check_input", args).await;
    stage.cli(&["input", &own, "look at this"]).await.ok();
    let heard = given(&client.end(call).await["result"]);
    assert_eq!(heard["events"][0]["data"]["text"], "look at this", "{heard}");
    assert_eq!(heard["next_seq"], heard["events"][0]["seq"]);

    let last = json!({ "session_id": own, "text": "That is all", "is_final": true });
    client.call("send_output", last).await;
    assert_eq!(stage.api.session(&own).await["state"], "AWAITING_INPUT");

    // A program that has others work.
    let args = json!({ "prompt": "write", "directory": stage.home.work(), "adapter": "demo", "wait": true });
    let call = client.begin_call("run_agent", args).await;
    let approval = eventually("the agent asks", 60, || async {
        let open = stage.api.get("/api/approvals?state=open").await.ok();
        Some(open.as_array()?.first()?["id"].as_str()?.to_owned())
    })
    .await;
    stage.cli(&["approve", &approval]).await.ok();
    let run = given(&client.end(call).await["result"]);
    assert_eq!(
        (&run["finished"], &run["session"]["state"]),
        (&json!(true), &json!("AWAITING_INPUT")),
        "{run}"
    );
    let id = run["session_id"].as_str().expect("an id").to_owned();
    assert_eq!(run["session"]["approval_mode"], 0, "it asks unless it is told otherwise");
    let of = json!({ "session_id": id });
    let status = client.call("get_session_status", of.clone()).await;
    assert_eq!(
        (&status["state"], &status["adapter"]),
        (&json!("AWAITING_INPUT"), &json!("demo")),
        "{status}"
    );
    let output = client.call("get_session_output", of.clone()).await;
    let kinds: Vec<&str> =
        output["events"].as_array().unwrap().iter().filter_map(|e| e["type"].as_str()).collect();
    assert!(kinds.contains(&"output") && kinds.contains(&"session_state"), "{output}");
    std::fs::write(stage.file("new.txt"), "# Hello\n").expect("written");
    let diff = client.call("get_diff", of.clone()).await;
    assert!(diff["diff"].as_str().is_some_and(|diff| diff.contains("+# Hello")), "{diff}");
    assert_eq!(
        (diff["files"].as_array().map(Vec::len), &diff["truncated"]),
        (Some(1), &json!(false)),
        "{diff}"
    );
    let session = client.call("send_followup", json!({ "session_id": id, "text": "long 600" })).await;
    assert_eq!(session["state"], "RUNNING");
    stage.follow(&id).says("Line 2", 30).await;
    let stopped = client.call("stop_session", of.clone()).await;
    assert!(["INTERRUPTING", "AWAITING_INPUT"].contains(&stopped["state"].as_str().unwrap()), "{stopped}");
    eventually("the turn is over", 30, || async {
        (stage.api.session(&id).await["state"] == "AWAITING_INPUT").then_some(())
    })
    .await;

    // Transcripts.
    let listed = client.perform(json!({ "op": "resources" })).await;
    let uri = format!("tether://sessions/{own}/transcript");
    let all = listed["result"]["resources"].as_array().expect("a list");
    assert!(all.iter().any(|resource| resource["uri"] == uri.as_str()), "{listed}");
    let read = client.perform(json!({ "op": "read", "uri": uri })).await;
    let text = read["result"]["contents"][0]["text"].as_str().expect("a text");
    assert!(text.contains("I **work**") && text.contains("look at this"), "{text}");
    let templates = client.perform(json!({ "op": "templates" })).await;
    assert_eq!(
        templates["result"]["resourceTemplates"][0]["uriTemplate"],
        "tether://sessions/{session_id}/transcript"
    );
    let unknown = client.perform(json!({ "op": "read", "uri": "tether://sessions/x/transcript" })).await;
    assert!(unknown["error"].as_str().is_some_and(|error| error.contains("no resource")), "{unknown}");
}

#[tokio::test]
async fn every_tool_works_on_standard_input_and_output() {
    let stage = stage().await;
    let mut client = McpClient::tether_mcp(&stage.home).await;
    every_tool_works(&stage, &mut client).await;
    client.close().await;
}

#[tokio::test]
async fn every_tool_works_over_http() {
    let stage = stage().await;
    let mut client = McpClient::http(&stage.home).await;
    every_tool_works(&stage, &mut client).await;
    client.close().await;
}

#[tokio::test]
async fn nothing_but_a_yes_is_a_yes() {
    let mut stage = stage().await;
    let mut client = McpClient::stdio(&stage.home, &[&sibling("tether-mcp")]).await;
    let own = own_session(&mut client).await;

    // Denied.
    let call = client.begin_call("request_approval", question(&own)).await;
    stage.cli(&["deny", &asked(&stage, &own).await, "not", "on", "a", "Friday"]).await.ok();
    let decision = given(&client.end(call).await["result"]);
    assert_eq!(
        (&decision["decision"], &decision["allowed"]),
        (&json!("denied"), &json!(false)),
        "{decision}"
    );
    assert_eq!(decision["message"], "not on a Friday");

    // Out of time: still open, and its answer may be fetched later, by another process too.
    let mut short = question(&own);
    short["timeout_s"] = 1.into();
    let late = client.call("request_approval", short).await;
    assert_eq!((&late["decision"], &late["allowed"]), (&json!("timeout"), &json!(false)), "{late}");
    client.close().await;
    stage.cli(&["approve", &asked(&stage, &own).await]).await.ok();
    let mut client = McpClient::tether_mcp(&stage.home).await;
    let resumed = json!({ "session_id": own, "request_id": late["request_id"] });
    let told = client.call("request_approval", resumed.clone()).await;
    assert_eq!((&told["decision"], &told["allowed"]), (&json!("allowed"), &json!(true)), "{told}");
    // But never for another question, nor for one that was not asked.
    let mut other = question(&own);
    other["request_id"] = late["request_id"].clone();
    other["description"] = "to the moon".into();
    assert!(client.refused("request_approval", other).await.contains("asked something else"));
    let unknown = json!({ "session_id": own, "request_id": "req_x" });
    assert!(client.refused("request_approval", unknown).await.contains("no question req_x"));

    // Cancelled: taken back, on every surface.
    let call = client.begin_call("request_approval", question(&own)).await;
    let approval = asked(&stage, &own).await;
    client.progress(call).await;
    client.cancel(call).await;
    assert!(client.end(call).await.get("error").is_some());
    eventually("the question is taken back", 20, || async {
        (stage.api.approval(&approval).await["state"] == "cancelled").then_some(())
    })
    .await;
    let refused = stage.cli(&["approve", &approval]).await;
    assert_ne!(refused.code, 0, "{}", refused.out);

    // A client that lost its patience may come back.
    let wanted = json!({ "op": "call", "name": "request_approval", "args": question(&own), "timeout": 2000 });
    let end = client.perform(wanted).await;
    assert!(end["error"].as_str().is_some_and(|error| error.contains("timed out")), "{end}");
    let approval = asked(&stage, &own).await;

    // The daemon dies while somebody waits, and comes back.
    let request = stage.api.approval(&approval).await["request_id"].clone();
    let call =
        client.begin_call("request_approval", json!({ "session_id": own, "request_id": request })).await;
    client.progress(call).await;
    stage.daemon.kill9();
    stage.daemon.start().await;
    stage.cli(&["approve", &approval]).await.ok();
    let decision = given(&client.end(call).await["result"]);
    assert_eq!(decision["allowed"], true, "{decision}");

    // It dies for good, or the session goes: an error, and no yes.
    let mut short = question(&own);
    short["timeout_s"] = 3.into();
    let call = client.begin_call("request_approval", short).await;
    asked(&stage, &own).await;
    stage.daemon.kill9();
    let end = client.end(call).await;
    assert_eq!(end["result"]["isError"], true, "{end}");
    let text = end["result"]["content"][0]["text"].as_str().expect("a text");
    assert!(text.contains("not allowed") && text.contains("tether start"), "{text}");
    assert!(
        client
            .refused("send_followup", json!({ "session_id": own, "text": "x" }))
            .await
            .contains("tether start")
    );
    client.close().await;
}

#[tokio::test]
async fn what_is_wrong_is_told_in_words() {
    let stage = stage().await;
    let mut client = McpClient::http(&stage.home).await;
    let mut refused = async |name: &str, args: Value| client.refused(name, args).await;
    assert_eq!(refused("no_such_tool", json!({})).await, "Unknown tool: no_such_tool");
    assert!(refused("send_output", json!({})).await.starts_with("Input validation error: missing field"));
    assert!(refused("get_diff", json!({ "session": "x" })).await.contains("unknown field `session`"));
    assert_eq!(
        refused("send_output", json!({ "session_id": "sess_x", "text": "t" })).await,
        "Session not found"
    );
    let platform =
        json!({ "agent_name": "a", "agent_type": "t", "session_name": "s", "platform": "telegram" });
    assert!(refused("create_session", platform).await.contains("telegram"));
    let nowhere = json!({ "prompt": "p", "directory": "/no/such/folder" });
    assert!(refused("run_agent", nowhere).await.contains("existing folder"));
    let nobody = json!({ "prompt": "p", "directory": stage.home.work(), "adapter": "nobody" });
    assert!(refused("run_agent", nobody).await.contains("the adapters are"));
    assert!(refused("run_agent", json!({ "prompt": "p" })).await.contains("clone_url"));
    assert_eq!(stage.api.get("/api/sessions").await.ok(), json!([]), "nothing is left behind");
    client.close().await;
}

#[tokio::test]
async fn over_http_only_those_come_in_who_may() {
    let stage = stage().await;
    let hello = json!({
        "jsonrpc": "2.0", "id": 1, "method": "initialize",
        "params": { "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": { "name": "x", "version": "1" } },
    });
    let post = |token: &str, more: &[(&str, &str)]| {
        let mut request = reqwest::Client::new().post(format!("{}/mcp", stage.api.base));
        request = request.header("Accept", "application/json, text/event-stream").json(&hello);
        if !token.is_empty() {
            request = request.bearer_auth(token);
        }
        more.iter().fold(request, |request, (name, value)| request.header(*name, *value)).send()
    };
    let token = stage.api.token.clone();
    assert_eq!(post("", &[]).await.expect("an answer").status(), 401);
    assert_eq!(post("wrong", &[]).await.expect("an answer").status(), 401);
    assert_eq!(post(&token, &[("Origin", "https://evil.example")]).await.expect("an answer").status(), 403);
    assert_eq!(post(&token, &[("Host", "evil.example")]).await.expect("an answer").status(), 403);
    let fine = post(&token, &[]).await.expect("an answer");
    assert_eq!(fine.status(), 200);
    let session = fine.headers().get("mcp-session-id").expect("a session").to_str().unwrap().to_owned();
    // Whoever knows the session still has to show the token.
    let with = [("Mcp-Session-Id", session.as_str())];
    assert_eq!(post("", &with).await.expect("an answer").status(), 401);
    let huge = reqwest::Client::new().post(format!("{}/mcp", stage.api.base)).bearer_auth(&token);
    let huge = huge.body(vec![b' '; 5 << 20]).send().await.expect("an answer");
    assert_eq!(huge.status(), 413);
}

/// Runs an agent's own program in the home; what it printed.
async fn runs(stage: &Stage, program: &str, args: &[&str]) -> String {
    let port = stage.model().port;
    let mut command = Command::new(program);
    command.args(args).env_clear().envs(stage.home.environment(Some(port))).current_dir(stage.home.work());
    // Gemini leaves all servers out in a folder that it was not told to trust.
    command.env("GEMINI_CLI_TRUST_WORKSPACE", "true");
    let done = command.stdin(Stdio::null()).kill_on_drop(true).output().await.expect("it starts");
    let said = format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "{program} {args:?}: {said}");
    said
}

#[tokio::test]
async fn the_real_claude_code_asks_through_our_server_and_waits() {
    let stage = Stage::with_agents().await;
    let shown = stage.cli(&["mcp", "install", "claude", "--print"]).await.ok();
    assert!(shown.contains("+") && shown.contains("mcpServers"), "{shown}");
    let file = stage.home.path().join("claude/.claude.json");
    assert!(!file.exists(), "showing changes nothing");
    let unasked = stage.cli(&["mcp", "install", "claude"]).await;
    assert!(unasked.code == 1 && unasked.err.contains("--yes") && !file.exists(), "{}", unasked.err);
    stage.cli(&["mcp", "install", "claude", "--yes"]).await.ok();
    assert!(runs(&stage, "claude", &["mcp", "list"]).await.contains("Connected"));

    let id = stage.api.create_external("Claude Code itself").await;
    let ask = json!({ "session_id": id, "title": "Deploy", "description": "to production" });
    let prompt = format!("TOOL mcp__tether__request_approval {ask}\nECHO");
    let tools = ["--allowedTools", "mcp__tether__request_approval"];
    let port = stage.model().port;
    let child = Command::new("claude")
        .args(["-p", &prompt])
        .args(tools)
        .env_clear()
        .envs(stage.home.environment(Some(port)))
        .current_dir(stage.home.work())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("claude starts");
    let approval = asked(&stage, &id).await;
    stage.cli(&["approve", &approval, "--message", "by all means"]).await.ok();
    let done = child.wait_with_output().await.expect("it can be waited for");
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(said.contains("\"allowed\": true") || said.contains("\"allowed\":true"), "{said}");
    assert!(said.contains("by all means"), "{said}");

    stage.cli(&["mcp", "uninstall", "claude", "--yes"]).await.ok();
    let left = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(!left.contains("tether"), "{left}");
}

#[tokio::test]
async fn the_real_programs_take_the_entry_that_is_written_for_them() {
    let stage = Stage::with_agents().await;
    for (name, program, args) in [
        ("codex", "codex", &["mcp", "list"][..]),
        ("opencode", "opencode", &["mcp", "list"]),
        ("gemini", "gemini", &["mcp", "list"]),
    ] {
        stage.cli(&["mcp", "install", name, "--yes"]).await.ok();
        let said = runs(&stage, program, args).await;
        assert!(said.contains("tether"), "{name}: {said}");
        assert!(name == "codex" || said.to_lowercase().contains("connected"), "{name}: {said}");
        let again = stage.cli(&["mcp", "install", name, "--yes"]).await.ok();
        assert!(again.contains("already"), "{again}");
        stage.cli(&["mcp", "uninstall", name, "--yes"]).await.ok();
        let said = runs(&stage, program, args).await;
        assert!(!said.contains("tether mcp") && !said.contains("connected"), "{name}: {said}");
    }
}

#[tokio::test]
async fn the_server_says_what_it_misses() {
    let home = Home::new();
    // No daemon at all: the server starts, and its tools tell.
    let mut client = McpClient::tether_mcp(&home).await;
    let text = client.refused("get_session_status", json!({ "session_id": "x" })).await;
    assert!(text.contains("Cannot connect") && text.contains("tether start"), "{text}");
    client.close().await;
    let wrong = cli::tether_with(&home, &["mcp"], &[("TETHER_API_URL", "box:8787")]).await;
    assert!(wrong.code == 1 && wrong.err.contains("TETHER_API_URL"), "{}", wrong.err);
    let nobody = cli::tether(&home, &["mcp"]).await;
    assert!(nobody.code == 1 && nobody.err.contains("no MCP client"), "{}", nobody.err);
}

#[tokio::test]
async fn another_daemon_is_named_by_its_address_and_not_by_a_project() {
    let stage = stage().await;
    let mut home = Home::new();
    home.token = stage.api.token.clone();
    std::fs::write(home.work().join(".env"), format!("TETHER_API_URL={}\n", stage.api.base))
        .expect("written");
    let refused = cli::tether(&home, &["mcp"]).await;
    assert!(refused.code == 1 && refused.err.contains("may have come with a project"), "{}", refused.err);
    std::fs::remove_file(home.work().join(".env")).expect("removed");
    home.extra.insert("TETHER_API_URL".into(), stage.api.base.clone());
    let mut client = McpClient::tether_mcp(&home).await;
    let id = own_session(&mut client).await;
    assert_eq!(stage.api.session(&id).await["name"], "from MCP");
    client.close().await;
}

#[tokio::test]
async fn a_client_that_waits_over_http_does_not_hold_up_a_daemon_that_stops() {
    let mut stage = stage().await;
    let mut client = McpClient::http(&stage.home).await;
    let own = own_session(&mut client).await;
    let call = client.begin_call("request_approval", question(&own)).await;
    let approval = asked(&stage, &own).await;
    client.progress(call).await;
    let began = std::time::Instant::now();
    assert!(stage.daemon.terminate().await.success());
    assert!(began.elapsed() < std::time::Duration::from_secs(15), "{:?}", began.elapsed());
    stage.daemon.start().await;
    assert_eq!(
        stage.api.approval(&approval).await["state"],
        "open",
        "a stop answers nothing and takes nothing back"
    );
}

/// The tools that the docs name, in the order of their headings.
#[test]
fn the_docs_name_every_tool_and_no_other() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/mcp.md");
    let docs = std::fs::read_to_string(docs).expect("docs/mcp.md is there");
    let named: Vec<&str> =
        docs.lines().filter_map(|line| line.strip_prefix("### `")?.strip_suffix('`')).collect();
    let tools = tether::mcp::Server::tools();
    let real: Vec<&str> = tools.iter().map(|tool| &*tool.name).collect();
    assert_eq!(named, real);
    for tool in &tools {
        let begins = docs.find(&format!("### `{}`", tool.name)).expect("its heading");
        let section = docs[begins + 4..].split("\n### ").next().unwrap_or_default();
        for argument in tool.input_schema["properties"].as_object().expect("arguments").keys() {
            assert!(section.contains(&format!("`{argument}`")), "{}: `{argument}` is not told", tool.name);
        }
    }
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    assert!(std::fs::read_to_string(readme).expect("the README").contains("(docs/mcp.md)"));
}
