//! The API's own description, made from the routes.

use actix_web::dev::ResourceDef;
use actix_web::http::{Method, StatusCode};
use actix_web::{App, HttpResponse, get, web};
use utoipa::OpenApi;
use utoipa::openapi::HttpMethod;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa_actix_web::AppExt;

use super::Api;
use super::auth::Caller;
use super::error::ApiError;
use super::routes::{self, Route, Routes};
use tether_actors::domain::code::Code;

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

/// Which paths there are. The description itself is made when somebody asks for it: it takes megabytes for a
/// moment, which whoever only serves never gives back.
pub struct Docs(Vec<KnownRoute>);

/// A path, the methods that it knows, and the function that serves it.
struct KnownRoute {
    path: ResourceDef,
    methods: Vec<&'static str>,
    served_by: Option<String>,
}

impl Default for Docs {
    fn default() -> Self {
        let mut docs = Self(Vec::new());
        routes::routes(&mut docs);
        docs
    }
}

impl Routes for Docs {
    fn service<R: Route>(&mut self, _: R) -> &mut Self {
        let methods = R::methods().iter().map(name_of).collect();
        let served_by = R::operation().operation_id;
        self.0.push(KnownRoute { path: ResourceDef::new(R::path()), methods, served_by });
        self
    }
}

fn name_of(method: &HttpMethod) -> &'static str {
    match method {
        HttpMethod::Get => "GET",
        HttpMethod::Post => "POST",
        HttpMethod::Put => "PUT",
        HttpMethod::Delete => "DELETE",
        HttpMethod::Options => "OPTIONS",
        HttpMethod::Head => "HEAD",
        HttpMethod::Patch => "PATCH",
        HttpMethod::Trace => "TRACE",
    }
}

impl Docs {
    /// The routes as (function, path).
    pub fn names(&self) -> impl Iterator<Item = (String, String)> {
        self.0.iter().filter_map(|route| Some((route.served_by.clone()?, route.path.pattern()?.to_owned())))
    }

    /// The methods that a path knows, for the `Allow` of a 405; empty for an unknown path.
    pub fn methods(&self, path: &str) -> Vec<&'static str> {
        let mut methods: Vec<&'static str> = self
            .0
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

/// The whole description as JSON (OpenAPI 3.1), as `/api/openapi.json` answers it.
///
/// # Errors
/// It cannot be written as JSON, which would be a fault of a route's own words.
pub fn describe() -> serde_json::Result<String> {
    let app = App::new().into_utoipa_app().openapi(Document::openapi());
    let (_, document) = app.configure(|config| routes::routes(config)).split_for_parts();
    document.to_json()
}

/// The API's description (OpenAPI 3.1).
#[utoipa::path(tag = "daemon", responses((status = 200, content_type = "application/json")))]
#[get("/api/openapi.json")]
pub(super) async fn describe_api(_: Caller) -> Result<HttpResponse, ApiError> {
    let described = web::block(describe).await.map_err(|_| ApiError::stopping())?;
    let json = described.map_err(|error| {
        let message = format!("the description of the API cannot be written as JSON: {error}");
        ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, Code::InternalError, message)
    })?;
    Ok(HttpResponse::Ok().content_type("application/json").body(json))
}
