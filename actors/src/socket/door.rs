//! What a socket needs of the supervised world: a few of its calls, so that a test may stand in.

use crate::domain::approval::{Actor, Answer, Approval};
use crate::domain::ids::SessionId;
use crate::domain::session::Session;
use crate::gate::{ApprovalRef, GateError};
use crate::log::Log;
use crate::registry::World;
use crate::session::{GiveInput, InputAccepted, SessionError};

/// See [`World`] for what the calls mean.
#[allow(async_fn_in_trait, reason = "a socket lives on one thread, so nothing here need be Send")]
pub trait Door: Clone + Unpin + 'static {
    /// What is followed.
    fn log(&self) -> &Log;
    /// Say something to a session.
    async fn input(&self, session: &SessionId, input: GiveInput) -> Result<InputAccepted, SessionError>;
    /// Stop its running turn.
    async fn interrupt(&self, session: &SessionId, by: Actor, force: bool) -> Result<Session, SessionError>;
    /// Answer an approval of it.
    async fn answer(
        &self,
        session: &SessionId,
        approval: ApprovalRef,
        answer: Answer,
        by: Actor,
    ) -> Result<Approval, GateError>;
}

impl Door for World {
    fn log(&self) -> &Log {
        World::log(self)
    }

    async fn input(&self, session: &SessionId, input: GiveInput) -> Result<InputAccepted, SessionError> {
        World::input(self, session, input).await
    }

    async fn interrupt(&self, session: &SessionId, by: Actor, force: bool) -> Result<Session, SessionError> {
        if force {
            World::force_stop(self, session, by).await
        } else {
            World::interrupt(self, session, by).await
        }
    }

    async fn answer(
        &self,
        session: &SessionId,
        approval: ApprovalRef,
        answer: Answer,
        by: Actor,
    ) -> Result<Approval, GateError> {
        World::answer(self, session, approval, answer, by).await
    }
}
