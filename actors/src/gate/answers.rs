//! Answers: which fit which question, which are the same, and what they reach.

use std::path::Path;

use serde_json::Value;

use super::messages::{ApprovalRef, GateError};
use crate::domain::approval::{Answer, Approval, ApprovalKind, Scope};

pub(super) fn yes() -> Answer {
    Answer::Allow { scope: Scope::Once, updated_input: None, answers: None, message: None }
}

pub(super) fn name_of(which: &ApprovalRef) -> String {
    match which {
        ApprovalRef::Id(id) => id.as_str().to_owned(),
        ApprovalRef::Request(request) => request.clone(),
    }
}

/// The same answer again succeeds; a different one is refused with who answered and when.
pub(super) fn same_or_refused(approval: Approval, answer: &Answer) -> Result<Approval, GateError> {
    let same = match (&approval.answer, answer) {
        (Some(Answer::Deny { .. }), Answer::Deny { .. }) => true,
        (
            Some(Answer::Allow { scope: a, updated_input: b, answers: c, .. }),
            Answer::Allow { scope: x, updated_input: y, answers: z, .. },
        ) => a == x && b == y && c == z,
        _ => false,
    };
    if same { Ok(approval) } else { Err(GateError::AlreadyAnswered(Box::new(approval))) }
}

/// The peer's clients answer a question by a changed input with `answers` in it (question to label); here that is
/// the same as giving the answers themselves.
pub(super) fn with_answers_in_place(approval: &Approval, answer: Answer) -> Answer {
    let Answer::Allow { scope, updated_input: Some(input), answers: None, message } = answer else {
        return answer;
    };
    let given =
        input.get("answers").and_then(Value::as_object).filter(|_| approval.kind == ApprovalKind::Question);
    let Some(given) = given else {
        return Answer::Allow { scope, updated_input: Some(input), answers: None, message };
    };
    let words = |value: &Value| match value {
        Value::String(one) => vec![one.clone()],
        Value::Array(several) => several.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    };
    let answers = given.iter().map(|(question, value)| (question.clone(), words(value))).collect();
    Answer::Allow { scope, updated_input: None, answers: Some(answers), message }
}

/// Whether the answer fits the question.
pub(super) fn check(approval: &Approval, answer: &Answer) -> Result<(), GateError> {
    let refuse = |text: &str| Err(GateError::Invalid(text.to_owned()));
    let Answer::Allow { scope, updated_input, answers, .. } = answer else { return Ok(()) };
    if approval.kind != ApprovalKind::Tool && *scope != Scope::Once {
        return refuse("only a tool can be allowed for more than once: answer this one alone");
    }
    if let Some(input) = updated_input {
        if !approval.can_change_input {
            return refuse("this agent cannot run with a changed input: allow or deny it as it is");
        }
        if !input.is_object() {
            return refuse("updated_input must be an object like tool_input");
        }
    }
    match (approval.kind, answers) {
        (ApprovalKind::Question, None) => {
            return refuse("this is a question: give `answers`, each question's text with its choice");
        }
        (ApprovalKind::Question, Some(answers)) => {
            for (question, chosen) in answers {
                let Some(known) = approval.questions.iter().find(|known| known.question == *question) else {
                    return Err(GateError::Invalid(format!("the agent did not ask \"{question}\"")));
                };
                if chosen.is_empty() || chosen.iter().any(|choice| choice.trim().is_empty()) {
                    return Err(GateError::Invalid(format!("\"{question}\" has an empty answer")));
                }
                if chosen.len() > 1 && !known.multi_select {
                    return Err(GateError::Invalid(format!("\"{question}\" takes one answer")));
                }
            }
            if answers.is_empty() {
                return refuse("give an answer to at least one of the questions");
            }
        }
        (_, Some(_)) => return refuse("this is no question: `answers` has no place here"),
        _ => {}
    }
    Ok(())
}

pub(super) fn common_directory(approval: &Approval) -> Result<String, GateError> {
    let refuse = || {
        Err(GateError::Invalid(
            "only a file change whose files are known can be allowed for a directory".to_owned(),
        ))
    };
    if !approval.is_edit {
        return refuse();
    }
    let mut parents = approval.paths.iter().map(|path| Path::new(path).parent());
    let Some(Some(mut common)) = parents.next() else { return refuse() };
    for parent in parents {
        let Some(parent) = parent else { return refuse() };
        while !parent.starts_with(common) {
            let Some(up) = common.parent() else { return refuse() };
            common = up;
        }
    }
    if common.parent().is_none() {
        return refuse();
    }
    Ok(common.to_string_lossy().into_owned())
}
