//! What Discord's errors mean, and what to do about them, in words. Codes: `https://discord.com/developers/docs/topics/opcodes-and-status-codes`.

use std::time::Duration;

use serde_json::Value;

use crate::bridge::platform::Failure;

/// The permissions that the bot needs in its channel.
const PERMISSIONS: &str = "\"View Channel\", \"Send Messages\", \"Create Public Threads\", \"Send Messages in Threads\", \
                           \"Manage Threads\", \"Attach Files\" and \"Read Message History\"";

/// Codes of errors that are dealt with here.
pub const UNKNOWN_INTERACTION: u64 = 10_062;
pub const ANSWERED_ALREADY: u64 = 40_060;
pub const ARCHIVED: u64 = 50_083;
pub const HAS_A_THREAD: u64 = 160_004;
pub const LOCKED: u64 = 160_005;

/// Why a call did nothing, or may have done nothing.
#[derive(Clone, Debug, PartialEq)]
pub enum Trouble {
    /// Too much at once; `all` = whatever is called, not only this.
    Slow { after: Option<Duration>, why: String, all: bool },
    /// Nobody knows.
    Unsure(String),
    /// Discord says no.
    Refused { status: u16, code: u64, message: String },
}

/// What a call is about: the same code means different things.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    /// The bot itself, or the configured channel.
    Home,
    /// A thread, or a message in it.
    Thread,
    /// A conversation with one person.
    Direct,
    /// A file that is sent.
    File,
}

impl Trouble {
    /// Discord's code, where it gave one.
    pub fn code(&self) -> u64 {
        match self {
            Self::Refused { code, .. } => *code,
            _ => 0,
        }
    }

    /// What is to be done about it.
    pub fn failure(self, about: About) -> Failure {
        let (status, code, message) = match self {
            Self::Slow { after, why, all } => return Failure::Slow { after, why, here: !all },
            Self::Unsure(why) => return Failure::Unsure(why),
            Self::Refused { status, code, message } => (status, code, message),
        };
        match (status, code, about) {
            (401, _, _) | (_, 40_001, _) => Failure::Broken(
                "Discord does not know this bot token: take a new one (discord.com/developers, Bot, Reset Token) and \
                 set DISCORD_BOT_TOKEN"
                    .to_owned(),
            ),
            (_, 10_003, About::Thread | About::File) => Failure::ThreadGone,
            (_, 10_003, About::Home) => Failure::Broken(
                "the bot sees no channel with this id: check DISCORD_CHANNEL_ID, and that the bot was invited to its \
                 server"
                    .to_owned(),
            ),
            // An old message may be edited only so often; what it would say is said anew.
            (_, 10_008 | 30_046, _) => Failure::MessageGone,
            (_, _, About::Direct) => Failure::Refused(format!("Discord refuses: {message}")),
            (_, 50_013, About::File) => {
                Failure::Refused("the bot may not attach files: give it \"Attach Files\"".to_owned())
            }
            (_, 50_001, _) => Failure::Broken(format!(
                "the bot may not see the channel: give it {PERMISSIONS} there, or check DISCORD_CHANNEL_ID"
            )),
            (_, 50_013, _) => {
                Failure::Broken(format!("the bot lacks a permission in the channel: give it {PERMISSIONS}"))
            }
            (_, 10_004, _) => Failure::Broken("the bot is not in the channel's server: invite it".to_owned()),
            (413, _, _) | (_, 40_005, _) => Failure::Refused("the file is too large for Discord".to_owned()),
            (403, 0, _) => Failure::Broken(format!("Discord lets nothing through from here: {message}")),
            _ => Failure::Refused(format!("Discord refuses ({code}): {message}")),
        }
    }
}

/// What a refusal says, with the fields that it complains of.
pub fn complaint(body: &Value) -> String {
    let mut out = body.get("message").and_then(Value::as_str).unwrap_or("no reason is given").to_owned();
    let mut fields = Vec::new();
    collect(body.get("errors").unwrap_or(&Value::Null), "", &mut fields);
    if !fields.is_empty() {
        out.push_str(&format!(" ({})", fields.join("; ")));
    }
    crate::bridge::markup::cut(&out, 400)
}

fn collect(errors: &Value, path: &str, out: &mut Vec<String>) {
    let Value::Object(fields) = errors else { return };
    for (name, value) in fields {
        match value {
            Value::Array(all) if name == "_errors" => {
                let said = all.iter().filter_map(|one| one.get("message").and_then(Value::as_str));
                out.extend(said.map(|said| format!("{path}: {said}")));
            }
            _ if path.is_empty() => collect(value, name, out),
            _ => collect(value, &format!("{path}.{name}"), out),
        }
    }
}

/// What the gateway means when it closes the connection for good; `None` = it may be tried again.
pub fn closed(code: u16) -> Option<Failure> {
    let words = match code {
        4004 => {
            "Discord does not know this bot token: take a new one (discord.com/developers, Bot, Reset Token) and set \
             DISCORD_BOT_TOKEN"
        }
        4014 => {
            "Discord does not let the bot read messages: switch on \"Message Content Intent\" (discord.com/developers, \
             your application, Bot, Privileged Gateway Intents)"
        }
        4010 | 4011 => {
            "the bot is in so many servers that Discord wants several connections: use a bot of its own"
        }
        4012 | 4013 => "Discord does not speak this version of its gateway any more: update Tether",
        _ => return None,
    };
    Some(Failure::Broken(words.to_owned()))
}
