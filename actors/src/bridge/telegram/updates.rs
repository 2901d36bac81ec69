//! What the Bot API tells, made into what people do.
//!
//! Only what is needed of a message is read: Telegram says more with every version, and a gift or a game that nobody
//! here knows must not swallow the words that it comes with. Fields as in Bot API 9.

use frankenstein::types::{ChatType, User};
use serde::Deserialize;
use serde_json::Value;

use crate::bridge::platform::{FileRef, Incoming, Person, Place, Press, What};
use crate::domain::time::Stamp;

/// `Update`, of which one field is there.
#[derive(Deserialize)]
struct Update {
    message: Option<Message>,
    callback_query: Option<CallbackQuery>,
}

/// `Message`; of one that is too old only where it is, and no topic.
#[derive(Deserialize)]
struct Message {
    message_id: i64,
    #[serde(default)]
    date: i64,
    chat: Chat,
    from: Option<User>,
    message_thread_id: Option<i64>,
    #[serde(default)]
    is_topic_message: bool,
    reply_to_message: Option<Answered>,
    text: Option<String>,
    caption: Option<String>,
    /// The same picture in several sizes.
    #[serde(default)]
    photo: Vec<File>,
    document: Option<File>,
    audio: Option<File>,
    video: Option<File>,
    voice: Option<File>,
}

#[derive(Deserialize)]
struct Chat {
    id: i64,
    #[serde(rename = "type")]
    kind: ChatType,
}

#[derive(Deserialize)]
struct Answered {
    message_id: i64,
}

/// What the kinds of files have in common.
#[derive(Deserialize)]
struct File {
    file_id: String,
    file_name: Option<String>,
    /// In bytes.
    file_size: Option<u64>,
    #[serde(default)]
    width: u32,
}

#[derive(Deserialize)]
struct CallbackQuery {
    id: String,
    from: User,
    message: Option<Message>,
    data: Option<String>,
}

/// Who we are, and which group is ours.
#[derive(Clone, Debug)]
pub struct Here {
    /// The group.
    pub chat: i64,
    /// The bot's name, without `@`.
    pub name: String,
}

/// What a batch of updates tells, each with where to go on hearing behind it. Pictures that were sent together come as
/// one message each, and are one again here. An update that is not known is passed over.
pub fn batch(updates: Vec<Value>, here: &Here) -> Vec<(i64, Incoming)> {
    let mut heard: Vec<(i64, Incoming)> = Vec::new();
    let mut album = None;
    for update in updates {
        let Some(number) = update["update_id"].as_i64() else { continue };
        let group = update["message"]["media_group_id"].as_str().map(str::to_owned);
        let mut incoming = match serde_json::from_value::<Update>(update) {
            Ok(update) => incoming(number, update, here),
            Err(error) => {
                tracing::debug!(%error, number, "an update that is not known is passed over");
                nothing(number)
            }
        };
        let same = group.is_some() && group == album;
        album = group;
        match (heard.last_mut().filter(|_| same), &mut incoming.what) {
            (Some((next, before)), What::Text { text, files, .. })
                if before.person == incoming.person && before.place == incoming.place =>
            {
                if let What::Text { text: words, files: all, .. } = &mut before.what {
                    all.append(files);
                    if words.is_empty() {
                        *words = std::mem::take(text);
                    }
                }
                before.position = incoming.position;
                *next = number + 1;
            }
            _ => heard.push((number + 1, incoming)),
        }
    }
    heard
}

/// An update that is nothing for us moves the position all the same.
fn nothing(number: i64) -> Incoming {
    Incoming {
        id: format!("update {number}"),
        position: Some((number + 1).to_string()),
        person: Person { id: String::new(), name: String::new() },
        place: Place::Elsewhere,
        at: Stamp::now(),
        what: What::Nothing,
    }
}

/// What an update tells. One that is nothing for us moves the position all the same.
fn incoming(number: i64, update: Update, here: &Here) -> Incoming {
    let told = match update {
        Update { message: Some(message), .. } => of_message(message, here),
        Update { callback_query: Some(pressed), .. } => of_press(pressed, here),
        _ => None,
    };
    match told {
        Some(told) => Incoming { position: Some((number + 1).to_string()), ..told },
        None => nothing(number),
    }
}

fn of_message(message: Message, here: &Here) -> Option<Incoming> {
    let place = place(&message, here);
    Some(Incoming {
        id: format!("message {} {}", message.chat.id, message.message_id),
        position: None,
        person: message.from.as_ref().and_then(person)?,
        place,
        at: Stamp::from_unix(message.date),
        what: said(message, here)?,
    })
}

fn of_press(pressed: CallbackQuery, here: &Here) -> Option<Incoming> {
    let (place, message) = match &pressed.message {
        Some(message) => (place(message, here), message.message_id.to_string()),
        None => (Place::Elsewhere, String::new()),
    };
    Some(Incoming {
        id: format!("press {}", pressed.id),
        position: None,
        person: person(&pressed.from)?,
        place,
        at: Stamp::now(),
        what: What::Press(Press { data: pressed.data?, message, token: pressed.id, words: None }),
    })
}

fn person(user: &User) -> Option<Person> {
    if user.is_bot {
        return None;
    }
    let last = user.last_name.as_deref().map(|last| format!(" {last}")).unwrap_or_default();
    Some(Person { id: user.id.to_string(), name: format!("{}{last}", user.first_name) })
}

/// Of a message that is too old Telegram does not say in which topic it stands: that counts as the group itself.
fn place(message: &Message, here: &Here) -> Place {
    match message.chat.kind {
        ChatType::Private => Place::Direct(message.chat.id.to_string()),
        _ if message.chat.id != here.chat => Place::Elsewhere,
        _ => match message.message_thread_id.filter(|_| message.is_topic_message) {
            Some(thread) => Place::Thread(thread.to_string()),
            None => Place::Home,
        },
    }
}

fn said(message: Message, here: &Here) -> Option<What> {
    let thread = message.message_thread_id;
    let files = files(&message);
    let text = message.text.or(message.caption).unwrap_or_default();
    if text.is_empty() && files.is_empty() {
        return None;
    }
    // A command to another bot of the group.
    let word = text.split_whitespace().next().unwrap_or_default();
    if let Some((_, name)) = word.strip_prefix('/').and_then(|word| word.split_once('@'))
        && !name.eq_ignore_ascii_case(&here.name)
    {
        return None;
    }
    let reply_to = message.reply_to_message.map(|message| message.message_id);
    // All that is said in a topic is a reply to its beginning.
    let reply_to = reply_to.filter(|id| Some(*id) != thread);
    Some(What::Text {
        message: message.message_id.to_string(),
        text,
        reply_to: reply_to.map(|id| id.to_string()),
        files,
    })
}

fn files(message: &Message) -> Vec<FileRef> {
    let largest = message.photo.iter().max_by_key(|photo| photo.width);
    // An animation comes as a document besides.
    let files = [&message.document, &message.audio, &message.video].into_iter().flatten();
    let mut files: Vec<FileRef> = largest
        .into_iter()
        .chain(files)
        .map(|file| FileRef {
            name: file.file_name.clone(),
            size: file.file_size,
            handle: file.file_id.clone(),
        })
        .collect();
    files.extend(message.voice.as_ref().map(|voice| FileRef {
        name: Some("voice.ogg".to_owned()),
        size: voice.file_size,
        handle: voice.file_id.clone(),
    }));
    files
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const GROUP: i64 = -10_042;

    fn here() -> Here {
        Here { chat: GROUP, name: "my_bot".into() }
    }

    fn message(number: i64, more: Value) -> Value {
        let mut message = json!({
            "message_id": number, "date": 1_700_000_000, "chat": { "id": GROUP, "type": "supergroup" },
            "from": { "id": 7, "is_bot": false, "first_name": "Alice", "last_name": "B" },
            "message_thread_id": 5, "is_topic_message": true,
        });
        for (key, value) in more.as_object().into_iter().flatten() {
            message[key] = value.clone();
        }
        json!({ "update_id": number, "message": message })
    }

    fn only(update: Value) -> Incoming {
        batch(vec![update], &here()).remove(0).1
    }

    #[test]
    fn words_say_who_where_and_to_what_they_reply() {
        let reply = json!({ "message_id": 3, "date": 1, "chat": { "id": GROUP, "type": "supergroup" } });
        let heard = only(message(9, json!({ "text": "hello", "reply_to_message": reply })));
        assert_eq!((heard.person.name.as_str(), heard.place), ("Alice B", Place::Thread("5".into())));
        assert_eq!(heard.position.as_deref(), Some("10"));
        assert!(matches!(heard.what, What::Text { reply_to: Some(id), .. } if id == "3"));
        // The beginning of a topic is no message that anybody replied to.
        let root = json!({ "message_id": 5, "date": 1, "chat": { "id": GROUP, "type": "supergroup" } });
        let heard = only(message(9, json!({ "text": "hello", "reply_to_message": root })));
        assert!(matches!(heard.what, What::Text { reply_to: None, .. }));
    }

    #[test]
    fn other_chats_other_bots_and_bots_themselves_are_nothing() {
        let elsewhere = json!({ "text": "x", "chat": { "id": -5, "type": "supergroup" } });
        assert_eq!(only(message(1, elsewhere)).place, Place::Elsewhere);
        for more in [
            json!({ "text": "/stop@other_bot" }),
            json!({ "text": "x", "from": { "id": 8, "is_bot": true, "first_name": "Bot" } }),
            json!({ "pinned": true }),
        ] {
            assert!(matches!(only(message(1, more.clone())).what, What::Nothing), "{more}");
        }
        assert!(matches!(only(message(1, json!({ "text": "/stop@My_Bot" }))).what, What::Text { .. }));
        let direct =
            json!({ "text": "x", "chat": { "id": 7, "type": "private" }, "is_topic_message": false });
        assert_eq!(only(message(1, direct)).place, Place::Direct("7".into()));
    }

    #[test]
    fn words_are_heard_that_come_with_something_unknown() {
        let unknown = json!({ "text": "go on", "gift": { "type": "telepathy" }, "pinned_message": 7 });
        assert!(matches!(only(message(1, unknown)).what, What::Text { text, .. } if text == "go on"));
    }

    #[test]
    fn a_press_says_where_its_message_is_and_under_an_old_one_that_it_is_in_the_group() {
        let press = |message: Value| {
            let from = json!({ "id": 7, "is_bot": false, "first_name": "Alice" });
            let query = json!({ "id": "q", "from": from, "data": "yes", "message": message });
            let heard = only(json!({ "update_id": 3, "callback_query": query }));
            let What::Press(press) = heard.what else { panic!("a press") };
            (heard.place, press.message, press.data)
        };
        let (thread, of, yes) = (Place::Thread("5".into()), "9".to_owned(), "yes".to_owned());
        assert_eq!(press(message(9, json!({}))["message"].take()), (thread, of.clone(), yes.clone()));
        let old =
            |chat: i64| json!({ "message_id": 9, "date": 0, "chat": { "id": chat, "type": "supergroup" } });
        assert_eq!(press(old(GROUP)), (Place::Home, of.clone(), yes.clone()));
        assert_eq!(press(old(-5)), (Place::Elsewhere, of, yes));
    }

    #[test]
    fn an_album_is_one_message_and_what_is_unknown_is_passed_over() {
        let photo = |id: &str| json!([{ "file_id": id, "file_unique_id": id, "width": 1, "height": 1 }]);
        let album = |number, id, caption: &str| {
            message(number, json!({ "photo": photo(id), "caption": caption, "media_group_id": "g" }))
        };
        let unknown = json!({ "update_id": 4, "telepathy": {} });
        let heard =
            batch(vec![album(1, "a", "look"), album(2, "b", ""), album(3, "c", ""), unknown], &here());
        assert_eq!(heard.iter().map(|(next, _)| *next).collect::<Vec<_>>(), [4, 5]);
        let What::Text { text, files, .. } = &heard[0].1.what else { panic!("words") };
        assert_eq!((text.as_str(), files.len()), ("look", 3));
        assert_eq!(heard[0].1.position.as_deref(), Some("4"));
    }
}
