//! Who is let in: the token, the Host and the Origin, on every surface.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::harness::{Home, Stage, api, cli, lines, ws};

/// Sends bytes as they are and reads the head of the answer.
fn raw(port: u16, request: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("the daemon listens");
    stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout can be set");
    stream.write_all(request.as_bytes()).expect("the daemon reads");
    let mut answer = Vec::new();
    let mut piece = [0; 4096];
    while !answer.windows(4).any(|four| four == b"\r\n\r\n") {
        match stream.read(&mut piece) {
            Ok(0) | Err(_) => break,
            Ok(count) => answer.extend_from_slice(&piece[..count]),
        }
    }
    String::from_utf8_lossy(&answer).into_owned()
}

fn status(answer: &str) -> u16 {
    answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0)
}

#[tokio::test]
async fn without_the_right_token_nothing_is_told() {
    let stage = Stage::bare().await;
    let id = stage.api.create_external("secret name").await;
    let approval = "/api/approvals/perm_000000000000/answer";
    let paths = [
        "/api/sessions".to_owned(),
        format!("/api/sessions/{id}"),
        format!("/api/events/sessions/{id}"),
        format!("/events/sessions/{id}"),
        "/api/approvals".to_owned(),
        "/api/nowhere".to_owned(),
        "/metrics".to_owned(),
        approval.to_owned(),
    ];
    let client = reqwest::Client::new();
    for path in &paths {
        for header in
            [None, Some("Bearer wrong"), Some("Bearer "), Some("Basic dTpw"), Some(&*stage.api.token)]
        {
            let mut request = client.get(format!("{}{path}", stage.api.base));
            if let Some(header) = header {
                request = request.header("authorization", header);
            }
            let reply = api::reply(request.send().await.unwrap()).await.unwrap();
            let message = reply.error(401, "UNAUTHORIZED");
            assert!(!message.is_empty());
            assert!(!reply.text.contains("secret name"));
        }
    }
    for path in ["/api/status/sessions", "/api/status/bridges"] {
        let reply =
            api::reply(client.get(format!("{}{path}", stage.api.base)).send().await.unwrap()).await.unwrap();
        assert!(!reply.text.contains("secret name"), "{path} names no session: {}", reply.text);
    }
    let health = client.get(format!("{}/api/health", stage.api.base)).send().await.unwrap();
    assert_eq!(health.status(), 200, "health needs no token");
}

#[tokio::test]
async fn the_scheme_may_be_written_anyhow_and_the_token_comes_before_the_body_and_the_404() {
    let stage = Stage::bare().await;
    let client = reqwest::Client::new();
    for scheme in ["Bearer", "bearer", "BEARER"] {
        let request = client.get(format!("{}/api/sessions", stage.api.base));
        let request = request.header("authorization", format!("{scheme} {}", stage.api.token));
        assert_eq!(request.send().await.unwrap().status(), 200, "{scheme}");
    }
    let request = client.post(format!("{}/api/sessions", stage.api.base)).body("not json");
    api::reply(request.send().await.unwrap()).await.unwrap().error(401, "UNAUTHORIZED");
}

#[tokio::test]
async fn a_foreign_host_is_refused() {
    let stage = Stage::bare().await;
    let (port, token) = (stage.home.port, &stage.api.token);
    let ask = |host: &str| {
        raw(
            port,
            &format!("GET /api/sessions HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n\r\n"),
        )
    };
    for host in ["evil.example", "evil.example:8787", "127.0.0.1.evil.example", "localhost.evil.example", ""]
    {
        let answer = ask(host);
        assert!((400..500).contains(&status(&answer)), "{host:?}: {answer}");
    }
    for host in [format!("127.0.0.1:{port}"), format!("localhost:{port}"), format!("[::1]:{port}")] {
        assert_eq!(status(&ask(&host)), 200, "{host}");
    }
}

#[tokio::test]
async fn a_foreign_origin_is_refused_also_with_the_token() {
    let stage = Stage::bare().await;
    for origin in ["https://evil.example", "null", "http://127.0.0.1:1", "http://localhost.evil.example"] {
        let request = stage
            .api
            .request(reqwest::Method::POST, "/api/sessions")
            .header("origin", origin)
            .json(&json!({}));
        let reply = api::reply(request.send().await.unwrap()).await.unwrap();
        assert_eq!(reply.status, 403, "{origin}: {}", reply.text);
        assert!(reply.body["error"]["code"].is_string(), "{}", reply.text);
    }
    let own = stage.api.request(reqwest::Method::POST, "/api/sessions").header("origin", &stage.api.base);
    assert_eq!(own.json(&json!({})).send().await.unwrap().status(), 201);
}

#[tokio::test]
async fn the_websocket_is_guarded_the_same_way() {
    let stage = Stage::bare().await;
    let bearer = format!("Bearer {}", stage.api.token);
    assert_eq!(ws::connect_with(&stage.api, &[]).await.err(), Some(401));
    assert_eq!(ws::connect_with(&stage.api, &[("authorization", "Bearer wrong")]).await.err(), Some(401));
    let foreign = [("authorization", &*bearer), ("origin", "https://evil.example")];
    assert_eq!(ws::connect_with(&stage.api, &foreign).await.err(), Some(403));
    let host = [("authorization", &*bearer), ("host", "evil.example")];
    assert!(
        ws::connect_with(&stage.api, &host).await.err().is_some_and(|status| (400..500).contains(&status))
    );
    let own = [("authorization", &*bearer), ("origin", &*stage.api.base)];
    let mut socket = ws::connect_with(&stage.api, &own).await.expect("the own page is let in");
    socket.send(json!({ "type": "ping" }).to_string()).await;
    socket.until("pong", 5, |frame| frame["type"] == "pong").await;
}

#[tokio::test]
async fn many_wrong_tokens_are_slowed_down_and_the_right_one_still_works() {
    let stage = Stage::bare().await;
    let client = reqwest::Client::new();
    let began = Instant::now();
    let mut refused = 0;
    for number in 0..30 {
        let request =
            client.get(format!("{}/api/sessions", stage.api.base)).bearer_auth(format!("guess{number}"));
        let status = request.send().await.unwrap().status().as_u16();
        assert!(status == 401 || status == 429, "{status}");
        refused += u32::from(status == 429);
    }
    assert!(refused > 0 || began.elapsed() > Duration::from_secs(1), "30 guesses in {:?}", began.elapsed());
    stage.api.get("/api/sessions").await.ok();
}

#[tokio::test]
async fn a_fresh_home_gets_a_token_and_a_private_folder_and_no_secret_is_logged() {
    let mut home = Home::new();
    home.token = String::new();
    home.extra.insert("TETHER_AGENT_LOG_LEVEL".into(), "TRACE".into());
    let stage = Stage::bare_in(home).await;
    let config = stage.home.path().join(".config/tether/config.env");
    let token = lines(&config)
        .iter()
        .find_map(|line| {
            line.strip_prefix("TETHER_AGENT_TOKEN=").map(|token| token.trim_matches('"').to_owned())
        })
        .unwrap_or_else(|| panic!("no token in {}: {:?}", config.display(), lines(&config)));
    assert!(token.len() >= 32, "{token}");
    let mode =
        |path: &std::path::Path| std::fs::metadata(path).expect("it exists").permissions().mode() & 0o777;
    assert_eq!(mode(&config), 0o600);
    assert_eq!(mode(&stage.home.path().join(".local/share/tether")), 0o700);
    assert_eq!(stage.api.get("/api/sessions").await.status, 401, "no token is no entry");
    let client = reqwest::Client::new();
    let with =
        client.get(format!("{}/api/sessions", stage.api.base)).bearer_auth(&token).send().await.unwrap();
    assert_eq!(with.status(), 200);
    let printed = stage.daemon.log();
    let link = printed.lines().find(|line| line.contains(&token));
    assert!(
        link.is_none_or(|line| line.contains("http")),
        "only the link for the browser may hold it: {link:?}"
    );
    assert_eq!(
        cli::tether(&stage.home, &["list"]).await.code,
        0,
        "the command line finds the token by itself"
    );
}

#[tokio::test]
async fn without_a_token_it_serves_nobody_but_loopback() {
    let home = Home::new();
    let said = cli::tether(&home, &["start", "--dev", "--host", "0.0.0.0"]).await;
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.err.contains("dev") && said.err.contains("0.0.0.0"), "{}", said.err);
}

#[tokio::test]
async fn secrets_of_the_daemon_are_not_in_the_agents_environment() {
    let stage = Stage::with_agents().await;
    let (_, mut seen) = stage.started("SHELL env | sort > env.txt").await;
    let ask = seen.asked(0).await;
    stage.api.allow(ask.text("approval_id")).await;
    seen.idle(1, 30).await;
    let env = lines(stage.file("env.txt"));
    assert!(env.iter().any(|line| line.starts_with("TETHER_RUN=")), "the marker is there: {env:?}");
    assert!(!env.iter().any(|line| line.contains(&stage.api.token)), "the token is not");
}
