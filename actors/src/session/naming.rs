//! Names that sessions give themselves.

/// The name of a session that was given none.
pub const PLACEHOLDER: &str = "New session";
/// The longest name, in characters.
pub const LONGEST: usize = 80;

/// A name from the first prompt: its first line, white space folded, at most 80 characters. `None` when
/// there is nothing to take or the session has a name of its own.
pub fn from_prompt(current: Option<&str>, prompt: &str) -> Option<String> {
    let named = current.is_some_and(|name| !name.trim().is_empty() && name != PLACEHOLDER);
    if named {
        return None;
    }
    let line = prompt.lines().find(|line| !line.trim().is_empty())?;
    Some(shorten(&line.split_whitespace().collect::<Vec<_>>().join(" "), LONGEST))
}

/// At most `longest` characters; what is cut is shown by an ellipsis.
pub fn shorten(text: &str, longest: usize) -> String {
    if text.chars().count() <= longest {
        return text.to_owned();
    }
    let cut: String = text.chars().take(longest.saturating_sub(1)).collect();
    format!("{}…", cut.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_nameless_session_takes_its_name_from_the_prompt() {
        assert_eq!(from_prompt(None, " \n fix  the\tbuild \nplease").as_deref(), Some("fix the build"));
        assert_eq!(from_prompt(Some(PLACEHOLDER), "x").as_deref(), Some("x"));
        assert_eq!(from_prompt(Some("mine"), "x"), None);
        assert_eq!(from_prompt(None, "  \n "), None);
        assert_eq!(shorten(&"é".repeat(100), LONGEST).chars().count(), LONGEST);
    }
}
