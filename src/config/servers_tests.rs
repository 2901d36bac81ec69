//! Precedence, and what is refused.

use std::collections::BTreeMap;

use super::*;

const SERVERS: &str = "servers:\n  work: {host: box.local, port: 9000, token: wtoken, user: me}\n  bare:\n    host: other\n  \
                       here: {host: 127.0.0.1, port: '9001'}\n  far: {url: https://x.example/t/, token: 123}\ndefault: far\n";

/// A home with these files below `.config/tether`, and a `config.env` with a token.
fn home(files: &[(&str, &str)]) -> tempfile::TempDir {
    let home = tempfile::tempdir().expect("a folder");
    let folder = home.path().join(".config/tether");
    std::fs::create_dir_all(&folder).expect("made");
    std::fs::write(folder.join("config.env"), "TETHER_AGENT_TOKEN=mine\n").expect("written");
    for (name, text) in files {
        std::fs::write(folder.join(name), text).expect("written");
    }
    home
}

fn sources(home: &tempfile::TempDir, more: &[(&str, &str)]) -> Sources {
    let mut environment: BTreeMap<String, String> =
        more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    environment.insert("HOME".into(), home.path().display().to_string());
    Sources::gather(environment, home.path().to_owned())
}

/// Address, token and name of what is meant.
fn meant(sources: &Sources, server: Option<&str>) -> (String, Option<String>, Option<String>) {
    let target = target(sources, server).expect("a daemon");
    (target.url, target.connection.token, target.named.map(|(name, _)| name))
}

fn is(url: &str, token: Option<&str>, name: Option<&str>) -> (String, Option<String>, Option<String>) {
    (url.to_owned(), token.map(str::to_owned), name.map(str::to_owned))
}

#[test]
fn flags_come_before_a_named_server_before_the_context_before_the_default_before_the_environment() {
    let home = home(&[("servers.yaml", SERVERS), ("context", "work\n")]);
    let exported = sources(&home, &[("TETHER_AGENT_HOST", "env.host"), ("TETHER_AGENT_PORT", "1")]);
    let flagged = exported.clone().with_flag("TETHER_AGENT_PORT", "--port", Some("2".into()));
    assert_eq!(
        meant(&flagged, None),
        is("http://env.host:2", Some("mine"), None),
        "a flag switches the context off"
    );
    assert_eq!(meant(&flagged, Some("work")), is("http://box.local:2", Some("wtoken"), Some("work")));
    assert_eq!(meant(&exported, Some("far")), is("https://x.example/t", Some("123"), Some("far")));
    assert_eq!(meant(&exported, None), is("http://box.local:9000", Some("wtoken"), Some("work")));
    std::fs::remove_file(home.path().join(".config/tether/context")).expect("removed");
    assert_eq!(meant(&exported, None), is("https://x.example/t", Some("123"), Some("far")));
    for local in [meant(&exported, Some("local")), {
        use_context(&exported, "local").expect("written");
        meant(&exported, None)
    }] {
        assert_eq!(local, is("http://env.host:1", Some("mine"), None), "said by name, it is this machine");
    }
    let typed = typed_target(&sources(&home, &[]), None).expect("a daemon");
    assert_eq!(typed.url, "http://127.0.0.1:8787", "what others start does not follow the default");
}

#[test]
fn a_whole_address_may_come_by_flag_or_setting() {
    let home = home(&[]);
    let by_setting = sources(&home, &[("TETHER_API_URL", "https://x.example"), ("TETHER_AGENT_TOKEN", "t")]);
    assert_eq!(meant(&by_setting, None), is("https://x.example", Some("t"), None));
    let typed = by_setting.clone().with_flag("TETHER_AGENT_HOST", "--host", Some("box".into()));
    assert_eq!(meant(&typed, None), is("http://box:8787", Some("t"), None), "what is typed comes first");
    let typed = by_setting.with_flag("TETHER_AGENT_HOST", "--host", Some("https://y.example:1/a".into()));
    assert_eq!(meant(&typed, None), is("https://y.example:1/a", Some("t"), None));
    let both = typed.with_flag("TETHER_AGENT_PORT", "--port", Some("2".into()));
    assert!(target(&both, None).is_err());
    for bad in ["ftp://x", "https://me:pw@x", "https://x/?a=b", "https://"] {
        let flagged = sources(&home, &[]).with_flag("TETHER_AGENT_HOST", "--host", Some(bad.into()));
        assert!(target(&flagged, None).is_err(), "{bad}");
    }
}

#[test]
fn the_token_of_this_machine_goes_to_no_named_server_elsewhere() {
    let home = home(&[("servers.yaml", SERVERS)]);
    assert_eq!(meant(&sources(&home, &[]), Some("bare")).1, None);
    assert_eq!(
        meant(&sources(&home, &[("TETHER_AGENT_TOKEN", "now")]), Some("bare")).1.as_deref(),
        Some("now")
    );
    assert_eq!(meant(&sources(&home, &[]), Some("here")).1.as_deref(), Some("mine"), "it is this machine's");
    std::fs::write(home.path().join(".env"), "TETHER_AGENT_TOKEN=project\n").expect("written");
    assert_eq!(meant(&sources(&home, &[]), Some("bare")).1, None);
}

#[test]
fn a_project_cannot_say_where_commands_go() {
    let home = home(&[]);
    for name in ["TETHER_SERVERS_FILE", "TETHER_CONTEXT_FILE", "TETHER_API_URL"] {
        let value = if name == "TETHER_API_URL" { "https://evil.example" } else { "evil" };
        std::fs::write(home.path().join(".env"), format!("{name}={value}\n")).expect("written");
        let error = target(&sources(&home, &[]), None).expect_err(name).to_string();
        assert!(error.contains(name) && error.contains(".env"), "{error}");
    }
}

#[test]
fn xdg_is_honoured_and_the_old_place_still_read() {
    let home = home(&[("servers.yaml", "servers: {a: {host: old}}")]);
    let xdg = home.path().join("xdg");
    let set = |home: &tempfile::TempDir| sources(home, &[("XDG_CONFIG_HOME", xdg.to_str().expect("text"))]);
    assert_eq!(meant(&set(&home), Some("a")).0, "http://old:8787", "it is only there");
    std::fs::create_dir_all(xdg.join("tether")).expect("made");
    std::fs::write(xdg.join("tether/servers.yaml"), "servers: {a: {host: new}}").expect("written");
    assert_eq!(meant(&set(&home), Some("a")).0, "http://new:8787");
    let file = home.path().join("mine.yaml");
    std::fs::write(&file, "servers: {a: {host: given}}").expect("written");
    let given = sources(&home, &[("TETHER_SERVERS_FILE", "~/mine.yaml")]);
    assert_eq!(meant(&given, Some("a")).0, "http://given:8787");
    assert_eq!(use_context(&set(&home), "a").expect("written"), xdg.join("tether/context"));
}

#[test]
fn what_cannot_be_used_is_an_error_and_never_another_daemon() {
    for (text, server, word) in [
        ("servers: {a: {host: x}}", Some("b"), "has a"),
        ("servers: {a: {host: x}}\ndefault: b", None, "default"),
        ("servers: [a]", None, "servers.yaml"),
        ("servers: {a: {hots: x}}", None, "hots"),
        ("servers: {local: {host: x}}", None, "local"),
        ("servers: {-a: {host: x}}", None, "-a"),
        ("servers: {a: {host: 'x y'}}", Some("a"), "host"),
        ("servers: {a: {host: x, port: 0}}", Some("a"), "port"),
        ("servers: {a: {host: x, port: many}}", Some("a"), "port"),
        ("servers: {a: {host: x, url: http://y}}", Some("a"), "both"),
        ("servers: {a: {token: x}}", Some("a"), "neither"),
        ("servers: {a: }", Some("a"), "neither"),
        ("{", None, "servers.yaml"),
    ] {
        let home = home(&[("servers.yaml", text)]);
        let error = target(&sources(&home, &[]), server).expect_err(text).to_string();
        assert!(error.contains(word) && !error.contains('\n'), "{text}: {error}");
    }
    let home = home(&[("servers.yaml", SERVERS), ("context", "gone")]);
    let error = target(&sources(&home, &[]), None).expect_err("it is gone").to_string();
    assert!(error.contains("gone") && error.contains("context use"), "{error}");
    assert!(use_context(&sources(&home, &[]), "nobody").is_err());
    assert_eq!(std::fs::read_to_string(home.path().join(".config/tether/context")).expect("there"), "gone");
}

#[test]
fn a_tunnel_gets_a_port_that_leads_nowhere_else() {
    let text = "servers:\n  box: {host: 127.0.0.1, port: 9005, ssh: box}\n  own: {host: localhost, port: 8788}\n  \
                far: {host: far, port: 8789}\n";
    let home = home(&[("servers.yaml", text)]);
    let port = |name: &str, wanted: u16, more: &[(&str, &str)]| {
        let sources = sources(&home, more);
        Servers::read(&sources).expect("read").port_for(name, wanted, &sources)
    };
    assert_eq!(port("new", 8787, &[]), 8789, "neither the daemon's own port nor another's");
    assert_eq!(port("new", 8787, &[("TETHER_AGENT_PORT", "1")]), 8787);
    assert_eq!(port("box", 8787, &[]), 9005, "it keeps the one that it has");
    let sources = sources(&home, &[]);
    let servers = Servers::read(&sources).expect("read");
    let ssh = |name: &str| servers.get(name).and_then(Entry::ssh_host);
    assert_eq!((ssh("box").as_deref(), ssh("far").as_deref()), (Some("box"), Some("far")));
}

#[test]
fn tokens_that_others_can_read_are_told() {
    use std::os::unix::fs::PermissionsExt as _;
    let home = home(&[("servers.yaml", SERVERS)]);
    let path = home.path().join(".config/tether/servers.yaml");
    for (mode, exposed) in [(0o644, true), (0o600, false)] {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("set");
        assert_eq!(Servers::read(&sources(&home, &[])).expect("read").is_exposed(), exposed);
    }
}
