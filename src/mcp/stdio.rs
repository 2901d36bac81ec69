//! The server on standard input and output, for the client that started the program.

use rmcp::ServiceExt as _;

use super::Server;

/// Why the server ended otherwise than by its client.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The client did not begin as the protocol has it.
    #[error("no MCP client speaks here: {0}; this program is started by one (see: tether mcp install)")]
    Start(String),
    /// The server broke off.
    #[error("the MCP server broke off: {0}")]
    Broken(#[from] tokio::task::JoinError),
}

/// Serves until the client closes our standard input.
///
/// # Errors
/// The client does not speak the protocol, or the server breaks off.
pub async fn serve_stdio(server: Server) -> Result<(), ServeError> {
    let running =
        server.serve(rmcp::transport::stdio()).await.map_err(|error| ServeError::Start(error.to_string()))?;
    running.waiting().await?;
    Ok(())
}
