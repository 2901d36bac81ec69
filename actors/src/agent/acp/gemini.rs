//! How the `gemini` program is found, and whether it is signed in.

use std::path::PathBuf;

use semver::Version;
use serde_json::Value;

use crate::agent::discover::{SignIn, Surroundings, Wanted};

/// Gemini CLI.
pub static WANTED: Wanted = Wanted {
    title: "Gemini CLI",
    program: "gemini",
    // The first whose ACP mode has this name for its flag.
    minimum: Version::new(0, 30, 0),
    verified: Version::new(0, 61, 0),
    older: ", but what a project brings along may count in a directory that is not trusted",
    own_places: &[".gemini/local"],
    brings: &[
        ".agents/skills",
        ".gemini/.env",
        ".gemini/agents",
        ".gemini/commands",
        ".gemini/extensions",
        ".gemini/hooks",
        ".gemini/policies",
        ".gemini/settings.json",
        ".gemini/skills",
    ],
    install: "install it with `npm install -g @google/gemini-cli`",
    update: "`npm install -g @google/gemini-cli` brings the newest",
    sign_in,
    sign_in_advice: "run `gemini` once and sign in there, or set GEMINI_API_KEY",
};

/// The arguments with which it speaks the Agent Client Protocol.
pub const ARGS: [&str; 1] = ["--acp"];

/// Whether it is signed in, by what lies about. Looks at names only; no secret is read.
fn sign_in(around: &Surroundings) -> SignIn {
    let set = |name: &str| around.variable(name).is_some();
    let on = |name: &str| around.variable(name).is_some_and(|value| value == "true");
    if set("GEMINI_API_KEY") {
        return SignIn::Environment;
    }
    let project = set("GOOGLE_CLOUD_PROJECT") && set("GOOGLE_CLOUD_LOCATION");
    if on("GOOGLE_GENAI_USE_VERTEXAI") && (set("GOOGLE_API_KEY") || project) {
        return SignIn::CloudProvider;
    }
    let home = around.variable("GEMINI_CLI_HOME").map(PathBuf::from).or_else(|| around.home.clone());
    let Some(folder) = home.map(|home| home.join(".gemini")) else { return SignIn::NotFound };
    if folder.join("oauth_creds.json").metadata().is_ok_and(|data| data.len() > 2) {
        return SignIn::Account;
    }
    // The credentials themselves may be in the system's keychain; this is the trace that the sign-in leaves.
    let settings = std::fs::read(folder.join("settings.json")).unwrap_or_default();
    let settings: Value = serde_json::from_slice(&settings).unwrap_or_default();
    let chosen = settings.pointer("/security/auth/selectedType").or_else(|| settings.get("selectedAuthType"));
    if chosen.is_some_and(Value::is_string) { SignIn::Account } else { SignIn::NotFound }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sign_in_is_told_by_its_traces() {
        let home = tempfile::tempdir().expect("a folder");
        let mut around = Surroundings { home: Some(home.path().to_owned()), ..Surroundings::default() };
        assert_eq!(sign_in(&around), SignIn::NotFound);
        let folder = home.path().join(".gemini");
        std::fs::create_dir(&folder).expect("a folder");
        std::fs::write(folder.join("settings.json"), r#"{"security":{"auth":{}}}"#)
            .expect("it can be written");
        assert_eq!(sign_in(&around), SignIn::NotFound);
        let chosen = r#"{"security":{"auth":{"selectedType":"oauth-personal"}}}"#;
        std::fs::write(folder.join("settings.json"), chosen).expect("it can be written");
        assert_eq!(sign_in(&around), SignIn::Account);
        around.variables.insert("GOOGLE_GENAI_USE_VERTEXAI".into(), "true".into());
        around.variables.insert("GOOGLE_API_KEY".into(), "x".into());
        assert_eq!(sign_in(&around), SignIn::CloudProvider);
        around.variables.insert("GEMINI_API_KEY".into(), "x".into());
        assert_eq!(sign_in(&around), SignIn::Environment);
        around = Surroundings { home: around.home, ..Surroundings::default() };
        around.variables.insert("GEMINI_CLI_HOME".into(), home.path().join("elsewhere").into());
        assert_eq!(sign_in(&around), SignIn::NotFound);
    }
}
