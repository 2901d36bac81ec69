//! How the `claude` program is found, and whether it is signed in.

use std::path::{Path, PathBuf};

use semver::Version;

use crate::agent::discover::{SignIn, Surroundings, Wanted};

/// Claude Code.
pub static WANTED: Wanted = Wanted {
    title: "Claude Code",
    program: "claude",
    minimum: Version::new(2, 0, 0),
    verified: Version::new(2, 1, 330),
    older: ", but a prompt may be run twice when the daemon is killed while it hands it over",
    own_places: &[".claude/local"],
    brings: &[
        ".claude/settings.json",
        ".claude/settings.local.json",
        ".claude/agents",
        ".claude/commands",
        ".claude/skills",
        ".mcp.json",
    ],
    install: "install it (https://code.claude.com)",
    update: "`claude update` brings the newest",
    sign_in,
    sign_in_advice: "run `claude` once and use /login, or set ANTHROPIC_API_KEY",
};

/// Whether it is signed in, by what lies about. Looks at names only; no secret is read.
fn sign_in(around: &Surroundings) -> SignIn {
    let set = |names: &[&str]| names.iter().any(|name| around.variable(name).is_some());
    if set(&["ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN"]) {
        return SignIn::Environment;
    }
    let on = |name: &str| around.variable(name).is_some_and(|value| value != "0" && value != "false");
    if ["CLAUDE_CODE_USE_BEDROCK", "CLAUDE_CODE_USE_VERTEX", "CLAUDE_CODE_USE_FOUNDRY"].into_iter().any(on) {
        return SignIn::CloudProvider;
    }
    // `CLAUDE_CONFIG_DIR` moves both the folder and the file beside it into one.
    let (folder, account) = match (around.variable("CLAUDE_CONFIG_DIR"), &around.home) {
        (Some(folder), _) => (PathBuf::from(folder), PathBuf::from(folder).join(".claude.json")),
        (None, Some(home)) => (home.join(".claude"), home.join(".claude.json")),
        (None, None) => return SignIn::NotFound,
    };
    if folder.join(".credentials.json").metadata().is_ok_and(|data| data.len() > 2) {
        return SignIn::Account;
    }
    let has = |file: &Path, key: &str| {
        let text = std::fs::read(file).unwrap_or_default();
        serde_json::from_slice::<serde_json::Value>(&text)
            .is_ok_and(|value| value.get(key).is_some_and(|value| !value.is_null()))
    };
    if has(&folder.join("settings.json"), "apiKeyHelper") {
        return SignIn::Helper;
    }
    // On macOS the token itself is in the keychain; this is the trace that the sign-in leaves.
    if has(&account, "oauthAccount") { SignIn::Account } else { SignIn::NotFound }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sign_in_is_told_by_its_traces() {
        let home = tempfile::tempdir().expect("a folder");
        let mut around = Surroundings { home: Some(home.path().to_owned()), ..Surroundings::default() };
        assert_eq!(sign_in(&around), SignIn::NotFound);
        std::fs::write(home.path().join(".claude.json"), r#"{"oauthAccount":{}}"#)
            .expect("it can be written");
        assert_eq!(sign_in(&around), SignIn::Account);
        let other = home.path().join("other");
        std::fs::create_dir_all(&other).expect("a folder");
        around.variables.insert("CLAUDE_CONFIG_DIR".into(), other.clone().into_os_string());
        assert_eq!(sign_in(&around), SignIn::NotFound);
        std::fs::write(other.join("settings.json"), r#"{"apiKeyHelper":"x"}"#).expect("it can be written");
        assert_eq!(sign_in(&around), SignIn::Helper);
        std::fs::write(other.join(".credentials.json"), r#"{"a":1}"#).expect("it can be written");
        assert_eq!(sign_in(&around), SignIn::Account);
        around.variables.insert("CLAUDE_CODE_USE_VERTEX".into(), "1".into());
        assert_eq!(sign_in(&around), SignIn::CloudProvider);
        around.variables.insert("ANTHROPIC_API_KEY".into(), "x".into());
        assert_eq!(sign_in(&around), SignIn::Environment);
    }
}
