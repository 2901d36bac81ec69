//! `can_use_tool`: what the agent asks, turned into a question for a person.

use std::path::Path;

use serde_json::Value;

use crate::agent::fields::Fields;
use crate::agent::show::{one_line, short, shortened, unified};
use crate::domain::approval::{ApprovalKind, Ask, Question, QuestionOption};

/// Tools that only write one file, and the name of the input that says which.
const EDIT_TOOLS: &[(&str, &str)] = &[
    ("Write", "file_path"),
    ("Edit", "file_path"),
    ("MultiEdit", "file_path"),
    ("NotebookEdit", "notebook_path"),
];

/// The tool that asks the person to choose.
pub(super) const QUESTION_TOOL: &str = "AskUserQuestion";
/// The tool that shows a plan and asks to begin.
pub(super) const PLAN_TOOL: &str = "ExitPlanMode";

/// Reads the `request` of a `can_use_tool`. `Err` says why it cannot be asked; it is then refused.
pub(super) fn read(request_id: &str, request: &Value, cwd: Option<&str>) -> Result<Ask, String> {
    let tool = request.text("tool_name").filter(|name| !name.is_empty()).ok_or("it names no tool")?;
    let input = request.get("input").filter(|input| input.is_object()).ok_or("its input is no object")?;
    let questions = if tool == QUESTION_TOOL { questions(input) } else { None };
    let kind = match tool {
        QUESTION_TOOL if questions.is_some() => ApprovalKind::Question,
        QUESTION_TOOL => ApprovalKind::Unknown,
        PLAN_TOOL => ApprovalKind::Plan,
        // A yes may mean more there than "run it"; no mode and no grant may give it.
        _ if request.flag("requires_user_interaction") => ApprovalKind::Unknown,
        _ => ApprovalKind::Tool,
    };
    let edited = EDIT_TOOLS.iter().find(|(name, _)| *name == tool).and_then(|(_, key)| input.text(key));
    // The agent makes paths absolute before it asks. One that is not would be taken from wherever the
    // agent's shell has gone, which we do not know: no directory grant may cover it.
    let paths: Vec<String> =
        edited.filter(|path| Path::new(path).is_absolute()).map(str::to_owned).into_iter().collect();
    // Settings, git hooks, shell profiles: the agent asks about these even where it may edit freely,
    // because writing them is as good as running something.
    let sensitive = request.text("decision_reason_type") == Some("safetyCheck");
    Ok(Ask {
        request: request_id.to_owned(),
        kind,
        tool_name: tool.to_owned(),
        tool_input: input.clone(),
        title: title(tool, input, cwd),
        diff: edited.and_then(|path| diff(tool, input, short(path, cwd))),
        is_edit: !paths.is_empty() && !sensitive,
        paths,
        questions: questions.unwrap_or_default(),
        reason: request.text("decision_reason").filter(|reason| !reason.is_empty()).map(str::to_owned),
        suggestions: request.get("permission_suggestions").filter(|list| !list.is_null()).cloned(),
        tool_use_id: request.text("tool_use_id").map(str::to_owned),
        subagent: request.text("agent_id").map(str::to_owned),
        can_change_input: matches!(kind, ApprovalKind::Tool | ApprovalKind::Unknown),
    })
}

/// The questions; `None` if they are not in the shape that we can put.
fn questions(input: &Value) -> Option<Vec<Question>> {
    let list = input.list("questions");
    if list.is_empty() {
        return None;
    }
    list.iter()
        .map(|question| {
            let options = question.list("options").iter().map(|option| {
                Some(QuestionOption {
                    label: option.text("label")?.to_owned(),
                    description: option.text("description").unwrap_or_default().to_owned(),
                })
            });
            Some(Question {
                question: question.text("question")?.to_owned(),
                header: question.text("header").unwrap_or_default().to_owned(),
                multi_select: question.flag("multiSelect"),
                options: options.collect::<Option<_>>()?,
            })
        })
        .collect()
}

/// One clear line: what would happen.
fn title(tool: &str, input: &Value, cwd: Option<&str>) -> String {
    let file = |key: &str| input.text(key).map(|path| format!("{tool} {}", short(path, cwd)));
    let word = |key: &str| input.text(key).map(|text| format!("{tool}: {text}"));
    let title = match tool {
        "Bash" => word("command"),
        "Write" | "Edit" | "MultiEdit" | "Read" => file("file_path"),
        "NotebookEdit" | "NotebookRead" => file("notebook_path"),
        "WebFetch" => input.text("url").map(|url| format!("{tool} {url}")),
        "WebSearch" => word("query"),
        "Glob" | "Grep" => word("pattern"),
        "Task" | "Agent" => word("description"),
        QUESTION_TOOL => input
            .list("questions")
            .first()
            .and_then(|question| question.text("question"))
            .map(|question| format!("Question: {question}")),
        PLAN_TOOL => {
            let plan = input.text("plan").unwrap_or_default();
            let first = plan.lines().map(|line| line.trim_start_matches('#').trim()).find(|l| !l.is_empty());
            Some(first.map_or_else(|| "Plan".to_owned(), |line| format!("Plan: {line}")))
        }
        _ => None,
    };
    one_line(&title.unwrap_or_else(|| match input.as_object() {
        Some(fields) if fields.is_empty() => tool.to_owned(),
        _ => format!("{tool}: {input}"),
    }))
}

/// What the input alone tells of the change, as a unified diff: the file itself is not looked at, so a
/// `Write` adds all its lines and an `Edit` shows the passage without its place.
fn diff(tool: &str, input: &Value, path: &str) -> Option<String> {
    let edit = |edit: &Value| Some(unified(edit.text("old_string")?, edit.text("new_string")?, path));
    let whole = match tool {
        "Write" => unified("", input.text("content")?, path),
        "Edit" => edit(input)?,
        "MultiEdit" => input.list("edits").iter().map(edit).collect::<Option<Vec<_>>>()?.concat(),
        "NotebookEdit" => unified("", input.text("new_source").unwrap_or_default(), path),
        _ => return None,
    };
    shortened(whole)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn ask(request: Value) -> Ask {
        read("r", &request, Some("/home/dev/project")).expect("it can be asked")
    }

    fn tool(name: &str, input: Value) -> Ask {
        ask(json!({ "subtype": "can_use_tool", "tool_name": name, "input": input }))
    }

    #[test]
    fn a_title_says_in_one_line_what_would_happen() {
        let title = |name: &str, input: Value| tool(name, input).title;
        assert_eq!(title("Bash", json!({ "command": "touch a && echo made" })), "Bash: touch a && echo made");
        assert_eq!(title("Write", json!({ "file_path": "/home/dev/project/notes.txt" })), "Write notes.txt");
        assert_eq!(title("Read", json!({ "file_path": "/etc/shadow" })), "Read /etc/shadow");
        assert_eq!(
            title("Read", json!({ "file_path": "/home/dev/project2/x" })),
            "Read /home/dev/project2/x"
        );
        assert_eq!(title("mcp__s__go", json!({})), "mcp__s__go");
        assert_eq!(title("mcp__s__go", json!({ "a": 1 })), "mcp__s__go: {\"a\":1}");
        assert_eq!(title("ExitPlanMode", json!({ "plan": "\n# Do it\nnow" })), "Plan: Do it");
        assert_eq!(title("ExitPlanMode", json!({})), "Plan");
        assert_eq!(
            title("Bash", json!({ "command": "a\nb\u{202e}c\u{1b}[2K" })),
            "Bash: a⏎b\u{fffd}c\u{fffd}[2K"
        );
        assert!(title("Bash", json!({ "command": "x".repeat(10_000) })).len() < 250);
    }

    #[test]
    fn an_edit_names_its_file_and_shows_its_change() {
        let edit = tool("Edit", json!({ "file_path": "/p/a", "old_string": "x\ny", "new_string": "x\nz" }));
        assert!(edit.is_edit);
        assert_eq!(edit.paths, ["/p/a"]);
        assert_eq!(edit.diff.as_deref(), Some("--- /p/a\n+++ /p/a\n@@ -1,2 +1,2 @@\n x\n-y\n+z\n"));
        let write = tool("Write", json!({ "file_path": "/p/a", "content": "one\ntwo" }));
        assert_eq!(write.diff.as_deref(), Some("--- /p/a\n+++ /p/a\n@@ -0,0 +1,2 @@\n+one\n+two\n"));
        let edits =
            json!([{ "old_string": "a", "new_string": "b" }, { "old_string": "c", "new_string": "" }]);
        let multi = tool("MultiEdit", json!({ "file_path": "/p/a", "edits": edits }));
        assert_eq!(multi.diff.map(|diff| diff.matches("@@ -").count()), Some(2));
    }

    #[test]
    fn a_long_change_is_cut_with_a_mark() {
        let diff = tool("Write", json!({ "file_path": "/p/a", "content": "line\n".repeat(100_000) })).diff;
        let diff = diff.expect("there is a diff");
        assert!(diff.len() < 65 * 1024 && diff.ends_with("more lines are not shown\n"), "{}", diff.len());
    }

    #[test]
    fn only_a_plain_edit_of_a_known_file_counts_as_one() {
        assert!(!tool("Write", json!({ "file_path": "rel", "content": "x" })).is_edit, "relative");
        assert!(!tool("Write", json!({ "content": "x" })).is_edit, "no path");
        assert!(!tool("Bash", json!({ "command": "x", "file_path": "/p/a" })).is_edit, "a shell command");
        let sensitive = ask(json!({
            "tool_name": "Write", "input": { "file_path": "/p/.git/hooks/x", "content": "x" },
            "decision_reason_type": "safetyCheck",
        }));
        assert!(!sensitive.is_edit, "a git hook");
        assert_eq!(sensitive.paths, ["/p/.git/hooks/x"]);
    }

    #[test]
    fn questions_plans_and_what_we_do_not_know_are_told_apart() {
        let questions = json!({ "questions": [{ "question": "Which?", "header": "H", "multiSelect": true,
            "options": [{ "label": "a", "description": "A" }, { "label": "b" }] }] });
        let question = tool("AskUserQuestion", questions);
        assert_eq!(question.kind, ApprovalKind::Question);
        assert!(question.questions[0].multi_select && question.questions[0].options.len() == 2);
        assert_eq!(tool("AskUserQuestion", json!({ "questions": [{ "q": 1 }] })).kind, ApprovalKind::Unknown);
        assert_eq!(tool("ExitPlanMode", json!({})).kind, ApprovalKind::Plan);
        let strange = json!({ "tool_name": "New", "input": {}, "requires_user_interaction": true });
        assert_eq!(ask(strange).kind, ApprovalKind::Unknown);
        assert!(read("r", &json!({ "input": {} }), None).is_err());
        assert!(read("r", &json!({ "tool_name": "Bash", "input": "ls" }), None).is_err());
    }
}
