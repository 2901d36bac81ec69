//! The beginning of a life: from the greeting to the thread.
//!
//! Greeting, then a look at which settings would count, then the thread. Each step is the reply to the one
//! before, and may be done again: a second greeting is refused without harm, and then it is asked which
//! thread is there already.

use std::path::Path;

use serde_json::{Value, json};

use super::state::{State, note, word};
use super::wire::{notification, request};
use super::{Desk, notice};
use crate::agent::fields::Fields;
use crate::agent::protocol::{Heard, Outgoing, Work};
use crate::domain::agent::{AgentEvent, InputProgress};
use crate::domain::ids::InputId;
use crate::domain::restart::EndCause;

/// Ids of the requests of the opening.
const GREETING: &str = "initialize";
const LOADED: &str = "loaded";
const SETTINGS: &str = "settings";
const THREAD: &str = "thread";

/// The first line.
pub(super) fn greeting() -> Outgoing {
    let client = json!({ "name": "tether", "title": "Tether", "version": env!("CARGO_PKG_VERSION") });
    // `experimentalApi`: the lists of background terminals and the modes of collaboration are behind it.
    request(
        GREETING,
        "initialize",
        json!({ "clientInfo": client, "capabilities": { "experimentalApi": true } }),
    )
}

/// Takes the answer to a request of the opening; `None` = it is not one of these.
pub(super) fn reply(
    state: &mut State,
    desk: &mut Desk,
    id: &str,
    result: &Result<Value, String>,
) -> Option<Heard> {
    let mut heard = Heard::default();
    match id {
        GREETING => greeted(state, desk, result, &mut heard),
        LOADED => loaded(state, desk, result, &mut heard),
        SETTINGS => settings(state, desk, result, &mut heard),
        THREAD => thread(state, desk, result, &mut heard),
        _ => return None,
    }
    Some(heard)
}

/// It cannot work at all.
fn unable(message: impl Into<String>) -> AgentEvent {
    AgentEvent::Unable { cause: EndCause::BadConfiguration, message: message.into() }
}

fn greeted(state: &mut State, desk: &Desk, result: &Result<Value, String>, heard: &mut Heard) {
    match result {
        Ok(reply) => {
            // `tether/0.169.0 (Debian 12.0.0; x86_64) ...`
            let version = reply.text("userAgent").and_then(|agent| agent.split(['/', ' ']).nth(1));
            if let Some(version) = version {
                note(&mut state.version, version);
            }
            if let Some(work) = &desk.work {
                heard.replies.push(notification("initialized"));
                heard.replies.push(read_settings(work));
            }
        }
        Err(message) if message.contains("Already initialized") => {
            if desk.work.is_some() {
                heard.replies.push(notification("initialized"));
                heard.replies.push(request(LOADED, "thread/loaded/list", json!({})));
            }
        }
        Err(message) => heard.events.push(unable(format!("codex refused our greeting: {message}"))),
    }
}

fn read_settings(work: &Work) -> Outgoing {
    request(SETTINGS, "config/read", json!({ "cwd": work.directory, "includeLayers": true }))
}

/// The threads that are there already, when it was greeted before.
fn loaded(state: &State, desk: &mut Desk, result: &Result<Value, String>, heard: &mut Heard) {
    let Some(work) = desk.work.as_ref().filter(|_| !state.ready) else { return };
    heard.replies.push(read_settings(work));
    // A thread without a turn cannot be resumed, only used; one with turns is joined by resuming it.
    let there = result.as_ref().ok().and_then(|reply| reply.list("data").first()).and_then(Value::as_str);
    desk.there = there.filter(|_| !work.resume).map(str::to_owned);
}

/// Which settings would count. Those of a project that is not trusted must not: they name programs to
/// start, and commands that need no question.
fn settings(state: &mut State, desk: &mut Desk, result: &Result<Value, String>, heard: &mut Heard) {
    let Some(work) = desk.work.as_ref().filter(|_| !state.ready && !desk.thread_asked) else { return };
    let reply = match result {
        Ok(reply) => reply,
        Err(message) if work.trusted => {
            let text = format!("codex cannot read its settings: {message}");
            heard.events.push(notice("SETTINGS_UNREADABLE", text));
            &Value::Null
        }
        Err(message) => {
            heard.events.push(unable(format!(
                "codex cannot say which settings would count here ({message}), so it was not started in a folder that is \
                 not trusted; mend its settings, or update it"
            )));
            return;
        }
    };
    let distrusted = match distrust(work, reply) {
        Ok(distrusted) => distrusted,
        Err(folder) => {
            heard.events.push(unable(format!(
                "the settings in {folder} would count although this folder is not trusted here, because codex trusts a folder \
                 that it belongs to; trust the folder, or take the trust away in codex's config.toml, then send an input"
            )));
            return;
        }
    };
    let nothing = Value::Null;
    let config = reply.get("config").unwrap_or(&nothing);
    if let Some(model) = config.text("model") {
        note(&mut state.default_model, model);
    }
    state.no_sandbox = work.no_sandbox;
    state.sandbox = Some(sandbox(work, config));
    match desk.there.take() {
        Some(thread) => {
            begin(state, &thread, heard);
            become_ready(state, work, heard);
        }
        None => {
            heard.replies.push(thread_request(work, distrusted));
            desk.thread_asked = true;
        }
    }
}

/// The folders to distrust for this thread, where a project's settings would count that must not; `Err` names a
/// folder that cannot be distrusted.
fn distrust(work: &Work, settings: &Value) -> Result<Vec<String>, String> {
    let active = settings.list("layers").iter().filter_map(|layer| {
        let name = layer.get("name").filter(|name| name.text("type") == Some("project"))?;
        let counts = layer.get("disabledReason").is_none_or(Value::is_null);
        counts.then(|| name.text("dotCodexFolder").unwrap_or_default())
    });
    let active: Vec<&str> = active.collect();
    if work.trusted || active.is_empty() {
        return Ok(Vec::new());
    }
    let folders = super::launch::folders(work);
    let covered = |folder: &&str| {
        let parent = Path::new(*folder).parent().map(Path::to_string_lossy);
        // By a link Codex looks at the real place too.
        !work.real_directory.as_os_str().is_empty()
            && parent.is_some_and(|parent| folders.iter().any(|known| *known == parent))
    };
    match active.iter().find(|folder| !covered(folder)) {
        Some(folder) => Err((*folder).to_owned()),
        None => Ok(folders),
    }
}

/// The sandbox for all commands, said with each turn: workspace-write as the person's settings have it.
fn sandbox(work: &Work, config: &Value) -> Value {
    if work.no_sandbox {
        return json!({ "type": "dangerFullAccess" });
    }
    let nothing = Value::Null;
    let own = config.get("sandbox_workspace_write").unwrap_or(&nothing);
    let roots: Vec<&Value> = own.list("writable_roots").iter().filter(|root| root.is_string()).collect();
    json!({
        "type": "workspaceWrite",
        "writableRoots": roots,
        "networkAccess": own.flag("network_access"),
        "excludeTmpdirEnvVar": own.flag("exclude_tmpdir_env_var"),
        "excludeSlashTmp": own.flag("exclude_slash_tmp"),
    })
}

/// The thread, begun or gone on with.
///
/// - `approvalPolicy: untrusted` asks before every command and every patch. It exists only here.
/// - A thread that is begun with a sandbox that may write, by whatever parameter, marks the project as trusted in the
///   person's settings, and what it brings along counts at once. So it is begun without, and the sandbox is said with
///   each turn, which marks nothing.
/// - Without `unified_exec_tty` there are no terminals that the model can type into. Codex does not ask before it does,
///   so one allowed shell would be as good as a yes to everything.
/// - `default_mode_request_user_input` and `update_plan` give the model its questions and its list of steps.
fn thread_request(work: &Work, distrusted: Vec<String>) -> Outgoing {
    let mut config = json!({
        "sandbox_mode": "read-only",
        "features": { "default_mode_request_user_input": true, "unified_exec_tty": false },
        "tools": { "update_plan": { "enabled": true } },
        "suppress_unstable_features_warning": true,
    });
    if !distrusted.is_empty() {
        let level = |folder| (folder, json!({ "trust_level": "untrusted" }));
        config["projects"] = Value::Object(distrusted.into_iter().map(level).collect());
    }
    let mut params = json!({
        "cwd": work.directory,
        "approvalPolicy": "untrusted",
        "approvalsReviewer": "user",
        "config": config,
    });
    if let Some(model) = &work.model {
        params["model"] = model.as_str().into();
    }
    if !work.resume {
        return request(THREAD, "thread/start", params);
    }
    params["threadId"] = work.conversation.as_str().into();
    params["excludeTurns"] = true.into();
    params["initialTurnsPage"] = json!({ "limit": 3, "itemsView": "summary" });
    request(THREAD, "thread/resume", params)
}

fn thread(state: &mut State, desk: &Desk, result: &Result<Value, String>, heard: &mut Heard) {
    // One that this opening did not ask for was asked for by a daemon that died since: it is among those that are there.
    let Some(work) = desk.work.as_ref().filter(|_| !state.ready && desk.thread_asked) else { return };
    let reply = match result {
        Ok(reply) => reply,
        Err(message) => return no_thread(message, heard),
    };
    let Some(id) = reply.get("thread").and_then(|thread| thread.text("id")) else {
        heard.events.push(unable("codex began a conversation and did not say which"));
        return;
    };
    // An administrator's requirements may override what was asked for.
    let asks = reply.text("approvalPolicy") == Some("untrusted");
    let us = reply.text("approvalsReviewer").is_none_or(|reviewer| reviewer == "user");
    if !asks || !us {
        heard.events.push(unable(format!(
            "codex does not let us see everything before it runs (approval policy {}, reviewer {}), so it was not started; \
             see what its settings or your organisation require",
            reply.get("approvalPolicy").unwrap_or(&Value::Null),
            reply.get("approvalsReviewer").unwrap_or(&Value::Null),
        )));
        return;
    }
    if let Some(model) = reply.text("model") {
        note(&mut state.model, model);
    }
    state.effort = reply.text("reasoningEffort").map(word);
    state.cwd = reply.text("cwd").map(word);
    state.planning = reply.get("collaborationMode").is_some_and(|mode| mode.text("mode") == Some("plan"));
    begin(state, id, heard);
    done_before(reply, heard);
    become_ready(state, work, heard);
}

fn no_thread(message: &str, heard: &mut Heard) {
    if message.contains("no rollout found") || message.contains("not found") && message.contains("thread") {
        let text = format!("the agent has no record of this conversation any more ({message})");
        heard.events.push(notice(super::CONVERSATION_LOST, text));
    } else if message.contains("already has an active writer") {
        heard.events.push(unable(
            "this conversation is open in another codex, perhaps in a terminal: end it there, then send an input",
        ));
    } else {
        heard.events.push(unable(format!("codex did not open the conversation: {message}")));
    }
}

fn begin(state: &mut State, thread: &str, heard: &mut Heard) {
    note(&mut state.conversation, thread);
    heard.events.push(AgentEvent::Conversation(thread.to_owned()));
}

/// Inputs that are in the resumed conversation and were worked on: they must not be given again. One that
/// nothing came of is given again.
fn done_before(reply: &Value, heard: &mut Heard) {
    let Some(page) = reply.get("initialTurnsPage") else { return };
    for turn in page.list("data") {
        let items = turn.list("items");
        let worked = turn.text("status") == Some("completed")
            || items.iter().any(|item| item.text("type").is_some_and(|kind| kind != "userMessage"));
        let inputs = items.iter().filter_map(|item| item.text("clientId")).filter(|_| worked);
        heard.events.extend(inputs.map(|input| AgentEvent::InputProgress {
            input: InputId::from(input),
            progress: InputProgress::Completed,
        }));
    }
}

fn become_ready(state: &mut State, work: &Work, heard: &mut Heard) {
    if work.planning != state.planning {
        heard.replies.extend(super::say::set_mode(state, work.planning));
    }
    state.ready = true;
    if state.no_sandbox && !state.sandbox_told {
        state.sandbox_told = true;
        heard.events.push(notice(super::NO_SANDBOX, super::sandbox::NOTICE));
    }
    heard.events.push(AgentEvent::Ready { version: state.version.clone(), model: state.model.clone() });
}
