//! Agents of the person's own, which push what they do and poll for what the person says.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse, get, post};
use bytes::BytesMut;
use serde_json::{Map, Value};
use tether_actors::domain::event::{Envelope, Frame};
use tether_actors::log::FollowError;
use tether_actors::session::{ExternalEvent, PushEvent};
use tokio::time::Instant;

use super::Api;
use super::auth::Caller;
use super::error::ApiError;
use super::extract::{Body, FromFields, Query, SessionPath};
use super::fields::Fields;
use super::once;

/// What an agent may push.
const TYPES: [&str; 5] = ["output", "status", "error", "permission_request", "permission_withdrawn"];
/// Longest id of a request, in characters.
const REQUEST_ID: usize = 200;
/// What a poll gives without a filter.
const POLLED: &str = "user_input,permission_resolved";
/// Longest wait of a poll, in seconds.
const LONGEST_WAIT: u64 = 60;
/// A poll's answer is closed when it is this long; the next one goes on.
const POLL_BYTES: usize = 4 << 20;

/// What the agent did.
#[derive(utoipa::ToSchema)]
pub(super) struct PushedEvent {
    /// `output`, `status`, `error`, `permission_request` or `permission_withdrawn`.
    #[schema(value_type = String, rename = "type")]
    kind: &'static str,
    /// `output`: `text`, `kind`, `is_final`; `status`: `status`; `error`: `code`, `message`;
    /// `permission_request`: `request_id`, `tool_name`, `tool_input`, `suggestions`; `permission_withdrawn`:
    /// `request_id` of a question that the agent no longer waits for.
    #[schema(value_type = Object)]
    data: ExternalEvent,
    /// A text of the agent's choice: sent again under it, the event is recorded once. The header `Idempotency-Key`
    /// does the same.
    #[schema(required = false)]
    pub(super) idempotency_key: Option<String>,
}

impl FromFields for PushedEvent {
    fn read(fields: &mut Fields) -> Self {
        let kind = fields.required_word("type", &TYPES);
        let data = fields.required_object("data");
        let mut inner = fields.inner("data", data);
        let data = event(kind, &mut inner);
        fields.absorb(inner);
        Self { kind, data, idempotency_key: fields.text_within("idempotency_key", 1, once::LONGEST) }
    }
}

impl PushedEvent {
    /// What the session is told.
    pub(super) fn into_push(self) -> PushEvent {
        let mark = self.idempotency_key.map(|key| once::mark(&key, &self.data));
        PushEvent { event: self.data, mark }
    }
}

fn event(kind: &str, data: &mut Fields) -> ExternalEvent {
    match kind {
        "output" => ExternalEvent::Output {
            text: data.text("text").unwrap_or_default(),
            kind: data.text("kind").unwrap_or_else(|| "step".into()),
            is_final: data.flag("is_final"),
        },
        "error" => ExternalEvent::Error {
            code: data.text("code").unwrap_or_else(|| "AGENT_ERROR".into()),
            message: data.text("message").unwrap_or_else(|| "Unknown error".into()),
        },
        "permission_request" => {
            // The whole data stands for an input that was not given.
            let whole = if data.has("tool_input") { Map::new() } else { data.copy() };
            ExternalEvent::PermissionRequest {
                request_id: data.text_within("request_id", 1, REQUEST_ID),
                tool_name: data.text("tool_name").unwrap_or_else(|| "approval".into()),
                tool_input: data.any("tool_input").unwrap_or(Value::Object(whole)),
                suggestions: data.any("suggestions").filter(|value| !value.is_null()),
            }
        }
        "permission_withdrawn" => {
            ExternalEvent::PermissionWithdrawn { request_id: data.required_text("request_id", 1, REQUEST_ID) }
        }
        _ => ExternalEvent::Status(data.text("status").unwrap_or_default()),
    }
}

/// Tell what the agent did. Answered when it is on disk.
#[utoipa::path(
    tag = "external agents", params(("id" = String, Path)), request_body = PushedEvent,
    responses((status = 200), (status = 404), (status = 409), (status = 422), (status = 507))
)]
#[post("/api/sessions/{id}/events")]
pub(super) async fn push_event(
    _: Caller,
    api: Data<Api>,
    req: HttpRequest,
    path: SessionPath,
    body: Body<PushedEvent>,
) -> Result<HttpResponse, ApiError> {
    let Body(mut event) = body;
    if event.idempotency_key.is_none() {
        event.idempotency_key = once::key_of(&req)?;
    }
    tracing::trace!(kind = event.kind, "event pushed");
    let PushEvent { event, mark } = event.into_push();
    api.world.push_once(&path.id()?, event, mark).await?;
    Ok(HttpResponse::build(StatusCode::OK).content_type("application/json").body(&br#"{"ok":true}"#[..]))
}

/// What to poll for.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct PollQuery {
    /// The number of the last event that is known.
    #[param(required = false)]
    since_seq: u64,
    /// Types of event, between commas.
    #[param(required = false, example = "user_input,permission_resolved")]
    types: String,
    /// Wait so many seconds for an event if there is none, at most 60.
    #[param(required = false)]
    wait_s: u64,
    /// The same by a shorter name.
    #[param(required = false)]
    wait: u64,
}

impl FromFields for PollQuery {
    fn read(fields: &mut Fields) -> Self {
        Self {
            since_seq: fields.int("since_seq", 0, 0, u64::MAX),
            types: fields.text("types").unwrap_or_else(|| POLLED.into()),
            wait_s: fields.int("wait_s", 0, 0, LONGEST_WAIT),
            wait: fields.int("wait", 0, 0, LONGEST_WAIT),
        }
    }
}

/// Events of some types after a cursor, at once or as soon as there is one.
#[utoipa::path(
    tag = "external agents", params(("id" = String, Path), PollQuery),
    responses(
        (status = 200, description = "`{\"events\": [{\"type\", \"data\", \"seq\"}]}`"), (status = 404), (status = 422)
    )
)]
#[get("/api/sessions/{id}/events/poll")]
pub(super) async fn poll_events(
    _: Caller,
    api: Data<Api>,
    path: SessionPath,
    query: Query<PollQuery>,
) -> Result<HttpResponse, ApiError> {
    let Query(PollQuery { since_seq, types, wait_s, wait }) = query;
    let id = path.id()?;
    api.session(&id)?;
    let types: Vec<&str> = types.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
    let deadline = Instant::now() + Duration::from_secs(wait_s.max(wait));
    let mut follower = api.log.follow(id, since_seq);
    let mut found = BytesMut::from(&br#"{"events":["#[..]);
    let empty = found.len();
    while found.len() < POLL_BYTES {
        let frames = if !follower.caught_up() {
            follower.next().await
        } else if found.len() > empty {
            break;
        } else {
            tokio::select! {
                frames = follower.next() => frames,
                () = tokio::time::sleep_until(deadline) => break,
                _ = api.shutdown.turned() => break,
            }
        };
        let frames = frames.map_err(|error| match error {
            FollowError::SessionDeleted(_) => ApiError::no_session(),
            FollowError::Log(error) => error.into(),
        })?;
        for frame in frames {
            if let Some((kind, data)) = open(&frame).filter(|(kind, _)| types.contains(kind)) {
                if found.len() > empty {
                    found.extend_from_slice(b",");
                }
                // A type's name needs no escaping, and the data is JSON as it is.
                found.extend_from_slice(br#"{"type":""#);
                found.extend_from_slice(kind.as_bytes());
                found.extend_from_slice(br#"","data":"#);
                found.extend_from_slice(data);
                found.extend_from_slice(format!(r#","seq":{}}}"#, frame.seq).as_bytes());
            }
        }
    }
    found.extend_from_slice(b"]}");
    Ok(HttpResponse::Ok().content_type("application/json").body(found.freeze()))
}

/// The type of a frame and the JSON of its data, without parsing it: the log writes
/// `{"session_id":..,"ts":..,"seq":..,"type":..,"data":..}`, and before the type there is no text of anybody else's.
pub(super) fn open(frame: &Frame) -> Option<(&str, &[u8])> {
    let json: &[u8] = &frame.json;
    let mark = br#","type":""#;
    let head = json.get(..json.len().min(160))?;
    let start = head.windows(mark.len()).position(|window| window == mark)? + mark.len();
    let end = start + json.get(start..)?.iter().position(|b| *b == b'"')?;
    let kind = std::str::from_utf8(json.get(start..end)?).ok()?;
    let data = json.get(end..)?.strip_prefix(br#"","data":"#)?.strip_suffix(b"}")?;
    Some((kind, data))
}

/// The data of a frame, parsed.
pub(super) fn data(frame: &Frame) -> Option<Value> {
    serde_json::from_slice::<Envelope>(&frame.json).ok().map(|envelope| envelope.data)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use serde_json::json;

    use super::*;

    fn read(body: Value) -> Result<ExternalEvent, Value> {
        let raw = Bytes::from(body.to_string());
        let Value::Object(map) = body else { panic!("no object") };
        let mut fields = Fields::of_body(map, raw);
        let event = PushedEvent::read(&mut fields);
        match fields.done() {
            Ok(()) => Ok(event.data),
            Err(error) => Err(json!(error.to_string())),
        }
    }

    #[test]
    fn the_four_kinds_are_read_with_their_defaults() {
        let output = |text: &str, kind: &str, is_final| {
            Ok(ExternalEvent::Output { text: text.into(), kind: kind.into(), is_final })
        };
        let cases = [
            (json!({"type": "output", "data": {}}), output("", "step", None)),
            (
                json!({"type": "output", "data": {"text": "a", "kind": "final", "is_final": true, "x": 1}}),
                output("a", "final", Some(true)),
            ),
            (json!({"type": "status", "data": {"status": "done"}}), Ok(ExternalEvent::Status("done".into()))),
            (
                json!({"type": "error", "data": {}}),
                Ok(ExternalEvent::Error { code: "AGENT_ERROR".into(), message: "Unknown error".into() }),
            ),
            (
                json!({"type": "permission_request", "data": {"request_id": "r", "tool_name": "Bash", "tool_input": [1]}}),
                Ok(ExternalEvent::PermissionRequest {
                    request_id: Some("r".into()),
                    tool_name: "Bash".into(),
                    tool_input: json!([1]),
                    suggestions: None,
                }),
            ),
            (
                json!({"type": "permission_request", "data": {"tool_name": "Bash", "why": "so"}}),
                Ok(ExternalEvent::PermissionRequest {
                    request_id: None,
                    tool_name: "Bash".into(),
                    tool_input: json!({"tool_name": "Bash", "why": "so"}),
                    suggestions: None,
                }),
            ),
        ];
        for (body, event) in cases {
            assert_eq!(read(body.clone()), event, "{body}");
        }
    }

    #[test]
    fn odd_events_are_refused_and_never_kept() {
        for body in [
            json!({}),
            json!({"type": "output"}),
            json!({"data": {}}),
            json!({"type": "outptu", "data": {}}),
            json!({"type": "output", "data": []}),
            json!({"type": "output", "data": {"text": 3}}),
            json!({"type": "output", "data": {"kind": {}}}),
            json!({"type": "output", "data": {"is_final": "perhaps"}}),
            json!({"type": "status", "data": {"status": 1}}),
            json!({"type": "error", "data": {"message": []}}),
            json!({"type": "permission_request", "data": {"request_id": ""}}),
            json!({"type": "permission_request", "data": {"request_id": "x".repeat(201)}}),
        ] {
            assert!(read(body.clone()).is_err(), "{body}");
        }
    }

    #[test]
    fn a_frame_is_opened_without_parsing_it() {
        let frame = |json: &'static str| Frame { seq: 7, json: Bytes::from_static(json.as_bytes()) };
        let good = frame(
            r#"{"session_id":"sess_0123456789ab","ts":"2026-01-01T00:00:00Z","seq":7,"type":"output","data":{"text":",\"type\":\"x\""}}"#,
        );
        assert_eq!(open(&good), Some(("output", &br#"{"text":",\"type\":\"x\""}"#[..])));
        assert_eq!(data(&good), Some(json!({"text": ",\"type\":\"x\""})));
        for bad in ["", "{}", r#"{"a":1,"type":"x"#, r#"{"a":1,"type":"x","dada":{}}"#] {
            assert_eq!(open(&frame(bad)), None, "{bad}");
        }
    }
}
