//! `tether completions`: what a shell needs to complete our commands.

use clap::CommandFactory as _;

use super::args::{Arguments, CompletionsArgs};
use super::{Context, Failure};

/// Prints the script.
pub fn run(args: &CompletionsArgs, mut cx: Context) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Arguments::command(), "tether", &mut script);
    Ok(cx.out.text(&String::from_utf8_lossy(&script))?)
}
