//! What drives a session: start, input, interrupt.

use actix_web::post;
use actix_web::web::{Data, Json};
use serde::Serialize;
use serde_json::{Value, json};
use tether_actors::domain::ids::InputId;
use tether_actors::domain::session::{Image, Session};
use tether_actors::session::{GiveInput, InputAccepted, Start};

use super::auth::Caller;
use super::error::ApiError;
use super::extract::{Body, FromFields, Query, SessionPath};
use super::fields::Fields;
use super::{Api, images};

/// How to start.
#[derive(utoipa::ToSchema)]
pub(super) struct StartSession {
    /// What to say first; may be empty.
    #[schema(default = "", required = false)]
    prompt: String,
    /// Sets the approval mode: 0 ask, 1 auto-approve edits, 2 approve all. Absent = stays as it is.
    approval_choice: Option<u8>,
    /// Pictures with it, at most 4.
    #[schema(required = false)]
    images: Vec<Image>,
}

impl FromFields for StartSession {
    fn limit(settings: &super::Settings) -> usize {
        settings.image_body_limit
    }

    fn read(fields: &mut Fields) -> Self {
        Self {
            prompt: fields.text("prompt").unwrap_or_default(),
            approval_choice: fields.choice("approval_choice", &[0, 1, 2]).flatten(),
            images: images::read(fields),
        }
    }
}

/// Begin, or go on after an end.
#[utoipa::path(
    tag = "sessions", params(("id" = String, Path)), request_body = StartSession,
    responses((status = 200, body = Session), (status = 409), (status = 422), (status = 503))
)]
#[post("/api/sessions/{id}/start")]
pub(super) async fn start_session(
    caller: Caller,
    api: Data<Api>,
    path: SessionPath,
    body: Body<StartSession>,
) -> Result<Json<Session>, ApiError> {
    let Body(StartSession { prompt, approval_choice, images }) = body;
    let start = Start { prompt, images, approval_choice, by: caller.actor() };
    Ok(Json(api.world.start(&path.id()?, start).await?))
}

/// What to say.
#[derive(utoipa::ToSchema)]
pub(super) struct SendInput {
    /// The words.
    #[schema(min_length = 1)]
    text: String,
    /// Pictures with them, at most 4.
    #[schema(required = false)]
    images: Vec<Image>,
    /// A UUID of the client's choice: sent again under it, an input is taken once.
    #[schema(value_type = Option<String>)]
    input_id: Option<InputId>,
    /// Not to wait for the running turn to end, if the agent takes words while it works.
    #[schema(default = false, required = false)]
    steer: bool,
}

impl FromFields for SendInput {
    fn limit(settings: &super::Settings) -> usize {
        settings.image_body_limit
    }

    fn read(fields: &mut Fields) -> Self {
        Self {
            text: fields.required_text("text", 1, usize::MAX),
            images: images::read(fields),
            input_id: input_id(fields),
            steer: fields.flag("steer").unwrap_or(false),
        }
    }
}

fn input_id(fields: &mut Fields) -> Option<InputId> {
    let text = fields.text("input_id")?;
    if is_uuid(&text) {
        return Some(InputId::from(text.to_ascii_lowercase().as_str()));
    }
    let msg = "Input should be a valid UUID";
    fields.problem(
        &["input_id".into()],
        "uuid_parsing",
        msg,
        &Value::from(text),
        json!({"error": "8-4-4-4-12 hex digits"}),
    );
    None
}

/// `8-4-4-4-12` hex digits.
pub(super) fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, b)| match at {
            8 | 13 | 18 | 23 => b == b'-',
            _ => b.is_ascii_hexdigit(),
        })
}

/// The session, and what became of the input.
#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct InputAnswer {
    #[serde(flatten)]
    session: Session,
    /// The input's id.
    #[schema(value_type = String)]
    input_id: InputId,
    /// Whether it waits for the running turn to end.
    queued: bool,
    /// Whether it went into the running turn.
    steered: bool,
}

/// Say something to the agent. While a turn runs it is queued, and sent when the turn ends.
#[utoipa::path(
    tag = "sessions", params(("id" = String, Path)), request_body = SendInput,
    responses((status = 200, body = InputAnswer), (status = 409), (status = 422), (status = 503))
)]
#[post("/api/sessions/{id}/input")]
pub(super) async fn send_input(
    caller: Caller,
    api: Data<Api>,
    path: SessionPath,
    body: Body<SendInput>,
) -> Result<Json<InputAnswer>, ApiError> {
    let Body(SendInput { text, images, input_id, steer }) = body;
    let input = GiveInput { text, images, input_id, by: caller.actor() };
    let session = path.id()?;
    let InputAccepted { session: view, input_id, queued } = api.world.input(&session, input).await?;
    // An agent that takes none gets it when its turn ends, and one that was sent meanwhile is where it should be.
    let steered =
        steer && queued && api.world.steer(&session, input_id.clone(), caller.actor()).await.is_ok();
    Ok(Json(InputAnswer { session: view, input_id, queued: queued && !steered, steered }))
}

/// How to stop a turn.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct InterruptQuery {
    /// Of a turn that was interrupted and does not stop: end the agent's program, which is started again at the next
    /// input.
    #[param(required = false)]
    force: bool,
}

impl FromFields for InterruptQuery {
    fn read(fields: &mut Fields) -> Self {
        Self { force: fields.flag("force").unwrap_or(false) }
    }
}

/// Stop the running turn, and the tools in it. An agent that does not stop in ten seconds is ended.
#[utoipa::path(
    tag = "sessions", params(("id" = String, Path), InterruptQuery),
    responses((status = 200, body = Session), (status = 409))
)]
#[post("/api/sessions/{id}/interrupt")]
pub(super) async fn interrupt_session(
    caller: Caller,
    api: Data<Api>,
    path: SessionPath,
    query: Query<InterruptQuery>,
) -> Result<Json<Session>, ApiError> {
    let (session, by) = (path.id()?, caller.actor());
    Ok(Json(if query.0.force {
        api.world.force_stop(&session, by).await?
    } else {
        api.world.interrupt(&session, by).await?
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuids_are_told_from_other_text() {
        assert!(is_uuid("0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4A5B"));
        for bad in [
            "",
            "0190a1b2c3d47e5f8a9b0c1d2e3f4a5b",
            "0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5g",
            "äääääääääääääääääää",
        ] {
            assert!(!is_uuid(bad), "{bad}");
        }
    }
}
