//! The list of pages.

use std::fmt::Write as _;
use std::path::Path;

/// The order in which people want them; what is not here comes behind.
const FIRST: [&str; 13] = [
    "installation",
    "configuration",
    "command-line",
    "server-mode",
    "moving-over",
    "backup",
    "setup",
    "bridges",
    "git",
    "mcp",
    "external-agents",
    "api",
    "api-reference",
];

/// Every page of the docs but the list itself: its title and the first sentence of it.
pub fn pages() -> String {
    let name = |path: &Path| path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let mut pages = super::read_pages();
    pages.retain(|page| page.path.starts_with("docs") && name(&page.path) != "README");
    let place = |name: &str| FIRST.iter().position(|known| *known == name).unwrap_or(FIRST.len());
    pages.sort_by_key(|page| (place(&name(&page.path)), page.path.clone()));
    let mut text = String::from("| Page | What is in it |\n|---|---|\n");
    for page in pages {
        let sentence = page.summary.split_once(". ").map_or(page.summary.as_str(), |(first, _)| first);
        let sentence = sentence.trim_end_matches(['.', ':']);
        let _ = writeln!(text, "| [{}]({}.md) | {sentence} |", page.title, name(&page.path));
    }
    text
}
