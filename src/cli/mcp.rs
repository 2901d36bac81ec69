//! `tether mcp`: the MCP server on standard input and output, and its entry in the settings of the programs that use it.

use std::collections::BTreeMap;
use std::path::Path;

use inquire::{Confirm, InquireError};
use serde_json::json;

use super::args::{McpAction, McpArgs, McpEntryArgs};
use super::output::{exact, is_interactive};
use super::{Context, Failure};
use crate::client::Client;
use crate::config::{self, Sources, servers};
use crate::logging;
use crate::mcp::install::{InstallError, Launch, Places, Plan};
use crate::mcp::{Server, serve_stdio};

/// Serves, or changes a program's settings.
pub async fn run(args: McpArgs, cx: Context) -> Result<(), Failure> {
    match args.action {
        None => serve(&cx.sources, cx.server.as_deref()).await,
        Some(McpAction::Install(args)) => change(&args, true, cx),
        Some(McpAction::Uninstall(args)) => change(&args, false, cx),
    }
}

/// The server for the client that started this program. Standard output is the protocol's.
pub(super) async fn serve(sources: &Sources, server: Option<&str>) -> Result<(), Failure> {
    logging::init_for_mcp(config::mcp_debug_io(sources)?);
    let target = servers::typed_target(sources, server)?;
    let client = Client::for_agents(target.connection, Some(&target.url))?;
    serve_stdio(Server::new(client)).await.map_err(|error| Failure::text(error.to_string()))
}

fn change(args: &McpEntryArgs, install: bool, mut cx: Context) -> Result<(), Failure> {
    let places = places(&cx.sources, args);
    let plan = match install {
        true => Plan::install(args.program, &places, &args.name, &launch(args)?),
        false => Plan::uninstall(args.program, &places, &args.name),
    }?;
    let (title, file) = (args.program.title(), plan.file.display().to_string());
    if plan.is_done() {
        let text = match install {
            true => format!("{title} has the server {} already: {file}", args.name),
            false => format!("{title} has no server {}: {file}", args.name),
        };
        return told(&mut cx, &plan, false, &text);
    }
    if !cx.json {
        cx.out.text(&exact(&plan.diff()))?;
    }
    if args.print {
        return told(&mut cx, &plan, false, "Nothing was changed.");
    }
    if !args.yes && !agreed(&cx)? {
        return told(&mut cx, &plan, false, "Nothing was changed.");
    }
    plan.apply()?;
    let name = &args.name;
    let text = match install {
        true => format!(
            "{title} now has the server {name}. {}\nTake it out again with: tether mcp uninstall {}{}",
            args.program.hint(),
            program_word(args),
            if args.project { " --project" } else { "" },
        ),
        false => format!("{title} no longer has the server {name}."),
    };
    told(&mut cx, &plan, true, &text)
}

fn program_word(args: &McpEntryArgs) -> String {
    use clap::ValueEnum as _;
    args.program.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

fn told(cx: &mut Context, plan: &Plan, changed: bool, text: &str) -> Result<(), Failure> {
    if cx.json {
        return cx
            .out
            .json(&json!({ "changed": changed, "file": plan.file, "diff": plan.diff(), "message": text }));
    }
    Ok(cx.out.line(text)?)
}

fn agreed(cx: &Context) -> Result<bool, Failure> {
    if cx.json || !is_interactive() {
        return Err(Failure::text(
            "nothing was changed: say --yes to make this change, or --print to see it only",
        ));
    }
    match Confirm::new("Make this change?").with_default(true).prompt() {
        Ok(yes) => Ok(yes),
        Err(InquireError::OperationCanceled | InquireError::OperationInterrupted) => Ok(false),
        Err(error) => Err(Failure::text(error.to_string())),
    }
}

fn places(sources: &Sources, args: &McpEntryArgs) -> Places {
    Places {
        environment: sources.environment.clone(),
        home: sources.home.clone(),
        project: args.project.then(|| sources.working_dir.clone()),
        is_mac: cfg!(target_os = "macos"),
    }
}

/// This very program, by its whole path: desktop applications do not search where a shell does. In a project's file,
/// which others share, by its name.
fn launch(args: &McpEntryArgs) -> Result<Launch, Failure> {
    let command = match args.project {
        true => "tether".to_owned(),
        false => utf8(&std::env::current_exe()?)?,
    };
    let mut env = BTreeMap::new();
    if let Some(url) = &args.url {
        let known = reqwest::Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
        if !known {
            return Err(Failure::text(format!(
                "--url is {url:?}: give the address of a daemon, http://... or https://..."
            )));
        }
        env.insert("TETHER_API_URL".to_owned(), url.clone());
    }
    Ok(Launch { command, args: vec!["mcp".to_owned()], env })
}

fn utf8(path: &Path) -> Result<String, Failure> {
    let name = || Failure::text(format!("the path of this program is no readable text: {}", path.display()));
    path.to_str().map(str::to_owned).ok_or_else(name)
}

impl From<InstallError> for Failure {
    fn from(error: InstallError) -> Self {
        Self::Text(error.to_string())
    }
}
