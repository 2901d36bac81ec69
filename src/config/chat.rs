//! The settings of chat platforms, for the table of all.

use super::table::{Kind, PLAIN, Setting};

/// In the order in which they are shown.
pub const SETTINGS: &[Setting] = &[
    Setting {
        name: "TETHER_DEFAULT_PLATFORM",
        kind: Kind::Word(&["none", "telegram", "slack", "discord"]),
        default: "none",
        doc: "chat platform on which new sessions are shown when nothing is said",
        ..PLAIN
    },
    Setting {
        name: "TELEGRAM_BOT_TOKEN",
        doc: "token of your Telegram bot, as @BotFather gives it",
        secret: true,
        guarded: true,
        ..PLAIN
    },
    Setting {
        name: "TELEGRAM_FORUM_GROUP_ID",
        old_name: "TELEGRAM_GROUP_ID",
        kind: Kind::Number(-9_999_999_999_999, -1),
        doc: "id (negative) of the group with topics in which the bot is an administrator",
        guarded: true,
        ..PLAIN
    },
    Setting {
        name: "TELEGRAM_ALLOWED_USER_IDS",
        doc: "ids of the people who may use the bot, with commas between; others pair with `tether pair --chat`",
        guarded: true,
        ..PLAIN
    },
    Setting {
        name: "TELEGRAM_API_URL",
        kind: Kind::Url,
        default: "https://api.telegram.org",
        doc: "server of the Bot API, if it is one of your own",
        guarded: true,
        ..PLAIN
    },
    Setting {
        name: "SLACK_BOT_TOKEN",
        doc: "bot token (xoxb-…) of your Slack app",
        secret: true,
        guarded: true,
        ..PLAIN
    },
    Setting {
        name: "SLACK_APP_TOKEN",
        doc: "app-level token (xapp-…) of your Slack app, for Socket Mode",
        secret: true,
        guarded: true,
        ..PLAIN
    },
    Setting {
        name: "SLACK_CHANNEL_ID",
        doc: "id of the channel in which the bot makes a thread for each session",
        guarded: true,
        ..PLAIN
    },
    Setting {
        name: "SLACK_ALLOWED_USER_IDS",
        doc: "member ids of the people who may use the bot, with commas between; others pair with `tether pair --chat`",
        guarded: true,
        ..PLAIN
    },
    Setting {
        name: "SLACK_API_URL",
        kind: Kind::Url,
        default: "https://slack.com/api",
        doc: "address of Slack's Web API, if it is behind a server of your own",
        guarded: true,
        ..PLAIN
    },
    Setting {
        name: "DISCORD_BOT_TOKEN",
        doc: "token of your Discord bot (discord.com/developers, your application, Bot)",
        secret: true,
        guarded: true,
        ..PLAIN
    },
    Setting {
        name: "DISCORD_CHANNEL_ID",
        kind: Kind::Number(0, i64::MAX),
        doc: "id of the text channel in which threads are made",
        guarded: true,
        ..PLAIN
    },
    Setting {
        name: "DISCORD_GUILD_ID",
        kind: Kind::Number(0, i64::MAX),
        doc: "id of the server; without DISCORD_CHANNEL_ID a channel named after this machine is made there",
        guarded: true,
        ..PLAIN
    },
    Setting {
        name: "DISCORD_ALLOWED_USER_IDS",
        doc: "ids of the people who may use the bot, with commas between; others pair with `tether pair --chat`",
        guarded: true,
        ..PLAIN
    },
    Setting {
        name: "DISCORD_AUTO_PAIR_USER_IDS",
        doc: "the same as DISCORD_ALLOWED_USER_IDS; both are taken",
        guarded: true,
        ..PLAIN
    },
    Setting {
        name: "DISCORD_API_URL",
        kind: Kind::Url,
        default: "https://discord.com",
        doc: "where Discord's API is, if a proxy is in between",
        guarded: true,
        ..PLAIN
    },
    Setting {
        name: "DISCORD_GATEWAY_URL",
        default: "wss://gateway.discord.gg",
        doc: "where Discord's gateway is, if a proxy is in between",
        guarded: true,
        ..PLAIN
    },
    Setting {
        name: "TETHER_BRIDGE_REACTION_NEW_SESSION_ENABLED",
        kind: Kind::Flag,
        default: "1",
        doc: "a reaction on `!new …` with words below it makes a session that begins with them (Slack, Discord)",
        ..PLAIN
    },
    Setting {
        name: "TETHER_BRIDGE_REACTION_NEW_SESSION_EMOJI",
        default: "✅",
        doc: "which reaction",
        ..PLAIN
    },
    Setting {
        name: "TETHER_BRIDGE_REACTION_NEW_SESSION_ALLOW_PLAIN_MESSAGES",
        kind: Kind::Flag,
        default: "0",
        doc: "any message will do, for a session in the daemon's own directory",
        ..PLAIN
    },
];
