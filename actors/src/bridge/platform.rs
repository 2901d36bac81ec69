//! The seam to a chat platform: what one can do, what it is asked to show, what comes from it, how it fails.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};

use super::markup::Dialect;
use crate::domain::time::Stamp;

/// A chat platform. It knows nothing of sessions and approvals: it carries messages, and tells what people do.
///
/// All calls may run side by side, except that there is at most one `receive`, and at most one message on its way
/// into the same place. None may wait longer than about a minute, `receive` excepted.
#[async_trait]
pub trait Platform: Send + Sync + 'static {
    /// What it can and cannot do.
    fn traits(&self) -> &Traits;

    /// How its messages are marked up.
    fn dialect(&self) -> &dyn Dialect;

    /// Checks the credentials and sets up what is needed (commands registered, a channel found). Called before
    /// `receive`, and again before each later one. Answers who the bot is and where it talks, in words for people.
    async fn connect(&self) -> Result<String, Failure>;

    /// Hears what people do from `position` on (what the last handled [`Incoming`] bore; `None` = from now on) and
    /// puts it into the inbox, in order, until it cannot go on. An acknowledgement with a deadline is given before
    /// `put`; what tells the platform that it need not say something again, after it.
    async fn receive(&self, position: Option<String>, inbox: Inbox) -> Failure;

    /// Makes a thread. `nonce` is the same when it is tried again.
    async fn open_thread(&self, title: &str, nonce: &str) -> Result<String, Failure>;

    /// Gives a thread another title.
    async fn rename_thread(&self, thread: &str, title: &str) -> Result<(), Failure>;

    /// Closes a thread, or opens it again.
    async fn close_thread(&self, thread: &str, closed: bool) -> Result<(), Failure>;

    /// Sends a message. `nonce` is the same when it is tried again, at most 25 characters of `[a-z0-9]`.
    async fn send(&self, place: &Place, message: &Message, nonce: &str) -> Result<Sent, Failure>;

    /// Puts another message in the place of one; one without buttons takes the buttons away.
    async fn edit(&self, place: &Place, id: &str, message: &Message) -> Result<(), Failure>;

    /// Sends a file.
    async fn send_file(&self, place: &Place, file: &FileOut, nonce: &str) -> Result<Sent, Failure>;

    /// Fetches a file that somebody sent, from the platform's own hosts only; fails when it is larger than `limit`.
    async fn fetch(&self, file: &FileRef, limit: u64) -> Result<Bytes, Failure>;

    /// Tells the one who pressed a button, and nobody else, what came of it. Too late is no failure.
    async fn answer_press(&self, token: &str, text: &str);

    /// Shows that somebody writes in a thread; for a few seconds.
    async fn typing(&self, thread: &str);

    /// An address that leads to a thread, if there is one.
    fn link(&self, thread: &str) -> Option<String>;
}

/// What a platform can and cannot do. Numbers are the platform's documented ones.
#[derive(Clone, Debug)]
pub struct Traits {
    /// The word for it in settings and in the API: `telegram`.
    pub name: &'static str,
    /// Its name for people: `Telegram`.
    pub title: &'static str,
    /// What begins a command: `/` or `!`.
    pub prefix: char,
    /// How a button's question for words is put.
    pub words: Words,
    /// Characters of a button's label.
    pub label: usize,
    /// Buttons in a row.
    pub row: usize,
    /// Characters of a thread's title.
    pub thread_title: usize,
    /// How often the same message may be edited.
    pub edit_gap: Duration,
    /// How often `typing` must be told; `None` = never.
    pub typing_every: Option<Duration>,
    /// Messages over all threads.
    pub messages: Rate,
    /// Edits over all threads; `None` = they are counted with the messages.
    pub edits: Option<Rate>,
    /// The largest file that can be sent, in bytes.
    pub file_out: u64,
    /// The largest file that can be fetched, in bytes.
    pub file_in: u64,
    /// Whether the one who pressed is told even what the message shows then, because a press must be answered.
    pub toasts: bool,
}

/// How many calls a platform takes in how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// So many.
    pub count: usize,
    /// Within any such time.
    pub per: Duration,
}

/// How somebody who pressed a button is asked for words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Words {
    /// The platform opens a form by itself when [`Press::asks_words`] holds, and delivers the press when it is filled in,
    /// with the words.
    Form,
    /// They are asked to reply to a message.
    Reply,
}

/// Where a message goes, or came from.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// A thread of the configured chat.
    Thread(String),
    /// The configured chat itself.
    Home,
    /// A conversation of one person with the bot; the platform's own id of it.
    Direct(String),
    /// Somewhere else. Nothing is sent there, and nothing heard from there.
    Elsewhere,
}

/// Text in the platform's markup, within its limits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rendered {
    /// With markup.
    pub markup: String,
    /// The same without any, for when the platform does not take the markup.
    pub plain: String,
}

/// A message to send.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// What it says.
    pub text: Rendered,
    /// Rows of buttons.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub buttons: Vec<Vec<Button>>,
    /// Whether nobody's phone shall ring.
    #[serde(default)]
    pub quiet: bool,
    /// Where [`Words::Reply`]: whoever is meant shall reply to this message with words; what the field says before
    /// anything is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asks: Option<String>,
    /// The message that it replies to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<String>,
}

/// What a button looks like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Look {
    /// As any.
    #[default]
    Plain,
    /// A yes.
    Good,
    /// A no.
    Bad,
}

/// A button.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Button {
    /// What it says, within [`Traits::label`].
    pub label: String,
    /// What comes back in [`What::Press`]; at most 24 characters of `[a-z0-9.!]`, no secret and no meaning. With a `!`
    /// at its end words are wanted with it: see [`Press::asks_words`].
    pub data: String,
    /// What it looks like.
    #[serde(default)]
    pub look: Look,
}

/// A message is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// The platform's own id of it. Of two in the same chat the later one is longer, or the same length and
    /// greater as text.
    pub id: String,
    /// The platform's own time of it.
    pub at: Stamp,
}

/// A file to send.
#[derive(Clone, Debug)]
pub struct FileOut {
    /// Its name, without a path.
    pub name: String,
    /// What is in it.
    pub bytes: Bytes,
    /// A line with it.
    pub caption: String,
}

/// A file that somebody sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileRef {
    /// Its name, as they gave it.
    pub name: Option<String>,
    /// Its size, as the platform says.
    pub size: Option<u64>,
    /// What the platform finds it by.
    pub handle: String,
}

/// Somebody on the platform.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// The platform's own id of them.
    pub id: String,
    /// What people call them.
    pub name: String,
}

/// What somebody did. Bots, ourselves included, are left out by the platform.
#[derive(Clone, Debug)]
pub struct Incoming {
    /// The platform's own id of it: the same when it tells it again.
    pub id: String,
    /// Where to go on hearing behind it.
    pub position: Option<String>,
    /// Who.
    pub person: Person,
    /// Where.
    pub place: Place,
    /// When, by the platform's own time.
    pub at: Stamp,
    /// What.
    pub what: What,
}

/// What somebody did.
#[derive(Clone, Debug)]
pub enum What {
    /// They wrote something, or sent files.
    Text {
        /// The platform's own id of the message.
        message: String,
        /// The words, as they typed them: entities decoded, mentions of the bot taken out.
        text: String,
        /// The message that they replied to.
        reply_to: Option<String>,
        /// The files.
        files: Vec<FileRef>,
    },
    /// They pressed a button.
    Press(Press),
    /// They gave a command that the platform itself takes apart (`name arguments`, without a prefix).
    Command {
        /// What they gave.
        line: String,
        /// For [`Platform::answer_press`], if somebody waits for an answer.
        token: Option<String>,
    },
    /// Nothing for us, but hearing goes on behind it.
    Nothing,
}

/// A press of a button.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Press {
    /// The button's data.
    pub data: String,
    /// The message that bears it.
    pub message: String,
    /// For [`Platform::answer_press`].
    pub token: String,
    /// The words of a form.
    pub words: Option<String>,
}

impl Press {
    /// Whether a button with this data wants words with its press.
    pub fn asks_words(data: &str) -> bool {
        data.ends_with('!')
    }
}

/// A reaction that makes a session of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shortcut {
    /// The sign (`✅`), or where signs have names on the platform, such a name.
    pub emoji: String,
    /// Whether any message will do, not only `!new` with words below it.
    pub any_message: bool,
}

/// Why a platform did not do what it was asked. The texts are for people and name no secret.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum Failure {
    /// Too much at once: not again before this time.
    #[error("{why}")]
    Slow {
        /// As the platform says; `None` = it does not.
        after: Option<Duration>,
        /// What it says.
        why: String,
        /// Whether it is meant for this thread alone.
        here: bool,
    },
    /// It may or may not have happened: the connection broke, the platform is ill. Tried again.
    #[error("{0}")]
    Unsure(String),
    /// The platform will not do it, however often it is asked.
    #[error("{0}")]
    Refused(String),
    /// The thread is gone.
    #[error("the thread is gone")]
    ThreadGone,
    /// The message is gone.
    #[error("the message is gone")]
    MessageGone,
    /// The message says that already.
    #[error("the message says that already")]
    Unchanged,
    /// Nothing works before a person sees to it: a wrong token, a missing permission, a second daemon with the same token.
    #[error("{0}")]
    Broken(String),
}

/// Why a request did not get through, down to what the system says. The address is left out: it may bear a token.
pub(super) fn causes(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut words = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        words = format!("{words}: {cause}");
        source = cause.source();
    }
    words
}

/// Where a platform puts what it heard.
#[derive(Clone, Debug)]
pub struct Inbox(mpsc::Sender<(Incoming, oneshot::Sender<()>)>);

/// The other end of an [`Inbox`].
pub type Outlet = mpsc::Receiver<(Incoming, oneshot::Sender<()>)>;

impl Inbox {
    /// An inbox and its other end.
    pub fn new() -> (Self, Outlet) {
        let (sender, receiver) = mpsc::channel(1);
        (Self(sender), receiver)
    }

    /// Hands it over and waits until it was dealt with, and is not lost any more. `false` = nobody listens any
    /// more: give up without telling the platform that it was heard.
    pub async fn put(&self, incoming: Incoming) -> bool {
        let (done, dealt_with) = oneshot::channel();
        self.0.send((incoming, done)).await.is_ok() && dealt_with.await.is_ok()
    }
}

#[cfg(test)]
mod tests {
    #[actix::test]
    async fn what_does_not_get_through_says_why_and_not_where_to() {
        let closed = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}/bot-secret", closed.local_addr().expect("its address"));
        drop(closed);
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        let error = client.get(url).send().await.expect_err("nobody listens there");
        let words = super::causes(error);
        assert!(words.contains("refused") && !words.contains("secret"), "{words}");
    }
}
