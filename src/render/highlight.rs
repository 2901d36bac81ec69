//! Code, with a class for each kind of word. The grammars are Sublime Text's, as syntect and two-face bring them.

use std::sync::LazyLock;

use syntect::parsing::{ParseState, Scope, ScopeStack, SyntaxReference, SyntaxSet};

use super::Budget;
use super::escape::push_text;

/// Longest line in bytes that is looked at for its words; longer ones are plain.
const WORDS_IN: usize = 2_000;
/// Longest line in bytes that is shown whole.
const LINE: usize = 20_000;
/// At most so many bytes are looked at for their words.
const COLOURED: usize = 128 << 10;

static SYNTAXES: LazyLock<SyntaxSet> = LazyLock::new(two_face::syntax::extra_newlines);

/// Kinds of words by the scopes of the grammars; of a word's scopes the innermost that is listed counts. Without
/// a class: what begins anew within a string.
static CLASSES: LazyLock<Vec<(Scope, Option<&'static str>)>> = LazyLock::new(|| {
    let known = [
        ("comment", Some("hl-note")),
        ("meta.interpolation", None),
        ("meta.template.expression", None),
        ("constant.character.escape", Some("hl-num")),
        ("constant.numeric", Some("hl-num")),
        ("constant.language", Some("hl-num")),
        ("string", Some("hl-str")),
        ("keyword.operator", None),
        ("keyword", Some("hl-key")),
        ("storage", Some("hl-key")),
        ("entity.name.tag", Some("hl-key")),
        ("variable.language", Some("hl-key")),
        ("markup.heading", Some("hl-key")),
        ("markup.inserted", Some("hl-str")),
        ("markup.deleted", Some("hl-num")),
    ];
    known.into_iter().filter_map(|(name, class)| Some((Scope::new(name).ok()?, class))).collect()
});

/// The grammar for a language's name or a file's name.
pub fn syntax(language: Option<&str>, path: Option<&str>) -> Option<&'static SyntaxReference> {
    let by_path = || {
        let name = path?.rsplit('/').next()?;
        // Whole names first: `Makefile`, `CMakeLists.txt`.
        SYNTAXES.find_syntax_by_extension(name).or_else(|| {
            name.rsplit_once('.').and_then(|(_, ending)| SYNTAXES.find_syntax_by_extension(ending))
        })
    };
    let by_name = || {
        let name =
            language?.split([' ', ',', '{', ':']).next().filter(|name| (1..=40).contains(&name.len()))?;
        let name = match name.to_ascii_lowercase().as_str() {
            "shell" | "console" | "shellsession" | "zsh" => "bash",
            "jsonc" | "json5" | "jsonl" => "json",
            "golang" => "go",
            "c#" => "cs",
            _ => name,
        };
        SYNTAXES.find_syntax_by_token(name)
    };
    by_name().or_else(by_path).filter(|syntax| syntax.name != "Plain Text")
}

/// Appends a block of code with its heading; whether something of it was left out.
pub fn push_block(
    out: &mut String,
    text: &str,
    syntax: Option<&SyntaxReference>,
    label: Option<&str>,
    budget: Budget,
) -> bool {
    out.push_str("<figure class=\"code\"><figcaption class=\"code-head\">");
    if let Some(label) = label.filter(|label| !label.is_empty()) {
        out.push_str("<span class=\"code-lang\">");
        push_text(out, super::head(label, 200).0);
        out.push_str("</span>");
    }
    // The first line's end after `<pre>` would be eaten by the browser.
    out.push_str("</figcaption><pre class=\"code-body\"><code>");
    let cut = push(out, text, syntax, budget);
    out.push_str("</code></pre></figure>");
    cut
}

/// Appends lines of code; whether something was left out.
fn push(out: &mut String, text: &str, syntax: Option<&SyntaxReference>, budget: Budget) -> bool {
    let mut words = syntax.map(Words::new);
    let mut cut = false;
    let mut seen = 0;
    for line in text.split_inclusive('\n') {
        seen += line.len();
        if seen > COLOURED || (words.is_some() && budget.is_spent()) {
            words = None;
        }
        let coloured =
            words.as_mut().filter(|_| line.len() <= WORDS_IN).is_some_and(|words| words.push(out, line));
        if !coloured {
            cut |= push_line(out, line);
        }
    }
    cut
}

/// Appends a line, or the beginning of a very long one; whether something was left out.
pub fn push_line(out: &mut String, line: &str) -> bool {
    if line.len() <= LINE {
        push_text(out, line);
        return false;
    }
    let at = line.floor_char_boundary(LINE);
    push_text(out, line.get(..at).unwrap_or_default());
    out.push_str(&format!(
        "<span class=\"cut\"> … {} more in this line</span>",
        super::size(line.len() - at)
    ));
    if line.ends_with('\n') {
        out.push('\n');
    }
    true
}

/// A grammar's state between lines.
struct Words {
    state: ParseState,
    stack: ScopeStack,
}

impl Words {
    fn new(syntax: &SyntaxReference) -> Self {
        Self { state: ParseState::new(syntax), stack: ScopeStack::new() }
    }

    /// Appends a line; false, and nothing appended, when the grammar fails at it.
    fn push(&mut self, out: &mut String, line: &str) -> bool {
        let Ok(steps) = self.state.parse_line(line, &SYNTAXES) else { return false };
        let (mut at, mut class) = (0, None);
        let mut pending = String::new();
        let mut emit = |text: &str, new: Option<&'static str>| {
            if new != class && !pending.is_empty() {
                flush(out, &mut pending, class);
            }
            class = new;
            pending.push_str(text);
        };
        for (end, step) in steps {
            if let Some(text) = line.get(at..end).filter(|text| !text.is_empty()) {
                emit(text, class_of(&self.stack));
                at = end;
            }
            // A step that does not fit leaves the stack as it is: colours may be off, text never is.
            let _ = self.stack.apply(&step);
        }
        if let Some(text) = line.get(at..).filter(|text| !text.is_empty()) {
            emit(text, class_of(&self.stack));
        }
        flush(out, &mut pending, class);
        true
    }
}

fn flush(out: &mut String, text: &mut String, class: Option<&str>) {
    match class.filter(|_| !text.trim().is_empty()) {
        Some(class) => {
            out.push_str("<span class=\"");
            out.push_str(class);
            out.push_str("\">");
            push_text(out, text);
            out.push_str("</span>");
        }
        None => push_text(out, text),
    }
    text.clear();
}

fn class_of(stack: &ScopeStack) -> Option<&'static str> {
    stack
        .scopes
        .iter()
        .rev()
        .find_map(|scope| {
            CLASSES.iter().find(|(known, _)| known.is_prefix_of(*scope)).map(|(_, class)| *class)
        })
        .flatten()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn html(text: &str, language: &str) -> String {
        let mut out = String::new();
        let cut = push(&mut out, text, syntax(Some(language), None), Budget::of(Duration::from_secs(60)));
        assert!(!cut);
        out
    }

    #[test]
    fn words_get_the_class_of_their_kind() {
        assert_eq!(
            html("let x = \"a<b\"; // why 1\n", "rust"),
            "<span class=\"hl-key\">let</span> x = <span class=\"hl-str\">&quot;a&lt;b&quot;</span>; \
             <span class=\"hl-note\">// why 1\n</span>"
        );
        assert!(html("def f(): return 12", "python").contains("<span class=\"hl-num\">12</span>"));
        assert_eq!(html("<b>", "no such language"), "&lt;b&gt;");
    }

    #[test]
    fn the_usual_languages_are_known_by_name_and_by_file() {
        for name in [
            "rust",
            "python",
            "js",
            "ts",
            "tsx",
            "typescript",
            "go",
            "java",
            "c",
            "cpp",
            "bash",
            "sh",
            "shell",
            "json",
            "yaml",
            "toml",
            "html",
            "css",
            "sql",
            "dockerfile",
            "diff",
            "markdown",
            "ruby",
            "php",
            "kotlin",
            "swift",
        ] {
            assert!(syntax(Some(name), None).is_some(), "{name}");
        }
        for path in ["src/main.rs", "Makefile", "a/b.tsx", "Dockerfile", "x.yml", "Cargo.toml"] {
            assert!(syntax(None, Some(path)).is_some(), "{path}");
        }
        assert!(syntax(Some("text"), Some("notes.txt")).is_none());
    }
}
