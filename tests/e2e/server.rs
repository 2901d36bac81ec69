//! `tether server`: another machine over ssh. The `ssh` here notes its arguments and runs the command in a home of its
//! own, so that what is run there is what would run.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use crate::harness::Home;
use crate::harness::cli::{Said, tether_with};

/// A machine that the `ssh` of a home reaches.
struct Machine {
    home: Home,
    there: Home,
}

impl Machine {
    fn new() -> Self {
        let (home, there) = (Home::new(), Home::new());
        // The machine knows nothing of the settings here, and no service manager.
        let (remote, mark) = (there.path().display(), &there.mark);
        let script = format!(
            "#!/bin/sh\nfor word in \"$@\"; do printf '%s\\n' \"$word\"; done >> '{}'\nfor last; do :; done\n\
             [ -e '{remote}/down' ] && {{ echo 'Connection timed out' >&2; exit 255; }}\n\
             there() {{ env -i HOME='{remote}' PATH='{remote}/bin:/usr/bin:/bin' {}='{mark}' sh -c \"$last\"; }}\n\
             if [ -e '{remote}/cut' ]; then head -c 1000 | there; else there; fi\n",
            home.path().join("told").display(),
            crate::harness::process::MARK,
        );
        put(home.path().join("bin/ssh"), &script);
        put(there.path().join("bin/systemctl"), "#!/bin/sh\necho 'no bus here' >&2\nexit 1\n");
        Self { home, there }
    }

    async fn server(&self, args: &[&str]) -> Said {
        let path = format!("{}:/usr/bin:/bin", self.home.path().join("bin").display());
        tether_with(&self.home, &[&["server"], args].concat(), &[("PATH", &path)]).await
    }

    fn program(&self) -> PathBuf {
        self.there.path().join(".local/bin/tether")
    }
}

fn put(path: PathBuf, text: &str) {
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
    // A program that runs cannot be written to, and can be replaced.
    let _ = std::fs::remove_file(&path);
    std::fs::write(&path, text).expect("written");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("set");
}

#[tokio::test]
async fn a_machine_is_set_up_looked_at_and_brought_up_to_date() {
    let machine = Machine::new();
    let none = machine.server(&["status", "box"]).await;
    assert!(none.code == 1 && none.err.contains("not installed"), "{none:?}");
    assert_eq!(machine.server(&["upgrade", "box"]).await.code, 1);

    let port = machine.there.port.to_string();
    let said = machine.server(&["init", "box", "-u", "me", "--port", &port, "--name", "work"]).await.ok();
    for word in ["All checks passed.", "me@box", &*format!("-L {port}:127.0.0.1:{port}"), "Named work in "] {
        assert!(said.contains(word), "{word}: {said}");
    }
    let servers = machine.home.path().join(".config/tether/servers.yaml");
    let mode = std::fs::metadata(&servers).expect("it is named").permissions().mode();
    assert_eq!(mode & 0o077, 0, "its token is in it");
    // The machine is this one, so the port leads there without a tunnel.
    let named = tether_with(&machine.home, &["-S", "work", "status"], &[]).await.ok();
    assert!(named.contains("(ok)"), "{named}");
    let config = machine.there.path().join(".config/tether/config.env");
    let text = std::fs::read_to_string(&config).expect("it is set up");
    let token =
        text.lines().find_map(|line| line.strip_prefix("TETHER_AGENT_TOKEN=")).expect("it has a token");
    assert!(!said.contains(token), "nobody looks, so it is not shown");
    let told = std::fs::read_to_string(machine.home.path().join("told")).expect("ssh was asked");
    assert!(told.contains("BatchMode=yes") && told.contains("-l\nme\n--\nbox\n"), "{told}");

    let status = machine.server(&["status", "me@box"]).await.ok();
    assert!(status.contains(&format!("127.0.0.1:{port} (ok)")), "{status}");
    assert!(machine.server(&["logs", "box", "-n", "1"]).await.ok().lines().count() == 1);
    assert!(machine.server(&["status", "work"]).await.ok().contains("(ok)"), "ssh is given the machine");
    assert!(machine.server(&["upgrade", "box"]).await.ok().contains("already"));
    let written = std::fs::read_to_string(&servers).expect("there");
    let again = machine.server(&["init", "work", "--port", &port]).await.ok();
    assert!(again.contains("has Tether") && again.contains("All checks passed."), "{again}");
    assert!(again.contains("work is in ") && again.contains("already"), "{again}");
    std::fs::write(&servers, format!("# mine\n{written}  other: {{host: x}}\ndefault: other\n"))
        .expect("written");
    let mine = std::fs::read_to_string(&servers).expect("there");
    let taken = machine.server(&["init", "box", "--port", &port, "--name", "other"]).await;
    assert!(taken.code == 0 && taken.err.contains("has another other"), "{taken:?}");
    assert!(taken.out.contains("other: {host: 127.0.0.1") && !taken.out.contains(token), "{taken:?}");
    assert_eq!(std::fs::read_to_string(&servers).expect("there"), mine, "nobody said yes");
    machine.server(&["init", "box", "--port", &port, "--name", "third"]).await.ok();
    let grown = std::fs::read_to_string(&servers).expect("there");
    assert!(mine.lines().all(|line| grown.lines().any(|kept| kept == line)), "{grown}");
    assert!(grown.contains("  third: {host: 127.0.0.1"), "{grown}");
    let other = machine.server(&["init", "box", "--port", "1"]).await;
    assert!(other.code == 1 && other.err.contains("another port"), "{other:?}");
    assert_eq!(std::fs::read_to_string(&config).expect("there"), text, "and nothing was changed");

    // An older one, whose daemon is the one that runs.
    put(
        machine.program(),
        &format!(
            "#!/bin/sh\n[ \"$1\" = --version ] && echo 'tether 0.0.1' && exit\nexec {} \"$@\"\n",
            crate::harness::daemon::program()
        ),
    );
    let said = machine.server(&["upgrade", "box"]).await.ok();
    assert!(said.contains("was 0.0.1") && said.contains("started anew"), "{said}");
    assert!(machine.server(&["status", "box"]).await.ok().contains("(ok)"));
    assert!(std::fs::metadata(machine.program()).expect("there").len() > 1 << 20, "the program itself");
}

#[tokio::test]
async fn a_machine_that_cannot_be_used_is_left_as_it_is() {
    let machine = Machine::new();
    for host in ["-oProxyCommand=x", "a b", "me@", ""] {
        let said = machine.server(&["status", "--", host]).await;
        assert!(said.code == 1 && said.err.contains("ssh"), "{host:?}: {said:?}");
    }
    assert!(!machine.home.path().join("told").exists(), "ssh was not asked");
    std::fs::write(machine.there.path().join("down"), "").expect("written");
    for action in ["init", "status", "upgrade", "logs", "git-key"] {
        let said = machine.server(&[action, "box"]).await;
        assert!(said.code == 1 && said.err.contains("ssh did not reach box"), "{action}: {said:?}");
    }
    std::fs::remove_file(machine.there.path().join("down")).expect("removed");
    put(machine.there.path().join("bin/uname"), "#!/bin/sh\necho Plan9\n");
    let said = machine.server(&["init", "box"]).await;
    assert!(said.code == 1 && said.err.contains("Plan9"), "{said:?}");
    assert!(!machine.program().exists());
    std::fs::remove_file(machine.there.path().join("bin/uname")).expect("removed");
    // The connection breaks while the program is on its way.
    std::fs::write(machine.there.path().join("cut"), "").expect("written");
    let said = machine.server(&["init", "box"]).await;
    assert!(said.code == 1 && said.err.contains("did not arrive whole"), "{said:?}");
    let left = std::fs::read_dir(machine.there.path().join(".local/bin")).expect("there").count();
    assert_eq!(left, 0, "nothing of it stays");
    std::fs::remove_file(machine.there.path().join("cut")).expect("removed");
    // One that some other means put there stays theirs.
    put(machine.there.path().join("bin/tether"), "#!/bin/sh\necho 'tether 0.0.1'\n");
    let said = machine.server(&["upgrade", "box"]).await;
    assert!(said.code == 1 && said.err.contains("bin/tether"), "{said:?}");
    put(machine.there.path().join("bin/tether"), "#!/bin/sh\necho 'usage: tether' >&2\nexit 2\n");
    for action in ["init", "upgrade"] {
        let said = machine.server(&[action, "box"]).await;
        assert!(said.code == 1 && said.err.contains("another program"), "{said:?}");
    }
    assert!(!machine.there.path().join(".config/tether/config.env").exists());
}

#[tokio::test]
async fn the_key_for_git_is_made_once() {
    let machine = Machine::new();
    let first = machine.server(&["git-key", "box"]).await.ok();
    assert!(first.starts_with("ssh-ed25519 ") && first.contains("tether@"), "{first}");
    assert_eq!(machine.server(&["git-key", "box"]).await.ok(), first);
    let mode =
        std::fs::metadata(machine.there.path().join(".ssh/id_ed25519")).expect("made").permissions().mode();
    assert_eq!(mode & 0o077, 0);
}
