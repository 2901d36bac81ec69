//! Directories of this machine: what a person typed made into what exists.

use std::path::{Path, PathBuf};
use std::time::Duration;

use actix_web::get;
use actix_web::web::{Data, Json};
use serde::Serialize;

use super::Api;
use super::auth::Caller;
use super::diff::DiffAnswer;
use super::error::ApiError;
use super::extract::{FromFields, Query};
use super::fields::Fields;

/// A path longer than this names nothing on any system that we run on.
const LONGEST: usize = 4096;

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
    tokio::fs::symlink_metadata(folder.join(".git")).await.is_ok()
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

/// What is changed in a directory since the last commit.
#[utoipa::path(tag = "directories", params(DirectoryQuery), responses((status = 200, body = DiffAnswer)))]
#[get("/api/directories/diff")]
pub(super) async fn diff_directory(
    _: Caller,
    api: Data<Api>,
    query: Query<DirectoryQuery>,
) -> Result<Json<DiffAnswer>, ApiError> {
    match existing(&query.0.path).await {
        Ok(folder) => super::diff::of(&api, &folder).await.map(Json),
        Err(_) => Ok(Json(DiffAnswer::default())),
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
