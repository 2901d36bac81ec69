//! Another machine, over the person's own `ssh`: its configuration, keys and known hosts are theirs.

use std::fs::File;
use std::process::{ExitStatus, Stdio};

use tokio::process::Command;

use super::Failure;
use super::output::is_interactive;

/// What ssh ends with when it is ssh that failed.
const SSH_FAILED: i32 = 255;
/// Seconds that reaching the machine may take.
const PATIENCE: &str = "ConnectTimeout=15";
/// Where programs of a person lie; a shell that ssh starts looks in few places.
const PREFACE: &str = "PATH=\"$HOME/.local/bin:$HOME/.cargo/bin:/usr/local/bin:$PATH\"; export PATH; ";

/// A machine that ssh reaches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remote {
    host: String,
    user: Option<String>,
}

impl Remote {
    /// A machine by what was typed. Nothing is reached yet.
    ///
    /// # Errors
    /// Host or user could be read as something else, such as an option.
    pub fn new(host: &str, user: Option<&str>) -> Result<Self, Failure> {
        let (before, bare) = host.rsplit_once('@').map_or((None, host), |(user, host)| (Some(user), host));
        let is_word = |text: &str, more: &str| {
            !text.is_empty()
                && !text.starts_with('-')
                && text.len() <= 255
                && text.chars().all(|c| c.is_ascii_alphanumeric() || more.contains(c))
        };
        if !is_word(bare, ".-_:[]%") {
            return Err(Failure::text(format!("{host:?} is no host for ssh")));
        }
        let user = user.or(before);
        match user {
            Some(user) if !is_word(user, ".-_\\") => {
                Err(Failure::text(format!("{user:?} is no user for ssh")))
            }
            _ => Ok(Self { host: bare.to_owned(), user: user.map(str::to_owned) }),
        }
    }

    /// For people, and for their own ssh.
    pub fn shown(&self) -> String {
        match &self.user {
            Some(user) => format!("{user}@{}", self.host),
            None => self.host.clone(),
        }
    }

    /// The host alone.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Who one is there, where that was said.
    pub fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    fn ssh(&self, script: &str) -> Command {
        let mut command = Command::new("ssh");
        command.args(["-o", PATIENCE]);
        if !is_interactive() {
            // A password or a new host's key cannot be asked about.
            command.args(["-o", "BatchMode=yes"]);
        }
        if let Some(user) = &self.user {
            command.args(["-l", user]);
        }
        // Whatever shell the person has there: what runs is written for sh.
        let script = format!("exec sh -c {}", shell_words::quote(&format!("{PREFACE}{script}")));
        command.args(["--", &self.host, &script]).kill_on_drop(true);
        command
    }

    /// Runs a script there, with our own output.
    ///
    /// # Errors
    /// It could not be run, or failed; what it said about that has been seen.
    pub async fn run(&self, script: &str) -> Result<(), Failure> {
        let status = self.ssh(script).stdin(Stdio::null()).status().await.map_err(no_ssh)?;
        self.checked(status, "")
    }

    /// Runs a script there, and answers what it printed.
    ///
    /// # Errors
    /// It could not be run, or failed; the text holds what it said.
    pub async fn ask(&self, script: &str) -> Result<String, Failure> {
        self.fed(script, Stdio::null()).await
    }

    /// The same with a file as its input.
    ///
    /// # Errors
    /// See [`Remote::ask`].
    pub async fn feed(&self, script: &str, file: File) -> Result<String, Failure> {
        self.fed(script, file.into()).await
    }

    async fn fed(&self, script: &str, input: Stdio) -> Result<String, Failure> {
        let done = self.ssh(script).stdin(input).output().await.map_err(no_ssh)?;
        self.checked(done.status, &String::from_utf8_lossy(&done.stderr))?;
        Ok(String::from_utf8_lossy(&done.stdout).into_owned())
    }

    fn checked(&self, status: ExitStatus, said: &str) -> Result<(), Failure> {
        let shown = self.shown();
        let said = said.trim().trim_start_matches("Error: ");
        match status.code() {
            Some(0) => Ok(()),
            Some(SSH_FAILED) if said.is_empty() => {
                Err(Failure::text(format!("ssh did not reach {shown} (try: ssh {shown})")))
            }
            Some(SSH_FAILED) => Err(Failure::text(format!("ssh did not reach {shown}: {said}"))),
            // What ran there has told why.
            _ if said.is_empty() => Err(Failure::Told),
            _ => Err(Failure::text(format!("{shown}: {said}"))),
        }
    }
}

fn no_ssh(error: std::io::Error) -> Failure {
    match error.kind() {
        std::io::ErrorKind::NotFound => {
            Failure::text("the program ssh was not found: install an OpenSSH client")
        }
        _ => Failure::text(format!("ssh could not be started: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(remote: &Remote) -> Vec<String> {
        let ssh = remote.ssh("echo 'a b'");
        ssh.as_std().get_args().map(|arg| arg.to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn nothing_that_was_typed_is_read_as_an_option_or_a_command() {
        for (host, user) in [
            ("-oProxyCommand=touch x", None),
            ("", None),
            ("a b", None),
            ("a;b", None),
            ("a$(b)", None),
            ("-a@b", None),
            ("me@-b", None),
            ("box", Some("-x")),
            ("box", Some("")),
            ("box", Some("a b")),
        ] {
            assert!(Remote::new(host, user).is_err(), "{host:?} {user:?}");
        }
        let remote = Remote::new("me@box.local", None).expect("a host");
        let args = args(&remote);
        let end = args.iter().position(|arg| arg == "--").expect("options end before the host");
        assert_eq!(
            (args[end - 1].as_str(), args[end + 1].as_str(), args.len()),
            ("me", "box.local", end + 3)
        );
        let words = shell_words::split(&args[end + 2]).expect("one command");
        assert_eq!(words[..3], ["exec", "sh", "-c"]);
        assert!(words.len() == 4 && words[3].ends_with("echo 'a b'"), "{words:?}");
        assert_eq!(Remote::new("me@box", Some("you")).expect("a host").shown(), "you@box");
    }
}
