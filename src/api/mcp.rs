//! `/mcp`: the MCP server over streamable HTTP.
//!
//! The protocol is the library's; this carries requests to it and answers back. Who may come in was checked before,
//! as on every route: token, `Host` and `Origin`. The tools ask the daemon by its own API, as they do on standard
//! input and output, so that what they can do is the same everywhere.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header;
use actix_web::web::{Bytes, Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use futures_util::{Stream, StreamExt as _};
use http_body_util::{BodyExt as _, Full};
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};

use super::auth::Caller;
use super::error::ApiError;
use super::{Api, Settings};
use crate::client::Client;
use crate::config::Connection;
use crate::mcp::Server;
use tether_actors::domain::code::Code;

/// Where it is.
pub const PATH: &str = "/mcp";
/// A client that was not heard of for so long is forgotten: longer than the longest wait of a tool.
const FORGET: Duration = Duration::from_secs(25 * 3600);

type Service = StreamableHttpService<Server, LocalSessionManager>;

/// The server behind the route; `None` where the daemon cannot reach itself.
pub struct Endpoint(Option<Service>);

impl Endpoint {
    /// An endpoint whose tools ask the daemon at the address that it listens on.
    pub fn new(settings: &Settings) -> Self {
        Self(client(settings).map(service))
    }

    /// Ends what is under way, so that it does not hold up a daemon that stops.
    pub fn close(&self) {
        if let Some(service) = &self.0 {
            service.config.cancellation_token.cancel();
        }
    }
}

fn client(settings: &Settings) -> Option<Client> {
    let own = own_address(&settings.bound)?;
    let connection =
        Connection { host: own.ip().to_string(), port: own.port(), token: settings.token.clone() };
    Client::for_agents(connection, None)
        .inspect_err(|error| tracing::warn!(%error, "there is no MCP server at /mcp"))
        .ok()
}

/// Where the daemon reaches itself: at loopback if it can.
fn own_address(bound: &[SocketAddr]) -> Option<SocketAddr> {
    let reachable = |address: &SocketAddr| match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => SocketAddr::new(Ipv4Addr::LOCALHOST.into(), address.port()),
        IpAddr::V6(ip) if ip.is_unspecified() => SocketAddr::new(Ipv6Addr::LOCALHOST.into(), address.port()),
        _ => *address,
    };
    let all: Vec<SocketAddr> = bound.iter().map(reachable).collect();
    all.iter().find(|address| address.ip().is_loopback()).or(all.first()).copied()
}

fn service(client: Client) -> Service {
    let mut sessions = LocalSessionManager::default();
    sessions.session_config.keep_alive = Some(FORGET);
    // Checked for every route already, by the daemon's own rules.
    let config = StreamableHttpServerConfig::default().disable_allowed_hosts().disable_allowed_origins();
    StreamableHttpService::new(move || Ok(Server::new(client.clone())), Arc::new(sessions), config)
}

/// Carries a request to the server and its answer back.
pub(super) async fn serve(
    caller: Caller,
    api: Data<Api>,
    req: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, ApiError> {
    let Some(service) = &api.mcp.0 else {
        return Err(ApiError::not_found("this daemon has no MCP server: it cannot reach its own address"));
    };
    let limit = api.settings.body_limit;
    let body = payload.to_bytes_limited(limit).await.map_err(|_| ApiError::too_large(limit))?;
    let body = body.map_err(|error| {
        ApiError::bad_request(Code::IncompleteBody, format!("the body did not arrive whole: {error}"))
    })?;
    let answer = service.handle(inward(&req, body)?).await;
    let (head, body) = answer.into_parts();
    let status = actix_web::http::StatusCode::from_u16(head.status.as_u16());
    let mut response = HttpResponse::build(status.unwrap_or(actix_web::http::StatusCode::BAD_GATEWAY));
    for (name, value) in &head.headers {
        // How long it is and how it is cut into pieces is for our own server to say.
        if name.as_str() != "content-length" && name.as_str() != "transfer-encoding" {
            response.append_header((name.as_str(), value.as_bytes()));
        }
    }
    Ok(response.streaming(until_forgotten(api, caller, body.into_data_stream())))
}

/// actix-web and the MCP library speak in the types of two versions of the same crate.
fn inward(req: &HttpRequest, body: Bytes) -> Result<http::Request<Full<Bytes>>, ApiError> {
    let odd =
        |_: http::Error| ApiError::bad_request(Code::ValidationError, "the request's head cannot be read");
    let mut request = http::Request::builder().method(req.method().as_str()).uri(req.uri().to_string());
    for (name, value) in req.headers() {
        // The tools need none of the secrets.
        if name != header::AUTHORIZATION && name != header::COOKIE {
            request = request.header(name.as_str(), value.as_bytes());
        }
    }
    request.body(Full::new(body)).map_err(odd)
}

/// The answer, as long as the device that asked is a paired one.
fn until_forgotten<E: Into<actix_web::Error> + 'static>(
    api: Data<Api>,
    caller: Caller,
    body: impl Stream<Item = Result<Bytes, E>> + 'static,
) -> impl Stream<Item = Result<Bytes, actix_web::Error>> {
    let forgotten = Box::pin(async move {
        match &caller.device {
            Some(device) => api.pairing.wait_forgotten(device).await,
            None => std::future::pending().await,
        }
    });
    body.map(|piece| piece.map_err(Into::into)).take_until(forgotten)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_daemon_reaches_itself_at_loopback_if_it_can() {
        let of = |bound: &[&str]| {
            let bound: Vec<SocketAddr> = bound.iter().map(|a| a.parse().expect("an address")).collect();
            own_address(&bound).map(|address| address.to_string())
        };
        assert_eq!(of(&["0.0.0.0:1"]).as_deref(), Some("127.0.0.1:1"));
        assert_eq!(of(&["[::]:1"]).as_deref(), Some("[::1]:1"));
        assert_eq!(of(&["192.168.1.5:1", "[::1]:1"]).as_deref(), Some("[::1]:1"));
        assert_eq!(of(&["192.168.1.5:1"]).as_deref(), Some("192.168.1.5:1"));
        assert_eq!(of(&[]), None);
    }
}
