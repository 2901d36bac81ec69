//! What of a session's events is worth a message.
//!
//! While the agent works, what it writes and the tools that it calls are gathered in one growing text (a
//! *segment*), which a platform shows by editing a message. A segment ends where something else must stand below it:
//! an approval, a person's words, the end of the turn.

use serde_json::Value;

use super::markup::{Doc, bold, code, cut, italic, plain};
use crate::domain::approval::Actor;
use crate::domain::event::{Envelope, EventType};
use crate::domain::ids::ApprovalId;
use crate::domain::time::Stamp;

/// A segment that is longer is ended, and another begun.
const LONG: usize = 24_000;
/// So many tool calls in a row are shown; of more, how many.
const TOOLS: usize = 6;
/// So much of what was said is remembered, to know a final text again.
const KNOWN: usize = 256 * 1024;
/// A turn that took so many seconds or more is said to have ended, so that a phone rings.
const LONG_TURN: i64 = 20;

/// What is to be said.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// The segment has ended with this text; `loud` = somebody waits for it.
    Segment(Doc, bool, String),
    /// A message of its own: its text, whether it is quiet, and the same in a line.
    Note(Doc, bool, String),
    /// An approval is open.
    Asked(ApprovalId),
    /// An approval was answered.
    Resolved(ApprovalId),
    /// The agent wants this file shown.
    File(String),
}

#[derive(Clone, Debug, PartialEq)]
enum Part {
    Text(String),
    Tools { lines: Vec<(String, String)>, before: usize },
    Remark(String),
}

/// The segment that grows, and what is known of the turn.
#[derive(Clone, Debug)]
pub struct Turn {
    platform: &'static str,
    parts: Vec<Part>,
    size: usize,
    /// What was said since the turn began, without white space.
    known: String,
    began: Option<Stamp>,
    tools: usize,
    /// Set where texts are whole messages, not pieces of one.
    external: bool,
    /// A segment of this turn was said already.
    spoke: bool,
    /// The event with which the turn began.
    from: u64,
}

impl Turn {
    /// For a session that is shown on this platform. `external` = a program of the person's own drives it.
    pub fn new(platform: &'static str, external: bool) -> Self {
        Self {
            platform,
            parts: Vec::new(),
            size: 0,
            known: String::new(),
            began: None,
            tools: 0,
            external,
            spoke: false,
            from: 0,
        }
    }

    /// The number of the event with which the turn began; 0 = none did.
    pub fn from(&self) -> u64 {
        self.from
    }

    /// The segment so far; `None` = there is none.
    pub fn segment(&self) -> Option<Doc> {
        if self.parts.is_empty() {
            return None;
        }
        let mut doc = Doc::default();
        for part in &self.parts {
            if !doc.0.is_empty() {
                doc = doc.gap();
            }
            doc = match part {
                Part::Text(text) => doc.then(Doc::markdown(&without_files(text).0)),
                Part::Remark(text) => doc.line([italic(text.clone())]),
                Part::Tools { lines, before } => {
                    let hidden = before + lines.len().saturating_sub(TOOLS);
                    if hidden > 0 {
                        doc = doc.line([plain(format!("🔧 … and {hidden} more"))]);
                    }
                    for (name, object) in lines.iter().skip(lines.len().saturating_sub(TOOLS)) {
                        let mut line = vec![plain("🔧 "), bold(name.clone())];
                        if !object.is_empty() {
                            line.extend([plain(" "), code(object.clone())]);
                        }
                        doc = doc.line(line);
                    }
                    doc
                }
            };
        }
        (!doc.is_blank()).then_some(doc)
    }

    /// Whether a segment grows.
    pub fn is_writing(&self) -> bool {
        !self.parts.is_empty()
    }

    /// Takes in an event.
    pub fn hear(&mut self, event: &Envelope) -> Vec<Effect> {
        let mut out = Vec::new();
        let data = &event.data;
        let text = |key: &str| data.get(key).and_then(Value::as_str).unwrap_or_default();
        let nested = data.get("parent_tool_use_id").is_some_and(|id| !id.is_null());
        match EventType::parse(&event.kind) {
            Some(EventType::TurnStarted) => self.begin(event, &mut out),
            Some(EventType::SessionState) => match text("state") {
                "RUNNING" if self.external => self.begin(event, &mut out),
                "RUNNING" => {}
                _ => self.end_segment(true, &mut out),
            },
            Some(EventType::Output) if !nested => self.say(text("text")),
            Some(EventType::OutputFinal) => self.finally(text("text"), &mut out),
            Some(EventType::ToolCall) if !nested => self.tool(text("tool_name"), data.get("input")),
            Some(EventType::ToolCall) => self.tools += 1,
            Some(EventType::ToolResult) if !nested && data["is_error"] == true => {
                let first = text("text").lines().find(|line| !line.trim().is_empty()).unwrap_or("no words");
                self.remark(format!("⚠️ it failed: {}", cut(first.trim(), 200)));
            }
            Some(EventType::UserInput) => self.person(data, &mut out),
            Some(EventType::InputWithdrawn) => self.note("↩️ a queued input was taken back", &mut out),
            Some(EventType::PermissionRequest) => {
                self.end_segment(false, &mut out);
                out.extend(approval_id(data).map(Effect::Asked));
            }
            Some(EventType::PermissionResolved) => {
                if data["resolved_by"] == "auto" && data["allowed"] == true {
                    let by = serde_json::from_value::<Actor>(data["by"].clone());
                    let by = by.map_or_else(|_| "a rule".to_owned(), |by| by.to_string());
                    let tool = data["tool_name"].as_str().unwrap_or("it");
                    self.remark(format!("✅ {} allowed by {by}", cut(tool, 60)));
                }
                out.extend(approval_id(data).map(Effect::Resolved));
            }
            Some(EventType::TurnFinished) => self.finished(event, &mut out),
            Some(EventType::Error) => self.loud(format!("❌ {}", cut(text("message"), 1_500)), &mut out),
            Some(EventType::AgentHeld) => {
                self.loud(format!("⏸ On hold: {}", cut(text("message"), 800)), &mut out)
            }
            Some(EventType::AgentReleased) => self.note("▶️ it goes on", &mut out),
            Some(EventType::AgentRestarting) => {
                self.remark(format!(
                    "🔁 the agent is started again (try {}): {}",
                    data["attempt"],
                    cut(text("message"), 300)
                ));
            }
            Some(EventType::Warning) if data["code"] != "BRIDGE" => {
                self.remark(format!("ℹ️ {}", cut(text("message"), 400)));
            }
            Some(EventType::Retry) => {
                self.remark(format!("⏳ the model does not answer, try {}", data["attempt"]));
            }
            Some(EventType::GrantEnded) => self.remark("ℹ️ a standing permission ended".to_owned()),
            _ => {}
        }
        if self.size > LONG {
            self.end_segment(false, &mut out);
        }
        out
    }

    fn begin(&mut self, event: &Envelope, out: &mut Vec<Effect>) {
        self.end_segment(false, out);
        self.known.clear();
        self.tools = 0;
        self.began = Some(event.ts);
        self.from = event.seq;
        self.spoke = false;
    }

    fn say(&mut self, text: &str) {
        if self.known.len() < KNOWN {
            self.known.extend(text.chars().filter(|c| !c.is_whitespace()));
        }
        self.size += text.len();
        match self.parts.last_mut() {
            Some(Part::Text(open)) if self.external => {
                open.push_str("\n\n");
                open.push_str(text);
            }
            Some(Part::Text(open)) => open.push_str(text),
            // Between two tool calls an agent may send line ends only.
            _ if text.trim().is_empty() => {}
            _ => self.parts.push(Part::Text(text.to_owned())),
        }
    }

    fn tool(&mut self, name: &str, input: Option<&Value>) {
        self.tools += 1;
        self.size += 80;
        let line = (cut(name, 40), object_of(input));
        match self.parts.last_mut() {
            Some(Part::Tools { lines, before }) => {
                lines.push(line);
                let extra = lines.len().saturating_sub(TOOLS);
                *before += extra;
                lines.drain(..extra);
            }
            _ => self.parts.push(Part::Tools { lines: vec![line], before: 0 }),
        }
    }

    fn remark(&mut self, text: String) {
        self.size += text.len();
        self.parts.push(Part::Remark(text.replace('\n', " ")));
    }

    /// The turn's whole answer: said already, piece by piece, or not.
    fn finally(&mut self, text: &str, out: &mut Vec<Effect>) {
        let plain: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        if !self.known.contains(&plain) {
            self.parts.push(Part::Text(text.to_owned()));
            self.known.push_str(&plain);
        }
        let files = without_files(text).1;
        self.end_segment(true, out);
        out.extend(files.into_iter().map(Effect::File));
    }

    fn person(&mut self, data: &Value, out: &mut Vec<Effect>) {
        let by = serde_json::from_value::<Actor>(data["by"].clone()).ok();
        if matches!(&by, Some(Actor::Person { surface, .. }) if surface == self.platform) {
            // It stands there already. What comes next stands below it.
            return self.end_segment(false, out);
        }
        let who = by.map_or_else(|| "you".to_owned(), |by| by.to_string());
        let said = data["text"].as_str().unwrap_or_default();
        self.end_segment(false, out);
        let doc = Doc::default()
            .line([plain("👤 "), bold(who.clone())])
            .then(Doc::text(&cut(said, 1_500)).quoted());
        out.push(Effect::Note(doc, true, format!("{who}: {}", cut(&said.replace('\n', " "), 120))));
    }

    fn finished(&mut self, event: &Envelope, out: &mut Vec<Effect>) {
        let spoke = self.spoke || self.is_writing();
        self.end_segment(true, out);
        let data = &event.data;
        let seconds = self.began.take().map_or(0, |began| event.ts.seconds_since(began));
        if data["interrupted"] == true {
            return self.note("⏹ stopped", out);
        }
        if data["ok"] != true || (seconds < LONG_TURN && spoke) {
            return;
        }
        let mut words = format!("🏁 Done in {}", duration(seconds));
        if self.tools > 0 {
            words.push_str(&format!(" · {} tool{}", self.tools, if self.tools == 1 { "" } else { "s" }));
        }
        if let Some(cost) = data["cost_usd"].as_f64().filter(|cost| *cost > 0.0) {
            words.push_str(&format!(" · ${cost:.2}"));
        }
        out.push(Effect::Note(Doc::text(&words), false, words));
    }

    fn note(&mut self, words: &str, out: &mut Vec<Effect>) {
        self.end_segment(false, out);
        out.push(Effect::Note(Doc::text(words), true, words.to_owned()));
    }

    fn loud(&mut self, words: String, out: &mut Vec<Effect>) {
        self.end_segment(false, out);
        out.push(Effect::Note(Doc::text(&words), false, words));
    }

    fn end_segment(&mut self, last: bool, out: &mut Vec<Effect>) {
        let doc = self.segment();
        let line = self.parts.iter().rev().find_map(|part| match part {
            Part::Text(text) => text.lines().rev().map(str::trim).find(|line| !line.is_empty()),
            _ => None,
        });
        let line = cut(line.unwrap_or_default(), 160);
        self.parts.clear();
        self.size = 0;
        if let Some(doc) = doc {
            self.spoke = true;
            out.push(Effect::Segment(doc, last, line));
        }
    }
}

/// A text without the lines that name files to send (`contract`: `PUBLISH AS ATTACHMENT: <path>`), and the files.
fn without_files(text: &str) -> (String, Vec<String>) {
    const MARK: &str = "PUBLISH AS ATTACHMENT:";
    if !text.contains(MARK) {
        return (text.to_owned(), Vec::new());
    }
    let (named, kept): (Vec<&str>, Vec<&str>) =
        text.split('\n').partition(|line| line.trim_start().starts_with(MARK));
    let path = |line: &str| line.trim().trim_start_matches(MARK).trim().trim_matches('`').to_owned();
    (kept.join("\n"), named.into_iter().map(path).filter(|path| !path.is_empty()).take(8).collect())
}

fn approval_id(data: &Value) -> Option<ApprovalId> {
    data.get("approval_id")?.as_str().map(ApprovalId::from)
}

/// Of a tool's input, what says best what it is about.
fn object_of(input: Option<&Value>) -> String {
    const KEYS: [&str; 9] =
        ["command", "cmd", "file_path", "notebook_path", "path", "url", "query", "pattern", "description"];
    let found = input.and_then(|input| KEYS.iter().find_map(|key| input.get(key)?.as_str()));
    let line = found.unwrap_or_default().lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    cut(line.trim(), 120)
}

/// A time in words.
pub fn duration(seconds: i64) -> String {
    match seconds.max(0) {
        seconds @ 0..60 => format!("{seconds} s"),
        seconds @ 60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        seconds => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}
