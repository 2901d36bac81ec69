//! The end of a turn: what a `result` line means.

use serde_json::Value;

use super::state::State;
use crate::agent::fields::Fields;
use crate::domain::agent::{AgentEvent, TurnEnd};
use crate::domain::restart::EndCause;
use crate::domain::time::Stamp;

/// Reads a `result`. It is judged by `is_error` and `terminal_reason`: a failed request to the model
/// has the subtype `success`.
pub(super) fn finished(state: &mut State, result: &Value, events: &mut Vec<AgentEvent>) {
    let errors: Vec<&str> = result.list("errors").iter().filter_map(Value::as_str).collect();
    if let Some(message) = errors.iter().find(|error| super::ends::is_lost(error)) {
        // A failed start, not a turn: nothing was asked of a model.
        events.push(AgentEvent::Notice {
            code: super::CONVERSATION_LOST.to_owned(),
            message: format!("the agent has no record of this conversation any more ({message})"),
        });
        if !state.in_turn {
            return;
        }
    }
    let subtype = result.text("subtype").unwrap_or("unknown");
    let reason = result.text("terminal_reason").unwrap_or(match subtype {
        "success" => "completed",
        other => other,
    });
    let ok = !result.flag("is_error") && subtype == "success";
    let interrupted =
        !ok && (reason.starts_with("aborted") || (subtype == "error_during_execution" && state.interrupting));
    let text = result.text("result").filter(|text| !text.is_empty());
    let error = (!ok && !interrupted).then(|| match (text, errors.as_slice()) {
        (Some(text), _) => text.to_owned(),
        (None, []) => format!("the turn ended without a result ({})", reason.replace('_', " ")),
        (None, errors) => errors.join("; "),
    });
    let cause = error.as_deref().and_then(|error| cause(state, result, error));
    state.last_cause = cause;
    let resets_at = match cause {
        Some(EndCause::UsageLimit) => state.limit_resets_at.or_else(|| time_in(error.as_deref()?)),
        _ => None,
    };
    let usage = state.totals.turn(result);
    state.in_turn = false;
    state.interrupting = false;
    state.trouble = None;
    events.push(AgentEvent::TurnFinished(TurnEnd {
        ok,
        reason: reason.to_owned(),
        text: text.filter(|_| ok).map(str::to_owned),
        error,
        interrupted,
        duration_ms: result.number("duration_ms"),
        usage,
        cause,
        resets_at: resets_at.map(Stamp::from_unix),
    }));
}

/// Why it failed, if it is nothing that the same request again would mend.
fn cause(state: &State, result: &Value, error: &str) -> Option<EndCause> {
    let text = error.to_lowercase();
    // "Server is temporarily limiting requests (not your usage limit)": that passes.
    if text.contains("not your usage limit") {
        return None;
    }
    let of_text = if text.contains("not logged in") || text.contains("please run /login") {
        Some(EndCause::Authentication)
    } else if speaks_of_a_limit(&text) {
        Some(EndCause::UsageLimit)
    } else {
        None
    };
    let of_status = match result.number("api_error_status") {
        Some(401) => Some(EndCause::Authentication),
        Some(429) => Some(EndCause::UsageLimit),
        _ => None,
    };
    of_text.or(state.trouble).or(of_status)
}

fn speaks_of_a_limit(text: &str) -> bool {
    // Not "limit reached" alone: the context and the number of requests at once have limits too.
    text.contains("usage limit")
        || text.contains("credit balance is too low")
        || (text.contains("limit") && (text.contains("hit your") || text.contains("resets ")))
}

/// What the `error` of an `assistant` or `api_retry` line means for the turn.
pub(super) fn trouble(error: &str) -> Option<EndCause> {
    match error {
        "authentication_failed"
        | "oauth_org_not_allowed"
        | "account_on_hold"
        | "verification_required"
        | "cloud_credential_error" => Some(EndCause::Authentication),
        "rate_limit" | "billing_error" => Some(EndCause::UsageLimit),
        _ => None,
    }
}

/// The time in the older wording `...usage limit reached|1712345678` (Unix seconds).
fn time_in(error: &str) -> Option<i64> {
    let (_, time) = error.rsplit_once('|')?;
    time.trim().parse().ok().filter(|time| *time > 1_000_000_000)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn end(state: &mut State, result: Value) -> TurnEnd {
        let mut events = Vec::new();
        finished(state, &result, &mut events);
        match events.pop() {
            Some(AgentEvent::TurnFinished(end)) => end,
            other => panic!("not the end of a turn: {other:?}"),
        }
    }

    fn failed(text: &str) -> Value {
        json!({ "subtype": "success", "is_error": true, "terminal_reason": "api_error", "result": text })
    }

    #[test]
    fn limits_and_sign_in_are_told_from_failures_that_pass() {
        let cause = |text: &str| end(&mut State::default(), failed(text)).cause;
        assert_eq!(cause("Not logged in · Please run /login"), Some(EndCause::Authentication));
        assert_eq!(cause("You've hit your limit · resets 3pm"), Some(EndCause::UsageLimit));
        assert_eq!(cause("Claude AI usage limit reached|1764000000"), Some(EndCause::UsageLimit));
        assert_eq!(cause("Server is temporarily limiting requests (not your usage limit)"), None);
        assert_eq!(cause("5-hour limit reached ∙ resets 3pm"), Some(EndCause::UsageLimit));
        assert_eq!(cause("Context limit reached · /compact or /clear to continue"), None);
        assert_eq!(cause("API Error: 500 it broke"), None);
    }

    #[test]
    fn the_time_at_which_a_limit_is_lifted_is_told() {
        let at = |state: &mut State, text: &str| end(state, failed(text)).resets_at.map(Stamp::unix);
        assert_eq!(at(&mut State::default(), "usage limit reached|1764000000"), Some(1_764_000_000));
        let mut state = State { limit_resets_at: Some(1_764_000_500), ..State::default() };
        assert_eq!(at(&mut state, "You've hit your limit · resets 3pm"), Some(1_764_000_500));
        assert_eq!(at(&mut state, "API Error: 500"), None);
    }

    #[test]
    fn what_was_heard_in_the_turn_explains_its_end_and_is_forgotten_after() {
        let mut state = State { trouble: trouble("rate_limit"), ..State::default() };
        assert_eq!(end(&mut state, failed("API Error")).cause, Some(EndCause::UsageLimit));
        assert_eq!(end(&mut state, failed("API Error")).cause, None);
    }

    #[test]
    fn a_failure_after_an_interrupt_is_an_interruption_and_no_error() {
        let result =
            json!({ "subtype": "error_during_execution", "is_error": true, "errors": ["[diagnostic]"] });
        let mut state = State { interrupting: true, ..State::default() };
        let interrupted = end(&mut state, result.clone());
        assert!(interrupted.interrupted && interrupted.error.is_none());
        let failed = end(&mut state, result);
        assert!(!failed.interrupted);
        assert_eq!(failed.error.as_deref(), Some("[diagnostic]"));
    }
}
