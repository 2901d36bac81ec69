//! `tether logs`: the events of a session, or the daemon's own log.

use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tether_actors::domain::event::Envelope;

use super::args::LogsArgs;
use super::output::{one_line, terminal_width};
use super::render::Renderer;
use super::{Context, Failure, Out, resolve};
use crate::client::{Feed, FeedItem};
use crate::{config, daemon};

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
    let Some(path) = log_file(cx) else {
        return Err(Failure::text(
            "the daemon logs to its terminal: set TETHER_AGENT_LOG_FILE, or start it with --detach; for the \
             events of a session give its id",
        ));
    };
    let mut at = 0;
    loop {
        at = print_from(&path, at, &mut cx.out)?;
        if !args.follow {
            return Ok(());
        }
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(250)) => {}
            _ = tokio::signal::ctrl_c() => return Ok(()),
        }
    }
}

/// Prints what a file holds from there on; answers where it ends. A file that became shorter is a new one.
fn print_from(path: &Path, at: u64, out: &mut Out) -> Result<u64, Failure> {
    let unreadable = |error: std::io::Error| {
        Failure::text(format!("{} cannot be read: {error}", one_line(&path.display().to_string())))
    };
    let mut file = std::fs::File::open(path).map_err(unreadable)?;
    let length = file.metadata().map_err(unreadable)?.len();
    let from = if length < at { 0 } else { at };
    file.seek(SeekFrom::Start(from)).map_err(unreadable)?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(unreadable)?;
    out.text(&String::from_utf8_lossy(&bytes))?;
    Ok(from + bytes.len() as u64)
}
