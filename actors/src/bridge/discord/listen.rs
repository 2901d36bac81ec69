//! From what the gateway tells to the inbox: in order, what was typed while nobody heard first.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;
use twilight_http::request::Request;
use twilight_http::routing::Route;

use super::gateway::{Event, Position, Told};
use super::http::Http;
use super::places::Places;
use super::presses::{self, Heard};
use super::wire::{
    ActiveThreads, Attachment, Channel, Message, Reaction, Snowflake, User, first_of, made_at,
};
use super::words::{About, Trouble};
use crate::bridge::pace::backoff;
use crate::bridge::platform::{Failure, FileRef, Inbox, Incoming, Person, Place, Shortcut, What};
use crate::domain::time::Stamp;

/// Messages of different channels may come in another order than they were written in, by so much.
const APART: i64 = 10_000;
/// Messages that are asked for at a time, and how often in one channel.
const PAGE: u16 = 100;
const PAGES: usize = 20;
/// Nonces that are remembered.
const REMEMBERED: usize = 2_000;
/// So often is a question to Discord repeated before hearing begins anew.
const TRIES: u32 = 5;

/// What is needed to understand what the gateway tells.
#[derive(Debug)]
pub struct Listener {
    pub http: Http,
    pub places: Places,
    pub shortcut: Option<Shortcut>,
    /// What was sent from here.
    pub sent: Sent,
}

/// The nonces of what was sent from here of late: what the bot says under another one, another program says.
#[derive(Debug, Default)]
pub struct Sent(Mutex<VecDeque<String>>);

impl Sent {
    fn lock(&self) -> MutexGuard<'_, VecDeque<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something is about to be sent.
    pub fn note(&self, nonce: &str) {
        let mut sent = self.lock();
        if sent.len() >= REMEMBERED {
            sent.pop_front();
        }
        sent.push_back(nonce.to_owned());
    }

    fn has(&self, nonce: &str) -> bool {
        self.lock().iter().any(|sent| sent == nonce)
    }
}

/// Who and where the bot is.
#[derive(Clone, Copy, Debug)]
pub struct Us {
    pub bot: Snowflake,
    pub guild: Snowflake,
}

impl Listener {
    /// Called at once for every event: answers presses in time.
    pub fn prepare(&self, told: &mut Told) {
        if let Event::Did(interaction) = &told.event {
            told.heard = presses::hear(&self.http, &self.places, interaction);
        }
    }

    /// Puts into the inbox what people do, until nobody listens or nothing more is told.
    pub async fn deal(
        &self,
        us: Us,
        mut position: Position,
        mut told: mpsc::Receiver<Told>,
        inbox: &Inbox,
    ) -> Failure {
        // What is told before that was said before this began.
        let mut live = false;
        while let Some(told) = told.recv().await {
            live |= matches!(told.event, Event::Began(_) | Event::WentOn);
            match self.is_anothers(us, &told.event).await {
                Ok(true) if live => {
                    return Failure::Broken(
                        "another program speaks for this bot in the same channel (a second daemon?): give each a bot, \
                         or a channel, of its own"
                            .to_owned(),
                    );
                }
                Ok(_) => {}
                Err(failure) => return failure,
            }
            if let Err(failure) = self.one(us, &mut position, told, inbox).await {
                return failure;
            }
        }
        Failure::Unsure("the connection to Discord's gateway ended".to_owned())
    }

    /// Whether the bot said something here that was not sent from here.
    async fn is_anothers(&self, us: Us, event: &Event) -> Result<bool, Failure> {
        let Event::Wrote(message) = event else { return Ok(false) };
        let nonce = message.nonce.as_ref().and_then(|nonce| nonce.as_str());
        if message.author.id != us.bot || nonce.is_none_or(|nonce| self.sent.has(nonce)) {
            return Ok(false);
        }
        let place = self.ask(|| self.places.find(&self.http, message.channel_id, message.guild_id)).await?;
        Ok(matches!(place, Place::Home | Place::Thread(_)))
    }

    async fn one(&self, us: Us, position: &mut Position, told: Told, inbox: &Inbox) -> Result<(), Failure> {
        let Told { event, session, resume, heard } = told;
        if let Event::Began(ready) = &event {
            tracing::debug!(bot = ready.user.username, "a session with Discord's gateway began");
            self.catch_up(us, position, inbox).await?;
        }
        (position.session, position.resume) = (session, resume);
        match event {
            Event::Began(_) => {
                // So that a restart knows where to go on, even if nobody ever says anything.
                let nobody = Person { id: String::new(), name: String::new() };
                put(inbox, position, 0, nobody, Place::Elsewhere, What::Nothing).await
            }
            Event::WentOn => Ok(()),
            Event::Thread(channel) => {
                self.places.learn(&channel);
                Ok(())
            }
            Event::Wrote(message) => self.wrote(us, position, *message, inbox).await,
            Event::Reacted(reaction) => self.reacted(us, position, *reaction, inbox).await,
            Event::Did(interaction) => {
                let (Some(who), Some(Heard { place, did, answered })) = (interaction.who(), heard) else {
                    return Ok(());
                };
                let counts = answered.await.unwrap_or(false);
                let nick = interaction.member.as_ref().and_then(|member| member.nick.as_deref());
                match did.filter(|_| counts && !who.bot) {
                    Some(did) => {
                        let what = did.what(&interaction.token);
                        put(inbox, position, interaction.id, person(who, nick), place, what).await
                    }
                    None => Ok(()),
                }
            }
        }
    }

    async fn wrote(
        &self,
        us: Us,
        position: &mut Position,
        message: Message,
        inbox: &Inbox,
    ) -> Result<(), Failure> {
        if !message.is_a_persons() {
            return Ok(());
        }
        let place = self.ask(|| self.places.find(&self.http, message.channel_id, message.guild_id)).await?;
        if place == Place::Elsewhere || (place == Place::Home && self.waits_for_reaction(&message.content)) {
            return Ok(());
        }
        let nick = message.member.as_ref().and_then(|member| member.nick.as_deref());
        let (id, who) = (message.id, person(&message.author, nick));
        match words(message, us.bot) {
            Some(what) => put(inbox, position, id, who, place, what).await,
            None => Ok(()),
        }
    }

    /// `!new` with more lines below it is not done before somebody reacts.
    fn waits_for_reaction(&self, text: &str) -> bool {
        self.shortcut.is_some() && new_with_words(text).is_some()
    }

    async fn reacted(
        &self,
        us: Us,
        position: &mut Position,
        reaction: Reaction,
        inbox: &Inbox,
    ) -> Result<(), Failure> {
        let Some(shortcut) = &self.shortcut else { return Ok(()) };
        let sign = |text: &str| text.replace('\u{fe0f}', "");
        let is_sign = reaction.emoji.name.as_deref().is_some_and(|name| sign(name) == sign(&shortcut.emoji));
        let member = reaction.member.as_ref();
        let who = member.and_then(|member| member.user.as_ref()).filter(|who| !who.bot && who.id != us.bot);
        let (Some(who), true) = (who, is_sign && reaction.channel_id == self.places.home()) else {
            return Ok(());
        };
        let route = Route::GetMessage { channel_id: reaction.channel_id, message_id: reaction.message_id };
        let found = self.get::<Message>(|| Request::builder(&route).build()).await?;
        let Some(message) = found.filter(Message::is_a_persons) else { return Ok(()) };
        let line = match new_with_words(&message.content) {
            Some(line) => line.to_owned(),
            None if shortcut.any_message && !message.content.trim_start().starts_with('!') => {
                format!("new .\n{}", message.content.trim())
            }
            None => return Ok(()),
        };
        let nick = member.and_then(|member| member.nick.as_deref());
        // The message's id: one message makes one session, however many react.
        let incoming = Incoming {
            id: format!("new-{}", message.id),
            position: Some(position.write()),
            person: person(who, nick),
            place: Place::Home,
            at: Stamp::now(),
            what: What::Command { line, token: None },
        };
        hand_on(inbox, incoming).await
    }

    /// What was typed since the newest thing that was dealt with, in all channels of ours, the oldest first.
    async fn catch_up(&self, us: Us, position: &mut Position, inbox: &Inbox) -> Result<(), Failure> {
        (position.session, position.resume) = (None, None);
        if position.last == 0 {
            position.last = first_of(Stamp::now().unix_millis());
            return Ok(());
        }
        let since = first_of(made_at(position.last).saturating_sub(APART));
        let active = || Request::builder(&Route::GetActiveThreads { guild_id: us.guild }).build();
        let threads =
            self.get::<ActiveThreads>(active).await?.map(|active| active.threads).unwrap_or_default();
        let mut channels = vec![self.places.home()];
        for thread in threads.iter().filter(|thread| thread.parent_id == Some(self.places.home())) {
            self.places.learn(thread);
            if thread.last_message_id.is_some_and(|last| last > since) {
                channels.push(thread.id);
            }
        }
        let mut missed = Vec::new();
        for channel in channels {
            self.missed(channel, since, &mut missed).await?;
        }
        missed.sort_by_key(|message| message.id);
        tracing::debug!(messages = missed.len(), "what was written in Discord meanwhile");
        for mut message in missed {
            // Not told outside of the gateway; it is of the server, or it would not be found this way.
            message.guild_id = Some(us.guild);
            self.wrote(us, position, message, inbox).await?;
        }
        Ok(())
    }

    async fn missed(
        &self,
        channel: Snowflake,
        since: Snowflake,
        missed: &mut Vec<Message>,
    ) -> Result<(), Failure> {
        let mut after = since;
        for _ in 0..PAGES {
            let route = Route::GetMessages {
                after: Some(after),
                around: None,
                before: None,
                channel_id: channel,
                limit: Some(PAGE),
            };
            let found =
                self.get::<Vec<Message>>(|| Request::builder(&route).build()).await?.unwrap_or_default();
            let count = found.len();
            after = found.iter().map(|message| message.id).max().unwrap_or(after);
            missed.extend(found);
            if count < usize::from(PAGE) {
                return Ok(());
            }
        }
        tracing::warn!(channel, "more was written in Discord meanwhile than is looked at");
        Ok(())
    }

    /// Asks Discord for something; `None` = there is no such thing, or the bot may not see it.
    async fn get<T: serde::de::DeserializeOwned + Send + 'static>(
        &self,
        request: impl Fn() -> Result<Request, twilight_http::Error> + Sync,
    ) -> Result<Option<T>, Failure> {
        self.ask(|| async {
            match self.http.call::<T>(request()).await {
                Ok(found) => Ok(Some(found)),
                Err(Trouble::Refused { status: 403 | 404, .. }) => Ok(None),
                Err(trouble) => Err(trouble.failure(About::Home)),
            }
        })
        .await
    }

    /// Asks again when it is not known what came of it, as long as that makes sense.
    async fn ask<T, F>(&self, question: impl Fn() -> F + Sync) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Failure>> + Send,
    {
        let mut tries = 0;
        loop {
            tries += 1;
            let wait = match question().await {
                Err(Failure::Unsure(_)) if tries < TRIES => backoff(tries),
                Err(Failure::Slow { after, .. }) if tries < TRIES => after.unwrap_or_else(|| backoff(tries)),
                answer => return answer,
            };
            tokio::time::sleep(wait.max(Duration::from_millis(50))).await;
        }
    }
}

/// Hands it on, and answers when it was dealt with.
async fn put(
    inbox: &Inbox,
    position: &mut Position,
    id: Snowflake,
    person: Person,
    place: Place,
    what: What,
) -> Result<(), Failure> {
    position.last = position.last.max(id);
    let at = if id == 0 { Stamp::now() } else { Stamp::from_unix_millis(made_at(id)) };
    let position = Some(position.write());
    hand_on(inbox, Incoming { id: id.to_string(), position, person, place, at, what }).await
}

async fn hand_on(inbox: &Inbox, incoming: Incoming) -> Result<(), Failure> {
    match inbox.put(incoming).await {
        true => Ok(()),
        false => Err(Failure::Unsure("nobody listens to Discord any more".to_owned())),
    }
}

fn person(user: &User, nick: Option<&str>) -> Person {
    let name = nick.or(user.global_name.as_deref()).unwrap_or(&user.username);
    Person { id: user.id.to_string(), name: name.to_owned() }
}

/// What a message says, with its files and those of what it forwards or replies to.
fn words(message: Message, bot: Snowflake) -> Option<What> {
    let mut text = message.content.as_str();
    for mention in [format!("<@{bot}>"), format!("<@!{bot}>")] {
        text = text.trim_start().strip_prefix(&mention).map_or(text, str::trim_start);
    }
    let mut text = text.to_owned();
    let mut files: Vec<FileRef> = message.attachments.iter().map(file).collect();
    for forwarded in message.message_snapshots.iter().map(|snapshot| &snapshot.message) {
        let quoted: Vec<_> = forwarded.content.lines().map(|line| format!("> {line}")).collect();
        text = [text, quoted.join("\n")]
            .into_iter()
            .filter(|part| !part.is_empty())
            .collect::<Vec<_>>()
            .join("\n\n");
        files.extend(forwarded.attachments.iter().map(file));
    }
    if let Some(replied) = message.referenced_message.as_ref().filter(|replied| !replied.author.bot) {
        files.extend(replied.attachments.iter().map(file));
    }
    let reply_to = message.message_reference.as_ref().filter(|_| message.kind == 19);
    let reply_to = reply_to.and_then(|to| to.message_id).map(|id| id.to_string());
    let something = !text.trim().is_empty() || !files.is_empty();
    something.then(|| What::Text { message: message.id.to_string(), text, reply_to, files })
}

fn file(attachment: &Attachment) -> FileRef {
    FileRef { name: Some(attachment.filename.clone()), size: attachment.size, handle: attachment.url.clone() }
}

/// `new …` and words below it, of a message that is so.
fn new_with_words(text: &str) -> Option<&str> {
    let line = text.trim().strip_prefix('!')?;
    let (first, below) = line.split_once('\n')?;
    let is_new = first.split_whitespace().next() == Some("new") && !below.trim().is_empty();
    is_new.then_some(line)
}

/// Whether a channel can be the home of threads.
pub fn is_home(channel: &Channel) -> bool {
    matches!(channel.kind, 0 | 5)
}

#[cfg(test)]
#[path = "listen_tests.rs"]
mod tests;
