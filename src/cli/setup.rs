//! `tether setup`: agents and chat platforms on the daemon's machine, which may be another one.

use std::collections::BTreeMap;
use std::io::BufRead as _;

use inquire::{Password, Text};
use serde_json::json;

use super::args::{SetupAction, SetupAgentsArgs, SetupArgs, SetupBridgeArgs};
use super::init::{enough, yes_or_no};
use super::output::{Column, is_interactive, one_line, table, terminal_width};
use super::{Context, Failure};
use crate::api::{AgentDone, AgentSetup, BridgeVar, sign_in_files};
use crate::client::Client;

/// Does one or the other.
pub async fn run(args: SetupArgs, cx: Context) -> Result<(), Failure> {
    match args.action {
        SetupAction::Agents(args) => agents(args, cx).await,
        SetupAction::Bridge(args) => bridge(args, cx).await,
    }
}

async fn agents(args: SetupAgentsArgs, mut cx: Context) -> Result<(), Failure> {
    let client = cx.client()?;
    if let Some(name) = &args.agent {
        return one(&client, name, &args, &mut cx).await;
    }
    let all = client.agent_setups().await?;
    if cx.json && !args.all {
        return cx.out.json(&json!({ "agents": all }));
    }
    if !cx.json {
        for line in lines(&all, terminal_width()) {
            cx.out.line(line)?;
        }
    }
    let missing = all.iter().filter(|agent| !agent.installed && agent.install_requires_met);
    let mut done = Vec::new();
    for agent in missing.filter(|_| !args.check) {
        let wanted = match args.all {
            true => true,
            false if is_interactive() => {
                let question = format!("Install {} with `{}`?", agent.name, agent.install_command);
                let Some(wanted) = yes_or_no(&question, false)? else { return Ok(()) };
                wanted
            }
            false => false,
        };
        if wanted {
            let installed = client.install_agent(&agent.name).await?;
            if !cx.json {
                cx.out.line(one_line(&installed.message))?;
            }
            done.push(installed);
        }
    }
    if cx.json { cx.out.json(&json!({ "installed": done })) } else { Ok(()) }
}

/// Sees to one agent: there, signed in.
async fn one(client: &Client, name: &str, args: &SetupAgentsArgs, cx: &mut Context) -> Result<(), Failure> {
    if args.sign_in {
        let path = sign_in_files(name).ok_or_else(|| {
            Failure::text(format!("there is no agent {name} to set up (tether setup agents)"))
        })?;
        let home =
            cx.sources.home.clone().ok_or_else(|| Failure::text("there is no home folder: set HOME"))?;
        let text = std::fs::read_to_string(home.join(path)).map_err(|error| {
            Failure::text(format!(
                "{} cannot be read: {error}: sign in on this machine first",
                home.join(path).display()
            ))
        })?;
        let written = client.sign_agent_in(name, path, &text).await?;
        if !cx.json {
            cx.out.line(format!("Written: {}", written.files_written.join(", ")))?;
        }
    }
    let mut found = client.verify_agent(name).await?;
    if found.version.is_none() && !args.check && !args.sign_in {
        found = client.install_agent(name).await?;
        if found.ok {
            if !cx.json {
                cx.out.line(one_line(&found.message))?;
            }
            found = client.verify_agent(name).await?;
        }
    }
    told(found, cx)
}

fn told(found: AgentDone, cx: &mut Context) -> Result<(), Failure> {
    if cx.json {
        cx.out.json(&found)?;
    } else {
        cx.out.line(one_line(&found.message))?;
    }
    if found.ok { Ok(()) } else { Err(Failure::Told) }
}

fn lines(all: &[AgentSetup], width: usize) -> Vec<String> {
    let rest = width.saturating_sub(12 + 10 + 12 + 10 + 4).max(20);
    let columns = [
        Column("AGENT", 12),
        Column("INSTALLED", 10),
        Column("VERSION", 12),
        Column("SIGNED IN", 10),
        Column("TO DO", rest),
    ];
    let yes = |yes: bool| if yes { "yes" } else { "no" }.to_owned();
    let rows: Vec<Vec<String>> = all
        .iter()
        .map(|agent| {
            let to_do = match (agent.installed, agent.install_requires_met) {
                (false, true) => agent.install_command.clone(),
                (false, false) => format!("install {} first", agent.install_requires),
                (true, _) => agent.problem.clone().unwrap_or_default(),
            };
            let version = agent.version.clone().unwrap_or_default();
            vec![agent.name.clone(), yes(agent.installed), version, yes(agent.authenticated), to_do]
        })
        .collect();
    table(&columns, &rows)
}

async fn bridge(args: SetupBridgeArgs, mut cx: Context) -> Result<(), Failure> {
    let client = cx.client()?;
    let vars = client.bridge_vars(&args.name).await?;
    let mut env = given(&args.settings)?;
    if env.is_empty() {
        if !is_interactive() || cx.json {
            let names: Vec<&str> = vars.iter().map(|var| var.key.as_str()).collect();
            return Err(Failure::text(format!("give the settings with --set: {}", names.join(", "))));
        }
        let Some(answers) = asked(&vars)? else { return Ok(()) };
        env = answers;
    }
    let done = client.set_up_bridge(&args.name, &env).await?;
    if cx.json {
        return cx.out.json(&done);
    }
    Ok(cx.out.line(format!("{}: {}", done.bridge, one_line(&done.message)))?)
}

/// What was given on the command line; `-` is a line of standard input.
fn given(settings: &[String]) -> Result<BTreeMap<String, String>, Failure> {
    let mut env = BTreeMap::new();
    let mut input = std::io::stdin().lock();
    for setting in settings {
        let (key, value) =
            setting.split_once('=').ok_or_else(|| Failure::text(format!("{setting:?} is not KEY=VALUE")))?;
        let mut line = String::new();
        if value == "-" {
            input.read_line(&mut line)?;
        }
        let value = if value == "-" { line.trim() } else { value };
        env.insert(key.to_owned(), value.to_owned());
    }
    Ok(env)
}

/// Asks for all; what is set may be kept. `None` = the person had enough.
fn asked(vars: &[BridgeVar]) -> Result<Option<BTreeMap<String, String>>, Failure> {
    let mut env = BTreeMap::new();
    for var in vars {
        let kept = if var.set { " (empty: as it is)" } else { "" };
        let question = format!("{}: {}{kept}", var.key, one_line(&var.label));
        let answer = match var.secret {
            true => Password::new(&question).without_confirmation().prompt(),
            false => Text::new(&question).prompt(),
        };
        let Some(answer) = enough(answer)? else { return Ok(None) };
        if !answer.trim().is_empty() {
            env.insert(var.key.clone(), answer.trim().to_owned());
        }
    }
    Ok(Some(env))
}
