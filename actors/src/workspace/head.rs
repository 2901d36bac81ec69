//! The branch of a directory, read from `.git/HEAD` alone: no program, and cheap enough for every turn.
//!
//! Formats: gitrepository-layout(5), git 2.47. `.git` is a folder, or (in a linked work tree) a file `gitdir: PATH`.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Nothing that is read here is longer.
const LONGEST: u64 = 4096;

/// Longest name that is shown, in bytes.
const SHOWN: usize = 200;

/// The branch, or `detached at 1a2b3c4`; `None` where there is no repository, or none that we can read. Blocks for some
/// microseconds on a disk that answers: call it on a thread for blocking work.
pub fn branch_of(directory: &Path) -> Option<String> {
    let head = read(&git_dir(directory)?.join("HEAD"))?;
    let head = head.trim_end();
    if let Some(name) = head.strip_prefix("ref:").map(str::trim) {
        let name = name.strip_prefix("refs/heads/").unwrap_or(name);
        // A repository whose refs are elsewhere (reftable) says so with a name that cannot be.
        let fits =
            !name.is_empty() && name != ".invalid" && name.len() <= SHOWN && !name.contains(char::is_control);
        return fits.then(|| name.chars().map(seen).collect());
    }
    let is_commit = head.len() >= 40 && head.bytes().all(|b| b.is_ascii_hexdigit());
    is_commit.then(|| format!("detached at {}", head.get(..7).unwrap_or_default()))
}

/// Characters that hide something, or turn the order of others round, are shown as unknown ones: a person decides by
/// this name.
fn seen(c: char) -> char {
    match c {
        '\u{ad}'
        | '\u{61c}'
        | '\u{115f}'
        | '\u{1160}'
        | '\u{180e}'
        | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{3164}'
        | '\u{fe00}'..='\u{fe0f}'
        | '\u{feff}'
        | '\u{ffa0}'
        | '\u{e0000}'..='\u{e0fff}' => '\u{fffd}',
        c => c,
    }
}

/// Whether this is the top of a work tree. Not any folder `.git` makes it one: sandboxes of agents leave empty ones
/// behind when they are killed.
pub async fn is_top(directory: &Path) -> bool {
    let place = directory.join(".git");
    match tokio::fs::metadata(&place).await {
        Ok(found) if found.is_dir() => tokio::fs::symlink_metadata(place.join("HEAD")).await.is_ok(),
        found => found.is_ok(),
    }
}

/// The repository's own folder of a work tree whose top this is.
fn git_dir(directory: &Path) -> Option<PathBuf> {
    let place = directory.join(".git");
    if std::fs::metadata(&place).ok()?.is_dir() {
        return Some(place);
    }
    let text = read(&place)?;
    let path = text.strip_prefix("gitdir:")?.trim();
    (!path.is_empty()).then(|| directory.join(path))
}

/// A short text file. A pipe or device in its place must not hold us.
fn read(path: &Path) -> Option<String> {
    let nonblocking = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).ok()?;
    let file = File::options().read(true).custom_flags(nonblocking).open(path).ok()?;
    if !file.metadata().ok()?.is_file() {
        return None;
    }
    let mut text = String::new();
    file.take(LONGEST).read_to_string(&mut text).ok()?;
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn branches_detached_heads_and_linked_work_trees_are_told() {
        let top = tempfile::tempdir().expect("a folder");
        let put = |name: &str, text: &str| {
            let path = top.path().join(name);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            std::fs::write(path, text).expect("written");
        };
        let told = |name: &str| branch_of(&top.path().join(name));
        put("a/.git/HEAD", "ref: refs/heads/feature/x\n");
        assert_eq!(told("a").as_deref(), Some("feature/x"));
        put("a/.git/HEAD", "1234567890123456789012345678901234567890\n");
        assert_eq!(told("a").as_deref(), Some("detached at 1234567"));
        put("i/.git/HEAD", "ref: refs/heads/ma\u{202e}ni\n");
        assert_eq!(told("i").as_deref(), Some("ma\u{fffd}ni"));
        put("b/.git", "gitdir: ../a/.git/worktrees/b\n");
        put("a/.git/worktrees/b/HEAD", "ref: refs/heads/b\n");
        assert_eq!(told("b").as_deref(), Some("b"));
        for (name, text) in [
            ("c/.git/HEAD", "ref: refs/heads/.invalid\n"),
            ("d/.git/HEAD", "ref: refs/heads/a\u{1b}[2J\n"),
            ("e/.git/HEAD", "nonsense"),
            ("f/.git", "gitdir: /does/not/exist"),
            ("g/.git", ""),
            ("h/file", ""),
        ] {
            put(name, text);
            let folder = name.split('/').next().expect("a folder");
            assert_eq!(told(folder), None, "{name}");
        }
    }

    #[test]
    fn a_pipe_in_place_of_the_file_does_not_hold_us() {
        let top = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(top.path().join(".git")).expect("made");
        let made =
            std::process::Command::new("mkfifo").arg(top.path().join(".git/HEAD")).status().expect("it runs");
        assert!(made.success());
        assert_eq!(branch_of(top.path()), None);
    }
}
