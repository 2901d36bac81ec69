//! The table of routes, and what is wrapped around them.

use actix_web::body::MessageBody;
use actix_web::dev::{HttpServiceFactory, ServiceFactory, ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::middleware::from_fn;
use actix_web::web::Data;
use actix_web::{App, Error, HttpRequest, HttpResponse, web};
use tracing_actix_web::TracingLogger;
use utoipa_actix_web::OpenApiFactory;
use utoipa_actix_web::service_config::ServiceConfig as DescribedConfig;

use super::edge::{RequestSpan, edge};
use super::error::ApiError;
use super::openapi::no_route;
use super::*;

/// The whole application of one worker.
pub fn app(
    api: Data<Api>,
) -> App<
    impl ServiceFactory<
        ServiceRequest,
        Config = (),
        Response = ServiceResponse<impl MessageBody>,
        Error = Error,
        InitError = (),
    >,
> {
    App::new()
        .configure(|config| routes(config))
        .app_data(api)
        .route(mcp::PATH, web::to(mcp::serve))
        .default_service(web::to(otherwise))
        .wrap(from_fn(edge))
        .wrap(TracingLogger::<RequestSpan>::new())
}

/// One path with its methods, its function and its description.
pub(super) trait Route: HttpServiceFactory + OpenApiFactory + utoipa::Path + 'static {}

impl<R: HttpServiceFactory + OpenApiFactory + utoipa::Path + 'static> Route for R {}

/// What takes the routes one by one: to serve them, to describe them, or just to know of them.
pub(super) trait Routes {
    fn service<R: Route>(&mut self, route: R) -> &mut Self;
}

impl Routes for web::ServiceConfig {
    fn service<R: Route>(&mut self, route: R) -> &mut Self {
        Self::service(self, route)
    }
}

impl Routes for DescribedConfig<'_> {
    fn service<R: Route>(&mut self, route: R) -> &mut Self {
        Self::service(self, route)
    }
}

/// Paths are tried in this order: what is asked for most comes first, and fixed names before `{..}`.
pub(super) fn routes(config: &mut impl Routes) {
    config
        .service(external::push_event)
        .service(batch::push_events)
        .service(external::poll_events)
        .service(health::health)
        .service(events::stream_events)
        .service(events::stream_events_of_old)
        .service(ws::open_socket)
        .service(sessions::list_sessions)
        .service(sessions::create_session)
        .service(sessions::get_session)
        .service(sessions::delete_session)
        .service(steering::start_session)
        .service(steering::send_input)
        .service(steering::interrupt_session)
        .service(permission::answer_permission)
        .service(sessions::rename_session)
        .service(sessions::set_approval_mode)
        .service(sessions::session_usage)
        .service(sessions::session_details)
        .service(sessions::configure_session)
        .service(external_sessions::sync_session)
        .service(external_sessions::attach_session)
        .service(import::import_session)
        .service(external_sessions::list_external_sessions)
        .service(external_sessions::external_history)
        .service(bridges::bind_platform)
        .service(bridges::unbind_platform)
        .service(bridges::pair_chat)
        .service(diff::diff_session)
        .service(git::git_status)
        .service(git::git_log)
        .service(git::git_diff)
        .service(git::git_commit)
        .service(git::git_push)
        .service(git::git_branch)
        .service(git::git_checkout)
        .service(git::git_pull_request)
        .service(git::list_checkpoints)
        .service(git::make_checkpoint)
        .service(git::diff_checkpoint)
        .service(git::restore_checkpoint)
        .service(export::export_session)
        .service(queue::list_queue)
        .service(queue::steer_input)
        .service(queue::withdraw_input)
        .service(approvals::list_approvals)
        .service(approvals::list_grants)
        .service(approvals::revoke_grant)
        .service(approvals::get_approval)
        .service(approvals::answer_approval)
        .service(devices::make_pairing)
        .service(devices::rename_device)
        .service(devices::list_devices)
        .service(devices::remove_device)
        .service(devices::login)
        .service(devices::logout)
        .service(agents::list_agents)
        .service(setup::list_setups)
        .service(setup::install_agent)
        .service(setup::write_credentials)
        .service(setup::verify_agent)
        .service(setup::bridge_vars)
        .service(setup::set_up_bridge)
        .service(trust::list_trust)
        .service(trust::set_trust)
        .service(trust::forget_trust)
        .service(render::render_texts)
        .service(directories::check_directory)
        .service(directories::diff_directory)
        .service(directories::complete_directory)
        .service(directories::recent_directories)
        .service(log_tail::log_tail)
        .service(bridges::bridge_status)
        .service(bridges::list_bridges)
        .service(status::session_status)
        .service(workspaces::list_workspaces)
        .service(workspaces::list_repos)
        .service(workspaces::remove_orphans)
        .service(metrics::metrics)
        .service(openapi::describe_api)
        .service(backup::backup)
        .service(shutdown::shutdown)
        .service(debug::clear_data);
}

/// Everything else: the web app, or an error in our shape.
async fn otherwise(api: Data<Api>, req: HttpRequest) -> Result<HttpResponse, ApiError> {
    let path = req.match_info().unprocessed();
    let first = path.trim_start_matches('/').split('/').next().unwrap_or_default();
    let is_ours = matches!(first, "api" | "events" | "health" | "metrics" | "mcp");
    if req.method() == Method::GET && !is_ours {
        return Ok(assets::serve(&req));
    }
    Err(no_route(&api, path, req.method()))
}
