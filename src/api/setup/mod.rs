//! Setting agents and chat platforms up from afar (`contract`: setup).
//!
//! Unlike the peer's, it writes an agent's own sign-in file and nothing else, and of that only what a sign-in leaves; of
//! `config.env` only what the platform's name stands for; and no text of a caller ever reaches a shell, ours or that of an
//! agent. Who may only look (a paired device) changes nothing here.

mod agents;
mod bridges;
mod credentials;
mod install;

use actix_web::web::{Data, Json, block};
use actix_web::{HttpRequest, get, post};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Api;
use super::auth::Caller;
use super::error::{ApiError, ErrorBody};
use super::extract::{Body, FromFields};
use super::fields::Fields;
use agents::SetupAgent;
pub use agents::{AgentSetup, sign_in_files};

/// All agents that can be set up.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AgentSetups {
    /// They.
    pub agents: Vec<AgentSetup>,
}

/// What became of an agent.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AgentDone {
    /// Whether it is as it should be.
    pub ok: bool,
    /// Which.
    pub agent: String,
    /// Its version, if it is there.
    pub version: Option<String>,
    /// Whether it is signed in, as far as can be told without the network.
    #[serde(default)]
    pub authenticated: bool,
    /// For people.
    pub message: String,
}

/// What was written of a sign-in.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct CredentialsDone {
    /// Always true.
    pub ok: bool,
    /// Whose.
    pub agent: String,
    /// Which files, as they were named.
    pub files_written: Vec<String>,
}

/// What a chat platform needs.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct BridgeVars {
    /// Which platform.
    pub bridge: String,
    /// The settings.
    pub vars: Vec<BridgeVar>,
}

/// A setting of a chat platform.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct BridgeVar {
    /// Its name.
    pub key: String,
    /// What it is.
    pub label: String,
    /// Whether the platform needs it.
    pub required: bool,
    /// Whether it is a secret.
    #[serde(default)]
    pub secret: bool,
    /// Whether it is set.
    #[serde(default)]
    pub set: bool,
}

/// A chat platform was set up.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct BridgeDone {
    /// Always true.
    pub ok: bool,
    /// Which.
    pub bridge: String,
    /// What to do now.
    pub message: String,
}

/// Files of a sign-in.
#[derive(utoipa::ToSchema)]
pub(super) struct Credentials {
    /// The text of each, by its path below the home directory.
    #[schema(value_type = std::collections::HashMap<String, String>)]
    files: Map<String, Value>,
}

impl FromFields for Credentials {
    fn read(fields: &mut Fields) -> Self {
        Self { files: fields.object("files").unwrap_or_default() }
    }
}

/// Settings of a platform.
#[derive(utoipa::ToSchema)]
pub(super) struct BridgeEnv {
    /// Values by name; only the platform's own.
    #[schema(value_type = std::collections::HashMap<String, String>)]
    env: Map<String, Value>,
}

impl FromFields for BridgeEnv {
    fn read(fields: &mut Fields) -> Self {
        Self { env: fields.object("env").unwrap_or_default() }
    }
}

/// Only the person with the daemon's own token.
fn owner(caller: &Caller) -> Result<(), ApiError> {
    match &caller.device {
        None => Ok(()),
        Some(_) => Err(ApiError::forbidden("a paired device may not do this: use the daemon's own token")),
    }
}

fn name_of(req: &HttpRequest) -> &str {
    req.match_info().query("name")
}

fn agent_of(req: &HttpRequest) -> Result<&'static SetupAgent, ApiError> {
    let name = name_of(req);
    agents::find(name).ok_or_else(|| {
        let known = agents::ALL.iter().map(|agent| agent.name).collect::<Vec<_>>().join(", ");
        ApiError::not_found(format!("there is no agent {name:?} to set up: there are {known}"))
    })
}

async fn looked_at(api: &Data<Api>) -> Result<Vec<AgentSetup>, ApiError> {
    let agents = api.world.agent_settings().agents.clone();
    block(move || agents::look(&agents)).await.map_err(|_| ApiError::stopping())
}

async fn one(api: &Data<Api>, agent: &SetupAgent) -> Result<AgentSetup, ApiError> {
    let all = looked_at(api).await?;
    all.into_iter().find(|found| found.name == agent.name).ok_or_else(ApiError::stopping)
}

/// The agents that can be installed and signed in from here, and what the machine has of each.
#[utoipa::path(tag = "setup", responses((status = 200, body = AgentSetups)))]
#[get("/api/setup/agents")]
pub(super) async fn list_setups(_: Caller, api: Data<Api>) -> Result<Json<AgentSetups>, ApiError> {
    Ok(Json(AgentSetups { agents: looked_at(&api).await? }))
}

/// Install an agent, or its newest version, with npm: up to two minutes.
#[utoipa::path(
    tag = "setup", params(("name" = String, Path)),
    responses((status = 200, body = AgentDone), (status = 400, body = ErrorBody), (status = 500, body = ErrorBody), (status = 504, body = ErrorBody))
)]
#[post("/api/setup/agents/{name}/install")]
pub(super) async fn install_agent(
    caller: Caller,
    api: Data<Api>,
    req: HttpRequest,
) -> Result<Json<AgentDone>, ApiError> {
    owner(&caller)?;
    let agent = agent_of(&req)?;
    install::install(agent).await?;
    let found = one(&api, agent).await?;
    let message = match &found.version {
        Some(version) => format!("{} {version} is installed", found.binary),
        None => format!(
            "npm says that it is installed, and {} is not found: is npm's folder of programs in the daemon's PATH?",
            found.binary
        ),
    };
    Ok(Json(AgentDone {
        ok: found.installed,
        agent: found.name,
        version: found.version,
        authenticated: found.authenticated,
        message,
    }))
}

/// Write what a sign-in on another machine left, so that the agent is signed in here as well.
#[utoipa::path(
    tag = "setup", params(("name" = String, Path)), request_body = Credentials,
    responses((status = 200, body = CredentialsDone), (status = 400, body = ErrorBody))
)]
#[post("/api/setup/agents/{name}/credentials")]
pub(super) async fn write_credentials(
    caller: Caller,
    req: HttpRequest,
    body: Body<Credentials>,
) -> Result<Json<CredentialsDone>, ApiError> {
    owner(&caller)?;
    let agent = agent_of(&req)?;
    let files = body.0.files;
    let written = block(move || credentials::write(agent, files, &|name| std::env::var_os(name)))
        .await
        .map_err(|_| ApiError::stopping())??;
    Ok(Json(CredentialsDone { ok: true, agent: agent.name.to_owned(), files_written: written }))
}

/// Look whether an agent is there and signed in.
#[utoipa::path(
    tag = "setup", params(("name" = String, Path)),
    responses((status = 200, body = AgentDone), (status = 404, body = ErrorBody))
)]
#[post("/api/setup/agents/{name}/verify")]
pub(super) async fn verify_agent(
    _: Caller,
    api: Data<Api>,
    req: HttpRequest,
) -> Result<Json<AgentDone>, ApiError> {
    let found = one(&api, agent_of(&req)?).await?;
    let message = match &found.problem {
        Some(problem) => problem.clone(),
        None => format!("{} is there and signed in", found.binary),
    };
    Ok(Json(AgentDone {
        ok: found.problem.is_none(),
        agent: found.name,
        version: found.version,
        authenticated: found.authenticated,
        message,
    }))
}

/// What a chat platform needs.
#[utoipa::path(
    tag = "setup", params(("name" = String, Path)),
    responses((status = 200, body = BridgeVars), (status = 404, body = ErrorBody))
)]
#[get("/api/setup/bridge/vars/{name}")]
pub(super) async fn bridge_vars(
    _: Caller,
    api: Data<Api>,
    req: HttpRequest,
) -> Result<Json<BridgeVars>, ApiError> {
    Ok(Json(bridges::vars(name_of(&req), api.settings.config_file.as_deref())?))
}

/// Store what a chat platform needs in config.env. It counts from the next start of the daemon on.
#[utoipa::path(
    tag = "setup", params(("name" = String, Path)), request_body = BridgeEnv,
    responses((status = 200, body = BridgeDone), (status = 400, body = ErrorBody), (status = 422, body = ErrorBody))
)]
#[post("/api/setup/bridge/{name}")]
pub(super) async fn set_up_bridge(
    caller: Caller,
    api: Data<Api>,
    req: HttpRequest,
    body: Body<BridgeEnv>,
) -> Result<Json<BridgeDone>, ApiError> {
    owner(&caller)?;
    let (name, file) = (name_of(&req).to_owned(), api.settings.config_file.clone());
    let env = body.0.env;
    let done = block(move || bridges::store(&name, env, file.as_deref())).await;
    Ok(Json(done.map_err(|_| ApiError::stopping())??))
}
