//! What a shell command consists of, read with the grammar of tree-sitter-bash 0.25: its simple commands, their
//! words and where they stand, the files that it redirects to, and whether all of it could be read.
//!
//! Nothing is run or expanded: a word that holds a variable or a substitution is known to be not literal, and
//! the commands within a substitution are simple commands like all others. Reading takes no recursion and a
//! bounded number of steps, whatever is given.

use std::ops::{ControlFlow, Range};
use std::time::{Duration, Instant};

use tree_sitter::{Node, ParseOptions, Parser, TreeCursor};

/// A script longer than this (bytes) is not read.
pub const LONGEST: usize = 16 * 1024;
/// So often the parser may ask whether to go on; it asks once in about a hundred steps.
const STEPS: usize = 20_000;
/// So long may reading take, as a second bound: it takes about a millisecond for what people write.
const TIME: Duration = Duration::from_secs(1);
/// More here-documents than this are not read: the scanner's time grows with their number and length.
const HERE_DOCUMENTS: usize = 32;
/// Deepest nesting of pieces within one word.
const WORD_DEPTH: usize = 8;

/// What was read. Places are byte ranges of the script.
#[derive(Debug, Default)]
pub struct Script {
    /// Every simple command, those within substitutions and functions included, in the order of the text.
    pub commands: Vec<Simple>,
    /// Where the stages of each pipeline lie.
    pub pipelines: Vec<Vec<Range<usize>>>,
    /// Files that output is redirected to.
    pub writes: Vec<Word>,
    /// Texts that are given to a statement as its input: where that statement lies, and the text.
    pub inputs: Vec<(Range<usize>, Word)>,
    /// Functions: name and place.
    pub functions: Vec<(String, Range<usize>)>,
    /// Assignments: name of the variable and place.
    pub assignments: Vec<(String, Range<usize>)>,
    /// What could not be read; then nothing of the rest may be relied upon.
    pub unread: Option<Unread>,
}

impl Script {
    /// The commands within a place.
    pub fn commands_in<'s>(&'s self, place: &'s Range<usize>) -> impl Iterator<Item = &'s Simple> {
        self.commands.iter().filter(|simple| within(&simple.place, place))
    }
}

/// Whether one place lies within another.
pub fn within(inner: &Range<usize>, outer: &Range<usize>) -> bool {
    outer.start <= inner.start && inner.end <= outer.end
}

/// Why a script could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unread {
    /// It is longer than [`LONGEST`].
    TooLong,
    /// It is so ambiguous that reading it took too many steps.
    TooHard,
    /// The grammar does not know what stands here.
    Here(Range<usize>),
}

/// A command's name and arguments.
#[derive(Debug)]
pub struct Simple {
    /// The name first. Never empty.
    pub words: Vec<Word>,
    /// The whole of it.
    pub place: Range<usize>,
}

/// A word.
#[derive(Clone, Debug)]
pub struct Word {
    /// Its text without quotes; what is not literal stands in it as it is written (`$HOME/x`).
    pub text: String,
    /// Whether it is exactly this text when it runs.
    pub literal: bool,
    /// Where it stands, quotes included.
    pub place: Range<usize>,
    /// Where its text begins, if it stands there without a change.
    pub text_at: Option<usize>,
}

/// Reads a script.
pub fn read(source: &str) -> Script {
    let mut script = Script::default();
    if source.len() > LONGEST {
        script.unread = Some(Unread::TooLong);
        return script;
    }
    if source.matches("<<").count() > HERE_DOCUMENTS {
        script.unread = Some(Unread::TooHard);
        return script;
    }
    let mut parser = Parser::new();
    let (mut steps, until) = (0, Instant::now() + TIME);
    let mut go_on = |_: &tree_sitter::ParseState| {
        steps += 1;
        if steps > STEPS || Instant::now() > until {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    };
    let bytes = source.as_bytes();
    let tree = parser.set_language(&tree_sitter_bash::LANGUAGE.into()).ok().and_then(|()| {
        let options = ParseOptions::new().progress_callback(&mut go_on);
        parser.parse_with_options(&mut |at, _| bytes.get(at..).unwrap_or_default(), None, Some(options))
    });
    let Some(tree) = tree else {
        script.unread = Some(Unread::TooHard);
        return script;
    };
    let mut cursor = tree.walk();
    loop {
        let node = cursor.node();
        // A missing node is one that the parser made up, and an error one that it left out.
        if (node.is_error() || node.is_missing()) && script.unread.is_none() {
            script.unread = Some(Unread::Here(node.byte_range()));
        }
        visit(node, source, &mut script);
        if !next(&mut cursor) {
            break;
        }
    }
    script
}

/// The next node before its children; without recursion, since trees can be very deep.
fn next(cursor: &mut TreeCursor<'_>) -> bool {
    if cursor.goto_first_child() {
        return true;
    }
    while !cursor.goto_next_sibling() {
        if !cursor.goto_parent() {
            return false;
        }
    }
    true
}

fn visit(node: Node<'_>, source: &str, script: &mut Script) {
    match node.kind() {
        // These are commands of the shell that the grammar knows by name.
        "command" | "declaration_command" | "unset_command" => {
            let words = words_of(node, source);
            if !words.is_empty() {
                script.commands.push(Simple { words, place: node.byte_range() });
            }
        }
        "pipeline" => {
            let mut cursor = node.walk();
            script.pipelines.push(node.named_children(&mut cursor).map(|stage| stage.byte_range()).collect());
        }
        "file_redirect" => redirect(node, source, script),
        "heredoc_redirect" | "herestring_redirect" => {
            let of = node.parent().unwrap_or(node).byte_range();
            let mut cursor = node.walk();
            let text = node.named_children(&mut cursor).find(|child| {
                matches!(child.kind(), "heredoc_body" | "word" | "string" | "raw_string" | "concatenation")
            });
            if let Some(text) = text {
                script.inputs.push((of, input_word(text, source)));
            }
        }
        "function_definition" => {
            if let Some(name) = node.child_by_field_name("name") {
                script.functions.push((slice(source, name).to_owned(), node.byte_range()));
            }
        }
        "variable_assignment" => {
            if let Some(name) = node.child_by_field_name("name") {
                script.assignments.push((slice(source, name).to_owned(), node.byte_range()));
            }
        }
        _ => {}
    }
}

fn words_of(node: Node<'_>, source: &str) -> Vec<Word> {
    let mut words = Vec::new();
    let mut cursor = node.walk();
    for child in node.children(&mut cursor) {
        match child.kind() {
            "command_name" => words.extend(child.child(0).map(|name| word(name, source))),
            // `export`, `unset` and their like are no named nodes.
            _ if !child.is_named() && words.is_empty() => words.push(word(child, source)),
            "variable_assignment"
            | "file_redirect"
            | "heredoc_redirect"
            | "herestring_redirect"
            | "heredoc_body"
            | "comment"
            | "subshell" => {}
            _ if child.is_named() => words.push(word(child, source)),
            // `=~` and `==` may be arguments.
            _ => words.push(word(child, source)),
        }
    }
    words
}

fn redirect(node: Node<'_>, source: &str, script: &mut Script) {
    let mut cursor = node.walk();
    let writes = node
        .children(&mut cursor)
        .any(|child| matches!(child.kind(), ">" | ">>" | ">|" | "&>" | "&>>" | "<>" | ">&"));
    let Some(target) = node.child_by_field_name("destination").filter(|_| writes) else { return };
    let word = word(target, source);
    // `2>&1` names a descriptor and no file.
    if !word.text.bytes().all(|b| b.is_ascii_digit() || b == b'-') {
        script.writes.push(word);
    }
}

/// The text of a here-document is as it stands, whatever is in it.
fn input_word(node: Node<'_>, source: &str) -> Word {
    if node.kind() != "heredoc_body" {
        return word(node, source);
    }
    let place = node.byte_range();
    Word { text: slice(source, node).to_owned(), literal: true, text_at: Some(place.start), place }
}

fn word(node: Node<'_>, source: &str) -> Word {
    let mut text = String::new();
    let mut literal = true;
    append(node, source, &mut text, &mut literal, WORD_DEPTH);
    let place = node.byte_range();
    let quote = usize::from(matches!(node.kind(), "string" | "raw_string"));
    let stands = source.get(place.start + quote..).is_some_and(|rest| rest.starts_with(text.as_str()));
    Word { text_at: (literal && stands).then_some(place.start + quote), text, literal, place }
}

fn append(node: Node<'_>, source: &str, text: &mut String, literal: &mut bool, depth: usize) {
    let raw = slice(source, node);
    match node.kind() {
        "concatenation" if depth > 0 => {
            let mut cursor = node.walk();
            let mut end = node.start_byte();
            for part in node.children(&mut cursor) {
                // What the grammar leaves between parts would be lost.
                text.push_str(source.get(end..part.start_byte()).unwrap_or_default());
                append(part, source, text, literal, depth - 1);
                end = part.end_byte();
            }
        }
        "raw_string" => text.push_str(raw.trim_matches('\'')),
        "string" => {
            let mut cursor = node.walk();
            *literal &= node.named_children(&mut cursor).all(|part| part.kind() == "string_content");
            let inner = raw.strip_prefix('"').unwrap_or(raw);
            unescape(inner.strip_suffix('"').unwrap_or(inner), |c| matches!(c, '"' | '\\' | '$' | '`'), text);
        }
        "word" | "number" | "variable_name" => unescape(raw, |_| true, text),
        _ if !node.is_named() => text.push_str(raw),
        _ => {
            *literal = false;
            text.push_str(raw);
        }
    }
}

/// Takes away the backslashes that the shell would, and continued lines with them.
fn unescape(raw: &str, special: impl Fn(char) -> bool, text: &mut String) {
    let mut chars = raw.chars();
    while let Some(c) = chars.next() {
        match (c, chars.clone().next()) {
            ('\\', Some('\n')) => drop(chars.next()),
            ('\\', Some(next)) if special(next) => {
                text.push(next);
                chars.next();
            }
            _ => text.push(c),
        }
    }
}

fn slice<'s>(source: &'s str, node: Node<'_>) -> &'s str {
    source.get(node.byte_range()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(source: &str) -> Vec<String> {
        let script = read(source);
        assert_eq!(script.unread, None, "{source}");
        let text = |simple: &Simple| {
            simple.words.iter().map(|word| word.text.as_str()).collect::<Vec<_>>().join("|")
        };
        script.commands.iter().map(text).collect()
    }

    #[test]
    fn every_simple_command_is_found_wherever_it_hides() {
        for (source, commands) in [
            ("ls -l 'a b' \"c d\"", vec!["ls|-l|a b|c d"]),
            ("a && b || c; d & e\nf", vec!["a", "b", "c", "d", "e", "f"]),
            ("a | b |& c", vec!["a", "b", "c"]),
            ("X=1 a \"$(b)\" `c` <(d)", vec!["a|$(b)|`c`|<(d)", "b", "c", "d"]),
            ("if a; then b; else c; fi", vec!["a", "b", "c"]),
            ("for x in $(a); do b $x; done", vec!["a", "b|$x"]),
            ("while a; do b; done; until c; do d; done", vec!["a", "b", "c", "d"]),
            ("f() { a; }; (b); { c; }", vec!["a", "b", "c"]),
            ("case $x in y) a;; *) b;; esac", vec!["a", "b"]),
            ("! a; time b", vec!["a", "time|b"]),
            ("export A=$(a) B=2", vec!["export", "a"]),
            ("r\\m -r'f' \"x\"y", vec!["rm|-rf|xy"]),
            ("[[ -n $(a) ]] && [ -f x ] && test -f y", vec!["a", "test|-f|y"]),
            ("cat <<EOF\n$(a)\nEOF", vec!["cat", "a"]),
            ("a >x 2>&1 <y", vec!["a"]),
        ] {
            assert_eq!(lines(source), commands, "{source}");
        }
    }

    #[test]
    fn words_know_whether_they_are_literal_and_where_they_stand() {
        let script = read("rm \"$X\" 'a b' {c,d} $'e'");
        let words = &script.commands[0].words;
        let literal: Vec<bool> = words.iter().map(|word| word.literal).collect();
        assert_eq!(literal[..3], [true, false, true]);
        assert!(!literal[words.len() - 1], "an escape of its own is not looked into");
        assert_eq!(words[2].place, 8..13);
        assert_eq!(words[2].text_at, Some(9));
    }

    #[test]
    fn redirections_are_told_but_those_of_descriptors() {
        let writes =
            |source: &str| -> Vec<String> { read(source).writes.into_iter().map(|word| word.text).collect() };
        assert_eq!(writes("a > x 2>> 'y z' &> w < v 2>&1"), ["x", "y z", "w"]);
        assert_eq!(writes("{ a; b; } > x"), ["x"]);
        let script = read("bash <<'EOF'\nrm -rf x\nEOF\n");
        assert!(script.inputs[0].1.text.contains("rm -rf x"), "{script:?}");
    }

    #[test]
    fn what_cannot_be_read_is_said() {
        assert!(matches!(read("if then fi ((").unread, Some(Unread::Here(_))));
        assert!(matches!(read("echo 'open").unread, Some(Unread::Here(_))));
        assert_eq!(read(&"a ".repeat(LONGEST)).unread, Some(Unread::TooLong));
    }

    #[test]
    fn hostile_nesting_neither_overflows_nor_takes_long() {
        for piece in
            ["(", "{ ", "$(", "`", "\"$(", "((", "${x:-", "if ", "<(", "[[ ", "case x in y) ", "<<A\n"]
        {
            let began = Instant::now();
            let script = read(&piece.repeat(LONGEST / piece.len()));
            assert!(script.unread.is_some(), "{piece}");
            assert!(began.elapsed() < 30 * TIME, "{piece}: {:?}", began.elapsed());
        }
    }
}
