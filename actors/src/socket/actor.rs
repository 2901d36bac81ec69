//! The WebSocket actor: one a browser, on the web worker that accepted the connection.
//!
//! It turns messages into requests and hands them to its [pump](super::pump), and writes what the pump
//! gives it. It owns nothing that outlives it: when it dies the browser comes back with its cursors.
//! Nobody sends it messages, so its mailbox keeps its default size.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, ActorContext, AsyncContext, StreamHandler};
use actix_web::web;
use actix_web_actors::ws::{CloseCode, CloseReason, Message, ProtocolError, WebsocketContext};
use futures_util::future::LocalBoxFuture;
use futures_util::{StreamExt, stream};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::Instant;

use super::codec::{self, Refusal, Sent};
use super::door::Door;
use super::incoming::{self, Heard, MAX_COMMANDS, MAX_MESSAGE};
use super::pump::{Line, Outgoing, Pump};
use super::window;
use super::{Open, Pace};
use crate::domain::approval;
use crate::domain::code::Code;

/// How long a connection that we close may take to say goodbye, so that our reason is not lost.
const LINGER: Duration = Duration::from_secs(1);
/// The content of a ping that only asks whether anybody is there.
const BEAT: &[u8] = b"beat";

/// One browser's connection.
pub struct Socket<D: Door> {
    /// What it starts with.
    starts: Option<(Pump<D>, mpsc::Receiver<Outgoing>, web::Payload)>,
    /// To the pump; gone once the connection closes.
    line: Option<Line>,
    /// Places for commands at work.
    places: Arc<Semaphore>,
    /// When the last bytes came.
    heard: Rc<Cell<Instant>>,
    pace: Pace,
    _open: Open,
}

impl<D: Door> Socket<D> {
    /// A socket for the person `by` on this connection. It ends when `goodbye` holds a reason, or when
    /// `revoked` resolves.
    pub(super) fn new(
        door: D,
        by: approval::Actor,
        connection: web::Payload,
        goodbye: watch::Receiver<Option<String>>,
        revoked: LocalBoxFuture<'static, ()>,
        pace: Pace,
        open: Open,
    ) -> Self {
        let (pump, line, outgoing) = Pump::new(door, by, goodbye, revoked);
        Self {
            starts: Some((pump, outgoing, connection)),
            line: Some(line),
            places: Arc::new(Semaphore::new(MAX_COMMANDS as usize)),
            heard: Rc::new(Cell::new(Instant::now())),
            pace,
            _open: open,
        }
    }

    fn hear(&mut self, heard: Heard, ctx: &mut WebsocketContext<Self>) {
        if matches!(heard, Heard::Close) {
            if self.line.take().is_some() {
                ctx.close(None);
            }
            ctx.stop();
            return;
        }
        let Some(line) = &self.line else { return };
        match heard {
            Heard::Text(text, place) => match codec::parse(&text) {
                Ok(frame) => {
                    let id = frame.id.clone();
                    if line.asked.try_send((frame, place)).is_err() {
                        // The pump has died, and this actor follows; the browser may well try again.
                        let refusal = Refusal::new(Code::Restarting, "the connection is failing: try again");
                        ctx.text(codec::refused(id.as_ref(), &refusal));
                    }
                }
                Err((id, refusal)) => ctx.text(codec::refused(id.as_ref(), &refusal)),
            },
            Heard::Useless(why) => ctx.text(codec::refused(None, &Refusal::invalid(why))),
            Heard::Ping(content) => ctx.pong(&content),
            Heard::Pong(content) => {
                if let Some(count) = window::count_in(&content) {
                    line.read.send_replace(count);
                }
            }
            Heard::TooLarge => {
                let text = format!("a message is larger than {} MiB", MAX_MESSAGE >> 20);
                self.close(CloseCode::Size, text, ctx);
            }
            Heard::Broken(why) => self.close(CloseCode::Protocol, shortened(why), ctx),
            Heard::Close => {}
        }
    }

    fn write(&mut self, outgoing: Outgoing, ctx: &mut WebsocketContext<Self>) {
        if self.line.is_none() {
            return;
        }
        match outgoing {
            Outgoing::Text(text) => ctx.text(text),
            Outgoing::Ping(content) => ctx.ping(&content),
            Outgoing::Goodbye(reason) => {
                ctx.text(Sent::Goodbye { reason: &reason }.text());
                self.close(CloseCode::Restart, shortened(reason), ctx);
            }
            Outgoing::Revoked => {
                self.close(CloseCode::Policy, "this device was removed: pair it again".into(), ctx);
            }
            Outgoing::Failed => {
                self.close(CloseCode::Error, "the event log could not be read: come back".into(), ctx);
            }
        }
    }

    /// Says why, and waits a moment for the browser to close its end.
    fn close(&mut self, code: CloseCode, reason: String, ctx: &mut WebsocketContext<Self>) {
        self.line = None;
        ctx.close(Some(CloseReason { code, description: Some(reason) }));
        ctx.run_later(LINGER, |_, ctx| ctx.stop());
    }

    fn beat(&mut self, ctx: &mut WebsocketContext<Self>) {
        if self.places.available_permits() < MAX_COMMANDS as usize {
            // We may have stopped reading until its commands are done: its silence is ours.
            self.heard.set(Instant::now());
        }
        if self.heard.get().elapsed() >= self.pace.deadline {
            tracing::debug!("a browser fell silent");
            ctx.stop();
        } else if self.line.is_some() {
            ctx.ping(BEAT);
        }
    }
}

impl<D: Door> Actor for Socket<D> {
    type Context = WebsocketContext<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let Some((pump, outgoing, connection)) = self.starts.take() else { return };
        actix::spawn(pump.run());
        let heard = self.heard.clone();
        let connection = connection.inspect(move |_| heard.set(Instant::now()));
        ctx.add_stream(Box::pin(incoming::incoming(connection, self.places.clone())));
        ctx.add_stream(stream::unfold(outgoing, |mut outgoing| async move {
            Some((outgoing.recv().await?, outgoing))
        }));
        ctx.run_interval(self.pace.beat, Self::beat);
    }
}

impl<D: Door> StreamHandler<Heard> for Socket<D> {
    fn handle(&mut self, heard: Heard, ctx: &mut Self::Context) {
        self.hear(heard, ctx);
    }
}

impl<D: Door> StreamHandler<Outgoing> for Socket<D> {
    fn handle(&mut self, outgoing: Outgoing, ctx: &mut Self::Context) {
        self.write(outgoing, ctx);
    }

    fn finished(&mut self, ctx: &mut Self::Context) {
        // Unless we are closing anyway, the pump has died.
        if self.line.is_some() {
            self.close(CloseCode::Error, "something failed here: come back".into(), ctx);
        }
    }
}

/// actix-web-actors asks for a handler of what its own reader hears. It is given nothing to read: see
/// `incoming`.
impl<D: Door> StreamHandler<Result<Message, ProtocolError>> for Socket<D> {
    fn handle(&mut self, _: Result<Message, ProtocolError>, _: &mut Self::Context) {}

    fn finished(&mut self, _: &mut Self::Context) {}
}

/// A close frame has room for 123 bytes of words.
fn shortened(mut reason: String) -> String {
    let mut end = reason.len().min(120);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    reason.truncate(end);
    reason
}
