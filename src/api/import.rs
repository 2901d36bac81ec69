//! Sessions that another program kept are handed over to this daemon.

use actix_web::post;
use actix_web::web::{Data, Json};
use serde_json::Value;
use tether_actors::domain::past::{PastSession, PastTaken};

use super::auth::Caller;
use super::error::{ApiError, ErrorBody};
use super::extract::{Body, FromFields};
use super::fields::Fields;
use super::{Api, Settings};

/// A session with all its events may be long.
const LARGEST: usize = 256 << 20;

/// What was sent, read when it is known to be an object.
pub(super) struct Import(Result<PastSession, String>);

impl FromFields for Import {
    fn limit(_: &Settings) -> usize {
        LARGEST
    }

    fn read(fields: &mut Fields) -> Self {
        let read = serde_path_to_error::deserialize(Value::Object(fields.take_all()));
        Self(read.map_err(|error| error.to_string()))
    }
}

/// Take over a session that another program kept, with all its events. It keeps its id; one that is there already stays
/// as it is, so that all may be sent again.
#[utoipa::path(
    tag = "sessions", request_body = PastSession,
    responses((status = 200, body = PastTaken), (status = 413), (status = 422, body = ErrorBody))
)]
#[post("/api/sessions/import")]
pub(super) async fn import_session(
    _: Caller,
    api: Data<Api>,
    body: Body<Import>,
) -> Result<Json<PastTaken>, ApiError> {
    let past = body.0.0.map_err(|wrong| ApiError::invalid(format!("this is no session: {wrong}")))?;
    // A client that goes away must not leave it half done.
    let world = api.world.clone();
    let taken = actix_web::rt::spawn(async move { world.import(past).await });
    Ok(Json(taken.await.map_err(|_| ApiError::stopping())??))
}
