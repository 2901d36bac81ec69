//! Which daemon a command talks to: named servers, the context, whole addresses.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use crate::harness::cli::{tether, tether_with};
use crate::harness::process::MARK;
use crate::harness::{Home, Stage};

/// Lays `servers.yaml` into a home.
fn name_servers(home: &Home, text: &str) {
    let folder = home.path().join(".config/tether");
    std::fs::create_dir_all(&folder).expect("made");
    std::fs::write(folder.join("servers.yaml"), text).expect("written");
}

/// A home whose settings lead nowhere, with two daemons of others under names.
async fn with_two() -> (Home, Stage, Stage) {
    let (one, two) = (Stage::bare().await, Stage::bare().await);
    let home = Home::new();
    let entry = |stage: &Stage| {
        format!("{{host: 127.0.0.1, port: {}, token: {}}}", stage.home.port, stage.home.token)
    };
    name_servers(&home, &format!("servers:\n  one: {}\n  two: {}\n", entry(&one), entry(&two)));
    one.api.create_external("first").await;
    two.api.create_external("second").await;
    (home, one, two)
}

#[tokio::test]
async fn the_context_holds_until_another_is_chosen_and_says_so() {
    let (home, one, two) = with_two().await;
    assert_eq!(tether(&home, &["list"]).await.code, 1, "nobody is at home");
    let said = tether(&home, &["context", "use", "one"]).await.ok();
    assert!(said.contains("one") && said.contains(&one.home.port.to_string()), "{said}");
    let table = tether(&home, &["list"]).await.ok();
    assert!(table.starts_with(&format!("→ one (127.0.0.1:{})\n", one.home.port)), "{table}");
    assert!(table.contains("first") && !table.contains("second"), "{table}");
    assert!(tether(&home, &["status"]).await.ok().starts_with("→ one ("));
    assert_eq!(tether(&home, &["list", "--json"]).await.json()[0]["name"], "first", "JSON has no such line");

    // For one command another, before it and after it; the settings of the environment count for less.
    for args in [&["-S", "two", "list"][..], &["list", "-S", "two"], &["list", "--server", "two"]] {
        let table = tether(&home, args).await.ok();
        assert!(table.contains("second") && !table.contains('→'), "{table}");
    }
    let port = two.home.port.to_string();
    let by_flags = ["list", "-P", &*port, "--token", &*two.home.token];
    assert!(tether(&home, &by_flags).await.ok().contains("second"));
    let nobody = tether(&home, &["list", "-P", "1"]).await;
    assert!(nobody.code == 1 && nobody.err.contains("127.0.0.1:1"), "a flag switches it off: {nobody:?}");

    let listed = tether(&home, &["context", "list"]).await.ok();
    assert!(listed.contains("* one") && listed.contains("  two") && listed.contains("chmod 600"), "{listed}");
    assert!(tether(&home, &["context"]).await.ok().starts_with("one (http://127.0.0.1:"));
    tether(&home, &["context", "use", "local"]).await.ok();
    assert_eq!(tether(&home, &["list"]).await.code, 1, "nobody is at home");
}

#[tokio::test]
async fn a_session_on_a_named_server_is_made_where_it_is_said() {
    let (home, one, _two) = with_two().await;
    let lost = tether(&home, &["-S", "one", "new", "-a", "demo"]).await;
    assert!(lost.code == 1 && lost.err.contains("which directory"), "{lost:?}");
    for args in [&["new", "."][..], &["trust", "yes"], &["list", "-d", "proj"], &["attach", "x", "-d", "."]] {
        let said = tether(&home, &[&["-S", "one"], args].concat()).await;
        assert!(said.code == 1 && said.err.contains("whole path"), "{args:?}: {said:?}");
    }
    assert_eq!(one.api.get("/api/trusted-directories").await.ok(), serde_json::json!([]));
    let there = one.home.work();
    let said = tether(&home, &["-S", "one", "new", there.to_str().unwrap(), "-a", "demo"]).await.ok();
    assert!(said.contains(&format!("Directory: {}", there.display())), "{said}");
    let found = tether(&home, &["list", "-S", "one", "-d", there.to_str().unwrap()]).await.ok();
    assert!(found.contains("sess_"), "{found}");
    // A project's template is not trusted by what a daemon elsewhere trusts.
    let folder = home.work().join(".tether/templates");
    std::fs::create_dir_all(&folder).expect("made");
    std::fs::write(folder.join("x.yaml"), "approval_mode: 2\n").expect("written");
    one.api
        .put("/api/trusted-directories", serde_json::json!({ "path": home.work(), "trusted": true }))
        .await
        .ok();
    let refused = tether(&home, &["-S", "one", "new", "/", "-t", "x"]).await;
    assert!(refused.code == 1 && refused.err.contains("approval_mode 2"), "{refused:?}");
}

#[tokio::test]
async fn what_names_no_daemon_is_an_error_and_nobody_is_asked() {
    let stage = Stage::bare().await;
    name_servers(&stage.home, "servers: {work: {host: box.local}}\n");
    for (args, word) in [
        (&["-S", "wrok", "list"][..], "\"wrok\""),
        (&["context", "use", "wrok"], "\"wrok\""),
        (&["-S", "work", "-H", "other", "list"], "--host"),
        (&["-H", "ftp://x", "list"], "ftp"),
        (&["-H", "http://x", "-P", "1", "list"], "--port"),
        (&["-S", "work", "start"], "this machine"),
        (&["-S", "work", "doctor"], "this machine"),
    ] {
        let said = stage.cli(args).await;
        assert_eq!(said.code, 1, "{args:?}: {said:?}");
        assert!(said.err.starts_with("Error: ") && said.err.contains(word), "{args:?}: {}", said.err);
    }
    name_servers(&stage.home, "servers: {work: {hots: box.local}}\n");
    let broken = stage.cli(&["list"]).await;
    assert!(
        broken.code == 1 && broken.err.contains("servers.yaml"),
        "never another daemon instead: {broken:?}"
    );
    assert_eq!(
        stage.cli(&["-P", &stage.home.port.to_string(), "list"]).await.code,
        0,
        "flags do not look at it"
    );
    let context = stage.home.path().join(".config/tether/context");
    name_servers(&stage.home, "servers: {work: {host: box.local}}\n");
    std::fs::write(&context, "gone\n").expect("written");
    let gone = stage.cli(&["list"]).await;
    assert!(gone.code == 1 && gone.err.contains("gone") && gone.err.contains("context use"), "{gone:?}");
}

/// Speaks TLS for a daemon that does not.
struct Tls {
    child: Child,
    port: u16,
    /// Who signed its certificate.
    authority: String,
}

impl Tls {
    fn before(home: &Home, daemon: u16) -> Self {
        let at = |name: &str| home.path().join(name).display().to_string();
        let (certificate, key) = (at("tls.pem"), at("tls.key"));
        let made = Command::new("openssl")
            .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"])
            .args(["-addext", "subjectAltName=DNS:localhost", "-addext", "extendedKeyUsage=serverAuth"])
            .args(["-addext", "basicConstraints=critical,CA:FALSE"])
            .args(["-keyout", &key, "-out", &certificate])
            .stderr(Stdio::null())
            .status();
        assert!(made.expect("openssl runs").success());
        let mut child = Command::new("python3")
            .args(["-B", concat!(env!("CARGO_MANIFEST_DIR"), "/tests/rig/tls_front.py")])
            .args([&certificate, &key, &daemon.to_string()])
            .env(MARK, &home.mark)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 starts it");
        let mut first = String::new();
        let output = child.stdout.take().expect("its output was asked for");
        BufReader::new(output).read_line(&mut first).expect("it says its port");
        Self { child, port: first.trim().parse().expect("a port"), authority: certificate }
    }
}

impl Drop for Tls {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn a_daemon_behind_tls_is_talked_to_and_watched() {
    let mut home = Home::new();
    home.extra.insert("TETHER_AGENT_ALLOWED_HOSTS".into(), "localhost".into());
    let stage = Stage::bare_in(home).await;
    let tls = Tls::before(&stage.home, stage.home.port);
    let id = stage.api.create_external("far").await;
    stage.api.push(&id, "output", serde_json::json!({ "text": "over TLS" })).await.ok();
    stage.api.push(&id, "status", serde_json::json!({ "status": "awaiting_input" })).await.ok();

    let away = Home::new();
    let address = format!("https://localhost:{}", tls.port);
    let token = stage.home.token.clone();
    name_servers(&away, &format!("servers: {{far: {{url: '{address}', token: '{token}'}}}}\n"));
    let trusting = [("SSL_CERT_FILE", &*tls.authority)];
    for args in [
        &["-S", "far", "watch", "--until-idle", &id][..],
        &["-H", &address, "--token", &token, "watch", "--until-idle", &id],
    ] {
        let said = tether_with(&away, args, &trusting).await.ok();
        assert!(said.contains("over TLS") && said.contains("[awaiting input]"), "{said}");
    }
    let by_setting = [("TETHER_API_URL", &*address), ("TETHER_AGENT_TOKEN", &*token), trusting[0]];
    assert!(tether_with(&away, &["status"], &by_setting).await.ok().contains(&format!("{address} (ok)")));
    let strange = tether(&away, &["-S", "far", "list"]).await;
    assert!(strange.code == 1 && strange.err.contains("ertificate"), "nobody vouches for it: {strange:?}");
}
