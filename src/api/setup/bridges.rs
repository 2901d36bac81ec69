//! Storing what a chat platform needs in `config.env`: its own settings alone, each checked, and all together.

use std::path::Path;

use actix_web::http::StatusCode;
use serde_json::{Map, Value};

use super::super::error::ApiError;
use super::{BridgeDone, BridgeVar, BridgeVars};
use crate::config::file::{self, EnvFile};
use crate::config::{Origin, Settings, Sources, table};
use tether_actors::domain::code::Code;

/// A platform's settings, with whether it needs them.
struct Bridge {
    name: &'static str,
    vars: &'static [(&'static str, bool)],
}

const BRIDGES: [Bridge; 3] = [
    Bridge {
        name: "telegram",
        vars: &[
            ("TELEGRAM_BOT_TOKEN", true),
            ("TELEGRAM_FORUM_GROUP_ID", true),
            ("TELEGRAM_ALLOWED_USER_IDS", false),
        ],
    },
    Bridge {
        name: "slack",
        vars: &[
            ("SLACK_BOT_TOKEN", true),
            ("SLACK_APP_TOKEN", true),
            ("SLACK_CHANNEL_ID", true),
            ("SLACK_ALLOWED_USER_IDS", false),
        ],
    },
    Bridge {
        name: "discord",
        vars: &[
            ("DISCORD_BOT_TOKEN", true),
            ("DISCORD_CHANNEL_ID", true),
            ("DISCORD_ALLOWED_USER_IDS", false),
        ],
    },
];

fn find(name: &str) -> Result<&'static Bridge, ApiError> {
    static ALL: [Bridge; 3] = BRIDGES;
    ALL.iter().find(|bridge| bridge.name == name).ok_or_else(|| {
        ApiError::not_found(format!(
            "there is no chat platform {name:?}: there are telegram, slack and discord"
        ))
    })
}

/// The sources of the daemon's settings, with `config.env` as it is now.
fn sources(config: Option<&Path>) -> Sources {
    let mut sources = Sources::of_this_process();
    if let Some(path) = config {
        sources.personal = EnvFile::read(path).ok().flatten();
        sources.personal_path = Some(path.to_owned());
    }
    sources
}

/// What a platform needs, and what of it is set.
pub fn vars(name: &str, config: Option<&Path>) -> Result<BridgeVars, ApiError> {
    let bridge = find(name)?;
    let sources = sources(config);
    let var = |(key, required): &(&'static str, bool)| {
        let setting = table::find(key)?;
        Some(BridgeVar {
            key: (*key).to_owned(),
            label: setting.doc.to_owned(),
            required: *required,
            secret: setting.secret,
            set: sources.find(setting).is_some(),
        })
    };
    Ok(BridgeVars { bridge: name.to_owned(), vars: bridge.vars.iter().filter_map(var).collect() })
}

/// Checks and stores. Blocks.
///
/// # Errors
/// Something is given that is not the platform's, is missing, or does not do; then nothing was stored.
pub fn store(name: &str, env: Map<String, Value>, config: Option<&Path>) -> Result<BridgeDone, ApiError> {
    let bridge = find(name)?;
    let Some(path) = config else {
        let message = "the daemon has no config.env: it was started without HOME and XDG_CONFIG_HOME";
        return Err(ApiError::bad_request(Code::NotSupported, message));
    };
    if env.is_empty() {
        let message = format!("env is missing: GET /api/setup/bridge/vars/{name} tells what is needed");
        return Err(ApiError::bad_request(Code::MissingFields, message));
    }
    let mut given: Vec<(&'static str, String)> = Vec::new();
    for (key, value) in env {
        let Some((known, _)) = bridge.vars.iter().find(|(known, _)| *known == key) else {
            return Err(ApiError::invalid(format!("{key:?} is no setting of {name}")));
        };
        let Value::String(value) = value else {
            return Err(ApiError::invalid(format!("{key} must be a text")));
        };
        given.push((known, value.trim().to_owned()));
    }
    let before = sources(config);
    let mut after = before.clone();
    for (key, value) in &given {
        after = after.with_flag(key, "what was given", Some(value.clone()));
    }
    let missing: Vec<&str> = bridge
        .vars
        .iter()
        .filter(|(key, required)| {
            *required && table::find(key).and_then(|setting| after.find(setting)).is_none()
        })
        .map(|(key, _)| *key)
        .collect();
    if !missing.is_empty() {
        let message = format!("{name} needs {}", missing.join(", "));
        return Err(ApiError::bad_request(Code::MissingFields, message));
    }
    for (key, _) in bridge.vars {
        if let Some(setting) = table::find(key) {
            after.checked(setting).map_err(|wrong| ApiError::invalid(wrong.to_string()))?;
        }
    }
    // Together they must do as well, as far as that does not lie with another setting.
    if let Ok(settings) = Settings::read(&after) {
        let chats = &settings.bridges;
        let is_on = match name {
            "telegram" => chats.telegram.is_some(),
            "slack" => chats.slack.is_some(),
            _ => chats.discord.is_some(),
        };
        if !is_on {
            return Err(ApiError::invalid(chats.problems.join("; ")));
        }
    }
    for (key, value) in &given {
        file::store(path, key, value).map_err(|error| {
            ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, Code::StoreFailed, error.to_string())
        })?;
    }
    tracing::info!(platform = name, path = %path.display(), "settings of a chat platform were stored");
    Ok(BridgeDone { ok: true, bridge: name.to_owned(), message: message(path, &given, &before) })
}

fn message(path: &Path, given: &[(&'static str, String)], before: &Sources) -> String {
    let mut message = format!(
        "stored in {}: it counts from the next start of the daemon on (tether stop, then tether start; agents go on)",
        path.display()
    );
    let hidden: Vec<&str> = given
        .iter()
        .map(|(key, _)| *key)
        .filter(|key| {
            let found = before.find_name(key);
            found.is_some_and(|found| !matches!(found.origin, Origin::Personal(..)))
        })
        .collect();
    if !hidden.is_empty() {
        message.push_str(&format!(
            ". But {} is set in the daemon's environment too, and that counts",
            hidden.join(", ")
        ));
    }
    message
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn env(value: Value) -> Map<String, Value> {
        value.as_object().expect("an object").clone()
    }

    #[test]
    fn only_what_a_platform_needs_is_stored_and_only_when_it_is_whole_and_right() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("config.env");
        let refused = |name: &str, given: Value, code: Code| {
            let error = store(name, env(given), Some(&path)).expect_err("it is refused");
            assert_eq!(error.code(), code, "{error}");
            assert!(!path.exists(), "nothing was stored");
        };
        refused("matrix", json!({}), Code::NotFound);
        refused("discord", json!({}), Code::MissingFields);
        refused("discord", json!({ "DISCORD_BOT_TOKEN": "t" }), Code::MissingFields);
        refused(
            "discord",
            json!({ "DISCORD_BOT_TOKEN": "t", "DISCORD_CHANNEL_ID": "5", "PATH": "/x" }),
            Code::ValidationError,
        );
        refused("discord", json!({ "TETHER_AGENT_TOKEN": "mine" }), Code::ValidationError);
        refused(
            "discord",
            json!({ "DISCORD_BOT_TOKEN": "t", "DISCORD_CHANNEL_ID": "general" }),
            Code::ValidationError,
        );
        refused(
            "discord",
            json!({ "DISCORD_BOT_TOKEN": ["t"], "DISCORD_CHANNEL_ID": "5" }),
            Code::ValidationError,
        );
        refused(
            "discord",
            json!({ "DISCORD_BOT_TOKEN": "a\nB=1", "DISCORD_CHANNEL_ID": "5" }),
            Code::ValidationError,
        );
        refused(
            "telegram",
            json!({ "TELEGRAM_BOT_TOKEN": "1:a", "TELEGRAM_FORUM_GROUP_ID": "12" }),
            Code::ValidationError,
        );

        let good = json!({ "DISCORD_BOT_TOKEN": "t", "DISCORD_CHANNEL_ID": "5" });
        let done = store("discord", env(good), Some(&path)).expect("it is whole");
        assert!(done.message.contains("next start"), "{}", done.message);
        assert_eq!(
            std::fs::read_to_string(&path).expect("stored"),
            "DISCORD_BOT_TOKEN=t\nDISCORD_CHANNEL_ID=5\n"
        );
        // What is there need not be given again.
        store("discord", env(json!({ "DISCORD_CHANNEL_ID": "6" })), Some(&path)).expect("it is whole");
        let vars = vars("discord", Some(&path)).expect("it is known");
        let told: Vec<(&str, bool, bool)> =
            vars.vars.iter().map(|var| (var.key.as_str(), var.required, var.set)).collect();
        assert_eq!(told[0], ("DISCORD_BOT_TOKEN", true, true));
        assert!(!serde_json::to_string(&vars).expect("JSON").contains("\"t\""), "no value is told");
    }
}
