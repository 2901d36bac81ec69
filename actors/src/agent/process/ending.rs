//! The end of an agent program: asked for, forced, or by itself; and of what it started.

use std::time::Duration;

use actix::prelude::*;
use tokio::time::Instant;

use super::{AgentProcess, TERM_GRACE};
use crate::agent::flow::{ProgramGone, SpoolBroken};
use crate::agent::messages::{EndStragglers, StopAgent};
use crate::agent::processes::{self, Identity};
use crate::agent::program::Exit;
use crate::agent::{stragglers, tree};
use crate::domain::agent::AgentCommand;
use crate::domain::ids::RunId;
use crate::domain::restart::{EndCause, ProgramEnd};

/// How long an agent that was told to end may take before it is terminated.
const END_GRACE: Duration = Duration::from_secs(3);
/// How long one may take to stop what it does that does not end of being told.
const STOP_GRACE: Duration = Duration::from_millis(500);

impl AgentProcess {
    /// What all processes of this run carry in their environment, and no others: the run's id, or where one program
    /// serves many, the conversation's.
    pub(super) fn marker(&self) -> RunId {
        if self.served { RunId::from(self.conversation.as_str()) } else { self.run() }
    }

    /// The run's own program.
    fn root(&self) -> Option<Identity> {
        self.identity.filter(|_| !self.served)
    }

    pub(super) fn end_tree(&self, ctx: &mut Context<Self>) {
        let (marker, root) = (self.marker(), self.root());
        let ending = async move { tree::end_tree(&marker, root, TERM_GRACE).await };
        ctx.spawn(ending.into_actor(self).map(|_, _, _| ()));
    }

    /// Ends the agent: by its protocol, then by signals, with all that it started. Where its program serves others
    /// too, that one goes on, and the run is over when what is this one's has ended.
    pub(super) fn stop(&mut self, identity: Identity, ctx: &mut Context<Self>) {
        let mut lines = self.protocol.say(&AgentCommand::Interrupt, false);
        lines.extend(self.protocol.say(&AgentCommand::End, false));
        let grace = if self.protocol.ends_when_told() { END_GRACE } else { STOP_GRACE };
        let written = self.queue(lines);
        let (marker, root) = (self.marker(), self.root());
        if self.served {
            let stop = async move {
                // Nothing to be done about one that does not arrive.
                let _ = tokio::time::timeout(END_GRACE, written).await;
                tree::end_tree(&marker, None, TERM_GRACE).await
            };
            ctx.spawn(stop.into_actor(self).map(|_, process, ctx| {
                let exit = Exit { code: Some(0), signal: None };
                process.take_end(ProgramGone { exit, stderr: Vec::new() }, ctx);
            }));
            return;
        }
        drop(written);
        let stop = async move {
            let deadline = Instant::now() + grace;
            while processes::is_alive(identity) && Instant::now() < deadline {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            tree::end_tree(&marker, root, TERM_GRACE).await
        };
        ctx.spawn(stop.into_actor(self).map(|_, _, _| ()));
    }

    /// The program, or what was this run's of it, is gone.
    fn take_end(&mut self, ProgramGone { exit, stderr }: ProgramGone, ctx: &mut Context<Self>) {
        if std::mem::replace(&mut self.gone, true) {
            return;
        }
        // A link to a server ends with its queue.
        self.writes = None;
        let hint = self.protocol.end_hint(&stderr);
        self.ended = Some(ProgramEnd {
            exit_code: exit.code,
            signal: exit.signal,
            stderr,
            hint,
            ..ProgramEnd::default()
        });
        self.flush_if_due(ctx);
    }
}

impl Handler<ProgramGone> for AgentProcess {
    type Result = ();

    fn handle(&mut self, gone: ProgramGone, ctx: &mut Self::Context) {
        self.take_end(gone, ctx);
    }
}

impl Handler<SpoolBroken> for AgentProcess {
    type Result = ();

    fn handle(&mut self, SpoolBroken { message }: SpoolBroken, ctx: &mut Self::Context) {
        let (run, identity) = (self.run(), self.identity);
        let ending = async move { tree::end_tree(&run, identity, TERM_GRACE).await };
        let text = format!("what the agent said can no longer be read ({message}), so it was ended");
        ctx.spawn(ending.into_actor(self).map(move |_, process, ctx| {
            let end = ProgramEnd { hint: Some(EndCause::Crash), ..ProgramEnd::default() };
            process.report_end(end, Some(text), ctx);
        }));
    }
}

impl Handler<StopAgent> for AgentProcess {
    type Result = ();

    fn handle(&mut self, _: StopAgent, ctx: &mut Self::Context) {
        let Some(identity) = self.identity else {
            // Still starting: it is ended when it is up.
            self.stop_wanted = true;
            return;
        };
        self.stop(identity, ctx);
    }
}

impl Handler<EndStragglers> for AgentProcess {
    type Result = ();

    fn handle(&mut self, _: EndStragglers, ctx: &mut Self::Context) {
        let (Some(_), Some(since)) = (self.identity, self.turn_began) else { return };
        let (marker, root) = (self.marker(), self.root());
        let sweep = async move { stragglers::end_stragglers(&marker, root, since, TERM_GRACE).await };
        ctx.spawn(sweep.into_actor(self).map(|_, _, _| ()));
    }
}
