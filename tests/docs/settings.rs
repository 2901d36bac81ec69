//! The settings as their table has them.

use std::sync::OnceLock;

use tether::config::{docs, table};

use super::root;

/// Every setting.
pub fn reference() -> String {
    docs::reference()
}

/// What is wrong with a name in a text that looks like a setting's, alone or as `NAME=value`.
pub fn named_fault(span: &str) -> Option<String> {
    let name = span.split('=').next().unwrap_or_default();
    let ours = ["TETHER_", "TELEGRAM_", "SLACK_", "DISCORD_"].iter().any(|prefix| name.starts_with(prefix));
    let is_name = name.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_');
    (ours && is_name && !name.ends_with('_') && !is_known(name))
        .then(|| format!("there is no setting {name}"))
}

/// Whether a name is a setting's, an older one of it, or another variable that the program looks at.
fn is_known(name: &str) -> bool {
    table::find(name).is_some()
        || table::ELSEWHERE.contains(&name)
        || sources().contains(&format!("\"{name}\""))
}

/// The program's own text.
pub fn sources() -> &'static str {
    static SOURCES: OnceLock<String> = OnceLock::new();
    SOURCES.get_or_init(|| {
        let mut folders = vec![root().join("src"), root().join("actors/src")];
        let mut text = String::new();
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).expect("a folder of the sources").flatten() {
                let path = entry.path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|extension| extension == "rs") {
                    let source = std::fs::read_to_string(path).expect("a source file");
                    text += source.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
                }
            }
        }
        text
    })
}

/// What is wrong with a block that shows a `config.env`.
pub fn block_fault(text: &str) -> Option<String> {
    let names = text.lines().filter(|line| !line.trim_start().starts_with('#')).filter_map(|line| {
        let (name, _) = line.split_once('=')?;
        Some(name.trim())
    });
    let unknown: Vec<&str> = names.filter(|name| table::find(name).is_none()).collect();
    (!unknown.is_empty()).then(|| format!("there is no setting {}", unknown.join(", ")))
}

/// The rows of a page's tables that are about a setting: name and default, as they are written.
pub fn rows(text: &str) -> Vec<(String, String)> {
    let row = |line: &str| {
        let mut cells = line.strip_prefix("| `")?.split(" | ");
        let name = cells.next()?.strip_suffix('`')?;
        table::find(name)?;
        Some((name.to_owned(), cells.next()?.to_owned()))
    };
    text.lines().filter_map(row).collect()
}

/// What is wrong with such a row.
pub fn row_fault((name, default): &(String, String)) -> Option<String> {
    let setting = table::find(name)?;
    let expected = docs::default(setting);
    (*default != expected).then(|| format!("the default of {name} is {expected}, not {default}"))
}

#[test]
fn a_setting_that_does_not_exist_is_found() {
    assert!(named_fault("TETHER_AGENT_PROT").is_some());
    assert!(named_fault("TETHER_AGENT_PROT=1").is_some());
    assert!(block_fault("# a\nTETHER_AGENT_PROT=1\n").is_some());
    for right in ["TETHER_AGENT_PORT=0", "TETHER_DEMO_PACE_MS", "TETHER_", "XDG_DATA_HOME", "tether"] {
        assert_eq!(named_fault(right), None, "{right}");
    }
    assert!(row_fault(&("TETHER_AGENT_PORT".into(), "`80`".into())).is_some());
    assert!(row_fault(&("TETHER_AGENT_PORT".into(), "`8787`".into())).is_none());
}

#[test]
fn every_setting_is_in_the_reference() {
    let text = reference();
    for setting in table::all() {
        assert!(text.contains(&format!("| `{}` | ", setting.name)), "{}", setting.name);
    }
}
