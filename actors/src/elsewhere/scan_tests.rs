use std::io::Write;
use std::path::PathBuf;

use proptest::prelude::*;

use super::super::entry::messages;
use super::super::pi;
use super::*;

/// A conversation in Pi's form, which is the plainest.
struct Story {
    folder: tempfile::TempDir,
    said: u64,
}

impl Story {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let story = Self { folder, said: 0 };
        story.write(r#"{"type":"session","version":3,"id":"s1","cwd":"/p"}"#);
        story.write("\n");
        story
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("story.jsonl")
    }

    fn write(&self, text: &str) {
        let file = std::fs::OpenOptions::new().append(true).create(true).open(self.path());
        file.and_then(|mut file| file.write_all(text.as_bytes())).expect("it can be written");
    }

    fn length(&self) -> u64 {
        std::fs::metadata(self.path()).expect("it is there").len()
    }

    /// So many turns of a question and an answer each; the answers have so many bytes.
    fn turns(&mut self, count: u64, bytes: usize) {
        for _ in 0..count {
            let n = self.said;
            self.said += 1;
            let at = crate::domain::time::Stamp::from_unix(1_700_000_000 + n as i64).with_millis();
            let parent = n.checked_sub(1).map_or("null".to_owned(), |before| format!("\"a{before}\""));
            self.write(&format!(
                r#"{{"type":"message","id":"u{n}","parentId":{parent},"timestamp":"{at}","message":{{"role":"user","content":"ask {n}"}}}}
{{"type":"message","id":"a{n}","parentId":"u{n}","timestamp":"{at}","message":{{"role":"assistant","content":[{{"type":"text","text":"tell {n} {}"}}]}}}}
"#,
                "x".repeat(bytes)
            ));
        }
    }

    fn scan(&self) -> Scan {
        Scan::begin(&self.path(), self.length(), pi::read).expect("it can be read")
    }

    fn since(&self, cursor: &Cursor, most: usize) -> Since {
        since(&self.path(), cursor, most, pi::read).expect("it can be read")
    }

    /// Follows it to its end; the ids of all that came.
    fn follow(&self, cursor: &mut Cursor, most: usize) -> Vec<String> {
        let mut ids = Vec::new();
        loop {
            let more = self.since(cursor, most);
            ids.extend(more.entries.into_iter().map(|entry| entry.id));
            *cursor = more.cursor;
            if more.is_end {
                return ids;
            }
        }
    }
}

fn ids(turns: std::ops::Range<u64>) -> Vec<String> {
    turns.flat_map(|n| [format!("u{n}"), format!("a{n}")]).collect()
}

#[test]
fn a_small_file_is_read_whole_and_then_only_what_is_added() {
    let mut story = Story::new();
    story.turns(3, 10);
    let mut scan = story.scan();
    assert_eq!((scan.messages, scan.is_exact, scan.offset), (6, true, story.length()));
    assert_eq!((scan.about.id.as_deref(), scan.about.directory.as_deref()), (Some("s1"), Some("/p")));
    story.turns(1, 10);
    story.write(r#"{"type":"message","id":"half"#);
    scan.update(&story.path(), story.length(), pi::read).expect("it can be read");
    assert_eq!((scan.messages, scan.is_exact), (8, true));
    let prompts = (scan.first_prompt.as_deref(), scan.last_prompt.as_deref());
    assert_eq!(prompts, (Some("ask 0"), Some("ask 3")));
}

#[test]
fn of_a_huge_file_only_the_two_ends_are_read() {
    let mut story = Story::new();
    story.turns(40, 400_000);
    let scan = story.scan();
    assert!(!scan.is_exact && scan.messages < 10, "{scan:?}");
    let prompts = (scan.first_prompt.as_deref(), scan.last_prompt.as_deref());
    assert_eq!(prompts, (Some("ask 0"), Some("ask 39")));
    assert_eq!((scan.about.id.as_deref(), scan.offset), (Some("s1"), story.length()));
}

#[test]
fn a_file_that_was_written_anew_is_read_anew() {
    let mut story = Story::new();
    story.turns(5, 10);
    let mut scan = story.scan();
    std::fs::remove_file(story.path()).expect("it is removed");
    story.write("{\"type\":\"session\",\"id\":\"s2\",\"cwd\":\"/q\"}\n");
    story.turns(1, 10);
    scan.update(&story.path(), story.length(), pi::read).expect("it can be read");
    assert_eq!((scan.messages, scan.about.id.as_deref()), (2, Some("s2")));
}

#[test]
fn the_newest_messages_are_found_however_far_back_they_begin() {
    let mut story = Story::new();
    story.turns(60, 30_000);
    let all = newest(&story.path(), None, 500, pi::read).expect("it can be read");
    assert_eq!(all.len(), 120);
    let few = newest(&story.path(), None, 4, pi::read).expect("it can be read");
    assert!(few.len() >= 4 && few.len() < 40, "{}", few.len());
    assert_eq!(few.last().map(|entry| entry.id.as_str()), Some("a59"));
    assert_eq!(messages(&few).last().map(|message| &message.content[..7]), Some("tell 59"));
}

#[test]
fn a_conversation_of_any_length_is_followed_without_a_gap_or_a_double() {
    for before in [0, 80, 700] {
        let mut story = Story::new();
        story.turns(before, 10);
        let taken = take(&story.path(), 100, pi::read).expect("it can be read");
        assert_eq!((taken.total, taken.prompts), (before * 2, before));
        let mut cursor = taken.cursor;
        assert_eq!(story.follow(&mut cursor, 100), Vec::<String>::new());
        story.turns(333, 10);
        assert_eq!(story.follow(&mut cursor, 100), ids(before..before + 333));
        assert_eq!(story.follow(&mut cursor, 100), Vec::<String>::new());
    }
}

#[test]
fn a_batch_ends_before_a_prompt_so_that_no_turn_is_torn() {
    let mut story = Story::new();
    story.turns(10, 10);
    let first = story.since(&Cursor::default(), 5);
    assert!(!first.is_end);
    assert_eq!((first.messages, first.entries.last().map(|entry| entry.id.as_str())), (6, Some("a2")));
}

#[test]
fn what_is_still_being_written_comes_when_it_is_whole() {
    let mut story = Story::new();
    let mut cursor = Cursor::default();
    story.follow(&mut cursor, 100);
    story.write(r#"{"type":"message","id":"x","message":{"role":"user","content":"#);
    assert_eq!(story.follow(&mut cursor, 100), Vec::<String>::new());
    story.write("\"hi\"}}\n");
    story.turns(1, 10);
    assert_eq!(story.follow(&mut cursor, 100), ["x", "u0", "a0"]);
}

#[test]
fn of_a_file_that_was_written_anew_only_the_news_is_told() {
    let mut story = Story::new();
    story.turns(30, 10);
    let mut cursor = Cursor::default();
    story.follow(&mut cursor, 100);
    let content = std::fs::read_to_string(story.path()).expect("it can be read");
    // Its beginning was thrown away, as a compaction might.
    let kept: Vec<&str> = content.lines().skip(31).collect();
    std::fs::write(story.path(), kept.join("\n") + "\n").expect("it can be written");
    story.turns(2, 10);
    assert_eq!(story.follow(&mut cursor, 100), ids(30..32));
    // Not even the last entry is there any more: the time tells.
    std::fs::write(story.path(), "").expect("it can be written");
    story.said = 30;
    story.turns(1, 10);
    story.said = 33;
    story.turns(1, 10);
    assert_eq!(story.follow(&mut cursor, 100), ids(33..34));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// However the file grows, and whatever the size of the batches, every entry comes once and in its order.
    #[test]
    fn nothing_comes_twice_and_nothing_is_lost(
        growth in prop::collection::vec((0u64..7, 0usize..400, any::<bool>()), 1..8), most in 1usize..9,
    ) {
        let mut story = Story::new();
        let mut cursor = Cursor::default();
        let mut came = Vec::new();
        let mut torn = false;
        for (turns, bytes, tear) in growth {
            if std::mem::take(&mut torn) {
                story.write("\"}\n");
            }
            story.turns(turns, bytes);
            if tear {
                story.write("{\"type\":\"label\",\"name\":\"");
                torn = true;
            }
            came.extend(story.follow(&mut cursor, most));
        }
        prop_assert_eq!(came, ids(0..story.said));
    }
}
