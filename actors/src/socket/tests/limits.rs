//! What a browser may not cost us: clients that do not read, do not answer, send garbage, or come in crowds.

use bytes::BytesMut;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

use super::*;
use crate::socket::window::WINDOW;

/// A client below the level of messages: it sees pings and answers only those that it wants to.
struct Raw {
    stream: TcpStream,
    buffer: BytesMut,
    bytes_read: usize,
}

impl Raw {
    async fn connect(stage: &Stage) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", stage.port)).await.expect("a connection");
        let mut raw = Self { stream, buffer: BytesMut::new(), bytes_read: 0 };
        let handshake = "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
            Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
        raw.stream.write_all(handshake.as_bytes()).await.expect("the handshake goes out");
        while raw.buffer.windows(4).all(|end| end != b"\r\n\r\n") {
            raw.stream.read_buf(&mut raw.buffer).await.expect("the handshake comes back");
        }
        let end = raw.buffer.windows(4).position(|end| end == b"\r\n\r\n").expect("just seen") + 4;
        let _ = raw.buffer.split_to(end);
        raw
    }

    async fn send(&mut self, mut frame: Frame) {
        frame.header_mut().mask = Some([1, 2, 3, 4]);
        let mut bytes = Vec::new();
        frame.format(&mut bytes).expect("a frame");
        self.stream.write_all(&bytes).await.expect("a frame goes out");
    }

    async fn send_text(&mut self, frame: Value) {
        self.send(text(frame.to_string())).await;
    }

    /// The next frame: its first byte and its payload; `None` at the end of the connection.
    async fn frame(&mut self) -> Option<(u8, Vec<u8>)> {
        loop {
            if let Some(frame) = self.buffered() {
                return Some(frame);
            }
            let read = tokio::time::timeout(PATIENCE, self.stream.read_buf(&mut self.buffer)).await;
            match read.expect("something comes") {
                Ok(0) | Err(_) => return None,
                Ok(read) => self.bytes_read += read,
            }
        }
    }

    fn buffered(&mut self) -> Option<(u8, Vec<u8>)> {
        let (first, short) = (*self.buffer.first()?, *self.buffer.get(1)?);
        let (header, length) = match short {
            126 => (4, u16::from_be_bytes(self.buffer.get(2..4)?.try_into().ok()?) as usize),
            127 => (10, u64::from_be_bytes(self.buffer.get(2..10)?.try_into().ok()?) as usize),
            short => (2, short as usize),
        };
        if self.buffer.len() < header + length {
            return None;
        }
        let frame = self.buffer.split_to(header + length);
        Some((first, frame[header..].to_vec()))
    }

    /// Reads up to the answer to a `ping` message sent now: all that was handed over before it. Gives the
    /// marks among it, unanswered.
    async fn read_what_is_there(&mut self) -> (usize, Vec<Vec<u8>>) {
        self.send_text(json!({"type": "ping"})).await;
        let (mut bytes, mut marks) = (0, Vec::new());
        loop {
            let (first, payload) = self.frame().await.expect("the connection lives");
            bytes += payload.len();
            if first & 0xf == 0x9 && payload.starts_with(b"read ") {
                marks.push(payload);
            } else if payload == br#"{"type":"pong"}"# {
                return (bytes, marks);
            }
        }
    }
}

fn text(payload: impl AsRef<[u8]>) -> Frame {
    Frame::message(payload.as_ref().to_vec(), OpCode::Data(Data::Text), true)
}

#[actix::test]
async fn a_client_that_never_reads_gets_a_window_and_others_get_all() {
    let stage = Stage::set().await;
    let session = stage.world.make_session().await;
    let mut stuck = Raw::connect(&stage).await;
    stuck.send_text(json!({"type": "subscribe", "session_id": session})).await;
    let mut reader = stage.client().await;
    reader.subscribe(&session, 0).await;
    let (world, id) = (stage.world.clone(), session.clone());
    let writer = actix::spawn(async move {
        for _ in 0..500 {
            world.say(&id, (0..10).map(|_| "x".repeat(10_000))).await;
        }
    });
    assert_eq!(reader.numbers_up_to(&session, 5_000).await, counted(1..=5_000), "50 MB");
    writer.await.expect("the writer ends");

    let most = WINDOW as usize + (128 << 10);
    let (bytes, marks) = stuck.read_what_is_there().await;
    assert!(bytes > WINDOW as usize / 2, "only {bytes} bytes were handed over");
    assert!(bytes < most, "{bytes} bytes were handed over and none were read");
    let (bytes, _) = stuck.read_what_is_there().await;
    assert!(bytes < 1_000, "{bytes} more bytes came without a sign that anything was read");
    // As soon as it says that it has read, it goes on.
    stuck.send(Frame::pong(marks.last().expect("a mark").clone())).await;
    let (first, _) = stuck.frame().await.expect("the connection lives");
    assert_eq!(first & 0xf, 1, "events again");
    stage.end().await;
}

#[actix::test]
async fn a_client_that_answers_no_ping_is_closed_and_one_that_does_stays() {
    let stage = Stage::with_pace(Duration::from_millis(50), Duration::from_millis(500)).await;
    let mut silent = Raw::connect(&stage).await;
    let mut alive = stage.client().await;
    let reading = actix::spawn(async move {
        // Reading answers pings by itself.
        alive.frame_of("goodbye").await
    });
    while silent.frame().await.is_some() {}
    assert_eq!(stage.sockets.open(), 1, "the one that answers is still there");
    stage.sockets.goodbye("enough");
    reading.await.expect("it heard goodbye");
    stage.end().await;
}

#[actix::test]
async fn a_slow_command_is_not_taken_for_silence() {
    let stage = Stage::with_pace(Duration::from_millis(20), Duration::from_millis(100)).await;
    stage.world.holding.send_replace(true);
    let mut client = Raw::connect(&stage).await;
    let session = stage.world.make_session().await;
    client.send_text(json!({"type": "input", "session_id": session, "text": "hold", "id": 1})).await;
    // It answers no ping, as if its pongs stood behind what we do not read.
    let mut beats = 0;
    while beats < 20 {
        let (first, _) = client.frame().await.expect("the connection lives");
        beats += usize::from(first & 0xf == 0x9);
    }
    stage.world.holding.send_replace(false);
    loop {
        let (_, payload) = client.frame().await.expect("the reply comes");
        if payload.starts_with(br#"{"type":"reply""#) {
            break;
        }
    }
    stage.end().await;
}

#[actix::test]
async fn a_message_over_the_limit_is_refused_by_its_header() {
    let stage = Stage::set().await;
    let mut client = Raw::connect(&stage).await;
    let mut header = vec![0x81, 0x80 | 127];
    header.extend_from_slice(&(1u64 << 34).to_be_bytes());
    header.extend_from_slice(&[0; 4]);
    client.stream.write_all(&header).await.expect("a header goes out");
    let (first, payload) = client.frame().await.expect("an answer");
    assert_eq!((first & 0xf, u16::from_be_bytes([payload[0], payload[1]])), (0x8, 1009));
    stage.end().await;
}

#[actix::test]
async fn a_message_in_many_pieces_is_one_command() {
    let stage = Stage::set().await;
    let mut client = stage.client().await;
    let text = format!(r#"{{"type":"ping","id":"{}"}}"#, "x".repeat(100));
    let pieces: Vec<_> = text.as_bytes().chunks(7).collect();
    for (index, piece) in pieces.iter().enumerate() {
        let kind = if index == 0 { Data::Text } else { Data::Continue };
        let frame = Frame::message(piece.to_vec(), OpCode::Data(kind), index + 1 == pieces.len());
        client.0.send(Message::Frame(frame)).await.expect("a piece goes out");
    }
    assert_eq!(client.frame().await["type"], "pong");
    stage.end().await;
}

#[actix::test]
async fn garbage_is_refused_message_by_message_and_the_connection_stays() {
    let stage = Stage::set().await;
    let session = stage.world.make_session().await;
    let mut client = stage.client().await;
    let useless = prop_oneof![
        ".{0,300}".prop_map(Message::text),
        prop::collection::vec(any::<u8>(), 0..300).prop_map(Message::binary),
        Just(Message::text("[".repeat(10_000))),
        Just(Message::text(r#"{"type":"input","text":"x"}"#)),
        Just(Message::text(r#"{"type":"answer","approval_id":[],"decision":"allow"}"#)),
        Just(Message::text(format!(r#"{{"type":"subscribe","session_id":"{session}","after":1e99}}"#))),
        "[a-z]{1,12}"
            .prop_map(|kind| Message::text(json!({"type": format!("x{kind}"), "id": 1}).to_string())),
    ];
    let mut runner = TestRunner::deterministic();
    for round in 0..40 {
        let messages =
            prop::collection::vec(useless.clone(), 1..30).new_tree(&mut runner).expect("garbage").current();
        let count = messages.len();
        for message in messages {
            client.0.send(message).await.expect("it goes out");
        }
        client.send(json!({"type": "ping", "id": format!("round {round}")})).await;
        for _ in 0..count {
            let reply = client.frame().await;
            assert_eq!((&reply["type"], &reply["ok"]), (&json!("reply"), &json!(false)), "{reply}");
            assert!(
                reply["error"]["message"].as_str().is_some_and(|text| !text.is_empty() && text.len() < 600)
            );
        }
        assert_eq!(client.frame().await["id"], format!("round {round}"));
    }
    stage.end().await;
}

#[actix::test]
async fn text_that_is_not_utf8_is_refused_and_the_connection_stays() {
    let stage = Stage::set().await;
    let mut client = Raw::connect(&stage).await;
    client.send(text(b"\xff\xff")).await;
    let (_, payload) = client.frame().await.expect("an answer");
    let reply: Value = serde_json::from_slice(&payload).expect("JSON");
    assert_eq!(reply["error"]["message"], "the message is not UTF-8");
    client.read_what_is_there().await;
    stage.end().await;
}

#[actix::test]
async fn only_so_many_sessions_are_followed_at_once() {
    let stage = Stage::set().await;
    let mut client = stage.client().await;
    let mut sessions = Vec::new();
    for _ in 0..crate::socket::pump::MAX_SUBSCRIPTIONS {
        let session = stage.world.make_session().await;
        client.subscribe(&session, 0).await;
        sessions.push(session);
    }
    let one_more = stage.world.make_session().await;
    client.subscribe(&one_more, 0).await;
    assert_eq!(client.frame_of("reply").await["error"]["code"], "TOO_MANY_SUBSCRIPTIONS");
    client.send(json!({"type": "unsubscribe", "session_id": sessions[0]})).await;
    client.send(json!({"type": "subscribe", "session_id": one_more, "id": 1})).await;
    assert_eq!(client.frame_of("reply").await["ok"], true);
    stage.end().await;
}

#[actix::test]
async fn who_may_not_come_in_any_more_is_closed() {
    let stage = Stage::set().await;
    let mut client = stage.client().await;
    client.send(json!({"type": "ping"})).await;
    client.frame_of("pong").await;
    stage.world.revoked.send_replace(true);
    assert_eq!(u16::from(client.close_frame().await.code), 1008);
    stage.end().await;
}

#[actix::test]
async fn five_hundred_connections_come_and_go() {
    let stage = Stage::set().await;
    let session = stage.world.make_session().await;
    let mut open = Vec::new();
    for index in 0..500 {
        let mut client = stage.client().await;
        client.subscribe(&session, 0).await;
        if index % 2 == 0 {
            // Half of them just vanish, half of them leave properly.
            drop(client);
        } else {
            open.push(client);
        }
    }
    for client in &mut open {
        client.frame_of("caught_up").await;
        client.0.close(None).await.expect("a close goes out");
    }
    tokio::time::timeout(PATIENCE, stage.sockets.closed()).await.expect("none is left");
    stage.world.say(&session, ["still here".into()]).await;
    let mut client = stage.client().await;
    client.subscribe(&session, 0).await;
    assert_eq!(client.numbers_up_to(&session, 1).await, [1]);
    stage.end().await;
}
