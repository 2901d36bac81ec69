//! The command line as clap knows it.

use std::fmt::Write as _;

use clap::{Arg, Command, CommandFactory as _, Parser as _};
use tether::cli::Arguments;

use super::markdown::cell;

fn program() -> Command {
    let mut program = Arguments::command();
    program.build();
    program
}

/// Commands that people type: no hidden ones, and not clap's own `help`.
fn visible(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|command| !command.is_hide_set() && command.get_name() != "help")
}

/// Every command with its options.
pub fn reference() -> String {
    let program = program();
    let mut text = String::from("### `tether`\n");
    table(&mut text, &program);
    for command in visible(&program) {
        describe(&mut text, command);
    }
    text
}

fn describe(text: &mut String, command: &Command) {
    let name = command.get_bin_name().unwrap_or_default();
    let about = command.get_long_about().or(command.get_about()).map(ToString::to_string).unwrap_or_default();
    let usage = command.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage: ").lines().map(str::trim).collect::<Vec<_>>().join("\n");
    let _ = write!(text, "\n### `{name}`\n\n{}.\n\n```text\n{usage}\n```\n", about.trim_end_matches('.'));
    if let Some(more) = command.get_after_help() {
        let _ = write!(text, "\n{more}\n");
    }
    table(text, command);
    for command in visible(command) {
        describe(text, command);
    }
}

/// The arguments of a command; those that every command has are told once, before any command.
fn table(text: &mut String, command: &Command) {
    let own = |arg: &&Arg| {
        let everywhere = arg.is_global_set() && command.get_name() != "tether";
        !arg.is_hide_set() && !everywhere && !matches!(arg.get_id().as_str(), "help" | "version")
    };
    let args: Vec<&Arg> = command.get_positionals().chain(command.get_opts()).filter(own).collect();
    let flags = command.get_arguments().filter(own).filter(|arg| !arg.is_positional());
    let flags: Vec<&Arg> =
        flags.filter(|arg| !args.iter().any(|known| known.get_id() == arg.get_id())).collect();
    if args.is_empty() && flags.is_empty() {
        return;
    }
    text.push_str("\n| | |\n|---|---|\n");
    for arg in args.into_iter().chain(flags) {
        let _ = writeln!(text, "| {} | {} |", written(arg), cell(&meaning(arg)));
    }
}

/// As it is typed.
fn written(arg: &Arg) -> String {
    let takes = arg.get_action().takes_values();
    let values: Vec<String> =
        arg.get_value_names().unwrap_or_default().iter().map(ToString::to_string).collect();
    let value = values.join(" ");
    if arg.is_positional() {
        return format!("`{value}`");
    }
    let short = arg.get_short().map(|short| format!("`-{short}`"));
    let long =
        arg.get_long().map(|long| if takes { format!("`--{long} {value}`") } else { format!("`--{long}`") });
    short.into_iter().chain(long).collect::<Vec<_>>().join(", ")
}

fn meaning(arg: &Arg) -> String {
    let help = arg.get_long_help().or(arg.get_help()).map(ToString::to_string).unwrap_or_default();
    let mut meaning = help.trim_end_matches('.').to_owned();
    if arg.get_action().takes_values() {
        let values: Vec<String> =
            arg.get_possible_values().iter().map(|value| format!("`{}`", value.get_name())).collect();
        if !values.is_empty() {
            meaning += &format!("; one of {}", values.join(", "));
        }
        let defaults: Vec<_> = arg.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
        let default = defaults.join(" ");
        if !default.is_empty() && !arg.is_hide_default_value_set() {
            meaning += &format!(" (default: `{default}`)");
        }
    }
    meaning
}

/// What is wrong with a command line that is to be typed, if it is one of ours.
pub fn typed_fault(words: &[String]) -> Option<String> {
    let words = match words {
        [first, rest @ ..] if first == "tether" => rest,
        [cargo, run, rest @ ..] if cargo == "cargo" && run == "run" => {
            rest.split(|word| word == "--").nth(1).unwrap_or_default()
        }
        _ => return None,
    };
    let parsed = Arguments::try_parse_from(std::iter::once("tether").chain(words.iter().map(String::as_str)));
    // Asking for help or the version is an "error" of clap's.
    let error = parsed.err().filter(clap::Error::use_stderr)?;
    let text = error.to_string();
    Some(format!("`tether {}`: {}", words.join(" "), text.lines().next().unwrap_or_default()))
}

/// What is wrong with a command that is named in a text: its words and its options must exist. Placeholders, values
/// and alternatives (`install|uninstall`) may stand for what is missing.
pub fn named_fault(span: &str) -> Option<String> {
    let rest = span.strip_prefix("tether ")?;
    let program = program();
    let mut command = &program;
    for word in rest.split_whitespace() {
        if let Some(long) = word.strip_prefix("--") {
            let name = long.split(['=', ']', ',']).next().unwrap_or_default();
            let known = |command: &Command| command.get_arguments().any(|arg| arg.get_long() == Some(name));
            if !known(command) && name != "help" && name != "version" {
                return Some(format!(
                    "`{span}`: {} has no --{name}",
                    command.get_bin_name().unwrap_or("tether")
                ));
            }
            continue;
        }
        let is_word = word.chars().all(|c| c.is_ascii_lowercase() || c == '-' || c == '|');
        if word.starts_with('-') || !is_word || !command.has_subcommands() {
            continue;
        }
        for name in word.split('|') {
            match command.find_subcommand(name) {
                Some(found) if !word.contains('|') => command = found,
                Some(_) => {}
                None => return Some(format!("`{span}`: there is no command {name:?}")),
            }
        }
    }
    None
}

#[test]
fn a_command_line_that_cannot_be_typed_is_found() {
    let fault = |line: &str| typed_fault(&shell_words::split(line).expect("it is whole"));
    for wrong in ["tether nope", "tether new --nope", "tether approve", "cargo run --release -- sart"] {
        assert!(fault(wrong).is_some(), "{wrong}");
    }
    for right in ["tether new . -m x", "tether --version", "cargo run --release -- start", "ls --nope"] {
        assert_eq!(fault(right), None, "{right}");
    }
}

#[test]
fn a_name_of_no_command_is_found() {
    for wrong in ["tether nope", "tether git nope", "tether service install|nope", "tether new --nope"] {
        assert!(named_fault(wrong).is_some(), "{wrong}");
    }
    for right in [
        "tether",
        "tether git",
        "tether service install|uninstall",
        "tether deny ID no",
        "tether help COMMAND",
    ] {
        assert_eq!(named_fault(right), None, "{right}");
    }
}

#[test]
fn every_command_and_option_is_in_the_reference() {
    fn count(command: &Command) -> usize {
        1 + visible(command).map(count).sum::<usize>()
    }
    let text = reference();
    assert_eq!(text.matches("\n### `tether ").count() + 1, count(&program()));
    assert!(text.contains("`--until-idle`") && text.contains("`-m`, `--prompt TEXT`"), "{text}");
    assert!(!text.contains("--detached"), "what is hidden is not told");
}
