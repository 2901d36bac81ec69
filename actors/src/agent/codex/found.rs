//! How the `codex` program is found, and whether it is signed in.

use std::path::PathBuf;

use semver::Version;

use crate::agent::discover::{SignIn, Surroundings, Wanted};

/// Codex CLI.
pub static WANTED: Wanted = Wanted {
    title: "Codex",
    program: "codex",
    minimum: Version::new(0, 166, 0),
    verified: Version::new(0, 169, 0),
    older: "",
    own_places: &[".codex/bin"],
    brings: &[".codex/config.toml", ".codex/hooks.json", ".codex/rules"],
    install: "install it (`npm install -g @openai/codex`)",
    update: "`npm install -g @openai/codex@latest` brings the newest",
    sign_in,
    sign_in_advice: "run `codex login`, or name a provider of your own in its config.toml",
};

/// Whether it is signed in, by what lies about. Looks at names only; no secret is read.
fn sign_in(around: &Surroundings) -> SignIn {
    if ["CODEX_API_KEY", "OPENAI_API_KEY"].iter().any(|name| around.variable(name).is_some()) {
        return SignIn::Environment;
    }
    let folder = match (around.variable("CODEX_HOME"), &around.home) {
        (Some(folder), _) => PathBuf::from(folder),
        (None, Some(home)) => home.join(".codex"),
        (None, None) => return SignIn::NotFound,
    };
    if folder.join("auth.json").metadata().is_ok_and(|data| data.len() > 2) {
        return SignIn::Account;
    }
    // A provider of the person's own has its own key, or needs none; the keyring only the program itself can look into.
    let settings = std::fs::read_to_string(folder.join("config.toml")).unwrap_or_default();
    let names = |key: &str| {
        settings.lines().any(|line| {
            line.trim_start().strip_prefix(key).is_some_and(|rest| rest.trim_start().starts_with('='))
        })
    };
    if names("model_provider") || names("cli_auth_credentials_store") {
        return SignIn::Helper;
    }
    SignIn::NotFound
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sign_in_is_told_by_its_traces() {
        let home = tempfile::tempdir().expect("a folder");
        let mut around = Surroundings { home: Some(home.path().to_owned()), ..Surroundings::default() };
        assert_eq!(sign_in(&around), SignIn::NotFound);
        let folder = home.path().join(".codex");
        std::fs::create_dir(&folder).expect("a folder");
        std::fs::write(folder.join("config.toml"), "model = \"m\"\n[model_providers.x]\n")
            .expect("it is written");
        assert_eq!(sign_in(&around), SignIn::NotFound);
        std::fs::write(folder.join("config.toml"), "model_provider = \"mine\"\n").expect("it is written");
        assert_eq!(sign_in(&around), SignIn::Helper);
        std::fs::write(folder.join("auth.json"), r#"{"tokens":{}}"#).expect("it is written");
        assert_eq!(sign_in(&around), SignIn::Account);
        around.variables.insert("CODEX_HOME".into(), home.path().join("other").into_os_string());
        assert_eq!(sign_in(&around), SignIn::NotFound);
        around.variables.insert("OPENAI_API_KEY".into(), "x".into());
        assert_eq!(sign_in(&around), SignIn::Environment);
    }
}
