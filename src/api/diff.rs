//! What is changed in a work tree since its last commit, files that git does not know yet included.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use actix_web::get;
use actix_web::web::{Data, Json};
use serde::Serialize;

use super::Api;
use super::auth::Caller;
use super::directories;
use super::error::ApiError;
use super::extract::SessionPath;
use super::git::Git;

/// Longest diff in bytes; the rest is left out, which is said.
const DIFF_BYTES: usize = 4 << 20;
/// At most so many unknown files are shown...
const NEW_FILES: usize = 200;
/// ... each up to so many bytes...
const NEW_FILE_BYTES: u64 = 256 << 10;
/// ... and all together.
const NEW_BYTES: usize = 1 << 20;

const DIFF: [&str; 4] = ["diff", "--no-ext-diff", "--no-textconv", "--ignore-submodules=dirty"];

/// A diff, whole and file by file.
#[derive(Debug, Default, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub(super) struct DiffAnswer {
    /// Unified diff of everything.
    diff: String,
    /// The same, cut into files.
    files: Vec<FileDiff>,
    /// Whether something was left out because it is too long.
    truncated: bool,
}

/// The diff of one file.
#[derive(Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
struct FileDiff {
    /// Its (new) path within the directory.
    path: String,
    /// How many places changed.
    hunks: usize,
    /// Its part of the diff.
    patch: String,
}

/// What the session's agent (or anybody) changed since the last commit.
#[utoipa::path(tag = "sessions", params(("id" = String, Path)), responses((status = 200, body = DiffAnswer)))]
#[get("/api/sessions/{id}/diff")]
pub(super) async fn diff_session(
    _: Caller,
    api: Data<Api>,
    path: SessionPath,
) -> Result<Json<DiffAnswer>, ApiError> {
    let entry = api.session(&path.id()?)?;
    of(&api, Path::new(&entry.record.session.directory)).await.map(Json)
}

/// The diff of a directory; nothing if it is not the top of a work tree.
pub(super) async fn of(api: &Api, folder: &Path) -> Result<DiffAnswer, ApiError> {
    if folder.as_os_str().is_empty() || !directories::has_git(folder).await {
        return Ok(DiffAnswer::default());
    }
    // A few at a time: each is a process or two, and reads the whole tree.
    let _permit = api.git_runs.acquire().await.map_err(|_| ApiError::stopping())?;
    of_work_tree(folder).await
}

/// What is changed in a directory, as a unified diff; nothing if it is not the top of a work tree.
pub async fn changes(folder: &Path) -> Result<String, ApiError> {
    if folder.as_os_str().is_empty() || !directories::has_git(folder).await {
        return Ok(String::new());
    }
    Ok(of_work_tree(folder).await?.diff)
}

async fn of_work_tree(folder: &Path) -> Result<DiffAnswer, ApiError> {
    let git = Git::at(folder).await?;
    let has_commits = git.run(&["rev-parse", "--verify", "--quiet", "HEAD^{commit}"], 1_000).await?.ok;
    let mut args = DIFF.to_vec();
    if has_commits {
        args.push("HEAD");
    }
    args.push("--");
    let tracked = git.run(&args, DIFF_BYTES).await?.or_refuse()?;
    let list = ["ls-files", "--others", "--exclude-standard", "-z", "--"];
    let others = git.run(&list, 1 << 20).await?.or_refuse()?;
    let root = folder.to_owned();
    let names = others.stdout;
    let fresh = tokio::task::spawn_blocking(move || new_files(&root, &names))
        .await
        .map_err(|_| ApiError::stopping())?;
    let mut diff = String::from_utf8_lossy(&tracked.stdout).into_owned();
    if tracked.cut {
        // The last file is cut in the middle: it goes.
        diff.truncate(diff.rfind("\ndiff --git ").map_or(0, |at| at + 1));
    }
    diff.push_str(&fresh.patch);
    let files = split(&diff);
    Ok(DiffAnswer { diff, files, truncated: tracked.cut || others.cut || fresh.cut })
}

struct NewFiles {
    patch: String,
    cut: bool,
}

/// Patches that make the files of the list (names ended by NUL).
fn new_files(root: &Path, names: &[u8]) -> NewFiles {
    let mut all = NewFiles { patch: String::new(), cut: false };
    let names = names.split(|b| *b == 0).filter(|name| !name.is_empty());
    for (count, name) in names.enumerate() {
        if count >= NEW_FILES || all.patch.len() >= NEW_BYTES {
            all.cut = true;
            break;
        }
        // A name that is not UTF-8 could not be shown, and one that ends in `/` is a repository of its own.
        let Some(name) = std::str::from_utf8(name).ok().filter(|name| !name.ends_with('/')) else { continue };
        match new_file(root, name) {
            Some(patch) => all.patch.push_str(&patch),
            None => all.cut = true,
        }
    }
    all
}

/// The patch that makes one file; `None` if it is too long, no plain file, or lies elsewhere.
fn new_file(root: &Path, name: &str) -> Option<String> {
    let path = root.join(name);
    // Not a link, and not through one: nothing outside of the directory is shown.
    if !std::fs::symlink_metadata(&path).ok()?.is_file() || !path.canonicalize().ok()?.starts_with(root) {
        return None;
    }
    let mut bytes = Vec::new();
    File::open(&path).ok()?.take(NEW_FILE_BYTES + 1).read_to_end(&mut bytes).ok()?;
    if bytes.len() as u64 > NEW_FILE_BYTES {
        return None;
    }
    let (a, b) = (quoted("a/", name), quoted("b/", name));
    let mut patch = format!("diff --git {a} {b}\nnew file mode 100644\n");
    if bytes.is_empty() {
        return Some(patch);
    }
    let Some(text) = String::from_utf8(bytes).ok().filter(|text| !text.contains('\0')) else {
        patch.push_str(&format!("Binary files /dev/null and {b} differ\n"));
        return Some(patch);
    };
    let lines = text.lines().count();
    let range = if lines == 1 { "1".to_owned() } else { format!("1,{lines}") };
    patch.push_str(&format!("--- /dev/null\n+++ {b}\n@@ -0,0 +{range} @@\n"));
    for line in text.split_inclusive('\n') {
        patch.push('+');
        patch.push_str(line);
    }
    if !text.ends_with('\n') {
        patch.push_str("\n\\ No newline at end of file\n");
    }
    Some(patch)
}

/// A path as git writes it in a diff: in quotes when it holds what would be misread.
fn quoted(prefix: &str, name: &str) -> String {
    if !name.chars().any(|c| c.is_control() || matches!(c, '"' | '\\')) {
        return format!("{prefix}{name}");
    }
    let mut text = format!("\"{prefix}");
    for c in name.chars() {
        match c {
            '"' | '\\' => text.extend(['\\', c]),
            '\n' => text.push_str("\\n"),
            '\t' => text.push_str("\\t"),
            c if c.is_ascii_control() => text.push_str(&format!("\\{:03o}", u32::from(c))),
            c => text.push(c),
        }
    }
    text.push('"');
    text
}

/// Cuts a diff into its files.
fn split(diff: &str) -> Vec<FileDiff> {
    let mut starts: Vec<usize> = diff.match_indices("\ndiff --git ").map(|(at, _)| at + 1).collect();
    if diff.starts_with("diff --git ") {
        starts.insert(0, 0);
    }
    let ends = starts.iter().skip(1).copied().chain([diff.len()]);
    let parts = starts.iter().zip(ends).filter_map(|(start, end)| diff.get(*start..end));
    parts
        .map(|patch| FileDiff {
            path: path_of(patch),
            hunks: patch.lines().filter(|line| line.starts_with("@@ ")).count(),
            patch: patch.to_owned(),
        })
        .collect()
}

/// The new name of a patch's file, or the old one if it is gone.
fn path_of(patch: &str) -> String {
    let head = || patch.lines().take_while(|line| !line.starts_with("@@ "));
    let named = |start: &str| head().find_map(|line| line.strip_prefix(start)).map(unquoted);
    let given = |start: &str, prefix: &str| {
        let name = named(start)?;
        // After a name with blanks git puts a tab.
        let name = name.strip_suffix('\t').unwrap_or(&name);
        name.strip_prefix(prefix).map(str::to_owned)
    };
    given("+++ ", "b/")
        .or_else(|| given("--- ", "a/"))
        .or_else(|| named("rename to "))
        .or_else(|| named("copy to "))
        .unwrap_or_else(|| {
            // `diff --git a/x b/x` of a file without content or of a binary one: both names are the same.
            let names = patch.lines().next().unwrap_or_default().trim_start_matches("diff --git ");
            let half = names.get(names.len() / 2 + 1..).unwrap_or(names);
            let half = unquoted(half);
            half.strip_prefix("b/").unwrap_or(&half).to_owned()
        })
}

/// A name out of its quotes; escapes of single characters only, which is what is needed to recognise it.
fn unquoted(name: &str) -> String {
    match name.strip_prefix('"').and_then(|name| name.strip_suffix('"')) {
        None => name.to_owned(),
        Some(inner) => {
            inner.replace("\\\"", "\"").replace("\\t", "\t").replace("\\n", "\n").replace("\\\\", "\\")
        }
    }
}

#[cfg(test)]
#[path = "diff_tests.rs"]
mod tests;
