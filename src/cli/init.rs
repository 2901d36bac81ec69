//! `tether init`: a token, an address, and a look at the agents that are there.

use inquire::{Confirm, InquireError, Text};
use serde_json::json;
use tether_actors::agent::claude::discover;

use super::args::InitArgs;
use super::{Context, Failure, output};
use crate::config::sources::Sources;
use crate::config::{Settings, file, random_token, table};

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
    let agent = discover::find(settings.claude.program.as_deref());
    if cx.json {
        let claude = agent
            .as_ref()
            .ok()
            .map(|found| json!({ "path": found.path, "version": found.version.to_string() }));
        return cx.out.json(&json!({ "config_file": path, "token": token, "claude": claude }));
    }
    cx.out.line(format!("Stored in {}", path.display()))?;
    cx.out.line(format!("  Token:  {token}"))?;
    for line in about_agent(&agent, settings.claude.api_key.is_some()) {
        cx.out.line(line)?;
    }
    Ok(cx.out.line("\nNext: tether start")?)
}

/// What was found of Claude Code, and what to do about it.
fn about_agent(agent: &Result<discover::Found, discover::DiscoverError>, has_key: bool) -> Vec<String> {
    let found = match agent {
        Ok(found) => found,
        Err(error) => return vec![format!("  Agent:  none yet: {error}")],
    };
    let mut lines = vec![format!("  Agent:  Claude Code {} ({})", found.version, found.path.display())];
    lines.extend(found.notice.iter().map(|notice| format!("          {notice}")));
    let advice = found.sign_in.advice().filter(|_| !has_key);
    lines.extend(advice.map(|advice| format!("          {advice}")));
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
    enough(Confirm::new(question).with_default(true).prompt())
}

/// `None` = Ctrl-C, Esc or the end of the input.
fn enough<T>(answer: Result<T, InquireError>) -> Result<Option<T>, Failure> {
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
    fn what_is_missing_of_the_agent_is_told_with_what_to_do() {
        let none = Err(discover::DiscoverError::NotFound { looked_in: vec!["/usr/bin".into()] });
        let lines = about_agent(&none, false);
        assert!(lines[0].contains("/usr/bin") && lines[0].contains("install"), "{lines:?}");
        let found = |sign_in| {
            let version = "2.1.330".parse().expect("a version");
            Ok(discover::Found { path: "/usr/bin/claude".into(), version, notice: None, sign_in })
        };
        assert_eq!(about_agent(&found(discover::SignIn::NotFound), false).len(), 2, "it is told to sign in");
        for lines in [
            about_agent(&found(discover::SignIn::Account), false),
            about_agent(&found(discover::SignIn::NotFound), true),
        ] {
            assert_eq!(lines, ["  Agent:  Claude Code 2.1.330 (/usr/bin/claude)"]);
        }
    }
}
