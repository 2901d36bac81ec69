//! `tether init`, the part about chat platforms: what is needed is asked for and tried at once.

use inquire::{Password, Text};
use tether_actors::bridge::platform::Platform;
use tether_actors::bridge::telegram::{Telegram, TelegramSettings};

use super::init::{enough, yes_or_no};
use super::{Context, Failure};
use crate::config::BridgesSettings;

type Answers = Vec<(&'static str, String)>;

/// Asks for what a chat platform needs, and tries it, until it works or the person has had enough of it. `None` = they
/// left with Ctrl-C.
pub fn questions(settings: &BridgesSettings, cx: &mut Context) -> Result<Option<Answers>, Failure> {
    let question = match &settings.telegram {
        Some(_) => "Telegram is set up. Change it?",
        None => "Watch and answer from Telegram?",
    };
    match yes_or_no(question, false)? {
        None => return Ok(None),
        Some(false) => return Ok(Some(Answers::new())),
        Some(true) => {}
    }
    for line in [
        "  1. Talk to @BotFather, /newbot, and copy the token that it gives.",
        "  2. Make a group, switch on Topics in its settings, add the bot, and make it an administrator",
        "     that may manage topics.",
        "  3. The group's id begins with -100: it is in the address of the group in Telegram's web client.",
        "  4. Your own id: @userinfobot tells it.",
    ] {
        cx.out.line(line)?;
    }
    loop {
        let Some(answers) = telegram()? else { return Ok(None) };
        match attempt(&answers) {
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

fn telegram() -> Result<Option<Answers>, Failure> {
    let token = Password::new("Bot token").without_confirmation().prompt();
    let Some(token) = enough(token)? else { return Ok(None) };
    let Some(group) = enough(Text::new("Group id (negative)").prompt())? else { return Ok(None) };
    let Some(people) = enough(Text::new("Ids of the people who may use it, with commas between").prompt())?
    else {
        return Ok(None);
    };
    Ok(Some(vec![
        ("TELEGRAM_BOT_TOKEN", token.trim().to_owned()),
        ("TELEGRAM_FORUM_GROUP_ID", group.trim().to_owned()),
        ("TELEGRAM_ALLOWED_USER_IDS", people.trim().to_owned()),
    ]))
}

/// Whether it works; who the bot is, or what is wrong.
fn attempt(answers: &Answers) -> Result<String, String> {
    let of = |wanted: &str| answers.iter().find(|(name, _)| *name == wanted).map(|(_, value)| value.clone());
    let settings = TelegramSettings {
        api_url: "https://api.telegram.org".to_owned(),
        token: of("TELEGRAM_BOT_TOKEN").unwrap_or_default(),
        group: of("TELEGRAM_FORUM_GROUP_ID")
            .and_then(|group| group.parse().ok())
            .ok_or("the group's id is a negative number")?,
    };
    let telegram = Telegram::new(&settings).map_err(|failure| failure.to_string())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    runtime.block_on(telegram.connect()).map_err(|failure| failure.to_string())
}
