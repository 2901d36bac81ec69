//! What the registry asks the log: where something goes on, and which grants there are.

use std::collections::BTreeSet;

use actix::{Context, Handler, Message};

use super::event_log::EventLog;
use super::handle::Log;
use super::keys::Kind;
use super::messages::LogError;
use super::queries::{all, entries, session_of};
use super::read_model::Condition;
use crate::domain::approval::Grant;
use crate::domain::ids::SessionId;

/// All grants of all sessions, those that have run out but were not ended yet included; oldest first.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "Result<Vec<Grant>, LogError>")]
pub struct ListGrants;

/// The sessions whose actors must be there: an agent runs, inputs wait, an approval is open, the state says that
/// something is under way, or it is held until a known time.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "Result<Vec<SessionId>, LogError>")]
pub struct ListBusySessions;

impl Log {
    /// See [`ListGrants`].
    pub async fn list_grants(&self) -> Result<Vec<Grant>, LogError> {
        self.addr.send(ListGrants).await.unwrap_or(Err(LogError::Closed))
    }

    /// See [`ListBusySessions`].
    pub async fn busy_sessions(&self) -> Result<Vec<SessionId>, LogError> {
        self.addr.send(ListBusySessions).await.unwrap_or(Err(LogError::Closed))
    }

    /// Whether new work would be taken now, to be asked before anything changes for it. The log itself has the last
    /// word.
    pub fn accepts_work(&self) -> Result<(), LogError> {
        match self.read_model.condition() {
            Condition::Healthy => Ok(()),
            Condition::LowOnDisk { free_mib, floor_mib } => {
                Err(LogError::DiskFull { path: "the data folder".to_owned(), free_mib, floor_mib })
            }
            Condition::Failing(text) => Err(LogError::Storage(text)),
        }
    }
}

impl Handler<ListGrants> for EventLog {
    type Result = Result<Vec<Grant>, LogError>;

    fn handle(&mut self, _: ListGrants, ctx: &mut Context<Self>) -> Self::Result {
        let grants = self.ledger.trusted().and_then(|store| all(store, "grant", &Kind::Grant.all()));
        self.follow_up(ctx);
        let mut grants: Vec<Grant> = grants?;
        // Those of a deleted session may not all be removed yet.
        grants.retain(|grant| self.ledger.read_model.last_seq(&grant.session_id).is_some());
        grants.sort_by(|a, b| (a.created_at, &a.id).cmp(&(b.created_at, &b.id)));
        Ok(grants)
    }
}

impl Handler<ListBusySessions> for EventLog {
    type Result = Result<Vec<SessionId>, LogError>;

    fn handle(&mut self, _: ListBusySessions, ctx: &mut Context<Self>) -> Self::Result {
        let store = self.ledger.trusted()?;
        let mut busy = BTreeSet::new();
        for kind in [Kind::Run, Kind::Input] {
            for (key, _) in entries(store, &kind.all())? {
                busy.insert(session_of(&key)?);
            }
        }
        // Those of a deleted session may not all be removed yet.
        busy.retain(|session| self.ledger.read_model.last_seq(session).is_some());
        let sessions = self.ledger.read_model.sessions().into_iter();
        let under_way = |session: &crate::domain::session::Session| {
            session.state.is_active() || session.has_pending_permission
        };
        let held_for_a_time = |session: &crate::domain::session::Session| {
            let entry = self.ledger.read_model.session(&session.id);
            entry.and_then(|entry| entry.record.hold.as_ref()?.until).is_some()
        };
        busy.extend(
            sessions
                .filter(|session| under_way(session) || held_for_a_time(session))
                .map(|session| session.id),
        );
        self.follow_up(ctx);
        Ok(busy.into_iter().collect())
    }
}
