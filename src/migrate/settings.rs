//! `config.env` of the other program: what of it is to be stored in ours.

use serde::Serialize;

use super::threads::PAIRING;
use super::{Left, Pairing};
use crate::config::file::EnvFile;
use crate::config::{Sources, table};

/// Never taken over, with the reason.
const KEPT_OUT: [(&str, &str); 1] =
    [("TETHER_AGENT_DATA_DIR", "it names the other program's data, and ours lie in a folder of their own")];

/// A setting that would change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Its name here.
    pub name: &'static str,
    /// What our `config.env` says; `None` = nothing. Hidden where it is a secret.
    pub old: Option<String>,
    /// What the other says, in the same way.
    pub new: String,
    /// The value itself.
    #[serde(skip)]
    pub value: String,
}

/// What is to be done with the other program's settings.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Takeover {
    /// To be stored.
    pub changes: Vec<Change>,
    /// The same in both.
    pub same: Vec<&'static str>,
    /// Not taken over: names, with the reason.
    pub left: Vec<Left>,
}

/// By these a daemon that runs is reached.
const REACHED_BY: [&str; 3] = ["TETHER_AGENT_TOKEN", "TETHER_AGENT_HOST", "TETHER_AGENT_PORT"];

impl Takeover {
    /// Leaves out what would cut us off from a daemon that runs with other values: not even stopping it would work
    /// any more.
    pub fn stay_in_reach(&mut self) {
        let cut_off = self.changes.extract_if(.., |change| REACHED_BY.contains(&change.name));
        let why = "the daemon runs with another one: stop it (tether stop) and migrate again";
        self.left.extend(cut_off.map(|change| Left::new(change.name, why)));
    }
}

/// Who may act on Discord.
const LET_IN: &str = "DISCORD_ALLOWED_USER_IDS";
/// Where the bot is there.
const CHANNEL: &str = "DISCORD_CHANNEL_ID";

impl Takeover {
    /// Adds that the people who were paired in the data folder may act here too, and in which channel; like any other
    /// setting it counts once a person has seen it and said yes. `is_set_up` says that the bot's token is known from
    /// elsewhere.
    pub fn let_in(&mut self, pairing: &Pairing, ours: Option<&EnvFile>, is_set_up: bool) {
        let will_be = |takeover: &Self, name: &str| {
            let change = takeover.changes.iter().find(|change| change.name == name);
            let old = || ours?.get(name).map(|entry| entry.value.trim().to_owned());
            change.map(|change| change.value.clone()).or_else(old).filter(|value| !value.is_empty())
        };
        if !is_set_up && will_be(self, "DISCORD_BOT_TOKEN").is_none() {
            let why = "people are paired for Discord in it, which is not set up here: tether init";
            return self.left.push(Left::new(PAIRING, why));
        }
        let known = will_be(self, LET_IN).unwrap_or_default();
        let is_known = |id: &str| known.split([',', ' ']).any(|known| known == id);
        let mut people: Vec<String> = pairing.people.iter().map(u64::to_string).collect();
        people.retain(|id| !is_known(id));
        if !people.is_empty() {
            let before = (!known.is_empty()).then_some(known);
            let value = before.into_iter().chain(people).collect::<Vec<_>>().join(",");
            self.set(LET_IN, value, ours);
        }
        if let Some(channel) = pairing.channel.filter(|_| will_be(self, CHANNEL).is_none()) {
            self.set(CHANNEL, channel.to_string(), ours);
        }
    }

    /// Has a setting that is no secret changed, whatever was to become of it.
    fn set(&mut self, name: &'static str, value: String, ours: Option<&EnvFile>) {
        self.same.retain(|same| *same != name);
        self.changes.retain(|change| change.name != name);
        let old = ours.and_then(|ours| ours.get(name)).map(|entry| entry.value.trim().to_owned());
        if old.as_ref() != Some(&value) {
            self.changes.push(Change { name, old, new: value.clone(), value });
        }
    }
}

/// Compares the other program's settings with ours.
pub fn compare(theirs: &EnvFile, ours: Option<&EnvFile>) -> Takeover {
    // There the last of two counts, here the first.
    let mut reversed = theirs.clone();
    reversed.entries.reverse();
    let mut names: Vec<&str> = Vec::new();
    for entry in &theirs.entries {
        if !names.contains(&entry.name.as_str()) {
            names.push(&entry.name);
        }
    }
    let only_theirs = Sources { personal: Some(reversed.clone()), ..Sources::default() };
    let mut takeover = Takeover::default();
    for name in names {
        let value = reversed.get(name).map(|entry| entry.value.trim()).unwrap_or_default();
        if value.is_empty() {
            continue;
        }
        let Some(setting) = table::find(name) else {
            takeover.left.push(Left::new(name, unknown(name)));
            continue;
        };
        if let Some((_, why)) = KEPT_OUT.iter().find(|(kept, _)| *kept == setting.name) {
            takeover.left.push(Left::new(name, *why));
            continue;
        }
        if name != setting.name
            && reversed.get(setting.name).is_some_and(|entry| !entry.value.trim().is_empty())
        {
            takeover.left.push(Left::new(name, format!("{} counts, which is there too", setting.name)));
            continue;
        }
        if let Err(wrong) = only_theirs.checked(setting) {
            takeover.left.push(Left::new(name, format!("its value does not do here: {}", wrong.allowed)));
            continue;
        }
        let shown = |value: &str| if setting.secret { "(hidden)".to_owned() } else { value.to_owned() };
        let old = [setting.name, setting.old_name]
            .into_iter()
            .find_map(|name| ours?.get(name))
            .map(|entry| entry.value.trim());
        match old {
            Some(old) if old == value => takeover.same.push(setting.name),
            old => takeover.changes.push(Change {
                name: setting.name,
                old: old.map(shown),
                new: shown(value),
                value: value.to_owned(),
            }),
        }
    }
    takeover
}

fn unknown(name: &str) -> String {
    if table::ELSEWHERE.contains(&name) {
        return "it has no effect here".to_owned();
    }
    if !name.starts_with("TETHER_") {
        return "it is no setting of tether: set it in the environment if an agent needs it".to_owned();
    }
    let meant = table::nearest(name).map(|near| format!(": did you mean {near}?")).unwrap_or_default();
    format!("it is no setting{meant}")
}
