//! How the `pi` program is found, and whether it is signed in.

use std::path::PathBuf;

use semver::Version;

use crate::agent::discover::{SignIn, Surroundings, Wanted};

/// Pi.
pub static WANTED: Wanted = Wanted {
    title: "Pi",
    program: "pi",
    // The first with all switches against what a project brings along; it would end of one that it does not know.
    minimum: Version::new(0, 67, 4),
    verified: Version::new(0, 73, 1),
    older: "",
    own_places: &[".pi/agent/bin"],
    brings: &[
        ".pi/settings.json",
        ".pi/extensions",
        ".pi/skills",
        ".pi/prompts",
        ".pi/SYSTEM.md",
        ".pi/APPEND_SYSTEM.md",
        ".agents/skills",
        "AGENTS.md",
        "CLAUDE.md",
    ],
    install: "install it (`npm install -g @mariozechner/pi-coding-agent`)",
    update: "`pi update --self` brings the newest",
    sign_in,
    sign_in_advice: "run `pi` once and use /login, or set a provider's key (ANTHROPIC_API_KEY, OPENAI_API_KEY, ...)",
};

/// Variables of which one is enough, of many more that Pi knows.
const KEYS: [&str; 14] = [
    "AI_GATEWAY_API_KEY",
    "ANTHROPIC_API_KEY",
    "ANTHROPIC_OAUTH_TOKEN",
    "AZURE_OPENAI_API_KEY",
    "CEREBRAS_API_KEY",
    "DEEPSEEK_API_KEY",
    "GEMINI_API_KEY",
    "GROQ_API_KEY",
    "KIMI_API_KEY",
    "MISTRAL_API_KEY",
    "OPENAI_API_KEY",
    "OPENROUTER_API_KEY",
    "XAI_API_KEY",
    "ZAI_API_KEY",
];

/// Whether it is signed in, by what lies about. Looks at names only; no secret is read.
fn sign_in(around: &Surroundings) -> SignIn {
    let set = |names: &[&str]| names.iter().any(|name| around.variable(name).is_some());
    if set(&KEYS) {
        return SignIn::Environment;
    }
    if set(&["AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_BEARER_TOKEN_BEDROCK"]) {
        return SignIn::CloudProvider;
    }
    let Some(folder) = folder(around) else { return SignIn::NotFound };
    let text = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap_or_default();
    let accounts: serde_json::Value = serde_json::from_str(&text("auth.json")).unwrap_or_default();
    let signed_in = accounts.as_object().is_some_and(|accounts| !accounts.is_empty());
    // Providers of the person's own; comments are allowed there, so it is no plain JSON.
    if signed_in || text("models.json").contains("\"providers\"") {
        return SignIn::Account;
    }
    SignIn::NotFound
}

/// Where Pi keeps its own things.
fn folder(around: &Surroundings) -> Option<PathBuf> {
    match around.variable("PI_CODING_AGENT_DIR") {
        Some(folder) => Some(PathBuf::from(folder)),
        None => Some(around.home.as_ref()?.join(".pi/agent")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sign_in_is_told_by_its_traces() {
        let home = tempfile::tempdir().expect("a folder");
        let mut around = Surroundings { home: Some(home.path().to_owned()), ..Surroundings::default() };
        assert_eq!(sign_in(&around), SignIn::NotFound);
        let folder = home.path().join(".pi/agent");
        std::fs::create_dir_all(&folder).expect("a folder");
        std::fs::write(folder.join("auth.json"), "{}").expect("it can be written");
        assert_eq!(sign_in(&around), SignIn::NotFound, "nobody is signed in");
        std::fs::write(folder.join("models.json"), "// mine\n{\"providers\":{\"mine\":{}}}")
            .expect("it can be written");
        assert_eq!(sign_in(&around), SignIn::Account);
        let other = home.path().join("other");
        around.variables.insert("PI_CODING_AGENT_DIR".into(), other.clone().into_os_string());
        assert_eq!(sign_in(&around), SignIn::NotFound);
        std::fs::create_dir_all(&other).expect("a folder");
        std::fs::write(other.join("auth.json"), r#"{"anthropic":{"type":"oauth"}}"#)
            .expect("it can be written");
        assert_eq!(sign_in(&around), SignIn::Account);
        around.variables.insert("AWS_PROFILE".into(), "work".into());
        assert_eq!(sign_in(&around), SignIn::CloudProvider);
        around.variables.insert("GROQ_API_KEY".into(), "x".into());
        assert_eq!(sign_in(&around), SignIn::Environment);
    }
}
