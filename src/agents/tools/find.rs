//! list, search: what lies in the directory, with ripgrep's own parts. What `.gitignore` hides is left out.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use globset::{Glob, GlobMatcher};
use grep_regex::RegexMatcherBuilder;
use grep_searcher::sinks::Lossy;
use grep_searcher::{BinaryDetection, SearcherBuilder};
use ignore::{DirEntry, WalkBuilder};
use serde::Deserialize;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::bounds::head;
use super::files::with_path;
use super::paths::resolve;
use super::{Action, Outcome, Place, Plan, input};

/// Most entries of a list.
const MOST_ENTRIES: usize = 500;
/// How deep a list may go.
const DEEPEST: usize = 8;
/// Most lines that a search gives.
const MOST_LINES: usize = 200;
/// Most bytes that a search gives.
const MOST_BYTES: usize = 32 * 1024;
/// Longest line that a search gives whole.
const LONGEST_LINE: usize = 300;
/// How long a search may take.
const LONGEST: Duration = Duration::from_secs(30);

#[derive(Deserialize)]
struct ListInput {
    #[serde(default)]
    path: Option<String>,
    #[serde(default)]
    depth: Option<usize>,
}

#[derive(Deserialize)]
struct SearchInput {
    #[serde(alias = "regex", alias = "query")]
    pattern: String,
    #[serde(default)]
    path: Option<String>,
    #[serde(default, alias = "include")]
    glob: Option<String>,
    #[serde(default)]
    ignore_case: bool,
    #[serde(default)]
    files_only: bool,
}

/// What is to be searched.
#[derive(Clone, Debug)]
pub struct Search {
    path: PathBuf,
    pattern: String,
    glob: Option<GlobMatcher>,
    ignore_case: bool,
    files_only: bool,
}

/// Plans a list.
pub fn plan_list(place: &Place, call: &Value) -> Result<Plan, String> {
    let wanted: ListInput = input(call)?;
    let target = resolve(&place.directory, wanted.path.as_deref().unwrap_or("."))?;
    Ok(Plan {
        title: format!("list {}", target.shown(&place.directory)),
        kind: "read",
        input: with_path(call, &target),
        locations: vec![target.real.clone()],
        diffs: Vec::new(),
        asks: !target.inside,
        action: Action::List { path: target.real, depth: wanted.depth.unwrap_or(1).clamp(1, DEEPEST) },
    })
}

/// Plans a search.
pub fn plan_search(place: &Place, call: &Value) -> Result<Plan, String> {
    let wanted: SearchInput = input(call)?;
    let target = resolve(&place.directory, wanted.path.as_deref().unwrap_or("."))?;
    let glob = wanted.glob.as_deref().map(str::trim).filter(|glob| !glob.is_empty());
    let glob = glob.map(|glob| {
        // A pattern without a folder is one for names, wherever they are.
        let whole = if glob.contains('/') { glob.to_owned() } else { format!("**/{glob}") };
        Glob::new(&whole).map(|glob| glob.compile_matcher()).map_err(|error| error.to_string())
    });
    let search = Search {
        path: target.real.clone(),
        pattern: wanted.pattern,
        glob: glob.transpose()?,
        ignore_case: wanted.ignore_case,
        files_only: wanted.files_only,
    };
    // A wrong pattern is found before anybody is asked.
    matcher(&search)?;
    Ok(Plan {
        title: format!("search {:?} in {}", search.pattern, target.shown(&place.directory)),
        kind: "search",
        input: with_path(call, &target),
        locations: vec![target.real.clone()],
        diffs: Vec::new(),
        asks: !target.inside,
        action: Action::Search(search),
    })
}

fn matcher(search: &Search) -> Result<grep_regex::RegexMatcher, String> {
    RegexMatcherBuilder::new()
        .case_insensitive(search.ignore_case)
        .line_terminator(Some(b'\n'))
        .build(&search.pattern)
        .map_err(|error| format!("the pattern is no regular expression: {error}"))
}

fn walk(path: &Path, depth: Option<usize>) -> impl Iterator<Item = DirEntry> {
    WalkBuilder::new(path)
        // Hidden files are often what is looked for; the insides of a repository never.
        .hidden(false)
        .filter_entry(|entry| entry.file_name() != ".git")
        .require_git(false)
        .max_depth(depth)
        .sort_by_file_name(|a, b| a.cmp(b))
        .build()
        .flatten()
}

/// What lies in a folder.
pub fn list(path: &Path, depth: usize, cancel: &CancellationToken) -> Outcome {
    if !path.is_dir() {
        return Outcome::failed(format!("{} is no folder", path.display()));
    }
    let mut out = String::new();
    let mut more = 0_usize;
    for (at, entry) in walk(path, Some(depth)).filter(|entry| entry.depth() > 0).enumerate() {
        if cancel.is_cancelled() {
            return Outcome::failed("cancelled");
        }
        if at >= MOST_ENTRIES {
            more += 1;
            continue;
        }
        let name = entry.path().strip_prefix(path).unwrap_or(entry.path()).display().to_string();
        let kind = entry.file_type();
        if kind.is_some_and(|kind| kind.is_dir()) {
            out.push_str(&format!("{name}/\n"));
        } else if kind.is_some_and(|kind| kind.is_symlink()) {
            out.push_str(&format!("{name} (link)\n"));
        } else {
            let size = entry.metadata().map(|data| data.len()).unwrap_or(0);
            out.push_str(&format!("{name} ({size} bytes)\n"));
        }
    }
    if more > 0 {
        out.push_str(&format!("[… and {more} more]"));
    }
    Outcome::done(if out.is_empty() { "[the folder is empty]" } else { &out })
}

/// The lines that match.
pub fn search(search: &Search, cancel: &CancellationToken) -> Outcome {
    let matcher = match matcher(search) {
        Ok(matcher) => matcher,
        Err(why) => return Outcome::failed(why),
    };
    if !search.path.exists() {
        return Outcome::failed(format!("{} does not exist", search.path.display()));
    }
    let until = Instant::now() + LONGEST;
    let mut searcher =
        SearcherBuilder::new().line_number(true).binary_detection(BinaryDetection::quit(0)).build();
    let mut out = String::new();
    let mut found = 0_usize;
    let mut note = None;
    for entry in walk(&search.path, None) {
        if cancel.is_cancelled() {
            return Outcome::failed("cancelled");
        }
        if Instant::now() > until {
            note = Some(format!("[stopped after {} s; search a smaller part]", LONGEST.as_secs()));
            break;
        }
        if !entry.file_type().is_some_and(|kind| kind.is_file()) {
            continue;
        }
        let name = entry.path().strip_prefix(&search.path).unwrap_or(entry.path());
        if search.glob.as_ref().is_some_and(|glob| !glob.is_match(name) && !glob.is_match(entry.path())) {
            continue;
        }
        let name = if name.as_os_str().is_empty() { entry.path() } else { name }.display().to_string();
        let sink = Lossy(|number, line| {
            if search.files_only {
                out.push_str(&format!("{name}\n"));
            } else {
                let line = line.trim_end();
                let shown = head(line, LONGEST_LINE);
                let cut = if shown.len() < line.len() { " …" } else { "" };
                out.push_str(&format!("{name}:{number}: {shown}{cut}\n"));
            }
            found += 1;
            Ok(!search.files_only && found < MOST_LINES && out.len() < MOST_BYTES)
        });
        // A file that cannot be read is passed over, as grep does.
        let _ = searcher.search_path(&matcher, entry.path(), sink);
        if found >= MOST_LINES || out.len() >= MOST_BYTES {
            note = Some(format!("[only the first {found} are shown; search a smaller part]"));
            break;
        }
    }
    out.push_str(&note.unwrap_or_default());
    Outcome::done(if out.is_empty() { "[nothing matches]" } else { &out })
}
