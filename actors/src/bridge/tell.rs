//! From sessions to lanes: which sessions are shown, and what of their events is to be said.

use std::collections::HashMap;
use std::time::Duration;

use actix::prelude::*;

use super::actor::{Bridge, Heard, Task, Thread};
use super::backlog;
use super::cards;
use super::markup::{Doc, bold, code, cut, plain};
use super::people::random_word;
use super::platform::{Message, Place};
use super::record::{Act, Card, FileSource, Lane, Slot, Target};
use super::turn::{Effect, Turn};
use crate::domain::approval::{Approval, ApprovalState};
use crate::domain::event::Envelope;
use crate::domain::ids::{ApprovalId, SessionId};
use crate::domain::session::Session;
use crate::domain::time::Stamp;
use crate::log::FollowError;

/// A session that is bound late is told from so many events back.
const HISTORY: u64 = 400;
/// What a session is called that has no name.
const UNNAMED: &str = "New session";
/// The cursor is kept at least every so many events, also when there is nothing to say of them.
const LAG: u64 = 200;

impl Bridge {
    pub(super) fn is_external(&self, session: &SessionId) -> bool {
        self.deps.world.read_model().session(session).is_some_and(|entry| entry.record.external)
    }

    /// Brings the lanes in line with all sessions.
    pub(super) fn match_sessions(&mut self, ctx: &mut Context<Self>) {
        for session in self.deps.world.read_model().sessions() {
            self.match_session(&session, ctx);
        }
        let model = self.deps.world.read_model();
        let gone: Vec<SessionId> = self
            .threads
            .values()
            .filter_map(|thread| thread.lane.session.clone())
            .filter(|session| model.session(session).is_none())
            .collect();
        gone.iter().for_each(|session| self.session_gone(session));
    }

    /// Brings a session's lane in line with it.
    pub(super) fn match_session(&mut self, session: &Session, ctx: &mut Context<Self>) {
        let ours = session.platform.as_deref() == Some(self.deps.name());
        let name = session.id.as_str();
        let title = cut(&title_of(session), self.deps.platform.traits().thread_title);
        match self.threads.get_mut(name) {
            None if !ours => {}
            None => {
                let last = self.deps.world.read_model().last_seq(&session.id).unwrap_or_default();
                let mut lane = Lane::of(session.id.clone(), last.saturating_sub(HISTORY));
                lane.title = title;
                let came_along = self.thread_that_came_along(session);
                if let Some((place, told)) = &came_along {
                    lane.place = Some(place.clone());
                    lane.cursor = lane.cursor.max(*told);
                }
                let turn = Turn::new(self.deps.name(), self.is_external(&session.id));
                let mut thread = Thread::new(lane, turn);
                thread.dirty = true;
                self.threads.insert(name.to_owned(), thread);
                if came_along.is_none() {
                    self.say(name, &greeting(session), true, "");
                }
                self.show_open(&session.id);
                self.follow(&session.id, ctx);
            }
            Some(thread) if ours => {
                if thread.lane.detached || thread.lane.leaving {
                    thread.lane.detached = false;
                    thread.lane.leaving = false;
                    thread.dirty = true;
                    let last = self.deps.world.read_model().last_seq(&session.id).unwrap_or_default();
                    thread.lane.cursor = thread.lane.cursor.max(last.saturating_sub(HISTORY));
                    self.say(name, &Doc::text("▶️ This session is shown here again."), true, "");
                    self.show_open(&session.id);
                }
                let Some(thread) = self.threads.get_mut(name) else { return };
                let now = Stamp::now();
                if thread.lane.title != title {
                    thread.lane.title.clone_from(&title);
                    if thread.lane.place.is_some() {
                        thread.lane.outbox.retain(|item| !matches!(item.act, Act::Title(_)));
                        thread.lane.push(Act::Title(title), "", now);
                    }
                    thread.dirty = true;
                }
                if thread.lane.closed != session.archived {
                    thread.lane.closed = session.archived;
                    if thread.lane.place.is_some() {
                        thread.lane.push(Act::Close(session.archived), "", now);
                    }
                    thread.dirty = true;
                }
                if thread.follower.is_none() {
                    self.follow(&session.id, ctx);
                }
            }
            Some(thread) if thread.lane.detached => {}
            Some(thread) => {
                thread.follower = None;
                thread.lane.detached = true;
                thread.lane.live.clear();
                thread.turn = Turn::new(self.deps.platform.traits().name, false);
                self.take_buttons(name);
                self.say(name, &Doc::text("⏏️ This session is not shown here any more."), true, "");
            }
        }
    }

    /// The thread that a session had in the program that it came from, and up to which event it was told of there. It
    /// keeps the title that it has, until the session gets another name.
    fn thread_that_came_along(&self, session: &Session) -> Option<(Place, u64)> {
        let told = self.deps.world.read_model().session(&session.id)?.record.moved_events?;
        Some((Place::Thread(session.platform_thread_id.clone()?), told))
    }

    /// A session was deleted: its thread is closed, and then forgotten.
    pub(super) fn session_gone(&mut self, session: &SessionId) {
        let name = session.as_str();
        let Some(thread) = self.threads.get_mut(name).filter(|thread| !thread.lane.leaving) else { return };
        thread.follower = None;
        thread.lane.leaving = true;
        thread.dirty = true;
        let in_flight = thread.in_flight;
        thread.lane.outbox.retain(|item| Some(item.no) == in_flight);
        if thread.lane.place.is_none() {
            return;
        }
        self.take_buttons(name);
        self.say(name, &Doc::text("🗑 This session was deleted."), true, "");
        if let Some(thread) = self.threads.get_mut(name) {
            thread.lane.push(Act::Close(true), "", Stamp::now());
        }
    }

    /// Takes the buttons away from the cards that are open.
    fn take_buttons(&mut self, name: &str) {
        let dialect = self.deps.platform.dialect();
        let Some(thread) = self.threads.get_mut(name) else { return };
        let open: Vec<ApprovalId> =
            thread.lane.cards.iter().filter(|card| !card.done).map(|card| card.approval.clone()).collect();
        for approval in open {
            let (text, _) = Doc::text("⏏️ This question is not answered here any more.").render_one(dialect);
            let message = Message { text, quiet: true, ..Message::default() };
            thread.lane.show_card(&approval, message, thread.in_flight, Stamp::now());
            if let Some(card) = thread.lane.card_mut(&approval) {
                card.done = true;
            }
        }
        thread.dirty = true;
    }

    /// Shows the open approvals of a session that have no card.
    fn show_open(&mut self, session: &SessionId) {
        for approval in self.deps.world.read_model().open_in(session) {
            self.ask(session.as_str(), &approval);
        }
    }

    fn follow(&mut self, session: &SessionId, ctx: &mut Context<Self>) {
        let Some(thread) = self.threads.get_mut(session.as_str()) else { return };
        thread.turn = Turn::new(
            self.deps.platform.traits().name,
            self.deps.world.read_model().session(session).is_some_and(|entry| entry.record.external),
        );
        thread.caught_up = false;
        let lane = &thread.lane;
        let from = if lane.turn_from > 0 { lane.cursor.min(lane.turn_from - 1) } else { lane.cursor };
        let mut follower = self.deps.world.log().follow(session.clone(), from);
        let (address, name) = (ctx.address(), session.as_str().to_owned());
        thread.follower = Some(Task::spawn(async move {
            loop {
                match follower.next().await {
                    Ok(frames) => {
                        let caught_up = follower.caught_up();
                        if address.send(Heard { lane: name.clone(), frames, caught_up }).await.is_err() {
                            return;
                        }
                    }
                    // The overview tells of it.
                    Err(FollowError::SessionDeleted(_)) => return,
                    Err(FollowError::Log(error)) => {
                        tracing::warn!(session = name, %error, "a session cannot be followed, trying again");
                        tokio::time::sleep(Duration::from_secs(1)).await;
                    }
                }
            }
        }));
    }

    /// Works events into a lane's outbox. `found` has the approvals that they speak of.
    fn work_in(
        &mut self,
        name: &str,
        events: Vec<Envelope>,
        found: &HashMap<ApprovalId, Approval>,
        caught_up: bool,
    ) {
        for event in events {
            let Some(thread) = self.threads.get_mut(name) else { return };
            let effects = thread.turn.hear(&event);
            thread.lane.turn_from = thread.turn.from().max(thread.lane.turn_from);
            if event.seq <= thread.lane.cursor {
                continue;
            }
            let is_writing = thread.turn.is_writing();
            for effect in effects {
                self.effect(name, effect, found, caught_up);
            }
            let Some(thread) = self.threads.get_mut(name) else { return };
            if !is_writing {
                thread.lane.cursor = event.seq;
                thread.dirty |= event.seq - thread.kept_cursor > LAG;
            }
        }
        let Some(thread) = self.threads.get_mut(name) else { return };
        thread.caught_up = caught_up;
        backlog::fold(&mut thread.lane, self.deps.platform.dialect(), thread.in_flight);
    }

    fn effect(&mut self, name: &str, effect: Effect, found: &HashMap<ApprovalId, Approval>, caught_up: bool) {
        match effect {
            Effect::Segment(doc, last, line) => self.segment(name, &doc, last && caught_up, &line),
            Effect::Note(doc, quiet, line) => self.say(name, &doc, quiet || !caught_up, &line),
            Effect::File(path) => {
                if let Some(thread) = self.threads.get_mut(name) {
                    thread.lane.push(Act::File(FileSource::Path(path)), "", Stamp::now());
                    thread.dirty = true;
                }
            }
            Effect::Asked(id) => match found.get(&id) {
                Some(approval) => self.ask(name, approval),
                None => tracing::warn!(approval = %id, "an approval that was asked is not there"),
            },
            Effect::Resolved(id) => {
                if let Some(approval) = found.get(&id) {
                    self.settle(name, approval);
                }
            }
        }
    }

    /// What was being written is complete: the messages that showed it are brought to their end, others follow.
    fn segment(&mut self, name: &str, doc: &Doc, last: bool, line: &str) {
        let dialect = self.deps.platform.dialect();
        let Some(thread) = self.threads.get_mut(name) else { return };
        let (live, shown) = (std::mem::take(&mut thread.lane.live), std::mem::take(&mut thread.shown));
        thread.shown_at = None;
        thread.not_shown = false;
        thread.dirty = true;
        let parts = doc.render(dialect);
        let (count, now) = (parts.len(), Stamp::now());
        for (index, text) in parts.into_iter().enumerate() {
            let quiet = !(last && index + 1 == count);
            match live.get(index) {
                Some(_) if shown.get(index) == Some(&text) => {}
                Some(id) => {
                    let message = Message { text, quiet: true, ..Message::default() };
                    thread.lane.push(Act::Edit { target: Target::Id(id.clone()), message }, line, now);
                }
                None => {
                    let message = Message { text, quiet, ..Message::default() };
                    thread.lane.push(Act::Send { message, slot: None }, line, now);
                }
            }
        }
        for id in live.iter().skip(count) {
            let message =
                Message { text: Doc::text("…").render_one(dialect).0, quiet: true, ..Message::default() };
            thread.lane.push(Act::Edit { target: Target::Id(id.clone()), message }, "", now);
        }
    }

    /// Says something in a lane.
    pub(super) fn say(&mut self, name: &str, doc: &Doc, quiet: bool, line: &str) {
        let dialect = self.deps.platform.dialect();
        let Some(thread) = self.threads.get_mut(name) else { return };
        for text in doc.render(dialect) {
            let message = Message { text, quiet, ..Message::default() };
            thread.lane.push(Act::Send { message, slot: None }, line, Stamp::now());
        }
        thread.dirty = true;
    }

    /// Shows an approval, unless it is shown already.
    pub(super) fn ask(&mut self, name: &str, approval: &Approval) {
        let (dialect, traits) = (self.deps.platform.dialect(), self.deps.platform.traits());
        let Some(thread) = self.threads.get_mut(name) else { return };
        let now = Stamp::now();
        if thread.lane.card(&approval.id).is_some_and(|card| !card.done) {
            return;
        }
        thread.dirty = true;
        if approval.state != ApprovalState::Open {
            let message = cards::settled(approval, dialect);
            thread.lane.push(Act::Send { message, slot: None }, cards::in_a_line(approval), now);
            return;
        }
        let mut card = Card {
            key: random_word(10),
            approval: approval.id.clone(),
            message: None,
            at: None,
            choices: Vec::new(),
            picks: Default::default(),
            done: false,
        };
        let (message, choices) = cards::open(approval, &card, dialect, traits);
        card.choices = choices;
        thread.lane.cards.push(card);
        let slot = Some(Slot::Card(approval.id.clone()));
        thread.lane.push(Act::Send { message, slot }, cards::in_a_line(approval), now);
    }

    /// Shows a card anew after something was chosen on it.
    pub(super) fn redraw(&mut self, name: &str, approval: &Approval) {
        let (dialect, traits) = (self.deps.platform.dialect(), self.deps.platform.traits());
        let Some(thread) = self.threads.get_mut(name) else { return };
        let Some(card) = thread.lane.card_mut(&approval.id) else { return };
        let (message, choices) = cards::open(approval, card, dialect, traits);
        card.choices = choices;
        thread.lane.show_card(&approval.id, message, thread.in_flight, Stamp::now());
        thread.dirty = true;
    }

    /// An approval was answered: its card says so, and has no buttons any more.
    pub(super) fn settle(&mut self, name: &str, approval: &Approval) {
        let dialect = self.deps.platform.dialect();
        let Some(thread) = self.threads.get_mut(name) else { return };
        let is_open = thread.lane.card(&approval.id).is_some_and(|card| !card.done);
        if !is_open || approval.state == ApprovalState::Open {
            return;
        }
        thread.lane.show_card(
            &approval.id,
            cards::settled(approval, dialect),
            thread.in_flight,
            Stamp::now(),
        );
        if let Some(card) = thread.lane.card_mut(&approval.id) {
            card.done = true;
        }
        thread.lane.forget_old_cards();
        thread.dirty = true;
    }

    /// The name of the lane of a place, which is made if there is none.
    pub(super) fn lane_at(&mut self, place: &Place) -> String {
        let known = self.threads.iter().find(|(_, thread)| thread.lane.place.as_ref() == Some(place));
        if let Some((name, _)) = known {
            return name.clone();
        }
        let lane = Lane::at(place.clone());
        let name = lane.name();
        let turn = Turn::new(self.deps.name(), false);
        self.threads.insert(name.clone(), Thread::new(lane, turn));
        name
    }
}

impl Handler<Heard> for Bridge {
    type Result = ResponseActFuture<Self, ()>;

    fn handle(&mut self, Heard { lane, frames, caught_up }: Heard, _: &mut Self::Context) -> Self::Result {
        let mut shown = None;
        if let Some(thread) = self.threads.get_mut(&lane) {
            thread.hearing = true;
            if thread.showing {
                // The message that is being sent has no id yet, and what comes now may be its end.
                let (done, waits) = tokio::sync::oneshot::channel();
                thread.waiting = Some(done);
                shown = Some(waits);
            }
        }
        let log = self.deps.world.log().clone();
        let work = async move {
            if let Some(shown) = shown {
                let _ = shown.await;
            }
            let events: Vec<Envelope> =
                frames.iter().filter_map(|frame| serde_json::from_slice(&frame.json).ok()).collect();
            let mut found = HashMap::new();
            for event in events.iter().filter(|event| event.kind.starts_with("permission_re")) {
                let Some(id) = event.data["approval_id"].as_str().map(ApprovalId::from) else { continue };
                let approval = match log.read_model.open_approval(&id) {
                    Some(open) => Some((*open).clone()),
                    None => log.find_approval(id.clone()).await.ok().flatten(),
                };
                found.extend(approval.map(|approval| (id, approval)));
            }
            (events, found)
        };
        Box::pin(work.into_actor(self).map(move |(events, found), bridge, ctx| {
            bridge.work_in(&lane, events, &found, caught_up);
            if let Some(thread) = bridge.threads.get_mut(&lane) {
                thread.hearing = false;
            }
            bridge.pump_all(ctx);
        }))
    }
}

/// What a thread is called: the session's name, or its directory.
pub(super) fn title_of(session: &Session) -> String {
    let named = session.name.as_deref().map(str::trim).filter(|name| !name.is_empty() && *name != UNNAMED);
    if let Some(name) = named {
        return name.to_owned();
    }
    let last = session.directory.rsplit('/').next().filter(|last| !last.is_empty());
    let mut place = last.unwrap_or(UNNAMED).to_owned();
    if let Some(first) = place.get(..1).map(str::to_uppercase) {
        place.replace_range(..1, &first);
    }
    let agent = session.adapter.as_deref().or(session.external_agent_name.as_deref());
    match agent {
        Some(agent) if !agent.is_empty() => format!("{agent} / {place}"),
        _ => place,
    }
}

fn greeting(session: &Session) -> Doc {
    let mut doc = Doc::default().line([plain("🧵 "), bold(title_of(session))]);
    if !session.directory.is_empty() {
        doc = doc.line([plain("📁 "), code(session.directory.clone())]);
    }
    let agent = session.external_agent_name.as_deref().or(session.adapter.as_deref());
    if let Some(agent) = agent {
        doc = doc.line([plain(format!("🤖 {agent}"))]);
    }
    doc.line([plain("What you write here goes to the agent.")])
}
