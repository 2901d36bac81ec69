//! Old sessions go (`contract`: `TETHER_AGENT_SESSION_RETENTION_DAYS`).

use std::time::Duration;

use actix::prelude::*;
use tracing::{info, warn};

use super::{DeleteCell, Registry};
use crate::domain::session::Session;
use crate::domain::time::Stamp;

/// How often it is looked for them.
const TICK: Duration = Duration::from_secs(60);

/// Whether a session is over and older than that: by its end, else by its last activity. One that waits for an
/// answer is not over.
pub(super) fn is_over(session: &Session, keep: Duration, now: Stamp) -> bool {
    let last = session.ended_at.unwrap_or(session.last_activity_at);
    let seconds = i64::try_from(keep.as_secs()).unwrap_or(i64::MAX);
    !session.state.is_active() && !session.has_pending_permission && now.seconds_since(last) > seconds
}

impl Registry {
    pub(super) fn watch_retention(&mut self, ctx: &mut Context<Self>) {
        let Some(keep) = self.retention else { return };
        ctx.run_interval(TICK, move |registry, ctx| {
            let now = Stamp::now();
            let sessions = registry.log.read_model.sessions();
            for session in sessions.into_iter().filter(|session| is_over(session, keep, now)) {
                info!(session = %session.id, "deleting an old session");
                let deleted = ctx.address().send(DeleteCell { session: session.id.clone(), force: false });
                ctx.spawn(deleted.into_actor(registry).map(move |deleted, _, _| {
                    if let Ok(Err(error)) = deleted {
                        warn!(session = %session.id, %error, "an old session was not deleted");
                    }
                }));
            }
        });
    }
}
