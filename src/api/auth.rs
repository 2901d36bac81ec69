//! Who may come in: checked before anything else is looked at, on every request.

use std::net::IpAddr;

use actix_web::dev::{Payload, ServiceRequest};
use actix_web::http::{Method, header};
use actix_web::web::Data;
use actix_web::{FromRequest, HttpMessage, HttpRequest};
use std::future::{Ready, ready};
use subtle::ConstantTimeEq;
use tether_actors::domain::approval::Actor;
use tether_actors::domain::ids::DeviceId;

use super::Api;
use super::error::ApiError;
use super::pairing::Found;

/// Who sent a request, once it was let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// `cli`, `web`, `mcp` or `api`.
    pub surface: &'static str,
    /// The device's name, if it is a paired one.
    pub name: Option<String>,
    /// The device, if it is a paired one.
    pub device: Option<DeviceId>,
}

impl Caller {
    /// The same as the log records it.
    pub fn actor(&self) -> Actor {
        Actor::Person { surface: self.surface.to_owned(), name: self.name.clone() }
    }
}

/// Routes that need to know who calls; a request that nobody let in is refused here too.
impl FromRequest for Caller {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(req.extensions().get::<Caller>().cloned().ok_or_else(ApiError::unauthorized))
    }
}

/// Lets a request in or not. What was found out of the sender is kept with the request.
pub async fn admit(api: &Data<Api>, req: &ServiceRequest) -> Result<(), ApiError> {
    check_host(api, req)?;
    // The path as the router will see it, which is not always how it was sent (`/%61pi`).
    if !is_protected(req.match_info().unprocessed(), req.method()) {
        return Ok(());
    }
    match identify(api, req) {
        Ok(caller) => {
            req.extensions_mut().insert(caller);
            Ok(())
        }
        Err(tried) => {
            if tried {
                api.throttle.failed(peer(req)).await?;
            }
            Err(ApiError::unauthorized())
        }
    }
}

/// The address at the other end of the connection.
pub fn peer(req: &ServiceRequest) -> Option<IpAddr> {
    req.peer_addr().map(|address| address.ip())
}

fn check_host(api: &Api, req: &ServiceRequest) -> Result<(), ApiError> {
    let mut hosts = req.headers().get_all(header::HOST);
    let host = match (hosts.next(), hosts.next()) {
        (Some(host), None) => host.to_str().unwrap_or_default(),
        _ => "",
    };
    if !api.hosts.is_ours(host) {
        return Err(ApiError::forbidden(format!(
            "this daemon does not answer to the host {host:?}: use its own address, or add the name to the allowed hosts"
        )));
    }
    for origin in req.headers().get_all(header::ORIGIN) {
        let origin = origin.to_str().unwrap_or_default();
        if !api.hosts.may_come_from(origin, host) {
            return Err(ApiError::forbidden(format!(
                "pages of {origin:?} may not talk to this daemon: open its own page, or add the host to the allowed hosts"
            )));
        }
    }
    Ok(())
}

/// Whether a path needs a token: all but the login, the health check and the web app's own files.
fn is_protected(path: &str, method: &Method) -> bool {
    let first = path.trim_start_matches('/').split('/').next().unwrap_or_default();
    match path {
        "/api/health" | "/api/login" => false,
        _ => method != Method::GET || matches!(first, "api" | "events" | "metrics" | "mcp" | "health"),
    }
}

/// The sender; the error says whether a wrong token was given (and not just none).
fn identify(api: &Data<Api>, req: &ServiceRequest) -> Result<Caller, bool> {
    let surface = match req.headers().get("x-tether-surface").and_then(|value| value.to_str().ok()) {
        Some("cli") => "cli",
        Some("web") => "web",
        Some("mcp") => "mcp",
        _ => "api",
    };
    let Some(token) = &api.settings.token else {
        return Ok(Caller { surface, name: None, device: None });
    };
    let bearer = bearer(req);
    if let Some(given) = bearer {
        // An empty token would be no secret: nobody is let in by it.
        if !token.is_empty() && bool::from(given.as_bytes().ct_eq(token.as_bytes())) {
            return Ok(Caller { surface, name: None, device: None });
        }
        if let Some(found) = api.pairing.find(given) {
            return Ok(admitted(api, surface, found));
        }
    }
    let cookie = req.cookie(&api.cookie_name);
    if let Some(found) = cookie.as_ref().and_then(|cookie| api.pairing.find(cookie.value())) {
        return Ok(admitted(api, "web", found));
    }
    Err(bearer.is_some() || cookie.is_some())
}

fn admitted(api: &Data<Api>, surface: &'static str, Found { device, store }: Found) -> Caller {
    if store {
        let (api, id) = (api.clone(), device.id.clone());
        actix_web::rt::spawn(async move {
            if let Err(error) = api.pairing.store_seen(&api.log, &id).await {
                tracing::warn!(device = %id, %error, "it could not be stored that the device was seen");
            }
        });
    }
    Caller { surface, name: Some(device.name), device: Some(device.id) }
}

fn bearer(req: &ServiceRequest) -> Option<&str> {
    let (scheme, token) = req.headers().get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_but_the_login_the_health_check_and_files_needs_a_token() {
        for (path, open) in [
            ("/", true),
            ("/sw.js", true),
            ("/apis", true),
            ("/sessions/x", true),
            ("/api/health", true),
            ("/api/login", true),
            ("/api", false),
            ("/api/", false),
            ("//api/sessions", false),
            ("/api/health/", false),
            ("/api/nope", false),
            ("/events/sessions/x", false),
            ("/metrics", false),
            ("/health", false),
            ("/mcp", false),
        ] {
            assert_eq!(!is_protected(path, &Method::GET), open, "{path}");
        }
        assert!(is_protected("/", &Method::POST));
        assert!(!is_protected("/api/login", &Method::POST));
    }
}
