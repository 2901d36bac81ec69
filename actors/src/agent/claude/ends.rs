//! What the end of the program means, as far as its last words tell.

use crate::domain::restart::EndCause;

/// A start that failed because of the conversation. It is mended by starting in the other way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConversationFault {
    /// There is no such conversation to go on with (any more, or nothing was ever said in it): begin it.
    Lost,
    /// It exists already and cannot be begun: go on with it.
    Taken,
}

/// Whether the program ended because a conversation was to be begun that exists, or gone on with that
/// does not.
pub fn conversation_fault(stderr: &[String]) -> Option<ConversationFault> {
    stderr.iter().rev().find_map(|line| {
        if is_lost(line) {
            Some(ConversationFault::Lost)
        } else if line.contains("Session ID") && line.contains("is already in use") {
            Some(ConversationFault::Taken)
        } else {
            None
        }
    })
}

/// Whether it says that the conversation to go on with is not there.
pub(super) fn is_lost(line: &str) -> bool {
    line.contains("No conversation found") || line.contains("--resume requires a valid session ID")
}

/// The cause, by the program's own words at its end.
pub(super) fn cause(stderr: &[String]) -> Option<EndCause> {
    // The last line that means anything decides: earlier ones may be warnings.
    stderr.iter().rev().find_map(|line| {
        let has = |words: &[&str]| words.iter().any(|word| line.contains(word));
        if has(&["Not logged in", "Please run /login", "Invalid API key", "authentication_error"]) {
            Some(EndCause::Authentication)
        } else if has(&["Out of memory", "out of memory"]) {
            Some(EndCause::OutOfMemory)
        } else if has(&[
            "error: unknown option",
            "error: option '",
            "error: missing required argument",
            "error: too many arguments",
            "Error: When using --print",
            "requires output-format",
            "Invalid session ID",
            "is already in use",
            "Invalid MCP configuration",
            "MCP config file not found",
            "Settings file not found",
            "Invalid settings",
            "cannot be used with root/sudo",
        ]) {
            Some(EndCause::BadConfiguration)
        } else {
            None
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn a_refused_start_is_a_matter_of_configuration() {
        for text in [
            "error: unknown option '--no-such-flag'",
            "error: option '--permission-mode <mode>' argument 'bogus' is invalid. Allowed choices are plan.",
            "Error: When using --print, --output-format=stream-json requires --verbose",
            "Error: Invalid session ID. Must be a valid UUID.",
            "Error: Invalid MCP configuration:\nMCP config file not found: /nonexistent.json",
            "Error: Settings file not found: /nonexistent.json",
            "--dangerously-skip-permissions cannot be used with root/sudo privileges for security reasons",
            "Error: Session ID a92c9ba6-3387-4e44-af79-a7292c31df1e is already in use.",
        ] {
            assert_eq!(cause(&lines(text)), Some(EndCause::BadConfiguration), "{text}");
        }
    }

    #[test]
    fn other_last_words_are_no_cause() {
        assert_eq!(
            cause(&lines("[claude-code:unrecognized_model] {\"model\":\"\"}\nSegmentation fault")),
            None
        );
        assert_eq!(cause(&[]), None);
        assert_eq!(cause(&lines("No conversation found with session ID: 0")), None, "the session mends that");
    }

    #[test]
    fn a_wrong_way_to_start_a_conversation_is_told() {
        let fault = |text: &str| conversation_fault(&lines(text));
        assert_eq!(fault("No conversation found with session ID: 0"), Some(ConversationFault::Lost));
        assert_eq!(fault("Error: Session ID 7f is already in use."), Some(ConversationFault::Taken));
        assert_eq!(fault("error: unknown option '--x'"), None);
    }
}
