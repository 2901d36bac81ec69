//! What the agent's own program wrote into the conversation of a session that goes on with it.

use actix::prelude::*;

use super::*;
use crate::domain::elsewhere::Cursor;

/// Record what came behind the cursor `expected`. Answers whether the session stood there; if not, somebody else was
/// quicker, and nothing is done.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<bool, SessionError>")]
pub struct AddHistory {
    /// How far the session was when it was read.
    pub expected: Cursor,
    /// How far it is with this.
    pub cursor: Cursor,
    /// How many messages the conversation has up to there.
    pub total: u64,
    /// The events that tell what a person has not seen yet.
    pub drafts: Vec<EventDraft>,
    /// How many of them are a person's words.
    pub prompts: u64,
    /// When all of it had been read, Unix milliseconds; `None` = there is more.
    pub read_at: Option<i64>,
}

impl Handler<AddHistory> for Session {
    type Result = ResponseActFuture<Self, Result<bool, SessionError>>;

    fn handle(&mut self, msg: AddHistory, _: &mut Self::Context) -> Self::Result {
        if self.closing {
            return Box::pin(fut::err(SessionError::Restarting));
        }
        let attached = self.record.attached.as_mut().filter(|attached| attached.cursor == msg.expected);
        let Some(attached) = attached else { return Box::pin(fut::ok(false)) };
        attached.cursor = msg.cursor;
        attached.total = msg.total;
        if let Some(moment) = msg.read_at {
            attached.forget_runs_before(moment);
        }
        self.record.session.message_count += msg.prompts;
        let answer = self.answer(msg.drafts, Vec::new(), Class::Work, |_, _| {});
        Box::pin(answer.map(|result, _, _| result.map(|_| true)))
    }
}

impl Session {
    /// A program of ours begins to write into the conversation.
    pub(super) fn own_run_begins(&mut self) {
        if let Some(attached) = &mut self.record.attached {
            attached.begin_run(Stamp::now().unix_millis());
        }
    }

    /// It has ended.
    pub(super) fn own_run_ends(&mut self) {
        if let Some(attached) = &mut self.record.attached {
            attached.end_run(Stamp::now().unix_millis());
        }
    }
}
