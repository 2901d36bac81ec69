//! Who is told when a file grows: one watcher of the system (inotify, kqueue) for all the spools of the
//! process, because a user may only have few of them (Linux: 128 by default).

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;

/// A wish to be told; it ends when it is dropped.
#[derive(Debug)]
pub(super) struct Watch {
    path: PathBuf,
    changed: Arc<Notify>,
}

/// Who waits for which file.
type Waiting = HashMap<PathBuf, Vec<Arc<Notify>>>;

struct Hub {
    /// Held while a watch is added or ended, so that the system's list and ours say the same. Never taken by
    /// the watcher's own thread, which answers the calls made under it. `None`: the system gives us none.
    watcher: Mutex<Option<RecommendedWatcher>>,
    waiting: Arc<Mutex<Waiting>>,
}

impl Watch {
    /// Begins to watch the file at this absolute path. Where the system cannot watch it (its number of
    /// watches is limited), nobody is told, and the reader's own look at the file every now and then must do.
    pub(super) fn new(path: &Path) -> Self {
        let hub = hub();
        let changed = Arc::new(Notify::new());
        let mut watcher = lock(&hub.watcher);
        let mut waiting = lock(&hub.waiting);
        let known = waiting.entry(path.to_owned()).or_default();
        let first = known.is_empty();
        known.push(Arc::clone(&changed));
        drop(waiting);
        if let Some(watcher) = watcher.as_mut().filter(|_| first)
            && let Err(error) = watcher.watch(path, RecursiveMode::NonRecursive)
        {
            tracing::warn!(path = %path.display(), %error, "cannot watch an agent's output, looking at it by the clock");
        }
        Self { path: path.to_owned(), changed }
    }

    /// Waits until the file changed; a change since the last wait counts. Cancel-safe.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let hub = hub();
        let mut watcher = lock(&hub.watcher);
        let mut waiting = lock(&hub.waiting);
        let Some(known) = waiting.get_mut(&self.path) else { return };
        known.retain(|other| !Arc::ptr_eq(other, &self.changed));
        if !known.is_empty() {
            return;
        }
        waiting.remove(&self.path);
        drop(waiting);
        if let Some(watcher) = watcher.as_mut() {
            // It fails when the file is gone, and then the system has ended the watch by itself.
            let _ = watcher.unwatch(&self.path);
        }
    }
}

fn hub() -> &'static Hub {
    static HUB: OnceLock<Hub> = OnceLock::new();
    HUB.get_or_init(|| {
        let waiting = Arc::new(Mutex::new(Waiting::new()));
        let told = Arc::clone(&waiting);
        let watcher = notify::recommended_watcher(move |event| tell(&told, event))
            .inspect_err(
                |error| tracing::warn!(%error, "cannot watch files, looking at agents' output by the clock"),
            )
            .ok();
        Hub { watcher: Mutex::new(watcher), waiting }
    })
}

/// Runs in the watcher's thread.
fn tell(waiting: &Mutex<Waiting>, event: notify::Result<Event>) {
    // Opening and closing are told too and mean nothing here.
    let Ok(event) = event else { return };
    if matches!(event.kind, EventKind::Access(_)) {
        return;
    }
    let waiting = lock(waiting);
    for path in &event.paths {
        for changed in waiting.get(path).into_iter().flatten() {
            changed.notify_one();
        }
    }
}

/// What the locks guard is whole after each statement, so a panic elsewhere does not spoil it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
