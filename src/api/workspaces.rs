//! Work trees that were made for sessions, and the clones that they share: what they take of the disk.

use actix_web::web::{Data, Json};
use actix_web::{delete, get};
use serde::{Deserialize, Serialize};
use tether_actors::domain::state::SessionState;
use tether_actors::domain::time::Stamp;
use tether_actors::workspace::KnownRepo;

use super::Api;
use super::auth::Caller;
use super::error::ApiError;
use super::extract::{FromFields, Query};
use super::fields::Fields;

/// A work tree of a session that rests is stale after this many seconds without activity.
const STALE: i64 = 24 * 3600;

/// Which work trees.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct StaleQuery {
    /// Only those whose session is gone, or rests for more than a day.
    #[param(required = false)]
    stale_only: bool,
}

impl FromFields for StaleQuery {
    fn read(fields: &mut Fields) -> Self {
        Self { stale_only: fields.flag("stale_only").unwrap_or(false) }
    }
}

/// The work trees.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct WorkspaceList {
    /// One by one.
    pub workspaces: Vec<Workspace>,
    /// What those that are listed take of the disk.
    pub total_bytes: u64,
    /// How many of those that are listed belong to no session any more.
    pub orphan_count: usize,
    /// Set when all of them and the shared clones take more than is configured.
    pub warning: Option<String>,
}

/// A work tree.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Workspace {
    /// Whose.
    pub session_id: String,
    /// Where.
    pub path: String,
    /// What it takes of the disk.
    pub size_bytes: u64,
    /// The session's state; null when it is gone.
    pub session_state: Option<SessionState>,
    /// When the session was last active.
    #[schema(value_type = Option<String>)]
    pub last_activity_at: Option<Stamp>,
    /// Whether the session is gone.
    pub is_orphan: bool,
}

/// The work trees that were made for sessions.
#[utoipa::path(tag = "git", params(StaleQuery), responses((status = 200, body = WorkspaceList)))]
#[get("/api/status/workspaces")]
pub(super) async fn list_workspaces(
    _: Caller,
    api: Data<Api>,
    query: Query<StaleQuery>,
) -> Result<Json<WorkspaceList>, ApiError> {
    let now = Stamp::now();
    let found = api.world.workspaces().found().await;
    let all_bytes: u64 = found.iter().map(|one| one.bytes).sum();
    let described = found.into_iter().map(|one| {
        let session = api.world.read_model().session(&one.session).map(|entry| entry.record);
        let session = session.as_ref().map(|record| &record.session);
        Workspace {
            session_id: one.session.to_string(),
            path: one.path.to_string_lossy().into_owned(),
            size_bytes: one.bytes,
            session_state: session.map(|session| session.state),
            last_activity_at: session.map(|session| session.last_activity_at),
            is_orphan: session.is_none(),
        }
    });
    let is_stale = |one: &Workspace| {
        let rests = one.session_state.is_none_or(|state| !state.is_active());
        rests && one.last_activity_at.is_none_or(|last| now.seconds_since(last) > STALE)
    };
    let workspaces: Vec<Workspace> = described.filter(|one| !query.0.stale_only || is_stale(one)).collect();
    let warning = match api.world.workspaces().settings().max_bytes {
        None => None,
        Some(most) => {
            let repos: u64 = api.world.workspaces().repos().await.iter().map(|repo| repo.size_bytes).sum();
            let gib = |bytes: u64| format!("{:.1}", bytes as f64 / f64::from(1 << 30));
            let all = all_bytes + repos;
            (all > most).then(|| {
                let (all, most) = (gib(all), gib(most));
                format!(
                    "work trees and clones take {all} GiB, more than the {most} GiB of TETHER_WORKSPACE_MAX_DISK_GB: \
                     delete sessions, or see tether workspaces clean"
                )
            })
        }
    };
    Ok(Json(WorkspaceList {
        total_bytes: workspaces.iter().map(|one| one.size_bytes).sum(),
        orphan_count: workspaces.iter().filter(|one| one.is_orphan).count(),
        workspaces,
        warning,
    }))
}

/// The shared clones.
#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct RepoList {
    repos: Vec<KnownRepo>,
    total_bytes: u64,
}

/// The clones that work trees share.
#[utoipa::path(tag = "git", responses((status = 200, body = RepoList)))]
#[get("/api/status/repos")]
pub(super) async fn list_repos(_: Caller, api: Data<Api>) -> Json<RepoList> {
    let repos = api.world.workspaces().repos().await;
    Json(RepoList { total_bytes: repos.iter().map(|repo| repo.size_bytes).sum(), repos })
}

/// What was cleaned up.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Cleaned {
    /// How many work trees went.
    pub removed: usize,
    /// What stood in the way of others.
    pub errors: Vec<String>,
}

/// Remove the work trees of sessions that are gone.
#[utoipa::path(tag = "git", responses((status = 200, body = Cleaned)))]
#[delete("/api/status/workspaces/orphans")]
pub(super) async fn remove_orphans(_: Caller, api: Data<Api>) -> Result<Json<Cleaned>, ApiError> {
    let world = api.world.clone();
    let done = actix_web::rt::spawn(async move { world.remove_orphans().await });
    let (removed, errors) = done.await.map_err(|_| ApiError::stopping())?;
    Ok(Json(Cleaned { removed, errors }))
}
