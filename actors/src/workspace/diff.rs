//! What is changed in a work tree since its last commit, files that git does not know yet included.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::error::GitError;
use super::git::Git;
use super::look::head_commit;
use super::settings::Workspaces;

/// Longest diff in bytes; the rest is left out, which is said.
const DIFF_BYTES: usize = 4 << 20;
/// At most so many unknown files are shown...
const NEW_FILES: usize = 200;
/// ... each up to so many bytes...
const NEW_FILE_BYTES: u64 = 256 << 10;
/// ... and all together.
const NEW_BYTES: usize = 1 << 20;

/// Whatever is compared, nothing that the repository names is run for it.
const DIFF: [&str; 5] =
    ["diff", "--no-ext-diff", "--no-textconv", "--ignore-submodules=dirty", "--find-renames"];

/// A diff, whole and file by file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Diff {
    /// Unified diff of everything.
    pub diff: String,
    /// The same, cut into files.
    pub files: Vec<FileDiff>,
    /// Whether something was left out because it is too long.
    #[serde(default)]
    pub truncated: bool,
}

/// The diff of one file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct FileDiff {
    /// Its (new) path within the directory.
    pub path: String,
    /// How many places changed.
    pub hunks: usize,
    /// Its part of the diff.
    pub patch: String,
}

/// A diff of what is staged, or of what is not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct StagedDiff {
    /// Unified diff.
    pub patch: String,
    /// Lines added and removed, file by file.
    pub stat: String,
    /// Which of the two it is.
    pub staged: bool,
    /// Whether something was left out because it is too long.
    #[serde(default)]
    pub truncated: bool,
}

impl Workspaces {
    /// What is changed since the last commit; nothing if the folder is not the top of a work tree.
    ///
    /// # Errors
    /// git cannot read the repository.
    pub async fn diff(&self, folder: &Path) -> Result<Diff, GitError> {
        if folder.as_os_str().is_empty() || !super::is_top(folder).await {
            return Ok(Diff::default());
        }
        let _leave = self.look().await?;
        let git = self.open(folder, false).await?;
        let against = if head_commit(&git).await?.is_some() { &["HEAD"][..] } else { &[] };
        compare(&git, against, true).await
    }

    /// What is staged, or what is not (files that git does not know included).
    ///
    /// # Errors
    /// The folder is not the top of a work tree, or git cannot read it.
    pub async fn staged_diff(
        &self,
        folder: &Path,
        trusted: bool,
        staged: bool,
    ) -> Result<StagedDiff, GitError> {
        let _leave = self.look().await?;
        let git = self.open(folder, trusted).await?;
        let against = if staged { &["--cached"][..] } else { &[] };
        let diff = compare(&git, against, !staged).await?;
        Ok(StagedDiff { stat: stat(&diff.files), patch: diff.diff, staged, truncated: diff.truncated })
    }
}

/// Compares as these arguments say, with or without the files that git does not know.
pub async fn compare(git: &Git<'_>, against: &[&str], with_new: bool) -> Result<Diff, GitError> {
    let args: Vec<&str> = DIFF.iter().chain(against).copied().chain(["--"]).collect();
    let tracked = git.read(&args, DIFF_BYTES).await?.or_refuse()?;
    let mut diff = String::from_utf8_lossy(&tracked.stdout).into_owned();
    if tracked.cut {
        // The last file is cut in the middle: it goes.
        diff.truncate(diff.rfind("\ndiff --git ").map_or(0, |at| at + 1));
    }
    let mut truncated = tracked.cut;
    if with_new {
        let list = ["ls-files", "--others", "--exclude-standard", "-z", "--"];
        let others = git.read(&list, 1 << 20).await?.or_refuse()?;
        let root = git.folder().to_owned();
        let names = others.stdout;
        let fresh = tokio::task::spawn_blocking(move || new_files(&root, &names))
            .await
            .map_err(|_| GitError::Unavailable("the daemon is stopping".to_owned()))?;
        diff.push_str(&fresh.patch);
        truncated |= others.cut || fresh.cut;
    }
    let files = split(&diff);
    Ok(Diff { diff, files, truncated })
}

/// Lines added and removed, as `git diff --stat` shows them.
pub fn stat(files: &[FileDiff]) -> String {
    let (mut added, mut removed) = (0, 0);
    let mut text = String::new();
    let width = files.iter().map(|file| file.path.chars().count()).max().unwrap_or(0);
    for file in files {
        let body = file.patch.lines().skip_while(|line| !line.starts_with("@@ "));
        let count = |sign: char| body.clone().filter(|line| line.starts_with(sign)).count();
        let (plus, minus) = (count('+'), count('-'));
        added += plus;
        removed += minus;
        let is_binary =
            file.patch.lines().any(|line| line.starts_with("Binary files ") || line == "GIT binary patch");
        let change = match (is_binary, plus + minus) {
            (true, _) => "Bin".to_owned(),
            (_, 0) => "0".to_owned(),
            (_, all) => {
                let most = all.max(40);
                format!(
                    "{all} {}{}",
                    "+".repeat((plus * 40).div_ceil(most)),
                    "-".repeat((minus * 40).div_ceil(most))
                )
            }
        };
        text.push_str(&format!(" {:width$} | {change}\n", file.path));
    }
    if !files.is_empty() {
        let s = |count: usize| if count == 1 { "" } else { "s" };
        text.push_str(&format!(
            " {} file{} changed, {added} insertion{}(+), {removed} deletion{}(-)\n",
            files.len(),
            s(files.len()),
            s(added),
            s(removed)
        ));
    }
    text
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
