//! What the Bot API tells, made into what people do.

use frankenstein::types::{ChatType, MaybeInaccessibleMessage, Message, User};
use frankenstein::updates::{Update, UpdateContent};
use serde_json::Value;

use crate::bridge::platform::{FileRef, Incoming, Person, Place, Press, What};
use crate::domain::time::Stamp;

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
            Ok(update) => incoming(update, here),
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
fn incoming(update: Update, here: &Here) -> Incoming {
    let number = i64::from(update.update_id);
    let position = Some((number + 1).to_string());
    match update.content {
        UpdateContent::Message(message) => match of_message(&message, here) {
            Some(what) => {
                let Some(person) = message.from.as_deref().and_then(person) else { return nothing(number) };
                Incoming {
                    id: format!("message {} {}", message.chat.id, message.message_id),
                    position,
                    person,
                    place: place(&message, here),
                    at: Stamp::from_unix(i64::try_from(message.date).unwrap_or_default()),
                    what,
                }
            }
            None => nothing(number),
        },
        UpdateContent::CallbackQuery(pressed) => {
            let (Some(person), Some(data)) = (person(&pressed.from), pressed.data) else {
                return nothing(number);
            };
            // Of a message that is too old Telegram does not say in which topic it stands.
            let (place, message) = match &pressed.message {
                Some(MaybeInaccessibleMessage::Message(message)) => {
                    (place(message, here), message.message_id.to_string())
                }
                Some(MaybeInaccessibleMessage::InaccessibleMessage(message))
                    if message.chat.id == here.chat =>
                {
                    (Place::Home, message.message_id.to_string())
                }
                _ => (Place::Elsewhere, String::new()),
            };
            let press = Press { data, message, token: pressed.id.clone(), words: None };
            let id = format!("press {}", pressed.id);
            Incoming { id, position, person, place, at: Stamp::now(), what: What::Press(press) }
        }
        _ => nothing(number),
    }
}

fn person(user: &User) -> Option<Person> {
    if user.is_bot {
        return None;
    }
    let last = user.last_name.as_deref().map(|last| format!(" {last}")).unwrap_or_default();
    Some(Person { id: user.id.to_string(), name: format!("{}{last}", user.first_name) })
}

fn place(message: &Message, here: &Here) -> Place {
    match message.chat.type_field {
        ChatType::Private => Place::Direct(message.chat.id.to_string()),
        _ if message.chat.id != here.chat => Place::Elsewhere,
        _ => match message.message_thread_id.filter(|_| message.is_topic_message == Some(true)) {
            Some(thread) => Place::Thread(thread.to_string()),
            None => Place::Home,
        },
    }
}

fn of_message(message: &Message, here: &Here) -> Option<What> {
    let text = message.text.as_deref().or(message.caption.as_deref()).unwrap_or_default();
    let files = files(message);
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
    let reply_to = message.reply_to_message.as_ref().map(|message| message.message_id);
    // All that is said in a topic is a reply to its beginning.
    let reply_to = reply_to.filter(|id| Some(*id) != message.message_thread_id);
    Some(What::Text {
        message: message.message_id.to_string(),
        text: text.to_owned(),
        reply_to: reply_to.map(|id| id.to_string()),
        files,
    })
}

fn files(message: &Message) -> Vec<FileRef> {
    let file = |name: Option<String>, size: Option<u64>, handle: &str| FileRef {
        name,
        size,
        handle: handle.to_owned(),
    };
    let mut files = Vec::new();
    if let Some(photo) = message.photo.iter().flatten().max_by_key(|photo| photo.width) {
        files.push(file(None, photo.file_size, &photo.file_id));
    }
    // An animation comes as a document besides.
    if let Some(document) = &message.document {
        files.push(file(document.file_name.clone(), document.file_size, &document.file_id));
    }
    if let Some(audio) = &message.audio {
        files.push(file(audio.file_name.clone(), audio.file_size, &audio.file_id));
    }
    if let Some(video) = &message.video {
        files.push(file(video.file_name.clone(), video.file_size, &video.file_id));
    }
    if let Some(voice) = &message.voice {
        files.push(file(Some("voice.ogg".to_owned()), voice.file_size, &voice.file_id));
    }
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
