//! What a change would make of a file.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use similar::TextDiff;

use super::bounds::head;

/// Longest text on either side of a diff that is shown; what is written is in the call's input anyway.
const SHOWN: usize = 128 * 1024;
/// Texts up to this length are shown whole, longer ones from the first change to the last.
const WHOLE: usize = 16 * 1024;
/// Longest unified diff that a model gets back.
const GIVEN: usize = 4 * 1024;
/// Lines around a change.
const AROUND: usize = 3;

/// As the protocol has it: the text before (null = there was no file) and after.
pub fn content(path: &Path, old: Option<&str>, new: &str) -> Value {
    let (old, new) = match old {
        Some(before) if before.len().max(new.len()) > WHOLE => {
            let (before, after) = changed(before, new);
            (Some(before), after)
        }
        old => (old.map(str::to_owned), new.to_owned()),
    };
    json!({ "type": "diff", "path": path, "oldText": old.map(|text| cut(&text)), "newText": cut(&new) })
}

/// The lines from the first change to the last, with some around them.
fn changed(old: &str, new: &str) -> (String, String) {
    let diff = compared(old, new);
    let groups = diff.grouped_ops(AROUND);
    let (Some(first), Some(last)) =
        (groups.first().and_then(|group| group.first()), groups.last().and_then(|group| group.last()))
    else {
        return (String::new(), String::new());
    };
    let lines = |text: &str, from: usize, to: usize| -> String {
        text.split_inclusive('\n').skip(from).take(to.saturating_sub(from)).collect()
    };
    (
        lines(old, first.old_range().start, last.old_range().end),
        lines(new, first.new_range().start, last.new_range().end),
    )
}

/// A short unified diff, for the model.
pub fn unified(path: &str, old: &str, new: &str) -> String {
    let diff = compared(old, new).unified_diff().context_radius(AROUND).header(path, path).to_string();
    let shown = head(&diff, GIVEN);
    if shown.len() == diff.len() { diff } else { format!("{shown}\n[… the rest of the diff is left out]") }
}

/// Bounded in time; past it the diff is right, only not the shortest.
fn compared<'a>(old: &'a str, new: &'a str) -> TextDiff<'a, 'a, str> {
    TextDiff::configure().timeout(Duration::from_millis(100)).diff_lines(old, new)
}

fn cut(text: &str) -> String {
    let shown = head(text, SHOWN);
    match text.len() - shown.len() {
        0 => text.to_owned(),
        more => format!("{shown}\n[… {more} more bytes are not shown]\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_long_file_only_the_changed_part_is_shown() {
        let old: String = (0..4000).map(|n| format!("line {n}\n")).collect();
        let new = old.replace("line 2000\n", "line two thousand\n");
        let diff = content(Path::new("/w/a"), Some(&old), &new);
        let before: Vec<&str> = diff["oldText"].as_str().expect("a text").lines().collect();
        assert_eq!((before.len(), before[0], before[3]), (7, "line 1997", "line 2000"));
        assert!(diff["newText"].as_str().is_some_and(|text| text.contains("line two thousand\n")));
    }

    #[test]
    fn a_new_file_has_nothing_before_and_a_short_one_is_shown_whole() {
        let diff = content(Path::new("/w/a"), None, "x\n");
        assert_eq!(diff, json!({ "type": "diff", "path": "/w/a", "oldText": null, "newText": "x\n" }));
        let diff = content(Path::new("/w/a"), Some("a\nb\n"), "a\nc\n");
        assert_eq!((&diff["oldText"], &diff["newText"]), (&json!("a\nb\n"), &json!("a\nc\n")));
        assert!(unified("a", "a\nb\n", "a\nc\n").contains("-b\n+c\n"));
    }
}
