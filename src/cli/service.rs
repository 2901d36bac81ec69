//! `tether service`: the daemon as a service of the person's own, which the system starts at login and again after a
//! crash: a systemd user unit, or a launchd agent.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::json;
use service_manager::{
    RestartPolicy, ServiceInstallCtx, ServiceLabel, ServiceLevel, ServiceManager, ServiceStartCtx,
    ServiceStatus, ServiceStatusCtx, ServiceStopCtx, ServiceUninstallCtx,
};
use tokio::time::{Instant, sleep};

use super::args::{ServiceAction, ServiceArgs};
use super::start::client_of;
use super::{Context, Failure};
use crate::api;
use crate::config::{Settings, Sources, table};
use crate::daemon::Presence;

const UNIT: &str = include_str!("../../config/tether.service");
const AGENT: &str = include_str!("../../config/io.tether.daemon.plist");

/// The program in the unit as it is handed out.
const UNIT_PROGRAM: &str = "ExecStart=%h/.cargo/bin/tether start";
const UNIT_SECTION: &str = "[Service]\n";
const AGENT_PROGRAM: &str = "/Users/YOU/.cargo/bin/tether";
const AGENT_PATH: &str = "/opt/homebrew/bin:/usr/local/bin:/usr/bin:/bin";
const AGENT_LOG: &str = "/Users/YOU/Library/Logs/tether.log";

/// Where its log is read.
const LOG: &str =
    if cfg!(target_os = "macos") { "~/Library/Logs/tether.log" } else { "journalctl --user -u tether" };

/// How long the service may take until it answers, and to be gone.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often it is asked for meanwhile.
const PAUSE: Duration = Duration::from_millis(150);

/// So often it may be found not to run before it counts as ended: the manager may need a moment to start it, and
/// starts one that fell again every second.
const ABSENCES: u32 = 3;

/// Installs, removes or asks.
pub async fn run(args: &ServiceArgs, mut cx: Context) -> Result<(), Failure> {
    let manager = manager()?;
    match args.action {
        ServiceAction::Install => install(&*manager, &mut cx).await,
        ServiceAction::Uninstall => uninstall(&*manager, &mut cx),
        ServiceAction::Status => tell(&*manager, &mut cx),
    }
}

async fn install(manager: &dyn ServiceManager, cx: &mut Context) -> Result<(), Failure> {
    let (sources, unseen) = of_the_service(&cx.sources);
    // A configuration that does not hold would be started again and again.
    let settings = Settings::read(&sources)?;
    // Asked before anything is written: where no manager answers, a unit would only lie about.
    if matches!(status(manager)?, ServiceStatus::Running) {
        // It shall go on with the program and the PATH of now.
        let stopped = manager.stop(ServiceStopCtx { label: label() });
        stopped.map_err(|error| failed("stop the service that runs", &error))?;
        until_gone(&settings).await;
    }
    room_for_it(&settings).await?;
    manager.install(context()?).map_err(|error| failed("install the service", &error))?;
    let answers = match start(manager, &settings).await {
        Ok(answers) => answers,
        Err(failure) => {
            // A unit that is there and does not start would look like one that works. What started is undone as
            // far as it goes; the reason is what counts.
            let _ = manager.stop(ServiceStopCtx { label: label() });
            let _ = manager.uninstall(ServiceUninstallCtx { label: label() });
            tidy();
            let Failure::Text(text) = failure else { return Err(failure) };
            return Err(Failure::text(format!("{text}\nWithout a service: tether start --detach")));
        }
    };
    if cx.json {
        return cx.out.json(&json!({ "service": "running" }));
    }
    cx.out.line("Installed and started. It starts by itself when you log in, and again after a crash.")?;
    if !answers {
        cx.out.line(format!("It does not answer yet; its log tells why: {LOG}"))?;
    }
    if !unseen.is_empty() {
        let file = sources.personal_path.unwrap_or_default();
        cx.out.line(format!("It reads {} and not your shell: {}", file.display(), unseen.join(", ")))?;
    }
    if cfg!(target_os = "linux") {
        cx.out.line("To have it go on when you log out:  loginctl enable-linger \"$USER\"")?;
        cx.out.line("Its log:                            journalctl --user -u tether -f")?;
    }
    Ok(cx.out.line("To log a browser in:                tether open")?)
}

fn uninstall(manager: &dyn ServiceManager, cx: &mut Context) -> Result<(), Failure> {
    let was = status(manager)?;
    // One that does not run need not be stopped.
    let _ = manager.stop(ServiceStopCtx { label: label() });
    let ours = !cfg!(target_os = "linux") || unit_file(&cx.sources).is_some_and(|file| file.exists());
    let done = match (ours, was) {
        (true, _) => {
            let removed = manager.uninstall(ServiceUninstallCtx { label: label() });
            removed.map_err(|error| failed("remove the service", &error))?;
            "Stopped and removed."
        }
        (false, ServiceStatus::NotInstalled) => "It was not installed.",
        (false, _) => {
            // For every account, from a package.
            systemctl(&["disable", "tether"])?;
            "Stopped, and not started any more. Its unit goes with the package that brought it."
        }
    };
    tidy();
    if cx.json {
        return cx.out.json(&json!({ "service": "not_installed" }));
    }
    cx.out.line(format!("{done} Agents that run go on; the next `tether start` finds them."))?;
    Ok(cx.out.line("Your data and your settings are where they were.")?)
}

fn tell(manager: &dyn ServiceManager, cx: &mut Context) -> Result<(), Failure> {
    let (word, text) = match &status(manager)? {
        ServiceStatus::Running => ("running", "running".to_owned()),
        ServiceStatus::Stopped(Some(why)) => ("stopped", format!("stopped ({why})")),
        ServiceStatus::Stopped(None) => ("stopped", format!("stopped (its log: {LOG})")),
        ServiceStatus::NotInstalled => ("not_installed", "not installed (tether service install)".to_owned()),
    };
    if cx.json {
        return cx.out.json(&json!({ "service": word }));
    }
    Ok(cx.out.line(format!("Service: {text}"))?)
}

/// What the service will find: no flags of now, no environment of this shell, no `./.env`. Beside it, what is set
/// there and will be otherwise for the service.
fn of_the_service(sources: &Sources) -> (Sources, Vec<String>) {
    let mut seen = Sources { flags: Vec::new(), local: None, ..sources.clone() };
    seen.environment.retain(|name, _| table::find(name).is_none());
    let unseen = table::all()
        .filter_map(|setting| {
            let here = sources.find(setting)?;
            let there = seen.find(setting).map(|found| found.value);
            (there.as_ref() != Some(&here.value)).then(|| format!("{} ({})", here.name, here.origin))
        })
        .collect();
    (seen, unseen)
}

/// A daemon that answers on this data.
async fn serving(settings: &Settings) -> Option<Presence> {
    let presence = Presence::read(&settings.data_dir).filter(Presence::is_alive)?;
    client_of(&presence, settings)?.health().await.ok().map(|_| presence)
}

async fn until_gone(settings: &Settings) {
    let deadline = Instant::now() + PATIENCE;
    while serving(settings).await.is_some() && Instant::now() < deadline {
        sleep(PAUSE).await;
    }
}

/// Two daemons cannot have the same data, nor the same port: the service would fall again and again beside one that
/// was started by hand, and nobody would hear of it.
async fn room_for_it(settings: &Settings) -> Result<(), Failure> {
    if let Some(daemon) = serving(settings).await {
        return Err(Failure::text(format!(
            "a daemon that is not the service runs already, at {} (process {}): end it with `tether stop` (its agents go \
             on), and install the service then",
            daemon.url, daemon.pid
        )));
    }
    let connection = &settings.connection;
    match api::bind(&connection.host, connection.port) {
        Ok(_) => Ok(()),
        Err(error) => Err(Failure::text(format!("the service could not serve: {error}"))),
    }
}

/// Starts it and waits for its answer, because for the manager a program is started that ends at once. False = it runs,
/// and does not answer yet.
async fn start(manager: &dyn ServiceManager, settings: &Settings) -> Result<bool, Failure> {
    let started = manager.start(ServiceStartCtx { label: label() });
    started.map_err(|error| failed("start the service", &error))?;
    let deadline = Instant::now() + PATIENCE;
    let mut absences = 0;
    while Instant::now() < deadline {
        if serving(settings).await.is_some() {
            return Ok(true);
        }
        if !matches!(status(manager), Ok(ServiceStatus::Running)) {
            absences += 1;
        }
        if absences == ABSENCES {
            return Err(Failure::text(format!(
                "the service was started and ended at once; its log tells why: {LOG}"
            )));
        }
        sleep(PAUSE).await;
    }
    Ok(false)
}

/// The unit that we write, as `service_manager` names it.
fn unit_file(sources: &Sources) -> Option<PathBuf> {
    let config = sources.personal_path.as_deref()?.parent()?.parent()?;
    Some(config.join("systemd/user/tether.service"))
}

/// A unit that is gone is known until systemd looks again, and that it failed even longer.
fn tidy() {
    if cfg!(target_os = "linux") {
        let _ = systemctl(&["daemon-reload"]);
        let _ = systemctl(&["reset-failed", "tether"]);
    }
}

/// For what `service_manager` has no word for.
fn systemctl(arguments: &[&str]) -> Result<(), Failure> {
    let said = Command::new("systemctl").arg("--user").args(arguments).stdin(Stdio::null()).output()?;
    if said.status.success() {
        return Ok(());
    }
    let why = String::from_utf8_lossy(&said.stderr);
    Err(Failure::text(format!("systemctl --user {}: {}", arguments.join(" "), why.trim())))
}

/// How the service is, for [`super::doctor`]: in words, `None` = not installed. `Err` says why that is not known.
pub fn finding() -> Result<Option<String>, String> {
    let said = manager().and_then(|manager| status(&*manager));
    match said {
        Ok(ServiceStatus::Running) => Ok(Some("installed and running".to_owned())),
        Ok(ServiceStatus::Stopped(_)) => Ok(Some("installed, and stopped".to_owned())),
        Ok(ServiceStatus::NotInstalled) => Ok(None),
        Err(Failure::Text(text)) => Err(text),
        Err(_) => Err("it is not known".to_owned()),
    }
}

fn status(manager: &dyn ServiceManager) -> Result<ServiceStatus, Failure> {
    manager.status(ServiceStatusCtx { label: label() }).map_err(|error| failed("ask for the service", &error))
}

/// The system's own manager of services, at the level of one person.
fn manager() -> Result<Box<dyn ServiceManager>, Failure> {
    let none = |error: std::io::Error| {
        Failure::text(format!("there is no systemd and no launchd here: {error}. Use: tether start --detach"))
    };
    let mut manager = <dyn ServiceManager>::native().map_err(none)?;
    manager.set_level(ServiceLevel::User).map_err(none)?;
    Ok(manager)
}

fn label() -> ServiceLabel {
    let (organization, application) =
        if cfg!(target_os = "macos") { (Some("tether".to_owned()), "daemon") } else { (None, "tether") };
    let qualifier = organization.as_ref().map(|_| "io".to_owned());
    ServiceLabel { qualifier, organization, application: application.to_owned() }
}

fn failed(what: &str, error: &std::io::Error) -> Failure {
    let why = error.to_string();
    let text = format!("could not {what}: {}", why.trim());
    if why.contains("Failed to connect to") {
        // After `su` or `sudo -u`, and in a container: nothing there holds the services of the account.
        return Failure::text(format!(
            "{text}\nsystemd keeps services of an account that logged in itself (ssh, a console, `machinectl shell`), or \
             lingers (`sudo loginctl enable-linger ACCOUNT`, then log in)"
        ));
    }
    Failure::text(text)
}

fn context() -> Result<ServiceInstallCtx, Failure> {
    let program = std::env::current_exe()?;
    // Agents are looked for in PATH, and a service's own is short.
    let path = std::env::var("PATH").unwrap_or_default();
    let contents = if cfg!(target_os = "macos") {
        let home = std::env::var("HOME").unwrap_or_default();
        agent(&program, &path, &home)
    } else {
        unit(&program, &path)
    };
    Ok(ServiceInstallCtx {
        label: label(),
        program,
        args: vec!["start".into()],
        contents: Some(contents),
        username: None,
        working_directory: None,
        environment: None,
        autostart: true,
        restart_policy: RestartPolicy::default(),
    })
}

/// The unit of `config/` for this program and this PATH.
fn unit(program: &Path, path: &str) -> String {
    // `systemd.service`, "Command lines" and "Environment": within quotes these mean something.
    let quoted = |text: &str| {
        let text = text.replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%");
        format!("\"{text}\"")
    };
    let program = quoted(&program.to_string_lossy().replace('$', "$$"));
    let path = quoted(&format!("PATH={path}"));
    let text = UNIT.replace(UNIT_PROGRAM, &format!("ExecStart={program} start"));
    let environment = format!("{UNIT_SECTION}Environment={path}\n");
    text.replacen(UNIT_SECTION, &environment, 1)
}

/// The launchd agent of `config/` for this program, this PATH and this home.
fn agent(program: &Path, path: &str, home: &str) -> String {
    let escaped = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    AGENT
        .replace(AGENT_PROGRAM, &escaped(&program.to_string_lossy()))
        .replace(AGENT_PATH, &escaped(path))
        .replace(AGENT_LOG, &format!("{}/Library/Logs/tether.log", escaped(home)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unit_starts_this_very_program_with_this_path() {
        let unit = unit(Path::new("/opt/my \"tools\"/100%/te$ther"), "/a:/b c");
        assert!(unit.contains("\nExecStart=\"/opt/my \\\"tools\\\"/100%%/te$$ther\" start\n"), "{unit}");
        assert!(unit.contains("\n[Service]\nEnvironment=\"PATH=/a:/b c\"\n"), "{unit}");
        assert!(!unit.contains(".cargo/bin"), "{unit}");
        assert!(unit.contains("KillMode=process"), "{unit}");
    }

    #[test]
    fn the_launchd_agent_starts_this_very_program_and_names_nobody_else() {
        let agent = agent(Path::new("/opt/a&b/tether"), "/a:/b", "/Users/ann");
        assert!(agent.contains("<string>/opt/a&amp;b/tether</string>"), "{agent}");
        assert!(agent.contains("<string>/Users/ann/Library/Logs/tether.log</string>"), "{agent}");
        assert!(!agent.lines().any(|line| line.contains("<string>") && line.contains("YOU")), "{agent}");
    }
}
