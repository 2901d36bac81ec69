//! Which agents there are, from the configuration.

use tether_actors::agent::acp::gemini;
use tether_actors::agent::catalogue::{AgentEntry, Catalogue, Source};
use tether_actors::agent::{claude, protocols};

use crate::config::AgentsSettings;
use crate::config::agents::{AcpAgent, ProgramSettings};

/// All agents, in the order in which they are shown.
pub fn catalogue(settings: &AgentsSettings) -> Catalogue {
    let AgentsSettings { claude, .. } = settings;
    let key = claude.api_key.clone().map(|key| ("ANTHROPIC_API_KEY".to_owned(), key));
    let known = |adapter: &str, protocol, wanted, program: &ProgramSettings| AgentEntry {
        args: program.args.clone(),
        model: program.model.clone(),
        ..AgentEntry::known(adapter, protocol, wanted, program.program.clone())
    };
    let mut entries = vec![AgentEntry {
        runner_type: "claude-local".to_owned(),
        environment: key.into_iter().collect(),
        ..known("claude", protocols::CLAUDE, &claude::WANTED, claude)
    }];
    entries.push(AgentEntry {
        args: gemini::ARGS.map(str::to_owned).to_vec(),
        ..known("gemini", protocols::ACP, &gemini::WANTED, &settings.gemini)
    });
    entries.extend(settings.acp.iter().map(of_their_own));
    Catalogue::new(entries, &settings.default)
}

/// An agent that only the person's configuration knows.
fn of_their_own(agent: &AcpAgent) -> AgentEntry {
    AgentEntry {
        adapter: agent.name.clone(),
        title: agent.name.clone(),
        protocol: protocols::ACP,
        runner_type: agent.name.clone(),
        source: Source::Named(agent.program.clone()),
        args: agent.args.clone(),
        model: None,
        environment: Vec::new(),
    }
}
