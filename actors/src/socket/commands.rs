//! The commands of one browser: done side by side for different sessions, one after another for the
//! same one, so that "say this" and then "stop" arrive in that order.

use std::collections::{HashMap, VecDeque};

use futures_util::future::LocalBoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt};
use serde_json::json;

use super::codec::{self, FrameId, Refusal, Request};
use super::door::Door;
use super::incoming::Place;
use crate::domain::approval::{Actor, Answer, Approval};
use crate::domain::ids::{ApprovalId, SessionId};
use crate::gate::{ApprovalRef, GateError};
use crate::session::{GiveInput, SessionError};

/// A command is done.
pub(super) struct Done {
    /// The text to send, if somebody waits for it.
    pub reply: Option<String>,
    session: Option<SessionId>,
    _place: Place,
}

struct Job {
    id: Option<FrameId>,
    request: Request,
    place: Place,
}

pub(super) struct Commands<D: Door> {
    door: D,
    by: Actor,
    at_work: FuturesUnordered<LocalBoxFuture<'static, Done>>,
    /// The sessions that have a command at work, with those that wait behind it.
    lanes: HashMap<SessionId, VecDeque<Job>>,
}

impl<D: Door> Commands<D> {
    pub fn new(door: D, by: Actor) -> Self {
        Self { door, by, at_work: FuturesUnordered::new(), lanes: HashMap::new() }
    }

    /// Does a command, now or after the session's earlier ones.
    pub fn take(&mut self, id: Option<FrameId>, request: Request, place: Place) {
        let session = match &request {
            Request::Input { session, .. } | Request::Interrupt { session, .. } => Some(session.clone()),
            Request::Answer { approval, .. } => {
                let approval = self.door.log().read_model.open_approval(approval);
                approval.map(|approval| approval.session_id.clone())
            }
            _ => None,
        };
        let job = Job { id, request, place };
        if let Some(session) = &session {
            if let Some(waiting) = self.lanes.get_mut(session) {
                waiting.push_back(job);
                return;
            }
            self.lanes.insert(session.clone(), VecDeque::new());
        }
        self.start(session, job);
    }

    fn start(&mut self, session: Option<SessionId>, job: Job) {
        let (door, by) = (self.door.clone(), self.by.clone());
        self.at_work.push(Box::pin(async move {
            let Job { id, request, place } = job;
            let reply = match perform(&door, by, request).await {
                Ok(result) => codec::done(id.as_ref(), result),
                Err(refusal) => Some(codec::refused(id.as_ref(), &refusal)),
            };
            Done { reply, session, _place: place }
        }));
    }

    /// The next command that is done; waits for ever when none is at work.
    pub async fn next(&mut self) -> Done {
        let Some(done) = self.at_work.next().await else { return std::future::pending().await };
        if let Some(session) = &done.session {
            match self.lanes.get_mut(session).and_then(VecDeque::pop_front) {
                Some(job) => self.start(Some(session.clone()), job),
                None => {
                    self.lanes.remove(session);
                }
            }
        }
        done
    }

    /// Whether any command is at work.
    pub fn is_busy(&self) -> bool {
        !self.at_work.is_empty()
    }

    /// Does what was taken, for nobody's ears.
    pub async fn finish(mut self) {
        while self.is_busy() {
            self.next().await;
        }
    }
}

async fn perform<D: Door>(door: &D, by: Actor, request: Request) -> Result<serde_json::Value, Refusal> {
    match request {
        Request::Input { session, text, images, input } => {
            let given = GiveInput { text, images, input_id: input, by };
            let accepted = door.input(&session, given).await.map_err(of_session)?;
            Ok(json!({"session": accepted.session, "input_id": accepted.input_id, "queued": accepted.queued}))
        }
        Request::Interrupt { session, force } => {
            let session = door.interrupt(&session, by, force).await.map_err(of_session)?;
            Ok(json!({"session": session}))
        }
        Request::Answer { approval, answer } => {
            let approval = give_answer(door, approval, answer, by).await.map_err(of_gate)?;
            Ok(json!({"approval": approval}))
        }
        // The rest is done by the pump itself.
        other => Err(Refusal::invalid(format!("{other:?} is no command to a session"))),
    }
}

async fn give_answer<D: Door>(
    door: &D,
    id: ApprovalId,
    answer: Answer,
    by: Actor,
) -> Result<Approval, GateError> {
    let session = match door.log().read_model.open_approval(&id) {
        Some(approval) => approval.session_id.clone(),
        // Answered, perhaps with these very words: its gate knows what that means.
        None => match door.log().find_approval(id.clone()).await? {
            Some(approval) => approval.session_id,
            None => return Err(GateError::NotFound(id.to_string())),
        },
    };
    door.answer(&session, ApprovalRef::Id(id), answer, by).await
}

fn of_session(error: SessionError) -> Refusal {
    Refusal::new(error.code(), error.to_string())
}

fn of_gate(error: GateError) -> Refusal {
    let mut refusal = Refusal::new(error.code(), error.to_string());
    if let GateError::AlreadyAnswered(approval) = error {
        refusal.details = json!({"approval": approval});
    }
    refusal
}
