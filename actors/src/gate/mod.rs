//! The approval gate: one actor a session.
//!
//! It owns the session's open approvals, its grants and its approval mode. Its session hands it what the agent
//! asked and records the outcome together with the agent's read position; people's answers come
//! straight here and are recorded by the gate itself before anybody gets a yes for them.
//! Mailbox: unbounded, because its senders are its session (one message in flight) and requests that each wait
//! for their answer. When it dies, the registry rebuilds it with its session from the log; an
//! answer that was not recorded then was never acknowledged.

mod answers;
mod book;
mod facts;
mod messages;
pub mod paths;
pub mod risk;
pub mod shell;
#[cfg(test)]
mod tests;

use std::time::Duration;

use actix::prelude::*;
use tracing::{info, warn};

pub use book::{AskedIn, Book, Change};
pub use messages::*;

use crate::domain::approval::{Approval, Ask};
use crate::domain::ids::{RunId, SessionId};
use crate::domain::time::Stamp;
use crate::log::{Append, Class, FindApproval, Log, LogError};

/// How often deadlines are looked at. They are given in whole seconds or minutes.
const DEADLINE_TICK: Duration = Duration::from_secs(1);

/// One thing that happened at the agent and concerns approvals.
#[derive(Debug)]
pub enum GateItem {
    /// It asks. The paths are resolved already (that is I/O).
    Asked {
        /// The question.
        ask: Box<Ask>,
        /// The files that it would write.
        paths: Vec<std::path::PathBuf>,
        /// Where it comes from.
        from: AskedIn,
    },
    /// It no longer waits for a request.
    Withdrew {
        /// Its id of the request.
        request: String,
        /// The run that withdrew it.
        run: Option<RunId>,
    },
    /// A tool gave its result.
    ToolResult {
        /// The call.
        tool_use_id: String,
        /// Whether it failed.
        is_error: bool,
    },
    /// The turn is over; `run` still lives.
    TurnEnded {
        /// The running agent, if any.
        run: Option<RunId>,
    },
    /// The turn of an external agent is over.
    ExternalTurnEnded,
    /// The agent program ended.
    RunEnded(RunId),
}

/// Work these in, in order; the answer has one change for each, which the sender records.
#[derive(Debug, Message)]
#[rtype(result = "Vec<Change>")]
pub struct Consider(pub Vec<GateItem>);

/// The approval mode is now this; the change is the sender's to record.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "Change")]
pub struct SetMode(pub Option<u8>);

/// These answers are with the agent; the change is the sender's to record.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Change")]
pub struct MarkDelivered(pub crate::domain::ids::ApprovalId);

/// The answers that this run has not been handed.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Vec<Approval>")]
pub struct GetUndelivered(pub RunId);

/// Sent to the session: these answers are recorded and now go to the agent.
#[derive(Clone, Debug, Message)]
#[rtype(result = "()")]
pub struct AnswersGiven {
    /// The answered approvals.
    pub approvals: Vec<Approval>,
    /// The request that answered them.
    pub span: tracing::Span,
}

/// What the gate needs to work.
pub struct GateDeps {
    /// Whose gate it is.
    pub session: SessionId,
    /// Where answers are recorded.
    pub log: Log,
    /// Who hands answers to the agent.
    pub deliver: Recipient<AnswersGiven>,
    /// After how many seconds an open question is denied; `None` = never.
    pub limit_seconds: Option<i64>,
}

/// See the module.
pub struct Gate {
    deps: GateDeps,
    book: Book,
}

impl Gate {
    /// A gate with the book as the log has it.
    pub fn new(deps: GateDeps, book: Book) -> Self {
        Self { deps, book }
    }

    /// Records a change of the gate's own, then hands out the answers in it.
    fn record(&self, change: Change) -> impl Future<Output = Result<(), LogError>> + use<> {
        let (deliver, span) = (self.deps.deliver.clone(), tracing::Span::current());
        let append = self.deps.log.addr.send(Append {
            session: self.deps.session.clone(),
            drafts: change.drafts,
            writes: change.writes,
            class: Class::Essential,
        });
        async move {
            append.await.unwrap_or(Err(LogError::Closed))?;
            if !change.deliver.is_empty() {
                deliver.do_send(AnswersGiven { approvals: change.deliver, span });
            }
            Ok(())
        }
    }

    /// As [`Self::record`]; a book that is ahead of the log is thrown away with its actor.
    fn record_or_stop<T: 'static>(
        &self,
        change: Change,
        answer: T,
    ) -> impl ActorFuture<Self, Output = Result<T, GateError>> + 'static {
        self.record(change).into_actor(self).map(move |recorded, gate, ctx| match recorded {
            Ok(()) => Ok(answer),
            Err(error) => {
                warn!(session = %gate.deps.session, %error, "the gate could not record, starting it afresh");
                ctx.stop();
                Err(error.into())
            }
        })
    }

    fn watch_deadlines(&mut self, ctx: &mut Context<Self>) {
        ctx.run_interval(DEADLINE_TICK, |gate, ctx| {
            if !gate.book.has_deadlines(gate.deps.limit_seconds) {
                return;
            }
            let change = gate.book.expire(gate.deps.limit_seconds, Stamp::now());
            if change.drafts.is_empty() {
                return;
            }
            // `wait`, so that nobody sees an expiry that is not on disk yet.
            let recorded = gate.record_or_stop(change, ()).map(|_, _, _| ());
            ctx.wait(recorded);
        });
    }
}

impl Actor for Gate {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(0);
        self.watch_deadlines(ctx);
    }
}

crate::handles_traced!(Gate);

impl Handler<Consider> for Gate {
    type Result = MessageResult<Consider>;

    fn handle(&mut self, Consider(items): Consider, _: &mut Self::Context) -> Self::Result {
        let now = Stamp::now();
        let work_in = |item| match item {
            GateItem::Asked { ask, paths, from } => self.book.asked(*ask, paths, from, now),
            GateItem::Withdrew { request, run } => self.book.withdrew(&request, run.as_ref(), now),
            GateItem::ToolResult { tool_use_id, is_error } => {
                self.book.tool_result(&tool_use_id, is_error, now)
            }
            GateItem::TurnEnded { run } => self.book.turn_ended(run.as_ref(), now),
            GateItem::ExternalTurnEnded => self.book.external_turn_ended(now),
            GateItem::RunEnded(run) => self.book.run_ended(&run),
        };
        MessageResult(items.into_iter().map(work_in).collect())
    }
}

impl Handler<SetMode> for Gate {
    type Result = MessageResult<SetMode>;

    fn handle(&mut self, SetMode(mode): SetMode, _: &mut Self::Context) -> Self::Result {
        MessageResult(self.book.set_mode(mode, Stamp::now()))
    }
}

impl Handler<MarkDelivered> for Gate {
    type Result = MessageResult<MarkDelivered>;

    fn handle(&mut self, MarkDelivered(id): MarkDelivered, _: &mut Self::Context) -> Self::Result {
        MessageResult(self.book.delivered(&id, Stamp::now()))
    }
}

impl Handler<GetUndelivered> for Gate {
    type Result = Vec<Approval>;

    fn handle(&mut self, GetUndelivered(run): GetUndelivered, _: &mut Self::Context) -> Self::Result {
        self.book.undelivered(&run)
    }
}

impl Handler<AnswerApproval> for Gate {
    // Atomic: the next message is looked at when this answer is on disk, so a second answer can never be
    // weighed against one that a crash may still take back.
    type Result = AtomicResponse<Self, Result<Approval, GateError>>;

    fn handle(&mut self, msg: AnswerApproval, _: &mut Self::Context) -> Self::Result {
        let AnswerApproval { approval, answer, by } = msg;
        info!(session = %self.deps.session, ?approval, allowed = answer.allowed(), %by, "an approval is answered");
        let answered = self.book.answer(&approval, answer.clone(), by, Stamp::now());
        let future: std::pin::Pin<Box<dyn ActorFuture<Self, Output = _>>> = match (answered, approval) {
            (Ok((approval, Some(change))), _) => Box::pin(self.record_or_stop(change, approval)),
            (Ok((approval, None)), _) => Box::pin(fut::ready(Ok(approval))),
            // Settled approvals are not in the book any more, but they are in the log.
            (Err(GateError::NotFound(name)), ApprovalRef::Id(id)) => {
                let (log, session) = (self.deps.log.clone(), self.deps.session.clone());
                let look_up = async move {
                    match log.addr.send(FindApproval(id)).await.unwrap_or(Err(LogError::Closed))? {
                        Some(old) if old.session_id == session => answers::same_or_refused(old, &answer),
                        _ => Err(GateError::NotFound(name)),
                    }
                };
                Box::pin(look_up.into_actor(self))
            }
            (Err(error), _) => Box::pin(fut::ready(Err(error))),
        };
        AtomicResponse::new(future)
    }
}

impl Handler<GetGrants> for Gate {
    type Result = MessageResult<GetGrants>;

    fn handle(&mut self, _: GetGrants, _: &mut Self::Context) -> Self::Result {
        MessageResult(self.book.grants(Stamp::now()))
    }
}

impl Handler<RevokeGrant> for Gate {
    type Result = AtomicResponse<Self, Result<(), GateError>>;

    fn handle(&mut self, RevokeGrant { grant, by }: RevokeGrant, _: &mut Self::Context) -> Self::Result {
        let future: std::pin::Pin<Box<dyn ActorFuture<Self, Output = _>>> = match self.book.revoke(&grant, by)
        {
            Ok(change) => Box::pin(self.record_or_stop(change, ())),
            Err(error) => Box::pin(fut::ready(Err(error))),
        };
        AtomicResponse::new(future)
    }
}
