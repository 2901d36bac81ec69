//! What the agent wants an answer to, turned into a question for a person.

use serde_json::{Value, json};

use super::form;
use super::patch::Patch;
use super::state::State;
use crate::agent::fields::{Fields, head};
use crate::agent::show::{one_line, short};
use crate::domain::approval::{ApprovalKind, Ask, Question, QuestionOption};

pub(super) use form::fields;

// How the name of a request begins; behind it, after a hyphen, its id as JSON.
/// May a command run?
pub(super) const COMMAND: &str = "command";
/// May a patch be applied?
pub(super) const PATCH: &str = "patch";
/// The model's question.
pub(super) const QUESTION: &str = "question";
/// May a tool of an MCP server run?
pub(super) const TOOL: &str = "tool";
/// The form of an MCP server.
pub(super) const FORM: &str = "form";
/// More rights for the rest of the turn.
pub(super) const PERMISSIONS: &str = "permissions";
/// How the name of a question about a plan begins, which is no request of the agent's.
pub(super) const PLAN: &str = "plan-";

/// Shells whose `-lc` is left away where a command is shown: it is how Codex runs every command.
const SHELLS: &[&str] = &["bash", "sh", "zsh"];
/// Where these lie.
const SHELL_PLACES: &[&str] = &["/bin/", "/usr/bin/", "/usr/local/bin/", "/opt/homebrew/bin/"];

/// The name of a request.
pub(super) fn name(kind: &str, id: &Value) -> String {
    format!("{kind}-{id}")
}

/// The kind and the id in a name.
pub(super) fn parse_name(name: &str) -> Option<(&str, Value)> {
    let (kind, id) = name.split_once('-')?;
    Some((kind, serde_json::from_str(id).ok()?))
}

/// Reads a request. `Err` says why it cannot be asked; it is then refused.
pub(super) fn read(state: &mut State, id: &Value, method: &str, params: &Value) -> Result<Ask, String> {
    let mut ask = match method {
        "item/commandExecution/requestApproval" => command(state, id, params)?,
        "item/fileChange/requestApproval" => patch(state, id, params)?,
        "item/tool/requestUserInput" => question(id, params)?,
        "item/permissions/requestApproval" => permissions(id, params)?,
        "mcpServer/elicitation/request" => elicitation(state, id, params)?,
        other => return Err(format!("it is of a kind that is not known here ({:?})", head(other, 100))),
    };
    let thread = params.text("threadId").unwrap_or_default();
    if !state.is_mine(thread) && !thread.is_empty() {
        let known = state.children.iter().find(|child| child.thread == thread);
        ask.subagent = Some(known.map_or(thread, |child| child.name.as_str()).to_owned());
    }
    Ok(ask)
}

fn plain(request: String, kind: ApprovalKind, tool_name: String, tool_input: Value, title: String) -> Ask {
    Ask {
        request,
        kind,
        tool_name,
        tool_input,
        title: one_line(&title),
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

fn words(value: &Value, key: &str) -> Option<String> {
    value.text(key).filter(|text| !text.trim().is_empty()).map(str::to_owned)
}

/// What the agent gives as its reason, and how far a yes reaches.
///
/// Under the policy that asks for everything, Codex runs what was allowed in its sandbox, and if that stops it, at once
/// again without, with no second question. So a yes is a yes to full rights, and is shown as that.
fn reason(state: &State, given: Option<String>) -> Option<String> {
    let reach = if state.no_sandbox {
        "A yes means with your full rights: codex's sandbox does not work here."
    } else {
        "A yes means with your full rights: what codex's sandbox stops is run again without it, unasked."
    };
    Some(given.map_or_else(|| reach.to_owned(), |given| format!("{given}\n{reach}")))
}

/// The script in `/bin/bash -lc '<script>'`; `None` if it is anything else.
pub(super) fn script(command: &str) -> Option<String> {
    let words = shell_words::split(command).ok()?;
    let [shell, flag, script] = words.as_slice() else { return None };
    let usual = SHELL_PLACES.iter().find_map(|place| shell.strip_prefix(place)).unwrap_or(shell);
    (SHELLS.contains(&usual) && matches!(flag.as_str(), "-lc" | "-c")).then(|| script.clone())
}

/// The input of a command, as it is told and asked about.
pub(super) fn command_input(item: &Value) -> Value {
    let whole = item.text("command").unwrap_or_default();
    let script = script(whole);
    let mut input = json!({ "command": script.as_deref().unwrap_or(whole) });
    if script.is_some() {
        input["run_as"] = whole.into();
    }
    if let Some(cwd) = item.text("cwd") {
        input["cwd"] = cwd.into();
    }
    input
}

fn command(state: &State, id: &Value, params: &Value) -> Result<Ask, String> {
    let kind = params.text("kind").unwrap_or("command");
    let network = params.get("networkApprovalContext").filter(|context| !context.is_null());
    let more = params.get("additionalPermissions").filter(|more| !more.is_null());
    let said = params.text("command").filter(|command| !command.is_empty());
    if said.is_none() && network.is_none() {
        return Err("a command was to run, but it is not said which".to_owned());
    }
    let mut input = command_input(params);
    let shown = input.text("command").unwrap_or_default().to_owned();
    // Each of these is more than "run this": no mode and no grant may give it.
    let mut extra = false;
    let mut title = format!("Bash: {shown}");
    if kind != "command" {
        extra = true;
        input["kind"] = kind.into();
        title = match kind {
            "writeStdin" => format!("Type into: {shown}"),
            other => format!("{}: {shown}", head(other, 40)),
        };
    }
    if let Some(network) = network {
        extra = true;
        input["network"] = network.clone();
        let host = network.text("host").unwrap_or("an unknown host");
        title = format!("Network access to {host} by: {shown}");
    }
    if let Some(more) = more {
        extra = true;
        input["additional_permissions"] = more.clone();
        title = format!("Bash with more rights: {shown}");
    }
    let kind = if extra { ApprovalKind::Unknown } else { ApprovalKind::Tool };
    let mut ask = plain(name(COMMAND, id), kind, "Bash".to_owned(), input, title);
    ask.reason = reason(state, words(params, "reason"));
    ask.suggestions = params.get("proposedExecpolicyAmendment").filter(|rule| !rule.is_null()).cloned();
    ask.tool_use_id = words(params, "itemId");
    Ok(ask)
}

/// A patch. The request does not hold it: that was told with the item just before.
fn patch(state: &mut State, id: &Value, params: &Value) -> Result<Ask, String> {
    let item = params.text("itemId").unwrap_or_default();
    let known = state.items.iter_mut().find(|known| known.id == item).and_then(|known| known.patch.take());
    let patch = known.unwrap_or_else(Patch::default);
    let root = params.get("grantRoot").filter(|root| !root.is_null());
    let cwd = state.cwd.as_deref();
    let mut input = patch.input();
    let mut title = patch.title(cwd);
    if let Some(root) = root {
        input["grant_root"] = root.clone();
        title = format!("Write anything below {}, beginning with: {title}", root.as_str().unwrap_or("?"));
    }
    // What is not shown, and what is more than this patch, a person must allow.
    let kind = if patch.is_empty() || root.is_some() { ApprovalKind::Unknown } else { ApprovalKind::Tool };
    let mut ask = plain(name(PATCH, id), kind, "apply_patch".to_owned(), input, title);
    ask.diff = patch.diff(cwd);
    ask.is_edit = kind == ApprovalKind::Tool && patch.is_plain();
    ask.paths = patch.paths();
    ask.reason = reason(state, words(params, "reason"));
    ask.tool_use_id = words(params, "itemId");
    Ok(ask)
}

fn question(id: &Value, params: &Value) -> Result<Ask, String> {
    let list = params.list("questions");
    if list.iter().any(|question| question.flag("isSecret")) {
        return Err("it asked for a secret, which must not go into the record of a session".to_owned());
    }
    let read = |question: &Value| {
        question.text("id")?;
        let options = question.list("options").iter().map(|option| {
            Some(QuestionOption {
                label: option.text("label")?.to_owned(),
                description: option.text("description").unwrap_or_default().to_owned(),
            })
        });
        Some(Question {
            question: question.text("question")?.to_owned(),
            header: question.text("header").unwrap_or_default().to_owned(),
            multi_select: false,
            options: options.collect::<Option<_>>()?,
        })
    };
    let questions: Option<Vec<Question>> = list.iter().map(read).collect();
    let questions = questions
        .filter(|questions| !questions.is_empty())
        .ok_or("it asked questions in a shape that cannot be put")?;
    let title = questions.first().map(|first| format!("Question: {}", first.question)).unwrap_or_default();
    let input = json!({ "questions": list });
    let mut ask =
        plain(name(QUESTION, id), ApprovalKind::Question, "request_user_input".to_owned(), input, title);
    ask.questions = questions;
    ask.tool_use_id = words(params, "itemId");
    Ok(ask)
}

/// More rights for all that follows in the turn: only a person may give them.
fn permissions(id: &Value, params: &Value) -> Result<Ask, String> {
    let asked = params.get("permissions").filter(|asked| asked.is_object());
    let asked = asked.ok_or("it asked for rights and did not say which")?;
    let files = asked.get("fileSystem").filter(|files| files.is_object());
    let list = |key: &str| {
        let paths: Vec<&str> =
            files.map_or(&[][..], |files| files.list(key)).iter().filter_map(Value::as_str).collect();
        (!paths.is_empty()).then(|| format!("{key} {}", paths.join(", ")))
    };
    let network = asked.get("network").is_some_and(|network| network.flag("enabled"));
    let parts = [network.then(|| "use the network".to_owned()), list("write"), list("read")];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    let what = if parts.is_empty() { asked.to_string() } else { parts.join("; ") };
    let input = json!({ "permissions": asked, "cwd": params.get("cwd") });
    let mut ask = plain(
        name(PERMISSIONS, id),
        ApprovalKind::Unknown,
        "request_permissions".to_owned(),
        input,
        format!("More rights until the end of the turn: {what}"),
    );
    ask.reason = words(params, "reason");
    ask.tool_use_id = words(params, "itemId");
    Ok(ask)
}

/// What an MCP server's tool is called.
pub(super) fn tool_name(server: &str, tool: &str) -> String {
    format!("mcp__{server}__{tool}")
}

/// Either Codex asks whether a tool of an MCP server may run, or the server itself has a form to fill in.
fn elicitation(state: &State, id: &Value, params: &Value) -> Result<Ask, String> {
    let server = params.text("serverName").unwrap_or("?");
    let message = params.text("message").unwrap_or_default();
    let nothing = Value::Null;
    let meta = params.get("_meta").unwrap_or(&nothing);
    match meta.text("codex_approval_kind") {
        Some("mcp_tool_call") => {
            let tool = words(meta, "tool_name").ok_or("a tool was to run, but it is not said which")?;
            let input = meta.get("tool_params").filter(|input| !input.is_null()).cloned();
            let input = input.unwrap_or_else(|| json!({}));
            let name_of_tool = tool_name(server, &tool);
            let title = match input.as_object() {
                Some(fields) if fields.is_empty() => name_of_tool.clone(),
                _ => format!("{name_of_tool}: {input}"),
            };
            // The request does not say which call it is about; its item came just before.
            let call = state.items.iter().rev().find(|item| item.name == name_of_tool);
            let call = call.map(|item| item.id.clone());
            let mut ask = plain(name(TOOL, id), ApprovalKind::Tool, name_of_tool, input, title);
            ask.reason = words(meta, "tool_description");
            ask.tool_use_id = call;
            Ok(ask)
        }
        Some(other) => {
            Err(format!("it asked for a kind of leave that is not known here ({:?})", head(other, 100)))
        }
        None if matches!(params.text("mode"), Some("form") | None) => {
            let fields = fields(params).ok_or_else(|| {
                format!(
                    "the MCP server {server:?} wanted a form filled in that cannot be put ({:?})",
                    head(message, 300)
                )
            })?;
            let input = json!({
                "server": server, "message": message, "requestedSchema": params.get("requestedSchema"),
            });
            let mut ask = plain(
                name(FORM, id),
                ApprovalKind::Question,
                tool_name(server, "form"),
                input,
                format!("{server} asks: {message}"),
            );
            ask.questions = form::questions(fields);
            Ok(ask)
        }
        None => Err(format!(
            "the MCP server {server:?} wanted something that can only be done at the machine ({:?})",
            head(params.text("url").or(params.text("title")).unwrap_or(message), 300)
        )),
    }
}

/// The question about a plan.
pub(super) fn about_plan(item: &str, plan: &str) -> Ask {
    let first = plan.lines().map(|line| line.trim_start_matches('#').trim()).find(|line| !line.is_empty());
    let title = first.map_or_else(|| "Plan".to_owned(), |line| format!("Plan: {line}"));
    let mut ask = plain(
        format!("{PLAN}{item}"),
        ApprovalKind::Plan,
        super::PLAN_TOOL.to_owned(),
        json!({ "plan": plan }),
        title,
    );
    ask.tool_use_id = Some(item.to_owned());
    ask
}

/// A path without the agent's own directory, for titles.
pub(super) fn shortened(path: &str, state: &State) -> String {
    short(path, state.cwd.as_deref()).to_owned()
}

#[cfg(test)]
#[path = "ask_tests.rs"]
mod tests;
