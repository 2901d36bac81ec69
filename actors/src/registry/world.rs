//! The door to the supervised world for what people and programs touch.

use crate::domain::approval::{Actor, Answer, Approval, Grant};
use crate::domain::ids::{GrantId, InputId, SessionId};
use crate::domain::restart::RestartPolicy;
use crate::domain::session::{Input, Session};
use crate::gate::{ApprovalRef, GateError};
use crate::session::*;

/// What a new session is to be.
#[derive(Clone, Debug, Default)]
pub struct NewSession {
    /// Its name; `None` = `New session`.
    pub name: Option<String>,
    /// An existing directory, absolute, links resolved; `None` = none.
    pub directory: Option<std::path::PathBuf>,
    /// The agent to use; `None` = the configured default.
    pub adapter: Option<String>,
    /// The approval mode.
    pub approval_mode: Option<u8>,
    /// The model.
    pub model: Option<String>,
    /// What to do after a crash; `None` = the configured default.
    pub restart_policy: Option<RestartPolicy>,
    /// An agent of the person's own that will drive it.
    pub external_agent: Option<ExternalAgent>,
    /// The chat platform to bind it to (already checked to be running).
    pub platform: Option<String>,
}

/// An agent of the person's own.
#[derive(Clone, Debug, Default)]
pub struct ExternalAgent {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: Option<String>,
    /// A picture for it.
    pub icon: Option<String>,
    /// Where it works; remembered only.
    pub workspace: Option<String>,
}

/// A handle on the supervised world. Cheap to clone; every call is answered after it is durable.
#[derive(Clone)]
pub struct World {}

#[allow(unused_variables)]
impl World {
    /// Make a session.
    pub async fn create(&self, new: NewSession) -> Result<Session, SessionError> {
        unimplemented!()
    }
    /// Delete a session with all that belongs to it.
    pub async fn delete(&self, session: &SessionId) -> Result<(), SessionError> {
        unimplemented!()
    }
    /// Delete every session, running ones too (their agents are ended).
    pub async fn clear(&self) -> Result<(), SessionError> {
        unimplemented!()
    }
    /// See [`Start`].
    pub async fn start(&self, session: &SessionId, start: Start) -> Result<Session, SessionError> {
        unimplemented!()
    }
    /// See [`GiveInput`].
    pub async fn input(&self, session: &SessionId, input: GiveInput) -> Result<InputAccepted, SessionError> {
        unimplemented!()
    }
    /// See [`Interrupt`].
    pub async fn interrupt(&self, session: &SessionId, by: Actor) -> Result<Session, SessionError> {
        unimplemented!()
    }
    /// See [`Rename`].
    pub async fn rename(&self, session: &SessionId, name: String) -> Result<Session, SessionError> {
        unimplemented!()
    }
    /// See [`SetApprovalMode`].
    pub async fn set_approval_mode(
        &self,
        session: &SessionId,
        approval_mode: Option<u8>,
        by: Actor,
    ) -> Result<Session, SessionError> {
        unimplemented!()
    }
    /// See [`Configure`].
    pub async fn configure(
        &self,
        session: &SessionId,
        configure: Configure,
    ) -> Result<SessionDetails, SessionError> {
        unimplemented!()
    }
    /// See [`PushEvent`].
    pub async fn push(&self, session: &SessionId, event: ExternalEvent) -> Result<(), SessionError> {
        unimplemented!()
    }
    /// See [`GetQueue`].
    pub async fn queue(&self, session: &SessionId) -> Result<Vec<Input>, SessionError> {
        unimplemented!()
    }
    /// See [`WithdrawInput`].
    pub async fn withdraw_input(
        &self,
        session: &SessionId,
        input: InputId,
        by: Actor,
    ) -> Result<(), SessionError> {
        unimplemented!()
    }
    /// See [`GetDetails`].
    pub async fn details(&self, session: &SessionId) -> Result<SessionDetails, SessionError> {
        unimplemented!()
    }
    /// Answer an approval of a session.
    pub async fn answer(
        &self,
        session: &SessionId,
        approval: ApprovalRef,
        answer: Answer,
        by: Actor,
    ) -> Result<Approval, GateError> {
        unimplemented!()
    }
    /// Grants of one session, or of all.
    pub async fn grants(&self, session: Option<&SessionId>) -> Result<Vec<Grant>, GateError> {
        unimplemented!()
    }
    /// End a grant.
    pub async fn revoke_grant(&self, grant: &GrantId, by: Actor) -> Result<(), GateError> {
        unimplemented!()
    }
    /// Stop the world: no new work, all committed. With `agents` the agent programs are ended too,
    /// otherwise they go on and are found again at the next start.
    pub async fn shutdown(&self, agents: bool) {
        unimplemented!()
    }
}
