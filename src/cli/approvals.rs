//! `tether approvals`: what waits for an answer.

use tether_actors::domain::approval::{Approval, ApprovalState};
use tether_actors::domain::time::Stamp;

use super::args::ApprovalsArgs;
use super::output::{Column, age, short, table, terminal_width};
use super::{Context, Failure, resolve};

/// Lists them, oldest question first.
pub async fn run(args: &ApprovalsArgs, mut cx: Context) -> Result<(), Failure> {
    let client = cx.client()?;
    let session = match &args.session {
        Some(typed) => Some(resolve::session(&client, typed).await?.id),
        None => None,
    };
    let mut approvals = client.approvals(!args.all, session.as_ref().map(|id| id.as_str())).await?;
    approvals.sort_by_key(|approval| approval.requested_at);
    if cx.json {
        return cx.out.json(&approvals);
    }
    if approvals.is_empty() {
        let which = if args.all { "No approvals." } else { "No open approvals." };
        return Ok(cx.out.line(which)?);
    }
    for line in lines(&approvals, args.all, Stamp::now(), terminal_width()) {
        cx.out.line(line)?;
    }
    Ok(())
}

fn lines(approvals: &[Approval], all: bool, now: Stamp, width: usize) -> Vec<String> {
    let fixed = 17 + 12 + 4 + 16 + 4 + if all { 26 } else { 0 };
    let mut columns = vec![Column("ID", 17), Column("SESSION", 12), Column("AGE", 4), Column("TOOL", 16)];
    if all {
        columns.push(Column("ANSWER", 25));
    }
    columns.push(Column("WHAT", width.saturating_sub(fixed).max(20)));
    let rows: Vec<Vec<String>> = approvals
        .iter()
        .map(|approval| {
            let mut row = vec![
                approval.id.to_string(),
                short(approval.session_id.as_str(), 12).to_owned(),
                age(now.seconds_since(approval.requested_at)),
                approval.tool_name.clone(),
            ];
            if all {
                row.push(standing(approval));
            }
            row.push(approval.title.clone());
            row
        })
        .collect();
    table(&columns, &rows)
}

/// Where an approval stands, and who saw to it.
pub fn standing(approval: &Approval) -> String {
    let word = match approval.state {
        ApprovalState::Open => "open",
        ApprovalState::Allowed => "allowed",
        ApprovalState::Denied => "denied",
        ApprovalState::Cancelled => "withdrawn",
        ApprovalState::Expired => "expired",
    };
    match &approval.resolved_by {
        Some(by) => format!("{word} by {by}"),
        None => word.to_owned(),
    }
}

#[cfg(test)]
pub mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// An open approval as the API gives it, with these fields changed.
    pub fn approval(changes: Value) -> Approval {
        let mut fields = json!({
            "id": "perm_0123456789ab", "session_id": "sess_0123456789ab", "request_id": "perm_0123456789ab",
            "request": "r1", "kind": "tool", "tool_name": "Bash", "tool_input": { "command": "make" },
            "title": "Run make", "directory": "/p", "diff": null, "questions": [], "reason": null,
            "suggestions": null, "tool_use_id": null, "subagent": null, "can_change_input": true, "run": null,
            "turn": 1, "state": "open", "requested_at": "2026-01-01T00:00:00Z", "resolved_at": null,
            "resolved_by": null, "answer": null, "delivered_at": null, "outcome": null,
        });
        for (name, value) in changes.as_object().expect("an object") {
            fields[name] = value.clone();
        }
        serde_json::from_value(fields).expect("an approval")
    }

    #[test]
    fn open_approvals_are_listed_with_their_age() {
        let approval = approval(json!({}));
        let now = approval.requested_at.plus_seconds(125);
        let lines = lines(&[approval], false, now, 80);
        assert_eq!(lines[2], "perm_0123456789ab sess_0123456 2m   Bash             Run make");
    }

    #[test]
    fn answered_ones_tell_who_answered() {
        let by = json!({ "type": "person", "surface": "telegram", "name": "Ann" });
        let approval = approval(json!({ "state": "denied", "resolved_by": by }));
        let now = approval.requested_at;
        let lines = lines(&[approval], true, now, 120);
        assert!(lines[2].contains("Bash             denied by Ann (telegram)  Run make"), "{}", lines[2]);
    }
}
