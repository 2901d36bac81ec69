use std::path::{Path, PathBuf};

use super::*;

/// A home folder with the given files, and the sources that a process with this environment sees there.
struct Home {
    folder: tempfile::TempDir,
    environment: Vec<(String, String)>,
}

impl Home {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a folder"), environment: Vec::new() }
    }

    fn path(&self, below: &str) -> PathBuf {
        self.folder.path().join(below)
    }

    fn file(self, below: &str, text: &str) -> Self {
        let path = self.path(below);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        std::fs::write(path, text).expect("written");
        self
    }

    fn personal(self, text: &str) -> Self {
        self.file(".config/tether/config.env", text)
    }

    fn local(self, text: &str) -> Self {
        self.file("project/.env", text)
    }

    fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    fn sources(&self) -> Sources {
        let home = ("HOME".to_owned(), self.folder.path().to_string_lossy().into_owned());
        Sources::gather(self.environment.iter().cloned().chain([home]).collect(), self.path("project"))
    }

    fn settings(&self) -> Settings {
        Settings::read(&self.sources()).expect("good settings")
    }

    fn error(&self) -> String {
        Settings::read(&self.sources()).expect_err("bad settings").to_string()
    }
}

#[test]
fn without_anything_the_defaults_hold() {
    let home = Home::new();
    let settings = home.settings();
    assert_eq!(settings.connection, Connection { host: "127.0.0.1".into(), port: 8787, token: None });
    assert_eq!(settings.data_dir, home.path(".local/share/tether"));
    assert_eq!(settings.config_file, Some(home.path(".config/tether/config.env")));
    assert_eq!(settings.retention_days, Some(7));
    assert_eq!((settings.disk_floor_mib, settings.idle_exit_seconds), (64, Some(1800)));
    assert_eq!((settings.session_idle_seconds, settings.turn_timeout_seconds), (None, None));
    assert_eq!(settings.approval_timeout_seconds, None);
    assert_eq!(settings.agents.default, "claude");
    assert_eq!(settings.restart_policy, RestartPolicy::Continue);
    assert_eq!(settings.restart_budget, RestartBudget::default(), "the table's defaults are the domain's");
    assert_eq!((settings.log.level, settings.log.format), (tracing::Level::INFO, LogFormat::Console));
    assert!(
        !settings.dev && settings.agents.claude.args.is_empty() && settings.agents.claude.model.is_none()
    );
    assert_eq!((settings.warnings.len(), settings.notes.len()), (0, 0));
}

#[test]
fn each_layer_hides_the_ones_below_it() {
    let name = "TETHER_AGENT_PORT";
    let home = Home::new().personal("TETHER_AGENT_PORT=1\n");
    assert_eq!(home.settings().connection.port, 1);
    let home = home.local("TETHER_AGENT_PORT=2\n");
    assert_eq!(home.settings().connection.port, 2);
    let home = home.env(name, " 3 ");
    assert_eq!(home.settings().connection.port, 3);
    let flagged = home.sources().with_flag(name, "--port", Some("4".into()));
    assert_eq!(Settings::read(&flagged).expect("good").connection.port, 4);
    let unflagged = home.sources().with_flag(name, "--port", None);
    assert_eq!(Settings::read(&unflagged).expect("good").connection.port, 3);
}

#[test]
fn a_variable_that_is_exported_empty_hides_the_files_and_reads_as_unset() {
    let home =
        Home::new().personal("TETHER_AGENT_PORT=1\nTETHER_AGENT_TOKEN=t\n").env("TETHER_AGENT_PORT", "");
    assert_eq!(home.settings().connection.port, 8787);
    assert_eq!(home.settings().connection.token.as_deref(), Some("t"));
}

#[test]
fn the_xdg_folders_are_honoured_and_relative_ones_are_not() {
    let home =
        Home::new().file("xdg/tether/config.env", "TETHER_AGENT_PORT=5\n").personal("TETHER_AGENT_PORT=6\n");
    let (xdg, data) = (home.path("xdg"), home.path("data"));
    let home =
        home.env("XDG_CONFIG_HOME", &xdg.to_string_lossy()).env("XDG_DATA_HOME", &data.to_string_lossy());
    assert_eq!(home.settings().connection.port, 5);
    assert_eq!(home.settings().data_dir, home.path("data/tether"));
    let home = home.env("XDG_CONFIG_HOME", "xdg").env("XDG_DATA_HOME", "data");
    assert_eq!(home.settings().connection.port, 6);
    assert_eq!(home.settings().data_dir, home.path(".local/share/tether"));
}

#[test]
fn the_old_name_of_a_setting_counts_where_the_new_one_is_not_set() {
    let home = Home::new().env("TETHER_AGENT_ADAPTER", "Claude_Auto");
    assert_eq!(home.settings().agents.default, "claude_auto");
    let home = home.personal("TETHER_DEFAULT_AGENT_ADAPTER=claude-local\n");
    assert_eq!(home.settings().agents.default, "claude-local");
    let home = Home::new().env("TETHER_AGENT_ADAPTER", "codeks");
    assert!(
        home.error().starts_with("TETHER_AGENT_ADAPTER is \"codeks\" (environment): must be one of claude, ")
    );
}

#[test]
fn paths_start_at_the_home_folder_or_the_working_directory() {
    let home = Home::new().personal(
        "TETHER_AGENT_DATA_DIR=~/here\nTETHER_CLAUDE_BIN=/opt/claude\nTETHER_AGENT_LOG_FILE=logs/t\n",
    );
    let settings = home.settings();
    assert_eq!(settings.data_dir, home.path("here"));
    assert_eq!(settings.agents.claude.program.as_deref(), Some(Path::new("/opt/claude")));
    assert_eq!(settings.log.file, Some(home.path("project/logs/t")));
    let bare = Home::new().env("TETHER_CLAUDE_BIN", "claude-next").settings();
    assert_eq!(
        bare.agents.claude.program.as_deref(),
        Some(Path::new("claude-next")),
        "a bare name is searched for"
    );
}

#[test]
fn every_kind_of_value_is_read() {
    let home = Home::new().personal(
        "TETHER_AGENT_ALLOWED_HOSTS=a.example , B.example:8443,\nTETHER_AGENT_DEV_MODE=Yes\n\
         TETHER_CLAUDE_ARGS=--x 'a b'\nTETHER_AGENT_LOG_LEVEL=WARNING\nTETHER_AGENT_LOG_FORMAT=JSON\n\
         TETHER_AGENT_RESTART_POLICY=never\nTETHER_AGENT_SESSION_RETENTION_DAYS=-3\n\
         TETHER_AGENT_IDLE_EXIT_SECONDS=0\nTETHER_APPROVAL_TIMEOUT_SECONDS=60\nANTHROPIC_API_KEY=k\n",
    );
    let settings = home.settings();
    assert_eq!(settings.allowed_hosts, ["a.example", "b.example:8443"]);
    assert!(settings.dev);
    assert_eq!(settings.agents.claude.args, ["--x", "a b"]);
    assert_eq!(settings.agents.claude.api_key.as_deref(), Some("k"));
    assert_eq!((settings.log.level, settings.log.format), (tracing::Level::WARN, LogFormat::Json));
    assert_eq!(settings.restart_policy, RestartPolicy::Never);
    assert_eq!((settings.retention_days, settings.idle_exit_seconds), (None, None));
    assert_eq!(settings.approval_timeout_seconds, Some(60));
}

#[test]
fn a_wrong_value_names_itself_its_place_and_what_is_allowed() {
    let cases = [
        ("TETHER_AGENT_PORT", "87x7", "must be a whole number from 0 to 65535"),
        ("TETHER_AGENT_PORT", "65536", "must be a whole number from 0 to 65535"),
        ("TETHER_AGENT_HOST", "http://box", "must be a host name or an IP address, without port or scheme"),
        ("TETHER_AGENT_HOST", "box:80", "must be a host name or an IP address, without port or scheme"),
        (
            "TETHER_AGENT_ALLOWED_HOSTS",
            "https://box",
            "must be host names (or name:port) with commas between them, without scheme",
        ),
        ("TETHER_AGENT_DEV_MODE", "maybe", "must be one of 1, true, yes, on, 0, false, no, off"),
        ("TETHER_AGENT_LOG_FORMAT", "xml", "must be one of console, json"),
        ("TETHER_AGENT_RESTART_DELAY_MS", "-1", "must be a whole number from 0 to 60000"),
        ("TETHER_CLAUDE_ARGS", "'open", "must be words as in a shell, with every quote closed"),
    ];
    for (name, value, allowed) in cases {
        let home = Home::new().env(name, value);
        assert_eq!(home.error(), format!("{name} is {value:?} (environment): {allowed}"));
        let home = Home::new().personal(&format!("# first line\n{name}={value}\n"));
        let place = format!("{}:2", home.path(".config/tether/config.env").display());
        assert_eq!(home.error(), format!("{name} is {value:?} ({place}): {allowed}"));
    }
    let flagged = Home::new().sources().with_flag("TETHER_AGENT_PORT", "--port", Some("x".into()));
    let error = Settings::read(&flagged).expect_err("bad").to_string();
    assert_eq!(error, "TETHER_AGENT_PORT is \"x\" (--port): must be a whole number from 0 to 65535");
}

#[test]
fn all_wrong_values_are_told_at_once_and_a_secret_is_not_shown() {
    let home = Home::new().env("TETHER_AGENT_PORT", "x").env("TETHER_AGENT_TOKEN", "s3cret\u{7}");
    let error = home.error();
    assert_eq!(error.lines().count(), 2, "{error}");
    assert!(
        error.contains("TETHER_AGENT_TOKEN is (hidden) (environment)") && !error.contains("s3cret"),
        "{error}"
    );
}

#[test]
fn debug_output_holds_no_secret() {
    let home = Home::new()
        .env("TETHER_AGENT_TOKEN", "s3cret")
        .env("ANTHROPIC_API_KEY", "s3cret")
        .env("TELEGRAM_BOT_TOKEN", "s3cret")
        .env("TELEGRAM_FORUM_GROUP_ID", "-1001");
    assert!(home.settings().bridges.telegram.is_some());
    assert!(!format!("{:?}", home.settings()).contains("s3cret"));
}

#[test]
fn unknown_names_in_files_are_warned_of_and_those_of_the_peer_are_not() {
    let home = Home::new()
        .personal("TETHER_AGENT_PROT=1\nTETHER_SSH_PORT=x\nTELEGRAM_API_URL=http://x\nOTHER=1\nnonsense\n")
        .env("TETHER_WHATEVER", "1");
    let settings = home.settings();
    let place = home.path(".config/tether/config.env");
    assert_eq!(
        settings.warnings,
        [
            format!("{}:5 is not KEY=value: ignored", place.display()),
            format!(
                "TETHER_AGENT_PROT ({}:1) is not a setting: did you mean TETHER_AGENT_PORT?",
                place.display()
            ),
        ]
    );
    assert_eq!(
        settings.notes,
        [format!("TETHER_SSH_PORT ({}:2) has no effect in this version", place.display())]
    );
}

#[test]
fn a_chat_platform_is_on_when_all_is_there_and_half_of_it_is_told() {
    let half =
        Home::new().env("TELEGRAM_BOT_TOKEN", "t").env("TETHER_DEFAULT_PLATFORM", "telegram").settings();
    assert_eq!((half.bridges.telegram, half.bridges.default_platform), (None, None));
    assert!(half.warnings.iter().any(|text| text.contains("TELEGRAM_FORUM_GROUP_ID")), "{:?}", half.warnings);
    let whole = Home::new()
        .env("TELEGRAM_BOT_TOKEN", "t")
        .env("TELEGRAM_GROUP_ID", "-1001")
        .env("TELEGRAM_ALLOWED_USER_IDS", " 7, 8 ")
        .env("TETHER_DEFAULT_PLATFORM", "telegram")
        .settings()
        .bridges;
    let telegram = whole.telegram.expect("it is set up");
    assert_eq!(
        (telegram.settings.group, telegram.settings.api_url.as_str()),
        (-1001, "https://api.telegram.org")
    );
    assert!(telegram.allowed.iter().eq(["7", "8"]), "{:?}", telegram.allowed);
    assert_eq!(whole.default_platform.as_deref(), Some("telegram"));
    assert!(Home::new().env("TELEGRAM_FORUM_GROUP_ID", "1001").error().contains("TELEGRAM_FORUM_GROUP_ID"));
}

#[test]
fn a_project_cannot_choose_the_bot_or_its_people() {
    let home = Home::new().local("TELEGRAM_API_URL=http://evil.example\n");
    assert!(home.error().contains("TELEGRAM_API_URL"));
}

#[test]
fn a_pattern_that_names_no_branch_is_wrong() {
    let home = Home::new().env("TETHER_GIT_BRANCH_PATTERN", "-{session_id}");
    assert!(home.error().contains("must be a name that git takes for a branch"), "{}", home.error());
    let home = Home::new().env("TETHER_GIT_BRANCH_PATTERN", "agents/{session_id}/work");
    assert_eq!(home.settings().git.branch_pattern, "agents/{session_id}/work");
}

#[test]
fn dev_mode_serves_loopback_only() {
    for host in ["127.0.0.1", "::1", "[::1]", "localhost", "127.1.2.3"] {
        assert!(
            Home::new().env("TETHER_AGENT_DEV_MODE", "1").env("TETHER_AGENT_HOST", host).settings().dev,
            "{host}"
        );
    }
    for host in ["0.0.0.0", "192.168.1.4", "box.local", "::"] {
        let home = Home::new().env("TETHER_AGENT_DEV_MODE", "1").env("TETHER_AGENT_HOST", host);
        assert!(home.error().contains("dev mode"), "{host}");
    }
}

#[test]
fn a_project_cannot_choose_the_program_or_lower_the_guard() {
    for line in [
        "TETHER_CLAUDE_BIN=./evil",
        "TETHER_CLAUDE_ARGS=--dangerously-skip-permissions",
        "TETHER_AGENT_DEV_MODE=1",
        "TETHER_AGENT_ALLOWED_HOSTS=evil.example",
    ] {
        let home = Home::new().local(line);
        assert!(home.error().contains("it may not be set in ./.env"), "{line}");
        Home::new().personal(line).settings();
    }
}

#[test]
fn a_project_cannot_send_the_token_to_its_own_host() {
    let read = |home: &Home| Connection::read(&home.sources());
    let home = Home::new().personal("TETHER_AGENT_TOKEN=t\n").local("TETHER_AGENT_HOST=evil.example\n");
    let error = read(&home).expect_err("refused").to_string();
    assert!(error.contains("evil.example") && error.contains("-H"), "{error}");
    let own = Home::new().local("TETHER_AGENT_HOST=box.example\nTETHER_AGENT_TOKEN=t\n");
    assert!(read(&own).is_ok(), "the project's own token may go to its own host");
    let loopback = Home::new().personal("TETHER_AGENT_TOKEN=t\n").local("TETHER_AGENT_HOST=localhost\n");
    assert!(read(&loopback).is_ok());
}

#[test]
fn a_command_that_only_talks_to_the_daemon_does_not_mind_other_settings() {
    let home = Home::new().personal("TETHER_AGENT_LOG_FORMAT=xml\n");
    assert_eq!(Connection::read(&home.sources()).expect("enough").port, 8787);
}

#[test]
fn a_first_start_makes_a_token_and_the_next_one_finds_it() {
    let home = Home::new().personal("# mine\nTETHER_AGENT_TOKEN=\nTETHER_AGENT_PORT=9\n");
    let mut settings = home.settings();
    let stored = settings.ensure_token(&home.sources()).expect("made");
    assert_eq!(stored, settings.config_file);
    let token = settings.connection.token.clone().expect("a token");
    assert_eq!(token.len(), 43, "32 bytes as base64url");
    let mut again = home.settings();
    assert_eq!(again.ensure_token(&home.sources()), Ok(None));
    assert_eq!((again.connection.token, again.connection.port), (Some(token), 9));
}

#[test]
fn an_empty_exported_token_is_an_error_and_dev_mode_needs_none() {
    let home = Home::new().env("TETHER_AGENT_TOKEN", "");
    let error = home.settings().ensure_token(&home.sources()).expect_err("hidden for ever").to_string();
    assert!(error.contains("set but empty (environment)"), "{error}");
    let home = home.env("TETHER_AGENT_DEV_MODE", "1");
    assert_eq!(home.settings().ensure_token(&home.sources()), Ok(None));
}

#[test]
fn addresses_of_all_interfaces_are_reached_at_loopback() {
    for (host, url) in [
        ("0.0.0.0", "http://127.0.0.1:8787"),
        ("::", "http://[::1]:8787"),
        ("::1", "http://[::1]:8787"),
        ("[fe80::1]", "http://[fe80::1]:8787"),
        ("box.local", "http://box.local:8787"),
    ] {
        assert_eq!(Connection { host: host.into(), port: 8787, token: None }.url(), url);
    }
}

#[test]
fn the_example_file_shows_every_setting_with_its_true_default() {
    let example = docs::example();
    let uncommented: String = example
        .lines()
        .filter_map(|line| {
            line.strip_prefix('#').filter(|line| line.starts_with(|c: char| c.is_ascii_uppercase()))
        })
        .fold(String::new(), |text, line| text + line + "\n");
    assert_eq!(uncommented.lines().count(), table::all().count());
    let home = Home::new();
    let defaults = home.settings();
    assert_eq!(home.personal(&uncommented).settings(), defaults);
}

#[test]
fn slack_is_on_when_all_that_it_needs_is_set_and_says_what_is_missing() {
    let home = Home::new().env("SLACK_BOT_TOKEN", "xoxb-1").env("SLACK_CHANNEL_ID", "C1");
    let settings = home.settings();
    assert!(settings.bridges.slack.is_none());
    assert_eq!(settings.warnings, ["SLACK_APP_TOKEN is not set, so Slack is off"]);
    let swapped = home.env("SLACK_APP_TOKEN", "xoxb-1").settings();
    assert!(swapped.bridges.slack.is_none());
    assert_eq!(
        swapped.warnings,
        ["SLACK_APP_TOKEN is no app-level token: those begin with xapp-, so Slack is off"]
    );
    let whole = Home::new()
        .env("SLACK_BOT_TOKEN", "xoxb-1")
        .env("SLACK_APP_TOKEN", "xapp-1")
        .env("SLACK_CHANNEL_ID", "C1")
        .env("SLACK_ALLOWED_USER_IDS", "U1, U2")
        .settings();
    let slack = whole.bridges.slack.expect("it is on");
    assert_eq!(slack.allowed.into_iter().collect::<Vec<_>>(), ["U1", "U2"]);
    assert_eq!(slack.settings.api_url, "https://slack.com/api");
    assert!(slack.settings.shortcut.is_some_and(|shortcut| !shortcut.any_message));
    assert!(whole.warnings.is_empty(), "{:?}", whole.warnings);
}
