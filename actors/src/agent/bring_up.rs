//! Starting an agent program, or finding one that outlived the daemon.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::catalogue::{AgentEntry, Catalogue};
use super::discover::Found;
use super::messages::{AgentSettings, ProcessSpec};
use super::processes::Identity;
use super::program::{Program, SpawnError};
use super::protocol::{LaunchSpec, Work};
use super::protocols;
use super::server::{self, ServerLink};
use super::spool::{Spool, SpoolReader, SpoolWriter};
use super::tree;
use crate::domain::restart::EndCause;

/// A program that runs, or ran.
pub struct Up {
    /// What connects it to us.
    pub link: Link,
    /// Its process.
    pub identity: Identity,
    /// Its version, where it was started just now.
    pub version: Option<String>,
    /// What the person should know.
    pub notice: Option<String>,
    /// What the directory brings along and nobody was asked about.
    pub brought_along: Vec<String>,
    /// What was found out about the machine.
    pub survey: Survey,
}

/// What a protocol must know of the machine, found out before a start.
#[derive(Clone, Debug, Default)]
pub struct Survey {
    /// The directory with all links resolved; empty where that is not known.
    pub real_directory: PathBuf,
    /// The agent's own sandbox does not work on this machine.
    pub no_sandbox: bool,
}

impl Survey {
    /// Looks. Blocks.
    fn of(directory: &Path, agents: &Catalogue, entry: &AgentEntry, program: &Path) -> Self {
        Self {
            real_directory: std::fs::canonicalize(directory).unwrap_or_default(),
            no_sandbox: agents.lacks_sandbox(entry, program),
        }
    }
}

/// What connects an agent program to us.
pub enum Link {
    /// A program of the session's own, over its spool.
    Spool(Box<SpoolLink>),
    /// A program that serves many sessions.
    Server(Box<ServerLink>),
}

/// The link over a spool. Of a program that is gone only the output is left.
pub struct SpoolLink {
    /// The spool.
    pub spool: Spool,
    /// The watch on the program; `None` = it is gone.
    pub program: Option<Program>,
    /// What it says, from the recorded position on.
    pub reader: SpoolReader,
    /// What it is told.
    pub writer: Option<SpoolWriter>,
}

/// Why there is none.
#[derive(Debug)]
pub struct BringUpError {
    /// What kind of end that is.
    pub cause: EndCause,
    /// What happened and what to do.
    pub message: String,
}

impl BringUpError {
    pub(super) fn crash(what: &str, error: impl std::fmt::Display) -> Self {
        Self { cause: EndCause::Crash, message: format!("{what}: {error}") }
    }
}

/// Where a run's spool lies.
pub fn spool_folder(settings: &AgentSettings, spec: &ProcessSpec) -> PathBuf {
    settings.spool_root.join(spec.session.as_str()).join(spec.run.run.as_str())
}

/// What a run works on, in the protocol's terms.
pub fn work(spec: &ProcessSpec, settings: &AgentSettings, survey: &Survey) -> Work {
    Work {
        directory: spec.directory.clone(),
        conversation: spec.conversation.clone(),
        resume: spec.run.resumed,
        model: spec.model.clone(),
        planning: spec.planning,
        trusted: spec.trusted == Some(true),
        real_directory: survey.real_directory.clone(),
        no_sandbox: survey.no_sandbox,
        folder: spool_folder(settings, spec),
    }
}

/// Starts the program, or finds it.
pub async fn bring_up(spec: ProcessSpec, settings: Arc<AgentSettings>) -> Result<Up, BringUpError> {
    if spec.run.protocol == protocols::OPENCODE {
        return server::bring_up(&spec, &settings).await;
    }
    match (spec.run.pid, spec.run.started) {
        (Some(pid), Some(started)) => find(&spec, &settings, Identity { pid, started }).await,
        _ => start(&spec, &settings).await,
    }
}

async fn find(spec: &ProcessSpec, settings: &AgentSettings, identity: Identity) -> Result<Up, BringUpError> {
    let lost = |error| BringUpError::crash("the agent's spool is gone, so what it said is lost", error);
    let spool = Spool::open(&spool_folder(settings, spec)).map_err(lost)?;
    let reader = spool.reader(spec.run.offset).map_err(lost)?;
    let program = Program::adopt(identity);
    let writer = program.as_ref().map(|_| spool.writer());
    // Only an opening that must be said again needs to know.
    let entry = settings.agents.entry(Some(&spec.adapter)).filter(|_| !spec.run.ready).cloned();
    let (agents, directory) = (settings.agents.clone(), spec.directory.clone());
    let surveyed = tokio::task::spawn_blocking(move || {
        let entry = entry?;
        let found = agents.find(&entry).ok()?;
        Some(Survey::of(&directory, &agents, &entry, &found.path))
    });
    Ok(Up {
        link: Link::Spool(Box::new(SpoolLink { spool, program, reader, writer })),
        identity,
        version: None,
        notice: None,
        brought_along: Vec::new(),
        survey: surveyed.await.ok().flatten().unwrap_or_default(),
    })
}

/// What is to be started.
pub(super) struct LookedUp {
    /// As the catalogue has it.
    pub(super) entry: AgentEntry,
    /// The program.
    pub(super) found: Found,
    /// See [`Up`].
    pub(super) brought_along: Vec<String>,
    /// See [`Up`].
    pub(super) survey: Survey,
}

/// Looks for the agent program.
pub(super) async fn look_up(spec: &ProcessSpec, settings: &AgentSettings) -> Result<LookedUp, BringUpError> {
    let unknown = || BringUpError {
        cause: EndCause::BadConfiguration,
        message: format!("no agent is known by the name \"{}\"", spec.adapter),
    };
    let entry = settings.agents.entry(Some(&spec.adapter)).cloned().ok_or_else(unknown)?;
    let (agents, looked_for) = (settings.agents.clone(), entry.clone());
    let directory = spec.directory.clone();
    let unasked = spec.trusted.is_none().then(|| spec.directory.clone());
    let looked = tokio::task::spawn_blocking(move || {
        let brought_along = unasked.map(|directory| looked_for.brought_along(&directory));
        let found = agents.find(&looked_for);
        let survey = found.as_ref().map(|found| Survey::of(&directory, &agents, &looked_for, &found.path));
        let survey = survey.unwrap_or_default();
        (found, brought_along.unwrap_or_default(), survey)
    });
    let (found, brought_along, survey) =
        looked.await.map_err(|error| BringUpError::crash("looking for the agent program failed", error))?;
    let found =
        found.map_err(|error| BringUpError { cause: EndCause::NotFound, message: error.to_string() })?;
    Ok(LookedUp { entry, found, brought_along, survey })
}

async fn start(spec: &ProcessSpec, settings: &AgentSettings) -> Result<Up, BringUpError> {
    if spec.adopted {
        // A crash came between the start of a program and its record: it was never spoken to.
        tree::end_tree(&spec.run.run, None, std::time::Duration::ZERO).await;
    }
    let LookedUp { entry, found, brought_along, survey } = look_up(spec, settings).await?;
    let protocol = protocols::restore(&spec.run.protocol, &serde_json::Value::Null)
        .map_err(|error| BringUpError::crash("the agent's protocol is unknown", error))?;
    let mut launch = protocol.launch(&LaunchSpec {
        program: found.path.clone(),
        work: work(spec, settings, &survey),
        extra_args: entry.args.clone(),
    });
    launch.env.extend(entry.environment.iter().cloned());
    let folder = spool_folder(settings, spec);
    let no_spool = |error| BringUpError::crash("the agent's spool could not be made", error);
    // An earlier try may have left one.
    let _ = tokio::fs::remove_dir_all(&folder).await;
    let (directory, run) = (spec.directory.clone(), spec.run.run.clone());
    // What the agent was given by name is its own.
    let of_its_own = |name: &String| entry.environment.iter().any(|(given, _)| given == name);
    let secrets: Vec<String> =
        settings.own_secrets.iter().filter(|name| !of_its_own(name)).cloned().collect();
    // A start takes some milliseconds, which the other actors on this thread shall not wait for.
    let spawned = tokio::task::spawn_blocking(move || {
        let spool = Spool::create(&folder).map_err(no_spool)?;
        for (name, content) in &launch.files {
            std::fs::write(folder.join(name), content).map_err(no_spool)?;
        }
        let program = Program::spawn(&launch, &directory, &run, &spool, &secrets)
            .map_err(|error| BringUpError { cause: cause_of(&error), message: error.to_string() })?;
        Ok((spool, program))
    });
    let (spool, program) = spawned
        .await
        .map_err(|error| BringUpError::crash("the agent program could not be started", error))??;
    let reader = spool.reader(0).map_err(no_spool)?;
    let writer = Some(spool.writer());
    Ok(Up {
        identity: program.identity(),
        link: Link::Spool(Box::new(SpoolLink { spool, program: Some(program), reader, writer })),
        version: found.version.map(|version| version.to_string()),
        notice: found.notice,
        brought_along,
        survey,
    })
}

pub(super) fn cause_of(error: &SpawnError) -> EndCause {
    match error {
        SpawnError::NotFound { .. } | SpawnError::NotExecutable { .. } => EndCause::NotFound,
        SpawnError::DirectoryMissing { .. } => EndCause::BadConfiguration,
        _ => EndCause::Crash,
    }
}
