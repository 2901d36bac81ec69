//! An approval on the terminal: shown in full, and answered by what is typed. No I/O here.

use std::collections::{BTreeMap, VecDeque};

use owo_colors::OwoColorize as _;
use serde_json::Value;
use tether_actors::domain::approval::{Answer, Approval, ApprovalKind, Question, Scope};
use tether_actors::domain::ids::ApprovalId;

use super::approve::choice;
use super::output::{exact, one_line};

/// The approvals that wait, and how far the answering of the first one is.
#[derive(Default)]
pub struct Desk {
    waiting: VecDeque<Approval>,
    /// Whether the next line is the reason for a denial.
    reason: bool,
    /// The questions of the first approval that are answered.
    answers: BTreeMap<String, Vec<String>>,
}

/// What a typed line led to.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Send this.
    Answer(ApprovalId, Answer),
    /// Nothing to send yet; show this and the prompt.
    Tell(String),
    /// Nobody waits for anything.
    Nothing,
}

impl Desk {
    /// Puts an approval on the desk. Answers whether it is new there.
    pub fn put(&mut self, approval: Approval) -> bool {
        if self.waiting.iter().any(|waiting| waiting.id == approval.id) {
            return false;
        }
        self.waiting.push_back(approval);
        true
    }

    /// Takes an approval away, because it was answered (here or elsewhere) or withdrawn.
    pub fn take(&mut self, id: &str) {
        if self.first().is_some_and(|first| first.id.as_str() == id) {
            self.reason = false;
            self.answers.clear();
        }
        self.waiting.retain(|waiting| waiting.id.as_str() != id);
    }

    /// The approval to be answered next.
    pub fn first(&self) -> Option<&Approval> {
        self.waiting.front()
    }

    /// The approvals that wait.
    pub fn waiting(&self) -> impl Iterator<Item = &Approval> {
        self.waiting.iter()
    }

    /// What can be typed now.
    pub fn prompt(&self) -> Option<String> {
        let approval = self.first()?;
        if self.reason {
            return Some("why not? ".to_owned());
        }
        if let Some(question) = self.question(approval) {
            return Some(question_prompt(question));
        }
        let mut keys = vec!["[a]llow".to_owned()];
        if approval.kind == ApprovalKind::Tool {
            keys.push(format!("[t] {} for this session", one_line(&approval.tool_name)));
            if approval.is_edit {
                keys.push("[f]iles below this directory".to_owned());
            }
            keys.push("[3] all for 30 minutes".to_owned());
        }
        keys.extend(["[d]eny".to_owned(), "[r] deny with a reason".to_owned()]);
        Some(format!("{}\n? ", keys.join("  ")))
    }

    fn question<'a>(&self, approval: &'a Approval) -> Option<&'a Question> {
        approval.questions.iter().find(|question| !self.answers.contains_key(&question.question))
    }

    /// Understands a line that was typed.
    pub fn typed(&mut self, line: &str) -> Step {
        let Some(approval) = self.first().cloned() else { return Step::Nothing };
        let line = line.trim();
        if self.reason {
            self.reason = false;
            return deny(&approval, line);
        }
        if line.is_empty() {
            return Step::Tell(String::new());
        }
        match self.question(&approval).cloned() {
            Some(question) => self.answer_question(&approval, &question, line),
            None => self.answer_tool(&approval, line),
        }
    }

    fn answer_question(&mut self, approval: &Approval, question: &Question, line: &str) -> Step {
        if let Some(reason) = line.strip_prefix("/deny") {
            return deny(approval, reason.trim());
        }
        let chosen = if question.multi_select {
            line.split(',').map(|part| choice(question, part)).filter(|part| !part.is_empty()).collect()
        } else {
            vec![choice(question, line)]
        };
        if chosen.is_empty() {
            return Step::Tell("choose at least one".to_owned());
        }
        self.answers.insert(question.question.clone(), chosen);
        if let Some(next) = self.question(approval) {
            return Step::Tell(ask(next));
        }
        let answers = Some(std::mem::take(&mut self.answers));
        let answer = Answer::Allow { scope: Scope::Once, updated_input: None, answers, message: None };
        Step::Answer(approval.id.clone(), answer)
    }

    fn answer_tool(&mut self, approval: &Approval, line: &str) -> Step {
        let is_tool = approval.kind == ApprovalKind::Tool;
        let scope = match line.to_ascii_lowercase().as_str() {
            "a" | "allow" | "y" | "yes" => Scope::Once,
            "t" if is_tool => Scope::Tool,
            "f" if is_tool && approval.is_edit => Scope::Directory,
            "3" if is_tool => Scope::All30m,
            "d" | "deny" | "n" | "no" => return deny(approval, ""),
            "r" => {
                self.reason = true;
                return Step::Tell(String::new());
            }
            _ => return Step::Tell(format!("{line:?} is none of the answers")),
        };
        let answer = Answer::Allow { scope, updated_input: None, answers: None, message: None };
        Step::Answer(approval.id.clone(), answer)
    }
}

fn deny(approval: &Approval, reason: &str) -> Step {
    let message = Some(reason.to_owned()).filter(|reason| !reason.is_empty());
    Step::Answer(approval.id.clone(), Answer::Deny { message })
}

fn question_prompt(question: &Question) -> String {
    let how = match (question.options.is_empty(), question.multi_select) {
        (true, _) => "your answer",
        (false, true) => "numbers with commas between, or your own words",
        (false, false) => "a number, or your own words",
    };
    format!("{how}; /deny [reason] to refuse\n? ")
}

/// An approval with everything that a person needs to decide.
pub fn show(approval: &Approval) -> String {
    let mut text = format!("\n{} {}\n", "?".yellow().bold(), exact(&approval.title).bold());
    let mut field = |name: &str, value: &str| {
        let value = exact(value.trim_end());
        let value = if value.contains('\n') { format!("\n{}", indent(&value, "    ")) } else { value };
        text.push_str(&format!("  {} {value}\n", format!("{name}:").dimmed()));
    };
    field("tool", &approval.tool_name);
    if !approval.directory.is_empty() {
        field("directory", &approval.directory);
    }
    if let Some(subagent) = &approval.subagent {
        field("sub-agent", subagent);
    }
    if let Some(reason) = &approval.reason {
        field("reason", reason);
    }
    if approval.kind != ApprovalKind::Question {
        for (name, value) in inputs(approval) {
            field(&exact(&name), &value);
        }
    }
    if let Some(diff) = &approval.diff {
        text.push_str(&coloured_diff(diff));
    }
    if let Some(question) = approval.questions.first() {
        text.push_str(&ask(question));
        text.push('\n');
    }
    text.push_str(&format!("  {}\n", approval.id.dimmed()));
    text
}

/// The tool's input, part by part; what the diff shows is not said twice.
fn inputs(approval: &Approval) -> Vec<(String, String)> {
    let told_by_diff = ["content", "old_string", "new_string", "edits", "new_source"];
    let shown = |value: &Value| match value {
        Value::String(text) => text.clone(),
        other => serde_json::to_string_pretty(other).unwrap_or_default(),
    };
    match &approval.tool_input {
        Value::Object(fields) => fields
            .iter()
            .filter(|(name, _)| approval.diff.is_none() || !told_by_diff.contains(&name.as_str()))
            .map(|(name, value)| (name.clone(), shown(value)))
            .collect(),
        Value::Null => Vec::new(),
        other => vec![("input".to_owned(), shown(other))],
    }
}

fn ask(question: &Question) -> String {
    let mut text = format!("  {}", exact(&question.question).bold());
    for (index, option) in question.options.iter().enumerate() {
        text.push_str(&format!("\n    {}  {}", index + 1, exact(&option.label)));
        if !option.description.is_empty() {
            text.push_str(&format!("  {}", exact(&option.description).dimmed()));
        }
    }
    text
}

fn coloured_diff(diff: &str) -> String {
    let coloured = |line: &str| match line.as_bytes().first() {
        Some(b'+') => format!("    {}\n", exact(line).green()),
        Some(b'-') => format!("    {}\n", exact(line).red()),
        _ => format!("    {}\n", exact(line)),
    };
    diff.lines().map(coloured).collect()
}

fn indent(text: &str, by: &str) -> String {
    text.lines().map(|line| format!("{by}{line}")).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::approvals::tests::approval;
    use super::*;

    fn plain(text: &str) -> String {
        anstream::adapter::strip_str(text).to_string()
    }

    fn desk(changes: Value) -> Desk {
        let mut desk = Desk::default();
        assert!(desk.put(approval(changes)));
        desk
    }

    fn scope(step: Step) -> Option<Scope> {
        match step {
            Step::Answer(_, Answer::Allow { scope, .. }) => Some(scope),
            _ => None,
        }
    }

    #[test]
    fn each_key_gives_its_answer() {
        for (key, expected) in
            [("a", Scope::Once), ("t", Scope::Tool), ("3", Scope::All30m), ("f", Scope::Directory)]
        {
            assert_eq!(scope(desk(json!({ "is_edit": true })).typed(key)), Some(expected), "{key}");
        }
        assert_eq!(scope(desk(json!({})).typed("f")), None, "only edits have a directory");
        for key in ["t", "3"] {
            assert_eq!(scope(desk(json!({ "kind": "plan" })).typed(key)), None, "a plan is answered once");
        }
        assert_eq!(desk(json!({})).typed("d"), deny(&approval(json!({})), ""));
    }

    #[test]
    fn an_unclear_or_empty_line_is_never_a_yes() {
        for line in ["", " ", "maybe", "aa", "1"] {
            assert!(matches!(desk(json!({})).typed(line), Step::Tell(_)), "{line:?}");
        }
        assert_eq!(Desk::default().typed("a"), Step::Nothing);
    }

    #[test]
    fn a_reason_is_asked_for_on_the_next_line() {
        let mut desk = desk(json!({}));
        assert_eq!(desk.typed("r"), Step::Tell(String::new()));
        assert_eq!(desk.prompt().as_deref(), Some("why not? "));
        assert_eq!(desk.typed("a"), deny(&approval(json!({})), "a"), "the reason may look like an answer");
    }

    #[test]
    fn questions_are_asked_one_after_the_other() {
        let mut desk = desk(json!({ "kind": "question", "questions": [
            { "question": "Colour?", "options": [{ "label": "Red" }, { "label": "Blue" }] },
            { "question": "Sizes?", "multi_select": true, "options": [{ "label": "S" }, { "label": "M" }] },
        ]}));
        let Step::Tell(next) = desk.typed("2") else { panic!("there is another question") };
        assert!(plain(&next).contains("Sizes?\n    1  S\n    2  M"), "{next}");
        let Step::Answer(_, Answer::Allow { answers: Some(answers), .. }) = desk.typed("1, huge") else {
            panic!("all is answered")
        };
        assert_eq!(answers["Colour?"], ["Blue"]);
        assert_eq!(answers["Sizes?"], ["S", "huge"]);
    }

    #[test]
    fn a_question_can_be_refused_and_its_letters_are_words() {
        let question = json!({ "kind": "question", "questions": [{ "question": "Name?" }] });
        assert!(matches!(desk(question.clone()).typed("a"), Step::Answer(_, answer) if answer.allowed()));
        let step = desk(question.clone()).typed("/deny not now");
        assert_eq!(step, deny(&approval(question), "not now"));
    }

    #[test]
    fn what_was_answered_elsewhere_leaves_the_desk_with_its_half_given_answer() {
        let mut desk = desk(json!({}));
        assert!(!desk.put(approval(json!({}))), "the same one is not asked twice");
        desk.put(approval(json!({ "id": "perm_2" })));
        desk.typed("r");
        desk.take("perm_0123456789ab");
        assert_eq!(desk.first().map(|first| first.id.as_str()), Some("perm_2"));
        assert_eq!(scope(desk.typed("a")), Some(Scope::Once), "it is not taken for the reason");
    }

    #[test]
    fn everything_that_matters_is_shown_and_nothing_hidden() {
        let shown = plain(&show(&approval(json!({
            "title": "Run a script", "reason": "to build", "subagent": "helper",
            "tool_input": { "command": "make\nrm -rf \u{1b}[8m/", "timeout": 5 },
        }))));
        for part in ["Run a script", "reason: to build", "sub-agent: helper", "timeout: 5", "directory: /p"] {
            assert!(shown.contains(part), "{part} in {shown}");
        }
        assert!(shown.contains("    make\n    rm -rf \\u{1b}[8m/"), "{shown}");
        let shown = plain(&show(&approval(json!({
            "diff": "@@\n-a\n+b\n", "tool_input": { "file_path": "/p/x", "content": "NOT TWICE" },
        }))));
        assert!(shown.contains("    -a\n    +b\n") && shown.contains("file_path: /p/x"), "{shown}");
        assert!(!shown.contains("NOT TWICE"), "{shown}");
    }
}
