//! Whether Codex's own sandbox works on this machine. Looks at the machine and blocks: call it where
//! blocking is allowed.
//!
//! On Linux the sandbox needs user namespaces, which containers and some distributions forbid. Codex does not look for
//! itself: every command would fail with words about `bwrap`.

use std::io::ErrorKind;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// What a person is told where it does not work.
pub const NOTICE: &str = "codex's own sandbox does not work on this machine, so its commands run without it: you are \
     asked before each, and a yes means with your full rights; to have the sandbox, allow user namespaces \
     (https://developers.openai.com/codex/concepts/sandboxing)";

/// How long the look may take; it needs some 100 ms.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a program may be busy with being replaced.
const BUSY: Duration = Duration::from_secs(1);
/// How often it is looked whether it ended.
const LOOK: Duration = Duration::from_millis(10);

/// Runs `true` in the sandbox of this `codex` program. What cannot be found out counts as not working: a
/// yes is then told to mean more than it may.
pub fn works(program: &Path) -> bool {
    let began = Instant::now();
    let mut child = loop {
        let mut command = Command::new(program);
        command.args(["sandbox", "true"]);
        // Not where a project's settings could count.
        command.current_dir("/").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        match command.spawn() {
            Ok(child) => break child,
            // It is being replaced by a newer one this very moment.
            Err(error) if error.kind() == ErrorKind::ExecutableFileBusy && began.elapsed() < BUSY => {
                std::thread::sleep(LOOK);
            }
            Err(_) => return false,
        }
    };
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return status.success(),
            Ok(None) if began.elapsed() < PATIENCE => std::thread::sleep(LOOK),
            _ => break,
        }
    }
    // Both fail only if it has ended meanwhile.
    let _ = child.kill();
    let _ = child.wait();
    false
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn program(text: &str) -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("codex");
        std::fs::write(&path, text).expect("it can be written");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))
            .expect("it can be made to run");
        (folder, path)
    }

    #[test]
    fn the_programs_own_word_decides() {
        let (_keep, path) = program("#!/bin/sh\n[ \"$1 $2\" = 'sandbox true' ] && exit 0\nexit 3\n");
        assert!(works(&path));
        let (_keep, path) = program("#!/bin/sh\necho 'bwrap: No permissions' >&2\nexit 1\n");
        assert!(!works(&path));
        assert!(!works(Path::new("/nonexistent/codex")));
    }
}
