//! `tether service`: the daemon as a service of the person's own, which the system starts at login and again after a
//! crash: a systemd user unit, or a launchd agent.

use std::path::Path;

use serde_json::json;
use service_manager::{
    RestartPolicy, ServiceInstallCtx, ServiceLabel, ServiceLevel, ServiceManager, ServiceStartCtx,
    ServiceStatus, ServiceStatusCtx, ServiceStopCtx, ServiceUninstallCtx,
};

use super::args::{ServiceAction, ServiceArgs};
use super::{Context, Failure};
use crate::config::Settings;

const UNIT: &str = include_str!("../../config/tether.service");
const AGENT: &str = include_str!("../../config/io.tether.daemon.plist");

/// The program in the unit as it is handed out.
const UNIT_PROGRAM: &str = "ExecStart=%h/.cargo/bin/tether start";
const UNIT_SECTION: &str = "[Service]\n";
const AGENT_PROGRAM: &str = "/Users/YOU/.cargo/bin/tether";
const AGENT_PATH: &str = "/opt/homebrew/bin:/usr/local/bin:/usr/bin:/bin";
const AGENT_LOG: &str = "/Users/YOU/Library/Logs/tether.log";

/// Installs, removes or asks.
pub fn run(args: &ServiceArgs, mut cx: Context) -> Result<(), Failure> {
    let manager = manager()?;
    let name = label();
    match args.action {
        ServiceAction::Install => {
            // A configuration that does not hold would be started again and again.
            Settings::read(&cx.sources)?;
            manager.install(context()?).map_err(|error| failed("install the service", &error))?;
            if let Err(error) = manager.start(ServiceStartCtx { label: name.clone() }) {
                // A unit that is there and does not start would look like one that works. What started is undone as
                // far as it goes; the reason is what counts.
                let _ = manager.uninstall(ServiceUninstallCtx { label: name });
                let Failure::Text(text) = failed("start the service", &error) else {
                    return Err(Failure::Told);
                };
                return Err(Failure::text(format!("{text}\nWithout a service: tether start --detach")));
            }
            if cx.json {
                return cx.out.json(&json!({ "service": "running" }));
            }
            cx.out.line(
                "Installed and started. It starts by itself when you log in, and again after a crash.",
            )?;
            if cfg!(target_os = "linux") {
                cx.out.line("To have it go on when you log out:  loginctl enable-linger \"$USER\"")?;
                cx.out.line("Its log:                            journalctl --user -u tether -f")?;
            }
            Ok(cx.out.line("To log a browser in:                tether open")?)
        }
        ServiceAction::Uninstall => {
            // One that does not run need not be stopped.
            let _ = manager.stop(ServiceStopCtx { label: name.clone() });
            let removed = ServiceUninstallCtx { label: name };
            manager.uninstall(removed).map_err(|error| failed("remove the service", &error))?;
            if cx.json {
                return cx.out.json(&json!({ "service": "not_installed" }));
            }
            cx.out.line("Stopped and removed. Agents that run go on; the next `tether start` finds them.")?;
            Ok(cx.out.line("Your data and your settings are where they were.")?)
        }
        ServiceAction::Status => {
            let status = status(&*manager)?;
            let (word, text) = match &status {
                ServiceStatus::Running => ("running", "running".to_owned()),
                ServiceStatus::Stopped(Some(why)) => ("stopped", format!("stopped ({why})")),
                ServiceStatus::Stopped(None) => ("stopped", "stopped".to_owned()),
                ServiceStatus::NotInstalled => {
                    ("not_installed", "not installed (tether service install)".to_owned())
                }
            };
            if cx.json {
                return cx.out.json(&json!({ "service": word }));
            }
            Ok(cx.out.line(format!("Service: {text}"))?)
        }
    }
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
    Failure::text(format!("could not {what}: {}", error.to_string().trim()))
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
