//! `tether attach`: go on with a conversation that was begun in an agent's own program.

use inquire::{InquireError, Select};
use tether_actors::domain::elsewhere::Runner;

use super::args::AttachArgs;
use super::output::{age, clip, is_interactive, one_line, short, terminal_width};
use super::status::label;
use super::{Context, Failure, resolve};
use crate::api::ExternalSession;
use crate::client::{AttachSession, Client};

/// As many as the API gives at once.
const MOST: usize = 200;

/// Finds out which one is meant, and attaches it.
pub async fn run(args: AttachArgs, mut cx: Context) -> Result<(), Failure> {
    let client = cx.client()?;
    let Some(wanted) = wanted(&args, &client, &cx).await? else { return Ok(()) };
    let session = client.attach(&wanted).await.map_err(|error| match &args.session {
        Some(typed) if error.is_status(404) => {
            Failure::text(format!("No external session matching '{typed}'"))
        }
        _ => error.into(),
    })?;
    if cx.json {
        return cx.out.json(&session);
    }
    cx.out.line(format!("Attached session {}", session.id))?;
    cx.out.line(format!("  Name:      {}", one_line(session.name.as_deref().unwrap_or_default())))?;
    cx.out.line(format!("  State:     {}", label(session.state)))?;
    cx.out.line(format!("  Directory: {}", session.directory))?;
    if let Some(platform) = &session.platform {
        cx.out.line(format!("  Platform:  {platform}"))?;
    }
    Ok(())
}

/// `None`: the person chose none.
async fn wanted(args: &AttachArgs, client: &Client, cx: &Context) -> Result<Option<AttachSession>, Failure> {
    let runner = args.runner_type.as_deref().map(runner).transpose()?;
    let found = match &args.session {
        Some(typed) => {
            let all = client.external_sessions(runner, None, MOST).await?;
            resolve::external(typed, all)?
        }
        None if is_interactive() && !cx.json => match choose(args, client, runner, cx).await? {
            Some(chosen) => Some(chosen),
            None => return Ok(None),
        },
        None => {
            return Err(Failure::text("say which session: `tether list --external` shows their ids"));
        }
    };
    let directory = match (&args.directory, &found) {
        (Some(directory), _) => cx.directory(directory)?,
        (None, Some(found)) => found.directory.clone(),
        (None, None) => cx.directory(".")?,
    };
    let typed = args.session.clone().unwrap_or_default();
    Ok(Some(AttachSession {
        external_id: found.as_ref().map_or(typed, |found| found.id.clone()),
        runner_type: found.map(|found| found.runner_type).or(runner).unwrap_or(Runner::ClaudeCode),
        directory,
        platform: args.platform.clone(),
        take_over: args.take_over,
    }))
}

/// Lets a person choose among those of the directory, or among all where it has none.
async fn choose(
    args: &AttachArgs,
    client: &Client,
    runner: Option<Runner>,
    cx: &Context,
) -> Result<Option<ExternalSession>, Failure> {
    let here = cx.directory(args.directory.as_deref().unwrap_or("."))?;
    let mut found = client.external_sessions(runner, Some(&here), MOST).await?;
    if found.is_empty() && args.directory.is_none() {
        found = client.external_sessions(runner, None, MOST).await?;
    }
    if found.is_empty() {
        return Err(Failure::text("No external sessions found."));
    }
    let now = tether_actors::domain::time::Stamp::now();
    let width = terminal_width().saturating_sub(4);
    let rows: Vec<String> = found
        .iter()
        .map(|one| row(one, one.directory != here, now.seconds_since(one.last_activity), width))
        .collect();
    match Select::new("Which session?", rows).with_page_size(15).raw_prompt() {
        Ok(chosen) => Ok(found.into_iter().nth(chosen.index)),
        // Ctrl-C or Esc.
        Err(InquireError::OperationCanceled | InquireError::OperationInterrupted) => Ok(None),
        Err(error) => Err(Failure::text(error.to_string())),
    }
}

fn row(one: &ExternalSession, with_directory: bool, seconds: i64, width: usize) -> String {
    let words = one.title.as_deref().or(one.first_prompt.as_deref()).unwrap_or_default();
    let open = if one.is_running { ", open now" } else { "" };
    let place = if with_directory { format!(" in {}", one.directory) } else { String::new() };
    let title = one.runner_type.title();
    let row = format!("{}  {words} ({title}, {} ago{open}){place}", short(&one.id, 8), age(seconds));
    clip(&one_line(&row), width)
}

/// The program that a word names.
pub fn runner(word: &str) -> Result<Runner, Failure> {
    Runner::parse(word).ok_or_else(|| {
        let known = Runner::ALL.map(Runner::as_str).join(", ");
        Failure::text(format!("{word:?} is none of {known}"))
    })
}

#[cfg(test)]
pub mod tests {
    use serde_json::json;

    use super::*;

    /// A conversation as the API gives it.
    pub fn external(id: &str, runner: &str) -> ExternalSession {
        serde_json::from_value(json!({
            "id": id, "runner_type": runner, "directory": "/p", "first_prompt": "fix\u{1b}[2J the build",
            "last_prompt": null, "last_activity": "2026-01-01T00:00:00Z", "message_count": 3, "is_running": true,
        }))
        .expect("a conversation")
    }

    #[test]
    fn a_row_says_what_it_is_about_and_cannot_steer_the_terminal() {
        let one = external("0198c0de-0000", "claude_code");
        assert_eq!(row(&one, false, 120, 100), "0198c0de fix the build (Claude Code, 2m ago, open now)");
        assert_eq!(row(&one, true, 120, 100), "0198c0de fix the build (Claude Code, 2m ago, open now) in /p");
        assert_eq!(row(&one, true, 120, 20).chars().count(), 20);
    }

    #[test]
    fn short_names_of_programs_are_known() {
        assert_eq!(runner("cc").ok(), Some(Runner::ClaudeCode));
        assert!(matches!(runner("vim"), Err(Failure::Text(text)) if text.contains("opencode")));
    }
}
