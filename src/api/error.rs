//! The one shape of every refusal: `{"error":{"code","message","details"}}`.

use std::borrow::Cow;

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, ResponseError};
use serde::Serialize;
use serde_json::{Value, json};
use tether_actors::domain::code::Code;
use tether_actors::gate::GateError;
use tether_actors::log::LogError;
use tether_actors::session::SessionError;

/// Why a request was refused.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{code}: {message}")]
pub struct ApiError {
    status: StatusCode,
    code: Code,
    message: Cow<'static, str>,
    details: Value,
    /// Methods that the path does know, for a 405.
    allow: Option<String>,
}

/// The body of every refusal.
#[derive(Serialize, utoipa::ToSchema)]
pub struct ErrorBody {
    /// What went wrong.
    error: ErrorContent,
}

/// What went wrong.
#[derive(Serialize, utoipa::ToSchema)]
struct ErrorContent {
    /// A stable word in capitals.
    code: String,
    /// What happened and what to do, for people.
    message: String,
    /// The problems of a body or query one by one, or what the code promises; often null.
    details: Value,
}

impl ApiError {
    /// A refusal with this status, stable word and text.
    pub fn new(status: StatusCode, code: Code, message: impl Into<Cow<'static, str>>) -> Self {
        Self { status, code, message: message.into(), details: Value::Null, allow: None }
    }

    /// The same with `details`.
    pub fn with_details(mut self, details: Value) -> Self {
        self.details = details;
        self
    }

    /// The stable word.
    pub fn code(&self) -> Code {
        self.code
    }

    /// The text for people.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The problems one by one, or what the code promises.
    #[cfg(test)]
    pub fn details(&self) -> &Value {
        &self.details
    }

    /// 400.
    pub fn bad_request(code: Code, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    /// 401 with the contract's text.
    pub fn unauthorized() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, Code::Unauthorized, "Missing or invalid bearer token")
    }

    /// 403.
    pub fn forbidden(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::FORBIDDEN, Code::Forbidden, message)
    }

    /// 404.
    pub fn not_found(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::NOT_FOUND, Code::NotFound, message)
    }

    /// 404 for a session.
    pub fn no_session() -> Self {
        Self::not_found("Session not found")
    }

    /// 405; `allow` lists the methods that the path knows.
    pub fn method_not_allowed(allow: String) -> Self {
        let mut error =
            Self::new(StatusCode::METHOD_NOT_ALLOWED, Code::MethodNotAllowed, "Method not allowed");
        error.allow = Some(allow);
        error
    }

    /// 409.
    pub fn conflict(code: Code, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::CONFLICT, code, message)
    }

    /// 422 about the meaning of a value; `details` stay null.
    pub fn invalid(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, Code::ValidationError, message)
    }

    /// 422 about the shape of the body or query: one item a problem.
    pub fn schema(problems: Vec<Value>) -> Self {
        Self::invalid("Invalid request").with_details(Value::Array(problems))
    }

    /// 413.
    pub fn too_large(limit: usize) -> Self {
        let message = format!("the body is larger than the {limit} bytes that this route takes");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, Code::PayloadTooLarge, message)
    }

    /// 503 while the daemon stops.
    pub fn stopping() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, Code::Stopping, "the daemon is stopping")
    }
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status);
        if let Some(allow) = &self.allow {
            response.insert_header(("Allow", allow.as_str()));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            response.insert_header(("WWW-Authenticate", "Bearer"));
        }
        if matches!(self.status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) {
            response.insert_header(("Retry-After", "1"));
        }
        response.json(json!({"error": {"code": self.code, "message": self.message, "details": self.details}}))
    }
}

impl From<SessionError> for ApiError {
    fn from(error: SessionError) -> Self {
        let status = match &error {
            SessionError::NotFound | SessionError::InputNotQueued(_) => StatusCode::NOT_FOUND,
            SessionError::InvalidState(_) => StatusCode::CONFLICT,
            SessionError::Invalid(_) => StatusCode::UNPROCESSABLE_ENTITY,
            SessionError::AgentUnavailable(_) | SessionError::Held(_) | SessionError::Restarting => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            SessionError::Git(error) => return error.clone().into(),
            SessionError::Log(error) => log_status(error),
        };
        Self::new(status, error.code(), error.to_string())
    }
}

impl From<GateError> for ApiError {
    fn from(error: GateError) -> Self {
        let status = match &error {
            GateError::NotFound(_) | GateError::NoGrant(_) | GateError::NoSession => StatusCode::NOT_FOUND,
            GateError::AlreadyAnswered(_) => StatusCode::CONFLICT,
            GateError::Invalid(_) => StatusCode::UNPROCESSABLE_ENTITY,
            GateError::Restarting => StatusCode::SERVICE_UNAVAILABLE,
            GateError::Log(error) => log_status(error),
        };
        let this = Self::new(status, error.code(), error.to_string());
        match error {
            GateError::AlreadyAnswered(approval) => this.with_details(json!({ "approval": approval })),
            _ => this,
        }
    }
}

impl From<LogError> for ApiError {
    fn from(error: LogError) -> Self {
        Self::new(log_status(&error), error.code(), error.to_string())
    }
}

fn log_status(error: &LogError) -> StatusCode {
    match error {
        LogError::DiskFull { .. } => StatusCode::INSUFFICIENT_STORAGE,
        LogError::NoSession(_) => StatusCode::NOT_FOUND,
        LogError::Storage(_) | LogError::Corrupt(_) => StatusCode::INTERNAL_SERVER_ERROR,
        LogError::Closed => StatusCode::SERVICE_UNAVAILABLE,
    }
}
