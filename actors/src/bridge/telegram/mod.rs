//! Telegram: a topic of a forum group a session, through the Bot API with long polling.
//!
//! The methods and their parameters are frankenstein's, the transport is ours (see `http`). Of what Telegram tells only
//! what is needed is read (see `updates`); an update that cannot be read is passed over, alone.

mod http;
pub mod markup;
mod updates;

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use frankenstein::AsyncTelegramApi;
use frankenstein::ParseMode;
use frankenstein::methods::{
    AnswerCallbackQueryParams, CloseForumTopicParams, CreateForumTopicParams, EditForumTopicParams,
    EditMessageTextParams, GetChatMemberParams, GetChatParams, GetFileParams, GetUpdatesParams,
    ReopenForumTopicParams, SendChatActionParams, SendMessageParams, SetMyCommandsParams,
};
use frankenstein::response::MethodResponse;
use frankenstein::types::{
    AllowedUpdate, BotCommand, ButtonStyle, ChatAction, ForceReply, InlineKeyboardButton,
    InlineKeyboardMarkup, LinkPreviewOptions, ReplyMarkup, ReplyParameters,
};
use serde::Serialize;
use serde_json::Value;

use self::http::Http;
use self::markup::Html;
use self::updates::Here;
use super::markup::{Dialect, cut};
use super::platform::*;
use super::typed::COMMANDS;
use crate::domain::time::Stamp;

/// How long Telegram keeps a poll open when there is nothing to tell.
const POLL: u32 = 25;
/// Light blue, one of the six colours that a topic can have.
const COLOUR: u32 = 7_322_096;

/// What it takes to talk there.
#[derive(Clone, PartialEq, Eq)]
pub struct TelegramSettings {
    /// Where the Bot API is: `https://api.telegram.org`, or a server of one's own.
    pub api_url: String,
    /// The bot's token.
    pub token: String,
    /// The forum group's id (negative).
    pub group: i64,
}

impl std::fmt::Debug for TelegramSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TelegramSettings").field("group", &self.group).finish_non_exhaustive()
    }
}

/// A bot in a forum group.
#[derive(Debug)]
pub struct Telegram {
    http: Http,
    group: i64,
    traits: Traits,
    /// The bot's name, once it was asked.
    name: Mutex<String>,
}

impl Telegram {
    /// Nothing is connected yet.
    ///
    /// # Errors
    /// No client can be made.
    pub fn new(settings: &TelegramSettings) -> Result<Self, Failure> {
        Ok(Self {
            http: Http::new(&settings.api_url, &settings.token)?,
            group: settings.group,
            traits: Traits {
                name: "telegram",
                title: "Telegram",
                prefix: '/',
                words: Words::Reply,
                label: 60,
                row: 3,
                thread_title: 128,
                edit_gap: Duration::from_millis(2_500),
                typing_every: Some(Duration::from_secs(5)),
                // "Bots are not able to send more than 20 messages per minute to the same group."
                messages: Rate { count: 20, per: Duration::from_secs(60) },
                edits: None,
                file_out: 50 << 20,
                file_in: 20 << 20,
                toasts: true,
            },
            name: Mutex::default(),
        })
    }

    fn chat_of(&self, place: &Place) -> Result<(i64, Option<i32>), Failure> {
        match place {
            Place::Thread(id) => Ok((self.group, Some(number(id)?))),
            Place::Home => Ok((self.group, None)),
            Place::Direct(id) => Ok((number(id)?, None)),
            Place::Elsewhere => Err(Failure::Refused("nothing is sent there".to_owned())),
        }
    }

    fn here(&self) -> Here {
        let name = self.name.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Here { chat: self.group, name }
    }

    /// Whether the bot may make topics.
    async fn check_rights(&self, bot: u64) -> Result<(), Failure> {
        let params = GetChatMemberParams::builder().chat_id(self.group).user_id(bot).build();
        let member = self.call("getChatMember", &params).await?;
        let may = match member["status"].as_str() {
            Some("creator") => true,
            Some("administrator") => member["can_manage_topics"] == true,
            _ => false,
        };
        match may {
            true => Ok(()),
            false => Err(Failure::Broken(
                "the bot may not manage topics: make it an administrator of the group with \"Manage topics\""
                    .to_owned(),
            )),
        }
    }

    async fn poll(&self, offset: Option<i64>) -> Result<Vec<Value>, Failure> {
        let params = GetUpdatesParams::builder()
            .maybe_offset(offset)
            .timeout(POLL)
            .allowed_updates(vec![AllowedUpdate::Message, AllowedUpdate::CallbackQuery])
            .build();
        match self.call("getUpdates", &params).await? {
            Value::Array(updates) => Ok(updates),
            _ => Err(Failure::Unsure("Telegram told its updates in no list".to_owned())),
        }
    }

    /// Calls a method. Of its answer only what is needed is looked at: a field that a server of another version has
    /// more or less must not make what was done look undone.
    async fn call(
        &self,
        method: &str,
        params: &(impl Serialize + std::fmt::Debug + Sync),
    ) -> Result<Value, Failure> {
        let answer: MethodResponse<Value> = self.http.request(method, Some(params)).await?;
        Ok(answer.result)
    }
}

fn number<N: std::str::FromStr>(id: &str) -> Result<N, Failure> {
    id.parse().map_err(|_| Failure::Refused(format!("{id} is no id of Telegram")))
}

fn keyboard(buttons: &[Vec<Button>]) -> InlineKeyboardMarkup {
    let button = |button: &Button| {
        let style = match button.look {
            Look::Plain => None,
            Look::Good => Some(ButtonStyle::Success),
            Look::Bad => Some(ButtonStyle::Danger),
        };
        InlineKeyboardButton::builder()
            .text(button.label.clone())
            .callback_data(button.data.clone())
            .maybe_style(style)
            .build()
    };
    let rows = buttons.iter().map(|row| row.iter().map(button).collect()).collect();
    InlineKeyboardMarkup::builder().inline_keyboard(rows).build()
}

fn sent(message: &Value) -> Result<Sent, Failure> {
    let id = message["message_id"]
        .as_i64()
        .ok_or_else(|| Failure::Unsure("Telegram sent a message without an id".to_owned()))?;
    Ok(Sent { id: id.to_string(), at: Stamp::from_unix(message["date"].as_i64().unwrap_or_default()) })
}

#[async_trait]
impl Platform for Telegram {
    fn traits(&self) -> &Traits {
        &self.traits
    }

    fn dialect(&self) -> &dyn Dialect {
        &Html
    }

    async fn connect(&self) -> Result<String, Failure> {
        let me = self.call("getMe", &()).await?;
        let name = me["username"].as_str().unwrap_or_default().to_owned();
        self.name.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&name);
        let chat = self.call("getChat", &GetChatParams::builder().chat_id(self.group).build()).await?;
        if chat["is_forum"] != true {
            return Err(Failure::Broken(
                "the group of TELEGRAM_FORUM_GROUP_ID has no topics: switch them on in the group's settings"
                    .to_owned(),
            ));
        }
        self.check_rights(me["id"].as_u64().unwrap_or_default()).await?;
        let commands = COMMANDS
            .iter()
            .filter(|(name, ..)| *name != "start")
            .map(|(name, arguments, what)| {
                let arguments = if arguments.is_empty() { String::new() } else { format!("{arguments}: ") };
                BotCommand::builder().command(*name).description(format!("{arguments}{what}")).build()
            })
            .collect();
        self.call("setMyCommands", &SetMyCommandsParams::builder().commands(commands).build()).await?;
        Ok(format!("@{name} in {}", chat["title"].as_str().unwrap_or("its group")))
    }

    async fn receive(&self, position: Option<String>, inbox: Inbox) -> Failure {
        let mut offset: Option<i64> = position.and_then(|position| position.parse().ok());
        let here = self.here();
        loop {
            let batch = match self.poll(offset).await {
                Ok(batch) => batch,
                Err(failure) => return failure,
            };
            for (next, incoming) in updates::batch(batch, &here) {
                if !inbox.put(incoming).await {
                    return Failure::Unsure("what was heard could not be dealt with".to_owned());
                }
                // Said to Telegram with the next poll: from then on it does not tell it again.
                offset = Some(next);
            }
        }
    }

    async fn open_thread(&self, title: &str, _: &str) -> Result<String, Failure> {
        let params = CreateForumTopicParams::builder()
            .chat_id(self.group)
            .name(cut(title, self.traits.thread_title))
            .icon_color(COLOUR)
            .build();
        let made = self.call("createForumTopic", &params).await?;
        let id = made["message_thread_id"].as_i64();
        id.map(|id| id.to_string())
            .ok_or_else(|| Failure::Unsure("Telegram made a topic without an id".to_owned()))
    }

    async fn rename_thread(&self, thread: &str, title: &str) -> Result<(), Failure> {
        let params = EditForumTopicParams::builder()
            .chat_id(self.group)
            .message_thread_id(number::<i32>(thread)?)
            .name(cut(title, self.traits.thread_title))
            .build();
        self.call("editForumTopic", &params).await.map(|_| ())
    }

    async fn close_thread(&self, thread: &str, closed: bool) -> Result<(), Failure> {
        let thread = number::<i32>(thread)?;
        match closed {
            true => {
                let params =
                    CloseForumTopicParams::builder().chat_id(self.group).message_thread_id(thread).build();
                self.call("closeForumTopic", &params).await.map(|_| ())
            }
            false => {
                let params =
                    ReopenForumTopicParams::builder().chat_id(self.group).message_thread_id(thread).build();
                self.call("reopenForumTopic", &params).await.map(|_| ())
            }
        }
    }

    async fn send(&self, place: &Place, message: &Message, _: &str) -> Result<Sent, Failure> {
        let (chat, thread) = self.chat_of(place)?;
        let markup = match &message.asks {
            Some(asks) => Some(ReplyMarkup::ForceReply(
                ForceReply::builder().force_reply(true).input_field_placeholder(cut(asks, 64)).build(),
            )),
            None if message.buttons.is_empty() => None,
            None => Some(ReplyMarkup::InlineKeyboardMarkup(keyboard(&message.buttons))),
        };
        let reply = message.reply_to.as_deref().and_then(|id| id.parse::<i32>().ok());
        let reply = reply
            .map(|id| ReplyParameters::builder().message_id(id).allow_sending_without_reply(true).build());
        let params = SendMessageParams::builder()
            .chat_id(chat)
            .maybe_message_thread_id(thread)
            .text(message.text.markup.clone())
            .parse_mode(ParseMode::Html)
            .link_preview_options(LinkPreviewOptions::DISABLED)
            .disable_notification(message.quiet)
            .maybe_reply_parameters(reply)
            .maybe_reply_markup(markup)
            .build();
        sent(&self.call("sendMessage", &params).await?)
    }

    async fn edit(&self, place: &Place, id: &str, message: &Message) -> Result<(), Failure> {
        let (chat, _) = self.chat_of(place)?;
        let params = EditMessageTextParams::builder()
            .chat_id(chat)
            .message_id(number::<i32>(id)?)
            .text(message.text.markup.clone())
            .parse_mode(ParseMode::Html)
            .link_preview_options(LinkPreviewOptions::DISABLED)
            .maybe_reply_markup((!message.buttons.is_empty()).then(|| keyboard(&message.buttons)))
            .build();
        self.call("editMessageText", &params).await.map(|_| ())
    }

    async fn send_file(&self, place: &Place, file: &FileOut, _: &str) -> Result<Sent, Failure> {
        let (chat, thread) = self.chat_of(place)?;
        sent(&self.http.send_document(chat, thread, file).await?)
    }

    async fn fetch(&self, file: &FileRef, limit: u64) -> Result<Bytes, Failure> {
        let found =
            self.call("getFile", &GetFileParams::builder().file_id(file.handle.clone()).build()).await?;
        let path = found["file_path"].as_str();
        let path = path.ok_or_else(|| Failure::Refused("Telegram has it not any more".to_owned()))?;
        self.http.download(path, limit).await
    }

    async fn answer_press(&self, token: &str, text: &str) {
        let params = AnswerCallbackQueryParams::builder()
            .callback_query_id(token)
            .text(cut(text, 190))
            .show_alert(text.chars().count() > 60)
            .build();
        if let Err(failure) = self.call("answerCallbackQuery", &params).await {
            tracing::debug!(%failure, "the one who pressed was not told");
        }
    }

    async fn typing(&self, thread: &str) {
        let Ok(thread) = number::<i32>(thread) else { return };
        let params = SendChatActionParams::builder()
            .chat_id(self.group)
            .message_thread_id(thread)
            .action(ChatAction::Typing)
            .build();
        if let Err(failure) = self.call("sendChatAction", &params).await {
            tracing::debug!(%failure, "typing was not shown");
        }
    }

    fn link(&self, thread: &str) -> Option<String> {
        let group = self.group.to_string();
        Some(format!("https://t.me/c/{}/{thread}", group.strip_prefix("-100")?))
    }
}
