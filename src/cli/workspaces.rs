//! `tether workspaces`: work trees that were made for sessions, and what they take of the disk.

use tether_actors::domain::time::Stamp;

use super::args::{WorkspacesAction, WorkspacesArgs};
use super::output::{Column, age, short, table, terminal_width};
use super::status::label;
use super::{Context, Failure};
use crate::api::WorkspaceList;

/// Lists them, or removes those whose session is gone.
pub async fn run(args: &WorkspacesArgs, mut cx: Context) -> Result<(), Failure> {
    let client = cx.client()?;
    if let Some(WorkspacesAction::Clean) = args.action {
        let done = client.clean_workspaces().await?;
        if cx.json {
            cx.out.json(&done)?;
        } else {
            cx.out.line(format!("Removed {} orphaned workspace(s).", done.removed))?;
        }
        return match done.errors.is_empty() {
            true => Ok(()),
            false => Err(Failure::text(done.errors.join("\n"))),
        };
    }
    let list = client.workspaces(args.stale).await?;
    if cx.json {
        return cx.out.json(&list);
    }
    if list.workspaces.is_empty() {
        return Ok(cx.out.line("No workspaces.")?);
    }
    for line in lines(&list, Stamp::now(), terminal_width()) {
        cx.out.line(line)?;
    }
    if let Some(warning) = &list.warning {
        cx.out.line(format!("Warning: {warning}"))?;
    }
    Ok(())
}

fn lines(list: &WorkspaceList, now: Stamp, width: usize) -> Vec<String> {
    let rest = width.saturating_sub(12 + 16 + 10 + 8 + 4).max(30);
    let columns = [
        Column("SESSION", 12),
        Column("STATE", 16),
        Column("SIZE", 10),
        Column("ACTIVE", 8),
        Column("PATH", rest),
    ];
    let rows: Vec<Vec<String>> = list
        .workspaces
        .iter()
        .map(|one| {
            vec![
                short(&one.session_id, 12).to_owned(),
                one.session_state.map_or("(deleted)", label).to_owned(),
                size(one.size_bytes),
                one.last_activity_at.map(|last| age(now.seconds_since(last))).unwrap_or_default(),
                one.path.clone(),
            ]
        })
        .collect();
    let mut lines = table(&columns, &rows);
    let orphans = if list.orphan_count > 0 {
        format!(", {} without a session (remove: tether workspaces clean)", list.orphan_count)
    } else {
        String::new()
    };
    lines.push(format!("{} in all{orphans}", size(list.total_bytes)));
    lines
}

fn size(bytes: u64) -> String {
    let mib = bytes as f64 / f64::from(1 << 20);
    if mib < 1024.0 { format!("{mib:.1} MiB") } else { format!("{:.1} GiB", mib / 1024.0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_trees_are_listed_with_their_sizes_and_those_without_a_session_are_counted() {
        let list: WorkspaceList = serde_json::from_value(serde_json::json!({
            "workspaces": [{
                "session_id": "sess_0123456789ab", "path": "/w", "size_bytes": 1 << 21, "session_state": null,
                "last_activity_at": null, "is_orphan": true,
            }],
            "total_bytes": 3_u64 << 30, "orphan_count": 1, "warning": null,
        }))
        .expect("a list");
        let lines = lines(&list, Stamp::from_unix(0), 100);
        assert_eq!(lines[2], "sess_0123456 (deleted)        2.0 MiB             /w");
        assert_eq!(lines[3], "3.0 GiB in all, 1 without a session (remove: tether workspaces clean)");
    }
}
