//! `tether delete`: remove a session with all that belongs to it.

use serde_json::json;

use super::args::SessionArgs;
use super::{Context, Failure, resolve};

/// Deletes it.
pub async fn run(args: &SessionArgs, mut cx: Context) -> Result<(), Failure> {
    let client = cx.client()?;
    let session = resolve::session(&client, &args.session).await?;
    client.delete(session.id.as_str()).await?;
    if cx.json {
        return cx.out.json(&json!({ "ok": true, "id": session.id }));
    }
    Ok(cx.out.line(format!("Deleted {}", session.id))?)
}
