//! What every request and every answer passes: who may come in, the headers of a careful server, figures.

use std::time::Instant;

use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::web::Data;
use actix_web::{HttpMessage, ResponseError};
use tracing_actix_web::{RequestId, RootSpanBuilder};

use super::Api;
use super::auth;

/// Scripts, styles and connections are our own; nobody may put us in a frame.
const CONTENT_SECURITY_POLICY: &str = "default-src 'self'; img-src 'self' data: blob:; object-src 'none'; \
     base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// Set on every answer that does not say otherwise itself.
const HEADERS: [(HeaderName, HeaderValue); 6] = [
    (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(CONTENT_SECURITY_POLICY)),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
];

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The middleware.
pub async fn edge<B: MessageBody + 'static>(
    req: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, actix_web::Error> {
    let began = Instant::now();
    let Some(api) = req.app_data::<Data<Api>>().cloned() else {
        return next.call(req).await.map(ServiceResponse::map_into_left_body);
    };
    let request_id = req.extensions().get::<RequestId>().map(|id| id.simple().to_string());
    let mut response = match auth::admit(&api, &req).await {
        Ok(()) => next.call(req).await?.map_into_left_body(),
        Err(error) => req.into_response(error.error_response()).map_into_right_body(),
    };
    let request = response.request();
    api.metrics.observe(request.match_name(), request.method(), response.status(), began.elapsed());
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        if !headers.contains_key(&name) {
            headers.insert(name, value);
        }
    }
    if let Some(id) = request_id.and_then(|id| HeaderValue::try_from(id).ok()) {
        headers.insert(REQUEST_ID, id);
    }
    Ok(response)
}

/// One span a request, whose id goes on to the agent. No query, no header, no body: a secret may be in each.
pub struct RequestSpan;

impl RootSpanBuilder for RequestSpan {
    fn on_request_start(request: &ServiceRequest) -> tracing::Span {
        let id = request.extensions().get::<RequestId>().map(|id| id.simple().to_string());
        tracing::info_span!(
            "request",
            request_id = id.unwrap_or_default(),
            method = %request.method(),
            path = request.path(),
            status = tracing::field::Empty,
        )
    }

    fn on_request_end<B: MessageBody>(
        span: tracing::Span,
        outcome: &Result<ServiceResponse<B>, actix_web::Error>,
    ) {
        match outcome {
            Ok(response) => {
                let status = response.status();
                span.record("status", status.as_u16());
                let error = response.response().error();
                if status.is_server_error() {
                    let error = error.map(tracing::field::display);
                    tracing::warn!(status = status.as_u16(), error, "request failed");
                } else {
                    let error = error.map(tracing::field::display);
                    tracing::debug!(status = status.as_u16(), error, "request answered");
                }
            }
            Err(error) => tracing::warn!(%error, "request failed"),
        }
    }
}
