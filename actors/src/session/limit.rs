//! A hold that has an end: a usage limit that is lifted at a known time, after which the work goes on by itself.

use actix::prelude::*;
use serde_json::json;

use super::*;
use crate::domain::restart::EndCause;

/// The clock is looked at at least this often: a machine that slept, or whose clock was set, is late by no more.
const LOOK: Duration = Duration::from_secs(30);

/// What an agent is told whose account may go on.
const GO_ON: &str = "The usage limit that stopped you has been lifted. Nothing was asked of you since. Go on with what \
     you were doing.";

impl Session {
    /// Watches the time of a hold that has an end. The first call arms the watch; it goes on until nothing is held.
    pub(super) fn watch_hold(&mut self, ctx: &mut Context<Self>) {
        let until = self.record.hold.as_ref().filter(|hold| hold.cause == EndCause::UsageLimit);
        let Some(until) = until.and_then(|hold| hold.until) else { return };
        if self.hold_timer.is_some() || self.record.restart_policy == RestartPolicy::Never || self.closing {
            return;
        }
        let left = u64::try_from(until.seconds_since(Stamp::now())).unwrap_or_default();
        // A second late rather than early: the provider's clock is not ours.
        let wait = Duration::from_secs(left + 1).min(LOOK);
        self.hold_timer = Some(ctx.run_later(wait, move |session, ctx| {
            session.hold_timer = None;
            if Stamp::now() > until {
                session.lift_hold(until, ctx);
            }
            session.watch_hold(ctx);
        }));
    }

    /// The limit is over: the turn that it stopped goes on, or the session waits for a person, as the restart policy
    /// says.
    fn lift_hold(&mut self, until: Stamp, ctx: &mut Context<Self>) {
        let same = self.record.hold.as_ref().is_some_and(|hold| hold.until == Some(until));
        // Whoever set the policy to `never` meanwhile called it off.
        if !same || self.closing || self.record.restart_policy == RestartPolicy::Never {
            return;
        }
        self.record.hold = None;
        let (mut drafts, mut writes) = (Vec::new(), Vec::new());
        drafts.push(EventDraft::new(
            EventType::AgentReleased,
            json!({ "cause": EndCause::UsageLimit, "message": "the usage limit is lifted, so it goes on" }),
        ));
        if self.state() == SessionState::Error {
            let go_on =
                self.record.restart_policy == RestartPolicy::Continue && self.record.conversation_begun;
            if go_on {
                let input = self.synthetic_input(GO_ON);
                writes.push(Write::Input(Box::new(input.clone())));
                self.inputs.insert(0, input);
            }
            if !self.inputs.is_empty() {
                self.enter(SessionState::Running, &mut drafts);
            }
        }
        self.commit_then(drafts, writes, ctx, |session, ctx| session.pump(ctx));
    }
}
