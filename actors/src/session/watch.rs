//! The watch on a running turn: one that takes too long, and one of which nothing is heard.

use actix::prelude::*;
use serde_json::json;

use super::*;

impl Session {
    /// Watches the limits that are set.
    pub(super) fn watch_turn(&mut self, ctx: &mut Context<Self>) {
        let settings = &self.deps.settings;
        let exact = settings.turn_idle.is_some() || settings.turn_limit.is_some();
        let period = match (exact, settings.stall) {
            (true, _) => Duration::from_secs(1),
            // To tell of a silence some seconds late is no harm, and there may be thousands of sessions.
            (false, Some(stall)) => (stall / 10).clamp(Duration::from_millis(200), Duration::from_secs(30)),
            (false, None) => return,
        };
        ctx.run_interval(period, |session, ctx| {
            if session.state() == SessionState::Running {
                session.look_at_turn(ctx);
            }
        });
    }

    fn look_at_turn(&mut self, ctx: &mut Context<Self>) {
        let settings = &self.deps.settings;
        let pending = self.deps.log.read_model.session(self.id()).is_some_and(|entry| entry.pending > 0);
        let silence = if pending { Duration::ZERO } else { self.last_news.elapsed() };
        let silent = settings.turn_idle.filter(|limit| silence >= *limit);
        let long = settings
            .turn_limit
            .filter(|limit| self.turn_started.is_some_and(|since| since.elapsed() >= *limit));
        let stalled = settings.stall.is_some_and(|limit| silence >= limit);
        match (silent, long) {
            (Some(limit), _) => {
                let why = format!("nothing was heard for {} s", limit.as_secs());
                self.interrupt_now(By::Timeout, Some(why), ctx);
            }
            (_, Some(limit)) => {
                let why = format!("the turn took longer than {} s", limit.as_secs());
                self.interrupt_now(By::Timeout, Some(why), ctx);
            }
            _ if stalled && self.stall_told != Some(self.last_news) => {
                self.stall_told = Some(self.last_news);
                let message = format!(
                    "nothing was heard of the agent for {} s: a long command may be running, or it hangs; interrupt it \
                     if it does",
                    silence.as_secs()
                );
                let warning =
                    EventDraft::new(EventType::Warning, json!({ "code": "STALLED", "message": message }));
                self.commit_then(vec![warning], Vec::new(), ctx, |_, _| {});
            }
            _ => {}
        }
    }
}
