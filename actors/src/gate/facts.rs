//! The gate's events: what is told of an approval.

use serde_json::{Value, json};

use crate::domain::approval::{Actor, Answer, Approval};

pub(super) fn ids_of(approval: &Approval) -> Value {
    json!({ "request_id": approval.request_id, "approval_id": approval.id })
}

pub(super) fn request_data(approval: &Approval) -> Value {
    json!({
        "request_id": approval.request_id,
        "approval_id": approval.id,
        "tool_name": approval.tool_name,
        "tool_input": approval.tool_input,
        "suggestions": approval.suggestions,
        "kind": approval.kind,
        "title": approval.title,
        "directory": approval.directory,
        "diff": approval.diff,
        "questions": approval.questions,
        "reason": approval.reason,
        "tool_use_id": approval.tool_use_id,
        "subagent": approval.subagent,
        "can_change_input": approval.can_change_input,
        "said": approval.said,
        "risk": approval.risk,
    })
}

pub(super) fn resolved_data(approval: &Approval) -> Value {
    let resolved_by = match &approval.resolved_by {
        Some(Actor::Person { .. }) => "user",
        Some(Actor::Timeout) => "timeout",
        Some(Actor::Mode { .. } | Actor::Grant { .. } | Actor::Replay { .. }) => "auto",
        Some(Actor::Agent) | None => "cancelled",
    };
    let answer = approval.answer.as_ref();
    let mut data = json!({
        "request_id": approval.request_id,
        "approval_id": approval.id,
        "resolved_by": resolved_by,
        "allowed": answer.is_some_and(Answer::allowed),
        "message": answer.and_then(Answer::message),
        "tool_name": approval.tool_name,
        "title": approval.title,
        "by": approval.resolved_by,
    });
    if let Some(Answer::Allow { scope, updated_input, answers, .. }) = answer {
        data["scope"] = json!(scope);
        if let Some(input) = updated_input {
            data["updated_input"] = input.clone();
        }
        if let Some(answers) = answers {
            data["answers"] = json!(answers);
        }
    }
    data
}
