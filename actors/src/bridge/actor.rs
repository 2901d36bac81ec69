//! The bridge's actor: one a platform connection.
//!
//! Started by [`Bridges::open`](super::Bridges::open) through the registry, which replaces it when it dies, on an arbiter of its own. It owns the lanes
//! and the connection; what it loses when it dies is nothing that matters: it is in the log. Mailbox: unbounded,
//! because its senders are its own followers and its own receiver, each of which waits for its answer, and its own
//! deliveries, of which there are few.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use bytes::Bytes;
use tokio::sync::broadcast::error::RecvError;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::health::Pulse;
use super::listing::Listing;
use super::members::Line;
use super::open::Desk;
use super::pace::{Pace, backoff};
use super::people::{Allowed, Codes};
use super::platform::{Failure, Inbox, Platform, Rendered};
use super::record::{Lane, Own};
use super::turn::Turn;
use crate::domain::event::Frame;
use crate::log::{OverviewChange, SaveBridge};
use crate::registry::World;

/// How often it is looked for what may be sent now.
const TICK: Duration = Duration::from_millis(100);

/// What a bridge works with.
pub struct Deps {
    /// The platform.
    pub platform: Arc<dyn Platform>,
    /// The sessions.
    pub world: World,
    /// What only the program above can do.
    pub desk: Arc<dyn Desk>,
    /// Who may act by the settings.
    pub allowed: Allowed,
    /// Codes for pairing.
    pub codes: Codes,
    /// How it is.
    pub pulse: Pulse,
    /// Where its actor is reached.
    pub line: Line,
    /// Where files go that people send.
    pub media: PathBuf,
}

impl Deps {
    /// The word for the platform.
    pub fn name(&self) -> &'static str {
        self.platform.traits().name
    }
}

/// Ends a task with its owner.
pub(super) struct Task(JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Task {
    pub(super) fn spawn(future: impl Future<Output = ()> + 'static) -> Self {
        Self(actix::spawn(future))
    }
}

/// A lane with what is known of it besides.
pub(super) struct Thread {
    pub lane: Lane,
    pub turn: Turn,
    /// It differs from what is kept.
    pub dirty: bool,
    /// It is being kept, or something of it is being sent.
    pub busy: bool,
    /// The item that is being sent.
    pub in_flight: Option<u64>,
    /// What is being written is being shown; what is heard meanwhile waits.
    pub showing: bool,
    pub waiting: Option<tokio::sync::oneshot::Sender<()>>,
    /// Events are being worked in; nothing is shown that grows.
    pub hearing: bool,
    /// What the live messages show.
    pub shown: Vec<Rendered>,
    pub shown_at: Option<Instant>,
    /// The platform would not take it.
    pub not_shown: bool,
    pub typing_at: Option<Instant>,
    /// Whether all events were heard that there are.
    pub caught_up: bool,
    pub not_before: Option<Instant>,
    pub tries: u32,
    /// How often its thread was made anew since the start.
    pub remade: u32,
    pub follower: Option<Task>,
    /// The cursor that is kept.
    pub kept_cursor: u64,
}

impl Thread {
    pub fn new(lane: Lane, turn: Turn) -> Self {
        let kept_cursor = lane.cursor;
        Self {
            lane,
            turn,
            dirty: false,
            busy: false,
            in_flight: None,
            showing: false,
            waiting: None,
            hearing: false,
            shown: Vec::new(),
            shown_at: None,
            not_shown: false,
            typing_at: None,
            caught_up: false,
            not_before: None,
            tries: 0,
            remade: 0,
            follower: None,
            kept_cursor,
        }
    }
}

/// See the module.
pub struct Bridge {
    pub(super) deps: Arc<Deps>,
    pub(super) threads: HashMap<String, Thread>,
    pub(super) own: Own,
    pub(super) pace: Pace,
    /// Calls under way that send something, and those of them that only show what grows.
    pub(super) in_flight: usize,
    pub(super) growing: usize,
    pub(super) connected: bool,
    /// Lists of conversations, by who asked for them.
    pub(super) listings: HashMap<String, Listing>,
    tasks: Vec<Task>,
}

/// Events of a session, in order. Answered when they are in the outbox.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Heard {
    pub lane: String,
    pub frames: Vec<Frame>,
    pub caught_up: bool,
}

/// The overview changed; `None` = so much that it must be read anew.
#[derive(Message)]
#[rtype(result = "()")]
struct Changed(Option<OverviewChange>);

/// The connection stands, or does not.
#[derive(Message)]
#[rtype(result = "()")]
struct Connected(bool);

impl Bridge {
    /// A bridge that knows nothing yet.
    pub fn new(deps: Arc<Deps>) -> Self {
        let pace = Pace::new(deps.platform.traits());
        Self {
            deps,
            threads: HashMap::new(),
            own: Own::default(),
            pace,
            in_flight: 0,
            growing: 0,
            connected: false,
            listings: HashMap::new(),
            tasks: Vec::new(),
        }
    }

    fn load(&mut self, kept: Vec<(String, Bytes)>, ctx: &mut Context<Self>) {
        for (name, value) in kept {
            if name == Own::NAME {
                match serde_json::from_slice(&value) {
                    Ok(own) => self.own = own,
                    Err(error) => tracing::error!(%error, "what a bridge keeps cannot be read"),
                }
                continue;
            }
            match serde_json::from_slice::<Lane>(&value) {
                Ok(lane) => {
                    let external = lane.session.as_ref().is_some_and(|id| self.is_external(id));
                    let turn = Turn::new(self.deps.name(), external);
                    self.threads.insert(name, Thread::new(lane, turn));
                }
                Err(error) => {
                    tracing::error!(lane = name, %error, "what a bridge keeps of a thread cannot be read")
                }
            }
        }
        self.end_grants_of_the_gone(ctx);
        // Subscribed before the sessions are read, so that none is missed.
        self.watch_overview(ctx);
        self.match_sessions(ctx);
        self.connect(ctx);
        ctx.run_interval(TICK, |bridge, ctx| {
            bridge.pump_all(ctx);
            bridge.show_typing();
            bridge.take_pulse();
        });
    }

    fn watch_overview(&mut self, ctx: &mut Context<Self>) {
        let (mut changes, address) = (self.deps.world.read_model().overview(), ctx.address());
        self.tasks.push(Task::spawn(async move {
            loop {
                let change = match changes.recv().await {
                    Ok(change) => Some(change),
                    Err(RecvError::Lagged(_)) => None,
                    Err(RecvError::Closed) => return,
                };
                if address.send(Changed(change)).await.is_err() {
                    return;
                }
            }
        }));
    }

    /// Connects, hears, and connects again, for as long as the actor lives.
    fn connect(&mut self, ctx: &mut Context<Self>) {
        let (deps, address, mut position) = (self.deps.clone(), ctx.address(), self.own.position.clone());
        self.tasks.push(Task::spawn(async move {
            let mut tries = 0;
            loop {
                let begun = Instant::now();
                let failure = match deps.platform.connect().await {
                    Err(failure) => failure,
                    Ok(identity) => {
                        tracing::info!(platform = deps.name(), identity, "a chat platform is connected");
                        deps.pulse.change(|health| {
                            health.identity = Some(identity);
                            health.connected_since = Some(crate::domain::time::Stamp::now());
                        });
                        deps.pulse.well();
                        address.do_send(Connected(true));
                        hear_all(&deps, &address, &mut position).await
                    }
                };
                if begun.elapsed() > Duration::from_secs(60) {
                    tries = 0;
                }
                tries += 1;
                deps.pulse.change(|health| health.connected_since = None);
                deps.pulse.failed(&failure.to_string());
                // Sending may well work while hearing does not; only what a person must see to stops it.
                if matches!(failure, Failure::Broken(_)) {
                    address.do_send(Connected(false));
                }
                let wait = match failure {
                    Failure::Slow { after: Some(after), .. } => after,
                    _ => backoff(tries),
                };
                tokio::time::sleep(wait).await;
            }
        }));
    }

    /// Keeps what is the bridge's own, and answers when that is done.
    pub(super) fn save_own(&self) -> impl Future<Output = bool> + use<> {
        let save = serde_json::to_vec(&self.own).map(|value| SaveBridge {
            bridge: self.deps.name().to_owned(),
            entries: vec![(Own::NAME.to_owned(), Some(value.into()))],
        });
        let (log, pulse) = (self.deps.world.log().clone(), self.deps.pulse.clone());
        async move {
            let Ok(save) = save else { return false };
            match log.save_bridge(save).await {
                Ok(()) => true,
                Err(error) => {
                    pulse.failed(&error.to_string());
                    false
                }
            }
        }
    }

    fn take_pulse(&self) {
        let outbox = self.threads.values().map(|thread| thread.lane.outbox.len()).sum();
        let sessions = self.threads.values().filter(|thread| thread.follower.is_some()).count();
        let people = self.deps.allowed.0.len() + self.own.people.len();
        self.deps.pulse.change(|health| {
            health.outbox = outbox;
            health.sessions = sessions;
            health.people = people;
        });
    }
}

/// Hears until that fails. What was dealt with moves `position`.
async fn hear_all(deps: &Deps, address: &Addr<Bridge>, position: &mut Option<String>) -> Failure {
    let (inbox, mut outlet) = Inbox::new();
    let receiving = deps.platform.receive(position.clone(), inbox);
    tokio::pin!(receiving);
    loop {
        tokio::select! {
            failure = &mut receiving => return failure,
            Some((incoming, done)) = outlet.recv() => {
                let next = incoming.position.clone();
                // Dropped unanswered, the platform says it again later. The receiver goes on meanwhile.
                let arrived = address.send(super::hear::Arrived(incoming));
                tokio::pin!(arrived);
                let handled = tokio::select! {
                    handled = &mut arrived => handled,
                    failure = &mut receiving => {
                        if let Ok(true) = arrived.await {
                            *position = next.or(position.take());
                        }
                        return failure;
                    }
                };
                match handled {
                    Ok(true) => {
                        *position = next.or(position.take());
                        let _ = done.send(());
                    }
                    _ => return Failure::Unsure("what was heard could not be dealt with".to_owned()),
                }
            }
        }
    }
}

impl Actor for Bridge {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(0);
        self.deps.line.set(ctx.address());
        let (log, name) = (self.deps.world.log().clone(), self.deps.name());
        let kept = async move { log.list_bridge(name).await };
        ctx.wait(kept.into_actor(self).map(|kept, bridge, ctx| match kept {
            Ok(kept) => bridge.load(kept, ctx),
            Err(error) => {
                bridge.deps.pulse.failed(&error.to_string());
                ctx.stop();
            }
        }));
    }
}

impl Handler<Changed> for Bridge {
    type Result = ();

    fn handle(&mut self, Changed(change): Changed, ctx: &mut Self::Context) {
        match change {
            Some(OverviewChange::Session(session)) => self.match_session(&session, ctx),
            Some(OverviewChange::SessionDeleted(id)) => self.session_gone(&id),
            Some(OverviewChange::Approval(_) | OverviewChange::Condition(_)) => {}
            None => self.match_sessions(ctx),
        }
    }
}

impl Handler<Connected> for Bridge {
    type Result = ();

    fn handle(&mut self, Connected(connected): Connected, ctx: &mut Self::Context) {
        self.connected = connected;
        self.pump_all(ctx);
    }
}
