//! A WebSocket client of the daemon.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use super::{Api, Event};

/// One connection.
pub struct Ws {
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
    next_id: u64,
    /// Frames that came while a reply was waited for.
    pub pending: std::collections::VecDeque<Value>,
}

/// Connects with these headers on top of the usual ones; the HTTP status when it is refused.
pub async fn connect_with(api: &Api, headers: &[(&str, &str)]) -> Result<Ws, u16> {
    try_connect(api, headers).await.map_err(|error| match error {
        Error::Http(answer) => answer.status().as_u16(),
        error => panic!("the WebSocket was not refused but broke: {error}"),
    })
}

/// The same for a daemon that may be dead just now.
pub async fn try_connect(api: &Api, headers: &[(&str, &str)]) -> Result<Ws, Error> {
    let address = format!("{}/api/ws", api.base.replacen("http", "ws", 1));
    let mut request = address.into_client_request().expect("a WebSocket address");
    for (name, value) in headers {
        let name =
            tokio_tungstenite::tungstenite::http::HeaderName::from_bytes(name.as_bytes()).expect("a header");
        request.headers_mut().insert(name, value.parse().expect("a header's value"));
    }
    let (stream, _) = tokio_tungstenite::connect_async(request).await?;
    Ok(Ws { stream, next_id: 0, pending: Default::default() })
}

/// Connects with the token.
pub async fn connect(api: &Api) -> Ws {
    let bearer = format!("Bearer {}", api.token);
    connect_with(api, &[("authorization", &bearer)]).await.expect("the WebSocket opens")
}

impl Ws {
    /// Sends a frame with a fresh id and waits for its reply. Frames that come first are kept.
    pub async fn call(&mut self, mut frame: Value) -> Value {
        self.next_id += 1;
        let id = json!(self.next_id);
        frame["id"] = id.clone();
        self.send(frame.to_string()).await;
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let got = self.read(deadline).await.unwrap_or_else(|how| panic!("the WebSocket: {how}"));
            let got = got.unwrap_or_else(|| panic!("no reply to {frame} within 20 s"));
            if got["type"] == "reply" && got["id"] == id {
                return got;
            }
            self.pending.push_back(got);
        }
    }

    /// The same; gives the result and panics when it was refused.
    pub async fn done(&mut self, frame: Value) -> Value {
        let reply = self.call(frame).await;
        assert_eq!(reply["ok"], true, "{reply}");
        reply["result"].clone()
    }

    /// Sends text as it is. A connection that the daemon has closed takes it without complaint.
    pub async fn send(&mut self, text: String) {
        let _ = self.stream.send(Message::text(text)).await;
    }

    /// Sends a frame of any kind.
    pub async fn send_raw(&mut self, message: Message) -> bool {
        self.stream.send(message).await.is_ok()
    }

    /// The next frame for which `wanted` holds; others are dropped.
    pub async fn until(&mut self, what: &str, seconds: u64, wanted: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + Duration::from_secs(seconds);
        loop {
            let frame = match self.pending.pop_front() {
                Some(frame) => frame,
                None => {
                    let got = self.read(deadline).await.unwrap_or_else(|how| panic!("the WebSocket: {how}"));
                    got.unwrap_or_else(|| panic!("not within {seconds} s: {what}"))
                }
            };
            if wanted(&frame) {
                return frame;
            }
        }
    }

    /// Reads events of a session until `done` holds of them; checks that they are dense after `after`.
    pub async fn events(
        &mut self,
        session: &str,
        after: u64,
        seconds: u64,
        done: impl Fn(&[Event]) -> bool,
    ) -> Vec<Event> {
        let mut events: Vec<Event> = Vec::new();
        while !done(&events) {
            let frame = self
                .until("more events", seconds, |f| f["type"] == "events" && f["session_id"] == session)
                .await;
            for envelope in frame["events"].as_array().expect("a list of events") {
                let event = Event::read(&envelope.to_string());
                let expected = events.last().map_or(after, |event| event.seq) + 1;
                assert_eq!(event.seq, expected, "a gap or a double on the WebSocket");
                events.push(event);
            }
        }
        events
    }

    /// Waits until the daemon closes the connection; the close code if it gave one.
    pub async fn closed(&mut self, seconds: u64) -> Option<u16> {
        let deadline = Instant::now() + Duration::from_secs(seconds);
        loop {
            match timeout_at(deadline, self.stream.next()).await {
                Err(_) => panic!("the daemon did not close the WebSocket within {seconds} s"),
                Ok(Some(Ok(Message::Close(frame)))) => return frame.map(|frame| frame.code.into()),
                Ok(Some(Ok(_))) => {}
                Ok(Some(Err(_)) | None) => return None,
            }
        }
    }

    /// The next text frame, `None` at the deadline; an error in words when the connection ends.
    pub async fn read(&mut self, deadline: Instant) -> Result<Option<Value>, String> {
        loop {
            match timeout_at(deadline, self.stream.next()).await {
                Err(_) => return Ok(None),
                Ok(Some(Ok(Message::Text(text)))) => {
                    let frame = serde_json::from_str(&text);
                    return Ok(Some(frame.unwrap_or_else(|error| panic!("{error}: {text}"))));
                }
                Ok(Some(Ok(Message::Close(frame)))) => {
                    return Err(format!("the daemon closed it: {frame:?}"));
                }
                Ok(Some(Ok(_))) => {} // pings are answered by the library
                Ok(other) => return Err(format!("it ended: {other:?}")),
            }
        }
    }
}
