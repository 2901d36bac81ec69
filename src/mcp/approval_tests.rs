//! What a question's end means to the agent that asked.

use serde_json::json;

use super::*;

fn approval(more: Value) -> Approval {
    let mut whole = json!({
        "id": "perm_1", "session_id": "sess_0123456789ab", "request_id": "req_1", "request": "req_1",
        "kind": "tool", "tool_name": "Deploy", "tool_input": {"title": "Deploy", "description": "to production"},
        "title": "Deploy: to production", "directory": "", "questions": [], "can_change_input": true, "turn": 1,
        "state": "open", "requested_at": "2026-01-02T03:04:05Z",
    });
    for (name, value) in more.as_object().expect("an object") {
        whole[name] = value.clone();
    }
    serde_json::from_value(whole).expect("an approval")
}

fn asked(title: &str, description: &str, options: &[&str]) -> RequestApproval {
    RequestApproval {
        session_id: "s".into(),
        title: Some(title.into()),
        description: Some(description.into()),
        options: options.iter().map(|option| (*option).to_owned()).collect(),
        ..RequestApproval::default()
    }
}

#[test]
fn only_a_yes_to_exactly_what_was_asked_is_a_yes() {
    let yes = json!({"state": "allowed", "answer": {"decision": "allow", "message": "go"}});
    let told = decision(&approval(yes));
    assert_eq!((told.decision, told.allowed), (Outcome::Allowed, Some(true)));
    assert_eq!(told.message.as_deref(), Some("go"));
    for (what, outcome) in [
        (json!({"state": "denied", "answer": {"decision": "deny", "message": "no"}}), Outcome::Denied),
        (json!({"state": "expired", "answer": {"decision": "deny"}}), Outcome::Expired),
        (json!({"state": "cancelled"}), Outcome::Withdrawn),
        // What should not be there is no yes either.
        (json!({"state": "allowed"}), Outcome::Denied),
        (json!({"state": "allowed", "answer": {"decision": "deny"}}), Outcome::Denied),
        (json!({"state": "cancelled", "answer": {"decision": "allow"}}), Outcome::Withdrawn),
        (json!({"state": "expired", "answer": {"decision": "allow"}}), Outcome::Expired),
        (json!({"state": "allowed", "answer": {"decision": "allow", "answers": {}}}), Outcome::Denied),
    ] {
        let told = decision(&approval(what.clone()));
        assert_eq!((told.decision, told.allowed), (outcome, Some(false)), "{what}");
    }
    assert_eq!(open_still(&approval(json!({}))).allowed, Some(false));
}

#[test]
fn a_choice_and_a_changed_input_are_no_plain_yes() {
    let questions = json!([{"question": "How?", "options": [{"label": "Fast"}, {"label": "Not at all"}]}]);
    let chosen = |choice: &str| {
        decision(&approval(json!({
            "kind": "question", "questions": questions, "state": "allowed",
            "answer": {"decision": "allow", "answers": {"How?": [choice]}},
        })))
    };
    let told = chosen("Not at all");
    assert_eq!((told.decision, told.allowed), (Outcome::Chosen, None));
    assert_eq!(told.choice.as_deref(), Some("Not at all"));
    let told = chosen("ask me tomorrow");
    assert_eq!((told.decision, told.allowed), (Outcome::Answered, None));

    let changed = |input: Value| {
        let answer = json!({"decision": "allow", "updated_input": input});
        decision(&approval(json!({"state": "allowed", "answer": answer})))
    };
    let told = changed(json!({"title": "Deploy", "description": "to staging"}));
    assert_eq!((told.decision, told.allowed), (Outcome::Answered, None));
    assert_eq!(told.updated_input, Some(json!({"title": "Deploy", "description": "to staging"})));
    assert_eq!(changed(json!({"title": "Deploy", "description": "to production"})).allowed, Some(true));
}

#[test]
fn without_options_it_is_a_plain_yes_or_no_and_with_them_a_question() {
    let (name, input) = question(&asked("Deploy", "to production", &[])).expect("a question");
    assert_eq!((name.as_str(), &input["description"]), ("Deploy", &json!("to production")));
    let (name, input) = question(&asked("Deploy", "How?", &["Fast", "Slow"])).expect("a question");
    assert_eq!(name, "AskUserQuestion");
    assert_eq!(
        input,
        json!({"questions": [{"header": "Deploy", "question": "How?", "options": [{"label": "Fast"}, {"label": "Slow"}]}]})
    );
    for wrong in [asked("", "b", &[]), asked("a", " ", &[]), asked("a", "b", &["x", " "])] {
        assert!(matches!(question(&wrong), Err(ToolError::Arguments(_))), "{wrong:?}");
    }
}

#[test]
fn who_goes_on_waiting_cannot_change_the_question() {
    let known = approval(json!({}));
    assert_eq!(same_question(&known, &RequestApproval::default()), Ok(()));
    assert_eq!(same_question(&known, &asked("Deploy", "to production", &[])), Ok(()));
    assert!(same_question(&known, &asked("Deploy", "to the moon", &[])).is_err());
    assert!(same_question(&known, &asked("Deploy", "to production", &["Yes"])).is_err());
}
