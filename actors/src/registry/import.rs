//! Sessions that another program kept: what becomes of each when it is taken over.
//!
//! Nothing is started. What cannot be kept as it was is told in the notes: a turn that ran has no program behind it
//! any more, a question that was asked there is answered by nobody, and that everything was allowed is not taken over,
//! since the other program does not tell whether a person said so.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};

use super::elsewhere::Elsewhere;
use super::world::{ExternalAgent, NewSession, new_record};
use crate::agent::catalogue::Catalogue;
use crate::domain::elsewhere::{Attached, Runner};
use crate::domain::ids::SessionId;
use crate::domain::past::{PastEvent, PastSession, PastTaken};
use crate::domain::restart::RestartPolicy;
use crate::domain::session::{Session, SessionRecord};
use crate::domain::state::SessionState;
use crate::domain::time::Stamp;
use crate::domain::usage::Usage;
use crate::log::{ImportSession, Log};
use crate::session::{SessionError, naming};

/// Longest name of an event's type.
const KIND: usize = 64;
/// Longest line that is shown of what was said last.
const LAST_LINE: usize = 200;

/// Takes over a session that another program kept, into a log that a daemon serves or that nobody else has open. A
/// session with its id that is there stays as it is.
///
/// # Errors
/// It is not in order (then nothing of it was taken), or the log fails.
pub async fn import(
    log: &Log,
    elsewhere: &Elsewhere,
    agents: &Catalogue,
    policy: RestartPolicy,
    mut past: PastSession,
) -> Result<PastTaken, SessionError> {
    if !SessionId::is_well_formed(&past.id) {
        let what = format!("{:?} is no id of a session: it is sess_ and 12 hex digits", past.id);
        return Err(SessionError::Invalid(what));
    }
    let id = SessionId::from(past.id.as_str());
    let there = |log: &Log| log.read_model.session(&id).map(|entry| entry.last_seq);
    if let Some(events) = there(log) {
        return Ok(PastTaken { taken: false, events, thread: false, notes: Vec::new() });
    }
    check(&past.events)?;
    let mut notes = Vec::new();
    settle(&mut past, &mut notes);
    let thread = thread_of(&mut past, log, &mut notes);
    let mut record = record_of(&mut past, agents, policy, &mut notes).await;
    let has_thread = thread.is_some();
    (record.session.platform, record.session.platform_thread_id) = thread.unzip();
    if !record.external {
        go_on_with(&mut record, log, elsewhere, &mut notes).await;
    }
    let events = past.events;
    let import = ImportSession { record: Box::new(record), events };
    let taken = log.import(import).await?;
    let notes = if taken { notes } else { Vec::new() };
    let events = there(log).unwrap_or_default();
    Ok(PastTaken { taken, events, thread: taken && has_thread, notes })
}

fn check(events: &[PastEvent]) -> Result<(), SessionError> {
    for (at, event) in events.iter().enumerate() {
        let kind = &event.kind;
        let is_kind = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        let wrong = if kind.is_empty() || kind.len() > KIND || !kind.chars().all(is_kind) {
            "its type is none"
        } else if !event.data.is_object() {
            "its data is no object"
        } else if Stamp::parse(&event.ts).is_none() {
            "its time is none"
        } else {
            continue;
        };
        return Err(SessionError::Invalid(format!("events.{at}: {wrong}")));
    }
    Ok(())
}

/// Ends what nobody is behind any more.
fn settle(past: &mut PastSession, notes: &mut Vec<String>) {
    let is_external = past.external_agent_name.is_some();
    let now = Stamp::now().to_string();
    let mut end = |kind: &str, data: Value| {
        past.events.push(PastEvent { ts: now.clone(), kind: kind.to_owned(), data });
    };
    match past.state {
        SessionState::Running if is_external => {
            for request in open_requests(&past.events) {
                notes.push(format!("the question {request} was open: its agent is told to ask again"));
                past.events.push(PastEvent {
                    ts: now.clone(),
                    kind: "permission_resolved".to_owned(),
                    data: json!({
                        "request_id": request, "resolved_by": "cancelled", "allowed": false,
                        "message": "this session was moved to another program: ask again",
                    }),
                });
            }
        }
        SessionState::Running | SessionState::Interrupting => {
            past.state = SessionState::AwaitingInput;
            end("session_state", json!({ "state": SessionState::AwaitingInput }));
            notes.push("a turn ran: it waits for input now".to_owned());
        }
        SessionState::Created | SessionState::AwaitingInput | SessionState::Error => {}
    }
    if past.approval_mode == Some(2) {
        past.approval_mode = None;
        notes.push("that everything is allowed was not taken over: it asks".to_owned());
    }
}

/// The chat platform and the thread there that it goes on in.
fn thread_of(past: &mut PastSession, log: &Log, notes: &mut Vec<String>) -> Option<(String, String)> {
    let platform = past.platform.take()?;
    let Some(thread) = past.platform_thread_id.take().filter(|thread| is_thread(&platform, thread)) else {
        notes.push(format!(
            "it was bound to {platform} and had no thread there: bind it anew with `tether bind {} {platform}`",
            past.id
        ));
        return None;
    };
    let has_it = |other: &Session| {
        other.platform.as_ref() == Some(&platform) && other.platform_thread_id.as_ref() == Some(&thread)
    };
    if let Some(other) = log.read_model.sessions().into_iter().find(has_it) {
        notes.push(format!("{} has its thread {thread} on {platform}: it is bound nowhere", other.id));
        return None;
    }
    Some((platform, thread))
}

/// Whether a platform could have a thread of this name.
fn is_thread(platform: &str, thread: &str) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    match platform {
        "telegram" => thread.parse::<i32>().is_ok_and(|id| id > 0),
        "slack" => thread.split_once('.').is_some_and(|(whole, part)| is_number(whole) && is_number(part)),
        "discord" => is_number(thread) && thread.parse::<u64>().is_ok_and(|id| id > 0),
        _ => false,
    }
}

/// What was asked in the turn that runs, and not answered as far as the events tell.
fn open_requests(events: &[PastEvent]) -> Vec<String> {
    let mut open: Vec<String> = Vec::new();
    for event in events {
        let request = event.data.get("request_id").and_then(Value::as_str);
        match (event.kind.as_str(), request) {
            ("permission_request", Some(request)) => open.push(request.to_owned()),
            ("permission_resolved", Some(request)) => open.retain(|known| known != request),
            // The agent went on without it.
            ("user_input" | "session_state", _) => open.clear(),
            _ => {}
        }
    }
    let mut seen = BTreeSet::new();
    open.retain(|request| seen.insert(request.clone()));
    open
}

/// The agent by our name of what the other program calls its runner.
fn agent_of<'a>(agents: &'a Catalogue, runner_type: &str) -> Option<&'a str> {
    let name = if runner_type.starts_with("claude") { "claude" } else { runner_type };
    agents.entry(Some(name)).map(|entry| entry.adapter.as_str())
}

async fn record_of(
    past: &mut PastSession,
    agents: &Catalogue,
    policy: RestartPolicy,
    notes: &mut Vec<String>,
) -> SessionRecord {
    let adapter = past.adapter.take();
    let known = adapter.as_deref().and_then(|adapter| agents.entry(Some(adapter)));
    if let (Some(adapter), None) = (&adapter, known) {
        notes.push(format!("there is no agent {adapter} here: the default one goes on"));
    }
    let directory = past.directory.take().filter(|directory| !directory.is_empty());
    if let Some(directory) = directory.as_deref().filter(|directory| !Path::new(directory).is_dir()) {
        notes.push(format!("its directory {directory} is not there"));
    }
    let external_agent = past.external_agent_name.take().map(|name| ExternalAgent {
        name,
        kind: past.external_agent_type.take(),
        icon: past.external_agent_icon.take(),
        workspace: past.external_agent_workspace.take(),
    });
    let new = NewSession {
        name: past.name.take(),
        directory: directory.map(Into::into),
        adapter: known.map(|entry| entry.adapter.clone()),
        approval_mode: past.approval_mode,
        external_agent,
        ..NewSession::default()
    };
    let mut record = new_record(new, policy).await;
    let agent = past.runner_type.as_deref().and_then(|runner| agent_of(agents, runner));
    let told = told_by(&past.events);
    let session = &mut record.session;
    session.id = past.id.as_str().into();
    session.state = past.state;
    session.created_at = past.created_at;
    session.started_at = past.started_at;
    session.ended_at = past.ended_at;
    session.last_activity_at = past.last_activity_at;
    session.exit_code = past.exit_code;
    session.runner_header = past.runner_header.take();
    session.runner_type = match agents.entry(agent).filter(|_| agent.is_some()) {
        Some(entry) => Some(entry.runner_type.clone()),
        None => past.runner_type.take(),
    };
    session.runner_session_id = past.runner_session_id.take();
    session.clone_url = past.clone_url.take();
    session.working_branch = past.working_branch.take();
    session.message_count = told.inputs;
    session.last_line = told.last_line;
    session.cost_usd = told.usage.total_cost_usd;
    record.agent = agent.map(str::to_owned);
    record.turn = told.inputs;
    record.usage = told.usage;
    record.header_model = told.model;
    record.moved_here_at = Some(Stamp::now());
    record.moved_events = Some(past.events.len() as u64);
    record
}

/// What the events tell of their session.
#[derive(Default)]
struct Told {
    inputs: u64,
    usage: Usage,
    last_line: Option<String>,
    model: Option<String>,
}

fn told_by(events: &[PastEvent]) -> Told {
    let mut told = Told::default();
    for PastEvent { kind, data, .. } in events {
        let text = |name: &str| data.get(name).and_then(Value::as_str);
        match kind.as_str() {
            "user_input" => told.inputs += 1,
            "output" => {
                let line =
                    text("text").and_then(|text| text.lines().rev().find(|line| !line.trim().is_empty()));
                told.last_line = line.map(|line| naming::shorten(line.trim(), LAST_LINE)).or(told.last_line);
            }
            "header" => told.model = text("model").map(str::to_owned).or(told.model),
            "metadata" => {
                let value = data.get("value").unwrap_or(&Value::Null);
                let count = |name: &str| value.get(name).and_then(Value::as_u64).unwrap_or_default();
                match text("key") {
                    Some("tokens") => told.usage.add(Usage {
                        input_tokens: count("input"),
                        output_tokens: count("output"),
                        total_cost_usd: 0.0,
                    }),
                    Some("cost") => told.usage.total_cost_usd += value.as_f64().unwrap_or_default(),
                    _ => {}
                }
            }
            _ => {}
        }
    }
    told
}

/// Sees to it that its agent goes on with the conversation that it had, if that is on this machine.
async fn go_on_with(record: &mut SessionRecord, log: &Log, elsewhere: &Elsewhere, notes: &mut Vec<String>) {
    let session = &mut record.session;
    let Some(conversation) = session.runner_session_id.clone() else {
        if record.turn > 0 {
            notes.push("its agent kept no conversation: the next input begins one".to_owned());
        }
        return;
    };
    let has_it = |other: &Session| {
        other.runner_session_id.as_ref() == Some(&conversation) && other.runner_type == session.runner_type
    };
    if let Some(other) = log.read_model.sessions().into_iter().find(has_it) {
        notes.push(format!("{} goes on with its conversation: the next input begins another", other.id));
        session.runner_session_id = None;
        return;
    }
    let agent = record.agent.as_deref();
    let runner = Runner::ALL.into_iter().find(|runner| Some(runner.agent()) == agent);
    let found = match runner {
        Some(runner) => elsewhere.find_end(runner, &conversation).await.map(|found| (runner, found)),
        None => None,
    };
    let Some((runner, (found, taken))) = found else {
        notes.push(format!(
            "its conversation {conversation} is not on this machine: the next input begins another"
        ));
        session.runner_session_id = None;
        return;
    };
    record.conversation = Some(found.conversation());
    record.conversation_begun = true;
    record.attached = Some(Attached {
        runner,
        id: found.id.clone(),
        cursor: taken.cursor,
        total: taken.total,
        own: Vec::new(),
    });
}

#[cfg(test)]
#[path = "import_tests.rs"]
mod tests;
