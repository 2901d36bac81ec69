//! What people write: an answer to a question, or words for the agent.

use actix::prelude::*;
use sha2::{Digest, Sha256};

use super::actor::Bridge;
use super::cards;
use super::hear::{Answered, Work, done};
use super::markup::Doc;
use super::media;
use super::platform::{FileRef, Person, Place, Press};
use super::typed;
use crate::domain::approval::ApprovalState;
use crate::domain::ids::{ApprovalId, InputId, SessionId};
use crate::domain::state::SessionState;
use crate::domain::time::Stamp;
use crate::gate::GateError;
use crate::session::{GiveInput, SessionError, Start};

/// Typed words answer a question only when it stood there so many seconds before: they may be meant for the one that
/// was there when they were begun.
const SEEN_FOR: i64 = 2;

impl Bridge {
    pub(super) fn text(&mut self, text: Text, person: &Person, place: &Place) -> Work<()> {
        let Some(session) = self.session_at(place) else {
            let prefix = self.deps.platform.traits().prefix;
            let lane = self.lane_at(place);
            let words = format!(
                "No session is shown here: {prefix}new makes one, {prefix}status shows them, {prefix}help all else."
            );
            self.say(&lane, &Doc::text(&words), true, "");
            return done();
        };
        let lane = session.as_str().to_owned();
        let Some(thread) = self.threads.get_mut(&lane) else { return done() };
        // A reply to a message that asked for words.
        if let Some(at) =
            thread.lane.asked.iter().position(|asked| Some(&asked.message) == text.reply_to.as_ref())
        {
            let asked = thread.lane.asked.get(at).cloned();
            let Some(asked) = asked.filter(|asked| asked.person == person.id) else {
                return self.tell(&lane, None, "That was asked of somebody else.");
            };
            thread.lane.asked.remove(at);
            thread.dirty = true;
            let press = Press {
                data: asked.data,
                message: String::new(),
                token: String::new(),
                words: Some(text.text),
            };
            return self.press_by_words(press, person, place);
        }
        let replied = text.reply_to.as_ref().and_then(|to| {
            thread
                .lane
                .cards
                .iter()
                .find(|card| card.message.as_ref() == Some(to))
                .map(|card| card.approval.clone())
        });
        if let Some(approval) = replied {
            return self.typed(lane, approval, text, person, true);
        }
        let open: Vec<_> =
            thread.lane.cards.iter().filter(|card| !card.done && card.message.is_some()).collect();
        let words = typed::answer(&text.text).filter(|_| text.files.is_empty());
        match open.as_slice() {
            [] if words.is_some() && is_plainly_an_answer(&text.text) => {
                self.tell(&lane, None, "Nothing is asked here just now, so these words were not passed on.")
            }
            [only] if text.files.is_empty() => {
                let settled = only.at.is_some_and(|at| text.at.seconds_since(at) >= SEEN_FOR);
                let later = only.message.as_deref().is_some_and(|card| is_later(&text.message, card));
                if words.is_some() && !(settled && later) {
                    let words = "⚠️ That question has only just come: press a button on it, or reply to it.";
                    return self.tell(&lane, None, words);
                }
                let approval = only.approval.clone();
                self.typed(lane, approval, text, person, false)
            }
            [_, _, ..] if words.is_some() => self.tell(
                &lane,
                None,
                "⚠️ Several questions are open: press a button on the one that you mean, or reply to it.",
            ),
            _ => self.input(session, text, person),
        }
    }

    /// A press whose words came by a reply.
    fn press_by_words(&mut self, press: Press, person: &Person, place: &Place) -> Work<()> {
        let key = press
            .data
            .trim_end_matches('!')
            .split_once('.')
            .map(|(key, number)| (key.to_owned(), number.parse::<usize>()));
        let Some((key, Ok(number))) = key else { return done() };
        let Some(session) = self.session_at(place) else { return done() };
        let lane = session.as_str().to_owned();
        let found = self.threads.get(&lane).and_then(|thread| {
            let card = thread.lane.cards.iter().find(|card| card.key == key)?;
            Some((card.approval.clone(), card.choices.get(number).copied()?))
        });
        let Some((approval, choice)) = found else {
            return self.tell(&lane, None, "That question is not there any more.");
        };
        let (person, words) = (person.clone(), press.words);
        self.with_approval(approval, move |bridge, approval| {
            let Some(approval) = approval else { return done() };
            if approval.state != ApprovalState::Open {
                let words = GateError::AlreadyAnswered(Box::new(approval)).to_string();
                return bridge.tell(&lane, None, &words);
            }
            let card = bridge.threads.get_mut(&lane).and_then(|thread| thread.lane.card_mut(&approval.id));
            let Some(card) = card else { return done() };
            let step = cards::press(&approval, card, choice, words.as_deref());
            bridge.step(&lane, approval, step, Answered { person, data: press.data, token: None })
        })
    }

    /// Words that may be an answer to this approval.
    fn typed(
        &mut self,
        lane: String,
        approval: ApprovalId,
        text: Text,
        person: &Person,
        replies: bool,
    ) -> Work<()> {
        let person = person.clone();
        self.with_approval(approval, move |bridge, approval| {
            let Some(approval) = approval else { return done() };
            if approval.state != ApprovalState::Open {
                if !replies {
                    return bridge.input(approval.session_id.clone(), text, &person);
                }
                bridge.settle(&lane, &approval);
                let words = GateError::AlreadyAnswered(Box::new(approval)).to_string();
                return bridge.tell(&lane, None, &words);
            }
            let words = typed::answer(&text.text);
            let card = bridge.threads.get_mut(&lane).and_then(|thread| thread.lane.card_mut(&approval.id));
            let Some(card) = card else { return done() };
            match cards::typed(&approval, card, words, &text.text, replies) {
                Some(step) => {
                    bridge.step(&lane, approval, step, Answered { person, data: String::new(), token: None })
                }
                None => bridge.input(approval.session_id.clone(), text, &person),
            }
        })
    }

    /// Words and files for the agent.
    fn input(&mut self, session: SessionId, text: Text, person: &Person) -> Work<()> {
        let (deps, by) = (self.deps.clone(), self.by(person));
        let lane = session.as_str().to_owned();
        let input_id = input_id(deps.name(), &text.id);
        let work = async move {
            let taken = media::take_in(&deps, &session, &text.files).await;
            let mut words = text.text.trim().to_owned();
            if words.is_empty() && (!taken.images.is_empty() || !taken.lines.is_empty()) {
                words = "Please look at what is attached.".to_owned();
            }
            for line in &taken.lines {
                words.push_str(&format!("\n\n{line}"));
            }
            let mut told = taken.problems;
            if words.is_empty() {
                return told;
            }
            let state = deps.world.read_model().session(&session).map(|entry| entry.record.session.state);
            let images = taken.images;
            let outcome = if state == Some(SessionState::Created) {
                let start = Start { prompt: words, images, approval_choice: None, by };
                deps.world.start(&session, start).await.map(|_| false)
            } else {
                let input = GiveInput { text: words, images, input_id: Some(input_id), by };
                deps.world.input(&session, input).await.map(|accepted| accepted.queued)
            };
            match outcome {
                Ok(true) => told.push("🕓 Queued: it is passed on when this turn ends.".to_owned()),
                Ok(false) => {}
                Err(SessionError::NotFound) => told.push("⚠️ this session is gone".to_owned()),
                Err(error) => told.push(format!("⚠️ not passed on: {error}")),
            }
            told
        };
        Box::pin(work.into_actor(self).map(move |told, bridge, _| {
            for words in told {
                bridge.say(&lane, &Doc::text(&words), true, "");
            }
        }))
    }
}

/// What somebody wrote.
pub(super) struct Text {
    pub id: String,
    pub message: String,
    pub text: String,
    pub reply_to: Option<String>,
    pub files: Vec<FileRef>,
    pub at: Stamp,
}

/// `allow` and `deny` are said to nobody else than us; `yes` and `no` may be for the agent.
fn is_plainly_an_answer(text: &str) -> bool {
    let text = text.trim().to_ascii_lowercase();
    text.starts_with("allow") || text.starts_with("deny")
}

/// Whether a message came after another, by their ids (see [`Sent`](super::platform::Sent)).
fn is_later(message: &str, than: &str) -> bool {
    (message.len(), message) > (than.len(), than)
}

/// The same id whenever the platform tells of the same message, so that it is not passed on twice.
fn input_id(platform: &str, id: &str) -> InputId {
    let hash = Sha256::digest(format!("{platform}/{id}").as_bytes());
    let mut bytes = [0; 16];
    for (byte, from) in bytes.iter_mut().zip(hash.iter()) {
        *byte = *from;
    }
    InputId::from(uuid::Builder::from_custom_bytes(bytes).into_uuid().to_string().as_str())
}
