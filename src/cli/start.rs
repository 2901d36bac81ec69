//! `tether start`: the daemon, here or in the background.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;

use super::args::StartArgs;
use super::{Context, Failure, Out};
use crate::client::{Client, login_url};
use crate::config::{Connection, Settings, Sources};
use crate::daemon::{self, House as _, OpenHouse, Presence};
use crate::logging;

/// How long a daemon in the background may take until it answers; a big store takes a second.
const PATIENCE: Duration = Duration::from_secs(60);

/// Lines of its log that are shown when it ends instead.
const LAST_WORDS: usize = 12;

/// Starts it.
pub fn run(args: StartArgs, mut cx: Context) -> Result<(), Failure> {
    if args.detached {
        // Whoever closes the terminal that it was started from shall not end it. An error means that it leads
        // a session already.
        let _ = rustix::process::setsid();
    }
    let sources = std::mem::take(&mut cx.sources).with_flag(
        "TETHER_AGENT_DEV_MODE",
        "--dev",
        args.dev.then(|| "1".to_owned()),
    );
    let mut settings = Settings::read(&sources)?;
    let made = settings.ensure_token(&sources)?;
    if args.detach {
        return detach(&sources, &settings, made.as_deref(), &mut cx);
    }
    let mut log = settings.log.clone();
    if args.detached {
        // Its standard error is the log file.
        log.file = None;
        settings.log.file.get_or_insert_with(|| daemon::detached_log(&settings.data_dir));
    }
    let logging =
        logging::init(&log).map_err(|error| Failure::text(format!("no log can be written: {error}")))?;
    let quiet = args.detached;
    let told = |house: &OpenHouse| {
        if !quiet {
            // Nobody has to be reading.
            let _ =
                announce(&mut cx.out, cx.json, &house.url(), &house.login_code(), &settings, made.as_deref());
        }
    };
    let done = actix::System::new().block_on(daemon::run(&settings, daemon::open, told));
    // What a fall had to say is in the log before the process ends.
    drop(logging);
    done.map_err(|error| Failure::text(error.to_string()))
}

/// Says where it is and how to get in.
fn announce(
    out: &mut Out,
    json: bool,
    url: &str,
    code: &str,
    settings: &Settings,
    made: Option<&Path>,
) -> Result<(), Failure> {
    let login = login_url(url, code);
    if json {
        return out.json(&json!({
            "url": url, "login": login, "data": settings.data_dir, "log": settings.log.file, "token_file": made,
        }));
    }
    out.line(format!("Tether {} listens on {url}", env!("CARGO_PKG_VERSION")))?;
    if is_the_journal(&std::env::var("JOURNAL_STREAM").unwrap_or_default(), Path::new("/dev/stdout")) {
        // It is kept, and others may read it: nothing that lets anybody in.
        out.line("  Log in:  tether open")?;
    } else {
        out.line(format!("  Log in:  {login}"))?;
        out.line("           (once; for another link: tether open)")?;
    }
    if let Some(path) = made {
        out.line(format!("  Token:   made, and stored in {}", path.display()))?;
    }
    if settings.dev {
        out.line("  Access:  dev mode, anybody on this machine, without a token")?;
    }
    out.line(format!("  Data:    {}", settings.data_dir.display()))?;
    let log = settings.log.file.as_ref().map_or("here".to_owned(), |path| path.display().to_string());
    Ok(out.line(format!("  Log:     {log}"))?)
}

/// Whether this is what systemd has connected with its journal: `JOURNAL_STREAM` has the device and the inode
/// (`systemd.exec`, "Environment Variables Set or Propagated by the Service Manager").
fn is_the_journal(stream: &str, output: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(output).is_ok_and(|found| stream == format!("{}:{}", found.dev(), found.ino()))
}

/// Starts the same program in the background, and waits until it answers.
fn detach(
    sources: &Sources,
    settings: &Settings,
    made: Option<&Path>,
    cx: &mut Context,
) -> Result<(), Failure> {
    let log = settings.log.file.clone().unwrap_or_else(|| daemon::detached_log(&settings.data_dir));
    let mut child = spawn(sources, &log).map_err(|error| {
        Failure::text(format!("no daemon could be started with its log in {}: {error}", log.display()))
    })?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (url, code) = runtime.block_on(first_answer(&mut child, settings, &log))?;
    let settings = Settings {
        log: crate::config::LogSettings { file: Some(log), ..settings.log.clone() },
        ..settings.clone()
    };
    announce(&mut cx.out, cx.json, &url, &code, &settings, made)?;
    if cx.json { Ok(()) } else { Ok(cx.out.line("  Stop:    tether stop")?) }
}

fn spawn(sources: &Sources, log: &Path) -> std::io::Result<Child> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["start", "--detached"]);
    for (name, _, value) in sources.flags.iter().rev() {
        // The token does not go on a command line, which everybody on the machine can read.
        command.env(name, value);
    }
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(logging::open_log_file(log)?).spawn()
}

/// Waits until the daemon serves; answers its address and a code to log in with.
async fn first_answer(
    child: &mut Child,
    settings: &Settings,
    log: &Path,
) -> Result<(String, String), Failure> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(status) = child.try_wait()? {
            return Err(Failure::text(format!("the daemon ended ({status}):\n{}", last_words(log))));
        }
        let ours = Presence::read(&settings.data_dir).filter(|presence| presence.pid == child.id());
        if let Some(presence) = ours
            && let Some(client) = client_of(&presence, settings)
            && client.health().await.is_ok()
        {
            return Ok((presence.url, client.pair(None).await?.code));
        }
        if Instant::now() >= deadline {
            return Err(Failure::text(format!(
                "the daemon (process {}) does not answer after {} s; its log is {}",
                child.id(),
                PATIENCE.as_secs(),
                log.display()
            )));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A client of the daemon where it really listens, which port 0 leaves open.
pub(super) fn client_of(presence: &Presence, settings: &Settings) -> Option<Client> {
    let url = reqwest::Url::parse(&presence.url).ok()?;
    let connection = Connection {
        host: url.host_str()?.to_owned(),
        port: url.port_or_known_default()?,
        token: settings.connection.token.clone(),
    };
    Client::new(connection).ok()
}

fn last_words(log: &Path) -> String {
    let text =
        std::fs::read(log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let last = lines.get(lines.len().saturating_sub(LAST_WORDS)..).unwrap_or_default();
    if last.is_empty() {
        return format!("it wrote nothing to {}", PathBuf::from(log).display());
    }
    last.join("\n")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn the_journal_is_told_from_other_places() {
        let output = tempfile::NamedTempFile::new().expect("a file");
        let found = output.as_file().metadata().expect("it is there");
        let stream = format!("{}:{}", found.dev(), found.ino());
        assert!(is_the_journal(&stream, output.path()));
        assert!(!is_the_journal("", output.path()));
        assert!(!is_the_journal(&format!("{}:{}", found.dev(), found.ino() + 1), output.path()));
        assert!(!is_the_journal(&stream, &output.path().with_extension("gone")));
    }
}
