//! The types of events as the source of the log's language declares them.

use std::fmt::Write as _;

use super::markdown::cell;
use super::root;

/// Every type of event: its name, its `data`, what happened.
pub fn reference() -> String {
    let source = std::fs::read_to_string(root().join("actors/src/domain/event.rs")).expect("it is there");
    let declared = source.split_once("\nevent_types! {\n").expect("types are declared").1;
    let declared = declared.split_once("\n}\n").expect("the declaration ends").0;
    let mut text = String::from("| `type` | `data` | What happened |\n|---|---|---|\n");
    let mut doc = String::new();
    for line in declared.lines().map(str::trim) {
        if let Some(words) = line.strip_prefix("///") {
            doc += words;
        } else if let Some((_, name)) = line.split_once(" => ") {
            let (data, meaning) = split(&doc);
            let name = name.trim_matches(['"', ',']);
            let _ = writeln!(text, "| `{name}` | {} | {} |", cell(data), cell(meaning));
            doc.clear();
        }
    }
    text
}

/// A type's words are "`{..}`: what happened.", or "`{..}`."
fn split(doc: &str) -> (&str, &str) {
    let doc = doc.trim();
    let doc = if doc.ends_with("...") { doc } else { doc.trim_end_matches('.') };
    match doc.find("}`: ") {
        Some(at) => (&doc[..at + 2], &doc[at + 4..]),
        None => (doc, ""),
    }
}

#[test]
fn every_type_of_event_is_in_the_reference() {
    let text = reference();
    assert!(text.contains("\n| `session_state` | `{state}` | the session entered a state |\n"), "{text}");
    assert!(text.lines().count() > 30, "{text}");
    let told =
        |line: &str| line.split(" | ").filter(|cell| !cell.trim_matches([' ', '|']).is_empty()).count();
    assert!(text.lines().skip(2).all(|line| told(line) == 3), "{text}");
}
