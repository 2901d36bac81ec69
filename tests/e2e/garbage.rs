//! What a broken or hostile client can send: it gets an answer in words, and nobody else notices.

use std::time::Duration;

use futures_util::future::join_all;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;

use crate::harness::{Home, Stage, cli, eventually, ws};

const CASES: u32 = 150;

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(|number| json!(number)),
        ".{0,40}".prop_map(Value::from),
        Just(json!("sess_000000000000")),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map(known_key(), inner, 0..6).prop_map(|map| json!(map)),
        ]
    })
}

/// Keys that the API reads, so that values of every type come where one is looked at.
fn known_key() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(vec![
            "type",
            "id",
            "text",
            "session_id",
            "after",
            "approval_id",
            "decision",
            "scope",
            "answers",
            "updated_input",
            "message",
            "images",
            "input_id",
            "prompt",
            "approval_choice",
            "directory",
            "adapter",
            "agent_name",
            "session_name",
            "name",
            "approval_mode",
            "data",
            "request_id",
            "allow",
            "tool_name",
            "tool_input",
            "status",
            "kind",
            "is_final",
            "model",
            "restart_policy",
            "platform",
        ])
        .prop_map(str::to_owned),
        "[a-z_]{1,8}",
    ]
}

#[test]
fn no_body_on_any_route_makes_a_500_or_breaks_the_connection() {
    runtime().block_on(async {
        let stage = Stage::bare().await;
        let id = stage.api.create_external("bodies").await;
        let routes: Vec<(reqwest::Method, String)> = [
            ("POST", "/api/sessions".to_owned()),
            ("POST", format!("/api/sessions/{id}/start")),
            ("POST", format!("/api/sessions/{id}/input")),
            ("POST", format!("/api/sessions/{id}/interrupt")),
            ("POST", format!("/api/sessions/{id}/events")),
            ("POST", format!("/api/sessions/{id}/permission")),
            ("PATCH", format!("/api/sessions/{id}/rename")),
            ("PATCH", format!("/api/sessions/{id}/approval-mode")),
            ("PATCH", format!("/api/sessions/{id}/details")),
            ("POST", "/api/approvals/perm_000000000000/answer".to_owned()),
        ]
        .map(|(method, path)| (method.parse().unwrap(), path))
        .into();
        let mut runner = TestRunner::new(Config { cases: CASES, ..Config::default() });
        let body = prop_oneof![
            any_json().prop_map(|json| json.to_string().into_bytes()),
            prop::collection::vec(any::<u8>(), 0..200),
        ];
        let cases: Vec<(usize, Vec<u8>)> = (0..CASES)
            .map(|_| {
                let strategy = (0..routes.len(), &body);
                strategy.new_tree(&mut runner).expect("a value").current()
            })
            .collect();
        for (route, body) in cases {
            let (method, path) = &routes[route];
            let shown = String::from_utf8_lossy(&body).into_owned();
            let request =
                stage.api.request(method.clone(), path).header("content-type", "application/json").body(body);
            let answer =
                request.send().await.unwrap_or_else(|error| panic!("{method} {path} {shown}: {error}"));
            let status = answer.status().as_u16();
            // 503: the body asked for an agent, and there is no program here to start.
            assert!(
                status < 500 || status == 503,
                "{method} {path} {shown}: {status} {}",
                answer.text().await.unwrap()
            );
        }
        stage.api.get("/api/sessions").await.ok();
    });
}

#[test]
fn no_path_or_query_makes_a_500() {
    runtime().block_on(async {
        let stage = Stage::bare().await;
        let mut runner = TestRunner::new(Config { cases: CASES, ..Config::default() });
        let part = prop_oneof![
            prop::sample::select(vec!["sessions", "events", "approvals", "grants", "queue", "poll", "..", "%2e%2e", "%00", "%ff", "sess_000000000000"])
                .prop_map(str::to_owned),
            "[ -~]{0,12}".prop_map(|text| text.replace([' ', '?', '#', '\\'], "%20")),
        ];
        let strategy = (prop::collection::vec(part, 1..5), "[a-z_]{0,8}=[0-9a-z%-]{0,12}");
        for _ in 0..CASES {
            let (parts, query) = strategy.new_tree(&mut runner).expect("a value").current();
            let path = format!("/api/{}?{query}", parts.join("/"));
            let head = format!(
                "GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {}\r\nConnection: close\r\n\r\n",
                stage.api.token
            );
            let status = first_line(&stage, head.as_bytes()).await;
            assert!(!status.contains(" 50"), "{path}: {status}");
        }
    });
}

/// Sends bytes and reads the status line of what comes back, `""` if the connection is closed at once.
async fn first_line(stage: &Stage, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", stage.home.port)).await.expect("the daemon listens");
    // A daemon that closes early is a fine answer to garbage.
    let _ = stream.write_all(bytes).await;
    let mut buffer = vec![0; 512];
    let read = tokio::time::timeout(Duration::from_secs(20), stream.read(&mut buffer)).await;
    let count = read.expect("an answer or an end within 20 s").unwrap_or(0);
    String::from_utf8_lossy(&buffer[..count]).lines().next().unwrap_or_default().to_owned()
}

#[test]
fn no_frame_on_the_websocket_ends_the_connection_without_a_word() {
    runtime().block_on(async {
        let stage = Stage::bare().await;
        let id = stage.api.create_external("frames").await;
        let mut runner = TestRunner::new(Config { cases: CASES, ..Config::default() });
        let kinds = prop::sample::select(vec![
            "subscribe",
            "unsubscribe",
            "overview",
            "input",
            "interrupt",
            "answer",
            "ping",
            "x",
        ]);
        let strategy = (kinds, any_json());
        let mut socket = ws::connect(&stage.api).await;
        for _ in 0..CASES {
            let (kind, value) = strategy.new_tree(&mut runner).expect("a value").current();
            let frame = match value {
                Value::Object(mut fields) => {
                    fields.insert("type".into(), kind.into());
                    fields.entry("session_id").or_insert(json!(id));
                    fields.remove("id");
                    Value::Object(fields)
                }
                other => other,
            };
            socket.send(frame.to_string()).await;
            // The connection still answers, whatever that frame came to.
            socket.call(json!({ "type": "unsubscribe", "session_id": id })).await;
        }
    });
}

#[tokio::test]
async fn frames_that_are_no_text_no_json_or_too_long_are_answered_or_closed_and_others_go_on() {
    let stage = Stage::bare().await;
    let mut other = ws::connect(&stage.api).await;
    for frame in [
        Message::text("{"),
        Message::text(""),
        Message::text("[".repeat(20_000)),
        Message::binary(vec![0xff; 100]),
        Message::text("x".repeat(30 << 20)),
    ] {
        let mut socket = ws::connect(&stage.api).await;
        socket.send_raw(frame).await;
        socket.send_raw(Message::Close(None)).await;
        socket.closed(20).await;
    }
    other.send(json!({ "type": "ping" }).to_string()).await;
    other.until("pong", 10, |frame| frame["type"] == "pong").await;
}

#[tokio::test]
async fn requests_that_are_no_http_do_no_harm() {
    let stage = Stage::bare().await;
    for bytes in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..], // a TLS hello
        b"GET",
        b"GET / HTTP/9.9\r\n\r\n",
        b"\xff\xfe\xfd\r\n\r\n",
        b"POST /api/sessions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: -5\r\n\r\n",
        b"POST /api/sessions HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ] {
        let mut stream = TcpStream::connect(("127.0.0.1", stage.home.port)).await.unwrap();
        let _ = stream.write_all(bytes).await;
        stream.shutdown().await.ok();
        let mut rest = Vec::new();
        let read = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut rest)).await;
        assert!(read.is_ok(), "the connection ends: {}", String::from_utf8_lossy(bytes));
        assert!(!String::from_utf8_lossy(&rest).contains(" 500 "), "{}", String::from_utf8_lossy(&rest));
    }
    stage.api.get("/api/health").await.ok();
    let long = format!("GET /{} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", "x".repeat(200_000));
    let status = first_line(&stage, long.as_bytes()).await;
    assert!(status.is_empty() || status.contains(" 4"), "{status}");
    stage.api.get("/api/health").await.ok();
}

#[tokio::test]
async fn a_client_that_never_reads_costs_little_memory_and_delays_nobody() {
    let stage = Stage::bare().await;
    let id = stage.api.create_external("deaf").await;
    let text = "x".repeat(60_000);
    stage.api.push(&id, "output", json!({ "text": "first" })).await.ok();

    // Twenty sockets and streams that ask for everything and read nothing of it.
    let mut deaf_sockets = Vec::new();
    for _ in 0..10 {
        let mut socket = ws::connect(&stage.api).await;
        socket.send(json!({ "type": "subscribe", "session_id": id }).to_string()).await;
        deaf_sockets.push(socket);
    }
    let mut deaf_streams = Vec::new();
    for _ in 0..10 {
        let mut stream = TcpStream::connect(("127.0.0.1", stage.home.port)).await.unwrap();
        let head = format!(
            "GET /api/events/sessions/{id} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {}\r\n\r\n",
            stage.api.token
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        deaf_streams.push(stream);
    }
    let before = resident_kib(stage.daemon.pid());
    for _ in 0..800 {
        stage.api.push(&id, "output", json!({ "text": text })).await.ok();
    }
    let grown = resident_kib(stage.daemon.pid()).saturating_sub(before);
    // 48 MB were sent; unread by twenty clients that would be 960 MB.
    assert!(grown < 250 * 1024, "grew by {grown} KiB");
    let mut seen = stage.follow(&id);
    seen.until("a client that reads gets everything", 30, |events| {
        events.iter().filter(|event| event.kind == "output").count() == 801
    })
    .await;
}

fn resident_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("the daemon runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS is there");
    line.trim().trim_end_matches(" kB").trim().parse().expect("a number of KiB")
}

fn open_files(pid: u32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd")).expect("the daemon runs").count()
}

#[tokio::test]
async fn five_hundred_connections_are_served_and_given_back() {
    let stage = Stage::bare().await;
    let id = stage.api.create_external("crowd").await;
    stage.api.push(&id, "output", json!({ "text": "hello" })).await.ok();
    let pid = stage.daemon.pid();
    let before = open_files(pid);
    let clients = join_all((0..500).map(|number| {
        let (api, id) = (stage.api.clone(), id.clone());
        async move {
            let mut socket = ws::connect(&api).await;
            socket.done(json!({ "type": "subscribe", "session_id": id })).await;
            let events = socket.events(&id, 0, 60, |events| events.len() == 2).await;
            assert_eq!(events[1].text("text"), "hello", "client {number}");
            socket
        }
    }))
    .await;
    assert_eq!(clients.len(), 500);
    drop(clients);
    eventually("all connections are closed", 60, || async { (open_files(pid) <= before + 20).then_some(()) })
        .await;
    stage.api.get("/api/health").await.ok();
}

#[tokio::test]
async fn a_second_daemon_on_the_same_data_says_that_one_runs_and_harms_nothing() {
    let stage = Stage::bare().await;
    let id = stage.api.create_external("first").await;
    let spare = Home::new(); // only for its free port
    let said = cli::tether(&stage.home, &["start", "--port", &spare.port.to_string()]).await;
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.err.contains("another") || said.err.contains("already"), "{}", said.err);
    assert!(!said.err.contains("panicked"), "{}", said.err);
    assert_eq!(stage.api.session(&id).await["name"], "first");
    let same = cli::tether(&stage.home, &["start"]).await;
    assert_eq!(same.code, 1, "{same:?}");
}

#[tokio::test]
async fn a_port_that_is_taken_is_said_in_words() {
    let home = Home::new();
    let _taken = std::net::TcpListener::bind(("127.0.0.1", home.port)).expect("the port is free");
    let said = cli::tether(&home, &["start"]).await;
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.err.contains(&home.port.to_string()), "{}", said.err);
    assert!(!said.err.contains("panicked"), "{}", said.err);
}

#[tokio::test]
async fn an_agent_that_speaks_garbage_is_shown_and_harms_nobody() {
    // A program of ours in place of the agent: half a line, an over-long line, bytes that are no text.
    let mut home = Home::new();
    let program = home.path().join("broken-agent");
    let script = "#!/bin/sh\n[ \"$1\" = --version ] && { echo '2.1.330 (Claude Code)'; exit 0; }\n\
        head -c 20000000 /dev/zero | tr '\\0' x; echo\nprintf '\\377\\376{\"type\":\\n'\necho '[]'\n\
        echo '{\"type\":\"control_request\",\"request_id\":\"r\",\"request\":{\"subtype\":\"never_heard_of\"}}'\n\
        exec cat > /dev/null\n";
    std::fs::write(&program, script).unwrap();
    std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    home.extra.insert("TETHER_CLAUDE_BIN".into(), program.display().to_string());
    let stage = Stage::bare_in(home).await;
    let (_, mut seen) = stage.started("hello").await;
    let unparsed = seen.next("agent_unparsed", 0, 30).await;
    assert!(unparsed.raw.len() < 100_000, "an over-long line is cut in the record: {}", unparsed.raw.len());
    seen.until("a card or a refusal for the request that nobody knows", 30, |events| {
        events.iter().any(|event| {
            event.kind == "permission_request"
                || (event.kind == "agent_unparsed" && event.raw.contains("never_heard_of"))
                || (event.kind == "warning" && event.raw.contains("never_heard_of"))
        })
    })
    .await;
    stage.api.get("/api/health").await.ok();
}
