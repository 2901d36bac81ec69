//! What the agent is told at its start: by flags, and by the environment.

use std::path::PathBuf;

use secrecy::SecretString;

use super::providers::{self, Provider};
use crate::agents::folder;

/// The model of the peer's LiteLLM adapter where none is chosen.
const USUAL_MODEL: &str = "openrouter/deepseek/deepseek-chat";
/// How often a failed request is tried again.
const USUAL_RETRIES: u32 = 5;

/// What may be typed. An empty value is none.
#[derive(Clone, Debug, Default)]
pub struct Wishes {
    /// The model.
    pub model: Option<String>,
    /// The base of the API.
    pub base_url: Option<String>,
    /// Where conversations are kept.
    pub data_dir: Option<PathBuf>,
    /// Whether what the directory brings along for agents counts.
    pub trusted: bool,
}

/// All of it, checked.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The base of the API, without a slash at its end.
    pub base_url: String,
    /// The model as the server knows it; `None` = the only one that the server has.
    pub model: Option<String>,
    /// What stood before the model's name, if the server is known by that: it is no part of the name.
    pub prefix: Option<&'static str>,
    /// The key, if there is one.
    pub key: Option<SecretString>,
    /// The environment variable that it came from; tools do not get it.
    pub key_variable: Option<&'static str>,
    /// A known provider's variable that is not set although it is needed.
    pub missing_key: Option<&'static Provider>,
    /// Most tokens in an answer; `None` = the server's own limit.
    pub max_tokens: Option<u64>,
    /// How many tokens the model can take, where the server does not say it.
    pub context: Option<u64>,
    /// How often a failed request is tried again.
    pub retries: u32,
    /// Where conversations are kept.
    pub folder: PathBuf,
    /// Whether AGENTS.md and CLAUDE.md of the directory count.
    pub trusted: bool,
}

/// Variables of ours that hold a secret.
pub const OUR_KEY: &str = "TETHER_MODEL_API_KEY";

impl Settings {
    /// Reads them. `get` gives an environment variable. `Err` is for people.
    pub fn read(wishes: Wishes, get: impl Fn(&str) -> Option<String>) -> Result<Self, String> {
        let set = |names: &[&str]| {
            names.iter().find_map(|name| get(name).map(|v| v.trim().to_owned()).filter(|v| !v.is_empty()))
        };
        let typed = |value: Option<String>| value.map(|v| v.trim().to_owned()).filter(|v| !v.is_empty());
        let number = |names: &[&str]| match set(names) {
            None => Ok(None),
            Some(text) => match text.parse::<u64>() {
                Ok(number) => Ok(Some(number)),
                Err(_) => Err(format!("{} must be a whole number, not {text:?}", names.join(" or "))),
            },
        };
        let model = typed(wishes.model).or_else(|| set(&["TETHER_MODEL", "TETHER_AGENT_LITELLM_MODEL"]));
        let base_url = typed(wishes.base_url).or_else(|| set(&["TETHER_MODEL_BASE_URL"]));
        let (base_url, model, provider, prefix) = match base_url {
            // A server that was named knows its models by their whole names.
            Some(url) => {
                let provider = providers::of_url(&url);
                (url, model, provider, None)
            }
            None => {
                let wanted = model.unwrap_or_else(|| USUAL_MODEL.to_owned());
                match providers::of_model(&wanted) {
                    Some((provider, name)) => {
                        let name = Some(name.to_owned());
                        (provider.base_url.to_owned(), name, Some(provider), Some(provider.prefix))
                    }
                    None => {
                        return Err(format!(
                            "where the model {wanted} is served is not known: set TETHER_MODEL_BASE_URL (or \
                             --base-url), or put a provider before it ({})",
                            providers::PROVIDERS
                                .iter()
                                .map(|provider| format!("{}/", provider.prefix))
                                .collect::<Vec<_>>()
                                .join(", ")
                        ));
                    }
                }
            }
        };
        let base_url = base_url.trim_end_matches('/').to_owned();
        let parsed = reqwest::Url::parse(&base_url)
            .map_err(|error| format!("the base URL {base_url:?} is none: {error}"))?;
        if !matches!(parsed.scheme(), "http" | "https") || parsed.host_str().is_none() {
            return Err(format!("the base URL {base_url:?} must begin with http:// or https://"));
        }
        let own = set(&[OUR_KEY]).map(|key| (key, OUR_KEY));
        // The key of a provider is only ever sent to that provider.
        let theirs = provider.filter(|provider| !provider.key.is_empty());
        let key = own.or_else(|| theirs.and_then(|known| set(&[known.key]).map(|key| (key, known.key))));
        let missing_key = theirs.filter(|_| key.is_none());
        if key.as_ref().is_some_and(|(key, _)| key.chars().any(|c| c.is_control() || !c.is_ascii())) {
            return Err(
                "the key holds characters that no key holds: look for a line end or a blank in it".into()
            );
        }
        let (key, key_variable) = key.unzip();
        let retries = number(&["TETHER_MODEL_MAX_RETRIES"])?;
        Ok(Self {
            base_url,
            model,
            prefix,
            key: key.map(SecretString::from),
            key_variable,
            missing_key,
            max_tokens: number(&["TETHER_MODEL_MAX_TOKENS", "TETHER_AGENT_LITELLM_MAX_TOKENS"])?
                .filter(|most| *most > 0),
            context: number(&["TETHER_MODEL_CONTEXT"])?.filter(|size| *size > 0),
            retries: retries.map_or(USUAL_RETRIES, |retries| u32::try_from(retries).unwrap_or(u32::MAX)),
            folder: folder::of(
                "model",
                wishes.data_dir.or_else(|| set(&["TETHER_MODEL_DATA_DIR"]).map(PathBuf::from)),
            )?,
            trusted: wishes.trusted || set(&["TETHER_MODEL_TRUSTED"]).is_some_and(|text| is_yes(&text)),
        })
    }
}

impl Settings {
    /// A model's name as the server knows it, from one that may have its provider before it.
    pub fn bare<'a>(&self, name: &'a str) -> &'a str {
        let prefix = self.prefix.and_then(|prefix| name.strip_prefix(prefix)?.strip_prefix('/'));
        prefix.filter(|rest| !rest.is_empty()).unwrap_or(name)
    }
}

fn is_yes(text: &str) -> bool {
    ["1", "true", "yes"].iter().any(|yes| text.eq_ignore_ascii_case(yes))
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    fn read(set: &[(&str, &str)]) -> Result<Settings, String> {
        let wishes = Wishes { data_dir: Some("/tmp/x".into()), ..Wishes::default() };
        Settings::read(wishes, |name| {
            set.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
    }

    fn key(settings: &Settings) -> Option<&str> {
        settings.key.as_ref().map(|key| key.expose_secret())
    }

    #[test]
    fn the_peers_variables_are_taken_where_ours_are_not_set() {
        let settings = read(&[
            ("TETHER_AGENT_LITELLM_MODEL", "deepseek/deepseek-chat"),
            ("TETHER_AGENT_LITELLM_MAX_TOKENS", "512"),
            ("DEEPSEEK_API_KEY", "k"),
        ])
        .expect("all is well");
        assert_eq!(settings.base_url, "https://api.deepseek.com/v1");
        assert_eq!((settings.model.as_deref(), settings.max_tokens), (Some("deepseek-chat"), Some(512)));
        assert_eq!((key(&settings), settings.key_variable), (Some("k"), Some("DEEPSEEK_API_KEY")));
        let settings =
            read(&[("TETHER_AGENT_LITELLM_MODEL", "deepseek/a"), ("TETHER_MODEL", "xai/b")]).expect("well");
        assert_eq!(settings.model.as_deref(), Some("b"));
    }

    #[test]
    fn a_server_that_was_named_gets_the_whole_name_of_the_model_and_no_key_of_another() {
        let settings = read(&[
            ("TETHER_MODEL_BASE_URL", "http://localhost:4000/v1/"),
            ("TETHER_MODEL", "openrouter/deepseek/deepseek-chat"),
            ("OPENROUTER_API_KEY", "k"),
            ("OPENAI_API_KEY", "k"),
        ])
        .expect("all is well");
        assert_eq!(settings.base_url, "http://localhost:4000/v1");
        assert_eq!(settings.model.as_deref(), Some("openrouter/deepseek/deepseek-chat"));
        assert_eq!((key(&settings), settings.missing_key), (None, None));
        assert_eq!(settings.bare("openrouter/x"), "openrouter/x");
    }

    #[test]
    fn the_provider_before_a_name_is_no_part_of_it_where_the_server_is_known_by_it() {
        let settings = read(&[("TETHER_MODEL", "openrouter/a/b")]).expect("all is well");
        let bare = ["openrouter/a/b", "a/b", "openrouter/", "openrouters/x"].map(|name| settings.bare(name));
        assert_eq!(bare, ["a/b", "a/b", "openrouter/", "openrouters/x"]);
    }

    #[test]
    fn a_known_provider_without_its_key_is_noted() {
        let settings = read(&[]).expect("the usual model");
        assert_eq!(settings.model.as_deref(), Some("deepseek/deepseek-chat"));
        assert_eq!(settings.missing_key.map(|provider| provider.key), Some("OPENROUTER_API_KEY"));
        let settings = read(&[(OUR_KEY, "k")]).expect("the usual model");
        assert_eq!((key(&settings), settings.missing_key), (Some("k"), None));
        assert!(!format!("{settings:?}").contains("\"k\""), "a key must not be printed: {settings:?}");
    }

    #[test]
    fn what_cannot_be_right_is_said() {
        for (set, word) in [
            (&[("TETHER_MODEL", "gpt-5")][..], "TETHER_MODEL_BASE_URL"),
            (&[("TETHER_MODEL_BASE_URL", "localhost:4000")], "http://"),
            (&[("TETHER_MODEL_BASE_URL", "nonsense")], "base URL"),
            (&[("TETHER_MODEL_MAX_TOKENS", "many")], "whole number"),
            (&[(OUR_KEY, "sk-\u{e9}")], "key"),
        ] {
            let error = read(set).expect_err("it cannot be right");
            assert!(error.contains(word), "{error}");
        }
    }
}
