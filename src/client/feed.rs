//! Following one session over `GET /api/ws`.

use futures_util::{SinkExt as _, StreamExt as _};
use serde::Deserialize;
use serde_json::{Value, json};
use tether_actors::domain::event::Envelope;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::{Error as WsError, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use super::{Client, ClientError, PATIENCE, SURFACE, SURFACE_HEADER, refusal};

/// What came from the daemon.
#[derive(Clone, Debug, PartialEq)]
pub enum FeedItem {
    /// Events, in order.
    Events(Vec<Envelope>),
    /// All that there was before was sent; what comes now is live.
    CaughtUp,
    /// The session is gone.
    Deleted,
    /// The connection ended; the text says why.
    Ended(String),
}

/// A subscription to one session.
pub struct Feed {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    session: String,
    url: String,
}

/// The frames of the protocol that matter here; all others are ignored.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum ServerFrame {
    Events {
        events: Vec<Envelope>,
    },
    CaughtUp,
    Reply {
        ok: bool,
        #[serde(default)]
        error: Value,
    },
    SessionDeleted {
        session_id: String,
    },
    Goodbye {
        #[serde(default)]
        reason: String,
    },
    #[serde(other)]
    Other,
}

impl Feed {
    /// Subscribes to a session, from the event after `after`.
    ///
    /// # Errors
    /// The daemon cannot be reached or refuses.
    pub async fn open(client: &Client, session: &str, after: u64) -> Result<Self, ClientError> {
        let url = client.url();
        let unreachable = |cause: String| ClientError::Unreachable { url: url.clone(), cause };
        // `http` becomes `ws`, `https` becomes `wss`.
        let address = format!("{}/api/ws", url.replacen("http", "ws", 1));
        if address.starts_with("wss:") {
            // More than one provider is compiled in, so one must be chosen. An error means that one is.
            let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        }
        let mut request = address.into_client_request().map_err(|error| unreachable(error.to_string()))?;
        let headers = request.headers_mut();
        headers.insert(SURFACE_HEADER, HeaderValue::from_static(SURFACE));
        if let Some(token) = &client.connection.token {
            let value = HeaderValue::from_str(&format!("Bearer {token}"));
            headers.insert(
                "Authorization",
                value.map_err(|_| unreachable("the token is not ASCII".to_owned()))?,
            );
        }
        let connecting = tokio::time::timeout(PATIENCE, tokio_tungstenite::connect_async(request)).await;
        let (mut socket, _) = match connecting {
            Ok(Ok(connected)) => connected,
            Ok(Err(WsError::Http(response))) => {
                return Err(refusal(
                    response.status().as_u16(),
                    response.body().as_deref().unwrap_or_default(),
                ));
            }
            Ok(Err(error)) => return Err(unreachable(super::root_cause(&error))),
            Err(_) => return Err(unreachable(format!("no answer within {} s", PATIENCE.as_secs()))),
        };
        let subscribe = json!({ "type": "subscribe", "id": 1, "session_id": session, "after": after });
        socket
            .send(Message::text(subscribe.to_string()))
            .await
            .map_err(|error| unreachable(super::root_cause(&error)))?;
        Ok(Self { socket, session: session.to_owned(), url })
    }

    /// The next thing that happens. After [`FeedItem::Ended`] there is nothing more.
    ///
    /// # Errors
    /// The daemon refused the subscription, or sent what is not the protocol.
    pub async fn next(&mut self) -> Result<FeedItem, ClientError> {
        loop {
            let text = match self.socket.next().await {
                Some(Ok(Message::Text(text))) => text,
                Some(Ok(Message::Close(_))) | None => return Ok(FeedItem::Ended("closed".to_owned())),
                Some(Ok(_)) => continue,
                Some(Err(error)) => return Ok(FeedItem::Ended(super::root_cause(&error))),
            };
            if let Some(item) = understand(&text, &self.session, &self.url)? {
                return Ok(item);
            }
        }
    }
}

fn understand(text: &str, session: &str, url: &str) -> Result<Option<FeedItem>, ClientError> {
    let frame: ServerFrame = serde_json::from_str(text)
        .map_err(|error| ClientError::Odd { url: format!("{url}/api/ws"), cause: error.to_string() })?;
    Ok(match frame {
        ServerFrame::Events { events } => Some(FeedItem::Events(events)),
        ServerFrame::CaughtUp => Some(FeedItem::CaughtUp),
        ServerFrame::SessionDeleted { session_id } if session_id == session => Some(FeedItem::Deleted),
        ServerFrame::Goodbye { reason } => Some(FeedItem::Ended(reason)),
        ServerFrame::Reply { ok: false, error } => {
            let status =
                if error.get("code").and_then(Value::as_str) == Some("NOT_FOUND") { 404 } else { 400 };
            return Err(refusal(status, json!({ "error": error }).to_string().as_bytes()));
        }
        ServerFrame::SessionDeleted { .. } | ServerFrame::Reply { .. } | ServerFrame::Other => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_understood_and_unknown_ones_ignored() {
        let read = |text: &str| understand(text, "sess_1", "http://x");
        let events = r#"{"type":"events","session_id":"sess_1","events":[
            {"session_id":"sess_1","ts":"2026-01-01T00:00:00Z","seq":1,"type":"new_kind","data":{}}]}"#;
        assert!(matches!(read(events), Ok(Some(FeedItem::Events(events))) if events.len() == 1));
        assert_eq!(
            read(r#"{"type":"caught_up","session_id":"sess_1","seq":4}"#),
            Ok(Some(FeedItem::CaughtUp))
        );
        assert_eq!(read(r#"{"type":"reply","id":1,"ok":true,"result":{}}"#), Ok(None));
        assert_eq!(read(r#"{"type":"weather","sunny":true}"#), Ok(None));
        assert_eq!(read(r#"{"type":"session_deleted","session_id":"sess_2"}"#), Ok(None));
        assert_eq!(read(r#"{"type":"session_deleted","session_id":"sess_1"}"#), Ok(Some(FeedItem::Deleted)));
        assert_eq!(
            read(r#"{"type":"goodbye","reason":"stopping"}"#),
            Ok(Some(FeedItem::Ended("stopping".into())))
        );
    }

    #[tokio::test]
    async fn a_feed_says_who_it_is_and_what_it_wants_and_tells_the_end() {
        use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};

        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("its address").port();
        let server = tokio::spawn(async move {
            let (stream, _) = listener.accept().await.expect("a client");
            let mut headers = None;
            #[expect(clippy::result_large_err, reason = "the handshake's own type")]
            let look = |request: &Request, response: Response| {
                headers = Some(request.headers().clone());
                Ok(response)
            };
            let mut socket = tokio_tungstenite::accept_hdr_async(stream, look).await.expect("a handshake");
            let asked = socket.next().await.expect("a frame").expect("a good one");
            for frame in [r#"{"type":"reply","id":1,"ok":true}"#, r#"{"type":"caught_up","seq":7}"#] {
                socket.send(Message::text(frame)).await.expect("sent");
            }
            socket.close(None).await.expect("closed");
            (headers.expect("they were seen"), asked.into_text().expect("text").to_string())
        });
        let connection =
            crate::config::Connection { host: "127.0.0.1".into(), port, token: Some("t".into()) };
        let client = Client::new(connection).expect("a client");
        let mut feed = Feed::open(&client, "sess_1", 7).await.expect("open");
        assert_eq!(feed.next().await, Ok(FeedItem::CaughtUp));
        assert!(matches!(feed.next().await, Ok(FeedItem::Ended(_))));
        let (headers, asked) = server.await.expect("the server");
        assert_eq!(
            (&headers["authorization"], &headers[SURFACE_HEADER]),
            (&"Bearer t".parse().expect("a value"), &"cli".parse().expect("a value"))
        );
        let asked: Value = serde_json::from_str(&asked).expect("JSON");
        assert_eq!(asked, json!({ "type": "subscribe", "id": 1, "session_id": "sess_1", "after": 7 }));
    }

    #[test]
    fn a_refused_subscription_is_an_error_and_so_is_what_is_no_protocol() {
        let refused = r#"{"type":"reply","id":1,"ok":false,"error":{"code":"NOT_FOUND","message":"Session not found"}}"#;
        let error = understand(refused, "sess_1", "http://x").expect_err("refused");
        assert!(error.is_status(404) && error.to_string() == "Session not found");
        assert!(matches!(understand("<html>", "sess_1", "http://x"), Err(ClientError::Odd { .. })));
    }
}
