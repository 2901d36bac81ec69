//! What the end of the program, or of a request to its model, means, as far as the words tell.

use crate::domain::restart::EndCause;
use crate::domain::time::Stamp;

/// The cause, by the program's own words at its end.
pub(super) fn cause(stderr: &[String]) -> Option<EndCause> {
    // The last line that means anything decides: earlier ones may be warnings.
    stderr.iter().rev().find_map(|line| {
        let has = |words: &[&str]| words.iter().any(|word| line.contains(word));
        if has(&["heap out of memory"]) {
            Some(EndCause::OutOfMemory)
        } else if has(&["No models available", "No API key found"]) {
            Some(EndCause::Authentication)
        } else if has(&[
            // A gate that is missing or broken ends here: Pi does not go on without it.
            "Error: Failed to load extension",
            "Extension path does not exist",
            "Error: Unknown option",
            "Error: Extension flag",
            // The guard against the project's settings.
            "Cannot find module",
            "Stored session working directory does not exist",
            "No session found matching",
            "not found. Use --list-models",
        ]) {
            Some(EndCause::BadConfiguration)
        } else {
            None
        }
    })
}

/// Why a request to the model failed, if it is nothing that the same request again would mend.
pub(super) fn trouble(error: &str) -> Option<EndCause> {
    let text = error.to_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
    if has(&[
        "usage limit",
        "insufficient_quota",
        "exceeded your current quota",
        "credit balance",
        "quota will reset",
    ]) {
        return Some(EndCause::UsageLimit);
    }
    if has(&[
        "no api key",
        "invalid api key",
        "invalid_api_key",
        "authentication failed",
        "authentication_error",
    ]) {
        return Some(EndCause::Authentication);
    }
    match status(error) {
        Some(401) => Some(EndCause::Authentication),
        Some(402 | 429) => Some(EndCause::UsageLimit),
        _ => None,
    }
}

/// The HTTP status that the text of an error begins with.
pub(super) fn status(error: &str) -> Option<u64> {
    let digits = error.trim_start().split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok().filter(|status| (100..600).contains(status))
}

/// When a limit is lifted, from `Try again in ~N min.`, said at `at` (Unix milliseconds).
pub(super) fn resets_at(error: &str, at: u64) -> Option<Stamp> {
    let (_, rest) = error.split_once("Try again in ~")?;
    let (minutes, _) = rest.split_once(" min")?;
    let minutes: i64 = minutes.trim().parse().ok()?;
    let said = i64::try_from(at / 1000).ok().filter(|said| *said > 0)?;
    // The agent rounds to minutes: one more, so that nothing goes on too early.
    Some(Stamp::from_unix(said.saturating_add(minutes.saturating_add(1).saturating_mul(60))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Option<EndCause> {
        cause(&text.lines().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn a_start_that_was_refused_is_not_tried_again_and_again() {
        for text in [
            "Error: Failed to load extension \"/run/approval-gate.ts\": ParseError",
            "Error: Failed to load extension \"/x.ts\": Extension path does not exist: /x.ts",
            "Error: Unknown option: --nope",
            "Error: Cannot find module '/run/project-guard.cjs'\nRequire stack:",
            "Stored session working directory does not exist: /gone",
        ] {
            assert_eq!(of(text), Some(EndCause::BadConfiguration), "{text}");
        }
        assert_eq!(of("No models available. Use /login to log in."), Some(EndCause::Authentication));
        assert_eq!(of("FATAL ERROR: JavaScript heap out of memory"), Some(EndCause::OutOfMemory));
        assert_eq!(of("Segmentation fault"), None);
        assert_eq!(of(""), None);
    }

    #[test]
    fn limits_and_sign_in_are_told_from_failures_that_pass() {
        assert_eq!(trouble("401 scripted failure 401"), Some(EndCause::Authentication));
        assert_eq!(trouble("No API key found for anthropic."), Some(EndCause::Authentication));
        assert_eq!(trouble("429 rate limited"), Some(EndCause::UsageLimit));
        assert_eq!(trouble("You have hit your ChatGPT usage limit (plus plan)."), Some(EndCause::UsageLimit));
        for passing in ["503 down", "529 overloaded", "400 bad", "fetch failed", "4290 odd", ""] {
            assert_eq!(trouble(passing), None, "{passing}");
        }
    }

    #[test]
    fn the_time_at_which_a_limit_is_lifted_is_told_where_the_agent_says_it() {
        let error = "You have hit your ChatGPT usage limit (plus plan). Try again in ~90 min.";
        assert_eq!(resets_at(error, 1_700_000_000_000).map(Stamp::unix), Some(1_700_000_000 + 91 * 60));
        assert_eq!(resets_at(error, 0), None);
        assert_eq!(resets_at("Try again in ~soon min.", 1_700_000_000_000), None);
        assert_eq!(resets_at("429", 1_700_000_000_000), None);
    }
}
