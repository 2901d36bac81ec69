//! The agents: what this machine has of each.

use actix_web::get;
use actix_web::web::{Data, Json, block};
use serde::{Deserialize, Serialize};
use tether_actors::agent::catalogue::AgentReport;

use super::Api;
use super::auth::Caller;
use super::error::ApiError;

/// One agent, as it is found on the daemon's machine.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq, utoipa::ToSchema)]
pub struct AgentView {
    /// The name by which sessions ask for it (`adapter`).
    pub adapter: String,
    /// Its name for people.
    pub title: String,
    /// The protocol that it speaks.
    pub protocol: String,
    /// Whether a session of it can be expected to work.
    pub ready: bool,
    /// What is missing and what to do about it; null = nothing.
    pub problem: Option<String>,
    /// What else a person should know (its version is not the one that this was made for).
    pub notice: Option<String>,
    /// Its version, where it tells it.
    pub version: Option<String>,
    /// Where its program is.
    pub program: Option<String>,
    /// The model that its sessions use when they name none; null = its own choice.
    pub model: Option<String>,
    /// Whether sessions that name no agent use it.
    #[serde(rename = "default")]
    pub is_default: bool,
}

impl From<&AgentReport> for AgentView {
    fn from(report: &AgentReport) -> Self {
        let found = report.found.as_ref().ok();
        Self {
            adapter: report.adapter.clone(),
            title: report.title.clone(),
            protocol: report.protocol.to_owned(),
            ready: report.is_ready(),
            problem: report.problem.clone(),
            notice: found.and_then(|found| found.notice.clone()),
            version: found.and_then(|found| found.version.as_ref().map(ToString::to_string)),
            program: found.map(|found| found.path.display().to_string()),
            model: report.model.clone(),
            is_default: report.is_default,
        }
    }
}

/// All agents, with what is found of each. The first time it takes as long as the slowest program needs to tell its
/// version, which may be seconds.
#[utoipa::path(tag = "agents", responses((status = 200, body = Vec<AgentView>)))]
#[get("/api/agents")]
pub(super) async fn list_agents(_: Caller, api: Data<Api>) -> Result<Json<Vec<AgentView>>, ApiError> {
    let agents = api.world.agent_settings().agents.clone();
    let reports = block(move || agents.report()).await.map_err(|_| ApiError::stopping())?;
    Ok(Json(reports.iter().map(AgentView::from).collect()))
}
