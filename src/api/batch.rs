//! Several events of an external agent in one request.

use actix_web::post;
use actix_web::web::{Data, Json};
use actix_web::{HttpRequest, ResponseError as _};
use serde_json::{Value, json};
use tether_actors::session::RefusedPush;

use super::Api;
use super::auth::Caller;
use super::error::{ApiError, ErrorBody};
use super::external::PushedEvent;
use super::extract::{Body, FromFields, SessionPath};
use super::fields::Fields;

/// At most so many at once: fewer than the idempotency keys that a session remembers.
const MOST: usize = 100;

/// Events, in the order in which they happened.
#[derive(utoipa::ToSchema)]
pub(super) struct PushedEvents {
    /// 1 to 100 events.
    #[schema(value_type = Vec<PushedEvent>, min_items = 1, max_items = 100)]
    events: Vec<PushedEvent>,
}

impl FromFields for PushedEvents {
    fn read(fields: &mut Fields) -> Self {
        let given = fields.list("events");
        if given.is_empty() || given.len() > MOST {
            let msg = format!("List should have 1 to {MOST} items");
            let kind = if given.is_empty() { "too_short" } else { "too_long" };
            fields.problem(&["events".into()], kind, &msg, &Value::from(given.len()), Value::Null);
            return Self { events: Vec::new() };
        }
        let mut events = Vec::with_capacity(given.len());
        for (at, item) in given.into_iter().enumerate() {
            match item {
                Value::Object(map) => {
                    let mut inner = Fields::of_item("events", at, map);
                    events.push(PushedEvent::read(&mut inner));
                    fields.absorb(inner);
                }
                other => {
                    let msg = "Input should be a valid dictionary";
                    fields.problem(&["events".into(), at.into()], "dict_type", msg, &other, Value::Null);
                }
            }
        }
        Self { events }
    }
}

/// Tell several things that the agent did. All are read before the first is taken; they are taken in order, and
/// the first that is refused ends it: `details.accepted` tells how many were taken before.
#[utoipa::path(
    tag = "external agents", params(("id" = String, Path)), request_body = PushedEvents,
    responses((status = 200, description = "`{\"ok\": true, \"accepted\": 2}`"), (status = 404, body = ErrorBody), (status = 409, body = ErrorBody), (status = 422, body = ErrorBody))
)]
#[post("/api/sessions/{id}/events/batch")]
pub(super) async fn push_events(
    _: Caller,
    api: Data<Api>,
    req: HttpRequest,
    path: SessionPath,
    body: Body<PushedEvents>,
) -> Result<Json<Value>, ApiError> {
    let id = path.id()?;
    let whole = super::once::key_of(&req)?;
    let events = body.0.events;
    let count = events.len();
    let events = events.into_iter().enumerate().map(|(at, mut event)| {
        if let (Some(whole), None) = (&whole, &event.idempotency_key) {
            event.idempotency_key = Some(format!("{whole}#{at}"));
        }
        event.into_push()
    });
    if let Err(RefusedPush { at, error }) = api.world.push_all(&id, events.collect()).await {
        let error = ApiError::from(error);
        if at == 0 {
            return Err(error);
        }
        let message = format!(
            "event {} of {count}: {}; the {at} before it are recorded, the rest is not",
            at + 1,
            error.message()
        );
        return Err(
            ApiError::new(error.status_code(), error.code(), message).with_details(json!({ "accepted": at }))
        );
    }
    Ok(Json(json!({ "ok": true, "accepted": count })))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn read(body: Value) -> Result<usize, String> {
        let raw = Bytes::from(body.to_string());
        let Value::Object(map) = body else { panic!("no object") };
        let mut fields = Fields::of_body(map, raw);
        let batch = PushedEvents::read(&mut fields);
        match fields.done() {
            Ok(()) => Ok(batch.events.len()),
            Err(error) => Err(error.details().to_string()),
        }
    }

    #[test]
    fn a_batch_is_read_whole_or_not_at_all() {
        let output = json!({"type": "output", "data": {"text": "a"}, "idempotency_key": "k"});
        assert_eq!(read(json!({"events": [output, {"type": "status", "data": {"status": "done"}}]})), Ok(2));
        for wrong in [
            json!({}),
            json!({"events": []}),
            json!({"events": {"type": "output", "data": {}}}),
            json!({"events": [output, 7]}),
            json!({"events": [output, {"type": "outptu", "data": {}}]}),
            json!({"events": [output, {"type": "output", "data": {}, "idempotency_key": ""}]}),
            json!({"events": vec![output.clone(); MOST + 1]}),
        ] {
            assert!(read(wrong.clone()).is_err(), "{wrong}");
        }
        let told = read(json!({"events": [output, {"type": "output", "data": {"text": 3}}]}))
            .expect_err("it is wrong");
        assert!(told.contains(r#"["body","events",1,"data","text"]"#), "{told}");
    }
}
