//! Sessions: made, listed, named, set up, deleted.

use actix_web::web::{Data, Json};
use actix_web::{HttpRequest, HttpResponse, delete, get, patch, post};
use serde_json::{Value, json};
use tether_actors::domain::restart::RestartPolicy;
use tether_actors::domain::session::{OnceMark, Session};
use tether_actors::domain::usage::Usage;
use tether_actors::registry::{ExternalAgent, NewSession};
use tether_actors::session::{Configure, SessionDetails};
use tether_actors::workspace::{Source, clone_url};

use super::Api;
use super::auth::Caller;
use super::error::ApiError;
use super::extract::{Body, FromFields, SessionPath};
use super::fields::Fields;
use super::{bridges, directories, once};

/// Longest name of a session, in characters.
const NAME: usize = 80;
/// Longest short text (an agent's name, a model), in characters.
const SHORT: usize = 200;
/// Longest path or URL.
const LONG: usize = 4096;
const RESTART_POLICIES: [&str; 3] = ["continue", "resume", "never"];

/// What a new session is to be. All fields may be absent.
#[derive(serde::Serialize, utoipa::ToSchema)]
pub(super) struct CreateSession {
    /// Marks a session that an agent of the person's own drives; the next three count only with it.
    agent_name: Option<String>,
    /// What kind of agent.
    agent_type: Option<String>,
    /// A picture for it.
    agent_icon: Option<String>,
    /// Where it works; remembered only.
    agent_workspace: Option<String>,
    /// The session's name; a placeholder otherwise.
    session_name: Option<String>,
    /// An existing folder on the daemon's machine; `~` is the home directory.
    directory: Option<String>,
    /// The agent: a name that `/api/agents` gives, or the name of Tether 0.3.4 for it; null = the default.
    adapter: Option<String>,
    /// `telegram`, `slack` or `discord`.
    platform: Option<String>,
    /// null or 0 ask, 1 auto-approve edits, 2 approve all.
    approval_mode: Option<u8>,
    /// The model; null = the agent's default.
    model: Option<String>,
    /// What to do when the agent crashes in mid-turn; null = the configured default.
    #[schema(inline)]
    restart_policy: Option<RestartPolicy>,
    /// A repository to clone for it: `https://`, `http://`, `ssh://`, `file://`, `git@host:path`, or an absolute path that
    /// ends in `.git`. It gets a work tree of its own on a branch of its own. Not together with `directory`.
    clone_url: Option<String>,
    /// The branch to begin at; the repository's default when left out.
    clone_branch: Option<String>,
    /// Only the newest commit of each branch.
    #[schema(required = false)]
    shallow: bool,
    /// A branch of its own also with `force_clone`.
    #[schema(required = false)]
    auto_branch: bool,
    /// A clone of its own instead of a work tree of a shared one.
    #[schema(required = false)]
    force_clone: bool,
    /// A work tree of its own, beside the repository at `directory`.
    #[schema(required = false)]
    worktree: bool,
    /// Whether its work tree is saved before the first turn and after each; null = as configured
    /// (`TETHER_GIT_AUTO_CHECKPOINT`).
    // Left out of what a key of old stands for.
    #[serde(skip_serializing_if = "Option::is_none")]
    auto_checkpoint: Option<bool>,
}

impl FromFields for CreateSession {
    fn read(fields: &mut Fields) -> Self {
        // Labels of old; taken so that a wrong type is told, and dropped.
        fields.text("repo_id");
        fields.text("base_ref");
        Self {
            agent_name: non_empty(fields.text_within("agent_name", 0, SHORT)),
            agent_type: fields.text_within("agent_type", 0, SHORT),
            agent_icon: fields.text_within("agent_icon", 0, LONG),
            agent_workspace: fields.text_within("agent_workspace", 0, LONG),
            session_name: fields.text_within("session_name", 0, SHORT),
            directory: non_empty(fields.text("directory")),
            adapter: non_empty(fields.text("adapter")),
            platform: non_empty(fields.text("platform")),
            approval_mode: fields.choice("approval_mode", &[0, 1, 2]).flatten(),
            model: non_empty(fields.text_within("model", 0, SHORT)),
            restart_policy: fields.word("restart_policy", &RESTART_POLICIES).and_then(policy),
            clone_url: non_empty(fields.text("clone_url")),
            clone_branch: non_empty(fields.text_within("clone_branch", 0, SHORT)),
            shallow: fields.flag("shallow").unwrap_or(false),
            auto_branch: fields.flag("auto_branch").unwrap_or(false),
            force_clone: fields.flag("force_clone").unwrap_or(false),
            worktree: fields.flag("worktree").unwrap_or(false),
            auto_checkpoint: fields.flag("auto_checkpoint"),
        }
    }
}

/// The contract treats an empty text like none.
fn non_empty(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}

fn policy(word: &'static str) -> Option<RestartPolicy> {
    match word {
        "continue" => Some(RestartPolicy::Continue),
        "resume" => Some(RestartPolicy::Resume),
        "never" => Some(RestartPolicy::Never),
        _ => None,
    }
}

/// All sessions, in the order in which they were made.
#[utoipa::path(tag = "sessions", responses((status = 200, body = Vec<Session>)))]
#[get("/api/sessions")]
pub(super) async fn list_sessions(_: Caller, api: Data<Api>) -> Json<Vec<Session>> {
    Json(api.log.read_model.sessions())
}

/// Make a session. Sent again with the same `Idempotency-Key`, it is made once.
#[utoipa::path(
    tag = "sessions", request_body = CreateSession,
    responses((status = 201, body = Session), (status = 422, body = super::error::ErrorBody))
)]
#[post("/api/sessions")]
pub(super) async fn create_session(
    _: Caller,
    api: Data<Api>,
    req: HttpRequest,
    body: Body<CreateSession>,
) -> Result<HttpResponse, ApiError> {
    let Body(wanted) = body;
    let Some(key) = once::key_of(&req)? else {
        return Ok(HttpResponse::Created().json(make(&api, wanted, None).await?));
    };
    let mark = once::mark(&key, &wanted);
    let made_before = |mark: &OnceMark| {
        let made = api.log.read_model.made_under(&mark.key)?;
        let is_same = made.made_under.as_ref() == Some(mark);
        Some(if is_same { Ok(made.session.clone()) } else { Err(once::used_otherwise()) })
    };
    let (house, under) = (api.clone(), mark.clone());
    let making = async move { make(&house, wanted, Some(under)).await };
    Ok(HttpResponse::Created().json(api.making.once(mark, made_before, making).await?))
}

async fn make(api: &Api, wanted: CreateSession, made_under: Option<OnceMark>) -> Result<Session, ApiError> {
    if wanted.clone_url.is_some() && (wanted.directory.is_some() || wanted.worktree) {
        return Err(ApiError::invalid("give either clone_url or directory, not both"));
    }
    if wanted.worktree && wanted.directory.is_none() {
        return Err(ApiError::invalid("worktree needs the directory of a git repository"));
    }
    let agents = &api.world.agent_settings().agents;
    if let Some(adapter) = wanted.adapter.as_deref().filter(|adapter| agents.entry(Some(adapter)).is_none()) {
        let known = agents.names().collect::<Vec<_>>().join(", ");
        return Err(ApiError::invalid(format!("Invalid adapter '{adapter}': the adapters are {known}")));
    }
    let platform = bridges::wanted_platform(api, wanted.platform)?;
    let directory = match &wanted.directory {
        Some(directory) => Some(directories::existing(directory).await?),
        None => None,
    };
    let work_tree = match (wanted.clone_url, &directory) {
        (Some(url), _) => Some(Source::Clone {
            url: clone_url(&url)?.to_owned(),
            branch: wanted.clone_branch,
            shallow: wanted.shallow,
            auto_branch: wanted.auto_branch,
            plain: wanted.force_clone,
        }),
        (None, Some(directory)) if wanted.worktree => {
            let trusted = api.world.read_model().trust_in(directory).is_some_and(|said| said.trusted);
            Some(Source::Local { directory: directory.clone(), trusted })
        }
        _ => None,
    };
    let external_agent = wanted.agent_name.map(|name| ExternalAgent {
        name,
        kind: wanted.agent_type,
        icon: wanted.agent_icon,
        workspace: wanted.agent_workspace,
    });
    let new = NewSession {
        name: wanted.session_name,
        directory,
        adapter: wanted.adapter,
        approval_mode: wanted.approval_mode,
        model: wanted.model,
        restart_policy: wanted.restart_policy,
        auto_checkpoint: wanted.auto_checkpoint,
        external_agent,
        platform,
        made_under,
        work_tree,
    };
    if new.work_tree.is_none() {
        return Ok(api.world.create(new).await?);
    }
    // A client that goes away must not leave half a clone.
    let world = api.world.clone();
    let made = actix_web::rt::spawn(async move { world.create(new).await });
    Ok(made.await.map_err(|_| ApiError::stopping())??)
}

/// One session.
#[utoipa::path(tag = "sessions", params(("id" = String, Path)), responses((status = 200, body = Session)))]
#[get("/api/sessions/{id}")]
pub(super) async fn get_session(
    _: Caller,
    api: Data<Api>,
    path: SessionPath,
) -> Result<HttpResponse, ApiError> {
    let entry = api.session(&path.id()?)?;
    Ok(HttpResponse::Ok().json(&entry.record.session))
}

/// Delete a session with all that belongs to it.
#[utoipa::path(tag = "sessions", params(("id" = String, Path)), responses((status = 200), (status = 409)))]
#[delete("/api/sessions/{id}")]
pub(super) async fn delete_session(
    _: Caller,
    api: Data<Api>,
    path: SessionPath,
) -> Result<Json<Value>, ApiError> {
    api.world.delete(&path.id()?).await?;
    Ok(Json(json!({"ok": true})))
}

/// A name.
#[derive(utoipa::ToSchema)]
pub(super) struct RenameSession {
    /// 1 to 80 characters; runs of blanks become one.
    name: String,
}

impl FromFields for RenameSession {
    fn read(fields: &mut Fields) -> Self {
        let name = fields.required_text("name", 1, NAME);
        Self { name: name.split_whitespace().collect::<Vec<_>>().join(" ") }
    }
}

/// Give a session another name.
#[utoipa::path(
    tag = "sessions", params(("id" = String, Path)), request_body = RenameSession,
    responses((status = 200, body = Session))
)]
#[patch("/api/sessions/{id}/rename")]
pub(super) async fn rename_session(
    _: Caller,
    api: Data<Api>,
    path: SessionPath,
    body: Body<RenameSession>,
) -> Result<Json<Session>, ApiError> {
    Ok(Json(api.world.rename(&path.id()?, body.0.name).await?))
}

/// Who decides.
#[derive(utoipa::ToSchema)]
pub(super) struct ApprovalMode {
    /// null or 0 ask, 1 auto-approve edits, 2 approve all.
    approval_mode: Option<u8>,
}

impl FromFields for ApprovalMode {
    fn read(fields: &mut Fields) -> Self {
        Self { approval_mode: fields.choice("approval_mode", &[0, 1, 2]).flatten() }
    }
}

/// Change who decides over what the agent asks.
#[utoipa::path(
    tag = "sessions", params(("id" = String, Path)), request_body = ApprovalMode,
    responses((status = 200, body = Session))
)]
#[patch("/api/sessions/{id}/approval-mode")]
pub(super) async fn set_approval_mode(
    caller: Caller,
    api: Data<Api>,
    path: SessionPath,
    body: Body<ApprovalMode>,
) -> Result<Json<Session>, ApiError> {
    let mode = body.0.approval_mode;
    Ok(Json(api.world.set_approval_mode(&path.id()?, mode, caller.actor()).await?))
}

/// Tokens and money that the session used.
#[utoipa::path(tag = "sessions", params(("id" = String, Path)), responses((status = 200, body = Usage)))]
#[get("/api/sessions/{id}/usage")]
pub(super) async fn session_usage(
    _: Caller,
    api: Data<Api>,
    path: SessionPath,
) -> Result<Json<Usage>, ApiError> {
    Ok(Json(api.session(&path.id()?)?.record.usage.rounded()))
}

/// How a session is set up and what runs for it.
#[utoipa::path(tag = "sessions", params(("id" = String, Path)), responses((status = 200, body = SessionDetails)))]
#[get("/api/sessions/{id}/details")]
pub(super) async fn session_details(
    _: Caller,
    api: Data<Api>,
    path: SessionPath,
) -> Result<Json<SessionDetails>, ApiError> {
    Ok(Json(api.world.details(&path.id()?).await?))
}

/// What to change; absent fields stay.
#[derive(utoipa::ToSchema)]
pub(super) struct ConfigureSession {
    /// The model; null = the agent's default.
    #[schema(value_type = Option<String>, required = false)]
    model: Option<Option<String>>,
    /// Whether the agent shall only plan, until a person takes its plan.
    #[schema(required = false)]
    planning: Option<bool>,
    /// What to do when the agent crashes in mid-turn.
    #[schema(inline, required = false)]
    restart_policy: Option<RestartPolicy>,
    /// Whether it is put aside, out of the usual list.
    #[schema(required = false)]
    archived: Option<bool>,
    /// Whether its work tree is saved after each turn; null = as configured.
    #[schema(value_type = Option<bool>, required = false)]
    auto_checkpoint: Option<Option<bool>>,
}

impl FromFields for ConfigureSession {
    fn read(fields: &mut Fields) -> Self {
        let given = fields.has("model");
        let saving_given = fields.has("auto_checkpoint");
        let model = fields.text_within("model", 0, SHORT);
        Self {
            model: given.then(|| non_empty(model)),
            planning: fields.flag("planning"),
            restart_policy: fields.word("restart_policy", &RESTART_POLICIES).and_then(policy),
            archived: fields.flag("archived"),
            auto_checkpoint: saving_given.then(|| fields.flag("auto_checkpoint")),
        }
    }
}

/// Change how a session is set up.
#[utoipa::path(
    tag = "sessions", params(("id" = String, Path)), request_body = ConfigureSession,
    responses((status = 200, body = SessionDetails))
)]
#[patch("/api/sessions/{id}/details")]
pub(super) async fn configure_session(
    _: Caller,
    api: Data<Api>,
    path: SessionPath,
    body: Body<ConfigureSession>,
) -> Result<Json<SessionDetails>, ApiError> {
    let Body(ConfigureSession { model, planning, restart_policy, archived, auto_checkpoint }) = body;
    let wanted = Configure { model, planning, restart_policy, archived, auto_checkpoint };
    Ok(Json(api.world.configure(&path.id()?, wanted).await?))
}
