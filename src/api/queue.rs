//! Inputs that wait for the running turn to end.

use actix_web::web::{Data, Json};
use actix_web::{HttpRequest, delete, get, post};
use serde::Serialize;
use serde_json::{Value, json};
use tether_actors::domain::ids::{InputId, SessionId};
use tether_actors::domain::session::{Input, InputState};
use tether_actors::domain::time::Stamp;
use tether_actors::session::Queue;

use super::Api;
use super::auth::Caller;
use super::error::{ApiError, ErrorBody};
use super::extract::{SessionPath, path_id};
use super::steering::is_uuid;

/// An input that was not finished yet, without the bytes of its pictures.
#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct QueuedInput {
    #[schema(value_type = String)]
    input_id: InputId,
    /// What to say.
    text: String,
    /// Pictures with it.
    images: Vec<PictureView>,
    /// Where it stands; only a `queued` one can be taken back.
    #[schema(inline)]
    state: InputState,
    #[schema(value_type = String)]
    created_at: Stamp,
    /// Who gave it.
    by: Option<String>,
    /// Given by the daemon itself after a crash.
    synthetic: bool,
    /// Whether it could be sent into the running turn now.
    can_steer: bool,
}

/// A picture, without its bytes.
#[derive(Serialize, utoipa::ToSchema)]
struct PictureView {
    media_type: String,
    filename: Option<String>,
    /// Its size.
    bytes: usize,
}

impl QueuedInput {
    fn new(input: Input, can_steer: bool) -> Self {
        let images = input.images.into_iter().map(|image| PictureView {
            media_type: image.media_type,
            filename: image.filename,
            // base64: four characters are three bytes, less the padding.
            bytes: image.data.trim_end_matches('=').len() * 3 / 4,
        });
        Self {
            input_id: input.id,
            text: input.text,
            images: images.collect(),
            state: input.state,
            created_at: input.created_at,
            by: input.by,
            synthetic: input.synthetic,
            can_steer,
        }
    }
}

/// Inputs that wait, in the order in which they will be sent.
#[utoipa::path(tag = "sessions", params(("id" = String, Path)), responses((status = 200, body = Vec<QueuedInput>)))]
#[get("/api/sessions/{id}/queue")]
pub(super) async fn list_queue(
    _: Caller,
    api: Data<Api>,
    path: SessionPath,
) -> Result<Json<Vec<QueuedInput>>, ApiError> {
    let Queue { inputs, can_steer } = api.world.queue(&path.id()?).await?;
    Ok(Json(inputs.into_iter().map(|input| QueuedInput::new(input, can_steer)).collect()))
}

/// Send a queued input now, into the running turn. Which agents take words while they work: Claude Code, Codex,
/// OpenCode and Pi.
#[utoipa::path(
    tag = "sessions", params(("id" = String, Path), ("input_id" = String, Path)),
    responses((status = 200), (status = 404, body = ErrorBody), (status = 409, body = ErrorBody))
)]
#[post("/api/sessions/{id}/queue/{input_id}/steer")]
pub(super) async fn steer_input(
    caller: Caller,
    api: Data<Api>,
    path: SessionPath,
    req: HttpRequest,
) -> Result<Json<Value>, ApiError> {
    let (session, input) = queued(&api, path, &req)?;
    api.world.steer(&session, input, caller.actor()).await?;
    Ok(Json(json!({"ok": true})))
}

/// Take a queued input back.
#[utoipa::path(
    tag = "sessions", params(("id" = String, Path), ("input_id" = String, Path)),
    responses((status = 200), (status = 404, body = ErrorBody))
)]
#[delete("/api/sessions/{id}/queue/{input_id}")]
pub(super) async fn withdraw_input(
    caller: Caller,
    api: Data<Api>,
    path: SessionPath,
    req: HttpRequest,
) -> Result<Json<Value>, ApiError> {
    let (session, input) = queued(&api, path, &req)?;
    api.world.withdraw_input(&session, input, caller.actor()).await?;
    Ok(Json(json!({"ok": true})))
}

/// Which queued input of which session is meant.
fn queued(api: &Api, path: SessionPath, req: &HttpRequest) -> Result<(SessionId, InputId), ApiError> {
    let session = path.id()?;
    api.session(&session)?;
    let input = path_id(req, "input_id");
    if !is_uuid(input) {
        return Err(ApiError::not_found(format!(
            "no queued input {input}: it was sent or withdrawn already"
        )));
    }
    Ok((session, InputId::from(input)))
}
