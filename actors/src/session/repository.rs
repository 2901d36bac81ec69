//! The session's repository: which branch is checked out, a checkpoint after each turn, and turns that wait while
//! somebody changes it. All of it is done elsewhere; only what came of it is recorded here.

use std::path::PathBuf;

use actix::prelude::*;
use serde_json::json;

use super::*;
use crate::workspace::{Checkpoint, GitError, branch_of};

/// What goes on with a session's repository, in this life of its actor.
#[derive(Debug, Default)]
pub struct Repository {
    /// Its branch is being looked at; `true` = it shall be looked at once more.
    looking: Option<bool>,
    /// It is being saved.
    saving: bool,
    /// The state before the first turn was saved, or needs not be.
    begun: bool,
    /// How many people change it just now.
    held: usize,
}

impl Repository {
    /// Whether no turn may begin just now.
    pub fn holds_turns(&self) -> bool {
        self.saving || self.held > 0
    }
}

impl Session {
    fn directory(&self) -> Option<PathBuf> {
        let session = &self.record.session;
        (!session.directory.is_empty()).then(|| PathBuf::from(&session.directory))
    }

    /// Looks which branch is checked out, and records it if it is another one.
    pub(super) fn look_at_branch(&mut self, ctx: &mut Context<Self>) {
        let Some(directory) = self.directory() else { return };
        if let Some(again) = &mut self.repository.looking {
            *again = true;
            return;
        }
        self.repository.looking = Some(false);
        let looked = tokio::task::spawn_blocking(move || branch_of(&directory));
        ctx.spawn(looked.into_actor(self).map(|branch, session, ctx| {
            let again = session.repository.looking.take();
            let Ok(branch) = branch else { return };
            if session.record.session.branch != branch && !session.closing {
                session.record.session.branch = branch;
                let record = vec![Write::Session(Box::new(session.record.clone()))];
                // Not `commit`: to look is no activity.
                let committed = session.send_batch(Vec::new(), record, Class::Essential);
                ctx.spawn(committed.into_actor(session).map(|result, session, ctx| {
                    if let Err(error) = result {
                        session.give_up(&error, ctx);
                    }
                }));
            }
            if again == Some(true) {
                session.look_at_branch(ctx);
            }
        }));
    }

    /// Saves the work tree as it is before the agent's first turn, so that this one can be taken back too.
    pub(super) fn save_before_first_turn(&mut self, ctx: &mut Context<Self>) {
        if !std::mem::replace(&mut self.repository.begun, true) && self.record.turn == 0 {
            self.save("before the first turn".to_owned(), true, ctx);
        }
    }

    /// Saves the work tree after a turn.
    pub(super) fn save_turn(&mut self, ctx: &mut Context<Self>) {
        self.repository.begun = true;
        let occasion = match self.record.turn {
            // Turns of an agent of the person's own are not counted.
            0 => "after a turn".to_owned(),
            turn => format!("after turn {turn}"),
        };
        self.save(occasion, false, ctx);
    }

    /// Whether its work tree is saved by itself: as it was set for this session, else as configured.
    pub(super) fn is_saved_each_turn(&self) -> bool {
        let configured = self.deps.settings.workspaces.settings().auto_checkpoint;
        self.record.auto_checkpoint.unwrap_or(configured)
    }

    fn save(&mut self, occasion: String, even_clean: bool, ctx: &mut Context<Self>) {
        if !self.is_saved_each_turn() || self.repository.saving {
            return;
        }
        let workspaces = self.deps.settings.workspaces.clone();
        let Some(directory) = self.directory() else { return };
        self.repository.saving = true;
        let trusted = self.trust().is_some_and(|said| said.trusted);
        let id = self.id().clone();
        let saved = async move {
            if tokio::fs::symlink_metadata(directory.join(".git")).await.is_err() {
                return Ok(None);
            }
            workspaces.save(&directory, trusted, &id, &occasion, even_clean).await
        };
        ctx.spawn(saved.into_actor(self).map(|saved: Result<_, GitError>, session, ctx| {
            session.repository.saving = false;
            let draft = match saved {
                Ok(Some(checkpoint)) => Some(checkpoint_draft(&checkpoint)),
                Ok(None) => None,
                Err(error) => {
                    warn!(session = %session.id(), %error, "no checkpoint could be made");
                    let message = format!("no checkpoint could be made: {error}");
                    let data = json!({ "code": "CHECKPOINT_FAILED", "message": message });
                    Some(EventDraft::new(EventType::Warning, data))
                }
            };
            match draft {
                Some(draft) => {
                    session.commit_then(vec![draft], Vec::new(), ctx, |session, ctx| session.pump(ctx))
                }
                None => session.pump(ctx),
            }
        }));
    }
}

fn checkpoint_draft(checkpoint: &Checkpoint) -> EventDraft {
    let data = json!({
        "number": checkpoint.number, "commit_hash": checkpoint.commit_hash, "message": checkpoint.message,
        "files_changed": checkpoint.files_changed,
    });
    EventDraft::new(EventType::Checkpoint, data)
}

/// Let no turn begin while a person changes the repository. Refused while one runs. Turns begin again when the answer is
/// dropped.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<TurnsHeld, SessionError>")]
pub struct HoldTurns;

/// No turn of the session begins while this lives.
#[derive(Debug)]
pub struct TurnsHeld(Addr<Session>);

impl Drop for TurnsHeld {
    fn drop(&mut self) {
        self.0.do_send(LetTurns);
    }
}

#[derive(Message)]
#[rtype(result = "()")]
struct LetTurns;

impl Handler<HoldTurns> for Session {
    type Result = Result<TurnsHeld, SessionError>;

    fn handle(&mut self, _: HoldTurns, ctx: &mut Self::Context) -> Self::Result {
        if self.closing {
            return Err(SessionError::Restarting);
        }
        if self.state().is_active() {
            let text = "Cannot perform git write operations while session is running";
            return Err(SessionError::InvalidState(text.to_owned()));
        }
        self.repository.held += 1;
        Ok(TurnsHeld(ctx.address()))
    }
}

impl Handler<LetTurns> for Session {
    type Result = ();

    fn handle(&mut self, _: LetTurns, ctx: &mut Self::Context) {
        self.repository.held = self.repository.held.saturating_sub(1);
        self.pump(ctx);
    }
}

/// A person changed the repository: look at its branch, and record the checkpoint that was made.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<(), SessionError>")]
pub struct WorkTreeChanged {
    /// A checkpoint that was made.
    pub checkpoint: Option<Checkpoint>,
}

impl Handler<WorkTreeChanged> for Session {
    type Result = ResponseActFuture<Self, Result<(), SessionError>>;

    fn handle(&mut self, msg: WorkTreeChanged, ctx: &mut Self::Context) -> Self::Result {
        self.look_at_branch(ctx);
        let Some(checkpoint) = msg.checkpoint else { return Box::pin(fut::ok(())) };
        let answer =
            self.answer(vec![checkpoint_draft(&checkpoint)], Vec::new(), Class::Essential, |_, _| {});
        Box::pin(answer.map(|result, _, _| result.map(drop)))
    }
}
