use super::*;

fn entry(id: &str, parent: Option<&str>, role: Role, pieces: Vec<Piece>) -> Entry {
    let parent = parent.map(str::to_owned);
    Entry { id: id.into(), parent, group: None, at: Some(1_000), role, pieces, by_hand: false }
}

fn says(id: &str, parent: Option<&str>, role: Role, text: &str) -> Entry {
    entry(id, parent, role, vec![Piece::Text(text.into())])
}

fn call(id: &str) -> Piece {
    Piece::Call { id: id.into(), name: "Bash".into(), input: json!({ "command": "ls" }) }
}

fn result(id: &str, text: &str) -> Piece {
    Piece::Result { id: id.into(), text: text.into(), is_error: false }
}

#[test]
fn parts_of_one_message_are_put_together_and_results_go_to_their_calls() {
    let part =
        |id: &str, piece| Entry { group: Some("m1".into()), ..entry(id, None, Role::Assistant, vec![piece]) };
    let entries = [
        says("u", None, Role::User, "do it"),
        part("a", Piece::Thinking("hm".into())),
        part("b", Piece::Text("yes".into())),
        part("c", call("t1")),
        entry("r", None, Role::User, vec![result("t1", "out")]),
        part("d", call("t2")),
        says("e", None, Role::Assistant, "done"),
    ];
    let messages = messages(&entries);
    let words: Vec<_> = messages.iter().map(|message| (message.role, message.content.as_str())).collect();
    assert_eq!(words, [(Role::User, "do it"), (Role::Assistant, "yes"), (Role::Assistant, "done")]);
    assert_eq!(messages[1].thinking.as_deref(), Some("hm"));
    let results: Vec<_> = messages[1].tool_calls.iter().map(|tool| tool.result.as_deref()).collect();
    assert_eq!(results, [Some("out"), None]);
}

#[test]
fn reasoning_goes_with_the_words_after_it_and_a_call_with_those_before_it() {
    let agent = |piece| entry("", None, Role::Assistant, vec![piece]);
    let (think, say) = (|| agent(Piece::Thinking("hm".into())), |text: &str| agent(Piece::Text(text.into())));
    let entries = [
        says("", None, Role::User, "do it"),
        think(),
        think(),
        say("first"),
        agent(call("t1")),
        entry("", None, Role::User, vec![result("t1", "out")]),
        agent(call("t2")),
        think(),
        say("last"),
        say("and more"),
    ];
    let messages = messages(&entries);
    let shown: Vec<_> = messages
        .iter()
        .map(|message| (message.content.as_str(), message.thinking.as_deref(), message.tool_calls.len()))
        .collect();
    let expected =
        [("do it", None, 0), ("first", Some("hm\nhm"), 2), ("last", Some("hm"), 0), ("and more", None, 0)];
    assert_eq!(shown, expected);
    let silent = [says("", None, Role::User, "x"), agent(call("t"))];
    assert_eq!(super::messages(&silent).len(), 2, "a call without any words is a message of its own");
}

#[test]
fn the_last_words_before_the_person_speaks_again_are_the_answer() {
    let entries = [
        says("1", None, Role::User, "a"),
        says("2", None, Role::Assistant, "step"),
        entry("3", None, Role::Assistant, vec![Piece::Text("answer".into()), call("t")]),
        says("4", None, Role::User, "b"),
        says("5", None, Role::Assistant, "last"),
    ];
    let drafts = drafts(&entries);
    let kinds: Vec<_> = drafts
        .iter()
        .map(|draft| (draft.kind.as_str(), draft.data["kind"].as_str().unwrap_or_default()))
        .collect();
    assert_eq!(
        kinds,
        [
            ("user_input", ""),
            ("output", "step"),
            ("output", "final"),
            ("tool_call", ""),
            ("user_input", ""),
            ("output", "final")
        ]
    );
    assert!(drafts.iter().all(|draft| draft.data["is_history"] == true));
    assert_eq!(drafts[0].at.map(Stamp::unix_millis), Some(1_000));
}

#[test]
fn only_the_branch_that_is_gone_on_with_is_shown() {
    let entries = vec![
        says("1", None, Role::User, "a"),
        says("2", Some("1"), Role::Assistant, "left"),
        says("3", Some("x"), Role::User, "again"),
        says("4", Some("3"), Role::Assistant, "kept"),
    ];
    let mut links: HashMap<String, Option<String>> =
        entries.iter().map(|entry| (entry.id.clone(), entry.parent.clone())).collect();
    links.insert("x".into(), Some("1".into()));
    let ids = |entries: Vec<Entry>| entries.into_iter().map(|entry| entry.id).collect::<Vec<_>>();
    assert_eq!(ids(branch(entries.clone(), &links)), ["1", "3", "4"]);
    links.remove("x");
    assert_eq!(ids(branch(entries.clone(), &links)), ["1", "2", "3", "4"], "a gap hides nothing");
    links.insert("1".into(), Some("4".into()));
    links.insert("x".into(), Some("1".into()));
    assert_eq!(ids(branch(entries, &links)), ["1", "3", "4"], "a ring ends");
}

#[test]
fn of_tools_that_ran_side_by_side_no_result_is_lost() {
    let entries = vec![
        entry("1", None, Role::Assistant, vec![call("t1")]),
        entry("2", Some("1"), Role::Assistant, vec![call("t2")]),
        entry("3", Some("1"), Role::User, vec![result("t1", "one")]),
        entry("4", Some("2"), Role::User, vec![result("t2", "two")]),
        says("5", Some("4"), Role::Assistant, "ok"),
    ];
    let links = entries.iter().map(|entry| (entry.id.clone(), entry.parent.clone())).collect();
    assert_eq!(branch(entries, &links).len(), 5);
}

#[test]
fn notes_of_the_program_are_no_prompts() {
    for (text, is_prompt) in [
        ("fix it", true),
        ("  ", false),
        ("[Request interrupted by user]", false),
        ("<system-reminder>x", false),
    ] {
        assert_eq!(says("1", None, Role::User, text).is_prompt(), is_prompt, "{text}");
    }
    assert!(!says("1", None, Role::Assistant, "x").is_prompt());
    assert_eq!(shown_prompt("a\n b"), "a b");
    assert_eq!(shown_prompt(&"é".repeat(500)).chars().count(), 200);
}

#[test]
fn what_is_too_long_is_cut_and_said_to_be() {
    let long = "é".repeat(LONGEST_TEXT);
    let drafts =
        drafts(&[says("1", None, Role::User, &long), entry("2", None, Role::User, vec![result("t", &long)])]);
    assert!(drafts.iter().all(|draft| draft.data["truncated"] == true));
    assert!(drafts[1].data["text"].as_str().is_some_and(|text| text.len() <= LONGEST_RESULT));
    let input = short_input(&json!({ "content": long, "path": "/p", "list": [long] }));
    assert_eq!((input["path"].as_str(), &input["list"]), (Some("/p"), &Value::Null));
    assert!(input["content"].as_str().is_some_and(|text| text.len() <= LONGEST_RESULT));
}
