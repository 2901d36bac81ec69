//! All data, for a backup.

use actix_web::web::{Bytes, Data};
use actix_web::{HttpResponse, get};
use tether_actors::log::Backup;

use super::Api;
use super::auth::Caller;
use super::error::{ApiError, ErrorBody};

/// The log as it stands, as `tether backup` keeps it: a row of entries that ends with their number. Not for paired
/// devices.
#[utoipa::path(
    tag = "daemon",
    responses((status = 200, content_type = "application/octet-stream"), (status = 403, body = ErrorBody))
)]
#[get("/api/backup")]
pub(super) async fn backup(caller: Caller, api: Data<Api>) -> Result<HttpResponse, ApiError> {
    if caller.device.is_some() {
        return Err(ApiError::forbidden(
            "a paired device cannot fetch all data: run `tether backup` on the machine",
        ));
    }
    let backup = api.log.backup().await?;
    let pieces = futures_util::stream::try_unfold(backup, |mut backup: Backup| async move {
        let piece: Option<Bytes> = backup.next().await.map_err(ApiError::from)?;
        Ok::<_, ApiError>(piece.map(|piece| (piece, backup)))
    });
    Ok(HttpResponse::Ok().content_type("application/octet-stream").streaming(pieces))
}
