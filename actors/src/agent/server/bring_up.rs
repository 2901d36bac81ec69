//! A session's run on the server.

use std::path::Path;

use super::{Lease, ServerError, ServerLink, Wanted, folder};
use crate::agent::bring_up::{BringUpError, Link, LookedUp, Survey, Up, look_up, work};
use crate::agent::messages::{AgentSettings, ProcessSpec};
use crate::agent::processes::Identity;
use crate::agent::program::check_directory;
use crate::agent::protocol::{LaunchSpec, Work};
use crate::agent::protocols;
use crate::domain::restart::EndCause;

/// Connects a run to a server that is started if need be, or to the one that it had before.
pub(in crate::agent) async fn bring_up(
    spec: &ProcessSpec,
    settings: &AgentSettings,
) -> Result<Up, BringUpError> {
    if let (Some(pid), Some(started)) = (spec.run.pid, spec.run.started) {
        let identity = Identity { pid, started };
        let lease = settings.servers.find(&settings.spool_root, identity).await;
        let link = link(lease, &spec.directory, spec.run.offset);
        return Ok(up(link, identity));
    }
    let LookedUp { entry, found, brought_along, survey } = look_up(spec, settings).await?;
    let directory = spec.directory.clone();
    let checked = tokio::task::spawn_blocking(move || check_directory(&directory)).await;
    if let Ok(Err(error)) = checked {
        return Err(BringUpError { cause: EndCause::BadConfiguration, message: error.to_string() });
    }
    let protocol = protocols::restore(&spec.run.protocol, &serde_json::Value::Null)
        .map_err(|message| BringUpError { cause: EndCause::Crash, message })?;
    let Work { trusted, .. } = work(spec, settings, &survey);
    // One server for all sessions: nothing of this one's is in how it is started.
    let shared = Work { trusted, folder: folder(&settings.spool_root, trusted), ..Work::default() };
    let mut launch = protocol.launch(&LaunchSpec {
        program: found.path.clone(),
        work: shared,
        extra_args: entry.args.clone(),
    });
    launch.env.extend(entry.environment.iter().cloned());
    let wanted = Wanted {
        root: settings.spool_root.clone(),
        trusted,
        launch,
        own_secrets: settings.own_secrets.clone(),
    };
    let failed = |ServerError { cause, message }| BringUpError { cause, message };
    let lease = settings.servers.lease(wanted).await.map_err(failed)?;
    let identity = lease.identity();
    Ok(Up {
        version: found.version.map(|version| version.to_string()),
        notice: found.notice,
        brought_along,
        ..up(link(Some(lease), &spec.directory, 0), identity)
    })
}

fn up(link: ServerLink, identity: Identity) -> Up {
    Up {
        link: Link::Server(Box::new(link)),
        identity,
        version: None,
        notice: None,
        brought_along: Vec::new(),
        survey: Survey::default(),
    }
}

fn link(lease: Option<Lease>, directory: &Path, offset: u64) -> ServerLink {
    ServerLink { lease, directory: directory.to_owned(), offset }
}
