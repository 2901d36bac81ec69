//! Conversations that people began in an agent's own program on this machine: listed, shown, attached, synced.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Json};
use actix_web::{HttpRequest, HttpResponse, get, post};
use serde::{Deserialize, Serialize};
use tether_actors::domain::code::Code;
use tether_actors::domain::elsewhere::Runner;
use tether_actors::domain::session::Session;
use tether_actors::domain::time::Stamp;
use tether_actors::elsewhere::{Filter, Message, OpenIn};
use tether_actors::registry::{Attach, ElsewhereError, Listed};
use tether_actors::session::Bind;

use super::Api;
use super::auth::Caller;
use super::error::{ApiError, ErrorBody};
use super::extract::{Body, FromFields, Query, SessionPath, path_id};
use super::fields::Fields;
use super::{bridges, directories};

/// Longest id that anybody gave a conversation.
const ID: usize = 200;
/// Longest path.
const LONG: usize = 4096;

/// A conversation that was found.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, utoipa::ToSchema)]
pub struct ExternalSession {
    /// The agent's own id of it.
    pub id: String,
    /// Whose it is.
    #[schema(inline)]
    pub runner_type: Runner,
    /// Where it works.
    pub directory: String,
    /// A name that was given to it.
    #[serde(default)]
    pub title: Option<String>,
    /// The person's first words, at most 200 characters.
    pub first_prompt: Option<String>,
    /// Their newest.
    pub last_prompt: Option<String>,
    /// When it was last written to.
    #[schema(value_type = String)]
    pub last_activity: Stamp,
    /// How many messages it has; of a history, how many of them are here.
    pub message_count: u64,
    /// Whether that is all of them. Of a very long conversation only the ends are looked at.
    #[serde(default)]
    pub message_count_is_exact: bool,
    /// Whether a program has it open now.
    pub is_running: bool,
    /// What kind of program that is.
    #[serde(default)]
    #[schema(inline)]
    pub open_in: Option<OpenIn>,
    /// The program's process.
    #[serde(default)]
    pub open_pid: Option<u32>,
    /// The session of ours that goes on with it.
    #[serde(default)]
    pub session_id: Option<String>,
}

/// A conversation with its newest messages.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub(super) struct ExternalHistory {
    #[serde(flatten)]
    summary: ExternalSession,
    /// Oldest first.
    messages: Vec<Message>,
}

impl From<&Listed> for ExternalSession {
    fn from(listed: &Listed) -> Self {
        let found = &listed.found;
        let holder = found.holder.as_ref();
        Self {
            id: found.id.clone(),
            runner_type: found.runner,
            directory: found.directory.clone(),
            title: found.title.clone(),
            first_prompt: found.first_prompt.clone(),
            last_prompt: found.last_prompt.clone(),
            last_activity: Stamp::from_unix_millis(found.last_activity),
            message_count: found.messages,
            message_count_is_exact: found.is_exact,
            is_running: holder.is_some(),
            open_in: holder.map(|holder| holder.how.into()),
            open_pid: holder.map(|holder| holder.pid).filter(|pid| *pid != 0),
            session_id: listed.session.as_ref().map(ToString::to_string),
        }
    }
}

impl From<ElsewhereError> for ApiError {
    fn from(error: ElsewhereError) -> Self {
        let text = error.to_string();
        match error {
            ElsewhereError::NotFound(_) => Self::not_found(text),
            ElsewhereError::Held(_) | ElsewhereError::StillHeld(_) => {
                Self::conflict(Code::ExternalSessionBusy, text)
            }
            ElsewhereError::NoAgent(_) => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, Code::AgentUnavailable, text)
            }
            ElsewhereError::NotAttached => Self::bad_request(Code::InvalidState, text),
            ElsewhereError::Unreadable(_) => {
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, Code::ExternalSessionUnreadable, text)
            }
            ElsewhereError::Session(error) => error.into(),
        }
    }
}

/// The program that a word names.
fn runner(word: &str) -> Result<Runner, ApiError> {
    Runner::parse(word).ok_or_else(|| {
        let known = Runner::ALL.map(Runner::as_str).join(", ");
        ApiError::invalid(format!("Invalid runner_type: {word}. It must be one of: {known}"))
    })
}

/// Which conversations.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    /// Only those that work here; a path that begins with `/` or `~` is resolved.
    #[param(required = false)]
    directory: Option<String>,
    /// Only those of `claude_code`, `codex`, `opencode` or `pi`.
    #[param(required = false)]
    runner_type: Option<String>,
    /// At most so many, 1 to 200.
    #[param(required = false, default = 50)]
    limit: u64,
}

impl FromFields for ListQuery {
    fn read(fields: &mut Fields) -> Self {
        Self {
            directory: fields.text_within("directory", 1, LONG),
            runner_type: fields.text("runner_type"),
            limit: fields.int("limit", 50, 1, 200),
        }
    }
}

/// Conversations of Claude Code, Codex, OpenCode and Pi on the daemon's machine, last written to first.
#[utoipa::path(
    tag = "elsewhere", params(ListQuery),
    responses((status = 200, body = Vec<ExternalSession>), (status = 422, body = ErrorBody))
)]
#[get("/api/external-sessions")]
pub(super) async fn list_external_sessions(
    _: Caller,
    api: Data<Api>,
    query: Query<ListQuery>,
) -> Result<Json<Vec<ExternalSession>>, ApiError> {
    let ListQuery { directory, runner_type, limit } = query.0;
    let mut directories = Vec::new();
    if let Some(directory) = directory {
        if directory.starts_with(['/', '~'])
            && let Ok(folder) = directories::existing(&directory).await
        {
            directories.push(folder.to_string_lossy().into_owned());
        }
        directories.push(directory);
    }
    let filter = Filter {
        runner: runner_type.as_deref().map(runner).transpose()?,
        directories,
        limit: usize::try_from(limit).ok(),
    };
    let listed = api.world.elsewhere(filter).await?;
    Ok(Json(listed.iter().map(ExternalSession::from).collect()))
}

/// How much of a conversation.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct HistoryQuery {
    /// Whose: `claude_code`, `codex`, `opencode` or `pi`.
    runner_type: String,
    /// At most so many messages, 1 to 500.
    #[param(required = false, default = 100)]
    limit: u64,
}

impl FromFields for HistoryQuery {
    fn read(fields: &mut Fields) -> Self {
        Self {
            runner_type: fields.required_text("runner_type", 1, ID),
            limit: fields.int("limit", 100, 1, 500),
        }
    }
}

/// The newest messages of a conversation, with the tools that were called.
#[utoipa::path(
    tag = "elsewhere", params(("external_id" = String, Path), HistoryQuery),
    responses((status = 200, body = ExternalHistory), (status = 404, body = ErrorBody))
)]
#[get("/api/external-sessions/{external_id}/history")]
pub(super) async fn external_history(
    _: Caller,
    api: Data<Api>,
    req: HttpRequest,
    query: Query<HistoryQuery>,
) -> Result<Json<ExternalHistory>, ApiError> {
    let id = path_id(&req, "external_id");
    let limit = usize::try_from(query.0.limit).unwrap_or(usize::MAX);
    let (listed, messages) = api.world.elsewhere_history(runner(&query.0.runner_type)?, id, limit).await?;
    let mut summary = ExternalSession::from(&listed);
    summary.message_count = messages.len() as u64;
    Ok(Json(ExternalHistory { summary, messages }))
}

/// Which conversation to go on with.
#[derive(utoipa::ToSchema)]
pub(super) struct AttachSession {
    /// The agent's own id of it.
    external_id: String,
    /// Whose: `claude_code`, `codex`, `opencode` or `pi`.
    runner_type: String,
    /// Where its agent is to work: an existing folder.
    directory: String,
    /// `telegram`, `slack` or `discord`.
    platform: Option<String>,
    /// End the program that has it open in a terminal.
    #[schema(required = false)]
    take_over: bool,
}

impl FromFields for AttachSession {
    fn read(fields: &mut Fields) -> Self {
        Self {
            external_id: fields.required_text("external_id", 1, ID),
            runner_type: fields.required_text("runner_type", 1, ID),
            directory: fields.required_text("directory", 1, LONG),
            platform: fields.text("platform").filter(|platform| !platform.is_empty()),
            take_over: fields.flag("take_over").unwrap_or(false),
        }
    }
}

/// Go on with a conversation under supervision. One that is attached already is answered again. While a terminal has it
/// open it is refused, unless that program is to be ended.
#[utoipa::path(
    tag = "elsewhere", request_body = AttachSession,
    responses(
        (status = 201, body = Session), (status = 404, body = ErrorBody), (status = 409, body = ErrorBody),
        (status = 422, body = ErrorBody)
    )
)]
#[post("/api/sessions/attach")]
pub(super) async fn attach_session(
    _: Caller,
    api: Data<Api>,
    body: Body<AttachSession>,
) -> Result<HttpResponse, ApiError> {
    let Body(wanted) = body;
    let runner = runner(&wanted.runner_type)?;
    let platform = bridges::wanted_platform(&api, wanted.platform.clone())?;
    let attach = Attach {
        runner,
        id: wanted.external_id,
        directory: directories::existing(&wanted.directory).await?,
        platform: platform.clone(),
        take_over: wanted.take_over,
    };
    let mut session = api.world.attach(attach).await?;
    if session.platform.is_none() && platform.is_some() {
        // It was attached before, and is shown nowhere.
        let bind = Bind { platform: Some(platform), ..Bind::default() };
        session = api.world.bind(&session.id, bind).await?;
    } else if wanted.platform.is_some() && platform != session.platform {
        let bound = session.platform.as_deref().unwrap_or("none");
        let text = format!("the session is attached already, and bound to another platform ({bound})");
        return Err(ApiError::conflict(Code::AlreadyBound, text));
    }
    Ok(HttpResponse::Created().json(session))
}

/// How to sync.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct SyncQuery {
    /// Tell the newest messages again.
    #[param(required = false)]
    force: bool,
}

impl FromFields for SyncQuery {
    fn read(fields: &mut Fields) -> Self {
        Self { force: fields.flag("force").unwrap_or(false) }
    }
}

/// What a sync brought.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq, utoipa::ToSchema)]
pub struct SyncAnswer {
    /// Messages that were recorded.
    pub synced: u64,
    /// Messages that the conversation has.
    pub total: u64,
}

/// Read what an attached session's own program wrote meanwhile. What the session's agent wrote itself comes live and is
/// not told again.
#[utoipa::path(
    tag = "elsewhere", params(("id" = String, Path), SyncQuery),
    responses((status = 200, body = SyncAnswer), (status = 400, body = ErrorBody))
)]
#[post("/api/sessions/{id}/sync")]
pub(super) async fn sync_session(
    _: Caller,
    api: Data<Api>,
    path: SessionPath,
    query: Query<SyncQuery>,
) -> Result<Json<SyncAnswer>, ApiError> {
    let synced = api.world.sync(&path.id()?, query.0.force).await?;
    Ok(Json(SyncAnswer { synced: synced.synced, total: synced.total }))
}
