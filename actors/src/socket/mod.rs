//! The WebSocket of a browser (`GET /api/ws`): sessions followed from cursors, the overview, commands.
//!
//! [`Socket`] is an actor a connection; [`Sockets`] makes them, counts them, and says goodbye to all.
//! Who may connect (token, Host, Origin) is decided before, by the HTTP layer:
//!
//! ```text
//! async fn ws(req: HttpRequest, body: web::Payload, by: Person, app: web::Data<App>) -> actix_web::Result<HttpResponse> {
//!     app.sockets.accept(app.world.clone(), by.actor(), &req, body, by.revoked())
//! }
//! ```
//!
//! What a browser may cost is bounded. Towards it: 256 KiB that it has not said to have read (see
//! `window.rs`), one chunk read ahead, 512 subscriptions. From it: messages of 16 MiB, 32 commands at
//! work; beyond that it is not read, so the network holds it back. A connection whose buffers are full
//! is not polled at all, heartbeat included: `TCP_USER_TIMEOUT` on the listener's connections ends it.

use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, web};
use actix_web_actors::ws::WsResponseBuilder;
use futures_util::stream;
use tokio::sync::watch;

mod actor;
mod codec;
mod commands;
mod door;
mod incoming;
mod pump;
#[cfg(test)]
mod tests;
mod window;

pub use actor::Socket;
pub use door::Door;

use crate::domain::approval::Actor;

/// A browser is asked this often whether it is there.
const BEAT: Duration = Duration::from_secs(10);
/// A browser that sends nothing for this long, not even a pong, is gone.
const DEADLINE: Duration = Duration::from_secs(30);

/// The open sockets of the daemon. Clones are the same ones.
#[derive(Clone, Debug)]
pub struct Sockets {
    open: watch::Sender<usize>,
    goodbye: watch::Sender<Option<String>>,
    pace: Pace,
}

/// How often a browser is asked, and how long it may be silent.
#[derive(Clone, Copy, Debug)]
struct Pace {
    beat: Duration,
    deadline: Duration,
}

impl Default for Sockets {
    fn default() -> Self {
        let pace = Pace { beat: BEAT, deadline: DEADLINE };
        Self { open: watch::Sender::new(0), goodbye: watch::Sender::new(None), pace }
    }
}

impl Sockets {
    /// Turns a request into a WebSocket for the person `by`, which is closed when `revoked` resolves: their
    /// token is good no more. Fails when the request is no WebSocket handshake.
    pub fn accept<D: Door>(
        &self,
        door: D,
        by: Actor,
        request: &HttpRequest,
        body: web::Payload,
        revoked: impl Future<Output = ()> + 'static,
    ) -> actix_web::Result<HttpResponse> {
        let (goodbye, open) = (self.goodbye.subscribe(), Open::new(&self.open));
        let socket = Socket::new(door, by, body, goodbye, Box::pin(revoked), self.pace, open);
        // The socket reads the connection itself.
        WsResponseBuilder::new(socket, request, stream::empty()).start()
    }

    /// How many are open.
    pub fn open(&self) -> usize {
        *self.open.borrow()
    }

    /// Tells every browser, also those that come later, that the daemon goes, and closes (1012).
    pub fn goodbye(&self, reason: impl Into<String>) {
        self.goodbye.send_replace(Some(reason.into()));
    }

    /// Waits until none is open. Bound it: a browser that reads nothing does not close.
    pub async fn closed(&self) {
        // An error would say that the sender is gone, and it is ours.
        let _ = self.open.subscribe().wait_for(|open| *open == 0).await;
    }
}

/// Counts its socket for as long as it lives.
struct Open(watch::Sender<usize>);

impl Open {
    fn new(open: &watch::Sender<usize>) -> Self {
        open.send_modify(|open| *open += 1);
        Self(open.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.send_modify(|open| *open = open.saturating_sub(1));
    }
}
