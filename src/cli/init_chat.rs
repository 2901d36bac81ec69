//! `tether init`, the part about chat platforms: what is needed is asked for and tried at once.

use inquire::{Password, Text};
use tether_actors::bridge::discord::{self, Discord, DiscordSettings};
use tether_actors::bridge::platform::Platform;
use tether_actors::bridge::slack::{self, Slack, SlackSettings};
use tether_actors::bridge::telegram::{Telegram, TelegramSettings};

use super::init::{enough, yes_or_no};
use super::{Context, Failure};
use crate::config::BridgesSettings;

type Answers = Vec<(&'static str, String)>;

/// What is asked for one platform.
struct Guide {
    title: &'static str,
    steps: &'static [&'static str],
    /// The names of the settings, with the questions for them. Tokens are secrets.
    questions: &'static [(&'static str, &'static str)],
    /// Makes a client of the answers.
    client: fn(&Answers) -> Result<Box<dyn Platform>, String>,
}

const TELEGRAM: Guide = Guide {
    title: "Telegram",
    steps: &[
        "  1. Talk to @BotFather, /newbot, and copy the token that it gives.",
        "  2. Make a group, switch on Topics in its settings, add the bot, and make it an administrator",
        "     that may manage topics.",
        "  3. The group's id begins with -100: it is in the address of the group in Telegram's web client.",
        "  4. Your own id: @userinfobot tells it.",
    ],
    questions: &[
        ("TELEGRAM_BOT_TOKEN", "Bot token"),
        ("TELEGRAM_FORUM_GROUP_ID", "Group id (negative)"),
        ("TELEGRAM_ALLOWED_USER_IDS", "Ids of the people who may use it, with commas between"),
    ],
    client: |answers| {
        let settings = TelegramSettings {
            api_url: "https://api.telegram.org".to_owned(),
            token: of(answers, "TELEGRAM_BOT_TOKEN"),
            group: of(answers, "TELEGRAM_FORUM_GROUP_ID")
                .parse()
                .map_err(|_| "the group's id is a negative number".to_owned())?,
        };
        Ok(Box::new(Telegram::new(&settings).map_err(|failure| failure.to_string())?))
    },
};

const SLACK: Guide = Guide {
    title: "Slack",
    steps: &[
        "  1. api.slack.com/apps: Create New App, From a manifest, and paste this as YAML:",
        "       display_information: { name: Tether }",
        "       features:",
        "         bot_user: { display_name: tether, always_online: true }",
        "         app_home: { messages_tab_enabled: true, messages_tab_read_only_enabled: false }",
        "       oauth_config: { scopes: { bot: [\"chat:write\", \"channels:read\", \"channels:history\", \"groups:read\",",
        "         \"groups:history\", \"im:history\", \"files:read\", \"files:write\", \"reactions:read\", \"users:read\"] } }",
        "       settings:",
        "         socket_mode_enabled: true",
        "         interactivity: { is_enabled: true }",
        "         event_subscriptions: { bot_events: [message.channels, message.groups, message.im, reaction_added] }",
        "  2. Install it to your workspace. OAuth & Permissions has the bot token (xoxb-…); Basic Information, App-Level",
        "     Tokens makes the app token (xapp-…): give it connections:write.",
        "  3. Invite the bot to a channel (/invite @tether). The channel's id stands at the end of its details, your own",
        "     member id in the menu of your profile.",
    ],
    questions: &[
        ("SLACK_BOT_TOKEN", "Bot token (xoxb-…)"),
        ("SLACK_APP_TOKEN", "App token (xapp-…)"),
        ("SLACK_CHANNEL_ID", "Channel id (C…)"),
        ("SLACK_ALLOWED_USER_IDS", "Member ids of the people who may use it, with commas between"),
    ],
    client: |answers| {
        let settings = SlackSettings {
            api_url: slack::API.to_owned(),
            bot_token: of(answers, "SLACK_BOT_TOKEN"),
            app_token: of(answers, "SLACK_APP_TOKEN"),
            channel: of(answers, "SLACK_CHANNEL_ID"),
            shortcut: None,
        };
        match settings.problems().into_iter().next() {
            Some(problem) => Err(problem),
            None => Ok(Box::new(Slack::new(&settings).map_err(|failure| failure.to_string())?)),
        }
    },
};

const DISCORD: Guide = Guide {
    title: "Discord",
    steps: &[
        "  1. discord.com/developers: New Application, then Bot. Switch on \"Message Content Intent\" there, and",
        "     copy the token (Reset Token).",
        "  2. OAuth2, URL Generator: scopes bot and applications.commands; permissions View Channels, Send",
        "     Messages, Create Public Threads, Send Messages in Threads, Manage Threads, Attach Files, Read",
        "     Message History. Open the address that it makes, and choose your server.",
        "  3. In Discord: Settings, Advanced, Developer Mode. Then \"Copy Channel ID\" and \"Copy User ID\" are in",
        "     the menus of a text channel and of yourself.",
    ],
    questions: &[
        ("DISCORD_BOT_TOKEN", "Bot token"),
        ("DISCORD_CHANNEL_ID", "Channel id"),
        ("DISCORD_ALLOWED_USER_IDS", "Ids of the people who may use it, with commas between"),
    ],
    client: |answers| {
        let settings = DiscordSettings {
            api_url: discord::API.to_owned(),
            gateway_url: discord::GATEWAY.to_owned(),
            token: of(answers, "DISCORD_BOT_TOKEN"),
            channel: Some(
                of(answers, "DISCORD_CHANNEL_ID")
                    .parse()
                    .map_err(|_| "the channel's id is a number".to_owned())?,
            ),
            guild: None,
            shortcut: None,
        };
        Ok(Box::new(Discord::new(&settings).map_err(|failure| failure.to_string())?))
    },
};

/// Asks for what the chat platforms need, and tries each, until it works or the person has had enough of it. `None` =
/// they left with Ctrl-C.
pub fn questions(settings: &BridgesSettings, cx: &mut Context) -> Result<Option<Answers>, Failure> {
    let mut all = Answers::new();
    let guides = [
        (TELEGRAM, settings.telegram.is_some()),
        (SLACK, settings.slack.is_some()),
        (DISCORD, settings.discord.is_some()),
    ];
    for (guide, is_set_up) in guides {
        let Some(answers) = guide.questions(is_set_up, cx)? else { return Ok(None) };
        all.extend(answers);
    }
    Ok(Some(all))
}

impl Guide {
    fn questions(&self, is_set_up: bool, cx: &mut Context) -> Result<Option<Answers>, Failure> {
        let question = match is_set_up {
            true => format!("{} is set up. Change it?", self.title),
            false => format!("Watch and answer from {}?", self.title),
        };
        match yes_or_no(&question, false)? {
            None => return Ok(None),
            Some(false) => return Ok(Some(Answers::new())),
            Some(true) => {}
        }
        for line in self.steps {
            cx.out.line(line)?;
        }
        loop {
            let Some(answers) = self.ask()? else { return Ok(None) };
            match self.attempt(&answers) {
                Ok(identity) => {
                    cx.out.line(format!("  It works: {identity}"))?;
                    return Ok(Some(answers));
                }
                Err(why) => cx.out.line(format!("  It does not work: {why}"))?,
            }
            match yes_or_no("Try again? (no: it is left out)", true)? {
                None => return Ok(None),
                Some(true) => {}
                Some(false) => return Ok(Some(Answers::new())),
            }
        }
    }

    fn ask(&self) -> Result<Option<Answers>, Failure> {
        let mut answers = Answers::new();
        for (name, question) in self.questions.iter().copied() {
            let answer = match name.ends_with("_TOKEN") {
                true => Password::new(question).without_confirmation().prompt(),
                false => Text::new(question).prompt(),
            };
            let Some(answer) = enough(answer)? else { return Ok(None) };
            answers.push((name, answer.trim().to_owned()));
        }
        Ok(Some(answers))
    }

    /// Whether it works; who the bot is, or what is wrong.
    fn attempt(&self, answers: &Answers) -> Result<String, String> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| error.to_string())?;
        let client = (self.client)(answers)?;
        runtime.block_on(client.connect()).map_err(|failure| failure.to_string())
    }
}

fn of(answers: &Answers, wanted: &str) -> String {
    let found = answers.iter().find(|(name, _)| *name == wanted);
    found.map(|(_, value)| value.clone()).unwrap_or_default()
}
