//! The command line as a person or a script uses it.

use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;

use super::Home;
use super::daemon::program;

/// What a command said.
#[derive(Debug)]
pub struct Said {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Said {
    /// The output of a success; panics otherwise.
    #[track_caller]
    pub fn ok(self) -> String {
        assert_eq!(self.code, 0, "stdout: {}\nstderr: {}", self.out, self.err);
        self.out
    }

    /// The output of a success as JSON.
    #[track_caller]
    pub fn json(self) -> Value {
        let out = self.ok();
        serde_json::from_str(&out).unwrap_or_else(|error| panic!("not JSON ({error}): {out}"))
    }
}

/// Runs `tether ARGS` in a home, in its work folder, without a terminal.
pub async fn tether(home: &Home, args: &[&str]) -> Said {
    tether_with(home, args, &[]).await
}

/// The same with more variables; an empty value takes the variable away.
pub async fn tether_with(home: &Home, args: &[&str], more: &[(&str, &str)]) -> Said {
    run(&program(), home, args, more).await
}

/// The peer's own command line (`tests/peer`), in the same home, with the same settings.
pub async fn peer(home: &Home, args: &[&str]) -> Said {
    run(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/peer/venv/bin/tether"), home, args, &[]).await
}

async fn run(program: &str, home: &Home, args: &[&str], more: &[(&str, &str)]) -> Said {
    let mut env = home.environment(None);
    for (name, value) in more {
        match *value {
            "" => env.remove(*name),
            value => env.insert((*name).to_owned(), value.to_owned()),
        };
    }
    let run = tokio::process::Command::new(program)
        .args(args)
        .env_clear()
        .envs(env)
        .current_dir(home.work())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .output();
    let done = tokio::time::timeout(Duration::from_secs(60), run)
        .await
        .unwrap_or_else(|_| panic!("`{program} {}` did not end within 60 s", args.join(" ")))
        .unwrap_or_else(|error| {
            panic!("{program} does not run ({error}): tests/run installs what is needed")
        });
    Said {
        code: done.status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&done.stdout).into_owned(),
        err: String::from_utf8_lossy(&done.stderr).into_owned(),
    }
}
