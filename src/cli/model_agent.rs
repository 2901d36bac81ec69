//! `tether model-agent`: our own agent over a model behind an API.

use super::Failure;
use super::args::ModelAgentArgs;
use crate::agents::acp;
use crate::agents::model::{ModelAgent, Settings, Wishes};

/// Serves until the input ends.
pub fn run(args: ModelAgentArgs) -> Result<(), Failure> {
    let wishes =
        Wishes { model: args.model, base_url: args.base_url, data_dir: args.data_dir, trusted: args.trusted };
    // Wrong settings are told to the client, who asked for the agent, and not to a log that nobody reads.
    let settings = Settings::read(wishes, |name| std::env::var(name).ok());
    Ok(acp::run(ModelAgent::new(settings))?)
}
