//! The command line: one file per command. `contract`: exit codes, id prefixes and output shapes of the
//! peer's `tether`, so that scripts written for it go on working.

mod agents;
mod approvals;
mod approve;
mod args;
mod ask;
mod attach;
mod backup;
mod bind;
mod completions;
mod context;
mod data;
mod delete;
mod demo_agent;
mod deny;
mod detach;
mod doctor;
mod export;
mod failure;
mod git;
mod git_args;
mod grants;
mod init;
mod init_chat;
mod input;
mod interrupt;
mod list;
mod logs;
mod man;
mod mcp;
mod migrate;
mod model_agent;
mod new;
mod open;
mod output;
mod pair;
mod people;
mod remote;
mod render;
mod resolve;
mod restore;
mod server;
mod service;
mod setup;
mod start;
mod status;
mod stop;
mod sync;
mod tail;
mod templates;
mod trust;
mod verify;
mod watch;
mod workspaces;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _};

use crate::client::Client;
use crate::config::Sources;
use crate::config::servers::{self, Target};

pub use args::{Arguments, Command};
pub use failure::Failure;
use output::Out;

/// What every command is given.
struct Context {
    /// Where settings come from, with the flags about the daemon already in.
    sources: Sources,
    /// The server that `-S` names.
    server: Option<String>,
    /// Whether to print JSON.
    json: bool,
    /// Where to print.
    out: Out,
}

impl Context {
    /// The daemon that is meant.
    fn target(&self) -> Result<Target, Failure> {
        Ok(servers::target(&self.sources, self.server.as_deref())?)
    }

    /// A client of the daemon that is meant.
    fn client(&self) -> Result<Client, Failure> {
        Ok(Client::of(self.target()?)?)
    }

    /// The first line of what `status` and `list` say, where nobody typed which daemon is meant.
    fn remind(&mut self) -> Result<(), Failure> {
        match self.target()?.reminder() {
            Some(name) if !self.json => Ok(self.out.line(format!("→ {name}"))?),
            _ => Ok(()),
        }
    }

    /// A directory as the daemon is told it. What is on a named server cannot be looked at from here.
    fn directory(&self, typed: &str) -> Result<String, Failure> {
        let is_whole = typed.starts_with('/') || typed == "~" || typed.starts_with("~/");
        match self.target()?.named {
            Some((name, _)) if !is_whole => Err(Failure::text(format!(
                "{typed:?} is a directory of this machine, and the command goes to {name}: give the whole path there, \
                 /... or ~/..."
            ))),
            Some(_) => Ok(typed.to_owned()),
            None if typed.starts_with('~') && is_whole => Ok(typed.to_owned()),
            None => list::absolute(typed),
        }
    }
}

/// Runs the program: parses the process's arguments, does what they say, and answers its exit code.
///
/// 0 = done (or the reader of our output went away), 1 = any error, 2 = wrong usage.
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version are no errors; whether they reach anybody is not our concern.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    let Some(command) = arguments.command else {
        let _ = Arguments::command().print_help();
        return ExitCode::from(1);
    };
    let sources = Sources::of_this_process()
        .with_flag("TETHER_AGENT_HOST", "--host", arguments.host)
        .with_flag("TETHER_AGENT_PORT", "--port", arguments.port)
        .with_flag("TETHER_AGENT_TOKEN", "--token", arguments.token);
    if let (Some(name), Some(what)) = (&arguments.server, without_server(&command)) {
        return Failure::text(format!("{what}: --server {name} has no meaning here")).report();
    }
    let context = Context { sources, server: arguments.server, json: arguments.json, out: Out::standard() };
    match run(command, context) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

/// Why a command has nothing to do with a named server; `None` = it has.
fn without_server(command: &Command) -> Option<&'static str> {
    match command {
        Command::Start(_) | Command::Init(_) | Command::Service(_) | Command::Doctor => {
            Some("this command is about this machine")
        }
        Command::Server(_) => Some("this command takes the server as its HOST"),
        Command::Templates(_)
        | Command::Completions(_)
        | Command::Man(_)
        | Command::ModelAgent(_)
        | Command::DemoAgent(_) => Some("this command asks no daemon"),
        _ => None,
    }
}

/// Runs the program `tether-mcp`, which takes no arguments but asks for help and version.
pub fn mcp_main() -> ExitCode {
    let words = clap::Command::new("tether-mcp").version(env!("CARGO_PKG_VERSION")).about(
        "The MCP server of Tether on standard input and output, the same as `tether mcp`; started by an MCP client",
    );
    if let Err(error) = words.try_get_matches() {
        let _ = error.print();
        return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
    }
    let served = in_runtime(async { mcp::serve(&Sources::of_this_process(), None).await });
    served.map_or_else(Failure::report, |()| ExitCode::SUCCESS)
}

fn run(command: Command, cx: Context) -> Result<(), Failure> {
    match command {
        // Only the daemon needs actors and their threads.
        Command::Start(args) => start::run(args, cx),
        Command::Completions(args) => completions::run(&args, cx),
        Command::Man(args) => man::run(&args, cx),
        Command::Context(args) => context::run(&args, cx),
        Command::Templates(args) => templates::run(&args, cx),
        Command::Init(args) => init::run(&args, cx),
        Command::Service(args) => in_runtime(service::run(&args, cx)),
        Command::Restore(args) => restore::run(args, cx),
        // These open the log where no daemon does.
        Command::Backup(args) => actix::System::new().block_on(backup::run(args, cx)),
        Command::Migrate(args) => actix::System::new().block_on(migrate::run(args, cx)),
        // Programs of their own, which talk to whoever started them.
        Command::ModelAgent(args) => model_agent::run(args),
        Command::DemoAgent(args) => demo_agent::run(args),
        command => in_runtime(talk(command, cx)),
    }
}

fn in_runtime(work: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let done = runtime.block_on(work);
    // A thread may still wait for a line from the terminal; nobody needs it any more.
    runtime.shutdown_background();
    done
}

/// The commands that talk to a daemon.
async fn talk(command: Command, cx: Context) -> Result<(), Failure> {
    match command {
        Command::Stop(args) => stop::run(&args, cx).await,
        Command::Status => status::run(cx).await,
        Command::Open => open::run(cx).await,
        Command::Pair(args) => pair::run(&args, cx).await,
        Command::People(args) => people::run(&args, cx).await,
        Command::List(args) => list::run(&args, cx).await,
        Command::Attach(args) => attach::run(args, cx).await,
        Command::Bind(args) => bind::run(args, cx).await,
        Command::Detach(args) => detach::run(&args, cx).await,
        Command::Sync(args) => sync::run(&args, cx).await,
        Command::New(args) => new::run(args, cx).await,
        Command::Input(args) => input::run(&args, cx).await,
        Command::Interrupt(args) => interrupt::run(&args, cx).await,
        Command::Watch(args) => watch::run(&args, cx).await,
        Command::Approvals(args) => approvals::run(&args, cx).await,
        Command::Approve(args) => approve::run(args, cx).await,
        Command::Deny(args) => deny::run(&args, cx).await,
        Command::Grants(args) => grants::run(&args, cx).await,
        Command::Delete(args) => delete::run(&args, cx).await,
        Command::Logs(args) => logs::run(&args, cx).await,
        Command::Agents => agents::run(cx).await,
        Command::Trust(args) => trust::run(&args, cx).await,
        Command::Git(args) => git::run(args, cx).await,
        Command::Workspaces(args) => workspaces::run(&args, cx).await,
        Command::Server(args) => server::run(&args, cx).await,
        Command::Export(args) => export::run(&args, cx).await,
        Command::Mcp(args) => mcp::run(args, cx).await,
        Command::Setup(args) => setup::run(args, cx).await,
        Command::Verify => verify::run(cx).await,
        Command::Doctor => doctor::run(cx).await,
        Command::Start(_)
        | Command::Completions(_)
        | Command::Man(_)
        | Command::Context(_)
        | Command::Templates(_)
        | Command::Init(_)
        | Command::Service(_)
        | Command::Migrate(_)
        | Command::Backup(_)
        | Command::Restore(_)
        | Command::ModelAgent(_)
        | Command::DemoAgent(_) => Ok(()),
    }
}
