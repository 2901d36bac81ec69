//! The settings of the agents.

use std::path::PathBuf;

use super::{Reader, Wrong};

/// Every agent's settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentsSettings {
    /// The agent of a session that names none, in small letters.
    pub default: String,
    /// Claude Code.
    pub claude: ProgramSettings,
    /// Codex CLI.
    pub codex: ProgramSettings,
    /// OpenCode.
    pub opencode: ProgramSettings,
    /// Pi.
    pub pi: ProgramSettings,
    /// Gemini CLI.
    pub gemini: ProgramSettings,
    /// Agents of the person's own choice that speak the Agent Client Protocol.
    pub acp: Vec<AcpAgent>,
    /// Our own agent over a model behind an API.
    pub model: ModelSettings,
}

/// How one agent program is run.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ProgramSettings {
    /// The program, if it is not to be searched for.
    pub program: Option<PathBuf>,
    /// Further arguments.
    pub args: Vec<String>,
    /// Model; `None` = its own choice.
    pub model: Option<String>,
    /// The provider's key, for its environment.
    pub api_key: Option<String>,
}

/// An agent that only the configuration knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcpAgent {
    /// Its name.
    pub name: String,
    /// Its program: a path, or a name in `PATH`.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<String>,
}

/// Where a model is.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ModelSettings {
    /// Its name.
    pub model: Option<String>,
    /// The address of the API.
    pub base_url: Option<String>,
    /// The key for it.
    pub api_key: Option<String>,
    /// Most tokens in an answer; `None` = the server's own limit.
    pub max_tokens: Option<u64>,
    /// How many tokens it can take; `None` = as the server says.
    pub context: Option<u64>,
    /// How often a failed request is tried again.
    pub max_retries: u32,
}

// By hand, since a key must not be printed.
impl std::fmt::Debug for ProgramSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ProgramSettings")
            .field("program", &self.program)
            .field("args", &self.args)
            .field("model", &self.model)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for ModelSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ModelSettings")
            .field("model", &self.model)
            .field("base_url", &self.base_url)
            .finish_non_exhaustive()
    }
}

impl AgentsSettings {
    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        let mut program = |program, args: Option<&'static str>, model| ProgramSettings {
            program: reader.program(program),
            args: args
                .map(|name| shell_words::split(&reader.text(name)).unwrap_or_default())
                .unwrap_or_default(),
            model: reader.optional(model),
            api_key: None,
        };
        let claude = program("TETHER_CLAUDE_BIN", Some("TETHER_CLAUDE_ARGS"), "TETHER_AGENT_CLAUDE_MODEL");
        let codex = program("TETHER_CODEX_BIN", Some("TETHER_CODEX_ARGS"), "TETHER_CODEX_MODEL");
        let opencode = program("TETHER_OPENCODE_BIN", None, "TETHER_OPENCODE_MODEL");
        let pi = program("TETHER_PI_BIN", Some("TETHER_PI_ARGS"), "TETHER_PI_MODEL");
        let gemini = program("TETHER_GEMINI_BIN", None, "TETHER_GEMINI_MODEL");
        let acp = acp_agents(&reader.text("TETHER_ACP_AGENTS")).unwrap_or_default();
        Self {
            default: default(reader, &acp),
            claude: ProgramSettings { api_key: reader.optional("ANTHROPIC_API_KEY"), ..claude },
            codex,
            opencode,
            pi,
            gemini,
            acp,
            model: ModelSettings {
                model: reader.optional("TETHER_MODEL"),
                base_url: reader.optional("TETHER_MODEL_BASE_URL"),
                api_key: reader.optional("TETHER_MODEL_API_KEY"),
                max_tokens: reader.limit("TETHER_MODEL_MAX_TOKENS"),
                context: reader.limit("TETHER_MODEL_CONTEXT"),
                max_retries: reader.number("TETHER_MODEL_MAX_RETRIES"),
            },
        }
    }
}

/// The agent of sessions that name none; a name that means nothing is wrong.
fn default(reader: &mut Reader<'_>, acp: &[AcpAgent]) -> String {
    const NAME: &str = "TETHER_DEFAULT_AGENT_ADAPTER";
    let word = reader.word(NAME);
    let own = acp.iter().map(|agent| agent.name.as_str());
    let known: Vec<&str> = BUILT_IN.into_iter().chain(own).collect();
    if !known.contains(&word.as_str())
        && let Some(found) = reader.found(NAME)
    {
        reader.wrong.push(Wrong {
            name: found.name,
            shown: format!("{:?}", found.value),
            origin: found.origin,
            allowed: format!("must be one of {}", known.join(", ")),
        });
    }
    word
}

/// Names that mean an agent already, ours and those that the peer gave them.
const BUILT_IN: [&str; 14] = [
    "claude",
    "claude-local",
    "claude_api",
    "claude_auto",
    "claude_subprocess",
    "codex",
    "codex_sdk_sidecar",
    "demo",
    "gemini",
    "litellm",
    "model",
    "opencode",
    "pi",
    "pi_rpc",
];

/// Reads `name=program arguments; name=program arguments`; the error says what is allowed.
pub(super) fn acp_agents(text: &str) -> Result<Vec<AcpAgent>, String> {
    let mut agents: Vec<AcpAgent> = Vec::new();
    for part in text.split(';').map(str::trim).filter(|part| !part.is_empty()) {
        let form = || "must be name=program arguments, with semicolons between the agents".to_owned();
        let (name, command) = part.split_once('=').ok_or_else(form)?;
        let name = name.trim().to_ascii_lowercase();
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if name.is_empty() || name.len() > 40 || !name.bytes().all(plain) {
            return Err(format!("must have names of letters, digits, - and _ (this is none: {name:?})"));
        }
        if BUILT_IN.contains(&name.as_str()) || agents.iter().any(|agent| agent.name == name) {
            return Err(format!("must give each agent a name that is not taken ({name} is)"));
        }
        let mut words = shell_words::split(command).map_err(|_| form())?.into_iter();
        let program = words.next().filter(|word| !word.is_empty()).ok_or_else(form)?;
        agents.push(AcpAgent { name, program: program.into(), args: words.collect() });
    }
    Ok(agents)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agents_of_ones_own_are_a_name_a_program_and_its_arguments() {
        let agents = acp_agents("goose=/opt/goose acp --x 'a b'; Qwen = qwen --acp;").expect("they are good");
        let goose = AcpAgent {
            name: "goose".into(),
            program: "/opt/goose".into(),
            args: vec!["acp".into(), "--x".into(), "a b".into()],
        };
        assert_eq!(agents[0], goose);
        assert_eq!((agents[1].name.as_str(), agents.len()), ("qwen", 2));
    }

    #[test]
    fn what_is_no_agent_is_told() {
        for (wrong, told) in [
            ("goose", "name=program"),
            ("goose=", "name=program"),
            ("goose='x", "name=program"),
            ("a b=x", "letters"),
            ("claude=x", "taken"),
            ("a=x;a=y", "taken"),
        ] {
            let error = acp_agents(wrong).expect_err(wrong);
            assert!(error.contains(told), "{wrong}: {error}");
        }
    }
}
