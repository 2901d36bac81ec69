//! `tether sync`: read what an attached session's own program wrote meanwhile.

use serde_json::json;

use super::args::SyncArgs;
use super::{Context, Failure, resolve};

/// Asks for it, and says how much came.
pub async fn run(args: &SyncArgs, mut cx: Context) -> Result<(), Failure> {
    let client = cx.client()?;
    let session = resolve::session(&client, &args.session).await?;
    let done = client.sync(session.id.as_str(), args.force).await?;
    if cx.json {
        return cx.out.json(&json!({ "session_id": session.id, "synced": done.synced, "total": done.total }));
    }
    let text = match done.synced {
        0 => format!("Already up to date ({} messages total)", done.total),
        new => format!("Synced {new} new messages ({} total)", done.total),
    };
    Ok(cx.out.line(text)?)
}
