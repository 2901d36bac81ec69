//! Replay: a session of 100,000 events read from the start, over server-sent events and over the WebSocket,
//! after a restart, so that nothing is in memory.

use std::time::{Duration, Instant};

use crate::support::{Bench, figure};
use futures_util::{SinkExt, StreamExt};
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

const EVENTS: usize = 100_000;

pub fn run() {
    let runtime = crate::support::runtime();
    let mut bench = Bench::new();
    bench.start();
    let session = runtime.block_on(async {
        let session = bench.session(&bench.client(), "replay").await;
        bench.fill(std::slice::from_ref(&session), EVENTS, 32).await;
        session
    });
    bench.stop();
    bench.start();
    for round in ["first", "second"] {
        let elapsed = runtime.block_on(over_sse(&bench, &session));
        show(&format!("replay of 100,000 events over SSE, {round}"), elapsed);
        let elapsed = runtime.block_on(over_socket(&bench, &session));
        show(&format!("replay of 100,000 events over the WebSocket, {round}"), elapsed);
    }
}

fn show(what: &str, elapsed: Duration) {
    let rate = EVENTS as f64 / elapsed.as_secs_f64();
    figure(what, format!("{rate:.0}/s"), ">= 150,000/s", rate >= 150_000.0);
}

/// Counts the ends of events in the raw bytes: reading them as JSON would measure the reader.
async fn over_sse(bench: &Bench, session: &str) -> Duration {
    let began = Instant::now();
    let request = bench.client().get(bench.url(&format!("/api/events/sessions/{session}")));
    let mut stream = request.send().await.expect("the daemon answers").bytes_stream();
    let (mut count, mut last) = (0, b' ');
    while count <= EVENTS {
        let bytes = stream.next().await.expect("the stream goes on").expect("it is whole");
        for byte in bytes {
            count += usize::from(byte == b'\n' && last == b'\n');
            last = byte;
        }
    }
    began.elapsed()
}

async fn over_socket(bench: &Bench, session: &str) -> Duration {
    let began = Instant::now();
    let mut request =
        bench.url("/api/ws").replacen("http", "ws", 1).into_client_request().expect("an address");
    let bearer = format!("Bearer {}", bench.token);
    request.headers_mut().insert("authorization", bearer.parse().expect("a header"));
    let (mut socket, _) = tokio_tungstenite::connect_async(request).await.expect("the socket opens");
    let frame = json!({ "type": "subscribe", "session_id": session, "id": 1 }).to_string();
    socket.send(Message::text(frame)).await.expect("the socket takes a frame");
    loop {
        let message = socket.next().await.expect("the socket goes on").expect("it is whole");
        if let Message::Text(text) = message
            && text.contains(r#""type":"caught_up""#)
        {
            return began.elapsed();
        }
    }
}
