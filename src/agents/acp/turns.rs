//! The turns of a session: one at a time, in the order in which they were asked for.

use std::cell::RefCell;

use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

/// The turns of a session.
#[derive(Debug, Default)]
pub struct Turns {
    /// Held by the one that runs.
    running: Mutex<()>,
    /// Of those that run or wait.
    cancels: RefCell<Vec<CancellationToken>>,
}

/// A place in the row.
#[derive(Debug)]
pub struct Ticket(CancellationToken);

impl Turns {
    /// Takes a place in the row, at once: a cancel that comes next is about this turn too.
    pub fn enter(&self) -> Ticket {
        let cancel = CancellationToken::new();
        self.cancels.borrow_mut().push(cancel.clone());
        Ticket(cancel)
    }

    /// Runs a turn when those before it are over. `None` = it was cancelled before it began.
    pub async fn run<T>(
        &self,
        Ticket(cancel): Ticket,
        turn: impl AsyncFnOnce(CancellationToken) -> T,
    ) -> Option<T> {
        let done = match cancel.run_until_cancelled(self.running.lock()).await {
            Some(_running) => Some(turn(cancel.clone()).await),
            None => None,
        };
        // Those that were cancelled are over or about to be; nobody has to reach them any more.
        cancel.cancel();
        self.cancels.borrow_mut().retain(|other| !other.is_cancelled());
        done
    }

    /// Stops what runs and what waits. What is asked for after this runs.
    pub fn cancel(&self) {
        self.cancels.borrow().iter().for_each(CancellationToken::cancel);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn a_cancel_stops_what_runs_and_what_waits_but_not_what_comes_after_it() {
        let turns = Turns::default();
        let order = RefCell::new(Vec::new());
        let turn = |name: &'static str| {
            let order = &order;
            async move |cancel: CancellationToken| {
                order.borrow_mut().push(name);
                cancel.cancelled().await;
                // It takes a moment to stop.
                tokio::time::sleep(Duration::from_millis(20)).await;
                order.borrow_mut().push("over");
            }
        };
        let (first, second) = (turns.enter(), turns.enter());
        let driver = async {
            tokio::time::sleep(Duration::from_millis(20)).await;
            turns.cancel();
            let last = turns.run(turns.enter(), async |_| order.borrow_mut().push("last"));
            assert_eq!(last.await, Some(()));
        };
        let (first, second, ()) =
            tokio::join!(turns.run(first, turn("first")), turns.run(second, turn("second")), driver);
        assert_eq!((first, second), (Some(()), None));
        assert_eq!(*order.borrow(), ["first", "over", "last"]);
        let early = turns.enter();
        turns.cancel();
        assert_eq!(turns.run(early, async |_| ()).await, None, "it was cancelled before it was looked at");
    }
}
