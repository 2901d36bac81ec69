//! Providers that are known by name: where they are, and which variable holds their key.

/// A provider with a fixed place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Provider {
    /// What stands before the `/` of a model's name, as LiteLLM has it (`openrouter/deepseek/deepseek-chat`).
    pub prefix: &'static str,
    /// For people.
    pub name: &'static str,
    /// The base of its OpenAI-compatible API.
    pub base_url: &'static str,
    /// The environment variable of its key; empty = it asks for none.
    pub key: &'static str,
}

const fn provider(
    prefix: &'static str,
    name: &'static str,
    base_url: &'static str,
    key: &'static str,
) -> Provider {
    Provider { prefix, name, base_url, key }
}

/// All of them.
pub const PROVIDERS: &[Provider] = &[
    provider("openai", "OpenAI", "https://api.openai.com/v1", "OPENAI_API_KEY"),
    provider("openrouter", "OpenRouter", "https://openrouter.ai/api/v1", "OPENROUTER_API_KEY"),
    provider("deepseek", "DeepSeek", "https://api.deepseek.com/v1", "DEEPSEEK_API_KEY"),
    provider("gemini", "Gemini", "https://generativelanguage.googleapis.com/v1beta/openai", "GEMINI_API_KEY"),
    provider("groq", "Groq", "https://api.groq.com/openai/v1", "GROQ_API_KEY"),
    provider("mistral", "Mistral", "https://api.mistral.ai/v1", "MISTRAL_API_KEY"),
    provider("together_ai", "Together", "https://api.together.xyz/v1", "TOGETHERAI_API_KEY"),
    provider("xai", "xAI", "https://api.x.ai/v1", "XAI_API_KEY"),
    provider("ollama", "Ollama", "http://127.0.0.1:11434/v1", ""),
    provider("ollama_chat", "Ollama", "http://127.0.0.1:11434/v1", ""),
];

/// The provider that a model's name begins with, and the name without it.
pub fn of_model(model: &str) -> Option<(&'static Provider, &str)> {
    let (prefix, rest) = model.split_once('/')?;
    let known = PROVIDERS.iter().find(|provider| provider.prefix == prefix)?;
    (!rest.is_empty()).then_some((known, rest))
}

/// The provider that a base URL belongs to: its key may be sent there and nowhere else.
pub fn of_url(url: &str) -> Option<&'static Provider> {
    let asked = reqwest::Url::parse(url).ok()?;
    PROVIDERS.iter().find(|provider| {
        reqwest::Url::parse(provider.base_url).is_ok_and(|known| known.origin() == asked.origin())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_prefix_names_the_provider_and_an_unknown_one_is_part_of_the_name() {
        let (known, model) = of_model("openrouter/deepseek/deepseek-chat").expect("it is known");
        assert_eq!((known.prefix, model), ("openrouter", "deepseek/deepseek-chat"));
        for model in ["gpt-5", "meta-llama/Llama-3", "openai/", "/x", ""] {
            assert_eq!(of_model(model), None, "{model}");
        }
    }

    #[test]
    fn a_key_belongs_to_its_own_host_only() {
        assert_eq!(of_url("https://openrouter.ai/api/v1").map(|known| known.key), Some("OPENROUTER_API_KEY"));
        for url in ["https://openrouter.ai.evil.example/api/v1", "http://openrouter.ai/api/v1", "nonsense"] {
            assert_eq!(of_url(url), None, "{url}");
        }
    }

    #[test]
    fn every_place_is_one() {
        for provider in PROVIDERS {
            assert!(!provider.base_url.ends_with('/'), "{provider:?}");
            assert!(of_url(provider.base_url).is_some(), "{provider:?}");
        }
    }
}
