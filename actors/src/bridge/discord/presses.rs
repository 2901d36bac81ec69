//! Presses, forms and commands: what Discord is answered within its three seconds, what they mean, and what the one
//! who did it is told.

use std::time::{Duration, Instant};

use serde::de::IgnoredAny;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use twilight_http::request::Request;
use twilight_http::routing::Route;

use super::http::Http;
use super::places::Places;
use super::show;
use super::wire::{Interaction, Snowflake};
use super::words::{ANSWERED_ALREADY, Trouble, UNKNOWN_INTERACTION};
use crate::bridge::platform::{Place, Press, What};

/// After this Discord has told them that it failed, if it was not answered.
const DEADLINE: Duration = Duration::from_millis(2_800);
/// So long it is asked whether it was answered in time, when that is not known.
const UNCERTAIN: Duration = Duration::from_secs(20);

/// What is done with an interaction.
#[derive(Clone, Debug, PartialEq)]
struct Plan {
    /// What Discord is answered at once.
    answer: Value,
    /// What somebody did, if anything yet.
    did: Option<Did>,
}

/// What somebody did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Did {
    /// Pressed a button, or filled in the form behind it.
    Press {
        /// The button's data.
        data: String,
        /// The message that bears it.
        message: String,
        /// The words of the form.
        words: Option<String>,
    },
    /// Gave a command.
    Command(String),
}

/// An interaction that Discord is being answered.
#[derive(Debug)]
pub struct Heard {
    /// Where.
    pub place: Place,
    /// What somebody did, if anything yet.
    pub did: Option<Did>,
    /// Whether the answer came in time.
    pub answered: JoinHandle<bool>,
}

/// Answers Discord at once, beside all else, and says what somebody did.
pub fn hear(http: &Http, places: &Places, interaction: &Interaction) -> Option<Heard> {
    let place = place(places, interaction);
    let Plan { answer: words, did } = plan(interaction, &place)?;
    let answered = tokio::spawn(answer(http.clone(), interaction.id, interaction.token.clone(), words));
    Some(Heard { place, did, answered })
}

/// Where somebody did it.
fn place(places: &Places, interaction: &Interaction) -> Place {
    if let Some(channel) = &interaction.channel {
        places.learn(channel);
    }
    let Some(channel) = interaction.channel_id.or(interaction.channel.as_ref().map(|channel| channel.id))
    else {
        return Place::Elsewhere;
    };
    places.place(channel, interaction.guild_id).unwrap_or(Place::Elsewhere)
}

/// What is to be done with an interaction; `None` = it is of a kind that we never offer.
fn plan(interaction: &Interaction, place: &Place) -> Option<Plan> {
    let (data, message) = (&interaction.data, interaction.message.as_ref());
    if *place == Place::Elsewhere {
        let words = "This works only in the channel that the bot was set up for.";
        return Some(Plan { answer: json!({ "type": 4, "data": show::aside(words) }), did: None });
    }
    // The message stays as it is until what they did is dealt with.
    let heard = json!({ "type": 6 });
    match interaction.kind {
        2 => {
            let given = data.options.iter().find_map(|option| option.value.as_str()).unwrap_or_default();
            let line = format!("{} {given}", data.name.as_deref()?).trim().to_owned();
            Some(Plan {
                answer: json!({ "type": 5, "data": { "flags": 64 } }),
                did: Some(Did::Command(line)),
            })
        }
        3 => {
            let (message, custom_id) = (message?, data.custom_id.as_deref()?);
            let pressed = show::pressed(custom_id, &data.values)?;
            if Press::asks_words(pressed) {
                let form = show::form(pressed, message.id, &message.components);
                return Some(Plan { answer: json!({ "type": 9, "data": form }), did: None });
            }
            let did = Did::Press { data: pressed.to_owned(), message: message.id.to_string(), words: None };
            Some(Plan { answer: heard, did: Some(did) })
        }
        5 => {
            let (data, message, words) = show::filled(data.custom_id.as_deref()?, &data.components)?;
            let did = Did::Press { data: data.to_owned(), message: message.to_owned(), words: Some(words) };
            Some(Plan { answer: heard, did: Some(did) })
        }
        _ => None,
    }
}

impl Did {
    /// As it is handed on.
    pub fn what(self, token: &str) -> What {
        match self {
            Self::Press { data, message, words } => {
                What::Press(Press { data, message, token: format!("p{token}"), words })
            }
            Self::Command(line) => What::Command { line, token: Some(format!("c{token}")) },
        }
    }
}

/// Answers Discord. `false` = too late: they were told that it failed, so it must not count. When the answer may or may
/// not have come in time, Discord is asked again until it says which.
async fn answer(http: Http, id: Snowflake, token: String, answer: Value) -> bool {
    let begun = Instant::now();
    loop {
        let route = Route::InteractionCallback {
            interaction_id: id,
            interaction_token: &token,
            with_response: false,
        };
        let request = Request::builder(&route).json(&answer).use_authorization_token(false).build();
        match tokio::time::timeout(DEADLINE, http.call::<IgnoredAny>(request)).await {
            Ok(Ok(_)) => return true,
            // Before the connection broke, or before a restart.
            Ok(Err(trouble)) if trouble.code() == ANSWERED_ALREADY => return true,
            Ok(Err(trouble)) if trouble.code() == UNKNOWN_INTERACTION => {
                tracing::info!("a press came too late, and does not count");
                return false;
            }
            Ok(Err(Trouble::Refused { message, .. })) => {
                tracing::warn!(message, "Discord does not take the answer to a press");
                return false;
            }
            Ok(Err(_)) | Err(_) if begun.elapsed() < UNCERTAIN => {
                tokio::time::sleep(Duration::from_millis(150)).await;
            }
            Ok(Err(_)) | Err(_) => return false,
        }
    }
}

/// Tells the one who did it, and nobody else. `token` is of [`Did::what`].
pub async fn tell(http: &Http, application: Snowflake, token: &str, text: &str) {
    let (command, token) = match token.split_at_checked(1) {
        Some(("p", token)) => (false, token),
        Some(("c", token)) => (true, token),
        _ => return,
    };
    let original = (application, token);
    let request = match (command, text.is_empty()) {
        (false, true) => return,
        (false, false) => Request::builder(&Route::ExecuteWebhook {
            thread_id: None,
            token,
            wait: None,
            with_components: None,
            webhook_id: application,
        })
        .json(&show::aside(text)),
        // It was answered by a message that all see.
        (true, true) => Request::builder(&Route::DeleteInteractionOriginal {
            application_id: original.0,
            interaction_token: original.1,
        }),
        (true, false) => Request::builder(&Route::UpdateInteractionOriginal {
            application_id: original.0,
            interaction_token: original.1,
        })
        .json(&show::aside_changed(text)),
    };
    let request = request.use_authorization_token(false).build();
    if let Err(trouble) = http.call::<IgnoredAny>(request).await {
        tracing::debug!(?trouble, "the one who pressed could not be told");
    }
}
