//! A session's repository: looked at and changed.
//!
//! Nothing is changed while a turn runs, and none begins before a change is done. A change goes on when the client that
//! asked for it goes away.

use std::path::PathBuf;

use actix_web::http::StatusCode;
use actix_web::web::{Data, Json};
use actix_web::{HttpRequest, HttpResponse, get, post};
use serde::Serialize;
use tether_actors::domain::ids::SessionId;
use tether_actors::session::WorkTreeChanged;
use tether_actors::workspace::{
    Against, Checkpoint, CheckpointDiff, Commit, Committed, GitError, PullRequest, PullRequestWanted, Pushed,
    RepoStatus, Restored, StagedDiff, Workspaces,
};

use super::Api;
use super::auth::Caller;
use super::error::{ApiError, ErrorBody};
use super::extract::{Body, FromFields, Query, SessionPath, path_id};
use super::fields::Fields;

/// Longest message or description.
const LONG: usize = 64 << 10;
/// Longest name or title.
const SHORT: usize = 256;

impl From<GitError> for ApiError {
    fn from(error: GitError) -> Self {
        let status = match &error {
            GitError::Invalid(_) | GitError::Failed(_) | GitError::Clone(_) => {
                StatusCode::UNPROCESSABLE_ENTITY
            }
            GitError::NotFound(_) => StatusCode::NOT_FOUND,
            GitError::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            GitError::Timeout(_) => StatusCode::GATEWAY_TIMEOUT,
        };
        Self::new(status, error.code(), error.to_string())
    }
}

/// The session's directory, and whether a person said that it is trusted.
fn place(api: &Api, id: &SessionId) -> Result<(PathBuf, bool), ApiError> {
    let entry = api.session(id)?;
    let directory = PathBuf::from(&entry.record.session.directory);
    let trusted = api.world.read_model().trust_in(&directory).is_some_and(|said| said.trusted);
    Ok((directory, trusted))
}

/// Changes something while no turn runs, to its end whatever becomes of the client.
async fn change<T: 'static>(
    api: &Data<Api>,
    id: SessionId,
    work: impl AsyncFnOnce(Workspaces, PathBuf, bool) -> Result<(T, Option<Checkpoint>), GitError> + 'static,
) -> Result<T, ApiError> {
    let api = api.clone();
    let done = actix_web::rt::spawn(async move {
        let _held = api.world.hold_turns(&id).await?;
        let (directory, trusted) = place(&api, &id)?;
        let (result, checkpoint) = match work(api.world.workspaces().clone(), directory, trusted).await {
            Ok((value, checkpoint)) => (Ok(value), checkpoint),
            Err(error) => (Err(error), None),
        };
        api.world.work_tree_changed(&id, WorkTreeChanged { checkpoint }).await?;
        Ok(result?)
    });
    done.await.unwrap_or_else(|_| Err(ApiError::stopping()))
}

/// How the work tree stands.
#[utoipa::path(
    tag = "git", params(("id" = String, Path)),
    responses((status = 200, body = RepoStatus), (status = 422, body = ErrorBody))
)]
#[get("/api/sessions/{id}/git")]
pub(super) async fn git_status(
    _: Caller,
    api: Data<Api>,
    path: SessionPath,
) -> Result<Json<RepoStatus>, ApiError> {
    let (directory, trusted) = place(&api, &path.id()?)?;
    Ok(Json(api.world.workspaces().status(&directory, trusted).await?))
}

/// How much of the log.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct LogQuery {
    /// So many commits, 1 to 100; 10 when left out.
    #[param(required = false)]
    count: u64,
}

impl FromFields for LogQuery {
    fn read(fields: &mut Fields) -> Self {
        Self { count: fields.int("count", 10, 1, 100) }
    }
}

/// The newest commits, newest first.
#[utoipa::path(
    tag = "git", params(("id" = String, Path), LogQuery),
    responses((status = 200, body = Vec<Commit>), (status = 422, body = ErrorBody))
)]
#[get("/api/sessions/{id}/git/log")]
pub(super) async fn git_log(
    _: Caller,
    api: Data<Api>,
    path: SessionPath,
    query: Query<LogQuery>,
) -> Result<Json<Vec<Commit>>, ApiError> {
    let (directory, trusted) = place(&api, &path.id()?)?;
    let count = usize::try_from(query.0.count).unwrap_or(100);
    Ok(Json(api.world.workspaces().log(&directory, trusted, count).await?))
}

/// Which diff.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct StagedQuery {
    /// What is staged; otherwise what is not.
    #[param(required = false)]
    staged: bool,
}

impl FromFields for StagedQuery {
    fn read(fields: &mut Fields) -> Self {
        Self { staged: fields.flag("staged").unwrap_or(false) }
    }
}

/// What is staged, or what is not, files that git does not know included.
#[utoipa::path(
    tag = "git", params(("id" = String, Path), StagedQuery),
    responses((status = 200, body = StagedDiff), (status = 422, body = ErrorBody))
)]
#[get("/api/sessions/{id}/git/diff")]
pub(super) async fn git_diff(
    _: Caller,
    api: Data<Api>,
    path: SessionPath,
    query: Query<StagedQuery>,
) -> Result<Json<StagedDiff>, ApiError> {
    let (directory, trusted) = place(&api, &path.id()?)?;
    Ok(Json(api.world.workspaces().staged_diff(&directory, trusted, query.0.staged).await?))
}

/// What to commit.
#[derive(utoipa::ToSchema)]
pub(super) struct MakeCommit {
    /// Its message.
    message: String,
    /// Everything that is not ignored (the default), or only what is staged.
    #[schema(required = false)]
    add_all: bool,
}

impl FromFields for MakeCommit {
    fn read(fields: &mut Fields) -> Self {
        Self {
            message: fields.required_text("message", 1, LONG),
            add_all: fields.flag("add_all").unwrap_or(true),
        }
    }
}

/// Commit. The repository's hooks are run where its directory is trusted.
#[utoipa::path(
    tag = "git", params(("id" = String, Path)), request_body = MakeCommit,
    responses((status = 201, body = Committed), (status = 409, body = ErrorBody), (status = 422, body = ErrorBody))
)]
#[post("/api/sessions/{id}/git/commit")]
pub(super) async fn git_commit(
    _: Caller,
    api: Data<Api>,
    path: SessionPath,
    body: Body<MakeCommit>,
) -> Result<HttpResponse, ApiError> {
    let Body(wanted) = body;
    let made = change(&api, path.id()?, async move |workspaces, directory, trusted| {
        Ok((workspaces.commit(&directory, trusted, &wanted.message, wanted.add_all).await?, None))
    });
    Ok(HttpResponse::Created().json(made.await?))
}

/// What to push where.
#[derive(utoipa::ToSchema)]
pub(super) struct Push {
    /// A remote's name; `origin` when left out.
    #[schema(required = false)]
    remote: String,
    /// A branch; the one that is checked out when left out.
    branch: Option<String>,
}

impl FromFields for Push {
    const OPTIONAL: bool = true;

    fn read(fields: &mut Fields) -> Self {
        Self {
            remote: fields.text_within("remote", 1, SHORT).unwrap_or_else(|| "origin".to_owned()),
            branch: fields.text_within("branch", 0, SHORT).filter(|branch| !branch.is_empty()),
        }
    }
}

/// Push a branch, and have it follow the remote one if it follows none.
#[utoipa::path(
    tag = "git", params(("id" = String, Path)), request_body = Push,
    responses((status = 200, body = Pushed), (status = 409, body = ErrorBody), (status = 422, body = ErrorBody))
)]
#[post("/api/sessions/{id}/git/push")]
pub(super) async fn git_push(
    _: Caller,
    api: Data<Api>,
    path: SessionPath,
    body: Body<Push>,
) -> Result<Json<Pushed>, ApiError> {
    let Body(wanted) = body;
    let done = change(&api, path.id()?, async move |workspaces, directory, trusted| {
        Ok((workspaces.push(&directory, trusted, &wanted.remote, wanted.branch.as_deref()).await?, None))
    });
    done.await.map(Json)
}

/// A new branch.
#[derive(utoipa::ToSchema)]
pub(super) struct MakeBranch {
    /// Its name.
    name: String,
    /// Whether to check it out (the default).
    #[schema(required = false)]
    checkout: bool,
}

impl FromFields for MakeBranch {
    fn read(fields: &mut Fields) -> Self {
        Self {
            name: fields.required_text("name", 1, SHORT),
            checkout: fields.flag("checkout").unwrap_or(true),
        }
    }
}

/// A branch.
#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct BranchAnswer {
    /// Its name.
    branch: String,
}

/// Make a branch at the commit that is checked out.
#[utoipa::path(
    tag = "git", params(("id" = String, Path)), request_body = MakeBranch,
    responses((status = 200, body = BranchAnswer), (status = 409, body = ErrorBody), (status = 422, body = ErrorBody))
)]
#[post("/api/sessions/{id}/git/branch")]
pub(super) async fn git_branch(
    _: Caller,
    api: Data<Api>,
    path: SessionPath,
    body: Body<MakeBranch>,
) -> Result<Json<BranchAnswer>, ApiError> {
    let Body(wanted) = body;
    let branch = change(&api, path.id()?, async move |workspaces, directory, trusted| {
        Ok((workspaces.new_branch(&directory, trusted, &wanted.name, wanted.checkout).await?, None))
    });
    Ok(Json(BranchAnswer { branch: branch.await? }))
}

/// Which branch.
#[derive(utoipa::ToSchema)]
pub(super) struct Checkout {
    /// Its name; one that only a remote has is made to follow it.
    branch: String,
}

impl FromFields for Checkout {
    fn read(fields: &mut Fields) -> Self {
        Self { branch: fields.required_text("branch", 1, SHORT) }
    }
}

/// Check a branch out.
#[utoipa::path(
    tag = "git", params(("id" = String, Path)), request_body = Checkout,
    responses((status = 200, body = BranchAnswer), (status = 409, body = ErrorBody), (status = 422, body = ErrorBody))
)]
#[post("/api/sessions/{id}/git/checkout")]
pub(super) async fn git_checkout(
    _: Caller,
    api: Data<Api>,
    path: SessionPath,
    body: Body<Checkout>,
) -> Result<Json<BranchAnswer>, ApiError> {
    let Body(wanted) = body;
    let branch = change(&api, path.id()?, async move |workspaces, directory, trusted| {
        Ok((workspaces.checkout(&directory, trusted, &wanted.branch).await?, None))
    });
    Ok(Json(BranchAnswer { branch: branch.await? }))
}

/// What to ask for.
#[derive(utoipa::ToSchema)]
pub(super) struct MakePullRequest {
    /// Its title, one line.
    title: String,
    /// What it says.
    #[schema(required = false)]
    body: String,
    /// The branch that it shall go into; the repository's default when left out.
    base: Option<String>,
    /// Whether it is not ready for review yet.
    #[schema(required = false)]
    draft: bool,
    /// Whether to push the branch first (the default).
    #[schema(required = false)]
    auto_push: bool,
}

impl FromFields for MakePullRequest {
    fn read(fields: &mut Fields) -> Self {
        Self {
            title: fields.required_text("title", 1, SHORT),
            body: fields.text_within("body", 0, LONG).unwrap_or_default(),
            base: fields.text_within("base", 0, SHORT).filter(|base| !base.is_empty()),
            draft: fields.flag("draft").unwrap_or(false),
            auto_push: fields.flag("auto_push").unwrap_or(true),
        }
    }
}

/// Ask for the branch to be merged: a pull request through `gh`, a merge request through `glab`.
#[utoipa::path(
    tag = "git", params(("id" = String, Path)), request_body = MakePullRequest,
    responses((status = 201, body = PullRequest), (status = 409, body = ErrorBody), (status = 422, body = ErrorBody))
)]
#[post("/api/sessions/{id}/git/pr")]
pub(super) async fn git_pull_request(
    _: Caller,
    api: Data<Api>,
    path: SessionPath,
    body: Body<MakePullRequest>,
) -> Result<HttpResponse, ApiError> {
    let Body(MakePullRequest { title, body, base, draft, auto_push }) = body;
    let wanted = PullRequestWanted { title, body, base, draft, auto_push };
    let made = change(&api, path.id()?, async move |workspaces, directory, trusted| {
        Ok((workspaces.pull_request(&directory, trusted, &wanted).await?, None))
    });
    Ok(HttpResponse::Created().json(made.await?))
}

/// The saved states of the work tree, the newest first.
#[utoipa::path(
    tag = "git", params(("id" = String, Path)),
    responses((status = 200, body = Vec<Checkpoint>), (status = 422, body = ErrorBody))
)]
#[get("/api/sessions/{id}/git/checkpoints")]
pub(super) async fn list_checkpoints(
    _: Caller,
    api: Data<Api>,
    path: SessionPath,
) -> Result<Json<Vec<Checkpoint>>, ApiError> {
    let id = path.id()?;
    let (directory, trusted) = place(&api, &id)?;
    Ok(Json(api.world.workspaces().checkpoints(&directory, trusted, &id).await?))
}

/// What to save it for.
#[derive(utoipa::ToSchema)]
pub(super) struct MakeCheckpoint {
    /// A few words that go into its message.
    #[schema(required = false)]
    occasion: String,
}

impl FromFields for MakeCheckpoint {
    const OPTIONAL: bool = true;

    fn read(fields: &mut Fields) -> Self {
        let words = fields.text_within("occasion", 0, SHORT).unwrap_or_default();
        let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
        Self { occasion: if words.is_empty() { "by hand".to_owned() } else { words } }
    }
}

/// Save the work tree as it is. 200 with null when nothing changed since the last checkpoint.
#[utoipa::path(
    tag = "git", params(("id" = String, Path)), request_body = MakeCheckpoint,
    responses((status = 201, body = Checkpoint), (status = 409, body = ErrorBody), (status = 422, body = ErrorBody))
)]
#[post("/api/sessions/{id}/git/checkpoints")]
pub(super) async fn make_checkpoint(
    _: Caller,
    api: Data<Api>,
    path: SessionPath,
    body: Body<MakeCheckpoint>,
) -> Result<HttpResponse, ApiError> {
    let id = path.id()?;
    let session = id.clone();
    let occasion = body.0.occasion;
    let made = change(&api, id, async move |workspaces, directory, trusted| {
        let made = workspaces.save(&directory, trusted, &session, &occasion, true).await?;
        Ok((made.clone(), made))
    });
    let made = made.await?;
    let mut answer = if made.is_some() { HttpResponse::Created() } else { HttpResponse::Ok() };
    Ok(answer.json(made))
}

fn number(req: &HttpRequest) -> Result<u64, ApiError> {
    let text = path_id(req, "number");
    text.parse().map_err(|_| ApiError::not_found(format!("{text:?} is no number of a checkpoint")))
}

/// What to compare a checkpoint with.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct CheckpointQuery {
    /// `previous` (the default): the one before it; `now`: the work tree as it is.
    #[param(required = false, value_type = String)]
    against: Against,
}

impl FromFields for CheckpointQuery {
    fn read(fields: &mut Fields) -> Self {
        let against = match fields.word("against", &["previous", "now"]) {
            Some("now") => Against::Now,
            _ => Against::Previous,
        };
        Self { against }
    }
}

/// What a checkpoint changed, or what was changed since.
#[utoipa::path(
    tag = "git", params(("id" = String, Path), ("number" = u64, Path), CheckpointQuery),
    responses((status = 200, body = CheckpointDiff), (status = 404, body = ErrorBody), (status = 422, body = ErrorBody))
)]
#[get("/api/sessions/{id}/git/checkpoints/{number}")]
pub(super) async fn diff_checkpoint(
    _: Caller,
    api: Data<Api>,
    path: SessionPath,
    query: Query<CheckpointQuery>,
    req: HttpRequest,
) -> Result<Json<CheckpointDiff>, ApiError> {
    let id = path.id()?;
    let number = number(&req)?;
    let (directory, trusted) = place(&api, &id)?;
    let told = api.world.workspaces().checkpoint_diff(&directory, trusted, &id, number, query.0.against);
    Ok(Json(told.await?))
}

/// Put the work tree back to a checkpoint. How it is now is saved first; the branch and what is staged stay.
#[utoipa::path(
    tag = "git", params(("id" = String, Path), ("number" = u64, Path)),
    responses(
        (status = 200, body = Restored), (status = 404, body = ErrorBody), (status = 409, body = ErrorBody),
        (status = 422, body = ErrorBody)
    )
)]
#[post("/api/sessions/{id}/git/checkpoints/{number}/restore")]
pub(super) async fn restore_checkpoint(
    _: Caller,
    api: Data<Api>,
    path: SessionPath,
    req: HttpRequest,
) -> Result<Json<Restored>, ApiError> {
    let id = path.id()?;
    let number = number(&req)?;
    let session = id.clone();
    let done = change(&api, id, async move |workspaces, directory, trusted| {
        let done = workspaces.restore(&directory, trusted, &session, number).await?;
        let saved = done.saved.clone();
        Ok((done, Some(saved)))
    });
    done.await.map(Json)
}
