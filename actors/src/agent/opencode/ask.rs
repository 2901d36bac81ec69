//! `permission.asked` and `question.asked`, turned into questions for a person.

use std::path::{Component, Path};

use serde_json::{Value, json};

use crate::agent::fields::Fields;
use crate::agent::show::{one_line, short, shortened};
use crate::domain::approval::{ApprovalKind, Ask, Question, QuestionOption};

/// The name under which questions are shown.
pub(super) const QUESTION_TOOL: &str = "question";

/// Requests that are about more than one tool call, so that only a person may answer: "it does the same again
/// and again, shall it go on", and "let a whole workflow run".
const NOT_A_TOOL: [&str; 4] = ["doom_loop", "workflow_tool_approval", "plan_enter", "plan_exit"];

/// Folders and files that are as good as running something: writing them is no plain change of a file.
const SENSITIVE: [&str; 14] = [
    ".git",
    ".opencode",
    ".claude",
    ".codex",
    ".pi",
    ".gemini",
    ".cursor",
    ".vscode",
    ".husky",
    ".devcontainer",
    "opencode.json",
    "opencode.jsonc",
    ".mcp.json",
    ".envrc",
];

/// Reads a permission: `{id, sessionID, permission, patterns, metadata, always, tool?:{messageID, callID}}`.
/// `Err` says why it cannot be asked; it is then refused.
pub(super) fn permission(asked: &Value, directory: &str, subagent: Option<String>) -> Result<Ask, String> {
    let request = asked.text("id").filter(|id| !id.is_empty()).ok_or("it has no id")?;
    let permission = asked.text("permission").filter(|name| !name.is_empty()).ok_or("it names no tool")?;
    let nothing = Value::Null;
    let metadata = asked.get("metadata").unwrap_or(&nothing);
    let patterns: Vec<&str> = asked.list("patterns").iter().filter_map(Value::as_str).collect();
    let kind = if NOT_A_TOOL.contains(&permission) { ApprovalKind::Unknown } else { ApprovalKind::Tool };
    // The same call asked anew after a crash has the same input: no ids are in it.
    let mut input = metadata.as_object().cloned().unwrap_or_default();
    let diff = input.remove("diff").and_then(|diff| diff.as_str().map(str::to_owned));
    input.remove("files").map(|files| input.insert("files".to_owned(), without_patches(files)));
    input.insert("patterns".to_owned(), json!(patterns));
    let named = files(metadata);
    let absolute = !named.is_empty() && named.iter().all(|path| Path::new(path).is_absolute());
    let is_edit = permission == "edit" && absolute && !named.iter().any(|path| is_sensitive(path));
    Ok(Ask {
        request: request.to_owned(),
        kind,
        tool_name: permission.to_owned(),
        title: title(permission, metadata, &patterns, &named, directory),
        tool_input: Value::Object(input),
        diff: diff.map(|diff| without_index(&diff).to_owned()).and_then(shortened),
        is_edit,
        paths: if permission == "edit" && absolute { named } else { Vec::new() },
        questions: Vec::new(),
        reason: (permission == "external_directory")
            .then(|| "it is outside of the session's directory".to_owned()),
        suggestions: Some(json!({ "always": asked.get("always") })).filter(|_| asked.get("always").is_some()),
        tool_use_id: asked.get("tool").and_then(|tool| tool.text("callID")).map(str::to_owned),
        subagent,
        can_change_input: false,
    })
}

/// A unified diff without the two lines that some programs put in front (`Index: <path>` and a rule).
fn without_index(diff: &str) -> &str {
    if !diff.starts_with("Index: ") {
        return diff;
    }
    diff.find("\n--- ").and_then(|at| diff.get(at + 1..)).unwrap_or(diff)
}

/// The files that it would write, moved ones by both their names.
fn files(metadata: &Value) -> Vec<String> {
    let list = metadata.list("files");
    if list.is_empty() {
        return metadata.text("filepath").map(str::to_owned).into_iter().collect();
    }
    let names = |file: &Value| {
        // One without a name is not known, which must show: as a path that is not absolute.
        let name = file.text("filePath").unwrap_or_default().to_owned();
        std::iter::once(name).chain(file.text("movePath").map(str::to_owned)).collect::<Vec<_>>()
    };
    list.iter().flat_map(names).collect()
}

/// The list of changed files; what changes in them is in the diff.
fn without_patches(mut files: Value) -> Value {
    for file in files.as_array_mut().into_iter().flatten() {
        if let Some(file) = file.as_object_mut() {
            file.remove("patch");
        }
    }
    files
}

fn is_sensitive(path: &str) -> bool {
    let mut names = Path::new(path).components();
    names.any(|name| {
        matches!(name, Component::ParentDir)
            || SENSITIVE.iter().any(|word| name.as_os_str().eq_ignore_ascii_case(word))
    })
}

/// One clear line: what would happen.
fn title(permission: &str, metadata: &Value, patterns: &[&str], files: &[String], directory: &str) -> String {
    let named = || files.iter().map(|path| short(path, Some(directory))).collect::<Vec<_>>().join(", ");
    let all = || patterns.join(", ");
    let title = match permission {
        "bash" => format!("bash: {}", metadata.text("command").map_or_else(all, str::to_owned)),
        "edit" if !files.is_empty() => format!("edit {}", named()),
        "external_directory" => match metadata.text("command") {
            Some(command) => format!("outside of the directory ({}): {command}", all()),
            None => format!("outside of the directory: {}", all()),
        },
        "webfetch" => format!("webfetch {}", metadata.text("url").map_or_else(all, str::to_owned)),
        "task" => format!("task: {}", metadata.text("description").map_or_else(all, str::to_owned)),
        "doom_loop" => {
            let tool = metadata.text("tool").unwrap_or("tool");
            format!("it makes the same {tool} call again and again: go on?")
        }
        _ if patterns.is_empty() || patterns == ["*"] => match metadata.as_object() {
            Some(data) if !data.is_empty() => format!("{permission}: {metadata}"),
            _ => permission.to_owned(),
        },
        _ => format!("{permission}: {}", all()),
    };
    one_line(&title)
}

/// Reads a question: `{id, sessionID, questions:[{question, header, options:[{label, description}], multiple?}],
/// tool?}`. What is not in this shape is shown raw.
pub(super) fn question(asked: &Value, subagent: Option<String>) -> Result<Ask, String> {
    let request = asked.text("id").filter(|id| !id.is_empty()).ok_or("it has no id")?;
    let questions = questions(asked);
    let first = questions.as_ref().and_then(|questions| questions.first());
    Ok(Ask {
        request: request.to_owned(),
        kind: if questions.is_some() { ApprovalKind::Question } else { ApprovalKind::Unknown },
        tool_name: QUESTION_TOOL.to_owned(),
        title: one_line(
            &first.map_or_else(|| QUESTION_TOOL.to_owned(), |first| format!("Question: {}", first.question)),
        ),
        tool_input: json!({ "questions": asked.get("questions") }),
        diff: None,
        paths: Vec::new(),
        is_edit: false,
        questions: questions.unwrap_or_default(),
        reason: None,
        suggestions: None,
        tool_use_id: asked.get("tool").and_then(|tool| tool.text("callID")).map(str::to_owned),
        subagent,
        can_change_input: false,
    })
}

fn questions(asked: &Value) -> Option<Vec<Question>> {
    let list = asked.list("questions");
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
                multi_select: question.flag("multiple"),
                options: options.collect::<Option<_>>()?,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(permission_name: &str, patterns: Value, metadata: Value) -> Ask {
        let asked = json!({ "id": "per_1", "sessionID": "ses_1", "permission": permission_name,
            "patterns": patterns, "metadata": metadata, "always": ["*"] });
        permission(&asked, "/p", None).expect("it can be asked")
    }

    #[test]
    fn a_title_says_in_one_line_what_would_happen() {
        let title = |name: &str, patterns: Value, metadata: Value| ask(name, patterns, metadata).title;
        assert_eq!(title("bash", json!(["a"]), json!({ "command": "a; b\nc" })), "bash: a; b⏎c");
        assert_eq!(title("edit", json!(["x"]), json!({ "filepath": "/p/x" })), "edit x");
        assert_eq!(title("webfetch", json!(["u"]), json!({ "url": "http://x/" })), "webfetch http://x/");
        assert_eq!(title("read", json!([".env"]), json!({})), "read: .env");
        assert_eq!(title("server_tool", json!(["*"]), json!({})), "server_tool");
        assert_eq!(
            title("external_directory", json!(["/etc/*"]), json!({ "filepath": "/etc/x" })),
            "outside of the directory: /etc/*"
        );
    }

    #[test]
    fn only_a_plain_change_of_known_files_counts_as_an_edit() {
        let diff = "--- /p/x\n+++ /p/x\n@@ -0,0 +1,1 @@\n+a\n";
        let whole = format!("Index: /p/x\n=====\n{diff}");
        let edit = ask("edit", json!(["x"]), json!({ "filepath": "/p/x", "diff": whole }));
        assert!(edit.is_edit && edit.diff.as_deref() == Some(diff));
        assert_eq!(edit.paths, ["/p/x"]);
        for path in ["x", "/p/.git/hooks/x", "/p/opencode.json", "/p/../q", "/p/.OpenCode/plugin/x.js"] {
            assert!(!ask("edit", json!(["x"]), json!({ "filepath": path })).is_edit, "{path}");
        }
        assert!(!ask("edit", json!(["x"]), json!({})).is_edit, "no path");
        assert!(!ask("bash", json!(["x"]), json!({ "filepath": "/p/x", "command": "x" })).is_edit);
        let patch = |files: Value| ask("edit", json!([]), json!({ "filepath": "a, b", "files": files }));
        let two =
            patch(json!([{ "filePath": "/p/a", "patch": "x" }, { "filePath": "/p/b", "movePath": "/p/c" }]));
        assert!(two.is_edit && two.tool_input["files"][0].get("patch").is_none());
        assert_eq!(two.paths, ["/p/a", "/p/b", "/p/c"]);
        assert!(!patch(json!([{ "filePath": "/p/a" }, { "relativePath": "b" }])).is_edit, "one is not known");
    }

    #[test]
    fn what_is_about_more_than_one_call_is_for_a_person_only() {
        assert_eq!(ask("doom_loop", json!(["bash"]), json!({ "tool": "bash" })).kind, ApprovalKind::Unknown);
        assert_eq!(ask("bash", json!(["ls"]), json!({})).kind, ApprovalKind::Tool);
        assert!(permission(&json!({ "permission": "bash" }), "/p", None).is_err());
        assert!(permission(&json!({ "id": "x" }), "/p", None).is_err());
    }

    #[test]
    fn a_question_that_cannot_be_put_is_shown_raw() {
        let odd = question(&json!({ "id": "que_1", "questions": [{ "q": 1 }] }), None).expect("it is asked");
        assert_eq!(odd.kind, ApprovalKind::Unknown);
        assert_eq!(odd.tool_input["questions"][0]["q"], 1);
        let good = json!({ "id": "que_1", "questions": [{ "question": "Which?", "header": "H", "multiple": true,
            "options": [{ "label": "a", "description": "A" }] }] });
        let good = question(&good, None).expect("it is asked");
        assert_eq!((good.kind, good.title.as_str()), (ApprovalKind::Question, "Question: Which?"));
        assert!(good.questions[0].multi_select);
    }
}
