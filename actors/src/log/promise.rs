//! Answers that come later.
//!
//! A `ResponseFuture` is a task on the actor's own arbiter: it would answer only when the actor has nothing
//! left to do, and cost two allocations and a spawn an append. A [`Later`] hands the asker's own channel to
//! the [`Promise`], which is kept the moment the commit is done.

use std::cell::Cell;
use std::rc::Rc;

use actix::dev::{MessageResponse, OneshotSender};
use actix::{Actor, Message};

use super::messages::{Committed, LogError};

enum State<T> {
    Open,
    Asked(OneshotSender<T>),
    Given(T),
    Done,
}

/// The side that answers. Dropped unkept, the asker is told that the mailbox is closed.
pub(super) struct Promise<T>(Rc<Cell<State<T>>>);

/// The side that a handler returns.
pub struct Later<T>(Rc<Cell<State<T>>>);

/// A promise and its answer.
pub(super) fn pair<T>() -> (Promise<T>, Later<T>) {
    let state = Rc::new(Cell::new(State::Open));
    (Promise(state.clone()), Later(state))
}

impl<T> Promise<T> {
    /// Answers. Whoever no longer waits does not want to know.
    pub fn keep(self, answer: T) {
        match self.0.replace(State::Done) {
            State::Asked(asker) => drop(asker.send(answer)),
            State::Open => self.0.set(State::Given(answer)),
            State::Given(_) | State::Done => {}
        }
    }
}

impl<T> Later<T> {
    /// An answer that is known already.
    pub fn now(answer: T) -> Self {
        Self(Rc::new(Cell::new(State::Given(answer))))
    }
}

impl<A: Actor, M: Message> MessageResponse<A, M> for Later<M::Result> {
    fn handle(self, _: &mut A::Context, asker: Option<OneshotSender<M::Result>>) {
        let Some(asker) = asker else { return };
        match self.0.replace(State::Done) {
            State::Given(answer) => drop(asker.send(answer)),
            State::Open => self.0.set(State::Asked(asker)),
            State::Asked(_) | State::Done => {}
        }
    }
}

/// An answer that comes with the next commit.
pub(super) type Answered<T> = Later<Result<T, LogError>>;

/// What somebody is told when the batch that their wish is in was committed, or was not.
pub(super) enum Answer {
    /// That the append is on disk, with the number of the session's last event.
    Committed(Promise<Result<Committed, LogError>>, u64),
    /// That it is gone, and was there.
    Existed(Promise<Result<bool, LogError>>),
    /// That it is done.
    Done(Promise<Result<(), LogError>>),
}

impl Answer {
    /// Tells them.
    pub fn give(self, outcome: Result<(), LogError>) {
        match self {
            Self::Committed(promise, last_seq) => promise.keep(outcome.map(|()| Committed { last_seq })),
            Self::Existed(promise) => promise.keep(outcome.map(|()| true)),
            Self::Done(promise) => promise.keep(outcome),
        }
    }
}
