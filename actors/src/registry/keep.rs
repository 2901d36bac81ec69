//! Actors that are no session's and shall live as long as the daemon: replaced when they die, with the same delays
//! and the same limit as a session's cell.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::time::Instant;

use actix::prelude::*;
use futures_util::future::BoxFuture;
use tracing::{error, warn};

use super::cell::{ExitReason, Spawned};
use super::{MAX_DEATHS, Registry, WINDOW, World, replace_delay};

/// Starts a fresh actor; it is told how the last one died, if one did. `None` = its thread is gone.
pub type Factory = Box<dyn Fn(Option<String>) -> BoxFuture<'static, Option<Spawned>> + Send>;

/// Start an actor, and again whenever it dies.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Keep {
    name: String,
    start: Factory,
}

/// What the supervisor knows of one.
pub(super) struct Kept {
    name: String,
    start: Factory,
    pub(super) abort: Option<tokio::task::AbortHandle>,
    deaths: VecDeque<Instant>,
}

impl World {
    /// Starts an actor that the registry replaces whenever it ends, until the daemon stops.
    pub async fn keep(&self, name: impl Into<String>, start: Factory) {
        // An error means that the registry is gone, and then the daemon ends.
        let _ = self.registry.send(Keep { name: name.into(), start }).await;
    }
}

impl Registry {
    fn start_kept(&mut self, index: usize, died: Option<String>, ctx: &mut Context<Self>) {
        let Some(kept) = self.kept.get(index).filter(|_| !self.closed) else { return };
        let started = (kept.start)(died);
        ctx.spawn(started.into_actor(self).map(move |spawned, registry, ctx| {
            let Some(kept) = registry.kept.get_mut(index) else { return };
            let Some(Spawned { end, abort }) = spawned else {
                return registry.kept_died(index, "its thread is gone".to_owned(), ctx);
            };
            kept.abort = Some(abort);
            ctx.spawn(end.into_actor(registry).map(move |end, registry, ctx| {
                let words = match ExitReason::from(end) {
                    ExitReason::Stopped => "it could not go on".to_owned(),
                    ExitReason::Aborted => "it was ended".to_owned(),
                    ExitReason::Panicked(words) => format!("a bug: {words}"),
                };
                registry.kept_died(index, words, ctx);
            }));
        }));
    }

    fn kept_died(&mut self, index: usize, words: String, ctx: &mut Context<Self>) {
        let Some(kept) = self.kept.get_mut(index).filter(|_| !self.closed) else { return };
        kept.abort = None;
        let now = Instant::now();
        kept.deaths.push_back(now);
        kept.deaths.retain(|at| now.duration_since(*at) <= WINDOW);
        let delay = replace_delay(kept.deaths.len());
        let name = &kept.name;
        if kept.deaths.len() > MAX_DEATHS {
            error!(name, deaths = kept.deaths.len(), retry_in = ?delay, words, "it keeps dying");
        } else {
            warn!(name, ?delay, words, "it died, replacing it");
        }
        ctx.run_later(delay, move |registry, ctx| {
            registry.replaced.fetch_add(1, Ordering::Relaxed);
            registry.start_kept(index, Some(words), ctx);
        });
    }
}

impl Handler<Keep> for Registry {
    type Result = ();

    fn handle(&mut self, Keep { name, start }: Keep, ctx: &mut Self::Context) {
        self.kept.push(Kept { name, start, abort: None, deaths: VecDeque::new() });
        self.start_kept(self.kept.len() - 1, None, ctx);
    }
}
