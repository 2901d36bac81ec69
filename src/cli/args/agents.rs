//! What may be typed to our own agents.

use std::path::PathBuf;

use clap::Args;

/// `tether model-agent`
#[derive(Debug, Args)]
#[command(
    long_about = "Be an agent over any server that speaks OpenAI's chat completions (LiteLLM, OpenRouter, DeepSeek, \
    Gemini, Ollama, vLLM, OpenAI and others). It speaks the Agent Client Protocol on standard input and output, so any \
    client of that protocol can run it; the daemon does for sessions with the adapter `model`.\n\n\
    The key comes by the environment only: TETHER_MODEL_API_KEY, or the variable of the provider itself \
    (OPENROUTER_API_KEY, OPENAI_API_KEY, ...), which is sent to that provider and nowhere else. Further variables: \
    TETHER_MODEL_MAX_TOKENS (most tokens in an answer), TETHER_MODEL_CONTEXT (tokens that the model can take), \
    TETHER_MODEL_MAX_RETRIES (5), TETHER_MODEL_TRUSTED=1 (the same as --trusted). TETHER_AGENT_LITELLM_MODEL and \
    TETHER_AGENT_LITELLM_MAX_TOKENS are read where ours are not set."
)]
pub struct ModelAgentArgs {
    /// The model (or `TETHER_MODEL`), by the name that its server gives it; without --base-url with its provider before it:
    /// openai/, openrouter/, deepseek/, gemini/, groq/, mistral/, together_ai/, xai/, ollama/
    #[arg(long, value_name = "MODEL")]
    pub model: Option<String>,
    /// Where the server is (or `TETHER_MODEL_BASE_URL`), up to and with its `/v1`
    #[arg(long, value_name = "URL")]
    pub base_url: Option<String>,
    /// Where conversations are kept (or `TETHER_MODEL_DATA_DIR`; `agents/model` in the data folder)
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// The directory's AGENTS.md and CLAUDE.md count
    #[arg(long)]
    pub trusted: bool,
}

/// `tether demo-agent`
#[derive(Debug, Args)]
#[command(
    long_about = "Be a scripted agent that needs no key and no network, for a look at the whole product: it says hello, \
    looks at the folder, asks before it writes a file and before it runs a command, and asks a question. It speaks the Agent \
    Client Protocol on standard input and output; the daemon runs it for sessions with the adapter `demo`. Prompts of a few \
    words are listened to: tour, write, ask, run, long, crash, fail, help.\n\n\
    TETHER_DEMO_PACE_MS is how long a word takes (25)."
)]
pub struct DemoAgentArgs {
    /// Where conversations, and what it writes, are kept (or `TETHER_DEMO_DATA_DIR`; `agents/demo` in the data folder)
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
}
