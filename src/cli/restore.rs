//! `tether restore`: puts a backup in the place of the data.
//!
//! All is built beside the data folder and checked there; only then does it move into its place. So a file that is not
//! whole, a full disk or a kill half-way change nothing.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tether_actors::agent::processes::{Identity, is_alive};
use tether_actors::domain::session::RunRecord;
use tether_actors::domain::time::Stamp;
use tether_actors::log::{FolderLock, RestoreError, Restored, Restoring};

use super::args::RestoreArgs;
use super::{Context, Failure};
use crate::backup::{self, BackupError, Content, Member};
use crate::config::{self, file};

/// What a restore puts in the place of what is there: the log (and what a start that was cut short left of it), and what
/// belongs to agents.
const OURS: [&str; 4] = ["log", "log.old", "log.new", "agents"];

/// Checks the file, and puts it back.
pub fn run(args: RestoreArgs, mut cx: Context) -> Result<(), Failure> {
    let content = backup::check(&args.file)?;
    if args.check {
        return told(&json!({ "file": args.file, "content": content }), &lines(&content), &mut cx);
    }
    let data = config::data_dir_of(&cx.sources)
        .ok_or_else(|| Failure::text("there is no home folder: set HOME or TETHER_AGENT_DATA_DIR"))?;
    let _held = hold(&data)?;
    let has_data = OURS.iter().any(|name| data.join(name).exists());
    if has_data && !args.force {
        return Err(Failure::text(format!(
            "{} holds data already: with --force they are put aside, and nothing of them is lost",
            data.display()
        )));
    }
    let parent = data.parent().ok_or_else(|| Failure::text("the data folder is the root of the disk"))?;
    file::private_folder(parent)?;
    // Removed with all that is in it, unless it was moved into its place.
    let fresh = tempfile::Builder::new().prefix(".tether-restore-").tempdir_in(parent);
    let fresh =
        fresh.map_err(|error| Failure::text(format!("{} cannot be written: {error}", parent.display())))?;
    let (restored, settings) = build(&args.file, fresh.path())?;
    if let Some(run) = restored.runs.iter().find(|run| is_running(run)) {
        return Err(Failure::text(format!(
            "an agent of these data still runs (process {}), and would be followed from a wrong place: start the daemon \
             and end all with `tether stop --agents`, then try again",
            run.pid.unwrap_or_default()
        )));
    }
    let aside = swap(&data, fresh.path())?;
    let settings = match settings {
        Some(text) => put_settings(&text, args.settings, &cx)?,
        None => Settings::None,
    };
    let mut said = vec![format!(
        "Restored {} sessions with {} events into {}.",
        restored.sessions,
        restored.events,
        data.display()
    )];
    said.extend(aside.as_ref().map(|aside| format!("  What was there is in {}.", aside.display())));
    said.extend(settings.said());
    said.push("\nNext: tether start".to_owned());
    let report = json!({
        "data": data, "sessions": restored.sessions, "events": restored.events, "put_aside": aside,
        "settings": settings.word(), "content": content,
    });
    told(&report, &said, &mut cx)
}

fn told(report: &Value, lines: &[String], cx: &mut Context) -> Result<(), Failure> {
    if cx.json {
        return cx.out.json(report);
    }
    for line in lines {
        cx.out.line(line)?;
    }
    Ok(())
}

fn lines(content: &Content) -> Vec<String> {
    let settings = if content.settings { "with config.env" } else { "without config.env" };
    vec![
        format!("It is whole: written by tether {} at {}.", content.tether, content.made_at),
        format!(
            "  {} entries of the log, {} files of our own agents, {settings}",
            content.entries, content.files
        ),
    ]
}

/// Keeps daemons from the folder, if it is there.
fn hold(data: &Path) -> Result<Option<FolderLock>, Failure> {
    if !data.exists() {
        return Ok(None);
    }
    match FolderLock::take(data) {
        Ok(Some(lock)) => Ok(Some(lock)),
        Ok(None) => Err(Failure::text(format!(
            "a daemon uses {}: stop it with `tether stop`, then try again",
            data.display()
        ))),
        Err(error) => Err(Failure::text(format!("{} cannot be used: {error}", data.display()))),
    }
}

/// Builds the data in a folder, and checks them. Answers the settings that were in the backup.
fn build(path: &Path, fresh: &Path) -> Result<(Restored, Option<Vec<u8>>), Failure> {
    let failed = |reason: String| BackupError::Io { path: path.display().to_string(), reason };
    let of_log = |error: RestoreError| failed(format!("it could not be put back: {error}"));
    let mut restoring = Restoring::begin(fresh).map_err(of_log)?;
    let mut settings = None;
    backup::read(path, &mut |member| match member {
        Member::Entry(entry) => restoring.put(entry).map_err(of_log),
        Member::Settings(text) => {
            settings = Some(text);
            Ok(())
        }
        Member::File(name, bytes) => {
            let place = fresh.join(&name);
            let folder = place.parent().unwrap_or(fresh);
            let written = file::private_folder(folder).and_then(|()| file::write_private(&place, &bytes));
            written.map_err(|error| failed(format!("{name} could not be put back: {error}")))
        }
    })?;
    let restored = restoring.finish().map_err(of_log)?;
    Ok((restored, settings))
}

fn is_running(run: &RunRecord) -> bool {
    let (Some(pid), Some(started)) = (run.pid, run.started) else { return false };
    is_alive(Identity { pid, started })
}

/// Moves what was built into its place. Answers where that went which was there. Work trees, clones and whatever else
/// lies in the data folder stay where they are: restored sessions go on in them.
fn swap(data: &Path, fresh: &Path) -> Result<Option<PathBuf>, Failure> {
    file::private_folder(data)?;
    let there: Vec<&str> = OURS.into_iter().filter(|name| data.join(name).exists()).collect();
    let aside = data.join(format!("before-restore-{}", Stamp::now().to_string().replace(':', "")));
    if aside.exists() {
        return Err(Failure::text(format!("{} is there already: try again", aside.display())));
    }
    let mut done: Vec<(PathBuf, PathBuf)> = Vec::new();
    let mut moves: Vec<(PathBuf, PathBuf)> =
        there.iter().map(|name| (data.join(name), aside.join(name))).collect();
    // The log comes last, because it makes all of it data.
    moves.extend(["agents", "log"].map(|name| (fresh.join(name), data.join(name))));
    if !there.is_empty() {
        file::private_folder(&aside)?;
    }
    for (from, to) in moves.into_iter().filter(|(from, _)| from.starts_with(data) || from.exists()) {
        if let Err(error) = std::fs::rename(&from, &to) {
            // Back to what it was, the newest first.
            for (from, to) in done.iter().rev() {
                let _ = std::fs::rename(to, from);
            }
            let _ = std::fs::remove_dir(&aside);
            let words = format!("{} could not be moved to {}: {error}", from.display(), to.display());
            return Err(Failure::text(words));
        }
        done.push((from, to));
    }
    std::fs::File::open(data).and_then(|data| data.sync_all())?;
    Ok((!there.is_empty()).then_some(aside))
}

/// What became of the settings in a backup.
enum Settings {
    None,
    Same,
    Stored(PathBuf, Option<PathBuf>),
    Left(PathBuf),
}

impl Settings {
    fn word(&self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Same => "same",
            Self::Stored(..) => "stored",
            Self::Left(_) => "left",
        }
    }

    fn said(&self) -> Vec<String> {
        match self {
            Self::None | Self::Same => Vec::new(),
            Self::Stored(path, None) => vec![format!("  Settings: {}", path.display())],
            Self::Stored(path, Some(old)) => {
                vec![format!("  Settings: {} (what was there is in {})", path.display(), old.display())]
            }
            Self::Left(path) => vec![format!(
                "  Settings: {} stays as it is, and the backup has others (--settings puts them in its place)",
                path.display()
            )],
        }
    }
}

/// On a machine that has none they are stored; others are replaced only if that was said.
fn put_settings(text: &[u8], replace: bool, cx: &Context) -> Result<Settings, Failure> {
    let Some(path) = cx.sources.personal_path.clone() else { return Ok(Settings::None) };
    let there = match std::fs::read(&path) {
        Ok(there) => Some(there),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => return Err(Failure::text(format!("{} cannot be read: {error}", path.display()))),
    };
    if there.as_deref() == Some(text) {
        return Ok(Settings::Same);
    }
    let mut old = None;
    if let Some(there) = there {
        if !replace {
            return Ok(Settings::Left(path));
        }
        let aside =
            path.with_file_name(format!("config.env.before-{}", Stamp::now().to_string().replace(':', "")));
        file::write_private(&aside, &there)?;
        old = Some(aside);
    }
    file::private_folder(path.parent().unwrap_or(Path::new(".")))?;
    let fresh = path.with_file_name(format!(".config.env.{}", std::process::id()));
    file::write_private(&fresh, text)?;
    std::fs::rename(&fresh, &path)?;
    Ok(Settings::Stored(path, old))
}
