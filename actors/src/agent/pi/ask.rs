//! What Pi asks: the gate's requests and the dialogs of extensions, turned into questions for a person.

use std::path::{Component, Path};

use serde_json::{Value, json};

use super::wire;
use crate::agent::fields::Fields;
use crate::agent::protocol::Outgoing;
use crate::agent::show::{one_line, short, shortened, unified};
use crate::domain::approval::{ApprovalKind, Ask, Question, QuestionOption};

/// Title of the dialog in which the gate asks for a tool call.
pub(super) const APPROVAL: &str = "tether.approval/1";
/// Title of the dialog in which the gate puts a question of the model's.
pub(super) const QUESTION: &str = "tether.question/1";
/// The tool that puts it.
const QUESTION_TOOL: &str = "ask_user";
/// The choices of a dialog that is answered by yes or no.
pub(super) const YES: &str = "Yes";
const NO: &str = "No";

/// Folders and files in which a change is as good as running something: they hold hooks, extensions and
/// settings of agents and editors. No mode and no directory grant covers them.
const SENSITIVE: [&str; 12] = [
    ".agents",
    ".claude",
    ".codex",
    ".envrc",
    ".gemini",
    ".git",
    ".github",
    ".husky",
    ".idea",
    ".opencode",
    ".pi",
    ".vscode",
];

/// A dialog that cannot be put to anybody.
#[derive(Debug)]
pub(super) struct Refused {
    /// What to answer: a no.
    pub(super) reply: Outgoing,
    /// Why.
    pub(super) why: String,
}

/// Reads the `extension_ui_request` of a dialog.
pub(super) fn read(id: &str, request: &Value) -> Result<Ask, Refused> {
    let title = request.text("title").unwrap_or_default();
    match request.text("method").unwrap_or("(none)") {
        "input" if title == APPROVAL => approval(id, request).map_err(|why| {
            let reason = format!("The request could not be understood ({why}), so it was refused.");
            let deny = json!({ "decision": "deny", "reason": reason });
            Refused {
                reply: wire::value(id, &deny.to_string()),
                why: format!("a tool was to run, but {why}"),
            }
        }),
        "input" if title == QUESTION => question(id, request).map_err(|why| put_away(id, why)),
        method @ ("input" | "editor" | "select" | "confirm") => dialog(id, method, request)
            .ok_or_else(|| put_away(id, format!("the dialog {:?} has no choices", one_line(title)))),
        method => {
            Err(put_away(id, format!("it is of a kind that is not known here ({:?})", one_line(method))))
        }
    }
}

fn put_away(id: &str, why: impl Into<String>) -> Refused {
    Refused { reply: wire::cancelled(id), why: why.into() }
}

/// The text in `placeholder`, which is JSON.
fn inner(request: &Value) -> Result<Value, &'static str> {
    let text = request.text("placeholder").ok_or("it holds nothing")?;
    serde_json::from_str(text).map_err(|_| "it cannot be read")
}

fn approval(id: &str, request: &Value) -> Result<Ask, &'static str> {
    let asked = inner(request)?;
    let tool = asked.text("toolName").filter(|name| !name.is_empty()).ok_or("it names no tool")?;
    let input = asked.get("input").filter(|input| input.is_object()).ok_or("its input is no object")?;
    let cwd = asked.text("cwd");
    let edited = input.text("path").filter(|_| matches!(tool, "write" | "edit"));
    let path = edited.and_then(|path| place(path, cwd));
    let sensitive = path.as_deref().is_some_and(is_sensitive);
    Ok(Ask {
        kind: ApprovalKind::Tool,
        title: title(tool, input, cwd),
        diff: edited.and_then(|path| diff(tool, input, short(path, cwd))),
        is_edit: path.is_some() && !sensitive,
        paths: path.into_iter().collect(),
        tool_use_id: asked.text("toolCallId").map(str::to_owned),
        can_change_input: true,
        ..plain(id, tool, input.clone())
    })
}

fn plain(id: &str, tool: &str, input: Value) -> Ask {
    Ask {
        request: id.to_owned(),
        kind: ApprovalKind::Question,
        tool_name: tool.to_owned(),
        tool_input: input,
        title: String::new(),
        diff: None,
        paths: Vec::new(),
        is_edit: false,
        questions: Vec::new(),
        reason: None,
        suggestions: None,
        tool_use_id: None,
        subagent: None,
        can_change_input: false,
    }
}

/// Where Pi would write, absolute; `None` if that is not plain from the text. (Pi takes a leading `@` off,
/// expands `~`, and makes other spaces of the odd ones.)
fn place(path: &str, cwd: Option<&str>) -> Option<String> {
    let odd = |c: char| c.is_control() || (c.is_whitespace() && c != ' ');
    if path.is_empty() || path.starts_with(['@', '~']) || path.contains(odd) {
        return None;
    }
    let whole = Path::new(cwd?).join(path);
    whole.is_absolute().then(|| whole.display().to_string())
}

fn is_sensitive(path: &str) -> bool {
    let named =
        |part: Component<'_>| SENSITIVE.iter().any(|name| part.as_os_str().eq_ignore_ascii_case(name));
    Path::new(path).components().any(named)
}

/// One clear line: what would happen.
fn title(tool: &str, input: &Value, cwd: Option<&str>) -> String {
    let file = || input.text("path").map(|path| format!("{tool} {}", short(path, cwd)));
    let word = |key: &str| input.text(key).map(|text| format!("{tool}: {text}"));
    let title = match tool {
        "bash" => word("command"),
        "write" | "edit" | "read" | "ls" => file(),
        "grep" | "find" => word("pattern"),
        _ => None,
    };
    one_line(&title.unwrap_or_else(|| match input.as_object() {
        Some(fields) if fields.is_empty() => tool.to_owned(),
        _ => format!("{tool}: {input}"),
    }))
}

/// What the input alone tells of the change, as a unified diff: the file itself is not looked at.
fn diff(tool: &str, input: &Value, path: &str) -> Option<String> {
    let edit = |edit: &Value| Some(unified(edit.text("oldText")?, edit.text("newText")?, path));
    let whole = match (tool, input.list("edits")) {
        ("write", _) => unified("", input.text("content")?, path),
        (_, []) => edit(input)?,
        (_, edits) => edits.iter().map(edit).collect::<Option<Vec<_>>>()?.concat(),
    };
    shortened(whole)
}

/// A question that the model puts with the gate's own tool.
fn question(id: &str, request: &Value) -> Result<Ask, &'static str> {
    let asked = inner(request)?;
    let text = asked.text("question").filter(|text| !text.trim().is_empty()).ok_or("it asks nothing")?;
    let options = asked.list("options").iter().map(|option| {
        Some(QuestionOption {
            label: option.text("label")?.to_owned(),
            description: option.text("description").unwrap_or_default().to_owned(),
        })
    });
    let input = json!({ "method": "question", "question": text, "options": asked.get("options") });
    Ok(Ask {
        title: one_line(&format!("Question: {text}")),
        questions: vec![Question {
            question: text.to_owned(),
            header: String::new(),
            multi_select: asked.flag("multiple"),
            options: options.collect::<Option<_>>().ok_or("a choice has no name")?,
        }],
        tool_use_id: asked.text("toolCallId").map(str::to_owned),
        ..plain(id, QUESTION_TOOL, input)
    })
}

/// A dialog of an extension; `None` if there is nothing to choose from.
fn dialog(id: &str, method: &str, request: &Value) -> Option<Ask> {
    let title = request.text("title").filter(|title| !title.trim().is_empty()).unwrap_or(method);
    let text = match request.text("message").filter(|_| method == "confirm") {
        Some(message) => format!("{title}\n{message}"),
        None => title.to_owned(),
    };
    let labels: Vec<&str> = match method {
        "select" => request.list("options").iter().map(Value::as_str).collect::<Option<_>>()?,
        "confirm" => vec![YES, NO],
        _ => Vec::new(),
    };
    if method == "select" && labels.is_empty() {
        return None;
    }
    let option = |label: &str| QuestionOption { label: label.to_owned(), description: String::new() };
    // What a text field or an editor begins with.
    let given = request.text("placeholder").or(request.text("prefill")).filter(|text| !text.is_empty());
    Some(Ask {
        title: one_line(&format!("Question: {text}")),
        questions: vec![Question {
            question: text,
            header: String::new(),
            multi_select: false,
            options: labels.into_iter().map(option).collect(),
        }],
        reason: given.map(str::to_owned),
        ..plain(id, "dialog", json!({ "method": method, "title": title }))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tool(name: &str, input: Value) -> Ask {
        let asked =
            json!({ "toolCallId": "c", "toolName": name, "input": input, "cwd": "/home/dev/project" });
        let request = json!({ "method": "input", "title": APPROVAL, "placeholder": asked.to_string() });
        read("r", &request).expect("it can be asked")
    }

    #[test]
    fn a_title_says_in_one_line_what_would_happen() {
        let title = |name: &str, input: Value| tool(name, input).title;
        assert_eq!(title("bash", json!({ "command": "touch a\necho made" })), "bash: touch a⏎echo made");
        assert_eq!(title("write", json!({ "path": "/home/dev/project/a", "content": "" })), "write a");
        assert_eq!(title("read", json!({ "path": "/etc/shadow" })), "read /etc/shadow");
        assert_eq!(title("grep", json!({ "pattern": "x", "path": "." })), "grep: x");
        assert_eq!(title("deploy", json!({})), "deploy");
        assert_eq!(title("deploy", json!({ "to": "prod" })), "deploy: {\"to\":\"prod\"}");
    }

    #[test]
    fn an_edit_names_its_file_and_shows_its_change() {
        let edits = json!([{ "oldText": "a", "newText": "b" }, { "oldText": "c", "newText": "" }]);
        let edit = tool("edit", json!({ "path": "src/a.rs", "edits": edits }));
        assert!(edit.is_edit && edit.can_change_input);
        assert_eq!(edit.paths, ["/home/dev/project/src/a.rs"]);
        assert_eq!(edit.diff.map(|diff| diff.matches("@@ -").count()), Some(2));
        let write = tool("write", json!({ "path": "/p/a", "content": "one\ntwo" }));
        assert_eq!(write.paths, ["/p/a"]);
        assert_eq!(write.diff.as_deref(), Some("--- /p/a\n+++ /p/a\n@@ -0,0 +1,2 @@\n+one\n+two\n"));
    }

    #[test]
    fn only_a_plain_change_of_a_known_file_counts_as_an_edit() {
        let edit = |path: &str| tool("write", json!({ "path": path, "content": "x" }));
        for odd in ["", "@a", "~/a", "a\u{a0}b", "a\nb"] {
            assert!(!edit(odd).is_edit && edit(odd).paths.is_empty(), "{odd:?}");
        }
        for sensitive in [".git/hooks/pre-commit", ".pi/settings.json", "/p/.GIT/config", ".envrc"] {
            assert!(!edit(sensitive).is_edit && !edit(sensitive).paths.is_empty(), "{sensitive}");
        }
        assert!(!tool("bash", json!({ "command": "x", "path": "/p/a" })).is_edit);
        assert!(!tool("deploy", json!({ "path": "/p/a", "content": "x" })).is_edit);
    }

    #[test]
    fn a_request_of_the_gate_that_cannot_be_read_is_refused_with_words() {
        for placeholder in ["", "{", "{}", r#"{"toolName":"bash"}"#, r#"{"toolName":"bash","input":"ls"}"#] {
            let request = json!({ "method": "input", "title": APPROVAL, "placeholder": placeholder });
            let refused = read("r", &request).expect_err("it cannot be asked");
            assert!(refused.reply.line.contains(r#"{\"decision\":\"deny\""#), "{}", refused.reply.line);
        }
        assert!(read("r", &json!({ "method": "input", "title": APPROVAL })).is_err());
    }

    #[test]
    fn dialogs_of_extensions_are_questions_and_unknown_ones_are_put_away() {
        let ask = |request: Value| read("r", &request).expect("it can be asked");
        let select = ask(json!({ "method": "select", "title": "Which?", "options": ["a", "b"] }));
        assert_eq!((select.kind, select.questions[0].options.len()), (ApprovalKind::Question, 2));
        let confirm = ask(json!({ "method": "confirm", "title": "Sure?", "message": "It is big." }));
        assert_eq!(confirm.questions[0].question, "Sure?\nIt is big.");
        assert_eq!(confirm.questions[0].options[0].label, YES);
        let editor = ask(json!({ "method": "editor", "title": "Text", "prefill": "so far" }));
        assert_eq!(editor.reason.as_deref(), Some("so far"));
        for odd in [
            json!({ "method": "select", "title": "Which?", "options": [] }),
            json!({ "method": "select", "title": "Which?", "options": [1] }),
            json!({ "method": "hologram" }),
            json!({}),
        ] {
            let refused = read("r", &odd).expect_err("it cannot be asked");
            assert!(refused.reply.line.contains("\"cancelled\":true"), "{odd}");
        }
    }

    #[test]
    fn a_question_of_the_model_keeps_its_choices() {
        let asked = json!({ "toolCallId": "c", "question": "Which?", "multiple": true,
            "options": [{ "label": "a", "description": "A" }, { "label": "b" }] });
        let request = json!({ "method": "input", "title": QUESTION, "placeholder": asked.to_string() });
        let ask = read("r", &request).expect("it can be asked");
        assert!(ask.questions[0].multi_select && ask.questions[0].options.len() == 2);
        assert_eq!((ask.tool_name.as_str(), ask.tool_use_id.as_deref()), ("ask_user", Some("c")));
        let none = json!({ "method": "input", "title": QUESTION, "placeholder": "{\"question\":\" \"}" });
        assert!(read("r", &none).is_err());
    }
}
