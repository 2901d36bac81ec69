//! What is for development only.

use actix_web::post;
use actix_web::web::{Data, Json};
use serde_json::{Value, json};

use super::Api;
use super::auth::Caller;
use super::error::{ApiError, ErrorBody};

/// Delete every session and its log. With `--dev` only.
#[utoipa::path(tag = "daemon", responses((status = 200), (status = 403, body = ErrorBody)))]
#[post("/api/debug/clear_data")]
pub(super) async fn clear_data(caller: Caller, api: Data<Api>) -> Result<Json<Value>, ApiError> {
    if !api.settings.dev {
        let way = "delete sessions one by one, or start the daemon with `--dev`";
        return Err(ApiError::forbidden(format!("all data can be cleared in development only: {way}")));
    }
    tracing::warn!(by = %caller.actor(), "all sessions are deleted");
    api.world.clear().await?;
    Ok(Json(json!({"ok": true})))
}
