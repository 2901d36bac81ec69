//! What Slack tells (envelopes of Socket Mode, `https://docs.slack.dev/apis/events-api/using-socket-mode`, and messages of the
//! history), as what matters to us. Everything else, and what does not look as it should, is nothing.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::text::decode;
use super::{Shortcut, blocks};
use crate::bridge::platform::{FileRef, Place, Press};
use crate::domain::time::Stamp;

/// Who and where we are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Us {
    /// The bot's user.
    pub user: String,
    /// The bot itself.
    pub bot: String,
    /// The configured channel.
    pub channel: String,
    /// The reaction that makes a session of a message.
    pub shortcut: Option<Shortcut>,
}

/// What somebody did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// Nothing yet; from now on all is heard.
    Begun,
    /// They wrote something.
    Said {
        /// The message.
        ts: String,
        /// Where.
        place: Place,
        /// Who.
        user: String,
        /// What, as typed.
        text: String,
        /// The files with it.
        files: Vec<FileRef>,
    },
    /// They pressed a button, or sent a form.
    Pressed {
        /// The same whenever it is told.
        id: String,
        /// When.
        at: Stamp,
        /// Who.
        user: String,
        /// Where.
        place: Place,
        /// What.
        press: Press,
    },
    /// They pressed a button that wants words: a form must be opened at once.
    Asks {
        /// What allows to open it, for three seconds.
        trigger: String,
        /// What the button says.
        label: String,
        /// What is to come back with the words.
        kept: Kept,
    },
    /// They put our emoji on a message of the channel.
    Reacted {
        /// Who.
        user: String,
        /// On which.
        message: String,
    },
    /// Somebody deleted a message that may have been the head of a thread.
    Gone(String),
}

/// What a form keeps, and what finds a person who pressed a button.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// The channel.
    pub channel: String,
    /// The thread in it.
    pub thread: Option<String>,
    /// The person.
    pub user: String,
    /// The message with the button.
    pub message: String,
    /// The button's data.
    pub data: String,
}

impl Kept {
    fn place(&self, us: &Us) -> Place {
        place(&self.channel, self.thread.as_deref(), us)
    }
}

/// The time of a message (`1795328291.000100`).
pub fn stamp(ts: &str) -> Option<Stamp> {
    let (seconds, rest) = ts.split_once('.').unwrap_or((ts, ""));
    let millis: i64 = format!("{rest:0<3}").get(..3)?.parse().ok()?;
    Some(Stamp::from_unix_millis(seconds.parse::<i64>().ok()?.checked_mul(1_000)?.checked_add(millis)?))
}

fn text<'a>(value: &'a Value, path: &str) -> &'a str {
    value.pointer(path).and_then(Value::as_str).unwrap_or_default()
}

fn place(channel: &str, thread: Option<&str>, us: &Us) -> Place {
    match thread.filter(|thread| !thread.is_empty()) {
        Some(thread) if channel == us.channel => Place::Thread(thread.to_owned()),
        None if channel == us.channel => Place::Home,
        // A conversation of one person with the bot; threads within it are the same conversation.
        _ if channel.starts_with('D') => Place::Direct(channel.to_owned()),
        _ => Place::Elsewhere,
    }
}

/// What an envelope says.
pub fn envelope(envelope: &Value, us: &Us) -> Option<Heard> {
    let payload = envelope.get("payload")?;
    match (text(envelope, "/type"), text(payload, "/type")) {
        ("events_api", "event_callback") => {
            let event = payload.get("event")?;
            match text(event, "/type") {
                "message" => message(event, text(event, "/channel"), us),
                "reaction_added" => reaction(event, us),
                _ => None,
            }
        }
        ("interactive", "block_actions") => pressed(payload, us),
        ("interactive", "view_submission") => submitted(payload, us),
        _ => None,
    }
}

/// What a message says, of the events or of the history of a channel.
pub fn message(event: &Value, channel: &str, us: &Us) -> Option<Heard> {
    let ts = text(event, "/ts");
    match text(event, "/subtype") {
        "" | "file_share" | "thread_broadcast" => {}
        "message_deleted" if channel == us.channel => {
            return Some(Heard::Gone(text(event, "/deleted_ts").to_owned()));
        }
        // What is left of the head of a thread with replies when it is deleted.
        "message_changed" if channel == us.channel && text(event, "/message/subtype") == "tombstone" => {
            return Some(Heard::Gone(text(event, "/message/ts").to_owned()));
        }
        _ => return None,
    }
    let user = text(event, "/user");
    let is_bot = event.get("bot_id").is_some_and(|bot| !bot.is_null());
    let hidden = event.get("hidden").and_then(Value::as_bool) == Some(true);
    if is_bot || hidden || user.is_empty() || user == us.user || user == "USLACKBOT" {
        return None;
    }
    stamp(ts)?;
    let thread = Some(text(event, "/thread_ts")).filter(|thread| *thread != ts);
    let place = place(channel, thread, us);
    if place == Place::Elsewhere {
        return None;
    }
    let words = decode(text(event, "/text"), &us.user);
    // It waits for its reaction.
    if place == Place::Home && us.shortcut.is_some() && new_with_prompt(&words).is_some() {
        return None;
    }
    let files = event.get("files").and_then(Value::as_array);
    let files = files.into_iter().flatten().filter_map(file).collect();
    Some(Heard::Said { ts: ts.to_owned(), place, user: user.to_owned(), text: words, files })
}

/// The command in a message of more than one line that begins with `!new`, without its `!`.
pub fn new_with_prompt(words: &str) -> Option<&str> {
    let command = words.strip_prefix('!')?;
    let (first, prompt) = command.split_once('\n')?;
    let is_new = first.split_whitespace().next()?.eq_ignore_ascii_case("new");
    (is_new && !prompt.trim().is_empty()).then_some(command)
}

fn file(file: &Value) -> Option<FileRef> {
    let id = text(file, "/id");
    // Deleted ones, and those that a plan hides.
    if id.is_empty() || matches!(text(file, "/mode"), "tombstone" | "hidden_by_limit") {
        return None;
    }
    let url = match text(file, "/url_private_download") {
        "" => text(file, "/url_private"),
        url => url,
    };
    let name = [text(file, "/name"), text(file, "/title")].into_iter().find(|name| !name.is_empty());
    Some(FileRef {
        name: name.map(str::to_owned),
        size: file.get("size").and_then(Value::as_u64),
        handle: format!("{id} {url}"),
    })
}

fn reaction(event: &Value, us: &Us) -> Option<Heard> {
    let user = text(event, "/user");
    let on_message = text(event, "/item/type") == "message" && text(event, "/item/channel") == us.channel;
    // Skin tones follow behind `::`.
    let emoji = text(event, "/reaction").split("::").next().unwrap_or_default();
    let is_ours = us.shortcut.as_ref().is_some_and(|shortcut| shortcut.emoji == emoji);
    (is_ours && on_message && !user.is_empty() && user != us.user)
        .then(|| Heard::Reacted { user: user.to_owned(), message: text(event, "/item/ts").to_owned() })
}

fn pressed(payload: &Value, us: &Us) -> Option<Heard> {
    let action = payload.pointer("/actions/0")?;
    let data = match text(action, "/type") {
        "button" => text(action, "/value"),
        "static_select" => text(action, "/selected_option/value"),
        _ => return None,
    };
    let user = text(payload, "/user/id");
    let message = text(payload, "/container/message_ts");
    let channel = text(payload, "/container/channel_id");
    let thread = match text(payload, "/container/thread_ts") {
        "" => text(payload, "/message/thread_ts"),
        thread => thread,
    };
    // Our own message, and what we put on it.
    let author = (text(payload, "/message/user"), text(payload, "/message/bot_id"));
    let is_ours = author.0 == us.user || (!us.bot.is_empty() && author.1 == us.bot);
    if text(payload, "/container/type") != "message" || !is_ours || !is_data(data) || user.is_empty() {
        return None;
    }
    let thread = Some(thread).filter(|thread| !thread.is_empty() && *thread != message);
    let kept = Kept {
        channel: channel.to_owned(),
        thread: thread.map(str::to_owned),
        user: user.to_owned(),
        message: message.to_owned(),
        data: data.to_owned(),
    };
    if kept.place(us) == Place::Elsewhere {
        return None;
    }
    if Press::asks_words(data) {
        let label = match text(action, "/text/text") {
            "" => text(action, "/selected_option/text/text"),
            label => label,
        };
        let trigger = text(payload, "/trigger_id").to_owned();
        return Some(Heard::Asks { trigger, label: label.to_owned(), kept });
    }
    let at = text(action, "/action_ts");
    let id = format!("press/{channel}/{message}/{at}/{user}");
    Some(press(id, stamp(at).unwrap_or_else(Stamp::now), kept, None, us))
}

fn submitted(payload: &Value, us: &Us) -> Option<Heard> {
    let view = payload.get("view")?;
    let user = text(payload, "/user/id");
    let kept: Kept = serde_json::from_str(text(view, "/private_metadata")).ok()?;
    let words = text(view, &format!("/state/values/{0}/{0}/value", blocks::FIELD)).trim();
    let is_ours = us.bot.is_empty() || text(view, "/bot_id") == us.bot;
    let fits =
        text(view, "/callback_id") == blocks::FORM && is_ours && kept.user == user && is_data(&kept.data);
    if !fits || kept.place(us) == Place::Elsewhere {
        return None;
    }
    let id = format!("form/{}/{user}", text(view, "/id"));
    Some(press(id, Stamp::now(), kept, Some(words.to_owned()), us))
}

fn press(id: String, at: Stamp, kept: Kept, words: Option<String>, us: &Us) -> Heard {
    let place = kept.place(us);
    // It finds the person again; nothing in it is a secret.
    let token = serde_json::to_string(&kept).unwrap_or_default();
    let Kept { user, message, data, .. } = kept;
    Heard::Pressed { id, at, user, place, press: Press { data, message, token, words } }
}

fn is_data(data: &str) -> bool {
    !data.is_empty()
        && data.len() <= 24
        && data.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || ".!".contains(c))
}
