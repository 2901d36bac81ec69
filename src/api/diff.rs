//! What is changed in a work tree since its last commit, files that git does not know yet included.

use std::path::Path;

use actix_web::get;
use actix_web::web::{Data, Json};
use tether_actors::workspace::Diff;

use super::Api;
use super::auth::Caller;
use super::error::ApiError;
use super::extract::SessionPath;

/// What the session's agent (or anybody) changed since the last commit.
#[utoipa::path(tag = "git", params(("id" = String, Path)), responses((status = 200, body = Diff)))]
#[get("/api/sessions/{id}/diff")]
pub(super) async fn diff_session(
    _: Caller,
    api: Data<Api>,
    path: SessionPath,
) -> Result<Json<Diff>, ApiError> {
    let entry = api.session(&path.id()?)?;
    of(&api, Path::new(&entry.record.session.directory)).await.map(Json)
}

/// The diff of a directory; nothing if it is not the top of a work tree.
pub(super) async fn of(api: &Api, folder: &Path) -> Result<Diff, ApiError> {
    Ok(api.world.workspaces().diff(folder).await?)
}
