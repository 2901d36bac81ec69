//! The MCP server: what an agent can ask of Tether through the Model Context Protocol.
//!
//! It is a thin client of the daemon's API, on standard input and output (`tether mcp`) and, carried by the daemon
//! itself, over streamable HTTP at `/mcp`. Nothing is decided here, and no tool answers an approval: what an agent
//! asks is answered by people, and whatever goes wrong on the way is never a yes.

mod approval;
mod call;
pub mod install;
mod orchestrate;
mod own;
mod resources;
mod stdio;
mod tools;

use std::sync::Arc;

use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CancelledNotificationParam, Implementation,
    ListResourceTemplatesResult, ListResourcesResult, ListToolsResult, PaginatedRequestParams,
    ReadResourceRequestParams, ReadResourceResponse, RequestId, ServerCapabilities, ServerConfig, Tool,
};
use rmcp::service::{NotificationContext, RequestContext};
use rmcp::{ErrorData, RoleServer, ServerHandler};
use tokio::sync::broadcast;

pub use stdio::{ServeError, serve_stdio};

use crate::client::Client;

/// The name that clients see.
const NAME: &str = "tether-agent";

/// What the model is told about the server as a whole.
const INSTRUCTIONS: &str = "Tether connects you with the person you work for, who may be away from this machine. \
    Make a session with create_session, tell what you do with send_output, and before anything risky ask with \
    request_approval: it waits for the person. Only `allowed: true`, or the choice that the person made, is a go-ahead; \
    a timeout, a cancellation or an error never is. check_input gives you what the person says meanwhile. With \
    run_agent and the tools after it you can have other agents work and look at what they did.";

/// As many cancellations are kept for calls that have not looked yet.
const CANCELLATIONS: usize = 64;

/// The server for one client. Cheap to make.
#[derive(Clone)]
pub struct Server {
    client: Client,
    /// Which calls the client gave up, and why it says so.
    cancelled: broadcast::Sender<(RequestId, Option<String>)>,
}

impl Server {
    /// A server that asks the daemon through this client.
    pub fn new(client: Client) -> Self {
        Self { client, cancelled: broadcast::Sender::new(CANCELLATIONS) }
    }

    /// All tools.
    pub fn tools() -> Vec<Tool> {
        tools::all()
    }
}

impl ServerHandler for Server {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder().enable_tools().enable_resources().build();
        let me = Implementation::new(NAME, env!("CARGO_PKG_VERSION")).with_title("Tether");
        ServerConfig::new(capabilities).with_server_info(me).with_instructions(INSTRUCTIONS)
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult::with_all_items(tools::all()))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let call = call::Call::new(self.client.clone(), context, self.cancelled.subscribe());
        Ok(tools::run(&request.name, request.arguments.unwrap_or_default(), call).await.into())
    }

    async fn on_cancelled(
        &self,
        notification: CancelledNotificationParam,
        _: NotificationContext<RoleServer>,
    ) {
        // An error means that no call is under way.
        if let Some(id) = notification.request_id {
            let _ = self.cancelled.send((id, notification.reason));
        }
    }

    async fn list_resources(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        resources::list(&self.client).await
    }

    async fn list_resource_templates(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        Ok(resources::templates())
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        resources::read(&self.client, &request.uri).await.map(Into::into)
    }
}

/// What makes a server for each client of the HTTP endpoint.
pub type Factory = Arc<dyn Fn() -> Server + Send + Sync>;
