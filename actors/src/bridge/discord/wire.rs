//! What Discord sends (gateway and API v10, `https://discord.com/developers/docs`): only what is of use here, so that
//! nothing else in an event can make it unreadable.

use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// Discord's ids: the upper 42 bits are milliseconds since 2015.
pub type Snowflake = u64;

const EPOCH: u64 = 1_420_070_400_000;

/// When an id was made, in milliseconds since 1970.
pub fn made_at(id: Snowflake) -> i64 {
    i64::try_from((id >> 22) + EPOCH).unwrap_or(i64::MAX)
}

/// The smallest id that can be made at this time.
pub fn first_of(millis: i64) -> Snowflake {
    u64::try_from(millis).unwrap_or(0).saturating_sub(EPOCH) << 22
}

fn id<'de, D: Deserializer<'de>>(from: D) -> Result<Snowflake, D::Error> {
    let text = String::deserialize(from)?;
    text.parse().map_err(serde::de::Error::custom)
}

fn some_id<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Snowflake>, D::Error> {
    let text = Option::<String>::deserialize(from)?;
    text.map(|text| text.parse().map_err(serde::de::Error::custom)).transpose()
}

/// The outside of what the gateway sends.
#[derive(Debug, Deserialize)]
pub struct Envelope {
    /// What it is; 0 = an event.
    pub op: u8,
    /// Which event.
    #[serde(default)]
    pub t: Option<String>,
}

/// The inside of an event.
#[derive(Debug, Deserialize)]
pub struct Dispatch<T> {
    /// What it tells.
    pub d: T,
}

/// The first event of a session.
#[derive(Debug, Deserialize)]
pub struct Ready {
    /// The bot.
    pub user: User,
}

/// An account.
#[derive(Clone, Debug, Deserialize)]
pub struct User {
    /// Its id.
    #[serde(deserialize_with = "id")]
    pub id: Snowflake,
    /// Its name.
    pub username: String,
    /// The name that people see.
    #[serde(default)]
    pub global_name: Option<String>,
    /// Whether it is a program's.
    #[serde(default)]
    pub bot: bool,
    /// Whether it is Discord's own.
    #[serde(default)]
    pub system: bool,
}

/// An account in a server.
#[derive(Clone, Debug, Deserialize)]
pub struct Member {
    /// Left out where the account is told beside it.
    #[serde(default)]
    pub user: Option<User>,
    /// The name in this server.
    #[serde(default)]
    pub nick: Option<String>,
}

/// A channel or a thread.
#[derive(Clone, Debug, Deserialize)]
pub struct Channel {
    /// Its id.
    #[serde(deserialize_with = "id")]
    pub id: Snowflake,
    /// Text 0, announcements 5, threads 10 to 12.
    #[serde(rename = "type")]
    pub kind: u8,
    /// Its name.
    #[serde(default)]
    pub name: Option<String>,
    /// Its server.
    #[serde(default, deserialize_with = "some_id")]
    pub guild_id: Option<Snowflake>,
    /// Of a thread: its channel.
    #[serde(default, deserialize_with = "some_id")]
    pub parent_id: Option<Snowflake>,
    /// The newest message.
    #[serde(default, deserialize_with = "some_id")]
    pub last_message_id: Option<Snowflake>,
}

impl Channel {
    /// Whether it is a thread.
    pub fn is_thread(&self) -> bool {
        (10..=12).contains(&self.kind)
    }
}

/// The threads of a server in which somebody wrote not long ago.
#[derive(Debug, Deserialize)]
pub struct ActiveThreads {
    /// The threads.
    pub threads: Vec<Channel>,
}

/// A file of a message.
#[derive(Clone, Debug, Deserialize)]
pub struct Attachment {
    /// Its name.
    pub filename: String,
    /// Its size in bytes.
    #[serde(default)]
    pub size: Option<u64>,
    /// Where it is, signed, for a day.
    pub url: String,
}

/// A message that another one points to.
#[derive(Clone, Debug, Deserialize)]
pub struct Reference {
    /// Its id.
    #[serde(default, deserialize_with = "some_id")]
    pub message_id: Option<Snowflake>,
}

/// A message that somebody forwarded.
#[derive(Clone, Debug, Deserialize)]
pub struct Snapshot {
    /// What it said.
    pub message: Forwarded,
}

/// What a forwarded message said.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Forwarded {
    /// Its text.
    pub content: String,
    /// Its files.
    pub attachments: Vec<Attachment>,
}

/// The message that another one replies to.
#[derive(Clone, Debug, Deserialize)]
pub struct RepliedTo {
    /// Who wrote it.
    pub author: User,
    /// Its files.
    #[serde(default)]
    pub attachments: Vec<Attachment>,
}

/// A message.
#[derive(Clone, Debug, Deserialize)]
pub struct Message {
    /// Its id.
    #[serde(deserialize_with = "id")]
    pub id: Snowflake,
    /// Where it is.
    #[serde(deserialize_with = "id")]
    pub channel_id: Snowflake,
    /// The server; told by the gateway only.
    #[serde(default, deserialize_with = "some_id")]
    pub guild_id: Option<Snowflake>,
    /// Who wrote it.
    pub author: User,
    /// What they are called there; told by the gateway only.
    #[serde(default)]
    pub member: Option<Member>,
    /// What it says; empty without the intent for it.
    #[serde(default)]
    pub content: String,
    /// Words 0, a reply 19; others are Discord's own notices.
    #[serde(default, rename = "type")]
    pub kind: u8,
    /// What its sender called it; told by the gateway only.
    #[serde(default)]
    pub nonce: Option<Value>,
    /// Present where a webhook wrote it.
    #[serde(default)]
    pub webhook_id: Option<Value>,
    /// Its files.
    #[serde(default)]
    pub attachments: Vec<Attachment>,
    /// What it points to.
    #[serde(default)]
    pub message_reference: Option<Reference>,
    /// What it replies to.
    #[serde(default)]
    pub referenced_message: Option<Box<RepliedTo>>,
    /// What was forwarded with it.
    #[serde(default)]
    pub message_snapshots: Vec<Snapshot>,
}

impl Message {
    /// Whether a person wrote it.
    pub fn is_a_persons(&self) -> bool {
        let author = &self.author;
        matches!(self.kind, 0 | 19) && !author.bot && !author.system && self.webhook_id.is_none()
    }
}

/// Somebody put a reaction on a message.
#[derive(Clone, Debug, Deserialize)]
pub struct Reaction {
    /// Where.
    #[serde(deserialize_with = "id")]
    pub channel_id: Snowflake,
    /// On which message.
    #[serde(deserialize_with = "id")]
    pub message_id: Snowflake,
    /// Who they are, in a server.
    #[serde(default)]
    pub member: Option<Member>,
    /// Which.
    pub emoji: Emoji,
}

/// A reaction's sign.
#[derive(Clone, Debug, Deserialize)]
pub struct Emoji {
    /// The character, or the name of a server's own.
    #[serde(default)]
    pub name: Option<String>,
}

/// A press, a form, a command.
#[derive(Clone, Debug, Deserialize)]
pub struct Interaction {
    /// Its id.
    #[serde(deserialize_with = "id")]
    pub id: Snowflake,
    /// A command 2, a press 3, a form 5.
    #[serde(rename = "type")]
    pub kind: u8,
    /// With which it is answered, for 15 minutes.
    pub token: String,
    /// What it is about.
    #[serde(default)]
    pub data: InteractionData,
    /// The server.
    #[serde(default, deserialize_with = "some_id")]
    pub guild_id: Option<Snowflake>,
    /// Where.
    #[serde(default, deserialize_with = "some_id")]
    pub channel_id: Option<Snowflake>,
    /// The same.
    #[serde(default)]
    pub channel: Option<Channel>,
    /// Who, in a server.
    #[serde(default)]
    pub member: Option<Member>,
    /// Who, elsewhere.
    #[serde(default)]
    pub user: Option<User>,
    /// The message that bears what was pressed.
    #[serde(default)]
    pub message: Option<Pressed>,
}

impl Interaction {
    /// Who did it.
    pub fn who(&self) -> Option<&User> {
        self.member.as_ref().and_then(|member| member.user.as_ref()).or(self.user.as_ref())
    }
}

/// What an interaction is about.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct InteractionData {
    /// Of a button, a menu, a form.
    pub custom_id: Option<String>,
    /// What was chosen of a menu.
    pub values: Vec<String>,
    /// The fields of a form.
    pub components: Value,
    /// A command's name.
    pub name: Option<String>,
    /// What was given with it.
    pub options: Vec<CommandOption>,
}

/// What was given with a command.
#[derive(Clone, Debug, Deserialize)]
pub struct CommandOption {
    /// What.
    #[serde(default)]
    pub value: Value,
}

/// The message that bears what was pressed.
#[derive(Clone, Debug, Deserialize)]
pub struct Pressed {
    /// Its id.
    #[serde(deserialize_with = "id")]
    pub id: Snowflake,
    /// What is on it.
    #[serde(default)]
    pub components: Value,
}

/// The first object somewhere in these components that has this `custom_id`.
pub fn component<'a>(components: &'a Value, custom_id: &str) -> Option<&'a Value> {
    match components {
        Value::Array(all) => all.iter().find_map(|one| component(one, custom_id)),
        Value::Object(fields) if fields.get("custom_id").and_then(Value::as_str) == Some(custom_id) => {
            Some(components)
        }
        Value::Object(fields) => ["components", "component", "accessory"]
            .iter()
            .find_map(|inside| component(fields.get(*inside)?, custom_id)),
        _ => None,
    }
}
