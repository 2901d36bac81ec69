//! Paired devices: login with a one-time code, list, removal.

use actix_web::cookie::{Cookie, SameSite, time};
use actix_web::http::{StatusCode, header};
use actix_web::web::{Data, Json};
use actix_web::{HttpRequest, HttpResponse, delete, get, post};
use serde::Serialize;
use serde_json::{Value, json};
use tether_actors::domain::device::Device;
use tether_actors::domain::ids::DeviceId;
use tether_actors::domain::time::Stamp;

use super::Api;
use super::auth::Caller;
use super::error::{ApiError, ErrorBody};
use super::extract::{Body, FromFields, path_id};
use super::fields::Fields;
use super::pairing;

/// Longest name of a device, in characters.
const NAME: usize = 80;
/// How long a browser keeps its cookie; browsers allow no more.
const COOKIE_DAYS: i64 = 400;

/// A paired device. Its token is shown to nobody.
#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct DeviceView {
    #[schema(value_type = String)]
    id: DeviceId,
    /// What it was called when it was paired.
    name: String,
    #[schema(value_type = String)]
    created_at: Stamp,
    /// Whether it is the one that asks.
    current: bool,
}

impl DeviceView {
    fn new(device: &Device, caller: Option<&DeviceId>) -> Self {
        Self {
            id: device.id.clone(),
            name: device.name.clone(),
            created_at: device.created_at,
            current: caller == Some(&device.id),
        }
    }
}

/// All paired devices, oldest first.
#[utoipa::path(tag = "devices", responses((status = 200, body = Vec<DeviceView>)))]
#[get("/api/devices")]
pub(super) async fn list_devices(caller: Caller, api: Data<Api>) -> Json<Vec<DeviceView>> {
    let devices = api.pairing.list();
    Json(devices.iter().map(|device| DeviceView::new(device, caller.device.as_ref())).collect())
}

/// Forget a device: its token is worth nothing from now on, and what it has open is closed.
#[utoipa::path(
    tag = "devices", params(("device_id" = String, Path)), responses((status = 200), (status = 404, body = ErrorBody))
)]
#[delete("/api/devices/{device_id}")]
pub(super) async fn remove_device(
    caller: Caller,
    api: Data<Api>,
    req: HttpRequest,
) -> Result<Json<Value>, ApiError> {
    let id = DeviceId::from(path_id(&req, "device_id"));
    if !api.pairing.knows(&id) {
        return Err(ApiError::not_found(format!("no device {id}")));
    }
    forget(&api, &id).await?;
    tracing::info!(device = %id, by = %caller.actor(), "device removed");
    Ok(Json(json!({"ok": true})))
}

/// On disk first: a device that was said to be gone must not come back with a restart.
async fn forget(api: &Api, id: &DeviceId) -> Result<(), ApiError> {
    api.log.delete_device(id.clone()).await?;
    api.pairing.remove(id);
    Ok(())
}

/// A code that logs one device in.
#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct CodeAnswer {
    /// `XXXXX-XXXXX`.
    code: String,
    /// Seconds for which it is good.
    expires_in_s: u64,
}

/// Make a code that logs one device in, once, within ten minutes.
#[utoipa::path(tag = "devices", responses((status = 201, body = CodeAnswer)))]
#[post("/api/devices/codes")]
pub(super) async fn make_code(caller: Caller, api: Data<Api>) -> HttpResponse {
    tracing::info!(by = %caller.actor(), "login code made");
    let code = api.pairing.new_code();
    HttpResponse::Created().json(CodeAnswer { code, expires_in_s: pairing::CODE_LIFETIME.as_secs() })
}

/// A login.
#[derive(utoipa::ToSchema)]
pub(super) struct Login {
    /// The one-time code.
    #[schema(min_length = 1, max_length = 64)]
    code: String,
    /// What to call the device.
    #[schema(max_length = 80)]
    name: Option<String>,
    /// Also give the token in the answer: for programs that keep no cookies.
    #[schema(default = false, required = false)]
    return_token: bool,
}

impl FromFields for Login {
    fn read(fields: &mut Fields) -> Self {
        Self {
            code: fields.required_text("code", 1, 64),
            name: fields.text_within("name", 0, NAME),
            return_token: fields.flag("return_token").unwrap_or(false),
        }
    }
}

/// Who is logged in now.
#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct LoginAnswer {
    ok: bool,
    device: DeviceView,
    /// Its token, if it was asked for; it is not shown again.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
}

/// Log a device in with a one-time code. A browser gets a cookie.
#[utoipa::path(
    tag = "devices", request_body = Login,
    responses((status = 200, body = LoginAnswer), (status = 401, body = ErrorBody), (status = 429, body = ErrorBody))
)]
#[post("/api/login")]
pub(super) async fn login(
    api: Data<Api>,
    req: HttpRequest,
    body: Body<Login>,
) -> Result<HttpResponse, ApiError> {
    let Body(Login { code, name, return_token }) = body;
    if !api.pairing.use_code(&code) {
        api.throttle.failed(req.peer_addr().map(|address| address.ip())).await?;
        let message = "this code is wrong, used or too old: make a new one with `tether open`";
        return Err(ApiError::new(StatusCode::UNAUTHORIZED, "UNAUTHORIZED", message));
    }
    let name = name.map(|name| name.split_whitespace().collect::<Vec<_>>().join(" "));
    let token = pairing::new_token();
    let device = Device {
        id: DeviceId::random(),
        name: name.filter(|name| !name.is_empty()).unwrap_or_else(|| "a browser".into()),
        token_hash: pairing::hash(&token),
        created_at: Stamp::now(),
    };
    api.log.put_device(device.clone()).await?;
    api.pairing.add(device.clone());
    tracing::info!(device = %device.id, name = device.name, "device paired");
    let cookie = Cookie::build(api.cookie_name.clone(), token.clone())
        .path("/")
        .http_only(true)
        .same_site(SameSite::Strict)
        .secure(is_https(&req))
        .max_age(time::Duration::days(COOKIE_DAYS))
        .finish();
    let device = DeviceView::new(&device, Some(&device.id));
    let answer = LoginAnswer { ok: true, device, token: return_token.then_some(token) };
    Ok(HttpResponse::Ok().cookie(cookie).json(answer))
}

/// Whether the page came over TLS (through a proxy). Otherwise a cookie marked as secure would be dropped.
fn is_https(req: &HttpRequest) -> bool {
    let origin = req.headers().get(header::ORIGIN).and_then(|value| value.to_str().ok());
    origin.is_some_and(|origin| origin.starts_with("https://"))
}

/// Log the device out that asks, and forget it.
#[utoipa::path(tag = "devices", responses((status = 200)))]
#[post("/api/logout")]
pub(super) async fn logout(caller: Caller, api: Data<Api>) -> Result<HttpResponse, ApiError> {
    if let Some(id) = &caller.device {
        forget(&api, id).await?;
        tracing::info!(device = %id, "device logged out");
    }
    let mut cookie = Cookie::build(api.cookie_name.clone(), "")
        .path("/")
        .http_only(true)
        .same_site(SameSite::Strict)
        .finish();
    cookie.make_removal();
    Ok(HttpResponse::Ok().cookie(cookie).json(json!({"ok": true})))
}
