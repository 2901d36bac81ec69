//! The annotated example file and the README's table, made from the settings' table. Tests hold
//! both against what lies in the repository.

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

/// The rows of the README's table.
pub fn table() -> String {
    let mut text = String::from("| Setting | Default | Meaning |\n|---|---|---|\n");
    for setting in SECTIONS.iter().flat_map(|section| section.settings) {
        let default = match setting.default {
            "" => "none".to_owned(),
            default => format!("`{}`", default.replace(" or ", "` or `")),
        };
        let _ = writeln!(text, "| `{}` | {default} | {} |", setting.name, setting.doc);
    }
    text
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
