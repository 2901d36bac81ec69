//! Summaries.

use std::collections::BTreeMap;

use actix_web::get;
use actix_web::web::{Data, Json};
use serde::Serialize;
use tether_actors::domain::ids::SessionId;
use tether_actors::domain::state::SessionState;
use tether_actors::domain::time::Stamp;

use super::Api;
use super::auth::Caller;

/// So many sessions are listed as recent.
const RECENT: usize = 10;

/// The sessions in figures.
#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct SessionSummary {
    total: usize,
    /// How many in each state that occurs.
    by_state: BTreeMap<&'static str, usize>,
    /// How many on each platform that occurs; `none` = on none.
    by_platform: BTreeMap<String, usize>,
    /// The newest.
    recent_activity: Vec<RecentSession>,
}

/// A session in a line.
#[derive(Serialize, utoipa::ToSchema)]
struct RecentSession {
    #[schema(value_type = String)]
    session_id: SessionId,
    name: String,
    state: SessionState,
    platform: Option<String>,
    #[schema(value_type = String)]
    last_activity_at: Stamp,
    message_count: u64,
}

/// The sessions in figures.
#[utoipa::path(tag = "status", responses((status = 200, body = SessionSummary)))]
#[get("/api/status/sessions")]
pub(super) async fn session_status(_: Caller, api: Data<Api>) -> Json<SessionSummary> {
    let mut sessions = api.log.read_model.sessions();
    let (mut by_state, mut by_platform) = (BTreeMap::new(), BTreeMap::new());
    for session in &sessions {
        *by_state.entry(session.state.as_str()).or_default() += 1;
        let platform = session.platform.as_deref().unwrap_or("none");
        *by_platform.entry(platform.to_owned()).or_default() += 1;
    }
    let total = sessions.len();
    sessions.sort_by_key(|session| std::cmp::Reverse(session.last_activity_at));
    let recent = sessions.into_iter().take(RECENT).map(|session| RecentSession {
        session_id: session.id,
        name: session.name.filter(|name| !name.is_empty()).unwrap_or_else(|| "Untitled".into()),
        state: session.state,
        platform: session.platform,
        last_activity_at: session.last_activity_at,
        message_count: session.message_count,
    });
    Json(SessionSummary { total, by_state, by_platform, recent_activity: recent.collect() })
}
