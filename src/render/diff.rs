//! Unified diffs into HTML, line by line, with the words that changed.

use std::time::Duration;

use similar::{ChangeTag, TextDiff};

use super::Budget;
use super::escape::push_text;
use super::highlight::push_line;

/// More lines than this are too many for a browser.
const LINES: usize = 5_000;
/// Lines that changed together are compared word by word up to so many...
const COMPARED: usize = 50;
/// ... and each up to so many bytes.
const COMPARED_BYTES: usize = 1_000;
/// So alike must two lines be that their words are compared.
const ALIKE: f32 = 0.4;

/// A unified diff of two texts.
pub fn unified(old: &str, new: &str, path: Option<&str>, budget: Budget) -> String {
    let diff =
        TextDiff::configure().timeout(budget.left().max(Duration::from_millis(50))).diff_lines(old, new);
    let path = path.unwrap_or_default().replace(['\n', '\r'], " ");
    let (before, after) = match (old.is_empty(), new.is_empty()) {
        (true, false) => ("/dev/null".to_owned(), format!("b/{path}")),
        (false, true) => (format!("a/{path}"), "/dev/null".to_owned()),
        _ => (format!("a/{path}"), format!("b/{path}")),
    };
    diff.unified_diff().context_radius(3).missing_newline_hint(false).header(&before, &after).to_string()
}

/// Appends a diff as HTML; whether something was left out.
pub fn push(out: &mut String, text: &str, path: Option<&str>, budget: Budget) -> bool {
    let mut writer = Writer { budget, path, ..Writer::default() };
    out.push_str("<div class=\"diff\">");
    let mut left = 0;
    for line in text.lines() {
        match writer.lines < LINES {
            true => writer.line(out, line),
            false => left += 1,
        }
    }
    writer.end_file(out);
    out.push_str("</div>");
    if left > 0 {
        out.push_str(&format!("<p class=\"cut\">Cut here: {left} more lines.</p>"));
    }
    writer.cut || left > 0
}

/// A file of the diff, as far as it was read.
#[derive(Default)]
struct File {
    old: Option<String>,
    new: Option<String>,
    status: Vec<String>,
    added: usize,
    removed: usize,
    body: String,
    /// Whether a hunk began, so that a `--- ` begins the next file.
    begun: bool,
}

struct Writer<'p> {
    budget: Budget,
    path: Option<&'p str>,
    file: Option<File>,
    /// Lines that the hunk still has, of the old and the new file.
    due: (usize, usize),
    /// Numbers of the next lines.
    numbers: (usize, usize),
    /// The change that is being read.
    gone: Vec<(usize, String)>,
    come: Vec<(usize, String)>,
    lines: usize,
    cut: bool,
}

impl Default for Writer<'_> {
    fn default() -> Self {
        Self {
            budget: Budget::of(Duration::ZERO),
            path: None,
            file: None,
            due: (0, 0),
            numbers: (0, 0),
            gone: Vec::new(),
            come: Vec::new(),
            lines: 0,
            cut: false,
        }
    }
}

impl Writer<'_> {
    fn line(&mut self, out: &mut String, line: &str) {
        self.lines += 1;
        if self.due != (0, 0) {
            return self.in_hunk(line);
        }
        if let Some(rest) = line.strip_prefix("diff --git ") {
            self.end_file(out);
            let (old, new) = git_paths(rest);
            self.file = Some(File { old, new, ..File::default() });
        } else if let Some(name) = line.strip_prefix("--- ") {
            if self.file.as_ref().is_none_or(|file| file.begun) {
                self.end_file(out);
                self.file = Some(File::default());
            }
            if let Some(file) = &mut self.file {
                file.old = path_of(name, "a/");
            }
        } else if let Some(name) = line.strip_prefix("+++ ") {
            self.file().new = path_of(name, "b/");
        } else if line.starts_with("@@") {
            self.begin_hunk(line);
        } else {
            self.heading(line);
        }
    }

    fn file(&mut self) -> &mut File {
        self.file.get_or_insert_with(File::default)
    }

    fn heading(&mut self, line: &str) {
        let status = if let Some(mode) = line.strip_prefix("new mode ") {
            format!("mode {mode}")
        } else if line.starts_with("new file mode") {
            "new file".to_owned()
        } else if line.starts_with("deleted file mode") {
            "deleted".to_owned()
        } else if line.starts_with("rename from ") {
            "renamed".to_owned()
        } else if line.starts_with("copy from ") {
            "copied".to_owned()
        } else if line.starts_with("Binary files ") || line.starts_with("GIT binary patch") {
            "binary".to_owned()
        } else if ["index ", "similarity ", "dissimilarity ", "rename to ", "copy to ", "old mode "]
            .iter()
            .any(|known| line.starts_with(known))
            || line.is_empty()
        {
            return;
        } else {
            self.flush();
            let cut = {
                let body = &mut self.file().body;
                body.push_str("<div class=\"diff-note\">");
                let cut = push_line(body, line);
                body.push_str("</div>");
                cut
            };
            self.cut |= cut;
            return;
        };
        self.file().status.push(status);
    }

    fn begin_hunk(&mut self, line: &str) {
        self.flush();
        let (old, new) = ranges(line).unwrap_or(((1, 0), (1, 0)));
        self.numbers = (old.0, new.0);
        self.due = (old.1, new.1);
        let file = self.file();
        file.begun = true;
        file.body.push_str("<div class=\"diff-hunk\">");
        push_line(&mut file.body, line);
        file.body.push_str("</div>");
    }

    fn in_hunk(&mut self, line: &str) {
        let (sign, text) = match line.chars().next() {
            Some(sign @ ('+' | '-' | ' ' | '\\')) => (sign, &line[1..]),
            // Some tools leave out the blank of an empty line.
            None => (' ', ""),
            Some(_) => {
                // The counts were wrong.
                self.due = (0, 0);
                return self.heading(line);
            }
        };
        match sign {
            '-' => {
                if !self.come.is_empty() {
                    self.flush();
                }
                self.gone.push((self.numbers.0, text.to_owned()));
                self.numbers.0 += 1;
                self.due.0 = self.due.0.saturating_sub(1);
                self.file().removed += 1;
            }
            '+' => {
                self.come.push((self.numbers.1, text.to_owned()));
                self.numbers.1 += 1;
                self.due.1 = self.due.1.saturating_sub(1);
                self.file().added += 1;
            }
            ' ' => {
                self.flush();
                let number = self.numbers.1;
                self.push_row("diff-same", number, ' ', &[(false, text.to_owned())]);
                self.numbers = (self.numbers.0 + 1, self.numbers.1 + 1);
                self.due = (self.due.0.saturating_sub(1), self.due.1.saturating_sub(1));
            }
            // About the old file's end: the new one's line comes next, and belongs beside it.
            _ if self.come.is_empty() && self.due.1 > 0 => {}
            _ => self.heading(line),
        }
    }

    /// Writes the change that was read.
    fn flush(&mut self) {
        if self.gone.is_empty() && self.come.is_empty() {
            return;
        }
        let (gone, come) = (std::mem::take(&mut self.gone), std::mem::take(&mut self.come));
        let paired = gone.len() == come.len() && gone.len() <= COMPARED;
        let pairs: Vec<Option<Compared>> = match paired {
            true => gone.iter().zip(&come).map(|((_, a), (_, b))| compare(a, b, self.budget)).collect(),
            false => Vec::new(),
        };
        let words = |at: usize| pairs.get(at).and_then(Option::as_ref);
        self.file().body.push_str("<div class=\"diff-change\">");
        for (at, (number, text)) in gone.into_iter().enumerate() {
            let whole = [(false, text)];
            self.push_row("diff-del", number, '−', words(at).map_or(&whole[..], |(old, _)| old));
        }
        for (at, (number, text)) in come.into_iter().enumerate() {
            let whole = [(false, text)];
            self.push_row("diff-add", number, '+', words(at).map_or(&whole[..], |(_, new)| new));
        }
        self.file().body.push_str("</div>");
    }

    fn push_row(&mut self, class: &str, number: usize, sign: char, parts: &[(bool, String)]) {
        let body = &mut self.file().body;
        body.push_str(&format!(
            "<div class=\"diff-line {class}\"><span class=\"diff-no\">{number}</span>\
             <span class=\"diff-sign\">{sign}</span><span class=\"diff-text\">"
        ));
        let mut cut = false;
        for (changed, text) in parts {
            if *changed {
                body.push_str("<mark class=\"diff-word\">");
                push_text(body, text);
                body.push_str("</mark>");
            } else {
                cut |= push_line(body, text);
            }
        }
        body.push_str("</span></div>");
        self.cut |= cut;
    }

    fn end_file(&mut self, out: &mut String) {
        self.due = (0, 0);
        self.flush();
        let Some(file) = self.file.take() else { return };
        let (old, new) = (file.old.as_deref(), file.new.as_deref());
        let given = self.path.filter(|_| old.or(new).is_none_or(str::is_empty));
        let path = given.or(new).or(old).unwrap_or_default();
        out.push_str("<section class=\"diff-file\"><header class=\"diff-head\"><span class=\"diff-path\">");
        if let Some(old) = old.filter(|old| new.is_some_and(|new| new != *old) && !old.is_empty()) {
            push_text(out, super::head(old, 1_000).0);
            out.push_str(" → ");
        }
        push_text(out, super::head(path, 1_000).0);
        out.push_str("</span>");
        let mut status = file.status;
        if status.is_empty() {
            status.extend((old.is_none() && new.is_some() && file.begun).then(|| "new file".to_owned()));
            status.extend((new.is_none() && old.is_some() && file.begun).then(|| "deleted".to_owned()));
        }
        if !status.is_empty() {
            out.push_str("<span class=\"diff-status\">");
            push_text(out, super::head(&status.join(", "), 200).0);
            out.push_str("</span>");
        }
        out.push_str(&format!(
            "<span class=\"diff-plus\">+{}</span><span class=\"diff-minus\">−{}</span></header>",
            file.added, file.removed
        ));
        out.push_str(&file.body);
        out.push_str("</section>");
    }
}

/// The parts of the old and the new line, each with whether it changed.
type Compared = (Vec<(bool, String)>, Vec<(bool, String)>);

/// Compares two lines word by word; `None` if they are too long or have too little in common.
fn compare(old: &str, new: &str, budget: Budget) -> Option<Compared> {
    if old.len().max(new.len()) > COMPARED_BYTES || budget.is_spent() {
        return None;
    }
    let diff = TextDiff::configure().timeout(Duration::from_millis(20)).diff_unicode_words(old, new);
    if diff.ratio() < ALIKE {
        return None;
    }
    let (mut before, mut after) = (Vec::new(), Vec::new());
    for change in diff.iter_all_changes() {
        let text = change.value().to_owned();
        match change.tag() {
            ChangeTag::Equal => {
                before.push((false, text.clone()));
                after.push((false, text));
            }
            ChangeTag::Delete => before.push((true, text)),
            ChangeTag::Insert => after.push((true, text)),
        }
    }
    Some((before, after))
}

/// `@@ -a,b +c,d @@`: first line and count of each side.
fn ranges(line: &str) -> Option<((usize, usize), (usize, usize))> {
    let mut words = line.strip_prefix("@@ ")?.split(' ');
    let mut range = |sign: char| {
        let text = words.next()?.strip_prefix(sign)?;
        let (start, count) = text.split_once(',').unwrap_or((text, "1"));
        Some((start.parse().ok()?, count.parse().ok()?))
    };
    Some((range('-')?, range('+')?))
}

/// A path as it stands behind `---` or `+++`; `None` for no file.
fn path_of(name: &str, prefix: &str) -> Option<String> {
    let name = name.split('\t').next().unwrap_or_default().trim_end();
    let name = name.strip_prefix('"').and_then(|name| name.strip_suffix('"')).unwrap_or(name);
    (name != "/dev/null").then(|| name.strip_prefix(prefix).unwrap_or(name).to_owned())
}

/// The two paths behind `diff --git`, where they can be told apart.
fn git_paths(rest: &str) -> (Option<String>, Option<String>) {
    let Some((old, new)) = rest.split_once(" b/").or_else(|| rest.split_once(" \"b/")) else {
        return (None, None);
    };
    let old = old.trim_matches('"');
    (Some(old.strip_prefix("a/").unwrap_or(old).to_owned()), Some(new.trim_matches('"').to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn html(text: &str) -> String {
        let mut out = String::new();
        push(&mut out, text, None, Budget::of(Duration::from_secs(60)));
        super::super::clean::clean(&out)
    }

    const TWO_FILES: &str = "diff --git a/src/a.rs b/src/a.rs\nindex 1..2 100644\n--- a/src/a.rs\n+++ b/src/a.rs\n\
         @@ -1,3 +1,3 @@ fn main\n one\n-let delay = 1;\n+let delay = 2;\n--- three\n\
         diff --git a/new.txt b/new.txt\nnew file mode 100644\n--- /dev/null\n+++ b/new.txt\n@@ -0,0 +1 @@\n+<b>\n\
         \\ No newline at end of file\n";

    #[test]
    fn files_lines_and_words_are_told_apart() {
        let html = html(TWO_FILES.replace("-1,3 +1,3", "-1,3 +1,2").as_str());
        assert_eq!(html.matches("diff-file").count(), 2, "{html}");
        for wanted in [
            "<span class=\"diff-path\">src/a.rs</span>",
            "<mark class=\"diff-word\">1</mark>",
            "<mark class=\"diff-word\">2</mark>",
            "<span class=\"diff-text\">-- three</span>",
            "<span class=\"diff-status\">new file</span>",
            "&lt;b&gt;",
            "No newline at end of file",
            "<span class=\"diff-plus\">+1</span><span class=\"diff-minus\">−2</span>",
        ] {
            assert!(html.contains(wanted), "{wanted} in {html}");
        }
    }

    #[test]
    fn two_versions_become_a_diff_with_the_files_name() {
        let budget = Budget::of(Duration::from_secs(60));
        let text = unified("a\nb\n", "a\nc\n", Some("x.txt"), budget);
        let html = html(&text);
        assert!(html.contains("<span class=\"diff-path\">x.txt</span>"), "{html}");
        assert!(html.contains("diff-del") && html.contains("diff-add"), "{html}");
        let text = unified("", "a\n", Some("x.txt"), budget);
        assert!(self::html(&text).contains("new file"), "{text}");
    }

    #[test]
    fn renames_modes_and_binaries_are_said_in_words() {
        let html = html(
            "diff --git a/old name b/new name\nold mode 100644\nnew mode 100755\nsimilarity index 90%\n\
             rename from old name\nrename to new name\n\
             diff --git a/x.png b/x.png\nBinary files a/x.png and b/x.png differ\n",
        );
        assert!(html.contains("old name → new name") && html.contains("mode 100755, renamed"), "{html}");
        assert!(html.contains("binary"), "{html}");
    }

    #[test]
    fn what_is_no_diff_is_shown_as_it_is() {
        let html = html("hello <b>\n@@ nonsense\n+a\n");
        assert!(html.contains("hello &lt;b&gt;") && html.contains("+a"), "{html}");
    }

    #[test]
    fn too_many_lines_are_cut_with_a_word() {
        let text = format!("--- a/x\n+++ b/x\n@@ -0,0 +1,9000 @@\n{}", "+x\n".repeat(9_000));
        assert!(html(&text).contains("more lines"), "it says so");
    }
}
