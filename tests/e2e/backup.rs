//! Backups of all data while the daemon works, and their way back.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::harness::cli::{tether, tether_with};
use crate::harness::peer::hashes;
use crate::harness::{Api, Daemon, Home, Stage, eventually};

fn data(home: &Home) -> PathBuf {
    home.path().join(".local/share/tether")
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

async fn events(api: &Api, id: &str) -> Vec<Value> {
    let text = api.get(&format!("/api/sessions/{id}/export")).await.text;
    text.lines().map(|line| serde_json::from_str(line).expect("an event a line")).collect()
}

#[tokio::test]
async fn a_backup_of_a_daemon_at_work_is_restored_elsewhere_and_all_is_there() {
    let stage = Stage::bare().await;
    let id = stage.api.create_external("Kept").await;
    let writer = {
        let (api, id) = (stage.api.clone(), id.clone());
        tokio::spawn(async move {
            let mut n = 0;
            loop {
                api.push(&id, "output", json!({ "text": format!("line {n}") })).await.ok();
                n += 1;
            }
        })
    };
    eventually("something was written", 20, || async {
        (events(&stage.api, &id).await.len() > 20).then_some(())
    })
    .await;
    stage
        .api
        .put("/api/trusted-directories", json!({ "path": stage.home.work(), "trusted": true }))
        .await
        .ok();
    let config = stage.home.path().join(".config/tether/config.env");
    std::fs::create_dir_all(config.parent().expect("a folder")).expect("made");
    std::fs::write(&config, "TETHER_AGENT_SESSION_RETENTION_DAYS=9\n").expect("written");
    let file = stage.home.path().join("all.backup");
    let made = stage.cli(&["backup", &text(&file), "--json"]).await.json();
    writer.abort();
    assert_eq!(made["content"]["settings"], true, "{made}");
    assert_eq!(std::fs::metadata(&file).expect("it is there").permissions().mode() & 0o777, 0o600);
    let again = stage.cli(&["backup", &text(&file)]).await;
    assert!(again.code == 1 && again.err.contains("exists already"), "{again:?}");
    let checked = stage.cli(&["restore", "--check", &text(&file)]).await.ok();
    assert!(checked.contains("It is whole") && checked.contains("with config.env"), "{checked}");
    let running = stage.cli(&["restore", &text(&file), "--force"]).await;
    assert!(running.code == 1 && running.err.contains("tether stop"), "{running:?}");

    let other = Home::new();
    let restored = tether(&other, &["restore", &text(&file), "--json"]).await.json();
    assert_eq!((&restored["sessions"], &restored["settings"]), (&json!(1), &json!("stored")), "{restored}");
    let stored =
        std::fs::read_to_string(other.path().join(".config/tether/config.env")).expect("it is there");
    assert_eq!(stored, "TETHER_AGENT_SESSION_RETENTION_DAYS=9\n");
    let mut daemon = Daemon::new(&other, None);
    daemon.start().await;
    let api = Api::new(&other);
    let (ours, theirs) = (events(&api, &id).await, events(&stage.api, &id).await);
    assert!(ours.len() > 20 && ours.len() as u64 == restored["events"].as_u64().expect("a number"));
    assert_eq!(ours[..], theirs[..ours.len()], "all up to a moment, and nothing else");
    let trusted = api.get("/api/trusted-directories").await.ok();
    assert_eq!(trusted[0]["trusted"], true, "{trusted}");
    api.push(&id, "output", json!({ "text": "it goes on" })).await.ok();
}

#[tokio::test]
async fn data_that_are_there_are_replaced_only_by_force_and_put_aside() {
    let home = Home::new();
    let nothing = tether(&home, &["backup", &text(&home.path().join("none"))]).await;
    assert!(nothing.code == 1 && nothing.err.contains("no data yet"), "{nothing:?}");
    let mut daemon = Daemon::new(&home, None);
    daemon.start().await;
    let api = Api::new(&home);
    let first = api.create_external("First").await;
    let file = home.path().join("first.backup");
    tether(&home, &["backup", &text(&file)]).await.ok();
    api.push(&first, "status", json!({ "status": "done" })).await.ok();
    api.delete(&format!("/api/sessions/{first}")).await.ok();
    let second = api.create_external("Second").await;
    daemon.terminate().await;

    // Without a daemon it works as well.
    let offline = home.path().join("second.backup");
    tether(&home, &["backup", &text(&offline)]).await.ok();
    std::fs::create_dir_all(data(&home).join("workspaces/mine")).expect("made");
    let before = hashes(&data(&home));
    let refused = tether(&home, &["restore", &text(&file)]).await;
    assert!(refused.code == 1 && refused.err.contains("--force"), "{refused:?}");
    let whole = std::fs::read(&file).expect("it reads");
    let half = home.path().join("half.backup");
    std::fs::write(&half, &whole[..whole.len() / 2]).expect("written");
    let stranger = home.path().join("notes.txt");
    std::fs::write(&stranger, "not a backup").expect("written");
    for (file, words) in
        [(&half, "damaged"), (&stranger, "no backup of tether"), (&home.path().join("gone"), "gone")]
    {
        let said = tether(&home, &["restore", "--force", &text(file)]).await;
        assert!(said.code == 1 && said.err.contains(words), "{said:?}");
    }
    assert_eq!(hashes(&data(&home)), before, "nothing was changed");

    let restored = tether(&home, &["restore", "--force", &text(&file), "--json"]).await.json();
    let aside = PathBuf::from(restored["put_aside"].as_str().expect("a folder"));
    assert!(aside.join("log").is_dir() && aside.starts_with(data(&home)), "{restored}");
    assert!(data(&home).join("workspaces/mine").is_dir(), "what is not ours to replace stays");
    daemon.start().await;
    assert_eq!(api.session(&first).await["name"], "First");
    api.get(&format!("/api/sessions/{second}")).await.error(404, "NOT_FOUND");
    daemon.terminate().await;
    tether_with(
        &home,
        &["restore", &text(&offline)],
        &[("TETHER_AGENT_DATA_DIR", &text(&home.path().join("new")))],
    )
    .await
    .ok();
    let left: Vec<_> = std::fs::read_dir(home.path().join(".local/share")).expect("it lists").collect();
    assert_eq!(left.len(), 1, "nothing half-built is left: {left:?}");
}

#[tokio::test]
async fn a_turn_that_ran_when_the_backup_was_made_goes_on_after_the_restore() {
    let stage = Stage::with_agents().await;
    let (id, mut seen) = stage.started("SAY before\nHOLD here\nSAY after").await;
    stage.model().held("here").await;
    seen.next("agent_started", 0, 20).await;
    let file = stage.home.path().join("all.backup");
    stage.cli(&["backup", &text(&file)]).await.ok();
    let Stage { mut daemon, api, home, .. } = stage;
    daemon.terminate().await;
    let alive = tether(&home, &["restore", "--force", &text(&file)]).await;
    assert!(alive.code == 1 && alive.err.contains("tether stop --agents"), "{alive:?}");
    daemon.start().await;
    let stop = ["stop", "--agents"];
    let (stopped, _) = tokio::join!(tether(&home, &stop), daemon.ended(30));
    stopped.ok();
    tether(&home, &["restore", "--force", &text(&file)]).await.ok();
    daemon.start().await;
    eventually("the session comes back by itself", 60, || async {
        let all = events(&api, &id).await;
        let starts = all.iter().filter(|event| event["type"] == "agent_started").count();
        (starts >= 2).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_paired_device_cannot_fetch_all_data() {
    let stage = Stage::bare().await;
    stage.api.create_external("Mine").await;
    let pairing = stage.api.post("/api/pairing", json!({})).await.ok();
    let login = reqwest::Client::new()
        .post(format!("http://127.0.0.1:{}/api/login", stage.home.port))
        .json(&json!({ "code": pairing["code"], "name": "phone" }))
        .send()
        .await
        .expect("it answers");
    assert!(login.status().is_success(), "{}", login.status());
    let cookie = login.headers()["set-cookie"]
        .to_str()
        .expect("a text")
        .split(';')
        .next()
        .expect("a cookie")
        .to_owned();
    let ask = |cookie: String| {
        reqwest::Client::new()
            .get(format!("http://127.0.0.1:{}/api/backup", stage.home.port))
            .header("cookie", cookie)
            .send()
    };
    assert_eq!(ask(cookie).await.expect("it answers").status(), 403);
    assert_eq!(ask(String::new()).await.expect("it answers").status(), 401);
}
