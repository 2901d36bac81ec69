//! The book's rules, each as a sentence.

use serde_json::json;

use super::book::{AskedIn, Book, Change};
use super::messages::{ApprovalRef, GateError};
use crate::domain::approval::*;
use crate::domain::event::EventType;
use crate::domain::ids::{RunId, SessionId};
use crate::domain::time::Stamp;

fn person() -> Actor {
    Actor::Person { surface: "cli".into(), name: None }
}

fn book(mode: Option<u8>) -> Book {
    Book::new(SessionId::from("sess_000000000000"), "/p".into(), mode, Vec::new(), Vec::new())
}

fn ask(request: &str, command: &str) -> Ask {
    Ask {
        request: request.into(),
        kind: ApprovalKind::Tool,
        tool_name: "Bash".into(),
        tool_input: json!({ "command": command }),
        title: format!("Bash: {command}"),
        diff: None,
        paths: Vec::new(),
        is_edit: false,
        questions: Vec::new(),
        reason: None,
        suggestions: None,
        tool_use_id: Some(format!("tool-{request}")),
        subagent: None,
        can_change_input: true,
    }
}

fn question(request: &str) -> Ask {
    let options =
        ["red", "blue"].map(|label| QuestionOption { label: label.into(), description: String::new() });
    Ask {
        kind: ApprovalKind::Question,
        tool_name: "AskUserQuestion".into(),
        questions: vec![Question {
            question: "Which?".into(),
            header: String::new(),
            multi_select: false,
            options: options.into(),
        }],
        ..ask(request, "")
    }
}

fn from(run: &str) -> AskedIn {
    AskedIn { run: Some(RunId::from(run)), turn: 1, request_id: None, said: None }
}

fn at(seconds: i64) -> Stamp {
    Stamp::from_unix(seconds)
}

fn allow(scope: Scope) -> Answer {
    Answer::Allow { scope, updated_input: None, answers: None, message: None }
}

fn deny(message: &str) -> Answer {
    Answer::Deny { message: Some(message.into()) }
}

fn kinds(change: &Change) -> Vec<EventType> {
    change.drafts.iter().map(|draft| draft.kind).collect()
}

/// The id of the approval that this change opened or answered first.
fn id_in(change: &Change) -> ApprovalRef {
    let id = change.drafts[0].data["approval_id"].as_str().expect("an approval id");
    ApprovalRef::Id(id.into())
}

#[test]
fn a_question_is_open_until_it_is_answered_and_then_goes_to_the_agent_once() {
    let mut book = book(None);
    let opened = book.asked(ask("r1", "ls"), Vec::new(), from("run"), at(0));
    assert_eq!(kinds(&opened), [EventType::PermissionRequest]);
    assert!(opened.deliver.is_empty(), "nothing goes to the agent before somebody answered");
    let (approval, change) = book.answer(&id_in(&opened), allow(Scope::Once), person(), at(5)).expect("open");
    let change = change.expect("a first answer changes something");
    assert_eq!(approval.state, ApprovalState::Allowed);
    assert_eq!(kinds(&change), [EventType::PermissionResolved]);
    assert_eq!(change.drafts[0].data["resolved_by"], "user");
    assert_eq!(change.deliver.len(), 1);
    assert_eq!(book.undelivered(&RunId::from("run")).len(), 1);
    assert_eq!(kinds(&book.delivered(&approval.id, at(6))), [EventType::PermissionDelivered]);
    assert!(kinds(&book.delivered(&approval.id, at(7))).is_empty(), "delivered once");
    assert!(book.undelivered(&RunId::from("run")).is_empty());
    let ran = book.tool_result("tool-r1", false, at(8));
    assert_eq!(ran.drafts[0].data["outcome"], "ran");
}

#[test]
fn the_same_answer_again_is_a_no_op_and_another_one_names_who_was_first() {
    let mut book = book(None);
    let id = id_in(&book.asked(ask("r1", "ls"), Vec::new(), from("run"), at(0)));
    book.answer(&id, deny("not now"), person(), at(5)).expect("open");
    let (_, change) = book.answer(&id, deny("not now"), person(), at(6)).expect("the same");
    assert!(change.is_none());
    let refused = book.answer(&id, allow(Scope::Once), person(), at(7)).expect_err("another answer");
    assert!(matches!(refused, GateError::AlreadyAnswered(_)));
    let text = refused.to_string();
    assert!(text.contains("denied by cli at 1970-01-01T00:00:05Z"), "{text}");
}

#[test]
fn an_approval_that_nobody_knows_is_not_found() {
    let answered = book(None).answer(&ApprovalRef::Request("x".into()), allow(Scope::Once), person(), at(0));
    assert!(matches!(answered, Err(GateError::NotFound(_))));
}

#[test]
fn mode_two_answers_tools_at_once_but_never_a_question() {
    let mut book = book(Some(2));
    let tool = book.asked(ask("r1", "ls"), Vec::new(), from("run"), at(0));
    assert_eq!(kinds(&tool), [EventType::PermissionResolved]);
    assert_eq!(tool.drafts[0].data["resolved_by"], "auto");
    assert_eq!(tool.deliver.len(), 1);
    let asked = book.asked(question("r2"), Vec::new(), from("run"), at(0));
    assert_eq!(kinds(&asked), [EventType::PermissionRequest]);
}

#[test]
fn allowing_a_tool_covers_what_is_open_and_what_comes_but_not_other_tools() {
    let mut book = book(None);
    let first = book.asked(ask("r1", "ls"), Vec::new(), from("run"), at(0));
    book.asked(ask("r2", "pwd"), Vec::new(), from("run"), at(0));
    let (_, change) = book.answer(&id_in(&first), allow(Scope::Tool), person(), at(1)).expect("open");
    let change = change.expect("changed");
    assert_eq!(
        kinds(&change),
        [EventType::PermissionResolved, EventType::GrantAdded, EventType::PermissionResolved]
    );
    assert_eq!(change.deliver.len(), 2, "the one that was open is answered with it");
    let next = book.asked(ask("r3", "rm"), Vec::new(), from("run"), at(2));
    assert_eq!(kinds(&next), [EventType::PermissionResolved]);
    let other =
        book.asked(Ask { tool_name: "Write".into(), ..ask("r4", "") }, Vec::new(), from("run"), at(2));
    assert_eq!(kinds(&other), [EventType::PermissionRequest]);
}

#[test]
fn allow_all_ends_after_thirty_minutes_and_can_be_revoked_before() {
    let mut book = book(None);
    let first = book.asked(ask("r1", "ls"), Vec::new(), from("run"), at(0));
    book.answer(&id_in(&first), allow(Scope::All30m), person(), at(0)).expect("open");
    assert_eq!(
        kinds(&book.asked(ask("r2", "a"), Vec::new(), from("run"), at(1799))),
        [EventType::PermissionResolved]
    );
    assert_eq!(
        kinds(&book.asked(ask("r3", "b"), Vec::new(), from("run"), at(1800))),
        [EventType::PermissionRequest]
    );
    assert_eq!(kinds(&book.expire(None, at(1800))), [EventType::GrantEnded]);
    assert!(book.grants(at(1800)).is_empty());

    let again = book.asked(ask("r4", "c"), Vec::new(), from("run"), at(2000));
    book.answer(&id_in(&again), allow(Scope::All30m), person(), at(2000)).expect("open");
    let grant = book.grants(at(2001)).pop().expect("a grant");
    book.revoke(&grant.id, person()).expect("known");
    assert_eq!(
        kinds(&book.asked(ask("r5", "d"), Vec::new(), from("run"), at(2001))),
        [EventType::PermissionRequest]
    );
    assert!(matches!(book.revoke(&grant.id, person()), Err(GateError::NoGrant(_))));
}

#[test]
fn a_question_takes_choices_that_fit_and_nothing_else() {
    let mut book = book(None);
    let id = id_in(&book.asked(question("r1"), Vec::new(), from("run"), at(0)));
    let with = |answers: &[(&str, &[&str])]| Answer::Allow {
        scope: Scope::Once,
        updated_input: None,
        answers: Some(
            answers
                .iter()
                .map(|(question, given)| {
                    ((*question).to_owned(), given.iter().map(|one| (*one).to_owned()).collect())
                })
                .collect(),
        ),
        message: None,
    };
    for wrong in [
        allow(Scope::Once),
        allow(Scope::Tool),
        with(&[]),
        with(&[("What?", &["red"])]),
        with(&[("Which?", &["red", "blue"])]),
        with(&[("Which?", &[" "])]),
    ] {
        let refused = book.answer(&id, wrong.clone(), person(), at(1));
        assert!(matches!(refused, Err(GateError::Invalid(_))), "{wrong:?}");
    }
    let (approval, _) =
        book.answer(&id, with(&[("Which?", &["a word of my own"])]), person(), at(2)).expect("fits");
    assert_eq!(approval.state, ApprovalState::Allowed);
}

#[test]
fn after_a_crash_the_same_question_gets_the_answer_that_never_arrived_once() {
    let mut book = book(None);
    let id = id_in(&book.asked(ask("r1", "make"), Vec::new(), from("run-1"), at(0)));
    book.answer(&id, deny("no"), person(), at(1)).expect("open");
    book.run_ended(&RunId::from("run-1"));
    let again = book.asked(ask("r9", "make"), Vec::new(), from("run-2"), at(2));
    let resolved = again.drafts.iter().find(|draft| draft.kind == EventType::PermissionResolved);
    let resolved = resolved.expect("answered at once");
    assert_eq!(resolved.data["allowed"], false);
    assert_eq!(again.deliver[0].request, "r9");
    let third = book.asked(ask("r10", "make"), Vec::new(), from("run-2"), at(3));
    assert!(kinds(&third).contains(&EventType::PermissionRequest), "once, not for ever");
}

#[test]
fn after_a_crash_a_changed_input_is_a_new_question_in_place_of_the_old_one() {
    let mut book = book(None);
    let answered = id_in(&book.asked(ask("r1", "make"), Vec::new(), from("run-1"), at(0)));
    book.answer(&answered, allow(Scope::Once), person(), at(1)).expect("open");
    let open = id_in(&book.asked(ask("r2", "ls"), Vec::new(), from("run-1"), at(0)));
    let again = book.asked(ask("r3", "make install"), Vec::new(), from("run-2"), at(2));
    assert_eq!(
        kinds(&again),
        [EventType::PermissionOutcome, EventType::PermissionResolved, EventType::PermissionRequest]
    );
    assert_eq!(again.drafts[1].data["resolved_by"], "cancelled");
    assert!(again.deliver.is_empty());
    assert!(matches!(book.answer(&open, allow(Scope::Once), person(), at(3)), Err(GateError::NotFound(_))));
}

#[test]
fn a_withdrawn_question_cannot_be_answered() {
    let mut book = book(None);
    let id = id_in(&book.asked(ask("r1", "ls"), Vec::new(), from("run"), at(0)));
    let run = RunId::from("run");
    assert!(kinds(&book.withdrew("r1", Some(&RunId::from("other")), at(1))).is_empty());
    let change = book.withdrew("r1", Some(&run), at(1));
    assert_eq!(change.drafts[0].data["resolved_by"], "cancelled");
    assert!(book.answer(&id, allow(Scope::Once), person(), at(2)).is_err());
}

#[test]
fn a_time_limit_denies() {
    let mut book = book(None);
    book.asked(ask("r1", "ls"), Vec::new(), from("run"), at(0));
    assert!(kinds(&book.expire(Some(60), at(59))).is_empty());
    let late = book.expire(Some(60), at(60));
    assert_eq!(late.drafts[0].data["resolved_by"], "timeout");
    assert_eq!(late.drafts[0].data["allowed"], false);
    assert_eq!(late.deliver.len(), 1);
}

#[test]
fn the_same_request_of_an_external_agent_replaces_the_earlier_one() {
    let mut book = book(None);
    let external = || AskedIn { run: None, turn: 0, request_id: Some("r1".into()), said: None };
    book.asked(ask("r1", "ls"), Vec::new(), external(), at(0));
    let second = book.asked(ask("r1", "pwd"), Vec::new(), external(), at(1));
    assert_eq!(kinds(&second), [EventType::PermissionResolved, EventType::PermissionRequest]);
    let which = ApprovalRef::Request("r1".into());
    let (approval, _) = book.answer(&which, allow(Scope::Once), person(), at(2)).expect("the newer one");
    assert_eq!(approval.tool_input, json!({ "command": "pwd" }));
    let again = book.answer(&which, allow(Scope::Once), person(), at(3));
    assert!(matches!(again, Err(GateError::NotFound(_))), "an answered one is settled for an external agent");
}

#[test]
fn a_directory_is_allowed_only_for_edits_of_known_files_and_never_the_root() {
    let mut book = book(None);
    let edit = |request: &str| Ask { is_edit: true, tool_name: "Write".into(), ..ask(request, "") };
    let bash = id_in(&book.asked(ask("r1", "ls"), Vec::new(), from("run"), at(0)));
    assert!(matches!(
        book.answer(&bash, allow(Scope::Directory), person(), at(1)),
        Err(GateError::Invalid(_))
    ));
    let root = id_in(&book.asked(edit("r2"), vec!["/file".into()], from("run"), at(0)));
    assert!(matches!(
        book.answer(&root, allow(Scope::Directory), person(), at(1)),
        Err(GateError::Invalid(_))
    ));
    let inside = id_in(&book.asked(edit("r3"), vec!["/p/src/a".into()], from("run"), at(0)));
    book.answer(&inside, allow(Scope::Directory), person(), at(1)).expect("a file below a directory");
    let next = book.asked(edit("r4"), vec!["/p/src/deep/b".into()], from("run"), at(2));
    assert_eq!(kinds(&next), [EventType::PermissionResolved]);
    let outside = book.asked(edit("r5"), vec!["/p/c".into()], from("run"), at(2));
    assert_eq!(kinds(&outside), [EventType::PermissionRequest]);
}

#[test]
fn a_question_is_answered_by_a_changed_input_too_as_the_peers_clients_do() {
    let mut book = book(None);
    let asked = Ask { can_change_input: false, ..question("r1") };
    let id = id_in(&book.asked(asked, Vec::new(), from("run"), at(0)));
    let input = json!({ "questions": [], "answers": { "Which?": "blue" } });
    let answer =
        Answer::Allow { scope: Scope::Once, updated_input: Some(input), answers: None, message: None };
    let (approval, _) = book.answer(&id, answer.clone(), person(), at(1)).expect("it fits");
    let Some(Answer::Allow { answers: Some(answers), .. }) = approval.answer else { panic!("no answers") };
    assert_eq!(answers["Which?"], ["blue"]);
}
