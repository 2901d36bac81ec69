use std::os::unix::fs::PermissionsExt;

use super::*;

/// A program that prints this for whatever it is asked.
fn program(path: &Path, script: &str) {
    std::fs::create_dir_all(path.parent().expect("it lies in a folder")).expect("the folder can be made");
    std::fs::write(path, format!("#!/bin/sh\n{script}\n")).expect("it can be written");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("it can be made to run");
}

use crate::agent::claude::WANTED;

fn find_in(named: Option<&Path>, around: &Surroundings) -> Result<Found, DiscoverError> {
    find(&WANTED, named, around)
}

/// A home of its own and a `PATH` with one folder in it.
fn around(home: &Path) -> Surroundings {
    let path = home.join("path");
    Surroundings { home: Some(home.to_owned()), variables: [("PATH".into(), path.into_os_string())].into() }
}

#[test]
fn the_first_in_the_path_that_is_new_enough_is_taken() {
    let home = tempfile::tempdir().expect("a folder");
    program(&home.path().join("path/claude"), "echo '2.1.330 (Claude Code)'");
    program(&home.path().join(".bun/bin/claude"), "echo '9.9.9 (Claude Code)'");
    let found = find_in(None, &around(home.path())).expect("it is found");
    assert_eq!(found.path, home.path().join("path/claude"));
    assert_eq!((found.version, found.notice), (Some(WANTED.verified.clone()), None));
}

#[test]
fn a_better_one_elsewhere_is_taken_in_place_of_one_that_is_too_old_or_broken() {
    for script in ["echo '1.0.128 (Claude Code)'", "echo nonsense", "exit 3"] {
        let home = tempfile::tempdir().expect("a folder");
        program(&home.path().join("path/claude"), script);
        let newer = home.path().join(".nvm/versions/node/v20.1.0/bin/claude");
        program(&newer, "echo '2.2.0 (Claude Code)'");
        program(&home.path().join(".nvm/versions/node/v9.1.0/bin/claude"), "echo '2.0.9 (Claude Code)'");
        let found = find_in(None, &around(home.path())).expect("it is found");
        assert_eq!(found.path, newer, "{script}");
        assert!(found.notice.is_some_and(|notice| notice.contains("newer")));
    }
}

#[test]
fn a_version_may_stand_in_the_error_output_and_much_may_stand_behind_it() {
    for script in ["echo '2.1.330' >&2", "echo '2.1.330'; head -c 300000 /dev/zero"] {
        let home = tempfile::tempdir().expect("a folder");
        program(&home.path().join("path/claude"), script);
        let found = find_in(None, &around(home.path())).expect("it is found");
        assert_eq!(found.version, Some(WANTED.verified.clone()), "{script}");
    }
}

#[test]
fn what_is_named_is_taken_or_nothing() {
    let home = tempfile::tempdir().expect("a folder");
    program(&home.path().join("path/claude"), "echo '2.1.330 (Claude Code)'");
    program(&home.path().join("path/claude-dev"), "echo '2.0.1 (Claude Code)'");
    let around = around(home.path());
    let found = find_in(Some(Path::new("claude-dev")), &around).expect("it is in the path");
    assert!(found.notice.is_some_and(|notice| notice.contains("older")));
    let missing = home.path().join("no/claude");
    let error = find_in(Some(&missing), &around).expect_err("it is not there");
    assert_eq!(
        error,
        DiscoverError::NotFound {
            program: missing.display().to_string(),
            install: WANTED.install,
            looked_in: vec![missing]
        }
    );
}

#[test]
fn an_old_or_broken_program_is_named_with_what_to_do() {
    let home = tempfile::tempdir().expect("a folder");
    let path = home.path().join("own/claude");
    program(&path, "echo '1.0.128 (Claude Code)'");
    let error = find_in(Some(&path), &around(home.path())).expect_err("it is too old");
    assert_eq!(
        error,
        DiscoverError::TooOld {
            found: Version::new(1, 0, 128),
            path: path.clone(),
            needed: WANTED.minimum.clone(),
            update: WANTED.update
        }
    );
    assert!(error.to_string().contains("claude update"), "{error}");
    program(&path, "exit 3");
    let error = find_in(Some(&path), &around(home.path())).expect_err("it does not work");
    assert!(
        matches!(&error, DiscoverError::Unusable { problem, .. } if problem.contains("exit status: 3")),
        "{error}"
    );
}

#[test]
fn npm_tells_where_it_installs() {
    let home = tempfile::tempdir().expect("a folder");
    std::fs::write(home.path().join(".npmrc"), "x=1\nprefix = ${HOME}/nodes\n").expect("it can be written");
    program(&home.path().join("nodes/bin/claude"), "echo '2.1.330'");
    let found = find_in(None, &around(home.path())).expect("it is found");
    assert_eq!(found.path, home.path().join("nodes/bin/claude"));
}

#[test]
fn a_version_may_follow_the_programs_name() {
    let home = tempfile::tempdir().expect("a folder");
    program(&home.path().join("path/claude"), "echo 'claude-cli 2.1.330'");
    let found = find_in(None, &around(home.path())).expect("it is found");
    assert_eq!(found.version, Some(WANTED.verified.clone()));
}

#[test]
fn a_program_that_only_the_configuration_knows_is_not_asked() {
    let home = tempfile::tempdir().expect("a folder");
    program(&home.path().join("path/goose"), "exit 3");
    let found = find_named(Path::new("goose"), &around(home.path())).expect("it is found");
    assert_eq!((found.path, found.version), (home.path().join("path/goose"), None));
    let error = find_named(Path::new("geese"), &around(home.path())).expect_err("there is none");
    assert!(error.to_string().starts_with("the program geese was not found"), "{error}");
}
