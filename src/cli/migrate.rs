//! `tether migrate`: takes over the sessions and the settings of Tether 0.3.4.
//!
//! It goes through the daemon where one runs, and else opens the data folder itself; a person need not know.

use std::path::{Path, PathBuf};

use serde::Serialize;
use tether_actors::domain::past::{PastSession, PastTaken};
use tether_actors::registry::{self, Elsewhere};

use super::args::MigrateArgs;
use super::data::Data;
use super::init::yes_or_no;
use super::output::{Column, is_interactive, one_line, short, table, terminal_width};
use super::{Context, Failure};
use crate::client::{Client, ClientError};
use crate::config::file::{self, EnvFile};
use crate::config::{self, Connection, Sources};
use crate::daemon;
use crate::migrate::{self, Left, Pairing, Source, SourceError, Takeover};

/// What every release of the other program gives as its version (`contract`: health).
const THEIR_VERSION: &str = "0.2.0";

/// What became of one session.
#[derive(Debug, Serialize)]
struct Line {
    id: String,
    name: Option<String>,
    state: &'static str,
    /// How many events were found.
    events: u64,
    /// `taken`, `would_be_taken`, `already_here` or `left`.
    outcome: &'static str,
    /// Whether it goes on in the chat thread that it had.
    thread: bool,
    notes: Vec<String>,
}

/// What was done.
#[derive(Debug, Serialize)]
struct Report {
    source: PathBuf,
    dry_run: bool,
    sessions: Vec<Line>,
    left: Vec<Left>,
    settings: SettingsReport,
}

/// What was done about settings.
#[derive(Debug, Default, Serialize)]
struct SettingsReport {
    /// The file that was read, if there was one.
    from: Option<PathBuf>,
    /// Whether what would change was stored.
    stored: bool,
    #[serde(flatten)]
    takeover: Takeover,
}

/// Reads, takes over, reports.
pub async fn run(args: MigrateArgs, mut cx: Context) -> Result<(), Failure> {
    let folder = match &args.folder {
        Some(folder) => folder.clone(),
        None => config::data_dir_of(&cx.sources)
            .ok_or_else(|| Failure::text("there is no home folder: name the data folder to take over"))?,
    };
    let source = migrate::read(&folder)?;
    refuse_while_it_runs(&args, &cx).await?;
    let mut report = Report {
        source: source.folder.clone(),
        dry_run: args.dry_run,
        sessions: Vec::new(),
        left: source.left.clone(),
        settings: SettingsReport::default(),
    };
    let data = Data::find(&cx, !args.dry_run).await?;
    let is_running = matches!(data, Data::Daemon(_));
    let done = take_all(&data, &source, args.dry_run, &mut report.sessions).await;
    data.close().await;
    if let Err(failure) = done {
        // What came in before stays, and the next run goes on behind it.
        tell_sessions(&report, &mut cx)?;
        return Err(failure);
    }
    if !cx.json {
        tell_sessions(&report, &mut cx)?;
    }
    if !args.no_settings {
        report.settings = settings(&args, source.pairing.as_ref(), is_running, &mut cx)?;
    } else if source.pairing.is_some() && !cx.json {
        cx.out.line(
            "  discord_pairing.json: the people in it are let in by the settings, which were left out",
        )?;
    }
    if cx.json {
        return cx.out.json(&report);
    }
    let taken = report.sessions.iter().filter(|line| line.outcome == "taken").count();
    Ok(match report.dry_run {
        true => cx.out.line("\nNothing was changed: this was a dry run."),
        false => cx.out.line(format!(
            "\n{taken} sessions were taken over. Nothing was changed in {}.",
            report.source.display()
        )),
    }?)
}

/// For `tether doctor`: whether sessions of the other program lie in the data folder, and ours are none yet.
pub(super) fn finding(folder: &Path) -> Option<String> {
    let is_new = !folder.join("log").exists();
    let count = if is_new { migrate::read(folder).ok()?.sessions.len() } else { 0 };
    (count > 0).then(|| format!("{} holds {count} sessions of Tether 0.3.4", folder.display()))
}

/// The other program is to be stopped first: it would go on with the very sessions that are taken over. Asked at the
/// address that its own settings name, and at the one that ours do.
async fn refuse_while_it_runs(args: &MigrateArgs, cx: &Context) -> Result<(), Failure> {
    let theirs = match args.config.as_deref().map(EnvFile::read) {
        Some(Ok(Some(file))) => Some(Sources { personal: Some(file), ..Sources::default() }),
        _ => None,
    };
    for sources in [Some(&cx.sources), theirs.as_ref()].into_iter().flatten() {
        let Ok(connection) = Connection::read(sources) else { continue };
        let client = Client::new(connection)?;
        if client.health().await.is_ok_and(|health| health.version == THEIR_VERSION) {
            return Err(Failure::text(format!(
                "Tether 0.3.4 itself answers at {}: stop it first, or its sessions go on in two places",
                client.url()
            )));
        }
    }
    Ok(())
}

/// The ids that are taken, for a dry run.
async fn known(data: &Data) -> Result<Vec<String>, Failure> {
    let sessions = match data {
        Data::Daemon(client) => client.sessions().await?,
        Data::Log(open) => open.log.read_model.sessions(),
        Data::Nowhere => Vec::new(),
    };
    Ok(sessions.into_iter().map(|session| session.id.to_string()).collect())
}

async fn take(data: &Data, elsewhere: &Elsewhere, past: PastSession) -> Result<PastTaken, Failure> {
    match data {
        Data::Daemon(client) => client.import(&past).await.map_err(|error| match error {
            // The other program knows the path for other methods, or not at all.
            ClientError::Refused { status: 404 | 405, .. } => Failure::text(format!(
                "what answers at {} cannot take sessions over: is it the program to move over from? Stop it, then try \
                 again",
                client.url()
            )),
            error => error.into(),
        }),
        Data::Log(open) => {
            let agents = daemon::catalogue(&open.settings);
            let policy = open.settings.restart_policy;
            let taken = registry::import(&open.log, elsewhere, &agents, policy, past).await;
            taken.map_err(|error| Failure::text(error.to_string()))
        }
        Data::Nowhere => Ok(PastTaken { taken: false, events: 0, thread: false, notes: Vec::new() }),
    }
}

async fn take_all(data: &Data, source: &Source, dry_run: bool, lines: &mut Vec<Line>) -> Result<(), Failure> {
    let known = if dry_run { known(data).await? } else { Vec::new() };
    let elsewhere = Elsewhere::of_process();
    for found in &source.sessions {
        let session = &found.session;
        let mut line = Line {
            id: session.id.clone(),
            name: session.name.clone(),
            state: session.state.as_str(),
            events: 0,
            outcome: "left",
            thread: false,
            notes: Vec::new(),
        };
        match source.events(found) {
            Err(error) => line.notes.push(error.to_string()),
            Ok(read) => {
                line.events = read.events.len() as u64;
                line.notes = read.notes;
                if dry_run {
                    let is_known = known.contains(&session.id);
                    line.outcome = if is_known { "already_here" } else { "would_be_taken" };
                } else {
                    let taken =
                        take(data, &elsewhere, PastSession { events: read.events, ..session.clone() })
                            .await?;
                    line.outcome = if taken.taken { "taken" } else { "already_here" };
                    line.thread = taken.thread;
                    line.notes.extend(taken.notes);
                }
            }
        }
        lines.push(line);
    }
    Ok(())
}

fn tell_sessions(report: &Report, cx: &mut Context) -> Result<(), Failure> {
    if report.sessions.is_empty() {
        cx.out.line(format!("There are no sessions in {}.", report.source.display()))?;
    } else {
        let rest = terminal_width().saturating_sub(12 + 15 + 7 + 15 + 4).max(20);
        let columns = [
            Column("ID", 12),
            Column("STATE", 15),
            Column("EVENTS", 7),
            Column("OUTCOME", 15),
            Column("NAME", rest),
        ];
        let rows: Vec<Vec<String>> = report.sessions.iter().map(row).collect();
        for line in table(&columns, &rows) {
            cx.out.line(line)?;
        }
    }
    let notes = report.sessions.iter().flat_map(|line| line.notes.iter().map(move |note| (line, note)));
    for (at, (line, note)) in notes.enumerate() {
        if at == 0 {
            cx.out.line("\nTo know:")?;
        }
        cx.out.line(format!("  {}: {}", short(&line.id, 12), one_line(note)))?;
    }
    let threads = report.sessions.iter().filter(|line| line.thread).count();
    if threads > 0 {
        cx.out.line(format!("\n{threads} of them go on in the chat threads that they had."))?;
    }
    tell_left("\nLeft where it is:", &report.left, cx)
}

fn row(line: &Line) -> Vec<String> {
    vec![
        short(&line.id, 12).to_owned(),
        line.state.to_lowercase().replace('_', " "),
        line.events.to_string(),
        line.outcome.replace('_', " "),
        line.name.clone().unwrap_or_default(),
    ]
}

fn tell_left(heading: &str, left: &[Left], cx: &mut Context) -> Result<(), Failure> {
    if !left.is_empty() {
        cx.out.line(heading)?;
    }
    for one in left {
        cx.out.line(format!("  {}: {}", one_line(&one.what), one_line(&one.why)))?;
    }
    Ok(())
}

/// Compares the settings, shows what would change, asks, stores.
fn settings(
    args: &MigrateArgs,
    pairing: Option<&Pairing>,
    is_running: bool,
    cx: &mut Context,
) -> Result<SettingsReport, Failure> {
    let ours = cx.sources.personal_path.clone();
    let from = match (&args.config, &ours) {
        (Some(path), _) => path.clone(),
        (None, Some(path)) => path.clone(),
        (None, None) => return Ok(SettingsReport::default()),
    };
    let unreadable =
        |error: std::io::Error| Failure::text(format!("{} cannot be read: {error}", from.display()));
    let Some(theirs) = EnvFile::read(&from).map_err(unreadable)? else {
        return match args.config {
            Some(_) => Err(unreadable(std::io::ErrorKind::NotFound.into())),
            None => Ok(SettingsReport::default()),
        };
    };
    let mut takeover = migrate::compare(&theirs, cx.sources.personal.as_ref());
    if is_running {
        takeover.stay_in_reach();
    }
    let is_one_file = ours.as_deref().is_some_and(|ours| same_file(ours, &from));
    if is_one_file {
        // It holds already what it holds.
        takeover.changes.clear();
    }
    if let Some(pairing) = pairing {
        let is_set_up = cx.sources.environment.contains_key("DISCORD_BOT_TOKEN");
        takeover.let_in(pairing, cx.sources.personal.as_ref(), is_set_up);
    }
    let mut report = SettingsReport { from: Some(from.clone()), stored: false, takeover };
    if !cx.json {
        show(&report, &from, is_one_file, cx)?;
    }
    if report.takeover.changes.is_empty() || args.dry_run {
        return Ok(report);
    }
    let Some(ours) = ours else {
        return Err(Failure::text("there is no home folder: set HOME or XDG_CONFIG_HOME"));
    };
    let yes = match args.yes {
        true => true,
        false if is_interactive() && !cx.json => {
            yes_or_no(&format!("Store this in {}?", ours.display()), true)?.unwrap_or(false)
        }
        false => false,
    };
    if yes {
        for change in &report.takeover.changes {
            file::store(&ours, change.name, &change.value)
                .map_err(|error| Failure::text(error.to_string()))?;
        }
        report.stored = true;
    }
    if !cx.json {
        cx.out.line(match yes {
            true if is_running => {
                format!("Stored in {}; they count when the daemon is started anew", ours.display())
            }
            true => format!("Stored in {}", ours.display()),
            false => "Not stored (with --yes they are)".to_owned(),
        })?;
    }
    Ok(report)
}

fn show(report: &SettingsReport, from: &Path, is_one_file: bool, cx: &mut Context) -> Result<(), Failure> {
    let takeover = &report.takeover;
    if is_one_file && takeover.changes.is_empty() {
        cx.out.line(format!("\nSettings: {} is ours, too, and stays as it is.", from.display()))?;
    } else if is_one_file {
        cx.out.line(format!("\nSettings: {} is ours, too. Of the data folder come:", from.display()))?;
    } else if takeover.changes.is_empty() {
        cx.out.line(format!("\nSettings: nothing of {} is to be stored.", from.display()))?;
    } else {
        cx.out.line(format!("\nSettings of {}:", from.display()))?;
    }
    for change in &takeover.changes {
        if let Some(old) = &change.old {
            cx.out.line(format!("- {}={}", change.name, one_line(old)))?;
        }
        cx.out.line(format!("+ {}={}", change.name, one_line(&change.new)))?;
    }
    let heading = if is_one_file { "In it, without effect:" } else { "Not taken over:" };
    tell_left(heading, &takeover.left, cx)
}

fn same_file(one: &Path, other: &Path) -> bool {
    match (one.canonicalize(), other.canonicalize()) {
        (Ok(one), Ok(other)) => one == other,
        _ => one == other,
    }
}

impl From<SourceError> for Failure {
    fn from(error: SourceError) -> Self {
        Self::text(error.to_string())
    }
}
