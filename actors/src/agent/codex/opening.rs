//! The beginning of a life: from the greeting to the thread.
//!
//! Greeting, then a look at which settings would count, then the thread. Each step is the reply to the one
//! before, and may be done again: a second greeting is refused without harm, and then it is asked which
//! thread is there already.

use serde_json::{Value, json};

use super::state::{State, note, word};
use super::wire::{notification, request};
use super::{Desk, notice};
use crate::agent::claude::wire::Fields;
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
fn loaded(state: &mut State, desk: &Desk, result: &Result<Value, String>, heard: &mut Heard) {
    let Some(work) = desk.work.as_ref().filter(|_| !state.ready) else { return };
    let there = result.as_ref().ok().and_then(|reply| reply.list("data").first()).and_then(Value::as_str);
    match there {
        // A thread without a turn cannot be resumed, only used.
        Some(thread) if !work.resume => {
            begin(state, thread, heard);
            become_ready(state, work, heard);
        }
        _ => heard.replies.push(read_settings(work)),
    }
}

/// Which settings would count. Those of a project that is not trusted must not: they name programs to
/// start, and commands that need no question.
fn settings(state: &mut State, desk: &mut Desk, result: &Result<Value, String>, heard: &mut Heard) {
    let Some(work) = desk.work.as_ref().filter(|_| !state.ready) else { return };
    let reply = match result {
        Ok(reply) => reply,
        Err(message) if work.trusted => {
            heard
                .events
                .push(notice("SETTINGS_UNREADABLE", format!("codex cannot read its settings: {message}")));
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
    let active = reply.list("layers").iter().find_map(|layer| {
        let name = layer.get("name").filter(|name| name.text("type") == Some("project"))?;
        let counts = layer.get("disabledReason").is_none_or(Value::is_null);
        counts.then(|| name.text("dotCodexFolder").unwrap_or("of the project").to_owned())
    });
    if let Some(folder) = active.filter(|_| !work.trusted) {
        heard.events.push(unable(format!(
            "the settings in {folder} would count although this folder is not trusted here, because codex trusts a folder that \
             it belongs to; trust the folder, or take the trust away in codex's config.toml, then send an input"
        )));
        return;
    }
    if let Some(model) = reply.get("config").and_then(|config| config.text("model")) {
        note(&mut state.default_model, model);
    }
    if !desk.thread_asked {
        heard.replies.push(thread_request(work));
        desk.thread_asked = true;
    }
}

/// The thread, begun or gone on with.
///
/// - `approvalPolicy: untrusted` asks before every command and every patch. It exists only here.
/// - The sandbox is asked for as a setting: as the parameter `sandbox`, Codex would mark the project as
///   trusted in the person's settings.
/// - Without `unified_exec_tty` there are no terminals that the model can type into. Codex does not ask before it does,
///   so one allowed shell would be as good as a yes to everything.
/// - `default_mode_request_user_input` and `update_plan` give the model its questions and its list of steps.
fn thread_request(work: &Work) -> Outgoing {
    let sandbox = if work.no_sandbox { "danger-full-access" } else { "workspace-write" };
    let mut params = json!({
        "cwd": work.directory,
        "approvalPolicy": "untrusted",
        "approvalsReviewer": "user",
        "config": {
            "sandbox_mode": sandbox,
            "features": { "default_mode_request_user_input": true, "unified_exec_tty": false },
            "tools": { "update_plan": { "enabled": true } },
            "suppress_unstable_features_warning": true,
        },
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
    if state.ready {
        return;
    }
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
    let sandbox = reply.get("sandbox").and_then(|sandbox| sandbox.text("type"));
    state.no_sandbox = sandbox == Some("dangerFullAccess");
    state.planning = reply.get("collaborationMode").is_some_and(|mode| mode.text("mode") == Some("plan"));
    begin(state, id, heard);
    done_before(reply, heard);
    if let Some(work) = &desk.work {
        become_ready(state, work, heard);
    } else {
        // It was asked for by a daemon that died since; what is missing is said with the next opening.
        ready(state, heard);
    }
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
    state.no_sandbox |= work.no_sandbox;
    if work.planning != state.planning {
        heard.replies.extend(super::say::set_mode(state, work.planning));
    }
    ready(state, heard);
}

fn ready(state: &mut State, heard: &mut Heard) {
    state.ready = true;
    if state.no_sandbox && !state.sandbox_told {
        state.sandbox_told = true;
        heard.events.push(notice(super::NO_SANDBOX, super::sandbox::NOTICE));
    }
    heard.events.push(AgentEvent::Ready { version: state.version.clone(), model: state.model.clone() });
}
