//! The chat platforms: how they are, which session is shown where, and codes that let people in.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Json};
use actix_web::{HttpRequest, HttpResponse, delete, get, post};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tether_actors::bridge::{CODE_LIVES, ChatPerson, Health, NotRemoved};
use tether_actors::domain::code::Code;
use tether_actors::domain::session::Session;
use tether_actors::domain::time::Stamp;
use tether_actors::session::Bind;

use super::Api;
use super::auth::Caller;
use super::error::{ApiError, ErrorBody};
use super::extract::{Body, FromFields, SessionPath, path_id};
use super::fields::Fields;

/// The platforms that there are, in the order in which they are told.
const PLATFORMS: [&str; 3] = ["telegram", "slack", "discord"];

/// The chat platforms.
#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct BridgeList {
    bridges: Vec<BridgeStatus>,
}

/// One platform.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
struct BridgeStatus {
    /// `telegram`, `slack`, `discord`.
    platform: String,
    /// `running`, `not_configured`, `error`.
    status: String,
    /// Since when it is connected; null while it is not.
    #[schema(value_type = Option<String>)]
    initialized_at: Option<Stamp>,
    /// What went wrong last; null when all is well.
    error_message: Option<String>,
    /// Who the bot is and where it talks.
    identity: Option<String>,
    /// Messages that wait to be sent.
    outbox: usize,
    /// When a message was last sent.
    #[schema(value_type = Option<String>)]
    last_delivery: Option<Stamp>,
    /// Sessions that it shows.
    sessions: usize,
    /// People who may act there: of the settings, and paired.
    people: usize,
}

impl BridgeStatus {
    fn of(platform: &str, health: Option<Health>) -> Self {
        let status = match &health {
            None => "not_configured",
            Some(health) if health.connected_since.is_some() => "running",
            Some(_) => "error",
        };
        let health = health.unwrap_or(Health {
            platform: "",
            identity: None,
            connected_since: None,
            last_error: None,
            last_error_at: None,
            outbox: 0,
            last_delivery: None,
            sessions: 0,
            people: 0,
        });
        let waits =
            (status == "error" && health.last_error.is_none()).then(|| "it is not connected yet".to_owned());
        Self {
            platform: platform.to_owned(),
            status: status.to_owned(),
            initialized_at: health.connected_since,
            error_message: health.last_error.or(waits),
            identity: health.identity,
            outbox: health.outbox,
            last_delivery: health.last_delivery,
            sessions: health.sessions,
            people: health.people,
        }
    }
}

fn all(api: &Api) -> Json<BridgeList> {
    let mut health = api.settings.bridges.health();
    let mut take = |platform: &str| {
        let at = health.iter().position(|health| health.platform == platform);
        at.map(|at| health.swap_remove(at))
    };
    let bridges = PLATFORMS.iter().map(|platform| BridgeStatus::of(platform, take(platform))).collect();
    Json(BridgeList { bridges })
}

/// How the connections to the chat platforms are.
#[utoipa::path(tag = "status", responses((status = 200, body = BridgeList)))]
#[get("/api/status/bridges")]
pub(super) async fn bridge_status(_: Caller, api: Data<Api>) -> Json<BridgeList> {
    all(&api)
}

/// The same where the command line of Tether 0.3.4 looks for it.
#[utoipa::path(tag = "status", responses((status = 200, body = BridgeList)))]
#[get("/api/bridges")]
pub(super) async fn list_bridges(_: Caller, api: Data<Api>) -> Json<BridgeList> {
    all(&api)
}

/// A code that lets one person use a bot.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ChatCode {
    /// To be sent to the bot: `/pair <code>` or `!pair <code>`. Good once.
    pub code: String,
    /// Until when.
    #[schema(value_type = String)]
    pub expires_at: Stamp,
}

/// A code with which one person on one of the chat platforms is let in.
#[utoipa::path(tag = "status", responses((status = 200, body = ChatCode), (status = 409, body = ErrorBody)))]
#[post("/api/bridges/pair")]
pub(super) async fn pair_chat(_: Caller, api: Data<Api>) -> Result<Json<ChatCode>, ApiError> {
    let code = api.settings.bridges.pair().ok_or_else(|| {
        ApiError::conflict(Code::InvalidState, "no chat platform is set up: `tether init` sets one up")
    })?;
    let lives = i64::try_from(CODE_LIVES.as_secs()).unwrap_or_default();
    Ok(Json(ChatCode { code, expires_at: Stamp::now().plus_seconds(lives) }))
}

impl From<NotRemoved> for ApiError {
    fn from(error: NotRemoved) -> Self {
        let words = error.to_string();
        match error {
            NotRemoved::NoBridge(_) | NotRemoved::Unknown(_) => Self::not_found(words),
            NotRemoved::OfSettings(..) => Self::conflict(Code::InvalidState, words),
            NotRemoved::NotKept => Self::new(StatusCode::SERVICE_UNAVAILABLE, Code::Unavailable, words),
        }
    }
}

/// The people who may use the bots: those whom the settings name, and those who were let in by a code.
#[utoipa::path(tag = "status", responses((status = 200, body = Vec<ChatPerson>)))]
#[get("/api/bridges/people")]
pub(super) async fn list_people(_: Caller, api: Data<Api>) -> Json<Vec<ChatPerson>> {
    Json(api.settings.bridges.people().await)
}

/// Somebody who was thrown out.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct PersonRemoved {
    /// Always true.
    pub ok: bool,
    /// Standing permissions of theirs that were ended.
    pub grants_ended: usize,
}

/// Throw somebody out who was let in by a code, at once; the standing permissions that they gave end.
#[utoipa::path(
    tag = "status", params(("platform" = String, Path), ("person_id" = String, Path)),
    responses((status = 200, body = PersonRemoved), (status = 404, body = ErrorBody), (status = 409, body = ErrorBody))
)]
#[delete("/api/bridges/{platform}/people/{person_id}")]
pub(super) async fn remove_person(
    caller: Caller,
    api: Data<Api>,
    req: HttpRequest,
) -> Result<Json<PersonRemoved>, ApiError> {
    let (platform, person) = (path_id(&req, "platform"), path_id(&req, "person_id"));
    let grants_ended = api.settings.bridges.remove_person(platform, person, caller.actor()).await?;
    Ok(Json(PersonRemoved { ok: true, grants_ended }))
}

/// Refuses a chat platform that no bridge runs for.
pub(super) fn platform_runs(api: &Api, platform: Option<&str>) -> Result<(), ApiError> {
    match platform.filter(|platform| !api.settings.bridges.runs(platform)) {
        None => Ok(()),
        Some(platform) => {
            let message = format!("No bridge registered for platform: {platform}");
            Err(ApiError::bad_request(Code::ValidationError, message))
        }
    }
}

/// The platform of a new session: the one that is wanted (`none` = none), else the configured one.
pub(super) fn wanted_platform(api: &Api, wanted: Option<String>) -> Result<Option<String>, ApiError> {
    let wanted = match wanted.as_deref() {
        Some("none") => None,
        Some(_) => wanted,
        None => api.settings.default_platform.clone(),
    };
    platform_runs(api, wanted.as_deref())?;
    Ok(wanted)
}

/// Where to show a session.
#[derive(utoipa::ToSchema)]
pub(super) struct BindSession {
    /// `telegram`, `slack`, `discord`.
    platform: String,
}

impl FromFields for BindSession {
    fn read(fields: &mut Fields) -> Self {
        Self { platform: fields.required_text("platform", 1, 32) }
    }
}

/// Show a session on a chat platform. One that is shown elsewhere must be taken from there first.
#[utoipa::path(
    tag = "sessions", params(("id" = String, Path)), request_body = BindSession,
    responses((status = 200, body = Session), (status = 400, body = ErrorBody), (status = 409, body = ErrorBody))
)]
#[post("/api/sessions/{id}/platform")]
pub(super) async fn bind_platform(
    _: Caller,
    api: Data<Api>,
    path: SessionPath,
    body: Body<BindSession>,
) -> Result<Json<Session>, ApiError> {
    let Body(BindSession { platform }) = body;
    let id = path.id()?;
    platform_runs(&api, Some(&platform))?;
    if let Some(bound) = &api.session(&id)?.record.session.platform
        && *bound != platform
    {
        let text = format!("Session is already bound to platform: {bound}");
        return Err(ApiError::conflict(Code::AlreadyBound, text));
    }
    Ok(Json(api.world.bind(&id, Bind { platform: Some(Some(platform)), ..Bind::default() }).await?))
}

/// Unbind a session from its chat platform. Its thread stays there, and is used again when it is bound again.
#[utoipa::path(
    tag = "sessions", params(("id" = String, Path)), responses((status = 200), (status = 409, body = ErrorBody))
)]
#[delete("/api/sessions/{id}/platform")]
pub(super) async fn unbind_platform(
    _: Caller,
    api: Data<Api>,
    path: SessionPath,
) -> Result<HttpResponse, ApiError> {
    let id = path.id()?;
    if api.session(&id)?.record.session.platform.is_none() {
        return Err(ApiError::conflict(Code::InvalidState, "Session is not bound to any platform"));
    }
    api.world.bind(&id, Bind { platform: Some(None), ..Bind::default() }).await?;
    Ok(HttpResponse::Ok().json(json!({"ok": true})))
}
