//! What goes out of a socket, and the commands that came in: one task a socket.
//!
//! It stands beside the actor, because the actor is polled only while the connection takes output. Of
//! old events it holds one chunk, whatever the number of subscriptions, and it takes the next one only
//! while the [window](super::window) is open. When its actor is gone it ends the subscriptions, and
//! still does the commands that were taken: who taps "Allow" and pockets the phone has answered.

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;
use futures_util::future::{AbortHandle, Abortable, FutureExt, LocalBoxFuture};
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::sync::{broadcast, mpsc, watch};

use super::codec::{self, Asked, ConditionShown, FrameId, Refusal, Request, Sent};
use super::commands::Commands;
use super::door::Door;
use super::incoming::Place;
use super::window::Window;
use crate::domain::approval::Actor;
use crate::domain::code::Code;
use crate::domain::event::Frame;
use crate::domain::ids::SessionId;
use crate::log::{FollowError, Follower, OverviewChange, Tail};

/// Subscriptions of one browser. Each costs a few hundred bytes.
pub(super) const MAX_SUBSCRIPTIONS: usize = 512;
/// About how large an `events` frame is at the most; a larger event is a frame of its own.
const EVENTS_FRAME: usize = 64 << 10;
/// Outgoing messages between this task and the actor. Few, because each may be large and waits until
/// the connection takes it.
const OUTGOING: usize = 2;

/// What the actor is to send.
#[derive(Debug)]
pub(super) enum Outgoing {
    /// A text message.
    Text(String),
    /// A ping that asks how far the browser has read.
    Ping(Bytes),
    /// Say goodbye and close.
    Goodbye(String),
    /// Close: who is connected may not be any more.
    Revoked,
    /// Close: the log could not be read.
    Failed,
}

/// The actor's line to its pump. When it is dropped the pump ends.
pub(super) struct Line {
    /// What the browser asks for.
    pub asked: mpsc::Sender<(Asked, Place)>,
    /// How far the browser has read.
    pub read: watch::Sender<u64>,
}

/// Wakes when a session has something new.
type Feed = watch::Receiver<Tail>;
/// Waits until a subscription has its turn again.
type Quiet = Abortable<LocalBoxFuture<'static, (Turn, Feed)>>;

/// The actor is gone.
struct Gone;

pub(super) struct Pump<D: Door> {
    door: D,
    asked: mpsc::Receiver<(Asked, Place)>,
    read: watch::Receiver<u64>,
    goodbye: watch::Receiver<Option<String>>,
    revoked: LocalBoxFuture<'static, ()>,
    outgoing: mpsc::Sender<Outgoing>,
    window: Window,
    commands: Commands<D>,
    overview: Option<broadcast::Receiver<OverviewChange>>,
    /// Whether the overview's snapshot is due.
    snapshot_due: bool,
    subscriptions: HashMap<SessionId, Subscription>,
    /// The number of the latest subscription; tells it from an earlier one of the same session.
    latest: u64,
    /// Subscriptions that have all there is, until there is more.
    quiet: FuturesUnordered<Quiet>,
    /// Whose turn it is to be read; those behind take turns.
    ready: VecDeque<(Turn, Feed)>,
    /// The one read at work.
    reading: Option<LocalBoxFuture<'static, ReadDone>>,
    /// What was read and is not sent yet.
    chunk: Option<Chunk>,
}

struct Subscription {
    number: u64,
    /// Lent to the read at work.
    follower: Option<Follower>,
    /// Once the cursor is here, the backlog was sent; `None` once that was said.
    backlog: Option<u64>,
    /// Ends its waiting for more.
    waits: Option<AbortHandle>,
}

/// A subscription, by its session and its number.
#[derive(Clone)]
struct Turn {
    session: SessionId,
    number: u64,
}

struct ReadDone {
    turn: Turn,
    feed: Feed,
    follower: Follower,
    frames: Result<Vec<Frame>, FollowError>,
}

struct Chunk {
    turn: Turn,
    feed: Feed,
    frames: VecDeque<Frame>,
}

impl<D: Door> Pump<D> {
    /// A pump, the line to it, and what it wants sent; the last ends when the pump has died.
    pub fn new(
        door: D,
        by: Actor,
        goodbye: watch::Receiver<Option<String>>,
        revoked: LocalBoxFuture<'static, ()>,
    ) -> (Self, Line, mpsc::Receiver<Outgoing>) {
        // As many as there are places, so that sending never waits.
        let (asked_in, asked) = mpsc::channel(super::incoming::MAX_COMMANDS as usize);
        let (read_in, read) = watch::channel(0);
        let (outgoing, outgoing_out) = mpsc::channel(OUTGOING);
        let pump = Self {
            commands: Commands::new(door.clone(), by),
            door,
            asked,
            read,
            goodbye,
            revoked,
            outgoing,
            window: Window::default(),
            overview: None,
            snapshot_due: false,
            subscriptions: HashMap::new(),
            latest: 0,
            quiet: FuturesUnordered::new(),
            ready: VecDeque::new(),
            reading: None,
            chunk: None,
        };
        (pump, Line { asked: asked_in, read: read_in }, outgoing_out)
    }

    /// Runs until the actor is gone and the commands that it took are done.
    pub async fn run(mut self) {
        while self.step().await.is_ok() {}
        let Self { mut asked, mut commands, .. } = self;
        asked.close();
        while let Ok((Asked { id, request }, place)) = asked.try_recv() {
            if request.is_command() {
                commands.take(id, request, place);
            }
        }
        commands.finish().await;
    }

    async fn step(&mut self) -> Result<(), Gone> {
        self.read_on().await?;
        let open = self.window.is_open();
        let something_to_send = open && (self.snapshot_due || self.chunk.is_some());
        // Not biased: a long replay, a busy overview and the commands take turns.
        tokio::select! {
            asked = self.asked.recv() => {
                let (asked, place) = asked.ok_or(Gone)?;
                self.take(asked, place).await
            }
            read = self.read.changed() => {
                read.map_err(|_| Gone)?;
                let count = *self.read.borrow_and_update();
                self.window.read(count);
                Ok(())
            }
            reason = told(&mut self.goodbye) => {
                self.hand_over(Outgoing::Goodbye(reason)).await?;
                Err(Gone)
            }
            () = &mut self.revoked => {
                self.hand_over(Outgoing::Revoked).await?;
                Err(Gone)
            }
            done = self.commands.next() => match done.reply {
                Some(text) => self.send(text).await,
                None => Ok(()),
            },
            change = next_change(&mut self.overview), if open && !self.snapshot_due => self.changed(change).await,
            Some(woken) = self.quiet.next() => {
                self.ready.extend(woken);
                Ok(())
            }
            done = at_work(&mut self.reading) => {
                self.reading = None;
                self.have_read(done).await
            }
            () = std::future::ready(()), if something_to_send => {
                if self.snapshot_due { self.send_snapshot().await } else { self.send_events().await }
            }
        }
    }

    async fn send_snapshot(&mut self) -> Result<(), Gone> {
        self.snapshot_due = false;
        let read_model = self.door.log().read_model.clone();
        let (sessions, approvals) = (read_model.sessions(), read_model.open_approvals());
        let condition = &ConditionShown::from(&read_model.condition());
        let snapshot = Sent::Overview { sessions: &sessions, approvals: &approvals, condition }.text();
        self.send(snapshot).await
    }

    /// Sends one frame of what was read.
    async fn send_events(&mut self) -> Result<(), Gone> {
        let Some(mut chunk) = self.chunk.take() else { return Ok(()) };
        if self.subscription(&chunk.turn).is_none() {
            return Ok(());
        }
        let (mut count, mut bytes) = (0, 0);
        for frame in &chunk.frames {
            if count > 0 && bytes + frame.json.len() > EVENTS_FRAME {
                break;
            }
            bytes += frame.json.len();
            count += 1;
        }
        let text = codec::events(&chunk.turn.session, chunk.frames.iter().take(count));
        chunk.frames.drain(..count);
        self.send(text).await?;
        if chunk.frames.is_empty() {
            self.next_turn(chunk.turn, chunk.feed).await
        } else {
            self.chunk = Some(chunk);
            Ok(())
        }
    }

    fn subscription(&mut self, turn: &Turn) -> Option<&mut Subscription> {
        self.subscriptions.get_mut(&turn.session).filter(|subscription| subscription.number == turn.number)
    }

    /// Reads for the next subscription that is behind, when nothing that was read is left to send.
    async fn read_on(&mut self) -> Result<(), Gone> {
        while self.window.is_open() && self.chunk.is_none() && self.reading.is_none() {
            let Some((turn, mut feed)) = self.ready.pop_front() else { break };
            let Some(subscription) = self.subscription(&turn) else { continue };
            // Marked before looking: what is committed later wakes the feed again.
            feed.mark_unchanged();
            let deleted = feed.has_changed().is_err();
            match subscription.follower.take() {
                Some(follower) if follower.caught_up() && !deleted => {
                    subscription.follower = Some(follower);
                    self.wait(turn, feed);
                }
                Some(mut follower) => {
                    let mut reading: LocalBoxFuture<'static, ReadDone> = Box::pin(async move {
                        let frames = follower.next().await;
                        ReadDone { turn, feed, follower, frames }
                    });
                    // The newest events are in memory and there at once; older ones take a while.
                    match (&mut reading).now_or_never() {
                        Some(done) => self.have_read(done).await?,
                        None => self.reading = Some(reading),
                    }
                }
                None => {}
            }
        }
        Ok(())
    }

    async fn have_read(&mut self, done: ReadDone) -> Result<(), Gone> {
        let ReadDone { turn, feed, follower, frames } = done;
        let Some(subscription) = self.subscription(&turn) else { return Ok(()) };
        subscription.follower = Some(follower);
        match frames {
            Ok(frames) => {
                self.chunk = Some(Chunk { turn, feed, frames: frames.into() });
                Ok(())
            }
            Err(FollowError::SessionDeleted(session)) => {
                self.subscriptions.remove(&session);
                self.send(Sent::SessionDeleted { session_id: &session }.text()).await
            }
            Err(FollowError::Log(error)) => {
                // The browser comes back with its cursors, which is the way to try again.
                tracing::warn!(session = %turn.session, %error, "a browser's subscription ended");
                self.hand_over(Outgoing::Failed).await?;
                Err(Gone)
            }
        }
    }

    /// What was read for a subscription is sent: it takes its next turn, or waits for something new.
    async fn next_turn(&mut self, turn: Turn, feed: Feed) -> Result<(), Gone> {
        let Some(subscription) = self.subscription(&turn) else { return Ok(()) };
        let cursor = subscription.follower.as_ref().map_or(0, Follower::cursor);
        let reached = subscription.backlog.take_if(|backlog| cursor >= *backlog).is_some();
        let session = turn.session.clone();
        self.ready.push_back((turn, feed));
        if reached {
            return self.send(Sent::CaughtUp { session_id: &session, seq: cursor }.text()).await;
        }
        Ok(())
    }

    fn wait(&mut self, turn: Turn, mut feed: Feed) {
        let (stop, stopped) = AbortHandle::new_pair();
        if let Some(subscription) = self.subscription(&turn) {
            subscription.waits = Some(stop);
        }
        let changed = async move {
            // An error says that the session is gone, which its follower tells, too.
            let _ = feed.changed().await;
            (turn, feed)
        };
        self.quiet.push(Abortable::new(Box::pin(changed), stopped));
    }

    async fn take(&mut self, asked: Asked, place: Place) -> Result<(), Gone> {
        let Asked { id, request } = asked;
        match request {
            Request::Subscribe { session, after } => self.subscribe(id, session, after).await,
            Request::Unsubscribe { session } => {
                self.unsubscribe(&session);
                self.done(id.as_ref(), serde_json::json!({})).await
            }
            Request::Overview => {
                // First the changes, then the snapshot: what happens in between is told twice, not lost.
                self.overview = Some(self.door.log().read_model.overview());
                self.snapshot_due = true;
                self.done(id.as_ref(), serde_json::json!({})).await
            }
            Request::Ping => self.send(Sent::Pong { id: id.as_ref() }.text()).await,
            Request::Input { .. } | Request::Interrupt { .. } | Request::Answer { .. } => {
                self.commands.take(id, request, place);
                Ok(())
            }
        }
    }

    async fn subscribe(&mut self, id: Option<FrameId>, session: SessionId, after: u64) -> Result<(), Gone> {
        let read_model = self.door.log().read_model.clone();
        // The feed first, the last number after it: nothing falls in between.
        let feed = read_model.feed(&session);
        let (Some(feed), Some(last_seq)) = (feed, read_model.last_seq(&session)) else {
            return self.send(codec::refused(id.as_ref(), &Refusal::no_session())).await;
        };
        if after > last_seq {
            let text = format!("after is {after} and the session's last event is {last_seq}: begin at 0");
            return self.send(codec::refused(id.as_ref(), &Refusal::invalid(text))).await;
        }
        self.unsubscribe(&session);
        if self.subscriptions.len() >= MAX_SUBSCRIPTIONS {
            let text =
                format!("{MAX_SUBSCRIPTIONS} sessions are followed already: unsubscribe from one first");
            let refusal = Refusal::new(Code::TooManySubscriptions, text);
            return self.send(codec::refused(id.as_ref(), &refusal)).await;
        }
        self.latest += 1;
        let turn = Turn { session: session.clone(), number: self.latest };
        let follower = Some(self.door.log().follow(session.clone(), after));
        let subscription =
            Subscription { number: self.latest, follower, backlog: Some(last_seq), waits: None };
        self.subscriptions.insert(session, subscription);
        self.done(id.as_ref(), serde_json::json!({"last_seq": last_seq})).await?;
        self.next_turn(turn, feed).await
    }

    /// Ends a subscription and all that waits for it: a browser may subscribe again and again.
    fn unsubscribe(&mut self, session: &SessionId) {
        let Some(ended) = self.subscriptions.remove(session) else { return };
        self.ready.retain(|(turn, _)| turn.number != ended.number);
        if let Some(waits) = ended.waits {
            waits.abort();
        }
    }

    async fn changed(
        &mut self,
        change: Result<OverviewChange, broadcast::error::RecvError>,
    ) -> Result<(), Gone> {
        match change {
            Ok(OverviewChange::Session(session)) => {
                self.send(Sent::Session { session: &session }.text()).await
            }
            Ok(OverviewChange::SessionDeleted(session)) => {
                self.send(Sent::SessionDeleted { session_id: &session }.text()).await
            }
            Ok(OverviewChange::Approval(approval)) => {
                self.send(Sent::Approval { approval: &approval }.text()).await
            }
            Ok(OverviewChange::Condition(condition)) => {
                self.send(Sent::Condition { condition: &ConditionShown::from(&condition) }.text()).await
            }
            Err(broadcast::error::RecvError::Lagged(_)) => {
                self.overview = Some(self.door.log().read_model.overview());
                self.snapshot_due = true;
                Ok(())
            }
            Err(broadcast::error::RecvError::Closed) => {
                self.overview = None;
                Ok(())
            }
        }
    }

    async fn done(&mut self, id: Option<&FrameId>, result: serde_json::Value) -> Result<(), Gone> {
        match codec::done(id, result) {
            Some(text) => self.send(text).await,
            None => Ok(()),
        }
    }

    /// Sends a text, and behind each stretch the ping that asks how far the browser has read. Replies
    /// go whether the window is open or not: there are only so many, and they free places.
    async fn send(&mut self, text: String) -> Result<(), Gone> {
        let ping = self.window.sent(text.len());
        self.hand_over(Outgoing::Text(text)).await?;
        match ping {
            Some(ping) => self.hand_over(Outgoing::Ping(ping)).await,
            None => Ok(()),
        }
    }

    async fn hand_over(&mut self, outgoing: Outgoing) -> Result<(), Gone> {
        self.outgoing.send(outgoing).await.map_err(|_| Gone)
    }
}

async fn told(goodbye: &mut watch::Receiver<Option<String>>) -> String {
    match goodbye.wait_for(Option::is_some).await {
        Ok(reason) => (*reason).clone().unwrap_or_default(),
        // Nobody is left who could say goodbye.
        Err(_) => std::future::pending().await,
    }
}

async fn next_change(
    overview: &mut Option<broadcast::Receiver<OverviewChange>>,
) -> Result<OverviewChange, broadcast::error::RecvError> {
    match overview {
        Some(overview) => overview.recv().await,
        None => std::future::pending().await,
    }
}

async fn at_work(reading: &mut Option<LocalBoxFuture<'static, ReadDone>>) -> ReadDone {
    match reading {
        Some(reading) => reading.await,
        None => std::future::pending().await,
    }
}
