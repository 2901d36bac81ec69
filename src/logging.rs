//! The log: for people or as JSON, to standard error and optionally a file, and never with a secret in it.
//!
//! Fields whose name says that they hold a secret are replaced, wherever they stand. Libraries are heard
//! from `warn` on. A panic is logged like any other error, because it ends an actor and not the daemon.

use std::fmt;
use std::io::{self, IsTerminal as _};
use std::path::Path;

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_appender::non_blocking::{NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::{FmtContext, FormattedFields};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer, fmt as layers};

use crate::config::{LogFormat, LogSettings};

/// Keeps the log flowing; what is buffered is written when it is dropped.
#[must_use]
pub struct Logging {
    _file: Option<WorkerGuard>,
}

/// Begins to log, for the rest of the process.
///
/// # Errors
/// The file cannot be opened.
pub fn init(settings: &LogSettings) -> io::Result<Logging> {
    let colours =
        io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let file = settings.file.as_deref().map(open).transpose()?;
    let (writer, guard) = file.unzip();
    let registry = tracing_subscriber::registry().with(filter(settings.level));
    // An error means that somebody (a test) logs already, and that is as good.
    let _ = match settings.format {
        LogFormat::Console => registry
            .with(layers::layer().with_ansi(colours).with_writer(io::stderr).fmt_fields(Console))
            .with(writer.map(|writer| layers::layer().with_ansi(false).with_writer(writer).fmt_fields(Plain)))
            .try_init(),
        LogFormat::Json => registry.with(json_layer(io::stderr)).with(writer.map(json_layer)).try_init(),
    };
    log_panics();
    Ok(Logging { _file: guard })
}

/// Begins to log to standard error alone, for the MCP server: warnings, and with `traffic` all that goes through it.
pub fn init_for_mcp(traffic: bool) {
    let level = if traffic { LevelFilter::DEBUG } else { LevelFilter::WARN };
    let targets = Targets::new()
        .with_default(LevelFilter::WARN)
        .with_target("rmcp", level)
        .with_target("tether", level);
    let layer = layers::layer().with_ansi(false).with_writer(io::stderr).fmt_fields(Plain);
    // An error means that somebody (a test) logs already, and that is as good.
    let _ = tracing_subscriber::registry().with(targets).with(layer).try_init();
}

fn json_layer<S, W>(writer: W) -> impl Layer<S>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    W: for<'writer> layers::MakeWriter<'writer> + 'static,
{
    layers::layer().with_ansi(false).event_format(JsonLine).fmt_fields(JsonFields).with_writer(writer)
}

/// Ours from the configured level on, libraries from `warn` on.
fn filter(level: Level) -> Targets {
    let libraries = LevelFilter::from_level(level).min(LevelFilter::WARN);
    Targets::new()
        .with_default(libraries)
        .with_target("tether", level)
        .with_target("tether_actors", level)
        // Its spans carry the id of the request, which follows it to the agent.
        .with_target("tracing_actix_web", level)
}

fn open(path: &Path) -> io::Result<(NonBlocking, WorkerGuard)> {
    let told = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    // Not lossy: a log with holes misleads.
    let file = open_log_file(path).map_err(told)?;
    Ok(NonBlockingBuilder::default().lossy(false).finish(file))
}

/// Opens a log file to append to it; a new one may be read by its owner only.
///
/// # Errors
/// What the system says.
pub fn open_log_file(path: &Path) -> io::Result<std::fs::File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        crate::config::file::private_folder(folder)?;
    }
    std::fs::OpenOptions::new().create(true).append(true).mode(0o600).open(path)
}

fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let words = panic.payload().downcast_ref::<&str>().map(|text| (*text).to_owned());
        let words = words.or_else(|| panic.payload().downcast_ref::<String>().cloned()).unwrap_or_default();
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(panic = words, place, "a part of the daemon panicked; what supervises it goes on");
    }));
}

/// Whether a field's name says that its value is nobody's business.
fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let whole = ["code", "cookie", "auth"];
    let parts = ["token", "secret", "password", "passwd", "authorization", "api_key", "apikey", "credential"];
    // Counts of tokens are figures, not secrets.
    let counts = ["input_tokens", "output_tokens", "max_tokens", "tokens"];
    !counts.contains(&name.as_str())
        && (whole.contains(&name.as_str()) || parts.iter().any(|part| name.contains(part)))
}

const HIDDEN: &str = "(hidden)";

/// Collects fields as JSON values.
#[derive(Default)]
struct Fields(Map<String, Value>);

impl Fields {
    fn put(&mut self, field: &Field, value: Value) {
        let value = if is_secret(field.name()) { HIDDEN.into() } else { value };
        self.0.insert(field.name().to_owned(), value);
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value.into());
    }
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value.into());
    }
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value.into());
    }
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}").into());
    }
}

/// Fields for people: `message key=value key="two words"`.
fn write_for_people<R: RecordFields>(mut writer: Writer<'_>, fields: R) -> fmt::Result {
    let mut found = Fields::default();
    fields.record(&mut found);
    let mut parts = Vec::new();
    if let Some(message) = found.0.remove("message") {
        parts.push(for_people(&message, false));
    }
    let named = found
        .0
        .iter()
        .map(|(name, value)| format!("{}={}", name.trim_start_matches("r#"), for_people(value, true)));
    parts.extend(named);
    writer.write_str(&parts.join(" "))
}

/// Control characters are spelled out, so that a line of the log is one line and does nothing to a terminal.
fn for_people(value: &Value, quote: bool) -> String {
    match value {
        Value::String(text) if quote && (text.is_empty() || text.contains([' ', '"', '='])) => {
            format!("{text:?}")
        }
        Value::String(text) => {
            let visible =
                |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
            text.chars().map(visible).collect()
        }
        other => other.to_string(),
    }
}

/// Fields on standard error. A type of its own beside [`Plain`]: a span keeps its formatted fields by the
/// formatter's type, and colours must not get into the file.
struct Console;

impl<'writer> FormatFields<'writer> for Console {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'writer>, fields: R) -> fmt::Result {
        write_for_people(writer, fields)
    }
}

/// Fields in a file.
struct Plain;

impl<'writer> FormatFields<'writer> for Plain {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'writer>, fields: R) -> fmt::Result {
        write_for_people(writer, fields)
    }
}

/// The fields of a span as a JSON object.
struct JsonFields;

impl<'writer> FormatFields<'writer> for JsonFields {
    fn format_fields<R: RecordFields>(&self, mut writer: Writer<'writer>, fields: R) -> fmt::Result {
        let mut found = Fields::default();
        fields.record(&mut found);
        writer.write_str(&Value::Object(found.0).to_string())
    }

    /// Fields that a span is given later join the ones that it has.
    fn add_fields(
        &self,
        current: &'writer mut FormattedFields<Self>,
        fields: &tracing::span::Record<'_>,
    ) -> fmt::Result {
        let mut all = Fields(serde_json::from_str(&current.fields).unwrap_or_default());
        fields.record(&mut all);
        current.fields = Value::Object(all.0).to_string();
        Ok(())
    }
}

/// One event, one JSON object: `{"ts","level","target","message",...fields,"spans":[{"name",...fields}]}`.
struct JsonLine;

impl<S, N> FormatEvent<S, N> for JsonLine
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    N: for<'writer> FormatFields<'writer> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let mut line = Map::new();
        line.insert("ts".into(), jiff::Timestamp::now().to_string().into());
        line.insert("level".into(), event.metadata().level().as_str().to_ascii_lowercase().into());
        line.insert("target".into(), event.metadata().target().into());
        line.append(&mut fields.0);
        let spans: Vec<Value> = context
            .event_scope()
            .into_iter()
            .flat_map(|scope| scope.from_root())
            .map(|span| {
                let extensions = span.extensions();
                let fields =
                    extensions.get::<FormattedFields<N>>().map_or("", |formatted| formatted.fields.as_str());
                let mut object: Map<String, Value> = serde_json::from_str(fields).unwrap_or_default();
                object.insert("name".into(), span.name().into());
                Value::Object(object)
            })
            .collect();
        if !spans.is_empty() {
            line.insert("spans".into(), spans.into());
        }
        writeln!(writer, "{}", Value::Object(line))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    /// Collects what is logged.
    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("not poisoned").extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Sink {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().expect("not poisoned").clone()).expect("text")
        }
    }

    fn logged(format: LogFormat, level: Level, act: impl FnOnce()) -> String {
        let sink = Sink::default();
        let writer = {
            let sink = sink.clone();
            move || sink.clone()
        };
        let registry = tracing_subscriber::registry().with(filter(level));
        match format {
            LogFormat::Json => tracing::subscriber::with_default(registry.with(json_layer(writer)), act),
            LogFormat::Console => {
                let layer = layers::layer().with_ansi(false).with_writer(writer).fmt_fields(Console);
                tracing::subscriber::with_default(registry.with(layer), act);
            }
        }
        sink.text()
    }

    fn say_something() {
        let span = tracing::info_span!(
            "request",
            request_id = "r1",
            device_token = "s3cret",
            later = tracing::field::Empty
        );
        let _inside = span.enter();
        span.record("later", "added");
        tracing::info!(
            api_key = "s3cret",
            Authorization = "Bearer s3cret",
            port = 7,
            path = "a b",
            "it serves"
        );
    }

    #[test]
    fn secrets_are_hidden_by_the_names_of_their_fields() {
        for format in [LogFormat::Json, LogFormat::Console] {
            let text = logged(format, Level::INFO, say_something);
            assert!(text.contains("it serves") && text.contains("r1") && text.contains("added"), "{text}");
            assert!(!text.contains("s3cret") && text.contains(HIDDEN), "{text}");
        }
        assert!(
            !is_secret("input_tokens")
                && is_secret("bot_token")
                && is_secret("code")
                && !is_secret("exit_code")
        );
    }

    #[test]
    fn json_lines_hold_the_fields_and_the_spans() {
        let text = logged(LogFormat::Json, Level::INFO, say_something);
        let line: Value = serde_json::from_str(&text).expect("one line of JSON");
        assert_eq!(
            (&line["port"], &line["level"], &line["path"]),
            (&7.into(), &"info".into(), &"a b".into())
        );
        assert_eq!(
            (&line["spans"][0]["name"], &line["spans"][0]["later"]),
            (&"request".into(), &"added".into())
        );
    }

    #[test]
    fn an_event_is_one_line_whatever_is_in_it() {
        let text = logged(LogFormat::Console, Level::INFO, || {
            tracing::info!(agent = "x\n\u{1b}[2J forged line", "a\nb");
        });
        assert_eq!(text.lines().count(), 1, "{text:?}");
        assert!(!text.contains('\u{1b}'), "{text:?}");
    }

    #[test]
    fn libraries_are_heard_from_warn_on_and_ours_from_the_level_on() {
        let text = logged(LogFormat::Json, Level::DEBUG, || {
            tracing::debug!(target: "tether_actors::log", "ours");
            tracing::info!(target: "sled::pagecache", "noise");
            tracing::warn!(target: "sled::pagecache", "trouble");
        });
        assert!(text.contains("ours") && text.contains("trouble") && !text.contains("noise"), "{text}");
        let text = logged(LogFormat::Json, Level::ERROR, || tracing::warn!(target: "sled", "trouble"));
        assert_eq!(text, "", "nobody is louder than the level");
    }
}
