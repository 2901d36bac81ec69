//! Events as lines for people. No I/O here.

use owo_colors::OwoColorize as _;
use serde_json::Value;
use tether_actors::domain::approval::Actor;
use tether_actors::domain::event::{Envelope, EventType};
use tether_actors::domain::state::SessionState;

use super::output::{clip, one_line, tame};

/// Which stream of text is being written, so that a change begins a new line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stream {
    Answer,
    SubAgent,
    Thinking,
}

/// Turns events into text. Streamed pieces are joined; everything else is a line of its own.
pub struct Renderer {
    width: usize,
    stream: Option<Stream>,
    mid_line: bool,
}

impl Renderer {
    /// For a terminal of this many columns.
    pub fn new(width: usize) -> Self {
        Self { width, stream: None, mid_line: false }
    }

    /// What an event adds to what is on the screen; empty for events that people need not see.
    pub fn event(&mut self, event: &Envelope) -> String {
        let data = &event.data;
        let text = |key: &str| data.get(key).and_then(Value::as_str).unwrap_or_default();
        let by_sub_agent = data.get("parent_tool_use_id").is_some_and(Value::is_string);
        match EventType::parse(&event.kind) {
            Some(EventType::Output) if by_sub_agent => self.piece(Stream::SubAgent, text("text")),
            Some(EventType::Output) => self.piece(Stream::Answer, text("text")),
            Some(EventType::Thinking) => self.piece(Stream::Thinking, text("text")),
            Some(kind) => match self.line_for(kind, data) {
                Some(line) => self.line(&line),
                None => String::new(),
            },
            None => String::new(),
        }
    }

    /// A whole line, begun on a new one.
    pub fn line(&mut self, line: &str) -> String {
        let fresh = self.fresh_line();
        format!("{fresh}{line}\n")
    }

    /// What is missing to the beginning of a line.
    pub fn fresh_line(&mut self) -> &'static str {
        self.stream = None;
        if std::mem::take(&mut self.mid_line) { "\n" } else { "" }
    }

    fn piece(&mut self, stream: Stream, text: &str) -> String {
        if text.is_empty() {
            return String::new();
        }
        let fresh = if self.stream == Some(stream) { "" } else { self.fresh_line() };
        self.stream = Some(stream);
        let text = tame(text);
        self.mid_line = !text.ends_with('\n');
        match stream {
            Stream::Answer => format!("{fresh}{text}"),
            Stream::SubAgent | Stream::Thinking => format!("{fresh}{}", text.dimmed()),
        }
    }

    fn line_for(&self, kind: EventType, data: &Value) -> Option<String> {
        let text = |key: &str| data.get(key).and_then(Value::as_str).unwrap_or_default();
        let number = |key: &str| data.get(key).and_then(Value::as_u64).unwrap_or_default();
        let flag = |key: &str| data.get(key).and_then(Value::as_bool).unwrap_or_default();
        let note = |what: String| Some(clip(&one_line(&what), self.width).dimmed().to_string());
        match kind {
            EventType::SessionState => state_line(text("state")),
            EventType::UserInput => Some(format!("{} {}", ">".bold(), tame(text("text")).bold())),
            EventType::InputQueued => note("(queued until the turn ends)".to_owned()),
            EventType::InputWithdrawn => note("(taken back)".to_owned()),
            EventType::ToolCall => Some(self.tool_call(text("tool_name"), data.get("input"))),
            EventType::ToolResult => Some(self.tool_result(text("text"), flag("is_error"))),
            EventType::PermissionRequest => {
                let title = if text("title").is_empty() { text("tool_name") } else { text("title") };
                let id =
                    if text("approval_id").is_empty() { text("request_id") } else { text("approval_id") };
                Some(format!(
                    "{} {} {}",
                    "?".yellow().bold(),
                    one_line(title),
                    format!("({})", one_line(id)).dimmed()
                ))
            }
            EventType::PermissionResolved => Some(resolved(data)),
            EventType::GrantAdded => note(format!("(standing permission given: {})", grant(data))),
            EventType::GrantEnded => note(format!("(standing permission {})", text("reason"))),
            EventType::ApprovalModeChanged => note(format!("(approval mode {})", number("approval_mode"))),
            EventType::Task => note(format!("◦ {} {}", text("state"), text("text"))),
            EventType::TurnFinished => turn_line(data).and_then(note),
            EventType::Error => Some(format!("[error: {}]", tame(text("message"))).red().to_string()),
            EventType::Warning => Some(format!("[warning: {}]", tame(text("message"))).yellow().to_string()),
            EventType::Retry => note(format!(
                "(retry {} of {} in {}: {})",
                number("attempt"),
                number("max_attempts"),
                seconds(number("delay_ms")),
                text("error")
            )),
            EventType::Header => note(text("title").to_owned()).filter(|_| !text("title").is_empty()),
            EventType::AgentStarted => note(format!(
                "({} {} {})",
                text("agent"),
                text("version"),
                if flag("resumed") { "resumed" } else { "started" }
            )),
            EventType::AgentExited if matches!(text("cause"), "clean" | "stopped") => {
                note("(agent ended)".to_owned())
            }
            EventType::AgentExited => {
                Some(format!("[agent ended: {}]", tame(text("message"))).red().to_string())
            }
            EventType::AgentRestarting => {
                note(format!("(restart {} in {})", number("attempt"), seconds(number("delay_ms"))))
            }
            EventType::AgentHeld => Some(format!("[held: {}]", tame(text("message"))).red().to_string()),
            EventType::AgentReleased => note(format!("({})", text("message"))),
            EventType::AgentUnparsed => note(format!("(not understood: {})", text("message"))),
            EventType::Checkpoint => note(format!("(checkpoint {})", text("commit_hash"))),
            // Handled before, told elsewhere, or of no interest on a screen.
            EventType::Output
            | EventType::OutputFinal
            | EventType::Thinking
            | EventType::InputSent
            | EventType::InputRequired
            | EventType::PermissionDelivered
            | EventType::PermissionOutcome
            | EventType::TurnStarted
            | EventType::Metadata
            | EventType::Heartbeat => None,
        }
    }

    fn tool_call(&self, name: &str, input: Option<&Value>) -> String {
        let gist = one_line(&input.map(gist).unwrap_or_default());
        let room = self.width.saturating_sub(name.chars().count() + 3);
        format!("{} {} {}", "●".cyan(), one_line(name).bold(), clip(&gist, room)).trim_end().to_owned()
    }

    fn tool_result(&self, text: &str, is_error: bool) -> String {
        let lines = text.lines().filter(|line| !line.trim().is_empty()).count();
        let first = text
            .lines()
            .map(one_line)
            .find(|line| !line.is_empty())
            .unwrap_or_else(|| "(nothing)".to_owned());
        let more = match lines {
            0 | 1 => String::new(),
            2 => " (+1 line)".to_owned(),
            lines => format!(" (+{} lines)", lines - 1),
        };
        let room = self.width.saturating_sub(4 + more.len());
        let line = format!("  └ {}{more}", clip(&first, room));
        if is_error { line.red().to_string() } else { line.dimmed().to_string() }
    }
}

/// The part of a tool's input that tells most.
fn gist(input: &Value) -> String {
    let telling = ["command", "file_path", "path", "pattern", "url", "query", "description", "prompt"];
    let found = telling.iter().find_map(|key| input.get(key)?.as_str());
    let found = found.or_else(|| input.pointer("/questions/0/question")?.as_str());
    let first = || input.as_object()?.values().find_map(Value::as_str);
    match found.or_else(first) {
        Some(text) => text.to_owned(),
        None if input.as_object().is_some_and(serde_json::Map::is_empty) || input.is_null() => String::new(),
        None => input.to_string(),
    }
}

fn state_line(state: &str) -> Option<String> {
    if state == SessionState::AwaitingInput.as_str() {
        return Some("[awaiting input]".green().to_string());
    }
    if state == SessionState::Error.as_str() {
        return Some("[error]".red().to_string());
    }
    (state == SessionState::Interrupting.as_str()).then(|| "[stopping]".dimmed().to_string())
}

fn resolved(data: &Value) -> String {
    let by = data
        .get("by")
        .and_then(who)
        .or_else(|| data.get("resolved_by").and_then(Value::as_str).map(str::to_owned))
        .map(|by| format!(" by {}", one_line(&by)))
        .unwrap_or_default();
    let message = data.get("message").and_then(Value::as_str).filter(|message| !message.is_empty());
    let message = message.map(|message| format!(": {}", one_line(message))).unwrap_or_default();
    let cancelled = data.get("resolved_by").and_then(Value::as_str) == Some("cancelled");
    match data.get("allowed").and_then(Value::as_bool) {
        Some(true) => format!("{} allowed{by}{message}", "✓".green()),
        _ if cancelled => format!("{} withdrawn{message}", "✗".dimmed()),
        _ => format!("{} denied{by}{message}", "✗".red()),
    }
}

/// Who did something, as the log records it.
fn who(by: &Value) -> Option<String> {
    match by {
        Value::String(name) => Some(name.clone()),
        other => serde_json::from_value::<Actor>(other.clone()).ok().map(|actor| actor.to_string()),
    }
}

fn grant(data: &Value) -> String {
    let grant = data.get("grant").cloned().unwrap_or_default();
    serde_json::from_value::<tether_actors::domain::approval::Grant>(grant)
        .map(|grant| super::grants::covers(&grant.cover))
        .unwrap_or_default()
}

fn turn_line(data: &Value) -> Option<String> {
    let mut parts = Vec::new();
    parts.extend(data.get("duration_ms").and_then(Value::as_u64).map(seconds));
    parts.extend(data.get("cost_usd").and_then(Value::as_f64).map(|cost| format!("${cost:.4}")));
    if data.get("ok").and_then(Value::as_bool) == Some(false) {
        let why = ["message", "reason"].iter().find_map(|key| data.get(key)?.as_str());
        parts.extend(why.map(str::to_owned));
    }
    (!parts.is_empty()).then(|| format!("({})", parts.join(", ")))
}

fn seconds(ms: u64) -> String {
    format!("{}.{} s", ms / 1000, ms % 1000 / 100)
}

/// The state that an event says the session is in.
pub fn state_of(event: &Envelope) -> Option<SessionState> {
    if event.kind != EventType::SessionState.as_str() {
        return None;
    }
    serde_json::from_value(event.data.get("state")?.clone()).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event(kind: &str, data: Value) -> Envelope {
        serde_json::from_value(json!({
            "session_id": "sess_1", "ts": "2026-01-01T00:00:00Z", "seq": 1, "type": kind, "data": data,
        }))
        .expect("an event")
    }

    fn screen(events: &[(&str, Value)]) -> String {
        let mut renderer = Renderer::new(40);
        let text: String =
            events.iter().map(|(kind, data)| renderer.event(&event(kind, data.clone()))).collect();
        anstream::adapter::strip_str(&text).to_string()
    }

    #[test]
    fn a_turn_reads_like_a_conversation() {
        let screen = screen(&[
            ("user_input", json!({ "text": "build it" })),
            ("session_state", json!({ "state": "RUNNING" })),
            ("thinking", json!({ "text": "hm" })),
            ("output", json!({ "text": "I will " })),
            ("output", json!({ "text": "build." })),
            ("tool_call", json!({ "tool_name": "Bash", "input": { "command": "make all" } })),
            ("tool_result", json!({ "text": "\ncc a.c\ncc b.c\n", "is_error": false })),
            ("output", json!({ "text": "Done.\n" })),
            ("output_final", json!({ "text": "Done." })),
            ("turn_finished", json!({ "ok": true, "duration_ms": 2345, "cost_usd": 0.5 })),
            ("session_state", json!({ "state": "AWAITING_INPUT" })),
        ]);
        assert_eq!(
            screen,
            "> build it\nhm\nI will build.\n● Bash make all\n  └ cc a.c (+1 line)\nDone.\n(2.3 s, $0.5000)\n\
             [awaiting input]\n"
        );
    }

    #[test]
    fn answers_tell_who_gave_them() {
        let person = json!({ "type": "person", "surface": "web", "name": "Ann's phone" });
        let resolved = |data| screen(&[("permission_resolved", data)]);
        assert_eq!(resolved(json!({ "allowed": true, "by": person })), "✓ allowed by Ann's phone (web)\n");
        assert_eq!(
            resolved(json!({ "allowed": false, "resolved_by": "user", "message": "not\nnow" })),
            "✗ denied by user: not now\n"
        );
        assert_eq!(resolved(json!({ "allowed": false, "resolved_by": "cancelled" })), "✗ withdrawn\n");
    }

    #[test]
    fn lines_fit_the_terminal_and_cannot_steer_it() {
        let long = "x".repeat(100);
        let screen = screen(&[
            ("tool_call", json!({ "tool_name": "Bash", "input": { "command": format!("\u{1b}[2J{long}") } })),
            ("tool_result", json!({ "text": long, "is_error": true })),
            ("output", json!({ "text": "a\u{1b}]0;title\u{7}b\r" })),
        ]);
        assert!(
            screen.lines().take(2).all(|line| line.chars().count() <= 40 && line.ends_with('…')),
            "{screen}"
        );
        assert!(!screen.contains(['\u{1b}', '\u{7}', '\r']), "{screen:?}");
    }

    #[test]
    fn unknown_events_and_odd_data_are_passed_over() {
        assert_eq!(
            screen(&[("weather", json!({})), ("output", json!({ "text": 5 })), ("metadata", json!([]))]),
            ""
        );
    }

    #[test]
    fn the_state_is_read_from_its_event_alone() {
        let running = event("session_state", json!({ "state": "RUNNING" }));
        assert_eq!(state_of(&running), Some(SessionState::Running));
        assert_eq!(state_of(&event("output", json!({ "state": "RUNNING" }))), None);
    }
}
