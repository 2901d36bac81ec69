//! A turn: how it begins, what the model's messages add to it, and how it ends.

use serde_json::Value;

use super::ends;
use super::state::{Last, Spent, State, keep};
use crate::agent::fields::Fields;
use crate::domain::agent::{AgentEvent, InputProgress, TurnEnd};
use crate::domain::ids::InputId;
use crate::domain::restart::EndCause;

/// Pi begins to work; also to try a failed request again, which is no new turn.
pub(super) fn begin(state: &mut State, events: &mut Vec<AgentEvent>) {
    state.ending = false;
    state.rested = false;
    if state.in_turn {
        return;
    }
    state.in_turn = true;
    state.spent = Spent::default();
    state.last = None;
    events.push(AgentEvent::TurnStarted);
}

/// A prompt enters the run.
pub(super) fn take(state: &mut State) {
    if !state.sent.is_empty() {
        let input = state.sent.remove(0);
        keep(&mut state.taken, input);
    }
}

/// What the turn works on is in the session file now: after a crash it is gone on with, not sent again.
pub(super) fn settle(state: &mut State, events: &mut Vec<AgentEvent>) {
    if std::mem::take(&mut state.settled) {
        for input in std::mem::take(&mut state.taken) {
            events.push(progress(&input, InputProgress::Started));
            keep(&mut state.begun, input);
        }
    }
}

pub(super) fn progress(input: &str, progress: InputProgress) -> AgentEvent {
    AgentEvent::InputProgress { input: InputId::from(input), progress }
}

/// A message is complete.
pub(super) fn message(state: &mut State, message: &Value, events: &mut Vec<AgentEvent>) {
    match message.text("role") {
        Some("user") => state.settled |= state.kept,
        Some("assistant") => {
            let text = rest(state, message, events);
            state.spent.add(message.get("usage").unwrap_or(&Value::Null));
            let stop = message.text("stopReason").unwrap_or("stop").to_owned();
            state.last = Some(Last {
                text: (stop != "toolUse" && !text.is_empty()).then_some(text),
                stop,
                error: message.text("errorMessage").map(str::to_owned),
                at: message.number("timestamp").unwrap_or(0),
            });
            // Pi writes its file when the first answer is complete.
            state.kept |= state.conversation.is_some();
            state.settled |= state.kept;
        }
        _ => {}
    }
}

/// Tells what was not streamed of a complete message; gives its whole text.
fn rest(state: &mut State, message: &Value, events: &mut Vec<AgentEvent>) -> String {
    let mut whole = String::new();
    for (index, block) in (0..).zip(message.list("content")) {
        let (thinking, text) = match block.text("type") {
            Some("text") => (false, block.text("text").unwrap_or_default()),
            Some("thinking") => (true, block.text("thinking").unwrap_or_default()),
            _ => continue,
        };
        if let Some(rest) = text.get(state.told_of(index)..).filter(|rest| !rest.is_empty()) {
            events.push(said(thinking, rest));
        }
        if !thinking {
            whole.push_str(text);
        }
    }
    state.told.clear();
    whole
}

/// A piece of the answer.
pub(super) fn said(thinking: bool, text: &str) -> AgentEvent {
    let (text, parent) = (text.to_owned(), None);
    if thinking { AgentEvent::Thinking { text, parent } } else { AgentEvent::Text { text, parent } }
}

/// The run of the model is over: what it asked is void. Whether the turn is over too, the next line tells.
pub(super) fn run_ended(state: &mut State, events: &mut Vec<AgentEvent>) {
    events.extend(state.open.drain(..).map(AgentEvent::Withdrew));
    state.ending = state.in_turn;
}

/// The turn is over.
pub(super) fn finish(state: &mut State, events: &mut Vec<AgentEvent>) {
    state.ending = false;
    if !state.in_turn {
        return;
    }
    let last = state.last.take().unwrap_or_default();
    let cut_off = matches!(last.stop.as_str(), "" | "error") && state.interrupting;
    let interrupted = last.stop == "aborted" || cut_off;
    let failed = last.stop == "error" && !interrupted;
    let error = failed.then(|| last.error.clone().unwrap_or_else(|| "the model gave no reason".to_owned()));
    let reason = match last.stop.as_str() {
        _ if interrupted => "aborted",
        "" | "stop" | "toolUse" => "completed",
        other => other,
    };
    let ok = !interrupted && !failed;
    end(
        state,
        TurnEnd {
            ok,
            reason: reason.to_owned(),
            text: last.text.filter(|_| ok),
            resets_at: error.as_deref().and_then(|error| ends::resets_at(error, last.at)),
            cause: error.as_deref().and_then(ends::trouble),
            error,
            interrupted,
            ..TurnEnd::default()
        },
        events,
    );
}

/// A turn that could not be: it fails as soon as it begins.
pub(super) fn fail(state: &mut State, error: String, cause: Option<EndCause>, events: &mut Vec<AgentEvent>) {
    begin(state, events);
    let end_of_it = TurnEnd { reason: "error".to_owned(), error: Some(error), cause, ..TurnEnd::default() };
    end(state, end_of_it, events);
}

fn end(state: &mut State, mut turn: TurnEnd, events: &mut Vec<AgentEvent>) {
    turn.usage = std::mem::take(&mut state.spent).usage();
    state.last_cause = turn.cause;
    state.in_turn = false;
    state.interrupting = false;
    state.settled = false;
    state.told.clear();
    let done = state.begun.drain(..).chain(state.taken.drain(..));
    events.extend(done.map(|input| progress(&input, InputProgress::Completed)));
    events.push(AgentEvent::TurnFinished(turn));
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn state() -> State {
        State { conversation: Some("/s".into()), sent: vec!["u".into()], ..State::default() }
    }

    #[test]
    fn an_input_has_begun_when_the_session_file_holds_it() {
        let (mut state, mut events) = (state(), Vec::new());
        begin(&mut state, &mut events);
        take(&mut state);
        message(&mut state, &json!({ "role": "user" }), &mut events);
        settle(&mut state, &mut events);
        assert_eq!(events, [AgentEvent::TurnStarted], "a new conversation has no file yet");
        message(&mut state, &json!({ "role": "assistant", "stopReason": "toolUse" }), &mut events);
        settle(&mut state, &mut events);
        assert_eq!(events.last(), Some(&progress("u", InputProgress::Started)));
        state.sent.push("v".into());
        take(&mut state);
        message(&mut state, &json!({ "role": "user" }), &mut events);
        settle(&mut state, &mut events);
        assert_eq!(events.last(), Some(&progress("v", InputProgress::Started)), "now there is one");
    }

    #[test]
    fn what_was_not_streamed_is_told_when_the_message_is_complete() {
        let (mut state, mut events) = (state(), Vec::new());
        state.tell(1, 3);
        let content = json!([{ "type": "thinking", "thinking": "hm" }, { "type": "text", "text": "hello" },
            { "type": "toolCall", "id": "c" }, { "type": "text", "text": "é" }]);
        message(
            &mut state,
            &json!({ "role": "assistant", "content": content, "stopReason": "stop" }),
            &mut events,
        );
        assert_eq!(events, [said(true, "hm"), said(false, "lo"), said(false, "é")]);
        assert_eq!(state.last.and_then(|last| last.text).as_deref(), Some("helloé"));
    }

    #[test]
    fn the_end_tells_success_from_failure_from_interrupt() {
        let ended = |stop: &str, error: Option<&str>, interrupting: bool| {
            let (mut state, mut events) = (state(), Vec::new());
            begin(&mut state, &mut events);
            state.interrupting = interrupting;
            let whole = json!({ "role": "assistant", "stopReason": stop, "errorMessage": error });
            message(&mut state, &whole, &mut events);
            finish(&mut state, &mut events);
            assert!(!state.in_turn && !state.interrupting);
            match events.pop() {
                Some(AgentEvent::TurnFinished(end)) => (end.ok, end.interrupted, end.cause, end.reason),
                other => panic!("not the end of a turn: {other:?}"),
            }
        };
        assert_eq!(ended("stop", None, false), (true, false, None, "completed".into()));
        assert_eq!(ended("length", None, false), (true, false, None, "length".into()));
        assert_eq!(ended("aborted", Some("x"), true), (false, true, None, "aborted".into()));
        assert_eq!(ended("error", Some("503 x"), true), (false, true, None, "aborted".into()));
        let auth = Some(EndCause::Authentication);
        assert_eq!(ended("error", Some("401 x"), false), (false, false, auth, "error".into()));
    }
}
