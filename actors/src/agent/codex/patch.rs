//! File changes: what Codex tells of a patch, and as a unified diff.

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::agent::fields::{Fields, head};
use crate::agent::show::{one_line, short, shortened};

/// How much of the diffs of one patch is kept until the question about it, in bytes.
const KEPT: usize = 256 * 1024;
/// Most files of one patch that are kept; of a longer one the rest is counted, and a person must look.
const MOST_FILES: usize = 64;
/// Folders whose files are as good as commands: git runs hooks from the one, agents read their settings from the others.
const TOUCHY: &[&str] = &[".git", ".codex", ".agents", ".claude", ".aws", ".ssh", ".vscode", ".idea"];

/// One file's change, as it is kept between its announcement and the question about it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Change {
    path: String,
    /// `add`, `update`, `delete`.
    kind: String,
    /// Where an update moves the file.
    moved: Option<String>,
    /// The bare content (`add`, `delete`) or hunks (`update`), cut where it is very long.
    diff: String,
    whole: bool,
}

/// A patch.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Patch {
    changes: Vec<Change>,
    /// Files that are not in `changes`, because there are too many.
    more: usize,
}

impl Patch {
    /// Reads the `changes` of a `fileChange` item.
    pub(super) fn read(item: &Value) -> Self {
        let list = item.list("changes");
        let mut room = KEPT;
        let changes = list.iter().take(MOST_FILES).map(|change| {
            let nothing = Value::Null;
            let kind = change.get("kind").unwrap_or(&nothing);
            let diff = change.text("diff").unwrap_or_default();
            let kept = head(diff, room);
            room -= kept.len();
            Change {
                path: head(change.text("path").unwrap_or_default(), 4096).to_owned(),
                kind: kind.text("type").unwrap_or("unknown").chars().take(20).collect(),
                moved: kind.text("move_path").map(|path| head(path, 4096).to_owned()),
                diff: kept.to_owned(),
                whole: kept.len() == diff.len(),
            }
        });
        Self { changes: changes.collect(), more: list.len().saturating_sub(MOST_FILES) }
    }

    /// Whether nothing is known of what it changes.
    pub(super) fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// The files that it writes, in both places of those that it moves.
    pub(super) fn paths(&self) -> Vec<String> {
        let both = |change: &Change| [Some(change.path.clone()), change.moved.clone()];
        self.changes.iter().flat_map(both).flatten().collect()
    }

    /// Whether it is a plain edit of files that are known: those may be allowed by a mode or a grant for
    /// a directory.
    pub(super) fn is_plain(&self) -> bool {
        let plain = |path: &String| {
            let path = Path::new(path);
            let touchy = |part: &std::ffi::OsStr| TOUCHY.iter().any(|name| part == *name);
            path.is_absolute() && !path.iter().any(touchy)
        };
        self.more == 0 && !self.is_empty() && self.paths().iter().all(plain)
    }

    /// What is shown as the input of the question.
    pub(super) fn input(&self) -> Value {
        let changes = self.changes.iter().map(|change| {
            let mut shown = json!({ "path": change.path, "kind": change.kind, "diff": change.diff });
            if let Some(moved) = &change.moved {
                shown["move_path"] = moved.as_str().into();
            }
            if !change.whole {
                shown["cut"] = true.into();
            }
            shown
        });
        let mut input = json!({ "changes": changes.collect::<Vec<_>>() });
        if self.more > 0 {
            input["more_files"] = self.more.into();
        }
        input
    }

    /// One line: what would happen.
    pub(super) fn title(&self, cwd: Option<&str>) -> String {
        let word = |change: &Change| {
            let path = short(&change.path, cwd);
            match (change.kind.as_str(), &change.moved) {
                (_, Some(moved)) => format!("Move {path} to {}", short(moved, cwd)),
                ("add", _) => format!("Write {path}"),
                ("delete", _) => format!("Delete {path}"),
                ("update", _) => format!("Edit {path}"),
                _ => format!("Change {path}"),
            }
        };
        let mut words: Vec<String> = self.changes.iter().map(word).collect();
        if self.more > 0 {
            words.push(format!("and {} more files", self.more));
        }
        one_line(&if words.is_empty() {
            "Change files that it did not name".to_owned()
        } else {
            words.join(", ")
        })
    }

    /// The whole as a unified diff.
    pub(super) fn diff(&self, cwd: Option<&str>) -> Option<String> {
        let whole: String = self.changes.iter().map(|change| change.unified(cwd)).collect();
        shortened(whole)
    }
}

impl Change {
    fn unified(&self, cwd: Option<&str>) -> String {
        let path = one_line(short(&self.path, cwd));
        let signed =
            |sign: char| -> String { self.diff.lines().map(|line| format!("{sign}{line}\n")).collect() };
        let lines = self.diff.lines().count();
        let range = |sign: char| match lines {
            0 => format!("{sign}0,0"),
            lines => format!("{sign}1,{lines}"),
        };
        let mut text = match self.kind.as_str() {
            "add" => format!("--- /dev/null\n+++ {path}\n@@ -0,0 {} @@\n{}", range('+'), signed('+')),
            "delete" => format!("--- {path}\n+++ /dev/null\n@@ {} +0,0 @@\n{}", range('-'), signed('-')),
            _ => {
                let to = self.moved.as_deref().map_or_else(|| path.clone(), |to| one_line(short(to, cwd)));
                // Codex says the new place in words behind the hunks too.
                let hunks = self
                    .moved
                    .as_ref()
                    .and_then(|to| self.diff.strip_suffix(to.as_str())?.strip_suffix("\n\nMoved to: "));
                format!("--- {path}\n+++ {to}\n{}", hunks.unwrap_or(&self.diff))
            }
        };
        if !text.ends_with('\n') {
            text.push('\n');
        }
        if !self.whole {
            text.push_str("… the rest of this file's change is not shown\n");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patch(changes: Value) -> Patch {
        Patch::read(&json!({ "changes": changes }))
    }

    #[test]
    fn each_kind_of_change_reads_as_what_it_does() {
        let all = patch(json!([
            { "path": "/p/new", "kind": { "type": "add" }, "diff": "one\ntwo\n" },
            { "path": "/p/old", "kind": { "type": "delete" }, "diff": "x\n" },
            { "path": "/p/up", "kind": { "type": "update", "move_path": null }, "diff": "@@ -1 +1 @@\n-a\n+b\n" },
            { "path": "/p/from", "kind": { "type": "update", "move_path": "/p/to" },
              "diff": "@@ -1 +1 @@\n-m\n+M\n\n\nMoved to: /p/to" },
        ]));
        assert_eq!(all.title(Some("/p")), "Write new, Delete old, Edit up, Move from to to");
        assert_eq!(
            all.diff(Some("/p")).as_deref(),
            Some(
                "--- /dev/null\n+++ new\n@@ -0,0 +1,2 @@\n+one\n+two\n\
                 --- old\n+++ /dev/null\n@@ -1,1 +0,0 @@\n-x\n\
                 --- up\n+++ up\n@@ -1 +1 @@\n-a\n+b\n\
                 --- from\n+++ to\n@@ -1 +1 @@\n-m\n+M\n"
            )
        );
        assert_eq!(all.paths(), ["/p/new", "/p/old", "/p/up", "/p/from", "/p/to"]);
        assert!(all.is_plain());
    }

    #[test]
    fn a_change_of_settings_of_hooks_or_of_an_unknown_file_is_no_plain_edit() {
        for path in
            ["/p/.git/hooks/pre-commit", "/p/.codex/config.toml", "/p/x/.agents/skills/a", "relative", ""]
        {
            let one = patch(json!([{ "path": path, "kind": { "type": "add" }, "diff": "x" }]));
            assert!(!one.is_plain(), "{path}");
        }
        let moved = json!([{ "path": "/p/a", "kind": { "type": "update", "move_path": "/p/.git/config" }, "diff": "" }]);
        assert!(!patch(moved).is_plain());
        assert!(!patch(json!([])).is_plain());
        assert!(!patch(json!("x")).is_plain());
    }

    #[test]
    fn a_huge_patch_is_cut_with_a_mark_and_a_person_must_look() {
        let file = |number: usize| json!({ "path": format!("/p/{number}"), "kind": { "type": "add" }, "diff": "line\n".repeat(60_000) });
        let one = patch(json!([file(0)]));
        assert!(one.is_plain() && one.input()["changes"][0]["cut"] == true);
        assert!(one.diff(None).is_some_and(|diff| diff.contains("not shown")));
        let many = patch((0..200).map(file).collect());
        assert!(!many.is_plain());
        assert_eq!(many.input()["more_files"], 200 - MOST_FILES);
        assert!(many.title(None).len() < 300);
    }
}
