//! The socket from outside: a real server on a loopback port, real clients, a log in memory, and a
//! world that does what a test needs of it.

mod commands;
mod limits;
mod streams;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, dev::ServerHandle, web};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use super::{Door, Pace, Sockets};
use crate::domain::approval::{Actor, Answer, Approval, ApprovalKind, ApprovalState};
use crate::domain::event::{EventDraft, EventType};
use crate::domain::ids::{ApprovalId, InputId, SessionId};
use crate::domain::session::{Session, SessionRecord};
use crate::domain::state::SessionState;
use crate::domain::time::Stamp;
use crate::gate::{ApprovalRef, GateError};
use crate::log::{Append, Class, Log, Write};
use crate::session::{GiveInput, InputAccepted, SessionError};

/// Longer than any of this takes; what waits this long has failed.
const PATIENCE: Duration = Duration::from_secs(30);

/// A world of sessions that only write down what they are told.
#[derive(Clone)]
struct World {
    log: Log,
    /// While this is true, inputs that begin with `hold` wait before they are recorded.
    holding: watch::Sender<bool>,
    revoked: watch::Sender<bool>,
    at_work: Arc<AtomicUsize>,
    most_at_work: Arc<AtomicUsize>,
}

impl World {
    fn new() -> Self {
        Self {
            log: Log::in_memory(),
            holding: watch::Sender::new(false),
            revoked: watch::Sender::new(false),
            at_work: Arc::default(),
            most_at_work: Arc::default(),
        }
    }

    async fn make_session(&self) -> SessionId {
        let record = record(SessionId::random(), "New session");
        let id = record.session.id.clone();
        self.append(&id, vec![], vec![Write::Session(Box::new(record))]).await;
        id
    }

    async fn rename(&self, id: &SessionId, name: &str) {
        self.append(id, vec![], vec![Write::Session(Box::new(record(id.clone(), name)))]).await;
    }

    async fn say(&self, id: &SessionId, texts: impl IntoIterator<Item = String>) {
        let drafts = texts.into_iter().map(|text| EventDraft::new(EventType::Output, json!({"text": text})));
        self.append(id, drafts.collect(), vec![]).await;
    }

    async fn ask(&self, session: &SessionId) -> Approval {
        let approval = open_approval(session.clone());
        self.append(session, vec![], vec![Write::Approval(Box::new(approval.clone()))]).await;
        approval
    }

    async fn append(&self, session: &SessionId, drafts: Vec<EventDraft>, writes: Vec<Write>) -> u64 {
        let append = Append { session: session.clone(), drafts, writes, class: Class::Essential };
        self.log.append(append).await.expect("an append to memory").last_seq
    }

    fn session(&self, id: &SessionId) -> Result<Session, SessionError> {
        let entry = self.log.read_model.session(id).ok_or(SessionError::NotFound)?;
        Ok(entry.record.session.clone())
    }
}

impl Door for World {
    fn log(&self) -> &Log {
        &self.log
    }

    async fn input(&self, session: &SessionId, input: GiveInput) -> Result<InputAccepted, SessionError> {
        assert_ne!(input.text, "panic", "as asked");
        self.session(session)?;
        if input.text.starts_with("hold") {
            let now = self.at_work.fetch_add(1, Ordering::SeqCst) + 1;
            self.most_at_work.fetch_max(now, Ordering::SeqCst);
            let released = self.holding.subscribe().wait_for(|holding| !holding).await.is_ok();
            assert!(released);
            self.at_work.fetch_sub(1, Ordering::SeqCst);
        }
        let input_id = input.input_id.unwrap_or_else(InputId::random);
        let data = json!({"text": input.text, "input_id": input_id});
        self.append(session, vec![EventDraft::new(EventType::UserInput, data)], vec![]).await;
        Ok(InputAccepted { session: self.session(session)?, input_id, queued: false })
    }

    async fn interrupt(&self, session: &SessionId, _: Actor, _: bool) -> Result<Session, SessionError> {
        if self.session(session)?.state == SessionState::Created {
            return Err(SessionError::InvalidState("Session not running".into()));
        }
        self.session(session)
    }

    async fn answer(
        &self,
        session: &SessionId,
        approval: ApprovalRef,
        answer: Answer,
        by: Actor,
    ) -> Result<Approval, GateError> {
        let ApprovalRef::Id(id) = approval else { panic!("a socket answers by id") };
        let mut approval = self.log.find_approval(id).await?.expect("the socket found it");
        if approval.state == ApprovalState::Open {
            let state = if answer.allowed() { ApprovalState::Allowed } else { ApprovalState::Denied };
            approval.state = state;
            approval.answer = Some(answer);
            approval.resolved_by = Some(by);
            self.append(session, vec![], vec![Write::Approval(Box::new(approval.clone()))]).await;
        } else if approval.answer.as_ref() != Some(&answer) {
            return Err(GateError::AlreadyAnswered(Box::new(approval)));
        }
        Ok(approval)
    }
}

fn record(id: SessionId, name: &str) -> SessionRecord {
    let at = Stamp::from_unix(1_800_000_000);
    let session = json!({"id": id, "state": "CREATED", "name": name, "created_at": at, "last_activity_at": at,
        "directory": "/p", "directory_has_git": false, "message_count": 0, "has_pending_permission": false});
    serde_json::from_value(json!({"session": session})).expect("a session record")
}

fn open_approval(session: SessionId) -> Approval {
    let id = ApprovalId::random();
    Approval {
        request_id: id.to_string(),
        request: "r".into(),
        id,
        session_id: session,
        kind: ApprovalKind::Tool,
        tool_name: "Bash".into(),
        tool_input: json!({"command": "ls"}),
        title: "Run a command".into(),
        directory: "/p".into(),
        diff: None,
        paths: Vec::new(),
        is_edit: false,
        questions: Vec::new(),
        reason: None,
        suggestions: None,
        tool_use_id: None,
        subagent: None,
        can_change_input: true,
        said: None,
        risk: crate::domain::risk::Risk::none(),
        run: None,
        turn: 1,
        state: ApprovalState::Open,
        requested_at: Stamp::from_unix(1_800_000_000),
        resolved_at: None,
        resolved_by: None,
        answer: None,
        delivered_at: None,
        outcome: None,
    }
}

/// A server with its world.
struct Stage {
    world: World,
    sockets: Sockets,
    port: u16,
    server: ServerHandle,
}

async fn connect_here(
    request: HttpRequest,
    body: web::Payload,
    stage: web::Data<(World, Sockets)>,
) -> actix_web::Result<HttpResponse> {
    let (world, sockets) = &**stage;
    let by = Actor::Person { surface: "web".into(), name: Some("Ana".into()) };
    let mut revoked = world.revoked.subscribe();
    sockets.accept(world.clone(), by, &request, body, async move {
        // An error says that the test is over.
        let _ = revoked.wait_for(|revoked| *revoked).await;
    })
}

impl Stage {
    async fn set() -> Self {
        Self::with(Sockets::default()).await
    }

    async fn with_pace(beat: Duration, deadline: Duration) -> Self {
        Self::with(Sockets { pace: Pace { beat, deadline }, ..Sockets::default() }).await
    }

    async fn with(sockets: Sockets) -> Self {
        let world = World::new();
        let shared = (world.clone(), sockets.clone());
        let server = HttpServer::new(move || {
            App::new().app_data(web::Data::new(shared.clone())).route("/ws", web::get().to(connect_here))
        });
        let server = server.workers(2).disable_signals().shutdown_timeout(1);
        let server = server.bind(("127.0.0.1", 0)).expect("a free port");
        let port = server.addrs()[0].port();
        let server = server.run();
        let handle = server.handle();
        actix::spawn(server);
        Self { world, sockets, port, server: handle }
    }

    async fn client(&self) -> Client {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).await.expect("a connection");
        let url = format!("ws://127.0.0.1:{}/ws", self.port);
        let (socket, _) = tokio_tungstenite::client_async(url, stream).await.expect("a WebSocket");
        Client(socket)
    }

    async fn end(self) {
        self.server.stop(false).await;
    }
}

/// A browser.
struct Client(WebSocketStream<TcpStream>);

impl Client {
    async fn send(&mut self, frame: Value) {
        self.0.send(Message::text(frame.to_string())).await.expect("a frame goes out");
    }

    /// The next message that is no ping.
    async fn next(&mut self) -> Message {
        loop {
            let message = tokio::time::timeout(PATIENCE, self.0.next()).await.expect("a message comes");
            match message.expect("the connection lives").expect("a sound message") {
                Message::Ping(_) | Message::Pong(_) => {}
                message => return message,
            }
        }
    }

    async fn frame(&mut self) -> Value {
        let message = self.next().await;
        let text = message.to_text().unwrap_or_else(|_| panic!("no text: {message:?}"));
        serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// The next frame of a type; others are passed over.
    async fn frame_of(&mut self, kind: &str) -> Value {
        loop {
            let frame = self.frame().await;
            if frame["type"] == kind {
                return frame;
            }
        }
    }

    async fn close_frame(&mut self) -> CloseFrame {
        loop {
            if let Message::Close(frame) = self.next().await {
                return frame.expect("a reason to close");
            }
        }
    }

    async fn subscribe(&mut self, session: &SessionId, after: u64) {
        self.send(json!({"type": "subscribe", "session_id": session, "after": after})).await;
    }

    /// The numbers of this session's events up to `last`, as they come.
    async fn numbers_up_to(&mut self, session: &SessionId, last: u64) -> Vec<u64> {
        let mut numbers = Vec::new();
        while numbers.last().is_none_or(|number| *number < last) {
            let frame = self.frame().await;
            if frame["type"] == "events" && frame["session_id"] == session.as_str() {
                numbers.extend(numbers_in(&frame));
            }
        }
        numbers
    }
}

fn numbers_in(frame: &Value) -> Vec<u64> {
    let events = frame["events"].as_array().expect("events");
    events.iter().map(|event| event["seq"].as_u64().expect("a number")).collect()
}

fn counted(range: std::ops::RangeInclusive<u64>) -> Vec<u64> {
    range.collect()
}
