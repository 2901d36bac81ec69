//! Which agents there are, from the configuration.

use std::path::{Path, PathBuf};

use tether_actors::agent::acp::gemini;
use tether_actors::agent::catalogue::{AgentEntry, Catalogue, Source};
use tether_actors::agent::{claude, codex, opencode, pi, protocols};

use crate::config::Settings;
use crate::config::agents::{AcpAgent, ModelSettings, ProgramSettings};

/// All agents, in the order in which they are shown.
pub fn catalogue(settings: &Settings) -> Catalogue {
    let (settings, data_dir) = (&settings.agents, settings.data_dir.as_path());
    let key = settings.claude.api_key.clone().map(|key| ("ANTHROPIC_API_KEY".to_owned(), key));
    let known = |adapter: &str, protocol, wanted, program: &ProgramSettings| AgentEntry {
        args: program.args.clone(),
        model: program.model.clone(),
        ..AgentEntry::known(adapter, protocol, wanted, program.program.clone())
    };
    let mut entries = vec![
        AgentEntry {
            runner_type: "claude-local".to_owned(),
            environment: key.into_iter().collect(),
            ..known("claude", protocols::CLAUDE, &claude::WANTED, &settings.claude)
        },
        known("codex", protocols::CODEX, &codex::WANTED, &settings.codex),
        known("opencode", protocols::OPENCODE, &opencode::WANTED, &settings.opencode),
        known("pi", protocols::PI, &pi::WANTED, &settings.pi),
        AgentEntry {
            args: gemini::ARGS.map(str::to_owned).to_vec(),
            ..known("gemini", protocols::ACP, &gemini::WANTED, &settings.gemini)
        },
        model(&settings.model, data_dir),
        AgentEntry {
            args: vec!["demo-agent".to_owned()],
            environment: vec![kept_in(data_dir)],
            ..of_ours("demo", "Demo (no key needed)")
        },
    ];
    entries.extend(settings.acp.iter().map(of_their_own));
    Catalogue::new(entries, &settings.default)
}

/// Our own agent over a model behind an API.
fn model(settings: &ModelSettings, data_dir: &Path) -> AgentEntry {
    let number = |number: Option<u64>| number.map(|number| number.to_string());
    let set = [
        ("TETHER_MODEL", settings.model.clone()),
        ("TETHER_MODEL_BASE_URL", settings.base_url.clone()),
        ("TETHER_MODEL_API_KEY", settings.api_key.clone()),
        ("TETHER_MODEL_MAX_TOKENS", number(settings.max_tokens)),
        ("TETHER_MODEL_CONTEXT", number(settings.context)),
        ("TETHER_MODEL_MAX_RETRIES", Some(settings.max_retries.to_string())),
    ];
    let environment = set
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)))
        .chain([kept_in(data_dir)])
        .collect::<Vec<_>>();
    let nothing = settings.model.is_none() && settings.base_url.is_none();
    AgentEntry {
        // Not `litellm`, which the peer calls it: it is another program.
        args: vec!["model-agent".to_owned()],
        model: settings.model.clone(),
        environment,
        missing: nothing.then(|| {
            "no model is chosen: set TETHER_MODEL (and TETHER_MODEL_BASE_URL, TETHER_MODEL_API_KEY where it needs them)"
                .to_owned()
        }),
        ..of_ours("model", "Any model (OpenAI-compatible API)")
    }
}

/// Where an agent of ours keeps its conversations: also when the data folder stands in a configuration file only.
fn kept_in(data_dir: &Path) -> (String, String) {
    ("TETHER_AGENT_DATA_DIR".to_owned(), data_dir.to_string_lossy().into_owned())
}

/// An agent that is a part of our own program.
fn of_ours(adapter: &str, title: &str) -> AgentEntry {
    AgentEntry {
        adapter: adapter.to_owned(),
        title: title.to_owned(),
        protocol: protocols::ACP,
        runner_type: adapter.to_owned(),
        source: Source::Own(std::env::current_exe().unwrap_or_else(|_| PathBuf::from("tether"))),
        args: Vec::new(),
        model: None,
        environment: Vec::new(),
        missing: None,
    }
}

/// An agent that only the person's configuration knows.
fn of_their_own(agent: &AcpAgent) -> AgentEntry {
    AgentEntry {
        source: Source::Named(agent.program.clone()),
        args: agent.args.clone(),
        ..of_ours(&agent.name, &agent.name)
    }
}
