//! The WebSocket's handshake. Who may come in was decided at the [edge](super::edge), as for every request; what
//! is said then is the socket's own.

use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse, get};

use super::Api;
use super::auth::Caller;
use super::error::{ApiError, ErrorBody};
use tether_actors::domain::code::Code;

/// Follow sessions and the overview, say things, interrupt and answer, all over one WebSocket. One JSON object a
/// text frame.
#[utoipa::path(
    tag = "events", responses((status = 101), (status = 400, body = ErrorBody), (status = 503, body = ErrorBody))
)]
#[get("/api/ws")]
pub(super) async fn open_socket(
    caller: Caller,
    api: Data<Api>,
    req: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, ApiError> {
    if api.shutdown.state().is_some() {
        return Err(ApiError::stopping());
    }
    let by = caller.actor();
    let shared = api.clone();
    let revoked = async move {
        match caller.device {
            Some(device) => shared.pairing.wait_forgotten(&device).await,
            None => std::future::pending().await,
        }
    };
    api.sockets.accept(api.world.clone(), by, &req, payload, revoked).map_err(|error| {
        let status = error.error_response().status();
        let way = "connect to this path as a WebSocket (version 13)";
        ApiError::new(status, Code::NoHandshake, format!("{error}: {way}"))
    })
}
