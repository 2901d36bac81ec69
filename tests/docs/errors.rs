//! The codes of refusals: what `docs/api.md` tells of them, in its table or below it, and what the program has.

use std::collections::BTreeSet;

use tether_actors::domain::code::Code;

use super::settings::sources;

/// The codes below the heading "Errors": in the second column of the table, and in the text.
fn told(page: &str) -> BTreeSet<&str> {
    let section = page.split_once("\n## Errors\n").map_or("", |(_, rest)| rest);
    let section = section.split_once("\n## ").map_or(section, |(section, _)| section);
    let cells = section.lines().filter(|line| !line.starts_with('{')).filter_map(|line| {
        match line.strip_prefix("| ") {
            Some(row) => row.split(" | ").nth(1),
            None => Some(line),
        }
    });
    let is_code = |word: &&str| !word.is_empty() && word.chars().all(|c| c.is_ascii_uppercase() || c == '_');
    cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)).filter(is_code).collect()
}

/// The codes that a text of the docs lacks, and those that nothing answers with.
fn faults(page: &str) -> Vec<String> {
    let (told, known) = (told(page), known());
    let missing = known.difference(&told).map(|code| format!("{code} is not in the table of errors"));
    let unknown = told.difference(&known).map(|code| format!("there is no code {code}"));
    missing.chain(unknown).collect()
}

fn known() -> BTreeSet<&'static str> {
    Code::ALL.iter().map(|code| code.as_str()).collect()
}

#[test]
fn every_code_of_a_refusal_is_in_the_docs_and_no_other() {
    let page = std::fs::read_to_string(super::root().join("docs/api.md")).expect("the page is there");
    super::assert_none(&faults(&page));
}

#[test]
fn every_code_is_answered_somewhere() {
    let idle: Vec<String> = Code::ALL
        .iter()
        .filter(|code| !sources().contains(&format!("Code::{code:?}")))
        .map(|code| format!("nothing answers {code}"))
        .collect();
    super::assert_none(&idle);
}

#[test]
fn a_code_that_is_missing_or_made_up_is_found() {
    let rows: String = known().iter().map(|code| format!("| 400 | `{code}` | `WHY` |\n")).collect();
    let page = |rows: &str| format!("# X\n\n## Errors\n\n{rows}\n## More\n\n| 1 | `ELSEWHERE` | |\n");
    assert_eq!(faults(&page(&rows)), [""; 0]);
    assert_eq!(faults(&page(&rows.replace("DISK_FULL", "DISC_FULL"))).len(), 2);
}
