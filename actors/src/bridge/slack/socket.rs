//! One connection of Socket Mode (`https://docs.slack.dev/apis/events-api/using-socket-mode`).

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_tungstenite::tungstenite::protocol::{Message, WebSocketConfig};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use crate::bridge::platform::Failure;

/// How long opening may take, the greeting included.
const OPENING: Duration = Duration::from_secs(20);
/// How long it may be quiet before it is asked whether it lives. Slack pings every few seconds.
const QUIET: Duration = Duration::from_secs(25);
/// How long after that it is taken for dead.
const DEAD: Duration = Duration::from_secs(45);
/// How long an acknowledgement may take to be written: Slack waits three seconds for it.
const WRITING: Duration = Duration::from_secs(5);
/// No frame of Slack's is larger.
const LONGEST: usize = 8 << 20;

/// A connection.
pub struct Socket {
    // Large, and passed about.
    stream: Box<WebSocketStream<MaybeTlsStream<TcpStream>>>,
    heard_at: Instant,
    asked: bool,
    /// How many connections the app has, this one included, as Slack said in its greeting.
    pub connections: u64,
}

/// What comes through it.
#[derive(Debug)]
pub enum Frame {
    /// Something that is to be acknowledged.
    Envelope {
        /// By this.
        id: String,
        /// All of it.
        envelope: Value,
    },
    /// Slack is about to close it; the reason.
    Disconnect(String),
    /// Nothing that matters.
    Other,
}

fn broken(what: impl std::fmt::Display) -> Failure {
    Failure::Unsure(format!("the connection to Slack broke off: {what}"))
}

impl Socket {
    /// Opens one, and waits for Slack's greeting.
    pub async fn open(address: &str) -> Result<Self, Failure> {
        let opening = async {
            let config =
                WebSocketConfig::default().max_message_size(Some(LONGEST)).max_frame_size(Some(LONGEST));
            let opened = tokio_tungstenite::connect_async_with_config(address, Some(config), true).await;
            // Its address bears a ticket, and is not told.
            let (stream, _) = opened.map_err(|_| broken("it could not be opened"))?;
            let mut socket =
                Self { stream: Box::new(stream), heard_at: Instant::now(), asked: false, connections: 1 };
            loop {
                let frame = socket.text().await?;
                match frame.get("type").and_then(Value::as_str) {
                    Some("hello") => {
                        let connections = frame.get("num_connections").and_then(Value::as_u64);
                        socket.connections = connections.unwrap_or(1);
                        return Ok(socket);
                    }
                    Some("disconnect") => return Err(refused(reason(&frame))),
                    _ => {}
                }
            }
        };
        timeout(OPENING, opening).await.unwrap_or_else(|_| Err(broken("it was not opened in time")))
    }

    /// What comes next. Nothing is lost when it is not waited for any more.
    pub async fn next(&mut self) -> Result<Frame, Failure> {
        let frame = self.text().await?;
        if let Some(id) = frame.get("envelope_id").and_then(Value::as_str) {
            return Ok(Frame::Envelope { id: id.to_owned(), envelope: frame });
        }
        Ok(match frame.get("type").and_then(Value::as_str) {
            Some("disconnect") => Frame::Disconnect(reason(&frame).to_owned()),
            _ => Frame::Other,
        })
    }

    /// The next frame of text, as JSON; null if it is none.
    async fn text(&mut self) -> Result<Value, Failure> {
        loop {
            let patience = if self.asked { DEAD } else { QUIET };
            match timeout_at(self.heard_at + patience, self.stream.next()).await {
                Err(_) if self.asked => return Err(broken("nothing was heard of it")),
                Err(_) => {
                    self.asked = true;
                    self.write(Message::Ping(bytes::Bytes::new())).await?;
                }
                Ok(None) | Ok(Some(Ok(Message::Close(_)))) => return Err(broken("Slack closed it")),
                Ok(Some(Err(error))) => return Err(broken(error)),
                Ok(Some(Ok(message))) => {
                    self.heard_at = Instant::now();
                    self.asked = false;
                    if let Message::Text(text) = message {
                        return Ok(serde_json::from_str(&text).unwrap_or_default());
                    }
                }
            }
        }
    }

    /// Says that an envelope came.
    pub async fn acknowledge(&mut self, id: &str) -> Result<(), Failure> {
        self.write(Message::text(json!({ "envelope_id": id }).to_string())).await
    }

    async fn write(&mut self, message: Message) -> Result<(), Failure> {
        match timeout(WRITING, self.stream.send(message)).await {
            Ok(written) => written.map_err(broken),
            Err(_) => Err(broken("it takes nothing any more")),
        }
    }
}

fn reason(frame: &Value) -> &str {
    frame.get("reason").and_then(Value::as_str).unwrap_or_default()
}

/// Why Slack does not want a connection.
pub fn refused(reason: &str) -> Failure {
    match reason {
        "link_disabled" => Failure::Broken(
            "Socket Mode is switched off for the Slack app: switch it on, on the app's page under Socket Mode"
                .to_owned(),
        ),
        "too_many_websockets" => Failure::Broken(
            "too many programs are connected with SLACK_APP_TOKEN: end the others, or give each its own app"
                .to_owned(),
        ),
        reason => broken(format_args!("Slack says {reason}")),
    }
}
