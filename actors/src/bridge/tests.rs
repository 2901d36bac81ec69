//! What of a session is said, and what buttons and words come to.

use serde_json::{Value, json};

use super::cards::{self, Step};
use super::markup::Dialect;
use super::record::{Act, Card, Choice, Lane, Slot, Target};
use super::telegram::markup::Html;
use super::turn::{Effect, Turn};
use super::typed::{self, Typed};
use crate::domain::approval::{Answer, Approval, ApprovalState, Scope};
use crate::domain::event::Envelope;
use crate::domain::time::Stamp;

fn event(seq: u64, kind: &str, data: Value) -> Envelope {
    Envelope {
        session_id: "sess_000000000000".into(),
        ts: Stamp::from_unix(1_700_000_000 + seq as i64),
        seq,
        kind: kind.into(),
        data,
    }
}

fn words(effects: &[Effect]) -> Vec<String> {
    let doc = |effect: &Effect| match effect {
        Effect::Segment(doc, ..) | Effect::Note(doc, ..) => {
            doc.render(&Html).into_iter().map(|text| text.plain).collect::<Vec<_>>().join("|")
        }
        other => format!("{other:?}"),
    };
    effects.iter().map(doc).collect()
}

fn hear(turn: &mut Turn, events: &[(&str, Value)]) -> Vec<String> {
    let heard = events.iter().enumerate();
    heard
        .flat_map(|(at, (kind, data))| words(&turn.hear(&event(at as u64 + 1, kind, data.clone()))))
        .collect()
}

#[test]
fn a_turn_is_one_growing_text_and_its_final_words_are_not_said_twice() {
    let mut turn = Turn::new("telegram", false);
    let said = hear(
        &mut turn,
        &[
            ("turn_started", json!({ "turn": 1 })),
            ("output", json!({ "text": "I look " })),
            ("output", json!({ "text": "around." })),
            ("tool_call", json!({ "tool_name": "Bash", "input": { "command": "ls -l" } })),
            ("output", json!({ "text": "sub", "parent_tool_use_id": "p" })),
        ],
    );
    assert_eq!(said, Vec::<String>::new());
    let growing = turn.segment().expect("a text").render(&Html);
    assert_eq!(growing[0].plain, "I look around.\n\n🔧 Bash ls -l");
    let said = hear(
        &mut turn,
        &[
            ("output", json!({ "text": "All\nis well." })),
            ("output_final", json!({ "text": "All is well." })),
            ("turn_finished", json!({ "ok": true, "cost_usd": 0.5 })),
        ],
    );
    assert_eq!(said, ["I look around.\n\n🔧 Bash ls -l\n\nAll\nis well."]);
}

#[test]
fn a_final_text_that_was_never_streamed_is_said() {
    let mut turn = Turn::new("telegram", false);
    let said = hear(&mut turn, &[("turn_started", json!({})), ("output_final", json!({ "text": "42" }))]);
    assert_eq!(said, ["42"]);
}

#[test]
fn a_persons_words_stand_in_the_chat_only_when_they_were_not_written_there() {
    let mut turn = Turn::new("telegram", false);
    let by = |surface: &str| json!({ "type": "person", "surface": surface, "name": "Alice" });
    let here = hear(&mut turn, &[("user_input", json!({ "text": "a", "by": by("telegram") }))]);
    let there = hear(&mut turn, &[("user_input", json!({ "text": "b", "by": by("web") }))]);
    assert_eq!((here, there), (Vec::new(), vec!["👤 Alice (web)\nb".to_owned()]));
}

#[test]
fn an_approval_stands_below_what_was_written_before_it() {
    let mut turn = Turn::new("telegram", false);
    let said = hear(
        &mut turn,
        &[
            ("output", json!({ "text": "May I?" })),
            ("permission_request", json!({ "approval_id": "perm_1" })),
        ],
    );
    assert_eq!(said.len(), 2);
    assert!(said[0] == "May I?" && said[1].starts_with("Asked"), "{said:?}");
}

fn approval(kind: &str, input: Value, questions: Value) -> Approval {
    serde_json::from_value(json!({
        "id": "perm_000000000001", "session_id": "sess_000000000000", "request_id": "r", "request": "r",
        "kind": kind, "tool_name": "Bash", "tool_input": input, "title": "Bash: x", "directory": "/p",
        "diff": null, "questions": questions, "reason": null, "suggestions": null, "tool_use_id": null,
        "subagent": null, "can_change_input": false, "run": null, "turn": 1, "state": "open",
        "requested_at": "2026-01-01T00:00:00Z", "resolved_at": null, "resolved_by": null, "answer": null,
        "delivered_at": null, "outcome": null,
    }))
    .expect("an approval")
}

fn card() -> Card {
    Card {
        key: "abcdefghij".into(),
        approval: "perm_000000000001".into(),
        message: None,
        at: None,
        choices: Vec::new(),
        picks: Default::default(),
        done: false,
    }
}

fn traits() -> super::platform::Traits {
    use super::platform::Platform;
    let settings = super::telegram::TelegramSettings {
        api_url: "http://127.0.0.1:9".into(),
        token: "t".into(),
        group: -1,
    };
    super::telegram::Telegram::new(&settings).expect("a client").traits().clone()
}

#[test]
fn a_card_fits_whatever_is_asked_and_its_buttons_tell_nothing() {
    let long = "rm -rf / ; ".repeat(5_000);
    for input in [json!({ "command": long }), json!({ "a": long, "b": [long] }), json!(null), json!("x")] {
        let asked = approval("tool", input, json!([]));
        let (message, choices) = cards::open(&asked, &card(), &Html, &traits());
        assert!(Html.size(&message.text.markup) <= 4_096);
        let buttons: Vec<_> = message.buttons.iter().flatten().collect();
        assert_eq!(buttons.len(), choices.len());
        assert!(buttons.iter().all(|button| button.data.len() <= 24 && !button.data.contains("perm")));
    }
    let asked = approval("tool", json!({ "command": long }), json!([]));
    let (_, choices) = cards::open(&asked, &card(), &Html, &traits());
    assert!(choices.contains(&Choice::Whole), "what is cut can be seen whole");
    assert!(cards::whole(&asked).1.contains(&long));
}

#[test]
fn what_hides_in_a_command_is_shown() {
    let asked = approval("tool", json!({ "command": "ls \u{202e}x" }), json!([]));
    let (message, _) = cards::open(&asked, &card(), &Html, &traits());
    assert!(message.text.plain.contains("⟦U+202E⟧"), "{}", message.text.plain);
}

#[test]
fn words_answer_only_what_they_can() {
    let tool = approval("tool", json!({}), json!([]));
    let step = |text: &str, replies| cards::typed(&tool, &mut card(), typed::answer(text), text, replies);
    let allowed = |scope| {
        Some(Ok(Step::Answer(Answer::Allow { scope, updated_input: None, answers: None, message: None })))
    };
    assert_eq!(step("allow", false), allowed(Scope::Once));
    assert_eq!(step("allow all", false), allowed(Scope::All30m));
    assert_eq!(step("go ahead", false), None);
    assert!(matches!(step("go ahead", true), Some(Err(_))), "a reply that is no answer answers nothing");
    let unknown = approval("unknown", json!({}), json!([]));
    let all = cards::typed(&unknown, &mut card(), Some(Typed::AllowAll), "allow all", false);
    assert!(matches!(all, Some(Err(_))));
    let question = json!([{ "question": "Which?", "options": [{ "label": "A" }, { "label": "B" }] }]);
    let asked = approval("question", json!({}), question);
    let step = |text: &str, replies| cards::typed(&asked, &mut card(), typed::answer(text), text, replies);
    for text in ["2", "b"] {
        let Some(Ok(Step::Answer(Answer::Allow { answers: Some(answers), .. }))) = step(text, false) else {
            panic!("{text} is an answer")
        };
        assert_eq!(answers["Which?"], ["B"]);
    }
    assert_eq!(step("3", false), None);
    assert_eq!(step("yes", false), None, "a yes is no choice");
    assert!(matches!(step("C, really", true), Some(Ok(Step::Answer(_)))));
}

#[test]
fn an_answer_takes_the_place_of_a_question_that_was_not_sent_yet() {
    let asked = approval("tool", json!({ "command": "x" }), json!([]));
    let (message, _) = cards::open(&asked, &card(), &Html, &traits());
    let slot = || Some(Slot::Card(asked.id.clone()));
    let mut lane = Lane::default();
    lane.cards.push(card());
    let no = lane.push(Act::Send { message: message.clone(), slot: slot() }, "", Stamp::from_unix(1));
    let answered = Approval { state: ApprovalState::Denied, ..asked.clone() };
    let mut settled = lane.clone();
    settled.show_card(&asked.id, cards::settled(&answered, &Html), None, Stamp::from_unix(2));
    assert!(
        matches!(&settled.outbox[0].act, Act::Send { message, .. } if message.buttons.is_empty()),
        "the buttons are never shown"
    );
    // While it is being sent, the answer follows as an edit.
    lane.show_card(&asked.id, cards::settled(&answered, &Html), Some(no), Stamp::from_unix(2));
    assert_eq!(lane.outbox.len(), 2);
    assert!(matches!(&lane.outbox[1].act, Act::Edit { target: Target::Card(id), .. } if *id == asked.id));
}
