//! `tether demo-agent`: a scripted agent for a first look.

use super::Failure;
use super::args::DemoAgentArgs;
use crate::agents::acp;
use crate::agents::demo::{DemoAgent, Settings};

/// Serves until the input ends.
pub fn run(args: DemoAgentArgs) -> Result<(), Failure> {
    let settings = Settings::read(args.data_dir, |name| std::env::var(name).ok());
    Ok(acp::run(DemoAgent::new(settings))?)
}
