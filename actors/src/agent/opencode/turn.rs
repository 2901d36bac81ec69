//! The beginning and the end of a turn, and what it cost.

use serde_json::Value;

use super::hear::notice;
use super::state::{Phase, State, Trouble, Turn, Used, Waiting};
use super::sync;
use crate::agent::fields::Fields;
use crate::agent::protocol::{Heard, Outgoing};
use crate::agent::server::wire::Request;
use crate::domain::agent::{AgentEvent, InputProgress, TurnEnd};
use crate::domain::ids::InputId;
use crate::domain::restart::EndCause;

/// So many answers in a row that broke off are one too many: OpenCode asks its model again at once, for ever.
const RUNAWAY: u32 = 5;
/// How often it is looked, when a turn is said to be over, whether its last message is finished.
const LOOKS: u32 = 6;
/// How long between these looks, milliseconds.
const BETWEEN_LOOKS: u64 = 250;
/// OpenCode's name for what an interrupt does.
const ABORTED: &str = "MessageAbortedError";

/// The agent works.
pub(super) fn begin(state: &mut State, heard: &mut Heard) {
    for Waiting { input, .. } in state.waiting.extract_if(.., |waiting| waiting.arrived) {
        heard.events.push(AgentEvent::InputProgress { input, progress: InputProgress::Started });
    }
    if state.in_turn {
        return;
    }
    state.in_turn = true;
    state.interrupting = false;
    state.turn = Turn::default();
    heard.events.push(AgentEvent::TurnStarted);
    if std::mem::take(&mut state.interrupt_next) {
        state.interrupting = true;
        heard.replies.push(abort(state));
    }
}

/// Ends what runs in the conversation, and the tools in it.
pub(super) fn abort(state: &State) -> Outgoing {
    let path = format!("/session/{}/abort", super::wire::piece(state.root()));
    Request::post(path, sync::Tag::Abort.value()).into()
}

/// Whether nothing more will come of a message.
pub(super) fn is_complete(info: &Value) -> bool {
    info.get("error").is_some_and(Value::is_object)
        || info.get("time").is_some_and(|time| time.get("completed").is_some())
}

/// Whether a message only sums up what was said before, to make room: it is no answer.
pub(super) fn is_summary(info: &Value) -> bool {
    info.flag("summary")
}

/// Such a message is finished.
pub(super) fn summed_up(state: &mut State, at: usize, info: &Value, heard: &mut Heard) {
    account(state, at, info, heard);
    heard.events.push(notice("CONTEXT_COMPACTED", "the agent replaced the conversation so far by a summary"));
}

/// What a message of the agent's tells beside its parts.
pub(super) fn look_at(state: &mut State, info: &Value, heard: &mut Heard) {
    if !info.text("sessionID").is_some_and(|session| state.is_root(session)) {
        return;
    }
    state.note_newest(info.text("id").unwrap_or_default());
    if let Some(created) = info.get("time").and_then(|time| time.number("created"))
        && state.turn.began == 0
    {
        state.turn.began = created;
    }
    if let (Some(provider), Some(model)) = (info.text("providerID"), info.text("modelID")) {
        let model = format!("{provider}/{model}");
        if state.told_model.as_deref() != Some(model.as_str()) {
            state.told_model = Some(super::state::word(&model));
            // While the conversation is being opened, it is told with that.
            if state.phase == Phase::Ready {
                let (version, model) = (state.version.clone(), Some(model));
                heard.events.push(AgentEvent::Ready { version, model });
            }
        }
    }
}

/// A message is finished and told: counts what it used, and notices an agent that runs in circles.
pub(super) fn account(state: &mut State, at: usize, info: &Value, heard: &mut Heard) {
    let Some(thread) = state.threads.get_mut(at) else { return };
    thread.finish(info.text("id").unwrap_or_default());
    let root = info.text("sessionID").is_some_and(|session| state.is_root(session));
    let used = &mut state.turn.usage;
    if let Some(tokens) = info.get("tokens") {
        let cache = |key: &str| tokens.get("cache").and_then(|cache| cache.number(key)).unwrap_or(0);
        let input = [tokens.number("input").unwrap_or(0), cache("read"), cache("write")];
        let output = [tokens.number("output").unwrap_or(0), tokens.number("reasoning").unwrap_or(0)];
        used.input = input.into_iter().fold(used.input, u64::saturating_add);
        used.output = output.into_iter().fold(used.output, u64::saturating_add);
    }
    // `as` saturates.
    used.cost = used.cost.saturating_add((info.figure("cost").unwrap_or(0.0) * 1e9).round() as u64);
    if !root {
        return;
    }
    if let Some(error) = info.get("error").filter(|error| error.is_object()) {
        trouble(state, error);
    }
    state.turn.cut_off = if info.text("finish") == Some("unknown") { state.turn.cut_off + 1 } else { 0 };
    if state.turn.cut_off == RUNAWAY && state.in_turn {
        let message = format!(
            "the model's answer broke off {RUNAWAY} times in a row and OpenCode asked again each time, so the turn \
             was ended; look at the connection to the model, then send an input"
        );
        state.turn.trouble = Some(Trouble::new("runaway", &message, None));
        heard.events.push(notice(super::RUNAWAY, message));
        heard.replies.push(abort(state));
    }
}

/// Remembers what the turn failed of; the first that is heard says most.
pub(super) fn trouble(state: &mut State, error: &Value) {
    let name = error.text("name").unwrap_or("UnknownError");
    if name == ABORTED || state.turn.trouble.is_some() {
        return;
    }
    let data = error.get("data");
    let words = data.and_then(|data| data.text("message")).unwrap_or(name);
    // What follows is a trace of the stack.
    let words = words.lines().next().unwrap_or(words);
    let status = data.and_then(|data| data.number("statusCode"));
    state.turn.trouble = Some(Trouble::new(name, words, cause(name, status, words)));
}

/// Why it failed, if it is nothing that the same request again would mend.
fn cause(name: &str, status: Option<u64>, words: &str) -> Option<EndCause> {
    let words = words.to_lowercase();
    let has = |wanted: &[&str]| wanted.iter().any(|word| words.contains(word));
    match (name, status) {
        ("ProviderAuthError", _) | (_, Some(401 | 403)) => Some(EndCause::Authentication),
        (_, Some(402 | 429)) => Some(EndCause::UsageLimit),
        _ if has(&["usage limit", "quota", "credit balance", "insufficient funds"]) => {
            Some(EndCause::UsageLimit)
        }
        _ => None,
    }
}

/// The server says that nothing runs; `list` are the newest messages of the conversation, and were told. Ends the
/// turn, or looks again a little later: an interrupted turn is said to be over before its last message is.
pub(super) fn settle(state: &mut State, list: &[Value], looks: u32, heard: &mut Heard) {
    if !state.in_turn {
        return;
    }
    let infos = || list.iter().rev().filter_map(|message| Some((message.get("info")?, message)));
    let user = infos().find(|(info, _)| info.text("role") == Some("user")).map(|(info, _)| info);
    let user = user.and_then(|info| info.text("id")).or(state.users.back().map(String::as_str));
    let last = infos().next().filter(|(info, _)| info.text("role") == Some("assistant"));
    // An answer to an earlier message is none of this turn's.
    let last = last.filter(|(info, _)| user.is_none() || info.text("parentID") == user);
    let complete = last.is_none_or(|(info, _)| is_complete(info));
    if !complete && looks < LOOKS {
        heard.replies.push(sync::settle_again(looks + 1, BETWEEN_LOOKS));
        return;
    }
    let aborted = last.and_then(|(info, _)| info.get("error")?.text("name")) == Some(ABORTED);
    let turn = std::mem::take(&mut state.turn);
    let trouble = match (turn.trouble, last) {
        (None, None) => {
            let words = "OpenCode ended the turn without an answer; send the input again";
            Some(Trouble::new("no_answer", words, None))
        }
        (trouble, _) => trouble,
    };
    let interrupted = state.interrupting || (aborted && trouble.is_none());
    let trouble = trouble.filter(|_| !interrupted);
    let ok = !interrupted && trouble.is_none();
    let finish = last.and_then(|(info, _)| info.text("finish")).unwrap_or("unknown").to_owned();
    let reason = match &trouble {
        Some(trouble) => trouble.name.clone(),
        None if interrupted => "aborted".to_owned(),
        None => finish,
    };
    let ended = last.and_then(|(info, _)| info.get("time")?.number("completed"));
    state.in_turn = false;
    state.interrupting = false;
    state.interrupt_next = false;
    // Nobody waits for these any more, although the server may still list them.
    for open in std::mem::take(&mut state.open) {
        state.settle_request(&open.id);
        heard.events.push(AgentEvent::Withdrew(open.id));
    }
    heard.events.push(AgentEvent::TurnFinished(TurnEnd {
        ok,
        reason,
        text: last.map(|(_, message)| words(message)).filter(|text| ok && !text.is_empty()),
        error: trouble.as_ref().map(|trouble| trouble.message.clone()),
        interrupted,
        duration_ms: ended.filter(|_| turn.began > 0).map(|ended| ended.saturating_sub(turn.began)),
        usage: turn.usage.usage(),
        cause: trouble.and_then(|trouble| trouble.cause),
        resets_at: None,
    }));
}

/// The words of a message.
fn words(message: &Value) -> String {
    let parts = message.list("parts").iter().filter(|part| part.text("type") == Some("text"));
    let texts: Vec<&str> =
        parts.filter_map(|part| part.text("text")).filter(|text| !text.is_empty()).collect();
    texts.join("\n\n")
}

/// The server refused a prompt: a turn that failed.
pub(super) fn refused(state: &mut State, input: &InputId, words: &str, heard: &mut Heard) {
    if state.in_turn {
        // The turn that runs goes on without it.
        state.waiting.retain(|waiting| waiting.input != *input);
        let progress = InputProgress::Cancelled;
        heard.events.push(AgentEvent::InputProgress { input: input.clone(), progress });
        heard.events.push(notice(super::PROMPT_REFUSED, words));
        return;
    }
    for waiting in state.waiting.iter_mut().filter(|waiting| waiting.input == *input) {
        waiting.arrived = true;
    }
    begin(state, heard);
    state.in_turn = false;
    state.turn = Turn { usage: Used::default(), ..Turn::default() };
    heard.events.push(AgentEvent::TurnFinished(TurnEnd {
        reason: "refused".to_owned(),
        error: Some(words.to_owned()),
        ..TurnEnd::default()
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_and_sign_in_are_told_from_failures_that_pass() {
        assert_eq!(cause("ProviderAuthError", None, "no key"), Some(EndCause::Authentication));
        assert_eq!(cause("APIError", Some(401), "bad key"), Some(EndCause::Authentication));
        assert_eq!(cause("APIError", Some(402), "pay"), Some(EndCause::UsageLimit));
        assert_eq!(
            cause("APIError", Some(400), "You exceeded your current quota"),
            Some(EndCause::UsageLimit)
        );
        assert_eq!(cause("APIError", Some(500), "it broke"), None);
        assert_eq!(cause("UnknownError", None, "Model not found: a/b."), None);
    }
}
