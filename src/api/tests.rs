//! The application of one worker, asked from outside over a world in memory.

mod access;
mod garbage;
mod resources;
mod streams;
mod wire;

use std::sync::Arc;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{Service, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::http::header::HeaderMap;
use actix_web::test::TestRequest;
use actix_web::web::Data;
use serde_json::{Value, json};
use tether_actors::agent::AgentSettings;
use tether_actors::registry::{CellSettings, WorldSettings};
use tether_actors::session::SessionSettings;

use super::*;

/// The token of the tests.
const TOKEN: &str = "the-token-of-the-tests";

/// A state over a world in memory.
pub fn api() -> Data<Api> {
    api_with(Settings { token: Some(TOKEN.into()), ..Settings::default() })
}

/// The same with these settings.
fn api_with(settings: Settings) -> Data<Api> {
    Api::new(world(), settings, Vec::new(), ShutdownSwitch::default())
}

/// The agents as they are configured by default.
fn agents() -> Arc<tether_actors::agent::catalogue::Catalogue> {
    let sources =
        crate::config::Sources::gather([("HOME".to_owned(), "/home/x".to_owned())].into(), "/".into());
    let settings = crate::config::Settings::read(&sources).expect("good settings");
    Arc::new(crate::daemon::catalogue(&settings))
}

/// A world in memory, on the current thread.
fn world() -> World {
    let cells = CellSettings {
        session: Arc::new(SessionSettings::default()),
        agent: Arc::new(AgentSettings { agents: agents(), ..AgentSettings::default() }),
        approval_limit_seconds: None,
    };
    World::open_here(Log::in_memory(), WorldSettings { cells, retention: None, threads: 1 }).0
}

/// Whether a future still waits.
pub fn is_pending(future: std::pin::Pin<&mut impl Future>) -> bool {
    future.poll(&mut std::task::Context::from_waker(std::task::Waker::noop())).is_pending()
}

/// A request of somebody who may.
fn request(method: &str, path: &str) -> TestRequest {
    bare(method, path).insert_header(("Authorization", format!("Bearer {TOKEN}")))
}

/// A request without a token.
fn bare(method: &str, path: &str) -> TestRequest {
    let method = method.parse().expect("a method");
    TestRequest::default().method(method).uri(path).insert_header(("Host", "127.0.0.1:8787"))
}

/// What came back.
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|_| panic!("no JSON: {}", String::from_utf8_lossy(&self.body)))
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The code of a refusal, once its shape was checked.
    fn code(&self) -> String {
        let body = self.json();
        let error = &body["error"];
        assert_eq!(body.as_object().map(serde_json::Map::len), Some(1), "{body}");
        assert!(error["message"].as_str().is_some_and(|message| !message.is_empty()), "{body}");
        assert!(error.get("details").is_some(), "{body}");
        error["code"].as_str().expect("a code").to_owned()
    }
}

/// Sends a request to the application.
async fn call<S, B>(app: &S, request: TestRequest) -> Answer
where
    S: Service<actix_http::Request, Response = ServiceResponse<B>, Error = actix_web::Error>,
    B: MessageBody + 'static,
{
    let response = match app.call(request.to_request()).await {
        Ok(response) => response.map_into_boxed_body(),
        Err(error) => panic!("an error went past the edge: {error}"),
    };
    let (status, headers) = (response.status(), response.headers().clone());
    let body = actix_web::body::to_bytes::<BoxBody>(response.into_body()).await.expect("a whole body");
    Answer { status, headers, body: body.to_vec() }
}

/// An application over this state.
macro_rules! app {
    ($api:expr) => {
        actix_web::test::init_service(crate::api::routes::app($api)).await
    };
}
use app;

/// Makes a session for an external agent and gives its id.
async fn external_session<S, B>(app: &S) -> String
where
    S: Service<actix_http::Request, Response = ServiceResponse<B>, Error = actix_web::Error>,
    B: MessageBody + 'static,
{
    let made =
        call(app, request("POST", "/api/sessions").set_json(json!({"agent_name": "A", "session_name": "N"})))
            .await;
    assert_eq!(made.status, 201);
    made.json()["id"].as_str().expect("an id").to_owned()
}
