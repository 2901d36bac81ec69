//! `tether doctor`: looks at everything that can be wrong with an installation, and says what to do about it.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use serde::Serialize;
use serde_json::json;

use super::{Context, Failure, agents, service};
use crate::api::AgentView;
use crate::client::{BridgeStatus, Client, ClientError, Health};
use crate::config::servers::{Servers, target};
use crate::config::{Connection, Settings, Sources, is_loopback};

/// How something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Verdict {
    /// As it should be.
    Ok,
    /// It works, and a person should know.
    Note,
    /// It does not work.
    Bad,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Finding {
    what: &'static str,
    verdict: Verdict,
    text: String,
    /// What to do; empty = nothing.
    #[serde(rename = "do", skip_serializing_if = "String::is_empty")]
    remedy: String,
}

fn ok(what: &'static str, text: impl Into<String>) -> Finding {
    Finding { what, verdict: Verdict::Ok, text: text.into(), remedy: String::new() }
}

fn note(what: &'static str, text: impl Into<String>, remedy: impl Into<String>) -> Finding {
    Finding { what, verdict: Verdict::Note, text: text.into(), remedy: remedy.into() }
}

fn bad(what: &'static str, text: impl Into<String>, remedy: impl Into<String>) -> Finding {
    Finding { what, verdict: Verdict::Bad, text: text.into(), remedy: remedy.into() }
}

/// Looks, prints, and fails when something is wrong.
pub async fn run(mut cx: Context) -> Result<(), Failure> {
    let mut findings = Vec::new();
    let settings = match Settings::read(&cx.sources) {
        Ok(settings) => {
            findings.extend(configuration(&settings));
            findings.push(data_folder(&settings.data_dir, settings.disk_floor_mib));
            findings.extend(super::migrate::finding(&settings.data_dir).map(|text| {
                note("moving over", text, "tether migrate (those that are here already stay as they are)")
            }));
            Some(settings)
        }
        Err(error) => {
            let remedy = "correct it, then run tether doctor again";
            findings.push(bad("configuration", error.to_string(), remedy));
            None
        }
    };
    findings.extend(servers(&cx.sources));
    if let Ok(connection) = Connection::read(&cx.sources) {
        findings.push(network(&connection));
        let client = Client::new(connection)?;
        findings.extend(daemon(&client).await);
        let found = match (client.agents().await, &settings) {
            (Ok(found), _) => found,
            (Err(_), Some(settings)) => agents::look(settings).await?,
            (Err(_), None) => Vec::new(),
        };
        findings.extend(about_agents(&found));
        if let Ok(Some(bridges)) = client.bridges().await {
            findings.extend(about_bridges(&bridges));
        }
    }
    findings.push(service::finding().map_or_else(
        |why| note("service", why, ""),
        |running| match running {
            Some(text) => ok("service", text),
            None => note("service", "not installed", "to start it at login: tether service install"),
        },
    ));
    let is_bad = findings.iter().any(|finding| finding.verdict == Verdict::Bad);
    if cx.json {
        cx.out.json(&json!({ "ok": !is_bad, "findings": findings }))?;
    } else {
        for line in findings.iter().flat_map(lines) {
            cx.out.line(line)?;
        }
        cx.out.line(if is_bad { "\nSomething is wrong: see above." } else { "\nNothing is wrong." })?;
    }
    if is_bad { Err(Failure::Told) } else { Ok(()) }
}

fn lines(finding: &Finding) -> Vec<String> {
    let mark = match finding.verdict {
        Verdict::Ok => "ok  ",
        Verdict::Note => "note",
        Verdict::Bad => "BAD ",
    };
    let mut texts = finding.text.lines();
    let mut lines = vec![format!("{mark}  {:<14} {}", finding.what, texts.next().unwrap_or_default())];
    let below = |text: &str| format!("{:21}{text}", "");
    lines.extend(texts.map(below));
    if !finding.remedy.is_empty() {
        lines.push(below(&format!("-> {}", finding.remedy)));
    }
    lines
}

fn configuration(settings: &Settings) -> Vec<Finding> {
    let mut findings = Vec::new();
    let file = settings.config_file.as_deref();
    findings.push(match file.map(|path| (path, std::fs::metadata(path))) {
        Some((path, Ok(metadata))) if metadata.permissions().mode() & 0o077 != 0 => bad(
            "configuration",
            format!("{} can be read by others, and it holds the token", path.display()),
            format!("chmod 600 {}", path.display()),
        ),
        Some((path, Ok(_))) => ok("configuration", path.display().to_string()),
        _ => note("configuration", "there is no config.env yet", "tether start makes one; tether init asks"),
    });
    findings.extend(settings.warnings.iter().map(|text| note("configuration", text, "")));
    findings
}

/// The daemons that have names, and whether commands go to one of them.
fn servers(sources: &Sources) -> Vec<Finding> {
    const WHAT: &str = "servers";
    let known = match Servers::read(sources) {
        Ok(known) => known,
        Err(error) => {
            return vec![bad(WHAT, error.to_string(), "correct it: other commands fail until then")];
        }
    };
    let place = known.place();
    let exposed = known.is_exposed().then(|| {
        bad(WHAT, format!("{place} can be read by others, and it holds tokens"), format!("chmod 600 {place}"))
    });
    let away = match target(sources, None).map(|target| target.reminder()) {
        Ok(Some(name)) => Some(note(
            WHAT,
            format!("commands talk to {name}, and what is told here is about this machine"),
            "to have them talk to this machine: tether context use local",
        )),
        Ok(None) => None,
        Err(error) => Some(bad(WHAT, error.to_string(), "tether context list shows what there is")),
    };
    exposed.into_iter().chain(away).collect()
}

/// The folder with the log of events.
fn data_folder(folder: &Path, floor_mib: u64) -> Finding {
    const WHAT: &str = "data folder";
    let shown = folder.display();
    let metadata = match std::fs::metadata(folder) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return note(WHAT, format!("{shown} is not there yet"), "the first tether start makes it");
        }
        Err(error) => return bad(WHAT, format!("{shown}: {error}"), "see who owns it, and above it"),
    };
    let me = rustix::process::geteuid().as_raw();
    if metadata.uid() != me {
        return bad(WHAT, format!("{shown} belongs to another user"), format!("sudo chown -R {me} {shown}"));
    }
    if metadata.permissions().mode() & 0o077 != 0 {
        return bad(WHAT, format!("{shown} can be read by others"), format!("chmod 700 {shown}"));
    }
    let free = match rustix::fs::statvfs(folder) {
        Ok(disk) => (disk.f_bavail * disk.f_frsize) >> 20,
        Err(error) => return note(WHAT, format!("{shown}: its disk does not tell its room: {error}"), ""),
    };
    if free < floor_mib {
        let text = format!("{shown}: {free} MiB are free, and new work needs {floor_mib} MiB");
        return bad(WHAT, text, "make room; approvals and interrupts still work");
    }
    ok(WHAT, format!("{shown} ({free} MiB free)"))
}

fn network(connection: &Connection) -> Finding {
    const WHAT: &str = "network";
    if is_loopback(&connection.host) {
        return ok(WHAT, format!("{}: this machine only", connection.authority()));
    }
    note(
        WHAT,
        format!("{}: others in the network reach it, over plain HTTP", connection.authority()),
        "use it in a network that you trust, or behind a proxy or a VPN that encrypts",
    )
}

async fn daemon(client: &Client) -> Vec<Finding> {
    const WHAT: &str = "daemon";
    let health: Health = match client.health().await {
        Ok(health) => health,
        Err(ClientError::Unreachable { .. }) => {
            return vec![note(WHAT, format!("none answers at {}", client.url()), "tether start")];
        }
        Err(error) => {
            let remedy = "is it another program? Then set TETHER_AGENT_PORT to a free port";
            return vec![bad(
                WHAT,
                format!("{} does not answer as tether does: {error}", client.url()),
                remedy,
            )];
        }
    };
    let mut findings = Vec::new();
    let ours = env!("CARGO_PKG_VERSION");
    findings.push(match &health.problem {
        Some(problem) => bad(WHAT, problem.clone(), "tether logs"),
        None if !health.ok => bad(WHAT, "it says that it is not well", "tether logs"),
        None if health.version != ours => note(
            WHAT,
            format!("version {} runs, and this program is {ours}", health.version),
            "tether stop, then tether start: agents go on meanwhile",
        ),
        None => ok(WHAT, format!("{}, version {ours}", client.url())),
    });
    findings.push(match client.sessions().await {
        Ok(sessions) => ok("token", format!("it fits; {} sessions", sessions.len())),
        Err(error) => bad("token", error.to_string(), "set TETHER_AGENT_TOKEN to the daemon's (tether init)"),
    });
    findings
}

fn about_agents(agents: &[AgentView]) -> Vec<Finding> {
    const WHAT: &str = "agent";
    let named = |agent: &AgentView| match &agent.version {
        Some(version) => format!("{} {version}", agent.title),
        None => agent.title.clone(),
    };
    let mut findings: Vec<Finding> = agents
        .iter()
        .filter(|agent| agent.program.is_some())
        .map(|agent| match (&agent.problem, &agent.notice) {
            (Some(problem), _) => note(WHAT, format!("{}: {problem}", named(agent)), ""),
            (None, Some(notice)) => note(WHAT, format!("{}: {notice}", named(agent)), ""),
            (None, None) => ok(WHAT, named(agent)),
        })
        .collect();
    if let Some(default) = agents.iter().find(|agent| agent.is_default && !agent.ready) {
        let why = default.problem.as_deref().unwrap_or("it is not ready");
        let remedy = "do that, or set TETHER_DEFAULT_AGENT_ADAPTER to another one (tether agents)";
        findings.push(bad(WHAT, format!("the default agent, {}: {why}", default.title), remedy));
    }
    findings
}

fn about_bridges(bridges: &[BridgeStatus]) -> Vec<Finding> {
    let set_up = bridges.iter().filter(|bridge| bridge.status != "not_configured");
    set_up
        .map(|bridge| match &bridge.error_message {
            Some(error) => bad("bridge", format!("{}: {error}", bridge.platform), ""),
            None => ok("bridge", format!("{}: {}", bridge.platform, bridge.status)),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_others_can_read_or_that_is_short_of_room_is_wrong() {
        let folder = tempfile::tempdir().expect("a folder");
        let set = |mode| {
            std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(mode))
                .expect("it is ours");
        };
        set(0o700);
        assert_eq!(data_folder(folder.path(), 0).verdict, Verdict::Ok);
        let short = data_folder(folder.path(), u64::MAX);
        assert!(short.verdict == Verdict::Bad && short.remedy.contains("make room"), "{short:?}");
        set(0o755);
        let open = data_folder(folder.path(), 0);
        assert!(open.verdict == Verdict::Bad && open.remedy.starts_with("chmod 700"), "{open:?}");
        assert_eq!(data_folder(&folder.path().join("none"), 0).verdict, Verdict::Note);
    }

    #[test]
    fn only_an_unready_default_agent_is_wrong() {
        let agent = |ready: bool, is_default| AgentView {
            adapter: "a".into(),
            title: "An Agent".into(),
            protocol: "acp".into(),
            ready,
            problem: (!ready).then(|| "nobody is signed in".to_owned()),
            notice: None,
            version: Some("1.0".into()),
            program: Some("/bin/a".into()),
            model: None,
            is_default,
        };
        let verdicts = |agents: &[AgentView]| {
            about_agents(agents).iter().map(|finding| finding.verdict).collect::<Vec<_>>()
        };
        assert_eq!(verdicts(&[agent(true, true), agent(false, false)]), [Verdict::Ok, Verdict::Note]);
        assert_eq!(verdicts(&[agent(false, true)]), [Verdict::Note, Verdict::Bad]);
    }

    #[test]
    fn a_finding_says_what_to_do_below_it() {
        let lines = lines(&bad("token", "it is wrong\nreally", "tether init"));
        assert_eq!(lines[0], "BAD   token          it is wrong");
        assert_eq!((lines[1].trim(), lines[2].trim()), ("really", "-> tether init"));
    }
}
