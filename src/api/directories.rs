//! Directories of this machine: what a person typed made into what exists.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use actix_web::get;
use actix_web::web::{Data, Json};
use serde::Serialize;
use tether_actors::domain::time::Stamp;
use tether_actors::workspace::Diff;

use super::Api;
use super::auth::Caller;
use super::error::ApiError;
use super::extract::{FromFields, Query};
use super::fields::Fields;

/// A path longer than this names nothing on any system that we run on.
const LONGEST: usize = 4096;

/// At most so many directories are offered...
const COMPLETIONS: usize = 100;
/// ... of so many entries of a directory that are looked at.
const LOOKED_AT: usize = 10_000;
/// At most so many directories are recent.
const RECENT: usize = 20;

/// A disk that does not answer (a network share that is gone) must not hold a request for long.
const PATIENCE: Duration = Duration::from_secs(5);

/// The existing folder that is meant: `~` expanded, links resolved.
pub async fn existing(path: &str) -> Result<PathBuf, ApiError> {
    let refused = || ApiError::invalid("directory must be an existing folder");
    let path = expanded(path).ok_or_else(refused)?;
    let resolve = async {
        let real = tokio::fs::canonicalize(path).await.ok()?;
        let is_folder = tokio::fs::metadata(&real).await.is_ok_and(|found| found.is_dir());
        // The API and the agents speak UTF-8, so a name that is not could not be told to them.
        (is_folder && real.to_str().is_some()).then_some(real)
    };
    tokio::time::timeout(PATIENCE, resolve).await.ok().flatten().ok_or_else(refused)
}

/// Whether the folder is the top of a work tree.
pub async fn has_git(folder: &Path) -> bool {
    tether_actors::workspace::is_top(folder).await
}

/// `~` and `~/x` below the home directory, others as they are; `None` for what cannot be a path.
fn expanded(path: &str) -> Option<PathBuf> {
    if path.is_empty() || path.len() > LONGEST || path.contains('\0') {
        return None;
    }
    match path.strip_prefix('~') {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => {
            Some(std::env::home_dir()?.join(rest.trim_start_matches('/')))
        }
        _ => Some(PathBuf::from(path)),
    }
}

/// Which directory.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct DirectoryQuery {
    /// A path on the daemon's machine; `~` is its home directory.
    path: String,
}

impl FromFields for DirectoryQuery {
    fn read(fields: &mut Fields) -> Self {
        let path = fields.required_text("path", 1, LONGEST);
        if path.contains('\0') {
            let msg = "a path holds no NUL";
            fields.problem(
                &["path".into()],
                "value_error",
                msg,
                &path.as_str().into(),
                serde_json::Value::Null,
            );
        }
        Self { path }
    }
}

/// What a path is.
#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct DirectoryAnswer {
    /// The path, links resolved as far as it exists.
    path: String,
    /// Whether it is an existing directory.
    exists: bool,
    /// Whether it is the top of a git work tree.
    is_git: bool,
}

/// Look at a directory before a session is made for it.
#[utoipa::path(tag = "directories", params(DirectoryQuery), responses((status = 200, body = DirectoryAnswer)))]
#[get("/api/directories/check")]
pub(super) async fn check_directory(_: Caller, query: Query<DirectoryQuery>) -> Json<DirectoryAnswer> {
    let path = query.0.path;
    match existing(&path).await {
        Ok(folder) => {
            let is_git = has_git(&folder).await;
            Json(DirectoryAnswer { path: folder.to_string_lossy().into_owned(), exists: true, is_git })
        }
        Err(_) => {
            let path = expanded(&path).map(|path| path.to_string_lossy().into_owned()).unwrap_or(path);
            Json(DirectoryAnswer { path, exists: false, is_git: false })
        }
    }
}

/// What was typed so far.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct CompleteQuery {
    /// The beginning of a path on the daemon's machine; `~` is its home directory, `/` at the end asks for what is
    /// within. Empty = the home directory.
    #[param(required = false)]
    path: String,
}

impl FromFields for CompleteQuery {
    fn read(fields: &mut Fields) -> Self {
        Self { path: fields.text_within("path", 0, LONGEST).unwrap_or_default() }
    }
}

/// Directories that go on with a path.
#[derive(Debug, Default, Serialize, utoipa::ToSchema)]
pub(super) struct Completions {
    /// By name, at most 100.
    entries: Vec<Completion>,
    /// Whether there are more.
    truncated: bool,
}

/// A directory.
#[derive(Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
struct Completion {
    /// As it may be typed on, without a slash at its end; begins with `~` if what was typed does.
    path: String,
    /// Its last part.
    name: String,
    /// Whether it is the top of a git work tree.
    is_git: bool,
}

/// Which directories the path that is being typed may become.
#[utoipa::path(tag = "directories", params(CompleteQuery), responses((status = 200, body = Completions)))]
#[get("/api/directories/complete")]
pub(super) async fn complete_directory(_: Caller, query: Query<CompleteQuery>) -> Json<Completions> {
    let typed = if query.0.path.is_empty() { "~/".to_owned() } else { query.0.path };
    let looked = tokio::task::spawn_blocking(move || complete(&typed));
    // A disk that does not answer has nothing to offer.
    Json(tokio::time::timeout(PATIENCE, looked).await.ok().and_then(Result::ok).unwrap_or_default())
}

fn complete(typed: &str) -> Completions {
    let typed = if typed == "~" { "~/" } else { typed };
    let Some(slash) = typed.rfind('/') else { return Completions::default() };
    let (above, begun) = typed.split_at(slash + 1);
    let Some(folder) = expanded(above) else { return Completions::default() };
    let Ok(found) = std::fs::read_dir(folder) else { return Completions::default() };
    let wanted = begun.to_lowercase();
    let mut entries: Vec<Completion> = found
        .take(LOOKED_AT)
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let shown = begun.starts_with('.') || !name.starts_with('.');
            // Links to directories count too.
            let fits = shown && name.to_lowercase().starts_with(&wanted) && entry.path().is_dir();
            fits.then(|| Completion {
                path: format!("{above}{name}"),
                is_git: entry.path().join(".git").exists(),
                name,
            })
        })
        .collect();
    entries.sort_by(|a, b| {
        let exact = |entry: &Completion| !entry.name.starts_with(begun);
        (exact(a), a.name.to_lowercase(), &a.name).cmp(&(exact(b), b.name.to_lowercase(), &b.name))
    });
    let truncated = entries.len() > COMPLETIONS;
    entries.truncate(COMPLETIONS);
    Completions { entries, truncated }
}

/// A directory that sessions worked in.
#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct RecentDirectory {
    path: String,
    /// Whether it is the top of a git work tree.
    is_git: bool,
    /// How many sessions there are in it.
    sessions: usize,
    /// When one of them was last active.
    #[schema(value_type = String)]
    last_used_at: Stamp,
}

/// The directories of sessions that still exist, the one used last first; at most 20.
#[utoipa::path(tag = "directories", responses((status = 200, body = Vec<RecentDirectory>)))]
#[get("/api/directories/recent")]
pub(super) async fn recent_directories(_: Caller, api: Data<Api>) -> Json<Vec<RecentDirectory>> {
    let mut known: HashMap<String, (usize, Stamp)> = HashMap::new();
    for session in api.log.read_model.sessions() {
        if !session.directory.is_empty() {
            let (count, last) = known.entry(session.directory).or_insert((0, session.last_activity_at));
            *count += 1;
            *last = session.last_activity_at.max(*last);
        }
    }
    let mut known: Vec<(String, (usize, Stamp))> = known.into_iter().collect();
    known.sort_by(|(a, (_, a_last)), (b, (_, b_last))| b_last.cmp(a_last).then_with(|| a.cmp(b)));
    let looked = known.into_iter().take(2 * RECENT).map(async |(path, (sessions, last_used_at))| {
        let folder = existing(&path).await.ok()?;
        Some(RecentDirectory { is_git: has_git(&folder).await, path, sessions, last_used_at })
    });
    let found = futures_util::future::join_all(looked).await;
    Json(found.into_iter().flatten().take(RECENT).collect())
}

/// What is changed in a directory since the last commit.
#[utoipa::path(tag = "directories", params(DirectoryQuery), responses((status = 200, body = Diff)))]
#[get("/api/directories/diff")]
pub(super) async fn diff_directory(
    _: Caller,
    api: Data<Api>,
    query: Query<DirectoryQuery>,
) -> Result<Json<Diff>, ApiError> {
    match existing(&query.0.path).await {
        Ok(folder) => super::diff::of(&api, &folder).await.map(Json),
        Err(_) => Ok(Json(Diff::default())),
    }
}

#[cfg(test)]
mod tests {
    use actix_web::ResponseError;

    use super::*;

    #[actix_web::test]
    async fn links_and_the_home_directory_are_resolved() {
        let top = tempfile::tempdir().expect("a folder");
        let real = top.path().canonicalize().expect("it exists").join("real");
        std::fs::create_dir(&real).expect("it can be made");
        std::os::unix::fs::symlink(&real, top.path().join("link")).expect("it can be made");
        let link = top.path().join("link").join("..").join("link");
        assert_eq!(existing(link.to_str().expect("it is UTF-8")).await.expect("it exists"), real);
        assert!(existing("~").await.is_ok());
        assert!(!has_git(&real).await);
        std::fs::write(real.join(".git"), "gitdir: elsewhere").expect("it can be written");
        assert!(has_git(&real).await);
    }

    #[test]
    fn what_is_typed_is_completed_by_directories_only() {
        let top = tempfile::tempdir().expect("a folder");
        for name in ["Work", "workshop", "other", ".hidden", "work two"] {
            std::fs::create_dir(top.path().join(name)).expect("it can be made");
        }
        std::fs::create_dir(top.path().join("workshop/.git")).expect("it can be made");
        std::fs::write(top.path().join("work.txt"), "").expect("it can be written");
        let base = top.path().to_str().expect("UTF-8");
        let names = |typed: &str| -> Vec<String> {
            complete(typed).entries.into_iter().map(|entry| entry.name).collect()
        };
        assert_eq!(names(&format!("{base}/wor")), ["work two", "workshop", "Work"]);
        assert_eq!(names(&format!("{base}/")), ["other", "Work", "work two", "workshop"]);
        assert_eq!(names(&format!("{base}/.h")), [".hidden"]);
        assert!(
            names(&format!("{base}/none/x")).is_empty()
                && names("nothing").is_empty()
                && names("").is_empty()
        );
        let shop = complete(&format!("{base}/works"));
        assert_eq!(shop.entries[0].path, format!("{base}/workshop"));
        assert!(shop.entries[0].is_git && !shop.truncated);
    }

    #[actix_web::test]
    async fn what_is_no_folder_is_refused() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let long = "/x".repeat(3_000);
        for bad in ["", "/does/not/exist", "a\0b", "~nobody", &long, file.path().to_str().expect("UTF-8")] {
            let error = existing(bad).await.expect_err("it is no folder");
            assert_eq!(error.status_code().as_u16(), 422);
        }
    }
}
