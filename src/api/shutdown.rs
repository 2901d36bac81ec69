//! Ending the daemon, from outside and inside.

use std::sync::Arc;

use actix_web::web::Data;
use actix_web::{HttpResponse, post};
use tokio::sync::watch;

use super::Api;
use super::auth::Caller;
use super::extract::{Body, FromFields};
use super::fields::Fields;

/// What the daemon was asked to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stop {
    /// The agent programs too; otherwise they go on and are found again at the next start.
    pub agents: bool,
}

/// The switch that ends the daemon. Clones are the same switch; it can be turned once.
#[derive(Clone, Debug)]
pub struct ShutdownSwitch(Arc<watch::Sender<Option<Stop>>>);

impl Default for ShutdownSwitch {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(None)))
    }
}

impl ShutdownSwitch {
    /// Turns it. The first call counts, but one that ends the agents too may still follow one that does not.
    pub fn turn(&self, stop: Stop) {
        self.0.send_if_modified(|state| {
            let changes = state.is_none_or(|before| stop.agents && !before.agents);
            if changes {
                *state = Some(stop);
            }
            changes
        });
    }

    /// Whether it was turned, and for what.
    pub fn state(&self) -> Option<Stop> {
        *self.0.borrow()
    }

    /// Waits until it is turned.
    pub async fn turned(&self) -> Stop {
        let mut state = self.0.subscribe();
        loop {
            if let Some(stop) = *state.borrow_and_update() {
                return stop;
            }
            if state.changed().await.is_err() {
                // The sender is ours, so this cannot be; waiting is what was asked for.
                std::future::pending::<()>().await;
            }
        }
    }
}

/// What to end.
#[derive(utoipa::ToSchema)]
pub(super) struct ShutdownBody {
    /// The agent programs too. Otherwise they go on, and are found again at the next start.
    #[schema(default = false, required = false)]
    agents: bool,
}

impl FromFields for ShutdownBody {
    fn read(fields: &mut Fields) -> Self {
        Self { agents: fields.flag("agents").unwrap_or(false) }
    }
}

/// End the daemon. Answered before it ends.
#[utoipa::path(tag = "daemon", request_body = ShutdownBody, responses((status = 202)))]
#[post("/api/shutdown")]
pub(super) async fn shutdown(api: Data<Api>, caller: Caller, body: Body<ShutdownBody>) -> HttpResponse {
    let Body(ShutdownBody { agents }) = body;
    tracing::info!(agents, by = %caller.actor(), "asked to stop");
    api.shutdown.turn(Stop { agents });
    HttpResponse::Accepted().json(serde_json::json!({"ok": true}))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[actix_web::test]
    async fn the_switch_is_seen_by_all_and_may_only_be_widened() {
        let switch = ShutdownSwitch::default();
        let mut turned = std::pin::pin!(switch.turned());
        assert!(crate::api::tests::is_pending(turned.as_mut()));
        switch.clone().turn(Stop { agents: false });
        assert_eq!(turned.await, Stop { agents: false });
        switch.turn(Stop { agents: true });
        switch.turn(Stop { agents: false });
        assert_eq!(switch.state(), Some(Stop { agents: true }));
    }
}
