//! The daemon's last log lines. No secret is in them: the log replaces those before it writes.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;

use actix_web::get;
use actix_web::web::{Data, Json};
use serde::Serialize;

use super::Api;
use super::auth::Caller;
use super::error::ApiError;
use super::extract::{FromFields, Query};
use super::fields::Fields;

/// At most so many bytes are read, from the end.
const BYTES: u64 = 512 << 10;

/// How much.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct TailQuery {
    /// At most so many lines.
    #[param(required = false, minimum = 1, maximum = 2000)]
    lines: u64,
}

impl FromFields for TailQuery {
    fn read(fields: &mut Fields) -> Self {
        Self { lines: fields.int("lines", 200, 1, 2000) }
    }
}

/// The end of the log.
#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct TailAnswer {
    /// The log's file; null if the daemon logs to its terminal only.
    file: Option<String>,
    /// Its last lines, the newest last.
    lines: Vec<String>,
}

/// The daemon's last log lines.
#[utoipa::path(tag = "daemon", params(TailQuery), responses((status = 200, body = TailAnswer)))]
#[get("/api/settings/log-tail")]
pub(super) async fn log_tail(
    _: Caller,
    api: Data<Api>,
    query: Query<TailQuery>,
) -> Result<Json<TailAnswer>, ApiError> {
    let Some(path) = api.settings.log_file.clone() else {
        return Ok(Json(TailAnswer { file: None, lines: Vec::new() }));
    };
    let wanted = usize::try_from(query.0.lines).unwrap_or(usize::MAX);
    let file = path.display().to_string();
    let lines = tokio::task::spawn_blocking(move || tail(&path, wanted))
        .await
        .map_err(|_| ApiError::stopping())?
        .map_err(|error| ApiError::not_found(format!("the log {file} cannot be read: {error}")))?;
    Ok(Json(TailAnswer { file: Some(file), lines }))
}

fn tail(path: &Path, wanted: usize) -> std::io::Result<Vec<String>> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    let from = length.saturating_sub(BYTES);
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.take(BYTES).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    // The first line is cut unless the file was read from its beginning.
    let lines: Vec<&str> = text.lines().skip(usize::from(from > 0)).collect();
    Ok(lines.iter().skip(lines.len().saturating_sub(wanted)).map(|line| (*line).to_owned()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_told_and_no_half_one() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("log");
        std::fs::write(&path, "one\ntwo\nthree\n").expect("it can be written");
        assert_eq!(tail(&path, 2).expect("it can be read"), ["two", "three"]);
        let long = format!("{}\nlast\n", "x".repeat(BYTES as usize));
        std::fs::write(&path, long).expect("it can be written");
        assert_eq!(tail(&path, 100).expect("it can be read"), ["last"]);
        assert!(tail(&folder.path().join("none"), 1).is_err());
    }
}
