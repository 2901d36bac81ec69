//! A session's events as server-sent events: all that happened, then all that happens.

use std::collections::VecDeque;

use actix_web::web::Data;
use actix_web::{HttpResponse, get};
use bytes::{BufMut, Bytes, BytesMut};
use futures_util::Stream;
use serde_json::Value;
use tether_actors::domain::event::Frame;
use tether_actors::domain::ids::ApprovalId;
use tether_actors::log::{Follower, ReadModel};

use super::Api;
use super::auth::Caller;
use super::error::ApiError;
use super::external;
use super::extract::{FromFields, Query, SessionPath};
use super::fields::Fields;
use super::metrics::Counted;

/// Where to begin.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct StreamQuery {
    /// The number of the last event that is known; 0 = from the start.
    #[param(required = false)]
    since: u64,
    /// The same by another name; `since` wins.
    #[param(required = false)]
    since_seq: u64,
    /// Accepted for clients of Tether 0.3.4. All events are sent, whatever it says.
    #[param(required = false, minimum = 1, maximum = 5000)]
    limit: u64,
}

impl FromFields for StreamQuery {
    fn read(fields: &mut Fields) -> Self {
        let since_seq = fields.int("since_seq", 0, 0, u64::MAX);
        Self {
            since: fields.int("since", since_seq, 0, u64::MAX),
            since_seq,
            limit: fields.int("limit", 500, 1, 5000),
        }
    }
}

/// Follow a session.
#[utoipa::path(
    tag = "events", params(("id" = String, Path), StreamQuery),
    responses((status = 200, content_type = "text/event-stream"), (status = 404), (status = 422))
)]
#[get("/api/events/sessions/{id}")]
pub(super) async fn stream_events(
    caller: Caller,
    api: Data<Api>,
    path: SessionPath,
    query: Query<StreamQuery>,
) -> Result<HttpResponse, ApiError> {
    stream(caller, api, path, query.0)
}

/// The same where `tether watch` of Tether 0.3.4 looks for it.
#[utoipa::path(
    tag = "events", params(("id" = String, Path), StreamQuery),
    responses((status = 200, content_type = "text/event-stream"), (status = 404), (status = 422))
)]
#[get("/events/sessions/{id}")]
pub(super) async fn stream_events_of_old(
    caller: Caller,
    api: Data<Api>,
    path: SessionPath,
    query: Query<StreamQuery>,
) -> Result<HttpResponse, ApiError> {
    stream(caller, api, path, query.0)
}

fn stream(
    caller: Caller,
    api: Data<Api>,
    path: SessionPath,
    query: StreamQuery,
) -> Result<HttpResponse, ApiError> {
    let entry = api.session(&path.id()?)?;
    let session = entry.record.session.id.clone();
    tracing::debug!(%session, since = query.since, limit = query.limit, asked = query.since_seq, "stream opened");
    let viewer = Viewer {
        follower: api.log.follow(session, query.since),
        replay_until: entry.last_seq,
        ready: VecDeque::new(),
        _counted: Counted::new(&api.metrics.streams),
        caller,
        api,
    };
    Ok(HttpResponse::Ok().content_type("text/event-stream; charset=utf-8").streaming(viewer.stream()))
}

/// One client of a stream. It asks for more only when the client took what it was sent.
struct Viewer {
    follower: Follower,
    /// The last event when the stream was opened; what comes after it is live.
    replay_until: u64,
    ready: VecDeque<Bytes>,
    caller: Caller,
    api: Data<Api>,
    _counted: Counted,
}

impl Viewer {
    fn stream(self) -> impl Stream<Item = Result<Bytes, actix_web::Error>> {
        futures_util::stream::unfold(self, |mut viewer| async {
            let chunk = match viewer.ready.pop_front() {
                Some(chunk) => chunk,
                None => viewer.next().await?,
            };
            Some((Ok(chunk), viewer))
        })
    }

    /// The next chunk; `None` ends the stream: the session is gone, or the daemon stops, or the device was removed.
    async fn next(&mut self) -> Option<Bytes> {
        let gone = async {
            match &self.caller.device {
                Some(device) => self.api.pairing.wait_forgotten(device).await,
                None => std::future::pending().await,
            }
        };
        let mut gone = std::pin::pin!(gone);
        loop {
            // A comment after a silence, so that nobody in between takes the connection for dead.
            let frames = tokio::select! {
                frames = self.follower.next() => frames,
                _ = self.api.shutdown.turned() => return None,
                () = &mut gone => return None,
                () = tokio::time::sleep(self.api.settings.stream_silence) => return Some(Bytes::from_static(b": keepalive\n\n")),
            };
            let frames = match frames {
                Ok(frames) => frames,
                Err(error) => {
                    tracing::debug!(%error, "stream ended");
                    return None;
                }
            };
            let (replay_until, model) = (self.replay_until, &self.api.log.read_model);
            let shown = frames.iter().filter(|frame| frame.seq > replay_until || !is_settled(frame, model));
            self.ready = chunks(shown);
            if let Some(chunk) = self.ready.pop_front() {
                return Some(chunk);
            }
        }
    }
}

/// One chunk an event, all in one piece of memory.
fn chunks<'f>(frames: impl Iterator<Item = &'f Frame> + Clone) -> VecDeque<Bytes> {
    let (before, after) = (b"data: ", b"\n\n");
    let framing = before.len() + after.len();
    let mut buffer = BytesMut::with_capacity(frames.clone().map(|frame| frame.json.len() + framing).sum());
    frames
        .map(|frame| {
            buffer.put_slice(before);
            buffer.put_slice(&frame.json);
            buffer.put_slice(after);
            buffer.split().freeze()
        })
        .collect()
}

/// Whether the frame asks for a permission that nobody waits for any more.
fn is_settled(frame: &Frame, model: &ReadModel) -> bool {
    if !matches!(external::open(frame), Some(("permission_request", _))) {
        return false;
    }
    let data = external::data(frame).unwrap_or_default();
    let text = |name: &str| data.get(name).and_then(Value::as_str);
    match text("approval_id") {
        Some(id) => model.open_approval(&ApprovalId::from(id)).is_none(),
        // Recorded by another program: nothing can be open.
        None => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_event_is_one_chunk_of_one_data_line() {
        let frame = |seq: u64, json: &'static str| Frame { seq, json: Bytes::from_static(json.as_bytes()) };
        let frames = [frame(1, r#"{"a":1}"#), frame(2, r#"{"b":2}"#)];
        let chunks = chunks(frames.iter());
        assert_eq!(chunks, ["data: {\"a\":1}\n\n", "data: {\"b\":2}\n\n"]);
    }
}
