//! What the Bot API tells, made into what people do.

use frankenstein::types::{ChatType, MaybeInaccessibleMessage, Message, User};
use frankenstein::updates::{Update, UpdateContent};

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

/// What an update tells. One that is nothing for us moves the position all the same.
pub fn incoming(update: Update, here: &Here) -> Incoming {
    let number = update.update_id;
    let position = Some((i64::from(number) + 1).to_string());
    let nothing = |position| Incoming {
        id: format!("update {number}"),
        position,
        person: Person { id: String::new(), name: String::new() },
        place: Place::Elsewhere,
        at: Stamp::now(),
        what: What::Nothing,
    };
    match update.content {
        UpdateContent::Message(message) => match of_message(&message, here) {
            Some(what) => {
                let Some(person) = message.from.as_deref().and_then(person) else { return nothing(position) };
                Incoming {
                    id: format!("message {} {}", message.chat.id, message.message_id),
                    position,
                    person,
                    place: place(&message, here),
                    at: Stamp::from_unix(i64::try_from(message.date).unwrap_or_default()),
                    what,
                }
            }
            None => nothing(position),
        },
        UpdateContent::CallbackQuery(pressed) => {
            let (Some(person), Some(data)) = (person(&pressed.from), pressed.data) else {
                return nothing(position);
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
        _ => nothing(position),
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
