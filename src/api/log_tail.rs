//! The daemon's last log lines, and those that come to them. No secret is in them: the log replaces those before it writes.

use std::fs::{File, Metadata};
use std::io::{ErrorKind, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use actix_web::get;
use actix_web::web::{Data, Json};
use serde::Serialize;
use serde_json::{Value, json};

use super::Api;
use super::auth::Caller;
use super::error::ApiError;
use super::extract::{FromFields, Query};
use super::fields::Fields;

/// At most so many bytes are read at once.
const BYTES: u64 = 512 << 10;

/// How much.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct TailQuery {
    /// At most so many lines.
    #[param(required = false, minimum = 1, maximum = 2000)]
    lines: u64,
    /// `next` of an earlier answer: only what came since, from the oldest on.
    #[param(required = false, value_type = String)]
    after: Option<Place>,
}

impl FromFields for TailQuery {
    fn read(fields: &mut Fields) -> Self {
        let lines = fields.int("lines", 200, 1, 2000);
        let text = fields.text("after").filter(|text| !text.is_empty());
        let after = text.as_deref().and_then(Place::parse);
        if let (Some(text), None) = (&text, &after) {
            let msg = "Value error, after must be what an earlier answer gave as next";
            fields.problem(&["after".into()], "value_error", msg, &Value::from(text.as_str()), json!({}));
        }
        Self { lines, after }
    }
}

/// The end of the log.
#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct TailAnswer {
    /// The log's file; null if the daemon logs to its terminal only.
    file: Option<String>,
    /// Its last whole lines, or those that came, the newest last.
    lines: Vec<String>,
    /// What to ask for what comes next with; null if there is no file.
    next: Option<String>,
}

/// A place in a file, which keeps its sense when the file is put aside under another name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    device: u64,
    inode: u64,
    /// When the file was made, in nanoseconds since 1970: the number of one that was removed is soon that of another.
    /// 0 = the file system does not know.
    born: u64,
    at: u64,
}

impl Place {
    fn in_file(found: &Metadata, at: u64) -> Self {
        let since = found.created().ok().and_then(|born| born.duration_since(UNIX_EPOCH).ok());
        let born = since.and_then(|since| u64::try_from(since.as_nanos()).ok()).unwrap_or(0);
        Self { device: found.dev(), inode: found.ino(), born, at }
    }

    fn is_in(&self, found: &Metadata) -> bool {
        *self == Self::in_file(found, self.at)
    }

    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.').map(|part| u64::from_str_radix(part, 16).ok());
        let mut part = || parts.next().flatten();
        let place = Self { device: part()?, inode: part()?, born: part()?, at: part()? };
        parts.next().is_none().then_some(place)
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:x}.{:x}.{:x}.{:x}", self.device, self.inode, self.born, self.at)
    }
}

/// The daemon's last log lines, or those after a place.
#[utoipa::path(tag = "daemon", params(TailQuery), responses((status = 200, body = TailAnswer)))]
#[get("/api/settings/log-tail")]
pub(super) async fn log_tail(
    _: Caller,
    api: Data<Api>,
    query: Query<TailQuery>,
) -> Result<Json<TailAnswer>, ApiError> {
    let Some(path) = api.settings.log_file.clone() else {
        return Ok(Json(TailAnswer { file: None, lines: Vec::new(), next: None }));
    };
    let wanted = usize::try_from(query.0.lines).unwrap_or(usize::MAX);
    let after = query.0.after;
    let file = path.display().to_string();
    let read = move || match after {
        None => tail(&path, wanted),
        Some(after) => since(&path, after, wanted),
    };
    let (lines, next) = tokio::task::spawn_blocking(read)
        .await
        .map_err(|_| ApiError::stopping())?
        .map_err(|error| ApiError::not_found(format!("the log {file} cannot be read: {error}")))?;
    Ok(Json(TailAnswer { file: Some(file), lines, next: Some(next.to_string()) }))
}

fn tail(path: &Path, wanted: usize) -> std::io::Result<(Vec<String>, Place)> {
    let mut file = File::open(path)?;
    let found = file.metadata()?;
    let from = found.len().saturating_sub(BYTES);
    let (text, end) = whole_lines(&mut file, from)?;
    // The first line is cut unless the file was read from its beginning.
    let lines: Vec<&str> = text.lines().skip(usize::from(from > 0)).collect();
    let last = lines.iter().skip(lines.len().saturating_sub(wanted)).map(|line| (*line).to_owned()).collect();
    Ok((last, Place::in_file(&found, end)))
}

/// The lines after a place. Of a file that was put aside the rest comes first, if it still lies beside the new one. Between
/// being put aside and the new one being made there is none of the log's name, and nothing new is told.
fn since(path: &Path, after: Place, wanted: usize) -> std::io::Result<(Vec<String>, Place)> {
    let mut current = match File::open(path) {
        Ok(file) => Some((file.metadata()?, file)),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    if let Some((found, file)) = &mut current
        && after.is_in(found)
    {
        // One that became shorter was emptied.
        let from = if found.len() < after.at { 0 } else { after.at };
        let (lines, end) = first_lines(file, from, wanted)?;
        return Ok((lines, Place::in_file(found, end)));
    }
    if let Some(mut aside) = put_aside(path, &after) {
        let (lines, end) = first_lines(&mut aside, after.at, wanted)?;
        if !lines.is_empty() {
            return Ok((lines, Place { at: end, ..after }));
        }
    }
    let Some((found, mut file)) = current else { return Ok((Vec::new(), after)) };
    let (lines, end) = first_lines(&mut file, 0, wanted)?;
    Ok((lines, Place::in_file(&found, end)))
}

/// The file that was the log when the place was given.
fn put_aside(path: &Path, place: &Place) -> Option<File> {
    let (folder, name) = (path.parent()?, path.file_name()?.to_str()?);
    let is_older = |other: &PathBuf| {
        other.file_name().and_then(|other| other.to_str()).is_some_and(|other| other.starts_with(name))
    };
    let older = std::fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path()).filter(is_older);
    older
        .filter_map(|path| File::open(path).ok())
        .find(|file| file.metadata().is_ok_and(|found| place.is_in(&found)))
}

/// The first so many lines from there on, and where they end.
fn first_lines(file: &mut File, from: u64, wanted: usize) -> std::io::Result<(Vec<String>, u64)> {
    let (text, _) = whole_lines(file, from)?;
    let taken: Vec<&str> = text.split_inclusive('\n').take(wanted).collect();
    let length: usize = taken.iter().map(|line| line.len()).sum();
    let lines = taken.iter().map(|line| line.trim_end_matches(['\n', '\r']).to_owned()).collect();
    Ok((lines, from + length as u64))
}

/// What stands from there on, up to the last end of a line, and where that is. A line that is longer than what is read
/// at once is taken in pieces.
fn whole_lines(file: &mut File, from: u64) -> std::io::Result<(String, u64)> {
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.take(BYTES).read_to_end(&mut bytes)?;
    let is_full = bytes.len() as u64 == BYTES;
    let end = match bytes.iter().rposition(|byte| *byte == b'\n') {
        Some(last) => last + 1,
        None if is_full => bytes.len(),
        None => 0,
    };
    bytes.truncate(end);
    // Byte for byte as long as what was read: what is no text becomes one `?` a byte.
    let text = String::from_utf8(bytes).unwrap_or_else(|error| {
        error
            .into_bytes()
            .into_iter()
            .map(|byte| if byte.is_ascii() { char::from(byte) } else { '?' })
            .collect()
    });
    Ok((text, from + end as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(text: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("log");
        std::fs::write(&path, text).expect("it can be written");
        (folder, path)
    }

    fn append(path: &Path, text: &str) {
        use std::io::Write as _;
        let mut file = std::fs::OpenOptions::new().append(true).create(true).open(path).expect("opened");
        file.write_all(text.as_bytes()).expect("written");
    }

    #[test]
    fn the_last_lines_are_told_and_no_half_one() {
        let (folder, path) = log("one\ntwo\nthree\nhal");
        assert_eq!(tail(&path, 2).expect("it can be read").0, ["two", "three"]);
        let long = format!("{}\nlast\n", "x".repeat(BYTES as usize));
        std::fs::write(&path, long).expect("it can be written");
        assert_eq!(tail(&path, 100).expect("it can be read").0, ["last"]);
        assert!(tail(&folder.path().join("none"), 1).is_err());
    }

    #[test]
    fn what_comes_is_told_once_over_emptying_and_putting_aside() {
        let (folder, path) = log("one\nhal");
        let mut place = tail(&path, 9).expect("it can be read").1;
        let mut told = |wanted: usize| {
            let (lines, next) = since(&path, place, wanted).expect("it can be read");
            place = Place::parse(&next.to_string()).expect("it parses");
            lines
        };
        assert!(told(9).is_empty(), "half a line");
        append(&path, "f\ntwo\nthree\n");
        assert_eq!(told(2), ["half", "two"]);
        assert_eq!(told(2), ["three"]);
        std::fs::write(&path, "new\n").expect("emptied");
        assert_eq!(told(9), ["new"]);
        append(&path, "last of the old\n");
        std::fs::rename(&path, folder.path().join("log.1")).expect("put aside");
        assert_eq!(told(9), ["last of the old"], "though there is none of its name");
        assert!(told(9).is_empty());
        append(&folder.path().join("log.1"), "late\n");
        append(&path, "first\n");
        assert_eq!(told(9), ["late"]);
        assert_eq!(told(9), ["first"]);
        // Held, so that its number is not given to the next one.
        let _held = File::open(&path).expect("opened");
        std::fs::remove_file(&path).expect("removed");
        append(&path, "again \u{e9}\n");
        assert_eq!(told(9), ["again \u{e9}"]);
    }

    #[test]
    fn a_place_is_only_what_was_given() {
        let place = Place { device: 1, inode: 0xabc, born: 0, at: u64::MAX };
        assert_eq!(Place::parse(&place.to_string()), Some(place));
        for bad in ["", "1", "1.2.3", "1.2.3.4.5", "1.2.3.x", "-1.2.3.4", "1.2.3.fffffffffffffffff"] {
            assert_eq!(Place::parse(bad), None, "{bad}");
        }
    }
}
