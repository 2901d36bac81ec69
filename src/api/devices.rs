//! Paired devices: one-time codes, login, list, names, removal.

use actix_web::cookie::{Cookie, SameSite, time};
use actix_web::http::{StatusCode, header};
use actix_web::web::{Data, Json};
use actix_web::{HttpRequest, HttpResponse, delete, get, patch, post};
use serde::Serialize;
use serde_json::{Value, json};
use tether_actors::domain::code::Code;
use tether_actors::domain::device::Device;
use tether_actors::domain::ids::DeviceId;
use tether_actors::domain::time::Stamp;

use super::Api;
use super::addresses::{self, Address, AddressKind};
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
    /// What the person calls it.
    name: String,
    #[schema(value_type = String)]
    created_at: Stamp,
    /// When it last asked for something.
    #[schema(value_type = Option<String>)]
    last_seen_at: Option<Stamp>,
    /// Whether it is the one that asks.
    current: bool,
}

impl DeviceView {
    fn new(device: &Device, caller: Option<&DeviceId>) -> Self {
        Self {
            id: device.id.clone(),
            name: device.name.clone(),
            created_at: device.created_at,
            last_seen_at: device.last_seen_at,
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
    if !api.pairing.remove(&api.log, &id).await? {
        return Err(no_device(&id));
    }
    tracing::info!(device = %id, by = %caller.actor(), "device removed");
    Ok(Json(json!({"ok": true})))
}

fn no_device(id: &DeviceId) -> ApiError {
    ApiError::not_found(format!("no device {id}: it was removed"))
}

/// A name.
#[derive(utoipa::ToSchema)]
pub(super) struct RenameDevice {
    /// 1 to 80 characters; runs of blanks become one.
    name: String,
}

impl FromFields for RenameDevice {
    fn read(fields: &mut Fields) -> Self {
        Self { name: tidy(&fields.required_text("name", 1, NAME)) }
    }
}

fn tidy(name: &str) -> String {
    name.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Give a device another name.
#[utoipa::path(
    tag = "devices", params(("device_id" = String, Path)), request_body = RenameDevice,
    responses((status = 200, body = DeviceView), (status = 404, body = ErrorBody))
)]
#[patch("/api/devices/{device_id}")]
pub(super) async fn rename_device(
    caller: Caller,
    api: Data<Api>,
    req: HttpRequest,
    body: Body<RenameDevice>,
) -> Result<Json<DeviceView>, ApiError> {
    let id = DeviceId::from(path_id(&req, "device_id"));
    if body.0.name.is_empty() {
        return Err(ApiError::invalid("the name is empty"));
    }
    let device = api.pairing.rename(&api.log, &id, body.0.name).await?.ok_or_else(|| no_device(&id))?;
    Ok(Json(DeviceView::new(&device, caller.device.as_ref())))
}

/// How to pair.
#[derive(utoipa::ToSchema)]
pub(super) struct PairingRequest {
    /// The address that the link shall lead to, one of those that are answered; the best for a phone otherwise.
    address: Option<String>,
}

impl FromFields for PairingRequest {
    const OPTIONAL: bool = true;

    fn read(fields: &mut Fields) -> Self {
        Self { address: fields.text_within("address", 0, 300) }
    }
}

/// A code that logs one device in, and how it gets there.
#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct PairingAnswer {
    /// `XXXXX-XXXXX`, good once.
    code: String,
    /// What a browser opens to be logged in. The code is behind `#`, so that no server, proxy or log sees it.
    link: String,
    /// Until when.
    #[schema(value_type = String)]
    expires_at: Stamp,
    /// Where this daemon can be reached, the best for a phone first.
    addresses: Vec<Address>,
    /// What to do so that a phone can reach it; null if one can.
    hint: Option<String>,
    /// The link as a QR code: an SVG document of its own.
    qr_svg: String,
}

/// Make a code that logs one device in, once, within ten minutes, with a link and a QR code for it.
#[utoipa::path(
    tag = "devices", request_body(content = Option<PairingRequest>),
    responses((status = 201, body = PairingAnswer), (status = 422, body = ErrorBody))
)]
#[post("/api/pairing")]
pub(super) async fn make_pairing(
    caller: Caller,
    api: Data<Api>,
    body: Body<PairingRequest>,
) -> Result<HttpResponse, ApiError> {
    let settings = &api.settings;
    let addresses = addresses::reachable(
        &settings.bound,
        addresses::interfaces(),
        settings.port,
        &settings.allowed_hosts,
    );
    let base = match &body.0.address {
        Some(wanted) => {
            let wanted = wanted.trim_end_matches('/');
            let known = addresses.iter().find(|address| address.url == wanted);
            known
                .ok_or_else(|| ApiError::invalid(format!("{wanted} is none of this daemon's addresses")))?
                .url
                .clone()
        }
        None => {
            addresses.first().map_or_else(|| format!("http://127.0.0.1:{}", settings.port), |a| a.url.clone())
        }
    };
    let only_here = addresses.iter().all(|address| address.kind == AddressKind::Loopback);
    let hint = only_here.then(|| {
        "only this machine can reach the daemon: to pair a phone, put a tunnel or VPN in front and name it in \
         TETHER_AGENT_ALLOWED_HOSTS, or listen on its address with TETHER_AGENT_HOST"
            .to_owned()
    });
    let code = api.pairing.new_code();
    let link = crate::client::login_url(&base, &code);
    let lifetime = i64::try_from(pairing::CODE_LIFETIME.as_secs()).unwrap_or_default();
    let expires_at = Stamp::now().plus_seconds(lifetime);
    let qr_svg = qr_svg(&link)?;
    tracing::info!(by = %caller.actor(), "login code made");
    Ok(HttpResponse::Created().json(PairingAnswer { code, link, expires_at, addresses, hint, qr_svg }))
}

/// Dark on white whatever the theme, as readers of codes want it.
fn qr_svg(link: &str) -> Result<String, ApiError> {
    let code = qrcode::QrCode::new(link).map_err(|error| {
        ApiError::invalid(format!("the link is too long for a QR code ({error}): choose another address"))
    })?;
    let mut svg = code.render::<qrcode::render::svg::Color<'_>>();
    svg.min_dimensions(240, 240);
    svg.dark_color(qrcode::render::svg::Color("#000")).light_color(qrcode::render::svg::Color("#fff"));
    Ok(svg.build())
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
        let message = "this code is wrong, used or too old: make a new one with `tether pair`";
        return Err(ApiError::new(StatusCode::UNAUTHORIZED, Code::Unauthorized, message));
    }
    let name = name.map(|name| tidy(&name)).filter(|name| !name.is_empty());
    let token = pairing::new_token();
    let device = Device {
        id: DeviceId::random(),
        name: name.unwrap_or_else(|| usual_name(&req)),
        token_hash: pairing::hash(&token),
        created_at: Stamp::now(),
        last_seen_at: Some(Stamp::now()),
    };
    api.pairing.add(&api.log, device.clone()).await?;
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

/// What a device is called that gave itself no name: its browser and its system, as far as it tells.
fn usual_name(req: &HttpRequest) -> String {
    let agent =
        req.headers().get(header::USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let find = |known: &[(&str, &'static str)]| {
        known.iter().find(|(mark, _)| agent.contains(mark)).map(|(_, name)| *name)
    };
    // Most pretend to be others too, so the order counts.
    let browser = find(&[
        ("Edg", "Edge"),
        ("OPR/", "Opera"),
        ("SamsungBrowser", "Samsung Internet"),
        ("Firefox", "Firefox"),
        ("FxiOS", "Firefox"),
        ("CriOS", "Chrome"),
        ("Chrome", "Chrome"),
        ("Safari", "Safari"),
    ]);
    let system = find(&[
        ("iPhone", "iPhone"),
        ("iPad", "iPad"),
        ("Android", "Android"),
        ("Macintosh", "Mac"),
        ("Windows", "Windows"),
        ("CrOS", "ChromeOS"),
        ("Linux", "Linux"),
    ]);
    match (browser, system) {
        (Some(browser), Some(system)) => format!("{browser} on {system}"),
        (Some(one), None) | (None, Some(one)) => one.to_owned(),
        (None, None) => "a browser".to_owned(),
    }
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
        api.pairing.remove(&api.log, id).await?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_without_a_name_is_called_by_its_browser_and_system() {
        let name = |agent: &str| {
            let request = actix_web::test::TestRequest::default().insert_header((header::USER_AGENT, agent));
            usual_name(&request.to_http_request())
        };
        for (agent, wanted) in [
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605 Version/18.0 Safari/604",
                "Safari on iPhone",
            ),
            (
                "Mozilla/5.0 (Linux; Android 15) AppleWebKit/537 Chrome/140.0 Mobile Safari/537",
                "Chrome on Android",
            ),
            ("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox on Linux"),
            ("curl/8", "a browser"),
            ("", "a browser"),
        ] {
            assert_eq!(name(agent), wanted);
        }
    }

    #[test]
    fn a_link_becomes_a_picture_without_anything_that_a_page_would_refuse() {
        let svg = qr_svg("http://192.168.1.5:8787/login#code=ABCDE-FGHJK").expect("it is short enough");
        assert!(svg.contains("<svg") && svg.ends_with("</svg>"), "{svg}");
        for word in ["style=", "<script", "onload"] {
            assert!(!svg.contains(word), "{word}");
        }
        assert!(qr_svg(&"x".repeat(5_000)).is_err());
    }
}
