//! The client, as the agent sees it: who is told what happens, and asked.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use serde_json::{Value, json};
use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use tokio::sync::{mpsc, oneshot};

use super::wire;

/// So many lines may wait to be written; whoever has more waits. So a client that does not read holds the agent up
/// and costs no memory.
const WAITING: usize = 64;

/// What goes out.
enum Out {
    Line(String),
    /// Tells when all before it is written.
    Flush(oneshot::Sender<()>),
}

/// A handle to the client. Cloned freely.
#[derive(Clone)]
pub struct Client(Rc<Inner>);

struct Inner {
    out: mpsc::Sender<Out>,
    /// Requests of ours without an answer, by id.
    open: RefCell<HashMap<String, oneshot::Sender<Result<Value, String>>>>,
    /// Differs from life to life, so that an answer that comes late never fits a request of the next one.
    life: String,
    asked: Cell<u64>,
    /// Whether it said that it can put forms to a person (`elicitation.form`).
    forms: Cell<bool>,
    /// Whether it said that it shows notices (`session.notices`).
    notices: Cell<bool>,
}

impl Client {
    /// A client that is written to by [`write`], which gets the other end.
    pub(super) fn new() -> (Self, Written) {
        let (out, lines) = mpsc::channel(WAITING);
        let life = uuid::Uuid::now_v7().simple().to_string();
        // The end is what is random.
        let life = life.get(20..).unwrap_or(&life).to_owned();
        let inner = Inner {
            out,
            open: RefCell::default(),
            life,
            asked: Cell::new(0),
            forms: Cell::new(false),
            notices: Cell::new(false),
        };
        (Self(Rc::new(inner)), Written(lines))
    }

    /// Notes what it said of itself in `initialize`.
    pub(super) fn introduced(&self, params: &Value) {
        let can = &params["clientCapabilities"];
        self.0.forms.set(can["elicitation"]["form"].is_object());
        self.0.notices.set(can["session"]["notices"].is_object());
    }

    /// Whether it can put forms to a person.
    pub fn has_forms(&self) -> bool {
        self.0.forms.get()
    }

    /// Whether it shows notices.
    pub fn has_notices(&self) -> bool {
        self.0.notices.get()
    }

    /// Writes a line. Waits while too many wait; a client that is gone is no error here, the program ends anyway.
    pub(super) async fn line(&self, line: String) {
        let _ = self.0.out.send(Out::Line(line)).await;
    }

    /// Tells of something outside of a session's updates. The name of one that is not in the protocol begins
    /// with `_`.
    pub async fn notify(&self, method: &str, params: Value) {
        self.line(wire::notification(method, params)).await;
    }

    /// Tells what happens in a session: `update` as in the protocol, with its `sessionUpdate`.
    pub async fn update(&self, session: &str, update: Value) {
        self.notify("session/update", json!({ "sessionId": session, "update": update })).await;
    }

    /// Asks and waits, for ever if need be. `Err` = what the client said instead, or that it is gone. A question
    /// that is no longer waited for is withdrawn.
    pub async fn ask(&self, method: &str, params: Value) -> Result<Value, String> {
        let number = self.0.asked.get();
        self.0.asked.set(number + 1);
        let id = format!("{}-{number}", self.0.life);
        let (sender, answer) = oneshot::channel();
        self.0.open.borrow_mut().insert(id.clone(), sender);
        let mut question = Question { client: self, id: &id, answered: false };
        self.line(wire::request(&id, method, params)).await;
        let answer = answer.await;
        question.answered = true;
        drop(question);
        answer.unwrap_or_else(|_| Err("the client is gone".into()))
    }

    /// Takes an answer. One that nobody waits for changes nothing.
    pub(super) fn answered(&self, id: &Value, result: Result<Value, String>) {
        let waiting = id.as_str().and_then(|id| self.0.open.borrow_mut().remove(id));
        if let Some(waiting) = waiting {
            // Whoever asked may have gone away just now.
            let _ = waiting.send(result);
        }
    }

    /// Nothing will be answered any more.
    pub(super) fn gone(&self) {
        self.0.open.borrow_mut().clear();
    }

    /// Waits until all that was said so far is written.
    pub async fn flush(&self) {
        let (sender, written) = oneshot::channel();
        if self.0.out.send(Out::Flush(sender)).await.is_ok() {
            let _ = written.await;
        }
    }
}

/// A question while it is waited for.
struct Question<'a> {
    client: &'a Client,
    id: &'a str,
    answered: bool,
}

impl Drop for Question<'_> {
    fn drop(&mut self) {
        self.client.0.open.borrow_mut().remove(self.id);
        if !self.answered {
            let line = wire::notification("$/cancel_request", json!({ "requestId": self.id }));
            // Only a courtesy: a late answer is not listened to anyway.
            let _ = self.client.0.out.try_send(Out::Line(line));
        }
    }
}

/// The lines that are to be written.
pub(super) struct Written(mpsc::Receiver<Out>);

/// Writes until there is no [`Client`] any more, or nobody reads (`Err`).
pub(super) async fn write(mut lines: Written, mut to: impl AsyncWrite + Unpin) -> std::io::Result<()> {
    let mut waiting = Vec::new();
    while let Some(out) = lines.0.recv().await {
        match out {
            Out::Line(line) => {
                waiting.extend_from_slice(line.as_bytes());
                waiting.push(b'\n');
            }
            Out::Flush(done) => {
                to.write_all(&waiting).await?;
                to.flush().await?;
                waiting.clear();
                // It may no longer matter to whoever asked.
                let _ = done.send(());
            }
        }
        // What is there at once is written at once.
        if lines.0.is_empty() && !waiting.is_empty() {
            to.write_all(&waiting).await?;
            to.flush().await?;
            waiting.clear();
        }
    }
    Ok(())
}
