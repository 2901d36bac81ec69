//! Directories whose own settings for agents count, or do not.

use actix_web::web::{Data, Json};
use actix_web::{delete, get, put};
use serde_json::{Value, json};
use tether_actors::domain::trust::TrustedDirectory;

use super::Api;
use super::auth::Caller;
use super::directories;
use super::error::{ApiError, ErrorBody};
use super::extract::{Body, FromFields, Query};
use super::fields::Fields;

/// What is said about a directory.
#[derive(utoipa::ToSchema)]
pub(super) struct SetTrust {
    /// An existing folder on the daemon's machine; `~` is the home directory.
    path: String,
    /// Whether what it brings along for agents counts.
    trusted: bool,
}

impl FromFields for SetTrust {
    fn read(fields: &mut Fields) -> Self {
        Self { path: fields.required_text("path", 1, 4096), trusted: fields.required_flag("trusted") }
    }
}

/// Which directory.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct TrustQuery {
    /// Its path, as it is listed.
    path: String,
}

impl FromFields for TrustQuery {
    fn read(fields: &mut Fields) -> Self {
        Self { path: fields.required_text("path", 1, 4096) }
    }
}

/// Every directory that something was said about. What holds for a directory is what was said about the nearest one
/// at or above it; where nothing was said it does not count, and is asked (an approval of kind `trust`).
#[utoipa::path(tag = "agents", responses((status = 200, body = Vec<TrustedDirectory>)))]
#[get("/api/trusted-directories")]
pub(super) async fn list_trust(_: Caller, api: Data<Api>) -> Json<Vec<TrustedDirectory>> {
    Json(api.world.read_model().trust())
}

/// Say whether a directory is trusted. Counts for agents that are started from now on.
#[utoipa::path(
    tag = "agents", request_body = SetTrust,
    responses((status = 200, body = TrustedDirectory), (status = 422, body = ErrorBody))
)]
#[put("/api/trusted-directories")]
pub(super) async fn set_trust(
    caller: Caller,
    api: Data<Api>,
    body: Body<SetTrust>,
) -> Result<Json<TrustedDirectory>, ApiError> {
    let path = directories::existing(&body.0.path).await?;
    let path = path.to_string_lossy().into_owned();
    Ok(Json(api.world.set_trust(path, body.0.trusted, caller.actor()).await?))
}

/// Forget what was said about a directory: it is asked again. Takes a path that is no more, too.
#[utoipa::path(
    tag = "agents", params(TrustQuery), responses((status = 200), (status = 404, body = ErrorBody))
)]
#[delete("/api/trusted-directories")]
pub(super) async fn forget_trust(
    _: Caller,
    api: Data<Api>,
    query: Query<TrustQuery>,
) -> Result<Json<Value>, ApiError> {
    let path = query.0.path;
    if !api.world.forget_trust(path.clone()).await? {
        return Err(ApiError::not_found(format!("nothing was said about {path}")));
    }
    Ok(Json(json!({ "ok": true, "path": path })))
}
