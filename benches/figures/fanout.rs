//! Fan-out: 100 subscribers, half over server-sent events and half over the WebSocket, one session, 300
//! events a second. The time of each event from its push to its arrival at each subscriber.

use std::time::{Duration, Instant};

use crate::support::{Bench, figure, note, percentile};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

const SUBSCRIBERS: usize = 100;
const RATE: u32 = 300;
const SECONDS: u32 = 10;
const EVENTS: usize = (RATE * SECONDS) as usize;

pub fn run() {
    let mut bench = Bench::new();
    bench.start();
    crate::support::runtime().block_on(measure(&bench));
}

async fn measure(bench: &Bench) {
    let client = bench.client();
    let session = bench.session(&client, "fanout").await;
    bench.post(&client, &format!("/api/sessions/{session}/events"), push("ready")).await;

    let zero = Instant::now();
    let local = tokio::task::LocalSet::new();
    let arrivals = local
        .run_until(async {
            let readers: Vec<_> = (0..SUBSCRIBERS)
                .map(|number| {
                    let (client, url, session, token) =
                        (client.clone(), bench.url(""), session.clone(), bench.token.clone());
                    tokio::task::spawn_local(async move {
                        if number % 2 == 0 {
                            over_sse(&client, &url, &session, zero).await
                        } else {
                            over_socket(&url, &session, &token, zero).await
                        }
                    })
                })
                .collect();
            let pusher =
                tokio::task::spawn_local(push_at_rate(client.clone(), bench.url(""), session.clone(), zero));
            let mut arrivals = Vec::new();
            for reader in readers {
                arrivals.push(tokio::time::timeout(Duration::from_secs(120), reader).await);
            }
            pusher.await.expect("all events were pushed");
            arrivals
        })
        .await;

    let mut delays = Vec::new();
    for arrival in &arrivals {
        match arrival {
            Ok(Ok(list)) => delays.extend_from_slice(list),
            Ok(Err(error)) => note("a subscriber failed", error.to_string()),
            Err(_) => note("a subscriber", "not all in 120 s".into()),
        }
    }
    delays.sort();
    let expected = SUBSCRIBERS * EVENTS;
    let (p50, p99) = (percentile(&delays, 0.5), percentile(&delays, 0.99));
    figure(
        "100 subscribers at 300 events/s: delivered",
        format!("{} of {expected}", delays.len()),
        "all",
        delays.len() == expected,
    );
    note("  from push to arrival, p50", format!("{p50:.1?}"));
    figure("  from push to arrival, p99", format!("{p99:.1?}"), "< 50 ms", p99 < Duration::from_millis(50));
}

fn push(text: &str) -> Value {
    json!({ "type": "output", "data": { "text": text } })
}

/// Pushes events, each with the moment at which it was pushed, at an even rate. Several pushes may be in
/// flight, so that a slow answer does not slow the clock.
async fn push_at_rate(client: reqwest::Client, url: String, session: String, zero: Instant) {
    // Subscribers first: the first event is pushed when they have had a moment to connect.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let mut tick = tokio::time::interval(Duration::from_secs(1) / RATE);
    let mut flying = Vec::new();
    for _ in 0..EVENTS {
        tick.tick().await;
        let body = push(&format!("at {}", zero.elapsed().as_micros()));
        let request = client.post(format!("{url}/api/sessions/{session}/events")).json(&body).send();
        flying.push(tokio::task::spawn_local(request));
    }
    for answer in flying {
        assert!(answer.await.expect("a push").expect("the daemon answers").status().is_success());
    }
}

/// The delay of an event that tells when it was pushed; `None` for others.
fn delay(text: &str, zero: Instant) -> Option<Duration> {
    let at: u64 = text.strip_prefix("at ")?.parse().ok()?;
    Some(zero.elapsed().saturating_sub(Duration::from_micros(at)))
}

async fn over_sse(client: &reqwest::Client, url: &str, session: &str, zero: Instant) -> Vec<Duration> {
    let answer =
        client.get(format!("{url}/api/events/sessions/{session}")).send().await.expect("the daemon answers");
    let (mut stream, mut buffer, mut delays) = (answer.bytes_stream(), Vec::new(), Vec::new());
    while delays.len() < EVENTS {
        let Some(Ok(bytes)) = stream.next().await else { break };
        buffer.extend_from_slice(&bytes);
        while let Some(end) = buffer.windows(2).position(|pair| pair == b"\n\n") {
            let block: Vec<u8> = buffer.drain(..end + 2).collect();
            let text = String::from_utf8_lossy(&block);
            if let Some(data) = text.trim().strip_prefix("data: ") {
                let event: Value = serde_json::from_str(data).expect("an event is JSON");
                delays.extend(event["data"]["text"].as_str().and_then(|text| delay(text, zero)));
            }
        }
    }
    delays
}

async fn over_socket(url: &str, session: &str, token: &str, zero: Instant) -> Vec<Duration> {
    let mut request =
        format!("{}/api/ws", url.replacen("http", "ws", 1)).into_client_request().expect("an address");
    request.headers_mut().insert("authorization", format!("Bearer {token}").parse().expect("a header"));
    let (mut socket, _) = tokio_tungstenite::connect_async(request).await.expect("the socket opens");
    let frame = json!({ "type": "subscribe", "session_id": session, "id": 1 }).to_string();
    socket.send(Message::text(frame)).await.expect("the socket takes a frame");
    let mut delays = Vec::new();
    while delays.len() < EVENTS {
        let Some(Ok(message)) = socket.next().await else { break };
        let Message::Text(text) = message else { continue };
        let frame: Value = serde_json::from_str(&text).expect("a frame is JSON");
        for event in frame["events"].as_array().into_iter().flatten() {
            delays.extend(event["data"]["text"].as_str().and_then(|text| delay(text, zero)));
        }
    }
    delays
}
