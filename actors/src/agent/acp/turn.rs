//! A turn: from the prompt to the answer of its request, which is its end.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::state::{Later, Stage, State, short};
use super::wire::{AUTH_REQUIRED, Failure, answer, request};
use super::{ask, form};
use crate::agent::fields::{Fields, head};
use crate::agent::protocol::{Heard, Outgoing};
use crate::domain::agent::{AgentEvent, InputProgress, TurnEnd};
use crate::domain::ids::InputId;
use crate::domain::restart::EndCause;
use crate::domain::time::Stamp;
use crate::domain::usage::Usage;

/// Longest final answer that is told as a whole, in bytes; its pieces are told all.
const ANSWER_LIMIT: usize = 48 * 1024;
/// Longest words with a no that are passed on, in bytes.
const REASON_LIMIT: usize = 8 * 1024;
/// What a prompt's id begins with.
const PROMPT: &str = "prompt/";

/// What is known of the turn that runs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Turn {
    /// The input that it works on.
    pub(super) input: String,
    /// Id of the request whose answer ends it.
    pub(super) request: String,
    /// Whether it was told that it began.
    pub(super) begun: bool,
    /// Whether it was told to stop.
    pub(super) cancelling: bool,
    /// What people said with a no: ACP has no place for it, so it is sent when the turn would end.
    pub(super) reasons: Vec<String>,
    /// The message that is being written, and what it says so far.
    message: Message,
    /// Tokens of the requests before the present one.
    input_tokens: u64,
    output_tokens: u64,
    /// What the conversation had cost when it began.
    cost: u64,
    /// The agent said that it failed, though it may end like a success (Codex).
    failed: bool,
}

/// A message of the agent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Message {
    id: Option<String>,
    text: String,
    cut: bool,
    /// Something else came since, so that without an id the next piece is of another message.
    over: bool,
    /// The last thing that was told was a piece of it.
    last: bool,
}

impl Turn {
    /// A turn on an input.
    pub(super) fn new(input: &str, request: String, cost: u64) -> Self {
        Self { input: input.to_owned(), request, cost, ..Self::default() }
    }

    /// A turn that ran already when a crash took away the memory of having asked for it: any answer to this input
    /// ends it.
    pub(super) fn adopted(input: &str, cost: u64) -> Self {
        Self::new(input, String::new(), cost)
    }

    fn ends_with(&self, request: &str, input: &str) -> bool {
        if self.request.is_empty() { self.input == input } else { self.request == request }
    }

    /// Something other than text of the agent was told.
    pub(super) fn interposed(&mut self) {
        self.message.over = true;
        self.message.last = false;
    }

    /// A piece of the answer; gives it as it is to be told.
    pub(super) fn piece(&mut self, id: Option<&str>, piece: &str) -> String {
        let message = &mut self.message;
        let other = match (id, message.id.as_deref()) {
            (Some(id), Some(known)) => short(id) != known,
            (None, None) => message.over,
            _ => true,
        };
        let mut told = String::new();
        if other {
            // Two messages with nothing in between would run together.
            if message.last && !message.text.ends_with('\n') && !message.text.is_empty() {
                told.push_str("\n\n");
            }
            *message = Message { id: id.map(short), ..Message::default() };
        }
        message.over = false;
        message.last = true;
        let room = ANSWER_LIMIT.saturating_sub(message.text.len());
        let kept = head(piece, room);
        message.cut |= kept.len() < piece.len();
        message.text.push_str(kept);
        told.push_str(piece);
        told
    }

    /// What Codex tells beside the protocol.
    pub(super) fn thread_status(&mut self, status: &str) {
        self.failed |= status == "systemError";
    }

    fn answer(&self) -> Option<String> {
        let text = Some(&self.message.text).filter(|text| !text.trim().is_empty())?;
        Some(if self.message.cut { format!("{text}\n… (its rest is above)") } else { text.clone() })
    }
}

/// Id of the request that says an input. The input's own id comes last because it may hold anything. A repetition
/// after a crash must not have the id of the first time, whose answer is still to come and whose number is
/// forgotten.
pub(super) fn prompt_id(state: &mut State, input: &str, again: bool) -> String {
    let mark = if again { super::nonce() } else { String::new() };
    format!("{}{mark}/{input}", state.fresh("prompt"))
}

/// The input that a prompt's id names.
pub(super) fn input_of(request: &str) -> Option<&str> {
    request.strip_prefix(PROMPT)?.split_once('/').map(|(_, input)| input)
}

/// Tells that the turn began, once.
pub(super) fn begin(state: &mut State, events: &mut Vec<AgentEvent>) {
    match &mut state.turn {
        Some(turn) if !turn.begun => {
            turn.begun = true;
            events.push(progress(&turn.input, InputProgress::Started));
            events.push(AgentEvent::TurnStarted);
        }
        Some(_) => {}
        None => state.loose |= state.stage == Stage::Ready,
    }
}

fn progress(input: &str, progress: InputProgress) -> AgentEvent {
    AgentEvent::InputProgress { input: InputId::from(input), progress }
}

/// A prompt was answered: its turn is over, or goes on with what people said with a no.
pub(super) fn answered(state: &mut State, id: &str, result: Result<Value, Failure>, heard: &mut Heard) {
    let Some(input) = input_of(id) else { return };
    match &state.turn {
        // Said again after a crash; the answer to the first time says nothing any more.
        Some(turn) if !turn.ends_with(id, input) => return,
        Some(_) => {}
        // Forgotten in a crash. It ran all the same.
        None => state.turn = Some(Turn::new(input, id.to_owned(), state.cost)),
    }
    begin(state, &mut heard.events);
    // What was open has no one waiting for it any more; the agent may still hold its side of it.
    let open = state.withdraw_all();
    heard.replies.extend(open.iter().map(|open| answer(&open.id, &nobody(open.form))));
    heard.events.extend(std::mem::take(&mut state.later).into_iter().map(Later::event));
    let Some(mut turn) = state.turn.take() else { return };
    if let Ok(result) = &result {
        let (input, output) = tokens(result);
        turn.input_tokens = turn.input_tokens.saturating_add(input);
        turn.output_tokens = turn.output_tokens.saturating_add(output);
        if !turn.cancelling && !turn.failed && !turn.reasons.is_empty() {
            state.turn = Some(turn);
            heard.replies.extend(pass_on(state));
            return;
        }
    }
    let mut end = judge(&turn, result);
    let why = match (end.interrupted, end.ok) {
        (true, _) => "it was stopped",
        (_, true) => "the agent told no result",
        _ => "the turn failed before it had a result",
    };
    state.calls.finish_all(why, &mut heard.events);
    // The total begins at nothing when a conversation is taken up again.
    let cost = if state.cost < turn.cost { state.cost } else { state.cost - turn.cost };
    end.usage = Usage {
        input_tokens: turn.input_tokens,
        output_tokens: turn.output_tokens,
        total_cost_usd: cost as f64 / 1e9,
    };
    state.last_cause = end.cause;
    state.loose = false;
    heard.events.push(progress(&turn.input, InputProgress::Completed));
    heard.events.push(AgentEvent::TurnFinished(end));
}

/// The answer to a request that nobody answers.
pub(super) fn nobody(form: bool) -> Value {
    if form { form::cancelled() } else { ask::cancelled() }
}

/// Remembers what a person said with a no.
pub(super) fn remember_reason(state: &mut State, title: &str, words: &str) {
    if let Some(turn) = &mut state.turn {
        let reason =
            format!("I said no to \"{title}\". My words on it:\n{}", head(words.trim(), REASON_LIMIT));
        if !turn.reasons.contains(&reason) {
            turn.reasons.push(reason);
        }
    }
}

/// What people said with a no, as the next prompt of the same turn.
fn pass_on(state: &mut State) -> Option<Outgoing> {
    let session = state.session.clone()?;
    let input = state.turn.as_ref()?.input.clone();
    let id = prompt_id(state, &input, false);
    let turn = state.turn.as_mut()?;
    turn.request.clone_from(&id);
    turn.interposed();
    let mut text = std::mem::take(&mut turn.reasons).join("\n\n");
    text.push_str("\n\nTake that into account, and go on with what you were asked to do.");
    let prompt = json!([{ "type": "text", "text": text }]);
    Some(request(&id, "session/prompt", &json!({ "sessionId": session, "prompt": prompt })))
}

fn judge(turn: &Turn, result: Result<Value, Failure>) -> TurnEnd {
    let failed = |reason: &str, error: String| TurnEnd {
        reason: reason.to_owned(),
        error: Some(error),
        ..TurnEnd::default()
    };
    let result = match result {
        Ok(result) => result,
        Err(_) if turn.cancelling => {
            return TurnEnd { reason: "cancelled".into(), interrupted: true, ..TurnEnd::default() };
        }
        Err(failure) => {
            let words = words(&failure);
            let cause = cause(&failure, &words);
            let resets_at = match cause {
                Some(EndCause::UsageLimit) => wait_in(&failure.message).map(|s| Stamp::now().plus_seconds(s)),
                _ => None,
            };
            return TurnEnd { cause, resets_at, ..failed("error", words) };
        }
    };
    let reason = result.text("stopReason").unwrap_or("end_turn");
    match reason {
        // Codex also ends a turn so when a tool was refused: then it waits for the person, who has spoken.
        "cancelled" => TurnEnd { reason: reason.into(), interrupted: true, ..TurnEnd::default() },
        "refusal" => failed(reason, "the model refused to go on with this".into()),
        "max_tokens" => {
            failed(reason, "the model came to its limit of tokens, so the answer is not complete".into())
        }
        "max_turn_requests" => failed(
            reason,
            "the agent came to its limit of requests in one turn: send an input to let it go on".into(),
        ),
        _ if turn.failed => {
            let words = turn.answer().unwrap_or_else(|| "the agent told no reason".into());
            let failure = Failure { message: words, ..Failure::default() };
            let words = self::words(&failure);
            TurnEnd { cause: cause(&failure, &words), ..failed("error", words) }
        }
        _ => TurnEnd { ok: true, reason: reason.into(), text: turn.answer(), ..TurnEnd::default() },
    }
}

/// Tokens read and written. What was read from a cache counts as read, and is in `inputTokens` already where the
/// agent counts as OpenAI does.
fn tokens(result: &Value) -> (u64, u64) {
    if let Some(usage) = result.get("usage").filter(|usage| usage.is_object()) {
        let number = |key: &str| usage.number(key).unwrap_or(0);
        let (input, output) = (number("inputTokens"), number("outputTokens"));
        let cached = number("cachedReadTokens").saturating_add(number("cachedWriteTokens"));
        let apart = input.saturating_add(output).saturating_add(cached);
        let input = if number("totalTokens") >= apart { input.saturating_add(cached) } else { input };
        return (input, output);
    }
    // Gemini
    let count = result.pointer("/_meta/quota/token_count").unwrap_or(&Value::Null);
    (count.number("input_tokens").unwrap_or(0), count.number("output_tokens").unwrap_or(0))
}

/// An error in words. Providers' errors come as JSON within the text.
pub(super) fn words(failure: &Failure) -> String {
    let message = failure.message.trim();
    let inner = message.find('{').and_then(|at| serde_json::from_str::<Value>(message.get(at..)?).ok());
    let inner = inner.as_ref().and_then(|inner| {
        let error = inner.get("error").unwrap_or(inner);
        error.word("message").or(error.as_str())
    });
    let details = failure.data.as_str().or(failure.data.word("details")).or(failure.data.word("message"));
    let words = inner.unwrap_or(message);
    let words = if words.is_empty() { "the agent told no reason" } else { words };
    match details.filter(|details| !words.contains(details) && words.len() < 40) {
        Some(details) => format!("{words}: {details}"),
        None => words.to_owned(),
    }
}

/// Why it failed, if it is nothing that the same request again would mend.
pub(super) fn cause(failure: &Failure, words: &str) -> Option<EndCause> {
    let kind = ["errorKind", "errorName"].iter().find_map(|key| failure.data.text(key)).unwrap_or_default();
    let text = format!("{kind} {words} {}", failure.message).to_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
    let sign_in = matches!(failure.code, AUTH_REQUIRED | 401 | 403)
        || has(&[
            "authentication",
            "not logged in",
            "please run /login",
            "invalid api key",
            "api key not valid",
            "unauthorized",
        ]);
    let limit = failure.code == 429
        || has(&[
            "usage limit",
            "quota",
            "rate_limit",
            "rate limit",
            "too many requests",
            "resource_exhausted",
            "billing",
            "insufficient_quota",
            "credit balance",
        ]);
    match () {
        () if has(&["not your usage limit"]) => None,
        () if limit => Some(EndCause::UsageLimit),
        () if sign_in => Some(EndCause::Authentication),
        () => None,
    }
}

/// The seconds after which a limit is lifted, in the wordings of Google: `reset after 5h13m7s`, `retry in 37.1s`,
/// `"retryDelay":"37s"`.
fn wait_in(text: &str) -> Option<i64> {
    let after = ["reset after ", "retry in ", "retryDelay\":\"", "retryDelay\": \""];
    let rest = after.iter().find_map(|mark| text.split_once(mark).map(|(_, rest)| rest))?;
    let (mut seconds, mut number, mut found) = (0.0, String::new(), false);
    for c in rest.chars() {
        let unit = match c {
            '0'..='9' | '.' => {
                number.push(c);
                continue;
            }
            'd' => 86_400.0,
            'h' => 3_600.0,
            'm' => 60.0,
            's' => 1.0,
            _ => break,
        };
        seconds += number.parse::<f64>().ok()? * unit;
        found = true;
        number.clear();
        if unit == 1.0 {
            break;
        }
    }
    // A month and more is no limit but a misunderstanding.
    found.then_some(seconds.ceil() as i64).filter(|seconds| (0..=31 * 86_400).contains(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(code: i64, message: &str) -> Failure {
        Failure { code, message: message.into(), data: Value::Null }
    }

    fn ended(result: Result<Value, Failure>) -> TurnEnd {
        judge(&Turn::default(), result)
    }

    #[test]
    fn limits_and_sign_in_are_told_from_failures_that_pass() {
        let cause = |code, message: &str| ended(Err(failure(code, message))).cause;
        assert_eq!(cause(429, "Rate limit exceeded. Try again later."), Some(EndCause::UsageLimit));
        assert_eq!(cause(-32603, "You've hit your usage limit"), Some(EndCause::UsageLimit));
        assert_eq!(cause(-32000, "Authentication required"), Some(EndCause::Authentication));
        assert_eq!(
            cause(400, r#"{"error":{"message":"API key not valid. Please pass a valid API key."}}"#),
            Some(EndCause::Authentication)
        );
        assert_eq!(cause(-32603, "Internal error: scripted failure 500"), None);
        assert_eq!(cause(-32603, "limiting requests (not your usage limit), rate limit"), None);
    }

    #[test]
    fn the_time_at_which_a_limit_is_lifted_is_read() {
        assert_eq!(wait_in("Your quota will reset after 5h13m7s."), Some(5 * 3600 + 13 * 60 + 7));
        assert_eq!(wait_in("Please retry in 37.1s."), Some(38));
        assert_eq!(wait_in(r#"{"retryDelay": "60s"}"#), Some(60));
        for text in ["later", "retry in a while", "retry in 99999999999999999999d", "reset after .h"] {
            assert_eq!(wait_in(text), None, "{text}");
        }
    }

    #[test]
    fn an_error_is_told_in_its_own_words() {
        let error = |failure| ended(Err(failure)).error.unwrap_or_default();
        assert_eq!(error(failure(400, r#"{"error":{"code":400,"message":"it broke"}}"#)), "it broke");
        assert_eq!(error(failure(-32603, "Internal error: it broke")), "Internal error: it broke");
        let details =
            Failure { data: json!({ "details": "no such file" }), ..failure(-32603, "Internal error") };
        assert_eq!(error(details), "Internal error: no such file");
        assert_eq!(error(failure(0, "")), "the agent told no reason");
    }

    #[test]
    fn a_stop_is_judged_by_its_reason() {
        let reason = |reason: &str| ended(Ok(json!({ "stopReason": reason })));
        assert!(reason("end_turn").ok && reason("something_new").ok);
        assert!(reason("cancelled").interrupted && !reason("cancelled").ok);
        for failed in ["refusal", "max_tokens", "max_turn_requests"] {
            assert!(!reason(failed).ok && reason(failed).error.is_some(), "{failed}");
        }
        let stopped = Turn { cancelling: true, ..Turn::default() };
        assert!(judge(&stopped, Err(failure(-32603, "aborted"))).interrupted);
        let mut codex = Turn::default();
        codex.thread_status("systemError");
        codex.piece(None, "{\"error\": {\"message\": \"scripted failure 400\"}}\n\n");
        let end = judge(&codex, Ok(json!({ "stopReason": "end_turn" })));
        assert_eq!((end.ok, end.error.as_deref()), (false, Some("scripted failure 400")));
    }

    #[test]
    fn tokens_from_a_cache_are_counted_once() {
        let usage = |input: u64, cached: u64, total: u64| {
            tokens(&json!({ "usage": { "inputTokens": input, "outputTokens": 10, "cachedReadTokens": cached,
                "totalTokens": total } }))
        };
        assert_eq!(usage(100, 50, 160), (150, 10), "beside the input");
        assert_eq!(usage(100, 50, 110), (100, 10), "within the input");
    }

    #[test]
    fn messages_are_told_apart_and_the_last_one_is_the_answer() {
        let mut turn = Turn::default();
        assert_eq!(turn.piece(Some("a"), "one "), "one ");
        assert_eq!(turn.piece(Some("a"), "two"), "two");
        assert_eq!(turn.piece(Some("b"), "three"), "\n\nthree");
        turn.interposed();
        assert_eq!(turn.piece(Some("b"), " four"), " four");
        assert_eq!(turn.answer().as_deref(), Some("three four"));
        turn.interposed();
        assert_eq!(turn.piece(None, "five"), "five");
        turn.interposed();
        assert_eq!(turn.piece(None, "six"), "six");
        assert_eq!(turn.answer().as_deref(), Some("six"));
        turn.piece(None, &"x".repeat(2 * ANSWER_LIMIT));
        assert!(
            turn.answer().is_some_and(|text| text.len() < ANSWER_LIMIT + 100 && text.ends_with("above)"))
        );
    }
}
