//! The API's own description, made from the routes.

use std::sync::OnceLock;

use actix_web::dev::ResourceDef;
use actix_web::http::Method;
use actix_web::web::{Bytes, Data};
use actix_web::{HttpResponse, get};
use utoipa::OpenApi;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};

use super::Api;
use super::auth::Caller;
use super::error::ApiError;

/// What holds for the whole API; the routes add themselves.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Tether",
        description = "Supervise AI coding agents: sessions, their events, and what they ask",
        license(name = "Apache-2.0")
    ),
    components(schemas(
        super::error::ErrorBody,
        tether_actors::domain::event::Envelope,
        tether_actors::domain::event::EventType
    )),
    modifiers(&Token),
    security(("token" = []))
)]
pub struct Document;

struct Token;

impl utoipa::Modify for Token {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build());
        document.components.get_or_insert_default().add_security_scheme("token", scheme);
    }
}

/// The finished description, and what follows from it. Made by the first worker.
#[derive(Default)]
pub struct Docs(OnceLock<Made>);

struct Made {
    json: Bytes,
    routes: Vec<KnownRoute>,
}

/// A path and the methods that it knows.
struct KnownRoute {
    path: ResourceDef,
    methods: Vec<&'static str>,
}

impl Docs {
    /// Keeps the description, if there is none yet, and gives back the routes as (function, path).
    pub fn set(&self, document: &utoipa::openapi::OpenApi) -> Vec<(String, String)> {
        let mut named = Vec::new();
        let mut routes = Vec::new();
        for (path, item) in &document.paths.paths {
            let operations = [
                ("GET", &item.get),
                ("POST", &item.post),
                ("PATCH", &item.patch),
                ("PUT", &item.put),
                ("DELETE", &item.delete),
            ];
            let known =
                operations.into_iter().filter_map(|(name, operation)| Some((name, operation.as_ref()?)));
            let mut methods = Vec::new();
            for (method, operation) in known {
                methods.push(method);
                named.extend(operation.operation_id.clone().map(|name| (name, path.clone())));
            }
            routes.push(KnownRoute { path: ResourceDef::new(path.as_str()), methods });
        }
        let json = document.to_json().unwrap_or_default().into();
        // An error means that another worker was first, with the same.
        let _ = self.0.set(Made { json, routes });
        named
    }

    /// The methods that a path knows, for the `Allow` of a 405; empty for an unknown path.
    pub fn methods(&self, path: &str) -> Vec<&'static str> {
        let routes = self.0.get().map_or(&[][..], |made| &made.routes);
        let mut methods: Vec<&'static str> = routes
            .iter()
            .filter(|route| route.path.is_match(path))
            .flat_map(|route| route.methods.iter().copied())
            .collect();
        methods.sort_unstable();
        methods.dedup();
        methods
    }
}

/// What to answer where no route fits: a wrong method, or nothing of ours.
pub fn no_route(api: &Api, path: &str, method: &Method) -> ApiError {
    let methods = api.docs.methods(path);
    match (methods.is_empty(), method == Method::GET) {
        (true, true) => ApiError::not_found("Not found"),
        // Files and unknown paths know nothing but GET, as the contract has it.
        (true, false) => ApiError::method_not_allowed("GET".into()),
        (false, _) => ApiError::method_not_allowed(methods.join(", ")),
    }
}

/// The API's description (OpenAPI 3.1).
#[utoipa::path(tag = "daemon", responses((status = 200, content_type = "application/json")))]
#[get("/api/openapi.json")]
pub(super) async fn describe_api(_: Caller, api: Data<Api>) -> HttpResponse {
    let json = api.docs.0.get().map(|made| made.json.clone()).unwrap_or_default();
    HttpResponse::Ok().content_type("application/json").body(json)
}
