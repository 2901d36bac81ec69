//! `tether server`: a daemon on another machine, set up and looked after over ssh.

use std::fs::File;
use std::path::Path;

use super::args::{ServerAction, ServerArgs};
use super::init::yes_or_no;
use super::output::one_line;
use super::remote::Remote;
use super::{Context, Failure};
use crate::config::file::EnvFile;
use crate::config::naming::{Server, Standing};
use crate::config::servers::{self, Servers};

/// Ends a script with a word about what is missing.
const NEEDS_TETHER: &str = "command -v tether >/dev/null || { echo 'tether is not installed here (see: tether server init)' \
                            >&2; exit 1; }; ";

/// What is there: the system, the processor, and if it has the program where that lies and its version.
const PROBE: &str = "uname -s; uname -m; command -v tether || echo -; tether --version 2>/dev/null || echo -";

/// Where we put the program.
const PLACE: &str = ".local/bin/tether";

/// Starts the daemon as it was started before, or as a service where that is possible.
const START: &str = "tether service install || tether start --detach >/dev/null; tether verify";

/// Stops a daemon that runs, and starts it as it was started.
const RESTART: &str = "if tether verify >/dev/null 2>&1; then tether stop >/dev/null; case \"$(tether service status \
                       2>/dev/null)\" in *running*|*stopped*) tether service install >/dev/null;; *) tether start --detach \
                       >/dev/null;; esac; tether verify >/dev/null && echo restarted; fi";

/// The key that git uses by itself.
const GIT_KEY: &str = "set -e; key=\"$HOME/.ssh/id_ed25519\"; if [ ! -f \"$key\" ]; then mkdir -p \"$HOME/.ssh\"; chmod 700 \
                       \"$HOME/.ssh\"; ssh-keygen -q -t ed25519 -N '' -C \"tether@$(uname -n)\" -f \"$key\"; fi; \
                       cat \"$key.pub\"";

/// How the daemon there is reached.
const REACHED_BY: &str = "sed -n -e '/^TETHER_AGENT_TOKEN=/p' -e '/^TETHER_AGENT_PORT=/p' \
                          \"${XDG_CONFIG_HOME:-$HOME/.config}/tether/config.env\"";

/// Does what was asked.
pub async fn run(args: &ServerArgs, mut cx: Context) -> Result<(), Failure> {
    let at = |host: &str, cx: &Context| remote(host, args.user.as_deref(), cx);
    match &args.action {
        ServerAction::Init { machine, name } => {
            let remote = at(machine, &cx)?;
            let is_named = Servers::read(&cx.sources)?.get(machine).is_some();
            let name = name.as_deref().unwrap_or(if is_named { machine } else { remote.host() });
            init(&remote, name, &mut cx).await
        }
        ServerAction::Upgrade { machine } => upgrade(&at(machine, &cx)?, &mut cx).await,
        ServerAction::Status { machine } => {
            let json = if cx.json { " --json" } else { "" };
            at(machine, &cx)?.run(&format!("{NEEDS_TETHER}exec tether status{json}")).await
        }
        ServerAction::Logs { machine, lines, follow } => {
            let follow = if *follow { " -f" } else { "" };
            at(machine, &cx)?.run(&format!("{NEEDS_TETHER}exec tether logs -n {lines}{follow}")).await
        }
        ServerAction::GitKey { machine } => {
            let key = at(machine, &cx)?.ask(GIT_KEY).await?;
            if cx.json {
                return cx.out.json(&serde_json::json!({ "key": key.trim() }));
            }
            Ok(cx.out.line(one_line(&key))?)
        }
    }
}

/// The machine that was typed: a server of `servers.yaml`, or what ssh takes.
fn remote(host: &str, user: Option<&str>, cx: &Context) -> Result<Remote, Failure> {
    let servers = Servers::read(&cx.sources)?;
    let Some(entry) = servers.get(host) else { return Remote::new(host, user) };
    let Some(address) = entry.ssh_host() else {
        return Err(Failure::text(format!(
            "server {host:?} of {} has neither host nor url",
            servers.place()
        )));
    };
    Remote::new(&address, user.or(entry.user.as_deref()))
}

/// What a machine has.
#[derive(Debug, PartialEq, Eq)]
struct Found {
    system: String,
    processor: String,
    /// Where the program lies.
    place: Option<String>,
    /// Its version.
    version: Option<String>,
}

impl Found {
    fn parse(said: &str) -> Option<Self> {
        let mut lines = said.lines().map(str::trim);
        let mut next = || lines.next().filter(|line| !line.is_empty()).map(str::to_owned);
        let (system, processor) = (next()?, next()?);
        let place = next().filter(|place| place != "-");
        let version = next().and_then(|version| version.strip_prefix("tether ").map(str::to_owned));
        Some(Self { system, processor, place, version })
    }

    async fn at(remote: &Remote) -> Result<Self, Failure> {
        let said = remote.ask(PROBE).await?;
        let odd = || {
            Failure::text(format!("{} says nothing of itself that is understood: {said:?}", remote.shown()))
        };
        Self::parse(&said).ok_or_else(odd)
    }

    /// Where the program lies and its version; `None` = it is not there.
    ///
    /// # Errors
    /// Another program has its name.
    fn is_ours(&self, remote: &Remote) -> Result<Option<(&str, &str)>, Failure> {
        match (&self.place, &self.version) {
            (None, _) => Ok(None),
            (Some(place), Some(version)) => Ok(Some((place, version))),
            (Some(place), None) => Err(Failure::text(format!(
                "{} has another program of this name at {} (the Tether of PyPI knows no --version): take it away first",
                remote.shown(),
                one_line(place)
            ))),
        }
    }

    /// Whether this very program can run there, as far as names tell.
    fn runs_ours(&self) -> bool {
        let system = match std::env::consts::OS {
            "macos" => "Darwin",
            "linux" => "Linux",
            other => other,
        };
        let processor = |name: &str| if name == "arm64" { "aarch64".to_owned() } else { name.to_owned() };
        self.system == system && processor(&self.processor) == processor(std::env::consts::ARCH)
    }
}

/// Puts this program there. It is tried before it takes its place, and the one that was there stays until then.
async fn copy(remote: &Remote, found: &Found) -> Result<(), Failure> {
    if !found.runs_ours() {
        return Err(Failure::text(format!(
            "this program is for {} on {}, and {} is {} on {}: install one that fits there, and say this again",
            std::env::consts::OS,
            std::env::consts::ARCH,
            remote.shown(),
            found.system,
            found.processor,
        )));
    }
    let program = std::env::current_exe()?;
    let unreadable =
        |error| Failure::text(format!("this program ({}) cannot be read: {error}", program.display()));
    let file = File::open(&program).map_err(unreadable)?;
    let length = file.metadata().map_err(unreadable)?.len();
    // A connection that breaks ends the input like any other end.
    let script = format!(
        "set -e; umask 022; mkdir -p \"$HOME/.local/bin\"; new=\"$HOME/.local/bin/.tether.$$\"; trap 'rm -f \"$new\"' EXIT; cat \
         > \"$new\"; test \"$(wc -c < \"$new\")\" -eq {length} || {{ echo 'it did not arrive whole' >&2; exit 1; }}; chmod 755 \
         \"$new\"; \"$new\" --version; mv \"$new\" \"$HOME/{PLACE}\""
    );
    remote.feed(&script, file).await.map(drop)
}

async fn upgrade(remote: &Remote, cx: &mut Context) -> Result<(), Failure> {
    let (found, shown, ours) = (Found::at(remote).await?, remote.shown(), env!("CARGO_PKG_VERSION"));
    let Some(place) = &found.place else {
        return Err(Failure::text(format!("{shown} has no tether: tether server init {shown}")));
    };
    found.is_ours(remote)?;
    if found.version.as_deref() == Some(ours) {
        return Ok(cx.out.line(format!("{shown} has Tether {ours} already."))?);
    }
    if !place.ends_with(&format!("/{PLACE}")) {
        return Err(Failure::text(format!(
            "{shown} has it at {}, which was not put there by tether server init: upgrade it by the same means",
            one_line(place)
        )));
    }
    copy(remote, &found).await?;
    let restarted = remote.ask(RESTART).await?;
    let before = found.version.as_deref().map(one_line).unwrap_or_default();
    cx.out.line(format!("{shown} has Tether {ours} (was {before})."))?;
    let daemon = if restarted.contains("restarted") {
        "Its daemon was started anew."
    } else {
        "No daemon runs there."
    };
    Ok(cx.out.line(daemon)?)
}

async fn init(remote: &Remote, name: &str, cx: &mut Context) -> Result<(), Failure> {
    let port = port(cx)?;
    servers::check_name(name).map_err(|why| Failure::text(format!("{why} (--name)")))?;
    let (found, shown) = (Found::at(remote).await?, remote.shown());
    match found.is_ours(remote)? {
        Some((place, version)) => {
            cx.out.line(format!("{shown} has Tether {} at {}.", one_line(version), one_line(place)))?;
        }
        None => {
            cx.out.line(format!("Copying this program to {shown} ..."))?;
            copy(remote, &found).await?;
        }
    }
    remote.ask(&format!("{NEEDS_TETHER}{}", set_up(port))).await?;
    let started = remote.ask(START).await?;
    cx.out.text(&super::output::tame(&started))?;
    let said = EnvFile::parse(Path::new("config.env"), &remote.ask(REACHED_BY).await?);
    let of = |name: &str| said.get(name).map(|entry| entry.value.trim()).filter(|value| !value.is_empty());
    let there = of("TETHER_AGENT_PORT").and_then(|port| port.parse().ok()).or(port).unwrap_or(8787);
    let here = Servers::read(&cx.sources)?.port_for(name, there, &cx.sources);
    for line in how_to_reach(remote, here, there) {
        cx.out.line(line)?;
    }
    let token = of("TETHER_AGENT_TOKEN");
    let server = Server { name, port: here, token, ssh: remote.host(), user: remote.user() };
    if !put_in_file(&server, cx)? {
        cx.out.line(format!(
            "Name it in servers.yaml, with the TETHER_AGENT_TOKEN of its config.env:\n{}",
            server.by_hand()
        ))?;
    }
    Ok(())
}

/// Names the server in `servers.yaml`; `false` = it is left to the person. What has its name there is only replaced
/// with a yes.
fn put_in_file(server: &Server<'_>, cx: &mut Context) -> Result<bool, Failure> {
    let name = server.name;
    let place = Servers::read(&cx.sources)?.place();
    match server.standing(&cx.sources)? {
        Standing::Free => {}
        Standing::Same => {
            cx.out.line(format!("{name} is in {place} already: tether -S {name} status"))?;
            return Ok(true);
        }
        Standing::Taken => {
            let question = format!("{place} has another {name}. Replace it?");
            let yes = super::output::is_interactive() && yes_or_no(&question, false)?.unwrap_or(false);
            if !yes {
                eprintln!(
                    "Note: {place} has another {name}, which was left as it is (--name gives another name)"
                );
                return Ok(false);
            }
        }
    }
    match server.store(&cx.sources) {
        Ok(path) => {
            cx.out.line(format!("Named {name} in {}: tether -S {name} status", path.display()))?;
            Ok(true)
        }
        Err(why) => {
            eprintln!("Note: {name} could not be named: {why}");
            Ok(false)
        }
    }
}

/// The port that `--port` names: that of the daemon there.
fn port(cx: &Context) -> Result<Option<u16>, Failure> {
    let typed = cx
        .sources
        .flags
        .iter()
        .find(|(name, ..)| *name == "TETHER_AGENT_PORT")
        .map(|(.., port)| port.as_str());
    let wrong =
        |port: &str| Failure::text(format!("--port is {port:?}: must be a whole number from 1 to 65535"));
    typed.map(|port| port.parse().ok().filter(|port| *port > 0).ok_or_else(|| wrong(port))).transpose()
}

/// Settings are made, or kept as they are; a port that was typed is set unless one is set.
fn set_up(port: Option<u16>) -> String {
    let set_port = port.map(|port| {
        format!(
            "; file=\"${{XDG_CONFIG_HOME:-$HOME/.config}}/tether/config.env\"; grep -q '^TETHER_AGENT_PORT={port}$' \"$file\" || \
             {{ grep -q '^TETHER_AGENT_PORT=' \"$file\" && {{ echo 'another port is set already, in config.env' >&2; exit 1; }}; \
             echo 'TETHER_AGENT_PORT={port}' >> \"$file\"; }}"
        )
    });
    format!("tether init --yes >/dev/null{}", set_port.unwrap_or_default())
}

/// It listens to its own machine alone, so the way there is ssh's.
fn how_to_reach(remote: &Remote, here: u16, there: u16) -> [String; 2] {
    let shown = remote.shown();
    [
        format!("Tether on {shown} listens to that machine alone. To reach it from here, keep this running:"),
        format!("  ssh -N -L {here}:127.0.0.1:{there} {shown}"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_machine_says_of_itself_is_understood() {
        let found =
            Found::parse("Linux\nx86_64\n/home/me/.local/bin/tether\ntether 0.3.9\n").expect("understood");
        assert_eq!(
            (found.place.as_deref(), found.version.as_deref()),
            (Some("/home/me/.local/bin/tether"), Some("0.3.9"))
        );
        let none = Found::parse("Darwin\narm64\n-\n-\n").expect("understood");
        assert_eq!((none.place, none.version), (None, None));
        let peer = Found::parse("Linux\nx86_64\n/usr/bin/tether\n-\n").expect("understood");
        assert_eq!((peer.place.as_deref(), peer.version), (Some("/usr/bin/tether"), None));
        assert_eq!(Found::parse("\n"), None);
    }

    #[test]
    fn this_program_is_not_put_where_it_cannot_run() {
        let found = |system: &str, processor: &str| Found {
            system: system.into(),
            processor: processor.into(),
            place: None,
            version: None,
        };
        assert!(!found("Plan9", std::env::consts::ARCH).runs_ours());
        assert!(!found("Linux", "riscv64").runs_ours());
        let (system, processor) = match std::env::consts::OS {
            "macos" => ("Darwin", "arm64"),
            _ => ("Linux", std::env::consts::ARCH),
        };
        assert_eq!(
            found(system, processor).runs_ours(),
            processor != "arm64" || std::env::consts::ARCH == "aarch64"
        );
    }
}
