//! A conversation as Markdown.

use tether_actors::domain::risk::{Hidden, code_of};
use tether_actors::domain::session::Session;
use tether_actors::domain::time::Stamp;

use super::Block;
use crate::render::Item;

/// Title and what the session is.
pub fn head(session: &Session, now: Stamp) -> String {
    let name = session.name.as_deref().unwrap_or("Session");
    let mut out = format!("# {}\n\n", one_line(name));
    let mut line = |label: &str, value: &str| {
        if !value.is_empty() {
            out.push_str(&format!("- {label}: {}\n", one_line(value)));
        }
    };
    line("Session", session.id.as_str());
    line("Directory", &session.directory);
    line(
        "Agent",
        session.runner_header.as_deref().or(session.external_agent_name.as_deref()).unwrap_or_default(),
    );
    line("Begun", &session.created_at.to_string());
    line("Exported", &now.to_string());
    out
}

/// Appends a part.
pub fn push(block: &Block<'_>, out: &mut String) {
    match block {
        Block::Said { who, at, text } => {
            out.push_str(&format!("\n## {} · {at}\n\n{}\n", one_line(who), tame(text.trim_end())));
        }
        Block::Thought { text } => {
            out.push_str("\n> *Thinking*\n>\n");
            tame(text.trim()).lines().for_each(|line| out.push_str(&format!("> {line}\n")));
        }
        Block::Call { name, input } => {
            out.push_str(&format!("\n### {}\n", one_line(name)));
            match input {
                Item::Markdown { text } => fenced(out, "", text),
                Item::Code { text, language, .. } => {
                    fenced(out, language.as_deref().unwrap_or_default(), text)
                }
                Item::Diff { text, .. } => fenced(out, "diff", text),
                Item::Change { .. } => fenced(out, "diff", &crate::render::unified_of(input)),
            }
        }
        Block::Result { name, text, is_error } => {
            let what = if *is_error { "Failed" } else { "Result" };
            let of = if name.is_empty() { String::new() } else { format!(" of {}", one_line(name)) };
            out.push_str(&format!("\n{what}{of}:\n"));
            fenced(out, "", text);
        }
        Block::Note { is_error, text } => {
            let mark = if *is_error { "**" } else { "*" };
            out.push_str(&format!("\n{mark}{}{mark}\n", one_line(text)));
        }
    }
}

/// A fence longer than any in the text.
fn fenced(out: &mut String, language: &str, text: &str) {
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or_default();
    let fence = "`".repeat(longest.max(2) + 1);
    out.push_str(&format!("\n{fence}{language}\n{}\n{fence}\n", tame(text.trim_end())));
}

/// Without what would steer a terminal that shows the file.
fn tame(text: &str) -> String {
    let mut tame = String::with_capacity(text.len());
    for c in text.chars() {
        match Hidden::of(c) {
            Some(Hidden::Control | Hidden::Direction) => tame.push_str(&format!("⟦{}⟧", code_of(c))),
            _ if c == '\r' => {}
            _ => tame.push(c),
        }
    }
    tame
}

fn one_line(text: &str) -> String {
    tame(&text.split_whitespace().collect::<Vec<_>>().join(" "))
}
