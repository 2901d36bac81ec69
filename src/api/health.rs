//! Is it up, and can it work?

use actix_web::get;
use actix_web::web::{Data, Json};
use serde::Serialize;
use tether_actors::log::Condition;

use super::Api;

/// How the daemon is.
#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct Health {
    /// Always true: who can answer is up.
    ok: bool,
    /// The daemon's version.
    version: &'static str,
    /// The API's.
    protocol: u8,
    /// `healthy`, `low_on_disk` (new work is refused, what runs goes on) or `failing` (nothing can be recorded).
    condition: &'static str,
    /// What is wrong and what to do; null when all is well.
    problem: Option<String>,
    /// The disk, when it is short of room.
    disk: Option<Disk>,
    /// Seconds since the start.
    uptime_s: u64,
}

/// A disk that is short of room.
#[derive(Serialize, utoipa::ToSchema)]
struct Disk {
    /// What is free.
    free_mib: u64,
    /// What new work needs.
    floor_mib: u64,
}

/// Whether the daemon is up. Needs no token, and tells nothing of the sessions.
#[utoipa::path(tag = "daemon", responses((status = 200, body = Health)))]
#[get("/api/health")]
pub(super) async fn health(api: Data<Api>) -> Json<Health> {
    let (condition, problem, disk) = match api.log.read_model.condition() {
        Condition::Healthy => ("healthy", None, None),
        Condition::LowOnDisk { free_mib, floor_mib } => {
            let problem = format!(
                "the disk has {free_mib} MiB free and new work needs {floor_mib} MiB: make room; approvals and interrupts still work"
            );
            ("low_on_disk", Some(problem), Some(Disk { free_mib, floor_mib }))
        }
        // The store's own words may name files: they are in the daemon's log, not here.
        Condition::Failing(_) => {
            ("failing", Some("the event store failed: look at `tether logs`".to_owned()), None)
        }
    };
    Json(Health {
        ok: true,
        version: api.settings.version,
        protocol: 1,
        condition,
        problem,
        disk,
        uptime_s: api.settings.started_at.elapsed().as_secs(),
    })
}
