//! The annotated example file and the tables of `docs/configuration.md`, made from the settings' table.
//! `tests/docs` holds both against what lies in the repository, and writes them anew.

use std::fmt::Write as _;

use super::table::{Kind, SECTIONS, Setting};

/// The text of `config/config.env.example`: every setting with its default, commented out.
pub fn example() -> String {
    let mut text = String::from(
        "# Settings of Tether. Copy to ~/.config/tether/config.env (or $XDG_CONFIG_HOME/tether/config.env) and\n\
         # uncomment what you want to change. Flags, the environment and ./.env come before this file.\n\
         #\n\
         # KEY=value; quotes, if any, are taken off and what is in them is literal; ` # ...` ends an unquoted\n\
         # value. A wrong value is an error that says what is allowed; an empty one is the default.\n",
    );
    for section in SECTIONS {
        let _ = write!(text, "\n# --- {} ---\n", section.title);
        for setting in section.settings {
            let _ = write!(text, "\n# {}\n", sentence(setting));
            for remark in remarks(setting) {
                let _ = writeln!(text, "# {remark}");
            }
            // A default with a variable in it is told in words, because nothing is expanded in this file.
            let default = if setting.default.contains('$') { "" } else { setting.default };
            let _ = writeln!(text, "#{}={default}", setting.name);
        }
    }
    text
}

/// Every setting by topic, as tables in Markdown.
pub fn reference() -> String {
    let mut text = String::new();
    for section in SECTIONS {
        let _ = write!(text, "### {}\n\n| Setting | Default | Meaning |\n|---|---|---|\n", section.title);
        for setting in section.settings {
            let _ = writeln!(text, "| `{}` | {} | {} |", setting.name, default(setting), meaning(setting));
        }
        text.push('\n');
    }
    text
}

/// A setting's default as it stands in a table.
pub fn default(setting: &Setting) -> String {
    match setting.default {
        "" => "none".to_owned(),
        default => format!("`{}`", default.replace(" or ", "` or `")),
    }
}

fn meaning(setting: &Setting) -> String {
    let mut meaning = setting.doc.to_owned();
    if let Kind::Word(words) = setting.kind
        && !words.iter().all(|word| meaning.contains(&format!("`{word}`")))
    {
        let words: Vec<_> = words.iter().map(|word| format!("`{word}`")).collect();
        let _ = write!(meaning, "; one of {}", words.join(", "));
    }
    if !setting.old_name.is_empty() {
        let _ = write!(meaning, "; `{}` is still read where this is not set", setting.old_name);
    }
    if setting.guarded {
        meaning.push_str("; not taken from `./.env`");
    }
    meaning
}

fn sentence(setting: &Setting) -> String {
    let mut chars = setting.doc.chars();
    match chars.next() {
        Some(first) => format!("{}{}.", first.to_uppercase(), chars.as_str()),
        None => String::new(),
    }
}

fn remarks(setting: &Setting) -> Vec<String> {
    let mut remarks = Vec::new();
    match setting.kind {
        Kind::Word(words) => remarks.push(format!("One of: {}.", words.join(", "))),
        Kind::Number(least, most) => remarks.push(format!("A whole number from {least} to {most}.")),
        Kind::Flag => remarks.push("1 or 0.".to_owned()),
        Kind::Text | Kind::Host | Kind::Path | Kind::Hosts | Kind::ShellWords | Kind::Agents | Kind::Url => {}
    }
    if setting.default.contains('$') {
        remarks.push(format!("Default: {}.", setting.default));
    }
    if !setting.old_name.is_empty() {
        remarks.push(format!("{} is still read where this is not set.", setting.old_name));
    }
    if setting.guarded {
        remarks.push("Not taken from ./.env, which may have come with a project.".to_owned());
    }
    remarks
}
