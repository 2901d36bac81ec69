//! `tether new`: make a session, and start it if there is something to say.

use tether_actors::domain::session::Session;

use super::args::NewArgs;
use super::output::one_line;
use super::status::label;
use super::templates::{self, Found, Template};
use super::{Context, Failure, Out};
use crate::client::{ClientError, NewSession};

/// Makes it, starts it, prints it.
pub async fn run(args: NewArgs, mut cx: Context) -> Result<(), Failure> {
    check(&args)?;
    let found = args.template.as_deref().map(|typed| templates::find(typed, &cx.sources)).transpose()?;
    let client = cx.client()?;
    let approval_mode = match (args.approval_mode, &found) {
        (Some(mode), _) => Some(mode),
        (None, Some(found)) => templates::allowed_mode(found, &client, &cx).await?,
        (None, None) => None,
    };
    let template = found.as_ref().map(|found| found.template.clone()).unwrap_or_default();
    let new = NewSession { approval_mode, ..wanted(&args, template, &cx)? };
    let made = client.create(&new).await.map_err(with_hint)?;
    // A session is started also if nobody reads what is told about it (`tether new -m ... | head -1`).
    let told = if cx.json { Ok(()) } else { tell(&made, found.as_ref(), &new, &mut cx.out) };
    let Some(prompt) = args.prompt.filter(|prompt| !prompt.trim().is_empty()) else {
        return if cx.json { cx.out.json(&made) } else { told };
    };
    let started = client.start(made.id.as_str(), &prompt).await.map_err(with_hint)?;
    if cx.json {
        return cx.out.json(&started);
    }
    told?;
    Ok(cx.out.line("  Started with prompt.")?)
}

/// What was made.
fn tell(made: &Session, template: Option<&Found>, new: &NewSession, out: &mut Out) -> Result<(), Failure> {
    out.line(format!("Created session {}", made.id))?;
    out.line(format!("  Directory: {}", made.directory))?;
    if let Some(url) = &made.clone_url {
        out.line(format!("  Cloned:    {}", one_line(url)))?;
    }
    if let Some(branch) = made.working_branch.as_ref().or(made.branch.as_ref()) {
        out.line(format!("  Branch:    {}", one_line(branch)))?;
    }
    out.line(format!("  Adapter:   {}", made.adapter.as_deref().unwrap_or("default")))?;
    out.line(format!("  State:     {}", label(made.state)))?;
    if let Some(platform) = &made.platform {
        out.line(format!("  Platform:  {platform}"))?;
    }
    if let Some(template) = template {
        out.line(format!("  Template:  {}", one_line(&template.path.display().to_string())))?;
    }
    // A session that allows something without asking says so from the start.
    if let Some(mode) = made.approval_mode.filter(|mode| *mode > 0) {
        out.line(format!("  Approvals: {}", templates::mode_words(mode)))?;
    }
    if let Some(wanted) = new.auto_checkpoint {
        out.line(format!("  Saved:     {}", saving_words(wanted, made.directory_has_git)))?;
    }
    Ok(())
}

/// Flags that do not go together are told as the contract has it: with exit code 1, not as wrong usage.
fn check(args: &NewArgs) -> Result<(), Failure> {
    match (&args.clone, &args.directory, of_clone(args)) {
        (Some(_), Some(_), _) => {
            Err(Failure::text("--clone makes a directory of its own: give no other beside it"))
        }
        (Some(_), None, _) if args.worktree => {
            Err(Failure::text("--clone makes a work tree already: leave --worktree out"))
        }
        // A template may have what is to be cloned.
        (None, _, Some(flag)) if args.template.is_none() => {
            Err(Failure::text(format!("{flag} is about a clone: give --clone URL too")))
        }
        _ => Ok(()),
    }
}

/// The first flag that was given and only means something with a clone.
fn of_clone(args: &NewArgs) -> Option<&'static str> {
    let flags = [
        ("--branch", args.branch.is_some()),
        ("--shallow", args.shallow),
        ("--auto-branch", args.auto_branch),
        ("--full-clone", args.full_clone),
    ];
    flags.into_iter().find(|(_, given)| *given).map(|(flag, _)| flag)
}

/// What the flags say, and where they say nothing the template. The approval mode is not among it.
fn wanted(args: &NewArgs, template: Template, cx: &Context) -> Result<NewSession, Failure> {
    // A place that was typed takes the place of both that a template may have.
    let (clone, directory) = match (&args.clone, &args.directory) {
        (Some(url), _) => (Some(url.clone()), None),
        (None, Some(directory)) => (None, Some(directory.clone())),
        (None, None) if args.worktree => (None, template.directory),
        (None, None) => (template.clone_url, template.directory),
    };
    let directory = match (&clone, directory) {
        (Some(_), _) => None,
        (None, Some(directory)) => Some(cx.directory(&directory)?),
        (None, None) => match cx.target()?.named {
            Some((name, _)) => {
                return Err(Failure::text(format!(
                    "say which directory: the session is made on {name}, where the one that you stand in may not be"
                )));
            }
            None => Some(cx.directory(".")?),
        },
    };
    let is_clone = clone.is_some();
    if !is_clone && let Some(flag) = of_clone(args) {
        return Err(Failure::text(format!(
            "{flag} is about a clone, and the template has none: give --clone URL too"
        )));
    }
    Ok(NewSession {
        directory,
        session_name: args.name.clone().or(template.name),
        adapter: args.adapter.clone().or(template.adapter),
        approval_mode: None,
        platform: args.platform.clone().or(template.platform),
        clone_url: clone,
        clone_branch: args.branch.clone().or(template.branch).filter(|_| is_clone),
        shallow: is_clone && (args.shallow || template.shallow == Some(true)),
        auto_branch: is_clone && (args.auto_branch || template.auto_branch == Some(true)),
        force_clone: args.full_clone,
        worktree: args.worktree,
        auto_checkpoint: args.auto_checkpoint.or(template.auto_checkpoint),
    })
}

fn saving_words(wanted: bool, has_git: bool) -> &'static str {
    match (wanted, has_git) {
        (true, true) => "after each turn (see: tether git checkpoints)",
        (true, false) => "no: only what is the top of a git work tree can be saved",
        (false, _) => "no",
    }
}

fn with_hint(error: ClientError) -> Failure {
    let text = error.to_string();
    let lacks_agent = ["no default adapter", "not configured"].iter().any(|words| text.contains(words));
    if error.is_status(422) && lacks_agent {
        return Failure::text(format!("{text}\nGive one with -a, or set TETHER_DEFAULT_AGENT_ADAPTER"));
    }
    error.into()
}
