//! Rules for programs whose arguments decide.

use super::rules::{Judge, Origin, given, name_of, plain, short};
use super::shell::Word;

impl Judge<'_> {
    pub(super) fn rm(&mut self, words: &[Word], origin: &Origin) {
        let name = &words[0];
        let flags = words.iter().filter(|word| word.text.starts_with('-'));
        let recursive = flags.clone().find(|word| short(word, "rR") || word.text.starts_with("--rec"));
        if let Some(flag) = recursive {
            self.mark(
                origin,
                &(name.place.start..flag.place.end),
                "deletes whole folders, which cannot be undone",
            );
        } else if words[1..].iter().any(|word| !word.literal || word.text.contains(['*', '?', '['])) {
            self.mark(origin, &name.place, "deletes files that are only known when it runs");
        }
        plain(words).for_each(|word| self.target(Some(word), origin));
    }

    pub(super) fn find(&mut self, words: &[Word], origin: &Origin) {
        let mut rest = words;
        while let Some((word, after)) = rest.split_first() {
            rest = after;
            match word.text.as_str() {
                "-delete" => self.mark(origin, &word.place, "deletes whatever it finds"),
                "-exec" | "-execdir" | "-ok" | "-okdir" => {
                    let end = after.iter().position(|word| matches!(word.text.as_str(), ";" | "+"));
                    let (inner, after) = after.split_at(end.unwrap_or(after.len()));
                    if inner.first().and_then(name_of) == Some("rm") {
                        self.mark(origin, &inner[0].place, "deletes whatever it finds");
                    }
                    self.nested(inner, origin);
                    rest = after;
                }
                _ => {}
            }
        }
    }

    pub(super) fn git(&mut self, words: &[Word], origin: &Origin) {
        let mut at = 1;
        while let Some(word) = words.get(at).filter(|word| word.text.starts_with('-')) {
            at += if matches!(word.text.as_str(), "-C" | "-c" | "--git-dir" | "--work-tree") { 2 } else { 1 };
            if word.text == "-c" {
                self.mark(origin, &word.place, "gives git settings that may run programs");
            }
        }
        let Some(verb) = words.get(at) else { return };
        let rest = &words[at + 1..];
        let has = |names: &[&str]| {
            rest.iter().find(|word| names.iter().any(|name| word.text == *name || given(&word.text, name)))
        };
        let clustered = |letters: &str| rest.iter().find(|word| short(word, letters));
        let forced =
            has(&["--force", "--force-with-lease", "--mirror", "--delete", "--prune", "--force-if-includes"]);
        let (word, reason) = match verb.text.as_str() {
            "push" => {
                let refs = rest.iter().filter(|word| !word.text.starts_with('-')).skip(1);
                let mut refs = refs.filter(|word| word.text.starts_with(['+', ':']));
                let word = forced.or_else(|| clustered("fd")).or_else(|| refs.next());
                (word, "overwrites or deletes what others have")
            }
            "clean" => (clustered("fdxX").or(has(&["--force"])), "deletes files that git does not know"),
            "reset" => (has(&["--hard", "--merge", "--keep"]), "throws changes away"),
            "checkout" | "switch" => {
                let word = has(&["--force", "--discard-changes", "--", "."]).or_else(|| clustered("f"));
                (word, "throws changes away")
            }
            "restore" => (Some(verb).filter(|_| has(&["--staged"]).is_none()), "throws changes away"),
            "branch" | "tag" => (clustered("Dd").or(has(&["--delete"])), "deletes a branch or tag"),
            "stash" => (has(&["drop", "clear"]), "throws changes away"),
            "worktree" | "submodule" => (forced.or_else(|| clustered("f")), "throws changes away"),
            "reflog" => (has(&["expire", "delete"]), "takes away the way back"),
            "gc" => (has(&["--prune"]), "takes away the way back"),
            "filter-branch" | "filter-repo" | "update-ref" | "replace" => (Some(verb), "rewrites history"),
            "config" => (Some(verb).filter(|_| rest.len() > 1), "changes settings that may run programs"),
            "credential" => (Some(verb), "touches credentials"),
            _ => return,
        };
        if let Some(word) = word {
            self.mark(origin, &(words[0].place.start..word.place.end.max(verb.place.end)), reason);
        }
    }

    pub(super) fn rights(&mut self, words: &[Word], origin: &Origin) {
        let open = |word: &&Word| {
            let text = word.text.as_str();
            (text.len() >= 3
                && text.bytes().all(|b| b.is_ascii_digit())
                && text.ends_with(['2', '3', '6', '7']))
                || ["o+w", "a+w", "+s", "a+rwx", "o+rwx", "o=rwx", "a=rwx"]
                    .iter()
                    .any(|mode| text.contains(mode))
        };
        let recursive = words[1..].iter().find(|word| short(word, "R") || word.text == "--recursive");
        let opened = words[1..].iter().find(open).filter(|_| words[0].text.ends_with("chmod"));
        if let Some(word) = recursive {
            self.mark(origin, &(words[0].place.start..word.place.end), "changes the rights of whole folders");
        }
        if let Some(word) = opened {
            self.mark(origin, &word.place, "lets everybody write, or run as its owner");
        }
        plain(words).skip(1).for_each(|word| self.target(Some(word), origin));
    }

    pub(super) fn fetch(&mut self, name: &str, words: &[Word], origin: &Origin) {
        for (at, word) in words.iter().enumerate().skip(1) {
            let text = word.text.as_str();
            let sends = matches!(text, "-T" | "--upload-file" | "--post-file" | "--body-file")
                || text.starts_with("--upload-file=")
                || text.starts_with("--post-file=");
            let data = matches!(text, "-d" | "-F" | "--form" | "--json") || text.starts_with("--data");
            let file = words.get(at + 1).is_some_and(|next| next.text.contains('@') && data);
            if sends || file || (data && text.contains("=@")) {
                self.mark(origin, &word.place, "sends a file away");
            }
            let output = if name == "curl" {
                ["-o", "--output", "--output-dir"]
            } else {
                ["-O", "-P", "--output-document"]
            };
            if output.contains(&text) {
                self.target(words.get(at + 1), origin);
            }
        }
    }

    pub(super) fn database(&mut self, words: &[Word], origin: &Origin) {
        for word in &words[1..] {
            let text = word.text.to_ascii_uppercase();
            let destroys =
                ["DROP ", "TRUNCATE ", "DELETE FROM", "FLUSHALL", "FLUSHDB", "DROPDATABASE", "ALTER "];
            if destroys.iter().any(|verb| text.contains(verb)) {
                self.mark(origin, &word.place, "deletes or changes data in a database");
            }
        }
    }
}
