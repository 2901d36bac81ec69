//! Repositories as people have them, with the real git program.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::*;
use crate::domain::ids::SessionId;

/// A home of its own for git is not needed: what the person configures must not matter here.
fn git(folder: &Path, args: &[&str]) -> String {
    let done = Command::new("git")
        .current_dir(folder)
        .args(["-c", "user.name=T", "-c", "user.email=t@localhost", "-c", "init.defaultBranch=main"])
        .args(args)
        .output()
        .expect("git runs");
    assert!(done.status.success(), "{args:?}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8_lossy(&done.stdout).trim().to_owned()
}

/// A place with a repository `work`, a bare remote of it, and room for work trees.
struct Place {
    top: tempfile::TempDir,
    workspaces: Workspaces,
}

impl Place {
    fn new() -> Self {
        Self::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut WorkspaceSettings)) -> Self {
        let top = tempfile::tempdir().expect("a folder");
        let mut settings = WorkspaceSettings {
            workspaces: top.path().join("data/workspaces"),
            repos: top.path().join("data/repos"),
            ..WorkspaceSettings::default()
        };
        change(&mut settings);
        let place = Self { workspaces: Workspaces::new(settings), top };
        std::fs::create_dir(place.work_path()).expect("made");
        git(&place.work(), &["init", "-q", "--bare", "../remote.git"]);
        git(&place.work(), &["init", "-q"]);
        place.put("a.txt", "one\n");
        git(&place.work(), &["add", "."]);
        git(&place.work(), &["commit", "-q", "-m", "first"]);
        git(&place.work(), &["remote", "add", "origin", &place.remote()]);
        git(&place.work(), &["push", "-q", "origin", "main"]);
        place
    }

    fn work_path(&self) -> PathBuf {
        self.top.path().join("work")
    }

    fn work(&self) -> PathBuf {
        self.work_path().canonicalize().expect("it is there")
    }

    fn remote(&self) -> String {
        self.top.path().join("remote.git").display().to_string()
    }

    fn put(&self, name: &str, text: &str) {
        std::fs::write(self.work_path().join(name), text).expect("written");
    }

    fn text(&self, name: &str) -> Option<String> {
        std::fs::read_to_string(self.work_path().join(name)).ok()
    }

    fn clone_of(&self) -> Source {
        let url = format!("file://{}", self.remote());
        Source::Clone { url, branch: None, shallow: false, auto_branch: false, plain: false }
    }
}

#[tokio::test]
async fn a_change_is_committed_pushed_and_followed() {
    let place = Place::new();
    let (work, workspaces) = (place.work(), &place.workspaces);
    let clean = workspaces.commit(&work, false, "x", true).await.expect_err("nothing is changed");
    assert_eq!(clean, GitError::Failed("Nothing to commit: working tree is clean".into()));
    place.put("b.txt", "new\n");
    assert_eq!(workspaces.new_branch(&work, false, "topic", true).await.as_deref(), Ok("topic"));
    let made = workspaces.commit(&work, false, "-m add\n\n# not a comment", true).await.expect("committed");
    assert_eq!(made.commit.message, "-m add");
    assert!(git(&work, &["log", "-1", "--format=%B"]).contains("# not a comment"));
    let pushed = workspaces.push(&work, false, "origin", None).await.expect("pushed");
    assert_eq!((pushed.branch.as_str(), pushed.remote), ("topic", place.remote()));
    let status = workspaces.status(&work, false).await.expect("read");
    assert_eq!((status.branch.as_str(), status.remote_branch.as_deref()), ("topic", Some("origin/topic")));
    assert_eq!((status.ahead, status.dirty, status.is_worktree), (0, false, false));
    assert_eq!(status.last_commit.expect("there is one").hash, made.commit.hash);
    let log = workspaces.log(&work, false, 10).await.expect("read");
    assert_eq!(log.iter().map(|one| one.message.as_str()).collect::<Vec<_>>(), ["-m add", "first"]);
    workspaces.checkout(&work, false, "main").await.expect("it is there");
    assert_eq!(branch_of(&work).as_deref(), Some("main"));
}

#[tokio::test]
async fn names_that_could_be_options_are_refused_and_change_nothing() {
    let place = Place::new();
    let (work, workspaces) = (place.work(), &place.workspaces);
    for name in ["-f", "--orphan", "--upload-pack=touch x", "a b", "", "../x", "HEAD"] {
        assert!(
            matches!(workspaces.new_branch(&work, false, name, true).await, Err(GitError::Invalid(_))),
            "{name}"
        );
        assert!(matches!(workspaces.checkout(&work, false, name).await, Err(GitError::Invalid(_))), "{name}");
        assert!(
            matches!(workspaces.push(&work, false, name, None).await, Err(GitError::Invalid(_))),
            "{name}"
        );
        let push = workspaces.push(&work, false, "origin", Some(name)).await;
        assert!(matches!(push, Err(GitError::Invalid(_))), "{name}");
    }
    assert_eq!(git(&work, &["branch", "--format=%(refname:short)"]), "main");
    assert!(matches!(workspaces.push(&work, false, "nowhere", None).await, Err(GitError::Failed(_))));
}

#[tokio::test]
async fn hooks_run_in_trusted_directories_only() {
    let place = Place::new();
    let (work, workspaces) = (place.work(), &place.workspaces);
    let mark = place.top.path().join("ran");
    for hook in ["pre-commit", "post-checkout", "pre-push", "reference-transaction", "post-index-change"] {
        let path = work.join(".git/hooks").join(hook);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        std::fs::write(&path, format!("#!/bin/sh\necho {hook} >> {}\n", mark.display())).expect("written");
        Command::new("chmod").arg("+x").arg(&path).status().expect("it runs");
    }
    place.put("a.txt", "two\n");
    let id = SessionId::random();
    workspaces.save(&work, false, &id, "x", false).await.expect("saved").expect("there is a change");
    let made = workspaces.commit(&work, false, "second", true).await.expect("committed");
    assert!(made.hooks_skipped);
    workspaces.new_branch(&work, false, "topic", true).await.expect("made");
    workspaces.push(&work, false, "origin", None).await.expect("pushed");
    workspaces.restore(&work, false, &id, 1).await.expect("restored");
    workspaces.status(&work, false).await.expect("read");
    assert!(!mark.exists(), "{:?}", std::fs::read_to_string(&mark));

    place.put("a.txt", "three\n");
    assert!(!workspaces.commit(&work, true, "third", true).await.expect("committed").hooks_skipped);
    workspaces.push(&work, true, "origin", None).await.expect("pushed");
    let ran = std::fs::read_to_string(&mark).expect("they ran");
    assert!(ran.contains("pre-commit") && ran.contains("pre-push"), "{ran}");
}

#[tokio::test]
async fn a_repository_that_names_programs_is_read_and_not_written_before_it_is_trusted() {
    let place = Place::new();
    let (work, workspaces) = (place.work(), &place.workspaces);
    let mark = place.top.path().join("ran");
    let run = format!("touch {}; cat", mark.display());
    std::fs::write(work.join(".gitattributes"), "* filter=evil diff=evil\n").expect("written");
    for (name, value) in [
        ("filter.evil.clean", run.as_str()),
        ("filter.evil.smudge", run.as_str()),
        ("diff.evil.textconv", run.as_str()),
        ("diff.external", run.as_str()),
        ("core.fsmonitor", run.as_str()),
        ("core.sshCommand", run.as_str()),
        ("core.askPass", run.as_str()),
        ("gpg.program", run.as_str()),
        ("commit.gpgSign", "true"),
        ("log.showSignature", "true"),
        ("credential.helper", &format!("!{run}")),
        ("core.editor", run.as_str()),
    ] {
        git(&work, &["config", name, value]);
    }
    place.put("a.txt", "changed\n");
    let id = SessionId::random();
    let status = workspaces.status(&work, false).await.expect("read");
    assert!(status.changed_files.iter().any(|file| file.path == "a.txt"), "{status:?}");
    workspaces.log(&work, false, 5).await.expect("read");
    workspaces.diff(&work).await.expect("read");
    workspaces.staged_diff(&work, false, false).await.expect("read");
    workspaces.checkpoints(&work, false, &id).await.expect("read");
    let wanted = PullRequestWanted { title: "t".into(), ..Default::default() };
    let refused = [
        workspaces.commit(&work, false, "x", true).await.map(drop),
        workspaces.push(&work, false, "origin", None).await.map(drop),
        workspaces.new_branch(&work, false, "x", true).await.map(drop),
        workspaces.checkout(&work, false, "main").await.map(drop),
        workspaces.save(&work, false, &id, "x", true).await.map(drop),
        workspaces.pull_request(&work, false, &wanted).await.map(drop),
    ];
    for one in refused {
        let Err(GitError::Failed(words)) = one else { panic!("it was not refused: {one:?}") };
        assert!(words.contains("credential.helper") && words.contains("tether trust yes"), "{words}");
    }
    assert!(!mark.exists(), "it ran something");
}

#[tokio::test]
async fn what_a_submodule_names_is_not_run_either() {
    let place = Place::new();
    let (work, workspaces) = (place.work(), &place.workspaces);
    let (inner, mark) = (work.join("inner"), place.top.path().join("ran"));
    std::fs::create_dir(&inner).expect("made");
    git(&inner, &["init", "-q"]);
    std::fs::write(inner.join("f"), "one\n").expect("written");
    git(&inner, &["add", "."]);
    git(&inner, &["commit", "-q", "-m", "inner"]);
    git(&work, &["add", "inner"]);
    git(&work, &["commit", "-q", "-m", "with a submodule"]);
    std::fs::write(inner.join(".git/info/attributes"), "* filter=evil\n").expect("written");
    git(&inner, &["config", "filter.evil.clean", &format!("touch {}; cat", mark.display())]);
    std::fs::write(inner.join("f"), "two\n").expect("written");
    place.put("a.txt", "two\n");
    workspaces.status(&work, false).await.expect("read");
    workspaces.diff(&work).await.expect("read");
    workspaces.staged_diff(&work, false, false).await.expect("read");
    let id = SessionId::random();
    for refused in [
        workspaces.save(&work, false, &id, "x", true).await.map(drop),
        workspaces.commit(&work, false, "x", true).await.map(drop),
    ] {
        assert!(
            matches!(&refused, Err(GitError::Failed(words)) if words.contains("submodules")),
            "{refused:?}"
        );
    }
    workspaces.new_branch(&work, false, "topic", true).await.expect("made");
    assert!(!mark.exists(), "it ran something");
    git(&work, &["status"]);
    assert!(mark.exists(), "git itself would have run it");
}

#[tokio::test]
async fn a_remote_that_wants_a_password_fails_and_one_that_hangs_is_ended() {
    let place = Place::with(|settings| settings.clone_timeout = Duration::from_secs(2));
    // It takes connections and says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://user:secret@{}/x.git", silent.local_addr().expect("it has one"));
    let source = Source::Clone { url, branch: None, shallow: false, auto_branch: false, plain: false };
    let began = std::time::Instant::now();
    let error = place.workspaces.make(&SessionId::random(), &source).await.expect_err("it hangs");
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    assert!(matches!(&error, GitError::Clone(words) if words.contains("longer than 2 seconds")), "{error}");
    assert!(!error.to_string().contains("secret"), "{error}");
    assert!(place.workspaces.found().await.is_empty() && place.workspaces.repos().await.is_empty());
}

#[tokio::test]
async fn checkpoints_save_all_that_is_not_ignored_and_bring_it_back() {
    let place = Place::new();
    let (work, workspaces) = (place.work(), &place.workspaces);
    let id = SessionId::random();
    place.put(".gitignore", "ignored\n");
    place.put("ignored", "stays\n");
    place.put("a.txt", "two\n");
    place.put("new.txt", "new\n");
    git(&work, &["add", "a.txt"]);
    place.put("a.txt", "three\n");
    let before = git(&work, &["status", "--porcelain"]);
    let first =
        workspaces.save(&work, false, &id, "after turn 1", false).await.expect("saved").expect("a change");
    assert_eq!((first.number, first.files_changed, first.branch.as_deref()), (1, 3, Some("main")));
    assert_eq!(first.message, "[tether] checkpoint after turn 1");
    assert_eq!(git(&work, &["status", "--porcelain"]), before, "neither the branch nor the index is touched");
    assert_eq!(workspaces.save(&work, false, &id, "again", false).await, Ok(None));

    std::fs::remove_file(work.join("new.txt")).expect("it is there");
    place.put("a.txt", "four\n");
    place.put("later.txt", "later\n");
    workspaces.save(&work, false, &id, "after turn 2", false).await.expect("saved").expect("a change");
    place.put("precious.txt", "not saved yet\n");
    let diff = workspaces.checkpoint_diff(&work, false, &id, 2, Against::Previous).await.expect("compared");
    assert!(diff.patch.contains("-three\n+four") && diff.patch.contains("later.txt"), "{}", diff.patch);
    let since = workspaces.checkpoint_diff(&work, false, &id, 2, Against::Now).await.expect("compared");
    assert!(since.patch.contains("precious.txt") && !since.patch.contains("later.txt"), "{}", since.patch);

    let done = workspaces.restore(&work, false, &id, 1).await.expect("restored");
    assert_eq!((done.restored.number, done.saved.number, done.files_changed), (1, 3, 4));
    assert_eq!(place.text("a.txt").as_deref(), Some("three\n"));
    assert_eq!(place.text("new.txt").as_deref(), Some("new\n"));
    assert_eq!((place.text("later.txt"), place.text("precious.txt")), (None, None));
    assert_eq!(place.text("ignored").as_deref(), Some("stays\n"));
    assert_eq!(git(&work, &["status", "--porcelain"]), before);
    let back = workspaces.restore(&work, false, &id, 3).await.expect("restored");
    assert_eq!(back.saved.number, 4, "what was restored is not the newest checkpoint's state");
    assert_eq!(place.text("precious.txt").as_deref(), Some("not saved yet\n"));
    assert_eq!(place.text("a.txt").as_deref(), Some("four\n"));
    let all = workspaces.checkpoints(&work, false, &id).await.expect("listed");
    assert_eq!(all.iter().map(|one| one.number).collect::<Vec<_>>(), [4, 3, 2, 1]);
    assert!(matches!(workspaces.restore(&work, false, &id, 9).await, Err(GitError::NotFound(_))));
    let other = SessionId::random();
    assert!(workspaces.checkpoints(&work, false, &other).await.expect("listed").is_empty());
    workspaces.forget_checkpoints(&work, &id).await.expect("forgotten");
    assert_eq!(git(&work, &["for-each-ref", "refs/tether"]), "");
}

#[tokio::test]
async fn what_is_ignored_is_not_overwritten_by_a_restore() {
    let place = Place::new();
    let (work, workspaces) = (place.work(), &place.workspaces);
    let id = SessionId::random();
    place.put("build", "saved\n");
    workspaces.save(&work, false, &id, "x", false).await.expect("saved").expect("a change");
    std::fs::remove_file(work.join("build")).expect("it is there");
    place.put(".gitignore", "build\n");
    place.put("build", "precious\n");
    place.put("a.txt", "now\n");
    let error = workspaces.restore(&work, false, &id, 1).await.expect_err("it is in the way");
    assert!(matches!(&error, GitError::Failed(words) if words.contains("build")), "{error}");
    assert_eq!(place.text("build").as_deref(), Some("precious\n"));
    assert_eq!(place.text("a.txt").as_deref(), Some("now\n"));
}

#[tokio::test]
async fn sessions_share_a_clone_and_have_work_trees_and_branches_of_their_own() {
    let place = Place::new();
    let workspaces = &place.workspaces;
    let (one, two) = (SessionId::from("sess_000000abcdef"), SessionId::from("sess_111111abcdef"));
    let first = workspaces.make(&one, &place.clone_of()).await.expect("made");
    assert_eq!(first.branch.as_deref(), Some("tether/abcdef"));
    let second = workspaces.make(&two, &place.clone_of()).await.expect("made");
    assert_eq!(second.branch.as_deref(), Some("tether/abcdef-2"));
    assert_eq!(branch_of(&second.directory).as_deref(), Some("tether/abcdef-2"));
    let status = workspaces.status(&first.directory, false).await.expect("read");
    assert!(status.is_worktree && !status.dirty && status.remote_branch.is_none(), "{status:?}");
    assert_eq!(git(&first.directory, &["config", "--local", "user.email"]), "tether@localhost");
    let repos = workspaces.repos().await;
    assert_eq!((repos.len(), repos[0].worktree_count, repos[0].hash.len()), (1, 2, 8));
    let sizes: Vec<u64> = workspaces.found().await.into_iter().map(|found| found.bytes).collect();
    assert!(sizes.len() == 2 && sizes.iter().all(|bytes| *bytes > 0), "{sizes:?}");

    // Committed and pushed: the branch is not needed any more. Not committed: it is kept in the clone.
    std::fs::write(first.directory.join("b"), "b\n").expect("written");
    workspaces.commit(&first.directory, false, "b", true).await.expect("committed");
    workspaces.push(&first.directory, false, "origin", None).await.expect("pushed");
    std::fs::write(second.directory.join("c"), "unsaved\n").expect("written");
    assert_eq!(workspaces.remove(&one, first.branch.as_deref(), false).await, Ok(Removed::Gone));
    assert_eq!(workspaces.remove(&two, second.branch.as_deref(), false).await, Ok(Removed::Gone));
    assert_eq!(workspaces.remove(&two, None, false).await, Ok(Removed::Nothing));
    assert!(!first.directory.exists() && !second.directory.exists());
    let repo = PathBuf::from(&workspaces.repos().await[0].path);
    assert_eq!(git(&repo, &["show", &format!("refs/tether/kept/{two}:c")]), "unsaved");
    assert_eq!(git(&repo, &["for-each-ref", "refs/heads"]), "");
    assert_eq!(workspaces.repos().await[0].worktree_count, 0);
}

#[tokio::test]
async fn a_later_session_sees_what_the_remote_got_meanwhile() {
    let place = Place::with(|settings| settings.fetch_cache = Duration::ZERO);
    place.workspaces.make(&SessionId::random(), &place.clone_of()).await.expect("made");
    place.put("fresh.txt", "fresh\n");
    git(&place.work(), &["add", "."]);
    git(&place.work(), &["commit", "-q", "-m", "second"]);
    git(&place.work(), &["push", "-q", "origin", "main", "main:other"]);
    let made = place.workspaces.make(&SessionId::random(), &place.clone_of()).await.expect("made");
    assert!(made.directory.join("fresh.txt").exists() && made.warning.is_none());
    let Source::Clone { url, .. } = place.clone_of() else { unreachable!("it is a clone") };
    let other = |branch: &str| Source::Clone {
        url: url.clone(),
        branch: Some(branch.to_owned()),
        shallow: true,
        auto_branch: false,
        plain: false,
    };
    let made = place.workspaces.make(&SessionId::random(), &other("other")).await.expect("made");
    assert_eq!(git(&made.directory, &["rev-list", "--count", "HEAD"]), "1", "it has no history");
    let error =
        place.workspaces.make(&SessionId::random(), &other("missing")).await.expect_err("no such branch");
    assert_eq!(error, GitError::Clone("the repository has no branch \"missing\"".into()));
    // The remote is gone: what is here is used, and that is said.
    std::fs::rename(place.remote(), format!("{}-away", place.remote())).expect("moved");
    let made = place.workspaces.make(&SessionId::random(), &place.clone_of()).await.expect("made");
    assert!(made.warning.is_some_and(|words| words.contains("may be behind")));
}

#[tokio::test]
async fn a_clone_of_its_own_is_left_when_it_holds_what_is_nowhere_else() {
    let place = Place::new();
    let url = format!("file://{}", place.remote());
    let source = Source::Clone { url, branch: None, shallow: false, auto_branch: true, plain: true };
    let id = SessionId::random();
    let made = place.workspaces.make(&id, &source).await.expect("made");
    assert_eq!(branch_of(&made.directory), made.branch);
    assert!(made.directory.join(".git").is_dir() && place.workspaces.repos().await.is_empty());
    std::fs::write(made.directory.join("c"), "unsaved\n").expect("written");
    assert_eq!(place.workspaces.remove(&id, None, false).await, Ok(Removed::Left));
    assert_eq!(place.workspaces.remove(&id, None, true).await, Ok(Removed::Gone));
    assert!(!made.directory.exists());
}

#[tokio::test]
async fn a_work_tree_beside_a_local_repository_leaves_that_one_alone() {
    let place = Place::new();
    place.put("a.txt", "not committed\n");
    let id = SessionId::random();
    let source = Source::Local { directory: place.work(), trusted: false };
    let made = place.workspaces.make(&id, &source).await.expect("made");
    assert_eq!(std::fs::read_to_string(made.directory.join("a.txt")).expect("it is there"), "one\n");
    assert_eq!(
        (branch_of(&place.work()).as_deref(), branch_of(&made.directory)),
        (Some("main"), made.branch.clone())
    );
    assert_eq!(place.workspaces.remove(&id, made.branch.as_deref(), false).await, Ok(Removed::Gone));
    assert_eq!(git(&place.work(), &["branch", "--format=%(refname:short)"]), "main");
    assert_eq!(place.text("a.txt").as_deref(), Some("not committed\n"));
    let nothing = Source::Local { directory: place.top.path().to_owned(), trusted: false };
    assert!(matches!(place.workspaces.make(&id, &nothing).await, Err(GitError::Invalid(_))));
}

#[tokio::test]
async fn old_clones_without_work_trees_go_unless_they_hold_something() {
    let place = Place::with(|settings| settings.repo_retention = Some(Duration::ZERO));
    let workspaces = &place.workspaces;
    let id = SessionId::random();
    let made = workspaces.make(&id, &place.clone_of()).await.expect("made");
    assert!(workspaces.prune_repos().await.is_empty(), "it is in use");
    std::fs::write(made.directory.join("c"), "c\n").expect("written");
    workspaces.commit(&made.directory, false, "only here", true).await.expect("committed");
    workspaces.remove(&id, made.branch.as_deref(), false).await.expect("removed");
    assert!(workspaces.prune_repos().await.is_empty(), "it holds a commit");
    let repo = PathBuf::from(&workspaces.repos().await[0].path);
    git(&repo, &["branch", "-D", made.branch.as_deref().expect("it has one")]);
    assert_eq!(workspaces.prune_repos().await.len(), 1);
    assert!(workspaces.repos().await.is_empty());
}
