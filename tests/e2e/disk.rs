//! A disk that fills up: new work is refused in words, what matters goes on, and room heals it.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;

use crate::harness::{Home, Stage, eventually};

/// A small file system in memory, unmounted when dropped.
struct SmallDisk {
    path: PathBuf,
}

impl SmallDisk {
    /// Mounts one; `None` (with the reason printed) where that is not allowed.
    fn mount(path: &Path, mebibytes: u32) -> Option<Self> {
        std::fs::create_dir_all(path).expect("a folder in the temporary home");
        let size = format!("size={mebibytes}m");
        let done = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(path).output();
        match done {
            Ok(done) if done.status.success() => Some(Self { path: path.to_owned() }),
            Ok(done) => {
                let why = String::from_utf8_lossy(&done.stderr).trim().to_owned();
                eprintln!(
                    "skipped: a small disk cannot be mounted here ({why}); run as root to test a full disk"
                );
                None
            }
            Err(error) => {
                eprintln!("skipped: `mount` does not run ({error})");
                None
            }
        }
    }

    /// Fills it until `left` bytes are free.
    fn fill(&self, left: u64) {
        let output =
            Command::new("df").args(["--output=avail", "-B1"]).arg(&self.path).output().expect("df runs");
        let text = String::from_utf8_lossy(&output.stdout);
        let free: u64 =
            text.lines().last().and_then(|line| line.trim().parse().ok()).expect("df says a number");
        let file = std::fs::File::create(self.path.join("filler")).expect("a file on the small disk");
        let status = Command::new("fallocate")
            .args(["-l", &free.saturating_sub(left).to_string()])
            .arg(self.path.join("filler"))
            .status();
        assert!(status.expect("fallocate runs").success());
        drop(file);
    }

    fn empty(&self) {
        std::fs::remove_file(self.path.join("filler")).expect("the filler is there");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: the daemon that uses it is killed only after this.
        let _ = Command::new("umount").arg("-l").arg(&self.path).status();
    }
}

#[tokio::test]
async fn a_full_disk_refuses_new_work_keeps_answers_going_and_heals() {
    let mut home = Home::new();
    let Some(disk) = SmallDisk::mount(&home.path().join("small"), 256) else { return };
    home.extra.insert("TETHER_AGENT_DATA_DIR".into(), disk.path.join("data").display().to_string());
    let stage = Stage::bare_in(home).await;
    let id = stage.api.create_external("before").await;
    let ask = json!({ "request_id": "r", "tool_name": "t", "tool_input": {} });
    stage.api.push(&id, "permission_request", ask).await.ok();

    disk.fill(0);
    let refused = eventually("new work is refused", 30, || async {
        let reply = stage.api.post("/api/sessions", json!({})).await;
        (reply.status >= 400).then_some(reply)
    })
    .await;
    let message = refused.error(507, "DISK_FULL");
    assert!(message.contains("room"), "{message}");
    assert_eq!(stage.api.session(&id).await["name"], "before", "reads go on");
    let open = stage.api.open_approvals(&id).await;
    stage.api.allow(open[0]["id"].as_str().unwrap()).await; // answers go on
    assert_eq!(stage.api.interrupt(&id).await["state"], "INTERRUPTING");
    let health = stage.api.get("/api/health").await.ok();
    assert!(health.to_string().contains("disk"), "{health}");

    disk.empty();
    eventually("new work is taken again", 30, || async {
        (stage.api.post("/api/sessions", json!({})).await.status == 201).then_some(())
    })
    .await;
    let mut seen = stage.follow(&id);
    seen.next("permission_resolved", 0, 10).await;
}
