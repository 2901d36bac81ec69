//! `tether logs`: the events of a session, or the daemon's own log.

use std::path::PathBuf;
use std::time::Duration;

use tether_actors::domain::event::Envelope;

use super::args::LogsArgs;
use super::output::{one_line, tame, terminal_width};
use super::render::Renderer;
use super::tail::Tail;
use super::{Context, Failure, Out, resolve};
use crate::client::{Feed, FeedItem, LogTail};
use crate::{config, daemon};

/// How often a file is looked at that is followed, and how often a daemon elsewhere is asked.
const LOOK: Duration = Duration::from_millis(250);
const ASK: Duration = Duration::from_secs(1);

/// So many lines of a daemon elsewhere are shown when nothing is said, and at most so many are asked for at once.
const LINES: usize = 200;
const MOST: usize = 2000;

/// Prints one or the other.
pub async fn run(args: &LogsArgs, mut cx: Context) -> Result<(), Failure> {
    match &args.session {
        Some(session) => events(args, session, &mut cx).await,
        None => daemon_log(args, &mut cx).await,
    }
}

async fn events(args: &LogsArgs, typed: &str, cx: &mut Context) -> Result<(), Failure> {
    let client = cx.client()?;
    let session = resolve::session(&client, typed).await?;
    let mut feed = Feed::open(&client, session.id.as_str(), 0).await?;
    let mut renderer = Renderer::new(terminal_width());
    let raw = args.raw || cx.json;
    loop {
        let item = tokio::select! {
            item = feed.next() => item?,
            _ = tokio::signal::ctrl_c() => return Ok(()),
        };
        match item {
            FeedItem::Events(events) => {
                for event in &events {
                    print(event, raw, &mut renderer, &mut cx.out)?;
                }
            }
            FeedItem::CaughtUp if args.follow => {}
            FeedItem::CaughtUp | FeedItem::Deleted => {
                return if raw { Ok(()) } else { Ok(cx.out.text(renderer.fresh_line())?) };
            }
            FeedItem::Ended(reason) => return Err(Failure::text(format!("the connection ended: {reason}"))),
        }
    }
}

fn print(event: &Envelope, raw: bool, renderer: &mut Renderer, out: &mut Out) -> Result<(), Failure> {
    if raw {
        return Ok(out.line(serde_json::to_string(event)?)?);
    }
    Ok(out.text(&renderer.event(event))?)
}

/// The file that the daemon logs to: the configured one, else the one of `start --detach`.
fn log_file(cx: &Context) -> Option<PathBuf> {
    let of_detached =
        || Some(daemon::detached_log(&config::data_dir_of(&cx.sources)?)).filter(|path| path.exists());
    config::log_file_of(&cx.sources).or_else(of_detached)
}

async fn daemon_log(args: &LogsArgs, cx: &mut Context) -> Result<(), Failure> {
    if !cx.target()?.is_here() {
        return log_elsewhere(args, cx).await;
    }
    let Some(path) = log_file(cx) else { return Err(no_log()) };
    let unreadable = |error: std::io::Error| {
        Failure::text(format!("{} cannot be read: {error}", one_line(&path.display().to_string())))
    };
    let mut tail = Tail::open(&path, args.lines).map_err(unreadable)?;
    loop {
        let bytes = tail.more().map_err(unreadable)?;
        if !bytes.is_empty() {
            cx.out.text(&String::from_utf8_lossy(&bytes))?;
        }
        if !args.follow || !waited(LOOK).await {
            return Ok(());
        }
    }
}

/// The log of a daemon whose files are not here.
async fn log_elsewhere(args: &LogsArgs, cx: &mut Context) -> Result<(), Failure> {
    let client = cx.client()?;
    let mut seen = client.log_tail(args.lines.unwrap_or(LINES), None).await?;
    if seen.file.is_none() {
        return Err(no_log());
    }
    let mut is_gone = false;
    loop {
        for line in &seen.lines {
            cx.out.line(tame(line))?;
        }
        if !args.follow {
            return Ok(());
        }
        let next = seen.next.clone().ok_or_else(|| {
            Failure::text(format!("the daemon at {} is too old for its log to be followed", client.url()))
        })?;
        // What is there already is not waited for.
        if seen.lines.is_empty() && !waited(ASK).await {
            return Ok(());
        }
        seen = match client.log_tail(MOST, Some(&next)).await {
            Ok(more) => more,
            Err(error) if error.is_passing() => {
                if !is_gone {
                    eprintln!("({error}; waiting for it)");
                }
                is_gone = true;
                LogTail { lines: Vec::new(), next: Some(next), ..seen }
            }
            Err(error) => return Err(error.into()),
        };
        is_gone &= seen.lines.is_empty();
    }
}

fn no_log() -> Failure {
    Failure::text(
        "the daemon logs to its terminal: set TETHER_AGENT_LOG_FILE, or start it with --detach; for the events of a \
         session give its id",
    )
}

/// Waits; `false` = the person has seen enough.
async fn waited(time: Duration) -> bool {
    tokio::select! {
        () = tokio::time::sleep(time) => true,
        _ = tokio::signal::ctrl_c() => false,
    }
}
