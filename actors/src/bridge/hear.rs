//! From people to sessions: who may, what they mean, and what they are told.

use std::time::Instant;

use actix::prelude::*;
use tracing::{debug, info, warn};

use super::actor::Bridge;
use super::cards::{self, Step};
use super::commands::{self, Asker, Said};
use super::markup::{Doc, plain};
use super::platform::{Incoming, Message as Words, Person, Place, Press, What, Words as AskWords};
use super::record::{Act, FileSource, Slot};
use super::typed::{self, Command, ListWanted};
use super::words::Text;
use crate::domain::approval::{Actor as By, Approval, ApprovalState};
use crate::domain::ids::{ApprovalId, SessionId};
use crate::domain::time::Stamp;
use crate::gate::{ApprovalRef, GateError};

/// Somebody did something. Answers whether it is dealt with, and is not to be told again.
#[derive(Message)]
#[rtype(result = "bool")]
pub(super) struct Arrived(pub Incoming);

pub(super) type Work<T> = ResponseActFuture<Bridge, T>;

pub(super) fn done() -> Work<()> {
    Box::pin(fut::ready(()))
}

impl Handler<Arrived> for Bridge {
    type Result = ResponseActFuture<Self, bool>;

    fn handle(&mut self, Arrived(incoming): Arrived, _: &mut Self::Context) -> Self::Result {
        // What somebody did who may not is no reason to leave out what another does of the same name.
        let id = match self.may(&incoming.person) {
            true => incoming.id.clone(),
            false => format!("{}/{}", incoming.id, incoming.person.id),
        };
        let position = incoming.position.clone();
        let nothing = matches!(incoming.what, What::Nothing) || incoming.place == Place::Elsewhere;
        if nothing || self.own.seen.contains(&id) {
            let is_first = self.own.position.is_none() && position.is_some();
            self.own.position = position.or(self.own.position.take());
            // Where hearing began is kept at once, so that a restart misses nothing.
            return match is_first {
                true => Box::pin(self.save_own().into_actor(self)),
                false => Box::pin(fut::ready(true)),
            };
        }
        // What a stranger does is not done, and hinders nobody from doing the same.
        let prefix = self.deps.platform.traits().prefix;
        let counts = self.may(&incoming.person)
            || matches!(command_of(&incoming.what, prefix), Some(Command::Pair(_)));
        // What a command does twice is done twice, so it is noted first. Words and answers carry their own ids.
        let first = counts && command_of(&incoming.what, prefix).is_some();
        let noted: Work<bool> = match first {
            true => {
                self.own.note(&id);
                Box::pin(self.save_own().into_actor(self))
            }
            false => Box::pin(fut::ready(true)),
        };
        Box::pin(noted.then(move |noted, bridge, _| {
            if !noted {
                return Box::pin(fut::ready(false)) as Self::Result;
            }
            let dealt_with = bridge.hear(incoming);
            Box::pin(dealt_with.then(move |(), bridge, ctx| {
                if counts {
                    bridge.own.note(&id);
                }
                bridge.own.position = position.or(bridge.own.position.take());
                bridge.pump_all(ctx);
                bridge.save_own().into_actor(bridge)
            }))
        }))
    }
}

fn command_of(what: &What, prefix: char) -> Option<Command> {
    match what {
        What::Command { line, .. } => {
            let (name, argument) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
            Some(typed::named(name, argument))
        }
        What::Text { text, .. } => typed::command(text, prefix),
        What::Press(_) | What::Nothing => None,
    }
}

impl Bridge {
    fn may(&self, person: &Person) -> bool {
        self.may_by_id(&person.id)
    }

    pub(super) fn may_by_id(&self, id: &str) -> bool {
        self.deps.allowed.0.contains(id) || self.own.people.contains_key(id)
    }

    pub(super) fn by(&self, person: &Person) -> By {
        By::Person { surface: self.deps.name().to_owned(), name: Some(person.name.clone()) }
    }

    fn hear(&mut self, incoming: Incoming) -> Work<()> {
        let Incoming { id, person, place, at, what, .. } = incoming;
        let prefix = self.deps.platform.traits().prefix;
        let command = command_of(&what, prefix);
        let token = if let What::Command { token, .. } = &what { token.clone() } else { None };
        if !self.may(&person) {
            return self.stranger(&person, &place, command, &what, token);
        }
        self.note_name(&person);
        if let Some(command) = command {
            return self.command(command, &person, &place, None, token);
        }
        match what {
            What::Press(press) => self.press(press, &person, &place),
            What::Text { message, text, reply_to, files } => {
                self.text(Text { id, message, text, reply_to, files, at }, &person, &place)
            }
            What::Command { .. } | What::Nothing => done(),
        }
    }

    /// Somebody who may not act: a code makes them one who may; else they are told once.
    fn stranger(
        &mut self,
        person: &Person,
        place: &Place,
        command: Option<Command>,
        what: &What,
        token: Option<String>,
    ) -> Work<()> {
        let (title, prefix) = (self.deps.platform.traits().title, self.deps.platform.traits().prefix);
        let words = match command {
            Some(Command::Pair(code)) => match self.deps.codes.redeem(&code, Instant::now()) {
                true => {
                    info!(platform = self.deps.name(), person = person.id, "somebody was paired with a code");
                    self.own.people.insert(person.id.clone(), person.name.clone());
                    format!("✅ {}, you may use this bot now. {prefix}help shows what there is.", person.name)
                }
                false => {
                    warn!(platform = self.deps.name(), person = person.id, "a wrong code for pairing");
                    "That code is wrong, used up, or too old.".to_owned()
                }
            },
            _ => {
                debug!(platform = self.deps.name(), person = person.id, "a stranger is ignored");
                let words = format!(
                    "You are not on the list of people who may use this bot. Its owner adds you with the code that \
                     `tether pair --chat` shows ({prefix}pair <code>), or by your {title} id {}.",
                    person.id
                );
                if let What::Press(press) = what {
                    let (deps, token) = (self.deps.clone(), press.token.clone());
                    actix::spawn(async move {
                        deps.platform.answer_press(&token, "You may not answer this.").await;
                    });
                    return done();
                }
                if !self.own.tell(&person.id) {
                    return done();
                }
                words
            }
        };
        if let Some(token) = token {
            return self.toast(token, words);
        }
        let lane = self.lane_at(place);
        self.say(&lane, &Doc::text(&words), true, "");
        done()
    }

    /// Tells the one who pressed, and goes on without waiting for that.
    pub(super) fn toast(&self, token: String, words: String) -> Work<()> {
        let deps = self.deps.clone();
        actix::spawn(async move { deps.platform.answer_press(&token, &words).await });
        done()
    }

    /// Tells what the message shows anyway, where that is how a press ends.
    fn confirm(&self, token: String, words: &str) -> Work<()> {
        if self.deps.platform.traits().toasts { self.toast(token, words.to_owned()) } else { done() }
    }

    /// Does a command; `edits` is the message that its answer takes the place of.
    fn command(
        &mut self,
        command: Command,
        person: &Person,
        place: &Place,
        edits: Option<String>,
        token: Option<String>,
    ) -> Work<()> {
        let session = self.session_at(place);
        let asker = Asker {
            by: self.by(person),
            listed: self.deps.allowed.0.contains(&person.id),
            session,
            listing: self.listings.get(&person.id).cloned(),
        };
        let (deps, person, place) = (self.deps.clone(), person.id.clone(), place.clone());
        let work = async move { commands::perform(&deps, command, asker).await };
        Box::pin(work.into_actor(self).map(move |said, bridge, _| {
            bridge.answer(said, &person, &place, edits);
            if let Some(token) = token {
                drop(bridge.toast(token, String::new()));
            }
        }))
    }

    fn answer(&mut self, said: Said, person: &str, place: &Place, edits: Option<String>) {
        let Said { doc, buttons, file, listing } = said;
        if let Some(listing) = listing {
            self.listings.insert(person.to_owned(), listing);
        }
        let lane = self.lane_at(place);
        let dialect = self.deps.platform.dialect();
        let Some(thread) = self.threads.get_mut(&lane) else { return };
        let now = Stamp::now();
        if !doc.is_blank() {
            let mut parts = doc.render(dialect);
            let last = parts.pop().unwrap_or_default();
            for text in parts {
                let message = Words { text, quiet: true, ..Words::default() };
                thread.lane.push_awaited(Act::Send { message, slot: None }, now);
            }
            let message = Words { text: last, buttons, quiet: true, ..Words::default() };
            let act = match edits {
                Some(id) => Act::Edit { target: super::record::Target::Id(id), message },
                None => Act::Send { message, slot: None },
            };
            thread.lane.push_awaited(act, now);
        }
        if let Some(file) = file {
            thread.lane.push_awaited(Act::File(file), now);
        }
        thread.dirty = true;
    }

    /// The session whose thread a place is.
    pub(super) fn session_at(&self, place: &Place) -> Option<SessionId> {
        let thread = self.threads.values().find(|thread| thread.lane.place.as_ref() == Some(place))?;
        thread.lane.session.clone().filter(|_| !thread.lane.detached && !thread.lane.leaving)
    }

    // --- buttons ---

    fn press(&mut self, press: Press, person: &Person, place: &Place) -> Work<()> {
        if let Some(page) = press.data.strip_prefix("list.") {
            let wanted = ListWanted::Page(page.parse().unwrap_or(1));
            return self.command(
                Command::List(wanted),
                person,
                place,
                Some(press.message),
                Some(press.token),
            );
        }
        let found = press.data.trim_end_matches('!').split_once('.').and_then(|(key, number)| {
            let number: usize = number.parse().ok()?;
            self.threads.iter().find_map(|(lane, thread)| {
                let card = thread.lane.cards.iter().find(|card| card.key == key)?;
                // A button belongs to the message that it stands on, and to no other.
                let is_there = thread.lane.place.as_ref() == Some(place);
                is_there.then(|| (lane.clone(), card.approval.clone(), card.choices.get(number).copied()))
            })
        });
        let Some((lane, approval, Some(choice))) = found else {
            return self.toast(press.token, "This button is not known any more.".to_owned());
        };
        let (person, words) = (person.clone(), press.words);
        let data = press.data;
        self.with_approval(approval, move |bridge, approval| {
            let Some(approval) = approval else {
                return bridge.toast(press.token, "This question is not there any more.".to_owned());
            };
            if approval.state != ApprovalState::Open {
                bridge.settle(&lane, &approval);
                return bridge.toast(press.token, GateError::AlreadyAnswered(Box::new(approval)).to_string());
            }
            let card = bridge.threads.get_mut(&lane).and_then(|thread| thread.lane.card_mut(&approval.id));
            let Some(card) = card else { return done() };
            let step = cards::press(&approval, card, choice, words.as_deref());
            bridge.step(&lane, approval, step, Answered { person, data, token: Some(press.token) })
        })
    }

    /// Looks an approval up, and goes on with it.
    pub(super) fn with_approval(
        &mut self,
        id: ApprovalId,
        then: impl FnOnce(&mut Bridge, Option<Approval>) -> Work<()> + 'static,
    ) -> Work<()> {
        let log = self.deps.world.log().clone();
        let work = async move {
            match log.read_model.open_approval(&id) {
                Some(open) => Some((*open).clone()),
                None => log.find_approval(id).await.ok().flatten(),
            }
        };
        Box::pin(work.into_actor(self).then(move |approval, bridge, _| then(bridge, approval)))
    }

    pub(super) fn step(
        &mut self,
        lane: &str,
        approval: Approval,
        step: Result<Step, String>,
        answered: Answered,
    ) -> Work<()> {
        let Answered { person, data, token } = answered;
        let lane = lane.to_owned();
        match step {
            Err(words) => self.tell(&lane, token, &format!("⚠️ {words}")),
            Ok(Step::Chosen) => {
                self.redraw(&lane, &approval);
                token.map_or_else(done, |token| self.confirm(token, "Noted."))
            }
            Ok(Step::Whole) => {
                if let Some(thread) = self.threads.get_mut(&lane) {
                    thread.lane.push(Act::File(FileSource::Whole(approval.id)), "", Stamp::now());
                    thread.dirty = true;
                }
                token.map_or_else(done, |token| self.toast(token, "It comes as a file.".to_owned()))
            }
            Ok(Step::AskWords(prompt)) => {
                if self.deps.platform.traits().words == AskWords::Form {
                    return self.tell(&lane, token, "Nothing was written, so nothing was answered.");
                }
                let doc =
                    Doc::default().line([plain(format!("✏️ {}, reply to this: {prompt}", person.name))]);
                let text = doc.render_one(self.deps.platform.dialect()).0;
                if let Some(thread) = self.threads.get_mut(&lane) {
                    let reply_to = thread.lane.card(&approval.id).and_then(|card| card.message.clone());
                    let message =
                        Words { text, asks: Some(cut_prompt(&prompt)), reply_to, ..Words::default() };
                    let slot = Some(Slot::Asks { data, person: person.id });
                    thread.lane.push(Act::Send { message, slot }, "", Stamp::now());
                    thread.dirty = true;
                }
                token.map_or_else(done, |token| {
                    self.toast(token, "Write it as a reply to the message below.".to_owned())
                })
            }
            // They were thrown out while it was looked at.
            Ok(Step::Answer(_)) if !self.may(&person) => done(),
            Ok(Step::Answer(answer)) => {
                let (world, by, session) =
                    (self.deps.world.clone(), self.by(&person), approval.session_id.clone());
                let id = approval.id.clone();
                let allowed = answer.allowed();
                let work = async move { world.answer(&session, ApprovalRef::Id(id), answer, by).await };
                Box::pin(work.into_actor(self).then(move |answered, bridge, _| match answered {
                    Ok(approval) => {
                        bridge.settle(&lane, &approval);
                        let words = if allowed { "Allowed." } else { "Denied." };
                        token.map_or_else(done, |token| bridge.confirm(token, words))
                    }
                    Err(GateError::AlreadyAnswered(approval)) => {
                        bridge.settle(&lane, &approval);
                        let words = GateError::AlreadyAnswered(approval).to_string();
                        bridge.tell(&lane, token, &words)
                    }
                    Err(error) => bridge.tell(&lane, token, &format!("⚠️ not answered: {error}")),
                }))
            }
        }
    }

    /// Tells the one who pressed, or the thread if it was typed.
    pub(super) fn tell(&mut self, lane: &str, token: Option<String>, words: &str) -> Work<()> {
        match token {
            Some(token) => self.toast(token, words.to_owned()),
            None => {
                self.say(lane, &Doc::text(words), true, "");
                done()
            }
        }
    }
}

/// Who answered, and how.
pub(super) struct Answered {
    pub person: Person,
    pub data: String,
    pub token: Option<String>,
}

fn cut_prompt(prompt: &str) -> String {
    super::markup::cut(prompt, 60)
}
