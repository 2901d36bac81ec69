//! `session/request_permission`: what the agent asks, turned into a question for a person, and the answer in the
//! agent's terms.

use std::path::{Component, Path};

use serde_json::{Value, json};

use super::calls::Call;
use super::wire::plain;
use crate::agent::fields::{Fields, head};
use crate::agent::show::{one_line, short, shortened, unified};
use crate::domain::approval::{Answer, ApprovalKind, Ask, Question, QuestionOption};

/// Longest reason of the agent's that is shown, in bytes.
const REASON_LIMIT: usize = 2_000;
/// The option that is chosen for a yes. Never an `allow_always`: what that grants is the agent's to say, and in
/// the recordings it was each time more than what was asked.
const ALLOW: &str = "allow_once";
/// The option that is chosen for a no.
const REJECT: &str = "reject_once";
/// Folders and files in which a plain text is as good as a command: settings of agents and editors, git's hooks,
/// shell profiles. A change there is always asked about as what it is, not as an edit.
const SENSITIVE: &[&str] = &[
    ".aider.conf.yml",
    ".bash_login",
    ".bash_profile",
    ".bashrc",
    ".claude",
    ".codex",
    ".continue",
    ".cursor",
    ".direnv",
    ".envrc",
    ".gemini",
    ".git",
    ".gitconfig",
    ".gitmodules",
    ".goose",
    ".husky",
    ".idea",
    ".mcp.json",
    ".npmrc",
    ".opencode",
    ".pi",
    ".profile",
    ".ssh",
    ".vscode",
    ".zprofile",
    ".zshenv",
    ".zshrc",
    "opencode.json",
    "opencode.jsonc",
];

/// Reads a permission request. `Err` says why it cannot be asked; it is then refused.
pub(super) fn read(request: String, params: &Value, call: &Call, cwd: &str) -> Result<Ask, String> {
    let options = params.list("options");
    let yes: Vec<&Value> = options.iter().filter(|option| is(option, ALLOW)).collect();
    if yes.is_empty() {
        return Err("it offers no way to allow it only once".to_owned());
    }
    let tool = call.tool();
    let input = call.tool_input();
    let says_nothing = input.as_object().is_none_or(|fields| fields.is_empty());
    let kind = match () {
        // A plain yes would not tell which of them is meant.
        () if yes.len() > 1 => ApprovalKind::Question,
        () if call.kind.as_deref() == Some("switch_mode") => ApprovalKind::Plan,
        () if matches!(tool.as_str(), "ExitPlanMode" | "exit_plan_mode") => ApprovalKind::Plan,
        () if says_nothing || call.cut => ApprovalKind::Unknown,
        () => ApprovalKind::Tool,
    };
    let title = title(call, &tool, &input, cwd);
    let content = call.content.as_array().map_or(&[][..], Vec::as_slice);
    let changes: Vec<(&str, &str, &str)> = content.iter().filter_map(change).collect();
    let texts: Vec<Value> = content.iter().filter_map(|item| item.get("content")).cloned().collect();
    let words = plain(&texts);
    let paths = paths(call, &changes);
    let is_edit = call.kind.as_deref() == Some("edit")
        && kind == ApprovalKind::Tool
        && !changes.is_empty()
        && paths.iter().all(|path| Path::new(path).is_absolute() && !sensitive(path));
    let questions = if kind == ApprovalKind::Question { vec![choice(&title, &yes)] } else { Vec::new() };
    Ok(Ask {
        request,
        kind,
        tool_name: tool,
        tool_input: input,
        title,
        diff: shortened(
            changes.iter().map(|(path, old, new)| unified(old, new, short(path, Some(cwd)))).collect(),
        ),
        // One that is relative would be taken from wherever the agent's shell has gone.
        paths: paths.into_iter().filter(|path| Path::new(path).is_absolute()).collect(),
        is_edit,
        questions,
        reason: Some(head(&words, REASON_LIMIT).trim().to_owned()).filter(|words| !words.is_empty()),
        suggestions: Some(params.get("options").cloned().unwrap_or_default()),
        tool_use_id: Some(call.id.clone()).filter(|id| !id.is_empty()),
        subagent: call.parent.clone(),
        can_change_input: false,
    })
}

fn is(option: &Value, kind: &str) -> bool {
    option.text("kind") == Some(kind) && option.text("optionId").is_some()
}

/// Several ways to say yes, as a question.
fn choice(title: &str, yes: &[&Value]) -> Question {
    let options =
        yes.iter().map(|option| QuestionOption { label: label(option), description: String::new() });
    Question {
        question: title.to_owned(),
        header: String::new(),
        multi_select: false,
        options: options.collect(),
    }
}

fn label(option: &Value) -> String {
    option.word("name").or(option.text("optionId")).unwrap_or_default().to_owned()
}

fn change(item: &Value) -> Option<(&str, &str, &str)> {
    let old = item.text("oldText").unwrap_or_default();
    Some((item.text("path")?, old, item.text("newText").unwrap_or_default()))
        .filter(|_| item.text("type") == Some("diff"))
}

/// The files that it would write.
fn paths(call: &Call, changes: &[(&str, &str, &str)]) -> Vec<String> {
    if call.kind.as_deref() != Some("edit") {
        return Vec::new();
    }
    let located = call.locations.as_array().map_or(&[][..], Vec::as_slice).iter();
    let all = changes.iter().map(|(path, ..)| *path).chain(located.filter_map(|place| place.text("path")));
    let mut paths: Vec<String> = Vec::new();
    for path in all {
        if !paths.iter().any(|known| known == path) {
            paths.push(path.to_owned());
        }
    }
    paths
}

fn sensitive(path: &str) -> bool {
    Path::new(path).components().any(|part| match part {
        Component::Normal(name) => {
            name.to_str().is_none_or(|name| SENSITIVE.iter().any(|known| name.eq_ignore_ascii_case(known)))
        }
        // Where it leads is not to be seen from here.
        Component::ParentDir => true,
        _ => false,
    })
}

/// One clear line: what would happen.
fn title(call: &Call, tool: &str, input: &Value, cwd: &str) -> String {
    let command = match input.get("command") {
        Some(Value::String(command)) => Some(command.clone()),
        Some(Value::Array(words)) => {
            Some(words.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" "))
        }
        _ => None,
    };
    let words = command.filter(|command| !command.trim().is_empty());
    let words = words.or_else(|| Some(short(call.title.as_deref()?, Some(cwd)).to_owned()));
    one_line(&match words {
        Some(words) if words == tool => words,
        Some(words) => format!("{tool}: {words}"),
        None if input.as_object().is_none_or(|fields| fields.is_empty()) => tool.to_owned(),
        None => format!("{tool}: {input}"),
    })
}

/// What an answer comes to: the result for the agent, and words for which the protocol has no place in it.
pub(super) fn answer(ask: &Ask, answer: &Answer) -> (Value, Option<String>) {
    let options = ask.suggestions.as_ref().and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let no = |words: Option<&str>| {
        let rejected = options.iter().find(|option| is(option, REJECT)).map(select);
        (rejected.unwrap_or_else(cancelled), words.map(str::to_owned))
    };
    let Answer::Allow { updated_input: None, answers, .. } = answer else {
        // A yes to something else than what was asked is none.
        return no(answer.message().filter(|words| !words.trim().is_empty()));
    };
    let mut yes = options.iter().filter(|option| is(option, ALLOW));
    if ask.kind != ApprovalKind::Question {
        return yes.next().map_or_else(|| no(None), |option| (select(option), None));
    }
    let Some(chosen) = answers.iter().flatten().flat_map(|(_, chosen)| chosen).next() else {
        return no(None);
    };
    match yes.find(|option| label(option) == *chosen || option.text("optionId") == Some(chosen)) {
        Some(option) => (select(option), None),
        None => no(Some(chosen)),
    }
}

/// The answer to a request that cannot be put to a person.
pub(super) fn refused(params: &Value) -> Value {
    let rejected = params.list("options").iter().find(|option| is(option, REJECT));
    rejected.map_or_else(cancelled, select)
}

fn select(option: &Value) -> Value {
    json!({ "outcome": { "outcome": "selected", "optionId": option.get("optionId") } })
}

/// Neither yes nor no: nobody will answer.
pub(super) fn cancelled() -> Value {
    json!({ "outcome": { "outcome": "cancelled" } })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::agent::acp::calls::{Calls, Naming};
    use crate::domain::approval::Scope;

    fn options(kinds: &[&str]) -> Value {
        kinds
            .iter()
            .map(|kind| json!({ "optionId": format!("id of {kind}"), "name": kind, "kind": kind }))
            .collect()
    }

    fn asked(call: Value, options: Value) -> Result<Ask, String> {
        let mut calls = Calls::default();
        let mut events = Vec::new();
        let call = calls.merge(&call, Naming::None, true, &mut events).expect("it has an id").clone();
        read("0".into(), &json!({ "options": options }), &call, "/p")
    }

    fn ask(call: Value) -> Ask {
        asked(call, options(&["allow_always", "allow_once", "reject_once"])).expect("it can be asked")
    }

    fn allow() -> Answer {
        Answer::Allow { scope: Scope::All30m, updated_input: None, answers: None, message: None }
    }

    fn edit(path: &str) -> Value {
        json!({ "toolCallId": "c", "kind": "edit", "title": "Write a", "locations": [{ "path": path }],
            "content": [{ "type": "diff", "path": path, "oldText": "", "newText": "x" }] })
    }

    #[test]
    fn a_yes_is_once_whatever_its_scope_and_a_no_is_once_too() {
        let ask = ask(json!({ "toolCallId": "c", "kind": "execute", "title": "ls" }));
        assert_eq!(answer(&ask, &allow()).0["outcome"]["optionId"], "id of allow_once");
        let deny = Answer::Deny { message: Some("use make".into()) };
        let (no, words) = answer(&ask, &deny);
        assert_eq!(no["outcome"]["optionId"], "id of reject_once");
        assert_eq!(words.as_deref(), Some("use make"));
    }

    #[test]
    fn what_cannot_be_allowed_once_is_not_asked_and_what_cannot_be_rejected_once_is_cancelled() {
        let call = json!({ "toolCallId": "c", "kind": "execute", "title": "ls" });
        assert!(asked(call.clone(), options(&["allow_always", "reject_once"])).is_err());
        assert!(asked(call.clone(), Value::Null).is_err());
        let ask = asked(call, options(&["allow_once", "reject_always"])).expect("it can be asked");
        assert_eq!(answer(&ask, &Answer::Deny { message: None }).0, cancelled());
    }

    #[test]
    fn a_changed_input_is_no_yes_to_the_one_that_was_asked() {
        let ask = ask(json!({ "toolCallId": "c", "kind": "execute", "title": "ls" }));
        let changed = Answer::Allow {
            scope: Scope::Once,
            updated_input: Some(json!({})),
            answers: None,
            message: None,
        };
        assert_eq!(answer(&ask, &changed).0["outcome"]["optionId"], "id of reject_once");
    }

    #[test]
    fn several_ways_to_say_yes_are_a_question() {
        let two = json!([{ "optionId": "1", "name": "Once", "kind": "allow_once" },
            { "optionId": "2", "name": "With network", "kind": "allow_once" },
            { "optionId": "3", "name": "No", "kind": "reject_once" }]);
        let ask = asked(json!({ "toolCallId": "c", "kind": "execute", "title": "ls" }), two)
            .expect("it can be asked");
        assert_eq!(ask.kind, ApprovalKind::Question);
        let chosen = |word: &str| {
            let answers = BTreeMap::from([(ask.title.clone(), vec![word.to_owned()])]);
            let yes = Answer::Allow {
                scope: Scope::Once,
                updated_input: None,
                answers: Some(answers),
                message: None,
            };
            answer(&ask, &yes)
        };
        assert_eq!(chosen("With network").0["outcome"]["optionId"], "2");
        assert_eq!(chosen("neither").0["outcome"]["optionId"], "3");
        assert_eq!(chosen("neither").1.as_deref(), Some("neither"));
        assert_eq!(answer(&ask, &allow()).0["outcome"]["optionId"], "3", "a yes to nothing is none");
    }

    #[test]
    fn only_a_plain_change_of_known_files_counts_as_an_edit() {
        let plain = ask(edit("/p/a"));
        assert!(plain.is_edit);
        assert_eq!(
            (plain.paths.as_slice(), plain.title.as_str()),
            (&["/p/a".to_owned()][..], "edit: Write a")
        );
        assert_eq!(plain.diff.as_deref(), Some("--- a\n+++ a\n@@ -0,0 +1,1 @@\n+x\n"));
        for path in ["a", "/p/.git/hooks/x", "/home/u/.bashrc", "/p/.VSCode/tasks.json", "/p/x/../../etc/a"] {
            assert!(!ask(edit(path)).is_edit, "{path}");
        }
        let mut elsewhere = edit("/p/a");
        elsewhere["locations"] = json!([{ "path": "/p/.git/config" }]);
        assert!(!ask(elsewhere).is_edit, "a file besides the one that is shown");
        assert!(
            !ask(json!({ "toolCallId": "c", "kind": "edit", "title": "Write a" })).is_edit,
            "no change is shown"
        );
        let mut shell = edit("/p/a");
        shell["kind"] = json!("execute");
        assert!(!ask(shell).is_edit);
    }

    #[test]
    fn plans_and_what_we_do_not_understand_are_told_apart() {
        let plan = json!({ "toolCallId": "c", "kind": "switch_mode", "title": "Ready?", "rawInput": { "plan": "#1" } });
        assert_eq!(ask(plan).kind, ApprovalKind::Plan);
        assert_eq!(ask(json!({ "toolCallId": "c" })).kind, ApprovalKind::Unknown);
        let command = ask(json!({ "toolCallId": "c", "kind": "execute", "title": "Tidy up",
            "rawInput": { "command": ["rm", "-rf", "x"] } }));
        assert_eq!(command.title, "execute: rm -rf x", "the command, not what it is called");
    }
}
