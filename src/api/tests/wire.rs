//! The server itself, over real connections.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error as WsError, Message};

use super::*;

/// A server on a free port.
struct Served {
    port: u16,
    world: World,
    switch: ShutdownSwitch,
    handle: actix_web::dev::ServerHandle,
}

async fn served() -> Served {
    let (world, switch) = (world(), ShutdownSwitch::default());
    let listener = bind("127.0.0.1", 0).expect("a free port");
    let port = listener.port();
    let settings = Settings { token: Some(TOKEN.into()), workers: 1, ..Settings::default() };
    let running = serve(listener, world.clone(), settings, switch.clone()).await.expect("it serves");
    let handle = running.handle.clone();
    actix_web::rt::spawn(running.server);
    Served { port, world, switch, handle }
}

impl Served {
    /// Sends these bytes, and reads until the end or until `enough` is in what came.
    async fn exchange(&self, bytes: &[u8], enough: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await.expect("it listens");
        stream.write_all(bytes).await.expect("it reads");
        read_until(&mut stream, enough).await
    }

    fn head(&self, line: &str) -> String {
        format!("{line} HTTP/1.1\r\nHost: localhost:{}\r\nAuthorization: Bearer {TOKEN}\r\n", self.port)
    }
}

async fn read_until(stream: &mut TcpStream, enough: &str) -> String {
    let mut got = Vec::new();
    let read = async {
        while !String::from_utf8_lossy(&got).contains(enough) {
            // An end by reset is an end, too.
            if stream.read_buf(&mut got).await.unwrap_or(0) == 0 {
                break;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), read).await.expect("an answer");
    String::from_utf8_lossy(&got).into_owned()
}

#[actix_web::test]
async fn broken_requests_get_a_four_hundred_and_the_next_ones_are_served() {
    let served = served().await;
    let host = format!("Host: localhost:{}\r\n", served.port);
    let many: String = (0..200).map(|n| format!("X-{n}: y\r\n")).collect();
    for bytes in [
        "nonsense\r\n\r\n".to_owned(),
        format!("GET /api/health HTTP/1.1\r\n{host}X: {}\r\n\r\n", "y".repeat(200_000)),
        format!("GET /api/health HTTP/1.1\r\n{host}{many}\r\n"),
        format!("POST /api/login HTTP/1.1\r\n{host}Content-Length: 99999999999999999999\r\n\r\n"),
        format!("POST /api/login HTTP/1.1\r\n{host}Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc"),
        format!(
            "POST /api/login HTTP/1.1\r\n{host}Content-Type: application/json\r\nContent-Length: 9999999\r\n\r\n{{"
        ),
        format!("POST /api/login HTTP/1.1\r\n{host}Transfer-Encoding: chunked\r\n\r\nzz\r\n"),
        format!("GET /api/\u{1}health HTTP/1.1\r\n{host}\r\n"),
        "GET /api/health HTTP/1.1\r\n\r\n".to_owned(),
        "GET /api/health HTTP/1.0\r\n\r\n".to_owned(),
        "GET http://evil.example/api/health HTTP/1.1\r\nHost: evil.example\r\n\r\n".to_owned(),
        format!("OPTIONS * HTTP/1.1\r\n{host}\r\n"),
    ] {
        let answer = served.exchange(bytes.as_bytes(), "\r\n\r\n").await;
        let shown = &bytes[..bytes.len().min(80)];
        assert!(answer.starts_with("HTTP/1.1 4") || answer.starts_with("HTTP/1.0 4"), "{shown:?}: {answer}");
    }
    let health =
        served.exchange(format!("{}\r\n", served.head("GET /api/health")).as_bytes(), "protocol").await;
    assert!(health.starts_with("HTTP/1.1 200"), "{health}");
    served.handle.stop(false).await;
}

#[actix_web::test]
async fn each_event_lies_whole_at_the_start_of_a_chunk() {
    let served = served().await;
    let new = tether_actors::registry::NewSession {
        external_agent: Some(tether_actors::registry::ExternalAgent {
            name: "A".into(),
            ..Default::default()
        }),
        ..Default::default()
    };
    let id = served.world.create(new).await.expect("a session").id;
    for text in ["one", "two", "three"] {
        let event = tether_actors::session::ExternalEvent::Output {
            text: text.into(),
            kind: "step".into(),
            is_final: None,
        };
        served.world.push(&id, event).await.expect("it is recorded");
    }
    let ask = format!("{}\r\n", served.head(&format!("GET /events/sessions/{id}")));
    let answer = served.exchange(ask.as_bytes(), "\"three\"}").await;
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    assert!(head.to_ascii_lowercase().contains("transfer-encoding: chunked"), "{head}");
    for chunk in body.split("\n\n\r\n").filter(|chunk| chunk.ends_with('}')) {
        let (size, data) = chunk.split_once("\r\n").expect("a size and a chunk");
        assert_eq!(usize::from_str_radix(size, 16).ok(), Some(data.len() + 2), "{chunk}");
        let event: Value =
            serde_json::from_str(data.strip_prefix("data: ").expect("one data line")).expect("JSON");
        assert_eq!(event["session_id"], id.as_str());
    }
    served.handle.stop(false).await;
}

/// Tries to open a socket with this header; gives the status when it is refused.
async fn socket(served: &Served, name: &'static str, value: &str) -> Result<(), u16> {
    let mut request =
        format!("ws://localhost:{}/api/ws", served.port).into_client_request().expect("a request");
    request.headers_mut().insert("authorization", format!("Bearer {TOKEN}").parse().expect("a value"));
    request.headers_mut().insert(name, value.parse().expect("a value"));
    let stream = TcpStream::connect(("127.0.0.1", served.port)).await.expect("it listens");
    match tokio_tungstenite::client_async(request, stream).await {
        Ok((mut socket, _)) => {
            socket.send(Message::text(r#"{"type":"ping","id":1}"#)).await.expect("it reads");
            let answer = socket.next().await.expect("an answer").expect("a frame");
            assert!(answer.to_text().expect("text").contains("pong"), "{answer}");
            served.switch.turn(Stop { agents: false });
            let goodbye = socket.next().await.expect("a goodbye").expect("a frame");
            assert!(goodbye.to_text().expect("text").contains("goodbye"), "{goodbye}");
            Ok(())
        }
        Err(WsError::Http(response)) => Err(response.status().as_u16()),
        Err(error) => panic!("{error}"),
    }
}

#[actix_web::test]
async fn a_socket_opens_for_the_token_and_our_own_pages_only() {
    let served = served().await;
    let port = served.port;
    assert_eq!(socket(&served, "authorization", "Bearer wrong").await, Err(401));
    assert_eq!(socket(&served, "authorization", "").await, Err(401));
    assert_eq!(socket(&served, "origin", "https://evil.example").await, Err(403));
    assert_eq!(socket(&served, "origin", "null").await, Err(403));
    assert_eq!(socket(&served, "host", "evil.example").await, Err(403));
    let plain =
        served.exchange(format!("{}\r\n", served.head("GET /api/ws")).as_bytes(), "NO_HANDSHAKE").await;
    assert!(plain.starts_with("HTTP/1.1 400"), "{plain}");
    assert_eq!(socket(&served, "origin", &format!("http://localhost:{port}")).await, Ok(()));
    assert_eq!(socket(&served, "origin", &format!("http://localhost:{port}")).await, Err(503));
    served.handle.stop(true).await;
}
