//! What a list of sessions shows of one at a glance, kept in its record.

use serde_json::Value;

use super::naming::shorten;
use crate::domain::agent::AgentEvent;
use crate::domain::session::SessionRecord;
use crate::domain::state::SessionState;
use crate::domain::time::Stamp;

/// Longest line, in characters.
const LONGEST: usize = 200;
/// A line that is longer in bytes than this is not kept whole while it is written.
const KEPT: usize = 4 * LONGEST;
/// Of what an agent said, so many characters are shown with a question.
const SAID: usize = 600;
/// Of a tool's input, what says best what it is about.
const OBJECTS: [&str; 10] = [
    "command",
    "cmd",
    "file_path",
    "notebook_path",
    "path",
    "url",
    "query",
    "pattern",
    "description",
    "prompt",
];

/// Brings in line what follows from the rest of the record.
pub fn refresh(record: &mut SessionRecord, has_run: bool, now: Stamp) {
    let session = &mut record.session;
    session.cost_usd = record.usage.rounded().total_cost_usd;
    session.hold.clone_from(&record.hold);
    session.running_since = match session.state {
        SessionState::Running | SessionState::Interrupting => session.running_since.or(Some(now)),
        _ => None,
    };
    if has_run || session.state == SessionState::Error {
        session.restarting = None;
    }
    if session.state == SessionState::Error {
        session.archived = false;
    }
}

/// The line that an agent is writing, of which it sends pieces.
#[derive(Debug, Default)]
pub struct Writing(String);

impl Writing {
    /// The last line with something on it, with this piece at its end.
    pub fn push(&mut self, piece: &str) -> Option<String> {
        self.0.push_str(piece);
        let line = last_line(&self.0);
        // Behind the last line end is what may be gone on with.
        let begin = self.0.rfind('\n').map_or(0, |end| end + 1);
        self.0.drain(..begin);
        if self.0.len() > KEPT {
            self.0.truncate(self.0.floor_char_boundary(KEPT));
        }
        line
    }

    /// What comes next is another line.
    pub fn end(&mut self) {
        self.0.clear();
    }
}

/// What an agent said since its last tool call or turn.
#[derive(Clone, Debug, Default)]
pub struct Said {
    text: String,
    /// Whether what comes next begins anew.
    over: bool,
}

impl Said {
    /// Takes in what the agent does. What sub-agents say is not its own.
    pub fn hear(&mut self, event: &AgentEvent) {
        match event {
            AgentEvent::Text { text, parent: None } => {
                if std::mem::take(&mut self.over) {
                    self.text.clear();
                }
                self.text.push_str(text);
                // The end is what counts.
                if self.text.len() > 8 * SAID {
                    let from = self.text.ceil_char_boundary(self.text.len() - 4 * SAID);
                    self.text.drain(..from);
                }
            }
            AgentEvent::ToolResult { parent: None, .. } | AgentEvent::TurnFinished(_) => self.over = true,
            AgentEvent::TurnStarted => self.text.clear(),
            _ => {}
        }
    }

    /// The agent said this, and only this.
    pub fn replace(&mut self, text: &str) {
        self.text.clear();
        self.text.push_str(
            text.get(text.ceil_char_boundary(text.len().saturating_sub(4 * SAID))..).unwrap_or_default(),
        );
    }

    /// The end of it; `None` if it said nothing.
    pub fn get(&self) -> Option<String> {
        let text = self.text.trim();
        let count = text.chars().count();
        let end: String = text.chars().skip(count.saturating_sub(SAID)).collect();
        (!end.is_empty()).then_some(end)
    }
}

/// The last line of a text with something on it.
pub fn last_line(text: &str) -> Option<String> {
    let line = text.lines().rev().map(str::trim).find(|line| line.chars().any(char::is_alphanumeric))?;
    Some(shorten(line, LONGEST))
}

/// A tool's call in one line.
pub fn of_tool(name: &str, input: &Value) -> String {
    let object = OBJECTS.iter().find_map(|key| input.get(key)?.as_str());
    let object = object.and_then(|text| text.lines().find(|line| !line.trim().is_empty()));
    match object {
        Some(object) => shorten(&format!("{name}: {}", object.trim()), LONGEST),
        None => shorten(name, LONGEST),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_last_line_is_that_of_all_pieces() {
        let mut writing = Writing::default();
        assert_eq!(writing.push("Looking at").as_deref(), Some("Looking at"));
        assert_eq!(writing.push(" the code.\n\n").as_deref(), Some("Looking at the code."));
        assert_eq!(writing.push("  ").as_deref(), None);
        assert_eq!(writing.push("Done").as_deref(), Some("Done"));
        writing.end();
        assert_eq!(writing.push("Next").as_deref(), Some("Next"));
        let long = writing.push(&"é".repeat(5_000)).expect("a line");
        assert_eq!(long.chars().count(), LONGEST);
        assert!(writing.0.len() <= KEPT);
        assert_eq!(last_line("All good.\n```\n").as_deref(), Some("All good."));
        assert_eq!(last_line(" \n--\n"), None);
    }

    #[test]
    fn what_was_said_is_what_came_since_the_last_result() {
        let text = |text: &str| AgentEvent::Text { text: text.into(), parent: None };
        let result =
            AgentEvent::ToolResult { id: "t".into(), text: "x".into(), is_error: false, parent: None };
        let mut said = Said::default();
        assert_eq!(said.get(), None);
        said.hear(&text("I look "));
        said.hear(&text("around.\n"));
        said.hear(&AgentEvent::Text { text: "sub".into(), parent: Some("p".into()) });
        assert_eq!(said.get().as_deref(), Some("I look around."));
        said.hear(&result);
        assert_eq!(said.get().as_deref(), Some("I look around."), "several questions may follow one another");
        said.hear(&text("Now "));
        assert_eq!(said.get().as_deref(), Some("Now"));
        said.hear(&text(&"é".repeat(20_000)));
        assert_eq!(said.get().expect("a text").chars().count(), SAID);
        assert!(said.text.len() <= 8 * SAID);
        said.hear(&AgentEvent::TurnStarted);
        assert_eq!(said.get(), None);
        said.replace("Building");
        assert_eq!(said.get().as_deref(), Some("Building"));
    }

    #[test]
    fn a_tool_is_told_with_what_it_is_about() {
        assert_eq!(of_tool("Bash", &json!({ "command": "\ncargo test\nls" })), "Bash: cargo test");
        assert_eq!(of_tool("Edit", &json!({ "file_path": "/p/a.rs", "old_string": "x" })), "Edit: /p/a.rs");
        assert_eq!(of_tool("Odd", &json!([1])), "Odd");
    }

    #[test]
    fn a_session_at_rest_does_not_run_and_one_in_an_error_comes_back_from_the_archive() {
        let stamp = "2026-01-02T03:04:05Z";
        let session = json!({
            "id": "sess_000000000000", "state": "RUNNING", "created_at": stamp, "last_activity_at": stamp,
            "directory": "/p", "directory_has_git": false, "message_count": 0, "has_pending_permission": false,
            "archived": true,
        });
        let mut record: SessionRecord =
            serde_json::from_value(json!({ "session": session })).expect("a record");
        let at = Stamp::from_unix;
        refresh(&mut record, true, at(5));
        refresh(&mut record, true, at(9));
        assert_eq!((record.session.running_since, record.session.archived), (Some(at(5)), true));
        record.session.state = SessionState::Error;
        refresh(&mut record, false, at(10));
        assert_eq!((record.session.running_since, record.session.archived), (None, false));
    }
}
