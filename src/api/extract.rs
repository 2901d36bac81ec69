//! What routes take in: bodies, queries and ids, each refused in the API's own shape.

use std::future::{Ready, ready};
use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::http::{StatusCode, header};
use actix_web::web::{Bytes, BytesMut, Data};
use actix_web::{FromRequest, HttpRequest};
use futures_util::StreamExt;
use futures_util::future::LocalBoxFuture;
use serde_json::{Value, json};
use tether_actors::domain::code::Code;
use tether_actors::domain::ids::SessionId;

use super::error::ApiError;
use super::fields::Fields;
use super::{Api, Settings};

/// So long may a body pause; who sends none must not hold a connection for ever.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a route takes, read from the fields of a body or a query.
pub trait FromFields: Sized + 'static {
    /// Whether no body at all is an empty object.
    const OPTIONAL: bool = false;

    /// Longest body of it in bytes.
    fn limit(settings: &Settings) -> usize {
        settings.body_limit
    }

    /// Takes it out of the fields. Problems stay with the fields, and then this value is not used.
    fn read(fields: &mut Fields) -> Self;
}

/// A JSON object as the body.
pub struct Body<T>(pub T);

impl<T: FromFields> FromRequest for Body<T> {
    type Error = ApiError;
    type Future = LocalBoxFuture<'static, Result<Self, ApiError>>;

    fn from_request(req: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let limit = req.app_data::<Data<Api>>().map_or(0, |api| T::limit(&api.settings));
        let declared = header_text(req, header::CONTENT_LENGTH).and_then(|n| n.parse::<u64>().ok());
        let is_json = is_json(header_text(req, header::CONTENT_TYPE));
        let payload = payload.take();
        Box::pin(async move {
            if declared.is_some_and(|n| n > limit as u64) {
                return Err(ApiError::too_large(limit));
            }
            let raw = collect(payload, limit, declared).await?;
            if !raw.is_empty() && !is_json {
                let message = "send the body as JSON, with the header `Content-Type: application/json`";
                return Err(ApiError::new(
                    StatusCode::UNSUPPORTED_MEDIA_TYPE,
                    Code::UnsupportedMediaType,
                    message,
                ));
            }
            if raw.is_empty() && T::OPTIONAL {
                return read(Fields::of_body(serde_json::Map::new(), raw)).map(Self);
            }
            read(parse(raw)?).map(Self)
        })
    }
}

fn header_text(req: &HttpRequest, name: header::HeaderName) -> Option<&str> {
    req.headers().get(name).and_then(|value| value.to_str().ok())
}

/// `application/json` or `application/*+json`, with or without parameters.
fn is_json(content_type: Option<&str>) -> bool {
    let kind = content_type.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    let lower = kind.to_ascii_lowercase();
    lower == "application/json" || (lower.starts_with("application/") && lower.ends_with("+json"))
}

fn read<T: FromFields>(mut fields: Fields) -> Result<T, ApiError> {
    let value = T::read(&mut fields);
    fields.done().map(|()| value)
}

/// The first of the payload is not copied when it is all of it, which small bodies nearly always are.
async fn collect(mut payload: Payload, limit: usize, declared: Option<u64>) -> Result<Bytes, ApiError> {
    let cut = |error| {
        ApiError::bad_request(Code::IncompleteBody, format!("the body did not arrive whole: {error}"))
    };
    let Some(first) = payload.next().await else { return Ok(Bytes::new()) };
    let first = first.map_err(cut)?;
    if declared == Some(first.len() as u64) && first.len() <= limit {
        return Ok(first);
    }
    let mut body = BytesMut::from(first);
    while body.len() <= limit {
        match next(&mut payload).await? {
            Some(chunk) => body.extend_from_slice(&chunk),
            None => return Ok(body.freeze()),
        }
    }
    Err(ApiError::too_large(limit))
}

async fn next(payload: &mut Payload) -> Result<Option<Bytes>, ApiError> {
    match tokio::time::timeout(PATIENCE, payload.next()).await {
        Ok(Some(Ok(chunk))) => Ok(Some(chunk)),
        Ok(None) => Ok(None),
        Ok(Some(Err(error))) => {
            let message = format!("the body did not arrive whole: {error}");
            Err(ApiError::bad_request(Code::IncompleteBody, message))
        }
        Err(_) => {
            let message = format!("nothing of the body came for {} seconds", PATIENCE.as_secs());
            Err(ApiError::new(StatusCode::REQUEST_TIMEOUT, Code::RequestTimeout, message))
        }
    }
}

/// An object, or what is wrong with it.
fn parse(raw: Bytes) -> Result<Fields, ApiError> {
    if raw.is_empty() {
        let problem = json!({"type": "missing", "loc": ["body"], "msg": "Field required", "input": null});
        return Err(ApiError::schema(vec![problem]));
    }
    match serde_json::from_slice(&raw) {
        Ok(Value::Object(map)) => Ok(Fields::of_body(map, raw)),
        Ok(other) => {
            let msg = "Input should be a valid dictionary or object to extract fields from";
            let mut fields = Fields::of_body(serde_json::Map::new(), raw);
            fields.problem(&[], "model_attributes_type", msg, &other, Value::Null);
            Err(fields.done().err().unwrap_or_else(|| ApiError::invalid(msg)))
        }
        Err(error) => Err(ApiError::schema(vec![json!({
            "type": "json_invalid",
            "loc": ["body", offset(&raw, error.line(), error.column())],
            "msg": "JSON decode error",
            "input": {},
            "ctx": {"error": error.to_string()},
        })])),
    }
}

/// The byte at this line and column, both from 1.
fn offset(raw: &[u8], line: usize, column: usize) -> usize {
    let before: usize =
        raw.split(|b| *b == b'\n').take(line.saturating_sub(1)).map(|line| line.len() + 1).sum();
    (before + column.saturating_sub(1)).min(raw.len())
}

/// The query string.
pub struct Query<T>(pub T);

impl<T: FromFields> FromRequest for Query<T> {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(read(Fields::of_query(req.query_string())).map(Self))
    }
}

/// The `{id}` of a session in the path. Text that cannot be a session's id is nobody's: 404.
pub struct SessionPath(Option<SessionId>);

impl SessionPath {
    /// The id. Asked after the body was read, so that a wrong body is told first, as the contract has it.
    pub fn id(self) -> Result<SessionId, ApiError> {
        self.0.ok_or_else(ApiError::no_session)
    }
}

impl FromRequest for SessionPath {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        let id = req.match_info().get("id").filter(|id| SessionId::is_well_formed(id));
        ready(Ok(Self(id.map(SessionId::from))))
    }
}

/// Another id in the path, by its name there, percent-decoded as the router did it.
pub fn path_id<'r>(req: &'r HttpRequest, name: &str) -> &'r str {
    req.match_info().get(name).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use actix_web::ResponseError;

    use super::*;

    #[test]
    fn json_is_known_by_its_type_with_or_without_parameters() {
        for good in ["application/json", "Application/JSON; charset=utf-8", "application/merge-patch+json"] {
            assert!(is_json(Some(good)), "{good}");
        }
        for bad in [None, Some(""), Some("text/plain"), Some("text/json+json"), Some("application/jsonx")] {
            assert!(!is_json(bad), "{bad:?}");
        }
    }

    #[test]
    fn a_syntax_error_is_told_with_its_offset() {
        assert_eq!(offset(b"{\n  x}", 2, 3), 4);
        assert_eq!(offset(b"", 1, 0), 0);
        assert_eq!(offset(b"ab", 9, 9), 2);
    }

    #[test]
    fn bodies_that_are_no_object_are_refused_without_a_panic() {
        let deep = "[".repeat(100_000);
        for raw in ["null", "[]", "3", "{", "{\"a\":1e999}", "\"\u{fffd}", deep.as_str(), ""] {
            let error = parse(Bytes::copy_from_slice(raw.as_bytes())).expect_err("it is no object");
            assert_eq!(error.status_code(), StatusCode::UNPROCESSABLE_ENTITY);
        }
        assert!(parse(Bytes::from_static(b"{\"a\":\"\xff\"}")).is_err());
        assert!(parse(Bytes::from_static(b"{}")).is_ok());
    }
}
