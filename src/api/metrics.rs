//! Figures for Prometheus.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64};
use std::time::Duration;

use actix_web::http::{Method, StatusCode};
use actix_web::web::Data;
use actix_web::{HttpResponse, get};
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use tether_actors::domain::state::SessionState;
use tether_actors::log::Condition;

use super::Api;
use super::error::ApiError;

/// Upper ends of the classes of latency, in seconds: from an answer out of memory to a long poll.
const LATENCIES: [f64; 12] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 10.0, 60.0];

/// The figures. They are gathered where things happen, except those of sessions, approvals and the log, which
/// are read when they are asked for.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    latencies: Family<RouteLabels, Histogram, fn() -> Histogram>,
    /// Routes by the name of their function.
    routes: HashMap<String, Route>,
    unknown: Route,
    sessions: Family<StateLabels, Gauge>,
    approvals: Gauge<i64, AtomicI64>,
    events: Gauge<u64, AtomicU64>,
    healthy: Gauge,
    replaced: Gauge<u64, AtomicU64>,
    uptime: Gauge<u64, AtomicU64>,
    /// Event streams (SSE) that are open.
    pub streams: Gauge<i64, AtomicI64>,
    sockets: Gauge<i64, AtomicI64>,
    bridges: Family<PlatformLabels, Gauge>,
    bridge_outbox: Family<PlatformLabels, Gauge>,
}

/// The path of a route, with `{id}` for what varies. Clones share the text.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Route(Arc<str>);

impl EncodeLabelValue for Route {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), std::fmt::Error> {
        (&*self.0).encode(encoder)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PlatformLabels {
    platform: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    route: Route,
    method: &'static str,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabels {
    route: Route,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabels {
    state: &'static str,
}

impl Metrics {
    /// For these routes: names of functions, each with the path that it serves.
    pub fn new(routes: impl IntoIterator<Item = (String, String)>) -> Self {
        let this = Self {
            registry: Registry::with_prefix("tether"),
            requests: Family::default(),
            latencies: Family::new_with_constructor(|| Histogram::new(LATENCIES)),
            routes: routes.into_iter().map(|(name, path)| (name, Route(path.into()))).collect(),
            unknown: Route("other".into()),
            sessions: Family::default(),
            approvals: Gauge::default(),
            events: Gauge::default(),
            healthy: Gauge::default(),
            replaced: Gauge::default(),
            uptime: Gauge::default(),
            streams: Gauge::default(),
            sockets: Gauge::default(),
            bridges: Family::default(),
            bridge_outbox: Family::default(),
        };
        this.registered()
    }

    fn registered(mut self) -> Self {
        let registry = &mut self.registry;
        registry.register(
            "http_requests",
            "Requests answered, by route, method and status",
            self.requests.clone(),
        );
        registry.register_with_unit(
            "http_request_duration",
            "Time from the request's head to the answer's head",
            Unit::Seconds,
            self.latencies.clone(),
        );
        registry.register("sessions", "Sessions, by state", self.sessions.clone());
        registry.register("approvals_open", "Approvals that wait for an answer", self.approvals.clone());
        registry.register("events_stored", "Events of the sessions that exist", self.events.clone());
        registry.register("log_healthy", "1 while the event log takes new work", self.healthy.clone());
        registry.register(
            "session_actors_replaced",
            "Deaths of sessions' actors that the registry made good since the start",
            self.replaced.clone(),
        );
        registry.register("event_streams", "Open event streams (SSE)", self.streams.clone());
        registry.register("sockets", "Open WebSockets", self.sockets.clone());
        let connected = "1 while a chat platform is connected";
        registry.register("bridge_connected", connected, self.bridges.clone());
        let outbox = "Messages that wait to be sent to a chat platform";
        registry.register("bridge_outbox", outbox, self.bridge_outbox.clone());
        registry.register_with_unit(
            "uptime",
            "Time since the daemon's start",
            Unit::Seconds,
            self.uptime.clone(),
        );
        self
    }

    /// Counts an answer; `name` is the function that gave it.
    pub fn observe(&self, name: Option<&str>, method: &Method, status: StatusCode, elapsed: Duration) {
        let route = name.and_then(|name| self.routes.get(name)).unwrap_or(&self.unknown);
        let method = match *method {
            Method::GET => "GET",
            Method::POST => "POST",
            Method::PATCH => "PATCH",
            Method::PUT => "PUT",
            Method::DELETE => "DELETE",
            // Anything can be sent as a method: no label of the client's choice.
            _ => "other",
        };
        let labels = RequestLabels { route: route.clone(), method, status: status.as_u16() };
        self.requests.get_or_create(&labels).inc();
        self.latencies.get_or_create(&RouteLabels { route: route.clone() }).observe(elapsed.as_secs_f64());
    }

    fn read(&self, api: &Api) {
        for state in SessionState::ALL {
            self.sessions.get_or_create(&StateLabels { state: state.as_str() }).set(0);
        }
        let model = &api.log.read_model;
        let mut events: u64 = 0;
        for session in model.sessions() {
            self.sessions.get_or_create(&StateLabels { state: session.state.as_str() }).inc();
            events = events.saturating_add(model.last_seq(&session.id).unwrap_or(0));
        }
        self.events.set(events);
        self.approvals.set(i64::try_from(model.open_approvals().len()).unwrap_or(i64::MAX));
        self.healthy.set(i64::from(model.condition() == Condition::Healthy));
        self.sockets.set(i64::try_from(api.sockets.open()).unwrap_or(i64::MAX));
        for health in api.settings.bridges.health() {
            let labels = PlatformLabels { platform: health.platform };
            self.bridges.get_or_create(&labels).set(i64::from(health.connected_since.is_some()));
            let outbox = i64::try_from(health.outbox).unwrap_or(i64::MAX);
            self.bridge_outbox.get_or_create(&labels).set(outbox);
        }
        self.replaced.set(api.world.cells_replaced());
        self.uptime.set(api.settings.started_at.elapsed().as_secs());
    }
}

/// A gauge that counts something while it lives.
#[derive(Debug)]
pub struct Counted(Gauge<i64, AtomicI64>);

impl Counted {
    /// One more, until this is dropped.
    pub fn new(gauge: &Gauge<i64, AtomicI64>) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// Figures in Prometheus' text format.
#[utoipa::path(tag = "daemon", responses((status = 200, content_type = "application/openmetrics-text")))]
#[get("/metrics")]
pub(super) async fn metrics(api: Data<Api>) -> Result<HttpResponse, ApiError> {
    api.metrics.read(&api);
    let mut text = String::new();
    encode(&mut text, &api.metrics.registry).map_err(|_| ApiError::stopping())?;
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(HttpResponse::Ok().content_type(kind).body(text))
}
