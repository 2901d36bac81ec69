//! `tether grants`: standing permissions, listed and ended.

use serde_json::json;
use tether_actors::domain::approval::{Grant, GrantCover};
use tether_actors::domain::time::Stamp;

use super::args::{GrantsAction, GrantsArgs};
use super::output::{Column, age, short, table, terminal_width};
use super::{Context, Failure, resolve};

/// Lists them, or ends one.
pub async fn run(args: &GrantsArgs, mut cx: Context) -> Result<(), Failure> {
    let client = cx.client()?;
    let grants = client.grants().await?;
    if let Some(GrantsAction::Revoke { grant }) = &args.action {
        let id = resolve::grant(grant, &grants)?;
        client.revoke(&id).await?;
        if cx.json {
            return cx.out.json(&json!({ "ok": true, "id": id }));
        }
        return Ok(cx.out.line(format!("Revoked {id}"))?);
    }
    if cx.json {
        return cx.out.json(&grants);
    }
    if grants.is_empty() {
        return Ok(cx.out.line("No grants.")?);
    }
    for line in lines(&grants, Stamp::now(), terminal_width()) {
        cx.out.line(line)?;
    }
    Ok(())
}

fn lines(grants: &[Grant], now: Stamp, width: usize) -> Vec<String> {
    let rest = width.saturating_sub(14 + 12 + 8 + 16 + 4).max(20);
    let columns = [
        Column("ID", 14),
        Column("SESSION", 12),
        Column("LEFT", 8),
        Column("GIVEN BY", 16),
        Column("COVERS", rest),
    ];
    let rows: Vec<Vec<String>> = grants
        .iter()
        .map(|grant| {
            vec![
                grant.id.to_string(),
                short(grant.session_id.as_str(), 12).to_owned(),
                grant.expires_at.map_or_else(|| "session".to_owned(), |end| age(end.seconds_since(now))),
                grant.created_by.to_string(),
                covers(&grant.cover),
            ]
        })
        .collect();
    table(&columns, &rows)
}

/// What a grant covers, in words.
pub fn covers(cover: &GrantCover) -> String {
    match cover {
        GrantCover::Tool { tool_name } => format!("every use of {tool_name}"),
        GrantCover::All => "everything".to_owned(),
        GrantCover::Directory { path } => format!("file changes below {path}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grant_is_listed_with_what_it_covers_and_how_long() {
        let grant: Grant = serde_json::from_value(json!({
            "id": "grant_0123abcd", "session_id": "sess_0123456789ab", "covers": "all",
            "created_at": "2026-01-01T00:00:00Z", "expires_at": "2026-01-01T00:30:00Z",
            "created_by": { "type": "person", "surface": "cli" },
        }))
        .expect("a grant");
        let now = grant.created_at.plus_seconds(60);
        assert_eq!(
            lines(&[grant], now, 80)[2],
            "grant_0123abcd sess_0123456 29m      cli              everything"
        );
    }
}
