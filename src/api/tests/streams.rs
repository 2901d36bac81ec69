//! Server-sent events.

use std::time::Duration;

use futures_util::StreamExt;

use super::*;

/// Opens a stream and gives its status and its chunks.
macro_rules! stream {
    ($app:expr, $path:expr) => {{
        let response = $app.call(request("GET", $path).to_request()).await.expect("an answer");
        assert_eq!(response.status(), 200);
        assert_eq!(
            response.headers().get("content-type").and_then(|kind| kind.to_str().ok()),
            Some("text/event-stream; charset=utf-8")
        );
        let body = Box::pin(response.into_body());
        futures_util::stream::unfold(body, |mut body| async move {
            let chunk = std::future::poll_fn(|cx| body.as_mut().poll_next(cx)).await?;
            let chunk = chunk.unwrap_or_else(|_| panic!("the stream failed"));
            Some((String::from_utf8(chunk.to_vec()).expect("it is text"), body))
        })
        .boxed_local()
    }};
}

/// The event in a chunk.
fn event(chunk: &str) -> Value {
    let json = chunk.strip_prefix("data: ").and_then(|rest| rest.strip_suffix("\n\n"));
    serde_json::from_str(json.expect("one data line")).expect("it is JSON")
}

async fn push<S, B>(app: &S, session: &str, body: Value)
where
    S: Service<actix_http::Request, Response = ServiceResponse<B>, Error = actix_web::Error>,
    B: MessageBody + 'static,
{
    let answer = call(app, request("POST", &format!("/api/sessions/{session}/events")).set_json(body)).await;
    assert_eq!(answer.status, 200);
}

fn output(text: impl Into<String>) -> Value {
    json!({"type": "output", "data": {"text": text.into()}})
}

#[actix_web::test]
async fn a_stream_gives_the_past_then_the_present_and_loses_nothing_to_a_limit() {
    let app = app!(api());
    let session = external_session(&app).await;
    for n in 0..20 {
        push(&app, &session, output(n.to_string())).await;
    }
    for path in ["/api/events/sessions", "/events/sessions"] {
        let mut stream = stream!(app, &format!("{path}/{session}?limit=1"));
        for seq in 1..=21 {
            let event = event(&stream.next().await.expect("an event"));
            assert_eq!(event["seq"], seq);
            assert_eq!(event["session_id"], session.as_str());
        }
    }
    let mut late = stream!(app, &format!("/api/events/sessions/{session}?since_seq=20"));
    assert_eq!(event(&late.next().await.expect("an event"))["data"]["text"], "19");
    push(&app, &session, output("now")).await;
    assert_eq!(event(&late.next().await.expect("an event"))["data"]["text"], "now");
}

#[actix_web::test]
async fn a_replay_hides_what_is_answered_and_the_present_does_not() {
    let app = app!(api());
    let session = external_session(&app).await;
    let ask = |id: &str| json!({"type": "permission_request", "data": {"request_id": id}});
    push(&app, &session, ask("r1")).await;
    push(&app, &session, ask("r2")).await;
    let mut live = stream!(app, &format!("/api/events/sessions/{session}"));
    let answer = json!({"request_id": "r1", "allow": true});
    call(&app, request("POST", &format!("/api/sessions/{session}/permission")).set_json(answer)).await;
    push(&app, &session, ask("r3")).await;
    push(&app, &session, output("end")).await;
    let kinds = |chunks: Vec<String>| -> Vec<String> {
        let name = |event: Value| match event["data"]["request_id"].as_str() {
            Some(id) => format!("{} {id}", event["type"].as_str().unwrap_or_default()),
            None => event["type"].as_str().unwrap_or_default().to_owned(),
        };
        chunks.iter().map(|chunk| name(event(chunk))).collect()
    };
    let replay = stream!(app, &format!("/api/events/sessions/{session}"));
    let replayed = kinds(replay.take(5).collect().await);
    assert_eq!(
        replayed,
        [
            "session_state",
            "permission_request r2",
            "permission_resolved r1",
            "permission_request r3",
            "output"
        ]
    );
    assert_eq!(kinds(live.by_ref().take(1).collect().await), ["session_state"]);
    let rest = kinds(live.take(4).collect().await);
    assert_eq!(rest, ["permission_request r2", "permission_resolved r1", "permission_request r3", "output"]);
}

#[actix_web::test]
async fn silence_is_broken_by_a_comment() {
    let stream_silence = Duration::from_millis(5);
    let app = app!(api_with(Settings { token: Some(TOKEN.into()), stream_silence, ..Settings::default() }));
    let session = external_session(&app).await;
    let mut stream = stream!(app, &format!("/api/events/sessions/{session}"));
    assert_eq!(stream.next().await.as_deref(), Some(": keepalive\n\n"));
    assert_eq!(stream.next().await.as_deref(), Some(": keepalive\n\n"));
}

#[actix_web::test]
async fn a_stream_ends_with_the_session_the_device_and_the_daemon() {
    let api = api();
    let app = app!(api.clone());
    let session = external_session(&app).await;
    let mut stream = stream!(app, &format!("/api/events/sessions/{session}"));
    assert!(is_pending(std::pin::pin!(stream.next())));
    call(&app, request("DELETE", &format!("/api/sessions/{session}"))).await;
    assert_eq!(stream.next().await, None);

    let session = external_session(&app).await;
    let code = json!({"code": api.pairing.new_code(), "return_token": true});
    let paired = call(&app, bare("POST", "/api/login").set_json(code)).await.json();
    let token = format!("Bearer {}", paired["token"].as_str().expect("a token"));
    let request =
        bare("GET", &format!("/api/events/sessions/{session}")).insert_header(("Authorization", token));
    let response = app.call(request.to_request()).await.expect("an answer");
    let mut body = Box::pin(response.into_body());
    let mut next = std::future::poll_fn(|cx| body.as_mut().poll_next(cx));
    assert!(is_pending(std::pin::Pin::new(&mut next)));
    let id = paired["device"]["id"].as_str().expect("an id");
    call(&app, super::request("DELETE", &format!("/api/devices/{id}"))).await;
    assert!(next.await.is_none(), "the removed device still sees the session");

    let mut stream = stream!(app, &format!("/api/events/sessions/{session}"));
    let poll = super::request("GET", &format!("/api/sessions/{session}/events/poll?wait_s=60"));
    let ask = async {
        assert!(is_pending(std::pin::pin!(stream.next())));
        api.shutdown.turn(Stop { agents: false });
        stream.next().await
    };
    let (polled, ended) = tokio::join!(call(&app, poll), ask);
    assert_eq!(ended, None);
    assert_eq!(polled.json(), json!({"events": []}));
}
