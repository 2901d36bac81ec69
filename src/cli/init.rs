//! `tether init`: a token, an address, and a look at the agents that are there.

use inquire::{Confirm, InquireError, Text};
use serde_json::json;

use super::args::InitArgs;
use super::{Context, Failure, output};
use crate::api::AgentView;
use crate::config::sources::Sources;
use crate::config::{Settings, file, random_token, table};
use crate::daemon;

/// What is asked for, beside the token.
const ASKED: [(&str, &str); 2] =
    [("TETHER_AGENT_HOST", "Address to listen on"), ("TETHER_AGENT_PORT", "Port")];

/// Asks (or takes what is there), stores, and says what to do next.
pub fn run(args: &InitArgs, mut cx: Context) -> Result<(), Failure> {
    let settings = Settings::read(&cx.sources)?;
    let Some(path) = settings.config_file.clone() else {
        return Err(Failure::text("there is no home folder: set HOME or XDG_CONFIG_HOME"));
    };
    let ask = output::is_interactive() && !args.yes && !cx.json;
    let stored = |name: &str| {
        cx.sources.personal.as_ref().and_then(|file| file.get(name)).map(|entry| entry.value.clone())
    };
    let old_token = stored("TETHER_AGENT_TOKEN").filter(|token| !token.trim().is_empty());
    let answers = if ask { questions(&cx.sources, &settings)? } else { Some(Vec::new()) };
    // Ctrl-C or Esc: nothing was written, and that is what was wanted.
    let Some(answers) = answers else { return Ok(()) };
    let keep = match &old_token {
        Some(_) if ask => confirm("There is a token in config.env. Keep it?")?,
        Some(_) => Some(true),
        None => Some(false),
    };
    let Some(keep) = keep else { return Ok(()) };
    let token = old_token.filter(|_| keep).unwrap_or_else(random_token);
    let store = |name: &str, value: &str| {
        file::store(&path, name, value).map_err(|error| Failure::text(error.to_string()))
    };
    store("TETHER_AGENT_TOKEN", &token)?;
    for (name, value) in &answers {
        store(name, value)?;
    }
    if ask {
        let Some(chat) = super::init_chat::questions(&settings.bridges, &mut cx)? else { return Ok(()) };
        for (name, value) in &chat {
            store(name, value)?;
        }
    }
    let reports = daemon::catalogue(&settings).report();
    let agents: Vec<AgentView> = reports.iter().map(AgentView::from).collect();
    if cx.json {
        return cx.out.json(&json!({ "config_file": path, "token": token, "agents": agents }));
    }
    cx.out.line(format!("Stored in {}", path.display()))?;
    cx.out.line(format!("  Token:  {token}"))?;
    for line in about_agents(&agents) {
        cx.out.line(line)?;
    }
    Ok(cx.out.line("\nNext: tether start")?)
}

/// The agents that are there, and what to do where none can be used.
fn about_agents(agents: &[AgentView]) -> Vec<String> {
    let there = agents.iter().filter(|agent| agent.program.is_some());
    let mut lines: Vec<String> = there
        .flat_map(|agent| {
            let version = agent.version.as_ref().map(|version| format!(" {version}")).unwrap_or_default();
            let program = agent.program.as_deref().unwrap_or_default();
            let first = format!("  Agent:  {}{version} ({program})", agent.title);
            let more =
                [&agent.problem, &agent.notice].into_iter().flatten().map(|text| format!("          {text}"));
            std::iter::once(first).chain(more).collect::<Vec<_>>()
        })
        .collect();
    if let Some(missing) = agents.iter().find(|agent| agent.is_default && agent.program.is_none()) {
        let problem = missing.problem.as_deref().unwrap_or("it was not found");
        lines.push(format!("  The default agent, {}, is not there: {problem}", missing.title));
        lines.push("  (another one: set TETHER_DEFAULT_AGENT_ADAPTER; tether agents shows all)".to_owned());
    }
    lines
}

/// The values that differ from what holds already; `None` = the person had enough.
fn questions(sources: &Sources, settings: &Settings) -> Result<Option<Vec<(&'static str, String)>>, Failure> {
    let now = [settings.connection.host.clone(), settings.connection.port.to_string()];
    let mut answers = Vec::new();
    for ((name, question), now) in ASKED.into_iter().zip(now) {
        let Some(answer) = enough(Text::new(question).with_default(&now).prompt())? else { return Ok(None) };
        if answer.trim() == now {
            continue;
        }
        let Some(setting) = table::find(name) else { continue };
        let typed = sources.clone().with_flag(name, "your answer", Some(answer.trim().to_owned()));
        typed.checked(setting).map_err(|wrong| Failure::text(wrong.to_string()))?;
        answers.push((name, answer.trim().to_owned()));
    }
    Ok(Some(answers))
}

fn confirm(question: &str) -> Result<Option<bool>, Failure> {
    yes_or_no(question, true)
}

/// `None` = they had enough.
pub(super) fn yes_or_no(question: &str, default: bool) -> Result<Option<bool>, Failure> {
    enough(Confirm::new(question).with_default(default).prompt())
}

/// `None` = Ctrl-C, Esc or the end of the input.
pub(super) fn enough<T>(answer: Result<T, InquireError>) -> Result<Option<T>, Failure> {
    match answer {
        Ok(value) => Ok(Some(value)),
        Err(InquireError::OperationCanceled | InquireError::OperationInterrupted) => Ok(None),
        Err(InquireError::IO(error)) if error.kind() == std::io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(Failure::text(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_of_the_agents_is_told_with_what_to_do() {
        let agent = |program: Option<&str>, problem: Option<&str>| AgentView {
            adapter: "claude".into(),
            title: "Claude Code".into(),
            protocol: "claude".into(),
            ready: problem.is_none(),
            problem: problem.map(str::to_owned),
            notice: None,
            version: Some("2.1.330".into()),
            program: program.map(str::to_owned),
            model: None,
            is_default: true,
        };
        let lines = about_agents(&[agent(None, Some("install it"))]);
        assert!(
            lines[0].contains("install it") && lines[1].contains("TETHER_DEFAULT_AGENT_ADAPTER"),
            "{lines:?}"
        );
        let lines = about_agents(&[agent(Some("/usr/bin/claude"), Some("sign in"))]);
        assert_eq!(lines, ["  Agent:  Claude Code 2.1.330 (/usr/bin/claude)", "          sign in"]);
        assert_eq!(about_agents(&[agent(Some("/usr/bin/claude"), None)]).len(), 1);
    }
}
