use std::process::Command;

use super::*;

/// Runs git as a person would.
fn git(folder: &Path, args: &[&str]) {
    let done = Command::new("git")
        .current_dir(folder)
        .args(["-c", "user.name=T", "-c", "user.email=t@localhost", "-c", "init.defaultBranch=main"])
        .args(args)
        .output()
        .expect("git runs");
    assert!(done.status.success(), "{args:?}: {}", String::from_utf8_lossy(&done.stderr));
}

/// A work tree with one committed file.
fn work_tree() -> tempfile::TempDir {
    let top = tempfile::tempdir().expect("a folder");
    git(top.path(), &["init", "-q"]);
    std::fs::write(top.path().join("a.txt"), "one\ntwo\n").expect("it can be written");
    git(top.path(), &["add", "."]);
    git(top.path(), &["commit", "-q", "-m", "first"]);
    top
}

async fn diff(top: &tempfile::TempDir) -> Diff {
    Workspaces::default().diff(&top.path().canonicalize().expect("it exists")).await.expect("git works")
}

#[tokio::test]
async fn changed_removed_and_new_files_are_shown() {
    let top = work_tree();
    let at = |name: &str| top.path().join(name);
    std::fs::write(at("gone"), "x\n").expect("it can be written");
    std::fs::write(at("old name"), "1\n2\n3\n4\n5\n6\n").expect("it can be written");
    git(top.path(), &["add", "."]);
    git(top.path(), &["commit", "-q", "-m", "second"]);
    std::fs::write(at("a.txt"), "one\n2\n").expect("it can be written");
    std::fs::remove_file(at("gone")).expect("it is there");
    git(top.path(), &["mv", "old name", "new name"]);
    std::fs::write(at("fresh.txt"), "alpha\nbeta").expect("it can be written");
    std::fs::write(at("with \"quotes\""), "q\n").expect("it can be written");
    std::fs::write(at("empty"), "").expect("it can be written");
    std::fs::write(at("bin"), b"\0\x01").expect("it can be written");
    std::os::unix::fs::symlink("/etc/passwd", at("link")).expect("it can be made");
    let answer = diff(&top).await;
    let mut files: Vec<(&str, usize)> =
        answer.files.iter().map(|file| (file.path.as_str(), file.hunks)).collect();
    files.sort_unstable();
    assert_eq!(
        files,
        [
            ("a.txt", 1),
            ("bin", 0),
            ("empty", 0),
            ("fresh.txt", 1),
            ("gone", 1),
            ("new name", 0),
            ("with \"quotes\"", 1)
        ]
    );
    assert!(answer.diff.contains("@@ -0,0 +1,2 @@\n+alpha\n+beta\n\\ No newline at end of file\n"));
    assert!(!answer.diff.contains("root:"), "a link was followed");
    assert!(answer.truncated, "the link is left out, and that is not said");
}

#[tokio::test]
async fn the_diff_with_new_files_can_be_applied() {
    let top = work_tree();
    std::fs::write(top.path().join("fresh.txt"), "alpha\nbeta").expect("it can be written");
    std::fs::write(top.path().join("with \"q\"\t"), "q\n").expect("it can be written");
    let answer = diff(&top).await;
    assert!(!answer.truncated);
    std::fs::remove_file(top.path().join("fresh.txt")).expect("it is there");
    std::fs::remove_file(top.path().join("with \"q\"\t")).expect("it is there");
    let patch = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(patch.path(), &answer.diff).expect("it can be written");
    git(top.path(), &["apply", patch.path().to_str().expect("it is UTF-8")]);
    let back = std::fs::read_to_string(top.path().join("fresh.txt")).expect("it is there");
    assert_eq!(back, "alpha\nbeta");
}

#[tokio::test]
async fn a_work_tree_without_commits_and_a_plain_folder_have_diffs_too() {
    let top = tempfile::tempdir().expect("a folder");
    assert_eq!(diff(&top).await, Diff::default());
    git(top.path(), &["init", "-q"]);
    assert_eq!(diff(&top).await, Diff::default());
    std::fs::write(top.path().join("a"), "1\n").expect("it can be written");
    assert_eq!(diff(&top).await.files[0].path, "a");
}

#[tokio::test]
async fn a_repository_cannot_run_anything_by_being_looked_at() {
    let top = work_tree();
    let mark = top.path().join("ran");
    let run = format!("touch {}; cat", mark.display());
    std::fs::write(top.path().join(".gitattributes"), "* filter=evil diff=evil\n")
        .expect("it can be written");
    for (name, value) in [
        ("filter.evil.clean", run.as_str()),
        ("filter.evil.smudge", run.as_str()),
        ("filter.evil.required", "true"),
        ("diff.evil.command", run.as_str()),
        ("diff.evil.textconv", run.as_str()),
        ("diff.external", run.as_str()),
        ("core.fsmonitor", run.as_str()),
        ("core.pager", run.as_str()),
        ("core.worktree", "/etc"),
        ("alias.diff", &format!("!{run}")),
    ] {
        git(top.path(), &["config", name, value]);
    }
    std::fs::write(top.path().join("a.txt"), "changed\n").expect("it can be written");
    let answer = diff(&top).await;
    assert!(!mark.exists(), "it ran something");
    assert!(answer.files.iter().any(|file| file.path == "a.txt"), "{answer:?}");
    assert!(!answer.diff.contains("passwd"), "it looked elsewhere");
}

#[tokio::test]
async fn a_broken_repository_is_told_in_gits_words() {
    let top = tempfile::tempdir().expect("a folder");
    std::fs::write(top.path().join(".git"), "gitdir: /does/not/exist\n").expect("it can be written");
    let folder = top.path().canonicalize().expect("it exists");
    let error = Workspaces::default().diff(&folder).await.expect_err("there is no repository");
    assert!(matches!(&error, GitError::Failed(words) if words.starts_with("fatal: ")), "{error}");
}

#[test]
fn a_diff_is_cut_into_its_files() {
    let diff = "diff --git a/x b/x\nold mode 100644\nnew mode 100755\n\
                diff --git a/y z b/y z\n--- a/y z\t\n+++ b/y z\t\n@@ -1 +1 @@\n-diff --git\n+diff --git \n@@ -9 +9 @@\n";
    let files = split(diff);
    assert_eq!(files.iter().map(|f| (f.path.as_str(), f.hunks)).collect::<Vec<_>>(), [("x", 0), ("y z", 2)]);
    assert_eq!(files.iter().map(|f| f.patch.as_str()).collect::<String>(), diff);
    assert!(split("").is_empty());
}

#[tokio::test]
async fn what_is_staged_and_what_is_not_are_told_apart_with_their_lines() {
    let top = work_tree();
    std::fs::write(top.path().join("a.txt"), "one\n2\n3\n").expect("it can be written");
    git(top.path(), &["add", "."]);
    std::fs::write(top.path().join("bin"), b"\0\x01").expect("it can be written");
    let folder = top.path().canonicalize().expect("it exists");
    let workspaces = Workspaces::default();
    let staged = workspaces.staged_diff(&folder, false, true).await.expect("git works");
    assert!(staged.patch.contains("+2\n+3\n") && !staged.patch.contains("bin"), "{}", staged.patch);
    assert_eq!(staged.stat, " a.txt | 3 ++-\n 1 file changed, 2 insertions(+), 1 deletion(-)\n");
    let rest = workspaces.staged_diff(&folder, false, false).await.expect("git works");
    assert_eq!(rest.stat, " bin | Bin\n 1 file changed, 0 insertions(+), 0 deletions(-)\n");
    assert!(rest.patch.contains("Binary files /dev/null and b/bin differ"), "{}", rest.patch);
}
