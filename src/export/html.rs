//! A conversation as one page: no script, no picture, nothing from elsewhere.

use tether_actors::domain::session::Session;
use tether_actors::domain::time::Stamp;

use super::Block;
use crate::render::{self, Budget, Item, push_text};

/// Even if something slipped through, the page may not run or fetch it.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

/// The end of the page.
pub const TAIL: &str = "</main>\n</body>\n</html>\n";

/// The beginning of the page.
pub fn head(session: &Session, now: Stamp) -> String {
    let name = session.name.as_deref().unwrap_or("Session");
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>"
    );
    push_text(&mut out, name);
    out.push_str("</title>\n<style>\n");
    out.push_str(include_str!("page.css"));
    out.push_str("</style>\n</head>\n<body>\n<header class=\"about\">\n<h1>");
    push_text(&mut out, name);
    out.push_str("</h1>\n<dl>\n");
    let mut line = |label: &str, value: &str| {
        if !value.is_empty() {
            out.push_str(&format!("<dt>{label}</dt><dd>"));
            push_text(&mut out, value);
            out.push_str("</dd>\n");
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
    out.push_str("</dl>\n</header>\n<main>\n");
    out
}

/// Appends a part.
pub fn push(block: &Block<'_>, budget: Budget, out: &mut String) {
    match block {
        Block::Said { who, at, text } => {
            let class = if who.starts_with("You") { "said you" } else { "said" };
            out.push_str(&format!("<section class=\"{class}\"><h2>"));
            push_text(out, who);
            out.push_str(&format!(" <time>{at}</time></h2>"));
            push_item(out, &Item::Markdown { text: (*text).to_owned() }, budget);
            out.push_str("</section>\n");
        }
        Block::Thought { text } => {
            out.push_str("<details><summary>Thinking</summary>");
            push_item(out, &Item::Markdown { text: (*text).to_owned() }, budget);
            out.push_str("</details>\n");
        }
        Block::Call { name, input } => {
            out.push_str("<section class=\"call\"><h3>");
            push_text(out, name);
            out.push_str("</h3>");
            push_item(out, input, budget);
            out.push_str("</section>\n");
        }
        Block::Result { name, text, is_error } => {
            let what = if *is_error { "Failed" } else { "Result" };
            out.push_str(if *is_error { "<details class=\"bad\"><summary>" } else { "<details><summary>" });
            push_text(out, format!("{what} {name}").trim_end());
            out.push_str("</summary>");
            let item = Item::Code { text: (*text).to_owned(), language: None, path: None };
            push_item(out, &item, budget);
            out.push_str("</details>\n");
        }
        Block::Note { is_error, text } => {
            out.push_str(if *is_error { "<p class=\"note bad\">" } else { "<p class=\"note\">" });
            push_text(out, text);
            out.push_str("</p>\n");
        }
    }
}

fn push_item(out: &mut String, item: &Item, budget: Budget) {
    out.push_str(&render::render(item, budget).0.html);
}
