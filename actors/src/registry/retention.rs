//! Old sessions go (`contract`: `TETHER_AGENT_SESSION_RETENTION_DAYS`).

use std::time::Duration;

use actix::prelude::*;
use tracing::{info, warn};

use super::{DeleteCell, Registry};
use crate::domain::ids::SessionId;
use crate::domain::session::{Session, SessionRecord};
use crate::domain::time::Stamp;
use crate::workspace::{Removed, Workspaces};

/// How often it is looked for them.
const TICK: Duration = Duration::from_secs(60);
/// How often it is looked for shared clones that nobody uses.
const REPO_TICK: Duration = Duration::from_secs(3600);

/// Whether a session is over and older than that: by its end, else by its last activity; one that was moved here, by
/// its move at the earliest. One that waits for an answer is not over.
pub(super) fn is_over(record: &SessionRecord, keep: Duration, now: Stamp) -> bool {
    let session = &record.session;
    let last = session.ended_at.unwrap_or(session.last_activity_at);
    let last = record.moved_here_at.map_or(last, |moved| last.max(moved));
    let seconds = i64::try_from(keep.as_secs()).unwrap_or(i64::MAX);
    !session.state.is_active() && !session.has_pending_permission && now.seconds_since(last) > seconds
}

/// What a deleted session leaves behind in repositories goes too: its work tree if it was made for it, else its
/// checkpoints.
pub(super) async fn remove_work(
    workspaces: &Workspaces,
    session: &SessionId,
    record: Option<&SessionRecord>,
) {
    let branch = record.and_then(|record| record.session.working_branch.as_deref());
    match workspaces.remove(session, branch, false).await {
        Ok(Removed::Gone | Removed::Left) => return,
        Ok(Removed::Nothing) => {}
        Err(error) => {
            return warn!(%session, %error, "the work tree of a deleted session could not be removed");
        }
    }
    let directory = record.map(|record| record.session.directory.as_str()).unwrap_or_default();
    if directory.is_empty() {
        return;
    }
    if let Err(error) = workspaces.forget_checkpoints(directory.as_ref(), session).await {
        tracing::debug!(%session, %error, "the checkpoints of a deleted session could not be removed");
    }
}

impl Registry {
    /// Looks for shared clones that nobody used for long, at once and every hour.
    pub(super) fn watch_repos(&mut self, ctx: &mut Context<Self>) {
        let workspaces = self.settings.session.workspaces.clone();
        if workspaces.settings().repo_retention.is_none()
            || workspaces.settings().repos.as_os_str().is_empty()
        {
            return;
        }
        let prune = move |workspaces: Workspaces| async move {
            for url in workspaces.prune_repos().await {
                info!(url, "an old clone was removed");
            }
        };
        tokio::spawn(prune(workspaces.clone()));
        ctx.run_interval(REPO_TICK, move |_, _| drop(tokio::spawn(prune(workspaces.clone()))));
    }

    pub(super) fn watch_retention(&mut self, ctx: &mut Context<Self>) {
        let Some(keep) = self.retention else { return };
        ctx.run_interval(TICK, move |registry, ctx| {
            let now = Stamp::now();
            let sessions = registry.log.read_model.sessions();
            let is_old = |session: &Session| {
                let entry = registry.log.read_model.session(&session.id);
                entry.is_some_and(|entry| is_over(&entry.record, keep, now))
            };
            for session in sessions.into_iter().filter(is_old) {
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
