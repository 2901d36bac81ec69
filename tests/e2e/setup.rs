//! Setting agents and chat platforms up from afar, and what is refused.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_json::{Value, json};

use crate::harness::{Home, Stage};

fn program(path: &Path, script: &str) {
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
    std::fs::write(path, format!("#!/bin/sh\n{script}\n")).expect("written");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("it can be run");
}

/// A home whose `PATH` has an npm of ours and no agents.
fn home(npm: &str) -> Home {
    let mut home = Home::new();
    let bin = home.path().join("bin");
    program(&bin.join("npm"), npm);
    home.extra.insert("PATH".into(), format!("{}:/usr/bin:/bin", bin.display()));
    home.extra.insert("ANTHROPIC_API_KEY".into(), String::new());
    home.extra.insert("CLAUDE_CONFIG_DIR".into(), String::new());
    home
}

fn agent(list: &Value, name: &str) -> Value {
    let all = list["agents"].as_array().expect("a list");
    all.iter().find(|agent| agent["name"] == name).unwrap_or_else(|| panic!("no {name} in {list}")).clone()
}

#[tokio::test]
async fn an_agent_is_installed_and_signed_in_from_afar() {
    let npm = "echo \"$@\" >> $HOME/npm.log; env >> $HOME/npm.env\n\
        printf '#!/bin/sh\\necho 2.1.330\\n' > $HOME/bin/claude; chmod +x $HOME/bin/claude";
    let stage = Stage::bare_in(home(npm)).await;
    let before = agent(&stage.api.get("/api/setup/agents").await.ok(), "claude_code");
    assert_eq!(
        (&before["installed"], &before["install_requires_met"]),
        (&json!(false), &json!(true)),
        "{before}"
    );
    assert_eq!(before["install_command"], "npm install -g @anthropic-ai/claude-code");
    let missing = stage.api.post("/api/setup/agents/claude_code/verify", json!({})).await.ok();
    assert_eq!((&missing["ok"], &missing["version"]), (&json!(false), &Value::Null), "{missing}");

    let said = stage.cli(&["setup", "agents", "claude_code"]).await;
    assert!(said.code == 1 && said.out.contains("claude 2.1.330 is installed"), "{said:?}");
    assert!(said.out.contains("signed in"), "it is not yet: {said:?}");
    let called = std::fs::read_to_string(stage.home.path().join("npm.log")).expect("npm ran");
    assert_eq!(called, "install --global --no-fund --no-audit @anthropic-ai/claude-code\n");
    let seen = std::fs::read_to_string(stage.home.path().join("npm.env")).expect("npm ran");
    assert!(!seen.contains(&stage.home.token), "npm does not get the daemon's token");

    let sign_in = json!({ "claudeAiOauth": { "accessToken": "a", "refreshToken": "r", "expiresAt": 1 } });
    let files = json!({ "files": { ".claude/.credentials.json": sign_in.to_string() } });
    let written = stage.api.post("/api/setup/agents/claude_code/credentials", files).await.ok();
    assert_eq!(written["files_written"], json!([".claude/.credentials.json"]));
    let path = stage.home.path().join(".claude/.credentials.json");
    assert_eq!(std::fs::metadata(&path).expect("it is there").permissions().mode() & 0o777, 0o600);
    let there = stage.api.post("/api/setup/agents/claude_code/verify", json!({})).await.ok();
    assert_eq!((&there["ok"], &there["authenticated"]), (&json!(true), &json!(true)), "{there}");
    // The sign-in of this machine is what was just written; it is taken as it is.
    stage.cli(&["setup", "agents", "claude_code", "--sign-in"]).await.ok();
    let listed = stage.cli(&["setup", "agents", "--check"]).await.ok();
    assert!(listed.contains("claude_code") && listed.contains("2.1.330"), "{listed}");
}

#[tokio::test]
async fn what_is_none_of_an_agents_business_is_refused_and_nothing_changes() {
    let stage = Stage::bare_in(home("echo broken >&2; exit 1")).await;
    let credentials = "/api/setup/agents/claude_code/credentials";
    for path in
        ["../../etc/passwd", "/etc/passwd", ".bashrc", ".ssh/authorized_keys", ".claude/settings.json"]
    {
        let reply = stage.api.post(credentials, json!({ "files": { path: "{}" } })).await;
        reply.error(400, "INVALID_PATH");
    }
    stage.api.post(credentials, json!({})).await.error(400, "MISSING_FIELDS");
    stage.api.post(credentials, json!({ "files": [] })).await.error(422, "VALIDATION_ERROR");
    let hook = json!({ "files": { ".claude/.credentials.json": "{\"apiKeyHelper\":\"x\"}" } });
    stage.api.post(credentials, hook).await.error(422, "VALIDATION_ERROR");
    assert!(!stage.home.path().join(".claude").exists(), "nothing was written");
    let failed = stage.api.post("/api/setup/agents/pi/install", json!({})).await.error(500, "INSTALL_FAILED");
    assert!(failed.contains("broken"), "{failed}");
    for path in
        ["/api/setup/agents/x;rm/install", "/api/setup/agents/--help/verify", "/api/setup/bridge/matrix"]
    {
        stage.api.post(path, json!({ "env": {} })).await.error(404, "NOT_FOUND");
    }
    let config = stage.home.path().join(".config/tether/config.env");
    let bridge = "/api/setup/bridge/slack";
    stage
        .api
        .post(bridge, json!({ "env": { "TETHER_AGENT_TOKEN": "x" } }))
        .await
        .error(422, "VALIDATION_ERROR");
    stage
        .api
        .post(bridge, json!({ "env": { "SLACK_BOT_TOKEN": "xoxb-1" } }))
        .await
        .error(400, "MISSING_FIELDS");
    assert!(!config.exists(), "nothing was stored");

    let pairing = stage.api.post("/api/pairing", json!({})).await.ok();
    let login = json!({ "code": pairing["code"], "name": "phone", "return_token": true });
    let device = stage.api.post("/api/login", login).await.ok();
    let token = device["token"].as_str().expect("a token");
    let ask = |method: reqwest::Method, path: &str| {
        let url = format!("http://127.0.0.1:{}{path}", stage.home.port);
        reqwest::Client::new().request(method, url).bearer_auth(token).json(&json!({ "env": {} })).send()
    };
    let look = ask(reqwest::Method::GET, "/api/setup/agents").await.expect("it answers");
    assert_eq!(look.status(), 200, "a phone may look");
    for path in ["/api/setup/agents/pi/install", credentials, bridge] {
        assert_eq!(ask(reqwest::Method::POST, path).await.expect("it answers").status(), 403, "{path}");
    }
}

#[tokio::test]
async fn a_chat_platform_is_set_up_and_the_person_told_what_comes_next() {
    let stage = Stage::bare().await;
    let vars = stage.api.get("/api/setup/bridge/vars/discord").await.ok();
    assert_eq!(
        (&vars["vars"][0]["key"], &vars["vars"][0]["required"]),
        (&json!("DISCORD_BOT_TOKEN"), &json!(true))
    );
    let none = stage.cli(&["setup", "bridge", "discord"]).await;
    assert!(none.code == 1 && none.err.contains("--set"), "{none:?}");
    let wrong = stage
        .cli(&["setup", "bridge", "discord", "--set", "DISCORD_BOT_TOKEN=t", "--set", "DISCORD_CHANNEL_ID=x"])
        .await;
    assert!(wrong.code == 1 && wrong.err.contains("DISCORD_CHANNEL_ID"), "{wrong:?}");
    let said = stage
        .cli(&[
            "setup",
            "bridge",
            "discord",
            "--set",
            "DISCORD_BOT_TOKEN=hush",
            "--set",
            "DISCORD_CHANNEL_ID=55",
        ])
        .await
        .ok();
    assert!(said.contains("tether stop, then tether start"), "{said}");
    let stored =
        std::fs::read_to_string(stage.home.path().join(".config/tether/config.env")).expect("stored");
    assert_eq!(stored, "DISCORD_BOT_TOKEN=hush\nDISCORD_CHANNEL_ID=55\n");
    let vars = stage.api.get("/api/setup/bridge/vars/discord").await;
    assert!(!vars.text.contains("hush") && vars.ok()["vars"][0]["set"] == true);
}
