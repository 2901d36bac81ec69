//! Servers that are shell scripts: they say where they listen, which is a door of the test's own.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use futures_util::FutureExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::events::{Event, Events};
use super::*;

/// A door on the loopback address that answers every request with this, and tells what it was asked.
async fn door(answer: &'static str) -> (u16, tokio::sync::mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("it listens").port();
    let (tell, asked) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = vec![0; 4096];
            let length = stream.read(&mut request).await.unwrap_or(0);
            let _ = tell.send(String::from_utf8_lossy(&request[..length]).into_owned());
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    (port, asked)
}

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}";
const NO: &str = "HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

fn script(root: &Path, body: &str) -> Wanted {
    let program = root.join("server.sh");
    std::fs::write(&program, format!("#!/bin/sh\n{body}\n")).expect("it is written");
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).expect("it runs");
    let files = [("laid.txt".to_owned(), b"x".to_vec())].into();
    let launch = Launch { program, files, ..Launch::default() };
    Wanted { root: root.to_owned(), trusted: false, launch, own_secrets: Vec::new() }
}

fn listens(root: &Path, port: u16) -> Wanted {
    script(
        root,
        &format!("echo Warning; echo opencode server listening on http://127.0.0.1:{port}; exec sleep 600"),
    )
}

fn runs(pid: Identity) -> bool {
    processes::is_alive(pid)
}

#[tokio::test]
async fn all_who_come_share_one_server_and_only_the_user_may_read_its_address() {
    let root = tempfile::tempdir().expect("a folder");
    let (port, _asked) = door(OK).await;
    let servers = Arc::new(Servers::default());
    let (one, two) =
        tokio::join!(servers.lease(listens(root.path(), port)), servers.lease(listens(root.path(), port)));
    let (one, two) = (one.expect("it starts"), two.expect("it is shared"));
    assert_eq!(one.identity(), two.identity());
    let place = folder(root.path(), false);
    let mode =
        |name: &str| std::fs::metadata(place.join(name)).expect("it is there").permissions().mode() & 0o777;
    assert_eq!((mode("server.json"), mode("")), (0o600, 0o700));
    assert!(place.join("laid.txt").exists());
    let environment = std::fs::read(format!("/proc/{}/environ", one.identity().pid)).unwrap_or_default();
    let password = one.address().password.as_bytes();
    assert!(password.len() == 64 && environment.windows(64).any(|piece| piece == password));
    drop((one, two));
    servers.end_all(root.path()).await;
    assert!(!place.exists());
}

#[tokio::test]
async fn a_later_daemon_finds_the_server_again_and_ends_one_that_nobody_comes_for() {
    let root = tempfile::tempdir().expect("a folder");
    let (port, mut asked) = door(OK).await;
    let lease = Arc::new(Servers::default()).lease(listens(root.path(), port)).await.expect("it starts");
    let (process, password) = (lease.identity(), lease.address().password.clone());
    let later = Arc::new(Servers::default());
    let found = later.find(root.path(), process).await.expect("it is found");
    assert_eq!(found.address().password, password);
    let other = Identity { started: process.started + 1, ..process };
    assert!(later.find(root.path(), other).await.is_none());
    let another = Arc::new(Servers::default());
    let again = another.lease(listens(root.path(), port)).await.expect("it is used again");
    assert_eq!(again.identity(), process);
    let request = asked.recv().await.expect("it was asked whether it answers");
    assert!(request.starts_with("GET /global/health"), "{request}");
    assert!(request.to_lowercase().contains("authorization: basic"), "{request}");
    another.end_left(root.path()).await;
    assert!(runs(process), "somebody came for it");
    Servers::default().end_left(root.path()).await;
    assert!(!runs(process));
}

#[tokio::test]
async fn a_server_that_does_not_know_its_password_is_replaced() {
    let root = tempfile::tempdir().expect("a folder");
    let (port, _asked) = door(NO).await;
    let lease = Arc::new(Servers::default()).lease(listens(root.path(), port)).await.expect("it starts");
    let later = Arc::new(Servers::default());
    let other = later.lease(listens(root.path(), port)).await.expect("another one is started");
    assert_ne!(other.identity(), lease.identity());
    assert!(!runs(lease.identity()));
    later.end_all(root.path()).await;
}

#[tokio::test]
async fn a_server_that_dies_is_told_of_and_replaced_and_one_that_keeps_dying_is_refused_with_words() {
    let root = tempfile::tempdir().expect("a folder");
    let (port, _asked) = door(OK).await;
    let servers = Arc::new(Servers::default());
    let first = servers.lease(listens(root.path(), port)).await.expect("it starts");
    assert!(first.ended().now_or_never().is_none());
    assert!(crate::agent::program::send(first.identity(), rustix::process::Signal::KILL));
    assert_eq!(first.ended().await.signal, Some(9));
    let second = servers.lease(listens(root.path(), port)).await.expect("another one is started");
    assert_ne!(second.identity(), first.identity());
    servers.end_all(root.path()).await;
    let broken = || script(root.path(), "echo out of order >&2; exit 3");
    let error = servers.lease(broken()).await.err().expect("it does not start");
    assert!(error.message.contains("code 3") && error.message.contains("out of order"), "{}", error.message);
    for _ in 0..5 {
        servers.plain.lock().await.died("again".to_owned());
    }
    let error = servers.lease(listens(root.path(), port)).await.err().expect("it is refused");
    assert!(error.message.contains("7 times") && error.message.contains("again"), "{}", error.message);
    let trusted = Wanted { trusted: true, ..listens(root.path(), port) };
    let other = servers.lease(trusted).await.expect("the other kind is not concerned");
    assert!(runs(other.identity()));
    servers.end_all(root.path()).await;
    assert!(!runs(other.identity()));
}

#[tokio::test]
async fn what_a_server_left_that_died_before_it_listened_is_ended() {
    let root = tempfile::tempdir().expect("a folder");
    let (port, _asked) = door(OK).await;
    let left = script(root.path(), "sleep 7461 & exit 1");
    let servers = Arc::new(Servers::default());
    assert!(servers.lease(left).await.is_err());
    let still = processes::all().into_iter().any(|entry| {
        std::fs::read(format!("/proc/{}/cmdline", entry.id.pid))
            .is_ok_and(|line| line.split(|byte| *byte == 0).any(|word| word == b"7461"))
    });
    assert!(!still, "it went with the server");
    assert!(servers.lease(listens(root.path(), port)).await.is_ok());
    servers.end_all(root.path()).await;
}

#[tokio::test]
async fn the_stream_of_events_is_connected_again_and_each_time_it_is_told() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("it listens").port();
    tokio::spawn(async move {
        for number in 0.. {
            let Ok((mut stream, _)) = listener.accept().await else { return };
            let _ = stream.read(&mut [0; 4096]).await;
            let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
            let events = format!(
                "data: {{\"type\":\"server.connected\"}}\n\ndata: {{\"type\":\"server.heartbeat\"}}\n\n\
                 data: {{\"type\":\"x\",\"n\":{number}}}\n\ndata: {{\"type\":\"cut"
            );
            let _ = stream.write_all(format!("{head}{events}").as_bytes()).await;
        }
    });
    let request = start::client().expect("a client").get(format!("http://127.0.0.1:{port}/event"));
    let mut events = Events::new(request);
    for number in 0..3 {
        assert_eq!(events.next().await, Event::Connected);
        assert_eq!(events.next().await, Event::Data(format!("{{\"type\":\"x\",\"n\":{number}}}")));
    }
}
