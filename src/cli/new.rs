//! `tether new`: make a session, and start it if there is something to say.

use super::args::NewArgs;
use super::list::absolute;
use super::output::one_line;
use super::status::label;
use super::{Context, Failure};
use crate::client::{ClientError, NewSession};

/// Makes it, starts it, prints it.
pub async fn run(args: NewArgs, mut cx: Context) -> Result<(), Failure> {
    let client = cx.client()?;
    let directory = match &args.clone {
        Some(_) => None,
        None => Some(absolute(args.directory.as_deref().unwrap_or("."))?),
    };
    let new = NewSession {
        directory,
        session_name: args.name,
        adapter: args.adapter,
        platform: args.platform,
        clone_url: args.clone,
        clone_branch: args.branch,
        shallow: args.shallow,
        auto_branch: args.auto_branch,
        force_clone: args.full_clone,
        worktree: args.worktree,
    };
    let made = client.create(&new).await.map_err(with_hint)?;
    if !cx.json {
        cx.out.line(format!("Created session {}", made.id))?;
        cx.out.line(format!("  Directory: {}", made.directory))?;
        if let Some(url) = &made.clone_url {
            cx.out.line(format!("  Cloned:    {}", one_line(url)))?;
        }
        if let Some(branch) = made.working_branch.as_ref().or(made.branch.as_ref()) {
            cx.out.line(format!("  Branch:    {}", one_line(branch)))?;
        }
        cx.out.line(format!("  Adapter:   {}", made.adapter.as_deref().unwrap_or("default")))?;
        cx.out.line(format!("  State:     {}", label(made.state)))?;
        if let Some(platform) = &made.platform {
            cx.out.line(format!("  Platform:  {platform}"))?;
        }
    }
    let Some(prompt) = args.prompt.filter(|prompt| !prompt.trim().is_empty()) else {
        return if cx.json { cx.out.json(&made) } else { Ok(()) };
    };
    let started = client.start(made.id.as_str(), &prompt).await.map_err(with_hint)?;
    if cx.json {
        return cx.out.json(&started);
    }
    Ok(cx.out.line("  Started with prompt.")?)
}

fn with_hint(error: ClientError) -> Failure {
    let text = error.to_string();
    let lacks_agent = ["no default adapter", "not configured"].iter().any(|words| text.contains(words));
    if error.is_status(422) && lacks_agent {
        return Failure::text(format!("{text}\nGive one with -a, or set TETHER_DEFAULT_AGENT_ADAPTER"));
    }
    error.into()
}
