//! Which agents there are, from the configuration.

use tether_actors::agent::catalogue::{AgentEntry, Catalogue};
use tether_actors::agent::{claude, codex, protocols};

use crate::config::AgentsSettings;
use crate::config::agents::ProgramSettings;

/// All agents, in the order in which they are shown.
pub fn catalogue(settings: &AgentsSettings) -> Catalogue {
    let AgentsSettings { claude: claude_settings, .. } = settings;
    let key = claude_settings.api_key.clone().map(|key| ("ANTHROPIC_API_KEY".to_owned(), key));
    let known = |adapter: &str, protocol, wanted, program: &ProgramSettings| AgentEntry {
        args: program.args.clone(),
        model: program.model.clone(),
        ..AgentEntry::known(adapter, protocol, wanted, program.program.clone())
    };
    let entries = vec![
        AgentEntry {
            runner_type: "claude-local".to_owned(),
            environment: key.into_iter().collect(),
            ..known("claude", protocols::CLAUDE, &claude::WANTED, claude_settings)
        },
        known("codex", protocols::CODEX, &codex::WANTED, &settings.codex),
    ];
    Catalogue::new(entries, &settings.default)
}
