//! The examples of `docs/examples`, as a person runs them: the same conversation with an agent in each language.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::json;
use tokio::process::{Child, Command};

use crate::harness::{Stage, eventually};

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/examples").join(name)
}

/// Runs a program to its end.
async fn done(command: &mut Command) {
    let done = command.stdin(Stdio::null()).output().await.expect("it starts");
    let said = format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "{command:?}: {said}");
}

fn agent(stage: &Stage, command: &mut Command) -> Child {
    command
        .env("TETHER_API_URL", &stage.api.base)
        .env("TETHER_AGENT_TOKEN", &stage.api.token)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("the example starts")
}

/// Answers what the example asks, once with a yes and once with a no, says something, and looks at what it made of it.
/// The daemon is killed in between, which it does not mind.
async fn converses(stage: &mut Stage, name: &str, start: impl Fn() -> Command) {
    for (answer, verdict) in
        [(&["approve"][..], "Deployed."), (&["deny", "not today"], "Not deployed: not today")]
    {
        let mut child = agent(stage, &mut start());
        let ask = eventually("the example asks", 60, || async {
            let open = stage.api.get("/api/approvals?state=open").await.ok();
            open.as_array().and_then(|open| open.first()).cloned()
        })
        .await;
        let (id, session) =
            (ask["id"].as_str().unwrap().to_owned(), ask["session_id"].as_str().unwrap().to_owned());
        assert_eq!(
            (&ask["tool_name"], &ask["tool_input"]),
            (&json!("deploy"), &json!({ "to": "production" }))
        );
        if verdict == "Deployed." {
            stage.daemon.kill9_and_restart().await;
        }
        let mut words = vec![answer[0], id.as_str()];
        words.extend(&answer[1..]);
        stage.cli(&words).await.ok();
        let mut seen = stage.follow(&session);
        seen.says(verdict, 60).await;
        seen.until("its turn is over", 60, |events| events.iter().any(|event| event.kind == "output_final"))
            .await;
        stage.api.input(&session, "well \"done\" \u{1f980}").await;
        seen.says("You said: well \"done\" \u{1f980}", 60).await;
        let ended = child.wait().await.expect("it can be waited for");
        assert!(ended.success(), "{name}: {ended}");
        let of = |text: &str| seen.of("output").iter().filter(|event| event.text("text") == text).count();
        assert_eq!(
            (of("The build is done."), of("It wants to be deployed."), of(verdict)),
            (1, 1, 1),
            "{name}"
        );
    }
}

#[tokio::test]
async fn the_example_in_python_works() {
    let mut stage = Stage::bare().await;
    converses(&mut stage, "agent.py", || {
        let mut command = Command::new("python3");
        command.arg(example("agent.py"));
        command
    })
    .await;
}

#[tokio::test]
async fn the_example_in_bash_works() {
    let mut stage = Stage::bare().await;
    converses(&mut stage, "agent.sh", || {
        let mut command = Command::new("bash");
        command.arg(example("agent.sh"));
        command
    })
    .await;
}

/// Node 20 does not take TypeScript, newer ones do by leaving the types out. So the compiler checks the types, and
/// that leaving them out is all that there is to do, and what it then writes is what a newer node would run.
#[tokio::test]
async fn the_example_in_typescript_fits_its_types_and_works() {
    let mut stage = Stage::bare().await;
    let (out, tools) =
        (stage.home.path().join("ts"), Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mcp/node_modules"));
    assert!(tools.is_dir(), "the compiler is not installed: call tests/run, or `npm ci` in tests/mcp");
    let mut compile = Command::new("node");
    compile.arg(tools.join("typescript/bin/tsc")).arg(example("agent.mts")).arg("--outDir").arg(&out);
    compile.arg("--typeRoots").arg(tools.join("@types"));
    compile.args([
        "--types",
        "node",
        "--target",
        "es2023",
        "--module",
        "nodenext",
        "--strict",
        "--skipLibCheck",
    ]);
    compile.args(["--erasableSyntaxOnly", "--noUnusedLocals"]);
    done(&mut compile).await;
    converses(&mut stage, "agent.mts", || {
        let mut command = Command::new("node");
        command.arg(out.join("agent.mjs"));
        command
    })
    .await;
}

#[tokio::test]
async fn the_example_in_rust_works() {
    let mut stage = Stage::bare().await;
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--quiet", "--example", "agent"]).current_dir(env!("CARGO_MANIFEST_DIR"));
    done(&mut build).await;
    // Beside the program that is tested.
    let program = Path::new(env!("CARGO_BIN_EXE_tether")).with_file_name("examples").join("agent");
    converses(&mut stage, "agent.rs", || Command::new(&program)).await;
}
