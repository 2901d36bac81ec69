//! What a bridge keeps, so that a restart loses nothing and sends nothing twice that it need not.
//!
//! A [`Lane`] is kept under its name as one value, so how far a session was told, what is yet to be sent and which
//! message shows which approval change together.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};

use super::pace::Haste;
use super::platform::{Message, Place};
use crate::domain::ids::{ApprovalId, SessionId};
use crate::domain::time::Stamp;

/// So many settled cards are remembered, to say what became of them when an old button is pressed.
const OLD_CARDS: usize = 40;

/// One thread (or other place) and what is said there.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Lane {
    /// The session that it shows; none for the chat itself and for people's own conversations with the bot.
    pub session: Option<SessionId>,
    /// Where, once it is known.
    #[serde(default)]
    pub place: Option<Place>,
    /// The thread's title as the platform has it.
    #[serde(default)]
    pub title: String,
    /// Whether the thread is closed there.
    #[serde(default)]
    pub closed: bool,
    /// Events up to here are in the outbox, or were told.
    #[serde(default)]
    pub cursor: u64,
    /// The event with which the turn began that goes on at `cursor`, 0 if none was heard: from there on is read
    /// again after a restart, to know what was said.
    #[serde(default)]
    pub turn_from: u64,
    /// What is yet to be sent, oldest first.
    #[serde(default)]
    pub outbox: VecDeque<Item>,
    /// The number of the next item.
    #[serde(default)]
    pub next: u64,
    /// The messages that show what is being written just now.
    #[serde(default)]
    pub live: Vec<String>,
    /// The approvals that are shown here.
    #[serde(default)]
    pub cards: Vec<Card>,
    /// Messages that ask for words.
    #[serde(default)]
    pub asked: Vec<Asked>,
    /// Nothing more comes: once all is sent, it is forgotten.
    #[serde(default)]
    pub leaving: bool,
    /// The session is bound elsewhere or nowhere; the thread is kept for when it comes back.
    #[serde(default)]
    pub detached: bool,
}

/// Something to be sent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Item {
    /// Its number in the lane.
    pub no: u64,
    /// When it was put there.
    pub at: Stamp,
    /// What.
    pub act: Act,
    /// What it says in a line, for when too much waits.
    #[serde(default)]
    pub line: String,
    /// How many others it stands for.
    #[serde(default)]
    pub folded: usize,
    /// Somebody asked for it just now.
    #[serde(default)]
    pub awaited: bool,
}

/// What is to be done on the platform.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Act {
    /// Send a message.
    Send {
        /// It.
        message: Message,
        /// What it is remembered as.
        slot: Option<Slot>,
    },
    /// Put a message in the place of one.
    Edit {
        /// Of which.
        target: Target,
        /// It.
        message: Message,
    },
    /// Send a file.
    File(FileSource),
    /// Give the thread a title.
    Title(String),
    /// Close the thread, or open it again.
    Close(bool),
}

/// What a message is remembered as.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Slot {
    /// The card of an approval.
    Card(ApprovalId),
    /// Asks somebody for the words that go with a button.
    Asks {
        /// The button's data.
        data: String,
        /// Whom: the platform's id.
        person: String,
    },
}

/// Which message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// The one with this id.
    Id(String),
    /// The card of an approval, whose id is known when this is sent.
    Card(ApprovalId),
}

/// Where a file's content is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileSource {
    /// All of an approval: its input, its diff.
    Whole(ApprovalId),
    /// A file of the session's directory, absolute.
    Path(String),
    /// A text of ours.
    Text {
        /// The file's name.
        name: String,
        /// What is in it.
        text: String,
    },
}

/// An approval that is shown in a message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Card {
    /// Begins the data of its buttons; random, of this card alone.
    pub key: String,
    /// Which approval.
    pub approval: ApprovalId,
    /// The message, once it is there.
    #[serde(default)]
    pub message: Option<String>,
    /// When it was there, by the platform's time.
    #[serde(default)]
    pub at: Option<Stamp>,
    /// What each button means, by the number in its data.
    #[serde(default)]
    pub choices: Vec<Choice>,
    /// What was chosen so far, by question.
    #[serde(default)]
    pub picks: BTreeMap<usize, Vec<String>>,
    /// It was answered, and says so.
    #[serde(default)]
    pub done: bool,
}

/// What a button of a card means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Choice {
    /// Yes, this once.
    Allow,
    /// No.
    Deny,
    /// No, and why.
    DenyBecause,
    /// Yes, and this tool for 30 minutes.
    AllowTool,
    /// Yes, and everything for 30 minutes.
    AllowAll,
    /// Yes, and this directory for 30 minutes.
    AllowDirectory,
    /// Show all of it.
    Whole,
    /// This option of this question.
    Pick(usize, usize),
    /// Other words for this question.
    Words(usize),
    /// Send what was chosen.
    Submit,
}

/// A message that asks somebody for words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// The message.
    pub message: String,
    /// The data of the button that asked for them.
    pub data: String,
    /// Whom: the platform's id.
    pub person: String,
}

/// What a bridge keeps beside its lanes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Own {
    /// Where to go on hearing.
    #[serde(default)]
    pub position: Option<String>,
    /// What was dealt with lately, by the platform's ids, oldest first.
    #[serde(default)]
    pub seen: VecDeque<String>,
    /// People who were paired: the platform's id, and what they were called then.
    #[serde(default)]
    pub people: BTreeMap<String, String>,
    /// The names under which people acted who may, by their ids.
    #[serde(default)]
    pub names: BTreeMap<String, BTreeSet<String>>,
    /// Strangers who were told that they are.
    #[serde(default)]
    pub told: VecDeque<String>,
}

impl Own {
    /// Where it is kept.
    pub const NAME: &str = "@own";
    /// So many ids are remembered; platforms repeat themselves within minutes.
    const SEEN: usize = 500;

    /// Notes that something was dealt with; `false` = it was before.
    pub fn note(&mut self, id: &str) -> bool {
        if self.seen.iter().any(|seen| seen == id) {
            return false;
        }
        self.seen.push_back(id.to_owned());
        while self.seen.len() > Self::SEEN {
            self.seen.pop_front();
        }
        true
    }

    /// Notes that a stranger was told; `false` = they were before.
    pub fn tell(&mut self, person: &str) -> bool {
        if self.told.iter().any(|told| told == person) {
            return false;
        }
        self.told.push_back(person.to_owned());
        while self.told.len() > Self::SEEN {
            self.told.pop_front();
        }
        true
    }
}

impl Lane {
    /// A lane for a session, which is told from behind event `cursor`.
    pub fn of(session: SessionId, cursor: u64) -> Self {
        Self { session: Some(session), cursor, ..Self::default() }
    }

    /// A lane for another place.
    pub fn at(place: Place) -> Self {
        Self { place: Some(place), ..Self::default() }
    }

    /// Under which name it is kept.
    pub fn name(&self) -> String {
        match (&self.session, &self.place) {
            (Some(session), _) => session.as_str().to_owned(),
            (None, Some(Place::Direct(id))) => format!("@direct:{id}"),
            (None, Some(Place::Thread(id))) => format!("@thread:{id}"),
            (None, _) => "@home".to_owned(),
        }
    }

    /// Puts something at the end; answers its number.
    pub fn push(&mut self, act: Act, line: impl Into<String>, now: Stamp) -> u64 {
        let no = self.next;
        self.next += 1;
        self.outbox.push_back(Item { no, at: now, act, line: line.into(), folded: 0, awaited: false });
        no
    }

    /// The same for what somebody asked for just now.
    pub fn push_awaited(&mut self, act: Act, now: Stamp) {
        let no = self.next;
        self.next += 1;
        self.outbox.push_back(Item { no, at: now, act, line: String::new(), folded: 0, awaited: true });
    }

    /// The card of an approval.
    pub fn card(&self, approval: &ApprovalId) -> Option<&Card> {
        self.cards.iter().rev().find(|card| card.approval == *approval)
    }

    /// The same, to change it.
    pub fn card_mut(&mut self, approval: &ApprovalId) -> Option<&mut Card> {
        self.cards.iter_mut().rev().find(|card| card.approval == *approval)
    }

    /// Shows another message for a card: in place of what waits to be sent for it, or as an edit. `in_flight` is the
    /// item that is being sent.
    pub fn show_card(&mut self, approval: &ApprovalId, message: Message, in_flight: Option<u64>, now: Stamp) {
        let waiting =
            self.outbox.iter_mut().find(|item| Some(item.no) != in_flight && shows(&item.act, approval));
        if let Some(item) = waiting {
            match &mut item.act {
                Act::Send { message: old, .. } | Act::Edit { message: old, .. } => *old = message,
                _ => {}
            }
            return;
        }
        let known = self.card(approval).is_some_and(|card| card.message.is_some());
        let under_way = self.outbox.iter().any(|item| shows(&item.act, approval));
        let act = match known || under_way {
            true => Act::Edit { target: Target::Card(approval.clone()), message },
            false => Act::Send { message, slot: Some(Slot::Card(approval.clone())) },
        };
        self.push(act, "", now);
    }

    /// Forgets the oldest cards that are done.
    pub fn forget_old_cards(&mut self) {
        let mut extra = self.cards.iter().filter(|card| card.done).count().saturating_sub(OLD_CARDS);
        self.cards.retain(|card| {
            let drop = card.done && extra > 0;
            extra -= usize::from(drop);
            !drop
        });
        let extra = self.asked.len().saturating_sub(OLD_CARDS);
        self.asked.drain(..extra);
    }

    /// How much somebody waits for the next thing to be sent, or for what stands behind it.
    pub fn haste(&self) -> Haste {
        let of = |item: &Item| match &item.act {
            Act::Send { slot: Some(Slot::Card(_)), .. } | Act::Edit { target: Target::Card(_), .. } => {
                Haste::Urgent
            }
            _ if item.awaited => Haste::Awaited,
            _ => Haste::Ordinary,
        };
        self.outbox.iter().map(of).max().unwrap_or(Haste::Ordinary)
    }
}

fn shows(act: &Act, approval: &ApprovalId) -> bool {
    match act {
        Act::Send { slot: Some(Slot::Card(id)), .. } | Act::Edit { target: Target::Card(id), .. } => {
            id == approval
        }
        _ => false,
    }
}
