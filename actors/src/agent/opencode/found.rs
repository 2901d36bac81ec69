//! How the `opencode` program is found, and whether it is signed in.

use std::path::PathBuf;

use semver::Version;

use crate::agent::discover::{SignIn, Surroundings, Wanted};

/// OpenCode.
pub static WANTED: Wanted = Wanted {
    title: "OpenCode",
    program: "opencode",
    minimum: Version::new(1, 18, 0),
    verified: Version::new(1, 18, 33),
    older: "",
    own_places: &[".opencode/bin"],
    install: "install it (https://opencode.ai/docs)",
    update: "`opencode upgrade` brings the newest",
    brings: &["opencode.json", "opencode.jsonc", ".opencode"],
    sign_in,
    sign_in_advice: "run `opencode auth login`, or set the key of a provider",
};

/// Keys that providers' variables commonly have.
const KEYS: [&str; 9] = [
    "OPENCODE_API_KEY",
    "ANTHROPIC_API_KEY",
    "OPENAI_API_KEY",
    "OPENROUTER_API_KEY",
    "GEMINI_API_KEY",
    "GOOGLE_GENERATIVE_AI_API_KEY",
    "DEEPSEEK_API_KEY",
    "GROQ_API_KEY",
    "XAI_API_KEY",
];

/// Whether it is signed in, by what lies about. Looks at names only; no secret is read.
fn sign_in(around: &Surroundings) -> SignIn {
    if KEYS.iter().any(|name| around.variable(name).is_some()) {
        return SignIn::Environment;
    }
    if ["AWS_BEARER_TOKEN_BEDROCK", "AWS_PROFILE", "GOOGLE_APPLICATION_CREDENTIALS"]
        .iter()
        .any(|name| around.variable(name).is_some())
    {
        return SignIn::CloudProvider;
    }
    let folder = |variable: &str, below: &str| {
        let set = around.variable(variable).map(PathBuf::from);
        set.or_else(|| around.home.as_ref().map(|home| home.join(below)))
            .map(|folder| folder.join("opencode"))
    };
    let account = folder("XDG_DATA_HOME", ".local/share").map(|folder| folder.join("auth.json"));
    if account.is_some_and(|file| file.metadata().is_ok_and(|data| data.len() > 2)) {
        return SignIn::Account;
    }
    let settings = folder("XDG_CONFIG_HOME", ".config");
    let names_provider = |name: &str| {
        let text = settings.as_ref().and_then(|folder| std::fs::read_to_string(folder.join(name)).ok());
        text.is_some_and(|text| text.contains("\"provider\""))
    };
    // A provider of the person's own needs no account.
    if ["opencode.json", "opencode.jsonc", "config.json"].into_iter().any(names_provider) {
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
        let settings = home.path().join(".config/opencode");
        std::fs::create_dir_all(&settings).expect("a folder");
        std::fs::write(settings.join("opencode.json"), r#"{"provider":{}}"#).expect("it is written");
        assert_eq!(sign_in(&around), SignIn::Helper);
        let data = home.path().join("data");
        std::fs::create_dir_all(data.join("opencode")).expect("a folder");
        std::fs::write(data.join("opencode/auth.json"), r#"{"a":{}}"#).expect("it is written");
        around.variables.insert("XDG_DATA_HOME".into(), data.into_os_string());
        assert_eq!(sign_in(&around), SignIn::Account);
        around.variables.insert("AWS_PROFILE".into(), "x".into());
        assert_eq!(sign_in(&around), SignIn::CloudProvider);
        around.variables.insert("OPENAI_API_KEY".into(), "x".into());
        assert_eq!(sign_in(&around), SignIn::Environment);
    }
}
