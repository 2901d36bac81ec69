//! From lanes to the platform: first kept, then sent, one thing at a time in each lane, and taken out of the outbox
//! once the platform has it.

use std::cmp::Reverse;
use std::time::Duration;

use actix::prelude::*;
use tokio::time::Instant;
use tracing::{debug, warn};

use super::actor::Bridge;
use super::markup::Doc;
use super::pace::{Haste, Kind, backoff};
use super::perform::{Did, Job, nonce, perform};
use super::platform::{Failure, Place, Rendered, Sent};
use super::record::{Act, Asked, Item, Slot, Target};
use crate::domain::event::{EventDraft, EventType};
use crate::domain::ids::SessionId;
use crate::domain::state::SessionState;
use crate::log::{Append, Class, SaveBridge};
use crate::session::Bind;

/// So many calls at a time; of these, so many that only show what grows, and so many more where somebody waits.
const SIDE_BY_SIDE: usize = 6;
const GROWING: usize = 3;
const MORE: usize = 4;
/// Threads in which it is shown at a time that somebody writes: such calls count, too.
const TYPING: usize = 2;
/// A pause for one thread that is longer is told.
const LONG_PAUSE: Duration = Duration::from_secs(10);
/// Text that has just begun to grow is not shown before this, so that short answers come whole.
const FIRST_SHOWN: Duration = Duration::from_millis(900);
/// How long nothing is tried when a person must see to the platform first.
const BROKEN: Duration = Duration::from_secs(30);
/// How often a thread is made anew before that is taken for a mistake.
const REMADE: u32 = 3;

/// A lane was kept.
#[derive(Message)]
#[rtype(result = "()")]
struct Kept {
    lane: String,
    cursor: u64,
    forgotten: bool,
    error: Option<String>,
}

/// The platform answered.
#[derive(Message)]
#[rtype(result = "()")]
struct Delivered {
    lane: String,
    job: Job,
    haste: Haste,
    result: Result<Did, Failure>,
}

impl Bridge {
    /// Looks at every lane, those where somebody waits for an approval first, then the oldest first.
    pub(super) fn pump_all(&mut self, ctx: &mut Context<Self>) {
        let mut names: Vec<_> = self
            .threads
            .iter()
            .filter(|(_, thread)| {
                let lane = &thread.lane;
                !thread.busy
                    && (thread.dirty || !lane.outbox.is_empty() || lane.leaving || thread.turn.is_writing())
            })
            .map(|(name, thread)| {
                let at = thread.lane.outbox.front().map(|item| item.at);
                ((Reverse(thread.lane.haste()), at.is_none(), at), name.clone())
            })
            .collect();
        names.sort();
        for (_, name) in names {
            self.pump(&name, ctx);
        }
    }

    /// Does the next thing in a lane: keeps it, or sends something.
    pub(super) fn pump(&mut self, name: &str, ctx: &mut Context<Self>) {
        let now = Instant::now();
        let Some(thread) = self.threads.get_mut(name).filter(|thread| !thread.busy) else { return };
        let done_with = thread.lane.leaving && thread.lane.outbox.is_empty();
        if done_with || thread.dirty {
            return self.keep(name, done_with, ctx);
        }
        let waits = thread.not_before.is_some_and(|until| now < until);
        let lane_haste = thread.lane.haste();
        let room = if lane_haste > Haste::Ordinary { SIDE_BY_SIDE + MORE } else { SIDE_BY_SIDE };
        if waits || !self.connected || self.in_flight >= room {
            return;
        }
        let Some(job) = self.next_job(name, now) else { return };
        let growing = matches!(job, Job::Show { .. });
        let haste = if growing { Haste::Growing } else { lane_haste };
        if !self.pace.allows(job.kind(), haste, now) {
            return;
        }
        self.pace.begin(job.kind(), haste, now);
        self.in_flight += 1;
        self.growing += usize::from(growing);
        let Some(thread) = self.threads.get_mut(name) else { return };
        thread.busy = true;
        thread.showing = growing;
        let what = match &job {
            Job::Item(item, _) => {
                thread.in_flight = Some(item.no);
                format!("item {}", item.no)
            }
            Job::Open { .. } => format!("thread {}", thread.lane.next),
            Job::Show { index, .. } => format!("part {index} behind {}", thread.lane.cursor),
        };
        let nonce = nonce(self.deps.name(), name, &what);
        let (deps, session) = (self.deps.clone(), thread.lane.session.clone());
        let (address, lane) = (ctx.address(), name.to_owned());
        actix::spawn(async move {
            let result = perform(&deps, session.as_ref(), &job, &nonce).await;
            address.do_send(Delivered { lane, job, haste, result });
        });
    }

    fn next_job(&mut self, name: &str, now: Instant) -> Option<Job> {
        let (dialect, gap) = (self.deps.platform.dialect(), self.deps.platform.traits().edit_gap);
        let thread = self.threads.get_mut(name)?;
        let Some(place) = thread.lane.place.clone() else {
            return (!thread.lane.outbox.is_empty()).then(|| Job::Open { title: thread.lane.title.clone() });
        };
        if let Some(item) = thread.lane.outbox.front() {
            let mut item = item.clone();
            // A card that could not be sent is sent where it was to be edited.
            if let Act::Edit { target: Target::Card(approval), message } = &item.act {
                let id = thread.lane.card(approval).and_then(|card| card.message.clone());
                item.act = match id {
                    Some(id) => Act::Edit { target: Target::Id(id), message: message.clone() },
                    None => Act::Send { message: message.clone(), slot: Some(Slot::Card(approval.clone())) },
                };
            }
            return Some(Job::Item(Box::new(item), place));
        }
        let grows = thread.caught_up && thread.turn.is_writing();
        // Looked at before anything is rendered: with many sessions at work the allowance is mostly used up.
        let kind = if thread.lane.live.is_empty() { Kind::Message } else { Kind::Edit };
        let may = self.growing < GROWING && self.pace.allows(kind, Haste::Growing, now);
        if thread.hearing || thread.not_shown || !grows || !may {
            return None;
        }
        let Some(shown_at) = thread.shown_at else {
            thread.shown_at = Some(now.checked_sub(gap).unwrap_or(now) + FIRST_SHOWN.min(gap));
            return None;
        };
        if now.saturating_duration_since(shown_at) < gap {
            return None;
        }
        let parts = thread.turn.segment()?.render(dialect);
        let news = parts.into_iter().enumerate().find(|(index, text)| thread.shown.get(*index) != Some(text));
        let Some((index, text)) = news else {
            thread.shown_at = Some(now);
            return None;
        };
        // Messages that were not shown in this life are known by their ids only.
        let id = thread.lane.live.get(index).cloned();
        if id.is_none() && index > thread.lane.live.len() {
            return None;
        }
        Some(Job::Show { index, text, id, place })
    }

    fn keep(&mut self, name: &str, forget: bool, ctx: &mut Context<Self>) {
        let Some(thread) = self.threads.get_mut(name) else { return };
        let value = match serde_json::to_vec(&thread.lane) {
            Ok(value) => value,
            Err(error) => {
                return self.deps.pulse.failed(&format!("a thread cannot be written as JSON: {error}"));
            }
        };
        thread.busy = true;
        thread.dirty = false;
        let save = SaveBridge {
            bridge: self.deps.name().to_owned(),
            entries: vec![(name.to_owned(), (!forget).then(|| value.into()))],
        };
        let (log, address, lane, cursor) =
            (self.deps.world.log().clone(), ctx.address(), name.to_owned(), thread.lane.cursor);
        actix::spawn(async move {
            let error = log.save_bridge(save).await.err().map(|error| error.to_string());
            address.do_send(Kept { lane, cursor, forgotten: forget, error });
        });
    }

    fn delivered(&mut self, name: &str, job: Job, result: Result<Did, Failure>) {
        let now = Instant::now();
        let Some(thread) = self.threads.get_mut(name) else { return };
        thread.busy = false;
        thread.showing = false;
        thread.in_flight = None;
        if let Some(waiting) = thread.waiting.take() {
            let _ = waiting.send(());
        }
        if result.is_ok() {
            thread.tries = 0;
            thread.not_before = None;
            self.deps.pulse.change(|health| health.last_delivery = Some(crate::domain::time::Stamp::now()));
            self.deps.pulse.well();
        }
        match (job, result) {
            (Job::Open { .. }, Ok(Did::Opened(id))) => self.opened(name, id),
            (Job::Open { .. }, Ok(_)) => {}
            (Job::Item(item, _), Ok(did)) => {
                let sent = if let Did::Sent(sent) = did { Some(sent) } else { None };
                self.taken(name, &item, sent);
            }
            (Job::Show { index, text, id, .. }, Ok(did)) => {
                thread.shown_at = Some(now);
                if let (None, Did::Sent(sent)) = (&id, did) {
                    thread.lane.live.push(sent.id);
                    thread.dirty = true;
                }
                while thread.shown.len() <= index {
                    thread.shown.push(Rendered::default());
                }
                if let Some(shown) = thread.shown.get_mut(index) {
                    *shown = text;
                }
            }
            (job, Err(failure)) => self.failed(name, job, failure, now),
        }
    }

    fn opened(&mut self, name: &str, id: String) {
        let Some(thread) = self.threads.get_mut(name) else { return };
        thread.lane.place = Some(Place::Thread(id.clone()));
        thread.dirty = true;
        let Some(session) = thread.lane.session.clone() else { return };
        let (world, platform) = (self.deps.world.clone(), self.deps.name());
        actix::spawn(async move {
            let bind = Bind { thread: Some(Some(id)), ..Bind::default() };
            if let Err(error) = world.bind(&session, bind).await {
                warn!(%session, platform, %error, "the session does not know its thread");
            }
        });
    }

    /// The platform has an item.
    fn taken(&mut self, name: &str, item: &Item, sent: Option<Sent>) {
        let Some(thread) = self.threads.get_mut(name) else { return };
        let at = thread.lane.outbox.iter().position(|waiting| waiting.no == item.no);
        at.map(|at| thread.lane.outbox.remove(at));
        thread.dirty = true;
        let (Act::Send { slot: Some(slot), .. }, Some(sent)) = (&item.act, sent) else { return };
        match slot {
            Slot::Card(approval) => {
                if let Some(card) = thread.lane.card_mut(approval) {
                    card.message = Some(sent.id);
                    card.at = Some(sent.at);
                }
            }
            Slot::Asks { data, person } => {
                let asked = Asked { message: sent.id, data: data.clone(), person: person.clone() };
                thread.lane.asked.push(asked);
            }
        }
    }

    fn failed(&mut self, name: &str, job: Job, failure: Failure, now: Instant) {
        let title = self.deps.platform.traits().title;
        debug!(lane = name, %failure, "the platform did not take something");
        let Some(thread) = self.threads.get_mut(name) else { return };
        match failure {
            Failure::Slow { after, why, here } => {
                thread.tries += 1;
                let wait = after.unwrap_or_else(|| backoff(thread.tries));
                match here {
                    true => thread.not_before = now.checked_add(wait),
                    false => self.pace.block(job.kind(), wait, now),
                }
                if !here || wait > LONG_PAUSE {
                    self.deps.pulse.failed(&format!("{title} wants {} s of silence: {why}", wait.as_secs()));
                }
            }
            Failure::Unsure(why) => {
                thread.tries += 1;
                thread.not_before = Some(now + backoff(thread.tries));
                self.deps.pulse.failed(&why);
            }
            Failure::Broken(why) => {
                self.pause(BROKEN, now);
                self.deps.pulse.failed(&why);
            }
            Failure::ThreadGone => self.thread_gone(name, now),
            Failure::Unchanged => match job {
                Job::Item(item, _) => self.taken(name, &item, None),
                Job::Show { index, text, .. } => {
                    thread.shown_at = Some(now);
                    thread.shown.resize(thread.shown.len().max(index + 1), Rendered::default());
                    thread.shown.get_mut(index).into_iter().for_each(|shown| shown.clone_from(&text));
                }
                Job::Open { .. } => {}
            },
            Failure::MessageGone => match job {
                Job::Item(item, _) => self.message_gone(name, &item),
                _ => thread.not_shown = true,
            },
            Failure::Refused(why) => match job {
                Job::Open { .. } => {
                    self.pause(BROKEN, now);
                    self.deps.pulse.failed(&format!("{title} makes no thread: {why}"));
                }
                Job::Show { .. } => thread.not_shown = true,
                Job::Item(item, _) => self.refused(name, &item, &why),
            },
        }
    }

    /// Nothing is sent for a while.
    fn pause(&mut self, for_time: Duration, now: Instant) {
        self.pace.block(Kind::Message, for_time, now);
        self.pace.block(Kind::Edit, for_time, now);
    }

    /// Somebody deleted the thread: a new one is made, and what still matters is sent there.
    fn thread_gone(&mut self, name: &str, now: Instant) {
        let title = self.deps.platform.traits().title;
        let Some(thread) = self.threads.get_mut(name) else { return };
        let Some(session) = thread.lane.session.clone().filter(|_| !thread.lane.leaving) else {
            thread.lane.outbox.clear();
            thread.dirty = true;
            return;
        };
        thread.remade += 1;
        if thread.remade > REMADE {
            thread.not_before = Some(now + BROKEN);
            return self.deps.pulse.failed(&format!("{title} says again and again that a thread is gone"));
        }
        thread.lane.place = None;
        thread.lane.live.clear();
        thread.shown.clear();
        // What changed messages or the thread itself has nothing to change any more.
        thread.lane.outbox.retain(|item| matches!(item.act, Act::Send { .. } | Act::File(_)));
        thread.lane.cards.iter_mut().for_each(|card| card.done = true);
        thread.lane.outbox.retain(|item| !matches!(item.act, Act::Send { slot: Some(Slot::Card(_)), .. }));
        thread.dirty = true;
        self.say(name, &Doc::text("🧵 The thread was gone; the session goes on in this one."), true, "");
        for approval in self.deps.world.read_model().open_in(&session) {
            self.ask(name, &approval);
        }
    }

    fn message_gone(&mut self, name: &str, item: &Item) {
        let Some(thread) = self.threads.get_mut(name) else { return };
        let waiting = thread.lane.outbox.iter_mut().find(|waiting| waiting.no == item.no);
        if let Some(waiting) = waiting
            && let Act::Edit { target, message } = &waiting.act
        {
            // What it would have said is said below.
            let slot = match target {
                Target::Card(approval) => Some(Slot::Card(approval.clone())),
                Target::Id(_) => None,
            };
            waiting.act = Act::Send { message: message.clone(), slot };
            thread.dirty = true;
            return;
        }
        self.taken(name, item, None);
    }

    /// The platform will not have it: once more without markup, then it is given up, and that is told.
    fn refused(&mut self, name: &str, item: &Item, why: &str) {
        let (dialect, title) = (self.deps.platform.dialect(), self.deps.platform.traits().title);
        let Some(thread) = self.threads.get_mut(name) else { return };
        let waiting = thread.lane.outbox.iter_mut().find(|waiting| waiting.no == item.no);
        if let Some(Act::Send { message, .. } | Act::Edit { message, .. }) =
            waiting.map(|waiting| &mut waiting.act)
        {
            let (without, _) = Doc::text(&message.text.plain).render_one(dialect);
            if message.text.markup != without.markup {
                warn!(lane = name, why, "the platform does not take the markup, sending it without");
                message.text.markup = without.markup;
                thread.dirty = true;
                return;
            }
        }
        warn!(lane = name, why, "the platform does not take something, giving it up");
        let is_card = matches!(&item.act, Act::Send { slot: Some(Slot::Card(_)), .. });
        let session = thread.lane.session.clone();
        self.taken(name, item, None);
        self.deps.pulse.failed(&format!("{title} refused something: {why}"));
        match (&item.act, session) {
            (Act::Send { .. } | Act::File(_), Some(session)) => {
                let what =
                    if is_card { "a question could not be shown" } else { "something could not be shown" };
                self.tell_elsewhere(session, format!("{what} in {title}: {why}"));
                if matches!(item.act, Act::File(_)) {
                    self.say(name, &Doc::text(&format!("⚠️ a file could not be sent: {why}")), true, "");
                }
            }
            _ => debug!(lane = name, "it was no message"),
        }
    }

    /// Tells a session's other surfaces that this one failed it.
    fn tell_elsewhere(&self, session: SessionId, message: String) {
        let log = self.deps.world.log().clone();
        let data = serde_json::json!({ "code": "BRIDGE", "message": message });
        let drafts = vec![EventDraft::new(EventType::Warning, data)];
        actix::spawn(async move {
            let append = Append { session, drafts, writes: Vec::new(), class: Class::Essential };
            if let Err(error) = log.append(append).await {
                warn!(%error, "a failure of a chat platform could not be told in its session");
            }
        });
    }

    /// Shows where agents are at work.
    pub(super) fn show_typing(&mut self) {
        let Some(every) = self.deps.platform.traits().typing_every.filter(|_| self.connected) else { return };
        let now = Instant::now();
        if !self.pace.allows(Kind::Message, Haste::Growing, now) {
            return;
        }
        let mut left = TYPING;
        for thread in self.threads.values_mut().filter(|thread| thread.caught_up) {
            let due = thread.typing_at.is_none_or(|at| now.saturating_duration_since(at) >= every);
            let (Some(session), Some(Place::Thread(id)), true) =
                (&thread.lane.session, &thread.lane.place, due)
            else {
                continue;
            };
            let entry = self.deps.world.read_model().session(session);
            let works = entry.is_some_and(|entry| {
                entry.pending == 0
                    && entry.record.session.state == SessionState::Running
                    && !entry.record.external
            });
            if works && thread.follower.is_some() {
                // The others have their turn with the next tick.
                let Some(fewer) = left.checked_sub(1) else { return };
                left = fewer;
                let (deps, id) = (self.deps.clone(), id.clone());
                actix::spawn(async move { deps.platform.typing(&id).await });
            }
            thread.typing_at = Some(now);
        }
    }
}

impl Handler<Kept> for Bridge {
    type Result = ();

    fn handle(&mut self, kept: Kept, ctx: &mut Self::Context) {
        let Some(thread) = self.threads.get_mut(&kept.lane) else { return };
        thread.busy = false;
        match kept.error {
            Some(error) => {
                thread.dirty = true;
                thread.not_before = Some(Instant::now() + Duration::from_secs(1));
                self.deps.pulse.failed(&error);
                let lane = kept.lane;
                thread.busy = true;
                ctx.run_later(Duration::from_secs(1), move |bridge, ctx| {
                    bridge.threads.get_mut(&lane).into_iter().for_each(|thread| thread.busy = false);
                    bridge.pump(&lane, ctx);
                });
            }
            None if kept.forgotten && thread.lane.outbox.is_empty() && thread.lane.leaving => {
                self.threads.remove(&kept.lane);
            }
            None => {
                thread.kept_cursor = kept.cursor;
                // Not this one at once: somebody may wait elsewhere.
                self.pump_all(ctx);
            }
        }
    }
}

impl Handler<Delivered> for Bridge {
    type Result = ();

    fn handle(&mut self, Delivered { lane, job, haste, result }: Delivered, ctx: &mut Self::Context) {
        self.in_flight = self.in_flight.saturating_sub(1);
        self.growing = self.growing.saturating_sub(usize::from(haste == Haste::Growing));
        self.pace.end(job.kind(), Instant::now());
        self.delivered(&lane, job, result);
        self.pump_all(ctx);
    }
}
