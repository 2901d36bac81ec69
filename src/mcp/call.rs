//! One call of a tool: whom to ask, how to tell how far it is, and whether the client still waits.

use std::time::Duration;

use rmcp::RoleServer;
use rmcp::model::{ProgressNotificationParam, RequestId};
use rmcp::service::RequestContext;
use tokio::sync::broadcast;

use crate::client::{Client, ClientError};

/// The notification that cancels a call comes through another task than the cancellation itself; it is there within
/// moments, or the connection is gone and there is none.
const NOTIFICATION: Duration = Duration::from_millis(500);

/// A call under way.
pub(super) struct Call {
    /// The daemon.
    pub client: Client,
    context: RequestContext<RoleServer>,
    cancelled: broadcast::Receiver<(RequestId, Option<String>)>,
}

/// Why the client no longer waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum GivenUp {
    /// It does not want the answer any more.
    Cancelled,
    /// It lost its patience, or the connection: it may come back for the answer.
    Lost,
}

impl Call {
    pub fn new(
        client: Client,
        context: RequestContext<RoleServer>,
        cancelled: broadcast::Receiver<(RequestId, Option<String>)>,
    ) -> Self {
        Self { client, context, cancelled }
    }

    /// Waits until the client gives the call up.
    pub async fn given_up(&mut self) -> GivenUp {
        self.context.ct.cancelled().await;
        let told = async {
            loop {
                match self.cancelled.recv().await {
                    Ok((id, reason)) if id == self.context.id => return why(reason.as_deref()),
                    Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {}
                    Err(broadcast::error::RecvError::Closed) => return GivenUp::Lost,
                }
            }
        };
        tokio::time::timeout(NOTIFICATION, told).await.unwrap_or(GivenUp::Lost)
    }

    /// Tells the client how far it is, if it wants to know.
    pub async fn progress(&self, done: Duration, of: Duration, message: String) {
        let Some(token) = self.context.meta.get_progress_token() else { return };
        let progress = ProgressNotificationParam::new(token, done.as_secs_f64())
            .with_total(of.as_secs_f64())
            .with_message(message);
        if let Err(error) = self.context.peer.notify_progress(progress).await {
            tracing::debug!(%error, "the client does not hear of progress");
        }
    }
}

/// A client that ran out of time says so in its own words; only that is taken for it.
fn why(reason: Option<&str>) -> GivenUp {
    let reason = reason.unwrap_or_default().to_ascii_lowercase();
    match reason.contains("timed out") || reason.contains("timeout") {
        true => GivenUp::Lost,
        false => GivenUp::Cancelled,
    }
}

/// Why a tool did not do what it was asked, in words for the model and the person behind it.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub(super) enum ToolError {
    /// The daemon refused, or is not there.
    #[error("{}", told(.0))]
    Client(#[from] ClientError),
    /// The arguments do not fit the schema; the text says where.
    #[error("Input validation error: {0}")]
    Arguments(String),
    /// There is no such tool.
    #[error("Unknown tool: {0}")]
    Unknown(String),
    /// Anything else.
    #[error("{0}")]
    Text(String),
}

fn told(error: &ClientError) -> String {
    match error {
        ClientError::Unreachable { .. } => format!("{error}. Is it running? Start it with: tether start"),
        ClientError::Refused { status: 401, .. } => format!(
            "{error}. The token comes from TETHER_AGENT_TOKEN in the environment of this MCP server, or from config.env"
        ),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_client_that_ran_out_of_time_may_come_back() {
        for reason in ["McpError: MCP error -32001: Request timed out", "request timeout"] {
            assert_eq!(why(Some(reason)), GivenUp::Lost, "{reason}");
        }
        for reason in [None, Some(""), Some("User requested cancellation"), Some("AbortError")] {
            assert_eq!(why(reason), GivenUp::Cancelled, "{reason:?}");
        }
    }

    #[test]
    fn an_error_says_what_to_do() {
        let gone = ClientError::Unreachable { url: "http://x".into(), cause: "refused".into() };
        assert!(ToolError::from(gone).to_string().contains("tether start"));
        let refused = ClientError::Refused { status: 401, code: None, message: "no".into() };
        assert!(ToolError::from(refused).to_string().contains("TETHER_AGENT_TOKEN"));
    }
}
