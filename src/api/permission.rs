//! The contract's way to answer what an agent asks. `/api/approvals` can say more.

use actix_web::post;
use actix_web::web::{Data, Json};
use serde_json::{Map, Value, json};
use tether_actors::domain::approval::{Answer, Scope};
use tether_actors::gate::{ApprovalRef, GateError};

use super::Api;
use super::auth::Caller;
use super::error::ApiError;
use super::extract::{Body, FromFields, SessionPath};
use super::fields::Fields;

/// An answer.
#[derive(utoipa::ToSchema)]
pub(super) struct PermissionAnswer {
    /// The `request_id` of the `permission_request` event.
    #[schema(min_length = 1)]
    request_id: String,
    /// Yes or no.
    allow: bool,
    /// A word to the agent.
    message: Option<String>,
    /// Run with this input in place of the one asked about.
    #[schema(value_type = Option<Object>)]
    updated_input: Option<Map<String, Value>>,
}

impl FromFields for PermissionAnswer {
    fn read(fields: &mut Fields) -> Self {
        Self {
            request_id: fields.required_text("request_id", 1, usize::MAX),
            allow: fields.required_flag("allow"),
            message: fields.text("message"),
            updated_input: fields.object("updated_input"),
        }
    }
}

/// Answer an open question of the session. Whatever was answered already is not found, even by the same answer.
#[utoipa::path(
    tag = "approvals", params(("id" = String, Path)), request_body = PermissionAnswer,
    responses((status = 200), (status = 404), (status = 422))
)]
#[post("/api/sessions/{id}/permission")]
pub(super) async fn answer_permission(
    caller: Caller,
    api: Data<Api>,
    path: SessionPath,
    body: Body<PermissionAnswer>,
) -> Result<Json<Value>, ApiError> {
    let Body(PermissionAnswer { request_id, allow, message, updated_input }) = body;
    let id = path.id()?;
    api.session(&id)?;
    let gone =
        || ApiError::not_found(format!("Permission request {request_id} not found or already resolved"));
    if !api.log.read_model.open_in(&id).iter().any(|approval| approval.request_id == request_id) {
        return Err(gone());
    }
    let answer = if allow {
        let updated_input = updated_input.map(Value::Object);
        Answer::Allow { scope: Scope::Once, updated_input, answers: None, message }
    } else {
        Answer::Deny { message }
    };
    let approval = ApprovalRef::Request(request_id.clone());
    match api.world.answer(&id, approval, answer, caller.actor()).await {
        Ok(_) => Ok(Json(json!({"ok": true}))),
        Err(GateError::NotFound(_) | GateError::AlreadyAnswered(_)) => Err(gone()),
        Err(error) => Err(error.into()),
    }
}
