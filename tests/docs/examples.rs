//! What is shown to be typed: blocks of shell and of JSON.

/// What is wrong with a block of JSON.
pub fn json_fault(text: &str) -> Option<String> {
    let read = serde_json::from_str::<serde_json::Value>(text);
    read.err().map(|error| format!("this is not JSON: {error}"))
}

/// The commands of a block of shell, each as its words and the line that it begins in (from 1). Comments, variables
/// that are set for one command, redirections and what is made of another command's output are left out.
pub fn command_lines(block: &str) -> Vec<(usize, Vec<String>)> {
    let mut found = Vec::new();
    let mut pending: Option<(usize, String)> = None;
    for (index, line) in block.lines().enumerate() {
        let (first, text) = match pending.take() {
            Some((first, text)) => (first, text + "\n" + line),
            None => (index + 1, line.to_owned()),
        };
        let text = without_comment(&text);
        if let Some(begun) = text.trim_end().strip_suffix('\\') {
            pending = Some((first, begun.to_owned()));
            continue;
        }
        match shell_words::split(&text) {
            Ok(words) => found.extend(commands(words).into_iter().map(|words| (first, words))),
            // A quote is open: the command goes on.
            Err(_) => pending = Some((first, text)),
        }
    }
    found
}

/// The text up to a `#` that begins a comment in its last line.
fn without_comment(text: &str) -> String {
    let mut quote = None;
    let mut before = ' ';
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (None, '\'' | '"') => quote = Some(c),
            (Some(open), _) if open == c => quote = None,
            (None, '#') if before.is_whitespace() => return text[..at].to_owned(),
            _ => {}
        }
        before = c;
    }
    text.to_owned()
}

fn commands(words: Vec<String>) -> Vec<Vec<String>> {
    let is_break = |word: &String| matches!(word.as_str(), "|" | "||" | "&&" | ";" | "&");
    words.split(is_break).filter_map(command).collect()
}

fn command(words: &[String]) -> Option<Vec<String>> {
    let is_setting = |word: &&String| {
        let name = word.split_once('=').map_or("", |(name, _)| name);
        !name.is_empty() && name.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
    };
    let is_redirection = |word: &&String| word.starts_with(['>', '<']) || word.starts_with("2>");
    let words: Vec<String> = words
        .iter()
        .skip_while(|word| is_setting(word) || matches!(word.as_str(), "sudo" | "exec" | "export" | "alias"))
        .take_while(|word| !is_redirection(word))
        .cloned()
        .collect();
    (!words.is_empty()).then_some(words)
}

#[test]
fn commands_are_found_as_a_shell_would() {
    let block = "A=1 tether new . -m \"it's\"   # a comment's quote\ntether list | grep x && tether stop > y\n\
                 api \\\n  u -d '{\"a\":\n 1}'\n";
    let found: Vec<(usize, String)> =
        command_lines(block).into_iter().map(|(line, words)| (line, words.join("·"))).collect();
    let expected = [
        (1, "tether·new·.·-m·it's"),
        (2, "tether·list"),
        (2, "grep·x"),
        (2, "tether·stop"),
        (3, "api·u·-d·{\"a\":\n 1}"),
    ];
    assert_eq!(found, expected.map(|(line, words)| (line, words.to_owned())));
}

#[test]
fn broken_json_is_found() {
    assert!(json_fault("{\"a\": 1,}").is_some());
    assert!(json_fault("{\"a\": 1}").is_none());
}
