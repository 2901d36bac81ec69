//! read, write, edit.

use std::fs::{self, File, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use super::bounds::head;
use super::paths::{Target, resolve};
use super::{Action, Outcome, Place, Plan, diff, input};

/// Longest file that is read, compared or edited.
const LONGEST_FILE: u64 = 16 * 1024 * 1024;
/// Most lines that one read gives.
const MOST_LINES: usize = 2000;
/// Longest line that is given whole, in bytes.
const LONGEST_LINE: usize = 2000;
/// Most bytes that one read gives.
const MOST_BYTES: usize = 64 * 1024;

#[derive(Deserialize)]
struct ReadInput {
    #[serde(alias = "file_path", alias = "filePath")]
    path: String,
    #[serde(default)]
    offset: Option<usize>,
    #[serde(default)]
    limit: Option<usize>,
}

#[derive(Deserialize)]
struct WriteInput {
    #[serde(alias = "file_path", alias = "filePath")]
    path: String,
    content: String,
}

#[derive(Deserialize)]
struct EditInput {
    #[serde(alias = "file_path", alias = "filePath")]
    path: String,
    #[serde(alias = "old_string", alias = "oldText", alias = "oldString")]
    old_text: String,
    #[serde(alias = "new_string", alias = "newText", alias = "newString")]
    new_text: String,
    #[serde(default, alias = "replace_all", alias = "replaceAll")]
    all: bool,
}

/// A file as it was when the person was asked about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen(Option<(u64, u64, i64, i64)>);

impl Seen {
    fn of(path: &Path) -> Self {
        Self(
            fs::symlink_metadata(path)
                .ok()
                .map(|data| (data.ino(), data.len(), data.mtime(), data.mtime_nsec())),
        )
    }
}

/// A file's new text, as it was shown to the person.
#[derive(Clone, Debug)]
pub struct Change {
    target: Target,
    /// As the model wrote the path, to follow it once more.
    typed: String,
    seen: Seen,
    new: String,
    /// What is told to the model when it is done.
    done: String,
}

/// Plans a read.
pub fn plan_read(place: &Place, call: &Value) -> Result<Plan, String> {
    let wanted: ReadInput = input(call)?;
    let target = resolve(&place.directory, &wanted.path)?;
    let shown = target.shown(&place.directory);
    Ok(Plan {
        title: format!("read {shown}"),
        kind: "read",
        input: with_path(call, &target),
        locations: vec![target.real.clone()],
        diffs: Vec::new(),
        // What lies elsewhere may be none of the model's business, and what is read is sent to its server.
        asks: !target.inside,
        action: Action::Read {
            path: target.real,
            first: wanted.offset.unwrap_or(1).max(1),
            lines: wanted.limit.unwrap_or(MOST_LINES).clamp(1, MOST_LINES),
        },
    })
}

/// Plans a write.
pub fn plan_write(place: &Place, call: &Value) -> Result<Plan, String> {
    let wanted: WriteInput = input(call)?;
    let target = resolve(&place.directory, &wanted.path)?;
    if target.real.is_dir() {
        return Err(format!("{} is a folder", target.real.display()));
    }
    let seen = Seen::of(&target.real);
    let old = match seen {
        Seen(None) => None,
        Seen(Some(_)) => Some(match text(&target.real) {
            Ok(text) => text,
            // It may be replaced all the same; the person sees that something is there.
            Err(why) => format!("[{why}]\n"),
        }),
    };
    let lines = wanted.content.lines().count();
    let verb = if old.is_some() { "overwrite" } else { "write" };
    let shown = target.shown(&place.directory);
    Ok(Plan {
        title: format!("{verb} {shown}"),
        kind: "edit",
        input: with_path(call, &target),
        locations: vec![target.real.clone()],
        diffs: vec![diff::content(&target.real, old.as_deref(), &wanted.content)],
        asks: true,
        action: Action::Change(Change {
            done: format!("{}: {lines} lines written", target.real.display()),
            target,
            typed: wanted.path,
            seen,
            new: wanted.content,
        }),
    })
}

/// Plans an edit.
pub fn plan_edit(place: &Place, call: &Value) -> Result<Plan, String> {
    let wanted: EditInput = input(call)?;
    let target = resolve(&place.directory, &wanted.path)?;
    let seen = Seen::of(&target.real);
    let old = text(&target.real)?;
    let shown = target.shown(&place.directory);
    if wanted.old_text.is_empty() {
        return Err("`old_text` is empty; use `write` for a new file".into());
    }
    if wanted.old_text == wanted.new_text {
        return Err("`old_text` and `new_text` are the same".into());
    }
    let times = old.matches(&wanted.old_text).count();
    let new = match times {
        0 => {
            return Err(format!(
                "`old_text` does not occur in {shown}: it must be exactly as in the file, with all blanks and line ends; \
                 read the file again"
            ));
        }
        1 => old.replacen(&wanted.old_text, &wanted.new_text, 1),
        _ if wanted.all => old.replace(&wanted.old_text, &wanted.new_text),
        times => {
            return Err(format!(
                "`old_text` occurs {times} times in {shown}: give more of the lines around it, or set `all`"
            ));
        }
    };
    let places = if times == 1 { String::new() } else { format!(" in {times} places") };
    Ok(Plan {
        title: format!("edit {shown}"),
        kind: "edit",
        input: with_path(call, &target),
        locations: vec![target.real.clone()],
        diffs: vec![diff::content(&target.real, Some(&old), &new)],
        asks: true,
        action: Action::Change(Change {
            done: format!("edited{places}:\n{}", diff::unified(&wanted.path, &old, &new)),
            target,
            typed: wanted.path,
            seen,
            new,
        }),
    })
}

/// The input with the path that it really is about, for whoever is asked.
pub fn with_path(call: &Value, target: &Target) -> Value {
    let mut shown = call.clone();
    if let Some(fields) = shown.as_object_mut() {
        for name in ["file_path", "filePath"] {
            fields.remove(name);
        }
        fields.insert("path".into(), target.real.display().to_string().into());
    }
    shown
}

/// Reads a part of a file.
pub fn read(path: &Path, first: usize, most: usize) -> Outcome {
    let text = match text(path) {
        Ok(text) => text,
        Err(why) => return Outcome::failed(why),
    };
    let total = text.lines().count();
    if total == 0 {
        return Outcome::done("[the file is empty]");
    }
    if first > total {
        return Outcome::failed(format!("the file has only {total} lines"));
    }
    let mut out = String::new();
    let mut given = 0;
    for line in text.lines().skip(first - 1).take(most) {
        let shown = head(line, LONGEST_LINE);
        if given > 0 && out.len() + shown.len() > MOST_BYTES {
            break;
        }
        out.push_str(shown);
        if shown.len() < line.len() {
            out.push_str(&format!(" [… {} more bytes in this line]", line.len() - shown.len()));
        }
        out.push('\n');
        given += 1;
    }
    let next = first + given;
    if next <= total {
        out.push_str(&format!("[lines {first} to {} of {total}; go on with offset {next}]", next - 1));
    }
    Outcome::done(out)
}

/// Makes a change, if all is as it was when the person saw it.
pub fn change(place: &Place, change: &Change) -> Outcome {
    match resolve(&place.directory, &change.typed) {
        Ok(now) if now == change.target => {}
        _ => return Outcome::failed("not done: the path leads elsewhere than when the person was asked"),
    }
    let path = &change.target.real;
    if Seen::of(path) != change.seen {
        return Outcome::failed("not done: the file was changed while the person was asked; read it again");
    }
    match put(path, change.new.as_bytes()) {
        Ok(()) => Outcome::done(change.done.clone()),
        Err(error) => Outcome::failed(format!("{} cannot be written: {error}", path.display())),
    }
}

/// Replaces a file in one step, so that nobody ever sees half of it.
fn put(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    fs::create_dir_all(folder)?;
    let before = fs::symlink_metadata(path).ok();
    // Other names of the same file would keep the old text, and another owner's file would change hands.
    let shared = before
        .as_ref()
        .is_some_and(|data| data.nlink() > 1 || data.uid() != rustix::process::geteuid().as_raw());
    let mode = before.map_or(0o666, |data| data.mode() & 0o7777);
    let beside = match tempfile::Builder::new()
        .prefix(".tether-")
        .permissions(Permissions::from_mode(if mode == 0o666 { 0o666 } else { 0o600 }))
        .tempfile_in(folder)
    {
        Ok(beside) if !shared => beside,
        // A folder in which nothing can be made may still hold a file that can be written.
        _ => return fs::write(path, bytes),
    };
    beside.as_file().write_all(bytes)?;
    if mode != 0o666 {
        beside.as_file().set_permissions(Permissions::from_mode(mode))?;
    }
    beside.as_file().sync_data()?;
    beside.persist(path).map(|_| ()).map_err(|error| error.error)
}

/// A text file. `Err` says why it is none that can be used.
fn text(path: &Path) -> Result<String, String> {
    let name = path.display();
    // Looked at before it is opened: a named pipe would wait for somebody to write.
    let data = fs::metadata(path).map_err(|error| format!("{name} cannot be read: {error}"))?;
    if data.is_dir() {
        return Err(format!("{name} is a folder; use `list`"));
    }
    if !data.is_file() {
        return Err(format!("{name} is no plain file"));
    }
    if data.len() > LONGEST_FILE {
        return Err(format!("{name} is too long ({} bytes); use `search` or `shell`", data.len()));
    }
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(LONGEST_FILE).read_to_end(&mut bytes))
        .map_err(|error| format!("{name} cannot be read: {error}"))?;
    if bytes.iter().take(8192).any(|byte| *byte == 0) {
        return Err(format!("{name} is a binary file of {} bytes", bytes.len()));
    }
    String::from_utf8(bytes).map_err(|_| format!("{name} is no text in UTF-8"))
}
