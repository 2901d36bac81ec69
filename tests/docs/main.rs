//! The docs are true. What can be made from the program is made from it: settings, commands, routes, types, event
//! types, the list of pages. The rest is read: links lead somewhere, JSON is JSON, commands parse, and settings,
//! routes, fields and commands that are named exist, and so do the codes of errors.
//!
//! After a change of any of these:
//!
//! ```text
//! UPDATE_DOCS=1 cargo test --test docs
//! ```

mod commands;
mod errors;
mod events;
mod examples;
mod markdown;
mod reference;
mod routes;
mod settings;

use std::path::{Path, PathBuf};
use std::sync::Once;

use markdown::Page;
use tether::config::docs;

/// Asks for the made parts to be written rather than compared.
const UPDATE: &str = "UPDATE_DOCS";
/// What to do when a made part is not as the program says.
const REMEDY: &str = "UPDATE_DOCS=1 cargo test --test docs";

/// Every setting, to be copied.
const EXAMPLE: &str = "config/config.env.example";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The README and all pages of `docs/`, by their paths from the root; with their made parts written, if that is asked for.
fn pages() -> Vec<Page> {
    static WRITTEN: Once = Once::new();
    if std::env::var_os(UPDATE).is_some() {
        WRITTEN.call_once(write_made);
    }
    read_pages()
}

fn read_pages() -> Vec<Page> {
    let mut paths = vec![PathBuf::from("README.md")];
    let folder = std::fs::read_dir(root().join("docs")).expect("the docs are there");
    let names = folder.map(|entry| Path::new("docs").join(entry.expect("an entry").file_name()));
    paths.extend(names.filter(|path| path.extension().is_some_and(|extension| extension == "md")));
    paths.sort();
    paths.into_iter().map(Page::read).collect()
}

/// A page's text as it should be. `seen` gets the names of its made parts.
fn made(page: &Page, seen: &mut Vec<String>) -> Result<String, String> {
    markdown::with_made(&page.text, |name| {
        seen.push(name.to_owned());
        MADE.iter().find(|(known, _)| *known == name).map(|(_, make)| make())
    })
}

fn write_made() {
    for page in read_pages() {
        if let Ok(text) = made(&page, &mut Vec::new()) {
            std::fs::write(root().join(&page.path), text).expect("the page is written");
        }
    }
    std::fs::write(root().join(EXAMPLE), docs::example()).expect("the example is written");
}

/// Fails with everything that is wrong at once.
fn assert_none(wrong: &[String]) {
    assert!(wrong.is_empty(), "{} things are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// Makes a part of the docs.
type Make = fn() -> String;

/// Every part of the docs that is made, with what makes it.
const MADE: [(&str, Make); 5] = [
    ("pages", reference::pages),
    ("settings", settings::reference),
    ("commands", commands::reference),
    ("routes", routes::reference),
    ("events", events::reference),
];

#[test]
fn what_is_made_from_the_program_is_as_the_program_says() {
    let mut wrong = Vec::new();
    let mut seen = Vec::new();
    for page in pages() {
        match made(&page, &mut seen) {
            Ok(text) if text == page.text => {}
            Ok(_) => wrong.push(format!("{} is not as the program says: {REMEDY}", page.path.display())),
            Err(why) => wrong.push(format!("{}: {why}", page.path.display())),
        }
    }
    for (name, _) in MADE {
        let times = seen.iter().filter(|seen| *seen == name).count();
        if times != 1 {
            wrong.push(format!("the part {name:?} is in the docs {times} times, and should be once"));
        }
    }
    if std::fs::read_to_string(root().join(EXAMPLE)).ok() != Some(docs::example()) {
        wrong.push(format!("{EXAMPLE} is not as the program says: {REMEDY}"));
    }
    assert_none(&wrong);
}

#[test]
fn every_link_leads_somewhere() {
    let wrong: Vec<String> = pages().iter().flat_map(markdown::broken_links).collect();
    assert_none(&wrong);
}

#[test]
fn json_is_json_and_settings_are_settings() {
    let mut wrong = Vec::new();
    for page in pages() {
        for block in &page.blocks {
            let fault = match block.language.as_str() {
                "json" => examples::json_fault(&block.text),
                "env" => settings::block_fault(&block.text),
                _ => None,
            };
            wrong.extend(fault.map(|fault| format!("{}: {fault}", page.place(block.line))));
        }
    }
    assert_none(&wrong);
}

#[test]
fn every_command_line_that_is_shown_can_be_typed() {
    let mut wrong = Vec::new();
    for page in pages() {
        for block in page.blocks.iter().filter(|block| block.language == "sh") {
            for (line, words) in examples::command_lines(&block.text) {
                let fault = commands::typed_fault(&words).or_else(|| routes::request_fault(&words));
                wrong.extend(fault.map(|fault| format!("{}: {fault}", page.place(block.line + line))));
            }
        }
    }
    assert_none(&wrong);
}

#[test]
fn every_setting_command_and_route_that_is_named_exists() {
    let mut wrong = Vec::new();
    for page in pages() {
        for span in &page.spans {
            let fault = commands::named_fault(&span.text)
                .or_else(|| settings::named_fault(&span.text))
                .or_else(|| routes::named_fault(&span.text));
            wrong.extend(fault.map(|fault| format!("{}: {fault}", page.place(span.line))));
        }
    }
    assert_none(&wrong);
}

#[test]
fn the_settings_of_the_readme_have_the_defaults_that_it_says() {
    let page = Page::read("README.md".into());
    let rows = settings::rows(&page.text);
    assert!(rows.len() >= 8, "the README tells of the settings that matter most: {rows:?}");
    let wrong: Vec<String> = rows.iter().filter_map(settings::row_fault).collect();
    assert_none(&wrong);
}

#[test]
fn every_page_of_the_docs_can_be_reached_from_the_readme() {
    let pages = pages();
    let mut reached = vec![PathBuf::from("README.md")];
    let mut next = 0;
    while let Some(path) = reached.get(next).cloned() {
        next += 1;
        let page = pages.iter().find(|page| page.path == path);
        for target in page.iter().flat_map(|page| markdown::targets(page)) {
            if !reached.contains(&target) {
                reached.push(target);
            }
        }
    }
    let lost: Vec<_> = pages.iter().map(|page| &page.path).filter(|path| !reached.contains(path)).collect();
    assert!(lost.is_empty(), "no link leads to {lost:?}");
}
