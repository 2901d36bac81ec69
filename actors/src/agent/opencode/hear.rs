//! What the server tells while it happens.

use serde_json::Value;

use super::state::{Phase, State, word};
use super::wire::{Line, Unreadable, delay_until, piece, read};
use super::{ask, parts, sync, turn};
use crate::agent::fields::Fields;
use crate::agent::protocol::Heard;
use crate::agent::server::wire::Request;
use crate::domain::agent::{AgentEvent, InputProgress};

/// How much is kept of a line that cannot be understood, in characters.
const UNPARSED_KEPT: usize = 500;
/// After an error it is looked whether the turn is over, should nobody say so. Milliseconds.
const AFTER_ERROR: u64 = 500;

/// Reads one line.
pub(super) fn hear(state: &mut State, line: &[u8]) -> Heard {
    let mut heard = Heard::default();
    match read(line) {
        Line::Empty => {}
        Line::Event(event) => self::event(state, &event, &mut heard),
        Line::News(news) => sync::news(state, news, &mut heard),
        Line::Unreadable(asked) => unreadable(state, &asked, &mut heard),
        Line::Broken(message) => {
            heard.events.push(unparsed(message, &String::from_utf8_lossy(line)));
        }
    }
    heard
}

pub(super) fn unparsed(message: String, line: &str) -> AgentEvent {
    AgentEvent::Unparsed { message, line: line.chars().take(UNPARSED_KEPT).collect() }
}

pub(super) fn notice(code: &str, message: impl Into<String>) -> AgentEvent {
    AgentEvent::Notice { code: code.to_owned(), message: message.into() }
}

fn event(state: &mut State, event: &Value, heard: &mut Heard) {
    if state.phase == Phase::Opening {
        // Of which conversation, is not known yet; what is missed here is read when it is open.
        return;
    }
    let nothing = Value::Null;
    let properties = event.get("properties").unwrap_or(&nothing);
    let session = properties.text("sessionID").unwrap_or_default();
    match event.text("type").unwrap_or_default() {
        "message.part.delta" => parts::delta(state, properties, &mut heard.events),
        "message.part.updated" => part(state, properties, heard),
        "message.updated" => message(state, properties.get("info").unwrap_or(&nothing), heard),
        "session.status" if state.is_root(session) => status(state, event, heard),
        "session.error" if state.is_root(session) => error(state, properties, heard),
        "session.created" | "session.updated" => conversation(state, properties),
        "session.deleted" if deleted(properties).is_some_and(|id| state.is_root(id)) => {
            heard.events.push(notice(super::CONVERSATION_LOST, "the conversation was deleted in OpenCode"));
        }
        // What ran in this directory was ended, and what was asked is forgotten.
        "server.instance.disposed" => heard.replies.push(sync::start()),
        "permission.asked" => asked(state, properties, false, heard),
        "question.asked" => asked(state, properties, true, heard),
        "permission.replied" | "question.replied" | "question.rejected" => {
            if let Some(request) = properties.text("requestID")
                && state.settle_request(request)
            {
                heard.events.push(AgentEvent::Withdrew(request.to_owned()));
            }
        }
        kind if kind.ends_with(".asked") && state.thread(session).is_some() => heard.events.push(notice(
            super::REQUEST_UNKNOWN,
            format!(
                "the agent asks something that this version of tether cannot answer ({kind}): interrupt it"
            ),
        )),
        // Files, to-do lists, titles, the server's own affairs, and what later versions bring.
        _ => {}
    }
}

fn deleted(properties: &Value) -> Option<&str> {
    properties.text("sessionID").or_else(|| properties.get("info")?.text("id"))
}

/// A conversation began or changed its title; those that sub-agents hold are ours too.
fn conversation(state: &mut State, properties: &Value) {
    let Some(info) = properties.get("info") else { return };
    let (Some(id), Some(parent)) = (info.text("id"), info.text("parentID")) else { return };
    if state.thread(parent).is_none() {
        return;
    }
    let (at, _) = state.thread_of(id);
    if let (Some(thread), Some(title)) = (state.threads.get_mut(at), info.text("title")) {
        thread.title = word(title);
    }
}

fn part(state: &mut State, properties: &Value, heard: &mut Heard) {
    let Some(part) = properties.get("part") else { return };
    let session = part.text("sessionID").or(properties.text("sessionID")).unwrap_or_default();
    let message = part.text("messageID").unwrap_or_default();
    let Some(at) = state.thread(session) else { return };
    // The person's messages have parts too. One of the agent's that is not known is read when it is over.
    if state.threads.get(at).is_some_and(|thread| thread.knows(message)) {
        parts::updated(state, at, part, false, true, &mut heard.events);
    }
}

fn message(state: &mut State, info: &Value, heard: &mut Heard) {
    let (Some(id), Some(session)) = (info.text("id"), info.text("sessionID")) else { return };
    let Some(at) = state.thread(session) else { return };
    match info.text("role") {
        Some("user") if state.is_root(session) => from_user(state, id, heard),
        Some("assistant") => {
            turn::look_at(state, info, heard);
            let Some(thread) = state.threads.get_mut(at).filter(|thread| !thread.is_done(id)) else { return };
            if turn::is_summary(info) {
                if turn::is_complete(info) {
                    turn::summed_up(state, at, info, heard);
                }
            } else if !turn::is_complete(info) {
                thread.message(id);
            } else if thread.is_whole(id) {
                turn::account(state, at, info, heard);
            } else {
                // Something of it was missed.
                heard.replies.push(sync::messages(
                    session,
                    sync::FEW,
                    &[session.to_owned()],
                    sync::Then::Rest,
                ));
            }
        }
        _ => {}
    }
}

/// One of the person's messages is in the conversation.
pub(super) fn from_user(state: &mut State, id: &str, heard: &mut Heard) {
    if !state.note_user(id) {
        return;
    }
    let in_turn = state.in_turn;
    let Some(waiting) = state.waiting.iter_mut().find(|waiting| waiting.message == id) else { return };
    waiting.arrived = true;
    let input = waiting.input.clone();
    heard.events.push(AgentEvent::InputProgress { input, progress: InputProgress::Accepted });
    if in_turn {
        turn::begin(state, heard);
    }
}

fn status(state: &mut State, event: &Value, heard: &mut Heard) {
    let status = event.get("properties").and_then(|properties| properties.get("status"));
    let Some(status) = status else { return };
    match status.text("type").unwrap_or_default() {
        "idle" if state.in_turn || !state.waiting.is_empty() => heard.replies.push(sync::settle(0)),
        "retry" => {
            turn::begin(state, heard);
            let made = event.text("id").unwrap_or_default();
            heard.events.push(AgentEvent::Retry {
                attempt: status.number("attempt").unwrap_or(0),
                // It tries for ever.
                max_attempts: 0,
                delay_ms: status.number("next").map_or(0, |next| delay_until(next, made)),
                status: None,
                error: status.text("message").unwrap_or("unknown").to_owned(),
            });
        }
        "busy" => turn::begin(state, heard),
        _ => {}
    }
}

fn error(state: &mut State, properties: &Value, heard: &mut Heard) {
    let Some(error) = properties.get("error") else { return };
    if !state.in_turn && state.waiting.is_empty() {
        // It is told a second time after the turn, with a trace of the stack.
        return;
    }
    turn::begin(state, heard);
    turn::trouble(state, error);
    heard.replies.push(sync::settle_after(AFTER_ERROR));
}

/// Something that the agent wants an answer to. It is asked, or refused, or it is another session's.
pub(super) fn asked(state: &mut State, asked: &Value, question: bool, heard: &mut Heard) {
    let Some(session) = asked.text("sessionID") else {
        heard.events.push(unparsed("a request of no session".to_owned(), &asked.to_string()));
        return;
    };
    let Some(at) = state.thread(session) else {
        if !state.is_stranger(session) {
            heard.replies.push(sync::whose(session, asked, question));
        }
        return;
    };
    let Some(id) = asked.text("id").filter(|id| !id.is_empty()) else {
        heard.events.push(unparsed("a request without an id".to_owned(), &asked.to_string()));
        return;
    };
    if !state.note_request(id, session, question) {
        return;
    }
    let thread = state.threads.get(at).filter(|thread| !state.is_root(&thread.id));
    let subagent = thread.map(|thread| if thread.title.is_empty() { &thread.id } else { &thread.title });
    let subagent = subagent.cloned();
    let read = match question {
        true => ask::question(asked, subagent),
        false => ask::permission(asked, &state.directory, subagent),
    };
    match read {
        Ok(ask) => heard.events.push(AgentEvent::Asked(Box::new(ask))),
        Err(why) => {
            state.settle_request(id);
            let words = format!("The request could not be understood ({why}), so it was refused.");
            heard.replies.push(refusal(id, question, &words).into());
            heard
                .events
                .push(notice(super::REQUEST_REFUSED, format!("a request of the agent was refused: {why}")));
        }
    }
}

/// Something of ours is asked that cannot be shown to anybody.
fn unreadable(state: &mut State, asked: &Unreadable, heard: &mut Heard) {
    let ids = &asked.properties;
    if state.thread(&ids.session).is_some() && state.note_request(&ids.id, &ids.session, false) {
        state.settle_request(&ids.id);
        let question = asked.kind.starts_with("question");
        heard
            .replies
            .push(refusal(&ids.id, question, "The request could not be read, so it was refused.").into());
        heard
            .events
            .push(notice(super::REQUEST_REFUSED, "a request of the agent could not be read and was refused"));
    }
}

/// A no to a request.
pub(super) fn refusal(id: &str, question: bool, words: &str) -> Request {
    let tag = sync::Tag::Answer { request: id.to_owned() }.value();
    if question {
        return Request::post(format!("/question/{}/reject", piece(id)), tag);
    }
    let body = serde_json::json!({ "reply": "reject", "message": words });
    Request::post(format!("/permission/{}/reply", piece(id)), tag).with(body)
}
