//! What the agent says, line by line.

use serde_json::Value;

use super::calls::{Call, Naming};
use super::state::{Later, MOST_OPEN, Open, State, short};
use super::wire::{Failure, INVALID_PARAMS, Line, METHOD_NOT_FOUND, answer, read, refusal};
use super::{REQUEST_REFUSED, ask, form, notice, start, turn, updates};
use crate::agent::fields::{Fields as _, head};
use crate::agent::protocol::Heard;
use crate::domain::agent::AgentEvent;

/// How much is kept of a line that cannot be understood, in characters.
const UNPARSED_KEPT: usize = 500;
/// Unknown methods of which a person is told.
const MOST_TOLD: usize = 32;

/// Reads one line.
pub(super) fn hear(state: &mut State, line: &[u8]) -> Heard {
    let mut heard = Heard::default();
    let read = read(line);
    if read == Line::Empty {
        return heard;
    }
    heard.events.extend(std::mem::take(&mut state.later).into_iter().map(Later::event));
    match read {
        Line::Empty => {}
        Line::Notification { method, params } => notification(state, &method, &params, &mut heard),
        Line::Response { id, result } => response(state, &id, result, &mut heard),
        Line::Request { id, method, params } => request(state, &id, &method, &params, &mut heard),
        Line::UnreadableRequest { id, method, message } => {
            heard.replies.push(match method.as_str() {
                "session/request_permission" => answer(&id, &ask::cancelled()),
                "elicitation/create" => answer(&id, &form::cancelled()),
                _ => refusal(&id, INVALID_PARAMS, "the request cannot be read"),
            });
            heard.events.push(refused(&format!("it cannot be read ({message})")));
        }
        Line::Broken(message) => {
            let line = String::from_utf8_lossy(line);
            heard
                .events
                .push(AgentEvent::Unparsed { message, line: line.chars().take(UNPARSED_KEPT).collect() });
        }
    }
    heard
}

fn refused(why: &str) -> AgentEvent {
    notice(REQUEST_REFUSED, format!("a request of the agent was refused: {why}"))
}

fn notification(state: &mut State, method: &str, params: &Value, heard: &mut Heard) {
    match method {
        "session/update" => updates::update(state, params, heard),
        "$/cancel_request" => {
            let Some(id) = params.get("requestId") else { return };
            let form = state.open.iter().any(|open| open.id == *id && open.form);
            if state.close(id) {
                heard.replies.push(answer(id, &turn::nobody(form)));
                heard.events.push(AgentEvent::Withdrew(id.to_string()));
            }
        }
        // Of our own agents: the protocol has no word for it.
        "_tether/retry" => heard.events.extend(params.get("retry").map(retry)),
        // Extensions of single agents, and the end of what was never begun here.
        _ => {}
    }
}

/// A failed request to the agent's model is tried again.
fn retry(told: &Value) -> AgentEvent {
    AgentEvent::Retry {
        attempt: told.number("attempt").unwrap_or(0),
        max_attempts: told.number("maxAttempts").unwrap_or(0),
        delay_ms: told.number("delayMs").unwrap_or(0),
        status: told.number("status"),
        error: told.text("error").unwrap_or_default().to_owned(),
    }
}

/// An answer to a request of ours: its id tells which.
fn response(state: &mut State, id: &str, result: Result<Value, Failure>, heard: &mut Heard) {
    let (word, rest) = id.split_once('/').unwrap_or((id, ""));
    // After a number of ours comes what was to be set.
    let value = rest.split_once('/').map_or("", |(_, value)| value);
    match word {
        "hello" => start::greeted(state, id, result, heard),
        "sign-in" => start::signed_in(state, id, result, heard),
        "join" => start::joined(state, id, result, heard),
        "tune" => start::tuned(state, id, result, heard),
        "prompt" => turn::answered(state, id, result, heard),
        "model" => {
            if result.is_ok() {
                if let Some(knob) = &mut state.knobs.model {
                    knob.current = Some(short(value));
                }
                let version = state.agent.version.clone();
                heard.events.push(AgentEvent::Ready { version, model: start::model(state) });
            }
            heard.events.push(replied(id, result));
        }
        "planning" => {
            if result.is_ok() {
                state.knobs.planned(value == "true");
                heard.events.push(AgentEvent::Planning(state.knobs.planning()));
            }
            heard.events.push(replied(id, result));
        }
        "mode" => match result {
            Ok(_) => state.knobs.mode_is(value),
            Err(_) => {
                let current = state.knobs.mode_value().unwrap_or_default().to_owned();
                heard.events.push(super::unasking(&current));
            }
        },
        // A conversation that was closed, and answers to what nobody asked.
        _ => {}
    }
}

fn replied(id: &str, result: Result<Value, Failure>) -> AgentEvent {
    AgentEvent::Replied { request: id.to_owned(), result: result.map_err(|failure| turn::words(&failure)) }
}

/// What it wants an answer to. Each is asked or refused.
fn request(state: &mut State, id: &Value, method: &str, params: &Value, heard: &mut Heard) {
    let form = match method {
        "session/request_permission" => false,
        "elicitation/create" => true,
        _ => return unknown(state, id, method, heard),
    };
    // It was told to stop, and asks all the same.
    if state.turn.as_ref().is_some_and(|turn| turn.cancelling) {
        heard.replies.push(answer(id, &turn::nobody(form)));
        return;
    }
    turn::begin(state, &mut heard.events);
    state.turn.iter_mut().for_each(turn::Turn::interposed);
    let asked = match state.open.len() {
        MOST_OPEN.. => Err(format!("{MOST_OPEN} others wait already")),
        _ if form => form::read(id.to_string(), params),
        _ => permission(state, id, params, heard),
    };
    match asked {
        Ok(asked) => {
            state.close(id);
            state.open.push(Open { id: id.clone(), form });
            heard.events.push(AgentEvent::Asked(Box::new(asked)));
        }
        Err(why) if form => {
            heard.replies.push(answer(id, &form::cancelled()));
            heard.events.push(refused(&format!("a form was to be filled in, but {why}")));
        }
        Err(why) => {
            heard.replies.push(answer(id, &ask::refused(params)));
            heard.events.push(refused(&format!("a tool was to run, but {why}")));
        }
    }
}

/// A tool wants to run.
fn permission(
    state: &mut State,
    id: &Value,
    params: &Value,
    heard: &mut Heard,
) -> Result<crate::domain::approval::Ask, String> {
    let nothing = Value::Null;
    let told = params.get("toolCall").unwrap_or(&nothing);
    let naming = state.agent.naming();
    let nameless = Call::nameless(told);
    let call = match state.calls.merge(told, naming, true, &mut heard.events) {
        Some(call) => call,
        None => &nameless,
    };
    ask::read(id.to_string(), params, call, &state.start.cwd)
}

/// Something that this client does not do. The files and the terminal it said so beforehand; of the rest a person
/// is told, once for each kind.
fn unknown(state: &mut State, id: &Value, method: &str, heard: &mut Heard) {
    heard.replies.push(refusal(id, METHOD_NOT_FOUND, "this client does not do that"));
    let declined = method.starts_with("fs/") || method.starts_with("terminal/");
    let method = head(method, 100).to_owned();
    if declined || state.told.contains(&method) || state.told.len() >= MOST_TOLD {
        return;
    }
    heard.events.push(refused(&format!("it is of a kind that is not known here ({method:?})")));
    state.told.push(method);
}

impl Call {
    /// A call of which the agent tells no id.
    fn nameless(message: &Value) -> Self {
        let mut call = Self::default();
        call.take_in(message, Naming::None, true);
        call
    }
}
