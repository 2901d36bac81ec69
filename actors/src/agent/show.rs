//! Titles and diffs for people, out of what agents want to do.

use std::time::Duration;

use similar::TextDiff;

use super::fields::head;

/// Longest title, in bytes.
const TITLE_LIMIT: usize = 240;
/// Longest diff, in bytes; the whole change is in the input anyway.
const DIFF_LIMIT: usize = 64 * 1024;
/// Longest text that lines are matched in, in bytes. Longer ones are shown as all out, all in.
const MATCH_LIMIT: usize = 128 * 1024;

/// A path without the agent's own directory.
pub(in crate::agent) fn short<'a>(path: &'a str, cwd: Option<&str>) -> &'a str {
    cwd.filter(|cwd| cwd.len() > 1)
        .and_then(|cwd| path.strip_prefix(cwd.trim_end_matches('/')))
        .and_then(|rest| rest.strip_prefix('/'))
        .filter(|rest| !rest.is_empty())
        .unwrap_or(path)
}

/// The text on one line and not too long. Characters that would make it look like something else
/// (control characters, and those that turn the direction of writing) are shown as a mark.
pub(in crate::agent) fn one_line(text: &str) -> String {
    let mut line = String::new();
    for c in text.trim().chars() {
        if line.len() >= TITLE_LIMIT {
            line.push('…');
            break;
        }
        match c {
            '\n' | '\r' | '\u{2028}' | '\u{2029}' => line.push('⏎'),
            '\t' => line.push(' '),
            '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' => {
                line.push('\u{fffd}');
            }
            c if c.is_control() => line.push('\u{fffd}'),
            c => line.push(c),
        }
    }
    line
}

/// A diff of a length that can be shown, cut with a mark; `None` if nothing changes.
pub(in crate::agent) fn shortened(whole: String) -> Option<String> {
    if whole.is_empty() {
        return None;
    }
    let shown = head(&whole, DIFF_LIMIT);
    if shown.len() == whole.len() {
        return Some(whole);
    }
    let shown = shown.rfind('\n').and_then(|end| shown.get(..=end)).unwrap_or(shown);
    let left = whole.lines().count().saturating_sub(shown.lines().count());
    Some(format!("{shown}… {left} more lines are not shown\n"))
}

/// A unified diff of two texts.
pub(in crate::agent) fn unified(old: &str, new: &str, path: &str) -> String {
    let path = one_line(path);
    let lines =
        |sign: char, text: &str| -> String { text.lines().map(|line| format!("{sign}{line}\n")).collect() };
    if old.len().max(new.len()) > MATCH_LIMIT || old.is_empty() || new.is_empty() {
        let (out, into) = (old.lines().count(), new.lines().count());
        if out + into == 0 {
            return String::new();
        }
        let place = |count: usize| format!("{},{count}", usize::from(count > 0));
        return format!(
            "--- {path}\n+++ {path}\n@@ -{} +{} @@\n{}{}",
            place(out),
            place(into),
            lines('-', old),
            lines('+', new)
        );
    }
    // Bounded, because matching lines can take long; past it the diff is right, only not the shortest.
    let diff = TextDiff::configure().timeout(Duration::from_millis(50)).diff_lines(old, new);
    diff.unified_diff().missing_newline_hint(false).header(&path, &path).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_shown_with_its_file_and_not_longer_than_can_be_read() {
        let one = |old, new| shortened(unified(old, new, "/p/a"));
        assert_eq!(one("x\ny", "x\nz").as_deref(), Some("--- /p/a\n+++ /p/a\n@@ -1,2 +1,2 @@\n x\n-y\n+z\n"));
        assert_eq!(one("", "one").as_deref(), Some("--- /p/a\n+++ /p/a\n@@ -0,0 +1,1 @@\n+one\n"));
        assert_eq!(one("", ""), None);
        let long = one("", &"line\n".repeat(100_000)).expect("there is a diff");
        assert!(long.len() < DIFF_LIMIT + 100 && long.ends_with("more lines are not shown\n"));
    }

    #[test]
    fn a_line_cannot_pretend_to_be_another_one() {
        assert_eq!(one_line("a\nb\u{202e}c\u{1b}[2K"), "a⏎b\u{fffd}c\u{fffd}[2K");
        assert!(one_line(&"é".repeat(1_000)).len() < TITLE_LIMIT + 8);
        assert_eq!(short("/p/a", Some("/p/")), "a");
        assert_eq!(short("/p2/a", Some("/p")), "/p2/a");
    }
}
